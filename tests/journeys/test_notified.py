"""A visitor who was offered another channel: asked in a web chat, told of the answer on LINE, and scanned in the shop.

Over HTTP with every system around the hub: who he is, what stands on his timeline, what each system was
told, and that he got the answer once, however the events come.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.store.rules import CACHE_SECONDS
from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.standins.hubspot import TOKEN as CRM_TOKEN
from tests.standins.hubspot import HubSpot
from tests.standins.line import TOKEN as LINE_TOKEN
from tests.standins.line import Line
from tests.standins.partner import SECRET, Partner
from tests.standins.zendesk import EMAIL, INTEGRATION_USER, Zendesk
from tests.standins.zendesk import TOKEN as DESK_TOKEN

pytestmark = pytest.mark.embedded

LINE_SECRET, WECHAT_TOKEN = "line-channel-secret", "tc-wechat-token"
OUR_LINE, OUR_WECHAT = "U" + "0" * 32, "gh_tc"
_numbers = itertools.count(1)


@dataclass
class World:
    who: Integrator
    hub: Hub
    crm: HubSpot
    line: Line
    partner: Partner
    desk: Zendesk
    hooks: dict[str, str]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    with HubSpot() as crm, Line() as line, Partner() as partner, Zendesk.of_a_hub() as desk:
        made = World(who, hub, crm, line, partner, desk, {}, {})
        connect(made)
        rule = who.call(
            "POST",
            "/v1/rules",
            201,
            json={"kind": "tell_answer", "connection": made.ids["line"], "text": {"nl": "Er is antwoord: {text}"}},
        )
        time.sleep(CACHE_SECONDS + 0.5)  # workers read the rules as often
        yield made
        who.call("DELETE", f"/v1/rules/{rule['id']}")
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def connect(world: World) -> None:
    def add(name: str, provider: str, **rest: Any) -> None:
        made = world.who.connect(provider, name, **rest)
        world.ids[name], world.hooks[name] = made["id"], made.get("hook_url", "")

    add("chat", "generic", secrets={"signing_secret": drive.POS_SECRET}, mapping=drive.CHAT_MAPPING)
    add(
        "line",
        "line",
        settings={"base_url": world.line.url},
        secrets={"channel_secret": LINE_SECRET, "channel_access_token": LINE_TOKEN},
    )
    add("wechat", "wechat", settings={"mode": "plain", "app_id": "wxb1"}, secrets={"token": WECHAT_TOKEN})
    add(
        "desk",
        "zendesk",
        settings={
            "subdomain": "tc",
            "base_url": world.desk.url,
            "agent_email": EMAIL,
            "agent_id": str(INTEGRATION_USER),
            "ref_scopes": {"thread": world.ids["chat"]},
        },
        secrets={"signing_secret": drive.DESK_SECRET, "api_token": DESK_TOKEN},
        subscription={"types": ["loyalty"]},
    )
    add("crm", "hubspot", settings={"base_url": world.crm.url, "rate_limit": 100}, secrets={"access_token": CRM_TOKEN})
    add(
        "partner",
        "webhook",
        settings={"url": f"{world.partner.url}/in"},
        secrets={"signing_secret": SECRET},
        subscription={"filter": "actor != 'agent'"},
    )


@dataclass(frozen=True)
class Visit:
    """One visitor's webhooks by name, in the order in which they happened, minutes apart and some minutes ago."""

    number: int
    user: str
    works: dict[str, Sent]


def visit(world: World) -> Visit:
    number = next(_numbers)
    thread, user = f"ch-33-{number}", "U" + hashlib.md5(str(number).encode()).hexdigest()
    linked, scanned = token(world, thread, "line"), token(world, thread, "wechat")
    start = int(time.time()) - 3600
    asked = {"conversationId": thread, "anonymousId": f"a-33-{number}", "ts": iso(start)}
    ticket = world.desk.add_ticket(
        requester_id=int(world.desk.add_user(name="Copy")), external_id=thread, via={"channel": "native_messaging"}
    )
    reply = {"id": f"m-33-{number}", "body": "Ja, maat 41 ligt klaar."}
    agent = {"id": "8447388090495", "name": "Sanne", "type": "agent"}
    link = {"type": "accountLink", "link": {"result": "ok", "nonce": linked}}
    said = {"type": "message", "message": {"id": f"L9-{number}", "type": "text", "text": "Top, leg maar weg"}}
    works = {
        "asked": drive.generic(
            world.hooks["chat"], asked | {"message": {"id": f"c1-{number}", "text": "Hebben jullie maat 41?"}}
        ),
        "linked": line(world, user, link, start + 60, f"A{number}"),
        "linked again": line(world, user, link, start + 60, f"A{number}", again=True),
        "answered": drive.zendesk(
            world.hooks["desk"],
            "messaging_ticket.message_added",
            {"id": ticket},
            {"actor": agent, "conversation_id": f"67ab{number}", "message": reply},
            iso(start + 2400),
        ),
        "confirmed": line(world, user, said, start + 2700, f"B{number}"),
        "scanned": wechat(world, f"oWX7-{number}", scanned, start + 3000),
    }
    return Visit(number, user, works)


