"""AFAS Profit: https://docs.afas.help/apidoc/nl/Organisaties%20en%20personen

A person is ours by a free field of his card that holds the customer id; KnPerson writes it and a
GetConnector of the administrator's shows it, so both are settings. Profit's own matching (MatchPer 1
to 6: citizen number, name, name with address …) is never used: it takes somebody of the same name.
Who is found is changed by his number (0), who is not is made new (7).

A dossier item takes no key of ours: our event id ends its subject line, and is looked for there first.
Profit goes on with a request whose answer nobody waited for, for up to a quarter of an hour. The person
that an item was made for is its main destination, which nobody can change afterwards:
https://help.afas.nl/help/EN/SE/CRM_Doss_Edit.htm

Its 500 is a refusal with a reference into the environment's log, or a record that somebody has open.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, blanked, merged, profile, profile_settings
from chalicelib.kit.retry import retry_after
from chalicelib.kit.shape import kept, objects, pick, text
from chalicelib.kit.signatures import keys_of, octets
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
ENVIRONMENT = pattern(r"[A-Za-z0-9]{1,40}\Z")
HOSTS = {"production": "rest", "test": "resttest", "accept": "restaccept"}
ADDRESSES = {"private": ("EmA2", "MbN2"), "work": ("EmAd", "MbNr")}
EXISTING, NEW = "0", "7"
EQUAL, CONTAINS = "1", "6"
NOBODY = "geen organisatie/persoon gevonden"
BLOCKED = ("(definitie) is geblokkeerd", "niet geautoriseerd")
IN_USE = ("geblokkeerd", "vergrendeld", "in gebruik", "door een andere gebruiker")
WRITTEN = ("LaNm", "FiNm", "In", "EmAd", "EmA2", "TeNr", "TeN2", "MbNr", "MbN2")
LOCAL = ZoneInfo("Europe/Amsterdam")
MAX_SUBJECT, MAX_TEXT = 255, 32_000
MAX_FORMER = 10
PAGE, MAX_PAGES = 100, 20


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    for known in _known(http, customer, remote):
        told = {"MatchPer": EXISTING, "BcCo": known} | person_fields(http, customer)
        if _written(_write(http, "PUT", "KnPerson", _element("KnPerson", told))):
            return known
    answer = _write(http, "POST", "KnPerson", _element("KnPerson", new_person(http, customer)))
    return _own(answer, "KnPerson", "BcCo")


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    answer = _write(http, "POST", "KnSubject", dossier_item(http, remote, entry))
    return _own(answer, "KnSubject", "SbId")


def find_contact(http: Http, customer: Customer) -> str:
    return next(iter(_by_customer(http, customer.id)), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    wanted = {_setting(http, "subject_text_field"): (CONTAINS, _mark(entry.event))}
    wanted[_setting(http, "subject_person_field")] = (EQUAL, remote)
    found = _rows(http, _setting(http, "subject_connector"), wanted, _setting(http, "subject_id_field"))
    return next((text(each, _setting(http, "subject_id_field")) for each in found), "")


def forget_contact(http: Http, remote: str) -> None:
    """Our dossier items are deleted. The person is emptied of what identifies him, or deleted, as `erase`
    says: Profit refuses to delete whom a booking or a contract refers to."""
    for _ in range(MAX_PAGES):
        items = _items(http, remote)
        for each in items:
            _write(http, "DELETE", f"KnSubject/KnSubject/@SbId/{_part(each)}")
        if len(items) < PAGE:
            break
    else:
        raise Delayed(f"more than {MAX_PAGES * PAGE} dossier items: the rest is for the next time")
    if text(http.settings, "erase") == "delete":
        _write(http, "DELETE", f"KnPerson/KnPerson/MatchPer,BcCo/{EXISTING},{_part(remote)}")
    else:
        nothing = blanked(dict.fromkeys(WRITTEN, ""), http.mapped.get("contact", ()), "") | {
            "LaNm": "Gewist",
            _setting(http, "customer_free_field"): "",
        }
        told = {"MatchPer": EXISTING, "BcCo": remote} | nothing
        _write(http, "PUT", "KnPerson", _element("KnPerson", told))


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """A field that the GetConnector does not show may hold anything, so nothing is asked then."""
    wanted, columns = person_fields(http, customer), shown_fields(http)
    if not remote or not wanted.keys() <= columns.keys():
        return False
    found = _persons(http, _setting(http, "number_field"), remote)
    return any(alike({name: row.get(columns[name]) for name in wanted}, wanted) for row in found)


def shown_fields(http: Http) -> dict[str, str]:
    """KnPerson's field → the GetConnector's, of those that the settings name."""
    mail, _ = ADDRESSES.get(text(http.settings, "addresses"), ADDRESSES["private"])
    more = pick(http.settings, "shown_fields")
    told = {mail: text(http.settings, "email_field"), **(more if isinstance(more, dict) else {})}
    told |= {_setting(http, "customer_free_field"): _setting(http, "customer_field")}
    return {name: column for name, column in told.items() if isinstance(column, str) and column}


def person_fields(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what somebody filled in."""
    known = {name: found.value.strip() for name, found in customer.fields.items()}
    first, _, last = known.get("name", "").partition(" ")
    mail, mobile = ADDRESSES.get(text(http.settings, "addresses"), ADDRESSES["private"])
    told = {mail: _address(customer), mobile: known.get("phone") or customer.first("phone")}
    told |= profile(customer, http.settings, "free_field")
    names = kept(FiNm=known.get("first_name") or first, LaNm=known.get("last_name") or last.strip())
    told = names | kept(**told) | {_setting(http, "customer_free_field"): customer.id}
    return merged(told, customer.mapped)


