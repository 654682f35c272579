"""Erasing a person: out of the graph, the partitions, the conversations, and never back.

A boundary at the moment of erasure comes first, so that from then on whatever happened before is
refused before it links anybody. Every step may run again. What lies outside the context (receipts,
deliveries, other systems) is told by what a step found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.context import audit, conversations, fields, generations, handover, resolve
from chalicelib.context.evidence import identity_of
from chalicelib.context.graph import Rules
from chalicelib.model import instants
from chalicelib.model.customer import Person
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import CONTACT_POINTS, Identity
from chalicelib.store import events, receipts
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import EXISTS, Delete, Item, Key, Table, Update

PAGE = 25


@dataclass
class Found:
    """What a page of a partition pointed at. `receipts`: keys of what brought its events; `sorts`:
    sort keys of the events; `next`: where to go on, empty at the end; `count`: items deleted."""

    receipts: set[Key] = field(default_factory=set)
    sorts: list[str] = field(default_factory=list)
    next: str = ""
    count: int = 0


def plan(person: Person, at: str) -> dict[str, Any]:
    """Everything that the steps need once the person's items are gone; it holds his values, so
    whoever keeps it throws it away in the end."""
    identities = [[item["kind"], item.get("scope", ""), item["val"]] for item in person.nodes.values() if "val" in item]
    told = [each.value for each in person.customer.fields.values()]
    return {
        "customer": person.customer.id,
        "at": at,
        "nodes": sorted(person.nodes),
        "ids": [person.id, *(each.removeprefix("cus_") for each in person.customer.former)],
        "identities": sorted(identities),
        "values": sorted({*(value for _, _, value in identities), *(each for each in told if len(each) > 3)}),
    }


def bound(table: Table, identities: Iterable[Sequence[str]], nodes: Sequence[str], at: str) -> None:
    """From now on nothing of his that happened up to `at` is taken any more."""
    for kind, scope, value in identities:
        generations.erase(table, Identity(kind, value, scope), nodes, at)


def silence(table: Table, rules: Rules, node: str) -> None:
    """Take what people wrote about him out of audit items at his neighbours."""
    view = resolve.read(table, rules, node)
    for line in audit.of_view(table, view, {}) if view else []:
        if line.why:
            table.write(Update(line.place, {"why": ""}, when=EXISTS))


def unlink(table: Table, rules: Rules, nodes: Sequence[str], at: str) -> tuple[str, ...]:
    """Out of the graph; answers the nodes that stay, because they are shared."""
    return resolve.remove(table, rules, nodes, instants.to_ms(at))


def addresses(table: Table, identities: Iterable[Sequence[str]]) -> int:
    """Surveys that were sent to his addresses, and what was answered from there."""
    count = 0
    for kind, _, value in identities:
        if kind in CONTACT_POINTS:
            pk = f"R#{ref_id(Ref('address', f'{kind}:{value}'))}"
            count += _delete(table, [(item["pk"], item["sk"]) for item in table.query(pk).items])
    return count


def partition(table: Table, node: str, after: str = "") -> Found:
    """Delete one page of what lies at a node, and all that its events left elsewhere in the context."""
    page = table.query(f"N#{node}", after=after or "-", before="\U0010ffff", limit=PAGE)
    found = Found(next=page.next[1] if page.next else "")
    for item in page.items:
        found.count += _delete(table, _of_item(table, node, item, found))
    return found


def brought_by(table: Table, items: Iterable[Item], connection: str, until: str) -> Found:
    """Delete, of a page of the whole table, the events up to `until` that one connection brought and
    what they left in the context, and the fields that it told; its receipts' keys go into `receipts`."""
    found = Found()
    for item in items:
        kind = item["sk"][:2]
        if kind == "E#" and item.get("cn") == connection and item["sk"][2:26] <= until:
            node = item["pk"][2:] if item["pk"].startswith("N#") else str(item.get("placed", ""))
            found.count += _delete(table, _of_item(table, node, item, found))
        elif item["sk"] == "F" and item["pk"].startswith("N#"):
            found.count += fields.forget(table, item["pk"][2:], connection)
        elif item["pk"].startswith(f"I#{connection}#"):
            found.receipts.add((item["pk"], item["sk"]))
    return found


