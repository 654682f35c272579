"""A tally: plain counts of what happened in an hour, such that the tallies of hours add up to that of a week.

Durations are counted in buckets, because exact percentiles of two hours do not make that of both. A bucket ends at
a power of the fourth root of two, and its middle stands for it: a percentile is at most 9.1 % beside the exact one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

Counts = dict[str, int]
STEPS = 4
"""Buckets to each doubling."""
DELIVERED, PARKED, WAITING, FAILED_ATTEMPTS = "delivered", "parked", "waiting", "failed_attempts"


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """Names are joined by `|`. `scores`: the sum, over a channel's answers, of 0 to 100. `waits`: seconds until a
    first answer, and `latencies`: milliseconds of what was delivered, both by bucket."""

    events: Counts = {}
    """channel|type|direction"""
    answers: Counts = {}
    scores: Counts = {}
    switches: Counts = {}
    """from|to"""
    waits: Counts = {}
    attempts: Counts = {}
    latencies: Counts = {}


FAMILIES = Tally.__struct_fields__
NOTHING = Tally()


def added(tallies: Iterable[Tally]) -> Tally:
    """All of them together, in whatever order."""
    found: dict[str, Counts] = {family: {} for family in FAMILIES}
    for tally in tallies:
        for family, counts in found.items():
            for name, number in getattr(tally, family).items():
                counts[name] = counts.get(name, 0) + number
    return Tally(**{family: dict(sorted(counts.items())) for family, counts in found.items()})


def plain(tally: Tally) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(tally)
    return found


def of_plain(counts: Mapping[str, Any]) -> Tally:
    return msgspec.convert(counts, Tally)


def of_events(events: Iterable[tuple[str, str, str]]) -> Tally:
    """(channel, type, direction) of each."""
    return Tally(events=_counted("|".join(each) for each in events))


def of_answers(answers: Iterable[tuple[str, int]]) -> Tally:
    """(channel that it is about, score from 0 to 100) of each."""
    told = list(answers)
    return added(Tally(answers={channel: 1}, scores={channel: score}) for channel, score in told)


def of_talk(switches: Iterable[tuple[str, str]], waits: Iterable[float]) -> Tally:
    """(channel before, channel after) of each switch; seconds of each wait."""
    moved = _counted("|".join(each) for each in switches)
    return Tally(switches=moved, waits=_counted(str(bucket(each)) for each in waits))


def of_deliveries(rows: Iterable[tuple[str, int, int]]) -> Tally:
    """(status, attempts, milliseconds of the last one) of each."""
    told = list(rows)
    failed = sum(max(0, count - (status == DELIVERED)) for status, count, _ in told)
    attempts = _counted(status if status in (DELIVERED, PARKED) else WAITING for status, _, _ in told)
    return Tally(
        attempts=attempts | ({FAILED_ATTEMPTS: failed} if failed else {}),
        latencies=_counted(str(bucket(ms)) for status, _, ms in told if status == DELIVERED),
    )


def _counted(names: Iterable[str]) -> Counts:
    found: Counts = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def bucket(value: float) -> int:
    """0 for all up to 1."""
    return max(0, math.ceil(STEPS * math.log2(value))) if value > 1 else 0


def middle(number: int) -> float:
    """What stands for all values in a bucket."""
    return float(2 ** ((number - 0.5) / STEPS)) if number else 1.0


def percentile(counts: Mapping[str, int], part: float) -> float | None:
    """The value that so large a part of all does not exceed; None for no values."""
    left = math.ceil(part * sum(counts.values()))
    for number in sorted(map(int, counts)):
        left -= counts[str(number)]
        if left <= 0:
            return middle(number)
    return None


def grouped(counts: Mapping[str, int], key: Callable[[str], str]) -> Counts:
    """Counts by another name."""
    found: Counts = {}
    for name, number in counts.items():
        found[key(name)] = found.get(key(name), 0) + number
    return found
