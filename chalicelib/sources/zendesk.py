"""Zendesk: webhooks subscribed to events, and webhooks of triggers that send our template.

https://developer.zendesk.com/api-reference/webhooks/event-types/webhook-event-types/
https://developer.zendesk.com/documentation/webhooks/verifying/

Webhooks carry ids and no addresses: `fetch` asks the Users and Tickets APIs. A ticket is a case, a
messaging conversation a thread. What an agent or a rule did in a ticket that names a conversation
or an order of another connection carries no identity: that reference places it, because the desk's
requester may be a copy of somebody whom the other system knows better.
The first comment of a ticket is its description: the event that created it shows the text.
What was missed is read off the incremental export of ticket events, whose form is another: new tickets and comments
have the ids of their webhooks, but a comment's moment is the update's, to the second, where a webhook has its own; a
ticket is told as it is now, and an agent's answer without what the desk verified of the customer. Changes of status
and the like have no id there that a webhook shows, and are left out.
In the help centre everybody reads along: each customer's part of a post or an article is a thread of his own,
and an agent's answer is in the thread of whoever began the post. What agents publish is about nobody.
Longer than most sources: two kinds of webhook, five domains of events and three kinds of survey.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

import msgspec
from msgspec.structs import replace

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import replies
from chalicelib.kit.fields import email_identity, instant, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of, octets
from chalicelib.kit.source import REGION, Fetch, Listed, Listing, Missed, Page, Secrets, Setting, Source, Told, Window
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, A3_VERIFIED, ANCHORS, Identity

TYPES = {
    "ticket.created": "ticket",
    "ticket.status_changed": "ticket",
    "ticket.priority_changed": "ticket",
    "ticket.requester_changed": "ticket",
    "ticket.merged": "ticket",
    "ticket.comment_added": "message",
    "ticket.comment_added.private": "note",
    "messaging_ticket.message_added": "message",
    "user.created": "identify",
    "user.name_changed": "identify",
    "user.identity_created": "identify",
    "user.identity_changed": "identify",
    "user.identity_deleted": "identify",
    "user.external_id_changed": "identify",
    "user.merged": "identify",
    "user.deleted": "system",
    "user.active_changed": "system",
    "user.suspended_changed": "system",
    "article.comment_created": "message",
    "article.comment_changed": "message",
    "article.vote_created": "visit",
    "article.vote_changed": "visit",
    "community_post.created": "message",
    "community_post.comment_created": "message",
    "community_post.comment_changed": "message",
    "ticket.csat_requested": "satisfaction",
    "ticket.csat_received": "satisfaction",
    "trigger.ticket": "ticket",
    "trigger.comment": "message",
    "trigger.comment.private": "note",
    "trigger.satisfaction": "satisfaction",
    "survey": "satisfaction",
}
EVENT = pattern(r"zen:event-type[:/]")
EVENT_ID = pattern(rb'"id"\s*:\s*"([0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')
SUBDOMAIN = pattern(r"[a-z0-9][a-z0-9-]{0,62}\Z")
NUMBER = pattern(r"[0-9]{1,20}\Z", re.ASCII)
CHANGED = {
    "user.name_changed": ("name",),
    "user.identity_created": ("email", "phone"),
    "user.identity_changed": ("email", "phone"),
    "user.identity_deleted": ("email", "phone"),
    "user.external_id_changed": (),
}
"""What changed of a user; of every other event, all."""
USER_STATES = {
    "user.active_changed": ("reactivated", "deactivated"),
    "user.suspended_changed": ("suspended", "no longer suspended"),
}
VOTES = {"1": "helpful", "up": "helpful", "-1": "not helpful", "down": "not helpful"}
NO_USER = frozenset({"", "-1", "0"})
RULES = frozenset({"rule", "system", "trigger", "automation"})
VIA = {
    **dict.fromkeys(["email", "mail"], "email"),
    **dict.fromkeys(["web", "web form", "web_form", "help_center", "closed ticket"], "web"),
    **dict.fromkeys(["chat", "native_messaging", "messaging", "web_messenger", "web_widget"], "webchat"),
    **dict.fromkeys(["voice", "phone", "voicemail"], "voice"),
    **dict.fromkeys(["sms", "text"], "sms"),
    **dict.fromkeys(["messenger", "facebook_messenger"], "messenger"),
    **dict.fromkeys(["instagram", "instagram_dm"], "instagram"),
    **dict.fromkeys(["twitter", "twitter_dm", "x", "x_dm"], "x"),
    **{name: name for name in ("whatsapp", "facebook", "line", "wechat", "telegram", "viber", "slack")},
}

Node = dict[str, Any]


def normalize(request: Request) -> Iterator[Event]:
    """A webhook without a body (GET, DELETE) says nothing that we could show."""
    if not request.body:
        return
    kind = kind_of(request)
    if from_export(request, kind):
        request.looked_up("ticket", "the export names the ticket only")
    if kind == "survey" or (kind == "trigger.satisfaction" and surveyed(request)):
        yield from survey_answers(request)
    elif kind == "trigger.satisfaction":
        yield from rating(request)
    elif kind in ("ticket.comment_added", "trigger.comment"):
        yield from comment(request, kind)
    elif kind == "messaging_ticket.message_added":
        yield from chat(request)
    elif kind == "user.deleted" or kind in USER_STATES:
        yield from removed(request, kind)
    elif kind.startswith("ticket.csat_"):
        yield from surveyed_by_event(request, kind)
    elif kind.startswith("article.vote_"):
        yield from vote(request, kind)
    elif in_help_centre(kind):
        yield from entry(request, kind)
    elif kind in TYPES and kind.startswith("user."):
        yield from person_changed(request, kind)
    elif kind in TYPES:
        yield from ticket_changed(request, kind)


def kind_of(request: Request) -> str:
    """The event's name without its prefix, `trigger.` and what our template says, or nothing."""
    told = text(request.object, "type")
    if told and told == text(request.settings, "survey_event"):
        return "survey"
    if EVENT.match(told):
        return EVENT.sub("", told, count=1)
    named = text(request.object, "event")
    return f"trigger.{named}" if named in ("ticket", "comment", "satisfaction") else ""


