"""Placing, for every interleaving of two workers with a kill at every step.

One event names somebody and carries refs; the other carries refs only. Whatever the order of
their storage calls, and wherever one of them dies and is delivered again, the second one ends on
the first one's timeline. The two mutants read before they write, and lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import greenlet
import pytest

from chalicelib.context import place
from chalicelib.context.place import Participant
from chalicelib.model.event import Event, Ref
from chalicelib.store import events, secrets
from chalicelib.store.table import Action, Item, Key, Page
from tests.faults import Killed
from tests.schedule import MemoryTable, TurnTable, replaced

HOME = "home"
Works = tuple[Callable[[TurnTable], None], Callable[[TurnTable], None]]


@pytest.fixture(autouse=True)
def _pepper() -> Iterator[None]:
    with replaced((secrets, "pepper", lambda: b"pepper")):
        yield


class _NoChance:
    """Never switches inside a batch: the exhaustive search counts each call as one step."""

    def random(self) -> float:
        return 1.0

    def shuffle(self, _: list[object]) -> None:
        return


class _Traced(TurnTable):
    """Remembers what each worker was answered. Workers are deterministic, so two schedules with
    equal rows and equal answers go on alike: only one of them needs to be followed."""

    def __init__(self) -> None:
        super().__init__(_NoChance(), lambda: None)  # type: ignore[arg-type]
        self.heard: dict[int, int] = {}

    def _hear(self, answer: object) -> None:
        who = id(greenlet.getcurrent())
        self.heard[who] = hash((self.heard.get(who, 0), repr(answer)))

    def get(self, key: Key) -> Item | None:
        answer = super().get(key)
        self._hear(answer)
        return answer

    def batch_get(self, keys: Iterable[Key]) -> dict[Key, Item]:
        answer = super().batch_get(keys)
        self._hear(answer)
        return answer

    def write(self, action: Action) -> bool:
        answer = super().write(action)
        self._hear(answer)
        return answer

    def query(self, pk: str, **options: Any) -> Page:
        answer = super().query(pk, **options)
        self._hear(answer)
        return answer

    def state(self, runners: list[greenlet.greenlet]) -> int:
        return hash((frozenset(self.rows.items()), *((self.heard.get(id(each), 0), each.dead) for each in runners)))


def _event(name: str, *refs: Ref) -> Event:
    return Event(
        type="return", channel="store", object=name, id=name, occurred_at="2026-09-05T12:02:11.000Z", refs=refs
    )


def _who(node: str = HOME, own: bool = True, via: str = "order") -> Participant:
    return Participant(node, 2, own, "2026-09-02T18:15:00.000Z", via, "web")


def _participates(refs: list[str], who: Participant) -> Callable[[TurnTable], None]:
    def work(table: TurnTable) -> None:
        seen = table.batch_get([(f"R#{ref}", f"P#{who.node}") for ref in refs])
        for mark in place.participate(table, refs, who, seen).marks:
            table.write(mark)

    return work


def _waits(refs: list[str], event: Event) -> Callable[[TurnTable], None]:
    def work(table: TurnTable) -> None:
        existing = table.get((f"R#{refs[0]}", events.sort_key(event)))
        if existing:
            place.place(table, existing)
        else:
            place.wait(table, refs, event, "receipt")

    return work


def _run(
    works: Works, choices: list[int], kill: tuple[int, int] | None, known: set[int]
) -> tuple[TurnTable, list[tuple[int, bool]], bool]:
    """One schedule. `choices[i]`: who goes at step i; beyond the list, the first who can.
    `kill`: (worker, step of that worker); the killed work is done again at the end. `known`:
    states already followed; a run that meets one ends there.

    Gives the table, each step taken (who, and whether the other could have gone instead), and
    whether the run came to its end."""
    table = _Traced()
    runners = [greenlet.greenlet(lambda work=work: work(table)) for work in works]
    steps, again = [0, 0], []
    taken: list[tuple[int, bool]] = []
    while any(not runner.dead for runner in runners):
        alive = [number for number, runner in enumerate(runners) if not runner.dead]
        worker = choices[len(taken)] if len(taken) < len(choices) else alive[0]
        if len(taken) >= len(choices) and len(alive) == 2:
            state = hash((table.state(runners), *steps))
            if state in known:
                return table, taken, False
            known.add(state)
        taken.append((worker, len(alive) == 2))
        steps[worker] += 1
        if kill == (worker, steps[worker]) and steps[worker] > 1:
            with pytest.raises(Killed):
                runners[worker].throw(Killed)
            again.append(works[worker])
        else:
            runners[worker].switch()
    for work in again:
        _alone(table, work)
    return table, taken, True


def _alone(table: TurnTable, work: Callable[[TurnTable], None]) -> None:
    runner = greenlet.greenlet(lambda: work(table))
    while not runner.dead:
        runner.switch()


def _interleavings(works: Works, kill: tuple[int, int] | None) -> Iterator[MemoryTable]:
    """Every schedule that differs, depth first: after each run, the last step that may go the
    other way does."""
    choices: list[int] = []
    known: set[int] = set()
    while True:
        table, taken, ended = _run(works, choices, kill, known)
        if ended:
            yield table
        while taken and taken[-1] != (0, True):
            taken.pop()
        if not taken:
            return
        choices = [*(who for who, _ in taken[:-1]), 1]


def _kills(works: Works) -> list[tuple[int, int] | None]:
    _, taken, _ = _run(works, [], None, set())
    counts = [sum(who == worker for who, _ in taken) for worker in (0, 1)]
    return [None, *((worker, step) for worker in (0, 1) for step in range(2, counts[worker] + 3))]


def _unplaced(works: Works, placed: Callable[[MemoryTable], bool]) -> tuple[int, int]:
    """(schedules, those that left the event unplaced)"""
    verdicts = [placed(table) for kill in _kills(works) for table in _interleavings(works, kill)]
    return len(verdicts), verdicts.count(False)


def _at_home(event: Event) -> Callable[[MemoryTable], bool]:
    return lambda table: (f"N#{HOME}", events.sort_key(event)) in table.rows


RETURN = _event("return", Ref("order", "6001", "shop"))
ONE_REF: Works = (_participates(["r1"], _who()), _waits(["r1"], RETURN))


def test_every_interleaving_with_a_kill_at_every_step_places_the_event() -> None:
    schedules, unplaced = _unplaced(ONE_REF, _at_home(RETURN))
    assert schedules > 100
    assert unplaced == 0


def test_the_mutant_that_reads_participants_before_writing_loses_it() -> None:
    def wait_late(table: TurnTable) -> None:
        found = place._ranked(place._queried(table, ["r1"]))
        table.batch_put([place._waiting_item("r1", ["r1"], RETURN, "receipt", place.NOBODY, first=True)])
        if found:
            place.place(table, place._waiting_item("r1", ["r1"], RETURN, "receipt", place.NOBODY, first=True))

    _, unplaced = _unplaced((ONE_REF[0], wait_late), _at_home(RETURN))
    assert unplaced > 0


def test_the_mutant_that_reads_waiting_before_writing_loses_it() -> None:
    def participate_late(table: TurnTable) -> None:
        waiting = table.query("R#r1", begins="E#").items
        table.batch_put([_who().item("r1")])
        for item in waiting:
            place.place(table, item)

    _, unplaced = _unplaced((participate_late, ONE_REF[1]), _at_home(RETURN))
    assert unplaced > 0


def _waits_for(need: place.Need) -> Callable[[TurnTable], None]:
    def work(table: TurnTable) -> None:
        existing = table.get(("R#r1", events.sort_key(RETURN)))
        if existing:
            place.place(table, existing, again=True)
        else:
            place.wait(table, ["r1"], RETURN, "receipt", need)

    return work


ON_A_PHONE = place.Need(home="phone")
TYPED = place.Need(typed=("r1",), contacts=("mail",))


@pytest.mark.parametrize("need", [ON_A_PHONE, TYPED], ids=["on a phone", "typed"])
def test_every_interleaving_places_what_only_its_refs_tell(need: place.Need) -> None:
    who = Participant(HOME, 2, True, "2026-09-02T18:15:00.000Z", "order", "web", contacts=("mail", "phone"))
    schedules, unplaced = _unplaced((_participates(["r1"], who), _waits_for(need)), _at_home(RETURN))
    assert schedules > 100
    assert unplaced == 0


def test_a_contact_that_comes_later_makes_a_typed_ref_count() -> None:
    """The order is known first without, then with the address that the sender wrote from."""
    for order in ((0, 1, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0), (1, 0, 2), (1, 2, 0)):
        table = _Traced()
        steps = (
            _participates(["r1"], _who()),
            _participates(
                ["r1"], Participant(HOME, 2, True, "2026-09-03T18:15:00.000Z", "x", "web", contacts=("mail",))
            ),
            _waits_for(TYPED),
        )
        for number in order:
            _alone(table, steps[number])
            assert _at_home(RETURN)(table) == (
                table.get(("R#r1", events.sort_key(RETURN))) is not None and _told(table)
            )


def _told(table: MemoryTable) -> bool:
    item = table.peek(("R#r1", f"P#{HOME}"))
    return bool(item and item.get("by"))


def test_the_mutant_that_is_done_before_it_looked_loses_it() -> None:
    def hasty(table: TurnTable, item: Item, existing: Item | None) -> Item:
        mine = right(table, item, existing)
        table.write(place._done(mine))
        return mine

    right = place._put_better
    with replaced((place, "_put_better", hasty)):
        _, unplaced = _unplaced(ONE_REF, _at_home(RETURN))
    assert unplaced > 0


def test_a_placed_event_vouches_for_its_other_refs() -> None:
    """The receipt's own event waits under the receipt alone; the return ties it to the order."""
    pickup = _event("pickup", Ref("receipt", "R-77", "pos"))
    both = _event("both", Ref("receipt", "R-77", "pos"), Ref("order", "6001", "shop"))
    steps = (_waits(["rec"], pickup), _waits(["rec", "ord"], both), _participates(["ord"], _who()))
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        table = _Traced()
        for number in order:
            _alone(table, steps[number])
        assert _at_home(pickup)(table) and _at_home(both)(table), order


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_of_two_customers_on_a_ref_the_own_system_wins_in_any_order(order: tuple[int, ...]) -> None:
    steps = (
        _waits(["r1"], RETURN),
        _participates(["r1"], _who("aaa", own=False, via="mail")),
        _participates(["r1"], _who(HOME, own=True)),
    )
    table = _Traced()
    for number in order:
        _alone(table, steps[number])
    assert _at_home(RETURN)(table)
    assert ("N#aaa", events.sort_key(RETURN)) not in table.rows


def test_two_participants_at_once_leave_one_copy() -> None:
    rival = _participates(["r1"], _who("aaa", own=False, via="mail"))
    for kill in [None, *((worker, step) for worker in (0, 1) for step in range(2, 12))]:
        for first in (0, 1):
            table = _Traced()
            _alone(table, ONE_REF[1])
            works: Works = (ONE_REF[0], rival)
            _run_on(table, works, first, kill)
            assert _at_home(RETURN)(table)
            assert ("N#aaa", events.sort_key(RETURN)) not in table.rows


def _run_on(table: TurnTable, works: Works, first: int, kill: tuple[int, int] | None) -> None:
    """Both in turn, step by step, beginning with `first`."""
    runners = [greenlet.greenlet(lambda work=work: work(table)) for work in works]
    steps, worker = [0, 0], first
    again = []
    while any(not runner.dead for runner in runners):
        if runners[worker].dead:
            worker = 1 - worker
        steps[worker] += 1
        if kill == (worker, steps[worker]) and steps[worker] > 1:
            with pytest.raises(Killed):
                runners[worker].throw(Killed)
            again.append(works[worker])
        else:
            runners[worker].switch()
        worker = 1 - worker
    for work in again:
        _alone(table, work)
