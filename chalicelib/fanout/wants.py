"""Who must know: a pure function of an event and a connection."""

from __future__ import annotations

import msgspec

from chalicelib.model.connection import DISABLED, Connection, Subscription
from chalicelib.model.customer import Customer, Entry
from chalicelib.model.event import Event

ON_REQUEST = frozenset({"identify", "consent"})
"""They change fields; as activities they go only where the subscription names them."""


def wants(connection: Connection, type_: str, channel: str, origin: str) -> bool:
    """Whether an event goes to this destination. `origin`: the connection it came by: a system
    is not told what it told us. A paused destination wants it too: it is held, not dropped."""
    wish = connection.subscription
    if origin == connection.id or (connection.status == DISABLED and connection.reason == "deleted"):
        return False
    if type_ in ON_REQUEST and type_ not in wish.types:
        return False
    return _among(type_, wish.types) and _among(channel, wish.channels) and _among(origin, wish.sources)


def _among(value: str, wished: tuple[str, ...]) -> bool:
    return not wished or value in wished


def reduced_event(event: Event, wish: Subscription) -> Event:
    """The event without what this destination may not see."""
    if not wish.redact and not event.sensitive:
        shown = event
    else:
        shown = msgspec.structs.replace(event, text="", summary="", attachments=(), fields={})
    if wish.pseudonymous:
        return msgspec.structs.replace(shown, identities=(), address="", fields={}, link="")
    return shown


def reduced_customer(customer: Customer, wish: Subscription, pseudonym: str) -> Customer:
    return Customer(id=pseudonym) if wish.pseudonymous else customer


def reduced(entry: Entry, wish: Subscription, pseudonym: str) -> Entry:
    if not wish.pseudonymous:
        return Entry(reduced_event(entry.event, wish), entry.customer_id, entry.url)
    return Entry(reduced_event(entry.event, wish), pseudonym)
