"""Zammad: the webhook of a trigger, which tells of a ticket and of the article that set it off.

https://admin-docs.zammad.org/en/latest/manage/webhook/payload.html

One request may hold two facts: what was said, and that its ticket was made, closed or changed. A trigger
does not say which: the first article makes its ticket, the moment of closing names the closing, and a
request without an article is about the ticket alone.
Whoever wrote an article speaks for himself, also in somebody else's ticket; what colleagues write is
at the ticket's customer. A payload of one's own, without a ticket, yields nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import replies
from chalicelib.kit.fields import email, email_identity, instant, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import SAMPLED_AT, Request, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import joined, kept, objects, pick, required, text, texts
from chalicelib.kit.signatures import basic_auth, hmac_signature, path_secret, static_token
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "ticket.created": "ticket",
    "ticket.closed": "ticket",
    "ticket.updated": "ticket",
    "article.email": "email",
    "article.phone": "call",
    "article.fax": "fax",
    "article.reply": "message",
    "article.internal": "note",
}
ARTICLES = {
    "email": "email",
    "phone": "voice",
    "fax": "fax",
    "sms": "sms",
    "web": "web",
    "chat": "webchat",
    "twitter status": "x",
    "twitter direct-message": "x",
    "facebook feed post": "facebook",
    "facebook feed comment": "facebook",
    "telegram personal-message": "telegram",
    "whatsapp message": "whatsapp",
}
"""Types of articles → channels; a `note` is on the channel of its ticket."""
OWN_TYPE = frozenset({"email", "phone", "fax"})
ACTORS = {"customer": "customer", "agent": "agent"}
STAFF = frozenset({"Agent", "Admin"})
BRACKETED = pattern(r"<([^<>\s]{3,254})>")
HOST = pattern(r"[a-z0-9.-]{1,253}(?::[0-9]{1,5})?\Z")

Node = dict[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    ticket, article = part(request.object, "ticket"), part(request.object, "article")
    if not ticket:
        return
    if article.get("id"):
        yield said(request, ticket, article)
    if first_of(ticket, article):
        yield about_ticket(request, ticket, "created", required(ticket, "created_at"), article)
    elif closed(request, ticket):
        yield about_ticket(request, ticket, "closed", closing(ticket), article)
    elif not article.get("id"):
        yield about_ticket(request, ticket, "updated", required(ticket, "updated_at"), article)


def said(request: Request, ticket: Node, article: Node) -> Event:
    kind, actor = kind_of(article), actor_of(article)
    channel, private = channel_of(ticket, article), kind == "internal"
    who = people(request, ticket, article if actor == "customer" else {})
    body, subject = words(article), text(article, "subject")
    return Event(
        type=TYPES[f"article.{kind}"],
        channel=channel,
        direction="internal" if private else "in" if actor == "customer" else "out",
        actor=actor,
        object=f"article/{required(article, 'id')}",
        occurred_at=instant(article.get("created_at"), "article.created_at"),
        identities=who,
        refs=refs(request, ticket),
        summary=(subject or body or f"{'Note' if private else 'Article'} on ticket #{number(ticket)}")[:120],
        text=body,
        attachments=files(article),
        details=kept(number=number(ticket), subject=subject, kind=text(article, "type"), author=author(article, actor)),
        fields=names(request, author_of(ticket, article)) if actor == "customer" else {},
        link=link(request, ticket),
        provider_type=f"article.{kind}",
        address=address(who, channel),
        own_address=own_address(article, channel) if actor == "customer" else "",
    )


def about_ticket(request: Request, ticket: Node, change: str, moment: str, article: Node) -> Event:
    asked = change == "created" and actor_of(article) == "customer"
    told, channel = name_of(ticket.get("state")), channel_of(ticket, {})
    who, title = people(request, ticket, {}), text(ticket, "title")
    stated = told if change == "updated" and told else change
    return Event(
        type="ticket",
        channel=channel,
        direction="in" if asked else "internal",
        actor="customer" if asked else "agent",
        object=f"ticket/{required(ticket, 'id')}",
        version="created" if change == "created" else f"{stated}@{moment}",
        occurred_at=instant(moment, "ticket.updated_at"),
        identities=who,
        refs=refs(request, ticket),
        summary=f"Ticket #{number(ticket)} {stated}" + (f": {title}" if title else ""),
        details=ticket_details(ticket, change),
        fields=names(request, part(ticket, "customer")) if asked else {},
        link=link(request, ticket),
        provider_type=f"ticket.{change}",
        address=address(who, channel),
    )


def ticket_details(ticket: Node, change: str) -> Node:
    return kept(
        status="new" if change == "created" else name_of(ticket.get("state")),
        number=number(ticket),
        subject=text(ticket, "title"),
        priority=name_of(ticket.get("priority")),
        group=name_of(ticket.get("group")),
        change=change,
    )


def part(node: Any, *path: str) -> Node:
    found = pick(node, *path)
    return found if isinstance(found, dict) else {}


def name_of(found: Any) -> str:
    """States, priorities and groups come as a name or as an object with a name."""
    return text({"found": found}, "found") or text(found, "name")


def number(ticket: Node) -> str:
    return text(ticket, "number") or required(ticket, "id")


def first_of(ticket: Node, article: Node) -> bool:
    ids = ticket.get("article_ids")
    if not article.get("id"):
        return bool(ticket.get("created_at")) and ticket.get("created_at") == ticket.get("updated_at")
    return ids == [article["id"]] or (not isinstance(ids, list) and ticket.get("article_count") == 1)


def closed(request: Request, ticket: Node) -> bool:
    listed = request.settings.get("closed_states")
    states = listed if isinstance(listed, list) else ["closed", "merged"]
    return bool(closing(ticket)) and name_of(ticket.get("state")) in states


def closing(ticket: Node) -> str:
    return text(ticket, "last_close_at") or text(ticket, "close_at")


def kind_of(article: Node) -> str:
    """An article that nobody calls public is a note: nothing internal is shown as said to the customer."""
    if article.get("internal") is not False:
        return "internal"
    kind = name_of(article.get("type")).lower()
    return kind if kind in OWN_TYPE else "reply"


def actor_of(article: Node) -> str:
    """The system's own articles are its automatic answers."""
    return ACTORS.get(name_of(article.get("sender")).lower(), "system")


