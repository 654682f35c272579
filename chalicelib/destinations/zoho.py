"""Zoho CRM: https://www.zoho.com/crm/developer/docs/api/v8/upsert-records.html

A contact is ours by a unique field that holds the customer id, and is upserted by it. Before that one query
tells who carries his id, a former one, or his mail address: whoever has the address and belongs to nobody is
adopted. Where a unique value is taken by another record, the rest is written without it.

A call is a Call, what the setting `tasks` names is a Task that is done, all else a Note. They take no key of
ours: the last line of each tells ours apart, so that it is found again. A row may be refused with a 400 or
inside of a success; both are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.grant import Token
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, merged, profile, profile_settings
from chalicelib.kit.shape import count, kept, objects, pick, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
CENTRES = ("com", "eu", "in", "com.au", "jp", "sa", "ca", "com.cn", "uk")
FIELD_NAME = pattern(r"[A-Za-z][A-Za-z0-9_]{0,99}\Z")
QUOTABLE = pattern(r"[^'\"\\\x00-\x1f]+\Z")
SOURCE_NAME = "draad"
SIDES = {"in": "from customer", "out": "to customer"}
MISSED = frozenset({"missed", "no_answer", "busy", "failed", "canceled", "abandoned", "voicemail"})
TASKS = ("email", "ticket", "return")
MAX_TEXT = 20_000
PAGE = 200
MAX_PAGES = 10
MOST_IDS = 100
TOKEN_SECONDS = 3600
BLOCKED_SECONDS = 600
MERGING_SECONDS = 60
UNFINISHED = frozenset({"SCHEDULED", "RUNNING"})


def grant(http: Http) -> Token:
    """An hour's token. Refusals come as a 200 with the error inside; too many tokens block for ten minutes."""
    secrets = {name: next(iter(keys_of(http.secrets, name)), "") for name in ("client_secret", "refresh_token")}
    form = {"grant_type": "refresh_token", "client_id": text(http.settings, "client_id"), **secrets}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    told = http.request("POST", "oauth/v2/token", body=urlencode(form).encode(), headers=headers, allow=(400,)).json()
    value, wrong = text(told, "access_token"), text(told, "error")
    if value:
        home = text(told, "api_domain") or f"https://www.zohoapis.{_centre(http.settings)}"
        return Token(value, count(told, "expires_in") or TOKEN_SECONDS, home)
    if wrong.lower() == "access denied":
        raise Delayed("too many tokens were asked for", retry_after=BLOCKED_SECONDS)
    raise Unauthorized(f"no token: {wrong[:60]}") if wrong.startswith("invalid") else Unknown("no token was answered")


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    wanted = contact_fields(http, customer)
    for contact in _known(http, customer, remote, text(wanted, "Email")):
        if done := _update(http, _id(contact), wanted):
            return done
    named = wanted | {"Last_Name": _last_name(wanted, customer)}
    return _made(http, *_written(http, "POST", "Contacts/upsert", named, duplicate_check_fields=[_field(http)]))


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    module = module_of(http, entry.event)
    path = f"Contacts/{_number(remote)}/Notes" if module == "Notes" else module
    return _made(http, *_written(http, "POST", path, merged(activity_fields(module, remote, entry), entry.mapped)))


