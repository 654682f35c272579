"""Any system that can post JSON or a form: its authentication by settings, its events by a mapping.

https://www.standardwebhooks.com for one of the schemes, https://jmespath.org for the mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import mapping, signatures
from chalicelib.kit.fields import DEFAULT_REGION
from chalicelib.kit.request import Request
from chalicelib.kit.shape import text
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import CHANNELS, Event
from chalicelib.model.event import TYPES as EVENT_TYPES

TYPES = {type_: type_ for type_ in sorted(EVENT_TYPES)}
SCHEMES: Mapping[str, Any] = {
    "bearer": signatures.static_token(),
    "basic": signatures.basic_auth(),
    "path": signatures.path_secret(),
    "standard_webhooks": signatures.standard_webhooks(),
}


def normalize(request: Request) -> Iterator[Event]:
    """Without a mapping nothing: the receipt is kept, so that a mapping can be previewed on it."""
    if request.mapping:
        yield from mapping.events(request.mapping, request.document, request.settings, request.connection)


def scheme(settings: Mapping[str, Any]) -> Any:
    """The verifier that the settings choose, or None."""
    chosen = text(settings, "auth") or "hmac"
    return signatures.from_settings(settings) if chosen == "hmac" else SCHEMES.get(chosen)


def verify(request: Request, secrets: Secrets) -> str | None:
    chosen = scheme(request.settings)
    reason: str | None = chosen(request, secrets) if chosen else "auth is no scheme that we know"
    return reason


def delivery_key(request: Request) -> str | None:
    usual = "webhook-id" if text(request.settings, "auth") == "standard_webhooks" else ""
    name = text(request.settings, "dedupe_header") or usual
    return request.header(name) or (request.header("svix-id") if usual else None)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    connection = url.rpartition("/hooks/")[2]
    unsigned = Request(
        "POST",
        url,
        (("content-type", "application/json"),),
        b'{"test":true}',
        "2026-01-01T11:00:00.000Z",
        settings=settings,
        connection=connection,
    )
    return sign(unsigned, secrets)


def sign(request: Request, secrets: Secrets) -> Request:
    signed: Request = (scheme(request.settings) or signatures.from_settings({})).sign(request, secrets)
    return signed


SOURCE = Source(
    name="Generic webhook",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    settings={
        "auth": Setting("Authentication", default="hmac", choices=("hmac", *SCHEMES)),
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
        "dedupe_header": Setting("Delivery id header", help="What a retry of the sender repeats"),
        "type": Setting("Event type", choices=tuple(TYPES), help="Where the mapping gives none"),
        "channel": Setting("Channel", choices=tuple(sorted(CHANNELS)), help="Where the mapping gives none"),
        "account": Setting("Account", help="Scope of ids; default: the connection"),
        "region": Setting("Country of numbers without +", default=DEFAULT_REGION, help="ISO 3166 code"),
        "zone": Setting("Time zone", help="IANA name, for moments without an offset"),
        "own_system": Setting("Own system", type="boolean", help="A shop, till, carrier or desk of the organisation"),
    },
    secrets={
        "signing_secret": Setting("Signing secret", help="hmac, standard_webhooks (whsec_ or whpk_)"),
        "token": Setting("Token", help="bearer"),
        "password": Setting("Password", help="basic"),
        "path_secret": Setting("Path secret", help="path: the sender posts to {hook_url}/<secret>"),
    },
    setup=(
        "Choose how the sender authenticates and set its secret",
        "Let it post to {hook_url}",
        "Preview a mapping on what arrived, then switch it on",
    ),
    docs="https://www.standardwebhooks.com",
    check_mapping=mapping.check,
    sample=sample,
)
