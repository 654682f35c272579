"""What one attempt leaves behind: when it comes again, whether it counts, and that nothing goes twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.context import record
from chalicelib.errors import Busy, Delayed, NewerVersion, Paced, Unknown
from chalicelib.fanout import outward, prints
from chalicelib.fanout.deliver import deliver
from chalicelib.model import instants
from chalicelib.model.customer import Person
from chalicelib.model.event import stamp
from chalicelib.model.rule import CHECK_DUE, Rule
from chalicelib.store import contacts, deliveries, rates
from chalicelib.store.deliveries import ACTIVITY, CONTACT, Attempt, Duty
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Action, Item, Key
from tests.fanout.test_deliver import CRM, EVENT, PHONE, Desk, System, desk, due, move, named, record_of
from tests.fanout.test_messages import ANSWER, LINE, NOW, TELL, World, made, sender
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

__all__ = ["desk", "made"]


def at(milliseconds: int) -> AbstractContextManager[None]:
    """So long after NOW."""
    return replaced((instants, "now_ms", lambda: NOW + milliseconds))


def attempt(count: int, milliseconds: int) -> Attempt:
    """The last of so many, the first of which was then, too."""
    moment = instants.from_ms(NOW + milliseconds)
    return Attempt(count, moment, moment)


def left(row: Item | None) -> int:
    """Milliseconds after NOW at which it is due."""
    assert row and row["st"] == "delayed"
    return instants.to_ms(row["due"]) - NOW


class Watched(MemoryTable):
    """Tells which keys were asked for together, and which writes were refused. `meanwhile`: what another worker does
    after the first look."""

    def __init__(self, table: MemoryTable, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.rows, self.meanwhile = table.rows, meanwhile
        self.asked, self.refused = list[Key](), list[Action]()

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        wanted = list(keys)
        found = super().batch_get(wanted)
        if not self.asked:
            self.meanwhile()
        self.asked += wanted
        return found

    def write(self, action: Action) -> bool:
        done = super().write(action)
        self.refused += [] if done else [action]
        return done


def test_a_duty_of_a_kind_that_only_a_newer_version_knows_is_left_to_it_unread(desk: Desk) -> None:
    table = FaultTable(desk.table)
    with pytest.raises(NewerVersion, match="deliveries of the kind later"):
        deliver(desk.office(table), Duty(CRM, "later", "n1", "E#x#y"), tried=False)
    assert table.calls == 0


@pytest.mark.parametrize("kind", [ACTIVITY, CONTACT])
def test_a_connection_that_is_gone_or_whose_system_we_know_no_more_is_told_nothing(desk: Desk, kind: str) -> None:
    assert deliver(replace(desk.office(), connection=lambda id: None), desk.duty(kind), tried=False) == "dropped"
    desk.connect(provider="another")
    assert desk.go(kind) == "dropped"
    assert desk.system.people == {} and desk.table.get(desk.duty(kind).key) is None


@pytest.mark.parametrize(("early", "told"), [(1500, True), (1501, False)])
def test_a_message_may_come_a_second_and_a_half_before_its_time(desk: Desk, early: int, told: bool) -> None:
    with at(0):
        deliveries.delayed(desk.table, desk.duty(), attempt(1, -5_000), early / 1000)
        assert desk.go() == ("delivered" if told else "dropped")
    assert len(desk.system.activities) == told


def test_an_event_that_is_gone_is_not_looked_for_twice_in_one_place(desk: Desk) -> None:
    duty = desk.duty()
    with at(0):
        deliveries.delayed(desk.table, duty, attempt(1, -5_000), 0)
        desk.table.rows.pop(duty.event_keys[0])
        table = Watched(desk.table)
        assert deliver(desk.office(table), duty, tried=False) == "dropped"
    assert table.asked.count(duty.event_keys[0]) == 1


def test_a_customer_is_brought_up_to_date_whichever_node_he_went_by(desk: Desk) -> None:
    duty = desk.duty(CONTACT)
    with at(0):
        deliveries.delayed(desk.table, msgspec.structs.replace(duty, node="n-elder"), attempt(1, -5_000), 0)
        assert desk.go(CONTACT) == "delivered"
    assert list(desk.system.people) == ["r1"]


def test_what_became_of_an_entry_is_told_whatever_became_of_whom_it_was_planned_for(desk: Desk) -> None:
    record_of(desk, PHONE)
    old, new = move(desk)
    deliveries.delayed(desk.table, new, attempt(1, -5_000), 0)
    due(desk, new, 0)
    named(desk, "Jan de Vries", "con_voice", "2026-09-03T08:30:00.000Z")
    contact = desk.duty(CONTACT)
    desk.system.says = [None, None, Delayed("503")]
    assert deliver(desk.office(), old, tried=False) == "delivered"
    row = desk.table.get(contact.key)
    assert len(desk.system.activities) == 1 and row and row["st"] == "delayed"


def nobody(node: str, seen: Item | None = None, sorts: Collection[str] = (), *, brief: bool = False) -> Person | None:
    return None


def test_an_entry_whose_customer_is_gone_is_told_to_nobody(desk: Desk) -> None:
    assert deliver(replace(desk.office(), person_of=nobody), desk.duty(), tried=False) == "dropped"
    assert desk.system.people == {} and desk.system.activities == []


def test_nothing_is_told_to_no_record_when_its_customer_became_another_meanwhile(desk: Desk) -> None:
    """His node is nobody's between the look at whose it is and the push: his contact has no record, and gets none."""
    looks: list[str] = []

    def look(node: str, *how: Any, **more: Any) -> Person | None:
        looks.append(node)
        return None if len(looks) == 2 else desk.office().person_of(node, *how, **more)

    with pytest.raises(Busy):
        deliver(replace(desk.office(), person_of=look), desk.duty(), tried=False)
    assert desk.system.people == {} and desk.system.activities == []
    assert desk.go() == "delivered", "the lease is given back"
    assert [record for record, _ in desk.system.activities] == ["r1"]


