"""API keys: random, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets as random
import time

import msgspec

from chalicelib.model import instants
from chalicelib.store.table import EXISTS, DynamoTable, Item, Put, Table, Update

SCOPES = ("read", "agent", "integrate", "admin")
CACHE_SECONDS = 30.0
_cache: dict[str, tuple[float, ApiKey | None]] = {}


class ApiKey(msgspec.Struct, frozen=True):
    """`id` is the first 16 letters of the hash: enough to revoke, useless to sign in."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    revoked: bool = False


def find(table: Table, secret: str) -> ApiKey | None:
    """The live key that `secret` is, remembered half a minute."""
    hashed = _hash(secret)
    at, key = _cache.get(hashed, (0.0, None))
    if at and time.monotonic() - at < CACHE_SECONDS:
        return key
    item = table.get(("KEY", hashed))
    key = _from_item(item) if item and not item.get("revoked") else None
    if len(_cache) > 1000:
        _cache.clear()
    _cache[hashed] = (time.monotonic(), key)
    return key


def mint(table: Table, name: str, scopes: tuple[str, ...]) -> tuple[ApiKey, str]:
    """A new key and its secret, which is never readable again."""
    secret = f"draad_{random.token_urlsafe(32)}"
    return _put(table, secret, name, scopes), secret


def ensure(secret: str, name: str, scopes: tuple[str, ...]) -> None:
    """Make `secret` a valid key; harmless when it is one already. For the first admin key."""
    _put(DynamoTable(), secret, name, scopes)


def everyone(table: Table) -> list[ApiKey]:
    return [_from_item(item) for item in table.query("KEY").items]


def revoke(table: Table, key_id: str) -> bool:
    """False when there is no such key."""
    hits = table.query("KEY", begins=key_id).items if len(key_id) >= 16 else []
    for item in hits:
        table.write(Update(("KEY", item["sk"]), {"revoked": True}, when=EXISTS))
        _cache.pop(item["sk"], None)
    return bool(hits)


def _put(table: Table, secret: str, name: str, scopes: tuple[str, ...]) -> ApiKey:
    hashed = _hash(secret)
    item = {"pk": "KEY", "sk": hashed, "name": name, "scopes": list(scopes), "at": instants.now()}
    table.write(Put(item))
    return _from_item(item)


def _from_item(item: Item) -> ApiKey:
    return msgspec.convert(
        {
            "id": str(item["sk"])[:16],
            "name": item["name"],
            "scopes": item["scopes"],
            "created_at": item["at"],
            "revoked": bool(item.get("revoked")),
        },
        ApiKey,
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
