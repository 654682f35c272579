"""Lightspeed Retail (X-Series) sales and customers. https://x-series-api.lightspeedhq.com/docs/webhooks

A form with the object in `payload`. Webhooks that an app makes are signed with its client secret; those
that somebody makes by hand in the back office are not, so they carry a secret in the path. Sales without
a customer are of one and the same walk-in customer, who is nobody: he is known by his code, or where a
sale does not tell it by the setting. The vendor does not promise to deliver every webhook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import shops
from chalicelib.kit.fields import email_identity, instant, money, phone, phone_identity, present, scoped
from chalicelib.kit.request import Request, parse_json, sample_request
from chalicelib.kit.schemes import one_of
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.signatures import hmac_signature, octets, path_secret
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {"sale.update": "order", "sale.return": "return", "customer.update": "identify"}
STATUS = {
    "CLOSED": "completed",
    "ONACCOUNT": "on_account",
    "ONACCOUNT_CLOSED": "completed",
    "LAYBY": "layby",
    "LAYBY_CLOSED": "completed",
    "VOIDED": "cancelled",
    "AWAITING_DISPATCH": "awaiting_dispatch",
    "AWAITING_PICKUP": "awaiting_pickup",
    "DISPATCHED_CLOSED": "fulfilled",
    "PICKED_UP_CLOSED": "picked_up",
}
WALK_IN = "WALKIN"


def normalize(request: Request) -> Iterator[Event]:
    told = payload(request)
    if kind_of(request, told) == "customer.update":
        yield from customer(request, told)
    elif kind_of(request, told) == "sale.update" and text(told, "status") in STATUS:
        yield sale(request, told)


def payload(request: Request) -> Mapping[str, Any]:
    """The object of the form. Raises PayloadMalformed."""
    found = parse_json(octets(request.params["payload"])) if request.params.get("payload") else {}
    return found if isinstance(found, dict) else {}


def kind_of(request: Request, told: Mapping[str, Any]) -> str:
    """As the form says it, which it need not; else by what only such an object has."""
    named = request.params.get("type", "")
    guessed = "sale.update" if "register_sale_products" in told or "sale_date" in told else ""
    return named or guessed or ("customer.update" if "customer_code" in told else "")


def sale(request: Request, told: Mapping[str, Any]) -> Event:
    number, back = required(told, "id"), is_return(told)
    state, moment = STATUS[text(told, "status")], moment_of(told, "updated_at", "sale_date")
    status = "returned" if back and state != "cancelled" else state
    return Event(
        type="return" if back else "order",
        channel="store",
        object=number,
        version=text(told, "version") or f"{status}@{moment}",
        actor="system",
        occurred_at=moment,
        identities=buyer(request, told),
        refs=refs_of(request, told),
        summary=summary_of(text(told, "invoice_number") or number, back, status),
        text=text(told, "note"),
        details=details(request, told, status),
        fields=names(request, pick(told, "customer")) if known(request, told) else {},
        link=link_of(request, f"register_sale/{number}"),
        provider_type="sale.return" if back else "sale.update",
    )


def summary_of(number: str, back: bool, status: str) -> str:
    ended = "" if status == "returned" else f" {shops.words(status)}"
    return f"{'Return' if back else 'Sale'} {number}{ended}"


def is_return(told: Mapping[str, Any]) -> bool:
    """Of an earlier sale, or nothing but lines that came back."""
    counts = [line.get("quantity") for line in objects(told, "register_sale_products")]
    found = [count for count in counts if isinstance(count, int | float)]
    return bool(text(told, "return_for")) or (bool(found) and max(found) < 0)


def refs_of(request: Request, told: Mapping[str, Any]) -> tuple[Ref, ...]:
    """What the receipt says, and the sale's id, by which a return names what it returns."""
    where, order = account(request), text(told, "source_id") if order_reference(request) else ""
    receipts = (text(told, "invoice_number"), text(told, "id"), text(told, "return_for"))
    found = [Ref("receipt", each, where) for each in dict.fromkeys(receipts) if each]
    return (*(Ref("order", each, where) for each in (order,) if each), *found)


def order_reference(request: Request) -> bool:
    return request.settings.get("source_id") == "order"


def details(request: Request, told: Mapping[str, Any], status: str) -> dict[str, Any]:
    currency = text(request.settings, "currency") or "EUR"
    total = pick(told, "totals", "total_payment") or pick(told, "totals", "total_price") or told.get("total_price")
    return {"status": status} | kept(
        number=text(told, "invoice_number"),
        total=money(total, currency).get("amount"),
        currency=currency,
        items=[
            shops.line(
                text(line, "name"),
                line.get("quantity") if isinstance(line.get("quantity"), int | float) else None,
                line.get("price"),
                currency,
                product=text(line, "product_id"),
            )
            for line in objects(told, "register_sale_products")
        ],
        payment=[text(each, "name") for each in objects(told, "register_sale_payments") if text(each, "name")],
        register=text(told, "register_id"),
        agent=text(told, "user", "display_name") or text(told, "user_name"),
        returns=text(told, "return_for"),
    )


def customer(request: Request, told: Mapping[str, Any]) -> Iterator[Event]:
    number, moment = required(told, "id"), moment_of(told, "updated_at", "created_at")
    if is_walk_in(request, number, told):
        return
    yield Event(
        type="identify",
        channel="store",
        object=number,
        version=text(told, "version") or moment,
        occurred_at=moment,
        identities=people(request, number, told),
        fields=names(request, told) | ({"consent_email": "denied"} if told.get("do_not_email") is True else {}),
        link=link_of(request, f"customer/{number}"),
        provider_type="customer.update",
    )


