"""What agents change in the CRM comes back, beats what is older, reaches everybody else, and never bounces.

Order, agent, shop and echoes of one customer, then two records that an agent merges.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.model import instants
from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.zendesk import EMAIL, INTEGRATION_USER, Zendesk
from tests.standins.zendesk import TOKEN as DESK_TOKEN

pytestmark = pytest.mark.embedded

APP, SECRET = "4242", "app-client-secret"


@dataclass
class World:
    who: Integrator
    crm: HubSpot
    desk: Zendesk
    shop: str
    connection: str
    hook: str
    desk_hook: str

    def tells(self, *changes: dict[str, Any]) -> None:
        assert changed(self.hook, *changes).go() == 200

    def customer(self, identity: str) -> dict[str, Any]:
        found = eventually(lambda: self.who.customer(identity))
        whole: dict[str, Any] = self.who.get(f"/v1/customers/{found['id']}")
        return whole

    def record(self, number: int) -> str:
        """The CRM's id of a customer's record."""
        identity = f"shop:tc/{number}"
        return str(
            eventually(
                lambda: [
                    each["id"] for each in self.customer(identity)["contacts"] if each["connection"] == self.connection
                ]
            )[0]
        )

    def writes(self) -> int:
        with self.crm.lock:
            return int(self.crm.writes)


def changed(hook: str, *changes: dict[str, Any]) -> Sent:
    """A batch as the CRM signs it."""
    body = json.dumps(list(changes)).encode()
    stamp = str(int(time.time() * 1000))
    over = b"POST" + hook.encode() + body + stamp.encode()
    mac = base64.b64encode(hmac.new(SECRET.encode(), over, hashlib.sha256).digest()).decode()
    headers = {
        "Content-Type": "application/json",
        "X-HubSpot-Signature-v3": mac,
        "X-HubSpot-Request-Timestamp": stamp,
    }
    return Sent(hook, headers, body)


_number = iter(range(1, 10_000))


def change(kind: str, at: str, **more: Any) -> dict[str, Any]:
    usual = {"eventId": next(_number), "subscriptionId": 7, "portalId": 99, "appId": int(APP), "attemptNumber": 0}
    return usual | {"subscriptionType": f"contact.{kind}", "occurredAt": instants.to_ms(at), **more}


def phone_change(record: str, value: str, at: str, **more: Any) -> dict[str, Any]:
    return change("propertyChange", at, objectId=int(record), propertyName="phone", propertyValue=value, **more)


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    with assembled(hub) as made:
        yield made


@contextmanager
def assembled(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    with HubSpot() as crm, Zendesk.of_a_hub() as desk:
        shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
        made = who.connect(
            "hubspot",
            settings={"base_url": crm.url, "app_id": APP},
            secrets={"access_token": TOKEN, "client_secret": SECRET},
            mapping={"contact": {"loyalty_tier": "first.shop"}},
        )
        helped = who.connect(
            "zendesk",
            settings={
                "subdomain": "tc",
                "base_url": desk.url,
                "agent_email": EMAIL,
                "agent_id": str(INTEGRATION_USER),
                "mark_verified": True,
                "consent_field": "mail_consent",
            },
            secrets={"signing_secret": drive.DESK_SECRET, "api_token": DESK_TOKEN},
        )
        yield World(who, crm, desk, shop["hook_url"], made["id"], made["hook_url"], helped["hook_url"])
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def ordered(world: World, number: int, mail: str, at: str) -> None:
    made = drive.order(number, number, mail, "", at)
    made["billing_address"]["phone"] = made["customer"]["phone"] = made["phone"] = None
    assert drive.shopify(world.shop, "orders/create", made).go() == 200


def moved(world: World, number: int, mail: str, phone: str, at: str, **more: Any) -> None:
    """The shop's own change of a customer."""
    told = {"id": number, "email": mail, "phone": phone, "updated_at": at, "created_at": "2026-08-01T10:00:00Z", **more}
    assert drive.shopify(world.shop, "customers/update", told).go() == 200


def quiet(world: World) -> None:
    """Until nothing is under way any more."""
    state: list[Any] = []

    def still() -> bool:
        now = (world.writes(), len(world.desk.calls), world.who.get("/health")["queues"])
        state.append(now)
        return len(state) > 10 and all(each == now for each in state[-10:]) and not any(now[2].values())

    eventually(still, 180, 0.5)


