"""Contacts: which record a customer is in a destination, and what was last pushed there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from chalicelib.errors import Busy
from chalicelib.model import instants
from chalicelib.store.table import Item, Put, Table, Update, equal

LEASE_MS = 30_000
MOST_PUSHES = 8
"""That are remembered of a contact, where that is needed."""
MOST_MERGES = 8
"""So many times one record went into another, before we stop to follow."""
TRIES = 10
"""To write a row that others write too."""


@dataclass(frozen=True)
class Contact:
    """`node`: whose item it is: the customer's oldest node when the record was made."""

    connection: str
    node: str
    remote: str = ""
    pushed: str = ""
    pushed_at: str = ""
    ver: int = 0
    until: int = 0
    past: tuple[str, ...] = ()
    """The last pushes to a system that tells them back like anybody's: ms and what was new in each print."""
    was: tuple[str, ...] = ()
    """Records that went into this one: erasing asks for them too."""
    failed: bool = False
    """A push failed since somebody last looked whether one of them is parked, which the next good one makes up for."""


def key(connection: str, node: str) -> tuple[str, str]:
    return f"N#{node}", f"C#{connection}"


def from_item(item: Item) -> Contact:
    return Contact(
        connection=item["sk"][2:],
        node=item["pk"][2:],
        remote=item.get("remote", ""),
        pushed=item.get("pushed", ""),
        pushed_at=item.get("at", ""),
        ver=item["ver"],
        until=item.get("until", 0),
        past=tuple(item.get("past", ())),
        was=tuple(item.get("was", ())),
        failed=bool(item.get("failed")),
    )


def among(items: Iterable[Item], connection: str, oldest: str) -> Contact:
    """The customer's contact, from the items of all his nodes: his oldest node's own, else the
    earliest made for any of them.

    After a merge two may exist; both are kept, because the destination keeps both records.
    """
    contacts = [from_item(item) for item in items]
    known = [contact for contact in contacts if contact.remote]
    ranked = sorted(known, key=lambda contact: (contact.node != oldest, contact.node))
    mine = next((contact for contact in contacts if contact.node == oldest), Contact(connection, oldest))
    return ranked[0] if ranked else mine


def of(table: Table, connection: str, nodes: Iterable[str], oldest: str) -> tuple[Contact, set[str]]:
    """The customer's contact with these nodes, and every record that any of them has."""
    items = table.batch_get([key(connection, node) for node in nodes]).values()
    return among(items, connection, oldest), {item["remote"] for item in items if item.get("remote")}


def belongs(table: Table, contact: Contact, nodes: Collection[str]) -> bool:
    """Whether its record is that of a customer with these nodes. When that system made one record of two, and
    they are two customers again, one of them has it."""
    if not contact.remote:
        return True
    item = table.get(pointer_key(contact.connection, contact.remote))
    owner = str(item["node"]) if item else contact.node
    if owner == contact.node or owner in nodes:
        return True
    held = table.get(key(contact.connection, owner))
    return held is None or held.get("remote") != contact.remote


def became(table: Table, connection: str, remote: str) -> str:
    """The record that one is now, where that system made one of two; itself otherwise."""
    for _ in range(MOST_MERGES):
        item = table.get(pointer_key(connection, remote)) or {}
        if "into" not in item:
            break
        remote = str(item["into"])
    return remote


def lease(table: Table, contact: Contact) -> Contact | None:
    """Take the contact for half a minute; None when somebody has it. Read the state after this.

    Who dies with it leaves it as never pushed: nobody knows what the record shows then.
    """
    now = instants.now_ms()
    if contact.until > now:
        return None
    taken = replace(contact, pushed="", until=0)
    leased = _item(taken, contact.ver + 1, until=now + LEASE_MS)
    if not table.write(Put(leased, equal(ver=contact.ver or None))):
        return None
    return replace(from_item(leased), pushed=contact.pushed)


def reread(table: Table, contact: Contact) -> Contact:
    """As it is now."""
    item = table.get(key(contact.connection, contact.node))
    return from_item(item) if item else Contact(contact.connection, contact.node)


def pushing(table: Table, contact: Contact, wanted: str) -> Contact:
    """Before a push whose change that system may tell back, soon or late: what it is about to show. Raises Busy when
    the contact was corrected since it was leased."""
    news = [each for each in wanted.split()[1:] if each not in contact.pushed.split()]
    past = (*contact.past, " ".join([str(instants.now_ms()), *news]))[-MOST_PUSHES:]
    remember = Update(key(contact.connection, contact.node), {"past": list(past)}, when=equal(ver=contact.ver))
    if not table.write(remember):
        raise Busy("the contact was corrected meanwhile")
    return replace(contact, past=past)


