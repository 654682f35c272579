"""The way out of one connection: what a request told of its system, whose token it takes, and at which pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pytest

from chalicelib.errors import Paced, Unauthorized
from chalicelib.fanout import grants, outward
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.grant import Token
from chalicelib.kit.http import Http
from chalicelib.model.connection import Connection
from chalicelib.store import rates, secrets
from tests.schedule import MemoryTable


@dataclass
class Clock:
    """Monotonic seconds of a container that has just begun; who sleeps moves them on."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    monkeypatch.setattr(time, "sleep", made.sleep)
    outward.forget()
    yield made
    outward.forget()


def test_of_a_system_that_nobody_asked_nothing_is_known() -> None:
    assert (outward.slow("con"), outward.down("con")) == (0.0, 0.0)


@pytest.mark.parametrize(("seconds", "remembered"), [(1.0, 0.0), (1.001, 60.0)])
def test_slow_is_longer_than_a_second_and_remembered_for_a_minute(
    clock: Clock, seconds: float, remembered: float
) -> None:
    outward.note("con", seconds, HTTPStatus.OK)
    assert (outward.slow("con"), outward.slow("another")) == (remembered, 0.0)
    clock.now += 59.5
    assert outward.slow("con") == max(0.0, remembered - 59.5)
    clock.now += 0.5
    assert outward.slow("con") == 0.0


@pytest.mark.parametrize(
    ("statuses", "rest"),
    [
        ([0], 2.0),
        ([500], 0.0),
        ([499, 499], 0.0),
        ([500, 500], 2.0),
        ([429, 503], 2.0),
        ([500, 0], 2.0),
        ([500, 200, 500], 0.0),
    ],
)
def test_no_answer_tells_at_once_and_an_error_when_it_is_the_second(statuses: Sequence[int], rest: float) -> None:
    for status in statuses:
        outward.note("con", 0.1, status)
    assert (outward.down("con"), outward.down("another")) == (rest, 0.0)


@pytest.mark.parametrize("status", [0, 500])
def test_a_rest_is_twice_as_long_each_time_up_to_half_a_minute(clock: Clock, status: int) -> None:
    rests = []
    for _ in range(7):
        outward.note("con", 0.1, status)
        rests.append(outward.down("con"))
        clock.now += outward.down("con")
        assert outward.down("con") == 0.0, "at its end one may ask, and what that one tells counts"
    assert rests == ([2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] if status == 0 else [0.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0])


def test_what_ends_within_the_rest_makes_it_no_longer(clock: Clock) -> None:
    outward.note("con", 0.1, 0)
    clock.now += 1.999
    outward.note("con", 0.1, 0)
    assert outward.down("con") == pytest.approx(0.001)
    clock.now = 2.0
    outward.note("con", 0.1, 0)
    assert outward.down("con") == 4.0


def test_whom_nobody_trusts_is_left_alone_and_not_called_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "SLOW_SECONDS", 0.5)
    outward.distrust("con")
    assert (outward.down("con"), outward.slow("con")) == (2.0, 0.0)


@dataclass
class Turns:
    """The bucket, which says how long to wait; after that: go on. `asked`: each time, the limit and whether who asks has
    waited, or has begun."""

    waits: list[float] = field(default_factory=list)
    asked: list[tuple[int, float, bool]] = field(default_factory=list)

    def take(self, table: Any, connection: str, requests: int, seconds: float, *, waited: bool = False) -> float:
        assert connection == "con"
        self.asked.append((requests, seconds, waited))
        return self.waits.pop(0) if self.waits else 0.0

    @property
    def known(self) -> list[bool]:
        return [waited for _, _, waited in self.asked]


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    made = Turns()
    monkeypatch.setattr(rates, "take", made.take)
    return made


def connection(**settings: Any) -> Connection:
    return Connection(id="con", provider="test", settings=settings)


def system(**more: Any) -> Destination:
    return Destination("Test", "https://test.example", lambda held, settings: {}, **more)


def asking(times: int) -> Callable[[Http], int]:
    """So many requests, as far as the pace of them goes; answers how many were made."""

    def use(http: Http) -> int:
        for _ in range(times):
            assert http.pace
            http.pace()
        return times

    return use


def ask(times: int, **options: Any) -> int:
    return outward.through(MemoryTable(), connection(), system(limit=Limit(8, 2.0)), asking(times), **options)


def test_whoever_may_go_on_does_not_wait_and_lines_up_once(clock: Clock, turns: Turns) -> None:
    assert ask(3) == 3
    assert turns.asked == [(8, 2.0, False), (8, 2.0, True), (8, 2.0, True)]
    assert clock.slept == []


def test_whoever_was_told_to_come_now_does_not_line_up(turns: Turns) -> None:
    assert ask(1, waited=True) == 1
    assert turns.known == [True]


@pytest.mark.parametrize(("waits", "untried"), [([0.001], True), ([0.0, 0.001], False), ([0.0, 0.0, 0.001], False)])
def test_who_has_no_patience_is_put_off_and_told_whether_anything_was_sent(
    clock: Clock, turns: Turns, waits: list[float], untried: bool
) -> None:
    turns.waits += waits
    with pytest.raises(Paced) as paced:
        ask(3)
    assert (paced.value.retry_after, paced.value.untried) == (0.001, untried)
    assert paced.value.reason == "we ask at most 8 times in 2 s"
    assert len(turns.asked) == len(waits) and clock.slept == []