def ticket_changed(request: Request, kind: str) -> Iterator[Event]:
    ticket, moment = ticket_of(request), moment_of(request)
    by = text(ticket, "actor_id") or text(ticket, "submitter_id")
    if ours(request, by):
        return
    number, actor, change = ticket_id(ticket), actor_of(request, ticket, by), kind.partition(".")[2]
    first, who = change == "created", people(request, ticket, actor)
    yield Event(
        type="ticket",
        channel=channel_of(ticket),
        direction="in" if first and actor == "customer" else "internal",
        actor=actor,
        object=number,
        version="created" if first else version_of(request, f"{change}:{current(request)}@{moment}"),
        occurred_at=instant(ticket["created_at"], "created_at") if first and ticket.get("created_at") else moment,
        identities=who,
        refs=refs_of(request, ticket),
        summary=ticket_summary(request, ticket, change),
        text=text(ticket, "description") if first else "",
        details=ticket_details(request, ticket, change),
        fields=names(request, person_of(request, ticket)) if actor == "customer" else {},
        link=link_of(request, number),
        provider_type=kind,
        address=address_of(ticket, who),
    )


def ticket_summary(request: Request, ticket: Node, change: str) -> str:
    number, subject = ticket_id(ticket), text(ticket, "subject")
    if change in ("created", "ticket"):
        told = change if change == "created" else text(ticket, "status").lower() or "updated"
        return f"Ticket #{number} {told}" + (f": {subject}" if subject else "")
    if change == "merged":
        return f"Ticket #{number} merged"
    before = text(request.object, "event", "previous").lower()
    name = change.removesuffix("_changed")
    return f"Ticket #{number} {name}: " + " → ".join(part for part in (before, current(request)) if part)


def ticket_details(request: Request, ticket: Node, change: str) -> Node:
    return kept(
        status=text(ticket, "status").lower(),
        number=ticket_id(ticket),
        priority=text(ticket, "priority").lower(),
        subject=text(ticket, "subject"),
        change=change,
        previous=text(request.object, "event", "previous").lower(),
        assignee=text(ticket, "assignee_id") if text(ticket, "assignee_id") not in NO_USER else "",
    )


def comment(request: Request, kind: str) -> Iterator[Event]:
    """A reply by either side, or an agent's note."""
    ticket, told = ticket_of(request), said(request)
    author, private = text(told, "author", "id") or text(told, "author_id"), hidden(told)
    if ours(request, author) or first_words(request, ticket, told):
        return
    number, moment, actor = ticket_id(ticket), moment_of(request), author_of(request, ticket, told, author)
    ticket = spoken_by(ticket, author) if actor == "customer" else ticket
    who = people(request, ticket, actor)
    yield Event(
        type="note" if private else "message",
        channel=channel_of(ticket),
        direction="internal" if private else "in" if actor == "customer" else "out",
        actor=actor,
        object=f"comment/{text(told, 'id') or number}",
        version="" if text(told, "id") else version_of(request, moment),
        occurred_at=moment,
        identities=who,
        refs=refs_of(request, ticket),
        summary=f"{'Note' if private else 'Reply'} on ticket #{number}",
        text=text(told, "body"),
        details=kept(author=author_name(request, told, author), status=text(ticket, "status").lower()),
        fields=names(request, person_of(request, ticket)) if actor == "customer" else {},
        link=link_of(request, number),
        provider_type=f"{kind}.private" if private else kind,
        address=address_of(ticket, who),
    )


def said(request: Request) -> Node:
    found = pick(request.object, "event", "comment") or section(request, "comment")
    return found if isinstance(found, dict) else {}


def hidden(told: Node) -> bool:
    """A comment that nobody calls public is a note: nothing internal is shown as said to the customer."""
    return str(told.get("is_public")).lower() != "true"


def first_words(request: Request, ticket: Node, told: Node) -> bool:
    """Whether this comment is the description of a ticket that was made just now."""
    described, born = text(ticket, "description").strip(), text(ticket, "created_at")
    same_moment = bool(born) and born == text(ticket, "updated_at")
    return same_moment and bool(EVENT.match(text(request.object, "type"))) and text(told, "body").strip() == described


def author_of(request: Request, ticket: Node, told: Node, author: str) -> str:
    writer = writer_of(request, author)
    staff = not served(writer) if writer else pick(told, "author", "is_staff")
    if author in NO_USER or not isinstance(staff, bool):
        return actor_of(request, ticket, author)
    return "agent" if staff else "customer"


def writer_of(request: Request, author: str) -> Node:
    """Of a comment that was listed, which tells no more of him than his id."""
    found = pick(request.fetched.get("user"), "user")
    listed = from_export(request, kind_of(request)) and text(found, "id") == author
    return dict(found) if listed and isinstance(found, dict) else {}


