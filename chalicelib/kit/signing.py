"""Signing what we send. Standard Webhooks:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
And Signature Version 4 of AWS.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from chalicelib.errors import Rejected, Unauthorized

SYMMETRIC, PRIVATE = "whsec_", "whsk_"
SEED_BYTES = 32
KEY_BYTES = range(16, 129)


def standard_webhook(secrets: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a Standard Webhook, one signature for each secret.

    `whsec_…` signs v1 (HMAC-SHA256), `whsk_…` signs v1a (ed25519). `timestamp`: unix seconds.
    Raises Rejected when there is no secret or one is not a key.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = [_signature(secret, signed) for secret in secrets]
    if not signatures:
        raise Rejected("no signing secret is configured")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def rsa_sha256(key: str, signed: bytes) -> str:
    """Base64 of RSA (PKCS #1 v1.5) over SHA-256. `key`: a private one in PEM. Raises Unauthorized where it is none."""
    from cryptography.exceptions import UnsupportedAlgorithm

    from chalicelib.kit.public_keys import rsa_signature_of

    try:
        return base64.b64encode(rsa_signature_of(key, signed, "sha256")).decode()
    except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
        raise Unauthorized("the private key is no RSA key in PEM without a password") from wrong


def _signature(secret: str, signed: bytes) -> str:
    if secret.startswith(PRIVATE):
        return f"v1a,{base64.b64encode(_ed25519(_key(secret, PRIVATE), signed)).decode()}"
    key = _key(secret, SYMMETRIC)
    if len(key) not in KEY_BYTES:
        raise Rejected("a signing secret is too short or too long: use whsec_ and 24 to 64 bytes in base64")
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def _key(secret: str, prefix: str) -> bytes:
    text = secret.removeprefix(prefix).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise Rejected(f"a signing secret is not base64 after {prefix}") from wrong


def _ed25519(key: bytes, signed: bytes) -> bytes:
    """A seed, or the seed with its public key behind it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(key) not in (SEED_BYTES, 2 * SEED_BYTES):
        raise Rejected("a whsk_ secret holds 32 bytes, or 64 with the public key")
    return Ed25519PrivateKey.from_private_bytes(key[:SEED_BYTES]).sign(signed)


@dataclass(frozen=True)
class SigV4:
    """Signs requests without a query to one service in one region. Not by the vendor's library: loading
    it costs more than the request, and it is kept out of what every provider imports."""

    key_id: str
    secret: str = field(repr=False)
    region: str
    service: str

    def headers(self, method: str, url: str, timestamp: float, body: bytes) -> dict[str, str]:
        """Content-Type, X-Amz-Date and Authorization. `timestamp`: unix seconds."""
        parts = urlsplit(url)
        stamp = f"{datetime.fromtimestamp(timestamp, UTC):%Y%m%dT%H%M%SZ}"
        signed = {"content-type": "application/json", "host": parts.netloc.lower(), "x-amz-date": stamp}
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        canonical = "\n".join([method, parts.path or "/", "", lines, names, hashlib.sha256(body).hexdigest()])
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self._digest(stamp[:8], f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()
        credential = f"Credential={self.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        sent = {"Content-Type": signed["content-type"], "X-Amz-Date": stamp}
        return sent | {"Authorization": f"AWS4-HMAC-SHA256 {credential}"}

    def _digest(self, day: str, text: str) -> bytes:
        key = b"AWS4" + self.secret.encode()
        for part in (day, self.region, self.service, "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key
