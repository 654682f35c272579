"""An event becomes context: link, then participants and placing, then the event itself.

The order is the promise: the fan-out must not see an event whose customer is not settled, and
an event is only there once everything that it proves is. Every step may run again: keys are
deterministic and content immutable, so a killed worker's message is simply taken again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.context import candidates, fields, graph, place, resolve
from chalicelib.context.evidence import Evidence, trait, weigh
from chalicelib.errors import Busy, Erased
from chalicelib.model import instants
from chalicelib.model.event import Event
from chalicelib.model.identity import ANONYMOUS_KINDS, Identity
from chalicelib.store import events
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id, ref_id
from chalicelib.store.table import ABSENT, Item, Key, Put, Table, equal

ACCEPTED, DUPLICATE, REFUSED = "accepted", "duplicate", "refused"
PROVABLE = frozenset({"order", "receipt", "case"})


@dataclass(frozen=True)
class Recorded:
    """`pk`: the partition that holds the event; empty when it was refused as erased."""

    verdict: str
    pk: str


@dataclass(frozen=True)
class _Seen:
    """What one read told before anything was written."""

    items: dict[Key, Item]
    nodes: dict[Identity, str]
    refs: tuple[str, ...]

    def node(self, identity: Identity) -> str:
        return self.nodes[identity]


def record(table: Table, event: Event, receipt: str, organisation: Organisation) -> Recorded:
    """Bring one stamped event into the context. `receipt`: the sort key of what brought it.

    Raises Busy when other workers keep winning, StorageUnavailable when AWS fails: either way
    the message is taken again.
    """
    evidence = weigh(event, organisation)
    try:
        seen = _look(table, event, evidence)
        if seen is None:
            return Recorded(REFUSED, "")
        return (
            _wait(table, event, receipt, seen)
            if evidence.home is None
            else _keep(table, event, receipt, evidence, evidence.home, seen, rules_of(organisation))
        )
    except Erased:
        return Recorded(REFUSED, "")


def rules_of(organisation: Organisation) -> graph.Rules:
    """The graph's limits as the organisation set them."""
    return graph.Rules(cap=organisation.cap, limit=organisation.limit)


def _look(table: Table, event: Event, evidence: Evidence) -> _Seen | None:
    """One read for all that is known by key; None when the event lies before an erasure."""
    refs = tuple(ref_id(ref) for ref in evidence.refs)
    first = {identity: node_id(identity) for identity in evidence.known}
    keys = [(f"N#{node}", "-") for node in first.values()] + _keys(event, evidence, first, refs)
    items = table.batch_get(keys)
    nodes = {}
    for identity, node in first.items():
        generation = generation_at((items.get((f"N#{node}", "-")) or {}).get("gens", []), event.occurred_at)
        if generation is None:
            return None
        nodes[identity] = node_id(identity, generation) if generation else node
    if list(nodes.values()) != list(first.values()):
        again = [(f"N#{node}", "-") for node in nodes.values()]
        items = table.batch_get(again + _keys(event, evidence, nodes, refs))
    return _Seen(items, nodes, refs)


def _keys(event: Event, evidence: Evidence, nodes: dict[Identity, str], refs: Sequence[str]) -> list[Key]:
    if evidence.home is None:
        return [(f"R#{refs[0]}", events.sort_key(event))]
    home = nodes[evidence.home]
    fixed = [events.key_at(home, event)] + [(f"R#{ref}", f"P#{home}") for ref in refs]
    return fixed + ([(f"N#{home}", "F")] if event.fields else [])


def generation_at(boundaries: Sequence[Sequence[str]], occurred_at: str) -> int | None:
    """Which generation of an identity an event belongs to, by the event's own time.

    `boundaries`: (time, reason) in order of time. None: the event lies at or before an erasure,
    and is refused.
    """
    passed = [reason for at, reason in boundaries if occurred_at > at]
    if any(reason == "erased" for _, reason in boundaries[len(passed) :]):
        return None
    return len(passed)


def _keep(
    table: Table,
    event: Event,
    receipt: str,
    evidence: Evidence,
    home: Identity,
    seen: _Seen,
    rules: graph.Rules,
) -> Recorded:
    applied = _link(table, event, evidence, home, seen, rules)
    node = seen.node(home)
    typed = [node_id(each) for each in evidence.asserted]
    candidates.keep(table, candidates.of_event(applied, list(seen.nodes.values()), typed, node), event)
    who = _participant(event, node, home)
    marks = place.participate(table, seen.refs, who, seen.items)
    if event.fields:
        fields.keep(table, node, event, seen.items.get((f"N#{node}", "F")))
    item = events.item_at(f"N#{node}", event, receipt) | ({"an": True} if home.kind in ANONYMOUS_KINDS else {})
    verdict = _put_event(table, item, seen.items.get(events.key_at(node, event)))
    for mark in marks:
        table.write(mark)
    return Recorded(verdict, f"N#{node}")


def _participant(event: Event, node: str, home: Identity) -> place.Participant:
    """A ref of this kind that is not typed came from an own system; reading saw to that."""
    own = any(ref.kind in PROVABLE and not ref.typed for ref in event.refs)
    return place.Participant(node, home.assurance, own, event.occurred_at, event.id, event.channel, event.address)


def _link(
    table: Table, event: Event, evidence: Evidence, home: Identity, seen: _Seen, rules: graph.Rules
) -> resolve.Applied:
    day = instants.day(event.occurred_at)
    nodes = [
        resolve.Node(
            seen.node(each),
            trait(each),
            each.assurance,
            day,
            {"kind": each.kind, "scope": each.scope, "val": each.value},
        )
        for each in evidence.known
    ]
    assurances = {node.id: node.asr for node in nodes}
    traits = {node.id: node.trait for node in nodes}
    pairs = graph.evidence(assurances, traits, seen.node(home))
    known = {node.id: item for node in nodes if (item := seen.items.get((f"N#{node.id}", "-")))}
    return resolve.apply(table, rules, nodes, pairs, seen=known)


def _wait(table: Table, event: Event, receipt: str, seen: _Seen) -> Recorded:
    """An event that names nobody: kept under its refs until somebody is there."""
    existing = seen.items.get((f"R#{seen.refs[0]}", events.sort_key(event)))
    item = events.item_at("", event, existing["rc"] if existing else receipt)
    if existing and (existing["v"], existing["sha"]) >= (item["v"], item["sha"]):
        place.place(table, existing)
    else:
        place.wait(table, seen.refs, event, item["rc"])
    return Recorded(_verdict(existing, item | {"rc": receipt}), f"R#{seen.refs[0]}")


def _put_event(table: Table, item: Item, existing: Item | None) -> str:
    """Write once: absent → put; same content → duplicate; otherwise the higher (v, digest) stays."""
    for _ in range(10):
        verdict = _verdict(existing, item)
        if existing is not None and (existing["v"], existing["sha"]) >= (item["v"], item["sha"]):
            return verdict
        if table.write(Put(item, equal(sha=existing["sha"], v=existing["v"]) if existing else ABSENT)):
            return verdict
        existing = table.get((item["pk"], item["sk"]))
    raise Busy("the event changes all the time")


def _verdict(existing: Item | None, item: Item) -> str:
    """A redelivery of the receipt that brought the event is no duplicate."""
    return ACCEPTED if existing is None or existing["rc"] == item["rc"] else DUPLICATE
