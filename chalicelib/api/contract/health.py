"""The contract of the health page."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import Instant, Operation, one_of
from chalicelib.api.health import SAYINGS

TAG = "Health"


class HealthCause(TypedDict):
    """One reason, for programs."""

    kind: Annotated[str, one_of(SAYINGS)]
    of: str
    count: NotRequired[int]
    seconds: NotRequired[int]
    status: NotRequired[str]


class Doctor(TypedDict):
    """What `make doctor` found when it last looked at the stage's settings at AWS. A stage is checked by whoever deploys it."""

    at: Instant
    wrong: int
    cannot_tell: int


class Health(TypedDict):
    status: Annotated[str, one_of(["ok", "degraded"])]
    reasons: list[str]
    causes: list[HealthCause]
    queues: Annotated[dict[str, int], Meta(description="Messages in each queue, waiting or being worked on")]
    dead_letters: dict[str, int]
    queue_age_seconds: Annotated[dict[str, int | None], Meta(description="Null where it is not known yet")]
    stream_lag_seconds: int | None
    swept_at: Instant | None
    doctor: Annotated[Doctor | None, Meta(description="Null where nobody has looked yet")]


OPERATIONS = {"show": Operation("Whether everything runs, and if not, why", {200: Health})}
