"""Odoo: https://www.odoo.com/documentation/19.0/developer/reference/external_api.html

By the setting `api` it is spoken to as JSON-2, or as the older JSON-RPC, whose answers are always a 200 and
name what went wrong inside. A contact is a res.partner that holds the customer id in `ref` or in a field of
its own. Neither is unique there: one search, of the table itself, tells who carries his id, a former one, or
his mail address; whoever has the address, is no colleague and carries no reference is adopted.

An entry is a mail.message in the partner's history. Its Message-Id is ours and made of the event id, so that
it is found again. It is made as a record, not posted: posting may notify followers. Only administrators may
write which partner it is of: for other users a move makes it anew there, and then deletes it here.

Partners are merged by the wizard that people use, whose source says what it refuses:
https://github.com/odoo/odoo/blob/19.0/odoo/addons/base/wizard/base_partner_merge.py
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.errors import Delayed, DeliveryFailed, Rejected, Unauthorized, Unknown
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.grant import Token
from chalicelib.kit.lazily import pattern
from chalicelib.kit.outgoing import alike, blanked, merged, profile, profile_names, profile_settings, tops
from chalicelib.kit.shape import count, kept, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.customer import Customer, Entry
    from chalicelib.model.event import Event

Row = dict[str, Any]
FIELD_NAME = pattern(r"[a-z][a-z0-9_]{0,62}\Z")
PARTNER, MESSAGE = "res.partner", "mail.message"
MERGING = "base.partner.merge.automatic.wizard"
ALSO_ARCHIVED = ["active", "in", [True, False]]
POSITIONAL = {"create": ("vals_list",), "write": ("vals",)}
"""What JSON-RPC takes by its place, because the name differs between versions."""
REFUSALS = (403, 422, 500)
NO_RIGHT = "AccessError"
REFUSED = frozenset({"AccessDenied", NO_RIGHT, "SessionExpiredException"})
PASSING = frozenset({"LockError", "ConcurrencyError", "PoolError"})
SIDES = {"in": "from customer", "out": "to customer"}
USER = "uid-"
DAY_SECONDS = 86_400
ERASED = "erased"
MAX_TEXT = 20_000
FEW, MANY = 50, 500
MAX_PAGES = 20


def grant(http: Http) -> Token:
    """JSON-RPC wants the user's number with every call. JSON-2 goes by the key alone: nobody is asked."""
    if not _is_older(http.settings):
        return Token("json2", DAY_SECONDS)
    named = [text(http.settings, "database"), text(http.settings, "login"), _key(http)]
    found, wrong = _told(http, "common", "login", named)
    if wrong:
        raise _failure(http, wrong)
    if found is False:
        raise Unauthorized("no user has this login and API key in this database")
    if not text({"uid": found}, "uid"):
        raise Unknown("a login was answered without the user's number")
    return Token(f"{USER}{found}", DAY_SECONDS)


def upsert_contact(http: Http, customer: Customer, remote: str) -> str:
    wanted = partner_fields(http, customer)
    partner = _known(http, customer, remote, text(wanted, "email"))
    if partner is None:
        name = next(filter(None, (text(wanted, each) for each in ("name", "email", "phone"))), customer.id)
        return _created(http, PARTNER, wanted | {"name": name})
    told = {name: value for name, value in wanted.items() if _plain(partner.get(name)) != value}
    if told and _called(http, PARTNER, "write", {"vals": told}, [partner["id"]]) is not True:
        raise Unknown("a change was answered with something else")
    return text(partner, "id")


def append_activity(http: Http, remote: str, entry: Entry) -> str:
    return _created(http, MESSAGE, message(http, remote, entry))


def find_contact(http: Http, customer: Customer) -> str:
    found = _searched(http, PARTNER, [[_field(http), "=", customer.id]], ["id"])
    return text(found[0], "id") if found else ""


def find_activity(http: Http, remote: str, entry: Entry) -> str:
    found = _searched(http, MESSAGE, [*_of(remote), ["message_id", "=", _mark(entry.event.id)]], ["id"])
    return text(found[0], "id") if found else ""


def forget_contact(http: Http, remote: str) -> None:
    """Our entries, then the partner. One that bookings or a user hang on cannot go: it is emptied and archived."""
    _forget_messages(http, remote)
    if not _searched(http, PARTNER, [["id", "=", _number(remote)], ALSO_ARCHIVED], ["id"]):
        return
    _, wrong = _answered(http, PARTNER, "unlink", {}, [_number(remote)])
    if wrong and not isinstance(_failure(http, wrong), Rejected):
        raise _failure(http, wrong)
    if wrong:
        emptied = dict.fromkeys(("email", "phone", _field(http), *profile_names(http.settings)), False)
        emptied = blanked(emptied, http.mapped.get("contact", ()), False) | {"name": ERASED, "active": False}
        _called(http, PARTNER, "write", {"vals": emptied}, [_number(remote)])


