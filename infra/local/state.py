"""The state folder: `.draad/` or DRAAD_STATE. Sound, and used by one hub at a time."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import IO

from infra.local.errors import LocalRunFailed

ROOT = Path(__file__).resolve().parents[2]
READY = "workers-ready"
"""A file of the state folder with the id of the process that polls."""


class State:
    """aws/ what the embedded AWS holds · stream.json how far the stream was read · admin-key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.aws = folder / "aws"
        self.scratch = folder / "tmp"
        self.log = folder / "aws.log"
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Make the folder, take it for ourselves and look it through. Raises LocalRunFailed."""
        try:
            for folder in (self.aws, self.scratch):
                folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("a")
        except OSError as wrong:
            raise LocalRunFailed(
                f"The state folder {self.folder} cannot be used ({wrong.strerror}): "
                "make it a writable folder, or name another in DRAAD_STATE."
            ) from wrong
        self._take()
        self._look_through()

    def close(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def _take(self) -> None:
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as wrong:
            self.close()
            raise LocalRunFailed(
                f"Another hub runs on the state folder {self.folder}: stop it, or name another folder in DRAAD_STATE."
            ) from wrong

    def _look_through(self) -> None:
        """The embedded AWS starts empty on a file that it cannot read; we rather stop."""
        for path in sorted(self.aws.glob("*.json")):
            try:
                sound = isinstance(json.loads(path.read_bytes()), dict)
            except (OSError, ValueError):
                sound = False
            if not sound:
                self.close()
                raise LocalRunFailed(
                    f"The state is damaged ({path} is not what was saved): restore the folder from a copy, "
                    f"or start empty with `mv {self.folder} {self.folder}-damaged`."
                )

    def admin_key(self, wanted: str = "") -> str:
        """The key asked for, else the one kept here, else a new one; kept with mode 600."""
        path = self.folder / "admin-key"
        kept = path.read_text("utf-8").strip() if path.exists() else ""
        key = wanted or kept or f"draad_{secrets.token_urlsafe(32)}"
        if key != kept:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(key + "\n")
            path.chmod(0o600)
        return key
