"""Waiting: events that no identity has claimed yet, and those at home on one that is nobody's."""

from __future__ import annotations

from chalicelib.api.answers import Call, Reply, next_cursor, wrong
from chalicelib.api.customers import among, entries, page_wanted
from chalicelib.api.lookup import read_identity
from chalicelib.context import generations, place, timeline
from chalicelib.model.event import CHANNELS, TYPES
from chalicelib.store import connections
from chalicelib.store.table import Item, live


def listing(call: Call) -> Reply:
    """By connection, oldest first in each; of one connection or of all. With `identity`: what lies
    at home on it, newest first, if it is shared or blocked."""
    if call.value("identity"):
        return _at_home(call)
    among(call, "channel", CHANNELS)
    among(call, "type", TYPES)
    start, since = call.cursor(2), call.moment("since")
    if start and start[1] < since:
        raise wrong("/since", "lies after the page that next goes on from")
    found: list[Item] = []
    for connection in _wanted(call, start):
        after = start[1] if start and connection == start[0] else since
        found += call.table.query(f"WAIT#{connection}", after=after, limit=call.limit() + 1, index=True).items
        if len(found) > call.limit():
            break
    page = found[: call.limit()]
    following = next_cursor(page[-1]["gpk"][5:], page[-1]["gsk"]) if len(found) > len(page) else None
    return Reply({"entries": entries(call, _still(call, page)), "next": following})


def _at_home(call: Call) -> Reply:
    node, item = generations.newest(call.table, read_identity(call, call.value("identity"), "/identity"))
    if item is None or not timeline.nobodys(call.table, node):
        return Reply({"entries": [], "next": None})
    page = timeline.page(call.table, {node: item}, page_wanted(call))
    placed = place.placed(call.table, page.items)
    shown = entries(call, [each for each in page.items if each["sk"] not in placed])
    return Reply({"entries": shown, "next": next_cursor(page.next) if page.next else None})


def _wanted(call: Call, start: tuple[str, ...]) -> list[str]:
    """Connection ids in order, from the one on which the page before ended."""
    named = call.value("connection")
    ids = [named] if named else sorted(each.id for each in connections.everyone(call.table))
    return [each for each in ids if not start or each >= start[0]]


def _still(call: Call, page: list[Item]) -> list[Item]:
    """The items themselves; the index lags, so one that was placed meanwhile is left out."""
    keys = [(entry["pk"], entry["sk"]) for entry in page]
    items = call.table.batch_get(keys)
    return [items[key] for key in keys if live(items.get(key)) and "placed" not in items[key]]
