"""The contract of stats."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import (
    Channel,
    Day,
    EventType,
    Instant,
    JobStarted,
    Moment,
    Operation,
    any_of,
)
from chalicelib.api.stats import GROUPED, RecountRange

TAG = "Stats"
StatsGroup = TypedDict(
    "StatsGroup",
    {
        "channel": NotRequired[Channel],
        "type": NotRequired[EventType],
        "connection": NotRequired[str],
        "day": NotRequired[Day],
        "events": int,
        "in": int,
        "out": int,
    },
)
StatsSwitch = TypedDict("StatsSwitch", {"from": Channel, "to": Channel, "count": int})


class StatsSatisfaction(TypedDict):
    channel: Channel
    answers: int
    average: Annotated[float, Meta(description="From 0 to 100")]


class StatsFirstResponse(TypedDict):
    count: int
    p50_seconds: Annotated[int | None, Meta(description="At most 9.1 % off; null where nobody was answered")]
    p90_seconds: int | None


class StatsDelivery(TypedDict):
    connection: str
    day: NotRequired[Day]
    delivered: int
    parked: int
    waiting: int
    failed_attempts: int
    p50_ms: Annotated[int | None, Meta(description="Latency of an attempt, at most 9.1 % off")]
    p95_ms: int | None


class StatsConnection(TypedDict):
    id: str
    name: str


Stats = TypedDict(
    "Stats",
    {
        "from": Instant,
        "to": Instant,
        "by": list[str],
        "groups": list[StatsGroup],
        "satisfaction": list[StatsSatisfaction],
        "switches": list[StatsSwitch],
        "first_response": StatsFirstResponse,
        "deliveries": list[StatsDelivery],
        "connections": list[StatsConnection],
        "complete": Annotated[bool, Meta(description="False: the newest hours hold more than is counted by now")],
        "computed_at": Instant,
    },
)
StatsQuery = TypedDict(
    "StatsQuery",
    {
        "from": Annotated[Moment, Meta(description="An instant or a day; empty: seven days")],
        "to": Annotated[Moment, Meta(description="An instant or a day, which counts whole; empty: now")],
        "by": Annotated[list[Annotated[str, any_of(GROUPED)]], Meta(description="Repeated or with commas")],
    },
    total=False,
)

OPERATIONS = {
    "show": Operation(
        "Volumes, satisfaction, channel switches, first answers and deliveries",
        {200: Stats},
        query=StatsQuery,
        more="Days are UTC. An event counts in the hour of its first receipt, a delivery in the hour of its event.",
    ),
    "recount": Operation("Count some hours anew", {202: JobStarted}, RecountRange),
}
