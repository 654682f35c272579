"""Cases of the stats: what it costs to count an hour once more, and to read what was counted of a week."""

from __future__ import annotations

from collections.abc import Iterable

from bench.cases import Budget, Case, must
from bench.looks import Reader
from bench.meter import Bill
from bench.stage import START, World, put_straight
from chalicelib.model import instants, tally
from chalicelib.model.event import Event, stamp
from chalicelib.store import jobs, organisation, receipts, stats
from chalicelib.store.stats import DAY_HOURS, IN
from chalicelib.store.table import Item
from chalicelib.workers import stats as counting

BODY = b"\xaa" * 600
"""Packed, of a typical webhook."""
RECEIPTS, CONNECTIONS, DAYS = 100, 10, 7


def _receipts(world: World, hour: int, count: int) -> Iterable[Item]:
    for number in range(count):
        at = instants.from_ms(hour * stats.HOUR_MS + number * (stats.HOUR_MS // count))
        told = Event(type="message", channel="webchat", object=f"{hour}-{number}", occurred_at=at)
        produced = receipts.produced_of(
            stamp(told, world.source.id, world.source.provider), "N#" + "n" * 26, "accepted"
        )
        yield receipts.item_of(
            arrival_id=f"arr-{hour}-{number:03d}",
            connection=world.source.id,
            received_at=at,
            packed=BODY,
            verdict="accepted",
            produced=(produced,),
        )


def recounted(world: World, entries: int) -> Bill:
    """An hour of a hundred receipts; the day has as many others as there are entries."""
    hour = stats.hour_of(START)
    put_straight(_receipts(world, hour, RECEIPTS))
    put_straight(each for number in range(10) for each in _receipts(world, hour + 1 + number, max(1, entries // 10)))
    params = {"connections": [world.source.id], "spans": [[IN, hour, hour]], "mark": []}
    job = jobs.Job(id="job_bench", kind=counting.RECOUNT, params=params, created_at=stats.start(hour + 2))
    organisation.read(world.table)
    with world.metered() as meter:
        counting.run(world.table, job)
    counts = [each.counts for each in stats.between(world.table, hour, hour)]
    must(sum(tally.added(counts).events.values()) == RECEIPTS, "a hundred events were counted")
    return meter.bill


def read(world: World, entries: int) -> Bill:
    """Seven days of ten connections that were busy in every hour, each by three channels; no history matters."""
    now = stats.this_hour()
    counts = tally.of_events((channel, "message", "in") for channel in ("webchat", "whatsapp", "email"))
    first = (now // DAY_HOURS - DAYS + 1) * DAY_HOURS
    for connection in range(CONNECTIONS):
        for hour in range(first, now - 1):
            stats.keep(world.table, f"con_{connection}", hour, IN, counts)
    bill, answer = Reader(world).get("/v1/stats", {}, {"by": "day,channel"})
    must(sum(each["events"] for each in answer["groups"]) == 3 * CONNECTIONS * (now - 1 - first), "all were read")
    return bill


COUNTED = (
    Case(f"stats: an hour of {RECEIPTS} receipts counted", recounted, Budget(1, 30, 5)),
    Case(f"stats: a week of {CONNECTIONS} connections read", read, Budget(None, requests=16)),
)
