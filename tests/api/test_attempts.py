"""The contract is kept whatever is asked: schemathesis against the hub in this process, all checks on."""

from __future__ import annotations

import pytest

from tests.api import attempts, examples
from tests.api.client import Api


def seeded(api: Api) -> dict[str, list[str]]:
    """Real ids of each kind, by the story of the examples. Of keys only one that is not in use."""
    story = examples.Story(api)
    chat, partner, till, sender = examples.connected(story)
    customer = examples.arrived(story, chat)
    examples.people(story, customer, chat)
    examples.kept(story, chat)
    examples.systems(story, partner, till, customer)
    examples.rules(story, sender)
    examples.campaigns(story)
    examples.decided(story)
    examples.administration(story)
    called = {view: call["answer"] for view, call in story.calls.items()}
    rule = api.call("POST", "/v1/rules", 201, {"kind": "tell_answer", "connection": sender, "text": {"nl": "Hallo"}})
    audience = api.call("POST", "/v1/audiences", 201, {"name": "All", "consent": ["marketing"]})
    pair = {"a": "email:jan@example.nl", "b": "phone:+31611111111", "reason": "seen together"}
    return {
        "providers": ["generic", "feedback_form"],
        "connections": [chat, partner, till, sender],
        "receipts": [each["id"] for each in called["receipts.listing"]["receipts"]],
        "customers": [customer],
        "conversations": [called["conversations.show"]["id"]],
        "deliveries": [called["deliveries.show"]["id"]],
        "jobs": [called["jobs.show"]["id"]],
        "rules": [rule["id"]],
        "audiences": [audience["id"]],
        "links": [api.call("POST", "/v1/links", 201, pair)["id"]],
        "cuts": [called["links.cut"]["id"]],
        "keys": [called["keys.mint"]["id"]],
        "erasures": [],
    }


def tried(api: Api, examples: int, *, whole: bool) -> list[str]:
    ids = seeded(api)
    with attempts.served() as url:
        return list(attempts.failures(url, attempts.config(api.key, ids, examples, whole=whole)))


def test_whatever_is_asked_is_answered_as_declared(api: Api) -> None:
    found = tried(api, 2, whole=False)
    assert found == [], "\n\n".join(found)


@pytest.mark.nightly
def test_every_bound_and_every_order_of_calls(api: Api) -> None:
    found = tried(api, 30, whole=True)
    assert found == [], "\n\n".join(found)
