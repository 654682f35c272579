"""Records over there, for every destination that can: what moves between two, what makes one of two, what one shows.

Two customers and one activity, by the system's own fixtures; its stand-in refuses what the vendor refuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from chalicelib import destinations
from chalicelib.errors import DeliveryFailed
from chalicelib.kit import wire
from chalicelib.model.customer import Customer, Entry, Field
from chalicelib.model.identity import Identity
from tests.destinations.test_destinations import COMING_BACK, Case, came_back, names, open_case

ABLE = {
    ability: [slug for slug in destinations.slugs() if getattr(destinations.load(slug), ability)]
    for ability in ("move_activity", "merge_contacts", "shows_contact")
}
MOST_REQUESTS = 8
CHOICES = frozenset({"kinds"})
COUNTS = frozenset({"calls", "writes", "updates"})
"""What a stand-in counts of requests, and not what it holds."""


@dataclass
class Two:
    """`one` and `other` are the records of two customers; `activity` lies on the first."""

    case: Case
    entry: Entry
    one: str
    other: str
    activity: str

    @property
    def records(self) -> list[str]:
        return self.case.standin.records_of(self.entry.event.id)

    def move(self, old: str, new: str) -> None:
        move = self.case.destination.move_activity
        assert move is not None
        before = len(self.case.standin.calls)
        self.activity = move(self.case.http(), self.activity, old, new, self.entry)
        assert self.activity
        assert len(self.case.standin.calls) - before <= MOST_REQUESTS

    def merge(self, kept: str, other: str) -> str:
        assert self.case.destination.merge_contacts is not None
        return self.case.destination.merge_contacts(self.case.http(), kept, other)


def customer(case: Case, number: int = 0, name: str = "Jan de Vries") -> Customer:
    """The fixture's customer, or somebody else with nothing in common with him."""
    told = msgspec.structs.replace(case.customer, mapped={})
    at = "2026-09-02T18:15:00.000Z"
    if not number:
        return msgspec.structs.replace(told, fields=told.fields | {"name": Field(name, at)})
    mail, phone = f"anna{number}@example.nl", f"+3161234900{number}"
    identities = (Identity("email", mail, "", 3), Identity("phone", phone, "", 2))
    fields = {"name": Field(f"Anna Bakker{number}", at), "email": Field(mail, at)}
    return Customer(id=f"cus_0198z{number}", identities=identities, fields=fields)


def pushed(case: Case, who: Customer, remote: str = "") -> str:
    assert case.destination.upsert_contact is not None
    return case.destination.upsert_contact(case.http(), who, remote)


def opened(slug: str) -> Case:
    return open_case(slug, "contact_new" if "contact_new" in names(slug, "upsert") else names(slug, "upsert")[0])


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    found = opened(request.param)
    yield found
    found.standin.stop()
    wire.close_all()


@pytest.fixture
def pushed_case(request: pytest.FixtureRequest) -> Iterator[Case]:
    found = open_case(*request.param)
    yield found
    found.standin.stop()
    wire.close_all()


@pytest.fixture
def two(request: pytest.FixtureRequest) -> Iterator[Two]:
    slug, name = request.param
    case = opened(slug)
    written = open_case(slug, name)
    written.standin.stop()
    case.told["settings"] = case.told.get("settings", {}) | written.told.get("settings", {})
    append = case.destination.append_activity
    assert append is not None
    one, other = pushed(case, customer(case)), pushed(case, customer(case, 1))
    assert one != other
    activity = append(case.http(), one, written.entry)
    yield Two(case, written.entry, one, other, activity)
    case.standin.stop()
    wire.close_all()


def kinds(slug: str) -> list[str]:
    """Plain activities: those whose case needs nothing on the stand-in first, and no settings but those that
    choose what an event becomes."""
    whole = [open_case(slug, name) for name in names(slug, "append")]
    for each in whole:
        each.standin.stop()
    usual = [each for each in whole if each.told.get("settings", {}).keys() <= CHOICES]
    plain = [each for each in usual if not {"secrets", "mapped"} & each.told.keys()]
    return [str(each.told["name"]) for each in plain if not each.entry.mapped]


MOVED = [(slug, name) for slug in ABLE["move_activity"] for name in kinds(slug)]
MERGED = [(slug, kinds(slug)[0]) for slug in ABLE["merge_contacts"]]
each_move = pytest.mark.parametrize("two", MOVED, ids=["-".join(one) for one in MOVED], indirect=True)
each_merge = pytest.mark.parametrize("two", MERGED, ids=[one[0] for one in MERGED], indirect=True)
PUSHED = [(slug, name) for slug in ABLE["shows_contact"] for name in names(slug, "upsert")]
BACK = [(slug, name) for slug, name in MERGED if slug in COMING_BACK]
each_back = pytest.mark.parametrize("two", BACK, ids=[one[0] for one in BACK], indirect=True)
each_push = pytest.mark.parametrize("pushed_case", PUSHED, ids=["-".join(one) for one in PUSHED], indirect=True)
each_look = pytest.mark.parametrize("case", ABLE["shows_contact"], indirect=True)