def test_an_entry_that_gets_no_id_over_there_is_delivered(desk: Desk) -> None:
    desk.system.append = lambda http, remote, entry: ""  # type: ignore[method-assign]
    assert desk.go() == "delivered"
    assert desk.row()["st"] == "delivered" and "ref" not in desk.row()


@pytest.mark.parametrize(
    ("state", "waited"), [(None, False), (deliveries.held, False), (deliveries.parked, False), ("delayed", True)]
)
def test_only_what_was_put_off_has_its_turn(desk: Desk, state: Any, waited: bool) -> None:
    known: list[bool] = []

    def take(*bucket: Any, waited: bool) -> float:
        known.append(waited)
        return 0.0

    with at(0), replaced((rates, "take", take)):
        if state == "delayed":
            deliveries.delayed(desk.table, desk.duty(CONTACT), attempt(1, -5_000), 0)
        elif state:
            state(desk.table, desk.duty(CONTACT), attempt(1, -5_000))
        assert desk.go(CONTACT) == "delivered"
    assert known == [waited]


def test_a_customer_whom_a_system_cannot_keep_is_not_delivered_and_rests(desk: Desk) -> None:
    desk.system.upsert = lambda http, customer, remote: ""  # type: ignore[method-assign]
    with at(0):
        deliveries.delayed(desk.table, desk.duty(CONTACT), attempt(1, -5_000), 0)
        assert desk.go(CONTACT) == "dropped"
    row = desk.row(CONTACT)
    assert (row["st"], row["n"]) == ("delayed", 1) and "gpk" not in row


def test_what_was_put_off_and_is_done_is_written_once(desk: Desk) -> None:
    with at(0):
        deliveries.delayed(desk.table, desk.duty(), attempt(1, -5_000), 0)
        table = Watched(desk.table)
        assert deliver(desk.office(table), desk.duty(), tried=False) == "delivered"
    assert table.refused == []


def in_the_middle(low: float = 0.0, high: float = 1.0) -> float:
    return (low + high) / 2


