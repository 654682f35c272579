"""A child ends with its parent, also when the parent was killed: its standard input then closes."""

from __future__ import annotations

import os
import signal
import threading
import time

GRACE_SECONDS = 20.0


def end_with_parent() -> None:
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    while os.read(0, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
