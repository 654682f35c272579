"""Chatwoot: messages, notes, conversations, contacts and the answers to its survey.

https://www.chatwoot.com/hc/user-guide/articles/1677693021-how-to-use-webhooks

A conversation's number is both its thread and its case. A contact is known by his number at the desk and by
what his inbox knows him by: a visitor's id, a page's user id, a number. What he typed is typed; his
`identifier` is verified where the inbox saw its HMAC.
Versions that sign send X-Chatwoot-Signature; older ones need a secret in the address.
Activity lines, read marks, labels and assignments yield nothing, nor does a new contact: no moment comes along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit.fields import email_identity, instant, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import SAMPLED_AT, Request, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import count, kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, path_secret
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import CHANNELS, Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, ANCHORS, Identity

TYPES = {
    "message_created": "message",
    "message_created.private": "note",
    "message_created.input_csat": "satisfaction",
    "message_updated.deleted": "message",
    "message_updated.input_csat": "satisfaction",
    "conversation_created": "ticket",
    "conversation_status_changed": "ticket",
    "contact_updated": "identify",
}
INBOXES = {
    "webwidget": "webchat",
    "api": "webchat",
    "email": "email",
    "whatsapp": "whatsapp",
    "sms": "sms",
    "twiliosms": "sms",
    "facebookpage": "messenger",
    "instagram": "instagram",
    "twitterprofile": "x",
    "telegram": "telegram",
    "line": "line",
    "voice": "voice",
}
MESSAGES = ("incoming", "outgoing", "activity", "template")
BOTS = frozenset({"agent_bot", "agentbot", "captain_assistant", "captain::assistant"})
BY_NUMBER = frozenset({"sms", "whatsapp", "voice"})
KINDS = {"webchat": "web", **{name: name for name in ("messenger", "instagram", "x", "telegram", "line", "whatsapp")}}
SCALE = [1, 5]
HOST = pattern(r"[a-z0-9.-]{1,253}(?::[0-9]{1,5})?\Z")

Node = dict[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    kind = text(request.object, "event")
    survey = text(request.object, "content_type") == "input_csat"
    if kind == "message_created" and survey:
        yield from survey_sent(request)
    elif kind == "message_created":
        yield from message(request)
    elif kind == "message_updated" and survey:
        yield from survey_answered(request)
    elif kind == "message_updated":
        yield from message_deleted(request)
    elif kind in ("conversation_created", "conversation_status_changed"):
        yield conversation(request, kind)
    elif kind == "contact_updated":
        yield from contact_changed(request)


def message(request: Request) -> Iterator[Event]:
    told, talk = request.object, talk_of(request)
    actor = speaker(told)
    if not actor:
        return
    private, channel, who = told.get("private") is True, channel_of(request, talk), people(request, talk)
    body, subject = words(told), text(told, "content_attributes", "email", "subject")
    yield Event(
        type="note" if private else "message",
        channel=channel,
        direction="internal" if private else "in" if actor == "customer" else "out",
        actor=actor,
        object=required(told, "id"),
        occurred_at=instant(told.get("created_at"), "created_at", "UTC"),
        identities=who,
        refs=refs(talk),
        summary=(subject or body or label(told))[:120],
        text=body,
        attachments=files(told),
        details=kept(number=number(talk), subject=subject, inbox=inbox_name(told), author=author(told, actor)),
        fields=names(request, contact_of(talk)) if actor == "customer" else {},
        link=link(request, talk),
        provider_type="message_created.private" if private else "message_created",
        address=address(who, channel),
    )


def talk_of(request: Request) -> Node:
    """The conversation, whose contact some versions name only as the sender of what he wrote."""
    told, talk = request.object, part(request.object, "conversation")
    if message_type(told) != "incoming" or contact_of(talk):
        return talk
    return talk | {"meta": part(talk, "meta") | {"sender": part(told, "sender")}}


def speaker(told: Node) -> str:
    """Our actor; empty for lines about what happened. Templates and rules write as a bot does."""
    kind, sender = message_type(told), text(told, "sender", "type").lower()
    if kind == "incoming":
        return "customer"
    if kind == "template" or sender in BOTS or text(told, "content_attributes", "automation_rule_id"):
        return "bot"
    if kind != "outgoing":
        return ""
    return "system" if text(told, "additional_attributes", "campaign_id") else "agent"


def message_type(told: Node) -> str:
    """By name, or by its number in some versions."""
    found = text(told, "message_type")
    return MESSAGES[int(found)] if found in ("0", "1", "2", "3") else found


def message_deleted(request: Request) -> Iterator[Event]:
    told, talk = request.object, talk_of(request)
    actor = speaker(told)
    if pick(told, "content_attributes", "deleted") is True and actor:
        yield Event(
            type="message",
            channel=channel_of(request, talk),
            direction="in" if actor == "customer" else "out",
            actor=actor,
            object=required(told, "id"),
            version="deleted",
            occurred_at=changed(told, talk),
            identities=people(request, talk),
            refs=refs(talk),
            summary="Message deleted",
            details={"status": "deleted"},
            link=link(request, talk),
            provider_type="message_updated.deleted",
        )


def survey_sent(request: Request) -> Iterator[Event]:
    """Asked by a form or a link: no scale, so that no number in a text is taken for the answer."""
    told, talk = request.object, talk_of(request)
    who, channel = people(request, talk), channel_of(request, talk)
    yield Event(
        type="satisfaction",
        channel="survey",
        direction="out",
        actor="bot",
        object=survey(told),
        version="sent",
        occurred_at=instant(told.get("created_at"), "created_at", "UTC"),
        identities=who,
        refs=(*refs(talk), Ref("survey", survey(told))),
        summary="Survey sent",
        details={"survey": survey(told), "subject_channel": channel},
        link=link(request, talk),
        provider_type="message_created.input_csat",
        address=address(who, channel),
    )


def survey_answered(request: Request) -> Iterator[Event]:
    told, talk = request.object, talk_of(request)
    answer = part(told, "content_attributes", "submitted_values", "csat_survey_response")
    score, comment = text(answer, "rating"), text(answer, "feedback_message").strip()
    if score in ("1", "2", "3", "4", "5"):
        yield Event(
            type="satisfaction",
            channel="survey",
            object=survey(told),
            version=f"{score}:{digest(comment, size=5)}",
            occurred_at=changed(told, talk),
            identities=people(request, talk),
            refs=(*refs(talk), Ref("survey", survey(told))),
            summary=f"Rated conversation #{number(talk)}: {score} of 5",
            text=comment,
            details={"score": int(score), "scale": SCALE, "survey": survey(told)}
            | kept(comment=comment, subject_channel=channel_of(request, talk)),
            link=link(request, talk),
            provider_type="message_updated.input_csat",
        )


def conversation(request: Request, kind: str) -> Event:
    talk, first = request.object, kind == "conversation_created"
    moment = instant(talk.get("created_at") if first else latest(talk), "updated_at", "UTC")
    channel, status, who = channel_of(request, talk), text(talk, "status"), people(request, talk)
    return Event(
        type="ticket",
        channel=channel,
        direction="internal",
        actor="system" if first else "agent",
        object=f"conversation/{number(talk)}",
        version="created" if first else f"{status}@{moment}",
        occurred_at=moment,
        identities=who,
        refs=refs(talk),
        summary=f"Conversation #{number(talk)} {'created' if first else status}",
        details=kept(
            status=status,
            number=number(talk),
            change="created" if first else "status",
            priority=text(talk, "priority"),
            assignee=text(talk, "meta", "assignee", "name"),
            team=text(talk, "meta", "team", "name"),
        ),
        link=link(request, talk),
        provider_type=kind,
        address=address(who, channel),
    )


def contact_changed(request: Request) -> Iterator[Event]:
    told = request.object
    moments = [text(each, "updated_at", "current_value") for each in objects(told, "changed_attributes")]
    moment = next((each for each in moments if each), "")
    if moment:
        yield Event(
            type="identify",
            channel="desk",
            actor="system",
            object=f"contact/{required(told, 'id')}",
            version=instant(moment, "updated_at", "UTC"),
            occurred_at=instant(moment, "updated_at", "UTC"),
            identities=present(*known(request, told, verified=False)),
            fields=names(request, told),
            provider_type="contact_updated",
        )


def part(node: Any, *path: str) -> Node:
    found = pick(node, *path)
    return found if isinstance(found, dict) else {}


def number(talk: Node) -> str:
    return required(talk, "id")


def survey(told: Node) -> str:
    return f"csat/{required(told, 'id')}"


def latest(talk: Node) -> Any:
    return talk.get("updated_at") or talk.get("timestamp") or talk.get("last_activity_at")


def changed(told: Node, talk: Node) -> str:
    """A message tells when it was made; its conversation when it last changed."""
    return instant(told.get("updated_at") or latest(talk) or told.get("created_at"), "updated_at", "UTC")


def refs(talk: Node) -> tuple[Ref, ...]:
    return (Ref("thread", number(talk)), Ref("case", number(talk)))


def contact_of(talk: Node) -> Node:
    return part(talk, "meta", "sender")


def people(request: Request, talk: Node) -> tuple[Identity, ...]:
    seen = part(talk, "contact_inbox")
    verified = True in (seen.get("hmac_verified"), pick(talk, "meta", "hmac_verified"))
    return present(*inbox_identities(request, talk), *known(request, contact_of(talk), verified))


def inbox_identities(request: Request, talk: Node) -> tuple[Identity | None, ...]:
    """What the channel itself knows the contact by."""
    channel, value = channel_of(request, talk), text(talk, "contact_inbox", "source_id").rpartition(":")[2]
    own = scoped(KINDS.get(channel, ""), inbox_scope(request, talk), value.lstrip("+"), A2_ATTESTED)
    if channel in BY_NUMBER and value.lstrip("+").isdigit():
        return (own, phone_identity(f"+{value.lstrip('+')}", request.region, A2_ATTESTED))
    return (own,)


def known(request: Request, person: Node, verified: bool) -> tuple[Identity | None, ...]:
    kind, _, scope = text(request.settings, "external_id").partition(":")
    if kind not in ANCHORS or not scope:
        kind, scope = "login", account(request)
    return (
        scoped("desk", account(request), person.get("id"), A2_ATTESTED),
        scoped(kind, scope, person.get("identifier"), A3_VERIFIED if verified else A1_ASSERTED),
        email_identity(text(person, "email"), A1_ASSERTED),
        phone_identity(person.get("phone_number"), request.region, A1_ASSERTED),
    )


def inbox_scope(request: Request, talk: Node) -> str:
    inbox = text(talk, "inbox_id") or text(talk, "contact_inbox", "inbox_id")
    return text(request.settings, "scopes", inbox) or f"{account(request)}-{inbox}"


def channel_of(request: Request, talk: Node) -> str:
    chosen = text(request.settings, "inboxes", text(talk, "inbox_id"))
    if chosen in CHANNELS:
        return chosen
    kind, seen = text(talk, "channel").rpartition("::")[2].lower(), text(talk, "contact_inbox", "source_id")
    if "instagram" in text(talk, "additional_attributes", "type"):
        return "instagram"
    return "whatsapp" if seen.startswith("whatsapp:") else INBOXES.get(kind, "webchat")


def words(told: Node) -> str:
    """Of a mail what is new in it, as the desk found that."""
    return (text(told, "content_attributes", "email", "text_content", "reply") or text(told, "content")).strip()


def label(told: Node) -> str:
    kinds = [text(each, "file_type") for each in objects(told, "attachments")]
    return next((each.capitalize() for each in kinds if each), "Message without text")


def author(told: Node, actor: str) -> str:
    return "" if actor == "customer" else text(told, "sender", "available_name") or text(told, "sender", "name")


def inbox_name(told: Node) -> str:
    return text(told, "inbox", "name")


def files(told: Node) -> tuple[Node, ...]:
    return tuple(
        kept(
            id=text(each, "id"),
            media_type=text(each, "file_type"),
            url=text(each, "data_url"),
            size=count(each, "file_size"),
        )
        for each in objects(told, "attachments")
    )


def names(request: Request, person: Node) -> dict[str, str]:
    return kept(
        name=text(person, "name"),
        email=text(person, "email"),
        phone=phone(person.get("phone_number"), request.region),
    )


def address(who: tuple[Identity, ...], channel: str) -> str:
    """Where a reply goes: his address on the channel, otherwise through the desk."""
    wanted = {"webchat": "web", "sms": "phone", "voice": "phone"}.get(channel, channel)
    return next((each.text for kind in (wanted, "desk") for each in who if each.kind == kind), "")


def host(request: Request) -> str:
    found = text(request.settings, "host").lower()
    return found if HOST.match(found) else ""


def account_number(request: Request) -> str:
    return text(request.object, "account", "id")


def account(request: Request) -> str:
    here = f"{host(request)}-{account_number(request)}" if host(request) and account_number(request) else ""
    return text(request.settings, "account") or here or request.connection


def link(request: Request, talk: Node) -> str:
    here, owner = host(request), account_number(request)
    return f"https://{here}/app/accounts/{owner}/conversations/{number(talk)}" if here and owner else ""


VERIFY = one_of(
    "auth",
    signature=hmac_signature(
        header="X-Chatwoot-Signature",
        key_name="webhook_secret",
        prefix="sha256=",
        over="{ts}.{body}",
        timestamp_header="X-Chatwoot-Timestamp",
    ),
    path=path_secret(),
)


def delivery_key(request: Request) -> str | None:
    return request.header("X-Chatwoot-Delivery") or None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    talk = {"id": 1, "status": "open", "channel": "Channel::Api", "inbox_id": 1}
    body = {"event": "message_created", "id": 1, "content": "Test", "message_type": "outgoing", "conversation": talk}
    return VERIFY.sign(sample_request(url, settings, body | {"created_at": SAMPLED_AT}), secrets)


SOURCE = Source(
    name="Chatwoot",
    channel="webchat",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    dedupe=delivery_key,
    own_system=True,
    channels=tuple(sorted({*INBOXES.values(), "survey", "desk"} - {"webchat"})),
    settings={
        "auth": Setting("Authentication", default="signature", choices=VERIFY.choices, help="Older versions: path"),
        "host": Setting("Host name", help="Such as chat.tc.example: for links, and the scope of its contacts"),
        "inboxes": Setting("Channels of inboxes", type="object", help="Inbox number → channel, as for an API inbox"),
        "scopes": Setting("Accounts of inboxes", type="object", help="Inbox number → page, site, bot or number id"),
        "external_id": Setting("What identifier is", help="Such as shop:tc.example or loyalty:tc; default: a login"),
        "region": REGION,
    },
    secrets={
        "webhook_secret": Setting("Webhook secret", help="Of the webhook, shown where it is made"),
        "path_secret": Setting("Path secret", help="Behind the address, for versions that do not sign"),
    },
    grade="documented",
    unverified=(
        "signature and timestamp: as several receivers of others verify them",
        "that an API inbox signs with the secret that its API shows: reported otherwise",
        "types of a bot's sender in every version",
        "that the moment of an answered survey is the conversation's last change",
    ),
    setup=(
        "Under Settings, Integrations, Webhooks, add {hook_url} and choose message_created, message_updated, "
        "conversation_created, conversation_status_changed and contact_updated.",
        "Enter the webhook's secret. Where there is none, choose path and put a secret of your choice behind the address.",
        "For logged-in visitors switch on identity validation of the website inbox; switch on CSAT per inbox.",
        "An inbox of type API: name its channel in inboxes. Pages, bots and numbers that another connection knows "
        "too: name them in scopes.",
    ),
    docs="https://www.chatwoot.com/hc/user-guide/articles/1677693021-how-to-use-webhooks",
    sample=sample,
)
