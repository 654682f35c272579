"""Vonage: SMS, messages of its Messages API (SMS, WhatsApp, Messenger, Viber) and how calls ended.

https://developer.vonage.com/en/getting-started/concepts/webhooks
https://developer.vonage.com/en/messages/concepts/signed-webhooks
https://developer.vonage.com/en/messaging/sms/guides/inbound-sms
https://developer.vonage.com/en/voice/voice-api/webhook-reference

Messages and calls are signed by a token (`auth` jwt), the older SMS API by a parameter `sig` of all others
(`auth` sig): which one is a setting. Nobody says whether a retry is signed anew, so any age counts unless
`tolerance` is set: a message that comes twice is one event, and a token covers its body.
Numbers come without their plus. A long SMS by the SMS API comes in parts, each an event that says which.
A call has a leg for each end: with `outbound` agents, those that Vonage dials are no customers.
Longer than most sources: three products with a shape each, and two ways to sign.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
from msgspec.structs import replace as replaced

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.fields import instant, phone_identity, plain, present, scoped
from chalicelib.kit.jwt import JwtSignature, jwt_signature
from chalicelib.kit.request import SAMPLED_AT, Request, sample_request
from chalicelib.kit.shape import kept, pick, required, text
from chalicelib.kit.signatures import decode, keys_of, octets, same, untimely
from chalicelib.kit.source import REGION, Answer, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {
    "sms.received": "message",
    "sms.status": "message",
    "whatsapp.received": "message",
    "whatsapp.status": "message",
    "messenger.received": "message",
    "messenger.status": "message",
    "viber.received": "message",
    "viber.status": "message",
    "call": "call",
    "recording": "call",
}
CHANNELS = {"sms": "sms", "mms": "sms", "rcs": "sms"} | {
    "whatsapp": "whatsapp",
    "messenger": "messenger",
    "viber_service": "viber",
}
MESSAGE_ENDED = {"delivered": "delivered", "read": "read", "rejected": "failed", "undeliverable": "failed"}
SMS_ENDED = {"delivered": "delivered", "failed": "failed", "rejected": "failed", "expired": "failed"}
CALL_ENDED = {"completed": "completed", "busy": "busy", "failed": "failed", "cancelled": "canceled"} | {
    "unanswered": "no-answer",
    "timeout": "no-answer",
    "rejected": "no-answer",
}
MEDIA = {"image": "Image", "audio": "Audio", "video": "Video", "file": "File", "sticker": "Sticker", "vcard": "Contact"}
HMACS: Mapping[str, Callable[..., Any]] = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "sha1": hashlib.sha1,
    "md5": hashlib.md5,
}
PLAIN_HASH = "md5hash"


class Exchange(msgspec.Struct, frozen=True):
    """A message between a customer and us, by whichever product. `version`: how it ended, or `received`."""

    channel: str
    number: str
    version: str
    at: str
    customer: str
    own: str

    @property
    def out(self) -> bool:
        return self.version != "received"


def normalize(request: Request) -> Iterator[Event]:
    told = params(request)
    if "message_uuid" in told:
        yield from message(request, told)
    elif "messageId" in told:
        yield from sms(request, told)
    elif "recording_uuid" in told:
        yield recording(told)
    elif "uuid" in told:
        yield from call(request, told)


def params(request: Request) -> Mapping[str, Any]:
    """The body, or the query of a GET. Raises PayloadMalformed for a body that is no object."""
    found = dict(reversed(request.query)) if request.method == "GET" else request.document
    if not isinstance(found, dict):
        raise PayloadMalformed("no object")
    return found


def message(request: Request, told: Mapping[str, Any]) -> Iterator[Event]:
    """Of the Messages API: what came in has a type, what we sent a status."""
    channel, status = CHANNELS.get(text(told, "channel"), ""), text(told, "status")
    moment = instant(told.get("timestamp"), "timestamp", "UTC")
    if channel and status in MESSAGE_ENDED:
        sent = Exchange(
            channel, required(told, "message_uuid"), MESSAGE_ENDED[status], moment, text(told, "to"), text(told, "from")
        )
        reason = text(told, "error", "detail")[:500] or text(told, "error", "title")
        yield event(request, sent, details=kept(error=text(told, "error", "title"), reason=reason))
    elif channel and not status and text(told, "message_type"):
        came = Exchange(
            channel, required(told, "message_uuid"), "received", moment, text(told, "from"), text(told, "to")
        )
        yield received(request, told, came)


def received(request: Request, told: Mapping[str, Any], came: Exchange) -> Event:
    kind = text(told, "message_type")
    said = (
        text(told, "text")
        or text(told, kind, "caption")
        or text(told, "reply", "title")
        or text(told, "button", "text")
    )
    file = kept(url=text(told, kind, "url"), name=text(told, kind, "name"), kind=kind) if kind in MEDIA else {}
    found = event(
        request,
        came,
        text=said,
        attachments=(file,) if file.get("url") else (),
        details=contents(told, kind),
        fields=kept(name=text(told, "profile", "name")[:200]),
    )
    label = MEDIA.get(kind) or {"location": "Location", "reaction": "Reaction"}.get(kind, "Message without text")
    return replaced(found, summary=said[:120] or label, refs=(*found.refs, *answered(told)))


def contents(told: Mapping[str, Any], kind: str) -> dict[str, Any]:
    where = pick(told, "location") if kind == "location" else None
    names = {"latitude": "lat", "longitude": "long", "name": "name", "address": "address"}
    return kept(
        choice=text(told, "reply", "id") or text(told, "button", "payload"),
        reaction=text(told, "reaction", "emoji"),
        location=kept(**{name: pick(where, key) for name, key in names.items()}),
        carrier=text(told, "channel") if text(told, "channel") in ("mms", "rcs") else "",
    )


def answered(told: Mapping[str, Any]) -> tuple[Ref, ...]:
    above = text(told, "context", "message_uuid")
    return (Ref("message", above),) if above else ()


def sms(request: Request, told: Mapping[str, Any]) -> Iterator[Event]:
    """Of the SMS API: what came in has a type, a delivery receipt a status."""
    number, status = required(told, "messageId"), text(told, "status")
    moment = instant(told.get("message-timestamp"), "message-timestamp", "UTC")
    if status in SMS_ENDED:
        sent = Exchange("sms", number, SMS_ENDED[status], moment, text(told, "msisdn"), text(told, "to"))
        code = text(told, "err-code")
        yield event(request, sent, details=kept(error=code if code.strip("0") else ""))
    elif not status and text(told, "type") in ("text", "unicode"):
        came = Exchange("sms", number, "received", moment, text(told, "msisdn"), text(told, "to"))
        part = f"{text(told, 'concat-part')}/{text(told, 'concat-total')}" if text(told, "concat") == "true" else ""
        said = text(told, "text")
        found = event(request, came, text=said, details=kept(part=part))
        yield replaced(found, summary=said[:120] or "Message without text")


def event(request: Request, found: Exchange, **more: Any) -> Event:
    who = people(request, found)
    state = {"status": found.version} if found.out else {}
    return Event(
        type="message",
        channel=found.channel,
        direction="out" if found.out else "in",
        actor=actor(request, found),
        object=found.number,
        version=found.version,
        occurred_at=found.at,
        identities=who,
        refs=thread(request, found),
        summary=f"Message {found.version}",
        details=state | more.pop("details", {}),
        address=who[0].text if who else "",
        own_address=own_address(request, found),
        provider_type=f"{found.channel}.{'status' if found.out else 'received'}",
        **more,
    )


def actor(request: Request, found: Exchange) -> str:
    """What failed was no answer, whoever wrote it."""
    sender = text(request.settings, "sent_by") or "agent"
    return "customer" if not found.out else "system" if found.version == "failed" else sender


def people(request: Request, found: Exchange) -> tuple[Identity, ...]:
    """The channel's own id first, to which a reply goes; and the number, where the id is one."""
    caller = phone_identity(dialled(found.customer), request.region, A2_ATTESTED)
    if found.channel == "sms":
        return present(caller)
    return present(
        scoped(found.channel, scope(request, found), found.customer), caller if found.channel != "messenger" else None
    )


