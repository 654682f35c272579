"""Very many events under faults that come again every minute, and the memory of every process while they flow."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import requests

from infra.demo import load
from infra.demo.errors import DemoFailed
from infra.demo.ledger import Ledger
from infra.demo.story import Clock
from infra.demo.tell import Tell
from tests.chaos.plan import CALLS_OF_ONE, WHERE, Fault, Plan
from tests.chaos.world import PROCESSES, World
from tests.drive import Sent

SHARES = {
    "throttle": 0.01,
    "broken": 0.005,
    "unsure": 0.005,
    "reset": 0.005,
    "lost": 0.005,
    "conflict": 0.01,
    "partial": 0.05,
    "withheld": 0.005,
    "again": 0.02,
    "replay": 0.01,
}
EVERY_SECONDS, BAD_SECONDS = 60.0, 6.0
"""Under faults all the time it is the waiting between two attempts that is tried, and a hundred thousand take five hours."""
LOOK_SECONDS, SWEEP_SECONDS = 1.0, 30.0
MOST_QUEUED = 400
"""More is not sent until the workers caught up: the embedded AWS looks through a whole queue for each message."""
SAMPLES = 40
WARM = 0.25
"""Share of the events after which a process has what it needs."""
GROWN, SLACK_MB = 1.15, 8
GIVE_UP_SECONDS = 120.0


@dataclass(frozen=True)
class Sample:
    events: int
    seconds: float
    memory: dict[str, int]


@dataclass
class Soak:
    world: World
    run: load.Run
    tell: Tell
    samples: list[Sample] = field(default_factory=list)
    waiting: int = 0
    receipts_too_many: str = "receipts of nothing that was sent"
    """A webhook whose ack was lost comes twice, and has two receipts."""

    def sample(self) -> None:
        found = Sample(self.run.facts, time.monotonic() - self.run.began, self.world.memory())
        self.samples.append(found)
        told = ", ".join(f"{name} {size} MB" for name, size in found.memory.items())
        self.tell.line(f"memory   {found.events:,} events after {found.seconds:.0f} s: {told}")

    def send(self) -> None:
        webhooks = self.run.crowd.webhooks(self.run.books.connected)
        senders = [threading.Thread(target=self._sender, args=(webhooks,), daemon=True) for _ in range(load.SENDERS)]
        step, due = max(1, self.run.crowd.size * load.A_DAY // SAMPLES), 0
        for each in senders:
            each.start()
        while any(each.is_alive() for each in senders):
            time.sleep(LOOK_SECONDS)
            self.waiting = self._queued()
            if self.run.facts >= due:
                self.sample()
                due = self.run.facts + step
        self.run.acked_at = time.monotonic()

    def _queued(self) -> int:
        try:
            queued = self.world.api.get("/health")["queues"]
        except DemoFailed:
            return self.waiting or 1
        return int(queued["inbox"]) + int(queued["deliveries"])

    def _sender(self, webhooks: Iterator[tuple[str, Sent, bool]]) -> None:
        with requests.Session() as session:
            while found := self.run._next(webhooks):
                while self.waiting > MOST_QUEUED:
                    time.sleep(0.1)
                _, sent, first = found
                if self._acked(sent, session):
                    with self.run.lock:
                        self.run.acked += 1
                        self.run.facts += first

    def _acked(self, sent: Sent, session: requests.Session) -> bool:
        until = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < until:
            try:
                if 200 <= sent.go(session) < 300:
                    return True
            except requests.RequestException:
                session.close()
            time.sleep(0.2)
        return False

    def settle(self) -> bool:
        """Whether everybody was told; a hub that does not answer for a while is asked again."""
        seen, moved = -1, time.monotonic()
        while self.run.told < self.run.due or self._queued():
            if self.run.told != seen:
                seen, moved = self.run.told, time.monotonic()
            elif time.monotonic() - moved > self.run.patience:
                break
            self.tell.progress(f"         settling: {self.run.told:,} of {self.run.due:,} told")
            time.sleep(0.5)
        self.run.taken_at = self.run.told_at = time.monotonic()
        return self.run.told >= self.run.due

    def mistakes(self, ledger: Ledger) -> list[str]:
        return [each for each in ledger.mistakes() if not each.startswith(self.receipts_too_many)] + grown(self.samples)


def grown(samples: list[Sample]) -> list[str]:
    """Of the hub's own processes; the embedded AWS holds the whole table in memory, and must grow."""
    warm = [each for each in samples if each.events >= WARM * samples[-1].events]
    wrong = []
    for name in PROCESSES:
        first, last = warm[0].memory[name], warm[-1].memory[name]
        if last > first * GROWN + SLACK_MB:
            wrong.append(f"{name} grew from {first} MB to {last} MB over the last {1 - WARM:.0%} of the events")
    return wrong


def plan(seed: int, events: int) -> Plan:
    faults = tuple(Fault(kind, WHERE[kind], share, 0.0, BAD_SECONDS, EVERY_SECONDS) for kind, share in SHARES.items())
    return Plan(seed, 0.0, faults, calls=CALLS_OF_ONE * events)


def soak(world: World, seed: int, events: int, tell: Tell) -> tuple[Soak, Ledger, list[str]]:
    """The ledger, and everything that is wrong."""
    customers = max(1, events // load.A_DAY)
    crowd = load.Crowd(world.next_number, customers, Clock.here())
    made = Soak(world, load.Run(world.books, crowd, tell), tell)
    world.chaos.begin(plan(seed, events))
    made.send()
    settled = made.settle()
    made.sample()
    world.calm()
    ledger = made.run.ledger()
    return made, ledger, made.mistakes(ledger) + ([] if settled else [f"nothing moved for {made.run.patience:g} s"])
