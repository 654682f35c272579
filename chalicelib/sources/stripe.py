"""Stripe events: payments, refunds, disputes, checkout sessions, customers. https://docs.stripe.com/webhooks

An event's own id is its version. What only changed in a way that nobody reads yields nothing: an
update counts where `previous_attributes` names the status, or something of the customer. Refunds and
disputes name their payment but not its order or customer: `fetch` asks the payment where a key is
configured; without one its id, a receipt of ours, brings them to the payment's timeline. Where
`ref_scopes` names the shop, its order alone says whose a payment is. What was missed is listed as the very
events that webhooks carry, for thirty days. Thin events (`v2.core.event`) are
of another form and yield nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import shops
from chalicelib.kit.fields import email_identity, instant, money, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import REGION, Fetch, Listed, Listing, Missed, Page, Secrets, Setting, Source, Told, Window
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "payment_intent.succeeded": "payment",
    "payment_intent.payment_failed": "payment",
    "payment_intent.canceled": "payment",
    "checkout.session.completed": "payment",
    "checkout.session.async_payment_succeeded": "payment",
    "checkout.session.async_payment_failed": "payment",
    "checkout.session.expired": "payment",
    "refund.created": "payment",
    "refund.updated": "payment",
    "refund.failed": "payment",
    "charge.dispute.created": "payment",
    "charge.dispute.updated": "payment",
    "charge.dispute.closed": "payment",
    "customer.created": "identify",
    "customer.updated": "identify",
    "customer.deleted": "system",
}
STATUS = {
    "payment_intent.succeeded": "paid",
    "payment_intent.payment_failed": "failed",
    "payment_intent.canceled": "cancelled",
    "checkout.session.async_payment_succeeded": "paid",
    "checkout.session.async_payment_failed": "failed",
    "checkout.session.expired": "expired",
    "charge.dispute.created": "disputed",
}
REFUND_STATUS = {"succeeded": "refunded", "canceled": "refund_cancelled"}
ENDED = frozenset({"failed", "won", "lost", "warning_closed"})
READ_OF_CUSTOMER = frozenset({"email", "name", "phone", "preferred_locales", "address", "shipping"})
TITLES = {"payment_intent": "Payment", "checkout": "Checkout", "refund": "Refund", "charge": "Dispute"}
SUMMARY = {"refunded": "Refunded", "disputed": "Dispute opened"}
WITH_TWO_PLACES, WITHOUT_PLACES = frozenset({"ISK", "UGX"}), frozenset({"MGA"})
"""Currencies that Stripe counts in another way than everybody else."""
EVENT_ID = pattern(rb'"id"\s*:\s*"(evt_[A-Za-z0-9_]{1,64})"')
PAYMENT_ID = pattern(r"pi_[A-Za-z0-9_]{1,64}\Z")
API = "https://api.stripe.com"
PAGE = "50"


def normalize(request: Request) -> Iterator[Event]:
    kind = kind_of(request)
    if kind not in TYPES or not counts(request, kind):
        return
    yield customer(request, kind) if kind.startswith("customer.") else payment(request, kind)


def kind_of(request: Request) -> str:
    return text(request.object, "type") if text(request.object, "object") == "event" else ""


def counts(request: Request, kind: str) -> bool:
    """Whether anything happened that somebody reads. How a refund or a dispute ended has an event of its own."""
    if not kind.endswith(".updated"):
        return True
    if text(subject(request), "status") in ENDED:
        return False
    changed = pick(request.object, "data", "previous_attributes")
    wanted = READ_OF_CUSTOMER if kind.startswith("customer.") else {"status"}
    return isinstance(changed, dict) and bool(wanted & changed.keys())


def payment(request: Request, kind: str) -> Event:
    thing, about = subject(request), paid_for(request)
    status, refund = status_of(kind, thing), kind.startswith("refund.")
    order = order_of(request)
    return Event(
        type="payment",
        channel="web",
        direction="out" if refund else "in",
        actor="customer" if kind == "checkout.session.completed" else "system",
        object=required(thing, "id"),
        version=required(request.object, "id"),
        occurred_at=instant(request.object.get("created"), "created"),
        identities=() if shops.placed(request.settings, order) else people(request, about),
        refs=refs_of(request, thing, order),
        summary=summary_of(kind, status, order),
        details={"status": status} | details(kind, thing, order),
        fields={} if shops.placed(request.settings, order) else names(request, thing),
        link=link_of(request, f"payments/{payment_id(thing)}") if payment_id(thing) else "",
        provider_type=kind,
    )


def status_of(kind: str, thing: Mapping[str, Any]) -> str:
    own = text(thing, "status")
    if kind.startswith("refund."):
        return REFUND_STATUS.get(own, f"refund_{own}")
    if kind in ("charge.dispute.updated", "charge.dispute.closed"):
        return f"dispute_{own}"
    if kind == "checkout.session.completed":
        return "awaiting_payment" if text(thing, "payment_status") == "unpaid" else "completed"
    return STATUS[kind]


def summary_of(kind: str, status: str, order: str) -> str:
    title, state = TITLES[kind.partition(".")[0]], status.removeprefix("dispute_").removeprefix("refund_")
    told = SUMMARY.get(status) or f"{title} {state.replace('_', ' ')}"
    return f"{told}, order {order}" if order else told


def details(kind: str, thing: Mapping[str, Any], order: str) -> dict[str, Any]:
    value = next((thing[name] for name in ("amount_received", "amount_total", "amount") if thing.get(name)), None)
    failure = pick(thing, "last_payment_error", "message") if kind == "payment_intent.payment_failed" else None
    return kept(
        number=order,
        **amount_of(value, text(thing, "currency")),
        reason=text(thing, "reason") or text(thing, "cancellation_reason") or text(thing, "failure_reason"),
        failure=failure if isinstance(failure, str) else None,
        payment=payment_id(thing),
        evidence_due=due(pick(thing, "evidence_details", "due_by")),
    )


def amount_of(value: Any, currency: str) -> dict[str, str]:
    code = currency.upper()
    if not isinstance(value, int) or code not in WITH_TWO_PLACES | WITHOUT_PLACES:
        return money(value, code, minor=True)
    return money(value // 100 if code in WITH_TWO_PLACES else value, code)


def due(value: Any) -> str:
    return instant(value, "evidence_details.due_by") if value else ""


def refs_of(request: Request, thing: Mapping[str, Any], order: str) -> tuple[Ref, ...]:
    """The order, and the payment that a refund, a dispute or a session belongs to."""
    where, paid = account(request), payment_id(thing)
    found = (Ref("order", order, where), Ref("receipt", paid, where))
    return tuple(ref for ref in found if ref.value)


def payment_id(thing: Mapping[str, Any]) -> str:
    """Of the payment intent, or of the charge where there is none."""
    own = text(thing, "id") if text(thing, "object") == "payment_intent" else ""
    return own or id_of(thing.get("payment_intent")) or id_of(thing.get("charge"))


def id_of(value: Any) -> str:
    """Of an object, which may have been expanded."""
    return text({"id": value}, "id") or text(value, "id")


def order_of(request: Request) -> str:
    """From metadata, which only the shop's own backend writes; a refund's payment may have it."""
    key = text(request.settings, "order_metadata") or "order_id"
    found = [text(each, "metadata", key) for each in (subject(request), paid_for(request))]
    if request.settings.get("client_reference") == "order":
        found.append(text(subject(request), "client_reference_id"))
    return next((bare for each in found if (bare := each.strip().lstrip("#"))), "")


def subject(request: Request) -> dict[str, Any]:
    found = pick(request.object, "data", "object")
    return dict(found) if isinstance(found, dict) else {}


def paid_for(request: Request) -> dict[str, Any]:
    """The payment that `fetch` found for a refund or a dispute; else the thing itself."""
    found = request.found("payment")
    return found if found and text(found, "id") == payment_id(subject(request)) else subject(request)


def customer(request: Request, kind: str) -> Event:
    person, number = subject(request), required(subject(request), "id")
    deleted = kind == "customer.deleted"
    return Event(
        type=TYPES[kind],
        channel="web",
        actor="system" if deleted else "customer",
        object=number,
        version=required(request.object, "id"),
        occurred_at=instant(request.object.get("created"), "created"),
        identities=people(request, person),
        summary="Customer deleted" if deleted else "",
        details={"status": "deleted"} if deleted else {},
        fields={} if deleted else names(request, person),
        link="" if deleted else link_of(request, f"customers/{number}"),
        provider_type=kind,
    )


def people(request: Request, about: Mapping[str, Any]) -> tuple[Identity, ...]:
    """The customer's record, of which one person may have several, and what was filled in at the checkout."""
    own = text(about, "object") == "customer"
    record = text(about, "id") if own else id_of(about.get("customer"))
    assurance, given = shops.assurance(request.settings, bool(record)), given_by(about)
    return present(
        scoped("crm", account(request), record, A2_ATTESTED),
        email_identity(given["email"], assurance),
        phone_identity(given["phone"], region_of(request, about), assurance),
        phone_identity(pick(about, "shipping", "phone"), region_of(request, about), A1_ASSERTED),
    )


