"""The in-memory table answers as DynamoTable does, operation by operation, condition by condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.errors import StorageUnavailable
from chalicelib.store.table import ABSENT, EXISTS, Check, Delete, DynamoTable, Put, Table, Update, When, equal
from tests.schedule import MemoryTable

VALUES: dict[str, Any] = {
    "text": "é",
    "none": None,
    "yes": True,
    "one": 1,
    "large": 2**62,
    "raw": b"\x00\xff",
    "empty": "",
    "list": ["a", 1, [None]],
    "map": {"a": {"b": b"c"}},
}


def item(sk: str, **more: Any) -> dict[str, Any]:
    return {"pk": "P", "sk": sk, **more}


def key(sk: str) -> tuple[str, str]:
    return "P", sk


CONDITIONS = {
    "absent": ABSENT,
    "exists": EXISTS,
    "equal": equal(ver=1),
    "not equal": equal(ver=2),
    "missing": equal(gone=None),
    "not missing": equal(ver=None),
    "wrong type": equal(ver="1"),
    "true is not one": equal(yes=1),
    "one is not true": equal(ver=True),
    "bytes": equal(raw=b"x"),
    "list": equal(list=[1, "a"]),
    "map": equal(map={"a": 1}),
    "two": equal(ver=1, yes=True),
    "exists and equal": When(exists=True, equal=(("ver", 1),)),
    "absent and missing": When(absent=True, equal=(("ver", None),)),
}
ACTIONS: dict[str, Callable[[str, When], Any]] = {
    "put": lambda sk, when: Put(item(sk, new=1), when),
    "delete": lambda sk, when: Delete(key(sk), when),
    "update": lambda sk, when: Update(key(sk), {"new": 1, "ver": 5}, ("raw",), when),
    "remove only": lambda sk, when: Update(key(sk), {}, ("raw", "none"), when),
}


def both(talk: Callable[[Table], Any], case: str = "") -> Any:
    """The answer that the two tables agree on; afterwards both are empty again."""
    memory, dynamo = talk(MemoryTable()), talk(DynamoTable())
    assert memory == dynamo, case
    for left in rows(DynamoTable()):
        DynamoTable().write(Delete((left["pk"], left["sk"])))
    return memory


@pytest.fixture(autouse=True)
def stage(memory_aws: dict[str, str]) -> None:
    """A table for DynamoTable to talk to."""


def fill(table: Table) -> None:
    table.batch_put([item(sk, n=number) for number, sk in enumerate(("E#1", "E#2", "E#3", "F", "G#1"))])
    table.batch_put([item(f"x{n}", gpk="I", gsk=f"{n % 3}") for n in range(3)])


def rows(table: Table) -> list[dict[str, Any]]:
    return table.query("P").items


def test_every_value_comes_back() -> None:
    def talk(table: Table) -> Any:
        table.write(Put(item("1", **VALUES)))
        return table.get(key("1")), table.get(key("2")), table.batch_get([key("1"), key("2"), key("1")])

    assert both(talk)[0] == item("1", **VALUES)


def test_a_float_has_no_form() -> None:
    for table in (MemoryTable(), DynamoTable()):
        with pytest.raises(TypeError):
            table.write(Put(item("1", bad=[1.5])))


def _one(table: Table) -> None:
    table.write(Put(item("1", ver=1, yes=True, raw=b"x", list=[1, "a"], map={"a": 1})))


@pytest.mark.parametrize("action", ACTIONS)
def test_conditions_agree(action: str) -> None:
    for case, when in CONDITIONS.items():

        def talk(table: Table, when: When = when) -> Any:
            _one(table)
            return [table.write(ACTIONS[action](sk, when)) for sk in ("1", "2")], rows(table)

        both(talk, case)


def test_checks_hold_a_transaction_back() -> None:
    answers = set()
    for case, when in CONDITIONS.items():

        def talk(table: Table, when: When = when) -> Any:
            _one(table)
            return table.transact([Put(item("3")), Check(key("1"), when)]), rows(table)

        answers.add(both(talk, case)[0])
    assert answers == {True, False}


def test_a_transaction_is_all_or_nothing() -> None:
    def talk(table: Table) -> Any:
        fill(table)
        lost = table.transact([Put(item("F", n=9)), Delete(key("E#1")), Put(item("E#2"), ABSENT)])
        won = table.transact([Put(item("F", n=9)), Delete(key("E#1")), Update(key("E#2"), {"n": 7})])
        return lost, won, rows(table)

    assert both(talk)[:2] == (False, True)


def test_one_item_twice_or_too_many_is_refused() -> None:
    twice = [Put(item("1")), Delete(key("1"))]
    many = [Put(item(f"{n}")) for n in range(101)]
    for table in (MemoryTable(), DynamoTable()):
        for actions in (twice, many):
            with pytest.raises(StorageUnavailable):
                table.transact(actions)
        assert rows(table) == []


QUERIES: dict[str, dict[str, Any]] = {
    "all": {},
    "begins": {"begins": "E#"},
    "after": {"after": "E#2"},
    "before": {"before": "E#2"},
    "between": {"after": "E#1", "before": "G#1"},
    "nothing between": {"after": "E#1", "before": "E#2"},
    "backwards": {"forward": False},
    "backwards limited": {"begins": "E#", "forward": False, "limit": 2},
    "exactly full": {"begins": "E#", "limit": 3},
    "from": {"start": ("P", "E#2")},
    "from backwards": {"start": ("P", "E#2"), "forward": False},
}


def test_queries_agree() -> None:
    for case, options in QUERIES.items():

        def talk(table: Table, options: dict[str, Any] = options) -> Any:
            fill(table)
            return table.query("P", **options)

        both(talk, case)


def test_index_queries_agree() -> None:
    for forward in (True, False):

        def talk(table: Table, forward: bool = forward) -> Any:
            fill(table)
            page = table.query("I", index=True, after="0", forward=forward)
            return [(found["pk"], found["sk"]) for found in page.items]

        assert len(both(talk)) == 2


def test_pages_join_without_gap() -> None:
    def talk(table: Table) -> Any:
        fill(table)
        found, start = [], None
        while True:
            page = table.query("P", limit=3, start=start)
            found += page.items
            start = page.next
            if not start:
                return found

    assert len(both(talk)) == 8