def author_name(request: Request, told: Node, author: str) -> str:
    return text(told, "author", "name") or text(writer_of(request, author), "name")


def spoken_by(ticket: Node, number: str) -> Node:
    """As if he had asked for it: somebody in copy speaks for himself, not for the requester."""
    return ticket | {"requester_id": number}


def chat(request: Request) -> Iterator[Event]:
    """One message of a messaging conversation."""
    ticket, change = ticket_of(request), request.object.get("event")
    actor, by = speaker(request, change), text(change, "actor", "id")
    if not actor or ours(request, by):
        return
    if actor == "customer" and not text(ticket, "requester_id"):
        ticket = spoken_by(ticket, by)
    number, moment, who = ticket_id(ticket), moment_of(request), people(request, ticket, actor)
    yield Event(
        type="message",
        channel=channel_of(ticket, "webchat"),
        direction="in" if actor == "customer" else "out",
        actor=actor,
        object=required(change, "message", "id"),
        occurred_at=moment,
        identities=who,
        refs=refs_of(request, ticket, text(change, "conversation_id")),
        summary=text(change, "message", "body")[:120] or "Message without text",
        text=text(change, "message", "body"),
        details=kept(author=text(change, "actor", "name") if actor != "customer" else ""),
        fields=names(request, person_of(request, ticket)) if actor == "customer" else {},
        link=link_of(request, number),
        provider_type="messaging_ticket.message_added",
        address=address_of(ticket, who),
    )


def speaker(request: Request, change: Any) -> str:
    """Our actor; empty for what is not to be shown. A chatbot's turns belong to the conversation."""
    told, by = text(change, "actor", "type"), text(change, "actor", "id").lower()
    wanted = text(request.settings, "automatic_messages") or "bots"
    if told in ("end_user", "agent"):
        return "customer" if told == "end_user" else "agent"
    if wanted == "none" or ("bot" not in told and told not in ("system", "trigger")):
        return ""
    if "bot" in by or "bot" in told:
        return "bot"
    return "system" if wanted == "all" else ""


def rating(request: Request) -> Iterator[Event]:
    """The good or bad of the desk's first survey, sent by a trigger."""
    ticket, told = ticket_of(request), section(request, "satisfaction")
    given = text(told, "rating").strip().lower()
    words = {name: text(request.settings, f"{name}_rating").lower() or name for name in ("good", "bad")}
    scores = [score for name, score in (("good", 1), ("bad", 0)) if given.startswith(words[name])]
    if given and scores:
        number, moment = ticket_id(ticket), moment_of(request)
        version = version_of(request, f"{given}@{moment}")
        answered = (f"rating/{number}", version, moment, f"ticket/{number}")
        yield answer_event(
            request, ticket, answered, kept(score=scores[0], scale=[0, 1], comment=text(told, "comment"))
        )


def surveyed_by_event(request: Request, kind: str) -> Iterator[Event]:
    """The same survey by the desk's own events. It is asked by a form: no scale, so that no text is taken for an answer."""
    ticket, moment = ticket_of(request), moment_of(request)
    number, given = ticket_id(ticket), pick(request.object, "event", "satisfaction_score")
    word = (text(given, "score") or current(request)).strip().lower()
    scores = [score for name, score in (("good", 1), ("bad", 0)) if word.startswith(name)]
    survey = f"ticket/{number}"
    if kind == "ticket.csat_requested":
        asked = answer_event(request, ticket, (f"rating/{number}", f"sent@{moment}", moment, survey), {}, kind)
        yield replace(asked, direction="out", actor="system", summary=f"Asked to rate ticket #{number}")
    elif scores:
        details = kept(score=scores[0], scale=[0, 1], comment=text(given, "comment"))
        yield answer_event(request, ticket, (f"rating/{number}", f"{word}@{moment}", moment, survey), details, kind)


def survey_answers(request: Request) -> Iterator[Event]:
    """What `fetch` found about this ticket in the numeric survey."""
    ticket = ticket_of(request)
    for response in objects(request.fetched.get("surveys"), "survey_responses"):
        answers = objects(response, "answers")
        for given in answers:
            score = given.get("rating")
            if isinstance(score, int | float) and not isinstance(score, bool):
                name = required(response, "id")
                moment = instant(given.get("updated_at") or given.get("created_at"), "updated_at")
                answered = (f"survey/{name}", f"{score}@{moment}", moment, name)
                details = {"score": score, "scale": scale_of(request, given)} | kept(comment=remark(answers))
                yield answer_event(request, ticket, answered, details, "survey")


def answer_event(
    request: Request, ticket: Node, answered: tuple[str, str, str, str], details: Node, kind: str = ""
) -> Event:
    """`answered`: object, version, moment and survey."""
    name, version, moment, survey = answered
    return Event(
        type="satisfaction",
        channel="survey",
        object=name,
        version=version,
        occurred_at=moment,
        identities=people(request, ticket, "customer"),
        refs=(*refs_of(request, ticket), Ref("survey", survey, account(request))),
        summary=f"Rated ticket #{ticket_id(ticket)}: {details['score']} of {details['scale'][1]}" if details else "",
        text=text(details, "comment"),
        details=details | {"survey": survey},
        link=link_of(request, ticket_id(ticket)),
        provider_type=kind or "trigger.satisfaction",
    )


