"""A real CRM: what the hub was told is in its database, each event once, whatever dies, and goes when it must.

What it has is read by its own API and in its database file; only the customers and the shop are played.
"""

from __future__ import annotations

import io
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from infra.demo.api import Api
from infra.demo.place import Place
from infra.demo.play import play
from infra.demo.proof import due
from infra.demo.systems import systems
from infra.demo.tell import Tell
from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.real.crm import DATABASE, HUB, Colleague, Crm, password
from tests.real.installed import PYTHON, demand
from tests.real.relay import Relay
from tests.standins.twilio import Twilio

pytestmark = [pytest.mark.real, pytest.mark.nightly, pytest.mark.embedded]

PATIENCE = 90.0
EVENTS_OF_ONE = 4
LONG = "Is de trui er nog? 100% wol, maat_L 🙂 \\ 'tot zo'\n" * 60
"""Longer than what the CRM sends in one piece, with all that means something in a search."""
Row = dict[str, Any]


@dataclass
class World:
    who: Integrator
    crm: Crm
    agent: Colleague
    vendor: Twilio
    shop: str
    phone: str
    store: str
    told: str
    """The connection that tells the CRM."""

    def customer(self, identity: str) -> Row:
        found = self.who.customer(identity)
        assert found, identity
        shown: Row = self.who.get(f"/v1/customers/{found['id']}")
        return shown

    def settled(self, identity: str, events: int, seconds: float = PATIENCE) -> Row:
        """The customer, once as much is on his timeline and the CRM was told."""

        def done() -> Row | None:
            found = self.who.customer(identity)
            whole = found and len(self.who.entries(found["id"])) == events and self.who.in_step(found["id"])
            return found if whole else None

        found: Row = eventually(done, seconds)
        return found

    def send_by(self, url: str) -> None:
        """Where the hub finds the CRM from now on."""
        settings = {"base_url": url, "database": DATABASE, "login": HUB}
        self.who.call("PATCH", f"/v1/connections/{self.told}", json={"settings": settings})

    def wanted(self, customer: str) -> Counter[str]:
        """What the CRM must have of his timeline: each once."""
        return Counter(due(self.who.entries(customer)))


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    demand("trytond.modules.party")
    hub: Hub = request.getfixturevalue("hub")
    who = Integrator(hub.url, hub.admin_key)
    with Crm(tmp_path_factory.mktemp("crm"), PYTHON) as crm, Twilio() as vendor:
        crm.furnish()
        clear(who)
        shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
        phone = who.connect(
            "twilio", "demo own phone", settings={"base_url": vendor.url}, secrets={"auth_token": drive.AUTH_TOKEN}
        )
        store = who.connect(
            "generic",
            "store",
            settings={"channel": "store", "own_system": True, "ref_scopes": {"order": shop["id"]}},
            secrets={"signing_secret": drive.POS_SECRET},
            mapping=drive.POS_MAPPING,
        )
        told = who.connect(
            "tryton",
            "demo real CRM",
            settings={"base_url": crm.url, "database": DATABASE, "login": HUB},
            secrets={"password": password(HUB)},
        )
        hooks = (each["hook_url"] for each in (shop, phone, store))
        try:
            yield World(who, crm, Colleague(crm), vendor, *hooks, told["id"])
        finally:
            clear(who)


def clear(who: Integrator) -> None:
    """No connection is there before the demo plays, and none afterwards."""
    for each in who.get("/v1/connections", limit=200)["connections"]:
        who.call("DELETE", f"/v1/connections/{each['id']}")


def go(*sends: Sent) -> None:
    assert all(200 <= each.go() < 300 for each in sends)


def mobile(number: int) -> str:
    return f"+3161234{number:04d}"


def mail(number: int) -> str:
    return f"klant.{number}@example.nl"


def asked(world: World, number: int, words: str = LONG, name: str = "") -> Sent:
    sid = f"SMC{number}{name}"
    world.vendor.message(sid, "2026-09-01T12:00:00.000Z", body=words)
    return drive.whatsapp(world.phone, sid, mobile(number), words)


def called(world: World, name: str, phone: str, day: int = 2) -> Sent:
    return drive.call(world.phone, name, phone, f"Wed, {day:02d} Sep 2026 08:30:00 +0000")