def save(table: Table, contact: Contact, remote: str, pushed: str) -> bool:
    """End the lease with what was pushed. False: the lease had run out and somebody took over."""
    if remote != contact.remote:
        table.write(Put(pointer(contact.connection, remote, contact.node)))
    saved = replace(contact, remote=remote, pushed=pushed, pushed_at=instants.now(), until=0)
    return table.write(Put(_item(saved, contact.ver + 1), equal(ver=contact.ver)))


def seen(table: Table, contact: Contact) -> None:
    """It was looked at whole today, and there was nothing to push."""
    table.write(Update(key(contact.connection, contact.node), {"at": instants.now()}, when=equal(ver=contact.ver)))


def pointer(connection: str, remote: str, node: str) -> Item:
    """From a record over there back to whose it is, for what that system tells of it. One that went into another
    record says so."""
    pk, sk = pointer_key(connection, remote)
    return {"pk": pk, "sk": sk, "node": node}


def pointer_key(connection: str, remote: str) -> tuple[str, str]:
    return f"X#{connection}#{remote}", "-"


def adopt(table: Table, connection: str, nodes: Iterable[str], primary: str, merged: Iterable[str]) -> None:
    """That system made one record of several: whose contact was one of `merged` has `primary` now. Raises Busy when
    others keep writing."""
    gone = set(merged)
    for item in table.batch_get([key(connection, node) for node in nodes]).values():
        contact = from_item(item)
        for _ in range(TRIES):
            if contact.remote not in gone or _moved(table, contact, primary):
                break
            contact = from_item(table.get((item["pk"], item["sk"])) or item)
        else:
            raise Busy("the contact changes all the time")


def _moved(table: Table, contact: Contact, primary: str) -> bool:
    was = list(dict.fromkeys((*contact.was, contact.remote)))
    row = {"remote": primary, "was": was, "ver": contact.ver + 1}
    table.write(Put(pointer(contact.connection, contact.remote, contact.node) | {"into": primary}))
    place = key(contact.connection, contact.node)
    return table.write(Update(place, row, remove=("pushed", "until"), when=equal(ver=contact.ver)))


def correct(
    table: Table, connection: str, nodes: Iterable[str], change: Callable[[str], str], *, again: bool = True
) -> None:
    """Another print of what was pushed. `again`: whoever pushes just now does so once more. Raises Busy when others
    keep writing."""
    for node in nodes:
        for _ in range(TRIES):
            contact = reread(table, Contact(connection, node))
            changed = change(contact.pushed)
            if changed == contact.pushed and not (again and contact.until > instants.now_ms()):
                break
            # Only this: a push that is under way notes what it is about to show.
            row = {"pushed": changed, "ver": contact.ver + 1}
            if table.write(Update(key(connection, node), row, when=equal(ver=contact.ver or None))):
                break
        else:
            raise Busy("the contact changes all the time")


def release(table: Table, contact: Contact, *, unsure: bool = False, failed: bool = False) -> None:
    """Nothing was pushed; `unsure`: or it was, and nobody knows. `failed`: because it could not be."""
    if unsure:
        when, place = equal(ver=contact.ver), key(contact.connection, contact.node)
        news = {"ver": contact.ver + 1} | ({"failed": True} if failed else {})
        table.write(Update(place, news, remove=("until", "pushed"), when=when))
        return
    left = replace(contact, failed=contact.failed or failed)
    table.write(Put(_item(left, contact.ver + 1), equal(ver=contact.ver)))


def mended(table: Table, contact: Contact, ver: int) -> None:
    """Nothing of him is parked there any more, unless a push failed again: then `ver` is another one."""
    table.write(Update(key(contact.connection, contact.node), {}, remove=("failed",), when=equal(ver=ver)))


def abandon(table: Table, leased: Contact) -> None:
    """Its holder is done and its push does not count, for the contact was corrected meanwhile: whoever comes next
    need not wait until the lease runs out."""
    for _ in range(TRIES):
        item = table.get(key(leased.connection, leased.node))
        if item is None or item.get("until") != leased.until:
            return
        release(table, from_item(item), unsure=True)


def _item(contact: Contact, ver: int, until: int = 0) -> Item:
    pk, sk = key(contact.connection, contact.node)
    item: Item = {"pk": pk, "sk": sk, "ver": ver}
    optional = {"remote": contact.remote, "pushed": contact.pushed, "at": contact.pushed_at, "until": until}
    optional |= {"past": list(contact.past), "was": list(dict.fromkeys(contact.was)), "failed": contact.failed}
    return item | {name: value for name, value in optional.items() if value}
