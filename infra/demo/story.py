"""One customer's yesterday and today, as signed webhooks in the order in which they arrive.

That is not the order in which things happened: carriers and tills are quicker than shops, answers
overtake questions, and whoever got no answer in time sends again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from infra.demo import payloads
from infra.demo.connections import Connected
from infra.demo.payloads import Customer
from infra.demo.systems import Systems
from tests import drive
from tests.drive import Sent

CHAT_TEXT = "Is de trui in de winkel ook afgeprijsd?"
MAIL_TEXT = "Dag, de trui is te klein. Kan ik hem in de winkel in Utrecht ruilen?\nGroet, Jan"
ANSWER_TEXT = "Ja hoor, dat kan met het ordernummer. Ik zet maat L voor u apart. Groet, Sanne"
SURVEY_TEXT = "Hoe tevreden bent u over het ruilen in de winkel? Antwoord met een cijfer van 0 tot 10."


@dataclass(frozen=True)
class Clock:
    """The moments of the story, on the wall of whoever watches."""

    now: datetime

    @classmethod
    def here(cls) -> Clock:
        return cls(datetime.now(UTC).astimezone().replace(microsecond=0))

    def yesterday(self, hour: int, minute: int) -> datetime:
        return (self.now - timedelta(days=1)).replace(hour=hour, minute=minute, second=0)

    def ago(self, minutes: int) -> datetime:
        return self.now - timedelta(minutes=minutes)

    def shown(self, at: datetime) -> str:
        return f"{'today' if at.date() == self.now.date() else 'yesterday'} {at:%H:%M}"


@dataclass(frozen=True)
class Step:
    """`sends`: what goes to one connection now, repeats too. `facts`: distinct events among it."""

    at: datetime
    via: str
    what: str
    sends: tuple[Sent, ...]
    facts: int

    @property
    def repeats(self) -> bool:
        """Whether something is sent twice."""
        return len(self.sends) > len({each.body for each in self.sends})


def prepare(who: Customer, clock: Clock, around: Systems) -> None:
    """What the systems know before any webhook is sent: Jan mailed the desk last year, sales typed
    his address into the CRM, and the phone system can be asked for the times of its messages."""
    around.crm.add_contact(email=who.mail, firstname="J.", lastname=who.last)
    around.desk.add_user(id=who.desk_user, name=who.name, email=who.mail, verified=True)
    order = [{"id": 360001, "value": str(who.order)}]
    around.desk.add_ticket(
        id=who.ticket, requester_id=who.desk_user, custom_fields=order, via={"channel": "email"}, status="open"
    )
    sent, answered = payloads.iso(clock.ago(55)), payloads.iso(clock.ago(50))
    around.phones.message(sid(who, 1), sent, payloads.iso(clock.ago(54)), body=SURVEY_TEXT)
    around.phones.message(sid(who, 2), answered, body=who.score)


def sid(who: Customer, number: int, kind: str = "SM") -> str:
    return f"{kind}{who.number:024d}{number:08d}"


def story(who: Customer, clock: Clock, connected: Connected) -> list[Step]:
    """In the order of arrival."""
    hooks = connected.hooks
    return [
        browsed(who, clock, hooks),
        chatted(who, clock, hooks),
        carried(who, clock, hooks),
        brought_back(who, clock, hooks),
        ordered(who, clock, hooks),
        logged_in(who, clock, hooks),
        agreed(who, clock, hooks),
        shipped(who, clock, hooks),
        asked(who, clock, hooks),
        called(who, clock, hooks),
        answered(who, clock, hooks),
        mailed(who, clock, hooks),
        rated(who, clock, hooks),
        surveyed(who, clock, hooks),
    ]


Hooks = Mapping[str, str]


def browsed(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    first, then = clock.yesterday(10, 2), clock.yesterday(10, 3)
    pages = (
        payloads.page(who, first, 1, "/truien", "Truien"),
        payloads.page(who, then, 2, "/truien/noors", payloads.JUMPER),
    )
    sends = tuple(drive.generic(hooks["web"], each) for each in pages)
    return Step(first, "web", "somebody without a name looks at two pages", sends, 2)


def chatted(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at, then = clock.yesterday(10, 5), clock.yesterday(10, 6)
    question = drive.generic(hooks["web"], payloads.chat(who, at, 1, CHAT_TEXT))
    reply = payloads.chat(who, then, 2, "Goede vraag! In de winkel geldt dezelfde prijs.", bot=True)
    sends = (question, question, drive.generic(hooks["web"], reply))
    return Step(at, "web", f"asks the chat, typing {who.mail} (which proves nothing); the bot answers", sends, 2)


def carried(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.ago(95)
    told = (
        payloads.parcel(who, at, "picked_up", "Pakket is opgehaald"),
        payloads.parcel(who, clock.yesterday(19, 40), "ready", "Pakket ligt klaar bij het afhaalpunt"),
        payloads.parcel(who, clock.yesterday(16, 10), "in_transit", "Pakket is onderweg"),
    )
    sends = tuple(drive.generic(hooks["carrier"], each) for each in told)
    what = f"parcel of order {who.order}: picked up, ready, in transit, the last first, and before the order"
    return Step(at, "carrier", what, sends, 3)


def brought_back(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.ago(60)
    sends = (drive.generic(hooks["store"], payloads.returned(who, at)),)
    return Step(at, "store", f"return at the till, which names only order {who.order}, before the order", sends, 1)


def ordered(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.yesterday(10, 24)
    bodies = [payloads.order(who, at)] * 2
    sends = tuple(drive.shopify(hooks["shop"], "orders/create", each, f"ev-{who.number}-order") for each in bodies)
    return Step(at, "shop", f"order {who.order} by account {who.account}, {who.phone}", sends, 1)


def logged_in(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.yesterday(10, 20)
    sends = (drive.generic(hooks["web"], payloads.login(who, at)),)
    return Step(at, "web", f"that visitor logged in, as account {who.account}", sends, 1)


def agreed(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.yesterday(10, 25)
    body = payloads.account(who, at)
    sends = (drive.shopify(hooks["shop"], "customers/update", body, f"ev-{who.number}-account"),)
    return Step(at, "shop", "his account, and that he wants the newsletter", sends, 2)


def shipped(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.yesterday(15, 5)
    sends = (drive.shopify(hooks["shop"], "fulfillments/create", payloads.shipment(who, at), f"ev-{who.number}-ship"),)
    return Step(at, "shop", "the shop has shipped it, after the parcel was picked up", sends, 1)


def asked(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.yesterday(12, 0)
    value = payloads.whatsapp_text(who, at, "Hoi, wanneer komt mijn trui? Ik heb vanmorgen besteld 🙂")
    sends = (drive.whatsapp_cloud(hooks["whatsapp"], value),) * 2
    return Step(at, "whatsapp", f"asks when it comes, from {who.phone}", sends, 1)


def called(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.yesterday(14, 30)
    sends = (drive.call(hooks["phone"], sid(who, 1, "CA"), who.phone, payloads.rfc2822(at)),)
    return Step(at, "phone", "calls, four minutes", sends, 1)


def answered(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    made, at = clock.yesterday(20, 15), clock.yesterday(21, 2)
    detail, event = payloads.ticket(who, made, at, MAIL_TEXT), payloads.comment(who, ANSWER_TEXT)
    sends = (drive.zendesk(hooks["desk"], "ticket.comment_added", detail, event, payloads.zulu(at)),)
    return Step(at, "desk", f"the agent's answer on ticket {who.ticket}, before the ticket", sends, 1)


def mailed(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.yesterday(20, 15)
    detail = payloads.ticket(who, at, at, MAIL_TEXT)
    sends = (drive.zendesk(hooks["desk"], "ticket.created", detail, {}, payloads.zulu(at)),) * 2
    return Step(at, "desk", f"his mail became ticket {who.ticket}", sends, 1)


def rated(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.ago(50)
    told = (payloads.sms(who, sid(who, 2), who.score), payloads.sms_status(who, sid(who, 1), "delivered"))
    sends = tuple(drive.twilio(hooks["phone"], **each) for each in told)
    return Step(at, "phone", f"his sms: {who.score}, and that ours was delivered, before the survey", sends, 2)


def surveyed(who: Customer, clock: Clock, hooks: Hooks) -> Step:
    at = clock.ago(55)
    sends = (drive.generic(hooks["store"], payloads.survey(who, at)),)
    return Step(at, "store", f"sent a survey on receipt {who.receipt}, scale 0 to 10", sends, 1)