def scale_of(request: Request, given: Node) -> list[Any]:
    options = [each.get("rating") for each in objects(given, "question", "options")]
    numbers = [each for each in options if isinstance(each, int | float) and not isinstance(each, bool)]
    most = request.settings.get("survey_max")
    return [min(numbers), max(numbers)] if numbers else [1, most if isinstance(most, int) and most > 1 else 5]


def remark(answers: list[Node]) -> str:
    """What the customer wrote to the open question."""
    return next((told for each in answers if (told := text(each, "value") or text(each, "text"))), "")


def in_help_centre(kind: str) -> bool:
    return kind in TYPES and kind.startswith(("article.", "community_post."))


def entry(request: Request, kind: str) -> Iterator[Event]:
    """A post, or a comment on a post or an article."""
    author = entry_author(request)
    person = person_of(request, {"requester_id": author})
    staff = author in NO_USER or not served(person)
    thread = thread_of(request, kind, text(posted(request), "author_id") if staff else author)
    if thread and entry_id(request, kind) and not ours(request, author):
        who = () if staff else identities_of(request, author, person)
        yield written(request, kind, thread, who, {} if staff else names(request, person))


def written(request: Request, kind: str, thread: str, who: tuple[Identity, ...], fields: dict[str, str]) -> Event:
    told, title, moment = entry_words(request), entry_title(request), moment_of(request)
    edited = kind.endswith("_changed")
    return Event(
        type="message",
        channel="web",
        direction="in" if who else "out",
        actor="customer" if who else "agent",
        object=entry_object(kind, entry_id(request, kind)),
        version=f"changed@{moment}" if edited else "",
        occurred_at=moment,
        identities=who,
        refs=(Ref("thread", thread, account(request)),),
        summary=(title or told or "Wrote in the help centre")[:120],
        text=told,
        details=kept(subject=title, status="edited" if edited else ""),
        fields=fields,
        link=secure(text(looked_up(request), "html_url")),
        provider_type=kind,
        address=who[0].text if who else "",
    )


def vote(request: Request, kind: str) -> Iterator[Event]:
    """Whether an article helped, by a customer who is logged in."""
    voter, number, moment = entry_author(request), required(request.object, "detail", "id"), moment_of(request)
    change = request.object.get("event")
    found = VOTES.get((text(change, "value") or current(request)).lower(), "")
    person = person_of(request, {"requester_id": voter})
    if voter not in NO_USER and found and served(person):
        yield Event(
            type="visit",
            channel="web",
            object=f"article/{number}/{voter}",
            version=f"{found}@{moment}",
            occurred_at=moment,
            identities=identities_of(request, voter, person),
            summary=f"Found an article {found}: {text(change, 'title') or number}",
            details={"vote": found, "article": number},
            fields=names(request, person),
            provider_type=kind,
        )


def entry_object(kind: str, number: str) -> str:
    return f"post/{number}" if kind == "community_post.created" else f"{kind.rpartition('_')[0]}/{number}"


def entry_title(request: Request) -> str:
    return text(posted(request), "title") or text(request.object, "event", "title")


def entry_author(request: Request) -> str:
    """Whoever wrote or voted, as the webhook names him or as it was looked up."""
    event = request.object.get("event")
    told = (("comment", "author_id"), ("author_id",), ("comment", "author", "id"), ("author", "id"))
    named = [text(event, *path) for path in (*told, ("voter_id",), ("user_id",))]
    named += [text(looked_up(request), "author_id"), text(request.object, "detail", "user_id")]
    return next((each for each in named if each), "")


def entry_id(request: Request, kind: str) -> str:
    if kind == "community_post.created":
        return text(request.object, "detail", "id")
    event = request.object.get("event")
    return text(event, "comment", "id") or text(event, "comment_id") or text(event, "id")


def thread_of(request: Request, kind: str, author: str) -> str:
    """A customer's own part of a post or an article."""
    where = "post" if kind.startswith("community_post.") else "article"
    number = text(request.object, "detail", "id") or text(request.object, "detail", "post_id")
    return f"{where}/{number}/{author}" if number and author not in NO_USER else ""


def entry_words(request: Request) -> str:
    event = request.object.get("event")
    told = text(event, "comment", "body") or text(event, "body") or text(event, "details")
    found = looked_up(request)
    return replies.text_of(text(found, "body") or text(found, "details") or told)


def looked_up(request: Request) -> Node:
    """The comment or the post that `fetch` found."""
    found = pick(request.fetched.get("comment"), "comment") or posted(request)
    return found if isinstance(found, dict) else {}


def posted(request: Request) -> Node:
    found = pick(request.fetched.get("post"), "post")
    return found if isinstance(found, dict) else {}


def secure(address: str) -> str:
    return address if address.startswith("https://") and address.isprintable() else ""


def person_changed(request: Request, kind: str) -> Iterator[Event]:
    user, moment = request.object.get("detail"), moment_of(request)
    number = required(user, "id")
    now = text(request.object, "event", "current") if kind == "user.name_changed" else ""
    told = kept(name=now, email=text(user, "email"), external_id=text(user, "external_id"), id=number)
    known = person_of(request, {"requester_id": number}) | told
    if not (served(user if isinstance(user, dict) else {}) and served(known)):
        return
    others = merged_with(request, number) if kind == "user.merged" else ()
    yield Event(
        type="identify",
        channel="desk",
        actor="system",
        object=number,
        version=f"{kind}@{moment}",
        occurred_at=moment,
        identities=present(*others, *identities_of(request, number, known)),
        summary="Users merged at the desk" if kind == "user.merged" else "",
        fields=changed_fields(request, kind, known),
        link=f"https://{host(request)}/agent/users/{number}" if host(request) else "",
        provider_type=kind,
    )


