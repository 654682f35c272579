"""Pipedrive: https://developers.pipedrive.com/docs/api/v1/Persons

A person is ours by a custom field that holds the customer id. It takes no key of ours, and its search runs
behind: so the search finds who has been there for a while, a list of the newest persons finds who was just
made, and what both name is read from the record itself before it is believed. A person with our customer's
mail address or phone number is adopted when nobody owns it. Lists of addresses are replaced as a whole there:
ours are added to what an agent typed.

A call and a mail are activities that are done, or by the setting `calls` a call log; all else is a note. The
last line of each tells ours apart, so that it is found again.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, blanked, merged, news, path, profile, profile_names, profile_settings
from chalicelib.kit.shape import count, kept, objects, pick, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting
from chalicelib.model import instants

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
FIELD_KEY = pattern(r"[A-Za-z0-9_]{1,64}\Z")
SOURCE_NAME = "draad"
ERASED = "erased"
SIDES = {"in": "from customer", "out": "to customer"}
MAX_TEXT = 20_000
PAGES = {"activities": 10, "notes": 10, "callLogs": 40}
NEWEST = 100
MOST_IDS = 100
MOST_KEYS = 15
"""Custom fields that may be asked for by name."""
PATHS = {"activities": "api/v2/activities", "notes": "v1/notes", "callLogs": "v1/callLogs"}
LISTS = {
    "activities": {"sort_by": "add_time", "sort_direction": "desc", "limit": "500"},
    "notes": {"sort": "add_time DESC", "limit": "500"},
    "callLogs": {"limit": "50"},
}
OUTCOMES = {
    "completed": "connected",
    "answered": "connected",
    "busy": "busy",
    "voicemail": "left_voicemail",
    "no_answer": "no_answer",
    "missed": "no_answer",
    "canceled": "no_answer",
    "failed": "no_answer",
}


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    person = _mine(_read(http, [remote], customer.mapped), customer) if remote else None
    person = person or _mine(_owned(http, customer), customer) or _adoptable(http, customer)
    if person is None:
        return _id(_kept_row(http, "POST", "api/v2/persons", new_person(http, customer)))
    told = changes(http, person, customer)
    return _id(_kept_row(http, "PATCH", f"api/v2/persons/{_id(person)}", told)) if told else _id(person)


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    where, told = activity(http, remote, entry)
    return _id(_hung_on(remote, _kept_row(http, "POST", where, merged(told, entry.mapped))))


def find_contact(http: Http, customer: Customer) -> str:
    return next((_id(each) for each in _owned(http, customer) if each["owner"] == customer.id), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    kind = kind_of(http, entry.event)
    ours = (each for each in _listed(http, kind, remote) if _is_marked(each, entry.event.id))
    return next((_id(each) for each in ours), "")


def forget_contact(http: Http, remote: str) -> None:
    """What we wrote, then the person: emptied first, because what is deleted stays readable for 30 days."""
    for kind in ("activities", "notes", *(["callLogs"] if _logs_calls(http) else [])):
        for each in list(_listed(http, kind, remote)):
            if _is_marked(each):
                _gone(http, "DELETE", f"{PATHS[kind]}/{quote(_id(each), safe='')}")
    emptied = {"name": ERASED, "emails": [], "phones": [], "custom_fields": {_field(http): None}}
    emptied = blanked(emptied, http.mapped.get("contact", ()), None) | {"name": ERASED, "phones": []}
    _gone(http, "PATCH", f"api/v2/persons/{quote(remote, safe='')}", emptied)
    _gone(http, "DELETE", f"api/v2/persons/{quote(remote, safe='')}")


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    kind = kind_of(http, entry.event)
    if kind == "callLogs":
        return _move_log(http, old, new, entry)
    where, method = f"{PATHS[kind]}/{quote(activity, safe='')}", "PUT" if kind == "notes" else "PATCH"
    told = {"person_id": _number(new)} if kind == "notes" else {"participants": _participants(http, where, old, new)}
    _hung_on(new, _kept_row(http, method, where, told))
    return activity


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """https://pipedrive.readme.io/docs/merging-two-persons"""
    there = {_id(each) for each in _read(http, [kept, other])}
    if not {kept, other} <= there:
        return other if other in there else kept
    _kept_row(http, "PUT", f"v1/persons/{_number(other)}/merge", {"merge_with_id": _number(kept)})
    return kept


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    person = _mine(_read(http, [remote], customer.mapped), customer)
    return person is not None and alike(person, changes(http, person, customer))


