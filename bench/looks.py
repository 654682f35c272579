"""Cases of the API: what one look costs at the table, through the app itself."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from bench.cases import Budget, Case, customer
from bench.lambda_event import rest_event
from bench.meter import Bill
from bench.stage import World
from chalicelib.settings import settings
from chalicelib.store import keys, quotas

SCOPES = ("read",)


class Reader:
    """Whoever reads: an API key, known to this container already, which has requests of its rate in hand: one in
    25 fetches a handful, a read and a write more. `ms`: what the last look took, wall time."""

    def __init__(self, world: World) -> None:
        from app import app

        self.world, self.app = world, app
        made, self.key = keys.mint(world.table, "bench", SCOPES)
        self.id = made.id
        self.ms = 0.0
        keys.find(world.table, self.key)

    def get(self, resource: str, parameters: Mapping[str, str], query: Mapping[str, str]) -> tuple[Bill, Any]:
        quotas.take(self.world.table, self.id, settings().rate_limit)
        headers = {"Authorization": f"Bearer {self.key}"}
        event = rest_event("GET", resource, parameters, headers=headers, query=query)
        with self.world.metered() as meter:
            begun = time.perf_counter()
            answer = self.app(event, None)
            self.ms = (time.perf_counter() - begun) * 1000
        assert answer["statusCode"] == 200, answer
        return meter.bill, json.loads(_text(answer))


def _text(answer: Mapping[str, Any]) -> bytes:
    return base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()


def found(world: World, entries: int) -> Bill:
    """customers?identity= of a customer of four."""
    who, _ = customer(world, 4, entries)
    bill, answer = Reader(world).get("/v1/customers", {}, {"identity": who[1]})
    assert answer["match"] == "exact"
    return bill


def first_page(world: World, entries: int) -> Bill:
    """The newest 50 entries of a customer of four."""
    who, _ = customer(world, 4, entries)
    reader = Reader(world)
    _, answer = reader.get("/v1/customers", {}, {"identity": who[1]})
    id = answer["customers"][0]["id"]
    bill, page = reader.get("/v1/customers/{id}/timeline", {"id": id}, {"limit": "50"})
    assert len(page["entries"]) == min(50, entries + 2)
    return bill


def whole(world: World, entries: int) -> Bill:
    """All that an agent sees of a customer of four at once."""
    who, _ = customer(world, 4, entries)
    reader = Reader(world)
    _, answer = reader.get("/v1/customers", {}, {"identity": who[1]})
    bill, shown = reader.get("/v1/customers/{id}", {"id": answer["customers"][0]["id"]}, {})
    assert len(shown["identities"]) == 4 and shown["conversations"]
    return bill


LOOKS = (
    Case("customers?identity= (4 identities)", found, Budget(None, requests=12)),
    Case("the customer whole (4 identities)", whole, Budget(None, requests=12)),
    Case("timeline, newest 50 (4 identities)", first_page, Budget(None, requests=12)),
)
