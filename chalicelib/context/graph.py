"""Who is the same customer: evidence in, customers out. Pure: no storage, no clock.

The evidence is a graph: nodes are identities, a pair of nodes has a record. One cluster holds
one component of that graph, and `resolve(cluster)` says which customers live inside it. So the
answer depends on the evidence alone, never on the order in which it came.

A node's trait: "" any number for one customer, "s" shareable, "a:<kind>/<scope>" an anchor, of
which a customer has one at most. A customer id is `born` of his oldest node: 13 digits of
milliseconds, then the node's id; so every former id still names a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from chalicelib.model.event import digest
from chalicelib.model.identity import A2_ATTESTED, A3_VERIFIED

NONE, LINK, CUT, FORCE = "-", "link", "cut", "force"
SHAREABLE = "s"
ANCHOR = "a:"
BORN_DIGITS = 13

Pair = tuple[str, str]
"""Two node ids, the lesser first."""


class Adm(NamedTuple):
    """What a person decided about a pair: a register, the latest (at, actor) wins.
    `at` milliseconds, `state` one of NONE, LINK, CUT, FORCE."""

    at: int = 0
    actor: str = ""
    state: str = NONE


class Rec(NamedTuple):
    """The evidence on one pair: best assurance seen, and what a person decided."""

    asr: int = 0
    adm: Adm = Adm()


class Block(NamedTuple):
    """Whether a node identifies nobody: a register like Adm."""

    at: int
    actor: str
    on: bool


class Part(NamedTuple):
    """One customer of a cluster and his nodes, in order of id."""

    customer: str
    nodes: tuple[str, ...]


class Conflict(NamedTuple):
    """A pair that was refused and whose ends are apart. `kind`: anchor, cut or oversize."""

    a: str
    b: str
    kind: str


@dataclass(frozen=True)
class Rules:
    """Constants of one graph; identities and conversations have their own, never mixed."""

    node: str = "N#"
    cluster: str = "K#"
    cap: int = 100
    """Nodes of one customer; a union beyond is refused as oversize."""
    limit: int = 5
    """Neighbours of a shareable node; one more and it is saturated: shared, uniting nobody."""
    actions: int = 100
    """Items of one transaction."""
    moves: int = 4
    """Nodes that a merge points at their new cluster one by one; more are forwarded."""
    splits: int = 2
    """Nodes that one change moves out of a cluster; the rest stays for the next change."""
    weight: int = 300 * 1024
    """Bytes of one cluster; evidence that would make it heavier is held."""

    @property
    def bounds(self) -> tuple[int, int]:
        """What `parts` depends on, beside the evidence."""
        return self.limit, self.cap


@dataclass(frozen=True)
class Cluster:
    """`born`: node → milliseconds. `traits`: of these nodes and of the far ends of `recs`.
    `held`: evidence refused for weight. `full`: nodes that are saturated, whatever the limit is
    now. `told`: nodes at which the audit speaks of its members. `parts`: its customers, by the rules of `bounds`; who is in none is nobody's."""

    born: Mapping[str, int] = field(default_factory=dict)
    traits: Mapping[str, str] = field(default_factory=dict)
    recs: Mapping[Pair, Rec] = field(default_factory=dict)
    blocks: Mapping[str, Block] = field(default_factory=dict)
    held: Mapping[Pair, Rec] = field(default_factory=dict)
    full: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    parts: tuple[Part, ...] = ()
    bounds: tuple[int, int] = Rules().bounds


class Change(NamedTuple):
    """What is to be added. `new`: nodes never seen → trait; ends of `pairs` are new or known."""

    new: Mapping[str, str]
    pairs: Mapping[Pair, Rec]
    blocks: Mapping[str, Block]
    now: int


@dataclass(frozen=True)
class Plan:
    """The writes that bring a change about, all or none. Keys are cluster keys. `checks`: these
    stay as they are, and must be as they were read."""

    puts: Mapping[str, Cluster]
    drops: tuple[str, ...]
    forwards: Mapping[str, str]
    moves: Mapping[str, str]
    creates: Mapping[str, str]
    checks: tuple[str, ...] = ()
    held: bool = False

    @property
    def size(self) -> int:
        writes = (self.puts, self.drops, self.forwards, self.moves, self.creates, self.checks)
        return sum(map(len, writes))


Groups = Sequence[frozenset[str]]