def test_patience_waits_and_has_waited_then(clock: Clock, turns: Turns) -> None:
    turns.waits += [0.25, 0.5]
    assert ask(2, patience=0.75) == 2
    assert clock.slept == [0.25, 0.5]
    assert turns.known == [False, True, True, True], "whoever waited has his turn"


@pytest.mark.parametrize(
    ("waits", "slept"),
    [([1.5], []), ([0.75, 0.5], [0.75]), ([0.75, 0.0, 0.5], [0.75]), ([1.0, 0.25], [1.0])],
    ids=["at once", "after a wait", "before the second", "after all of it"],
)
def test_patience_is_for_all_waits_together(clock: Clock, turns: Turns, waits: list[float], slept: list[float]) -> None:
    turns.waits += waits
    with pytest.raises(Paced) as paced:
        ask(2, patience=1.0)
    assert paced.value.retry_after == waits[-1] and paced.value.untried is (0.0 not in waits)
    assert clock.slept == slept


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({}, Limit(100, 10.0)),
        ({"rate_limit": 7}, Limit(7, 1.0)),
        ({"rate_limit": 7, "rate_seconds": 60}, Limit(7, 60.0)),
        ({"rate_seconds": 60}, Limit(100, 10.0)),
    ],
    ids=["the system's", "its owner's", "in a time of his own", "a time alone says nothing"],
)
def test_its_owner_says_how_fast_or_the_system_does(turns: Turns, settings: dict[str, int], limit: Limit) -> None:
    outward.through(MemoryTable(), connection(**settings), system(), asking(1))
    assert turns.asked == [(limit.requests, limit.seconds, False)]


def test_what_each_request_told_is_noted_for_its_own_connection() -> None:
    def slowly(http: Http) -> str:
        assert http.watched
        http.watched(1.5, 0)
        return "answered"

    assert outward.through(MemoryTable(), connection(), system(), slowly) == "answered"
    assert (outward.slow("con"), outward.down("con"), outward.slow("another")) == (60.0, 2.0, 0.0)


def test_what_a_mapping_fills_goes_along() -> None:
    own = Connection(id="con", provider="test", mapping={"contact": {"vip": "`true`"}})
    declared = system(mapped={"contact": (), "activity": ()})
    found = outward.through(MemoryTable(), own, declared, lambda http: http.mapped)
    assert found == {"contact": ("vip",), "activity": ()}


@dataclass
class Tokens:
    """A vendor that gives numbered tokens, and takes none of those that are `stale`."""

    stale: set[str] = field(default_factory=set)
    given: list[str] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)

    def grant(self, http: Any) -> Token:
        self.given.append(f"t-{len(self.given) + 1}")
        return Token(self.given[-1], 3600, f"https://eu{len(self.given)}.test.example")

    def use(self, http: Http) -> str:
        (token,) = http.secrets["access_token"]
        self.used.append((token, http.base_url))
        assert http.pace
        http.pace()
        if token in self.stale:
            raise Unauthorized(f"HTTP 401 for {token}")
        return f"done with {token}"

    def go(self, table: MemoryTable, **options: Any) -> str:
        return outward.through(table, connection(), system(grant=self.grant), self.use, **options)


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch, turns: Turns) -> Iterator[Tokens]:
    monkeypatch.setattr(secrets, "encrypt", lambda owner, name, value: value)
    monkeypatch.setattr(secrets, "decrypt", lambda owner, name, text: text)
    grants.forget()
    yield Tokens()
    grants.forget()


def test_a_token_that_is_taken_is_asked_for_once_and_says_where(tokens: Tokens) -> None:
    table = MemoryTable()
    assert [tokens.go(table) for _ in range(2)] == ["done with t-1"] * 2
    assert tokens.given == ["t-1"] and tokens.used == [("t-1", "https://eu1.test.example")] * 2


def test_a_token_that_is_refused_is_asked_for_anew_and_what_was_begun_is_done_again(
    tokens: Tokens, turns: Turns
) -> None:
    tokens.stale = {"t-1"}
    table = MemoryTable()
    assert tokens.go(table) == "done with t-2"
    assert tokens.used == [("t-1", "https://eu1.test.example"), ("t-2", "https://eu2.test.example")]
    assert turns.known == [False, True], "it is one way out, and one pace"
    assert tokens.go(table) == "done with t-2" and tokens.given == ["t-1", "t-2"]


def test_who_refuses_a_second_token_refuses_us_and_the_next_one_asks_anew(tokens: Tokens) -> None:
    tokens.stale = {"t-1", "t-2"}
    table = MemoryTable()
    with pytest.raises(Unauthorized, match="HTTP 401 for t-2"):
        tokens.go(table)
    assert tokens.given == ["t-1", "t-2"]
    assert tokens.go(table) == "done with t-3"


def test_without_tokens_a_refusal_is_a_refusal(turns: Turns) -> None:
    tried = []

    def refused(http: Http) -> str:
        tried.append(http.base_url)
        raise Unauthorized("HTTP 401")

    with pytest.raises(Unauthorized):
        outward.through(MemoryTable(), connection(), system(), refused)
    assert tried == ["https://test.example"]
