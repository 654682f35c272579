"""What a hub meets in its life, told to the hub in memory: each journey checks that it went as it should.

Broad on purpose: what no journey makes a function do, its policy must not allow.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from chalicelib.store import blobs, keys
from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty, parked
from chalicelib.store.table import DynamoTable, Update
from infra.local.gateway import Sent as Wire
from tests import drive, test_story
from tests.api import examples
from tests.api.client import Answer, Api
from tests.drive import Integrator, Sent
from tests.policies.memory_hub import URL, MemoryHub, body_of
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.partner import SECRET, Partner

AT = "2026-09-01T09:00:00.000Z"


@dataclass
class Town:
    """The hub with an admin at it. What `with_` enters is left at the end."""

    hub: MemoryHub
    table: DynamoTable = field(default_factory=DynamoTable)
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        key = keys.mint(self.table, "admin", ("admin",))[1]
        self.who = Integrator(URL, key, self.hub.session())

    def tell(self, *works: Sent) -> None:
        for each in works:
            status = each.go(self.who.session)
            assert status in (200, 204), status

    def settled(self, *works: Sent) -> None:
        self.tell(*works)
        self.hub.settle()

    def customer(self, identity: str) -> dict[str, Any]:
        found = self.who.customer(identity)
        assert found, identity
        return found

    def ends(self, answer: dict[str, Any], status: str = "done") -> dict[str, Any]:
        self.hub.settle()
        found: dict[str, Any] = self.who.get(f"/v1/jobs/{answer['job']}")
        assert found["status"] == status, found
        return found

    def leave(self) -> None:
        for each in self.who.get("/v1/connections")["connections"]:
            self.who.call("DELETE", f"/v1/connections/{each['id']}")
        self.hub.settle()


@dataclass
class Told(Api):
    """The examples' way into the hub, with its own workers behind it."""

    hub: MemoryHub | None = None
    checked: bool = False

    def _sent(self, method: str, path: str, body: bytes, headers: Iterable[tuple[str, str]], key: str | None) -> Answer:
        assert self.hub
        told = self.key if key is None else key
        more = [("Host", "hub.example"), *headers, *([("Authorization", f"Bearer {told}")] if told else [])]
        found = self.hub.answer(Wire(method, path, more, body))
        return Answer(found["statusCode"], found["headers"], body_of(found))

    def work(self) -> None:
        assert self.hub
        while any([self.hub.queue("inbox"), self.hub.queue("jobs")]):
            pass


def every_route(town: Town) -> None:
    told = examples.told(Told(town.who.key, town.table, hub=town.hub))
    assert told.keys() >= {"customers.show", "boundaries.draw", "erasures.export"}
    town.hub.settle()
    town.leave()


def one_customers_story(town: Town) -> None:
    """An order, a question, a call, a return: to a CRM and a partner; then once more, and the other way round."""
    with test_story.connected(town.who) as world:
        town.hub.containers.cold()
        works = test_story.story(world, 1)
        town.settled(*works, works[0])
        found = town.customer("phone:+31612340001")
        assert len(town.who.entries(found["id"])) == 4 and town.who.in_step(found["id"])
        assert len(world.crm.kept()) == 4 and world.partner.kept()
        town.settled(*reversed(test_story.story(world, 2)))
        assert len(world.crm.kept()) == 8
        town.leave()


MAPPING: dict[str, Any] = {
    "each": "events",
    "rules": [
        {
            "type": "type",
            "channel": "channel",
            "object": "id",
            "occurred_at": "at",
            "text": "text",
            "identities": "people",
            "refs": "refs",
            "fields": {"name": "name", "phone": "phone", "consent_marketing": "consent"},
        }
    ],
}


def shop_of(town: Town, **settings: Any) -> dict[str, Any]:
    told = {"own_system": True, "channel": "webchat", **settings}
    secrets = {"signing_secret": drive.POS_SECRET}
    return town.who.connect("generic", "any", settings=told, secrets=secrets, mapping=MAPPING)


