"""Placing: events that their identities do not bring home reach whoever their refs point at.

Two writers meet at a ref without knowing of each other: an event with an identity writes itself
as participant and then reads what is waiting; an event that needs its refs writes itself as
waiting and then reads the participants. Whoever comes second sees the other, so nothing stays
unplaced; both may see it, and placing twice writes the same item.

Three kinds of events wait: one that names nobody; one at home on a contact point, which may be or
become shared, so that only its refs tell whose it is (its copy is shown while the contact point is
nobody's); and one with a ref that a person typed. A typed ref counts where the sender's attested
contact point is among those that an own system gave for that ref; then it holds the conversation
together too. Else it makes the sender a candidate.

A participant is marked `ok` by the next event of its thread, which looks again for what waits:
the worker that wrote it may have died before it looked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.context import candidates, conversations, resolve
from chalicelib.errors import Busy
from chalicelib.model import instants
from chalicelib.model.event import Event
from chalicelib.settings import settings
from chalicelib.store import events
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import ABSENT, Delete, Item, Key, Put, Table, Update, equal, live, now_seconds

MAX_CHAIN = 50
"""Refs followed for one event; a ref beyond that is followed by its next event."""
VERSION = ("asr", "own", "at", "by")
"""What tells one state of a participant from the next."""


@dataclass(frozen=True)
class Participant:
    """Why a node belongs to a ref. `own`: an own system said so; `via`: the event that did.
    `shared`: the node is a contact point. `contacts`: nodes of contact points that an own system
    attested along with this ref."""

    node: str
    assurance: int
    own: bool
    at: str
    via: str
    channel: str
    address: str = ""
    shared: bool = False
    contacts: tuple[str, ...] = ()

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
        optional = {"adr": self.address, "sh": self.shared, "by": sorted(self.contacts)}
        return found | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True)
class Need:
    """Why an event waits. `home`: where it lies already; `fixed`: and will stay, its refs place it
    nowhere else. `typed`: refs among its refs that count only for whoever shares a contact point
    with it; `contacts`: the nodes of those that its sender is attested by."""

    home: str = ""
    fixed: bool = False
    typed: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()

    @property
    def attributes(self) -> Item:
        found = {"hm": self.home, "fix": self.fixed, "tp": list(self.typed), "ck": list(self.contacts)}
        return {name: value for name, value in found.items() if value}


NOBODY = Need()


def participate(table: Table, refs: Sequence[str], who: Participant, seen: Mapping[Key, Item]) -> list[Update]:
    """Join `who` to each ref, then place what waits there.

    `seen`: participant items read before. Returns the writes that mark the work done, to be made
    once the event itself is written.
    """
    visited: set[str] = set()
    return [mark for ref in refs for mark in _join(table, ref, who, seen.get((f"R#{ref}", f"P#{who.node}")), visited)]


def _join(table: Table, ref: str, who: Participant, existing: Item | None, visited: set[str]) -> list[Update]:
    item = _joined(who.item(ref), existing)
    if item == existing and existing and existing.get("ok"):
        return []
    visited.add(ref)
    mine = existing if existing and item == existing else _put_better(table, who.item(ref), existing)
    for waiting in table.query(f"R#{ref}", begins="E#").items:
        if live(waiting) and waiting["sk"] not in visited:
            place(table, waiting, visited)
    return [_done(mine)] if existing and mine == existing else []


def _joined(item: Item, existing: Item | None) -> Item:
    """The better of the two, with the contacts of both: a join, so the order leaves no trace."""
    if existing is None:
        return item
    best = item if _rank(item) < _rank(existing) else existing
    contacts = sorted({*item.get("by", ()), *existing.get("by", ())})
    joined = {name: value for name, value in best.items() if name != "by"} | ({"by": contacts} if contacts else {})
    return existing if joined == existing else joined


def _put_better(table: Table, item: Item, existing: Item | None) -> Item:
    for _ in range(10):
        wanted = _joined(item, existing)
        if wanted == existing:
            return wanted
        wanted = {name: value for name, value in wanted.items() if name != "ok"}
        when = equal(**{name: existing.get(name) for name in VERSION}) if existing else ABSENT
        if table.write(Put(wanted, when)):
            return wanted
        existing = table.get((item["pk"], item["sk"]))
    raise Busy(f"participant {item['sk']} changes all the time")


def _done(item: Item) -> Update:
    """Only for the very item whose waiting events were placed: a better one places anew."""
    when = equal(**{name: item.get(name) for name in VERSION})
    return Update((item["pk"], item["sk"]), {"ok": True}, when=when)


def wait(table: Table, refs: Sequence[str], event: Event, receipt: str, need: Need = NOBODY) -> bool:
    """Write `event` as waiting under each of its refs, then place it if somebody is there.

    The first ref's copy comes last: where it is, all are. True when it was placed.
    """
    copies = [_waiting_item(ref, refs, event, receipt, need, first=number == 0) for number, ref in enumerate(refs)]
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
    found = _claims(table, waiting)
    while found and waiting.get("placed") != _node(found[0]):
        best = found[0]
        _put_copy(table, waiting, best, found[1:])
        found = _claims(table, waiting) or [best]
        if found[0]["sk"] == best["sk"]:
            if "hm" not in waiting:
                _follow(table, waiting, best, seen)
            _mark_placed(table, waiting, _node(best))
            break
    return bool(found)


def _node(participant: Item) -> str:
    return str(participant["sk"][2:])


def _claims(table: Table, waiting: Item) -> list[Item]:
    """Whom its refs give the event to, best first. On the way, what its typed refs tell."""
    typed = waiting.get("tp", [])
    found = list(_queried(table, [ref for ref in waiting["refs"] if ref not in typed]))
    counted = []
    for ref in typed:
        here = list(_queried(table, [ref]))
        meant = [item for item in here if not set(item.get("by", ())).isdisjoint(waiting.get("ck", ()))]
        counted += [ref] if meant else []
        found += meant
        if here and not meant:
            _suggest(table, waiting, here)
    if counted:
        _converse(table, waiting, counted)
    return [] if waiting.get("fix") else _ranked(item for item in found if _may_have(waiting, item))


def _may_have(waiting: Item, participant: Item) -> bool:
    """An event on a contact point is not claimed by another contact point: that may be shared too."""
    return "hm" not in waiting or (not participant.get("sh") and _node(participant) != waiting["hm"])


def _converse(table: Table, waiting: Item, counted: Sequence[str]) -> None:
    event = events.from_item(waiting)
    named = [ref for ref in event.refs if not ref.typed or ref_id(ref) in counted]
    conversations.link(table, event, named)


def _suggest(table: Table, waiting: Item, participants: Iterable[Item]) -> None:
    if home := waiting.get("hm"):
        event = events.from_item(waiting)
        nodes = [_node(item) for item in participants]
        candidates.keep(table, candidates.between(home, nodes, candidates.TYPED_REF), event)


def _put_copy(table: Table, waiting: Item, best: Item, others: Iterable[Item]) -> None:
    resolve.touch(table, resolve.IDENTITIES, _node(best), instants.day(waiting["sk"][2:26]))
    table.write(Put(placed_copy(waiting, _node(best))))
    for other in others:
        table.write(Delete((f"N#{_node(other)}", waiting["sk"])))


def placed_copy(waiting: Item, node: str) -> Item:
    """`hm` stays: the copy is shown only while the event's own home is nobody's."""
    gone = ("refs", "placed", "gpk", "gsk", "fix", "tp", "ck")
    return {name: value for name, value in waiting.items() if name not in gone} | {"pk": f"N#{node}", "pl": True}


def placed(table: Table, items: Iterable[Item]) -> set[str]:
    """Sort keys of those home items on a contact point whose own refs found their customer."""
    keys = [(f"R#{item['wt']}", item["sk"]) for item in items if "wt" in item]
    return {key[1] for key, waiting in table.batch_get(keys).items() if waiting.get("placed")}


def _queried(table: Table, refs: Iterable[str]) -> Iterable[Item]:
    return (item for ref in refs for item in table.query(f"R#{ref}", begins="P#").items if live(item))


def participants(table: Table, refs: Iterable[str]) -> list[Item]:
    """All participants of the refs, best first, each node once."""
    return _ranked(_queried(table, refs))


def _ranked(found: Iterable[Item]) -> list[Item]:
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
    open_ = [ref for ref in waiting["refs"] if ref not in visited and ref not in waiting.get("tp", [])]
    refs = open_[: max(0, MAX_CHAIN - len(visited))]
    known = table.batch_get([(f"R#{ref}", best["sk"]) for ref in refs]) if refs else {}
    for ref in refs:
        for mark in _join(table, ref, who, known.get((f"R#{ref}", best["sk"])), visited):
            table.write(mark)


def _waiting_item(ref: str, refs: Sequence[str], event: Event, receipt: str, need: Need, first: bool) -> Item:
    item = events.item_at(f"R#{ref}", event, receipt) | {"refs": list(refs)} | need.attributes
    listed = first and not need.home
    return item | ({"gpk": f"WAIT#{event.connection}", "gsk": f"{event.occurred_at}#{event.id}"} if listed else {})
