"""Turns of the talk between a person and a page or an account, as entries bring them in `messaging` and `standby`.

A person has an id for each page or account. What the account sent comes back as an echo, by whichever app. A link with
a handover token is a `handover`, any other that leads into an old conversation a `visit`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit import tokens
from chalicelib.kit.entries import Part, parts
from chalicelib.kit.fields import instant, plain, present, scoped
from chalicelib.kit.request import Request
from chalicelib.kit.shape import joined, kept, objects, pick, required, text
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES: Mapping[str, str] = {
    "message": "message",
    "echo": "message",
    "message_edit": "message",
    "reaction": "message",
    "postback": "message",
    "referral": "visit",
    "referral_token": "handover",
}
LISTS = ("messaging", "standby")
"""`standby`: while another app owns the conversation."""
GREETED = frozenset({"message", "postback", "referral"})
"""What makes us ask for a name. No other news has one, whatever else is in the same request."""
LABELS = {
    "image": "Image",
    "video": "Video",
    "audio": "Audio",
    "file": "File",
    "share": "Shared post",
    "ig_post": "Shared post",
    "reel": "Reel",
    "ig_reel": "Reel",
    "story_mention": "Mention in a story",
    "ig_story": "Story",
    "like_heart": "Heart",
    "fallback": "Link",
    "template": "Template",
    "location": "Location",
}
IDS = ("sticker_id", "reel_video_id", "ig_post_media_id", "story_media_id", "attachment_id")
NO_FILES = frozenset({"template", "location"})
Told = Mapping[str, Any]


class Turn(msgspec.Struct, frozen=True):
    """One piece of news: of which account and person, which way, when. `person` may be empty. `names`: his profile."""

    channel: str
    account: str
    person: str
    out: bool
    moment: str
    names: Mapping[str, str]

    def identity(self, assurance: int = A2_ATTESTED) -> Identity | None:
        return scoped(self.channel, self.account, self.person, assurance)


Found = tuple[str, Turn, Told]
"""Which kind of news, the turn, and what is told under the kind's name."""
Reader = Callable[[Request, Turn, Told], Iterator[Event]]


def turns(request: Request, part: Part, kinds: Container[str], channel: str, account: str) -> Iterator[Found]:
    """What of `part` is of `account`, where that is known. Neither what the account writes to itself, nor what tells
    neither sender nor receiver, which is no talk."""
    sender, recipient = sides(part)
    if sender == recipient or pick(part.value, "message", "is_self") is True:
        return
    for kind, told in part.value.items():
        if kind in kinds and isinstance(told, dict):
            turn = turn_of(request, part, channel, kind)
            if account in ("", turn.account):
                yield kind, turn, told


def sides(part: Part) -> tuple[str, str]:
    return plain(pick(part.value, "sender", "id")), plain(pick(part.value, "recipient", "id"))


def turn_of(request: Request, part: Part, channel: str, kind: str) -> Turn:
    sender, recipient = sides(part)
    echo = pick(part.value, "message", "is_echo") is True
    account = part.account or (sender if echo else recipient) or request.connection
    out = echo or sender == account
    person = recipient if out else sender
    moment = instant(part.value.get("timestamp") or part.sent_at, "timestamp")
    names = profile(request.fetched.get(person)) if kind in GREETED and not out else {}
    return Turn(channel, account, "" if person == account else person, out, moment, names)


def profile(found: Any) -> dict[str, str]:
    name = text(found, "name") or joined(found, "first_name", "last_name")
    return kept(name=name, username=text(found, "username"), language=text(found, "locale"))


def nameless(request: Request, channel: str, account: str) -> list[str]:
    """The ids of people who wrote, pressed or came, whose profile can be asked for."""
    batch = parts(request.object, *LISTS, account=account)
    told = [turn for part in batch for _, turn, _ in turns(request, part, GREETED, channel, account)]
    wanted = dict.fromkeys(turn.person for turn in told if not turn.out)
    return [person for person in wanted if person.isascii() and person.isdigit()]


def event(turn: Turn, kind: str, **more: Any) -> Event:
    """What all events have in common, unless `more` says otherwise: the `type` too, of a kind that is not in TYPES."""
    who = turn.identity()
    told = {
        "type": TYPES.get(kind),
        "channel": turn.channel,
        "direction": "out" if turn.out else "in",
        "actor": "agent" if turn.out else "customer",
        "occurred_at": turn.moment,
        "identities": present(who),
        "refs": refs(turn),
        "fields": dict(turn.names),
        "address": who.text if who else "",
        "own_address": f"{turn.channel}:{turn.account}",
        "provider_type": kind,
    }
    return Event(**(told | more))


def refs(turn: Turn, answered: str = "", referral: Any = None) -> tuple[Ref, ...]:
    """The day's thread, the message that this one answers, and the token of the link that led here."""
    who = turn.identity()
    thread = day_thread(f"{turn.channel}:{turn.account}", who.text, turn.moment) if who else ""
    token = tokens.bare(text(referral, "ref"))
    pairs = (("thread", thread, turn.account), ("message", answered, turn.account), ("token", token, ""))
    return tuple(Ref(kind, value, scope) for kind, value, scope in pairs if value)


