"""An event becomes context: link, then participants and placing, then the event itself.

The order is the promise: the fan-out must not see an event whose customer is not settled, and
an event is only there once everything that it proves is. Every step may run again: keys are
deterministic and content immutable, so a killed worker's message is simply taken again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib import telemetry
from chalicelib.context import (
    candidates,
    conversations,
    fields,
    generations,
    graph,
    handover,
    place,
    resolve,
    satisfaction,
)
from chalicelib.context.evidence import PROVABLE, Evidence, trait, weigh
from chalicelib.context.fields import EQUAL, NEWS, Repeats
from chalicelib.context.generations import boundaries_of, generation_at
from chalicelib.errors import Erased
from chalicelib.model import instants
from chalicelib.model.event import Event, content_digest
from chalicelib.model.identity import A3_VERIFIED, ANONYMOUS_KINDS, CONTACT_POINTS, Identity
from chalicelib.store import events
from chalicelib.store.contacts import pointer_key
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id, ref_id
from chalicelib.store.table import Item, Key, Table, live, now_seconds

ACCEPTED, DUPLICATE, REFUSED, EXPIRED = "accepted", "duplicate", "refused", "expired"
PLACING = PROVABLE | {"survey"}
"""Kinds of refs by which an event on a contact point finds its customer when that is shared."""


@dataclass(frozen=True)
class Recorded:
    """`pk`: the partition that holds the event; empty when it was refused as erased, or had expired."""

    verdict: str
    pk: str


@dataclass(frozen=True)
class _Seen:
    """What one read told before anything was written."""

    items: dict[Key, Item]
    nodes: dict[Identity, str]
    refs: tuple[str, ...]
    need: place.Need
    waits: tuple[str, ...]
    """Refs under which the event waits, besides being at home."""

    def node(self, identity: Identity) -> str:
        return self.nodes[identity]


def record(
    table: Table,
    event: Event,
    receipt: str,
    organisation: Organisation,
    kept: str = "",
    days: int = 0,
    priorities: Mapping[str, int] = EQUAL,
    repeats: Repeats = NEWS,
) -> Recorded:
    """Bring one stamped event into the context. `receipt`: the sort key of what brought it. `kept`:
    the partition in which that receipt's first reading put the event: there it stays, though the
    organisation's lists have changed since. `days`: how long after it happened it is kept, 0: as the
    stage is set. `priorities`: of the fields that it tells; `repeats`: what is no news in them.

    Raises Busy when other workers keep winning, StorageUnavailable when AWS fails: either way
    the message is taken again.
    """
    if events.kept_until(event, days) <= now_seconds():
        return Recorded(EXPIRED, "")
    evidence = replace(weigh(event, organisation), days=days, priorities=priorities, repeats=repeats)
    try:
        seen = _look(table, event, evidence)
        if seen and _bound(table, event):
            seen = _look(table, event, evidence)
        if seen is None:
            return Recorded(REFUSED, "")
        if kept and kept != _place(evidence, seen) and _lies(table, event, kept):
            return Recorded(ACCEPTED, kept)
        return (
            _wait(table, event, receipt, evidence, seen)
            if evidence.home is None
            else _keep(table, event, receipt, evidence, evidence.home, seen, rules_of(organisation))
        )
    except Erased:
        return Recorded(REFUSED, "")


def known(table: Table, event: Event, organisation: Organisation, days: int = 0, apart: int = 0) -> str:
    """Why recording it would bring nothing: DUPLICATE where it is there by its id, whatever is told of it now,
    REFUSED, EXPIRED; empty where it would be new. `apart`: seconds by which it may lie elsewhere in its partition."""
    if events.kept_until(event, days) <= now_seconds():
        return EXPIRED
    evidence = replace(weigh(event, organisation), days=days)
    if live(table.get((_usual_place(evidence), events.sort_key(event)))):
        return DUPLICATE
    seen = _look(table, event, evidence)
    if seen is None:
        return REFUSED
    pk = _place(evidence, seen)
    there = live(table.get((pk, events.sort_key(event)))) is not None
    return DUPLICATE if there or (apart > 0 and events.lies_near(table, pk, event, apart)) else ""


def _bound(table: Table, event: Event) -> bool:
    """The boundaries that it tells of come before its own evidence, which they divide."""
    told = generations.told_by(event)
    for identity, at in told:
        generations.bound(table, identity, at, generations.CHANGED_HANDS)
    return bool(told)


def _place(evidence: Evidence, seen: _Seen) -> str:
    return f"N#{seen.node(evidence.home)}" if evidence.home else f"R#{seen.waits[0]}"


def _usual_place(evidence: Evidence) -> str:
    """Where it lies unless its home changed hands: known by one read."""
    if evidence.home:
        return f"N#{node_id(evidence.home)}"
    return f"R#{ref_id((*evidence.refs, *evidence.typed)[0])}"


def _lies(table: Table, event: Event, pk: str) -> bool:
    """Whether this very event is there: one that is read in another way now goes its new way."""
    item = table.get((pk, events.sort_key(event)))
    return item is not None and item["sha"] == content_digest(event)


def rules_of(organisation: Organisation) -> graph.Rules:
    """The graph's limits as the organisation set them."""
    return graph.Rules(cap=organisation.cap, limit=organisation.limit)


