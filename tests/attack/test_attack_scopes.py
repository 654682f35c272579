"""Every route × every key: scopes.json says who may, and each cell of it is tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chalicelib.api.answers import ANY_KEY, IMPLIED
from chalicelib.api.routes import ROUTES
from chalicelib.store.keys import SCOPES
from tests.api.client import Api, key_with
from tests.api.test_attempts import Seeds, seeded
from tests.attack.tally import Tally
from tests.attack.test_attack_api import IDS, filled, routes

TABLE: dict[str, str] = json.loads(Path(__file__).with_name("scopes.json").read_text("utf-8"))
ANYBODY, NOBODY, WRONG = "anybody", "nobody", "somebody"
HOLDERS = (NOBODY, WRONG, *SCOPES, "console", "link", "link of another")
BY_KIND = ("/v1/jobs/{id}",)
"""Who may see one depends on what it is: each kind with each key in test_attack_api.py."""
MADE_UP = "con_aaaaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"), checked=False)


def test_the_table_has_each_route_and_no_other() -> None:
    assert TABLE.keys() == {f"{method} {path}" for method, path, _, _ in ROUTES}
    for route, who in TABLE.items():
        named = set(who.split())
        assert named <= {ANYBODY, *HOLDERS} and (named == {ANYBODY} or "admin" in named), route
        assert ANYBODY not in named or route in ("GET /health", "GET /openapi.json"), route


def test_the_code_says_what_the_table_says() -> None:
    """In `make test`, where tests/api/test_access.py calls each route with each scope."""
    for method, path, _, scope in ROUTES:
        keys = {each for each in SCOPES if scope == ANY_KEY or scope in IMPLIED.get(each, (each,))}
        assert set(TABLE[f"{method} {path}"].split()) & set(SCOPES) == (keys if scope else set()), path


def holders(api: Api, seeds: Seeds) -> dict[str, str]:
    """Who → the token that is sent. The links are of a customer, of the console, and of another customer."""
    customer = seeds.ids["customers"][0]
    body = {"id": "m-9", "conversation": "ch-9", "visitor": "b-1", "at": "2026-09-01T09:00:00.000Z", "text": "Hoi"}
    chat, token = seeds.ids["connections"][0], [("Authorization", "Bearer another-token")]
    raw = json.dumps(body | {"email": "other@example.nl"}).encode()
    sent = api.send("POST", f"/hooks/{chat}", raw, [*token, ("Content-Type", "application/json")], key="")
    assert sent.status == 200, sent.raw
    api.work()
    (other,) = api.get("/v1/customers", identity="email:other@example.nl")["customers"]
    links = {"console": {"console": True}, "link": {"customer": customer}, "link of another": {"customer": other["id"]}}
    minted = {who: api.call("POST", "/v1/magic-links", 201, asked)["token"] for who, asked in links.items()}
    return {NOBODY: "", WRONG: "draad_" + "A" * 43} | {scope: key_with(scope) for scope in SCOPES} | minted


def expected(route: str, who: str) -> str:
    """401, 403, 404 of somebody else's link, or "may"."""
    named = TABLE[route].split()
    if ANYBODY in named or who in named:
        return "may"
    if who in (NOBODY, WRONG):
        return "401"
    return "404" if who == "link of another" and "link" in named and route != "GET /v1/me" else "403"


@pytest.mark.nightly
def test_every_route_with_every_key(api: Api) -> None:
    seeds = seeded(api)
    tokens, tally, failures = holders(api, seeds), Tally("routes × scopes"), []
    for method, path in [("GET", "/health"), ("GET", "/openapi.json"), *((m, p) for m, p, _ in routes())]:
        reads = method == "GET"
        target = filled(path, seeds) if reads and path not in BY_KIND else IDS.sub(MADE_UP, path)
        for who, token in tokens.items():
            answer = api.send(method, target, b"" if reads else b"{}", key=token)
            tally.add("cells", answer.status)
            wanted = expected(f"{method} {path}", who)
            if who == "link of another" and path == "/v1/me":
                wanted = "may"
            right = (
                answer.status not in (401, 403) and answer.status < 500
                if wanted == "may"
                else (str(answer.status) == wanted)
            )
            if not right:
                failures.append(f"{method} {path} as {who}: {answer.status}, not {wanted}: {answer.raw[:120]!r}")
    tally.keep()
    assert failures == [], "\n".join(failures)
    assert sum(tally.inputs.values()) == len(TABLE) * len(HOLDERS)
