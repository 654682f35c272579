"""Catching up: a provider is asked for what it never delivered, and what is not known takes the way of a webhook.

A recent pass every quarter of an hour, from the last finished pass on with an overlap; a full one each night,
as far back as providers go on retrying. Both only where the connection has what asking needs, and one at a
time. What is known is left alone: a listing tells of things as they are now, a webhook as they were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from chalicelib import telemetry
from chalicelib.context.record import REFUSED, known
from chalicelib.errors import Delayed, DeliveryFailed, FetchDelayed, PayloadMalformed
from chalicelib.ingest import missed, read
from chalicelib.ingest.arrival import Arrival, to_message
from chalicelib.ingest.missed import CATCH_UP
from chalicelib.kit.source import Missed, Page, Source, Window
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.event import digest
from chalicelib.store import connections, organisation, queues, rates
from chalicelib.store.jobs import Job, Turn
from chalicelib.store.table import Item, Table, now_seconds
from chalicelib.workers.context import kept_days
from chalicelib.workers.rounds import Round

LOOKED, KNOWN, FOUND, IGNORED, UNREADABLE = "looked at", "known", "found", "ignored", "unreadable"
BUDGET = 15.0
"""Seconds after which a message leaves the rest of its page to the next one."""
RECENT_SECONDS, OVERLAP_SECONDS, FULL_SECONDS = 900, 3600, 3 * 86400
LONGEST_WAIT, MOST_WAITS, MOST_TURNS = 900, 30, 20_000


def run(table: Table, job: Job) -> Turn:
    connection = connections.get(table, str(job.params["connection"]))
    source = missed.source_that_tells(connection) if connection else None
    if connection is None or source is None or source.missed is None:
        return Turn("", 0, ("the connection was deleted, or cannot be asked",))
    if job.ver > MOST_TURNS:
        return _given_up(table, job, connection, "there is no end to its pages")
    window = Window(job.params["since"], job.params["until"])
    start, _, cursor = (job.cursor or "0|").partition("|")
    if wait := _pace(table, connection, source.missed):
        return _later(job, wait)
    try:
        page, url = missed.ask(connection, source.missed, window, cursor)
        return _turn(table, job, connection, source, page, int(start), url)
    except (Delayed, FetchDelayed) as wrong:
        return _delayed(table, job, connection, wrong)
    except (DeliveryFailed, PayloadMalformed) as wrong:
        return _given_up(table, job, connection, str(wrong), refused=True)


def _pace(table: Table, connection: Connection, asked: Missed) -> float:
    """One pass at a time asks, so that nobody else is in line."""
    return rates.take(table, f"{connection.id}#{CATCH_UP}", asked.requests, asked.seconds, waited=True)


def _turn(table: Table, job: Job, connection: Connection, source: Source, page: Page, start: int, url: str) -> Turn:
    """As much of a page as there is time for, from `start` on."""
    arrivals = [missed.arrival_of(source, connection, each, url, job.id, job.created_at) for each in page.webhooks]
    seen = _Seen(dict(job.params.get("counts", {})))
    until, lists = time.monotonic() + BUDGET, organisation.read(table)
    apart = source.missed.apart if source.missed else 0
    for arrival in arrivals[start:]:
        try:
            seen.add(*_looked_at(table, connection, arrival, lists, apart))
        except FetchDelayed:
            if not seen.done:
                raise
            break
        if time.monotonic() > until:
            break
    done = start + seen.done
    _, _, cursor = (job.cursor or "0|").partition("|")
    following = f"{done}|{cursor}" if done < len(arrivals) else f"0|{page.next}" if page.next else ""
    if not following:
        _finished(table, job, connection, seen.counts)
    return Turn(following, seen.done, tuple(seen.flaws), params=job.params | {"counts": seen.counts, "tries": 0})


@dataclass
class _Seen:
    """What was looked at so far."""

    counts: dict[str, int]
    flaws: list[str] = field(default_factory=list)
    done: int = 0

    def add(self, verdict: str, flaw: str) -> None:
        self.done += 1
        self.counts |= {name: self.counts.get(name, 0) + 1 for name in (LOOKED, verdict)}
        self.flaws += [flaw] if flaw else []


def _looked_at(
    table: Table, connection: Connection, arrival: Arrival, lists: organisation.Organisation, apart: int
) -> tuple[str, str]:
    """(what it is, what is wrong with it). What is found is queued, as the hook queues a webhook."""
    found = read.read(table, arrival, connection, None)
    if found.verdict == read.MALFORMED:
        return UNREADABLE, f"{arrival.key or arrival.id}: {found.reason}"
    if not found.events:
        return IGNORED, ""
    days = kept_days(connection, lists)
    why = [known(table, event, lists, days, apart) for event in found.events]
    if REFUSED in why:
        read.forget(table, arrival, connection)
    if all(why):
        return KNOWN, ""
    queues.send(queues.INBOX, to_message(arrival), group=connection.id)
    return FOUND, ""


def _later(job: Job, seconds: float, **more: object) -> Turn:
    return Turn(job.cursor or "0|", 0, delay=min(LONGEST_WAIT, math.ceil(seconds)), params=job.params | more)


def _delayed(table: Table, job: Job, connection: Connection, wrong: Delayed | FetchDelayed) -> Turn:
    """The provider cannot answer now: the same page again, when it says or later and later."""
    tries = int(job.params.get("tries", 0)) + 1
    if tries > MOST_WAITS:
        return _given_up(table, job, connection, str(wrong))
    asked = wrong.retry_after if isinstance(wrong, Delayed) else None
    return _later(job, max(asked or 0, min(LONGEST_WAIT, 5 * 2 ** min(tries, 8))), tries=tries)


def _given_up(table: Table, job: Job, connection: Connection, why: str, *, refused: bool = False) -> Turn:
    """`refused`: asking again changes nothing until the connection is changed, or somebody asks by hand."""
    result: Item = {"at": instants.now(), "why": why[:300], "refused": refused, "full": _full(job)}
    missed.keep_result(table, connection, result)
    connections.note_refusal(table, connection.id, f"not caught up: {why}")
    telemetry.warn("not caught up", connection=connection.id, reason=why)
    return Turn("", 0, (why,))


def _finished(table: Table, job: Job, connection: Connection, counts: dict[str, int]) -> None:
    looked, found = counts.get(LOOKED, 0), counts.get(FOUND, 0)
    mark = {"until": job.params["until"]} if job.params.get("by") == "sweep" else {}
    result: Item = {"at": instants.now(), "looked": looked, "found": found, "full": _full(job)}
    missed.keep_result(table, connection, result | mark)
    if found:
        telemetry.warn("a provider had not delivered", connection=connection.id, found=found)


def _full(job: Job) -> bool:
    return bool(job.params.get("full"))


def start_due(table: Table, everyone: Sequence[Connection]) -> int:
    """Passes that were begun. The turn is claimed before, so that two sweeps begin one."""
    able = [(each, asked) for each in everyone if (asked := missed.asked_by_itself(each))]
    keys = {each.id: (_state_key(each), missed.result_key(each.id)) for each, _ in able}
    items = table.batch_get([key for pair in keys.values() for key in pair]) if keys else {}
    return sum(_start(table, each, asked, *(items.get(key) for key in keys[each.id])) for each, asked in able)


def _start(table: Table, connection: Connection, asked: Missed, state: Item | None, result: Item | None) -> bool:
    turn = Round(_state_key(connection), state, now_seconds())
    if not turn.free(table):
        return False
    full = turn.nightly
    if not full and result and result.get("refused") and result["cv"] == connection.ver:
        return False
    window = missed.window_of(asked, _since(connection, result, full, turn.now), "")
    if window.since >= window.until:
        return False
    job = f"job_{digest(CATCH_UP, connection.id, window.since, window.until)}"
    if not turn.claim(table, job, RECENT_SECONDS, full=full or state is None):
        return False
    missed.begin(table, connection, window, id=job, full=full, by="sweep")
    return True


def _since(connection: Connection, result: Item | None, full: bool, now: int) -> str:
    """Never before the connection was there: what was before it is history, and nobody missed it."""
    mark = str(result["until"]) if result and result.get("until") else ""
    ends = instants.to_ms(mark) // 1000 if mark else now
    first = min(ends, now - (FULL_SECONDS if full else RECENT_SECONDS)) - OVERLAP_SECONDS
    return max(connection.created_at, instants.from_ms(first * 1000))


def _state_key(connection: Connection) -> tuple[str, str]:
    return f"C#{connection.id}", "MISSED"
