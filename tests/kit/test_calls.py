"""Calls, maps of fields, and a token inside the body: what telephone systems share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.kit import calls
from chalicelib.kit.fields import email_identity
from chalicelib.kit.request import Request
from chalicelib.kit.shape import mapped
from chalicelib.kit.signatures import StaticToken, body_token
from chalicelib.model.event import Ref

AT = "2026-09-01T09:00:00.000Z"
SECRETS = {"token": ("first", "second")}


def request(body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    return Request("POST", "https://hub.example.nl/hooks/con_1", headers, body, AT)


def test_an_inbound_call_is_the_callers() -> None:
    event = calls.entry(calls.Call("c-1", calls.COMPLETED, AT, "06 12345678", "020 1234567"), "ended")
    assert (event.direction, event.actor, event.version) == ("in", "customer", "completed")
    assert [each.text for each in event.identities] == ["phone:+31612345678"]
    assert (event.address, event.own_address) == ("phone:+31612345678", "phone:+31201234567")
    assert event.refs == (Ref("thread", "c-1"),)
    assert event.details == {"status": "completed"}


def test_an_outbound_call_is_the_agents_and_about_the_customer() -> None:
    call = calls.Call("c-2", calls.BUSY, AT, "+31612345678", out=True, version="2", details={"agent": "Daan", "x": ""})
    event = calls.entry(call, "ended", link="https://example.nl/2")
    assert (event.direction, event.actor, event.version, event.link) == ("out", "agent", "2", "https://example.nl/2")
    assert event.details == {"status": "busy", "agent": "Daan"}


@pytest.mark.parametrize("number", ["", "anonymous", "+266696687", "0", "102", "sip:jan@example.nl", "9" * 400])
def test_a_withheld_number_and_an_extension_are_nobody(number: str) -> None:
    claims = (email_identity("jan@example.nl"),)
    event = calls.entry(calls.Call("c-3", calls.NO_ANSWER, AT, number, claims=claims), "ended")
    assert [each.text for each in event.identities] == ["email:jan@example.nl"]
    assert event.address == ""


def test_an_extension_is_inside_the_house() -> None:
    for number in ("10", "102", " 102 ", "123456"):
        assert calls.inside(number)
    for number in ("", "0", "1234567", "0612345678", "+3110", "anonymous", "1a", "٣٤"):
        assert not calls.inside(number)


@pytest.mark.parametrize(
    ("told", "found"),
    [(0, 0), (65, 65), ("65", 65), (65.9, 65), ("65.9", 65), ("1:05", 65), ("01:01:05", 3665), ("00:00:65", 65)]
    + [(each, None) for each in (None, "", "x", -1, True, "1:2:3:4", "٣", "9" * 12, float("nan"), float("inf"), [])],
)
def test_seconds(told: Any, found: int | None) -> None:
    assert calls.seconds(told) == found


def test_a_map_of_fields() -> None:
    told = {"call": {"id": 7}, "from": " 0612345678 ", "b": {"to": "020"}, "list": [1]}
    usual = {"id": "call.id", "from": "caller", "to": "to", "gone": "", "odd": "list"}
    assert mapped(told, usual, None) == {"id": "7", "from": "", "to": "", "gone": "", "odd": ""}
    other = {"from": "from", "to": "b.to", "id": "", "unknown": "x"}
    assert mapped(told, usual, other) == {"id": "", "from": "0612345678", "to": "020", "gone": "", "odd": ""}
    for hostile in ([], "x", 1, {"id": 5, "from": [], "to": {"a": 1}}):
        assert mapped(told, usual, hostile)["from"] == ""
        assert mapped(hostile, usual, None) == dict.fromkeys(usual, "")


def test_a_token_in_the_body() -> None:
    verify = body_token(("auth", "token"))
    assert verify(request(b'{"auth": {"token": "second"}, "a": 1}'), SECRETS) is None
    for body in (
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"auth": "second"}',
        b'{"auth": {"token": ""}}',
        b'{"auth": {"token": ["second"]}}',
        b'{"auth": {"token": "Second"}}',
        b'{"auth": {"token": "second "}}',
        b'{"token": "second"}',
        b"[" * 100_000,
        b"\xff",
        '{"auth": {"token": "secönd"}}'.encode(),
    ):
        assert verify(request(body), SECRETS), body
    assert verify(request(b'{"auth": {"token": ""}}'), {"token": ("",)}) == "no token is configured"
    assert verify(request(b'{"auth": {"token": "second"}}'), {}) == "no token is configured"


def test_signing_puts_the_first_token_into_the_body() -> None:
    verify = body_token(("auth", "token"))
    signed = verify.sign(request('{"naam": "Zoë"}'.encode()), SECRETS)
    assert json.loads(signed.body) == {"naam": "Zoë", "auth": {"token": "first"}}
    assert verify(signed, SECRETS) is None
    assert verify.sign(signed, SECRETS) is signed


def test_a_static_token_may_stand_in_one_of_several_headers() -> None:
    verify = StaticToken(("Verification-Token", "Validation-Token"), prefix="")
    for name in ("verification-token", "validation-token"):
        assert verify(request(b"", ((name, "second"),)), SECRETS) is None
        assert verify(request(b"", ((name, "third"),)), SECRETS)
    both = (("Verification-Token", "third"), ("Validation-Token", "second"))
    assert verify(request(b"", both), SECRETS) == "the token does not match"
    assert verify(request(b""), SECRETS) == "no token in Verification-Token"
    assert verify(verify.sign(request(b""), SECRETS), SECRETS) is None
