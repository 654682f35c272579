"""Salesforce: https://developer.salesforce.com/docs/platform/api-rest/guide/dome-upsert.html

A contact is ours by an external id field that holds the customer id. Before one is made the org is
asked, by SOQL, for records with our ids and for the one free record with the customer's mail address:
that is adopted. So is what a duplicate rule names, if it is free and has the customer's phone number;
otherwise ours is saved in spite of rules that only alert, and against a blocking one without what
others have too. An activity is a task, upserted by an external id field that holds the event id.
Records are never merged: its SOAP API can, this one cannot.

A refusal is a list of codes, which say more than the status: 403 is also what a spent daily limit gets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit import fields
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.grant import Token
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, merged, profile, profile_settings
from chalicelib.kit.shape import count, kept, objects, pick, text
from chalicelib.kit.signatures import keys_of, octets
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
HOST = pattern(r"[a-z0-9-]+(\.[a-z0-9-]+)+\Z")
NAME = pattern(r"[A-Za-z]\w{0,79}\Z", re.ASCII)
PATH = pattern(r"[A-Za-z]\w{0,79}(\.[A-Za-z]\w{0,79}){0,4}\Z", re.ASCII)
SESSION_SECONDS = 3600
LIMIT_PAUSE = 900.0
"""Seconds: the limit is of a day, and comes free little by little."""
SPENT, LOCKED, TAKEN = "REQUEST_LIMIT_EXCEEDED", "UNABLE_TO_LOCK_ROW", "DUPLICATE_VALUE"
DUPLICATES, WRONG_ADDRESS = "DUPLICATES_DETECTED", "INVALID_EMAIL_ADDRESS"
MISSING, NOT_WRITABLE = "REQUIRED_FIELD_MISSING", "INVALID_FIELD_FOR_INSERT_UPDATE"
MOST_TRIES = 4
MAX_DESCRIPTION, MAX_SUBJECT, MAX_EMAIL = 32_000, 255, 80
MAX_ROWS, MAX_ROUNDS, MAX_IDS = "200", 10, 50
SUBTYPES = {"call": "Call", "email": "Email"}
CALL_TYPES = {"in": "Inbound", "out": "Outbound", "internal": "Internal"}


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    row = contact_row(http, customer)
    if remote and (not row or _update(http, remote, row, customer)):
        return remote
    owned = {**row, _field(http, "customer_field"): customer.id}
    for known in _known(http, customer):
        if _update(http, known, owned, customer):
            return known
    return _create(http, customer, row)


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    path = f"Task/{_field(http, 'event_field')}/{_part(entry.event.id)}"
    row = task_row(http, remote, entry)
    answer = _send(http, path, row)
    if NOT_WRITABLE in _codes(answer):
        answer = _send(http, path, {name: value for name, value in row.items() if name != "TaskSubtype"})
    return _first(answer) or _own(http, answer)


def find_contact(http: Http, customer: Customer) -> str:
    found = _rows(http, "Contact", ["Id"], f"{_field(http, 'customer_field')} = {_literal(customer.id)}")
    return next((text(each, "Id") for each in found), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    found = _rows(http, "Task", ["Id", "WhoId"], f"{_field(http, 'event_field')} = {_literal(entry.event.id)}")
    return next((text(each, "Id") for each in found if text(each, "WhoId")), "")


def forget_contact(http: Http, remote: str) -> None:
    """With the tasks that we made: what an org does with those of a deleted contact is its own affair."""
    ours = f"WhoId = {_literal(remote)} AND {_field(http, 'event_field')} != null"
    for _ in range(MAX_ROUNDS):
        found = [text(each, "Id") for each in _rows(http, "Task", ["Id"], ours)]
        if not found:
            break
        several = {"ids": ",".join(found), "allOrNone": "false"}
        _fine(http, _ask(http, "DELETE", "composite/sobjects", params=several))
    else:
        raise Delayed(f"tasks of this contact are still there after {MAX_ROUNDS} rounds")
    answer = _ask(http, "DELETE", f"sobjects/Contact/{_part(remote)}")
    if answer.status != 404:
        _done(http, answer)


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """A task hangs on one contact: the same change takes it off the old one, whether that is there or not."""
    _done(http, _ask(http, "PATCH", f"sobjects/Task/{_part(activity)}", json={"WhoId": new}))
    return activity


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """A rule may keep out an address and a number that another record has too: those are not missing. So where
    rules only alert, it goes unnoticed that somebody took such a one away. An address that is refused in itself
    is missing each time."""
    wanted = contact_row(http, customer)
    there = _record(http, remote, wanted)
    if not there or alike(there, wanted):
        return bool(there)
    return alike(there, _less(wanted, _shared(http))) and _elsewhere(http, remote, wanted)


def contact_row(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what an agent filled in."""
    known = {name: found.value for name, found in customer.fields.items()}
    given, family = _names(known)
    found = {
        "FirstName": given[:40],
        "LastName": family[:80],
        "Email": _address(customer, known.get("email", "")),
        _phone_field(http): (known.get("phone") or customer.first("phone"))[:40],
        **profile(customer, http.settings),
    }
    return merged({name: value for name, value in found.items() if name and value}, customer.mapped)


