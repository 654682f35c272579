"""Calls as telephone systems tell them: whose number is the customer's, how the call ended, one entry for each state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.kit.fields import DEFAULT_REGION, phone_identity, plain, present
from chalicelib.kit.shape import kept
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

COMPLETED, NO_ANSWER, BUSY, FAILED = "completed", "no-answer", "busy", "failed"
CANCELED, VOICEMAIL, TRANSFERRED = "canceled", "voicemail", "transferred"
STATES = (COMPLETED, NO_ANSWER, BUSY, FAILED, CANCELED, VOICEMAIL, TRANSFERRED)


class Call(msgspec.Struct, frozen=True):
    """`number`: the call's id at the provider, which is its thread. `version`: which state of the call this is, where
    its state alone would not tell two of them apart. `customer` and `own`: numbers as dialled or shown; a withheld
    one, or an extension, is nobody. `claims`: what a contact card says about the customer."""

    number: str
    state: str
    at: str
    customer: str
    own: str = ""
    out: bool = False
    version: str = ""
    region: str = DEFAULT_REGION
    claims: tuple[Identity | None, ...] = ()
    refs: tuple[Ref, ...] = ()
    details: Mapping[str, Any] = {}


def entry(call: Call, provider_type: str, **more: Any) -> Event:
    """The entry of one state of a call; `more` are further fields of the event."""
    caller = phone_identity(call.customer, call.region, A2_ATTESTED)
    line = phone_identity(call.own, call.region)
    return Event(
        type="call",
        channel="voice",
        direction="out" if call.out else "in",
        actor="agent" if call.out else "customer",
        object=call.number,
        version=call.version or call.state,
        occurred_at=call.at,
        identities=present(caller, *call.claims),
        refs=(Ref("thread", call.number), *call.refs),
        summary=f"{'Outbound' if call.out else 'Inbound'} call, {call.state}",
        details={"status": call.state} | kept(**call.details),
        address=caller.text if caller else "",
        own_address=line.text if line else "",
        provider_type=provider_type,
        **more,
    )


def inside(number: str) -> bool:
    """Whether this is an extension of the house: two to six digits. A single 0 is a withheld number."""
    digits = number.strip()
    return 1 < len(digits) < 7 and digits.isascii() and digits.isdigit()


def seconds(value: object) -> int | None:
    """Whole seconds from a number, its text, or h:mm:ss; None for what is none or over a week."""
    if isinstance(value, float) and 0 <= value < 604_800:
        return int(value)
    parts = plain(value).split(".")[0].split(":")
    if not 0 < len(parts) < 4 or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return None
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return total if total < 604_800 else None
