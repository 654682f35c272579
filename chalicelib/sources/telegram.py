"""Telegram: what people write to a bot, and to a business account that a bot is connected to.

https://core.telegram.org/bots/api#update

Only private chats yield events, because there the chat is the customer. Groups hold several people and
channels hold nobody whom we know: what is said or posted there yields nothing. Neither does what carries no
moment: poll answers, deleted business messages, buttons below a message that the bot may no longer see.
A pressed button has the moment of the message that holds it, the only one that Telegram tells.
A chat never ends, so its thread is the day's. The parameter of a link to the bot (`/start <parameter>`)
is a handover token. A shared number is its sender's only where Telegram says that the card is his own.
Whoever blocks the bot withdraws his consent; whoever lets it in again grants it anew.
Longer than most sources: a dozen kinds of messages, in chats of two kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from chalicelib.kit.content import Content
from chalicelib.kit.fields import instant, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import count, kept, objects, pick, required, text
from chalicelib.kit.signatures import static_token
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

Node = Mapping[str, Any]

TYPES = {
    "message": "message",
    "edited_message": "message",
    "business_message": "message",
    "edited_business_message": "message",
    "callback_query": "message",
    "message_reaction": "message",
    "my_chat_member": "consent",
}
MESSAGES = frozenset({"message", "business_message"})
EDITS = frozenset({"edited_message", "edited_business_message"})
MEDIA = {
    "animation": "Animation",
    "audio": "Audio",
    "document": "Document",
    "photo": "Photo",
    "sticker": "Sticker",
    "video": "Video",
    "video_note": "Video message",
    "voice": "Voice message",
}
CONSENT = {"kicked": "denied", "member": "granted"}
UNSEEN = " \n\u00a0\u2800\u3164"
"""Names must have a character: who wants none takes a blank one."""
START = pattern(r"/start(?:@\w{1,64})?(?:\s+([A-Za-z0-9_-]{1,64}))?\s*\Z", re.ASCII)


def normalize(request: Request) -> Iterator[Event]:
    kind = next((kind for kind in TYPES if isinstance(request.object.get(kind), dict)), "")
    told: Node = request.object.get(kind, {})
    if kind in MESSAGES or kind in EDITS:
        yield from said(request, kind, told)
    elif kind == "callback_query":
        yield from pressed(request, told)
    elif kind == "message_reaction":
        yield from reacted(request, told)
    elif kind == "my_chat_member":
        yield from consent(request, told)


def said(request: Request, kind: str, told: Node) -> Iterator[Event]:
    """Edits of what has no words yield nothing: a shared position moves every few seconds."""
    found, chat = content_of(told), private(told)
    if found and chat and (found.text or kind in MESSAGES):
        yield message(request, kind, told, found if itself(chat, told, "from") else nobodys(found))


def nobodys(found: Content) -> Content:
    """What the business account says is about its owner at most, and he is no customer."""
    return replace(found, identities=(), token="")


def message(request: Request, kind: str, told: Node, found: Content) -> Event:
    chat, own = told["chat"], not itself(told["chat"], told, "from")
    moment = instant(told.get("edit_date") if kind in EDITS else told.get("date"), f"{kind}.date")
    return Event(
        type="message",
        channel="telegram",
        direction="out" if own else "in",
        actor=author(told) if own else "customer",
        object=number_of(chat, told),
        version=version_of(request, kind, own),
        occurred_at=moment,
        identities=present(person(request, chat), *found.identities),
        refs=refs(request, told, moment, answered(chat, told), found.token),
        summary=found.summary,
        text=found.text,
        attachments=found.attachments,
        details=found.details | origin(kind, told, own),
        fields=fields(chat, {} if own else pick(told, "from"), found),
        address=address(request, chat),
        own_address=own_address(request),
        provider_type=kind,
    )


def version_of(request: Request, kind: str, own: bool) -> str:
    if kind in EDITS:
        return f"edited:{required(request.object, 'update_id')}"
    return "sent" if own else "received"


def private(told: Node) -> Node:
    """The chat, where it is of one customer. A bot that writes to ours is none."""
    chat = pick(told, "chat")
    sent_by_bot = pick(told, "from", "is_bot") is True and not told.get("business_connection_id")
    return chat if text(chat, "type") == "private" and not sent_by_bot else {}


def itself(chat: Node, told: Node, name: str) -> bool:
    """Whether this is the customer: in a chat of a business account its owner writes, and presses buttons, too."""
    return text(chat, "type") == "private" and text(told, name, "id") == text(chat, "id")


def author(told: Node) -> str:
    """Of what the business account said: its owner, or a bot in his name."""
    return "bot" if told.get("sender_business_bot") or told.get("is_from_offline") is True else "agent"


def pressed(request: Request, told: Node) -> Iterator[Event]:
    """A button below one of the bot's messages. A date of zero is that of a message it may no longer see."""
    message = pick(told, "message")
    chat, date = pick(message, "chat"), pick(message, "date")
    if not itself(chat, told, "from") or not date:
        return
    moment = instant(date, "callback_query.message.date")
    yield Event(
        type="message",
        channel="telegram",
        object=f"callback/{required(told, 'id')}",
        occurred_at=moment,
        identities=present(person(request, chat)),
        refs=refs(request, message, moment, number_of(chat, message)),
        summary=label_of(message, text(told, "data"))[:120],
        details=kept(choice=text(told, "data"), message=number_of(chat, message)),
        fields=fields(chat, pick(told, "from")),
        address=address(request, chat),
        own_address=own_address(request),
        provider_type="callback_query",
    )


