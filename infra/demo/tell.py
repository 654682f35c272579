"""Lines for people. What comes and goes is shown on a terminal only; elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

SECONDS_BETWEEN = 10.0


@dataclass
class Tell:
    """`progress` overwrites itself on a terminal, and is thinned out where nobody can overwrite."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _open: bool = False
    _last: float = 0.0

    @property
    def terminal(self) -> bool:
        return self.out.isatty()

    def line(self, text: str = "") -> None:
        self._close()
        print(text, file=self.out, flush=True)

    def progress(self, text: str) -> None:
        now = time.monotonic()
        if self.terminal:
            print(f"\r\x1b[2K{text}", end="", file=self.out, flush=True)
            self._open = True
        elif now - self._last >= SECONDS_BETWEEN:
            print(text, file=self.out, flush=True)
            self._last = now

    def _close(self) -> None:
        if self._open:
            print(file=self.out)
            self._open = False


def count(number: int, one: str, many: str = "") -> str:
    """`1 activity`, `2 activities`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
