"""Sunshine Conversations, version 2: what customers, agents and bots write on all of its channels.

https://docs.smooch.io/rest/#operation/eventWebhooks

One request holds several events. A user is one across channels: his user id, the id that the
organisation gave him (`externalId`: only its server or a signed login sets it), and the address of the
client that he writes by, where the webhook includes the full source.
A message of the business does not say by which channel it goes: that is a setting.
Of deliveries the last two states show; typing, reading and the passing of channels yield nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chalicelib.kit import tokens
from chalicelib.kit.fields import email, email_identity, instant, phone_identity, present, scoped
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import count, kept, objects, pick, required, text, texts
from chalicelib.kit.signatures import static_token
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import CHANNELS, Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, ANCHORS, CHANNEL_SCOPED, Identity

TYPES = {
    "conversation:message": "message",
    "conversation:postback": "message",
    "conversation:message:delivery:user": "message",
    "conversation:message:delivery:failure": "message",
    "conversation:create": "system",
    "conversation:referral": "system",
    "switchboard:passControl": "system",
    "user:merge": "identify",
    "user:update": "identify",
    "client:add": "identify",
}
SOURCES = {
    **{name: name for name in ("whatsapp", "messenger", "instagram", "line", "wechat", "telegram", "viber")},
    **dict.fromkeys(["web", "sdk"], "webchat"),
    **dict.fromkeys(["ios", "android", "unity"], "app"),
    "twitter": "x",
    "slackconnect": "slack",
    "googlercs": "sms",
}
"""Where a client's type is none of these, its address tells text messages and mail."""
BY_THE_CUSTOMER = frozenset({"linkRequest", "prechatCapture", "startConversation"})
OUTCOMES = {"user": "delivered", "failure": "failed"}

MOST = 5
"""Addresses of one user, and fields of one form, that are looked at."""