def message(request: Request, turn: Turn, told: Told, details: Told, **more: Any) -> Event:
    """A message or its deletion. `details` and `more`: what one channel has besides, or instead."""
    deleted = told.get("is_deleted") is True
    words = "" if deleted else text(told, "text") or template_text(told)
    found = {
        "object": required(told, "mid"),
        "version": "deleted" if deleted else "sent" if turn.out else "received",
        "actor": writer(request, turn, told),
        "refs": refs(turn, plain(pick(told, "reply_to", "mid")), told.get("referral")),
        "summary": (words or label(turn, told))[:120],
        "text": words,
        "attachments": tuple(file for each in objects(told, "attachments") if (file := attachment(each))),
        "details": kept(**(details_of(told, deleted) | dict(details))),
    }
    return event(turn, "echo" if turn.out else "message", **(found | more))


def details_of(told: Told, deleted: bool) -> dict[str, Any]:
    return {
        "status": "deleted" if deleted else "",
        "choice": text(told, "quick_reply", "payload"),
        "products": products(told),
        "app_id": text(told, "app_id"),
        "metadata": text(told, "metadata"),
        "referral": origin(told.get("referral")),
    }


def writer(request: Request, turn: Turn, told: Told) -> str:
    """A bot's are the apps that the setting `bot_app_ids` names."""
    bots = request.settings.get("bot_app_ids")
    bot = text(told, "app_id") in [plain(each) for each in bots] if isinstance(bots, list) else False
    return "customer" if not turn.out else "bot" if bot else "agent"


def label(turn: Turn, told: Told) -> str:
    """The summary of a message without words."""
    if told.get("is_deleted") is True:
        return "Message deleted"
    if told.get("is_unsupported") is True:
        return f"Message that {turn.channel.capitalize()} does not pass on"
    titles = [text(each, "title") for each in products(told)]
    if titles:
        return "Product: " + ", ".join(filter(None, titles))
    first = next(iter(objects(told, "attachments")), {})
    title = text(first, "title") or text(first, "payload", "title")
    return ": ".join(filter(None, (LABELS.get(text(first, "type"), "Message without text"), title)))


def attachment(told: Told) -> dict[str, Any]:
    """Without a template or a place, which are no files."""
    kind, payload = text(told, "type"), pick(told, "payload")
    if kind in NO_FILES:
        return {}
    return kept(
        kind=kind,
        name=text(told, "title") or text(payload, "title"),
        url=text(payload, "url") or text(told, "url"),
        id=next((found for name in IDS if (found := text(payload, name))), ""),
    )


def template_text(told: Told) -> str:
    """What a template shows: its text, or the titles of its cards."""
    shown = [pick(each, "payload") for each in objects(told, "attachments") if text(each, "type") == "template"]
    shown = [pick(each, "generic") or each for each in shown]
    cards = [card for each in shown for card in objects(each, "elements")]
    lines = [text(each, "text") for each in shown]
    lines += [" – ".join(filter(None, (text(card, "title"), text(card, "subtitle")))) for card in cards]
    return "\n".join(filter(None, lines))


def products(told: Told, **more: str) -> list[dict[str, Any]]:
    """Products that are shown, and the one that the message was asked about. `more`: name → field of a product."""
    shown = [each for file in objects(told, "attachments") for each in objects(file, "payload", "product", "elements")]
    names = {"id": "id", "sku": "retailer_id", "title": "title"} | more
    found = [kept(**{ours: text(each, theirs) for ours, theirs in names.items()}) for each in shown]
    return [*found, *([{"id": asked}] if (asked := text(told, "referral", "product", "id")) else [])]


def origin(referral: Any) -> dict[str, Any]:
    """Where a person came from; a handover token is not repeated here."""
    ad = pick(referral, "ads_context_data")
    return kept(
        ref="" if tokens.bare(text(referral, "ref")) else text(referral, "ref"),
        source=text(referral, "source"),
        ad_id=text(referral, "ad_id"),
        ad_title=text(ad, "ad_title"),
        post_id=text(ad, "post_id"),
        product_id=text(ad, "product_id"),
        referer_uri=text(referral, "referer_uri"),
    )


def edited(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    words = text(told, "text")
    yield event(
        turn,
        "message_edit",
        object=required(told, "mid"),
        version=f"edited:{text(told, 'num_edit') or turn.moment}",
        summary=(words or "Message edited")[:120],
        text=words,
        details={"status": "edited"},
    )


def reacted(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """A reaction has no id of its own: it is known by its message, its person and its moment."""
    mid, gone = required(told, "mid"), text(told, "action") == "unreact"
    shown = text(told, "emoji") or text(told, "reaction")
    yield event(
        turn,
        "reaction",
        object=f"{mid}/reaction/{turn.person}",
        version=f"{'removed' if gone else 'reacted'}@{turn.moment}",
        refs=refs(turn, mid),
        summary="Reaction removed" if gone else f"Reaction {shown}",
        details=kept(status="removed" if gone else "reacted", reaction="" if gone else shown, message=mid),
    )


def pressed(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """A button, an item of a menu, an opening question. In `standby` the payload is left out."""
    title = text(told, "title")
    yield event(
        turn,
        "postback",
        object=text(told, "mid") or f"{turn.person}/postback/{turn.moment}",
        version="received",
        refs=refs(turn, referral=told.get("referral")),
        summary=(title or "Button without text")[:120],
        text=title,
        details=kept(choice=text(told, "payload"), referral=origin(told.get("referral"))),
    )


def came(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """Into a conversation that there is already, by a link or an advertisement."""
    token, ad = tokens.bare(text(told, "ref")), text(told, "ad_id")
    yield event(
        turn,
        "referral_token" if token else "referral",
        object=f"{turn.person}/referral/{turn.moment}",
        version=digest(text(told, "ref"), ad, size=5),
        refs=refs(turn, referral=told),
        summary="Came by an advertisement" if ad else "Came by a link",
        details=kept(referral=origin(told)),
    )
