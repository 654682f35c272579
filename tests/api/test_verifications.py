"""A link to log in: before it the screen-pop masks account data, after it the customer is verified."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import MAPPING, Api, event, key_with, person
from tests.api.test_boundaries import shown

LOGIN = "https://shop.example.nl/inloggen"
CALLER, ACCOUNT = person("phone", "+31680000001"), person("login", "sub-1", "A3", "shop.example.nl")
VISITOR = person("web", "a-680", scope="tc")


@pytest.fixture
def shop(api: Api) -> str:
    api.call("PATCH", "/v1/settings", json_body={"login_url": LOGIN})
    made: str = api.connect(name="shop", mapping=MAPPING | {"details": {"number": "nr", "total": "total"}})["id"]
    order = {"kind": "order", "value": "6801"}
    thread = {"kind": "thread", "value": "call-680"}
    api.record(
        made,
        event(1, "2026-09-01T09:00:00Z", CALLER, type="order", refs=[order], nr="6801", total="99.00"),
        event(2, "2026-09-02T09:00:00Z", CALLER, channel="voice", type="call", refs=[thread]),
    )
    return made


def conversation(api: Api) -> str:
    found: str = shown(api, "phone:+31680000001")["conversations"][0]["id"]
    return found


def logs_in(number: int, token: str, *people: Any) -> dict[str, Any]:
    refs = [{"kind": "token", "value": f"H.{token}"}]
    return event(number, "2026-09-02T09:05:00Z", *people, type="identify", channel="web", refs=refs)


def test_the_link_verifies_whoever_logs_in_and_lifts_the_mask(api: Api, shop: str) -> None:
    before = shown(api, "phone:+31680000001")
    assert (before["verified"], before["orders"][0]["number"]) == (False, "…01")
    assert "total" not in before["orders"][0] and before["orders"][0]["masked"]
    link = Api(key_with("agent")).call("POST", f"/v1/conversations/{conversation(api)}/verifications", 201, {})
    assert link["url"] == f"{LOGIN}?h=H.{link['token']}"
    api.record(shop, logs_in(3, link["token"], VISITOR))
    assert not shown(api, "phone:+31680000001")["verified"], "who follows the link without logging in proves nothing"
    api.record(shop, logs_in(4, link["token"], VISITOR, ACCOUNT))
    after = shown(api, "phone:+31680000001")
    assert after["verified"] and (after["orders"][0]["number"], after["orders"][0]["total"]) == ("6801", "99.00")
    texts = {each["identity"]: each["assurance"] for each in after["identities"]}
    assert texts["login:shop.example.nl/sub-1"] == texts["phone:+31680000001"] == "A3"
    api.record(shop, logs_in(5, link["token"], person("login", "sub-2", "A3", "shop.example.nl")))
    assert len(api.get("/v1/customers", identity="login:shop.example.nl/sub-2")["customers"][0]["identities"]) == 1


def test_a_link_needs_a_page_to_lead_to_somebody_to_verify_and_an_agent(api: Api, shop: str) -> None:
    path = f"/v1/conversations/{conversation(api)}/verifications"
    assert Api(key_with("read")).send("POST", path, b"{}").status == 403
    assert api.refused("POST", path, {"expires_in": 1}) == ["/expires_in"]
    api.call("POST", "/v1/conversations/conv_unknown/verifications", 404, {})
    api.call("PATCH", "/v1/settings", json_body={"login_url": ""})
    assert "login_url" in api.call("POST", path, 409, {})["detail"]


@pytest.mark.parametrize(
    "url", ["http://shop.example.nl", "javascript:alert(1)", "https://u@shop.example.nl", "https://a?b"]
)
def test_a_login_page_is_https_and_plain(api: Api, url: str) -> None:
    assert api.refused("PATCH", "/v1/settings", {"login_url": url}) == ["/login_url"]
