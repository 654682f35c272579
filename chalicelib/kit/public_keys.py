"""Requests signed by a private key of the provider's: ECDSA over timestamp and body, RSA over any text.

A key is a PEM (public key or certificate) or the base64 of its DER; a certificate counts while it is valid.
Every verifier is total, as those of `kit.signatures` are. `sign` takes private keys, which only tests have:
with what a connection is configured with it raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.request import Request
from chalicelib.kit.signatures import decode, encode, keys_of, octets, untimely, with_headers
from chalicelib.kit.source import Secrets
from chalicelib.model import instants

HASHES = ("sha256", "sha1")
LONGEST_KEY = 16 * 1024


class EcdsaSignature(msgspec.Struct, frozen=True):
    """ECDSA P-256 with SHA-256, base64 of the DER, over the timestamp's text and the body.

    `tolerance`: seconds, to both sides; 0 takes any age, for providers whose retries keep their timestamp.
    """

    header: str
    timestamp_header: str
    key_name: str = "public_key"
    tolerance: int = 300
    covers_body = True

    @property
    def timed(self) -> bool:
        return bool(self.tolerance)

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys = keys_of(secrets, self.key_name)
        if not keys:
            return f"no {self.key_name} is configured"
        raw, stamp = decode(request.header(self.header) or "", "base64"), request.header(self.timestamp_header) or ""
        if raw is None or not stamp:
            return f"no readable signature in {self.header}, or no {self.timestamp_header}"
        late = untimely(stamp, "s", self.tolerance, request.received_at) if self.tolerance else None
        if late:
            return late
        over = octets(stamp) + request.body
        return None if any(_ecdsa_accepts(key, raw, over) for key in keys) else "the signature does not match"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        """By the first secret. Raises ValueError where that is no private key."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = _private(keys_of(secrets, self.key_name)[0])
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{self.key_name} is no private key of an elliptic curve")
        stamp = request.header(self.timestamp_header) or str(instants.to_ms(request.received_at) // 1000)
        raw = key.sign(octets(stamp) + request.body, ec.ECDSA(hashes.SHA256()))
        return with_headers(request, {self.timestamp_header: stamp, self.header: encode(raw, "base64")})


ecdsa_signature = EcdsaSignature


class Signed(msgspec.Struct, frozen=True):
    """What a request says of itself: this signature over this text, with SHA-256 or SHA-1."""

    signature: bytes
    over: bytes
    algorithm: str = "sha256"


class RsaSignature(msgspec.Struct, frozen=True):
    """RSA (PKCS #1 v1.5) over the text that `claim` makes of a request; it gives a reason where it finds none.

    A `claim` may raise PayloadMalformed. `place`: where the signature is, `header` or `body`.
    """

    claim: Callable[[Request], Signed | str]
    key_name: str = "public_key"
    place: str = "header"
    covers_body = True
    timed = False

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys = keys_of(secrets, self.key_name)
        try:
            found = self.claim(request)
        except PayloadMalformed:
            return "the body cannot be read"
        if isinstance(found, str):
            return found
        if not keys:
            return f"no {self.key_name} is known"
        moment = request.received_at
        accepted = any(rsa_accepts(key, found.signature, found.over, found.algorithm, moment) for key in keys)
        return None if accepted else "the signature does not match"


rsa_signature = RsaSignature


def rsa_accepts(key: str, signature: bytes, over: bytes, algorithm: str, moment: str) -> bool:
    """Whether this key or certificate, valid at `moment`, signed. Total."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    public = _public(key, moment)
    if algorithm not in HASHES or not isinstance(public, rsa.RSAPublicKey):
        return False
    try:
        public.verify(signature, over, padding.PKCS1v15(), _hash(algorithm))
    except (ValueError, InvalidSignature):
        return False
    return True


def rsa_signature_of(key: str, over: bytes, algorithm: str) -> bytes:
    """By a private key in PEM. Raises ValueError where it is none."""
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    private = _private(key)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError("no private key of RSA")
    return private.sign(over, padding.PKCS1v15(), _hash(algorithm))


def _ecdsa_accepts(key: str, signature: bytes, over: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    public = _public(key, "")
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        return False
    try:
        public.verify(signature, over, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True


def _hash(algorithm: str) -> Any:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256() if algorithm == "sha256" else hashes.SHA1()  # noqa: S303


def _public(key: str, moment: str) -> Any:
    """The public key, or None for whatever is none or is not valid at `moment`."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.utils import CryptographyDeprecationWarning
    from cryptography.x509 import InvalidVersion

    text = key.strip()
    if len(text) > LONGEST_KEY or not text.isascii():
        return None
    try:
        return _loaded(text, moment)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion, CryptographyDeprecationWarning):
        return None


def _loaded(text: str, moment: str) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    if text.startswith("-----BEGIN CERTIFICATE-----"):
        found = x509.load_pem_x509_certificate(text.encode())
        return found.public_key() if _valid(found, moment) else None
    if text.startswith("-----BEGIN"):
        return serialization.load_pem_public_key(text.encode())
    raw = decode("".join(text.split()), "base64")
    return serialization.load_der_public_key(raw) if raw else None


def _valid(certificate: Any, moment: str) -> bool:
    at = datetime.fromtimestamp(instants.to_ms(moment) / 1000, UTC)
    return bool(certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc)


def _private(key: str) -> Any:
    from cryptography.hazmat.primitives import serialization

    return serialization.load_pem_private_key(key.encode(), None)
