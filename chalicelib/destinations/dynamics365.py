"""Dynamics 365 (Dataverse): https://learn.microsoft.com/power-apps/developer/data-platform/webapi/overview

A contact is ours by an alternate key on a column that holds the customer id. Before one is made the
table is asked for rows with our ids and for the one free, active row with the customer's mail address:
that is adopted. A row that was merged into another is followed to that one.

An activity is a phone call, an email or, for everything else, a task: regarding the contact, with an
alternate key on a column that holds the event id, created only (`If-None-Match: *`) and completed. An
activity that is there is never changed, because an agent may have; one that stayed open is completed.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.grant import Token
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, merged, profile, profile_settings
from chalicelib.kit.shape import count, kept, objects, pick, text
from chalicelib.kit.signatures import keys_of, octets
from chalicelib.kit.source import Secrets, Setting
from chalicelib.model import instants

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
COLUMN = pattern(r"[a-z][a-z0-9_]{0,99}\Z")
ENVIRONMENT = pattern(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+\Z")
GUID = pattern(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
TENANT = pattern(r"[A-Za-z0-9.-]{1,100}\Z")
AUTHORITY = "https://login.microsoftonline.com"
API = "/api/data/v9.2"
NEW, THERE = {"If-None-Match": "*"}, {"If-Match": "*"}
WHOLE = {"Prefer": "return=representation"}
SHOWN = "contactid,merged,_masterid_value"
DUPLICATE = "0x80040333"
BIND = "@odata.bind"
CONTACT = "Microsoft.Dynamics.CRM.contact"
MAX_NAME, MAX_EMAIL, MAX_PHONE, MAX_SUBJECT, MAX_DESCRIPTION = 50, 100, 50, 200, 2_000
MAX_MAIL = 100_000
MAX_IDS = 20
COMPLETED = {"phonecall": {"in": 4, "out": 2}, "email": {"in": 4, "out": 3}, "task": {"in": 5, "out": 5}}
"""Status reasons: received, made; received, sent; completed."""
SENDER, RECIPIENT = 1, 2


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    row = contact_row(http, customer)
    if remote and not row:
        return remote
    if remote and (found := _update(http, remote, row)):
        return found
    for known in _known(http, customer):
        if found := _update(http, known, {**row, _column(http, "customer_column"): customer.id}):
            return found
    return _own(_write(http, _keyed(http, "contacts", "customer_column", customer.id), row, {}))


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    """Created whole where the state is taken at once, completed by a second request where it is not."""
    kind = kind_of(entry.event)
    path, row = _keyed(http, f"{kind}s", "event_column", entry.event.id), activity_row(kind, remote, entry)
    query = {"$select": "activityid,statecode"}
    answer = http.request("PATCH", path, json=row, params=query, headers={**NEW, **WHOLE}, allow=(412,))
    made = answer.json() if answer.status != 412 else _read(http, path, "activityid,statecode")
    activity = text(made, "activityid")
    if not activity:
        raise Unknown("an activity was answered without its row")
    if pick(made, "statecode") == 0:
        state = {name: row[name] for name in ("statecode", "statuscode") if name in row}
        http.request("PATCH", _row_path(f"{kind}s", activity), json=state, headers=THERE)
    return activity


def find_contact(http: Http, customer: Customer) -> str:
    return _live(_read(http, _keyed(http, "contacts", "customer_column", customer.id), SHOWN))


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    """Empty too while it is open or without its contact: appending again completes it."""
    path = _keyed(http, f"{kind_of(entry.event)}s", "event_column", entry.event.id)
    found = _read(http, path, "activityid,statecode,_regardingobjectid_value")
    whole = pick(found, "statecode") != 0 and text(found, "_regardingobjectid_value")
    return text(found, "activityid") if whole else ""


def forget_contact(http: Http, remote: str) -> None:
    """What regards a contact is deleted with it, unless somebody changed that relationship. Rows that were merged
    into it go first: they keep his name, and without it nothing says that they were his."""
    if not GUID.match(remote):
        raise Rejected("the id of a contact is a GUID")
    for each in _contacts(http, {"$select": "contactid", "$filter": f"_masterid_value eq {remote}"}):
        forget_contact(http, text(each, "contactid"))
    http.request("DELETE", _row_path("contacts", remote), allow=(404,))


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """Whom it regards, and who took part in it, in one change."""
    kind = kind_of(entry.event)
    row, names = activity_row(kind, new, entry), (f"regardingobjectid_contact_{kind}{BIND}", f"{kind}_activity_parties")
    told = {name: row[name] for name in names if name in row}
    query, headers = {"$select": "activityid"}, {**THERE, **WHOLE}
    answer = http.request("PATCH", _row_path(f"{kind}s", activity), json=told, params=query, headers=headers)
    if not text(answer.json(), "activityid"):
        raise Unknown("an activity was answered without its row")
    return activity


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """https://learn.microsoft.com/power-apps/developer/data-platform/webapi/merge-entity-using-web-api"""
    left, away = (_live(_contact(http, each, SHOWN)) for each in (kept, other))
    if not left or not away or left == away:
        return left or away or kept
    both = {"Target": left, "Subordinate": away}
    told = {name: {"contactid": each, "@odata.type": CONTACT} for name, each in both.items()}
    answer = http.request("POST", f"{API}/Merge", json={**told, "PerformParentingChecks": False})
    if answer.status != 204:
        raise Unknown(f"HTTP {answer.status} to a merge: 204 is what says that it was made")
    return left


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """Not where it was merged into another: a push goes on with that one."""
    wanted = contact_row(http, customer)
    bound = {name.removesuffix(BIND): str(value) for name, value in wanted.items() if name.endswith(BIND)}
    plain = {name: value for name, value in wanted.items() if not name.endswith(BIND)}
    expanded = {"$expand": ",".join(bound)} if bound else {}
    there = _contact(http, remote, ",".join([SHOWN, *plain]), expanded)
    here = bool(there) and pick(there, "merged") is not True
    return here and alike(there, plain) and all(_is_bound(pick(there, name), bound[name]) for name in bound)


