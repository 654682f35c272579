"""Each function's real calls against its policy: none is missing, and nothing is allowed that no call needs."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from bench.stage import environment, memory_stage
from infra import policies
from infra.policies import FUNCTIONS, Place
from tests.policies import journeys
from tests.policies.iam import allows
from tests.policies.memory_hub import URL, MemoryHub
from tests.policies.needs import Element, dropped, elements, refused, unneeded
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
