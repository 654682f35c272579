"""A version over the one before it, with data and traffic, and back again: nothing is lost, nothing is told twice.

The version before is the newest tag, else ten commits back; DRAAD_BEFORE names another. It runs from its own files.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infra.local.embedded import free_port, make_venv
from infra.local.state import ROOT
from tests import test_crash as crash
from tests.drive import Integrator, eventually
from tests.test_story import connected

pytestmark = pytest.mark.embedded

CUSTOMERS = 12
CONCURRENCY = 4
TRIES = 600
"""For two minutes: no version may run for that long."""


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def revision() -> str:
    if named := os.environ.get("DRAAD_BEFORE"):
        return git("rev-parse", named)
    try:
        return git("rev-parse", git("describe", "--tags", "--abbrev=0", "HEAD~1") + "^{commit}")
    except subprocess.CalledProcessError:
        return git("rev-list", "--first-parent", "--skip=10", "-1", "HEAD")


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The files of the version before."""
    folder = tmp_path / "before"
    folder.mkdir()
    try:
        found = revision()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the history of the repository is not here")
    packed = subprocess.run(["git", "archive", found], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return folder


@contextmanager
def running(version: Path, state: Path, port: int) -> Iterator[str]:
    """The hub of a version on a state, as `make run` starts it; stopped as Ctrl-C does. The admin key."""
    told = {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1", "DRAAD_SWEEP_SECONDS": "2", "DRAAD_VISIBILITY_SECONDS": "10"}
    place = {"DRAAD_STATE": str(state), "PORT": str(port), "DRAAD_AWS_VENV": str(make_venv().parents[1])}
    env = {name: value for name, value in os.environ.items() if not name.startswith("DRAAD_")} | told | place
    log = state.with_suffix(f".{time.monotonic_ns()}.log")
    with log.open("w") as said:
        hub = subprocess.Popen([sys.executable, "-m", "infra.local"], cwd=version, env=env, stdout=said, stderr=said)
        try:
            eventually(lambda: "\nready " in log.read_text() or hub.poll() is not None, seconds=120)
            assert hub.poll() is None, log.read_text()[-2000:]
            yield (state / "admin-key").read_text().strip()
        finally:
            hub.send_signal(signal.SIGINT)
            hub.wait(60)


def test_nothing_is_lost_between_two_versions(before: Path, tmp_path: Path) -> None:
    state, port = tmp_path / "state", free_port()
    numbers = range(crash.FIRST, crash.FIRST + CUSTOMERS)
    with ExitStack() as around, ThreadPoolExecutor(CONCURRENCY) as pool:
        with running(before, state, port) as key:
            world = around.enter_context(connected(Integrator(f"http://127.0.0.1:{port}", key)))
            sends = crash._webhooks(world, CUSTOMERS)
            half = len(sends) // 2
            assert all(pool.map(crash.send, sends[:half]))
            going = [pool.submit(crash.send, each, TRIES) for each in sends[half:]]
        with running(ROOT, state, port) as same:
            assert same == key
            assert all(each.result() for each in going)
            known = eventually(lambda: crash._complete(world, numbers), seconds=120, every=1.0)
            eventually(lambda: all(world.who.in_step(each) for each in known.values()), seconds=120, every=1.0)
            crash._check(world, numbers, known)
            entries = {each: world.who.entries(each) for each in known.values()}
        with running(before, state, port):
            assert {each: world.who.entries(each) for each in known.values()} == entries, "and back again"
            crash._check(world, numbers, known)
