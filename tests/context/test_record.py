"""The whole way of an event into the context: any order, doubled, killed at every storage call."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import msgspec
import pytest

from chalicelib.context import generations, people, record, timeline
from chalicelib.context.graph import Rules
from chalicelib.context.timeline import Wanted
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import secrets
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Table
from tests.faults import FaultTable, Killed
from tests.schedule import MemoryTable, replaced

SHOP, POS, CHAT = "con_shop", "con_pos", "con_chat"
LISTS = Organisation(own=("phone:+31201112233",))
PHONE = Identity("phone", "+31612345678", "", 2)
ORDER = Ref("order", "6001", SHOP)


@pytest.fixture(autouse=True)
def _pepper() -> Iterator[None]:
    with replaced((secrets, "pepper", lambda: b"pepper")):
        yield


def made(connection: str, object_: str, at: str, type_: str = "message", **more: object) -> Event:
    event = Event(type=type_, channel="store" if connection == POS else "web", object=object_, occurred_at=at)
    return stamp(msgspec.structs.replace(event, **more), connection, "generic")


ASKED = made(
    CHAT,
    "m-1",
    "2026-09-01T09:05:00.000Z",
    identities=(PHONE, Identity("whatsapp", "31612345678", "acc", 2)),
    refs=(Ref("thread", "t-1", CHAT),),
    fields={"name": "Jan"},
)
BOUGHT = made(
    SHOP,
    "6001",
    "2026-09-02T18:15:00.000Z",
    "order",
    identities=(Identity("shop", "900", "tc", 2), Identity("email", "jan@example.nl", "", 2), PHONE),
    refs=(ORDER,),
    fields={"name": "Jan de Vries"},
)
RETURNED = made(POS, "R-77", "2026-09-05T12:02:11.000Z", "return", refs=(Ref("receipt", "R-77", POS), ORDER))
RATED = made(POS, "sv-1", "2026-09-05T13:05:00.000Z", "satisfaction", refs=(Ref("receipt", "R-77", POS),))
STORY = (ASKED, BOUGHT, RETURNED, RATED)


def take(table: Table, event: Event) -> str:
    return record.record(table, event, f"receipt-{event.id}", LISTS).verdict


def outcome(table: MemoryTable) -> tuple[object, ...]:
    """What people see: one customer's identities, fields and timeline; ids aside."""
    (person,) = people.by_identity(table, Rules(), PHONE)[1]
    page = timeline.page(table, person.nodes, Wanted(limit=100))
    names = {name: field.value for name, field in person.customer.fields.items()}
    return (
        tuple(each.text for each in person.customer.identities),
        tuple(timeline.entry(item)["id"] for item in page.items),
        tuple(sorted(names.items())),
    )


def of(events: Iterable[Event]) -> tuple[object, ...]:
    table = MemoryTable()
    for event in events:
        take(table, event)
    return outcome(table)


def test_the_story_in_its_order() -> None:
    identities, entries, fields = of(STORY)
    assert identities == (
        "email:jan@example.nl",
        "phone:+31612345678",
        "shop:tc/900",
        "whatsapp:acc/31612345678",
    )
    assert entries == tuple(event.id for event in reversed(STORY))
    assert fields == (("name", "Jan de Vries"),)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_doubled_and_killed_anywhere(order: tuple[int, ...]) -> None:
    expected = of(STORY)
    assert of(STORY[number] for number in (*order, *order)) == expected
    for number in range(1, 80):
        for after in (False, True):
            table = MemoryTable()
            killed = run_with_kill(table, [STORY[each] for each in order], number, after)
            assert outcome(table) == expected, (order, number, after)
        if not killed:
            break
    assert not killed and number > 20


def run_with_kill(table: MemoryTable, events: list[Event], kill_at: int, after: bool) -> bool:
    """The events one after another by a worker that dies at one call and starts that event again."""
    faulty = FaultTable(table, kill_at, after)
    killed = False
    for event in events:
        try:
            take(faulty, event)
        except Killed:
            killed = True
            take(table, event)
    return killed


def test_a_duplicate_is_known_and_a_redelivery_is_none() -> None:
    table = MemoryTable()
    assert take(table, BOUGHT) == "accepted"
    assert take(table, BOUGHT) == "accepted"
    assert record.record(table, BOUGHT, "another receipt", LISTS).verdict == "duplicate"
    assert take(table, RETURNED) == "accepted"
    assert record.record(table, RETURNED, "another receipt", LISTS).verdict == "duplicate"


