"""Where a token must be asked for: the cases under `grants` of a destination's connection.json.

Each has a `name` and the `calls` that are made; over the connection's own `settings`, `secrets` and `before`; and
either what is `answered` (`base_url` may be `{url}`), or the `outcome`, with the `retry_after` that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from chalicelib import destinations
from chalicelib.errors import DeliveryFailed
from chalicelib.kit import wire
from chalicelib.kit.grant import Token
from chalicelib.kit.http import Http
from tests.destinations.test_destinations import FIXTURES, SLUGS, Case, names, open_case


def told(slug: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FIXTURES / slug / "connection.json").read_text()).get("grants", [])
    return found


EVERY = [(slug, number) for slug in SLUGS for number in range(len(told(slug)))]
GRANTED = [(slug, number) for slug, number in EVERY if "answered" in told(slug)[number]]


class Asking:
    """One case, at its own stand-in; `append` is the first entry of the same destination."""

    def __init__(self, slug: str, number: int) -> None:
        self.told = told(slug)[number]
        self.append: Case = open_case(slug, names(slug, "append")[0])
        self.destination, self.standin = self.append.destination, self.append.standin
        for method, arguments in self.told.get("before", []):
            getattr(self.standin, method)(**arguments)

    @property
    def settings(self) -> dict[str, Any]:
        text = json.dumps(self.append.connection["settings"] | self.told.get("settings", {}))
        found: dict[str, Any] = json.loads(text.replace("{url}", self.standin.url))
        return found

    @property
    def secrets(self) -> dict[str, tuple[str, ...]]:
        entered = self.append.connection["secrets"] | self.told.get("secrets", {})
        return {name: tuple(values) for name, values in entered.items() if name != "access_token"}

    def ask(self, **options: Any) -> Token:
        assert self.destination.grant is not None
        at = self.destination.grant_address(self.settings)
        return self.destination.grant(
            Http(at, settings=self.settings, secrets=self.secrets, allow_private=True, **options)
        )

    def outcome(self, **options: Any) -> str:
        try:
            self.ask(**options)
        except DeliveryFailed as failed:
            return failed.outcome
        return "granted"


@pytest.fixture
def asking(request: pytest.FixtureRequest) -> Iterator[Asking]:
    found = Asking(*request.param)
    yield found
    found.standin.stop()
    wire.close_all()


def each(cases: list[tuple[str, int]]) -> pytest.MarkDecorator:
    ids = [f"{slug}-{told(slug)[number]['name']}" for slug, number in cases]
    return pytest.mark.parametrize("asking", cases, ids=ids, indirect=True)


@each(EVERY)
def test_a_token_is_asked_for_as_the_system_wants_it(asking: Asking) -> None:
    expected = asking.told.get("answered")
    if expected is None:
        with pytest.raises(DeliveryFailed) as failed:
            asking.ask()
        assert failed.value.outcome == asking.told["outcome"]
        assert getattr(failed.value, "retry_after", None) == asking.told.get("retry_after")
    else:
        token = asking.ask()
        assert bool(token.value)
        assert token.seconds == expected["seconds"]
        assert token.base_url == expected.get("base_url", "").replace("{url}", asking.standin.url)
        assert dict(token.kept) == expected.get("kept", {})
    assert [_shown(call) for call in asking.standin.calls] == asking.told["calls"]


def _shown(call: Any) -> dict[str, Any]:
    body = {} if not call.body else {"form": dict(parse_qsl(call.body.decode()))}
    if call.headers.get("content-type") == "application/json":
        body = {"json": call.json}
    return {"method": call.method, "path": call.path} | ({"query": call.query} if call.query else {}) | body


@each(GRANTED)
def test_what_was_granted_lets_us_in_and_is_not_shown(asking: Asking) -> None:
    token = asking.ask()
    assert token.value not in repr(token)
    assert not [value for value in token.kept.values() if value in repr(token)]
    secrets = asking.secrets | {name: (value,) for name, value in {**token.kept, "access_token": token.value}.items()}
    case = asking.append
    http = asking.destination.http(asking.settings, secrets, base_url=token.base_url, allow_private=True)
    assert asking.destination.append_activity is not None
    assert asking.destination.append_activity(http, case.remote, case.entry)
    assert asking.standin.kept() == [case.entry.event.id]


@each(GRANTED)
def test_refusals_and_lost_answers_are_their_outcomes(asking: Asking) -> None:
    if not asking.told["calls"]:
        pytest.skip("nobody is asked")
    for mode, options, expected in (
        ("status", {"status": 401}, "unauthorized"),
        ("status", {"status": 429}, "delayed"),
        ("status", {"status": 500}, "delayed"),
        ("drop", {}, "unknown"),
        ("truncate", {}, "unknown"),
        ("lie", {}, "unknown"),
    ):
        asking.standin.behave(mode, times=1, **options)
        assert asking.outcome() == expected, (mode, options)
    asking.standin.refuse(None)
    assert asking.outcome() == "delayed"


@pytest.mark.parametrize("slug", [slug for slug in SLUGS if told(slug)])
def test_a_grant_and_a_refusal_are_proven(slug: str) -> None:
    assert destinations.load(slug).grant is not None
    assert {"answered", "outcome"} <= {kind for case in told(slug) for kind in case}
