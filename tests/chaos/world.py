"""The hub behind its proxies, and the systems around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from bench.peers.memory import descendants, parents, resident
from chalicelib.model.event import digest
from infra.demo import connections, payloads
from infra.demo.api import Api
from infra.demo.connections import Connected
from infra.demo.errors import DemoFailed
from infra.demo.payloads import Customer
from infra.demo.play import until
from infra.demo.proof import Books
from infra.demo.systems import Systems, systems
from infra.local.hub import Hub
from tests import drive
from tests.chaos.proxy import Chaos, Proxy
from tests.drive import Sent

PROCESSES = ("http", "workers")
VISIBILITY_SECONDS = 10
PATIENCE = 120.0
FIRST = 20_000_000
"""The number of the first customer."""
HOUSEHOLD = (19_000_001, 19_000_002)
"""Two customers with one telephone: whoever calls from it is possibly either."""
SHARED = "+31619000000"
POISON = {"inbox": "not an arrival", "deliveries": "not a duty"}


@dataclass
class World:
    """`next_number`: of the customers that nobody knows yet. `calls`: made from the shared telephone so far."""

    hub: Hub
    chaos: Chaos
    clock: dict[str, Path]
    around: Systems
    connected: Connected
    since: datetime
    next_number: int = FIRST
    calls: int = 0
    household: list[str] = field(default_factory=list)
    told_before: int = 0
    """Activities that the destinations had before the first run."""

    @property
    def api(self) -> Api:
        return Api(self.hub.url, self.hub.admin_key)

    @property
    def books(self) -> Books:
        return Books(
            self.api, self.connected, self.around, self.since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )

    @property
    def told(self) -> int:
        """Activities at both destinations."""
        return self.around.crm.taken() + self.around.feed.times.total()

    def kill(self, process: str) -> None:
        self.hub.children[process].send(9)

    def set_clock(self, process: str, offset: float) -> None:
        part = self.clock[process].with_suffix(".part")
        part.write_text(str(offset))
        part.replace(self.clock[process])

    def calm(self) -> None:
        """Nothing goes wrong any more, and every process is up."""
        self.chaos.calm()
        for each in (self.around.crm, self.around.feed):
            each.behave()
            each.accept()
        for process in PROCESSES:
            self.set_clock(process, 0.0)
        self.hub.wait_until_up()

    def memory(self) -> dict[str, int]:
        """Resident megabytes of each process and what it started."""
        tree = parents()
        return {name: resident(descendants([child.pid], tree)) // 2**20 for name, child in self.hub.children.items()}


@contextmanager
def world(
    app: str = "tests.chaos.clocked", *, whole: bool = True, hang: float = 12.0, sweep: float = 2.0
) -> Iterator[World]:
    """A hub of its own with all that it needs. `whole`: the partner keeps what it was told. `sweep`: seconds between two:
    the embedded AWS looks through the whole table for each of its questions."""
    with ExitStack() as stack:
        chaos = Chaos()
        hub: list[Hub] = []
        proxies = {each: stack.enter_context(Proxy(each, chaos, lambda: hub[0].aws_url, hang)) for each in PROCESSES}
        hub.append(Hub(env=_env(proxies, sweep), app=app, visibility_seconds=VISIBILITY_SECONDS))
        clock = {each: hub[0].state.folder / f"clock-{each}" for each in PROCESSES}
        for each in PROCESSES:
            hub[0].extra[each]["CHAOS_CLOCK"] = str(clock[each])
        stack.enter_context(hub[0])
        around = stack.enter_context(systems())
        around.feed.whole = whole
        connected = connections.for_the_load(Api(hub[0].url, hub[0].admin_key), around)
        made = World(
            hub[0], chaos, clock, around, connected, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
        )
        chaos.kill = made.kill
        yield made


def _env(proxies: dict[str, Proxy], sweep: float) -> dict[str, dict[str, str]]:
    """The embedded AWS and whoever sets it up talk directly."""
    own = {name: {"AWS_ENDPOINT_URL": proxy.url} for name, proxy in proxies.items()}
    shared = {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1", "DRAAD_SWEEP_SECONDS": f"{sweep:g}", "DRAAD_RATE_LIMIT": "0"}
    return {"": shared, **own}


def move_in(made: World) -> None:
    """The household, known as two customers before anything goes wrong."""
    for number in HOUSEHOLD:
        who = Customer(number)
        body = payloads.order(who, made.since - timedelta(days=1))
        shared = body | {"phone": SHARED, "customer": body["customer"] | {"phone": SHARED}}
        for address in ("billing_address", "shipping_address"):
            shared[address] = body[address] | {"phone": SHARED}
        until(lambda body=shared, name=f"ev-{number}": acked(made, body, name), PATIENCE)
    wanted = [f"shop:tc/{Customer(each).account}" for each in HOUSEHOLD]
    until(lambda: all(owners(made, [each]) for each in wanted), PATIENCE)
    made.household = [owner for each in wanted for owner in owners(made, [each])]
    assert len(set(made.household)) == len(HOUSEHOLD), "the household is not two customers"
    until(lambda: made.told == 2 * len(HOUSEHOLD), PATIENCE)
    made.told_before = made.told


def acked(made: World, body: dict[str, Any], name: str) -> bool:
    try:
        return drive.shopify(made.connected.hooks["shop"], "orders/create", body, name).go() == 200
    except requests.RequestException:
        return False


def owners(made: World, identities: list[str]) -> list[str]:
    """None while the hub does not answer, as on a machine that has much else to do."""
    try:
        return made.api.owners(identities)
    except DemoFailed:
        return []


def poison(made: World) -> None:
    """Messages that no worker can ever take, past the API: they must end parked, where people see them."""
    sqs: Any = made.hub.aws.client("sqs")
    for queue, body in POISON.items():
        url = sqs.get_queue_url(QueueName=f"draad-local-{queue}")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=body)


def poisoned(made: World) -> Counter[str]:
    """Which of them are parked, and how often, by queue. People see them as unreadable receipts; which is which only
    the key tells, because nothing of an unreadable message is shown."""
    table: Any = made.hub.aws.client("dynamodb")
    names = {digest(body): queue for queue, body in POISON.items()}
    shown = {
        each["id"] for each in made.api.pages("/v1/receipts", "receipts", verdict="failed", connection="unreadable")
    }
    days = {f"{made.since:%Y%m%d}", f"{datetime.now(UTC):%Y%m%d}"}
    found: Counter[str] = Counter()
    for day in days:
        values = {":p": {"S": f"I#unreadable#{day}"}}
        rows = table.query(
            TableName=made.hub.stack_env["DRAAD_TABLE"],
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues=values,
        )
        found.update(names.get(row["sk"]["S"].rpartition("#")[2], "?") for row in rows["Items"])
    assert len(shown) == found.total(), "people do not see what is parked"
    return found


def shared_call(made: World, number: int) -> tuple[str, Sent]:
    """When it was, and its webhook."""
    at = made.since - timedelta(hours=2, minutes=number)
    sent = drive.call(made.connected.hooks["phone"], f"CAshared{number:024d}", SHARED, payloads.rfc2822(at))
    return payloads.zulu(at).replace("Z", ".000Z"), sent
