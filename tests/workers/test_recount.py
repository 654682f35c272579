"""Counting by the clock: what is counted twice counts once, and a worker that dies anywhere leaves nothing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from chalicelib.context.record import record
from chalicelib.model import instants, tally
from chalicelib.model.connection import Connection
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import A2_ATTESTED, Identity
from chalicelib.model.tally import Tally
from chalicelib.store import connections, deliveries, jobs, queues, receipts, stats
from chalicelib.store.deliveries import ACTIVITY, CONTACT, Attempt, Duty
from chalicelib.store.organisation import Organisation
from chalicelib.store.stats import IN, OUT, TALK
from chalicelib.store.table import Item, Key, Put, Table
from chalicelib.workers import jobs as worker
from chalicelib.workers import stats as counting
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

DAY = "2026-11-20T"
SHOP = Connection(id="con_shop", provider="generic", created_at=f"{DAY}00:00:00.000Z")
PARTNER = Connection(id="con_partner", provider="webhook", created_at=f"{DAY}00:00:00.000Z")
VISITOR = Identity("web", "a-1", "tc", A2_ATTESTED)
MOBILE = Identity("phone", "+31612345678", "", A2_ATTESTED)
CHAT = (Ref("thread", "ch-1"),)


@contextmanager
def clock(text: str) -> Iterator[None]:
    now = instants.to_ms(text)
    with replaced((instants, "now_ms", lambda: now), (counting, "now_seconds", lambda: now // 1000)):
        yield


@pytest.fixture(autouse=True)
def small_pages(memory_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages to an hour, several messages to a pass, and a clock that alone begins them."""
    for name, size in (("PAGE", 2), ("PAGE_OF_TALK", 2), ("EVENTS_OF_TALK", 1), ("ROWS", 3)):
        monkeypatch.setattr(counting, name, size)
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)


def told(number: int, minute: str, channel: str, who: Identity | None, **more: Any) -> Event:
    given = {"type": "message", "channel": channel, "object": f"m{number}", "occurred_at": f"{DAY}{minute}:00.000Z"}
    said = {"text": f"vraag {number}", "refs": CHAT, "identities": (who,) if who else ()}
    made = Event(**given | said | more)
    return stamp(made, SHOP.id, "generic")


def arrive(table: Table, at: str, *events: Event) -> None:
    """A webhook that came then, with all that it became."""
    mark = f"{DAY}{at}:00.000Z#arr-{at}"
    outcomes = [record(table, event, mark, Organisation()) for event in events]
    produced = [
        receipts.produced_of(event, each.pk, each.verdict) for event, each in zip(events, outcomes, strict=True)
    ]
    item = receipts.item_of(
        arrival_id=f"arr-{at}",
        connection=SHOP.id,
        received_at=f"{DAY}{at}:00.000Z",
        packed=b"body",
        verdict="accepted",
        produced=tuple(produced),
    )
    table.write(Put(item))


def take(table: Table, event: Event, ms: int, count: int = 1, kind: str = ACTIVITY) -> None:
    """The partner has it, after so many attempts."""
    duty = Duty(PARTNER.id, kind, "node", f"E#{event.occurred_at}#{event.id}")
    deliveries.delivered(table, duty, Attempt(count, event.occurred_at, event.occurred_at, ms), "", "x")


def world() -> MemoryTable:
    """A chat from nine o'clock on, that an agent answers and that goes on in WhatsApp; an order that is told late."""
    table = MemoryTable()
    deliveries._marked.clear()
    with clock(f"{DAY}08:00:00.000Z"):
        assert connections.save(table, SHOP) and connections.save(table, PARTNER)
        chat = [
            told(1, "09:01", "webchat", VISITOR),
            told(2, "09:05", "webchat", None, direction="out", actor="agent"),
            told(3, "09:20", "whatsapp", MOBILE),
        ]
        arrive(table, "09:02", chat[0])
        arrive(table, "09:06", chat[1], chat[0])
        arrive(table, "09:21", chat[2])
        arrive(table, "09:22", told(4, "09:22", "sms", MOBILE, refs=()))
        scored = {"score": 8, "scale": [0, 10], "subject_channel": "whatsapp"}
        arrive(table, "10:30", told(5, "10:29", "sms", MOBILE, type="satisfaction", refs=(), details=scored))
        late = told(6, "03:15", "web", MOBILE, type="order", refs=())
        arrive(table, "10:45", late)
        for number, event in enumerate([*chat, late]):
            take(table, event, 40 * (number + 1), number + 1)
    return table


