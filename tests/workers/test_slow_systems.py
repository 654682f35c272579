"""A slow system keeps few workers, whoever they are and even when they die; a fast one is not counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from chalicelib.errors import Unknown
from chalicelib.fanout import outward
from chalicelib.kit.destination import Destination
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.settings import settings
from chalicelib.store import slots
from chalicelib.store.deliveries import ACTIVITY, Duty
from chalicelib.workers import deliver as working
from chalicelib.workers import turns
from chalicelib.workers.turns import Turns
from tests.faults import FaultTable
from tests.schedule import MemoryTable, replaced
from tests.standins.server import Answer, Call, Standin


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    """As another worker: it has seen nothing yet."""
    outward.forget()
    slots.forget()


def after_a_while() -> tuple[tuple[Any, str, Any], ...]:
    """When it was slow so long ago that nobody remembers."""
    seconds = outward.REMEMBERED_SECONDS + 1
    clock, now = time.monotonic() + seconds, instants.now_ms() + int(seconds * 1000)
    return (time, "monotonic", lambda: clock), (instants, "now_ms", lambda: now)


def connection(**settings: int | str) -> Connection:
    return Connection(id="con", provider="test", ver=1, settings=dict(settings))


def test_no_more_slots_than_there_are_and_they_come_back() -> None:
    table = MemoryTable()
    mine = [slots.take(table, "con", 2) for _ in range(3)]
    assert mine[0] and mine[1] and mine[0] != mine[1] and not mine[2]
    assert slots.take(table, "another", 2)
    slots.give_back(table, "con", mine[0])
    slots.give_back(table, "con", mine[0])
    assert slots.take(table, "con", 2) and not slots.take(table, "con", 2)


def test_the_slot_of_a_dead_worker_ends() -> None:
    table, now = MemoryTable(), instants.now_ms()
    assert slots.take(table, "con", 1) and not slots.take(table, "con", 1)
    with replaced((instants, "now_ms", lambda: now + slots.LASTS_MS + 1_000)):
        assert slots.take(table, "con", 1)


def test_a_fast_system_costs_nothing_and_has_as_many_workers_as_come() -> None:
    table = MemoryTable()
    shares = [Turns(table, connection()) for _ in range(9)]
    assert not any(share.crowded() for share in shares)
    outward.note("con", 0.9, 200)
    assert not any(share.crowded() for share in shares)
    for share in shares:
        share.leave()
    assert table.rows == {}


def test_a_slow_one_keeps_two_until_one_leaves_and_is_forgiven() -> None:
    table = MemoryTable()
    shares = [Turns(table, connection()) for _ in range(3)]
    outward.note("con", outward.SLOW_SECONDS + 1, 200)
    assert [share.crowded() for share in shares] == [False, False, True]
    assert not shares[0].crowded(), "who has a slot goes on"
    shares[0].leave()
    assert not shares[2].crowded()
    with replaced(*after_a_while()):
        assert not Turns(table, connection()).crowded()


def test_one_worker_finds_it_slow_and_all_know() -> None:
    table = MemoryTable()
    first = Turns(table, connection())
    outward.note("con", outward.SLOW_SECONDS + 1, 200)
    assert not first.crowded()
    first.leave()
    forget()
    others = [Turns(table, connection()) for _ in range(3)]
    assert [share.crowded() for share in others] == [False, False, True]
    with replaced(*after_a_while()):
        assert not Turns(table, connection()).crowded()


def test_a_fast_one_is_asked_about_seldom() -> None:
    table = FaultTable(MemoryTable())
    for _ in range(50):
        Turns(table, connection()).crowded()
    assert table.calls == 1


def test_its_owner_may_say_how_many() -> None:
    table = MemoryTable()
    shares = [Turns(table, connection(concurrency=1)) for _ in range(2)]
    assert [share.crowded() for share in shares] == [False, True]


def test_a_share_ends_before_its_function_does() -> None:
    share = Turns(MemoryTable(), connection())
    assert not share.crowded()
    late = time.monotonic() + turns.SHARE_SECONDS + 1
    with replaced((time, "monotonic", lambda: late)):
        assert share.crowded()


@pytest.mark.parametrize("mode", ["slow", "drop"])
def test_the_way_out_tells_how_long_a_system_took_whatever_it_answered(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "1")
    settings.cache_clear()
    with Echo() as echo, replaced((outward, "SLOW_SECONDS", 0.0 if mode == "drop" else 0.5)):
        own = connection(base_url=echo.url)
        if mode == "slow":
            ask(own)
            assert not outward.slow("con")
        echo.behave(mode, delay=0.6)
        with suppress(Unknown):
            ask(own)
        assert outward.slow("con") and not outward.slow("another")
    settings.cache_clear()


def ask(own: Connection) -> None:
    outward.through(
        MemoryTable(), own, Destination("test", "", lambda secrets, settings: {}), lambda http: http.request("GET")
    )


class Echo(Standin):
    def reset(self) -> None:
        pass

    def answer(self, call: Call) -> Answer:
        return Answer(200, {})


def later(seconds: float) -> tuple[Any, str, Any]:
    clock = time.monotonic() + seconds
    return time, "monotonic", lambda: clock


def test_one_that_gives_no_answer_is_left_alone_ever_longer_until_it_answers() -> None:
    assert not outward.down("con")
    rests, at = [], 0.0
    for _ in range(8):
        with replaced(later(at)):
            outward.note("con", 0.1, 0)
            rests.append(round(outward.down("con")))
            assert not outward.down("another")
        at += rests[-1] + 1
        with replaced(later(at)):
            assert not outward.down("con"), "and then one may try"
    assert rests == [2, 4, 8, 16, 30, 30, 30, 30]
    with replaced(later(at)):
        outward.note("con", 0.1, 200)
    assert not outward.down("con")
    outward.note("con", 0.1, 0)
    assert round(outward.down("con")) == 2, "it begins anew"


@pytest.mark.parametrize(("status", "left_alone"), [(500, True), (503, True), (429, True), (404, False), (409, False)])
def test_one_error_may_be_about_one_record_and_two_are_about_the_system(status: int, left_alone: bool) -> None:
    outward.note("con", 0.1, status)
    assert not outward.down("con")
    outward.note("con", 0.1, status)
    assert bool(outward.down("con")) is left_alone


def test_what_was_under_way_when_it_was_found_out_tells_nothing_new() -> None:
    for _ in range(20):
        outward.note("con", 0.1, 0)
    assert round(outward.down("con")) == 2


def test_after_an_outcome_that_nobody_knows_the_rest_of_a_share_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in a good answer, for one: the request went well, and yet it is as bad as none."""
    rests: list[float] = []

    def lied(office: Any, duty: Duty, *, down: float, **_: Any) -> str:
        rests.append(down)
        outward.note(duty.connection, 0.1, 200)
        return "unknown" if not down else "delayed"

    class Straight:
        def take(self, message: dict[str, Any], work: Any, park: Any, lost: Any = None) -> None:
            work(message)

    monkeypatch.setattr(working, "deliver", lied)
    duties = [Duty("con", ACTIVITY, f"n{number}", f"E#2026-11-26T12:00:00.000Z#e{number}") for number in range(3)]
    records = [{"body": each.message[0], "attributes": {"ApproximateReceiveCount": "1"}} for each in duties]
    working._share(MemoryTable(), Straight(), records)  # type: ignore[arg-type]
    assert rests[0] == 0 and rests[1] > 1
