"""Lists of one connection or of all, newest first, in pages that skip and double nothing.

Each connection's rows are read only until the page is full or MOST_READ rows were looked at. The
page then ends where the first of them stopped reading, and `next` goes on from there: a filter
that matches nothing costs a bounded number of requests for each page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from chalicelib.api.answers import Call, instant, next_cursor, wrong
from chalicelib.store.table import Item, Table, live

MOST_READ = 2000
MOST_AT_ONCE = 500
LAST = "\U0010ffff"


@dataclass(frozen=True)
class End:
    """Where the page before ended, exclusive: sort key and partition of its last row."""

    sort: str = ""
    pk: str = ""

    @property
    def inclusive(self) -> str:
        """A bound that lets rows of other partitions with the same sort key through."""
        return self.sort and self.sort + "\x01"


@dataclass(frozen=True)
class Run:
    """What one connection gave. `stopped`: the last row looked at, if there may be more."""

    items: list[Item]
    stopped: End | None


@dataclass(frozen=True)
class Listed:
    items: list[Item]
    next: str | None


def end(call: Call, since: str) -> End:
    """Of the `next` parameter. Raises InputInvalid for one that no list of ours gave."""
    parts = call.cursor(2)
    if parts and (instant(parts[0][:24], "/next") != parts[0][:24] or parts[0] < since):
        raise wrong("/next", "is not a cursor of this list")
    return End(*parts)


def run(rows: Iterable[Item], wanted: Callable[[Item], bool], after: End, limit: int) -> Run:
    found: list[Item] = []
    for count, row in enumerate(rows, 1):
        if live(row) and wanted(row) and (not after.sort or _place(row) < (after.sort, after.pk)):
            found.append(row)
        if len(found) > limit or count >= MOST_READ:
            return Run(found, End(*_place(row)))
    return Run(found, None)


def merged(runs: Iterable[Run], limit: int) -> Listed:
    found = list(runs)
    stops = [(each.stopped.sort, each.stopped.pk) for each in found if each.stopped]
    horizon = max(stops, default=("", ""))
    rows = sorted((row for each in found for row in each.items if _place(row) >= horizon), key=_place, reverse=True)
    if len(rows) > limit:
        return Listed(rows[:limit], next_cursor(*_place(rows[limit - 1])))
    return Listed(rows, next_cursor(*horizon) if stops else None)


def first(steps: Iterable[list[Run]], limit: int) -> Listed:
    """The page of the first steps that fill it. Every row of a step is newer than those of the next."""
    runs: list[Run] = []
    for step in steps:
        runs += step
        if sum(len(each.items) for each in runs) > limit or any(each.stopped for each in step):
            break
    return merged(runs, limit)


def sizes(limit: int) -> Iterator[int]:
    """Rows to ask for, time after time: what one page needs, then ever more, for a filter that matches little."""
    size = limit + 2
    while True:
        yield size
        size = max(size, min(2 * size, MOST_AT_ONCE))


def of_index(table: Table, gpk: str, since: str, after: End, limit: int) -> Iterator[Item]:
    """The items behind an index partition whose sort key is that of the items."""
    before = after.inclusive or LAST
    for size in sizes(limit):
        page = table.query(gpk, after=since and since[:-1], before=before, forward=False, limit=size, index=True)
        keys = [(entry["pk"], entry["sk"]) for entry in page.items]
        items = table.batch_get(keys)
        yield from (items[key] for key in keys if key in items and items[key]["sk"] >= since)
        if len(page.items) < size:
            return
        before = page.items[-1]["gsk"]


def _place(row: Item) -> tuple[str, str]:
    return row["sk"], row["pk"]
