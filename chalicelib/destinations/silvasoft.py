"""Silvasoft: https://developers.silvasoft.nl/

Relations only: its API documents no notes, contact moments or other history of a relation, so it is
told who the customers are and no more.

A relation has no field for an id of ours. It is known by its GUID once the hub has made or found it,
and found by its mail address: the system makes no second one with the same address, it answers the
one that is there. A customer without an address of his own is therefore not told until he has one,
and one whose address is a company's is left to people: the company's name and address are not his.

A budget of requests an hour, and 401 where it is spent: the text tells that from a wrong key. So a
relation is read first, and written only where something differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit import fields
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.outgoing import alike, blanked, merged, news
from chalicelib.kit.shape import kept, objects, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer

Row = dict[str, Any]
HOUR = 3600
SPENT = ("ratelimit", "rate limit", "rate-limit")
ADDRESS = ("Address_Street", "Address_City", "Address_PostalCode", "Address_Unit")
SHOWN = ("Email", "Phone", "FirstName", "LastName", "Sex")
NOTHING = "-"


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    wanted, more, address = contact(customer), relation(customer), _address(customer)
    found = _listed(http, "RelationGUID", remote) if remote else []
    found = found or _by_address(http, address)
    if found:
        return _updated(http, found[0], wanted, more)
    if not address:
        return ""
    told = merged({"IsCustomer": True, "Relation_Contact": [{"LastName": address} | wanted]}, more)
    made = _written(_asked(http, "POST", "addprivaterelation", told))
    if _company(made):
        raise Rejected("a company has this mail address there: enter the customer by hand, or change its address")
    return _guid(made)


def find_contact(http: Http, customer: Customer) -> str:
    return next((_guid(each) for each in _by_address(http, _address(customer))), "")


def forget_contact(http: Http, remote: str) -> None:
    """There is no way to delete one, and its invoices must be kept: it is emptied of what identifies."""
    if _listed(http, "RelationGUID", remote):
        nobody = {"Email": f"{remote}@erased.invalid", "Phone": NOTHING, "FirstName": NOTHING, "LastName": NOTHING}
        filled = http.mapped.get("contact", ())
        nobody = blanked(nobody, (name for name in filled if name in SHOWN), NOTHING)
        told = {"RelationGUID": int(remote), **dict.fromkeys(ADDRESS, NOTHING), "Relation_Contact": [nobody]}
        told = blanked(told, (name for name in filled if name not in SHOWN), NOTHING)
        _written(_asked(http, "PUT", "updaterelation", told))


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    found = _listed(http, "RelationGUID", remote) if remote else []
    if not found:
        return False
    there = _contact(found[0])
    seen = {**there, "Phone": _number(http, text(there, "Phone"))}
    return alike(seen, contact(customer)) and alike(found[0], relation(customer))


def contact(customer: Customer) -> Row:
    """Only what is known; a single name is the last one."""
    known = {name: found.value.strip() for name, found in customer.fields.items()}
    first, _, last = known.get("name", "").partition(" ")
    first, last = known.get("first_name") or first, known.get("last_name") or last.strip()
    phone = known.get("phone") or customer.first("phone")
    told = kept(Email=_address(customer), Phone=phone, FirstName=first if last else "", LastName=last or first)
    return merged(told, {name: value for name, value in customer.mapped.items() if name in SHOWN})


def relation(customer: Customer) -> Row:
    """What a mapping fills and a contact does not have: it is the relation's own."""
    return {name: value for name, value in customer.mapped.items() if name not in SHOWN}


def _address(customer: Customer) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    newest = customer.fields["email"].value if "email" in customer.fields else ""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def _by_address(http: Http, address: str) -> list[Row]:
    """Exactly that one, the oldest first: whatever else the filter may find is somebody else."""
    found = _listed(http, "RelationEmail", address) if address else []
    people = [each for each in found if not _company(each)]
    return [each for each in people if address in (text(each, "Email").lower(), text(_contact(each), "Email").lower())]


def _company(row: Row) -> bool:
    return any(text(row, name) for name in ("RegistrationNumber", "TaxIdentificationNumber"))


def _listed(http: Http, name: str, value: str) -> list[Row]:
    query = {name: value, "RelationType": "All", "Limit": "200"}
    answer = _judged(http, http.request("GET", _path("listrelations"), params=query, allow=(401,)))
    told = answer.json() if answer.body.strip() else []
    if told in ([], {}):
        return []
    rows = objects({"rows": told}, "rows")
    if not rows or not all(map(_guid, rows)):
        raise Unknown("a list of relations was answered without them")
    return sorted(rows, key=lambda each: (len(_guid(each)), _guid(each)))


