"""From an arrival to stamped events: fetch what is missing, normalize, put refs in their scope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chalicelib.errors import PartlyMalformed, PayloadMalformed
from chalicelib.ingest.arrival import Arrival
from chalicelib.ingest.fetch import fetch_all, forget_all, refused
from chalicelib.ingest.receive import source_of
from chalicelib.kit import tokens
from chalicelib.kit.source import Source
from chalicelib.model.connection import Connection
from chalicelib.model.event import ACTORS, CHANNELS, DIRECTIONS, REF_KINDS, TYPES, Event, Ref, stamp
from chalicelib.store import secrets
from chalicelib.store.table import Table

ACCEPTED, DUPLICATE, IGNORED, MALFORMED, FAILED = "accepted", "duplicate", "ignored", "malformed", "failed"
OWN_CHANNELS = frozenset({"store", "desk", "crm", "post"})
PROVABLE = frozenset({"order", "receipt", "case"})
HANDED = "token"
MOST_NAMED = 20
"""Identities, and refs, of one event: what names more people is about nobody."""
NOT_MAPPED = (
    "a test of ours came through and was verified; the mapping is for what the sender posts: preview it on that"
)
"""A sample has no body that a mapping of somebody's own could fit, so none is tried on it."""
MAX_EVENTS = 2000
"""Of one request: what their receipt says of them fits in one item."""


@dataclass(frozen=True)
class Reading:
    """`verdict` is a first one: accepted events may still turn out to be duplicates. Accepted with a `reason`:
    it names the parts that could not be read."""

    verdict: str
    events: tuple[Event, ...] = ()
    reason: str = ""
    fetched: dict[str, Any] = field(default_factory=dict)


def read(table: Table, arrival: Arrival, connection: Connection, fetched: dict[str, Any] | None) -> Reading:
    """`fetched`: what an earlier reading looked up, so that a replay sees the same; None: look up.

    Raises FetchDelayed and StorageUnavailable: the message stays in the queue.
    """
    source = source_of(connection.provider)
    if source is None:
        return Reading(IGNORED, reason=f"{connection.provider} calls nobody")
    if arrival.test and connection.mapping and source.check_mapping:
        return Reading(IGNORED, reason=NOT_MAPPED)
    try:
        if fetched is None:
            plain = secrets.decrypt_all(connection.id, connection.secrets) if source.fetch else {}
            fetched = fetch_all(table, source, arrival.request(connection), plain)
        found, flaws = _gathered(source.normalize(arrival.request(connection, fetched)), source, connection)
    except PayloadMalformed as wrong:
        return Reading(MALFORMED, reason=str(wrong), fetched=_for_good(fetched))
    verdict = ACCEPTED if found else MALFORMED if flaws else IGNORED
    return Reading(verdict, tuple(found), reason="; ".join(flaws), fetched=_for_good(fetched))


def _for_good(fetched: dict[str, Any] | None) -> dict[str, Any]:
    """What the receipt keeps, so that a replay sees the same: nothing, where our credentials were refused."""
    return {} if not fetched or any(map(refused, fetched.values())) else fetched


def forget(table: Table, arrival: Arrival, connection: Connection) -> None:
    """Drop what was looked up for an arrival that is about somebody who was erased."""
    source = source_of(connection.provider)
    if source and source.fetch:
        forget_all(table, source, arrival.request(connection), secrets.decrypt_all(connection.id, connection.secrets))


def _gathered(events: Iterable[Event], source: Source, connection: Connection) -> tuple[list[Event], list[str]]:
    """The events, and what is wrong with those that are none: a bad part of a batch costs no other part.

    Raises PayloadMalformed where nothing of the request counts.
    """
    found: list[Event] = []
    flaws: list[tuple[str, str]] = []
    try:
        for number, event in enumerate(events):
            if number >= MAX_EVENTS:
                raise PayloadMalformed(f"more than {MAX_EVENTS} events in one request")
            if complaint := _complaint(event):
                flaws.append((f"event {number}: ", complaint))
            else:
                found.append(_stamped(event, source, connection))
    except PartlyMalformed as partly:
        flaws.append(("", str(partly)))
    alone = not found and len(flaws) == 1
    return found, [complaint if alone else name + complaint for name, complaint in flaws]


def _stamped(event: Event, source: Source, connection: Connection) -> Event:
    scoped = msgspec.structs.replace(event, refs=_scoped_refs(event, source, connection) + _tokens(event))
    return stamp(scoped, connection.id, connection.provider)


def _complaint(event: Event) -> str:
    """What is wrong with an event, if anything."""
    closed = (("type", TYPES), ("channel", CHANNELS), ("direction", DIRECTIONS), ("actor", ACTORS))
    for name, allowed in closed:
        if getattr(event, name) not in allowed:
            return f"{name} is {getattr(event, name)!r}: not one of {', '.join(sorted(allowed))}"
    for name in ("occurred_at", "object"):
        if not getattr(event, name):
            return f"{name} is missing"
    for name in ("identities", "refs", "ends", "begins"):
        if (count := len(getattr(event, name))) > MOST_NAMED:
            return f"{name} has {count} entries: at most {MOST_NAMED}"
    return ""


def _scoped_refs(event: Event, source: Source, connection: Connection) -> tuple[Ref, ...]:
    """Refs in the scope of their connection, or of the one that `ref_scopes` names.

    An order number from a system that is not ours to trust is as good as one typed by a person.
    """
    scopes = connection.settings.get("ref_scopes") or {}
    own = owns(event, source, connection)
    refs = [
        Ref(ref.kind, ref.value, scopes.get(ref.kind, connection.id), ref.typed or (ref.kind in PROVABLE and not own))
        for ref in event.refs
        if ref.value and ref.kind in REF_KINDS and ref.kind != HANDED
    ]
    if not any(not ref.typed for ref in refs):
        refs.append(Ref("event", event.object, connection.id))
    return tuple(dict.fromkeys(refs))


def _tokens(event: Event) -> tuple[Ref, ...]:
    """Handover tokens belong to no connection. A source names those in fields of its own, as they are
    or as links carry them; in what a customer wrote they are recognised here."""
    named = [tokens.bare(ref.value) or ref.value for ref in event.refs if ref.kind == HANDED and ref.value]
    written = tokens.in_texts(event.text, event.summary) if event.direction == "in" else ()
    return tuple(Ref(HANDED, each) for each in dict.fromkeys([*named, *written]))[: tokens.MOST]


def owns(event: Event, source: Source, connection: Connection) -> bool:
    """Whether this event comes from an own system: shop, store, carrier, desk or CRM."""
    declared = connection.settings.get("own_system")
    return source.own_system or event.channel in OWN_CHANNELS if declared is None else bool(declared)
