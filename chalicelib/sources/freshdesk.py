"""Freshdesk: webhooks of automation rules, which send what a rule's template says.

https://support.freshdesk.com/support/solutions/articles/132589-using-webhooks-in-automation-rules
https://developers.freshdesk.com/api/

A rule's webhook is neither signed nor numbered. With an API key `fetch` asks for the ticket, its last
replies and its ratings, whose own ids tell what is new; whatever it finds of a reply or a rating is told
again each time, so that nothing is lost when two webhooks come close together: the same fact is the same
event. The template's words and moment tell one webhook from the next, and count by themselves where there is
no key: a reply is then known by both.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import replies
from chalicelib.kit.fields import email_identity, instant, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import count, kept, objects, pick, required, text
from chalicelib.kit.signatures import basic_auth, keys_of, octets, path_secret, static_token
from chalicelib.kit.source import REGION, Fetch, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "ticket_created": "ticket",
    "ticket_updated": "ticket",
    "reply": "message",
    "note": "note",
    "satisfaction": "satisfaction",
}
TRIGGERED = pattern(r"\{?\s*(\w{1,40})\s*:\s*(?:\{\s*from\s*:\s*([^,{}]{0,80}),\s*to\s*:\s*)?([^,{}]{0,80})")
CREATED, NOTED, ANSWERED, RATED = "ticket_action", "note_type", "reply_sent", frozenset({"customer_feedback", "survey"})
STATUSES = {"2": "open", "3": "pending", "4": "resolved", "5": "closed"}
PRIORITIES = {"1": "low", "2": "medium", "3": "high", "4": "urgent"}
CHANNELS = {
    **dict.fromkeys(["1", "10", "email", "outbound email"], "email"),
    **dict.fromkeys(["2", "9", "portal", "feedback widget"], "web"),
    **dict.fromkeys(["3", "phone"], "voice"),
    **dict.fromkeys(["5", "twitter"], "x"),
    **dict.fromkeys(["6", "facebook"], "facebook"),
    **dict.fromkeys(["7", "chat"], "webchat"),
    **dict.fromkeys(["13", "whatsapp"], "whatsapp"),
}
SCORES = ("-103", "-102", "-101", "100", "101", "102", "103")
"""Codes of a rating, from extremely unhappy to extremely happy."""
NEWEST = 3
NUMBER = pattern(r"[0-9]{1,20}\Z", re.ASCII)
DOMAIN = pattern(r"[a-z0-9][a-z0-9-]{0,62}\Z")

Node = dict[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    kind = kind_of(request)
    if kind.startswith("ticket_"):
        yield ticket_changed(request, kind)
    elif kind in ("reply", "note"):
        found = objects(request.fetched, "conversations")
        newest = sorted(found, key=lambda each: text(each, "created_at"))[-NEWEST:]
        yield from (said(request, each) for each in newest)
        if not found:
            yield written(request, kind)
    elif kind == "satisfaction":
        yield from (rated(request, each) for each in objects(request.fetched, "ratings") if code_of(each) in SCORES)


def told(request: Request) -> Node:
    """The template, as written or as Freshdesk's simple form wraps it."""
    found = request.document
    inner = pick(found, "freshdesk_webhook")
    return inner if isinstance(inner, dict) else found if isinstance(found, dict) else {}


def kind_of(request: Request) -> str:
    """What the template says, or else what set off the rule."""
    named = text(told(request), "event")
    if named in TYPES:
        return named
    name, _, to = triggered(request)
    if name == NOTED:
        return "note" if to == "private" else "reply"
    if name == CREATED:
        return "ticket_created" if to == "created" else ""
    return "reply" if name == ANSWERED else "satisfaction" if name in RATED else "ticket_updated" if name else ""


def triggered(request: Request) -> tuple[str, str, str]:
    """(what, from, to) of `{ticket_action:created}` or `{status:{from:2,to:4}}`."""
    found = TRIGGERED.match(text(told(request), "triggered_event")[:300])
    return (found[1].lower(), (found[2] or "").strip(), found[3].strip()) if found else ("", "", "")


