"""Twenty: https://docs.twenty.com/developers/extend/api

A person is ours by a unique text field that holds the customer id. His mail address is unique there
too: where another record has it, that one is adopted when nobody owns it, and so is the record by
whose id Twenty told us of this customer. Records are made with ids of our choosing: a note and its
link to the person have ids that follow from the event, so that sending them twice changes nothing.
Where Twenty makes one person of two, the links go along and keep their ids: whose a note is now is
asked of the links themselves.

What comes back: https://docs.twenty.com/developers/extend/webhooks
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from chalicelib.errors import Delayed, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.fields import DEFAULT_REGION, email, email_identity, instant, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, merged, profile, profile_settings
from chalicelib.kit.request import Request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED

if TYPE_CHECKING:
    from chalicelib.errors import DeliveryFailed
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.identity import Identity

Row = dict[str, Any]
TYPES = {
    "person.created": "identify",
    "person.updated": "identify",
    "person.restored": "identify",
    "person.deleted": "system",
    "person.destroyed": "system",
}
CLOUD = "https://api.twenty.com"
MAX_TEXT = 32_768
MAX_IDS = 50
MOST = 9
MAX_PAGES = 20
TAKEN = pattern(r"(?i)already exists|duplicate (?:key|entry)")
MISSING = pattern(r"(?i)could not find any entity|record not found")
MARK = "draad:"
NAMED = pattern(rf"{MARK}([a-z0-9]+)")
BUSY = pattern(r"(?i)limit reached|too many requests")
MARKDOWN = pattern(r"([\\`*_{}\[\]<>#|~!])")
OWN = frozenset({"API"})


def normalize(request: Request) -> Iterator[Event]:
    """Of what the hub wrote itself, only whose record it is: its values are no news. What no member
    deleted may be gone because the hub erased somebody: of him no trace comes back."""
    kind, person = text(request.object, "eventName"), pick(request.object, "record")
    if kind not in TYPES or not isinstance(person, dict):
        return
    number, gone = required(person, "id"), TYPES[kind] == "system"
    if gone and not text(request.object, "workspaceMemberId"):
        return
    moment = moment_of(request, person)
    yield Event(
        type=TYPES[kind],
        channel="crm",
        direction="internal",
        actor="agent" if by_member(request, person) else "system",
        object=number,
        version=f"{kind}@{moment}",
        occurred_at=moment,
        identities=identities_of(request, number, {} if gone else person),
        summary=f"Person {kind.partition('.')[2]} in the CRM" if gone else "",
        details={"status": kind.partition(".")[2], "record": number} if gone else {},
        fields={} if gone or ours(request, person) else changed(request, person),
        link=link_of(request, number),
        sensitive=gone,
        provider_type=kind,
    )


def moment_of(request: Request, person: Row) -> str:
    """When the record came into this state. Of one that was destroyed only the webhook tells it."""
    names = {"person.deleted": ("deletedAt", "updatedAt"), "person.destroyed": ("destroyedAt",)}
    named = names.get(text(request.object, "eventName"), ("updatedAt",))
    told = next((person[name] for name in named if person.get(name)), request.object.get("eventDate"))
    return instant(told, "record.updatedAt")


def author(person: Row, kind: str) -> Row:
    found = pick(person, "createdBy" if kind == "person.created" else "updatedBy")
    return found if isinstance(found, dict) else {}


def by_member(request: Request, person: Row) -> bool:
    told = text(request.object, "workspaceMemberId")
    return bool(told or text(author(person, text(request.object, "eventName")), "workspaceMemberId"))


def ours(request: Request, person: Row) -> bool:
    """Whether the hub itself wrote this, with the API key that the settings name."""
    by = author(person, text(request.object, "eventName"))
    name = text(request.settings, "api_key_name")
    return bool(name) and text(by, "source") in OWN and text(by, "name") == name and not by_member(request, person)


def identities_of(request: Request, number: str, person: Row) -> tuple[Identity, ...]:
    """The record itself is attested; addresses where the settings trust who types them, and the first
    ones where the hub has just written them: it writes none but those that say who somebody is."""
    mails = [text(person, "emails", "primaryEmail"), *texts(person, "emails", "additionalEmails")]
    numbers = numbers_of(person)
    return present(
        scoped("crm", account(request.settings), number, A2_ATTESTED),
        *(email_identity(each, trust(request, person, "emails", at)) for at, each in enumerate(mails[:MOST])),
        *(
            phone_identity(each, region(request), trust(request, person, "phones", at))
            for at, each in enumerate(numbers[:MOST])
        ),
    )


def trust(request: Request, person: Row, group: str, place: int) -> int:
    """The hub's own write counts where it makes the record his: what a merge by the hub brings along may
    have been typed by anybody."""
    written = ours(request, person) and place == 0 and {group, customer_field(request.settings)} <= {*about(request)}
    return A2_ATTESTED if written or text(request.settings, "addresses") == "attested" else A1_ASSERTED


def about(request: Request) -> list[str]:
    """What this change was about: a new record is told whole."""
    updated = text(request.object, "eventName") == "person.updated"
    whole = ["name", "emails", "phones", customer_field(request.settings)]
    return texts(request.object, "updatedFields") if updated else whole


def texts(node: Any, *path: str) -> list[str]:
    found = pick(node, *path)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def numbers_of(person: Row) -> list[str]:
    """As Twenty keeps them: the number in the country, and the calling code apart."""
    found = person.get("phones")
    first = text(found, "primaryPhoneCallingCode") + text(found, "primaryPhoneNumber")
    more = [text(each, "callingCode") + text(each, "number") for each in objects(found, "additionalPhones")]
    return [each for each in (first, *more) if each]


def changed(request: Request, person: Row) -> dict[str, str]:
    groups = {
        "name": person_name(person),
        "emails": {"email": email(text(person, "emails", "primaryEmail"))},
        "phones": {"phone": phone(next(iter(numbers_of(person)), ""), region(request))},
    }
    told = {name: value for group in about(request) for name, value in groups.get(group, {}).items()}
    return {name: value for name, value in told.items() if value}


def person_name(person: Row) -> dict[str, str]:
    first, last = text(person, "name", "firstName").strip(), text(person, "name", "lastName").strip()
    return {"name": f"{first} {last}".strip(), "first_name": first, "last_name": last}


def link_of(request: Request, number: str) -> str:
    """In the workspace's own pages, whose address the settings tell."""
    pages = text(request.settings, "workspace_url").rstrip("/")
    return f"{pages}/object/person/{quote(number, safe='')}" if pages.startswith("https://") else ""


