"""Shopify webhooks, both header families. https://shopify.dev/docs/api/webhooks

`orders/updated` comes with every other topic, so it is `created`, `cancelled`, `fulfilled` … only
where the order's own moments say that it is that same fact, and `updated` otherwise. What was missed is read
off the orders as they are now, in the webhooks' own form: that one was made, its last change, its shipments and
refunds, but no change between, and no accounts. Longer than most sources, because one shop tells of orders,
shipments, returns, accounts, consent and privacy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import shops
from chalicelib.kit.fields import (
    DEFAULT_REGION,
    email_identity,
    instant,
    money,
    phone,
    phone_identity,
    plain,
    present,
    scoped,
)
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import joined, kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, keys_of
from chalicelib.kit.source import REGION, Listed, Listing, Missed, Page, Secrets, Setting, Source, Told, Window
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "orders/create": "order",
    "orders/updated": "order",
    "orders/paid": "order",
    "orders/fulfilled": "order",
    "orders/partially_fulfilled": "order",
    "orders/cancelled": "order",
    "fulfillments/create": "fulfilment",
    "fulfillments/update": "fulfilment",
    "refunds/create": "return",
    "returns/request": "return",
    "returns/approve": "return",
    "returns/decline": "return",
    "returns/cancel": "return",
    "returns/close": "return",
    "returns/reopen": "return",
    "customers/create": "identify",
    "customers/update": "identify",
    "customers/delete": "system",
    "customers/data_request": "system",
    "customers/redact": "system",
    "shop/redact": "system",
}
ORDER_STATUS = {"paid": "paid", "fulfilled": "fulfilled", "partially_fulfilled": "partially_fulfilled"}
RETURN_STATUS = {
    "request": "requested",
    "approve": "approved",
    "decline": "declined",
    "cancel": "cancelled",
    "close": "closed",
    "reopen": "reopened",
}
STATED = frozenset({"ready", "picked_up"})
SHIPMENT_STATUS = {"ready_for_pickup": "ready", "picked_up": "picked_up", "delivered": "delivered"}
CONSENT = {"subscribed": "granted", "unsubscribed": "denied", "redacted": "denied"}
DEMANDS = {"customers/delete": "deleted", "customers/data_request": "export"} | dict.fromkeys(
    ["customers/redact", "shop/redact"], "erase"
)
SHOP_DOMAIN = pattern(r"[a-z0-9][a-z0-9-]*\.myshopify\.com\Z")
VERSION = pattern(r"[0-9]{4}-[0-9]{2}\Z", re.ASCII)
NEWEST = "2026-10"
FOLLOWING = pattern(r'<([^<>]*)>\s*;\s*rel="next"')
PAGE = "50"


def normalize(request: Request) -> Iterator[Event]:
    topic = header(request, "topic").lower()
    resource, _, action = topic.partition("/")
    if topic not in TYPES:
        return
    if topic in DEMANDS:
        yield demand(request, topic)
    elif resource == "orders":
        yield order(request, topic, action)
    elif resource == "fulfillments":
        yield fulfilment(request, topic)
    elif resource == "refunds":
        yield refund(request, topic)
    elif resource == "returns":
        yield returned(request, topic, action)
    else:
        yield from customer(request, topic)


def order(request: Request, topic: str, action: str) -> Event:
    body = request.object
    number, (status, moment) = required(body, "id"), order_fact(request, action)
    shop, assurance = shop_of(request), assurance_of(request, pick(body, "customer", "id"))
    return shops.order(
        number,
        status,
        moment,
        topic,
        text(body, "name"),
        channel=channel_of(body),
        identities=people(request, body, shop, assurance),
        refs=shops.refs(shop, number),
        text=text(body, "note") if status == "created" else "",
        details=order_details(body, status),
        fields=names(body.get("customer") or body.get("billing_address")),
        link=admin_link(request, "orders", number),
    )


def channel_of(body: Mapping[str, Any]) -> str:
    return "store" if text(body, "source_name") == "pos" else "web"


def order_fact(request: Request, action: str) -> tuple[str, str]:
    """What happened to the order, and when."""
    body = request.object
    created = instant(body.get("created_at"), "created_at") if body.get("created_at") else ""
    if action == "create":
        return "created", created or instant(body.get("updated_at"), "created_at")
    updated = moment_of(request, "updated_at")
    if action == "cancelled":
        return "cancelled", instant(body["cancelled_at"], "cancelled_at") if body.get("cancelled_at") else updated
    return (ORDER_STATUS[action], updated) if action in ORDER_STATUS else updated_fact(body, created, updated)


def updated_fact(body: Mapping[str, Any], created: str, updated: str) -> tuple[str, str]:
    if text(body, "status") in STATED:
        return text(body, "status"), updated
    for each in objects(body, "fulfillments"):
        status = SHIPMENT_STATUS.get(text(each, "shipment_status"), "")
        if status in STATED:
            return status, instant(each["updated_at"], "updated_at") if each.get("updated_at") else updated
    if created == updated:
        return "created", created
    if body.get("cancelled_at") and instant(body["cancelled_at"], "cancelled_at") == updated:
        return "cancelled", updated
    return "updated", updated


def order_details(body: Mapping[str, Any], status: str) -> dict[str, Any]:
    currency = text(body, "currency")
    items = [
        shops.line(text(line, "title"), line.get("quantity"), line.get("price"), currency, sku=text(line, "sku"))
        for line in objects(body, "line_items")
    ]
    return {"status": status} | kept(
        number=text(body, "name") or text(body, "order_number"),
        total=money(body.get("current_total_price") or body.get("total_price"), currency).get("amount"),
        currency=currency,
        items=items,
        payment=text(body, "financial_status"),
        fulfilment=text(body, "fulfillment_status"),
        location=text(body, "location_id"),
    )


def fulfilment(request: Request, topic: str) -> Event:
    body, shop = request.object, shop_of(request)
    moment, number = moment_of(request, "updated_at"), required(body, "order_id")
    return shops.shipment(
        required(body, "id"),
        shipment_status(body),
        moment,
        topic,
        text(body, "name"),
        version=moment,
        identities=present(email_identity(body.get("email"))),
        refs=(Ref("order", number, shop),),
        details=kept(
            number=text(body, "name"),
            carrier=text(body, "tracking_company"),
            tracking=text(body, "tracking_number"),
            tracking_url=text(body, "tracking_url"),
            items=lines(objects(body, "line_items")),
        ),
        link=admin_link(request, "orders", number),
    )


def shipment_status(body: Mapping[str, Any]) -> str:
    shipment, own = text(body, "shipment_status"), text(body, "status")
    return SHIPMENT_STATUS.get(shipment, shipment) or (own if own in ("cancelled", "failure") else "fulfilled")


def refund(request: Request, topic: str) -> Event:
    body, shop = request.object, shop_of(request)
    moment, number = moment_of(request, "created_at"), required(body, "order_id")
    paid = [each for each in objects(body, "transactions") if text(each, "kind") == "refund"]
    returned_lines = [line | {"title": text(line, "line_item", "title")} for line in objects(body, "refund_line_items")]
    return Event(
        type="return",
        channel=channel_of(body),
        direction="out",
        actor="agent",
        object=f"refund/{required(body, 'id')}",
        version="refunded",
        occurred_at=moment,
        refs=(Ref("order", number, shop),),
        summary="Refunded",
        text=text(body, "note"),
        details={"status": "refunded", "items": lines(returned_lines)}
        | kept(refunds=[money(each.get("amount"), each.get("currency")) for each in paid]),
        link=admin_link(request, "orders", number),
        provider_type=topic,
    )


def returned(request: Request, topic: str, action: str) -> Event:
    body, shop = request.object, shop_of(request)
    moment, status = moment_of(request, "updated_at"), RETURN_STATUS[action]
    number = text(body, "order_id") or required(body, "order", "id")
    return Event(
        type="return",
        channel="web",
        direction="in" if action == "request" else "out",
        actor="customer" if action == "request" else "agent",
        object=f"return/{required(body, 'id')}",
        version=f"{status}@{moment}",
        occurred_at=moment,
        refs=(Ref("order", number, shop),),
        summary=f"Return {text(body, 'name') or required(body, 'id')} {status}",
        details={"status": status}
        | kept(number=text(body, "name"), quantity=body.get("total_return_line_items") or body.get("total_quantity")),
        link=admin_link(request, "orders", number),
        provider_type=topic,
    )


def customer(request: Request, topic: str) -> Iterator[Event]:
    body, shop = request.object, shop_of(request)
    moment, number = moment_of(request, "updated_at"), required(body, "id")
    known = Event(
        type="identify",
        channel="web",
        object=number,
        version=moment,
        occurred_at=moment,
        identities=people(request, {"customer": body}, shop, assurance_of(request, number)),
        fields=names(body),
        link=admin_link(request, "customers", number),
        provider_type=topic,
    )
    yield known
    yield from (consented(known, *each, moment) for each in consents(body))


def consents(body: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(medium, granted or denied, when), for what the customer decided."""
    for medium in ("email", "sms"):
        stated = pick(body, f"{medium}_marketing_consent")
        if answer := CONSENT.get(text(stated, "state")):
            yield medium, answer, pick(stated, "consent_updated_at")
    if body.get("email_marketing_consent") is None and body.get("accepts_marketing") is True:
        yield "email", "granted", body.get("accepts_marketing_updated_at")


