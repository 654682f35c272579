"""Generations: one identifier, several persons one after another, told apart by time.

A phone that changed hands and an erasure are both a boundary. The list of boundaries lies on the
node of generation 0, whether or not that node has any evidence; an event picks the generation by
its own time, before any evidence is made of it. A generation goes by the moment that it begins
after, so that a boundary which becomes known late moves nobody but the one whose time it divides:
he begins anew in a next edition, and context/reapply.py brings his events there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from chalicelib.errors import Busy
from chalicelib.model import instants
from chalicelib.model.event import Event
from chalicelib.model.identity import A2_ATTESTED, Identity
from chalicelib.store.secrets import node_id
from chalicelib.store.table import Item, Table, Update, equal

ERASED, CHANGED_HANDS = "erased", "changed hands"
TRIES = 10


class Boundary(NamedTuple):
    """What happened at that very moment still lies before it. `reason` tells how the generation that
    ends here ended; `edition` is of the one that begins, and the very first generation has an entry
    without a moment once its edition is not 0."""

    at: str
    reason: str = CHANGED_HANDS
    edition: int = 0

    @property
    def label(self) -> str:
        return f"{self.at}~{self.edition}" if self.edition else self.at


FIRST = Boundary("", "")


def generation_at(boundaries: Sequence[Boundary], occurred_at: str) -> str | None:
    """Which generation an event belongs to. None: to one that was erased, so it is refused."""
    passed = [each for each in boundaries if occurred_at > each.at]
    if any(each.reason == ERASED for each in boundaries[len(passed) : len(passed) + 1]):
        return None
    return passed[-1].label if passed else ""


def boundaries_of(item: Item | None) -> list[Boundary]:
    """Of the node item of generation 0."""
    return [Boundary(*each) for each in item.get("gens", ())] if item else []


def newest(table: Table, identity: Identity) -> tuple[str, Item | None]:
    """(node, item) of an identity as it is used now."""
    first = node_id(identity)
    item = table.get((f"N#{first}", "-"))
    known = boundaries_of(item)
    if not known:
        return first, item
    node = node_id(identity, known[-1].label)
    return node, table.get((f"N#{node}", "-"))


def bound(table: Table, identity: Identity, at: str, reason: str) -> bool:
    """Let a new generation of `identity` begin after `at`. False: that boundary was there. Events
    after `at` that were recorded already stay where they are: see context/reapply.py. A boundary
    inside a time that was erased divides it into two that are: nobody comes back by it.

    Raises Busy when others keep changing the list.
    """

    def add(known: list[Boundary]) -> list[Boundary]:
        if any(each.at == at for each in known):
            return known
        closing = next((each for each in known if each.at > at), None)
        return sorted([*known, Boundary(at, ERASED if closing and closing.reason == ERASED else reason)])

    return _change(table, identity, add)


def erase(table: Table, identity: Identity, nodes: Collection[str], at: str) -> None:
    """Refuse what happened in those generations of `identity` that are among `nodes`: the present one
    ends at `at`, an earlier one ended long ago and only says so now. Raises Busy."""

    def ended(known: list[Boundary]) -> list[Boundary]:
        begun = known if known and not known[0].at else [FIRST, *known]
        theirs = {n for n, each in enumerate(begun) if node_id(identity, each.label) in nodes}
        closed = [each._replace(reason=ERASED) if n - 1 in theirs else each for n, each in enumerate(begun)]
        new = [Boundary(at, ERASED)] if len(begun) - 1 in theirs else []
        return [each for each in (*closed, *new) if each != FIRST]

    _change(table, identity, ended)


def renew(table: Table, identity: Identity, before: str, edition: int) -> bool:
    """Begin a next edition of the generation that the moment `before` divides. False: it was there."""

    def raised(known: list[Boundary]) -> list[Boundary]:
        old = divided(known, before)
        new = old._replace(edition=max(edition, old.edition))
        return known if new == old else sorted([each for each in known if each != old] + [new])

    return _change(table, identity, raised)


def divided(boundaries: Sequence[Boundary], at: str) -> Boundary:
    """The generation that a boundary at `at` cuts short."""
    return max((each for each in boundaries if each.at < at), default=FIRST)


def told_by(event: Event) -> list[tuple[Identity, str]]:
    """The boundaries that an event tells of: what ends with it, and what began just before it."""
    ended = [(each, event.occurred_at) for each in event.ends if each.assurance >= A2_ATTESTED]
    just_before = instants.from_ms(instants.to_ms(event.occurred_at) - 1)
    return ended + [(each, just_before) for each in event.begins if each.assurance >= A2_ATTESTED]


def _change(table: Table, identity: Identity, change: Callable[[list[Boundary]], list[Boundary]]) -> bool:
    key = (f"N#{node_id(identity)}", "-")
    for _ in range(TRIES):
        item = table.get(key)
        known = boundaries_of(item)
        wanted = change(known)
        if wanted == known:
            return False
        was = item.get("gens") if item else None
        if table.write(Update(key, {"gens": [_entry(each) for each in wanted]}, when=equal(gens=was))):
            return True
    raise Busy("the generations change all the time")


def _entry(boundary: Boundary) -> list[str | int]:
    return [boundary.at, boundary.reason, *([boundary.edition] if boundary.edition else [])]
