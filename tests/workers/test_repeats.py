"""What a system that we keep informed only repeats is no news; what people say there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import destinations
from chalicelib.context import fields, record
from chalicelib.context.fields import Repeats
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
from tests.schedule import MemoryTable, replaced

DESK = Connection(id="con_desk", provider="desk")
USER = Identity("desk", "77", "tc", 2)
PUSHED_AT = instants.to_ms("2026-09-01T10:00:00.000Z")


@pytest.fixture
def table() -> Iterator[MemoryTable]:
    """A desk to which two names were pushed, the last a minute ago."""
    made = MemoryTable()
    desk = Destination("Desk", "", lambda s, t: {}, upsert_contact=lambda h, c, r: "", contact_fields=("name", "phone"))
    source = Source(name="Desk", channel="desk", types={}, normalize=lambda request: (), verify=None, copies=True)  # type: ignore[arg-type]
    patches = (
        (secrets, "pepper", lambda: b"pepper"),
        (destinations, "slugs", lambda: ("desk",)),
        (destinations, "load", lambda slug: desk),
        (receive, "source_of", lambda provider: source),
        (context, "source_of", lambda provider: source),
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
