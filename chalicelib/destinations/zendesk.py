"""Zendesk: https://developer.zendesk.com/api-reference/ticketing/users/users/

A user is ours by its external id, which holds the customer id. Its mail address is unique there:
where another user has it, that one is adopted unless it is another customer's or a colleague, and so
is the user by whose id the desk told us of this customer. An external id of some other system is
left as it is; the hub then knows the user by his id alone. Creating or updating by mail address
would take a record from its owner; here it only tells who that is, because no search index lags.

An activity is an event in the user's profile or, by the setting `activities`, a private note on his
open ticket. Neither takes a key of ours: both carry the event id, and are looked for before a retry.
Neither can be moved: an event goes only with its whole profile, a note only with its whole ticket.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, merged, profile, profile_settings
from chalicelib.kit.shape import kept, objects, pick, text
from chalicelib.kit.signatures import keys_of, octets
from chalicelib.kit.source import Secrets, Setting
from chalicelib.model import instants

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
SUBDOMAIN = pattern(r"[a-z0-9][a-z0-9-]{0,62}\Z")
OPEN = ("new", "open", "pending", "hold")
SOURCE_NAME = "draad"
CUSTOMER_ID = "cus_"
ELSEWHERE = "-"
"""In the place of an external id that was not read: it is left as it is."""
MAX_TEXT = 8_192
MAX_PAGES = 10
DAY_MS = 86_400_000
RECENT_TICKETS = 5


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    wanted = user_fields(http, customer)
    for user in _known(http, customer, remote):
        if done := _update(http, user, customer, wanted):
            return done
    return _create(http, customer, wanted)


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    if _as_notes(http):
        return _append_note(http, remote, entry)
    told = {"profile": known_by(remote), "event": profile_event(entry)}
    answer = http.request("POST", _url(http, f"users/{_part(remote)}/events"), json=told)
    if answer.status != 202:
        raise Unknown(f"HTTP {answer.status} to an event: 202 is what says that it was kept")
    return entry.event.id


def find_contact(http: Http, customer: Customer) -> str:
    return next((_id(each) for each in _by_external_id(http, [customer.id])), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    return _find_note(http, remote, entry) if _as_notes(http) else _find_event(http, remote, entry)


def forget_contact(http: Http, remote: str) -> None:
    """Deleted, then for good: the first step alone keeps everything under another name."""
    http.request("DELETE", _url(http, f"users/{_part(remote)}"), allow=(404,))
    http.request("DELETE", _url(http, f"deleted_users/{_part(remote)}"), allow=(404,))


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """https://developer.zendesk.com/api-reference/ticketing/users/users/#merge-end-users

    Who was merged into another is a deleted user. It is done a little later than it is answered: a second run
    may still find both, and waits.
    """
    there = _there(http, [kept, other])
    if not {kept, other} <= there:
        return other if other in there else kept
    told = {"user": {"id": _number(kept)}}
    answer = http.request("PUT", _url(http, f"users/{_part(other)}/merge"), json=told, allow=(404,))
    if answer.status == 404:
        raise Delayed("one of two users went while they were to be merged")
    _own(answer)
    return kept


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """An address that another user has could not be written, so it is not missing. A number that is refused in
    itself is, each time."""
    wanted = _writable(_by_own_id(remote), customer, user_fields(http, customer))
    query = {"include": "identities"}
    answer = http.request("GET", _url(http, f"users/{_part(remote)}"), params=query, allow=(404,))
    if answer.status == 404:
        return False
    _own(answer)
    found, email = answer.json(), text(wanted, "email")
    user = found["user"] | ({"email": email} if _has_address(found, email) else {})
    if user.get("active") is False:
        return False
    return alike(user, wanted) or (alike(user, _without(wanted, ("email",))) and _is_elsewhere(http, remote, email))


def user_fields(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what an agent filled in."""
    known = {name: found.value for name, found in customer.fields.items()}
    name = known.get("name") or f"{known.get('first_name', '')} {known.get('last_name', '')}".strip()
    told = kept(
        external_id=customer.id,
        name=name,
        email=_address(customer, known.get("email", "")),
        phone=known.get("phone") or customer.first("phone"),
        user_fields=profile(customer, http.settings),
    )
    return merged(told, customer.mapped)


def _address(customer: Customer, newest: str) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def known_by(remote: str) -> Row:
    """Known by the user's own id: any other standard identifier could move it to somebody else."""
    return {"source": SOURCE_NAME, "type": "customer", "identifiers": [{"type": "user_id", "value": remote}]}


