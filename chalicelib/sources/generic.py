"""Any system that can post JSON or a form: its authentication by settings, its events by a mapping.

https://www.standardwebhooks.com and https://cloudevents.io for two of the ways, https://jmespath.org for the mapping.

The templates are mappings for the bodies that their keys describe; they tell what happened and judge nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import cloudevents, mapping, schemes
from chalicelib.kit.parts import each_part
from chalicelib.kit.request import Request
from chalicelib.kit.shape import text
from chalicelib.kit.source import REGION, Answer, Secrets, Setting, Source
from chalicelib.model.event import CHANNELS, Event
from chalicelib.model.event import TYPES as EVENT_TYPES

TYPES = {type_: type_ for type_ in sorted(EVENT_TYPES)}


def normalize(request: Request) -> Iterator[Event]:
    """Without a mapping nothing: the receipt is kept, so that a mapping can be previewed on it."""
    if not request.mapping:
        return
    read = mapping.reader(request.mapping, request.settings, request.connection)
    if in_cloudevents(request.settings):
        yield from each_part(cloudevents.documents(request), lambda sent: read(cloudevents.read(sent)))
    else:
        yield from read(request.document)


def in_cloudevents(settings: Mapping[str, Any]) -> bool:
    return text(settings, "body") == "cloudevents"


def delivery_key(request: Request) -> str | None:
    """A CloudEvent is known by its source and id, unless a header of the sender's is named."""
    known = cloudevents.key(request) if in_cloudevents(request.settings) else None
    return known if known and not text(request.settings, "dedupe_header") else schemes.delivery_key(request)


def handshake(request: Request, secrets: Secrets) -> Answer | None:
    """A sender of CloudEvents asks first; without any secret it would send for nothing."""
    if request.method != "OPTIONS" or not any(value for values in secrets.values() for value in values):
        return None
    return cloudevents.permission(request, verify(request, secrets) is None)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    return schemes.sample(secrets, url, settings, b'{"test":true}')


