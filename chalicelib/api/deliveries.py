"""Deliveries: what each destination got, waits for or refused, and sending it again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from chalicelib import destinations
from chalicelib.api.answers import Call, Reply, next_cursor, wrong
from chalicelib.api.receipts import window
from chalicelib.errors import NotFound
from chalicelib.model import instants
from chalicelib.store import connections, deliveries, ids, jobs
from chalicelib.store.table import Item, live

STATUSES = ("delivered", "delayed", "parked", "held", "claimed")
END = "\U0010ffff"


def listing(call: Call) -> Reply:
    """Newest event first, of one connection or of all; `status` narrows, `since` ends the search."""
    status = call.value("status")
    if status and status not in STATUSES:
        raise wrong("/status", f"must be one of {', '.join(STATUSES)}")
    since = call.moment("since")
    wanted = [call.value("connection")] if call.value("connection") else _receivers(call)
    found = [row for each in wanted for row in _of(call, each, status, since)]
    found.sort(key=lambda row: (row["sk"], row["pk"]), reverse=True)
    page = found[: call.limit()]
    following = next_cursor(page[-1]["sk"], page[-1]["pk"]) if len(found) > len(page) else None
    return Reply({"deliveries": [deliveries.view(row) for row in page], "next": following})


def _receivers(call: Call) -> list[str]:
    return [each.id for each in connections.everyone(call.table) if each.provider in destinations.slugs()]


def _of(call: Call, connection: str, status: str, since: str) -> list[Item]:
    """At most one more than a page."""
    found: list[Item] = []
    rows = _open(call, connection, status, since) if status in ("parked", "held") else _all(call, connection, since)
    start = call.cursor()
    for row in rows:
        if start and (row["sk"], row["pk"]) >= start:
            continue
        if live(row) and (not status or row["st"] == status):
            found.append(row)
        if len(found) > call.limit():
            break
    return found


def _open(call: Call, connection: str, status: str, since: str) -> Iterator[Item]:
    index = "PARK" if status == "parked" else "HELD"
    start = call.cursor()
    before = start[0] + "\x00" if start else ""
    page = call.table.query(
        f"{index}#{connection}", after=since, before=before, forward=False, limit=call.limit() + 2, index=True
    )
    keys = [(entry["pk"], entry["sk"]) for entry in page.items]
    rows = call.table.batch_get(keys)
    yield from (rows[key] for key in keys if key in rows)


def _all(call: Call, connection: str, since: str) -> Iterator[Item]:
    """Newest day first. Deliveries lie by the day of their event."""
    start = call.cursor()
    newest = instants.day(start[0]) if start else ""
    for day in deliveries.days(call.table, connection, instants.day(since)):
        if newest and day > newest:
            continue
        before = start[0] + "\x00" if start and day == newest else END
        while True:
            page = call.table.query(
                f"L#{connection}#{day}", after=since, before=before, forward=False, limit=call.limit() + 2
            )
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


class Range(msgspec.Struct, forbid_unknown_fields=True):
    connection: str
    since: str
    until: str = ""


def redrive_range(call: Call) -> Reply:
    asked = call.read(Range)
    if connections.get(call.table, asked.connection) is None:
        raise wrong("/connection", "no such connection")
    job = jobs.start(call.table, "redrive", {"connection": asked.connection, **window(asked.since, asked.until)})
    return Reply(jobs.view(job) | {"job": job.id}, 202)
