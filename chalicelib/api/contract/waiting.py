"""The contract of what waits."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from chalicelib.api.contract.operation import ConnectionId, Entries, EntriesQuery, IdentityText, Operation

TAG = "Customers"


class WaitingQuery(EntriesQuery, total=False):
    connection: ConnectionId
    identity: Annotated[IdentityText, Meta(description="What lies at home on this shared or blocked identity")]


OPERATIONS = {
    "listing": Operation(
        "Events that no identity has claimed yet",
        {200: Entries},
        query=WaitingQuery,
        more="`channel`, `type`, `conversation` and `until` count with `identity` only.",
    )
}