scheme, sign = schemes.scheme, schemes.sign
verify = schemes.verify
WEB = {"kind": "web", "value": "anonymousId"}
LOYALTY = {"kind": "loyalty", "value": "loyalty"}
SHOP = {"kind": "shop", "value": "customer"}
ORDER, RECEIPT = {"kind": "order", "value": "order"}, {"kind": "receipt", "value": "receipt"}
THREAD = {"kind": "thread", "value": "conversationId"}
SAID: Mapping[str, Any] = {
    "type": "message",
    "object": "message.id",
    "version": "'1'",
    "occurred_at": "at",
    "text": "message.text",
    "direction": "(contains(['agent', 'bot'], message.author) && 'out') || 'in'",
    "actor": "(contains(['agent', 'bot'], message.author) && message.author) || 'customer'",
    "refs": [THREAD],
    "attachments": "message.attachments[].{name: name, url: url, media_type: media_type, size: size}",
    "details": {"agent": "message.agent", "page": "page"},
    "provider_type": "event",
}
WEB_CHAT = [
    {
        "when": "event == 'message.created'",
        **SAID,
        "channel": "webchat",
        "address": WEB,
        "identities": [WEB, {"kind": "email", "value": "prechat.email"}, {"kind": "phone", "value": "prechat.phone"}],
        "fields": {"name": "prechat.name", "language": "language"},
    },
    {
        "when": "event == 'page.viewed'",
        "type": "visit",
        "channel": "web",
        "object": "id",
        "occurred_at": "at",
        "identities": [WEB],
        "summary": "page",
        "details": {"page": "page", "referrer": "referrer"},
        "provider_type": "event",
    },
]
INSTALLATION, USER = {"kind": "app", "value": "installation"}, {"kind": "login", "value": "user", "assurance": "A3"}
APP = [
    {
        "when": "event == 'message.created'",
        **SAID,
        "channel": "app",
        "address": INSTALLATION,
        "identities": [INSTALLATION, USER],
    },
    {
        "when": "event == 'screen.viewed'",
        "type": "visit",
        "channel": "app",
        "object": "id",
        "occurred_at": "at",
        "identities": [INSTALLATION, USER],
        "summary": "screen",
        "details": {"screen": "screen", "platform": "platform"},
        "provider_type": "event",
    },
    {
        "when": "event == 'push.changed'",
        "type": "consent",
        "channel": "app",
        "object": "join('/', ['push', installation])",
        "version": "join('@', [to_string(granted), at])",
        "occurred_at": "at",
        "identities": [INSTALLATION, USER],
        "details": {"medium": "'push'", "status": "(granted && 'granted') || 'denied'"},
        "fields": {"consent_push": "(granted && 'granted') || 'denied'"},
        "provider_type": "event",
    },
]
AT_THE_TILL: Mapping[str, Any] = {
    "channel": "store",
    "occurred_at": "at",
    "identities": [LOYALTY, SHOP, {"kind": "email", "value": "email"}, {"kind": "phone", "value": "phone"}],
    "refs": [RECEIPT, ORDER],
    "provider_type": "event",
}
STORE = [
    {
        **AT_THE_TILL,
        "when": "event == 'purchase.created'",
        "type": "order",
        "object": "receipt",
        "version": "'purchased'",
        "summary": "join(' ', ['Purchase in', store])",
        "details": {
            "status": "'purchased'",
            "number": "receipt",
            "store": "store",
            "total": "total",
            "currency": "currency",
            "items": "items[].{sku: sku, name: name, quantity: quantity, price: price}",
        },
    },
    {
        **AT_THE_TILL,
        "when": "contains(['order.ready', 'order.picked_up'], event)",
        "type": "fulfilment",
        "object": "order",
        "version": "event",
        "summary": "(event == 'order.ready' && join(' ', ['Ready in', store])) || join(' ', ['Picked up in', store])",
        "details": {"status": "(event == 'order.ready' && 'ready') || 'picked_up'", "store": "store"},
    },
    {
        **AT_THE_TILL,
        "when": "starts_with(event, 'reservation.')",
        "type": "reservation",
        "object": "reservation",
        "version": "join('@', [event, at])",
        "summary": "join(' ', ['Reservation in', store])",
        "details": {
            "status": "(event == 'reservation.created' && 'created') || (event == 'reservation.cancelled' && 'cancelled') "
            "|| (event == 'reservation.collected' && 'collected') || 'changed'",
            "number": "reservation",
            "store": "store",
            "until": "until",
            "items": "items[].{sku: sku, name: name, quantity: quantity}",
        },
    },
    {
        **AT_THE_TILL,
        "when": "event == 'return.created'",
        "type": "return",
        "object": "receipt",
        "version": "'created'",
        "summary": "join(' ', ['Return in', store])",
        "details": {
            "status": "'created'",
            "store": "store",
            "reason": "reason",
            "total": "total",
            "currency": "currency",
            "items": "items[].{sku: sku, name: name, quantity: quantity}",
        },
    },
    {
        **AT_THE_TILL,
        "when": "event == 'points.changed'",
        "type": "loyalty",
        "object": "id",
        "summary": "join(' ', ['Points:', to_string(points)])",
        "details": {"points": "points", "balance": "balance", "reason": "reason", "store": "store"},
    },
]
CARRIER = {
    "each": "shipments[]",
    "rules": [
        {
            "type": "fulfilment",
            "channel": "post",
            "direction": "internal",
            "actor": "system",
            "object": "barcode",
            "version": "join('@', [status, at])",
            "occurred_at": "at",
            "refs": [ORDER],
            "summary": "join(' ', ['Parcel', barcode, status])",
            "details": {
                "status": "status",
                "tracking": "barcode",
                "carrier": "_body.carrier",
                "expected": "expected",
                "place": "place",
            },
            "link": "link",
            "provider_type": "status",
        }
    ],
}
SURVEY = [
    {
        "when": "event == 'survey.sent'",
        "type": "satisfaction",
        "channel": "(contains(to, '@') && 'email') || 'sms'",
        "direction": "out",
        "actor": "system",
        "object": "survey",
        "version": "'sent'",
        "occurred_at": "at",
        "identities": [
            {"kind": "(contains(to, '@') && 'email') || 'phone'", "value": "to", "assurance": "A2"},
        ],
        "address": "to",
        "refs": [{"kind": "survey", "value": "survey"}, ORDER, RECEIPT, {"kind": "case", "value": "case"}],
        "details": {"survey": "survey", "scale": "scale", "subject_channel": "subject_channel"},
        "provider_type": "event",
    },
    {
        "when": "event == 'survey.answered'",
        "type": "satisfaction",
        "channel": "survey",
        "object": "survey",
        "version": "at",
        "occurred_at": "at",
        "text": "comment",
        "identities": [{"kind": "email", "value": "email"}, {"kind": "phone", "value": "phone"}],
        "refs": [{"kind": "survey", "value": "survey"}],
        "summary": "join(' ', ['Survey:', to_string(score), 'of', to_string(scale[1])])",
        "details": {
            "survey": "survey",
            "score": "score",
            "scale": "scale",
            "comment": "comment",
            "subject_channel": "subject_channel",
        },
        "provider_type": "event",
    },
]
TEMPLATES: Mapping[str, Any] = {
    "web_chat": WEB_CHAT,
    "app": APP,
    "store": STORE,
    "carrier": CARRIER,
    "survey": SURVEY,
}
SOURCE = Source(
    name="Generic webhook",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    handshake=handshake,
    handshake_first=True,
    settings={
        **schemes.SETTINGS,
        "body": Setting(
            "Body",
            default="plain",
            choices=("plain", "cloudevents"),
            help="cloudevents: in any of its three modes; the mapping sees one event at a time, its content under data",
        ),
        "allowed_origins": Setting(
            "Origins that may send",
            type="array",
            items="string",
            help="Answered when they ask without the secret (CloudEvents, OPTIONS), such as eventgrid.azure.net; * for all",
        ),
        "allowed_rate": Setting("Requests a minute", type="integer", help="What such a sender is told; default: any"),
        "type": Setting("Event type", choices=tuple(TYPES), help="Where the mapping gives none"),
        "channel": Setting("Channel", choices=tuple(sorted(CHANNELS)), help="Where the mapping gives none"),
        "account": Setting("Account", help="Scope of ids; default: the connection"),
        "region": REGION,
        "zone": Setting("Time zone", help="IANA name, for moments without an offset"),
        "own_system": Setting("Own system", type="boolean", help="A shop, till, carrier or desk of the organisation"),
    },
    secrets=schemes.SECRETS,
    setup=(
        "Choose how the sender authenticates and set its secret",
        "Let it post to {hook_url}",
        "Preview a mapping on what arrived, one of the templates or your own, then switch it on",
    ),
    docs="https://www.standardwebhooks.com",
    check_mapping=mapping.check,
    templates=TEMPLATES,
    sample=sample,
)
