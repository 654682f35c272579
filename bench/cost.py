"""List price of a million webhooks of 4 KB with one destination, from measured units and `prices.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import cases, deliveries, others
from bench.meter import Bill
from bench.stage import LARGE, World

PRICES = Path(__file__).with_name("prices.json")
ENTRIES = 10
BUDGET = 9.0
Step = Callable[[World, int], Bill]


@dataclass(frozen=True)
class Traffic:
    """One kind of webhook. `batch`: how many a queue gives at once. A duplicate is delivered nowhere. `again`: turns of
    the deliveries queue more than one, because something waits or is told besides."""

    name: str
    steps: tuple[Step, ...]
    batch: int = 10
    delivered: bool = True
    budget: float | None = None
    again: int = 0


@dataclass(frozen=True)
class Cost:
    """Dollars for a million."""

    name: str
    api_gateway: float
    compute: float
    queues: float
    writes: float
    reads: float
    units: Bill
    budget: float | None

    @property
    def total(self) -> float:
        return self.api_gateway + self.compute + self.queues + self.writes + self.reads


KNOWN: Step = partial(cases.known_in_tens, size=LARGE)
PLANNED = deliveries.planned_in_tens
IN_TENS: tuple[Step, ...] = (PLANNED, deliveries.to_partner_in_tens)
TRAFFIC = (
    Traffic("known, all in tens", (KNOWN, *IN_TENS), budget=BUDGET),
    Traffic("known, to a CRM", (KNOWN, PLANNED, deliveries.to_crm_known_contact)),
    Traffic(
        "known, one at a time",
        (partial(cases.known, size=LARGE), deliveries.planned, deliveries.to_partner),
        batch=1,
    ),
    Traffic("first of a thread", (partial(cases.first_of_thread, size=LARGE), *IN_TENS)),
    Traffic("two new ids", (partial(cases.two_new_ids, size=LARGE), *IN_TENS)),
    Traffic("new id joins", (partial(cases.id_joins, size=LARGE), *IN_TENS)),
    Traffic("merge 2+2", (partial(cases.merge_small, size=LARGE), *IN_TENS)),
    Traffic("duplicate", (partial(cases.duplicate, size=LARGE),), delivered=False),
    Traffic("known, refused once", (KNOWN, PLANNED, deliveries.delayed_once), again=1),
    Traffic("known, our own pace", (KNOWN, PLANNED, others.paced), again=1),
    Traffic("known, to a slow system", (KNOWN, PLANNED, others.to_slow)),
    Traffic("known, a silent system", (KNOWN, PLANNED, others.silent), again=1),
    Traffic("consent, an audience is told", (KNOWN, others.audience_planned, *IN_TENS, others.audience_told), again=1),
    Traffic("merge 2+2, an entry moves", (partial(cases.merge_small, size=LARGE), *IN_TENS, others.moved), again=1),
    Traffic("known, answered by a rule", (KNOWN, PLANNED, others.told_by_rule)),
)
"""The last ones hold what is not in tens: the dearest way."""


def prices() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PRICES.read_text("utf-8"))
    return found


def measured(world: World) -> list[Cost]:
    listed = prices()
    return [_cost(traffic, world, listed) for traffic in TRAFFIC]


def _cost(traffic: Traffic, world: World, listed: dict[str, Any]) -> Cost:
    units = sum((step(world, ENTRIES) for step in traffic.steps), Bill())
    return Cost(
        traffic.name,
        listed["api_gateway_rest_requests"],
        compute(traffic, listed),
        queue_requests(traffic) * listed["sqs_requests"],
        units.write_units * listed["dynamodb_write_units"],
        units.read_units * listed["dynamodb_read_units"],
        units,
        traffic.budget,
    )


def queue_requests(traffic: Traffic) -> float:
    """The hook sends alone; a batch is received, deleted and, where there is a delivery, sent together."""
    shared = (5 if traffic.delivered else 2) + 3 * traffic.again
    return 1 + shared / traffic.batch


def compute(traffic: Traffic, listed: dict[str, Any]) -> float:
    """Lambda: the hook runs for each webhook, the workers for each batch."""
    assumed = listed["assumed"]
    workers = ["context_ms", "fanout_ms", *["deliver_ms"] * (traffic.delivered + traffic.again)]
    seconds = (assumed["hook_ms"] + sum(assumed[name] for name in workers)) / 1000
    requests = 1 + len(workers) / traffic.batch
    return float(requests * listed["lambda_requests"] + seconds * assumed["memory_gb"] * listed["lambda_gb_seconds"])
