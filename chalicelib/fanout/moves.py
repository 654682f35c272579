"""Moves: activities that lie on another record than that of whose they are, since customers became one or came apart.

Both records stay, because most systems cannot take a merge back: what was told of a customer moves to his
record, and back when it turns out that he was two after all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from chalicelib import destinations
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Person
from chalicelib.store import contacts, deliveries
from chalicelib.store.deliveries import ACTIVITY, DELIVERED, MOVE, Duty
from chalicelib.store.table import Item, Table

Parts = Mapping[str, tuple[str, ...]]
"""Customer id → his nodes."""
Whose = Callable[[str], Person | None]
"""Whose node this is now."""


def movable(connections: Iterable[Connection]) -> list[Connection]:
    """Those whose system can move what it was told."""
    return [each for each in connections if destinations.load(each.provider).move_activity]


def astray(table: Table, able: Iterable[Connection], whose: Whose, before: Parts, after: Parts) -> list[str]:
    """Nodes of customers that came apart, or became one that has several records somewhere: which record is
    his may have changed for all of them."""
    found: dict[str, None] = {}
    for customer, nodes in before.items():
        for node in (each for each in nodes if each not in after.get(customer, ())):
            person = whose(node)
            if person is None or person.anonymous:
                continue
            if not person.nodes.keys() >= set(nodes):
                found.update(dict.fromkeys(nodes))
            elif any(len(contacts.of(table, each.id, person.nodes, person.oldest)[1]) > 1 for each in able):
                found.update(dict.fromkeys(person.nodes))
    return list(found)


def misplaced(table: Table, whose: Whose, due: Mapping[Duty, Item | None]) -> list[Duty]:
    """What must move of `due`, duties with their rows."""
    records: dict[tuple[str, str], str] = {}
    found = []
    for duty, row in due.items():
        lies = deliveries.lies(row) if row and duty.kind == ACTIVITY and row["st"] == DELIVERED else []
        person = whose(duty.node) if lies else None
        if person is None:
            continue
        known = duty.connection, person.id
        if known not in records:
            records[known] = _record(table, duty.connection, person)
        if lies != [records[known]]:
            found.append(Duty(duty.connection, MOVE, duty.node, duty.sort))
    return found


def _record(table: Table, connection: str, person: Person) -> str:
    """His record, empty where it is another's: what was adopted and never pushed since may be."""
    contact = contacts.of(table, connection, person.nodes, person.oldest)[0]
    mine = contact.pushed or contacts.belongs(table, contact, person.nodes)
    return contact.remote if mine else ""