def kind_of(event: Event) -> str:
    if event.type == "call":
        return "phonecall"
    mail = event.type == "email" or (event.type == "message" and event.channel == "email")
    return "email" if mail else "task"


def contact_row(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what an agent filled in."""
    known = {name: found.value for name, found in customer.fields.items()}
    first, _, rest = known.get("name", "").strip().partition(" ")
    found = {
        "firstname": (known.get("first_name") or first)[:MAX_NAME],
        "lastname": (known.get("last_name") or rest.strip())[:MAX_NAME],
        "emailaddress1": _address(customer, known.get("email", "")),
        text(http.settings, "phone_column") or "mobilephone": _phone(customer, known.get("phone", "")),
        **profile(customer, http.settings, "column"),
    }
    return merged({name: value for name, value in found.items() if name and value}, customer.mapped)


def _phone(customer: Customer, newest: str) -> str:
    return (newest or customer.first("phone"))[:MAX_PHONE]


def _address(customer: Customer, newest: str) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    found = newest if newest in _emails(customer) else customer.first("email")
    return found if len(found) <= MAX_EMAIL else ""


def _emails(customer: Customer) -> set[str]:
    return {each.value for each in customer.identities if each.kind == "email"}


def activity_row(kind: str, remote: str, entry: Entry) -> Row:
    event, contact = entry.event, f"/contacts({remote})"
    incoming = event.direction == "in"
    party = {"partyid_contact@odata.bind": contact, "participationtypemask": SENDER if incoming else RECIPIENT}
    row: Row = {
        "subject": ((event.summary if kind == "email" else "") or _title(event))[:MAX_SUBJECT],
        "description": mail_body(entry) if kind == "email" else description(entry),
        f"regardingobjectid_contact_{kind}@odata.bind": contact,
        "scheduledend": event.occurred_at,
        "actualstart": event.occurred_at,
        "actualend": event.occurred_at,
        "statecode": 1,
        "statuscode": COMPLETED[kind]["in" if incoming else "out"],
    }
    if kind != "task":
        row |= {"directioncode": not incoming, f"{kind}_activity_parties": [party]}
    return merged(row | (_call(event) if kind == "phonecall" else {}), entry.mapped)


def _call(event: Event) -> Row:
    """Minutes are whole over there: the seconds stand in the text."""
    seconds = event.details.get("duration")
    number = next((each.value for each in event.identities if each.kind == "phone"), "")
    if not isinstance(seconds, int | float) or seconds <= 0:
        return kept(phonenumber=number)
    ended = instants.from_ms(instants.to_ms(event.occurred_at) + int(seconds * 1000))
    return kept(phonenumber=number, actualend=ended, actualdurationminutes=-(-int(seconds) // 60))


def description(entry: Entry) -> str:
    lines, tail = _lines(entry), "".join(f"\n{url}" for url in _links(entry))
    return "\n".join(lines)[: MAX_DESCRIPTION - len(tail)] + tail


def mail_body(entry: Entry) -> str:
    """An email is shown as HTML."""
    lines = [html.escape(each[:MAX_MAIL]).replace("\n", "<br>") for each in _lines(entry)]
    links = [f'<a href="{html.escape(url)}">{html.escape(url)}</a>' for url in _links(entry)]
    return "<br>".join([*lines, *links])


def _lines(entry: Entry) -> list[str]:
    event = entry.event
    side = (
        "internal" if event.direction == "internal" else "from customer" if event.direction == "in" else "to customer"
    )
    seconds = text(event.details, "duration")
    lasted = f", {seconds} seconds" if seconds and event.type == "call" else ""
    head = f"{_title(event)}, {event.occurred_at}, {side}{lasted}"
    return [each for each in (head, event.summary, event.text) if each]


def _links(entry: Entry) -> list[str]:
    return [url for url in (entry.url, entry.event.link) if url]


def _title(event: Event) -> str:
    words = [event.type, text(event.details, "number"), text(event.details, "status")]
    return f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")


def _known(http: Http, customer: Customer) -> Iterator[str]:
    """Rows with our id or a former one, in that order; if there is none, the only free one with his address."""
    key, ours = _column(http, "customer_column"), [customer.id, *customer.former][:MAX_IDS]
    wanted = [f"{key} eq {_literal(each)}" for each in ours]
    emails = [f"emailaddress1 eq {_literal(each)}" for each in sorted(_emails(customer))[:MAX_IDS]]
    wanted += [f"({key} eq null and statecode eq 0 and ({' or '.join(emails)}))"] if emails else []
    query = {"$select": f"contactid,{key}", "$filter": " or ".join(wanted), "$orderby": "createdon asc", "$top": "50"}
    rows = _contacts(http, query)
    found = sorted((each for each in rows if text(each, key) in ours), key=lambda each: ours.index(text(each, key)))
    free = [each for each in rows if not text(each, key)]
    yield from (text(each, "contactid") for each in found or (free if len(free) == 1 else []))


def _contacts(http: Http, query: Mapping[str, str]) -> list[Row]:
    answer = http.request("GET", f"{API}/contacts", params=query).json()
    if not isinstance(pick(answer, "value"), list):
        raise Unknown("a query was answered without its rows")
    return objects(answer, "value")


def _update(http: Http, known: str, row: Row) -> str:
    """The row's id, or that of the one that it was merged into, which is told too; nothing when it is gone."""
    answer = _write(http, _row_path("contacts", known), row, THERE)
    if answer.status == 404:
        return ""
    found = _own(answer)
    if found == text(answer.json(), "contactid"):
        return found
    return _update(http, found, {name: row[name] for name in row if name != _column(http, "customer_column")})


def _write(http: Http, path: str, row: Row, headers: Mapping[str, str]) -> Reply:
    """Duplicate rules are passed unless they are asked for; a hit then is a 412, or a 500."""
    asked = http.settings.get("duplicate_detection") is True
    rules = {"MSCRM.SuppressDuplicateDetection": "false"} if asked else {}
    allow = ((404,) if headers else ()) + ((412, 500) if asked else ())
    sending = {**WHOLE, **headers, **rules}
    answer = http.request("PATCH", path, json=row, params={"$select": SHOWN}, headers=sending, allow=allow)
    if answer.status not in (412, 500):
        return answer
    kind = Rejected if text(answer.json(), "error", "code") == DUPLICATE else Delayed
    raise kind(
        f"HTTP {answer.status} to a contact{', a duplicate by a rule' * (kind is Rejected)}", _excerpt(http, answer)
    )


def _own(answer: Reply) -> str:
    found = _live(answer.json())
    if not found:
        raise Unknown("a contact was answered without its row")
    return found


def _live(row: Any) -> str:
    merged = pick(row, "merged") is True and text(row, "_masterid_value")
    return merged or text(row, "contactid")


def _is_bound(row: Any, reference: str) -> bool:
    """Whether a mapping's reference, `/accounts(<id>)` or by a key of it, is to this row."""
    values = [each for each in row.values() if isinstance(each, str) and each] if isinstance(row, dict) else []
    return any(f"({each})".lower() in reference.lower() or f"='{each}'" in reference for each in values)


def _contact(http: Http, remote: str, columns: str, more: Mapping[str, str] | None = None) -> Row:
    """Empty where it is gone."""
    params = {"$select": columns, **(more or {})}
    answer = http.request("GET", _row_path("contacts", remote), params=params, allow=(404,))
    if answer.status == 404:
        return {}
    if not text(answer.json(), "contactid"):
        raise Unknown("a contact was answered without its row")
    return dict(answer.json())


def _read(http: Http, path: str, columns: str) -> Any:
    answer = http.request("GET", path, params={"$select": columns}, allow=(404,))
    return {} if answer.status == 404 else answer.json()


def _excerpt(http: Http, answer: Reply) -> str:
    from chalicelib.kit.http import redacted

    return redacted(answer.body, {value for values in http.secrets.values() for value in values})


def _row_path(table: str, key: str) -> str:
    return f"{API}/{table}({quote(key, safe='-')})"


def _keyed(http: Http, table: str, setting: str, value: str) -> str:
    return f"{API}/{table}({_column(http, setting)}={quote(_literal(value), safe='')})"


def _literal(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _column(http: Http, setting: str) -> str:
    """The name of a column, which becomes part of a path. Raises Rejected for one that is none."""
    found = (
        text(http.settings, setting) or {"customer_column": "hub_customerid", "event_column": "hub_eventid"}[setting]
    )
    if not COLUMN.match(found):
        raise Rejected(f"settings.{setting}: the logical name of a column, such as hub_customerid")
    return found


def grant(http: Http) -> Token:
    environment, tenant = text(http.settings, "environment_url").rstrip("/"), text(http.settings, "tenant_id")
    if not ENVIRONMENT.match(environment) or not TENANT.match(tenant):
        raise Rejected("settings: environment_url such as https://tc.crm4.dynamics.com, and tenant_id")
    form = {"grant_type": "client_credentials", "scope": f"{environment}/.default"}
    form |= {name: next(iter(keys_of(http.secrets, name)), "") for name in ("client_id", "client_secret")}
    told = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/{tenant}/oauth2/v2.0/token"
    answer = http.request("POST", path, body=octets(urlencode(form)), headers=told, allow=(400,))
    if answer.status == 400:
        raise Unauthorized(f"no token: {text(answer.json(), 'error') or 'refused'}", _excerpt(http, answer))
    value, seconds = text(answer.json(), "access_token"), count(answer.json(), "expires_in")
    if not value or not seconds:
        raise Unknown("a token was asked for and answered with something else")
    return Token(value, seconds, environment)


def _authority(settings: Mapping[str, Any]) -> str:
    return text(settings, "authority").rstrip("/") or AUTHORITY


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "access_token")
    version = {"OData-Version": "4.0", "OData-MaxVersion": "4.0", "Accept": "application/json"}
    return version | ({"Authorization": f"Bearer {tokens[0]}"} if tokens else {})


DESTINATION = Destination(
    name="Dynamics 365",
    base_url="",
    auth=_bearer,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    move_activity=move_activity,
    merge_contacts=merge_contacts,
    shows_contact=shows_contact,
    grant=grant,
    grant_url=_authority,
    keyed=True,
    limit=Limit(6_000, 300.0),
    outcomes={403: Unauthorized, 412: Delayed},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("{customer_column}", "contactid", "emailaddress1"),
        "activity": (
            "{event_column}",
            "activityid",
            "statecode",
            *(f"regardingobjectid_contact_{kind}@odata\\.bind" for kind in COMPLETED),
            *(f"{kind}_activity_parties" for kind in COMPLETED),
        ),
    },
    settings={
        "environment_url": Setting("Environment URL", required=True, help="https://tc.crm4.dynamics.com"),
        "tenant_id": Setting("Directory (tenant) id", required=True, help="Of the app registration"),
        "base_url": Setting("API address", help="Default: the environment URL"),
        "authority": Setting("Authority", default=AUTHORITY, help="Another one in a national cloud"),
        "customer_column": Setting("Contact column for our customer id", default="hub_customerid"),
        "event_column": Setting("Column for our event id", default="hub_eventid", help="The same in all three tables"),
        "phone_column": Setting("Contact column for the phone number", default="mobilephone", help="Or telephone1"),
        "channel_column": Setting("Contact column for the preferred channel", help="A text column; empty: not sent"),
        **profile_settings("Contact column", "column", "A text column"),
        "duplicate_detection": Setting(
            "Obey duplicate detection rules",
            type="boolean",
            default=False,
            help="Then a contact that a rule takes for a duplicate waits as parked, and so does his history",
        ),
    },
    secrets={
        "client_id": Setting("Application (client) id", required=True),
        "client_secret": Setting("Client secret", required=True, help="Its value, not its id"),
    },
    unverified=(
        "alternate keys on phone calls, emails and tasks",
        "statecode and statuscode at creation: where they are ignored, a second request completes the activity",
        "that a contact which was merged into another can still be changed, and answers with its masterid",
        "an email that is created as sent or received, without the other party",
        "that a completed activity can be given to another contact: older versions refuse to change one",
        "the status of a hit of a duplicate rule: 412 or 500, told by its code",
        "that a second create with one key is a 412 also when both come at the same moment",
        "requests of one user on one server in five minutes: 6,000 is taken; a 429 names its own wait",
    ),
    setup=(
        "Register an app in Entra, give it a client secret, and make it an application user of the environment with a "
        "role that may read, create, change, append and delete contacts, phone calls, emails and tasks.",
        "Add a text column of 100 to contacts for the customer id, and one to phone calls, emails and tasks for the "
        "event id, with a publisher whose prefix is hub; otherwise enter their names in the settings.",
        "Define an alternate key on each of the four columns, and wait until its index is active.",
        "merge_policy: hard needs the privilege Merge too, and to share contacts. The row that is merged away stays, "
        "inactive, until the customer is erased.",
    ),
    docs="https://learn.microsoft.com/power-apps/developer/data-platform/webapi/update-delete-entities-using-web-api",
)
