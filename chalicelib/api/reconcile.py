"""Whether every system shows what it must: differences listed, mended, and history for a new one."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.api.answers import Call, Reply, instant, next_cursor, wrong
from chalicelib.api.connections import existing
from chalicelib.errors import NotFound
from chalicelib.fanout import reconcile
from chalicelib.model.connection import Connection
from chalicelib.store import audiences, connections, jobs
from chalicelib.store.table import Item


class ReconcileWish(msgspec.Struct, forbid_unknown_fields=True):
    """`look`: ask the system itself for what it was given, too; that costs a request for each."""

    connection: str
    look: bool = False


class BackfillWish(msgspec.Struct, forbid_unknown_fields=True):
    since: str = ""
    until: str = ""


def start(call: Call) -> Reply:
    asked = call.read(ReconcileWish)
    connection = _told(call, asked.connection)
    for each in audiences.decoded(call.table.get(audiences.KEY)):
        if each.feed == connection.id:
            jobs.start(call.table, "audience", {"audience": each.id, "feeds": [each.feed]})
    job = jobs.start(call.table, "reconcile", {"connection": connection.id, "look": asked.look, "counts": {}})
    return Reply(jobs.view(job) | {"job": job.id}, 202)


def backfill(call: Call, id: str) -> Reply:
    """What happened before this destination was there; again is harmless."""
    connection, asked = existing(call, id), call.read(BackfillWish)
    if not _informed(connection):
        raise wrong("", f"{connection.provider} is told nothing: there is no history to bring")
    window = {
        "since": instant(asked.since, "/since") if asked.since else "",
        "until": instant(asked.until, "/until") if asked.until else "",
    }
    job = jobs.start(call.table, "backfill", {"connection": connection.id, **window})
    return Reply(jobs.view(job) | {"job": job.id}, 202)


def drift(call: Call) -> Reply:
    """Differences that reconciling found, and how far each destination is behind now."""
    wanted = [_told(call, call.value("connection"))] if call.value("connection") else _everyone(call)
    limit = call.limit()
    items = _drifts(call, [each.id for each in wanted], limit + 1)
    page = items[:limit]
    rows = call.table.batch_get([key for item in page if (key := reconcile.row_key(item))[0]])
    following = next_cursor(page[-1]["pk"][2:], page[-1]["sk"]) if len(items) > limit else None
    shown = [reconcile.view(item, rows) for item in page]
    return Reply({"destinations": [_state(call, each) for each in wanted], "drift": shown, "next": following})


def _drifts(call: Call, ids: list[str], most: int) -> list[Item]:
    """From where the page before ended, connection by connection."""
    start = call.cursor(2)
    found: list[Item] = []
    for id in ids:
        if start and id < start[0]:
            continue
        after = start[1] if start and id == start[0] else ""
        found += reconcile.drifts(call.table, id, after, most - len(found))
        if len(found) >= most:
            break
    return found


def _state(call: Call, connection: Connection) -> dict[str, Any]:
    """At most MOST of each kind are counted."""
    parked, held = (
        len(call.table.query(f"{state}#{connection.id}", limit=MOST, index=True).items) for state in ("PARK", "HELD")
    )
    noted = len(reconcile.drifts(call.table, connection.id, "", MOST))
    return {
        "connection": connection.id,
        "name": connection.name,
        "status": connection.status,
        "parked": parked,
        "held": held,
        "drift": noted,
        "state": "parked" if parked else "behind" if held or noted else "in step",
    }


MOST = 1000


def _everyone(call: Call) -> list[Connection]:
    everyone = sorted(connections.everyone(call.table), key=lambda each: each.id)
    return [each for each in everyone if not each.deleted and _informed(each)]


def _told(call: Call, id: str) -> Connection:
    try:
        connection = existing(call, id)
    except NotFound as unknown:
        raise wrong("/connection", "no such connection") from unknown
    if not _informed(connection):
        raise wrong("/connection", f"{connection.provider} is told nothing")
    return connection


def _informed(connection: Connection) -> bool:
    return connection.provider in destinations.slugs() and destinations.load(connection.provider).informed
