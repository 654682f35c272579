"""The pure part: who is the same customer, given all the evidence."""

from __future__ import annotations

import random
from itertools import count, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.context import graph
from chalicelib.context.graph import CUT, FORCE, LINK, NONE, Adm, Block, Change, Cluster, Conflict, Rec, Rules
from tests.context.identity_runs import TRAITS
from tests.context.oracle import Oracle

A2, A3 = Rec(2), Rec(3)
RULES = Rules(limit=2)


def cluster(*pairs: tuple[str, str, Rec], nodes: str = "", blocks: dict[str, Block] | None = None) -> Cluster:
    names = {n for a, b, _ in pairs for n in (a, b)} | set(nodes.split())
    recs = {graph.pair_of(a, b): rec for a, b, rec in pairs}
    return Cluster({n: at for at, n in enumerate(sorted(names), 1)}, {n: TRAITS[n] for n in names}, recs, blocks or {})


def who(found: Cluster, rules: Rules = RULES) -> set[str]:
    return {" ".join(part.nodes) for part in graph.resolve(rules, found)[0]}


def said(state: str, at: int = 1, asr: int = 0) -> Rec:
    return Rec(asr, Adm(at, "agent", state))


def test_attested_evidence_unites_and_asserted_does_not() -> None:
    assert who(cluster(("chat1", "mail1", A2))) == {"chat1 mail1"}
    assert who(cluster(("chat1", "mail1", Rec(1)))) == {"chat1", "mail1"}


def test_a_contact_point_of_two_accounts_is_nobodys() -> None:
    found = cluster(("mail1", "shop1", A2), ("mail1", "shop2", A3))
    assert who(found) == {"shop1", "shop2"}
    assert graph.saturated(RULES, found) == {"mail1"}


def test_accounts_of_two_shops_may_share_a_contact_point() -> None:
    assert who(cluster(("mail1", "shop1", A2), ("card1", "mail1", A3))) == {"card1 mail1 shop1"}


def test_one_neighbour_too_many_makes_a_contact_point_shared() -> None:
    pairs = [("chat1", "tel1", A2), ("chat2", "tel1", A2)]
    assert who(cluster(*pairs)) == {"chat1 chat2 tel1"}
    assert who(cluster(*pairs, ("chat3", "tel1", A2))) == {"chat1", "chat2", "chat3"}


def test_what_a_person_decided_does_not_saturate() -> None:
    pairs = [(n, "tel1", said(LINK)) for n in ("chat1", "chat2", "chat3", "desk1")]
    assert who(cluster(*pairs)) == {"chat1 chat2 chat3 desk1 tel1"}


def test_two_anchors_of_a_kind_stay_apart_at_the_weaker_pair() -> None:
    found = cluster(("chat1", "shop1", A3), ("chat1", "shop2", A2))
    parts, conflicts = graph.resolve(RULES, found)
    assert [part.nodes for part in parts] == [("chat1", "shop1"), ("shop2",)]
    assert conflicts == (Conflict("chat1", "shop2", "anchor"),)


def test_force_unites_whole_customers_after_all_else() -> None:
    found = cluster(("chat1", "shop1", A3), ("chat2", "shop2", A3), ("shop1", "shop2", said(FORCE)))
    assert who(found) == {"chat1 chat2 shop1 shop2"}
    assert graph.resolve(RULES, found)[1] == ()


def test_a_refused_pair_that_ends_in_one_customer_is_no_conflict() -> None:
    found = cluster(("chat1", "shop1", A3), ("chat1", "shop2", A2), ("shop1", "shop2", said(FORCE)))
    assert graph.resolve(RULES, found)[1] == ()


def test_a_cut_keeps_its_ends_apart_by_whatever_path() -> None:
    found = cluster(("chat1", "desk1", A3), ("chat2", "desk1", A2), ("chat1", "chat2", said(CUT)))
    parts, conflicts = graph.resolve(RULES, found)
    assert {part.nodes for part in parts} == {("chat1", "desk1"), ("chat2",)}
    assert conflicts == (Conflict("chat2", "desk1", "cut"),)


