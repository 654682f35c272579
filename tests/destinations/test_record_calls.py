"""The exact requests that move an activity, make one record of two, or look at one, and what becomes of refusals.

Cases are data, a file for each system: `of` names the fixture whose contact or entry it is about, `mapped` what a
mapping found, `before` what happens on the stand-in first. An activity is written, then `between` happens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chalicelib.errors import DeliveryFailed
from chalicelib.kit import wire
from tests.destinations.test_destinations import FIXTURES, Case, compare, open_case

CASES = {
    (path.stem, told["name"]): told
    for path in sorted((FIXTURES.parent / "records").glob("*.json"))
    for told in json.loads(path.read_text())
}


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    slug, _ = request.param
    told = CASES[request.param]
    found = open_case(slug, told["of"])
    found.told |= {"returns": None} | told
    acted(found, "before")
    yield found
    found.standin.stop()
    wire.close_all()


def acted(case: Case, when: str) -> None:
    for method, arguments in case.told.get(when, []):
        getattr(case.standin, method)(**arguments)


def prepared(case: Case) -> str:
    """The activity, where the case is about one."""
    activity = case.run() if case.told["do"] == "append" else ""
    acted(case, "between")
    case.standin.calls.clear()
    return activity


def done(case: Case, activity: str) -> Any:
    destination, arguments = case.destination, case.told["arguments"]
    if case.told["ability"] == "move":
        assert destination.move_activity is not None
        destination.move_activity(case.http(), activity, arguments["old"], arguments["new"], case.entry)
        return None
    if case.told["ability"] == "merge":
        assert destination.merge_contacts is not None
        return destination.merge_contacts(case.http(), arguments["kept"], arguments["other"])
    if case.told["ability"] == "forget":
        assert destination.forget_contact is not None
        destination.forget_contact(case.http(), arguments["remote"])
        return None
    assert destination.shows_contact is not None
    customer = msgspec.structs.replace(case.customer, mapped=arguments.get("mapped", {}))
    return destination.shows_contact(case.http(), customer, arguments["remote"])


@pytest.mark.parametrize("case", CASES, ids=["-".join(one) for one in CASES], indirect=True)
def test_exactly_these_requests_are_made(case: Case) -> None:
    activity = prepared(case)
    if "outcome" in case.told:
        with pytest.raises(DeliveryFailed) as failed:
            done(case, activity)
        assert failed.value.outcome == case.told["outcome"]
        assert case.told.get("says", "") in f"{failed.value.reason} {failed.value.excerpt}"
    else:
        assert done(case, activity) == case.told["returns"]
    compare(case)
    if "records" in case.told:
        assert case.standin.records_of(case.entry.event.id) == case.told["records"]
