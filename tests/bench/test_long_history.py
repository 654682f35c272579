"""What a step or a look costs after a hundred thousand events. Each case has a stage of its own, so
that its history is gone with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.cases import IDENTIFIED, Case
from bench.deliveries import DELIVERED
from bench.looks import LOOKS
from bench.refs import REFERRED
from bench.stage import World, memory_stage

SHORT, LONG = 1_000, 100_000
pytestmark = pytest.mark.nightly


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", IDENTIFIED + REFERRED + DELIVERED, ids=named)
def test_a_step_costs_the_same_after_a_hundred_thousand_events(case: Case) -> None:
    with memory_stage():
        world = World()
        few, many = case.run(world, SHORT), case.run(world, LONG)
    assert few == many
    assert case.budget.holds(many), (many, case.budget)


@pytest.mark.parametrize("case", LOOKS, ids=named)
def test_a_look_after_a_hundred_thousand_events(case: Case) -> None:
    with memory_stage():
        world = World()
        few, many = case.run(world, SHORT), case.run(world, LONG)
    assert replace(few, read_units=0) == replace(many, read_units=0)
    assert many.read_units == few.read_units