def _forget_messages(http: Http, remote: str) -> None:
    ours = [*_of(remote), ["message_id", "=like", _mark("%")]]
    for _ in range(MAX_PAGES):
        found = _searched(http, MESSAGE, ours, ["id"], MANY)
        if not found:
            return
        _called(http, MESSAGE, "unlink", {}, [each["id"] for each in found])
    raise Delayed("more entries than one erasure takes: the rest goes with the next attempt")


def move_activity(http: Http, activity: str, old: str, new: str, entry: Entry) -> str:
    """Wherever it lies: whoever merges partners by hand takes their entries along."""
    if not _searched(http, PARTNER, [["id", "=", _number(new)], ALSO_ARCHIVED], ["id"]):
        raise Rejected("this partner was deleted there: redrive once the customer has a new one")
    ours = [["model", "=", PARTNER], ["message_id", "=", _mark(entry.event.id)]]
    found = _searched(http, MESSAGE, ours, ["id", "res_id"])
    if not found:
        raise Rejected("this entry was deleted there")
    elsewhere = [each["id"] for each in found if each.get("res_id") != _number(new)]
    there = next((text(each, "id") for each in found if each["id"] not in elsewhere), "")
    there = there or _taken_along(http, elsewhere[0], new, entry)
    if spare := [each for each in elsewhere if str(each) != there]:
        _called(http, MESSAGE, "unlink", {}, spare)
    return there


def _taken_along(http: Http, message: int, new: str, entry: Entry) -> str:
    """The entry that is on the new one: itself, or another of it where it may not go."""
    _, wrong = _answered(http, MESSAGE, "write", {"vals": {"res_id": _number(new)}}, [message])
    if not wrong:
        return str(message)
    if _kind(wrong) != NO_RIGHT:
        raise _failure(http, wrong)
    return append_activity(http, new, entry)


def merge_contacts(http: Http, kept: str, other: str) -> str:
    """One that people archived is not what is left, where the other is in use."""
    both = [["id", "in", [_number(kept), _number(other)]], ALSO_ARCHIVED]
    rows = _searched(http, PARTNER, both, ["id", "active"])
    ranked = sorted(rows, key=lambda each: (not each.get("active"), text(each, "id") != kept))
    left = text(ranked[0], "id") if ranked else kept
    if len(ranked) == 2:
        chosen = {"partner_ids": [[6, 0, [each["id"] for each in ranked]]], "dst_partner_id": _number(left)}
        _called(http, MERGING, "action_merge", {}, [int(_created(http, MERGING, chosen))])
    return left


def shows_contact(http: Http, customer: Customer, remote: str) -> bool:
    """One that was archived is not found by a push either."""
    wanted = partner_fields(http, customer)
    found = _searched(http, PARTNER, [["id", "=", _number(remote)]], list(dict.fromkeys(("id", *wanted))))
    return any(alike({name: _plain(value) for name, value in each.items()}, wanted) for each in found)


def partner_fields(http: Http, customer: Customer) -> Row:
    """Only what is known: an empty text would clear what an agent filled in."""
    known = {name: found.value for name, found in customer.fields.items()}
    told = kept(
        name=known.get("name") or f"{known.get('first_name', '')} {known.get('last_name', '')}".strip(),
        email=_address(customer, known.get("email", "")),
        phone=known.get("phone") or customer.first("phone"),
        **profile(customer, http.settings),
        **{_field(http): customer.id},
    )
    return merged(told, customer.mapped)


def _address(customer: Customer, newest: str) -> str:
    """The newest address, if it is one that identifies this customer: a typed one proves nothing."""
    owned = {each.value for each in customer.identities if each.kind == "email"}
    return newest if newest in owned else customer.first("email")


def message(http: Http, remote: str, entry: Entry) -> Row:
    event = entry.event
    is_mail = event.type == "email" and event.direction == "in"
    told = kept(
        model=PARTNER,
        res_id=_number(remote),
        message_id=_mark(event.id),
        message_type="email" if is_mail else "comment",
        subtype_id=count(http.settings, "subtype_id"),
        mail_activity_type_id=count(http.settings, "call_type_id") if event.type == "call" else None,
        is_internal=True,
        date=event.occurred_at[:19].replace("T", " "),
        subject=(event.summary if event.type == "email" else "") or _title(event),
        body=_body(entry),
    )
    return merged(told, entry.mapped)


