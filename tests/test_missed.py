"""What a payment provider did not deliver is on the timeline all the same, once, on a whole hub."""

from __future__ import annotations

import time
from typing import Any

import pytest

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, eventually
from tests.standins.partner import SECRET, Partner
from tests.standins.stripe import KEY, Stripe

pytestmark = pytest.mark.embedded
SIGNING, MAIL = "whsec_missed_5f", "sanne.missed@example.nl"


def paid(number: int) -> dict[str, Any]:
    thing = {"id": f"pi_missed_{number}", "object": "payment_intent", "amount": 1000 + number, "currency": "eur"}
    thing |= {"customer": "cus_missed", "receipt_email": MAIL, "metadata": {}, "status": "succeeded"}
    made = {"id": f"evt_missed_{number}", "object": "event", "created": int(time.time()) - 3600 - number}
    return made | {"type": "payment_intent.succeeded", "livemode": True, "data": {"object": thing}}


def test_three_of_five_are_delivered_and_all_five_are_everywhere_once(hub: Hub) -> None:
    who = Integrator(hub.url, hub.admin_key)
    with Stripe() as pays, Partner() as partner:
        assert isinstance(pays, Stripe) and isinstance(partner, Partner)
        till = who.connect("stripe", settings={"base_url": pays.url, "accounts": "verified"},
                           secrets={"signing_secret": SIGNING, "api_key": KEY})  # fmt: skip
        told = who.connect("webhook", settings={"url": f"{partner.url}/in", "own_system": True},
                           secrets={"signing_secret": SECRET}, subscription={"sources": [till["id"]]})  # fmt: skip
        events = [paid(number) for number in range(5)]
        for each in events:
            pays.add(each)
        for each in (events[0], events[2], events[4], events[4]):
            assert drive.stripe(till["hook_url"], each, SIGNING).go() == 200
        eventually(lambda: len(entries(who)) == 3)
        for found in (2, 0):
            job = who.call("POST", f"/v1/connections/{till['id']}/catch-up", 202, json={})["job"]
            done = eventually(lambda job=job: ended(who, job))
            assert (done["counts"]["looked at"], done["counts"].get("found", 0)) == (5, found)
            eventually(lambda: len(entries(who)) == 5)
        eventually(lambda: len(partner.taken) == 5)
        late = drive.stripe(till["hook_url"], events[1], SIGNING)
        assert late.go() == 200
        eventually(lambda: "duplicate" in verdicts(who, till["id"], missed=False))
        assert verdicts(who, till["id"], missed=True) == ["accepted", "accepted"]
        assert len(entries(who)) == 5 and partner.repeats == 0 and len(partner.taken) == 5
        assert who.get(f"/v1/connections/{till['id']}")["catch_up"]["found"] == 0
        for connection in (till, told):
            who.call("DELETE", f"/v1/connections/{connection['id']}")


def entries(who: Integrator) -> list[dict[str, Any]]:
    found = who.customer(f"email:{MAIL}")
    return who.entries(found["id"]) if found else []


def ended(who: Integrator, job: str) -> Any:
    found = who.get(f"/v1/jobs/{job}")
    return found if found["status"] != "running" else None


def verdicts(who: Integrator, connection: str, *, missed: bool) -> list[str]:
    found = who.get("/v1/receipts", connection=connection)["receipts"]
    return [each["verdict"] for each in found if each["missed"] is missed]
