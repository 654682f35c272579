"""How many workers are at one connection at once, in one item.

    C#c  SLOTS    b (worker → ms until which it has its slot) slow (ms until which all take it for slow) ver

Only systems that answer slowly, or whose owner says so, have it: a slot costs two writes. A worker
that died with its slot is forgotten when its function would have ended.
"""

from __future__ import annotations

import secrets as random
import time

from chalicelib.model import instants
from chalicelib.store.table import Key, Put, Table, equal

LASTS_MS = 60_000
TRIES = 5
LOOKED_SECONDS = 5.0
"""For so long a worker knows what it read here."""
_known: dict[str, tuple[float, int]] = {}


def slow(table: Table, connection: str) -> bool:
    """Whether any worker found it slow lately. One read for each connection, worker and few seconds."""
    looked, until = _known.get(connection, (-LOOKED_SECONDS, 0))
    if time.monotonic() - looked >= LOOKED_SECONDS:
        until = int((table.get(_key(connection)) or {}).get("slow", 0))
        _known[connection] = time.monotonic(), until
    return until > instants.now_ms()


def forget() -> None:
    _known.clear()


def take(table: Table, connection: str, most: int, slow_ms: int = 0) -> str:
    """A slot for one worker, to be given back; empty where none is free. `slow_ms`: for so long others take it for
    slow, too."""
    mine = random.token_hex(6)
    for _ in range(TRIES):
        item = table.get(_key(connection)) or {}
        now = instants.now_ms()
        taken = {worker: until for worker, until in item.get("b", {}).items() if until > now}
        if len(taken) >= most:
            return ""
        until = now + slow_ms if slow_ms else int(item.get("slow", 0))
        if _put(table, connection, taken | {mine: now + LASTS_MS}, until, item.get("ver", 0)):
            return mine
    return ""


def give_back(table: Table, connection: str, slot: str) -> None:
    """Where that fails the slot ends by itself."""
    for _ in range(TRIES):
        item = table.get(_key(connection))
        taken = dict(item["b"]) if item else {}
        if taken.pop(slot, None) is None or (
            item and _put(table, connection, taken, int(item.get("slow", 0)), item["ver"])
        ):
            return


def _put(table: Table, connection: str, taken: dict[str, int], slow_until: int, ver: int) -> bool:
    pk, sk = _key(connection)
    item = {"pk": pk, "sk": sk, "b": taken, "slow": slow_until, "ver": ver + 1}
    return table.write(Put(item, equal(ver=ver or None)))


def _key(connection: str) -> Key:
    return f"C#{connection}", "SLOTS"
