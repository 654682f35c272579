"""A boundary that came late: events after it were taken for those of whoever had the identity before.

The generation that the boundary divides is given up, node, evidence and all, and everything that
was known by it is recorded anew: each event then finds its own generation by its time. What people
decided about it, and its contacts in destinations, go to whoever they were about. Every step may
run again; docs/identity.md tells why nothing gets lost between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from chalicelib.context import candidates, generations, place, resolve
from chalicelib.context.evidence import identity_of, trait
from chalicelib.context.fields import EQUAL
from chalicelib.context.generations import ERASED, boundaries_of, divided
from chalicelib.context.graph import Adm, Cluster, Rec, Rules, pair_of
from chalicelib.context.record import record, rules_of
from chalicelib.context.resolve import Node
from chalicelib.errors import Erased
from chalicelib.model import instants
from chalicelib.model.event import Event, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity
from chalicelib.store import connections, events, jobs
from chalicelib.store.jobs import Job
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id, ref_id
from chalicelib.store.table import ABSENT, Delete, Item, Key, Put, Table

KIND = "reapply"
PAGE = 25
LOOKED = 1000
"""Events of one neighbour that are looked at before it is taken that there is something to do."""
END = "\U0010ffff"


class Division(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be divided at `at`. `old`: the node that is given up; `to`: the nodes of the time
    before and after; `since`, `until`: the time of the old one, ends empty where it has none; `near`:
    nodes that evidence put next to it; `decided`: (node, ms, actor, state) of people's decisions."""

    identity: Identity
    at: str
    old: str
    edition: int
    to: tuple[str, str]
    since: str = ""
    until: str = ""
    near: tuple[str, ...] = ()
    decided: tuple[tuple[str, int, str, str], ...] = ()


@dataclass
class Done:
    """`moved`: sort key of an event → the node where it lies now; `near`: neighbours that only showed
    here; `next`: where to go on; `count`."""

    moved: dict[str, str] = field(default_factory=dict)
    near: list[str] = field(default_factory=list)
    next: str = ""
    count: int = 0


def start(table: Table, identity: Identity, at: str) -> Job:
    """The job of a boundary, one however often it is told."""
    params = {"identity": msgspec.to_builtins(identity), "at": at}
    return jobs.start(table, KIND, params, id=f"job_{digest(KIND, identity.text, at)}")


def look(table: Table, rules: Rules, identity: Identity, at: str) -> Division | None:
    """What a boundary left to do; None when nothing that happened after it lies before it."""
    known = boundaries_of(table.get((f"N#{node_id(identity)}", "-")))
    boundary = next((each for each in known if each.at == at), None)
    cut = divided(known, at)
    old = node_id(identity, cut.label)
    try:
        view = resolve.read(table, rules, old)
    except Erased:
        view = None
    if boundary is None or boundary.reason == ERASED or view is None:
        return None
    found = Division(
        identity=identity,
        at=at,
        old=old,
        edition=cut.edition + 1,
        to=(node_id(identity, cut._replace(edition=cut.edition + 1).label), node_id(identity, boundary.label)),
        since=cut.at,
        until=next((each.at for each in known if each.at > at), ""),
        near=_near(table, rules, (*resolve.far_ends(view.cluster, old), *candidates.sharers(table, old))),
        decided=tuple(_decisions(view.cluster, old)),
    )
    return found if _is_late(table, found) else None


def _near(table: Table, rules: Rules, nodes: Sequence[str]) -> tuple[str, ...]:
    """With their neighbours: whoever linked them may have died, and the event was recorded where it
    belongs when it came again, at an identity that only those know."""
    _, views = resolve.living(table, rules, sorted(set(nodes)))
    further = [resolve.far_ends(view.cluster, node) for node, view in views.items()]
    return tuple(sorted({*nodes, *(node for ends in further for node in ends)}))


def _decisions(cluster: Cluster, old: str) -> Iterator[tuple[str, int, str, str]]:
    for pair, rec in (*cluster.recs.items(), *cluster.held.items()):
        if old in pair and rec.adm.at:
            yield pair[0] if pair[1] == old else pair[1], rec.adm.at, rec.adm.actor, rec.adm.state


def _is_late(table: Table, division: Division) -> bool:
    """An event of a neighbour's that came after; or one of the next generation's that names a
    neighbour: whoever linked the two had not heard of the boundary, and died."""
    here = any("pl" not in item for item in _events(table, division.old, division.at, division.until))
    if here or any(_told_after(table, division, node, [division.identity]) for node in division.near):
        return True
    items = table.batch_get([(f"N#{node}", "-") for node in division.near]).values()
    neighbours = [identity_of(item) for item in items if "kind" in item]
    return _told_after(table, division, division.to[1], neighbours)


def _told_after(table: Table, division: Division, node: str, identities: Sequence[Identity]) -> bool:
    for number, item in enumerate(_events(table, node, division.at, division.until)):
        if number >= LOOKED or any(names(events.from_item(item), each) for each in identities):
            return True
    return False


def _events(table: Table, node: str, after: str, until: str) -> Iterator[Item]:
    start = f"E#{after}#{END}" if after else "E#"
    while True:
        page = table.query(f"N#{node}", after=start, before=f"E#{until or END}{END}", limit=100)
        yield from page.items
        if page.next is None:
            return
        start = page.next[1]


