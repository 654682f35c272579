"""Driving a hub as an integrator does: over HTTP, with requests signed as the providers sign them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus, urlencode

import requests
from twilio.request_validator import RequestValidator

ACCOUNT = "AC00000000000000000000000000000001"
AUTH_TOKEN = "twilio-auth-token"
SHOP_SECRET = "shpss_client_secret"
POS_SECRET = "pos-signing-secret"
APP_SECRET = "meta-app-secret"
BUSINESS_ACCOUNT = "200100300400500"
OWN_NUMBER = {"display_phone_number": "31201112233", "phone_number_id": "300200100"}
SHOP = "tc.myshopify.com"
DESK_SECRET = "dGhpc19pc19hX3NpZ25pbmdfc2VjcmV0"
_ids = itertools.count(1)

POS_MAPPING: list[dict[str, Any]] = [
    {
        "when": "event == 'return.created'",
        "type": "return",
        "object": "receipt",
        "version": "'created'",
        "occurred_at": "at",
        "actor": "customer",
        "refs": [{"kind": "receipt", "value": "receipt"}, {"kind": "order", "value": "order_ref"}],
        "details": {"status": "'created'", "store": "store"},
        "provider_type": "event",
    },
]
CHAT_MAPPING: dict[str, Any] = {
    "type": "message",
    "channel": "webchat",
    "object": "message.id",
    "version": "'1'",
    "occurred_at": "ts",
    "text": "message.text",
    "identities": [
        {"kind": "web", "scope": "'tc'", "value": "anonymousId"},
        {"kind": "email", "value": "prechat.email"},
    ],
    "refs": [{"kind": "thread", "value": "conversationId"}],
}


@dataclass(frozen=True)
class Sent:
    """One provider request, ready to go: as often and in whatever order."""

    url: str
    headers: Mapping[str, str]
    body: bytes

    def go(self, session: requests.Session | None = None) -> int:
        send = (session or requests).post
        return send(self.url, data=self.body, headers=dict(self.headers), timeout=20).status_code


@dataclass
class Integrator:
    url: str
    key: str
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, expect: int = 200, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        answer = self.session.request(method, self.url + path, headers=headers, timeout=20, **options)
        assert answer.status_code == expect, (method, path, answer.status_code, answer.text[:2000])
        return answer.json() if answer.content else None

    def get(self, path: str, **params: Any) -> Any:
        return self.call("GET", path, params=params)

    def connect(self, provider: str, name: str = "", **rest: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.call(
            "POST", "/v1/connections", 201, json={"provider": provider, "name": name or provider, **rest}
        )
        return made

    def customer(self, identity: str) -> dict[str, Any] | None:
        found = self.get("/v1/customers", identity=identity)
        return found["customers"][0] if found["match"] == "exact" else None

    def entries(self, customer: str, **params: Any) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.get(
                f"/v1/customers/{customer}/timeline", **{"limit": 200, **params}, **({"next": cursor} if cursor else {})
            )
            entries += page["entries"]
            cursor = page["next"]
            if not cursor:
                return entries

    def in_step(self, customer: str) -> bool:
        found = self.get(f"/v1/customers/{customer}/sync")["destinations"]
        return all(each["state"] == "in step" for each in found)


def eventually(what: Callable[[], Any], seconds: float = 60.0, every: float = 0.2) -> Any:
    """The first truthy answer of `what`; fails after `seconds` with the last one."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(every)


def shopify(hook: str, topic: str, body: Mapping[str, Any], event: str = "") -> Sent:
    raw = json.dumps(body).encode()
    mac = hmac.new(SHOP_SECRET.encode(), raw, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": SHOP,
        "X-Shopify-API-Version": "2026-10",
        "X-Shopify-Webhook-Id": f"wh-{next(_ids)}",
        "X-Shopify-Event-Id": event or f"ev-{next(_ids)}",
        "X-Shopify-Triggered-At": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "X-Shopify-Hmac-Sha256": base64.b64encode(mac).decode(),
    }
    return Sent(hook, headers, raw)


def order(number: int, customer: int, email: str, phone: str, created: str) -> dict[str, Any]:
    """A paid web order of one line, as the shop sends it."""
    return {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "name": f"#{number}",
        "order_number": number,
        "email": email,
        "contact_email": email,
        "phone": phone,
        "created_at": created,
        "updated_at": created,
        "processed_at": created,
        "currency": "EUR",
        "total_price": "89.95",
        "financial_status": "paid",
        "fulfillment_status": None,
        "source_name": "web",
        "customer": {"id": customer, "email": email, "phone": phone, "first_name": "Jan", "last_name": "de Vries"},
        "billing_address": {"first_name": "Jan", "last_name": "de Vries", "phone": phone, "country_code": "NL"},
        "line_items": [{"id": 1, "title": "Trui Noors", "quantity": 1, "price": "89.95", "sku": "TN-1"}],
        "fulfillments": [],
        "refunds": [],
    }


