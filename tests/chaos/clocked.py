"""The hub's app with a clock that can be moved: CHAOS_CLOCK names a file with the seconds that it is off.

Only the clock on the wall goes: what measures how long something takes (monotonic) does not, as on
a machine whose time is set. Must be imported before the app.
"""

from __future__ import annotations

import importlib
import os
import time
from pathlib import Path

from chalicelib.model import instants

PATH = Path(os.environ["CHAOS_CLOCK"])
LOOK_SECONDS = 0.1
_seen = [0.0, 0.0]
_time, _time_ns, _now_ms = time.time, time.time_ns, instants.now_ms


def offset() -> float:
    now = time.monotonic()
    if now - _seen[0] > LOOK_SECONDS:
        _seen[:] = [now, _read()]
    return _seen[1]


def _read() -> float:
    try:
        return float(PATH.read_text())
    except (OSError, ValueError):
        return _seen[1]


def install() -> None:
    time.time = lambda: _time() + offset()
    time.time_ns = lambda: _time_ns() + int(offset() * 1e9)
    instants.now_ms = lambda: _now_ms() + int(offset() * 1000)


install()
app = importlib.import_module("app").app
