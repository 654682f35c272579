"""Stats are counted anew by the clock, never added to: a page of receipts, or of deliveries, at a time.

Five minutes after each hour the hour before is counted, the one before that once more, and the one that began 23 hours
ago for good, while even receipts that are kept for a day are all there; what was delivered of its events once more
after four days, when the last retry is done. Every night, of the day before, what needs whole conversations: channel
switches, first answers, answers that were texted.

A pass is a job, and what was counted is marked when it ends: whatever a killed worker left undone is done again, by
this job or by the next one. An event that is told late lies in the hour of its receipt; for what it makes of
deliveries, the hour in which it happened is counted again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from chalicelib import destinations, sources
from chalicelib.context import talk
from chalicelib.model import tally
from chalicelib.model.connection import Connection
from chalicelib.model.event import digest
from chalicelib.model.tally import Tally
from chalicelib.settings import settings
from chalicelib.store import connections, deliveries, jobs, organisation, stats
from chalicelib.store.jobs import Job, Turn
from chalicelib.store.stats import DAY_HOURS, HOUR_MS, IN, OUT, TALK
from chalicelib.store.table import Key, Page, Table, now_seconds
from chalicelib.workers.context import kept_days
from chalicelib.workers.rounds import Round

RECOUNT = "recount"
ROUND: Key = ("ORG", "stats")
AFTER_SECONDS = 300
"""How long after its end an hour is counted first."""
FINAL = 23
AGAIN = ((IN, (1, 2, FINAL)), (OUT, (1, 2, FINAL, 4 * DAY_HOURS)))
"""In which passes an hour is counted: how many hours after it began."""
NIGHT_HOUR, MOST_NIGHTS = 2, 7
PAGE, PAGE_OF_TALK, EVENTS_OF_TALK = 500, 25, 100
BUDGET, ROWS = 10.0, 2000
"""Seconds, and rows, after which a message leaves the rest to the next one."""
MOST_LATE = 500
"""Hours, of events told late, whose deliveries one pass counts again."""
Span = tuple[str, int, int]
"""Part, first hour, last hour."""


class Unit(NamedTuple):
    """What is counted in one go, though perhaps over several pages."""

    part: str
    connection: str
    hour: int


def start_due(table: Table, everyone: Sequence[Connection]) -> int:
    """Passes that were begun. Without any connection there is nothing to count, and nothing to catch up with."""
    if not everyone:
        return 0
    found = table.batch_get([ROUND, stats.COUNTED])
    turn = Round(ROUND, found.get(ROUND), now_seconds())
    if not turn.free(table):
        return 0
    hour = (turn.now - AFTER_SECONDS) * 1000 // HOUR_MS
    until, night = stats.marks(found.get(stats.COUNTED))
    spans, today = _spans(until, hour, night), _night(hour)
    job = f"job_{digest(RECOUNT, str(turn.now))}"
    left = (hour + 1) * HOUR_MS // 1000 + AFTER_SECONDS - turn.now
    if not turn.claim(table, job, left, full=True):
        return 0
    begin(table, everyone, spans, id=job, mark=[hour, today], kept=jobs.SHORT_SECONDS)
    return 1


def _night(hour: int) -> int:
    """The day before which everything can be counted by night."""
    return (hour - NIGHT_HOUR) // DAY_HOURS


def _spans(until: int, hour: int, night: int) -> list[Span]:
    """What the passes since the last finished one have to count. `hour`: the one that runs now."""
    last = max(until, hour - settings().receipt_retention_days * DAY_HOURS)
    found = [(part, *span) for part, ages in AGAIN for span in _merged(last, hour, ages)]
    today = _night(hour)
    begun = max(night, today - MOST_NIGHTS)
    return found + ([(TALK, begun * DAY_HOURS, today * DAY_HOURS - 1)] if today > begun else [])


def _merged(last: int, hour: int, ages: Sequence[int]) -> list[tuple[int, int]]:
    """(first, last) hour of what is that old in the passes after `last` up to `hour`; none of them twice."""
    hours = sorted({each - age for age in ages for each in range(last + 1, hour + 1)})
    starts = [each for place, each in enumerate(hours) if place == 0 or hours[place - 1] != each - 1]
    ends = [each for place, each in enumerate(hours) if place == len(hours) - 1 or hours[place + 1] != each + 1]
    return list(zip(starts, ends, strict=True))


def begin(
    table: Table,
    everyone: Iterable[Connection],
    spans: Sequence[Span],
    *,
    id: str = "",
    mark: Sequence[int] = (),
    kept: int = jobs.KEPT_SECONDS,
) -> Job:
    """`mark`: what all was counted before, once this is done."""
    params = {"connections": [each.id for each in everyone], "spans": [list(each) for each in spans]}
    return jobs.start(table, RECOUNT, params | {"mark": list(mark)}, id=id, kept=kept)


def again(table: Table, connection: str, since: str, until: str) -> None:
    """What came in such a time ago that no pass comes by there any more was read anew."""
    hour = stats.this_hour()
    first, last = stats.hour_of(since), stats.hour_of(until)
    ends = ((IN, hour - FINAL), (TALK, _night(hour) * DAY_HOURS - 1))
    spans = [(part, first, min(last, end)) for part, end in ends if first <= min(last, end)]
    known = connections.get(table, connection) if spans else None
    if known:
        begin(table, [known], spans, kept=jobs.SHORT_SECONDS)


def run(table: Table, job: Job) -> Turn:
    """As many units as there is time for. The cursor says how many are done, and how far the next one is, whose
    counts so far lie in the job."""
    number, _, place = (job.cursor or "0|").partition("|")
    counter = _Counter(table, _applies(table, job), int(number), place, tally.of_plain(job.params.get("so_far", {})))
    over = counter.go(islice(_units(job.params), int(number), None))
    known = job.params.get("late", [])
    late = [*known, *sorted(counter.late.difference(known))][:MOST_LATE]
    params = job.params | {"so_far": tally.plain(counter.counts), "late": late}
    if not over:
        return Turn(f"{counter.number}|{counter.place}", counter.done, params=params)
    if late:
        return Turn("0|", counter.done, params=params | _of_late(table, late))
    if job.params["mark"]:
        stats.mark(table, *job.params["mark"])
    return Turn("", counter.done, params=params)


def _of_late(table: Table, hours: Sequence[int]) -> dict[str, Any]:
    everyone = [each.id for each in connections.everyone(table)]
    return {"spans": [[OUT, hour, hour] for hour in hours], "connections": everyone, "late": []}


def _units(params: Mapping[str, Any]) -> Iterator[Unit]:
    """The same in each turn, whatever was changed meanwhile."""
    for part, first, last in params["spans"]:
        yield from (Unit(part, id, hour) for hour in range(first, last + 1) for id in params["connections"])


def _applies(table: Table, job: Job) -> Callable[[Unit], bool]:
    """Whether there may be something to count: receipts, since there is the connection and as long as it keeps
    them; deliveries, on the days of which it has some."""
    lists, now = organisation.read(table), stats.hour_of(job.created_at)
    sending, told = set(sources.slugs()), set(destinations.slugs())
    since: dict[str, int] = {}
    days: dict[str, set[str]] = {}
    for each in connections.everyone(table):
        if each.provider in sending:
            kept = kept_days(each, lists, receipt=True) or settings().receipt_retention_days
            since[each.id] = max(stats.hour_of(each.created_at) if each.created_at else 0, now - kept * DAY_HOURS)
        if each.provider in told:
            days[each.id] = set(deliveries.days(table, each.id))

    def applies(unit: Unit) -> bool:
        if unit.part == OUT:
            return stats.day_of(unit.hour) in days.get(unit.connection, ())
        return since.get(unit.connection, unit.hour + 1) <= unit.hour

    return applies


class _Counter:
    """Counts unit after unit, page after page, until the budget is spent. `place`: in the unit that is being
    counted, how many events lie before it in its page, and after which row that begins; `counts`: what was counted
    of it. `late`: hours of events that were told later."""

    def __init__(self, table: Table, applies: Callable[[Unit], bool], number: int, place: str, counts: Tally) -> None:
        self.table, self.applies = table, applies
        self.number, self.place, self.counts = number, place, counts
        self.until = time.monotonic() + BUDGET
        self.rows = self.done = 0
        self.late: set[int] = set()

    def go(self, units: Iterator[Unit]) -> bool:
        """Whether nothing is left."""
        for unit in units:
            if self.applies(unit):
                if not self._whole(unit):
                    return False
                stats.keep(self.table, unit.connection, unit.hour, unit.part, self.counts)
                self.done += 1
            self.number, self.place, self.counts = self.number + 1, "", tally.NOTHING
        return True

    def _whole(self, unit: Unit) -> bool:
        """Whether there was time for all of it."""
        while self.rows < ROWS and time.monotonic() < self.until:
            found, self.place = self._page(unit)
            self.counts = tally.added([self.counts, found])
            if not self.place:
                return True
        return False

    def _page(self, unit: Unit) -> tuple[Tally, str]:
        """What is in it, and the place of the next one, empty for none."""
        skipped, _, after = (self.place or "0|").partition("|")
        if unit.part == TALK:
            return self._page_of_talk(unit, int(skipped), after)
        if unit.part == OUT:
            page = stats.rows_of(self.table, unit.connection, unit.hour, after, PAGE)
            found = stats.delivered(page.items)
        else:
            page = stats.receipts_of(self.table, unit.connection, unit.hour, after, PAGE)
            produced = stats.became(page.items)
            found = talk.arrived(self.table, produced)
            self.late |= {hour for each in produced if (hour := stats.hour_of(each.occurred_at)) < unit.hour - 1}
        self.rows += len(page.items)
        return found, _following(page)

    def _page_of_talk(self, unit: Unit, skipped: int, after: str) -> tuple[Tally, str]:
        """So many events at once, of receipts that may each hold a thousand."""
        page = stats.receipts_of(self.table, unit.connection, unit.hour, after, PAGE_OF_TALK)
        produced = stats.became(page.items)
        end = skipped + EVENTS_OF_TALK
        self.rows += EVENTS_OF_TALK
        found = talk.of_events(self.table, produced[skipped:end])
        return found, f"{end}|{after}" if end < len(produced) else _following(page)


def _following(page: Page) -> str:
    return f"0|{page.next[1]}" if page.next else ""
