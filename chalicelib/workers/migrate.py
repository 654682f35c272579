"""Items of a former layout, rewritten in the one of now: a job that walks the whole table, a page at a time.

    ORG  migrations    done (names of those that came to their end)

The sweep starts each migration that is not done; none is declared for most versions, and then this costs nothing. The
version that declares one must read both layouts: it runs beside the version before, which writes the former one until
it is gone. So the walk begins a quarter of an hour later, and begins anew until it finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib import telemetry
from chalicelib.errors import Busy
from chalicelib.model.event import digest
from chalicelib.store import jobs
from chalicelib.store.jobs import Job, Turn
from chalicelib.store.table import Item, Put, Table, Update, When, equal

MIGRATE = "migrate"
PAGE = 100
WAIT_SECONDS = 900
"""A deployment's old containers are gone long before."""
TRIES = 5
DONE = "ORG", "migrations"
KEYS = frozenset({"pk", "sk"})


@dataclass(frozen=True)
class Migration:
    """`changed`: the item as it must be; the same one where there is nothing to do. Pure, and of its own result it
    changes nothing. The key stays: an item under another key is a new item, and its own program."""

    name: str
    changed: Callable[[Item], Item]


MIGRATIONS: dict[str, Migration] = {}
"""By name. One is kept here for as long as somebody may come from a version before it."""


def start_due(table: Table) -> int:
    """How many are going on. Asked again it starts nothing anew."""
    if not MIGRATIONS:
        return 0
    done = (table.get(DONE) or {}).get("done", [])
    going = [name for name in MIGRATIONS if name not in done]
    for name in going:
        _start(table, name)
    return len(going)


def _start(table: Table, name: str) -> None:
    """One that failed is begun anew, a few times: its job says why, and what did that may be mended by now."""
    for attempt in range(TRIES):
        id = f"job_{digest(MIGRATE, name, str(attempt))}"
        job = jobs.get(table, id)
        if job is None:
            jobs.start(table, MIGRATE, {"name": name}, id=id, kept=jobs.YEAR_SECONDS)
        if job is None or job.status != jobs.FAILED:
            return


def run(table: Table, job: Job) -> Turn:
    """The cursor: how many this walk changed so far, and where it goes on."""
    if not job.cursor:
        return Turn("0|", 0, delay=WAIT_SECONDS)
    migration = MIGRATIONS[job.params["name"]]
    before, _, at = job.cursor.partition("|")
    found = table.scan(jobs.place(at), PAGE)
    changed = sum(_moved(table, migration, item) for item in found.items)
    count = int(before) + changed
    if found.next:
        return Turn(f"{count}|{jobs.cursor(found.next)}", changed)
    if count:
        return Turn("0|", changed, delay=WAIT_SECONDS)
    _mark(table, migration.name)
    telemetry.note("migrated", migration=migration.name, items=job.done + changed)
    return Turn("", changed)


def _moved(table: Table, migration: Migration, item: Item) -> bool:
    """Only what changes is written, and only over what was read: whoever writes meanwhile wins, and is looked at anew."""
    now: Item | None = item
    for _ in range(TRIES):
        wanted = migration.changed(now) if now else now
        if now is None or wanted is None or wanted == now:
            return False
        if table.write(_update(now, wanted)):
            return True
        now = table.get((item["pk"], item["sk"]))
    raise Busy(f"{migration.name}: somebody else writes the same item")


def _update(now: Item, wanted: Item) -> Update:
    names = {name for name in now.keys() | wanted.keys() if now.get(name) != wanted.get(name)} - KEYS
    fresh = {name: wanted[name] for name in names if name in wanted}
    gone = tuple(sorted(names - fresh.keys()))
    asread = equal(**{name: now.get(name) for name in names})
    return Update((now["pk"], now["sk"]), fresh, gone, When(exists=True, equal=asread.equal))


def _mark(table: Table, name: str) -> None:
    for _ in range(TRIES):
        item = table.get(DONE) or {}
        done = sorted({*item.get("done", []), name})
        if table.write(Put({"pk": DONE[0], "sk": DONE[1], "done": done}, equal(done=item.get("done")))):
            return
    raise Busy("the list of migrations")
