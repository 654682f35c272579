"""Public ids: keys of ours, sealed with a short MAC so that nobody can make one up."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets as random

import msgspec

from chalicelib.store.secrets import keyed

SEAL, WHOLE = 10, 26
"""Letters of the MAC: of an id, which opens nothing by itself, and of a token, which does."""
CONNECTION_RANDOM = 16


def mint(prefix: str) -> str:
    """A new random id that carries the stage's MAC: `con_` + 16 random + 10 MAC letters."""
    body = base64.b32encode(random.token_bytes(10)).decode().lower()
    return f"{prefix}_{body}{keyed('id', prefix, body)[:SEAL]}"


def minted_here(prefix: str, text: str) -> bool:
    """Whether `text` is an id that `mint` made on this stage. Costs no request."""
    head, _, rest = text.partition("_")
    if head != prefix or len(rest) != CONNECTION_RANDOM + SEAL or not rest.isascii():
        return False
    body, seal = rest[:CONNECTION_RANDOM], rest[CONNECTION_RANDOM:]
    return hmac.compare_digest(keyed("id", prefix, body)[:SEAL], seal)


def seal(prefix: str, *parts: str, letters: int = SEAL) -> str:
    """An id or a token that encodes `parts`."""
    body = base64.urlsafe_b64encode(msgspec.msgpack.encode(parts)).decode().rstrip("=")
    return f"{prefix}_{body}.{keyed('seal', prefix, body)[:letters]}"


def unseal(prefix: str, text: str, letters: int = SEAL) -> tuple[str, ...] | None:
    """The parts of what `seal` made here; None for any other text."""
    head, _, rest = text.partition("_")
    body, _, mark = rest.rpartition(".")
    if head != prefix or not body or not rest.isascii():
        return None
    if not hmac.compare_digest(keyed("seal", prefix, body)[:letters], mark):
        return None
    try:
        raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        return tuple(msgspec.msgpack.decode(raw, type=list[str]))
    except (binascii.Error, msgspec.DecodeError):
        return None
