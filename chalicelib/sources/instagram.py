"""Instagram: private messages to a professional account, stories that mention it, comments on its posts.

https://developers.facebook.com/documentation/instagram-platform/webhooks/examples

A person has one id per account, in messages and in comments, so that a complaint under a post and
the private talk about it are one customer's. Each comment on a post opens a thread, which is that of
whoever opened it: answers of the account name nobody, and the thread places them. Others who reply
there are each in a thread of their own under that post, which is one with the threads that they
opened: so no answer, and no handover of such a thread, takes one for another. Who is without an id
and replies stays out of it. A comment of the account that opens a thread is for nobody, and yields
nothing. Messages carry no names: with a token they are looked up. Comments bring no moment: it is that of their entry. An echo is what the account sent, by
whichever app. Reads, mentions elsewhere, which name no author, and notes of the account to itself
yield nothing. Longer than most sources: seven kinds of news, in two shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.kit import tokens
from chalicelib.kit.entries import Part, Posted, parts
from chalicelib.kit.fields import instant, plain, present, scoped
from chalicelib.kit.handshakes import hub_challenge
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import Fetch, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {
    "message": "message",
    "echo": "message",
    "message_edit": "message",
    "reaction": "message",
    "postback": "message",
    "referral": "visit",
    "referral_token": "handover",
    "comments": "message",
    "live_comments": "message",
}
GREETED = frozenset({"message", "postback", "referral"})
"""What makes us ask for a name. No other news has one, whatever else is in the same request."""
GRAPH = "https://graph.instagram.com"
COMMENTS = frozenset({"comments", "live_comments"})
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
}
IDS = ("reel_video_id", "ig_post_media_id", "story_media_id", "attachment_id")


@dataclass(frozen=True)
class Turn:
    """One piece of news: of which account and person, which way, when. `person` may be empty."""

    account: str
    person: str
    out: bool
    moment: str
    names: dict[str, str]

    @property
    def identity(self) -> Identity | None:
        return scoped("instagram", self.account, self.person, A2_ATTESTED)


def normalize(request: Request) -> Iterator[Event]:
    if text(request.object, "object") != "instagram":
        return
    for part in parts(request.object, "messaging", "standby", account=text(request.settings, "instagram_account_id")):
        if part.name in COMMENTS:
            yield from commented(request, part)
        for kind, news, told in turns(request, part):
            yield from READERS[kind](request, news, told)


def turns(request: Request, part: Part) -> Iterator[tuple[str, Turn, Mapping[str, Any]]]:
    for kind, told in part.value.items():
        if kind in READERS and isinstance(told, dict) and not to_itself(part):
            news = turn(request, part, kind)
            if text(request.settings, "instagram_account_id") in ("", news.account):
                yield kind, news, told


def to_itself(part: Part) -> bool:
    """Also what tells neither sender nor receiver, which is no message."""
    sender, recipient = (plain(pick(part.value, side, "id")) for side in ("sender", "recipient"))
    return sender == recipient or pick(part.value, "message", "is_self") is True


def turn(request: Request, part: Part, kind: str) -> Turn:
    sender, recipient = (plain(pick(part.value, side, "id")) for side in ("sender", "recipient"))
    echo = pick(part.value, "message", "is_echo") is True
    account = part.account or (sender if echo else recipient) or request.connection
    out = echo or sender == account
    moment = instant(part.value.get("timestamp") or part.sent_at, "timestamp")
    person = recipient if out else sender
    profile = request.fetched.get(person) if kind in GREETED and not out else None
    names = kept(name=text(profile, "name"), username=text(profile, "username"))
    return Turn(account, "" if person == account else person, out, moment, names)


def event(turn: Turn, kind: str, **more: Any) -> Event:
    """What all events have in common, unless `more` says otherwise."""
    told = {
        "type": TYPES[kind],
        "channel": "instagram",
        "direction": "out" if turn.out else "in",
        "actor": "agent" if turn.out else "customer",
        "occurred_at": turn.moment,
        "identities": present(turn.identity),
        "refs": refs(turn),
        "fields": turn.names,
        "address": turn.identity.text if turn.identity else "",
        "own_address": f"instagram:{turn.account}",
        "provider_type": kind,
    }
    return Event(**(told | more))


def refs(turn: Turn, answered: str = "", referral: Any = None) -> tuple[Ref, ...]:
    """The day's thread, the message that this one answers, and the token of the link that led here."""
    who = turn.identity
    thread = day_thread(f"instagram:{turn.account}", who.text, turn.moment) if who else ""
    token = tokens.bare(text(referral, "ref"))
    pairs = (("thread", thread, turn.account), ("message", answered, turn.account), ("token", token, ""))
    return tuple(Ref(kind, value, scope) for kind, value, scope in pairs if value)


