"""Normal forms: exact for what is known, total and idempotent for everything else."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import fields
from chalicelib.model.identity import KINDS, Identity, parse

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "fields.json").read_text("utf-8"))
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text()),
)
numbers = st.from_regex(r"(\+|00)?[0-9 ()-]{0,18}", fullmatch=True)
countries = st.sampled_from(["+521", "+52", "+549", "+54", "+5511", "+55", "+316", "+1", "+44", "+49"])
dialled = st.one_of(
    numbers, st.text(), st.builds(str.__add__, countries, st.from_regex(r"[0-9]{6,11}", fullmatch=True))
)
addresses = st.one_of(st.text(), st.emails(), st.builds("{}@{}".format, st.text(), st.text()))


@pytest.mark.parametrize("text, expected", VECTORS["email"].items())
def test_email(text: str, expected: str) -> None:
    assert fields.email(text) == expected


@pytest.mark.parametrize("text, region, expected", VECTORS["phone"])
def test_phone(text: str, region: str, expected: str) -> None:
    assert fields.phone(text, region) == expected


@pytest.mark.parametrize("value, zone, expected", VECTORS["instant"])
def test_instant(value: Any, zone: str, expected: str) -> None:
    assert fields.instant(value, "at", zone) == expected


@pytest.mark.parametrize("value", VECTORS["no_instant"])
def test_no_instant_is_malformed_naming_the_field(value: Any) -> None:
    with pytest.raises(PayloadMalformed, match=r"^order\.at: "):
        fields.instant(value, "order.at")


@pytest.mark.parametrize("amount, currency, minor, expected", VECTORS["money"])
def test_money(amount: Any, currency: Any, minor: bool, expected: str) -> None:
    found = fields.money(amount, currency, minor=minor)
    assert " ".join(found.values()) == expected


@pytest.mark.parametrize("value", VECTORS["nobody"])
def test_placeholders_identify_nobody(value: Any) -> None:
    assert fields.scoped("shop", "tc", value) is None
    assert fields.phone_identity(value) is None
    assert fields.email_identity(value) is None


@pytest.mark.parametrize("value", VECTORS["nobodys_mail"])
def test_addresses_of_machines_identify_nobody(value: str) -> None:
    assert fields.email(value) and fields.email_identity(value) is None


def test_present_keeps_the_best_assurance_in_order() -> None:
    weak, strong = fields.email_identity("a@x.nl", 1), fields.email_identity("A@X.nl", 3)
    other = fields.scoped("shop", "tc", 900)
    assert fields.present(None, weak, other, strong) == (strong, other)
    assert other == Identity("shop", "900", "tc", 2)


def test_a_slash_in_a_scope_survives_the_text_form() -> None:
    found = fields.scoped("login", "https://id.example.nl/", "u/1", 3)
    assert found and parse(found.text) == Identity("login", "u/1", found.scope)


@settings(max_examples=300, deadline=None)
@given(st.one_of(anything, addresses))
def test_email_is_total_and_idempotent(value: Any) -> None:
    found = fields.email(value)
    assert found == "" or (fields.email(found) == found and found == found.lower() and found.count("@") == 1)


@settings(max_examples=500, deadline=None)
@given(st.one_of(anything, dialled), st.sampled_from(["NL", "BE", "MX", "AR", "BR", "US", "nl", "", "XX"]))
def test_phone_is_total_idempotent_and_without_region_once_normal(value: Any, region: str) -> None:
    found = fields.phone(value, region)
    assert found == "" or (re.fullmatch(r"\+[1-9][0-9]{6,16}", found) and fields.phone(found, "US") == found)


@settings(max_examples=300, deadline=None)
@given(anything, st.sampled_from(["", "Europe/Amsterdam", "../etc/passwd", "Nowhere"]))
def test_instant_gives_a_moment_or_malformed(value: Any, zone: str) -> None:
    try:
        found = fields.instant(value, "at", zone)
    except PayloadMalformed as wrong:
        assert str(wrong).startswith("at: ")
    else:
        assert fields.instant(found, "at") == found


@settings(max_examples=200, deadline=None)
@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.timezones()))
def test_instant_keeps_the_moment(moment: Any) -> None:
    found = fields.instant(moment.isoformat(), "at")
    assert fields.instant(found, "at") == found and len(found) == 24


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KINDS)), anything, anything, st.sampled_from([1, 2, 3]))
def test_identities_are_total_and_stable(kind: str, scope: Any, value: Any, assurance: int) -> None:
    found = fields.identity(kind, scope, value, assurance)
    if found is not None:
        assert fields.identity(kind, found.scope, found.value, assurance) == found
        assert parse(found.text) == Identity(found.kind, found.value, found.scope)


@settings(max_examples=300, deadline=None)
@given(anything, anything, st.booleans())
def test_money_is_total(amount: Any, currency: Any, minor: bool) -> None:
    found = fields.money(amount, currency, minor=minor)
    assert found == {} or fields.money(found["amount"], found["currency"]) == found
