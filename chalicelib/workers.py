"""The queue, stream and schedule functions."""

from __future__ import annotations

from typing import Any

Records = list[dict[str, Any]]


def context(records: Records) -> None: ...


def fanout(records: Records) -> None: ...


def deliver(records: Records) -> None: ...


def jobs(records: Records) -> None: ...


def sweep() -> None: ...
