"""The targets of the fuzzing: over all seeds on every Python, and guided by coverage where its engine is there."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attack import fuzz, targets
from tests.attack.tally import Tally, full

QUICK_RUNS, QUICK_SECONDS = 400, 20
LONG = 300
"""Seconds for each target at night; `make attack` has its own."""
SECONDS = "DRAAD_FUZZ_SECONDS"
STRIDE = 4


@pytest.fixture(autouse=True)
def without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets.secrets, "pepper", lambda: b"p" * 64)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_no_seed_breaks_its_target(name: str) -> None:
    """With some spoiled at places that a fixed chance chooses. In `make test` a fourth of them."""
    tally, chance, call = Tally(f"seeds of {name}"), random.Random(9), targets.TARGETS[name]
    found = list(targets.seeds(name))
    assert len(found) >= 20
    for raw in found if full() else found[::STRIDE]:
        call(raw)
        at = chance.randrange(len(raw) + 1)
        call(raw[:at] + bytes([chance.randrange(256)]) + raw[at + chance.randrange(3) :])
        tally.inputs["fuzzing, seeds"] += 2
    tally.keep()


@pytest.mark.parametrize("name", targets.TARGETS)
def test_no_bytes_break_a_target(name: str) -> None:
    @settings(max_examples=400 if full() else 60, deadline=None)
    @given(st.binary(max_size=300))
    def run(raw: bytes) -> None:
        targets.TARGETS[name](raw)

    run()


def test_what_broke_once_is_thrown_again() -> None:
    """What the fuzzing found and somebody mended: kept as files `TARGET-anything` of corpora/found."""
    found = sorted((Path(__file__).parent / "corpora" / "found").glob("*-*"))
    for path in found:
        targets.TARGETS[path.name.partition("-")[0]](path.read_bytes())


needs_engine = pytest.mark.skipif(not fuzz.there(), reason="atheris has no build for this Python or platform")


def one(name: str, seconds: int, runs: int, kept: Path) -> None:
    found = fuzz.fuzzed(name, seconds, runs, kept)
    tally = Tally(f"fuzzing of {name}")
    tally.inputs["fuzzing, guided"] = found.runs
    tally.facts |= {"runs": found.runs, "edges with the seeds": found.before, "edges": found.edges}
    tally.facts |= {"features": found.features, "seconds": seconds}
    tally.keep()
    assert not found.broken, found.broken
    assert found.runs >= 100 and found.edges >= found.before > 0, found.said[-1000:]


@needs_engine
def test_the_engine_is_guided_by_what_it_reaches(tmp_path: Path) -> None:
    """Some hundred runs of the target that starts fastest, from nothing but its seeds."""
    one("cursors", QUICK_SECONDS, QUICK_RUNS, tmp_path)


@needs_engine
@pytest.mark.nightly
@pytest.mark.parametrize("name", targets.TARGETS)
def test_for_longer(name: str) -> None:
    one(name, int(os.environ.get(SECONDS, LONG)), -1, fuzz.KEPT)