def scope(request: Request, found: Exchange) -> str:
    """A user of Messenger has an id for each page; numbers are the same for all."""
    usual = found.own if found.channel == "messenger" else request.connection
    return text(request.settings, "account") or usual


def thread(request: Request, found: Exchange) -> tuple[Ref, ...]:
    """Vonage names none: it is our address, theirs and the UTC day."""
    ends = (found.own, found.customer)
    if found.channel == "messenger":
        own, customer = (f"messenger:@{each}" for each in ends)
    else:
        prefix = "" if found.channel == "sms" else f"{found.channel}:"
        own, customer = (prefix + dialled(each) for each in ends)
    return (Ref("thread", day_thread(own, customer, found.at, request.region)),) if found.customer else ()


def own_address(request: Request, found: Exchange) -> str:
    if found.channel == "messenger":
        us = scoped("messenger", scope(request, found), found.own)
    else:
        us = phone_identity(dialled(found.own), request.region)
    return us.text if us else ""


def dialled(number: str) -> str:
    """International without its plus; a name of a sender stays one."""
    return f"+{number}" if number.isascii() and number.isdigit() and len(number) > 7 else number


def call(request: Request, told: Mapping[str, Any]) -> Iterator[Event]:
    """A leg shows once it ended, and when the caller keyed something in: the end does not repeat that."""
    ended, keyed = CALL_ENDED.get(text(told, "status"), ""), digits(told)
    out = text(told, "direction") == "outbound"
    if not (ended or keyed) or (out and text(request.settings, "outbound") == "agents"):
        return
    customer, own = (text(told, each) for each in (("to", "from") if out else ("from", "to")))
    caller = phone_identity(dialled(customer), request.region, A2_ATTESTED)
    line = phone_identity(dialled(own), request.region)
    yield Event(
        type="call",
        channel="voice",
        direction="out" if out else "in",
        actor="agent" if out else "customer",
        object=required(told, "uuid"),
        version=ended or f"digits:{keyed}",
        occurred_at=instant(text(told, "start_time") or told.get("timestamp"), "timestamp", "UTC"),
        identities=present(caller),
        refs=(*conversation(told), *((Ref("order", keyed, "", True),) if keyed else ())),
        summary=f"{'Outbound' if out else 'Inbound'} call, {ended or 'in progress'}",
        details=call_details(told, ended, keyed),
        address=caller.text if caller else "",
        own_address=line.text if line else "",
        provider_type="call",
    )


