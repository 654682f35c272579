"""What a system refuses in its own way, and what it still holds of somebody who was forgotten.

In a destination's connection.json, `refusals`: a `case` with more `before` it, or other `settings`, has an
`outcome`. `erasures`: `append` these cases, forget the contact twice; then nothing of `gone` is in the state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.kit import wire
from tests.destinations.test_destinations import FIXTURES, SLUGS, Case, open_case, outcome


def listed(what: str) -> list[Any]:
    found = [(slug, one) for slug in SLUGS for one in _told(slug).get(what, [])]
    return [pytest.param((slug, one), id=f"{slug}-{one['name']}") for slug, one in found]


def _told(slug: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / slug / "connection.json").read_text())
    return found


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[Case, dict[str, Any]]]:
    slug, one = request.param
    case = open_case(slug, one["case"])
    for method, arguments in one.get("before", []):
        getattr(case.standin, method)(**arguments)
    case.told["settings"] = case.told.get("settings", {}) | one.get("settings", {})
    yield case, one
    case.standin.stop()
    wire.close_all()


@pytest.mark.parametrize("opened", listed("refusals"), indirect=True)
def test_a_refusal_is_what_it_means_there(opened: tuple[Case, dict[str, Any]]) -> None:
    case, one = opened
    before = case.standin.kept(), case.standin.people()
    assert outcome(case) == one["outcome"]
    assert (case.standin.kept(), case.standin.people()) == before


@pytest.mark.parametrize("opened", listed("erasures"), indirect=True)
def test_nothing_of_somebody_forgotten_is_left(opened: tuple[Case, dict[str, Any]]) -> None:
    case, one = opened
    for name in one["append"]:
        told = json.loads((FIXTURES / case.slug / f"{name}.json").read_text())
        case.told |= {"do": "append", "entry": told["entry"], "remote": case.told["remote"]}
        case.run()
    assert len(case.standin.kept()) == len(one["append"])
    assert all(each in _state(case) for each in one["gone"])
    assert case.destination.forget_contact is not None
    for _ in range(2):
        case.destination.forget_contact(case.http(), case.remote)
    assert (case.standin.kept(), [each for each in case.standin.people() if each]) == ([], [])
    assert not [each for each in one["gone"] if each in _state(case)]


def _state(case: Case) -> str:
    return json.dumps(case.standin.state(), ensure_ascii=False)
