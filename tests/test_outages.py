"""A destination that is down, slow, half-open, resetting, cut off or lying: nothing lost, nothing twice, others not held up.

While the CRM misbehaves in one way after the other, webhooks flow. Every time the partner must have all of his before
the CRM is let off; in the end every system has each event once. What the partner waited is shown, calm and in outages.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from typing import Any

import pytest

from infra.local.hub import Hub
from tests.drive import Integrator, Sent, eventually
from tests.standins.partner import Partner
from tests.standins.server import Answer, Call
from tests.test_story import World, connected, story

pytestmark = pytest.mark.embedded

OUTAGES: dict[str, dict[str, Any]] = {
    "refuse": {},
    "status": {"status": 503},
    "limit": {"mode": "status", "status": 429, "headers": {"Retry-After": "2"}},
    "slow": {"delay": 1.5},
    "dribble": {"delay": 0.3},
    "drop": {},
    "truncate": {},
    "reset": {},
    "lie": {},
}
"""Half-open: `dribble` sends a byte now and then; `drop` and `truncate` did the work and do not say so."""
CUSTOMERS = int(os.environ.get("DRAAD_OUTAGE_CUSTOMERS", "4"))
FIRST, EVENTS_OF_ONE = 1000, 4
APART = 0.5
"""Seconds between two customers: fewer webhooks than one small machine takes, so that what is measured is who
waits for whom."""


class Watch:
    """When each webhook went out and when the partner heard of it, by order number."""

    def __init__(self, partner: Partner) -> None:
        self.sent: dict[str, float] = {}
        self.heard: dict[str, float] = {}
        self._answer = partner.answer
        partner.answer = self._seen  # type: ignore[method-assign]

    def _seen(self, call: Call) -> Answer:
        answer = self._answer(call)
        if answer.status == 200:
            told = json.loads(call.body)["data"]["event"]
            number = str(told["object"]).removeprefix("R-")
            self.heard.setdefault(f"{told['type']} {number}", time.monotonic())
        return answer

    def waits(self, numbers: range) -> list[float]:
        keys = [f"{kind} {number}" for kind in ("order", "return") for number in numbers]
        return [self.heard[key] - self.sent[key] for key in keys]


@pytest.fixture
def world(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    with connected(who) as made:
        yield made
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def flow(world: World, watch: Watch, numbers: range) -> None:
    def go(sent: Sent, key: str) -> None:
        if key:
            watch.sent[key] = time.monotonic()
        assert 200 <= sent.go() < 300

    with ThreadPoolExecutor(8) as pool:
        for number in numbers:
            begun = time.monotonic()
            keys = ("", "", f"order {number}", f"return {number}")
            list(pool.map(go, story(world, number), keys))
            time.sleep(max(0.0, begun + APART - time.monotonic()))


def partner_has_all(watch: Watch, numbers: range) -> bool:
    return all(f"{kind} {number}" in watch.heard for kind in ("order", "return") for number in numbers)


def spoil(world: World, name: str) -> None:
    options = dict(OUTAGES[name])
    mode = options.pop("mode", name)
    if mode == "refuse":
        world.crm.refuse(None)
    else:
        world.crm.behave(mode, **options)


def spare(world: World, name: str) -> None:
    if name == "refuse":
        world.crm.accept()
    world.crm.behave()


def outages(world: World, customers: int) -> None:
    watch, first, waits = Watch(world.partner), FIRST, {}
    for name in ("calm", *OUTAGES):
        numbers = range(first, first + customers)
        first += customers
        if name != "calm":
            spoil(world, name)
        flow(world, watch, numbers)
        eventually(lambda numbers=numbers: partner_has_all(watch, numbers), 60 + customers)
        waits[name] = watch.waits(numbers)
        if name != "calm":
            spare(world, name)
        eventually(lambda numbers=numbers: complete(world, numbers), 240 + 2 * len(numbers), 1.0)
    once(world, range(FIRST, first))
    for name, told in waits.items():
        print(f"{name:10} p50 {quantiles(told, n=20)[9]:5.2f} s, p95 {quantiles(told, n=20)[-1]:5.2f} s at the partner")


def complete(world: World, numbers: range) -> bool:
    for number in numbers:
        customer = world.who.customer(f"phone:+3161234{number:04d}")
        if not customer or len(world.who.entries(customer["id"])) < EVENTS_OF_ONE:
            return False
        if not world.who.in_step(customer["id"]):
            return False
    return True


def once(world: World, numbers: range) -> None:
    people = [world.who.customer(f"phone:+3161234{number:04d}") for number in numbers]
    entries = [entry for each in people if each for entry in world.who.entries(each["id"])]
    assert len(entries) == EVENTS_OF_ONE * len(numbers)
    assert Counter(world.crm.kept()) == Counter(entry["id"] for entry in entries)
    told = [entry["id"] for entry in entries if entry["type"] in ("order", "return")]
    assert Counter(world.partner.kept()) == Counter(told)
    owners = Counter(row["hub_customer_id"] for row in world.crm.state()["contacts"].values())
    assert owners == Counter(each["id"] for each in people if each)
    mine = [each["id"] for each in world.who.get("/v1/connections")["connections"]]
    parked = [
        each for id in mine for each in world.who.get("/v1/deliveries", status="parked", connection=id)["deliveries"]
    ]
    assert [(each["reason"], each["response_excerpt"]) for each in parked] == []


def test_every_kind_of_outage_in_turn(world: World) -> None:
    outages(world, CUSTOMERS)


@pytest.mark.nightly
def test_a_thousand_events_through_every_kind_of_outage(world: World) -> None:
    outages(world, 28)