@pytest.mark.parametrize(("attempts", "waits"), [(0, 2_500), (1, 5_000), (2, 10_000)])
def test_a_failure_waits_as_its_number_says(desk: Desk, attempts: int, waits: int) -> None:
    desk.system.says = [Delayed("HTTP 503")]
    with at(0), replaced((random, "random", in_the_middle)):
        if attempts:
            deliveries.delayed(desk.table, desk.duty(), attempt(attempts, -5_000), 0)
        assert desk.go() == "delayed"
    assert left(desk.row()) == waits and desk.row()["n"] == attempts + 1


def test_what_failed_before_and_is_put_off_untried_counts_that_once(desk: Desk) -> None:
    with at(0), replaced((random, "random", in_the_middle)):
        deliveries.delayed(desk.table, desk.duty(), attempt(1, -5_000), 0)
        assert desk.go(down=1.0) == "delayed"
    assert (desk.row()["n"], desk.row()["off"], left(desk.row())) == (1, 1, 5_000)


@pytest.mark.parametrize(("age", "outcome"), [(3 * 86_400_000 - 1, "delayed"), (3 * 86_400_000, "parked")])
def test_it_is_given_up_three_days_after_the_first_attempt(desk: Desk, age: int, outcome: str) -> None:
    desk.system.says = [Delayed("HTTP 503")]
    with at(0):
        deliveries.delayed(desk.table, desk.duty(), attempt(2, -age), 0)
        assert desk.go() == outcome
    assert desk.row()["st"] == outcome


@pytest.mark.parametrize(("end", "seconds"), [(0, 1), (1, 10)])
def test_at_a_slow_system_what_is_too_much_comes_back_within_ten_seconds(desk: Desk, end: int, seconds: int) -> None:
    with at(0), replaced((random, "uniform", lambda *ends: ends[end])):
        assert desk.go(crowded=True) == "delayed"
    assert (left(desk.row()), desk.row()["n"], desk.system.people) == (seconds * 1000, 0, {})
    assert desk.sent == [(desk.duty(), seconds)]


@pytest.mark.parametrize(
    ("keyed", "wait", "untried", "seconds", "count"),
    [(True, 0.0, True, 0, 0), (True, 0.2, True, 1, 0), (True, 2.5, False, 3, 1), (False, 2.5, True, 3, 1)],
    ids=["now", "a whole second", "half-way", "after our claim"],
)
def test_paced_it_comes_back_in_its_turn_and_counts_where_it_may_have_been_sent(
    desk: Desk, keyed: bool, wait: float, untried: bool, seconds: int, count: int
) -> None:
    desk.system = System(keyed=keyed, says=[None, Paced("we ask at most once", wait, untried=untried)])
    with at(0):
        assert desk.go() == "delayed"
    assert (left(desk.row()), desk.row()["n"]) == (seconds * 1000, count)
    assert desk.row()["why"] == "we ask at most once"


@pytest.mark.parametrize(("after", "computed"), [(86_400_000, 1), (86_400_001, 2)])
def test_a_channel_is_computed_anew_when_it_is_older_than_a_day(desk: Desk, after: int, computed: int) -> None:
    found = []

    def preferred(person: Person) -> str:
        found.append(person)
        return "email"

    for moment in (0, after):
        with at(moment):
            office = replace(desk.office(), preferred=preferred)
            assert deliver(office, desk.duty(CONTACT), tried=False) == "delivered"
    assert len(found) == computed


@pytest.mark.parametrize(("before", "asked"), [(86_399_999, 1), (86_400_000, 0)])
def test_what_was_typed_a_day_before_our_push_did_not_cross_it(desk: Desk, before: int, asked: int) -> None:
    later = 10 * 86_400_000
    desk.system.asked = 0
    with at(later):
        named(desk, "J. de Vries", "con_shop", instants.from_ms(NOW + later - 100_000_000))
        desk.go(CONTACT)
        named(desk, "Johannes", CRM, instants.from_ms(NOW + later - before))
        nodes = [desk.duty(CONTACT).node]
        contacts.correct(
            desk.table, CRM, nodes, lambda pushed: prints.retold(pushed, {"name": "Johannes"}), again=False
        )
        assert desk.go(CONTACT) == "delivered"
    assert desk.system.asked == asked


