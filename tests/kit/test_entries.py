"""Batches of entries: every part of every account once, in order, and nothing of what has another shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.kit.entries import Part, Posted, parts
from chalicelib.kit.request import Request
from chalicelib.kit.signatures import hmac_signature

BATCH: dict[str, Any] = {
    "entry": [
        {
            "id": 11,
            "time": 1,
            "messaging": [{"n": 1}, "x", {"n": 2}],
            "standby": [{"n": 3}],
            "changes": [
                {"field": "feed", "value": {"n": 4}},
                {"field": "feed", "value": []},
                {"value": {"n": 5}},
            ],
        },
        {"id": "22", "field": "comments", "value": {"n": 6}},
        {"messaging": [{"n": 7}]},
        "x",
    ]
}


def numbers(*lists: str, account: str = "") -> list[Any]:
    return [part.value["n"] for part in parts(BATCH, *lists, account=account)]


def test_parts_come_in_order_and_once() -> None:
    assert numbers("messaging", "standby") == [1, 2, 3, 4, 5, 6, 7]
    assert numbers() == [4, 5, 6]
    assert next(iter(parts(BATCH))) == Part("11", "feed", 1, {"n": 4})
    assert [part.name for part in parts(BATCH)] == ["feed", "", "comments"]


def test_another_account_is_left_out_and_an_entry_of_nobody_is_not() -> None:
    assert numbers("messaging", "standby", account="11") == [1, 2, 3, 4, 5, 7]
    assert numbers("messaging", account="22") == [6, 7]


def test_a_test_of_the_console_is_left_out() -> None:
    assert list(parts({"entry": [{"id": "0", "changes": BATCH["entry"][0]["changes"]}]})) == []


@pytest.mark.parametrize("document", [None, [], "x", {}, {"entry": {}}, {"entry": [None, 1, {"changes": {"x": 1}}]}])
def test_another_shape_has_no_parts(document: Any) -> None:
    assert list(parts(document, "messaging")) == []


def test_only_a_post_is_judged_by_its_signature() -> None:
    verify, secrets = Posted(hmac_signature(header="X-Signature")), {"signing_secret": ("s",)}
    post = Request("POST", "https://hub.example.nl/hooks/con_1", (), b"{}", "2026-09-01T12:00:00.000Z")
    signed = verify.sign(post, secrets)
    assert verify(signed, secrets) is None
    assert verify(post, secrets) and verify(replace(signed, body=b"[]"), secrets)
    assert verify(replace(signed, method="GET"), secrets) == "no handshake with the verify_token"
