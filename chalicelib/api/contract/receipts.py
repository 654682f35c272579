"""The contract of receipts."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from chalicelib.api.answers import Range
from chalicelib.api.contract.operation import (
    Actor,
    Channel,
    ConnectionId,
    Direction,
    EventType,
    IdentityText,
    Instant,
    JobStarted,
    Moment,
    Next,
    Operation,
    Paged,
    any_of,
    one_of,
)
from chalicelib.api.receipts import VERDICTS
from chalicelib.context.record import EXPIRED, REFUSED
from chalicelib.model.event import REF_KINDS
from chalicelib.store.receipts import ERASED

TAG = "Receipts"
Verdict = Annotated[str, one_of({*VERDICTS, ERASED})]
EventVerdict = Annotated[str, one_of({*VERDICTS, ERASED, EXPIRED, REFUSED, "test"})]


class ProducedEvent(TypedDict):
    id: str
    type: EventType
    channel: Channel
    direction: Direction
    occurred_at: Instant
    verdict: EventVerdict
    customer: NotRequired[
        Annotated[str | None, Meta(description="On whose timeline it is now; of one receipt, and its first 25 events")]
    ]


class Receipt(TypedDict):
    """One webhook that arrived."""

    id: str
    connection: str
    received_at: Instant
    verdict: Verdict
    reason: str | None
    delivery_key: Annotated[str | None, Meta(description="The provider's own id of this delivery")]
    test: bool
    missed: Annotated[bool, Meta(description="Whether the provider never delivered it, and was asked for it")]
    events: list[ProducedEvent]


class ReceiptWhole(Receipt):
    method: str | None
    headers: Annotated[list[list[str]], Meta(description="Name and value; secrets redacted")]
    body: str | None
    body_base64: Annotated[str | None, Meta(description="The body where it is no text")]
    fetched: Annotated[dict[str, Any] | None, Meta(description="What was looked up at the provider")]


class Receipts(TypedDict):
    receipts: list[Receipt]
    next: Next


class EventIdentity(TypedDict):
    identity: IdentityText
    kind: str
    scope: str | None
    value: str
    assurance: Annotated[str, one_of(["A0", "A1", "A2", "A3"])]


class EventRef(TypedDict):
    """What an event points at."""

    kind: Annotated[str, one_of(REF_KINDS)]
    scope: str | None
    value: str
    typed: Annotated[bool, Meta(description="Whether a person typed it, so that it proves nothing by itself")]


class PreviewedEvent(TypedDict):
    """An event that a receipt would become. What the mapping leaves empty is left out."""

    id: str
    type: EventType
    channel: Channel
    object: str
    identities: list[EventIdentity]
    refs: list[EventRef]
    connection: str
    source: str
    version: NotRequired[str]
    direction: NotRequired[Annotated[Direction, Meta(description="in, where it is left out")]]
    actor: NotRequired[Annotated[Actor, Meta(description="customer, where it is left out")]]
    occurred_at: NotRequired[Instant]
    summary: NotRequired[str]
    text: NotRequired[str]
    attachments: NotRequired[list[dict[str, Any]]]
    details: NotRequired[dict[str, Any]]
    fields: NotRequired[Annotated[dict[str, str], Meta(description="What it says about the customer: name, language")]]
    link: NotRequired[str]
    sensitive: NotRequired[bool]
    provider_type: NotRequired[str]
    address: NotRequired[Annotated[IdentityText, Meta(description="To which a reply goes")]]
    own_address: NotRequired[str]
    ends: NotRequired[Annotated[list[EventIdentity], Meta(description="Perhaps somebody else's after this moment")]]
    begins: NotRequired[Annotated[list[EventIdentity], Meta(description="Somebody else's until this moment")]]


class ReceiptPreviewed(TypedDict):
    verdict: Verdict
    reason: str | None
    events: list[PreviewedEvent]


class ReceiptsQuery(Paged, total=False):
    connection: ConnectionId
    verdict: Annotated[str, any_of(VERDICTS)]
    since: Moment


OPERATIONS = {
    "listing": Operation("What arrived, newest first", {200: Receipts}, query=ReceiptsQuery),
    "show": Operation("One receipt, with the request as it came", {200: ReceiptWhole}),
    "replay": Operation("Take one receipt in again", {202: JobStarted}),
    "replay_range": Operation("Take in again what arrived in a range of time", {202: JobStarted}, Range),
}
