"""Rules of messages: made, changed and removed by an admin, checked field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib import destinations
from chalicelib.store import rules
from tests.api.client import Api, key_with
from tests.schedule import replaced


@pytest.fixture
def sender(api: Api) -> str:
    rules.forget()
    made: str = api.call(
        "POST",
        "/v1/connections",
        201,
        {"provider": "webhook", "settings": {"url": "https://x.example/"}, "secrets": {"signing_secret": "whsec_" + "YWJj" * 8}},
    )["id"]  # fmt: skip
    return made


def wish(sender: str, **more: Any) -> dict[str, Any]:
    return {"kind": "tell_answer", "connection": sender, "text": {"nl": "Er is een antwoord: {text}"}} | more


def test_a_rule_is_made_changed_and_removed(api: Api, sender: str) -> None:
    with replaced((destinations, "load", _sending())):
        made = api.call("POST", "/v1/rules", 201, wish(sender))
        assert (made["on"], made["purpose"], made["scale"]) == (True, "service", [1, 5])
        assert [each["id"] for each in api.get("/v1/rules")["rules"]] == [made["id"]]
        off = api.call("PATCH", f"/v1/rules/{made['id']}", json_body={"on": False})
        assert (off["on"], off["text"]) == (False, made["text"])
        api.call("DELETE", f"/v1/rules/{made['id']}")
        assert api.get("/v1/rules")["rules"] == []
        api.call("PATCH", f"/v1/rules/{made['id']}", 404, {"on": True})


def _sending() -> Any:
    load = destinations.load

    def sending(slug: str) -> Any:
        return replace(load(slug), send_message=lambda http, message: "id", channels=("sms",))

    return sending


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"kind": "shout"}, "/kind"),
        ({"text": {}}, "/text"),
        ({"text": {"fr": "Bonjour"}}, "/text/fr"),
        ({"text": {"nl": "x" * 2001}}, "/text/nl"),
        ({"purpose": "fun"}, "/purpose"),
        ({"scale": [5, 1]}, "/scale"),
        ({"scale": "high"}, "/scale"),
        ({"connection": "con_unknown"}, "/connection"),
        ({"what": 1}, "/what"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_field(api: Api, sender: str, more: dict[str, Any], pointer: str) -> None:
    with replaced((destinations, "load", _sending())):
        assert api.refused("POST", "/v1/rules", wish(sender, **more)) == [pointer]


def test_only_what_sends_can_send_and_only_an_admin_says_so(api: Api, sender: str) -> None:
    assert api.refused("POST", "/v1/rules", wish(sender)) == ["/connection"]
    assert Api(key_with("integrate")).send("GET", "/v1/rules").status == 403
