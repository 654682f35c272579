"""Security rules over the source, with nothing excepted that is not named here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.attack.tally import Tally

ROOT = Path(__file__).parent.parent.parent
OURS = ("app.py", "chalicelib", "infra")
INFRA_MAY = {"S603", "S607", "S310"}
"""The installer and the local hub start programs and ask addresses that the admin names."""
EXCEPTED = re.compile(r"#\s*noqa:.*\bS\d{3}")


def test_the_security_rules_find_nothing() -> None:
    """All of ruff's S rules, without the settings of pyproject.toml."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "S",
        "--ignore",
        "S101",
        "--output-format",
        "json",
    ]
    done = subprocess.run([*command, *OURS], cwd=ROOT, capture_output=True, text=True)
    found = [(Path(each["filename"]).relative_to(ROOT), each["code"]) for each in json.loads(done.stdout)]
    beyond = [(str(path), code) for path, code in found if code not in INFRA_MAY or path.parts[0] != "infra"]
    tally = Tally("static security rules")
    tally.facts |= {"rules": "all S rules", "findings": len(beyond), "allowed in infra": len(found) - len(beyond)}
    tally.keep()
    assert beyond == []


def test_every_exception_is_known() -> None:
    """Lines that say why a rule does not count there: so many in each part, so that a new one is looked at."""
    found = Counter(
        path.relative_to(ROOT).parts[0]
        for folder in OURS
        for path in ([ROOT / folder] if folder.endswith(".py") else (ROOT / folder).rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if EXCEPTED.search(line)
    )
    tally = Tally("static security rules")
    tally.facts["exceptions in the source"] = sum(found.values())
    tally.keep()
    assert sum(found.values()) <= 25, found


def test_nothing_runs_texts_or_opens_pickles() -> None:
    """What no exception may allow in what is deployed."""
    forbidden = re.compile(
        r"\b(?:eval|exec|__import__)\(|\bpickle\b|\bmarshal\b|\bshelve\b|yaml\.load\(|os\.system|shell=True|verify=False"
    )
    for path in [ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py")]:
        found = forbidden.findall(path.read_text("utf-8"))
        assert not found, f"{path}: {found}"
