"""The contract of audiences."""

from __future__ import annotations

from typing import Annotated, TypedDict

from chalicelib.api.audiences import WRITERS
from chalicelib.api.contract.jobs import Job
from chalicelib.api.contract.operation import (
    Deleted,
    Files,
    Instant,
    Next,
    Operation,
    Paged,
    asked_of,
    one_of,
)
from chalicelib.model.audience import Audience

TAG = "Audiences"
NewAudience = asked_of(Audience, "id", "ver", title="NewAudience", required=("name", "consent"))
AudienceChange = asked_of(Audience, "id", "ver", title="AudienceChange")


class AudienceView(TypedDict):
    id: str
    name: str
    consent: list[str]
    channels: list[str]
    contact_since: Instant | None
    contact_before: Instant | None
    orders_least: int
    orders_none_since: Instant | None
    filter: str | None
    feed: str | None


class AudienceWalked(AudienceView):
    job: str | None


class AudienceDeleted(Deleted):
    job: str | None


class Audiences(TypedDict):
    audiences: list[AudienceView]
    next: Next


class ExportStarted(Job):
    job: str


class DownloadQuery(Paged, total=False):
    format: Annotated[str, one_of(WRITERS)]


OPERATIONS = {
    "listing": Operation("All audiences", {200: Audiences}),
    "show": Operation("One audience", {200: AudienceView}),
    "create": Operation("Add an audience", {201: AudienceWalked}, NewAudience, problems=(409,)),
    "change": Operation(
        "Change an audience: everybody is looked at again", {200: AudienceWalked}, AudienceChange, problems=(409,)
    ),
    "remove": Operation("Remove an audience: whoever had entered leaves", {200: AudienceDeleted}, problems=(409,)),
    "export": Operation("Export the members", {202: ExportStarted}),
    "download": Operation(
        "One page of an export",
        {200: Files(("application/jsonl", "text/csv"))},
        query=DownloadQuery,
        problems=(409,),
        headers={200: ("Content-Disposition",)},
    ),
}
