"""Reading ahead for a batch: fewer requests, and nothing that is told by it is older than it may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.context import graph, people, record, resolve
from chalicelib.context.graph import Rules
from chalicelib.errors import Erased
from chalicelib.fanout import ahead, outward
from chalicelib.fanout.ahead import Ahead, Noticed
from chalicelib.fanout.deliver import Office, deliver
from chalicelib.kit.destination import Destination
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Customer, Entry, Person
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import connections, contacts, deliveries, queues, rates, secrets
from chalicelib.store.deliveries import ACTIVITY, CONTACT, DELIVERED, MOVE, Attempt, Duty
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id
from chalicelib.store.table import Check, Delete, Item, Key, Put, Table, Update, When
from tests.schedule import MemoryTable, replaced

CRM = "con_crm"
AT = "2026-09-01T10:00:00.000Z"


class Counted(MemoryTable):
    """Keeps what was read in each request."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[Key]] = []

    def get(self, key: Key) -> Item | None:
        self.reads.append([key])
        return super().get(key)

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        self.reads.append(list(keys))
        return super().batch_get(self.reads[-1])


def phone(number: int) -> Identity:
    return Identity("phone", f"+3161234567{number}", "", 3)


def event(number: int, who: Identity) -> Event:
    told = Event(
        type="message",
        occurred_at=f"2026-09-01T10:00:{number:02d}.000Z",
        channel="whatsapp",
        identities=(who,),
        text=f"question {number}",
        object=f"question-{number}",
    )
    return stamp(told, "con_src", "generic")


@dataclass
class Desk:
    """Ten events of three customers, and one system that is told of them; keyed, so that it is sent what it is sent."""

    table: Counted
    sent: list[tuple[str, str]] = field(default_factory=list)
    people: dict[str, str] = field(default_factory=dict)
    meanwhile: Callable[[], object] = lambda: None

    @property
    def events(self) -> list[Event]:
        return [event(number, phone(number % 3)) for number in range(10)]

    @property
    def duties(self) -> list[Duty]:
        return [
            Duty(CRM, ACTIVITY, node_id(each.identities[0]), f"E#{each.occurred_at}#{each.id}") for each in self.events
        ]

    def upsert(self, http: Any, customer: Customer, remote: str) -> str:
        made = remote or f"r{len(self.people) + 1}"
        self.people[made] = customer.id
        return made

    def append(self, http: Any, remote: str, entry: Entry) -> str:
        self.sent.append((remote, entry.event.id))
        self.meanwhile()
        return f"a{len(self.sent)}"

    @property
    def declared(self) -> Destination:
        return Destination(
            "Test",
            "http://127.0.0.1",
            lambda secrets, settings: {},
            append_activity=self.append,
            upsert_contact=self.upsert,
            contact_fields=("name",),
            keyed=True,
        )

    def office(self, duties: Sequence[Duty], *, alone: bool = False) -> Office:
        table = Noticed(self.table)

        def person_of(
            node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False
        ) -> Person | None:
            return people.of_node(table, Rules(), node, seen, sorts, brief=brief)

        def people_of(nodes: Sequence[str], seen: Mapping[str, Item]) -> Mapping[str, Person]:
            return people.of_nodes(table, Rules(), nodes, seen, (f"C#{CRM}",))

        early = None if alone else Ahead(table, duties, people_of, (f"C#{CRM}",))
        return Office(table, person_of, connections.reader(table), ahead=early)

    def go(self, duties: Sequence[Duty], *, alone: bool = False) -> list[str]:
        office = self.office(duties, alone=alone)
        self.table.reads.clear()
        return [deliver(office, each, tried=False) for each in duties]

    def fill(self) -> None:
        for each in self.events:
            record.record(self.table, each, "receipt", Organisation())
        connections.save(self.table, Connection(id=CRM, provider="test"))

    def told(self) -> None:
        """All customers are known there, and up to date."""
        self.go(self.duties[:3])
        self.sent.clear()


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk(Counted())
    rates.forget()
    outward.forget()
    patches = (
        (secrets, "pepper", lambda: b"pepper"),
        (queues, "send", lambda *told, **options: None),
        (destinations, "slugs", lambda: ("test",)),
        (destinations, "load", lambda slug: made.declared),
    )
    with replaced(*patches):
        resolve.forget()
        made.fill()
        yield made
    resolve.forget()


@pytest.mark.parametrize(("met", "reads"), [(True, [7 * 2 + 3, 3 + 3 * 3]), (False, [7 * 2 + 3, 3, 3 * 3])])
def test_a_batch_reads_once_what_each_would_read(desk: Desk, met: bool, reads: list[int]) -> None:
    """Rows, nodes and events; clusters and customers, at once where this container met them before."""
    desk.told()
    if not met:
        resolve.forget()
    assert desk.go(desk.duties[3:]) == ["delivered"] * 7
    together = [each for each in desk.table.reads if len(each) > 1 or each[0][0].startswith(("K#", "N#"))]
    assert [len(set(each)) for each in together] == reads
    assert [told for _, told in desk.sent] == [each.id for each in desk.events[3:]]