def ordered(world: World, order: int, account: int, address: str, phone: str | None, last: str = "de Vries") -> Sent:
    body = drive.order(order, account, address, phone or "", "2026-09-02T20:15:00+02:00")
    named = {"first_name": "Jan", "last_name": last, "phone": phone}
    body |= {"phone": phone, "customer": body["customer"] | named, "billing_address": named | {"country_code": "NL"}}
    return drive.shopify(world.shop, "orders/create", body, f"ev-crm-{order}")


def returned(world: World, order: int) -> Sent:
    at = "2026-09-05T14:02:11+02:00"
    told = {"event": "return.created", "receipt": f"RC-{order}", "order_ref": str(order), "store": "Utrecht", "at": at}
    return drive.generic(world.store, told)


def story(world: World, number: int) -> list[Sent]:
    return [
        asked(world, number),
        called(world, f"CAC{number}", mobile(number)),
        ordered(world, number, 5_000_000 + number, mail(number), mobile(number)),
        returned(world, number),
    ]


def test_the_demos_day_is_in_the_crm_once(world: World) -> None:
    api, out = Api(world.who.url, world.who.key), io.StringIO()
    with systems() as around:
        assert play(Place(api, own=False, logs=""), around, Tell(out), PATIENCE), out.getvalue()
    said = out.getvalue()
    number = said.partition("order ")[2].split()[0]
    address, phone = f"jan.{number}@example.nl", f"+316{number}"
    customer = world.customer(f"phone:{phone}")
    (party,) = world.agent.holders(customer["id"])
    assert world.agent.shown(party) == {"id": party, "name": "Jan de Vries", "active": 1, "replaced_by": None}
    assert world.agent.ways(party) == [phone, address]
    rows = world.agent.found("party.contact_mechanism", [["value_compact", "in", [phone, address]]], "party")
    assert {each["party"] for each in rows} == {party}, "one party has them"
    assert Counter(world.agent.events(party)) == world.wanted(customer["id"])
    heads = Counter(words.split()[0] for words in world.agent.notes(party))
    assert heads == Counter(each["type"] for each in world.who.entries(customer["id"]) if each["type"] in heads)
    assert heads.keys() >= {"order", "fulfilment", "return", "call", "message", "satisfaction", "visit", "ticket"}
    shown = "\n".join(world.agent.notes(party))
    assert f"order {number}" in shown or f"order #{number}" in shown
    linked = {words.rpartition("/customers/")[2].split()[0] for words in world.agent.notes(party)}
    assert {world.who.get(f"/v1/customers/{each}")["id"] for each in linked} == {customer["id"]}


def test_what_an_agent_entered_by_hand_is_adopted_and_stays(world: World) -> None:
    party = world.agent.party("J. de Vries (VIP)", mail(100).upper(), "+31 6 1234 0100")
    note = world.agent.note(party, "Belt liever niet op maandag")
    go(*story(world, 100))
    customer = world.settled(f"phone:{mobile(100)}", EVENTS_OF_ONE)
    assert world.agent.holders(customer["id"]) == [party]
    assert [each.lower() for each in world.agent.ways(party)] == [mobile(100), mail(100)]
    assert Counter(world.agent.events(party)) == world.wanted(customer["id"])
    assert note and "Belt liever niet op maandag" in world.agent.notes(party)
    (long,) = [words for words in world.agent.notes(party) if words.startswith("message")]
    assert LONG.strip() in long


def test_a_number_that_is_none_costs_nobody_his_history(world: World) -> None:
    """The CRM refuses a party that has it as a telephone number."""
    unlikely = "+31600000000"
    go(called(world, "CAC-none", unlikely))
    customer = world.settled(f"phone:{unlikely}", 1)
    (party,) = world.agent.holders(customer["id"])
    rows = world.agent.found("party.contact_mechanism", [["party", "=", party]], "type", "value")
    assert [(each["type"], each["value"]) for each in rows] == [("other", unlikely)]
    assert Counter(world.agent.events(party)) == world.wanted(customer["id"])


def test_a_party_that_agents_put_out_of_use_gets_notes_and_no_changes(world: World) -> None:
    go(called(world, "CAC-idle", mobile(150)))
    customer = world.settled(f"phone:{mobile(150)}", 1)
    (party,) = world.agent.holders(customer["id"])
    world.agent.call("model.party.party.write", [party], {"active": False})
    go(ordered(world, 150, 5_000_150, mail(150), mobile(150)))
    assert world.settled(f"phone:{mobile(150)}", 2)["id"] == customer["id"]
    assert world.agent.holders(customer["id"]) == [party]
    assert world.agent.shown(party)["active"] == 0 and world.agent.ways(party) == [mobile(150)]
    assert Counter(world.agent.events(party)) == world.wanted(customer["id"])


