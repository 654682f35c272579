"""What was told of customers who become one, or come apart, ends on the record of whose it is; nothing is told twice.

A CRM in memory, the stream, the planner, the deliveries and the job that moves, in any order; then a system that
makes one record of two, and one whose agent types while we push.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.context import decisions, people, record, resolve
from chalicelib.context.decisions import FORCE, LINK, Said
from chalicelib.context.graph import Rules
from chalicelib.errors import Busy, Rejected, Unknown
from chalicelib.fanout import forget, moves, reconcile
from chalicelib.fanout.deliver import Office, deliver
from chalicelib.fanout.plan import Planned, Planner
from chalicelib.kit.destination import Destination
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Customer, Entry, Person
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import connections, contacts, queues, rates, secrets
from chalicelib.store.deliveries import CONTACT, MOVE, Duty
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Item
from tests.fanout.test_planner import Watched
from tests.schedule import replaced

CRM = "con_crm"
ONE, OTHER = Identity("shop", "940", "tc", 2), Identity("shop", "941", "tc", 2)
MAILS = (Identity("email", "ahmed@example.nl", "", 2), Identity("email", "ahmad@example.nl", "", 2))


@dataclass
class System:
    """`on`: our event id → the record that shows it. `drops`: the next calls work and do not say so."""

    people: dict[str, Customer] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Record → our customer id as it was made with: an update does not change the key."""
    on: dict[str, str] = field(default_factory=dict)
    appended: list[str] = field(default_factory=list)
    writes: int = 0
    drops: int = 0
    refuses: bool = False
    gone: dict[str, str] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)
    """Record → the name that an agent typed there."""

    def upsert(self, http: Any, customer: Customer, remote: str) -> str:
        known = (key for key, owner in self.owners.items() if owner == customer.id)
        key = remote or next(known, f"r{len(self.people) + len(self.gone) + 1}")
        self.owners.setdefault(key, customer.id)
        self.people[key] = customer
        self.typed.pop(key, None)
        return self._done(key)

    def append(self, http: Any, remote: str, entry: Entry) -> str:
        self.appended.append(entry.event.id) if entry.event.id not in self.on else None
        self.on[entry.event.id] = remote
        return self._done(f"a-{entry.event.id}")

    def move(self, http: Any, activity: str, old: str, new: str, entry: Entry) -> str:
        assert activity == f"a-{entry.event.id}" and new in self.people
        self.on[entry.event.id] = new
        return self._done(activity)

    def merge(self, http: Any, kept: str, other: str) -> str:
        if self.refuses:
            raise Rejected("not these two")
        if other in self.people:
            del self.people[other], self.owners[other]
            self.gone[other] = kept
            self.on = {event: kept if record == other else record for event, record in self.on.items()}
        return self._done(kept)

    def shows(self, http: Any, customer: Customer, remote: str) -> bool:
        there = self.people.get(remote)
        name = self.typed.get(remote) or (there.fields["name"].value if there and "name" in there.fields else "")
        wanted = customer.fields["name"].value if "name" in customer.fields else ""
        return there is not None and name == wanted

    def _done(self, answer: str) -> str:
        self.writes += 1
        if self.drops:
            self.drops -= 1
            raise Unknown("no answer")
        return answer

    @property
    def declared(self) -> Destination:
        return Destination(
            name="Test",
            base_url="http://127.0.0.1",
            auth=lambda secrets, settings: {},
            append_activity=self.append,
            upsert_contact=self.upsert,
            move_activity=self.move,
            merge_contacts=self.merge,
            shows_contact=self.shows,
            contact_fields=("name",),
        )