def pair_of(a: str, b: str) -> Pair:
    return (a, b) if a < b else (b, a)


def born_id(node: str, born: int) -> str:
    return f"{born:0{BORN_DIGITS}d}{node}"


def node_of(customer: str) -> str:
    """The node that a customer id, former or present, names."""
    return customer[BORN_DIGITS:]


def evidence(assurances: Mapping[str, int], traits: Mapping[str, str], home: str = "") -> dict[Pair, Rec]:
    """The pairs that one event's nodes prove: each shareable with each anchor, and home with all.
    A pair is as sure as its less sure end; below A2 it proves nothing."""
    ends = [
        (a, b)
        for a in assurances
        for b in assurances
        if a != b and (a == home or (traits[a] == SHAREABLE and traits[b].startswith(ANCHOR)))
    ]
    found = {pair_of(a, b): Rec(min(assurances[a], assurances[b])) for a, b in ends}
    return {pair: rec for pair, rec in found.items() if rec.asr >= A2_ATTESTED}


def joined(a: Rec, b: Rec) -> Rec:
    return Rec(max(a.asr, b.asr), max(a.adm, b.adm))


def on(rec: Rec) -> bool:
    return rec.asr >= A2_ATTESTED or rec.adm.state in (LINK, FORCE)


def join(clusters: Iterable[Cluster]) -> Cluster:
    """All evidence of the clusters as one, without parts."""
    born: dict[str, int] = {}
    traits: dict[str, str] = {}
    recs: dict[Pair, Rec] = {}
    blocks: dict[str, Block] = {}
    held: dict[Pair, Rec] = {}
    full: frozenset[str] = frozenset()
    for cluster in clusters:
        full |= cluster.full
        born |= cluster.born
        traits |= cluster.traits
        _add(recs, cluster.recs)
        _add(held, cluster.held)
        _add_blocks(blocks, cluster.blocks)
    return Cluster(born, traits, recs, blocks, held, full)


def _add(recs: dict[Pair, Rec], more: Mapping[Pair, Rec]) -> None:
    for pair, rec in more.items():
        recs[pair] = joined(recs[pair], rec) if pair in recs else rec


def _add_blocks(blocks: dict[str, Block], more: Mapping[str, Block]) -> None:
    for node, block in more.items():
        blocks[node] = max(blocks.get(node, block), block)


def saturated(rules: Rules, cluster: Cluster) -> frozenset[str]:
    """Shareable nodes with too many neighbours or two anchors of one kind. Only assurance
    counts, not what a person decided; and one that was saturated under an earlier limit took no
    more records since. So a node that is saturated stays so."""
    near: dict[str, set[str]] = {node: set() for node in cluster.born if cluster.traits[node] == SHAREABLE}
    for pair, rec in cluster.recs.items():
        if rec.asr >= A2_ATTESTED:
            for node, other in (pair, pair[::-1]):
                if node in near:
                    near[node].add(other)
    many = {n for n, others in near.items() if len(others) > rules.limit or _clash(cluster, others)}
    return cluster.full & cluster.born.keys() | many


def _clash(cluster: Cluster, nodes: Iterable[str]) -> bool:
    anchors = [kind for node in nodes if (kind := cluster.traits[node]).startswith(ANCHOR)]
    return len(anchors) != len(set(anchors))


def layout(cluster: Cluster, sat: frozenset[str], together: Iterable[Cluster] = ()) -> Groups:
    """Which nodes share a cluster. Cut, blocked and refused pairs do connect, so that neither
    a cut nor a block ever moves a node. Members of a cluster in `together` stay together."""
    ties = [pair for pair, rec in cluster.recs.items() if on(rec) and sat.isdisjoint(pair)]
    for old in together:
        members = [node for node in old.born if node in cluster.born]
        ties += pairwise(members)
    return _components(cluster.born, ties)


def _components(nodes: Iterable[str], ties: Iterable[Pair]) -> Groups:
    group = {node: {node} for node in nodes}
    for a, b in ties:
        if a in group and b in group and group[a] is not group[b]:
            group[a] |= group[b]
            group |= dict.fromkeys(group[b], group[a])
    return [frozenset(members) for members in {id(members): members for members in group.values()}.values()]


