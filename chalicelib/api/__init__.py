"""HTTP to stages and back, nothing else."""

from __future__ import annotations

from typing import Any


def assemble(app: Any) -> None:
    """Hang every route on the app."""
