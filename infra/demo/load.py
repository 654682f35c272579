"""Many customers at once: a shorter day each, some webhooks doubled, all shuffled, sixteen senders.

Nothing here grows with the number of customers but a few keys an event: webhooks are made when
they are sent, the shuffle looks a window ahead, and the proof asks for one customer at a time.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import requests

from infra.demo import connections, payloads
from infra.demo.api import Api
from infra.demo.connections import Connected
from infra.demo.errors import DemoFailed
from infra.demo.ledger import Ledger, Places, Played, Receipts, Told, placed
from infra.demo.payloads import Customer
from infra.demo.place import Place
from infra.demo.play import deliver, now, until
from infra.demo.proof import Books
from infra.demo.story import Clock, sid
from infra.demo.systems import Systems
from infra.demo.tell import Tell
from tests import drive
from tests.drive import Sent

SENDERS, READERS = 16, 4
DOUBLED = 0.1
WINDOW = 1_000
PATIENCE = 120.0
"""Seconds without any progress."""
FIRST, LAST = 10_000_000, 60_000_000
A_DAY = 5
"""Events of one customer."""
ORDERS_TOLD = 3
"""Those that the partner hears of: its order, its parcel, its return."""


def play(place: Place, around: Systems, tell: Tell, customers: int) -> bool:
    """Whether everything adds up. Raises DemoFailed."""
    around.feed.whole = False
    connected = connections.for_the_load(place.api, around)
    crowd = Crowd(fresh_start(place.api, customers), customers, Clock.here())
    run = Run(Books(place.api, connected, around, now()), crowd, tell)
    tell.line(f"playing  {customers:,} customers, {SENDERS} senders, {DOUBLED:.0%} doubled, shuffled")
    run.send()
    settled = run.settle(place.logs)
    ledger = run.ledger()
    for line in (*run.rates(), *ledger.lines()):
        tell.line(line)
    return settled and not ledger.mistakes()


def fresh_start(api: Api, customers: int) -> int:
    """The first number of a row that the hub does not know."""
    while True:
        first = random.randrange(FIRST, LAST - customers)  # noqa: S311
        looks = {first, first + customers // 2, first + customers - 1}
        if not api.owners(f"phone:{Customer(each).phone}" for each in looks):
            return first


@dataclass(frozen=True)
class Crowd:
    first: int
    size: int
    clock: Clock

    def __iter__(self) -> Iterator[Customer]:
        return map(Customer, range(self.first, self.first + self.size))

    def webhooks(self, connected: Connected) -> Iterator[tuple[str, Sent, bool]]:
        """(connection, webhook, whether it is the first of its kind), shuffled over a window."""
        rng, window = random.Random(self.first), list[tuple[str, Sent, bool]]()  # noqa: S311
        for who in self:
            for via, sent in day(who, self.clock, connected):
                window.append((via, sent, True))
                window += [(via, sent, False)] * (rng.random() < DOUBLED)
            while len(window) > WINDOW:
                yield window.pop(_swapped(window, rng))
        rng.shuffle(window)
        yield from window


def _swapped(window: list[tuple[str, Sent, bool]], rng: random.Random) -> int:
    """Puts any one at the end, where it is taken from without moving the others."""
    chosen = rng.randrange(len(window))
    window[chosen], window[-1] = window[-1], window[chosen]
    return -1


def day(who: Customer, clock: Clock, connected: Connected) -> list[tuple[str, Sent]]:
    """Two of the five name only the order."""
    hooks = connected.hooks
    asked = payloads.whatsapp_text(who, clock.yesterday(12, 0), "Hoi, wanneer komt mijn trui?")
    at = payloads.rfc2822(clock.yesterday(14, 30))
    parcel = payloads.parcel(who, clock.yesterday(19, 40), "ready", "Pakket ligt klaar bij het afhaalpunt")
    bought = payloads.order(who, clock.yesterday(10, 24))
    return [
        ("shop", drive.shopify(hooks["shop"], "orders/create", bought, f"ev-{who.number}-order")),
        ("whatsapp", drive.whatsapp_cloud(hooks["whatsapp"], asked)),
        ("phone", drive.call(hooks["phone"], sid(who, 1, "CA"), who.phone, at)),
        ("carrier", drive.generic(hooks["carrier"], parcel)),
        ("store", drive.generic(hooks["store"], payloads.returned(who, clock.ago(60)))),
    ]


@dataclass
class Run:
    """One load from its first webhook to its ledger."""

    books: Books
    crowd: Crowd
    tell: Tell
    patience: float = PATIENCE
    sent: int = 0
    acked: int = 0
    facts: int = 0
    began: float = field(default_factory=time.monotonic)
    acked_at: float = 0.0
    taken_at: float = 0.0
    told_at: float = 0.0
    wrong: list[DemoFailed] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def due(self) -> int:
        """Activities at both destinations, once everything is told."""
        return self.facts + ORDERS_TOLD * self.crowd.size

    @property
    def told(self) -> int:
        return self.books.around.crm.taken() + self.books.around.feed.times.total()

    def send(self) -> None:
        """Raises DemoFailed as the first sender that was refused."""
        webhooks = self.crowd.webhooks(self.books.connected)
        senders = [threading.Thread(target=self._sender, args=(webhooks,), daemon=True) for _ in range(SENDERS)]
        for each in senders:
            each.start()
        for each in senders:
            while each.is_alive():
                each.join(0.5)
                self._show()
        if self.wrong:
            raise self.wrong[0]
        self.acked_at = time.monotonic()

    def _sender(self, webhooks: Iterator[tuple[str, Sent, bool]]) -> None:
        with requests.Session() as session:
            while not self.wrong and (found := self._next(webhooks)):
                via, sent, first = found
                try:
                    deliver(sent, via, session)
                except DemoFailed as failed:
                    self.wrong.append(failed)
                    return
                with self.lock:
                    self.acked += 1
                    self.facts += first

    def _next(self, webhooks: Iterator[tuple[str, Sent, bool]]) -> tuple[str, Sent, bool] | None:
        with self.lock:
            found = next(webhooks, None)
            self.sent += found is not None
            return found

    def settle(self, logs: str) -> bool:
        """Whether the inbox was emptied and everybody told, with progress all the time."""
        seen, moved = (-1, -1), time.monotonic()
        while True:
            waiting = self._show()
            if not waiting and not self.taken_at:
                self.taken_at = time.monotonic()
            if not waiting and self.told >= self.due:
                self.told_at = time.monotonic()
                until(self._idle, 10, 0.2)
                return True
            if (waiting, self.told) != seen:
                seen, moved = (waiting, self.told), time.monotonic()
            elif time.monotonic() - moved > self.patience:
                self._stuck(logs)
                return False
            time.sleep(0.2)

    def _idle(self) -> bool:
        """Whether nothing is queued any more that could still double something."""
        return not sum(self.books.api.get("/health")["queues"].values())

    def _show(self) -> int:
        """Webhooks that are acked and not yet taken."""
        queued = self.books.api.get("/health")["queues"]
        seconds = time.monotonic() - self.began
        taken = max(0, self.acked - queued["inbox"])
        self.tell.progress(
            f"         {self.acked:,} acked ({self.acked / seconds:.0f}/s), {taken:,} taken ({taken / seconds:.0f}/s), "
            f"{self.told:,} told ({self.told / seconds:.0f}/s)"
        )
        return int(queued["inbox"])

    def _stuck(self, logs: str) -> None:
        url = self.books.api.url
        self.told_at = time.monotonic()
        self.tell.line(
            f"NOT in step: nothing moved for {self.patience:g} s. Look at GET {url}/health (what is queued), "
            f"GET {url}/v1/deliveries?status=parked and ?status=delayed (why), and the workers' log: {logs}"
        )

    def rates(self) -> list[str]:
        webhooks, events, deliveries = (
            amount / max(until_then - self.began, 0.001)
            for amount, until_then in (
                (self.acked, self.acked_at),
                (self.facts, self.taken_at or self.told_at),
                (self.told, self.told_at),
            )
        )
        return [
            f"rates    {webhooks:.0f} webhooks/s acked, {events:.1f} events/s on timelines, "
            f"{deliveries:.1f} deliveries/s, {self.told_at - self.began:.1f} s in all"
        ]

    def ledger(self) -> Ledger:
        receipts, waiting = self.books.receipts(), self.books.waiting()
        sums = Sums(self.books, receipts)
        with ThreadPoolExecutor(READERS, initializer=sums.own_session) as pool:
            for start in range(self.crowd.first, self.crowd.first + self.crowd.size, WINDOW):
                numbers = range(start, min(start + WINDOW, self.crowd.first + self.crowd.size))
                for number, _ in enumerate(pool.map(sums.add, map(Customer, numbers)), start - self.crowd.first + 1):
                    self.tell.progress(f"         looking at customer {number:,} of {self.crowd.size:,}")
        sums.places.add(Places(waiting=len(waiting & receipts.events)))
        sums.told["partner"].repeats = self.books.around.feed.again
        return Ledger(
            Played(self.sent, self.acked, self.facts), receipts, sums.places, list(sums.told.values()), sums.more
        )


@dataclass
class Sums:
    """Adds up one customer after another, in several threads."""

    books: Books
    receipts: Receipts
    places: Places = field(default_factory=Places)
    told: dict[str, Told] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    own: threading.local = field(default_factory=threading.local)

    def own_session(self) -> None:
        shared = self.books
        api = Api(shared.api.url, shared.api.key)
        self.own.books = Books(api, shared.connected, shared.around, shared.since)

    def add(self, who: Customer) -> None:
        books: Books = self.own.books
        customers = books.api.owners((f"phone:{who.phone}", f"shop:tc/{who.account}"))
        entries = [entry for customer in customers for entry in books.api.entries(customer)]
        timeline = Counter(each["id"] for each in entries)
        possible = books.possible(customers) if len(timeline) < A_DAY else set()
        places = placed(self.receipts.events, timeline, possible)
        told = books.told(who, customers, entries, desk=False)
        with self.lock:
            self._sum(who, customers, places, told)

    def _sum(self, who: Customer, customers: list[str], places: Places, told: list[Told]) -> None:
        self.places.add(places)
        for each in told:
            self.told.setdefault(each.name, Told(each.name, has_contacts=each.has_contacts)).add(each)
        if len(customers) != 1 and len(self.more) < 10:
            self.more.append(f"{who.phone} is {len(customers)} customers: it must be one")