def call_details(told: Mapping[str, Any], ended: str, keyed: str) -> dict[str, Any]:
    length = text(told, "duration")
    seconds = int(length) if length.isascii() and length.isdigit() and len(length) < 8 else None
    return {"status": ended or "in-progress"} | kept(duration=seconds, digits=keyed, reason=text(told, "reason")[:500])


def digits(told: Mapping[str, Any]) -> str:
    found = pick(told, "dtmf")
    return (text(found, "digits") if isinstance(found, dict) else plain(found)).strip("#*")[:40]


def conversation(told: Mapping[str, Any]) -> tuple[Ref, ...]:
    """All legs of a call are one conversation."""
    found = text(told, "conversation_uuid") or text(told, "uuid")
    return (Ref("thread", found),) if found else ()


def recording(told: Mapping[str, Any]) -> Event:
    """Names nobody: it finds its call by the conversation."""
    return Event(
        type="call",
        channel="voice",
        direction="internal",
        actor="system",
        object=text(told, "conversation_uuid") or required(told, "recording_uuid"),
        version=f"recording:{required(told, 'recording_uuid')}",
        occurred_at=instant(text(told, "start_time") or told.get("timestamp"), "timestamp", "UTC"),
        refs=conversation(told),
        summary="Call recorded",
        details={"status": "recorded"} | kept(recording=text(told, "recording_url")),
        provider_type="recording",
    )


