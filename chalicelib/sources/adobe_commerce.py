"""Adobe Commerce (Magento) orders, shipments, credit memos and customers.

https://developer.adobe.com/commerce/extensibility/events/ are CloudEvents from I/O Events, signed by two
keys of Adobe's own; the keys are the same for everybody, so the client id that they are meant for counts.
https://developer.adobe.com/commerce/extensibility/webhooks/ are calls that a checkout waits for: they are
answered with success, whatever becomes of them. Prefer events.

What an event holds is chosen field by field, and a save may tell only what was written: an order that
names neither its number nor its id yields nothing. An order is `created` where it is new by `_isNew` or
by its two moments, otherwise in its state since `updated_at`. Moments are UTC without saying so.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import shops
from chalicelib.kit.fields import email_identity, instant, money, phone, phone_identity, plain, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.public_keys import Signed, rsa_signature, rsa_signature_of
from chalicelib.kit.request import Request
from chalicelib.kit.shape import joined, kept, objects, pick, required, text
from chalicelib.kit.signatures import decode, encode, keys_of, with_headers
from chalicelib.kit.source import REGION, Answer, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "observer.sales_order_save_commit_after": "order",
    "observer.sales_order_place_after": "order",
    "observer.sales_order_shipment_save_commit_after": "fulfilment",
    "observer.sales_order_creditmemo_save_commit_after": "return",
    "observer.customer_save_commit_after": "identify",
    "observer.customer_delete_commit_after": "system",
}
PLACED = "observer.sales_order_place_after"
STATUS = {
    "new": "pending",
    "pending_payment": "pending",
    "complete": "completed",
    "closed": "refunded",
    "canceled": "cancelled",
    "holded": "on_hold",
}
DIGITAL = ("x-adobe-digital-signature-1", "x-adobe-digital-signature-2")
KEY_PATHS = ("x-adobe-public-key1-path", "x-adobe-public-key2-path")
KEY_PATH = pattern(r"/[a-z]{1,16}/keys/pub-key-[A-Za-z0-9-]{1,64}\.pem\Z")
WEBHOOK = "x-adobe-commerce-webhook-signature"
KEYS_AT = "https://static.adobeioevents.com"


def normalize(request: Request) -> Iterator[Event]:
    for told in envelopes(request):
        kind, value = kind_of(request, told), value_of(request, told)
        if kind not in TYPES or not (text(value, "increment_id") or number_of(value)):
            continue
        if TYPES[kind] == "order":
            yield order(request, kind, told, value)
        elif TYPES[kind] == "fulfilment":
            yield shipment(request, kind, told, value)
        elif TYPES[kind] == "return":
            yield credit_memo(request, kind, told, value)
        else:
            yield customer(request, kind, told, value)


def by_webhook(settings: Mapping[str, Any]) -> bool:
    return text(settings, "delivery") == "webhooks"


def envelopes(request: Request) -> list[Mapping[str, Any]]:
    """One event, or a batch of them."""
    found = request.json
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else [request.object]


def kind_of(request: Request, told: Mapping[str, Any]) -> str:
    """The observer, without the names that come before it."""
    chosen = text(request.settings, "webhook_event") or PLACED
    name = chosen if by_webhook(request.settings) else text(told, "type")
    return name[name.find("observer.") :] if "observer." in name else name


def value_of(request: Request, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was saved: under data.value of an event; under its own name in a webhook."""
    if by_webhook(request.settings):
        inner = pick(told, "data") if isinstance(told.get("data"), dict) else told
        found = pick(inner, "order") or pick(inner, "customer") or inner
    else:
        found = pick(told, "data", "value")
    return found if isinstance(found, dict) else {}


def number_of(value: Mapping[str, Any]) -> str:
    return text(value, "entity_id") or text(value, "id")


def order(request: Request, kind: str, told: Mapping[str, Any], value: Mapping[str, Any]) -> Event:
    number, (status, moment) = text(value, "increment_id") or number_of(value), order_fact(kind, told, value)
    return shops.order(
        number_of(value) or number,
        status,
        moment,
        kind,
        number,
        identities=buyer(request, value),
        refs=refs_of(request, text(value, "increment_id"), number_of(value)),
        text=text(value, "customer_note") if status == "created" else "",
        details=order_details(value, status),
        fields=names(request, value, "customer_"),
    )


