"""The table of memory, and that a process runs the functions which it is told to run."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bench.memory import Used, peak, table
from infra.local import pollers


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="says nothing about a process's peak")
def test_the_peak_of_a_process_stays_when_the_memory_is_given_back() -> None:
    before = peak(os.getpid())
    held = bytearray(64 * 2**20)
    held[:: 2**12] = b"x" * len(held[:: 2**12])
    del held
    assert peak(os.getpid()) >= before
    assert peak(os.getpid()) > 64


def test_the_table_shows_how_much_of_its_memory_a_function_took() -> None:
    assert table([Used("deliver", 43.2, 128.0)], 512).splitlines()[-1] == "| deliver | 43 | 128 | 25% |"


def test_a_process_runs_the_functions_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Source:
        def __init__(self, name: str) -> None:
            self.name = name

    class App:
        event_sources = [Source("context"), Source("jobs")]
        handler_map = {"context": None, "jobs": None}

    monkeypatch.setattr(pollers, "_LOOPS", {"Source": lambda source, *_: [(source.name, lambda: None)]})
    for said, wanted in (("", ["context", "jobs"]), ("jobs", ["jobs"]), ("context jobs", ["context", "jobs"])):
        options = pollers.options_from({"DRAAD_FUNCTIONS": said}, Path("state"))
        assert [name for name, _ in pollers.loops(App(), options, threading.Event())] == wanted
