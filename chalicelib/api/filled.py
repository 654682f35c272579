"""What a destination's mapping would fill, of a real customer and a real event."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.api import wishes
from chalicelib.api.answers import Call, wrong
from chalicelib.api.customers import rules
from chalicelib.context import people, timeline
from chalicelib.errors import Erased, NotFound, Rejected
from chalicelib.fanout import deliver, shown
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Person
from chalicelib.store.table import Item

LOOKED = 500
"""Newest entries among which the event is looked for."""


class FilledPreview(msgspec.Struct, forbid_unknown_fields=True):
    customer: str
    mapping: Any = None
    event: str = ""


def preview_of(call: Call, connection: Connection) -> dict[str, Any]:
    """`contact`, and `activity` of an event: their field → what is sent there. `suppressed`: fields that
    are not sent, though we would fill them without the mapping."""
    asked = call.read(FilledPreview)
    if asked.mapping is not None:
        wishes.check_mapping(connection, asked.mapping)
        connection = msgspec.structs.replace(connection, mapping=asked.mapping)
    person = _person(call, asked.customer)
    item = _item(call, person, asked.event) if asked.event else None
    try:
        contact = shown.customer(person.customer, connection).mapped
        activity = deliver.entry_of(item, person, connection).mapped if item else None
    except Rejected as much:
        raise wrong("/mapping", much.reason) from much
    found = {"contact": contact} | ({"activity": activity} if activity is not None else {})
    return {name: _sent(fields) for name, fields in found.items()} | {
        "suppressed": {
            name: [each for each, value in fields.items() if value is None] for name, fields in found.items()
        }
    }


def _sent(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _person(call: Call, customer: str) -> Person:
    try:
        return people.by_id(call.table, rules(call), customer)
    except (NotFound, Erased) as nobody:
        raise wrong("/customer", "is no customer") from nobody


def _item(call: Call, person: Person, event: str) -> Item:
    page = timeline.page(call.table, person.nodes, timeline.Wanted(limit=LOOKED))
    for item in page.items:
        if item["sk"].endswith(f"#{event}"):
            return item
    raise wrong("/event", f"is not among this customer's newest {LOOKED} entries")
