"""From a change in the table to the duties that follow."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.context import generations, people, record, resolve
from chalicelib.context.graph import Rules
from chalicelib.fanout import prints
from chalicelib.fanout.plan import AT_ONCE, Planned, Planner
from chalicelib.fanout.wants import reduced_event, wants, wants_item
from chalicelib.kit.destination import Destination
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.customer import Person
from chalicelib.model.event import Event, Ref, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import contacts, secrets
from chalicelib.store.codec import encode
from chalicelib.store.organisation import Organisation
from chalicelib.store.table import Item
from tests.schedule import MemoryTable, replaced

PHONE, WEB = Identity("phone", "+31612345678", "", 2), Identity("web", "a-71", "tc", 2)
CRM = Connection(id="con_crm", provider="crm")
FEED = Connection(id="con_feed", provider="feed", subscription=Subscription(types=("order",)))
BOOKS = Connection(id="con_books", provider="books", subscription=Subscription(types=("order",)))


class Watched(MemoryTable):
    """Remembers each change as the stream would tell it: Lambda's shape, bytes as base64."""

    def __init__(self) -> None:
        super().__init__()
        self.stream: list[dict[str, Any]] = []

    def _do(self, action: Any) -> None:
        before = dict(self.rows)
        super()._do(action)
        for key in before.keys() | self.rows.keys():
            if before.get(key) != self.rows.get(key):
                self._tell(key, MemoryTable.peek(_of(before), key), self.peek(key))

    def _tell(self, key: tuple[str, str], old: Item | None, new: Item | None) -> None:
        name = "INSERT" if old is None else "MODIFY" if new else "REMOVE"
        images = {"Keys": encode({"pk": key[0], "sk": key[1]})}
        images |= {"OldImage": _wire(old)} if old else {}
        images |= {"NewImage": _wire(new)} if new else {}
        self.stream.append({"eventName": name, "dynamodb": images})


def _of(rows: dict[tuple[str, str], bytes]) -> MemoryTable:
    table = MemoryTable()
    table.rows = rows
    return table


def _wire(item: Item) -> Any:
    return _text(encode(item))


def _text(wire: Any) -> Any:
    if isinstance(wire, bytes):
        return base64.b64encode(wire).decode()
    if isinstance(wire, dict):
        return {key: _text(each) for key, each in wire.items()}
    return [_text(each) for each in wire] if isinstance(wire, list) else wire


@dataclass
class Town:
    table: Watched
    receivers: tuple[Connection, ...] = (CRM, FEED)

    def happens(self, event: Event, connection: str = "con_web") -> Event:
        stamped = stamp(event, connection, "generic")
        record.record(self.table, stamped, "receipt", Organisation())
        return stamped

    def planned(self) -> Planned:
        """Duties of all changes since the last call, planned as one batch."""

        def person_of(
            node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False
        ) -> Person | None:
            return people.of_node(self.table, Rules(), node)

        planner, planned = Planner(self.table, self.receivers, resolve.customers, person_of), Planned()
        records, self.table.stream = self.table.stream, []
        for each in records:
            planner.plan(each, planned)
        planner.settle(planned)
        return planned


@pytest.fixture
def town() -> Iterator[Town]:
    declared = {
        "crm": Destination("CRM", "", lambda s, t: {}, lambda h, r, e: "", upsert_contact=lambda h, c, r: ""),
        "feed": Destination("Feed", "", lambda s, t: {}, lambda h, r, e: "", partner=True),
        "books": Destination("Books", "", lambda s, t: {}, upsert_contact=lambda h, c, r: ""),
    }
    patches = ((secrets, "pepper", lambda: b"pepper"), (destinations, "load", declared.__getitem__))
    with replaced(*patches):
        yield Town(Watched())


def said(*identities: Identity, number: int = 1, type_: str = "message", **more: Any) -> Event:
    return Event(
        type=type_,
        channel="webchat",
        object=f"m{number}",
        occurred_at=f"2026-09-01T09:{number // 60:02d}:{number % 60:02d}.000Z",
        identities=identities,
        refs=(Ref("thread", "t", "con_web"),),
        **more,
    )


def test_an_event_is_told_to_those_who_want_it(town: Town) -> None:
    event = town.happens(said(PHONE, type_="order"))
    planned = town.planned()
    assert {(duty.connection, duty.sort.rpartition("#")[2]) for duty in planned.activities} == {
        ("con_crm", event.id),
        ("con_feed", event.id),
    }
    town.happens(said(PHONE, number=2))
    assert [duty.connection for duty in town.planned().activities] == ["con_crm"]


def test_a_duplicate_and_a_late_version_are_not_told_again(town: Town) -> None:
    event = town.happens(said(PHONE))
    town.planned()
    town.happens(said(PHONE))
    newer = msgspec.structs.replace(event, v=2, text="read better")
    record.record(town.table, newer, "receipt", Organisation())
    assert not town.planned().activities


