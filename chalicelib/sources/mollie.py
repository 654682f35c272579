"""Mollie payments, refunds, chargebacks and orders, by both kinds of its webhooks.

https://docs.mollie.com/reference/webhooks names an id only, unsigned: whoever knows the path's secret
may make us look up that payment or order. https://docs.mollie.com/reference/webhooks-new sends events,
signed, with the entity in them or with its id.

A webhook that names an id says nothing of why, and comes again for every change. So each of the moments
of what was looked up is a fact with an identity of its own: whatever was missed in between is found,
and what was told before is the same event. The two kinds make the same events of a payment. A refund
has no moment but that of its making; an event's own moment is better, where there is one. Where
`ref_scopes` names the shop, its order alone says whose a payment is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.kit import shops
from chalicelib.kit.fields import email_identity, instant, money, phone, phone_identity, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import joined, kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of, path_secret
from chalicelib.kit.source import REGION, Fetch, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "payment.authorized": "payment",
    "payment.paid": "payment",
    "payment.canceled": "payment",
    "payment.expired": "payment",
    "payment.failed": "payment",
    "order.authorized": "payment",
    "order.paid": "payment",
    "order.canceled": "payment",
    "order.expired": "payment",
    "refund.pending": "payment",
    "refund.refunded": "payment",
    "refund.failed": "payment",
    "refund.canceled": "payment",
    "chargeback.received": "payment",
    "chargeback.reversed": "payment",
}
STATUS = {
    "canceled": "cancelled",
    "refund.pending": "refund_pending",
    "refund.failed": "refund_failed",
    "refund.canceled": "refund_cancelled",
    "chargeback.received": "charged_back",
    "chargeback.reversed": "chargeback_reversed",
}
MOMENTS = ("authorizedAt", "paidAt", "canceledAt", "expiredAt", "failedAt")
UNDER_WAY = frozenset({"queued", "pending", "processing"})
LOOKED_UP = pattern(r"(tr|ord)_[A-Za-z0-9.]{1,64}\Z")
PAYMENT_ID = pattern(r"tr_[A-Za-z0-9]{1,64}\Z")
EVENT_ID = pattern(r"event_[A-Za-z0-9]{1,64}\Z")
DELIVERY_KEY = pattern(rb'"id"\s*:\s*"(event_[A-Za-z0-9]{1,64})"')
API = "https://api.mollie.com"
NO_KEY = "is the API key set?"
EMBED = "?embed=refunds,chargebacks"


class Fact(msgspec.Struct, frozen=True):
    """One thing that happened. `kind`: as the provider's events call it."""

    kind: str
    moment: str
    thing: Mapping[str, Any]

    @property
    def status(self) -> str:
        own = self.kind.partition(".")[2]
        return STATUS.get(self.kind) or STATUS.get(own, own)


def normalize(request: Request) -> Iterator[Event]:
    if classic(request.settings):
        found = request.looked_up("thing", NO_KEY) if LOOKED_UP.match(named(request)) else {}
        yield from (payment(request, fact) for fact in facts(found, ""))
    elif text(request.object, "resource") != "event" or text(request.object, "type") in TYPES:
        happened = text(request.object, "createdAt") if text(request.object, "resource") == "event" else ""
        yield from (payment(request, fact) for fact in facts(entity(request), happened))


def classic(settings: Mapping[str, Any]) -> bool:
    return text(settings, "webhooks") == "classic"


def named(request: Request) -> str:
    return request.params.get("id", "") if request.body else ""


def entity(request: Request) -> Mapping[str, Any]:
    """What an event is about: in it, in what was looked up, or the whole body, as one page has it."""
    body = request.object
    if text(body, "resource") != "event":
        return body
    found = pick(body, "_embedded", "entity")
    return found if isinstance(found, dict) else pick(request.looked_up("event", NO_KEY), "_embedded", "entity") or {}


def facts(thing: Mapping[str, Any], happened: str) -> Iterator[Fact]:
    resource = text(thing, "resource")
    if resource in ("payment", "order"):
        for field in MOMENTS:
            kind = f"{resource}.{field.removesuffix('At')}"
            if thing.get(field) and kind in TYPES:
                yield Fact(kind, instant(thing[field], field), thing)
        for refund in objects(thing, "_embedded", "refunds"):
            yield from refunded(refund, "")
        for each in objects(thing, "_embedded", "chargebacks"):
            yield from charged_back(each)
    elif resource == "refund":
        yield from refunded(thing, happened)


