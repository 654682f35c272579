"""Whoever a CRM's record told of before we knew whose it is becomes one with its customer, once, whatever dies on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.context import adopted, people, record
from chalicelib.context.graph import Rules
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import secrets
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

RECORD, TOM = Identity("crm", "501", "con_crm", 2), Identity("email", "tom@example.nl", "", 2)


@pytest.fixture
def table() -> Iterator[MemoryTable]:
    with replaced((secrets, "pepper", lambda: b"pepper")):
        yield MemoryTable()


def told(table: MemoryTable, who: Identity, number: int, **fields: str) -> None:
    at = f"2026-09-0{number}T10:00:00.000Z"
    event = Event(type="identify", channel="crm", object=f"o{number}", occurred_at=at, identities=(who,), fields=fields)
    record.record(table, stamp(event, "con_crm", "crm"), "receipt", Organisation())


def customers(table: MemoryTable) -> set[str]:
    return {people.by_identity(table, Rules(), each)[1][0].id for each in (RECORD, TOM)}


def test_two_become_one_with_all_that_was_told(table: MemoryTable) -> None:
    told(table, RECORD, 1, phone="+31612345678")
    told(table, TOM, 2, name="Tom")
    assert len(customers(table)) == 2
    assert adopted.unite(table, Rules(), "con_crm", "501", node_id(TOM))
    assert len(customers(table)) == 1
    before = dict(table.rows)
    assert adopted.unite(table, Rules(), "con_crm", "501", node_id(TOM))
    assert table.rows == before, "again it is the same"
    known = people.by_identity(table, Rules(), TOM)[1][0].customer.fields
    assert {name: field.value for name, field in known.items()} == {"phone": "+31612345678", "name": "Tom"}


def test_a_record_that_told_of_nobody_joins_nobody(table: MemoryTable) -> None:
    told(table, TOM, 2)
    before = dict(table.rows)
    assert not adopted.unite(table, Rules(), "con_crm", "501", node_id(TOM))
    assert not adopted.unite(table, Rules(), "con_other", "501", node_id(TOM))
    assert table.rows == before


def test_killed_at_every_call_and_done_again(table: MemoryTable) -> None:
    told(table, RECORD, 1)
    told(table, TOM, 2)
    start, call, killed = dict(table.rows), 1, True
    while killed:
        killed = False
        for after in (False, True):
            table.rows = dict(start)
            try:
                adopted.unite(FaultTable(table, call, after), Rules(), "con_crm", "501", node_id(TOM))
            except Killed:
                killed = True
                adopted.unite(table, Rules(), "con_crm", "501", node_id(TOM))
            assert len(customers(table)) == 1
        call += 1
    assert call > 2
