"""The contract of receipts."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from chalicelib.api.answers import Range
from chalicelib.api.contract.operation import (
    Channel,
    ConnectionId,
    Direction,
    EventType,
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


class ReceiptPreviewed(TypedDict):
    verdict: Verdict
    reason: str | None
    events: list[dict[str, Any]]


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