def _look(table: Table, event: Event, evidence: Evidence) -> _Seen | None:
    """One read for all that is known by key; None when the event lies before an erasure."""
    first = {identity: node_id(identity) for identity in (*evidence.known, *evidence.asserted)}
    seen = _read(table, event, evidence, first, [(f"N#{node}", "-") for node in first.values()])
    nodes = {}
    for identity, node in first.items():
        generation = generation_at(boundaries_of(seen.items.get((f"N#{node}", "-"))), event.occurred_at)
        if generation is None:
            return None
        nodes[identity] = node_id(identity, generation) if generation else node
    if nodes == first:
        return seen
    return _read(table, event, evidence, nodes, [(f"N#{node}", "-") for node in nodes.values()])


def _read(table: Table, event: Event, evidence: Evidence, nodes: dict[Identity, str], keys: Sequence[Key]) -> _Seen:
    refs = tuple(ref_id(ref) for ref in evidence.refs)
    need, waits = _need(evidence, nodes)
    beside = resolve.beside(resolve.IDENTITIES, nodes.values())
    wanted = [*keys, *beside, *conversations.keys(refs), *((f"R#{ref}", events.sort_key(event)) for ref in waits[:1])]
    if evidence.home:
        home = nodes[evidence.home]
        wanted += [events.key_at(home, event), *((f"R#{ref}", f"P#{home}") for ref in refs)]
        wanted += [(f"N#{home}", "F")] if event.fields else []
        wanted += [pointer_key(each.scope, each.value) for each in evidence.known if each.kind == "crm"]
    return _Seen(table.batch_get(wanted), nodes, refs, need, waits)


def _need(evidence: Evidence, nodes: dict[Identity, str]) -> tuple[place.Need, tuple[str, ...]]:
    """Why the event waits under refs, and under which; none for one that is at home for good."""
    typed = tuple(ref_id(ref) for ref in evidence.typed)
    contacts = _contacts(evidence, nodes)
    if evidence.home is None:
        typed = typed if contacts else ()
        return place.Need(typed=typed, contacts=contacts, days=evidence.days), (
            *(ref_id(ref) for ref in evidence.refs),
            *typed,
        )
    fixed = evidence.home.kind not in CONTACT_POINTS
    proven = () if fixed else tuple(ref_id(ref) for ref in evidence.refs if ref.kind in PLACING)
    return place.Need(nodes[evidence.home], fixed, typed, contacts, evidence.days), (*proven, *typed)


def _contacts(evidence: Evidence, nodes: dict[Identity, str]) -> tuple[str, ...]:
    return tuple(nodes.get(each) or node_id(each) for each in evidence.contacts)


def _keep(
    table: Table,
    event: Event,
    receipt: str,
    evidence: Evidence,
    home: Identity,
    seen: _Seen,
    rules: graph.Rules,
) -> Recorded:
    applied = _link(table, event, evidence, home, seen, rules, _owners(table, evidence, seen))
    node = seen.node(home)
    typed = {seen.node(each): each.text for each in evidence.asserted}
    known = [seen.node(each) for each in evidence.known]
    possible = candidates.of_event(applied, known, list(typed), node)
    candidates.keep(table, possible, event, typed, evidence.days)
    candidates.greet(table, _contacts_among(applied.created, seen))
    who = _participant(event, evidence, seen, home)
    met = place.participate(table, seen.refs, who, seen.items)
    redeemed = handover.redeem(table, event)
    theirs = [ref_id(each.thread) for each in redeemed]
    there = table.batch_get([(f"R#{ref}", f"P#{node}") for ref in theirs]) if theirs else {}
    also = place.participate(table, theirs, _redeemer(who), there)
    handover.unite(table, rules, node, [*met.redeemers, *also.others], conversations.cause_of(event))
    _converse(table, event, evidence, seen, [(f"R#{ref}", f"P#{node}") for ref in seen.refs])
    handover.converse(table, event, redeemed)
    if seen.waits:
        _await(table, event, receipt, seen)
    satisfaction.keep(table, event, node, evidence.days)
    told, before = handover.preferred(event, redeemed), seen.items.get((f"N#{node}", "F"))
    fields.keep(table, node, event, told, before, evidence.priorities, evidence.repeats)
    item = _home_item(event, receipt, home, seen)
    verdict = _verdict(events.put(table, item, seen.items.get(events.key_at(node, event))), item)
    for mark in (*met.marks, *also.marks):
        table.write(mark)
    return Recorded(verdict, f"N#{node}")


