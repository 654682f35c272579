"""Receipts: what arrived, what became of it, and doing it again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from chalicelib.api import paging, totals, wishes
from chalicelib.api.answers import Call, Reply, window, wrong
from chalicelib.api.customers import rules
from chalicelib.context import people
from chalicelib.errors import Erased, NotFound
from chalicelib.ingest import arrival as arrivals
from chalicelib.ingest.read import read
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.event import Event, Ref
from chalicelib.settings import settings
from chalicelib.store import connections, ids, jobs, receipts
from chalicelib.store.receipts import Receipt
from chalicelib.store.table import Item, live

DEFAULT_DAYS = 7
MOST_LINKED = 25
"""Events of one receipt whose customers are looked up: a batch may hold hundreds."""
MOST_ASKED = 500
"""Days of connections that are looked through for one page: hundreds of silent connections over a month
are more than a request may take. The page then ends at a midnight, and `next` goes on from there."""
VERDICTS = ("accepted", "duplicate", "ignored", "malformed", "failed")


def listing(call: Call) -> Reply:
    """Newest first, of one connection or of all; `verdict` narrows, `since` ends the search."""
    verdict = call.value("verdict")
    if verdict and verdict not in VERDICTS:
        raise wrong("/verdict", f"must be one of {', '.join(VERDICTS)}")
    since = call.moment("since", _days_ago(DEFAULT_DAYS))
    end = paging.end(call, since)
    wanted = [call.value("connection")] if call.value("connection") else _sources(call)
    asked = Asked(call, verdict, since, end)
    steps = asked.indexed(wanted) if verdict in receipts.NEEDS_ATTENTION else asked.by_day(wanted)
    page = paging.first(steps, call.limit())
    return Reply({"receipts": [_row(receipts.from_item(item)) for item in page.items], "next": page.next})


@dataclass(frozen=True)
class Asked:
    """What a list is asked for."""

    call: Call
    verdict: str
    since: str
    end: paging.End

    def by_day(self, connections: list[str]) -> Iterator[list[paging.Run]]:
        """Receipts lie by the day on which they came: each day of all connections, newest first."""
        newest = instants.day(self.end.sort or instants.now())
        days = instants.days_between(instants.day(self.since), newest)
        asked = 0
        for day in days[: settings().receipt_retention_days + 1]:
            before = self.end.inclusive if day == newest else ""
            yield [self._run(self._of_day(each, day, before)) for each in connections]
            asked += len(connections)
            midnight = f"{day[:4]}-{day[4:6]}-{day[6:]}T00:00:00.000Z"
            if asked >= MOST_ASKED and midnight > self.since:
                yield [paging.Run([], paging.End(midnight, "-"))]

    def indexed(self, connections: list[str]) -> Iterator[list[paging.Run]]:
        """Malformed and failed ones have an index, so that a few among millions are found. Those of which only a
        part could not be read are among the malformed ones."""
        yield [self._run(self._of_index(each)) for each in connections]

    def _run(self, rows: Iterator[Item]) -> paging.Run:
        return paging.run(rows, self._fits, self.end, self.call.limit())

    def _fits(self, item: Item) -> bool:
        partly = item["vd"] in receipts.BECAME_EVENTS and bool(item.get("why"))
        return self.verdict in ("", item["vd"]) or (partly and self.verdict == "malformed")

    def _of_day(self, connection: str, day: str, before: str) -> Iterator[Item]:
        for size in paging.sizes(self.call.limit()):
            page = receipts.of_day(self.call.table, connection, day, since=self.since, before=before, limit=size)
            yield from page.items
            if page.next is None:
                return
            before = page.next[1]

    def _of_index(self, connection: str) -> Iterator[Item]:
        return paging.of_index(self.call.table, f"M#{connection}", self.since, self.end, self.call.limit())


def _sources(call: Call) -> list[str]:
    return [*(each.id for each in connections.everyone(call.table)), "unreadable"]


def _days_ago(days: int) -> str:
    return instants.from_ms(instants.now_ms() - days * 86_400_000)


def show(call: Call, id: str) -> Reply:
    receipt = existing(call, id)
    row = _row(receipt)
    for event, customer in zip(row["events"], _customers(call, receipt), strict=False):
        event["customer"] = customer
    return Reply(row | _request(receipt) | {"fetched": receipt.fetched})


def _customers(call: Call, receipt: Receipt) -> list[str | None]:
    """On whose timeline each of the first MOST_LINKED events is now; None for nobody's, as long as it waits."""
    keys = [(each.pk, each.sk) for each in receipt.produced[:MOST_LINKED]]
    items = call.table.batch_get(list(dict.fromkeys(key for key in keys if key[0])))
    nodes = [_node_of(items.get(key)) for key in keys]
    found = {node: _customer_of(call, node) for node in {*nodes} - {""}}
    return [found.get(node) for node in nodes]