def _known(http: Http, customer: Customer, remote: str, mail: str) -> Row | None:
    """His partner, best first: the one that we know, by his id, by a former one, then the oldest free one."""
    field, ids = _field(http), [customer.id, *customer.former]
    legs: list[list[Any]] = [[[field, "in", ids]]]
    legs += [[["id", "=", _number(remote)]]] if remote else []
    legs += [["&", ["partner_share", "=", True], ["email_normalized", "=", mail.lower()]]] if mail else []
    domain = ["|"] * (len(legs) - 1) + [part for leg in legs for part in leg]
    worked_out = profile_names(http.settings)
    wanted = list(dict.fromkeys(("id", "name", "email", "phone", field, *worked_out, *tops(customer.mapped))))
    ranked = [
        (rank, each) for each in _searched(http, PARTNER, domain, wanted) if (rank := _rank(each, field, ids, remote))
    ]
    return min(ranked, key=lambda one: (one[0], one[1]["id"]))[1] if ranked else None


def _rank(partner: Row, field: str, ids: list[str], remote: str) -> int:
    """0: another customer's, or a reference that somebody typed."""
    owner = text(partner, field)
    if owner and owner not in ids:
        return 0
    if text(partner, "id") == remote:
        return 1
    return 2 + (ids.index(owner) if owner else len(ids))


def _searched(http: Http, model: str, domain: list[Any], fields: list[str], limit: int = FEW) -> list[Row]:
    told = {"domain": domain, "fields": fields, "limit": limit, "order": "id"}
    found = _called(http, model, "search_read", told)
    if not isinstance(found, list) or not all(text(each, "id") for each in found):
        raise Unknown("a search was answered with something else")
    return found


def _created(http: Http, model: str, values: Row) -> str:
    """The id: alone, or in a list, as versions differ."""
    found = _called(http, model, "create", {"vals_list": [values]})
    made = text({"id": found[0] if isinstance(found, list) and found else found}, "id")
    if not made.isdigit():
        raise Unknown("a record was answered without its id")
    return made


def _called(http: Http, model: str, method: str, told: Row, ids: list[int] | None = None) -> Any:
    found, wrong = _answered(http, model, method, told, ids)
    if wrong:
        raise _failure(http, wrong)
    return found


def _answered(http: Http, model: str, method: str, told: Row, ids: list[int] | None = None) -> tuple[Any, Row]:
    """(result, what went wrong): one of them is filled."""
    if not _is_older(http.settings):
        body = ({"ids": ids} if ids else {}) | told
        answer = http.request("POST", f"json/2/{model}/{method}", json=body, allow=REFUSALS)
        if answer.status not in REFUSALS:
            return answer.json(), {}
        return None, _wrong(answer.told() if answer.status == 403 else answer.json(), answer.status)
    places = POSITIONAL.get(method, ())
    placed = [*([ids] if ids else []), *(told[name] for name in places)]
    named = {name: value for name, value in told.items() if name not in places}
    whole = [text(http.settings, "database"), _user(http), _key(http), model, method, placed, named]
    return _told(http, "object", "execute_kw", whole)


def _told(http: Http, service: str, method: str, arguments: list[Any]) -> tuple[Any, Row]:
    params = {"service": service, "method": method, "args": arguments}
    told = http.request("POST", "jsonrpc", json={"jsonrpc": "2.0", "method": "call", "params": params, "id": 1}).json()
    if isinstance(told, dict) and isinstance(told.get("error"), dict):
        return None, _wrong(told["error"].get("data"), 200)
    if not isinstance(told, dict) or "result" not in told:
        raise Unknown("a call was answered without its result")
    return told["result"], {}


def _wrong(told: Any, status: int) -> Row:
    """`name`: the class of the mistake; empty where it is not told."""
    return {"status": status, "name": text(told, "name"), "message": text(told, "message")}


def _kind(wrong: Row) -> str:
    return str(wrong["name"]).rpartition(".")[2]


def _failure(http: Http, wrong: Row) -> DeliveryFailed:
    """By its name, if it has one: nothing was kept. A field that does not exist is a 500 there."""
    from chalicelib.kit.http import redacted

    name, secrets = _kind(wrong), {each for values in http.secrets.values() for each in values}
    is_passing = name in PASSING or wrong["name"].startswith("psycopg2") or (not name and wrong["status"] >= 500)
    is_closed = name in REFUSED or wrong["status"] == 403
    kind = Unauthorized if is_closed else Delayed if is_passing else Rejected
    return kind(f"HTTP {wrong['status']}: {name or 'refused'}", redacted(wrong["message"].encode(), secrets))


def _plain(value: Any) -> Any:
    """A record that a field names is shown as its number and name, and written as its number."""
    return value[0] if isinstance(value, list) and len(value) == 2 and isinstance(value[1], str) else value


def _of(remote: str) -> list[list[Any]]:
    return [["model", "=", PARTNER], ["res_id", "=", _number(remote)]]


