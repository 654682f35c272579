"""The systems around the hub: the stand-ins of the tests, made to remember little.

Ids begin at the moment of the start, so that a system which is empty again after a restart never
gives out an id that the hub knows from before.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.standins.hubspot import ENGAGEMENTS, HubSpot
from tests.standins.partner import Partner
from tests.standins.server import Answer, Call, Standin
from tests.standins.twilio import Twilio
from tests.standins.zendesk import Zendesk

Row = dict[str, Any]
KEYS = ("hub_event_id", "hub_customer_id", "email", "phone")
"""Properties by which rows are found."""


class Forgetful(Standin):
    """Keeps no log of its calls."""

    def work(self, call: Call) -> Answer:
        with self.lock:
            return self.answer(call)


class Crm(Forgetful, HubSpot):
    """Finds rows by their keys without looking through all, and of an activity that is on a
    contact's timeline keeps only those. `told`: contact → event → on how many activities."""

    def reset(self) -> None:
        super().reset()
        self._ids = ids_from_now()
        self._index: dict[tuple[str, str, str], dict[str, None]] = {}
        self.told: dict[str, Counter[str]] = {}

    def contacts_with(self, **keys: str) -> list[str]:
        """Every contact that has one of these values: of one customer there must be one."""
        with self.lock:
            found = [key for name, value in keys.items() for key in self._holders("contacts", name, value)]
        return list(dict.fromkeys(found))

    def times(self, contacts: list[str]) -> Counter[str]:
        with self.lock:
            return sum((self.told.get(each, Counter()) for each in contacts), Counter[str]())

    def taken(self) -> int:
        """Activities on contacts' timelines."""
        return len(self.links)

    def _holders(self, kind: str, name: str, value: str) -> list[str]:
        rows = self.objects[kind]
        known = self._index.get((kind, name, value.lower()), {})
        return [
            key for key in known if key in rows and (rows[key]["properties"].get(name) or "").lower() == value.lower()
        ]

    def _find(self, kind: str, name: str, value: str) -> Row | None:
        if name not in KEYS:
            return super()._find(kind, name, value)
        return next((self.objects[kind][key] for key in self._holders(kind, name, value)), None)

    def _make(self, kind: str, properties: Row) -> Row:
        return self._indexed(kind, super()._make(kind, properties))

    def _change(self, row: Row, properties: Row) -> Row:
        kind = next(kind for kind, rows in self.objects.items() if row["id"] in rows)
        return self._indexed(kind, super()._change(row, properties))

    def _indexed(self, kind: str, row: Row) -> Row:
        for name in KEYS:
            if value := row["properties"].get(name):
                self._index.setdefault((kind, name, value.lower()), {})[row["id"]] = None
        return row

    def _association(self, call: Call, kind: str, key: str, to: str, other: str) -> Answer:
        before = len(self.links)
        answer = super()._association(call, kind, key, to, other)
        if kind in ENGAGEMENTS and len(self.links) > before:
            row = self.objects[kind][key]
            row["properties"] = {name: row["properties"][name] for name in KEYS if name in row["properties"]}
            self.told.setdefault(other, Counter())[row["properties"]["hub_event_id"]] += 1
        return answer


class Feed(Forgetful, Partner):
    """`times`: event → under how many webhook-ids it came. `whole`: whether what came is kept.
    `repeats` came again under their webhook-id, which a partner drops."""

    def reset(self) -> None:
        super().reset()
        self.times: Counter[str] = Counter()
        self.whole = True
        self.again = 0

    def answer(self, call: Call) -> Answer:
        answer = super().answer(call)
        came = self.deliveries.pop() if self.deliveries else {}
        if came.get("repeat"):
            self.again += 1
        elif answer.status == 200:
            self.times[self.taken[came["id"]]["data"]["id"]] += 1
            self.taken[came["id"]] = self.taken[came["id"]] if self.whole else {}
        return answer


class Desk(Forgetful, Zendesk):
    def reset(self) -> None:
        super().reset()
        self._ids = ids_from_now()


class Phones(Forgetful, Twilio):
    pass


def ids_from_now() -> itertools.count[int]:
    return itertools.count(time.time_ns() // 1_000_000)


@dataclass(frozen=True)
class Systems:
    crm: Crm
    feed: Feed
    desk: Desk
    phones: Phones


@contextmanager
def systems() -> Iterator[Systems]:
    """All of them on loopback ports of their own."""
    with ExitStack() as opened:
        made = Systems(Crm(), Feed(), Desk(), Phones())
        for each in (made.crm, made.feed, made.desk, made.phones):
            opened.callback(each.stop)
        yield made
