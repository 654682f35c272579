"""SuperOffice CRM Online: https://docs.superoffice.com/en/api/reference/restful/rest/Person/index.html

A person is ours by a user-defined field that holds the customer id, and an appointment by one that
holds the event id: both are columns of the archives that GET reads, which DbiKey is not. A person
who has the mail address and no customer id is adopted, where there is exactly one.

Changes go as JSON Patch, because a merge patch would replace all of an agent's addresses by ours. An
appointment names the company of its person too, as the vendor asks. Neither takes a key of ours:
what may have been sent is looked for first.

The app's system user token, signed with its private key, is exchanged for a ticket of six hours; the
answer also says on which host the account lives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit import fields
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.grant import Token
from chalicelib.kit.jwt import claims_of
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, merged, profile, profile_settings, shows
from chalicelib.kit.shape import kept, objects, pick, text
from chalicelib.kit.signatures import keys_of, octets
from chalicelib.kit.signing import rsa_sha256
from chalicelib.kit.source import Secrets, Setting
from chalicelib.model import instants

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
TENANT = pattern(r"[A-Za-z0-9]{1,40}\Z")
CLAIM = "http://schemes.superoffice.net/identity/"
TICKET_SECONDS = 6 * 3600
PHONES = ("MobilePhones", "OfficePhones", "PrivatePhones", "OtherPhones")
MAX_TEXT = 2000
MAX_FORMER = 10
PAGE, MAX_PAGES = 100, 20
EARLIEST = "1970-01-01T00:00:00Z"
Same = Callable[[Any, Any], bool]


def grant(http: Http) -> Token:
    """The ticket, and the host of the account where the answer names one."""
    signed = f"{_secret(http, 'system_user_token')}.{datetime.fromtimestamp(http.clock(), UTC):%Y%m%d%H%M}"
    told = {
        "SignedSystemToken": f"{signed}.{rsa_sha256(_secret(http, 'private_key'), octets(signed))}",
        "ApplicationToken": _secret(http, "client_secret"),
        "ContextIdentifier": _tenant(http),
        "ReturnTokenType": "JWT",
    }
    answer = http.request("POST", "/Login/api/PartnerSystemUser/Authenticate", json=told).json()
    if pick(answer, "IsSuccessful") is False:
        raise Unauthorized("the sign-in of the system user was refused: is the app authorized for this tenant?")
    claims = claims_of(text(answer, "Token"))
    if not text(claims, f"{CLAIM}ticket"):
        raise Unknown("a sign-in was answered without its ticket")
    return Token(text(claims, f"{CLAIM}ticket"), TICKET_SECONDS, _origin(text(claims, f"{CLAIM}webapi_url")))


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    for person in _known(http, customer, remote):
        if person:
            return _updated(http, person, customer)
    answer = http.request("POST", _path(http, "Person"), params=_only("PersonId"), json=new_person(http, customer))
    return _own(answer.json(), "PersonId")


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    told = appointment(http, _present(http, remote), entry)
    answer = http.request("POST", _path(http, "Appointment"), params=_only("AppointmentId"), json=told)
    return _own(answer.json(), "AppointmentId")


def find_contact(http: Http, customer: Customer) -> str:
    return next(iter(_by_customer(http, customer.id)), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    column = _column(http, "appointment")
    query = _rows(f"appointmentId,person/personId,{column}", f"{column} eq {_quoted(entry.event.id)}")
    found = _listed(http, "Appointment", query)
    ours = (each for each in found if text(each, column) == entry.event.id)
    return next((text(each, "appointmentId") for each in ours if text(each, "person/personId") == remote), "")


def forget_contact(http: Http, remote: str) -> None:
    """Our appointments too: they would stay, with their texts, on nobody's card."""
    for each in _appointments(http, remote):
        http.request("DELETE", _path(http, f"Appointment/{_part(each)}"), allow=(404,))
    http.request("DELETE", _path(http, f"Person/{_part(remote)}"), allow=(404,))


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """With the company of the new person, as the vendor asks; with none where he has none."""
    person, path = _present(http, new), _path(http, f"Appointment/{_part(activity)}")
    told = [_put("/Person", {"PersonId": person["PersonId"]}), _put("/Contact", companies(person).get("Contact"))]
    return _own(_patched(http, path, "AppointmentId", told), "AppointmentId")


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """https://docs.superoffice.com/en/api/reference/restful/agent/Person_Agent/v1PersonAgent_Merge.html"""
    there = [person for each in (kept, other) if (person := _person(http, each))]
    if len(there) < 2:
        return text(there[0], "PersonId") if there else kept
    told = {
        "SourcePersonId": there[1]["PersonId"],
        "DestinationPersonId": there[0]["PersonId"],
        "MoveAfterDate": EARLIEST,
        "DeleteSource": True,
        "ReplaceEmptyFieldsOnDestination": True,
    }
    http.request("POST", _path(http, "Agents/Person/Merge"), json=told)
    return kept


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """What a push would change says it; another customer's id, which it leaves alone, is not missing."""
    person = _person(http, remote)
    return bool(person) and not changes(http, person, customer, alike)