def test_a_message_received_before_is_looked_for(desk: Desk) -> None:
    desk.system = System(keyed=False, activities=[("r1", EVENT.id)])
    assert desk.go(tried=True) == "delivered"
    assert (desk.system.looked, desk.row()["ref"], len(desk.system.activities)) == (1, "found", 1)


def test_where_it_cannot_be_looked_for_it_is_told(desk: Desk) -> None:
    desk.system = System(keyed=False)
    with replaced((destinations, "load", lambda slug: replace(desk.system.declared, find_activity=None))):
        assert desk.go(tried=True) == "delivered"
    assert desk.system.activities == [("r1", EVENT.id)] and desk.row()["ref"] == "a1"


def test_what_another_worker_claimed_meanwhile_is_looked_for(desk: Desk) -> None:
    desk.system, duty = System(keyed=False), desk.duty()

    def meanwhile() -> None:
        assert deliveries.claim(desk.table, duty, attempt(1, 0), None)
        desk.system.activities.append(("r1", EVENT.id))

    assert deliver(desk.office(Watched(desk.table, meanwhile)), duty, tried=False) == "delivered"
    assert (desk.system.looked, len(desk.system.activities)) == (1, 1)


def test_what_may_have_been_sent_before_it_was_held_is_looked_for(desk: Desk) -> None:
    """A worker died over it, the connection was paused; a copy of the message comes when it goes on."""
    desk.system = System(keyed=False, activities=[("r1", EVENT.id)])
    deliveries.claim(desk.table, desk.duty(), attempt(1, 0), None)
    desk.connect(status="paused")
    assert desk.go(tried=True) == "held"
    desk.connect(status="active")
    assert desk.go() == "delivered"
    assert (desk.system.looked, len(desk.system.activities)) == (1, 1)


def row_of(made: World) -> Item:
    row = deliveries.get(made.table, made.duty.key)
    assert row
    return row


def test_a_rule_that_is_off_sends_nothing_and_when_it_is_on_again_what_was_put_off(made: World) -> None:
    made.system.says = [Delayed("HTTP 503")]
    assert made.go() == "delayed"
    made.rule = msgspec.structs.replace(TELL, on=False)
    assert made.again() == "dropped" and made.system.sent == []
    assert row_of(made)["gpk"].startswith("DUE#"), "the sweep asks for it"
    made.rule = TELL
    assert made.again() == "delivered"


def test_a_system_that_sends_nothing_any_more_is_not_tried(made: World) -> None:
    with replaced((destinations, "load", lambda slug: sender())):
        assert made.go() == "dropped"
    assert made.state == ""


@pytest.mark.parametrize("wait", [-1, 0, 1, 60_000])
def test_what_is_for_later_waits_for_its_moment(made: World, wait: int) -> None:
    made.rule = Rule(id="rul_2", kind=CHECK_DUE, connection="con_line", text={"nl": "Wij bellen u zo"})
    details = {"due_at": instants.from_ms(NOW + wait)}
    promise = msgspec.structs.replace(ANSWER, type="note", object="n-1", identities=(LINE,), details=details)
    made.answer = stamp(promise, "con_desk", "desk")
    record.record(made.table, made.answer, "receipt", Organisation())
    assert made.go() == ("delivered" if wait <= 0 else "dropped")
    assert len(made.system.sent) == (wait <= 0)
    if wait > 0:
        assert left(row_of(made)) == wait


@pytest.mark.parametrize(("known", "waits"), [(0, 10_000), (40_000, 10_000), (400_000, 100_000), (600_000, 0)])
def test_whom_nothing_reaches_is_tried_for_ten_minutes_ever_less_often(made: World, known: int, waits: int) -> None:
    made.preferred = ""
    if known:
        deliveries.delayed(made.table, made.duty, attempt(2, -known), 0)
    assert made.go() == "dropped" and made.system.sent == []
    row = row_of(made)
    assert row["why"] == "he has no address on line"
    assert left(row) == waits if waits else row["st"] == "skipped"


