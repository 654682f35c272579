"""Jobs: one page of long work a message.

replay    receipts again through the context        params: receipts, or connection since until
redrive   held and parked deliveries attempted again params: connection since until, states
history   earlier entries of somebody who was anonymous until now   params: node
moves     what was told of customers that are others now, onto their records    params: nodes
plan      one stream record that failed             params: record {pk, sk}
export    the customer that a privacy demand named    params: customer, demand
redact    all that one account at a provider brought   params: connection, scope, at
erase     one customer out of everything           params: as context/erase.py plans it
reconcile one connection against the whole table  params: connection, look, counts, settled
recent    what arrived lately, and nobody was told of   params: since, until
backfill  existing history into a destination     params: connection, since, until
catch-up  what a provider never delivered        params: connection, since, until, full, tries, counts
alert     the owner is told of a connection        params: connection, name, status, reason
rest      the events of a large batch after its first slice    params: receipt
reapply   events that a late boundary divides       params: identity, at
block     identities on the organisation's lists, or off them       params: on, off, at, by
migrate   items of a former layout into the one of now    params: name
recount   stats of some hours, from what lies in the table    params: connections, spans, mark, so_far, late
audience, audience_export    as workers/audiences.py has them
"""

from __future__ import annotations

from collections.abc import Callable

from chalicelib import telemetry
from chalicelib.context import decisions, resolve
from chalicelib.context.record import rules_of
from chalicelib.errors import NewerVersion
from chalicelib.fanout.plan import Planned
from chalicelib.ingest import arrival as arrivals
from chalicelib.ingest.missed import CATCH_UP
from chalicelib.model import instants
from chalicelib.model.identity import parse
from chalicelib.store import connections, deliveries, jobs, organisation, queues, receipts
from chalicelib.store.jobs import Job, Turn
from chalicelib.store.table import DynamoTable, Put, Table
from chalicelib.workers import (
    alert,
    audiences,
    context,
    erase,
    fanout,
    migrate,
    missed,
    reapply,
    reconcile,
    redact,
    stats,
)
from chalicelib.workers.batch import Batch, Record
from chalicelib.workers.context import SLICE, take_arrival

PAGE = 25
RECEIPT_TRIES = 60


def take(records: list[Record]) -> None:
    table = DynamoTable()
    batch = Batch(queues.JOBS)
    for message in records:
        batch.take(message, lambda each: run(table, each["body"]), lambda each, why: _park(table, each["body"], why))
    batch.finish()


def run(table: Table, job_id: str) -> None:
    """Do one page and queue the next. A page that was done before is done again: all are idempotent."""
    job = jobs.get(table, job_id)
    if job is None:
        context.park(table, job_id, "no such job")
    if job is None or job.status != jobs.RUNNING:
        return
    if job.kind not in KINDS:
        raise NewerVersion(f"jobs of the kind {job.kind}")
    jobs.turn(table, job, KINDS[job.kind](table, job))


def _park(table: Table, job_id: str, reason: str) -> None:
    if job := jobs.get(table, job_id):
        jobs.fail(table, job, reason)


def _replay(table: Table, job: Job) -> Turn:
    if named := job.params.get("receipts"):
        errors = tuple(error for each in named if (error := _replay_one(table, *each)))
        for pk, sk in named:
            stats.again(table, pk[2:-9], sk[:24], sk[:24])
        return Turn("", len(named) - len(errors), errors)
    return _replay_range(table, job)


def _replay_range(table: Table, job: Job) -> Turn:
    """Oldest day first; the cursor is the day and the sort key after which to go on."""
    connection, since, until = (str(job.params[name]) for name in ("connection", "since", "until"))
    days = instants.days_between(instants.day(since), instants.day(until))[::-1]
    day, _, after = (job.cursor or f"{days[0]}|").partition("|")
    found = receipts.between(table, connection, day, since, until, PAGE, after)
    wanted = found.items
    errors = tuple(error for item in wanted if (error := _replay_one(table, item["pk"], item["sk"])))
    if found.next:
        return Turn(f"{day}|{found.next[1]}", len(wanted) - len(errors), errors)
    following = days[days.index(day) + 1 :]
    if not following:
        stats.again(table, connection, since, until)
    return Turn(f"{following[0]}|" if following else "", len(wanted) - len(errors), errors)


def _replay_one(table: Table, pk: str, sk: str) -> str:
    """Empty, or why this receipt cannot be replayed."""
    receipt = receipts.get(table, pk, sk)
    packed = receipt.arrival() if receipt else None
    if receipt is None or packed is None:
        return f"{receipts.public_id(pk, sk)}: its body is gone"
    try:
        arrival = arrivals.decode(packed)
    except ValueError:
        return f"{receipt.id}: its body is unreadable"
    connection = connections.get(table, arrival.connection)
    table.write(Put(take_arrival(table, arrival, connection, receipt.fetched, receipt.produced)))
    return ""


