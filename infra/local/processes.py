"""One child process: started with a lifeline, ended politely, killed without mercy."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.local.state import ROOT


class Child:
    """`log` takes its output; None leaves it on the terminal."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path | None = None) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.log = log
        self.wanted = False
        self.started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Its own session, so that Ctrl-C reaches the supervisor alone and the order of ending is ours."""
        self.wanted = True
        self.started_at = time.monotonic()
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self.log.open("ab")) if self.log else None
            self._process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def fate(self) -> str:
        """How it ended, in words."""
        code = self._process.poll() if self._process else None
        if code is None:
            return "is running"
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def send(self, number: int) -> None:
        """To it and to what it started: they are a session, so none of them outlives a kill."""
        if self._process and self.alive:
            os.killpg(self._process.pid, number)

    def stop(self, seconds: float = 20.0) -> None:
        """SIGTERM, wait, and SIGKILL if that was not enough."""
        self.wanted = False
        self.send(signal.SIGTERM)
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        if not self._process:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def last_words(self) -> str:
        """The last line of its log."""
        if not self.log or not self.log.exists():
            return ""
        lines = self.log.read_text("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