def kind_of(http: Http, event: Event) -> str:
    if event.type == "call":
        return "callLogs" if _logs_calls(http) and _called(event) else "activities"
    is_mail = event.type == "email" or (event.type == "message" and event.channel == "email")
    return "activities" if is_mail else "notes"


def activity(http: Http, remote: str, entry: Entry) -> tuple[str, Row]:
    """(path, body). Its times are UTC."""
    event, kind = entry.event, kind_of(http, entry.event)
    if kind == "callLogs":
        return PATHS[kind], call_log(remote, entry)
    if kind == "notes":
        told = {"content": _body(entry), "person_id": _number(remote), "add_time": _moment(event.occurred_at)}
        return PATHS[kind], told
    return PATHS[kind], kept(
        subject=(event.summary if event.type != "call" else "") or _subject(event),
        type=_type(http, event),
        participants=[{"person_id": _number(remote), "primary": True}],
        due_date=event.occurred_at[:10],
        due_time=event.occurred_at[11:16],
        duration=_hours(count(event.details, "duration")) if event.type == "call" else "",
        done=True,
        note=_body(entry),
    )


def _participants(http: Http, where: str, old: str, new: str) -> list[Row]:
    """Those whom an agent added stay: the list is replaced as a whole."""
    listed = objects(_found(http.request("GET", where).json()), "participants")
    others = [text(each, "person_id") for each in listed]
    told = [{"person_id": _number(each), "primary": False} for each in others if each not in ("", old, new)]
    return [{"person_id": _number(new), "primary": True}, *told]


def _move_log(http: Http, old: str, new: str, entry: Entry) -> str:
    """A call log cannot be changed: another one is made, then the old one deleted."""
    logs = [each for each in _pages(http, "callLogs", {}) if _is_marked(each, entry.event.id)]
    if not logs:
        raise Rejected("the call log is not there any more")
    there = next((_id(each) for each in logs if text(each, "person_id") == new), "")
    there = there or append_activity(http, new, entry)
    for each in logs:
        if text(each, "person_id") in ("", old):
            _gone(http, "DELETE", f"{PATHS['callLogs']}/{quote(_id(each), safe='')}")
    return there


def _hung_on(remote: str, row: Row) -> Row:
    if text(row, "person_id") != remote:
        raise Unknown("an activity was answered without its person")
    return row


def call_log(remote: str, entry: Entry) -> Row:
    event = entry.event
    seconds, start = count(event.details, "duration") or 0, instants.to_ms(event.occurred_at)
    return kept(
        subject=_subject(event),
        person_id=_number(remote),
        outcome=OUTCOMES.get(_status(event), "connected" if seconds else "no_answer"),
        from_phone_number=_phone(event.own_address if event.direction == "out" else event.address),
        to_phone_number=_called(event),
        start_time=_moment(event.occurred_at),
        end_time=_moment(instants.from_ms(start + seconds * 1000)),
        duration=str(seconds),
        note=_body(entry),
    )


def new_person(http: Http, customer: Customer) -> Row:
    mail, phone = _mail(customer), _phone_of(customer)
    told = kept(
        name=_name(customer) or mail or phone or customer.id,
        emails=_with([], mail),
        phones=_with([], phone),
        custom_fields=_ours(http, customer),
    )
    return merged(told, customer.mapped)


