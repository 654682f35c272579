"""Whether a share of a batch may go on: a system that answers slowly keeps few workers, and none too long."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from chalicelib.fanout.outward import slow
from chalicelib.model.connection import Connection
from chalicelib.store import slots
from chalicelib.store.table import Table

SLOW_WORKERS = 2
"""As many are at a slow system at once, where its owner says nothing."""
SHARE_SECONDS = 35.0
"""After which a share puts its rest off, before its function ends."""


@dataclass
class Turns:
    """Of one share: `crowded()` before each delivery, `leave()` at the end."""

    table: Table
    connection: Connection
    begun: float = field(default_factory=lambda: time.monotonic())
    slot: str = ""

    def crowded(self) -> bool:
        """Whether the next delivery must wait for its turn."""
        now, mine = time.monotonic(), slow(self.connection.id)
        most = self.connection.settings.get("concurrency")
        most = most or (SLOW_WORKERS if mine or slots.slow(self.table, self.connection.id) else 0)
        if most and not self.slot:
            self.slot = slots.take(self.table, self.connection.id, int(most), int(mine * 1000))
        return now - self.begun > SHARE_SECONDS or (bool(most) and not self.slot)

    def leave(self) -> None:
        if self.slot:
            slots.give_back(self.table, self.connection.id, self.slot)
