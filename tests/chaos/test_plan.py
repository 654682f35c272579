"""A run is its seed: the same plan, the same fate of the same call."""

from __future__ import annotations

from collections import Counter

from tests.chaos.plan import ALL, KINDS, OUTAGES, Fault, Plan, Size, draw, roll
from tests.standins.server import MODES


def test_a_seed_gives_the_same_plan_and_the_same_fates() -> None:
    one, two = draw(7, Size()), draw(7, Size())
    assert one == two
    fates = [one.fault(call, number, 1.0) for call in ALL for number in range(200)]
    assert fates == [two.fault(call, number, 1.0) for call in ALL for number in range(200)]
    assert any(fates)


def test_another_seed_gives_another_plan() -> None:
    plans = {tuple(draw(seed, Size()).lines()) for seed in range(50)}
    assert len(plans) == 50


def test_all_seeds_together_leave_nothing_out() -> None:
    plans = [draw(seed, Size(hang=True)) for seed in range(60)]
    assert {each.kind for plan in plans for each in plan.faults} == set(KINDS)
    assert {out.behaviour["mode"] for plan in plans for out in plan.outages} == {each["mode"] for each in OUTAGES}
    assert not any(out.system == "partner" and out.behaviour["mode"] == "lie" for plan in plans for out in plan.outages)
    assert {kill.process for plan in plans for kill in plan.kills} == {"http", "workers"}
    assert {kill.after for plan in plans for kill in plan.kills if kill.call} == {False, True}
    assert any(not kill.call for plan in plans for kill in plan.kills)
    assert {jump.process for plan in plans for jump in plan.jumps} == {"http", "workers"}
    assert {each["mode"] for each in OUTAGES} <= set(MODES)


def test_every_plan_throttles_the_table_for_a_minute_at_full_scale() -> None:
    for seed in range(20):
        window = draw(seed, Size(seconds=120.0, scale=1.0)).faults[0]
        assert round(window.ends - window.begins, 2) == 60.0
        assert window.ends <= 120.0
        assert window.share == 1.0


def test_shares_are_kept() -> None:
    plan = Plan(3, 60.0, (Fault("slow", ("sqs.SendMessage",), 0.2),))
    hit = sum(plan.fault("sqs.SendMessage", number, 1.0) is not None for number in range(5000))
    assert 850 < hit < 1150
    assert plan.fault("dynamodb.PutItem", 1, 1.0) is None


def test_rolls_are_even_and_apart() -> None:
    rolls = [roll(1, kind, number) for kind in KINDS for number in range(500)]
    assert len(set(rolls)) == len(rolls)
    assert all(0 <= each < 1 for each in rolls)
    assert min(Counter(int(each * 10) for each in rolls).values()) > len(rolls) / 10 * 0.9


def test_a_fault_that_comes_again_does_so_at_the_beginning_of_each_turn() -> None:
    fault = Fault("reset", ("sqs.SendMessage",), 1.0, 0.0, 6.0, every=60.0)
    bad = [
        second
        for second in (0.0, 5.9, 6.0, 59.9, 60.0, 65.9, 66.0, 3603.0)
        if fault.concerns("sqs.SendMessage", second)
    ]
    assert bad == [0.0, 5.9, 60.0, 65.9, 3603.0]
    assert not fault.concerns("dynamodb.Query", 0.0)
