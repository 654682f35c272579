"""The event: one normalized fact. What `normalize` yields and what the timeline shows."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

from chalicelib.model.identity import Identity

SCHEMA_VERSION = 1

TYPES = frozenset(
    [
        "message",
        "call",
        "email",
        "fax",
        "ticket",
        "order",
        "fulfilment",
        "return",
        "payment",
        "visit",
        "reservation",
        "loyalty",
        "satisfaction",
        "identify",
        "consent",
        "handover",
        "note",
        "system",
    ]
)
CHANNELS = frozenset(
    [
        "voice",
        "sms",
        "email",
        "webchat",
        "app",
        "whatsapp",
        "messenger",
        "instagram",
        "facebook",
        "x",
        "line",
        "wechat",
        "telegram",
        "viber",
        "slack",
        "matrix",
        "fax",
        "web",
        "store",
        "desk",
        "crm",
        "survey",
        "post",
    ]
)
NOT_CONTACTABLE = frozenset({"web", "store", "desk", "crm", "survey", "post"})
"""Channels without an address to which a reply could go."""
DIRECTIONS = frozenset({"in", "out", "internal"})
ACTORS = frozenset({"customer", "agent", "bot", "system"})
REF_KINDS = ("thread", "order", "receipt", "case", "survey", "message", "token", "event")

Json = Any


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """What an event points at. `typed`: a person typed it, so it proves nothing by itself."""

    kind: str
    value: str
    scope: str = ""
    typed: bool = False

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.scope}/{self.value}" if self.scope else f"{self.kind}:{self.value}"


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One fact, immutable.

    A source fills everything but `id`, `connection` and `source`, which the engine stamps.
    `object` and `version` are the provider's own object id and object version: together with
    connection and type they are the event's identity, so a hook, a reconciliation and a replay
    of the same fact are one event. Nothing that a retry changes belongs in any field.
    """

    type: str
    channel: str
    object: str
    version: str = ""
    direction: str = "in"
    actor: str = "customer"
    occurred_at: str = ""
    """UTC with milliseconds: 2026-09-01T09:00:00.000Z"""
    identities: tuple[Identity, ...] = ()
    refs: tuple[Ref, ...] = ()
    summary: str = ""
    text: str = ""
    attachments: tuple[dict[str, Json], ...] = ()
    details: dict[str, Json] = {}
    fields: dict[str, str] = {}
    """What the event says about the customer: name, language, consent…"""
    link: str = ""
    sensitive: bool = False
    provider_type: str = ""
    address: str = ""
    """The customer's address on this channel, to which a reply goes (identity text)."""
    own_address: str = ""
    ends: tuple[Identity, ...] = ()
    """Identities that from after this moment on may be somebody else's: a number given up."""
    begins: tuple[Identity, ...] = ()
    """Identities that were somebody else's, if anybody's, until just before this moment."""
    id: str = ""
    v: int = SCHEMA_VERSION
    connection: str = ""
    source: str = ""


def digest(*parts: str | bytes, size: int = 16) -> str:
    """26 lower-case letters and digits over length-prefixed parts, so ab+c is not a+bc."""
    hasher = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        hasher.update(len(raw).to_bytes(8, "big"))
        hasher.update(raw)
    return base64.b32encode(hasher.digest()[:size]).decode().rstrip("=").lower()


def event_id(connection: str, event: Event) -> str:
    return digest(connection, event.type, event.object, event.version)


def stamp(event: Event, connection: str, source: str) -> Event:
    return msgspec.structs.replace(event, id=event_id(connection, event), connection=connection, source=source)


def content_digest(event: Event) -> str:
    """Of everything in the event: two deliveries of one fact have the same."""
    return digest(msgspec.json.encode(event, order="deterministic"))
