"""Twilio Voice status callbacks, SMS, and WhatsApp through Twilio.

https://www.twilio.com/docs/usage/webhooks/webhooks-security
https://www.twilio.com/docs/voice/api/call-resource#statuscallback
https://www.twilio.com/docs/messaging/guides/webhook-request

Requests of a message have no time: `fetch` asks the Messages resource. A call and a sent message
show on the timeline by how they ended; the states on the way there are known and yield nothing.
Longer than most sources: two products and a signature scheme that nobody else has.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.fields import instant, phone_identity, present, scoped
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, text
from chalicelib.kit.signatures import decode, keys_of, octets, same, sorted_fields, with_headers
from chalicelib.kit.source import REGION, Answer, Fetch, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {
    "call": "call",
    "sms.received": "message",
    "sms.status": "message",
    "whatsapp.received": "message",
    "whatsapp.status": "message",
}
CALL_ENDED = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
MESSAGE_ENDED = frozenset({"delivered", "undelivered", "failed", "read"})
RECEIVED = frozenset({"", "received", "receiving"})
API = "https://api.twilio.com"
ALGORITHMS = {"HMAC_SHA1": (hashlib.sha1, "auth_token"), "HMAC_SHA256": (hashlib.sha256, "shared_key")}


def normalize(request: Request) -> Iterator[Event]:
    told = params(request)
    if told.get("MessageSid") or told.get("SmsSid"):
        yield from message(request, told)
    elif shows_call(told):
        yield call(request, told)


def shows_call(told: Mapping[str, str]) -> bool:
    """A call shows once it ended, and when the caller keyed something in: the end does not repeat that."""
    return bool(told.get("CallSid")) and (told.get("CallStatus") in CALL_ENDED or bool(keyed(told)))


def call(request: Request, told: Mapping[str, str]) -> Event:
    out = told.get("Direction", "").startswith("outbound")
    customer, own = ends(told, out)
    caller = phone_identity(customer, request.region, A2_ATTESTED)
    status = told.get("CallStatus", "")
    return Event(
        type="call",
        channel="voice",
        direction="out" if out else "in",
        actor="agent" if out else "customer",
        object=told["CallSid"],
        version=status if status in CALL_ENDED else f"digits:{''.join(keyed(told))}",
        occurred_at=instant(told.get("Timestamp") or found_moment(request, "call", "start_time"), "Timestamp", "UTC"),
        identities=present(caller),
        refs=(Ref("thread", told["CallSid"], account(told)), *(Ref("order", each, "", True) for each in keyed(told))),
        summary=f"{'Outbound' if out else 'Inbound'} call, {status}",
        details=call_details(told, status),
        address=caller.text if caller else "",
        own_address=address_of(own, request),
        provider_type="call",
    )


def call_details(told: Mapping[str, str], status: str) -> dict[str, Any]:
    return {"status": status} | kept(
        duration=seconds(told.get("CallDuration")),
        recording=told.get("RecordingUrl"),
        recording_duration=seconds(told.get("RecordingDuration")),
        parent=told.get("ParentCallSid"),
        digits=told.get("Digits"),
    )


def message(request: Request, told: Mapping[str, str]) -> Iterator[Event]:
    status = told.get("MessageStatus") or told.get("SmsStatus") or ""
    channel = channel_of(told)
    if channel and status in RECEIVED:
        yield received(request, told, channel)
    elif channel and status in MESSAGE_ENDED:
        yield sent(request, told, channel, status)


def received(request: Request, told: Mapping[str, str], channel: str) -> Event:
    moment = moment_of(request, "date_created")
    return Event(
        type="message",
        channel=channel,
        object=sid(told),
        version="received",
        occurred_at=moment,
        identities=people(request, told, told.get("From", "")),
        refs=threads(request, told, told.get("From", ""), told.get("To", ""), moment),
        summary=told.get("Body", "")[:120] or "Message without text",
        text=told.get("Body", ""),
        attachments=media(told),
        fields=kept(name=told.get("ProfileName")),
        address=reply_address(request, told, told.get("From", "")),
        own_address=address_of(told.get("To", ""), request),
        provider_type=f"{channel}.received",
    )


def sent(request: Request, told: Mapping[str, str], channel: str, status: str) -> Event:
    document = request.fetched.get("message")
    moment = moment_of(request, "date_updated")
    body = text(document, "body")
    return Event(
        type="message",
        channel=channel,
        direction="out",
        actor="agent",
        object=sid(told),
        version=status,
        occurred_at=moment,
        identities=people(request, told, told.get("To", "")),
        refs=threads(request, told, told.get("To", ""), told.get("From", ""), moment),
        summary=f"Message {status}" + (f": {body[:100]}" if body else ""),
        text=body,
        details={"status": status} | kept(error=told.get("ErrorCode")),
        address=reply_address(request, told, told.get("To", "")),
        own_address=address_of(told.get("From", ""), request),
        provider_type=f"{channel}.status",
    )


def people(request: Request, told: Mapping[str, str], address: str) -> tuple[Identity, ...]:
    """Sender or receiver: the number, and on WhatsApp the user id, which need not be a number."""
    if not address.startswith("whatsapp:"):
        return present(phone_identity(address, request.region, A2_ATTESTED))
    return present(
        phone_identity(address.removeprefix("whatsapp:"), request.region, A2_ATTESTED),
        scoped("whatsapp", text(request.settings, "account") or account(told), user_id(told, address), A2_ATTESTED),
    )


def user_id(told: Mapping[str, str], address: str) -> str:
    inbound = address == told.get("From")
    return (told.get("WaId", "") if inbound else "") or address.removeprefix("whatsapp:").lstrip("+")


def reply_address(request: Request, told: Mapping[str, str], address: str) -> str:
    found = people(request, told, address)
    return found[-1].text if found else ""


def threads(request: Request, told: Mapping[str, str], customer: str, own: str, moment: str) -> tuple[Ref, ...]:
    """Twilio names no thread: it is our address, theirs and the UTC day."""
    named = day_thread(own, customer, moment, request.region)
    return (Ref("thread", named, account(told)),) if customer else ()


def ends(told: Mapping[str, str], out: bool) -> tuple[str, str]:
    """(the customer's end, our end)"""
    return (told.get("To", ""), told.get("From", "")) if out else (told.get("From", ""), told.get("To", ""))


def address_of(address: str, request: Request) -> str:
    found = phone_identity(address.removeprefix("whatsapp:"), request.region)
    return found.text if found else ""


def channel_of(told: Mapping[str, str]) -> str:
    """By the prefix of the addresses; empty for channels of Twilio that are no channel of ours."""
    ends_ = (told.get("From", ""), told.get("To", ""))
    prefixes = {end.partition(":")[0] for end in ends_ if ":" in end}
    return "sms" if not prefixes else "whatsapp" if prefixes == {"whatsapp"} else ""


def media(told: Mapping[str, str]) -> tuple[dict[str, str], ...]:
    count = min(seconds(told.get("NumMedia")) or 0, 10)
    found = (kept(url=told.get(f"MediaUrl{n}"), media_type=told.get(f"MediaContentType{n}")) for n in range(count))
    return tuple(each for each in found if each)


def keyed(told: Mapping[str, str]) -> list[str]:
    """What the caller keyed in, if anything."""
    digits = told.get("Digits", "").strip("#*")
    return [digits] if digits else []


def moment_of(request: Request, field: str) -> str:
    """From the Messages resource; where Twilio does not know it, when we first asked."""
    found = found_moment(request, "message", field) or found_moment(request, "message", "date_created")
    return instant(found, f"message.{field}", "UTC")


def found_moment(request: Request, name: str, field: str) -> str:
    document = request.fetched.get(name)
    return text(document, field) or text(document, "at")


def params(request: Request) -> dict[str, str]:
    """What Twilio says: the form, or the query of a GET. JSON callbacks are of types unknown here."""
    if request.media_type == "application/json":
        return {}
    return request.params if request.method == "POST" else dict(reversed(request.query))


def seconds(told: str | None) -> int | None:
    return int(told) if told and told.isascii() and told.isdigit() and len(told) < 10 else None


def sid(told: Mapping[str, str]) -> str:
    return told.get("MessageSid") or told["SmsSid"]


def account(told: Mapping[str, str]) -> str:
    return told.get("AccountSid", "")


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """The resource of what `normalize` will yield, where the request has no time. A status is a state of it."""
    told, tokens = params(request), keys_of(secrets, "auth_token")
    status = told.get("MessageStatus") or told.get("SmsStatus") or ""
    about_message = told.get("MessageSid") or told.get("SmsSid")
    if not tokens or (about_message and status not in RECEIVED | MESSAGE_ENDED):
        return
    if about_message:
        yield look_up("message", f"Messages/{quote(sid(told), safe='')}", told, tokens[0], status)
    elif shows_call(told) and not told.get("Timestamp"):
        yield look_up("call", f"Calls/{quote(told['CallSid'], safe='')}", told, tokens[0], told.get("CallStatus", ""))


def look_up(name: str, resource: str, told: Mapping[str, str], token: str, status: str) -> Fetch:
    if not account(told):
        raise PayloadMalformed("AccountSid is missing")
    credentials = base64.b64encode(octets(f"{account(told)}:{token}")).decode()
    path = f"/2010-04-01/Accounts/{quote(account(told), safe='')}/{resource}.json"
    return Fetch(name, path, API, {"Authorization": f"Basic {credentials}"}, version=status)


def verify(request: Request, secrets: Secrets) -> str | None:
    """HMAC over the URL and the sorted form: SHA-1 by an auth token, SHA-256 by a shared key."""
    name = algorithm_of(request)
    if name not in ALGORITHMS:
        return "a signature algorithm that we do not know"
    keys = keys_of(secrets, ALGORITHMS[name][1])
    given = decode(request.header("x-twilio-signature") or "", "base64")
    if not keys or given is None:
        return "no readable X-Twilio-Signature" if keys else f"no {ALGORITHMS[name][1]} is configured"
    fields = signed_fields(request)
    if fields is None:
        return "the body is not the one that was signed"
    urls = [octets(url) for url in ports(request.url)]
    if not any(same(digest(name, key, url + fields), given) for key in keys for url in urls):
        return "the signature does not match"
    return None if of_account(request) else "the webhook is of another account than account_sid"


def of_account(request: Request) -> bool:
    """Without the setting any account whose token signed it. Read off the bytes: this never raises."""
    wanted = text(request.settings, "account_sid")
    return not wanted or octets(f"AccountSid={wanted}") in (request.body or octets(request.url))


def algorithm_of(request: Request) -> str:
    settings = request.header("x-twilio-webhooks-signature-settings") or ""
    parts = (part.partition("=") for part in settings.split(",", 20))
    return next((value.strip().upper() for name, _, value in parts if name.strip() == "algorithm"), "HMAC_SHA1")


def digest(name: str, key: str, over: bytes) -> bytes:
    return hmac.new(octets(key), over, ALGORITHMS[name][0]).digest()


def signed_fields(request: Request) -> bytes | None:
    """What is signed after the URL; None when the body is not what the URL's bodySHA256 says.

    Every body counts: one that is neither form nor hashed must not pass with a signature of its URL.
    """
    if request.media_type == "application/x-www-form-urlencoded":
        return sorted_fields(request.body)
    if not request.body:
        return b""
    stated = dict(reversed(parse_qsl(request.url.partition("?")[2]))).get("bodySHA256", "")
    return b"" if same(octets(stated.lower()), hashlib.sha256(request.body).hexdigest().encode()) else None


def ports(url: str) -> tuple[str, ...]:
    """The URL as called, without its port, and with its scheme's own: Twilio signs any of these."""
    head, scheme, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    usual = {"https": ":443", "http": ":80"}.get(head.lower(), "")
    return url, f"{head}{scheme}{bare}{slash}{path}", f"{head}{scheme}{bare}{usual}{slash}{path}"


def answer(request: Request) -> Answer:
    """A call or message that came in wants instructions: none. A status wants nothing."""
    told = dict(parse_qsl(request.body.decode("utf-8", "replace"), errors="replace"))
    status = told.get("MessageStatus") or told.get("SmsStatus") or ""
    talking = told.get("CallStatus") in ("ringing", "in-progress") and "SequenceNumber" not in told
    if talking or (told.get("MessageSid") and status in RECEIVED):
        return Answer("<Response/>", media_type="text/xml")
    return Answer(status=204)


def delivery_key(request: Request) -> str | None:
    return request.header("i-twilio-idempotency-token")


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b"CallSid=CA00000000000000000000000000000000&AccountSid=AC00000000000000000000000000000000&From=anonymous"
        b"&To=%2B31201234567&CallStatus=completed&Direction=inbound&CallDuration=1"
        b"&Timestamp=Thu%2C%2001%20Jan%202026%2011%3A00%3A00%20%2B0000"
    )
    return sign(sample_request(url, settings, body, content_type="application/x-www-form-urlencoded"), secrets)


