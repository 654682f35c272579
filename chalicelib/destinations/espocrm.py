"""EspoCRM: https://docs.espocrm.com/development/api/

A contact is ours by a field of its own that holds the customer id. EspoCRM checks a new contact for
duplicates and answers 409 with those it found: the one that has the customer's mail address and that
nobody owns is adopted, others are no reason not to create ours. Addresses and numbers are added to
those that agents entered.

A call is a Call; everything else is a post in the contact's stream, unless the setting `kinds` says
otherwise. Neither takes a key of ours: both carry the event id, and are looked for before a retry.
Calls and meetings are linked to another contact; a post stays where it was made, so it is made again.

What comes back: https://docs.espocrm.com/administration/webhooks/ An update names neither its moment
nor, as a rule, who made it: `fetch` asks for the contact as it is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec

from chalicelib.errors import Delayed, PayloadMalformed, Rejected, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.fields import DEFAULT_REGION, email, email_identity, instant, phone, phone_identity, present, scoped
from chalicelib.kit.outgoing import alike, blanked, merged, profile, profile_settings, shows
from chalicelib.kit.parts import each_part
from chalicelib.kit.request import Request
from chalicelib.kit.shape import kept, objects, required, text
from chalicelib.kit.signatures import decode, encode, keys_of, octets, same, with_headers
from chalicelib.kit.source import Fetch, Secrets, Setting, Source
from chalicelib.model import instants
from chalicelib.model.event import Event, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.identity import Identity

Row = dict[str, Any]
TYPES = {"Contact.create": "identify", "Contact.update": "identify", "Contact.delete": "system"}
GROUPS = {
    "name": ("name", "firstName", "lastName"),
    "mail": ("emailAddress",),
    "number": ("phoneNumber",),
}
KINDS = ("Call", "Meeting", "Task", "Note")
HELD, NOT_HELD = "Held", "Not Held"
NOT_REACHED = frozenset({"no_answer", "busy", "failed", "canceled", "cancelled", "missed", "rejected", "voicemail"})
DIRECTIONS = {"in": "Inbound", "out": "Outbound"}
BLANK: Row = {
    "firstName": None,
    "lastName": "-",
    "description": None,
    "emailAddressData": [],
    "phoneNumberData": [],
    **dict.fromkeys(["addressStreet", "addressCity", "addressState", "addressCountry", "addressPostalCode"]),
}
ADDRESSES = ("emailAddress", "phoneNumber")
MARK = "draad:"
MAX_TEXT = 16_384
MAX_PAGES = 10
PAGE = 200
MOST = 9


def normalize(request: Request) -> Iterator[Event]:
    """Of what the hub wrote itself, only whose record it is: its values are no news."""
    records = request.json
    if not isinstance(records, list):
        raise PayloadMalformed("not a list of records")
    yield from each_part(((f"record {at}", each) for at, each in enumerate(records)), lambda each: told(request, each))


def told(request: Request, record: Any) -> Iterator[Event]:
    number = required(record, "id")
    found = request.fetched.get(f"contact/{number}")
    now = found if isinstance(found, dict) else {}
    gone, whole = is_gone(number, now), {**now, **record}
    if gone and set(record) != {"id"}:
        return
    kind = "delete" if gone else "create" if record.get("createdAt") else "update"
    moment = instant(now.get("at") if gone else whole.get("modifiedAt") or whole.get("createdAt"), "modifiedAt", "UTC")
    yield Event(
        type=TYPES[f"Contact.{kind}"],
        channel="crm",
        direction="internal",
        actor="system" if gone or ours(request, record) else "agent",
        object=number,
        version=f"{kind}@{moment}#{digest(msgspec.json.encode(record, order='deterministic'))}",
        occurred_at=moment,
        identities=identities_of(request, number, {} if gone else whole, record),
        summary="Contact deleted in the CRM" if gone else "",
        details={"status": "deleted", "record": number} if gone else {},
        fields={} if gone or ours(request, record) else changed(request, whole, record),
        link=link_of(request, number),
        sensitive=gone,
        provider_type=f"Contact.{kind}",
    )


def is_gone(number: str, now: Row) -> bool:
    """Raises PayloadMalformed where the contact is there, and is not shown to us."""
    why = text(now, "why")
    if now.get("missing") and not why.startswith("HTTP 404"):
        raise PayloadMalformed(f"contact {number} cannot be read: {why[:80]}")
    return bool(now.get("missing"))


def ours(request: Request, record: Row) -> bool:
    """Whether the hub's own user made this change. A webhook names who did only where it is another one than
    before: what names nobody may be an agent's, and is told."""
    made_by = text(record, "createdById") if record.get("createdAt") else ""
    by = text(record, "modifiedById") or made_by
    return bool(by) and by == text(request.settings, "api_user_id")


