"""Where the hub may send to: the same verdicts on every supported Python that is here, as the vectors have them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attack import ssrf
from tests.attack.tally import Tally

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def interpreters() -> dict[str, str]:
    """Version → a command that starts it; those that are not on this machine are left out, as in .ci/pythons."""
    found = {}
    for version in SUPPORTED:
        candidates = [shutil.which(f"python{version}") or "", *map(str, sorted(PYENV.glob(f"{version}*/bin/python")))]
        working = [each for each in candidates if each and starts(each, version)]
        found |= {version: working[0]} if working else {}
    return found


def starts(command: str, version: str) -> bool:
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([command, "-c", program], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == version


def test_this_python_has_the_verdicts_of_the_vectors() -> None:
    vectors = json.loads(ssrf.VECTORS.read_text("utf-8"))
    found = ssrf.verdicts()
    assert [each for each in vectors["allowed"] if found[each]] == []
    assert len(found) > 180
    assert [each for each, why in found.items() if not why and each not in vectors["allowed"]] == []


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_python_says_the_same(version: str) -> None:
    here = interpreters()
    if version not in here:
        pytest.skip(f"python {version} is not on this machine")
    program = str(Path(ssrf.__file__))
    done = subprocess.run([here[version], "-I", program], capture_output=True, text=True, check=True, cwd=ssrf.ROOT)
    told = json.loads(done.stdout)
    tally = Tally("SSRF verdicts")
    tally.inputs["SSRF"] += len(told["verdicts"])
    tally.facts[f"python {version}"] = told["python"]
    tally.keep()
    assert told["verdicts"] == ssrf.verdicts(), f"{told['python']} and {sys.version.split()[0]} judge differently"