@dataclass
class World:
    table: Watched
    system: System
    queue: list[Duty] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    number: int = 0

    def person_of(
        self, node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False
    ) -> Person | None:
        return people.of_node(self.table, Rules(), node, seen, sorts, brief=brief)

    @property
    def connection(self) -> Connection:
        found = connections.get(self.table, CRM)
        assert found
        return found

    @property
    def planner(self) -> Planner:
        return Planner(self.table, (self.connection,), resolve.customers, self.person_of)

    def says(self, *identities: Identity, name: str = "", by: str = "con_shop", at: str = "") -> Event:
        self.number += 1
        moment = at or f"2026-09-01T{self.number // 60:02d}:{self.number % 60:02d}:00.000Z"
        fields = {"name": name} if name else {}
        told = Event(
            type="order",
            channel="web",
            object=f"o{self.number}",
            occurred_at=moment,
            identities=identities,
            fields=fields,
        )
        event = stamp(told, by, "generic")
        record.record(self.table, event, "receipt", Organisation())
        return event

    def plan(self) -> None:
        planned = Planned()
        records, self.table.stream = self.table.stream, []
        for each in records:
            self.planner.plan(each, planned)
        self.planner.settle(planned)
        self.queue += [*planned.activities, *planned.contacts_alone()]
        self.moved += planned.moved

    def step(self, rng: random.Random) -> None:
        """A message, or a node of the job that moves."""
        if self.moved and (not self.queue or rng.random() < 0.3):
            node = self.moved.pop(0)
            items = self.table.query(f"N#{node}", begins="E#").items
            due = reconcile.wanted(self.table, self.planner, items)
            self.queue += moves.misplaced(self.table, self.person_of, due)
        elif self.queue:
            duty = self.queue.pop(rng.randrange(len(self.queue)))
            try:
                deliver(Office(self.table, self.person_of, connections.reader(self.table)), duty, tried=False)
            except Busy:
                self.queue.append(duty)

    def settle(self, rng: random.Random) -> None:
        while self.table.stream or self.queue or self.moved:
            self.plan()
            self.step(rng)

    def person(self, identity: Identity) -> Person:
        kind, found = people.by_identity(self.table, Rules(), identity)
        assert kind == "exact"
        return found[0]

    def record_of(self, identity: Identity) -> str:
        found = self.person(identity)
        return contacts.of(self.table, CRM, found.nodes, found.oldest)[0].remote

    def connect(self, **settings: Any) -> None:
        before = connections.get(self.table, CRM) or Connection(id=CRM, provider="test", ver=0)
        connections.save(self.table, msgspec.structs.replace(before, ver=before.ver + 1, settings=settings))


@pytest.fixture
def world() -> Iterator[World]:
    made = World(Watched(), System())

    def send(name: str, body: str, *, group: str = "", delay: int = 0) -> None:
        if name == queues.DELIVERIES:
            made.queue.append(msgspec.json.decode(body, type=Duty))

    rates.forget()
    patches = (
        (secrets, "pepper", lambda: b"pepper"),
        (queues, "send", send),
        (destinations, "slugs", lambda: ("test",)),
        (destinations, "load", lambda slug: made.system.declared),
        (rates, "take", lambda *asked, **more: 0.0),
        (instants, "now_ms", ticking()),
    )
    with replaced(*patches):
        made.connect()
        yield made


def ticking() -> Any:
    """A clock on which a lease or a pause is over by the next call."""
    now = [1_788_300_000_000]

    def tick() -> int:
        now[0] += 2_000_000
        return now[0]

    return tick


def decide(world: World, *, on: bool, made: list[str]) -> None:
    if on:
        made.append(decisions.on_identities(world.table, Rules(), ONE, OTHER, Said(FORCE, "key", "his")).id)
    elif made:
        decisions.undo(world.table, LINK, made.pop(), Rules(), "key", "not his")


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_order_each_entry_ends_once_on_the_record_of_whose_it_is(world: World, seed: int) -> None:
    play(world, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1_000, 4_000))
def test_thousands_of_orders(world: World, seed: int) -> None:
    play(world, seed)


def play(world: World, seed: int) -> None:
    """Orders of two customers, forced together and taken apart several times, while deliveries go on and answers
    are lost."""
    rng, made, mine = random.Random(seed), list[str](), list[tuple[Event, int]]()
    for who in (0, 1):
        mine.append((world.says((ONE, OTHER)[who], MAILS[who]), who))
    turns = [True, False] * rng.randint(1, 3) + ([True] if rng.random() < 0.5 else [])
    while turns or rng.random() < 0.7:
        action = rng.random()
        if action < 0.25 and turns:
            decide(world, on=turns.pop(0), made=made)
        elif action < 0.4:
            who = rng.randrange(2)
            mine.append((world.says((ONE, OTHER)[who]), who))
        elif action < 0.5:
            world.system.drops = rng.randint(0, 2)
        elif action < 0.7:
            world.plan()
        else:
            world.step(rng)
    world.settle(rng)
    assert sorted(world.system.appended) == sorted(event.id for event, _ in mine)
    records = [world.record_of(each) for each in (ONE, OTHER)]
    assert (records[0] == records[1]) == bool(made)
    assert {event.id: records[who] for event, who in mine} == world.system.on
    for identity, remote in zip((ONE, OTHER), records, strict=True):
        assert world.system.people[remote].identities == world.person(identity).customer.identities


def test_customers_who_had_one_record_between_them_cost_no_move(world: World) -> None:
    rng = random.Random(1)
    world.says(ONE, MAILS[0])
    world.settle(rng)
    world.says(Identity("web", "a-1", "tc", 2))
    world.says(Identity("web", "a-1", "tc", 2), MAILS[0])
    world.plan()
    assert world.moved == []


