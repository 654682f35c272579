"""What a hub meets in its life, told to the hub in memory: each journey checks that it went as it should.

Broad on purpose: what no journey makes a function do, its policy must not allow.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

from msgspec import structs

from chalicelib.fanout import plan
from chalicelib.ingest.arrival import Arrival, to_message
from chalicelib.model import instants
from chalicelib.store import blobs, connections, deliveries, ids, jobs, keys, queues
from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty, parked
from chalicelib.store.table import DynamoTable, Item, Update
from chalicelib.workers import context, migrate
from chalicelib.workers import deliver as workers_deliver
from chalicelib.workers import jobs as workers_jobs
from infra.local.gateway import Sent as Wire
from tests import drive, test_missed, test_story
from tests import test_two_way as two_way
from tests.api import examples
from tests.api.client import Answer, Api
from tests.drive import Integrator, Sent
from tests.journeys import test_notified as notified
from tests.policies.memory_hub import URL, MemoryHub, body_of
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.line import Line
from tests.standins.partner import SECRET, Partner
from tests.standins.ringcentral import RingCentral
from tests.standins.stripe import KEY, Stripe
from tests.standins.tryton import Tryton
from tests.standins.twilio import Twilio
from tests.standins.zendesk import Zendesk
from tests.workers import test_renewals as renewals

FIXTURES = Path(__file__).parent.parent / "fixtures" / "destinations"
AT = "2026-09-01T09:00:00.000Z"


@dataclass
class Town:
    """The hub with an admin at it."""

    hub: MemoryHub
    table: DynamoTable = field(default_factory=DynamoTable)

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


EVENT: dict[str, Any] = {
    "type": "type",
    "channel": "channel",
    "object": "id",
    "occurred_at": "at",
    "text": "text",
    "identities": "people",
    "refs": "refs",
}
MAPPING: dict[str, Any] = {
    "each": "events",
    "rules": [
        {
            **EVENT,
            "when": "type != 'satisfaction'",
            "fields": {"name": "name", "phone": "phone", "consent_marketing": "consent"},
        },
        {
            **EVENT,
            "when": "type == 'satisfaction'",
            "direction": "'out'",
            "actor": "'system'",
            "details": {"scale": "scale"},
        },
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
    noise = secrets.token_hex(300_000)
    events = [said(n, f"01T10:{n:02d}", mail) for n in range(10)]
    with patch.object(context, "SLICE", 4), patch.object(workers_jobs, "SLICE", 4):
        town.settled(told(shop, *events))
    town.settled(told(shop, said("large", "02T10:00", mail, text=noise[:1000], extra=noise)))
    found = town.customer("email:veel@example.nl")
    assert len(town.who.entries(found["id"])) == 11
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
        assert town.who.get("/v1/waiting", connection=shop["id"])["entries"]
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


def an_erasure(town: Town) -> None:
    """Of somebody whom a CRM, a partner and an audience's feed know, with a body in S3; what comes late stays out."""
    shop = shop_of(town)
    with HubSpot() as crm, Partner() as partner, Partner() as ads:
        crm_of(town, crm)
        partner_of(town, partner)
        feed = partner_of(town, ads, subscription={"types": ["audience"]})
        asked = {"name": "Winter", "consent": ["marketing"], "feed": feed["id"]}
        audience = town.who.call("POST", "/v1/audiences", 201, json=asked)
        town.ends(audience)
        town.hub.containers.cold()
        jan, noise = ("email", "weg@example.nl"), secrets.token_hex(20_000)
        order = {"refs": [{"kind": "order", "value": "66001"}]}
        works = [
            told(shop, said("e1", "01T10:00", jan, name="Verdwijnmans", consent="granted", **order)),
            told(shop, said("e2", "01T11:00", jan, extra=noise)),
            told(shop, said("e3", "01T12:00", **order)),
            told(shop, {"type": "message", "id": "broken", "at": "no moment", "text": "weg@example.nl"}),
        ]
        town.settled(*works, told(shop, said("e9", "01T10:00", ("email", "blijft@example.nl"), consent="granted")))
        assert crm.kept() and len(ads.taken) >= 2
        town.ends(town.who.call("POST", f"/v1/audiences/{audience['id']}/export", 202))
        town.ends(
            town.who.call("PATCH", f"/v1/audiences/{audience['id']}", json={"consent": ["marketing"], "name": "W"})
        )
        found = town.customer("email:weg@example.nl")
        erased = town.who.call("POST", f"/v1/customers/{found['id']}/erase", 202, json={"reason": "asked"})
        town.ends(erased)
        lines = {each["what"]: each["result"] for each in town.who.get(f"/v1/erasures/{erased['erasure']}")["lines"]}
        assert "erased" in lines.values() and "cannot be told" in lines.values()
        town.settled(*works[:2])
        assert town.who.customer("email:weg@example.nl") is None
        town.who.call("DELETE", f"/v1/audiences/{audience['id']}")
        town.leave()