def given_by(about: Mapping[str, Any]) -> dict[str, str]:
    """Name, address and number, of whichever object this is."""
    own = about if text(about, "object") == "customer" else {}
    places = (own, about.get("customer_details"), about.get("billing_details"))
    found = {name: next(filter(None, (text(each, name) for each in places)), "") for name in ("name", "email", "phone")}
    return found | {"email": found["email"] or text(about, "receipt_email")}


def names(request: Request, about: Mapping[str, Any]) -> dict[str, str]:
    given, spoken = given_by(about), about.get("preferred_locales")
    language = text({"first": spoken[0]}, "first") if isinstance(spoken, list) and spoken else text(about, "locale")
    return kept(
        name=given["name"],
        email=given["email"],
        phone=phone(given["phone"], region_of(request, about)),
        language="" if language == "auto" else language,
    )


def region_of(request: Request, about: Mapping[str, Any]) -> str:
    places = (about, about.get("customer_details"), about.get("billing_details"), about.get("shipping"))
    found = next((text(each, "address", "country") for each in places if text(each, "address", "country")), "")
    return found or request.region


def account(request: Request) -> str:
    """A platform gets the events of the accounts that are connected to it, each with its own customers."""
    return text(request.object, "account") or text(request.settings, "account") or request.connection


def link_of(request: Request, page: str) -> str:
    mode = "test/" if request.object.get("livemode") is False else ""
    return f"https://dashboard.stripe.com/{mode}{page}"


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """The payment of a refund or of a dispute."""
    keys = keys_of(secrets, "api_key")
    if not keys or not request.body or not kind_of(request).startswith(("refund.", "charge.dispute.")):
        return
    number, connected = payment_id(subject(request)), text(request.object, "account")
    if PAYMENT_ID.match(number) and counts(request, kind_of(request)) and connected.isascii():
        headers = {"Authorization": f"Bearer {keys[0]}"} | kept(**{"Stripe-Account": connected})
        yield Fetch("payment", f"/v1/payment_intents/{number}", API, headers)


