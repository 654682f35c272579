"""The identity store: APPLY evidence, READ customers, REMOVE nodes, on the table port.

Everything that concerns one event lies in the clusters of its identifiers, so each change is
one conditional put or one transaction; whoever loses the race reads again. docs/identity.md
gives the protocol, its invariants and its cost. Items:

    node      N#n -          born own [kind scope val via viak asr last]; erased (ms) once erased, moved
                             (nodes) once a boundary that came late divided it; gens stays
    cluster   K#k -          ver mem {n: [born, trait]} far {n: trait} recs adm blk held full told lim parts
    left      K#k -          ver fwd, the key of the cluster that its nodes went to
    audit     N#n A#ms#id    what, by and why, before and after: customer ids; see context/audit.py

`recs` is packed, five bytes a record: two positions in sorted(mem) + sorted(far), the assurance.
`parts` and `full` list positions in sorted(mem); `lim` is there where the limits are not the usual.
"""

from __future__ import annotations

import base64
import random
import secrets
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from chalicelib.context import graph
from chalicelib.context.graph import Adm, Block, Change, Cluster, Conflict, Pair, Part, Plan, Rec, Rules
from chalicelib.errors import Busy, Erased
from chalicelib.model.event import digest
from chalicelib.store.table import ABSENT, Action, Check, Delete, Item, Key, Put, Table, Update, equal

IDENTITIES = Rules()
AUDIT = "A#"
TOLD = 30
"""Nodes with audit items that a cluster remembers; most have none or one."""
AUDITED = 20
"""Customers named on each side of an audit item, so that it stays below 2 KB."""
HELD, MOVED = "held", "moved"
RESTARTS = 24
"""Lost races before Busy. Four workers on one customer lose about one a change."""

Answer = TypeVar("Answer")
_clusters: dict[Key, Key] = {}
_members: dict[Key, tuple[str, ...]] = {}
"""Where this container last saw whose cluster each node is in, and who else. Only ever what to read along: the node
itself says where it is, and one read for both is half of the requests of a customer who goes on talking."""
REMEMBERED = 10_000
_RECORD = struct.Struct(">HHB")


@dataclass(frozen=True)
class Node:
    """One identity as the caller knows it. `day` yyyymmdd of the event, `asr` its assurance
    there; both are kept as hints on the node and only ever raised. `attributes`: kind, scope, val."""

    id: str
    trait: str = ""
    asr: int = 0
    day: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cause:
    """Who or what brings a change about, for the audit. `what`: what a person decided, or empty.
    `by`: an event or a key, as texts by name. `ends`: the nodes that were named."""

    by: Mapping[str, str]
    what: str = ""
    why: str = ""
    ends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    """What a change did. `before` and `after`: the customers of the touched clusters; `keys`:
    node → cluster key; `conflicts`: refused
    pairs in them, if `written`; `held`: the evidence waits, because a cluster would grow too heavy."""

    before: tuple[Part, ...]
    after: tuple[Part, ...]
    keys: Mapping[str, str]
    created: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    written: bool = False
    held: bool = False

    def part(self, node: str) -> Part | None:
        return next((part for part in self.after if node in part.nodes), None)

    def customer(self, node: str) -> str | None:
        """The customer id of the node's part; None while it is shared or blocked."""
        part = self.part(node)
        return part.customer if part else None


