"""What a destination is shown of a customer and of an event: what it may see, and what its mapping makes of that."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.errors import PayloadMalformed, Rejected
from chalicelib.fanout.wants import document, named, partner, reduced, reduced_customer
from chalicelib.kit import outgoing
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Customer, Entry
from chalicelib.store import secrets


def customer(whole: Customer, connection: Connection) -> Customer:
    """Raises Rejected for a mapping that asks too much."""
    shown = reduced_customer(whole, connection.subscription, shown_id(whole.id, connection))
    if not outgoing.section(connection.mapping, outgoing.CONTACT):
        return shown
    found = _found(connection, outgoing.CONTACT, view(shown, connection))
    return msgspec.structs.replace(shown, mapped=found)


def entry(whole: Entry, connection: Connection) -> Entry:
    """An expression sees the event as a filter does, but for what is hidden here. Raises Rejected too."""
    shown = reduced(whole, connection.subscription, shown_id(whole.customer_id, connection))
    if not outgoing.section(connection.mapping, outgoing.ACTIVITY):
        return shown
    found = _found(connection, outgoing.ACTIVITY, document(shown.event))
    return msgspec.structs.replace(shown, mapped=found)


def shown_id(customer_id: str, connection: Connection) -> str:
    """The id by which this destination knows the customer."""
    hidden = connection.subscription.pseudonymous
    return secrets.keyed("pseudonym", connection.id, customer_id) if hidden else customer_id


def _found(connection: Connection, section: str, scene: Any) -> dict[str, Any]:
    try:
        return outgoing.found(connection.mapping, section, scene)
    except PayloadMalformed as much:
        raise Rejected(str(much)) from much


def view(shown: Customer, connection: Connection) -> dict[str, Any]:
    """The document that expressions about a customer search."""
    kinds = sorted({each.kind for each in shown.identities})
    return {
        "id": shown.id,
        "preferred_channel": shown.preferred_channel or None,
        "satisfaction": shown.satisfaction,
        "fields": _fields(shown, connection),
        "identities": [named(each) for each in sorted(shown.identities, key=lambda each: (-each.assurance, each.text))],
        "first": {kind: shown.first(kind) for kind in kinds},
    }


def _fields(shown: Customer, connection: Connection) -> dict[str, str]:
    """Without what came by sensitive events where those are hidden; with `redact` only what the system
    keeps without any mapping."""
    wish, kept = connection.subscription, destinations.load(connection.provider).contact_fields
    sensitive = wish.sensitive and not partner(connection)
    return {
        name: field.value
        for name, field in shown.fields.items()
        if (sensitive or not field.sensitive) and (name in kept or not wish.redact)
    }
