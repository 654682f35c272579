"""What events, deliveries and looks cost, as exact counts: within budget, and the same for any length of history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.cases import IDENTIFIED, Case
from bench.deliveries import DELIVERED
from bench.looks import LOOKS
from bench.meter import Bill
from bench.refs import REFERRED
from bench.stage import World, memory_stage

SHORT, LONG = 10, 120
WRITES = {
    "known identities and thread": (2, 2.0),
    "known, a webhook of 4 KB": (2, 3.0),
    "first of a thread": (3, 3.0),
    "new id joins a customer of 7": (3, 6.0),
    "merge 2+2": (3, 12.0),
    "duplicate": (1, 1.0),
    "delivered to a webhook": (1, 1.0),
    "delivered to a CRM, contact made (2)": (3, 3.0),
    "contact unchanged": (0, 0.0),
}
"""Requests and units."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with memory_stage():
        yield World()


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", IDENTIFIED + REFERRED + DELIVERED, ids=named)
def test_a_step_costs_the_same_after_any_history(world: World, case: Case) -> None:
    short, long = case.run(world, SHORT), case.run(world, LONG)
    assert short == long
    assert case.budget.holds(short), (short, case.budget)
    assert WRITES.get(case.name, (short.writes, short.write_units)) == (short.writes, short.write_units)


@pytest.mark.parametrize("case", LOOKS, ids=named)
def test_a_look_takes_the_same_requests_after_any_history(world: World, case: Case) -> None:
    short, long = case.run(world, SHORT), case.run(world, LONG)
    assert (short.reads, short.writes) == (long.reads, long.writes) and short.writes == 0
    assert case.budget.holds(short), (short, case.budget)
    assert long.read_units <= case.run(world, 2 * LONG).read_units <= 40


@pytest.mark.nightly
@pytest.mark.parametrize("case", LOOKS, ids=named)
def test_a_look_after_a_hundred_thousand_events(world: World, case: Case) -> None:
    few, many = case.run(world, 1_000), case.run(world, 100_000)
    assert replace(few, read_units=0) == replace(many, read_units=0)
    assert many.read_units == few.read_units


def test_a_bill_is_shared_by_a_batch() -> None:
    assert Bill(10, 2, 51.0, 30.0).each(10) == Bill(1, 1, 5.1, 3.0)