def profile_event(entry: Entry) -> Row:
    event = entry.event
    properties = kept(
        event_id=event.id,
        customer_id=entry.customer_id,
        channel=event.channel,
        direction=event.direction,
        actor=event.actor,
        summary=event.summary,
        text=event.text[:MAX_TEXT],
        number=_shown(event, "number"),
        status=_shown(event, "status"),
        duration=_shown(event, "duration"),
        timeline=entry.url,
        link=event.link,
    )
    told = {"source": SOURCE_NAME, "type": event.type, "description": _title(event), "created_at": event.occurred_at}
    return merged(told | {"properties": properties}, entry.mapped)


def note_text(entry: Entry) -> str:
    """A private comment. Its last line tells ours apart, so that it is found again."""
    event = entry.event
    side = "internal" if event.direction == "internal" else "customer" if event.direction == "in" else "us"
    head = f"{_title(event)}, {event.occurred_at}, from {side}"
    parts = [head, event.summary, event.text[:MAX_TEXT], entry.url, event.link, _mark(event)]
    return "\n".join(part for part in parts if part)


def _mark(event: Event) -> str:
    return f"{SOURCE_NAME}:{event.id}"


def _title(event: Event) -> str:
    words = [event.type, _shown(event, "number"), _shown(event, "status")]
    return f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")


def _shown(event: Event, name: str) -> str:
    return text(event.details, name)


def _append_note(http: Http, remote: str, entry: Entry) -> str:
    ticket = next((each for each in _tickets(http, remote) if text(each, "status") in OPEN), None)
    if ticket is None:
        raise Rejected("this user has no open ticket to write a note on: redrive when there is one")
    comment = {"body": note_text(entry), "public": False}
    told = merged({"comment": comment}, entry.mapped)
    answer = http.request("PUT", _url(http, f"tickets/{_id(ticket)}"), json={"ticket": told})
    made = [each for each in objects(answer.json(), "audit", "events") if text(each, "type") == "Comment"]
    if not made or not _id(made[0]):
        raise Unknown("a note was answered without its comment")
    return _id(made[0])


def _find_note(http: Http, remote: str, entry: Entry) -> str:
    for ticket in _tickets(http, remote)[:RECENT_TICKETS]:
        query = {"sort_order": "desc", "per_page": "100"}
        found = _read(http, f"tickets/{_id(ticket)}/comments", query)
        for comment in objects(found, "comments"):
            if text(comment, "body").rstrip().endswith(_mark(entry.event)):
                return _id(comment)
    return ""


def _tickets(http: Http, remote: str) -> list[Row]:
    """The user's own tickets, latest first."""
    query = {"sort_by": "updated_at", "sort_order": "desc"}
    return objects(_read(http, f"users/{_part(remote)}/tickets/requested", query), "tickets")


def _find_event(http: Http, remote: str, entry: Entry) -> str:
    for event in _events(http, remote, entry.event):
        if text(event, "properties", "event_id") == entry.event.id:
            return entry.event.id
    return ""


def _events(http: Http, remote: str, event: Event) -> Iterator[Row]:
    """Our events of that kind and day, page by page."""
    query = {
        "filter[source]": SOURCE_NAME,
        "filter[type]": event.type,
        "filter[start_time]": event.occurred_at[:10],
        "filter[end_time]": instants.from_ms(instants.to_ms(event.occurred_at) + DAY_MS)[:10],
        "page[size]": "100",
    }
    for _ in range(MAX_PAGES):
        found = _read(http, f"users/{_part(remote)}/events", query)
        yield from objects(found, "events")
        following = text(found, "meta", "after_cursor")
        if not following or pick(found, "meta", "has_more") is False:
            return
        query = query | {"page[after]": following}
    raise Delayed(f"more than {MAX_PAGES} pages of events on one day: cannot tell whether this one is there")


def _known(http: Http, customer: Customer, remote: str) -> Iterator[Row]:
    """Users there that are this customer: by our id, by a former one, then by their own id, if free."""
    if remote:
        yield _by_own_id(remote)
    found = _by_external_id(http, [customer.id, *customer.former])
    order = [customer.id.lower(), *(each.lower() for each in customer.former)]
    yield from sorted(found, key=lambda each: order.index(text(each, "external_id").lower()))
    ids = [each.value for each in customer.identities if each.kind == "desk" and each.scope == _account(http)]
    if ids and not found:
        yield from (each for each in _many(http, {"ids": ",".join(sorted(ids)[:100])}) if _free(each, customer))


def _by_own_id(remote: str) -> Row:
    return {"id": remote, "external_id": ELSEWHERE}


def _free(user: Row, customer: Customer) -> bool:
    """Whether no other customer of ours owns it, and it is no colleague."""
    owner = text(user, "external_id")
    others = owner.startswith(CUSTOMER_ID) and not _is_ours(owner, customer)
    return not others and user.get("active") is not False and text(user, "role") in ("", "end-user")


def _is_ours(owner: str, customer: Customer) -> bool:
    return owner.lower() in (customer.id.lower(), *(each.lower() for each in customer.former))


