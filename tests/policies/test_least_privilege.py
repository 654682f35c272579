"""Each function's real calls against its policy: none is missing, and nothing is allowed that no call needs."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from bench.stage import environment, memory_stage
from infra import policies
from infra.policies import FUNCTIONS, Place
from tests.policies import journeys
from tests.policies.iam import allows
from tests.policies.memory_hub import URL, MemoryHub
from tests.policies.needs import Element, dropped, elements, refused, unneeded
from tests.policies.recorded import ACCOUNT, REGION, Call, Recorder, recording

OPEN, CLOSED = Place("test"), Place("test", ACCOUNT, REGION)
LAMBDAS_OWN = "Lambda itself writes the log, before and after our code"
OWN = {"LogGroup": LAMBDAS_OWN, "Logs": LAMBDAS_OWN}
"""Whole statements of which no call can be seen here."""
HALF = "a customer whose half of an evidence was lost, or who is erased while a neighbour stays: nobody plays that here"
AS_CONTEXT = "what it sent is an event like any other: in a race it may join a conversation, or be somebody's candidate"
TABLE = OPEN.table()
CHECKS = ("K#*", "V#*", TABLE, "dynamodb:ConditionCheckItem")
RARE: dict[Element, str] = {
    **{(name, "Check", each): HALF for name in ("api_handler", "context", "deliver", "jobs") for each in CHECKS},
    ("deliver", "Delete", "V#*"): AS_CONTEXT,
    ("deliver", "Write", "V#*"): AS_CONTEXT,
    ("deliver", "WriteMany", "dynamodb:BatchWriteItem"): AS_CONTEXT,
    ("deliver", "WriteMany", "arn:aws:dynamodb:*:*:table/draad-test"): AS_CONTEXT,
    ("deliver", "WriteMany", "N#*"): AS_CONTEXT,
    (
        "fanout",
        "Send",
        "arn:aws:sqs:*:*:draad-test-fanout-dlq",
    ): "Lambda itself sends where the stream failed for a day",
}
"""What no journey needs, and why it stays."""


@contextmanager
def stage(recorder: Recorder) -> Iterator[MemoryHub]:
    lambdas = {"DRAAD_PUBLIC_URL": URL, "AWS_LAMBDA_FUNCTION_NAME": "draad-test"}
    with memory_stage(), environment(dict(os.environ) | lambdas):
        hub = MemoryHub(recorder, os.environ["DRAAD_STREAM_ARN"])
        with hub.clock():
            yield hub


@pytest.fixture(scope="module")
def calls() -> set[Call]:
    """Everything that the functions asked of AWS in all journeys, each on a stage of its own."""
    with recording() as recorder:
        for journey in journeys.ALL:
            with stage(recorder) as hub:
                journey(journeys.Town(hub))
    assert recorder.troubles == []
    return recorder.calls


def documents(place: Place = OPEN) -> dict[str, dict[str, Any]]:
    return {name: policies.document(place, name) for name in FUNCTIONS}


@pytest.mark.parametrize("place", [OPEN, CLOSED], ids=["any account", "one account"])
def test_every_call_is_allowed(calls: set[Call], place: Place) -> None:
    assert {call.function for call in calls} == FUNCTIONS.keys()
    assert refused(documents(place), calls) == []


def test_nothing_is_allowed_that_no_call_needs(calls: set[Call]) -> None:
    found = {each for each in unneeded(documents(), calls) if each[1] not in OWN}
    assert sorted(found - RARE.keys()) == [], "take it out of infra/policies.py, or write the journey that needs it"
    assert sorted(RARE.keys() - found) == [], "a journey needs it now: take it out of RARE"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_is_left_out_is_missed(calls: set[Call], function: str) -> None:
    """Mutants: every single action, resource, key prefix and secret's name, left out by itself."""
    policy, mine = documents()[function], [call for call in calls if call.function == function]
    wanted = [each for each in elements(function, policy) if each not in RARE and each[1] not in OWN]
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
