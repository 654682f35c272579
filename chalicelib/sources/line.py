"""LINE: what people say to an official account, whether they follow it, and accounts that they link.

https://developers.line.biz/en/reference/messaging-api/#webhooks

One request holds several events, or none when LINE tries the address. Only one-to-one chats yield events:
groups and rooms hold several people, most of whom LINE does not name. A chat never ends, so its thread is
the day's. Following is consent to messages, blocking withdraws it. The nonce of a linked account is a
handover token, and so is the data of a postback if it has the form of one (`H.token`).
An edit or unsend is another event of the same message. LINE asks that what was unsent is no longer shown:
the event says that it was, and whoever shows the message sees both. What comes again (`isRedelivery`)
is the same event. Stickers' keywords differ from delivery to delivery and are left out; a beacon's `stay`
comes every ten seconds and yields nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from chalicelib.kit import tokens
from chalicelib.kit.content import Content
from chalicelib.kit.fields import instant, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import count, kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A2_ATTESTED, Identity

Node = Mapping[str, Any]

TYPES = {
    "message": "message",
    "messageEdited": "message",
    "unsend": "message",
    "postback": "message",
    "follow": "consent",
    "unfollow": "consent",
    "accountLink": "handover",
    "beacon": "visit",
    "membership": "loyalty",
}
CONSENT = {"follow": "granted", "unfollow": "denied"}
MEDIA = {"image": "Image", "video": "Video", "audio": "Audio", "file": "File"}
ARRIVALS = {"enter": "Came near a beacon", "banner": "Opened a beacon's banner"}
MEMBERSHIPS = frozenset({"joined", "left", "renewed"})
NONCE = pattern(r"[A-Za-z0-9_-]{4,64}\Z", re.ASCII)


def normalize(request: Request) -> Iterator[Event]:
    for told in objects(request.object, "events"):
        reader = READERS.get(text(told, "type"))
        if reader and text(told, "source", "type") == "user":
            yield from reader(request, told)


def known(request: Request, told: Node, *number: str) -> Event:
    """What every event of a person has. `number`: where the id of its object is; else it is the event's own."""
    moment, kind = instant(told.get("timestamp"), "timestamp"), text(told, "type")
    return Event(
        type=TYPES[kind],
        channel="line",
        object=required(told, *(number or ("webhookEventId",))),
        occurred_at=moment,
        identities=present(person(request, told)),
        refs=refs(request, told, moment),
        address=address(request, told),
        own_address=own_address(request),
        provider_type=kind,
    )


def said(request: Request, told: Node) -> Iterator[Event]:
    found = content_of(pick(told, "message"))
    if found:
        event = known(request, told, "message", "id")
        yield replace(
            event,
            version="received",
            refs=(*event.refs, *quoted(request, found)),
            summary=found.summary,
            text=found.text,
            attachments=found.attachments,
            details=found.details,
        )


def edited(request: Request, told: Node) -> Iterator[Event]:
    """Edits may come out of order: the moment tells which is the last."""
    for event in said(request, told):
        version, details = f"edited@{event.occurred_at}", event.details | {"status": "edited"}
        yield replace(event, version=version, details=details)


def unsent(request: Request, told: Node) -> Iterator[Event]:
    event = known(request, told, "unsend", "messageId")
    yield replace(event, version="deleted", summary="Message deleted", details={"status": "deleted"})


def chosen(request: Request, told: Node) -> Iterator[Event]:
    """A button, a menu, or a picker of dates."""
    event, choice = known(request, told), text(told, "postback", "data")
    params = pick(told, "postback", "params")
    picked = {name: value for name, value in params.items() if isinstance(value, str)} if params_of(params) else {}
    moment = text(picked, "datetime") or text(picked, "date") or text(picked, "time")
    yield replace(
        event,
        version="received",
        refs=(*event.refs, *token(request, tokens.bare(choice))),
        summary=f"Choice: {moment}" if moment else "Choice",
        details=kept(choice=choice, params=picked),
    )


def params_of(found: Any) -> bool:
    return isinstance(found, dict) and len(found) <= 20


def consent(request: Request, told: Node) -> Iterator[Event]:
    event, answer = known(request, told, "source", "userId"), CONSENT[text(told, "type")]
    back = pick(told, "follow", "isUnblocked") is True
    summary = "Account blocked" if answer == "denied" else "Account let in again" if back else "Account followed"
    yield replace(
        event,
        object=f"{event.address}/messages",
        version=f"{answer}@{event.occurred_at}",
        refs=(),
        summary=summary,
        details={"medium": "line", "status": answer},
        fields={"consent_line": answer},
    )


def linked(request: Request, told: Node) -> Iterator[Event]:
    """Only a link that succeeded carries a token: otherwise the nonce was used, or somebody else's."""
    event, result, nonce = known(request, told), text(told, "link", "result"), text(told, "link", "nonce")
    carried = nonce if result == "ok" and NONCE.match(nonce) else ""
    yield replace(
        event,
        version=result,
        refs=(*event.refs, *token(request, carried)),
        summary="Account linked" if result == "ok" else "Account not linked",
        details=kept(status=result),
    )