def order_fact(kind: str, told: Mapping[str, Any], value: Mapping[str, Any]) -> tuple[str, str]:
    """What happened to the order, and when."""
    created, updated = value.get("created_at"), moment_of(told, value)
    new = value.get("_isNew") is True or kind == PLACED
    if new or (created and instant(created, "created_at", "UTC") == updated):
        return "created", instant(created, "created_at", "UTC") if created else updated
    state = text(value, "state") or text(value, "status")
    return STATUS.get(state, state) or "updated", updated


def order_details(value: Mapping[str, Any], status: str) -> dict[str, Any]:
    currency = text(value, "order_currency_code") or text(value, "base_currency_code")
    return {"status": status} | kept(
        number=text(value, "increment_id"),
        total=money(exact(value.get("grand_total")), currency).get("amount"),
        currency=currency,
        items=lines(value, currency, "qty_ordered"),
        payment_method=text(value, "payment", "method"),
        shipping=text(value, "shipping_description"),
        store=text(value, "store_id"),
    )


def lines(value: Mapping[str, Any], currency: str, count: str) -> list[dict[str, Any]]:
    """Items come as a list, or as an object by their ids; a variant repeats its parent's line."""
    listed = value.get("items")
    items = objects({"items": list(listed.values()) if isinstance(listed, dict) else listed}, "items")
    found = [
        shops.line(
            text(each, "name"),
            quantity(each.get(count)),
            exact(each.get("price_incl_tax") or each.get("price")),
            currency,
            sku=text(each, "sku"),
        )
        for each in items
        if not text(each, "parent_item_id")
    ]
    return [line for line in found if line]


def exact(amount: Any) -> Any:
    """Sums come with four decimals, as the tables have them."""
    return amount.rstrip("0").rstrip(".") if isinstance(amount, str) and "." in amount else amount


def quantity(value: Any) -> float | int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,4})?", value, re.ASCII):
        value = float(value)
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole else value if isinstance(value, int | float) else None


def shipment(request: Request, kind: str, told: Mapping[str, Any], value: Mapping[str, Any]) -> Event:
    number, moment = number_of(value) or required(value, "increment_id"), moment_of(told, value)
    tracks = objects(value, "tracks")
    return shops.shipment(
        f"shipment/{number}",
        "fulfilled",
        moment,
        kind,
        text(value, "increment_id") or number,
        version=moment,
        identities=of_customer(request, value),
        refs=refs_of(request, text(value, "order", "increment_id"), text(value, "order_id")),
        details=kept(
            number=text(value, "increment_id"),
            carrier=next((text(each, "title") for each in tracks if text(each, "title")), ""),
            tracking=next((text(each, "track_number") for each in tracks if text(each, "track_number")), ""),
            items=lines(value, "", "qty"),
        ),
    )


def credit_memo(request: Request, kind: str, told: Mapping[str, Any], value: Mapping[str, Any]) -> Event:
    """Money back for what was returned, or for another reason."""
    number, moment = number_of(value) or required(value, "increment_id"), moment_of(told, value)
    currency = text(value, "order_currency_code") or text(value, "base_currency_code")
    return Event(
        type="return",
        channel="web",
        direction="out",
        actor="agent",
        object=f"creditmemo/{number}",
        version=moment,
        occurred_at=moment,
        identities=of_customer(request, value),
        refs=refs_of(request, text(value, "order", "increment_id"), text(value, "order_id")),
        summary=f"Refunded {text(value, 'increment_id')}".strip(),
        text=text(value, "customer_note"),
        details={"status": "refunded"}
        | kept(
            number=text(value, "increment_id"),
            refunds=[found] if (found := money(exact(value.get("grand_total")), currency)) else [],
            items=lines(value, currency, "qty"),
        ),
        provider_type=kind,
    )