def test_a_cut_pair_is_not_in_conflict_with_its_own_evidence() -> None:
    assert graph.resolve(RULES, cluster(("chat1", "chat2", said(CUT, asr=3))))[1] == ()


def test_a_customer_has_no_more_than_cap_nodes() -> None:
    found = cluster(("chat1", "desk1", A3), ("chat2", "desk1", A2))
    parts, conflicts = graph.resolve(Rules(cap=2), found)
    assert len(parts) == 2
    assert conflicts == (Conflict("chat2", "desk1", "oversize"),)


def test_a_blocked_node_identifies_nobody_until_it_is_released() -> None:
    pair = ("chat1", "mail1", A2)
    assert who(cluster(pair, blocks={"mail1": Block(1, "admin", True)})) == {"chat1"}
    assert who(cluster(pair, blocks={"mail1": Block(2, "admin", False)})) == {"chat1 mail1"}


def test_a_customer_id_is_the_oldest_node_and_names_it() -> None:
    ((customer, _),) = graph.resolve(RULES, cluster(("chat1", "mail1", A2)))[0]
    assert customer == "0000000000001chat1"
    assert graph.node_of(customer) == "chat1"


def test_cut_and_block_leave_the_layout_alone() -> None:
    plain = cluster(("chat1", "mail1", A2), ("chat2", "mail1", A2))
    marked = cluster(
        ("chat1", "mail1", said(CUT, asr=2)), ("chat2", "mail1", A2), blocks={"chat2": Block(1, "admin", True)}
    )
    assert set(graph.layout(plain, frozenset())) == set(graph.layout(marked, frozenset()))


def test_evidence_of_an_event() -> None:
    sure = {"chat1": 3, "mail1": 2, "shop1": 2, "tel1": 1}
    assert graph.evidence(sure, TRAITS, "chat1") == {
        ("chat1", "mail1"): Rec(2),
        ("chat1", "shop1"): Rec(2),
        ("mail1", "shop1"): Rec(2),
    }
    assert graph.evidence({"mail1": 2, "tel1": 2}, TRAITS) == {}


def test_a_record_takes_the_best_assurance_and_the_latest_word() -> None:
    late, early = said(NONE, at=9, asr=2), said(FORCE, at=3, asr=3)
    assert graph.joined(late, early) == graph.joined(early, late) == Rec(3, Adm(9, "agent", NONE))


recs = st.builds(
    Rec,
    st.sampled_from((0, 1, 2, 2, 3)),
    st.builds(Adm, st.integers(0, 3), st.sampled_from("ab"), st.sampled_from((NONE, LINK, CUT, FORCE))),
)
pairs = st.lists(st.sampled_from(sorted(TRAITS)), min_size=2, max_size=2, unique=True).map(sorted).map(tuple)
blocks = st.dictionaries(
    st.sampled_from(sorted(TRAITS)), st.builds(Block, st.integers(1, 3), st.just("a"), st.booleans())
)


@given(st.dictionaries(pairs, recs, max_size=14), blocks, st.integers(1, 3), st.integers(2, 6))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_resolve_agrees_with_the_oracle(found: dict, off: dict, limit: int, cap: int) -> None:
    rules = Rules(limit=limit, cap=cap)
    whole = Cluster(dict.fromkeys(TRAITS, 1), TRAITS, found, off)
    oracle = Oracle(limit, cap)
    oracle.trait = TRAITS
    oracle.sure = {frozenset(pair): rec.asr for pair, rec in found.items() if rec.asr >= 2}
    oracle.said = {frozenset(pair): tuple(rec.adm) for pair, rec in found.items()}
    oracle.blocked = {n: tuple(block) for n, block in off.items()}
    assert {frozenset(part.nodes) for part in graph.resolve(rules, whole)[0]} == oracle.customers()


@given(recs, recs, recs)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_join_is_a_join(a: Rec, b: Rec, c: Rec) -> None:
    assert graph.joined(a, b) == graph.joined(b, a)
    assert graph.joined(a, graph.joined(b, c)) == graph.joined(graph.joined(a, b), c)
    assert graph.joined(a, a) == a


