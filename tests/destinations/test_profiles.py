"""What the hub works out of a customer is at every CRM, under the fields that its settings name."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.kit import wire
from chalicelib.kit.outgoing import WORKED_OUT
from chalicelib.model.customer import Customer, Field
from tests.destinations.test_destinations import Case, names, open_case

SUFFIXES = ("field", "property", "column", "free_field")


def suffix_of(slug: str) -> str:
    declared = destinations.load(slug).settings
    return next((each for each in SUFFIXES if f"channel_{each}" in declared), "")


SLUGS = [slug for slug in destinations.slugs() if suffix_of(slug)]


def field_of(slug: str) -> str:
    """One that its stand-in knows: that of the case with a channel, or the default."""
    setting = f"channel_{suffix_of(slug)}"
    for name in names(slug, "upsert"):
        case = open_case(slug, name)
        case.standin.stop()
        if field := (case.connection["settings"] | case.told.get("settings", {})).get(setting):
            return str(field)
    return str(destinations.load(slug).settings[setting].default)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    found = open_case(request.param, "contact_new")
    yield found
    found.standin.stop()
    wire.close_all()


def test_every_crm_with_a_field_for_the_channel_has_one_for_each_of_them() -> None:
    assert len(SLUGS) == 11
    for slug in SLUGS:
        assert {f"{name}_{suffix_of(slug)}" for name in WORKED_OUT} <= destinations.load(slug).settings.keys()


@pytest.mark.parametrize("case", SLUGS, indirect=True)
@pytest.mark.parametrize(("what", "value"), [("channel", "voice"), ("satisfaction", "37"), ("consent", "denied")])
def test_it_is_told_and_changed(case: Case, what: str, value: str) -> None:
    suffix, field = suffix_of(case.slug), field_of(case.slug)
    fields = dict.fromkeys((f"{name}_{suffix}" for name in WORKED_OUT), "") | {f"{what}_{suffix}": field}
    case.told["settings"] = case.told.get("settings", {}) | fields
    consent = {"consent_email": Field("opt-out", "2026-09-02T18:15:00.000Z")}
    who = msgspec.structs.replace(
        case.customer,
        preferred_channel="voice",
        satisfaction={"voice": {"score": 80, "at": "2026-09-01"}, "store": {"score": 37, "at": "2026-09-02"}},
        fields=case.customer.fields | consent,
    )
    push, look = case.destination.upsert_contact, case.destination.shows_contact
    assert push is not None and look is not None
    remote = push(case.http(), who, "")
    assert f'"{value}"' in json.dumps(case.standin.state())
    assert look(case.http(), who, remote) or case.slug == "afas"
    other = msgspec.structs.replace(who, preferred_channel="sms", satisfaction={}, fields=case.customer.fields)
    other = msgspec.structs.replace(other, satisfaction={"sms": {"score": 0, "at": "2026-09-03"}})
    push(
        case.http(), msgspec.structs.replace(other, fields=other.fields | {"consent": Field("granted", "2026")}), remote
    )
    assert f'"{value}"' not in json.dumps(case.standin.state())


def test_the_newest_score_and_the_nearest_consent_count() -> None:
    scores = {"voice": {"score": 0, "at": "2026-09-03"}, "store": {"score": 90, "at": "2026-09-01"}}
    assert Customer(id="c", satisfaction=scores).newest_score == "0"
    assert Customer(id="c").newest_score == Customer(id="c").mail_consent == ""
    said = {"consent_marketing": Field("granted", "2026"), "consent_email": Field(" Opt-out", "2025")}
    assert Customer(id="c", fields=said).mail_consent == "denied"
    assert Customer(id="c", fields={"consent": Field("Yes", "2026")}).mail_consent == "granted"
    assert Customer(id="c", fields={"consent": Field("pending", "2026")}).mail_consent == ""