def _rest(table: Table, job: Job) -> Turn:
    """The next slice of a large batch. Its receipt comes with the first one, a moment after this job."""
    start, _, waited = (job.cursor or f"{SLICE}|0").partition("|")
    receipt = receipts.get(table, *job.params["receipt"])
    if receipt is None and int(waited) < RECEIPT_TRIES:
        return Turn(f"{start}|{int(waited) + 1}", 0, delay=5)
    packed = receipt.arrival() if receipt else None
    if receipt is None or packed is None:
        return Turn("", 0, ("the receipt of this batch is gone",))
    arrival = arrivals.decode(packed)
    connection = connections.get(table, arrival.connection)
    table.write(Put(take_arrival(table, arrival, connection, receipt.fetched, receipt.produced, int(start))))
    now = receipts.get(table, *job.params["receipt"])
    done = len(now.produced) - int(start) if now else 0
    return Turn(f"{int(start) + SLICE}|0" if done == SLICE else "", done)


def _redrive(table: Table, job: Job) -> Turn:
    """First what is held, then what is parked; each entry leaves its index as it is sent."""
    connection, since, until = (str(job.params[name]) for name in ("connection", "since", "until"))
    states = list(job.params.get("states", deliveries.OPEN))
    state, _, after = (job.cursor or f"{states[0]}|").partition("|")
    found = deliveries.open_in(table, state, connection, since, until, PAGE, after)
    redriven = [redrive(table, (item["pk"], item["sk"])) for item in found.items]
    if len(found.items) == PAGE:
        return Turn(f"{state}|{found.items[-1]['gsk']}", sum(redriven))
    following = states[states.index(state) + 1 :]
    return Turn(f"{following[0]}|" if following else "", sum(redriven))


def redrive(table: Table, key: tuple[str, str]) -> bool:
    """Attempt one open delivery again, now. False: it is not open any more."""
    row = deliveries.get(table, key)
    if row is None or row["st"] not in (deliveries.PARKED, deliveries.HELD, deliveries.DELAYED):
        return False
    deliveries.reopen(table, row)
    return True


def _history(table: Table, job: Job) -> Turn:
    node = str(job.params["node"])
    found = table.query(
        f"N#{node}",
        begins="" if job.cursor else "E#",
        after=job.cursor,
        before=job.cursor and f"E#{receipts.LAST}",
        limit=PAGE,
    )
    planner, planned = fanout.planner_of(table), Planned()
    for item in found.items:
        planner.event(item, planned)
    fanout.send(table, planned)
    return Turn(found.next[1] if found.next else "", len(found.items))


def _plan(table: Table, job: Job) -> Turn:
    """The item as it is now stands in for the record's new image."""
    keys = job.params["record"]
    item = table.get((keys["pk"], keys["sk"]))
    planner, planned = fanout.planner_of(table), Planned()
    if item and item["sk"].startswith("E#") and item["pk"].startswith("N#"):
        planner.event(item, planned)
    elif item and item["pk"].startswith("K#"):
        planner.cluster(item, None, planned)
        for customer, _ in resolve.customers(item):
            planner.look_again(customer, planned, at_once=True)
    elif item and item["sk"] == "F":
        planned.changed[item["pk"][2:]] = None
        planner.settle(planned)
    fanout.send(table, planned)
    return Turn("", 1)


def _block(table: Table, job: Job) -> Turn:
    """The lists as they were changed; a later change has a later moment, and wins in any order."""
    wanted = [(text, on) for name, on in (("on", True), ("off", False)) for text in job.params[name]]
    start = int(job.cursor or 0)
    rules = rules_of(organisation.read(table))
    for text, on in wanted[start : start + PAGE]:
        if identity := parse(text):
            decisions.block(table, rules, identity, int(job.params["at"]), str(job.params["by"]), on=on)
    following = start + PAGE
    return Turn(str(following) if following < len(wanted) else "", len(wanted[start:following]))


def _export(table: Table, job: Job) -> Turn:
    """The document is made when an admin asks for it; here is only said where, and kept that it was
    demanded: nothing personal lies about in the meantime."""
    telemetry.warn("a customer's data were demanded: GET the export", customer=job.params["customer"], job=job.id)
    return Turn("", 1)


KINDS: dict[str, Callable[[Table, Job], Turn]] = {
    "replay": _replay,
    "redrive": _redrive,
    "history": _history,
    "plan": _plan,
    "block": _block,
    "erase": erase.run,
    "reapply": reapply.run,
    "alert": alert.run,
    CATCH_UP: missed.run,
    "reconcile": reconcile.run,
    "backfill": reconcile.backfill,
    "recent": reconcile.recent,
    "moves": reconcile.move,
    context.REST: _rest,
    "redact": redact.run,
    "export": _export,
    stats.RECOUNT: stats.run,
    migrate.MIGRATE: migrate.run,
    audiences.WALK: audiences.walk,
    audiences.EXPORT: audiences.export,
}
