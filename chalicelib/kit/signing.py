"""Signing what we send. Standard Webhooks:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

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
