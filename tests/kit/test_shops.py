"""Shops: an order's facts, whose addresses are attested, and when a payment's customer is the shop's."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.kit import shops
from chalicelib.model.event import Ref

AT = "2026-09-01T12:00:00.000Z"


def test_that_an_order_was_made_is_one_fact_and_each_later_state_another() -> None:
    made = shops.order("7", "created", AT, "orders/create")
    assert (made.version, made.actor, made.summary) == ("created", "customer", "Order 7 created")
    held = shops.order("7", "on_hold", AT, "orders/updated", "#1007", channel="store")
    assert (held.version, held.actor, held.summary) == (f"on_hold@{AT}", "system", "Order #1007 on hold")
    assert held.object == made.object and held.channel == "store"


def test_a_shipment_has_its_status_among_its_details() -> None:
    sent = shops.shipment("3", "in_transit", AT, "shipment", details={"carrier": "PostNL"}, version=AT)
    assert sent.details == {"status": "in_transit", "carrier": "PostNL"} and sent.version == AT
    assert (sent.type, sent.direction, sent.actor) == ("fulfilment", "out", "system")
    assert shops.shipment("3", "delivered", AT, "shipment").version == f"delivered@{AT}"


@pytest.mark.parametrize(
    ("settings", "account", "expected"),
    [
        ({}, True, 1),
        ({"accounts": "verified"}, True, 2),
        ({"accounts": "verified"}, False, 1),
        ({"accounts": []}, True, 1),
    ],
)
def test_only_addresses_of_checked_accounts_are_attested(settings: Any, account: bool, expected: int) -> None:
    assert shops.assurance(settings, account) == expected
    assert shops.ACCOUNTS.choices == ("unverified", "verified")


def test_a_line_tells_what_is_known() -> None:
    assert shops.line("Trui", 2, "59.95", "EUR", sku="t-1") == {
        "title": "Trui",
        "quantity": 2,
        "price": "59.95",
        "sku": "t-1",
    }
    assert shops.line("", None, "x", "", sku="") == {}


def test_an_order_is_named_once_by_each_of_its_numbers() -> None:
    assert shops.refs("tc", "7", "", "7", "1007") == (Ref("order", "7", "tc"), Ref("order", "1007", "tc"))


def test_a_payment_is_the_shops_where_its_order_is_and_the_shop_is_known() -> None:
    named = {"ref_scopes": {"order": "con_shop"}}
    assert shops.placed(named, "7")
    assert not shops.placed(named, "") and not shops.placed({}, "7") and not shops.placed({"ref_scopes": []}, "7")
