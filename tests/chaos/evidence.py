"""What is looked at when a ledger does not add up: kept before the hub ends, since nothing is left of it afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from chalicelib.api.deliveries import STATUSES
from infra.demo.connections import FEED_TYPES
from infra.demo.errors import DemoFailed
from infra.demo.payloads import Customer
from infra.local.errors import LocalRunFailed
from tests.chaos.run import TYPES, Run, open_rows
from tests.chaos.sums import KEPT
from tests.chaos.world import PROCESSES, World

Row = dict[str, Any]


def keep(world: World, seed: int, runs: Iterable[Run]) -> str:
    """The folder that it is in: what the hub says of its deliveries and queues, what is where, and the logs."""
    folder = KEPT / f"{seed}-evidence"
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        "asked_at": datetime.now(UTC).isoformat(),
        "rows": tried(lambda: list(open_rows(world))),
        "health": tried(lambda: world.api.get("/health")),
        "deliveries": tried(lambda: undelivered(world)),
        "lacking": tried(
            lambda: [each for run in runs for who in run.customers for each in lacking(run, Customer(who))]
        ),
    }
    (folder / "asked.json").write_text(json.dumps(found, indent=1, default=str) + "\n", "utf-8")
    for name in (*PROCESSES, "aws"):
        log = world.hub.state.folder / f"{name}.log"
        if log.exists():
            shutil.copy(log, folder)
    return str(folder)


def tried(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (DemoFailed, LocalRunFailed) as wrong:
        return f"not answered: {wrong}"


def undelivered(world: World) -> list[Row]:
    states = [each for each in STATUSES if each != "delivered"]
    return [row for state in states for row in world.api.pages("/v1/deliveries", "deliveries", status=state)]


def lacking(run: Run, who: Customer) -> list[Row]:
    """The entries of which a destination was not told, with what the timeline says of them."""
    books = run.world.books
    customers = books.api.owners((f"phone:{who.phone}", f"shop:tc/{who.account}"))
    entries = [entry for each in customers for entry in books.api.entries(each)]
    crm, feed = run.world.around.crm, run.world.around.feed
    contacts = crm.contacts_with(phone=who.phone, email=who.mail, hub_customer_id=customers[0] if customers else "")
    came = {"crm": (crm.times(contacts), TYPES), "partner": (feed.times, FEED_TYPES)}
    found = []
    for entry in entries:
        lacks = [name for name, (times, types) in came.items() if entry["type"] in types and not times[entry["id"]]]
        found += [entry | {"lacks": lacks}] if lacks else []
    return found