def test_nothing_is_lost_or_doubled_when_the_crm_is_killed(world: World) -> None:
    """Twice with SIGKILL while events flow; started again on the same database."""
    numbers = range(200, 225)
    rng = random.Random(7)
    sends = [sent for number in numbers for sent in story(world, number)]
    sends += rng.sample(sends, len(sends) // 10)
    rng.shuffle(sends)
    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(go, each) for each in sends]
        for _ in range(2):
            there = activities(world)
            eventually(lambda there=there: activities(world) >= there + 8, PATIENCE)
            world.crm.kill()
            time.sleep(4)
            world.crm.__enter__()
        for each in sending:
            each.result()
    known = {number: world.settled(f"phone:{mobile(number)}", EVENTS_OF_ONE)["id"] for number in numbers}
    for number, customer in known.items():
        (party,) = world.agent.holders(customer)
        assert Counter(world.agent.events(party)) == world.wanted(customer)
        assert world.agent.ways(party) == [mobile(number), mail(number)]
    ways = world.agent.found("party.contact_mechanism", [["value_compact", "like", "klant.2%"]], "party", "type")
    assert len({each["party"] for each in ways}) == len(ways) == len(numbers)
    assert {each["type"] for each in ways} == {"email"}
    assert world.who.get("/v1/deliveries", status="parked")["deliveries"] == []


def activities(world: World) -> int:
    """Notes that are there now, in its database."""
    return sum(1 for _ in world.crm.rows("ir_note"))


def test_what_was_done_although_its_answer_was_lost_is_found(world: World) -> None:
    """The CRM wrote a long note, but its answer is lost on the road, which then is closed; it is not written again."""
    with by_a_road(world) as relay:
        go(asked(world, 250, "Hallo?"))
        customer = world.settled(f"phone:{mobile(250)}", 1)
        (party,) = world.agent.holders(customer["id"])
        relay.lost_answers.add("POST")
        go(asked(world, 250, name="again"))
        eventually(lambda: relay.turned_away, PATIENCE)
        assert len(world.agent.events(party)) == 2 and not world.who.in_step(customer["id"])
        relay.mend()
        world.settled(f"phone:{mobile(250)}", 2)
    assert Counter(world.agent.events(party)) == world.wanted(customer["id"])


@contextmanager
def by_a_road(world: World) -> Iterator[Relay]:
    """Between the hub and the CRM."""
    with Relay(world.crm.url) as relay:
        world.send_by(relay.url)
        try:
            yield relay
        finally:
            world.send_by(world.crm.url)


def merged(world: World, number: int, last: str = "de Vries") -> tuple[Row, list[int]]:
    """A caller and a buyer, each with a party, who prove to be one by an order; the customer and the two parties."""
    go(called(world, f"CAC{number}", mobile(number)))
    caller = world.settled(f"phone:{mobile(number)}", 1)
    go(ordered(world, number, 5_000_000 + number, mail(number), None, last))
    buyer = world.settled(f"email:{mail(number)}", 1)
    assert caller["id"] != buyer["id"]
    parties = [*world.agent.holders(caller["id"]), *world.agent.holders(buyer["id"])]
    assert len(set(parties)) == 2
    go(ordered(world, number + 1000, 5_000_000 + number, mail(number), mobile(number), last))
    one = world.settled(f"phone:{mobile(number)}", 3)
    assert world.customer(f"email:{mail(number)}")["id"] == one["id"]
    return one, parties


def test_a_merge_reaches_the_crm_softly(world: World) -> None:
    """Neither party goes and no note moves: an agent may see both, and what comes from now on is at one of them."""
    customer, parties = merged(world, 300)
    assert all(world.agent.shown(each)["active"] for each in parties)
    assert Counter(world.agent.events(*parties)) == world.wanted(customer["id"])
    (party,) = world.agent.holders(customer["id"])
    assert party in parties and world.agent.ways(party) == [mobile(300), mail(300)]
    go(called(world, "CAC300-again", mobile(300), day=9), returned(world, 300))
    world.settled(f"phone:{mobile(300)}", 5)
    assert Counter(world.agent.events(*parties)) == world.wanted(customer["id"])
    last = {each["id"] for each in world.who.entries(customer["id"]) if each["type"] in ("call", "return")}
    assert len(last & set(world.agent.events(party))) >= 2
    rows = world.agent.found("party.contact_mechanism", [["value_compact", "in", [mobile(300), mail(300)]]], "party")
    assert {each["party"] for each in rows} == set(parties), "no third party"


