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
