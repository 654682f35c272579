"""The print of what was pushed to a destination: whether a record over there is in step, and what of it is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.fanout import shown
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Customer, Field
from chalicelib.model.event import digest

CHANNEL = "~"
"""Before the preferred channel. Where it is computed, and not what the customer said, it is known only to whoever
computed it: it counts as unchanged until that is done again."""
EARLY_MS, LATE_MS = 5_000, 60_000
"""Between our push and the time that a system gives for the change: clocks differ, and requests take time."""
CONSENT = "consent"
MAPPED = ">"
"""Before the print of a field that a mapping fills. A change of it is always pushed: nobody knows which field
over there told us what it is made of."""


def fingerprint(connection: Connection, customer: Customer) -> str:
    """Of what this destination keeps of a customer as it is shown him: equal means there is nothing to push. First
    all but the fields, then each field, so that it shows which one changed, then each that its mapping fills."""
    reached = sorted(each.text for each in customer.identities if each.kind != "crm")
    found = [_digest([customer.id, reached, customer.satisfaction, connection.provider])]
    found += [f"{CHANNEL}{customer.preferred_channel}"] if customer.preferred_channel else []
    found += [f"{_short(name)}={_short(field.value)}" for name, field in sorted(_kept(connection, customer).items())]
    found += [f"{MAPPED}{_short(name)}={_digest(value)[:8]}" for name, value in sorted(customer.mapped.items())]
    return " ".join(found)


def in_step(connection: Connection, customer: Customer, pushed: str) -> bool:
    """Whether the record has all this. A field whose newest value this very system told us is there
    already: it is not sent back."""
    now = shown.customer(customer, connection)
    wanted = fingerprint(connection, now)
    if wanted == pushed:
        return True
    changed = set(wanted.split()[1:]) ^ set(pushed.split()[1:])
    if not customer.preferred_channel:
        changed -= {f"{CHANNEL}{channel_of(pushed)}"}
    theirs = {_short(name) for name, field in _kept(connection, now).items() if field.source == connection.id}
    same = wanted.split()[:1] == pushed.split()[:1]
    return same and {each.partition("=")[0] for each in changed} <= theirs


def overtaken(connection: Connection, customer: Customer, pushed: str) -> list[Field]:
    """What this system told us itself, and we did not push: it may hold what we pushed instead."""
    told = [(name, field) for name, field in _kept(connection, customer).items() if field.source == connection.id]
    return [field for name, field in told if not has(pushed, name, field.value)]


def channel_of(pushed: str) -> str:
    """The preferred channel that was pushed, or empty."""
    return next((each.removeprefix(CHANNEL) for each in pushed.split()[1:] if each.startswith(CHANNEL)), "")


def has(pushed: str, name: str, value: str) -> bool:
    """Whether this is what was pushed there last."""
    return f"{_short(name)}={_short(value)}" in pushed.split()


def echoed(past: Iterable[str], name: str, value: str, at: int | None) -> bool:
    """Whether this is what an earlier push wrote: at that time, or at any, where `at` (ms) is None."""
    for each in past:
        pushed, *news = each.split()
        near = at is None or -EARLY_MS <= at - int(pushed) <= LATE_MS
        if near and f"{_short(name)}={_short(value)}" in news:
            return True
    return False


def retold(pushed: str, told: Mapping[str, str]) -> str:
    """The print of a record that shows something else of these fields than we pushed."""
    gone = {_short(name) for name, value in told.items() if not has(pushed, name, value)}
    return " ".join(each for each in pushed.split() if each.partition("=")[0] not in gone)


def unsaid(pushed: str, names: Collection[str]) -> str:
    """The print of a record in which these fields were changed over there, and whatever a mapping fills may be."""
    gone = {_short(name) for name in names}
    return " ".join(
        each for each in pushed.split() if each.partition("=")[0] not in gone and not each.startswith(MAPPED)
    )


def _kept(connection: Connection, customer: Customer) -> dict[str, Field]:
    kept = destinations.load(connection.provider).contact_fields
    asked = any(name.startswith(CONSENT) and value for name, value in connection.settings.items())
    return {
        name: field
        for name, field in customer.fields.items()
        if not kept or name in kept or (asked and name.startswith(CONSENT))
    }


def _short(text: str) -> str:
    return digest(text)[:8]


def _digest(value: Any) -> str:
    return digest(msgspec.json.encode(value, order="deterministic"))
