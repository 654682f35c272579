"""The arithmetic of DynamoDB's prices, and the meter on a real table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench import units
from bench.meter import Bill, Meter
from chalicelib.settings import settings
from chalicelib.store.table import ABSENT, Delete, DynamoTable, Put, Update, equal

PROJECTED = frozenset({"st"})


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "Trui"}, 4),
        ({"S": "café"}, 5),
        ({"B": b"\x00\xff"}, 2),
        ({"N": "7"}, 2),
        ({"N": "1788264006"}, 6),
        ({"N": "-12"}, 3),
        ({"N": "1000"}, 2),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"N": "1"}]}, 3 + 1 + 2 + 1 + 2),
        ({"M": {"ab": {"S": "c"}}}, 3 + 1 + 2 + 1),
    ],
)
def test_size_of_a_value(value: dict[str, Any], size: int) -> None:
    assert units.item_size({"n": value}) == 1 + size


def _item(size: int, **more: str) -> dict[str, Any]:
    """An item of exactly `size` bytes."""
    named = {name: {"S": value} for name, value in more.items()}
    return named | {"b": {"B": b"x" * (size - 1 - units.item_size(named))}}


@pytest.mark.parametrize(
    ("before", "after", "cost"),
    [(None, 1, 1), (None, 1024, 1), (None, 1025, 2), (3000, 100, 3), (100, 3000, 3), (2048, None, 2), (None, None, 1)],
)
def test_a_write_costs_the_larger_of_both(before: int | None, after: int | None, cost: int) -> None:
    old, new = (_item(size) if size else None for size in (before, after))
    assert units.written(old, new) == cost


def test_reads() -> None:
    assert [units.read(size) for size in (0, 1, 4096, 4097)] == [1, 1, 1, 2]
    assert units.read(4097, strong=False) == 1.0
    assert units.queried([_item(3000), _item(3000)], strong=True) == 2
    assert units.queried([], strong=False) == 0.5


@pytest.mark.parametrize(
    ("before", "after", "cost"),
    [
        ({}, {}, 0),
        ({}, {"gpk": "PARK", "gsk": "1"}, 1),
        ({"gpk": "PARK", "gsk": "1"}, {}, 1),
        ({"gpk": "PARK", "gsk": "1"}, {"gpk": "PARK", "gsk": "2"}, 2),
        ({"gpk": "PARK", "gsk": "1", "st": "a"}, {"gpk": "PARK", "gsk": "1", "st": "b"}, 1),
        ({"gpk": "PARK", "gsk": "1", "why": "a"}, {"gpk": "PARK", "gsk": "1", "why": "b"}, 0),
    ],
)
def test_the_sparse_index(before: dict[str, str], after: dict[str, str], cost: int) -> None:
    old, new = _item(90, pk="p", sk="s", **before), _item(90, pk="p", sk="s", **after)
    assert units.index_written(old, new, PROJECTED) == cost


@pytest.fixture
def table(memory_aws: dict[str, str]) -> Iterator[DynamoTable]:
    yield DynamoTable()


def metered(table: DynamoTable, *actions: Any) -> Meter:
    with Meter(settings().table) as meter:
        for action in actions:
            table.write(action)
    return meter


KEY = ("N#1", "-")
SMALL = {"pk": KEY[0], "sk": KEY[1], "ver": 1}
LARGE = SMALL | {"b": b"x" * 2500}


def test_the_meter_bills_what_was_kept_and_what_was_refused(table: DynamoTable) -> None:
    assert metered(table, Put(SMALL)).bill == Bill(writes=1, write_units=1)
    refused = metered(table, Put(LARGE, ABSENT))
    assert (refused.bill, refused.refused, refused.changes) == (Bill(writes=1, write_units=3), 1, [])
    assert metered(table, Put(LARGE, equal(ver=1))).bill.write_units == 3
    assert metered(table, Update(KEY, {"ver": 2}, remove=("b",))).bill.write_units == 3
    gone = metered(table, Delete(KEY))
    assert gone.bill == Bill(writes=1, write_units=1)
    assert [(change.before is None, change.after) for change in gone.changes] == [(False, None)]


def test_the_meter_counts_bytes_of_what_was_written_and_of_what_was_read(table: DynamoTable) -> None:
    sizes = [("pk", 3), ("sk", 1), ("ver", 2)]  # one digit and its sign of life
    small = sum(len(name) + size for name, size in sizes)
    assert metered(table, Put(SMALL)).bill.written_bytes == small
    assert metered(table, Put(LARGE, ABSENT)).bill.written_bytes == 0
    assert metered(table, Update(KEY, {"b": b"xxxx"})).bill.written_bytes >= small + len("b") + 4
    whole = metered(table, Put(SMALL)).bill.written_bytes
    for read in (lambda: table.get(KEY), lambda: table.batch_get([KEY]), lambda: table.query("N#1", begins="-")):
        with Meter(settings().table) as meter:
            read()
        assert meter.bill.read_bytes == whole
    assert metered(table, Delete(KEY)).bill.written_bytes == whole
    assert (Bill(1, 1, 2, 2, 30, 50) + Bill(read_bytes=70)).each(10) == Bill(1, 1, 0.2, 0.2)


def test_the_meter_doubles_a_transaction_and_adds_the_index(table: DynamoTable) -> None:
    with Meter(settings().table) as meter:
        assert table.transact([Put(SMALL), Put({"pk": "N#2", "sk": "-", "gpk": "DUE#0", "gsk": "1"})])
    assert meter.bill == Bill(writes=1, write_units=2 + 2 + 1)


def test_the_meter_bills_reads_by_item_by_page_and_by_index(table: DynamoTable) -> None:
    table.batch_put([LARGE | {"sk": f"E#{number}", "gpk": "DUE#0", "gsk": str(number)} for number in range(4)])
    keys = [("N#1", f"E#{number}") for number in range(4)]
    for read, units_ in (
        (lambda: table.get(keys[0]), 1),
        (lambda: table.get(("N#9", "-")), 1),
        (lambda: table.batch_get([*keys, ("N#9", "-")]), 5),
        (lambda: table.query("N#1", begins="E#"), 3),
        (lambda: table.query("DUE#0", index=True), 0.5),
    ):
        with Meter(settings().table) as meter:
            read()
        assert (meter.bill.reads, meter.bill.read_units) == (1, units_)