def new_person(http: Http, customer: Customer) -> Row:
    """A card needs a last name and says how it is numbered, addressed and salutated."""
    known = person_fields(http, customer)
    only = known.pop("FiNm", "") if "LaNm" not in known else ""
    name = only or _address(customer) or customer.first("phone") or customer.id
    usual = {"AutoNum": True, "PadAdr": True, "SpNm": False, "Corr": False, "ViGe": "O"}
    initials = {"In": f"{known['FiNm'][0].upper()}."} if known.get("FiNm") else {}
    return {"MatchPer": NEW, **usual, "LaNm": name, **initials, **known}


def dossier_item(http: Http, remote: str, entry: Entry) -> Row:
    event = entry.event
    told: Row = {
        "StId": _type(http, event),
        "Ds": subject(event),
        "SbTx": body(entry),
        "Da": f"{datetime.fromisoformat(event.occurred_at).astimezone(LOCAL):%Y-%m-%dT%H:%M:%S}",
    }
    link = {"KnSubjectLink": {"Element": {"Fields": {"DoCRM": True, "ToBC": True, "BcId": remote}}}}
    return _element("KnSubject", merged(told, entry.mapped), [link])


def subject(event: Event) -> str:
    words = [event.type, text(event.details, "number"), text(event.details, "status")]
    title = f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")
    named = f"{title}: {' '.join(event.summary.split())}" if event.summary else title
    return f"{_cut(named, MAX_SUBJECT - len(_mark(event)) - 1)} {_mark(event)}"


def body(entry: Entry) -> str:
    event = entry.event
    side = {"in": "Van de klant", "out": "Aan de klant"}.get(event.direction, "Intern")
    seconds = event.details.get("duration")
    lasted = f"Duur: {int(seconds)} s" if isinstance(seconds, int | float) else ""
    tail = "\n".join(url for url in (entry.url, event.link) if url)
    parts = [part for part in (side, lasted, event.summary, event.text) if part]
    return "\n".join(part for part in (_cut("\n".join(parts), MAX_TEXT), tail) if part)


def _cut(whole: str, length: int) -> str:
    return whole if len(whole) <= length else whole[: length - 1] + "…"


def _mark(event: Event) -> str:
    return f"[draad {event.id}]"


def _type(http: Http, event: Event) -> int:
    """The dossier item's type; `call_in` before `call` before the usual one."""
    named = pick(http.settings, "subject_types")
    found = [pick(named, f"{event.type}_{event.direction}"), pick(named, event.type)]
    chosen = next((each for each in (*found, pick(http.settings, "subject_type")) if isinstance(each, int)), None)
    if chosen is None:
        raise Rejected("settings.subject_type: the number of a dossier item type is missing")
    return chosen


def _address(customer: Customer) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    newest = customer.fields["email"].value if "email" in customer.fields else ""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def _known(http: Http, customer: Customer, remote: str) -> Iterator[str]:
    """Numbers of persons who are this customer: the one we know, then by our id, then by address, if free."""
    if remote:
        yield remote
    for each in (customer.id, *customer.former[:MAX_FORMER]):
        yield from _by_customer(http, each)
    address, column = _address(customer), text(http.settings, "email_field")
    if address and column:
        found = _persons(http, column, address)
        free = [each for each in found if not text(each, _setting(http, "customer_field"))]
        yield from (_number(http, each) for each in free if len(free) == 1)


