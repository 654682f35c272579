"""X: direct messages, and posts that mention or answer an account of ours, or by which it answers.

https://docs.x.com/x-api/webhooks/introduction
https://docs.x.com/x-api/account-activity/introduction
https://docs.x.com/x-api/activity/event-payloads

X delivers in two ways, which differ in their envelope: the Account Activity API with `for_user_id`, and the
X Activity API with `data.event_type`. A message or post is known by its own id, so that it is one event by both.
The challenge (CRC) is answered to whoever asks, with the same MAC that signs webhooks. So only tokens that
are no JSON are answered, and only bodies that are a JSON object count: otherwise the answer to a challenge
would be a signature for a body of somebody's choice.
A chat has no thread of its own: it is the day's. A post's is its conversation, or what it answers. Reposts,
likes, follows, what we post to everybody, and deletions yield nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit.fields import instant, plain, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of, octets
from chalicelib.kit.source import Answer, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {"direct_message": "message", "post": "message"}
POSTS = frozenset({"post.create", "post.mention.create", "post.reply.create", "post.quote.create"})
CHATS = frozenset({"dm.received", "dm.sent"})
CHALLENGE = pattern(r"[A-Za-z0-9_=+/.-]{1,256}\Z")
CREATED = pattern(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d?) (\d\d:\d\d:\d\d) (\+\d{4}) (\d{4})\Z", re.ASCII)
ESCAPED = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""All that X escapes in texts."""
SCHEMES = (
    hmac_signature("X-Twitter-Webhooks-Signature-OAuth2", "client_secret", encoding="base64", prefix="sha256="),
    hmac_signature("X-Twitter-Webhooks-Signature", "consumer_secret", encoding="base64", prefix="sha256="),
)


class Delivery(msgspec.Struct, frozen=True):
    """News of one account of ours. `people`: user id → profile."""

    own: str
    chats: tuple[Mapping[str, Any], ...] = ()
    posts: tuple[Mapping[str, Any], ...] = ()
    people: Mapping[str, Any] = {}


def normalize(request: Request) -> Iterator[Event]:
    found = delivery(request.object)
    if found.own and text(request.settings, "user_id") in ("", found.own):
        for told in found.chats:
            yield from chat(request, found, told)
        for told in found.posts:
            yield from post(request, found, told)


def delivery(told: Mapping[str, Any]) -> Delivery:
    if "for_user_id" in told:
        posts = objects(told, "tweet_create_events")
        people = {**profiles([pick(each, "user") for each in posts]), **profiles(pick(told, "users"))}
        return Delivery(text(told, "for_user_id"), tuple(objects(told, "direct_message_events")), tuple(posts), people)
    new, kind = pick(told, "data"), text(told, "data", "event_type")
    payload, own = pick(new, "payload"), text(new, "filter", "user_id")
    if kind in CHATS:
        return Delivery(own, tuple(objects(payload, "direct_message_events")), people=profiles(pick(payload, "users")))
    shown = (payload,) if kind in POSTS and isinstance(payload, dict) else ()
    return Delivery(own, posts=shown, people=profiles(pick(new, "includes", "users")))


def profiles(found: Any) -> dict[str, Any]:
    """By id; some profiles lie under another name."""
    listed = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    each_one = [pick(each, "data") or each for each in listed]
    return {id_of(each): each for each in each_one if isinstance(each, dict) and id_of(each)}


def id_of(told: Any) -> str:
    return text(told, "id_str") or text(told, "id")


def chat(request: Request, news: Delivery, told: Mapping[str, Any]) -> Iterator[Event]:
    sender, recipient = (
        text(told, "message_create", "sender_id"),
        text(told, "message_create", "target", "recipient_id"),
    )
    out, customer = sender == news.own, recipient if sender == news.own else sender
    if text(told, "type") != "message_create" or news.own not in (sender, recipient) or customer in ("", news.own):
        return
    moment, content = (
        instant(told.get("created_timestamp"), "created_timestamp"),
        pick(told, "message_create", "message_data"),
    )
    choice, prompt = text(content, "quick_reply_response", "metadata"), text(told, "initiated_via", "tweet_id")
    said = unescaped(text(content, "text")).strip()
    yield msgspec.structs.replace(
        known(request, news, customer, out),
        actor=author(request, text(told, "message_create", "source_app_id")) if out else "customer",
        object=required(told, "id"),
        occurred_at=moment,
        refs=(Ref("thread", day_thread(f"x:@{news.own}", f"x:@{customer}", moment)),),
        summary=said[:120] or "Message without text",
        text=said,
        attachments=media(content),
        details=kept(choice=choice, post=prompt),
        provider_type="direct_message",
    )