def _node_of(item: Item | None) -> str:
    """The identity at which an event lies, or where it was placed after it had waited."""
    found = live(item)
    if found is None:
        return ""
    return str(found["pk"][2:] if found["pk"].startswith("N#") else found.get("placed", ""))


def _customer_of(call: Call, node: str) -> str | None:
    try:
        person = people.of_node(call.table, rules(call), node)
    except Erased:
        return None
    return person.customer.id if person else None


def existing(call: Call, public_id: str) -> Receipt:
    found = _named(call, public_id)
    if found is None:
        raise NotFound("no such receipt: it was not yet taken from the inbox, or its time is over")
    return found


def _named(call: Call, public_id: str) -> Receipt | None:
    parts = ids.unseal("rcp", public_id)
    return receipts.get(call.table, f"I#{parts[0]}", parts[1]) if parts and len(parts) == 2 else None


def _row(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "connection": receipt.connection,
        "received_at": receipt.received_at,
        "verdict": receipt.verdict,
        "reason": receipt.reason or None,
        "delivery_key": receipt.key or None,
        "test": receipt.test,
        "missed": receipt.missed,
        "events": [
            {name: getattr(each, name) for name in ("id", "type", "channel", "direction", "occurred_at", "verdict")}
            for each in receipt.produced
        ],
    }


def _request(receipt: Receipt) -> dict[str, Any]:
    packed = receipt.arrival()
    try:
        arrival = arrivals.decode(packed) if packed else None
    except ValueError:
        arrival = None
    if arrival is None:
        return {"method": None, "headers": [], "body": None, "body_base64": None}
    try:
        text, raw = arrival.body.decode(), None
    except UnicodeDecodeError:
        text, raw = None, base64.b64encode(arrival.body).decode()
    headers = [[name, value] for name, value in arrival.headers]
    return {"method": arrival.method, "headers": headers, "body": text, "body_base64": raw}


def replay(call: Call, id: str) -> Reply:
    receipt = existing(call, id)
    job = jobs.start(call.table, "replay", {"receipts": [[receipt.pk, receipt.sk]]}, total=1)
    return Reply(jobs.view(job) | {"job": job.id}, 202)


def replay_range(call: Call) -> Reply:
    asked = window(call)
    job = jobs.start(call.table, "replay", asked, totals.of_replay(call.table, asked))
    return Reply(jobs.view(job) | {"job": job.id}, 202)


class ReceiptPreview(msgspec.Struct, forbid_unknown_fields=True):
    receipt: str
    mapping: Any = None


def preview_of(call: Call, connection: Connection) -> dict[str, Any]:
    """The events that a receipt would become, by its connection's mapping or another one."""
    asked = call.read(ReceiptPreview)
    receipt = _named(call, asked.receipt)
    packed = receipt.arrival() if receipt and receipt.connection == connection.id else None
    if receipt is None or packed is None:
        raise wrong("/receipt", "is no receipt of this connection, or its body is gone")
    if asked.mapping is not None:
        wishes.check_mapping(connection, asked.mapping)
        connection = msgspec.structs.replace(connection, mapping=asked.mapping)
    found = read(call.table, arrivals.decode(packed), connection, receipt.fetched or {})
    return {
        "verdict": found.verdict,
        "reason": found.reason or None,
        "events": [_previewed(event) for event in found.events],
    }


def _previewed(event: Event) -> dict[str, Any]:
    """With names for the parts of an identity and a reference, which are kept as bare lists."""
    ends = {name: [people.named(each) for each in getattr(event, name)] for name in ("ends", "begins")}
    told: dict[str, Any] = msgspec.to_builtins(event)
    return (
        told
        | {"id": event.id, "identities": [people.named(each) for each in event.identities]}
        | {"refs": [_named_ref(each) for each in event.refs]}
        | {name: shown for name, shown in ends.items() if shown}
    )


def _named_ref(ref: Ref) -> dict[str, Any]:
    return {"kind": ref.kind, "scope": ref.scope or None, "value": ref.value, "typed": ref.typed}