def changed_fields(request: Request, kind: str, known: Node) -> dict[str, str]:
    """What this event is about: the rest of the user may be older than what others know by now."""
    about = CHANGED.get(kind)
    return {name: value for name, value in names(request, known).items() if about is None or name in about}


def merged_with(request: Request, number: str) -> Iterator[Identity | None]:
    """Both ends of a merge that somebody made at the desk, where the webhook names the other one."""
    path = text(request.settings, "merged_user") or "event.previous"
    found = pick(request.object, *path.split("."))
    other = text(found, "id") or text({"id": found}, "id")
    if other not in NO_USER and other != number:
        yield scoped("desk", account(request), number, A3_VERIFIED)
        yield scoped("desk", account(request), other, A3_VERIFIED)


def removed(request: Request, kind: str) -> Iterator[Event]:
    """Only of customers: colleagues come and go too."""
    user = request.object.get("detail")
    if not served(user if isinstance(user, dict) else {}):
        return
    number, moment = required(request.object, "detail", "id"), moment_of(request)
    yes, no = USER_STATES.get(kind, ("deleted", "deleted"))
    state = yes if pick(request.object, "event", "current") is True else no
    yield Event(
        type="system",
        channel="desk",
        actor="system",
        direction="internal",
        object=f"user/{number}",
        version=f"{kind}@{moment}",
        occurred_at=moment,
        identities=present(scoped("desk", account(request), number, A2_ATTESTED)),
        summary=f"User {state} at the desk",
        details={"status": state, "user": number},
        sensitive=state == "deleted",
        provider_type=kind,
    )


def ticket_of(request: Request) -> Node:
    """What the webhook says of the ticket, over what `fetch` found of it."""
    found = pick(request.fetched.get("ticket"), "ticket")
    known = dict(found) if isinstance(found, dict) else {}
    detail = request.object.get("detail")
    told = detail if isinstance(detail, dict) else section(request, "ticket")
    return known | {name: value for name, value in told.items() if value not in ("", None)}


def section(request: Request, name: str) -> Node:
    """A part of our template, whose free texts are URL-encoded so that no quote breaks the JSON."""
    found = request.object.get(name)
    if not isinstance(found, dict):
        return {}
    coded = request.object.get("encoding") == "url"
    return {key: unquote_plus(told) if coded and isinstance(told, str) else told for key, told in found.items()}


def ticket_id(ticket: Node) -> str:
    number = required(ticket, "id")
    if not NUMBER.match(number):
        raise PayloadMalformed("the ticket's id is no number")
    return number


def moment_of(request: Request) -> str:
    if request.object.get("time"):
        return instant(request.object["time"], "time", "UTC")
    return instant(section(request, "ticket").get("updated_at"), "ticket.updated_at", "UTC")


def version_of(request: Request, told: str) -> str:
    """A trigger's moments are minutes: what it sent tells its versions apart."""
    return told if request.object.get("time") else f"{told}#{digest(request.body, size=5)}"


def current(request: Request) -> str:
    found = pick(request.object, "event", "current")
    return text({"current": found}, "current").lower()


def actor_of(request: Request, ticket: Node, by: str) -> str:
    if by in NO_USER or via(ticket) in RULES:
        return "system"
    asked = by == text(ticket, "requester_id") and served(person_of(request, ticket))
    return "customer" if asked else "agent"


def served(person: Node) -> bool:
    """Whether this is somebody from outside: colleagues ask for tickets too, and are nobody's customers."""
    return text(person, "role") in ("", "end-user")


def ours(request: Request, by: str) -> bool:
    """Whether the hub itself wrote it, through the API."""
    return by not in NO_USER and by == text(request.settings, "agent_id")


def via(ticket: Node) -> str:
    return (text(ticket, "via", "channel") or text(ticket, "channel")).strip().lower()


def channel_of(ticket: Node, otherwise: str = "desk") -> str:
    return VIA.get(via(ticket), otherwise)


def refs_of(request: Request, ticket: Node, conversation: str = "") -> tuple[Ref, ...]:
    where = account(request)
    found = [Ref("case", ticket_id(ticket), where)]
    threads = [conversation, *foreign(request, "thread", [text(ticket, "external_id")])]
    found += [Ref("thread", each, where) for each in threads if each]
    found += [Ref("order", each, where) for each in orders(request, ticket)]
    return tuple(dict.fromkeys(found))


def foreign(request: Request, kind: str, values: list[str]) -> list[str]:
    """The values that mean something at another connection, which `ref_scopes` names."""
    return [each for each in values if each] if pick(request.settings, "ref_scopes", kind) else []


def orders(request: Request, ticket: Node) -> list[str]:
    """What agents or rules filled in; never what a text mentions."""
    field = text(request.settings, "order_field")
    values = [text(each, "value") for each in objects(ticket, "custom_fields") if field and text(each, "id") == field]
    return [bare for each in (*values, text(ticket, "order")) if (bare := each.strip().lstrip("#"))][:1]


def people(request: Request, ticket: Node, actor: str) -> tuple[Identity, ...]:
    """The requester, unless a reference to another connection places it (see above)."""
    elsewhere = foreign(request, "thread", [text(ticket, "external_id")])
    elsewhere += foreign(request, "order", orders(request, ticket))
    number = text(ticket, "requester_id")
    if number in NO_USER or (actor != "customer" and elsewhere):
        return ()
    return identities_of(request, number, person_of(request, ticket))