def test_a_record_that_the_system_made_of_two_is_one_customers_and_the_other_gets_a_new_one(world: World) -> None:
    """By the policy of its owner; nobody can undo it over there, and here it is undone exactly."""
    world.connect(merge_policy="hard")
    rng, made = random.Random(2), list[str]()
    events = [world.says(ONE, MAILS[0]), world.says(OTHER, MAILS[1])]
    world.settle(rng)
    decide(world, on=True, made=made)
    world.settle(rng)
    (left,) = world.system.people
    assert set(world.system.on.values()) == {left} and len(world.system.gone) == 1
    assert forget.records(world.table, CRM, list(world.person(ONE).nodes)) == sorted({left, *world.system.gone})
    events.append(world.says(OTHER))
    world.settle(rng)
    decide(world, on=False, made=made)
    world.settle(rng)
    one, other = world.record_of(ONE), world.record_of(OTHER)
    assert one != other and set(world.system.people) == {one, other} and left in (one, other)
    assert [world.system.on[each.id] for each in events] == [one, other, other]
    assert len(world.system.appended) == 3
    assert forget.records(world.table, CRM, list(world.person(OTHER).nodes)) == [other]
    assert set(forget.records(world.table, CRM, list(world.person(ONE).nodes))) >= {one}
    writes = world.system.writes
    world.says(ONE)
    world.says(OTHER)
    world.settle(rng)
    assert world.system.writes == writes + 2, "two records that nobody takes for one another's"


def test_a_push_of_which_nobody_knows_whether_it_arrived_is_made_again_though_all_is_as_before(world: World) -> None:
    rng, made = random.Random(6), list[str]()
    world.says(ONE, MAILS[0])
    world.settle(rng)
    remote, before = world.record_of(ONE), world.person(ONE).customer.identities
    world.says(OTHER, MAILS[1])
    decide(world, on=True, made=made)
    world.system.drops = 1
    contact = Duty(CRM, CONTACT, world.person(ONE).oldest, world.person(ONE).id)
    assert (
        deliver(Office(world.table, world.person_of, connections.reader(world.table)), contact, tried=False)
        == "unknown"
    )
    assert world.system.people[remote].identities != before
    decide(world, on=False, made=made)
    world.queue.append(contact)
    world.settle(rng)
    assert world.system.people[remote].identities == before


def test_records_that_a_system_refuses_to_make_one_stay_two_and_are_told_all_the_same(world: World) -> None:
    world.connect(merge_policy="hard")
    world.system.refuses = True
    rng, made = random.Random(2), list[str]()
    world.says(ONE, MAILS[0])
    other = world.says(OTHER, MAILS[1])
    world.settle(rng)
    decide(world, on=True, made=made)
    world.says(OTHER)
    world.settle(rng)
    assert len(world.system.people) == 2 and world.system.gone == {}
    assert set(world.system.on.values()) == {world.record_of(ONE)} and other.id in world.system.on


def test_records_stay_two_where_nobody_asked_for_one(world: World) -> None:
    rng, made = random.Random(3), list[str]()
    world.says(ONE, MAILS[0])
    world.says(OTHER, MAILS[1])
    world.settle(rng)
    decide(world, on=True, made=made)
    world.settle(rng)
    assert len(world.system.people) == 2 and world.system.gone == {}


def test_what_an_agent_typed_while_we_pushed_is_brought_back(world: World) -> None:
    """Our older value landed after his: he told us, so the hub knows; his own system shows ours."""
    rng = random.Random(4)
    world.says(ONE, name="Jan")
    world.settle(rng)
    remote = world.record_of(ONE)
    pushed = contacts.from_item(world.table.get(contacts.key(CRM, world.person(ONE).oldest)) or {})
    typed = instants.from_ms(instants.to_ms(pushed.pushed_at) - 1)
    world.says(ONE, name="Johannes", by=CRM, at=typed)
    writes = world.system.writes
    world.settle(rng)
    assert world.system.people[remote].fields["name"].value == "Johannes"
    assert world.system.writes == writes + 1
    world.queue.append(Duty(CRM, CONTACT, world.person(ONE).oldest, world.person(ONE).id))
    world.settle(rng)
    assert world.system.writes == writes + 1, "it is known now"


@pytest.mark.parametrize("late", [False, True])
def test_what_an_agent_typed_is_not_sent_back_where_his_system_shows_it(world: World, late: bool) -> None:
    """It shows it, or he typed long before, or after, we pushed."""
    rng = random.Random(5)
    world.says(ONE, name="Jan")
    world.settle(rng)
    remote, writes = world.record_of(ONE), world.system.writes
    pushed = contacts.from_item(world.table.get(contacts.key(CRM, world.person(ONE).oldest)) or {})
    if late:
        typed = instants.from_ms(instants.to_ms(pushed.pushed_at) + 60_000)
    else:
        typed = instants.from_ms(instants.to_ms(pushed.pushed_at) - 1)
        world.system.typed[remote] = "Johannes"
    world.says(ONE, name="Johannes", by=CRM, at=typed)
    world.settle(rng)
    assert world.system.writes == writes


def test_a_move_says_what_it_is() -> None:
    duty = Duty(CRM, MOVE, "n", "E#2026-09-01T00:01:00.000Z#ev")
    assert not duty.once and not duty.of_customer and duty.key[1].endswith("#move")
