"""Magic links: one customer's page to read, for some hours, and nothing else."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chalicelib.api import magic_links
from chalicelib.api.routes import ROUTES
from chalicelib.model import instants
from chalicelib.store import ids
from tests.api.client import Answer, Api, event, key_with, person

NOW = "2026-09-01T09:00:00.000Z"
JAN, PIET = person("email", "jan@example.nl"), person("email", "piet@example.nl")
OPEN = [
    "/v1/customers/{id}",
    "/v1/customers/{id}/audit",
    "/v1/customers/{id}/possible",
    "/v1/customers/{id}/sync",
    "/v1/customers/{id}/timeline",
]


def customer(api: Api, identity: str) -> str:
    (found,) = api.get("/v1/customers", identity=identity)["customers"]
    return str(found["id"])


@pytest.fixture
def shop(api: Api) -> str:
    made: str = api.connect()["id"]
    api.record(made, event(1, NOW, JAN, name="Jan"), event(2, NOW, PIET, name="Piet"))
    return made


@pytest.fixture
def jan(api: Api, shop: str) -> str:
    return customer(api, "email:jan@example.nl")


@pytest.fixture
def piet(api: Api, shop: str) -> str:
    return customer(api, "email:piet@example.nl")


def mint(api: Api, who: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = api.call("POST", "/v1/magic-links", 201, {"customer": who, **more})
    return made


def opened(api: Api, path: str, token: str, method: str = "GET") -> Answer:
    return api.send(method, path, b"" if method == "GET" else b"{}", key=token)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Milliseconds that have gone by."""
    gone, real = [0], instants.now_ms
    monkeypatch.setattr(instants, "now_ms", lambda: real() + gone[0])
    yield gone


def test_a_link_leads_to_the_page_and_lasts_eight_hours(api: Api, jan: str) -> None:
    before = instants.now_ms()
    made = mint(api, jan)
    assert set(made) == {"url", "embed_url", "token", "expires_at"}
    assert made["url"] == f"https://hub.example/customers/{jan}#t={made['token']}"
    assert made["embed_url"] == f"https://hub.example/embed/customers/{jan}#t={made['token']}"
    assert re.fullmatch(r"magic_[\w-]+\.[a-z2-7]{26}", made["token"])
    assert 0 <= instants.to_ms(made["expires_at"]) - before - 8 * 3600_000 < 5000
    assert re.fullmatch(r"https://[\w./]+#t=[\w.-]+", made["url"]), "nothing that a browser or a mail client escapes"


def test_it_opens_each_reading_of_its_customer_and_no_other_route(api: Api, jan: str) -> None:
    token = mint(api, jan)["token"]
    found = []
    for method, path, _, scope in ROUTES:
        answer = opened(api, path.replace("{id}", jan).replace("{slug}", "generic"), token, method)
        if not scope:
            continue
        if answer.status == 200:
            found.append(path)
            assert method == "GET"
        else:
            assert (answer.status, answer.json["title"]) == (403, "This key lacks the scope"), (method, path)
    assert sorted(found) == [*OPEN, "/v1/me"]


def test_it_is_told_that_it_only_reads(api: Api, jan: str, clock: list[int]) -> None:
    token = mint(api, jan, expires_in=60)["token"]
    assert opened(api, "/v1/me", token).json == {"name": "magic link", "scopes": ["read"], "opens": "customer"}
    clock[0] = 60_000
    assert opened(api, "/v1/me", token).status == 401


def test_somebody_elses_page_is_404_whatever_the_id(api: Api, jan: str, piet: str) -> None:
    token = mint(api, jan)["token"]
    made_up = [piet, "cus_1795470033451zzzzzzzzzzzzzzzzzzzzzzzzzz", "x", "cus_", "..", "%00", jan[:-1], jan + "a"]
    for path in OPEN:
        for other in made_up:
            answer = opened(api, path.replace("{id}", other), token)
            assert (answer.status, answer.json["title"]) == (404, "Not found"), (path, other)