def person_of(request: Request, ticket: Node) -> Node:
    """The requester as `fetch` found him, or as our template names him."""
    number = text(ticket, "requester_id")
    beside = objects(request.fetched.get("ticket"), "users")
    alone = pick(request.fetched.get("user"), "user")
    known = [alone, *beside, section(request, "requester")]
    return next((dict(each) for each in known if isinstance(each, dict) and text(each, "id") == number), {})


def identities_of(request: Request, number: str, person: Node) -> tuple[Identity, ...]:
    """A desk's user, and his addresses: attested where the desk verified that address itself."""
    if not served(person):
        return ()
    mails = [each for each in addresses(request, number) if text(each, "type") == "email"]
    return present(
        scoped("desk", account(request), number, A2_ATTESTED),
        email_identity(text(person, "email"), A1_ASSERTED),
        *(email_identity(text(each, "value"), attested(each)) for each in mails),
        phone_identity(text(person, "phone"), request.region, A1_ASSERTED),
        known_outside(request, person),
    )


def known_outside(request: Request, person: Node) -> Identity | None:
    """The id that the organisation itself gave him at the desk, where the settings say whose ids these are."""
    kind, _, scope = text(request.settings, "external_id").partition(":")
    return scoped(kind, scope, person.get("external_id"), A2_ATTESTED) if kind in ANCHORS and scope else None


def addresses(request: Request, number: str) -> list[Node]:
    found = request.fetched.get("user")
    return objects(found, "identities") if text(found, "user", "id") == number else []


def attested(address: Node) -> int:
    own = address.get("verified") is True and text(address, "ownership") != "shared"
    return A2_ATTESTED if own else A1_ASSERTED


def names(request: Request, person: Node) -> dict[str, str]:
    return kept(
        name=text(person, "name"),
        email=text(person, "email"),
        phone=phone(person.get("phone"), request.region),
        language=text(person, "locale"),
    )


def address_of(ticket: Node, who: tuple[Identity, ...]) -> str:
    """Where a reply goes: his mail address where the ticket came by mail, otherwise through the desk."""
    wanted = "email" if channel_of(ticket) == "email" else "desk"
    return next((each.text for each in who if each.kind == wanted), "")


def account(request: Request) -> str:
    return text(request.settings, "account") or text(request.settings, "subdomain") or request.connection


def host(request: Request) -> str:
    found = text(request.settings, "subdomain").lower()
    return f"{found}.zendesk.com" if SUBDOMAIN.match(found) else ""


def link_of(request: Request, number: str) -> str:
    return f"https://{host(request)}/agent/tickets/{number}" if host(request) else ""


def surveyed(request: Request) -> bool:
    return request.settings.get("satisfaction") == "survey"


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """The ticket where the webhook tells too little of it, its requester, and the answers to a survey."""
    headers = credentials(request.settings, secrets)
    if not headers or not host(request) or not request.body or kind_of(request) not in TYPES:
        return
    kind, ticket = kind_of(request), ticket_of(request)
    if in_help_centre(kind):
        yield from help_centre(request, headers, kind)
        return
    about_user = kind.startswith("user.")
    number, person = text(ticket, "id"), text(ticket, "id" if about_user else "requester_id")
    person = text(ticket, "actor_id") if from_export(request, kind) else talking(request, kind, person)
    if NUMBER.match(number) and not about_user and told_too_little(request, kind):
        yield look_up(request, headers, "ticket", f"tickets/{number}.json?include=users", state_of(request, ticket))
    if NUMBER.match(person) and person != "0" and kind != "user.deleted":
        version = text(ticket, "updated_at") if about_user else ""
        yield look_up(request, headers, "user", f"users/{person}.json?include=identities", version)
    if kind == "survey" or (kind == "trigger.satisfaction" and surveyed(request)):
        subject = quote(f"zen:ticket:{number}", safe="")
        path = f"guide/survey_responses?filter%5Bsubject_zrns%5D={subject}"
        yield look_up(request, headers, "surveys", path, digest(request.body))


def help_centre(request: Request, headers: Mapping[str, str], kind: str) -> Iterator[Fetch]:
    """What was written, the post that it belongs to, and who wrote it."""
    at, person = text(request.object, "time"), entry_author(request)
    place, number = text(request.object, "detail", "id"), entry_id(request, kind)
    if kind.startswith("community_post.") and NUMBER.match(place):
        yield look_up(request, headers, "post", f"community/posts/{place}.json", at)
    if "comment" in kind and NUMBER.match(place) and NUMBER.match(number):
        where = f"help_center/articles/{place}" if kind.startswith("article.") else f"community/posts/{place}"
        yield look_up(request, headers, "comment", f"{where}/comments/{number}.json", at)
    if NUMBER.match(person) and person != "0":
        yield look_up(request, headers, "user", f"users/{person}.json?include=identities", "")


def look_up(request: Request, headers: Mapping[str, str], name: str, path: str, version: str) -> Fetch:
    return Fetch(name, f"/api/v2/{path}", f"https://{host(request)}", headers, version)


def told_too_little(request: Request, kind: str) -> bool:
    """Messaging and surveys name the ticket only; no event has custom fields."""
    fields = bool(text(request.settings, "order_field")) and not kind.startswith("trigger.")
    return from_export(request, kind) or kind in ("survey", "messaging_ticket.message_added") or fields