def changes(http: Http, person: Row, customer: Customer) -> Row:
    """Only what is known and differs: an empty value would clear what an agent filled in."""
    name, custom = _name(customer), pick(person, "custom_fields") or {}
    wanted = {key: value for key, value in _ours(http, customer).items() if _plain(custom.get(key)) != value}
    told = kept(name=name if name != text(person, "name") else "", custom_fields=wanted)
    for field, value in (("emails", _mail(customer)), ("phones", _phone_of(customer))):
        listed = objects(person, field)
        if value and _folded(value) not in [_folded(text(each, "value")) for each in listed]:
            told[field] = _with(listed, value)
    return merged(merged(told, dict.fromkeys(customer.mapped)), news(customer.mapped, person))


def _ours(http: Http, customer: Customer) -> Row:
    return {_field(http): customer.id} | profile(customer, http.settings)


def _with(listed: list[Row], value: str) -> list[Row]:
    told = [kept(value=text(each, "value"), label=text(each, "label")) | _primary(each) for each in listed]
    return [*told, {"value": value, "primary": not listed}] if value else told


def _primary(row: Row) -> Row:
    return {"primary": pick(row, "primary") is True}


def _mail(customer: Customer) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    newest = customer.fields["email"].value if "email" in customer.fields else ""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def _phone_of(customer: Customer) -> str:
    return (customer.fields["phone"].value if "phone" in customer.fields else "") or customer.first("phone")


def _name(customer: Customer) -> str:
    known = {name: found.value for name, found in customer.fields.items()}
    return known.get("name") or f"{known.get('first_name', '')} {known.get('last_name', '')}".strip()


def _mine(found: list[Row], customer: Customer) -> Row | None:
    """The record that carries his id, else a former one, else the first that belongs to nobody."""
    order = ["", *reversed(customer.former), customer.id]
    told = [(order.index(owner), each) for each in found if (owner := text(each, "owner")) in order]
    return max(told, key=lambda one: one[0])[1] if told else None


def _owned(http: Http, customer: Customer) -> list[Row]:
    """Those that carry one of his ids: by the search, and among the newest, whom the search may not know yet."""
    wanted = [customer.id, *customer.former]
    ids = [each for term in wanted for each in _searched(http, term, "custom_fields")]
    found = [*_read(http, ids), *_newest(http)]
    return [each for each in found if each["owner"] in wanted]


def _adoptable(http: Http, customer: Customer) -> Row | None:
    """Whoever has his mail address, or else his number, and belongs to nobody; the oldest of several."""
    for field, value in (("email", _mail(customer)), ("phone", customer.first("phone"))):
        ids = _searched(http, value, field) if value else []
        found = [each for each in _read(http, ids) if _has(each, f"{field}s", value)]
        if best := _mine(sorted(found, key=lambda each: int(_id(each))), customer):
            return best
    return None


def _has(person: Row, field: str, value: str) -> bool:
    return any(_folded(text(each, "value")) == _folded(value) for each in objects(person, field))


def _folded(value: str) -> str:
    return value.strip().lower() if "@" in value else re.sub(r"[^0-9+]", "", value)


def _searched(http: Http, term: str, field: str) -> list[str]:
    query = {"term": term, "fields": field, "exact_match": "true", "limit": str(MOST_IDS)}
    found = _found(http.request("GET", "api/v2/persons/search", params=query).json())
    return [_id(pick(each, "item")) for each in objects(found, "items") if _id(pick(each, "item"))]


def _read(http: Http, ids: list[str], mapped: Iterable[str] = ()) -> list[Row]:
    """The records themselves, with what a mapping fills; deleted ones are not among them."""
    numbers = [each for each in dict.fromkeys(ids) if each.isdigit()][:MOST_IDS]
    return _persons(http, {"ids": ",".join(numbers)}, mapped) if numbers else []


def _newest(http: Http) -> list[Row]:
    return _persons(http, {"sort_by": "add_time", "sort_direction": "desc", "limit": str(NEWEST)})


