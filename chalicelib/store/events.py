"""Events in the table: one compressed item each, readable without opening it where lists need."""

from __future__ import annotations

import operator

import msgspec

from chalicelib.errors import Busy
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref, content_digest
from chalicelib.settings import settings
from chalicelib.store.codec import pack, unpack
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import ABSENT, Item, Key, Put, Table, equal, live

THREADS = ("thread", "case", "receipt", "order", "survey")
"""Kinds of refs that hold a conversation, the finest first."""


SENSITIVE = "se"
"""Of an item whose event is."""


def sort_key(event: Event) -> str:
    return f"E#{event.occurred_at}#{event.id}"


def key_at(node: str, event: Event) -> Key:
    return f"N#{node}", sort_key(event)


def thread_of(event: Event) -> Ref | None:
    """The finest ref that can hold a conversation."""
    proven = [ref for ref in event.refs if not ref.typed]
    return next((ref for kind in THREADS for ref in proven if ref.kind == kind), None)


def lies_near(table: Table, pk: str, event: Event, seconds: int) -> bool:
    """Whether this event is in a partition at most so long before or after the moment that it tells."""
    at = instants.to_ms(event.occurred_at)
    first, last = (instants.from_ms(at + sign * seconds * 1000) for sign in (-1, 1))
    near = table.query(pk, after=f"E#{first}", before=f"E#{last}#~").items
    return any(item["sk"].endswith(f"#{event.id}") and live(item) for item in near)


def item_at(pk: str, event: Event, receipt: str, days: int = 0) -> Item:
    """`receipt` is the sort key of the receipt that brought it. `days`: how long after it happened it
    is kept; 0: as the stage is set."""
    thread = thread_of(event)
    item: Item = {
        "pk": pk,
        "sk": sort_key(event),
        "ty": event.type,
        "ch": event.channel,
        "di": event.direction,
        "cn": event.connection,
        "rc": receipt,
        "sha": content_digest(event),
        "v": event.v,
        "b": pack(msgspec.json.encode(event)),
        "x": kept_until(event, days),
    }
    return item | ({"th": ref_id(thread)} if thread else {}) | ({SENSITIVE: True} if event.sensitive else {})


def newness(item: Item) -> tuple[int, str]:
    """Of several contents of one event the highest stays, whatever the order in which they come."""
    return item["v"], item["sha"]


def put(table: Table, item: Item, existing: Item | None = None, *, anew: bool = False) -> Item | None:
    """Write once: absent → put; same content → nothing; otherwise the newer stays. `existing`: what was read there
    before; `anew`: the same content is written too, because what stands beside it changed.

    Answers what was there. Raises Busy.
    """
    stands = operator.gt if anew else operator.ge
    for _ in range(10):
        if existing is not None and stands(newness(existing), newness(item)):
            return existing
        if table.write(Put(item, equal(sha=existing["sha"], v=existing["v"]) if existing else ABSENT)):
            return existing
        existing = table.get((item["pk"], item["sk"]))
    raise Busy("the event changes all the time")


def newer(item: Item, existing: Item | None) -> Item:
    """Which of the two stays: what is there, unless the other is newer."""
    return existing if existing is not None and newness(existing) >= newness(item) else item


def kept_until(event: Event, days: int) -> int:
    """Epoch seconds."""
    return instants.to_ms(event.occurred_at) // 1000 + kept_seconds(days)


def kept_seconds(days: int) -> int:
    return (days or settings().event_retention_days) * 86400


def from_item(item: Item) -> Event:
    return msgspec.json.decode(unpack(item["b"]), type=Event)
