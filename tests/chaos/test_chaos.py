"""Whole hubs through runs of faults: 0 lost, 0 doubled; and a hub that loses is found out, by name."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
from collections.abc import Iterator

import pytest

from infra.demo.tell import Tell
from tests.chaos import soak as soaking
from tests.chaos.__main__ import Session, main
from tests.chaos.plan import Size
from tests.chaos.soak import Sample, grown
from tests.chaos.sums import KEPT
from tests.chaos.world import world

SHORT = Size(customers=6, seconds=3.5, scale=0.03, jump=8.0)
SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
"""Printed in what a run says, so that a red one can be repeated."""


def survived(seeds: list[int], size: Size, runs_on_one_hub: int = 5, **more: object) -> None:
    told = io.StringIO()
    session = Session(size, Tell(told), **more)
    for start in range(0, len(seeds), runs_on_one_hub):
        session.hub(seeds[start : start + runs_on_one_hub])
    for line in session.sums.lines():
        session.tell.line(line)
    print(told.getvalue())
    assert session.sums.buried
    assert session.sums.good == len(seeds), f"NOT OK: {session.sums.wrong}; `make chaos SEED=…` repeats one"
    assert session.sums.places["lost"] == 0
    assert session.sums.injected.total() > 10 * len(seeds), "hardly anything went wrong"


@pytest.mark.embedded
def test_five_random_runs_lose_and_double_nothing() -> None:
    survived(list(range(SEED, SEED + 5)), SHORT)


@pytest.mark.embedded
def test_a_hub_that_loses_is_found_out() -> None:
    """Its workers take every fifth arrival for done."""
    told = io.StringIO()
    size = Size(customers=4, seconds=4.0, scale=0.05, kills=0, jump=0.0)
    session = Session(size, Tell(told), app="tests.chaos.forgetful", patience=4.0, poison=False)
    session.hub([SEED])
    print(told.getvalue())
    assert session.sums.wrong == [SEED]
    assert session.sums.places["lost"] > 0
    assert "   NOT OK" in told.getvalue()
    assert "lost: " in told.getvalue()
    assert f"make chaos SEED={SEED}" in "\n".join(session.sums.lines())
    evidence = KEPT / f"{SEED}-evidence"
    asked = json.loads((evidence / "asked.json").read_text("utf-8"))
    assert asked["health"]["queues"] and "not answered" not in str(asked["deliveries"])
    assert all(row["pk"].startswith("L#") for row in asked["rows"])
    assert (evidence / "workers.log").exists()
    shutil.rmtree(evidence)


@pytest.mark.embedded
@pytest.mark.nightly
def test_two_hundred_random_runs_lose_and_double_nothing() -> None:
    runs = os.environ.get("CHAOS_RUNS", "200")
    assert main(["--seed", str(SEED), "--runs", runs, "--at-once", "2", "--jump", "20"]) == 0


@pytest.mark.embedded
@pytest.mark.nightly
def test_the_table_is_throttled_for_a_whole_minute_and_calls_hang() -> None:
    survived([SEED], Size(customers=20, seconds=90.0, scale=1.0, hang=True, kills=6, jump=120.0), patience=300.0)


@pytest.mark.embedded
@pytest.mark.nightly
def test_a_soak_keeps_its_memory() -> None:
    told = io.StringIO()
    events = int(os.environ.get("CHAOS_SOAK", "100000"))
    with world(whole=False, sweep=soaking.SWEEP_SECONDS) as made:
        _, ledger, wrong = soaking.soak(made, SEED, events, Tell(told))
    print(told.getvalue(), *ledger.lines(), sep="\n")
    assert wrong == []


@pytest.fixture
def flat() -> Iterator[list[Sample]]:
    yield [Sample(number * 1000, number, {"aws": 100 * number, "http": 60, "workers": 140}) for number in range(11)]


def test_flat_memory_is_flat_whatever_the_embedded_aws_takes(flat: list[Sample]) -> None:
    assert grown(flat) == []


def test_memory_that_grows_is_told(flat: list[Sample]) -> None:
    leaking = [Sample(each.events, each.seconds, each.memory | {"workers": 140 + each.events // 200}) for each in flat]
    assert grown(leaking) == ["workers grew from 155 MB to 190 MB over the last 75% of the events"]