def _by_external_id(http: Http, wanted: list[str]) -> list[Row]:
    named = {each.lower() for each in wanted}
    found = _many(http, {"external_ids": ",".join(wanted[:100])})
    return [each for each in found if text(each, "external_id").lower() in named and each.get("active") is not False]


def _there(http: Http, ids: list[str]) -> set[str]:
    """Those of them that are not deleted."""
    found = _read(http, "users/show_many", {"ids": ",".join(ids)})
    if not isinstance(pick(found, "users"), list):
        raise Unknown("users were asked for and answered with something else")
    return {_id(each) for each in objects(found, "users") if each.get("active") is not False}


def _has_address(found: Any, email: str) -> bool:
    """Whether it is one of the user's: a second one becomes one more identity."""
    others = [text(each, "value") for each in objects(found, "identities") if text(each, "type") == "email"]
    return bool(email) and any(alike(each, email) for each in others)


def _is_elsewhere(http: Http, remote: str, email: str) -> bool:
    """Whether another user has it. The search may lag: then there is one push more."""
    quoted = email.replace('"', "")
    found = _read(http, "users/search", {"query": f'email:"{quoted}"'})
    return any(_id(each) != remote for each in objects(found, "users"))


def _many(http: Http, query: dict[str, str]) -> list[Row]:
    return objects(_read(http, "users/show_many", query), "users")


def _create(http: Http, customer: Customer, wanted: Row) -> str:
    """A name is required there; mail to verify the address is not what the customer asked for."""
    named = {"name": wanted.get("email") or wanted.get("phone") or customer.id, **wanted}
    extra: Row = {"skip_verify_email": True}
    if http.settings.get("mark_verified") is True:
        extra["verified"] = True
    answer = _send(http, "POST", "users", named | extra)
    taken = _taken(answer)
    if answer.status != 422:
        return _own(answer)
    if "external_id" in taken:
        return _race(http, customer, wanted)
    if "email" in taken:
        holder = _holder(http, str(wanted.get("email", "")))
        if _id(holder) and _free(holder, customer) and (done := _update(http, holder, customer, wanted)):
            return done
    return _own(_fine(_send(http, "POST", "users", _without(named, taken) | extra), answer, taken))


def _race(http: Http, customer: Customer, wanted: Row) -> str:
    """Another attempt made it meanwhile."""
    for known in _by_external_id(http, [customer.id]):
        if done := _update(http, known, customer, wanted):
            return done
    raise Delayed("our external id is taken by a user that cannot be read yet")


def _holder(http: Http, email: str) -> Row:
    """Who has this mail address. Without a name nobody is created, and nothing is changed."""
    answer = _send(http, "POST", "users/create_or_update", {"email": email})
    found = pick(answer.json(), "user") if answer.status == 200 else {}
    return found if isinstance(found, dict) else {}


def _update(http: Http, user: Row, customer: Customer, wanted: Row) -> str:
    """The user's id, or nothing when it is gone. An address that somebody else has stays away, and an
    external id that another system keeps there stays."""
    path, told = f"users/{_part(_id(user))}", _writable(user, customer, wanted)
    if not told:
        return next((_id(each) for each in _many(http, {"ids": _id(user)}) if each.get("active") is not False), "")
    answer = _send(http, "PUT", path, told)
    if answer.status == 422 and (taken := _taken(answer)):
        answer = _fine(_send(http, "PUT", path, _without(told, taken)), answer, taken)
    if answer.status == 404:
        return ""
    found = pick(_fine(answer, answer, ()).json(), "user")
    return "" if isinstance(found, dict) and found.get("active") is False else _own(answer)


def _writable(user: Row, customer: Customer, wanted: Row) -> Row:
    owner = text(user, "external_id")
    return wanted if not owner or _is_ours(owner, customer) else _without(wanted, ("external_id",))


def _send(http: Http, method: str, path: str, user: Row) -> Reply:
    return http.request(method, _url(http, path), json={"user": user}, allow=(404, 422) if method == "PUT" else (422,))


def _taken(answer: Reply) -> tuple[str, ...]:
    """Names of the fields whose value another user has, or that are refused in themselves."""
    details = pick(answer.json(), "details") if answer.status == 422 else {}
    return tuple(details) if isinstance(details, dict) else ()


def _without(wanted: Row, taken: tuple[str, ...]) -> Row:
    """Less what is refused: the rest of the record is worth having."""
    return {name: value for name, value in wanted.items() if name not in taken or name == "name"}


def _fine(answer: Reply, refused: Reply, taken: tuple[str, ...]) -> Reply:
    if answer.status != 422:
        return answer
    from chalicelib.kit.http import redacted

    raise Rejected(f"HTTP 422 to a user: {', '.join(taken) or 'refused'}", redacted(refused.body))


