"""Random and directed runs of the identity store, with every invariant checked at every commit.

A run draws a small world, a list of works (events, doubled; decisions; blocks; erasures), and
lets workers with skewed clocks do them while some are killed. The names I1 to I9 are those of
docs/identity.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from chalicelib.context import graph, resolve
from chalicelib.context.graph import Adm, Block, Cluster, Rec, Rules
from chalicelib.context.resolve import Cause, Node
from chalicelib.errors import Erased
from chalicelib.store.table import Item
from tests.context.oracle import Oracle
from tests.schedule import MemoryTable, Scheduler, TurnTable, replaced

TRAITS = {
    **dict.fromkeys(("shop1", "shop2", "shop3"), "a:shop/1"),
    **dict.fromkeys(("card1", "card2"), "a:loyalty/x"),
    **dict.fromkeys(("mail1", "mail2", "tel1", "tel2"), "s"),
    **dict.fromkeys(("chat1", "chat2", "chat3", "desk1"), ""),
}


@dataclass(frozen=True)
class Seen:
    """An event's identities, node → assurance; the first is its home."""

    nodes: tuple[tuple[str, int], ...]
    day: str = ""


@dataclass(frozen=True)
class Decision:
    a: str
    b: str
    at: int
    state: str


@dataclass(frozen=True)
class Blocking:
    node: str
    at: int
    on: bool


@dataclass(frozen=True)
class Erasure:
    """Erases the customer of `node`."""

    node: str


Work = Seen | Decision | Blocking | Erasure


@dataclass(frozen=True)
class Mutant:
    """A wrong version of the store. `patches`: (owner, name, value); `table`: a table that
    betrays its conditions; `once`: a duplicate that was begun before is skipped."""

    patches: tuple[tuple[Any, str, Any], ...] = ()
    table: type[TurnTable] = TurnTable
    once: bool = False
    reuse: bool = False


RIGHT = Mutant()


