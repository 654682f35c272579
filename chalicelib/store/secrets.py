"""Secrets: the pepper of the stage, and one KMS ciphertext for each secret of a connection."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache

from chalicelib.model.event import Ref, digest
from chalicelib.model.identity import Identity
from chalicelib.settings import settings
from chalicelib.store import aws

PLAINTEXTS = 1024
"""Decrypted secrets kept in one container, so that a warm hook asks KMS nothing."""


@lru_cache(maxsize=1)
def pepper() -> bytes:
    """The stage's key for node ids and public ids. Never rotated, moves with the data."""
    answer = aws.call("secretsmanager", "get_secret_value", SecretId=settings().pepper)
    return str(answer["SecretString"]).encode()


def keyed(purpose: str, *parts: str, size: int = 16) -> str:
    """26 letters and digits that only this stage can make from `parts`."""
    mac = hmac.new(pepper(), digest(purpose, *parts).encode(), hashlib.sha256).digest()
    return base64.b32encode(mac[:size]).decode().rstrip("=").lower()


def node_id(identity: Identity, generation: str = "") -> str:
    return keyed("node", identity.kind, identity.scope, identity.value, generation or "0")


def ref_id(ref: Ref) -> str:
    return keyed("ref", ref.kind, ref.scope, ref.value)


def encrypt(connection: str, name: str, value: str) -> str:
    """The ciphertext (base64) of one value, readable only for this connection and name."""
    answer = aws.call(
        "kms",
        "encrypt",
        KeyId=settings().key_alias,
        Plaintext=value.encode(),
        EncryptionContext={"connection": connection, "name": name},
    )
    return base64.b64encode(answer["CiphertextBlob"]).decode()


@lru_cache(maxsize=PLAINTEXTS)
def decrypt(connection: str, name: str, ciphertext: str) -> str:
    answer = aws.call(
        "kms",
        "decrypt",
        CiphertextBlob=base64.b64decode(ciphertext),
        EncryptionContext={"connection": connection, "name": name},
    )
    return bytes(answer["Plaintext"]).decode()


def decrypt_all(connection: str, secrets: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(decrypt(connection, name, each) for each in values) for name, values in secrets.items()}