def test_every_crm_that_can_show_a_history_can_move_it() -> None:
    """What cannot says so where people see it."""
    for slug in destinations.slugs():
        each = destinations.load(slug)
        if each.contacts and each.history and not each.move_activity:
            assert any("stays on the record" in word for word in each.setup), slug


@each_move
def test_an_activity_moves_there_and_back_and_is_one(two: Two) -> None:
    assert two.records == [two.one]
    for old, new in ((two.one, two.other), (two.one, two.other), (two.other, two.one)):
        two.move(old, new)
        assert two.records == [new]
        assert two.case.standin.kept() == [two.entry.event.id]


@each_move
def test_a_move_whose_answer_was_lost_is_made_again(two: Two) -> None:
    for mode in ("drop", "reset", "truncate", "status"):
        for lost in range(MOST_REQUESTS):
            two.case.standin.behave(mode, times=1, skip=lost, status=503)
            calls = len(two.case.standin.calls)
            try:
                two.move(two.one, two.other)
            except DeliveryFailed as failed:
                assert failed.outcome in ("unknown", "delayed")
            two.case.standin.behave()
            if len(two.case.standin.calls) - calls <= lost:
                break
            two.move(two.one, two.other)
            assert two.records == [two.other]
            two.move(two.other, two.one)
    assert two.case.standin.kept() == [two.entry.event.id]


@each_move
def test_an_old_record_that_is_gone_does_not_hold_a_move_up(two: Two) -> None:
    two.move(two.one, two.other)
    assert two.case.destination.forget_contact is not None
    two.case.destination.forget_contact(two.case.http(), two.one)
    if two.records:
        two.move(two.one, two.other)
        assert two.records == [two.other]


@each_merge
def test_two_records_become_one_that_has_everything(two: Two) -> None:
    left = two.merge(two.other, two.one)
    assert left in (two.one, two.other)
    assert two.merge(two.other, two.one) == left
    assert two.records == [left]
    assert len([each for each in two.case.standin.people() if each]) == 1
    assert pushed(two.case, customer(two.case, 1), left) == left


@each_back
def test_what_the_hub_moves_merges_and_looks_at_does_not_come_back_as_an_agents(two: Two) -> None:
    """Not even where an agent was the last to change both; and what he typed is not taken for the hub's word."""
    case, own = two.case, two.case.connection["changes"]["settings"]
    source, look = case.destination.changes, case.destination.shows_contact
    assert source is not None and look is not None
    for record in (two.one, two.other):
        case.standin.edit(record)
    before = len(case.standin.changes())
    two.move(two.one, two.other)
    look(case.http(), customer(case), two.one)
    assert len(case.standin.changes()) == before
    left = two.merge(two.other, two.one)
    told = [event for body in case.standin.changes()[before:] for event in came_back(case, source, body, own)]
    assert told
    for event in told:
        assert (event.actor, event.fields) == ("system", {})
        assert [each.value for each in event.identities if each.assurance > 1] == [left]


@each_look
def test_a_record_shows_what_was_pushed_until_somebody_changes_it(case: Case) -> None:
    look, told = case.destination.shows_contact, customer(case)
    assert look is not None
    remote = pushed(case, told)
    assert look(case.http(), told, remote)
    pushed(case, customer(case, name="Johan Smit"), remote)
    before = changed(case.standin.state())
    assert not look(case.http(), told, remote)
    assert changed(case.standin.state()) == before, "looking changes nothing"
    pushed(case, told, remote)
    assert look(case.http(), told, remote)


def changed(state: Any) -> Any:
    return {name: each for name, each in state.items() if name != "calls"} if isinstance(state, dict) else state


def held(case: Case) -> str:
    return json.dumps({name: each for name, each in case.standin.state().items() if name not in COUNTS})


@each_push
def test_a_look_says_whether_pushing_again_would_change_something(pushed_case: Case) -> None:
    """What a mapping fills counts; what another record holds, so that a push leaves it out, does not."""
    case, look = pushed_case, pushed_case.destination.shows_contact
    assert look is not None
    if remote := case.run():
        shown, before = look(case.http(), case.customer, remote), held(case)
        pushed(case, case.customer, remote)
        assert shown == (held(case) == before and "differs" not in case.told)


@each_look
def test_a_record_that_is_gone_shows_nothing(case: Case) -> None:
    look, told = case.destination.shows_contact, customer(case)
    assert look is not None and case.destination.forget_contact is not None
    remote = pushed(case, told)
    case.destination.forget_contact(case.http(), remote)
    assert not look(case.http(), told, remote)


@each_look
def test_looking_at_a_system_that_fails_tells_nothing(case: Case) -> None:
    look, told = case.destination.shows_contact, customer(case)
    assert look is not None
    remote = pushed(case, told)
    for mode, status in (("drop", 200), ("status", 503), ("lie", 200)):
        case.standin.behave(mode, times=1, status=status)
        with pytest.raises(DeliveryFailed):
            look(case.http(), told, remote)