def stored(rules: Rules, *changes: tuple[dict, dict]) -> dict[str, Cluster]:
    """Clusters after these (pairs, blocks), each planned against all clusters so far."""
    clusters: dict[str, Cluster] = {}
    keys = count(1)
    for now, (found, off) in enumerate(changes):
        seen = {n for old in clusters.values() for n in old.born}
        new = {n: TRAITS[n] for n in sorted({n for pair in found for n in pair} | set(off)) if n not in seen}
        plan = graph.plan(rules, clusters, Change(new, found, off, now), lambda: f"k{next(keys)}")
        gone = {*plan.drops, *plan.forwards}
        clusters = {key: old for key, old in clusters.items() if key not in gone} | dict(plan.puts)
    return clusters


def customers_of(clusters: dict[str, Cluster]) -> set[tuple[str, ...]]:
    return {part.nodes for each in clusters.values() for part in each.parts}


def test_the_same_evidence_in_any_order_gives_the_same_customers() -> None:
    changes = [
        ({("chat1", "shop1"): A3}, {}),
        ({("chat1", "shop2"): A2}, {}),
        ({("mail1", "shop2"): A2}, {}),
        ({("mail1", "shop3"): A2}, {}),
        ({}, {"chat1": Block(1, "admin", True)}),
    ]
    assert len({frozenset(customers_of(stored(RULES, *order))) for order in permutations(changes)}) == 1


def test_unlink_restores_partition_and_ids() -> None:
    rng = random.Random(7)
    names = sorted(TRAITS)
    for _ in range(60):
        before = [({graph.pair_of(*rng.sample(names, 2)): Rec(rng.choice((2, 3)))}, {}) for _ in range(6)]
        known = sorted({n for found, _ in before for pair in found for n in pair})
        pair = graph.pair_of(*rng.sample(known, 2))
        linked = [*before, ({pair: said(LINK, at=1)}, {})]
        undone = [*linked, ({pair: said(NONE, at=2)}, {})]
        parts = [{part for each in stored(RULES, *run).values() for part in each.parts} for run in (before, undone)]
        assert parts[0] == parts[1]


def test_a_merge_keeps_the_older_id_and_a_newcomer_changes_none() -> None:
    older = stored(RULES, ({("chat1", "mail1"): A2}, {}))
    ((customer, _),) = next(iter(older.values())).parts
    merged = stored(
        RULES, ({("chat1", "mail1"): A2}, {}), ({("chat2", "tel1"): A2}, {}), ({("chat1", "chat2"): A3}, {})
    )
    assert [part.customer for each in merged.values() for part in each.parts] == [customer]


def test_over_four_moves_are_forwarded() -> None:
    left = {n: TRAITS[n] for n in ("chat1", "chat2", "chat3", "desk1", "shop1")}
    right = {f"new{i}": "" for i in range(6)}
    olds = {
        "k1": Cluster(dict.fromkeys(left, 1), left),
        "k2": Cluster(dict.fromkeys(right, 1), right),
    }
    pull = {("chat1", n): A3 for n in right} | {("chat1", n): A3 for n in left if n != "chat1"}
    plan = graph.plan(RULES, olds, Change({}, pull, {}, 5), lambda: pytest.fail("no fresh key needed"))
    assert (dict(plan.forwards), dict(plan.moves), plan.drops) == ({"k1": "k2"}, {}, ())
    assert plan.size == 2


def test_what_would_be_too_heavy_is_held() -> None:
    olds = stored(RULES, ({("chat1", "mail1"): A2}, {}), ({("chat2", "tel1"): A2}, {}))
    small = Rules(weight=110)
    change = Change({}, {("chat1", "chat2"): A3}, {}, 9)
    plan = graph.plan(small, olds, change, lambda: pytest.fail("no fresh key needed"))
    assert plan.held
    assert [dict(new.held) for new in plan.puts.values()] == [{("chat1", "chat2"): A3}] * 2
    after = {**olds, **plan.puts}
    assert customers_of(after) == customers_of(olds)
    assert graph.settled(small, after, change)
