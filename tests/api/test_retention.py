"""Each connection keeps what it brought for as long as its owner says, and no reader shows it longer."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.context import record
from chalicelib.model import instants
from chalicelib.store import table as tables
from tests.api.client import Api, event, person
from tests.schedule import replaced

DAY_MS = 86_400_000


def ago(days: float) -> str:
    return instants.from_ms(instants.now_ms() - int(days * DAY_MS))


def later(days: float) -> Any:
    """The table's clock, that much ahead; DynamoDB itself has not removed anything yet."""
    now = tables.now_seconds()
    return tables, "now_seconds", lambda: now + int(days * 86_400)


def texts(api: Api, identity: str) -> list[str]:
    (found,) = api.get("/v1/customers", identity=identity)["customers"]
    return [each["text"] for each in api.get(f"/v1/customers/{found['id']}/timeline")["entries"]]


@pytest.fixture
def short(api: Api) -> str:
    settings = {"own_system": True, "retention_days": 10, "receipt_retention_days": 2}
    made: str = api.connect(settings=settings)["id"]
    return made


def test_events_and_receipts_go_when_their_connection_says(api: Api, short: str) -> None:
    who, long = person("phone", "+31670000001"), api.connect()["id"]
    api.record(short, event(1, ago(9), who))
    api.record(long, event(2, ago(8), who))
    assert texts(api, "phone:+31670000001") == ["message 2", "message 1"]
    with replaced(later(1.5)):
        assert texts(api, "phone:+31670000001") == ["message 2"], "ten days after it happened"
        assert len(api.get("/v1/receipts", connection=short)["receipts"]) == 1
    with replaced(later(2.5)):
        assert api.get("/v1/receipts", connection=short)["receipts"] == []
        assert len(api.get("/v1/receipts", connection=long)["receipts"]) == 1


def test_what_waits_under_a_ref_goes_as_well(api: Api, short: str) -> None:
    api.record(short, event(3, ago(9), refs=[{"kind": "order", "value": "R-670"}]))
    assert len(api.get("/v1/waiting", connection=short)["entries"]) == 1
    with replaced(later(1.5)):
        assert api.get("/v1/waiting", connection=short)["entries"] == []


def test_what_is_older_already_is_not_kept_at_all_and_its_receipt_says_so(api: Api, short: str) -> None:
    api.record(short, event(4, ago(11), person("phone", "+31670000002")))
    (receipt,) = api.get("/v1/receipts", connection=short)["receipts"]
    assert (receipt["verdict"], receipt["reason"]) == (
        "ignored",
        "occurred longer ago than this connection's events are kept",
    )
    assert api.get("/v1/customers", identity="phone:+31670000002")["match"] == "none"
    assert api.get(f"/v1/receipts/{receipt['id']}")["events"][0]["verdict"] == record.EXPIRED


@pytest.mark.parametrize("days", [0, 36_501, "10", 1.5, True])
def test_a_retention_that_cannot_be_is_refused(api: Api, days: object) -> None:
    asked = {"provider": "generic", "name": "x", "settings": {"retention_days": days}, "secrets": {"token": "t"}}
    assert "/settings/retention_days" in api.refused("POST", "/v1/connections", asked)