def resolve(rules: Rules, cluster: Cluster) -> tuple[tuple[Part, ...], tuple[Conflict, ...]]:
    """The customers, and the pairs that were refused. Strongest pairs first, forced ones last:
    those unite whole customers whatever their anchors. Nodes that are saturated or blocked
    identify nobody and are in no part."""
    nobody = nobodys(rules, cluster)
    part = {node: {node} for node in cluster.born}
    cuts = [pair for pair, rec in cluster.recs.items() if rec.adm.state == CUT]
    refused = []
    for pair in _in_order(cluster, nobody):
        left, right = part[pair[0]], part[pair[1]]
        free = left is right or cluster.recs[pair].adm.state == FORCE
        kind = "" if free else _refusal(rules, cluster, cuts, left, right)
        if kind:
            refused.append(Conflict(*pair, kind))
        elif left is not right:
            left |= right
            part |= dict.fromkeys(right, left)
    conflicts = tuple(sorted(each for each in refused if part[each.a] is not part[each.b]))
    return _parts(cluster, part, nobody), conflicts


def nobodys(rules: Rules, cluster: Cluster) -> frozenset[str]:
    """Nodes that identify nobody: saturated, or blocked by a person."""
    return saturated(rules, cluster) | {node for node, block in cluster.blocks.items() if block.on}


def _in_order(cluster: Cluster, nobody: frozenset[str]) -> list[Pair]:
    ranked = [
        (_rank(rec), digest(*pair), pair)
        for pair, rec in cluster.recs.items()
        if on(rec) and rec.adm.state != CUT and nobody.isdisjoint(pair) and _inside(cluster, pair)
    ]
    return [pair for _, _, pair in sorted(ranked)]


def _rank(rec: Rec) -> int:
    if rec.adm.state == FORCE:
        return A3_VERIFIED + 1
    return A3_VERIFIED - rec.asr if rec.asr >= A2_ATTESTED else A3_VERIFIED


def _inside(cluster: Cluster, pair: Pair) -> bool:
    return pair[0] in cluster.born and pair[1] in cluster.born


def _refusal(rules: Rules, cluster: Cluster, cuts: list[Pair], left: set[str], right: set[str]) -> str:
    if _anchors(cluster, left) & _anchors(cluster, right):
        return "anchor"
    if any((a in left and b in right) or (a in right and b in left) for a, b in cuts):
        return "cut"
    return "oversize" if len(left) + len(right) > rules.cap else ""


def _anchors(cluster: Cluster, nodes: Iterable[str]) -> set[str]:
    return {kind for node in nodes if (kind := cluster.traits[node]).startswith(ANCHOR)}


def _parts(cluster: Cluster, part: Mapping[str, set[str]], nobody: frozenset[str]) -> tuple[Part, ...]:
    people = {id(nodes): nodes for node, nodes in part.items() if node not in nobody}.values()
    return tuple(
        sorted(Part(min(born_id(n, cluster.born[n]) for n in nodes), tuple(sorted(nodes))) for nodes in people)
    )


def effects(before: Iterable[Part], after: Iterable[Part]) -> tuple[str, ...]:
    """What a change did to customers that were there: "merge", "split", or both. A node that
    became nobody's is split off; one that is new makes neither."""
    was = {node: part.customer for part in before for node in part.nodes}
    now = {node: part.customer for part in after for node in part.nodes}
    pairs = {(was[node], now.get(node, node)) for node in was}
    return tuple(name for name, holds in (("merge", _fans(pairs, 1)), ("split", _fans(pairs, 0))) if holds)


def _fans(pairs: Iterable[tuple[str, str]], side: int) -> bool:
    """Whether one end on `side` has more than one other end."""
    ends = [pair[side] for pair in pairs]
    return len(ends) != len(set(ends))


def settled(rules: Rules, olds: Mapping[str, Cluster], change: Change) -> bool:
    """Whether the evidence is already stored, on every unsaturated side of every pair. Not
    whether the ends are one customer already: that would lose evidence."""
    known = join(olds.values())
    if any(old.bounds != rules.bounds for old in olds.values()):
        return False
    if change.new or any(known.blocks.get(node, block) < block for node, block in change.blocks.items()):
        return False
    if change.blocks.keys() - known.blocks.keys():
        return False
    sat = saturated(rules, known)
    home = _homes(olds)
    return all(_stored(home[x], pair, rec) for pair, rec in change.pairs.items() for x in pair if x not in sat)


def _homes(olds: Mapping[str, Cluster]) -> dict[str, Cluster]:
    return {node: cluster for cluster in olds.values() for node in cluster.born}


