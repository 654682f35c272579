"""Orders and shipments at bol.com.

https://api.bol.com/retailer/public/Retailer-API/v10/functional/retailer-api/subscriptions.html

A webhook carries ids only, so `fetch` asks for the order or the shipment. Each moment of what was found
is a fact with an identity of its own: whatever was missed in between is found, and what was told before
is the same event. The keys that sign are the same for every retailer, so the retailer's own id counts.
Customers' mail addresses are relays that bol makes, perhaps one for each order: they identify nobody
unless a setting says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import shops
from chalicelib.kit.fields import email_identity, instant, money, phone, phone_identity, present
from chalicelib.kit.lazily import pattern
from chalicelib.kit.public_keys import Signed, rsa_signature, rsa_signature_of
from chalicelib.kit.request import Request
from chalicelib.kit.shape import joined, kept, objects, pick, required, text
from chalicelib.kit.signatures import decode, encode, keys_of, with_headers
from chalicelib.kit.source import REGION, Fetch, Grant, Secrets, Setting, Source
from chalicelib.model.event import Event, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {"ORDER": "order", "SHIPMENT": "fulfilment"}
PATHS = {"ORDER": "/retailer/orders/", "SHIPMENT": "/retailer/shipments/"}
STATUS = {
    "PRE_TRANSIT": "announced",
    "TRANSIT": "in_transit",
    "AT_PICK_UP_POINT": "ready",
    "PICKED_UP_AT_PICK_UP_POINT": "picked_up",
    "DELIVERED_AT_CUSTOMERS": "delivered",
    "DELIVERED_AT_NEIGHBOURS": "delivered",
    "DELIVERED_IN_MAILBOX": "delivered",
}
NUMBER = pattern(r"[A-Za-z0-9-]{1,64}\Z")
SIGNED = pattern(r'(?:\A|[\s,])signature="?([A-Za-z0-9+/=]{1,2048})"?\s*(?:,|\Z)')
HEADERS = ("signature", "x-bol-signature")
API, TOKEN = "https://api.bol.com", "https://login.bol.com/token"
ACCEPT = "application/vnd.retailer.v10+json"


def normalize(request: Request) -> Iterator[Event]:
    kind = text(request.object, "event", "resource")
    if kind in TYPES:
        found = request.looked_up("thing", "are client id and client secret set?")
        yield from orders(request, found) if kind == "ORDER" else shipments(request, found)


def orders(request: Request, found: Mapping[str, Any]) -> Iterator[Event]:
    """That it was placed, and for what is cancelled in it since when."""
    items = objects(found, "orderItems")
    yield order(request, found, "created", instant(found.get("orderPlacedDateTime"), "orderPlacedDateTime"))
    asked = [each for each in items if each.get("cancellationRequest") is True]
    if asked:
        yield order(request, found, "cancellation_requested", latest(request, asked))
    elif items and all(gone(each) for each in items):
        yield order(request, found, "cancelled", latest(request, items))


def gone(item: Mapping[str, Any]) -> bool:
    count, cancelled = item.get("quantity"), item.get("quantityCancelled")
    return isinstance(count, int) and isinstance(cancelled, int) and 0 < count <= cancelled


def latest(request: Request, items: list[dict[str, Any]]) -> str:
    """The newest change of these, or else when bol sent the webhook."""
    field = "latestChangedDateTime"
    found = [instant(each[field], field) for each in items if each.get(field)]
    return max(found) if found else instant(request.object.get("timestamp"), "timestamp")


def order(request: Request, found: Mapping[str, Any], status: str, moment: str) -> Event:
    number = required(found, "orderId")
    return shops.order(
        number,
        status,
        moment,
        "ORDER",
        actor="system" if status == "cancelled" else "customer",
        identities=people(request, found),
        refs=shops.refs(account(request), number),
        details={"status": status} | order_details(found),
        fields=names(request, found),
    )


def order_details(found: Mapping[str, Any]) -> dict[str, Any]:
    """What never changes of an order: how much of it was shipped is told by its shipments."""
    items = objects(found, "orderItems")
    prices = [each.get("totalPrice") for each in items]
    known = [price for price in prices if isinstance(price, int | float) and abs(price) < 10**9]
    return kept(
        number=text(found, "orderId"),
        total=money(f"{sum(known):.2f}", "EUR").get("amount") if known and len(known) == len(items) else None,
        currency="EUR",
        items=lines(items),
        pickup=True if found.get("pickupPoint") is True else None,
    )


def lines(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [
        shops.line(
            text(each, "product", "title"),
            each.get("quantity"),
            each.get("unitPrice"),
            "EUR",
            sku=text(each, "offer", "reference"),
            ean=text(each, "product", "ean"),
        )
        for each in items
    ]
    return [line for line in found if line]


def shipments(request: Request, found: Mapping[str, Any]) -> Iterator[Event]:
    """That it left, and each thing that the carrier told of it since."""
    sent = found.get("shipmentDateTime") or found.get("shipmentDate")
    if sent:
        yield shipment(request, found, "shipped", instant(sent, "shipmentDateTime"))
    for told in objects(found, "transport", "transportEvents"):
        code = text(told, "eventCode")
        if code and told.get("eventDateTime"):
            yield shipment(
                request, found, STATUS.get(code, code.lower()), instant(told["eventDateTime"], "eventDateTime")
            )


def shipment(request: Request, found: Mapping[str, Any], status: str, moment: str) -> Event:
    return shops.shipment(
        required(found, "shipmentId"),
        status,
        moment,
        "SHIPMENT",
        identities=people(request, found),
        refs=shops.refs(account(request), *order_ids(found)),
        details=kept(
            carrier=text(found, "transport", "transporterCode"),
            tracking=text(found, "transport", "trackAndTrace"),
            reference=text(found, "shipmentReference"),
            items=lines(objects(found, "shipmentItems")),
        ),
    )


def order_ids(found: Mapping[str, Any]) -> list[str]:
    """Of one order, named beside the items or by each of them."""
    named = [text(found, "order", "orderId"), *(text(each, "orderId") for each in objects(found, "shipmentItems"))]
    return list(dict.fromkeys(each for each in named if each))[:1]


def people(request: Request, found: Mapping[str, Any]) -> tuple[Identity, ...]:
    """The number for the carrier, as a candidate; the relay address only where it is said to be one person's."""
    ship, region = found.get("shipmentDetails"), region_of(request, found)
    relay = request.settings.get("relay_addresses") == "identify"
    return present(
        email_identity(text(ship, "email"), A2_ATTESTED) if relay else None,
        phone_identity(pick(ship, "deliveryPhoneNumber"), region, A1_ASSERTED),
    )