def _names(known: Mapping[str, str]) -> tuple[str, str]:
    """(first, last): a single name is the last one, which is the one that a record needs."""
    first, _, rest = known.get("name", "").strip().partition(" ")
    given, family = known.get("first_name") or (first if rest else ""), known.get("last_name") or rest.strip()
    return (given, family) if given or family else ("", first)


def _address(customer: Customer, newest: str) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    found = newest if newest in _emails(customer) else customer.first("email")
    return found if len(found) <= MAX_EMAIL else ""


def _emails(customer: Customer) -> set[str]:
    return {each.value for each in customer.identities if each.kind == "email"}


def task_row(http: Http, remote: str, entry: Entry) -> Row:
    event = entry.event
    kind = "email" if event.type == "message" and event.channel == "email" else event.type
    told = kept(
        WhoId=remote,
        Subject=((event.summary if kind == "email" else "") or _title(event))[:MAX_SUBJECT],
        Description=description(entry),
        ActivityDate=event.occurred_at[:10],
        Status=text(http.settings, "task_status") or "Completed",
        TaskSubtype=SUBTYPES.get(kind, "Task"),
        **(_call(event) if kind == "call" else {}),
    )
    return merged(told, entry.mapped)


def _call(event: Event) -> Row:
    seconds = event.details.get("duration")
    return {
        "CallType": CALL_TYPES.get(event.direction),
        "CallDurationInSeconds": int(seconds) if isinstance(seconds, int | float) else None,
        "CallDisposition": text(event.details, "status")[:255],
    }


def description(entry: Entry) -> str:
    """A task knows only a day: the moment stands in the text."""
    event = entry.event
    side = (
        "internal" if event.direction == "internal" else "from customer" if event.direction == "in" else "to customer"
    )
    head = "\n".join(filter(None, [f"{_title(event)}, {event.occurred_at}, {side}", event.summary, event.text]))
    tail = "".join(f"\n{url}" for url in (entry.url, event.link) if url)
    return head[: MAX_DESCRIPTION - len(tail)] + tail


def _title(event: Event) -> str:
    words = [event.type, text(event.details, "number"), text(event.details, "status")]
    return f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")


def _known(http: Http, customer: Customer) -> Iterator[str]:
    """Records with our id or a former one, in that order; if there is none, the only free one with his address."""
    key, ours = _field(http, "customer_field"), [customer.id, *customer.former][:MAX_IDS]
    wanted = f"{key} IN ({_literals(ours)})"
    if emails := sorted(_emails(customer))[:MAX_IDS]:
        wanted += f" OR Email IN ({_literals(emails)})"
    rows = _rows(http, "Contact", ["Id", key], wanted)
    found = sorted((each for each in rows if text(each, key) in ours), key=lambda each: ours.index(text(each, key)))
    free = [each for each in rows if not text(each, key)]
    yield from (text(each, "Id") for each in found or (free if len(free) == 1 else []))


