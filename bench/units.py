"""What DynamoDB charges, computed from item sizes.

Sizes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
Units: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
Items are in DynamoDB's wire form: {"pk": {"S": "…"}, …}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import ceil
from typing import Any

Wire = Mapping[str, Any]

CONTAINER = 3
"""Bytes that a list or map costs before its elements, each of which costs one more."""


def item_size(item: Wire | None) -> int:
    """Bytes: names and values as UTF-8. 0 for no item."""
    return sum(_text(name) + _value(value) for name, value in (item or {}).items())


def _text(value: str) -> int:
    return len(value.encode())


def _value(wire: Wire) -> int:
    ((kind, value),) = wire.items()
    match kind:
        case "S":
            return _text(value)
        case "B":
            return len(value)
        case "N":
            return _number(value)
        case "L":
            return CONTAINER + sum(1 + _value(each) for each in value)
        case "M":
            return CONTAINER + sum(1 + _text(name) + _value(each) for name, each in value.items())
    return 1


def _number(text: str) -> int:
    """One byte for two significant digits, one more, and one for a minus sign."""
    digits = text.lstrip("-").replace(".", "").strip("0")
    return ceil(len(digits) / 2) + 1 + text.startswith("-")


def written(before: Wire | None, after: Wire | None) -> int:
    """Write units of a put, update or delete: the larger of both sizes counts, in KB begun."""
    return max(1, ceil(max(item_size(before), item_size(after)) / 1024))


def read(size: int, *, strong: bool = True) -> float:
    """Read units of one item, or of all items of one query together: 4 KB begun, half if eventual."""
    return max(1, ceil(size / 4096)) * (1.0 if strong else 0.5)


def index_entry(item: Wire | None, projected: Collection[str]) -> dict[str, Any] | None:
    """The item's entry in the sparse index; None without an index key."""
    if not item or "gpk" not in item or "gsk" not in item:
        return None
    names = {"pk", "sk", "gpk", "gsk", *projected}
    return {name: value for name, value in item.items() if name in names}


def index_written(before: Wire | None, after: Wire | None, projected: Collection[str]) -> int:
    """Write units at the index: one write for an entry that comes, goes or changes, two for one that moves."""
    old, new = index_entry(before, projected), index_entry(after, projected)
    if old == new:
        return 0
    if old and new and any(old[name] != new[name] for name in ("gpk", "gsk")):
        return written(old, None) + written(None, new)
    return written(old, new)


def queried(items: Iterable[Wire], *, strong: bool) -> float:
    return read(sum(map(item_size, items)), strong=strong)
