"""The contract of the screen-pop."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import IdentityText, Limit, Next, Operation, one_of
from chalicelib.api.lookup import MOST_IDENTITIES

TAG = "Customers"


class CustomerBrief(TypedDict):
    id: str
    name: str | None
    identities: list[IdentityText]


class Found(TypedDict):
    match: Annotated[str, one_of(["exact", "candidate", "none"])]
    customers: list[CustomerBrief]
    next: Next


class FindQuery(TypedDict, total=False):
    identity: Annotated[list[IdentityText], Meta(max_length=MOST_IDENTITIES, description="Exact look-up, repeatable")]
    q: Annotated[str, Meta(description="An identity, an order number, or at least three letters of a name")]
    limit: Limit


OPERATIONS = {"find": Operation("Find customers by identity, order number or name", {200: Found}, query=FindQuery)}