def known(request: Request, news: Delivery, customer: str, out: bool) -> Event:
    who, us = person(request, news, customer), person(request, news, news.own)
    return Event(
        type="message",
        channel="x",
        direction="out" if out else "in",
        actor="agent" if out else "customer",
        object=customer,
        identities=present(who),
        fields=names(news, customer),
        address=who.text if who else "",
        own_address=us.text if us else "",
    )


def author(request: Request, app: str) -> str:
    bots = request.settings.get("bot_app_ids")
    return "bot" if app and isinstance(bots, list) and app in bots else "agent"


def media(content: Any) -> tuple[dict[str, Any], ...]:
    found = pick(content, "attachment", "media")
    file = kept(id=id_of(found), url=text(found, "media_url_https"), media_type=kinds(text(found, "type")))
    return (file,) if file else ()


def kinds(told: str) -> str:
    return {"photo": "image", "video": "video", "animated_gif": "video"}.get(told, "")


def post(request: Request, news: Delivery, told: Mapping[str, Any]) -> Iterator[Event]:
    """By a customer about us, or our answer to one."""
    writer = text(told, "author_id") or id_of(pick(told, "user"))
    out, customer = writer == news.own, answered_person(told) if writer == news.own else writer
    if customer in ("", news.own) or repost(told):
        return
    said, quoted = words(told), referenced(told, "quoted") or text(told, "quoted_status_id_str")
    yield msgspec.structs.replace(
        known(request, news, customer, out),
        object=first_version(told),
        version=id_of(told),
        occurred_at=moment_of(told),
        refs=refs(told, out),
        summary=said[:120] or "Post without text",
        text=said,
        attachments=pictures(told),
        details={"public": True} | kept(quoted=quoted),
        link=f"https://x.com/i/status/{id_of(told)}",
        provider_type="post",
    )


def repost(told: Mapping[str, Any]) -> bool:
    return bool(pick(told, "retweeted_status") or referenced(told, "retweeted"))


def referenced(told: Mapping[str, Any], how: str) -> str:
    return next((text(each, "id") for each in objects(told, "referenced_tweets") if text(each, "type") == how), "")


def answered(told: Mapping[str, Any]) -> str:
    names_ = ("in_reply_to_status_id_str", "in_reply_to_tweet_id")
    return referenced(told, "replied_to") or next((text(told, each) for each in names_ if text(told, each)), "")


def answered_person(told: Mapping[str, Any]) -> str:
    return text(told, "in_reply_to_user_id_str") or text(told, "in_reply_to_user_id")


def first_version(told: Mapping[str, Any]) -> str:
    """An edited post has an id of its own; the first of its history is the post."""
    history = pick(told, "edit_history_tweet_ids") or pick(told, "edit_history", "edit_tweet_ids")
    first = plain(history[0]) if isinstance(history, list) and history else ""
    return first or id_of(told) or required(told, "id")


def refs(told: Mapping[str, Any], out: bool) -> tuple[Ref, ...]:
    """The conversation, or else what the post answers; then what we write names itself as well, because that is
    what the answer to it names."""
    conversation, above, own = text(told, "conversation_id"), answered(told), first_version(told)
    pairs = [("thread", conversation or above or own), ("message", above)]
    if out and not conversation:
        pairs.append(("message", own))
    return tuple(Ref(kind, value) for kind, value in pairs if value)


def words(told: Mapping[str, Any]) -> str:
    """The whole text of a long post is apart."""
    longer = text(told, "note_tweet", "text") or text(told, "extended_tweet", "full_text") or text(told, "full_text")
    return unescaped(longer or text(told, "text")).strip()