def state_of(request: Request, ticket: Node) -> str:
    """Which state of a ticket is wanted; a conversation's ticket is read once an hour."""
    return text(ticket, "updated_at") or text(request.object, "time")[:13]


def talking(request: Request, kind: str, requester: str) -> str:
    """Whose words these are, if a customer's; the requester where the webhook tells of no words."""
    if kind == "messaging_ticket.message_added":
        told = pick(request.object, "event", "actor")
        return text(told, "id") if text(told, "type") == "end_user" else ""
    author = pick(said(request), "author")
    return text(author, "id") if pick(author, "is_staff") is False else requester


def from_export(request: Request, kind: str) -> bool:
    """Whether it was listed, and names the ticket only."""
    return kind in ("ticket.created", "ticket.comment_added") and bool(text(request.object, "ticket_event"))


def ask_missed(window: Window, cursor: str, settings: Mapping[str, Any], secrets: Secrets) -> Listing | None:
    """The cursor is the second at which the next page begins."""
    name, headers = text(settings, "subdomain").lower(), credentials(settings, secrets)
    if not (headers and SUBDOMAIN.match(name)):
        return None
    asked = urlencode({"start_time": begins(window, cursor), "include": "comment_events"})
    return Listing(f"/api/v2/incremental/ticket_events.json?{asked}", f"https://{name}.zendesk.com", headers)


def read_missed(told: Told) -> Page:
    """A page that ends in the second in which it began is followed by the next second: the export cannot tell more of it."""
    found, ended = pick(told.document, "ticket_events"), pick(told.document, "end_of_stream")
    if not isinstance(found, list) or not isinstance(ended, bool):
        raise PayloadMalformed("not an export of ticket events")
    updates = objects(told.document, "ticket_events")
    moments = [instant(each.get("created_at"), "created_at") for each in updates]
    wanted = [each for each, at in zip(updates, moments, strict=True) if at <= told.window.until]
    listed = tuple(one for each in wanted for one in told_by(each))
    if ended or len(wanted) < len(updates):
        return Page(listed)
    ends = required(told.document, "end_time")
    if not NUMBER.match(ends):
        raise PayloadMalformed("end_time is no second")
    start = begins(told.window, told.cursor)
    return Page(listed, str(max(int(ends), start + 1)))


def begins(window: Window, cursor: str) -> int:
    return int(cursor) if NUMBER.match(cursor) else instants.to_ms(window.since) // 1000


def told_by(update: Node) -> Iterator[Listed]:
    """The ticket that it made, or its comments; in one that it made the comment is the description."""
    parts = objects(update, "child_events")
    if any(text(each, "event_type") == "Create" for each in parts):
        yield as_webhook(update, "ticket.created", {})
        return
    for each in parts:
        if text(each, "event_type") == "Comment":
            words = {"id": text(each, "id"), "body": text(each, "body"), "is_public": each.get("public") is True}
            author = text(each, "author_id") or text(update, "updater_id")
            yield as_webhook(update, "ticket.comment_added", {"comment": words | {"author": {"id": author}}}, author)


def as_webhook(update: Node, kind: str, event: Node, actor: str = "") -> Listed:
    ticket = {"id": text(update, "ticket_id"), "actor_id": actor or text(update, "updater_id")}
    told = {"type": f"zen:event-type:{kind}", "time": update.get("created_at"), "detail": ticket, "event": event}
    return Listed(msgspec.json.encode(told | {"ticket_event": required(update, "id")}))


def credentials(settings: Mapping[str, Any], secrets: Secrets) -> dict[str, str]:
    tokens, access, mail = (
        keys_of(secrets, "api_token"),
        keys_of(secrets, "access_token"),
        text(settings, "agent_email"),
    )
    if tokens and mail:
        return {"Authorization": f"Basic {base64.b64encode(octets(f'{mail}/token:{tokens[0]}')).decode()}"}
    return {"Authorization": f"Bearer {access[0]}"} if access else {}


def delivery_key(request: Request) -> str | None:
    """The event's id; of a trigger the invocation, or else what it sent. Read off the bytes: this never raises."""
    found = EVENT_ID.search(request.body) if b"zen:event-type" in request.body else None
    invocation = request.header("x-zendesk-webhook-invocation-id")
    return found[1].decode() if found else invocation or digest(request.body)


