"""Look-ups that need an access token: real exchanges with a vendor on loopback."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import settings as settings_module
from chalicelib.errors import FetchDelayed, Rejected
from chalicelib.ingest import fetch, grants
from chalicelib.kit import wire
from chalicelib.kit.request import Request
from chalicelib.kit.source import Fetch, Grant
from tests.standins.server import Answer, Call, Standin

REQUEST = Request("POST", "https://hub.example.nl/hooks/con_1", (), b"", "2026-09-01T12:00:00.000Z", connection="con_1")


class Vendor(Standin):
    """Gives a token to whoever knows the secret, and its orders to whoever shows the newest token."""

    lasts: Any = 299
    given = 0

    def reset(self) -> None:
        self.given, self.lasts = 0, 299

    def answer(self, call: Call) -> Answer:
        if call.path != "/token":
            known = call.headers.get("authorization") == f"Bearer token-{self.given}"
            return Answer(200, {"orderId": "1"}) if known else Answer(401, {})
        pair = base64.b64encode(b"draad:geheim").decode()
        if call.headers.get("authorization") != f"Basic {pair}" or call.body != b"grant_type=client_credentials":
            return Answer(401, {})
        self.given += 1
        return Answer(200, {"access_token": f"token-{self.given}", "token_type": "Bearer", "expires_in": self.lasts})


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    monkeypatch.setattr(settings_module, "settings", lambda: SimpleNamespace(allow_private_destinations=True))
    monkeypatch.setattr(grants, "_tokens", {})
    with Vendor() as running:
        yield running
    wire.close_all()


def wanted(vendor: Vendor, secret: str = "geheim") -> Fetch:
    return Fetch("order", "/orders/1", vendor.url, grant=Grant(f"{vendor.url}/token", "draad", secret))


def test_a_token_is_asked_for_once(vendor: Vendor) -> None:
    assert [fetch._ask(wanted(vendor), REQUEST) for _ in range(3)] == [{"orderId": "1"}] * 3
    assert vendor.given == 1


@pytest.mark.parametrize("lasts", [20, 0, -1, None, "299", True, 10**9])
def test_a_token_that_is_about_to_expire_or_does_not_say_so_is_used_once(vendor: Vendor, lasts: Any) -> None:
    vendor.lasts = lasts
    assert [fetch._ask(wanted(vendor), REQUEST) for _ in range(2)] == [{"orderId": "1"}] * 2
    assert vendor.given == 2


def test_who_is_refused_a_token_is_told_nothing(vendor: Vendor) -> None:
    found = fetch._ask(wanted(vendor, "verkeerd"), REQUEST)
    assert found["missing"] and found["at"] == REQUEST.received_at
    assert vendor.given == 0


def test_a_vendor_that_cannot_give_a_token_now_is_asked_again(vendor: Vendor) -> None:
    vendor.behave("status", status=503, times=1, path="/token")
    with pytest.raises(FetchDelayed):
        fetch._ask(wanted(vendor), REQUEST)
    assert fetch._ask(wanted(vendor), REQUEST) == {"orderId": "1"}


def test_an_answer_without_a_token_is_none() -> None:
    for answer in ({}, [], None, {"access_token": ""}, {"access_token": 1}):
        with pytest.raises(Rejected):
            grants._read(answer)


def test_a_grant_does_not_show_its_secret() -> None:
    assert "geheim" not in repr(Grant("https://login.example.nl/token", "draad", "geheim"))