def identities_of(request: Request, number: str, whole: Row, record: Row) -> tuple[Identity, ...]:
    """The record itself is attested; addresses where the settings trust who types them, and the first
    ones where the hub has just written them: it writes none but those that say who somebody is."""
    mails, numbers = addresses(whole, "emailAddress"), addresses(whole, "phoneNumber")
    first, second = (trust(request, record, group) for group in ("mail", "number"))
    rest = A2_ATTESTED if text(request.settings, "addresses") == "attested" else A1_ASSERTED
    return present(
        scoped("crm", account(request.settings), number, A2_ATTESTED),
        *(email_identity(each, rest if at else first) for at, each in enumerate(mails[:MOST])),
        *(
            phone_identity(each, region(request.settings), rest if at else second)
            for at, each in enumerate(numbers[:MOST])
        ),
    )


def trust(request: Request, record: Row, group: str) -> int:
    """The hub's own write counts where it makes the record his: what a merge by the hub brings along may
    have been typed by anybody."""
    written = ours(request, record) and about(record, group) and customer_field(request.settings) in record
    return A2_ATTESTED if written or text(request.settings, "addresses") == "attested" else A1_ASSERTED


def about(record: Row, group: str) -> bool:
    """Whether this change was about names, addresses or numbers: an update brings what changed."""
    return any(name in record for name in GROUPS[group])


def addresses(row: Row, name: str) -> list[str]:
    """The first one, then the others."""
    more = [text(each, name) for each in objects(row, f"{name}Data")]
    return list(dict.fromkeys(each for each in (text(row, name), *more) if each))


def changed(request: Request, whole: Row, record: Row) -> dict[str, str]:
    """What stands in the place of a last name that nobody knows is none."""
    first, last = text(whole, "firstName").strip(), text(whole, "lastName").strip()
    if last in (text(whole, name) for name in ("emailAddress", "phoneNumber", customer_field(request.settings))):
        last = ""
    groups = {
        "name": {"name": f"{first} {last}".strip(), "first_name": first, "last_name": last},
        "mail": {"email": email(text(whole, "emailAddress"))},
        "number": {"phone": phone(text(whole, "phoneNumber"), region(request.settings))},
    }
    return {name: value for group in groups if about(record, group) for name, value in groups[group].items() if value}