SIGNATURE = hmac_signature(
    header="X-Zendesk-Webhook-Signature",
    encoding="base64",
    over="{ts}{body}",
    timestamp_header="X-Zendesk-Webhook-Signature-Timestamp",
    timestamp_unit="iso",
    tolerance=900,
)
TEMPLATE = (
    '{"event": "ticket", "encoding": "url", "ticket": {"id": "{{ticket.id}}", '
    '"external_id": "{{ticket.external_id | url_encode}}", "status": "{{ticket.status | url_encode}}", '
    '"priority": "{{ticket.priority | url_encode}}", "subject": "{{ticket.title | url_encode}}", '
    '"channel": "{{ticket.via | url_encode}}", "requester_id": "{{ticket.requester.id}}", '
    '"actor_id": "{{current_user.id}}", "order": "", "updated_at": "{{ticket.updated_at_with_timestamp}}"}, '
    '"requester": {"id": "{{ticket.requester.id}}", "name": "{{ticket.requester.name | url_encode}}", '
    '"email": "{{ticket.requester.email | url_encode}}", "phone": "{{ticket.requester.phone | url_encode}}"}, '
    '"comment": {"body": "{{ticket.latest_comment.value | url_encode}}", '
    '"is_public": "{{ticket.latest_comment.is_public}}", "author_id": "{{ticket.latest_comment.author.id}}"}, '
    '"satisfaction": {"rating": "{{satisfaction.current_rating | url_encode}}", '
    '"comment": "{{satisfaction.current_comment | url_encode}}"}}'
)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"type":"zen:event-type:ticket.created","account_id":1,"id":"01JQMQH83YNAKWSWJ8B1QH2NSC",'
        b'"time":"2026-01-01T11:00:00.123456789Z","zendesk_event_version":"2022-11-06","subject":"zen:ticket:1",'
        b'"detail":{"id":"1","subject":"Test","status":"NEW","via":{"channel":"web"}},"event":{}}'
    )
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Zendesk",
    channel="desk",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    dedupe=delivery_key,
    fetch=fetch,
    missed=Missed(
        ask=ask_missed,
        read=read_missed,
        needs="the API user (agent_email) with his API token, or an OAuth access token, of an admin",
        requests=8,
        seconds=60,
        lag=3600,
        apart=60,
    ),
    own_system=True,
    copies=True,
    channels=tuple(sorted({*VIA.values(), "survey"})),
    settings={
        "subdomain": Setting("Subdomain", required=True, help="tc of tc.zendesk.com; also the scope of its user ids"),
        "base_url": Setting("API address", help="Default: the subdomain's own; where users and tickets are looked up"),
        "agent_email": Setting("API user", help="Mail address of the agent whose API token this is"),
        "agent_id": Setting("API user's id", help="What this user wrote is the hub's own and is left out"),
        "order_field": Setting("Field with the order number", help="Id of the custom ticket field"),
        "automatic_messages": Setting(
            "Messages that nobody wrote",
            default="bots",
            choices=("bots", "all", "none"),
            help="bots: a chatbot's turns; all: those of triggers and of the system too",
        ),
        "satisfaction": Setting(
            "Survey", default="rating", choices=("rating", "survey"), help="survey: the numeric one, read by the API"
        ),
        "survey_event": Setting("Event type of a survey's answer", help="Such as zen:event-type:…; empty: a trigger"),
        "survey_max": Setting("Highest score", type="integer", default=5, help="Where an answer does not say it"),
        "good_rating": Setting("Word for a good rating", default="good", help="As the placeholder renders it"),
        "bad_rating": Setting("Word for a bad rating", default="bad"),
        "external_id": Setting("What external ids of users are", help="Such as shop:tc.example; empty: of no use"),
        "merged_user": Setting(
            "Where a merge names the other user", default="event.previous", help="Path in the webhook of user.merged"
        ),
        "region": REGION,
    },
    secrets={
        "signing_secret": Setting("Signing secret", help="Of the webhook; without it every webhook is refused"),
        "api_token": Setting("API token", help="For look-ups, with the API user's mail address"),
        "access_token": Setting("OAuth access token", help="In place of the API token"),
    },
    unverified=(
        "whether the body's id is kept when an event webhook is sent again",
        "the webhook event of a survey's answer, and the fields of the answers: survey_event, survey_max",
        "the field of user.merged that names the other user: merged_user",
        "that a chatbot is a system actor whose id holds bot, and that an end user's actor id is his user id",
        "url_encode, and the fields of ticket.latest_comment, in placeholders of a trigger",
        "whether ticket.comment_added is sent for the first comment of a ticket",
        "identities as a side-load of one user",
        "where events of comments and votes name their author, id and words; both are looked up where they can be",
        "event.satisfaction_score of ticket.csat_received, and that it is not sent for the numeric survey",
        "that a comment has the same id in the export of ticket events and in a webhook, and moments within a minute",
        "that the update which made a ticket has a child event Create, and that no webhook comes an hour late: such a "
        "comment would be told twice",
    ),
    setup=(
        "Create a webhook with {hook_url}, subscribed to ticket.created, ticket.status_changed, ticket.comment_added, "
        "messaging_ticket.message_added, user.created, user.name_changed, user.identity_created, user.merged and "
        "user.deleted; reveal its signing secret and enter it.",
        "Create an API token and enter it with its agent's mail address and id: webhooks carry no addresses.",
        "The same token, of an admin, is used to ask for tickets and comments that never arrived; for nothing else.",
        "For the help centre subscribe it to article.comment_created, article.comment_changed, article.vote_created, "
        "article.vote_changed, community_post.created, community_post.comment_created and "
        "community_post.comment_changed; for users also to user.identity_deleted, user.external_id_changed, "
        "user.active_changed and user.suspended_changed.",
        "For satisfaction subscribe it to ticket.csat_requested and ticket.csat_received, or make a second webhook for a trigger: POST, JSON, same address. Add its secret beside the "
        "first with a rotation. The trigger on a changed rating sends the template with satisfaction as its event.",
        "Template of a trigger; its first word says what it tells: ticket, comment or satisfaction. For an order "
        "number fill in ticket.ticket_field_<id> with url_encode at order: " + TEMPLATE,
        "Tickets whose external id is a conversation of another connection: name that one in ref_scopes.thread. "
        "Order numbers of a shop: name the shop in ref_scopes.order.",
    ),
    docs="https://developer.zendesk.com/api-reference/webhooks/event-types/webhook-event-types/",
    sample=sample,
)