def find_contact(http: Http, customer: Customer) -> str:
    field = _field(http)
    found = _queried(http, "Contacts", ("id", field), _among(field, [customer.id]))
    return next((_id(each) for each in found if text(each, field) == customer.id), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    module = module_of(http, entry.event)
    if module == "Notes":
        found = _notes(http, remote)
    else:
        at = ("Call_Start_Time", _moment(entry.event)) if module == "Calls" else ("Due_Date", _day(entry.event))
        whose = f"(Who_Id = '{_number(remote)}' and {at[0]} = '{at[1]}')"
        found = _queried(http, module, ("id", "Description"), whose)
    return next((_id(each) for each in found if _is_marked(each, entry.event.id)), "")


def forget_contact(http: Http, remote: str) -> None:
    """His calls and tasks that we wrote, then himself with his notes, and all of it out of the recycle bin."""
    for module in ("Calls", "Tasks"):
        found = _queried(http, module, ("id", "Description"), f"Who_Id = '{_number(remote)}'")
        ours = [_id(each) for each in found if _is_marked(each)]
        for start in range(0, len(ours), MOST_IDS):
            _delete(http, module, ours[start : start + MOST_IDS])
    _delete(http, "Contacts", [_number(remote)])


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """A note is looked at afterwards: of those, only a change of title and text is documented."""
    module, whose = module_of(http, entry.event), {"id": _number(new)}
    note = module == "Notes"
    told: Row = {"Parent_Id": {"module": {"api_name": "Contacts"}, **whose}} if note else {"Who_Id": whose}
    path = f"{module}/{_number(activity)}"
    _made(http, *_sent(http, "PUT", path, told, {}))
    if note and _parents(http, path) != [new]:
        raise Rejected("Zoho says that this note was moved, and left it where it was")
    return activity


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """https://www.zoho.com/crm/developer/docs/api/v8/merge-records.html

    Zoho may put it off: asked again when it is done, one is left.
    """
    there = [found for each in (kept, other) if (found := _id(_contact(http, each)))]
    if len(set(there)) < 2:
        return there[0] if there else kept
    path = f"crm/v8/Contacts/{_number(kept)}/actions/merge"
    if not _is_merging(http, path):
        told = {"merge": [{"data": [{"id": _number(other)}]}]}
        answer = http.request("POST", path, json=told, allow=(400,))
        rows = objects(answer.json(), "merge") if answer.status != 204 else [{"code": "SUCCESS"}]
        if not rows and answer.status != 400:
            raise Unknown("a merge was answered with something else")
        row = rows[0] if rows else answer.json()
        if text(row, "code") == "SUCCESS":
            return kept
        if text(row, "code") != "SCHEDULED":
            raise _refused(http, row, answer)
    raise Delayed("these contacts are being merged there", retry_after=MERGING_SECONDS)


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """A unique value that another record has could not be written, so it is not missing."""
    wanted, there = contact_fields(http, customer), _contact(http, remote)
    if not there or text(there, _field(http)) not in ("", customer.id, *customer.former):
        return False
    lacking = [name for name, value in wanted.items() if not alike(there.get(name), value)]
    return not lacking or (len(lacking) == 1 and _is_taken(http, lacking[0], wanted, remote))


def module_of(http: Http, event: Event) -> str:
    if event.type == "call":
        return "Calls"
    return "Tasks" if event.type in http.settings.get("tasks", TASKS) else "Notes"


def contact_fields(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what an agent filled in."""
    known = {name: found.value for name, found in customer.fields.items()}
    first, _, last = known.get("name", "").strip().partition(" ")
    names = kept(first=first if last else "", last=last.strip() or first)
    told = kept(
        First_Name=known.get("first_name") or names.get("first"),
        Last_Name=known.get("last_name") or names.get("last"),
        Email=_address(customer, known.get("email", "")),
        Phone=known.get("phone") or customer.first("phone"),
        **profile(customer, http.settings),
        **{_field(http): customer.id},
    )
    return merged(told, customer.mapped)


def _last_name(wanted: Row, customer: Customer) -> str:
    """A new contact must have one."""
    known = (text(wanted, name) for name in ("Last_Name", "First_Name", "Email", "Phone"))
    return next(filter(None, known), customer.id)


def _address(customer: Customer, newest: str) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def activity_fields(module: str, remote: str, entry: Entry) -> Row:
    event = entry.event
    if module == "Notes":
        return {"Note_Title": _title(event), "Note_Content": _body(entry)}
    told = {"Who_Id": {"id": _number(remote)}, "Description": _body(entry)}
    if module == "Calls":
        return told | {"Subject": _title(event), "Call_Start_Time": _moment(event), **call(event)}
    subject = (event.summary or _title(event))[:250]
    return told | {"Subject": subject, "Status": "Completed", "Due_Date": _day(event)}


def call(event: Event) -> Row:
    """A call that was not missed must have a length."""
    seconds = count(event.details, "duration") or 0
    length = f"{seconds // 60:02d}:{seconds % 60:02d}"
    if event.direction == "out":
        return {"Call_Type": "Outbound", "Outbound_Call_Status": "Completed", "Call_Duration": length}
    status = text(event.details, "status").lower().replace("-", "_").replace(" ", "_")
    return {"Call_Type": "Missed"} if status in MISSED else {"Call_Type": "Inbound", "Call_Duration": length}


def _known(http: Http, customer: Customer, remote: str, mail: str) -> list[Row]:
    """His contact there, best first: the one that we know, by his id, by a former one, then a free one."""
    field, ids = _field(http), [customer.id, *customer.former[:40]]
    asked = (("id", [remote]), (field, ids), ("Email", [mail]))
    conditions = [each for name, values in asked if (each := _among(name, values))]
    whole = reduce(lambda left, right: f"({left} or {right})", conditions)
    found = list(_queried(http, "Contacts", ("id", "Email", field), whole))
    ranked = [(rank, int(_id(each)), each) for each in found if (rank := _rank(each, field, ids, remote, mail)) >= 0]
    return [each for _, _, each in sorted(ranked, key=lambda one: one[:2])]


def _rank(contact: Row, field: str, ids: list[str], remote: str, mail: str) -> int:
    """-1: another customer's, or nobody that we look for."""
    owner = text(contact, field)
    if owner and owner not in ids:
        return -1
    if _id(contact) == remote:
        return 0
    if owner:
        return 1 + ids.index(owner)
    return len(ids) + 1 if mail and text(contact, "Email").lower() == mail.lower() else -1


def _contact(http: Http, remote: str) -> Row:
    """The whole contact, or nothing when it is gone."""
    answer = http.request("GET", f"crm/v8/Contacts/{_number(remote)}", allow=(400,))
    if answer.status != 400:
        return next(iter(_rows(answer)), {})
    row = next(iter(objects(answer.json(), "data")), answer.json())
    if text(row, "code") != "INVALID_DATA":
        raise _refused(http, row, answer)
    return {}


def _parents(http: Http, note: str) -> list[str]:
    found = _rows(http.request("GET", f"crm/v8/{note}", params={"fields": "Parent_Id"}))
    return [text(each, "Parent_Id", "id") for each in found]


def _is_merging(http: Http, path: str) -> bool:
    answer = http.request("GET", path)
    jobs = objects(answer.json(), "merge") if answer.status != 204 else []
    return any(text(each, "status").upper() in UNFINISHED for each in jobs)


def _is_taken(http: Http, field: str, wanted: Row, remote: str) -> bool:
    """Whether another contact has this value, of a field that lets no two have one."""
    value = wanted[field]
    where = _among(field, [value]) if isinstance(value, str) and FIELD_NAME.match(field) else ""
    if not where or not any(_id(each) != remote for each in _queried(http, "Contacts", ("id",), where)):
        return False
    fields = http.request("GET", "crm/v8/settings/fields", params={"module": "Contacts"}).json()
    return any(text(each, "api_name") == field and pick(each, "unique") for each in objects(fields, "fields"))


def _update(http: Http, contact: str, wanted: Row) -> str:
    """The contact's id, or nothing when it is gone."""
    row, answer = _written(http, "PUT", f"Contacts/{contact}", wanted)
    wrong = text(row, "details", "api_name") or text(row, "details", "id")
    if text(row, "code") == "INVALID_DATA" and wrong in ("id", contact):
        return ""
    return _made(http, row, answer)


def _written(http: Http, method: str, path: str, told: Row, **options: Any) -> tuple[Row, Reply]:
    """The row of the answer. A unique value that another record has stays away: the rest is worth having."""
    row, answer = _sent(http, method, path, told, options)
    taken = text(row, "details", "api_name")
    if text(row, "code") == "DUPLICATE_DATA" and taken in told:
        rest = {name: value for name, value in told.items() if name != taken}
        return _sent(http, method, path, rest, options) if rest else (row, answer)
    return row, answer


def _sent(http: Http, method: str, path: str, told: Row, options: Row) -> tuple[Row, Reply]:
    body = {"data": [told], **options}
    if http.settings.get("run_workflows") is not True:
        body["trigger"] = []
    answer = http.request(method, f"crm/v8/{path}", json=body, allow=(400,))
    rows = objects(answer.json(), "data")
    if not rows and answer.status != 400:
        raise Unknown("a row was answered with something else")
    return rows[0] if rows else {}, answer


def _made(http: Http, row: Row, answer: Reply) -> str:
    if text(row, "code") == "SUCCESS" and (found := text(row, "details", "id")):
        return found
    raise _refused(http, row, answer)


def _refused(http: Http, row: Row, answer: Reply) -> Rejected | Unknown:
    from chalicelib.kit.http import redacted

    code, field = text(row, "code"), text(row, "details", "api_name")
    if code == "SUCCESS":
        return Unknown("a success was answered without its id")
    secrets = [value for values in http.secrets.values() for value in values]
    return Rejected(f"HTTP {answer.status}: {code or 'refused'} {field}".strip(), redacted(answer.body, secrets))


def _delete(http: Http, module: str, ids: list[str]) -> None:
    """What is gone already answers INVALID_DATA, which is as good."""
    for path in (module, "settings/recycle_bin"):
        answer = http.request("DELETE", f"crm/v8/{path}", params={"ids": ",".join(ids)}, allow=(400,))
        told = answer.json() if answer.status != 204 else {}
        for row in [*objects(told, "data"), *objects(told, "recycle_bin"), *([told] if "code" in told else [])]:
            if text(row, "code") not in ("SUCCESS", "INVALID_DATA", "SCHEDULED"):
                raise _refused(http, row, answer)


def _among(field: str, values: list[str]) -> str:
    """A condition of a query; empty without a value that can be quoted."""
    quoted = [f"'{each}'" for each in values if QUOTABLE.match(each)]
    if len(quoted) > 1:
        return f"{field} in ({', '.join(quoted)})"
    return f"{field} = {quoted[0]}" if quoted else ""


def _queried(http: Http, module: str, fields: tuple[str, ...], where: str) -> Iterator[Row]:
    wanted = ["select", ", ".join(fields), "from", module, "where", where, f"limit {PAGE} offset"]
    for page in range(MAX_PAGES):
        query = " ".join([*wanted, str(page * PAGE)])
        answer = http.request("POST", "crm/v8/coql", json={"select_query": query})
        yield from _rows(answer)
        if not _has_more(answer):
            return
    raise Delayed(f"more than {MAX_PAGES} pages of {module}: cannot tell whether this one is there")


def _notes(http: Http, remote: str) -> Iterator[Row]:
    path, query = f"crm/v8/Contacts/{_number(remote)}/Notes", {"fields": "id,Note_Content", "per_page": str(PAGE)}
    for page in range(1, MAX_PAGES + 1):
        answer = http.request("GET", path, params=query | {"page": str(page)})
        yield from _rows(answer)
        if not _has_more(answer):
            return
    raise Delayed(f"more than {MAX_PAGES} pages of notes: cannot tell whether this one is there")


def _rows(answer: Reply) -> list[Row]:
    """Nothing found is a 204 without a body."""
    told = {"data": []} if answer.status == 204 else answer.json()
    if not isinstance(pick(told, "data"), list):
        raise Unknown("a question was answered with something else")
    return objects(told, "data")


def _has_more(answer: Reply) -> bool:
    return answer.status != 204 and pick(answer.json(), "info", "more_records") is True


def _id(row: Any) -> str:
    return text(row, "id")


def _number(remote: str) -> str:
    if not remote.isdigit():
        raise Rejected("the id of a contact is a whole number")
    return remote


def _is_marked(row: Row, event: str = "") -> bool:
    told = (text(row, "Description") or text(row, "Note_Content")).rstrip()
    return re.search(rf"{SOURCE_NAME}:{re.escape(event) if event else '[a-z0-9]+'}\Z", told) is not None


def _body(entry: Entry) -> str:
    event = entry.event
    side = SIDES.get(event.direction, "internal")
    head = f"{_title(event)}, {side}, {event.occurred_at[:16].replace('T', ' ')} UTC"
    lines = [head, event.summary, event.text[:MAX_TEXT], entry.url, event.link, f"{SOURCE_NAME}:{event.id}"]
    return "\n".join(line for line in lines if line)


def _title(event: Event) -> str:
    words = [event.type, text(event.details, "number"), text(event.details, "status")]
    return f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")[:120]


def _moment(event: Event) -> str:
    return f"{event.occurred_at[:19]}+00:00"


def _day(event: Event) -> str:
    return event.occurred_at[:10]


def _field(http: Http) -> str:
    name = text(http.settings, "customer_field") or "Draad_Customer_Id"
    if not FIELD_NAME.match(name):
        raise Rejected("settings.customer_field: the API name of the contact field for our customer id")
    return name


def _centre(settings: Mapping[str, Any]) -> str:
    centre = text(settings, "data_centre")
    return centre if centre in CENTRES else CENTRES[0]


def _accounts(settings: Mapping[str, Any]) -> str:
    """Where tokens are given, by data centre: a token of one is worth nothing in another."""
    centre = _centre(settings)
    return "https://accounts.zohocloud.ca" if centre == "ca" else f"https://accounts.zoho.{centre}"


def _token(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "access_token")
    return {"Authorization": f"Zoho-oauthtoken {tokens[0]}"} if tokens else {}


DESTINATION = Destination(
    name="Zoho CRM",
    base_url="https://www.zohoapis.com",
    auth=_token,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    move_activity=move_activity,
    merge_contacts=merge_contacts,
    shows_contact=shows_contact,
    grant=grant,
    grant_url=_accounts,
    keyed=False,
    limit=Limit(100, 60.0),
    outcomes={403: Unauthorized},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("{customer_field}", "id", "Email"),
        "activity": ("id", "Who_Id", "Description", "Note_Content", "Call_Start_Time", "Due_Date"),
    },
    settings={
        "base_url": Setting("Base URL", help="For a stand-in; the data centre's own comes with the token"),
        "data_centre": Setting("Data centre", default="com", choices=CENTRES, help="The end of the account's address"),
        "client_id": Setting("Client id", required=True, help="Of the self client or server application: 1000.…"),
        "customer_field": Setting(
            "Contact field for our customer id", default="Draad_Customer_Id", help="Its API name; unique"
        ),
        "channel_field": Setting("Contact field for the preferred channel", help="Its API name; empty: not sent"),
        **profile_settings("Contact field", help="Its API name"),
        "tasks": Setting("Kinds shown as closed tasks", type="array", items="string", default=list(TASKS)),
        "run_workflows": Setting(
            "Run workflows",
            type="boolean",
            default=False,
            help="Whether what the hub writes sets off the account's workflows, which may write to customers",
        ),
    },
    secrets={
        "client_secret": Setting("Client secret", required=True),
        "refresh_token": Setting("Refresh token", required=True, help="1000.…; does not end by itself"),
    },
    unverified=(
        "a refused row: a 400, or a 202 or 207 with the row's code inside; all are read",
        "that a query in COQL sees a record as soon as it is written, and Who_Id = 'id' in its conditions",
        "that a contact's notes go with it, and calls and tasks do not",
        "a note posted under the contact's path needs no Parent_Id",
        "that a note takes another Parent_Id: the vendor's OpenAPI has it in the body, the page does not; it is read after",
        "that Who_Id of a call or task that is done may change: no page forbids it",
        "that a merge takes along calls, tasks and notes: the help says so of people's own merges",
        "a contact that is gone: a 400 with INVALID_DATA, or a 204; both are read",
        "limits: a budget of credits in 24 hours and a number of calls at once by edition; 100 a minute is taken",
        "the data centre uk, and the accounts' address of sa",
    ),
    setup=(
        "In Contacts add a single-line field Draad_Customer_Id, with no duplicate values allowed.",
        "In the API console of your data centre make a self client with the scopes ZohoCRM.modules.contacts.ALL, "
        "ZohoCRM.modules.calls.ALL, ZohoCRM.modules.tasks.ALL, ZohoCRM.modules.notes.ALL, ZohoCRM.coql.READ, "
        "ZohoCRM.settings.fields.READ and ZohoCRM.settings.recycle_bin.DELETE.",
        "Exchange its code for a refresh token, and enter client_id, client_secret, refresh_token and data_centre.",
        "The user of the token must have the right to delete, or nobody can be forgotten; and the right Find and Merge "
        "Contacts where merge_policy is hard.",
    ),
    docs="https://www.zoho.com/crm/developer/docs/api/v8/upsert-records.html",
)
