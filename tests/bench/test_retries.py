"""Races that real processes lose on one customer: none with known identities, and nothing is lost with new ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench import retries
from bench.__main__ import retry_rows
from bench.retries import KNOWN, NEW, Hammered, Report
from chalicelib.context import resolve
from chalicelib.store.table import Action
from tests.schedule import MemoryTable, replaced

WORKERS, ROUNDS, CHANGES = 2, 2, 8


class Contested(MemoryTable):
    """Somebody else is first, so many times."""

    def __init__(self, races: int) -> None:
        super().__init__()
        self.races = races

    def transact(self, actions: Sequence[Action]) -> bool:
        self.races -= 1
        return self.races < 0 and super().transact(actions)


@pytest.mark.parametrize(("races", "busy"), [(0, 0), (3, 0), (resolve.RESTARTS + 2, 1)])
def test_every_lost_race_is_counted(races: int, busy: int) -> None:
    report = Report()
    with replaced((resolve, "_back_off", lambda number: None)):
        assert retries.lost_by(Contested(races), ("chat", "desk"), report) == races
    assert report.busy == busy


def hammered(kind: str) -> Hammered:
    found = retries.hammered(kind, WORKERS, ROUNDS, CHANGES)
    assert (found.kind, found.workers, found.changes) == (kind, WORKERS, WORKERS * ROUNDS * CHANGES)
    return found


@pytest.mark.embedded
def test_known_identities_lose_no_race(live_stage: dict[str, str]) -> None:
    found = hammered(KNOWN)
    assert (found.lost, found.most, found.busy) == (0, 0, 0)


@pytest.mark.embedded
def test_new_identities_all_join_whatever_they_lose(live_stage: dict[str, str]) -> None:
    found = hammered(NEW)
    assert 0 <= found.lost <= found.most


def test_a_row_says_what_the_model_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [Hammered(NEW, 4, 384, 0.415, 5, 0, 120.4)]
    monkeypatch.setattr(retries, "measured", lambda: told)
    (row,) = retry_rows(False)
    assert row.measured == "0.41 a change, 5 at most (384 changes, 120 /s)"
    assert (row.what, row.budget) == ("retries of 4 workers on one customer, new identities", "model: about 1")
    assert row.numbers["lost"] == 0.415
