"""Reading ahead: what the duties of one batch look at first, read for all of them at once.

Each duty begins with its row, its event and its customer: three requests each. The duties of a batch wait for one
another anyway, so here the first of them reads for those behind it too. A duty still sees all that was there when it
was asked for, because the whole batch had been received before; what is read ahead is used for MOST_SECONDS, so
that it is hardly older than the seconds that an attempt takes anyway, and with what this batch wrote to it since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from chalicelib.model.customer import Person
from chalicelib.store.deliveries import ACTIVITY, CONTACT, Duty
from chalicelib.store.table import Action, Check, Item, Key, Page, Put, Table

MOST_SECONDS = 2.0
WORTH = 2
"""Fewer duties have nothing to share."""
PeopleOf = Callable[[Sequence[str], Mapping[str, Item]], Mapping[str, Person]]
"""Whose nodes these are, with the contacts there, by node; `seen` their items. One left out is to be asked for alone."""


Answer = TypeVar("Answer")


@dataclass
class _Read(Generic[Answer]):
    """What was asked for at one moment, and the answers."""

    began: float = float("-inf")
    asked: frozenset[Key] = frozenset()
    answers: Mapping[Key, Answer] = field(default_factory=dict)

    def has(self, keys: Sequence[Key]) -> bool:
        return time.monotonic() <= self.began + MOST_SECONDS and self.asked.issuperset(keys)


@dataclass
class Noticed:
    """The table, and what was written through it: when, and the item where that is known."""

    table: Table
    _written: dict[Key, tuple[float, Item | None]] = field(default_factory=dict)

    def since(self, moment: float) -> dict[Key, Item | None]:
        """What was written from then on (monotonic); None where only that it was is known."""
        return {key: item for key, (at, item) in self._written.items() if at >= moment}

    def get(self, key: Key) -> Item | None:
        return self.table.get(key)

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        return self.table.batch_get(keys)

    def write(self, action: Action) -> bool:
        self._notice([action])
        done = self.table.write(action)
        if done and isinstance(action, Put):
            self._written[action.item["pk"], action.item["sk"]] = time.monotonic(), action.item
        return done

    def batch_put(self, items: Sequence[Item]) -> None:
        self._notice([Put(item) for item in items])
        self.table.batch_put(items)

    def transact(self, actions: Sequence[Action]) -> bool:
        self._notice(actions)
        return self.table.transact(actions)

    def query(
        self,
        pk: str,
        *,
        begins: str = "",
        after: str = "",
        before: str = "",
        forward: bool = True,
        limit: int = 0,
        index: bool = False,
        start: Key | None = None,
    ) -> Page:
        return self.table.query(
            pk, begins=begins, after=after, before=before, forward=forward, limit=limit, index=index, start=start
        )

    def scan(self, start: Key | None, limit: int) -> Page:
        return self.table.scan(start, limit)

    def _notice(self, actions: Iterable[Action]) -> None:
        """Before the write: of one that failed nobody knows whether it was done."""
        now = time.monotonic()
        for action in actions:
            if isinstance(action, Put):
                self._written[action.item["pk"], action.item["sk"]] = now, None
            elif not isinstance(action, Check):
                self._written[action.key] = now, None


def keys_of(duty: Duty) -> list[Key]:
    """Of its row, its node and its event."""
    return [duty.key, _node(duty.node), *duty.event_keys]


class Ahead:
    """Of one batch for one connection, in its order. `people`: asked with the nodes of several duties at once;
    `sorts`: of the items that it reads along with each node."""

    def __init__(self, table: Noticed, duties: Sequence[Duty], people: PeopleOf, sorts: tuple[str, ...] = ()) -> None:
        self._table = table
        self._left = [each for each in duties if each.kind in (ACTIVITY, CONTACT)]
        self._people = people
        self._sorts = sorts
        self._items: _Read[Item] = _Read()
        self._persons: _Read[Person] = _Read()

    def found(self, duty: Duty) -> dict[Key, Item]:
        """Row, node and event, as far as they are there. Raises StorageUnavailable."""
        keys = keys_of(duty)
        self._left = self._left[self._left.index(duty) :] if duty in self._left else self._left
        if duty not in self._left:
            return self._table.batch_get(keys)
        if not self._items.has(keys):
            if len(self._left) < WORTH:
                return self._table.batch_get(keys)
            self._read_items()
        written = {key: item for key, item in self._table.since(self._items.began).items() if key in keys}
        if None in written.values():
            return self._table.batch_get(keys)
        now = {**self._items.answers, **written}
        return {key: item for key in keys if (item := now.get(key))}

    def person(self, node: str) -> Person | None:
        """Whose node that of a duty just found is. None: that is to be asked for alone. Raises StorageUnavailable
        and Busy."""
        if not self._items.has([_node(node)]) or all(each.node != node for each in self._left):
            return None
        if not self._persons.has([_node(node)]):
            self._read_persons()
        person = self._persons.answers.get(_node(node))
        return self._as_written(person) if person else None

    def _read_items(self) -> None:
        began, asked = time.monotonic(), [key for each in self._left for key in keys_of(each)]
        self._items = _Read(began, frozenset(asked), self._table.batch_get(asked))
        self._persons = _Read()

    def _read_persons(self) -> None:
        began, nodes = time.monotonic(), dict.fromkeys(each.node for each in self._left)
        seen = {each: item for each in nodes if (item := self._items.answers.get(_node(each)))}
        found = self._people(list(nodes), seen)
        answers = {_node(each): person for each, person in found.items()}
        self._persons = _Read(began, frozenset(map(_node, nodes)), answers)

    def _as_written(self, person: Person) -> Person | None:
        """With what this batch put along with him since. None where it did anything else: to his own items, or to
        whose nodes are whose."""
        mine = {f"N#{each}" for each in person.nodes}
        since = self._table.since(self._persons.began)
        changed = {key: item for key, item in since.items() if key[0] in mine or key[0].startswith("K#")}
        if any(item is None or key[1] not in self._sorts for key, item in changed.items()):
            return None
        return msgspec.structs.replace(person, more=person.more | changed) if changed else person


def _node(node: str) -> Key:
    return f"N#{node}", "-"
