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
from dataclasses import dataclass, field

from chalicelib.context import candidates, conversations, resolve, satisfaction
from chalicelib.errors import Busy
from chalicelib.model import instants
from chalicelib.model.event import Event
from chalicelib.store import events
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import ABSENT, Delete, Item, Key, Put, Table, Update, equal, live, now_seconds

MAX_CHAIN = 50
"""Refs followed for one event; a ref beyond that is followed by its next event."""
VERSION = ("asr", "own", "at", "via", "by", "tk")
"""What tells one state of a participant from the next."""


@dataclass(frozen=True)
class Visited:
    """What was seen to in one go. `participants`: their items' keys. `placing`: sort keys of the events that are being
    placed: they look again by themselves when a participant whom they brought to another ref was seen to there.
    `marks`: writes that say so of him, once all of those are placed: whoever dies before leaves him half done."""

    participants: set[Key] = field(default_factory=set)
    placing: set[str] = field(default_factory=set)
    marks: list[Update] = field(default_factory=list)


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
    token: bool = False
    """By a redeemed token, which does not wear off when he takes part without one later."""
    days: int = 0
    """How long it is kept; 0: as the stage is set."""

    def item(self, ref: str) -> Item:
        found: Item = {
            "pk": f"R#{ref}",
            "sk": f"P#{self.node}",
            "asr": self.assurance,
            "own": self.own,
            "at": self.at,
            "via": self.via,
            "ch": self.channel,
            "x": now_seconds() + events.kept_seconds(self.days),
        }
        optional = {"adr": self.address, "sh": self.shared, "by": sorted(self.contacts), "tk": self.token}
        return found | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True)
class Need:
    """Why an event waits. `home`: where it lies already; `fixed`: and will stay, its refs place it
    nowhere else. `typed`: refs among its refs that count only for whoever shares a contact point
    with it; `contacts`: the nodes of those that its sender is attested by. `days`: how long it is kept."""

    home: str = ""
    fixed: bool = False
    typed: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()
    days: int = 0

    @property
    def attributes(self) -> Item:
        found = {"hm": self.home, "fix": self.fixed, "tp": list(self.typed), "ck": list(self.contacts)}
        return {name: value for name, value in found.items() if value}

    def holds(self, waiting: Item) -> bool:
        return {name: waiting[name] for name in NEEDS if name in waiting} == self.attributes


NEEDS = ("hm", "fix", "tp", "ck")
CONTENT = ("sha", "v")
LISTED = ("gpk", "gsk")
NOBODY = Need()


@dataclass
class Met:
    """What joining refs brought about. `marks`: writes that say it is done, to be made once the
    event itself is written. `redeemers`: participants by token of the same refs, and `others`:
    those without; each of the two is one person with each of the other."""

    marks: list[Update] = field(default_factory=list)
    redeemers: dict[str, Item] = field(default_factory=dict)
    others: dict[str, Item] = field(default_factory=dict)


def participate(table: Table, refs: Sequence[str], who: Participant, seen: Mapping[Key, Item]) -> Met:
    """Join `who` to each ref, then place what waits there. `seen`: participant items read before."""
    visited, met = Visited(), Met()
    for ref in refs:
        existing = seen.get((f"R#{ref}", f"P#{who.node}"))
        mine = _join(table, who.item(ref), existing, visited, met)
        met.marks += [_done(mine)] if mine and mine == existing else []
    return met


def _join(table: Table, item: Item, existing: Item | None, visited: Visited, met: Met | None = None) -> Item | None:
    """The participant as he is now; None where all was done before."""
    wanted = _joined(item, existing)
    if wanted == existing and existing and existing.get("ok"):
        return None
    visited.participants.add((item["pk"], item["sk"]))
    mine = existing if existing and wanted == existing else _put_better(table, item, existing)
    found = table.query(item["pk"], begins="" if met else "E#").items
    for each in filter(live, found):
        if each["sk"].startswith("E#"):
            if each["sk"] not in visited.placing:
                place(table, each, visited, again=existing is not None)
        elif met and each["sk"].startswith("P#") and each["sk"] != item["sk"]:
            (met.redeemers if each.get("tk") else met.others)[_node(each)] = each
    return mine


def _joined(item: Item, existing: Item | None) -> Item:
    """The better of the two, with the contacts of both: a join, so the order leaves no trace."""
    if existing is None:
        return item
    best = item if _rank(item) < _rank(existing) else existing
    contacts = sorted({*item.get("by", ()), *existing.get("by", ())})
    kept = {"by": contacts, "tk": item.get("tk", False) or existing.get("tk", False)}
    joined = {name: value for name, value in (best | kept).items() if value or name not in kept}
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


