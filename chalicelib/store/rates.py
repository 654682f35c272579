"""How fast one connection may be asked, shared by all workers: a bucket in one item.

    C#c  RATE    next (ms: when the bucket is full again) line (ms: end of the line of those who wait) ver

A worker takes several requests at a time, so that a request costs a fraction of a write; what it does
not use within the window is lost, never more than declared. Threads of one worker take from one share. Whoever finds the bucket empty, or others
waiting, gets a place at the end of the line and holds nobody up: a backlog of N drains in N turns, not
in N workers asking all the time.
"""

from __future__ import annotations

import threading
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
_one_at_a_time = threading.Lock()
"""Two threads that both found no share left would each take one, and the first would be lost."""


def take(table: Table, connection: str, requests: int, seconds: float, *, waited: bool = False) -> float:
    """Zero where one request may be made now; else the seconds until then.

    `waited`: this one's turn has come, so that those in line are no reason to wait.
    """
    with _one_at_a_time:
        now, window = instants.now_ms(), int(seconds * 1000)
        mine = _taken.get(connection)
        if mine and mine.left > 0 and mine.until > now:
            mine.left -= 1
            return 0.0
        chunk = max(1, min(MOST, requests // SHARE))
        wait = _reserve(table, connection, _Bucket(chunk, window / requests, window), now, waited)
        if wait == 0:
            _taken[connection] = _Taken(chunk - 1, now + window)
        return wait


def forget() -> None:
    _taken.clear()


@dataclass(frozen=True)
class _Bucket:
    """`chunk`: requests taken at once; `interval`, `window`: ms of one request, of all."""

    chunk: int
    interval: float
    window: int


def _reserve(table: Table, connection: str, bucket: _Bucket, now: int, waited: bool) -> float:
    pk, sk = _key(connection)
    for _ in range(TRIES):
        item = table.get((pk, sk)) or {}
        begins, line = max(now, int(item.get("next", now))), int(item.get("line", 0))
        ends = begins + int(bucket.chunk * bucket.interval)
        free = ends - bucket.window if begins > now else now
        fresh = {"pk": pk, "sk": sk, "next": ends, "line": line, "ver": item.get("ver", 0) + 1}
        turn = now
        if free > now or (line > now and not waited):
            turn = max(free, line, now + 1)
            fresh |= {"next": item.get("next", now), "line": turn + int(bucket.interval)}
        if table.write(Put(fresh, equal(ver=item.get("ver")))):
            return (turn - now) / 1000
    return bucket.interval / 1000


def _key(connection: str) -> Key:
    return f"C#{connection}", "RATE"