def _named(http: Http, customer: Customer, answer: Reply) -> Iterator[str]:
    """The only free record that a duplicate rule names and that has his phone number."""
    results = [each for error in _errors(answer) for each in objects(error, "duplicateResult", "matchResults")]
    ids = [text(each, "record", "Id") for result in results for each in objects(result, "matchRecords")]
    phones = {each.value for each in customer.identities if each.kind == "phone"}
    if not phones or not any(ids):
        return
    key, phone = _field(http, "customer_field"), _phone_field(http)
    rows = _rows(http, "Contact", ["Id", key, phone], f"Id IN ({_literals(ids[:MAX_IDS])})")
    found = [each for each in rows if not text(each, key) and fields.phone(text(each, phone)) in phones]
    yield from (text(each, "Id") for each in (found if len(found) == 1 else []))


def _create(http: Http, customer: Customer, row: Row) -> str:
    """Without an account a contact is seen by its owner alone; one that it has already is left."""
    key = _field(http, "customer_field")
    path, made = f"Contact/{key}/{_part(customer.id)}", {**kept(AccountId=text(http.settings, "account_id")), **row}
    answer = _send(http, path, made)
    if DUPLICATES in _codes(answer):
        for known in _named(http, customer, answer):
            if _update(http, known, {**row, key: customer.id}, customer):
                return known
    answer = _insisted(http, path, made, customer, answer)
    if answer.status == 300:
        raise Delayed("several records have this customer's id: the next attempt takes the oldest")
    return _own(http, answer)


def _update(http: Http, known: str, row: Row, customer: Customer) -> bool:
    """Whether it is still there."""
    path = f"Contact/{_part(known)}"
    answer = _insisted(http, path, row, customer, _send(http, path, row))
    if answer.status != 404:
        _done(http, answer)
    return answer.status != 404


def _insisted(http: Http, path: str, row: Row, customer: Customer, answer: Reply) -> Reply:
    """The answer once what was refused is mended, one thing after the other."""
    force = False
    for _ in range(MOST_TRIES):
        codes = _codes(answer)
        less = _less(row, ("Email",) if WRONG_ADDRESS in codes else _shared(http))
        if MISSING in codes and "LastName" not in row:
            row = {**row, "LastName": str(row.get("Email") or row.get(_phone_field(http)) or customer.id)}
        elif DUPLICATES in codes and not force:
            force = True
        elif codes & {DUPLICATES, WRONG_ADDRESS} and less != row:
            row = less
        else:
            break
        answer = _send(http, path, row, force=force)
    return answer


def _shared(http: Http) -> tuple[str, ...]:
    """What a duplicate rule goes by."""
    return "Email", _phone_field(http)


def _less(row: Row, names: Iterable[str]) -> Row:
    return {name: value for name, value in row.items() if name not in names}


def _record(http: Http, remote: str, wanted: Row) -> Row:
    """What it has of these fields, those of a related record too; empty where it is gone."""
    names = [each for each in _paths(wanted) if PATH.match(each)]
    return next(iter(_rows(http, "Contact", ["Id", *names], f"Id = {_literal(remote)}")), {})


def _paths(row: Row) -> Iterator[str]:
    for name, value in row.items():
        yield from (f"{name}.{each}" for each in _paths(value)) if isinstance(value, dict) else [name]


def _elsewhere(http: Http, remote: str, wanted: Row) -> bool:
    """Whether another record has the address or the number."""
    same = [f"{name} = {_literal(str(wanted[name]))}" for name in _shared(http) if wanted.get(name)]
    return any(text(each, "Id") != remote for each in _rows(http, "Contact", ["Id"], " OR ".join(same)))