def wait(
    table: Table, refs: Sequence[str], event: Event, receipt: str, need: Need = NOBODY, existing: Item | None = None
) -> Item | None:
    """Write `event` as waiting under each of its refs, then place it if somebody is there. `existing`: what was read
    under the first before.

    The first ref's copy comes last: where it is, all are. Of several contents the newest waits, whoever writes at the
    same time, and one that is there for another need waits anew. Answers what was there. Raises Busy.
    """
    copies = [_waiting_item(ref, refs, event, receipt, need, first=number == 0) for number, ref in enumerate(refs)]
    there, stand = existing, [existing or copies[0]]
    if events.newer(copies[0], existing) is copies[0]:
        stand = [events.newer(copy, events.put(table, copy)) for copy in copies[1:]]
        there = events.put(table, copies[0], existing)
        stand.append(events.newer(copies[0], there))
    first = stand[-1]
    if events.newness(first) > events.newness(copies[0]) or all(map(need.holds, stand)):
        place(table, first, again=there is not None)
    else:
        wait_again(table, first, need)
    return there


def wait_again(table: Table, waiting: Item, need: Need | None = None) -> bool:
    """Whoever an event was placed with, or the home that it had, is no more: it waits as in the
    beginning, for what it needs now, and is placed anew."""
    old = ("placed", *(NEEDS if need else ()))
    kept = {name: value for name, value in waiting.items() if name not in old} | (need.attributes if need else {})
    event = events.from_item(waiting)
    copies = [kept | {"pk": f"R#{ref}"} for ref in waiting["refs"]]
    if "hm" not in kept:
        copies[0] |= _listed(event)
    for copy in copies:
        events.put(table, copy, waiting, anew=True)
    return place(table, copies[0], again=True)


def place(table: Table, waiting: Item, visited: Visited | None = None, *, again: bool = False) -> bool:
    """Put a waiting event at the home of its best participant; False when there is none yet.

    Every participant of one of its refs becomes one of the others too, so that what waits there
    finds the same people: the outcome is a closure, in which no order of arrival shows. Reads all
    again after writing, because somebody better may have come in between. The mark comes last:
    where it names the best participant and nobody is lacking, nothing is left to do.

    `again`: an earlier attempt may have died after it put a copy where somebody else turned out
    to be better, so what lies at the others is removed.
    """
    seen = Visited() if visited is None else visited
    seen.placing.add(waiting["sk"])
    found = _place(table, waiting, seen, again)
    seen.placing.remove(waiting["sk"])
    if not seen.placing:
        _write_marks(table, seen)
    return found


def _write_marks(table: Table, seen: Visited) -> None:
    for mark in seen.marks:
        table.write(mark)
    seen.marks.clear()


def _place(table: Table, waiting: Item, seen: Visited, again: bool) -> bool:
    around = _around(table, waiting)
    put = {_node(claim) for claim in around.claims} if again else {str(waiting.get("placed", ""))} - {""}
    while True:
        best = around.best
        lacking = [each for each in around.lacking if (each["pk"], each["sk"]) not in seen.participants]
        if not lacking and (best is None or waiting.get("placed") == _node(best)):
            break
        if best and waiting.get("placed") != _node(best):
            _put_copy(table, waiting, _node(best))
            put.add(_node(best))
        _vouch(table, lacking[: max(0, MAX_CHAIN - len(seen.participants))], seen)
        around = _around(table, waiting)
        if best and around.best and around.best["sk"] == best["sk"]:
            waiting = _mark_placed(table, waiting, _node(best))
            put |= {_node(claim) for claim in around.claims}
        if len(seen.participants) >= MAX_CHAIN:
            break
    _remove_copies(table, waiting, put - {_node(around.best)} if around.best else put)
    return around.best is not None


def _node(participant: Item) -> str:
    return str(participant["sk"][2:])


@dataclass(frozen=True)
class _Around:
    """What the refs of a waiting event say. `claims`: whom they give it to, best first; `lacking`:
    participants of one ref that another does not have yet, or has worse, or left half done."""

    claims: list[Item]
    lacking: list[Item]

    @property
    def best(self) -> Item | None:
        return self.claims[0] if self.claims else None


