"""The same store code against the embedded AWS, by real processes that race: on one customer, and
on a thousand."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest

from chalicelib.context import audit, conversations, graph, resolve
from chalicelib.context.conversations import CONVERSATIONS
from chalicelib.context.graph import Adm, Cluster, Rec, Rules
from chalicelib.context.resolve import Applied, Cause, Node
from chalicelib.errors import Busy
from chalicelib.model.event import Event, Ref
from chalicelib.store import aws
from chalicelib.store.codec import decode
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import DynamoTable, Item, Key, Put
from tests.context import identity_runs
from tests.context.identity_runs import TRAITS, Decision, Seen, Watch
from tests.context.oracle import Oracle
from tests.schedule import MemoryTable, replaced

pytestmark = pytest.mark.embedded

RULES = Rules(limit=3)
CROWDING = 8
"""Processes on one customer."""
PAIRS = 4
"""Pairs of processes, so eight of them: each customer is one pair's work."""
CUSTOMERS = 1_000
BLOCK = 10
"""Customers whom a process serves together. All begin a block at once, so that they meet."""
PATIENCE = 300.0
CAUSE = Cause({"key": "agent"})


@dataclass(frozen=True)
class Talk:
    """An event's refs, the finest first."""

    refs: tuple[Ref, ...]


Work = Seen | Decision | Talk
Block = Sequence[Sequence[Work]]
"""Customers, each by his works."""


@dataclass(frozen=True)
class Told:
    """A change as the process that made it was told. `prefix`: of the nodes."""

    prefix: str
    what: str
    effects: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass
class Report:
    """What one process did: its changes, and how many races it lost."""

    changes: list[Told] = field(default_factory=list)
    lost: int = 0


def crowd(seed: int, count: int) -> list[Work]:
    """Events and decisions on one small crowd."""
    rng = random.Random(seed)
    names = sorted(TRAITS)
    found: list[Work] = []
    for at in range(1, count + 1):
        found.append(_seen(rng, rng.sample(names, rng.choice((1, 2, 2, 3))), at))
        if at % 4 == 0:
            found.append(Decision(*rng.sample(names, 2), at, rng.choice(("link", "cut", "force", "-"))))
    return found


def customer(number: int) -> list[Work]:
    """Two to four works on few identities and refs: two events apart, what joins or parts them,
    and conversations."""
    rng = random.Random(f"customer {number}")
    a, b, c, d = (f"{name}@{number}" for name in rng.sample(sorted(TRAITS), 4))
    found: list[Work] = [_seen(rng, (a, b), 1), _seen(rng, (c, d), 2)]
    if rng.random() < 0.3:
        found.append(Decision(rng.choice((a, b)), rng.choice((c, d)), 3, rng.choice(("link", "cut", "force", "-"))))
    elif rng.random() < 0.5:
        found.append(_seen(rng, rng.sample((a, b, c, d), rng.choice((2, 3))), 3))
    if rng.random() < 0.25:
        found += [_talk(rng, number), _talk(rng, number)]
    return found[:4]


def _seen(rng: random.Random, names: Sequence[str], day: int) -> Seen:
    """The first is the event's home, so it is attested at least."""
    home, *others = names
    return Seen(((home, rng.choice((2, 2, 3))), *((n, rng.choice((1, 2, 2, 3))) for n in others)), f"202601{day:02d}")


def _talk(rng: random.Random, number: int) -> Talk:
    values = {kind: f"{rng.choice('ab')}@{number}" for kind in ("thread", "case", "order")}
    finest, *_, coarsest = rng.choice((("thread", "order"), ("thread", "case"), ("case", "order")))
    return Talk(tuple(Ref(kind, values[kind], "shop") for kind in (finest, coarsest)))


def traits_of(works: Iterable[Work]) -> dict[str, str]:
    """Trait of every node; an identity's name tells it, with or without the number of its customer."""
    found: dict[str, str] = dict(TRAITS)
    for work in works:
        found |= {name: TRAITS[name.partition("@")[0]] for name in _names(work)}
        if isinstance(work, Talk):
            found |= {ref_id(ref): conversations.trait(ref) for ref in work.refs}
    return found


def _names(work: Work) -> tuple[str, ...]:
    match work:
        case Seen(nodes):
            return tuple(name for name, _ in nodes)
        case Decision(a, b):
            return a, b
        case _:
            return ()


def race(number: int, blocks: Sequence[Block], start: Barrier, told: Any) -> None:
    """One process. When it fails, the others need not wait for it."""
    report = Report()
    try:
        with overheard(report):
            run(random.Random(number), blocks, start)
    except BaseException:
        start.abort()
        raise
    finally:
        told.put(report)


def run(rng: random.Random, blocks: Sequence[Block], start: Barrier) -> None:
    """Every work of every customer, in an order of its own."""
    traits = traits_of(work for block in blocks for works in block for work in works)
    with replaced((identity_runs, "TRAITS", traits)):
        for block in blocks:
            start.wait(PATIENCE)
            orders = [rng.sample(works, len(works)) for works in block]
            for batch in zip_longest(*orders):
                take(DynamoTable(), [work for work in batch if work])


