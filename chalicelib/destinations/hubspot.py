"""HubSpot: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide

A contact is ours by a unique property that holds the customer id, never by its mail address:
addresses are shared and change. Where the address is taken by another record, that record is
adopted when nobody owns it; one that carries another customer's id is left alone, and ours goes
without the address. An activity carries the event id in a unique property, so that sending it
twice changes nothing, and is then associated with the contact, which is idempotent too.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.fields import DEFAULT_REGION, instant, phone, plain, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, merged, profile, profile_settings
from chalicelib.kit.request import Request
from chalicelib.kit.shape import required, text
from chalicelib.kit.signatures import hmac_signature
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event, digest
from chalicelib.model.identity import A3_VERIFIED

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry

Row = dict[str, Any]
MAX_BODY = 65_536
DEFAULTS = {"channel_property": "hub_preferred_channel", "satisfaction_property": "hub_satisfaction"}
EXISTING = pattern(r"Existing ID: *(\d+)")
MESSENGERS = {"whatsapp": "WHATS_APP", "sms": "SMS"}
CALL_STATUSES = {"completed", "busy", "no_answer", "failed", "canceled"}
CALL_DIRECTIONS = {"in": "INBOUND", "out": "OUTBOUND"}
EMAIL_DIRECTIONS = {"in": "INCOMING_EMAIL", "out": "EMAIL"}


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    properties = contact_properties(http, customer)
    if remote:
        answer = _patch(http, remote, properties)
        if answer.status == 409:
            answer = _patch(http, remote, _without_address(properties))
        if answer.status != 404:
            return _own(http, _fine(answer))
    row, refusal = _upsert(http, "contacts", _customer_property(http), customer.id, properties)
    if not _taken(refusal):
        return str(_created(row, refusal)["id"])
    return _adopt(http, customer, properties, refusal)


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    kind = kind_of(entry.event)
    row, refusal = _upsert(http, kind, _event_property(http), entry.event.id, activity_properties(kind, entry))
    activity = str(_created(row, refusal)["id"])
    http.request("PUT", f"/crm/v4/objects/{kind}/{activity}/associations/default/contacts/{quote(remote, safe='')}")
    return activity


def find_contact(http: Http, customer: Customer) -> str:
    return _id(_by_key(http, "contacts", _customer_property(http), customer.id))


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    """Empty too when it exists without its association: appending again completes it."""
    params = {"associations": "contacts"}
    found = _by_key(http, kind_of(entry.event), _event_property(http), entry.event.id, params)
    linked = ((found.get("associations") or {}).get("contacts") or {}).get("results") or []
    return _id(found) if any(str(each.get("id")) == remote for each in linked) else ""


def forget_contact(http: Http, remote: str) -> None:
    http.request("POST", f"{_objects(http)}/contacts/gdpr-delete", json={"objectId": remote}, allow=(404,))


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """First onto the new one: in between it is on both, and never on none."""
    kind = kind_of(entry.event)
    here = f"/crm/v4/objects/{kind}/{quote(activity, safe='')}/associations"
    http.request("PUT", f"{here}/default/contacts/{quote(new, safe='')}")
    http.request("DELETE", f"{here}/contacts/{quote(old, safe='')}", allow=(404,))
    return activity


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/basic/merge-contacts"""
    left = _id(_read(http, "contacts", other, {"properties": _customer_property(http)}))
    if left in ("", kept):
        return kept
    told = {"primaryObjectId": kept, "objectIdToMerge": other}
    return _own(http, http.request("POST", f"{_objects(http)}/contacts/merge", json=told))


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """An address that another record holds could not be written, so it is not missing."""
    wanted = contact_properties(http, customer)
    there = _read(http, "contacts", remote, {"properties": ",".join(sorted(wanted))}).get("properties") or {}
    if not there or alike(there, wanted):
        return bool(there)
    email = wanted.get("email", "")
    return alike(there, _without_address(wanted)) and bool(_holder(http, email, {}, _customer_property(http)))


def kind_of(event: Event) -> str:
    """The engagement that shows this event: calls, emails, communications or notes."""
    if event.type == "call":
        return "calls"
    if event.type == "email" or (event.type == "message" and event.channel == "email"):
        return "emails"
    return "communications" if event.type == "message" and event.channel in MESSENGERS else "notes"