def _by_customer(http: Http, value: str) -> list[str]:
    column = _setting(http, "customer_field")
    return [_number(http, each) for each in _persons(http, column, value) if text(each, column) == value]


def _persons(http: Http, column: str, value: str) -> list[Row]:
    number = _setting(http, "number_field")
    return _rows(http, _setting(http, "person_connector"), {column: (EQUAL, value)}, number)


def _number(http: Http, row: Row) -> str:
    return text(row, _setting(http, "number_field"))


def _items(http: Http, remote: str) -> list[str]:
    wanted = {_setting(http, "subject_text_field"): (CONTAINS, "[draad ")}
    wanted[_setting(http, "subject_person_field")] = (EQUAL, remote)
    number = _setting(http, "subject_id_field")
    return [text(each, number) for each in _rows(http, _setting(http, "subject_connector"), wanted, number)]


def _rows(http: Http, connector: str, wanted: Mapping[str, tuple[str, str]], order: str) -> list[Row]:
    """Raises Rejected for a value that would be read as two: commas and semicolons divide filters."""
    if any(mark in value for _, value in wanted.values() for mark in ",;"):
        raise Rejected("a comma or semicolon in what is looked for cannot be told from a second filter")
    query = {
        "filterfieldids": ",".join(wanted),
        "filtervalues": ",".join(value for _, value in wanted.values()),
        "operatortypes": ",".join(operator for operator, _ in wanted.values()),
        "skip": "0",
        "take": str(PAGE),
        "orderbyfieldids": order,
    }
    answer = _judged(http, http.request("GET", _url(http, _part(connector)), params=query, allow=(500, 503))).json()
    if not isinstance(pick(answer, "rows"), list):
        raise Unknown("a GetConnector answered without its rows")
    return objects(answer, "rows")


def _write(http: Http, method: str, path: str, told: Row | None = None) -> Reply:
    return _judged(http, http.request(method, _url(http, path), json=told, allow=(500, 503)))


def _judged(http: Http, answer: Reply) -> Reply:
    """A success, or who is not there. Raises what everything else amounts to."""
    if answer.status < 300 and b"externalMessage" not in answer.body:
        return answer
    from chalicelib.kit.http import redacted

    told = answer.json() if answer.body.lstrip()[:1] == b"{" else {}
    said = text(told, "externalMessage")
    excerpt = redacted(answer.body, {value for values in http.secrets.values() for value in values})
    if answer.status < 300:
        raise Unknown("a success with an error inside", excerpt)
    if answer.status == 503:
        asked = text(told, "retry_after") or answer.headers.get("retry-after", "")
        raise Delayed("HTTP 503: no capacity, or maintenance", excerpt, retry_after(asked, http.clock()))
    if NOBODY in said:
        return answer
    reason = f"HTTP 500, reference {text(told, 'profitLogReference')[:40] or 'none'} in the environment's log"
    if any(each in said for each in BLOCKED):
        raise Unauthorized(reason, excerpt)
    raise Delayed(reason, excerpt) if any(each in said.lower() for each in IN_USE) else Rejected(reason, excerpt)


def _written(answer: Reply) -> bool:
    return answer.status < 300


def _own(answer: Reply, kind: str, name: str) -> str:
    if not _written(answer):
        raise Rejected(f"{kind} names a person who is not there")
    found = text(answer.json(), "results", kind, name)
    if not found:
        raise Unknown(f"{kind} was answered without its {name}")
    return found


def _element(kind: str, told: Row, parts: list[Row] | None = None) -> Row:
    return {kind: {"Element": {"Fields": told} | ({"Objects": parts} if parts else {})}}


def _setting(http: Http, name: str) -> str:
    return text(http.settings, name) or str(DESTINATION.settings[name].default or "")


def _part(value: str) -> str:
    return quote(value, safe="")


def _url(http: Http, path: str) -> str:
    path = f"/ProfitRestServices/connectors/{path}"
    if http.base_url:
        return path
    environment = text(http.settings, "environment")
    if not ENVIRONMENT.match(environment):
        raise Rejected("settings.environment: the number of the environment, letters and digits only")
    host = HOSTS.get(text(http.settings, "kind"), HOSTS["production"])
    return f"https://{environment}.{host}.afas.online{path}"