def messages(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    number, deleted = required(told, "mid"), told.get("is_deleted") is True
    words = "" if deleted else text(told, "text") or template_text(told)
    yield event(
        turn,
        "echo" if turn.out else "message",
        object=number,
        version="deleted" if deleted else "sent" if turn.out else "received",
        actor=writer(request, turn, told),
        refs=refs(turn, plain(pick(told, "reply_to", "mid")), told.get("referral")),
        summary=(words or label(told))[:120],
        text=words,
        attachments=tuple(file for each in objects(told, "attachments") if (file := attachment(each))),
        details=kept(
            status="deleted" if deleted else "",
            choice=text(told, "quick_reply", "payload"),
            story=story(told),
            products=products(told),
            app_id=text(told, "app_id"),
            metadata=text(told, "metadata"),
            referral=origin(told.get("referral")),
        ),
    )


def writer(request: Request, turn: Turn, told: Mapping[str, Any]) -> str:
    bots = request.settings.get("bot_app_ids")
    bot = text(told, "app_id") in [plain(each) for each in bots] if isinstance(bots, list) else False
    return "customer" if not turn.out else "bot" if bot else "agent"


def label(told: Mapping[str, Any]) -> str:
    """The summary of a message without words."""
    if told.get("is_deleted") is True:
        return "Message deleted"
    if told.get("is_unsupported") is True:
        return "Message that Instagram does not pass on"
    titles = [text(each, "title") for each in products(told)]
    if titles:
        return "Product: " + ", ".join(filter(None, titles))
    first = next(iter(objects(told, "attachments")), {})
    title = text(first, "payload", "title")
    return ": ".join(filter(None, (LABELS.get(text(first, "type"), "Message without text"), title)))


def attachment(told: Mapping[str, Any]) -> dict[str, Any]:
    """Without a template, which is no file."""
    payload = pick(told, "payload")
    if text(told, "type") == "template":
        return {}
    number = next((found for name in IDS if (found := text(payload, name))), "")
    return kept(kind=text(told, "type"), name=text(payload, "title"), url=text(payload, "url"), id=number)


def template_text(told: Mapping[str, Any]) -> str:
    """What a template of ours shows: its text, or the titles of its cards."""
    shown = [pick(each, "payload") for each in objects(told, "attachments") if text(each, "type") == "template"]
    shown = [each.get("generic") or each for each in shown if isinstance(each, dict)]
    cards = [card for each in shown for card in objects(each, "elements")]
    lines = [text(each, "text") for each in shown]
    lines += [" – ".join(filter(None, (text(card, "title"), text(card, "subtitle")))) for card in cards]
    return "\n".join(filter(None, lines))


def story(told: Mapping[str, Any]) -> dict[str, Any]:
    """The story that is answered."""
    return kept(id=text(told, "reply_to", "story", "id"), url=text(told, "reply_to", "story", "url"))


def products(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Products that are shown, and the one that the message was asked about."""
    shown = [each for file in objects(told, "attachments") for each in objects(file, "payload", "product", "elements")]
    found = [kept(id=text(each, "id"), sku=text(each, "retailer_id"), title=text(each, "title")) for each in shown]
    return [*found, *([{"id": asked}] if (asked := text(told, "referral", "product", "id")) else [])]


def origin(referral: Any) -> dict[str, Any]:
    """Where a person came from; a handover token is not repeated here."""
    ad = pick(referral, "ads_context_data")
    return kept(
        ref="" if tokens.bare(text(referral, "ref")) else text(referral, "ref"),
        source=text(referral, "source"),
        ad_id=text(referral, "ad_id"),
        ad_title=text(ad, "ad_title"),
    )


def edited(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """Without words, or as edit number 0, it only says that there is a message."""
    words, number = text(told, "text"), text(told, "num_edit")
    if words and number != "0":
        yield event(
            turn,
            "message_edit",
            object=required(told, "mid"),
            version=f"edited:{number or turn.moment}",
            summary=words[:120],
            text=words,
            details={"status": "edited"},
        )


def reacted(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
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


def pressed(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
    """A button, or an opening question that was chosen. In `standby` the payload is left out."""
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


def came(request: Request, turn: Turn, told: Mapping[str, Any]) -> Iterator[Event]:
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


def commented(request: Request, part: Part) -> Iterator[Event]:
    told, number, parent = part.value, required(part.value, "id"), plain(part.value.get("parent_id"))
    account = part.account or text(request.settings, "instagram_account_id") or request.connection
    author = plain(pick(told, "from", "id"))
    moment = instant(told.get("timestamp") or told.get("created_time") or part.sent_at, "time")
    out, names = author == account, kept(username=text(told, "from", "username"))
    news = Turn(account, "" if out else author, out, moment, {} if out else names)
    if parent or not news.out:
        yield comment(news, part.name, told, number, parent)


def comment(turn: Turn, kind: str, told: Mapping[str, Any], number: str, parent: str) -> Event:
    words, media = text(told, "text"), text(told, "media", "id")
    opened = "" if parent and not turn.out else f"{media}_{parent or number}"
    threads = (opened, f"{media}/{turn.person}" if turn.person else "")
    return event(
        turn,
        kind,
        object=number,
        version="added",
        refs=tuple(Ref("thread", each, turn.account) for each in threads if each),
        summary=(words or "Comment without text")[:120],
        text=words,
        details=kept(
            public=True,
            media=media,
            surface=text(told, "media", "media_product_type"),
            ad_id=text(told, "media", "ad_id"),
            ad_title=text(told, "media", "ad_title"),
            parent=parent,
        ),
    )


READERS: dict[str, Callable[[Request, Turn, Mapping[str, Any]], Iterator[Event]]] = {
    "message": messages,
    "message_edit": edited,
    "reaction": reacted,
    "postback": pressed,
    "referral": came,
}


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """Who wrote, pressed or came: the profile of each, if there is a token to ask with."""
    access = keys_of(secrets, "access_token")
    if not access or text(request.object, "object") != "instagram":
        return
    batch = parts(request.object, "messaging", "standby", account=text(request.settings, "instagram_account_id"))
    told = [(kind, news) for part in batch for kind, news, _ in turns(request, part)]
    wanted = [news.person for kind, news in told if kind in GREETED and not news.out]
    for person in dict.fromkeys(wanted):
        if person.isascii() and person.isdigit():
            yield Fetch(person, f"/{person}?fields=name,username", GRAPH, {"Authorization": f"Bearer {access[0]}"})


SIGNATURE = Posted(hmac_signature(header="X-Hub-Signature-256", key_name="app_secret", prefix="sha256="))


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    account = text(settings, "instagram_account_id")
    told = {"id": "17900000000000000", "text": "Test", "media": {"id": "1", "media_product_type": "FEED"}}
    entry = {"id": account, "time": 1767265200, "changes": [{"field": "comments", "value": told}]}
    body = {"object": "instagram", "entry": [entry]}
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Instagram",
    channel="instagram",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    handshake=hub_challenge,
    handshake_first=True,
    fetch=fetch,
    settings={
        "base_url": Setting("API address", help=f"Default {GRAPH}; with a Page's token https://graph.facebook.com"),
        "instagram_account_id": Setting(
            "Professional account's id", help="What other accounts send is ignored; also the scope of people's ids"
        ),
        "bot_app_ids": Setting(
            "Ids of apps that are bots", type="array", items="string", help="What they send is a bot's, not an agent's"
        ),
    },
    secrets={
        "app_secret": Setting(
            "App secret", required=True, help="Of the app, or of its Instagram login where it has one"
        ),
        "verify_token": Setting("Verify token", required=True, help="A text of your choice, asked for once"),
        "access_token": Setting("Access token", help="For people's names in messages; without it nobody has one"),
    },
    unverified=(
        "whether a comment's entry keeps its time when a refused webhook is sent again: the comment's moment",
        "whether a deletion's timestamp is that of the message",
        "whether echoes name the app that sent them",
        "payload of message_edit, and whether edit number 0 is always a message that also comes by itself",
        "that the token is taken as a header",
        "names of ids in attachments other than reel_video_id",
        "whether from is always there in comments, and whether the account's own comments come with its id",
    ),
    setup=(
        "In the app's settings, copy the app secret (with Instagram login: the Instagram app secret), and make up a "
        "verify token",
        "In the app's Instagram webhooks, set {hook_url} and the verify token as callback",
        "Subscribe to messages, message_edit, message_reactions, messaging_postbacks, messaging_referral, standby, "
        "comments and live_comments, and the account to the app",
        "Put no handover link in public: whoever opens it first is taken for the customer. Send it as a private reply",
    ),
    docs="https://developers.facebook.com/documentation/instagram-platform/webhooks",
    sample=sample,
)
