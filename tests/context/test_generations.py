"""One number, several people one after another: which one an event belongs to goes by its own time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.context import generations, people, record, timeline
from chalicelib.context.generations import CHANGED_HANDS, ERASED, Boundary
from chalicelib.context.graph import Rules
from chalicelib.context.timeline import Wanted
from chalicelib.errors import Busy
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import secrets
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Update
from tests.schedule import MemoryTable, Scheduler, TurnTable, replaced

PHONE = Identity("phone", "+31612345678", "", 2)
MARCH, JUNE, AUGUST = (f"2026-{month:02d}-01T00:00:00.000Z" for month in (3, 6, 8))


@pytest.fixture(autouse=True)
def _pepper() -> Iterator[None]:
    with replaced((secrets, "pepper", lambda: b"pepper")):
        yield


def rings(month: int, buyer: int) -> Event:
    found = Event(
        type="call",
        channel="voice",
        object=f"{month} {buyer}",
        occurred_at=f"2026-{month:02d}-15T10:00:00.000Z",
        identities=(PHONE, Identity("shop", str(buyer), "tc", 2)),
        refs=(Ref("event", f"{month} {buyer}", "con"),),
    )
    return stamp(msgspec.structs.replace(found), "con", "generic")


def calls_of(table: MemoryTable, buyer: int) -> list[str]:
    match, found = people.by_identity(table, Rules(), Identity("shop", str(buyer), "tc"))
    assert match == "exact"
    page = timeline.page(table, found[0].nodes, Wanted())
    return [item["sk"][2:9] for item in page.items]


def take(table: MemoryTable, *events: Event) -> list[str]:
    return [record.record(table, event, f"receipt {event.id}", Organisation()).verdict for event in events]


CALLS = (rings(2, 1), rings(4, 2), rings(5, 2), rings(7, 3))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_number_that_changed_hands_unites_nobody_across(order: tuple[int, ...]) -> None:
    table = MemoryTable()
    assert generations.bound(table, PHONE, JUNE, CHANGED_HANDS)
    assert generations.bound(table, PHONE, MARCH, CHANGED_HANDS)
    take(table, *(CALLS[number] for number in order))
    assert [calls_of(table, buyer) for buyer in (1, 2, 3)] == [["2026-02"], ["2026-05", "2026-04"], ["2026-07"]]
    match, found = people.by_identity(table, Rules(), PHONE)
    assert match == "exact" and found[0].customer.first("shop") == "3", "a look-up finds who has it now"


def test_nothing_before_an_erasure_comes_back_and_a_new_contact_starts_clean() -> None:
    table = MemoryTable()
    take(table, CALLS[0])
    generations.bound(table, PHONE, MARCH, ERASED)
    assert take(table, CALLS[0], CALLS[1]) == [record.REFUSED, "accepted"]
    assert calls_of(table, 2) == ["2026-04"]


def test_a_boundary_is_kept_once() -> None:
    table = MemoryTable()
    assert generations.bound(table, PHONE, JUNE, CHANGED_HANDS)
    rows = dict(table.rows)
    assert not generations.bound(table, PHONE, JUNE, CHANGED_HANDS)
    assert table.rows == rows


def test_boundaries_that_race_with_the_first_event_are_all_kept() -> None:
    wanted = [[at, CHANGED_HANDS] for at in (MARCH, JUNE, AUGUST)]
    for seed in range(60):
        rng = random.Random(seed)
        table = TurnTable(rng, lambda: None)

        def work(_: int, at: str | Event, table: TurnTable = table) -> None:
            if isinstance(at, Event):
                record.record(table, at, "receipt", Organisation())
            else:
                generations.bound(table, PHONE, at, CHANGED_HANDS)

        Scheduler(rng, [MARCH, JUNE, AUGUST, JUNE, CALLS[0]], work, lambda done: None, 4, 2).run()
        item = table.get((f"N#{secrets.node_id(PHONE)}", "-"))
        assert item and item["gens"] == wanted and "own" in item


def test_a_list_that_never_settles_is_busy() -> None:
    class Losing(MemoryTable):
        def write(self, action: object) -> bool:
            assert isinstance(action, Update)
            return False

    with pytest.raises(Busy):
        generations.bound(Losing(), PHONE, JUNE, CHANGED_HANDS)


def node_of(boundary: str) -> str:
    return secrets.node_id(PHONE, boundary)


def test_erasing_who_had_a_number_before_leaves_who_has_it_now() -> None:
    table = MemoryTable()
    generations.bound(table, PHONE, MARCH, CHANGED_HANDS)
    take(table, CALLS[1])
    generations.erase(table, PHONE, [node_of("")], AUGUST)
    generations.erase(table, PHONE, [node_of("")], AUGUST)
    assert take(table, CALLS[0], CALLS[1], CALLS[2]) == [record.REFUSED, "accepted", "accepted"]
    assert calls_of(table, 2) == ["2026-05", "2026-04"]
    generations.erase(table, PHONE, [node_of(MARCH)], AUGUST)
    assert take(table, CALLS[0], CALLS[1], CALLS[3]) == [record.REFUSED] * 3
    assert take(table, rings(9, 4)) == ["accepted"]


def test_a_boundary_inside_an_erased_time_brings_nobody_back() -> None:
    table = MemoryTable()
    take(table, CALLS[0], CALLS[1])
    generations.erase(table, PHONE, [node_of("")], AUGUST)
    generations.bound(table, PHONE, MARCH, CHANGED_HANDS)
    assert take(table, *CALLS) == [record.REFUSED] * 4


def test_a_next_edition_has_another_node_and_only_it() -> None:
    table = MemoryTable()
    generations.bound(table, PHONE, JUNE, CHANGED_HANDS)
    assert generations.renew(table, PHONE, JUNE, 1)
    assert not generations.renew(table, PHONE, JUNE, 1)
    found = generations.boundaries_of(table.get((f"N#{node_of('')}", "-")))
    assert [generations.generation_at(found, at) for at in (MARCH, JUNE, AUGUST)] == ["~1", "~1", JUNE]
    assert generations.newest(table, PHONE)[0] == node_of(JUNE)


TIMES = st.lists(st.integers(0, 9), max_size=5, unique=True).map(sorted)


@given(TIMES, st.integers(0, 9), st.integers(0, 9))
def test_generations_grow_with_time_and_share_no_moment(times: list[int], one: int, other: int) -> None:
    boundaries = [Boundary(str(at)) for at in times]
    first, second = (generations.generation_at(boundaries, str(at)) for at in sorted((one, other)))
    assert first is not None and second is not None and first <= second
    assert (first == second) == (not any(min(one, other) <= at < max(one, other) for at in times))
