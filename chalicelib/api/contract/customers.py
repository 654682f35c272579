"""The contract of customers."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import (
    Channel,
    ChannelSwitch,
    Day,
    Entries,
    EntriesQuery,
    IdentityText,
    Instant,
    OpenQuestion,
    Operation,
    one_of,
)
from chalicelib.context.graph import CUT, FORCE, LINK
from chalicelib.model.event import TYPES

TAG = "Customers"


class CustomerIdentity(TypedDict):
    identity: IdentityText
    kind: str
    scope: str | None
    value: str
    assurance: Annotated[str, one_of(["A0", "A1", "A2", "A3"])]
    first_seen: Instant
    last_seen: Day | None


class CustomerOrder(TypedDict):
    number: str
    masked: Annotated[bool, Meta(description="Of somebody who is not verified no more is shown than that there is one")]
    status: Any
    at: Instant
    total: NotRequired[Any]
    items: NotRequired[Any]


class CustomerField(TypedDict):
    value: str
    at: Instant
    source: str


class Satisfaction(TypedDict):
    score: Annotated[float, Meta(description="The newest answer, on a scale from 0 to 100")]
    raw: float
    scale: list[float]
    collected_via: str
    at: Instant
    event: str
    average: float
    answers: int


class CustomerContact(TypedDict):
    """His record in a destination."""

    connection: str
    id: str
    last_pushed_at: Instant | None


class Conflict(TypedDict):
    kind: Annotated[str, one_of(["anchor", "cut", "oversize"])]
    identities: list[IdentityText]


class CustomerDecision(TypedDict):
    """What somebody decided about who this is; its id takes it back."""

    id: str
    kind: Annotated[str, one_of([LINK, CUT, FORCE])]
    identities: list[IdentityText]
    at: Instant
    by: str


class Candidate(TypedDict):
    customer: str | None
    identity: IdentityText | None
    beside: Annotated[IdentityText | None, Meta(description="His own identity that it stands beside")]
    reason: str
    event: str | None
    at: Instant | None


class CustomerConversation(TypedDict):
    id: str
    channel: Channel
    started_at: Instant
    last_at: Instant
    handover_from: Channel | None
    switches: list[ChannelSwitch]
    open_question: OpenQuestion | None


class Customer(TypedDict):
    id: str
    name: str | None
    identities: list[CustomerIdentity]
    former_ids: list[str]
    anonymous: Annotated[bool, Meta(description="Known by a browser or an app only")]
    verified: Annotated[bool, Meta(description="Whether any identity is proven, by a login or a redeemed token")]
    orders: list[CustomerOrder]
    fields: dict[str, CustomerField]
    satisfaction: Annotated[dict[str, Satisfaction], Meta(description="By channel")]
    contacts: list[CustomerContact]
    conflicts: list[Conflict]
    candidates: list[Candidate]
    decisions: list[CustomerDecision]
    preferred_channel: Channel | None
    open_question: OpenQuestion | None
    conversations: list[CustomerConversation]


class Behind(TypedDict):
    """An entry; `event` null and `type` contact: the customer himself."""

    event: str | None
    type: Annotated[str, one_of((*TYPES, "contact"))]
    status: str
    reason: str | None
    due_at: Instant | None
    delivery: str | None


class SyncState(TypedDict):
    connection: str
    provider: str
    name: str
    state: Annotated[str, one_of(["in step", "behind", "parked"])]
    delivered: int
    behind: list[Behind]
    parked: list[Behind]
    contact: str | None
    last_pushed_at: Instant | None


class Synced(TypedDict):
    customer: str
    destinations: list[SyncState]


GONE = (410,)
OPERATIONS = {
    "show": Operation(
        "Who this is", {200: Customer}, problems=GONE, more="Any former id resolves; an erased one is 410."
    ),
    "show_timeline": Operation(
        "The timeline, newest first",
        {200: Entries, 304: None},
        query=EntriesQuery,
        problems=GONE,
        more="With the ETag of a former answer in If-None-Match: 304 when nothing changed.",
        headers={200: ("ETag",), 304: ("ETag",)},
    ),
    "sync": Operation("What each destination has of this customer", {200: Synced}, problems=GONE),
    "possible": Operation(
        "Events on an identity that this customer shares with others", {200: Entries}, query=EntriesQuery, problems=GONE
    ),
}
