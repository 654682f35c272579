"""Wrong versions of the identity store, each of which the runs must catch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chalicelib.context import graph, resolve
from chalicelib.context.graph import Change, Cluster, Pair, Rules
from chalicelib.store.table import Action, Delete, Put, Update
from tests.context.identity_runs import Mutant
from tests.schedule import TurnTable

_layout = graph.layout
_settled = graph.settled


class NoVersionOnPut(TurnTable):
    def _holds(self, action: Action) -> bool:
        return (isinstance(action, Put) and bool(action.when.equal)) or super()._holds(action)


class NoVersionOnDelete(TurnTable):
    def _holds(self, action: Action) -> bool:
        return isinstance(action, Delete) or super()._holds(action)


class CreatesAnyway(TurnTable):
    def _holds(self, action: Action) -> bool:
        return isinstance(action, Update) or super()._holds(action)


class OneByOne(TurnTable):
    def transact(self, actions: Sequence[Action]) -> bool:
        return all(self.write(action) for action in actions)


def _layout_without(dropped: Callable[[Cluster], set[Pair]]) -> Callable[..., graph.Groups]:
    def layout(cluster: Cluster, sat: frozenset[str], together: Iterable[Cluster] = ()) -> graph.Groups:
        gone = dropped(cluster)
        recs = {pair: rec for pair, rec in cluster.recs.items() if pair not in gone}
        return _layout(Cluster(cluster.born, cluster.traits, recs), sat, together)

    return layout


def _refused(cluster: Cluster) -> set[Pair]:
    return {(each.a, each.b) for each in graph.resolve(Rules(limit=2), cluster)[1] if each.kind == "anchor"}


def _blocked(cluster: Cluster) -> set[Pair]:
    off = {node for node, block in cluster.blocks.items() if block.on}
    return {pair for pair in cluster.recs if not off.isdisjoint(pair)}


def _cut(cluster: Cluster) -> set[Pair]:
    return {pair for pair, rec in cluster.recs.items() if rec.adm.state == graph.CUT}


def _same_customer(rules: Rules, olds: Mapping[str, Cluster], change: Change) -> bool:
    part = {node: part for old in olds.values() for part in old.parts for node in part.nodes}
    together = all(a in part and part[a] is part.get(b) for a, b in change.pairs)
    return _settled(rules, olds, change._replace(pairs={})) and together


def _one_side(step: Any, group: frozenset[str], pair: Pair) -> bool:
    return pair[0] in group


def _full_takes_none(step: Any, node: str, pair: Pair) -> bool:
    return False


MUTANTS = {
    "no version check": Mutant(table=NoVersionOnPut),
    "no version check on delete": Mutant(table=NoVersionOnDelete),
    "refused edges do not merge clusters": Mutant(patches=((graph, "layout", _layout_without(_refused)),)),
    "create node unconditionally": Mutant(table=CreatesAnyway),
    "duplicate stops early": Mutant(once=True),
    "a late block splits physically": Mutant(patches=((graph, "layout", _layout_without(_blocked)),)),
    "cluster key reused": Mutant(reuse=True),
    "exit on same customer": Mutant(patches=((graph, "settled", _same_customer),)),
    "items written one by one": Mutant(table=OneByOne),
    "cross-cluster record on one side only": Mutant(patches=((graph._Step, "_keeps", _one_side),)),
    "a cut splits physically": Mutant(patches=((graph, "layout", _layout_without(_cut)),)),
    "torn reads trusted": Mutant(patches=((resolve, "_torn", lambda loaded, nodes: False),)),
    "a saturated node forgets what it had": Mutant(patches=((graph._Step, "_had", _full_takes_none),)),
    "unchanged clusters go unchecked": Mutant(patches=((graph._Step, "_checks", lambda step, changed, same: ()),)),
    "a merge goes unaudited": Mutant(patches=((resolve, "_audit", lambda *given: []),)),
    "erasing leaves the far side": Mutant(patches=((resolve, "_far_ends", lambda clusters, gone: set()),)),
}
