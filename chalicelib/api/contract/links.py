"""The contract of what people decide about two identities."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import IdentityText, Instant, Next, Operation, Paged, one_of
from chalicelib.api.links import ForcedPair, Pair, Undoing

TAG = "Links and cuts"
Dry = Annotated[
    str, one_of(["true", "false", "1", "0"]), Meta(description="Show the outcome without deciding anything")
]


class DryQuery(TypedDict, total=False):
    dry_run: Dry


class UndoQuery(DryQuery, total=False):
    reason: Annotated[
        str, Meta(description="Rather in the body: what stands in an address may be logged. For who cannot send one")
    ]


class DecidedPart(TypedDict):
    id: str
    identities: list[IdentityText]


class DecidedParts(TypedDict):
    before: list[DecidedPart]
    after: list[DecidedPart]


class Contradiction(TypedDict):
    kind: str
    identities: list[IdentityText]


class Undone(TypedDict):
    id: str | None
    at: Instant
    dry_run: bool
    customers: DecidedParts
    conflicts: list[Contradiction]
    held: Annotated[bool, Meta(description="Whether something stronger holds this back")]
    kind: str
    by: str


class Decision(Undone):
    a: str
    b: str
    reason: str


class AuditLine(TypedDict):
    at: Instant
    action: str
    effects: list[str]
    by: dict[str, str]
    reason: str | None
    identities: list[IdentityText]
    before: list[str]
    after: list[str]


class Audit(TypedDict):
    entries: list[AuditLine]
    next: Next


BOTH = {200: Decision, 201: Decision}
OPERATIONS = {
    "link": Operation(
        "Two identities are one customer's", BOTH, ForcedPair, DryQuery, (404, 409, 410), "200: a dry run."
    ),
    "cut": Operation("Two identities are of two customers", BOTH, Pair, DryQuery, (404, 409, 410), "200: a dry run."),
    "unlink": Operation("Take back a link", {200: Undone}, Undoing, UndoQuery, (409, 410)),
    "uncut": Operation("Take back a cut", {200: Undone}, Undoing, UndoQuery, (409, 410)),
    "show_audit": Operation("Why these identities are one customer", {200: Audit}, query=Paged, problems=(410,)),
}