def twilio(hook: str, **form: str) -> Sent:
    params = {"AccountSid": ACCOUNT, **form}
    signature = RequestValidator(AUTH_TOKEN).compute_signature(hook, params)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return Sent(hook, headers, urlencode(params).encode())


def whatsapp(hook: str, sid: str, phone: str, text: str) -> Sent:
    return twilio(
        hook,
        MessageSid=sid,
        SmsMessageSid=sid,
        SmsStatus="received",
        From=f"whatsapp:{phone}",
        To="whatsapp:+31201112233",
        WaId=phone.lstrip("+"),
        ProfileName="Jan",
        Body=text,
        NumMedia="0",
        NumSegments="1",
        ApiVersion="2010-04-01",
    )


def whatsapp_cloud(hook: str, *values: Mapping[str, Any], app_secret: str = APP_SECRET) -> Sent:
    """One request with these `value` objects of the field messages. Their metadata are ours unless they say otherwise."""
    ours = {"messaging_product": "whatsapp", "metadata": OWN_NUMBER}
    changes = [{"value": {**ours, **value}, "field": "messages"} for value in values]
    body = {"object": "whatsapp_business_account", "entry": [{"id": BUSINESS_ACCOUNT, "changes": changes}]}
    raw = json.dumps(body, separators=(",", ":")).encode()
    mac = hmac.new(app_secret.encode(), raw, hashlib.sha256).hexdigest()
    return Sent(hook, {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={mac}"}, raw)


def call(hook: str, sid: str, phone: str, at: str, seconds: int = 240) -> Sent:
    return twilio(
        hook,
        CallSid=sid,
        From=phone,
        To="+31201112233",
        CallStatus="completed",
        Direction="inbound",
        CallDuration=str(seconds),
        Timestamp=at,
        SequenceNumber="2",
        CallbackSource="call-progress-events",
        ApiVersion="2010-04-01",
    )


def zendesk(
    hook: str,
    kind: str,
    detail: Mapping[str, Any],
    event: Mapping[str, Any],
    at: str,
    name: str = "",
    signed_at: str = "",
) -> Sent:
    """An event webhook of the desk, such as `ticket.created`. `at` may have nanoseconds; `name`: the event's own id,
    the same in a repeat; `signed_at`: another moment than now."""
    number = detail.get("id", "")
    body = {
        "type": f"zen:event-type:{kind}",
        "account_id": 12514403,
        "id": name or f"01K4{next(_ids):022d}",
        "time": at,
        "zendesk_event_version": "2022-11-06",
        "subject": f"zen:{'user' if kind.startswith('user.') else 'ticket'}:{number}",
        "detail": detail,
        "event": event,
    }
    return zendesk_signed(hook, body, signed_at)


def zendesk_trigger(hook: str, kind: str, ticket: Mapping[str, str], signed_at: str = "", **parts: Any) -> Sent:
    """What a trigger sends by our template: `kind` is ticket, comment or satisfaction; `parts` its other sections."""
    sections = {"ticket": ticket, **parts}
    coded = {
        name: {key: quote_plus(value) if key not in ("id", "updated_at") else value for key, value in section.items()}
        for name, section in sections.items()
    }
    return zendesk_signed(hook, {"event": kind, "encoding": "url", **coded}, signed_at)


def zendesk_signed(hook: str, body: Mapping[str, Any], signed_at: str = "") -> Sent:
    raw = json.dumps(body).encode()
    stamp = signed_at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mac = hmac.new(DESK_SECRET.encode(), stamp.encode() + raw, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Zendesk Webhook",
        "X-Zendesk-Account-Id": "12514403",
        "X-Zendesk-Webhook-Id": "01GK8E6BKWMJZD2T8Y5AXJQMG5",
        "X-Zendesk-Webhook-Invocation-Id": f"01K5{next(_ids):022d}",
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        "X-Zendesk-Webhook-Signature": base64.b64encode(mac).decode(),
    }
    return Sent(hook, headers, raw)


def generic(hook: str, body: Mapping[str, Any], secret: str = POS_SECRET) -> Sent:
    raw = json.dumps(body).encode()
    mac = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return Sent(hook, {"Content-Type": "application/json", "X-Signature": mac}, raw)
