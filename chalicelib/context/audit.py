"""The audit of a customer: who joined, parted or decided what, and by which event or key.

Merges, splits and decisions leave an item in the transaction that makes them; that an identity
came along is told by its node. An item lies at one node only, and the clusters of all that it is about remember which, through every
merge and split that follows; so both sides of a merge that was undone find it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.context import graph, resolve
from chalicelib.context.resolve import View
from chalicelib.model import instants
from chalicelib.store.table import Item, Key, Table

IDENTITY = "identity"
MOST = 200
"""Partitions looked through, the customer's own first."""


@dataclass(frozen=True)
class Line:
    """`mark` sorts lines by time and tells them apart. `what`: merge, split, link, force, cut,
    undo, block, unblock, identity. `effects`: what it did to customers. `ends`: node ids."""

    mark: str
    what: str
    effects: tuple[str, ...]
    by: dict[str, str]
    why: str
    ends: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    place: Key = ("", "")

    @property
    def at(self) -> str:
        return instants.from_ms(int(self.mark[: graph.BORN_DIGITS]))


def of_view(table: Table, view: View, nodes: dict[str, Item]) -> list[Line]:
    """All lines about the customer in `view`, newest first. `nodes`: his nodes, id → item."""
    places = list(dict.fromkeys([*view.nodes, *sorted(view.cluster.told), *view.beside]))[:MOST]
    items = [item for node in places for item in table.query(f"{view.rules.node}{node}", begins=resolve.AUDIT).items]
    told = [_line(item) for item in items if _about(item, view)]
    came = [_came(node, item) for node, item in nodes.items() if "born" in item]
    return sorted([*told, *came], key=lambda line: line.mark, reverse=True)


def _about(item: Item, view: View) -> bool:
    """A node beside him has lines about others too. A line about a crowd names only some of it."""
    named = {*item["before"], *item["after"]}
    crowd = max(len(item["before"]), len(item["after"])) >= resolve.AUDITED
    return crowd or not named.isdisjoint(view.ids) or not set(item["ends"]).isdisjoint(view.nodes)


def _line(item: Item) -> Line:
    return Line(
        mark=item["sk"].removeprefix(resolve.AUDIT),
        what=item["what"],
        effects=tuple(item["did"]),
        by=item["by"],
        why=item["why"],
        ends=tuple(item["ends"]),
        before=tuple(item["before"]),
        after=tuple(item["after"]),
        place=(item["pk"], item["sk"]),
    )


def _came(node: str, item: dict[str, Any]) -> Line:
    born = f"{item['born']:0{graph.BORN_DIGITS}d}"
    by = {name: item[key] for name, key in (("event", "via"), ("key", "viak")) if key in item}
    return Line(f"{born}#{node}", IDENTITY, (), by, "", (node,), (), ())
