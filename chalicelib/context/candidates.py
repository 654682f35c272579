"""Candidates: who a value may belong to, without any history crossing.

A typed address (A1) and a shared one identify nobody. So that an agent who looks one up still sees
who it may be, the value's node keeps one item for each neighbour, written once.
"""

from __future__ import annotations

from collections.abc import Collection

from chalicelib.context.resolve import Applied
from chalicelib.model.event import Event
from chalicelib.settings import settings
from chalicelib.store.table import Item, Key, Table, live, now_seconds

ASSERTED, SHARED = "asserted", "shared"
MOST = 20
"""Neighbours shown for one value: beyond that it says nothing about anybody."""


def of_event(applied: Applied, known: Collection[str], asserted: Collection[str], home: str) -> dict[Key, str]:
    """Key of each candidate item that this event gives reason for → the reason."""
    nobody = [node for node in known if applied.part(node) is None]
    somebody = [node for node in known if node not in nobody]
    found = {(f"N#{value}", f"B#{home}"): ASSERTED for value in asserted if value != home}
    return found | {(f"N#{value}", f"B#{other}"): SHARED for value in nobody for other in somebody}


def keep(table: Table, wanted: dict[Key, str], event: Event) -> None:
    """Write those that are not there yet; each names the event that was first to give reason."""
    if not wanted:
        return
    known = table.batch_get(wanted)
    until = now_seconds() + settings().event_retention_days * 86400
    fresh: list[Item] = [
        {"pk": pk, "sk": sk, "why": why, "eid": event.id, "at": event.occurred_at, "x": until}
        for (pk, sk), why in wanted.items()
        if not live(known.get((pk, sk)))
    ]
    if fresh:
        table.batch_put(fresh)


def neighbours(table: Table, value: str) -> list[str]:
    """Nodes that a value may belong to."""
    items = table.query(f"N#{value}", begins="B#", limit=MOST).items
    return [item["sk"][2:] for item in items if live(item)]
