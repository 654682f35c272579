"""QR codes as one path, so that a page or an app draws them in its own way, and no script for it is loaded."""

from __future__ import annotations

from itertools import groupby
from typing import Any


def of(text: str) -> dict[str, Any]:
    """`size`: modules a side, without the quiet zone of four that belongs around it; `path`: the dark
    ones as the `d` of an SVG path, one unit a module."""
    import segno

    rows = segno.make_qr(text, error="m").matrix
    runs = (_runs(row, line) for line, row in enumerate(rows))
    return {"size": len(rows), "path": "".join(run for line in runs for run in line)}


def _runs(row: bytearray, line: int) -> list[str]:
    """Dark modules that stand side by side, as one rectangle each."""
    found, at = [], 0
    for dark, modules in groupby(row):
        wide = len(list(modules))
        if dark:
            found.append(f"M{at} {line}h{wide}v1h-{wide}z")
        at += wide
    return found
