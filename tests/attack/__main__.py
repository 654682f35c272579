"""`make attack`: everything thrown, a table of it, kept by date: bench/results/attack.json and attack.md."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from tests.attack import report, tally
from tests.attack.test_attack_fuzz import SECONDS

ROOT = Path(__file__).parent.parent.parent
OWN = ("tests/attack",)
BEFORE = (
    "tests/kit/test_addresses.py",
    "tests/kit/test_http.py",
    "tests/kit/test_jwt.py",
    "tests/kit/test_public_keys.py",
    "tests/kit/test_xml.py",
    "tests/kit/test_multipart.py",
    "tests/kit/test_mime.py",
    "tests/sources/test_mapping.py",
    "tests/sources/test_signatures.py",
    "tests/sources/test_source_fuzz.py",
    "tests/sources/test_source_conformance.py",
    "tests/ingest/test_receive.py",
    "tests/ingest/test_bytes.py",
    "tests/api/test_access.py",
    "tests/api/test_attempts.py",
    "tests/api/test_quotas.py",
    "tests/web/test_magic_links.py",
    "tests/web/test_pages.py",
    "tests/infra/test_gateway.py",
)
"""Suites that were there before and attack too: run along, so that one command says all."""
PARTS = {"attack": OWN, "suites of before": BEFORE}
AUDIT = (sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "-r", "requirements.txt")
SHOWN_AUDIT = "python -m pip install pip-audit && python -m pip_audit --disable-pip --no-deps -r requirements.txt"
LEAST_SECONDS = 60
SIDE_BY_SIDE = ("-n", "auto", "--maxprocesses", "4", "--dist", "loadgroup")


@dataclass(frozen=True)
class Suite:
    """What pytest says of some files. `failures`: the names of tests."""

    name: str
    tests: int
    skipped: int
    failures: tuple[str, ...]


def ran(name: str, paths: Sequence[str], folder: Path, counts: Path) -> Suite:
    """Everything but what needs a whole hub of its own: that is `make test`'s, and would share these cores."""
    found = folder / f"{len(name)}-junit.xml"
    env = dict(os.environ) | {tally.FULL: "1", tally.FOLDER: str(counts)}
    env.setdefault(SECONDS, str(LEAST_SECONDS))
    command = [sys.executable, "-m", "pytest", *SIDE_BY_SIDE, "-m", "not embedded", f"--junitxml={found}", *paths]
    done = subprocess.run(command, cwd=ROOT, env=env, check=False)
    if not found.exists():
        return Suite(name, 0, 0, (f"pytest ended with {done.returncode} and no report",))
    return counted(name, found)


def counted(name: str, path: Path) -> Suite:
    cases = list(ElementTree.parse(path).iter("testcase"))
    failed = [each for each in cases if each.find("failure") is not None or each.find("error") is not None]
    skipped = sum(each.find("skipped") is not None for each in cases)
    names = tuple(f"{each.get('classname')}.{each.get('name')}" for each in failed)
    return Suite(name, len(cases), skipped, names)


def audited() -> str:
    """One line of what the advisory database says of what is deployed, or why nobody could be asked."""
    if find_spec("pip_audit") is None:
        return f"not run, pip-audit is not installed: {SHOWN_AUDIT}"
    done = subprocess.run(AUDIT, cwd=ROOT, capture_output=True, text=True, timeout=600)
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    unknown = sum("could not be audited" in line for line in said)
    if unknown or not said:
        return f"not run, the advisory database knows {unknown} of the packages not: {SHOWN_AUDIT}"
    if any("No known vulnerabilities found" in line for line in said):
        return "no known vulnerability in requirements.txt"
    return f"**exit code {done.returncode}: {said[0][:200]}**"


def main() -> int:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        counts = Path(made) / "counts"
        counts.mkdir()
        suites = [ran(name, paths, Path(made), counts) for name, paths in PARTS.items()]
        found = tally.kept(counts)
    told = {"suites": [asdict(each) for each in suites], "audit": audited()}
    path = report.keep(found, told, time.monotonic() - begun)
    print(path.read_text("utf-8"))
    failed = [name for suite in suites for name in suite.failures]
    print(f"attack: {'FAILED: ' + ', '.join(failed) if failed else 'nothing got through'} ({path})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
