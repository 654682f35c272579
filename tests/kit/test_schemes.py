"""Schemes chosen by settings: each accepts what it signed, and a bearer token counts in one place only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib.kit import schemes, signatures
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


CHOICE = schemes.one_of("auth", basic=signatures.basic_auth(), path=signatures.path_secret())


@pytest.mark.parametrize("auth", ["", *CHOICE.choices])
def test_the_named_one_of_several_is_the_only_one_that_counts(auth: str) -> None:
    signed = CHOICE.sign(request(settings={"auth": auth, "username": "till"}), KEYS)
    assert CHOICE(signed, KEYS) is None
    assert CHOICE(signed, dict.fromkeys(KEYS, ("other",)))
    other = "basic" if auth == "path" else "path"
    assert CHOICE(replace(signed, settings={"auth": other, "username": "till"}), KEYS)
    assert CHOICE(replace(signed, settings={"auth": "trust me", "username": "till"}), KEYS)


def test_the_first_of_several_stands_for_none() -> None:
    assert CHOICE.choices == ("basic", "path") and CHOICE.of({}) is CHOICE.of({"auth": "basic"})
    assert CHOICE.of({"auth": "trust me"}) is None


def test_a_bearer_token_may_be_in_the_url() -> None:
    bearer = {"auth": "bearer"}
    assert schemes.verify(request(settings=bearer, query=(("a", "1"), ("access_token", "näive/token"))), KEYS) is None
    assert schemes.verify(request(settings=bearer, query=(("a", "1"), ("access_token", "wrong"))), KEYS)
    assert schemes.verify(request(settings=bearer, query=(("access_token", ""),)), {"token": ("",)})


def test_a_bearer_token_in_two_places_is_none() -> None:
    bearer = {"auth": "bearer"}
    good, bad = ("access_token", "näive/token"), ("access_token", "wrong")
    for query in ((good, bad), (bad, good), (good, good)):
        assert schemes.verify(request(settings=bearer, query=query), KEYS)
    wrong = request(settings=bearer, query=(good,), headers=(("Authorization", "Bearer wrong"),))
    assert schemes.verify(wrong, KEYS)


NOW = 1788264000
SAID = {"iss": "https://id.example.nl", "aud": "draad", "exp": NOW + 300}


def bearing(token: str, **settings: str) -> Request:
    chosen = {"auth": "jwt", "issuer": "https://id.example.nl", "audience": "draad"} | settings
    return request(settings=chosen, headers=(("Authorization", f"Bearer {token}"),))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_of_another_library_counts_for_who_it_is_meant(algorithm: str) -> None:
    key = "k" * 64
    keys = {"signing_secret": (key,)}
    good = jwt.encode(SAID, key, algorithm)
    assert schemes.verify(bearing(good, jwt_algorithm=algorithm), keys) is None
    assert schemes.verify(bearing(good, jwt_algorithm=algorithm, audience="others"), keys)
    assert schemes.verify(bearing(good, jwt_algorithm=algorithm), {"signing_secret": ("other" * 20,)})
    assert schemes.verify(bearing(good, jwt_algorithm="RS256"), keys)
    for wrong in ({"iss": "https://evil.example"}, {"aud": "others"}, {"exp": NOW - 120}, {"nbf": NOW + 120}):
        assert schemes.verify(bearing(jwt.encode(SAID | wrong, key, algorithm), jwt_algorithm=algorithm), keys)
    without = jwt.encode({name: told for name, told in SAID.items() if name != "exp"}, key, algorithm)
    assert schemes.verify(bearing(without, jwt_algorithm=algorithm), keys)


def test_a_token_signed_by_a_private_key_counts_by_its_public_one() -> None:
    private = rsa.generate_private_key(65537, 2048)
    form, kind = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public = private.public_key().public_bytes(form, kind).decode()
    keys = {"signing_secret": (public,)}
    token = jwt.encode(SAID, private, "RS256")
    assert schemes.verify(bearing(token, jwt_algorithm="RS256"), keys) is None
    assert schemes.verify(bearing(token), keys)
    assert schemes.verify(bearing(token, jwt_algorithm="none"), keys)
    assert schemes.verify(bearing(jwt.encode(SAID, None, "none"), jwt_algorithm="RS256"), keys)


def test_a_token_may_cover_the_body() -> None:
    signed = schemes.sign(request(settings={"auth": "jwt", "body_claim": "payload_hash"}), KEYS)
    assert schemes.verify(signed, KEYS) is None
    assert schemes.verify(replace(signed, body=b"[]"), KEYS)


def test_a_token_counts_in_the_header_and_after_the_prefix_that_the_settings_name() -> None:
    key = "k" * 64
    keys, token = {"signing_secret": (key,)}, jwt.encode(SAID, key, "HS256")
    named = {"auth": "jwt", "header": "X-Token"}
    assert schemes.verify(request(settings=named, headers=(("X-Token", token),)), keys) is None
    assert schemes.verify(request(settings=named, headers=(("X-Token", f"Bearer {token}"),)), keys)
    assert schemes.verify(request(settings=named, headers=(("Authorization", f"Bearer {token}"),)), keys)
    told = named | {"prefix": "JWT "}
    assert schemes.verify(request(settings=told, headers=(("X-Token", f"JWT {token}"),)), keys) is None
    assert schemes.verify(request(settings=told, headers=(("X-Token", token),)), keys)


def test_what_a_retry_repeats_is_named_by_the_settings_or_the_scheme() -> None:
    sent = (("webhook-id", "w1"), ("svix-id", "s1"), ("X-Delivery", "d1"))
    standard = {"auth": "standard_webhooks"}
    assert schemes.delivery_key(request(settings=standard, headers=sent)) == "w1"
    assert schemes.delivery_key(request(settings=standard, headers=sent[1:])) == "s1"
    assert schemes.delivery_key(request(settings=standard | {"dedupe_header": "X-Delivery"}, headers=sent)) == "d1"
    assert schemes.delivery_key(request(settings={"dedupe_header": "X-Delivery"}, headers=sent)) == "d1"
    assert schemes.delivery_key(request(settings={}, headers=sent)) is None
    assert schemes.delivery_key(request(settings={"dedupe_header": "X-Other"}, headers=sent)) is None


def test_schemes_say_what_they_cover() -> None:
    """A signature that covers no body, or no time, is not asked about either by those who look for replays."""
    assert (CHOICE.of({}).covers_body, schemes.BearerToken().covers_body, schemes.BearerToken().timed) == (
        False,
        False,
        False,
    )


def test_a_sample_of_a_scheme_that_is_none_is_signed_by_the_first() -> None:
    signed = CHOICE.sign(request(settings={"auth": "trust me", "username": "till"}), KEYS)
    assert CHOICE(replace(signed, settings={"auth": "basic", "username": "till"}), KEYS) is None
    plain = schemes.sign(request(settings={"auth": "trust me"}), KEYS)
    assert schemes.verify(replace(plain, settings={}), KEYS) is None


def test_a_sample_is_a_request_that_counts() -> None:
    made = schemes.sample(KEYS, HOOK, {}, b'{"id": 1}')
    assert (made.url, made.body) == (HOOK, b'{"id": 1}')
    assert schemes.verify(made, KEYS) is None and schemes.verify(replace(made, body=b"{}"), KEYS)
