"""How far long work is: a bar that overwrites itself on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

import wcwidth

CELLS = 24
SECONDS_BETWEEN = 10.0
"""Lines where nobody can overwrite."""
FULL, EMPTY = "█", "░"
WANDERING = 4
"""Cells of a bar that does not know its end."""


def bar(done: int, total: int | None, turn: int) -> str:
    """`turn`: how often it was drawn, for one that only wanders."""
    if total is None:
        start = turn % (CELLS - WANDERING + 1)
        return EMPTY * start + FULL * WANDERING + EMPTY * (CELLS - WANDERING - start)
    full = CELLS if total <= 0 else min(CELLS, CELLS * done // total)
    return FULL * full + EMPTY * (CELLS - full)


def told(done: int, total: int | None, seconds: float) -> str:
    """`120 of 300 (40%), 12 /s, 15 s left`; without a known end `120 done, 12 /s`."""
    rate = done / seconds if seconds > 0 else 0.0
    speed = f", {rate:,.1f} /s" if done and seconds >= 1 else ""
    if total is None:
        return f"{done:,} done{speed}"
    share = 100 if total <= 0 else min(100, 100 * done // total)
    left = f", {(total - done) / rate:,.0f} s left" if speed and done < total else ""
    return f"{done:,} of {total:,} ({share}%){speed}{left}"


@dataclass
class Progress:
    label: str
    out: TextIO
    clock: Callable[[], float] = time.monotonic
    _began: float = -1.0
    _last: float = -1.0
    _turn: int = 0
    _open: bool = False

    def show(self, done: int, total: int | None, remark: str = "") -> None:
        now = self.clock()
        if self._began < 0:
            self._began = self._last = now
        text = told(done, total, now - self._began) + (f"   {remark}" if remark else "")
        if self.out.isatty() and os.environ.get("TERM") != "dumb":
            self._overwrite(f"{self.label}  {bar(done, total, self._turn)}  {text}")
        elif now - self._last >= SECONDS_BETWEEN:
            print(f"{self.label}  {text}", file=self.out, flush=True)
            self._last = now
        self._turn += 1

    def _overwrite(self, text: str) -> None:
        room = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[2K{wcwidth.clip(text, 0, room)}", end="", file=self.out, flush=True)
        self._open = True

    def close(self) -> None:
        """Whatever is printed next begins a line of its own."""
        if self._open:
            print(file=self.out, flush=True)
            self._open = False
