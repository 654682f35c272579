"""The feed of an audience, from recorded events to what a receiver that keeps each key once believes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import destinations
from chalicelib.context import erase, people, record, resolve
from chalicelib.context.graph import Rules
from chalicelib.errors import Busy, Delayed, Erased, Gone, Rejected, Unknown
from chalicelib.fanout import feed
from chalicelib.fanout.audiences import shown, weigh
from chalicelib.fanout.deliver import Office, deliver
from chalicelib.fanout.plan import Planned, Planner
from chalicelib.kit.destination import Destination
from chalicelib.model import instants
from chalicelib.model.audience import Audience, Told
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.customer import Person
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import audiences, connections, deliveries, queues, rates, secrets
from chalicelib.store.deliveries import Duty
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Item, Table
from chalicelib.workers.audiences import known as known_of
from tests.fanout.test_planner import Watched
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

MAIL, PHONE = Identity("email", "jan@example.nl", "", 2), Identity("phone", "+31612345678", "", 2)
SHOP, WEB = Identity("shop", "900", "tc", 2), Identity("web", "a-71", "tc", 2)
WINTER = Audience(id="aud_1", name="Winter", consent=("marketing",), feed="con_feed")
GRANT, DENY = {"consent_marketing": "granted"}, {"consent_marketing": "denied"}


@dataclass
class Campaign:
    """A receiver. `says`: what the next calls raise; `lost`: they arrive, then raise."""

    taken: dict[str, Told] = field(default_factory=dict)
    calls: int = 0
    says: list[Exception] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)
    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def tell(self, http: Any, told: Told) -> str:
        http.pace()
        self.calls += 1
        if self.says:
            raise self.says.pop(0)
        before = self.taken.setdefault(told.key, told)
        assert (before.what, before.customer, before.version) == (told.what, told.customer, told.version)
        assert (told.member is None) == (told.what == "left")
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if self.lost:
            raise self.lost.pop(0)
        return told.key

    def believes(self) -> set[str]:
        """Customers who are in it by the newest version of each."""
        newest: dict[str, Told] = {}
        for told in sorted(self.taken.values(), key=lambda each: each.version):
            newest[told.customer] = told
        return {customer for customer, told in newest.items() if told.member}

    def whats(self) -> list[str]:
        return [each.what for each in sorted(self.taken.values(), key=lambda each: (each.version, each.customer))]

    @property
    def declared(self) -> Destination:
        return Destination("Feed", "http://127.0.0.1", lambda s, t: {}, lambda h, r, e: "", tell_membership=self.tell)


class World:
    def __init__(self) -> None:
        self.table, self.campaign, self.number = Watched(), Campaign(), 0
        connections.save(
            self.table, Connection(id="con_feed", provider="test", subscription=Subscription(types=("audience",)))
        )
        audiences.save(self.table, (WINTER,), None)
        self.table.stream.clear()

    def happens(self, *who: Identity, says: dict[str, str] | None = None, day: int = 0, **more: Any) -> Event:
        self.number += 1
        event = Event(
            type=more.pop("type", "consent"),
            channel="web",
            object=f"o{self.number}",
            occurred_at=f"2026-09-{day or self.number:02d}T09:00:00.000Z",
            identities=who,
            fields=says or {},
            **more,
        )
        stamped = stamp(event, "con_shop", "shop")
        record.record(self.table, stamped, "receipt", Organisation())
        return stamped

    def person_of(self, table: Table) -> Any:
        def look(
            node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False
        ) -> Person | None:
            try:
                return people.of_node(table, Rules(), node, seen, sorts, brief=brief)
            except Erased:
                return None

        return look

    def planned(self) -> list[Duty]:
        feed_ = connections.get(self.table, "con_feed")
        assert feed_
        known = tuple(each for each in audiences.decoded(self.table.get(audiences.KEY)) if each.feed)
        planner = Planner(self.table, (feed_,), resolve.customers, self.person_of(self.table), audiences=known)
        planned, records = Planned(), self.table.stream
        self.table.stream = []
        for each in records:
            planner.plan(each, planned)
        planner.settle(planned)
        assert not planned.activities and not planned.contacts, "nothing but its audiences"
        return list(planned.members)

    def deliver(self, duty: Duty, table: Any = None, *, tried: bool = False) -> str:
        used = table or self.table
        office = Office(used, self.person_of(used), connections.reader(used), known=known_of(used))
        return deliver(office, duty, tried=tried)

    def settle(self, *more: Duty) -> None:
        """Until nothing is left to do; what was put off is due, what was leased is free again."""
        waiting = [*more, *self.planned()]
        for _ in range(200):
            if not waiting:
                return
            duty = waiting.pop(0)
            try:
                outcome = self.deliver(duty)
            except Busy:
                outcome = "delayed"
            if outcome in ("delayed", "unknown", "held"):
                self.hurry(duty)
                waiting.append(duty)
        raise AssertionError(f"never settled: {waiting}")

    def hurry(self, duty: Duty) -> None:
        row = deliveries.get(self.table, duty.key)
        if row:
            self.table.batch_put([row | {"due": "2026-01-01T00:00:00.000Z"}])
        for key in [key for key in self.table.rows if key[0].startswith("M#")]:
            item = self.table.peek(key) or {}
            self.table.batch_put([{name: value for name, value in item.items() if name != "until"}])
        self.table.stream = [each for each in self.table.stream if each["dynamodb"]["Keys"]["pk"]["S"][:2] != "M#"]

    def belonging(self) -> set[str]:
        """By looking at every customer there is."""
        look, found = self.person_of(self.table), set()
        audience = audiences.named(self.table, "aud_1")
        for item in filter(None, map(self.table.peek, list(self.table.rows))):
            for customer, _ in resolve.customers(item) if item["pk"].startswith("K#") else ():
                person = look(customer[13:])
                facts = (
                    weigh(audience, person, lambda p=person: known_of(self.table)(p, True))
                    if audience and person
                    else None
                )  # type: ignore[misc]
                if audience and person and facts and shown(audience, person, facts):
                    found.add(person.customer.id)
        return found


@pytest.fixture
def world() -> Iterator[World]:
    with standing() as made:
        yield made


class standing:
    """A world, with everything of the process that it needs."""

    def __enter__(self) -> World:
        made: list[World] = []
        self.patches = replaced(
            (secrets, "pepper", lambda: b"pepper"),
            (resolve, "_back_off", lambda number: None),
            (queues, "send", lambda *args, **more: None),
            (queues, "send_all", lambda *args, **more: None),
            (destinations, "slugs", lambda: ("test",)),
            (destinations, "load", lambda slug: made[0].campaign.declared),
            (rates, "take", lambda *args, **more: 0),
        )
        self.patches.__enter__()
        made.append(World())
        return made[0]

    def __exit__(self, *error: Any) -> None:
        self.patches.__exit__(*error)


def test_consent_enters_and_its_withdrawal_leaves_once_each(world: World) -> None:
    world.happens(SHOP, MAIL, says={"name": "Jan"})
    world.settle()
    assert not world.campaign.taken, "nobody without consent, not even as one who left"
    world.happens(SHOP, says=GRANT)
    world.settle()
    (told,) = world.campaign.taken.values()
    assert told.member and (told.what, told.name) == ("entered", "Winter")
    assert (told.member.channel, told.member.address, told.member.name) == ("email", "jan@example.nl", "Jan")
    world.happens(SHOP, says=DENY)
    world.settle()
    assert world.campaign.whats() == ["entered", "left"] and world.campaign.calls == 2
    left = max(world.campaign.taken.values(), key=lambda each: each.version)
    assert "jan@" not in str(left) and "Jan" not in str(left), "who left is named by his id alone"
    world.happens(SHOP, says=GRANT)
    world.settle()
    assert world.campaign.whats() == ["entered", "left", "entered"] and len(world.campaign.taken) == 3


def test_what_changes_nothing_is_not_told_and_costs_no_write(world: World) -> None:
    world.happens(SHOP, MAIL, says=GRANT)
    world.settle()
    world.happens(SHOP, MAIL, type="order", details={"number": "1"})
    duties = world.planned()
    rows = dict(world.table.rows)
    assert duties and [world.deliver(duty) for duty in duties] == ["delivered"] * len(duties)
    assert world.campaign.calls == 1 and world.table.rows == rows
    world.happens(SHOP, says={"name": "Jan"})
    world.settle()
    assert world.campaign.whats() == ["entered", "changed"]


def test_an_older_grant_that_comes_late_brings_nobody_back(world: World) -> None:
    world.happens(SHOP, MAIL, says=DENY, day=20)
    world.happens(SHOP, says=GRANT, day=10)
    world.settle()
    assert not world.campaign.taken


def test_consent_of_an_anonymous_visitor_is_told_to_nobody(world: World) -> None:
    world.happens(WEB, says=GRANT)
    assert world.planned() == []
    world.settle()
    assert not world.campaign.taken
    world.happens(WEB, SHOP, MAIL)
    world.settle()
    assert world.campaign.whats() == ["entered"], "he has a name now"


@pytest.mark.parametrize(("granted", "denied", "stays"), [(5, 9, False), (9, 5, True)])
def test_two_who_become_one_are_as_the_newer_word_says(world: World, granted: int, denied: int, stays: bool) -> None:
    world.happens(PHONE, says=DENY, day=denied)
    world.happens(MAIL, says=GRANT, day=granted)
    world.settle()
    assert len(world.campaign.believes()) == 1
    world.happens(SHOP, MAIL, PHONE, day=12)
    world.settle()
    assert world.campaign.believes() == world.belonging()
    assert len(world.belonging()) == int(stays)


def test_who_became_another_customer_leaves_under_his_former_id(world: World) -> None:
    world.happens(MAIL, says=GRANT)
    world.happens(PHONE, says=GRANT)
    world.settle()
    both = world.campaign.believes()
    assert len(both) == 2
    world.happens(SHOP, MAIL, PHONE, says={"preferred_channel": "email"})
    world.settle()
    assert len(world.campaign.believes()) == 1 and world.campaign.believes() < both
    assert world.campaign.believes() == world.belonging()


def test_an_erased_customer_leaves(world: World) -> None:
    world.happens(SHOP, MAIL, says=GRANT)
    world.settle()
    (item,) = (each for key in world.table.rows if key[0][:2] == "K#" and (each := world.table.peek(key)))
    ((customer, nodes),) = resolve.customers(item)
    person = world.person_of(world.table)(customer[13:])
    plan = erase.plan(person, instants.now())
    erase.bound(world.table, plan["identities"], plan["nodes"], plan["at"])
    erase.unlink(world.table, Rules(), plan["nodes"], plan["at"])
    by_the_stream = world.planned()
    for node in nodes:
        while erase.partition(world.table, node).next:
            pass
    assert feed.duty_of("aud_1", "con_feed", customer) in by_the_stream
    world.settle(*by_the_stream)
    assert world.campaign.whats() == ["entered", "left"] and world.campaign.believes() == set()


SCENES: dict[str, Callable[[World], None]] = {
    "enter": lambda world: (world.happens(SHOP, MAIL, says=GRANT), None)[1],
    "leave": lambda world: (
        world.happens(SHOP, MAIL, says=GRANT),
        world.settle(),
        world.happens(SHOP, says=DENY),
        None,
    )[3],
    "merge": lambda world: (
        world.happens(MAIL, says=GRANT),
        world.happens(PHONE, says=DENY),
        world.settle(),
        world.happens(SHOP, MAIL, PHONE),
        None,
    )[4],
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("turns", [False, True])
def test_killed_at_any_storage_call_nothing_is_lost_and_each_change_told_once(
    world: World, scene: str, turns: bool
) -> None:
    """`turns`: before it is taken again, the customer changes his mind."""
    SCENES[scene](world)
    duties, rows, taken = world.planned(), dict(world.table.rows), dict(world.campaign.taken)
    kills = 0
    for duty in duties:
        call, killed = 1, True
        while killed:
            for after in (False, True):
                world.table.rows, world.campaign.taken, killed = dict(rows), dict(taken), False
                try:
                    world.deliver(duty, FaultTable(world.table, call, after))
                except Killed:
                    killed, kills = True, kills + 1
                    world.hurry(duty)
                if turns:
                    world.happens(MAIL, says=DENY if scene == "enter" else GRANT, day=28)
                world.settle(*duties)
                assert world.campaign.believes() == world.belonging()
                if not turns:
                    assert len(world.campaign.taken) == len(taken) + 1
            call += 1
    assert kills > 10


@pytest.mark.parametrize("moment", range(1, 12))
def test_a_withdrawal_at_any_moment_of_an_entry_has_the_last_word(world: World, moment: int) -> None:
    class Meanwhile(MemoryTable):
        """Somebody withdraws just before one of the calls."""

        calls = 0

        def step(self) -> None:
            self.calls += 1
            if self.calls == moment:
                world.happens(SHOP, says=DENY, day=28)

        def get(self, key: Any) -> Any:
            self.step()
            return world.table.get(key)

        def batch_get(self, keys: Any) -> Any:
            self.step()
            return world.table.batch_get(keys)

        def write(self, action: Any) -> bool:
            self.step()
            return world.table.write(action)

        def query(self, pk: str, **options: Any) -> Any:
            self.step()
            return world.table.query(pk, **options)

    world.happens(SHOP, MAIL, says=GRANT)
    (duty, *_) = world.planned()
    watching = Meanwhile()
    with contextlib.suppress(Busy):
        world.deliver(duty, watching)
    if watching.calls < moment:
        world.happens(SHOP, says=DENY, day=28)
    world.settle(duty)
    assert world.campaign.believes() == world.belonging() == set()
    assert world.campaign.whats() in ([], ["entered", "left"])


def test_two_workers_do_not_tell_at_once(world: World) -> None:
    world.happens(SHOP, MAIL, says=GRANT)
    (duty, *_) = world.planned()
    seen: list[str] = []

    def another() -> None:
        world.happens(SHOP, says=DENY)
        with pytest.raises(Busy):
            world.deliver(duty)
        seen.append("busy")

    world.campaign.meanwhile = [another]
    assert world.deliver(duty) == "delivered"
    world.settle()
    assert seen == ["busy"] and world.campaign.whats() == ["entered", "left"]


@pytest.mark.parametrize("failed", [Delayed("503"), Unknown("reset")])
def test_what_may_have_arrived_is_repeated_under_its_key_or_taken_back(world: World, failed: Exception) -> None:
    world.happens(SHOP, MAIL, says=GRANT)
    (duty, *_) = world.planned()
    world.campaign.lost = [failed]
    assert world.deliver(duty) in ("delayed", "unknown")
    world.hurry(duty)
    assert world.deliver(duty) == "delivered"
    assert len(world.campaign.taken) == 1 and world.campaign.calls == 2
    world.campaign.lost = [failed]
    world.happens(SHOP, says=DENY)
    for each in world.planned():
        world.deliver(each)
    world.happens(SHOP, says=GRANT)
    world.hurry(duty)
    world.settle()
    assert world.campaign.whats() == ["entered", "left", "entered"]


def test_a_refusal_parks_and_a_pause_holds_and_later_all_is_told(world: World) -> None:
    world.happens(SHOP, MAIL, says=GRANT)
    (duty, *_) = world.planned()
    world.campaign.says = [Rejected("HTTP 400")]
    assert world.deliver(duty) == "rejected"
    row = deliveries.get(world.table, duty.key)
    assert row and deliveries.duty_of(row) == duty
    view = deliveries.view(row)
    assert (view["kind"], view["audience"], view["rule"], view["event"]) == ("audience", "aud_1", None, None)
    assert view["customer"] == f"cus_{duty.sort}"
    world.campaign.says = [Gone("HTTP 410")]
    assert world.deliver(duty) == "gone"
    assert world.deliver(duty) == "held"
    found = connections.get(world.table, "con_feed")
    assert found
    connections.save(world.table, msgspec.structs.replace(found, status="active", reason="", ver=found.ver + 1))
    assert world.deliver(duty) == "delivered" and world.campaign.whats() == ["entered"]
    row = deliveries.get(world.table, duty.key)
    assert row and row["st"] == "delivered"


def test_a_definition_that_changed_or_went_away_counts_at_once(world: World) -> None:
    world.happens(SHOP, MAIL, says=GRANT)
    world.settle()
    (customer,) = world.campaign.believes()
    duty = feed.duty_of("aud_1", "con_feed", customer.removeprefix("cus_"))
    narrow = msgspec.structs.replace(WINTER, orders_least=1)
    assert audiences.save(world.table, (narrow,), world.table.get(audiences.KEY))
    world.deliver(duty)
    assert world.campaign.whats() == ["entered", "left"]
    world.happens(SHOP, MAIL, type="order", details={"number": "1"}, refs=(Ref("order", "1", "tc"),))
    world.settle()
    assert world.campaign.whats() == ["entered", "left", "entered"]
    assert audiences.save(world.table, (), world.table.get(audiences.KEY))
    world.deliver(duty)
    assert world.campaign.whats()[-1] == "left" and world.campaign.believes() == set()


def test_a_pseudonymous_feed_knows_nobody_by_name(world: World) -> None:
    found = connections.get(world.table, "con_feed")
    assert found
    hidden = msgspec.structs.replace(found, subscription=Subscription(types=("audience",), pseudonymous=True), ver=2)
    connections.save(world.table, hidden)
    world.happens(SHOP, MAIL, says=GRANT | {"name": "Jan"})
    world.settle()
    world.happens(SHOP, says=DENY)
    world.settle()
    assert world.campaign.whats() == ["entered", "left"]
    said = str(world.campaign.taken)
    assert "Jan" not in said and "jan@" not in said and "cus_" not in said
    assert len({each.customer for each in world.campaign.taken.values()}) == 1


def test_without_an_audience_nothing_is_planned_and_nobody_looked_up(world: World) -> None:
    assert audiences.save(world.table, (), world.table.get(audiences.KEY))
    world.happens(SHOP, MAIL, says=GRANT)
    world.table.stream.clear()
    looked: list[str] = []
    world.person_of = lambda table: lambda node, *a, **k: looked.append(node)  # type: ignore[method-assign]
    world.happens(SHOP, says=DENY, type="order")
    assert world.table.stream
    assert world.planned() == [] and looked == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from([(MAIL,), (PHONE,), (SHOP, MAIL), (SHOP, PHONE), (WEB,), (WEB, MAIL)]),
        st.sampled_from([GRANT, DENY, {}, {"consent_email": "denied"}, {"consent_marketing": "pending"}]),
        st.integers(1, 28),
        st.sampled_from(["none", "one", "all", "lost", "killed"]),
    ),
    min_size=1,
    max_size=7,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_happens_in_whatever_order_the_receiver_ends_with_those_who_belong(
    steps: list[tuple[tuple[Identity, ...], dict[str, str], int, str]],
) -> None:
    with standing() as world:
        open_: list[Duty] = []
        for who, says, day, how in steps:
            world.happens(*who, says=says, day=day)
            open_ += world.planned()
            for duty in list(open_) if how != "none" else ():
                table = FaultTable(world.table, 6) if how == "killed" else None
                world.campaign.lost = [Unknown("reset")] if how == "lost" else []
                try:
                    if world.deliver(duty, table) == "delivered":
                        open_.remove(duty)
                except (Killed, Busy):
                    world.hurry(duty)
                if how == "one":
                    break
        world.campaign.lost = []
        for duty in open_:
            world.hurry(duty)
        world.settle(*open_)
        assert world.campaign.believes() == world.belonging()