def _token(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    """The token is the whole XML text; its digits alone are taken too."""
    found = next(iter(keys_of(secrets, "token")), "").strip()
    whole = found if found.startswith("<") else f"<token><version>1</version><data>{found}</data></token>"
    partner = text(settings, "integration_id")
    said = {"Accept-Language": "nl-nl"} | ({"IntegrationId": partner} if partner else {})
    return said | ({"Authorization": f"AfasToken {base64.b64encode(octets(whole)).decode()}"} if found else {})


DESTINATION = Destination(
    name="AFAS Profit",
    base_url="",
    auth=_token,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    shows_contact=shows_contact,
    keyed=False,
    limit=Limit(60, 60.0),
    outcomes={403: Unauthorized, 500: Rejected},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("{customer_free_field}", "MatchPer", "BcCo", *(mail for mail, _ in ADDRESSES.values())),
        "activity": ("SbId", "Ds"),
    },
    settings={
        "environment": Setting("Environment", required=True, help="12345 of 12345.rest.afas.online"),
        "kind": Setting("Kind of environment", default="production", choices=tuple(HOSTS)),
        "person_connector": Setting("GetConnector of persons", required=True, help="Shows the fields named below"),
        "number_field": Setting("Its field for the number", default="BcCo"),
        "customer_field": Setting(
            "Its field for our customer id", required=True, help="The free field, as it is named"
        ),
        "email_field": Setting("Its field for the mail address", help="To adopt who is there already; empty: nobody"),
        "shown_fields": Setting(
            "Its fields for the rest",
            type="object",
            help='{"FiNm": "FirstName"}: KnPerson\'s and its own; with all of them there, a person is looked at before '
            "he is overwritten",
        ),
        "customer_free_field": Setting(
            "Free field of KnPerson for our customer id", required=True, help="U and 32 letters and digits"
        ),
        "channel_free_field": Setting("Free field of KnPerson for the preferred channel", help="Empty: not sent"),
        **profile_settings("Free field of KnPerson", "free_field"),
        "addresses": Setting("Addresses and numbers are", default="private", choices=tuple(ADDRESSES)),
        "subject_connector": Setting("GetConnector of dossier items", default="ProfitSubjects"),
        "subject_id_field": Setting("Its field for the number of the item", default="SbId"),
        "subject_text_field": Setting("Its field for the subject line", default="Ds"),
        "subject_person_field": Setting("Its field for the person's number", default="BcCd"),
        "subject_type": Setting("Type of dossier item", type="integer", required=True, help="StId, one of your own"),
        "subject_types": Setting(
            "Types by kind", type="object", help='{"call": 12, "email_out": 13}: in place of the usual one'
        ),
        "erase": Setting("Erasing a person", default="anonymize", choices=("anonymize", "delete")),
        "integration_id": Setting("Integration id", help="Of AFAS partners: subscription_project"),
        "base_url": Setting("Host", help="Default: as environment and kind say"),
    },
    secrets={"token": Setting("Token", required=True, help="Of the app connector: <token>…</token>, or its 64 digits")},
    unverified=(
        "which fields KnPerson demands of a new person beyond a last name",
        "that an empty text in a PUT clears a field, and that LaNm alone may name an erased person",
        "the path of a DELETE by two fields: KnPerson/KnPerson/MatchPer,BcCo/0,number",
        "ProfitSubjects with SbId, Ds and BcCd as a GetConnector that every environment has",
        "a link to a person by DoCRM, ToBC and BcId holding his number (BcCo)",
        "the Dutch texts that tell a record in use from a refusal, and a blocked GetConnector from both",
        "with which status a blocked GetConnector answers: 500 is taken",
        "that a GetConnector shows a value as KnPerson took it: what looks different is written once more",
        "limits: none is published, five calls at once are advised; sixty a minute are taken",
    ),
    setup=(
        "Create an app connector with KnPerson, KnSubject and the two GetConnectors, and a user for it; enter its token.",
        "Add a free text field to persons and enter its id; build a GetConnector of persons with BcCo, that field and "
        "a mail address. With all that the hub writes in it, named in shown_fields, nobody is overwritten unseen.",
        "Build a GetConnector of dossier items with number, subject line and the person's number, or take ProfitSubjects.",
        "Choose a dossier item type with person as destination and with remarks (SbTx) ticked; enter its number.",
        "When two customers turn out to be one, or one to be two, each dossier item stays on the record of the person it "
        "was made for, because Profit lets nobody change that; new ones go to the right person. Of two persons who are "
        "one, both cards stay, and the hub goes on with one of them.",
        "A connection that stops with a reference: look it up in the log of the environment. A blocked GetConnector "
        "is unblocked there; then resume the connection.",
    ),
    docs="https://docs.afas.help/apidoc/nl/Organisaties%20en%20personen",
)
