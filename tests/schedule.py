"""An in-memory table, and a scheduler that interleaves workers at every storage call.

Workers are greenlets. Before each storage call, between the gets of a batch, and before it
acknowledges, a worker gives the turn back; the scheduler draws who goes next, and whom to kill
there (his work is delivered again). One seed is one schedule, so a failure repeats.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import greenlet
import msgspec

from chalicelib.context import resolve
from chalicelib.errors import Busy, StorageUnavailable
from chalicelib.store.codec import encode
from chalicelib.store.table import Action, Delete, Item, Key, Page, Put, Update, When
from tests.faults import Killed

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder()


class MemoryTable:
    """The table port in memory: same conditions, limits and orders as DynamoTable."""

    def __init__(self) -> None:
        self.rows: dict[Key, bytes] = {}

    def peek(self, key: Key) -> Item | None:
        row = self.rows.get(key)
        return None if row is None else _DECODER.decode(row)

    def get(self, key: Key) -> Item | None:
        return self.peek(key)

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        return {key: item for key in keys if (item := self.peek(key)) is not None}

    def write(self, action: Action) -> bool:
        if not self._holds(action):
            return False
        self._do(action)
        return True

    def batch_put(self, items: Sequence[Item]) -> None:
        for item in items:
            self._do(Put(item))

    def transact(self, actions: Sequence[Action]) -> bool:
        keys = [key_of(action) for action in actions]
        if not actions or len(actions) > 100 or len(set(keys)) < len(keys):
            raise StorageUnavailable("a transaction takes 1 to 100 different items")
        if not all(map(self._holds, actions)):
            return False
        for action in actions:
            self._do(action)
        return True

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
        names = ("gpk", "gsk") if index else ("pk", "sk")
        rows = [item for item in map(_DECODER.decode, self.rows.values()) if item.get(names[0]) == pk]
        inside = [item for item in rows if names[1] in item and _within(item[names[1]], begins, after, before)]
        inside.sort(key=lambda item: (item[names[1]], item["pk"], item["sk"]), reverse=not forward)
        if start:
            keys = [(item["pk"], item["sk"]) for item in inside]
            inside = inside[keys.index(start) + 1 :]
        page = inside[:limit] if limit else inside
        full = bool(limit) and len(page) == limit
        return Page(page, (page[-1]["pk"], page[-1]["sk"]) if full else None)

    def scan(self, start: Key | None, limit: int) -> Page:
        keys = sorted(key for key in self.rows if start is None or key > start)
        found = [_DECODER.decode(self.rows[key]) for key in keys[:limit]]
        return Page(found, keys[limit - 1] if len(keys) > limit else None)

    def _holds(self, action: Action) -> bool:
        return _met(action.when, self.peek(key_of(action)))

    def _do(self, action: Action) -> None:
        match action:
            case Put(item):
                encode(item)
                self.rows[item["pk"], item["sk"]] = _ENCODER.encode(item)
            case Delete(key):
                self.rows.pop(key, None)
            case Update(key, changed, gone):
                item = self.peek(key) or {"pk": key[0], "sk": key[1]}
                kept = {name: value for name, value in item.items() if name not in gone}
                self._do(Put({**kept, **changed}))


def key_of(action: Action) -> Key:
    return (action.item["pk"], action.item["sk"]) if isinstance(action, Put) else action.key


def _met(when: When, item: Item | None) -> bool:
    if (when.absent and item is not None) or (when.exists and item is None):
        return False
    found = item or {}
    return all(
        name not in found if value is None else (name in found and found[name] == value) for name, value in when.equal
    )


def _within(sort: str, begins: str, after: str, before: str) -> bool:
    if begins:
        return sort.startswith(begins)
    return (not after or sort > after) and (not before or sort < before)


class TurnTable(MemoryTable):
    """A memory table that gives the turn back before each call, and at random inside a batch of
    gets. `committed` is called after each write that took effect."""

    def __init__(self, rng: random.Random, committed: Callable[[], None]) -> None:
        super().__init__()
        resolve.forget()  # a new world, in which a seed means the same whatever ran before
        self.rng, self.committed = rng, committed

    def get(self, key: Key) -> Item | None:
        turn()
        return super().get(key)

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        turn()
        order = list(keys)
        self.rng.shuffle(order)
        found = {}
        for key in order:
            if (item := self.peek(key)) is not None:
                found[key] = item
            if self.rng.random() < 0.3:
                turn()
        return found

    def write(self, action: Action) -> bool:
        turn()
        return self._wrote(super().write(action))

    def transact(self, actions: Sequence[Action]) -> bool:
        turn()
        return self._wrote(super().transact(actions))

    def batch_put(self, items: Sequence[Item]) -> None:
        for item in items:
            self.write(Put(item))

    def query(self, pk: str, **options: Any) -> Page:
        turn()
        return super().query(pk, **options)

    def _wrote(self, done: bool) -> bool:
        if done:
            self.committed()
        return done


def turn() -> None:
    """Give the turn back to the scheduler; outside a schedule, go on."""
    parent = greenlet.getcurrent().parent
    if parent is not None:
        parent.switch()


class Scheduler:
    """Performs `works` in any order by `workers` workers, each work at least once.

    `perform(worker, work)` runs in a greenlet. `done(work)` follows each acknowledged work. A
    killed or Busy work is delivered again; any other error ends the schedule.
    """

    def __init__(
        self,
        rng: random.Random,
        works: Sequence[Any],
        perform: Callable[[int, Any], None],
        done: Callable[[Any], None],
        workers: int,
        kills: int,
        shuffled: bool = True,
    ) -> None:
        self.rng, self.queue = rng, list(works)
        self.perform, self.done = perform, done
        self.workers, self.kills = workers, kills
        self.stick = rng.choice((0.0, 0.3, 0.7, 0.9))
        self.current: Any = None
        if shuffled:
            rng.shuffle(self.queue)
        self.queue.reverse()

    def run(self) -> None:
        active: dict[int, tuple[greenlet.greenlet, Any]] = {}
        last = 0
        while self.queue or active:
            for worker in range(self.workers):
                if worker not in active and self.queue:
                    active[worker] = (greenlet.greenlet(self._body), self.queue.pop())
            last = last if last in active and self.rng.random() < self.stick else self.rng.choice(sorted(active))
            if self._step(last, *active[last]):
                del active[last]

    def _body(self, worker: int, work: Any) -> bool:
        try:
            self.perform(worker, work)
            turn()
        except (Killed, Busy):
            return False
        return True

    def _step(self, worker: int, runner: greenlet.greenlet, work: Any) -> bool:
        """One turn of one worker; whether he is through with his work, one way or the other."""
        self.current = work
        if runner and self.kills and self.rng.random() < 0.04:
            self.kills -= 1
            answer = runner.throw(Killed)
        else:
            answer = runner.switch() if runner else runner.switch(worker, work)
        self.current = None
        if not runner.dead:
            return False
        if answer:
            self.done(work)
        else:
            self.queue.insert(self.rng.randrange(len(self.queue) + 1), work)
        return True


@contextmanager
def replaced(*patches: tuple[Any, str, Any]) -> Iterator[None]:
    """Attributes (owner, name, value) replaced for a while."""
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    try:
        for owner, name, value in patches:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(kept):
            setattr(owner, name, value)
