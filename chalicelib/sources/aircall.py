"""Aircall: calls, comments of agents on calls, and messages of its numbers.

https://developer.aircall.io/docs/webhooks-overview
https://developer.aircall.io/api-references/#webhook-usage

A call shows when it ended (which Aircall tells some 30 seconds later, with everything in it) and
when it was passed on; the states on the way there are known and yield nothing. Numbers come with
spaces and dashes. Nothing is signed: the webhook's own token stands in the body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit import calls
from chalicelib.kit.fields import email_identity, instant, phone_identity, plain, present
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import body_token
from chalicelib.kit.source import REGION, Answer, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "call.ended": "call",
    "call.transferred": "call",
    "call.external_transferred": "call",
    "call.commented": "note",
    "message.received": "message",
    "message.sent": "message",
    "message.status_updated": "message",
}
CHANNELS = {"": "sms", "sms": "sms", "mms": "sms", "whatsapp": "whatsapp"}
"""What `data.channel` says → channel. SMS and MMS have none."""
UNSENT = frozenset({"failed", "undelivered", "blocked"})
MOST_ADDRESSES = 5

Node = Mapping[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    kind, told = text(request.object, "event"), pick(request.object, "data")
    if kind not in TYPES or not isinstance(told, dict):
        return
    if kind == "call.ended":
        yield ended(request, told, kind)
    elif kind == "call.commented":
        yield from comments(request, told, kind)
    elif TYPES[kind] == "call":
        yield passed_on(request, told, kind)
    else:
        yield from message(request, told, kind)


def ended(request: Request, told: Node, kind: str) -> Event:
    state, moment = outcome(told), told.get("ended_at") or told.get("started_at")
    found = call(request, told, state, instant(moment, "data.ended_at"), "ended")
    return calls.entry(found, kind, fields=kept(name=name_of(told)))


def outcome(told: Node) -> str:
    if text(told, "voicemail"):
        return calls.VOICEMAIL
    return calls.COMPLETED if told.get("answered_at") else calls.NO_ANSWER


def passed_on(request: Request, told: Node, kind: str) -> Event:
    """Known by who passed it on to whom, because the moment may change when the webhook is sent again."""
    by, to = person(told, "transferred_by"), target(told)
    version = f"{calls.TRANSFERRED}:{text(told, 'transferred_by', 'id')}:{target_id(told) or to}"
    moment = instant(request.object.get("timestamp"), "timestamp")
    found = call(request, told, calls.TRANSFERRED, moment, version, transferred_by=by, transferred_to=to)
    return calls.entry(found, kind)


def call(request: Request, told: Node, state: str, moment: str, version: str, **more: Any) -> calls.Call:
    return calls.Call(
        number=required(told, "id"),
        state=state,
        at=moment,
        customer=text(told, "raw_digits"),
        own=text(told, "number", "digits"),
        out=text(told, "direction") == "outbound",
        version=version,
        region=request.region,
        claims=addresses(told),
        details=details(told) | more,
    )


def details(told: Node) -> dict[str, Any]:
    return kept(
        duration=lasted(told, "answered_at"),
        total=lasted(told, "started_at"),
        reason=text(told, "missed_call_reason"),
        recording=text(told, "asset") or text(told, "recording_short_url") or text(told, "recording"),
        voicemail=text(told, "voicemail_short_url") or text(told, "voicemail"),
        agent=person(told, "user"),
        line=text(told, "number", "name"),
        tags=[found for each in objects(told, "tags")[:20] if (found := text(each, "name"))],
        call_uuid=text(told, "call_uuid"),
    )


def lasted(told: Node, since: str) -> int | None:
    first, last = plain(told.get(since)), plain(told.get("ended_at"))
    return calls.seconds(int(last) - int(first)) if is_unix(first) and is_unix(last) else None


def is_unix(told: str) -> bool:
    return told.isascii() and told.isdigit() and len(told) < 12


def target(told: Node) -> str:
    return person(told, "transferred_to") or text(told, "external_number") or text(told, "transferred_to", "digits")


def target_id(told: Node) -> str:
    return text(told, "transferred_to", "id")


def comments(request: Request, told: Node, kind: str) -> Iterator[Event]:
    """All comments that the call has by now; those that were told before are the same events again."""
    found = call(request, told, "", "", "")
    about = calls.entry(found, kind)
    for each in objects(told, "comments"):
        said = text(each, "content")
        if said:
            yield msgspec.structs.replace(
                about,
                type="note",
                direction="internal",
                actor="agent",
                object=required(each, "id"),
                version="",
                occurred_at=instant(each.get("posted_at"), "data.comments.posted_at"),
                summary=said[:120],
                text=said,
                details=kept(agent=person(each, "posted_by"), call=required(told, "id")),
            )


def message(request: Request, told: Node, kind: str) -> Iterator[Event]:
    channel, status = CHANNELS.get(text(told, "channel").lower(), ""), text(told, "status").lower()
    if not channel or (kind == "message.status_updated" and status not in UNSENT):
        return
    out, own, number = kind != "message.received", text(told, "number", "digits"), number_of(told)
    who, moment, said = phone_identity(number, request.region, A2_ATTESTED), sent_at(request, kind), text(told, "body")
    yield Event(
        type="message",
        channel=channel,
        direction="out" if out else "in",
        actor="agent" if out else "customer",
        object=required(told, "id"),
        version=status if kind == "message.status_updated" else kind.partition(".")[2],
        occurred_at=moment,
        identities=present(who, *addresses(told)),
        refs=(Ref("thread", day_thread(f"{channel}:{own}", number, moment, request.region)),) if number else (),
        summary=said[:120] or "Message without text",
        text=said,
        attachments=media(told),
        details=kept(status=status, agent=person(told, "user")),
        fields=kept(name=name_of(told)),
        address=who.text if who else "",
        own_address=line(request, own),
        provider_type=kind,
    )


def number_of(told: Node) -> str:
    return text(told, "external_number") or text(told, "raw_digits")


def sent_at(request: Request, kind: str) -> str:
    field = "updated_at" if kind == "message.status_updated" else "created_at"
    found = pick(request.object, "data", field) or request.object.get("timestamp")
    return instant(found, f"data.{field}", "UTC")


def media(told: Node) -> tuple[dict[str, str], ...]:
    several = objects(told, "media_details") or [{"presigned_url": told.get("media_url")}]
    found = (
        kept(
            name=text(each, "file_name"),
            url=text(each, "presigned_url") or text(each, "url"),
            media_type=text(each, "file_type") or text(each, "content_type"),
        )
        for each in several[:10]
    )
    return tuple(each for each in found if each.get("url"))


def person(told: Node, field: str) -> str:
    return text(told, field, "name") or text(told, field, "email")


def name_of(told: Node) -> str:
    """From the address book of the agents."""
    names = (text(told, "contact", part).strip() for part in ("first_name", "last_name"))
    return " ".join(each for each in names if each)[:200]


def addresses(told: Node) -> tuple[Identity | None, ...]:
    """What the address book says, which the agents keep: it proves nothing."""
    found = objects(told, "contact", "emails")[:MOST_ADDRESSES]
    return tuple(email_identity(text(each, "value"), A1_ASSERTED) for each in found)


def line(request: Request, digits: str) -> str:
    found = phone_identity(digits, request.region)
    return found.text if found else ""


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"resource":"call","event":"call.ended","timestamp":1767265230,"token":"","data":{"id":1,"direction":"inbound",'
        b'"status":"done","missed_call_reason":"agents_did_not_answer","started_at":1767265180,"answered_at":null,'
        b'"ended_at":1767265200,"duration":20,"raw_digits":"anonymous","voicemail":null,"recording":null,'
        b'"number":{"id":1,"name":"Test","digits":"+31 20 123 4567"}}}'
    )
    return VERIFY.sign(sample_request(url, settings, body), secrets)


VERIFY = body_token()
SOURCE = Source(
    name="Aircall",
    channel="voice",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    answer=Answer(status=200),
    channels=("sms", "whatsapp"),
    settings={
        "region": REGION,
    },
    secrets={
        "token": Setting(
            "Webhook token", required=True, help="In the answer that created the webhook, and in its page"
        ),
    },
    grade="documented",
    unverified=(
        "fields of messages: external_number, body, created_at, media_details; read where they are there",
        "whether the timestamp of a transfer stays the same when it is sent again: the event does not depend on it",
        "who passed a call on to whom: transferred_by and transferred_to, as in the Calls API",
        "whether call.ended always has the recording: call.comm_assets_generated yields nothing",
    ),
    setup=(
        "Create a webhook in the dashboard (Integrations → Webhook) with {hook_url} as its address",
        "Choose the events call.ended, call.transferred, call.external_transferred, call.commented, message.received, "
        "message.sent and message.status_updated",
        "Copy its token and enter it here. Of an IVR choose the parent number or the children, not both",
        "Links of recordings run out after some hours unless the account keeps a page for them",
    ),
    docs="https://developer.aircall.io/docs/webhooks-overview",
    sample=sample,
)
