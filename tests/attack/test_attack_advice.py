"""What `make attack` makes of pip-audit's answers, and that it has pip-audit to ask."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack import report
from tests.attack.__main__ import AUDIT, advised

FINE = {"name": "six", "version": "1.17.0", "vulns": []}
BAD = {"name": "chalice", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": []}, {"id": "GHSA-2"}]}
LACKS = {"name": "segno", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("found", "line", "vulnerable"),
    [
        ([FINE], "no known vulnerability in the 1 packages of requirements.txt", False),
        ([FINE, BAD], "**known vulnerabilities: chalice 1.0: PYSEC-1, GHSA-2**", True),
        ([BAD, LACKS], "**known vulnerabilities: chalice 1.0: PYSEC-1, GHSA-2**", True),
        ([FINE, LACKS], "not run, the advisory database lacks 1 of 2 packages", False),
    ],
)
def test_a_vulnerability_fails_and_silence_is_no_all_clear(found: list[object], line: str, vulnerable: bool) -> None:
    told, failed = advised(json.dumps({"dependencies": found, "fixes": []}))
    assert told.startswith(line) and failed is vulnerable


def test_no_answer_is_told_as_such() -> None:
    assert advised("") == (
        "not run, no advisory database answers; with a network: .venv/bin/python -m tests.attack --audit",
        False,
    )


def test_the_kept_table_gets_the_new_advice_alone(tmp_path: Path) -> None:
    about = {
        "date": "2026-11-27",
        "seconds": 1.0,
        "machine": {"cpus": 2, "architecture": "x", "system": "y", "python": "3"},
    }
    (tmp_path / "attack.json").write_text(json.dumps(about | {"audit": "not run"}), "utf-8")
    (tmp_path / "attack.md").write_text(report.text([], {"suites": [], "audit": "not run"}, about), "utf-8")
    report.renew("no known vulnerability", tmp_path)
    assert (tmp_path / "attack.md").read_text("utf-8").endswith("## Dependencies\n\nno known vulnerability\n")
    assert json.loads((tmp_path / "attack.json").read_text("utf-8")) == about | {"audit": "no known vulnerability"}


def test_it_is_installed_and_takes_these_options() -> None:
    done = subprocess.run([sys.executable, *AUDIT, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "--no-deps" in done.stdout