def test_the_system_that_told_us_is_not_told(town: Town) -> None:
    town.happens(said(PHONE), "con_crm")
    assert not town.planned().activities


@pytest.mark.parametrize("type_", ["identify", "consent"])
def test_identify_and_consent_go_only_where_they_are_named(town: Town, type_: str) -> None:
    town.receivers = (CRM, msgspec.structs.replace(FEED, subscription=Subscription(types=(type_,))))
    town.happens(said(PHONE, type_=type_))
    assert [duty.connection for duty in town.planned().activities] == ["con_feed"]


def test_anonymous_visitors_are_told_only_where_asked_for(town: Town) -> None:
    town.receivers = (CRM, msgspec.structs.replace(FEED, subscription=Subscription(anonymous=True)))
    town.happens(said(WEB))
    planned = town.planned()
    assert [duty.connection for duty in planned.activities] == ["con_feed"]
    assert not planned.contacts


def test_who_stops_being_anonymous_brings_his_history(town: Town) -> None:
    earlier = [town.happens(said(WEB, number=number)) for number in (1, 2, 3)]
    town.planned()
    town.happens(said(WEB, PHONE, number=4))
    planned = town.planned()
    told = {duty.sort.rpartition("#")[2] for duty in planned.activities if duty.connection == "con_crm"}
    assert {event.id for event in earlier} < told and len(told) == 4


def test_a_long_history_is_a_job(town: Town) -> None:
    for number in range(AT_ONCE + 1):
        town.happens(said(WEB, number=number))
    town.planned()
    town.happens(said(WEB, PHONE, number=100))
    planned = town.planned()
    assert len(planned.histories) == 1 and len(planned.activities) == 1


def test_two_clusters_that_merge_bring_the_anonymous_one_along(town: Town) -> None:
    mail = Identity("email", "jan@example.nl", "", 2)
    hidden = town.happens(said(WEB, number=1))
    town.happens(said(PHONE, number=2))
    town.planned()
    town.happens(said(mail, PHONE, number=3))
    town.happens(said(WEB, mail, number=4))
    told = {duty.sort.rpartition("#")[2] for duty in town.planned().activities}
    assert hidden.id in told


def test_a_contact_goes_along_with_an_activity_or_alone(town: Town) -> None:
    town.happens(said(PHONE, fields={"name": "Jan"}))
    planned = town.planned()
    assert planned.changed and not planned.contacts_alone()
    town.happens(said(PHONE, number=2, type_="identify", fields={"name": "Jan de Vries"}))
    alone = town.planned().contacts_alone()
    assert [duty.connection for duty in alone] == ["con_crm"]


def test_what_waits_is_told_once_it_is_placed(town: Town) -> None:
    order = Ref("order", "6001", "con_shop")
    back = town.happens(msgspec.structs.replace(said(type_="order"), refs=(order,)))
    assert not town.planned().activities
    town.happens(msgspec.structs.replace(said(PHONE, number=2, type_="order"), refs=(order,)))
    told = {duty.sort.rpartition("#")[2] for duty in town.planned().activities}
    assert back.id in told and len(told) == 2


def test_what_the_stream_tells_of_other_items_and_removals_is_nothing(town: Town) -> None:
    town.happens(said(PHONE))
    removals = [
        {**each, "eventName": "REMOVE", "dynamodb": {"OldImage": each["dynamodb"]["NewImage"]}}
        for each in town.table.stream
    ]
    town.table.stream = removals
    planned = town.planned()
    assert not planned.activities and not planned.contacts


def test_a_deleted_connection_wants_nothing_and_a_paused_one_everything() -> None:
    deleted = msgspec.structs.replace(CRM, status="disabled", reason="deleted")
    paused = msgspec.structs.replace(CRM, status="paused")
    assert not wants(deleted, "message", "webchat", "con_web")
    assert wants(paused, "message", "webchat", "con_web")


def test_subscriptions_narrow_by_type_channel_and_source() -> None:
    wish = Subscription(types=("order",), channels=("web",), sources=("con_shop",))
    narrow = msgspec.structs.replace(CRM, subscription=wish)
    assert wants(narrow, "order", "web", "con_shop")
    assert not wants(narrow, "message", "web", "con_shop")
    assert not wants(narrow, "order", "store", "con_shop")
    assert not wants(narrow, "order", "web", "con_web")