def consented(known: Event, medium: str, answer: str, at: Any, otherwise: str) -> Event:
    """The decision, at its own moment: an address edited later grants nothing anew."""
    moment = instant(at, "consent_updated_at") if at else otherwise
    return msgspec.structs.replace(
        known,
        type="consent",
        object=f"{known.object}/{medium}",
        version=f"{answer}@{moment}",
        occurred_at=moment,
        identities=known.identities[:1],
        fields={f"consent_{medium}": answer},
        details={"medium": medium, "status": answer},
    )


def demand(request: Request, topic: str) -> Event:
    """A privacy demand, or a customer's removal: says what to erase or to export."""
    body, shop = request.object, shop_of(request)
    person = body if topic == "customers/delete" else pick(body, "customer")
    moment, number = moment_of(request, "updated_at"), text(person, "id")
    orders = body.get("orders_to_redact") or body.get("orders_requested")
    return Event(
        type="system",
        channel="web",
        actor="system",
        object=text(body, "data_request", "id") or f"{shop}/{number or text(body, 'shop_id')}",
        version=f"{topic}@{moment}",
        occurred_at=moment,
        identities=people(request, {"customer": person}, shop, assurance_of(request, number)),
        summary=f"Shop asks: {topic}",
        details={"status": DEMANDS[topic]}
        | kept(shop=shop, customer=number, orders=[plain(each) for each in orders] if isinstance(orders, list) else []),
        sensitive=True,
        provider_type=topic,
    )


