"""What one hook loads in a fresh process, and what it asks of AWS: exact, no times."""

from __future__ import annotations

import base64
import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bench import hook, imports
from bench.stage import environment
from bench.wire import Wire
from chalicelib import sources
from chalicelib.store import aws

PROVIDERS = tuple(sources.slugs())
HEAVY = ("requests", "pydantic", "pynamodb", "phonenumbers", "cryptography", "boto3", "aws_lambda_powertools", "moto")
CRYPTOGRAPHY = {"adobe_commerce", "bol", "sendgrid", "ses", "wechat"}
"""Signed by a key pair, or encrypted: they cannot do without."""
STAGES = ("chalicelib.context", "chalicelib.fanout", "chalicelib.workers")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_hook_loads_its_own_provider_and_nothing_heavy(provider: str) -> None:
    loaded = imports.loaded(provider)
    assert [name for name in loaded if name.startswith("chalicelib.sources.")] == [f"chalicelib.sources.{provider}"]
    assert [name for name in loaded if name.startswith("chalicelib.destinations.")] == []
    heavy = {name.partition(".")[0] for name in loaded} & set(HEAVY)
    assert heavy == ({"cryptography"} if provider in CRYPTOGRAPHY else set())
    assert [name for name in loaded if name.startswith(STAGES)] == []


@pytest.fixture
def hub() -> Iterator[hook.App]:
    with environment(hook.hub_env()):
        yield hook.hub_app()


def wired(provider: str) -> tuple[dict[str, Any], Wire]:
    event, wire = hook.webhook(provider)
    for service in hook.SERVICES:
        wire.attach(aws.client(service))
    return event, wire


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_warm_hook_asks_aws_for_one_send(hub: hook.App, provider: str) -> None:
    event, wire = wired(provider)
    assert hub(event, None)["statusCode"] in hook.TAKEN
    first = Counter(wire.sent)
    assert (first["GetItem"], first["GetQueueUrl"], first["SendMessage"]) == (1, 1, 1)
    assert first["PutItem"] == 0
    wire.sent.clear()
    for _ in range(3):
        assert hub(event, None)["statusCode"] in hook.TAKEN
    assert wire.sent == ["SendMessage"] * 3


@pytest.mark.parametrize("provider", hook.FIXTURES)
def test_a_bad_signature_costs_one_note_a_minute(hub: hook.App, provider: str) -> None:
    event, wire = wired(provider)
    wire.replies = {**wire.replies, "PutItem": lambda asked: {}}
    forged = copy.deepcopy(event)
    forged["body"] = base64.b64encode(base64.b64decode(event["body"]) + b" ").decode()
    answers = [hub(forged, None)["statusCode"] for _ in range(3)]
    assert answers == [401, 401, 401]
    sent = Counter(wire.sent)
    assert sent["SendMessage"] == 0 and 1 <= sent["PutItem"] <= 2
    assert sent["GetItem"] == 1


def test_a_connection_id_that_nobody_made_costs_nothing(hub: hook.App) -> None:
    event, wire = wired("generic")
    wire.sent.clear()
    made_up = copy.deepcopy(event)
    made_up["pathParameters"] = {"connection_id": "con_" + "a" * 26}
    assert hub(made_up, None)["statusCode"] == 401
    assert wire.sent == []