def _stored(cluster: Cluster, pair: Pair, rec: Rec) -> bool:
    """A record that waits in `held` counts: a redelivery must not try again for ever."""
    return any(joined(kept[pair], rec) == kept[pair] for kept in (cluster.recs, cluster.held) if pair in kept)


def plan(rules: Rules, olds: Mapping[str, Cluster], change: Change, mint: Callable[[], str]) -> Plan:
    """How to store `change`, given the clusters (by key) of all its nodes. `mint` makes cluster
    keys never used before. Splitting and moving are left out where the transaction is full."""
    known = join(olds.values())
    pre = saturated(rules, known)
    step = _Step(rules, olds, pre, _grown(known, change, pre), change.new, mint)
    made = step.fitted()
    return step.hold(known, change) if step.too_heavy(made) else made


def removal(
    rules: Rules, olds: Mapping[str, Cluster], gone: frozenset[str], mint: Callable[[], str], room: int
) -> Plan:
    """How to take nodes out of their clusters, with their pairs, in at most `room` writes if that
    can be. A saturated neighbour keeps its records of them: saturation never reverts."""
    known = join(olds.values())
    pre = saturated(rules, known)
    kept = pre - gone
    counts = {pair for pair, rec in known.recs.items() if rec.asr >= A2_ATTESTED and not kept.isdisjoint(pair)}
    whole = replace(
        known,
        born={node: born for node, born in known.born.items() if node not in gone},
        recs={pair: rec for pair, rec in known.recs.items() if pair in counts or gone.isdisjoint(pair)},
        blocks={node: block for node, block in known.blocks.items() if node not in gone},
        held={pair: rec for pair, rec in known.held.items() if gone.isdisjoint(pair)},
    )
    return _Step(replace(rules, actions=room), olds, pre, whole, {}, mint, wary=True).fitted()


def _grown(known: Cluster, change: Change, pre: frozenset[str], held: bool = False) -> Cluster:
    """The joined evidence with the change. A saturated node takes no more records."""
    born = max([change.now, *known.born.values()]) + 1
    more = {pair: rec for pair, rec in change.pairs.items() if not pre.issuperset(pair)}
    recs, blocks, kept = dict(known.recs), dict(known.blocks), dict(known.held)
    _add(kept if held else recs, more)
    _add_blocks(blocks, change.blocks)
    return Cluster(
        {**known.born, **dict.fromkeys(change.new, born)},
        {**known.traits, **change.new},
        recs,
        blocks,
        kept,
        known.full,
    )


