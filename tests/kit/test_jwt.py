"""Tokens against those of two well-kept libraries, a published one, and every trick that is known."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import joserfc.jwt as other
import jwt as another
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OctKey, RSAKey

from chalicelib.kit.jwt import PUBLIC, SHARED, JwtSignature, claims_of, jwt_signature
from chalicelib.kit.request import Request

NOW = "2026-09-01T12:00:00.000Z"
AT = 1788264000
KEY = "een-geheim-van-ruim-tweeendertig-letters-" * 2
BODY = b'{"naam": "Zo\xc3\xab"}'
URL = "https://hub.example.nl/hooks/con_1?a=1&b=2"
RSA = RSAKey.generate_key(2048)
PRIVATE, PEM = RSA.as_pem(private=True).decode(), RSA.as_pem(private=False).decode()
DER = "".join(PEM.splitlines()[1:-1])
JWT: dict[str, Any] = {"algorithms": tuple(SHARED), "url_claim": "url_hash", "required": ("exp", "nbf")}


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def claims(**more: Any) -> dict[str, Any]:
    covered = {"payload_hash": sha256(BODY), "url_hash": sha256(URL.encode())}
    told = {"iat": AT, "nbf": AT, "exp": AT + 60, "iss": "Vendor", **covered, **more}
    return {name: value for name, value in told.items() if value is not None}


def request(token: str, body: bytes = BODY, received_at: str = NOW) -> Request:
    return Request("POST", URL, (("Authorization", f"Bearer {token}"),), body, received_at)


def segment(told: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def forged(head: dict[str, Any], told: dict[str, Any], key: bytes = KEY.encode()) -> str:
    import hmac

    over = f"{segment(head)}.{segment(told)}"
    raw = hmac.new(key, over.encode(), "sha256").digest()
    return f"{over}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


def verdict(token: str, scheme: JwtSignature | None = None, key: str = KEY, **more: Any) -> str | None:
    return (scheme or jwt_signature(**JWT))(request(token, **more), {"signing_secret": (key,)})


@pytest.mark.parametrize("algorithm", SHARED)
def test_tokens_of_other_libraries_are_accepted(algorithm: str) -> None:
    first = other.encode({"alg": algorithm}, claims(), OctKey.import_key(KEY), [algorithm])
    second = another.encode(claims(), KEY, algorithm=algorithm)
    for token in (first, second):
        assert verdict(token) is None
        assert verdict(token, key="d3Jvbmc=")
        assert verdict(token, body=BODY + b" ") == "payload_hash is not that of the body"
        assert verdict(token, jwt_signature(**JWT | {"algorithms": tuple(SHARED.keys() - {algorithm})}))
        assert jwt_signature(**JWT)(request(token), {"signing_secret": ("new", KEY)}) is None


def test_a_token_by_a_private_key_is_accepted_by_its_public_one() -> None:
    token = other.encode({"alg": "RS256"}, claims(), RSA, ["RS256"])
    scheme = jwt_signature(**JWT | {"algorithms": tuple(PUBLIC)})
    for key in (PEM, DER):
        assert verdict(token, scheme, key) is None
        assert verdict(token, scheme, key, body=b"{}")
    strange = RSAKey.generate_key(2048).as_pem(private=False).decode()
    assert verdict(token, scheme, strange) == "the signature of the token does not match"


def test_libraries_accept_what_is_signed_here() -> None:
    shared = jwt_signature(**JWT).sign(request(""), {"signing_secret": (KEY,)})
    public = jwt_signature(**JWT | {"algorithms": ("RS256",)}).sign(request(""), {"signing_secret": (PRIVATE,)})
    for signed, key in ((shared, OctKey.import_key(KEY)), (public, RSA)):
        token = (signed.header("authorization") or "").partition(" ")[2]
        told = other.decode(token, key, ["HS256", "RS256"]).claims
        assert told["payload_hash"] == sha256(BODY) and told["url_hash"] == sha256(URL.encode())
    with pytest.raises(ValueError, match=r".*"):
        jwt_signature(algorithms=("RS256",)).sign(request(""), {"signing_secret": (PEM,)})


def test_the_example_of_jwt_io() -> None:
    token = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"
        ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    )
    scheme = jwt_signature(body_claim="")
    assert verdict(token, scheme, "your-256-bit-secret", received_at="2018-01-18T01:30:22.000Z") is None
    assert "timestamp" in (verdict(token, scheme, "your-256-bit-secret") or "")


def test_what_is_not_configured_does_not_count() -> None:
    """No algorithm at all, another one, one written differently, a key inside the token, an unknown demand."""
    for head in (
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "hs256"},
        {"alg": "HS1"},
        {"alg": ["HS256"]},
        {"alg": None},
        {},
        {"alg": "HS256", "crit": ["b64"], "b64": False},
    ):
        assert verdict(forged(head, claims())) == "the token is signed in a way that is not configured"
        assert verdict(f"{segment(head)}.{segment(claims())}.") == "no readable token in Authorization"
    own = {"kty": "oct", "k": base64.urlsafe_b64encode(b"mine").decode()}
    carried = {"alg": "HS256", "jwk": own, "jku": "https://evil.example/keys", "kid": "../../dev/null"}
    assert verdict(forged(carried, claims(), b"mine")) == "the signature of the token does not match"
    assert verdict(forged(carried, claims(), b"")) == "the signature of the token does not match"
    assert verdict(forged(carried, claims())) is None


def test_a_public_key_is_no_shared_secret() -> None:
    """Whoever knows the public key, which is everybody, signs with it as if it were shared."""
    for key in (PEM, DER, f"\n{PEM}"):
        token = forged({"alg": "HS256"}, claims(), key.encode())
        assert verdict(token, jwt_signature(**JWT | {"algorithms": ("RS256",)}), key)
    assert verdict(forged({"alg": "HS256"}, claims(), PEM.encode()), key=PEM)
    both = jwt_signature(algorithms=("HS256", "RS256"))
    assert both.mistake() and verdict(forged({"alg": "HS256"}, claims()), both) == both.mistake()
    assert jwt_signature(algorithms=()).mistake() and jwt_signature(algorithms=("none",)).mistake()


@pytest.mark.parametrize(
    ("more", "scheme", "reason"),
    [
        ({"exp": AT - 60}, {}, ""),
        ({"exp": AT - 61}, {}, "the timestamp exp is past"),
        ({"nbf": AT + 60}, {}, ""),
        ({"nbf": AT + 61}, {}, "the timestamp nbf is in the future"),
        ({"exp": AT - 2}, {"leeway": 1}, "the timestamp exp is past"),
        ({"exp": None}, {}, "the claim exp is missing or is not the configured one"),
        ({"exp": None}, {"required": ()}, ""),
        ({"exp": str(AT + 60)}, {}, "the timestamp exp cannot be read"),
        ({"exp": True}, {}, "the timestamp exp cannot be read"),
        ({"exp": 10**400}, {}, "the timestamp exp cannot be read"),
        ({"exp": 10**15}, {}, "the timestamp exp cannot be read"),
        ({"nbf": AT + 0.5}, {}, ""),
        ({"iat": AT - 301}, {}, "the timestamp iat is missing, too old or in the future"),
        ({"iat": AT + 301}, {}, "the timestamp iat is missing, too old or in the future"),
        ({"iat": None}, {}, "the timestamp iat is missing, too old or in the future"),
        ({"iat": None}, {"tolerance": 0}, ""),
        ({"iss": "Other"}, {"claims": {"iss": "Vendor"}}, "the claim iss is missing or is not the configured one"),
        ({"iss": ["Vendor"]}, {"claims": {"iss": "Vendor"}}, "the claim iss is missing or is not the configured one"),
        ({}, {"claims": {"iss": "Vendor"}}, ""),
        ({"payload_hash": None}, {}, "payload_hash is not that of the body"),
        ({"payload_hash": None}, {"body_optional": True}, ""),
        ({"payload_hash": "00"}, {"body_optional": True}, "payload_hash is not that of the body"),
        ({"payload_hash": sha256(BODY).upper()}, {}, ""),
        ({"payload_hash": {}}, {}, "payload_hash is not that of the body"),
        ({"url_hash": None}, {}, "url_hash is not that of the URL"),
        ({"url_hash": sha256(b"https://elsewhere.example/")}, {}, "url_hash is not that of the URL"),
    ],
)
def test_claims(more: dict[str, Any], scheme: dict[str, Any], reason: str) -> None:
    found = verdict(forged({"alg": "HS256", "typ": "JWT"}, claims(**more)), jwt_signature(**JWT | scheme))
    assert (found or "") == reason


def test_an_empty_body_has_no_claim_or_its_own() -> None:
    for hashed, accepted in ((None, True), (sha256(b""), True), (sha256(BODY), False)):
        token = forged({"alg": "HS256"}, claims(payload_hash=hashed))
        assert (verdict(token, body=b"") is None) == accepted


def test_no_secret_and_no_token() -> None:
    token = forged({"alg": "HS256"}, claims())
    for secrets in ({}, {"signing_secret": ()}, {"signing_secret": ("",)}):
        assert jwt_signature()(request(token), secrets) == "no signing_secret is configured"
    empty = forged({"alg": "HS256"}, claims(), b"")
    assert jwt_signature()(request(empty), {"signing_secret": ("",)}) == "no signing_secret is configured"
    for text in (
        "",
        token + "=",
        token + "==",
        token.replace(".", "=.", 1),
        token + ".",
        token + ".x",
        token.replace(".", ".."),
        "a" * 20_000,
        "é.é.é",
    ):
        assert verdict(text), text
    bare = replace(request(token), headers=(("Authorization", token),))
    assert jwt_signature(**JWT)(bare, {"signing_secret": (KEY,)})
    assert jwt_signature(**JWT | {"prefix": ""})(bare, {"signing_secret": (KEY,)}) is None


def test_what_a_token_says_can_be_read_whoever_signed_it() -> None:
    token = forged({"alg": "RS256"}, claims())
    assert claims_of(token) == claims()
    assert claims_of(token.rpartition(".")[0] + ".AAAA") == claims()
    for garbage in ("", "a.b", "a.b.c", token + ".x", "e30.W10.AA", "a." + "A" * 20_000 + ".c", "é.é.é"):
        assert claims_of(garbage) == {}, garbage


parts = st.one_of(
    st.text(max_size=40), st.sampled_from([segment({"alg": "HS256"}), segment(claims()), "", "e30", "AA"])
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(parts, max_size=5).map(".".join), st.binary(max_size=20), st.text(max_size=30), st.booleans())
def test_garbage_is_refused(token: str, body: bytes, key: str, public: bool) -> None:
    scheme = jwt_signature(**JWT | {"algorithms": ("RS256",) if public else tuple(SHARED)})
    for one in (key, PEM, KEY):
        assert verdict(token, scheme, one, body=body)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "payload_hash", "url_hash", "iss", "x"]), anything))
def test_signed_garbage_is_refused(told: dict[str, Any]) -> None:
    assert verdict(forged({"alg": "HS256"}, told))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "jwk", "crit", "zip"]), anything))
def test_no_other_head_is_accepted(head: dict[str, Any]) -> None:
    accepted = head.get("alg") == "HS256" and "crit" not in head
    assert (verdict(forged(head, claims())) is None) == accepted


def test_a_changed_letter_is_refused() -> None:
    token = forged({"alg": "HS256"}, claims())
    for place, letter in enumerate(token[:-1]):
        assert verdict(token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]), place


def test_shared_secrets_load_no_cryptography() -> None:
    program = (
        "import sys; from chalicelib.kit.jwt import jwt_signature as s; from chalicelib.kit.request import Request as R;"
        f"r = s().sign(R('POST', 'https://h', (), b'x', {NOW!r}), {{'signing_secret': ('k',)}});"
        "assert s()(r, {'signing_secret': ('k',)}) is None; print('cryptography' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
