"""The pulse: how late each queue and the stream are, measured by sending something along.

The sweep sends one message down each queue that has work waiting, and touches one item for the
stream; whoever takes it writes down how long it was on its way. While it is under way, its own age
tells how late things are, also when nobody takes anything any more.
"""

from __future__ import annotations

from typing import Any

from chalicelib.model import instants
from chalicelib.store import queues
from chalicelib.store.table import Item, Key, Table, Update, equal

STREAM = "stream"
QUEUES = (queues.INBOX, queues.DELIVERIES, queues.JOBS)
WAYS = (*QUEUES, STREAM)
MARK = "pulse|"
EVERY_MS, AGAIN_MS = 50_000, 240_000
"""Between two of them; and until one that did not come back is sent once more."""
FRESH_MS = 180_000
"""For so long after it was sent, what it measured says how things are."""


def key(way: str) -> Key:
    return "ORG", f"PULSE#{way}"


def beat(table: Table) -> None:
    """Send what is due. Two sweeps at once send two, which is harmless."""
    now, known = instants.now_ms(), table.batch_get([key(way) for way in WAYS])
    for way in WAYS:
        item = known.get(key(way), {})
        if now - item.get("tried", 0) >= (AGAIN_MS if _under_way(item) else EVERY_MS):
            _send(table, way, item, now)


def _send(table: Table, way: str, item: Item, now: int) -> None:
    """The stream's is sent by writing it down. An empty queue has no age: nothing is sent there."""
    if way != STREAM and queues.depth(way)[0] == 0 and not _under_way(item):
        return
    sent = item["sent"] if _under_way(item) else now
    table.write(Update(key(way), {"sent": sent, "tried": now}))
    if way != STREAM:
        queues.send(way, f"{MARK}{sent}", group="pulse")


def _under_way(item: Item) -> bool:
    return bool(item.get("sent", 0) > item.get("back", 0))


def is_one(body: str) -> bool:
    return body.startswith(MARK)


def back(table: Table, way: str, sent: int) -> None:
    """It arrived. One that was sent twice counts once."""
    change = {"back": sent, "took": max(0, instants.now_ms() - sent)}
    table.write(Update(key(way), change, when=equal(sent=sent)))


def taken(table: Table, queue: str, body: str) -> None:
    """It came out at the end of a queue."""
    number = body.removeprefix(MARK)
    if number.isascii() and number.isdigit():
        back(table, queue, int(number))


def seen(table: Table, new: Item | None) -> bool:
    """Whether a stream record is the pulse; its own answer comes along the stream too."""
    if new is None or (new["pk"], new["sk"]) != key(STREAM):
        return False
    if _under_way(new):
        back(table, STREAM, int(new["sent"]))
    return True


def read(table: Table) -> dict[str, Any]:
    """Way → milliseconds, None where nothing fresh is known; `swept`: when the last sweep was seen, in ms."""
    now, known = instants.now_ms(), table.batch_get([key(way) for way in WAYS])
    late = {way: _late(known.get(key(way), {}), now) for way in WAYS}
    return {"late": late, "swept": max((item.get("tried", 0) for item in known.values()), default=0)}


def _late(item: Item, now: int) -> int | None:
    if _under_way(item):
        return now - int(item["sent"])
    return int(item["took"]) if now - item.get("sent", 0) < FRESH_MS and "took" in item else None