def test_what_is_sensitive_never_goes_to_a_partner() -> None:
    partner = msgspec.structs.replace(CRM, provider="webhook", subscription=Subscription(sensitive=True))
    ours = msgspec.structs.replace(partner, settings={"own_system": True})
    crm = msgspec.structs.replace(CRM, provider="hubspot")
    assert [wants(each, "message", "web", "con", sensitive=True) for each in (partner, ours, crm)] == [
        False,
        True,
        True,
    ]
    assert wants(partner, "message", "web", "con")


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("", True),
        ("details.total > `50`", True),
        ("details.total > `500`", False),
        ("contains(text, 'klacht')", True),
        ("actor == 'agent'", False),
        ("details.nothing", False),
    ],
)
def test_a_filter_looks_into_the_event(town: Town, expression: str, passes: bool) -> None:
    town.happens(msgspec.structs.replace(said(PHONE, text="een klacht"), details={"total": 99}))
    (item,) = (item for item in map(town.table.peek, town.table.rows) if item and item["sk"].startswith("E#"))
    wish = msgspec.structs.replace(CRM, subscription=Subscription(filter=expression))
    assert wants_item(wish, item) == passes


def test_a_sensitive_entry_is_veiled_where_the_subscription_does_not_ask_for_it() -> None:
    event = msgspec.structs.replace(said(WEB, text="Mijn rekening is NL00", summary="IBAN"), sensitive=True)
    event = msgspec.structs.replace(event, details={"status": "new", "iban": "NL00"}, fields={"name": "Jan"})
    veiled = reduced_event(event, Subscription())
    assert (veiled.text, veiled.summary, veiled.fields, veiled.details) == ("", "", {}, {"status": "new"})
    assert reduced_event(event, Subscription(sensitive=True)) == event
    assert reduced_event(event, Subscription(sensitive=True, redact=True)).text == ""


def test_the_item_of_a_sensitive_event_says_so(town: Town) -> None:
    town.happens(msgspec.structs.replace(said(PHONE), sensitive=True))
    (item,) = (item for item in map(town.table.peek, town.table.rows) if item and item["sk"].startswith("E#"))
    assert [wants_item(each, item) for each in (Connection(id="con_p", provider="feed"), CRM)] == [False, True]


def test_a_system_without_a_history_is_told_who_the_customer_is(town: Town) -> None:
    town.receivers = (CRM, BOOKS)
    town.happens(said(PHONE))
    assert not town.planned().contacts
    town.happens(said(PHONE, number=2, type_="order"))
    planned = town.planned()
    assert [duty.connection for duty in planned.activities] == ["con_crm"]
    assert [(duty.connection, duty.kind) for duty in planned.contacts_alone()] == [("con_books", "contact")]


def test_a_system_without_a_history_is_told_of_nobody_anonymous(town: Town) -> None:
    town.receivers = (BOOKS,)
    town.happens(said(WEB, type_="order"))
    assert not town.planned().contacts
    town.happens(said(WEB, PHONE, number=2))
    (duty,) = town.planned().contacts_alone()
    assert duty.connection == "con_books"


def test_who_is_kept_informed() -> None:
    def declared(**functions: Any) -> Destination:
        return Destination("X", "", lambda s, t: {}, **functions)

    books, sender = declared(upsert_contact=lambda h, c, r: ""), declared(send_message=lambda h, m: "")
    feed = declared(append_activity=lambda h, r, e: "")
    assert [(each.informed, each.history) for each in (books, sender, feed)] == [
        (True, False),
        (False, False),
        (True, True),
    ]


def test_a_system_whose_value_does_not_count_gets_back_what_does(town: Town) -> None:
    shop = stamp(said(PHONE, type_="identify", fields={"name": "Jan de Vries", "city": "Delft"}), "con_shop", "x")
    record.record(town.table, shop, "receipt", Organisation(), priorities={"name": 5})
    node = generations.newest(town.table, PHONE)[0]

    def person() -> Person:
        found = people.of_node(town.table, Rules(), node)
        assert found
        return found

    leased = contacts.lease(town.table, contacts.Contact("con_crm", person().oldest))
    assert leased and contacts.save(town.table, leased, "r1", prints.fingerprint(CRM, person().customer))
    town.planned()

    def told(number: int, **fields: str) -> tuple[list[str], bool]:
        """Who gets a contact, and whether the record over there is taken to be in step."""
        town.happens(said(PHONE, number=number, type_="identify", fields=fields), "con_crm")
        duties = [duty.connection for duty in town.planned().contacts]
        item = town.table.get(contacts.key("con_crm", person().oldest))
        assert item and item["remote"] == "r1"
        return duties, prints.in_step(CRM, person().customer, item["pushed"])

    assert told(2, city="Utrecht")[1], "newer: it counts, and is there already"
    assert told(3, name="Jan de Vries")[1], "what it told is what counts"
    assert told(4, name="Johannes") == (["con_crm"], False), "the shop's name goes before"


def test_a_value_that_another_system_lost_with_is_no_duty_of_ours(town: Town) -> None:
    town.happens(said(PHONE, number=2, type_="identify", fields={"name": "Jan"}), "con_shop")
    town.planned()
    town.happens(said(PHONE, number=1, type_="identify", fields={"name": "J."}), "con_web")
    assert not town.planned().contacts