def leave(table: Table, rules: Rules, items: Iterable[Item], kind: str, scope: str, at: str) -> int:
    """Take, of a page of the whole table, accounts of one place out of the graph, and the contact
    points that nothing else is known of. Answers how many identities went."""
    gone = 0
    for item in items:
        here = item["sk"] == "-" and item["pk"].startswith("N#") and "own" in item
        if here and (item.get("kind"), item.get("scope")) == (kind, scope):
            gone += _leave(table, rules, item, at)
    return gone


def _leave(table: Table, rules: Rules, item: Item, at: str) -> int:
    node = item["pk"][2:]
    view = resolve.read(table, rules, node)
    near = resolve.far_ends(view.cluster, node) if view else ()
    _out(table, rules, item, at)
    items = table.batch_get([(f"N#{each}", "-") for each in near])
    known = [each for each in items.values() if each.get("kind") in CONTACT_POINTS and "own" in each]
    alone = [each for each in known if _unmoored(table, rules, each["pk"][2:])]
    for each in alone:
        _out(table, rules, each, at)
    return 1 + len(alone)


def _out(table: Table, rules: Rules, item: Item, at: str) -> None:
    node, identity = item["pk"][2:], identity_of(item)
    generations.erase(table, identity, [node], at)
    resolve.remove(table, rules, [node], instants.to_ms(at))
    addresses(table, [(identity.kind, identity.scope, identity.value)])
    while partition(table, node).next:
        pass


def _unmoored(table: Table, rules: Rules, node: str) -> bool:
    """Whether no event and no other identity is left that anybody knows it by."""
    view = resolve.read(table, rules, node)
    records = resolve.far_ends(view.cluster, node) if view else ()
    return not records and not table.query(f"N#{node}", begins="E#", limit=1).items


def _of_item(table: Table, node: str, item: Item, found: Found) -> list[Key]:
    own = (item["pk"], item["sk"])
    if item["sk"].startswith(receipts.AGAIN):
        found.receipts.add(receipts.key_again(item))
    if item["sk"].startswith("B#"):
        return [own, (f"N#{item['sk'][2:]}", f"B#{node}")]
    if not item["sk"].startswith("E#"):
        return [own]
    event = events.from_item(item)
    found.sorts.append(item["sk"])
    if "#" in item["rc"]:
        found.receipts.add((f"I#{item['cn']}#{instants.day(item['rc'])}", item["rc"]))
    home = [(f"N#{item['hm']}", item["sk"])] if "hm" in item else []
    return [own, *home, *_of_event(table, node, event, item["sk"], found)]


def _of_event(table: Table, node: str, event: Event, sort: str, found: Found) -> list[Key]:
    keys: list[Key] = [handover.key(ref.value) for ref in event.refs if ref.kind == "token"]
    named = [ref_id(each) for each in event.refs]
    copies = table.batch_get([(f"R#{ref}", sort) for ref in named]).values()
    for ref in dict.fromkeys([*named, *(ref for item in copies for ref in item.get("refs", ()))]):
        again = [each for each in table.query(f"R#{ref}", begins=receipts.AGAIN).items if each["eid"] == event.id]
        found.receipts |= {receipts.key_again(each) for each in again}
        _delete(table, [(f"R#{ref}", sort), (f"R#{ref}", f"P#{node}"), *((each["pk"], each["sk"]) for each in again)])
        if not table.query(f"R#{ref}", begins="P#", limit=1).items:
            resolve.remove(table, conversations.CONVERSATIONS, [ref], 0)
            keys.append((f"R#{ref}", "-"))
    return keys


def _delete(table: Table, keys: Iterable[Key]) -> int:
    """Those that exist; a delete of nothing costs as much as any."""
    known = table.batch_get(list(dict.fromkeys(keys)))
    for key in known:
        table.write(Delete(key))
    return len(known)


def mentions(raw: bytes, values: Iterable[str]) -> bool:
    """Whether these bytes hold one of the values, as text or as JSON writes it."""
    return any(value.encode() in raw or _escaped(value) in raw for value in values if len(value) > 3)


def _escaped(value: str) -> bytes:
    return value.encode("ascii", "backslashreplace")
