"""Stats: one item for each connection and hour, counted anew from what lies in the table, never added to.

    STAT#d  c#hh     in out talk (each a packed tally)    400 days

`in`: the events that its receipts of that hour became · `out`: what it was told of the events of that hour · `talk`:
what those events made of conversations. Each is written whole by whoever counts it, so that counting twice is
counting once. Counts only: nothing in here is about anybody.

    ORG     counted  until (every hour before it was counted) night (and every day before it, for talk)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from chalicelib.model import instants, tally
from chalicelib.model.tally import Tally
from chalicelib.store import deliveries
from chalicelib.store.deliveries import SKIPPED
from chalicelib.store.receipts import Produced
from chalicelib.store.table import Item, Key, Page, Table, Update, live

HOUR_MS, DAY_HOURS = 3_600_000, 24
KEPT_DAYS = 400
IN, OUT, TALK = "in", "out", "talk"
PARTS = (IN, OUT, TALK)
COUNTED: Key = ("ORG", "counted")
ACCEPTED = "accepted"
"""Of an event: told for the first time. A duplicate was counted with its first receipt."""


class Hour(NamedTuple):
    """A part of what one connection did in an hour. `hour`: hours since 1970."""

    connection: str
    hour: int
    part: str
    counts: Tally


def hour_of(instant: str) -> int:
    return instants.to_ms(instant) // HOUR_MS


def this_hour() -> int:
    return instants.now_ms() // HOUR_MS


def start(hour: int) -> str:
    return instants.from_ms(hour * HOUR_MS)


def day_of(hour: int) -> str:
    """yyyymmdd"""
    return instants.day(start(hour))


def _key(connection: str, hour: int) -> Key:
    return f"STAT#{day_of(hour)}", f"{connection}#{hour % DAY_HOURS:02d}"


def keep(table: Table, connection: str, hour: int, part: str, counts: Tally) -> None:
    """One write; none where nothing happened and nothing was counted before."""
    key = _key(connection, hour)
    if counts == tally.NOTHING and part not in (table.get(key) or {}):
        return
    until = hour * HOUR_MS // 1000 + KEPT_DAYS * 86400
    table.write(Update(key, {part: msgspec.msgpack.encode(counts), "x": until}))


def between(table: Table, first: int, last: int) -> Iterator[Hour]:
    """All hours from `first` to `last` that were counted, a query for each day."""
    for number in range(first // DAY_HOURS, last // DAY_HOURS + 1):
        day = number * DAY_HOURS
        for item in filter(live, table.query(f"STAT#{day_of(day)}").items):
            connection, _, hour = item["sk"].rpartition("#")
            if first <= day + int(hour) <= last:
                yield from (Hour(connection, day + int(hour), part, counts) for part, counts in _parts(item))


def _parts(item: Item) -> Iterator[tuple[str, Tally]]:
    yield from ((part, msgspec.msgpack.decode(item[part], type=Tally)) for part in PARTS if part in item)


def counted(table: Table) -> tuple[int, int]:
    """Hour and day (both since 1970) before which all was counted; 0, 0 before the first time."""
    return marks(table.get(COUNTED))


def marks(item: Item | None) -> tuple[int, int]:
    return (item["until"], item["night"]) if item else (0, 0)


def mark(table: Table, until: int, night: int) -> None:
    table.write(Update(COUNTED, {"until": until, "night": night}))


def receipts_of(table: Table, connection: str, hour: int, after: str, limit: int) -> Page:
    """A page of what came in an hour, oldest first. Expired ones that are there still count as they did."""
    pk = f"I#{connection}#{day_of(hour)}"
    return table.query(pk, after=after or start(hour), before=start(hour + 1), limit=limit)


def became(items: Iterable[Item]) -> list[Produced]:
    """The events that receipts became for the first time."""
    rows = (msgspec.msgpack.decode(item["evs"], type=tuple[Produced, ...]) for item in items if "evs" in item)
    return [each for produced in rows for each in produced if each.verdict == ACCEPTED]


def rows_of(table: Table, connection: str, hour: int, after: str, limit: int) -> Page:
    """A page of the deliveries of an hour's events."""
    pk = f"L#{connection}#{day_of(hour)}"
    return table.query(pk, after=after or start(hour), before=start(hour + 1), limit=limit)


def delivered(rows: Iterable[Item]) -> Tally:
    """Of events and messages. What is about a customer himself has no moment of its own, and a move tells nothing new."""
    return tally.of_deliveries((row["st"], row["n"], row["ms"]) for row in rows if _told(row))


def _told(row: Item) -> bool:
    kind = row["sk"].rpartition("#")[2]
    return row["st"] != SKIPPED and not deliveries.of_customer(kind) and kind != deliveries.MOVE