def test_when_an_agent_replaces_a_party_what_comes_goes_to_the_other(world: World) -> None:
    go(called(world, "CAC310", mobile(310)))
    customer = world.settled(f"phone:{mobile(310)}", 1)
    (ours,) = world.agent.holders(customer["id"])
    hers = world.agent.party("Jan de Vries", "ander.310@example.nl")
    name = {"name": "Jan de Vries"}
    world.agent.call("model.party.party.write", [ours], name)
    world.agent.replace(ours, by=hers)
    go(ordered(world, 310, 5_000_310, mail(310), mobile(310)), returned(world, 310))
    assert world.settled(f"phone:{mobile(310)}", 3)["id"] == customer["id"]
    assert world.agent.holders(customer["id"]) == [hers]
    assert Counter(world.agent.events(ours, hers)) == world.wanted(customer["id"])
    assert len(world.agent.events(hers)) == 2 and mail(310) in world.agent.ways(hers)


def test_an_erasure_leaves_no_byte(world: World) -> None:
    """Of somebody with two parties, one of which an agent completed and replaced a third by: in no row by the API or in
    the database, history tables too, in no file once its owner compacted it; and others lose nothing."""
    customer, parties = merged(world, 320, "Verdwijnmans")
    go(called(world, "CAC321", mobile(321)))
    other = world.settled(f"phone:{mobile(321)}", 1)
    go(asked(world, 320, "Verdwijnmans schrijft. " * 200))
    world.settled(f"phone:{mobile(320)}", 4)
    (party,) = world.agent.holders(customer["id"])
    old = enrich(world, party)
    values = [mobile(320)[3:], mail(320), "Verdwijn", "Stille Steeg", "Geheim", "oud.320@", customer["id"]]
    before = {each.partition(": ")[2] for each in world.crm.rows_with(values)}
    assert before == {each.lower() for each in values} - {"geheim"}, "the search finds them"
    assert any("geheim" in each for each in world.crm.files_with(values))

    job = world.who.call("POST", f"/v1/customers/{customer['id']}/erase", 202, json={"reason": "art. 17"})
    eventually(lambda: world.who.get(f"/v1/jobs/{job['job']}")["status"] == "done", PATIENCE)
    lines = world.who.get(f"/v1/erasures/{job['erasure']}")["lines"]
    assert "erased" in {each["result"] for each in lines if each["what"].startswith("destination")}, lines

    assert list(world.crm.rows_with(values)) == []
    for each in (*parties, old):
        assert world.agent.notes(each) == [] and set(world.agent.ways(each)) <= {"****"}
        assert (world.agent.shown(each)["name"], world.agent.shown(each)["active"]) == (None, 0)
    world.crm.sweep_files()
    world.crm.compact()
    assert list(world.crm.files_with(values)) == []
    assert Counter(world.agent.events(*world.agent.holders(other["id"]))) == world.wanted(other["id"])


def enrich(world: World, party: int) -> int:
    """An agent's own additions: an address, a note, a letter, and an older party that this one replaces."""
    agent = world.agent
    agent.make("party.address", party=party, party_name="Verdwijnmans", street_unstructured="Stille Steeg 7")
    agent.note(party, "Mevrouw Verdwijnmans belt liever niet")
    letter = {"__class__": "bytes", "base64": "R2VoZWltZSBicmllZg=="}
    agent.make("ir.attachment", resource=f"party.party,{party}", name="brief van Verdwijnmans.txt", data=letter)
    old = agent.party("Jan Verdwijnmans", "oud.320@example.nl")
    agent.note(old, "Verdwijnmans, overgenomen")
    agent.replace(old, by=party)
    return old


def test_nothing_is_parked_at_the_end(world: World) -> None:
    assert world.who.get("/v1/deliveries", connection=world.told, status="parked")["deliveries"] == []
    assert world.who.get(f"/v1/connections/{world.told}")["status"] == "active"
