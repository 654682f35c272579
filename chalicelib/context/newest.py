"""A customer's newest entries, for what is computed of them and never kept: his preferred channel, the open question."""

from __future__ import annotations

from chalicelib.context import conversations, overview, timeline
from chalicelib.context.timeline import Wanted
from chalicelib.model.customer import Person
from chalicelib.store import events
from chalicelib.store.table import Table

LOOKED = 8
"""Identities whose newest entries are read: those that were seen last."""


def entries(table: Table, person: Person) -> list[overview.Entry]:
    nodes = sorted(person.nodes, key=lambda node: str(person.nodes[node].get("last", "")), reverse=True)[:LOOKED]
    items = timeline.page(table, {node: person.nodes[node] for node in nodes}, Wanted(overview.NEWEST)).items
    names = conversations.named(table, items)
    return [overview.Entry(events.from_item(item), item["pk"][2:], names.get(item.get("th", ""), "")) for item in items]


def preferred_channel(table: Table, person: Person) -> str:
    explicit = person.customer.preferred_channel
    return explicit or overview.preferred_channel(entries(table, person))
