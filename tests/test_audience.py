"""An audience on a whole hub over HTTP: the feed as a partner verifies it, and an export, with workers killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import pytest

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.standins.partner import SECRET, Partner

pytestmark = pytest.mark.embedded

MAPPING: dict[str, Any] = {
    "type": "type",
    "channel": "'email'",
    "object": "id",
    "occurred_at": "at",
    "text": "text",
    "identities": "people",
    "fields": {"name": "name", "consent_marketing": "consent"},
}


@dataclass
class Town:
    who: Integrator
    hook: str
    partner: Partner
    audience: str
    hub: Hub

    def says(self, number: int, at: str, consent: str = "", *, type_: str = "consent", **more: Any) -> Sent:
        people = [{"kind": "email", "value": f"p{number}@aud.example", "assurance": "A2"}]
        body = {
            "id": f"{number}-{at}",
            "type": type_,
            "at": f"2026-09-{at}:00Z",
            "people": people,
            "name": f"P{number}",
        }
        return drive.generic(self.hook, body | ({"consent": consent} if consent else {}) | more)

    def messages(self) -> list[dict[str, Any]]:
        return sorted(self.partner.taken.values(), key=lambda each: int(each["data"]["version"]))

    def inside(self) -> set[str]:
        """Addresses of those who are in it, as a receiver knows by the newest version of each."""
        newest = {each["data"]["customer"]["id"]: each["data"].get("member") for each in self.messages()}
        return {member["address"] for member in newest.values() if member}


@pytest.fixture
def town(hub: Hub) -> Iterator[Town]:
    who = Integrator(hub.url, hub.admin_key)
    with Partner() as partner:
        made = who.connect("generic", "forms", settings={"channel": "email", "account": "tc"},
                           secrets={"signing_secret": drive.POS_SECRET}, mapping=MAPPING)  # fmt: skip
        feed = who.connect("webhook", "campaigns", settings={"url": f"{partner.url}/in"},
                           secrets={"signing_secret": SECRET}, subscription={"types": ["audience"]})  # fmt: skip
        asked = {"name": "Winter", "consent": ["marketing"], "feed": feed["id"]}
        audience = who.call("POST", "/v1/audiences", 201, json=asked)
        eventually(lambda: who.get(f"/v1/jobs/{audience['job']}")["status"] == "done")
        yield Town(who, made["hook_url"], partner, audience["id"], hub)
        who.call("DELETE", f"/v1/audiences/{audience['id']}")
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def test_a_partner_is_told_who_enters_and_who_leaves_and_nothing_else(town: Town) -> None:
    first = [
        town.says(number, "01T09:00", "granted" if number % 2 else "denied", text="my words") for number in range(8)
    ]
    assert all(each.go() == 200 for each in (*first, *first[:4]))
    odd = {f"p{number}@aud.example" for number in (1, 3, 5, 7)}
    eventually(lambda: town.inside() == odd)
    town.hub.kill("workers")
    assert town.says(1, "02T09:00", "denied").go() == 200
    assert town.says(2, "02T09:01", "granted").go() == 200
    assert town.says(5, "01T08:00", "denied").go() == 200, "older than his consent"
    assert town.says(3, "02T09:02", type_="message", text="hello").go() == 200
    now = (odd - {"p1@aud.example"}) | {"p2@aud.example"}
    eventually(lambda: town.inside() == now, 120)
    kinds = sorted((each["type"], each["data"].get("member", {}).get("name")) for each in town.messages())
    assert kinds.count(("audience.left", None)) == 1 and len(kinds) == 6, "each change once"
    assert {kind for kind, _ in kinds} == {"audience.entered", "audience.left"}
    assert all(each["verified"] for each in town.partner.deliveries)
    assert "my words" not in json.dumps(town.partner.taken) and "p4@" not in json.dumps(town.partner.taken)

    three = town.who.customer("email:p3@aud.example")
    assert three
    erased = town.who.call("POST", f"/v1/customers/{three['id']}/erase", 202, json={"reason": "asked"})
    eventually(lambda: town.inside() == now - {"p3@aud.example"}, 90)
    eventually(lambda: town.who.get(f"/v1/erasures/{erased['erasure']}")["status"] == "done", 90)
    assert town.messages()[-1]["data"]["customer"]["id"] == three["id"]


def test_an_export_over_http_has_the_same_people(town: Town) -> None:
    for number in range(20, 26):
        assert town.says(number, "01T09:00", "granted" if number != 22 else "denied").go() == 200
    wanted = {f"p{number}@aud.example" for number in (20, 21, 23, 24, 25)}
    eventually(lambda: wanted <= town.inside())
    job = town.who.call("POST", f"/v1/audiences/{town.audience}/export", 202)["job"]
    found = eventually(lambda: town.who.get(f"/v1/jobs/{job}")["result"])
    lines, page = [], f"{town.who.url}{found}?limit=2"
    while page:
        answer = town.who.session.get(page, headers={"Authorization": f"Bearer {town.who.key}"}, timeout=20)
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/jsonl"
        lines += [json.loads(line) for line in answer.text.splitlines()]
        following = answer.links.get("next", {}).get("url", "")
        page = urljoin(page, following) if following else ""
    there = [each["address"] for each in lines]
    assert len(there) == len(set(there)) and wanted <= set(there) and "p22@aud.example" not in there
    eventually(lambda: town.inside() == set(there))
    assert all(each["consent"][0]["purpose"] == "marketing" for each in lines)