def take(table: DynamoTable, batch: Sequence[Work]) -> None:
    """Works of different customers. Their nodes are read beforehand, and meanwhile others write;
    a work is done again while it is Busy."""
    seen = table.batch_get(_keys(batch))
    for work in batch:
        while True:
            try:
                perform(table, work, seen)
                break
            except Busy:
                continue


def _keys(works: Iterable[Work]) -> list[Key]:
    names = [f"{RULES.node}{name}" for work in works for name in _names(work)]
    refs = [f"{CONVERSATIONS.node}{ref_id(ref)}" for work in works if isinstance(work, Talk) for ref in work.refs]
    return [(pk, "-") for pk in (*names, *refs)]


def perform(table: DynamoTable, work: Work, seen: Mapping[Key, Item]) -> None:
    match work:
        case Seen(nodes, day):
            specs = [Node(n, identity_runs.TRAITS[n], asr, day) for n, asr in nodes]
            pairs = graph.evidence(dict(nodes), {each.id: each.trait for each in specs}, nodes[0][0])
            resolve.apply(table, RULES, specs, pairs, seen=_of(specs, seen), cause=CAUSE)
        case Decision(a, b, at, state):
            specs = [Node(n, identity_runs.TRAITS[n]) for n in (a, b)]
            pairs = {graph.pair_of(a, b): Rec(0, Adm(at, "agent", state))}
            resolve.apply(table, RULES, specs, pairs, cause=Cause(CAUSE.by, state, "a test", (a, b)))
        case Talk(refs):
            event = Event(type="message", channel="web", object="1", occurred_at="2026-01-01T00:00:00.000Z", refs=refs)
            conversations.link(table, event, refs, seen)


def _of(specs: Sequence[Node], seen: Mapping[Key, Item]) -> dict[str, Item]:
    return {spec.id: item for spec in specs if (item := seen.get((f"{RULES.node}{spec.id}", "-")))}


@contextmanager
def overheard(report: Report) -> Iterator[None]:
    apply, back_off = resolve.apply, resolve._back_off

    def applied(table: Any, rules: Rules, *rest: Any, cause: Cause, **options: Any) -> Applied:
        done = apply(table, rules, *rest, cause=cause, **options)
        if done.written:
            report.changes.append(_told(rules, cause, done))
        return done

    def backed_off(number: int) -> None:
        report.lost += 1
        back_off(number)

    with replaced((resolve, "apply", applied), (resolve, "_back_off", backed_off)):
        yield


def _told(rules: Rules, cause: Cause, done: Applied) -> Told:
    was, now = set(done.before), set(done.after)
    effects = graph.effects(done.before, done.after)
    ids = (tuple(sorted(part.customer for part in parts)) for parts in (was - now, now - was))
    return Told(rules.node, cause.what or "+".join(effects), effects, *ids)


def raced(lots: Sequence[Sequence[Block]]) -> list[Report]:
    """One process for each lot of blocks."""
    spawn = multiprocessing.get_context("spawn")
    start, told = spawn.Barrier(len(lots)), spawn.Queue()
    racers = [spawn.Process(target=race, args=(number, lot, start, told)) for number, lot in enumerate(lots)]
    for racer in racers:
        racer.start()
    reports: list[Report] = [told.get(timeout=PATIENCE) for _ in racers]
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * len(racers)
    return reports


def snapshot() -> MemoryTable:
    table, start = MemoryTable(), {}
    while True:
        answer: dict[str, Any] = aws.call("dynamodb", "scan", TableName=DynamoTable().name, **start)
        for item in answer["Items"]:
            table.write(Put(decode(item)))
        if "LastEvaluatedKey" not in answer:
            return table
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def oracles(works: Iterable[Work]) -> tuple[Oracle, Oracle]:
    """Who is who by all works at once: identities, and conversations."""
    people, talks = Oracle(RULES.limit, RULES.cap), Oracle(CONVERSATIONS.limit, CONVERSATIONS.cap)
    traits = identity_runs.TRAITS
    for work in works:
        match work:
            case Seen(nodes):
                people.event({n: (traits[n], asr) for n, asr in nodes}, nodes[0][0])
            case Decision(a, b, at, state):
                people.see(a, traits[a])
                people.see(b, traits[b])
                people.decide(a, b, at, "agent", state)
            case Talk(refs):
                nodes_ = [ref_id(ref) for ref in refs]
                talks.event({n: (traits[n], 2) for n in nodes_}, nodes_[0])
    return people, talks