def contact_properties(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what an agent filled in."""
    known = {name: found.value for name, found in customer.fields.items()}
    first, _, last = known.get("name", "").strip().partition(" ")
    found = {
        "email": _address(customer, known.get("email", "")),
        "phone": known.get("phone") or customer.first("phone"),
        "firstname": known.get("first_name") or first,
        "lastname": known.get("last_name") or last.strip(),
        **profile(customer, DEFAULTS | dict(http.settings), "property"),
    }
    return merged({name: value for name, value in found.items() if name and value}, customer.mapped)


def _address(customer: Customer, newest: str) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def activity_properties(kind: str, entry: Entry) -> Row:
    event = entry.event
    shown: dict[str, str] = {"hs_timestamp": event.occurred_at}
    if kind == "calls":
        shown |= {"hs_call_title": _title(event), "hs_call_body": _body(entry), **_call(event)}
    elif kind == "emails":
        shown |= {
            "hs_email_direction": EMAIL_DIRECTIONS.get(event.direction, "EMAIL"),
            "hs_email_status": "SENT",
            "hs_email_subject": event.summary or _title(event),
            "hs_email_text": event.text[:MAX_BODY],
        }
    elif kind == "communications":
        shown |= {
            "hs_communication_channel_type": MESSENGERS[event.channel],
            "hs_communication_logged_from": "CRM",
            "hs_communication_body": _body(entry),
        }
    else:
        shown["hs_note_body"] = _body(entry)
    return merged({name: value for name, value in shown.items() if value}, entry.mapped)


def _call(event: Event) -> dict[str, str]:
    seconds = event.details.get("duration")
    status = str(event.details.get("status", "")).replace("-", "_")
    return {
        "hs_call_direction": CALL_DIRECTIONS.get(event.direction, ""),
        "hs_call_duration": str(int(seconds * 1000)) if isinstance(seconds, int | float) else "",
        "hs_call_status": status.upper() if status in CALL_STATUSES else "",
    }


def _title(event: Event) -> str:
    words = [event.type, str(event.details.get("number") or ""), str(event.details.get("status") or "")]
    return f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")


def _body(entry: Entry) -> str:
    event = entry.event
    direction = "from" if event.actor == "customer" else "to"
    lines = [f"<b>{html.escape(_title(event))}</b>" + (f" {direction} customer" if event.type == "message" else "")]
    lines += [html.escape(part).replace("\n", "<br>") for part in (event.summary, event.text) if part]
    links = [(entry.url, "timeline"), (event.link, "source")]
    tail = "".join(f'<br><a href="{html.escape(url)}">{word}</a>' for url, word in links if url)
    return _cut("<br>".join(lines), MAX_BODY - len(tail)) + tail


def _cut(text: str, length: int) -> str:
    """Never in the middle of a tag or an entity."""
    return text if len(text) <= length else re.sub(r"(&[^;]{0,8}|<[^>]{0,8})\Z", "", text[: length - 1]) + "…"


def _adopt(http: Http, customer: Customer, properties: Row, refusal: Row) -> str:
    """Another record has the mail address. Ours, if we own one already, goes without it."""
    key = _customer_property(http)
    other = _holder(http, properties.get("email", ""), refusal, key)
    owner = (other.get("properties") or {}).get(key) or ""
    ours = find_contact(http, customer)
    if not ours and other and not owner:
        answer = _patch(http, _id(other), {**properties, key: customer.id})
        if answer.status == 200:
            return _own(http, answer)
    if not ours and owner in customer.former:
        return _own(http, _fine(_patch(http, _id(other), properties)))
    row, still = _upsert(http, "contacts", key, customer.id, _without_address(properties))
    return str(_created(row, still)["id"])


def _holder(http: Http, email: str, refusal: Row, key: str) -> Row:
    named = EXISTING.search(str(refusal.get("message", "")))
    if named:
        return _read(http, "contacts", named[1], {"properties": key})
    return _by_key(http, "contacts", "email", email, {"properties": key}) if email else {}


def _without_address(properties: Row) -> Row:
    return {name: value for name, value in properties.items() if name != "email"}


def _upsert(http: Http, kind: str, key: str, value: str, properties: Row) -> tuple[Row, Row]:
    """(result row, refusal): one of them is filled. A batch of one answers 207 where it is refused."""
    wanted = {"id": value, "idProperty": key, "objectWriteTraceId": value, "properties": dict(properties)}
    path = f"{_objects(http)}/{kind}/batch/upsert"
    answer = http.request("POST", path, json={"inputs": [wanted]}, allow=(409,))
    told = answer.json()
    if not isinstance(told, dict):
        raise Unknown("an upsert was answered with something else")
    if answer.status == 409:
        return {}, told
    rows, refusals = told.get("results") or [], told.get("errors") or []
    return (rows[0], {}) if rows else ({}, refusals[0] if refusals else {})


def _created(row: Row, refusal: Row) -> Row:
    """The result row. Raises what the refusal amounts to; Unknown for a success without a row."""
    if row.get("id"):
        return row
    category, message = str(refusal.get("category", "")), str(refusal.get("message", ""))
    if not refusal:
        raise Unknown("an upsert was answered without its row")
    if category in ("RATE_LIMITS", "RATE_LIMIT"):
        raise Delayed("rate limit, in a partial answer")
    if category in ("MISSING_SCOPES", "INVALID_AUTHENTICATION"):
        raise Unauthorized(f"{category}, in a partial answer")
    raise Rejected(f"{category or 'refused'}, in a partial answer", _excerpt(message))


def _excerpt(message: str) -> str:
    from chalicelib.kit.http import redacted

    return redacted(message.encode())


def _taken(refusal: Row) -> bool:
    return str(refusal.get("category", "")) == "CONFLICT" or bool(EXISTING.search(str(refusal.get("message", ""))))


def _patch(http: Http, remote: str, properties: Row) -> Reply:
    path = f"{_objects(http)}/contacts/{quote(remote, safe='')}"
    return http.request("PATCH", path, json={"properties": dict(properties)}, allow=(404, 409))


def _fine(answer: Reply) -> Reply:
    if answer.status == 200:
        return answer
    raise Rejected(
        f"HTTP {answer.status} to an update of the contact", _excerpt(answer.body.decode("utf-8", "replace"))
    )


def _own(http: Http, answer: Reply) -> str:
    found = answer.json()
    if not isinstance(found, dict) or not found.get("id"):
        raise Unknown("an update was answered without its record")
    return str(found["id"])


def _by_key(http: Http, kind: str, key: str, value: str, params: Mapping[str, str] | None = None) -> Row:
    """Read by a unique property, not searched: the index of the search lags behind."""
    return _read(http, kind, value, {"idProperty": key, **(params or {})})


def _read(http: Http, kind: str, value: str, params: Mapping[str, str]) -> Row:
    answer = http.request("GET", f"{_objects(http)}/{kind}/{quote(value, safe='')}", params=params, allow=(404,))
    if answer.status == 404:
        return {}
    found = answer.json()
    if not isinstance(found, dict) or not found.get("id"):
        raise Unknown("a read was answered without its record")
    return found


def _id(row: Row) -> str:
    return str(row.get("id") or "")


def _objects(http: Http) -> str:
    version = str(http.settings.get("api", "v3"))
    return "/crm/v3/objects" if version == "v3" else f"/crm/objects/{quote(version, safe='')}"


def _customer_property(http: Http) -> str:
    return str(http.settings.get("customer_property") or "hub_customer_id")


def _event_property(http: Http) -> str:
    return str(http.settings.get("event_property") or "hub_event_id")


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = secrets.get("access_token", ())
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}


CHANGES = {
    "creation": "identify",
    "propertyChange": "identify",
    "merge": "identify",
    "deletion": "system",
    "privacyDeletion": "system",
}
"""Of contacts. What came back because we wrote it yields nothing."""
TELLS = {
    "phone": "phone",
    "email": "email",
    "firstname": "first_name",
    "lastname": "last_name",
    "hs_email_optout": "consent_email",
    "hs_language": "language",
}
OPTED_OUT = {"true": "denied", "false": "granted"}
CONTACTS = "0-1"
SIGNATURE = hmac_signature(
    header="X-HubSpot-Signature-v3",
    key_name="client_secret",
    encoding="base64",
    over="{method}{url}{body}{ts}",
    timestamp_header="X-HubSpot-Request-Timestamp",
    timestamp_unit="ms",
)


def normalize(request: Request) -> Iterator[Event]:
    """What agents and other programs changed of contacts: one event for each change of a batch."""
    for told in (each for each in request.json if isinstance(each, dict)) if isinstance(request.json, list) else ():
        kind = _change_of(told)
        if kind and not _echoed(request, told):
            yield _changed(request, told, kind)


def _change_of(told: Row) -> str:
    of, _, kind = text(told, "subscriptionType").partition(".")
    contact = of == "contact" or (of == "object" and text(told, "objectTypeId") == CONTACTS)
    return kind if contact and kind in CHANGES else ""


def _echoed(request: Request, told: Row) -> bool:
    """By our own app, its merges too. A setting says which that is; without it the values tell."""
    app = text(request.settings, "app_id")
    return text(told, "changeSource") == "INTEGRATION" and bool(app) and app in text(told, "sourceId")


def _changed(request: Request, told: Row, kind: str) -> Event:
    moment = instant(told.get("occurredAt"), "occurredAt")
    record = text(told, "primaryObjectId") or required(told, "objectId")
    merged = [plain(each) for each in told.get("mergedObjectIds") or () if plain(each) not in ("", record)]
    records = (scoped("crm", request.connection, each, A3_VERIFIED) for each in (record, *merged))
    name, value = text(told, "propertyName"), text(told, "propertyValue")
    return Event(
        type=CHANGES[kind],
        channel="crm",
        direction="internal",
        actor="agent" if text(told, "changeSource") == "CRM_UI" else "system",
        object=record,
        version=f"{kind} {name} {digest(value)[:8] if value else ''}@{moment}",
        occurred_at=moment,
        identities=present(*records),
        summary=f"Contact {kind}" if kind != "propertyChange" else f"Contact: {name} changed",
        details={"status": "merged" if kind == "merge" else kind}
        | ({"primary": record, "merged": merged} if kind == "merge" else {}),
        fields=_told_field(request, name, value) if kind == "propertyChange" else {},
        provider_type=text(told, "subscriptionType"),
    )


def _told_field(request: Request, name: str, value: str) -> dict[str, str]:
    field = TELLS.get(name, "")
    if field == "consent_email":
        value = OPTED_OUT.get(value, "")
    elif field == "phone":
        value = phone(value, text(request.settings, "region") or DEFAULT_REGION) or value
    return {field: value[:500]} if field and value else {}


COMES_BACK = Source(
    name="HubSpot",
    channel="crm",
    types=CHANGES,
    normalize=normalize,
    verify=SIGNATURE,
    own_system=True,
    settings={
        "app_id": Setting("App id", help="Of the app that writes for us: its own changes are not told back to us"),
        "region": Setting("Country of numbers without +", default=DEFAULT_REGION, help="ISO 3166 code"),
    },
    secrets={"client_secret": Setting("Client secret", help="Of the app whose webhooks come to the hook URL")},
    docs="https://developers.hubspot.com/docs/api-reference/webhooks-webhooks-v3/guide",
)

DESTINATION = Destination(
    name="HubSpot",
    base_url="https://api.hubapi.com",
    auth=_bearer,
    upsert_contact=upsert_contact,
    append_activity=append_activity,
    find_contact=find_contact,
    find_activity=find_activity,
    forget_contact=forget_contact,
    move_activity=move_activity,
    merge_contacts=merge_contacts,
    shows_contact=shows_contact,
    keyed=True,
    changes=COMES_BACK,
    limit=Limit(100, 10.0),
    outcomes={403: Unauthorized, 477: Delayed},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("{customer_property}", "email", "hs_additional_emails"),
        "activity": ("{event_property}",),
    },
    comes_back={"app_id": tuple(name for name in TELLS if name != "email")},
    settings={
        "base_url": Setting("Base URL", default="https://api.hubapi.com"),
        "api": Setting("API version", default="v3", help="v3, or a dated version such as 2026-03"),
        "customer_property": Setting("Contact property for our customer id", default="hub_customer_id"),
        "event_property": Setting("Activity property for our event id", default="hub_event_id"),
        **profile_settings("Contact property", "property"),
        "satisfaction_property": Setting(
            "Contact property for the newest satisfaction",
            default="hub_satisfaction",
            help="0 to 100, as text; empty: not sent",
        ),
        "channel_property": Setting(
            "Contact property for the preferred channel", default="hub_preferred_channel", help="Empty: not sent"
        ),
    },
    secrets={"access_token": Setting("Access token", required=True, help="Of a service key: pat-…")},
    unverified=(
        "upsert of engagements by a custom unique property: the SDK offers it, the documentation does not say it",
        "a refused row of a batch of one: 207 with errors[], or 409; both are read",
        "associations under a dated API version: the v4 path is used with every version",
        "hs_call_duration in milliseconds",
        "properties that a mapping fills with numbers and booleans as such: the documentation shows texts",
        "that sourceId of a change by an integration holds its app id",
    ),
    setup=(
        "Create a service key with crm.objects.contacts read and write, and enter it as access_token.",
        "Create the contact property hub_customer_id: single-line text, unique values.",
        "Create the contact properties hub_preferred_channel and hub_satisfaction: single-line text.",
        "Create hub_event_id, single-line text with unique values, on calls, emails, communications and notes.",
        "For what agents change: in an app, subscribe {hook_url} to contact.propertyChange (phone, email, firstname, "
        "lastname, hs_email_optout), contact.merge and contact.deletion, and enter its client secret and app id.",
    ),
    docs="https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide",
)
