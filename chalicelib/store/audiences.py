"""Audiences: their definitions, one item for all as rules are, and what a feed was told of whom.

definitions    ORG      audiences    b ver
membership     M#c#a    customer     told at, try tat verb (while a change is under way), until ver
export         J#id     M#customer   b: facts of one member, none that names him
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from chalicelib.model import instants
from chalicelib.model.audience import CHANGED, ENTERED, LEFT, Audience, Facts
from chalicelib.store.table import Item, Key, Page, Put, Table, equal, live, now_seconds

CACHE_SECONDS = 5.0
KEY: Key = ("ORG", "audiences")
LEASE_MS = 30_000
KEPT_SECONDS = 90 * 86400
"""How long it is remembered that somebody left."""
EXPORTED = "M#"
EXPORT_SECONDS = 86400
"""An export can be downloaded for a day."""
_cache: list[tuple[float, tuple[Audience, ...]]] = []


def read(table: Table) -> tuple[Audience, ...]:
    """All of them, read at most every five seconds in one container."""
    if _cache and time.monotonic() - _cache[0][0] < CACHE_SECONDS:
        return _cache[0][1]
    found = decoded(table.get(KEY))
    _cache[:] = [(time.monotonic(), found)]
    return found


def decoded(item: Item | None) -> tuple[Audience, ...]:
    return msgspec.json.decode(item["b"], type=tuple[Audience, ...]) if item else ()


def named(table: Table, id: str) -> Audience | None:
    """As it is defined at this moment."""
    return next((each for each in decoded(table.get(KEY)) if each.id == id), None)


def save(table: Table, audiences: tuple[Audience, ...], before: Item | None) -> bool:
    """Replace what `before` held. False: somebody was first."""
    _cache.clear()
    ver = before["ver"] if before else 0
    item = {"pk": KEY[0], "sk": KEY[1], "b": msgspec.json.encode(audiences), "ver": ver + 1}
    return table.write(Put(item, equal(ver=ver or None)))


def forget() -> None:
    _cache.clear()


@dataclass(frozen=True)
class Membership:
    """`told`: print of what the feed was told last; empty: that he left, or nothing yet. `trying`: print of
    a change that may have been told; None: there is none. `at`, `tried_at`: their versions, in ms."""

    connection: str
    audience: str
    customer: str
    told: str = ""
    at: int = 0
    trying: str | None = None
    tried_at: int = 0
    what: str = ""
    ver: int = 0
    until: int = 0

    def in_step(self, wanted: str) -> bool:
        return self.trying is None and self.told == wanted

    def begun(self, wanted: str) -> Membership:
        """The change to `wanted`: the one that was begun, if it is the same."""
        if self.trying == wanted:
            return self
        version = max(instants.now_ms(), self.at + 1, self.tried_at + 1)
        surely_in = bool(self.told) and self.trying != ""
        what = LEFT if not wanted else CHANGED if surely_in else ENTERED
        return replace(self, trying=wanted, tried_at=version, what=what)


def membership(table: Table, connection: str, audience: str, customer: str) -> Membership:
    """Of whoever left long ago only the version of the item counts."""
    item = table.get((_pk(connection, audience), customer))
    return _from_item(connection, audience, item) if item else Membership(connection, audience, customer)


def told_of(table: Table, connection: str, audience: str, start: Key | None, limit: int) -> Page:
    """A page of the items of everybody that this connection was ever told of."""
    return table.query(_pk(connection, audience), start=start, limit=limit)


def lease(table: Table, known: Membership, wanted: str) -> Membership | None:
    """Begin a change, for half a minute; None when somebody has it. Read the state again after this."""
    now = instants.now_ms()
    if known.until > now:
        return None
    leased = replace(known.begun(wanted), ver=known.ver + 1, until=now + LEASE_MS)
    return leased if table.write(Put(_item(leased), equal(ver=known.ver or None))) else None


def save_told(table: Table, leased: Membership) -> bool:
    """The change was told. False: the lease had run out and somebody took over."""
    told = Membership(
        leased.connection, leased.audience, leased.customer, leased.trying or "", leased.tried_at, ver=leased.ver + 1
    )
    kept = {} if told.told else {"x": now_seconds() + KEPT_SECONDS}
    return table.write(Put(_item(told) | kept, equal(ver=leased.ver)))


def release(table: Table, leased: Membership, as_before: Membership) -> None:
    """End the lease without having told. `as_before`: the leased itself, if it may have arrived."""
    table.write(Put(_item(replace(as_before, ver=leased.ver + 1, until=0)), equal(ver=leased.ver)))


def _pk(connection: str, audience: str) -> str:
    return f"M#{connection}#{audience}"


def _item(each: Membership) -> Item:
    item: Item = {"pk": _pk(each.connection, each.audience), "sk": each.customer, "ver": each.ver}
    item |= {"told": each.told, "at": each.at} | ({"until": each.until} if each.until else {})
    trying = {} if each.trying is None else {"try": each.trying, "tat": each.tried_at, "verb": each.what}
    return item | trying


def _from_item(connection: str, audience: str, item: Item) -> Membership:
    if live(item) is None:
        return Membership(connection, audience, item["sk"], ver=item["ver"])
    return Membership(
        connection,
        audience,
        item["sk"],
        item["told"],
        item["at"],
        item.get("try"),
        item.get("tat", 0),
        item.get("verb", ""),
        item["ver"],
        item.get("until", 0),
    )


def keep_exported(table: Table, job: str, members: dict[str, Facts]) -> None:
    """Of one page of an export; again is the same, since each customer has one item."""
    until = now_seconds() + EXPORT_SECONDS
    items = [
        {"pk": f"J#{job}", "sk": f"{EXPORTED}{customer}", "b": msgspec.json.encode(facts), "x": until}
        for customer, facts in members.items()
    ]
    if items:
        table.batch_put(items)


def exported(table: Table, job: str, after: str, limit: int) -> list[tuple[str, Facts]]:
    """(customer, facts) in the order of their ids, from behind `after`."""
    page = table.query(f"J#{job}", after=after or EXPORTED, before=f"{EXPORTED}\U0010ffff", limit=limit)
    return [(item["sk"][2:], msgspec.json.decode(item["b"], type=Facts)) for item in page.items if live(item)]


def among_exported(table: Table, job: str, customers: Iterable[str]) -> list[str]:
    """Those of these ids that the export has, in order."""
    found = table.batch_get([(f"J#{job}", f"{EXPORTED}{each}") for each in customers])
    return sorted(sk[2:] for _, sk in found)
