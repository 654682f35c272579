"""The contract of magic links."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import Instant, Operation
from chalicelib.api.magic_links import NewLink

TAG = "Keys and magic links"


class MagicLink(TypedDict):
    url: str
    token: str
    expires_at: Instant
    embed_url: NotRequired[Annotated[str, Meta(description="The same page for a frame in a CRM or desk")]]


OPERATIONS = {
    "mint": Operation(
        "A link that opens one customer's page, or the console, to read only",
        {201: MagicLink},
        NewLink,
        problems=(410,),
    )
}