def names(event: Event, identity: Identity) -> bool:
    """Whether an event makes evidence of an identity."""
    wanted = identity.kind, identity.scope, identity.value
    return any(
        (each.kind, each.scope, each.value) == wanted for each in event.identities if each.assurance >= A2_ATTESTED
    )


def give_up(table: Table, rules: Rules, division: Division) -> Division | None:
    """Take the old node out of the graph; None when that is done. A neighbour that came meanwhile
    must be known first: then the division with him in it, and nothing is changed yet."""
    generations.renew(table, division.identity, division.at, division.edition)
    near = resolve.move(table, rules, division.old, division.to, division.near)
    return msgspec.structs.replace(division, near=_near(table, rules, near)) if near else None


def here(table: Table, division: Division, organisation: Organisation, after: str) -> Done:
    """One page of what lies at the old node goes where it belongs."""
    page = table.query(f"N#{division.old}", after=after or "-", before=END, limit=PAGE)
    done = Done(next=page.next[1] if page.next else "", count=len(page.items))
    for item in page.items:
        kind = item["sk"][:2]
        if kind == "E#":
            _bring(table, division, organisation, item, done)
        elif kind == "B#":
            done.near += _candidate(table, division, item)
        elif kind == "D#":
            table.batch_put([item | {"pk": f"N#{node}"} for node in division.to])
        if kind not in ("A#", "C#"):
            table.write(Delete((item["pk"], item["sk"])))
    return done


def _bring(table: Table, division: Division, organisation: Organisation, item: Item, done: Done) -> None:
    event = events.from_item(item)
    refs = [ref_id(ref) for ref in event.refs]
    waiting = _waiting(table, refs, item["sk"])
    for ref in refs:
        table.write(Delete((f"R#{ref}", f"P#{division.old}")))
    if "pl" in item:
        if waiting:
            place.wait_again(table, waiting)
        return
    if waiting and waiting.get("hm") == division.old:
        _drop(table, [(f"R#{ref}", item["sk"]) for ref in waiting["refs"]] + _copies(waiting))
    outcome = record(table, event, item["rc"], organisation, days=_days(item), priorities=_priorities(table, event))
    done.moved[item["sk"]] = outcome.pk.removeprefix("N#")


def _days(item: Item) -> int:
    """How long it is kept after it happened."""
    return int((item["x"] - instants.to_ms(item["sk"][2:26]) // 1000) // 86400)


def _priorities(table: Table, event: Event) -> Mapping[str, int]:
    """Of its fields, as its connection gives them now."""
    connection = connections.get(table, event.connection) if event.fields else None
    return connection.field_priority if connection else EQUAL


def _waiting(table: Table, refs: Iterable[str], sort: str) -> Item | None:
    return next(iter(table.batch_get([(f"R#{ref}", sort) for ref in refs]).values()), None)


def _copies(waiting: Item) -> list[Key]:
    return [(f"N#{waiting['placed']}", waiting["sk"])] if "placed" in waiting else []


def _drop(table: Table, keys: Iterable[Key]) -> None:
    for key in keys:
        table.write(Delete(key))


def _candidate(table: Table, division: Division, item: Item) -> list[str]:
    """Who typed the value at that time may be whoever had it then. A neighbour that was only listed,
    because the value was shared, is answered: its events must be looked at."""
    node, other = division.to[item["at"] > division.at], item["sk"][2:]
    if item["why"] == candidates.SHARED:
        return [other]
    back = table.get((f"N#{other}", f"B#{division.old}"))
    table.write(Put(item | {"pk": f"N#{node}"}))
    if back:
        table.write(Put(back | {"sk": f"B#{node}"}))
        table.write(Delete((back["pk"], back["sk"])))
    return []


def there(table: Table, division: Division, organisation: Organisation, node: str, after: str) -> Done:
    """One page of a neighbour's events: those that name the identity prove it anew."""
    start = after or (f"E#{division.since}#{END}" if division.since else "E#")
    page = table.query(f"N#{node}", after=start, before=f"E#{division.until or END}{END}", limit=PAGE)
    done = Done(next=page.next[1] if page.next else "", count=len(page.items))
    for item in page.items:
        event = events.from_item(item)
        if "pl" not in item and names(event, division.identity):
            record(table, event, item["rc"], organisation, item["pk"], _days(item), _priorities(table, event))
    return done


def finish(table: Table, division: Division, organisation: Organisation) -> None:
    """What people decided, and the contacts, go to the side that they were about."""
    rules = rules_of(organisation)
    for node, at, actor, state in division.decided:
        mine = division.to[at > instants.to_ms(division.at)]
        if "own" in (table.get((f"N#{node}", "-")) or {}):
            pairs = {pair_of(mine, node): Rec(0, Adm(at, actor, state))}
            resolve.apply(table, rules, [_node(mine, division.identity), Node(node)], pairs)
    living = [node for node in division.to if "own" in (table.get((f"N#{node}", "-")) or {})]
    for item in table.query(f"N#{division.old}", begins="C#").items:
        if living:
            table.write(Put(item | {"pk": f"N#{living[0]}"}, ABSENT))
            table.write(Delete((item["pk"], item["sk"])))


def _node(node: str, identity: Identity) -> Node:
    attributes = {"kind": identity.kind, "scope": identity.scope, "val": identity.value}
    return Node(node, trait(identity), A1_ASSERTED, "", attributes)