def channel_of(ticket: Node, article: Node) -> str:
    own = ARTICLES.get(name_of(article.get("type")).lower(), "")
    return own or ARTICLES.get(name_of(ticket.get("create_article_type")).lower(), "desk")


def author_of(ticket: Node, article: Node) -> Node:
    """Whose words these are: of whom an agent took them down, or of who wrote them."""
    writer = part(article, "created_by")
    who = text(article, "origin_by_id") or text(writer, "id") or text(article, "created_by_id")
    known = [part(ticket, "customer"), writer]
    return next((each for each in known if who and text(each, "id") == who), {"id": who})


def author(article: Node, actor: str) -> str:
    return full_name(part(article, "created_by")) if actor == "agent" else ""


def people(request: Request, ticket: Node, article: Node) -> tuple[Identity, ...]:
    """The customer who wrote the article, or else the customer of the ticket."""
    person = author_of(ticket, article) if article else part(ticket, "customer")
    if STAFF & set(texts(person, "roles")):
        return ()
    proven = A2_ATTESTED if person.get("verified") is True else A1_ASSERTED
    texting = name_of(article.get("type")).lower() == "sms"
    return present(
        scoped("desk", account(request), person.get("id") or text(ticket, "customer_id"), A2_ATTESTED),
        phone_identity(article.get("from"), request.region, A2_ATTESTED) if texting else None,
        email_identity(text(person, "email"), proven),
        phone_identity(person.get("mobile"), request.region, A1_ASSERTED),
        phone_identity(person.get("phone"), request.region, A1_ASSERTED),
    )


def refs(request: Request, ticket: Node) -> tuple[Ref, ...]:
    field = text(request.settings, "order_field")
    order = text(ticket, field).strip().lstrip("#") if field else ""
    found = (("thread", f"ticket/{required(ticket, 'id')}"), ("case", number(ticket)), ("order", order))
    return tuple(Ref(kind, value) for kind, value in found if value)


def words(article: Node) -> str:
    body, subject = text(article, "body"), text(article, "subject")
    markup = "html" in text(article, "content_type")
    return replies.words("" if markup else body, body if markup else "", subject=subject)