def phones(world: World, number: int) -> tuple[str, str]:
    with world.crm.lock:
        contact = world.crm.objects["contacts"][world.record(number)]["properties"].get("phone", "")
    return world.customer(f"shop:tc/{number}")["fields"]["phone"]["value"], contact


def test_an_agents_change_reaches_everybody_but_the_crm_and_the_newest_wins(world: World) -> None:
    ordered(world, 974001, "tom@example.nl", "2026-09-01T10:00:00Z")
    record = world.record(974001)
    world.tells(
        change("creation", "2026-09-01T10:01:00.000Z", objectId=int(record), changeSource="INTEGRATION", sourceId=APP)
    )
    agent = phone_change(
        record, "+31 6 70000001", "2026-09-02T10:00:00.000Z", changeSource="CRM_UI", sourceId="userId:1"
    )
    world.tells(agent)
    eventually(lambda: world.customer("shop:tc/974001")["fields"].get("phone", {}).get("value") == "+31670000001")
    quiet(world)
    with world.crm.lock:
        there = world.crm.objects["contacts"][record]["properties"]
    assert "+31670000001" not in there.values(), "the CRM knows: it told us"
    assert there["loyalty_tier"] == "974001", "what the mapping found"
    assert not world.customer("shop:tc/974001")["verified"], "a record in a CRM proves nobody"
    users = [each for each in world.desk.users.values() if each.get("phone") == "+31670000001"]
    assert len(users) == 1, "the desk learned it"

    moved(world, 974001, "tom@example.nl", "+31670000002", "2026-09-03T10:00:00Z")
    eventually(lambda: phones(world, 974001) == ("+31670000002", "+31670000002"))
    quiet(world)
    before = world.writes()
    echo = phone_change(record, "+31670000002", "2026-09-03T10:00:05.000Z", changeSource="INTEGRATION", sourceId=APP)
    world.tells(echo)
    world.tells(phone_change(record, "+31670000002", "2026-09-03T10:00:06.000Z"))
    world.tells(agent | {"attemptNumber": 2})
    quiet(world)
    assert world.writes() == before, "no echo, no replay and no equal value is written back"
    assert phones(world, 974001) == ("+31670000002", "+31670000002")


def test_a_refusal_in_the_crm_outlives_an_older_consent_that_comes_later(world: World) -> None:
    ordered(world, 974002, "uma@example.nl", "2026-09-01T10:00:00Z")
    record = world.record(974002)
    optout = change("propertyChange", "2026-09-05T10:00:00.000Z", objectId=int(record), propertyName="hs_email_optout", propertyValue="true", changeSource="CRM_UI")  # fmt: skip
    world.tells(optout)
    eventually(lambda: world.customer("shop:tc/974002")["fields"].get("consent_email", {}).get("value") == "denied")
    moved(world, 974002, "uma@example.nl", "", "2026-09-04T10:00:00Z", accepts_marketing=True, accepts_marketing_updated_at="2026-09-04T10:00:00Z")  # fmt: skip
    quiet(world)
    assert world.customer("shop:tc/974002")["fields"]["consent_email"]["value"] == "denied"
    (user,) = [each for each in world.desk.users.values() if each["email"] == "uma@example.nl"]
    assert user["user_fields"]["mail_consent"] == "denied", "the desk is told of it"


def test_a_field_of_which_the_shop_has_priority_goes_back_to_the_crm(world: World) -> None:
    secrets = {"client_secret": drive.SHOP_SECRET}
    first = {"accounts": "verified", "field_priority": {"phone": 10}}
    shop = world.who.connect("shopify", "first shop", settings=first, secrets=secrets)
    told = {"id": 974009, "email": "fien@example.nl", "phone": "+31670000009", "created_at": "2026-08-01T10:00:00Z"}
    assert (
        drive.shopify(shop["hook_url"], "customers/update", told | {"updated_at": "2026-09-01T10:00:00Z"}).go() == 200
    )
    ordered(world, 974009, "fien@example.nl", "2026-09-01T11:00:00Z")
    record = world.record(974009)
    eventually(lambda: phones(world, 974009) == ("+31670000009", "+31670000009"))
    quiet(world)
    with world.crm.lock:
        world.crm.objects["contacts"][record]["properties"]["phone"] = "+31670000010"
    agent = phone_change(record, "+31670000010", "2026-09-02T10:00:00.000Z", changeSource="CRM_UI", sourceId="userId:1")
    world.tells(agent)
    eventually(lambda: phones(world, 974009) == ("+31670000009", "+31670000009"))
    quiet(world)
    before = world.writes()
    world.tells(agent | {"attemptNumber": 2})
    quiet(world)
    assert world.writes() == before


