"""Others' programs as processes: in a group of their own, so that SIGKILL takes all of it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.embedded import status

FOREIGN = ("AWS_", "BOTO_", "PYTHON", "VIRTUAL_ENV", "DRAAD_", "NODE_", "N8N_", "RESTATE_")
READY_SECONDS = 180.0


class PeerFailed(Exception):
    """One sentence: which, why, and what to do next."""


def plain_env(**more: str) -> dict[str, str]:
    """This process's environment without what is meant for others. Loopback goes by no proxy."""
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}
    return env | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"} | more


@dataclass
class Program:
    """`port` and `path`: answer 200 when it is ready."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    folder: Path
    port: int
    path: str = "/"
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                env=dict(self.env),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while status(self.port, self.path) not in (200, 204):
            if self._process and self._process.poll() is not None:
                raise PeerFailed(f"{self.name} ended with {self._process.returncode}: see {self.log}")
            if time.monotonic() > deadline:
                raise PeerFailed(f"{self.name} does not answer after {seconds:.0f} s: see {self.log}")
            time.sleep(0.05)

    def again(self) -> None:
        self.start()
        self.wait_until_ready()

    def kill(self) -> None:
        """SIGKILL to all of it; returns when it is gone."""
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait()
        self._process = None

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        self.kill()

    def _signal(self, number: int) -> None:
        """Only to the group that `start` made: it has the number of its first process."""
        if self._process and self._process.pid > 1:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