class Parameters(msgspec.Struct, frozen=True):
    """`sig` over all other parameters, sorted, each as `&name=value`: an HMAC, or an MD5 with the secret behind."""

    method: str = "sha256"
    tolerance: int = 0
    covers_body = True
    place = "body"

    @property
    def timed(self) -> bool:
        return bool(self.tolerance)

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys = keys_of(secrets, "signature_secret")
        told = told_of(request)
        given = decode(told.get("sig", ""), "hex")
        if not keys:
            return "no signature_secret is configured"
        if given is None or (self.method not in HMACS and self.method != PLAIN_HASH):
            return "no readable sig, or a signature_method that we do not know"
        if self.tolerance and (late := untimely(told.get("timestamp", ""), "s", self.tolerance, request.received_at)):
            return late
        return None if any(same(self.digest(key, told), given) for key in keys) else "the signature does not match"

    def digest(self, key: str, told: Mapping[str, str]) -> bytes:
        pairs = sorted((name, value) for name, value in told.items() if name != "sig")
        over = octets("".join(f"&{name}={value.translate(SAFE)}" for name, value in pairs))
        if self.method == PLAIN_HASH:
            return hashlib.md5(over + octets(key)).digest()  # noqa: S324
        return hmac.new(octets(key), over, HMACS[self.method]).digest()

    def sign(self, request: Request, secrets: Secrets) -> Request:
        stamp = str(instants.to_ms(request.received_at) // 1000)
        told = request.peek | {"timestamp": stamp, "nonce": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}
        known = {name: value for name, value in told.items() if isinstance(value, str)}
        signature = self.digest(keys_of(secrets, "signature_secret")[0], known).hex()
        body = json.dumps(told | {"sig": signature}, ensure_ascii=False, separators=(",", ":"))
        return replace(request, body=octets(body))


SAFE = str.maketrans("&=", "__")


def told_of(request: Request) -> dict[str, str]:
    """The texts of a JSON body: nothing else is signed, and so nothing else may be in it."""
    found = request.peek
    return found if all(isinstance(each, str) for each in found.values()) else {}


def scheme(settings: Mapping[str, Any]) -> Any:
    found = settings.get("tolerance")
    tolerance = found if type(found) is int and 0 < found <= 86400 else 0
    if text(settings, "auth") == "sig":
        return Parameters(text(settings, "signature_method") or "sha256", tolerance)
    return token(settings, tolerance)


def token(settings: Mapping[str, Any], tolerance: int) -> JwtSignature:
    key = text(settings, "api_key")
    claims = {"iss": "Vonage"} | ({"api_key": key} if key else {})
    hashed = "payload_hash" if settings.get("check_payload_hash") is not False else ""
    return jwt_signature(
        key_name="signature_secret", claims=claims, required=("iat",), body_claim=hashed, tolerance=tolerance
    )


def verify(request: Request, secrets: Secrets) -> str | None:
    reason: str | None = scheme(request.settings)(request, secrets)
    return reason


def sign(request: Request, secrets: Secrets) -> Request:
    signed: Request = scheme(request.settings).sign(request, secrets)
    return signed


def delivery_key(request: Request) -> str | None:
    """Of an SMS that came in; the states of one message and call have one id."""
    told = request.peek
    return text(told, "messageId") or None if "status" not in told else None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    told = {"to": "31201234567", "msisdn": "anonymous", "type": "text", "text": "Test", "messageId": "test"}
    if text(settings, "auth") != "sig":
        told = {"uuid": "test", "from": "anonymous", "to": "31201234567", "status": "completed", "direction": "inbound"}
    body = told | {"message-timestamp": "2026-01-01 11:00:00", "timestamp": SAMPLED_AT}
    return sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Vonage",
    channel="sms",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    answer=Answer(),
    channels=("voice", "whatsapp", "messenger", "viber"),
    settings={
        "auth": Setting("Signature", default="jwt", choices=("jwt", "sig"), help="sig for the SMS API"),
        "signature_method": Setting(
            "Method of sig", default="sha256", choices=(*HMACS, PLAIN_HASH), help="As in the account's settings"
        ),
        "api_key": Setting("API key", help="Tokens of another account are refused"),
        "check_payload_hash": Setting(
            "Check payload_hash", type="boolean", default=True, help="Off only where it is why webhooks are refused"
        ),
        "tolerance": Setting("Tolerance", type="integer", default=0, help="Seconds; 0: any age"),
        "outbound": Setting(
            "Whom Vonage dials", default="customers", choices=("customers", "agents"), help="Outbound legs of calls"
        ),
        "sent_by": Setting("Who sends messages", default="agent", choices=("agent", "bot", "system")),
        "region": REGION,
    },
    secrets={"signature_secret": Setting("Signature secret", required=True, help="Of the account, not the API secret")},
    unverified=(
        "that payload_hash is that of the body's exact bytes: check_payload_hash",
        "whether a retry is signed anew: tolerance, off by default",
        "that every token says iss Vonage",
        "whether message-timestamp of an SMS moves with a retry: then the later moment may count",
        "which parameters of a JSON body sig covers: all of them are texts, or it is refused",
        "a GET of the answer or event address: its payload_hash is of something else, so set POST",
    ),
    setup=(
        "Copy the signature secret from the account's settings and enter it here.",
        "In the application, set {hook_url} with POST as inbound and status address of Messages, and as event address of "
        "Voice; signed webhooks are on.",
        "For the SMS API make another connection with auth sig, ask Vonage to sign, and set its method; choose POST-JSON.",
    ),
    docs="https://developer.vonage.com/en/getting-started/concepts/webhooks",
    sample=sample,
)