def look_ups(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """Each contact as it is, once for a state of it: EspoCRM tells of up to 50 at once."""
    base = text(request.settings, "base_url")
    records: dict[str, list[Row]] = {}
    for record in objects({"records": request.json}, "records"):
        records.setdefault(text(record, "id"), []).append(record)
    for number, several in records.items():
        headers = authorization(secrets, request.settings, "GET", f"Contact/{_part(number)}")
        if number and base and headers:
            state = digest(msgspec.json.encode(several, order="deterministic"))
            yield Fetch(f"contact/{number}", f"/api/v1/Contact/{_part(number)}", base, headers, state)


def link_of(request: Request, number: str) -> str:
    base = text(request.settings, "base_url").rstrip("/")
    return f"{base}/#Contact/view/{_part(number)}" if base.startswith("https://") else ""


def account(settings: Mapping[str, Any]) -> str:
    """Whose record ids these are."""
    return text(settings, "account") or urlsplit(text(settings, "base_url")).hostname or ""


def region(settings: Mapping[str, Any]) -> str:
    return text(settings, "region") or DEFAULT_REGION


def verify(request: Request, secrets: Secrets) -> str | None:
    """Each webhook signs with a key of its own, and its id is in the signature."""
    keys = keys_of(secrets, "webhook_secret")
    if not keys:
        return "no webhook_secret is configured"
    given = decode(request.header(_header(request)) or "", "base64")
    if given is None:
        return f"no readable signature in {_header(request)}"
    accepted = any(same(_signature(request, key), given) for key in keys)
    return None if accepted else "the signature does not match"


def sign(request: Request, secrets: Secrets) -> Request:
    """As the first webhook that is configured does it."""
    made = encode(_signature(request, keys_of(secrets, "webhook_secret")[0]), "base64")
    return with_headers(request, {_header(request): made})


def _header(request: Request) -> str:
    return "X-Signature" if text(request.settings, "webhook_signature") == "binary" else "Signature"


def _signature(request: Request, key: str) -> bytes:
    webhook, _, secret = key.partition(":")
    made = hmac.new(octets(secret), request.body, hashlib.sha256)
    whole = made.digest() if _header(request) == "X-Signature" else made.hexdigest().encode()
    return octets(webhook) + b":" + whole


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    for row in known(http, customer, remote):
        return _update(http, row, customer)
    return _create(http, customer)


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    kind = kind_of(http, entry)
    told = merged(activity(http, kind, remote, entry), entry.mapped)
    return _own(_ask(http, "POST", kind, json=told))


def find_contact(http: Http, customer: Customer) -> str:
    return next((_id(row) for row in _rows(http, "Contact", _customer_field(http), [customer.id])), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    kind = kind_of(http, entry)
    if kind != "Note":
        return next((_id(row) for row in _rows(http, kind, _event_field(http), [entry.event.id])), "")
    return next((_id(post) for post in _posts(http, remote) if _marked(post, entry)), "")


def _marked(post: Row, entry: Entry) -> bool:
    return text(post, "post").endswith(f"{MARK}{entry.event.id}")


def forget_contact(http: Http, remote: str) -> None:
    """What is deleted there stays in the database for months: it is made empty first."""
    path = f"Contact/{_part(remote)}"
    if not _record(http, remote):
        return
    for post in [each for each in _posts(http, remote) if MARK in text(each, "post")]:
        _emptied(http, f"Note/{_part(_id(post))}", {"post": "-"})
    for kind in KINDS[:3]:
        for row in _linked(http, kind, remote):
            blank: Row = {"name": "-", "description": None, _event_field(http): None}
            _emptied(http, f"{kind}/{_part(_id(row))}", blanked({}, http.mapped.get("activity", ()), None) | blank)
    _emptied(http, path, blanked({}, http.mapped.get("contact", ()), None) | BLANK | {_customer_field(http): None})


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """First onto the new one: in between it is on both, and never on none."""
    kind = kind_of(http, entry)
    if kind == "Note":
        return _post_again(http, old, new, entry)
    if kind == "Task":
        _pass_on(http, activity, new)
    else:
        linked = f"{kind}/{_part(activity)}/contacts"
        if _ask(http, "POST", linked, json={"id": new}).json() is not True:
            raise Unknown("a link was answered with something else")
        _ask(http, "DELETE", linked, json={"id": old}, allow=(404,))
    return activity


def _post_again(http: Http, old: str, new: str, entry: Entry) -> str:
    """The parent of a post can be told once only; it is known by its mark, whatever its id is by now."""
    there = find_activity(http, new, entry) or append_activity(http, new, entry)
    for post in [each for each in _posts(http, old) if _marked(each, entry)]:
        _ask(http, "DELETE", f"Note/{_part(_id(post))}", allow=(404,))
    return there


def _pass_on(http: Http, task: str, new: str) -> None:
    """Unless an agent gave it another parent than a contact."""
    there = _ask(http, "GET", f"Task/{_part(task)}").json()
    if _id(there) != task:
        raise Unknown("a task was answered with something else")
    if text(there, "parentType") in ("Contact", "") and text(there, "parentId") != new:
        _ask(http, "PUT", f"Task/{_part(task)}", json={"parentType": "Contact", "parentId": new})


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """As EspoCRM's own pages do it: its REST API is theirs, https://docs.espocrm.com/development/api/"""
    there = {each: row for each in (kept, other) if (row := _record(http, each))}
    if len(there) < 2:
        return next(iter(there), kept)
    told = {"sourceIdList": [other], "attributes": _lacking(there[kept], there[other])}
    asked = {"entityType": "Contact", "action": "merge", "id": kept, "data": told}
    return _own(_ask(http, "POST", "Action", json=asked))


def _lacking(row: Row, other: Row) -> Row:
    """What only the other one has, which would be lost. Addresses and what links to it go along by themselves,
    names are pushed right after; what nobody may write, EspoCRM passes over."""
    links = {name for name in other if name.endswith("Id") or f"{name.removesuffix('Name')}Id" in other}
    plain = {name: value for name, value in other.items() if isinstance(value, str | int | float) and value}
    passed = links.union(GROUPS["name"])
    own = (name for name in plain if name not in passed and not row.get(name) and not name.startswith(ADDRESSES))
    return {name: plain[name] for name in own}


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    row = _record(http, remote)
    return bool(row) and alike(row, contact_fields(http, customer)) and not _new_addresses(http, row, customer)


def _emptied(http: Http, path: str, blank: Row) -> None:
    if _ask(http, "PUT", path, json=blank, allow=(404,)).status != 404:
        _ask(http, "DELETE", path, allow=(404,))


def _linked(http: Http, kind: str, remote: str) -> list[Row]:
    """Activities of this contact that the hub made."""
    made: Row = {"type": "isNotNull", "attribute": _event_field(http)}
    if kind == "Task":
        return _listed(http, kind, [made, {"type": "equals", "attribute": "parentId", "value": remote}])
    linked: Row = {"type": "linkedWith", "attribute": "contacts", "value": [remote]}
    return _listed(http, kind, [made, linked])


def kind_of(http: Http, entry: Entry) -> str:
    """The entity that shows this event."""
    kinds = http.settings.get("kinds")
    chosen = text(kinds, entry.event.type) if isinstance(kinds, dict) else ""
    return chosen if chosen in KINDS else "Call" if entry.event.type == "call" else "Note"


def activity(http: Http, kind: str, remote: str, entry: Entry) -> Row:
    event, words = entry.event, note_text(entry)
    if kind == "Note":
        return {"type": "Post", "parentType": "Contact", "parentId": remote, "post": words}
    shown = {"name": title(entry), "description": words, _event_field(http): event.id}
    shown |= kept(assignedUserId=text(http.settings, "assigned_user_id"))
    if kind == "Task":
        return shown | {"status": "Not Started", "parentType": "Contact", "parentId": remote}
    begin = instants.to_ms(event.occurred_at)
    shown |= {"dateStart": _stamp(begin), "dateEnd": _stamp(begin + max(1, _seconds(entry)) * 1000)}
    direction = kept(direction=DIRECTIONS.get(event.direction, "")) if kind == "Call" else {}
    return {**shown, "status": outcome_of(entry), "contactsIds": [remote], **direction}


def outcome_of(entry: Entry) -> str:
    status = text(entry.event.details, "status").replace("-", "_")
    return NOT_HELD if status in NOT_REACHED else HELD


def _seconds(entry: Entry) -> int:
    found = entry.event.details.get("duration")
    return int(found) if isinstance(found, int | float) else 0


def _stamp(moment: int) -> str:
    """Moments are UTC there, in seconds."""
    return instants.from_ms(moment)[:19].replace("T", " ")


def title(entry: Entry) -> str:
    event = entry.event
    words = [event.type, text(event.details, "number"), text(event.details, "status").replace("_", " ")]
    return f"{' '.join(word for word in words if word)} ({event.channel})"


def note_text(entry: Entry) -> str:
    """Its last line tells ours apart, so that it is found again."""
    event = entry.event
    side = (
        "internal" if event.direction == "internal" else "from the customer" if event.direction == "in" else "from us"
    )
    head = f"{title(entry)}, {event.occurred_at}, {side}" + (f", {_seconds(entry)} seconds" if _seconds(entry) else "")
    parts = [head, event.summary, event.text[:MAX_TEXT], entry.url, event.link, f"{MARK}{event.id}"]
    return "\n".join(part for part in parts if part)


def known(http: Http, customer: Customer, remote: str) -> Iterator[Row]:
    """Contacts that are this customer: the one we know, ours by its field, then his by its id, if free."""
    if remote and (row := _record(http, remote)):
        yield row
    field, ids = _customer_field(http), [customer.id, *customer.former]
    found = _rows(http, "Contact", field, ids)
    for each in sorted(found, key=lambda each: ids.index(text(each, field))):
        if row := _record(http, _id(each)):
            yield row
    mine = account(http.settings)
    for identity in customer.identities if not found else ():
        if identity.kind == "crm" and identity.scope == mine and identity.value != remote:
            row = _record(http, identity.value)
            if row and not text(row, field):
                yield row


def _create(http: Http, customer: Customer) -> str:
    """A last name is required there."""
    names, mail, number = _names(customer), _own_one(customer, "email"), _own_one(customer, "phone")
    if not names.get("lastName"):
        names = {"lastName": names.get("firstName") or mail or number or customer.id}
    wanted = names | kept(emailAddress=mail, phoneNumber=number) | _fields(http, customer)
    wanted = merged(wanted, customer.mapped)
    answer = _ask(http, "POST", "Contact", json=wanted, allow=(409,))
    if answer.status != 409:
        return _own(answer)
    if row := _duplicate(http, answer, mail):
        return _update(http, row, customer)
    return _own(_ask(http, "POST", "Contact", json=wanted, headers={"X-Skip-Duplicate-Check": "true"}))


def _duplicate(http: Http, answer: Reply, mail: str) -> Row:
    """The only contact with this address, if nobody owns it: who merely has the same name is somebody else."""
    found = answer.json()
    if not isinstance(found, list):
        raise http.failure(answer)
    rows = [_record(http, _id(each)) for each in objects({"found": found}, "found")[:MOST] if _id(each)]
    same_mail = [row for row in rows if mail and mail in map(str.lower, addresses(row, "emailAddress"))]
    return same_mail[0] if len(same_mail) == 1 and not text(same_mail[0], _customer_field(http)) else {}


def _update(http: Http, row: Row, customer: Customer) -> str:
    """Only what is known and differs: an empty text would clear what an agent filled in."""
    wanted = contact_fields(http, customer)
    told = {name: value for name, value in wanted.items() if not shows(row.get(name), value)}
    told |= _new_addresses(http, row, customer)
    return _own(_ask(http, "PUT", f"Contact/{_part(_id(row))}", json=told)) if told else _id(row)


def contact_fields(http: Http, customer: Customer) -> Row:
    """All but the addresses."""
    return merged(_names(customer) | _fields(http, customer), customer.mapped)


def _new_addresses(http: Http, row: Row, customer: Customer) -> Row:
    mail = _added(row, "emailAddress", _own_one(customer, "email"), str.lower)
    number = _own_one(customer, "phone")
    return mail | _added(row, "phoneNumber", number, lambda each: phone(each, region(http.settings)))


def _added(row: Row, name: str, value: str, form: Any) -> Row:
    """An address beside those that are there; the first one stays the first."""
    there = addresses(row, name)
    if not value or value in map(form, there):
        return {}
    return {f"{name}Data": [*objects(row, f"{name}Data"), {name: value, "primary": False}]} if there else {name: value}


def _names(customer: Customer) -> Row:
    fields = {name: found.value for name, found in customer.fields.items()}
    first, _, last = fields.get("name", "").strip().partition(" ")
    return kept(firstName=fields.get("first_name") or first, lastName=fields.get("last_name") or last.strip())


def _fields(http: Http, customer: Customer) -> Row:
    return {_customer_field(http): customer.id} | profile(customer, http.settings)


def _own_one(customer: Customer, kind: str) -> str:
    """The newest one, if it is one that identifies this customer: a typed one proves nothing."""
    newest = customer.fields[kind].value if kind in customer.fields else ""
    owned = {each.value for each in customer.identities if each.kind == kind}
    return newest if newest in owned else customer.first(kind)


def _record(http: Http, key: str) -> Row:
    answer = _ask(http, "GET", f"Contact/{_part(key)}", allow=(404,))
    found = {} if answer.status == 404 else answer.json()
    if not isinstance(found, dict) or (found and not _id(found)):
        raise Unknown("a contact was answered with something else")
    return {} if found.get("deleted") is True else found


def _rows(http: Http, entity: str, name: str, values: list[str]) -> list[Row]:
    """Those whose field holds one of these values."""
    found = _listed(http, entity, [{"type": "in", "attribute": name, "value": values[:PAGE]}], name)
    return [row for row in found if text(row, name) in values]


def _listed(http: Http, entity: str, where: list[Row], *names: str) -> list[Row]:
    query = {"select": ",".join(["id", *names]), "maxSize": str(PAGE)}
    for at, clause in enumerate(where):
        for name, value in clause.items():
            several = (
                [(f"[{place}]", each) for place, each in enumerate(value)] if isinstance(value, list) else [("", value)]
            )
            query |= {f"where[{at}][{name}]{place}": each for place, each in several}
    found = _ask(http, "GET", entity, params=query, headers={"X-No-Total": "true"}).json()
    if not isinstance(found, dict) or not isinstance(found.get("list"), list):
        raise Unknown("a list was answered without its rows")
    return objects(found, "list")


def _posts(http: Http, remote: str) -> Iterator[Row]:
    """Posts in the contact's stream, latest first."""
    for page in range(MAX_PAGES):
        query = {"offset": str(page * PAGE), "maxSize": str(PAGE)}
        answer = _ask(http, "GET", f"Contact/{_part(remote)}/stream", params=query, allow=(404,))
        rows = objects(answer.json(), "list") if answer.status != 404 else []
        yield from (row for row in rows if text(row, "type") == "Post")
        if len(rows) < PAGE:
            return
    raise Delayed(f"more than {MAX_PAGES} pages in the stream: cannot tell whether this one is there")


def _own(answer: Reply) -> str:
    found = answer.json()
    if not isinstance(found, dict) or not _id(found):
        raise Unknown("a record was answered without its id")
    return _id(found)


def _ask(http: Http, method: str, path: str, **more: Any) -> Reply:
    if not http.base_url:
        raise Rejected("settings.base_url: where EspoCRM is")
    signed = authorization(http.secrets, http.settings, method, path)
    headers = {**signed, **more.pop("headers", {})}
    return http.request(method, f"/api/v1/{path}", headers=headers, **more)


def authorization(secrets: Secrets, settings: Mapping[str, Any], method: str, path: str) -> dict[str, str]:
    """By the key alone or, where the API user has a secret key, signed for this request."""
    keys, private = keys_of(secrets, "api_key"), keys_of(secrets, "secret_key")
    if not keys or not private:
        return {"X-Api-Key": keys[0]} if keys else {}
    made = hmac.new(octets(private[0]), octets(f"{method} /{path}"), hashlib.sha256)
    whole = made.digest() if text(settings, "hmac_digest") == "binary" else made.hexdigest().encode()
    return {"X-Hmac-Authorization": base64.b64encode(octets(keys[0]) + b":" + whole).decode()}


def unsigned(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    """Each request has its own authorization."""
    return {}


def _id(row: Any) -> str:
    return text(row, "id")


def _part(value: str) -> str:
    return quote(value, safe="")


def customer_field(settings: Mapping[str, Any]) -> str:
    return text(settings, "customer_field") or "cHubCustomerId"


def _customer_field(http: Http) -> str:
    return customer_field(http.settings)


def _event_field(http: Http) -> str:
    return text(http.settings, "event_field") or "cHubEventId"


SECRETS = {
    "api_key": Setting("API key", required=True, help="Of an API user"),
    "secret_key": Setting("Secret key", help="Of an API user with HMAC authentication; requests are then signed"),
}
CHANGES = Source(
    name="EspoCRM",
    channel="crm",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    fetch=look_ups,
    own_system=True,
    settings={
        "account": Setting("Scope of record ids", help="Default: the host of EspoCRM"),
        "api_user_id": Setting(
            "Id of the hub's API user", help="What this user wrote tells no values, only whose record it is"
        ),
        "addresses": Setting(
            "Mail addresses and numbers in the CRM",
            default="asserted",
            choices=("asserted", "attested"),
            help="attested: they say who somebody is; asserted: as good as typed by anybody",
        ),
        "webhook_signature": Setting(
            "Signatures of webhooks",
            default="hex",
            choices=("hex", "binary"),
            help="hex: header Signature, from version 9; binary: header X-Signature, before that",
        ),
        "hmac_digest": Setting(
            "Digest in signed requests", default="hex", choices=("hex", "binary"), help="binary: older versions"
        ),
    },
    secrets=SECRETS
    | {"webhook_secret": Setting("Webhook secrets", help="<webhook id>:<secret key>, one for each webhook")},
    unverified=(
        "one and the same change of a contact, made twice within a day and undone in between, is told once: webhooks "
        "carry neither a moment nor an id",
        "what a merge of two contacts sends: the source shows an update of the one that is left and the end of the other",
        "an address that the hub adds beside an agent's first one says nothing when it comes back, as any other one",
        "a second change in a row by the hub's own user names nobody: its values are told, and are those of the hub, or "
        "after a merge by the hub an address that only the other contact had",
    ),
    setup=(
        "Administration, Webhooks: create one for each of Contact.create, Contact.update and Contact.delete to "
        "{hook_url}, and enter the id and the secret key of each as <id>:<secret key> in webhook_secret.",
        "Set skip own on the webhook of Contact.delete, so that erasures leave no trace here, and on no other one.",
        "Enter the id of the hub's API user as api_user_id.",
    ),
    docs="https://docs.espocrm.com/administration/webhooks/",
)

DESTINATION = Destination(
    name="EspoCRM",
    base_url="",
    auth=unsigned,
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
    changes=CHANGES,
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("{customer_field}", "id", "emailAddress", "emailAddressData", "phoneNumber", "phoneNumberData"),
        "activity": ("{event_field}", "id", "type", "post", "parentType", "parentId", "contactsIds"),
    },
    comes_back={"api_user_id": ("firstName", "lastName")},
    settings={
        "base_url": Setting("Address of EspoCRM", required=True, help="https://crm.example.nl"),
        "customer_field": Setting("Contact field for our customer id", default="cHubCustomerId"),
        "event_field": Setting("Field for our event id", default="cHubEventId", help="On Call, Meeting and Task"),
        "channel_field": Setting("Contact field for the preferred channel", help="Empty: not sent"),
        **profile_settings("Contact field"),
        "kinds": Setting(
            "Kinds of activities", "object", help='Event type → Call, Meeting, Task or Note, as {"visit": "Meeting"}'
        ),
        "assigned_user_id": Setting("Assigned user", help="Of calls, meetings and tasks, where one is required"),
    },
    secrets=SECRETS,
    unverified=(
        "that a contact's stream lists posts latest first, and that 200 may be asked for at once",
        "that a contact may be the parent of a task",
        "that emailAddressData and phoneNumberData, when sent whole, keep what is in them",
        "limits: none are documented",
        "merging by POST Action: read in the source and its tests, and not in the documentation",
    ),
    setup=(
        "Create an API user with API key or HMAC authentication, and a role that may read, create, edit and delete "
        "contacts, calls, meetings, tasks and their streams; 403 says what the role lacks.",
        "Entity Manager: add the varchar field hubCustomerId to Contact, and hubEventId to Call, Meeting and Task; "
        "EspoCRM puts a c in front, and their names are settings.",
        "Erasing changes and deletes the hub's own posts, and one that moves to another contact is posted there and deleted "
        "here: set noteEditThresholdPeriod and noteDeleteThresholdPeriod in data/config.php to as long as contacts are kept.",
    ),
    docs="https://docs.espocrm.com/development/api/",
)
