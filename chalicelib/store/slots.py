"""How many workers are at one connection at once, in one item.

    C#c  SLOTS    b (worker → ms until which it has its slot) ver

Only systems that answer slowly, or whose owner says so, have it: a slot costs two writes. A worker
that died with its slot is forgotten when its function would have ended.
"""

from __future__ import annotations

import secrets as random

from chalicelib.model import instants
from chalicelib.store.table import Key, Put, Table, equal

LASTS_MS = 60_000
TRIES = 5


def take(table: Table, connection: str, most: int) -> str:
    """A slot for one worker, to be given back; empty where none is free."""
    mine = random.token_hex(6)
    for _ in range(TRIES):
        item = table.get(_key(connection)) or {}
        now = instants.now_ms()
        taken = {worker: until for worker, until in item.get("b", {}).items() if until > now}
        if len(taken) >= most:
            return ""
        if _put(table, connection, taken | {mine: now + LASTS_MS}, item.get("ver", 0)):
            return mine
    return ""


def give_back(table: Table, connection: str, slot: str) -> None:
    """Where that fails the slot ends by itself."""
    for _ in range(TRIES):
        item = table.get(_key(connection))
        taken = dict(item["b"]) if item else {}
        if taken.pop(slot, None) is None or (item and _put(table, connection, taken, item["ver"])):
            return


def _put(table: Table, connection: str, taken: dict[str, int], ver: int) -> bool:
    pk, sk = _key(connection)
    return table.write(Put({"pk": pk, "sk": sk, "b": taken, "ver": ver + 1}, equal(ver=ver or None)))


def _key(connection: str) -> Key:
    return f"C#{connection}", "SLOTS"