def sign(request: Request, secrets: Secrets) -> Request:
    """By the first secret of the algorithm that the request names, as Twilio signs."""
    name = algorithm_of(request)
    over = octets(request.url) + (signed_fields(request) or b"")
    raw = digest(name, keys_of(secrets, ALGORITHMS[name][1])[0], over)
    return with_headers(request, {"X-Twilio-Signature": base64.b64encode(raw).decode()})


SOURCE = Source(
    name="Twilio",
    channel="voice",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    fetch=fetch,
    answer=answer,
    channels=("sms", "whatsapp"),
    settings={
        "account_sid": Setting("Account SID", help="Webhooks of another account are refused"),
        "base_url": Setting("API address", default=API, help="Where message times are looked up"),
        "region": REGION,
    },
    secrets={
        "auth_token": Setting(
            "Auth token", required=True, help="Of the account or subaccount that owns the number; also for look-ups"
        ),
        "shared_key": Setting("Shared key", help="Only where webhooks are signed with HMAC_SHA256"),
    },
    grade="vendor vector",
    unverified=("forms of a withheld caller id other than anonymous, restricted and +266696687",),
    setup=(
        "Copy the auth token of the account that owns the number",
        "Set {hook_url} as the number's messaging webhook, and as its status callback for calls",
        "Set {hook_url} as the status callback of messages that you send",
    ),
    docs="https://www.twilio.com/docs/usage/webhooks",
    sample=sample,
)
