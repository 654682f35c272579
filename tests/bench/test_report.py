"""Costs add up, and results name no machine."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from bench import cost, report
from bench.__main__ import storage_row
from bench.cases import Budget, Case
from bench.cost import Cost, Traffic
from bench.meter import Bill
from bench.report import Row


def test_queue_requests_of_one_webhook() -> None:
    assert cost.queue_requests(Traffic("one at a time", (), batch=1)) == 6
    assert cost.queue_requests(Traffic("in tens", ())) == pytest.approx(1.5)
    assert cost.queue_requests(Traffic("not delivered", (), delivered=False)) == pytest.approx(1.2)


def test_compute_is_requests_and_gigabyte_seconds() -> None:
    assumed = {"memory_gb": 0.5, "hook_ms": 10, "context_ms": 20, "fanout_ms": 10, "deliver_ms": 60}
    listed = {"lambda_requests": 0.2, "lambda_gb_seconds": 10.0, "assumed": assumed}
    assert cost.compute(Traffic("in tens", ()), listed) == pytest.approx(1.3 * 0.2 + 0.1 * 0.5 * 10)


def test_a_total_has_every_part() -> None:
    assert Cost("known", 3.5, 1.0, 0.6, 2.5, 1.25, Bill(), None).total == 8.85


def test_prices_are_dated_and_sourced() -> None:
    listed = cost.prices()
    assert len(listed["dated"]) == 10 and all(url.startswith("https://aws.amazon.com/") for url in listed["sources"])


def test_a_row_that_is_over_at_any_length_is_over() -> None:
    case = Case("known", lambda world, entries: Bill(), Budget(write_units=2))
    row = storage_row(case, {10: Bill(writes=1, write_units=2), 1_000: Bill(writes=1, write_units=3)})
    assert row.verdict == report.OVER and "3 WU" in row.measured
    assert storage_row(case, {10: Bill(write_units=2)}).verdict == report.OK


def test_results_are_kept_by_date_without_the_machines_name(tmp_path: Path) -> None:
    path = report.keep([Row("a", "1", "≤ 2", report.OK), Row("b", "3", "≤ 2", report.OVER)], 1.0, tmp_path)
    found = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert [row["verdict"] for row in found["rows"]] == ["ok", "over"]
    assert "| b | 3 | ≤ 2 | **over** |" in path.read_text("utf-8")
    assert platform.node() not in json.dumps(found["machine"]) and str(Path.home()) not in path.read_text("utf-8")