def test_it_tells_the_same_as_one_by_one(desk: Desk) -> None:
    """Nobody is known there yet: records are made on the way, and those who come later in the batch find them."""
    assert desk.go(desk.duties) == ["delivered"] * 10
    other = Desk(Counted())
    with replaced((destinations, "load", lambda slug: other.declared)):
        other.fill()
        assert other.go(other.duties, alone=True) == ["delivered"] * 10
    assert desk.sent == other.sent and len(set(desk.people.values())) == 3
    ours, theirs = ([each.table.get(duty.key) for duty in desk.duties] for each in (desk, other))
    assert [(row["st"], row["to"], row["ref"]) for row in ours if row] == [
        (DELIVERED, row["to"], row["ref"]) for row in theirs if row
    ]


def test_a_message_that_is_there_twice_is_sent_once(desk: Desk) -> None:
    first, second = desk.duties[:2]
    assert desk.go([first, second, first, second]) == ["delivered", "delivered", "dropped", "dropped"]
    assert len(desk.sent) == 2


def test_what_the_batch_put_itself_is_not_read_again(desk: Desk) -> None:
    """A record is made for the first; the second of the same customer needs to read nothing."""
    two = [each for each in desk.duties if each.node == node_id(phone(0))][:2]
    office = desk.office(two)
    assert deliver(office, two[0], tried=False) == "delivered"
    desk.table.reads.clear()
    assert deliver(office, two[1], tried=False) == "delivered"
    assert not desk.table.reads and [remote for remote, _ in desk.sent] == ["r1", "r1"]


def test_a_write_that_did_not_happen_tells_nothing(desk: Desk) -> None:
    noticed = Noticed(desk.table)
    noticed.write(Put({"pk": "A", "sk": "1", "v": 1}))
    assert not noticed.write(Put({"pk": "A", "sk": "1", "v": 2}, When(absent=True)))
    assert noticed.since(0) == {("A", "1"): None}


def test_what_is_too_old_is_read_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.told()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def slowly() -> None:
        """Another worker delivers the next one meanwhile."""
        nonlocal now
        now += ahead.MOST_SECONDS + 0.1
        desk.meanwhile = lambda: None
        done = Attempt(1, AT, AT)
        deliveries.delivered(desk.table, desk.duties[4], done, "r2", "by another")

    desk.meanwhile = slowly
    assert desk.go(desk.duties[3:6]) == ["delivered", "dropped", "delivered"]


def test_who_was_corrected_by_this_batch_is_read_anew(desk: Desk) -> None:
    """While the elder is told of, somebody finds out that the two are one: the younger's entry goes to the elder."""
    desk.told()
    persons = [people.of_node(desk.table, Rules(), each.node) for each in desk.duties[3:5]]
    pairs = zip(persons, desk.duties[3:5], strict=True)
    (elder, first), (_, second) = sorted(
        ((person.id, duty) for person, duty in pairs if person), key=lambda each: each[0]
    )
    office = desk.office([first, second])

    def united() -> None:
        desk.meanwhile = lambda: None
        one, other = graph.pair_of(first.node, second.node)
        resolve.apply(office.table, Rules(), [resolve.Node(one), resolve.Node(other)], {(one, other): graph.Rec(3)})

    desk.meanwhile = united
    assert [deliver(office, each, tried=False) for each in (first, second)] == ["delivered"] * 2
    remote = contacts.from_item(desk.table.get(contacts.key(CRM, elder[13:]))).remote
    assert [to for to, _ in desk.sent] == [remote, remote]


def test_one_who_was_erased_is_asked_for_alone_and_so_are_the_others(desk: Desk) -> None:
    desk.told()
    resolve.remove(desk.table, Rules(), [node_id(phone(0))], 1)

    def none(nodes: Sequence[str], seen: Mapping[str, Item]) -> Mapping[str, Person]:
        try:
            return people.of_nodes(desk.table, Rules(), nodes, seen)
        except Erased:
            return {}

    early = Ahead(Noticed(desk.table), desk.duties[3:6], none)
    for each in desk.duties[3:6]:
        early.found(each)
        assert early.person(each.node) is None


def test_only_what_a_batch_may_read_ahead_is(desk: Desk) -> None:
    """A message to a customer, a move and one duty alone read for themselves."""
    asked: list[Sequence[str]] = []

    def note(nodes: Sequence[str], seen: Mapping[str, Item]) -> Mapping[str, Person]:
        asked.append(nodes)
        return {}

    activity = desk.duties[0]
    letter, move = (msgspec.structs.replace(activity, kind=kind) for kind in ("message.rul_1", MOVE))
    desk.table.reads.clear()
    early = Ahead(Noticed(desk.table), [letter, move, activity], note)
    for each in (letter, move, activity):
        early.found(each)
        assert early.person(each.node) is None
    assert [len(each) for each in desk.table.reads] == [3, 3, 3] and not asked