def said(number: int | str, at: str, *people: tuple[str, str], **more: Any) -> dict[str, Any]:
    """An event of `shop_of`; `people`: kind and value, attested."""
    found = [{"kind": kind, "value": value, "assurance": "A2"} for kind, value in people]
    usual = {"type": "message", "channel": "webchat", "id": f"m-{number}", "at": f"2026-09-{at}:00Z", "people": found}
    return usual | {"text": f"message {number}"} | more


def told(shop: dict[str, Any], *events: dict[str, Any]) -> Sent:
    return drive.generic(shop["hook_url"], {"events": list(events)})


def partner_of(town: Town, partner: Partner, **rest: Any) -> dict[str, Any]:
    settings = {"url": f"{partner.url}/in"}
    return town.who.connect("webhook", "partner", settings=settings, secrets={"signing_secret": SECRET}, **rest)


def crm_of(town: Town, crm: HubSpot, **settings: Any) -> dict[str, Any]:
    told = {"base_url": crm.url, "rate_limit": 100, **settings}
    return town.who.connect("hubspot", "crm", settings=told, secrets={"access_token": TOKEN})


def many_and_large(town: Town) -> None:
    """More events than a worker takes at once, and a body that fits no message; both taken again."""
    shop, mail = shop_of(town), ("email", "veel@example.nl")
    noise = secrets.token_hex(700_000)
    events = [said(n, f"01T10:{n % 60:02d}", mail) for n in range(120)]
    town.settled(told(shop, *events), told(shop, said("large", "02T10:00", mail, text=noise[:1000], extra=noise)))
    found = town.customer("email:veel@example.nl")
    assert len(town.who.entries(found["id"])) == 121
    known = town.who.get("/v1/receipts", connection=shop["id"])["receipts"]
    for each in known:
        assert each["verdict"] == "accepted", each
        town.ends(town.who.call("POST", f"/v1/receipts/{each['id']}/replay", 202))
    (place,) = [item["s3"] for item in town.table.scan(None, 1000).items if "s3" in item]
    blobs.delete([place])
    (gone,) = [each["id"] for each in known if town.who.get(f"/v1/receipts/{each['id']}")["body"] is None]
    assert town.who.call("POST", f"/v1/receipts/{gone}/replay", 202)
    town.hub.settle()
    town.leave()


def a_merge_and_what_undoes_it(town: Town) -> None:
    """Two become one by an event, by an agent, and two again; a number changes hands; records follow."""
    shop = shop_of(town)
    with HubSpot() as crm, Partner() as partner:
        crm_of(town, crm)
        partner_of(town, partner)
        one, two = ("email", "een@example.nl"), ("phone", "+31612345601")
        thread = {"refs": [{"kind": "thread", "value": "t-1"}]}
        town.settled(told(shop, said("a", "01T10:00", one, name="Een", **thread)))
        town.settled(told(shop, said("b", "01T11:00", two, name="Twee")))
        town.settled(told(shop, said("c", "02T10:00", one, two, consent="granted")))
        assert town.customer("email:een@example.nl") == town.customer("phone:+31612345601")
        cut = {"a": "email:een@example.nl", "b": "phone:+31612345601", "reason": "two people"}
        made = town.who.call("POST", "/v1/cuts", 201, json=cut)["id"]
        town.hub.settle()
        assert town.customer("email:een@example.nl") != town.customer("phone:+31612345601")
        town.who.call("DELETE", f"/v1/cuts/{made}")
        three = ("email", "drie@example.nl")
        town.settled(told(shop, said("d", "03T10:00", three, name="Drie")))
        pair = {"a": "email:drie@example.nl", "b": "phone:+31612345601", "reason": "he said so"}
        link = town.who.call("POST", "/v1/links", 201, json=pair)["id"]
        town.hub.settle()
        town.who.call("DELETE", f"/v1/links/{link}", json={"reason": "it was another one"})
        town.hub.settle()
        asked = {"identity": "phone:+31612345601", "at": "2026-09-02T00:00:00Z"}
        town.ends(town.who.call("POST", "/v1/boundaries", 202, json=asked))
        town.settled(told(shop, said("e", "04T10:00", two)))
        town.leave()


