"""Viber: what people write to a bot, whether they subscribe to it, and how its messages ended.

https://developers.viber.com/docs/api/rest-bot-api/#callbacks

A chat never ends, so its thread is the day's. The context of a link to the bot (`viber://pa?chatURI=…&context=…`)
is a handover token; a chat that was opened without one tells nothing yet and yields nothing. Subscribing is
consent to messages, unsubscribing withdraws it. A shared card may be anybody's: Viber does not say whose it
is, so its number identifies nobody. What the bot sent shows by how it ended only, without its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace as replaced

from chalicelib.kit import tokens
from chalicelib.kit.content import Content
from chalicelib.kit.fields import instant, nobody, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import count, kept, pick, required, text
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import Answer, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

Node = Mapping[str, Any]

TYPES = {
    "message": "message",
    "conversation_started": "message",
    "subscribed": "consent",
    "unsubscribed": "consent",
    "delivered": "message",
    "seen": "message",
    "failed": "message",
}
CONSENT = {"subscribed": "granted", "unsubscribed": "denied"}
ENDED = {"delivered": "delivered", "seen": "read", "failed": "failed"}
MEDIA = {"picture": "Picture", "video": "Video", "file": "File"}
TOKEN = pattern(r"[A-Za-z0-9_-]{4,64}\Z", re.ASCII)
PLACEHOLDERS = frozenset({"subscriber", "viber user"})
"""In the place of the name of somebody whose settings keep it from bots."""


def normalize(request: Request) -> Iterator[Event]:
    kind = text(request.object, "event")
    if kind == "message":
        yield from said(request)
    elif kind == "conversation_started":
        yield from opened(request)
    elif kind in CONSENT:
        yield consent(request, CONSENT[kind])
    elif kind in ENDED:
        yield ended(request, ENDED[kind])


def known(request: Request) -> Event:
    """What every event of a person has. A message and all that becomes of it have one token."""
    kind, moment = text(request.object, "event"), instant(request.object.get("timestamp"), "timestamp")
    found = person(request)
    return Event(
        type=TYPES[kind],
        channel="viber",
        object=required(request.object, "message_token"),
        occurred_at=moment,
        identities=present(found),
        refs=refs(request, found, moment),
        fields=fields(user_of(request)),
        address=found.text if found else "",
        own_address=own_address(request),
        provider_type=kind,
    )


def said(request: Request) -> Iterator[Event]:
    told = pick(request.object, "message")
    reader = CONTENTS.get(text(told, "type"))
    if reader:
        found = reader(told)
        yield replaced(
            known(request),
            version="received",
            summary=found.summary,
            text=found.text,
            attachments=found.attachments,
            details=found.details | kept(tracking_data=text(told, "tracking_data")[:1000]),
        )


def opened(request: Request) -> Iterator[Event]:
    context = text(request.object, "context")
    if context:
        event = known(request)
        yield replaced(
            event,
            version="opened",
            refs=(*event.refs, *handed(request, context)),
            summary="Conversation started",
            details=kept(context=context[:1000]),
        )


def consent(request: Request, answer: str) -> Event:
    event, context = known(request), text(request.object, "context")
    return replaced(
        event,
        object=f"{event.address}/messages",
        version=f"{answer}@{event.occurred_at}",
        refs=handed(request, context),
        summary="Subscribed" if answer == "granted" else "Unsubscribed",
        details={"medium": "viber", "status": answer} | kept(context=context[:1000]),
        fields=event.fields | {"consent_viber": answer},
    )


def ended(request: Request, status: str) -> Event:
    """What failed was no answer, whoever wrote it: then no agent said anything."""
    return replaced(
        known(request),
        version=status,
        direction="out",
        actor="system" if status == "failed" else "agent",
        summary=f"Message {status}",
        details={"status": status} | kept(reason=text(request.object, "desc")[:500]),
    )


def user_of(request: Request) -> Node:
    found = request.object.get("sender") or request.object.get("user") or {"id": request.object.get("user_id")}
    return found if isinstance(found, dict) else {}


def person(request: Request) -> Identity | None:
    return scoped("viber", account(request), user_of(request).get("id"), A2_ATTESTED)


def own_address(request: Request) -> str:
    found = scoped("viber", account(request), request.settings.get("bot"))
    return found.text if found else ""


def account(request: Request) -> str:
    return text(request.settings, "bot") or request.connection


def refs(request: Request, found: Identity | None, moment: str) -> tuple[Ref, ...]:
    """An id is marked as one, lest it is read as a telephone number."""
    thread = day_thread(f"viber:{account(request)}", f"viber:id{found.value}", moment) if found else ""
    return (Ref("thread", thread, account(request)),) if thread else ()


def handed(request: Request, context: str) -> tuple[Ref, ...]:
    written = tokens.in_texts(context)[:1]
    value = tokens.bare(context) or (written[0] if written else context if TOKEN.match(context) else "")
    return (Ref("token", value, account(request)),) if value else ()


def fields(user: Node) -> dict[str, str]:
    name = text(user, "name").strip()
    shown = "" if nobody(name) or name.lower() in PLACEHOLDERS else name[:200]
    return kept(name=shown, language=text(user, "language"), country=text(user, "country"))


def words(told: Node) -> Content:
    return Content(text(told, "text"), "Message without text")


def medium(told: Node) -> Content:
    kind, name = text(told, "type"), text(told, "file_name")
    file = kept(
        url=text(told, "media"),
        name=name,
        media_type="image/jpeg" if kind == "picture" else "",
        size=count(told, "size") or count(told, "file_size"),
        duration=count(told, "duration"),
    )
    return Content(text(told, "text"), f"{MEDIA[kind]}: {name}" if name else MEDIA[kind], attachments=(file,))


def shared(told: Node) -> Content:
    return Content(text(told, "media"), "Link")


def sticker(told: Node) -> Content:
    return Content(label="Sticker", details=kept(sticker=text(told, "sticker_id")))


def place(told: Node) -> Content:
    where = kept(latitude=pick(told, "location", "lat"), longitude=pick(told, "location", "lon"))
    return Content(label="Location", details=kept(location=where))


def card(told: Node) -> Content:
    name, number = text(told, "contact", "name"), text(told, "contact", "phone_number")
    shown = kept(name=name, phones=[number] if number else [])
    return Content(label=f"Contact: {name}" if name else "Contact", details=kept(contacts=[shown] if shown else []))


CONTENTS: dict[str, Callable[[Node], Content]] = dict.fromkeys(MEDIA, medium) | {
    "text": words,
    "url": shared,
    "sticker": sticker,
    "location": place,
    "contact": card,
}

SIGNATURE = hmac_signature(header="X-Viber-Content-Signature", key_name="auth_token")


def handshake(request: Request, secrets: Secrets) -> Answer | None:
    """Setting a webhook calls it at once, signed like all that follows, and fails unless that gets a 200."""
    tried = request.method == "POST" and text(request.peek, "event") == "webhook"
    return Answer('{"status":0}', media_type="application/json") if tried else None


def delivery_key(request: Request) -> str | None:
    kind, number = text(request.peek, "event"), text(request.peek, "message_token")
    return f"{kind}/{number}" if kind and number else None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    """Of a kind that tells nothing of anybody."""
    told = {"event": "client_status", "timestamp": 1767265200000, "chat_hostname": "TEST", "message_token": 1}
    return SIGNATURE.sign(sample_request(url, settings, told), secrets)


SOURCE = Source(
    name="Viber",
    channel="viber",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    handshake=handshake,
    dedupe=delivery_key,
    settings={
        "bot": Setting("Bot's URI", required=True, help="The chatURI of its links; also the scope of user ids"),
    },
    secrets={
        "auth_token": Setting("Authentication token", required=True, help="Of the bot: it signs all that Viber sends"),
    },
    unverified=(
        "whether subscribed ever carries the context of a link, as conversation_started does",
        "whether a number asked for by a share-phone button can be told from somebody else's card: it identifies nobody",
        "for how long a refused callback is sent again, and whether it keeps its message_token",
        "what stands in the place of a name that is kept from bots, in other languages than English",
    ),
    setup=(
        "In the Viber Admin Panel, copy the bot's authentication token and enter it",
        "Then call set_webhook with url {hook_url}, send_name true and event_types delivered, seen, failed, subscribed, "
        "unsubscribed and conversation_started: Viber tries the address at once, so the token must be here before",
        "The token of a handover goes into the link viber://pa?chatURI=<bot>&context=H.<token>",
    ),
    docs="https://developers.viber.com/docs/api/rest-bot-api/#webhooks",
    sample=sample,
)