def test_what_another_worker_sends_is_left_to_him(made: World) -> None:
    table = Watched(made.table, lambda: deliveries.claim(made.table, made.duty, attempt(1, 0), None))
    with pytest.raises(Busy):
        made.go(table)
    assert made.system.sent == [] and made.state == "claimed"


def test_a_message_that_gets_no_id_is_sent(made: World) -> None:
    made.system.send = lambda http, message: ""  # type: ignore[method-assign]
    assert made.go() == "delivered"
    assert (made.state, row_of(made)["ref"]) == ("delivered", "sent")


def test_a_message_that_nobody_can_look_for_is_parked_when_its_outcome_is_unknown(made: World) -> None:
    made.system.lost = [Unknown("no answer")]
    assert (made.go(), made.state) == ("unknown", "parked")
    assert row_of(made)["why"] == "it may have been sent: look there, and redrive it only if it was not: no answer"


@pytest.mark.parametrize(("age", "state"), [(7_199_999, "delivered"), (7_200_000, "parked")])
def test_what_may_have_been_sent_is_sent_again_while_the_provider_knows_our_key(
    made: World, age: int, state: str
) -> None:
    deliveries.claim(made.table, made.duty, attempt(1, -age), None)
    keyed = sender(send_message=made.system.send, message_keyed=True, key_hours=2)
    with replaced((destinations, "load", lambda slug: keyed)):
        made.go()
    assert (made.state, len(made.system.sent)) == (state, state == "delivered")


@pytest.mark.parametrize(("age", "waits"), [(59_500, 0.5), (60_000, 0.0)])
def test_it_is_looked_for_when_the_provider_shows_what_was_sent(made: World, age: int, waits: float) -> None:
    deliveries.claim(made.table, made.duty, attempt(1, -age), None)
    late = sender(send_message=made.system.send, find_message=made.system.find, found_after=60)
    with replaced((destinations, "load", lambda slug: late), (random, "random", lambda: 0.0)):
        assert made.go() == ("delayed" if waits else "delivered")
    assert (made.system.looked, len(made.system.sent)) == ((0, 0) if waits else (1, 1))
    if waits:
        assert left(row_of(made)) == 1_000 and "only after a while" in row_of(made)["why"]


def test_what_was_never_tried_is_not_looked_for(made: World) -> None:
    made.system.finds = True
    made.connect("paused")
    assert made.go() == "held"
    made.connect("active")
    assert made.go() == "delivered"
    assert (made.system.looked, len(made.system.sent)) == (0, 1)


@pytest.mark.parametrize("finds", [True, False], ids=["it can be looked for", "it cannot"])
@pytest.mark.parametrize("hindered", ["down", "crowded", "paused", "without a token"])
def test_what_a_dead_worker_may_have_sent_is_not_sent_again_whatever_hinders_the_next(
    made: World, hindered: str, finds: bool
) -> None:
    """His claim must not get lost while it is put off or held."""
    made.system.finds = finds
    calls = 0
    while not made.system.sent:
        calls += 1
        with pytest.raises(Killed):
            made.go(FaultTable(made.table, calls))
    assert made.state == "claimed"

    def no_token(*way: Any, **options: Any) -> None:
        raise Delayed("another worker is asking for a token", retry_after=2)

    if hindered == "down":
        outcome = made.go(tried=True, down=5.0)
    elif hindered == "crowded":
        outcome = made.go(tried=True, crowded=True)
    elif hindered == "paused":
        made.connect("paused")
        outcome = made.go(tried=True)
        made.connect("active")
    else:
        with replaced((outward, "through", no_token)):
            outcome = made.go(tried=True)
    assert outcome == (("held" if hindered == "paused" else "delayed") if finds else "dropped")
    made.again()
    assert (made.state, len(made.system.sent)) == ("delivered" if finds else "parked", 1)
    assert finds or row_of(made)["why"] == "it may have been sent: look there, and redrive it only if it was not"
