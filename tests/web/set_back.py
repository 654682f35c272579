"""The hub's own app with a clock that a file sets back by seconds, so that a week of its trade is played in a minute.

Only what the hub itself takes for now goes by it. Queues and the embedded AWS keep their own time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from chalicelib.context import resolve
from chalicelib.model import instants
from chalicelib.store import table


def now_ms() -> int:
    return time.time_ns() // 1_000_000 - int(Path(os.environ["DRAAD_SET_BACK"]).read_text("utf-8")) * 1000


def now_seconds() -> int:
    return now_ms() // 1000


# Before anything else takes them from there by name.
instants.now_ms = now_ms
resolve.now_ms = now_ms
table.now_seconds = now_seconds

from app import app  # noqa: E402

__all__ = ["app"]