def unescaped(said: str) -> str:
    for escape, letter in ESCAPED:
        said = said.replace(escape, letter)
    return said


def pictures(told: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    whole = pick(told, "extended_tweet") or told
    found = objects(whole, "extended_entities", "media") or objects(whole, "entities", "media")
    keys = pick(told, "attachments", "media_keys")
    named = [{"id": each} for each in keys if isinstance(each, str)] if isinstance(keys, list) else []
    shown = (
        kept(id=id_of(each), url=text(each, "media_url_https"), media_type=kinds(text(each, "type"))) for each in found
    )
    return tuple(each for each in shown if each)[:10] or tuple(named)[:10]


def moment_of(told: Mapping[str, Any]) -> str:
    """Older posts write it in an order of their own."""
    written = CREATED.match(text(told, "created_at"))
    parts = f"{written[2]} {written[1]} {written[5]} {written[3]} {written[4]}" if written else ""
    return instant(text(told, "timestamp_ms") or parts or told.get("created_at"), "created_at", "UTC")


def person(request: Request, news: Delivery, customer: str) -> Identity | None:
    return scoped("x", text(request.settings, "account") or news.own, customer, A2_ATTESTED)


def names(news: Delivery, customer: str) -> dict[str, str]:
    found = news.people.get(customer)
    return kept(name=text(found, "name")[:200], username=text(found, "username") or text(found, "screen_name"))


def verify(request: Request, secrets: Secrets) -> str | None:
    """By either secret, each with its own header. Only a challenge that was not answered comes here as a GET."""
    if request.method == "GET" or not request.body.startswith(b"{"):
        return "no challenge that is answered, or no JSON object"
    configured = [each for each in SCHEMES if keys_of(secrets, each.key_name)]
    reasons = [each(request, secrets) for each in configured]
    return None if None in reasons else next(iter(reasons), "no client_secret or consumer_secret is configured")


def sign(request: Request, secrets: Secrets) -> Request:
    return next((each for each in SCHEMES if keys_of(secrets, each.key_name)), SCHEMES[0]).sign(request, secrets)


def challenged(request: Request, secrets: Secrets) -> Answer | None:
    token = dict(reversed(request.query)).get("crc_token", "")
    keys = [key for each in SCHEMES for key in keys_of(secrets, each.key_name)]
    if request.method != "GET" or not keys or not CHALLENGE.match(token):
        return None
    raw = hmac.new(octets(keys[0]), octets(token), hashlib.sha256).digest()
    body = json.dumps({"response_token": f"sha256={base64.b64encode(raw).decode()}"})
    return Answer(body, media_type="application/json")


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = {"for_user_id": text(settings, "user_id") or "1", "direct_message_events": []}
    return sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="X",
    channel="x",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    handshake=challenged,
    handshake_first=True,
    handshake_proves=True,
    settings={
        "user_id": Setting("User id of our account", help="News of other subscribed accounts is ignored"),
        "account": Setting("Scope of user ids", help="Default: our account's user id"),
        "bot_app_ids": Setting(
            "Apps that are bots", type="array", items="string", help="source_app_id of what they send"
        ),
    },
    secrets={
        "client_secret": Setting("Client secret", help="OAuth 2.0, of the app whose webhooks come here"),
        "consumer_secret": Setting("Consumer secret", help="OAuth 1.0 (API secret key), where the app has no other"),
    },
    unverified=(
        "which letters a crc_token has: letters, digits and _=+/.- are answered",
        "that a challenge is answered with the client secret where both secrets are set",
        "where our posts by the X Activity API say whom they answer: in_reply_to_user_id is read",
        "messages of groups and encrypted chats: neither is delivered as a direct message event",
    ),
    setup=(
        "Copy the app's client secret, or its API secret key where it has none.",
        "Register {hook_url} as the app's webhook: X sends a challenge at once, and others after that: the secret "
        "must be here before.",
        "Subscribe the account to dm.received, dm.sent, post.mention.create, post.reply.create and post.create, or to the "
        "Account Activity API.",
    ),
    docs="https://docs.x.com/x-api/webhooks/introduction",
    sample=sample,
)
