"""The identity store step by step: what is shown, written, read, waited for and given up."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from chalicelib.context import graph, resolve
from chalicelib.context.graph import CUT, LINK, NONE, Adm, Block, Cluster, Conflict, Pair, Rec, Rules
from chalicelib.context.resolve import Applied, Cause, Node, View
from chalicelib.errors import Busy, Erased
from chalicelib.model.event import digest
from chalicelib.store.table import Action, Check, Item, Key, Update, equal
from tests.context.identity_runs import TRAITS
from tests.schedule import MemoryTable, key_of

RULES = Rules(limit=2)
WAITS = [(0, 0.02), (0, 0.04), (0, 0.08), (0, 0.16), (0, 0.32), *[(0, 0.5)] * 18]
"""Between 24 attempts."""
ALL = 1_000


class Watched(MemoryTable):
    """Keeps the keys of each read and the actions of each write. `lost`: so many writes fail; `before`: what
    happens right before the read of that number; `stale`: rows that the next read finds as they were."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[Key]] = []
        self.writes: list[list[Action]] = []
        self.lost = 0
        self.before: dict[int, Callable[[], object]] = {}
        self.stale: dict[Key, Item] = {}

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        asked = list(keys)
        self.reads.append(asked)
        self.before.pop(len(self.reads), lambda: None)()
        old = {key: self.stale.pop(key) for key in asked if key in self.stale}
        return super().batch_get(asked) | old

    def write(self, action: Action) -> bool:
        self.writes.append([action])
        return not self._loses() and super().write(action)

    def transact(self, actions: Sequence[Action]) -> bool:
        self.writes.append(list(actions))
        return not self._loses() and super().transact(actions)

    def _loses(self) -> bool:
        self.lost -= 1
        return self.lost >= 0

    def forget(self) -> Watched:
        """As in another container."""
        resolve.forget()
        self.reads.clear()
        self.writes.clear()
        return self

    def written(self) -> list[list[str]]:
        """The keys of each write, sorted."""
        return [sorted(key_of(each)[0] for each in actions) for actions in self.writes]


