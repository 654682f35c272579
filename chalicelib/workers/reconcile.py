"""Reconcile and backfill: one connection against the whole table, a page a message.

backfill    every entry that the connection's subscription wants and that it does not have yet; where
            it keeps no history, the customers of those entries
reconcile   the same, and told as drift; with `look`, the system itself is asked for what was
            delivered, and what it does not have any more is sent again
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from chalicelib import destinations
from chalicelib.context import resolve
from chalicelib.errors import DeliveryFailed, Paced
from chalicelib.fanout import deliver, reconcile
from chalicelib.fanout.plan import Planner
from chalicelib.fanout.reconcile import GONE, MISSING, Found
from chalicelib.model.connection import ACTIVE, Connection
from chalicelib.store import connections, deliveries
from chalicelib.store.deliveries import DELIVERED, Duty
from chalicelib.store.jobs import Job, Turn, cursor, place
from chalicelib.store.table import Delete, Table
from chalicelib.workers.fanout import person_of, remembered

PAGE = 100
LOOK = 25
"""Of a page whose entries the system is asked for, one request or more each."""
PATIENCE = 30.0
"""Seconds that a page waits, all in all, for what we may ask."""


def backfill(table: Table, job: Job) -> Turn:
    connection = _connection(table, job)
    if connection is None:
        return Turn("", 0, ("the connection was deleted, or is told nothing",))
    page = table.scan(place(job.cursor), PAGE)
    params = job.params
    due = reconcile.wanted(table, _planner(table, connection), page.items, params["since"], params["until"])
    fresh = [duty for duty, row in due.items() if row is None]
    deliveries.send(fresh)
    return Turn(cursor(page.next), len(fresh))


def run(table: Table, job: Job) -> Turn:
    connection = _connection(table, job)
    if connection is None:
        return Turn("", 0, ("the connection was deleted, or is told nothing",))
    look = bool(job.params.get("look")) and connection.status == ACTIVE
    page = table.scan(place(job.cursor), LOOK if look else PAGE)
    planner = _planner(table, connection)
    found = Found(reconcile.wanted(table, planner, page.items))
    _mend(table, connection, reconcile.compare(found))
    _lead(table, found)
    reconcile.mended(table, [duty for duty, row in found.due.items() if row and row["st"] == DELIVERED])
    if look:
        _look(table, connection, planner, found)
    for item in page.items:
        if why := reconcile.superfluous(connection, item, planner):
            found.count(reconcile.EXTRA)
            reconcile.note(table, connection.id, reconcile.EXTRA, str(item["remote"]), item["pk"][2:], why)
    counts = _added(job.params.get("counts", {}), found.counts)
    return Turn(cursor(page.next), len(found.due), params=job.params | {"counts": counts})


def _mend(table: Table, connection: Connection, missing: list[Duty]) -> None:
    for duty in missing:
        reconcile.note(table, connection.id, MISSING, duty.sort, duty.node, "it was never sent: planned now")
    deliveries.send(missing)


def _lead(table: Table, found: Found) -> None:
    """What waits under a place where its event lies no more is told the right one."""
    astray = [(duty, row) for duty, row in found.due.items() if row and row["nd"] != duty.node and duty.event_keys]
    waiting = [(duty, row) for duty, row in astray if row["st"] != DELIVERED]
    for duty, row in waiting:
        deliveries.follow(table, duty, row["nd"])
    deliveries.send([duty for duty, _ in waiting])


def _look(table: Table, connection: Connection, planner: Planner, found: Found) -> None:
    """Ask for what was delivered. A system that cannot be asked, or not now, is left at that."""
    office, patience = deliver.Office(table, planner.person_of, lambda _: connection), [PATIENCE]
    delivered = [duty for duty, row in found.due.items() if row and row["st"] == DELIVERED]
    for duty in delivered:
        row = found.due[duty]
        try:
            there = _seen(office, duty, patience)
        except DeliveryFailed as failed:
            found.count("not looked at")
            if failed.outcome in ("unauthorized", "gone"):
                return
            continue
        if there is False and row:
            reconcile.note(table, connection.id, GONE, duty.sort, duty.node, "the system does not have it any more")
            table.write(Delete((row["pk"], row["sk"])))
            deliveries.send([duty])
            found.count(GONE)


def _seen(office: deliver.Office, duty: Duty, patience: list[float]) -> bool | None:
    """As soon as our own pace allows; `patience`: what is left of the page's."""
    waited = False
    while True:
        try:
            return deliver.still_there(office, duty, waited=waited)
        except Paced as paced:
            wait = paced.retry_after or 0
            if wait > patience[0]:
                raise
            patience[0] -= wait
            waited = True
            time.sleep(wait)


def _planner(table: Table, connection: Connection) -> Planner:
    return Planner(table, (connection,), resolve.customers, remembered(person_of(table)))


def _connection(table: Table, job: Job) -> Connection | None:
    found = connections.get(table, str(job.params["connection"]))
    told = found is not None and found.provider in destinations.slugs() and destinations.load(found.provider).informed
    return found if found and told and not found.deleted else None


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
