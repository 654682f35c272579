"""Forget: have a destination remove a customer's record, when he is erased."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib import destinations
from chalicelib.errors import Delayed, DeliveryFailed
from chalicelib.fanout import outward
from chalicelib.model.connection import Connection
from chalicelib.store import contacts
from chalicelib.store.deliveries import ACTIVITY, CONTACT, MOVE, Duty
from chalicelib.store.table import Delete, Table

if TYPE_CHECKING:
    from chalicelib.kit.http import Http

FORGOTTEN, NOTHING, FAILED, UNABLE = "erased", "nothing there", "failed", "cannot be told"


PATIENCE = 20.0
"""Seconds for which erasing waits for what we may ask; after that it is asked again later."""


@dataclass(frozen=True)
class Told:
    """What a destination answered. `again`: it may work later."""

    connection: str
    result: str
    detail: str = ""
    again: bool = False


def forget(table: Table, connection: Connection, nodes: Sequence[str]) -> Told:
    """Every record that this connection has of the customer with these nodes."""
    destination = destinations.load(connection.provider)
    remotes = records(table, connection.id, nodes)
    if not remotes and (destination.contacts or connection.deleted):
        return Told(connection.id, NOTHING)
    if connection.deleted:
        return Told(connection.id, UNABLE, "the connection was deleted: erase it there by hand")
    if destination.forget_contact is None:
        return Told(connection.id, UNABLE, "this system has no way to erase: ask its owner")
    erase = destination.forget_contact

    def erased(http: Http) -> None:
        for remote in remotes:
            erase(http, remote)

    try:
        outward.through(table, connection, destination, erased, waited=True, patience=PATIENCE)
    except DeliveryFailed as failed:
        return Told(connection.id, FAILED, failed.reason[:200], isinstance(failed, Delayed))
    for remote in remotes:
        table.write(Delete(contacts.pointer_key(connection.id, remote)))
    return Told(connection.id, FORGOTTEN, f"{len(remotes)} records")


def records(table: Table, connection: str, nodes: Sequence[str]) -> list[str]:
    """Those of this customer alone, and what went into them. When a system made one record of two, and they are two
    customers again, it is one's and not the other's."""
    items = table.batch_get([contacts.key(connection, node) for node in nodes]).values()
    known = [contact for item in items if (contact := contacts.from_item(item)).remote]
    mine = {contact.remote for contact in known if contacts.belongs(table, contact, nodes)}
    was = {old for contact in known for old in contact.was if contacts.became(table, connection, old) in mine}
    return sorted(mine | was)


def rows(table: Table, connection: str, nodes: Iterable[str], ids: Iterable[str], sorts: Iterable[str]) -> int:
    """Delete what was kept of deliveries to one connection, by the sort keys of the events."""
    duties = [Duty(connection, kind, "", sort) for sort in sorts for kind in (ACTIVITY, MOVE)]
    duties += [Duty(connection, CONTACT, node, id) for node in nodes for id in ids]
    found = table.batch_get([duty.key for duty in duties])
    for key in found:
        table.write(Delete(key))
    return len(found)
