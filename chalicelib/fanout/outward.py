"""The way out to one connection: its secrets, its token, its pace. Whoever asks a destination goes this way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from chalicelib.errors import Paced, Unauthorized
from chalicelib.fanout import grants
from chalicelib.kit import outgoing
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.source import Secrets
from chalicelib.model.connection import Connection
from chalicelib.settings import settings
from chalicelib.store import rates, secrets
from chalicelib.store.table import Table

if TYPE_CHECKING:
    from chalicelib.kit.http import Http

Result = TypeVar("Result")
SLOW_SECONDS = 1.0
"""A request that takes longer tells that its system is slow, for as long as this container"""
REMEMBERED_SECONDS = 60.0
"""remembers it. Our own work does not count: a busy machine makes nobody else slow."""
REFUSALS = 2
"""One system error may be about one record, two in a row are about the system. No answer at all tells at once."""
FIRST_REST, LONGEST_REST, DOUBLINGS = 2.0, 30.0, 4
"""Seconds for which this container then asks it nothing, twice as long each time: what waits costs little, and
the workers are free for others."""
_slow: dict[str, float] = {}
_down: dict[str, tuple[int, float]] = {}
"""Failures in a row, and the moment (monotonic) until which it is left alone."""


def slow(connection: str) -> float:
    """Seconds for which it still counts as slow here, or 0."""
    return max(0.0, _slow.get(connection, 0.0) - time.monotonic())


def down(connection: str) -> float:
    """Seconds for which it is left alone here, because it just did not answer or failed; 0: ask."""
    return max(0.0, _down.get(connection, (0, 0.0))[1] - time.monotonic())


def note(connection: str, seconds: float, status: int) -> None:
    """What one request told. `status` 0: it had no answer."""
    now = time.monotonic()
    if seconds > SLOW_SECONDS:
        _slow[connection] = now + REMEMBERED_SECONDS
    if status and status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
        _down.pop(connection, None)
        return
    failures, until = _down.get(connection, (0, 0.0))
    if until > now:
        return  # one that was under way when it was found out
    failures += 1 if status or failures else REFUSALS
    rest = math.ldexp(FIRST_REST, min(failures - REFUSALS, DOUBLINGS)) if failures >= REFUSALS else 0.0
    _down[connection] = failures, now + min(rest, LONGEST_REST)


def distrust(connection: str) -> None:
    """It answered, but nobody knows what it did: as bad as no answer."""
    note(connection, 0.0, 0)


def forget() -> None:
    _slow.clear()
    _down.clear()


def through(
    table: Table,
    connection: Connection,
    destination: Destination,
    use: Callable[[Http], Result],
    *,
    waited: bool = False,
    patience: float = 0.0,
) -> Result:
    """What `use` makes of it. A token that is refused is asked for anew, once, so `use` may run twice.

    `waited`: this was told to come back now, so it need not line up behind others. `patience`: seconds
    for which it may wait for our own pace, all in all. Raises the delivery errors; Paced where we have
    asked enough for now.
    """
    plain: Secrets = secrets.decrypt_all(connection.id, connection.secrets)
    pace = _Pace(table, connection.id, limit(connection, destination), waited, patience)
    if destination.grant is None:
        return use(_http(connection, destination, plain, "", pace))
    for last in (False, True):
        token = grants.held(table, connection, destination, plain)
        try:
            return use(_http(connection, destination, grants.joined(plain, token), token.base_url, pace))
        except Unauthorized:
            grants.refused(table, connection.id, token)
            if last:
                raise
    raise AssertionError("unreachable")


def limit(connection: Connection, destination: Destination) -> Limit:
    """As fast as the system allows, or as its owner says."""
    own, seconds = connection.settings.get("rate_limit"), connection.settings.get("rate_seconds", 1)
    return Limit(own, float(seconds)) if own else destination.limit


def _http(connection: Connection, destination: Destination, plain: Secrets, base_url: str, pace: _Pace) -> Http:
    private = settings().allow_private_destinations
    http = destination.http(connection.settings, plain, base_url=base_url, allow_private=private)
    mapped = {name: tuple(outgoing.section(connection.mapping, name)) for name in destination.mapped}
    return replace(http, pace=pace, mapped=mapped, watched=partial(note, connection.id))


@dataclass
class _Pace:
    """Before each request: goes on, or raises Paced, which says whether one was made before it."""

    table: Table
    connection: str
    limit: Limit
    waited: bool
    patience: float
    made: int = 0

    def __call__(self) -> None:
        while wait := self._wait():
            if wait > self.patience:
                about = f"we ask at most {self.limit.requests} times in {self.limit.seconds:g} s"
                raise Paced(about, wait, untried=not self.made)
            self.patience -= wait
            self.waited = True
            time.sleep(wait)
        self.made += 1

    def _wait(self) -> float:
        known = self.waited or self.made > 0
        return rates.take(self.table, self.connection, self.limit.requests, self.limit.seconds, waited=known)
