"""Receipts: the stored copy of what arrived, its verdict, and the events it became."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from chalicelib.model import instants
from chalicelib.model.event import Event
from chalicelib.settings import settings
from chalicelib.store import blobs, ids
from chalicelib.store.codec import pack, unpack
from chalicelib.store.table import EXISTS, Item, Page, Put, Table, Update, live, now_seconds

LARGEST_BODY = 9 * 1024
"""Above this, S3 is cheaper than write units."""
LAST = "\U0010ffff"
"""Sorts after whatever follows a moment in a sort key."""
STEPS: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365, 550, 730)
STEPS += (1095, 1825, 2555, 3650, 7300, 18250, 36500)
"""Days after which the bucket lets a body go, each under a prefix of its own: S3 knows no time of one object. A body
outlives its receipt until the next step, and never goes before it. The same as in infra/template.yaml."""
NEEDS_ATTENTION = frozenset({"malformed", "failed"})
BECAME_EVENTS = frozenset({"accepted", "duplicate"})
"""With a reason, which names the parts that did not, these need attention too."""


class Produced(msgspec.Struct, frozen=True, array_like=True):
    """One event that a receipt became, with the key of its item."""

    id: str
    pk: str
    sk: str
    type: str
    channel: str
    direction: str
    occurred_at: str
    verdict: str


@dataclass(frozen=True)
class Receipt:
    id: str
    connection: str
    received_at: str
    verdict: str
    reason: str
    produced: tuple[Produced, ...]
    fetched: dict[str, Any] | None
    key: str
    test: bool
    missed: bool
    pk: str
    sk: str
    body: bytes
    blob: str

    def arrival(self) -> bytes | None:
        """The packed arrival; None when its object expired or was erased."""
        return blobs.get(self.blob) if self.blob else self.body or None


def key_of(connection: str, received_at: str, arrival_id: str) -> tuple[str, str]:
    return f"I#{connection}#{instants.day(received_at)}", f"{received_at}#{arrival_id}"


def public_id(pk: str, sk: str) -> str:
    return ids.seal("rcp", pk[2:], sk)


def item_of(
    *,
    arrival_id: str,
    connection: str,
    received_at: str,
    packed: bytes,
    verdict: str,
    reason: str = "",
    produced: tuple[Produced, ...] = (),
    fetched: dict[str, Any] | None = None,
    key: str = "",
    test: bool = False,
    missed: bool = False,
    days: int = 0,
) -> Item:
    """The item to put. A large body goes to S3 here, before anything points at it. `days`: how long
    it is kept; 0: as the stage is set."""
    pk, sk = key_of(connection, received_at, arrival_id)
    item: Item = {"pk": pk, "sk": sk, "vd": verdict, "x": kept_until(days)}
    if len(packed) > LARGEST_BODY:
        item["s3"] = _place(_step(days), connection, received_at, arrival_id)
        blobs.put(item["s3"], packed)
    else:
        item["b"] = packed
    if verdict in NEEDS_ATTENTION or (reason and verdict in BECAME_EVENTS):
        item |= {"gpk": f"M#{connection}", "gsk": sk}
    optional = {"why": reason[:500], "key": key, "test": test or None, "mi": missed or None}
    item |= {name: value for name, value in optional.items() if value}
    if produced:
        item["evs"] = msgspec.msgpack.encode(produced)
    if fetched:
        item["ft"] = pack(msgspec.msgpack.encode(fetched))
    return item


def from_item(item: Item) -> Receipt:
    connection = item["pk"].split("#")[1]
    return Receipt(
        id=public_id(item["pk"], item["sk"]),
        connection=connection,
        received_at=item["sk"].partition("#")[0],
        verdict=item["vd"],
        reason=item.get("why", ""),
        produced=msgspec.msgpack.decode(item["evs"], type=tuple[Produced, ...]) if "evs" in item else (),
        fetched=msgspec.msgpack.decode(unpack(item["ft"])) if "ft" in item else None,
        key=item.get("key", ""),
        test=bool(item.get("test")),
        missed=bool(item.get("mi")),
        pk=item["pk"],
        sk=item["sk"],
        body=item.get("b", b""),
        blob=item.get("s3", ""),
    )


def kept_until(days: int) -> int:
    return now_seconds() + (days or settings().receipt_retention_days) * 86400


def _step(days: int) -> int:
    kept = days or settings().receipt_retention_days
    return next(step for step in STEPS if step >= kept)


def _place(step: int, connection: str, received_at: str, arrival_id: str) -> str:
    return f"receipts/{step}d/{connection}/{instants.day(received_at)}/{arrival_id}"


def _places(key: tuple[str, str]) -> list[str]:
    """Wherever its body may lie: a replay after somebody changed how long receipts are kept leaves the one before,
    and what was too large for the queue lies in the inbox."""
    connection, (received_at, _, arrival_id) = key[0].split("#")[1], key[1].partition("#")
    steps = [_place(step, connection, received_at, arrival_id) for step in STEPS]
    return [*steps, blobs.inbox_key(connection, arrival_id)]


def produced_of(event: Event, pk: str, verdict: str) -> Produced:
    sk = f"E#{event.occurred_at}#{event.id}"
    return Produced(event.id, pk, sk, event.type, event.channel, event.direction, event.occurred_at, verdict)


def get(table: Table, pk: str, sk: str) -> Receipt | None:
    item = live(table.get((pk, sk)))
    return from_item(item) if item else None


AT_ONCE = 25
"""Receipts that are read at once to find one behind tests."""
AGAIN = "D#"
"""Beside an event: the receipts that brought it again, so that erasing finds them."""


def brought_again(table: Table, pk: str, event: str, connection: str, mark: str, days: int = 0) -> None:
    """`pk`: the partition of the event; `mark`: the receipt's sort key; `days`: how long that is kept."""
    again = {"pk": pk, "sk": f"{AGAIN}{mark}", "eid": event, "cn": connection, "x": kept_until(days)}
    table.write(Put(again))


