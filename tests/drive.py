"""Driving a hub as an integrator does: over HTTP, with requests signed as the providers sign them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
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
MAIL_PASSWORD = "mail-hook-password"
MAIL_INBOUND = "451d9b70cf9364d23ff6f9d51d870251@inbound.postmarkapp.com"
MAIL_SERVER = "mx1.tc.example"
MAIL_SETTINGS: dict[str, Any] = {
    "username": "hub",
    "own_addresses": ["support@tc.example", "@tc.example"],
    "authserv_ids": [MAIL_SERVER],
}
"""What `postmark` goes with: mail comes by our own server, whose results count."""
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

    def told(self, customer: str) -> int:
        """How many entries he has; none if his id was a number's that turned out to be shared, a moment ago."""
        try:
            return len(self.entries(customer))
        except AssertionError as moved:
            if "no such customer" not in str(moved):
                raise
            return 0

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


def stripe(hook: str, event: Mapping[str, Any], secret: str) -> Sent:
    raw, at = json.dumps(event, indent=2).encode(), int(time.time())
    mac = hmac.new(secret.encode(), f"{at}.".encode() + raw, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": f"t={at},v1={mac}"}
    return Sent(hook, headers, raw)


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


def postmark(
    hook: str,
    sender: str,
    at: str,
    text: str,
    *,
    name: str = "",
    to: str = "support@tc.example",
    subject: str = "Vraag",
    references: tuple[str, ...] = (),
    in_reply_to: str = "",
    dmarc: str = "pass",
    handed_over_by: str = "out3.tc.example",
    extra: Mapping[str, str] | None = None,
    **more: Any,
) -> Sent:
    """A mail that came in. `name`: its Message-ID, the same in a copy; `at`: ISO; `dmarc`: what our server found,
    empty for no results; `extra`: more of the sender's headers; `more`: fields of the webhook itself."""
    written = datetime.fromisoformat(at)
    number = next(_ids)
    headers = [
        *carrier_headers(sender, written, handed_over_by),
        *([("Authentication-Results", mail_results(sender, dmarc))] if dmarc else []),
        ("Received", f"from mail.example ([198.51.100.80]) by {MAIL_SERVER} with ESMTPS id {number}; {stamp(written)}"),
        ("MIME-Version", "1.0"),
        ("Message-ID", f"<{name or f'CAE{number}@mail.example'}>"),
        *([("In-Reply-To", f"<{in_reply_to}>")] if in_reply_to else []),
        *([("References", " ".join(f"<{each}>" for each in references))] if references else []),
        *(extra or {}).items(),
    ]
    tag = to.partition("@")[0].partition("+")[2]
    body = {
        "FromName": "Jan de Vries",
        "MessageStream": "inbound",
        "From": sender,
        "FromFull": {"Email": sender, "Name": "Jan de Vries", "MailboxHash": ""},
        "To": to,
        "ToFull": [{"Email": to, "Name": "", "MailboxHash": tag}],
        "Cc": "",
        "CcFull": [],
        "Bcc": MAIL_INBOUND,
        "BccFull": [{"Email": MAIL_INBOUND, "Name": "", "MailboxHash": ""}],
        "OriginalRecipient": MAIL_INBOUND,
        "Subject": subject,
        "MessageID": f"50c2377e-e3a2-4a89-9632-{number:012x}",
        "ReplyTo": "",
        "MailboxHash": "",
        "Date": format_datetime(written),
        "TextBody": text,
        "HtmlBody": f'<div dir="ltr">{html.escape(text)}</div>',
        "StrippedTextReply": "",
        "Tag": "",
        "Headers": [{"Name": key, "Value": value} for key, value in headers],
        "Attachments": [],
    }
    return postmark_signed(hook, body | more)


def carrier_headers(sender: str, taken: datetime, host: str) -> list[tuple[str, str]]:
    """What the carrier puts on top of each mail: its spam check's, then who handed the mail over."""
    own = "p-pm-inboundg03a-aws-euwest1a"
    return [
        ("Return-Path", f"<{sender}>"),
        ("Received", f"by {own}.inbound.postmarkapp.com (Postfix, from userid 996)\tid C4B3E45; {stamp(taken)}"),
        ("X-Spam-Checker-Version", f"SpamAssassin 3.4.0 (2014-02-07) on\t{own}"),
        ("X-Spam-Status", "No"),
        ("X-Spam-Score", "-0.1"),
        ("X-Spam-Tests", "DKIM_SIGNED,DKIM_VALID,HTML_MESSAGE,\tSPF_HELO_NONE,SPF_PASS"),
        ("Received-SPF", f'pass ({host}: ok) receiver={own}; identity=mailfrom; envelope-from="{sender}"; helo={host}'),
        (
            "Received",
            f"from {host} ({host} [192.0.2.44])\t(using TLSv1.3)\tby {own}.inbound.postmarkapp.com (Postfix) with "
            f"ESMTPS id A40E045\tfor <{MAIL_INBOUND}>; {stamp(taken)}",
        ),
    ]


def mail_results(sender: str, dmarc: str) -> str:
    domain = sender.partition("@")[2]
    return (
        f"{MAIL_SERVER};\t   dkim={dmarc} header.i=@{domain} header.s=s1;\t   spf=pass (ok; dmarc=pass) "
        f"smtp.mailfrom={sender};\t   dmarc={dmarc} (p=REJECT dis=NONE) header.from={domain}"
    )


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000 (UTC)")


def postmark_sent(hook: str, kind: str, number: str, recipient: str, at: str, **more: Any) -> Sent:
    """What became of a mail that we sent: `kind` is Delivery or Bounce, `number` the carrier's id of it."""
    field, who = ("DeliveredAt", "Recipient") if kind == "Delivery" else ("BouncedAt", "Email")
    body = {
        "RecordType": kind,
        "MessageStream": "outbound",
        "MessageID": number,
        who: recipient,
        field: at,
        "Details": "smtp;250 2.0.0 OK",
        "Tag": "",
        "ServerID": 23,
        "Metadata": {},
    }
    return postmark_signed(hook, body | more)


def postmark_signed(hook: str, body: Mapping[str, Any]) -> Sent:
    pair = base64.b64encode(f"{MAIL_SETTINGS['username']}:{MAIL_PASSWORD}".encode()).decode()
    headers = {"Content-Type": "application/json", "User-Agent": "Postmark", "Authorization": f"Basic {pair}"}
    return Sent(hook, headers, json.dumps(body).encode())


def generic(hook: str, body: Mapping[str, Any], secret: str = POS_SECRET) -> Sent:
    raw = json.dumps(body).encode()
    mac = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    return Sent(hook, {"Content-Type": "application/json", "X-Signature": mac}, raw)
