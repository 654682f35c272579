"""Plays the story: sends each step, waits until the hub took it, and says what became of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests

from infra.demo import connections
from infra.demo.api import Api
from infra.demo.errors import DemoFailed
from infra.demo.ledger import PARKED, Ledger, Played
from infra.demo.payloads import Customer
from infra.demo.place import Place
from infra.demo.proof import Books, ledger_of_one
from infra.demo.story import Clock, Step, prepare, story
from infra.demo.systems import Systems
from infra.demo.tell import Tell, count
from tests.drive import Sent

BORN = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = 50_000_000
PATIENCE = 120.0
WAITING, NOBODY, UNNAMED, NAMED = "waiting", "nobody", "unnamed", "named"
Found = TypeVar("Found")


def play(place: Place, around: Systems, tell: Tell, patience: float = PATIENCE, clock: Clock | None = None) -> bool:
    """Whether everything adds up. `clock`: when the story is told; now, where none is given. Raises DemoFailed."""
    connected = connections.for_the_story(place.api, around)
    tell.line(
        f"systems  {len(connected.ids)} connections; CRM, desk, partner and phone system are stand-ins on loopback"
    )
    clock = clock or Clock.here()
    who = newcomer(place.api, clock.now)
    prepare(who, clock, around)
    stage = Stage(Books(place.api, connected, around, now()), who, clock, tell, patience)
    tell.line(f"customer {who.name}, {who.phone}, {who.mail}, order {who.order}")
    tell.line()
    steps = story(who, clock, connected)
    for step in steps:
        stage.play(step)
    tell.line()
    settled = stage.settle(place.logs)
    ledger = ledger_of_one(stage.books, who, Played(stage.webhooks, stage.webhooks, sum(each.facts for each in steps)))
    report(stage, ledger)
    return settled and not ledger.mistakes()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def newcomer(api: Api, at: datetime) -> Customer:
    """Somebody whom the hub does not know yet: his number is the second of his birth."""
    number = int((at - BORN).total_seconds())
    while True:
        who = Customer(10_000_000 + number % NUMBERS)
        if not api.owners(who.identities):
            return who
        number += 1


@dataclass
class Stage:
    """`where`: what is known of each event so far, in the words above."""

    books: Books
    who: Customer
    clock: Clock
    tell: Tell
    patience: float
    webhooks: int = 0
    came: Counter[str] = field(default_factory=Counter)
    where: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def api(self) -> Api:
        return self.books.api

    def play(self, step: Step) -> None:
        connection = self.books.connected.ids[step.via]
        for sent in step.sends:
            deliver(sent, step.via, self.session)
            self.webhooks += 1
            self.came[connection] += 1
        rows = self._receipts(connection)
        self.types |= {each["id"]: each["type"] for row in rows for each in row["events"]}
        new = self.types.keys() - self.where.keys()
        parked = [str(row["reason"]) for row in rows if row["verdict"] in PARKED]
        before, self.where = self.where, self._places(new | self.where.keys())
        self.tell.line(f"{self.clock.shown(step.at):15} {step.via:8} {step.what}")
        again = "sent twice, kept once: " if step.repeats else ""
        self.tell.line(f"{'':24} → {again}{self._fate(new, parked)}{self._moved(before)}")
        if NAMED in self.where.values() and NAMED not in before.values():
            self._must_be_reachable()

    def _receipts(self, connection: str) -> list[dict[str, Any]]:
        """All of this run, once the hub took what was sent."""

        def taken() -> list[dict[str, Any]]:
            rows = list(self.books.arrived(connection))
            return rows if len(rows) >= self.came[connection] else []

        if found := until(taken, self.patience):
            return found
        raise DemoFailed(
            f"The hub acked a webhook and did not take it within {self.patience:g} s: do its workers run? "
            f"GET {self.api.url}/health shows what is queued."
        )

    def _places(self, events: set[str]) -> dict[str, str]:
        """Where each event is now."""
        found = dict.fromkeys(events, NOBODY) | dict.fromkeys(self.books.waiting() & events, WAITING)
        for customer in self.books.customers(self.who):
            unnamed = self.api.get(f"/v1/customers/{customer}")["anonymous"]
            on_timeline = {each["id"] for each in self.api.entries(customer)}
            found |= dict.fromkeys(on_timeline & events, UNNAMED if unnamed else NAMED)
        return found

    def _fate(self, new: set[str], parked: list[str]) -> str:
        words = {
            WAITING: f"waits: whose order {self.who.order} is, nobody knows yet",
            NOBODY: "on nobody's timeline",
            UNNAMED: "on the timeline of somebody unnamed",
            NAMED: f"on {self.who.first}'s timeline",
        }
        if parked:
            return f"PARKED: {parked[0]}"
        return " and ".join(words[each] for each in sorted({self.where[each] for each in new})) or "nothing new"

    def _moved(self, before: dict[str, str]) -> str:
        """What this step told of earlier ones."""
        told = ""
        for place, words in ((WAITING, "that waited"), (UNNAMED, "of the unnamed visitor")):
            moved = [each for each, was in before.items() if was == place and self.where[each] == NAMED]
            if moved:
                told += f"; so {'is' if len(moved) == 1 else 'are'} now {self._listed(moved)} {words}"
        return told

    def _listed(self, events: list[str]) -> str:
        kinds = Counter(self.types[each] for each in events)
        return " and ".join(count(number, kind) for kind, number in sorted(kinds.items()))

    def _must_be_reachable(self) -> None:
        """The first delivery shows whether the hub may call loopback at all."""
        crm = self.books.connected.ids["crm"]

        def outcome() -> str:
            rows = self.api.get("/v1/deliveries", connection=crm, status="parked", limit=50)["deliveries"]
            reasons = [str(each["reason"]) for each in rows if each["event"] in self.where]
            return next((each for each in reasons if "forbidden network" in each), "") or "yes" * self.around_heard()

        if "forbidden network" in (until(outcome, 20) or ""):
            raise DemoFailed(
                "The hub may not send to this machine: stop it, start it with "
                "`DRAAD_ALLOW_PRIVATE_DESTINATIONS=1 make run`, and run this again; or leave it stopped, and "
                "`make demo` starts a hub of its own."
            )

    def around_heard(self) -> bool:
        return self.books.around.crm.taken() > 0

    def settle(self, logs: str) -> bool:
        """Whether every destination came into step in time."""
        began = time.monotonic()
        if until(self._in_step, self.patience):
            self.tell.line(f"in step  every destination, {time.monotonic() - began:.1f} s after the last webhook")
            return True
        (customer, *_) = [*self.books.customers(self.who), "{id}"]
        self.tell.line(
            f"NOT in step after {self.patience:g} s. Look at GET {self.api.url}/v1/customers/{customer}/sync (what is "
            f"behind, and why), GET {self.api.url}/v1/deliveries?status=parked, and the workers' log: {logs}"
        )
        return False

    def _in_step(self) -> bool:
        customers = self.books.customers(self.who)
        return bool(customers) and all(self.api.in_step(each) for each in customers)


def report(stage: Stage, ledger: Ledger) -> None:
    """Who he is, where to look, and the ledger."""
    api, tell = stage.api, stage.tell
    for customer in stage.books.customers(stage.who):
        shown = api.get(f"/v1/customers/{customer}")
        for number, each in enumerate(shown["identities"]):
            tell.line(f"{'known as' if not number else '':8} {each['identity']} ({each['assurance']})")
        link = api.link(customer)
        tell.line(f"timeline {link or f'{api.url}/customers/{customer}'}")
        if not link:
            tell.line(f"         curl -H 'Authorization: Bearer {api.key}' {api.url}/v1/customers/{customer}/timeline")
    for line in ledger.lines():
        tell.line(line)


def deliver(sent: Sent, via: str, session: requests.Session) -> None:
    """Send a webhook. Raises DemoFailed unless it is acked."""
    try:
        status = sent.go(session)
    except requests.RequestException as wrong:
        raise DemoFailed(
            f"The hub did not answer a webhook of {via} ({type(wrong).__name__}): is it running?"
        ) from wrong
    if not 200 <= status < 300:
        raise DemoFailed(
            f"The hub answered a webhook of {via} with {status}: its connection shows why under refusals "
            "(GET /v1/connections/{id}); behind a proxy set DRAAD_PUBLIC_URL."
        )


def until(what: Callable[[], Found], seconds: float, every: float = 0.1) -> Found:
    """The first truthy answer, or the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(every)