def nobody_yet(town: Town) -> None:
    """Events that wait for a person, two threads that are one, a survey, a shared number."""
    shop = shop_of(town)
    with Partner() as partner:
        partner_of(town, partner)
        order, case = {"kind": "order", "value": "77001"}, {"kind": "case", "value": "88001"}
        town.settled(told(shop, said("w1", "01T10:00", refs=[order]), said("w2", "01T11:00", refs=[case])))
        assert town.who.get("/v1/waiting", connection=shop["id"])["events"]
        town.settled(told(shop, said("w3", "01T12:00", refs=[order, case])))
        town.settled(told(shop, said("w4", "01T13:00", ("email", "wacht@example.nl"), refs=[order])))
        found = town.customer("email:wacht@example.nl")
        assert len(town.who.entries(found["id"])) == 4
        desk = ("phone", "+31612345602")
        for number in range(8):
            town.tell(told(shop, said(f"s{number}", f"02T1{number}:00", desk, ("email", f"s{number}@example.nl"))))
        town.hub.settle()
        town.who.get("/v1/customers", identity="phone:+31612345602")
        town.who.call("PATCH", "/v1/settings", json={"blocked": ["phone:+31612345602"]})
        town.hub.settle()
        town.leave()


def out_of_order(town: Town) -> None:
    """Systems that do not answer, refuse what we send, refuse us; and what people then do."""
    shop = shop_of(town)
    with HubSpot() as crm, Partner() as partner, Partner() as owner:
        made, fed = crm_of(town, crm), partner_of(town, partner)
        told_of = partner_of(town, owner, subscription={"types": ["loyalty"]})
        town.who.call("PATCH", "/v1/settings", json={"alerts": told_of["id"]})
        town.hub.containers.cold()
        partner.behave("status", status=503)
        crm.behave("status", status=401)
        town.tell(told(shop, said("o1", "01T10:00", ("email", "storing@example.nl"), name="Storing")))
        for _ in range(12):
            town.hub.queue("inbox"), town.hub.stream(), town.hub.queue("deliveries"), town.hub.queue("jobs")
        late = [item for item in town.table.scan(None, 2000).items if str(item.get("gpk", "")).startswith("DUE#")]
        assert late
        for item in late:
            town.table.write(Update((item["pk"], item["sk"]), {"gsk": "2026-01-01T00:00:00.000Z", "due": AT}))
        town.hub.sweep()
        partner.behave(""), crm.behave("")
        town.hub.containers.cold()
        town.hub.settle()
        assert town.who.get(f"/v1/connections/{made['id']}")["status"] == "unauthorized"
        assert town.who.get("/v1/deliveries", connection=made["id"], status="held")["deliveries"]
        parked(town.table, Duty(fed["id"], ACTIVITY, "n", "E#2026-09-01T09:05:00.000Z#" + "e" * 26), Attempt(1, AT, AT))
        town.who.call("POST", f"/v1/connections/{made['id']}/resume")
        for each in (made, fed):
            asked = {"connection": each["id"], "since": "2026-09-01T00:00:00Z"}
            town.ends(town.who.call("POST", "/v1/deliveries/redrive", 202, json=asked))
        town.who.call("POST", f"/v1/connections/{fed['id']}/pause")
        town.settled(told(shop, said("o2", "02T10:00", ("email", "storing@example.nl"))))
        town.who.call("POST", f"/v1/connections/{fed['id']}/resume")
        town.hub.settle()
        town.who.call("PATCH", "/v1/settings", json={"alerts": ""})
        town.leave()


ALL: tuple[Callable[[Town], None], ...] = (
    many_and_large,
    a_merge_and_what_undoes_it,
    nobody_yet,
    out_of_order,
    one_customers_story,
    every_route,
)