def refunded(refund: Mapping[str, Any], happened: str) -> Iterator[Fact]:
    state = text(refund, "status")
    kind = f"refund.{'pending' if state in UNDER_WAY else state}"
    if kind in TYPES:
        yield Fact(kind, instant(happened or refund.get("createdAt"), "createdAt"), refund)


def charged_back(chargeback: Mapping[str, Any]) -> Iterator[Fact]:
    yield Fact("chargeback.received", instant(chargeback.get("createdAt"), "createdAt"), chargeback)
    if chargeback.get("reversedAt"):
        yield Fact("chargeback.reversed", instant(chargeback["reversedAt"], "reversedAt"), chargeback)


def payment(request: Request, fact: Fact) -> Event:
    about, own = whole(request, fact.thing), fact.kind.startswith(("payment.", "order."))
    order = order_of(request, fact.thing) or order_of(request, about)
    refund = fact.kind.startswith("refund.")
    return Event(
        type="payment",
        channel="web",
        direction="out" if refund else "in",
        actor="system",
        object=required(fact.thing, "id"),
        version=fact.status,
        occurred_at=fact.moment,
        identities=() if shops.placed(request.settings, order) else people(request, about),
        refs=refs_of(request, fact.thing, order),
        summary=summary_of(fact, order),
        details={"status": fact.status} | details(fact, order),
        fields=names(request, about) if own and not shops.placed(request.settings, order) else {},
        link=dashboard(about),
        provider_type=fact.kind,
    )


def details(fact: Fact, order: str) -> dict[str, Any]:
    """What of the thing never changes: its status and sums are of the moment that it was looked up."""
    thing = fact.thing
    return kept(
        number=order,
        **money(pick(thing, "amount", "value"), pick(thing, "amount", "currency")),
        method=text(thing, "method"),
        description=text(thing, "description")[:255],
        reason=text(thing, "reason", "description"),
        failure=text(thing, "details", "failureReason") if fact.kind == "payment.failed" else "",
        payment=payment_id(thing),
    )


def summary_of(fact: Fact, order: str) -> str:
    titles = {"refund": "Refund", "chargeback": "Chargeback", "order": "Payment"}
    said = fact.kind.partition(".")[2].replace("canceled", "cancelled")
    told = "Refunded" if said == "refunded" else f"{titles.get(fact.kind.partition('.')[0], 'Payment')} {said}"
    return f"{told}, order {order}" if order else told


