"""The words in which a route is declared, and the types that many declarations share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import GenericAlias
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from chalicelib.api.answers import MAX_LIMIT
from chalicelib.model.event import ACTORS, CHANNELS, DIRECTIONS, TYPES

Fields = Sequence[tuple[str, Any] | tuple[str, Any, Any]]


@dataclass(frozen=True)
class Operation:
    """One route. `answers`: status → shape, None for an empty body, Files for one that is not JSON.
    `body`: the model that the view reads, several where it takes either. `query`: a TypedDict.
    `problems`: refusals besides those that every such route has (401, 403, 404, 413, 415, 422, 429).
    `headers`: status → names of headers that this answer always has."""

    summary: str
    answers: Mapping[int, Any]
    body: Any = None
    query: Any = None
    problems: tuple[int, ...] = ()
    more: str = ""
    headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """An answer in one of these media types."""

    types: tuple[str, ...]


def one_of(values: Iterable[str]) -> Meta:
    """A closed set of words that the code itself has."""
    return Meta(extra_json_schema={"enum": sorted(values)})


def any_of(values: Iterable[str]) -> Meta:
    """The same as a filter, which nobody need fill in."""
    return Meta(description="Empty: all", extra_json_schema={"enum": [*sorted(values), ""]})


def without(struct: type[msgspec.Struct], *names: str, title: str, more: Fields = ()) -> Any:
    """What is shown of a struct: all its fields, always there, but for those named; and `more`."""
    shown = [(each.encode_name, each.type) for each in msgspec.structs.fields(struct) if each.name not in names]
    return msgspec.defstruct(title, [*shown, *more])


def listed(name: str, shape: Any, title: str) -> Any:
    """A list of shapes that are made of a struct."""
    return msgspec.defstruct(title, [(name, GenericAlias(list, (shape,))), ("next", Next)])


def asked_of(struct: type[msgspec.Struct], *names: str, title: str, required: tuple[str, ...] = ()) -> Any:
    """What may be asked of a struct: any of its fields but those named; nothing that is unknown."""
    fields = [each for each in msgspec.structs.fields(struct) if each.name not in names]
    needed = [(each.encode_name, each.type) for each in fields if each.name in required]
    others = [(each.encode_name, each.type, msgspec.UNSET) for each in fields if each.name not in required]
    return msgspec.defstruct(title, [*needed, *others], forbid_unknown_fields=True)


Instant = Annotated[
    str,
    Meta(
        description="UTC with milliseconds",
        examples=["2026-09-01T09:00:00.000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Day = Annotated[str, Meta(examples=["2026-09-01"], extra_json_schema={"format": "date"})]
Moment = Annotated[
    str, Meta(description="Any ISO 8601 instant; without an offset it is UTC", examples=["2026-09-01T09:00:00.000Z"])
]
Next = Annotated[
    str | None, Meta(description="The query parameter `next` of the page that follows; null: this is the last one")
]
Channel = Annotated[str, one_of(CHANNELS)]
EventType = Annotated[str, one_of(TYPES)]
Direction = Annotated[str, one_of(DIRECTIONS)]
Actor = Annotated[str, one_of(ACTORS)]
IdentityText = Annotated[
    str, Meta(description="kind:value or kind:scope/value", examples=["email:jan@example.nl", "phone:+31612345678"])
]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many at most", extra_json_schema={"default": 50})]
Cursor = Annotated[str, Meta(description="`next` of the page before; empty: the first page")]
ConnectionId = Annotated[str, Meta(description="Only of this connection")]


class Paged(TypedDict, total=False):
    limit: Limit
    next: Cursor


class Deleted(TypedDict):
    id: str
    status: Annotated[str, one_of(["deleted"])]


class OpenQuestion(TypedDict):
    """What the customer asked and nobody answered yet."""

    event: str
    at: Instant
    type: EventType
    channel: Channel
    text: str
    sensitive: bool


ChannelSwitch = TypedDict("ChannelSwitch", {"at": Instant, "from": Channel, "to": Channel, "by": str})


class Entry(TypedDict):
    """One line of history."""

    id: str
    occurred_at: Instant
    type: EventType
    status: Any
    channel: Channel
    direction: Direction
    actor: Actor
    summary: str
    text: str
    attachments: list[dict[str, Any]]
    details: dict[str, Any]
    link: str | None
    connection: str
    source: str
    provider_type: str
    address: IdentityText | None
    sensitive: bool
    refs: list[str]
    conversation: str | None


class Entries(TypedDict):
    entries: list[Entry]
    next: Next


class EntriesQuery(Paged, total=False):
    """Lists are given repeated or with commas."""

    channel: list[Annotated[str, any_of(CHANNELS)]]
    type: list[Annotated[str, any_of(TYPES)]]
    conversation: Annotated[list[str], Meta(description="Only entries of these conversations")]
    since: Moment
    until: Moment


class JobView(TypedDict):
    """Long work, one page at a time."""

    id: str
    kind: str
    status: Annotated[str, one_of(["running", "done", "failed"])]
    done: int
    total: Annotated[
        int | None,
        Meta(
            description="How many there were when it began. null where only the work itself finds out: a backfill "
            "and a reconcile look at everything for what is missing, and of a long range nothing is counted beforehand"
        ),
    ]
    errors: list[str]
    created_at: Instant
    customer: str | None
    reason: str | None
    counts: dict[str, Any] | None


class JobStarted(JobView):
    job: Annotated[str, Meta(description="Ask GET /v1/jobs/{id} how far it is")]