@dataclass(frozen=True)
class Scene:
    """`first` is done before the race, in order, undisturbed."""

    works: Sequence[Work]
    first: Sequence[Work] = ()
    workers: int = 2
    kills: int = 0
    rules: Rules = field(default_factory=lambda: Rules(limit=2))
    skew: tuple[int, ...] = (0, 0, 0, 0)


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass
class Run:
    """One schedule of one scene."""

    seed: int
    scene: Scene
    mutant: Mutant = RIGHT
    begun: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    jobs: dict[int, tuple[str, ...]] = field(default_factory=dict)
    keys: int = 0
    clock: int = 1_000

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.table = self.mutant.table(self.rng, self._committed)
        self.oracle = Oracle(self.scene.rules.limit, self.scene.rules.cap)
        self.watch = Watch(self.table, self.scene.rules, self.oracle, strict=not self.mutant.reuse)
        self.scheduler: Scheduler | None = None

    def play(self) -> None:
        patches = ((resolve, "_back_off", lambda number: None), (resolve, "_mint", self._mint))
        with replaced(*patches, *self.mutant.patches):
            for works, workers, kills in ((self.scene.first, 1, 0), (self.scene.works, self.scene.workers, 1)):
                if works:
                    kills = self.scene.kills if kills else 0
                    self.scheduler = Scheduler(
                        self.rng, works, self._perform, self._done, workers, kills, shuffled=works is self.scene.works
                    )
                    self.scheduler.run()
        self.watch.check()
        self._check_hints()

    def _check_hints(self) -> None:
        """Every event that was acknowledged has raised the hints of its nodes."""
        for work in (*self.scene.first, *self.scene.works):
            if isinstance(work, Seen) and id(work) not in self.refused:
                for n, asr in work.nodes:
                    hint = self.watch.hints.get(n)
                    _must(hint is None or (hint[0] >= asr and hint[1] >= work.day), "I8 hints are raised in time")

    def _mint(self) -> str:
        if self.mutant.reuse and self.watch.dropped and self.rng.random() < 0.7:
            return self.rng.choice(sorted(self.watch.dropped))
        self.keys += 1
        return f"k{self.keys}"

    def _perform(self, worker: int, work: Work) -> None:
        if self.mutant.once and id(work) in self.begun:
            return
        self.begun.add(id(work))
        try:
            self._do(worker, work)
            self.refused.discard(id(work))
        except Erased:
            self.refused.add(id(work))

    def _do(self, worker: int, work: Work) -> None:
        table, rules = self.table, self.scene.rules
        match work:
            case Seen(nodes):
                specs = [Node(n, TRAITS[n], asr, work.day) for n, asr in nodes]
                traits = {n: TRAITS[n] for n, _ in nodes}
                pairs = graph.evidence(dict(nodes), traits, nodes[0][0])
                look, cause = self._look(specs), Cause({"event": f"event {id(work)}"})
                resolve.apply(table, rules, specs, pairs, clock=self._clock(worker), seen=look, cause=cause)
            case Decision(a, b, at, state):
                specs = [Node(n, TRAITS[n]) for n in (a, b)]
                pairs = {graph.pair_of(a, b): Rec(0, Adm(at, "agent", state))}
                cause = Cause({"key": "agent"}, state, "a test", (a, b))
                resolve.apply(table, rules, specs, pairs, clock=self._clock(worker), cause=cause)
            case Blocking(node, at, on):
                block = {node: Block(at, "admin", on)}
                resolve.apply(table, rules, [Node(node, TRAITS[node])], {}, block, clock=self._clock(worker))
            case Erasure():
                self._erase(work)

    def _look(self, specs: list[Node]) -> dict[str, Item] | None:
        """Half of the workers read the nodes themselves beforehand, as those that record events do."""
        if self.rng.random() < 0.5:
            return None
        found = self.table.batch_get([(f"{self.scene.rules.node}{spec.id}", "-") for spec in specs])
        return {pk.removeprefix(self.scene.rules.node): item for (pk, _), item in found.items()}

    def _erase(self, work: Erasure) -> None:
        """The list of nodes is kept as a job keeps it, so that a redelivery ends what was begun."""
        if id(work) not in self.jobs:
            view = resolve.read(self.table, self.scene.rules, work.node)
            self.jobs[id(work)] = view.nodes if view else ()
        resolve.remove(self.table, self.scene.rules, self.jobs[id(work)], 5)

    def _clock(self, worker: int) -> Callable[[], int]:
        self.clock += 1
        return lambda: self.clock + self.scene.skew[worker]

    def _committed(self) -> None:
        assert self.scheduler
        self._accept(self.scheduler.current)
        self.watch.audited(isinstance(self.scheduler.current, Erasure))

    def _done(self, work: Work) -> None:
        if id(work) not in self.refused:
            self._accept(work)

    def _accept(self, work: Work) -> None:
        """The store says that it has this work's evidence; hold it to that."""
        match work:
            case Seen(nodes):
                self.oracle.event({n: (TRAITS[n], asr) for n, asr in nodes}, nodes[0][0])
            case Decision(a, b, at, state):
                if not {a, b} & self.oracle.gone:
                    self.oracle.see(a, TRAITS[a])
                    self.oracle.see(b, TRAITS[b])
                self.oracle.decide(a, b, at, "agent", state)
            case Blocking(node, at, on):
                self.oracle.see(node, TRAITS[node])
                self.oracle.block(node, at, "admin", on)
            case Erasure():
                self.oracle.erase(self.watch.erased() - self.oracle.gone)
        self.watch.check()


