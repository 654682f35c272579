"""Any system that takes Standard Webhooks: https://www.standardwebhooks.com

One POST per entry. `webhook-id` is the event id, the same on every attempt, so that a receiver
that keeps it takes each event once. A type is `order.created`: our event type with its status,
or with `received`, `sent` or `recorded` where it has none. Of an audience: `audience.entered`,
`audience.changed` or `audience.left`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.errors import Rejected
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.outgoing import merged
from chalicelib.kit.signing import standard_webhook
from chalicelib.kit.source import Secrets, Setting
from chalicelib.model.event import Event

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.audience import Told
    from chalicelib.model.customer import Entry

BY_DIRECTION = {"in": "received", "out": "sent", "internal": "recorded"}
SIGNED_BY_US = "webhook-"


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    return _post(http, entry.event.id, content(entry))


def tell_membership(http: Http, told: Told) -> str:
    """{"type": "audience.entered", "timestamp": "…Z", "data": {"audience", "customer", "version", "member"}}"""
    about: dict[str, Any] = {"id": told.key, "audience": {"id": told.audience, "name": told.name}}
    about |= {"customer": {"id": told.customer}, "version": told.version}
    about |= {"member": _member(told)} if told.member else {}
    return _post(http, told.key, {"type": f"audience.{told.what}", "timestamp": told.at, "data": about})


def _member(told: Told) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(told.member)
    return {name: value for name, value in found.items() if value != "" and name != "customer"}


def _post(http: Http, key: str, told: Mapping[str, Any]) -> str:
    body = msgspec.json.encode(told)
    headers = {
        "Content-Type": "application/json",
        **_extra_headers(http.settings),
        **standard_webhook(_keys(http.secrets), key, int(http.clock()), body),
    }
    http.request("POST", "" if http.base_url else str(http.settings.get("url", "")), body=body, headers=headers)
    return key


def content(entry: Entry) -> dict[str, Any]:
    """{"type": "order.created", "timestamp": "…Z", "data": {"id", "customer": {"id"}, "event": {…}}}"""
    customer = {"id": entry.customer_id, **({"url": entry.url} if entry.url else {})}
    told = merged({"id": entry.event.id, "customer": customer, "event": _event(entry.event)}, entry.mapped)
    return {"type": type_name(entry.event), "timestamp": entry.event.occurred_at, "data": told}


def type_name(event: Event) -> str:
    status = event.details.get("status")
    word = re.sub(r"[^a-z0-9]+", "_", status.lower()).strip("_") if isinstance(status, str) else ""
    return f"{event.type}.{word or BY_DIRECTION.get(event.direction, 'recorded')}"


def _event(event: Event) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(event)
    for name in ("fields", "ends", "begins"):
        shown.pop(name, None)
    if event.identities:
        shown["identities"] = [{"identity": each.text, "assurance": each.assurance} for each in event.identities]
    if event.refs:
        shown["refs"] = [{"kind": each.kind, "scope": each.scope, "value": each.value} for each in event.refs]
    return shown


def _extra_headers(settings: Mapping[str, Any]) -> dict[str, str]:
    extra = settings.get("headers") or {}
    if not isinstance(extra, dict) or any(str(name).lower().startswith(SIGNED_BY_US) for name in extra):
        raise Rejected("settings.headers: an object of header names, none beginning with webhook-")
    return {str(name): str(value) for name, value in extra.items()}


def _keys(secrets: Secrets) -> list[str]:
    return [*secrets.get("signing_secret", ()), *secrets.get("signing_key", ())]


def _no_auth(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    return {}


DESTINATION = Destination(
    name="Webhook (Standard Webhooks)",
    base_url="",
    auth=_no_auth,
    append_activity=append_activity,
    tell_membership=tell_membership,
    keyed=True,
    partner=True,
    limit=Limit(50, 1.0),
    mapped={"activity": ("id", "customer.id")},
    settings={
        "url": Setting("URL", required=True, instead="base_url", help="Where each event is POSTed; https"),
        "headers": Setting("Extra headers", type="object", help="Sent with every event, for example an API key"),
        "base_url": Setting("Base URL", help="Takes the place of the URL, for a stand-in server"),
    },
    secrets={
        "signing_secret": Setting(
            "Signing secret", help="whsec_ and 24 to 64 bytes in base64; two during a rotation give two signatures"
        ),
        "signing_key": Setting("Signing key (ed25519)", help="whsk_ and 32 bytes in base64; adds a v1a signature"),
    },
    grade="vendor vector",
    setup=(
        "Give the URL that takes a POST of JSON and answers 2xx within 10 seconds.",
        "Where the receiver is your own, set own_system: only then can sensitive entries go there.",
        "Generate a signing secret (whsec_…), enter it here and at the receiver.",
        "At the receiver keep webhook-id for three days and ignore the second of a kind.",
    ),
    docs="https://www.standardwebhooks.com",
)
