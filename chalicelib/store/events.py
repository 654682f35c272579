"""Events in the table: one compressed item each, readable without opening it where lists need."""

from __future__ import annotations

import msgspec

from chalicelib.model import instants
from chalicelib.model.event import Event, Ref, content_digest
from chalicelib.settings import settings
from chalicelib.store.codec import pack, unpack
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import Item, Key, Table, live

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


def kept_until(event: Event, days: int) -> int:
    """Epoch seconds."""
    return instants.to_ms(event.occurred_at) // 1000 + kept_seconds(days)


def kept_seconds(days: int) -> int:
    return (days or settings().event_retention_days) * 86400


def from_item(item: Item) -> Event:
    return msgspec.json.decode(unpack(item["b"]), type=Event)