@dataclass
class Watch:
    """Checks every invariant on the raw rows."""

    table: MemoryTable
    rules: Rules
    oracle: Oracle
    decoded: dict[bytes, Any] = field(default_factory=dict)
    born: dict[str, int] = field(default_factory=dict)
    forwards: dict[str, str] = field(default_factory=dict)
    living: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    stored: dict[tuple[str, str], Rec] = field(default_factory=dict)
    hints: dict[str, tuple[int, str]] = field(default_factory=dict)
    audits: set[tuple[str, str]] = field(default_factory=set)
    people: set[frozenset[str]] = field(default_factory=set)
    strict: bool = True
    """False: look only for the damage that a reused key does, not for the reuse."""

    def node(self, name: str) -> dict[str, Any] | None:
        return self.table.peek((self.rules.node + name, "-"))

    def erased(self) -> set[str]:
        return {name for name, item in self._rows(self.rules.node).items() if "erased" in item}

    def check(self) -> None:
        nodes = {n: item for n, item in self._rows(self.rules.node).items() if "own" in item}
        items = self._rows(self.rules.cluster)
        clusters = {key: self._cluster(key) for key, item in items.items() if "fwd" not in item}
        self._one_home(nodes, items, clusters)
        home = {n: cluster for cluster in clusters.values() for n in cluster.born}
        joint = self._joint(clusters.values())
        full = self._saturated(home, joint)
        self._sides(home, joint, full)
        self._customers(clusters)
        self._forgotten(clusters, full)
        self._hinted(nodes)
        self._no_way_back(nodes, items, full, joint)

    def audited(self, erasing: bool) -> None:
        """Who was told apart, or not, by this commit is told in the audit by the same commit."""
        found = {key for key in self.table.rows if key[1].startswith(resolve.AUDIT)}
        people = self.oracle.customers()
        old = set().union(*self.people)
        changed = _couples(people, old) != _couples(self.people, old & set(self.oracle.alive()))
        _must(erasing or not changed or len(found) > len(self.audits), "I9 merges and splits are audited")
        _must(self.audits <= found, "I9 the audit stays")
        self.audits, self.people = found, people

    def _rows(self, prefix: str) -> dict[str, dict[str, Any]]:
        here = [(key, raw) for key, raw in self.table.rows.items() if key[0].startswith(prefix) and key[1] == "-"]
        rows = [(key[0].removeprefix(prefix), raw) for key, raw in here]
        return {name: self._decode(name, raw) for name, raw in rows}

    def _decode(self, name: str, raw: bytes) -> dict[str, Any]:
        if raw not in self.decoded:
            self.decoded[raw] = self.table.peek((self._prefix(name, raw), "-"))
        return self.decoded[raw]

    def _prefix(self, name: str, raw: bytes) -> str:
        return next(key[0] for key, row in self.table.rows.items() if row is raw)

    def _cluster(self, key: str) -> Cluster:
        raw = self.table.rows[self.rules.cluster + key, "-"]
        if (raw, "cluster") not in self.decoded:
            self.decoded[raw, "cluster"] = resolve.unpack(self.decoded[raw])
        return self.decoded[raw, "cluster"]

    def _one_home(self, nodes: Mapping[str, Any], items: Mapping[str, Any], clusters: Mapping[str, Cluster]) -> None:
        members = [n for cluster in clusters.values() for n in cluster.born]
        _must(len(members) == len(set(members)) and set(members) == set(nodes), "I1 one home each")
        for n, item in nodes.items():
            key = item["own"]
            while "fwd" in items.get(key, {}):
                key = items[key]["fwd"]
            _must(key in clusters and n in clusters[key].born, "I1 own leads home")
            _must(clusters[key].born[n] == item["born"], "I1 born")

    def _joint(self, clusters: Any) -> dict[tuple[str, str], Rec]:
        joint: dict[tuple[str, str], Rec] = {}
        for cluster in clusters:
            for pair, rec in cluster.recs.items():
                old = joint.get(pair, rec)
                joint[pair] = Rec(max(old.asr, rec.asr), max(old.adm, rec.adm))
        return joint

    def _saturated(self, home: Mapping[str, Cluster], joint: Mapping[tuple[str, str], Rec]) -> set[str]:
        eye = Oracle(self.rules.limit, self.rules.cap)
        eye.trait = TRAITS
        eye.sure = {frozenset(pair): rec.asr for pair, rec in joint.items() if rec.asr >= 2}
        return {n for n in eye.saturated() if n in home}

    def _sides(self, home: Mapping[str, Cluster], joint: Mapping[tuple[str, str], Rec], full: set[str]) -> None:
        for pair, rec in joint.items():
            sides = [home[n] for n in pair if n in home and n not in full]
            _must(all(side.recs.get(pair) == rec for side in sides), "I2 equal on every unsaturated side")
            across = len(sides) == 2 and sides[0] is not sides[1]
            _must(not across or (rec.asr < 2 and rec.adm.state not in ("link", "force")), "I3 across is off")

    def _customers(self, clusters: Mapping[str, Cluster]) -> None:
        parts = [(cluster, part) for cluster in clusters.values() for part in cluster.parts]
        ids = [min(f"{cluster.born[n]:013d}{n}" for n in part.nodes) for cluster, part in parts]
        _must([part.customer for _, part in parts] == ids, "I4 a customer's id is his oldest born")
        stored = {frozenset(part.nodes) for _, part in parts}
        wanted = self.oracle.customers()
        _must(stored == wanted, f"I4 customers: {sorted(map(sorted, stored))}, not {sorted(map(sorted, wanted))}")

    def _forgotten(self, clusters: Mapping[str, Cluster], full: set[str]) -> None:
        """Of an erased node there is a record at a saturated one only."""
        for cluster in clusters.values():
            left = [pair for pair in cluster.recs if not self.oracle.gone.isdisjoint(pair)]
            _must(all(full & set(pair) & cluster.born.keys() for pair in left), "I7 erased leaves no record")

    def _hinted(self, nodes: Mapping[str, Any]) -> None:
        hints = {n: (item.get("asr", 0), item.get("last", "")) for n, item in nodes.items()}
        for n, (asr, last) in hints.items():
            before = self.hints.get(n, (0, ""))
            _must(asr >= before[0] and last >= before[1], "I8 hints are only raised")
        self.hints = hints

    def _no_way_back(
        self, nodes: Mapping[str, Any], items: Mapping[str, Any], full: set[str], joint: dict[tuple[str, str], Rec]
    ) -> None:
        alive = set(nodes)
        for n, item in nodes.items():
            _must(self.born.setdefault(n, item["born"]) == item["born"], "I5 born stays")
        _must(self.full & alive <= full, "I5 saturated stays")
        forwards = {key: item["fwd"] for key, item in items.items() if "fwd" in item}
        _must(self.forwards.items() <= forwards.items(), "I5 tombstones stay")
        _must(not (self.strict and self.dropped & items.keys()), "I5 a key never returns")
        for pair, old in self.stored.items():
            if alive.issuperset(pair) and not full.issuperset(pair):
                rec = joint.get(pair, Rec())
                _must(rec.asr >= old.asr and rec.adm >= old.adm, "I6 evidence only grows")
        self.dropped |= self.living - items.keys()
        self.living, self.forwards, self.full, self.stored = set(items), forwards, full, joint


