"""Deliver: one duty, one attempt, one outcome.

The row is the truth, the message only asks. A contact job reads the state when it runs and pushes
only a difference; an activity goes once: where the system takes our key it is sent and then
marked, where it does not it is claimed first and looked for after an unknown outcome.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib import destinations
from chalicelib.errors import Busy, Delayed, DeliveryFailed, Gone, Rejected, Unauthorized
from chalicelib.fanout.wants import reduced, reduced_customer
from chalicelib.kit.destination import Destination
from chalicelib.kit.retry import next_attempt
from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE, DISABLED, UNAUTHORIZED, Connection
from chalicelib.model.customer import Customer, Entry, Person
from chalicelib.model.event import digest
from chalicelib.settings import settings
from chalicelib.store import connections, contacts, deliveries, events, secrets
from chalicelib.store.contacts import Contact
from chalicelib.store.deliveries import CLAIMED, CONTACT, DELAYED, DELIVERED, PARKED, Attempt, Duty
from chalicelib.store.table import Item, Table, live

if TYPE_CHECKING:
    from chalicelib.kit.http import Http

PersonOf = Callable[[str], Person | None]
EARLY_MS = 1500
"""A message this much before its row's due time is a stray copy."""


@dataclass(frozen=True)
class Post:
    """Everything one attempt needs. `row`: the delivery as it stands, if it was tried before."""

    table: Table
    connection: Connection
    destination: Destination
    http: Http
    duty: Duty
    row: Item | None
    person_of: PersonOf

    @property
    def pseudonymous(self) -> bool:
        return self.connection.subscription.pseudonymous

    def shown_id(self, customer: str) -> str:
        """The id by which this destination knows the customer."""
        return secrets.keyed("pseudonym", self.connection.id, customer) if self.pseudonymous else customer


def deliver(table: Table, duty: Duty, person_of: PersonOf, *, tried: bool, failing: str = "") -> str:
    """The outcome: delivered, delayed, unknown, rejected, unauthorized, gone, held, dropped.

    `tried`: this message was received before, so an attempt may have died half-way. `failing`:
    why this destination cannot be reached now; the duty is put off without an attempt.
    Raises Busy and StorageUnavailable: the message is taken again.
    """
    row = deliveries.get(table, duty.key)
    if row and _settled(row, duty):
        return "dropped"
    connection = connections.get(table, duty.connection)
    if connection is None or connection.provider not in destinations.slugs():
        return "dropped"
    attempt = _attempt(row)
    if connection.status != ACTIVE:
        deliveries.held(table, duty, replace(attempt, reason=f"connection {connection.status}: {connection.reason}"))
        return "held"
    if failing:
        return _put_off(table, duty, replace(attempt, count=attempt.count - 1), Delayed(failing))
    return _attempted(_post(table, connection, duty, row, person_of), attempt, tried)


def _settled(row: Item, duty: Duty) -> bool:
    """Whether nothing is left to do now. A contact is never settled: its state may have changed."""
    if row["st"] == DELAYED:
        return instants.to_ms(row["due"]) > instants.now_ms() + EARLY_MS
    return duty.kind != CONTACT and row["st"] in (DELIVERED, PARKED)


def _attempt(row: Item | None) -> Attempt:
    now = instants.now()
    return Attempt(row["n"] + 1, str(row.get("f", row["at"])), now) if row else Attempt(1, now, now)


def _post(table: Table, connection: Connection, duty: Duty, row: Item | None, person_of: PersonOf) -> Post:
    destination = destinations.load(connection.provider)
    plain = secrets.decrypt_all(connection.id, connection.secrets)
    http = destination.http(connection.settings, plain, allow_private=settings().allow_private_destinations)
    return Post(table, connection, destination, http, duty, row, person_of)


def _attempted(post: Post, attempt: Attempt, tried: bool) -> str:
    begun = time.monotonic()
    try:
        done = _push_duty(post) if post.duty.kind == CONTACT else _append_duty(post, attempt, tried, begun)
    except DeliveryFailed as failed:
        return _failed(post, replace(attempt, ms=_since(begun)), failed)
    if done and post.row and post.duty.kind == CONTACT:
        deliveries.delivered(post.table, post.duty, replace(attempt, ms=_since(begun)), done, "")
    return "delivered" if done else "dropped"


def _since(begun: float) -> int:
    return int((time.monotonic() - begun) * 1000)


def _push_duty(post: Post) -> str:
    person = post.person_of(post.duty.node)
    if person is None or not _may_know(post, person):
        return ""
    return push_contact(post, person).remote


def _append_duty(post: Post, attempt: Attempt, tried: bool, begun: float) -> str:
    item = live(post.table.get((f"N#{post.duty.node}", post.duty.sort)))
    person = post.person_of(post.duty.node) if item else None
    if item is None or person is None or not _may_know(post, person):
        return ""
    remote = _remote(post, person)
    entry = Entry(events.from_item(item), person.customer.id, _page_url(person))
    activity = _append(post, remote, _shown(post, entry, person), attempt, tried)
    deliveries.delivered(post.table, post.duty, replace(attempt, ms=_since(begun)), remote, activity)
    return activity or "sent"


