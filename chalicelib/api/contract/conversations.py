"""The contract of conversations and their handover."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import (
    Channel,
    ChannelSwitch,
    EntriesQuery,
    Entry,
    Instant,
    Next,
    OpenQuestion,
    Operation,
)
from chalicelib.api.conversations import HandoverWish, ThreadHandoverWish, VerificationWish

TAG = "Conversations"


class ConversationSegment(TypedDict):
    """One identity's part of one thread on one channel."""

    channel: Channel
    started_at: Instant
    last_at: Instant
    address: str
    agent: str
    handover: bool
    entries: int


class Conversation(TypedDict):
    id: str
    former_ids: list[str]
    refs: list[str]
    customers: list[str]
    segments: list[ConversationSegment]
    switches: list[ChannelSwitch]
    open_question: OpenQuestion | None
    entries: list[Entry]
    waiting: list[Entry]
    next: Next


class QrCode(TypedDict):
    """`size`: modules a side, without the quiet zone; `path`: of an SVG, one unit a module."""

    size: int
    path: str


class Handover(TypedDict):
    token: Annotated[str, Meta(description="Single use")]
    channel: Channel
    conversation: str
    notify: bool
    expires_at: Instant
    url: Annotated[str | None, Meta(description="Deep link; null where the settings have no address on that channel")]
    text: str
    qr: Annotated[QrCode | None, Meta(description="Of the link; null where something is to be filled in first")]


class Verification(TypedDict):
    token: str
    conversation: str
    expires_at: Instant
    url: str


OPERATIONS = {
    "show": Operation("One conversation across its channels", {200: Conversation}, query=EntriesQuery),
    "hand_over": Operation("Go on with a conversation on another channel", {201: Handover}, HandoverWish),
    "verify": Operation(
        "A link by which the customer logs in and is verified", {201: Verification}, VerificationWish, problems=(409,)
    ),
    "hand_over_thread": Operation(
        "The same for a thread by the provider's own id, also one not seen yet", {201: Handover}, ThreadHandoverWish
    ),
}
