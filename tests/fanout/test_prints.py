"""The print of what was pushed to a system: what is in step, what only comes back, and what was said since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.fanout import prints
from chalicelib.kit.destination import Destination
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Customer, Field
from chalicelib.model.identity import Identity
from tests.schedule import replaced

AT = "2026-09-01T09:00:00.000Z"
CRM = Connection(id="con_crm", provider="test")
JAN = Customer(
    "cus_1",
    (Identity("email", "jan@example.nl", "", 2), Identity("crm", "7", "con_crm", 3)),
    {"name": Field("Jan", AT, "con_shop"), "city": Field("Delft", AT, "con_shop")},
)
PUSHED_MS = 1_788_264_000_000


@pytest.fixture(autouse=True)
def _system() -> Iterator[None]:
    with keeping():
        yield


def keeping(*fields: str) -> Any:
    """A system that keeps these fields, or all."""
    system = Destination("Test", "", lambda secrets, settings: {}, contact_fields=fields)
    return replaced((destinations, "load", lambda slug: system))


def told(customer: Customer, **fields: Field) -> Customer:
    return msgspec.structs.replace(customer, fields={**customer.fields, **fields})


def theirs(value: str) -> Field:
    return Field(value, AT, "con_crm")


def print_of(customer: Customer = JAN, connection: Connection = CRM) -> str:
    return prints.fingerprint(connection, customer)


def test_a_print_stays_as_it_is() -> None:
    """It is kept with every contact: another one for the same customer would push everybody anew."""
    whole = msgspec.structs.replace(JAN, mapped={"label": "gold"}, preferred_channel="line")
    assert print_of(whole) == (
        "6iwkptxllf2icwau6pgcmuuxv4 ~line xj7xogev=s4ajdkgq erlxkcl3=2wuogqbn >b2qpmjrv=qdfitg55"
    )


def test_what_was_pushed_is_known_by_name_and_value() -> None:
    pushed = print_of()
    assert prints.has(pushed, "name", "Jan") and prints.has(pushed, "city", "Delft")
    assert not prints.has(pushed, "name", "Piet")
    assert not prints.has(pushed, "city", "Jan")


@pytest.mark.parametrize(
    ("after_ms", "echo"), [(-5_001, False), (-5_000, True), (0, True), (60_000, True), (60_001, False)]
)
def test_an_echo_comes_near_the_push_that_wrote_it(after_ms: int, echo: bool) -> None:
    past = [f"{PUSHED_MS - 10**9} {print_of(told(JAN, name=theirs('Johan')))}", f"{PUSHED_MS} {print_of()}"]
    assert prints.echoed(past, "name", "Jan", PUSHED_MS + after_ms) is echo
    assert not prints.echoed(past, "name", "Piet", PUSHED_MS + after_ms)
    assert not prints.echoed(past, "name", "Johan", PUSHED_MS + after_ms), "pushed at another time"


def test_without_a_time_any_earlier_push_counts() -> None:
    past = [f"{PUSHED_MS} {print_of()}"]
    assert prints.echoed(past, "name", "Jan", None)
    assert not prints.echoed(past, "name", "Piet", None) and not prints.echoed([], "name", "Jan", None)


def test_a_record_is_in_step_until_somebody_else_changes_it() -> None:
    pushed = print_of()
    assert prints.in_step(CRM, JAN, pushed)
    assert not prints.in_step(CRM, told(JAN, name=Field("Johan", AT, "con_shop")), pushed)
    assert not prints.in_step(CRM, told(JAN, phone=Field("+31612345678", AT, "con_shop")), pushed), "a new field"
    assert not prints.in_step(CRM, JAN, "")


def test_what_the_system_itself_told_is_not_sent_back() -> None:
    pushed = print_of()
    assert prints.in_step(CRM, told(JAN, name=theirs("Johan")), pushed)
    both = told(JAN, name=theirs("Johan"), city=Field("Gouda", AT, "con_shop"))
    assert not prints.in_step(CRM, both, pushed), "but the other field is"
    other = msgspec.structs.replace(told(JAN, name=theirs("Johan")), id="cus_2")
    assert not prints.in_step(CRM, other, pushed), "another customer's record"
    reached = msgspec.structs.replace(JAN, identities=(Identity("email", "piet@example.nl", "", 2),))
    assert not prints.in_step(CRM, reached, pushed), "another address"
    assert prints.in_step(CRM, msgspec.structs.replace(JAN, identities=JAN.identities[:1]), pushed), "its own record id"


def test_a_preferred_channel_that_nobody_computed_is_unchanged() -> None:
    liked = msgspec.structs.replace(JAN, preferred_channel="line")
    pushed = print_of(liked)
    assert prints.channel_of(pushed) == "line" and prints.channel_of(print_of()) == ""
    assert prints.channel_of("~email ~line") == "line", "the first word is of all the rest"
    assert prints.in_step(CRM, liked, pushed) and prints.in_step(CRM, JAN, pushed)
    assert not prints.in_step(CRM, msgspec.structs.replace(JAN, preferred_channel="email"), pushed)
    assert not prints.in_step(CRM, told(JAN, city=Field("Gouda", AT, "con_shop")), pushed)


def test_a_change_of_what_a_mapping_fills_is_pushed() -> None:
    mapped = msgspec.structs.replace(JAN, mapped={"label": "gold"})
    assert prints.in_step(CRM, mapped, print_of(mapped))
    assert not prints.in_step(CRM, msgspec.structs.replace(JAN, mapped={"label": "silver"}), print_of(mapped))


def test_what_it_told_and_we_did_not_push_may_be_overtaken() -> None:
    pushed, said = print_of(), theirs("Johan")
    assert prints.overtaken(CRM, told(JAN, name=said), pushed) == [said]
    assert prints.overtaken(CRM, told(JAN, name=theirs("Jan")), pushed) == [], "we pushed the same"
    assert prints.overtaken(CRM, told(JAN, name=Field("Johan", AT, "con_shop")), pushed) == [], "somebody else's"


def test_what_it_shows_since_is_no_longer_what_we_pushed() -> None:
    pushed = print_of()
    changed = prints.retold(pushed, {"name": "Johan", "city": "Delft"})
    assert not prints.has(changed, "name", "Jan") and prints.has(changed, "city", "Delft")
    assert changed.split()[0] == pushed.split()[0] and len(changed.split()) == len(pushed.split()) - 1
    assert prints.retold(pushed, {"name": "Jan"}) == pushed == prints.retold(pushed, {})


def test_what_is_to_be_pushed_again_is_unsaid_with_all_that_a_mapping_fills() -> None:
    mapped = msgspec.structs.replace(JAN, mapped={"label": "gold"})
    changed = prints.unsaid(print_of(mapped), ["name"])
    assert not prints.has(changed, "name", "Jan") and prints.has(changed, "city", "Delft")
    assert not any(each.startswith(prints.MAPPED) for each in changed.split())
    assert changed.split()[0] == print_of(mapped).split()[0]


def test_only_what_the_system_keeps_counts_and_consent_where_its_owner_says_so() -> None:
    agreed = told(JAN, consent_marketing=Field("granted", AT, "con_shop"))
    asked = msgspec.structs.replace(CRM, settings={"consent_marketing": "newsletter"})
    off = msgspec.structs.replace(CRM, settings={"consent_marketing": "", "region": "eu"})
    with keeping("name"):
        pushed = print_of(agreed)
        assert prints.has(pushed, "name", "Jan") and not prints.has(pushed, "city", "Delft")
        assert not prints.has(pushed, "consent_marketing", "granted")
        assert prints.has(print_of(agreed, asked), "consent_marketing", "granted")
        assert not prints.has(print_of(agreed, asked), "city", "Delft")
        assert not prints.has(print_of(agreed, off), "consent_marketing", "granted")
    assert prints.has(print_of(agreed), "consent_marketing", "granted"), "a system that keeps all keeps that too"