@pytest.fixture
def table() -> Watched:
    return Watched()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Nobody sleeps: the least and the most of each wait."""
    found: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: (low, high))
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def seen(table: MemoryTable, *nodes: str, asr: int = 2, rules: Rules = RULES, **options: Any) -> Applied:
    """One event; the first node is its home."""
    specs = [Node(n, TRAITS[n], asr, "20260101") for n in nodes]
    pairs = {graph.pair_of(nodes[0], n): Rec(asr) for n in nodes[1:]}
    return resolve.apply(table, rules, specs, pairs, clock=lambda: 1_000, **options)


def said(table: MemoryTable, a: str, b: str, state: str, at: int = 1, **options: Any) -> Applied:
    pairs = {graph.pair_of(a, b): Rec(0, Adm(at, "agent", state))}
    return resolve.apply(table, RULES, [Node(a, TRAITS[a]), Node(b, TRAITS[b])], pairs, clock=lambda: 2_000, **options)


def blocked(table: MemoryTable, node: str, at: int = 1, **options: Any) -> Applied:
    block = {node: Block(at, "admin", at % 2 == 1)}
    return resolve.apply(table, RULES, [Node(node, TRAITS.get(node, ""))], {}, block, **options)


def viewed(table: MemoryTable, node: str, rules: Rules = RULES) -> View:
    found = resolve.read(table, rules, node)
    assert found
    return found


def cluster_of(table: MemoryTable, node: str) -> Item:
    found = table.peek((f"K#{viewed(table, node).key}", "-"))
    assert found
    return found


def three_shops(table: MemoryTable) -> None:
    """Three customers, of whom the first is next to the second and the second to the third, refused."""
    for number in (1, 2, 3):
        seen(table, f"chat{number}", f"shop{number}", asr=3)
    said(table, "chat1", "chat2", LINK, 5)
    said(table, "chat2", "chat3", LINK, 6)


# What is given and shown


@pytest.mark.parametrize("frozen", [Node("chat1"), Cause({}), Applied((), (), {}), View(RULES, "a", "k", Cluster())])
def test_what_is_told_stays_as_it_was_told(frozen: object) -> None:
    with pytest.raises(FrozenInstanceError):
        vars(type(frozen))["__setattr__"](frozen, next(iter(vars(frozen))), "other")


def test_blanks_are_those_of_a_node_that_is_merely_named_and_of_a_change_that_did_nothing() -> None:
    assert Node("chat1") == Node("chat1", "", 0, "", {})
    assert Applied((), (), {}) == Applied((), (), {}, (), (), written=False, held=False)


def test_now_is_in_whole_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_788_000_000_123_999_999)
    assert resolve.now_ms() == 1_788_000_000_123


def test_a_key_is_eighty_random_bits_in_letters_and_digits() -> None:
    made = resolve._mint()
    assert len(made) == 16 and set(made) <= set(string.ascii_lowercase + "234567")


def test_whom_a_refusal_keeps_apart_is_near_but_not_shared(table: Watched) -> None:
    three_shops(table)
    assert (viewed(table, "chat1").near, viewed(table, "chat1").shared) == (("chat2", "shop1"), ())
    assert viewed(table, "chat2").near == ("chat1", "chat3", "shop2")


def test_an_undone_link_and_a_mere_hint_make_nobody_near(table: Watched) -> None:
    seen(table, "chat1", "mail1")
    said(table, "chat1", "desk1", NONE)
    seen(table, "chat1", "tel1", asr=1)
    view = viewed(table, "chat1")
    assert (view.near, view.shared, view.beside) == (("mail1",), (), ("desk1", "tel1"))


def test_a_phone_of_his_is_not_beside_him_though_a_lower_limit_would_share_it(table: Watched) -> None:
    """Customers stay as they were written until the next event."""
    for chat in ("chat1", "chat2"):
        seen(table, chat, "tel1")
    view = viewed(table, "chat1", Rules(limit=1))
    assert (view.nodes, view.shared) == (("chat1", "chat2", "tel1"), ())


@pytest.mark.parametrize(
    ("node", "pairs"),
    [
        ("shop1", [("chat1", "chat2")]),
        ("chat2", [("chat1", "chat2"), ("chat2", "chat3")]),
        ("chat3", [("chat2", "chat3")]),
    ],
)
def test_conflicts_and_decisions_are_those_with_an_end_in_him_decisions_the_newest_first(
    table: Watched, node: str, pairs: list[Pair]
) -> None:
    three_shops(table)
    view, at = viewed(table, node), {("chat1", "chat2"): 5, ("chat2", "chat3"): 6}
    assert view.conflicts == tuple(Conflict(*pair, "anchor") for pair in pairs)
    assert view.decisions == tuple((*pair, Adm(at[pair], "agent", LINK)) for pair in reversed(pairs))


def test_a_decision_that_was_taken_back_is_none(table: Watched) -> None:
    seen(table, "chat1", "mail1", "tel1")
    said(table, "chat1", "mail1", CUT, 5)
    said(table, "chat1", "tel1", CUT, 6)
    said(table, "chat1", "mail1", NONE, 7)
    assert viewed(table, "chat1").decisions == (("chat1", "tel1", Adm(6, "agent", CUT)),)


# Applying


def test_a_dry_run_raises_no_hint_either(table: Watched) -> None:
    seen(table, "chat1", "mail1")
    rows = dict(table.rows)
    later = [Node("chat1", "", 3, "20260909"), Node("mail1", "s", 3, "20260909")]
    for pairs in ({("chat1", "mail1"): Rec(2)}, {("chat1", "mail1"): Rec(3)}):
        resolve.apply(table, RULES, later, pairs, dry_run=True)
        assert table.rows == rows
    resolve.apply(table, RULES, later, {("chat1", "mail1"): Rec(2)})
    assert table.peek(("N#chat1", "-"))["last"] == "20260909"  # type: ignore[index]


def test_one_write_is_told_as_written(table: Watched) -> None:
    seen(table, "mail1")
    assert blocked(table.forget(), "mail1").written
    assert table.written() == [[f"K#{viewed(table, 'mail1').key}"]]
    assert not blocked(table, "mail1").written


def test_nothing_is_said_of_a_node_that_was_divided(table: Watched, waits: list[object]) -> None:
    seen(table, "chat1")
    assert resolve.move(table, RULES, "chat1", ["chat2", "chat3"], []) == ()
    with pytest.raises(Busy, match="divided between two people"):
        seen(table.forget(), "chat1", "mail1")
    assert (table.writes, waits) == ([], [])


def test_items_that_were_read_before_save_a_read_and_are_read_anew_after_a_lost_race(
    table: Watched, waits: list[object]
) -> None:
    assert seen(table, "chat1", seen={}).written
    assert table.reads == []
    item = table.peek(("N#chat1", "-"))
    assert item
    table.lost = 1
    assert seen(table.forget(), "chat1", "mail1", seen={"chat1": item}).customer("mail1") == "0000000001001chat1"
    node_reads = [keys for keys in table.reads if keys[0][0].startswith("N#")]
    assert [keys[:2] for keys in node_reads] == [[("N#chat1", "-"), ("N#mail1", "-")]]
    assert waits == WAITS[:1]


def test_items_that_are_out_of_date_are_found_out(table: Watched, waits: list[object]) -> None:
    seen(table, "chat1")
    again = seen(table.forget(), "chat1", seen={})
    assert (again.written, waits) == (False, WAITS[:1])
    assert len(table.writes) == 1, "and lost"
    assert resolve.remove(table, RULES, ["chat1"], 7) == ()
    with pytest.raises(Erased):
        seen(table, "chat1", seen={})


def test_a_cluster_that_was_read_before_and_one_after_a_node_changed_between_them_are_read_again(
    table: Watched, waits: list[object]
) -> None:
    seen(table, "chat1", "chat2")
    said(table, "chat1", "mail1", LINK)
    seen(table, "desk1")
    before = cluster_of(table, "chat1")
    said(table, "chat1", "mail1", NONE, 2)
    said(table, "desk1", "mail1", LINK, 3)
    assert viewed(table, "chat1").key == before["pk"].removeprefix("K#")
    table.stale = {(before["pk"], "-"): before}
    found = resolve.read_all(table, RULES, ["chat1", "desk1"])
    assert {node: view.nodes for node, view in found.items()} == {
        "chat1": ("chat1", "chat2"),
        "desk1": ("desk1", "mail1"),
    }
    assert waits == WAITS[:1]


def test_several_are_read_at_once_the_unknown_left_out_and_nobody_for_nothing(table: Watched) -> None:
    seen(table, "chat1", "mail1")
    seen(table, "desk1")
    table.forget()
    found = resolve.read_all(table, RULES, ["chat1", "desk1", "tel1"])
    assert {node: view.nodes for node, view in found.items()} == {"chat1": ("chat1", "mail1"), "desk1": ("desk1",)}
    assert len(table.reads) == 2
    assert resolve.read_all(table.forget(), RULES, []) == {} and table.reads == []


def test_a_container_reads_a_cluster_along_with_the_nodes_that_it_saw_there(table: Watched) -> None:
    """Also of members that nobody asked for. Where they went elsewhere since, the guess costs nothing but its bytes."""
    seen(table, "chat1", "mail1")
    seen(table, "desk1")
    table.forget()
    assert viewed(table, "chat1").nodes == ("chat1", "mail1")
    assert len(table.reads) == 2
    table.reads.clear()
    assert viewed(table, "mail1").nodes == ("chat1", "mail1")
    assert [[pk[:2] for pk, _ in keys] for keys in table.reads] == [["N#", "K#"]]
    guess = dict(vars(resolve)["_clusters"])
    seen(table, "chat1", "desk1")
    vars(resolve)["_clusters"].update(guess)
    assert viewed(table, "mail1").nodes == viewed(table, "desk1").nodes == ("chat1", "desk1", "mail1")


def test_what_a_container_remembers_has_an_end(table: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "REMEMBERED", 3)
    for name in ("chat1", "chat2", "desk1", "tel1", "mail1"):
        seen(table, name)
        assert len(vars(resolve)["_clusters"]) <= 3


def test_nor_does_who_was_together_grow_with_every_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same few nodes come to lie in ever other clusters: those that are gone are forgotten too."""
    monkeypatch.setattr(resolve, "REMEMBERED", 5)
    resolve.forget()
    for number in range(20):
        resolve._remember(Rules(), {"chat1": f"key{number}", "chat2": f"key{number}"})
        assert len(vars(resolve)["_members"]) <= 6
        assert resolve.mates(Rules(), "chat2") == ("chat1", "chat2")
    resolve.forget()


