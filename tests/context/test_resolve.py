"""The identity store: right in any order, with duplicates, races and crashes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from chalicelib.context import audit, graph, resolve
from chalicelib.context.graph import Adm, Block, Rec, Rules
from chalicelib.context.resolve import Node
from chalicelib.errors import Busy, Erased
from chalicelib.store.table import Action, Item, Key, Put
from tests.context.identity_runs import TRAITS, Blocking, Decision, Erasure, Run, Scene, Seen, Watch, drawn
from tests.context.mutants import MUTANTS
from tests.context.oracle import Oracle
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

SCHEDULES = int(os.environ.get("DRAAD_SCHEDULES", "2000"))
LANES = 8
RULES = Rules(limit=2)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "_back_off", lambda number: None)


@pytest.mark.parametrize("lane", range(LANES))
def test_random_schedules(lane: int) -> None:
    for seed in range(lane, SCHEDULES, LANES):
        Run(seed, drawn(seed)).play()


@pytest.mark.nightly
@pytest.mark.parametrize("lane", range(10))
def test_many_random_schedules(lane: int) -> None:
    for seed in range(10_000 + lane, 60_000, 10):
        Run(seed, drawn(seed)).play()


def _a2(*nodes: str) -> Seen:
    return Seen(tuple((n, 2) for n in nodes), "20260101")


RACES = {
    "create": Scene([_a2("chat1", "mail1"), _a2("mail1", "chat1"), _a2("desk1", "mail1")], workers=3),
    "merge and merge": Scene(
        [_a2("chat1", "chat2"), _a2("chat2", "chat3"), _a2("chat3", "desk1")],
        [_a2("chat1", "tel1"), _a2("chat2", "tel2"), _a2("chat3", "mail1"), _a2("desk1", "mail2")],
        workers=3,
    ),
    "two anchors": Scene([_a2("chat1", "shop1"), _a2("chat1", "shop2")], [_a2("chat1", "mail1")]),
    "two anchors on a phone": Scene([_a2("tel1", "shop1"), _a2("tel1", "shop2"), _a2("chat1", "tel1")], workers=3),
    "one neighbour too many": Scene(
        [_a2("chat2", "tel1"), _a2("chat3", "tel1"), _a2("desk1", "tel1")], [_a2("chat1", "tel1")], workers=3
    ),
    "cut against link": Scene(
        [Decision("chat1", "chat2", 1, "link"), Decision("chat1", "chat2", 2, "cut"), _a2("chat2", "mail1")],
        [_a2("chat1", "mail1")],
        workers=3,
    ),
    "flip chain": Scene(
        [Decision("chat1", "chat2", at, state) for at, state in enumerate(("link", "-", "link", "-", "force"), 1)],
        [_a2("chat1", "mail1"), _a2("chat2", "mail2")],
        workers=4,
        rules=Rules(limit=2, moves=0),
    ),
    "key and key again": Scene(
        [
            _a2("chat1", "chat2"),
            Decision("chat1", "chat3", 1, "link"),
            Decision("chat1", "chat3", 2, "-"),
            _a2("desk1"),
        ],
        [_a2("chat1"), _a2("chat2"), _a2("chat3")],
        workers=4,
    ),
    "late block": Scene(
        [Blocking("tel1", 1, True), _a2("chat2", "tel1"), Blocking("tel1", 2, False)], [_a2("chat1", "tel1")], workers=3
    ),
    "skew": Scene([_a2("chat1", "mail1"), _a2("mail1", "chat2")], workers=2, skew=(900, -900, 0, 0)),
    "erase and cut": Scene(
        [Erasure("chat1"), Decision("chat1", "chat2", 1, "cut"), Decision("chat1", "desk1", 2, "cut")],
        [Decision("chat1", "tel1", 3, "cut"), _a2("chat2"), _a2("desk1")],
        workers=3,
    ),
    "erase and say again": Scene(
        [Erasure("shop3"), *[Decision("chat2", "shop3", 1, "-")] * 4],
        [Decision("chat2", "shop3", 1, "-")],
        workers=4,
    ),
    "erase and meet": Scene(
        [Erasure("chat1"), _a2("chat1", "mail1"), Decision("chat1", "desk1", 1, "cut"), _a2("chat1", "tel1")],
        [_a2("chat1", "mail2"), _a2("desk1")],
        workers=4,
    ),
}


@pytest.mark.parametrize("name", RACES)
def test_directed_races(name: str) -> None:
    for seed in range(120):
        Run(seed, RACES[name]).play()
        Run(seed, Scene(**{**vars(RACES[name]), "kills": 2})).play()


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name: str) -> None:
    assert any(_fails(seed, name) for seed in range(1_000)), f"{name!r} survives"


def _fails(seed: int, name: str) -> bool:
    """By random scenes; the one that needs a rare meeting, by its directed race."""
    scene = RACES["erase and say again"] if name == "unchanged clusters go unchecked" else drawn(seed)
    try:
        Run(seed, scene, MUTANTS[name]).play()
    except Exception:
        return True
    return False


def seen(table: Any, *identities: tuple[str, int], rules: Rules = RULES, day: str = "20260101") -> resolve.Applied:
    nodes = [Node(n, TRAITS[n], asr, day, {"kind": n[:-1], "val": n}) for n, asr in identities]
    pairs = graph.evidence(dict(identities), TRAITS, identities[0][0])
    return resolve.apply(table, rules, nodes, pairs, clock=lambda: 1_000)


def said(table: Any, a: str, b: str, at: int, state: str, **options: Any) -> resolve.Applied:
    nodes = [Node(a, TRAITS[a]), Node(b, TRAITS[b])]
    pairs = {graph.pair_of(a, b): Rec(0, Adm(at, "agent", state))}
    return resolve.apply(table, RULES, nodes, pairs, clock=lambda: 2_000, **options)


def test_applied_tells_what_happened() -> None:
    table = MemoryTable()
    first = seen(table, ("chat1", 2), ("mail1", 2))
    assert (first.written, first.created, first.before) == (True, ("chat1", "mail1"), ())
    assert first.customer("mail1") == "0000000001001chat1"
    again = seen(table, ("chat1", 2), ("mail1", 2))
    assert (again.written, again.before, again.after) == (False, first.after, first.after)
    assert again.keys == first.keys


def test_applied_tells_a_merge_and_a_conflict() -> None:
    table = MemoryTable()
    seen(table, ("chat1", 3), ("shop1", 3))
    seen(table, ("chat2", 3), ("shop2", 3))
    applied = said(table, "chat1", "chat2", 1, "link")
    assert applied.before == applied.after
    assert applied.conflicts == (graph.Conflict("chat1", "chat2", "anchor"),)
    forced = said(table, "chat1", "chat2", 2, "force")
    assert [part.nodes for part in forced.after] == [("chat1", "chat2", "shop1", "shop2")]
    assert forced.conflicts == ()


def test_undo_gives_both_customers_back() -> None:
    table = MemoryTable()
    seen(table, ("chat1", 3), ("shop1", 3))
    seen(table, ("chat2", 3), ("mail2", 3))
    linked = said(table, "chat1", "chat2", 1, "link")
    assert len(linked.after) == 1
    assert said(table, "chat1", "chat2", 2, "-").after == linked.before


def test_a_dry_run_shows_the_outcome_and_writes_nothing() -> None:
    table = MemoryTable()
    seen(table, ("chat1", 3), ("mail1", 3))
    rows = dict(table.rows)
    shown = said(table, "chat1", "chat2", 1, "link", dry_run=True)
    assert len(shown.after) == 1 and shown.written
    assert table.rows == rows


def test_a_shared_node_belongs_to_nobody_and_says_who_is_near() -> None:
    table = MemoryTable()
    seen(table, ("tel1", 2), ("shop1", 2))
    shared = seen(table, ("tel1", 2), ("shop2", 2))
    assert shared.customer("tel1") is None
    view = resolve.read(table, RULES, "tel1")
    assert view and (view.customer, view.nodes, view.near) == (None, (), ("shop1", "shop2"))
    near = resolve.read(table, RULES, "shop1")
    assert near and (near.nodes, near.shared) == (("shop1",), ("tel1",))


def test_a_blocked_node_belongs_to_nobody() -> None:
    table = MemoryTable()
    seen(table, ("mail1", 2), ("chat1", 2))
    block = {"mail1": Block(1, "admin", True)}
    applied = resolve.apply(table, RULES, [Node("mail1", "s")], {}, block, clock=lambda: 1)
    assert (applied.customer("mail1"), len(applied.after)) == (None, 1)


def test_every_former_id_resolves() -> None:
    table = MemoryTable()
    ids = [seen(table, (n, 2)).after[0].customer for n in ("chat1", "chat2", "chat3")]
    seen(table, ("chat3", 3), ("chat2", 3))
    seen(table, ("chat2", 3), ("chat1", 3))
    views = [resolve.read(table, RULES, graph.node_of(one)) for one in ids]
    assert {view.customer for view in views if view} == {ids[0]}
    assert views[0] and sorted(views[0].former) == sorted(ids[1:])


def test_a_chain_of_forwards_is_followed_to_its_end() -> None:
    table, rules = MemoryTable(), Rules(moves=0)
    seen(table, ("chat1", 2), rules=rules)
    seen(table, ("chat2", 2), ("mail1", 2), rules=rules)
    seen(table, ("chat3", 2), ("mail2", 2), ("desk1", 2), ("tel1", 2), rules=rules)
    seen(table, ("chat1", 3), ("chat2", 3), rules=rules)
    seen(table, ("chat2", 3), ("chat3", 3), rules=rules)
    own = [table.get((f"N#{n}", "-"))["own"] for n in ("chat1", "chat2", "chat3")]
    assert [table.get((f"K#{key}", "-")).get("fwd") for key in own] == [own[1], own[2], None]
    applied = seen(table, ("chat1", 3), ("chat2", 3), ("desk1", 3), rules=rules)
    assert len(applied.after[0].nodes) == 7 and set(applied.keys.values()) == {own[2]}


def test_an_unknown_node_is_nobody() -> None:
    assert resolve.read(MemoryTable(), RULES, "chat1") is None


def test_erasing_leaves_a_mark_and_refuses_what_comes_late() -> None:
    table = MemoryTable()
    applied = seen(table, ("chat1", 2), ("mail1", 2), ("tel1", 2))
    said(table, "chat1", "desk1", 1, "cut")
    assert resolve.remove(table, RULES, applied.after[0].nodes, 7) == ()
    assert table.get(("N#chat1", "-")) == {"pk": "N#chat1", "sk": "-", "erased": 7}
    with pytest.raises(Erased):
        resolve.read(table, RULES, "chat1")
    with pytest.raises(Erased):
        seen(table, ("chat1", 2), ("desk1", 2))
    desk = resolve.read(table, RULES, "desk1")
    assert desk and "recs" not in table.get(("K#" + desk.key, "-"))


def test_generations_outlive_the_node_and_may_be_there_before_it() -> None:
    table = MemoryTable()
    table.write(Put({"pk": "N#chat1", "sk": "-", "gens": [["2026", "moved"]]}))
    assert resolve.read(table, RULES, "chat1") is None
    applied = seen(table, ("chat1", 2), ("mail1", 2))
    item = table.get(("N#chat1", "-"))
    assert item and item["gens"] and item["own"]
    resolve.remove(table, RULES, applied.after[0].nodes, 7)
    assert table.get(("N#chat1", "-")) == {"pk": "N#chat1", "sk": "-", "gens": [["2026", "moved"]], "erased": 7}


def test_a_node_that_became_shared_is_not_erased() -> None:
    table = MemoryTable()
    nodes = seen(table, ("chat1", 2), ("tel1", 2)).after[0].nodes
    seen(table, ("tel1", 2), ("shop1", 2))
    seen(table, ("tel1", 2), ("shop2", 2))
    assert resolve.remove(table, RULES, nodes, 7) == ("tel1",)
    assert resolve.read(table, RULES, "tel1")


def test_a_long_erasure_goes_in_chunks() -> None:
    table, rules = MemoryTable(), Rules(actions=9)
    names = [f"n{i:02}" for i in range(20)]
    for n in names:
        pairs = {graph.pair_of("n00", n): Rec(3)} if n != "n00" else {}
        resolve.apply(table, rules, [Node("n00"), Node(n)], pairs, clock=lambda: 1)
    view = resolve.read(table, rules, "n00")
    assert view and len(view.nodes) == 20
    resolve.remove(table, rules, view.nodes, 7)
    assert {item["erased"] for item in map(table.peek, table.rows) if item} == {7}


def test_hints_are_raised_once_a_day_and_never_lowered() -> None:
    table = MemoryTable()
    seen(table, ("chat1", 2), day="20260105")
    seen(table, ("chat1", 1), day="20260103")
    item = table.get(("N#chat1", "-"))
    assert item and (item["asr"], item["last"], item["val"]) == (2, "20260105", "chat1")
    seen(table, ("chat1", 3), day="20260106")
    item = table.get(("N#chat1", "-"))
    assert item and (item["asr"], item["last"]) == (3, "20260106")


def test_a_store_that_never_settles_is_busy() -> None:
    class Losing(MemoryTable):
        def write(self, action: Action) -> bool:
            return False

        def transact(self, actions: Sequence[Action]) -> bool:
            return False

    with pytest.raises(Busy):
        seen(Losing(), ("chat1", 2), ("mail1", 2))


def test_more_nodes_than_a_transaction_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 50"):
        resolve.apply(MemoryTable(), RULES, [Node(f"n{i}") for i in range(51)], {})


def test_evidence_that_would_make_a_cluster_too_heavy_is_held() -> None:
    table, rules = MemoryTable(), Rules(weight=110)
    for identities in ((("chat1", 2), ("mail1", 2)), (("chat2", 2), ("tel1", 2))):
        seen(table, *identities, rules=rules)
    held = seen(table, ("chat1", 3), ("chat2", 3), rules=rules)
    assert held.held and held.before == held.after
    rows = dict(table.rows)
    assert not seen(table, ("chat1", 3), ("chat2", 3), rules=rules).written
    assert table.rows == rows


@pytest.mark.parametrize(("met", "calls"), [(False, 3), (True, 2)])
def test_a_change_survives_a_kill_at_every_storage_call(met: bool, calls: int) -> None:
    """In a container that has met both, and in one that has not."""
    start = _two_customers if met else _two_strangers
    whole = FaultTable(start())
    said(whole, "chat1", "chat2", 1, "link")
    assert whole.calls == calls
    for kill_at in range(1, whole.calls + 1):
        for after in (False, True):
            table = start()
            with pytest.raises(Killed):
                said(FaultTable(table, kill_at, after), "chat1", "chat2", 1, "link")
            _whole(table, linked=after and kill_at == whole.calls)
            applied = said(table, "chat1", "chat2", 1, "link")
            assert [part.nodes for part in applied.after] == [("chat1", "chat2", "mail1", "mail2")]


def _two_customers() -> MemoryTable:
    table = MemoryTable()
    seen(table, ("chat1", 2), ("mail1", 2))
    seen(table, ("chat2", 2), ("mail2", 2))
    return table


def _two_strangers() -> MemoryTable:
    table = _two_customers()
    resolve.forget()
    return table


def _whole(table: MemoryTable, linked: bool) -> None:
    oracle = Oracle(RULES.limit, RULES.cap)
    for one in (1, 2):
        oracle.event({f"chat{one}": ("", 2), f"mail{one}": ("s", 2)}, f"chat{one}")
    if linked:
        oracle.decide("chat1", "chat2", 1, "agent", "link")
    Watch(table, RULES, oracle).check()


class Meter(MemoryTable):
    """Counts requests and write units: 1 KB each, double in a transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        self.count["read"] += 1
        return super().batch_get(keys)

    def write(self, action: Action) -> bool:
        self.count["units"] += _units(action)
        return super().write(action)

    def transact(self, actions: Sequence[Action]) -> bool:
        self.count["units"] += 2 * sum(map(_units, actions))
        return super().transact(actions)

    def take(self) -> tuple[int, int]:
        taken = self.count["read"], self.count["units"]
        self.count.clear()
        return taken


