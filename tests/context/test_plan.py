"""What is written for a change of the evidence: which cluster gets what, what moves, what is left for later."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError, replace
from itertools import count

import pytest

from chalicelib.context import graph
from chalicelib.context.graph import CUT, LINK, NONE, Adm, Block, Change, Cluster, Part, Plan, Rec, Rules
from tests.context.identity_runs import TRAITS

A1, A2, A3 = Rec(1), Rec(2), Rec(3)
RULES = Rules(limit=2)
OFF, ON = Block(2, "admin", False), Block(1, "admin", True)
Pairs = dict[graph.Pair, Rec]


def said(state: str, at: int = 1, asr: int = 0) -> Rec:
    return Rec(asr, Adm(at, "agent", state))


def holding(nodes: str, pairs: Pairs, rules: Rules = RULES, born: int = 1, **more: object) -> Cluster:
    """A cluster as it is stored: with its customers, and the traits of the far ends of its records."""
    names = nodes.split()
    ends = {*names, *(n for pair in pairs for n in pair)}
    made = Cluster(dict.fromkeys(names, born), {n: TRAITS[n] for n in ends}, pairs, bounds=rules.bounds)
    made = replace(made, **more)  # type: ignore[arg-type]
    full = made.full | graph.saturated(rules, made)
    made = replace(made, full=full)
    return replace(made, parts=graph.resolve(rules, made)[0])


def keys() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"new{next(numbers)}"


def never() -> str:
    pytest.fail("no fresh key is needed")


def change(pairs: Pairs | None = None, blocks: dict[str, Block] | None = None, new: str = "", now: int = 9) -> Change:
    return Change({n: TRAITS[n] for n in new.split()}, pairs or {}, blocks or {}, now)


def planned(olds: dict[str, Cluster], made: Change, rules: Rules = RULES, mint: Callable[[], str] = never) -> Plan:
    return graph.plan(rules, olds, made, mint)


def after(olds: dict[str, Cluster], plan: Plan) -> dict[str, Cluster]:
    gone = {*plan.drops, *plan.forwards}
    return {key: old for key, old in olds.items() if key not in gone} | dict(plan.puts)


def people(clusters: Iterable[Cluster]) -> set[str]:
    return {" ".join(part.nodes) for each in clusters for part in each.parts}


# What there is before anything is said


def test_bounds_and_blanks_are_those_of_the_design() -> None:
    assert Rules() == Rules("N#", "K#", 100, 5, 100, 4, 2, 307_200)
    assert Rules(limit=3, cap=7).bounds == (3, 7) and Cluster().bounds == (5, 100)
    assert (Adm(), Rec()) == (Adm(0, "", NONE), Rec(0, Adm(0, "", NONE)))
    for frozen in (Rules(), Cluster(), Plan({}, (), {}, {}, {})):
        with pytest.raises(FrozenInstanceError):
            vars(type(frozen))["__setattr__"](frozen, next(iter(vars(frozen))), "other")


def test_two_that_are_no_home_prove_nothing_but_a_contact_point_at_an_account() -> None:
    assert graph.evidence({"chat1": 3, "shop1": 3, "mail1": 3}, TRAITS) == {("mail1", "shop1"): A3}


def test_joined_clusters_keep_all_that_either_knew() -> None:
    one = holding("mail1", {("chat1", "mail1"): A2}, full=frozenset({"mail1"}), held={("chat1", "tel1"): A2})
    two = holding("chat1", {("chat1", "mail1"): A3}, blocks={"chat1": OFF}, held={("chat1", "tel1"): A3})
    three = holding("tel1", {}, blocks={"chat1": ON, "tel1": ON}, full=frozenset({"tel1"}))
    for order in ((one, two, three), (three, two, one)):
        found = graph.join(order)
        assert set(found.born) == {"mail1", "chat1", "tel1"} and found.traits["chat1"] == ""
        assert found.recs == {("chat1", "mail1"): A3} and found.held == {("chat1", "tel1"): A3}
        assert found.blocks == {"chat1": OFF, "tel1": ON} and found.full == {"mail1", "tel1"}
        assert found.parts == () and found.told == frozenset()


# Which nodes share a cluster


def test_only_evidence_that_counts_ties_nodes() -> None:
    found = holding(
        "chat1 chat2 chat3 desk1 mail1",
        {
            ("chat1", "chat2"): A2,
            ("chat2", "chat3"): A1,
            ("chat3", "desk1"): said(LINK),
            ("chat1", "desk1"): said(CUT),
            ("chat1", "mail1"): A3,
        },
    )
    apart = {frozenset(group) for group in graph.layout(found, frozenset({"mail1"}))}
    assert apart == {frozenset(group.split()) for group in ("chat1 chat2", "chat3 desk1", "mail1")}


def test_a_far_end_of_a_record_is_in_no_group() -> None:
    for pair in (("chat1", "mail1"), ("chat2", "mail1")):
        found = holding("chat1 chat2", {pair: A2})
        assert sorted(map(sorted, graph.layout(found, frozenset()))) == [["chat1"], ["chat2"]]
    found = holding("mail1", {("chat1", "mail1"): A2, ("mail1", "shop1"): A2})
    assert list(graph.layout(found, frozenset())) == [frozenset({"mail1"})]


def test_members_of_an_old_cluster_stay_together_but_for_those_that_are_gone() -> None:
    old, whole = holding("chat1 chat2 chat3", {}), holding("chat1 chat3 desk1", {})
    assert sorted(map(sorted, graph.layout(whole, frozenset(), [old]))) == [["chat1", "chat3"], ["desk1"]]


# What happened to customers


@pytest.mark.parametrize(
    ("before", "after", "effects"),
    [
        ("a b", "a b", ()),
        ("a b", "a b c", ()),
        ("", "a", ()),
        ("a|b", "a b", ("merge",)),
        ("a b", "a|b", ("split",)),
        ("a b", "a", ("split",)),
        ("a b|c", "a|b c", ("merge", "split")),
        ("a", "", ()),
    ],
)
def test_effects_are_told_of_customers_that_were_there(before: str, after: str, effects: tuple[str, ...]) -> None:
    was, now = (
        [Part(f"{group.split()[0]}!", tuple(group.split())) for group in told.split("|") if group]
        for told in (before, after)
    )
    assert graph.effects(was, now) == effects


# What is stored already


PAIR = ("chat1", "mail1")


def test_what_is_stored_on_both_sides_is_settled() -> None:
    one, two = holding("chat1", {PAIR: A2}), holding("mail1", {PAIR: A2})
    said_again = change({PAIR: A2})
    assert graph.settled(RULES, {"k1": one, "k2": two}, said_again) is True
    for olds in ({"k1": one, "k2": holding("mail1", {})}, {"k1": holding("chat1", {}), "k2": two}):
        assert graph.settled(RULES, olds, said_again) is False
    assert graph.settled(RULES, {"k1": one, "k2": two}, change({PAIR: A3})) is False
    assert graph.settled(RULES, {"k1": one, "k2": two}, change({PAIR: A1})) is True
    assert graph.settled(RULES, {"k1": one, "k2": two}, change({PAIR: A2, ("chat1", "chat2"): A1})) is False


def test_a_saturated_side_needs_no_record() -> None:
    full = holding("mail1", {}, full=frozenset({"mail1"}))
    assert graph.settled(RULES, {"k1": holding("chat1", {PAIR: A2}), "k2": full}, change({PAIR: A2})) is True
    assert graph.settled(RULES, {"k1": holding("chat1", {}), "k2": full}, change({PAIR: A2})) is False


def test_what_waits_for_weight_is_settled_where_it_is_as_good() -> None:
    other = holding("mail1", {PAIR: A3})
    for recs, held, settled in ((A2, A3, True), (A3, A2, True), (A2, A2, False)):
        old = holding("chat1", {PAIR: recs}, held={PAIR: held})
        assert graph.settled(RULES, {"k1": old, "k2": other}, change({PAIR: A3})) is settled


def test_a_block_is_settled_once_it_or_a_later_one_is_there() -> None:
    olds = {"k1": holding("chat1", {}, blocks={"chat1": ON}), "k2": holding("chat2", {})}
    assert graph.settled(RULES, olds, change(blocks={"chat1": ON})) is True
    assert graph.settled(RULES, olds, change(blocks={"chat1": Block(0, "admin", False)})) is True
    assert graph.settled(RULES, olds, change(blocks={"chat1": OFF})) is False
    assert graph.settled(RULES, olds, change(blocks={"chat2": ON})) is False


def test_new_nodes_and_other_bounds_are_never_settled() -> None:
    olds = {"k1": holding("chat1", {}), "k2": holding("chat2", {}, Rules(limit=3))}
    assert graph.settled(RULES, {"k1": olds["k1"]}, change()) is True
    assert graph.settled(RULES, {"k1": olds["k1"]}, change(new="chat3")) is False
    assert graph.settled(RULES, olds, change()) is False


# What a change writes


def test_the_first_evidence_makes_one_cluster_of_new_nodes() -> None:
    plan = planned({}, change({PAIR: A2}, new="chat1 mail1", now=5), mint=keys())
    assert plan.creates == {"chat1": "new1", "mail1": "new1"} and plan.held is False
    (made,) = plan.puts.values()
    assert made.born == {"chat1": 6, "mail1": 6} and made.recs == {PAIR: A2} and made.bounds == RULES.bounds
    assert [part.customer for part in made.parts] == ["0000000000006chat1"]
    assert (plan.drops, dict(plan.forwards), dict(plan.moves), plan.checks, plan.size) == ((), {}, {}, (), 3)


def test_a_node_is_younger_than_all_that_it_meets() -> None:
    """Whatever this worker's clock says: so a newcomer changes nobody's id."""
    old = holding("chat1", {}, born=70)
    for now, born in ((9, 71), (90, 91)):
        plan = planned({"k1": old}, change({PAIR: A2}, new="mail1", now=now))
        assert plan.puts["k1"].born == {"chat1": 70, "mail1": born}
        assert plan.creates == {"mail1": "k1"} and plan.size == 2


def test_a_record_that_changes_no_layout_is_written_on_its_sides_alone() -> None:
    olds = {"k1": holding("chat1", {}), "k2": holding("desk1", {}), "k3": holding("chat3", {})}
    plan = planned(olds, change({("chat1", "desk1"): A1}))
    assert set(plan.puts) == {"k1", "k2"} and plan.size == 2 and plan.checks == ()
    assert all(new.recs == {("chat1", "desk1"): A1} for new in plan.puts.values())
    assert plan.puts["k1"].traits == {"chat1": "", "desk1": ""} and plan.puts["k1"].born == {"chat1": 1}


def test_nothing_new_writes_nothing() -> None:
    olds = {"k1": holding("chat1 mail1", {PAIR: A2})}
    assert planned(olds, change({PAIR: A2})).size == 0


def test_a_block_stays_with_its_node_and_a_word_held_back_at_both_ends() -> None:
    olds = {
        "k1": holding("chat1", {}, blocks={"chat1": ON}, held={("chat1", "chat2"): A2}),
        "k2": holding("chat2", {}, held={("chat1", "chat2"): A2, ("chat2", "chat3"): A2}),
        "k3": holding("desk1", {}),
    }
    plan = planned(olds, change({("chat1", "desk1"): A1, ("chat2", "desk1"): A1}, {"chat2": OFF}))
    assert plan.puts["k1"].blocks == {"chat1": ON} and plan.puts["k2"].blocks == {"chat2": OFF}
    assert plan.puts["k3"].blocks == {} and plan.puts["k3"].held == {}
    assert set(plan.puts["k1"].held) == {("chat1", "chat2")}
    assert set(plan.puts["k2"].held) == {("chat1", "chat2"), ("chat2", "chat3")}


def test_where_the_audit_speaks_goes_along_with_those_it_speaks_of() -> None:
    olds = {
        "k1": holding("chat1 mail1", {PAIR: A2}, told=frozenset({"chat1"})),
        "k2": holding("chat2", {}, told=frozenset({"tel2"})),
        "k3": holding("desk1", {}, told=frozenset({"desk1"})),
    }
    plan = planned(olds, change({("chat1", "chat2"): A2, ("chat1", "desk1"): A1}))
    assert plan.puts["k1"].told == {"chat1", "tel2"}
    assert plan.puts["k3"].told == {"desk1"}


def test_a_saturated_node_takes_no_more_records_and_keeps_what_it_had() -> None:
    had: Pairs = {(f"chat{n}", "mail1"): A2 for n in (1, 2, 3)}
    olds = {"k1": holding("mail1", had), "k2": holding("chat1", {("chat1", "mail1"): A2}), "k3": holding("desk1", {})}
    plan = planned(olds, change({("desk1", "mail1"): A2}))
    assert set(plan.puts) == {"k3"} and plan.puts["k3"].recs == {("desk1", "mail1"): A2}
    again = planned(after(olds, plan), change({("desk1", "mail1"): A3}))
    assert set(again.puts) == {"k3"} and again.puts["k3"].recs == {("desk1", "mail1"): A3}
    better = planned(olds, change({("chat1", "mail1"): A3}))
    assert {key: new.recs[("chat1", "mail1")] for key, new in better.puts.items()} == {"k1": A3, "k2": A3}
    both = {"k1": holding("mail1", had), "k2": holding("tel1", {(f"chat{n}", "tel1"): A2 for n in (1, 2, 3)})}
    assert planned(both, change({("mail1", "tel1"): A2})).size == 0


def test_a_cluster_that_stays_is_checked_only_where_a_record_could_be_lost() -> None:
    """One whose nodes a written record names: else a record could come back that was erased there meanwhile."""
    olds = {"k1": holding("chat1", {PAIR: A1}), "k2": holding("mail1", {PAIR: A1}), "k3": holding("desk1", {})}
    plan = planned(olds, change(blocks={"chat1": ON}))
    assert set(plan.puts) == {"k1"} and plan.checks == ("k2",) and plan.size == 2
    assert planned(olds, change(blocks={"desk1": ON})).checks == ()


# Merges


def test_a_merged_cluster_takes_the_key_of_the_larger() -> None:
    olds = {"k1": holding("chat1", {}), "k2": holding("chat2 mail1", {("chat2", "mail1"): A2})}
    plan = planned(olds, change({("chat1", "chat2"): A2}))
    assert set(plan.puts) == {"k2"} and plan.drops == ("k1",) and plan.moves == {"chat1": "k2"}
    assert people(plan.puts.values()) == {"chat1 chat2 mail1"}
    even = {"k2": holding("chat2", {}), "k1": holding("chat1", {})}
    assert planned(even, change({("chat1", "chat2"): A2})).moves == {"chat2": "k1"}


@pytest.mark.parametrize(("nodes", "forwards"), [(4, False), (5, True)])
def test_so_many_nodes_move_one_by_one_and_more_are_forwarded(nodes: int, forwards: bool) -> None:
    small, large = sorted(TRAITS)[:nodes], sorted(TRAITS)[nodes:]
    rules = Rules(limit=50)
    olds = {"k1": holding(" ".join(small), {}, rules), "k2": holding(" ".join(large), {}, rules)}
    pulled = {graph.pair_of(small[0], n): said(LINK) for n in sorted(TRAITS) if n != small[0]}
    plan = planned(olds, change(pulled), rules)
    if forwards:
        assert (dict(plan.forwards), dict(plan.moves), plan.drops) == ({"k1": "k2"}, {}, ())
    else:
        assert (dict(plan.forwards), dict(plan.moves), plan.drops) == ({}, dict.fromkeys(small, "k2"), ("k1",))


def test_a_large_cluster_that_goes_two_ways_is_moved_node_by_node() -> None:
    """A tombstone forwards to one."""
    ties: Pairs = {("mail1", "mail2"): said(LINK), ("card1", "mail1"): A2, ("mail2", "shop1"): A2}
    more: Pairs = {("tel2", n): said(LINK) for n in ("card2", "shop2", "shop3")}
    olds = {
        "k1": holding("chat1 chat2 chat3 desk1 tel1", {}),
        "k2": holding("mail1 mail2 shop1 card1", ties),
        "k3": holding("tel2 shop2 card2 shop3", {graph.pair_of(*pair): rec for pair, rec in more.items()}),
    }
    pulled = {(n, "mail1"): said(LINK) for n in ("chat1", "chat2", "chat3")}
    plan = planned(olds, change(pulled | {("desk1", "tel2"): said(LINK), ("tel1", "tel2"): said(LINK)}))
    assert dict(plan.forwards) == {} and plan.drops == ("k1",)
    assert plan.moves == dict.fromkeys(("chat1", "chat2", "chat3"), "k2") | {"desk1": "k3", "tel1": "k3"}


def test_a_key_that_a_merge_left_is_nobody_elses() -> None:
    """Who still reads it would take the one for the other."""
    rules = Rules(limit=2)
    had: Pairs = {(n, "mail1"): A2 for n in ("chat3", "desk1", "shop1")}
    olds = {
        "k1": holding("chat3 desk1 mail1", had, rules),
        "k2": holding("chat1 tel1", {("chat1", "tel1"): A2}, rules),
        "k3": holding("chat2", {}, rules),
    }
    plan = planned(olds, change({("chat1", "chat2"): A2}), rules, keys())
    assert set(plan.puts) == {"k1", "k2", "new1", "new2"} and plan.drops == ("k3",)


# Splits


def crowd(*names: str) -> dict[str, Cluster]:
    """All in one cluster, tied by a mail address that one more neighbour will saturate."""
    return {"k1": holding(f"mail1 {' '.join(names)}", {(n, "mail1"): A2 for n in names}, Rules(limit=len(names)))}


FOUR = ("chat1", "chat2", "chat3", "desk1")


def test_two_nodes_leave_a_cluster_with_one_change_and_the_rest_stays() -> None:
    rules = Rules(limit=4)
    olds = crowd(*FOUR) | {"k2": holding("shop1", {}, rules)}
    plan = planned(olds, change({("mail1", "shop1"): A2}), rules, keys())
    assert sorted(map(sorted, (new.born for new in plan.puts.values()))) == [
        ["chat1"],
        ["chat2"],
        ["chat3", "desk1", "mail1"],
        ["shop1"],
    ]
    assert set(plan.moves) == {"chat1", "chat2"} and plan.drops == () and plan.forwards == {}
    assert plan.puts["k1"].full == {"mail1"}
    assert people(plan.puts.values()) == {*FOUR, "shop1"}


@pytest.mark.parametrize(("new", "leave"), [("shop1", 1), ("shop1 shop2", 1), ("shop1 shop2 shop3", 0)])
def test_fewer_leave_where_the_change_makes_nodes(new: str, leave: int) -> None:
    rules = Rules(limit=4)
    pairs = {("mail1", n): A2 for n in new.split()}
    plan = planned(crowd(*FOUR), change(pairs, new=new), rules, keys())
    assert len(plan.moves) == leave
    assert len(plan.puts["k1"].born) == 5 - leave


def test_the_smallest_groups_leave_first() -> None:
    """One of one node and one of two: with two that may leave, only the first does."""
    rules = Rules(limit=4)
    olds = crowd(*FOUR)
    olds["k1"] = holding(
        "mail1 chat1 chat2 chat3 desk1 card1 tel1",
        olds["k1"].recs | {("chat1", "tel1"): A2, ("card1", "tel1"): A2, ("chat2", "chat3"): A2},  # type: ignore[operator]
        rules,
    )
    olds["k2"] = holding("shop1", {}, rules)
    plan = planned(olds, change({("mail1", "shop1"): A2}), rules, keys())
    assert set(plan.moves) == {"desk1", "mail1"}
    assert people(plan.puts.values()) == {"desk1", "shop1", "card1 chat1 tel1", "chat2 chat3"}


def test_what_stays_for_now_leaves_with_the_next_change() -> None:
    rules = Rules(limit=4)
    olds = crowd(*FOUR) | {"k2": holding("shop1", {}, rules)}
    mint = keys()
    olds = after(olds, planned(olds, change({("mail1", "shop1"): A2}), rules, mint))
    plan = planned({"k1": olds["k1"]}, change(blocks={"desk1": OFF}), rules, mint)
    assert len(plan.moves) == 2
    assert len(after(olds, plan)["k1"].born) == 1


# The bounds of one transaction


def test_what_does_not_fit_into_a_transaction_stays_where_it_is() -> None:
    olds = crowd(*FOUR) | {"k2": holding("shop1", {}, Rules(limit=4))}
    made = change({("mail1", "shop1"): A2})
    whole = planned(olds, made, Rules(limit=4), keys())
    assert whole.size == 6
    fits = planned(olds, made, Rules(limit=4, actions=whole.size + 1), keys())
    assert fits == whole
    tight = planned(olds, made, Rules(limit=4, actions=whole.size), keys())
    assert set(tight.puts) == {"k1", "k2"} and tight.moves == {} and len(tight.puts["k1"].born) == 5
    assert people(tight.puts.values()) == {*FOUR, "shop1"}


def test_where_moves_do_not_fit_they_are_forwarded() -> None:
    rules = Rules(limit=9)
    olds = {"k1": holding("chat1 mail1", {PAIR: A2}, rules), "k2": holding("chat2 chat3 tel1", {}, rules)}
    olds["k2"] = holding("chat2 chat3 tel1", {("chat2", "tel1"): A2, ("chat3", "tel1"): A2}, rules)
    made = change({("chat1", "chat2"): A2})
    roomy = planned(olds, made, rules)
    assert dict(roomy.moves) == {"chat1": "k2", "mail1": "k2"} and roomy.drops == ("k1",) and roomy.size == 4
    tight = planned(olds, made, replace(rules, actions=4))
    assert dict(tight.forwards) == {"k1": "k2"} and tight.moves == {} and tight.size == 2
    one = {"k1": holding("chat1", {}, rules), "k2": olds["k2"]}
    assert dict(planned(one, made, replace(rules, actions=3)).forwards) == {"k1": "k2"}


# Weight


def test_a_cluster_weighs_by_what_it_holds() -> None:
    def heavier(than: Cluster, **by: object) -> int:
        return graph.weight(replace(than, **by)) - graph.weight(than)  # type: ignore[arg-type]

    bare = Cluster()
    assert graph.weight(bare) == 0
    assert heavier(bare, traits={"chat1": "", "shop1": "a:shop/1"}) == (5 + 24) + (5 + 8 + 24)
    assert heavier(bare, recs={PAIR: A2, ("chat2", "mail1"): A3}) == 10
    assert heavier(bare, recs={PAIR: said(CUT), ("chat2", "mail1"): said(LINK), ("chat3", "mail1"): A2}) == 15 + 128
    assert heavier(bare, blocks={"chat1": ON, "chat2": ON, "mail1": OFF}) == 192
    assert heavier(bare, held={PAIR: A2, ("chat2", "mail1"): A3}) == 256
    assert heavier(bare, full=frozenset({"mail1", "tel1", "tel2"})) == 12
    full = Cluster(
        {"chat1": 1}, {"chat1": ""}, {PAIR: said(CUT)}, {"chat1": ON}, {("chat1", "tel1"): A2}, frozenset({"mail1"})
    )
    assert graph.weight(full) == 29 + 5 + 64 + 64 + 128 + 4


def test_evidence_that_makes_a_cluster_too_heavy_is_held_at_both_ends() -> None:
    olds = {"k1": holding("chat1", {}), "k2": holding("chat2", {})}
    made = change({("chat1", "chat2"): A3})
    whole = planned(olds, made)
    (merged,) = whole.puts.values()
    assert planned(olds, made, replace(RULES, weight=graph.weight(merged))) == whole
    plan = planned(olds, made, replace(RULES, weight=graph.weight(merged) - 1))
    assert plan.held and set(plan.puts) == {"k1", "k2"} and plan.moves == {}
    for new in plan.puts.values():
        assert new.recs == {} and new.held == {("chat1", "chat2"): A3}
    crowded = olds | {"k3": holding("chat3 desk1 shop1", {("chat3", "desk1"): A2, ("desk1", "shop1"): A2})}
    assert planned(crowded, made, replace(RULES, weight=graph.weight(merged) - 1)).held, "whatever else is larger"


def test_what_nobody_would_keep_is_not_held_either() -> None:
    ends = {at: holding(at, {(f"chat{n}", at): A2 for n in (1, 2, 3)}) for at in ("mail1", "tel1")}
    olds = ends | {"k1": holding("chat1", {}), "k2": holding("chat2", {})}
    plan = planned(olds, change({("mail1", "tel1"): A2, ("chat1", "chat2"): A3}), replace(RULES, weight=60))
    assert plan.held and set(plan.puts) == {"k1", "k2"}


def test_one_that_is_too_heavy_may_give_to_a_small_one() -> None:
    """What two clusters made is measured against the larger of both."""
    had: Pairs = {(n, "mail1"): A2 for n in ("chat1", "chat2", "chat3", "desk1", "shop1")}
    olds = {"k1": holding("chat3 desk1 mail1", had), "k2": holding("tel1", {})}
    plan = planned(olds, change({("chat3", "tel1"): A2}), replace(RULES, weight=10), keys())
    assert not plan.held and {"chat3", "tel1"} in [set(new.born) for new in plan.puts.values()]


def test_new_nodes_of_held_evidence_are_customers_of_their_own() -> None:
    plan = planned({"k1": holding("chat1", {})}, change({PAIR: A3}, new="mail1"), replace(RULES, weight=60), keys())
    assert plan.held and plan.creates == {"mail1": "new1"}
    assert people(plan.puts.values()) == {"chat1", "mail1"}


def test_one_that_is_too_heavy_already_may_change_as_long_as_it_does_not_grow() -> None:
    """A block, a better assurance, a word of a person: what makes people safe is never held."""
    olds = {"k1": holding("chat1 mail1", {PAIR: A2}), "k2": holding("chat2", {})}
    heavy = replace(RULES, weight=10)
    plan = planned(olds, change({PAIR: said(CUT)}), heavy)
    assert not plan.held and plan.puts["k1"].recs[PAIR] == Rec(2, Adm(1, "agent", CUT))
    assert planned(olds, change({("chat1", "chat2"): A1}), heavy).held
    assert planned({"k2": olds["k2"]}, change({("chat2", "tel1"): A1}, new="tel1"), heavy, keys()).held


def test_one_that_is_too_heavy_comes_apart_at_once_where_that_helps() -> None:
    """Else it comes apart a little with each change, and three new nodes let nobody leave."""
    rules = Rules(limit=4)
    new = ("shop1", "shop2", "shop3")
    olds, made = crowd(*FOUR), change({("mail1", n): A2 for n in new}, new=" ".join(new))
    gently = planned(olds, made, rules, keys())
    assert gently.moves == {}
    weight = graph.weight(gently.puts["k1"])
    assert planned(olds, made, replace(rules, weight=weight), keys()) == gently
    plan = planned(olds, made, replace(rules, weight=weight - 1), keys())
    assert not plan.held and set(plan.moves) == set(FOUR) and set(plan.puts["k1"].born) == {"mail1"}
    held = planned(olds, made, replace(rules, weight=weight - 1, actions=gently.size + 2), keys())
    assert held.held and held.moves == {} and set(held.puts["k1"].recs) == set(olds["k1"].recs)


# Removal


def removed(
    olds: dict[str, Cluster], *gone: str, rules: Rules = RULES, mint: Callable[[], str] = never, room: int = 50
) -> Plan:
    return graph.removal(rules, olds, frozenset(gone), mint, room)


def test_who_is_removed_takes_pairs_blocks_and_held_words_along() -> None:
    olds = {
        "k1": holding(
            "chat1 chat2 desk1",
            {("chat1", "chat2"): A2, ("chat1", "desk1"): A3, ("chat2", "desk1"): A2},
            blocks={"chat1": OFF, "chat2": OFF},
            held={("chat1", "chat2"): A3, ("chat2", "mail1"): A2},
        )
    }
    plan = removed(olds, "chat1")
    new = plan.puts["k1"]
    assert set(new.born) == {"chat2", "desk1"} and new.recs == {("chat2", "desk1"): A2}
    assert new.blocks == {"chat2": OFF} and new.held == {("chat2", "mail1"): A2}
    assert people([new]) == {"chat2 desk1"}
    assert plan.moves == {} and plan.creates == {} and plan.size == 1


def test_a_saturated_neighbour_goes_on_counting_whom_it_saw() -> None:
    had: Pairs = {(f"chat{n}", "mail1"): A2 for n in (1, 2, 3)} | {("desk1", "mail1"): said(LINK)}
    olds = {"k1": holding("mail1", had), "k2": holding("chat1", {("chat1", "mail1"): A2, ("chat1", "desk1"): A2})}
    plan = removed(olds, "chat1")
    assert plan.drops == ("k2",) and plan.checks == ("k1",)
    assert removed({"k1": olds["k1"], "k2": holding("desk1", {("desk1", "mail1"): said(LINK)})}, "desk1").puts[
        "k1"
    ].recs == {pair: rec for pair, rec in had.items() if pair[0] != "desk1"}


def test_a_saturated_node_that_goes_itself_keeps_nothing() -> None:
    had: Pairs = {(f"chat{n}", "mail1"): A2 for n in (1, 2, 3)}
    olds = {"k1": holding("mail1", had), "k2": holding("chat1", {("chat1", "mail1"): A2})}
    plan = removed(olds, "mail1")
    assert plan.drops == ("k1",) and plan.puts["k2"].recs == {} and set(plan.puts) == {"k2"}


def test_all_that_was_read_is_checked_while_somebody_is_removed() -> None:
    olds = {"k1": holding("chat1", {("chat1", "chat2"): A1}), "k2": holding("chat2", {("chat1", "chat2"): A1})}
    olds["k3"] = holding("desk1", {})
    plan = removed(olds, "chat1")
    assert plan.drops == ("k1",) and set(plan.puts) == {"k2"} and plan.checks == ("k3",)


def test_who_was_held_together_by_the_removed_comes_apart_as_far_as_there_is_room() -> None:
    pairs: Pairs = {("chat1", "desk1"): A2, ("chat2", "desk1"): A2, ("chat3", "desk1"): A2}
    olds = {"k1": holding("chat1 chat2 chat3 desk1", pairs)}
    plan = removed(olds, "desk1", mint=keys())
    assert len(plan.moves) == 2 and plan.size == 5
    assert removed(olds, "desk1", mint=keys(), room=6) == removed(olds, "desk1", mint=keys())
    tight = removed(olds, "desk1", mint=keys(), room=5)
    assert tight.moves == {} and set(tight.puts["k1"].born) == {"chat1", "chat2", "chat3"}
    assert people(tight.puts.values()) == {"chat1", "chat2", "chat3"}


def test_of_groups_of_one_size_the_first_by_name_leaves() -> None:
    """So that two workers who come to it plan the same."""
    ties: Pairs = {("chat1", "tel2"): A2, ("chat2", "chat3"): A2, ("mail1", "shop1"): A2, ("card1", "mail1"): A2}
    pairs = ties | {graph.pair_of("desk1", n): A2 for n in ("chat1", "chat2", "mail1")}
    olds = {"k1": holding("card1 chat1 chat2 chat3 desk1 mail1 shop1 tel2", pairs, Rules())}
    assert set(removed(olds, "desk1", rules=Rules(), mint=keys()).moves) == {"chat1", "tel2"}
