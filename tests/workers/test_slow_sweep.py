"""A sweep tells what it did and how long it took; one that was slow is told though it did nothing."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.workers import sweep


@pytest.mark.parametrize(
    ("retries", "seconds", "told"), [(0, 1, False), (0, 10, True), (1, 1, True)], ids=["idle", "slow", "busy"]
)
def test_a_slow_sweep_is_told(monkeypatch: pytest.MonkeyPatch, retries: int, seconds: int, told: bool) -> None:
    notes: list[dict[str, Any]] = []
    clock = count(100, seconds)

    def nothing(*_: object) -> int:
        return 0

    for module, name in (
        (sweep.missed, "start_due"),
        (sweep.reconcile, "start_due"),
        (sweep.stats, "start_due"),
        (sweep.migrate, "start_due"),
        (sweep.pulse, "beat"),
        (sweep.gauges, "tell"),
        (sweep, "DynamoTable"),
        (sweep, "_drain"),
        (sweep, "_renew_all"),
    ):
        monkeypatch.setattr(module, name, nothing)
    monkeypatch.setattr(sweep.connections, "everyone", lambda table: [])
    monkeypatch.setattr(sweep.deliveries, "take_due", lambda table, shard, now: retries if shard == 0 else 0)
    monkeypatch.setattr(sweep.telemetry, "note", lambda message, **facts: notes.append(facts))
    monkeypatch.setattr(sweep, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    sweep.take()
    assert [(each["retries"], each["ms"]) for each in notes] == ([(retries, seconds * 1000)] if told else [])