def test_a_write_to_any_cluster_makes_all_customers_be_read_anew(desk: Desk) -> None:
    """A large cluster that is merged is left as it is, and only forwards."""
    table = Noticed(desk.table)
    early = Ahead(table, desk.duties, lambda nodes, seen: people.of_nodes(table, Rules(), nodes, seen))
    early.found(desk.duties[0])
    assert early.person(desk.duties[0].node)
    table.write(Put({"pk": "K#any", "sk": "-"}))
    assert early.person(desk.duties[0].node) is None


def test_who_is_read_after_a_write_is_as_he_was_read(desk: Desk) -> None:
    """Another worker may have written since, and that is what was read."""
    desk.told()
    table, sort, (first, second) = Noticed(desk.table), f"C#{CRM}", desk.duties[:2]
    early = Ahead(
        table, desk.duties, lambda nodes, seen: people.of_nodes(table, Rules(), nodes, seen, (sort,)), (sort,)
    )
    early.found(first)
    key = f"N#{second.node}", sort
    known = desk.table.peek(key)
    assert known
    table.write(Put(known | {"remote": "r8"}))
    desk.table.write(Put(known | {"remote": "r9"}))
    person = early.person(second.node)
    assert person and person.more[key]["remote"] == "r9"
    table.write(Put(known | {"remote": "r10"}))
    again = early.person(second.node)
    assert again and again.more[key]["remote"] == "r10"


def test_a_contact_that_was_changed_in_part_is_read_anew(desk: Desk) -> None:
    desk.told()
    table, sort, first = Noticed(desk.table), f"C#{CRM}", desk.duties[0]
    early = Ahead(
        table, desk.duties, lambda nodes, seen: people.of_nodes(table, Rules(), nodes, seen, (sort,)), (sort,)
    )
    early.found(first)
    person = early.person(first.node)
    assert person and (f"N#{first.node}", sort) in person.more
    table.write(Update((f"N#{first.node}", sort), {"at": AT}))
    assert early.person(first.node) is None


def test_every_write_is_noticed(desk: Desk) -> None:
    noticed = Noticed(desk.table)
    noticed.write(Put({"pk": "A", "sk": "1"}))
    noticed.write(Update(("A", "2"), {"v": 1}))
    noticed.write(Delete(("A", "3"), When(exists=True)))
    noticed.batch_put([{"pk": "A", "sk": "4"}, {"pk": "A", "sk": "5"}])
    noticed.transact([Put({"pk": "A", "sk": "6"}), Check(("A", "7"), When(absent=True))])
    unknown = {("A", str(number)): None for number in range(2, 7)}
    assert noticed.since(0) == {("A", "1"): {"pk": "A", "sk": "1"}, **unknown}
    assert not noticed.since(time.monotonic() + 1)
    assert noticed.get(("A", "1")) == {"pk": "A", "sk": "1"}
    assert [item["sk"] for item in noticed.query("A").items] == ["1", "2", "4", "5", "6"]
    assert noticed.batch_get([("A", "6")]) and len(noticed.scan(None, 3).items) == 3
    table: Table = noticed
    assert table


def test_a_write_whose_answer_was_lost_is_noticed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(action: Any) -> bool:
        raise ConnectionError

    monkeypatch.setattr(desk.table, "write", lost)
    noticed = Noticed(desk.table)
    with pytest.raises(ConnectionError):
        noticed.write(Put({"pk": "A", "sk": "1"}))
    assert noticed.since(0) == {("A", "1"): None}


def test_customers_of_a_batch_are_as_one_by_one(desk: Desk) -> None:
    """Also brief ones, and of nodes that nobody has."""
    desk.told()
    nodes = [node_id(phone(number)) for number in range(3)]
    seen = {node: item for node in nodes if (item := desk.table.get((f"N#{node}", "-")))}
    for brief, sorts in ((True, ()), (False, (f"C#{CRM}",))):
        found = people.of_nodes(desk.table, Rules(), [*nodes, "nobody"], seen, sorts, brief=brief)
        assert found == {
            node: people.of_node(desk.table, Rules(), node, seen[node], sorts, brief=brief) for node in nodes
        }
    assert all(contacts.among(found[node].more.values(), CRM, found[node].oldest).remote for node in nodes)
    assert all(one != other for one, other in pairwise(found.values()))


def test_a_contact_job_is_read_ahead_too(desk: Desk) -> None:
    desk.told()
    persons = [people.of_node(desk.table, Rules(), node_id(phone(number))) for number in range(3)]
    jobs = [Duty(CRM, CONTACT, each.oldest, each.id) for each in persons if each]
    assert desk.go(jobs) == ["delivered"] * 3
    assert sum(key[0].startswith("K#") for read in desk.table.reads for key in read) == 3
    assert len([read for read in desk.table.reads if any(key[0].startswith("K#") for key in read)]) == 1