def _own(answer: Reply) -> str:
    found = pick(answer.json(), "user")
    if not _id(found):
        raise Unknown("a user was answered without its record")
    return _id(found)


def _read(http: Http, path: str, query: dict[str, str]) -> Any:
    answer = http.request("GET", _url(http, path), params=query, allow=(404,))
    return {} if answer.status == 404 else answer.json()


def _id(row: Any) -> str:
    return text(row, "id")


def _number(remote: str) -> int:
    if not remote.isdigit():
        raise Rejected("the id of a user is a whole number")
    return int(remote)


def _part(value: str) -> str:
    return quote(value, safe="")


def _as_notes(http: Http) -> bool:
    return text(http.settings, "activities") == "ticket_note"


def _account(http: Http) -> str:
    return text(http.settings, "account") or text(http.settings, "subdomain")


def _url(http: Http, path: str) -> str:
    """Each account has its own host. Raises Rejected for a subdomain that is none."""
    if http.base_url:
        return f"/api/v2/{path}"
    subdomain = text(http.settings, "subdomain").lower()
    if not SUBDOMAIN.match(subdomain):
        raise Rejected("settings.subdomain: letters, digits and hyphens only")
    return f"https://{subdomain}.zendesk.com/api/v2/{path}"


def _credentials(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens, access, mail = (
        keys_of(secrets, "api_token"),
        keys_of(secrets, "access_token"),
        text(settings, "agent_email"),
    )
    if tokens and mail:
        return {"Authorization": f"Basic {base64.b64encode(octets(f'{mail}/token:{tokens[0]}')).decode()}"}
    return {"Authorization": f"Bearer {access[0]}"} if access else {}


DESTINATION = Destination(
    name="Zendesk",
    base_url="",
    auth=_credentials,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    merge_contacts=merge_contacts,
    shows_contact=shows_contact,
    keyed=False,
    limit=Limit(200, 60.0),
    outcomes={403: Unauthorized, 409: Delayed},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("external_id", "email", "identities", "role", "verified", "skip_verify_email"),
        "activity": ("source", "type", "created_at", "properties.event_id", "comment"),
    },
    comes_back={"": ("name",)},
    settings={
        "subdomain": Setting("Subdomain", required=True, help="tc of tc.zendesk.com; also the scope of its user ids"),
        "base_url": Setting("API address", help="Default: the subdomain's own"),
        "agent_email": Setting("API user", help="Mail address of the agent whose API token this is"),
        "activities": Setting(
            "Activities",
            default="events",
            choices=("events", "ticket_note"),
            help="events: in the user's profile; ticket_note: private, on his open ticket",
        ),
        "mark_verified": Setting(
            "Addresses count as verified there",
            type="boolean",
            default=False,
            help="Then tickets of users that the hub made come back to the same customer by their mail address",
        ),
        "channel_field": Setting("User field for the preferred channel", help="Its key; empty: not sent"),
        **profile_settings("User field", help="Its key"),
    },
    secrets={
        "api_token": Setting("API token", help="Used with the API user's mail address"),
        "access_token": Setting("OAuth access token", help="In place of the API token"),
    },
    unverified=(
        "which plans have the Events API, its limits, and its filters and pages when events are listed",
        "an event posted under the user's id, with a profile identified by that id",
        "users/create_or_update with a mail address alone: it answers the user and changes nothing",
        "the fields that a 422 names in details",
        "that a deleted user answers an update with 404, or with active: false",
        "that events of a user who is merged into another show with that one",
        "that a merged user is answered as a deleted one, and how a merge is refused that cannot be",
        "that users/search finds a user by each of his mail addresses",
        "rate limits of each plan: 200 requests a minute is taken",
    ),
    setup=(
        "Switch on token access, create an API token and enter it with its agent's mail address. The agent's role "
        "must be allowed to add and change end users.",
        "activities: events needs the Events API, which an admin switches on; ticket_note needs nothing, and waits as "
        "parked while a user has no open ticket.",
        "Use one connection for both ways: a connection is never told what it told us. With a second connection to "
        "the same account, list in subscription.sources of each every connection but the other one.",
        "Enter the API user's id as agent_id: notes that the hub writes then do not come back as news.",
        "What was written stays on the record where it is when customers become one, or come apart: an event with the "
        "user it was written for, a note on its ticket. What comes later goes to the right user.",
        "merge_policy: hard merges the users, with their tickets and mail addresses; a user without a verified address "
        "needs a mail address for it. It is refused where users sign in by JWT or SAML, because the hub sets external ids.",
        "To receive only, set subscription.sources to this connection itself.",
    ),
    docs="https://developer.zendesk.com/api-reference/ticketing/users/users/",
)