def test_of_two_versions_of_one_fact_the_same_stays_in_any_order() -> None:
    other = msgspec.structs.replace(BOUGHT, summary="another reading")
    one, two = MemoryTable(), MemoryTable()
    for event in (BOUGHT, other):
        take(one, event)
    for event in (other, BOUGHT):
        take(two, event)
    shown = [timeline_of(table)[0]["summary"] for table in (one, two)]
    assert shown[0] == shown[1]
    newer = msgspec.structs.replace(BOUGHT, summary="by a better reader", v=2)
    take(one, newer)
    take(one, BOUGHT)
    assert timeline_of(one)[0]["summary"] == "by a better reader"


def timeline_of(table: MemoryTable) -> list[dict[str, object]]:
    (person,) = people.by_identity(table, Rules(), PHONE)[1]
    return [timeline.entry(item) for item in timeline.page(table, person.nodes, Wanted()).items]


def test_what_only_was_typed_makes_nobody_and_joins_nothing() -> None:
    table = MemoryTable()
    take(table, BOUGHT)
    typed = made(CHAT, "m-9", "2026-09-03T10:00:00.000Z", identities=(Identity("email", "jan@example.nl", "", 1),))
    take(table, msgspec.structs.replace(typed, refs=(Ref("event", "m-9", CHAT),)))
    assert [entry["id"] for entry in timeline_of(table)] == [BOUGHT.id]


def test_a_typed_address_finds_its_writer_as_a_candidate_only() -> None:
    table = MemoryTable()
    mail = Identity("email", "somebody@example.nl", "", 1)
    take(table, msgspec.structs.replace(BOUGHT, identities=(*BOUGHT.identities[:1], PHONE, mail)))
    match, found = people.by_identity(table, Rules(), mail)
    assert match == "candidate" and [each.customer.first("phone") for each in found] == [PHONE.value]
    take(table, msgspec.structs.replace(BOUGHT, identities=(*BOUGHT.identities[:1], PHONE, mail)))
    before = dict(table.rows)
    take(table, msgspec.structs.replace(BOUGHT, identities=(*BOUGHT.identities[:1], PHONE, mail)))
    assert table.rows == before, "written once"


def test_a_shared_phone_finds_everybody_around_it() -> None:
    table = MemoryTable()
    for number in range(5):
        buyer = Identity("shop", str(number), "tc", 2)
        event = made(SHOP, str(number), f"2026-09-0{number + 1}T10:00:00.000Z", "order", identities=(buyer, PHONE))
        take(table, msgspec.structs.replace(event, refs=(Ref("order", str(number), SHOP),)))
    match, found = people.by_identity(table, Rules(), PHONE)
    assert match == "candidate"
    assert sorted(each.customer.first("shop") for each in found) == ["0", "1", "2", "3", "4"]


def test_own_numbers_role_mailboxes_and_blocked_values_identify_nobody() -> None:
    lists = Organisation(own=("phone:+31201112233",), blocked=("shop:tc/0",))
    found = record.weigh(
        made(
            SHOP,
            "1",
            "2026-09-02T18:15:00.000Z",
            identities=(
                Identity("phone", "+31201112233", "", 2),
                Identity("email", "info@bakker.example", "", 2),
                Identity("shop", "0", "tc", 2),
            ),
        ),
        lists,
    )
    assert found.home is None and found.known == ()


def test_home_prefers_channel_then_anchor_then_mail_then_phone() -> None:
    ranked = [
        Identity("whatsapp", "31", "acc", 2),
        Identity("shop", "900", "tc", 2),
        Identity("email", "a@b.nl", "", 2),
        PHONE,
    ]
    for start in range(4):
        event = made(SHOP, "1", "2026-09-02T18:15:00.000Z", identities=tuple(reversed(ranked[start:])))
        assert record.weigh(event, LISTS).home == ranked[start]


@pytest.mark.parametrize(
    ("occurred", "generation"),
    [
        ("2026-01-01T00:00:00.000Z", None),
        ("2026-03-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z~1"),
        ("2026-06-02T00:00:00.000Z", "2026-06-01T00:00:00.000Z"),
    ],
)
def test_generations_go_by_the_events_own_time(occurred: str, generation: str | None) -> None:
    boundaries = [
        generations.Boundary("2026-02-01T00:00:00.000Z", "erased", 1),
        generations.Boundary("2026-06-01T00:00:00.000Z", "changed hands"),
    ]
    assert generations.generation_at(boundaries, occurred) == generation
