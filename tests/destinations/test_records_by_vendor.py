"""Records at vendors with rights, refusals and delays of their own; what all have in common is in test_records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from chalicelib.errors import Delayed, DeliveryFailed, Rejected
from chalicelib.kit import wire
from tests.destinations.test_destinations import open_case
from tests.destinations.test_records import MERGED, Two, changed, customer, kinds, opened, pushed

OLDER = {"api": "jsonrpc", "login": "hub@tc.example"}
MOMENTS = {
    "activity_model": "tc.contact_moment",
    "activity_party": "party",
    "activity_text": "told",
    "activity_reference": False,
}
SEVERAL = 12
"""More requests than a merge makes."""

Make = Callable[..., Two]


def paired(slug: str, entry: str = "", **settings: Any) -> Two:
    """Two records with an activity on the first; `settings` over those of the connection."""
    written = open_case(slug, entry or kinds(slug)[0])
    written.standin.stop()
    case = opened(slug)
    case.told["settings"] = settings
    one, other = pushed(case, customer(case)), pushed(case, customer(case, 1))
    append = case.destination.append_activity
    assert append is not None
    return Two(case, written.entry, one, other, append(case.http(), one, written.entry))


@pytest.fixture
def pair() -> Iterator[Make]:
    made: list[Two] = []

    def make(*told: str, **settings: Any) -> Two:
        made.append(paired(*told, **settings))
        return made[-1]

    yield make
    for each in made:
        each.case.standin.stop()
    wire.close_all()


def shown(two: Two, remote: str, number: int = 0, **mapped: Any) -> bool:
    look = two.case.destination.shows_contact
    assert look is not None
    who = msgspec.structs.replace(customer(two.case, number), mapped=mapped)
    return look(two.case.http(), who, remote)


def refused(two: Two, doing: Callable[[], Any], kind: type[DeliveryFailed] = Rejected) -> DeliveryFailed:
    """What is refused changes nothing."""
    before = two.records, two.case.standin.kept(), two.case.standin.people()
    with pytest.raises(kind) as failed:
        doing()
    assert failed.type is kind
    assert (two.records, two.case.standin.kept(), two.case.standin.people()) == before
    return failed.value


def left_of(slug: str, *lost: int) -> Any:
    """The state after a merge, made again until it is done; the answers to these of its requests are lost."""
    two = paired(slug)
    for each in lost:
        two.case.standin.behave("drop", times=1, skip=each)
        try:
            two.merge(two.other, two.one)
        except DeliveryFailed as failed:
            assert failed.outcome == "unknown"
        two.case.standin.behave()
    left = two.merge(two.other, two.one)
    found = left, two.records, sorted(two.case.standin.people()), two.case.standin.kept()
    two.case.standin.stop()
    return found


@pytest.mark.parametrize("slug", [slug for slug, _ in MERGED])
def test_a_merge_whose_answer_was_lost_is_made_again(slug: str) -> None:
    whole = left_of(slug)
    for lost in range(SEVERAL):
        assert left_of(slug, lost) == left_of(slug, lost, lost) == whole
    wire.close_all()


@pytest.mark.parametrize("settings", [{}, OLDER], ids=["json2", "jsonrpc"])
def test_an_entry_of_odoo_stays_the_same_one_only_where_an_administrator_moves_it(
    pair: Make, settings: dict[str, str]
) -> None:
    for may_set in (True, False):
        two = pair("odoo", **settings)
        two.case.standin.set(may_set=may_set)
        before = two.activity
        two.move(two.one, two.other)
        assert two.records == [two.other]
        assert (two.activity == before) is may_set
        assert int(two.activity) in two.case.standin.state()["mail.message"], "the id that we keep is the one there"
        two.move(two.other, two.one)
        assert two.records == [two.one]
        assert two.case.standin.kept() == [two.entry.event.id]


@pytest.mark.parametrize("settings", [{}, OLDER], ids=["json2", "jsonrpc"])
def test_odoo_has_the_same_abilities_by_both_apis(pair: Make, settings: dict[str, str]) -> None:
    two = pair("odoo", **settings)
    assert shown(two, two.one) and shown(two, two.other, 1) and not shown(two, two.one, 1)
    assert two.merge(two.other, two.one) == two.other == two.merge(two.one, two.other)
    assert two.records == [two.other]
    assert not shown(two, two.one)


def test_odoo_merges_by_its_own_rules(pair: Make) -> None:
    two = pair("odoo")
    two.case.standin.set(may_merge_any=False)
    failed = refused(two, lambda: two.merge(two.other, two.one))
    assert "same email" in failed.excerpt
    two.case.standin.set(may_merge_any=True)
    two.case.standin.archive_partner(two.other)
    assert two.merge(two.other, two.one) == two.one, "what people archived is not what is left"
    assert two.case.standin.people() == [customer(two.case).id]


def test_what_is_gone_in_odoo_is_said(pair: Make) -> None:
    two = pair("odoo")
    two.case.standin.archive_partner(two.one)
    assert not shown(two, two.one)
    two.case.standin.remove_partner(two.other)
    assert "this partner was deleted" in refused(two, lambda: two.move(two.one, two.other)).reason
    two = pair("odoo")
    del two.case.standin.state()["mail.message"][int(two.activity)]
    assert "this entry was deleted" in refused(two, lambda: two.move(two.one, two.other)).reason


def test_a_record_that_a_field_of_odoo_names_is_its_number(pair: Make) -> None:
    two = pair("odoo")
    two.case.standin.state()["res.partner"][int(two.one)]["x_tier"] = [3, "Gold"]
    assert shown(two, two.one, x_tier=3)
    assert not shown(two, two.one, x_tier=4)


def test_zoho_may_merge_later(pair: Make) -> None:
    two = pair("zoho")
    two.case.standin.set(merges_later=True)
    for _ in range(2):
        failed = refused(two, lambda: two.merge(two.other, two.one), Delayed)
        assert getattr(failed, "retry_after", None) == 60
    assert len([call for call in two.case.standin.calls if call.path.endswith("/actions/merge")]) == 3
    two.case.standin.settle()
    assert two.merge(two.other, two.one) == two.other
    assert two.records == [two.other]


def test_a_note_that_zoho_leaves_where_it_was_is_said(pair: Make) -> None:
    two = pair("zoho", "message_whatsapp")
    two.case.standin.set(notes_stay=True)
    assert "left it where it was" in refused(two, lambda: two.move(two.one, two.other)).reason


@pytest.mark.parametrize("unique", [True, False])
def test_an_address_that_zoho_lets_nobody_share_is_not_missing(pair: Make, unique: bool) -> None:
    two = pair("zoho")
    contacts = two.case.standin.state()["Contacts"]
    contacts[two.other]["Email"] = contacts[two.one].pop("Email")
    two.case.standin.set(unique_mail=unique)
    assert shown(two, two.one) is unique
    before = changed(two.case.standin.state())["Contacts"][two.one].copy()
    assert pushed(two.case, customer(two.case), two.one) == two.one
    assert (changed(two.case.standin.state())["Contacts"][two.one] == before) is unique
    assert not shown(two, two.one, Loyalty_Tier="gold")
    assert not shown(two, two.other), "it is another customer's"


def test_a_follow_up_of_superoffice_has_the_company_of_its_person(pair: Make) -> None:
    two = pair("superoffice")
    told, persons = two.case.standin.state()["appointments"], two.case.standin.state()["persons"]
    persons[two.other]["Contact"] = {"ContactId": 7}
    two.move(two.one, two.other)
    assert told[two.activity]["Contact"] == {"ContactId": 7}
    two.move(two.other, two.one)
    assert told[two.activity]["Contact"] is None
    two.case.standin.remove_person(two.other)
    assert "this person was deleted" in refused(two, lambda: two.move(two.one, two.other)).reason


def test_superoffice_merges_no_colleagues(pair: Make) -> None:
    two = pair("superoffice")
    two.case.standin.colleagues.add(two.one)
    refused(two, lambda: two.merge(two.other, two.one))


def test_a_part_of_what_superoffice_shows_is_enough(pair: Make) -> None:
    two = pair("superoffice")
    two.case.standin.state()["persons"][two.one]["Contact"] = {"ContactId": 7, "Name": "De Vries BV"}
    company = {"Contact.ContactId": 7}
    assert shown(two, two.one, **company)
    assert not shown(two, two.one, **{"Contact.ContactId": 8})


def test_an_activity_of_another_model_of_tryton_moves_too(pair: Make) -> None:
    two = pair("tryton", "order_in_other_model", **MOMENTS)
    two.move(two.one, two.other)
    assert two.records == [two.other]
    refused(two, lambda: two.move(two.other, "99"))
    assert two.merge(two.one, two.other) == two.one
    assert two.records == [two.one]


def test_tryton_replaces_whatever_the_names_and_leaves_other_doubts_to_people(pair: Make) -> None:
    two = pair("tryton")
    rows = two.case.standin.state()["rows"]["party.identifier"]
    own = next(row for row in rows.values() if row["party"] == int(two.one))
    own["type"] = "eu_vat"
    with pytest.raises(Rejected) as failed:
        two.merge(two.other, two.one)
    assert "tax_identifier" in failed.value.excerpt and "different" in failed.value.excerpt
    assert len(two.case.standin.people()) == 2
    own["type"] = None
    two.case.standin.set(may_erase=False)
    with pytest.raises(Rejected):
        two.merge(two.other, two.one)
    assert two.records == [two.other], "what was told goes first, so that nothing of it can be left behind"


def test_a_party_that_people_put_out_of_use_stays_so(pair: Make) -> None:
    two = pair("tryton")
    two.case.standin.retire_party(two.one)
    assert shown(two, two.one), "it takes no changes"
    assert two.merge(two.one, two.other) == two.other == two.merge(two.other, two.one)
    assert two.records == [two.other]
    assert two.case.standin.people() == [customer(two.case, 1).id]


def test_a_party_that_people_replaced_is_the_other(pair: Make) -> None:
    two = pair("tryton")
    two.case.standin.replace_party(two.one, two.other)
    assert two.merge(two.one, two.other) == two.merge(two.other, two.one) == two.other
    assert shown(two, two.one, 1)
    assert not shown(two, two.one), "it has the other's name"
    two.move(two.one, two.other)
    assert two.records == [two.other]