def key_again(item: Item) -> tuple[str, str]:
    """The key of the receipt that such an item names."""
    mark = item["sk"].removeprefix(AGAIN)
    return f"I#{item['cn']}#{instants.day(mark)}", mark


ERASED = "erased"
BODY = ("b", "s3", "ft", "key", "evs", "why", "gpk", "gsk")
"""What a blanked receipt has no more."""


def blank(table: Table, key: tuple[str, str]) -> bool:
    """Empty a receipt whole: that something came is left. False: there is none."""
    item = table.get(key)
    if item is None:
        return False
    if "s3" in item:
        blobs.delete(sorted({item["s3"], *_places(key)}))
    gone = tuple(name for name in BODY if name in item)
    return table.write(Update(key, {"vd": ERASED}, gone, when=EXISTS))


def of_day(table: Table, connection: str, day: str, *, since: str = "", before: str = "", limit: int = 0) -> Page:
    """Receipts of one connection and day, newest first; `since` inclusive, `before` a sort key."""
    after = since and since[:-1]
    page = table.query(f"I#{connection}#{day}", after=after, before=before, forward=False, limit=limit)
    return Page([item for item in page.items if live(item) and item["sk"] >= since], page.next)


def between(table: Table, connection: str, day: str, since: str, until: str, limit: int, after: str = "") -> Page:
    """Receipts of one connection and day within a range, oldest first; both ends inclusive. `after`: the sort key
    with which a page before ended. Those that were blanked for somebody's erasure are left out: nothing is in them."""
    page = table.query(f"I#{connection}#{day}", after=after or since[:-1], before=f"{until}{LAST}", limit=limit)
    return Page([item for item in page.items if since <= item["sk"] and item["vd"] != ERASED], page.next)


def newest(table: Table, connection: str, days: int = 2) -> str:
    """When the connection was last heard of, looking back `days`; empty if not. Tests of ours do not count."""
    today = instants.now_ms()
    for back in range(days):
        pk = f"I#{connection}#{instants.day(instants.from_ms(today - back * 86_400_000))}"
        page = table.query(pk, forward=False, limit=1)
        while page.items:
            if found := next((item for item in page.items if not item.get("test")), None):
                return str(found["sk"].partition("#")[0])
            page = table.query(pk, before=page.next[1], forward=False, limit=AT_ONCE) if page.next else Page([], None)
    return ""