def ask_missed(window: Window, cursor: str, settings: Mapping[str, Any], secrets: Secrets) -> Listing | None:
    """Newest first; those that were delivered too, because an endpoint that is not there fails nowhere."""
    keys = keys_of(secrets, "api_key")
    if not keys:
        return None
    wanted = [("limit", PAGE), ("created[gte]", seconds(window.since)), ("created[lte]", seconds(window.until))]
    wanted += [("types[]", kind) for kind in TYPES] + ([("starting_after", cursor)] if cursor else [])
    return Listing(f"/v1/events?{urlencode(wanted)}", API, {"Authorization": f"Bearer {keys[0]}"})


def seconds(moment: str) -> str:
    return str(instants.to_ms(moment) // 1000)


def read_missed(told: Told) -> Page:
    found, more = objects(told.document, "data"), pick(told.document, "has_more")
    if text(told.document, "object") != "list" or not isinstance(more, bool):
        raise PayloadMalformed("not a list of events")
    last = required(found[-1], "id") if more and found else ""
    return Page(tuple(Listed(msgspec.json.encode(each)) for each in found), last)


def delivery_key(request: Request) -> str | None:
    """The event's id, read off the bytes: this never raises."""
    found = EVENT_ID.search(request.body)
    return found[1].decode() if found else None


SIGNATURE = hmac_signature(
    header="Stripe-Signature",
    prefix="v1=",
    over="{ts}.{body}",
    separator=",",
    timestamp_header="Stripe-Signature",
    timestamp_prefix="t=",
)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"id":"evt_sample","object":"event","created":1767265200,"livemode":false,"type":"payment_intent.succeeded",'
        b'"data":{"object":{"id":"pi_sample","object":"payment_intent","amount":100,"currency":"eur","metadata":{}}}}'
    )
    return SIGNATURE.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Stripe",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    dedupe=delivery_key,
    fetch=fetch,
    missed=Missed(
        ask=ask_missed,
        read=read_missed,
        needs="a restricted key that may read events: api_key",
        requests=10,
        seconds=1,
        reach=30,
    ),
    own_system=True,
    settings={
        "account": Setting("Account", help="Scope of customer ids, such as acct_…; default: the connection"),
        "accounts": shops.RECORDS,
        "order_metadata": Setting("Metadata with the order number", default="order_id", help="Its key, as written"),
        "client_reference": Setting(
            "Client reference of a checkout session",
            default="ignored",
            choices=("ignored", "order"),
            help="order: it is the order number",
        ),
        "base_url": Setting("API address", help="Default: Stripe's own; where payments are looked up"),
        "region": REGION,
    },
    secrets={
        "signing_secret": Setting(
            "Signing secret", required=True, help="Of the endpoint, whsec_…; both while it is rolled"
        ),
        "api_key": Setting(
            "Restricted key",
            help="May read payment intents, for the orders of refunds and disputes, and events, for those that never came",
        ),
    },
    unverified=(
        "whether a failed refund and a closed dispute come as an update too: such updates are left out",
        "an endpoint may have an API version of its own, the list has the account's: the same ids, perhaps other fields",
        "which permission lets a restricted key list events",
        "events of connected accounts are not asked for: only webhooks bring them",
    ),
    setup=(
        "Workbench, Webhooks: add an endpoint with {hook_url} and snapshot payloads for payment_intent.succeeded, "
        ".payment_failed and .canceled, checkout.session.*, refund.*, charge.dispute.created, .updated and .closed, "
        "customer.created, .updated and .deleted",
        "Copy its signing secret and enter it here; when you roll it, add the new one beside the old",
        "For refunds and disputes make a restricted key that may read payment intents; let it read events too, and "
        "what never arrived is asked for",
        "Order numbers are a shop's: name its connection in ref_scopes.order",
    ),
    docs="https://docs.stripe.com/webhooks",
    sample=sample,
)
