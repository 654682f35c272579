"""Signatures by private keys: made with openssl and by cryptography, never accepted from garbage."""

from __future__ import annotations

import base64
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.public_keys import Signed, ecdsa_signature, rsa_accepts, rsa_signature, rsa_signature_of
from chalicelib.kit.request import Request
from chalicelib.kit.signatures import decode

NOW = "2026-09-01T12:00:00.000Z"
AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
P256, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
OTHERS = [
    ec.generate_private_key(ec.SECP384R1()),
    ed25519.Ed25519PrivateKey.generate(),
    rsa.generate_private_key(65537, 2048),
]
BODY = b'[{"event": "delivered"}]\r\n'


def private(key: Any) -> str:
    made = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return str(made.decode())


def public(key: Any, encoding: serialization.Encoding = serialization.Encoding.PEM) -> str:
    made = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return str((made if encoding is serialization.Encoding.PEM else base64.b64encode(made)).decode())


def forms(key: Any) -> list[str]:
    der = public(key, serialization.Encoding.DER)
    return [public(key), der, der[:64] + "\n" + der[64:], f"  {der}\n"]


def certificate(key: Any, start: int = -1, end: int = 1) -> str:
    """Of the key itself, valid from and until so many days from now."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT + timedelta(days=start))
        .not_valid_after(AT + timedelta(days=end))
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def request(body: bytes = BODY, *headers: tuple[str, str], received_at: str = NOW) -> Request:
    return Request("POST", "https://hub.example.nl/hooks/con_1", headers, body, received_at)


ECDSA = ecdsa_signature("X-Signature", "X-Timestamp")
SIGNED = ECDSA.sign(request(), {"public_key": (private(P256),)})


def claimed(found: Request) -> Signed | str:
    raw = decode(found.header("X-Signature") or "", "base64")
    if found.body == b"malformed":
        raise PayloadMalformed("not what it should be")
    return Signed(raw, found.body, found.header("X-Algorithm") or "sha256") if raw else "no signature"


BY_RSA = rsa_signature(claimed)


def signed_by_rsa(algorithm: str = "sha256", key: Any = RSA) -> Request:
    raw = rsa_signature_of(private(key), BODY, algorithm)
    text = base64.b64encode(raw).decode()
    return request(BODY, ("X-Signature", text), ("X-Algorithm", algorithm))


def test_ecdsa_over_timestamp_and_body() -> None:
    assert SIGNED.header("x-timestamp") == "1788264000"
    for key in forms(P256):
        assert ECDSA(SIGNED, {"public_key": (key,)}) is None
        assert ECDSA(SIGNED, {"public_key": ("d3Jvbmc=", "garbage", key)}) is None
        for body in (BODY + b" ", BODY[:-1], BODY.rstrip(), b""):
            assert ECDSA(replace(SIGNED, body=body), {"public_key": (key,)}) == "the signature does not match"
    for other in OTHERS:
        for key in forms(other):
            assert ECDSA(SIGNED, {"public_key": (key,)}) == "the signature does not match"
    assert ECDSA(SIGNED, {}) == "no public_key is configured"


def test_the_timestamp_is_signed_and_judged() -> None:
    key = {"public_key": (public(P256),)}
    others = tuple(pair for pair in SIGNED.headers if pair[0] != "X-Timestamp")
    assert (
        ECDSA(replace(SIGNED, headers=(*others, ("X-Timestamp", "1788264001"))), key) == "the signature does not match"
    )
    assert ECDSA(replace(SIGNED, headers=others), key)
    late = replace(SIGNED, received_at="2026-09-01T12:05:01.000Z")
    assert ECDSA(late, key) == "the timestamp is too old"
    assert ecdsa_signature("X-Signature", "X-Timestamp", tolerance=0)(late, key) is None
    assert not ecdsa_signature("X-Signature", "X-Timestamp", tolerance=0).timed and ECDSA.timed


def test_a_key_of_another_curve_signs_for_nobody() -> None:
    """Also where the configured key is of that curve."""
    signed = ECDSA.sign(request(), {"public_key": (private(OTHERS[0]),)})
    assert ECDSA(signed, {"public_key": (public(OTHERS[0]),)}) == "the signature does not match"


def test_only_private_keys_sign() -> None:
    for key in (public(P256), private(RSA), "x", certificate(P256)):
        with pytest.raises(ValueError, match=r".*"):
            ECDSA.sign(request(), {"public_key": (key,)})
    for key in (public(RSA), private(P256), "x"):
        with pytest.raises(ValueError, match=r".*"):
            rsa_signature_of(key, BODY, "sha256")


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_rsa_over_a_text(algorithm: str) -> None:
    signed = signed_by_rsa(algorithm)
    for key in (*forms(RSA), certificate(RSA)):
        assert BY_RSA(signed, {"public_key": (key,)}) is None
        assert BY_RSA(replace(signed, body=BODY + b" "), {"public_key": (key,)}) == "the signature does not match"
    assert BY_RSA(signed, {"public_key": (certificate(OTHERS[2]), public(P256), "x")}) == "the signature does not match"
    assert BY_RSA(signed, {}) == "no public_key is known"
    swapped = tuple(
        (name, {"sha256": "sha1"}.get(value, "sha256") if name == "X-Algorithm" else value)
        for name, value in signed.headers
    )
    for headers in (swapped, (*signed.headers[:1], ("X-Algorithm", "md5"))):
        assert (
            BY_RSA(replace(signed, headers=headers), {"public_key": (public(RSA),)}) == "the signature does not match"
        )


def test_a_claim_that_cannot_be_made_is_refused() -> None:
    assert BY_RSA(request(b"malformed"), {"public_key": (public(RSA),)}) == "the body cannot be read"
    assert BY_RSA(request(), {"public_key": (public(RSA),)}) == "no signature"


def test_one_right_key_is_enough() -> None:
    for keys in ((public(OTHERS[2]), public(RSA)), (public(RSA), public(OTHERS[2]))):
        assert BY_RSA(signed_by_rsa(), {"public_key": keys}) is None


def test_a_request_says_what_it_lacks() -> None:
    key = {"public_key": (public(P256),)}
    lacking = "no readable signature in X-Signature, or no X-Timestamp"
    assert ECDSA(request(), key) == lacking
    for at in (0, 1):
        assert ECDSA(replace(SIGNED, headers=SIGNED.headers[at : at + 1]), key) == lacking
    empty = tuple((name, "" if name == "X-Timestamp" else value) for name, value in SIGNED.headers)
    assert ECDSA(replace(SIGNED, headers=empty), key) == lacking


def test_a_timestamp_that_is_there_is_the_one_that_is_signed() -> None:
    signed = ECDSA.sign(request(BODY, ("X-Timestamp", "1788264001")), {"public_key": (private(P256),)})
    assert signed.header("X-Timestamp") == "1788264001"
    assert ECDSA(signed, {"public_key": (public(P256),)}) is None


def test_what_a_scheme_covers_is_told_and_stays() -> None:
    """It says what the tests of each source must try: another body, an old moment."""
    assert ECDSA.covers_body and BY_RSA.covers_body and not BY_RSA.timed
    for shared, name in ((ECDSA, "header"), (BY_RSA, "place"), (Signed(b"", b""), "over")):
        with pytest.raises(AttributeError):
            setattr(shared, name, "")


def test_a_key_may_be_so_long_and_holds_plain_letters_alone() -> None:
    der = public(P256, serialization.Encoding.DER)
    for length, reason in ((16_384, None), (16_385, "the signature does not match")):
        key = der[:64] + "\n" * (length - len(der)) + der[64:]
        assert len(key) == length and ECDSA(SIGNED, {"public_key": (key,)}) == reason
    assert ECDSA(SIGNED, {"public_key": (f"{der[:64]}\u00a0{der[64:]}",)}) == "the signature does not match"


def test_whether_a_key_signed_is_yes_or_no() -> None:
    signature = rsa_signature_of(private(RSA), BODY, "sha256")
    assert rsa_accepts(public(RSA), signature, BODY, "sha256", NOW) is True
    assert rsa_accepts(public(RSA), signature, BODY, "md5", NOW) is False
    assert rsa_accepts(public(RSA), signature, BODY + b" ", "sha256", NOW) is False


def test_a_certificate_counts_while_it_is_valid() -> None:
    """Its first and its last moment belong to it."""
    signed = signed_by_rsa()
    for start, end, accepted in ((-1, 1, True), (-2, -1, False), (1, 2, False), (0, 1, True), (-1, 0, True)):
        assert (BY_RSA(signed, {"public_key": (certificate(RSA, start, end),)}) is None) == accepted


def test_what_openssl_signs_is_accepted(tmp_path: Path) -> None:
    text, key, raw = tmp_path / "text", tmp_path / "key.pem", tmp_path / "raw"
    stamp = "1788264000"
    text.write_bytes(stamp.encode() + BODY)
    for made, flag in ((P256, "-sha256"), (RSA, "-sha256"), (RSA, "-sha1")):
        key.write_text(private(made))
        subprocess.run(["openssl", "dgst", flag, "-sign", key, "-out", raw, text], check=True, capture_output=True)
        signature = raw.read_bytes()
        if made is RSA:
            assert rsa_accepts(public(RSA), signature, text.read_bytes(), flag[1:], NOW)
            continue
        sent = request(BODY, ("X-Signature", base64.b64encode(signature).decode()), ("X-Timestamp", stamp))
        assert ECDSA(sent, {"public_key": (public(P256),)}) is None


texts = st.one_of(st.text(max_size=60), st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode()))
pems = st.binary(max_size=120).map(lambda raw: base64.encodebytes(raw).decode())
keys = st.one_of(
    texts,
    st.tuples(st.sampled_from(["CERTIFICATE", "PUBLIC KEY", "PRIVATE KEY", "RSA PUBLIC KEY", "X"]), pems | texts).map(
        lambda pair: f"-----BEGIN {pair[0]}-----\n{pair[1]}-----END {pair[0]}-----\n"
    ),
    st.sampled_from([public(P256), public(RSA), certificate(RSA), *map(public, OTHERS), private(RSA)]),
)


@settings(max_examples=300, deadline=None)
@given(texts, texts | st.just("1788264000"), st.binary(max_size=40), keys)
def test_garbage_is_refused(signature: str, stamp: str, body: bytes, key: str) -> None:
    sent = request(body, ("X-Signature", signature), ("X-Timestamp", stamp))
    assert ECDSA(sent, {"public_key": (key,)})
    assert BY_RSA(sent, {"public_key": (key,)})


def test_a_certificate_that_is_only_warned_of_is_no_surprise() -> None:
    """A serial number of 0: a warning today, which is an error here, and a refusal in a later cryptography."""
    raw = bytearray(decode("".join(certificate(RSA).splitlines()[1:-1]), "base64") or b"")
    at = raw.index(b"\x02\x01\x01") + 2
    raw[at] = 0
    spoiled = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(raw).decode()}-----END CERTIFICATE-----\n"
    assert ECDSA(SIGNED, {"public_key": (spoiled,)})
    assert BY_RSA(signed_by_rsa(), {"public_key": (spoiled,)})


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([public(P256), certificate(RSA), public(RSA)]), st.data())
def test_a_spoiled_key_or_signature_is_refused(key: str, choice: Any) -> None:
    raw = bytearray(decode("".join(key.splitlines()[1:-1]), "base64") or b"")
    at = choice.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= choice.draw(st.integers(1, 255))
    kind = key.splitlines()[0][11:-5]
    spoiled = f"-----BEGIN {kind}-----\n{base64.encodebytes(raw).decode()}-----END {kind}-----\n"
    for scheme, sent in ((ECDSA, SIGNED), (BY_RSA, signed_by_rsa())):
        scheme(sent, {"public_key": (spoiled,)})
        signature = bytearray(decode(sent.header("X-Signature") or "", "base64") or b"")
        signature[at % len(signature)] ^= 1
        others = tuple(pair for pair in sent.headers if pair[0] != "X-Signature")
        text = base64.b64encode(signature).decode()
        assert scheme(
            replace(sent, headers=(*others, ("X-Signature", text))), {"public_key": (public(P256), public(RSA))}
        )


def test_cryptography_is_loaded_by_whoever_verifies() -> None:
    program = "import sys; from chalicelib.kit import public_keys, jwt; print('cryptography' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
