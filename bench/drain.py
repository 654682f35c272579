"""Through the whole hub on the embedded AWS: how fast webhooks are acked, become entries, and reach two systems.

Reported, never asserted: one machine carries the senders, the hub, the AWS and both partners.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, TypeVar

import requests

from bench.peers.memory import descendants, parents
from bench.stage import MAPPING
from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.partner import SECRET, Partner
from tests.standins.server import Answer, Call, Standin

SENDERS = 16
CALM = 20
CALM_SECONDS = 0.3
PATIENCE = 150.0
Kind = TypeVar("Kind", bound=Standin)


@dataclass(frozen=True)
class Webhook:
    """`key`: the provider's own id of what it tells."""

    key: str
    sent: Sent


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the first byte sent to the partner's answer."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Drained:
    """`cpu_seconds`: what each process spent from the first webhook of the burst to the last delivery;
    empty where the system does not tell. `batches_again`: batches with a message that had to come
    again, because somebody else held its contact or the embedded AWS did not answer."""

    webhooks: int
    acked_per_second: float
    events_per_second: float
    deliveries_per_second: float
    calm: Latency
    burst: Latency
    cpu_seconds: dict[str, float]
    batches_again: int


class TimedPartner(Partner):
    """Remembers when each of its entries came first, by the provider's own id."""

    def reset(self) -> None:
        super().reset()
        self.came: dict[str, float] = {}

    def answer(self, call: Call) -> Answer:
        answer = super().answer(call)
        if answer.status == 200:
            key = str(json.loads(call.body)["data"]["event"]["object"])
            self.came.setdefault(key, time.monotonic())
        return answer


@dataclass
class Town:
    """A hub with two sources and two destinations."""

    hub: Hub
    partner: TimedPartner
    crm: HubSpot
    shop: str
    chat: str
    began: dict[str, float] = field(default_factory=dict)
    _sessions: threading.local = field(default_factory=threading.local)

    def send(self, webhook: Webhook) -> None:
        if not hasattr(self._sessions, "own"):
            self._sessions.own = requests.Session()
        self.began[webhook.key] = time.monotonic()
        status = webhook.sent.go(self._sessions.own)
        if status != 200:
            raise RuntimeError(f"a webhook was answered {status}")

    def cpu(self) -> dict[str, float]:
        """Processor seconds so far: of the hub's processes with what they started, and of this one."""
        tree = parents()
        found = {name: sum(map(_cpu_of, descendants([child.pid], tree))) for name, child in self.hub.children.items()}
        return (found | {"bench": time.process_time()}) if all(found.values()) else {}

    def latency(self, webhooks: Sequence[Webhook]) -> Latency:
        spent = [(self.partner.came[each.key] - self.began[each.key]) * 1000 for each in webhooks]
        cuts = quantiles(spent, n=20, method="inclusive")
        return Latency(cuts[9], cuts[18])

    def waiting(self) -> int:
        """Messages in the inbox, in hand or not."""
        sqs = self.hub.aws.client("sqs")
        url = sqs.get_queue_url(QueueName="draad-local-inbox")["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def again(self) -> int:
        return (self.hub.state.folder / "workers.log").read_text("utf-8").count("raised BatchUnfinished")

    def entries(self) -> int:
        """Events on timelines, counted in the table."""
        dynamodb = self.hub.aws.client("dynamodb")
        asked: dict[str, Any] = {
            "TableName": self.hub.stack_env["DRAAD_TABLE"],
            "FilterExpression": "begins_with(pk, :n) AND begins_with(sk, :e)",
            "ExpressionAttributeValues": {":n": {"S": "N#"}, ":e": {"S": "E#"}},
            "Select": "COUNT",
        }
        pages = dynamodb.get_paginator("scan").paginate(**asked)
        return sum(page["Count"] for page in pages)


def measured(count: int = 300) -> Drained:
    with town() as place:
        calm = webhooks(place, 0, CALM)
        for each in calm:
            place.send(each)
            time.sleep(CALM_SECONDS)
        until(lambda: len(place.crm.kept()) == CALM and len(place.partner.came) == CALM)
        return _burst(place, webhooks(place, CALM, count), place.latency(calm))


def _burst(place: Town, burst: list[Webhook], calm: Latency) -> Drained:
    before, began = place.cpu(), time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(place.send, burst))
    acked = time.monotonic() - began
    wanted = CALM + len(burst)
    taken = until(lambda: place.waiting() == 0) - began
    done = until(lambda: len(place.crm.kept()) == wanted and len(place.partner.came) == wanted) - began
    if place.entries() != wanted:
        raise RuntimeError(f"{wanted} webhooks became {place.entries()} entries")
    rates = (len(burst) / acked, len(burst) / taken, 2 * len(burst) / done)
    spent = {name: round(after - before[name], 1) for name, after in place.cpu().items()}
    return Drained(len(burst), *rates, calm, place.latency(burst), spent, place.again())


def until(what: Callable[[], bool]) -> float:
    eventually(what, seconds=PATIENCE, every=0.05)
    return time.monotonic()


UNHURRIED = {"rate_limit": 1000}
"""What vendors allow is lifted here: measured is the hub."""


@contextmanager
def open_for_a_while(standin: Kind) -> Iterator[Kind]:
    with standin:
        yield standin


@contextmanager
def town(more: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[Town]:
    """`more`: environment of the hub's processes, as `Hub` takes it."""
    env = {"": {}} | dict(more or {})
    env[""] = {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1"} | dict(env[""])
    with Hub(env=env) as hub, open_for_a_while(TimedPartner()) as partner, open_for_a_while(HubSpot()) as crm:
        who = Integrator(hub.url, hub.admin_key)
        shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
        chat = who.connect(
            "generic",
            "chat",
            settings={"own_system": True},
            secrets={"signing_secret": drive.POS_SECRET},
            mapping=MAPPING,
        )
        who.connect("hubspot", settings={"base_url": crm.url} | UNHURRIED, secrets={"access_token": TOKEN})
        who.connect("webhook", settings={"url": partner.url + "/in"} | UNHURRIED, secrets={"signing_secret": SECRET})
        yield Town(hub, partner, crm, shop["hook_url"], chat["hook_url"])


def webhooks(place: Town, first: int, count: int) -> list[Webhook]:
    """Orders and messages in turn: two of each customer."""
    makers = (_order, _message)
    return [makers[number % 2](place, first + number) for number in range(count)]


def _order(place: Town, number: int) -> Webhook:
    id, customer = 500_000 + number, number // 2
    body = drive.order(id, customer + 1, f"jan{customer}@example.nl", _phone(customer), "2026-09-02T20:15:00+02:00")
    return Webhook(str(id), drive.shopify(place.shop, "orders/create", body))


def _message(place: Town, number: int) -> Webhook:
    customer = number // 2
    body = {
        "id": f"m-{number}",
        "type": "message",
        "channel": "whatsapp",
        "at": f"2026-09-03T10:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "text": f"Question {number}: is the jumper in the shop reduced as well?",
        "identities": [{"kind": "phone", "value": _phone(customer), "assurance": "A2"}],
        "refs": [{"kind": "thread", "value": f"t-{customer}"}],
    }
    return Webhook(str(body["id"]), drive.generic(place.chat, body))


def _cpu_of(pid: int) -> float:
    """From Linux's process table; 0 where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _phone(customer: int) -> str:
    return f"+31612{customer:06d}"
