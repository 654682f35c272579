"""Moments as text: UTC ISO with milliseconds, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> str:
    return from_ms(now_ms())


def now_ms() -> int:
    moment = datetime.now(UTC)
    return int(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def to_ms(instant: str) -> int:
    """Raises ValueError for text that is not an instant of ours."""
    moment = datetime.fromisoformat(instant)
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def day(instant: str) -> str:
    """yyyymmdd"""
    return instant[:10].replace("-", "")


def days_between(first: str, last: str) -> list[str]:
    """Every yyyymmdd from `last` back to `first`, newest first. Both are yyyymmdd."""
    start, end = (datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC) for text in (first, last))
    return [f"{end - timedelta(days=back):%Y%m%d}" for back in range((end - start).days + 1)]
