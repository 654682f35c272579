"""Stats: how much came by which channel, how content customers were, where conversations went on, and how the
destinations took it. Read from what was counted for each hour; what no pass was at yet is counted while you wait."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.api.answers import Call, Reply, instant, wrong
from chalicelib.context import talk
from chalicelib.model import instants, tally
from chalicelib.model.connection import Connection
from chalicelib.model.tally import DELIVERED, FAILED_ATTEMPTS, PARKED, WAITING, Tally
from chalicelib.store import connections, jobs, stats
from chalicelib.store.stats import DAY_HOURS, IN, KEPT_DAYS, OUT, PARTS, Hour

DEFAULT_DAYS = 7
LIVE_HOURS, LIVE_ROWS = 2, 1000
"""Hours that are counted while somebody waits, and rows of each that are looked at. A busier hour is counted by the
next pass."""
DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
HOURLY = (IN, OUT)


@dataclass(frozen=True)
class Asked:
    """Hours since 1970, both included."""

    first: int
    last: int
    by: tuple[str, ...]


def show(call: Call) -> Reply:
    asked = _asked(call)
    everyone = {each.id: each for each in connections.everyone(call.table)}
    known = _Known(call, [each for each in everyone.values() if not each.deleted])
    hours = known.of(asked)
    total = tally.added(each.counts for each in hours)
    return Reply(
        {
            "from": stats.start(asked.first),
            "to": min(stats.start(asked.last + 1), instants.now()),
            "by": list(asked.by),
            "groups": _groups(hours, asked.by),
            "satisfaction": _satisfaction(total),
            "switches": _switches(total),
            "first_response": _first_response(total),
            "deliveries": _deliveries(hours, "day" in asked.by),
            "connections": _named(hours, everyone),
            "complete": not known.beyond,
            "computed_at": instants.now(),
        }
    )


def _asked(call: Call) -> Asked:
    by = tuple(dict.fromkeys(call.listed("by")))
    if unknown := [each for each in by if each not in GROUPED]:
        raise wrong("/by", f"{unknown[0]} is none of {', '.join(GROUPED)}")
    now = stats.this_hour()
    until = min(_hour(call, "to", now), now)
    since = _hour(call, "from", until // DAY_HOURS * DAY_HOURS - (DEFAULT_DAYS - 1) * DAY_HOURS)
    if since > until:
        raise wrong("/from", "lies after to, or after now")
    if until - since >= KEPT_DAYS * DAY_HOURS:
        raise wrong("/from", f"lies more than {KEPT_DAYS} days before to")
    return Asked(since, until, by)


def _hour(call: Call, name: str, default: int) -> int:
    """The hour in which a moment lies. A day begins as `from`, and ends as `to`; a moment ends just before itself."""
    text = call.value(name)
    if not text:
        return default
    moment = instant(text, f"/{name}")
    hour = stats.hour_of(moment)
    if name == "from":
        return hour
    return hour + DAY_HOURS - 1 if DAY.match(text) else hour - (moment == stats.start(hour))


class _Known:
    """What was counted, and what is counted now because no pass was there yet. `beyond`: whether there is more of
    that than can be looked at while somebody waits."""

    def __init__(self, call: Call, everyone: Sequence[Connection]) -> None:
        self.table, self.everyone = call.table, everyone
        self.beyond = False

    def of(self, asked: Asked) -> list[Hour]:
        now = stats.this_hour()
        until, _ = stats.counted(self.table) if self.everyone else (now + 1, 0)
        live = max(until, now - LIVE_HOURS + 1)
        self.beyond = until < live and asked.last >= until
        kept = [
            each
            for each in stats.between(self.table, asked.first, asked.last)
            if each.hour < live or each.part not in HOURLY
        ]
        fresh = range(max(live, asked.first), asked.last + 1)
        return [*kept, *(found for hour in fresh for each in self.everyone for found in self._now(each, hour))]

    def _now(self, connection: Connection, hour: int) -> Iterable[Hour]:
        page = stats.receipts_of(self.table, connection.id, hour, "", LIVE_ROWS)
        self.beyond = self.beyond or page.next is not None
        yield Hour(connection.id, hour, IN, talk.arrived(self.table, stats.became(page.items)))
        if connection.provider in destinations.slugs():
            page = stats.rows_of(self.table, connection.id, hour, "", LIVE_ROWS)
            self.beyond = self.beyond or page.next is not None
            yield Hour(connection.id, hour, OUT, stats.delivered(page.items))


def _day(hour: int) -> str:
    return stats.start(hour)[:10]


GROUPED: dict[str, Callable[[Hour, list[str]], str]] = {
    "channel": lambda hour, event: event[0],
    "type": lambda hour, event: event[1],
    "connection": lambda hour, event: hour.connection,
    "day": lambda hour, event: _day(hour.hour),
}
"""What events can be grouped by."""


@dataclass
class _Group:
    events: int = 0
    directions: dict[str, int] = field(default_factory=dict)

    def add(self, direction: str, number: int) -> None:
        self.events += number
        self.directions[direction] = self.directions.get(direction, 0) + number


def _groups(hours: Sequence[Hour], by: tuple[str, ...]) -> list[dict[str, Any]]:
    found: dict[tuple[str, ...], _Group] = {}
    for hour in hours:
        for name, number in hour.counts.events.items():
            event = name.split("|")
            key = tuple(GROUPED[each](hour, event) for each in by)
            found.setdefault(key, _Group()).add(event[2], number)
    return [
        dict(zip(by, key, strict=True))
        | {"events": group.events, "in": group.directions.get("in", 0), "out": group.directions.get("out", 0)}
        for key, group in sorted(found.items())
    ]


def _satisfaction(total: Tally) -> list[dict[str, Any]]:
    """Scores from 0 to 100, by the channel that was asked about."""
    return [
        {"channel": channel, "answers": answers, "average": round(total.scores.get(channel, 0) / answers, 1)}
        for channel, answers in sorted(total.answers.items())
    ]


def _switches(total: Tally) -> list[dict[str, Any]]:
    most_first = sorted(total.switches.items(), key=lambda each: (-each[1], each[0]))
    return [dict(zip(("from", "to"), name.split("|"), strict=True)) | {"count": n} for name, n in most_first]


def _first_response(total: Tally) -> dict[str, Any]:
    p50, p90 = (tally.percentile(total.waits, part) for part in (0.5, 0.9))
    return {"count": sum(total.waits.values()), "p50_seconds": _whole(p50), "p90_seconds": _whole(p90)}


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _deliveries(hours: Sequence[Hour], daily: bool) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[Tally]] = {}
    for each in hours:
        if each.counts.attempts:
            found.setdefault((each.connection, _day(each.hour) if daily else ""), []).append(each.counts)
    return [_delivery(id, day, tally.added(found[id, day])) for id, day in sorted(found)]


def _delivery(connection: str, day: str, counts: Tally) -> dict[str, Any]:
    p50, p95 = (tally.percentile(counts.latencies, part) for part in (0.5, 0.95))
    names = (DELIVERED, PARKED, WAITING, FAILED_ATTEMPTS)
    return (
        {"connection": connection}
        | ({"day": day} if day else {})
        | {name: counts.attempts.get(name, 0) for name in names}
        | {"p50_ms": _whole(p50), "p95_ms": _whole(p95)}
    )


def _named(hours: Iterable[Hour], everyone: Mapping[str, Connection]) -> list[dict[str, str]]:
    found = {each.connection: everyone[each.connection].name for each in hours if each.connection in everyone}
    return [{"id": id, "name": name} for id, name in sorted(found.items(), key=lambda each: (each[1], each[0]))]


class RecountRange(msgspec.Struct, forbid_unknown_fields=True):
    """`until`: now unless it is named."""

    since: str
    until: str = ""


def recount(call: Call) -> Reply:
    """After a mapping was mended and old receipts were read anew, or a backfill: all of some hours, once more."""
    asked = call.read(RecountRange)
    since = stats.hour_of(instant(asked.since, "/since"))
    until = min(stats.hour_of(instant(asked.until, "/until")) if asked.until else stats.this_hour(), stats.this_hour())
    if since > until:
        raise wrong("/since", "lies after until, or after now")
    if until - since >= KEPT_DAYS * DAY_HOURS:
        raise wrong("/since", f"lies more than {KEPT_DAYS} days before until")
    everyone = [each.id for each in connections.everyone(call.table)]
    spans = [[part, since, until] for part in PARTS]
    job = jobs.start(call.table, "recount", {"connections": everyone, "spans": spans, "mark": []})
    return Reply(jobs.view(job) | {"job": job.id}, 202)