@dataclass(frozen=True)
class View:
    """A node and the cluster that it is in."""

    rules: Rules
    node: str
    key: str
    cluster: Cluster

    @cached_property
    def customer(self) -> str | None:
        """None: the node is shared or blocked."""
        return self._part.customer if self._part else None

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The identities of its customer."""
        return self._part.nodes if self._part else ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """All ids that lead to its customer, the present one first."""
        return tuple(sorted(graph.born_id(each, self.cluster.born[each]) for each in self.nodes))

    @property
    def former(self) -> tuple[str, ...]:
        return self.ids[1:]

    @property
    def shared(self) -> tuple[str, ...]:
        """Nodes beside his that are nobody's. One in another cluster is saturated, or it would be
        in this one."""
        return tuple(
            far for far in self._neighbours(self.nodes) if far in self._nobodys or far not in self.cluster.born
        )

    @property
    def near(self) -> tuple[str, ...]:
        """All nodes that evidence puts next to the node that was asked for."""
        return self._neighbours((self.node,))

    @property
    def beside(self) -> tuple[str, ...]:
        """Far ends of every record that touches him, refused and undone ones too."""
        touching = [pair for pair in (*self.cluster.recs, *self.cluster.held) if not set(pair).isdisjoint(self.nodes)]
        return tuple(sorted({node for pair in touching for node in pair} - set(self.nodes)))

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Refused pairs with an end in him, and those that wait because the cluster is too heavy."""
        held = [Conflict(*pair, HELD) for pair in self.cluster.held]
        found = (*graph.resolve(self.rules, self.cluster)[1], *sorted(held))
        return tuple(each for each in found if not set(each[:2]).isdisjoint(self.nodes))

    @property
    def decisions(self) -> tuple[tuple[str, str, Adm], ...]:
        """What people decided, and did not take back, about pairs with an end in him; the newest first."""
        standing = [(*pair, rec.adm) for pair, rec in self.cluster.recs.items() if rec.adm.state != graph.NONE]
        mine = [each for each in standing if not set(each[:2]).isdisjoint(self.nodes)]
        return tuple(sorted(mine, key=lambda each: each[2].at, reverse=True))

    @cached_property
    def _part(self) -> Part | None:
        return next((part for part in self.cluster.parts if self.node in part.nodes), None)

    @cached_property
    def _nobodys(self) -> frozenset[str]:
        return graph.nobodys(self.rules, self.cluster)

    def _neighbours(self, nodes: Sequence[str]) -> tuple[str, ...]:
        pairs = [pair for pair, rec in self.cluster.recs.items() if graph.on(rec) and rec.adm.state != graph.CUT]
        ends = {far for pair in pairs for near, far in (pair, pair[::-1]) if near in nodes and far not in nodes}
        return tuple(sorted(ends))


