"""Deliveries: what each destination got, waits for or refused, and sending it again."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib import destinations
from chalicelib.api import paging, totals
from chalicelib.api.answers import Call, Reply, window, wrong
from chalicelib.errors import NotFound
from chalicelib.model import instants
from chalicelib.store import connections, deliveries, ids, jobs
from chalicelib.store.table import Item

STATUSES = ("delivered", "delayed", "parked", "held", "claimed", "skipped")
INDEXES = {"parked": "PARK", "held": "HELD"}


def listing(call: Call) -> Reply:
    """Newest event first, of one connection or of all; `status` narrows, `since` ends the search."""
    status = call.value("status")
    if status and status not in STATUSES:
        raise wrong("/status", f"must be one of {', '.join(STATUSES)}")
    since = call.moment("since")
    end = paging.end(call, since)
    wanted = [call.value("connection")] if call.value("connection") else _receivers(call)
    runs = [
        paging.run(_rows(call, each, status, since, end), lambda row: status in ("", row["st"]), end, call.limit())
        for each in wanted
    ]
    page = paging.merged(runs, call.limit())
    return Reply({"deliveries": [deliveries.view(row) for row in page.items], "next": page.next})


def _receivers(call: Call) -> list[str]:
    return [each.id for each in connections.everyone(call.table) if each.provider in destinations.slugs()]


def _rows(call: Call, connection: str, status: str, since: str, end: paging.End) -> Iterator[Item]:
    if status in INDEXES:
        return paging.of_index(call.table, f"{INDEXES[status]}#{connection}", since, end, call.limit())
    return _all(call, connection, since, end)


def _all(call: Call, connection: str, since: str, end: paging.End) -> Iterator[Item]:
    """Newest day first. Deliveries lie by the day of their event."""
    newest = instants.day(end.sort)
    for day in deliveries.days(call.table, connection, instants.day(since)):
        if newest and day > newest:
            continue
        before = end.inclusive if day == newest else paging.LAST
        for size in paging.sizes(call.limit()):
            page = call.table.query(f"L#{connection}#{day}", after=since, before=before, forward=False, limit=size)
            yield from page.items
            if page.next is None:
                break
            before = page.next[1]


def show(call: Call, id: str) -> Reply:
    return Reply(deliveries.view(existing(call, id)))


def existing(call: Call, public_id: str) -> Item:
    parts = ids.unseal("del", public_id)
    row = deliveries.get(call.table, (f"L#{parts[0]}", parts[1])) if parts and len(parts) == 2 else None
    if row is None:
        raise NotFound("no such delivery")
    return row


def redrive(call: Call, id: str) -> Reply:
    row = existing(call, id)
    if row["st"] == deliveries.DELIVERED:
        raise wrong("", "is delivered: there is nothing to attempt again")
    deliveries.reopen(call.table, row)
    return Reply(deliveries.view(existing(call, id)), 202)


def redrive_range(call: Call) -> Reply:
    asked = window(call)
    job = jobs.start(call.table, "redrive", asked, totals.of_redrive(call.table, asked, deliveries.OPEN))
    return Reply(jobs.view(job) | {"job": job.id}, 202)
