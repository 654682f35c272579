"""A receipt: on whose timeline its events are now, and that our own tests are no sign of life."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.api import receipts
from tests.api.client import Api, event, person

NOW = "2026-09-01T09:00:00.000Z"
JAN, PIET = person("email", "jan@example.nl"), person("email", "piet@example.nl")


@pytest.fixture
def shop(api: Api) -> str:
    made: str = api.connect()["id"]
    return made


def customers(api: Api, receipt: str = "") -> list[Any]:
    """Of the only receipt, or of that one."""
    id = receipt or api.get("/v1/receipts")["receipts"][0]["id"]
    return [each.get("customer", "absent") for each in api.get(f"/v1/receipts/{id}")["events"]]


def customer(api: Api, identity: str) -> str:
    (found,) = api.get("/v1/customers", identity=identity)["customers"]
    return str(found["id"])


def test_an_event_leads_to_its_customer_also_after_a_merge(api: Api, shop: str) -> None:
    api.record(shop, event(1, NOW, JAN))
    (receipt,) = api.get("/v1/receipts")["receipts"]
    assert "customer" not in receipt["events"][0], "a list would read far too much"
    assert customers(api) == [customer(api, "email:jan@example.nl")]
    api.record(shop, event(2, NOW, PIET))
    link = {"a": "email:jan@example.nl", "b": "email:piet@example.nl", "reason": "one person"}
    api.call("POST", "/v1/links", 201, link)
    assert customers(api, receipt["id"]) == [customer(api, "email:piet@example.nl")]


def test_one_that_waits_is_nobodys_until_it_is_placed(api: Api, shop: str) -> None:
    order = [{"kind": "order", "value": "1001"}]
    api.record(shop, event(1, NOW, type="return", refs=order))
    (receipt,) = api.get("/v1/receipts")["receipts"]
    assert customers(api) == [None]
    api.record(shop, event(2, NOW, JAN, type="order", refs=order))
    assert customers(api, receipt["id"]) == [customer(api, "email:jan@example.nl")]


def test_of_a_batch_the_first_are_looked_up(api: Api, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "MOST_LINKED", 1)
    batch = api.connect(
        mapping={
            "each": "all[]",
            "rules": [
                {"type": "type", "channel": "channel", "object": "id", "occurred_at": "at", "identities": "people"}
            ],
        }
    )
    api.record(batch["id"], {"all": [event(1, NOW, JAN), event(2, NOW, PIET)]})
    assert customers(api) == [customer(api, "email:jan@example.nl"), "absent"]


def test_who_was_erased_is_nobody(api: Api, shop: str) -> None:
    api.record(shop, event(1, NOW, JAN))
    (receipt,) = api.get("/v1/receipts")["receipts"]
    api.call("POST", f"/v1/customers/{customers(api)[0]}/erase", 202, {"reason": "asked"})
    api.work()
    shown = api.get(f"/v1/receipts/{receipt['id']}")
    assert (shown["verdict"], shown["events"], shown["body"]) == ("erased", [], None)


def test_a_test_is_no_sign_of_life(api: Api, shop: str) -> None:
    def heard() -> set[Any]:
        (listed,) = api.get("/v1/connections")["connections"]
        return {listed["last_event_at"], api.get(f"/v1/connections/{shop}")["last_event_at"]}

    for _ in range(3):
        api.call("POST", f"/v1/connections/{shop}/test", 202)
    api.work()
    assert heard() == {None}
    api.record(shop, event(1, NOW, JAN))
    (real,) = [each["received_at"] for each in api.get("/v1/receipts")["receipts"] if not each["test"]]
    for _ in range(3):
        api.call("POST", f"/v1/connections/{shop}/test", 202)
    api.work()
    assert heard() == {real}