def ticket_changed(request: Request, kind: str) -> Event:
    number, first, who = ticket_id(request), kind == "ticket_created", people(request)
    moment, asked = moment_of(request, first), first and by_customer(request)
    what, before, after = triggered(request)
    state, subject = status(request), value(request, "subject")
    change = "created" if first else f"{what}:{after}" if what else state
    return Event(
        type="ticket",
        channel=channel_of(request),
        direction="in" if asked else "internal",
        actor="customer" if asked else "agent",
        object=f"ticket/{number}",
        version="created" if first else f"{change}@{moment}",
        occurred_at=moment,
        identities=who,
        refs=refs(request),
        summary=f"Ticket #{number} {'created' if first else state or 'changed'}" + (f": {subject}" if subject else ""),
        text=description(request) if first else "",
        details=ticket_details(request, kind) | kept(change="created" if first else what, previous=named(what, before)),
        fields=names(request) if asked else {},
        link=link(request),
        provider_type=kind,
        address=address(request, who),
    )


def ticket_details(request: Request, kind: str) -> Node:
    order = text(request.settings, "order_field")
    return kept(
        status="new" if kind == "ticket_created" else status(request),
        number=ticket_id(request),
        priority=named("priority", value(request, "priority")),
        subject=value(request, "subject"),
        kind=value(request, "type"),
        agent=text(told(request), "agent_name"),
        order=pick(request.found("ticket"), "custom_fields", order) if order else None,
    )


def said(request: Request, entry: Node) -> Event:
    """A reply or a note as the API has it."""
    mine, private = entry.get("incoming") is True, entry.get("private") is not False
    author, number = text(entry, "user_id"), ticket_id(request)
    who = people(request, author if mine else "")
    body = replies.words(text(entry, "body_text"), text(entry, "body"))
    return Event(
        type="note" if private else "message",
        channel=channel_of(request),
        direction="internal" if private else "in" if mine else "out",
        actor="customer" if mine else "agent",
        object=f"conversation/{required(entry, 'id')}",
        occurred_at=instant(entry.get("created_at"), "created_at", "UTC"),
        identities=who,
        refs=refs(request),
        summary=(body or f"{'Note' if private else 'Reply'} on ticket #{number}")[:120],
        text=body,
        attachments=files(entry),
        details=kept(number=number, subject=value(request, "subject"), agent=author if not mine else ""),
        fields=names(request) if mine and author in ("", requester_id(request)) else {},
        link=link(request),
        provider_type="note" if private else "reply",
        address=address(request, who),
    )


def written(request: Request, kind: str) -> Event:
    """A reply or a note as the template tells it: known by its moment and its words."""
    mine, private, number = by_customer(request), kind == "note", ticket_id(request)
    moment, who = moment_of(request), people(request)
    body = plain_words(text(told(request), "note" if private else "comment"))
    return Event(
        type=TYPES[kind],
        channel=channel_of(request),
        direction="internal" if private else "in" if mine else "out",
        actor="customer" if mine and not private else "agent",
        object=f"ticket/{number}/{kind}",
        version=f"{moment}#{digest(body, size=5)}",
        occurred_at=moment,
        identities=who,
        refs=refs(request),
        summary=(body or f"{'Note' if private else 'Reply'} on ticket #{number}")[:120],
        text=body,
        details=kept(number=number, subject=value(request, "subject"), author=text(told(request), "agent_name")),
        fields=names(request) if mine and not private else {},
        link=link(request),
        provider_type=kind,
        address=address(request, who),
    )


def rated(request: Request, rating: Node) -> Event:
    """Codes are no numbers to reckon with: their place from worst to best is the score."""
    number, code, comment = ticket_id(request), code_of(rating), plain_words(text(rating, "feedback"))
    moment = instant(rating.get("updated_at") or rating.get("created_at"), "updated_at", "UTC")
    score, survey = SCORES.index(code) + 1, f"rating/{required(rating, 'id')}"
    return Event(
        type="satisfaction",
        channel="survey",
        object=survey,
        version=f"{code}@{moment}",
        occurred_at=moment,
        identities=people(request),
        refs=(*refs(request), Ref("survey", survey)),
        summary=f"Rated ticket #{number}: {score} of {len(SCORES)}",
        text=comment,
        details={"score": score, "scale": [1, len(SCORES)], "survey": survey}
        | kept(comment=comment, code=code, subject_channel=channel_of(request), agent=text(rating, "agent_id")),
        link=link(request),
        provider_type="satisfaction",
    )


def code_of(rating: Node) -> str:
    return text(rating, "ratings", "default_question")


