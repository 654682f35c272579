"""Messages by rule: who gets one, on which address, never twice, and why somebody gets none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.context import people, record, resolve
from chalicelib.context.graph import Rules
from chalicelib.errors import Delayed, Rejected, Unknown
from chalicelib.fanout import messages
from chalicelib.fanout.deliver import Office, deliver
from chalicelib.fanout.messages import Scene
from chalicelib.kit.destination import Destination
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Customer, Field, Person
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import Identity
from chalicelib.model.message import Message
from chalicelib.model.rule import ASK_SATISFACTION, CHECK_DUE, MARKETING, ORDER_MESSAGE, TELL_ANSWER, Rule
from chalicelib.store import connections, deliveries, queues, rates, secrets
from chalicelib.store.deliveries import Duty
from chalicelib.store.organisation import Organisation
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

NOW = instants.to_ms("2026-09-01T18:50:00.000Z")
LINE = Identity("line", "U33", "oa", 3)
WEB = Identity("web", "a-33", "tc", 3)
ANSWER = Event(
    type="message",
    channel="webchat",
    object="m-33",
    direction="out",
    actor="agent",
    occurred_at="2026-09-01T18:40:00.000Z",
    refs=(Ref("thread", "ch-33", "chat"),),
    text="Ja, maat 41 ligt klaar",
)
TELL = Rule(id="rul_1", kind=TELL_ANSWER, connection="con_line", text={"nl": "Dag {name}: {text}", "en": "{text}"})
WROTE = Event(
    type="message",
    channel="line",
    object="L1",
    occurred_at="2026-09-01T18:01:00.000Z",
    address="line:oa/U33",
    own_address="line:oa",
)


def sender(**more: Any) -> Destination:
    return Destination("LINE", "", lambda s, t: {}, channels=("line",), **more)


def customer(**fields: str) -> Customer:
    told = {name: Field(value, "2026-09-01T00:00:00.000Z", "con_line") for name, value in fields.items()}
    return Customer("cus_1", (WEB, LINE), told, preferred_channel="line")


def scene(rule: Rule = TELL, event: Event = ANSWER, **more: Any) -> Scene:
    usual: dict[str, Any] = {
        "customer": customer(name="Jan"),
        "destination": sender(),
        "connection": "con_line",
        "said": (ANSWER, WROTE),
        "now": NOW,
        "link": lambda: "https://tc.nl/?h=H.t",
    }
    return Scene(rule, event, **(usual | more))


def why(**more: Any) -> str:
    found = messages.compose(scene(**more))
    assert isinstance(found, str), found
    return found


def test_an_answer_is_told_where_the_customer_chose() -> None:
    found = messages.compose(scene())
    assert isinstance(found, Message)
    assert (found.to, found.text, found.own, found.free) == (LINE, "Dag Jan: Ja, maat 41 ligt klaar", "line:oa", True)
    english = messages.compose(scene(customer=customer(language="en-GB")))
    assert isinstance(english, Message) and english.text == "Ja, maat 41 ligt klaar"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"customer": msgspec.structs.replace(customer(), preferred_channel="")}, "no address"),
        ({"event": msgspec.structs.replace(ANSWER, channel="line")}, "no address"),
        ({"event": msgspec.structs.replace(ANSWER, actor="customer")}, "no agent answered"),
        ({"event": msgspec.structs.replace(ANSWER, actor="bot")}, "no agent answered"),
        ({"now": NOW + 25 * 3_600_000}, "too long ago"),
        ({"customer": customer(consent_line="denied")}, "does not want this on line"),
        ({"customer": customer(consent_service="denied")}, "does not want service"),
        ({"customer": customer(consent_service=" Unsubscribed")}, "does not want service"),
        ({"destination": sender(window_hours=24), "said": (ANSWER,)}, "window for free text is over"),
    ],
)
def test_who_must_not_be_told_is_not_and_the_reason_is_kept(more: dict[str, Any], reason: str) -> None:
    assert reason in why(**more)


def test_a_refusal_of_marketing_elsewhere_stops_marketing_and_no_service() -> None:
    told = {"consent_line": Field("denied", "2026-09-01T00:00:00.000Z", "con_shop")}
    refused = msgspec.structs.replace(customer(), fields=told)
    assert isinstance(messages.compose(scene(customer=refused)), Message)
    marketing = msgspec.structs.replace(TELL, purpose=MARKETING)
    assert "does not want this" in why(rule=marketing, customer=refused)


def test_outside_the_window_the_providers_template_goes() -> None:
    rule = msgspec.structs.replace(TELL, template="answer_ready", values=("{name}",))
    found = messages.compose(scene(rule=rule, destination=sender(window_hours=24), said=(ANSWER,)))
    assert isinstance(found, Message) and (found.free, found.template, found.values) == (
        False,
        "answer_ready",
        ("Jan",),
    )


def test_what_is_sensitive_is_not_quoted() -> None:
    found = messages.compose(scene(event=msgspec.structs.replace(ANSWER, sensitive=True)))
    assert isinstance(found, Message) and found.text == "Dag Jan: "


def test_a_promise_is_kept_only_if_nobody_was_in_touch() -> None:
    rule = Rule(id="rul_2", kind=CHECK_DUE, connection="con_line", text={"nl": "Wij bellen u zo"})
    promise = msgspec.structs.replace(
        ANSWER, type="note", direction="internal", object="n-1", details={"due_at": "2026-09-01T18:45:00.000Z"}
    )
    assert messages.due_at(rule, promise) == instants.to_ms("2026-09-01T18:45:00.000Z")
    assert isinstance(messages.compose(scene(rule=rule, event=promise, said=(promise, WROTE))), Message)
    later = msgspec.structs.replace(WROTE, object="L2", occurred_at="2026-09-01T18:44:00.000Z", id="later")
    assert "in touch since" in why(rule=rule, event=promise, said=(later, promise))
    assert "no moment" in why(rule=rule, event=msgspec.structs.replace(promise, details={}))


def test_an_order_brings_a_link_and_a_closed_case_a_survey() -> None:
    order = msgspec.structs.replace(
        ANSWER, type="order", actor="customer", details={"status": "created", "number": "#7"}
    )
    rule = Rule(id="rul_3", kind=ORDER_MESSAGE, connection="con_line", text={"nl": "Bestelling {number}: {link}"})
    found = messages.compose(scene(rule=rule, event=order))
    assert isinstance(found, Message) and found.text == "Bestelling #7: https://tc.nl/?h=H.t"
    assert why(rule=rule, event=msgspec.structs.replace(order, details={"status": "cancelled"})) == "no new order"
    asks = Rule(
        id="rul_4", kind=ASK_SATISFACTION, connection="con_line", text={"nl": "Cijfer {low}-{high}?"}, scale=(1, 5)
    )
    closed = msgspec.structs.replace(ANSWER, type="ticket", details={"status": "solved"})
    asked = messages.compose(scene(rule=asks, event=closed))
    assert isinstance(asked, Message) and asked.text == "Cijfer 1-5?"
    sent = messages.as_event(scene(rule=asks, event=closed), asked, "remote-1", "2026-09-01T18:50:00.000Z")
    assert (sent.type, sent.details["scale"], sent.refs[0].kind) == ("satisfaction", [1, 5], "survey")


@dataclass
class System:
    """A messenger in memory. `says`: what the next sends raise; `lost`: those that go out, and then raise."""

    keyed: bool = False
    finds: bool = False
    says: list[Exception] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    looked: int = 0

    def send(self, http: Any, message: Message) -> str:
        if self.says:
            raise self.says.pop(0)
        if not (self.keyed and any(each.key == message.key for each in self.sent)):
            self.sent.append(message)
        if self.lost:
            raise self.lost.pop(0)
        return "remote-1"

    def find(self, http: Any, message: Message) -> str:
        self.looked += 1
        return "remote-1" if any(each.key == message.key for each in self.sent) else ""

    @property
    def declared(self) -> Destination:
        more = {"find_message": self.find} if self.finds else {}
        return sender(send_message=self.send, message_keyed=self.keyed, **more)


class World:
    """One customer, one answer, one sender; `go` is one delivery of the message's duty."""

    def __init__(self, system: System) -> None:
        self.system, self.table, self.recorded = system, MemoryTable(), list[Event]()
        self.rule, self.preferred = TELL, "line"
        linked = stamp(
            msgspec.structs.replace(WROTE, identities=(LINE,), refs=(Ref("event", "L1", "con_line"),)),
            "con_line",
            "line",
        )
        answer = msgspec.structs.replace(ANSWER, identities=(LINE,))
        self.answer = stamp(answer, "con_desk", "desk")
        for event in (linked, self.answer):
            record.record(self.table, event, "receipt", Organisation())
        connections.save(self.table, Connection(id="con_line", provider="test"))

    def person_of(self, node: str, seen: Any = None, sorts: Any = (), *, brief: bool = False) -> Person | None:
        found = people.of_node(self.table, Rules(), node, seen, sorts)
        shown = msgspec.structs.replace(found.customer, preferred_channel=self.preferred) if found else None
        return msgspec.structs.replace(found, customer=shown) if found and shown else None

    def go(self, table: Any = None, duty: Duty | None = None, **options: Any) -> str:
        used = table or self.table
        office = Office(
            used,
            self.person_of,
            connections.reader(used),
            lambda: (self.rule,),
            lambda person: (WROTE,),
            lambda event: "",
            lambda event, connection: self.keep(event),
        )
        return deliver(office, duty or self.duty, **{"tried": False, **options})

    def connect(self, status: str) -> None:
        known = connections.get(self.table, "con_line")
        assert known
        connections.save(self.table, msgspec.structs.replace(known, status=status, ver=known.ver + 1))

    def keep(self, event: Event) -> None:
        stamped = stamp(event, "con_line", "test")
        if stamped not in self.recorded:
            self.recorded.append(stamped)

    @property
    def duty(self) -> Duty:
        node = secrets.node_id(LINE)
        return Duty("con_line", messages.kind_of(self.rule), node, f"E#{self.answer.occurred_at}#{self.answer.id}")

    @property
    def state(self) -> str:
        row = deliveries.get(self.table, self.duty.key)
        return str(row["st"]) if row else ""

    def again(self, duty: Duty | None = None) -> str:
        """As when its time has come, or somebody redrives it."""
        row = deliveries.get(self.table, (duty or self.duty).key)
        if row and row["st"] == "delayed":
            self.table.batch_put([row | {"due": "2026-01-01T00:00:00.000Z"}])
        return self.go(duty=duty)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    system = System()
    rates.forget()
    patches = (
        (secrets, "pepper", lambda: b"pepper"),
        (resolve, "_back_off", lambda number: None),
        (queues, "send", lambda *args, **more: None),
        (destinations, "slugs", lambda: ("test",)),
        (destinations, "load", lambda slug: system.declared),
        (instants, "now_ms", lambda: NOW),
    )
    with replaced(*patches):
        yield World(system)