Node = dict[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    wanted = text(request.settings, "app_id")
    if wanted and text(request.object, "app", "id") not in ("", wanted):
        return
    for told in objects(request.object, "events"):
        read = READERS.get(text(told, "type"))
        yield from read(request, told) if read else ()


def message(request: Request, told: Node) -> Iterator[Event]:
    said, moment = part(told, "payload", "message"), instant_of(told, "payload", "message", "received")
    author, content, source = part(said, "author"), part(said, "content"), part(said, "source")
    if said.get("deleted") is True:
        return
    mine = text(author, "type") == "user"
    user, client = user_of(author), part(source, "client")
    channel = channel_of(request, source) if mine else usual(request)
    who = people(request, user, client, *filled_in(content)) if mine else ()
    yield Event(
        type="message",
        channel=channel,
        direction="in" if mine else "out",
        actor="customer" if mine else speaker(request, author, source),
        object=required(said, "id"),
        occurred_at=moment,
        identities=who,
        refs=refs(told),
        summary=(words(content) or label(content))[:120],
        text=words(content),
        attachments=files(content),
        details=kept(author=text(author, "displayName") if not mine else "", location=content.get("coordinates")),
        fields=names(user) if mine else {},
        provider_type="conversation:message",
        address=address(who, channel),
    )


def speaker(request: Request, author: Node, source: Node) -> str:
    """A bot by the author's subtype, by the system that it wrote in, or by the settings."""
    listed = {each.lower() for each in texts(request.settings, "bots")}
    subtypes = {each.lower() for each in texts(author, "subtypes")}
    named = {text(author, "displayName").lower(), text(source, "integrationId").lower()} - {""}
    automatic = subtypes & {"ai", "bot"} or "bot" in text(source, "type").lower() or named & listed
    return "bot" if automatic else "agent"


def postback(request: Request, told: Node) -> Iterator[Event]:
    """A button: what it stands for, which is no question."""
    payload, source = part(told, "payload"), part(told, "payload", "source")
    user, channel = part(payload, "user"), channel_of(request, source)
    who, choice = people(request, user, part(source, "client")), text(payload, "postback", "payload")
    yield Event(
        type="message",
        channel=channel,
        object=required(told, "id"),
        occurred_at=instant_of(told),
        identities=who,
        refs=(*refs(told), *token(choice)),
        summary=f"Pressed a button: {choice}"[:120] if choice else "Pressed a button",
        details=kept(choice=choice),
        fields=names(user),
        provider_type="conversation:postback",
        address=address(who, channel),
    )


def delivery(request: Request, told: Node) -> Iterator[Event]:
    payload, kind = part(told, "payload"), text(told, "type")
    reached = OUTCOMES[kind.rpartition(":")[2]]
    by, channel = text(payload, "destination", "type"), channel_of(request, part(payload, "destination"))
    yield Event(
        type="message",
        channel=channel,
        direction="out",
        actor="agent",
        object=required(payload, "message", "id"),
        version=f"{reached}:{by}",
        occurred_at=instant_of(told),
        identities=people(request, part(payload, "user"), {}),
        refs=refs(told),
        summary=f"Message {reached}",
        details={"status": reached}
        | kept(error=text(payload, "error", "code"), reason=text(payload, "error", "message")[:200]),
        provider_type=kind,
    )


def begun(request: Request, told: Node) -> Iterator[Event]:
    """A conversation that the customer began by a form, a button or a link; others begin with their message."""
    payload, kind = part(told, "payload"), text(told, "type")
    code, reason = text(payload, "referral", "code"), text(payload, "creationReason")
    user, source = part(payload, "user"), part(payload, "source")
    if text(user, "id") and (code or reason in BY_THE_CUSTOMER):
        who, channel = people(request, user, part(source, "client")), channel_of(request, source)
        yield Event(
            type="system",
            channel=channel,
            object=f"conversation/{required(payload, 'conversation', 'id')}",
            version=required(told, "id"),
            occurred_at=instant_of(told),
            identities=who,
            refs=(*refs(told), *token(code)),
            summary="Came by a link" if code else "Began a conversation",
            details=kept(reason=reason, referral=code, campaign=text(payload, "referral", "details", "adId")),
            fields=names(user),
            provider_type=kind,
            address=address(who, channel),
        )


def passed(request: Request, told: Node) -> Iterator[Event]:
    """Who answers now: from the bot to the agents, or back."""
    conversation = required(told, "payload", "conversation", "id")
    by = text(told, "payload", "conversation", "activeSwitchboardIntegration", "name")
    yield Event(
        type="system",
        channel=usual(request),
        direction="internal",
        actor="system",
        object=f"conversation/{conversation}",
        version=required(told, "id"),
        occurred_at=instant_of(told),
        refs=refs(told),
        summary=f"Conversation passed on to {by}" if by else "Conversation passed on",
        details={"status": "passed"} | kept(assignee=by),
        provider_type="switchboard:passControl",
    )


def merged(request: Request, told: Node) -> Iterator[Event]:
    """Two users who turned out to be one: by a login, a linked channel or the organisation's own server."""
    kept_one, other = (part(told, "payload", "mergedUsers", name) for name in ("surviving", "discarded"))
    yield Event(
        type="identify",
        channel="desk",
        actor="system",
        object=required(kept_one, "id"),
        version=f"merge:{required(other, 'id')}",
        occurred_at=instant_of(told),
        identities=present(
            scoped("desk", account(request), text(kept_one, "id"), A3_VERIFIED),
            scoped("desk", account(request), text(other, "id"), A3_VERIFIED),
            *people(request, kept_one, {}),
        ),
        summary="Users merged",
        details=kept(reason=text(told, "payload", "reason")),
        fields=names(kept_one),
        provider_type="user:merge",
    )


def identified(request: Request, told: Node) -> Iterator[Event]:
    """A profile, or one more channel of the same user; a channel that he has not confirmed is nobody's yet."""
    user, client = part(told, "payload", "user"), part(told, "payload", "client")
    if text(client, "status") in ("", "active"):
        yield Event(
            type="identify",
            channel=channel_of(request, {"client": client, "type": client.get("type")}) if client else "desk",
            actor="system",
            object=required(user, "id"),
            version=required(told, "id"),
            occurred_at=instant_of(told),
            identities=people(request, user, client),
            details=kept(reason=text(told, "payload", "reason")),
            fields=names(user),
            provider_type=text(told, "type"),
        )


READERS: Mapping[str, Callable[[Request, Node], Iterator[Event]]] = {
    "conversation:message": message,
    "conversation:postback": postback,
    "conversation:message:delivery:user": delivery,
    "conversation:message:delivery:failure": delivery,
    "conversation:create": begun,
    "conversation:referral": begun,
    "switchboard:passControl": passed,
    "user:merge": merged,
    "user:update": identified,
    "client:add": identified,
}


def part(node: Any, *path: str) -> Node:
    found = pick(node, *path)
    return found if isinstance(found, dict) else {}


def instant_of(told: Node, *path: str) -> str:
    """The moment at `path`, or else when the event was generated."""
    return instant((text(told, *path) if path else "") or told.get("createdAt"), "createdAt")


def refs(told: Node) -> tuple[Ref, ...]:
    return (Ref("thread", required(told, "payload", "conversation", "id")),)


def token(code: str) -> tuple[Ref, ...]:
    found = tokens.bare(code)
    return (Ref("token", found),) if found else ()


def user_of(author: Node) -> Node:
    return {"id": author.get("userId")} | part(author, "user")


def people(request: Request, user: Node, client: Node, *more: Identity | None) -> tuple[Identity, ...]:
    typed = [text(each, "value") for each in objects(user, "identities")[:MOST] if text(each, "type") == "email"]
    return present(
        scoped("desk", account(request), user.get("id"), A2_ATTESTED),
        *reached_by(request, client),
        known_outside(request, user),
        email_identity(text(user, "profile", "email"), A1_ASSERTED),
        *(email_identity(each, A1_ASSERTED) for each in typed),
        *more,
    )


def known_outside(request: Request, user: Node) -> Identity | None:
    """The id that the organisation itself gave: verified once he logged in with it."""
    kind, _, scope = text(request.settings, "external_id").partition(":")
    if kind not in ANCHORS or not scope:
        kind, scope = "login", account(request)
    sure = A3_VERIFIED if user.get("authenticated") is True else A2_ATTESTED
    return scoped(kind, scope, user.get("externalId"), sure)


def reached_by(request: Request, client: Node) -> tuple[Identity | None, ...]:
    """The customer's address on the channel that he writes by."""
    where = channel_of(request, {"client": client, "type": client.get("type")})
    value = text(client, "externalId").lstrip("+")
    if where in ("sms", "whatsapp") and value.isdigit():
        number = phone_identity(f"+{value}", request.region, A2_ATTESTED)
        return (scoped("whatsapp", line(request, client), value), number) if where == "whatsapp" else (number,)
    if where == "email":
        return (email_identity(value, A1_ASSERTED),)
    named = where in CHANNEL_SCOPED and where not in ("app", "web", "desk", "crm")
    return (scoped(where, line(request, client), value),) if named else ()


def line(request: Request, client: Node) -> str:
    """Our account on that channel: as the settings name it, or the integration."""
    number = text(client, "integrationId")
    return text(request.settings, "scopes", number) or number or account(request)


def channel_of(request: Request, source: Node) -> str:
    """By the settings, the type of the source, or the customer's address."""
    kind, where = text(source, "type"), text(source, "client", "externalId")
    chosen = text(request.settings, "channels", kind)
    if chosen in CHANNELS:
        return chosen
    if found := SOURCES.get(kind.lower()):
        return found
    if email(where):
        return "email"
    return "sms" if where and phone_identity(where, request.region) else usual(request)


def usual(request: Request) -> str:
    chosen = text(request.settings, "channel")
    return chosen if chosen in CHANNELS else "webchat"


def address(who: tuple[Identity, ...], channel: str) -> str:
    """Where a reply goes: his address on the channel, otherwise the user."""
    wanted = {"sms": "phone", "email": "email"}.get(channel, channel)
    return next((each.text for kind in (wanted, "desk") for each in who if each.kind == kind), "")


def words(content: Node) -> str:
    return (text(content, "text") or text(content, "textFallback")).strip()


def label(content: Node) -> str:
    kind = text(content, "type")
    return kind.capitalize() if kind and kind != "text" else "Message without text"


def files(content: Node) -> tuple[Node, ...]:
    found = kept(
        name=text(content, "altText"),
        media_type=text(content, "mediaType"),
        url=text(content, "mediaUrl"),
        size=count(content, "mediaSize"),
    )
    return (found,) if text(content, "mediaUrl") else ()


def filled_in(content: Node) -> list[Identity | None]:
    """Mail addresses in the answer to a form."""
    typed = objects(content, "fields")[:MOST] if text(content, "type") == "formResponse" else []
    return [email_identity(text(each, "email"), A1_ASSERTED) for each in typed]


def names(user: Node) -> dict[str, str]:
    profile = part(user, "profile")
    return kept(
        name=f"{text(profile, 'givenName')} {text(profile, 'surname')}".strip(),
        email=text(profile, "email"),
        language=text(profile, "locale"),
    )


def account(request: Request) -> str:
    return text(request.settings, "account") or text(request.object, "app", "id") or request.connection


AUTHENTICATION = static_token(header="X-API-Key", prefix="", key_name="webhook_secret")


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    said = {"id": "test", "author": {"type": "business"}, "content": {"type": "text", "text": "Test"}}
    payload = {"conversation": {"id": "test"}, "message": said}
    event = {"id": "test", "createdAt": "2026-01-01T11:00:00.000Z", "type": "conversation:message", "payload": payload}
    app = {"id": text(settings, "app_id") or "test"}
    body = {"app": app, "webhook": {"id": "test", "version": "v2"}, "events": [event]}
    return AUTHENTICATION.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Sunshine Conversations",
    channel="webchat",
    types=TYPES,
    normalize=normalize,
    verify=AUTHENTICATION,
    channels=tuple(sorted({*SOURCES.values(), "desk", "email"} - {"webchat"})),
    settings={
        "app_id": Setting("App id", help="What other apps send is ignored"),
        "account": Setting("Scope of user ids", help="Default: the app's id"),
        "channel": Setting("Channel of what the business writes", default="webchat", help="And of unknown sources"),
        "channels": Setting(
            "Channels of source types", type="object", help="source.type → channel, where ours is wrong"
        ),
        "scopes": Setting("Accounts of integrations", type="object", help="Integration id → page, number or bot id"),
        "bots": Setting("Bots", type="array", items="string", help="Display names or integration ids of bots"),
        "external_id": Setting("What externalId is", help="Such as shop:tc.example or loyalty:tc; default: a login"),
        "region": REGION,
    },
    secrets={"webhook_secret": Setting("Webhook secret", required=True, help="Comes in X-API-Key with every webhook")},
    grade="documented",
    unverified=(
        "that the secret comes as it is in X-API-Key: receivers of others read it so",
        "how a bot's author is told from an agent's: subtypes, source.type with bot, the setting bots",
        "that externalId is set by the organisation's server or by a signed login only, and authenticated by the latter",
        "events client:add, user:update and conversation:referral: read in the client library only",
    ),
    setup=(
        "In the console make a custom integration with a webhook to {hook_url}, version 2, triggers "
        "conversation:create, conversation:message, conversation:message:delivery:failure, "
        "conversation:message:delivery:user, conversation:postback, conversation:referral, "
        "switchboard:passControl, client:add, user:update and user:merge.",
        "Switch on includeFullUser and includeFullSource: without them nobody's name or number comes along.",
        "Copy the webhook's secret and enter it here. It signs nothing: whoever knows it can send anything.",
    ),
    docs="https://docs.smooch.io/rest/#operation/eventWebhooks",
    sample=sample,
)
