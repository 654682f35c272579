"""What `make` would run."""

from __future__ import annotations

import os
import subprocess

from infra.local.state import ROOT

OF_A_MAKE_ABOVE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
"""Without these it is as from a shell: below `make test` it would be a make in a make, which says so."""


def made(*words: str) -> str:
    """The commands and complaints of `make -n` with these words, on one line."""
    env = {name: value for name, value in os.environ.items() if name not in OF_A_MAKE_ABOVE}
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).replace("\\\n", " ").split())
