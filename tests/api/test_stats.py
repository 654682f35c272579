"""GET /v1/stats: what came is counted as it was told, by whatever it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chalicelib.api import stats as view
from chalicelib.model import instants
from chalicelib.store import connections, deliveries, stats
from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty
from chalicelib.workers import stats as counting
from tests.api.client import Api, event, key_with, person
from tests.schedule import replaced

VISITOR, MOBILE = person("web", "a-1", scope="tc"), person("phone", "+31612345678")
CHAT = [{"kind": "thread", "value": "ch-1"}]
MAPPING: dict[str, Any] = {
    "type": "type",
    "channel": "channel",
    "direction": "direction",
    "actor": "actor",
    "object": "id",
    "occurred_at": "at",
    "text": "text",
    "identities": "people",
    "refs": "refs",
    "details": "details",
}
NINE, TEN, NIGHT = "2026-11-20T09:30:00.000Z", "2026-11-20T10:06:00.000Z", "2026-11-21T02:06:00.000Z"
EMPTY = {"groups": [], "satisfaction": [], "switches": [], "deliveries": []}


@contextmanager
def clock(text: str) -> Iterator[None]:
    now = instants.to_ms(text)
    with replaced((instants, "now_ms", lambda: now), (counting, "now_seconds", lambda: now // 1000)):
        yield


def told(number: int, at: str, *people: dict[str, str], **more: Any) -> dict[str, Any]:
    return event(number, f"2026-11-20T{at}:00.000Z", *people, **{"direction": "in", "actor": "customer"} | more)


@pytest.fixture
def shop(api: Api) -> str:
    """Half past nine: a chat, its answer, WhatsApp, and what they thought of it."""
    with clock(NINE):
        made: str = api.connect(mapping=MAPPING)["id"]
        chat = told(1, "09:01", VISITOR, refs=CHAT)
        scored = {"details": {"score": 4, "scale": [1, 5], "subject_channel": "whatsapp"}}
        api.record(
            made,
            chat,
            chat,
            told(2, "09:05", refs=CHAT, direction="out", actor="agent"),
            told(3, "09:20", MOBILE, refs=CHAT, channel="whatsapp"),
            told(4, "09:21", MOBILE, type="satisfaction", channel="sms", **scored),
            told(5, "09:22", MOBILE, type="order", channel="web"),
        )
    return made


def counted(api: Api, *clocks: str) -> None:
    for text in clocks:
        with clock(text):
            counting.start_due(api.table, connections.everyone(api.table))
            api.work()


def seen(api: Api, at: str, **params: Any) -> Any:
    with clock(at):
        return api.get("/v1/stats", **params)


def numbers(found: Any, *by: str) -> dict[tuple[str, ...], int]:
    return {tuple(group[each] for each in by): group["events"] for group in found["groups"]}


def test_the_hour_that_runs_is_counted_while_you_wait(api: Api, shop: str) -> None:
    found = seen(api, NINE, by="channel")
    by_channel = {("sms",): 1, ("web",): 1, ("webchat",): 2, ("whatsapp",): 1}
    assert numbers(found, "channel") == by_channel, "the chat was told twice"
    assert found["groups"][2] == {"channel": "webchat", "events": 2, "in": 1, "out": 1}
    assert found["satisfaction"] == [{"channel": "whatsapp", "answers": 1, "average": 75.0}]
    assert (found["switches"], found["first_response"]["count"]) == ([], 0), "that is looked at by night"
    assert found["complete"] is False and found["computed_at"] == NINE, "no pass was ever made here"


def test_counted_by_the_clock_it_says_the_same(api: Api, shop: str) -> None:
    live = seen(api, NINE, by="channel")
    counted(api, TEN)
    later = seen(api, TEN, by="channel")
    assert later["complete"] is True
    assert {name: later[name] for name in ("groups", "satisfaction")} == {
        name: live[name] for name in ("groups", "satisfaction")
    }
    counted(api, NIGHT)
    found = seen(api, NIGHT)
    assert found["switches"] == [{"from": "webchat", "to": "whatsapp", "count": 1}]
    assert found["first_response"]["count"] == 1
    assert abs(found["first_response"]["p50_seconds"] / 240 - 1) < 0.1
    assert found["groups"] == [{"events": 5, "in": 4, "out": 1}]


@pytest.mark.parametrize("by", ["type", "connection", "day", "channel,type", "day,connection,type,channel"])
def test_groups_are_by_any_of_them_and_always_add_up(api: Api, shop: str, by: str) -> None:
    counted(api, TEN)
    found = seen(api, TEN, by=by)
    names = by.split(",")
    assert found["by"] == names and sum(numbers(found, *names).values()) == 5
    assert all(set(group) == {*names, "events", "in", "out"} for group in found["groups"])
    if "connection" in names:
        assert {group["connection"] for group in found["groups"]} == {shop}
        assert found["connections"] == [{"id": shop, "name": "shop"}]
    if "day" in names:
        assert {group["day"] for group in found["groups"]} == {"2026-11-20"}


def test_only_what_lies_in_between(api: Api, shop: str) -> None:
    counted(api, TEN)
    for inside in (
        {"from": "2026-11-20", "to": "2026-11-20"},
        {"from": "2026-11-20T09:00:00Z", "to": "2026-11-20T10:00:00Z"},
        {"from": "2026-11-20T10:30:00+01:00"},
        {"to": "2026-11-21"},
    ):
        assert seen(api, NIGHT, **inside)["groups"] == [{"events": 5, "in": 4, "out": 1}], inside
    for outside in (
        {"from": "2026-11-21"},
        {"to": "2026-11-19"},
        {"from": "2026-11-20T10:00:00Z"},
        {"to": "2026-11-20T09:00:00Z"},
    ):
        found = seen(api, NIGHT, **outside)
        assert {name: found[name] for name in EMPTY} == EMPTY, outside


def test_without_dates_it_is_the_last_seven_days(api: Api, shop: str) -> None:
    found = seen(api, NINE)
    assert (found["from"], found["to"], found["by"]) == ("2026-11-14T00:00:00.000Z", NINE, [])
    assert seen(api, "2026-11-26T23:00:00.000Z", by="day")["from"] == "2026-11-20T00:00:00.000Z"


def test_what_each_destination_took_and_how_fast(api: Api, shop: str) -> None:
    asked = {"provider": "webhook", "settings": {"url": "https://x.example/"}, "name": "Partner"}
    with clock(NINE):
        made = api.call("POST", "/v1/connections", 201, asked | {"secrets": {"signing_secret": "whsec_" + "YWJj" * 8}})
        for number in range(10):
            duty = Duty(made["id"], ACTIVITY, "node", f"E#2026-11-20T09:{number:02d}:00.000Z#e{number}")
            attempt = Attempt(1 + number // 8, NINE, NINE, 100 if number < 9 else 5000)
            deliveries.delivered(api.table, duty, attempt, "", "x")
        duty = Duty(made["id"], ACTIVITY, "node", "E#2026-11-20T09:59:00.000Z#p")
        deliveries.parked(api.table, duty, Attempt(4, NINE, NINE, 30))
    live = seen(api, NINE, by="day")
    counted(api, TEN)
    found = seen(api, TEN, by="day")
    assert found["deliveries"] == live["deliveries"]
    (row,) = found["deliveries"]
    rest = {"delivered": 10, "parked": 1, "waiting": 0, "failed_attempts": 6}
    assert row | rest | {"connection": made["id"], "day": "2026-11-20"} == row
    assert abs(row["p50_ms"] / 100 - 1) < 0.1 and abs(row["p95_ms"] / 5000 - 1) < 0.1
    assert "day" not in seen(api, TEN)["deliveries"][0]


def test_a_test_event_and_what_is_not_understood_are_no_volume(api: Api, shop: str) -> None:
    with clock(NINE):
        api.post(shop, told(7, "09:25", VISITOR) | {"type": "unheard of"})
        api.work()
        answer = api.send("POST", f"/v1/connections/{shop}/test")
        assert answer.status in (200, 202), answer.raw
        api.work()
    assert seen(api, NINE)["groups"] == [{"events": 5, "in": 4, "out": 1}]


def test_an_hour_too_busy_to_be_counted_meanwhile_is_told_to_be_incomplete(api: Api, shop: str) -> None:
    counted(api, "2026-11-20T09:06:00.000Z")
    assert seen(api, NINE)["complete"] is True
    with replaced((view, "LIVE_ROWS", 2)):
        found = seen(api, NINE)
        assert found["complete"] is False and found["groups"][0]["events"] < 5
        assert seen(api, NINE, to="2026-11-19")["complete"] is True
    assert seen(api, "2026-11-20T12:30:00.000Z")["complete"] is False, "the clock stands still"


def test_all_is_counted_once_more_when_somebody_asks(api: Api, shop: str) -> None:
    with clock(NINE):
        job = api.call("POST", "/v1/stats/recount", 202, {"since": "2026-11-20"})["job"]
        api.work()
        assert api.get(f"/v1/jobs/{job}")["status"] == "done"
        found = api.get("/v1/stats", by="day")
    assert found["switches"] == [{"from": "webchat", "to": "whatsapp", "count": 1}], "of the hour that runs, too"
    assert found["groups"] == [{"day": "2026-11-20", "events": 5, "in": 4, "out": 1}], "and nothing twice"
    assert api.send("POST", "/v1/stats/recount", b'{"since": "2026-11-20"}', key=key_with("read")).status == 403


def test_nothing_in_it_is_about_anybody(api: Api, shop: str) -> None:
    counted(api, TEN, NIGHT)
    first = stats.hour_of(NINE)
    days = [api.table.query(f"STAT#{stats.day_of(first)}").items]
    shown = repr([item for day in days for item in day]) + repr(seen(api, NIGHT, by="day,type,channel,connection"))
    assert "webchat" in shown
    for personal in ("a-1", "31612345678", "message 1", "ch-1"):
        assert personal not in shown


def test_who_may_ask(api: Api) -> None:
    for scope, status in (("read", 200), ("agent", 200), ("admin", 200), ("integrate", 403), ("audience", 403)):
        assert api.send("GET", "/v1/stats", key=key_with(scope)).status == status, scope
    assert api.send("GET", "/v1/stats", key="").status == 401


WRONG = {
    "by=hour": "/by",
    "by=day,channel,who": "/by",
    "from=yesterday": "/from",
    "to=2026-13-01": "/to",
    "from=2026-11-20&to=2026-11-19": "/from",
    "from=2025-01-01&to=2026-11-20": "/from",
    "from=2999-01-01": "/from",
}


@pytest.mark.parametrize("query", WRONG)
def test_a_wrong_question_is_named(api: Api, query: str) -> None:
    assert api.refused("GET", f"/v1/stats?{query}") == [WRONG[query]]


def test_four_hundred_days_are_the_most(api: Api) -> None:
    with clock(NINE):
        assert api.get("/v1/stats", **{"from": "2025-10-17", "to": "2026-11-20"})["groups"] == []
        assert api.refused("GET", "/v1/stats?from=2025-10-16&to=2026-11-20") == ["/from"]
        assert api.refused("POST", "/v1/stats/recount", {"since": "2025-10-15"}) == ["/since"]
        assert api.refused("POST", "/v1/stats/recount", {"since": "2026-11-21"}) == ["/since"]
        assert api.refused("POST", "/v1/stats/recount", {}) == ["/since"]
