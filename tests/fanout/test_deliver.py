"""One duty, one attempt, one outcome: with a destination that does as it is told."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from chalicelib import destinations, errors
from chalicelib.context import generations, people, record
from chalicelib.context.graph import Rules
from chalicelib.fanout import deliver as delivering
from chalicelib.fanout import prints
from chalicelib.fanout.deliver import CROSSED_WITHIN_MS, Office, deliver
from chalicelib.kit.destination import Destination
from chalicelib.model import instants
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.customer import Customer, Entry, Person
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import connections, contacts, deliveries, queues, rates, secrets
from chalicelib.store.deliveries import ACTIVITY, CONTACT, Duty
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Delete, Item, Put, Update
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

CRM = "con_crm"
PHONE = Identity("phone", "+31612345678", "", 2)
EVENT = stamp(
    Event(
        type="call",
        channel="voice",
        object="CA1",
        occurred_at="2026-09-02T08:30:00.000Z",
        identities=(PHONE,),
        refs=(Ref("thread", "CA1", "con_voice"),),
        text="private words",
        fields={"name": "Jan"},
    ),
    "con_voice",
    "voice",
)


@dataclass
class System:
    """A destination in memory. `says`: what the next calls raise; `lost`: they work, then raise."""

    keyed: bool = True
    people: dict[str, Customer] = field(default_factory=dict)
    activities: list[tuple[str, str]] = field(default_factory=list)
    seen: list[Entry] = field(default_factory=list)
    says: list[Exception | None] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)
    looked: int = 0
    meanwhile: Callable[[], None] | None = None
    comes_back: tuple[str, ...] = ()
    asked: int = -1
    """How often it was asked what it shows; below 0: it cannot be."""

    def upsert(self, http: Any, customer: Customer, remote: str) -> str:
        self._answer(http)
        if self.meanwhile:
            self.meanwhile()
        known = (key for key, each in self.people.items() if each.id == customer.id)
        key = remote or next(known, f"r{len(self.people) + 1}")
        self.people[key] = customer
        return key

    def append(self, http: Any, remote: str, entry: Entry) -> str:
        self._answer(http)
        self.seen.append(entry)
        made = (remote, entry.event.id)
        if not (self.keyed and made in self.activities):
            self.activities.append(made)
        if self.lost:
            raise self.lost.pop(0)
        return f"a{len(self.activities)}"

    def shows(self, http: Any, customer: Customer, remote: str) -> bool:
        self.asked += 1
        return remote in self.people and self.people[remote].fields == customer.fields

    def find(self, http: Any, remote: str, entry: Entry) -> str:
        self.looked += 1
        return "found" if (remote, entry.event.id) in self.activities else ""

    def _answer(self, http: Any) -> None:
        http.pace()
        said = self.says.pop(0) if self.says else None
        if said:
            raise said

    @property
    def declared(self) -> Destination:
        return Destination(
            name="Test",
            base_url="http://127.0.0.1",
            auth=lambda secrets, settings: {},
            append_activity=self.append,
            upsert_contact=self.upsert,
            find_activity=self.find,
            shows_contact=self.shows if self.asked >= 0 else None,
            keyed=self.keyed,
            contact_fields=("name",),
            comes_back=self.comes_back,
        )


@dataclass
class Desk:
    """A table with one customer, one destination, and the messages that were sent."""

    table: MemoryTable
    system: System
    sent: list[tuple[Duty, int]]

    def office(self, table: Any = None) -> Office:
        used = table or self.table

        def person_of(
            node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False
        ) -> Person | None:
            return people.of_node(used, Rules(), node, seen, sorts, brief=brief)

        return Office(used, person_of, connections.reader(used))

    def duty(self, kind: str = ACTIVITY) -> Duty:
        node = generations.newest(self.table, PHONE)[0]
        if kind == ACTIVITY:
            return Duty(CRM, ACTIVITY, node, f"E#{EVENT.occurred_at}#{EVENT.id}")
        person = people.of_node(self.table, Rules(), node)
        assert person
        return Duty(CRM, CONTACT, person.oldest, person.id)

    def go(self, kind: str = ACTIVITY, **options: Any) -> str:
        return deliver(self.office(), self.duty(kind), **{"tried": False, **options})

    def row(self, kind: str = ACTIVITY) -> Item:
        found = self.table.get(self.duty(kind).key)
        assert found
        return found

    def connection(self) -> Connection:
        found = connections.get(self.table, CRM)
        assert found
        return found

    def connect(self, **changes: Any) -> None:
        current = connections.get(self.table, CRM) or Connection(id=CRM, provider="test", ver=0)
        connections.save(self.table, msgspec.structs.replace(current, ver=current.ver + 1, **changes))


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    sent: list[tuple[Duty, int]] = []

    def send(name: str, body: str, *, group: str = "", delay: int = 0) -> None:
        if name == queues.DELIVERIES:
            sent.append((msgspec.json.decode(body, type=Duty), delay))

    rates.forget()
    made = Desk(MemoryTable(), System(), sent)
    patches = (
        (secrets, "pepper", lambda: b"pepper"),
        (queues, "send", send),
        (destinations, "slugs", lambda: ("test",)),
        (destinations, "load", lambda slug: made.system.declared),
    )
    with replaced(*patches):
        record.record(made.table, EVENT, "receipt", Organisation())
        made.connect()
        yield made


def test_delivered_once_and_marked(desk: Desk) -> None:
    assert desk.go() == "delivered"
    assert desk.row()["st"] == "delivered" and desk.row()["ref"] == "a1" and desk.row()["to"] == "r1"
    assert desk.go() == "dropped"
    assert desk.system.activities == [("r1", EVENT.id)]
    assert list(desk.system.people) == ["r1"]


def test_a_customer_whom_a_system_cannot_keep_yet_is_offered_again(desk: Desk) -> None:
    """Such as one without the address that is the only key there."""
    keep = desk.system.upsert
    desk.system.upsert = lambda http, customer, remote: ""  # type: ignore[method-assign]
    for _ in range(2):
        assert desk.go(CONTACT) == "dropped"
    desk.system.upsert = keep  # type: ignore[method-assign]
    assert desk.go(CONTACT) == "delivered"
    assert list(desk.system.people) == ["r1"]


def test_killed_at_every_call_and_taken_again(desk: Desk) -> None:
    for keyed, after in itertools.product((True, False), (False, True)):
        for number in range(1, 30):
            desk.system = System(keyed=keyed)
            table = MemoryTable()
            table.rows = dict(desk.table.rows)
            if not _killed_then_again(desk, table, number, after):
                assert number > 5
                break
            assert desk.system.activities == [("r1", EVENT.id)], (keyed, number, after)
            row = table.get(desk.duty().key)
            assert row and row["st"] == "delivered"


def _killed_then_again(desk: Desk, table: MemoryTable, number: int, after: bool) -> bool:
    """The second worker comes after the lease of the first has run out."""
    with replaced((contacts, "LEASE_MS", -1)):
        try:
            deliver(desk.office(FaultTable(table, number, after)), desk.duty(), tried=False)
        except Killed:
            deliver(desk.office(table), desk.duty(), tried=True)
            return True
    return False


@pytest.mark.parametrize(
    ("said", "outcome", "status"),
    [
        (errors.Delayed("HTTP 500"), "delayed", "delayed"),
        (errors.Unknown("timeout"), "unknown", "delayed"),
        (errors.Rejected("HTTP 400"), "rejected", "parked"),
        (errors.Unauthorized("HTTP 401"), "unauthorized", "held"),
        (errors.Gone("HTTP 410"), "gone", "held"),
    ],
)
def test_each_failure_has_its_fate(desk: Desk, said: Exception, outcome: str, status: str) -> None:
    desk.go()
    desk.table.rows.pop(desk.duty().key)
    desk.system.says = [said]
    assert desk.go() == outcome
    row = desk.row()
    assert row["st"] == status and row["why"] == str(said) and row["n"] == 1
    assert (desk.connection().status == "active") == (status != "held")


def test_unauthorized_pauses_and_gone_disables_the_connection(desk: Desk) -> None:
    for said, status in ((errors.Unauthorized("HTTP 401"), "unauthorized"), (errors.Gone("HTTP 410"), "disabled")):
        desk.connect(status="active", reason="")
        desk.table.rows.pop(desk.duty().key, None)
        desk.system.says = [None, said] if not desk.system.people else [said]
        desk.go()
        assert desk.connection().status == status
        assert desk.connection().reason
        held = desk.table.query(f"HELD#{CRM}", index=True).items
        assert len(held) == 1
        assert desk.go() == "held"


def test_a_retry_is_a_message_and_a_row(desk: Desk) -> None:
    desk.system.says = [None, errors.Delayed("HTTP 503", retry_after=30.0)]
    assert desk.go() == "delayed"
    ((duty, delay),) = desk.sent
    assert duty == desk.duty() and delay >= 30
    due = instants.to_ms(desk.row()["due"])
    assert due >= instants.now_ms() + 29_000
    assert desk.row()["gpk"].startswith("DUE#") and desk.row()["gsk"] > desk.row()["due"]
    assert desk.go() == "dropped", "a stray copy before its time"


def test_a_far_retry_is_left_to_the_sweep(desk: Desk) -> None:
    desk.system.says = [None, errors.Delayed("HTTP 429", retry_after=7200.0)]
    desk.go()
    assert desk.sent == []
    shard = int(desk.row()["gpk"][-1])
    assert deliveries.take_due(desk.table, shard, instants.now()) == 0
    later = instants.from_ms(instants.now_ms() + 2 * 86_400_000)
    with replaced((deliveries, "send", lambda duties, delay=0: desk.sent.extend((each, 0) for each in duties))):
        assert deliveries.take_due(desk.table, shard, later) == 1
        assert deliveries.take_due(desk.table, shard, instants.now()) == 0
    assert desk.sent == [(desk.duty(), 0)]


@pytest.mark.parametrize("after", [False, True])
def test_a_sweep_that_dies_leaves_what_was_due_to_the_next_one(desk: Desk, after: bool) -> None:
    """Wherever it dies: sent already, or still due a minute later, and not put off by minutes without having been sent."""
    desk.system.says = [None, errors.Delayed("HTTP 429", retry_after=7200.0)]
    desk.go()
    row, later = desk.row(), instants.from_ms(instants.now_ms() + 2 * 86_400_000)
    with replaced((deliveries, "send", lambda duties, delay=0: desk.sent.extend((each, 0) for each in duties))):
        for number in itertools.count(1):
            desk.sent.clear()
            desk.table.write(Put(row))
            try:
                deliveries.take_due(FaultTable(desk.table, number, after), int(row["gpk"][-1]), later)
            except Killed:
                assert desk.sent or desk.row()["gsk"] <= later, f"at call {number}"
            else:
                break
    assert number > 3 and desk.sent == [(desk.duty(), 0)]


def test_what_was_settled_since_the_index_was_read_is_not_sent(desk: Desk) -> None:
    desk.system.says = [None, errors.Delayed("HTTP 429", retry_after=7200.0)]
    desk.go()
    shard, later = int(desk.row()["gpk"][-1]), instants.from_ms(instants.now_ms() + 2 * 86_400_000)
    found = desk.table.query(f"DUE#{shard}", before=later, limit=200, index=True)
    desk.table.write(Update(desk.duty().key, {"st": "delivered"}))
    with replaced(
        (deliveries, "send", lambda duties, delay=0: desk.sent.extend((each, 0) for each in duties)),
        (desk.table, "query", lambda *_, **__: found),
    ):
        assert deliveries.take_due(desk.table, shard, later) == 0
    assert desk.sent == [] and found.items


def test_after_three_days_it_parks(desk: Desk) -> None:
    desk.system.says = [None, errors.Delayed("HTTP 500"), errors.Delayed("HTTP 500")]
    desk.go()
    row = desk.row()
    long_ago = instants.from_ms(instants.now_ms() - 4 * 86_400_000)
    desk.table.batch_put([{**row, "at": long_ago, "due": long_ago}])
    desk.go()
    assert desk.row()["st"] == "parked" and "three days" in desk.row()["why"]


def test_a_paused_connection_holds(desk: Desk) -> None:
    desk.connect(status="paused", reason="paused by hand")
    for _ in range(3):
        assert desk.go() == "held"
    assert desk.system.activities == []
    assert desk.row()["n"] == 0, "nothing was attempted"
    desk.connect(status="active", reason="")
    assert desk.go() == "delivered"
    assert "gpk" not in desk.row() and desk.row()["n"] == 1


def test_what_a_dead_worker_may_have_sent_counts_while_it_is_held(desk: Desk) -> None:
    desk.connect(status="paused", reason="paused by hand")
    assert desk.go(tried=True) == "held"
    assert desk.row()["n"] == 1, "whoever comes next looks whether it is there"


def move(desk: Desk) -> tuple[Duty, Duty]:
    """The event comes to lie at somebody else; the duty there, before and now."""
    old = desk.duty()
    other = Identity("phone", "+31687654321", "", 2)
    record.record(
        desk.table,
        stamp(msgspec.structs.replace(EVENT, object="CA9", identities=(other,)), "con_voice", "voice"),
        "r",
        Organisation(),
    )
    node = generations.newest(desk.table, other)[0]
    item = desk.table.get((f"N#{old.node}", old.sort))
    assert item
    desk.table.batch_put([item | {"pk": f"N#{node}"}])
    desk.table.write(Delete((f"N#{old.node}", old.sort)))
    return old, msgspec.structs.replace(old, node=node)


def due(desk: Desk, duty: Duty, seconds: int) -> None:
    row = desk.table.get(duty.key)
    assert row
    desk.table.batch_put([row | {"due": instants.from_ms(instants.now_ms() + seconds * 1000)}])


def test_put_off_and_moved_meanwhile_it_goes_where_its_event_is_now(desk: Desk) -> None:
    desk.system = System(says=[errors.Delayed("503")])
    assert desk.go() == "delayed"
    old, new = move(desk)
    due(desk, old, 60)
    assert deliver(desk.office(), new, tried=False) == "dropped", "it is not due yet"
    due(desk, old, 0)
    assert deliver(desk.office(), old, tried=False) == "delivered", "the message still names the former place"
    assert [each.event.id for each in desk.system.seen] == [EVENT.id]
    row = desk.table.get(old.key)
    assert row and row["nd"] == new.node


def test_of_one_that_moved_the_node_is_read_with_the_event(desk: Desk) -> None:
    desk.system = System(says=[errors.Delayed("503")])
    assert desk.go() == "delayed"
    old, new = move(desk)
    row = desk.table.get(old.key)
    assert row
    desk.table.batch_put([row | {"nd": new.node}])
    duty, found = delivering._found(desk.office(), old)
    assert duty == new and found.keys() >= {(f"N#{new.node}", "-"), new.event_keys[0]}


def test_parked_and_moved_meanwhile_a_redrive_finds_it(desk: Desk) -> None:
    desk.system = System(says=[errors.Rejected("422")])
    assert desk.go() == "rejected"
    old, new = move(desk)
    assert deliver(desk.office(), new, tried=False) == "dropped", "parked is for people"
    row = desk.table.get(old.key)
    assert row and deliveries.duty_of(row) == new
    with replaced((deliveries, "send", lambda duties, delay=0: desk.sent.extend((each, 0) for each in duties))):
        deliveries.reopen(desk.table, row)
    assert deliver(desk.office(), desk.sent[-1][0], tried=False) == "delivered"


def test_an_older_message_does_not_take_it_back(desk: Desk) -> None:
    desk.system = System(says=[errors.Delayed("503")])
    assert desk.go() == "delayed"
    old, new = move(desk)
    due(desk, old, 60)
    deliver(desk.office(), new, tried=False)
    deliver(desk.office(), old, tried=False)
    row = desk.table.get(old.key)
    assert row and row["nd"] == new.node


def test_an_unreachable_destination_puts_the_rest_off_untried(desk: Desk) -> None:
    assert desk.go(down=8.0) == "delayed"
    assert desk.row()["n"] == 0 and desk.system.seen == []
    assert "not tried" in desk.row()["why"]


def test_what_is_put_off_untried_comes_back_ever_later_and_is_no_attempt(desk: Desk) -> None:
    duty = desk.duty()
    waits = []
    for _ in range(8):
        with replaced((random, "random", lambda: 0.999)):
            desk.go(down=1.0)
        row = desk.row()
        waits.append(instants.to_ms(row["due"]) - instants.to_ms(row["at"]))
        due(desk, duty, 0)
    assert waits == sorted(waits) and waits[-1] > 20 * waits[0], "a thousand that wait must not knock all the time"
    assert desk.row()["n"] == 0
    assert desk.go() == "delivered"
    assert desk.row()["n"] == 1 and "off" not in desk.row()


def test_a_redrive_begins_anew(desk: Desk) -> None:
    for _ in range(5):
        desk.go(down=1.0)
        due(desk, desk.duty(), 0)
    with replaced((deliveries, "send", lambda duties, delay=0: None)):
        deliveries.reopen(desk.table, desk.row())
    assert "off" not in desk.row()


def test_put_off_by_our_own_pace_it_was_no_attempt_and_comes_back_in_its_turn(desk: Desk) -> None:
    desk.system = System(keyed=False)
    desk.connect(settings={"rate_limit": 3})
    now = instants.now_ms()
    with replaced((instants, "now_ms", lambda: now)):
        turns = [wait for _ in range(6) if (wait := rates.take(desk.table, CRM, 3, 1.0))]
        assert len(turns) == 3 and turns == sorted(turns)
        assert desk.go() == "delayed"
        row = desk.row()
        assert (row["n"], row["st"], desk.system.people, desk.sent[-1][1]) == (0, "delayed", {}, 2)
    desk.table.batch_put([{**row, "due": instants.from_ms(now)}])
    with replaced((instants, "now_ms", lambda: now + 2_000)):
        assert desk.go() == "delivered"
    assert desk.row()["n"] == 1 and desk.system.looked == 0, "nothing had been sent: nothing to look for"


def test_paced_half_way_it_is_looked_for(desk: Desk) -> None:
    desk.system = System(keyed=False)
    desk.connect(settings={"rate_limit": 1})
    assert desk.go() == "delayed"
    row = desk.row()
    assert row["n"] == 1 and desk.system.people and not desk.system.activities
    rates.forget()
    desk.table.rows.pop((f"C#{CRM}", "RATE"))
    desk.table.batch_put([{**row, "due": instants.now()}])
    assert desk.go() == "delivered"
    assert desk.system.looked == 1 and len(desk.system.activities) == 1


def test_a_claim_by_another_worker_is_not_forgotten_by_a_paced_copy(desk: Desk) -> None:
    """A copy of the message, put off before it sent anything, while the first one sends."""
    desk.system = System(keyed=False)
    desk.connect(settings={"rate_limit": 1})
    assert rates.take(desk.table, CRM, 1, 1.0) == 0
    duty, table = desk.duty(), desk.table
    now = instants.now()

    class Meanwhile(FaultTable):
        def batch_get(self, keys: Any) -> Any:
            found = super().batch_get(keys)
            if deliveries.claim(table, duty, deliveries.Attempt(1, now, now), None):
                desk.system.activities.append(("r1", EVENT.id))
            return found

    assert deliver(desk.office(Meanwhile(table, 0, False)), duty, tried=False) == "delayed"
    row = desk.row()
    assert row["n"] == 1
    rates.forget()
    desk.table.rows.pop((f"C#{CRM}", "RATE"))
    desk.table.batch_put([{**row, "due": instants.now()}])
    desk.go()
    assert desk.system.activities == [("r1", EVENT.id)]


def test_without_our_key_it_is_claimed_and_looked_for(desk: Desk) -> None:
    desk.system = System(keyed=False, lost=[errors.Unknown("reset")])
    assert desk.go() == "unknown"
    assert desk.system.activities == [("r1", EVENT.id)]
    row = desk.row()
    desk.table.batch_put([{**row, "due": instants.now()}])
    assert desk.go() == "delivered"
    assert desk.system.activities == [("r1", EVENT.id)] and desk.system.looked == 1
    assert desk.row()["ref"] == "found"


def test_a_contact_is_pushed_when_it_changed_and_only_then(desk: Desk) -> None:
    assert desk.go(CONTACT) == "delivered"
    pushes = len(desk.system.people)
    before = dict(desk.table.rows)
    assert desk.go(CONTACT) == "delivered"
    assert len(desk.system.people) == pushes and desk.table.rows == before, "nothing written"
    changed = msgspec.structs.replace(
        EVENT, object="CA2", fields={"name": "Jan de Vries"}, occurred_at="2026-09-03T08:30:00.000Z"
    )
    record.record(desk.table, stamp(changed, "con_voice", "voice"), "receipt", Organisation())
    desk.go(CONTACT)
    assert desk.system.people["r1"].fields["name"].value == "Jan de Vries"
    assert list(desk.system.people) == ["r1"]
    told = desk.system.people["r1"]
    other = msgspec.structs.replace(changed, object="CA3", fields={"language": "nl"})
    record.record(desk.table, stamp(other, "con_voice", "voice"), "receipt", Organisation())
    desk.go(CONTACT)
    assert desk.system.people["r1"] is told, "a field that this system does not keep is no push"


def test_the_channel_that_he_uses_most_goes_along_and_is_computed_once_a_day(desk: Desk) -> None:
    computed, channel = [0], ["whatsapp"]

    def preferred(person: Person) -> str:
        computed[0] += 1
        return person.customer.preferred_channel or channel[0]

    def push() -> str:
        return deliver(replace(desk.office(), preferred=preferred), desk.duty(CONTACT), tried=False)

    assert push() == "delivered" and desk.system.people["r1"].preferred_channel == "whatsapp"
    channel[0] = "email"
    assert push() == "delivered" and computed == [1], "not computed again for each event"
    now = instants.now_ms()
    with replaced((instants, "now_ms", lambda: now + 25 * 3_600_000)):
        assert push() == "delivered" and desk.system.people["r1"].preferred_channel == "email"
        before = computed[0]
        assert push() == "delivered" and computed == [before]
    with replaced((instants, "now_ms", lambda: now + 50 * 3_600_000)):
        told = desk.system.people["r1"]
        assert [push(), push()] == ["delivered"] * 2 and computed == [before + 1] and desk.system.people["r1"] is told
    said = msgspec.structs.replace(
        EVENT, object="CA7", fields={"preferred_channel": "sms"}, occurred_at="2026-09-09T08:30:00.000Z"
    )
    record.record(desk.table, stamp(said, "con_voice", "voice"), "receipt", Organisation())
    assert push() == "delivered" and desk.system.people["r1"].preferred_channel == "sms", "what he says counts at once"


def test_a_mapping_that_shows_the_channel_is_no_push_every_time(desk: Desk) -> None:
    desk.connect(mapping={"contact": {"way": "preferred_channel"}})
    pushes = []

    def push() -> str:
        office = replace(desk.office(), preferred=lambda person: "whatsapp")
        outcome = deliver(office, desk.duty(CONTACT), tried=False)
        pushes.append(desk.system.people["r1"])
        return outcome

    assert [push() for _ in range(3)] == ["delivered"] * 3
    assert pushes[0].mapped == {"way": "whatsapp"} and pushes[2] is pushes[0]


def test_a_leased_contact_is_busy(desk: Desk) -> None:
    node = desk.duty(CONTACT).node
    assert contacts.lease(desk.table, contacts.Contact(CRM, node))
    with pytest.raises(errors.Busy):
        desk.go()


def test_told_of_a_change_while_it_pushes_it_pushes_again_at_once(desk: Desk) -> None:
    desk.go(CONTACT)
    named(desk, "Jan de Vries", "con_voice", "2026-09-03T08:30:00.000Z")

    def told() -> None:
        contacts.correct(desk.table, CRM, [desk.duty(CONTACT).node], lambda pushed: "")

    desk.system.meanwhile = told
    with pytest.raises(errors.Busy):
        desk.go(CONTACT)
    desk.system.meanwhile, desk.system.people["r1"] = None, Customer(id="what somebody typed")
    assert desk.go(CONTACT) == "delivered", "nobody waits for the lease of who is done"
    assert desk.system.people["r1"].fields["name"].value == "Jan de Vries"


def test_nothing_is_pushed_that_is_not_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.system.comes_back = ("mark",)
    desk.go(CONTACT)
    named(desk, "Jan de Vries", "con_voice", "2026-09-03T08:30:00.000Z")
    first = desk.system.people["r1"]
    pushing = contacts.pushing

    def overtaken(table: Any, leased: contacts.Contact, wanted: str) -> contacts.Contact:
        contacts.correct(desk.table, CRM, [leased.node], lambda pushed: "")
        return pushing(table, leased, wanted)

    with monkeypatch.context() as meanwhile, pytest.raises(errors.Busy):
        meanwhile.setattr(contacts, "pushing", overtaken)
        desk.go(CONTACT)
    assert desk.system.people["r1"] is first
    assert desk.go(CONTACT) == "delivered"
    assert desk.system.people["r1"].fields["name"].value == "Jan de Vries"
    (held,) = desk.table.batch_get([contacts.key(CRM, desk.duty(CONTACT).node)]).values()
    assert len(held["past"]) == 1


def test_what_is_remembered_outlives_a_correction_that_read_before(desk: Desk) -> None:
    leased = contacts.lease(desk.table, contacts.Contact(CRM, "n1"))
    assert leased
    with_past = []

    def meanwhile(pushed: str) -> str:
        if not with_past:
            with_past.append(contacts.pushing(desk.table, leased, "who name=x"))
        return "something else"

    contacts.correct(desk.table, CRM, ["n1"], meanwhile)
    held = desk.table.get(contacts.key(CRM, "n1"))
    assert held and len(held["past"]) == 1


def test_two_customers_that_become_one_keep_the_elder_contact(desk: Desk) -> None:
    desk.go(CONTACT)
    other = Identity("email", "jan@example.nl", "", 2)
    for number, identities in enumerate([(other,), (Identity("shop", "900", "tc", 2), other, PHONE)]):
        event = msgspec.structs.replace(
            EVENT, object=f"x{number}", identities=identities, occurred_at=f"2026-09-0{4 + number}T08:30:00.000Z"
        )
        record.record(desk.table, stamp(event, "con_voice", "voice"), "receipt", Organisation())
    assert desk.go(CONTACT) == "delivered"
    assert list(desk.system.people) == ["r1"]
    assert "email:jan@example.nl" in [each.text for each in desk.system.people["r1"].identities]


MAIL = Identity("email", "jan@example.nl", "", 2)


def met(desk: Desk, *identities: Identity, at: str) -> None:
    """An event of somebody with these identities."""
    event = msgspec.structs.replace(EVENT, object=f"at {at}", identities=identities, occurred_at=at, fields={})
    record.record(desk.table, stamp(event, "con_voice", "voice"), "receipt", Organisation())


def contact_of(desk: Desk, identity: Identity) -> Duty:
    person = people.of_node(desk.table, Rules(), generations.newest(desk.table, identity)[0])
    assert person
    return Duty(CRM, CONTACT, person.oldest, person.id)


def record_of(desk: Desk, identity: Identity) -> str:
    """His record there, pushed where it is not yet known."""
    duty = contact_of(desk, identity)
    assert deliver(desk.office(), duty, tried=False) == "delivered"
    return str((desk.table.get(contacts.key(CRM, duty.node)) or {})["remote"])


@pytest.mark.parametrize("known", [True, False], ids=["with a record", "without"])
def test_whoever_becomes_another_while_he_is_leased_has_only_his_own_record_changed(desk: Desk, known: bool) -> None:
    """Between the look at whose contact it is and the lease the two become one; the younger's record is nobody's."""
    elder = record_of(desk, PHONE)
    met(desk, MAIL, at="2026-09-04T08:30:00.000Z")
    duty = contact_of(desk, MAIL)
    records = {elder, record_of(desk, MAIL)} if known else {elder}
    contacts.correct(desk.table, CRM, [duty.node] if known else [], lambda pushed: "")
    usual, united = contacts.lease, list[str]()

    def lease(table: Any, contact: contacts.Contact) -> contacts.Contact | None:
        if not united:
            united.append(contact.node)
            met(desk, PHONE, MAIL, at="2026-09-06T08:30:00.000Z")
        return usual(table, contact)

    before = dict(desk.system.people)
    with replaced((contacts, "lease", lease)), pytest.raises(errors.Busy):
        deliver(desk.office(), duty, tried=False)
    assert desk.system.people == before
    assert deliver(desk.office(), duty, tried=False) == "delivered"
    assert set(desk.system.people) == records
    assert "email:jan@example.nl" in [each.text for each in desk.system.people[elder].identities]


def test_a_merge_over_there_counts_whoever_else_writes(desk: Desk) -> None:
    """Adopting a merged record is not lost to a lease that is taken or given back at that moment."""
    record_of(desk, PHONE)
    node = desk.duty(CONTACT).node
    key, writes = contacts.key(CRM, node), list[bool]()

    class Raced(MemoryTable):
        def write(self, action: Any) -> bool:
            if isinstance(action, Update) and action.key == key and len(writes) < 3:
                held = self.get(key)
                assert held
                writes.append(super().write(Put(held | {"ver": held["ver"] + 1})))
            return super().write(action)

    raced = Raced()
    raced.rows = desk.table.rows
    contacts.adopt(raced, CRM, [node], "r77", ["r1"])
    held = desk.table.get(key)
    assert held and (held["remote"], held["was"]) == ("r77", ["r1"]) and len(writes) == 3


def test_a_change_that_came_along_with_an_activity_told_before_is_pushed(desk: Desk) -> None:
    """A batch of the stream that is read again after a crash may hold newer records than the first time: what they
    change rides with the activity, which was told already."""
    assert desk.go() == "delivered"
    named(desk, "Jan de Vries", "con_voice", "2026-09-03T08:30:00.000Z")
    assert desk.go() == "dropped"
    assert desk.system.people["r1"].fields["name"].value == "Jan de Vries"
    assert len(desk.system.activities) == 1


def test_a_change_that_came_along_with_a_parked_activity_is_pushed(desk: Desk) -> None:
    desk.system.says = [None, errors.Rejected("HTTP 400")]
    assert desk.go() == "rejected"
    named(desk, "Jan de Vries", "con_voice", "2026-09-03T08:30:00.000Z")
    assert desk.go() == "dropped"
    assert desk.system.people["r1"].fields["name"].value == "Jan de Vries"


def test_a_change_that_came_along_is_kept_where_it_cannot_be_pushed_now(desk: Desk) -> None:
    assert desk.go() == "delivered"
    named(desk, "Jan de Vries", "con_voice", "2026-09-03T08:30:00.000Z")
    desk.system.says = [errors.Delayed("HTTP 500")]
    assert desk.go() == "delayed"
    assert desk.row(CONTACT)["st"] == "delayed"


@pytest.mark.parametrize("known", [True, False], ids=["it is known where", "it is not"])
def test_a_change_that_came_along_with_an_event_that_lies_elsewhere_now_is_pushed(desk: Desk, known: bool) -> None:
    """The event went to another customer meanwhile; whoever it was told for changed all the same."""
    elder = record_of(desk, PHONE)
    if known:
        desk.system.says = [errors.Delayed("503")]
        assert desk.go() == "delayed"
    old, new = move(desk)
    if known:
        due(desk, old, 60)
        assert deliver(desk.office(), new, tried=False) == "dropped"
        due(desk, old, 0)
    named(desk, "Jan de Vries", "con_voice", "2026-09-03T08:30:00.000Z")
    assert deliver(desk.office(), old, tried=False) == ("delivered" if known else "dropped")
    assert desk.system.people[elder].fields["name"].value == "Jan de Vries"
    assert bool(desk.system.activities) == known


def test_anonymous_customers_are_told_to_those_who_asked(desk: Desk) -> None:
    web = msgspec.structs.replace(EVENT, identities=(Identity("web", "a-71", "tc", 2),), object="w1")
    event = stamp(web, "con_voice", "voice")
    record.record(desk.table, event, "receipt", Organisation())
    node = generations.newest(desk.table, Identity("web", "a-71", "tc", 2))[0]
    duty = Duty(CRM, ACTIVITY, node, f"E#{event.occurred_at}#{event.id}")
    assert deliver(desk.office(), duty, tried=False) == "dropped"
    desk.connect(subscription=Subscription(anonymous=True))
    assert deliver(desk.office(), duty, tried=False) == "delivered"


@pytest.mark.parametrize("wish", [Subscription(redact=True), Subscription(pseudonymous=True, redact=True)])
def test_what_a_destination_may_not_see(desk: Desk, wish: Subscription) -> None:
    desk.connect(subscription=wish)
    desk.go()
    shown = str(desk.system.seen)
    assert "private words" not in shown and "Jan" not in shown
    hidden = wish.pseudonymous
    assert ("+31612345678" not in shown) == hidden
    person = people.of_node(desk.table, Rules(), desk.duty().node)
    assert person and (person.customer.id not in shown) == hidden
    assert ("+31612345678" not in str(desk.system.people)) == hidden


def test_an_event_that_is_nobodys_any_more_is_not_told(desk: Desk) -> None:
    desk.table.rows.pop(desk.duty().event_keys[0])
    assert desk.go() == "dropped"
    assert desk.system.activities == []


def test_the_fate_of_a_contact_is_seen_too(desk: Desk) -> None:
    desk.system.says = [errors.Rejected("HTTP 400")]
    assert desk.go(CONTACT) == "rejected"
    assert desk.row(CONTACT)["st"] == "parked"
    assert desk.go(CONTACT) == "delivered", "its state may have changed: a parked one is tried again"
    assert desk.row(CONTACT)["st"] == "delivered"


@pytest.mark.parametrize(
    "failed",
    [errors.Rejected("HTTP 400"), errors.Delayed("HTTP 503"), errors.Unknown("timed out")],
    ids=["refused", "given up", "nobody knows"],
)
def test_what_an_activity_made_good_is_parked_no_longer(desk: Desk, failed: Exception) -> None:
    """Who asks whether all is in step is told so without a redrive: what could not be pushed went with an entry."""
    desk.go(CONTACT)
    named(desk, "Jan\0", "con_voice", "2026-09-03T08:30:00.000Z")
    desk.system.says = [failed]
    desk.go(CONTACT)
    row = desk.row(CONTACT)
    deliveries.parked(desk.table, desk.duty(CONTACT), deliveries.Attempt(9, row["at"], row["at"], reason="given up"))
    named(desk, "Jan de Vries", "con_voice", "2026-09-04T08:30:00.000Z")
    assert desk.go() == "delivered"
    assert desk.row(CONTACT)["st"] == "delivered" and "gpk" not in desk.row(CONTACT)
    assert desk.row(CONTACT)["to"] == "r1"
    held = desk.table.get(contacts.key(CRM, desk.duty(CONTACT).node))
    assert held and not contacts.from_item(held).failed


def test_what_was_taken_back_is_parked_no_longer(desk: Desk) -> None:
    """The value that was refused is gone, and the record shows what it is again: nothing is pushed."""
    desk.go(CONTACT)
    named(desk, "Jan\0", "con_voice", "2026-09-03T08:30:00.000Z")
    desk.system.says = [errors.Rejected("HTTP 400")]
    assert desk.go(CONTACT) == "rejected"
    named(desk, "Jan", "con_voice", "2026-09-04T08:30:00.000Z")
    pushed = desk.table.get(contacts.key(CRM, desk.duty(CONTACT).node))
    assert desk.go() == "delivered" and desk.row(CONTACT)["st"] == "delivered"
    held = desk.table.get(contacts.key(CRM, desk.duty(CONTACT).node))
    assert pushed and held and held["at"] == pushed["at"], "nothing was pushed"


def test_a_mapping_that_was_mended_leaves_nobody_parked(desk: Desk) -> None:
    desk.go(CONTACT)
    desk.connect(mapping={"contact": {"huge": " | ".join(["[@, @]"] * 30)}})
    assert desk.go(CONTACT) == "rejected"
    desk.connect(mapping=None)
    assert desk.go() == "delivered"
    assert desk.row(CONTACT)["st"] == "delivered"


def test_a_refusal_that_still_stands_stays_parked(desk: Desk) -> None:
    desk.go(CONTACT)
    named(desk, "Jan\0", "con_voice", "2026-09-03T08:30:00.000Z")
    desk.system.says = [errors.Rejected("HTTP 400"), errors.Rejected("HTTP 400")]
    assert desk.go(CONTACT) == "rejected" and desk.go() == "rejected"
    assert desk.row(CONTACT)["st"] == "parked" and desk.row()["st"] == "parked"


def test_views_name_what_they_are(desk: Desk) -> None:
    desk.go()
    shown: Mapping[str, Any] = deliveries.view(desk.row())
    assert shown["event"] == EVENT.id and shown["status"] == "delivered" and shown["attempts"] == 1
    assert deliveries.duty_of(desk.row()) == desk.duty()


def test_what_was_asked_stands_with_the_refusal(desk: Desk) -> None:
    refused = errors.Rejected("HTTP 422", "no such field")
    refused.request = 'POST /notes {"title":"…"}'
    desk.system.says = [refused]
    assert desk.go() == "rejected"
    view = deliveries.view(desk.row())
    assert (view["request_excerpt"], view["response_excerpt"]) == ('POST /notes {"title":"…"}', "no such field")


def named(desk: Desk, value: str, connection: str, at: str) -> None:
    """A connection says what the customer is called."""
    event = msgspec.structs.replace(EVENT, object=value, occurred_at=at, fields={"name": value})
    record.record(desk.table, stamp(event, connection, "x"), "receipt", Organisation())


def test_what_a_system_told_us_is_not_sent_back_to_it(desk: Desk) -> None:
    desk.go()
    assert [each.fields["name"].value for each in desk.system.people.values()] == ["Jan"]
    named(desk, "Johannes", CRM, "2026-09-03T08:30:00.000Z")
    desk.go(CONTACT)
    assert [each.fields["name"].value for each in desk.system.people.values()] == ["Jan"], "it knows: it said so"
    named(desk, "J. de Vries", "con_shop", "2026-09-04T08:30:00.000Z")
    desk.go(CONTACT)
    assert [each.fields["name"].value for each in desk.system.people.values()] == ["J. de Vries"]
    named(desk, "Johannes", CRM, "2026-09-03T09:30:00.000Z")
    desk.go(CONTACT)
    assert [each.fields["name"].value for each in desk.system.people.values()] == ["J. de Vries"], (
        "older: it does not win"
    )


@pytest.mark.parametrize(
    ("typed", "there", "name"),
    [(-1_000, False, "Johannes"), (-1_000, True, "Johannes"), (-90_000_000, False, "J. de Vries")],
    ids=["overwritten", "it was not", "long before"],
)
def test_what_was_typed_there_while_we_pushed_is_brought_back(desk: Desk, typed: int, there: bool, name: str) -> None:
    """Our push was under way when somebody typed another name there, and won: the webhook that tells of it comes late."""
    now = instants.now_ms()
    desk.system.asked = 0
    named(desk, "J. de Vries", "con_shop", instants.from_ms(now - 100_000_000))
    desk.go(CONTACT)
    named(desk, "Johannes", CRM, instants.from_ms(now + typed))
    told = {"name": "Johannes"}
    contacts.correct(
        desk.table, CRM, [desk.duty(CONTACT).node], lambda pushed: prints.retold(pushed, told), again=False
    )
    if there:
        person = people.of_node(desk.table, Rules(), desk.duty(CONTACT).node)
        assert person
        desk.system.people["r1"] = person.customer
    before = desk.system.people["r1"]
    assert desk.go(CONTACT) == "delivered"
    assert desk.system.people["r1"].fields["name"].value == name
    assert desk.system.asked == (typed > -CROSSED_WITHIN_MS)
    assert (desk.system.people["r1"] is before) == (there or name != "Johannes")
    pushed, asked = desk.system.people["r1"], desk.system.asked
    assert desk.go(CONTACT) == "delivered"
    assert (desk.system.people["r1"], desk.system.asked) == (pushed, asked), "it is known now"


def test_a_change_of_consent_is_told_where_a_setting_names_its_field(desk: Desk) -> None:
    desk.go(CONTACT)
    told = desk.system.people["r1"]
    refused = msgspec.structs.replace(
        EVENT, object="no", occurred_at="2026-09-03T08:30:00.000Z", fields={"consent_email": "denied"}
    )
    record.record(desk.table, stamp(refused, "con_shop", "x"), "receipt", Organisation())
    desk.go(CONTACT)
    assert desk.system.people["r1"] is told, "nothing there shows it"
    desk.connect(settings={"consent_field": "mail_ok"})
    desk.go(CONTACT)
    assert desk.system.people["r1"].mail_consent == "denied"


TIER = msgspec.structs.replace(
    EVENT, type="identify", object="t1", id="t1", occurred_at="2026-09-02T09:00:00.000Z", text=""
)


def test_what_a_mapping_finds_goes_along(desk: Desk) -> None:
    desk.connect(
        mapping={"contact": {"phone_here": "first.phone", "none": "fields.nobody"}, "activity": {"words": "text"}}
    )
    assert desk.go() == "delivered"
    assert desk.system.people["r1"].mapped == {"phone_here": PHONE.value, "none": None}
    assert desk.system.seen[0].mapped == {"words": "private words"}


def test_a_change_of_what_a_mapping_finds_is_a_push_and_no_other(desk: Desk) -> None:
    """`contact_fields` of this system is the name alone."""

    def told(at: int, source: str, **fields: str) -> int:
        event = msgspec.structs.replace(
            TIER, occurred_at=f"2026-09-02T09:00:0{at}.000Z", object=f"t{at}", fields=fields
        )
        record.record(desk.table, stamp(event, source, "voice"), "receipt", Organisation())
        before = len(pushes)
        desk.go(CONTACT)
        return len(pushes) - before

    pushes: list[dict[str, Any]] = []
    upsert = desk.system.upsert

    def pushed(http: Any, customer: Customer, remote: str) -> str:
        pushes.append(customer.mapped)
        return upsert(http, customer, remote)

    desk.system.upsert = pushed  # type: ignore[method-assign]
    assert desk.go(CONTACT) == "delivered"
    assert told(1, "con_voice", tier="gold") == 0, "no mapping shows it"
    desk.connect(mapping={"contact": {"vip": "fields.tier == 'gold'"}})
    assert told(2, "con_voice", colour="red") == 1 and pushes[-1] == {"vip": True}
    assert told(3, "con_voice", colour="blue") == 0
    assert told(4, "con_voice", tier="silver") == 1 and pushes[-1] == {"vip": False}
    assert told(5, "con_voice", tier="bronze") == 0, "it finds the same"
    desk.connect(mapping={"contact": {"vip": "`false`"}})
    assert told(6, "con_voice", colour="red") == 0, "another mapping that finds the same"
    assert told(7, CRM, name="Johan") == 0, "this very system told it"
    desk.connect(mapping={"contact": {"called": "fields.name"}})
    assert told(8, "con_voice", colour="blue") == 1 and pushes[-1] == {"called": "Johan"}
    assert told(9, CRM, name="Hans") == 1, "which of its fields told it nobody knows"
    desk.connect(mapping=None)
    assert told(9, CRM, name="Hans") == 1 and pushes[-1] == {}
    assert told(9, CRM, name="Hans") == 0


def test_a_mapping_that_asks_too_much_is_parked_with_its_field(desk: Desk) -> None:
    desk.connect(mapping={"activity": {"huge": " | ".join(["[@, @]"] * 30)}})
    assert desk.go() == "rejected"
    assert desk.row()["st"] == "parked" and "mapping.activity.huge" in desk.row()["why"]
    assert desk.system.activities == []
    desk.connect(mapping={"contact": {"huge": " | ".join(["[@, @]"] * 30)}})
    assert desk.go(CONTACT) == "rejected"
    desk.connect(mapping=None)
    assert desk.go(CONTACT) == "delivered"


@pytest.mark.parametrize("back", [False, True])
def test_what_was_put_off_and_is_nobodys_now_is_not_asked_for_for_ever(desk: Desk, back: bool) -> None:
    """Such as a call from a telephone that turns out to be shared. Should it be somebody's again, it is told."""
    duty = desk.duty()
    assert desk.go(down=8.0) == "delayed"
    due(desk, duty, 0)
    event = desk.table.rows.pop(duty.event_keys[0])
    assert deliver(desk.office(), duty, tried=False) == "dropped"
    row = desk.table.get(duty.key)
    assert row and "gpk" not in row and "gsk" not in row, "the sweep would send it again every five minutes"
    assert deliveries.take_due(desk.table, int(deliveries.shard(duty.key)[4:]), "2099-01-01T00:00:00.000Z") == 0
    if back:
        desk.table.rows[duty.event_keys[0]] = event
        assert deliver(desk.office(), duty, tried=False) == "delivered"
        assert desk.system.activities == [("r1", EVENT.id)]