def test_it_ends_when_it_says(api: Api, jan: str, clock: list[int]) -> None:
    token = mint(api, jan, expires_in=60)["token"]
    clock[0] = 59_000
    assert opened(api, f"/v1/customers/{jan}", token).status == 200
    clock[0] = 60_000
    for path in OPEN:
        answer = opened(api, path.replace("{id}", jan), token)
        assert answer.status == 401 and "expired" in answer.json["detail"]
    assert opened(api, "/v1/connections", token).status == 401


def forged(token: str) -> list[str]:
    """The token with each letter changed, cut short, with another node or moment, or made of ids of ours."""
    body, mark = token.removeprefix("magic_").split(".")
    node, until = msgspec.msgpack.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    again = [f"magic_{packed(node, str(int(until) + 1))}.{mark}", f"magic_{packed(node)}.{mark}"]
    changed = [token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :] for at in range(len(token))]
    sealed = ids.seal("magic", node, str(2**53))
    other = ids.seal("job", node, str(2**53), letters=ids.WHOLE).replace("job_", "magic_")
    return [*changed, *again, token[:-1], token + "a", f"{token}.", token.upper(), "magic_", "magic_.", sealed, other]


def packed(*parts: str) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(parts)).decode().rstrip("=")


def test_a_changed_token_opens_nothing(api: Api, jan: str) -> None:
    token = mint(api, jan)["token"]
    for wrong in forged(token):
        assert wrong != token
        answer = opened(api, f"/v1/customers/{jan}", wrong)
        assert answer.status == 401, wrong
    assert opened(api, f"/v1/customers/{jan}", token).status == 200


def test_a_token_goes_as_bearer_only(api: Api, jan: str) -> None:
    token = mint(api, jan)["token"]
    for given in (f"Basic {token}", token, f"Token {token}"):
        assert api.send("GET", f"/v1/customers/{jan}", headers=[("Authorization", given)], key="").status == 401
    assert api.send("GET", f"/v1/customers/{jan}?t={token}", key="").status == 401


def test_links_go_along_with_a_merge_and_with_its_undoing(api: Api, jan: str, piet: str) -> None:
    tokens = [mint(api, jan)["token"], mint(api, piet)["token"]]
    a, b = "email:jan@example.nl", "email:piet@example.nl"
    link = api.call("POST", "/v1/links", 201, {"a": a, "b": b, "reason": "one person"})["id"]
    assert customer(api, a) == customer(api, b)
    for token in tokens:
        for each in (jan, piet):
            answer = opened(api, f"/v1/customers/{each}/timeline", token)
            assert answer.status == 200 and len(answer.json["entries"]) == 2
    api.call("DELETE", f"/v1/links/{link}")
    for token, mine, theirs in ((tokens[0], jan, piet), (tokens[1], piet, jan)):
        assert opened(api, f"/v1/customers/{mine}", token).json["id"] == mine
        assert opened(api, f"/v1/customers/{theirs}", token).status == 404


def test_the_ordinary_way_costs_no_look_up_more_than_a_key(
    api: Api, jan: str, piet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = mint(api, jan)["token"]
    monkeypatch.setattr(magic_links.people, "of_node", None)
    assert magic_links.opened(api.table, token, "GET", jan) is not None


@pytest.mark.parametrize("scopes", [("read",), ("agent",), ("admin",)])
def test_whoever_may_read_may_mint(api: Api, jan: str, scopes: tuple[str, ...]) -> None:
    asked = msgspec.json.encode({"customer": jan})
    assert api.send("POST", "/v1/magic-links", asked, key=key_with(*scopes)).status == 201
    assert api.send("POST", "/v1/magic-links", asked, key=key_with("integrate")).status == 403


def test_a_link_mints_no_link(api: Api, jan: str) -> None:
    asked = msgspec.json.encode({"customer": jan})
    assert api.send("POST", "/v1/magic-links", asked, key=mint(api, jan)["token"]).status == 403


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({}, ["/customer"]),
        ({"customer": 5, "until": "x"}, ["/customer", "/until"]),
        ({"customer": "cus_1795470033451kd2q53j23eofkcdi2jgfkmahfi"}, ["/customer"]),
        ({"customer": "jan@example.nl"}, ["/customer"]),
        ({"customer": "x", "expires_in": 59}, ["/expires_in"]),
        ({"customer": "x", "expires_in": 604801}, ["/expires_in"]),
        ({"customer": "x", "expires_in": "1 h"}, ["/expires_in"]),
        ({"customer": "x", "expires_in": -1}, ["/expires_in"]),
    ],
)
def test_a_link_that_is_not_minted(api: Api, asked: dict[str, Any], pointers: list[str]) -> None:
    assert api.refused("POST", "/v1/magic-links", asked) == pointers