def ticket_id(request: Request) -> str:
    number = required(told(request), "ticket_id")
    if not NUMBER.match(number):
        raise PayloadMalformed("ticket_id is no number")
    return number


def value(request: Request, name: str) -> str:
    """A field of the ticket, as fetched or as the template has it."""
    return (text(request.found("ticket"), name) or text(told(request), f"ticket_{name}")).strip()


def named(what: str, found: str) -> str:
    codes = STATUSES if what == "status" else PRIORITIES if what == "priority" else {}
    return codes.get(found, found.lower())


def status(request: Request) -> str:
    """What a rule says that it became, before what the ticket has become since."""
    what, _, after = triggered(request)
    return named("status", after if what == "status" and after else value(request, "status"))


def moment_of(request: Request, first: bool = False) -> str:
    zone = text(request.settings, "time_zone") or "UTC"
    found, said_at = request.found("ticket"), told(request)
    created = found.get("created_at") or said_at.get("created_at") if first else None
    return instant(created or found.get("updated_at") or said_at.get("updated_at"), "updated_at", zone)


def by_customer(request: Request) -> bool:
    """A template says who; without a word, whoever asked made the ticket."""
    who = text(told(request), "by").lower()
    return who in ("customer", "requester") or (not who and kind_of(request) == "ticket_created")


def channel_of(request: Request) -> str:
    return CHANNELS.get(value(request, "source").lower(), "desk")


def refs(request: Request) -> tuple[Ref, ...]:
    field, number = text(request.settings, "order_field"), ticket_id(request)
    order = text(request.found("ticket"), "custom_fields", field) if field else ""
    order = (order or text(told(request), "order_number")).strip().lstrip("#")
    found = (("thread", f"ticket/{number}"), ("case", number), ("order", order))
    return tuple(Ref(kind, each) for kind, each in found if each)


def requester(request: Request) -> Node:
    """Of the ticket as fetched, or of the template."""
    found, template = pick(request.found("ticket"), "requester"), told(request)
    if isinstance(found, dict):
        return found
    return {name: text(template, f"requester_{name}") for name in ("id", "name", "email", "phone")}


def requester_id(request: Request) -> str:
    return text(request.found("ticket"), "requester_id") or text(requester(request), "id")


def people(request: Request, author: str = "") -> tuple[Identity, ...]:
    """The requester, or somebody in copy who wrote for himself."""
    if author and author != requester_id(request):
        return present(scoped("desk", account(request), author, A2_ATTESTED))
    person = requester(request)
    return present(
        scoped("desk", account(request), requester_id(request), A2_ATTESTED),
        email_identity(text(person, "email"), A1_ASSERTED),
        phone_identity(person.get("mobile"), request.region, A1_ASSERTED),
        phone_identity(person.get("phone"), request.region, A1_ASSERTED),
    )


def names(request: Request) -> dict[str, str]:
    person = requester(request)
    return kept(
        name=text(person, "name"),
        email=text(person, "email"),
        phone=phone(person.get("mobile") or person.get("phone"), request.region),
    )


def description(request: Request) -> str:
    return text(request.found("ticket"), "description_text").strip() or plain_words(value(request, "description"))


def plain_words(found: str) -> str:
    return replies.words("", found) if "<" in found else replies.words(found, "")


def files(entry: Node) -> tuple[Node, ...]:
    return tuple(
        kept(
            id=text(each, "id"),
            name=text(each, "name"),
            media_type=text(each, "content_type"),
            url=text(each, "attachment_url"),
            size=count(each, "size"),
        )
        for each in objects(entry, "attachments")
    )


def address(request: Request, who: tuple[Identity, ...]) -> str:
    """Where a reply goes: his mail address where the ticket came by mail, otherwise through the desk."""
    wanted = ("email", "desk") if channel_of(request) == "email" else ("desk", "email")
    return next((each.text for kind in wanted for each in who if each.kind == kind), "")


def domain(request: Request) -> str:
    found = text(request.settings, "domain").lower().removesuffix(".freshdesk.com")
    return f"{found}.freshdesk.com" if DOMAIN.match(found) else ""


def account(request: Request) -> str:
    return text(request.settings, "account") or domain(request) or request.connection