def test_it_goes_once_and_stands_on_the_timeline(made: World) -> None:
    assert made.go() == "delivered"
    assert [made.go() for _ in range(3)] == ["dropped"] * 3
    assert len(made.system.sent) == 1 and made.state == "delivered"
    (entry,) = made.recorded
    assert (entry.direction, entry.actor, entry.channel, entry.refs[0].value) == ("out", "system", "line", "ch-33")


@pytest.mark.parametrize(("keyed", "finds"), list(itertools.product((False, True), repeat=2)))
def test_killed_at_any_storage_call_nobody_gets_it_twice(made: World, keyed: bool, finds: bool) -> None:
    made.system.keyed, made.system.finds = keyed, finds
    rows = dict(made.table.rows)
    call, killed = 1, True
    while killed:
        for after in (False, True):
            made.table.rows, made.system.sent[:], made.recorded[:] = dict(rows), [], []
            rates.forget()
            killed = False
            try:
                made.go(FaultTable(made.table, call, after))
            except Killed:
                killed = True
                made.again()
            assert len(made.system.sent) == 1 or made.state == "parked"
            assert len(made.recorded) == 1 or made.state == "parked"
            if keyed or finds:
                assert (made.state, len(made.recorded)) == ("delivered", 1)
        call += 1
    assert call > 4