def a_shop_that_leaves(town: Town) -> None:
    """Demands of a shop: one customer's data, one customer erased, and all that it brought."""
    settings = {"accounts": "verified"}
    shop = town.who.connect("shopify", settings=settings, secrets={"client_secret": drive.SHOP_SECRET})
    hook = shop["hook_url"]
    for number in (981001, 981002):
        order = drive.order(number, number, f"els{number}@example.nl", "", "2026-09-02T20:15:00+02:00")
        town.settled(drive.shopify(hook, "orders/create", order))
    about = {"shop_id": 954889, "shop_domain": drive.SHOP}
    person = {"customer": {"id": 981001, "email": "els981001@example.nl"}}
    asked = about | person | {"orders_requested": [981001], "data_request": {"id": 9999}}
    town.settled(drive.shopify(hook, "customers/data_request", asked))
    town.settled(drive.shopify(hook, "customers/redact", about | person | {"orders_to_redact": [981001]}))
    town.settled(drive.shopify(hook, "shop/redact", about))
    assert town.who.customer("email:els981002@example.nl") is None
    town.leave()


def told_on_another_channel(town: Town) -> None:
    """A visitor who moved from the web to LINE by a link is told there that there is an answer."""
    with HubSpot() as crm, Line() as line, Partner() as partner, Zendesk.of_a_hub() as desk:
        world = notified.World(town.who, None, crm, line, partner, desk, {}, {})  # type: ignore[arg-type]
        notified.connect(world)
        asked = {
            "kind": "tell_answer",
            "connection": world.ids["line"],
            "text": {"nl": "Er is antwoord: {text} {link}"},
        }
        town.who.call("PATCH", "/v1/settings", json={"channels": {"web": "https://tc.example"}})
        rule = town.who.call("POST", "/v1/rules", 201, json=asked)["id"]
        town.hub.containers.cold()
        seen = notified.visit(world)
        town.settled(*seen.works.values())
        assert len(notified.told_on_line(world, seen.user)) == 1
        town.who.call("DELETE", f"/v1/rules/{rule}")
        town.leave()


def the_crm_tells_back(town: Town) -> None:
    """An agent's change in the CRM, and two records that he made one."""
    with HubSpot() as crm:
        shop = shop_of(town)
        secrets_ = {"access_token": TOKEN, "client_secret": two_way.SECRET}
        settings = {"base_url": crm.url, "app_id": two_way.APP, "rate_limit": 100}
        made = town.who.connect("hubspot", "crm", settings=settings, secrets=secrets_)
        town.hub.containers.cold()
        known = {"name": "Tom", "phone": "+31670000009"}
        town.settled(told(shop, said("c1", "01T10:00", ("email", "tom@example.nl"), **known)))
        town.settled(told(shop, said("c2", "01T11:00", ("email", "tommy@example.nl"), name="Tom")))
        one, two = [_record(town, made["id"], f"{name}@example.nl") for name in ("tom", "tommy")]
        agent = two_way.phone_change(one, "+31670000001", "2026-09-02T10:00:00.000Z", changeSource="CRM_UI")
        town.settled(two_way.changed(made["hook_url"], agent))
        merge = {"primaryObjectId": int(one), "mergedObjectIds": [int(two)], "objectId": int(one)}
        told_of = two_way.change("merge", "2026-09-06T10:00:00.000Z", **merge, changeSource="CRM_UI")
        town.settled(two_way.changed(made["hook_url"], told_of))
        assert town.customer("email:tom@example.nl") == town.customer("email:tommy@example.nl")
        early = crm.add_contact(email="vroeg@example.nl")
        before = two_way.phone_change(early, "+31670000003", "2026-09-02T10:00:00.000Z", changeSource="CRM_UI")
        town.settled(two_way.changed(made["hook_url"], before))
        town.settled(told(shop, said("c3", "03T10:00", ("email", "vroeg@example.nl"), name="Vroeg")))
        assert town.customer("email:vroeg@example.nl") == town.customer(f"crm:{made['id']}/{early}")
        town.leave()


