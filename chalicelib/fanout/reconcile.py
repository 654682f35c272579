"""Reconcile: what a destination has against what it must have, and the mending of the difference.

What it must have is computed from the table: every event that its subscription wants, of customers
it may know. What it has is told by the delivery rows and, when asked to look, by the system itself.
A difference is kept as a drift item until it is gone:

    D#c    occ#eid#what    why at nd

missing    the duty was never planned or its row is lost: planned anew
gone       delivered, but the system does not have it any more: sent anew
astray     delivered to the record of somebody else, who was this customer then: moved
differs    a record over there does not show what it should: pushed anew
extra      a record of somebody who is no customer of ours any more, or whose record is another
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.fanout.plan import Planned, Planner
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import contacts, deliveries
from chalicelib.store.deliveries import ACTIVITY, CONTACT, DELIVERED, PARKED, Duty
from chalicelib.store.table import Delete, Item, Key, Put, Table, live, now_seconds

MISSING, GONE, EXTRA, ASTRAY, DIFFERS = "missing", "gone", "extra", "astray", "differs"
KEPT_SECONDS = 30 * 86400


@dataclass
class Found:
    """What a page of the table told. `due`: duties → their rows, of what is wanted; `counts`: how many
    are in step, behind, parked, missing, gone, extra."""

    due: dict[Duty, Item | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number


def wanted(
    table: Table, planner: Planner, items: Iterable[Item], since: str = "", until: str = ""
) -> dict[Duty, Item | None]:
    """What the planner's connections must have because of these items, each with its row: the
    activities, or their customers' contacts where a system keeps no history."""
    planned = Planned()
    for item in items:
        inside = since <= item["sk"][2:26] and (not until or item["sk"][2:26] <= until)
        if item["pk"].startswith("N#") and item["sk"].startswith("E#") and live(item) and inside:
            planner.event(item, planned)
    duties = [*planned.activities, *planned.contacts]
    rows = table.batch_get([duty.key for duty in duties])
    return {duty: live(rows.get(duty.key)) for duty in duties}


def compare(found: Found) -> list[Duty]:
    """Count each duty, and answer those that nothing is known of."""
    missing = []
    for duty, row in found.due.items():
        if row is None:
            missing.append(duty)
        found.count(_state(row))
    return missing


def _state(row: Item | None) -> str:
    if row is None:
        return MISSING
    return {DELIVERED: "in step", PARKED: "parked"}.get(row["st"], "behind")


def superfluous(connection: Connection, item: Item, planner: Planner) -> str:
    """Why a contact of this connection should not be there; empty for one that should."""
    if item["sk"] != f"C#{connection.id}" or not item["pk"].startswith("N#") or not item.get("remote"):
        return ""
    person = planner.person_of(item["pk"][2:])
    if person is None:
        return "its customer is nobody's or erased"
    mine = contacts.of(planner.table, connection.id, person.nodes, person.oldest)[0]
    same = mine.node == item["pk"][2:] or mine.remote == item["remote"]
    return "" if same else f"the customer has the record {mine.remote} too"


def note(table: Table, connection: str, what: str, sort: str, node: str, why: str) -> None:
    """Keep one difference until it is gone."""
    pk, sk = _key(connection, what, sort)
    item: Item = {"pk": pk, "sk": sk, "why": why, "at": instants.now(), "nd": node}
    table.write(Put(item | {"x": now_seconds() + KEPT_SECONDS}))


def mended(table: Table, duties: Iterable[Duty]) -> None:
    """These are in step: what was noted of them is over."""
    keys = [_key(duty.connection, what, duty.sort) for duty in duties for what in (MISSING, GONE, ASTRAY)]
    for key in table.batch_get(keys):
        table.write(Delete(key))


def over(table: Table, connection: str, since: str) -> None:
    """At the end of a pass that began then: a record that it did not find to be one too many is none any more."""
    for item in table.query(f"D#{connection}").items:
        if item["sk"].endswith(f"#{EXTRA}") and item["at"] < since:
            table.write(Delete((item["pk"], item["sk"])))


def alike(table: Table, connection: str, customer: str) -> None:
    """His record shows what it should: what was noted of it is over."""
    key = _key(connection, DIFFERS, customer)
    if table.get(key):
        table.write(Delete(key))


def _key(connection: str, what: str, sort: str) -> Key:
    return f"D#{connection}", f"{sort.removeprefix('E#')}#{what}"


def drifts(table: Table, connection: str, after: str, limit: int) -> list[Item]:
    """Kept differences, oldest event first."""
    return [item for item in table.query(f"D#{connection}", after=after, limit=limit).items if live(item)]


def view(item: Item, rows: Mapping[Key, Item]) -> dict[str, Any]:
    connection = item["pk"][2:]
    sort, _, what = item["sk"].rpartition("#")
    row = rows.get(row_key(item))
    return {
        "connection": connection,
        "what": what,
        "event": sort.rpartition("#")[2] if "#" in sort else None,
        "customer": f"cus_{sort}" if what != EXTRA and "#" not in sort else None,
        "record": sort if what == EXTRA else None,
        "occurred_at": sort[:24] if "#" in sort else None,
        "reason": item["why"],
        "found_at": item["at"],
        "delivery": deliveries.public_id(row) if row else None,
        "status": row["st"] if row else None,
    }


def row_key(item: Item) -> Key:
    """Of the delivery that a difference is about; of empty names for a record that is one too many."""
    connection, node = item["pk"][2:], str(item["nd"])
    sort, _, what = item["sk"].rpartition("#")
    if what == EXTRA:
        return "", ""
    return (Duty(connection, ACTIVITY, node, f"E#{sort}") if "#" in sort else Duty(connection, CONTACT, node, sort)).key
