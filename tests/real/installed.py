"""Where the real systems are installed, and what is said where they are not."""

from __future__ import annotations

import os
import subprocess

import pytest

from infra.local.state import ROOT

PYTHON = ROOT / ".draad" / "real-venv" / "bin" / "python"


def demand(*modules: str) -> None:
    """Skip without them; fail where they were asked for."""
    if reason := lacking(*modules):
        why = f"{reason}: make test-real installs the real systems and runs this"
        pytest.fail(why) if os.environ.get("DRAAD_REAL") else pytest.skip(why)


def lacking(*modules: str) -> str:
    """Why the systems cannot be started; empty where they can."""
    asked = [PYTHON, "-c", f"import {', '.join(modules)}"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except OSError:
        return f"nothing is installed in {PYTHON.parents[1].relative_to(ROOT)}"
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""
