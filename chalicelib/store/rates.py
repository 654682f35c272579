"""How fast one connection may be asked, shared by all workers: a bucket in one item.

    C#c  RATE    next (ms: when the bucket is full again) ver

A worker takes several requests at a time, so that a request costs a fraction of a write; what it does
not use within the window is lost, never more than declared. Whoever finds the bucket empty is told how
long to wait, and holds nobody else up.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.model import instants
from chalicelib.store.table import Key, Put, Table, equal

SHARE = 4
"""A worker takes a quarter of the bucket at once, at most MOST."""
MOST = 25
TRIES = 8


@dataclass
class _Taken:
    left: int
    until: int


_taken: dict[str, _Taken] = {}


def take(table: Table, connection: str, requests: int, seconds: float) -> float:
    """Zero where one request may be made now; else the seconds until then."""
    now, window = instants.now_ms(), int(seconds * 1000)
    mine = _taken.get(connection)
    if mine and mine.left > 0 and mine.until > now:
        mine.left -= 1
        return 0.0
    chunk = max(1, min(MOST, requests // SHARE))
    wait = _reserve(table, connection, chunk, window / requests, window, now)
    if wait == 0:
        _taken[connection] = _Taken(chunk - 1, now + window)
    return wait


def forget() -> None:
    _taken.clear()


def _reserve(table: Table, connection: str, chunk: int, interval: float, window: int, now: int) -> float:
    pk, sk = _key(connection)
    for _ in range(TRIES):
        item = table.get((pk, sk))
        begins = max(now, int(item["next"]) if item else now)
        ends = begins + int(chunk * interval)
        if ends - now > window and begins > now:
            return max(0.001, (ends - window - now) / 1000)
        fresh = {"pk": pk, "sk": sk, "next": ends, "ver": (item["ver"] if item else 0) + 1}
        if table.write(Put(fresh, equal(ver=item["ver"] if item else None))):
            return 0.0
    return interval / 1000


def _key(connection: str) -> Key:
    return f"C#{connection}", "RATE"
