"""Who lost a race for a customer's record is tried once more in the same batch, after the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.errors import Busy
from chalicelib.fanout.deliver import Office
from chalicelib.store import queues
from chalicelib.store.deliveries import ACTIVITY, Duty
from chalicelib.workers import deliver as working
from chalicelib.workers.batch import Batch
from tests.schedule import MemoryTable

CRM = "con_crm"
SENT = "E#2026-11-26T12:00:00.000Z#"


class Desk:
    """A share of a batch; `races`: how often each event loses its own."""

    def __init__(self, races: dict[str, int]) -> None:
        self.races = races
        self.asked: list[tuple[str, bool]] = []
        self.rests: list[float] = []
        self.given_back: list[tuple[str, int]] = []

    def deliver(self, office: Office, duty: Duty, *, tried: bool, **_: Any) -> str:
        name = duty.sort.removeprefix(SENT)
        self.asked.append((name, tried))
        if self.races.get(name, 0) > 0:
            self.races[name] -= 1
            raise Busy("another worker pushes this contact")
        return "delivered"

    def take(self, names: str, receives: str = "1") -> Batch:
        batch = Batch(queues.DELIVERIES)
        records = [
            {
                "body": Duty(CRM, ACTIVITY, "node", f"{SENT}{name}").message[0],
                "receiptHandle": name,
                "attributes": {"ApproximateReceiveCount": receives},
            }
            for name in names
        ]
        working._share(MemoryTable(), batch, records)
        return batch


@pytest.fixture
def desk_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    def made(**races: int) -> Desk:
        desk = Desk(races)
        monkeypatch.setattr(working, "deliver", desk.deliver)
        monkeypatch.setattr(working.time, "sleep", desk.rests.append)
        return desk

    return made


def test_once_more_after_the_others(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(a=1, c=1)
    batch = desk.take("abcd")
    assert desk.asked == [(name, False) for name in "abcd"] + [("a", True), ("c", True)]
    assert (sorted(batch.done), batch.again, desk.rests) == (list("abcd"), [], [working.BREATH])


def test_who_loses_again_comes_back_by_the_queue(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(b=2)
    batch = desk.take("ab", receives="3")
    assert (batch.done, batch.again) == (["a"], [("b", 3)])
    assert desk.asked == [("a", True), ("b", True), ("b", True)]


def test_nobody_waits_where_nobody_lost(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with()
    assert (desk.take("ab").done, desk.rests) == (["a", "b"], [])