def _persons(http: Http, query: Row, mapped: Iterable[str] = ()) -> list[Row]:
    ways = [way for way in map(path, mapped) if way[0] == "custom_fields"]
    keys = [_field(http), *profile_names(http.settings), *(each for way in ways for each in way[1:2])]
    wanted = list(dict.fromkeys(filter(None, keys)))
    named = {"custom_fields": ",".join(wanted)} if len(wanted) <= MOST_KEYS else {}
    found = _found(http.request("GET", "api/v2/persons", params=query | named).json())
    there = [each for each in found if isinstance(each, dict) and each.get("is_deleted") is not True]
    return [each | {"owner": _owner(http, each)} for each in there]


def _owner(http: Http, person: Row) -> str:
    return _plain((pick(person, "custom_fields") or {}).get(_field(http)))


def _plain(value: Any) -> str:
    """A field's value, which some types of field wrap."""
    return value if isinstance(value, str) else text(value, "value")


def _listed(http: Http, kind: str, remote: str) -> Iterator[Row]:
    """Everything of one kind that hangs on this person, newest first."""
    found = _pages(http, kind, {} if kind == "callLogs" else {"person_id": remote})
    return (each for each in found if text(each, "person_id") == remote)


def _pages(http: Http, kind: str, narrowed: Row) -> Iterator[Row]:
    query: Row = dict(LISTS[kind]) | narrowed
    for _ in range(PAGES[kind]):
        answer = http.request("GET", PATHS[kind], params=query).json()
        yield from _found(answer) or []
        following = _following(answer)
        if not following:
            return
        query |= following
    raise Delayed(f"more than {PAGES[kind]} pages of {kind}: cannot tell whether this one is there")


def _following(answer: Any) -> Row:
    """What asks for the next page, in either version's way; empty after the last."""
    cursor, more = text(answer, "additional_data", "next_cursor"), pick(answer, "additional_data", "pagination")
    if cursor:
        return {"cursor": cursor}
    return {"start": text(more, "next_start")} if pick(more, "more_items_in_collection") is True else {}


def _found(answer: Any) -> Any:
    """What was asked for. Raises Unknown for a success that says it is none."""
    if pick(answer, "success") is not True:
        raise Unknown("a success was answered without saying so")
    return pick(answer, "data")


def _kept_row(http: Http, method: str, path: str, told: Row) -> Row:
    found = _found(http.request(method, path, json=told).json())
    if not _id(found):
        raise Unknown("a record was answered without its id")
    return dict(found)


def _gone(http: Http, method: str, path: str, told: Row | None = None) -> None:
    http.request(method, path, json=told, allow=(404, 410))


def _id(row: Any) -> str:
    return text(row, "id")


def _number(remote: str) -> int:
    if not remote.isdigit():
        raise Rejected("the id of a person is a whole number")
    return int(remote)


def _is_marked(row: Row, event: str = "") -> bool:
    told = text(row, "note") or text(row, "content")
    return re.search(rf"{SOURCE_NAME}:{re.escape(event) if event else '[a-z0-9]+'}(?![a-z0-9])", told) is not None


def _body(entry: Entry) -> str:
    event = entry.event
    side = SIDES.get(event.direction, "internal")
    lines = [f"<b>{html.escape(_subject(event))}</b>, {side}, {event.occurred_at[:16].replace('T', ' ')} UTC"]
    lines += [html.escape(part[:MAX_TEXT]).replace("\n", "<br>") for part in (event.summary, event.text) if part]
    links = [(entry.url, "timeline"), (event.link, "source")]
    lines += [f'<a href="{html.escape(url)}">{word}</a>' for url, word in links if url]
    return "<br>".join([*lines, f"{SOURCE_NAME}:{event.id}"])


def _subject(event: Event) -> str:
    words = [event.type, text(event.details, "number"), text(event.details, "status")]
    return f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")


