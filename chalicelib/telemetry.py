"""Logs: one JSON line each, ids and counts only, never a value of a person or a secret."""

from __future__ import annotations

import traceback
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _logger() -> Any:
    """Made on the first line written: a quiet hook never pays for it."""
    from aws_lambda_powertools import Logger

    return Logger(service="draad")


def note(message: str, **facts: str | int) -> None:
    _logger().info(message, extra=facts)


def warn(message: str, **facts: str | int) -> None:
    _logger().warning(message, extra=facts)


def where(wrong: BaseException) -> str:
    """`KeyError at record.py:120`: an exception's text may quote a payload, so it is left out."""
    frames = traceback.extract_tb(wrong.__traceback__)
    ours = [frame for frame in frames if "chalicelib" in frame.filename] or frames
    place = f" at {ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno}" if ours else ""
    return f"{type(wrong).__name__}{place}"