def _record(town: Town, connection: str, mail: str) -> str:
    known = town.who.get(f"/v1/customers/{town.customer(f'email:{mail}')['id']}")["contacts"]
    (found,) = [each["id"] for each in known if each["connection"] == connection]
    return str(found)


def what_a_system_lost(town: Town) -> None:
    """A backfill, drift that is found by looking, and passes that the clock begins."""
    shop = shop_of(town)
    town.settled(told(shop, *(said(f"d{n}", f"01T1{n}:00", ("email", f"drift{n}@example.nl")) for n in range(3))))
    with HubSpot() as crm, Partner() as partner:
        made, fed = crm_of(town, crm), partner_of(town, partner)
        town.hub.containers.cold()
        for each in (made, fed):
            town.ends(town.who.call("POST", f"/v1/connections/{each['id']}/backfill", 202, json={}))
        kept = crm.kept()
        crm.lose(kept[0])
        with crm.lock:
            for row in list(crm.objects["contacts"].values())[1:]:
                row["properties"]["firstname"] = "Somebody"
        for look in (False, True, True):
            asked = {"connection": made["id"], "look": look}
            town.ends(town.who.call("POST", "/v1/reconcile", 202, json=asked))
        assert sorted(crm.kept()) == sorted(kept)
        town.hub.sweep()
        for item in town.table.scan(None, 5000).items:
            if item["sk"] in ("RECONCILE", "recent", "stats"):
                night = {} if item["sk"] == "stats" else {"night": 0}
                town.table.write(Update((item["pk"], item["sk"]), {"due": 0} | night))
        town.settled(told(shop, said("d9", "05T10:00", ("email", "drift9@example.nl"))))
        town.hub.sweep()
        town.hub.settle()
        town.leave()


def what_a_provider_kept(town: Town) -> None:
    """Three payments of which one was delivered: asked for by hand, and by the clock."""
    with Stripe() as pays:
        assert isinstance(pays, Stripe)
        settings = {"base_url": pays.url, "accounts": "verified"}
        plain = {"signing_secret": "whsec_missed_5f", "api_key": KEY}
        till = town.who.connect("stripe", settings=settings, secrets=plain)
        events = [test_missed.paid(number) for number in range(3)]
        for each in events:
            pays.add(each)
        town.settled(drive.stripe(till["hook_url"], events[0], "whsec_missed_5f"))
        done = town.ends(town.who.call("POST", f"/v1/connections/{till['id']}/catch-up", 202, json={}))
        assert done["counts"]["found"] == 2
        known = connections.get(town.table, till["id"])
        assert known
        connections.save(town.table, structs.replace(known, created_at="2026-01-01T00:00:00.000Z", ver=known.ver + 1))
        town.hub.containers.cold()
        town.hub.sweep()
        town.hub.settle()
        pays.behave("status", status=401)
        town.hub.settle()
        asked = town.who.call("POST", f"/v1/connections/{till['id']}/catch-up", 202, json={})
        assert town.ends(asked)["errors"]
        town.leave()


def tokens_and_subscriptions(town: Town) -> None:
    """A system that gives tokens, at a delivery and in a job; a subscription that the sweep prolongs."""
    shop = shop_of(town)
    with Tryton() as crm, RingCentral() as vendor:
        assert isinstance(vendor, RingCentral)
        about = json.loads((FIXTURES / "tryton" / "connection.json").read_text("utf-8"))
        settings = about["settings"] | {"base_url": crm.url}
        made = town.who.connect("tryton", settings=settings, secrets=about["entered"])
        filters = {"base_url": vendor.url, "event_filters": ["/restapi/v1.0/account/~/telephony/sessions"]}
        phone = town.who.connect("ringcentral", settings=filters, secrets=renewals.PLAIN)
        town.hub.containers.cold()
        town.settled(told(shop, said("t1", "01T10:00", ("email", "token@example.nl"), name="Token")))
        assert crm.kept()
        vendor.tries = lambda address, token: {}
        town.hub.sweep()
        assert town.table.get((f"C#{phone['id']}", "RENEW"))
        row = town.table.get((f"C#{made['id']}", "TOKEN"))
        assert row
        town.table.write(Update((row["pk"], row["sk"]), {"end": 1}))
        town.hub.containers.cold()
        found = town.customer("email:token@example.nl")
        town.ends(town.who.call("POST", f"/v1/customers/{found['id']}/erase", 202, json={"reason": "asked"}))
        town.leave()


