"""The contract of the health page."""

from __future__ import annotations

from typing import Annotated, TypedDict

from chalicelib.api.contract.operation import Operation, one_of

TAG = "Health"


class Health(TypedDict):
    status: Annotated[str, one_of(["ok", "degraded"])]
    reasons: list[str]
    queues: dict[str, int]


OPERATIONS = {"show": Operation("Whether everything runs, and if not, why", {200: Health})}