def new_person(http: Http, customer: Customer) -> Row:
    """Somebody without a name goes by his address, number or id: a card must show something."""
    known, address, phone = names(customer), _address(customer), _phone(customer)
    agent, company = pick(http.settings, "dbi_agent_id"), pick(http.settings, "contact_id")
    told = kept(
        **known or {"Lastname": address or phone or customer.id},
        Emails=[{"Value": address}] if address else [],
        MobilePhones=[{"Value": phone}] if phone else [],
        Contact={"ContactId": company} if company else {},
        DbiAgentId=agent,
        DbiKey=customer.id if agent else "",
        CustomFields=custom_fields(http, customer),
    )
    return merged(told, customer.mapped)


def names(customer: Customer) -> dict[str, str]:
    known = {name: found.value.strip() for name, found in customer.fields.items()}
    first, _, last = known.get("name", "").partition(" ")
    return kept(Firstname=known.get("first_name") or first, Lastname=known.get("last_name") or last.strip())


def custom_fields(http: Http, customer: Customer) -> Row:
    return {text(http.settings, "customer_field"): customer.id} | profile(customer, http.settings)


def changes(http: Http, person: Row, customer: Customer, same: Same = shows) -> list[Row]:
    """What is known and not there yet; what an agent added stays, and so does another customer's id. `same`: how
    a value there and ours are compared."""
    wanted = merged({**names(customer), "CustomFields": custom_fields(http, customer)}, customer.mapped)
    custom = wanted.pop("CustomFields", {})
    told = [_put(f"/{_step(name)}", value) for name, value in wanted.items() if not same(person.get(name), value)]
    address, phone = _address(customer), _phone(customer)
    if address and address not in _addresses(person):
        told.append(_put("/Emails/-", {"Value": address}))
    if phone and phone not in _numbers(http, person):
        told.append(_put("/MobilePhones/-", {"Value": phone}))
    owner = text(person, "CustomFields", text(http.settings, "customer_field"))
    for name, value in custom.items():
        taken = value == customer.id and owner not in ("", *customer.former)
        if not taken and not same(pick(person, "CustomFields", name), value):
            told.append(_put(f"/CustomFields/{_step(name)}", value))
    return told