def _around(table: Table, waiting: Item) -> _Around:
    typed = waiting.get("tp", [])
    proven = [ref for ref in waiting["refs"] if ref not in typed]
    by_ref = {ref: list(_queried(table, [ref])) for ref in proven}
    everybody = _ranked([*(item for items in by_ref.values() for item in items), *_meant(table, waiting, typed)])
    if waiting.get("fix"):
        return _Around([], [])
    lacking = [each for ref, items in by_ref.items() for each in _lacking(waiting, ref, items, everybody)]
    return _Around([item for item in everybody if _may_have(waiting, item)], lacking)


def _lacking(waiting: Item, ref: str, here: Iterable[Item], everybody: Iterable[Item]) -> Iterable[Item]:
    known = {item["sk"]: item for item in here}
    for item in everybody:
        mine = known.get(item["sk"])
        if mine is None or _rank(item)[:4] < _rank(mine)[:4] or (mine.get("vo") and not mine.get("ok")):
            kept: Item = {name: item[name] for name in ("sk", "asr", "own", "at", "ch", "x", "sh") if name in item}
            yield {"pk": f"R#{ref}", **kept, "via": waiting["sk"].rpartition("#")[2], "vo": True}


def _vouch(table: Table, lacking: Sequence[Item], visited: Visited) -> None:
    keys = [(item["pk"], item["sk"]) for item in lacking]
    known = table.batch_get(keys)
    for key, item in zip(keys, lacking, strict=True):
        mine = _join(table, item, known.get(key), visited)
        if mine and mine.get("vo") and not mine.get("ok"):
            visited.marks.append(_done(mine))


def _meant(table: Table, waiting: Item, typed: Sequence[str]) -> list[Item]:
    """Participants of typed refs that the sender shares a contact point with; and what follows
    from them: one conversation, or a candidate where nobody of them is meant."""
    found, counted = list[Item](), list[str]()
    for ref in typed:
        here = list(_queried(table, [ref]))
        meant = [item for item in here if not set(item.get("by", ())).isdisjoint(waiting.get("ck", ()))]
        found += meant
        counted += [ref] if meant else []
        if here and not meant:
            _suggest(table, waiting, here)
    if counted:
        _converse(table, waiting, counted)
    return found


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


def _put_copy(table: Table, waiting: Item, node: str) -> None:
    resolve.touch(table, resolve.IDENTITIES, node, instants.day(waiting["sk"][2:26]))
    events.put(table, placed_copy(waiting, node), anew=True)
    if waiting["ty"] == "satisfaction" and "hm" not in waiting:
        satisfaction.keep(table, events.from_item(waiting), node)


def _remove_copies(table: Table, waiting: Item, nodes: Iterable[str]) -> None:
    """Never the event itself, which may be at home on one of them."""
    for node in sorted(nodes):
        if node != waiting.get("hm"):
            table.write(Delete((f"N#{node}", waiting["sk"])))


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


def _ranked(found: Iterable[Item]) -> list[Item]:
    """Best first, each node once."""
    best: dict[str, Item] = {}
    for item in sorted(found, key=_rank):
        best.setdefault(item["sk"], item)
    return list(best.values())


def _rank(item: Item) -> tuple[bool, bool, int, str, str, str]:
    """Contact points last, for they may be shared; own systems first, then the surest, the
    earliest, the node id: no arrival order in it."""
    return bool(item.get("sh")), not item["own"], -item["asr"], item["at"], item["sk"], item["via"]


def _mark_placed(table: Table, waiting: Item, node: str) -> Item:
    """Only what was placed: a newer content, or another need, is placed by whoever wrote it; what was erased stays so."""
    when = equal(**{name: waiting.get(name) for name in (*CONTENT, *NEEDS)})
    for ref in reversed(waiting["refs"]):
        table.write(Update((f"R#{ref}", waiting["sk"]), {"placed": node}, LISTED, when=when))
    return {name: value for name, value in waiting.items() if name not in LISTED} | {"placed": node}


def _waiting_item(ref: str, refs: Sequence[str], event: Event, receipt: str, need: Need, first: bool) -> Item:
    item = events.item_at(f"R#{ref}", event, receipt, need.days) | {"refs": list(refs)} | need.attributes
    return item | (_listed(event) if first and not need.home else {})


def _listed(event: Event) -> Item:
    """As one of those that no identity has claimed yet."""
    return {"gpk": f"WAIT#{event.connection}", "gsk": f"{event.occurred_at}#{event.id}"}
