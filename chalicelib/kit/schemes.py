"""Authentication chosen by a connection's settings: for senders that are configured, not programmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from chalicelib.kit import signatures
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import text
from chalicelib.kit.source import Secrets, Setting

QUERY_TOKEN = "access_token"  # noqa: S105


class OneOf(msgspec.Struct, frozen=True):
    """The one of `schemes` whose name the setting `name` holds; where it is not set, the first."""

    name: str
    schemes: Mapping[str, Any]

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(self.schemes)

    def of(self, settings: Mapping[str, Any]) -> Any:
        return self.schemes.get(text(settings, self.name) or self.choices[0])

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        chosen = self.of(request.settings)
        reason: str | None = chosen(request, secrets) if chosen else f"{self.name} is no scheme that we know"
        return reason

    def sign(self, request: Request, secrets: Secrets) -> Request:
        signed: Request = (self.of(request.settings) or self.schemes[self.choices[0]]).sign(request, secrets)
        return signed


def one_of(name: str, **schemes: Any) -> OneOf:
    return OneOf(name, schemes)


BASIC_OR_PATH = one_of("auth", basic=signatures.basic_auth(), path=signatures.path_secret())
"""For who signs nothing: what can be in the address that he calls."""
BASIC_OR_PATH_SETTINGS: Mapping[str, Setting] = {
    "auth": Setting("Authentication", default="basic", choices=BASIC_OR_PATH.choices),
    "username": Setting("User name", help="Of basic authentication; or as a secret"),
}
BASIC_OR_PATH_SECRETS: Mapping[str, Setting] = {
    "username": Setting("User name", help="Basic authentication, unless it is a setting"),
    "password": Setting("Password", help="Basic authentication"),
    "path_secret": Setting("Path secret", help="Where the address is {hook_url}/<secret> instead"),
}


class BearerToken(msgspec.Struct, frozen=True):
    """RFC 6750: the token in the header Authorization or, where there is none, once as the parameter `access_token`."""

    key_name: str = "token"
    covers_body = False
    timed = False

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        sent = [value for name, value in request.query if name == QUERY_TOKEN]
        if not sent or request.header("authorization") is not None:
            return signatures.static_token(key_name=self.key_name)(request, secrets)
        keys, octets = signatures.keys_of(secrets, self.key_name), signatures.octets
        accepted = len(sent) == 1 and any(signatures.same(octets(key), octets(sent[0])) for key in keys)
        return None if accepted else "the token does not match"

    def sign(self, request: Request, secrets: Secrets) -> Request:
        return signatures.static_token(key_name=self.key_name).sign(request, secrets)


def _jwt(settings: Mapping[str, Any]) -> Any:
    """A token that runs out; what it says of the body counts where the setting names that claim."""
    from chalicelib.kit.jwt import jwt_signature

    header, names = text(settings, "header") or "Authorization", {"issuer": "iss", "audience": "aud"}
    return jwt_signature(
        header=header,
        prefix=text(settings, "prefix") or ("Bearer " if header.lower() == "authorization" else ""),
        algorithms=(text(settings, "jwt_algorithm") or JWT_ALGORITHMS[0],),
        claims={claim: told for name, claim in names.items() if (told := text(settings, name))},
        required=("exp",),
        body_claim=text(settings, "body_claim"),
        tolerance=0,
    )


JWT_ALGORITHMS = ("HS256", "HS384", "HS512", "RS256")
SCHEMES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "hmac": signatures.from_settings,
    "bearer": lambda settings: BearerToken(),
    "basic": lambda settings: signatures.basic_auth(),
    "path": lambda settings: signatures.path_secret(),
    "standard_webhooks": lambda settings: signatures.standard_webhooks(),
    "jwt": _jwt,
}


def scheme(settings: Mapping[str, Any]) -> Any:
    """The verifier that the settings choose, or None."""
    made = SCHEMES.get(text(settings, "auth") or "hmac")
    return made(settings) if made else None


def verify(request: Request, secrets: Secrets) -> str | None:
    chosen = scheme(request.settings)
    reason: str | None = chosen(request, secrets) if chosen else "auth is no scheme that we know"
    return reason


def sign(request: Request, secrets: Secrets) -> Request:
    signed: Request = (scheme(request.settings) or signatures.from_settings({})).sign(request, secrets)
    return signed


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any], body: bytes) -> Request:
    """A signed request for the hook `url`."""
    return sign(sample_request(url, settings, body), secrets)


def delivery_key(request: Request) -> str | None:
    """What a retry of the sender repeats: a header by the settings, or the one that the scheme has."""
    usual = "webhook-id" if text(request.settings, "auth") == "standard_webhooks" else ""
    name = text(request.settings, "dedupe_header") or usual
    return request.header(name) or (request.header("svix-id") if usual else None)


SETTINGS: Mapping[str, Setting] = {
    "auth": Setting("Authentication", default="hmac", choices=tuple(SCHEMES)),
    "header": Setting("Signature header", default="X-Signature"),
    "algorithm": Setting("HMAC algorithm", default="sha256", choices=signatures.ALGORITHMS),
    "encoding": Setting("Signature encoding", default="hex", choices=signatures.ENCODINGS),
    "prefix": Setting("Before the signature", help="Such as sha256="),
    "separator": Setting("Between signatures", help="Where one header holds several"),
    "over": Setting("Signed text", default="{body}", help="Made of {body}, {ts}, {method} and {url}"),
    "timestamp_header": Setting("Timestamp header"),
    "timestamp_prefix": Setting("Before the timestamp", help="Where it is an element of its header, such as t="),
    "timestamp_unit": Setting("Timestamp unit", default="s", choices=signatures.UNITS),
    "tolerance": Setting("Tolerance", type="integer", default=300, help="Seconds, to both sides"),
    "username": Setting("User name", help="For basic authentication"),
    "jwt_algorithm": Setting("JWT algorithm", default="HS256", choices=JWT_ALGORITHMS),
    "issuer": Setting("JWT issuer", help="What its claim iss must be"),
    "audience": Setting("JWT audience", help="What its claim aud must be, as one text"),
    "body_claim": Setting("JWT claim with the body's SHA-256", help="In hex; without it a token covers no body"),
    "dedupe_header": Setting("Delivery id header", help="What a retry of the sender repeats"),
}
SECRETS: Mapping[str, Setting] = {
    "signing_secret": Setting(
        "Signing secret", help="hmac, standard_webhooks (whsec_ or whpk_), jwt (for RS256: the public key as PEM)"
    ),
    "token": Setting("Token", help="bearer: in the header, or as the parameter access_token"),
    "password": Setting("Password", help="basic"),
    "path_secret": Setting("Path secret", help="path: the sender posts to {hook_url}/<secret>"),
}
