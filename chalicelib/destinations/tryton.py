"""Tryton: https://docs.tryton.org/latest/server/topics/rpc.html

A party is ours by an identifier that holds the customer id: its code is the organisation's own number
and stays that. A party without one is adopted when it alone has the customer's mail address. What is
known is added: Tryton keeps any number of addresses and numbers, and those that agents entered stay.
A party that agents put out of use takes no more changes, and gets notes all the same.

An activity is a note on the party, or a record of another model by settings. It takes no key of ours
but carries the event id in its last line, and is looked for before a retry. All goes by JSON-RPC in a
session: the key of a user application opens the REST API only, which erases neither a party nor a note.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.fields import DEFAULT_REGION, phone
from chalicelib.kit.grant import Token
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, blanked, merged, tops
from chalicelib.kit.shape import kept, pick, text
from chalicelib.kit.signatures import keys_of, octets
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.customer import Customer, Entry

Row = dict[str, Any]
Domain = list[list[Any]]
PARTY, NOTE = "party.party", "ir.note"
DATABASE = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
ALSO_INACTIVE = ["active", "in", [True, False]]
NUMBERS = frozenset({"phone", "mobile", "fax"})
CUSTOMER_ID, MARK = "cus_", "draad:"
MAX_TEXT = 16_384
MAX_ROWS = 1_000
SESSION_SECONDS = 300
TRIES = 4
OTHER_NAME = "party.replace name "
"""What the warning is called that two parties which are to be one have different names."""
BLANK = "****"
"""What Tryton's own erasing leaves of a number, an address or an identifier."""


def login(http: Http) -> Token:
    name, passwords = text(http.settings, "login"), keys_of(http.secrets, "password")
    if not name or not passwords:
        raise Unauthorized("no login and password are configured")
    asked = {"id": 0, "method": "common.db.login", "params": [name, {"password": passwords[0]}]}
    found = _result(http, http.request("POST", _path(http, "rpc/"), json=asked).json())
    if not isinstance(found, list) or len(found) < 2:
        raise Unknown("a login was answered without its session")
    seconds = http.settings.get("session_seconds")
    whole = base64.b64encode(octets(f"{name}:{found[0]}:{found[1]}")).decode()
    return Token(whole, seconds if isinstance(seconds, int) else SESSION_SECONDS)


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    for key in known(http, customer, remote):
        if party := _party(http, key):
            return _completed(http, party, customer)
    row = {"name": _name(customer) or customer.id} | _lacking(http, customer, [], [])
    return _made(PARTY, _tolerated(http, f"model.{PARTY}.create", [], merged(row, customer.mapped)))


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    values = {_party_field(http): _reference(http, remote), _text_field(http): note_text(entry)}
    return _create(http, _model(http), merged(values, entry.mapped))