def _updated(http: Http, row: Row, wanted: Row, more: Row) -> str:
    """What an agent filled in beside it goes along unchanged: one contact is written whole."""
    there = {name: text(_contact(row), name) for name in SHOWN}
    told = {name: value for name, value in wanted.items() if not _same(http, name, there[name], value)}
    changed = merged({"Relation_Contact": [kept(**there | told)]} if told else {}, news(more, row))
    if changed:
        _written(_asked(http, "PUT", "updaterelation", {"RelationGUID": int(_guid(row)), **changed}))
    return _guid(row)


def _same(http: Http, name: str, there: str, value: Any) -> bool:
    if name == "Phone" and isinstance(value, str):
        return _number(http, there) == value or there == value
    return bool(there.lower() == value if name == "Email" else there == value)


def _number(http: Http, there: str) -> str:
    return fields.phone(there, text(http.settings, "region") or fields.DEFAULT_REGION) or there


def _asked(http: Http, method: str, what: str, told: Row) -> Reply:
    return _judged(http, http.request(method, _path(what), json=told, allow=(401,)))


def _judged(http: Http, answer: Reply) -> Reply:
    if answer.status != 401:
        return answer
    said = answer.body.decode("utf-8", "replace").lower()
    if any(each in said for each in SPENT):
        raise Delayed("HTTP 401: the requests of this hour are spent", "", HOUR - http.clock() % HOUR)
    raise Unauthorized("HTTP 401: the user name or API key is wrong")


def _written(answer: Reply) -> Row:
    """The relation. An empty object says that nothing was written."""
    told = answer.json()
    row: Row = told[0] if isinstance(told, list) and told else told
    if told in ([], {}):
        raise Rejected("the relation was not written, and no reason given")
    if not _guid(row):
        raise Unknown("a relation was answered without its GUID")
    return row


def _guid(row: Any) -> str:
    found = text(row, "RelationGUID") or text(row, "GUID")
    return found if found.isdecimal() else ""


def _contact(row: Row) -> Row:
    return next(iter(objects(row, "Relation_Contact")), {})


def _path(what: str) -> str:
    return f"/rest/{what}/"


def _key(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    keys = keys_of(secrets, "api_key")
    return {"ApiKey": keys[0], "Username": text(settings, "username")} if keys else {}


DESTINATION = Destination(
    name="Silvasoft",
    base_url="https://rest-api.silvasoft.nl",
    auth=_key,
    upsert_contact=upsert_contact,
    find_contact=find_contact,
    forget_contact=forget_contact,
    shows_contact=shows_contact,
    limit=Limit(15, 3600.0),
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={"contact": ("Email", "RelationGUID", "Relation_Contact")},
    settings={
        "username": Setting("User name", required=True, help="The mail address of the user whose API key this is"),
        "base_url": Setting("Base URL", default="https://rest-api.silvasoft.nl"),
    },
    secrets={"api_key": Setting("API key", required=True, help="Made in Silvasoft, for that user")},
    unverified=(
        "under which name a listed relation has its GUID: RelationGUID or GUID, both are read",
        "whether RelationEmail finds exactly that address, and in any case of letters: what differs is left alone",
        "that updaterelation leaves alone what is not sent, and takes - for a name, a number and an address",
        "whether a relation is answered as an object or as a list of one: both are read",
        "that a company, and no person, is listed with its registration or VAT number",
        "that answers are not compressed when none is asked for",
        "when an hour's budget begins anew: the next full hour is waited for",
    ),
    setup=(
        "Choose an API plan: 15 requests an hour are free, 1,200 the most. A new customer costs two, a changed one two. "
        "The hub keeps to the free plan unless rate_limit says otherwise, with rate_seconds 3600 beside it.",
        "Make an API key for a user of its own; enter both. The vendor blocks for good who sends over 50 a minute.",
        "subscription.types says whose events make a relation: order alone keeps chats out of the books.",
        "No history is kept there: agents read it on the timeline page.",
        "An erased customer keeps his relation, without name, numbers and address: invoices refer to it, and must be "
        "kept as long as tax law says. What stands on them stays.",
    ),
    docs="https://developers.silvasoft.nl/",
)