def test_of_what_two_clusters_hold_each_node_has_its_own_mates() -> None:
    resolve.forget()
    resolve._remember(Rules(), {"chat1": "key1", "mail1": "key1", "chat2": "key2"})
    assert [resolve.mates(Rules(), each) for each in ("mail1", "chat2", "tel1")] == [("chat1", "mail1"), ("chat2",), ()]
    resolve.forget()


def test_ten_thousand_nodes_are_remembered_and_then_it_begins_anew() -> None:
    resolve.forget()
    sizes = []
    for first, end in ((0, 9_999), (9_999, 10_000), (10_000, 10_001)):
        resolve._remember(Rules(), {f"n{number}": f"key{first}" for number in range(first, end)})
        sizes.append(len(vars(resolve)["_clusters"]))
    assert sizes == [9_999, 10_000, 1]
    resolve.forget()


def test_of_several_all_items_and_of_the_living_whose_they_are(table: Watched) -> None:
    seen(table, "chat1", "mail1")
    seen(table, "desk1")
    resolve.remove(table, RULES, ["desk1"], 7)
    items, views = resolve.living(table, RULES, ["chat1", "desk1", "tel1"])
    assert set(items) == {"chat1", "desk1"} and items["desk1"]["erased"] == 7
    assert {node: view.nodes for node, view in views.items()} == {"chat1": ("chat1", "mail1")}
    assert resolve.living(table.forget(), RULES, []) == ({}, {}) and table.reads == []


