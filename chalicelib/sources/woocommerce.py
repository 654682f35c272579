"""WooCommerce webhooks. https://woocommerce.com/document/webhooks/

The delivery id is made of the second, so a retry has another one and two webhooks share one: what a
webhook tells is known by topic, id and date_modified_gmt. A shop decodes HTML entities in its secret
before it signs, so the secret counts as typed and as decoded. `order.created` may be sent when the
order is paid already; it is `created` all the same, at the order's own moment. What was deleted comes
without a moment and yields nothing. Refunds have no moment either: they are details of the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import shops
from chalicelib.kit.fields import email_identity, instant, money, phone, phone_identity, plain, present, scoped
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import joined, kept, objects, pick, required, text, unescaped
from chalicelib.kit.signatures import ALGORITHMS, HmacSignature, keys_of
from chalicelib.kit.source import REGION, Answer, Secrets, Setting, Source
from chalicelib.model.event import Event
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

TYPES = {
    "order.created": "order",
    "order.updated": "order",
    "order.restored": "order",
    "customer.created": "identify",
    "customer.updated": "identify",
}
NO_ORDER_YET = frozenset({"checkout-draft", "auto-draft", "draft"})
STATUS = {"trash": "deleted", "on-hold": "on_hold"}
CUSTOMERS = frozenset({"", "customer", "subscriber"})
PING = pattern(rb"webhook_id=[0-9]{1,20}\Z")
OBJECT_ID = pattern(rb'\s*\{\s*"id"\s*:\s*([0-9]{1,20})\b')
MODIFIED = pattern(rb'"date_modified_gmt"\s*:\s*"([0-9T:-]{19})"')
ENTITY = pattern(r"&(?:amp|lt|gt|quot|#0*(?:38|60|62|34|39)|#[xX]0*(?:26|3[cC]|3[eE]|22|27));")


def normalize(request: Request) -> Iterator[Event]:
    topic = topic_of(request)
    if topic not in TYPES:
        return
    if topic.startswith("customer."):
        yield from customer(request, topic)
    elif text(request.object, "status") not in NO_ORDER_YET:
        yield order(request, topic)


def order(request: Request, topic: str) -> Event:
    body, shop = request.object, shop_of(request)
    number, (status, moment) = order_number(request), order_fact(body, topic)
    return shops.order(
        required(body, "id"),
        status,
        moment,
        topic,
        text(body, "number") or number,
        identities=buyer(request, shop),
        refs=shops.refs(shop, number),
        text=text(body, "customer_note") if status == "created" else "",
        details=order_details(body, status),
        fields=names(body.get("billing"), text(body, "billing", "email"), region_of(request, body)),
        link=link_of(body, f"post.php?post={required(body, 'id')}&action=edit"),
    )


def order_number(request: Request) -> str:
    """What people and payment providers quote. A plugin may make it another one than the id."""
    body, own = request.object, request.settings.get("order_reference") == "id"
    return required(body, "id") if own else text(body, "number") or required(body, "id")


def order_fact(body: Mapping[str, Any], topic: str) -> tuple[str, str]:
    """What happened to the order, and when."""
    created, modified = moment_of(body, "date_created"), moment_of(body, "date_modified", "date_created")
    if topic == "order.created" or (topic == "order.updated" and created == modified):
        return "created", created
    status = text(body, "status").replace("wc-", "", 1)
    return STATUS.get(status, status) or "updated", modified


def order_details(body: Mapping[str, Any], status: str) -> dict[str, Any]:
    currency = text(body, "currency")
    items = [
        shops.line(text(line, "name"), line.get("quantity"), line.get("price"), currency, sku=text(line, "sku"))
        for line in objects(body, "line_items")
    ]
    refunds = [
        kept(id=text(each, "id"), amount=text(each, "total").lstrip("-"), reason=text(each, "reason"))
        for each in objects(body, "refunds")
    ]
    return {"status": status} | kept(
        number=text(body, "number"),
        total=money(body.get("total"), currency).get("amount"),
        currency=currency,
        items=items,
        payment="paid" if body.get("date_paid_gmt") else "pending",
        payment_method=text(body, "payment_method_title"),
        shipping=[text(each, "method_title") for each in objects(body, "shipping_lines") if text(each, "method_title")],
        refunds=refunds,
    )


def customer(request: Request, topic: str) -> Iterator[Event]:
    """An account. Those of the staff are nobody's customers."""
    body, shop = request.object, shop_of(request)
    if text(body, "role") not in CUSTOMERS:
        return
    moment, number = moment_of(body, "date_modified", "date_created"), required(body, "id")
    assurance, region = assurance_of(request, number), region_of(request, body)
    yield Event(
        type="identify",
        channel="web",
        object=number,
        version=moment,
        occurred_at=moment,
        identities=present(
            scoped("shop", shop, number, A2_ATTESTED),
            email_identity(body.get("email"), assurance),
            email_identity(pick(body, "billing", "email"), A1_ASSERTED),
            phone_identity(pick(body, "billing", "phone"), region, A1_ASSERTED),
        ),
        fields=names(body.get("billing"), text(body, "email"), region) | account_name(body),
        link=link_of(body, f"user-edit.php?user_id={number}"),
        provider_type=topic,
    )


