"""The timeline: the partitions of a customer's identities, merged by time, newest first.

Partitions are opened in the order of their newest day, and only while they may still hold
something for the page: the cost of a page does not depend on the length of the history.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.context import resolve
from chalicelib.errors import Erased
from chalicelib.model import instants
from chalicelib.model.event import Event
from chalicelib.store import events
from chalicelib.store.table import Item, Table, live

MAX_READ = 2000
"""Items looked at for one page: a filter that matches nothing ends here, with a cursor."""
END = "\U0010ffff"


@dataclass(frozen=True)
class Wanted:
    """Filters of one page; `before` is the sort key after which it begins, exclusive."""

    limit: int = 50
    before: str = ""
    since: str = ""
    channels: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()


@dataclass
class TimelinePage:
    """`items` newest first; `next` the sort key to go on from, empty at the end."""

    items: list[Item] = field(default_factory=list)
    next: str = ""


def page(table: Table, nodes: Mapping[str, Item], wanted: Wanted) -> TimelinePage:
    """`nodes`: node id → node item, of one customer."""
    found = TimelinePage()
    keep, here = _filter(wanted), Here(table, nodes)
    last = ""
    for count, item in enumerate(_merged(table, nodes, wanted), 1):
        if len(found.items) == wanted.limit or count > MAX_READ:
            found.next = last
            break
        last = item["sk"]
        twin = bool(found.items) and found.items[-1]["sk"] == last
        if not twin and keep(item) and here.shows(item):
            found.items.append(item)
    return found


@dataclass
class Here:
    """Whether an item in a customer's partitions is on his timeline. A copy that its refs brought
    here, of an event at home on a contact point, is so only while that is nobody's or his own."""

    table: Table
    nodes: Mapping[str, Item]
    nobodys: dict[str, bool] = field(default_factory=dict)

    def shows(self, item: Item) -> bool:
        home = str(item.get("hm", ""))
        if not home or home in self.nodes:
            return True
        if home not in self.nobodys:
            self.nobodys[home] = nobodys(self.table, home)
        return self.nobodys[home]


def nobodys(table: Table, node: str) -> bool:
    """Whether an identity is known and belongs to nobody: it is shared or blocked."""
    try:
        view = resolve.read(table, resolve.IDENTITIES, node)
    except Erased:
        return False
    return view is not None and view.customer is None


def _filter(wanted: Wanted) -> Callable[[Item], bool]:
    def keep(item: Item) -> bool:
        return (
            (not wanted.channels or item["ch"] in wanted.channels)
            and (not wanted.types or item["ty"] in wanted.types)
            and (not wanted.conversations or item.get("th") in wanted.conversations)
        )

    return keep


def _merged(table: Table, nodes: Mapping[str, Item], wanted: Wanted) -> Iterator[Item]:
    """Newest first. A placed event may lie in two partitions for a moment, and one of the two be hidden."""
    closed = sorted(nodes, key=lambda node: (nodes[node].get("last", ""), node))
    heap: list[tuple[_Newest, int, Item, Iterator[Item]]] = []
    while closed or heap:
        while closed and (not heap or nodes[closed[-1]].get("last", "") >= _day(heap[0][2])):
            _push(heap, _partition(table, closed.pop(), wanted))
        if not heap:
            return
        _, _, item, rest = heapq.heappop(heap)
        yield item
        _push(heap, rest)


class _Newest(str):
    """Text that sorts backwards, so that the newest is on top of the heap."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def _push(heap: list[tuple[_Newest, int, Item, Iterator[Item]]], partition: Iterator[Item]) -> None:
    item = next(partition, None)
    if item is not None:
        heapq.heappush(heap, (_Newest(item["sk"]), id(partition), item, partition))


def _partition(table: Table, node: str, wanted: Wanted) -> Iterator[Item]:
    before = wanted.before or f"E#{END}"
    after = f"E#{wanted.since}"
    size = min(wanted.limit + 1, 201)
    while True:
        answer = table.query(f"N#{node}", after=after, before=before, forward=False, limit=size)
        yield from (item for item in answer.items if live(item))
        if answer.next is None:
            return
        before = answer.next[1]


def _day(item: Item) -> str:
    return instants.day(item["sk"][2:26])


def entry(item: Item) -> dict[str, Any]:
    """One line of history as the API shows it, but for its conversation."""
    return entry_of(events.from_item(item))


def entry_of(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "occurred_at": event.occurred_at,
        "type": event.type,
        "status": event.details.get("status"),
        "channel": event.channel,
        "direction": event.direction,
        "actor": event.actor,
        "summary": event.summary,
        "text": event.text,
        "attachments": list(event.attachments),
        "details": event.details,
        "link": event.link or None,
        "connection": event.connection,
        "source": event.source,
        "provider_type": event.provider_type,
        "address": event.address or None,
        "sensitive": event.sensitive,
        "refs": [ref.text for ref in event.refs],
    }