def region(request: Request) -> str:
    return text(request.settings, "region") or DEFAULT_REGION


def account(settings: Mapping[str, Any]) -> str:
    """Whose record ids these are; they are unique everywhere."""
    return text(settings, "account") or urlsplit(text(settings, "base_url") or CLOUD).hostname or ""


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    wanted = person_fields(http, customer)
    for key in known(http, customer, remote):
        if done := _update(http, key, wanted):
            return done
    return _create(http, customer, wanted)


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    note = key_of("note", entry.event.id)
    row: Row = {"id": note, "title": title(entry), "bodyV2": {"markdown": body(entry)}}
    _once(http, "notes", merged(row, entry.mapped))
    _link(http, note, remote, entry)
    return note


def find_contact(http: Http, customer: Customer) -> str:
    return next((_id(each) for each in _owned(http, [customer.id])), "")


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    """Empty too when the note is there without its link to the person."""
    note = key_of("note", entry.event.id)
    return note if any(text(each, _target_field(http)) == remote for each in _links(http, note)) else ""


def forget_contact(http: Http, remote: str) -> None:
    """Our notes would stay behind a person who is destroyed: they go first."""
    ours = sorted({note for target in _targets(http, remote) if (note := _own_note(target))})
    for start in range(0, len(ours), MAX_IDS):
        listed = ",".join(f'"{each}"' for each in ours[start : start + MAX_IDS])
        http.request("DELETE", "/rest/notes", params={"filter": f"id[in]:[{listed}]", "soft_delete": "false"})
    _destroy(http, "people", remote)


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """First onto the new one: in between it is on both, and never on none."""
    field, links = _target_field(http), _links(http, activity)
    if not any(text(each, field) == new for each in links):
        _link(http, activity, new, entry)
    for each in links:
        if text(each, field) == old:
            _destroy(http, "noteTargets", _id(each))
    return activity


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """https://github.com/twentyhq/twenty/issues/25875 and the API reference of each workspace. A merge leaves
    the record's last author as he was, so the hub writes it first: what comes back is then told as its own."""
    there = {_id(each): each for each in _rows(http, "people", f'id[in]:["{kept}","{other}"]')}
    if len(there) < 2:
        return next(iter(there), kept)
    _fine(http, _write(http, "PATCH", f"people/{_part(kept)}", {"name": pick(there[kept], "name") or {}}))
    told = {"ids": [kept, other], "conflictPriorityIndex": 0, "dryRun": False}
    return _own(_fine(http, _write(http, "PATCH", "people/merge", told)), "mergePerson")


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """What another record holds could not be written, so it is not missing."""
    wanted, there = person_fields(http, customer), _record(http, "people", remote, "person")
    number = next(iter(numbers_of(there)), "")
    seen = there | {"phones": {**(pick(there, "phones") or {}), "primaryPhoneNumber": number}}
    if not there or alike(seen, wanted):
        return bool(there)
    taken = _taken(http, wanted, remote)
    return bool(taken) and alike(seen, {name: wanted[name] for name in wanted if name not in taken})


