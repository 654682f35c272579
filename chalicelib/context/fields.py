"""Fields: what is known of a customer by name, each with where it came from. Newest wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from chalicelib.errors import Busy
from chalicelib.model.customer import Field, denies
from chalicelib.model.event import Event
from chalicelib.store.table import ABSENT, Item, Put, Table, equal

SEARCHED = "name"
CONSENT = "consent"


@dataclass(frozen=True)
class Repeats:
    """What is no news in an event of a system that keeps a record of its own. `told`: fields that it shows because
    we wrote them there. `copies`: its events show the record as it is, not what changed of it."""

    told: frozenset[str] = frozenset()
    copies: bool = False


NEWS = Repeats()
EVERY = "*"
EQUAL: Mapping[str, int] = MappingProxyType({})


def offered(event: Event, more: Mapping[str, str], priorities: Mapping[str, int] = EQUAL) -> dict[str, Field]:
    """`more`: fields that follow from the event beside its own. `priorities`: as its connection's setting
    `field_priority` says; `*` is every other field."""
    usual = priorities.get(EVERY, 0)
    return {
        name: Field(value, event.occurred_at, event.connection, event.id, priorities.get(name, usual), event.sensitive)
        for name, value in (*event.fields.items(), *more.items())
        if value
    }


def newest(fields: Iterable[Field]) -> Field:
    """By (priority, time, event): the same in any order of arrival."""
    return max(fields, key=lambda field: (field.priority, field.at, field.event, field.value))


def newest_consent(fields: Iterable[Field]) -> Field:
    """By time alone, so that no system's priority outlives a newer refusal; at one moment a refusal
    wins."""
    return max(fields, key=lambda field: (field.at, denies(field.value), field.event, field.value))


def merged(maps: Iterable[Mapping[str, Field]]) -> dict[str, Field]:
    """The fields of several nodes as one customer's."""
    by_name: dict[str, list[Field]] = {}
    for each in maps:
        for name, field in each.items():
            by_name.setdefault(name, []).append(field)
    return {name: _best(name, fields) for name, fields in sorted(by_name.items())}


def _best(name: str, fields: Iterable[Field]) -> Field:
    return newest_consent(fields) if name.startswith(CONSENT) else newest(fields)


def from_item(item: Item | None) -> dict[str, Field]:
    stored = item["f"] if item else {}
    return {name: _field(*packed) for name, packed in stored.items()}


def _field(value: str, priority: int, at: str, event: str, source: str, sensitive: bool = False) -> Field:
    return Field(value, at, source, event, int(priority), bool(sensitive))


def keep(
    table: Table,
    node: str,
    event: Event,
    more: Mapping[str, str],
    seen: Item | None,
    priorities: Mapping[str, int] = EQUAL,
    repeats: Repeats = NEWS,
) -> None:
    """Join the event's fields, and `more`, into those of its node; writes only when something changed.

    `seen` is the item as read before, or None. Raises Busy when others keep changing it.
    """
    new = {name: field for name, field in offered(event, more, priorities).items() if name not in repeats.told}
    for _ in range(10 if new else 0):
        known = from_item(seen)
        joined = merged([known, _news(new, known) if repeats.copies else new])
        if joined == known:
            return
        if table.write(Put(_item(node, joined, seen), equal(ver=seen["ver"]) if seen else ABSENT)):
            return
        seen = table.get((f"N#{node}", "F"))
    if new:
        raise Busy("fields change all the time")


def _news(new: Mapping[str, Field], known: Mapping[str, Field]) -> dict[str, Field]:
    """Without what this system showed before: that it still does makes a value no newer. But a no is said anew."""
    return {name: field for name, field in new.items() if name.startswith(CONSENT) or not _same(field, known.get(name))}


def _same(field: Field, known: Field | None) -> bool:
    return known is not None and (field.value, field.source) == (known.value, known.source)


def forget(table: Table, node: str, source: str) -> int:
    """Drop what one connection told of a node. Raises Busy when others keep changing it."""
    for _ in range(10):
        seen = table.get((f"N#{node}", "F"))
        known = from_item(seen)
        kept = {name: each for name, each in known.items() if each.source != source}
        if seen is None or kept == known:
            return 0
        if table.write(Put(_item(node, kept, seen), equal(ver=seen["ver"]))):
            return 1
    raise Busy("fields change all the time")


def _item(node: str, fields: Mapping[str, Field], seen: Item | None) -> Item:
    packed = {
        name: [f.value, f.priority, f.at, f.event, f.source, *([True] if f.sensitive else [])]
        for name, f in fields.items()
    }
    item: Item = {"pk": f"N#{node}", "sk": "F", "f": packed, "ver": (seen["ver"] if seen else 0) + 1}
    name = fields[SEARCHED].value.casefold() if SEARCHED in fields else ""
    return item | ({"gpk": f"Q#{name[:3]}", "gsk": f"{name[:60]}#{node}"} if len(name) >= 3 else {})