def _owners(table: Table, evidence: Evidence, seen: _Seen) -> dict[str, str]:
    """Node of a CRM's record → node of the customer for whom we made it there, if he is there still."""
    pointers = {
        seen.node(each): seen.items.get(pointer_key(each.scope, each.value))
        for each in evidence.known
        if each.kind == "crm"
    }
    found = {node: str(item["node"]) for node, item in pointers.items() if item}
    living = table.batch_get([(f"N#{owner}", "-") for owner in found.values()]) if found else {}
    return {node: owner for node, owner in found.items() if "own" in living.get((f"N#{owner}", "-"), {})}


def _contacts_among(created: Sequence[str], seen: _Seen) -> list[str]:
    """New nodes that somebody may have typed before: contact points."""
    return [node for each, node in seen.nodes.items() if each.kind in CONTACT_POINTS and node in created]


def _home_item(event: Event, receipt: str, home: Identity, seen: _Seen) -> Item:
    item = events.item_at(f"N#{seen.node(home)}", event, receipt, seen.need.days)
    more = {"an": home.kind in ANONYMOUS_KINDS, "wt": "" if seen.need.fixed else "".join(seen.waits[:1])}
    return item | {name: value for name, value in more.items() if value}


def _participant(event: Event, evidence: Evidence, seen: _Seen, home: Identity) -> place.Participant:
    """A ref of this kind that is not typed came from an own system; reading saw to that."""
    own = any(ref.kind in PROVABLE for ref in evidence.refs)
    return place.Participant(
        seen.node(home),
        home.assurance,
        own,
        event.occurred_at,
        event.id,
        event.channel,
        event.address,
        home.kind in CONTACT_POINTS,
        _contacts(evidence, seen.nodes) if own else (),
        days=evidence.days,
    )


def _redeemer(who: place.Participant) -> place.Participant:
    return replace(who, assurance=A3_VERIFIED, own=False, contacts=(), token=True)


def _converse(table: Table, event: Event, evidence: Evidence, seen: _Seen, marks: Sequence[Key]) -> None:
    """Its refs are one conversation. `marks`: items that say, for each ref, that all of this was
    done before; a thread that is named by its day has its neighbours looked for until then."""
    conversations.link(table, event, evidence.refs, seen.items)
    fresh = [ref for ref, key in zip(evidence.refs, marks, strict=True) if "ok" not in seen.items.get(key, {})]
    conversations.join_days(table, event, fresh)


def _link(
    table: Table,
    event: Event,
    evidence: Evidence,
    home: Identity,
    seen: _Seen,
    rules: graph.Rules,
    owners: Mapping[str, str],
) -> resolve.Applied:
    day = instants.day(event.occurred_at)
    nodes = [
        resolve.Node(
            seen.node(each),
            trait(each),
            each.assurance,
            day,
            {"kind": each.kind, "scope": each.scope, "val": each.value, "via": event.id},
        )
        for each in sorted(evidence.known, key=lambda each: each != home)
    ]
    assurances = {node.id: node.asr for node in nodes}
    traits = {node.id: node.trait for node in nodes}
    pairs = graph.evidence(assurances, traits, seen.node(home))
    for mine, owner in owners.items():
        pairs[graph.pair_of(mine, owner)] = graph.Rec(A3_VERIFIED)
    nodes += [resolve.Node(owner) for owner in sorted({*owners.values()} - assurances.keys())]
    known = {node.id: item for node in nodes if (item := seen.items.get((f"N#{node.id}", "-")))}
    fresh = None if owners else known
    cause = conversations.cause_of(event)
    applied = resolve.apply(table, rules, nodes, pairs, seen=fresh, along=seen.items, cause=cause)
    if applied.held:
        telemetry.warn("evidence held: a cluster would grow too heavy", event=event.id, connection=event.connection)
    return applied


def _wait(table: Table, event: Event, receipt: str, evidence: Evidence, seen: _Seen) -> Recorded:
    """An event that names nobody: kept under its refs until somebody is there. A token that it redeems
    says whose it is as well as a ref does: it was given to whoever takes part in that thread."""
    redeemed = handover.redeem(table, event)
    handover.converse(table, event, redeemed)
    theirs = (ref_id(each.thread) for each in redeemed)
    seen = replace(seen, waits=tuple(dict.fromkeys((*seen.waits, *theirs))))
    _converse(table, event, evidence, seen, [(f"R#{seen.waits[0]}", events.sort_key(event))] * len(evidence.refs))
    there = _await(table, event, receipt, seen)
    return Recorded(_verdict(there, {"rc": receipt}), f"R#{seen.waits[0]}")


def _await(table: Table, event: Event, receipt: str, seen: _Seen) -> Item | None:
    """Written under its refs, or placed again where it is written already. Answers what was there."""
    existing = seen.items.get((f"R#{seen.waits[0]}", events.sort_key(event)))
    first = existing["rc"] if existing else receipt
    return place.wait(table, seen.waits, event, first, seen.need, existing)


def _verdict(existing: Item | None, item: Item) -> str:
    """A redelivery of the receipt that brought the event is no duplicate."""
    return ACCEPTED if existing is None or existing["rc"] == item["rc"] else DUPLICATE