def find_contact(http: Http, customer: Customer) -> str:
    return next(_identified(http, [customer.id]), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    mark = f"{MARK}{entry.event.id}"
    wanted: Domain = [[_party_field(http), "=", _reference(http, remote)], [_text_field(http), "like", f"%{mark}"]]
    for row in _search(http, _model(http), wanted, _text_field(http)):
        if text(row, _text_field(http)).endswith(mark):
            return text(row, "id")
    return ""


def forget_contact(http: Http, remote: str) -> None:
    """What the hub told goes first, then the party and those it replaced, with their notes, as Tryton erases them.
    That would leave files of attachments, and the compact forms of numbers, addresses and identifiers."""
    if not (party := _party(http, remote)):
        return
    key = text(party, "id")
    family = _family(http, int(key))
    references = [_reference(http, str(each)) for each in family]
    _drop(http, _model(http), [[_party_field(http), "in", references], [_text_field(http), "like", f"%{MARK}%"]])
    _drop(http, "ir.attachment", [["resource", "in", [f"{PARTY},{each}" for each in family]]])
    _blank(http, "party.contact_mechanism", family, "value", {"type": "other", "name": None, "comment": None})
    _blank(http, "party.identifier", family, "code", {"type": None})
    filled = [name for name in http.mapped.get("contact", ()) if name != "name"]
    if party.get("active"):
        _write(http, PARTY, key, blanked({"active": False}, filled, None))
    session = _call(http, "wizard.party.erase.create")
    number = session[0] if isinstance(session, list) and session else 0
    _call(http, "wizard.party.erase.execute", number, {"ask": {"party": int(key)}}, "erase")
    _call(http, "wizard.party.erase.delete", number)


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    _write(http, _model(http), activity, {_party_field(http): _reference(http, new)})
    return activity


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """By Tryton's own replacing, which leaves notes where they are: ours go first, so that all is done once it is.
    What is out of use is not replaced, and replaces none that is in use."""
    there = [party for each in (kept, other) if (party := _party(http, each))]
    there.sort(key=lambda party: not party.get("active"))
    if not there:
        return kept
    left, last = text(there[0], "id"), text(there[-1], "id")
    if left != last:
        _take_along(http, last, left)
        if there[-1].get("active"):
            _replace(http, int(last), int(left))
    return left


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """A party out of use takes no changes: it shows him while it holds his id, which erasing takes."""
    if not (party := _party(http, remote)):
        return False
    if not party.get("active"):
        wanted: Domain = [["party", "=", int(text(party, "id"))], ["code", "=", customer.id], ALSO_INACTIVE]
        return bool(_search(http, "party.identifier", wanted, "code"))
    values = _changes(http, party, customer)
    fields = list(dict.fromkeys(("name", *tops(customer.mapped))))
    rows = _search(http, PARTY, [["id", "=", int(text(party, "id"))]], *fields) if values else []
    return not values or any(alike(row, values) for row in rows)


def note_text(entry: Entry) -> str:
    """Its last line tells ours apart, so that it is found again."""
    event = entry.event
    words = [event.type, text(event.details, "number"), text(event.details, "status").replace("_", " ")]
    seconds = event.details.get("duration")
    side = (
        "internal" if event.direction == "internal" else "from the customer" if event.direction == "in" else "from us"
    )
    head = f"{' '.join(word for word in words if word)} ({event.channel}), {event.occurred_at}, {side}"
    head += f", {seconds} seconds" if isinstance(seconds, int | float) else ""
    parts = [head, event.summary, event.text[:MAX_TEXT], entry.url, event.link, f"{MARK}{event.id}"]
    return "\n".join(part for part in parts if part)


def known(http: Http, customer: Customer, remote: str) -> Iterator[str]:
    """Parties that are this customer: the one we know, by our identifier, by his mail address if nobody owns it."""
    if remote:
        yield remote
    found = list(_identified(http, [customer.id, *customer.former]))
    yield from found
    if not found and (holder := _holder(http, customer.first("email"))):
        yield holder


def _identified(http: Http, ids: list[str]) -> Iterator[str]:
    """Those of replaced parties too: they went along, put out of use."""
    rows = _search(http, "party.identifier", [["code", "in", ids], ALSO_INACTIVE], "party", "code")
    rows = [row for row in rows if text(row, "code") in ids]
    yield from (text(row, "party") for row in sorted(rows, key=lambda row: ids.index(text(row, "code"))))


def _holder(http: Http, mail: str) -> str:
    """The only party that has this address, if it is no other customer's."""
    if not mail:
        return ""
    wanted = re.sub(r"([\\%_])", r"\\\1", mail)
    rows = _search(http, "party.contact_mechanism", [["type", "=", "email"], ["value", "ilike", wanted]], "party")
    parties = sorted({text(row, "party") for row in rows} - {""})
    if len(parties) != 1:
        return ""
    codes = _search(http, "party.identifier", [["party", "=", int(parties[0])], ALSO_INACTIVE], "code")
    return "" if any(text(row, "code").startswith(CUSTOMER_ID) for row in codes) else parties[0]


def _party(http: Http, key: str) -> Row:
    """The party, or the one that agents replaced it by; nothing when it is gone."""
    found: list[Row] = []
    for _ in range(3):
        wanted: Domain = [["id", "=", int(key) if key.isdigit() else 0], ALSO_INACTIVE]
        found = _search(http, PARTY, wanted, "name", "active", "replaced_by")
        key = next((text(row, "replaced_by") for row in found), "")
        if not key:
            break
    return next(iter(found), {})


def _family(http: Http, key: int) -> list[int]:
    """The party and all that were replaced by it."""
    found = latest = [key]
    while latest:
        rows = _search(http, PARTY, [["replaced_by", "in", latest], ALSO_INACTIVE], "id")
        latest = [row["id"] for row in rows if row["id"] not in found]
        found = found + latest
    return found


def _completed(http: Http, party: Row, customer: Customer) -> str:
    key = text(party, "id")
    values = _changes(http, party, customer) if party.get("active") else {}
    if values:
        _tolerated(http, f"model.{PARTY}.write", [[int(key)]], values)
    return key


def _changes(http: Http, party: Row, customer: Customer) -> Row:
    """What a push writes: what a mapping found, and what is known and not there."""
    key, name = text(party, "id"), _name(customer)
    wanted: Domain = [["party", "=", int(key)], ALSO_INACTIVE]
    ways = _search(http, "party.contact_mechanism", wanted, "type", "value")
    codes = [text(row, "code") for row in _search(http, "party.identifier", wanted, "code")]
    values = _lacking(http, customer, ways, codes)
    if name and name != text(party, "name"):
        values["name"] = name
    return merged(values, customer.mapped)


def _lacking(http: Http, customer: Customer, ways: list[Row], codes: list[str]) -> Row:
    """What is known of the customer and not there: nothing that agents entered is changed."""
    mails = {text(row, "value").strip().lower() for row in ways if text(row, "type") in ("email", "other")}
    region = text(http.settings, "region") or DEFAULT_REGION
    numbers = {phone(text(row, "value"), region) for row in ways if text(row, "type") in (*NUMBERS, "other")}
    mail, number = _own_one(customer, "email"), _own_one(customer, "phone")
    new = [{"type": "email", "value": mail}] if mail and mail not in mails else []
    new += [{"type": _phone_type(http), "value": number}] if number and number not in numbers else []
    code = {"code": customer.id} | kept(type=text(http.settings, "identifier_type"))
    return kept(
        contact_mechanisms=[["create", new]] if new else [],
        identifiers=[["create", [code]]] if customer.id not in codes else [],
    )


def _tolerated(http: Http, method: str, before: list[Any], values: Row) -> Any:
    """The result of telling a party's values. A number or an address that Tryton refuses, naming it, is told as
    something else, so that the customer has his party all the same. What else it refuses it may take again: parties
    that are made at once may want one code."""
    ways = [each for _, several in values.get("contact_mechanisms", []) for each in several]
    told: Any = None
    for _ in range(TRIES):
        told = _asked(http, method, *before, values if before else [values])
        kind, *words = _error(told) or [""]
        if kind != "UserError":
            break
        for each in ways:
            each["type"] = "other" if each["value"] in str(words) else each["type"]
    return _result(http, told)


def _own_one(customer: Customer, kind: str) -> str:
    """The newest one, if it is one that identifies this customer: a typed one proves nothing."""
    newest = customer.fields[kind].value if kind in customer.fields else ""
    owned = {each.value for each in customer.identities if each.kind == kind}
    return newest if newest in owned else customer.first(kind)


def _name(customer: Customer) -> str:
    fields = {name: found.value for name, found in customer.fields.items()}
    return fields.get("name") or f"{fields.get('first_name', '')} {fields.get('last_name', '')}".strip()


def _take_along(http: Http, party: str, to: str) -> None:
    wanted: Domain = [[_party_field(http), "=", _reference(http, party)], [_text_field(http), "like", f"%{MARK}%"]]
    found: list[Row] = [{}] * MAX_ROWS
    while len(found) == MAX_ROWS:
        if found := _search(http, _model(http), wanted, "id"):
            moved = {_party_field(http): _reference(http, to)}
            _call(http, f"model.{_model(http)}.write", [row["id"] for row in found], moved)


def _replace(http: Http, party: int, by: int) -> None:
    """Other names are what one expects of two that were taken for two. Any other warning is for people."""
    session = _call(http, "wizard.party.replace.create")
    number = session[0] if isinstance(session, list) and session else 0
    asked = ("wizard.party.replace.execute", number, {"ask": {"source": party, "destination": by}}, "replace")
    told = _asked(http, *asked)
    kind, *words = _error(told) or [""]
    warning = str(words[0][0]) if words and isinstance(words[0], list) and words[0] else ""
    if kind == "UserWarning" and warning.startswith(OTHER_NAME):
        _call(http, "model.res.user.warning.skip", warning)
        told = _asked(http, *asked)
    _result(http, told)
    _call(http, "wizard.party.replace.delete", number)


def _drop(http: Http, model: str, wanted: Domain) -> None:
    found: list[Row] = [{}] * MAX_ROWS
    while len(found) == MAX_ROWS:
        if found := _search(http, model, wanted, "id"):
            _call(http, f"model.{model}.delete", [row["id"] for row in found])


def _blank(http: Http, model: str, parties: list[int], name: str, others: Row) -> None:
    """What is out of use takes no change, so it is put into use first."""
    wanted: Domain = [["party", "in", parties], [name, "!=", BLANK], ALSO_INACTIVE]
    rows = _search(http, model, wanted, "active")
    if idle := [row["id"] for row in rows if not row.get("active")]:
        _call(http, f"model.{model}.write", idle, {"active": True})
    if rows:
        _call(http, f"model.{model}.write", [row["id"] for row in rows], {name: BLANK, **others})


def _search(http: Http, model: str, domain: Domain, *names: str) -> list[Row]:
    found = _call(http, f"model.{model}.search_read", domain, 0, MAX_ROWS, None, list(names))
    if not isinstance(found, list):
        raise Unknown(f"a search of {model} was answered without its rows")
    return [each for each in found if isinstance(each, dict)]


def _create(http: Http, model: str, values: Row) -> str:
    return _made(model, _call(http, f"model.{model}.create", [values]))


def _made(model: str, made: Any) -> str:
    found = text({"id": made[0]}, "id") if isinstance(made, list) and made else ""
    if not found:
        raise Unknown(f"a new {model} was answered without its id")
    return found


def _write(http: Http, model: str, key: str, values: Row) -> None:
    _call(http, f"model.{model}.write", [int(key) if key.isdigit() else 0], values)


def _call(http: Http, method: str, *params: Any) -> Any:
    return _result(http, _asked(http, method, *params))


def _asked(http: Http, method: str, *params: Any) -> Any:
    """What a remote call was answered; the last of the arguments is always its context."""
    asked = {"id": 1, "method": method, "params": [*params, {}]}
    return http.request("POST", _path(http, "rpc/"), json=asked).json()


def _error(told: Any) -> list[Any]:
    named = pick(told, "error")
    return named if isinstance(named, list) else []


def _result(http: Http, told: Any) -> Any:
    """Errors come with a 200. Raises what they amount to."""
    if isinstance(told, dict) and "result" in told:
        return told["result"]
    if not (named := _error(told)):
        raise Unknown("a call was answered with something else")
    kind, said = str(named[0]), _said(http, named[1:])
    if kind == "LoginException":
        raise Unauthorized("Tryton asks for more than this session", said)
    if kind in ("UserError", "UserWarning"):
        raise Rejected(f"{kind}: Tryton's own rules refuse it", said)
    raise Delayed(f"Tryton failed: {kind[:60]}", said)


def _said(http: Http, named: list[Any]) -> str:
    from chalicelib.kit.http import redacted

    words = next((each for each in named if isinstance(each, list)), [])
    said = " ".join(each for each in words if isinstance(each, str) and each)
    return redacted(said.encode(), [value for several in http.secrets.values() for value in several])


def _path(http: Http, rest: str) -> str:
    """Raises Rejected for a name that is no database's."""
    database = text(http.settings, "database")
    if not DATABASE.match(database) or not http.base_url:
        raise Rejected("settings.base_url and settings.database: where Tryton is, and the name of its database")
    return f"/{database}/{rest}"


def _model(http: Http) -> str:
    return text(http.settings, "activity_model") or NOTE


def _party_field(http: Http) -> str:
    return text(http.settings, "activity_party") or "resource"


def _text_field(http: Http) -> str:
    return text(http.settings, "activity_text") or "message"


def _reference(http: Http, remote: str) -> str | int:
    return int(remote) if http.settings.get("activity_reference") is False else f"{PARTY},{remote}"


def _phone_type(http: Http) -> str:
    return text(http.settings, "phone_type") or "phone"


def _authorization(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "access_token")
    return {"Authorization": f"Session {tokens[0]}"} if tokens else {}


DESTINATION = Destination(
    name="Tryton",
    base_url="",
    auth=_authorization,
    grant=login,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    move_activity=move_activity,
    merge_contacts=merge_contacts,
    shows_contact=shows_contact,
    keyed=False,
    limit=Limit(100, 10.0),
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("contact_mechanisms", "identifiers", "active", "replaced_by"),
        "activity": ("{activity_party}", "{activity_text}"),
    },
    settings={
        "base_url": Setting("Address of the server", required=True, help="https://tryton.example.nl, without database"),
        "database": Setting("Database", required=True),
        "login": Setting("User", required=True, help="Its login"),
        "session_seconds": Setting(
            "Seconds of a session", "integer", default=SESSION_SECONDS, help="timeout of [session]", least=120
        ),
        "identifier_type": Setting("Type of our identifier", help="Where an identifier must have one; default: none"),
        "phone_type": Setting("Type of phone numbers", default="phone", choices=("phone", "mobile")),
        "activity_model": Setting("Model of activities", default=NOTE),
        "activity_party": Setting("Its field for the party", default="resource"),
        "activity_text": Setting("Its field for the text", default="message"),
        "activity_reference": Setting(
            "That field is a reference", "boolean", default=True, help="To any model, as resource is; false: a many2one"
        ),
    },
    secrets={
        "password": Setting("Password of the user", required=True),
    },
    grade="live-proven",
    unverified=(
        "versions other than 8.2.1 with the module party 8.2.0, and databases other than SQLite",
        "a model of activities other than ir.note; one that keeps a history keeps there what is deleted",
        "limits of hosted servers: none are documented for calls, only for failed logins",
    ),
    setup=(
        "Create a user for the hub that may read, create and change parties, their identifiers and contact mechanisms, "
        "and create, read, change and delete notes and attachments. To erase, and to merge parties (merge_policy hard), it "
        "must be in the group Party Administration.",
        "Merging replaces one party by the other, as people do it, whatever their names; parties with different tax "
        "identifiers are left to people. Agents' own notes stay on the replaced party, as Tryton leaves them.",
        "So that files of erased attachments go, set store_prefix in [attachment]: the cleaner of 8.2.1 fails without. It "
        "comes once a month, and waits retention_days (90).",
        "Enter its login and password, the address of the server and the name of the database.",
    ),
    docs="https://docs.tryton.org/latest/server/topics/rpc.html",
)
