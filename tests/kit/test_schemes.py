"""Schemes chosen by settings: each accepts what it signed, and a bearer token counts in one place only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.kit import schemes
from chalicelib.kit.request import Request

HOOK = "https://hub.example.nl/hooks/con_1"
KEYS: dict[str, tuple[str, ...]] = {
    "signing_secret": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
    "token": ("näive/token",),
    "password": ("pass",),
    "path_secret": ("path",),
}


def request(**more: Any) -> Request:
    made = Request("POST", HOOK, (), b"{}", "2026-09-01T12:00:00.000Z", connection="con_1")
    return replace(made, **more)


@pytest.mark.parametrize("auth", sorted(schemes.SCHEMES))
def test_each_scheme_accepts_what_it_signed_and_nothing_without_its_secret(auth: str) -> None:
    signed = schemes.sign(request(settings={"auth": auth, "username": "till"}), KEYS)
    assert schemes.verify(signed, KEYS) is None
    assert schemes.verify(signed, dict.fromkeys(KEYS, ("other",)))
    assert schemes.verify(signed, {})


def test_a_scheme_that_is_none_accepts_nothing() -> None:
    signed = schemes.sign(request(), KEYS)
    assert schemes.verify(replace(signed, settings={"auth": "trust me"}), KEYS)


def test_a_bearer_token_may_be_in_the_url() -> None:
    bearer, token = {"auth": "bearer"}, (("a", "1"), ("access_token", ""))
    signed = schemes.sign(request(settings=bearer, query=token, url=HOOK + "?a=1&access_token="), KEYS)
    assert signed.url == HOOK + "?a=1&access_token=n%C3%A4ive%2Ftoken"
    assert schemes.verify(signed, KEYS) is None
    assert schemes.verify(replace(signed, query=(("a", "1"), ("access_token", "wrong"))), KEYS)


def test_a_bearer_token_in_two_places_is_none() -> None:
    bearer = {"auth": "bearer"}
    good, bad = ("access_token", "näive/token"), ("access_token", "wrong")
    for query in ((good, bad), (bad, good), (good, good)):
        assert schemes.verify(request(settings=bearer, query=query), KEYS)
    wrong = request(settings=bearer, query=(good,), headers=(("Authorization", "Bearer wrong"),))
    assert schemes.verify(wrong, KEYS)
