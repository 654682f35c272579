"""Many runs by several hubs at once, each driven by a process of its own: a run waits more than it computes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.demo.tell import Tell
from infra.local.state import ROOT
from tests.chaos.sums import KEPT, Sums, read

SECONDS_BETWEEN = 0.2
END_SECONDS = 60.0
"""For a driver that was told to stop, and stops its hub first."""


@dataclass
class Drivers:
    """One process for each hub. `options`: what each is told besides its seeds. `after`: called with the sums so far."""

    groups: Sequence[Sequence[int]]
    options: Sequence[str]
    tell: Tell
    after: Callable[[Sums], None]
    sums: Sums = field(default_factory=Sums)
    _going: dict[Path, subprocess.Popen[bytes]] = field(default_factory=dict)

    def go(self, at_once: int) -> Sums:
        """Sums of all that ended; of one that broke down, its seeds count as wrong."""
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as made:
            waiting = [(Path(made) / f"{seeds[0]}.json", seeds) for seeds in self.groups]
            try:
                while waiting or self._going:
                    while waiting and len(self._going) < at_once:
                        self._begin(*waiting.pop(0))
                    self._look()
                    time.sleep(SECONDS_BETWEEN)
            finally:
                self._stop()
        return self.sums

    def _begin(self, path: Path, seeds: Sequence[int]) -> None:
        told = ("--seed", str(seeds[0]), "--runs", str(len(seeds)), "--sums", str(path))
        log = KEPT / f"{seeds[0]}.log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "tests.chaos", *told, *self.options]
            self._going[path] = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        self.tell.line(f"hub      of seeds {seeds[0]} to {seeds[-1]}: what it says is in {log.relative_to(ROOT)}")

    def _look(self) -> None:
        for path, process in list(self._going.items()):
            if process.poll() is None:
                continue
            del self._going[path]
            self.sums.join(read(path) if path.exists() else broken(self._seeds(path)))
            for line in self.sums.lines():
                self.tell.line(line)
            self.after(self.sums)

    def _seeds(self, path: Path) -> Sequence[int]:
        return next(seeds for seeds in self.groups if str(seeds[0]) == path.stem)

    def _stop(self) -> None:
        for process in self._going.values():
            process.terminate()
        for process in self._going.values():
            process.wait(END_SECONDS)


def broken(seeds: Sequence[int]) -> Sums:
    return Sums(runs=len(seeds), wrong=list(seeds))
