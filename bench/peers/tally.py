"""What became of what was sent: lost, doubled, and how long it took. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles


@dataclass(frozen=True)
class Tally:
    """`lost`: acked, and never told to the CRM. `doubled`: posts beyond the first of an event that the CRM took.
    `unacked`: never acked, so not lost. `strange`: posts of events that nobody sent: the count cannot be right."""

    sent: int
    acked: int
    arrived: int
    lost: int
    doubled: int
    unacked: int
    strange: int


def tally(sent: Collection[str], acked: Collection[str], posts: Mapping[str, int]) -> Tally:
    ours, taken = set(sent), set(acked)
    known = {key: count for key, count in posts.items() if key in ours and count > 0}
    return Tally(
        sent=len(ours),
        acked=len(taken),
        arrived=len(known),
        lost=len(taken - set(known)),
        doubled=sum(count - 1 for count in known.values()),
        unacked=len(ours - taken),
        strange=len(set(posts) - ours),
    )


@dataclass(frozen=True)
class Spread:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


def spread(milliseconds: Sequence[float]) -> Spread:
    if len(milliseconds) < 2:
        only = milliseconds[0] if milliseconds else 0.0
        return Spread(only, only, only)
    cuts = quantiles(milliseconds, n=100, method="inclusive")
    return Spread(round(cuts[49], 1), round(cuts[94], 1), round(cuts[98], 1))
