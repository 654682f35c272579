"""Plan: from a change in the table to the duties that follow. The stream is a trigger, not the truth.

What each record may mean:
    N#n E#…   a new event: one activity for each destination that wants it, or the contact where it shows none
    K#k       customers changed: their contacts, and the history of those no longer anonymous
    N#n F     fields changed: the contact; so when N#n S#r changed: a survey was answered

Each of them may also make a customer enter or leave an audience: its feed looks again.

Filters of the stream mapping may drop the rest before it gets here; this code tests the same
first, so a plain deployment without filters is right.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from chalicelib import destinations
from chalicelib.fanout import feed, moves
from chalicelib.fanout.messages import TALK, kind_of, sets_off
from chalicelib.fanout.prints import retold, unsaid
from chalicelib.fanout.wants import wants_item
from chalicelib.model.audience import Audience
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Person
from chalicelib.model.identity import ANONYMOUS_KINDS
from chalicelib.model.rule import Rule
from chalicelib.store import contacts
from chalicelib.store.codec import decode
from chalicelib.store.deliveries import ACTIVITY, CONTACT, Duty
from chalicelib.store.events import from_item
from chalicelib.store.table import Item, Table

Nodes = tuple[str, ...]
PartsOf = Callable[[Item], Sequence[tuple[str, Nodes]]]
"""(customer id, nodes) of a cluster item."""
AT_ONCE = 50
"""More entries than this are planned by a job."""


class PersonOf(Protocol):
    """Whose node this is now. `seen`: the node's item as just read; `sorts`: sort keys of items of
    his nodes to read along, into `more`; `brief`: his id, and whether he is anonymous, is enough."""

    def __call__(
        self, node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False
    ) -> Person | None: ...


@dataclass
class Planned:
    """`contacts`: duty → nodes of its customer. `changed`: nodes whose fields changed. `histories`:
    nodes whose earlier entries are more than can be planned at once. `moved`: nodes whose customer is another
    one now, and has several records somewhere, or had. `members`: duty of a feed →
    whether it goes at once, because consent may have changed."""

    activities: dict[Duty, None] = field(default_factory=dict)
    contacts: dict[Duty, Nodes] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    histories: dict[str, None] = field(default_factory=dict)
    moved: dict[str, None] = field(default_factory=dict)
    members: dict[Duty, bool] = field(default_factory=dict)

    def contacts_alone(self) -> list[Duty]:
        """Contact duties that no activity of the same batch brings along: it pushes them itself."""
        told = self.told()
        return [duty for duty, nodes in self.contacts.items() if told.isdisjoint((duty.connection, n) for n in nodes)]

    def told(self) -> set[tuple[str, str]]:
        """(connection, node) of the activities."""
        return {(duty.connection, duty.node) for duty in self.activities}


@dataclass(frozen=True)
class Planner:
    """`receivers` are the connections that have a destination."""

    table: Table
    receivers: tuple[Connection, ...]
    parts_of: PartsOf
    person_of: PersonOf
    rules: tuple[Rule, ...] = ()
    """By which the hub writes to customers about what is new."""
    audiences: tuple[Audience, ...] = ()
    """Those that have a feed."""

    def plan(self, record: dict[str, Any], into: Planned) -> None:
        """Add what one stream record asks for. Raises whatever the table raises."""
        new = image(record, "NewImage")
        if self.audiences:
            self._moved(image(record, "OldImage"), new, into)
        if new is None or not (self.receivers or self.rules):
            self._gone(image(record, "OldImage"), into)
            return
        if new["pk"].startswith("N#") and new["sk"].startswith("E#"):
            if record["eventName"] == "INSERT":
                self.event(new, into)
                self._messages(new, into)
                self._concerned(new, into)
        elif new["pk"].startswith("K#"):
            self.cluster(new, image(record, "OldImage"), into)
        elif new["sk"] == "F" or (new["pk"].startswith("N#") and new["sk"].startswith("S#")):
            into.changed[new["pk"][2:]] = None

    def settle(self, planned: Planned) -> None:
        """At the end of a batch: contacts for changed fields that no activity brings along."""
        told = planned.told()
        having = [each.id for each in self.receivers if destinations.load(each.provider).contacts]
        for node in planned.changed:
            self._members(self.person_of(node) if self.audiences else None, planned, at_once=True)
            if any((connection, node) not in told for connection in having):
                self._contacts(self.person_of(node), planned)

    def event(self, item: Item, into: Planned) -> None:
        """Activities for one event; anonymous customers are left to those who asked for them."""
        self._overruled(item, into)
        takers = [each for each in self.receivers if wants_item(each, item)]
        node = item["pk"][2:]
        if takers and self._told_at_home(item):
            return
        if takers and item.get("an"):
            person = self.person_of(node)
            if person is None or person.anonymous:
                takers = [each for each in takers if each.subscription.anonymous]
        self._told(takers, item, into)

    def _overruled(self, item: Item, into: Planned) -> None:
        """A system told a value: its record shows that from now on, and not what we pushed. One that does not count,
        because another one has priority or is newer, is overwritten with what does."""
        origin = next((each for each in self.receivers if each.id == item["cn"]), None)
        if origin is None or not destinations.load(origin.provider).contacts:
            return
        told = from_item(item).fields
        person = self.person_of(item["pk"][2:]) if told else None
        counts = person.customer.fields if person else {}
        lost = [name for name, value in told.items() if name in counts and counts[name].value != value]
        if person:
            now = partial(_shown_now, told=told, lost=lost)
            contacts.correct(self.table, origin.id, person.nodes, now, again=bool(lost))
        if person and lost:
            into.contacts[Duty(origin.id, CONTACT, person.oldest, person.id)] = tuple(person.nodes)

    def _told(self, takers: Iterable[Connection], item: Item, into: Planned) -> None:
        """An activity for each, or, where it shows no history, its customer: the event says that there is one."""
        for each in takers:
            if destinations.load(each.provider).history:
                into.activities[Duty(each.id, ACTIVITY, item["pk"][2:], item["sk"])] = None
            elif person := self.person_of(item["pk"][2:]):
                into.contacts[Duty(each.id, CONTACT, person.oldest, person.id)] = tuple(person.nodes)

    def _messages(self, item: Item, into: Planned) -> None:
        """Only what is new sets a rule off: history is never written about. So does an answer without any
        identity, once its refs brought it to somebody."""
        rules = [rule for rule in self.rules if sets_off(rule, item)]
        if not rules or self._told_at_home(item):
            return
        for rule in rules:
            into.activities[Duty(rule.connection, kind_of(rule), item["pk"][2:], item["sk"])] = None

    def _concerned(self, item: Item, into: Planned) -> None:
        """Somebody was in touch or bought something: he may belong now, or no more."""
        if self.audiences and (item["ty"] in TALK or item["ty"] == "order"):
            self._members(self.person_of(item["pk"][2:]), into, at_once=False)

    def _members(self, person: Person | None, into: Planned, *, at_once: bool) -> None:
        if person is not None and not person.anonymous:
            self.look_again(person.id, into, at_once=at_once)

    def _moved(self, old: Item | None, new: Item | None, into: Planned) -> None:
        """Customers that came to be, are others now, or are no more: merged, split, erased."""
        before, after = (
            {} if item is None or item["pk"][:2] != "K#" else dict(self.parts_of(item)) for item in (old, new)
        )
        for customer in {**before, **after}:
            if before.get(customer) != after.get(customer) and (customer in before or self._named(customer)):
                self.look_again(customer, into, at_once=True)

    def _named(self, customer: str) -> bool:
        """Whether a new customer is more than a visitor without a name."""
        person = self.person_of(customer[13:])
        return person is not None and not person.anonymous

    def look_again(self, customer: str, into: Planned, *, at_once: bool) -> None:
        """The feeds compare what they told of this customer with what is true when they are about to."""
        for each in self.audiences:
            duty = feed.duty_of(each.id, each.feed, customer)
            into.members[duty] = into.members.get(duty, False) or at_once

    def _told_at_home(self, item: Item) -> bool:
        """A copy that refs brought here is planned while its own home is nobody's."""
        return "hm" in item and self.person_of(item["hm"]) is not None

    def cluster(self, new: Item, old: Item | None, into: Planned) -> None:
        """A new customer needs no contact yet: the event that brought him will make it."""
        before = {nodes for _, nodes in self.parts_of(old)} if old else set()
        for customer, nodes in self.parts_of(new):
            if nodes not in before and (person := self.person_of(customer[13:])) and not person.anonymous:
                if old is not None:
                    self._contacts(person, into)
                for node in self._anonymous_before(nodes, before, person):
                    self.history(node, into)
        if old is not None:
            self._left(dict(self.parts_of(old)), dict(self.parts_of(new)), into, whole="fwd" in new)

    def _gone(self, old: Item | None, into: Planned) -> None:
        """A cluster that another one took in whole, or an erased one."""
        if old is not None and old["pk"].startswith("K#"):
            self._left(dict(self.parts_of(old)), {}, into, whole=True)

    def _left(self, before: moves.Parts, after: moves.Parts, into: Planned, *, whole: bool) -> None:
        """Customers that came apart are two for the systems too. `whole`: the cluster went to another one as it was,
        whose own change tells."""
        there = {node for nodes in after.values() for node in nodes}
        for nodes in () if whole else before.values():
            for node in (each for each in nodes if each not in there):
                self._contacts(self.person_of(node), into)
        if able := moves.movable(self.receivers):
            into.moved.update(dict.fromkeys(moves.astray(self.table, able, self.person_of, before, after)))

    def _anonymous_before(self, nodes: Nodes, before: set[Nodes], person: Person) -> Iterable[str]:
        """Web and app nodes that this change joined to somebody: their entries went nowhere yet."""
        for node in nodes:
            item = person.nodes.get(node)
            if item is None or item["kind"] not in ANONYMOUS_KINDS:
                continue
            was = next((part for part in before if node in part), (node,))
            if all(person.nodes[each]["kind"] in ANONYMOUS_KINDS for each in was if each in person.nodes):
                yield node

    def history(self, node: str, into: Planned) -> None:
        found = self.table.query(f"N#{node}", begins="E#", forward=False, limit=AT_ONCE + 1).items
        if len(found) > AT_ONCE:
            into.histories[node] = None
            return
        for item in (each for each in found if not self._told_at_home(each)):
            self._told((each for each in self.receivers if wants_item(each, item)), item, into)

    def _contacts(self, person: Person | None, into: Planned) -> None:
        if person is None or person.anonymous:
            return
        for each in self.receivers:
            if destinations.load(each.provider).contacts:
                into.contacts[Duty(each.id, CONTACT, person.oldest, person.id)] = tuple(person.nodes)


def _shown_now(pushed: str, told: Mapping[str, str], lost: Sequence[str]) -> str:
    return unsaid(pushed, lost) if lost else retold(pushed, told)


def image(record: dict[str, Any], name: str) -> Item | None:
    """An image of a stream record; Lambda gives binary values as base64 text."""
    wire = record.get("dynamodb", {}).get(name)
    return decode({key: _with_bytes(value) for key, value in wire.items()}) if wire else None


def _with_bytes(wire: dict[str, Any]) -> dict[str, Any]:
    ((kind, value),) = wire.items()
    if kind == "B":
        return {"B": base64.b64decode(value) if isinstance(value, str) else value}
    if kind == "M":
        return {"M": {key: _with_bytes(each) for key, each in value.items()}}
    if kind == "L":
        return {"L": [_with_bytes(each) for each in value]}
    return wire