def link(request: Request) -> str:
    return f"https://{domain(request)}/a/tickets/{ticket_id(request)}" if domain(request) else ""


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """The ticket with its requester, and what the webhook is about."""
    keys, kind = keys_of(secrets, "api_key"), kind_of(request) if request.body else ""
    if not keys or not kind or not domain(request):
        return
    number, version = ticket_id(request), digest(request.body)
    headers = {"Authorization": f"Basic {base64.b64encode(octets(f'{keys[0]}:X')).decode()}"}
    paths = {"ticket": "?include=requester"}
    paths |= {"conversations": "/conversations?per_page=100"} if kind in ("reply", "note") else {}
    paths |= {"ratings": "/satisfaction_ratings"} if kind == "satisfaction" else {}
    for name, path in paths.items():
        yield Fetch(name, f"/api/v2/tickets/{number}{path}", f"https://{domain(request)}", headers, version)


VERIFY = one_of(
    "auth",
    basic=basic_auth(),
    header=static_token(header="X-Hub-Token", prefix="", key_name="token"),
    path=path_secret(),
)


TEMPLATE = (
    '{"event": "reply", "by": "customer", "triggered_event": "{{triggered_event}}", "ticket_id": "{{ticket.id}}", '
    '"ticket_subject": "{{ticket.subject}}", "ticket_description": "{{ticket.description}}", '
    '"ticket_status": "{{ticket.status}}", "ticket_priority": "{{ticket.priority}}", '
    '"ticket_source": "{{ticket.source}}", "ticket_type": "{{ticket.ticket_type}}", '
    '"requester_name": "{{ticket.requester.name}}", "requester_email": "{{ticket.requester.email}}", '
    '"agent_name": "{{ticket.agent.name}}", "comment": "{{ticket.latest_public_comment}}", '
    '"updated_at": "{{ticket.updated_at}}", "order_number": ""}'
)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = {"event": "reply", "ticket_id": "1", "comment": "Test", "updated_at": "2026-01-01T11:00:00Z"}
    return VERIFY.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Freshdesk",
    channel="desk",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    fetch=fetch,
    own_system=True,
    channels=tuple(sorted({*CHANNELS.values(), "survey"})),
    settings={
        "auth": Setting("Authentication", default="basic", choices=VERIFY.choices, help="How a rule's webhook does it"),
        "username": Setting("User name", help="For basic authentication"),
        "domain": Setting("Domain", required=True, help="tc of tc.freshdesk.com; also the scope of its contact ids"),
        "base_url": Setting("API address", help="Default: the domain's own; where tickets are looked up"),
        "time_zone": Setting("Time zone", default="UTC", help="Of moments in a template, as Europe/Amsterdam"),
        "order_field": Setting("Field with the order number", help="Name of the custom ticket field, as cf_order"),
        "region": REGION,
    },
    secrets={
        "password": Setting("Password", help="For basic authentication"),
        "token": Setting("Token", help="In the custom header X-Hub-Token"),
        "path_secret": Setting("Path secret", help="Behind the address, where neither can be set"),
        "api_key": Setting("API key", help="Of an agent who sees all tickets: for look-ups"),
    },
    grade="documented",
    unverified=(
        "forms of triggered_event other than ticket_action, note_type, status and priority",
        "that ticket.updated_at is a placeholder, and in which form and time zone it renders: time_zone",
        "that placeholders are escaped for JSON: seen in payloads that others kept",
        "codes of ticket sources for chat, social and messengers",
        "codes of ratings, and that a rating keeps its id when it is changed",
        "whether a webhook is sent again, and for how long",
    ),
    setup=(
        "Under Admin, Automations, make rules with the action Trigger webhook: POST to {hook_url}, JSON, advanced, with "
        "a user name and password of your choice; enter them here.",
        "One rule when a ticket is created (event ticket_created), and of those that run on updates one for replies "
        "by the requester (event reply, by customer), one for replies by agents (event reply, by agent), one for "
        "private notes (event note), one for status and priority (event ticket_updated) and one for feedback "
        "(event satisfaction).",
        "Content of each, with its own event and by: " + TEMPLATE,
        "Enter the API key of an agent: replies, notes, moments and requesters are then looked up. Without a key "
        "nobody is proven, no note has its words, no rating is told, and a moment without an offset is in time_zone.",
        "Leave comment and updated_at in: webhooks that say the same to the letter are taken for one look-up.",
    ),
    docs="https://support.freshdesk.com/support/solutions/articles/132589-using-webhooks-in-automation-rules",
    sample=sample,
)
