"""The contract is kept whatever is asked: schemathesis against the hub in this process and a running one, all checks on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.api.routes import ROUTES
from infra.local.hub import Hub
from tests.api import attempts, examples
from tests.api.attempts import Outcome
from tests.api.client import Api
from tests.api.examples import Story
from tests.api.over_http import remote
from tests.drive import eventually

EVERY = {f"{method} {path}" for method, path, _, _ in ROUTES} - {"GET /openapi.json"}
"""Of its own address schemathesis only reads it."""
NOWHERE = "http://127.0.0.1:9"
"""Where nobody listens: what the running hub sends out for its connections reaches nobody."""
PEOPLE = 8
"""Beside those of the story, so that who is erased on the way is not the last."""


@dataclass(frozen=True)
class Seeds:
    """`ids` by kind, real ones; of keys only one that is not in use. `calls`: view → a call of it that was taken."""

    ids: Mapping[str, list[str]]
    calls: Mapping[str, Mapping[str, Any]]

    @property
    def bodies(self) -> dict[str, Any]:
        """Route → what it was sent."""
        return {" ".join(examples.ROUTE[view]): call["body"] for view, call in self.calls.items() if "body" in call}


def seeded(api: Api) -> Seeds:
    """By the story of the examples."""
    story = Story(api)
    chat, partner, till, sender = examples.connected(story)
    customer = examples.arrived(story, chat)
    examples.people(story, customer, chat)
    examples.kept(story, chat)
    examples.systems(story, partner, till, customer)
    return finished(story, [chat, partner, till, sender], {"customers": [customer], "erasures": []})


def seeded_over_http(api: Api) -> Seeds:
    """The same at a running hub, with what its own workers made of it."""
    story = Story(api)
    asked = map(out_of_reach, (examples.CHAT, examples.PARTNER, examples.TILL, examples.SENDER))
    chat, partner, till, sender = examples.connected(story, asked)
    customers = [examples.arrived(story, chat), *visitors(api, chat)]
    examples.people(story, customers[0], chat)
    examples.kept(story, chat)
    eventually(lambda: api.get("/v1/deliveries", connection=partner)["deliveries"])
    story.call("deliveries.listing", query={"connection": partner})
    gone = api.call("POST", f"/v1/customers/{customers.pop()}/erase", 202, {})["erasure"]
    return finished(story, [chat, partner, till, sender], {"customers": customers, "erasures": [gone]})


def finished(story: Story, connections: list[str], ids: dict[str, list[str]]) -> Seeds:
    api = story.api
    examples.rules(story, connections[-1])
    examples.campaigns(story)
    examples.decided(story)
    examples.administration(story)
    called = {view: call["answer"] for view, call in story.calls.items()}
    wish = {"kind": "tell_answer", "connection": connections[-1], "text": {"nl": "Hallo"}}
    pair = {"a": "email:jan@example.nl", "b": "phone:+31611111111", "reason": "seen together"}
    ids |= {
        "providers": ["generic", "feedback_form"],
        "connections": connections,
        "receipts": [each["id"] for each in called["receipts.listing"]["receipts"]],
        "conversations": [called["conversations.show"]["id"]],
        "deliveries": [each["id"] for each in called["deliveries.listing"]["deliveries"]],
        "jobs": [called["jobs.show"]["id"]],
        "rules": [api.call("POST", "/v1/rules", 201, wish)["id"]],
        "audiences": [api.call("POST", "/v1/audiences", 201, {"name": "All", "consent": ["marketing"]})["id"]],
        "links": [api.call("POST", "/v1/links", 201, pair)["id"]],
        "cuts": [called["links.cut"]["id"]],
        "keys": [called["keys.mint"]["id"]],
    }
    return Seeds(ids, story.calls)


def out_of_reach(asked: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(asked["settings"])
    place = {} if asked["provider"] == "generic" else {"url" if "url" in settings else "base_url": NOWHERE}
    return {**asked, "settings": settings | place}


def visitors(api: Api, chat: str) -> list[str]:
    mails = [f"visitor{number}@example.nl" for number in range(PEOPLE)]
    headers = [("Authorization", f"Bearer {examples.TOKEN}"), ("Content-Type", "application/json")]
    for number, mail in enumerate(mails):
        body = {"id": f"v-{number}", "conversation": f"vc-{number}", "visitor": f"v-{number}", "email": mail}
        raw = json.dumps(body | {"at": "2026-09-01T10:00:00.000Z", "text": "Hallo"}).encode()
        assert api.send("POST", f"/hooks/{chat}", raw, headers, key="").status == 200
    api.work()
    return [str(api.get("/v1/customers", identity=f"email:{mail}")["customers"][0]["id"]) for mail in mails]


def none_failed(found: Outcome) -> None:
    assert found.failures == [], "\n\n".join(found.failures)


def tried(api: Api, examples: int, phases: Iterable[str]) -> Outcome:
    seeds = seeded(api)
    with attempts.served() as url:
        return attempts.outcome(url, attempts.config(api.key, seeds.ids, examples, phases))


def test_whatever_is_asked_is_answered_as_declared(api: Api) -> None:
    none_failed(tried(api, 2, attempts.ONE_BY_ONE))


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 6,000 requests a minute of one key; else all that follow are told to wait."""
    monkeypatch.setenv("DRAAD_RATE_LIMIT", "99999")


@pytest.mark.nightly
def test_every_bound_and_every_order_of_calls(unlimited: None, api: Api) -> None:
    none_failed(tried(api, 30, attempts.PHASES))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """One of its own: settings, rules and connections of any kind are changed, while others would work with them."""
    env = {"DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1", "DRAAD_ERASE_SETTLE_SECONDS": "1", "DRAAD_RATE_LIMIT": "99999"}
    with Hub(env={"": env}, visibility_seconds=30) as running:
        yield running


@pytest.fixture(scope="module")
def seeds(hub: Hub) -> Seeds:
    return seeded_over_http(remote(hub.url, hub.admin_key))


def tried_over_http(hub: Hub, seeds: Seeds, examples: int, phases: Iterable[str], *, known: bool = False) -> Outcome:
    """With a key of its own, which still is one afterwards: nothing was merely refused for want of a key. `known`:
    most calls send what the hub is known to take."""
    admin = remote(hub.url, hub.admin_key)
    key = admin.call("POST", "/v1/keys", 201, {"name": "attempts", "scopes": ["admin"]})["key"]
    config = attempts.config(key, seeds.ids, examples, phases)
    found = attempts.outcome(hub.url, config, seeds.bodies if known else {})
    assert remote(hub.url, key).get("/v1/me")["name"] == "attempts"
    return found


def test_a_running_hub_answers_as_declared(hub: Hub, seeds: Seeds) -> None:
    found = tried_over_http(hub, seeds, 2, attempts.ONE_BY_ONE)
    none_failed(found)
    assert found.tried >= EVERY


def test_calls_that_build_on_each_other(hub: Hub, seeds: Seeds) -> None:
    """What one call made, the next reads, changes and removes, as the links of the contract lead."""
    found = tried_over_http(hub, seeds, 15, ["stateful"], known=True)
    none_failed(found)
    assert len(found.followed) >= 5 and sum(found.followed.values()) >= 10, found.followed


@pytest.mark.nightly
@pytest.mark.parametrize("phases", [["examples", "coverage", "fuzzing"], ["stateful"]])
def test_a_running_hub_for_longer(hub: Hub, seeds: Seeds, phases: list[str]) -> None:
    none_failed(tried_over_http(hub, seeds, 60, phases, known=phases == ["stateful"]))
