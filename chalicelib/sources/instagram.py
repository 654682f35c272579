"""Instagram: private messages to a professional account, stories that mention it, comments on its posts.

https://developers.facebook.com/documentation/instagram-platform/webhooks/examples

A person has one id per account, in messages and in comments, so that a complaint under a post and
the private talk about it are one customer's. Each comment on a post opens a thread, which is that of
whoever opened it: answers of the account name nobody, and the thread places them. Others who reply
there are each in a thread of their own under that post, which is one with the threads that they
opened: so no answer, and no handover of such a thread, takes one for another. Who is without an id
and replies stays out of it. A comment of the account that opens a thread is for nobody, and yields
nothing. Messages carry no names: with a token they are looked up. Comments bring no moment: it is
that of their entry. Reads, mentions elsewhere, which name no author, and notes of the account to
itself yield nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import turns
from chalicelib.kit.entries import Part, Posted, parts
from chalicelib.kit.fields import instant, plain
from chalicelib.kit.handshakes import hub_challenge
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import Fetch, Secrets, Setting, Source
from chalicelib.kit.turns import Told, Turn
from chalicelib.model.event import Event, Ref

TYPES = {**turns.TYPES, "comments": "message", "live_comments": "message"}
GRAPH = "https://graph.instagram.com"
COMMENTS = frozenset({"comments", "live_comments"})


def normalize(request: Request) -> Iterator[Event]:
    if text(request.object, "object") != "instagram":
        return
    account = text(request.settings, "instagram_account_id")
    for part in parts(request.object, *turns.LISTS, account=account):
        if part.name in COMMENTS:
            yield from commented(request, part)
        for kind, turn, told in turns.turns(request, part, READERS, "instagram", account):
            yield from READERS[kind](request, turn, told)


def messages(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    yield turns.message(request, turn, told, {"story": story(told)})


def edited(request: Request, turn: Turn, told: Told) -> Iterator[Event]:
    """Without words, or as edit number 0, it only says that there is a message."""
    if text(told, "text") and text(told, "num_edit") != "0":
        yield from turns.edited(request, turn, told)


def story(told: Told) -> dict[str, Any]:
    """The story that is answered."""
    return kept(id=text(told, "reply_to", "story", "id"), url=text(told, "reply_to", "story", "url"))


def commented(request: Request, part: Part) -> Iterator[Event]:
    told, number, parent = part.value, required(part.value, "id"), plain(part.value.get("parent_id"))
    account = part.account or text(request.settings, "instagram_account_id") or request.connection
    author = plain(pick(told, "from", "id"))
    moment = instant(told.get("timestamp") or told.get("created_time") or part.sent_at, "time")
    out, names = author == account, kept(username=text(told, "from", "username"))
    turn = Turn("instagram", account, "" if out else author, out, moment, {} if out else names)
    if parent or not turn.out:
        yield comment(turn, part.name, told, number, parent)


def comment(turn: Turn, kind: str, told: Told, number: str, parent: str) -> Event:
    words, media = text(told, "text"), text(told, "media", "id")
    opened = "" if parent and not turn.out else f"{media}_{parent or number}"
    threads = (opened, f"{media}/{turn.person}" if turn.person else "")
    return turns.event(
        turn,
        kind,
        type=TYPES[kind],
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


READERS: dict[str, turns.Reader] = {
    "message": messages,
    "message_edit": edited,
    "reaction": turns.reacted,
    "postback": turns.pressed,
    "referral": turns.came,
}


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """Who wrote, pressed or came: the profile of each, if there is a token to ask with."""
    access = keys_of(secrets, "access_token")
    if access and text(request.object, "object") == "instagram":
        for person in turns.nameless(request, "instagram", text(request.settings, "instagram_account_id")):
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
        "verify_token": Setting("Verify token", required=True, help="A text of your choice, which the app asks for"),
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
        "comments and live_comments, and subscribe the account to the app (POST /<account id>/subscribed_apps)",
        "Put no handover link in public: whoever opens it first is taken for the customer. Send it as a private reply",
    ),
    docs="https://developers.facebook.com/documentation/instagram-platform/webhooks",
    sample=sample,
)