def people(request: Request, body: Mapping[str, Any], shop: str, assurance: int) -> tuple[Identity, ...]:
    """The anchor, the buyer's own addresses, and as candidates the phones of where it goes."""
    buyer, region = body.get("customer"), region_of(request, body)
    mails = [body.get("email"), body.get("contact_email"), pick(buyer, "email")]
    phones = [body.get("phone"), pick(buyer, "phone")]
    elsewhere = [pick(body, "billing_address", "phone"), pick(body, "shipping_address", "phone")]
    return present(
        scoped("shop", shop, pick(buyer, "id"), A2_ATTESTED),
        *(email_identity(each, assurance) for each in mails),
        *(phone_identity(each, region, assurance) for each in phones),
        *(phone_identity(each, region, A1_ASSERTED) for each in elsewhere),
    )


def names(person: Any) -> dict[str, str]:
    name = text(person, "name") or joined(person, "first_name", "last_name")
    region = text(person, "default_address", "country_code") or text(person, "country_code") or DEFAULT_REGION
    return kept(
        name=name,
        email=text(person, "email"),
        phone=phone(pick(person, "phone"), region),
        language=text(person, "locale"),
    )


def lines(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [kept(title=text(line, "title"), quantity=line.get("quantity")) for line in found]


def assurance_of(request: Request, customer_id: Any) -> int:
    """Addresses of an account are attested only where the shop verifies them."""
    return shops.assurance(request.settings, bool(plain(customer_id)))


def region_of(request: Request, body: Mapping[str, Any]) -> str:
    places = (body.get("billing_address"), body.get("shipping_address"), pick(body, "customer", "default_address"))
    found = next((text(place, "country_code") for place in places if text(place, "country_code")), "")
    return found or request.region


def header(request: Request, name: str) -> str:
    return request.header(f"shopify-{name}") or request.header(f"x-shopify-{name}") or ""


def moment_of(request: Request, field: str) -> str:
    """The resource's own moment, else when the shop fired the webhook."""
    body = request.object
    found = body.get(field) or body.get("updated_at") or body.get("created_at") or header(request, "triggered-at")
    return instant(found, field)


def shop_of(request: Request) -> str:
    domain = header(request, "shop-domain").lower()
    return text(request.settings, "account") or domain.removesuffix(".myshopify.com") or request.connection


def admin_link(request: Request, resource: str, number: str) -> str:
    domain = header(request, "shop-domain").lower()
    return f"https://{domain}/admin/{resource}/{number}" if SHOP_DOMAIN.match(domain) else ""


def ask_missed(window: Window, cursor: str, settings: Mapping[str, Any], secrets: Secrets) -> Listing | None:
    """The cursor of a page stands in for all that the first one asked."""
    shop, tokens = text(settings, "shop_domain").lower(), keys_of(secrets, "access_token")
    version = text(settings, "api_version") or NEWEST
    if not (SHOP_DOMAIN.match(shop) and tokens and VERSION.match(version)):
        return None
    wanted = {"status": "any", "updated_at_min": window.since, "updated_at_max": window.until}
    asked = urlencode({"limit": PAGE} | ({"page_info": cursor} if cursor else wanted))
    return Listing(
        f"/admin/api/{version}/orders.json?{asked}", f"https://{shop}", {"X-Shopify-Access-Token": tokens[0]}
    )


def read_missed(told: Told) -> Page:
    if not isinstance(pick(told.document, "orders"), list):
        raise PayloadMalformed("not a list of orders")
    following = FOLLOWING.search(told.headers.get("link", ""))
    cursor = parse_qs(urlsplit(following[1]).query).get("page_info", [""])[0] if following else ""
    return Page(tuple(each for one in objects(told.document, "orders") for each in changes_of(one, told)), cursor)


def changes_of(order: dict[str, Any], told: Told) -> Iterator[Listed]:
    """What its webhooks would have told, of what happened in the window."""
    if within(told.window, order.get("created_at")):
        yield listed(told, "orders/create", order)
    if order.get("updated_at") != order.get("created_at"):
        yield listed(told, "orders/updated", order)
    for each in objects(order, "fulfillments"):
        if within(told.window, each.get("updated_at")):
            made = each.get("created_at") == each.get("updated_at")
            mail = {"order_id": order.get("id"), "email": order.get("email")}
            yield listed(told, f"fulfillments/{'create' if made else 'update'}", mail | each)
    for each in objects(order, "refunds"):
        if within(told.window, each.get("created_at")):
            yield listed(told, "refunds/create", {"order_id": order.get("id")} | each)


def within(window: Window, moment: Any) -> bool:
    return bool(moment) and window.since <= instant(moment, "moment of a change") <= window.until


def listed(told: Told, topic: str, body: dict[str, Any]) -> Listed:
    shop = text(told.settings, "shop_domain").lower()
    return Listed(msgspec.json.encode(body), (("X-Shopify-Topic", topic), ("X-Shopify-Shop-Domain", shop)))


def delivery_key(request: Request) -> str | None:
    return header(request, "event-id") or header(request, "webhook-id") or None


SIGNATURE = hmac_signature(
    header=("shopify-hmac-sha256", "x-shopify-hmac-sha256"), key_name="client_secret", encoding="base64"
)


def verify(request: Request, secrets: Secrets) -> str | None:
    """The secret is the app's, so shops share it: a connection of one shop says which."""
    wanted = text(request.settings, "shop_domain").lower()
    if wanted and header(request, "shop-domain").lower() != wanted:
        return SIGNATURE(request, secrets) or "the webhook is of another shop than shop_domain"
    return SIGNATURE(request, secrets)


def sign(request: Request, secrets: Secrets) -> Request:
    return SIGNATURE.sign(request, secrets)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = b'{"id":1,"name":"#1","created_at":"2026-01-01T12:00:00+01:00","currency":"EUR","total_price":"1.00"}'
    return sign(sample_request(url, settings, body, x_shopify_topic="orders/create"), secrets)


SOURCE = Source(
    name="Shopify",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    channels=("store",),
    dedupe=delivery_key,
    missed=Missed(
        ask=ask_missed,
        read=read_missed,
        needs="shop_domain, and an Admin API access token that may read orders: access_token",
        requests=2,
        seconds=1,
    ),
    own_system=True,
    settings={
        "shop_domain": Setting("Shop domain", help="Such as tc.myshopify.com: webhooks of another shop are refused"),
        "account": Setting("Shop", help="Scope of customer ids; default: the shop's domain without .myshopify.com"),
        "accounts": shops.ACCOUNTS,
        "api_version": Setting("Version of the Admin API", default=NEWEST, help="To ask for what never arrived"),
        "region": REGION,
    },
    secrets={
        "client_secret": Setting("Client secret", required=True, help="Of the app, or the shop's signing key"),
        "access_token": Setting("Admin API access token", help="May read orders, to ask for those that never came"),
    },
    unverified=(
        "payloads of the returns/* topics",
        "whether the webhook id is kept on a retry",
        "whether the Events header family names topics in the same way",
        "that the REST Admin API, legacy since 2024-10, still lists orders for this app, in the form of webhooks",
        "whether updated_at_max includes its own second, and the name of the form's email in a listed shipment",
        "orders over 60 days old need the scope read_all_orders: without it they are not listed, and nobody says so",
    ),
    setup=(
        "In the app's settings, copy the client secret",
        "Subscribe to orders/*, fulfillments/*, refunds/create, returns/* and customers/* with {hook_url}",
        "Set {hook_url} as the address of the three privacy webhooks",
        "To ask for what never arrived, set shop_domain and enter an Admin API access token with the scope read_orders",
    ),
    docs="https://shopify.dev/docs/api/webhooks",
    sample=sample,
)
