"""What the figures of the overview cost: the same after any history. Each in an AWS of its own."""

from __future__ import annotations

import pytest

from bench.cases import Case
from bench.counting import COUNTED
from bench.stage import World, memory_stage

SHORT, LONG = 10, 120


@pytest.mark.parametrize("case", COUNTED, ids=[case.name for case in COUNTED])
def test_counting_an_hour_and_reading_a_week_cost_the_same_after_any_history(case: Case) -> None:
    with memory_stage():
        world = World()
        short, long = case.run(world, SHORT), case.run(world, LONG)
    assert short == long
    assert case.budget.holds(short), (short, case.budget)
