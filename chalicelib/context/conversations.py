"""Conversations: threads that belong together, by the same machinery as identities, over refs.

A provider's thread is a node like a chat id, a case number an anchor, an order or receipt a value
that may be shared. Their evidence is that one event points at both: nothing of who the customer is
goes into it, and a moment counts only as the event's own. A ref has a node once it has a pair;
until then it is a conversation by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from chalicelib.context import graph, resolve
from chalicelib.context.graph import Rules
from chalicelib.context.resolve import Cause
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED
from chalicelib.store import events
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import Item, Key, Table

CONVERSATIONS = Rules(node="R#", cluster="V#", limit=20)
"""An order with more than twenty threads and receipts holds no conversation together."""
PREFIX = "conv_"
JOINING = ("thread", "case", "receipt", "order", "survey", "message", "token")
"""Kinds of refs that hold conversations, the finest first."""
SHAREABLE = frozenset({"order", "receipt"})


def trait(ref: Ref) -> str:
    if ref.kind == "case":
        return f"{graph.ANCHOR}case/{ref.scope}"
    return graph.SHAREABLE if ref.kind in SHAREABLE else ""


def attributes(ref: Ref) -> dict[str, str]:
    return {"kind": ref.kind, "scope": ref.scope, "val": ref.value}


def ref_of(table: Table, node: str) -> Ref | None:
    """What a ref node without an item of its own stands for, by an event of its first participant
    or one that waits there."""
    for item in table.query(f"R#{node}", limit=20).items:
        if item["sk"].startswith("E#"):
            return _among(events.from_item(item), node)
        if item["sk"].startswith("P#"):
            found = table.query(f"N#{item['sk'][2:]}", begins="E#", after="", forward=False, limit=200).items
            event = next((events.from_item(each) for each in found if each.get("th") == node), None)
            if event:
                return _among(event, node)
    return None


def _among(event: Event, node: str) -> Ref | None:
    return next((ref for ref in event.refs if ref_id(ref) == node), None)


def keys(refs: Sequence[str]) -> list[Key]:
    """What to read before `link`: with one ref alone there is nothing to link."""
    if len(refs) < 2:
        return []
    return [*((f"{CONVERSATIONS.node}{ref}", "-") for ref in refs), *resolve.beside(CONVERSATIONS, refs)]


def link(
    table: Table,
    event: Event,
    refs: Iterable[Ref],
    seen: Mapping[Key, Item] | None = None,
    assurance: int = A2_ATTESTED,
) -> None:
    """Hold the conversations of `refs` together, because `event` points at all of them.

    `seen`: what was just read of `keys`, one missing being absent; None: not read.
    """
    found = {ref_id(ref): ref for ref in refs if ref.kind in JOINING}
    if len(found) < 2:
        return
    finest = min(found, key=lambda node: (JOINING.index(found[node].kind), node))
    traits = {node: trait(ref) for node, ref in found.items()}
    pairs = graph.evidence(dict.fromkeys(found, assurance), traits, finest)
    nodes = [
        resolve.Node(node, traits[node], attributes=attributes(ref))
        for node, ref in sorted(found.items(), key=lambda each: (each[0] != finest, each[0]))
    ]
    known = None
    if seen is not None:
        known = {node: item for node in found if (item := seen.get((f"{CONVERSATIONS.node}{node}", "-")))}
    resolve.apply(table, CONVERSATIONS, nodes, pairs, seen=known, along=seen, cause=cause_of(event))


def cause_of(event: Event) -> Cause:
    """What the audit says of a change that an event brought about."""
    by = {"event": event.id, "type": event.type, "connection": event.connection, "source": event.source}
    return Cause(by | {"at": event.occurred_at})


def days_beside(ref: Ref) -> tuple[Ref, ...]:
    """The threads of the day before and the day after, as `kit/threads.py` names them by our
    address, the customer's and the UTC day; none for a thread that has a name of its own."""
    if ref.kind != "thread" or ref.value.count("|") != 2:
        return ()
    own, customer, text = ref.value.split("|")
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return ()
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
        beside = [day + timedelta(days=days) for days in (-1, 1)]
    except (ValueError, OverflowError):
        return ()
    return tuple(Ref(ref.kind, f"{own}|{customer}|{each:%Y%m%d}", ref.scope) for each in beside)


def join_days(table: Table, event: Event, refs: Iterable[Ref]) -> None:
    """Join neighbouring days that both have events. Call it after the event's own mark on its
    thread is written: of two first events at once, the second one sees the other."""
    for ref in refs:
        for beside in days_beside(ref):
            if table.query(f"R#{ref_id(beside)}", limit=1).items:
                link(table, event, (ref, beside))


def named(table: Table, items: Iterable[Item]) -> dict[str, str]:
    """Thread of each event item → public id of the conversation that it is in now."""
    threads = {str(item["th"]) for item in items if "th" in item}
    views = resolve.read_all(table, CONVERSATIONS, sorted(threads))
    return {thread: PREFIX + _oldest(thread, views.get(thread)) for thread in threads}


def _oldest(thread: str, view: resolve.View | None) -> str:
    return graph.node_of(view.customer) if view and view.customer else thread


def threads_of(table: Table, conversations: Iterable[str]) -> tuple[str, ...]:
    """All threads in the conversations with these public ids, present or former."""
    asked = [each.removeprefix(PREFIX) for each in conversations]
    views = resolve.read_all(table, CONVERSATIONS, asked)
    return tuple(sorted({*asked, *(node for view in views.values() for node in view.nodes)}))
