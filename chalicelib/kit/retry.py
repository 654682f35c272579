"""When to try again: pure arithmetic, no clock and no randomness of its own."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from chalicelib.kit.lazily import pattern

BASE_SECONDS = 5.0
CAP_SECONDS = 3600.0
WINDOW_SECONDS = 3 * 86400
ASKED_MIN, ASKED_MAX = 1.0, 86400.0
DOUBLINGS = math.ceil(math.log2(CAP_SECONDS / BASE_SECONDS))
DIGITS = pattern(r"[0-9]{1,18}(\.[0-9]{0,9})?\Z")


def next_attempt(
    attempts: int, first_at_ms: int, now_ms: int, retry_after: float | None, random01: float
) -> float | None:
    """Seconds until the next attempt, or None once 3 days have passed: park.

    `attempts` were made so far, the first at `first_at_ms`. `retry_after`: seconds that the
    destination asked for; a floor, with a little jitter on top so that all who were told the
    same do not come back at once. `random01` lies in [0, 1).
    """
    if now_ms - first_at_ms >= WINDOW_SECONDS * 1000:
        return None
    ceiling = min(CAP_SECONDS, math.ldexp(BASE_SECONDS, min(max(attempts - 1, 0), DOUBLINGS)))
    jittered = random01 * ceiling
    if retry_after is None:
        return max(jittered, ASKED_MIN)
    return max(jittered, bounded(retry_after) + random01 * BASE_SECONDS)


def bounded(seconds: float) -> float:
    """Between a second and a day, whatever a stranger asked for."""
    return min(max(seconds, ASKED_MIN), ASKED_MAX) if not math.isnan(seconds) else ASKED_MIN


def retry_after(value: str, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, between a second and a day; None when it is
    not one. `now`: unix seconds. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    text = value.strip()
    if DIGITS.match(text):
        return bounded(float(text))
    try:
        moment = parsedate_to_datetime(text)
        at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return bounded((at - datetime.fromtimestamp(now, UTC)).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
