"""Who really sent this request: verifiers, chosen by configuration and never by sniffing.

Every verifier is total: whatever bytes come, it gives None (accepted) or one line of reason. No
secret configured means refused; any of several secrets is accepted, so that secrets can rotate.
`sign` makes the request that the same verifier accepts: for samples and for tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import MAX_FORM_FIELDS, Request, parse_json
from chalicelib.kit.shape import pick
from chalicelib.kit.source import Secrets
from chalicelib.model import instants

ALGORITHMS = ("sha1", "sha256", "sha512")
ENCODINGS = ("hex", "base64", "base64url")
UNITS = ("s", "ms", "iso")
_STAMPS = ("timestamp_header", "timestamp_prefix", "timestamp_unit")
HMAC_SETTINGS = ("header", "algorithm", "encoding", "prefix", "over", "separator", *_STAMPS)
MOST_SIGNATURES = 16
_HEX = pattern(r"(?:[0-9a-fA-F]{2})+\Z", re.ASCII)
_BASE64 = pattern(r"[A-Za-z0-9+/]+={0,2}\Z", re.ASCII)
_DIGITS = pattern(r"[0-9]{1,16}\Z", re.ASCII)
_PART = pattern(r"\{(\w+)\}")


class HmacSignature(msgspec.Struct, frozen=True):
    """HMAC over `over`, a template of {body}, {ts}, {method} and {url}.

    `header`: where the signature is, or several names of which the first present one counts.
    `prefix`: what stands before each signature, such as `sha256=`. `separator`: between several
    signatures in one header. `timestamp_header` with `timestamp_unit` s, ms or iso; with
    `timestamp_prefix` it is an element of that header (`t=` in `t=1,v1=…`). `tolerance`: seconds,
    to both sides. `key_name`: the secret's name, in this and all verifiers.
    """

    header: str | tuple[str, ...]
    key_name: str = "signing_secret"
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    over: str = "{body}"
    separator: str = ""
    timestamp_header: str = ""
    timestamp_prefix: str = ""
    timestamp_unit: str = "s"
    tolerance: int = 300
    covers_body = True

    @property
    def timed(self) -> bool:
        return bool(self.timestamp_header)

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        if wrong := self.mistake():
            return wrong
        keys = keys_of(secrets, self.key_name)
        if not keys:
            return f"no {self.key_name} is configured"
        given = [raw for text in self._signatures(request) if (raw := decode(text, self.encoding))]
        if not given:
            return f"no readable signature in {_named(self.header)[0]}"
        stamp = self._stamp(request)
        if late := self._untimely(stamp, request):
            return late
        over = self._signed(request, stamp)
        accepted = any(same(self._digest(key, over), one) for key in keys for one in given)
        return None if accepted else "the signature does not match"

    def mistake(self) -> str | None:
        """What is wrong with this configuration, if anything."""
        for name, value, allowed in (
            ("algorithm", self.algorithm, ALGORITHMS),
            ("encoding", self.encoding, ENCODINGS),
            ("timestamp_unit", self.timestamp_unit, UNITS),
        ):
            if value not in allowed:
                return f"{name} must be one of {', '.join(allowed)}"
        unknown = set(_PART.findall(self.over)) - {"body", "ts", "method", "url"}
        if unknown or "{body}" not in self.over:
            return "over must hold {body} and may hold {ts}, {method} and {url}"
        if "{ts}" in self.over and not self.timestamp_header:
            return "over holds {ts}, but no timestamp_header is set"
        return None if _named(self.header)[0] else "no signature header is set"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        """The request with signature (and timestamp) headers, by the first secret."""
        stamp = _stamped(request.received_at, self.timestamp_unit) if self.timestamp_header else ""
        raw = self._digest(keys_of(secrets, self.key_name)[0], self._signed(request, stamp))
        text = self.prefix + encode(raw, self.encoding)
        if self.timestamp_prefix:
            return with_headers(
                request, {_named(self.header)[0]: f"{self.timestamp_prefix}{stamp}{self.separator}{text}"}
            )
        timed = {self.timestamp_header: stamp} if self.timestamp_header else {}
        return with_headers(request, timed | {_named(self.header)[0]: text})

    def _signatures(self, request: Request) -> list[str]:
        name = next((name for name in _named(self.header) if request.header(name) is not None), "")
        elements = _elements(request.header_values(name), self.separator)
        found = [element[len(self.prefix) :] for element in elements if element.startswith(self.prefix)]
        return found[:MOST_SIGNATURES]

    def _stamp(self, request: Request) -> str:
        elements = _elements(request.header_values(self.timestamp_header), self.separator)
        cut = len(self.timestamp_prefix)
        return next((text[cut:] for text in elements if text.startswith(self.timestamp_prefix)), "")

    def _untimely(self, stamp: str, request: Request) -> str | None:
        if not self.timestamp_header:
            return None
        return untimely(stamp, self.timestamp_unit, self.tolerance, request.received_at)

    def _signed(self, request: Request, stamp: str) -> bytes:
        known = {
            "body": request.body,
            "ts": octets(stamp),
            "method": octets(request.method),
            "url": octets(request.url),
        }
        parts = _PART.split(self.over)
        return b"".join(known[part] if place % 2 else octets(part) for place, part in enumerate(parts))

    def _digest(self, key: str, over: bytes) -> bytes:
        return hmac.new(octets(key), over, getattr(hashlib, self.algorithm)).digest()


hmac_signature = HmacSignature


class StaticToken(msgspec.Struct, frozen=True):
    """A fixed text in a header, or in the first present of several. The scheme word of `prefix` may come in any case."""

    header: str | tuple[str, ...] = "Authorization"
    prefix: str = "Bearer "
    key_name: str = "token"
    covers_body = False
    timed = False

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys = keys_of(secrets, self.key_name)
        if not keys:
            return f"no {self.key_name} is configured"
        names = _named(self.header)
        given = next((found for name in names if (found := request.header(name)) is not None), None)
        if given is None or given[: len(self.prefix)].lower() != self.prefix.lower():
            return f"no token in {names[0]}"
        sent = octets(given[len(self.prefix) :])
        return None if any(same(octets(key), sent) for key in keys) else "the token does not match"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        names = _named(self.header)
        name = next((name for name in names if request.header(name) is not None), names[0])
        return with_headers(request, {name: self.prefix + keys_of(secrets, self.key_name)[0]})


static_token = StaticToken


class BodyToken(msgspec.Struct, frozen=True):
    """A fixed text inside the JSON body, under the names of `path`: it covers nothing but itself."""

    path: tuple[str, ...] = ("token",)
    key_name: str = "token"
    covers_body = False
    timed = False

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys = keys_of(secrets, self.key_name)
        if not keys:
            return f"no {self.key_name} is configured"
        try:
            given = pick(parse_json(request.body), *self.path)
        except PayloadMalformed as wrong:
            return f"no token in the body: {wrong}"
        if not isinstance(given, str) or not given:
            return f"no token under {'.'.join(self.path)}"
        sent = octets(given)
        return None if any(same(octets(key), sent) for key in keys) else "the token does not match"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        """The request with its body encoded anew, unless it holds the token already. Raises PayloadMalformed."""
        if self(request, secrets) is None:
            return request
        body = parse_json(request.body)
        node = body
        for name in self.path[:-1]:
            node = node.setdefault(name, {})
        node[self.path[-1]] = keys_of(secrets, self.key_name)[0]
        return replace(request, body=msgspec.json.encode(body))


body_token = BodyToken


class BasicAuth(msgspec.Struct, frozen=True):
    """HTTP basic authentication. The user name is a setting (or a secret) called `username`."""

    username: str = "username"
    key_name: str = "password"
    covers_body = False
    timed = False

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        names, passwords = self._names(request, secrets), keys_of(secrets, self.key_name)
        if not names or not passwords:
            return f"no {self.username} or no {self.key_name} is configured"
        given = request.header("authorization") or ""
        sent = decode(given[6:].strip(), "base64") if given[:6].lower() == "basic " else None
        if sent is None:
            return "no basic authentication"
        pairs = [octets(f"{name}:{password}") for name in names for password in passwords]
        return None if any(same(pair, sent) for pair in pairs) else "name or password does not match"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        name, password = self._names(request, secrets)[0], keys_of(secrets, self.key_name)[0]
        return with_headers(request, {"Authorization": "Basic " + encode(octets(f"{name}:{password}"), "base64")})

    def _names(self, request: Request, secrets: Secrets) -> tuple[str, ...]:
        setting = request.settings.get(self.username)
        return (setting,) if isinstance(setting, str) and setting else keys_of(secrets, self.username)


basic_auth = BasicAuth


class PathSecret(msgspec.Struct, frozen=True):
    """The secret is the segment after the connection: `/hooks/{connection}/{secret}`."""

    key_name: str = "path_secret"
    covers_body = False
    timed = False

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys = keys_of(secrets, self.key_name)
        if not keys or not request.connection:
            return f"no {self.key_name} is configured"
        path = request.url.partition("#")[0].partition("?")[0]
        sent = unquote_to_bytes(octets(path.partition(f"/hooks/{request.connection}/")[2]))
        return None if any(same(octets(key), sent) for key in keys) else "the secret in the path does not match"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        return replace(request, url=f"{request.url}/{quote(keys_of(secrets, self.key_name)[0], safe='')}")


path_secret = PathSecret


class StandardWebhooks(msgspec.Struct, frozen=True):
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

    `v1` is HMAC-SHA256 by a `whsec_` secret, `v1a` ed25519 by a `whpk_` public key; other versions
    are skipped. Headers `webhook-*`, or `svix-*` where all three of those are there.
    """

    key_name: str = "signing_secret"
    tolerance: int = 300
    covers_body = True
    timed = True

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys = keys_of(secrets, self.key_name)
        if not keys:
            return f"no {self.key_name} is configured"
        family = "svix" if request.header("svix-signature") is not None else "webhook"
        name, stamp, given = (request.header(f"{family}-{part}") for part in ("id", "timestamp", "signature"))
        if not name or not stamp or not given:
            return f"{family}-id, {family}-timestamp or {family}-signature is missing"
        if late := untimely(stamp, "s", self.tolerance, request.received_at):
            return late
        over = octets(f"{name}.{stamp}.") + request.body
        signatures = [text.partition(",") for text in given.split(" ")[:MOST_SIGNATURES]]
        accepted = any(_matches(key, version, text, over) for key in keys for version, _, text in signatures)
        return None if accepted else "no signature matches"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        """By the first `whsec_` secret. Raises ValueError where there is none."""
        raw = next((raw for key in keys_of(secrets, self.key_name) if (raw := _shared_key(key))), b"")
        if not raw:
            raise ValueError(f"{self.key_name} holds no key to sign with")
        stamp, name = _stamped(request.received_at, "s"), request.header("webhook-id") or "msg_sample"
        over = octets(f"{name}.{stamp}.") + request.body
        text = "v1," + encode(hmac.new(raw, over, hashlib.sha256).digest(), "base64")
        return with_headers(request, {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": text})


standard_webhooks = StandardWebhooks


def keys_of(secrets: Secrets, name: str) -> tuple[str, ...]:
    """The configured values of a secret, without empty ones."""
    return tuple(value for value in secrets.get(name, ()) if value)


def octets(text: str) -> bytes:
    """The bytes of any text, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def same(expected: bytes, given: bytes) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(expected, given)


def decode(text: str, encoding: str) -> bytes | None:
    """The bytes of a hex, base64 or base64url text (padding optional), or None."""
    if encoding == "hex":
        return bytes.fromhex(text) if _HEX.match(text) else None
    if encoding == "base64url":
        text = text.replace("-", "+").replace("_", "/")
    if not _BASE64.match(text):
        return None
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except binascii.Error:
        return None


def encode(raw: bytes, encoding: str) -> str:
    if encoding == "hex":
        return raw.hex()
    return (base64.b64encode if encoding == "base64" else base64.urlsafe_b64encode)(raw).decode()


def sorted_fields(body: bytes) -> bytes | None:
    """Each distinct name and value of a form, sorted and without anything between; None for too many fields."""
    if body.count(b"&") >= MAX_FORM_FIELDS:
        return None
    pairs = parse_qsl(body.decode("utf-8", "surrogateescape"), keep_blank_values=True, errors="surrogateescape")
    return "".join(name + value for name, value in sorted(set(pairs))).encode("utf-8", "surrogateescape")


def untimely(stamp: str, unit: str, tolerance: int, received_at: str) -> str | None:
    """A reason when the moment `stamp` (in s, ms or iso) is over `tolerance` seconds away."""
    moment = _milliseconds(stamp, unit)
    if moment is None:
        return "no readable timestamp"
    away = instants.to_ms(received_at) - moment
    if abs(away) <= tolerance * 1000:
        return None
    return f"the timestamp is {'too old' if away > 0 else 'in the future'}"


def with_headers(request: Request, extra: Mapping[str, str]) -> Request:
    """The request with these headers instead of its own of the same names."""
    names = {name.lower() for name in extra}
    kept = tuple((name, value) for name, value in request.headers if name.lower() not in names)
    return replace(request, headers=kept + tuple(extra.items()))


def from_settings(settings: Mapping[str, Any]) -> HmacSignature:
    """The HMAC scheme that a connection's settings describe; `mistake()` tells what is wrong."""
    text = {name: str(settings[name]) for name in HMAC_SETTINGS if settings.get(name)}
    tolerance = settings.get("tolerance")
    seconds = tolerance if isinstance(tolerance, int) and 0 < tolerance <= 86400 else 300
    return HmacSignature(**({"header": "X-Signature"} | text), tolerance=seconds)


def _named(header: str | tuple[str, ...]) -> tuple[str, ...]:
    return (header,) if isinstance(header, str) else header


def _elements(values: list[str], separator: str) -> list[str]:
    if not separator:
        return values
    return [element.strip() for value in values for element in value.split(separator, 64)]


def _milliseconds(stamp: str, unit: str) -> int | None:
    if unit != "iso":
        return int(stamp) * (1000 if unit == "s" else 1) if _DIGITS.match(stamp) else None
    try:
        moment = datetime.fromisoformat(stamp)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _stamped(received_at: str, unit: str) -> str:
    moment = instants.to_ms(received_at)
    return {"s": str(moment // 1000), "ms": str(moment)}.get(unit, received_at)


def _matches(key: str, version: str, text: str, over: bytes) -> bool:
    given = decode(text, "base64")
    if given is None:
        return False
    if version == "v1":
        raw = _shared_key(key)
        return bool(raw) and same(hmac.new(raw, over, hashlib.sha256).digest(), given)
    return version == "v1a" and key.startswith("whpk_") and _ed25519(key, given, over)


def _shared_key(key: str) -> bytes:
    return b"" if key.startswith(("whpk_", "whsk_")) else decode(key.removeprefix("whsec_"), "base64") or b""


def _ed25519(key: str, given: bytes, over: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(decode(key[5:], "base64") or b"").verify(given, over)
    except (ValueError, InvalidSignature):
        return False
    return True