def buyer(request: Request, told: Mapping[str, Any]) -> tuple[Identity, ...]:
    number, record = text(told, "customer_id") or text(told, "customer", "id"), pick(told, "customer")
    return people(request, number, record) if known(request, told) else ()


def known(request: Request, told: Mapping[str, Any]) -> bool:
    """Whether it has a customer of whom we can tell that he is not the walk-in."""
    number, record = text(told, "customer_id") or text(told, "customer", "id"), pick(told, "customer")
    tellable = text(record, "customer_code") or text(request.settings, "walk_in_customer")
    return bool(number and tellable) and not is_walk_in(request, number, record)


def is_walk_in(request: Request, number: str, record: Any) -> bool:
    own = text(request.settings, "walk_in_customer")
    return text(record, "customer_code").upper() == WALK_IN or bool(own and number == own)


def people(request: Request, number: str, record: Any) -> tuple[Identity, ...]:
    """The record of the shop's customer, and what an assistant typed of him."""
    region = region_of(request, record)
    assurance = shops.assurance(request.settings, True)
    return present(
        scoped("shop", account(request), number, A2_ATTESTED),
        email_identity(of_contact(record, "email"), assurance),
        phone_identity(of_contact(record, "mobile"), region, assurance),
        phone_identity(of_contact(record, "phone"), region, A1_ASSERTED),
    )


def of_contact(record: Any, name: str) -> str:
    """In the record itself, or in its contact, as the two versions of the interface have it."""
    return text(record, name) or text(record, "contact", name)


def names(request: Request, record: Any) -> dict[str, str]:
    both = f"{of_contact(record, 'first_name')} {of_contact(record, 'last_name')}".strip()
    number = of_contact(record, "mobile") or of_contact(record, "phone")
    return kept(
        name=both or text(record, "name"),
        email=of_contact(record, "email"),
        phone=phone(number, region_of(request, record)),
    )


def region_of(request: Request, record: Any) -> str:
    found = text(record, "physical_country_id") or text(record, "contact", "physical_country_id")
    return found or request.region


def moment_of(told: Mapping[str, Any], *fields: str) -> str:
    """The first that is there; times without an offset are UTC."""
    name = next((field for field in fields if told.get(field)), fields[-1])
    return instant(told.get(name), name, "UTC")


def account(request: Request) -> str:
    own = text(request.settings, "account") or text(request.settings, "domain_prefix")
    return own or request.params.get("domain_prefix", "") or request.connection


def link_of(request: Request, page: str) -> str:
    prefix = text(request.settings, "domain_prefix").lower()
    return f"https://{prefix}.retail.lightspeed.app/{page}" if prefix.isalnum() and prefix.isascii() else ""


def delivery_key(request: Request) -> str | None:
    """Nothing names a delivery: a webhook that is sent again has the same bytes."""
    return digest(request.body)


VERIFY = one_of(
    "webhooks",
    by_app=hmac_signature(header="X-Signature", key_name="client_secret", prefix="signature=", separator=","),
    by_hand=path_secret(),
)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = b"type=sale.update&payload=%7B%22id%22%3A%22test%22%2C%22status%22%3A%22SAVED%22%7D"
    return VERIFY.sign(sample_request(url, settings, body, content_type="application/x-www-form-urlencoded"), secrets)


SOURCE = Source(
    name="Lightspeed Retail X-Series",
    channel="store",
    types=TYPES,
    normalize=normalize,
    verify=VERIFY,
    dedupe=delivery_key,
    own_system=True,
    settings={
        "webhooks": Setting(
            "Webhooks are made",
            default="by_app",
            choices=VERIFY.choices,
            help="by_app: signed; by_hand, on the page /setup/api: unsigned, so with a secret in the path",
        ),
        "domain_prefix": Setting("Domain prefix", help="tc of tc.retail.lightspeed.app; for links, and scope of ids"),
        "account": Setting("Shop", help="Scope of customer ids; default: the domain prefix"),
        "walk_in_customer": Setting(
            "Id of the walk-in customer",
            help="Whom sales without a customer are booked on. Unless it is set, a sale that tells only its "
            "customer's id is nobody's",
        ),
        "source_id": Setting(
            "Source id of a sale",
            default="ignored",
            choices=("ignored", "order"),
            help="order: it is the web shop's order number; name that connection in ref_scopes.order",
        ),
        "accounts": shops.accounts(
            "the shop checks the address and the mobile number of every record, so that they may join customers",
            title="Customer records",
        ),
        "currency": Setting("Currency", default="EUR", help="Of all amounts: sales do not name it"),
        "region": REGION,
    },
    secrets={
        "client_secret": Setting("Client secret", help="by_app: of the app that made the webhooks"),
        "path_secret": Setting("Path secret", help="by_hand: the webhook's URL is {hook_url}/<secret>"),
    },
    grade="unverified",
    unverified=(
        "the signature: X-Signature with signature=<hex of HMAC-SHA256 by the client secret over the body>",
        "the form's field type; without it sales and customers are told apart by their fields",
        "that the walk-in customer's code is WALKIN, and whether a sale has its customer in it",
        "that version rises with every change of a sale or a customer",
    ),
    setup=(
        "by_app: with the app's access, make webhooks for sale.update and customer.update to {hook_url}, and enter "
        "the app's client secret here",
        "by_hand: open /setup/api in the back office, make up a long path secret, enter it here, and make both "
        "webhooks to {hook_url}/<path secret>",
        "Look up the id of the customer Walk-in and enter it in walk_in_customer",
    ),
    docs="https://x-series-api.lightspeedhq.com/docs/webhooks",
    sample=sample,
)
