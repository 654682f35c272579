"""`make attack`: everything thrown, a table of it, kept by date: bench/results/attack.json and attack.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
AUDIT = [
    "-m",
    "pip_audit",
    "--disable-pip",
    "--no-deps",
    "--progress-spinner",
    "off",
    "--format",
    "json",
    "-r",
    "requirements.txt",
]
SHOWN_AUDIT = ".venv/bin/python -m tests.attack --audit"
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


def audited() -> tuple[str, bool]:
    """What the advisory database says of what is deployed, and whether it knows anything against it."""
    done = subprocess.run([sys.executable, *AUDIT], cwd=ROOT, capture_output=True, text=True, timeout=600)
    return advised(done.stdout)


def advised(output: str) -> tuple[str, bool]:
    """The same of pip-audit's JSON, which is empty where no database answered."""
    try:
        found = json.loads(output)["dependencies"]
    except ValueError:
        return f"not run, no advisory database answers; with a network: {SHOWN_AUDIT}", False
    known = {f"{each['name']} {each['version']}": each["vulns"] for each in found if each.get("vulns")}
    if known:
        told = "; ".join(f"{name}: {', '.join(each['id'] for each in vulns)}" for name, vulns in known.items())
        return f"**known vulnerabilities: {told}**", True
    unknown = sum("skip_reason" in each for each in found)
    if unknown:
        return (
            f"not run, the advisory database lacks {unknown} of {len(found)} packages; with a network: {SHOWN_AUDIT}",
            False,
        )
    return f"no known vulnerability in the {len(found)} packages of requirements.txt", False


def audit() -> int:
    advice, vulnerable = audited()
    report.renew(advice)
    print(advice)
    return int(vulnerable)


def main() -> int:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        counts = Path(made) / "counts"
        counts.mkdir()
        suites = [ran(name, paths, Path(made), counts) for name, paths in PARTS.items()]
        found = tally.kept(counts)
    advice, vulnerable = audited()
    told = {"suites": [asdict(each) for each in suites], "audit": advice}
    path = report.keep(found, told, time.monotonic() - begun)
    print(path.read_text("utf-8"))
    failed = [name for suite in suites for name in suite.failures] + [advice] * vulnerable
    print(f"attack: {'FAILED: ' + ', '.join(failed) if failed else 'nothing got through'} ({path})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(audit() if sys.argv[1:] == ["--audit"] else main())