def _step(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def appointment(http: Http, person: Row, entry: Entry) -> Row:
    """Done, at its own time: without one it would lie an hour ahead in somebody's diary."""
    event = entry.event
    seconds = event.details.get("duration")
    length = int(seconds * 1000) if isinstance(seconds, int | float) and 0 <= seconds < 10**7 else 0
    task = _task(http, event)
    told = kept(
        Person={"PersonId": person["PersonId"]},
        **companies(person),
        Description=description(entry),
        StartDate=event.occurred_at,
        EndDate=instants.from_ms(instants.to_ms(event.occurred_at) + length),
        Completed="Completed",
        Task={"TaskListItemId": task} if task else {},
        CustomFields={text(http.settings, "event_field"): event.id},
    )
    return merged(told, entry.mapped)


def companies(person: Row) -> Row:
    """The company of an appointment with this person; nothing where he has none."""
    company = pick(person, "Contact", "ContactId")
    return {"Contact": {"ContactId": company}} if company else {}


def description(entry: Entry) -> str:
    event = entry.event
    words = [event.type, text(event.details, "number"), text(event.details, "status")]
    title = f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")
    side = {"in": "from the customer", "out": "to the customer"}.get(event.direction, "internal")
    parts = [part for part in (f"{title}, {side}", event.summary, event.text) if part]
    tail = "".join(f"\n{url}" for url in (entry.url, event.link) if url)
    return _cut("\n".join(parts), MAX_TEXT - len(tail)) + tail


def _cut(whole: str, length: int) -> str:
    return whole if len(whole) <= length else whole[: length - 1] + "…"


def _task(http: Http, event: Event) -> int | None:
    """The number of the follow-up type: `call_in` before `call` before the usual one."""
    named = pick(http.settings, "tasks")
    found = [pick(named, f"{event.type}_{event.direction}"), pick(named, event.type), pick(http.settings, "task")]
    return next((each for each in found if isinstance(each, int) and each), None)


def _address(customer: Customer) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    newest = customer.fields["email"].value if "email" in customer.fields else ""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def _phone(customer: Customer) -> str:
    return (customer.fields["phone"].value if "phone" in customer.fields else "") or customer.first("phone")


def _addresses(person: Row) -> set[str]:
    return {text(each, "Value").lower() for each in objects(person, "Emails")}


def _numbers(http: Http, person: Row) -> set[str]:
    region = text(http.settings, "region") or fields.DEFAULT_REGION
    found = {text(each, "Value") for kind in PHONES for each in objects(person, kind)}
    return found | {fields.phone(each, region) for each in found}


def _known(http: Http, customer: Customer, remote: str) -> Iterator[Row]:
    """Cards of this customer: by the id we know, by ours, by a former one, then by address, if nobody owns it."""
    if remote:
        yield _person(http, remote)
    for each in (customer.id, *customer.former[:MAX_FORMER]):
        yield from (_person(http, found) for found in _by_customer(http, each))
    if address := _address(customer):
        free = {text(row, "personId") for row in _people(http, "email/emailAddress", address) if _free(http, row)}
        cards = [_person(http, found) for found in free] if len(free) == 1 else []
        yield from (each for each in cards if address in _addresses(each))


def _by_customer(http: Http, value: str) -> list[str]:
    column = _column(http, "person")
    return [text(each, "personId") for each in _people(http, column, value) if text(each, column) == value]


def _free(http: Http, row: Row) -> bool:
    return not text(row, _column(http, "person")) and str(row.get("retired")).lower() != "true"


def _people(http: Http, column: str, value: str) -> list[Row]:
    """Of several addresses a row shows one, not always the one that was searched for."""
    columns = f"personId,retired,{_column(http, 'person')}"
    return _listed(http, "Person", _rows(columns, f"{column} eq {_quoted(value)}"))


def _appointments(http: Http, remote: str) -> list[str]:
    """Ids of those that carry an event of ours."""
    column, found = _column(http, "appointment"), list[str]()
    for number in range(MAX_PAGES):
        query = _rows(f"appointmentId,{column}", f"person/personId eq {_part(remote)}", number * PAGE)
        rows = _listed(http, "Appointment", query)
        found += [text(each, "appointmentId") for each in rows if text(each, column)]
        if len(rows) < PAGE:
            return found
    raise Delayed(f"more than {MAX_PAGES * PAGE} appointments: cannot tell which are ours")


def _listed(http: Http, kind: str, query: dict[str, str]) -> list[Row]:
    answer = http.request("GET", _path(http, kind), params=query).json()
    if not isinstance(pick(answer, "value"), list):
        raise Unknown("a search was answered without its rows")
    return objects(answer, "value")


def _person(http: Http, remote: str) -> Row:
    """The whole card, or nothing when it is gone."""
    answer = http.request("GET", _path(http, f"Person/{_part(remote)}"), allow=(404,))
    if answer.status == 404:
        return {}
    found: Row = answer.json()
    _own(found, "PersonId")
    return found


def _present(http: Http, remote: str) -> Row:
    person = _person(http, remote)
    if not person:
        raise Rejected("this person was deleted there: redrive once the customer has a new one")
    return person


def _updated(http: Http, person: Row, customer: Customer) -> str:
    remote = text(person, "PersonId")
    if told := changes(http, person, customer):
        _own(_patched(http, _path(http, f"Person/{_part(remote)}"), "PersonId", told), "PersonId")
    return remote


def _patched(http: Http, path: str, name: str, told: list[Row]) -> Any:
    headers = {"Content-Type": "application/json-patch+json"}
    return http.request("PATCH", path, params=_only(name), json=told, headers=headers).json()


def _put(path: str, value: Any) -> Row:
    return {"op": "add", "path": path, "value": value}


def _own(answer: Any, name: str) -> str:
    if not text(answer, name):
        raise Unknown(f"a success was answered without its {name}")
    return text(answer, name)


def _only(columns: str) -> dict[str, str]:
    return {"$select": columns}


def _rows(columns: str, wanted: str, first: int = 0) -> dict[str, str]:
    paging = {"$top": str(PAGE)} | ({"$skip": str(first)} if first else {})
    return {"$select": columns, "$filter": wanted, "$output": "Logical", **paging}


def _quoted(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _column(http: Http, kind: str) -> str:
    name = "customer_field" if kind == "person" else "event_field"
    return f"{kind}Udef/{text(http.settings, name)}"


def _part(value: str) -> str:
    return quote(value, safe="")


def _secret(http: Http, name: str) -> str:
    return next(iter(keys_of(http.secrets, name)), "")


def _tenant(http: Http) -> str:
    found = text(http.settings, "context_identifier")
    if not TENANT.match(found):
        raise Rejected("settings.context_identifier: letters and digits, such as Cust12345")
    return found


def _path(http: Http, what: str) -> str:
    path = f"/{_tenant(http)}/api/v1/{what}"
    return path if http.base_url else f"{_login(http.settings)}{path}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""


def _login(settings: Mapping[str, Any]) -> str:
    return f"https://{quote(text(settings, 'environment') or 'online', safe='')}.superoffice.com"


def _ticket(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tickets, apps = keys_of(secrets, "access_token"), keys_of(secrets, "client_secret")
    return {"Authorization": f"SOTicket {tickets[0]}", "SO-AppToken": apps[0]} if tickets and apps else {}


DESTINATION = Destination(
    name="SuperOffice",
    base_url="",
    auth=_ticket,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    move_activity=move_activity,
    merge_contacts=merge_contacts,
    shows_contact=shows_contact,
    grant=grant,
    grant_url=_login,
    keyed=False,
    limit=Limit(300, 60.0),
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("CustomFields.{customer_field}", "PersonId", "Emails", "MobilePhones"),
        "activity": ("CustomFields.{event_field}", "AppointmentId", "Person"),
    },
    settings={
        "context_identifier": Setting("Context identifier", required=True, help="Of the tenant, such as Cust12345"),
        "environment": Setting("Environment", default="online", choices=("online", "qaonline", "sod")),
        "customer_field": Setting(
            "Person field for our customer id", required=True, help="Prog-id of a text field, such as SuperOffice:11"
        ),
        "event_field": Setting(
            "Follow-up field for our event id", required=True, help="Prog-id of a text field, such as SuperOffice:12"
        ),
        "channel_field": Setting("Person field for the preferred channel", help="Prog-id; empty: not sent"),
        **profile_settings("Person field", help="Prog-id, of a text field"),
        "contact_id": Setting(
            "Company of new persons", type="integer", help="Needed where the preference MandatoryContactOnPerson is on"
        ),
        "task": Setting("Follow-up type", type="integer", help="Id in the list task; empty: as the tenant is set"),
        "tasks": Setting(
            "Follow-up types by kind", type="object", help='{"call_in": 5, "call_out": 6, "email": 4}: ids in the list'
        ),
        "dbi_agent_id": Setting(
            "Integration agent", type="integer", help="If set, new persons carry it as DbiAgentId and our id as DbiKey"
        ),
        "base_url": Setting("Host of sign-in and API", help="For a stand-in; default: as environment and sign-in say"),
    },
    secrets={
        "client_secret": Setting("Client secret", required=True, help="Of the app; also its application token"),
        "system_user_token": Setting(
            "System user token", required=True, help="The claim system_token of an administrator's sign-in to the app"
        ),
        "private_key": Setting("Private key", required=True, help="Of the app, RSA in PEM without a password"),
    },
    unverified=(
        "the host in the claim webapi_url is the one that answers /{tenant}/api/v1",
        "eq on a user-defined text column and on email/emailAddress, and a quote doubled in its value",
        "person/personId as a column of the archive FindAppointment",
        "add with /Emails/- in a JSON Patch: the reference shows the path, no example of these arrays",
        "add with /Person and /Contact on a follow-up, and null for a company that it has no more",
        "that a merge takes along every follow-up and moves it to the company of the person who is left",
        "what becomes of addresses and numbers of the person that a merge deletes: ours are told again afterwards",
        "moments with Z are read as UTC, whatever the tenant's time zone",
        "that a deleted person answers a GET with 404",
        "which errors of content are answered with 500: they are tried again for three days",
        "limits: calls are metered by app, no number is published; 300 a minute are taken",
    ),
    setup=(
        "Register an app of server-to-server kind; have an administrator of the tenant authorize it, and take the "
        "system user token from the id_token of that sign-in.",
        "Convert the app's RSA key from XML to PEM and enter it as private_key.",
        "Add a text field to persons and one to follow-ups, publish them, and enter their prog-ids. Hide them from "
        "agents: whoever clears them loses the link.",
        "Persons that are merged (merge_policy hard) become one, and the other is deleted: the system user needs the right "
        "to merge contacts, and SuperOffice merges no users of one's own company.",
        "Read the ids of follow-up types from GET /MDOList/task and enter them in tasks.",
    ),
    docs="https://docs.superoffice.com/en/api/reference/restful/rest/Person/index.html",
)
