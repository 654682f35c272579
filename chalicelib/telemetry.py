"""Logs and measures: one JSON line each, ids and counts only, never a value of a person or a secret."""

from __future__ import annotations

import os
import traceback
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _logger() -> Any:
    """Made on the first line written: a quiet hook never pays for it."""
    import logging

    from aws_lambda_powertools import Logger

    # Of a line that cannot be written Python would print the trace, and with it the values of the mistake it was about.
    logging.raiseExceptions = False
    return Logger(service="draad")


def note(message: str, **facts: str | int) -> None:
    _logger().info(message, extra=facts)


def warn(message: str, **facts: str | int) -> None:
    _logger().warning(message, extra=facts)


NAMESPACE = "Draad"
"""Of our measures at CloudWatch; their one dimension is the stage, which keeps several stages of one account apart."""


def measured() -> bool:
    """Whether anybody reads measures: Lambda makes them of a line in the log, elsewhere they are only noise."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def measure(stage: str, counts: dict[str, int], seconds: dict[str, int], **beside: Any) -> None:
    """One line that CloudWatch reads as numbers. `beside` stands in the line alone, for whoever searches it: as a
    dimension each connection would cost as much as all the rest."""
    from aws_lambda_powertools.metrics import EphemeralMetrics

    metrics = EphemeralMetrics(namespace=NAMESPACE, service="")
    metrics.add_dimension("Stage", stage)
    for unit, numbers in (("Count", counts), ("Seconds", seconds)):
        for name, value in numbers.items():
            metrics.add_metric(name, unit, value)
    for name, value in beside.items():
        metrics.add_metadata(name, value)
    metrics.flush_metrics()


def where(wrong: BaseException) -> str:
    """`KeyError at record.py:120`: an exception's text may quote a payload, so it is left out."""
    frames = traceback.extract_tb(wrong.__traceback__)
    ours = [frame for frame in frames if "chalicelib" in frame.filename] or frames
    place = f" at {ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno}" if ours else ""
    return f"{type(wrong).__name__}{place}"