@pytest.mark.parametrize(
    ("keyed", "finds", "state"), [(False, False, "parked"), (True, False, "delivered"), (False, True, "delivered")]
)
def test_a_lost_answer_is_looked_for_or_left_to_people(made: World, keyed: bool, finds: bool, state: str) -> None:
    made.system.keyed, made.system.finds = keyed, finds
    made.system.lost = [Unknown("no answer")]
    made.go()
    made.again()
    assert (len(made.system.sent), made.state) == (1, state)
    if state == "parked":
        row = deliveries.get(made.table, made.duty.key)
        assert row and "may have been sent" in row["why"]


def test_a_limit_delays_and_a_refusal_parks(made: World) -> None:
    made.system.says = [Delayed("HTTP 429", retry_after=5)]
    assert made.go() == "delayed"
    made.again()
    assert (len(made.system.sent), made.state) == (1, "delivered")
    made.table.rows.pop(made.duty.key)
    made.system.says = [Rejected("131047: the window is over")]
    assert (made.go(), made.state) == ("rejected", "parked")


def test_what_must_not_go_is_kept_with_its_reason(made: World) -> None:
    with replaced((instants, "now_ms", lambda: NOW + 30 * 3_600_000)):
        assert made.go() == "dropped"
    row = deliveries.get(made.table, made.duty.key)
    assert row and row["st"] == "skipped" and "too long ago" in row["why"]
    assert made.go() == "dropped" and made.system.sent == []