@dataclass(frozen=True)
class _Loaded:
    """`items`: known nodes; `own`: node → cluster key; `clusters`: key → (ver, cluster)."""

    items: dict[str, Item]
    own: dict[str, str]
    clusters: dict[str, tuple[int, Cluster]]

    @property
    def olds(self) -> dict[str, Cluster]:
        return {key: cluster for key, (_, cluster) in self.clusters.items()}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def apply(
    table: Table,
    rules: Rules,
    nodes: Sequence[Node],
    pairs: Mapping[Pair, Rec],
    blocks: Mapping[str, Block] | None = None,
    *,
    clock: Callable[[], int] = now_ms,
    dry_run: bool = False,
    seen: Mapping[str, Item] | None = None,
    along: Mapping[Key, Item] | None = None,
    cause: Cause | None = None,
) -> Applied:
    """Store evidence about `nodes`, which include every end of `pairs` and every blocked node.
    A change that merges or splits customers, or that a person decided, leaves an audit item at the
    first node, in the same transaction; `cause` says whose doing it is.

    Call it before the event is written, and again whole for a duplicate. Known evidence costs
    two reads and nothing else. Raises Busy after too many lost races, Erased for a node that
    was erased, ValueError for more nodes than one transaction can create. `seen`: node items as the
    caller has just read them, one missing being absent: saves the first read; `along`: whatever the same
    request read of `beside`: saves the second.
    """
    specs = {node.id: node for node in nodes}
    if len(specs) > (most := rules.actions // 2):
        raise ValueError(f"{len(specs)} nodes at once: at most {most}")

    def attempt(loaded: _Loaded) -> Applied | None:
        if any(MOVED in item for item in loaded.items.values()):
            raise Busy("an identity of this event was divided between two people meanwhile")
        new = {node: spec.trait for node, spec in specs.items() if node not in loaded.own}
        change = Change(new, pairs, blocks or {}, clock())
        made = _attempt(table, rules, loaded, specs, change, None if dry_run else cause or Cause({}))
        if made and not dry_run:
            _touch(table, rules, specs.values(), loaded.items)
        return made

    return _until(table, rules, list(specs), attempt, seen, along)


def beside(rules: Rules, nodes: Iterable[str]) -> list[Key]:
    """The clusters in which these nodes were when this container last saw them, to be read along with the nodes."""
    return list(dict.fromkeys(found for node in nodes if (found := _clusters.get(_node_key(rules, node)))))


def mates(rules: Rules, node: str) -> tuple[str, ...]:
    """This node and those that were in its cluster when this container last saw it; empty where it never did."""
    return _members.get(_clusters.get(_node_key(rules, node), ("", "")), ())


def forget() -> None:
    """As in a container that has just started."""
    _clusters.clear()
    _members.clear()


def read(table: Table, rules: Rules, node: str, seen: Item | None = None) -> View | None:
    """Whose node this is; None when it is unknown. A customer id is read by `graph.node_of` it.
    `seen`: the node's item as just read. Raises Erased, and Busy when writers never leave a
    moment to read."""

    return read_all(table, rules, [node], {node: seen} if seen else None).get(node)


def read_all(
    table: Table,
    rules: Rules,
    nodes: Sequence[str],
    seen: Mapping[str, Item] | None = None,
    along: Mapping[Key, Item] | None = None,
) -> dict[str, View]:
    """The same for several nodes, in the same number of requests; unknown ones are left out. `along`: as `apply` has
    it."""

    def look(loaded: _Loaded) -> dict[str, View]:
        return {node: View(rules, node, key, loaded.clusters[key][1]) for node, key in loaded.own.items()}

    return _until(table, rules, nodes, look, seen, along) if nodes else {}


def living(table: Table, rules: Rules, nodes: Sequence[str]) -> tuple[dict[str, Item], dict[str, View]]:
    """The items of those that are known, by node, and the same for those of them that are not erased. Raises Busy."""
    for _ in range(RESTARTS):
        read = table.batch_get([_node_key(rules, node) for node in nodes]) if nodes else {}
        items = {node: item for node in nodes if (item := read.get(_node_key(rules, node)))}
        alive = {node: item for node, item in items.items() if "own" in item}
        with suppress(Erased):
            return items, read_all(table, rules, sorted(alive), alive)
    raise Busy("these identities are erased one after the other")


def remove(table: Table, rules: Rules, nodes: Sequence[str], at: int) -> tuple[str, ...]:
    """Erase nodes: out of their clusters, pairs and all, leaving {erased: at} behind. `at` in
    milliseconds. A list that is too long for one transaction goes in several, each whole, so a
    killed call is finished by calling again with the same list. Answers the nodes that stay,
    because they are shared, perhaps only since the list was made. Raises Busy."""
    chunk = max(1, rules.actions // 3)
    stay: set[str] = set()
    for start in range(0, len(nodes), chunk):
        stay |= _remove(table, rules, frozenset(nodes[start : start + chunk]), at)
    return tuple(sorted(stay))


def move(table: Table, rules: Rules, node: str, to: Sequence[str], near: Sequence[str]) -> tuple[str, ...]:
    """Take a node out of the graph, pairs and all, even where it is shared; `to`: the nodes between
    which it was divided. Nothing can be linked to it from then on. `near`: its neighbours as the
    caller knows them; where it has others, these are the answer and nothing is done. Raises Busy."""
    for number in range(RESTARTS):
        if number:
            _back_off(number)
        alive = _alive(table, rules, [node])
        loaded = _load_for_removal(table, rules, alive, whole=True) if alive else None
        if not alive:
            return ()
        if loaded is None or node not in loaded.own:
            continue
        found = far_ends(loaded.clusters[loaded.own[node]][1], node)
        if not set(found) <= set(near):
            return tuple(sorted({*found, *near}))
        plan = graph.removal(rules, loaded.olds, alive, _mint, rules.actions - 1)
        gone = _blank(rules, node, loaded.items[node], {MOVED: list(to)})
        if _commit(table, [*_actions(rules, loaded, plan), gone]):
            return ()
    raise Busy(f"{RESTARTS} lost races while a node was moved")


def far_ends(cluster: Cluster, node: str) -> tuple[str, ...]:
    """The other ends of all records that touch a node, whatever they are worth."""
    touching = [pair for pair in (*cluster.recs, *cluster.held) if node in pair]
    return tuple(sorted({end for pair in touching for end in pair} - {node}))


def moved(table: Table, node: str) -> Iterator[str]:
    """Where an identity's node went, if it did: found only once they are asked for."""
    yield from (table.get(_node_key(IDENTITIES, node)) or {}).get(MOVED, ())


def customers(item: Item) -> tuple[Part, ...]:
    """The customers in a cluster item, as a stream image shows it; none in a forwarding one."""
    mem = sorted(item.get("mem", {}))
    born = {node: graph.born_id(node, item["mem"][node][0]) for node in mem}
    nodes = [tuple(mem[position] for position in part) for part in item.get("parts", ())]
    return tuple(Part(min(born[node] for node in part), part) for part in nodes)


def _until(
    table: Table,
    rules: Rules,
    nodes: Sequence[str],
    attempt: Callable[[_Loaded], Answer | None],
    seen: Mapping[str, Item] | None = None,
    along: Mapping[Key, Item] | None = None,
) -> Answer:
    """Load and attempt until it takes: a torn read or a lost race starts over, reading anew."""
    for number in range(RESTARTS):
        if number:
            _back_off(number)
        loaded = _load(table, rules, nodes, None if number else seen, along)
        done = attempt(loaded) if loaded else None
        if done is not None:
            return done
    raise Busy(f"{RESTARTS} lost races on {len(nodes)} nodes")


def _back_off(number: int) -> None:
    time.sleep(random.uniform(0, min(0.01 * 2**number, 0.5)))  # noqa: S311


def _mint() -> str:
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()


def _load(
    table: Table,
    rules: Rules,
    nodes: Sequence[str],
    seen: Mapping[str, Item] | None = None,
    along: Mapping[Key, Item] | None = None,
) -> _Loaded | None:
    """The nodes and their clusters; None when a change in between tore the picture. `along` belongs to `seen`."""
    if seen is None:
        keys = {node: _node_key(rules, node) for node in nodes}
        along = table.batch_get([*keys.values(), *beside(rules, nodes)])
        seen = {node: along[key] for node, key in keys.items() if key in along}
    items = {node: seen[node] for node in nodes if node in seen}
    if any("erased" in item for item in items.values()):
        raise Erased("an identity of this event was erased")
    own = {node: str(item["own"]) for node, item in items.items() if "own" in item}
    found_clusters = _follow(table, rules, own, along or {})
    if found_clusters is None:
        return None
    loaded = _Loaded(items, own, {key: (item["ver"], unpack(item)) for key, item in found_clusters.items()})
    _remember(rules, {node: key for key, cluster in loaded.olds.items() for node in cluster.born})
    return None if _torn(loaded, nodes) else loaded


def _remember(rules: Rules, own: Mapping[str, str]) -> None:
    """`own`: all nodes of these clusters."""
    if max(len(_clusters) + len(own), len(_members)) > REMEMBERED:
        forget()
    places = {node: _cluster_key(rules, key) for node, key in own.items()}
    _clusters.update({_node_key(rules, node): place for node, place in places.items()})
    for place in set(places.values()):
        _members[place] = tuple(node for node, at in places.items() if at == place)


def _follow(table: Table, rules: Rules, own: dict[str, str], along: Mapping[Key, Item]) -> dict[str, Item] | None:
    """The live clusters that `own` leads to, with `own` brought up to date; None if one is gone. `along`: items
    that were read already."""
    seen: dict[str, Item] = {}
    while missing := {key: _cluster_key(rules, key) for key in own.values() if key not in seen}:
        wanted = [place for _, place in sorted(missing.items()) if place not in along]
        found = {**along, **(table.batch_get(wanted) if wanted else {})}
        if any(place not in found for place in missing.values()):
            return None
        seen |= {key: found[place] for key, place in missing.items()}
        for node in own:
            while own[node] in seen and "fwd" in seen[own[node]]:
                own[node] = seen[own[node]]["fwd"]
    return {key: seen[key] for key in own.values()}


def _torn(loaded: _Loaded, nodes: Sequence[str]) -> bool:
    olds = loaded.olds
    members = [node for old in olds.values() for node in old.born]
    strangers = any(node not in olds[key].born for node, key in loaded.own.items())
    early = not set(nodes).difference(loaded.own).isdisjoint(members)
    return strangers or early or len(members) != len(set(members))


def _attempt(
    table: Table, rules: Rules, loaded: _Loaded, specs: Mapping[str, Node], change: Change, cause: Cause | None
) -> Applied | None:
    """None for a lost race. Without a `cause` nothing is written."""
    olds = loaded.olds
    before = _all_parts(olds.values())
    if graph.settled(rules, olds, change):
        return Applied(before, before, loaded.own)
    plan = graph.plan(rules, olds, change, _mint)
    applied = _applied(rules, loaded, plan, before)
    if plan.size and cause:
        at = next(iter(specs))
        audit = _audit(rules, loaded, at, applied, change, cause)
        actions = _actions(rules, loaded, _telling(plan, at) if audit else plan) + audit
        actions += [_creation(rules, specs[node], plan, key) for node, key in plan.creates.items()]
        if not _commit(table, actions):
            return None
        _remember(rules, applied.keys)
    return applied


def _audit(rules: Rules, loaded: _Loaded, at: str, applied: Applied, change: Change, cause: Cause) -> list[Action]:
    """One item says it for all ends: their clusters keep where it lies, through all that follows.
    Of the versions that were read only one change is ever made, so its key is its own."""
    effects = graph.effects(applied.before, applied.after)
    if not effects and not cause.what:
        return []
    was, now = set(applied.before), set(applied.after)
    number = digest(at, *(f"{key} {ver}" for key, (ver, _) in sorted(loaded.clusters.items())))
    written = _item(
        (rules.node + at, f"{AUDIT}{change.now:0{graph.BORN_DIGITS}d}#{number[:10]}"),
        what=cause.what or "+".join(effects),
        did=list(effects),
        by=dict(cause.by),
        why=cause.why,
        ends=list(cause.ends),
        before=sorted(part.customer for part in was - now)[:AUDITED],
        after=sorted(part.customer for part in now - was)[:AUDITED],
        held=applied.held,
    )
    return [Put(written)]


def _telling(plan: Plan, at: str) -> Plan:
    told = {key: replace(new, told=frozenset(sorted({*new.told, at})[-TOLD:])) for key, new in plan.puts.items()}
    return replace(plan, puts=told)


def _commit(table: Table, actions: Sequence[Action]) -> bool:
    return table.write(actions[0]) if len(actions) == 1 else table.transact(actions)


def _applied(rules: Rules, loaded: _Loaded, plan: Plan, before: tuple[Part, ...]) -> Applied:
    gone = {*plan.drops, *plan.forwards}
    news = {**{key: old for key, old in loaded.olds.items() if key not in gone}, **plan.puts}
    return Applied(
        before,
        _all_parts(news.values()),
        {node: key for key, new in news.items() for node in new.born},
        tuple(plan.creates),
        tuple(sorted(each for new in news.values() for each in graph.resolve(rules, new)[1])),
        plan.size > 0,
        plan.held,
    )


def _all_parts(clusters: Iterable[Cluster]) -> tuple[Part, ...]:
    return tuple(sorted(part for cluster in clusters for part in cluster.parts))


def _actions(rules: Rules, loaded: _Loaded, plan: Plan) -> list[Action]:
    """The plan's cluster writes and moves; every old cluster must be as it was read."""
    actions: list[Action] = []
    for key, new in plan.puts.items():
        ver = loaded.clusters[key][0] if key in loaded.clusters else 0
        actions.append(Put(pack(rules, key, new, ver + 1), equal(ver=ver) if ver else ABSENT))
    for key in plan.drops:
        actions.append(Delete(_cluster_key(rules, key), equal(ver=loaded.clusters[key][0])))
    for key, to in plan.forwards.items():
        ver = loaded.clusters[key][0]
        actions.append(Put(_item(_cluster_key(rules, key), ver=ver + 1, fwd=to), equal(ver=ver)))
    actions += [Check(_cluster_key(rules, key), equal(ver=loaded.clusters[key][0])) for key in plan.checks]
    return actions + [Update(_node_key(rules, node), {"own": key}) for node, key in plan.moves.items()]


def _creation(rules: Rules, node: Node, plan: Plan, key: str) -> Action:
    """An update, because the generations of an identity may be there before its node is."""
    hints = {"asr": node.asr} | ({"last": node.day} if node.day else {})
    attributes = {**node.attributes, **hints, "born": plan.puts[key].born[node.id], "own": key}
    return Update(_node_key(rules, node.id), attributes, when=equal(own=None, erased=None, moved=None))


def touch(table: Table, rules: Rules, node: str, day: str) -> None:
    """Raise a node's newest day before an event of that day is put in its partition otherwise
    than after `apply`: the timeline opens partitions in the order of these days."""
    item = table.get(_node_key(rules, node))
    _touch(table, rules, [Node(node, day=day)], {node: item} if item else {})


def _touch(table: Table, rules: Rules, nodes: Iterable[Node], items: Mapping[str, Item]) -> None:
    """Raise the hints of known nodes, at most one write a day each; an erased node stays so."""
    for node in nodes:
        item = items.get(node.id)
        while item and "born" in item and (raised := _raised(node, item)):
            was = {name: item.get(name) for name in raised}
            key = _node_key(rules, node.id)
            if table.write(Update(key, raised, when=equal(born=item["born"], **was))):
                break
            item = table.get(key)


def _raised(node: Node, item: Item) -> dict[str, Any]:
    better: dict[str, Any] = {"asr": node.asr} if node.asr > item.get("asr", 0) else {}
    return better | ({"last": node.day} if node.day > item.get("last", "") else {})


def _remove(table: Table, rules: Rules, nodes: frozenset[str], at: int) -> frozenset[str]:
    for number in range(RESTARTS):
        if number:
            _back_off(number)
        alive = _alive(table, rules, nodes)
        shared = _remove_alive(table, rules, alive, at) if alive else alive
        if shared is not None:
            return shared
    raise Busy(f"{RESTARTS} lost races while erasing {len(nodes)} nodes")


def _alive(table: Table, rules: Rules, nodes: Iterable[str]) -> frozenset[str]:
    found = table.batch_get([_node_key(rules, node) for node in sorted(nodes)])
    return frozenset(item["pk"].removeprefix(rules.node) for item in found.values() if "own" in item)


def _remove_alive(table: Table, rules: Rules, alive: frozenset[str], at: int) -> frozenset[str] | None:
    """Erase all of them that are not shared, and answer the shared; None for a lost race."""
    loaded = _load_for_removal(table, rules, alive)
    if loaded is None:
        return None
    shared = alive & graph.saturated(rules, graph.join(loaded.olds.values()))
    gone = alive - shared
    plan = graph.removal(rules, loaded.olds, gone, _mint, rules.actions - len(gone))
    blanks = [_blank(rules, node, loaded.items[node], {"erased": at}) for node in sorted(gone)]
    done = not gone or _commit(table, _actions(rules, loaded, plan) + blanks)
    return shared if done else None


def _blank(rules: Rules, node: str, item: Item, mark: Mapping[str, Any]) -> Action:
    """Only the generations stay, whoever writes them meanwhile; hints may come while we read."""
    names = {*item, "asr", "last"} - {"pk", "sk", "gens"}
    return Update(_node_key(rules, node), mark, tuple(sorted(names)))


def _load_for_removal(table: Table, rules: Rules, alive: frozenset[str], *, whole: bool = False) -> _Loaded | None:
    """The nodes' clusters and every other that keeps a record of them, as of one moment. `whole`:
    those of shared nodes too."""
    wanted, more = alive, alive
    while more:
        wanted |= more
        try:
            loaded = _load(table, rules, sorted(wanted))
        except Erased:
            return None
        if loaded is None:
            return None
        more = _alive(table, rules, _far_ends(loaded.olds.values(), alive, whole=whole) - wanted)
    return loaded


def _far_ends(clusters: Iterable[Cluster], gone: frozenset[str], *, whole: bool) -> set[str]:
    """Ends in other clusters that keep a record of a node in `gone`: those of undone pairs. The
    others are saturated, and keep theirs."""
    recs = [(pair, rec, cluster) for cluster in clusters for pair, rec in cluster.recs.items()]
    pairs = [(pair, cluster) for pair, rec, cluster in recs if whole or not graph.on(rec)]
    return {x for pair, cluster in pairs if not gone.isdisjoint(pair) for x in pair if x not in cluster.born}


def _node_key(rules: Rules, node: str) -> Key:
    return rules.node + node, "-"


def _cluster_key(rules: Rules, key: str) -> Key:
    return rules.cluster + key, "-"


def _item(key: Key, **attributes: Any) -> Item:
    return {"pk": key[0], "sk": key[1], **attributes}


def pack(rules: Rules, key: str, cluster: Cluster, ver: int) -> Item:
    """The cluster as an item. What is empty is left out."""
    far = {node: trait for node, trait in cluster.traits.items() if node not in cluster.born}
    at = {node: number for number, node in enumerate(sorted(cluster.born) + sorted(far))}
    recs = sorted(cluster.recs.items())
    found = {
        "mem": {node: [born, cluster.traits[node]] for node, born in cluster.born.items()},
        "far": far,
        "recs": b"".join(_RECORD.pack(at[a], at[b], rec.asr) for (a, b), rec in recs),
        "adm": [[at[a], at[b], *rec.adm] for (a, b), rec in recs if rec.adm != Adm()],
        "blk": {node: list(block) for node, block in cluster.blocks.items()},
        "held": [[*pair, rec.asr, *rec.adm] for pair, rec in sorted(cluster.held.items())],
        "full": [at[node] for node in sorted(cluster.full)],
        "told": sorted(cluster.told),
        "lim": list(cluster.bounds) if cluster.bounds != Rules().bounds else [],
        "parts": [[at[node] for node in part.nodes] for part in cluster.parts],
    }
    return _item(_cluster_key(rules, key), ver=ver, **{name: value for name, value in found.items() if value})


def unpack(item: Item) -> Cluster:
    mem, far = item["mem"], item.get("far", {})
    names = sorted(mem) + sorted(far)
    decided = {(names[a], names[b]): Adm(*adm) for a, b, *adm in item.get("adm", ())}
    recs = {(names[a], names[b]): asr for a, b, asr in _RECORD.iter_unpack(item.get("recs", b""))}
    return Cluster(
        born={node: born for node, (born, _) in mem.items()},
        traits={node: trait for node, (_, trait) in mem.items()} | far,
        recs={pair: Rec(asr, decided.get(pair, Adm())) for pair, asr in recs.items()},
        blocks={node: Block(*block) for node, block in item.get("blk", {}).items()},
        held={(a, b): Rec(asr, Adm(*adm)) for a, b, asr, *adm in item.get("held", ())},
        full=frozenset(names[position] for position in item.get("full", ())),
        told=frozenset(item.get("told", ())),
        parts=customers(item),
        bounds=tuple(item.get("lim", Rules().bounds)),
    )
