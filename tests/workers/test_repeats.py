"""What a system that we keep informed only repeats is no news; what people say there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import destinations
from chalicelib.context import fields, record
from chalicelib.context.fields import Repeats
from chalicelib.errors import NotFound
from chalicelib.fanout import prints
from chalicelib.ingest import receive
from chalicelib.kit.destination import Destination
from chalicelib.kit.source import Source
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Customer, Field
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import contacts, secrets
from chalicelib.store.contacts import Contact
from chalicelib.store.organisation import Organisation
from chalicelib.store.secrets import node_id
from chalicelib.workers import context
from tests.faults import FaultTable
from tests.schedule import MemoryTable, replaced

DESK = Connection(id="con_desk", provider="desk")
USER = Identity("desk", "77", "tc", 2)
DESK_SOURCE = Source(name="Desk", channel="desk", types={}, normalize=lambda request: (), verify=None, copies=True)  # type: ignore[arg-type]
PUSHED_AT = instants.to_ms("2026-09-01T10:00:00.000Z")


@pytest.fixture
def table() -> Iterator[MemoryTable]:
    """A desk to which two names were pushed, the last a minute ago."""
    made = MemoryTable()
    desk = Destination("Desk", "", lambda s, t: {}, upsert_contact=lambda h, c, r: "", contact_fields=("name", "phone"))
    patches = (
        (secrets, "pepper", lambda: b"pepper"),
        (destinations, "slugs", lambda: ("desk",)),
        (destinations, "load", lambda slug: desk),
        (receive, "source_of", lambda provider: DESK_SOURCE),
        (context, "source_of", lambda provider: DESK_SOURCE),
        (instants, "now_ms", lambda: PUSHED_AT),
    )
    with replaced(*patches):
        for name in ("Jan", "Jan de Vries"):
            push(made, name)
        yield made


def push(table: MemoryTable, name: str) -> None:
    known = table.get(contacts.key("con_desk", "n1"))
    leased = contacts.lease(table, contacts.from_item(known) if known else Contact("con_desk", "n1"))
    assert leased
    wanted = prints.fingerprint(DESK, Customer(id="cus_1", fields={"name": Field(name, "2026-09-01T09:00:00.000Z")}))
    assert contacts.save(table, contacts.pushing(table, leased, wanted), "77", wanted)


def told(name: str, seconds: int, **more: Any) -> Event:
    """By the desk, so long after our last push."""
    usual: dict[str, Any] = {"type": "identify", "channel": "desk", "object": f"{name}{seconds}", "actor": "system"}
    at = instants.from_ms(PUSHED_AT + seconds * 1000)
    return Event(**usual | {"occurred_at": at, "identities": (USER,), "fields": {"name": name}, **more})


@pytest.mark.parametrize(
    ("event", "is_repeated"),
    [
        (("Jan de Vries", 3600, {}), True),
        (("Jan", 5, {}), True),
        (("Jan", 3600, {}), False),
        (("Jan", -3600, {}), False),
        (("Johan", 5, {}), False),
        (("Jan de Vries", 5, {"actor": "agent"}), False),
        (("Jan", 3600, {"type": "ticket", "actor": "customer"}), True),
        (("Johan", 3600, {"type": "ticket", "actor": "customer"}), False),
        (("Jan de Vries", 5, {"identities": (Identity("desk", "78", "tc", 2),)}), False),
    ],
    ids=[
        "what it shows by now",
        "an earlier push, told late",
        "typed again later",
        "typed before",
        "something else",
        "an agent's word",
        "a ticket shows the profile",
        "a profile that somebody changed",
        "another user",
    ],
)
def test_what_is_repeated(table: MemoryTable, event: tuple[str, int, dict[str, Any]], is_repeated: bool) -> None:
    name, seconds, more = event
    found = context.repeats(table, DESK, told(name, seconds, **more))
    assert found.told == (frozenset({"name"}) if is_repeated else frozenset())


@pytest.mark.parametrize(
    ("copies", "type_", "copy"),
    [
        (True, "ticket", True),
        (True, "identify", False),
        (False, "ticket", False),
        (False, "identify", False),
        (None, "ticket", False),
    ],
    ids=["a ticket of one that copies", "its profile", "a ticket of one that does not", "its own", "no source at all"],
)
def test_a_copy_is_what_one_that_copies_shows_beside_its_profiles(
    table: MemoryTable, copies: bool | None, type_: str, copy: bool
) -> None:
    """What we pushed is told back later than an echo comes: only a copy is no news then."""
    shown = None if copies is None else replace(DESK_SOURCE, copies=copies)
    with replaced((context, "source_of", lambda provider: shown)):
        found = context.repeats(table, DESK, told("Jan", 3600, type=type_, actor="customer"))
    assert found == Repeats(frozenset({"name"} if copy else ()), copy)


@pytest.mark.parametrize(
    ("more", "reads"),
    [
        ({}, 2),
        ({"fields": {}}, 0),
        ({"actor": "agent"}, 0),
        ({"identities": ()}, 0),
        ({"identities": (Identity("shop", "77", "tc", 2), Identity("phone", "77", "", 2))}, 0),
        ({"identities": (Identity("crm", "78", "tc", 2),)}, 1),
    ],
    ids=["fields", "none", "an agent's", "nobody's", "of others who have that number", "of a record that is not ours"],
)
def test_only_fields_of_a_record_are_looked_up_and_in_two_reads(
    table: MemoryTable, more: dict[str, Any], reads: int
) -> None:
    counted = FaultTable(table)
    found = context.repeats(counted, DESK, told("Jan de Vries", 5, **more))
    assert (found.told, counted.calls) == (frozenset({"name"} if reads == 2 else ()), reads)


@pytest.mark.parametrize("listed", [False, True], ids=["no destination", "one without contacts"])
def test_whoever_is_not_kept_informed_repeats_nothing(table: MemoryTable, listed: bool) -> None:
    def load(slug: str) -> Destination:
        if not listed:
            raise NotFound(f"no destination is called {slug}")
        return Destination("Desk", "", lambda s, t: {})

    counted = FaultTable(table)
    with replaced((destinations, "slugs", lambda: ("desk",) if listed else ("other",)), (destinations, "load", load)):
        assert context.repeats(counted, DESK, told("Jan de Vries", 5)) == Repeats()
    assert counted.calls == 0


def test_an_unknown_outcome_leaves_what_may_have_been_pushed(table: MemoryTable) -> None:
    leased = contacts.lease(table, contacts.from_item(table.get(contacts.key("con_desk", "n1")) or {}))
    assert leased
    wanted = prints.fingerprint(
        DESK, Customer(id="cus_1", fields={"name": Field("Johannes", "2026-09-01T09:00:00.000Z")})
    )
    contacts.release(table, contacts.pushing(table, leased, wanted), unsure=True)
    assert context.repeats(table, DESK, told("Johannes", 5)).told == {"name"}
    left = contacts.from_item(table.get(contacts.key("con_desk", "n1")) or {})
    assert (left.pushed, left.until, left.remote) == ("", 0, "77")


def test_only_so_many_pushes_are_remembered(table: MemoryTable) -> None:
    for number in range(2 * contacts.MOST_PUSHES):
        push(table, f"Jan {number}")
    item = table.get(contacts.key("con_desk", "n1"))
    assert item and len(item["past"]) == contacts.MOST_PUSHES


def kept(table: MemoryTable) -> dict[str, tuple[str, str]]:
    item = table.get((f"N#{node_id(USER)}", "F"))
    return {name: (field.value, field.at) for name, field in fields.from_item(item).items()}


def test_a_profile_that_is_shown_again_is_no_newer_but_a_refusal_is(table: MemoryTable) -> None:
    said = {"name": "Fien", "consent_email": "denied"}
    for seconds in (10, 500):
        event = told(f"m{seconds}", seconds, type="ticket", actor="customer", fields=said)
        record.record(table, stamp(event, "con_desk", "desk"), "r", Organisation(), repeats=Repeats(copies=True))
    first, again = (instants.from_ms(PUSHED_AT + seconds * 1000) for seconds in (10, 500))
    assert kept(table) == {"name": ("Fien", first), "consent_email": ("denied", again)}


def test_what_was_our_own_is_kept_out_and_the_rest_is_not(table: MemoryTable) -> None:
    event = told("x", 10, fields={"name": "Jan", "phone": "+31612345678"})
    record.record(table, stamp(event, "con_desk", "desk"), "r", Organisation(), repeats=Repeats(frozenset({"name"})))
    assert kept(table).keys() == {"phone"}
