"""The contract of magic links."""

from __future__ import annotations

from typing import TypedDict

from chalicelib.api.contract.operation import Instant, Operation
from chalicelib.api.magic_links import NewLink

TAG = "Keys and magic links"


class MagicLink(TypedDict):
    url: str
    token: str
    expires_at: Instant


OPERATIONS = {
    "mint": Operation("A link that opens one customer's page, to read only", {201: MagicLink}, NewLink, problems=(410,))
}