@dataclass
class Court:
    """Holds the table to all works of one customer, and to what the processes were told."""

    table: MemoryTable
    works: Sequence[Work]
    spoken: set[str]
    """Ids that were some customer's or conversation's at some time."""
    stored: int = 0
    unstored: int = 0
    """Pairs whose ends both are shared: those nobody need keep."""

    def check(self) -> None:
        for rules, oracle in zip((RULES, CONVERSATIONS), oracles(self.works), strict=True):
            Watch(self.table, rules, oracle).check()
            views = resolve.read_all(self.table, rules, sorted(oracle.alive()))
            assert views.keys() == set(oracle.alive())
            self._evidence(oracle, {node: view.cluster for node, view in views.items()})
            for view in views.values():
                self._audited(view)

    def _evidence(self, oracle: Oracle, home: Mapping[str, Cluster]) -> None:
        """Every pair of every event, and every decision, on every side that still takes records."""
        full = oracle.saturated()
        for ends in oracle.sure.keys() | oracle.said.keys():
            pair = graph.pair_of(*ends)
            wanted = Rec(oracle.sure.get(ends, 0), Adm(*oracle.said.get(ends, Adm())))
            sides = [home[node] for node in pair if node not in full]
            assert all(side.recs[pair] == wanted for side in sides), (pair, wanted)
            self.stored += bool(sides)
            self.unstored += not sides

    def _audited(self, view: resolve.View) -> None:
        """Whatever was a customer and is part of another now came there by a merge that is told."""
        merged = self.spoken.intersection(view.former)
        if merged:
            lines = [line for line in audit.of_view(self.table, view, {}) if "merge" in line.effects]
            assert merged <= {id for line in lines for id in line.before}, (view.node, merged)


def audits_are_told(table: MemoryTable, reports: Sequence[Report]) -> int:
    """Each change that merged, split or was decided has one audit item, and there is no other."""
    changes = Counter(told for report in reports for told in report.changes if told.what)
    items = [table.peek(key) for key in table.rows if key[1].startswith(resolve.AUDIT)]
    kept = Counter(_kept(item) for item in items if item)
    assert changes == kept
    return sum(count for told, count in kept.items() if "merge" in told.effects)


def _kept(item: Item) -> Told:
    sides = (tuple(item["before"]), tuple(item["after"]))
    return Told(item["pk"][:2], item["what"], tuple(item["did"]), *sides)


def spoken(reports: Iterable[Report]) -> set[str]:
    return {id for report in reports for told in report.changes for id in (*told.before, *told.after)}


def test_eight_processes_on_one_customer_agree_with_the_oracle(live_stage: dict[str, str]) -> None:
    todo = crowd(1, 48)
    reports = raced([[[todo]]] * CROWDING)
    table = snapshot()
    Court(table, todo, spoken(reports)).check()
    assert audits_are_told(table, reports) > 0
    assert sum(report.lost for report in reports) > 0, "nobody met anybody"


def test_eight_processes_on_a_thousand_customers_agree_with_the_oracle(live_stage: dict[str, str]) -> None:
    people = [customer(number) for number in range(CUSTOMERS)]
    reports = raced(lots(people))
    table, ids = snapshot(), spoken(reports)
    with replaced((identity_runs, "TRAITS", traits_of(work for works in people for work in works))):
        courts = [Court(rows, works, ids) for rows, works in zip(apart(table, people), people, strict=True)]
        for court in courts:
            court.check()
    stored, unstored = sum(court.stored for court in courts), sum(court.unstored for court in courts)
    assert stored > 2 * CUSTOMERS and unstored < stored // 50
    assert audits_are_told(table, reports) > CUSTOMERS // 20
    assert sum(report.lost for report in reports) > CUSTOMERS // 20, "they hardly met"


def lots(people: Block) -> list[list[Block]]:
    """Blocks of customers for each process; those of a pair are the same."""
    found = []
    for number in range(PAIRS):
        mine = people[number::PAIRS]
        found += [[mine[start : start + BLOCK] for start in range(0, len(mine), BLOCK)]] * 2
    return found


def apart(table: MemoryTable, people: Sequence[Sequence[Work]]) -> list[MemoryTable]:
    """The rows of each customer; no cluster and no tombstone may be two customers'."""
    owners = {node: number for number, works in enumerate(people) for node in _nodes(works)}
    found = [MemoryTable() for _ in people]
    for key, row in table.rows.items():
        for number in _owners(table, key, owners):
            found[number].rows[key] = row
    return found


def _nodes(works: Iterable[Work]) -> set[str]:
    refs = {ref_id(ref) for work in works if isinstance(work, Talk) for ref in work.refs}
    return refs.union(*map(_names, works))


def _owners(table: MemoryTable, key: Key, owners: Mapping[str, int]) -> set[int]:
    prefix, name = key[0][:2], key[0][2:]
    if prefix in (RULES.node, CONVERSATIONS.node):
        return {owners[name]}
    item = table.peek(key)
    while item and "fwd" in item:
        item = table.peek((prefix + item["fwd"], "-"))
    found = {owners[node] for node in item["mem"]} if item else set()
    assert len(found) == 1, f"{key} belongs to {found}"
    return found