def what_never_will_work(town: Town) -> None:
    """Poison in each queue and the stream, and what died in the queues."""
    shop = shop_of(town)
    town.settled(told(shop, said("p1", "01T10:00", ("email", "gif@example.nl"))))
    arrival = Arrival(ids.mint("arr"), shop["id"], instants.now(), "POST", URL, (), (), b"{}")
    big = structs.replace(arrival, id=ids.mint("arr"), body=secrets.token_bytes(250_000))
    duty = Duty(shop["id"], ACTIVITY, "n", "E#2026-09-01T09:05:00.000Z#" + "e" * 26)
    died = jobs.start(town.table, "replay", {"receipts": []}).id
    bodies = {
        "inbox": [to_message(arrival), to_message(big), "not ours"],
        "deliveries": [duty.message[0], "not ours"],
        "jobs": [died, "not ours"],
    }
    for name, each in ((name, each) for name, several in bodies.items() for each in several):
        queues.send(f"{name}-dlq", each)
        queues.send(name, each)
    gone = structs.replace(big, id=ids.mint("arr"))
    for name in ("inbox-dlq", "inbox"):
        queues.send(name, to_message(gone))
    blobs.delete([blobs.inbox_key(shop["id"], gone.id)])
    town.hub.sweep()
    town.hub.settle()
    with Partner() as partner, broken(town):
        partner_of(town, partner)
        town.hub.containers.cold()
        deliveries.send([duty])
        town.tell(told(shop, said("p2", "02T10:00", ("email", "gif@example.nl"))))
        town.hub.settle()
    town.hub.settle()
    assert town.who.get("/v1/receipts", verdict="failed")["receipts"]
    town.leave()


@contextmanager
def broken(town: Town) -> Iterator[None]:
    """Our own code fails, in every function that has a queue or the stream."""

    def fails(*args: Any, **rest: Any) -> Any:
        raise KeyError("our own mistake")

    right = plan.Planner.plan

    def stumbles(planner: plan.Planner, record: dict[str, Any], planned: plan.Planned) -> None:
        fails() if record["dynamodb"]["Keys"]["pk"]["S"].startswith("N#") else right(planner, record, planned)

    jobs.start(town.table, "replay", {"receipts": []})
    with (
        patch.object(context.reading, "read", fails),
        patch.object(plan.Planner, "plan", stumbles),
        patch.object(workers_deliver, "deliver", fails),
        patch.dict(workers_jobs.KINDS, {"replay": fails}),
    ):
        yield


def what_people_ask_and_decide(town: Town) -> None:
    """Names, what was refused, two conversations joined and parted, a number somebody only typed."""
    shop = shop_of(town)
    town.settled(told(shop, {"type": "message", "id": "broken", "at": "no moment"}))
    refused = drive.generic(shop["hook_url"], {"events": []}, secret="another")
    assert refused.go(town.who.session) == 401
    assert town.who.get("/v1/receipts", connection=shop["id"], verdict="malformed")["receipts"]
    mail, other = ("email", "naam@example.nl"), ("email", "naam2@example.nl")
    threads = [{"refs": [{"kind": "thread", "value": f"vraag-{n}"}]} for n in range(4)]
    works = [said(f"n{n}", f"01T1{n}:00", mail, name="Wilhelmina", **thread) for n, thread in enumerate(threads)]
    town.settled(told(shop, *works), told(shop, said("n9", "02T09:00", other)))
    assert town.who.get("/v1/customers", q="wilhel")["customers"]
    town.who.get("/v1/customers", q="vraag-1")
    found = town.customer("email:naam@example.nl")
    known = list(dict.fromkeys(each["conversation"] for each in town.who.entries(found["id"])))
    pairs = [{"a": a, "b": b, "reason": "the same question"} for a, b in pairwise(known)]
    made = [town.who.call("POST", "/v1/links", 201, json=pair)["id"] for pair in (pairs[0], pairs[2], pairs[1])]
    town.who.call("DELETE", f"/v1/links/{made[1]}", json={"reason": "it was another one"})
    town.who.call("POST", "/v1/cuts", 201, json=pairs[0])
    joined = {"refs": [each["refs"][0] for each in (threads[0], threads[3])]}
    typed = {"people": [{"kind": "email", "value": other[1], "assurance": "A1"}, *said("x", "", mail)["people"]]}
    town.settled(told(shop, said("n5", "02T10:00", mail, **joined), said("n6", "02T11:00") | typed))
    town.who.get(f"/v1/customers/{found['id']}/possible")
    for number in (1, 2):
        refs = [{"kind": "case", "value": f"zaak-{number}{side}"} for side in "ab"]
        town.settled(told(shop, said(f"k{number}", "03T10:00", mail, refs=refs)))
    bridge = [{"kind": "case", "value": f"zaak-{number}a"} for number in (1, 2)]
    town.settled(told(shop, said("k3", "03T11:00", mail, refs=bridge)))
    queues.send(queues.INBOX, "waits")
    queues.send(queues.DELIVERIES, "waits")
    for item in town.table.query("ORG", begins="PULSE#").items:
        town.table.write(Update((item["pk"], item["sk"]), {"tried": 0, "back": 0, "sent": 0}))
    town.hub.sweep()
    town.hub.settle()
    town.leave()