@dataclass(frozen=True)
class _Step:
    """One change on its way to a Plan."""

    rules: Rules
    olds: Mapping[str, Cluster]
    pre: frozenset[str]
    whole: Cluster
    new: Mapping[str, str]
    mint: Callable[[], str]
    wary: bool = False

    def fitted(self) -> Plan:
        """Few nodes move out at once, so that no event pays for a whole crowd that comes apart;
        all of them where the cluster is too heavy otherwise."""
        sat = saturated(self.rules, self.whole)
        apart = layout(self.whole, sat)
        for groups in (self._gently(apart), apart):
            made = self.arranged(groups, self.rules.moves)
            if made.size < self.rules.actions and not self.too_heavy(made):
                return made
        return self.squeezed(layout(self.whole, sat, self.olds.values()))

    def squeezed(self, groups: Groups) -> Plan:
        """One action of the transaction is left for the audit."""
        made = self.arranged(groups, self.rules.moves)
        return made if made.size < self.rules.actions else self.arranged(groups, 0)

    def _gently(self, groups: Groups) -> Groups:
        """The same, but of each old cluster only so many nodes leave: the smallest groups first, and
        fewer where the change makes nodes, which is dear by itself."""
        ties: list[Pair] = [pair for group in groups for pair in pairwise(sorted(group))]
        left = max(0, self.rules.splits - (len(self.new) + 1) // 2)
        for old in self.olds.values():
            parts = sorted((len(here), min(here)) for group in groups if (here := group & old.born.keys()))
            for size, node in parts[:-1]:
                left -= size
                if left < 0:
                    ties.append((node, parts[-1][1]))
        return _components(self.whole.born, ties)

    def hold(self, known: Cluster, change: Change) -> Plan:
        groups = [frozenset(old.born) for old in self.olds.values()] + [frozenset([node]) for node in self.new]
        step = replace(self, whole=_grown(known, change, self.pre, held=True))
        return replace(step.squeezed(groups), held=True)

    def too_heavy(self, made: Plan) -> bool:
        return any(weight(new) > self.rules.weight and self._grew(new) for new in made.puts.values())

    def _grew(self, new: Cluster) -> bool:
        before = [len(old.born) + len(old.recs) for old in self.olds.values() if old.born.keys() & new.born.keys()]
        return len(new.born) + len(new.recs) > max(before, default=0)

    def arranged(self, groups: Groups, moves: int) -> Plan:
        """The writes for this layout. A merged cluster of over `moves` nodes is left behind as
        a tombstone that forwards, so that the cost of a merge does not grow with it."""
        keys = self._keys(groups)
        key_of = {node: key for key, group in keys.items() for node in group}
        puts = {key: self._content(group) for key, group in keys.items()}
        left = [key for key in self.olds if key not in keys]
        forwards = {key: to for key in left if (to := self._heir(key, key_of, moves))}
        moved = {
            node: key_of[node]
            for key, old in self.olds.items()
            if key not in forwards
            for node in old.born
            if key_of.get(node, key) != key
        }
        changed = {key: new for key, new in puts.items() if self.olds.get(key) != new}
        return Plan(
            puts=changed,
            drops=tuple(key for key in left if key not in forwards),
            forwards=forwards,
            moves=moved,
            creates={node: key_of[node] for node in self.new},
            checks=self._checks(changed, [key for key in self.olds if key in puts and key not in changed]),
        )

    def _checks(self, changed: Mapping[str, Cluster], same: Iterable[str]) -> tuple[str, ...]:
        """Evidence only grows, so a cluster that does not change need not be as it was read, but
        for erasure: a torn read could take a record from it that was erased on this side."""
        ends = {end for new in changed.values() for pair in new.recs for end in pair} - self.pre
        return tuple(key for key in same if self.wary or not ends.isdisjoint(self.olds[key].born))

    def _heir(self, key: str, key_of: Mapping[str, str], moves: int) -> str:
        born = self.olds[key].born
        heirs = {key_of.get(node, "") for node in born}
        return heirs.pop() if len(born) > moves and len(heirs) == 1 else ""

    def _keys(self, groups: Groups) -> dict[str, frozenset[str]]:
        """Each group takes the key of the cluster that it overlaps most, a key once."""
        overlaps = sorted(
            (-len(group & old.born.keys()), key, number)
            for number, group in enumerate(groups)
            for key, old in self.olds.items()
            if group & old.born.keys()
        )
        taken: dict[int, str] = {}
        for _, key, number in overlaps:
            if number not in taken and key not in taken.values():
                taken[number] = key
        return {taken.get(number) or self.mint(): group for number, group in enumerate(groups)}

    def _content(self, group: frozenset[str]) -> Cluster:
        recs = {pair: rec for pair, rec in self.whole.recs.items() if self._keeps(group, pair)}
        seen = group.union(*recs)
        bare = Cluster(
            {node: self.whole.born[node] for node in group},
            {node: self.whole.traits[node] for node in seen},
            recs,
            {node: block for node, block in self.whole.blocks.items() if node in group},
            {pair: rec for pair, rec in self.whole.held.items() if not group.isdisjoint(pair)},
            bounds=self.rules.bounds,
        )
        full = saturated(self.rules, self.whole) & group
        told = [old.told for old in self.olds.values() if group & old.born.keys()]
        return replace(
            bare, full=full, told=frozenset().union(*told), parts=resolve(self.rules, replace(bare, full=full))[0]
        )

    def _keeps(self, group: frozenset[str], pair: Pair) -> bool:
        return any(x in group and (x not in self.pre or self._had(x, pair)) for x in pair)

    def _had(self, node: str, pair: Pair) -> bool:
        return any(pair in old.recs for old in self.olds.values() if node in old.born)


def weight(cluster: Cluster) -> int:
    """Bytes that the cluster takes in the table, estimated from above."""
    names = sum(len(node) + len(trait) + 24 for node, trait in cluster.traits.items())
    decided = sum(64 for rec in cluster.recs.values() if rec.adm.at)
    marks = 64 * len(cluster.blocks) + 128 * len(cluster.held) + 4 * len(cluster.full)
    return names + 5 * len(cluster.recs) + decided + marks