def finish(table: Table, *, through: Table | None = None) -> None:
    for job in jobs.newest(table, jobs.RUNNING, "", 20):
        while (found := jobs.get(table, job.id)) and found.status == jobs.RUNNING:
            worker.run(through or table, job.id)


def kept(table: MemoryTable) -> dict[Key, Item]:
    return {key: item for key in table.rows if key[0].startswith("STAT#") and (item := table.peek(key))}


def counts(table: Table, connection: str, part: str) -> dict[int, Tally]:
    first = stats.hour_of(f"{DAY}00:00:00.000Z")
    found = stats.between(table, first, first + 47)
    return {each.hour - first: each.counts for each in found if (each.connection, each.part) == (connection, part)}


def count_all(table: MemoryTable, *clocks: str) -> None:
    for text in clocks:
        with clock(text):
            counting.start_due(table, connections.everyone(table))
            finish(table)


PASSES = (f"{DAY}10:06:00.000Z", f"{DAY}11:05:30.000Z", "2026-11-21T02:06:00.000Z")
"""After the first hour, after the second, and after the night."""
NEXT = "2026-11-21T03:05:30.000Z"


def test_an_hour_is_counted_when_it_is_over_and_what_is_told_twice_counts_once() -> None:
    table = world()
    count_all(table, PASSES[0])
    assert counts(table, SHOP.id, IN)[9].events == {
        "sms|message|in": 1,
        "webchat|message|in": 1,
        "webchat|message|out": 1,
        "whatsapp|message|in": 1,
    }
    assert 10 not in counts(table, SHOP.id, IN), "this hour is not over"
    count_all(table, *PASSES[1:])
    told = counts(table, SHOP.id, IN)[10]
    assert told.events == {"sms|satisfaction|in": 1, "web|order|in": 1}
    assert (told.answers, told.scores) == ({"whatsapp": 1}, {"whatsapp": 80})


def test_by_night_switches_and_first_answers_are_counted() -> None:
    table = world()
    count_all(table, *PASSES[:2])
    assert counts(table, SHOP.id, TALK) == {}
    count_all(table, PASSES[2])
    (found,) = counts(table, SHOP.id, TALK).values()
    assert found.switches == {"webchat|whatsapp": 1}
    assert found == tally.of_talk([("webchat", "whatsapp")], [240])


def test_deliveries_lie_in_the_hour_of_their_event_and_late_ones_are_counted_again() -> None:
    table = world()
    stats.mark(table, stats.hour_of(f"{DAY}09:00:00.000Z"), 10**6)
    count_all(table, PASSES[0])
    (nine,) = counts(table, PARTNER.id, OUT).values()
    assert nine == tally.of_deliveries([("delivered", 1, 40), ("delivered", 2, 80), ("delivered", 3, 120)])
    count_all(table, PASSES[1])
    assert counts(table, PARTNER.id, OUT)[3] == tally.of_deliveries([("delivered", 4, 160)]), (
        "told at a quarter to eleven"
    )


def test_what_is_about_a_customer_and_no_event_is_no_delivery_of_an_hour() -> None:
    table = world()
    with clock(f"{DAY}09:30:00.000Z"):
        take(table, told(9, "09:30", "sms", MOBILE), 10, kind="move")
        duty = Duty(PARTNER.id, CONTACT, "node", f"{instants.now_ms()}aaaa")
        deliveries.parked(table, duty, Attempt(9, instants.now(), instants.now()))
    count_all(table, PASSES[0])
    assert counts(table, PARTNER.id, OUT)[9].attempts == {"delivered": 3, "failed_attempts": 3}