def token(world: World, thread: str, channel: str) -> str:
    asked = {"connection": world.ids["chat"], "thread": thread, "channel": channel, "notify": channel == "line"}
    made: str = world.who.call("POST", "/v1/handovers", 201, json=asked)["token"]
    return made


def iso(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def line(world: World, user: str, event: dict[str, Any], at: int, name: str, *, again: bool = False) -> Sent:
    about = {"webhookEventId": f"01J{name}", "deliveryContext": {"isRedelivery": again}, "mode": "active"}
    told = event | about | {"timestamp": at * 1000, "source": {"type": "user", "userId": user}}
    raw = json.dumps({"destination": OUR_LINE, "events": [told]}).encode()
    mac = base64.b64encode(hmac.new(LINE_SECRET.encode(), raw, hashlib.sha256).digest()).decode()
    return Sent(world.hooks["line"], {"Content-Type": "application/json", "X-Line-Signature": mac}, raw)


def wechat(world: World, user: str, scene: str, at: int) -> Sent:
    stamp, nonce = str(int(time.time())), "1320562132"
    signed = hashlib.sha1("".join(sorted((WECHAT_TOKEN, stamp, nonce))).encode()).hexdigest()
    query = urlencode({"signature": signed, "timestamp": stamp, "nonce": nonce, "openid": user})
    body = (
        f"<xml><ToUserName>{OUR_WECHAT}</ToUserName><FromUserName>{user}</FromUserName><CreateTime>{at}</CreateTime>"
        f"<MsgType>event</MsgType><Event>SCAN</Event><EventKey>{scene}</EventKey></xml>"
    )
    return Sent(f"{world.hooks['wechat']}?{query}", {"Content-Type": "text/xml"}, body.encode())


def told_on_line(world: World, user: str) -> list[str]:
    with world.line.lock:
        return [str(each["id"]) for each in world.line.messages if each["to"] == user]


def whole(world: World, seen: Visit) -> list[dict[str, Any]]:
    found = world.who.customer(f"web:tc/a-33-{seen.number}")
    told = world.who.entries(found["id"]) if found else []
    return told if len(told) == 6 else []


def checked(world: World, seen: Visit) -> None:
    told = eventually(lambda: whole(world, seen), 120)
    found = world.who.customer(f"web:tc/a-33-{seen.number}")
    assert found
    shown = world.who.get(f"/v1/customers/{found['id']}")
    mine = {each["identity"].partition(":")[0]: each["assurance"] for each in shown["identities"]}
    assert mine == {"web": "A3", "line": "A3", "wechat": "A3"}, mine
    assert shown["preferred_channel"] == "line" and shown["satisfaction"] == {}
    sent = [each for each in told if each["direction"] == "out" and each["actor"] == "system"]
    assert [each["text"] for each in sent] == ["Er is antwoord: Ja, maat 41 ligt klaar."]
    assert len({each["conversation"] for each in told}) == 1
    eventually(lambda: world.who.in_step(found["id"]), 120)
    kept = [each for each in world.crm.kept() if each in {entry["id"] for entry in told}]
    assert sorted(kept) == sorted(each["id"] for each in told), "each once in the CRM, and the message too"
    mine = {shown["id"], *shown["former_ids"]}
    assert all(world.crm.owners_of(each["id"]) <= mine for each in told), "and on nobody else's record"
    partner = {each["data"]["id"] for each in world.partner.taken.values()} & {entry["id"] for entry in told}
    assert partner == {each["id"] for each in told if each["actor"] != "agent"}
    assert len(told_on_line(world, seen.user)) == 1


def test_in_the_given_order(world: World) -> None:
    seen = visit(world)
    for name, sent in seen.works.items():
        assert sent.go() == 200
        if name == "linked again":
            eventually(lambda: linked(world, seen))
    checked(world, seen)


def linked(world: World, seen: Visit) -> bool:
    return world.who.customer(f"line:{OUR_LINE}/{seen.user}") == world.who.customer(f"web:tc/a-33-{seen.number}")


def test_in_any_order_doubled_and_with_the_workers_killed_he_is_told_once(world: World) -> None:
    """The answer may come before it is known where he reads it: he gets it all the same."""
    rng = random.Random(33)
    visits = [visit(world) for _ in range(4)]
    works = [sent for seen in visits for sent in seen.works.values() for _ in range(rng.choice((1, 2)))]
    for place, sent in enumerate(rng.sample(works, len(works))):
        assert sent.go() == 200
        if place in (len(works) // 3, 2 * len(works) // 3):
            world.hub.kill("workers")
    for seen in visits:
        checked(world, seen)