def _type(http: Http, event: Event) -> str:
    is_call = event.type == "call"
    return text(http.settings, "call_type" if is_call else "mail_type") or ("call" if is_call else "email")


def _status(event: Event) -> str:
    return text(event.details, "status").lower().replace("-", "_").replace(" ", "_")


def _called(event: Event) -> str:
    return _phone(event.address if event.direction == "out" else event.own_address)


def _phone(address: str) -> str:
    kind, _, value = address.partition(":")
    return value if kind == "phone" else ""


def _moment(at: str) -> str:
    return at[:19].replace("T", " ")


def _hours(seconds: int | None) -> str:
    """Hours and minutes, begun ones counted; empty where the length is not known."""
    minutes = -(-(seconds or 0) // 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}" if minutes else ""


def _logs_calls(http: Http) -> bool:
    return text(http.settings, "calls") == "call_log"


def _field(http: Http) -> str:
    key = text(http.settings, "customer_field")
    if not FIELD_KEY.match(key):
        raise Rejected("settings.customer_field: the key of the person field for our customer id")
    return key


def _token(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "api_token")
    return {"x-api-token": tokens[0]} if tokens else {}


DESTINATION = Destination(
    name="Pipedrive",
    base_url="https://api.pipedrive.com",
    auth=_token,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    move_activity=move_activity,
    merge_contacts=merge_contacts,
    shows_contact=shows_contact,
    keyed=False,
    limit=Limit(20, 2.0),
    outcomes={402: Unauthorized, 403: Delayed},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("custom_fields.{customer_field}", "emails"),
        "activity": ("person_id", "participants", "note", "content"),
    },
    settings={
        "base_url": Setting(
            "Base URL", default="https://api.pipedrive.com", help="Or that of the company's own domain"
        ),
        "customer_field": Setting(
            "Person field for our customer id", required=True, help="Its API key, 40 letters and digits"
        ),
        "channel_field": Setting("Person field for the preferred channel", help="Its API key; empty: not sent"),
        **profile_settings("Person field", help="Its API key"),
        "calls": Setting(
            "Calls",
            default="activity",
            choices=("activity", "call_log"),
            help="call_log: with outcome and numbers, where the number called is known. Found again only among the "
            "2,000 logs of the token's user: for companies that call little",
        ),
        "call_type": Setting("Activity type of calls", default="call", help="Its key_string"),
        "mail_type": Setting("Activity type of mails", default="email", help="Its key_string"),
    },
    secrets={"api_token": Setting("API token", required=True, help="Personal preferences, API; of a user for the hub")},
    unverified=(
        "the filter person_id when activities are listed; without it they are filtered here, page by page",
        "that the list of persons is never behind, while the search may be",
        "that the search takes terms as long as a customer id: an older one ended at 30 characters",
        "the value of a text field in custom_fields: plain, or wrapped in an object",
        "a 403 is taken for a block after too many requests, and tried again; missing rights end as parked",
        "that a deleted person answers with 404 or 410, or is left out of a list by ids",
        "the order in which call logs are listed, and that note and person_id are in the list",
        "that the participants of an activity are replaced as a whole",
        "that a call log leaves nothing behind when it moves: it is made again on the other person, and then deleted",
        "that v1 goes on: notes, call logs and merging are there only",
        "the burst limit of each plan: 20 requests in 2 seconds is taken; the daily budget of tokens is shared by all apps",
    ),
    setup=(
        "Add a user for the hub, who may see and change all persons, and copy his personal API token.",
        "Create a person field of the type Text for our customer id, and enter its API key as customer_field.",
        "Optionally create one for the preferred channel, and enter its API key as channel_field.",
        "The daily budget of tokens is shared with all other apps: a new customer takes up to three searches and three "
        "reads of it, a change one read.",
        "An erased person is emptied and deleted; the CRM removes what is left after 30 days.",
    ),
    docs="https://developers.pipedrive.com/docs/api/v1/Persons",
)