def label_of(message: Any, choice: str) -> str:
    """What the pressed button says."""
    rows = pick(message, "reply_markup", "inline_keyboard")
    buttons = [each for row in rows for each in objects({"row": row}, "row")] if isinstance(rows, list) else []
    found = next((text(each, "text") for each in buttons if choice and text(each, "callback_data") == choice), "")
    return f"Choice: {found}" if found else "Choice"


def reacted(request: Request, told: Node) -> Iterator[Event]:
    chat = pick(told, "chat")
    if not itself(chat, told, "user"):
        return
    emoji = "".join(text(each, "emoji") for each in objects(told, "new_reaction"))
    moment, message = instant(told.get("date"), "message_reaction.date"), number_of(chat, told)
    given = bool(objects(told, "new_reaction"))
    yield Event(
        type="message",
        channel="telegram",
        object=message,
        version=f"reaction:{required(request.object, 'update_id')}",
        occurred_at=moment,
        identities=present(person(request, chat)),
        refs=refs(request, told, moment),
        summary=f"Reaction {emoji}".strip() if given else "Reaction removed",
        details={"status": "reacted" if given else "removed"} | kept(reaction=emoji, message=message),
        fields=fields(chat, pick(told, "user")),
        address=address(request, chat),
        own_address=own_address(request),
        provider_type="message_reaction",
    )


def consent(request: Request, told: Node) -> Iterator[Event]:
    """In private chats Telegram tells only of blocking and of letting in again."""
    chat, answer = pick(told, "chat"), CONSENT.get(text(told, "new_chat_member", "status"), "")
    if text(chat, "type") != "private" or not answer:
        return
    moment = instant(told.get("date"), "my_chat_member.date")
    yield Event(
        type="consent",
        channel="telegram",
        object=f"{address(request, chat)}/messages",
        version=f"{answer}@{moment}",
        occurred_at=moment,
        identities=present(person(request, chat)),
        summary="Bot blocked" if answer == "denied" else "Bot let in again",
        details={"medium": "telegram", "status": answer},
        fields=fields(chat, pick(told, "from")) | {"consent_telegram": answer},
        provider_type="my_chat_member",
    )


def person(request: Request, chat: Node) -> Identity | None:
    return scoped("telegram", account(request), chat.get("id"), A2_ATTESTED)


def address(request: Request, chat: Node) -> str:
    found = person(request, chat)
    return found.text if found else ""


def own_address(request: Request) -> str:
    found = scoped("telegram", account(request), bot(request))
    return found.text if found and bot(request) else ""


def account(request: Request) -> str:
    return text(request.settings, "account") or bot(request) or request.connection


def bot(request: Request) -> str:
    return text(request.settings, "bot").strip().removeprefix("@").lower()


def number_of(chat: Node, told: Any) -> str:
    """Messages count per chat, and the chats of a business account are others than the bot's own."""
    business = text(told, "business_connection_id")
    return "/".join(filter(None, (business, required(chat, "id"), required(told, "message_id"))))


def answered(chat: Node, told: Node) -> str:
    """The message that this one answers, if it is in the same chat."""
    other = pick(told, "reply_to_message")
    there = text(other, "chat", "id") == text(chat, "id") and text(other, "message_id")
    return number_of(chat, {"business_connection_id": text(told, "business_connection_id")} | other) if there else ""


def refs(request: Request, told: Node, moment: str, message: str = "", token: str = "") -> tuple[Ref, ...]:
    """An id is marked as one: a bare one would be read as a telephone number. With the business account a
    customer has another chat than with its bot."""
    own = text(told, "business_connection_id") or account(request)
    thread = day_thread(f"telegram:{own}", f"telegram:id{required(told, 'chat', 'id')}", moment)
    pairs = (("thread", thread), ("message", message), ("token", token))
    return tuple(Ref(kind, value, account(request)) for kind, value in pairs if value)


def fields(chat: Node, user: Any, found: Content | None = None) -> dict[str, str]:
    number = next((each.value for each in found.identities if each.kind == "phone"), "") if found else ""
    return kept(
        name=name_of(chat) or name_of(user),
        username=text(chat, "username") or text(user, "username"),
        language=text(user, "language_code"),
        phone=number,
    )


def name_of(user: Any) -> str:
    return " ".join(filter(None, (text(user, name).strip(UNSEEN) for name in ("first_name", "last_name"))))