def customer(request: Request, kind: str, told: Mapping[str, Any], value: Mapping[str, Any]) -> Event:
    number, deleted = number_of(value), TYPES[kind] == "system"
    moment = instant(told.get("time"), "time") if deleted else moment_of(told, value)
    confirmed, region = not text(value, "confirmation"), region_of(request, value)
    assurance = assurance_of(request, number) if confirmed else A1_ASSERTED
    phones = (each.get("telephone") for each in addresses(value))
    return Event(
        type=TYPES[kind],
        channel="web",
        actor="system" if deleted else "customer",
        object=required({"entity_id": number}, "entity_id"),
        version=moment,
        occurred_at=moment,
        identities=present(
            scoped("shop", account(request), number, A2_ATTESTED),
            email_identity(value.get("email"), assurance),
            *(phone_identity(each, region, A1_ASSERTED) for each in list(phones)[:5]),
        ),
        summary="Customer deleted" if deleted else "",
        details={"status": "deleted"} if deleted else {},
        fields={} if deleted else names(request, value, ""),
        provider_type=kind,
    )


def buyer(request: Request, value: Mapping[str, Any]) -> tuple[Identity, ...]:
    """The account, none for a guest; the buyer's addresses; and as a candidate the phone of where it goes."""
    region, assurance = region_of(request, value), assurance_of(request, value.get("customer_id"))
    by_type = {text(each, "address_type"): each.get("telephone") for each in addresses(value)}
    return present(
        scoped("shop", account(request), value.get("customer_id"), A2_ATTESTED),
        email_identity(value.get("customer_email"), assurance),
        phone_identity(by_type.get("billing"), region, assurance),
        phone_identity(by_type.get("shipping"), region, A1_ASSERTED),
    )


def of_customer(request: Request, value: Mapping[str, Any]) -> tuple[Identity, ...]:
    return present(scoped("shop", account(request), value.get("customer_id"), A2_ATTESTED))


