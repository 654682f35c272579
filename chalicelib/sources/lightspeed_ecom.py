"""Lightspeed eCom (C-Series) webhooks. https://developers.lightspeedhq.com/ecom/introduction/introduction/

A webhook is the resource as the interface gives it, under its own name: `order`, `shipment`, `return` or
`customer`. Its headers are not signed and nothing is read of them, so what happened is read of the
resource: an order is `created` where its two moments are one, otherwise it is in its status since
`updatedAt`. The signature is an MD5 of the body and the secret: weak, but there is no other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import shops
from chalicelib.kit.fields import email_identity, instant, money, phone, phone_identity, present, scoped
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import joined, kept, objects, pick, required, text
from chalicelib.kit.signatures import decode, keys_of, octets, same, with_headers
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event, digest
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {"order": "order", "shipment": "fulfilment", "return": "return", "customer": "identify"}
HEADER = "x-signature"
STATUS = {
    "completed_shipped": "fulfilled",
    "completed": "completed",
    "cancelled": "cancelled",
    "on_hold": "on_hold",
}
SHIPMENT_STATUS = {"shipped": "fulfilled", "not_shipped": "awaiting_dispatch", "cancelled": "cancelled"}


def normalize(request: Request) -> Iterator[Event]:
    kind = next((name for name in TYPES if isinstance(request.object.get(name), dict)), "")
    if not kind:
        return
    made = {"order": order, "shipment": shipment, "return": returned, "customer": customer}[kind]
    yield made(request, request.object[kind])


def order(request: Request, told: Mapping[str, Any]) -> Event:
    number, moment = required(told, "id"), moment_of(told)
    created = moment == instant(told.get("createdAt"), "createdAt")
    status = "created" if created else STATUS.get(text(told, "status"), text(told, "status") or "updated")
    return shops.order(
        number,
        status,
        moment,
        "order",
        text(told, "number"),
        identities=buyer(request, told),
        refs=shops.refs(account(request), number, text(told, "number")),
        text=text(told, "comment") if created else "",
        details=order_details(request, told, status),
        fields=names(told, region_of(request, told)),
    )


def order_details(request: Request, told: Mapping[str, Any], status: str) -> dict[str, Any]:
    currency = text(told, "currency", "code") or text(request.settings, "currency") or "EUR"
    lines = objects(told, "products") or objects(told, "products", "resource", "embedded")
    return {"status": status} | kept(
        number=text(told, "number"),
        total=money(told.get("priceIncl"), currency).get("amount"),
        currency=currency,
        items=[
            shops.line(
                text(line, "productTitle"),
                line.get("quantityOrdered"),
                line.get("priceIncl"),
                currency,
                variant=text(line, "variantTitle"),
                sku=text(line, "articleCode"),
            )
            for line in lines
        ],
        payment=text(told, "paymentStatus"),
        payment_method=text(told, "paymentTitle"),
        fulfilment=text(told, "shipmentStatus"),
        shipping=text(told, "shipmentTitle"),
    )


def shipment(request: Request, told: Mapping[str, Any]) -> Event:
    number, moment = required(told, "id"), moment_of(told)
    status = SHIPMENT_STATUS.get(text(told, "status"), text(told, "status") or "updated")
    return shops.shipment(
        number,
        status,
        moment,
        "shipment",
        text(told, "number"),
        identities=of_customer(request, told),
        refs=shops.refs(account(request), related(told, "order")),
        details=kept(number=text(told, "number"), tracking=text(told, "trackingCode")),
    )


def returned(request: Request, told: Mapping[str, Any]) -> Event:
    number, moment = required(told, "id"), moment_of(told)
    status, asked = text(told, "status") or "requested", text(told, "status") in ("", "requested", "new", "pending")
    return Event(
        type="return",
        channel="web",
        direction="in" if asked else "out",
        actor="customer" if asked else "agent",
        object=number,
        version=f"{status}@{moment}",
        occurred_at=moment,
        identities=of_customer(request, told),
        refs=shops.refs(account(request), related(told, "order")),
        summary=f"Return {text(told, 'number') or number} {shops.words(status)}",
        text=text(told, "comment") if asked else "",
        details={"status": status} | kept(number=text(told, "number"), reason=text(told, "reason")),
        provider_type="return",
    )


def customer(request: Request, told: Mapping[str, Any]) -> Event:
    """A guest of the checkout has a record too, but no account: his is as good as what he typed."""
    number, moment, region = required(told, "id"), moment_of(told), region_of(request, told)
    return Event(
        type="identify",
        channel="web",
        object=number,
        version=moment,
        occurred_at=moment,
        identities=people(request, number, told, assurance_of(request, told)),
        fields=names(told, region) | kept(language=text(told, "languageCode") or text(told, "language", "code")),
        provider_type="customer",
    )


def buyer(request: Request, told: Mapping[str, Any]) -> tuple[Identity, ...]:
    number = related(told, "customer")
    return people(request, number, told, assurance_of(request, pick(told, "customer")))


def of_customer(request: Request, told: Mapping[str, Any]) -> tuple[Identity, ...]:
    """Shipments and returns name the customer by id only."""
    return present(scoped("shop", account(request), related(told, "customer"), A2_ATTESTED))


def people(request: Request, number: str, told: Mapping[str, Any], assurance: int) -> tuple[Identity, ...]:
    region = region_of(request, told)
    return present(
        scoped("shop", account(request), number, A2_ATTESTED),
        email_identity(told.get("email"), assurance),
        phone_identity(told.get("mobile"), region, assurance),
        phone_identity(told.get("phone"), region, assurance),
    )


def assurance_of(request: Request, record: Any) -> int:
    """Attested only where the shop verifies accounts and this is one: an order has but its customer's id,
    and guests have that too."""
    return shops.assurance(request.settings, pick(record, "isConfirmedCustomer") is True)


def related(told: Mapping[str, Any], name: str) -> str:
    """The id of another resource, however deep the interface has put it."""
    found = text(told, name, "resource", "id") or text(told, name, "id") or text(told, f"{name}Id")
    return found or text(told, name, "resource", "embedded", "id")


def names(told: Mapping[str, Any], region: str) -> dict[str, str]:
    return kept(
        name=joined(told, "firstname", "middlename", "lastname"),
        email=text(told, "email"),
        phone=phone(told.get("mobile"), region) or phone(told.get("phone"), region),
    )


def region_of(request: Request, told: Mapping[str, Any]) -> str:
    places = ("addressBillingCountry", "addressShippingCountry", "country")
    found = next((text(told, place, "code") for place in places if text(told, place, "code")), "")
    return (found or request.region).upper()


def moment_of(told: Mapping[str, Any]) -> str:
    return instant(told.get("updatedAt") or told.get("createdAt"), "updatedAt")


def account(request: Request) -> str:
    return text(request.settings, "account") or request.connection


def delivery_key(request: Request) -> str | None:
    """Nothing that can be relied upon names a delivery: a webhook that is sent again has the same bytes."""
    return digest(request.body)


def verify(request: Request, secrets: Secrets) -> str | None:
    keys, given = keys_of(secrets, "api_secret"), decode(request.header(HEADER) or "", "hex")
    if not keys:
        return "no api_secret is configured"
    if given is None:
        return f"no readable signature in {HEADER}"
    accepted = any(same(fingerprint(request.body, key), given) for key in keys)
    return None if accepted else "the signature does not match"


def sign(request: Request, secrets: Secrets) -> Request:
    return with_headers(request, {HEADER: fingerprint(request.body, keys_of(secrets, "api_secret")[0]).hex()})


def fingerprint(body: bytes, key: str) -> bytes:
    return hashlib.md5(body + octets(key), usedforsecurity=False).digest()


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"order":{"id":1,"number":"ORD00001","status":"new","priceIncl":1,'
        b'"createdAt":"2026-01-01T12:00:00+01:00","updatedAt":"2026-01-01T12:00:00+01:00"}}'
    )
    return sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Lightspeed eCom C-Series",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    own_system=True,
    settings={
        "account": Setting("Shop", help="Scope of customer ids; default: the connection"),
        "accounts": shops.ACCOUNTS,
        "currency": Setting("Currency", default="EUR", help="Where an order does not name it"),
        "region": REGION,
    },
    secrets={"api_secret": Setting("API secret", required=True, help="Of the app or of the shop's API key")},
    grade="unverified",
    unverified=(
        "the signature: x-signature with the hex of MD5 over the body and the API secret, by a forum's word only",
        "that the body is the resource under its own name, in JSON",
        "the states of returns, and the names of their fields",
        "that isConfirmedCustomer tells accounts from guests",
        "whether and how often a webhook is sent again",
    ),
    setup=(
        "With the API (POST webhooks.json) make active webhooks in the format json with the address {hook_url}: for "
        "itemGroup orders, shipments, returns and customers, each with itemAction * (or one for each of created, "
        "updated, paid, shipped, cancelled)",
        "Enter the API secret of the key that made them",
    ),
    docs="https://developers.lightspeedhq.com/ecom/introduction/introduction/",
    sample=sample,
)
