"""A real chat homeserver and a real help desk: what begins in one and goes on in the other is one timeline.

Only the people and the road are played: rooms, forms, tickets, webhooks and retries are the systems' own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.drive import Integrator, eventually
from tests.real.installed import PYTHON, demand
from tests.real.relay import Relay
from tests.real.world import World
from tests.standins import homeserver
from tests.standins.homeserver import SERVER, User

pytestmark = [pytest.mark.real, pytest.mark.nightly, pytest.mark.embedded]

PATIENCE = 150.0
"""Seconds that two more systems may take on a busy machine; nobody waits longer than it lasts."""
Line = tuple[str, str, str, str, str]
RESOLVED, COUNTER = 3, 2


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    demand("helpdesk", "synapse")
    hub = request.getfixturevalue("hub")
    who = Integrator(hub.url, hub.admin_key)
    with pytest.MonkeyPatch.context() as patch, Relay(hub.url) as relay:
        patch.setattr(homeserver, "PYTHON", str(PYTHON))
        made = World(who, relay, tmp_path_factory.mktemp("real"))
        try:
            made.start()
            yield made
        finally:
            made.stop()
            for each in (made.chat, made.cases):
                who.call("DELETE", f"/v1/connections/{each['id']}")


def of(user: User) -> str:
    return f"matrix:{SERVER}/{user.id}"


def requester(ticket: int) -> str:
    return f"desk:tc/ticket-{ticket}"


def line(entry: dict[str, Any]) -> Line:
    said = entry["text"] or entry["summary"]
    return entry["type"], entry["channel"], entry["direction"], entry["actor"], said


def complete(world: World, identity: str, wanted: list[Line]) -> list[dict[str, Any]]:
    """The timeline, oldest first, once as much is on it as wanted; then it is that, and each of it once."""
    with suppress(AssertionError):
        eventually(lambda: len(world.entries(identity)) >= len(wanted), PATIENCE)
    # A corrected reply, or one that also solves the ticket, is two entries of one moment, in either order.
    place = {each: number for number, each in enumerate(wanted)}
    lines = sorted(world.entries(identity), key=lambda each: (each["occurred_at"], place.get(line(each), -1)))
    assert [line(each) for each in lines] == wanted
    return lines


def chat(world: World, name: str, shown: str, question: str) -> tuple[User, User, str]:
    """Somebody who asks in a room of his own, the agent who joined him there, and the room."""
    customer, agent = User(world.server, name), User(world.server, f"agent_for_{name}")
    customer.named(shown)
    room = customer.room(agent)
    agent.join(room)
    customer.say(room, question)
    return customer, agent, room


def opening(question: str) -> list[Line]:
    return [
        ("identify", "matrix", "in", "customer", "Joined the room"),
        ("message", "matrix", "in", "customer", question),
    ]


def test_a_chat_and_the_ticket_that_its_token_opened_are_one_timeline(world: World) -> None:
    jan, fatima, room = chat(world, "jan", "Jan de Vries", "Mijn trui is gescheurd. Wat nu?")
    token = world.token(room)
    form = world.desk.form(title="Reparatie", body=token)
    fatima.say(room, f"Vervelend! Dit formulier weet al wie je bent: {form}")
    ticket = world.desk.ask(form, submitter_email="jan@example.nl", body="De linkermouw is los.")
    answer = world.desk.reply("sanne", ticket.number, "Je krijgt een nieuwe.")
    world.desk.correct("fatima", answer, "Je krijgt een nieuwe, in maat L.")
    world.desk.reply("sanne", ticket.number, "Is maat L er nog?", public=False)
    wanted: list[Line] = [
        *opening("Mijn trui is gescheurd. Wat nu?"),
        ("message", "matrix", "out", "agent", f"Vervelend! Dit formulier weet al wie je bent: {form}"),
        ("ticket", "desk", "in", "customer", f"De linkermouw is los.\n{token}"),
        ("message", "desk", "out", "agent", "Je krijgt een nieuwe."),
        ("message", "desk", "out", "agent", "Je krijgt een nieuwe, in maat L."),
        ("note", "desk", "internal", "agent", "Is maat L er nog?"),
    ]
    lines = complete(world, of(jan), wanted)
    assert len({each["conversation"] for each in lines}) == 1
    shown = world.customer(of(jan))
    assert shown == world.customer(requester(ticket.number))
    known = {each["identity"]: each["assurance"] for each in shown["identities"]}
    assert known == {of(jan): "A3", requester(ticket.number): "A3"}
    assert shown["fields"]["name"]["value"] == "Jan de Vries"


def test_an_address_that_anybody_can_type_joins_nobody(world: World) -> None:
    """The public form takes whatever address: it makes a candidate, and no history is seen by it; nor does it become
    better where agents move the ticket."""
    noor, _, room = chat(world, "noor", "Noor Bakker", "Kan ik mijn bestelling wijzigen?")
    form = world.desk.form(body=world.token(room))
    hers = world.desk.ask(form, submitter_email="noor@example.nl", title="Wijzigen", body="Liever in het blauw.")
    other = world.desk.ask(world.desk.form(), submitter_email="noor@example.nl", title="Adres", body="Waar woon ik?")
    world.desk.move("fatima", other.number, COUNTER)
    world.desk.reply("sanne", other.number, "Dat zeggen wij alleen tegen uzelf.")
    wanted: list[Line] = [
        ("ticket", "desk", "in", "customer", "Waar woon ik?"),
        ("message", "desk", "out", "agent", "Dat zeggen wij alleen tegen uzelf."),
    ]
    complete(world, requester(other.number), wanted)
    lines = eventually(lambda: found if len(found := world.entries(of(noor))) >= 3 else None, PATIENCE)
    assert [each["type"] for each in lines] == ["identify", "message", "ticket"]
    assert world.customer(requester(hers.number))["id"] == world.customer(of(noor))["id"]
    assert world.customer(requester(other.number))["id"] != world.customer(of(noor))["id"]
    found = world.who.get("/v1/customers", identity="email:noor@example.nl")
    both = {world.customer(each)["id"] for each in (of(noor), requester(other.number))}
    assert found["match"] == "candidate" and {each["id"] for each in found["customers"]} == both


def test_an_address_that_the_desk_looked_at_is_one_person(world: World) -> None:
    """At the counter an agent opens the tickets, for who stands there: two of one address are one customer's; the
    token that he shows on his telephone brings the chat along."""
    wim, _, room = chat(world, "wim", "Wim Smit", "Mag ik het in de winkel ruilen?")
    first = world.desk.record("fatima", "wim@example.nl", "Ruilen", "Bon vergeten")
    again = world.desk.record("sanne", "wim@example.nl", "Ruilen", f"Met bon {world.token(room)}")
    lines = eventually(lambda: found if len(found := world.entries(of(wim))) >= 4 else None, PATIENCE)
    assert [(each["type"], each["actor"]) for each in lines] == [
        ("identify", "customer"),
        ("message", "customer"),
        ("ticket", "agent"),
        ("ticket", "agent"),
    ]
    known = {each["identity"]: each["assurance"] for each in world.customer("email:wim@example.nl")["identities"]}
    assert known == {
        of(wim): "A3",
        requester(again): "A3",
        requester(first): "A2",
        "email:wim@example.nl": "A2",
    }


def test_what_is_sent_again_or_never_arrived_is_there_once_after_a_restart(world: World) -> None:
    """The hub takes a transaction of the homeserver, but its answer is lost on the road; a webhook of the desk meets a
    closed one, and the desk sends nothing again. Both are stopped, the road is mended, both are started. The homeserver
    sends its old transaction again with the next event of any room; the desk's next webhook has all of the ticket."""
    eva, agent, room = chat(world, "eva", "Eva Jansen", "Mijn pakket is nat.")
    token = world.token(room)
    form = world.desk.form(title="Nat pakket", body=token)
    ticket = world.desk.ask(form, submitter_email="eva@example.nl", body="Zie de foto.")
    wanted: list[Line] = [
        *opening("Mijn pakket is nat."),
        ("ticket", "desk", "in", "customer", f"Zie de foto.\n{token}"),
    ]
    complete(world, of(eva), wanted)

    world.relay.lost_answers.add("PUT")
    world.relay.closed.add("POST")
    eva.say(room, "Is er al nieuws?")
    world.desk.reply("sanne", ticket.number, "We kijken ernaar.")
    wanted += [("message", "matrix", "in", "customer", "Is er al nieuws?")]
    complete(world, of(eva), wanted)
    eventually(lambda: "Scheduling retries" in world.server.log.read_text("utf-8"), PATIENCE)
    assert "POST" in world.relay.turned_away and not doubled(world)
    world.stop()
    world.relay.mend()
    world.start()
    agent.say(room, "De desk antwoordt zo.")
    eventually(lambda: doubled(world), PATIENCE)
    wanted += [("message", "matrix", "out", "agent", "De desk antwoordt zo.")]
    complete(world, of(eva), wanted)

    world.relay.doubled.add("POST")
    world.desk.reply("sanne", ticket.number, "Er komt een nieuw pakket.", status=RESOLVED)
    ticket.accept()
    wanted.insert(-1, ("message", "desk", "out", "agent", "We kijken ernaar."))
    wanted += [
        ("message", "desk", "out", "agent", "Er komt een nieuw pakket."),
        ("ticket", "desk", "internal", "agent", "Nat pakket and Resolved"),
        ("message", "desk", "out", "system", "Submitter accepted resolution and closed ticket"),
        ("ticket", "desk", "internal", "system", "Nat pakket and Closed"),
    ]
    lines = complete(world, of(eva), wanted)
    assert len({each["conversation"] for each in lines}) == 1
    assert [each["details"]["status"] for each in lines if each["type"] == "ticket"] == ["opened", "resolved", "closed"]


def test_nothing_is_left_over(world: World) -> None:
    """After all of the above: each request that reached the hub has its receipt, none of them failed, nothing waits."""
    for connection in (world.chat, world.cases):
        with suppress(AssertionError):
            eventually(lambda known=connection: len(world.receipts(known)) == world.relay.carried(known), PATIENCE)
        found = Counter(each["verdict"] for each in world.receipts(connection))
        assert found.total() == world.relay.carried(connection)
        assert found.keys() <= {"accepted", "duplicate", "ignored"}
        assert world.who.get("/v1/waiting", connection=connection["id"])["entries"] == []


def doubled(world: World) -> list[str]:
    """Transactions that arrived more than once; what came again added nothing."""
    found: dict[str, list[str]] = {}
    for each in world.receipts(world.chat):
        found.setdefault(each["delivery_key"], []).append(each["verdict"])
    assert all(verdicts.count("accepted") <= 1 for verdicts in found.values()), found
    return [key for key, verdicts in found.items() if len(verdicts) > 1]
