"""Tallies add up in any order and any slices, and their percentiles are as near as they promise."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.model import tally
from chalicelib.model.event import CHANNELS, DIRECTIONS, TYPES
from chalicelib.model.tally import NOTHING, Tally

words = [st.sampled_from(sorted(each)) for each in (CHANNELS, TYPES, DIRECTIONS)]
events = st.lists(st.tuples(*words), max_size=40)
answers = st.lists(st.tuples(words[0], st.integers(0, 100)), max_size=20)
switches = st.lists(st.tuples(words[0], words[0]), max_size=20)
waits = st.lists(st.floats(0, 10**7), max_size=20)
states = st.sampled_from(["delivered", "parked", "delayed", "held", "claimed"])
rows = st.lists(st.tuples(states, st.integers(1, 30), st.integers(0, 10**6)), max_size=40)


@given(events, answers, switches, waits, rows, st.data())
def test_slices_in_any_order_make_the_whole(
    said: list[tuple[str, str, str]],
    scored: list[tuple[str, int]],
    moved: list[tuple[str, str]],
    waited: list[float],
    told: list[tuple[str, int, int]],
    data: st.DataObject,
) -> None:
    whole = tally.added(
        [tally.of_events(said), tally.of_answers(scored), tally.of_talk(moved, waited), tally.of_deliveries(told)]
    )
    parts = [tally.of_events([each]) for each in said] + [tally.of_answers([each]) for each in scored]
    parts += [tally.of_talk([each], []) for each in moved] + [tally.of_talk([], [each]) for each in waited]
    parts += [tally.of_deliveries([each]) for each in told]
    shuffled = data.draw(st.permutations(parts))
    cut = data.draw(st.integers(0, len(shuffled)))
    assert tally.added([tally.added(shuffled[:cut]), tally.added(shuffled[cut:])]) == whole
    assert sum(whole.events.values()) == len(said) and sum(whole.scores.values()) == sum(score for _, score in scored)
    assert sum(whole.latencies.values()) == whole.attempts.get("delivered", 0)


@given(events, waits)
def test_a_tally_is_the_same_after_it_was_kept(said: list[tuple[str, str, str]], waited: list[float]) -> None:
    found = tally.added([tally.of_events(said), tally.of_talk([], waited)])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Tally) == found
    assert tally.of_plain(msgspec.json.decode(msgspec.json.encode(tally.plain(found)))) == found


@given(st.lists(st.floats(1, 10**8), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_a_percentile_is_at_most_a_tenth_beside_the_exact_one(values: list[float], part: float) -> None:
    exact = sorted(values)[math.ceil(part * len(values)) - 1]
    found = tally.percentile(tally.of_talk([], values).waits, part)
    assert found is not None and max(found / exact, exact / found) < 1.0906


@given(st.floats(0, 1))
def test_all_up_to_one_is_one(value: float) -> None:
    assert tally.percentile(tally.of_talk([], [value]).waits, 0.5) == 1.0


def test_of_nothing_there_is_no_percentile() -> None:
    assert tally.percentile({}, 0.5) is None
    assert tally.added([]) == NOTHING == tally.of_events([])


def test_a_delivery_that_took_three_attempts_failed_twice() -> None:
    found = tally.of_deliveries([("delivered", 3, 40), ("parked", 5, 900), ("held", 1, 0), ("delivered", 1, 8)])
    assert found.attempts == {"delivered": 2, "parked": 1, "waiting": 1, "failed_attempts": 8}
    assert sum(found.latencies.values()) == 2, "how long a refusal took is nothing that was delivered"
