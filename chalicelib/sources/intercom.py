"""Intercom: conversations, tickets, contacts, consent and ratings, by topic.

https://developers.intercom.com/docs/webhooks

A conversation comes with its newest parts: the first message and each part is known by its own id, so
the same words by two topics are one event, and bodies are HTML. Its bot is `operator` or Fin; parts without
words (assignments, states) yield nothing of their own. A ticket is a case by the number that people see.
A contact's `external_id` is what the organisation's site says: it is verified only where identity
verification is enforced, and that of a lead is an id that Intercom made up. A merged contact does not
say who the other one was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chalicelib.kit import replies
from chalicelib.kit.fields import email_identity, instant, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import count, kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, path_secret
from chalicelib.kit.source import REGION, Answer, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, ANCHORS, Identity

TYPES = {
    "conversation.user.created": "message",
    "conversation.user.replied": "message",
    "conversation.admin.single.created": "message",
    "conversation.admin.replied": "message",
    "conversation.operator.replied": "message",
    "conversation.admin.noted": "note",
    "conversation.admin.closed": "ticket",
    "conversation.admin.opened": "ticket",
    "conversation.rating.added": "satisfaction",
    "conversation.rating.remarked": "satisfaction",
    "ticket.created": "ticket",
    "ticket.state.updated": "ticket",
    "ticket.closed": "ticket",
    "ticket.contact.replied": "message",
    "ticket.admin.replied": "message",
    "ticket.note.created": "note",
    "ticket.rating.provided": "satisfaction",
    "contact.user.created": "identify",
    "contact.user.updated": "identify",
    "contact.lead.created": "identify",
    "contact.lead.added_email": "identify",
    "contact.email.updated": "identify",
    "contact.merged": "identify",
    "contact.deleted": "system",
    "contact.subscribed": "consent",
    "contact.unsubscribed": "consent",
}
STATES = {"conversation.admin.closed": "closed", "conversation.admin.opened": "open"}
AUTHORS = {
    **dict.fromkeys(["user", "lead", "contact"], "customer"),
    **dict.fromkeys(["bot", "operator"], "bot"),
    **dict.fromkeys(["admin", "team"], "agent"),
}
CHANNELS = {
    **{name: name for name in ("email", "facebook", "instagram", "whatsapp", "sms")},
    **dict.fromkeys(["conversation", "messenger", "push"], "webchat"),
    **dict.fromkeys(["twitter", "x"], "x"),
    **dict.fromkeys(["phone_call", "phone_switch", "phone"], "voice"),
}
"""`messenger` is Intercom's own."""
INTERNAL = frozenset({"note", "note_and_reopen", "assignment", "assign_and_reopen"})
"""What is said with an assignment is said to a colleague."""
SPOKEN = INTERNAL | {"comment", "open", "close"}
"""Types of parts whose body somebody wrote; others are the system's own lines."""
CHATTED = frozenset({"quick_reply", "channel_and_reply_time_expectation", "custom_action_started"})
MADE_UP = pattern(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
NOTIFICATION = pattern(rb'"id"\s*:\s*"(notif_[0-9a-f-]{36})"')
SCALE = [1, 5]
NEWEST = 5

Node = dict[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    """`ping` and unknown topics yield nothing."""
    topic, wanted = text(request.object, "topic"), text(request.settings, "app_id")
    read = READERS.get(topic)
    if read and text(request.object, "app_id") in ("", wanted or text(request.object, "app_id")):
        yield from read(request, part(request.object, "data", "item"), topic)


def conversation(request: Request, item: Node, topic: str) -> Iterator[Event]:
    """The first message where nothing was said after it, otherwise the newest parts."""
    if topic in ("conversation.user.created", "conversation.admin.single.created"):
        first = opening(item)
        yield from spoken(request, item, first | {"created_at": item.get("created_at"), "part_type": "comment"}, True)
    for each in objects(item, "conversation_parts", "conversation_parts")[-NEWEST:]:
        yield from spoken(request, item, each)


def opening(item: Node) -> Node:
    return part(item, "source") or part(item, "conversation_message")


def spoken(request: Request, item: Node, said: Node, first: bool = False) -> Iterator[Event]:
    """One part that somebody wrote; lines of the system's own yield nothing."""
    known_kinds = SPOKEN | CHATTED if author_of(said) == "bot" else SPOKEN
    if text(said, "part_type") in known_kinds and (text(said, "body") or attachments(said)):
        yield part_event(request, item, said, first)


def author_of(said: Node) -> str:
    return AUTHORS.get(text(said, "author", "type"), "system")


def part_event(request: Request, item: Node, said: Node, first: bool) -> Event:
    """By who wrote it, not by the topic that brought it."""
    body, actor, private = replies.text_of(text(said, "body")), author_of(said), text(said, "part_type") in INTERNAL
    channel, subject, writer = channel_of(item), subject_of(item), part(said, "author")
    who = people(request, item, writer if actor == "customer" else {})
    redacted = said.get("redacted") is True
    return Event(
        type="note" if private else "message",
        channel=channel,
        direction="internal" if private else "in" if actor == "customer" else "out",
        actor=actor,
        object=f"part/{required(said, 'id')}",
        version="redacted" if redacted else "",
        occurred_at=instant(said.get("created_at"), "created_at"),
        identities=who,
        refs=refs(item),
        summary=(subject or body or "Message without text")[:120],
        text=body,
        attachments=attachments(said),
        details=part_details(item, "" if actor == "customer" else text(writer, "name"), redacted),
        fields=names(request, writer) if actor == "customer" else {},
        link=link(request, required(item, "id")),
        provider_type=topic_of(item, actor, private, first),
        address=address(who, channel),
    )


def part_details(item: Node, author: str, redacted: bool) -> Node:
    status = "deleted" if redacted else ""
    return kept(number=shown_number(item), subject=subject_of(item), author=author, status=status)


def topic_of(item: Node, actor: str, private: bool, first: bool) -> str:
    """The topic that this part would come by itself, so that it is the same by whatever topic."""
    if text(item, "type") == "ticket":
        return f"ticket.{'note.created' if private else 'contact.replied' if actor == 'customer' else 'admin.replied'}"
    if actor == "customer":
        return "conversation.user.created" if first else "conversation.user.replied"
    if actor == "bot":
        return "conversation.operator.replied"
    return "conversation.admin." + ("noted" if private else "single.created" if first else "replied")


def state_changed(request: Request, item: Node, topic: str) -> Iterator[Event]:
    """Closed or opened again, with the words that somebody added to it."""
    moment, who, channel = moment_of(request, item), people(request, item, {}), channel_of(item)
    state = STATES[topic]
    yield from conversation(request, item, topic)
    yield Event(
        type="ticket",
        channel=channel,
        direction="internal",
        actor="agent",
        object=f"conversation/{required(item, 'id')}",
        version=f"{state}@{moment}",
        occurred_at=moment,
        identities=who,
        refs=refs(item),
        summary=f"Conversation {'closed' if state == 'closed' else 'opened'}",
        details={"status": state} | kept(number=shown_number(item), assignee=text(item, "admin_assignee_id")),
        link=link(request, required(item, "id")),
        provider_type=topic,
        address=address(who, channel),
    )


def ticket_changed(request: Request, item: Node, topic: str) -> Iterator[Event]:
    ticket, first = ticket_of(item), topic == "ticket.created"
    moment = instant(ticket.get("created_at"), "created_at") if first else moment_of(request, ticket)
    state = text(ticket, "ticket_state", "category") or text(ticket, "ticket_state").lower()
    state = "closed" if topic == "ticket.closed" else "new" if first else state
    who, channel, title = people(request, ticket, {}), channel_of(ticket), attribute(ticket, "title")
    yield Event(
        type="ticket",
        channel=channel,
        direction="internal",
        actor="system" if first else "agent",
        object=f"ticket/{required(ticket, 'id')}",
        version="created" if first else f"{state}@{moment}",
        occurred_at=moment,
        identities=who,
        refs=refs(ticket),
        summary=f"Ticket #{shown_number(ticket)} {'created' if first else state}" + (f": {title}" if title else ""),
        text=attribute(ticket, "description") if first else "",
        details=kept(
            status=state, number=shown_number(ticket), subject=title, kind=text(ticket, "ticket_type", "name")
        ),
        link=link(request, required(ticket, "id")),
        provider_type=topic,
        address=address(who, channel),
    )


def ticket_part(request: Request, item: Node, topic: str) -> Iterator[Event]:
    yield from spoken(request, ticket_of(item) | {"type": "ticket"}, part(item, "ticket_part"))


def rated(request: Request, item: Node, topic: str) -> Iterator[Event]:
    """One to five, of a conversation or a ticket; a remark comes later and with the same rating."""
    subject = ticket_of(item)
    rating = part(subject, "conversation_rating") or part(subject, "ticket_rating") or part(item, "rating")
    score, remark = text(rating, "rating"), replies.text_of(text(rating, "remark"))
    if score not in ("1", "2", "3", "4", "5"):
        return
    told_at = request.object.get("created_at")
    moment = rating.get("updated_at") or (told_at if remark else rating.get("created_at")) or told_at
    number, survey = shown_number(subject), f"rating/{required(subject, 'id')}"
    yield Event(
        type="satisfaction",
        channel="survey",
        object=survey,
        version=f"{score}:remarked" if remark else score,
        occurred_at=instant(moment, "created_at"),
        identities=people(request, subject, {}),
        refs=(*refs(subject), Ref("survey", survey)),
        summary=f"Rated conversation {number}: {score} of 5",
        text=remark,
        details={"score": int(score), "scale": SCALE, "survey": survey}
        | kept(comment=remark, subject_channel=channel_of(subject), agent=text(rating, "teammate", "id")),
        link=link(request, required(subject, "id")),
        provider_type=topic,
    )


def contact_changed(request: Request, item: Node, topic: str) -> Iterator[Event]:
    person = part(item, "contact") or item
    moment = person.get("created_at" if topic.endswith(".created") else "updated_at")
    moment = instant(moment or request.object.get("created_at"), "updated_at")
    yield Event(
        type="identify",
        channel="desk",
        actor="system",
        object=f"contact/{required(person, 'id')}",
        version=moment,
        occurred_at=moment,
        identities=known(request, person),
        summary="Contacts merged" if topic == "contact.merged" else "",
        fields=names(request, person),
        provider_type=topic,
    )


def contact_deleted(request: Request, item: Node, topic: str) -> Iterator[Event]:
    number, moment = required(item, "id"), instant(request.object.get("created_at"), "created_at")
    yield Event(
        type="system",
        channel="desk",
        direction="internal",
        actor="system",
        object=f"contact/{number}",
        version="deleted",
        occurred_at=moment,
        identities=present(scoped("desk", account(request), number, A2_ATTESTED)),
        summary="Contact deleted at the desk",
        details={"status": "deleted", "user": number},
        sensitive=True,
        provider_type=topic,
    )


def consent(request: Request, item: Node, topic: str) -> Iterator[Event]:
    """Mail that he no longer wants, or wants again."""
    person, answer = part(item, "contact") or item, "granted" if topic == "contact.subscribed" else "denied"
    moment = instant(item.get("created_at") or request.object.get("created_at"), "created_at")
    yield Event(
        type="consent",
        channel="email",
        actor="customer",
        object=f"contact/{required(person, 'id')}/email",
        version=f"{answer}@{moment}",
        occurred_at=moment,
        identities=known(request, person),
        summary=f"Mail {'wanted' if answer == 'granted' else 'no longer wanted'}",
        details={"medium": "email", "status": answer},
        fields=names(request, person) | {"consent_email": answer},
        provider_type=topic,
    )


def readers() -> Iterator[tuple[str, Callable[[Request, Node, str], Iterator[Event]]]]:
    for topic, kind in TYPES.items():
        if topic in STATES:
            yield topic, state_changed
        elif topic == "contact.deleted":
            yield topic, contact_deleted
        elif kind in ("message", "note"):
            yield topic, ticket_part if topic.startswith("ticket.") else conversation
        else:
            yield topic, BY_TYPE[kind]


BY_TYPE = {"ticket": ticket_changed, "satisfaction": rated, "identify": contact_changed, "consent": consent}
READERS = dict(readers())


def part(node: Any, *path: str) -> Node:
    found = pick(node, *path)
    return found if isinstance(found, dict) else {}


def ticket_of(item: Node) -> Node:
    """Topics about a part of a ticket wrap the ticket."""
    return part(item, "ticket") if text(item, "type") != "conversation" and part(item, "ticket") else item


def shown_number(item: Node) -> str:
    return text(item, "ticket_id") or required(item, "id")


def attribute(ticket: Node, name: str) -> str:
    return replies.text_of(text(ticket, "ticket_attributes", f"_default_{name}_"))


def subject_of(item: Node) -> str:
    return replies.text_of(text(opening(item), "subject")) or attribute(item, "title")


def moment_of(request: Request, item: Node) -> str:
    return instant(item.get("updated_at") or request.object.get("created_at"), "updated_at")


def channel_of(item: Node) -> str:
    kind = text(opening(item), "type") or text(item, "channel")
    return CHANNELS.get(kind.lower(), "webchat")


def refs(item: Node) -> tuple[Ref, ...]:
    number, told = required(item, "id"), text(item, "ticket_id") or text(item, "ticket", "ticket_id")
    return (Ref("thread", number), *((Ref("case", told),) if told else ()))


def people(request: Request, item: Node, author: Node) -> tuple[Identity, ...]:
    """Who wrote it, or else whose conversation it is: of several contacts, nobody in particular."""
    listed = objects(item, "contacts", "contacts") or objects({"user": [item.get("user")]}, "user")
    writer = text(author, "id")
    person = next((each for each in listed if text(each, "id") == writer), None) if writer else None
    if writer:
        return known(request, (person or {}) | {"id": writer} | kept(email=text(author, "email")))
    opener = part(opening(item), "author")
    mine = listed[0] if len(listed) == 1 else {}
    more = kept(email=text(opener, "email")) if mine and text(opener, "id") == text(mine, "id") else {}
    return known(request, mine | more)


def known(request: Request, person: Node) -> tuple[Identity, ...]:
    return present(
        scoped("desk", account(request), person.get("id"), A2_ATTESTED),
        known_outside(request, person),
        email_identity(text(person, "email"), A1_ASSERTED),
        phone_identity(person.get("phone"), request.region, A1_ASSERTED),
    )


def known_outside(request: Request, person: Node) -> Identity | None:
    """What the site said who this is. A lead's is made up by Intercom, and says nothing."""
    kind, _, scope = text(request.settings, "external_id").partition(":")
    if kind not in ANCHORS or not scope:
        kind, scope = "login", account(request)
    value, role = text(person, "external_id") or text(person, "user_id"), text(person, "role") or text(person, "type")
    enforced = request.settings.get("identity_verification") is True
    if role == "lead" or (role != "user" and MADE_UP.match(value)):
        return None
    return scoped(kind, scope, value, A3_VERIFIED if enforced else A1_ASSERTED)


def attachments(said: Node) -> tuple[Node, ...]:
    return tuple(
        kept(
            name=text(each, "name"),
            media_type=text(each, "content_type"),
            url=text(each, "url"),
            size=count(each, "filesize"),
        )
        for each in objects(said, "attachments")
    )


def names(request: Request, person: Node) -> dict[str, str]:
    return kept(
        name=text(person, "name"),
        email=text(person, "email"),
        phone=phone(person.get("phone"), request.region),
        language=text(person, "language_override"),
    )


def address(who: tuple[Identity, ...], channel: str) -> str:
    """Where a reply goes: his mail address where it came by mail, otherwise through the desk."""
    wanted = ("email", "desk") if channel == "email" else ("desk", "email")
    return next((each.text for kind in wanted for each in who if each.kind == kind), "")


def account(request: Request) -> str:
    return text(request.settings, "account") or text(request.object, "app_id") or request.connection


def link(request: Request, number: str) -> str:
    app = text(request.object, "app_id")
    return f"https://app.intercom.com/a/apps/{app}/conversations/{number}" if app.isalnum() and number.isalnum() else ""


SIGNATURE = hmac_signature(header="X-Hub-Signature", key_name="client_secret", algorithm="sha1", prefix="sha1=")
KNOWN_ADDRESS = path_secret()


def address_check(request: Request, secrets: Secrets) -> Answer | None:
    """The unsigned HEAD request that checks the address is answered at the secret one only."""
    asked = request.method == "HEAD" and KNOWN_ADDRESS(request, secrets) is None
    return Answer("") if asked else None


def delivery_key(request: Request) -> str | None:
    """Read off the bytes: this never raises."""
    found = NOTIFICATION.search(request.body)
    return found[1].decode() if found else None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"type":"notification_event","app_id":"","topic":"conversation.admin.single.created","created_at":1767265200,'
        b'"data":{"type":"notification_event_data","item":{"type":"conversation","id":"1","created_at":1767265200,'
        b'"source":{"type":"conversation","id":"1","body":"<p>Test</p>","author":{"type":"admin","id":"1"}}}}}'
    )
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Intercom",
    channel="webchat",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    handshake=address_check,
    handshake_first=True,
    dedupe=delivery_key,
    own_system=True,
    channels=tuple(sorted({*CHANNELS.values(), "survey", "desk"} - {"webchat"})),
    settings={
        "app_id": Setting("Workspace id", help="What other workspaces of the app send is ignored"),
        "account": Setting("Scope of contact ids", help="Default: the workspace id"),
        "external_id": Setting("What external_id is", help="Such as shop:tc.example or loyalty:tc; default: a login"),
        "identity_verification": Setting(
            "Identity verification is enforced", type="boolean", default=False, help="Then external_id is proven"
        ),
        "region": REGION,
    },
    secrets={
        "client_secret": Setting("Client secret", required=True, help="Of the app, under Basic information"),
        "path_secret": Setting("Path secret", help="A word of your choice behind the address, which Intercom checks"),
    },
    grade="documented",
    unverified=(
        "payloads of conversation.rating.*, and of ticket.rating.provided altogether",
        "that the parts in a conversation are the newest, and which part_type a bot's words have",
        "names of channels other than conversation, email and messenger",
        "that the address is checked by a HEAD request without a signature",
        "that a merged contact is named only by what remains of it",
    ),
    setup=(
        "In the Developer Hub, under Basic information of your app, copy the client secret: it signs every webhook. "
        "Enter it, and a path secret of your choice.",
        "Under Webhooks enter {hook_url} with a slash and the path secret behind it, which Intercom checks with a "
        "request that it does not sign. Subscribe to the topics that are listed here as types.",
        "If the messenger enforces identity verification, switch identity_verification on; say in external_id which "
        "system the user ids are from, such as shop:tc.example.",
    ),
    docs="https://developers.intercom.com/docs/webhooks",
    sample=sample,
)