def addresses(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In a list, or each under its own name."""
    named = [
        dict(found) | {"address_type": name}
        for name in ("billing", "shipping")
        if isinstance(found := value.get(f"{name}_address"), dict)
    ]
    return [*objects(value, "addresses"), *named]


def names(request: Request, value: Mapping[str, Any], prefix: str) -> dict[str, str]:
    parts = (f"{prefix}{part}" for part in ("firstname", "middlename", "lastname"))
    found = (phone(each.get("telephone"), region_of(request, value)) for each in addresses(value))
    return kept(name=joined(value, *parts), email=text(value, f"{prefix}email"), phone=next(filter(None, found), ""))


def refs_of(request: Request, number: str, entity: str) -> tuple[Ref, ...]:
    """An order's number, which people quote, and its id, by which shipments and credit memos name it."""
    return shops.refs(account(request), number, entity)


def assurance_of(request: Request, customer_id: Any) -> int:
    """Addresses of an account are attested only where the shop verifies them."""
    return shops.assurance(request.settings, bool(plain(customer_id).strip("0")))


def region_of(request: Request, value: Mapping[str, Any]) -> str:
    found = next((text(each, "country_id") for each in addresses(value) if text(each, "country_id")), "")
    return found or request.region


def moment_of(told: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """The resource's own moment, else when it was saved."""
    return instant(value.get("updated_at") or told.get("time") or value.get("created_at"), "updated_at", "UTC")


def account(request: Request) -> str:
    return text(request.settings, "account") or request.connection


def delivery_key(request: Request) -> str | None:
    """A batch and a webhook have no id of their own: what is sent again has the same bytes."""
    return request.header("x-adobe-event-id") or digest(request.body)


def challenge(request: Request, secrets: Secrets) -> Answer | None:
    """What is asked of the address when it is registered: the challenge, verbatim."""
    asked = next((value for name, value in request.query if name == "challenge"), "")
    fits = request.method == "GET" and 0 < len(asked) <= 256 and asked.isascii() and asked.isprintable()
    return Answer(asked) if fits else None


def digital(request: Request, place: int) -> Signed | str:
    """One of the two signatures of an event that is meant for us. Raises PayloadMalformed."""
    raw, wanted = decode(request.header(DIGITAL[place]) or "", "base64"), text(request.settings, "client_id")
    if raw is None:
        return f"no readable signature in {DIGITAL[place]}"
    meant = {text(each, "recipientclientid") or text(each, "recipient_client_id") for each in envelopes(request)}
    if not wanted or meant != {wanted}:
        return "the event is meant for another client than client_id"
    return Signed(raw, request.body)


def of_webhook(request: Request, over: bytes) -> Signed | str:
    raw = decode(request.header(WEBHOOK) or "", "base64")
    return Signed(raw, over) if raw else f"no readable signature in {WEBHOOK}"


EVENTS = (rsa_signature(lambda request: digital(request, 0)), rsa_signature(lambda request: digital(request, 1)))
WEBHOOKS = (
    rsa_signature(lambda request: of_webhook(request, base64.b64encode(request.body))),
    rsa_signature(lambda request: of_webhook(request, request.body)),
)


def verify(request: Request, secrets: Secrets) -> str | None:
    found = [check(request, secrets) for check in (WEBHOOKS if by_webhook(request.settings) else EVENTS)]
    if None in found:
        return None
    named = next((path for name in KEY_PATHS if KEY_PATH.match(path := request.header(name) or "")), "")
    return f"{found[0]}; it names the key {KEYS_AT}{named}" if named else found[0]


def sign(request: Request, secrets: Secrets) -> Request:
    """By a private key in the place of the public one, which only tests have."""
    old, key = by_webhook(request.settings), keys_of(secrets, "public_key")[0]
    raw = rsa_signature_of(key, base64.b64encode(request.body) if old else request.body, "sha256")
    name = DIGITAL[1] if request.header(DIGITAL[1]) is not None else DIGITAL[0]
    return with_headers(request, {WEBHOOK if old else name: encode(raw, "base64")})


SOURCE = Source(
    name="Adobe Commerce",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    handshake=challenge,
    handshake_first=True,
    handshake_open=True,
    answer=Answer('{"op":"success"}', media_type="application/json"),
    own_system=True,
    settings={
        "delivery": Setting(
            "Delivery",
            default="events",
            choices=("events", "webhooks"),
            help="events: by I/O Events; webhooks: calls that a checkout waits for",
        ),
        "client_id": Setting("Client id", help="events: of the project's credentials; events for others are refused"),
        "webhook_event": Setting(
            "What a webhook is of",
            default=PLACED,
            choices=tuple(TYPES),
            help="webhooks: they do not say it themselves, so make a connection for each",
        ),
        "account": Setting("Shop", help="Scope of customer ids; default: the connection"),
        "accounts": shops.accounts(
            "the shop makes every account confirm its mail address, so that it may join customers"
        ),
        "region": REGION,
    },
    secrets={
        "public_key": Setting(
            "Public keys",
            required=True,
            help="PEM. events: both that a webhook's headers name, under static.adobeioevents.com; webhooks: the shop's",
        )
    },
    grade="unverified",
    unverified=(
        "events: whether Adobe signs the very bytes of the body",
        "events: the name of the field with the client id (recipientclientid or recipient_client_id), and batches",
        "webhooks: whether the signature is over the body or over its base64: both are tried",
        "webhooks: under which name the order or the customer is in the body",
        "names of the events of shipments and credit memos after the commit",
    ),
    setup=(
        "events: in the Developer Console, add I/O Events for Commerce to a project and subscribe to orders, "
        "shipments, credit memos and customers after the commit, with webhook delivery to {hook_url}",
        "Choose the fields entity_id, increment_id, state, created_at, updated_at, customer_id, customer_email, "
        "customer_firstname, customer_lastname, grand_total, order_currency_code, items and addresses, and of "
        "shipments and credit memos order_id",
        "Enter the client id. The first event is refused; the connection shows which public key it names: enter it, "
        "and the second one likewise",
        "webhooks: in the Admin, enable signatures, enter the public key, and give the webhook {hook_url} with a soft "
        "time-out and as not required, so that a checkout never waits for the hub",
    ),
    docs="https://developer.adobe.com/commerce/extensibility/events/",
)
