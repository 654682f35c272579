"""What a destination is shown: a mapping sees no more than the destination may see without one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.errors import Rejected
from chalicelib.fanout import shown, wants
from chalicelib.kit.destination import Destination
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.customer import Customer, Entry, Field
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import Identity
from chalicelib.store import secrets
from tests.schedule import replaced

AT = "2026-09-02T08:30:00.000Z"
CUSTOMER = Customer(
    id="cus_0198a1",
    identities=(
        Identity("shop", "900", "tc", 2),
        Identity("email", "jan@example.nl", "", 3),
        Identity("email", "a@b.nl"),
    ),
    fields={
        "name": Field("Jan SECRETNAME", AT, "con_shop", "e1"),
        "tier": Field("gold", AT, "con_shop", "e1"),
        "diagnosis": Field("SECRETFIELD", AT, "con_doctor", "e2", sensitive=True),
    },
    preferred_channel="voice",
    satisfaction={"voice": {"average": 82}},
)
EVENT = Event(
    type="message",
    channel="email",
    object="SECRETOBJECT",
    occurred_at=AT,
    identities=(Identity("email", "secret@example.nl", "", 2),),
    refs=(Ref("order", "6001", "tc"),),
    summary="SECRETSUMMARY",
    text="SECRETTEXT",
    attachments=({"name": "SECRETFILE"},),
    details={"status": "sent", "number": "SECRETNUMBER"},
    fields={"name": "SECRETNAME"},
    link="https://shop.example/SECRETLINK",
    address="email:secret@example.nl",
    id="e3",
    connection="con_desk",
)
WHOLE = {"contact": {"all": "@"}, "activity": {"all": "@"}}


@pytest.fixture(autouse=True)
def systems() -> Iterator[None]:
    def load(slug: str) -> Destination:
        partner = slug == "partner"
        return Destination(slug, "", lambda secrets, settings: {}, partner=partner, contact_fields=("name",))

    with replaced((destinations, "load", load), (secrets, "pepper", lambda: b"pepper")):
        yield


def connection(mapping: Any = WHOLE, provider: str = "own", **wish: Any) -> Connection:
    return Connection(id="con_crm", provider=provider, mapping=mapping, subscription=Subscription(**wish))


def test_expressions_see_a_plain_view_of_the_customer() -> None:
    assert shown.customer(CUSTOMER, connection(sensitive=True)).mapped["all"] == {
        "id": "cus_0198a1",
        "preferred_channel": "voice",
        "satisfaction": {"voice": {"average": 82}},
        "fields": {"name": "Jan SECRETNAME", "tier": "gold", "diagnosis": "SECRETFIELD"},
        "identities": [
            {"kind": "email", "scope": "", "value": "jan@example.nl", "assurance": 3},
            {"kind": "shop", "scope": "tc", "value": "900", "assurance": 2},
            {"kind": "email", "scope": "", "value": "a@b.nl", "assurance": 1},
        ],
        "first": {"email": "jan@example.nl", "shop": "900"},
    }


def test_expressions_see_an_event_as_filters_do() -> None:
    entry = Entry(EVENT, CUSTOMER.id, "https://hub.example/customers/cus_0198a1")
    found = shown.entry(entry, connection())
    assert found.mapped["all"] == wants.document(EVENT)
    assert (found.event, found.customer_id, found.url) == (EVENT, entry.customer_id, entry.url)


@pytest.mark.parametrize(
    ("filter_", "passes"),
    [
        ("direction == 'in'", True),
        ("actor == 'customer' && !sensitive", True),
        ("direction == 'out'", False),
        ("identities[?kind == 'phone' && assurance >= `2`]", True),
        ("identities[?kind == 'email']", False),
        ("refs[?kind == 'order'].value | contains(@, '1001')", True),
        ("refs[?kind == 'case']", False),
        ("attachments[?media_type == 'application/pdf'].name | [0] == 'offer.pdf'", True),
        ("length(attachments) > `1`", False),
        ("ends[0].value == '+31687654321'", True),
        ("begins", False),
        ("details.lines[1].sku == 'B'", True),
    ],
)
def test_a_filter_finds_whatever_an_event_has(filter_: str, passes: bool) -> None:
    """What has its usual value is there too, and lists are lists: nothing was found in them, and the system got nothing."""
    told = Event(
        type="order",
        channel="web",
        object="1001",
        occurred_at="2026-09-01T09:00:00.000Z",
        identities=(Identity("phone", "+31612345678", "", 2),),
        refs=(Ref("order", "1001", "con_1"),),
        attachments=({"name": "offer.pdf", "media_type": "application/pdf"},),
        ends=(Identity("phone", "+31687654321", "", 2),),
        details={"lines": [{"sku": "A"}, {"sku": "B"}]},
    )
    assert wants.passes(filter_, told) is passes


def test_every_field_of_an_event_can_be_searched() -> None:
    empty = wants.document(Event(type="note", channel="desk", object="1"))
    assert set(empty) == {each for each in Event.__struct_fields__ if each != "v"}
    assert json.loads(json.dumps(empty)) == empty, "nothing but JSON"


def test_without_a_mapping_nothing_is_looked_for() -> None:
    for mapping in (None, {}, {"activity": {"a": "id"}}):
        assert shown.customer(CUSTOMER, connection(mapping)) == CUSTOMER


WISHES = [
    dict(zip(("redact", "sensitive", "pseudonymous"), each, strict=True))
    for each in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: " ".join(name for name, on in wish.items() if on) or "all")
@pytest.mark.parametrize("sensitive", [False, True])
@pytest.mark.parametrize("provider", ["own", "partner"])
def test_a_mapping_shows_of_an_event_only_what_leaves_without_it(
    wish: dict[str, bool], sensitive: bool, provider: str
) -> None:
    event = msgspec.structs.replace(EVENT, sensitive=sensitive)
    found = shown.entry(Entry(event, CUSTOMER.id, "page"), connection(provider=provider, **wish))
    told = json.dumps(found.mapped)
    assert found.mapped["all"] == wants.document(found.event)
    veiled = sensitive and not wish["sensitive"]
    for secret in ("SECRETTEXT", "SECRETSUMMARY", "SECRETFILE", "SECRETNAME"):
        assert (secret in told) == (
            not veiled and not wish["redact"] and not (secret[6:] == "NAME" and wish["pseudonymous"])
        )
    assert ("SECRETNUMBER" in told) == (not veiled)
    for secret in ("secret@example.nl", "SECRETLINK"):
        assert (secret in told) == (not wish["pseudonymous"])
    assert CUSTOMER.id not in told


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: " ".join(name for name, on in wish.items() if on) or "all")
@pytest.mark.parametrize("provider", ["own", "partner"])
def test_a_mapping_shows_of_a_customer_only_what_this_system_may_know(wish: dict[str, bool], provider: str) -> None:
    found = shown.customer(CUSTOMER, connection(provider=provider, **wish))
    view, hidden = found.mapped["all"], wish["pseudonymous"]
    assert view["id"] == found.id
    assert (found.id == CUSTOMER.id) == (not hidden)
    assert bool(view["identities"]) == bool(view["first"]) == ("name" in view["fields"]) == (not hidden)
    assert ("tier" in view["fields"]) == (not hidden and not wish["redact"])
    opened = wish["sensitive"] and provider == "own"
    assert ("diagnosis" in view["fields"]) == (opened and not hidden and not wish["redact"])
    assert ("82" in json.dumps(view)) == (not hidden)


def test_a_mapping_that_asks_too_much_is_refused_with_its_field() -> None:
    mapping = {key: {"huge": " | ".join(["[@, @]"] * 30)} for key in ("contact", "activity")}
    for ask in (
        lambda: shown.customer(CUSTOMER, connection(mapping)),
        lambda: shown.entry(Entry(EVENT, ""), connection(mapping)),
    ):
        with pytest.raises(Rejected, match="huge"):
            ask()


def test_whatever_order_identities_came_in_the_view_is_one() -> None:
    views = {
        json.dumps(shown.customer(msgspec.structs.replace(CUSTOMER, identities=order), connection()).mapped)
        for order in itertools.permutations(CUSTOMER.identities)
    }
    assert len(views) == 1
