"""Slack: channels shared with customers by Slack Connect, or a workspace whose members are the customers.

https://docs.slack.dev/apis/events-api/
https://docs.slack.dev/apis/slack-connect/

Who is a customer is the setting `customers`: whoever writes from a workspace that is not ours (`external`),
or whoever is not named in `agents` (`members`). An agent's words are not about himself: they carry no
identity, and are placed by the thread that he answers in. What colleagues say where no other
workspace listens in yields nothing, unless members are the customers. The team of the envelope is that of the channel,
not ours and not the author's, so ours is a setting.
A thread is Slack's own; outside of one a message begins one. A direct message with the app never ends, so
its thread is the day's. What the app itself wrote yields nothing; other bots of ours are heard, others' not.
An edit is told again for every preview that Slack adds to it: only a change of words is one. `app_mention`
repeats a message and yields nothing. So do reactions, which do not tell whose workspace they are from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit.fields import instant, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import count, kept, objects, pick, required, text, texts, unescaped
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import Answer, Secrets, Setting, Source
from chalicelib.kit.threads import day_thread
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED

Node = Mapping[str, Any]

TYPES = {"message": "message", "message_changed": "message", "message_deleted": "message"}
WRITTEN = frozenset({"", "file_share", "thread_broadcast", "me_message", "bot_message"})
"""Subtypes of what somebody said; all others are what Slack says about the channel."""
REFERENCE = pattern(r"<([^<>|]{1,3000})(?:\|([^<>]{0,3000}))?>")
ADDRESSED = ("mailto:", "tel:")


class Author(msgspec.Struct, frozen=True):
    """Of a message. `customer`: his user id, empty for one of us."""

    actor: str
    customer: str = ""
    name: str = ""
    username: str = ""


def normalize(request: Request) -> Iterator[Event]:
    """Forms are commands and buttons, which are answered by the app that shows them."""
    if request.media_type != "application/json" or text(request.object, "type") != "event_callback":
        return
    told = pick(request.object, "event")
    if text(told, "type") != "message" or not listened(request, told):
        return
    subtype = text(told, "subtype")
    if subtype in WRITTEN:
        yield from said(request, told, told)
    elif subtype == "message_changed":
        yield from changed(request, told)
    elif subtype == "message_deleted":
        yield from deleted(request, told, pick(told, "previous_message"))


def listened(request: Request, told: Node) -> bool:
    """Without the setting every channel that the app is in."""
    wanted = texts(request.settings, "channels")
    return not wanted or text(told, "channel") in wanted


def said(request: Request, told: Node, message: Node) -> Iterator[Event]:
    """`told`: the event, which names the channel; `message`: the message that it is about."""
    author = author_of(request, message)
    if not author:
        return
    number, words, files = required(message, "ts"), plain_words(text(message, "text")), attachments(message)
    inbound, moment = author.actor == "customer", instant(number, "ts")
    customer = present(scoped("slack", team(request), author.customer, A2_ATTESTED))
    yield Event(
        type="message",
        channel="slack",
        direction="in" if inbound else "out",
        actor=author.actor,
        object=f"{required(told, 'channel')}/{number}",
        version="received" if inbound else "sent",
        occurred_at=moment,
        identities=customer,
        refs=refs(request, told, message, moment),
        summary=(words or named(files))[:120],
        text=words,
        attachments=files,
        details=details(told, message, author),
        fields=kept(name=author.name, username=author.username) if inbound else {},
        address=customer[0].text if customer else "",
        provider_type="message",
    )


def changed(request: Request, told: Node) -> Iterator[Event]:
    """An edit has its own moment. A thread's first message that was deleted stays as a tombstone."""
    message, before = pick(told, "message"), pick(told, "previous_message")
    if text(message, "subtype") == "tombstone":
        yield from deleted(request, told, before)
    elif text(message, "edited", "ts") and text(message, "text") != text(before, "text"):
        number = required(message, "edited", "ts")
        for event in said(request, told, message):
            yield msgspec.structs.replace(
                event,
                version=f"edited@{number}",
                occurred_at=instant(number, "edited.ts"),
                details=event.details | {"status": "edited"},
                provider_type="message_changed",
            )


def deleted(request: Request, told: Node, before: Any) -> Iterator[Event]:
    """`before`: the message that is gone, which tells whose it was; its words are not told again."""
    for event in said(request, told, before) if text(before, "ts") else ():
        yield msgspec.structs.replace(
            event,
            version="deleted",
            occurred_at=instant(told.get("event_ts") or told.get("ts"), "event_ts"),
            summary="Message deleted",
            text="",
            attachments=(),
            details=event.details | {"status": "deleted"},
            provider_type="message_deleted",
        )


def author_of(request: Request, message: Any) -> Author | None:
    """None for whom we do not listen to."""
    user, ours = text(message, "user"), ours_wrote(request, message)
    profile = pick(message, "user_profile")
    name = text(profile, "real_name") or text(profile, "display_name")
    if text(message, "bot_id") or text(message, "subtype") == "bot_message":
        return Author("bot") if ours and shared(request) and not itself(request, message) else None
    if not user or user == "USLACKBOT":
        return None
    if user in texts(request.settings, "agents") or (ours and text(request.settings, "customers") != "members"):
        return Author("agent", name=name) if shared(request) else None
    return Author("customer", user, name, text(profile, "name"))


