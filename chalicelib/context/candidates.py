"""Candidates: who a value may belong to, without any history crossing.

A typed address (A1) and a shared one identify nobody. So that an agent who looks one up still sees
who it may be, the value's node keeps one item for each neighbour, written once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from chalicelib.context import graph, resolve
from chalicelib.context.evidence import identity_of
from chalicelib.context.resolve import Applied
from chalicelib.model.event import Event
from chalicelib.store import events
from chalicelib.store.table import EXISTS, Item, Key, Table, Update, live, now_seconds

FLAG = "cand"
"""Of a node with candidates, so that nobody else is asked for any."""
ASSERTED, SHARED, TYPED_REF = "asserted", "shared", "typed reference"
LOOKED = 5
"""Newest identities of a customer that are asked for candidates."""
MOST = 20
"""Neighbours shown for one value: beyond that it says nothing about anybody."""


def of_event(applied: Applied, known: Collection[str], asserted: Collection[str], home: str) -> dict[Key, str]:
    """Key of each candidate item that this event gives reason for → the reason."""
    nobody = [node for node in known if applied.part(node) is None]
    somebody = [node for node in known if node not in nobody]
    found = between(home, [value for value in asserted if value != home], ASSERTED)
    return found | {(f"N#{value}", f"B#{other}"): SHARED for value in nobody for other in somebody}


def between(home: str, others: Iterable[str], why: str) -> dict[Key, str]:
    """Found from both ends."""
    return {(f"N#{a}", f"B#{b}"): why for other in others for a, b in ((home, other), (other, home))}


def keep(
    table: Table, wanted: dict[Key, str], event: Event, texts: Mapping[str, str] | None = None, days: int = 0
) -> None:
    """Write those that are not there yet; each names the event that was first to give reason.
    `texts`: node → identity, for values that may have no node of their own. `days`: how long they
    are kept."""
    if not wanted:
        return
    known = table.batch_get(wanted)
    until = now_seconds() + events.kept_seconds(days)
    fresh: list[Item] = [
        {"pk": pk, "sk": sk, "why": why, "eid": event.id, "at": event.occurred_at, "x": until}
        | ({"id": texts[sk[2:]]} if texts and sk[2:] in texts else {})
        for (pk, sk), why in wanted.items()
        if not live(known.get((pk, sk)))
    ]
    if fresh:
        table.batch_put(fresh)
        for pk in sorted({item["pk"] for item in fresh if item["why"] != SHARED}):
            table.write(Update((pk, "-"), {FLAG: True}, when=EXISTS))


def greet(table: Table, created: Iterable[str]) -> None:
    """Flag nodes that are new and were somebody's candidate before they were known."""
    for node in created:
        if table.query(f"N#{node}", begins="B#", limit=1).items:
            table.write(Update((f"N#{node}", "-"), {FLAG: True}, when=EXISTS))


def neighbours(table: Table, value: str) -> list[str]:
    """Nodes that a value may belong to."""
    items = table.query(f"N#{value}", begins="B#", limit=MOST).items
    return [item["sk"][2:] for item in items if live(item)]


def sharers(table: Table, value: str) -> list[str]:
    """Nodes that came to a value which was shared already, and so kept no record of them."""
    return [item["sk"][2:] for item in table.query(f"N#{value}", begins="B#").items if item["why"] == SHARED]


@dataclass(frozen=True)
class Candidate:
    """Somebody who may be the customer that was asked for. `identity`: the value that points at
    him; `customer`: his id, empty while nobody is known by that value; `beside`: the customer's own
    identity that it stands beside, so that people can decide about the two."""

    identity: str
    why: str
    event: str
    at: str
    customer: str
    beside: str


def of_nodes(table: Table, nodes: Mapping[str, Item]) -> list[Candidate]:
    """For the customer with these nodes (id → item): by his newest identities, the newest first.
    Whom an agent cut off is none any more."""
    flagged = [node for node, item in nodes.items() if item.get(FLAG)]
    newest = sorted(flagged, key=lambda node: str(nodes[node].get("last", "")), reverse=True)[:LOOKED]
    found = {
        item["sk"][2:]: (node, item)
        for node in newest
        for item in table.query(f"N#{node}", begins="B#", limit=MOST).items
        if live(item) and item["sk"][2:] not in nodes
    }
    known, views = resolve.living(table, resolve.IDENTITIES, sorted(found))
    shown = [
        _candidate(nodes[node], other, item, known[other] if other in views else None, views.get(other))
        for other, (node, item) in found.items()
        if not _cut(views.get(other), node) and not _erased(known.get(other))
    ]
    return sorted(shown, key=lambda each: (each.at, each.identity), reverse=True)


def _candidate(own: Item, other: str, item: Item, node: Item | None, view: resolve.View | None) -> Candidate:
    text = identity_of(node).text if node else str(item.get("id", ""))
    customer = (view.customer or "") if view else ""
    return Candidate(text, item["why"], item["eid"], item["at"], customer, identity_of(own).text)


def _cut(view: resolve.View | None, node: str) -> bool:
    rec = view.cluster.recs.get(graph.pair_of(view.node, node)) if view else None
    return rec is not None and rec.adm.state == graph.CUT


def _erased(item: Item | None) -> bool:
    return item is not None and "erased" in item