def told_again(town: Town) -> None:
    """A handover and a look-up that are taken again; an export; a catch-up with something large; who comes too late."""
    with Twilio() as vendor, Stripe() as pays:
        assert isinstance(pays, Stripe) and isinstance(vendor, Twilio)
        settings = {"base_url": vendor.url}
        phone = town.who.connect("twilio", settings=settings, secrets={"auth_token": drive.AUTH_TOKEN})
        chat = shop_of(town)
        asked = {"connection": chat["id"], "thread": "ch-9", "channel": "sms"}
        token = town.who.call("POST", "/v1/handovers", 201, json=asked)["token"]
        first = said("h1", "01T09:00", ("web", "v-9"), refs=[{"kind": "thread", "value": "ch-9"}])
        vendor.message("SMH", "2026-09-01T12:00:00.000Z", body=f"Verder per sms [H:{token}], of bel +31687654399")
        more = {"To": "+31201112233", "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received"}
        names = {"MessageSid": "SMH", "SmsMessageSid": "SMH", "From": "+31687654399"}
        text = drive.twilio(phone["hook_url"], **names, Body=f"Verder per sms [H:{token}]", **more)
        town.settled(told(chat, first), text)
        for each in town.who.get("/v1/receipts", connection=phone["id"])["receipts"]:
            town.ends(town.who.call("POST", f"/v1/receipts/{each['id']}/replay", 202))
        found = town.customer("phone:+31687654399")
        town.ends(town.who.call("POST", f"/v1/customers/{found['id']}/erase", 202, json={"reason": "asked"}))
        town.settled(text)
        assert town.who.customer("phone:+31687654399") is None
        plain = {"signing_secret": "whsec_missed_5f", "api_key": KEY}
        till = town.who.connect("stripe", settings={"base_url": pays.url, "accounts": "verified"}, secrets=plain)
        large = test_missed.paid(9)
        large["data"]["object"]["metadata"] = {f"note{n}": secrets.token_hex(20_000) for n in range(16)}
        pays.add(large)
        town.ends(town.who.call("POST", f"/v1/connections/{till['id']}/catch-up", 202, json={}))
        town.leave()


