"""Survey answers from systems of their own: whose they are, and what they count for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.api.client import Api, key_with

SENT, ANSWERED = "2026-09-05T13:05:00Z", "2026-09-05T13:10:05Z"


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"))


def till(api: Api) -> dict[str, Any]:
    mapping = api.get("/v1/providers/generic")["templates"]
    return api.connect(name="till", mapping=[*mapping["store"], *mapping["survey"]])


def form(api: Api, till: str) -> str:
    scopes = {"ref_scopes": {"survey": till}}
    asked = {"provider": "typeform", "name": "form", "settings": scopes, "secrets": {"secret": "hush"}}
    made: str = api.call("POST", "/v1/connections", 201, asked)["id"]
    return made


def answer(api: Api, connection: str, number: int, **hidden: str) -> None:
    asked = {"id": "q1", "type": "nps", "ref": "nps", "title": "Beveelt u ons aan?"}
    response = {"token": f"t{number}", "submitted_at": ANSWERED, "hidden": hidden, "form_id": "f"}
    response |= {"definition": {"title": "Na uw bezoek", "fields": [asked]}}
    response |= {"answers": [{"type": "number", "number": number, "field": asked}]}
    raw = json.dumps({"event_id": f"e{number}", "event_type": "form_response", "form_response": response}).encode()
    mac = base64.b64encode(hmac.new(b"hush", raw, hashlib.sha256).digest()).decode()
    headers = [("Content-Type", "application/json"), ("Typeform-Signature", f"sha256={mac}")]
    assert api.send("POST", f"/hooks/{connection}", raw, headers, key="").status == 200
    api.work()


def sent(api: Api, till: str) -> None:
    survey = {"event": "survey.sent", "survey": "sv-1", "to": "0612345678", "scale": [0, 10], "at": SENT}
    api.record(till, survey | {"subject_channel": "store"})


@pytest.mark.parametrize("first", ["survey", "answer"])
def test_an_answer_that_names_only_its_survey_is_the_recipients(api: Api, first: str) -> None:
    made = till(api)["id"]
    forms = form(api, made)
    if first == "survey":
        sent(api, made)
        answer(api, forms, 9, survey="sv-1", channel="store")
    else:
        answer(api, forms, 9, survey="sv-1", channel="store")
        sent(api, made)
    (customer,) = api.get("/v1/customers", identity="phone:+31612345678")["customers"]
    shown = api.get(f"/v1/customers/{customer['id']}")["satisfaction"]
    assert {channel: each["score"] for channel, each in shown.items()} == {"store": 90}
    entries = api.get(f"/v1/customers/{customer['id']}/timeline")["entries"]
    assert [(each["type"], each["direction"]) for each in entries][:2] == [
        ("satisfaction", "in"),
        ("satisfaction", "out"),
    ]


def test_a_typed_address_unites_nobody(api: Api) -> None:
    made = till(api)["id"]
    forms = form(api, made)
    sent(api, made)
    answer(api, forms, 3, survey="sv-1", email="piet@example.nl")
    assert (
        api.get("/v1/customers", identity="email:piet@example.nl")["customers"]
        != api.get("/v1/customers", identity="phone:+31612345678")["customers"]
    )
