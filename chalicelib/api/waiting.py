"""Waiting: events that no identity has claimed yet."""

from __future__ import annotations

from chalicelib.api.answers import Call, Reply, next_cursor, wrong
from chalicelib.api.customers import entries
from chalicelib.store import connections
from chalicelib.store.table import Item, live


def listing(call: Call) -> Reply:
    """By connection, oldest first in each; of one connection or of all."""
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
