"""The contract of erasing, and of everything about one person."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from chalicelib.api.contract.customers import Customer
from chalicelib.api.contract.operation import EntriesQuery, Entry, Instant, Next, Operation, Paged
from chalicelib.api.erasures import Reason

TAG = "Privacy"


class ExportedDecision(TypedDict):
    at: Instant
    action: str
    by: dict[str, str]
    reason: str | None


class Export(TypedDict):
    exported_at: Instant
    customer: Customer
    audit: list[ExportedDecision]
    entries: list[Entry]
    next: Next


class EraseStarted(TypedDict):
    id: str
    job: str
    erasure: Annotated[str, Meta(description="Id of the certificate")]
    status: str


class ErasedPlace(TypedDict):
    what: str
    result: str
    at: Instant
    detail: str | None


class ErasureBrief(TypedDict):
    id: str
    customer: str | None
    connection: str | None
    status: str
    requested_at: Instant
    erased_up_to: Instant
    requested_by: str
    reason: str | None
    errors: list[str]


class Erasure(ErasureBrief):
    """The certificate: a line for each place."""

    lines: list[ErasedPlace]


class Erasures(TypedDict):
    erasures: list[ErasureBrief]
    next: Next


OPERATIONS = {
    "export": Operation(
        "Everything about one person",
        {200: Export},
        query=EntriesQuery,
        problems=(410,),
        headers={200: ("Content-Disposition",)},
    ),
    "start": Operation("Erase one person everywhere", {202: EraseStarted}, Reason, problems=(410,)),
    "listing": Operation("Erasures, newest first", {200: Erasures}, query=Paged),
    "show": Operation("The certificate of an erasure", {200: Erasure}),
}
