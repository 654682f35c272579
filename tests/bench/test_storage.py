"""What events, deliveries and looks cost, as exact counts: within budget, and the same for any length of history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.cases import IDENTIFIED, Case, customer, identities, must_be_one, must_change
from bench.deliveries import DELIVERED
from bench.looks import LOOKS
from bench.meter import Bill
from bench.others import OTHERS
from bench.refs import REFERRED
from bench.stage import World, memory_stage, node_of

SHORT, LONG = 10, 120
WRITES = {
    "known identities and thread": (2, 2.0),
    "known, a webhook of 4 KB": (2, 3.0),
    "first of a thread": (3, 3.0),
    "two new ids": (4, 9.0),
    "new id joins a customer of 7": (3, 6.0),
    "merge 2+2": (3, 12.0),
    "merge 20+20": (4, 11.0),
    "cut later": (1, 4.0),
    "the cut taken back": (1, 4.0),
    "a phone gets one neighbour too many": (5, 16.0),
    "a phone gets one too many, a customer of 7": (5, 18.0),
    "alone on a shared phone": (2, 2.0),
    "known on a shared phone": (2, 2.0),
    "new id on a shared phone": (5, 8.0),
    "new id on a phone whose crowd comes apart": (5, 14.0),
    "the dearest: an order, all new, on the phone of a crowd": (7, 25.0),
    "duplicate": (2, 2.0),
    "a new order on a known thread": (5, 10.0),
    "waits for its order": (2, 3.0),
    "the order that places it": (5, 6.0),
    "the order that places ten": (23, 33.0),
    "placed at once": (4, 6.0),
    "placed at once, two refs": (9, 16.0),
    "a mail with its order number": (7, 12.0),
    "a mail that its order number places": (7, 12.0),
    "an order joins two threads": (4, 7.0),
    "an order joins two conversations": (3, 12.0),
    "a day thread joins the day before": (4, 9.0),
    "a day thread alone": (3, 3.0),
    "delivered to a webhook": (1, 1.0),
    "delivered to a CRM, contact made (2)": (4, 4.0),
    "contact unchanged": (0, 0.0),
    "our own pace: put off, then delivered": (4, 6.0),
    "delivered to a slow system": (3, 3.0),
    "a slow system's places are taken: put off, then delivered": (2, 4.0),
    "a silent system: put off untried, then delivered": (2, 4.0),
    "an audience: its feed is told": (2, 2.0),
    "an entry moved to the customer's other record": (3, 3.0),
    "a rule: an answer told on the chosen channel": (5, 5.0),
}
"""Requests and units."""
READS = {
    "known identities and thread": (3, 6.0),
    "cut later": (5, 8.0),
    "the cut taken back": (4, 9.0),
    "a phone gets one neighbour too many": (5, 8.0),
    "alone on a shared phone": (3, 5.0),
    "new id on a shared phone": (5, 8.0),
    "placed at once, two refs": (9, 11.0),
    "a mail that its order number places": (9, 15.0),
    "an order joins two threads": (5, 11.0),
    "an order joins two conversations": (4, 11.0),
    "a day thread joins the day before": (7, 11.0),
}


LOOKS_BACK = {
    "delivered to a CRM, contact made (2)",
    "an audience: nothing to tell",
    "an entry moved to the customer's other record",
    "a rule: an answer told on the chosen channel",
}
"""They read a page of the newest entries, to see which channel he uses most: the same once there is a whole one."""
COUNTED = {"an audience: its feed is told"}
"""It counts his orders among as many entries as a timeline page may look at: dearer until there are so many."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with memory_stage():
        yield World()


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", IDENTIFIED + REFERRED + DELIVERED + OTHERS, ids=named)
def test_a_step_costs_the_same_after_any_history(world: World, case: Case) -> None:
    short, long = case.run(world, SHORT), case.run(world, LONG)
    if case.name in LOOKS_BACK:
        assert case.run(world, 2 * LONG) == case.run(world, 3 * LONG)
    if case.name in LOOKS_BACK | COUNTED:
        long = replace(long, read_units=short.read_units, reads=short.reads)
    assert short == long
    assert case.budget.holds(short), (short, case.budget)
    assert WRITES.get(case.name, (short.writes, short.write_units)) == (short.writes, short.write_units)
    assert READS.get(case.name, (short.reads, short.read_units)) == (short.reads, short.read_units)


@pytest.mark.parametrize("case", LOOKS, ids=named)
def test_a_look_takes_the_same_requests_after_any_history(world: World, case: Case) -> None:
    short, long = case.run(world, SHORT), case.run(world, LONG)
    assert (short.reads, short.writes) == (long.reads, long.writes) and short.writes == 0
    assert case.budget.holds(short), (short, case.budget)
    assert long.read_units <= case.run(world, 2 * LONG).read_units <= 40


def test_a_bill_is_shared_by_a_batch() -> None:
    assert Bill(10, 2, 51.0, 30.0).each(10) == Bill(1, 1, 5.1, 3.0)


def test_counts_are_those_of_cases() -> None:
    assert WRITES.keys() | READS.keys() <= {case.name for case in IDENTIFIED + REFERRED + DELIVERED + OTHERS}


def test_a_history_written_straight_is_as_the_table_would_write_it(world: World) -> None:
    who = identities(2)
    world.take(world.webhook(who, [f"thread:{who[0]}"]))
    world.history(who, 6)
    nodes = [node_of(world, each) for each in who]
    straight = [item for node in nodes for item in world.table.query(f"N#{node}", begins="E#").items]
    assert len(straight) == 7
    world.table.batch_put([item | {"pk": item["pk"] + "-put"} for item in straight])
    put = [item for node in nodes for item in world.table.query(f"N#{node}-put", begins="E#").items]
    assert [item | {"pk": ""} for item in put] == [item | {"pk": ""} for item in straight]
    with world.metered() as meter:
        for node in nodes:
            world.table.query(f"N#{node}", begins="E#")
    first = meter.bill
    with world.metered() as meter:
        for node in nodes:
            world.table.query(f"N#{node}-put", begins="E#")
    assert meter.bill == first


def test_a_case_that_does_something_else_is_no_measure(world: World) -> None:
    who, refs = customer(world, 2, 0)
    meter = world.take(world.webhook(who, refs))
    must_change(meter)
    with pytest.raises(RuntimeError, match="not so"):
        must_change(meter, participants=1)
    with pytest.raises(RuntimeError, match="two customers"):
        must_be_one(world, *who, wanted=False)