def _may_know(post: Post, person: Person) -> bool:
    return post.connection.subscription.anonymous or not person.anonymous


def _shown(post: Post, entry: Entry, person: Person) -> Entry:
    return reduced(entry, post.connection.subscription, post.shown_id(person.customer.id))


def _page_url(person: Person) -> str:
    base = settings().public_url
    return f"{base}/customers/{person.customer.id}" if base else ""


def _append(post: Post, remote: str, entry: Entry, attempt: Attempt, tried: bool) -> str:
    if post.destination.keyed:
        return post.destination.append_activity(post.http, remote, entry)
    fresh = deliveries.claim(post.table, post.duty, attempt, post.row)
    unsure = tried or not fresh or (post.row is not None and post.row["st"] in (CLAIMED, DELAYED))
    if unsure and post.destination.find_activity:
        found = post.destination.find_activity(post.http, remote, entry)
        if found:
            return found
    return post.destination.append_activity(post.http, remote, entry)


def _remote(post: Post, person: Person) -> str:
    """The customer's record over there, made now if there is none."""
    if not post.destination.contacts:
        return ""
    contact = contacts.of(post.table, post.connection.id, list(person.nodes), person.oldest)
    return contact.remote or push_contact(post, person, contact).remote


def push_contact(post: Post, person: Person, contact: Contact | None = None) -> Contact:
    """Bring the record up to date: lease, then read the state, push a difference, save.

    Raises Busy while another worker holds the lease, DeliveryFailed as the destination answers.
    """
    contact = contact or contacts.of(post.table, post.connection.id, list(person.nodes), person.oldest)
    if contact.remote and contact.pushed == fingerprint(post, person.customer):
        return contact
    leased = contacts.lease(post.table, contact)
    if leased is None:
        raise Busy("another worker pushes this contact")
    try:
        return _pushed(post, leased)
    except DeliveryFailed:
        contacts.release(post.table, leased)
        raise


def _pushed(post: Post, leased: Contact) -> Contact:
    person = post.person_of(leased.node)
    if person is None or post.destination.upsert_contact is None:
        contacts.release(post.table, leased)
        return leased
    shown = reduced_customer(person.customer, post.connection.subscription, post.shown_id(person.customer.id))
    remote = post.destination.upsert_contact(post.http, shown, leased.remote)
    pushed = fingerprint(post, person.customer)
    if not contacts.save(post.table, leased, remote, pushed):
        raise Busy("the lease ran out while the destination was answering")
    return replace(leased, remote=remote, pushed=pushed)


def fingerprint(post: Post, customer: Customer) -> str:
    """Of what this destination would get: equal means there is nothing to push."""
    shown = reduced_customer(customer, post.connection.subscription, post.shown_id(customer.id))
    values = {name: field.value for name, field in shown.fields.items()}
    facts: list[Any] = [shown.id, [each.text for each in shown.identities], values, shown.preferred_channel]
    facts += [shown.satisfaction, post.connection.mapping, post.connection.provider]
    return digest(msgspec.json.encode(facts, order="deterministic"))


def _failed(post: Post, attempt: Attempt, failed: DeliveryFailed) -> str:
    """Keep the outcome. A connection that is refused or gone is stopped, and nothing dropped."""
    attempt = replace(attempt, reason=failed.reason, excerpt=failed.excerpt)
    match failed:
        case Delayed():
            return _put_off(post.table, post.duty, attempt, failed)
        case Unauthorized():
            _stop(post.table, post.connection.id, UNAUTHORIZED, failed.reason)
            deliveries.held(post.table, post.duty, attempt)
        case Gone():
            _stop(post.table, post.connection.id, DISABLED, failed.reason)
            deliveries.held(post.table, post.duty, attempt)
        case Rejected() | _:
            deliveries.parked(post.table, post.duty, attempt)
    return failed.outcome


def _put_off(table: Table, duty: Duty, attempt: Attempt, failed: Delayed) -> str:
    first, now = instants.to_ms(attempt.first_at), instants.now_ms()
    wait = next_attempt(max(1, attempt.count), first, now, failed.retry_after, random.random())  # noqa: S311
    attempt = replace(attempt, reason=failed.reason, excerpt=failed.excerpt)
    if wait is None:
        deliveries.parked(table, duty, replace(attempt, reason=f"given up after three days: {failed.reason}"))
        return "parked"
    deliveries.delayed(table, duty, attempt, wait)
    return failed.outcome


def _stop(table: Table, connection_id: str, status: str, reason: str) -> None:
    """Pause the connection. Losing the race to a change by hand is fine: the next attempt tells."""
    connection = connections.get(table, connection_id)
    if connection and connection.status == ACTIVE:
        changed = msgspec.structs.replace(connection, status=status, reason=reason[:200], ver=connection.ver + 1)
        connections.save(table, changed)