def test_counting_again_changes_nothing_and_what_was_not_told_is_taken_back() -> None:
    table = world()
    count_all(table, *PASSES)
    before = kept(table)
    with clock(PASSES[2]):
        hours = stats.hour_of(f"{DAY}00:00:00.000Z"), stats.hour_of(f"{DAY}12:00:00.000Z")
        counting.begin(table, connections.everyone(table), [(part, *hours) for part in stats.PARTS])
        finish(table)
    assert kept(table) == before
    key = receipts.key_of(SHOP.id, f"{DAY}10:45:00.000Z", "arr-10:45")
    receipts.blank(table, key)
    with clock(PASSES[2]):
        counting.begin(table, connections.everyone(table), [(IN, *hours)])
        finish(table)
    assert counts(table, SHOP.id, IN)[10].events == {"sms|satisfaction|in": 1}, "an erased receipt tells nothing more"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_that_dies_at_any_call_leaves_nothing_wrong(after: bool) -> None:
    """In a night's pass, which makes up for the hours before it."""
    table = world()
    count_all(table, PASSES[0])
    base, kills = dict(table.rows), 0
    count_all(table, PASSES[2], NEXT)
    wanted = kept(table)
    while True:
        table.rows = dict(base)
        dying = FaultTable(table, kills + 1, after)
        try:
            with clock(PASSES[2]):
                counting.start_due(dying, connections.everyone(table))
                finish(table, through=dying)
        except Killed:
            kills += 1
        else:
            break
        with clock(PASSES[2]):
            finish(table)
        count_all(table, NEXT)
        assert kept(table) == wanted, f"killed at call {kills}"
    assert kills > 80 and {key[1] for key in wanted} == {
        "con_shop#09",
        "con_shop#10",
        "con_partner#03",
        "con_partner#09",
    }


def test_the_clock_begins_one_pass_an_hour_and_makes_up_for_those_that_were_missed() -> None:
    table = world()
    everyone = connections.everyone(table)
    with clock(PASSES[0]):
        assert counting.start_due(table, []) == 0, "nobody is there"
        assert [counting.start_due(table, everyone) for _ in range(3)] == [1, 0, 0]
        finish(table)
        assert stats.counted(table)[0] == stats.hour_of(f"{DAY}10:00:00.000Z")
    with clock(f"{DAY}11:04:59.000Z"):
        assert counting.start_due(table, everyone) == 0
    with clock(f"{DAY}11:05:00.000Z"):
        assert counting.start_due(table, everyone) == 1, "and this job is never run"
    with clock(f"{DAY}12:05:00.000Z"):
        assert counting.start_due(table, everyone) == 0, "it may still run"
    count_all(table, f"{DAY}18:05:00.000Z")
    assert 10 in counts(table, SHOP.id, IN)


def test_the_hours_of_all_passes_since_the_last_one_each_once() -> None:
    hour = stats.hour_of(f"{DAY}10:00:00.000Z")
    assert counting._spans(hour - 1, hour, 10**6) == [
        (IN, hour - 23, hour - 23),
        (IN, hour - 2, hour - 1),
        (OUT, hour - 96, hour - 96),
        (OUT, hour - 23, hour - 23),
        (OUT, hour - 2, hour - 1),
    ]
    assert counting._spans(hour - 30, hour, 10**6)[0] == (IN, hour - 52, hour - 1)
    assert counting._spans(hour, hour, 10**6) == []
    day = hour // 24
    assert counting._spans(hour, hour, 0) == [(TALK, (day - 7) * 24, day * 24 - 1)]


def test_receipts_that_are_read_anew_after_their_last_pass_are_counted_again() -> None:
    table = world()
    count_all(table, *PASSES)
    with clock("2026-11-22T12:00:00.000Z"):
        key = receipts.key_of(SHOP.id, f"{DAY}09:22:00.000Z", "arr-09:22")
        item = table.peek(key)
        assert item
        fresh = receipts.produced_of(told(7, "09:22", "fax", MOBILE, type="fax", refs=()), "", "accepted")
        with replaced((worker, "_replay_one", lambda table, *key: replayed(table, item, fresh))):
            job = jobs.start(table, "replay", {"receipts": [key]})
            worker.run(table, job.id)
        finish(table)
    assert counts(table, SHOP.id, IN)[9].events["fax|fax|in"] == 1


def replayed(table: Table, item: Item, *produced: receipts.Produced) -> str:
    table.write(Put(item | {"evs": msgspec.msgpack.encode(produced)}))
    return ""


def test_todays_receipts_are_counted_by_the_next_pass_anyway() -> None:
    table = world()
    with clock(f"{DAY}12:00:00.000Z"):
        counting.again(table, SHOP.id, f"{DAY}09:00:00.000Z", f"{DAY}10:00:00.000Z")
    assert jobs.newest(table, "", "", 10) == []