def ours_wrote(request: Request, message: Any) -> bool:
    """Not by `source_team`: in a shared channel that is the channel's. Whose team is not told is ours."""
    found = text(message, "user_team") or text(message, "user_profile", "team") or text(message, "team")
    known = text(request.settings, "team_id")
    return not known or found in {"", known, *texts(request.settings, "own_teams")}


def itself(request: Request, message: Any) -> bool:
    """Whether the app of this connection wrote it."""
    return text(message, "app_id") == text(request.object, "api_app_id") != ""


def shared(request: Request) -> bool:
    """Whether customers hear it too."""
    return text(request.settings, "customers") == "members" or request.object.get("is_ext_shared_channel") is True


def team(request: Request) -> str:
    return text(request.settings, "team_id") or request.connection


def refs(request: Request, told: Node, message: Node, moment: str) -> tuple[Ref, ...]:
    channel, begun = required(told, "channel"), text(message, "thread_ts")
    if text(told, "channel_type") == "im" and not begun:
        thread = day_thread(f"slack:{team(request)}", f"slack:{channel}", moment)
    else:
        thread = f"{channel}/{begun or required(message, 'ts')}"
    return (Ref("thread", thread, team(request)),)


def details(told: Node, message: Node, author: Author) -> dict[str, Any]:
    agent = author.name or text(message, "user") if author.actor == "agent" else ""
    return kept(agent=agent, channel=text(told, "channel"))


def attachments(message: Node) -> tuple[dict[str, Any], ...]:
    """Of a file from another workspace only its id may be told."""
    found = [
        kept(
            id=text(each, "id"),
            name=text(each, "name") or text(each, "title"),
            media_type=text(each, "mimetype"),
            size=count(each, "size"),
            url=text(each, "url_private"),
        )
        for each in objects(message, "files")
    ]
    return tuple(each for each in found if each)


def named(files: tuple[dict[str, Any], ...]) -> str:
    names = ", ".join(each["name"] for each in files if "name" in each)
    return f"File: {names}" if names else "File" if files else "Message without text"


def plain_words(told: str) -> str:
    """Slack writes references in brackets, links with what they show, and escapes the rest."""
    return unescaped(REFERENCE.sub(shown, told)) if "<" in told or "&" in told else told


def shown(found: re.Match[str]) -> str:
    """`<url|label>`, `<@user>`, `<#channel|name>`, `<!here>`."""
    target, label = found[1], found[2] or ""
    if target.startswith("!date"):
        return label
    if target[0] in "@#!":
        return f"{'@' if target[0] == '!' else target[0]}{label.lstrip('@#') or target[1:].partition('^')[0]}"
    bare = target.partition(":")[2] if target.startswith(ADDRESSED) else target
    return f"{label} ({bare})" if label and label != bare and not bare.endswith(f"//{label}") else bare


SIGNATURE = hmac_signature(
    header="X-Slack-Signature",
    prefix="v0=",
    over="v0:{ts}:{body}",
    timestamp_header="X-Slack-Request-Timestamp",
)


def handshake(request: Request, secrets: Secrets) -> Answer | None:
    """Signed like all that follows; the challenge is asked for when the address is entered."""
    asked = request.peek if request.method == "POST" else {}
    challenge = text(asked, "challenge") if text(asked, "type") == "url_verification" else ""
    return Answer(challenge) if challenge else None


def delivery_key(request: Request) -> str | None:
    return text(request.peek, "event_id") or None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    """Of a topic that was set, which yields nothing."""
    event = {"type": "message", "subtype": "channel_topic", "channel": "C0", "ts": "1767265200.000100", "topic": "Test"}
    told = {"type": "event_callback", "team_id": text(settings, "team_id"), "event_id": "Ev0TEST", "event": event}
    return SIGNATURE.sign(sample_request(url, settings, told), secrets)


SOURCE = Source(
    name="Slack",
    channel="slack",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    handshake=handshake,
    dedupe=delivery_key,
    settings={
        "team_id": Setting("Workspace id", required=True, help="T… of your own workspace; also the scope of user ids"),
        "customers": Setting(
            "Who is a customer",
            default="external",
            choices=("external", "members"),
            help="external: who writes from another workspace, guests of ours not; members: everybody but the agents",
        ),
        "agents": Setting(
            "Agents", type="array", items="string", help="User ids of colleagues, whatever their workspace"
        ),
        "own_teams": Setting("Other own workspaces", type="array", items="string", help="Ids, such as of a whole Grid"),
        "channels": Setting("Channels", type="array", items="string", help="Ids; default: all that the app is in"),
    },
    secrets={
        "signing_secret": Setting("Signing secret", required=True, help="Of the app, in its basic information"),
    },
    grade="vendor vector",
    unverified=(
        "user_team, user_profile and team of messages in shared channels: which of them tells the author's workspace",
        "is_ext_shared_channel of direct messages with somebody from another workspace",
        "whether previous_message tells the author's workspace when a message was deleted",
    ),
    setup=(
        "Make an app in your workspace with the scopes channels:history, groups:history, im:history and files:read",
        "Copy its signing secret and enter it, with the id of your workspace, before the next step",
        "Under Event Subscriptions set {hook_url} as request URL and subscribe the bot to message.channels, "
        "message.groups and message.im",
        "Invite the app to the channels that customers are in; answer in threads, as a thread tells whom an answer is for",
    ),
    docs="https://docs.slack.dev/apis/events-api/",
    sample=sample,
)
