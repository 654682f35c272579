"""A desk both ways over real HTTP: tickets and conversations come in, everybody else's news goes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, eventually
from tests.standins.zendesk import EMAIL, INTEGRATION_USER, TOKEN, Zendesk

pytestmark = pytest.mark.embedded

AT = "2026-09-01T11:20:07.918273645Z"


@dataclass
class World:
    who: Integrator
    desk: Zendesk
    connection: str
    hook: str
    shop: str
    chat: str


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    with Zendesk.of_a_hub() as desk:
        shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
        chat = who.connect(
            "generic",
            "chat",
            settings={"channel": "webchat"},
            secrets={"signing_secret": drive.POS_SECRET},
            mapping=drive.CHAT_MAPPING,
        )
        made = who.connect(
            "zendesk",
            settings={
                "subdomain": "tc",
                "base_url": desk.url,
                "agent_email": EMAIL,
                "agent_id": str(INTEGRATION_USER),
                "order_field": "360001",
                "ref_scopes": {"thread": chat["id"], "order": shop["id"]},
            },
            secrets={"signing_secret": drive.DESK_SECRET, "api_token": TOKEN},
        )
        yield World(who, desk, made["id"], made["hook_url"], shop["hook_url"], chat["hook_url"])
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def requester(world: World, number: int) -> str:
    """Somebody who wrote to the desk from an address that the desk verified."""
    return world.desk.add_user(id=number, name="Jan de Vries", email=f"jan{number}@example.nl", verified=True)


def detail(ticket: str, person: str, **more: Any) -> dict[str, Any]:
    known = {"id": ticket, "requester_id": person, "actor_id": person, "status": "NEW", "subject": "Ruilen"}
    return known | {"created_at": AT, "updated_at": AT, "via": {"channel": "email"}, "description": "Past niet"} | more


def bought(world: World, number: int) -> None:
    mail = f"jan{number}@example.nl"
    order = drive.order(number, 900 + number, mail, f"+3161234{number:04d}", "2026-09-02T20:15:00+02:00")
    assert drive.shopify(world.shop, "orders/create", order).go() == 200


def known(world: World, identity: str, entries: int) -> dict[str, Any]:
    def done() -> Any:
        found = world.who.customer(identity)
        whole = found and len(world.who.entries(found["id"])) == entries and world.who.in_step(found["id"])
        return found if whole else None

    found: dict[str, Any] = eventually(done)
    return found


def test_a_ticket_and_an_order_are_one_customer_and_the_desk_learns_of_the_order(world: World) -> None:
    person, ticket = requester(world, 4001), world.desk.add_ticket(requester_id=4001)
    sent = drive.zendesk(world.hook, "ticket.created", detail(ticket, person), {}, AT)
    assert [sent.go(), sent.go()] == [200, 200]
    bought(world, 4001)
    customer = known(world, "email:jan4001@example.nl", 2)
    assert world.who.customer("desk:tc/4001") == customer
    asked = world.who.entries(customer["id"])[1]
    assert (asked["type"], asked["channel"], asked["actor"], asked["text"]) == (
        "ticket",
        "email",
        "customer",
        "Past niet",
    )
    user = world.desk.users[person]
    assert (user["external_id"], user["phone"]) == (customer["id"], "+31612344001")
    assert world.desk.events_of(person) == [world.who.entries(customer["id"])[0]["id"]]


def test_an_agents_reply_belongs_to_the_conversation_of_another_connection(world: World) -> None:
    said = {"conversationId": "ch-33", "anonymousId": "a-33", "ts": "2026-09-01T18:00:00Z"}
    message = said | {"message": {"id": "c1", "text": "Hebben jullie maat 41?"}}
    copy = world.desk.add_user(name="Bezoeker 33")
    ticket = world.desk.add_ticket(requester_id=int(copy), external_id="ch-33", via={"channel": "native_messaging"})
    actor = {"id": "8447388090495", "name": "Sanne", "type": "agent"}
    event = {"actor": actor, "conversation_id": "67ab", "message": {"id": "m-33", "body": "Ja, ligt klaar."}}
    reply = drive.zendesk(world.hook, "messaging_ticket.message_added", {"id": ticket}, event, "2026-09-01T18:40:00.5Z")
    assert [reply.go(), drive.generic(world.chat, message).go()] == [200, 200]
    visitor = eventually(lambda: world.who.customer("web:tc/a-33"))
    eventually(lambda: len(world.who.entries(visitor["id"])) == 2)
    answered = world.who.entries(visitor["id"])[0]
    assert (answered["direction"], answered["actor"], answered["text"]) == ("out", "agent", "Ja, ligt klaar.")
    assert world.who.customer(f"desk:tc/{copy}") is None


def test_a_ticket_that_a_rule_made_is_placed_by_its_order(world: World) -> None:
    fields = [{"id": 360001, "value": "#4002"}]
    ticket = world.desk.add_ticket(requester_id=int(world.desk.add_user(name="Rule")), custom_fields=fields)
    made = detail(ticket, "999", actor_id="-1", via={"channel": "rule"}, subject="Score 1")
    assert drive.zendesk(world.hook, "ticket.created", made, {}, AT).go() == 200
    bought(world, 4002)
    customer = known(world, "email:jan4002@example.nl", 2)
    assert [(each["type"], each["actor"]) for each in world.who.entries(customer["id"])] == [
        ("order", "customer"),
        ("ticket", "system"),
    ]


def test_our_own_note_does_not_come_back(world: World) -> None:
    person, ticket = requester(world, 4003), world.desk.add_ticket(requester_id=4003)
    author = {"id": str(INTEGRATION_USER), "is_staff": True, "name": "Hub"}
    noted = {"comment": {"id": "c-4003", "body": "call", "is_public": False, "author": author}}
    words = {
        "comment": {"id": "c-4004", "body": "Hallo?", "is_public": True, "author": {"id": person, "is_staff": False}}
    }
    about = detail(ticket, person, updated_at="2026-09-01T12:00:00Z")
    for event in (noted, words):
        assert drive.zendesk(world.hook, "ticket.comment_added", about, event, AT).go() == 200
    customer = known(world, "desk:tc/4003", 1)
    assert [each["text"] for each in world.who.entries(customer["id"])] == ["Hallo?"]
    receipts = world.who.get("/v1/receipts", connection=world.connection, limit=200)["receipts"]
    assert "ignored" in {each["verdict"] for each in receipts}


def test_a_lost_answer_and_a_limit_leave_each_event_once(world: World) -> None:
    person = requester(world, 4004)
    world.desk.behave("status", status=429, headers={"Retry-After": "1"}, method="PUT", times=1)
    world.desk.behave("drop", method="POST", path="/events", times=2)
    bought(world, 4004)
    customer = known(world, "email:jan4004@example.nl", 1)
    assert world.desk.events_of(person) == [world.who.entries(customer["id"])[0]["id"]]
    assert [key for key, row in world.desk.users.items() if row["external_id"] == customer["id"]] == [person]


def test_who_signs_with_another_secret_is_refused(world: World) -> None:
    sent = drive.zendesk(world.hook, "ticket.created", detail("1", "2"), {}, AT, signed_at="2026-01-01T00:00:00Z")
    assert sent.go() == 401
