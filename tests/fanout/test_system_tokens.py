"""Tokens that a system gives for a while: asked for once, whoever needs one, and anew when they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.errors import Delayed, Unauthorized
from chalicelib.fanout import grants
from chalicelib.kit.destination import Destination
from chalicelib.kit.grant import Token
from chalicelib.model.connection import Connection
from chalicelib.store import secrets, table
from tests.schedule import MemoryTable, replaced

CRM = Connection(id="con_crm", provider="crm", settings={"base_url": "https://crm.example"})
PLAIN = {"client_secret": ("s-1",), "refresh_token": ("r-0",)}


class Vendor:
    """Gives numbered tokens, each with the next refresh token."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: Exception | None = None
        self.seconds = 3600

    def grant(self, http: Any) -> Token:
        if self.fails:
            raise self.fails
        self.asked.append(http.secrets["refresh_token"][0])
        number = len(self.asked)
        return Token(f"t-{number}", self.seconds, "https://eu7.crm.example", {"refresh_token": f"r-{number}"})

    @property
    def declared(self) -> Destination:
        return Destination("CRM", "https://crm.example", lambda s, t: {}, grant=self.grant)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    sealed: dict[str, str] = {}

    def encrypt(connection: str, name: str, value: str) -> str:
        sealed[f"sealed {len(sealed)}"] = value
        return f"sealed {len(sealed) - 1}"

    grants.forget()
    with replaced((secrets, "encrypt", encrypt), (secrets, "decrypt", lambda c, n, text: sealed[text])):
        yield Vendor()
    grants.forget()


def test_one_token_serves_all_workers_and_is_never_in_clear(vendor: Vendor) -> None:
    shared = MemoryTable()
    first = grants.held(shared, CRM, vendor.declared, PLAIN)
    grants.forget()  # another container
    second = grants.held(shared, CRM, vendor.declared, PLAIN)
    assert (first.value, second.value, vendor.asked) == ("t-1", "t-1", ["r-0"])
    assert "t-1" not in repr(shared.rows) and "r-1" not in repr(shared.rows)
    joined = grants.joined(PLAIN, second)
    assert (joined["access_token"], joined["refresh_token"], joined["client_secret"]) == (("t-1",), ("r-1",), ("s-1",))
    assert second.base_url == "https://eu7.crm.example"


def test_a_token_is_asked_anew_shortly_before_it_ends_with_what_was_kept(vendor: Vendor) -> None:
    shared = MemoryTable()
    grants.held(shared, CRM, vendor.declared, PLAIN)
    now = table.now_seconds()
    later = (grants, "now_seconds", lambda: now + 3600 - grants.SPARE_SECONDS)
    with replaced(later):
        assert grants.held(shared, CRM, vendor.declared, PLAIN).value == "t-2"
    assert vendor.asked == ["r-0", "r-1"]


def test_a_refused_token_is_dropped_once_however_many_were_refused(vendor: Vendor) -> None:
    shared = MemoryTable()
    old = grants.held(shared, CRM, vendor.declared, PLAIN)
    grants.refused(shared, CRM.id, old)
    new = grants.held(shared, CRM, vendor.declared, PLAIN)
    grants.refused(shared, CRM.id, old)
    assert grants.held(shared, CRM, vendor.declared, PLAIN).value == new.value == "t-2"


def test_while_one_worker_asks_the_others_come_back(vendor: Vendor) -> None:
    shared = MemoryTable()

    def grant(http: Any) -> Token:
        grants.forget()
        with pytest.raises(Delayed) as busy:
            grants.held(shared, CRM, vendor.declared, PLAIN)
        assert busy.value.retry_after == 2
        return Token("mine", 3600)

    assert grants.held(shared, CRM, Destination("CRM", "", lambda s, t: {}, grant=grant), PLAIN).value == "mine"
    assert vendor.asked == []


def test_who_died_while_asking_blocks_nobody_for_long(vendor: Vendor) -> None:
    shared = MemoryTable()
    vendor.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        grants.held(shared, CRM, vendor.declared, PLAIN)
    vendor.fails = None
    with pytest.raises(Delayed):
        grants.held(shared, CRM, vendor.declared, PLAIN)
    now = table.now_seconds()
    with replaced((grants, "now_seconds", lambda: now + grants.LEASE_SECONDS + 1)):
        assert grants.held(shared, CRM, vendor.declared, PLAIN).value == "t-1"


def test_refused_credentials_are_told_and_free_the_lease(vendor: Vendor) -> None:
    shared = MemoryTable()
    vendor.fails = Unauthorized("HTTP 401 from login.example")
    for _ in range(2):
        with pytest.raises(Unauthorized):
            grants.held(shared, CRM, vendor.declared, PLAIN)
