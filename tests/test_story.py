"""One customer's story over real HTTP against the running hub on the embedded AWS.

An order, a question on WhatsApp, a call, and a return that names only its order: one timeline,
two systems told, checked field by field; and the same again doubled and shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.partner import SECRET, Partner
from tests.standins.twilio import Twilio

pytestmark = pytest.mark.embedded

ORDER_AT, ASKED_AT, RETURN_AT = "2026-09-02T18:15:00.000Z", "2026-09-01T12:00:00.000Z", "2026-09-05T12:02:11.000Z"
CALLED_AT = "2026-09-02T08:30:00.000Z"


@dataclass
class World:
    """A hub with its connections, and the systems around it."""

    who: Integrator
    crm: HubSpot
    partner: Partner
    vendor: Twilio
    shop: str
    phone: str
    pos: str
    feed: str
    hub: Any = None


@contextmanager
def connected(who: Integrator) -> Iterator[World]:
    """Three sources and two destinations, registered through the API."""
    with HubSpot() as crm, Partner() as partner, Twilio() as vendor:
        shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
        phone = who.connect("twilio", settings={"base_url": vendor.url}, secrets={"auth_token": drive.AUTH_TOKEN})
        pos = who.connect(
            "generic",
            "pos",
            settings={"channel": "store", "own_system": True, "ref_scopes": {"order": shop["id"]}},
            secrets={"signing_secret": drive.POS_SECRET},
            mapping=drive.POS_MAPPING,
        )
        who.connect("hubspot", settings={"base_url": crm.url, "rate_limit": 100}, secrets={"access_token": TOKEN})
        feed = who.connect(
            "webhook",
            "partner",
            settings={"url": partner.url + "/in"},
            secrets={"signing_secret": SECRET},
            subscription={"types": ["order", "fulfilment", "return"], "redact": True, "pseudonymous": True},
        )
        yield World(who, crm, partner, vendor, shop["hook_url"], phone["hook_url"], pos["hook_url"], feed["id"])


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    with connected(who) as made:
        yield made
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def story(world: World, number: int) -> list[Sent]:
    """The four webhooks of customer `number`, in the order in which they happened."""
    mobile, sid = f"+3161234{number:04d}", f"SM{number}"
    world.vendor.message(sid, ASKED_AT, body="Is de trui in de winkel ook afgeprijsd?")
    mail = f"jan{number}@example.nl"
    return [
        drive.whatsapp(world.phone, sid, mobile, "Is de trui in de winkel ook afgeprijsd?"),
        drive.call(world.phone, f"CA{number}", mobile, "Wed, 02 Sep 2026 08:30:00 +0000"),
        drive.shopify(
            world.shop, "orders/create", drive.order(number, 900 + number, mail, mobile, "2026-09-02T20:15:00+02:00")
        ),
        drive.generic(
            world.pos,
            {
                "event": "return.created",
                "receipt": f"R-{number}",
                "order_ref": str(number),
                "store": "Utrecht",
                "at": "2026-09-05T14:02:11+02:00",
            },
        ),
    ]


def settled(world: World, number: int) -> dict[str, Any]:
    """The customer, once all four events are on his timeline and everybody was told."""

    def done() -> Any:
        found = world.who.customer(f"phone:+3161234{number:04d}")
        complete = found and len(world.who.entries(found["id"])) == 4 and world.who.in_step(found["id"])
        return found if complete else None

    found: dict[str, Any] = eventually(done)
    return found


def told(world: World, number: int) -> tuple[list[str], list[str]]:
    """Event ids that the CRM and the partner have of this customer."""
    customer = world.who.customer(f"phone:+3161234{number:04d}")
    assert customer
    known = {entry["id"] for entry in world.who.entries(customer["id"])}
    return [each for each in world.crm.kept() if each in known], [
        each for each in world.partner.kept() if each in known
    ]


def test_the_story(world: World) -> None:
    for sent in story(world, 6001):
        assert 200 <= sent.go() < 300
    customer = settled(world, 6001)

    entries = world.who.entries(customer["id"])
    assert [(e["type"], e["channel"], e["direction"], e["occurred_at"]) for e in entries] == [
        ("return", "store", "in", RETURN_AT),
        ("order", "web", "in", ORDER_AT),
        ("call", "voice", "in", CALLED_AT),
        ("message", "whatsapp", "in", ASKED_AT),
    ]
    back, bought, called, asked = entries
    assert back["details"] == {"status": "created", "store": "Utrecht"}
    assert bought["details"]["number"] == "#6001"
    assert bought["details"]["total"] == "89.95" and bought["details"]["currency"] == "EUR"
    assert bought["details"]["items"][0]["title"] == "Trui Noors"
    assert called["details"]["status"] == "completed" and called["details"]["duration"] == 240
    assert asked["text"] == "Is de trui in de winkel ook afgeprijsd?"

    shown = world.who.get(f"/v1/customers/{customer['id']}")
    assert {(each["identity"], each["assurance"]) for each in shown["identities"]} == {
        ("shop:tc/6901", "A2"),
        ("email:jan6001@example.nl", "A2"),
        ("phone:+31612346001", "A2"),
        (f"whatsapp:{drive.ACCOUNT}/31612346001", "A2"),
    }
    assert shown["fields"]["name"]["value"] == "Jan de Vries"

    contacts = world.crm.state()["contacts"]
    (key,) = [key for key, row in contacts.items() if row["hub_customer_id"] == customer["id"]]
    assert contacts[key]["email"] == "jan6001@example.nl" and contacts[key]["phone"] == "+31612346001"
    assert sorted(world.crm.events_of(key)) == sorted(entry["id"] for entry in entries)
    kinds = {row["hub_event_id"]: row["kind"] for row in world.crm.state()["activities"]}
    assert [kinds[entry["id"]] for entry in entries] == ["notes", "notes", "calls", "communications"]

    got = [each for each in world.partner.taken.values() if each["data"]["id"] in {e["id"] for e in entries}]
    assert sorted(each["type"] for each in got) == ["order.created", "return.created"]
    assert len({each["data"]["customer"]["id"] for each in got}) == 1
    everything = str(got)
    for private in ("jan6001", "+31612346001", "Jan de Vries", customer["id"]):
        assert private not in everything


@pytest.mark.parametrize("seed", range(4))
def test_doubled_and_shuffled_gives_the_same(world: World, seed: int) -> None:
    number = 7000 + seed
    sends = story(world, number) * 2
    random.Random(seed).shuffle(sends)
    for sent in sends:
        assert 200 <= sent.go() < 300
    customer = settled(world, number)
    entries = world.who.entries(customer["id"])
    assert [entry["occurred_at"] for entry in entries] == [RETURN_AT, ORDER_AT, CALLED_AT, ASKED_AT]
    shown = world.who.get(f"/v1/customers/{customer['id']}")
    assert len(shown["identities"]) == 4
    in_crm, at_partner = told(world, number)
    assert sorted(in_crm) == sorted(entry["id"] for entry in entries)
    assert sorted(at_partner) == sorted(entry["id"] for entry in entries if entry["type"] in ("order", "return"))


def test_what_arrived_can_be_seen_and_replayed(world: World) -> None:
    for sent in story(world, 6100):
        sent.go()
    customer = settled(world, 6100)
    before = world.who.entries(customer["id"])
    found = world.who.get("/v1/receipts", limit=200)["receipts"]
    mine = [each for each in found if {event["id"] for event in each["events"]} & {entry["id"] for entry in before}]
    assert {each["verdict"] for each in mine} == {"accepted"} and len(mine) == 4
    jobs = [world.who.call("POST", f"/v1/receipts/{each['id']}/replay", 202)["job"] for each in mine]
    for job in jobs:
        eventually(lambda job=job: world.who.get(f"/v1/jobs/{job}")["status"] == "done")
    assert world.who.entries(customer["id"]) == before
    assert sorted(told(world, 6100)[0]) == sorted(entry["id"] for entry in before)


def test_a_connection_that_is_refused_pauses_and_loses_nothing(world: World) -> None:
    world.crm.behave("status", status=401)
    for sent in story(world, 6200):
        sent.go()
    connection = next(each for each in world.who.get("/v1/connections")["connections"] if each["provider"] == "hubspot")
    path = f"/v1/connections/{connection['id']}"
    eventually(lambda: world.who.get(path)["status"] == "unauthorized")
    customer = eventually(lambda: world.who.customer("phone:+31612346200"))
    eventually(lambda: len(world.who.entries(customer["id"])) == 4)
    assert world.who.get("/health")["status"] == "degraded"
    world.crm.behave()
    world.who.call("POST", f"{path}/resume")
    settled(world, 6200)
    assert world.who.get("/health")["status"] == "ok"


def test_a_rejected_delivery_parks_with_its_reason_and_is_redriven(world: World) -> None:
    world.partner.behave("status", status=422)
    for sent in story(world, 6300):
        sent.go()
    parked = eventually(
        lambda: (
            found
            if len(found := world.who.get("/v1/deliveries", connection=world.feed, status="parked")["deliveries"]) == 2
            else []
        )
    )
    assert {each["occurred_at"] for each in parked} == {ORDER_AT, RETURN_AT}
    assert all("422" in each["reason"] for each in parked)
    world.partner.behave()
    job = world.who.call(
        "POST",
        "/v1/deliveries/redrive",
        202,
        json={"connection": world.feed, "since": "2026-09-01T00:00:00Z", "until": "2026-09-30T00:00:00Z"},
    )["job"]
    eventually(lambda: world.who.get(f"/v1/jobs/{job}")["status"] == "done")
    settled(world, 6300)
    assert len(told(world, 6300)[1]) == 2
