"""The contract of API keys."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import Operation, listed, one_of, without
from chalicelib.api.keys import NewKey
from chalicelib.store.keys import SCOPES, ApiKey

TAG = "Keys and magic links"
Secret = Annotated[str, Meta(description="The key itself, shown this once")]
KeyView = without(ApiKey, title="Key")
Minted = without(ApiKey, title="MintedKey", more=[("key", Secret)])


class Revoked(TypedDict):
    id: str
    revoked: bool


class OwnKey(TypedDict):
    name: str
    scopes: list[Annotated[str, one_of(SCOPES)]]
    opens: Annotated[str, one_of(["console", "customer"])]


OPERATIONS = {
    "own": Operation("What the caller's own key may do", {200: OwnKey}),
    "mint": Operation("Mint a key", {201: Minted}, NewKey),
    "listing": Operation("All keys, without their secret", {200: listed("keys", KeyView, "Keys")}),
    "revoke": Operation("Revoke a key", {200: Revoked}),
}
