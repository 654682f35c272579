"""Recording events by several workers at once, interleaved at every storage call, some killed.

The small world has what is hard: a landline of two customers, a role mailbox, orders that somebody
names without being known, threads over days, a typed address, a return and its receipt. However
the workers meet, people must see what one worker would have left them in the given order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chalicelib.context import conversations, place, record, resolve, timeline
from chalicelib.context.timeline import Wanted
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref, content_digest, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import secrets
from chalicelib.store.organisation import Organisation
from tests.schedule import MemoryTable, Scheduler, TurnTable, replaced

SHOP, DESK, TILL, SMS = "con_shop", "con_desk", "con_till", "con_sms"
LISTS = Organisation()
LANDLINE = Identity("phone", "+31201230000", "", 2)
MOBILE = Identity("phone", "+31612345678", "", 2)
BAKER = Identity("email", "info@bakker.example", "", 2)


@pytest.fixture(autouse=True)
def _still() -> Iterator[None]:
    with replaced((secrets, "pepper", lambda: b"pepper"), (resolve, "_back_off", lambda number: None)):
        yield


def made(
    number: int, connection: str, day: int, *identities: Identity, refs: tuple[Ref, ...] = (), **more: Any
) -> Event:
    refs = refs or (Ref("event", str(number), connection),)
    event = Event(
        type="message",
        channel="web",
        object=str(number),
        occurred_at=f"2026-09-{day:02d}T10:00:{number:02d}.000Z",
        identities=identities,
        refs=refs,
    )
    return stamp(msgspec.structs.replace(event, **more), connection, "generic")


def buyer(number: int) -> Identity:
    return Identity("shop", str(number), "tc", 2)


def order(number: int, *, typed: bool = False) -> Ref:
    return Ref("order", str(number), SHOP, typed)


def thread(day: int) -> Ref:
    return Ref("thread", day_thread("+31201112233", MOBILE.value, f"2026-09-{day:02d}"), SMS)


WORLD = (
    made(1, SHOP, 1, buyer(910), LANDLINE, refs=(order(8001),)),
    made(2, SHOP, 2, buyer(911), LANDLINE, refs=(order(8002),)),
    made(3, DESK, 3, LANDLINE),
    made(4, DESK, 3, LANDLINE, refs=(Ref("thread", "call-4", DESK), order(8002, typed=True))),
    made(5, DESK, 4, BAKER, refs=(Ref("thread", "mail-5", DESK), order(8003, typed=True))),
    made(6, SHOP, 5, buyer(912), BAKER, refs=(order(8003),)),
    made(7, SMS, 6, MOBILE, refs=(thread(6),)),
    made(8, SMS, 7, MOBILE, refs=(thread(7),)),
    made(9, SMS, 9, MOBILE, refs=(thread(9),)),
    made(10, TILL, 8, refs=(Ref("receipt", "R-7", TILL), order(8001))),
    made(11, TILL, 9, LANDLINE, refs=(Ref("survey", "sv-1", TILL), Ref("receipt", "R-7", TILL)), direction="out"),
    made(12, DESK, 9, refs=(Ref("thread", "call-12", DESK),)),
    made(13, DESK, 9, Identity("web", "a-1", "s", 2), MOBILE, Identity("email", "jan@example.nl", "", 1)),
    made(14, TILL, 10, refs=(Ref("receipt", "R-9", TILL), order(8002))),
    made(15, TILL, 11, refs=(Ref("receipt", "R-9", TILL), order(8001))),
    made(16, TILL, 12, refs=(Ref("receipt", "R-9", TILL), Ref("survey", "sv-2", TILL))),
    made(17, TILL, 12, refs=(Ref("survey", "sv-2", TILL),)),
    made(18, DESK, 13, Identity("web", "a-1", "s", 2), refs=(Ref("thread", "chat-18", DESK), order(8001, typed=True))),
    made(19, TILL, 13, MOBILE, refs=(Ref("survey", "sv-3", TILL), Ref("receipt", "R-9", TILL)), direction="out"),
    made(20, SHOP, 14, MOBILE, refs=(order(8009),)),
    made(21, SHOP, 15, buyer(920), refs=(order(8009),)),
    made(22, TILL, 16, refs=(order(8009),)),
)
"""From 14 on: one receipt for two orders, so what it names is the elder customer's; somebody who
types an order that is not his; a survey of that receipt, sent to a number of a third; and an order
of a guest that an account turns out to have."""


def seen_by_people(table: MemoryTable) -> dict[str, Any]:
    """Customers by their identities, each with his timeline, and what is possible and waiting."""
    nodes = {
        key[0][2:]: item for key in table.rows if key[0][:2] == "N#" and key[1] == "-" and (item := table.peek(key))
    }
    found: dict[str, Any] = {}
    for node in nodes:
        view = resolve.read(table, resolve.IDENTITIES, node)
        if view and view.customer:
            found[" ".join(sorted(nodes[each]["val"] for each in view.nodes))] = _customer(table, view, nodes)
    waiting = [item for item in map(table.peek, table.rows) if item and item.get("gpk", "").startswith("WAIT#")]
    return found | {"waiting": sorted(item["sk"][-26:] for item in waiting if "placed" not in item)}


def _customer(table: MemoryTable, view: resolve.View, nodes: dict[str, Any]) -> tuple[list[Any], list[str]]:
    page = timeline.page(table, {node: nodes[node] for node in view.nodes}, Wanted(limit=100)).items
    names = conversations.named(table, page)
    groups: dict[str, list[str]] = {}
    for item in page:
        groups.setdefault(names.get(item.get("th", ""), item["sk"]), []).append(item["sk"][-26:])
    beside = timeline.page(table, {node: nodes[node] for node in view.shared}, Wanted(limit=100)).items
    gone = place.placed(table, beside)
    possible = [item["sk"][-26:] for item in beside if item["sk"] not in gone and not item.get("pl")]
    return sorted(map(sorted, groups.values())), possible


def alone(works: tuple[Event, ...]) -> dict[str, Any]:
    table = MemoryTable()
    for event in works:
        record.record(table, event, f"receipt {event.id}", LISTS)
    return seen_by_people(table)


def run(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    works = [event for event in WORLD for _ in range(rng.choice((1, 1, 2)))]
    table = TurnTable(rng, lambda: None)

    def take(_: int, event: Event) -> None:
        record.record(table, event, f"receipt {event.id}", LISTS)

    Scheduler(rng, works, take, lambda event: None, rng.randint(1, 4), rng.choice((0, 2, 6))).run()
    return seen_by_people(table)


def test_the_world_as_one_worker_leaves_it() -> None:
    found = alone(WORLD)
    id = {number: event.id for number, event in enumerate(WORLD, 1)}
    assert found["910"] == ([sorted(id[number] for number in (1, 10, 11, 14, 15, 16, 17))], [id[3]])
    assert found["911"] == ([sorted([id[2], id[4]])], [id[3]])
    assert found["912"] == ([sorted([id[5], id[6]])], [])
    assert found["+31612345678 a-1"] == (
        sorted([sorted([id[7], id[8]]), *([id[each]] for each in (9, 13, 18, 19, 20))]),
        [],
    )
    assert found["920"] == ([sorted([id[21], id[22]])], [])
    assert found["waiting"] == [id[12]]


@pytest.mark.parametrize("lane", range(4))
def test_any_workers_leave_the_same(lane: int) -> None:
    wanted = alone(WORLD)
    for seed in range(lane, 120, 4):
        assert run(seed) == wanted, seed


WAITS = made(22, TILL, 16, refs=(Ref("receipt", "R-8", TILL), order(8009)))
OLDER, NEWER = sorted((WAITS, msgspec.structs.replace(WAITS, summary="told otherwise")), key=content_digest)


def brought(seed: int, *contents: Event) -> tuple[set[str], set[str]]:
    """Receipts of contents of one waiting event and of the order that it names, taken by several at once: the digests
    that are left of it, and the receipts that brought it."""
    rng, said = random.Random(seed), dict[str, str]()
    table = TurnTable(rng, lambda: None)

    def take(_: int, work: tuple[str, Event]) -> None:
        receipt, event = work
        said[receipt] = record.record(table, event, receipt, LISTS).verdict

    works = [*((f"receipt {number}", event) for number, event in enumerate(contents)), ("order", WORLD[20])]
    Scheduler(rng, works, take, lambda work: None, rng.randint(2, 4), rng.choice((0, 0, 2))).run()
    left = [item for key in table.rows if key[1].endswith(WAITS.id) and (item := table.peek(key))]
    assert {item["pk"][0] for item in left} == {"N", "R"}
    return {item["sha"] for item in left}, {each for each in said if each != "order" and said[each] == record.ACCEPTED}


def test_of_two_contents_of_a_waiting_event_the_newer_stays_whoever_writes_last() -> None:
    for seed in range(200):
        assert brought(seed, OLDER, NEWER)[0] == {content_digest(NEWER)}, seed


def test_a_waiting_event_that_comes_twice_at_once_was_brought_by_one_receipt() -> None:
    for seed in range(200):
        assert len(brought(seed, WAITS, WAITS)[1]) == 1, seed


MUTANTS: dict[str, tuple[Any, str, Any]] = {
    "refs vouch for nobody": (place, "_lacking", lambda *given: ()),
    "a typed ref always counts": (place, "_meant", lambda table, waiting, typed: list(place._queried(table, typed))),
    "an event on a contact point does not wait": (record, "_need", lambda evidence, nodes: _need(evidence, nodes, ())),
    "a copy shows though its home is somebody's": (timeline.Here, "shows", lambda here, item: True),
    "days are not joined": (conversations, "join_days", lambda *given: None),
    "a contact point claims before anybody": (place, "_rank", lambda item: (not item["own"], -item["asr"], item["at"], item["sk"], "", "")),
    "conversations are not linked": (conversations, "link", lambda *given: None),
}  # fmt: skip


def _need(evidence: Any, nodes: Any, none: tuple[str, ...]) -> Any:
    need, waits = NEED(evidence, nodes)
    return (need, none) if evidence.home else (need, waits)


NEED = record._need


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name: str) -> None:
    assert schedules(name) < 400, f"{name!r} survives"


def schedules(name: str) -> int:
    """How many random schedules the mutant survives."""
    wanted = alone(WORLD)
    with replaced(MUTANTS[name]):
        return next((seed for seed in range(400) if _differs(seed, wanted)), 400)


def _differs(seed: int, wanted: dict[str, Any]) -> bool:
    try:
        return run(seed) != wanted
    except Exception:
        return True


@pytest.mark.nightly
@pytest.mark.parametrize("lane", range(8))
def test_many_workers_leave_the_same(lane: int) -> None:
    wanted = alone(WORLD)
    for seed in range(1_000 + lane, 6_000, 8):
        assert run(seed) == wanted, seed


if __name__ == "__main__":
    with replaced((secrets, "pepper", lambda: b"pepper"), (resolve, "_back_off", lambda number: None)):
        for mutant in MUTANTS:
            print(f"| {mutant} | {schedules(mutant) + 1} |", flush=True)