def origin(kind: str, told: Node, own: bool) -> dict[str, Any]:
    """Whether it was edited or written elsewhere, the album that it belongs to, and which agent wrote it."""
    forwarded = bool(told.get("forward_origin") or told.get("forward_date"))
    return kept(
        status="edited" if kind in EDITS else None,
        forwarded=True if forwarded else None,
        album=text(told, "media_group_id"),
        agent=name_of(pick(told, "from")) if own and author(told) == "agent" else None,
    )


def content_of(told: Node) -> Content | None:
    """None for what the client itself reports: pinned messages, titles, timers, and kinds that we do not know."""
    reader = next((reader for kind, reader in CONTENTS.items() if told.get(kind) is not None), None)
    return reader(told) if reader else None


def words(told: Node) -> Content:
    said_text = text(told, "text")
    start = START.match(said_text)
    if not start:
        return Content(said_text, "Message without text")
    parameter = start[1] or ""
    return Content(label="Conversation started", details=kept(start=parameter), token=parameter)


def medium(told: Node) -> Content:
    """An animation comes as a document too; of a photo the largest size is the last."""
    kind = next(kind for kind in MEDIA if told.get(kind) is not None)
    sizes = objects(told, kind)
    found: Any = sizes[-1] if sizes else pick(told, kind)
    name = text(found, "file_name") or text(found, "title")
    file = kept(
        id=text(found, "file_id"),
        unique_id=text(found, "file_unique_id"),
        media_type=text(found, "mime_type") or ("image/jpeg" if kind == "photo" else ""),
        name=name,
        size=count(found, "file_size"),
        duration=count(found, "duration"),
    )
    label = ": ".join(filter(None, (MEDIA[kind], name or text(found, "emoji"))))
    return Content(text(told, "caption"), label, kept(emoji=text(found, "emoji")), (file,) if file else ())


def place(told: Node) -> Content:
    venue = pick(told, "venue")
    found = pick(venue, "location") or pick(told, "location")
    named = {"name": text(venue, "title"), "address": text(venue, "address")}
    where = kept(latitude=pick(found, "latitude"), longitude=pick(found, "longitude"), **named)
    label = ": ".join(filter(None, ("Location", named["name"] or named["address"])))
    return Content(label=label, details=kept(location=where, live=True if pick(found, "live_period") else None))


def card(told: Node) -> Content:
    """Somebody else's card identifies nobody."""
    found = pick(told, "contact")
    sent = text(found, "phone_number")
    number = phone_identity("+" + sent.removeprefix("+"), assurance=A2_ATTESTED)
    his_own = bool(text(found, "user_id")) and text(found, "user_id") == text(told, "from", "id")
    shown = kept(name=name_of(found), phones=[sent] if sent else [], user_id=text(found, "user_id"))
    return Content(
        label="Own number" if his_own else ": ".join(filter(None, ("Contact", name_of(found)))),
        details=kept(contacts=[shown] if shown else []),
        identities=present(number) if his_own else (),
    )


def poll(told: Node) -> Content:
    options = [text(each, "text") for each in objects(told, "poll", "options")]
    asked = text(told, "poll", "question")
    return Content(label=f"Poll: {asked}", details=kept(question=asked, options=options))


def dice(told: Node) -> Content:
    emoji, value = text(told, "dice", "emoji"), text(told, "dice", "value")
    return Content(label=f"{emoji} {value}".strip() or "Dice", details=kept(emoji=emoji, value=value))


CONTENTS: dict[str, Callable[[Node], Content]] = (
    {"text": words} | dict.fromkeys(MEDIA, medium) | {"venue": place, "location": place}
) | {"contact": card, "poll": poll, "dice": dice}

SIGNATURE = static_token(header="X-Telegram-Bot-Api-Secret-Token", prefix="", key_name="secret_token")


def delivery_key(request: Request) -> str | None:
    return text(request.peek, "update_id") or None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    """Of a channel's post, which is nobody's."""
    chat = {"id": -1001, "type": "channel", "title": "Test"}
    post = {"message_id": 1, "sender_chat": chat, "chat": chat, "date": 1767265200, "text": "Test"}
    body = {"update_id": 1, "channel_post": post}
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Telegram",
    channel="telegram",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    dedupe=delivery_key,
    settings={
        "bot": Setting("Bot's username", required=True, help="tc_bot of t.me/tc_bot; also the scope of user ids"),
        "account": Setting(
            "Scope of user ids", help="Default: the bot; give several bots the same to know users of all"
        ),
    },
    secrets={
        "secret_token": Setting(
            "Secret token", required=True, help="A text of your choice: 1 to 256 letters, digits, _ and -"
        ),
    },
    unverified=(
        "whether a user's client can make a card that Telegram calls his own with a number that is not",
        "for how long a refused update is sent again",
    ),
    setup=(
        "Make up a secret token and enter it",
        "Call setWebhook of the bot with url {hook_url}, this secret_token and allowed_updates message, edited_message, "
        "callback_query, message_reaction, my_chat_member, business_message and edited_business_message",
        "In the settings of a Telegram Business account, connect the bot as its chatbot, if it is to read along there",
        "The token of a handover goes into the link t.me/<bot>?start=<token>",
    ),
    docs="https://core.telegram.org/bots/api#setwebhook",
    sample=sample,
)
