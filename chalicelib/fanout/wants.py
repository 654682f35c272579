"""Who must know: a pure function of an event and a connection."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.errors import PayloadMalformed
from chalicelib.kit.expressions import Search, truthy
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.customer import Customer, Entry
from chalicelib.model.event import Event
from chalicelib.model.identity import Identity
from chalicelib.store.events import SENSITIVE, from_item
from chalicelib.store.table import Item

ON_REQUEST = frozenset({"identify", "consent"})
"""They change fields; as activities they go only where the subscription names them."""
IDENTITIES = ("identities", "ends", "begins")


def wants(connection: Connection, type_: str, channel: str, origin: str, *, sensitive: bool = False) -> bool:
    """Whether an event goes to this destination. `origin`: the connection it came by: a system
    is not told what it told us. A paused destination wants it too: it is held, not dropped."""
    wish = connection.subscription
    if origin == connection.id or connection.deleted or (sensitive and partner(connection)):
        return False
    if type_ in ON_REQUEST and type_ not in wish.types:
        return False
    return _among(type_, wish.types) and _among(channel, wish.channels) and _among(origin, wish.sources)


def wants_item(connection: Connection, item: Item) -> bool:
    """The same of an event as it lies in the table, which is opened only where there is a filter."""
    if not wants(connection, item["ty"], item["ch"], item["cn"], sensitive=SENSITIVE in item):
        return False
    return not connection.subscription.filter or passes(connection.subscription.filter, from_item(item))


def passes(expression: str, event: Event) -> bool:
    """Whether a filter finds something in the event. One that asks too much finds nothing."""
    try:
        return truthy(Search().value(expression, document(event), "filter"))
    except PayloadMalformed:
        return False


def document(event: Event) -> dict[str, Any]:
    """The event as expressions search it: every field is there, an empty text as null, parts have names, and lists are
    lists, for JMESPath finds nothing in a tuple."""
    names = [each for each in event.__struct_fields__ if each != "v"]
    parts: dict[str, Any] = {name: [named(each) for each in getattr(event, name)] for name in IDENTITIES}
    parts["refs"] = [{"kind": each.kind, "scope": each.scope, "value": each.value} for each in event.refs]
    parts["attachments"] = list(event.attachments)
    plain = {name: getattr(event, name) for name in names if name not in parts}
    return parts | {name: None if value == "" else value for name, value in plain.items()}


def named(identity: Identity) -> dict[str, Any]:
    """An identity as expressions search it."""
    return {
        "kind": identity.kind,
        "scope": identity.scope,
        "value": identity.value,
        "assurance": identity.assurance,
    }


def partner(connection: Connection) -> bool:
    """Whether this is somebody else's system."""
    return destinations.load(connection.provider).partner and connection.settings.get("own_system") is not True


def _among(value: str, wished: tuple[str, ...]) -> bool:
    return not wished or value in wished


def reduced_event(event: Event, wish: Subscription) -> Event:
    """The event without what this destination may not see."""
    veiled = event.sensitive and not wish.sensitive
    shown = event
    if wish.redact or veiled:
        shown = msgspec.structs.replace(event, text="", summary="", attachments=(), fields={})
    if veiled:
        shown = msgspec.structs.replace(
            shown, details={name: shown.details[name] for name in shown.details if name == "status"}
        )
    if wish.pseudonymous:
        named: dict[str, Any] = {"details": {}} if shown.ends or shown.begins else {}
        return msgspec.structs.replace(
            shown, identities=(), address="", fields={}, link="", ends=(), begins=(), **named
        )
    return shown


def reduced_customer(customer: Customer, wish: Subscription, pseudonym: str) -> Customer:
    return Customer(id=pseudonym) if wish.pseudonymous else customer


def reduced(entry: Entry, wish: Subscription, pseudonym: str) -> Entry:
    if not wish.pseudonymous:
        return Entry(reduced_event(entry.event, wish), entry.customer_id, entry.url)
    return Entry(reduced_event(entry.event, wish), pseudonym)