def _mark(event: str) -> str:
    return f"<draad.{event}@draad.invalid>"


def _number(remote: str) -> int:
    if not remote.isdigit():
        raise Rejected("the id of a partner is a whole number")
    return int(remote)


def _title(event: Event) -> str:
    words = [event.type, text(event.details, "number"), text(event.details, "status")]
    return f"{' '.join(word for word in words if word)} ({event.channel})".replace("_", " ")


def _body(entry: Entry) -> str:
    event = entry.event
    seconds = count(event.details, "duration") if event.type == "call" else None
    length = f", {seconds // 60}:{seconds % 60:02d} min" if seconds else ""
    lines = [f"<b>{html.escape(_title(event))}</b>, {SIDES.get(event.direction, 'internal')}{length}"]
    lines += [html.escape(part[:MAX_TEXT]).replace("\n", "<br>") for part in (event.summary, event.text) if part]
    links = [(entry.url, "timeline"), (event.link, "source")]
    lines += [f'<a href="{html.escape(url)}">{word}</a>' for url, word in links if url]
    return f"<p>{'<br>'.join(lines)}</p>"


def _field(http: Http) -> str:
    name = text(http.settings, "customer_field") or "ref"
    if not FIELD_NAME.match(name):
        raise Rejected("settings.customer_field: the technical name of the partner field for our customer id")
    return name


def _is_older(settings: Mapping[str, Any]) -> bool:
    return text(settings, "api") == "jsonrpc"


def _user(http: Http) -> int:
    known = next(iter(keys_of(http.secrets, "access_token")), "").removeprefix(USER)
    if not known.isdigit():
        raise Unauthorized("the user's number is not known")
    return int(known)


def _key(http: Http) -> str:
    return next(iter(keys_of(http.secrets, "api_key")), "")


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    keys = keys_of(secrets, "api_key")
    if _is_older(settings) or not keys:
        return {}
    return {"Authorization": f"Bearer {keys[0]}", **kept(**{"X-Odoo-Database": text(settings, "database")})}


DESTINATION = Destination(
    name="Odoo",
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
    keyed=False,
    limit=Limit(60, 60.0),
    outcomes={403: Unauthorized, 409: Delayed},
    contact_fields=("name", "first_name", "last_name", "email", "phone"),
    mapped={
        "contact": ("{customer_field}", "id", "email", "active"),
        "activity": ("model", "res_id", "message_id", "message_type", "is_internal"),
    },
    settings={
        "base_url": Setting("Address", required=True, help="https://company.odoo.com"),
        "database": Setting(
            "Database", required=True, help="Its name; at the vendor's hosting the first part of the address"
        ),
        "api": Setting(
            "API",
            default="json2",
            choices=("json2", "jsonrpc"),
            help="json2: from version 19. jsonrpc: before, and there with a login; it goes in version 22",
        ),
        "login": Setting("Login", help="Of the user whose API key this is; for jsonrpc only"),
        "customer_field": Setting(
            "Partner field for our customer id",
            default="ref",
            help="Technical name. Where people use ref themselves, one of its own, such as x_draad_id",
        ),
        "channel_field": Setting("Partner field for the preferred channel", help="Technical name; empty: not sent"),
        **profile_settings("Partner field", help="Technical name"),
        "subtype_id": Setting("Subtype of entries", type="integer", least=1, help="The number of the subtype Note"),
        "call_type_id": Setting(
            "Activity type of calls", type="integer", least=1, help="The number of the type Call: shown with its icon"
        ),
    },
    secrets={"api_key": Setting("API key", required=True, help="Of a user for the hub; it ends on the day chosen")},
    unverified=(
        "that an entry without a subtype is shown in the history of every version",
        "the names of mistakes that pass by themselves: those of the database are taken for it",
        "limits: none are published; one a second is taken",
        "that deleting what bookings hang on is refused with a 422, or by the name of the mistake",
        "the wizard that merges: its source and programs of others call it so, the documentation does not name it",
        "since which version only administrators may move an entry: where it is refused, it is made anew",
    ),
    setup=(
        "The external API needs a plan that has it; a server of one's own always does.",
        "Add a user for the hub with the right to create contacts, and make an API key in his preferences.",
        "Enter the address, the database and the key; for jsonrpc his login too.",
        "To merge partners (merge_policy hard) he must have Administration: Access Rights, because Odoo lets nobody else "
        "merge those with different mail addresses. What is refused waits, and the partners stay two.",
        "Where people fill in the reference of contacts, add a text field to Contact and enter it as customer_field.",
        "Keys end, after three months at most for most users: put the day in somebody's calendar.",
    ),
    docs="https://www.odoo.com/documentation/19.0/developer/reference/external_api.html",
)
