"""Connections: read by every stage, written by the API."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store.table import ABSENT, Put, Table, equal, now_seconds

LONGEST_ID = 200
CACHE_SECONDS = 60
_cache: dict[str, tuple[float, Connection | None]] = {}
_refused: dict[str, int] = {}


def get(table: Table, connection_id: str) -> Connection | None:
    """None for an id that nobody has; an empty one, which is no key, and an endless one included."""
    item = table.get(("CONN", connection_id)) if 0 < len(connection_id) <= LONGEST_ID else None
    return msgspec.json.decode(item["b"], type=Connection) if item else None


def cached(table: Table, connection_id: str) -> Connection | None:
    """For the hook: at most one read a minute for each connection in one container."""
    at, connection = _cache.get(connection_id, (0.0, None))
    if time.monotonic() - at > CACHE_SECONDS or at == 0.0:
        connection = get(table, connection_id)
        _cache[connection_id] = (time.monotonic(), connection)
    return connection


def reader(table: Table) -> Callable[[str], Connection | None]:
    """`get` that reads each connection once: for the length of one batch."""
    known: dict[str, Connection | None] = {}

    def once(connection_id: str) -> Connection | None:
        if connection_id not in known:
            known[connection_id] = get(table, connection_id)
        return known[connection_id]

    return once


def everyone(table: Table) -> list[Connection]:
    page = table.query("CONN")
    return [msgspec.json.decode(item["b"], type=Connection) for item in page.items]


def save(table: Table, connection: Connection) -> bool:
    """Put a new connection (ver 1) or replace the version before. False: somebody was first."""
    item = {"pk": "CONN", "sk": connection.id, "b": msgspec.json.encode(connection), "ver": connection.ver}
    when = ABSENT if connection.ver == 1 else equal(ver=connection.ver - 1)
    _cache.pop(connection.id, None)
    return table.write(Put(item, when))


def forget(connection_id: str) -> None:
    _cache.pop(connection_id, None)


def note_refusal(table: Table, connection_id: str, reason: str) -> None:
    """At most one note for each connection and minute, so a flood of bad signatures is free."""
    minute = now_seconds() // 60
    if _refused.get(connection_id) == minute:
        return
    _refused[connection_id] = minute
    item = {"pk": f"C#{connection_id}", "sk": f"REFUSED#{minute}", "why": reason[:200]}
    table.write(Put(item | {"at": instants.now(), "x": now_seconds() + 7 * 86400}, ABSENT))


def refusals(table: Table, connection_id: str) -> list[dict[str, str]]:
    page = table.query(f"C#{connection_id}", begins="REFUSED#", forward=False, limit=20)
    return [{"at": item["at"], "reason": item["why"]} for item in page.items]
