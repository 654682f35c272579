"""One run: webhooks flow while everything goes wrong, then calm, then the ledger."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import requests

from chalicelib.model import instants
from chalicelib.store.codec import decode
from chalicelib.store.deliveries import DELAYED, DELIVERED
from infra.demo import payloads
from infra.demo.errors import DemoFailed
from infra.demo.ledger import Told
from infra.demo.load import day
from infra.demo.payloads import Customer
from infra.demo.story import Clock
from infra.demo.tell import Tell
from infra.local.errors import LocalRunFailed
from tests import drive
from tests.chaos.ledger import PARKED, POSSIBLE, TIMELINE, WAITING, Found, Ledger
from tests.chaos.plan import PATIENCE as PATIENT
from tests.chaos.plan import Plan
from tests.chaos.world import World, shared_call
from tests.drive import Sent

SENDERS = 8
TYPES = ("order", "message", "call", "fulfilment", "return")
"""Of one customer, in the order of `load.day`, after sorting by connection."""
VIA = {"shop": "order", "whatsapp": "message", "phone": "call", "carrier": "fulfilment", "store": "return"}
PATIENCE = 90.0
"""Seconds without any progress."""
PUT_OFF = 900.0
"""Seconds more, while a delivery waits for its next attempt: twice as long after each that failed."""
SWEEP_MS = 60_000
"""In which the sweep comes to what it is to look at."""
STRAY = 90_000_000
GIVE_UP_SECONDS = 600.0
FLOW = 0.8
"""Share of the run in which webhooks are sent; the rest goes wrong over what is under way."""


@dataclass(frozen=True)
class Fact:
    """`place`: where it must end. `mark`: what it is found by there."""

    name: str
    place: str
    mark: str
    sent: Sent


@dataclass
class Run:
    """`attempts`: webhooks sent, repeats too. `refused`: those that were never acked."""

    world: World
    plan: Plan
    customers: range
    facts: list[Fact]
    tell: Tell
    attempts: int = 0
    acked: int = 0
    refused: list[str] = field(default_factory=list)
    injected: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: int = 0
    killed: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def due(self) -> int:
        """Activities at both destinations."""
        return len(self.customers) * (len(TYPES) + 3)

    def play(self) -> None:
        """Until the last fault is over and every webhook is acked."""
        self.world.chaos.begin(self.plan)
        stage = threading.Thread(target=self._stage, daemon=True)
        stage.start()
        self._send()
        stage.join()
        self._note()

    def _note(self) -> None:
        chaos = self.world.chaos
        self.injected, self.calls = Counter(chaos.done), chaos.calls.total()
        self.killed += [each.line() for each in chaos.killed]

    def _stage(self) -> None:
        """Kills by the clock, outages and jumps, each at its moment; on a slow machine faults go on for longer."""
        began = time.monotonic()
        for second, act in sorted(self._acts(), key=lambda each: each[0]):
            time.sleep(max(0.0, began + second - time.monotonic()))
            act()
        time.sleep(max(0.0, began + self.plan.seconds - time.monotonic()))
        while (
            self.world.chaos.calls.total() < self.plan.calls and time.monotonic() < began + PATIENT * self.plan.seconds
        ):
            time.sleep(0.1)

    def _acts(self) -> Iterator[tuple[float, Callable[[], object]]]:
        world = self.world
        systems = {"crm": world.around.crm, "partner": world.around.feed}
        for kill in self.plan.kills:
            if not kill.call:
                yield kill.second, lambda kill=kill: world.chaos.die(kill)
        for out in self.plan.outages:
            yield (
                out.begins,
                lambda out=out: systems[out.system].behave(**out.behaviour, seconds=out.seconds),
            )
        for jump in self.plan.jumps:
            yield jump.second, lambda jump=jump: world.set_clock(jump.process, jump.offset)

    def _send(self) -> None:
        queue = list(enumerate(self._shuffled()))
        began, total = time.monotonic(), len(queue)
        queue.reverse()

        def sender() -> None:
            with requests.Session() as session:
                while found := self._next(queue):
                    number, fact = found
                    time.sleep(max(0.0, began + FLOW * self.plan.seconds * number / total - time.monotonic()))
                    self._deliver(fact, session)

        senders = [threading.Thread(target=sender, daemon=True) for _ in range(SENDERS)]
        for each in senders:
            each.start()
        for each in senders:
            while each.is_alive():
                each.join(0.5)
                self.tell.progress(f"         {self.acked} of {total} acked, {self.world.chaos.done.total()} faults")

    def _shuffled(self) -> list[Fact]:
        rng = random.Random(self.plan.seed)
        facts = self.facts + [each for each in self.facts if rng.random() < self.plan.doubled]
        rng.shuffle(facts)
        return facts

    def _next(self, queue: list[tuple[int, Fact]]) -> tuple[int, Fact] | None:
        with self.lock:
            return queue.pop() if queue else None

    def _deliver(self, fact: Fact, session: requests.Session) -> None:
        """As providers do: again until it is acked."""
        until = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < until:
            with self.lock:
                self.attempts += 1
            try:
                if 200 <= fact.sent.go(session) < 300:
                    with self.lock:
                        self.acked += 1
                    return
            except requests.RequestException:
                session.close()
            time.sleep(0.2)
        with self.lock:
            self.refused.append(fact.name)


def prepare(world: World, plan: Plan, customers: int, tell: Tell) -> Run:
    numbers = range(world.next_number, world.next_number + customers)
    world.next_number += customers
    facts = [fact for number in numbers for fact in _day(world, Customer(number))]
    facts += [_malformed(world, numbers.start + each) for each in range(plan.malformed)]
    facts += [_stray(world, STRAY + numbers.start % 1_000_000 + each) for each in range(plan.strays)]
    for _ in range(plan.shared):
        world.calls += 1
        at, sent = shared_call(world, world.calls)
        facts.append(Fact(f"shared call {world.calls}", POSSIBLE, at, sent))
    return Run(world, plan, numbers, facts, tell)


def _day(world: World, who: Customer) -> Iterator[Fact]:
    for via, sent in day(who, Clock(world.since), world.connected):
        name = f"{VIA[via]} of {who.number}"
        yield Fact(name, TIMELINE, name, sent)


def _malformed(world: World, number: int) -> Fact:
    """Signed by the shop, and nothing that the shop documents."""
    mark = f"ev-malformed-{number}"
    sent = drive.shopify(world.connected.hooks["shop"], "orders/create", {"nothing": "of an order"}, mark)
    return Fact(f"malformed {number}", PARKED, mark, sent)


def _stray(world: World, number: int) -> Fact:
    """A parcel of an order that never comes."""
    body = payloads.parcel(Customer(number), world.since - timedelta(hours=3), "ready", "Pakket ligt klaar")
    return Fact(f"stray parcel {number}", WAITING, str(number), drive.generic(world.connected.hooks["carrier"], body))


def look(run: Run) -> Ledger:
    """Where everything of the run is. Raises DemoFailed."""
    world, books, found = run.world, run.world.books, Found()
    crm, partner, more = Told("crm"), Told("partner", has_contacts=False), list[str]()
    for who in map(Customer, run.customers):
        customers = books.api.owners((f"phone:{who.phone}", f"shop:tc/{who.account}"))
        entries = [entry for each in customers for entry in books.api.entries(each)]
        for entry in entries:
            found.add(TIMELINE, f"{entry['type']} of {who.number}")
        if len(customers) != 1:
            more.append(f"{who.phone} is {len(customers)} customers: it must be one")
        for total, one in zip((crm, partner), books.told(who, customers, entries, desk=False), strict=True):
            total.add(one)
    _elsewhere(world, run.facts, found)
    found.strange = sorted(
        {name for names in found.places.values() for name in names} - {each.name for each in run.facts}
    )
    more += [
        f"parked at {each['connection']}: {each['reason']}"
        for each in books.api.pages("/v1/deliveries", "deliveries", status="parked")
    ]
    return Ledger({each.name: each.place for each in run.facts}, found, (crm, partner), tuple(run.refused), tuple(more))


def _elsewhere(world: World, facts: list[Fact], found: Found) -> None:
    marks = {(each.place, each.mark): each.name for each in facts}
    api = world.api
    for who in world.household[:1]:
        for entry in api.pages(f"/v1/customers/{who}/possible", "entries"):
            _mark(found, marks, POSSIBLE, entry["occurred_at"])
    for entry in api.pages("/v1/waiting", "entries"):
        for each in entry["refs"]:
            _mark(found, marks, WAITING, each.rpartition(":")[2].rpartition("/")[2])
    parked: Counter[str] = Counter()
    for verdict in ("malformed", "failed"):
        for row in api.pages("/v1/receipts", "receipts", verdict=verdict):
            parked[str(row["delivery_key"]).rpartition("/")[2]] += 1
    for key in parked:
        _mark(found, marks, PARKED, key)


def _mark(found: Found, marks: dict[tuple[str, str], str], place: str, mark: str) -> None:
    if name := marks.get((place, mark)):
        found.add(place, name)


def settle(runs: list[Run], tell: Tell, patience: float = PATIENCE) -> list[Ledger]:
    """The ledgers, once everything is where it must be and nothing is queued any more, or nothing moves; or nobody is
    told anything for very long, though messages come and go."""
    world, seen, moved = runs[0].world, (0, 0), time.monotonic()
    gained = moved
    while True:
        ledgers, still, now = _looked(runs), _progress(world), time.monotonic()
        if ledgers and not any(each.mistakes() for each in ledgers) and still[0] == 0:
            return ledgers
        gained = now if still[1] != seen[1] else gained
        moved = now if still != seen else moved
        seen, nobody_for, still_for = still, now - gained, now - moved
        if nobody_for > patience + 2 * PUT_OFF or (
            still_for > patience and (still_for > patience + PUT_OFF or not (still[0] or _put_off(world)))
        ):
            return ledgers or [look(run) for run in runs]
        tell.progress(f"         settling: {still[0]} queued, {still[1]} of {sum(each.due for each in runs)} told")
        time.sleep(0.5)


def _put_off(world: World) -> bool:
    """Whether the hub will look at a delivery again by itself: what failed often under the faults waits for minutes, and
    what lost its message until the sweep misses it. Where the clock went back after a sweep had sent it, that copy came
    before its time and was dropped: the sweep looks again five minutes after the moment that its own clock showed. What
    turned out to be nobody's is not looked at any more."""
    looks = [str(row["gsk"]) for row in open_rows(world) if row["st"] == DELAYED and "gsk" in row]
    return any(instants.to_ms(look) + SWEEP_MS > instants.now_ms() for look in looks)


def open_rows(world: World) -> Iterator[dict[str, Any]]:
    """Deliveries that have not come to an end, as they lie in the table."""
    table: Any = world.hub.aws.client("dynamodb")
    for page in table.get_paginator("scan").paginate(TableName=world.hub.stack_env["DRAAD_TABLE"]):
        for row in map(decode, page["Items"]):
            if row["pk"].startswith("L#") and row.get("st", DELIVERED) != DELIVERED:
                yield row


def _looked(runs: list[Run]) -> list[Ledger]:
    """None as long as the destinations cannot have everything: a look is dear."""
    world = runs[0].world
    if _told(world) < sum(each.due for each in runs):
        return []
    try:
        return [look(run) for run in runs]
    except DemoFailed:
        return []


def _told(world: World) -> int:
    return world.told - world.told_before


def _progress(world: World) -> tuple[int, int]:
    try:
        queued = sum(world.api.get("/health")["queues"].values())
    except (DemoFailed, LocalRunFailed, KeyError):
        queued = -1
    return queued, _told(world)
