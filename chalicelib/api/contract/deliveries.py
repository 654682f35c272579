"""The contract of deliveries."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from chalicelib.api.answers import Range
from chalicelib.api.contract.operation import (
    ConnectionId,
    Instant,
    JobStarted,
    Moment,
    Next,
    Operation,
    Paged,
    any_of,
    one_of,
)
from chalicelib.api.deliveries import STATUSES

TAG = "Deliveries"
Status = Annotated[str, one_of(STATUSES)]


class Delivery(TypedDict):
    """One thing that one destination must be told."""

    id: str
    connection: str
    kind: str
    rule: str | None
    audience: str | None
    status: Status
    event: str | None
    customer: str | None
    occurred_at: Instant
    attempts: int
    last_attempt_at: Instant | None
    latency_ms: int | None
    due_at: Instant | None
    reason: str | None
    response_excerpt: str | None
    request_excerpt: Annotated[str | None, Meta(description="What a failed attempt asked, without any value")]
    remote_id: str | None
    remote_contact: str | None


class Deliveries(TypedDict):
    deliveries: list[Delivery]
    next: Next


class DeliveriesQuery(Paged, total=False):
    connection: ConnectionId
    status: Annotated[str, any_of(STATUSES)]
    since: Moment


OPERATIONS = {
    "listing": Operation("What each destination got, waits for or refused", {200: Deliveries}, query=DeliveriesQuery),
    "show": Operation("One delivery", {200: Delivery}),
    "redrive": Operation("Attempt one delivery again", {202: Delivery}, problems=(422,)),
    "redrive_range": Operation("Attempt again what did not arrive, in a range of time", {202: JobStarted}, Range),
}