def _units(action: Any) -> int:
    return -(-_size(getattr(action, "item", {})) // 1024) or 1


def _size(value: Any) -> int:
    match value:
        case dict():
            return 3 + sum(len(name) + 1 + _size(each) for name, each in value.items())
        case list():
            return 3 + sum(1 + _size(each) for each in value)
        case int():
            return 1 + len(str(value)) // 2 + 1
    return len(value)


def test_what_a_change_costs() -> None:
    """Requests and write units with node ids of 26 characters, as in docs/identity.md."""
    table, rules = Meter(), Rules()
    ids = [f"{i:026}" for i in range(200)]

    def meet(*nodes: str) -> tuple[int, int]:
        resolve.forget()
        return again(*nodes)

    def again(*nodes: str) -> tuple[int, int]:
        pairs = {graph.pair_of(nodes[0], n): Rec(2) for n in nodes[1:]}
        resolve.apply(table, rules, [Node(n, "", 2, "20260101") for n in nodes], pairs, clock=lambda: 1_700_000_000_000)
        return table.take()

    assert meet(ids[0], ids[1]) == (1, 6)
    assert meet(ids[0], ids[1]) == (2, 0)
    assert again(ids[0], ids[1]) == (1, 0)
    assert meet(ids[2], ids[3]) == (1, 6)
    assert meet(ids[0], ids[2]) == (2, 10)
    assert meet(ids[0], ids[4]) == (2, 4)
    for first in (40, 60):
        for n in ids[first + 1 : first + 20]:
            meet(ids[first], n)
    assert meet(ids[40], ids[60]) == (2, 8)


@pytest.mark.parametrize("crowd", [6, 12, 40])
def test_a_crowd_that_comes_apart_costs_no_event_much(crowd: int) -> None:
    """A shared phone's neighbours leave its cluster a few with each change, until all have left."""
    table, rules = Meter(), Rules(limit=crowd - 1)
    ids = [f"{i:026}" for i in range(crowd)]

    def rings(number: int, at: int = 0) -> int:
        nodes = [Node(ids[number], "", 2), Node("phone", "s", 2)]
        pairs = {graph.pair_of(ids[number], "phone"): Rec(2, Adm(at, "agent", "-"))}
        resolve.apply(table, rules, nodes, pairs, clock=lambda: 1_700_000_000_000)
        return table.take()[1]

    for number in range(crowd - 1):
        rings(number)
    spent = [rings(crowd - 1)]
    assert _alone(table, ids), "at once"
    while len(list(_clusters(table))) < crowd + 1:
        spent.append(rings(crowd - 1 - len(spent) % crowd, len(spent)))
        assert len(spent) < 2 * crowd
    assert max(spent) <= 18
    assert _alone(table, ids)


def _alone(table: Any, nodes: Sequence[str]) -> bool:
    views = [resolve.read(table, RULES, node) for node in nodes]
    return all(view and set(view.nodes).isdisjoint(set(nodes) - {view.node}) for view in views)


def _ring(table: Any, limit: int, *nodes: str) -> None:
    for node in nodes:
        seen(table, (node, 2), ("tel1", 2), rules=Rules(limit=limit))


def test_a_lower_limit_takes_hold_at_the_next_event() -> None:
    table = MemoryTable()
    _ring(table, 5, "chat1", "chat2", "chat3")
    assert len(resolve.read(table, RULES, "chat1").nodes) == 4  # type: ignore[union-attr]
    applied = resolve.apply(table, RULES, [Node("chat2")], {}, clock=lambda: 3_000)
    assert sorted(part.nodes for part in applied.after) == [("chat1",), ("chat2",), ("chat3",)]
    (told,) = audits(table)
    assert told["what"] == "split" and len(told["before"]) == 1 and len(told["after"]) == 3
    rows = dict(table.rows)
    resolve.apply(table, RULES, [Node("chat2")], {})
    assert table.rows == rows


def test_a_higher_limit_frees_no_phone_that_was_shared() -> None:
    """It has taken no evidence since, so what it would unite now is not known."""
    table = MemoryTable()
    _ring(table, 2, "chat1", "chat2", "chat3", "desk1")
    _ring(table, 9, "chat1", "desk1")
    view = resolve.read(table, Rules(limit=9), "tel1")
    assert view and view.customer is None
    assert all(len(resolve.read(table, RULES, n).nodes) == 1 for n in ("chat1", "desk1"))  # type: ignore[union-attr]


def test_limits_that_flap_end_as_the_last_one_says() -> None:
    """Two containers see a changed setting seconds apart."""
    table = MemoryTable()
    for cap in (100, 2, 100, 2):
        seen(table, ("chat1", 2), ("desk1", 2), rules=Rules(cap=cap))
        seen(table, ("chat2", 2), ("desk1", 2), rules=Rules(cap=cap))
        view = resolve.read(table, Rules(cap=cap), "desk1")
        assert view and len(view.nodes) == min(3, cap)


def audits(table: MemoryTable) -> list[Item]:
    return [item for key in sorted(table.rows) if key[1].startswith("A#") and (item := table.peek(key))]


def test_a_merge_by_an_event_is_audited_in_the_same_commit() -> None:
    table = _two_customers()
    pairs = graph.evidence({"chat1": 2, "chat2": 2}, TRAITS, "chat1")
    cause = resolve.Cause({"event": "e-1", "source": "shop"})
    before = {n: resolve.read(table, RULES, n).customer for n in ("chat1", "chat2")}  # type: ignore[union-attr]
    for _ in range(2):
        resolve.apply(table, RULES, [Node("chat1"), Node("chat2")], pairs, clock=lambda: 5_000, cause=cause)
    (told,) = audits(table)
    assert (told["pk"], told["sk"][:16], told["what"]) == ("N#chat1", "A#0000000005000#", "merge")
    assert told["before"] == sorted(before.values()) and told["after"] == [before["chat1"]]
    assert told["by"] == {"event": "e-1", "source": "shop"}


def test_a_merge_is_found_by_whoever_stayed_though_those_that_brought_it_about_are_far() -> None:
    table = MemoryTable()
    for pair in (("desk1", "chat1"), ("desk1", "mail1"), ("tel1", "shop1")):
        seen(table, *((node, 2) for node in pair))
    seen(table, ("chat1", 2), ("tel1", 2))
    seen(table, ("mail1", 2), ("shop1", 2))
    for node in ("chat1", "desk1", "tel1"):
        block = {node: Block(1, "admin", True)}
        resolve.apply(table, RULES, [Node(node)], {}, block, cause=resolve.Cause({}, "block", "", (node,)))
    view = resolve.read(table, RULES, "shop1")
    assert view and view.nodes == ("mail1", "shop1") and "chat1" not in view.beside
    lines = [line for line in audit.of_view(table, view, {}) if "merge" in line.effects]
    assert [(line.what, len(line.before)) for line in lines] == [("merge", 2)]


def test_a_new_identity_is_no_merge_and_a_decision_is_always_audited() -> None:
    table = MemoryTable()
    seen(table, ("chat1", 2), ("mail1", 2))
    seen(table, ("chat1", 2), ("desk1", 2))
    assert audits(table) == []
    said(
        table,
        "chat1",
        "mail1",
        1,
        "link",
        cause=resolve.Cause({"key": "k"}, "link", "same address", ("chat1", "mail1")),
    )
    (told,) = audits(table)
    assert (told["what"], told["did"], told["why"], told["ends"]) == ("link", [], "same address", ["chat1", "mail1"])


def test_a_blocked_neighbour_is_shown_beside_its_customer() -> None:
    table = MemoryTable()
    seen(table, ("mail1", 2), ("chat1", 2))
    resolve.apply(table, RULES, [Node("mail1", "s")], {}, {"mail1": Block(1, "admin", True)}, clock=lambda: 1)
    view = resolve.read(table, RULES, "chat1")
    assert view and (view.nodes, view.shared) == (("chat1",), ("mail1",))


def test_a_cut_neighbour_is_beside_him_but_not_shared() -> None:
    table = MemoryTable()
    _ring(table, 1, "chat1", "chat2")
    said(table, "chat1", "tel1", 1, "cut")
    view = resolve.read(table, RULES, "chat1")
    assert view and (view.shared, view.beside) == ((), ("tel1",))


def test_held_evidence_shows_as_a_conflict() -> None:
    table, rules = MemoryTable(), Rules(weight=110)
    seen(table, ("chat1", 2), ("mail1", 2), rules=rules)
    seen(table, ("chat2", 2), ("tel1", 2), rules=rules)
    seen(table, ("chat1", 3), ("chat2", 3), rules=rules)
    view = resolve.read(table, rules, "tel1")
    assert view and view.conflicts == (graph.Conflict("chat1", "chat2", "held"),)


def test_conversations_use_the_same_store_with_their_own_keys() -> None:
    table = MemoryTable()
    seen(table, ("chat1", 2), ("desk1", 2), rules=Rules(node="R#", cluster="V#"))
    assert {pk[:2] for pk, _ in table.rows} == {"R#", "V#"}
    assert resolve.read(table, RULES, "chat1") is None


def test_a_cluster_item_reads_back_as_it_was() -> None:
    table = MemoryTable()
    seen(table, ("tel1", 2), ("shop1", 2))
    seen(table, ("tel1", 2), ("shop2", 2), ("mail1", 2))
    said(table, "shop1", "mail1", 4, "cut")
    resolve.apply(table, RULES, [Node("mail1", "s")], {}, {"mail1": Block(3, "admin", True)})
    for item in _clusters(table):
        found = resolve.unpack(item)
        assert resolve.pack(RULES, item["pk"].removeprefix("K#"), found, item["ver"]) == item
        assert found.parts == graph.resolve(RULES, found)[0] == resolve.customers(item)
    assert resolve.customers({"ver": 2, "fwd": "k9"}) == ()


def _clusters(table: MemoryTable) -> Iterator[Mapping[str, Any]]:
    found = [table.peek(key) for key in table.rows if key[0].startswith("K#")]
    assert found
    return iter([item for item in found if item])


def test_every_mutant_is_in_the_docs() -> None:
    from tests.context import test_record_runs

    told = (Path(__file__).parents[2] / "docs" / "identity.md").read_text("utf-8")
    for name in (*MUTANTS, *test_record_runs.MUTANTS):
        assert f"| {name} | " in told, name


if __name__ == "__main__":
    with replaced((resolve, "_back_off", lambda number: None)):
        for mutant in MUTANTS:
            died = next((seed + 1 for seed in range(10_000) if _fails(seed, mutant)), None)
            print(f"| {mutant} | {died} |", flush=True)
