"""Priorities of fields: the same values count whatever arrives first, twice, or while a worker dies."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import pytest

from chalicelib.context import generations, people, record
from chalicelib.context.graph import Rules
from chalicelib.model.connection import Connection
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import connections, secrets
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Table
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

MAIL, SHOP, PHONE = (
    Identity("email", "jan@example.nl", "", 2),
    Identity("shop", "900", "tc", 2),
    Identity("phone", "+31612345678", "", 2),
)
PRIORITIES: dict[str, Mapping[str, int]] = {
    "con_crm": {},
    "con_shop": {"name": 10},
    "con_chat": {"*": -5, "language": 20, "consent_email": 900},
}


def told(connection: str, day: int, *identities: Identity, **fields: str) -> Event:
    event = Event(
        type="identify",
        channel="web",
        object=f"{connection}{day}",
        occurred_at=f"2026-09-0{day}T10:00:00.000Z",
        identities=identities,
        fields=fields,
    )
    return stamp(event, connection, "generic")


STORY = (
    told("con_shop", 1, SHOP, MAIL, name="Jan de Vries", language="nl"),
    told("con_crm", 2, MAIL, name="J. de Vries", city="Utrecht", language="en", consent_email="denied"),
    told("con_chat", 3, MAIL, PHONE, name="jantje", city="Delft", language="fr", consent_email="granted"),
    told("con_crm", 4, PHONE, consent_email="no"),
    told("con_chat", 4, PHONE, consent_email="granted", shoe="43"),
)
COUNTS = {
    "name": ("Jan de Vries", "con_shop", 10),
    "city": ("Utrecht", "con_crm", 0),
    "language": ("fr", "con_chat", 20),
    "consent_email": ("no", "con_crm", 0),
    "shoe": ("43", "con_chat", -5),
}


@pytest.fixture(autouse=True)
def _pepper() -> Iterator[None]:
    with replaced((secrets, "pepper", lambda: b"pepper")):
        yield


def bring(table: Table, event: Event) -> None:
    record.record(table, event, "receipt", Organisation(), priorities=PRIORITIES[event.connection])


def counting(table: Table) -> dict[str, tuple[str, str, int]]:
    person = people.of_node(table, Rules(), generations.newest(table, MAIL)[0])
    assert person
    return {name: (each.value, each.source, each.priority) for name, each in person.customer.fields.items()}


def brought(events: Iterable[Event]) -> MemoryTable:
    table = MemoryTable()
    for event in events:
        bring(table, event)
    return table


def test_the_same_values_count_in_every_order_and_doubled() -> None:
    for order in itertools.permutations(STORY):
        assert counting(brought(order)) == COUNTS
        assert counting(brought((*order, *order[:2]))) == COUNTS


@pytest.mark.parametrize("after", [False, True])
def test_the_same_values_count_after_a_kill_at_every_call(after: bool) -> None:
    for number in itertools.count(1):
        table = brought(STORY[1:3])
        broken, killed = FaultTable(table, number, after), False
        for event in (STORY[0], STORY[4], STORY[3]):
            try:
                bring(table if killed else broken, event)
            except Killed:
                killed = True
                bring(table, event)
        assert counting(table) == COUNTS
        if not killed:
            assert number > 10
            return


def test_equal_by_default_so_the_newest_counts() -> None:
    table = MemoryTable()
    for event in reversed(STORY):
        record.record(table, event, "receipt", Organisation())
    assert {name: found[0] for name, found in counting(table).items()} == {
        "name": "jantje",
        "city": "Delft",
        "language": "fr",
        "consent_email": "no",
        "shoe": "43",
    }


def test_a_refusal_outlives_any_priority_of_what_is_older() -> None:
    refused = told("con_crm", 5, MAIL, consent_email="denied")
    for order in itertools.permutations((*STORY[1:3], refused)):
        assert counting(brought(order))["consent_email"][0] == "denied"


def test_another_priority_holds_for_what_arrives_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    table = brought(STORY[:2])
    monkeypatch.setitem(PRIORITIES, "con_crm", {"name": 50})
    assert counting(table)["name"] == COUNTS["name"]
    bring(table, told("con_crm", 6, MAIL, name="Johannes"))
    assert counting(table)["name"] == ("Johannes", "con_crm", 50)


def test_a_connections_setting_is_what_counts() -> None:
    assert Connection(id="con_a", provider="x").field_priority == {}
    made = Connection(id="con_a", provider="x", settings={"field_priority": {"name": 3}})
    table = MemoryTable()
    assert connections.save(table, made)
    found = connections.get(table, "con_a")
    assert found and found.field_priority == {"name": 3}
