"""The rules of the organisation, one item for all: few, read by every batch of the fan-out."""

from __future__ import annotations

import time

import msgspec

from chalicelib.model.rule import Rule
from chalicelib.store.table import Item, Key, Put, Table, equal

CACHE_SECONDS = 5.0
KEY: Key = ("ORG", "rules")
_cache: list[tuple[float, tuple[Rule, ...]]] = []


def read(table: Table) -> tuple[Rule, ...]:
    """All of them, read at most every five seconds in one container."""
    if _cache and time.monotonic() - _cache[0][0] < CACHE_SECONDS:
        return _cache[0][1]
    found = decoded(table.get(KEY))
    _cache[:] = [(time.monotonic(), found)]
    return found


def decoded(item: Item | None) -> tuple[Rule, ...]:
    return msgspec.json.decode(item["b"], type=tuple[Rule, ...]) if item else ()


def save(table: Table, rules: tuple[Rule, ...], before: Item | None) -> bool:
    """Replace what `before` held. False: somebody was first."""
    _cache.clear()
    ver = before["ver"] if before else 0
    item = {"pk": KEY[0], "sk": KEY[1], "b": msgspec.json.encode(rules), "ver": ver + 1}
    return table.write(Put(item, equal(ver=ver or None)))


def forget() -> None:
    _cache.clear()