def _couples(people: set[frozenset[str]], among: set[str]) -> set[tuple[str, str]]:
    """Who of these is one customer with whom."""
    return {couple for nodes in people for couple in combinations(sorted(nodes & among), 2)}


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what)


def drawn(seed: int) -> Scene:
    """A random scene: few nodes, so that works meet."""
    rng = random.Random(f"scene {seed}")
    names = rng.sample(sorted(TRAITS), rng.randint(4, 9))
    works: list[Work] = [_work(rng, names, at) for at in range(1, rng.randint(4, 9))]
    works += [work for work in works if not isinstance(work, Erasure) and rng.random() < 0.3]
    rules = Rules(
        limit=rng.choice((2, 3)),
        cap=rng.choice((3, 4, 100, 100)),
        actions=rng.choice((8, 9, 100, 100)),
        moves=rng.choice((0, 1, 4)),
        splits=rng.choice((0, 1, 4, 100)),
        **rng.choice(({}, {"node": "R#", "cluster": "V#"})),
    )
    skew = tuple(rng.choice((0, 0, -500, 500)) for _ in range(4))
    return Scene(works, (), rng.randint(1, 4), rng.choice((0, 1, 3)), rules, skew)


def _work(rng: random.Random, names: Sequence[str], at: int) -> Work:
    a, b = rng.sample(names, 2)
    draw = rng.random()
    if draw < 0.68:
        nodes = rng.sample(names, min(rng.choice((1, 2, 2, 2, 3, 4)), len(names)))
        return Seen(tuple((n, rng.choice((1, 2, 2, 2, 3))) for n in sorted(nodes)), f"202601{at:02d}")
    if draw < 0.88:
        return Decision(a, b, at, rng.choice(("link", "cut", "cut", "force", "-")))
    if draw < 0.96:
        return Blocking(a, at, rng.random() < 0.7)
    return Erasure(a)