def whole(request: Request, thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payment or order that a refund or a chargeback belongs to; else the thing itself."""
    if text(thing, "resource") in ("payment", "order"):
        return thing
    around = request.found("thing" if classic(request.settings) else "payment")
    same = text(around, "id") in (text(thing, "paymentId"), text(thing, "orderId"))
    return around if same and text(around, "id") else thing


def order_of(request: Request, thing: Mapping[str, Any]) -> str:
    """From metadata, which only the shop's own backend writes: an object, or the text of one."""
    if text(thing, "resource") == "order":
        return text(thing, "orderNumber").strip().lstrip("#")
    key, told = text(request.settings, "order_metadata") or "order_id", thing.get("metadata")
    if isinstance(told, str):
        found = re.search(rf'"{re.escape(key)}"\s*:\s*"?([^"{{}}\[\],]{{1,100}})', told[:1024])
        told = {key: found[1]} if found else {}
    return text(told, key).strip().lstrip("#")


def refs_of(request: Request, thing: Mapping[str, Any], order: str) -> tuple[Ref, ...]:
    found = (Ref("order", order, account(request)), Ref("receipt", payment_id(thing), account(request)))
    return tuple(ref for ref in found if ref.value)


def payment_id(thing: Mapping[str, Any]) -> str:
    """What a payment's refunds and chargebacks have in common with it."""
    own = text(thing, "id") if text(thing, "resource") in ("payment", "order") else ""
    return own or text(thing, "paymentId") or text(thing, "orderId")


def people(request: Request, about: Mapping[str, Any]) -> tuple[Identity, ...]:
    """The customer's record, of which one person may have several, and what was filled in at the checkout."""
    record, region = text(about, "customerId"), region_of(request, about)
    assurance = shops.assurance(request.settings, bool(record))
    billing, shipping = about.get("billingAddress"), about.get("shippingAddress")
    return present(
        scoped("crm", account(request), record, A2_ATTESTED),
        email_identity(pick(billing, "email"), assurance),
        phone_identity(pick(billing, "phone"), region, assurance),
        phone_identity(pick(shipping, "phone"), region, A1_ASSERTED),
    )


def names(request: Request, about: Mapping[str, Any]) -> dict[str, str]:
    billing = about.get("billingAddress")
    return kept(
        name=joined(billing, "givenName", "familyName"),
        email=text(billing, "email"),
        phone=phone(pick(billing, "phone"), region_of(request, about)),
        language=text(about, "locale"),
    )


def region_of(request: Request, about: Mapping[str, Any]) -> str:
    found = text(about, "billingAddress", "country") or text(about, "shippingAddress", "country")
    return found or request.region


def account(request: Request) -> str:
    return text(request.settings, "account") or request.connection


def dashboard(about: Mapping[str, Any]) -> str:
    found = text(about, "_links", "dashboard", "href")
    return found if found.startswith(("https://my.mollie.com/", "https://www.mollie.com/")) else ""


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """A payment or order, always anew; an event that came without its entity; the payment of a refund."""
    keys = keys_of(secrets, "api_key")
    headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    if not headers or not request.body:
        return
    if classic(request.settings):
        number = named(request)
        if LOOKED_UP.match(number):
            where = f"orders/{number}?embed=refunds" if number.startswith("ord_") else f"payments/{number}{EMBED}"
            yield Fetch("thing", f"/v2/{where}", API, headers, fresh=True)
    elif text(request.object, "type") in TYPES or text(request.object, "resource") == "refund":
        yield from about_event(request, headers)


def about_event(request: Request, headers: Mapping[str, str]) -> Iterator[Fetch]:
    body, told = request.object, pick(request.object, "_embedded", "entity")
    number = text(body, "id")
    if text(body, "resource") == "event" and not isinstance(told, dict) and EVENT_ID.match(number):
        yield Fetch("event", f"/v2/events/{number}", API, headers)
    paid = text(told if isinstance(told, dict) else body, "paymentId")
    if PAYMENT_ID.match(paid):
        yield Fetch("payment", f"/v2/payments/{paid}", API, headers)


def delivery_key(request: Request) -> str | None:
    """An event's id, read off the bytes: this never raises. The other kind repeats an id for every change."""
    found = None if classic(request.settings) else DELIVERY_KEY.search(request.body)
    return found[1].decode() if found else None


VERIFY = one_of(
    "webhooks",
    next_gen=hmac_signature(header="X-Mollie-Signature", prefix="sha256="),
    classic=path_secret(),
)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    form, body = b"id=test", b'{"resource":"event","id":"event_sample","type":"hook.ping","entityId":"hook_sample"}'
    named = sample_request(url, settings, form, content_type="application/x-www-form-urlencoded")
    return VERIFY.sign(named if classic(settings) else sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Mollie",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    dedupe=delivery_key,
    fetch=fetch,
    own_system=True,
    settings={
        "webhooks": Setting(
            "Kind of webhooks",
            default="next_gen",
            choices=VERIFY.choices,
            help="next_gen: signed events; classic: the id of a payment or order, as its webhookUrl gets",
        ),
        "account": Setting("Account", help="Scope of customer ids; default: the connection"),
        "accounts": shops.RECORDS,
        "order_metadata": Setting("Metadata with the order number", default="order_id", help="Its key, as written"),
        "base_url": Setting("API address", help="Default: Mollie's own; where payments are looked up"),
        "region": REGION,
    },
    secrets={
        "signing_secret": Setting("Signing secret", help="next_gen: of the webhook"),
        "path_secret": Setting("Path secret", help="classic: the webhookUrl is {hook_url}/<secret>"),
        "api_key": Setting(
            "API key or access token",
            help="classic: needed; next_gen: for events without their entity (events.read) and for the orders of "
            "refunds (payments.read)",
        ),
    },
    unverified=(
        "whether a signed webhook has the event around its entity or is the bare entity: both are read",
        "event types of chargebacks: known by webhooks of the classic kind only",
        "how often and how long a webhook is sent again",
    ),
    setup=(
        "next_gen: Dashboard, Developers, Webhooks: add {hook_url} with the payment and refund events, with full "
        "payload, and enter its signing secret here",
        "classic: make up a long path secret, enter it here, and give payments and orders the webhookUrl "
        "{hook_url}/<path secret>; enter the API key of their profile",
        "Order numbers are a shop's: name its connection in ref_scopes.order",
    ),
    docs="https://docs.mollie.com/reference/webhooks-new",
    sample=sample,
)