def came(request: Request, told: Node) -> Iterator[Event]:
    kind = text(told, "beacon", "type")
    if kind in ARRIVALS:
        about = kept(status=kind, beacon=text(told, "beacon", "hwid"), message=text(told, "beacon", "dm"))
        yield replace(known(request, told), refs=(), summary=ARRIVALS[kind], details=about)


def subscribed(request: Request, told: Node) -> Iterator[Event]:
    kind, number = text(told, "membership", "type"), text(told, "membership", "membershipId")
    if kind in MEMBERSHIPS:
        about = kept(status=kind, membership=number)
        yield replace(known(request, told), refs=(), summary=f"Membership {kind}", details=about)


READERS: dict[str, Callable[[Request, Node], Iterator[Event]]] = {
    "message": said,
    "messageEdited": edited,
    "unsend": unsent,
    "postback": chosen,
    "follow": consent,
    "unfollow": consent,
    "accountLink": linked,
    "beacon": came,
    "membership": subscribed,
}


def person(request: Request, told: Node) -> Identity | None:
    return scoped("line", account(request), pick(told, "source", "userId"), A2_ATTESTED)


def address(request: Request, told: Node) -> str:
    found = person(request, told)
    return found.text if found else ""


def own_address(request: Request) -> str:
    found = scoped("line", account(request), request.object.get("destination"))
    return found.text if found else ""


def account(request: Request) -> str:
    return text(request.settings, "account") or text(request.object, "destination") or request.connection


def refs(request: Request, told: Node, moment: str) -> tuple[Ref, ...]:
    customer = text(told, "source", "userId")
    thread = day_thread(f"line:{account(request)}", f"line:{customer}", moment) if customer else ""
    return (Ref("thread", thread, account(request)),) if thread else ()


def quoted(request: Request, found: Content) -> tuple[Ref, ...]:
    return (Ref("message", found.message, account(request)),) if found.message else ()


def token(request: Request, value: str) -> tuple[Ref, ...]:
    return (Ref("token", value, account(request)),) if value else ()


def content_of(message: Any) -> Content | None:
    """None for kinds that we do not know."""
    reader = CONTENTS.get(text(message, "type"))
    return replace(reader(message), message=text(message, "quotedMessageId")) if reader else None


def words(message: Node) -> Content:
    return Content(text(message, "text"), "Message without text")


def medium(message: Node) -> Content:
    """Fetched by the message's id, unless somebody else serves it."""
    kind, name = text(message, "type"), text(message, "fileName")
    file = kept(
        id=text(message, "id"),
        name=name,
        size=count(message, "fileSize"),
        duration_ms=count(message, "duration"),
        url=text(message, "contentProvider", "originalContentUrl"),
    )
    label = f"{MEDIA[kind]}: {name}" if name else MEDIA[kind]
    return Content(label=label, details=kept(album=text(message, "imageSet", "id")), attachments=(file,))


def place(message: Node) -> Content:
    named = {"name": text(message, "title"), "address": text(message, "address")}
    where = kept(latitude=message.get("latitude"), longitude=message.get("longitude"), **named)
    label = ": ".join(filter(None, ("Location", named["name"] or named["address"])))
    return Content(label=label, details=kept(location=where))


def sticker(message: Node) -> Content:
    about = kept(package=text(message, "packageId"), sticker=text(message, "stickerId"))
    return Content(text(message, "text"), "Sticker", about)


CONTENTS: dict[str, Callable[[Node], Content]] = dict.fromkeys(MEDIA, medium) | {
    "text": words,
    "location": place,
    "sticker": sticker,
}

SIGNATURE = hmac_signature(header="X-Line-Signature", encoding="base64", key_name="channel_secret")


def delivery_key(request: Request) -> str | None:
    """The ids of its events, which a redelivery repeats."""
    found = [text(each, "webhookEventId") for each in objects(request.peek, "events")]
    return digest(*found) if any(found) else None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    """As the console's button that tries the address."""
    body = {"destination": "U00000000000000000000000000000000", "events": []}
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="LINE",
    channel="line",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    dedupe=delivery_key,
    settings={
        "account": Setting(
            "Scope of user ids",
            help="Default: the bot's user id; give the channels of one LINE provider the same, as users have one id there",
        ),
    },
    secrets={
        "channel_secret": Setting("Channel secret", required=True, help="Of the Messaging API channel, basic settings"),
    },
    grade="vendor vector",
    unverified=(
        "edits in one-to-one chats: LINE has them in groups only as yet",
        "whether a redelivered request has the same events as the first; each event is known by its own id anyway",
    ),
    setup=(
        "In the LINE Developers console, copy the channel secret of the Messaging API channel and enter it",
        "In the channel's Messaging API settings, set {hook_url} as webhook URL, verify it, and switch on Use webhook",
        "Switch on Webhook redelivery there, so that nothing is lost while the hub is not reachable",
        "For a handover, ask LINE for a link token of the user and put it into the account link, with the handover's "
        "token as nonce",
    ),
    docs="https://developers.line.biz/en/docs/messaging-api/receiving-messages/",
    sample=sample,
)