def files(article: Node) -> tuple[Node, ...]:
    return tuple(
        kept(
            id=text(each, "id"),
            name=text(each, "filename"),
            media_type=text(each, "preferences", "Mime-Type") or text(each, "preferences", "Content-Type"),
            url=text(each, "url"),
            size=int(size) if (size := text(each, "size")).isascii() and size.isdigit() and len(size) < 16 else None,
        )
        for each in objects(article, "attachments")
    )


def names(request: Request, person: Node) -> dict[str, str]:
    return kept(
        name=full_name(person),
        email=text(person, "email"),
        phone=phone(person.get("mobile") or person.get("phone"), request.region),
    )


def full_name(person: Node) -> str:
    return joined(person, "firstname", "lastname")


def address(who: tuple[Identity, ...], channel: str) -> str:
    """Where a reply goes: his mail address or number on those channels, otherwise through the desk."""
    wanted = {"email": "email", "sms": "phone", "voice": "phone"}.get(channel, "desk")
    return next((each.text for kind in (wanted, "desk") for each in who if each.kind == kind), "")


def own_address(article: Node, channel: str) -> str:
    told = text(article, "to")[:1000]
    found = BRACKETED.search(told)
    mine = email(found[1] if found else told) if channel == "email" else ""
    return f"email:{mine}" if mine else ""


def account(request: Request) -> str:
    return text(request.settings, "account") or text(request.settings, "fqdn") or request.connection


def link(request: Request, ticket: Node) -> str:
    host = text(request.settings, "fqdn").lower()
    return f"https://{host}/#ticket/zoom/{required(ticket, 'id')}" if HOST.match(host) else ""


VERIFY = one_of(
    "auth",
    signature=hmac_signature(header="X-Hub-Signature", key_name="signature_token", algorithm="sha1", prefix="sha1="),
    basic=basic_auth(),
    bearer=static_token(key_name="bearer_token"),
    path=path_secret(),
)


def delivery_key(request: Request) -> str | None:
    """The job, which stays the same when it tries again."""
    return request.header("X-Zammad-Delivery") or None


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    ticket = {"id": 1, "number": "10001", "title": "Test", "state": "new", "created_at": SAMPLED_AT}
    body = {"ticket": ticket | {"updated_at": SAMPLED_AT}, "article": {}}
    return VERIFY.sign(sample_request(url, settings, body, x_zammad_trigger="Test"), secrets)


SOURCE = Source(
    name="Zammad",
    channel="desk",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    dedupe=delivery_key,
    own_system=True,
    channels=tuple(sorted(set(ARTICLES.values()))),
    settings={
        "auth": Setting(
            "Authentication", default="signature", choices=VERIFY.choices, help="Without a signature token: path"
        ),
        "username": Setting("User name", help="For basic authentication"),
        "fqdn": Setting("Host name", help="Such as support.tc.example: for links, and the scope of its user ids"),
        "order_field": Setting("Field with the order number", help="Name of the ticket attribute"),
        "closed_states": Setting(
            "States that close a ticket", type="array", items="string", default=["closed", "merged"]
        ),
        "region": REGION,
    },
    secrets={
        "signature_token": Setting("HMAC SHA1 signature token", help="Of the webhook"),
        "password": Setting("Password", help="For basic authentication"),
        "bearer_token": Setting("Bearer token", help="For bearer authentication"),
        "path_secret": Setting("Path secret", help="Behind the address, for a webhook without any of these"),
    },
    grade="documented",
    unverified=(
        "that from of an sms article is the sender's number",
        "names of the article types of messengers",
        "basic and bearer authentication: newer versions only",
    ),
    setup=(
        "Under Manage, Webhook, make a webhook to {hook_url} with a signature token of your choice; enter it here. "
        "Leave its payload as it is.",
        "Under Manage, Trigger, make one for the action created and one for the action updated, both with this "
        "webhook; without conditions they tell of every article, internal ones included.",
        "Where no token can be set, choose path and put a secret of your choice behind the address.",
    ),
    docs="https://admin-docs.zammad.org/en/latest/manage/webhook/payload.html",
    sample=sample,
)
