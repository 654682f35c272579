"""MessageBird's Conversations API: what people write by any of its channels, what we wrote, and how that ended.

https://developers.messagebird.com/api/conversations/#webhooks
https://developers.messagebird.com/api/#verifying-http-requests

Every request carries a token with digests of its body and of the URL that was called, valid for a minute.
A conversation is a contact's, over all channels, and is the thread. `message.created` shows what was said, by
either side; `message.updated` shows how ours ended, without the words. A contact's card is what an agent
or another system wrote: only the address that a message came from is attested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit.fields import instant, nobody, phone_identity, present, scoped
from chalicelib.kit.jwt import jwt_signature
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import joined, kept, pick, required, text
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {"message.created": "message", "message.updated": "message"}
CHANNELS = {"facebook": "messenger"} | {
    name: name for name in ("sms", "whatsapp", "instagram", "telegram", "line", "wechat", "viber")
}
NUMBERED = frozenset({"sms", "whatsapp", "viber"})
"""Channels whose users are known by their number."""
ENDED = {"delivered": "delivered", "read": "read"} | dict.fromkeys(("failed", "rejected", "delivery_failed"), "failed")
MEDIA = {"image": "Image", "video": "Video", "audio": "Audio", "file": "File"}
SIGNATURE = jwt_signature(
    header="MessageBird-Signature-JWT",
    prefix="",
    key_name="signing_key",
    algorithms=("HS256", "HS384", "HS512"),
    claims={"iss": "MessageBird"},
    required=("nbf", "exp"),
    url_claim="url_hash",
    leeway=5,
    tolerance=0,
)


def normalize(request: Request) -> Iterator[Event]:
    kind, told = text(request.object, "type"), pick(request.object, "message")
    channel = CHANNELS.get(text(told, "platform"), "")
    if kind not in TYPES or not channel:
        return
    sent, status = text(told, "direction") == "sent", ENDED.get(text(told, "status"), "")
    if kind == "message.created":
        yield said(request, told, channel, sent)
    elif sent and status:
        yield ended(request, told, channel, status)


def said(request: Request, told: Mapping[str, Any], channel: str, sent: bool) -> Event:
    kind, content = text(told, "type"), pick(told, "content")
    words = text(content, "text") or text(content, kind, "caption") or text(content, "interactive", "reply", "title")
    file = kept(url=text(content, kind, "url"), kind=kind) if kind in MEDIA else {}
    label = MEDIA.get(kind) or ("Location" if kind == "location" else "Message without text")
    return msgspec.structs.replace(
        known(request, told, channel, sent),
        version="sent" if sent else "received",
        occurred_at=instant(told.get("createdDatetime"), "message.createdDatetime", "UTC"),
        summary=words[:120] or label,
        text=words,
        attachments=(file,) if file.get("url") else (),
        details=kept(
            choice=text(content, "interactive", "reply", "id"),
            location=place(content),
            template=text(content, "hsm", "templateName"),
        ),
        provider_type="message.created",
    )


def place(content: Any) -> dict[str, Any]:
    return kept(**{name: pick(content, "location", name) for name in ("latitude", "longitude")})


def ended(request: Request, told: Mapping[str, Any], channel: str, status: str) -> Event:
    """What failed was no answer, whoever wrote it."""
    moment = told.get("updatedDatetime") or told.get("createdDatetime")
    return msgspec.structs.replace(
        known(request, told, channel, True),
        version=status,
        actor="system" if status == "failed" else sender(request),
        occurred_at=instant(moment, "message.updatedDatetime", "UTC"),
        summary=f"Message {status}",
        details={"status": status}
        | kept(error=text(told, "error", "code"), reason=text(told, "error", "description")[:500]),
        provider_type="message.updated",
    )


def known(request: Request, told: Mapping[str, Any], channel: str, sent: bool) -> Event:
    customer, own = (text(told, each) for each in (("to", "from") if sent else ("from", "to")))
    who, us = people(request, told, channel, customer), people(request, told, channel, own)
    conversation = text(told, "conversationId") or text(request.object, "conversation", "id")
    return Event(
        type="message",
        channel=channel,
        direction="out" if sent else "in",
        actor=sender(request) if sent else "customer",
        object=required(told, "id"),
        identities=who,
        refs=(Ref("thread", conversation),) if conversation else (),
        fields=names(request),
        address=who[0].text if who else "",
        own_address=us[-1].text if us else "",
    )


def sender(request: Request) -> str:
    return text(request.settings, "sent_by") or "agent"


def people(request: Request, told: Mapping[str, Any], channel: str, address: str) -> tuple[Identity, ...]:
    """The channel's own id first, in the scope of our channel there; and the number, where the id is one."""
    number = address if address.startswith("+") else f"+{address}"
    caller = phone_identity(number, request.region, A2_ATTESTED) if channel in NUMBERED else None
    if channel == "sms":
        return present(caller)
    account = text(request.settings, "account") or text(told, "channelId")
    return present(
        scoped(channel, account, address.lstrip("+") if channel in NUMBERED else address, A2_ATTESTED), caller
    )


def names(request: Request) -> dict[str, str]:
    contact = pick(request.object, "contact")
    whole = joined(contact, "firstName", "lastName")
    shown = (whole or text(contact, "displayName")).strip()
    return kept(name="" if nobody(shown) or shown.lstrip("+").isdigit() else shown[:200])


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    message = {"id": "test", "platform": "sms", "from": "anonymous", "to": "31201234567", "direction": "received"}
    message |= {"type": "text", "status": "received", "createdDatetime": "2026-01-01T11:00:00Z"}
    body = {"type": "message.created", "message": message | {"content": {"text": "Test"}}}
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="MessageBird",
    channel="sms",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    channels=("whatsapp", "messenger", "instagram", "telegram", "line", "wechat", "viber"),
    settings={
        "sent_by": Setting("Who sends messages", default="agent", choices=("agent", "bot", "system")),
        "account": Setting("Scope of user ids", help="Default: the id of our channel there"),
        "region": REGION,
    },
    secrets={"signing_key": Setting("Signing key", required=True, help="Of the account; not the API key")},
    grade="vendor vector",
    unverified=(
        "payloads: read as documented and as in the vendor's clients, no capture seen",
        "names of channels other than sms, whatsapp and facebook, and statuses of failures",
        "reports of single SMS by GET, whose time has a plus that a gateway may lose: they are refused",
    ),
    setup=(
        "Copy the signing key from the account's developer settings and enter it here.",
        "Make a webhook of the Conversations API to {hook_url} for message.created and message.updated.",
        "Behind a proxy or a domain of your own, set DRAAD_PUBLIC_URL: the signature names the address that was "
        "called.",
    ),
    docs="https://developers.messagebird.com/api/conversations/#webhooks",
    sample=sample,
)
