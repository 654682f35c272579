"""How much memory processes hold at most, their children included. From Linux's process table; 0 where there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")
EVERY = 0.25


def descendants(roots: Iterable[int], parents: Mapping[int, int]) -> set[int]:
    """The roots that are there and all that they started. `parents`: of each process."""
    found = {pid for pid in roots if pid in parents}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def parents() -> dict[int, int]:
    found = {}
    for path in PROC.iterdir() if PROC.exists() else ():
        if path.name.isdigit():
            try:
                found[int(path.name)] = int((path / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def resident(pids: Iterable[int]) -> int:
    """Bytes; a process that ended meanwhile has none."""
    total = 0
    for pid in pids:
        try:
            total += int((PROC / str(pid) / "statm").read_text("utf-8").split()[1])
        except OSError:
            continue
    return total * os.sysconf("SC_PAGE_SIZE")


class Peak:
    megabytes = 0


@contextmanager
def peak_of(roots: Callable[[], Iterable[int]]) -> Iterator[Peak]:
    """Looks four times a second; what is between two looks is not seen."""
    peak, ended = Peak(), threading.Event()

    def look() -> None:
        while True:
            peak.megabytes = max(peak.megabytes, resident(descendants(roots(), parents())) // 2**20)
            if ended.wait(EVERY):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