def first_by_a_replay(town: Town) -> None:
    """What our own mistake parked is replayed, so that a job does all that the context would have done."""
    with Twilio() as vendor, HubSpot() as crm:
        assert isinstance(vendor, Twilio)
        shop = shop_of(town)
        settings, plain = {"base_url": crm.url, "app_id": two_way.APP}, {"client_secret": two_way.SECRET}
        made = town.who.connect("hubspot", "crm", settings=settings, secrets={"access_token": TOKEN, **plain})
        mail, other = ("email", "later@example.nl"), ("email", "later2@example.nl")
        cases = [{"kind": "case", "value": f"zaak-{n}"} for n in range(5)]
        works = [said(f"r{n}", f"01T1{n}:00", mail, name="Later", refs=cases[2 * n : 2 * n + 2]) for n in range(2)]
        town.settled(told(shop, *works), told(shop, said("r3", "01T13:00", other)))
        asked = {"connection": shop["id"], "thread": "ch-8", "channel": "webchat"}
        token = {"kind": "token", "value": town.who.call("POST", "/v1/handovers", 201, json=asked)["token"]}
        typed = {"people": [{"kind": "email", "value": other[1], "assurance": "A1"}, *said("", "", mail)["people"]]}
        one, two = [_record(town, made["id"], mail) for _, mail in (mail, other)]
        merge = {"primaryObjectId": int(one), "mergedObjectIds": [int(two)], "objectId": int(one)}
        told_of = two_way.change("merge", "2026-09-06T10:00:00.000Z", **merge, changeSource="CRM_UI")
        parked_first(
            town,
            told(
                shop,
                said("r4", "02T10:00", mail, refs=[cases[0], cases[2]]),
                said("r5", "02T11:00") | typed,
                said("r6", "02T12:00", mail, refs=[token]),
                said("r7", "02T13:00", refs=[{"kind": "case", "value": f"nieuw-{n}"} for n in range(3)]),
                said("r8", "02T14:00", mail, ("phone", "+31612345677")),
            ),
            two_way.changed(made["hook_url"], told_of),
        )
        town.leave()


def parked_first(town: Town, *works: Sent) -> None:
    def fails(*args: Any, **rest: Any) -> Any:
        raise KeyError("our own mistake")

    with patch.object(context.reading, "read", fails):
        town.settled(*works)
    failed = town.who.get("/v1/receipts", verdict="failed")["receipts"]
    assert len(failed) == len(works)
    for each in failed:
        town.ends(town.who.call("POST", f"/v1/receipts/{each['id']}/replay", 202))
    assert town.who.get("/v1/receipts", verdict="failed")["receipts"] == []


def a_survey(town: Town) -> None:
    """Asked by text about a purchase and answered by text: whoever looks at him from then on sees what he found."""
    shop, phone = shop_of(town), ("phone", "+31612345688")
    with Partner() as partner, HubSpot() as crm:
        partner_of(town, partner)
        crm_of(town, crm)
        receipt = {"kind": "receipt", "value": "bon-1"}
        asked = {"type": "satisfaction", "channel": "sms", "refs": [{"kind": "survey", "value": "sv-1"}, receipt]}
        town.settled(told(shop, said("q1", "05T12:00", phone, type="payment", channel="store", refs=[receipt])))
        town.settled(told(shop, said("q2", "05T13:05", phone, **asked, scale=[0, 10])))
        town.settled(told(shop, said("q3", "05T13:10", phone, channel="sms", text="9")))
        found = town.who.get(f"/v1/customers/{town.customer('phone:+31612345688')['id']}")
        assert found["satisfaction"]["store"]["score"] == 90
        town.settled(told(shop, said("q4", "06T10:00", phone, ("email", "tevreden@example.nl"))))
        town.leave()


def an_upgrade_that_rewrites(town: Town) -> None:
    """A version that declares a migration: the sweep starts it, and the job rewrites every customer's node."""

    def laid_out_anew(item: Item) -> Item:
        return item | {"layout": 2} if item["pk"].startswith("N#") and item["sk"] == "-" else item

    shop, phone = shop_of(town), ("phone", "+31612345689")
    town.settled(told(shop, said("u1", "05T12:00", phone)))
    with patch.dict(migrate.MIGRATIONS, {"anew": migrate.Migration("anew", laid_out_anew)}):
        for _ in range(2):
            town.hub.sweep()
            town.hub.settle()
    nodes = [each for each in town.table.scan(None, 1000).items if each["pk"].startswith("N#") and each["sk"] == "-"]
    assert nodes and all(each["layout"] == 2 for each in nodes)
    assert (town.table.get(migrate.DONE) or {})["done"] == ["anew"]


ALL: tuple[Callable[[Town], None], ...] = (
    many_and_large,
    a_merge_and_what_undoes_it,
    nobody_yet,
    out_of_order,
    one_customers_story,
    an_erasure,
    a_shop_that_leaves,
    told_on_another_channel,
    the_crm_tells_back,
    what_a_system_lost,
    what_a_provider_kept,
    tokens_and_subscriptions,
    what_never_will_work,
    what_people_ask_and_decide,
    told_again,
    first_by_a_replay,
    a_survey,
    an_upgrade_that_rewrites,
    every_route,
)
