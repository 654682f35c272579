"""Generations: one identifier, several persons one after another, told apart by time.

A phone that changed hands and an erasure are both a boundary. The list of boundaries lies on the
node of generation 0, whether or not that node has any evidence; an event picks the generation by
its own time, before any evidence is made of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from chalicelib.errors import Busy
from chalicelib.model.identity import Identity
from chalicelib.store.secrets import node_id
from chalicelib.store.table import Item, Table, Update, equal

ERASED, CHANGED_HANDS = "erased", "changed hands"
Boundary = Sequence[str]
"""(time, reason), in order of time. What happened at that very moment still lies before it."""
TRIES = 10


def generation_at(boundaries: Sequence[Boundary], occurred_at: str) -> int | None:
    """Which generation an event belongs to. None: it lies at or before an erasure, and is refused."""
    passed = [reason for at, reason in boundaries if occurred_at > at]
    if any(reason == ERASED for _, reason in boundaries[len(passed) :]):
        return None
    return len(passed)


def boundaries_of(item: Item | None) -> list[Boundary]:
    """Of the node item of generation 0."""
    return list(item.get("gens", [])) if item else []


def newest(table: Table, identity: Identity) -> tuple[str, Item | None]:
    """(node, item) of an identity as it is used now."""
    first = node_id(identity)
    item = table.get((f"N#{first}", "-"))
    generation = len(boundaries_of(item))
    if not generation:
        return first, item
    node = node_id(identity, generation)
    return node, table.get((f"N#{node}", "-"))


def bound(table: Table, identity: Identity, at: str, reason: str) -> bool:
    """Let a new generation of `identity` begin after `at`. False: that boundary was there.

    It must not lie before events that were recorded already: those stay in the generation that
    they were recorded in. Raises Busy when others keep changing the list.
    """
    key = (f"N#{node_id(identity)}", "-")
    for _ in range(TRIES):
        known = boundaries_of(table.get(key))
        if [at, reason] in [list(each) for each in known]:
            return False
        place = bisect_left([each[0] for each in known], at)
        wanted = [*known[:place], [at, reason], *known[place:]]
        if table.write(Update(key, {"gens": wanted}, when=equal(gens=known or None))):
            return True
    raise Busy("the generations change all the time")
