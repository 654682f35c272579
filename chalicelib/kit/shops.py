"""What shops, marketplaces and payment providers have in common: orders, shipments, lines, whose accounts are checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.kit.fields import money
from chalicelib.kit.shape import kept, pick
from chalicelib.kit.source import Setting
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED


def accounts(verified: str, title: str = "Customer accounts") -> Setting:
    """The setting `accounts`, on which `assurance` rests; `verified` says what the shop then promises."""
    help_ = f"verified: {verified}"
    return Setting(title, default="unverified", choices=("unverified", "verified"), help=help_)


ACCOUNTS = accounts("the shop checks the mail address of every account, so that it may join customers")
RECORDS = accounts(
    "whoever has a customer record had his mail address checked by the shop, so that it may join customers"
)


def assurance(settings: Mapping[str, Any], account: bool) -> int:
    """Of a buyer's addresses: attested only where he has an account and the shop checks those."""
    return A2_ATTESTED if account and settings.get("accounts") == "verified" else A1_ASSERTED


def order(number: str, status: str, moment: str, kind: str, called: str = "", **more: Any) -> Event:
    """An order that is in this status since that moment. That it was made is one fact, whatever tells it, and the
    customer's own. `called`: its number as people quote it. `more`: further fields of the event, or other ones."""
    created = status == "created"
    usual = {
        "type": "order",
        "channel": "web",
        "object": number,
        "version": status if created else f"{status}@{moment}",
        "actor": "customer" if created else "system",
        "occurred_at": moment,
        "summary": f"Order {called or number} {words(status)}",
        "provider_type": kind,
    }
    return Event(**(usual | more))


def shipment(number: str, status: str, moment: str, kind: str, called: str = "", **more: Any) -> Event:
    """`more`: further fields of the event, or other ones."""
    usual = {
        "type": "fulfilment",
        "channel": "web",
        "direction": "out",
        "actor": "system",
        "object": number,
        "version": f"{status}@{moment}",
        "occurred_at": moment,
        "summary": f"Shipment {called or number} {words(status)}",
        "provider_type": kind,
    }
    details = {"status": status} | more.pop("details", {})
    return Event(**(usual | more), details=details)


def line(title: str, quantity: Any, price: Any, currency: str, **more: Any) -> dict[str, Any]:
    """A line of an order; `more` are its other details, such as `sku`."""
    return kept(title=title, quantity=quantity, price=money(price, currency).get("amount"), **more)


def refs(account: str, *orders: str) -> tuple[Ref, ...]:
    """An order by each of the numbers that name it."""
    return tuple(Ref("order", each, account) for each in dict.fromkeys(orders) if each)


def placed(settings: Mapping[str, Any], number: str) -> bool:
    """Whether the shop's order tells whose a payment is: a customer record of the payment provider would be a customer
    beside the shop's own."""
    return bool(number and pick(settings, "ref_scopes", "order"))


def words(status: str) -> str:
    return status.replace("_", " ")
