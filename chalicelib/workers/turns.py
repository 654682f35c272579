"""Whether a share of a batch may go on: a system that answers slowly keeps few workers, and none too long."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from chalicelib.model.connection import Connection
from chalicelib.store import slots
from chalicelib.store.table import Table

SLOW_SECONDS = 2.0
"""A delivery that takes longer tells that its system is slow, for as long as this container"""
REMEMBERED_SECONDS = 60.0
"""remembers it."""
SLOW_WORKERS = 2
"""As many are at a slow system at once, where its owner says nothing."""
SHARE_SECONDS = 35.0
"""After which a share puts its rest off, before its function ends."""


_slow: dict[str, float] = {}


def forget() -> None:
    _slow.clear()


@dataclass
class Turns:
    """Of one share: `crowded()` before each delivery, `took()` after it, `leave()` at the end."""

    table: Table
    connection: Connection
    begun: float = field(default_factory=lambda: time.monotonic())
    slot: str = ""

    def crowded(self) -> bool:
        """Whether the next delivery must wait for its turn."""
        now = time.monotonic()
        slow = _slow.get(self.connection.id, 0.0) > now
        most = self.connection.settings.get("concurrency") or (SLOW_WORKERS if slow else 0)
        if most and not self.slot:
            self.slot = slots.take(self.table, self.connection.id, int(most))
        return now - self.begun > SHARE_SECONDS or (bool(most) and not self.slot)

    def took(self, seconds: float) -> None:
        if seconds > SLOW_SECONDS:
            _slow[self.connection.id] = time.monotonic() + REMEMBERED_SECONDS

    def leave(self) -> None:
        if self.slot:
            slots.give_back(self.table, self.connection.id, self.slot)
