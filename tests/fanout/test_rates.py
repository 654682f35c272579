"""A bucket shared by workers: never more requests in a window than declared, whoever asks."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.model import instants
from chalicelib.store import rates
from chalicelib.store.table import Item, Key
from tests.schedule import MemoryTable, replaced


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    rates.forget()
    yield
    rates.forget()


def spent(seed: int, requests: int, seconds: float, workers: int, asks: int) -> list[int]:
    """Moments (ms) at which requests were allowed to workers that each keep their own share; whoever
    is put off comes back in his turn, or now and then does not."""
    rng, table, clock = random.Random(seed), MemoryTable(), 1_000_000
    shares: list[dict[str, rates._Taken]] = [{} for _ in range(workers)]
    allowed: list[int] = []
    turns: list[int] = []
    for _ in range(asks):
        clock += rng.choice((0, 0, 1, 5, 50))
        waited = bool(turns) and turns[0] <= clock
        if waited:
            heapq.heappop(turns)
        with replaced((instants, "now_ms", lambda now=clock: now), (rates, "_taken", rng.choice(shares))):
            wait = rates.take(table, "con", requests, seconds, waited=waited)
        if wait == 0:
            allowed.append(clock)
        elif rng.random() < 0.9:
            heapq.heappush(turns, clock + int(wait * 1000))
    return allowed


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([1.0, 2.0, 10.0]), st.integers(1, 5))
def test_no_window_sees_more_than_twice_what_is_declared_and_the_long_run_no_more(
    seed: int, requests: int, seconds: float, workers: int
) -> None:
    allowed = spent(seed, requests, seconds, workers, 600)
    window = int(seconds * 1000)
    for moment in allowed:
        assert sum(moment <= each < moment + window for each in allowed) <= 2 * requests + 1
    lasted = allowed[-1] - allowed[0] + 1
    assert len(allowed) <= requests * (lasted / window + 2) + 1


def test_threads_of_one_worker_take_from_one_share() -> None:
    class Slow(MemoryTable):
        def get(self, key: Key) -> Item | None:
            time.sleep(0.02)
            return super().get(key)

    table = Slow()
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda _: rates.take(table, "con", 100, 10.0), range(25)))
    assert waits == [0.0] * 25
    item = table.peek(("C#con", "RATE"))
    assert item and item["ver"] == 1


def test_an_empty_bucket_says_how_long_and_then_lets_through() -> None:
    table, clock = MemoryTable(), [1_000_000]
    with replaced((instants, "now_ms", lambda: clock[0])):
        allowed = 0
        while (wait := rates.take(table, "con", 10, 1.0)) == 0:
            allowed += 1
        assert 8 <= allowed <= 12 and 0 < wait <= 1.0
        assert rates.take(table, "another", 10, 1.0) == 0, "one connection holds no other up"
        clock[0] += int(wait * 1000) + 1
        assert rates.take(table, "con", 10, 1.0) > 0, "somebody else waits: nobody gets before him"
        assert rates.take(table, "con", 10, 1.0, waited=True) == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.integers(1, 4), st.integers(4, 60))
def test_a_backlog_drains_at_the_pace_and_each_is_put_off_as_often_as_it_asks(
    many: int, each: int, requests: int
) -> None:
    """`many` deliveries of `each` requests at once: no crowd that comes back again and again."""
    table, clock, put_off = MemoryTable(), 1_000_000, 0
    waiting = [(clock, number, each, False) for number in range(many)]
    while waiting:
        moment, number, left, waited = heapq.heappop(waiting)
        clock = max(clock, moment)
        with replaced((instants, "now_ms", lambda now=clock: now)):
            while left and (wait := rates.take(table, "con", requests, 1.0, waited=waited)) == 0:
                left -= 1
        if left:
            put_off += 1
            heapq.heappush(waiting, (clock + int(wait * 1000) + 1, number, left, True))
    lasted = (clock - 1_000_000) / 1000
    assert lasted <= 1.6 * many * each / requests + 2
    assert put_off <= many * (each + 1)


def test_a_request_costs_a_fraction_of_a_write() -> None:
    table, clock = MemoryTable(), [1_000_000]
    writes = 0
    with replaced((instants, "now_ms", lambda: clock[0])):
        for _ in range(100):
            before = dict(table.rows)
            assert rates.take(table, "con", 100, 1.0) == 0
            writes += table.rows != before
            clock[0] += 20
    assert writes <= 8


T0 = 1_000_000


class Desk:
    """Asks at given moments and counts what is written. Eight requests in two seconds: shares of two, 250 ms each."""

    def __init__(self, requests: int = 8, seconds: float = 2.0) -> None:
        self.table, self.limit = MemoryTable(), (requests, seconds)

    def ask(self, at: int = 0, waited: bool = False) -> float:
        with replaced((instants, "now_ms", lambda: T0 + at)):
            return rates.take(self.table, "con", *self.limit, waited=waited)

    @property
    def row(self) -> dict[str, int]:
        found = self.table.get(("C#con", "RATE")) or {}
        return {name: found[name] for name in ("next", "line", "ver") if name in found}


def test_the_bucket_in_numbers() -> None:
    desk = Desk()
    assert desk.ask() == 0 and desk.row == {"next": T0 + 500, "line": 0, "ver": 1}
    assert desk.ask() == 0 and desk.row["ver"] == 1, "the second is of the same share"
    assert [desk.ask() for _ in range(6)] == [0] * 6 and desk.row == {"next": T0 + 2000, "line": 0, "ver": 4}
    assert desk.ask() == 0.5 and desk.row == {"next": T0 + 2000, "line": T0 + 750, "ver": 5}
    assert desk.ask() == 0.75 and desk.row == {"next": T0 + 2000, "line": T0 + 1000, "ver": 6}
    assert desk.ask(499, waited=True) == 0.501, "a millisecond early: to the end of the line"
    assert desk.ask(500, waited=True) == 0, "his turn"
    assert desk.row["next"] == T0 + 2500


def test_whoever_comes_anew_waits_for_the_end_of_the_line_and_not_longer() -> None:
    desk = Desk()
    assert [desk.ask() for _ in range(8)] == [0] * 8
    assert desk.ask() == 0.5, "the line ends at 750"
    assert desk.ask(749) == 0.001
    desk = Desk()
    assert [desk.ask() for _ in range(9)] == [0] * 8 + [0.5]
    assert desk.ask(750) == 0


def test_a_millisecond_is_waited_where_a_millisecond_is_left() -> None:
    desk = Desk()
    assert [desk.ask() for _ in range(8)] == [0] * 8
    assert desk.ask(499) == 0.001


def test_a_share_lasts_for_its_window() -> None:
    for at, writes in ((1999, 1), (2000, 2)):
        rates.forget()
        desk = Desk()
        assert desk.ask() == 0 and desk.ask(at) == 0 and desk.row["ver"] == writes


def test_what_a_container_forgets_it_takes_anew() -> None:
    desk = Desk()
    assert desk.ask() == 0
    rates.forget()
    assert desk.ask() == 0 and desk.row["ver"] == 2


@pytest.mark.parametrize(("requests", "share"), [(1, 1), (3, 1), (8, 2), (40, 10), (100, 25), (104, 25), (1000, 25)])
def test_a_share_is_a_quarter_and_at_most_twenty_five(requests: int, share: int) -> None:
    desk = Desk(requests)
    for _ in range(share):
        assert desk.ask() == 0 and desk.row["ver"] == 1
    desk.ask()
    assert desk.row["ver"] == 2


def test_who_always_comes_too_late_waits_for_one_request() -> None:
    class Crowded(MemoryTable):
        asked = 0

        def write(self, *actions: object) -> bool:
            self.asked += 1
            return False

    table = Crowded()
    assert rates.take(table, "con", 8, 2.0) == 0.25 and table.asked == 8
    assert rates.take(table, "con", 8, 2.0) == 0.25, "and has no share"
