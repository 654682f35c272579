"""Tokens that systems give for a while: asked for once, shared by all workers, kept encrypted.

One item a connection; whoever takes its lease asks, the others use the old one while it lasts or
come back. A container remembers what it has read.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from chalicelib.errors import Delayed, DeliveryFailed
from chalicelib.kit.destination import Destination
from chalicelib.kit.grant import Token
from chalicelib.kit.source import Secrets
from chalicelib.model.connection import Connection
from chalicelib.settings import settings
from chalicelib.store import secrets
from chalicelib.store.table import Item, Key, Put, Table, equal, now_seconds

SPARE_SECONDS = 60
"""Before its end a token is not used any more."""
LEASE_SECONDS = 30
NAME = "token"
_read: dict[str, Held] = {}


class Held(msgspec.Struct, frozen=True):
    """A token as it is kept. `until`: epoch seconds; `ver`: of the item."""

    value: str
    until: int
    base_url: str = ""
    kept: dict[str, str] = {}
    ver: int = 0

    @property
    def good(self) -> bool:
        return bool(self.value) and self.until - SPARE_SECONDS > now_seconds()


def held(table: Table, connection: Connection, destination: Destination, plain: Secrets) -> Held:
    """A token that is good now. `plain`: the connection's secrets.

    Raises what asking for one raises, and Delayed while another worker asks.
    """
    known = _read.get(connection.id)
    if known and known.good:
        return known
    item = table.get(_key(connection.id))
    found = _opened(connection.id, item)
    if not found.good:
        found = _asked(table, connection, destination, plain, item, found)
    _read[connection.id] = found
    return found


def joined(plain: Secrets, token: Held) -> Secrets:
    """The connection's secrets with the token, as `access_token`, and what came with it."""
    more = {**token.kept, "access_token": token.value}
    return {**plain, **{name: (value,) for name, value in more.items()}}


def refused(table: Table, connection: str, token: Held) -> None:
    """The system does not take this token any more: the next one who needs it asks anew."""
    _read.pop(connection, None)
    item = table.get(_key(connection))
    if item and item["ver"] == token.ver:
        table.write(Put(item | {"end": 0, "ver": token.ver + 1}, equal(ver=token.ver)))


def forget() -> None:
    _read.clear()


def _key(connection: str) -> Key:
    return f"C#{connection}", "TOKEN"


def _opened(connection: str, item: Item | None) -> Held:
    if item is None:
        return Held("", 0)
    told: dict[str, Any] = {}
    if item.get("b"):
        told = msgspec.json.decode(secrets.decrypt(connection, NAME, item["b"]))
    return Held(
        told.get("value", ""), int(item.get("end", 0)), told.get("base_url", ""), told.get("kept", {}), item["ver"]
    )


def _asked(
    table: Table, connection: Connection, destination: Destination, plain: Secrets, item: Item | None, old: Held
) -> Held:
    leased = _lease(table, connection.id, item)
    known = {**plain, **{name: (value,) for name, value in old.kept.items()}}
    try:
        token = _ask(connection, destination, known)
    except DeliveryFailed:
        _free(table, connection.id, leased)
        raise
    kept = {**old.kept, **token.kept}
    told = {"value": token.value, "base_url": token.base_url, "kept": kept}
    until = int(time.time()) + token.seconds
    sealed = secrets.encrypt(connection.id, NAME, msgspec.json.encode(told).decode())
    pk, sk = _key(connection.id)
    ver = leased + 1
    table.write(Put({"pk": pk, "sk": sk, "b": sealed, "end": until, "ver": ver}, equal(ver=leased)))
    return Held(token.value, until, token.base_url, kept, ver)


def _lease(table: Table, connection: str, item: Item | None) -> int:
    """The version that the item has now. Raises Delayed when somebody else asks."""
    busy = item is not None and item.get("lease", 0) > now_seconds()
    pk, sk = _key(connection)
    ver = (item["ver"] if item else 0) + 1
    leased = {**(item or {}), "pk": pk, "sk": sk, "lease": now_seconds() + LEASE_SECONDS, "ver": ver}
    if busy or not table.write(Put(leased, equal(ver=item["ver"] if item else None))):
        raise Delayed("another worker is asking for a token", retry_after=2)
    return ver


def _free(table: Table, connection: str, ver: int) -> None:
    """Nobody need wait for a lease that came to nothing."""
    item = table.get(_key(connection))
    if item and item["ver"] == ver:
        table.write(Put({**item, "lease": 0, "ver": ver + 1}, equal(ver=ver)))


def _ask(connection: Connection, destination: Destination, known: Secrets) -> Token:
    from chalicelib.kit.http import Http

    if destination.grant is None:
        raise TypeError(f"{connection.provider} declares no grant")
    http = Http(
        destination.grant_address(connection.settings),
        settings=connection.settings,
        secrets=known,
        allow_private=settings().allow_private_destinations,
    )
    return destination.grant(http)
