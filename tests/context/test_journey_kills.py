"""Whole journeys, a worker killed before or after every single storage call, and its message again.

Handover tokens, surveys and their answers, orders that others name, a landline of two and an agent's
link and its undoing: what people see must be what a worker leaves that nobody kills.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from chalicelib.context import conversations, decisions, handover, overview, people, record, resolve, timeline
from chalicelib.context.decisions import Said
from chalicelib.context.graph import LINK, Rules
from chalicelib.context.timeline import Wanted
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import events, secrets
from chalicelib.store.organisation import Organisation
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

ORDERS = int(os.environ.get("DRAAD_KILLED_ORDERS", "2"))
CHAT, MAIL, WA, PHONE, SHOP, TILL, DESK = "chat", "mail", "wa", "phone", "shop", "till", "desk"
Step = Callable[[Any], None]


@pytest.fixture(autouse=True)
def _still() -> Iterator[None]:
    with replaced((secrets, "pepper", lambda: b"pepper"), (resolve, "_back_off", lambda number: None)):
        yield


def who(text: str, assurance: int = 2) -> Identity:
    kind, _, value = text.partition(":")
    scope, slash, last = value.partition("/")
    return Identity(kind, last if slash else value, scope if slash else "", assurance)


def step(connection: str, name: str, at: str, *whose: Identity, refs: Sequence[Ref] = (), **more: Any) -> Step:
    """An event that one worker records."""
    refs = tuple(refs) or (Ref("event", name, connection),)
    plain = Event(
        type="message", channel="webchat", object=name, occurred_at=f"2026-{at}:00.000Z", identities=whose, refs=refs
    )
    event = stamp(msgspec.structs.replace(plain, **more), connection, "generic")

    def take(table: Any) -> None:
        record.record(table, event, f"receipt {event.id}", Organisation())

    return take


def thread(value: str, connection: str) -> Ref:
    return Ref("thread", value, connection)


def order(value: str, *, typed: bool = False) -> Ref:
    return Ref("order", value, SHOP, typed)


def tokens(table: Any, *channels: str) -> list[str]:
    """Handed out before anything happens, the same for every table."""
    names = iter(f"{channel}{n}".encode().ljust(10, b"x")[:10] for n, channel in enumerate(channels))
    with replaced((handover.random, "token_bytes", lambda size: next(names))):
        return [
            handover.mint(table, thread("ch-1", CHAT), channel, "2027-01-01T00:00:00.000Z", "key", {}).token
            for channel in channels
        ]


def sweater(table: Any) -> list[Step]:
    one, two = tokens(table, "email", "whatsapp")
    jan, mobile = who("email:jan@example.nl"), who("phone:+31612345678")
    survey, receipt = Ref("survey", "sv-1", TILL), Ref("receipt", "R-77", TILL)
    web = who("web:tc/a-71")
    return [
        step(CHAT, "v", "09-01T09:00", web, type="visit", channel="web"),
        step(CHAT, "m-1", "09-01T09:05", web, who("email:jan@example.nl", 1), refs=[thread("ch-1", CHAT)], text="Afgeprijsd?"),
        step(MAIL, "m2", "09-01T10:10", jan, type="email", channel="email", text="Per mail", refs=[thread("m2", MAIL), Ref("token", one)]),
        step(WA, "A", "09-01T12:00", who("whatsapp:b/NL.881"), mobile, channel="whatsapp", refs=[thread("w", WA), Ref("token", two)]),
        step(PHONE, "CA5", "09-02T08:30", mobile, type="call", channel="voice", refs=[thread("CA5", PHONE)]),
        step(SHOP, "6001", "09-02T18:15", who("shop:tc/900"), jan, type="order", channel="web", refs=[order("6001")], fields={"name": "Jan"}),
        step(TILL, "R-77", "09-05T12:02", type="return", channel="store", refs=[receipt, order("6001")]),
        step(TILL, "sv-1", "09-05T13:05", mobile, type="satisfaction", channel="sms", direction="out", address="phone:+31612345678",
             refs=[survey, receipt], details={"scale": [0, 10]}),
        step(PHONE, "SM8", "09-05T13:10", mobile, channel="sms", text="9", address="phone:+31612345678", refs=[thread("sms", PHONE)]),
    ]  # fmt: skip


def household(table: Any) -> list[Step]:
    landline, baker = who("phone:+31201230000"), who("email:info@bakker.example")
    return [
        step(SHOP, "8001", "09-01T08:00", who("shop:tc/910"), who("email:anna@example.nl"), landline, type="order", refs=[order("8001")]),
        step(SHOP, "8002", "09-02T08:00", who("shop:tc/911"), who("email:piet@example.nl"), landline, type="order", refs=[order("8002")]),
        step(PHONE, "E3", "09-03T08:30", landline, type="call", channel="voice", refs=[thread("E3", PHONE)]),
        step(PHONE, "E4", "09-03T09:30", landline, type="call", channel="voice", refs=[thread("E4", PHONE), order("8002", typed=True)]),
        step(MAIL, "E5", "09-04T10:00", baker, type="email", channel="email", refs=[thread("E5", MAIL), order("8003", typed=True)]),
        step(SHOP, "8003", "09-05T08:00", who("shop:tc/912"), baker, type="order", refs=[order("8003")]),
        step(SHOP, "8004", "09-06T08:00", who("shop:tc/913"), baker, type="order", refs=[order("8004")]),
        step(PHONE, "E8", "09-07T09:30", type="call", channel="voice", refs=[thread("E8", PHONE)]),
    ]  # fmt: skip


def namesakes(table: Any) -> list[Step]:
    phone, card, shop = who("phone:+31640000001"), who("loyalty:tc/L-9"), who("shop:tc/941")
    return [
        step(SHOP, "8300", "09-01T08:00", who("shop:tc/940"), phone, type="order", refs=[order("8300")]),
        step(WA, "w", "09-02T08:00", who("whatsapp:b/NL.40"), phone, channel="whatsapp"),
        step(SHOP, "8301", "09-04T08:00", shop, who("email:ahmad@example.nl"), type="order", refs=[order("8301")]),
        step(TILL, "RA", "09-05T08:00", card, shop, type="payment", channel="store"),
        step(TILL, "RB", "09-09T08:00", card, type="payment", channel="store"),
    ]  # fmt: skip


def collect(table: Any) -> list[Step]:
    phone, survey = who("phone:+31660000001"), Ref("survey", "sv-10", TILL)
    sms = {"channel": "sms", "address": "phone:+31660000001"}
    night = [thread("sms-1025", PHONE)]
    return [
        step(SHOP, "8500", "10-25T00:40", who("shop:tc/960"), phone, type="order", version="ready", refs=[order("8500")]),
        step(SHOP, "8500", "10-24T23:10", who("shop:tc/960"), phone, type="order", version="created", refs=[order("8500")]),
        step(PHONE, "E4", "10-25T00:30", phone, direction="out", refs=night, **sms),
        step(PHONE, "E5", "10-25T01:30", phone, text="STATUS", refs=night, **sms),
        step(TILL, "E6", "10-25T09:05", type="fulfilment", channel="store", refs=[order("8500")]),
        step(TILL, "E7", "10-25T09:30", phone, type="satisfaction", direction="out", refs=[survey, order("8500")], details={"scale": [1, 5]}, **sms),
        step(PHONE, "E8", "10-25T09:40", phone, text="2", refs=night, **sms),
        step(PHONE, "E9", "10-25T09:41", phone, text="1", refs=night, **sms),
        step(DESK, "E10", "10-25T09:45", type="ticket", channel="desk", actor="system", refs=[Ref("case", "7", DESK), order("8500")]),
        step(PHONE, "E11", "10-25T11:00", phone, type="call", channel="voice", direction="out", actor="agent", refs=[thread("CE", PHONE)]),
    ]  # fmt: skip


JOURNEYS = {"sweater": sweater, "household": household, "namesakes": namesakes, "collect": collect}


def shown(table: MemoryTable) -> dict[str, Any]:
    """What an agent sees of every customer, by his identities; and how many events wait."""
    nodes = {
        key[0][2:] for key in table.rows if key[0][:2] == "N#" and key[1] == "-" and "own" in (table.peek(key) or {})
    }
    found: dict[str, Any] = {}
    for node in sorted(nodes):
        if person := people.of_node(table, Rules(), node):
            found[" ".join(sorted(f"{each.text}({each.assurance})" for each in person.customer.identities))] = _seen(
                table, person
            )
    waiting = [item for item in map(table.peek, table.rows) if item and item.get("gpk", "").startswith("WAIT#")]
    return found | {"waiting": sorted(item["sk"] for item in waiting)}


def _seen(table: MemoryTable, person: Any) -> dict[str, Any]:
    items = timeline.page(table, person.nodes, Wanted(limit=100)).items
    names = conversations.named(table, items)
    entries = [
        overview.Entry(events.from_item(item), item["pk"][2:], names.get(item.get("th", ""), "")) for item in items
    ]
    groups: dict[str, list[str]] = {}
    for entry in entries:
        groups.setdefault(entry.conversation or entry.event.id, []).append(entry.event.occurred_at)
    told = overview.told(entries, person.customer.preferred_channel)
    return {
        "groups": sorted(map(sorted, groups.values())),
        "preferred": told["preferred_channel"],
        "question": told["open_question"],
        "switches": sorted((each["at"], each["to"]) for talk in told["conversations"] for each in talk["switches"]),
        "satisfaction": person.customer.satisfaction,
        "fields": {name: field.value for name, field in person.customer.fields.items()},
        "shared": len(person.shared),
    }


def played(journey: Callable[[Any], list[Step]], turns: Sequence[int] | None = None) -> dict[str, Any]:
    table = MemoryTable()
    steps = journey(table)
    for number in turns or range(len(steps)):
        steps[number](table)
    return shown(table)


def killed_at(journey: Callable[[Any], list[Step]], turns: Sequence[int], call: int, after: bool) -> tuple[bool, Any]:
    table = MemoryTable()
    steps, faulty, killed = journey(table), FaultTable(table, call, after), False
    for number in turns:
        try:
            steps[number](faulty)
        except Killed:
            killed = True
            steps[number](table)
    return killed, shown(table)


@pytest.mark.parametrize("name", JOURNEYS)
@pytest.mark.parametrize("seed", range(ORDERS))
def test_killed_at_every_storage_call(name: str, seed: int) -> None:
    journey = JOURNEYS[name]
    expected, count = played(journey), len(journey(MemoryTable()))
    turns = list(range(count)) if seed == 0 else random.Random(seed).sample(range(count), count)
    assert played(journey, [*turns, *turns]) == expected
    call, going = 1, True
    while going:
        for after in (False, True):
            going, found = killed_at(journey, turns, call, after)
            assert found == expected, (turns, call, after)
        call += 1
    assert call > 30


@pytest.mark.parametrize("name", JOURNEYS)
def test_fifty_orders(name: str) -> None:
    journey = JOURNEYS[name]
    expected, count = played(journey), len(journey(MemoryTable()))
    for seed in range(50):
        turns = random.Random(seed).sample(range(count), count)
        assert played(journey, turns) == expected, turns


def test_the_sweater_is_one_customer_with_one_conversation_over_three_channels() -> None:
    found = played(sweater)
    (texts,) = (each for each in found if each != "waiting")
    assert found[texts]["preferred"] == "voice" and found[texts]["satisfaction"]["store"]["score"] == 90
    assert [to for _, to in found[texts]["switches"]][:2] == ["email", "whatsapp"]
    assert "email:jan@example.nl(3)" in texts and "shop:tc/900(2)" in texts


def test_a_wrong_link_killed_at_every_call_is_taken_back_exactly() -> None:
    card, phone = who("loyalty:tc/L-9", 1), who("phone:+31640000001", 1)
    expected = played(namesakes)

    def decided(table: Any) -> None:
        made = decisions.on_identities(table, Rules(), card, phone, Said(LINK, "key", "his"))
        decisions.undo(table, LINK, made.id, Rules(), "key", "not his")

    call, killed = 1, True
    while killed:
        for after in (False, True):
            table, killed = MemoryTable(), False
            for take in namesakes(table):
                take(table)
            try:
                decided(FaultTable(table, call, after))
            except Killed:
                killed = True
                decided(table)
            assert shown(table) == expected, (call, after)
        call += 1


@pytest.mark.nightly
@pytest.mark.parametrize("name", JOURNEYS)
@pytest.mark.parametrize("seed", range(2, 50))
def test_killed_at_every_storage_call_in_many_orders(name: str, seed: int) -> None:
    test_killed_at_every_storage_call(name, seed)
