"""How often one key may ask, shared by all workers: a bucket in one item, taken from in handfuls.

    RATE#k  -    next (ms: when the bucket is full again) ver x

On Lambda every container serves one request at a time, so a limit that each of them counted for itself
would hold nobody back: a hundred requests at once are a hundred containers. Hence the shared item. A
container takes HANDFUL requests at once and counts those itself, so that a request costs a 25th of a
read and a write; what it does not use within the window is lost. Whoever is refused writes nothing,
and is refused again from memory until there is a handful once more.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from chalicelib.model import instants
from chalicelib.store.table import Item, Put, Table, equal, now_seconds

WINDOW_SECONDS = 60
WINDOW = WINDOW_SECONDS * 1000
HANDFUL = 25
"""At most; a quarter of a small limit."""
TRIES = 4
KEPT_SECONDS = 3600
MOST_KNOWN = 1000


@dataclass(frozen=True)
class Left:
    """`requests` at least; `full_in`: seconds until all of them are there again; `wait`: seconds until the
    next one is welcome, 0 for one that may go."""

    requests: int
    full_in: int
    wait: int = 0


@dataclass
class _Mine:
    """What this container has in hand. `next`: of the bucket when it took that; `refused`: until when."""

    left: int
    until: int
    next: int
    refused: int = 0


_mine: dict[str, _Mine] = {}


def name_of(secret: str) -> str:
    """Under which a token is counted that has no key of its own."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def take(table: Table, name: str, limit: int) -> Left:
    """One request of `name`, of `limit` in WINDOW_SECONDS."""
    now = instants.now_ms()
    mine = _mine.get(name)
    if mine is None or (mine.refused <= now and (mine.left < 1 or mine.until <= now)):
        if len(_mine) > MOST_KNOWN:
            _mine.clear()
        mine = _mine[name] = _reserved(table, name, limit, now)
    full_in = _seconds(mine.next - now)
    if mine.refused > now:
        return Left(0, full_in, _seconds(mine.refused - now))
    mine.left -= 1
    free = int((now + WINDOW - max(mine.next, now)) * limit / WINDOW)
    return Left(max(0, min(limit, mine.left + free)), full_in)


def _reserved(table: Table, name: str, limit: int, now: int) -> _Mine:
    """A handful, or as much of one as there is. When others are always faster, one request without
    asking: a limit must never be the reason that nobody is served."""
    key = (f"RATE#{name}", "-")
    interval, most = WINDOW / limit, max(1, min(HANDFUL, limit // 4))
    for _ in range(TRIES):
        item = table.get(key) or {}
        begins = max(now, int(item.get("next", now)))
        count = min(most, int((now + WINDOW - begins) / interval))
        if count < 1:
            return _Mine(0, 0, begins, refused=int(begins + most * interval - WINDOW) + 1)
        ends = math.ceil(begins + count * interval)
        if table.write(Put(_item(key, ends, item), equal(ver=item.get("ver")))):
            return _Mine(count, now + WINDOW, ends)
    return _Mine(1, now + WINDOW, now)


def _item(key: tuple[str, str], ends: int, before: Item) -> Item:
    fresh = {"pk": key[0], "sk": key[1], "next": ends, "ver": int(before.get("ver", 0)) + 1}
    return fresh | {"x": now_seconds() + KEPT_SECONDS}


def _seconds(ms: int) -> int:
    return max(0, math.ceil(ms / 1000))