def test_two_records_that_an_agent_merged_are_one_customer_under_one_record(world: World) -> None:
    for number, mail in ((974003, "tommy@example.nl"), (974004, "t.jansen@example.nl")):
        order = drive.order(number, 974003, mail, "", "2026-09-01T10:00:00Z") if number == 974003 else None
        if order:
            order["billing_address"]["phone"] = order["customer"]["phone"] = order["phone"] = None
            assert drive.shopify(world.shop, "orders/create", order).go() == 200
    letter = world.who.connect(
        "generic",
        "letters",
        settings={"auth": "bearer", "channel": "email"},
        secrets={"token": "letters"},
        mapping={"type": "email", "object": "id", "occurred_at": "at", "text": "text",
                 "identities": [{"kind": "email", "value": "mail", "assurance": "A2"}]},
    )  # fmt: skip
    told = {"id": "l-1", "at": "2026-09-02T10:00:00Z", "mail": "t.jansen@example.nl", "text": "Waar blijft het?"}
    sent = Sent(letter["hook_url"], {"Authorization": "Bearer letters", "Content-Type": "application/json"}, json.dumps(told).encode())  # fmt: skip
    assert sent.go() == 200
    primary = world.record(974003)

    def other() -> Any:
        found = world.who.customer("email:t.jansen@example.nl")
        known = world.who.get(f"/v1/customers/{found['id']}")["contacts"] if found else []
        return [each["id"] for each in known if each["connection"] == world.connection]

    (merged,) = eventually(other)
    quiet(world)
    created = world.crm.created
    world.tells(change("merge", "2026-09-06T10:00:00.000Z", primaryObjectId=int(primary), mergedObjectIds=[int(merged)], objectId=int(primary), changeSource="CRM_UI"))  # fmt: skip
    one = eventually(
        lambda: (
            world.who.customer("email:t.jansen@example.nl") == world.who.customer("shop:tc/974003")
            and world.customer("shop:tc/974003")
        )
    )
    quiet(world)
    records = [
        each["id"] for each in world.customer("shop:tc/974003")["contacts"] if each["connection"] == world.connection
    ]
    assert set(records) == {primary}
    assert world.crm.created == created, "nothing is made again"
    assurances = {each["identity"].partition("/")[0]: each["assurance"] for each in one["identities"]}
    assert assurances[f"crm:{world.connection}"] == "A3"
    audit = world.who.get(f"/v1/customers/{one['id']}/audit")["entries"]
    assert any("merge" in each["effects"] and each["by"].get("connection") == world.connection for each in audit)


def test_a_change_that_another_secret_signed_is_refused(world: World) -> None:
    sent = changed(world.hook, change("deletion", "2026-09-06T10:00:00.000Z", objectId=1))
    assert Sent(sent.url, {**sent.headers, "X-HubSpot-Signature-v3": "AAAA"}, sent.body).go() == 401


def test_a_storm_of_a_thousand_echoes_writes_nothing(world: World) -> None:
    """A bulk edit in the CRM, or the CRM telling back all that it was told: with our mark, without it, and again."""
    numbers = range(974020, 974030)
    for number in numbers:
        ordered(world, number, f"echo{number}@example.nl", "2026-09-01T10:00:00Z")
        moved(world, number, f"echo{number}@example.nl", f"+3167{number:07d}", "2026-09-02T10:00:00Z")
    records = {number: world.record(number) for number in numbers}
    for number in numbers:
        eventually(lambda number=number: phones(world, number) == (f"+3167{number:07d}",) * 2)
    quiet(world)
    before = world.writes(), len(world.desk.calls)
    marked = {"changeSource": "INTEGRATION", "sourceId": APP}
    for turn in range(10):
        storm = [
            phone_change(records[number], f"+3167{number:07d}", f"2026-09-03T10:{turn:02d}:{each:02d}.000Z", **more)
            for number in numbers
            for each, more in enumerate((marked, {}) * 5)
        ]
        world.tells(*storm)
    quiet(world)
    assert (world.writes(), len(world.desk.calls)) == before, "1,000 echoes, not one write anywhere"
