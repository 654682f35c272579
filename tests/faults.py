"""Killing a worker at a chosen storage call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from chalicelib.store.table import Action, Item, Key, Page, Table

Answer = TypeVar("Answer")


class Killed(BaseException):
    """The worker is gone; nothing that it would have done next happens. Not an Exception, so
    that no handler in the code under test takes it for a failure that it may survive."""


class FaultTable:
    """A table whose `kill_at`-th call (from 1) kills its caller, before or after it took effect.
    `calls` counts them, so that a run without a kill says how many kill points there are."""

    def __init__(self, table: Table, kill_at: int = 0, after: bool = False) -> None:
        self.table, self.kill_at, self.after = table, kill_at, after
        self.calls = 0

    def _call(self, operation: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        self.calls += 1
        dies = self.calls == self.kill_at
        if dies and not self.after:
            raise Killed
        answer = operation(*args, **options)
        if dies:
            raise Killed
        return answer

    def get(self, key: Key) -> Item | None:
        return self._call(self.table.get, key)

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        return self._call(self.table.batch_get, keys)

    def write(self, action: Action) -> bool:
        return self._call(self.table.write, action)

    def batch_put(self, items: Sequence[Item]) -> None:
        return self._call(self.table.batch_put, items)

    def transact(self, actions: Sequence[Action]) -> bool:
        return self._call(self.table.transact, actions)

    def query(self, pk: str, **options: Any) -> Page:
        return self._call(self.table.query, pk, **options)

    def scan(self, start: Key | None, limit: int) -> Page:
        return self._call(self.table.scan, start, limit)
