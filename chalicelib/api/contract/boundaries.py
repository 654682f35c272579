"""The contract of boundaries."""

from __future__ import annotations

from typing import TypedDict

from chalicelib.api.boundaries import Boundary
from chalicelib.api.contract.operation import IdentityText, Instant, Operation

TAG = "Links and cuts"


class BoundaryDrawn(TypedDict):
    id: str
    job: str
    identity: IdentityText
    at: Instant
    status: str


OPERATIONS = {
    "draw": Operation(
        "From a moment on an identity is another person's, such as a number given out anew",
        {202: BoundaryDrawn},
        Boundary,
    )
}