def _first(answer: Reply) -> str:
    """The first of several records with one external id: 300, and nothing was written."""
    found = answer.json() if answer.status == 300 else []
    urls = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    return urls[0].rpartition("/")[2] if urls else ""


def _send(http: Http, path: str, row: Row, *, force: bool = False) -> Reply:
    rule = f"allowSave={str(force).lower()}; includeRecordDetails=false; runAsCurrentUser=true"
    return _ask(http, "PATCH", f"sobjects/{path}", json=row, headers={"Sforce-Duplicate-Rule-Header": rule})


def _rows(http: Http, table: str, names: list[str], wanted: str) -> list[Row]:
    """By SOQL, oldest first: it reads the records themselves, where the search language has an index that lags."""
    soql = " ".join(
        ["SELECT", ", ".join(names), "FROM", table, "WHERE", wanted, "ORDER BY CreatedDate LIMIT", MAX_ROWS]
    )
    found = _fine(http, _ask(http, "GET", "query", params={"q": soql})).json()
    if not isinstance(pick(found, "records"), list):
        raise Unknown("a query was answered without its records")
    return objects(found, "records")


def _ask(http: Http, method: str, path: str, **options: Any) -> Reply:
    version = _part(text(http.settings, "api_version") or "v62.0")
    answer = http.request(method, f"/services/data/{version}/{path}", allow=(300, 400, 403, 404), **options)
    if SPENT in _codes(answer):
        raise Delayed("the limit of requests a day is spent", _excerpt(http, answer), LIMIT_PAUSE)
    if answer.status == 403:
        raise Unauthorized(f"HTTP 403: {_reason(answer)}", _excerpt(http, answer))
    if _codes(answer) & {LOCKED, TAKEN}:
        raise Delayed(f"somebody else writes there: {_reason(answer)}", _excerpt(http, answer))
    return answer


def _own(http: Http, answer: Reply) -> str:
    found = text(_fine(http, answer).json(), "id")
    if not found:
        raise Unknown("an upsert was answered without its record")
    return found


def _done(http: Http, answer: Reply) -> None:
    if _fine(http, answer).status != 204:
        raise Unknown(f"HTTP {answer.status} to a change: 204 is what says that it was made")


def _fine(http: Http, answer: Reply) -> Reply:
    if answer.status < 300:
        return answer
    raise Rejected(f"HTTP {answer.status}: {_reason(answer)}", _excerpt(http, answer))


def _errors(answer: Reply) -> list[Row]:
    found = answer.json() if answer.status in (400, 403) else []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _codes(answer: Reply) -> set[str]:
    return {text(each, "errorCode") for each in _errors(answer)}


def _reason(answer: Reply) -> str:
    return ", ".join(sorted(_codes(answer))) or "refused"


def _excerpt(http: Http, answer: Reply) -> str:
    from chalicelib.kit.http import redacted

    return redacted(answer.body, {value for values in http.secrets.values() for value in values})


def _field(http: Http, setting: str) -> str:
    """The name of a field, which becomes part of a query. Raises Rejected for one that is none."""
    found = (
        text(http.settings, setting)
        or {"customer_field": "Hub_Customer_Id__c", "event_field": "Hub_Event_Id__c"}[setting]
    )
    if not NAME.match(found):
        raise Rejected(f"settings.{setting}: the API name of a field, such as Hub_Customer_Id__c")
    return found


def _phone_field(http: Http) -> str:
    found = text(http.settings, "phone_field") or "Phone"
    return found if NAME.match(found) else "Phone"


def _literals(values: Iterable[str]) -> str:
    return ", ".join(map(_literal, values))


