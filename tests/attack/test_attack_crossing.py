"""One customer's link, one list's cursor, one audience's export: none of them reads what is another's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.client import Api, event, key_with, person
from tests.attack import planted
from tests.attack.tally import Tally

NOW = "2026-09-01T09:00:00.000Z"
HIS = ("piet.geheim@example.nl", "Pieter Verborgen", "+31687654321", "het woord dat niemand kent", "ORDER-GEHEIM-77")
"""All that is known of the other customer."""


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"), checked=False)


@pytest.fixture
def pair(api: Api) -> dict[str, Any]:
    """Two customers with a page of events each, at two connections."""
    shop, chat = api.connect()["id"], api.connect(name="chat")["id"]
    mail, name, phone, words, order = HIS
    for number in range(6):
        at = f"2026-09-01T09:0{number}:00.000Z"
        api.post(shop, event(number, at, person("email", "jan@example.nl"), name="Jan", refs=[]))
        told = {"name": name, "refs": [{"kind": "order", "value": order}]} | {"text": words}
        api.post(chat, event(number + 100, at, person("email", mail), person("phone", phone), **told))
    api.work()
    mine, his = (
        api.get("/v1/customers", identity=f"email:{each}")["customers"][0]["id"] for each in ("jan@example.nl", mail)
    )
    return {"mine": mine, "his": his, "shop": shop, "chat": chat}


READS = ("", "/timeline", "/audit", "/possible", "/sync")


def nothing_of_his(raw: bytes, *more: str) -> list[str]:
    return planted.found_in(raw.decode("utf-8", "replace"), [*HIS, *more])


def test_a_link_tells_nothing_of_another_customer(api: Api, pair: dict[str, Any]) -> None:
    """Whatever the path: his id, mine with a cursor of his, mine with filters that name his things."""
    tally, failures = Tally("one customer's link"), []
    link = api.call("POST", "/v1/magic-links", 201, {"customer": pair["mine"]})["token"]
    his = api.get(f"/v1/customers/{pair['his']}/timeline", limit=2)
    conversation = his["entries"][0].get("conversation") or "x"
    paths = [f"/v1/customers/{pair['his']}{each}" for each in READS]
    paths += [f"/v1/customers/{pair['mine']}{each}?next={his['next']}&limit=200" for each in READS]
    paths += [f"/v1/customers/{pair['mine']}{each}?customer={pair['his']}&id={pair['his']}" for each in READS]
    paths += [f"/v1/conversations/{conversation}", f"/v1/customers?identity=email:{HIS[0]}", "/v1/waiting", "/v1/stats"]
    paths += [f"/v1/customers/{pair['mine']}/../{pair['his']}", f"/v1/customers/{pair['mine']}%2F..%2F{pair['his']}"]
    for path in paths:
        answer = api.send("GET", path, key=link)
        tally.add("crossed", answer.status)
        if answer.status >= 500 or (found := nothing_of_his(answer.raw)):
            failures.append(f"{path}: {answer.status} {found}")
    tally.keep()
    assert failures == [], failures
    assert nothing_of_his(api.send("GET", f"/v1/customers/{pair['his']}/timeline").raw), (
        "the search finds what is there"
    )


def test_a_cursor_goes_on_in_its_own_list(api: Api, pair: dict[str, Any]) -> None:
    """Also with a key that may read both: a page of mine never holds an entry of his, whichever cursor leads there."""
    failures = []
    cursors = [api.get(f"/v1/customers/{pair['his']}{each}", limit=1).get("next") for each in ("/timeline", "/audit")]
    cursors += [
        api.get("/v1/receipts", limit=1, connection=pair["chat"])["next"],
        api.get("/v1/connections", limit=1)["next"],
    ]
    for cursor in filter(None, cursors):
        for path in ("/timeline", "/audit", "/possible", "/sync"):
            answer = api.send("GET", f"/v1/customers/{pair['mine']}{path}?next={cursor}")
            if answer.status >= 500 or nothing_of_his(answer.raw):
                failures.append(f"{path}: {answer.status}")
        answer = api.send("GET", f"/v1/receipts?connection={pair['shop']}&next={cursor}")
        listed = answer.json.get("receipts", []) if answer.status == 200 else []
        if answer.status >= 500 or any(each["connection"] != pair["shop"] for each in listed):
            failures.append(f"receipts of the shop: {answer.status}")
    assert failures == [], failures


def test_an_export_is_read_under_its_own_audience(api: Api, pair: dict[str, Any]) -> None:
    wish = {"name": "All", "consent": ["marketing"]}
    one, two = (api.call("POST", "/v1/audiences", 201, wish | {"name": name})["id"] for name in ("one", "two"))
    job = api.call("POST", f"/v1/audiences/{one}/export", 202, {})["job"]
    api.work()
    assert api.send("GET", f"/v1/audiences/{one}/exports/{job}").status == 200
    assert api.send("GET", f"/v1/audiences/{two}/exports/{job}").status == 404
    for key in (key_with("read"), key_with("integrate"), key_with("agent")):
        assert api.send("GET", f"/v1/audiences/{one}/exports/{job}", key=key).status == 403


def test_a_connections_views_show_its_own(api: Api, pair: dict[str, Any]) -> None:
    """Receipts, refusals and deliveries that name the shop are none of the chat's."""
    for connection in (pair["shop"], pair["chat"]):
        for row in api.pages("/v1/receipts", "receipts", connection=connection):
            assert row["connection"] == connection
    assert nothing_of_his(api.send("GET", f"/v1/connections/{pair['shop']}").raw) == []
    raw = json.dumps(event(1, NOW)).encode()
    assert api.send("POST", f"/hooks/{pair['shop']}/{pair['chat']}", raw, key="").status == 401


def test_who_was_erased_is_read_by_no_link(api: Api, pair: dict[str, Any]) -> None:
    link = api.call("POST", "/v1/magic-links", 201, {"customer": pair["his"]})["token"]
    assert api.send("GET", f"/v1/customers/{pair['his']}", key=link).status == 200
    api.call("POST", f"/v1/customers/{pair['his']}/erase", 202, {})
    api.work()
    for path in READS:
        answer = api.send("GET", f"/v1/customers/{pair['his']}{path}", key=link)
        assert answer.status in (404, 410) and nothing_of_his(answer.raw) == [], (path, answer.status)


def test_a_revoked_key_opens_nothing(api: Api, pair: dict[str, Any]) -> None:
    made = api.call("POST", "/v1/keys", 201, {"name": "till", "scopes": ["read"]})
    assert api.send("GET", f"/v1/customers/{pair['his']}", key=made["key"]).status == 200
    api.call("DELETE", f"/v1/keys/{made['id']}")
    for path in READS:
        assert api.send("GET", f"/v1/customers/{pair['his']}{path}", key=made["key"]).status == 401
