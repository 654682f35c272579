"""The supervisor: three processes `aws`, `http`, `workers`, each restarted when it ends.

Tests start a whole hub with it:

    with Hub() as hub:
        requests.get(hub.url + "/health")
        hub.kill("workers")
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from infra.local.embedded import EmbeddedAws, clean_env, free_port, status
from infra.local.errors import LocalRunFailed
from infra.local.processes import Child
from infra.local.state import READY, ROOT, State

NAMES = ("aws", "http", "workers")
READY_SECONDS = 60.0


def quiet(text: str) -> None:
    """Tell nobody."""


class Hub:
    """A whole hub on loopback.

    `state`: folder that survives; None makes a temporary one. `port`, `aws_port`: 0 takes a free
    one. `env`: extra environment for each process by name, and for all under "". `app`: the module
    with the Chalice app. `visibility_seconds`: of the queues; 360 as on AWS. `tell`: where progress
    goes. `logs`: children write to files in the state folder instead of the terminal.
    """

    def __init__(
        self,
        *,
        state: Path | None = None,
        port: int = 0,
        aws_port: int = 0,
        admin_key: str = "",
        env: Mapping[str, Mapping[str, str]] | None = None,
        app: str = "app",
        visibility_seconds: int = 360,
        tell: Callable[[str], None] = quiet,
        logs: bool = True,
    ) -> None:
        self._temporary = state is None
        self.state = State(state or Path(tempfile.mkdtemp(prefix="draad-")))
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_key = admin_key
        self.extra = {name: dict(found) for name, found in (env or {}).items()}
        self.app = app
        self.visibility_seconds = visibility_seconds
        self.tell = tell
        self.logs = logs
        self.aws = EmbeddedAws(self.state, aws_port, env=self.extra.get("", {}) | self.extra.get("aws", {}))
        self.stack_env: dict[str, str] = {}
        self.children: dict[str, Child] = {}
        self._changing = threading.RLock()
        self._ending = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def aws_url(self) -> str:
        return self.aws.url

    @property
    def env(self) -> dict[str, str]:
        """The environment of the hub's functions, without the extras of a single process."""
        shared = {"DRAAD_PUBLIC_URL": os.environ.get("DRAAD_PUBLIC_URL") or self.url}
        return clean_env(self.aws.url) | shared | self.stack_env | self.extra.get("", {})

    def __enter__(self) -> Hub:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Everything up and answering. Raises LocalRunFailed; then nothing is left running."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._watcher.start()

    def _start(self) -> None:
        must_be_free(self.port)
        self.state.open()
        self.admin_key = self.state.admin_key(self.admin_key)
        self.tell(f"aws      starting on {self.aws.url}")
        self._start_aws()
        self.tell("http     starting")
        self.tell("workers  starting")
        self._start_functions()
        self._first_key()
        self._wait_until_ready()

    def _start_aws(self) -> None:
        self.state.log.unlink(missing_ok=True)
        self.aws.start(self.tell)
        assert self.aws.child is not None
        self.children["aws"] = self.aws.child
        self.tell("aws      stack from infra/template.yaml")
        self.stack_env = self.aws.stack("local", self.visibility_seconds)

    def _start_functions(self) -> None:
        commands = {
            "http": ["-m", "infra.local.gateway", self.app, str(self.port)],
            "workers": ["-m", "infra.local.pollers", self.app, str(self.state.folder.resolve())],
        }
        for name, command in commands.items():
            log = self.state.folder / f"{name}.log" if self.logs else None
            env = self.env | self.extra.get(name, {})
            self.children[name] = Child(name, [sys.executable, *command], env, log)
            self.children[name].start()

    def _first_key(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "infra.local.first_key"],
            env=self.env | {"DRAAD_ADMIN_KEY": self.admin_key},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise LocalRunFailed(f"The admin key could not be stored: {reason}")

    def _wait_until_ready(self) -> None:
        """GET /health answers (degraded is an answer too) and the workers poll."""
        deadline = time.monotonic() + READY_SECONDS
        while not (self._workers_poll() and status(self.port, "/health") in (200, 503)):
            for child in self.children.values():
                if not child.alive:
                    raise LocalRunFailed(f"{child.name} {child.fate} while starting: {child.last_words()}")
            if time.monotonic() > deadline:
                raise LocalRunFailed(f"GET {self.url}/health does not answer; see {self.state.folder}.")
            time.sleep(0.05)

    def _workers_poll(self) -> bool:
        mark = self.state.folder / READY
        return mark.exists() and mark.read_text() == str(self.children["workers"].pid)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to one process and return when it is gone; the supervisor restarts it."""
        child = self.children[name]
        pid = child.pid
        child.send(number)
        while child.alive and child.pid == pid:
            time.sleep(0.01)

    def hold(self, name: str) -> None:
        """End one process politely and leave it down."""
        with self._changing:
            self.children[name].stop()

    def release(self, name: str) -> None:
        """Start a process that `hold` ended."""
        with self._changing:
            self._restart(self.children[name])

    def wait_until_up(self, seconds: float = READY_SECONDS) -> None:
        """After kills: every process runs and answers again. Raises LocalRunFailed."""
        deadline = time.monotonic() + seconds
        while not self._up():
            if time.monotonic() > deadline:
                raise LocalRunFailed("The hub is not up again: " + self._fates())
            time.sleep(0.05)

    def _up(self) -> bool:
        with self._changing:
            alive = all(child.alive for child in self.children.values())
            healthy = alive and self._workers_poll() and status(self.aws.port, "/_ministack/health") == 200
        return healthy and status(self.port, "/health") in (200, 503)

    def _fates(self) -> str:
        return ", ".join(f"{child.name} {child.fate}" for child in self.children.values())

    def _watch(self) -> None:
        while not self._ending.wait(0.1):
            with self._changing:
                for child in list(self.children.values()):
                    if child.wanted and not child.alive and not self._ending.is_set():
                        self._revive(child)

    def _revive(self, child: Child) -> None:
        """A process that died young is given a moment, so that a broken one does not spin."""
        self.tell(f"{child.name:8} {child.fate}: restarting it")
        if time.monotonic() - child.started_at < 1 and self._ending.wait(1):
            return
        try:
            self._restart(child)
        except LocalRunFailed as wrong:
            self.tell(f"{child.name:8} {wrong}")

    def _restart(self, child: Child) -> None:
        child.wait(0)
        child.start()
        if child.name == "aws":
            self._aws_is_back()

    def _aws_is_back(self) -> None:
        """Its stream may have lost its newest records, so the workers take their place from the
        checkpoint again; a stack made anew has new names, which every function must learn."""
        self.aws.wait_until_healthy()
        before, self.stack_env = self.stack_env, self.aws.stack("local", self.visibility_seconds)
        self._first_key()
        for name in ("workers",) if before == self.stack_env else ("http", "workers"):
            child = self.children[name]
            child.env = self.env | self.extra.get(name, {})
            if child.wanted:
                self.tell(f"{name:8} restarting with aws")
                child.stop(seconds=3)
                child.start()

    def stop(self) -> None:
        """No new requests, finish the batches in hand, then let the embedded AWS save."""
        self._ending.set()
        with self._changing:
            for name in ("http", "workers", "aws"):
                if name in self.children:
                    self.children[name].stop()
            self.aws.stop()
        self.state.close()
        if self._temporary:
            shutil.rmtree(self.state.folder, ignore_errors=True)


def must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as wrong:
            raise LocalRunFailed(
                f"Port {port} is in use: stop the program that has it, or choose another with `PORT={port + 1} make run`."
            ) from wrong
