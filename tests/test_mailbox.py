"""Mail over real HTTP: whose it is, which mails are one conversation, and what nobody can pretend."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually

pytestmark = pytest.mark.embedded

OURS, ROOT = "b{}.ours@tc.example", "a{}@mail.example"
_numbers = itertools.count(5501)
"""The hub is shared with other tests: theirs are other people."""


@dataclass
class World:
    who: Integrator
    hook: str
    shop: str
    connection: str


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    shop = who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
    made = who.connect(
        "postmark",
        settings={**drive.MAIL_SETTINGS, "order_pattern": r"\b(\d{4})\b", "ref_scopes": {"order": shop["id"]}},
        secrets={"password": drive.MAIL_PASSWORD},
    )
    yield World(who, made["hook_url"], shop["hook_url"], made["id"])
    for each in who.get("/v1/connections")["connections"]:
        who.call("DELETE", f"/v1/connections/{each['id']}")


def send(*mails: Sent) -> None:
    assert [each.go() for each in mails] == [200] * len(mails)


def entries(world: World, identity: str, count: int) -> list[dict[str, Any]]:
    def done() -> Any:
        found = world.who.customer(identity)
        lines = world.who.entries(found["id"]) if found else []
        return lines if len(lines) == count else None

    found: list[dict[str, Any]] = eventually(done)
    return found


def thread(world: World, number: int) -> list[Sent]:
    """A question, our answer, a reply to it without References, and what became of our answer."""
    jan, root, ours = f"reader{number}@example.nl", ROOT.format(number), OURS.format(number)
    at = "2026-09-01T1{}:00:00+02:00"
    return [
        drive.postmark(world.hook, jan, at.format(0), "Hebben jullie maat 41?", name=root),
        drive.postmark(
            world.hook, "sanne@tc.example", at.format(1), "Ja.", name=ours, to=jan, references=(root,), in_reply_to=root
        ),
        drive.postmark(world.hook, jan, at.format(2), "Leg maar weg.", in_reply_to=ours),
        drive.postmark(
            world.hook, jan, at.format(3), "Tot morgen.", references=(root, ours, f"c{number}@mail.example")
        ),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_a_thread_is_one_conversation_whatever_comes_first(world: World, order: Sequence[int]) -> None:
    number = next(_numbers)
    mails = thread(world, number)
    send(*(mails[place] for place in order), mails[order[0]])
    lines = entries(world, f"email:reader{number}@example.nl", 4)
    assert [(each["direction"], each["actor"], each["text"]) for each in lines] == [
        ("in", "customer", "Tot morgen."),
        ("in", "customer", "Leg maar weg."),
        ("out", "agent", "Ja."),
        ("in", "customer", "Hebben jullie maat 41?"),
    ]
    assert len({each["conversation"] for each in lines}) == 1


def test_what_the_carrier_delivered_and_the_reply_to_it_are_one_conversation(world: World) -> None:
    number = next(_numbers)
    jan, guid = f"reader{number}@example.nl", f"883953f4-6105-42a2-a16a-00000000{number}"
    delivery = drive.postmark_sent(world.hook, "Delivery", guid, jan, "2026-09-01T08:00:00.9070259Z")
    sent_id = f"{guid}@mtasv.net"
    reply = drive.postmark(
        world.hook, jan, "2026-09-01T11:00:00+02:00", "Dank!", references=(sent_id,), in_reply_to=sent_id
    )
    send(reply, delivery, delivery)
    lines = entries(world, f"email:{jan}", 2)
    assert [each["status"] for each in lines] == [None, "delivered"]
    assert len({each["conversation"] for each in lines}) == 1


def test_one_mail_by_two_addresses_is_one_event(world: World) -> None:
    number = next(_numbers)
    first, second = (
        drive.postmark(
            world.hook,
            f"reader{number}@example.nl",
            "2026-09-01T10:00:00+02:00",
            "Hallo",
            name=ROOT.format(number),
            **more,
        )
        for more in ({}, {"OriginalRecipient": "copy+x@inbound.postmarkapp.com", "MailboxHash": "x"})
    )
    send(first, second, first)
    eventually(lambda: len(receipts(world, number)) == 3)
    assert len(entries(world, f"email:reader{number}@example.nl", 1)) == 1
    ids = {each["id"] for receipt in receipts(world, number) for each in receipt["events"]}
    assert len(ids) == 1


def receipts(world: World, number: int) -> list[dict[str, Any]]:
    """Those of the mail that the test with this number sent."""
    newest = world.who.get("/v1/receipts", connection=world.connection, limit=5)["receipts"]
    shown = [world.who.get(f"/v1/receipts/{each['id']}") for each in newest]
    return [each for each in shown if f"reader{number}@" in str(each["body"])]


@pytest.mark.parametrize("mail_first", [True, False])
def test_a_mail_from_a_role_mailbox_comes_home_by_the_order_that_it_types(world: World, mail_first: bool) -> None:
    number = next(_numbers)
    address, phone = f"info@bakker{number}.example", f"+3161239{number}"
    mail = drive.postmark(world.hook, address, "2026-09-03T10:00:00+02:00", "", subject=f"factuur {number}")
    order = drive.shopify(
        world.shop,
        "orders/create",
        drive.order(number, 90_000 + number, address, phone, "2026-09-02T20:15:00+02:00"),
    )
    send(*((mail, order) if mail_first else (order, mail)))
    lines = entries(world, f"phone:{phone}", 2)
    assert [each["type"] for each in lines] == ["email", "order"]
    assert lines[0]["conversation"] == lines[1]["conversation"]
    assert world.who.customer(f"email:{address}") is None


@pytest.mark.parametrize("handed_over_by, dmarc", [("out3.tc.example", "fail"), ("mail.attacker.example", "pass")])
def test_who_only_pretends_makes_no_customer_and_sees_none(world: World, handed_over_by: str, dmarc: str) -> None:
    number = next(_numbers)
    jan = f"reader{number}@example.nl"
    pretended = drive.postmark(
        world.hook, jan, "2026-09-01T12:00:00+02:00", "Waar is mijn pakket?", dmarc=dmarc, handed_over_by=handed_over_by
    )
    send(pretended, drive.postmark(world.hook, jan, "2026-09-01T10:00:00+02:00", "Hallo"))
    assert [each["text"] for each in entries(world, f"email:{jan}", 1)] == ["Hallo"]
    waiting = world.who.get("/v1/waiting", connection=world.connection, limit=200)
    assert "Waar is mijn pakket?" in str(waiting)


def test_an_answering_machine_is_a_bot(world: World) -> None:
    number = next(_numbers)
    jan = f"reader{number}@example.nl"
    away = drive.postmark(
        world.hook, jan, "2026-09-01T10:00:00+02:00", "Met vakantie", extra={"Auto-Submitted": "auto-replied"}
    )
    send(away)
    assert [(each["actor"], each["direction"]) for each in entries(world, f"email:{jan}", 1)] == [("bot", "in")]


def test_who_does_not_know_the_password_is_refused(world: World) -> None:
    sent = drive.postmark(world.hook, "jan@example.nl", "2026-09-01T10:00:00+02:00", "Hallo")
    for headers in ({}, {"Authorization": "Basic aHViOndyb25n"}):
        assert Sent(sent.url, {"Content-Type": "application/json", **headers}, sent.body).go() == 401