def test_who_is_erased_after_each_look_keeps_busy(table: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []

    def gone(*given: object) -> None:
        looks.append(given)
        raise Erased("just now")

    monkeypatch.setattr(resolve, "read_all", gone)
    with pytest.raises(Busy, match="erased one after the other"):
        resolve.living(table, RULES, ["chat1"])
    assert len(looks) == resolve.RESTARTS


def test_a_cluster_that_stays_but_could_bring_back_an_erased_record_must_be_as_it_was_read(table: Watched) -> None:
    seen(table, "chat1", "mail1", asr=1)
    key = viewed(table, "mail1").key
    assert key != viewed(table, "chat1").key
    both = [Node(each, TRAITS[each]) for each in ("chat1", "mail1")]
    resolve.apply(table.forget(), RULES, both, {}, {"chat1": Block(1, "admin", True)})
    checked = [each for actions in table.writes for each in actions if isinstance(each, Check)]
    assert checked == [Check((f"K#{key}", "-"), equal(ver=1))]


def test_versions_count_up_by_one_also_of_what_is_left_behind(table: Watched) -> None:
    rules = Rules(moves=0)
    seen(table, "chat1", "mail1", rules=rules)
    assert cluster_of(table, "chat1")["ver"] == 1
    seen(table, "chat1", "mail2", rules=rules)
    assert cluster_of(table, "chat1")["ver"] == 2
    seen(table, "desk1", rules=rules)
    left = viewed(table, "desk1", rules).key
    seen(table, "chat1", "desk1", rules=rules)
    assert cluster_of(table, "chat1")["ver"] == 3
    assert table.peek((f"K#{left}", "-")) == {
        "pk": f"K#{left}",
        "sk": "-",
        "ver": 2,
        "fwd": viewed(table, "chat1", rules).key,
    }


# The audit


def test_an_audit_item_is_named_by_its_moment_and_by_the_versions_that_it_changed(table: Watched) -> None:
    keys = [seen(table, n).keys[n] for n in ("chat1", "chat2")]
    pairs = {("chat1", "chat2"): Rec(2)}
    resolve.apply(table, RULES, [Node("chat2"), Node("chat1")], pairs, clock=lambda: 5_000)
    (key,) = [key for key in table.rows if key[1].startswith("A#")]
    assert key == ("N#chat2", f"A#0000000005000#{digest('chat2', *(f'{key} 1' for key in sorted(keys)))[:10]}")


def test_a_cluster_remembers_thirty_nodes_that_the_audit_speaks_at(table: Watched) -> None:
    names = [f"n{number:02}" for number in range(31)]
    pairs = {("n00", n): Rec(2) for n in names[1:]}
    resolve.apply(table, RULES, [Node(n) for n in names], pairs)
    for n in names:
        blocked(table, n, cause=Cause({}, "block", "", (n,)))
        blocked(table, n, 2, cause=Cause({}, "unblock", "", (n,)))
    assert cluster_of(table, "n00")["told"] == names[1:]


def test_an_audit_item_names_twenty_customers_of_a_side(table: Watched) -> None:
    names = [f"n{number:02}" for number in range(21)]
    customers = [_alone(table, n) for n in names]
    pairs = {("n00", n): Rec(2) for n in names[1:]}
    resolve.apply(table, RULES, [Node(n) for n in names], pairs, clock=lambda: 5_000)
    (told,) = [table.peek(key) or {} for key in table.rows if key[1].startswith("A#")]
    assert (told["before"], told["after"]) == (customers[:20], customers[:1])


def _alone(table: MemoryTable, node: str) -> str | None:
    return resolve.apply(table, RULES, [Node(node)], {}, clock=lambda: 1_000).customer(node)


# Hints


@pytest.mark.parametrize(
    ("day", "last"), [("20251231", "20260101"), ("20260101", "20260101"), ("20260102", "20260102")]
)
def test_a_touch_raises_the_newest_day_and_nothing_else(table: Watched, day: str, last: str) -> None:
    seen(table, "chat1")
    item = table.peek(("N#chat1", "-"))
    assert item
    resolve.touch(table.forget(), RULES, "chat1", day)
    assert table.peek(("N#chat1", "-")) == item | {"last": last}
    assert len(table.writes) == (day > "20260101")


def test_a_touch_makes_no_node(table: Watched) -> None:
    resolve.touch(table, RULES, "chat1", "20260101")
    assert (table.rows, table.writes) == ({}, [])


def test_a_node_without_hints_takes_any(table: Watched) -> None:
    seen(table, "chat1")
    table.write(Update(("N#chat1", "-"), {}, ("asr", "last")))
    resolve.apply(table, RULES, [Node("chat1", "", 1, "20260101")], {})
    item = table.peek(("N#chat1", "-"))
    assert item and (item["asr"], item["last"]) == (1, "20260101")


# Waiting, and giving up


@pytest.mark.parametrize(
    ("number", "most"), [(1, 0.02), (2, 0.04), (3, 0.08), (4, 0.16), (5, 0.32), (6, 0.5), (23, 0.5)]
)
def test_a_wait_is_random_and_doubles_up_to_half_a_second(number: int, most: float, waits: list[object]) -> None:
    resolve._back_off(number)
    assert waits == [(0, most)]


GIVING_UP: dict[str, tuple[Callable[[MemoryTable], object], str]] = {
    "apply": (lambda table: seen(table, "chat1", "mail2"), "24 lost races on 2 nodes"),
    "remove": (
        lambda table: resolve.remove(table, RULES, ["chat1", "mail1"], 7),
        "24 lost races while erasing 2 nodes",
    ),
    "move": (
        lambda table: resolve.move(table, RULES, "mail1", ["mail2"], ["chat1"]),
        "24 lost races while a node was moved",
    ),
}


@pytest.mark.parametrize("name", GIVING_UP)
@pytest.mark.parametrize("lost", [0, 1, 23, ALL])
def test_who_loses_race_after_race_waits_longer_and_is_busy_in_the_end(
    table: Watched, waits: list[object], name: str, lost: int
) -> None:
    deed, why = GIVING_UP[name]
    seen(table, "chat1", "mail1")
    before = dict(table.rows)
    table.forget().lost = lost
    if lost < ALL:
        deed(table)
        assert (len(table.writes), waits, table.rows != before) == (lost + 1, WAITS[:lost], True)
    else:
        with pytest.raises(Busy, match=f"^{why}$"):
            deed(table)
        assert (len(table.writes), waits, table.rows) == (24, WAITS, before)


# Erasing


@pytest.mark.parametrize(("actions", "sizes"), [(5, [1] * 7), (9, [3, 3, 1]), (12, [4, 3]), (100, [7])])
def test_a_long_list_is_erased_in_thirds_of_a_transaction(table: Watched, actions: int, sizes: list[int]) -> None:
    names = [f"n{number}" for number in range(7)]
    for n in names:
        _alone(table, n)
    assert resolve.remove(table.forget(), Rules(actions=actions), names, 7) == ()
    assert [sum(key.startswith("N#") for key in keys) for keys in table.written()] == sizes


@pytest.mark.parametrize(("actions", "clusters"), [(6, 1), (7, 3)])
@pytest.mark.parametrize("way", ["remove", "move"])
def test_who_is_left_comes_apart_where_the_transaction_has_room(
    table: Watched, way: str, actions: int, clusters: int
) -> None:
    """Three clusters, two nodes that go over, and the one that leaves; one place stays free."""
    left = ("chat1", "chat2", "chat3")
    seen(table, "desk1", *left)
    rules = Rules(actions=actions)
    if way == "remove":
        assert resolve.remove(table, rules, ["desk1"], 7) == ()
    else:
        assert resolve.move(table, rules, "desk1", [], left) == ()
    assert len({viewed(table, n).key for n in left}) == clusters
    assert [viewed(table, n).nodes for n in left] == [(n,) for n in left]


def test_shared_nodes_alone_are_answered_without_a_write(table: Watched) -> None:
    for chat in ("chat1", "chat2", "chat3"):
        seen(table, chat, "tel1")
    assert resolve.remove(table.forget(), RULES, ["tel1"], 7) == ("tel1",)
    assert table.writes == []


def test_erasing_leaves_clusters_alone_that_keep_their_records_or_have_none(table: Watched) -> None:
    """A shared phone's is busy, so a change of it must not stand in the way."""
    for chat in ("chat1", "chat2", "chat3"):
        seen(table, chat, "tel1")
    seen(table, "chat1", "mail1")
    said(table, "mail1", "desk1", NONE)
    key = viewed(table, "chat1").key
    assert {viewed(table, n).key for n in ("mail1", "tel1", "desk1")} - {key} == {
        viewed(table, n).key for n in ("tel1", "desk1")
    }
    assert resolve.remove(table.forget(), RULES, ["chat1"], 7) == ()
    assert table.written() == [[f"K#{key}", "N#chat1"]]


def test_erasing_reads_none_of_the_nodes_in_his_own_cluster(table: Watched) -> None:
    seen(table, "chat1", "mail1", "tel1")
    said(table, "chat1", "desk1", NONE)
    seen(table, "mail1", "desk1")
    key = viewed(table, "chat1").key
    assert viewed(table, "desk1").key == key
    resolve.remove(table.forget(), RULES, ["chat1"], 7)
    assert {pk for keys in table.reads for pk, _ in keys} == {"N#chat1", f"K#{key}"}


# Moving


def test_far_ends_are_of_all_records_whatever_they_are_worth() -> None:
    recs = {("a", "b"): Rec(3), ("b", "c"): Rec(1), ("c", "d"): Rec(2)}
    made = Cluster(recs=recs, held={("b", "x"): Rec(2), ("c", "y"): Rec(2)})
    assert {n: resolve.far_ends(made, n) for n in "abz"} == {"a": ("b",), "b": ("a", "c", "x"), "z": ()}


@pytest.mark.parametrize(
    ("near", "lacking"),
    [
        ((), ("desk1", "mail1", "tel1")),
        (("chat3", "mail1"), ("chat3", "desk1", "mail1", "tel1")),
        (("desk1", "mail1", "tel1"), ()),
        (("chat3", "desk1", "mail1", "tel1"), ()),
    ],
)
def test_a_node_moves_only_with_all_its_neighbours_known(
    table: Watched, waits: list[object], near: tuple[str, ...], lacking: tuple[str, ...]
) -> None:
    seen(table, "chat1", "mail1", "tel1")
    said(table, "chat1", "desk1", NONE)
    before = dict(table.rows)
    assert resolve.move(table, RULES, "chat1", ["chat2", "chat3"], near) == lacking
    assert (table.rows == before, waits) == (bool(lacking), [])
    assert list(resolve.moved(table, "chat1")) == ([] if lacking else ["chat2", "chat3"])
    if not lacking:
        assert table.peek(("N#chat1", "-")) == {"pk": "N#chat1", "sk": "-", "moved": ["chat2", "chat3"]}
        assert [resolve.far_ends(viewed(table, n).cluster, n) for n in near if n != "chat3"] == [()] * 3


def test_a_shared_node_moves_with_the_records_that_its_neighbours_keep(table: Watched) -> None:
    chats = ("chat1", "chat2", "chat3")
    for chat in chats:
        seen(table, chat, "tel1")
    seen(table, "chat1", "tel1")
    assert viewed(table, "chat1").shared == ("tel1",)
    assert resolve.move(table, RULES, "tel1", ["tel2"], chats) == ()
    assert [viewed(table, chat).cluster.recs for chat in chats] == [{}, {}, {}]


def test_who_is_unknown_has_not_moved_nor_moves(table: Watched) -> None:
    assert list(resolve.moved(table, "chat1")) == []
    assert resolve.move(table, RULES, "chat1", ["chat2"], []) == ()
    assert (table.rows, table.writes) == ({}, [])


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        (lambda table: resolve.remove(table, RULES, ["chat1"], 7), {"erased": 7}),
        (lambda table: resolve.move(table, RULES, "chat1", ["chat3"], []), {"moved": ["chat3"]}),
    ],
)
def test_who_was_erased_or_moved_while_he_was_looked_for_is_left_so(
    table: Watched, waits: list[object], meanwhile: Callable[[MemoryTable], object], left: Item
) -> None:
    seen(table, "chat1")
    table.forget().before = {2: lambda: meanwhile(table)}
    assert resolve.move(table, RULES, "chat1", ["chat2"], []) == ()
    assert table.peek(("N#chat1", "-")) == {"pk": "N#chat1", "sk": "-", **left}
    assert (table.before, waits) == ({}, WAITS[:1])
