"""docs/proof.md says what the kept results say. DRAAD_WRITE=1 writes it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from bench import proof, report
from bench.proof import Claim
from infra.local.state import ROOT

PAGE = ROOT / "docs" / "proof.md"


def test_the_page_says_what_was_kept() -> None:
    if os.environ.get("DRAAD_WRITE"):
        PAGE.write_text(proof.page(), "utf-8")
    assert PAGE.read_text("utf-8") == proof.page(), "docs/proof.md is old: run the tests once with DRAAD_WRITE=1"


@pytest.mark.parametrize("claim", proof.CLAIMS, ids=lambda claim: claim.title)
def test_the_command_of_a_claim_is_there(claim: Claim) -> None:
    """A target of the Makefile, or tests or a module that exist."""
    if claim.command.startswith("make "):
        assert re.search(rf"^{claim.command.split()[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for path in re.findall(r"tests/\S+", claim.command):
        assert (ROOT / path).exists()
    for module in re.findall(r"-m (bench\.\w+)", claim.command):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_what_was_run_by_hand_is_dated_and_asked_for() -> None:
    runs = json.loads(proof.RUNS.read_text("utf-8"))
    for each in (run for found in runs.values() for run in found):
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", each["date"]) and each["said"]
    page = proof.page()
    assert all(run["said"] in page for found in runs.values() for run in found), "a run that no claim shows"


def test_the_newest_result_is_told_and_a_missing_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    claim = Claim("It flies", "Always.", "make bench", proof.rows("20*.json", "height"), "Landing.")
    assert proof.NEVER in proof.section(claim)
    for day, measured in (("2026-01-01", "1 m"), ("2026-01-02", "2 m")):
        row = {"what": "height at rest", "measured": measured, "budget": "≥ 1 m", "verdict": "ok"}
        other = row | {"what": "weight"}
        (tmp_path / f"{day}.json").write_text(json.dumps({"date": day, "rows": [row, other]}), "utf-8")
    assert "\n- 2026-01-02: height at rest: 2 m (≥ 1 m: ok)\n" in proof.section(claim)
    assert "weight" not in proof.section(claim) and "1 m (" not in proof.section(claim)
