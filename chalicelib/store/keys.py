"""API keys: random, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import secrets as random
import time

import msgspec

from chalicelib.model import instants
from chalicelib.store.table import Item, Table

SCOPES = ("read", "agent", "integrate", "audience", "admin")
CACHE_SECONDS = 30.0
ID_LETTERS = 16
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
    return _put(secret, name, scopes), secret


def ensure(secret: str, name: str, scopes: tuple[str, ...]) -> None:
    """Make `secret` a valid key; harmless when it is one already. For the first admin key."""
    _put(secret, name, scopes)


def everyone(table: Table) -> list[ApiKey]:
    """Revoked ones too, oldest first."""
    from chalicelib.store import cold

    return sorted(map(_from_item, cold.everyone()), key=lambda key: (key.created_at, key.id))


def revoke(table: Table, key_id: str) -> bool:
    """False when there is no such key. At once here, within CACHE_SECONDS in other containers."""
    from chalicelib.store import cold

    hits = [item["sk"] for item in cold.everyone() if item["sk"][:ID_LETTERS] == key_id]
    for hashed in hits:
        cold.revoke(hashed)
        _cache.pop(hashed, None)
    return bool(hits)


def _put(secret: str, name: str, scopes: tuple[str, ...]) -> ApiKey:
    from chalicelib.store import cold

    hashed = _hash(secret)
    _cache.pop(hashed, None)
    return _from_item(cold.put(hashed, name, scopes, instants.now()))


def _from_item(item: Item) -> ApiKey:
    return msgspec.convert(
        {
            "id": str(item["sk"])[:ID_LETTERS],
            "name": item["name"],
            "scopes": item["scopes"],
            "created_at": item["at"],
            "revoked": bool(item.get("revoked")),
        },
        ApiKey,
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
