"""Subscriptions at providers are prolonged before they end: once, whoever sweeps, and visibly where it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import sources
from chalicelib.ingest.receive import receive
from chalicelib.kit.http import Http
from chalicelib.kit.request import Request
from chalicelib.kit.source import Renewal
from chalicelib.model import instants
from chalicelib.model.connection import DISABLED, Connection
from chalicelib.settings import settings
from chalicelib.store import connections, ids, secrets
from chalicelib.store.table import DynamoTable, Item, Put, now_seconds
from chalicelib.workers import sweep
from tests.standins.ringcentral import RingCentral

HUB = "https://hub.example.nl"
PLAIN = {
    "verification_token": "vt-1",
    "path_secret": "p/1",
    "client_id": "rc-client",
    "client_secret": "rc-secret",
    "jwt": "eyJ.rc.jwt",
}
WEEK = 7 * 86400


@pytest.fixture
def table(memory_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoTable]:
    monkeypatch.setenv("DRAAD_PUBLIC_URL", HUB)
    monkeypatch.setenv("DRAAD_ALLOW_PRIVATE_DESTINATIONS", "1")
    settings.cache_clear()
    yield DynamoTable()
    settings.cache_clear()


@pytest.fixture
def vendor() -> Iterator[RingCentral]:
    with RingCentral() as running:
        assert isinstance(running, RingCentral)
        yield running


def connect(table: DynamoTable, vendor: RingCentral, **plain: str) -> Connection:
    number = ids.mint("con")
    sealed = {name: (secrets.encrypt(number, name, value),) for name, value in (PLAIN | plain).items() if value}
    found = {"base_url": vendor.url, "event_filters": ["/restapi/v1.0/account/~/telephony/sessions"]}
    made = Connection(
        id=number, provider="ringcentral", settings=found, secrets=sealed, created_at="2026-09-01T09:00:00.000Z"
    )
    assert connections.save(table, made)

    def tries(address: str, token: str) -> Mapping[str, str]:
        asked = Request("POST", address, (("Validation-Token", token),), b"", instants.now(), connection=number)
        given = receive(table, number, asked)
        return {**given.headers, "Content-Type": given.media_type}

    vendor.tries = tries
    return made


def state(table: DynamoTable, connection: Connection) -> Item:
    found = table.get((f"C#{connection.id}", "RENEW"))
    assert found
    return found


def wind_on(table: DynamoTable, connection: Connection, seconds: int) -> None:
    found = state(table, connection)
    table.write(Put(found | {"due": found["due"] - seconds}))


def posted(vendor: RingCentral, method: str) -> list[str]:
    return [call.path for call in vendor.calls if call.method == method and "oauth" not in call.path]


def test_it_is_made_through_the_handshake_then_left_alone_then_prolonged(
    table: DynamoTable, vendor: RingCentral
) -> None:
    connection = connect(table, vendor)
    began = now_seconds()
    sweep.take()
    ((name, made),) = vendor.subscriptions.items()
    assert made["deliveryMode"] == {
        "transportType": "WebHook",
        "address": f"{HUB}/hooks/{connection.id}/p%2F1",
        "verificationToken": "vt-1",
    }
    found = state(table, connection)
    assert found["ends"] == made["expirationTime"] and found["n"] == 0
    assert began + WEEK - 86400 - 1 <= found["due"] <= now_seconds() + WEEK - 86400

    before = len(vendor.calls)
    sweep.take()
    assert len(vendor.calls) == before

    wind_on(table, connection, WEEK)
    vendor.subscriptions[name]["expirationTime"] = "2026-01-01T00:00:00.000Z"
    sweep.take()
    assert posted(vendor, "PUT") == [f"/restapi/v1.0/subscription/{name}"]
    assert list(vendor.subscriptions) == [name]
    assert state(table, connection)["ends"] == vendor.subscriptions[name]["expirationTime"] > instants.now()


def test_a_blacklisted_one_is_made_anew_and_those_of_others_stay(table: DynamoTable, vendor: RingCentral) -> None:
    connection = connect(table, vendor)
    sweep.take()
    (name,) = vendor.subscriptions
    vendor.subscriptions[name]["status"] = "Blacklisted"
    other = {"id": "else", "status": "Blacklisted", "deliveryMode": {"address": f"{HUB}/hooks/{connection.id}x/s"}}
    vendor.subscriptions["else"] = other
    wind_on(table, connection, WEEK)
    sweep.take()
    assert name not in vendor.subscriptions and vendor.subscriptions["else"] == other
    (new,) = vendor.subscriptions.keys() - {"else"}
    assert vendor.subscriptions[new]["status"] == "Active"


def test_a_failure_is_shown_and_tried_later_and_later(table: DynamoTable, vendor: RingCentral) -> None:
    connection = connect(table, vendor)
    vendor.behave("status", status=503)
    for tries in range(1, 9):
        began = now_seconds()
        sweep.take()
        found = state(table, connection)
        assert (found["n"], found["ends"]) == (tries, "")
        later = min(3600, 60 * 2 ** (tries - 1))
        assert began + later <= found["due"] <= now_seconds() + later
        wind_on(table, connection, 3600)
    (first, *_) = connections.refusals(table, connection.id)
    assert first["reason"].startswith("the subscription is not renewed: HTTP 503")
    vendor.behave()
    sweep.take()
    assert state(table, connection)["n"] == 0 and len(vendor.subscriptions) == 1


@pytest.mark.parametrize(("plain", "why"), [({"client_secret": "wrong"}, "HTTP 401"), ({"jwt": "expired"}, "HTTP 401")])
def test_wrong_credentials_are_shown(table: DynamoTable, vendor: RingCentral, plain: dict[str, str], why: str) -> None:
    connection = connect(table, vendor, **plain)
    sweep.take()
    (first,) = connections.refusals(table, connection.id)
    assert why in first["reason"] and "rc-client" not in first["reason"]
    assert vendor.subscriptions == {}


def test_nothing_is_asked_of_the_disabled_nor_without_credentials(table: DynamoTable, vendor: RingCentral) -> None:
    connect(table, vendor, jwt="")
    disabled = connect(table, vendor)
    assert connections.save(table, _with(disabled, status=DISABLED))
    sweep.take()
    assert vendor.calls == []


def _with(connection: Connection, **changed: Any) -> Connection:
    import msgspec

    return msgspec.structs.replace(connection, ver=connection.ver + 1, **changed)


def declared(monkeypatch: pytest.MonkeyPatch, ask: Any, **more: Any) -> None:
    source = replace(sources.load("ringcentral"), renew=Renewal("https://vendor.example", ask, **more))
    monkeypatch.setattr(sweep, "source_of", lambda provider: source)


def test_two_sweeps_at_once_ask_once(table: DynamoTable, vendor: RingCentral, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, asked = connect(table, vendor), []

    def ask(http: Http, hook_url: str) -> str:
        asked.append(hook_url)
        sweep.take()
        return "2031-01-01T00:00:00.000Z"

    declared(monkeypatch, ask)
    sweep.take()
    assert asked == [f"{HUB}/hooks/{connection.id}"]
    assert state(table, connection)["ends"] == "2031-01-01T00:00:00.000Z"


def test_a_sweep_that_dies_while_it_asks_leaves_it_due(
    table: DynamoTable, vendor: RingCentral, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, asked = connect(table, vendor), []

    def ask(http: Http, hook_url: str) -> str:
        asked.append(hook_url)
        if len(asked) == 1:
            raise SystemExit
        return "2031-01-01T00:00:00.000Z"

    declared(monkeypatch, ask)
    with pytest.raises(SystemExit):
        sweep.take()
    sweep.take()
    assert len(asked) == 1
    wind_on(table, connection, sweep.LEASE)
    sweep.take()
    assert len(asked) == 2 and state(table, connection)["n"] == 0


@pytest.mark.parametrize(("ends", "after"), [(3600, 1800), (100, 60), (-5, 60), (86400, 86400 - 7200), (7300, 100)])
def test_what_lives_shorter_than_it_is_asked_ahead_is_asked_half_way(
    table: DynamoTable, vendor: RingCentral, monkeypatch: pytest.MonkeyPatch, ends: int, after: int
) -> None:
    connection = connect(table, vendor)
    began = now_seconds()
    moment = instants.from_ms((began + ends) * 1000)
    declared(monkeypatch, lambda http, hook_url: moment, ahead=7200)
    sweep.take()
    assert began + after <= state(table, connection)["due"] <= now_seconds() + after


@pytest.mark.parametrize("ends", ["", "soon", "9" * 400])
def test_a_moment_that_is_none_is_a_failure(
    table: DynamoTable, vendor: RingCentral, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    connection = connect(table, vendor)
    declared(monkeypatch, lambda http, hook_url: ends)
    sweep.take()
    assert state(table, connection)["n"] == 1 and connections.refusals(table, connection.id)


def test_without_our_own_address_it_is_a_failure_that_says_so(
    table: DynamoTable, vendor: RingCentral, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(table, vendor)
    monkeypatch.delenv("DRAAD_PUBLIC_URL")
    settings.cache_clear()
    sweep.take()
    assert "DRAAD_PUBLIC_URL" in connections.refusals(table, connection.id)[0]["reason"]
    assert vendor.calls == []


def test_a_slow_provider_does_not_hold_up_the_sweep(
    table: DynamoTable, vendor: RingCentral, monkeypatch: pytest.MonkeyPatch
) -> None:
    several, clock = [connect(table, vendor) for _ in range(4)], [0.0]
    monkeypatch.setattr(sweep.time, "monotonic", lambda: clock[0])

    def ask(http: Http, hook_url: str) -> str:
        clock[0] += sweep.RENEWING_SECONDS / 2
        return "2031-01-01T00:00:00.000Z"

    declared(monkeypatch, ask)
    sweep.take()
    asked = [each for each in several if table.get((f"C#{each.id}", "RENEW"))]
    assert len(asked) == 2
    clock[0] = 0.0
    sweep.take()
    assert all(state(table, each)["ends"] for each in several)