def _literal(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _part(value: str) -> str:
    return quote(value, safe="")


def grant(http: Http) -> Token:
    form = {"grant_type": "client_credentials"}
    form |= {name: next(iter(keys_of(http.secrets, name)), "") for name in ("client_id", "client_secret")}
    answer = http.request(
        "POST",
        "/services/oauth2/token",
        body=octets(urlencode(form)),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        allow=(400,),
    )
    found = answer.json()
    if answer.status == 400:
        kind = Delayed if "rate exceeded" in text(found, "error_description").lower() else Unauthorized
        raise kind(f"no token: {text(found, 'error') or 'refused'}", _excerpt(http, answer))
    if not text(found, "access_token"):
        raise Unknown("a token was asked for and answered with something else")
    seconds = count(found, "expires_in") or SESSION_SECONDS
    return Token(text(found, "access_token"), seconds, text(found, "instance_url") or http.base_url)


def _my_domain(settings: Mapping[str, Any]) -> str:
    host = text(settings, "my_domain").lower().removeprefix("https://").rstrip("/")
    if not HOST.match(host):
        raise Rejected("settings.my_domain: a host, such as tc.my.salesforce.com")
    return f"https://{host}"


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "access_token")
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}


DESTINATION = Destination(
    name="Salesforce",
    base_url="",
    auth=_bearer,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    move_activity=move_activity,
    shows_contact=shows_contact,
    grant=grant,
    grant_url=_my_domain,
    keyed=True,
    limit=Limit(100_000, 86_400.0),
    outcomes={403: Unauthorized},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={"contact": ("{customer_field}", "Id", "Email"), "activity": ("{event_field}", "Id", "WhoId")},
    settings={
        "my_domain": Setting("My Domain", required=True, help="tc.my.salesforce.com, or a sandbox's own"),
        "base_url": Setting("API address", help="Default: the instance_url that comes with the token"),
        "api_version": Setting("API version", default="v62.0", help="v46.0 or newer"),
        "customer_field": Setting("Contact field for our customer id", default="Hub_Customer_Id__c"),
        "event_field": Setting("Activity field for our event id", default="Hub_Event_Id__c"),
        "phone_field": Setting("Contact field for the phone number", default="Phone", help="Or MobilePhone"),
        "channel_field": Setting("Contact field for the preferred channel", help="Its API name; empty: not sent"),
        **profile_settings("Contact field", help="Its API name, of a text field"),
        "account_id": Setting(
            "Account of new contacts", help="Its Id. Empty: none, and then a contact is private to the run-as user"
        ),
        "task_status": Setting("Status of a task", default="Completed", help="One that counts as closed"),
    },
    secrets={
        "client_id": Setting("Consumer key", required=True, help="Of the external client app"),
        "client_secret": Setting("Consumer secret", required=True),
    },
    unverified=(
        "an external id field on activities that is unique too: without that two workers at the same moment could "
        "make two tasks, of which the first is then taken",
        "that a second upsert with TaskSubtype is refused by INVALID_FIELD_FOR_INSERT_UPDATE, if it is: then, and where "
        "an org does not let it be set, the task is sent without it",
        "the call fields of a task in an org without a call center",
        "matchRecords in a DUPLICATES_DETECTED of the REST API",
        "the seconds that a token lasts, which the answer does not tell: an hour is taken, and a 401 asks anew",
        "the form of a refused login when too many were made: by its text",
        "orgs with person accounts",
        "with shared activities, that a change of WhoId takes the task off the contact it named before",
        "that a task which is archived, after a year, can still be moved",
        "requests a day: 100,000 is taken, each license adds to it",
    ),
    setup=(
        "Create an external client app with the client credentials flow, the scope api, and a run-as user who may read, "
        "create, edit and delete contacts and tasks; enter its consumer key and secret.",
        "Create the contact field Hub_Customer_Id__c and the activity field Hub_Event_Id__c: text of 64, external id, "
        "unique where that is offered. Let the run-as user read and edit both.",
        "Erasing deletes the contact and the hub's tasks; the recycle bin keeps them for up to 15 days unless it is "
        "emptied.",
    ),
    docs="https://developer.salesforce.com/docs/platform/api-rest/guide/dome-upsert.html",
)
