"""What a shop demands in the name of its customers: their data, their erasure, or that of all of them."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.workers import redact
from tests import drive
from tests.api.client import Api, event, person

SHOP_ID = 954889


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "PAGE", 7)


@pytest.fixture
def shop(api: Api) -> str:
    asked = {
        "provider": "shopify",
        "name": "shop",
        "settings": {"accounts": "verified"},
        "secrets": {"client_secret": drive.SHOP_SECRET},
    }
    made: str = api.call("POST", "/v1/connections", 201, asked)["id"]
    return made


def tell(api: Api, shop: str, topic: str, body: dict[str, Any]) -> None:
    sent = drive.shopify(f"/hooks/{shop}", topic, body)
    assert api.send("POST", sent.url, sent.body, sent.headers.items(), key="").status == 200
    api.work()


def orders(api: Api, shop: str, number: int, mail: str, phone: str) -> None:
    tell(api, shop, "orders/create", drive.order(number, number, mail, phone, "2026-09-01T10:00:00+02:00"))


def values(api: Api, *texts: str) -> list[tuple[str, str]]:
    """Keys of items that hold one of these texts, however packed."""
    from chalicelib.store.codec import unpack

    found, start = [], None
    while True:
        page = api.table.scan(start, 50)
        for item in page.items:
            packed = unpack(item["b"]) if isinstance(item.get("b"), bytes) and item["sk"][:2] == "E#" else b""
            if any(text in f"{item!r}{packed!r}" for text in texts):
                found.append((item["pk"], item["sk"]))
        start = page.next
        if start is None:
            return found


def named(number: int, mail: str) -> dict[str, Any]:
    return {"shop_id": SHOP_ID, "shop_domain": drive.SHOP, "customer": {"id": number, "email": mail}}


def jobs_of(api: Api, kind: str) -> list[dict[str, Any]]:
    return [each for each in api.get("/v1/jobs")["jobs"] if each["kind"] == kind]


def test_a_customer_who_wants_his_data_is_a_job_that_says_which_export(api: Api, shop: str) -> None:
    orders(api, shop, 981001, "els@example.nl", "+31691000001")
    asked = named(981001, "els@example.nl") | {"orders_requested": [981001], "data_request": {"id": 9999}}
    demand = drive.shopify(f"/hooks/{shop}", "customers/data_request", asked)
    for _ in range(2):
        assert api.send("POST", demand.url, demand.body, demand.headers.items(), key="").status == 200
        api.work()
    (job,) = jobs_of(api, "export")
    (found,) = api.get("/v1/customers", identity="email:els@example.nl")["customers"]
    assert (job["status"], job["customer"]) == ("done", found["id"])
    assert job["reason"] == "demanded by customers/data_request"
    assert api.get(f"/v1/customers/{job['customer']}/export")["entries"]


def test_a_shop_that_leaves_takes_what_it_brought_and_nothing_else(api: Api, shop: str) -> None:
    other = api.connect()["id"]
    orders(api, shop, 981002, "fien@example.nl", "+31691000002")
    orders(api, shop, 981003, "gijs@example.nl", "+31691000003")
    api.record(other, event(1, "2026-09-02T10:00:00Z", person("phone", "+31691000003"), text="bel mij"))
    tell(api, shop, "shop/redact", {"shop_id": SHOP_ID, "shop_domain": drive.SHOP})
    (job,) = jobs_of(api, "redact")
    assert job["status"] == "running", "it goes over all once more when whoever was at work has finished"
    assert values(api, "fien@example.nl", "+31691000002", "de Vries", "981002", "gijs@example.nl") == []
    assert api.get("/v1/customers", identity="email:fien@example.nl")["match"] == "none"
    (gijs,) = api.get("/v1/customers", identity="phone:+31691000003")["customers"]
    after = api.get(f"/v1/customers/{gijs['id']}")
    assert [each["identity"] for each in after["identities"]] == ["phone:+31691000003"]
    assert [each["text"] for each in api.get(f"/v1/customers/{after['id']}/timeline")["entries"]] == ["bel mij"]
    certificate = api.get(f"/v1/erasures/{job['id']}")
    assert (certificate["customer"], certificate["connection"]) == (None, shop)
    assert {each["result"] for each in certificate["lines"]} <= {"erased", "stays", "runs out by itself"}
