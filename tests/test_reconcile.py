"""Drift, its mending, and history for a new destination, on a whole hub with a CRM that forgets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, eventually
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.partner import SECRET, Partner
from tests.standins.silvasoft import KEY, USERNAME, Silvasoft

pytestmark = pytest.mark.embedded


@pytest.fixture
def who(hub: Hub) -> Iterator[Integrator]:
    one = Integrator(hub.url, hub.admin_key)
    yield one
    for each in one.get("/v1/connections")["connections"]:
        one.call("DELETE", f"/v1/connections/{each['id']}")


def bought(who: Integrator, hook: str, *numbers: int) -> list[str]:
    """Orders of as many customers; their ids on the timelines."""
    for number in numbers:
        mail, phone = f"jan{number}@example.nl", f"+3162{number:07d}"
        order = drive.order(number, number, mail, phone, f"2026-09-{number % 28 + 1:02d}T10:00:00+02:00")
        assert drive.shopify(hook, "orders/create", order).go() == 200
    return [eventually(lambda number=number: ids(who, number)) for number in numbers]


def ids(who: Integrator, number: int) -> str:
    found = who.customer(f"email:jan{number}@example.nl")
    entries = who.entries(found["id"]) if found else []
    return str(entries[0]["id"]) if entries else ""


def finished(who: Integrator, job: str) -> dict[str, Any]:
    def done() -> Any:
        found = who.get(f"/v1/jobs/{job}")
        return found if found["status"] != "running" else None

    found: dict[str, Any] = eventually(done)
    return found


def test_a_new_destination_gets_the_history_that_it_wants_once(who: Integrator) -> None:
    shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
    known = bought(who, shop["hook_url"], 771001, 771002, 771003)
    with Partner() as partner, HubSpot() as crm, Silvasoft() as books:
        late = who.connect("webhook", settings={"url": f"{partner.url}/in"}, secrets={"signing_secret": SECRET},
                           subscription={"sources": [shop["id"]]})  # fmt: skip
        made = who.connect("hubspot", settings={"base_url": crm.url}, secrets={"access_token": TOKEN},
                           subscription={"sources": [shop["id"]]})  # fmt: skip
        contacts = who.connect("silvasoft", settings={"base_url": books.url, "username": USERNAME, "rate_limit": 100},
                               secrets={"api_key": KEY}, subscription={"sources": [shop["id"]]})  # fmt: skip
        for connection in (late, made, contacts):
            for _ in range(2):
                asked = who.call("POST", f"/v1/connections/{connection['id']}/backfill", 202, json={})
                assert finished(who, asked["job"])["status"] == "done"
        eventually(lambda: set(known) <= set(crm.kept()))
        eventually(lambda: set(known) <= {each["data"]["id"] for each in partner.taken.values()})
        assert sorted(each for each in crm.kept() if each in known) == sorted(known)
        eventually(lambda: sorted(books.people()) == [f"jan77100{n}@example.nl" for n in (1, 2, 3)])
        before = who.call("POST", f"/v1/connections/{late['id']}/backfill", 202, json={"until": "2026-01-01T00:00:00Z"})
        assert finished(who, before["job"])["done"] == 0
        eventually(lambda: who.get("/v1/drift", connection=made["id"])["destinations"][0]["state"] == "in step")


def test_what_a_crm_lost_is_found_told_and_sent_again(who: Integrator) -> None:
    shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
    with HubSpot() as crm:
        made = who.connect("hubspot", settings={"base_url": crm.url}, secrets={"access_token": TOKEN},
                           subscription={"sources": [shop["id"]]})  # fmt: skip
        known = bought(who, shop["hook_url"], 772001, 772002)
        eventually(lambda: set(known) <= set(crm.kept()))
        crm.lose(known[0])
        assert known[0] not in crm.kept()
        plain = finished(who, who.call("POST", "/v1/reconcile", 202, json={"connection": made["id"]})["job"])
        assert plain["counts"].get("gone", 0) == 0 and plain["counts"]["in step"] >= 2, "the rows say it was delivered"
        asked = who.call("POST", "/v1/reconcile", 202, json={"connection": made["id"], "look": True})
        assert finished(who, asked["job"])["counts"]["gone"] == 1
        eventually(lambda: set(known) <= set(crm.kept()))
        told = who.get("/v1/drift", connection=made["id"])["drift"]
        assert [(each["what"], each["event"]) for each in told] == [("gone", known[0])]
        again = who.call("POST", "/v1/reconcile", 202, json={"connection": made["id"], "look": True})
        assert "gone" not in finished(who, again["job"])["counts"]
        assert sorted(each for each in crm.kept() if each in known) == sorted(known)
        eventually(lambda: who.get("/v1/drift", connection=made["id"])["drift"] == [])


def spoilt(crm: HubSpot, rng: random.Random, event: str, number: int) -> str:
    """One mishap at the CRM that nobody tells us of."""
    with crm.lock:
        (record,) = [
            key
            for key, row in crm.objects["contacts"].items()
            if row["properties"]["email"] == f"jan{number}@example.nl"
        ]
    mishap = rng.choice(["lost", "unlinked", "overwritten", "deleted", "nothing"])
    if mishap == "lost":
        crm.lose(event)
    with crm.lock:
        if mishap == "unlinked":
            crm.links = {link for link in crm.links if link[2] != record}
        elif mishap == "overwritten":
            crm.objects["contacts"][record]["properties"]["firstname"] = "Somebody"
        elif mishap == "deleted":
            del crm.objects["contacts"][record]
            crm.links = {link for link in crm.links if link[2] != record}
    return mishap


def whole(crm: HubSpot, known: dict[int, str]) -> bool:
    """Each customer once, as he is called, with his entry on his record."""
    with crm.lock:
        rows = {row["properties"]["email"]: row for row in crm.objects["contacts"].values()}
        mine = [rows.get(f"jan{number}@example.nl") for number in known]
        if len(crm.objects["contacts"]) != len(known) or None in mine:
            return False
        names = {row["properties"].get("firstname") for row in mine if row}
        shows = all(crm.events_of(row["id"]) == [event] for row, event in zip(mine, known.values(), strict=True) if row)
    return names == {"Jan"} and shows


@pytest.mark.parametrize("seed", [1, 2])
def test_drift_at_random_is_found_and_mended_whole(who: Integrator, seed: int) -> None:
    shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
    rng = random.Random(seed)
    with HubSpot() as crm:
        made = who.connect("hubspot", settings={"base_url": crm.url, "rate_limit": 100}, secrets={"access_token": TOKEN},
                           subscription={"sources": [shop["id"]]})  # fmt: skip
        numbers = [775_000 + 100 * seed + each for each in range(12)]
        known = dict(zip(numbers, bought(who, shop["hook_url"], *numbers), strict=True))
        eventually(lambda: whole(crm, known))
        mishaps = [spoilt(crm, rng, event, number) for number, event in known.items()]
        assert len(set(mishaps)) > 3 and not whole(crm, known)
        asked = who.call("POST", "/v1/reconcile", 202, json={"connection": made["id"], "look": True})
        assert finished(who, asked["job"])["status"] == "done"
        told = who.get("/v1/drift", connection=made["id"])["drift"]
        spoilt_ones = [
            known[n] for n, each in zip(numbers, mishaps, strict=True) if each in ("lost", "unlinked", "deleted")
        ]
        assert {each["event"] for each in told if each["what"] in ("gone", "astray")} == set(spoilt_ones)
        differing = sum(each in ("overwritten", "deleted") for each in mishaps)
        assert sum(each["what"] == "differs" for each in told) == differing
        eventually(lambda: whole(crm, known), 60)
        again = who.call("POST", "/v1/reconcile", 202, json={"connection": made["id"], "look": True})
        assert not {"gone", "differs", "astray", "missing"} & {
            each for each, n in finished(who, again["job"])["counts"].items() if n
        }
        eventually(lambda: who.get("/v1/drift", connection=made["id"])["drift"] == [])


def test_the_owner_is_told_once_when_a_system_refuses_us(who: Integrator) -> None:
    shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
    with Partner() as desk, HubSpot() as crm:
        owner = who.connect("webhook", "operations", settings={"url": f"{desk.url}/in"},
                            secrets={"signing_secret": SECRET}, subscription={"types": ["loyalty"]})  # fmt: skip
        who.call("PATCH", "/v1/settings", json={"alerts": owner["id"]})
        crm.behave("status", status=401)
        made = who.connect("hubspot", "the CRM", settings={"base_url": crm.url}, secrets={"access_token": TOKEN},
                           subscription={"sources": [shop["id"]]})  # fmt: skip
        bought(who, shop["hook_url"], 773001, 773002)
        eventually(lambda: who.get(f"/v1/connections/{made['id']}")["status"] == "unauthorized")
        eventually(lambda: desk.taken)
        (told,) = desk.taken.values()
        details = told["data"]["event"]["details"]
        assert (told["type"], details["connection"], details["name"]) == ("system.unauthorized", made["id"], "the CRM")
        assert any(made["id"] in reason for reason in who.get("/health")["reasons"])
        who.call("PATCH", "/v1/settings", json={"alerts": ""})


def test_only_what_is_told_something_can_be_reconciled(who: Integrator) -> None:
    shop = who.connect("shopify", settings={}, secrets={"client_secret": drive.SHOP_SECRET})
    who.call("POST", "/v1/reconcile", 422, json={"connection": shop["id"]})
    who.call("POST", "/v1/reconcile", 422, json={"connection": "con_unknown"})
    who.call("POST", f"/v1/connections/{shop['id']}/backfill", 422, json={})