def names(request: Request, found: Mapping[str, Any]) -> dict[str, str]:
    payer = found.get("billingDetails") or found.get("shipmentDetails")
    return kept(
        name=joined(payer, "firstName", "surname"),
        phone=phone(pick(found, "shipmentDetails", "deliveryPhoneNumber"), region_of(request, found)),
        language=text(found, "shipmentDetails", "language"),
    )


def region_of(request: Request, found: Mapping[str, Any]) -> str:
    return text(found, "shipmentDetails", "countryCode") or request.region


def account(request: Request) -> str:
    return text(request.settings, "retailer_id") or request.connection


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    named, keys = request.object.get("event") if request.body else None, keys_of(secrets, "client_secret")
    kind, number, client = text(named, "resource"), text(named, "resourceId"), text(request.settings, "client_id")
    if kind not in PATHS or not NUMBER.match(number) or not keys or not client:
        return
    version = f"{text(named, 'type')}@{text(request.object, 'timestamp')}"
    grant = Grant(text(request.settings, "token_url") or TOKEN, client, keys[0])
    yield Fetch("thing", f"{PATHS[kind]}{number}", API, {"Accept": ACCEPT}, version, grant=grant)


def delivery_key(request: Request) -> str | None:
    """Nothing names a delivery: a webhook that is sent again has the same bytes, its timestamp included."""
    return digest(request.body)


def claim(request: Request) -> Signed | str:
    """The signature over the body, of a webhook for this retailer. Raises PayloadMalformed."""
    header = next((found for name in HEADERS if (found := request.header(name)) is not None), "")
    named = SIGNED.search(header)
    raw = decode(named[1] if named else header.strip(), "base64")
    if raw is None:
        return f"no readable signature in {HEADERS[0]}"
    wanted = text(request.settings, "retailer_id")
    if not wanted:
        return "no retailer_id is configured"
    ours = text(request.object, "retailerId") == wanted
    return Signed(raw, request.body) if ours else "the webhook is of another retailer than retailer_id"


SIGNATURE = rsa_signature(claim)


def sign(request: Request, secrets: Secrets) -> Request:
    """By a private key in the place of the public one, which only tests have."""
    raw = rsa_signature_of(keys_of(secrets, "public_key")[0], request.body, "sha256")
    return with_headers(request, {"Signature": f'keyId=0, algorithm="rsa-sha256", signature={encode(raw, "base64")}'})


SOURCE = Source(
    name="bol.com",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    dedupe=delivery_key,
    fetch=fetch,
    own_system=True,
    settings={
        "retailer_id": Setting("Retailer id", required=True, help="Webhooks of another retailer are refused"),
        "client_id": Setting("Client id", help="Of the API, for look-ups: without it a webhook tells nothing"),
        "relay_addresses": Setting(
            "Relay mail addresses",
            default="ignored",
            choices=("ignored", "identify"),
            help="identify: an address that bol made is one person's, so that his mail and his order are one's",
        ),
        "base_url": Setting("API address", help="Default: bol's own; where orders and shipments are looked up"),
        "token_url": Setting("Token address", help="Default: bol's own"),
        "region": REGION,
    },
    secrets={
        "public_key": Setting("Public keys", required=True, help="All of signature-keys: PEM, or base64 as they come"),
        "client_secret": Setting("Client secret", help="Of the API"),
    },
    grade="unverified",
    unverified=(
        "the header of the signature: Signature with signature=<base64>, or X-Bol-Signature; RSA-SHA256 over the body",
        "the form of the public keys: base64 of the DER or PEM",
        "the event types of ORDER, and that its resourceId is the order's id",
        "codes of transport events: others than those known show as they come",
        "whether a relay address belongs to one order or to one customer: relay_addresses",
    ),
    setup=(
        "Seller dashboard, API settings: make a client id and secret and enter them with the retailer id",
        "GET /retailer/subscriptions/signature-keys and enter every publicKey here; do it again when webhooks are "
        "refused, as keys change",
        "POST /retailer/subscriptions with resources ORDER and SHIPMENT, subscriptionType WEBHOOK and url {hook_url}",
        "POST /retailer/subscriptions/test/<id> sends a test; ten failures in ten minutes switch a subscription off",
    ),
    docs="https://api.bol.com/retailer/public/Retailer-API/v10/functional/retailer-api/subscriptions.html",
)