def test_seven_days_is_the_longest(api: Api, jan: str, clock: list[int]) -> None:
    token = mint(api, jan, expires_in=7 * 86400)["token"]
    clock[0] = 7 * 86400_000 - 5000
    assert opened(api, f"/v1/customers/{jan}", token).status == 200
    clock[0] += 5000
    assert opened(api, f"/v1/customers/{jan}", token).status == 401


def console_link(api: Api, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = api.call("POST", "/v1/magic-links", 201, {"console": True, **more})
    return made


def test_a_link_of_the_console_leads_there_and_names_what_it_may(api: Api) -> None:
    made = console_link(api)
    assert made["url"] == f"https://hub.example/console#t={made['token']}"
    assert opened(api, "/v1/me", made["token"]).json == {"name": "console link", "scopes": ["read"], "opens": "console"}


def test_it_opens_what_a_key_with_the_scope_read_gets_and_changes_nothing(api: Api, jan: str) -> None:
    token, reader = console_link(api)["token"], key_with("read")
    opens = []
    for method, path, _, scope in ROUTES:
        if not scope:
            continue
        way = path.replace("{id}", jan).replace("{slug}", "generic")
        answer = opened(api, way, token, method)
        if method != "GET":
            assert (answer.status, answer.json["title"]) == (403, "This key lacks the scope"), (method, path)
        elif path != "/v1/me":
            assert answer.status == api.send("GET", way, key=reader).status, path
            opens += [path] if answer.status == 200 else []
    assert {"/v1/waiting", *OPEN} <= set(opens) and "/v1/connections" not in opens and "/v1/keys" not in opens


def test_a_link_of_the_console_ends_and_cannot_be_made_of_a_customers(api: Api, jan: str, clock: list[int]) -> None:
    token = console_link(api, expires_in=60)["token"]
    _, until = msgspec.msgpack.decode(base64.urlsafe_b64decode(token[6:].split(".")[0] + "=="))
    customers = mint(api, jan)["token"]
    assert opened(api, "/v1/waiting", f"magic_{packed('console', until)}.{customers.split('.')[1]}").status == 401
    assert opened(api, "/v1/me", customers).json["opens"] == "customer"
    clock[0] = 60_000
    assert opened(api, "/v1/waiting", token).status == 401


def test_a_link_is_for_a_customer_or_for_the_console(api: Api, jan: str) -> None:
    assert api.refused("POST", "/v1/magic-links", {"console": True, "customer": jan}) == ["/customer"]
    assert api.refused("POST", "/v1/magic-links", {"console": False}) == ["/customer"]


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (("read",), ["read"]),
        (("agent",), ["read", "agent"]),
        (("integrate", "read"), ["read", "integrate"]),
        (("admin",), ["read", "agent", "integrate", "audience", "admin"]),
    ],
)
def test_a_key_knows_what_it_may(api: Api, scopes: tuple[str, ...], may: list[str]) -> None:
    assert api.send("GET", "/v1/me", key=key_with(*scopes)).json == {"name": "test", "scopes": may, "opens": "console"}
    assert api.send("GET", "/v1/me", key="").status == 401
