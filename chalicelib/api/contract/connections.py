"""The contract of connections."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from chalicelib.api.connections import Rotation
from chalicelib.api.contract.operation import Deleted, Instant, Next, Operation, Paged, one_of
from chalicelib.api.contract.receipts import ReceiptPreviewed
from chalicelib.api.filled import FilledPreview
from chalicelib.api.providers import all_slugs
from chalicelib.api.receipts import ReceiptPreview
from chalicelib.api.wishes import LONGEST_NAME
from chalicelib.model.audience import AUDIENCE
from chalicelib.model.connection import ACTIVE, DISABLED, PAUSED, UNAUTHORIZED, Subscription
from chalicelib.model.event import CHANNELS, TYPES

TAG = "Connections"
Secret = str | list[str]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Settings = Annotated[dict[str, Any], Meta(description="By the schema of the provider in the catalogue")]
Secrets = Annotated[
    dict[str, Secret],
    Meta(description="By the schema of the provider; never shown again. Several values during a rotation"),
]
Mapping = Annotated[Any, Meta(description="The provider's own: JMESPath of a generic source, fields of a destination")]


class SubscriptionWish(msgspec.Struct, forbid_unknown_fields=True):
    """Which events a destination gets. Empty lists mean all."""

    types: list[Annotated[str, one_of(TYPES | {AUDIENCE})]] = []
    channels: list[Annotated[str, one_of(CHANNELS)]] = []
    sources: list[str] = []
    filter: str = ""
    redact: bool = False
    anonymous: bool = False
    sensitive: bool = False
    pseudonymous: bool = False


class NewConnection(msgspec.Struct, forbid_unknown_fields=True):
    provider: Annotated[str, one_of(all_slugs())]
    name: Name | None = None
    settings: Settings | None = None
    secrets: Secrets | None = None
    subscription: SubscriptionWish | None = None
    mapping: Mapping = None


class ConnectionChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is not named stays. Settings are merged, null removes one."""

    provider: Annotated[str, one_of(all_slugs())] | None = None
    name: Name | None = None
    settings: Settings | None = None
    secrets: Secrets | None = None
    subscription: SubscriptionWish | None = None
    mapping: Mapping = None


class Connection(TypedDict):
    id: str
    provider: str
    name: str
    hook_url: Annotated[
        str | None, Meta(description="Where the provider sends its webhooks; null for a mere destination")
    ]
    status: Annotated[str, one_of([ACTIVE, PAUSED, UNAUTHORIZED, DISABLED])]
    reason: str | None
    settings: dict[str, Any]
    secrets: Annotated[dict[str, int], Meta(description="Name → how many values are valid")]
    subscription: Subscription
    mapping: Any
    created_at: Instant
    last_event_at: Instant | None
    counts: Annotated[dict[str, int], Meta(description="Verdict → how many of the newest receipts; in a list empty")]


class Resumed(Connection):
    job: NotRequired[str]


class Refusal(TypedDict):
    at: Instant
    reason: str


class CatchUp(TypedDict):
    by_itself: bool
    last: Instant | None
    until: Instant | None
    looked_at: int
    found: int
    reason: str | None


class ConnectionWhole(Connection):
    refusals: Annotated[list[Refusal], Meta(description="Webhooks that were turned away, newest first")]
    catch_up: NotRequired[CatchUp]


class Connections(TypedDict):
    connections: list[Connection]
    next: Next


class TestSent(TypedDict):
    receipt: Annotated[str, Meta(description="Id of the receipt that the sample becomes")]


class Filled(TypedDict):
    """What a destination's mapping fills: its field → what is sent there."""

    contact: dict[str, Any]
    activity: NotRequired[dict[str, Any]]
    suppressed: dict[str, list[str]]


OPERATIONS = {
    "create": Operation("Register a connection", {201: Connection}, NewConnection),
    "listing": Operation("All connections, oldest first", {200: Connections}, query=Paged),
    "show": Operation("One connection, with what arrived lately and what was turned away", {200: ConnectionWhole}),
    "change": Operation("Change a connection", {200: Connection}, ConnectionChange, problems=(409,)),
    "remove": Operation("Stop a connection for good", {200: Deleted}, problems=(409,)),
    "pause": Operation("Pause a connection: what is due to it waits", {200: Connection}, problems=(409,)),
    "resume": Operation("Go on with a paused connection", {200: Resumed}, problems=(409,)),
    "rotate": Operation(
        "New secrets beside the old ones, or instead of them", {200: Connection}, Rotation, problems=(409,)
    ),
    "test": Operation("Send a signed sample the real way, without making a customer", {202: TestSent}, problems=(422,)),
    "preview": Operation(
        "What a mapping makes of a receipt, or fills at a destination",
        {200: (ReceiptPreviewed, Filled)},
        (ReceiptPreview, FilledPreview),
    ),
}
