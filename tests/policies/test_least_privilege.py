"""Each function's real calls against its policy: none is missing, and nothing is allowed that no call needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bench.stage import environment, memory_stage
from infra import policies
from infra.policies import FUNCTIONS, Place
from tests.policies import journeys
from tests.policies.memory_hub import URL, MemoryHub
from tests.policies.needs import Element, refused, unneeded
from tests.policies.recorded import ACCOUNT, REGION, Call, recording

OPEN, CLOSED = Place("test"), Place("test", ACCOUNT, REGION)
LAMBDAS_OWN = "Lambda itself writes the log, before and after our code"
AS_CONTEXT = "what it sent is an event like any other, and a customer or conversation may come of it"
RARE: dict[Element, str] = {
    **{(name, "LogGroup", "logs:CreateLogGroup"): LAMBDAS_OWN for name in FUNCTIONS},
}
"""What no journey needs, and why it stays."""


@pytest.fixture(scope="module")
def calls() -> Iterator[set[Call]]:
    """Everything that the functions asked of AWS in all journeys."""
    lambdas = {"DRAAD_PUBLIC_URL": URL, "AWS_LAMBDA_FUNCTION_NAME": "draad-test"}
    with ExitStack() as stack:
        recorder = stack.enter_context(recording())
        stack.enter_context(memory_stage())
        stack.enter_context(environment(dict(os.environ) | lambdas))
        hub = MemoryHub(recorder, os.environ["DRAAD_STREAM_ARN"])
        stack.enter_context(hub.clock())
        for journey in journeys.ALL:
            journey(journeys.Town(hub))
        assert recorder.troubles == []
        import pickle

        pickle.dump(
            [(c.function, c.action, c.resource, c.keys) for c in recorder.calls], open("/tmp/pol/all.pkl", "wb")
        )
        yield recorder.calls


def documents(place: Place = OPEN) -> dict[str, dict[str, Any]]:
    return {name: policies.document(place, name) for name in FUNCTIONS}


@pytest.mark.parametrize("place", [OPEN, CLOSED], ids=["any account", "one account"])
def test_every_call_is_allowed(calls: set[Call], place: Place) -> None:
    assert {call.function for call in calls} == FUNCTIONS.keys()
    assert refused(documents(place), calls) == []


def test_nothing_is_allowed_that_no_call_needs(calls: set[Call]) -> None:
    found = unneeded(documents(), calls)
    assert sorted(found - RARE.keys()) == [], "take it out of infra/policies.py, or write the journey that needs it"
    assert sorted(RARE.keys() - found) == [], "a journey needs it now: take it out of RARE"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_is_left_out_is_missed(calls: set[Call], function: str) -> None:
    """Mutants: every single action, resource, key prefix and secret's name, left out by itself."""
    policy, mine = documents()[function], [call for call in calls if call.function == function]
    wanted = [each for each in elements(function, policy) if each not in RARE]
    assert len(wanted) > 15
    for element in wanted:
        missed = refused({function: dropped(policy, element)}, mine)
        assert missed and all(function in each for each in missed), element


MORE: list[tuple[str, str, dict[str, Any], str]] = [
    ("deliver", "Read", {"keys": "KEY"}, "KEY"),
    ("fanout", "Write", {"Action": "dynamodb:DeleteItem"}, "dynamodb:DeleteItem"),
    ("sweep", "Send", {"Resource": "arn:aws:sqs:*:*:draad-test-other"}, "arn:aws:sqs:*:*:draad-test-other"),
    ("context", "PutObjects", {"Resource": "arn:aws:s3:::draad-test-bodies-????????????/*"}, "/*"),
    ("api_handler", "Find", {"keys": "DUE#*"}, "DUE#*"),
    ("deliver", "SealSecrets", {"names": "password"}, "password"),
]


@pytest.mark.parametrize(("function", "sid", "more", "said"), MORE)
def test_whatever_is_too_much_is_named(
    calls: set[Call], function: str, sid: str, more: Mapping[str, str], said: str
) -> None:
    """Mutants the other way round: one thing more than the function needs."""
    policy = copy.deepcopy(documents()[function])
    (statement,) = [each for each in policy["Statement"] if each["Sid"] == sid]
    for name, each in more.items():
        _list_of(statement, name).append(each)
    mine = [call for call in calls if call.function == function]
    found = unneeded({function: policy}, mine) - RARE.keys()
    assert any((function, sid) == element[:2] and element[2].endswith(said) for element in found), found


def _list_of(statement: dict[str, Any], name: str) -> list[str]:
    places: dict[str, tuple[str, str]] = {
        "keys": ("ForAllValues:StringLike", "dynamodb:LeadingKeys"),
        "names": ("StringLike", "kms:EncryptionContext:name"),
    }
    found: list[str] = (
        statement[name] if name not in places else statement["Condition"][places[name][0]][places[name][1]]
    )
    return found


def test_a_call_that_is_not_allowed_is_told_with_function_action_and_key(calls: set[Call]) -> None:
    keys = (("dynamodb:LeadingKeys", ("KEY",)),)
    odd = Call("deliver", "dynamodb:DeleteItem", OPEN.table().replace("*:*", f"{REGION}:{ACCOUNT}"), keys)
    (told,) = refused(documents(), {odd})
    assert told == (
        f"deliver calls dynamodb:DeleteItem on arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/draad-test, dynamodb:LeadingKeys KEY"
    )
    assert not allows(documents()["deliver"], odd.action, odd.resource, odd.context)
