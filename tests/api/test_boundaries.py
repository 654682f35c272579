"""A number that was given out anew: an admin says from when on, and each person has his own again."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.store import connections, contacts, deliveries
from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty
from tests.api.client import Api, event, key_with, person

PHONE = person("phone", "+31650000001")
FIRST, SECOND = (person("shop", number, scope="tc") for number in ("9501", "9502"))
SINCE = {"identity": "phone:+31 6 50000001", "at": "2026-09-05T00:00:00.000Z"}
DAY = "2026-09-{:02d}T10:00:00.000Z"


@pytest.fixture
def shop(api: Api) -> str:
    """The first had the number in the beginning of September, the second has it since."""
    made: str = api.connect()["id"]
    api.record(shop := made, event(1, DAY.format(1), FIRST, PHONE), event(2, DAY.format(2), PHONE))
    api.record(shop, event(8, DAY.format(8), PHONE), event(9, DAY.format(9), SECOND, PHONE))
    return shop


def shown(api: Api, identity: str) -> dict[str, Any]:
    (found,) = api.get("/v1/customers", identity=identity)["customers"]
    told: dict[str, Any] = api.get(f"/v1/customers/{found['id']}")
    return told


def texts(api: Api, id: str) -> list[str]:
    return [each["text"] for each in api.get(f"/v1/customers/{id}/timeline")["entries"]]


def test_two_customers_of_one_number_are_told_apart_by_time(api: Api, shop: str) -> None:
    ids = [shown(api, f"shop:tc/{number}")["id"] for number in ("9501", "9502")]
    assert api.get("/v1/customers", identity="phone:+31650000001")["match"] == "candidate"
    assert [texts(api, id) for id in ids] == [["message 1"], ["message 9"]], "the calls are possible for both"
    asked = api.call("POST", "/v1/boundaries", 202, SINCE)
    assert asked["identity"] == "phone:+31650000001"
    assert api.call("POST", "/v1/boundaries", 202, SINCE)["job"] == asked["job"], "again is the same job"
    api.work()
    assert [texts(api, id) for id in ids] == [["message 2", "message 1"], ["message 9", "message 8"]]
    found = api.get("/v1/customers", identity="phone:+31650000001")
    assert (found["match"], [each["id"] for each in found["customers"]]) == ("exact", [ids[1]])
    before = [texts(api, id) for id in ids]
    api.call("POST", "/v1/receipts/replay", 202, {"connection": shop, "since": "2026-01-01T00:00:00.000Z"})
    api.work()
    assert [texts(api, id) for id in ids] == before
    assert api.get(f"/v1/jobs/{asked['job']}")["status"] in ("running", "done")


def test_what_people_decided_stays_with_whom_it_was_about(api: Api, shop: str) -> None:
    """A link is made today, so it is about who has the number today."""
    card, number = person("loyalty", "L-95", scope="tc"), person("phone", "+31650000003")
    api.record(shop, event(20, DAY.format(3), card), *(event(20 + day, DAY.format(day), number) for day in (1, 8)))
    api.call("POST", "/v1/links", 201, {"a": "loyalty:tc/L-95", "b": "phone:+31650000003", "reason": "his card"})
    api.call("POST", "/v1/boundaries", 202, {**SINCE, "identity": "phone:+31650000003"})
    api.work()
    assert texts(api, shown(api, "loyalty:tc/L-95")["id"]) == ["message 28", "message 20"]


def test_open_deliveries_contacts_and_old_ids_follow(api: Api, shop: str) -> None:
    api.record(shop, event(30, DAY.format(8), PHONE | {"value": "+31650000002"}))
    api.record(shop, event(31, DAY.format(1), PHONE | {"value": "+31650000002"}))
    old = shown(api, "phone:+31650000002")
    node = old["id"][17:]
    partner = api.call(
        "POST",
        "/v1/connections",
        201,
        {"provider": "webhook", "settings": {"url": "https://partner.example/in"}, "secrets": {"signing_secret": "whsec_" + "a" * 43 + "="}},
    )  # fmt: skip
    connections.everyone(api.table)
    entry = next(e for e in api.table.query(f"N#{node}", begins="E#").items if e["sk"].startswith(f"E#{DAY.format(8)}"))
    duty = Duty(partner["id"], ACTIVITY, node, entry["sk"])
    deliveries.delayed(api.table, duty, Attempt(1, DAY.format(9), DAY.format(9)), 5_000)
    api.table.batch_put([{"pk": f"N#{node}", "sk": f"C#{partner['id']}", "remote": "r-1", "ver": 1}])
    api.call("POST", "/v1/boundaries", 202, {**SINCE, "identity": "phone:+31650000002"})
    api.work()
    now = shown(api, "phone:+31650000002")
    assert texts(api, now["id"]) == ["message 30"]
    former = api.get(f"/v1/customers/{old['id']}")
    assert (former["id"] != now["id"], texts(api, old["id"])) == (True, ["message 31"]), "the old id is who was first"
    row = deliveries.get(api.table, duty.key)
    assert row and row["nd"] == now["id"][17:]
    kept = api.table.get(contacts.key(partner["id"], former["id"][17:]))
    assert kept and kept["remote"] == "r-1"


def test_who_may_draw_a_boundary_and_what_is_refused(api: Api) -> None:
    assert Api(key_with("agent")).send("POST", "/v1/boundaries", b"{}").status == 403
    assert api.refused("POST", "/v1/boundaries", {**SINCE, "at": "soon"}) == ["/at"]
    assert api.refused("POST", "/v1/boundaries", {**SINCE, "at": "2999-01-01T00:00:00Z"}) == ["/at"]
    assert api.refused("POST", "/v1/boundaries", {**SINCE, "identity": "nobody"}) == ["/identity"]
    assert api.refused("POST", "/v1/boundaries", {**SINCE, "identity": "shop:tc/9501"}) == ["/identity"]