def person_fields(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what an agent filled in."""
    fields = {name: found.value for name, found in customer.fields.items()}
    first, _, last = fields.get("name", "").strip().partition(" ")
    told = kept(
        name=kept(firstName=fields.get("first_name") or first, lastName=fields.get("last_name") or last.strip()),
        emails=kept(primaryEmail=_own_one(customer, "email", fields.get("email", ""))),
        phones=kept(primaryPhoneNumber=_own_one(customer, "phone", fields.get("phone", ""))),
        **{_customer_field(http): customer.id},
        **profile(customer, http.settings),
    )
    return merged(told, customer.mapped)


def _own_one(customer: Customer, kind: str, newest: str) -> str:
    """The newest one, if it is one that identifies this customer: a typed one proves nothing."""
    owned = {each.value for each in customer.identities if each.kind == kind}
    return newest if newest in owned else customer.first(kind)


def title(entry: Entry) -> str:
    event = entry.event
    words = [event.type, text(event.details, "number"), text(event.details, "status").replace("_", " ")]
    return f"{' '.join(word for word in words if word)} ({event.channel})"


def body(entry: Entry) -> str:
    """Markdown. Its last line tells our notes apart from those of agents."""
    event = entry.event
    seconds = event.details.get("duration")
    side = (
        "internal" if event.direction == "internal" else "from the customer" if event.direction == "in" else "from us"
    )
    head = f"{event.occurred_at}, {side}" + (f", {seconds} seconds" if isinstance(seconds, int | float) else "")
    links = [f"[{word}](<{url}>)" for url, word in ((entry.url, "timeline"), (event.link, "source")) if url]
    parts = [head, _plain(event.summary), _plain(event.text[:MAX_TEXT]), " · ".join(links), f"{MARK}{event.id}"]
    return "\n\n".join(part for part in parts if part)


def _plain(words: str) -> str:
    """What somebody wrote is text, whatever it looks like in Markdown."""
    return MARKDOWN.sub(r"\\\1", words).replace("\n", "  \n")


def key_of(*parts: str) -> str:
    """An id of our choosing, the same for the same parts."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


def known(http: Http, customer: Customer, remote: str) -> Iterator[str]:
    """Records that are this customer: the one we know, ours by its field, then his by its id, if free."""
    if remote:
        yield remote
    ids = [customer.id, *customer.former][:MAX_IDS]
    found = _owned(http, ids)
    yield from (_id(each) for each in sorted(found, key=lambda each: ids.index(text(each, _customer_field(http)))))
    mine = account(http.settings)
    for each in customer.identities[:MAX_IDS] if not found else ():
        if each.kind == "crm" and each.scope == mine and each.value != remote:
            row = _record(http, "people", each.value, "person")
            if row and _free(http, row):
                yield each.value


def _taken(http: Http, wanted: Row, remote: str) -> tuple[str, ...]:
    """What `_update` leaves out, because another record has it: the address; where it is our id, both."""
    mail, shy = text(wanted, "emails", "primaryEmail"), ("emails", _customer_field(http))
    if any(_id(each) != remote for each in _owned(http, [text(wanted, shy[1])])):
        return shy
    holders = _rows(http, "people", f'emails.primaryEmail[eq]:"{mail}"') if mail else []
    return shy[:1] if any(_id(each) != remote for each in holders) else ()


def _owned(http: Http, ids: list[str]) -> list[Row]:
    listed = ",".join(f'"{each}"' for each in ids)
    found = _rows(http, "people", f"{_customer_field(http)}[in]:[{listed}]")
    return [each for each in found if text(each, _customer_field(http)) in ids]


def _free(http: Http, row: Row) -> bool:
    return not text(row, _customer_field(http))


def _create(http: Http, customer: Customer, wanted: Row) -> str:
    answer = _write(http, "POST", "people", wanted)
    if answer.status != 400:
        return _own(answer, "createPerson")
    if done := _adopted(http, customer, wanted):
        return done
    rest = {name: value for name, value in wanted.items() if name != "emails"}
    return _own(_fine(http, _write(http, "POST", "people", rest)), "createPerson")


def _adopted(http: Http, customer: Customer, wanted: Row) -> str:
    """Another attempt made it meanwhile, or somebody has the address: his record is ours if nobody owns it."""
    found = _owned(http, [customer.id])
    mail = text(wanted, "emails", "primaryEmail")
    if not found and mail:
        holders = _rows(http, "people", f'emails.primaryEmail[eq]:"{mail}"')
        found = [each for each in holders if _free(http, each)]
    return next((done for each in found if (done := _update(http, _id(each), wanted))), "")


def _update(http: Http, key: str, wanted: Row) -> str:
    """The record's id, or nothing when it is gone. What another record has stays away: the address, then,
    where customers were merged who both have a record, our id too."""
    path, shy = f"people/{_part(key)}", ("emails", _customer_field(http))
    answer = _write(http, "PATCH", path, wanted)
    for taken in (shy[:1], shy):
        if answer.status == 400 and TAKEN.search(_said(answer)):
            answer = _write(http, "PATCH", path, {name: wanted[name] for name in wanted if name not in taken})
    if answer.status == 404 or (answer.status == 400 and MISSING.search(_said(answer))):
        return ""
    return _own(_fine(http, answer), "updatePerson")


def _write(http: Http, method: str, path: str, row: Row) -> Reply:
    """An answer that says what is wrong with the values is the caller's to judge."""
    allow = (400, 404) if method == "PATCH" else (400,)
    answer = http.request(method, f"/rest/{path}", json=row, allow=allow)
    judged = MISSING.search(_said(answer)) or TAKEN.search(_said(answer))
    return answer if answer.status != 400 or judged else _fine(http, answer)


def _once(http: Http, kind: str, row: Row) -> None:
    """Make it, unless it is there."""
    answer = _write(http, "POST", kind, row)
    if answer.status == 400 and TAKEN.search(_said(answer)):
        return
    made = pick(_fine(http, answer).json(), "data", "createNote" if kind == "notes" else "createNoteTarget")
    if _id(made) != row["id"]:
        raise Unknown(f"{kind}: answered without the record")


def _link(http: Http, note: str, remote: str, entry: Entry) -> None:
    target = {"id": key_of("target", entry.event.id, remote), "noteId": note, _target_field(http): remote}
    _once(http, "noteTargets", target)


def _links(http: Http, note: str) -> list[Row]:
    return _rows(http, "noteTargets", f'noteId[eq]:"{note}"')


def _destroy(http: Http, kind: str, key: str) -> None:
    answer = http.request("DELETE", f"/rest/{kind}/{_part(key)}", allow=(400, 404))
    if answer.status == 400 and not MISSING.search(_said(answer)):
        raise _refusal(http, answer)


def _fine(http: Http, answer: Reply) -> Reply:
    if answer.status < 400:
        return answer
    raise _refusal(http, answer)


def _refusal(http: Http, answer: Reply) -> DeliveryFailed:
    """Some versions answer 400 to what comes too fast."""
    if answer.status == 400 and BUSY.search(_said(answer)):
        return Delayed("HTTP 400: too many requests", retry_after=60)
    return http.failure(answer)


def _said(answer: Reply) -> str:
    return answer.body[:4096].decode("utf-8", "replace")


def _own(answer: Reply, name: str) -> str:
    found = pick(answer.json(), "data", name)
    if not _id(found):
        raise Unknown("a person was answered without its record")
    return _id(found)


def _record(http: Http, kind: str, key: str, name: str) -> Row:
    answer = http.request("GET", f"/rest/{kind}/{_part(key)}", params={"depth": "0"}, allow=(400, 404))
    if answer.status == 404 or (answer.status == 400 and MISSING.search(_said(answer))):
        return {}
    found = pick(_fine(http, answer).json(), "data", name)
    if not isinstance(found, dict) or not _id(found):
        raise Unknown(f"{kind}: a read was answered without its record")
    return found


def _rows(http: Http, kind: str, wanted: str) -> list[Row]:
    answer = http.request("GET", f"/rest/{kind}", params={"filter": wanted, "limit": "60", "depth": "0"}, allow=(400,))
    told = _fine(http, answer).json()
    if not isinstance(pick(told, "data", kind), list):
        raise Unknown(f"{kind}: a list was answered without its rows")
    return objects(told, "data", kind)


def _targets(http: Http, remote: str) -> list[Row]:
    """All links of a person to notes, with the notes."""
    query = {"filter": f'{_target_field(http)}[eq]:"{remote}"', "limit": "60", "depth": "1"}
    found: list[Row] = []
    for _ in range(MAX_PAGES):
        told = http.request("GET", "/rest/noteTargets", params=query).json()
        found += objects(told, "data", "noteTargets")
        if pick(told, "pageInfo", "hasNextPage") is not True:
            return found
        query = query | {"starting_after": text(told, "pageInfo", "endCursor")}
    raise Delayed(f"more than {MAX_PAGES} pages of notes")


def _own_note(target: Row) -> str:
    """The id of a note that the hub made: it follows from the event that its last line names."""
    note = target.get("note")
    shown = f"{text(note, 'bodyV2', 'markdown')} {text(note, 'bodyV2', 'blocknote')}"
    events = NAMED.findall(shown)
    return _id(note) if any(key_of("note", event) == _id(note) for event in events) else ""


def _id(row: Any) -> str:
    return text(row, "id")


def _part(value: str) -> str:
    return quote(value, safe="")


def customer_field(settings: Mapping[str, Any]) -> str:
    return text(settings, "customer_field") or "hubCustomerId"


def _customer_field(http: Http) -> str:
    return customer_field(http.settings)


def _target_field(http: Http) -> str:
    return text(http.settings, "target_field") or "targetPersonId"


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    keys = keys_of(secrets, "api_key")
    return {"Authorization": f"Bearer {keys[0]}"} if keys else {}


CHANGES = Source(
    name="Twenty",
    channel="crm",
    types=TYPES,
    normalize=normalize,
    verify=hmac_signature(
        header="X-Twenty-Webhook-Signature",
        key_name="webhook_secret",
        over="{ts}:{body}",
        timestamp_header="X-Twenty-Webhook-Timestamp",
        timestamp_unit="ms",
    ),
    own_system=True,
    settings={
        "account": Setting("Scope of record ids", help="Default: the host of the API"),
        "api_key_name": Setting(
            "Name of the hub's API key",
            help="As Twenty shows it: what this key wrote tells no values, only whose it is",
        ),
        "addresses": Setting(
            "Mail addresses and numbers in the CRM",
            default="asserted",
            choices=("asserted", "attested"),
            help="attested: they say who somebody is; asserted: as good as typed by anybody",
        ),
        "workspace_url": Setting("Address of the workspace", help="https://… as agents open it; for links"),
    },
    secrets={"webhook_secret": Setting("Webhook secret", help="Of Twenty's webhook; without it nothing is received")},
    unverified=(
        "updatedBy in the records of webhooks, and that its name is the API key's: without it our own writes tell "
        "their values again, which changes nothing",
        "person.restored; and what a merge of two people sends: the source shows an update of the one and the end of "
        "the other, with the author of the last change before it",
    ),
    setup=(
        "Settings, APIs & Webhooks: create a webhook to {hook_url} for person created, updated, deleted, destroyed "
        "and restored, with a secret, and enter that as webhook_secret. A webhook that fails is not sent again.",
        "Enter the name of the hub's API key as api_key_name.",
    ),
    docs="https://docs.twenty.com/developers/extend/webhooks",
)

DESTINATION = Destination(
    name="Twenty",
    base_url=CLOUD,
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
    limit=Limit(100, 60.0),
    outcomes={403: Unauthorized},
    changes=CHANGES,
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={"contact": ("{customer_field}", "id", "emails", "phones"), "activity": ("id", "bodyV2")},
    comes_back={"api_key_name": ("name",)},
    settings={
        "base_url": Setting("API address", default=CLOUD, help="Self-hosted: https:// and the domain"),
        "customer_field": Setting("Field for our customer id", default="hubCustomerId", help="Its API name, on People"),
        "channel_field": Setting("Field for the preferred channel", help="Its API name, on People; empty: not sent"),
        **profile_settings("Field", help="Its API name, on People"),
        "target_field": Setting(
            "Field that links a note to a person",
            default="targetPersonId",
            choices=("targetPersonId", "personId"),
            help="personId in versions before the links could point at any object",
        ),
    },
    secrets={"api_key": Setting("API key", required=True)},
    unverified=(
        "that of a composite field (name, emails, phones) the parts that are not sent stay as they are",
        "that a number in E.164 as primaryPhoneNumber is split into calling code and number",
        "ids of our choosing for notes and their links: Twenty's own tests show them for people",
        "how a unique field treats a record in the trash: a refusal is parked with its reason",
        "rate limits of cloud and self-hosted workspaces: 100 requests a minute is documented",
        "from which version on PATCH people/merge is there: an older one refuses it, and merge_policy must be soft",
    ),
    setup=(
        "Create an API key whose role may read, write and destroy people, notes and note targets.",
        "Add the text field hubCustomerId to People and make it unique.",
    ),
    docs="https://docs.twenty.com/developers/extend/api",
)
