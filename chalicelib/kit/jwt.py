"""Requests signed by a JSON Web Token in a header, of which claims may hold digests of the body and the URL.

https://www.rfc-editor.org/rfc/rfc7519 and https://www.rfc-editor.org/rfc/rfc8725
The algorithms and the key are the connection's, never the token's: `kid`, `jwk`, `jku` and `x5u` are not
read, `none` is none of ours, and one verifier takes either shared secrets or public keys.
Our own reading of a token, because the libraries load ciphers and key types that no hook needs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.request import Request, parse_json
from chalicelib.kit.signatures import decode, encode, keys_of, octets, same, with_headers
from chalicelib.kit.source import Secrets
from chalicelib.model import instants

SHARED = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
PUBLIC = {"RS256": "sha256"}
LONGEST_TOKEN = 16 * 1024
LATEST = 10**11


class JwtSignature(msgspec.Struct, frozen=True):
    """`algorithms`: those that count, all with shared secrets (HS256, HS384, HS512) or all with public keys (RS256).

    `claims`: what must be said literally, such as {"iss": "…"}. `required`: claims that must be there.
    `body_claim`, `url_claim`: claims with the hex SHA-256 of body and URL; a body without its claim
    is refused, and so is the claim without a body, unless `body_optional`: then only one that is there counts.
    `leeway`: seconds for exp and nbf. `tolerance`: seconds from iat, to both sides; 0: iat is not looked at.
    """

    header: str = "Authorization"
    prefix: str = "Bearer "
    key_name: str = "signing_secret"
    algorithms: tuple[str, ...] = ("HS256",)
    claims: Mapping[str, str] = {}
    required: tuple[str, ...] = ()
    body_claim: str = "payload_hash"
    url_claim: str = ""
    body_optional: bool = False
    leeway: int = 60
    tolerance: int = 300

    @property
    def covers_body(self) -> bool:
        return bool(self.body_claim) and not self.body_optional

    @property
    def timed(self) -> bool:
        return bool(self.tolerance) or "exp" in self.required

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        if wrong := self.mistake():
            return wrong
        keys = keys_of(secrets, self.key_name)
        if not keys:
            return f"no {self.key_name} is configured"
        told = self._proven(request, keys)
        return told if isinstance(told, str) else self._refused(told, request)

    def mistake(self) -> str | None:
        """What is wrong with this configuration, if anything."""
        chosen = set(self.algorithms)
        if not chosen or not (chosen <= SHARED.keys() or chosen <= PUBLIC.keys()):
            return f"algorithms must be some of {', '.join(SHARED)}, or else {', '.join(PUBLIC)}"
        return None

    def sign(self, request: Request, secrets: Secrets) -> Request:
        """By the first secret, which for RS256 is a private key. Raises ValueError for a public one."""
        from chalicelib.kit.public_keys import rsa_signature_of

        algorithm, key = self.algorithms[0], keys_of(secrets, self.key_name)[0]
        over = octets(".".join(map(_segment, ({"typ": "JWT", "alg": algorithm}, self._told(request)))))
        shared = algorithm in SHARED
        raw = _digest(key, over, algorithm) if shared else rsa_signature_of(key, over, PUBLIC[algorithm])
        token = f"{over.decode()}.{encode(raw, 'base64url').rstrip('=')}"
        return with_headers(request, {self.header: self.prefix + token})

    def _told(self, request: Request) -> dict[str, Any]:
        now = instants.to_ms(request.received_at) // 1000
        told: dict[str, Any] = dict(self.claims) | {"iat": now, "nbf": now, "exp": now + 300, "jti": f"sample-{now}"}
        body = {self.body_claim: _sha256(request.body)} if self.body_claim and request.body else {}
        return told | body | ({self.url_claim: _sha256(octets(request.url))} if self.url_claim else {})

    def _proven(self, request: Request, keys: tuple[str, ...]) -> dict[str, Any] | str:
        """The claims of a token that one of `keys` signed, or a reason."""
        token = self._token(request)
        head, claims, signature = (*token.split("."), "", "", "")[:3] if token.count(".") == 2 else ("", "", "")
        about, told, raw = _object(head), _object(claims), _octets(signature)
        if about is None or told is None or not raw:
            return f"no readable token in {self.header}"
        if about.get("alg") not in self.algorithms or "crit" in about:
            return "the token is signed in a way that is not configured"
        over = octets(f"{head}.{claims}")
        if not any(_signed(key, over, raw, about["alg"], request) for key in keys):
            return "the signature of the token does not match"
        return told

    def _token(self, request: Request) -> str:
        given = request.header(self.header) or ""
        fits = given[: len(self.prefix)].lower() == self.prefix.lower() and len(given) <= LONGEST_TOKEN
        return given[len(self.prefix) :].strip() if fits else ""

    def _refused(self, told: dict[str, Any], request: Request) -> str | None:
        for name in (*self.required, *self.claims):
            if told.get(name) is None or (name in self.claims and told[name] != self.claims[name]):
                return f"the claim {name} is missing or is not the configured one"
        late = self._untimely(told, instants.to_ms(request.received_at) / 1000)
        return late or self._uncovered(told, request)

    def _untimely(self, told: dict[str, Any], now: float) -> str | None:
        moments = {name: told[name] for name in ("exp", "nbf", "iat") if told.get(name) is not None}
        for name, moment in moments.items():
            if type(moment) not in (int, float) or not abs(moment) < LATEST:
                return f"the timestamp {name} cannot be read"
        if now > moments.get("exp", now) + self.leeway:
            return "the timestamp exp is past"
        if now < moments.get("nbf", now) - self.leeway:
            return "the timestamp nbf is in the future"
        if self.tolerance and ("iat" not in moments or abs(now - moments["iat"]) > self.tolerance):
            return "the timestamp iat is missing, too old or in the future"
        return None

    def _uncovered(self, told: dict[str, Any], request: Request) -> str | None:
        body = told.get(self.body_claim) if self.body_claim else None
        if self.body_claim and not (self.body_optional and body is None) and not _covers(body, request.body):
            return f"{self.body_claim} is not that of the body"
        if self.url_claim and not _hashes(told.get(self.url_claim), octets(request.url)):
            return f"{self.url_claim} is not that of the URL"
        return None


jwt_signature = JwtSignature


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, not who signed it: for one that its issuer gave in answer to our own request. Total."""
    parts = token.split(".") if len(token) <= LONGEST_TOKEN else []
    return (_object(parts[1]) if len(parts) == 3 else None) or {}


