"""Genesys Cloud: what its agents and bots send over an Open Messaging integration, and calls by EventBridge.

https://developer.genesys.cloud/commdigital/digital/openmessaging/outboundMessages
https://developer.genesys.cloud/notificationsalerts/notifications/event-bridge
https://developer.genesys.cloud/notificationsalerts/notifications/available-topics

The setting `integration` chooses. An Open Messaging integration has no calls, and what customers write comes from
whoever hands it to Genesys: only the outgoing side shows here. EventBridge partner events carry no signature: an API
destination posts them with a key. Of a call shows each agent's part, and a caller who gave up in a queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import calls
from chalicelib.kit.fields import email_identity, instant, phone_identity, present, scoped
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, static_token
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, CHANNEL_SCOPED, Identity

TYPES = {"message": "message", "user.end": "call", "acd.end": "call"}
BRIDGE = "eventbridge"
TOPIC = "v2.detail.events.conversation."
CHANNELS = ("webchat", "app", "whatsapp", "messenger", "instagram", "telegram", "viber", "line", "x", "sms", "wechat")
VERIFY = one_of(
    "integration",
    open_messaging=hmac_signature("X-Hub-Signature-256", "secret_token", encoding="base64", prefix="sha256="),
    eventbridge=static_token("X-Api-Key", "", "api_key"),
)

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    if text(request.settings, "integration") == BRIDGE:
        yield from call(request, pick(request.object, "detail", "eventBody"))
    elif text(request.object, "type") in ("Text", "Structured") and text(request.object, "direction") != "Inbound":
        yield message(request, request.object)


def message(request: Request, told: Node) -> Event:
    moment, said = instant(pick(told, "channel", "time"), "channel.time", "UTC"), text(told, "text")
    who, bot = receiver(request, told), text(told, "originatingEntity") == "Bot"
    files = attachments(told)
    return Event(
        type="message",
        channel=channel_of(request),
        direction="out",
        actor="bot" if bot else "agent",
        object=required(told, "id"),
        version="sent",
        occurred_at=moment,
        identities=who,
        refs=(Ref("thread", thread(told, moment)),),
        summary=said[:120] or ("File" if files else "Message without text"),
        text=said,
        attachments=files,
        details=kept(integration=text(told, "channel", "id"), sender=text(told, "channel", "from", "nickname")),
        address=who[0].text if who else "",
        provider_type="message",
    )


def receiver(request: Request, told: Node) -> tuple[Identity, ...]:
    """By what whoever hands messages to Genesys said that the id is."""
    number, kind = text(told, "channel", "to", "id"), text(told, "channel", "to", "idType")
    if kind == "Email":
        return present(email_identity(number, A2_ATTESTED))
    if kind == "Phone" or channel_of(request) == "sms":
        return present(phone_identity(number, request.region, A2_ATTESTED))
    own = {"webchat": "web"}.get(channel_of(request), channel_of(request))
    scope = text(request.settings, "account") or text(told, "channel", "id")
    return present(scoped(own, scope, number, A2_ATTESTED) if own in CHANNEL_SCOPED else None)


def thread(told: Node, moment: str) -> str:
    named = text(told, "conversationId")
    return named or day_thread(text(told, "channel", "from", "id"), required(told, "channel", "to", "id"), moment)


def attachments(told: Node) -> tuple[dict[str, Any], ...]:
    found = [pick(each, "attachment") for each in objects(told, "content")[:20]]
    return tuple(
        kept(
            name=text(each, "filename"),
            id=text(each, "id"),
            url=text(each, "url"),
            media_type=text(each, "mime"),
            sha256=text(each, "sha256"),
        )
        for each in found
        if text(each, "url") or text(each, "id")
    )


def call(request: Request, told: Any) -> Iterator[Event]:
    kind, state = topic(request), ""
    if kind in TYPES and text(told, "mediaType").upper() == "VOICE":
        state = abandoned(told) if kind == "acd.end" else talked(told)
    if not state:
        return
    out = text(told, "direction").upper() == "OUTBOUND"
    customer, own = ("dnis", "ani") if out else ("ani", "dnis")
    found = calls.Call(
        number=required(told, "conversationId"),
        state=state,
        at=instant(told.get("eventTime"), "detail.eventBody.eventTime"),
        customer=bare(text(told, customer)),
        own=bare(text(told, own)),
        out=out,
        version=f"{state}:{text(told, 'sessionId')}",
        region=request.region,
        details=details(told),
    )
    yield calls.entry(found, kind)


def topic(request: Request) -> str:
    """`user.end` of `v2.detail.events.conversation.<id>.user.end`."""
    name = text(request.object, "detail", "topicName")
    return name.removeprefix(TOPIC).partition(".")[2] if name.startswith(TOPIC) else ""


def talked(told: Node) -> str:
    """An agent's part. One that nobody took up is his queue's to tell, unless the call was his alone."""
    if milliseconds(told, "interactingDurationMs"):
        return calls.TRANSFERRED if "TRANSFER" in text(told, "disconnectType").upper() else calls.COMPLETED
    return "" if text(told, "queueId") else calls.NO_ANSWER


def abandoned(told: Node) -> str:
    return calls.NO_ANSWER if text(told, "acdOutcome").upper().startswith("ABANDON") else ""


def details(told: Node) -> dict[str, Any]:
    talking, waiting = milliseconds(told, "interactingDurationMs"), milliseconds(told, "connectedDurationMs")
    held = milliseconds(told, "heldDurationMs")
    return kept(
        duration=(talking + held) // 1000 if talking else None,
        held=held // 1000 if held else None,
        waited=waiting // 1000 if waiting else None,
        agent=text(told, "userId"),
        queue=text(told, "queueId"),
        reason=text(told, "acdOutcome") or text(told, "disconnectType"),
    )


def milliseconds(told: Node, name: str) -> int:
    found = told.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 10**9 else 0


def bare(address: str) -> str:
    """`tel:+31612345678`, and `sip:+31612345678@…`"""
    return address.removeprefix("tel:").removeprefix("sip:").partition("@")[0].partition(";")[0]


def channel_of(request: Request) -> str:
    found = text(request.settings, "channel")
    return found if found in CHANNELS else CHANNELS[0]


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    message = (
        b'{"id":"00000000-0000-0000-0000-000000000000","type":"Receipt","direction":"Outbound","status":"Delivered",'
        b'"channel":{"id":"0","platform":"Open","type":"Private","to":{"id":"0"},"from":{"id":"0"},'
        b'"time":"2026-01-01T11:00:00.000Z"}}'
    )
    event = b'{"id":"0","detail-type":"test","source":"aws.partner/genesys.com/test","detail":{"topicName":"test"}}'
    body = event if text(settings, "integration") == BRIDGE else message
    return VERIFY.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Genesys Cloud",
    channel="voice",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    channels=CHANNELS,
    settings={
        "integration": Setting("What calls us", default="open_messaging", choices=VERIFY.choices),
        "channel": Setting(
            "Channel of the integration", default=CHANNELS[0], choices=CHANNELS, help="What customers see of it"
        ),
        "account": Setting("Account", help="Scope of the customers' ids; default: the integration's id"),
        "region": REGION,
    },
    secrets={
        "secret_token": Setting(
            "Signature secret token", help="outboundNotificationWebhookSignatureSecretToken, over 15 characters"
        ),
        "api_key": Setting("API key", help="Value of the key in the EventBridge connection"),
    },
    grade="documented",
    unverified=(
        "whether an outgoing message names its conversation; without it a thread is the two ids and the day",
        "that ani is the customer's number on an agent's part of an inbound call, and dnis on an outbound one",
        "spellings of acdOutcome (taken: all that begin with ABANDON) and of disconnectType (all that hold TRANSFER)",
    ),
    setup=(
        "Messages: make an Open Messaging integration with {hook_url} as its outbound notification webhook URL and a "
        "signature secret token of your own, which you enter here; set channel to what customers see",
        "Calls: add an Amazon EventBridge integration with the topics v2.detail.events.conversation.{id}.user.end and "
        "v2.detail.events.conversation.{id}.acd.end, associate the event source with a bus in AWS",
        "There make a rule for all events of that bus, and an API destination: POST {hook_url}, a connection with an API "
        "key whose name is x-api-key; register a second connection here with integration set to eventbridge",
    ),
    docs="https://developer.genesys.cloud/commdigital/digital/openmessaging/",
    sample=sample,
)
