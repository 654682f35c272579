"""Placing: events that name nobody reach the timeline of whoever their refs point at.

Two writers meet at a ref without knowing of each other: an event with an identity writes itself
as participant and then reads what is waiting; an event without one writes itself as waiting and
then reads the participants. Whoever comes second sees the other, so nothing stays unplaced; both
may see it, and placing twice writes the same item.

A participant is marked `ok` once everything waiting before it was placed. Until then every event
of its thread looks again, because the worker that wrote it may have died in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.context import resolve
from chalicelib.errors import Busy
from chalicelib.model import instants
from chalicelib.model.event import Event
from chalicelib.settings import settings
from chalicelib.store import events
from chalicelib.store.table import ABSENT, Delete, Item, Key, Put, Table, Update, equal, live, now_seconds

MAX_CHAIN = 50
"""Refs followed for one event; a ref beyond that is followed by its next event."""


@dataclass(frozen=True)
class Participant:
    """Why a node belongs to a ref. `own`: an own system said so; `via`: the event that did."""

    node: str
    assurance: int
    own: bool
    at: str
    via: str
    channel: str
    address: str = ""

    def item(self, ref: str) -> Item:
        found: Item = {
            "pk": f"R#{ref}",
            "sk": f"P#{self.node}",
            "asr": self.assurance,
            "own": self.own,
            "at": self.at,
            "via": self.via,
            "ch": self.channel,
            "x": now_seconds() + settings().event_retention_days * 86400,
        }
        return found | ({"adr": self.address} if self.address else {})


def participate(table: Table, refs: Sequence[str], who: Participant, seen: Mapping[Key, Item]) -> list[Update]:
    """Join `who` to each ref, then place what waits there.

    `seen`: participant items read before. Returns the writes that mark the work done, to be made
    once the event itself is written.
    """
    visited: set[str] = set()
    return [mark for ref in refs for mark in _join(table, ref, who, seen.get((f"R#{ref}", f"P#{who.node}")), visited)]


def _join(table: Table, ref: str, who: Participant, existing: Item | None, visited: set[str]) -> list[Update]:
    item = who.item(ref)
    better = existing is None or _rank(item) < _rank(existing)
    if not better and existing and existing.get("ok"):
        return []
    visited.add(ref)
    mine = _put_better(table, item, existing) if better else existing
    for waiting in table.query(f"R#{ref}", begins="E#").items:
        if live(waiting) and waiting["sk"] not in visited:
            place(table, waiting, visited)
    return [_done(mine)] if mine else []


def _put_better(table: Table, item: Item, existing: Item | None) -> Item | None:
    """Store `item` unless a better one is there: a join, so the order of arrival leaves no trace."""
    for _ in range(10):
        when = equal(**{name: existing[name] for name in ("asr", "own", "at")}) if existing else ABSENT
        if table.write(Put(item, when)):
            return item
        existing = table.get((item["pk"], item["sk"]))
        if existing and _rank(existing) <= _rank(item):
            return existing
    raise Busy(f"participant {item['sk']} changes all the time")


def _done(item: Item) -> Update:
    """Only for the very item whose waiting events were placed: a better one places anew."""
    when = equal(asr=item["asr"], own=item["own"], at=item["at"])
    return Update((item["pk"], item["sk"]), {"ok": True}, when=when)


def wait(table: Table, refs: Sequence[str], event: Event, receipt: str) -> bool:
    """Write `event` as waiting under each of its refs, then place it if somebody is there.

    The first ref's copy comes last: where it is, all are. True when it was placed.
    """
    copies = [_waiting_item(ref, refs, event, receipt, first=number == 0) for number, ref in enumerate(refs)]
    if copies[1:]:
        table.batch_put(copies[1:])
    table.write(Put(copies[0]))
    return place(table, copies[0])


def place(table: Table, waiting: Item, visited: set[str] | None = None) -> bool:
    """Put a waiting event at the home of its best participant; False when there is none yet.

    Reads the participants again after writing: one that came in between may be better, and then
    either we or its writer removes the copy that lost. The mark comes last: where it names the
    best participant, nothing is left to do.
    """
    seen = set() if visited is None else visited
    seen.add(waiting["sk"])
    found = participants(table, waiting["refs"])
    while found and waiting.get("placed") != _node(found[0]):
        best = found[0]
        _put_copy(table, waiting, best, found[1:])
        found = participants(table, waiting["refs"]) or [best]
        if found[0]["sk"] == best["sk"]:
            _follow(table, waiting, best, seen)
            _mark_placed(table, waiting, _node(best))
            break
    return bool(found)


def _node(participant: Item) -> str:
    return str(participant["sk"][2:])


def _put_copy(table: Table, waiting: Item, best: Item, others: Iterable[Item]) -> None:
    resolve.touch(table, resolve.IDENTITIES, _node(best), instants.day(waiting["sk"][2:26]))
    table.write(Put(placed_copy(waiting, _node(best))))
    for other in others:
        table.write(Delete((f"N#{_node(other)}", waiting["sk"])))


def placed_copy(waiting: Item, node: str) -> Item:
    kept = {name: value for name, value in waiting.items() if name not in ("refs", "placed", "gpk", "gsk")}
    return kept | {"pk": f"N#{node}", "pl": True}


def participants(table: Table, refs: Iterable[str]) -> list[Item]:
    """All participants of the refs, best first, each node once."""
    found = (item for ref in refs for item in table.query(f"R#{ref}", begins="P#").items if live(item))
    best: dict[str, Item] = {}
    for item in sorted(found, key=_rank):
        best.setdefault(item["sk"], item)
    return list(best.values())


def _rank(item: Item) -> tuple[bool, int, str, str]:
    """Own systems first, then the surest, the earliest, the node id: no arrival order in it."""
    return not item["own"], -item["asr"], item["at"], item["sk"]


def _mark_placed(table: Table, waiting: Item, node: str) -> None:
    kept = {name: value for name, value in waiting.items() if name not in ("gpk", "gsk")} | {"placed": node}
    table.batch_put([kept | {"pk": f"R#{ref}"} for ref in waiting["refs"]])


def _follow(table: Table, waiting: Item, best: Item, visited: set[str]) -> None:
    """A placed event vouches for its other refs in turn: what waits there is this person's too."""
    event = events.from_item(waiting)
    who = Participant(_node(best), best["asr"], best["own"], event.occurred_at, event.id, event.channel)
    refs = [ref for ref in waiting["refs"] if ref not in visited][: max(0, MAX_CHAIN - len(visited))]
    known = table.batch_get([(f"R#{ref}", best["sk"]) for ref in refs]) if refs else {}
    for ref in refs:
        for mark in _join(table, ref, who, known.get((f"R#{ref}", best["sk"])), visited):
            table.write(mark)


def _waiting_item(ref: str, refs: Sequence[str], event: Event, receipt: str, first: bool) -> Item:
    item = events.item_at(f"R#{ref}", event, receipt) | {"refs": list(refs)}
    return item | ({"gpk": f"WAIT#{event.connection}", "gsk": f"{event.occurred_at}#{event.id}"} if first else {})