GONE = msgspec.structs.replace(TELL, id="rul_9")


def test_what_waited_is_skipped_once_its_rule_is_gone(made: World) -> None:
    """It would be asked for every five minutes, and for nothing."""
    made.system.says, duty = [Delayed("HTTP 429", retry_after=5)], made.duty
    made.go()
    made.rule = GONE
    made.again(duty)
    row = deliveries.get(made.table, duty.key)
    assert row and (row["st"], row["why"]) == ("skipped", "its rule is gone") and "gpk" not in row
    made.rule = TELL
    assert made.go() == "dropped" and made.system.sent == []


@pytest.mark.parametrize(("keyed", "finds"), [(True, False), (False, True)])
def test_what_may_have_been_sent_is_left_to_people_once_its_rule_is_gone(made: World, keyed: bool, finds: bool) -> None:
    made.system.keyed, made.system.finds, made.system.lost = keyed, finds, [Unknown("no answer")]
    duty = made.duty
    made.go()
    made.rule = GONE
    made.again(duty)
    row = deliveries.get(made.table, duty.key)
    assert row and row["st"] == "parked" and "may have been sent" in row["why"]


@pytest.mark.parametrize("keyed", [False, True])
def test_what_was_not_even_tried_is_skipped_once_its_rule_is_gone(made: World, keyed: bool) -> None:
    made.system.keyed, duty = keyed, made.duty
    assert made.go(down=8.0) == "delayed"
    made.rule = GONE
    made.again(duty)
    row = deliveries.get(made.table, duty.key)
    assert row and (row["st"], row["why"]) == ("skipped", "its rule is gone")


def test_what_was_never_begun_leaves_nothing_where_its_rule_is_gone(made: World) -> None:
    duty, made.rule = made.duty, GONE
    assert made.again(duty) == "dropped" and deliveries.get(made.table, duty.key) is None


def test_what_waits_rests_while_its_customer_is_nobody(made: World) -> None:
    made.system.says = [Delayed("HTTP 429", retry_after=5)]
    made.go()
    with replaced((made, "person_of", lambda node, *_, **__: None)):
        assert made.again() == "dropped"
    row = deliveries.get(made.table, made.duty.key)
    assert row and row["st"] == "delayed" and "gpk" not in row


def test_what_waits_rests_while_its_event_is_nobodys(made: World) -> None:
    made.system.says = [Delayed("HTTP 429", retry_after=5)]
    made.go()
    event = made.table.rows.pop(made.duty.event_keys[0])
    made.again()
    row = deliveries.get(made.table, made.duty.key)
    assert row and row["st"] == "delayed" and "gpk" not in row
    made.table.rows[made.duty.event_keys[0]] = event
    assert made.again() == "delivered"