def _covers(claim: Any, body: bytes) -> bool:
    return _hashes(claim, body) if body else claim is None or _hashes(claim, body)


def _hashes(claim: Any, over: bytes) -> bool:
    return isinstance(claim, str) and same(octets(claim.lower()), _sha256(over).encode())


def _sha256(over: bytes) -> str:
    return hashlib.sha256(over).hexdigest()


def _signed(key: str, over: bytes, raw: bytes, algorithm: str, request: Request) -> bool:
    """A PEM is no shared secret: whoever knows the public key could sign with it."""
    if algorithm in SHARED:
        return not key.lstrip().startswith("-----BEGIN") and same(_digest(key, over, algorithm), raw)
    from chalicelib.kit.public_keys import rsa_accepts

    return rsa_accepts(key, raw, over, PUBLIC[algorithm], request.received_at)


def _digest(key: str, over: bytes, algorithm: str) -> bytes:
    return hmac.new(octets(key), over, SHARED[algorithm]).digest()


def _octets(segment: str) -> bytes | None:
    """Base64url as RFC 7515 writes it: no padding, no other alphabet."""
    return decode(segment, "base64url") if segment.isascii() and not set("+/=") & set(segment) else None


def _object(segment: str) -> dict[str, Any] | None:
    raw = _octets(segment)
    try:
        found = parse_json(raw) if raw else None
    except PayloadMalformed:
        return None
    return found if isinstance(found, dict) else None


def _segment(told: dict[str, Any]) -> str:
    return encode(msgspec.json.encode(told), "base64url").rstrip("=")