def buyer(request: Request, shop: str) -> tuple[Identity, ...]:
    """The account, 0 for a guest; the buyer's addresses; and as a candidate the phone of where it goes."""
    body, region = request.object, region_of(request, request.object)
    assurance = assurance_of(request, body.get("customer_id"))
    return present(
        scoped("shop", shop, body.get("customer_id"), A2_ATTESTED),
        email_identity(pick(body, "billing", "email"), assurance),
        phone_identity(pick(body, "billing", "phone"), region, assurance),
        phone_identity(pick(body, "shipping", "phone"), region, A1_ASSERTED),
    )


def names(address: Any, email: str, region: str) -> dict[str, str]:
    name = joined(address, "first_name", "last_name")
    return kept(name=name, email=email, phone=phone(pick(address, "phone"), region))


def account_name(body: Mapping[str, Any]) -> dict[str, str]:
    return kept(name=joined(body, "first_name", "last_name"))


def moment_of(body: Mapping[str, Any], *fields: str) -> str:
    """The first of the moments that is there, in UTC; those without `_gmt` are in the shop's own time."""
    name = next((f"{field}_gmt" for field in fields if body.get(f"{field}_gmt")), f"{fields[-1]}_gmt")
    return instant(body.get(name), name, "UTC")


def assurance_of(request: Request, customer_id: Any) -> int:
    """Addresses of an account are attested only where the shop verifies them."""
    return shops.assurance(request.settings, bool(plain(customer_id).strip("0")))


def region_of(request: Request, body: Mapping[str, Any]) -> str:
    found = text(body, "billing", "country") or text(body, "shipping", "country")
    return found or request.region


def home_of(body: Mapping[str, Any]) -> str:
    """The shop's own address, as the signed body says it."""
    address = next((text(each, "href") for each in objects(body, "_links", "self")), "")
    return address.partition("/wp-json/")[0] if address.startswith("https://") and "/wp-json/" in address else ""


def link_of(body: Mapping[str, Any], page: str) -> str:
    return f"{home_of(body)}/wp-admin/{page}" if home_of(body) else ""


def shop_of(request: Request) -> str:
    home = home_of(request.object).removeprefix("https://").lower()
    source = (request.header("x-wc-webhook-source") or "").partition("://")[2].strip("/").lower()
    return text(request.settings, "account") or home or source or request.connection


def topic_of(request: Request) -> str:
    return (request.header("x-wc-webhook-topic") or "").strip().lower()


def delivery_key(request: Request) -> str | None:
    """Topic, id and moment, read off the bytes: this never raises."""
    found, modified = OBJECT_ID.match(request.body), MODIFIED.search(request.body)
    told = (topic_of(request), found[1].decode(), modified[1].decode()) if found and modified else ()
    return ":".join(told) or None


def ping(request: Request, secrets: Secrets) -> Answer | None:
    """The unsigned form that a shop sends when a webhook is saved; it insists on a 200."""
    signed = request.header("x-wc-webhook-signature") is not None
    asked = request.method == "POST" and not signed and PING.match(request.body)
    return Answer("") if asked else None


def scheme(settings: Mapping[str, Any]) -> HmacSignature:
    return HmacSignature(
        header="x-wc-webhook-signature",
        key_name="secret",
        algorithm=text(settings, "algorithm") or "sha256",
        encoding="base64",
    )


def verify(request: Request, secrets: Secrets) -> str | None:
    typed = keys_of(secrets, "secret")
    both = dict.fromkeys([*typed, *(decoded(each) for each in typed)])
    return scheme(request.settings)(request, {"secret": tuple(both)})


def decoded(secret: str) -> str:
    return ENTITY.sub(lambda found: unescaped(found[0]), secret)


def sign(request: Request, secrets: Secrets) -> Request:
    return scheme(request.settings).sign(request, {"secret": tuple(map(decoded, keys_of(secrets, "secret")))})


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"id":1,"number":"1","status":"pending","currency":"EUR","total":"1.00","customer_id":0,'
        b'"date_created_gmt":"2026-01-01T11:00:00","date_modified_gmt":"2026-01-01T11:00:00"}'
    )
    return sign(sample_request(url, settings, body, x_wc_webhook_topic="order.created"), secrets)


SOURCE = Source(
    name="WooCommerce",
    channel="web",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    dedupe=delivery_key,
    handshake=ping,
    handshake_first=True,
    handshake_open=True,
    own_system=True,
    settings={
        "account": Setting("Shop", help="Scope of customer ids; default: the shop's own domain"),
        "accounts": shops.accounts(
            "the shop checks the mail address of every account, and an order's is the account's, so that it may join "
            "customers"
        ),
        "order_reference": Setting(
            "Orders are quoted by",
            default="number",
            choices=("number", "id"),
            help="They differ only where a plugin numbers the orders",
        ),
        "algorithm": Setting(
            "HMAC algorithm", default="sha256", choices=ALGORITHMS, help="Another one only where a plugin changed it"
        ),
        "region": REGION,
    },
    secrets={"secret": Setting("Secret", required=True, help="Of the webhook")},
    unverified=("the page of an order in the administration, where orders have tables of their own",),
    setup=(
        "WooCommerce, Settings, Advanced, Webhooks: make one webhook for each of the topics order created, order "
        "updated, order restored, customer created and customer updated, with {hook_url} as delivery URL",
        "Give all of them the same secret and enter it here; saving sends a ping, which is answered",
        "After five failures in a row the shop disables a webhook by itself, and it never repeats one: keep an eye "
        "on its status",
    ),
    docs="https://woocommerce.com/document/webhooks/",
    sample=sample,
)
