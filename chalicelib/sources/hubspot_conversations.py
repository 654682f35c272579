"""HubSpot Conversations: webhooks that name threads and messages; `fetch` looks up what was said.

https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide
https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide

One request holds up to a hundred events, each with ids only. A visitor is known by his actor id, and is the
contact of the thread only where the two ids are the same: in a mail with several people the sender may be
somebody else. What we or a bot said is at the thread's contact. A message that cannot be looked up shows
as such, so that nobody takes it for not sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import replies
from chalicelib.kit.fields import email_identity, instant, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import REGION, Fetch, Secrets, Setting, Source
from chalicelib.model.event import CHANNELS, Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "conversation.newMessage": "message",
    "conversation.newMessage.comment": "note",
    "conversation.newMessage.missing": "system",
    "conversation.creation": "ticket",
    "conversation.propertyChange": "ticket",
    "conversation.deletion": "system",
    "conversation.privacyDeletion": "system",
}
CHANNEL_IDS = {"1000": "webchat", "1001": "messenger", "1002": "email", "1003": "web", "1007": "whatsapp"}
BY_IDENTIFIER = {"HS_EMAIL_ADDRESS": "email", "HS_PHONE_NUMBER": "sms", "HS_SHORT_CODE": "sms"}
"""Where the channel is none of these, by what it addresses people with."""
ACTORS = {"A": "agent", "B": "bot", "S": "bot", "I": "system"}
PROPERTIES = frozenset({"status", "assignedTo"})
MESSENGERS = frozenset({"messenger", "instagram", "whatsapp", "line", "telegram", "viber", "wechat", "x"})
NUMBER = pattern(r"[0-9]{1,20}\Z", re.ASCII)
MESSAGE = pattern(r"[A-Za-z0-9_-]{1,100}\Z", re.ASCII)
API = "https://api.hubapi.com"

Node = dict[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    for told in items(request):
        kind = text(told, "subscriptionType")
        if kind == "conversation.newMessage":
            yield message(request, told)
        elif kind == "conversation.creation":
            yield changed(request, told, "created", "")
        elif kind == "conversation.propertyChange" and text(told, "propertyName") in PROPERTIES:
            yield changed(request, told, text(told, "propertyName"), text(told, "propertyValue"))
        elif kind in ("conversation.deletion", "conversation.privacyDeletion"):
            yield deleted(request, told, kind)


def items(request: Request) -> list[Node]:
    """The events of the portal that the settings name."""
    wanted = text(request.settings, "portal_id")
    found = objects({"items": request.json}, "items")
    return [each for each in found if wanted in ("", text(each, "portalId"))]


def message(request: Request, told: Node) -> Event:
    said, thread = looked_up(request, "message", required(told, "messageId")), thread_of(request, told)
    if not said:
        return missing(request, told)
    comment, incoming = text(said, "type") == "COMMENT", text(said, "direction") == "INCOMING"
    channel, body = channel_of(request, said, thread), replies.words(text(said, "text"), text(said, "richText"))
    mine = incoming and not comment
    who = senders(request, told, said, thread, channel) if mine else contact(request, told, thread)
    subject = text(said, "subject")
    return Event(
        type="note" if comment else "message",
        channel=channel,
        direction="internal" if comment else "in" if mine else "out",
        actor="customer" if mine else actor_of(request, said),
        object=f"message/{required(told, 'messageId')}",
        occurred_at=instant(said.get("createdAt") or told.get("occurredAt"), "createdAt"),
        identities=who,
        refs=refs(told, thread),
        summary=(subject or body or "Message without text")[:120],
        text=body,
        attachments=files(said),
        details=details(said, mine),
        fields=kept(name=text(sender(said), "name")) if mine else {},
        link=link(told),
        provider_type="conversation.newMessage" + (".comment" if comment else ""),
        address=address(who, channel),
    )


def missing(request: Request, told: Node) -> Event:
    """Known by its id alone: deleted since, or the token may not read it."""
    return Event(
        type="system",
        channel="crm",
        direction="internal",
        actor="system",
        object=f"message/{required(told, 'messageId')}",
        version="missing",
        occurred_at=instant(told.get("occurredAt"), "occurredAt"),
        identities=contact(request, told, thread_of(request, told)),
        refs=refs(told, thread_of(request, told)),
        summary="Message that could not be looked up",
        details={"status": "missing"} | kept(kind=text(told, "messageType").lower()),
        link=link(told),
        provider_type="conversation.newMessage.missing",
    )


def changed(request: Request, told: Node, name: str, to: str) -> Event:
    """Made, closed, opened again or assigned."""
    thread, moment = thread_of(request, told), instant(told.get("occurredAt"), "occurredAt")
    state = to.lower() if name == "status" else text(thread, "status").lower()
    shown = {"created": "created", "status": state}.get(name, "assigned" if to else "unassigned")
    return Event(
        type="ticket",
        channel=channel_of(request, {}, thread),
        direction="internal",
        actor="system" if name == "created" else "agent",
        object=f"thread/{thread_id(told)}",
        version="created" if name == "created" else f"{name}:{to}@{moment}",
        occurred_at=moment,
        identities=contact(request, told, thread),
        refs=refs(told, thread),
        summary=f"Conversation {shown}",
        details=kept(
            status="new" if name == "created" else state,
            number=thread_id(told),
            change=name,
            assignee=to if name == "assignedTo" else text(thread, "assignedTo"),
        ),
        link=link(told),
        provider_type=text(told, "subscriptionType"),
    )


def deleted(request: Request, told: Node, kind: str) -> Event:
    moment, private = instant(told.get("occurredAt"), "occurredAt"), kind == "conversation.privacyDeletion"
    return Event(
        type="system",
        channel="crm",
        direction="internal",
        actor="system",
        object=f"thread/{thread_id(told)}",
        version=kind.rpartition(".")[2],
        occurred_at=moment,
        refs=(Ref("thread", thread_id(told)),),
        summary="Conversation deleted for privacy" if private else "Conversation deleted",
        details={"status": "deleted", "number": thread_id(told)},
        sensitive=private,
        provider_type=kind,
    )


def looked_up(request: Request, kind: str, number: str) -> Node:
    return request.found(f"{kind}:{number}")


def thread_id(told: Node) -> str:
    return required(told, "objectId")


def thread_of(request: Request, told: Node) -> Node:
    return looked_up(request, "thread", thread_id(told))


def channel_of(request: Request, said: Node, thread: Node) -> str:
    """By the settings, by the id of the channel, or by what it addresses people with."""
    number = text(said, "channelId") or text(thread, "originalChannelId")
    chosen = text(request.settings, "channels", number)
    by = BY_IDENTIFIER.get(text(sender(said), "deliveryIdentifier", "type"), "webchat")
    return chosen if chosen in CHANNELS else CHANNEL_IDS.get(number, by)


def actor_of(request: Request, said: Node) -> str:
    """By the letter of the actor's id; a welcome is the bot's."""
    by = text(sender(said), "actorId") or text(said, "createdBy")
    bots = request.settings.get("bots")
    if text(said, "type") == "WELCOME_MESSAGE" or (isinstance(bots, list) and by in bots):
        return "bot"
    return ACTORS.get(by.partition("-")[0], "agent")


def sender(said: Node) -> Node:
    """Of a forwarded mail whoever sent it here."""
    found = [each for each in objects(said, "senders") if text(each, "senderField") != "ORIGINAL_FROM"]
    return found[0] if found else {}


def senders(request: Request, told: Node, said: Node, thread: Node, channel: str) -> tuple[Identity, ...]:
    """Who wrote it: by what the channel knows, by his actor id, and as the contact if that is he."""
    by, associated = text(sender(said), "actorId"), text(thread, "associatedContactId")
    reached = reached_by(request, told, said, channel)
    if not by and not any(reached):
        return contact(request, told, thread)
    himself = contact(request, told, thread) if by == f"V-{associated}" else ()
    return present(scoped("desk", portal(request, told), by if by[:2] == "V-" else "", A2_ATTESTED), *himself, *reached)


def reached_by(request: Request, told: Node, said: Node, channel: str) -> tuple[Identity | None, ...]:
    """Mail and chats carry what somebody says; phone channels and messengers know it."""
    kind = text(sender(said), "deliveryIdentifier", "type")
    value = text(sender(said), "deliveryIdentifier", "value")
    if kind == "HS_EMAIL_ADDRESS":
        return (email_identity(value, A1_ASSERTED),)
    if kind == "HS_PHONE_NUMBER":
        proven = A2_ATTESTED if channel in ("sms", "whatsapp") else A1_ASSERTED
        return (phone_identity(value, request.region, proven),)
    line = text(said, "channelAccountId")
    scope = text(request.settings, "scopes", line) or f"{portal(request, told)}-{line}"
    named = kind == "CHANNEL_SPECIFIC_OPAQUE_ID" and channel in MESSENGERS
    return (scoped(channel, scope, value, A2_ATTESTED) if named else None,)


def contact(request: Request, told: Node, thread: Node) -> tuple[Identity, ...]:
    """The record that the CRM put the thread at."""
    scope = text(request.settings, "crm_connection") or portal(request, told)
    return present(scoped("crm", scope, thread.get("associatedContactId"), A2_ATTESTED))


def refs(told: Node, thread: Node) -> tuple[Ref, ...]:
    ticket = text(thread, "threadAssociations", "associatedTicketId")
    return (Ref("thread", thread_id(told)), *((Ref("case", ticket),) if ticket else ()))


def details(said: Node, mine: bool) -> Node:
    status = text(said, "status", "statusType").lower()
    return kept(
        subject=text(said, "subject"),
        author="" if mine else text(sender(said), "name"),
        status=status if status == "failed" else "",
        error=text(said, "status", "failureDetails", "errorMessage")[:200],
        shortened=True if text(said, "truncationStatus") == "TRUNCATED" else None,
    )


def files(said: Node) -> tuple[Node, ...]:
    return tuple(
        kept(id=text(each, "fileId"), name=text(each, "name"), url=text(each, "url"), kind=text(each, "fileUsageType"))
        for each in objects(said, "attachments")
        if text(each, "type") == "FILE"
    )


def address(who: tuple[Identity, ...], channel: str) -> str:
    """Where a reply goes: his address on the channel, otherwise through the CRM."""
    wanted = {"sms": "phone", "whatsapp": "phone"}.get(channel, channel)
    return next((each.text for kind in (wanted, "desk", "crm") for each in who if each.kind == kind), "")


def portal(request: Request, told: Node) -> str:
    return text(request.settings, "account") or text(told, "portalId") or request.connection


def link(told: Node) -> str:
    owner, number = text(told, "portalId"), thread_id(told)
    known = NUMBER.match(owner) and NUMBER.match(number)
    return f"https://app.hubspot.com/live-messages/{owner}/inbox/{number}" if known else ""


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """Each message, and its thread as it was then; of what was deleted there is nothing to ask."""
    keys = keys_of(secrets, "access_token")
    found = items(request) if keys and request.body else []
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    wanted: dict[str, tuple[str, str]] = {}
    for told in found:
        kind, thread, number = (text(told, name) for name in ("subscriptionType", "objectId", "messageId"))
        if NUMBER.match(thread) and kind in TYPES and not kind.lower().endswith("deletion"):
            version = text(told, "occurredAt")
            wanted.setdefault(f"thread:{thread}", (f"{thread}?association=TICKET", version))
            if kind == "conversation.newMessage" and MESSAGE.match(number):
                wanted[f"message:{number}"] = (f"{thread}/messages/{number}", version)
    base = text(request.settings, "api_path") or "/conversations/v3/conversations"
    for name, (path, version) in wanted.items():
        yield Fetch(name, f"{base}/threads/{path}", API, headers, version)


SIGNATURE = hmac_signature(
    header="X-HubSpot-Signature-v3",
    key_name="client_secret",
    encoding="base64",
    over="{method}{url}{body}{ts}",
    timestamp_header="X-HubSpot-Request-Timestamp",
    timestamp_unit="ms",
)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    event = {
        "eventId": 1,
        "subscriptionId": 1,
        "portalId": text(settings, "portal_id") or 1,
        "occurredAt": 1767265200000,
        "subscriptionType": "conversation.deletion",
        "attemptNumber": 0,
        "objectId": 1,
    }
    return SIGNATURE.sign(sample_request(url, settings, [event]), secrets)


SOURCE = Source(
    name="HubSpot Conversations",
    channel="webchat",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    fetch=fetch,
    own_system=True,
    channels=tuple(sorted({*CHANNEL_IDS.values(), *BY_IDENTIFIER.values(), "crm"} - {"webchat"})),
    settings={
        "portal_id": Setting("Portal id", help="What other accounts of the app send is ignored"),
        "base_url": Setting("API address", help="Default: api.hubapi.com; where messages are looked up"),
        "api_path": Setting("Path of the API", default="/conversations/v3/conversations", help="For a later version"),
        "crm_connection": Setting("Connection of the same CRM", help="So that its contacts are the same people"),
        "channels": Setting("Channels of channel ids", type="object", help="channelId → channel, for custom channels"),
        "scopes": Setting("Accounts of channel accounts", type="object", help="channelAccountId → page or account id"),
        "bots": Setting("Bots", type="array", items="string", help="Actor ids that are chatbots"),
        "region": REGION,
    },
    secrets={
        "client_secret": Setting("Client secret", required=True, help="Of the app: it signs every webhook"),
        "access_token": Setting("Access token", required=True, help="With scope conversations.read: for look-ups"),
    },
    grade="vendor vector",
    unverified=(
        "whether the address is signed as it is called or URL-decoded: the same for this hub's addresses",
        "ids of channels beyond 1000, 1001 and 1002, and the letters of actor ids beyond A and V",
        "that a visitor's actor id ends in the id of his contact: used only where the thread says so too",
        "association=TICKET on one thread, and the values of assignedTo",
        "how many events one request may hold",
    ),
    setup=(
        "In an app of your account with scope conversations.read, subscribe a webhook at {hook_url} to "
        "conversation.newMessage, conversation.creation, conversation.propertyChange of status and assignedTo, "
        "conversation.deletion and conversation.privacyDeletion.",
        "Enter the app's client secret, and an access token of the account: webhooks hold no words.",
        "If this CRM is a destination here too, name that connection in crm_connection.",
    ),
    docs="https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide",
    sample=sample,
)
