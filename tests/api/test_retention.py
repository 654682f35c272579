"""Each connection keeps what it brought for as long as its owner says, and no reader shows it longer."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from chalicelib.context import record
from chalicelib.model import instants
from chalicelib.settings import settings
from chalicelib.store import aws, blobs
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


def bodies(api: Api) -> list[str]:
    """What lies in the bucket."""
    found = aws.call("s3", "list_objects_v2", Bucket=settings().bucket).get("Contents", [])
    return sorted(each["Key"] for each in found)


def large(number: int, who: dict[str, str]) -> dict[str, Any]:
    """Too large for the queue and for the table; random, so that packing does not make it small."""
    noise = base64.b64encode(random.Random(number).randbytes(250_000)).decode()
    return event(number, ago(1), who, noise=noise)


def test_a_large_body_goes_with_its_receipt_and_erasing_leaves_none_wherever_it_lay(api: Api, short: str) -> None:
    """Not even the copy from before somebody changed how long receipts are kept."""
    who, other = person("phone", "+31670000009"), person("phone", "+31670000010")
    api.record(short, large(5, who), large(6, other))
    assert [key.split("/")[:2] for key in bodies(api)] == [["inbox", short]] * 2 + [["receipts", "2d"]] * 2
    api.call("PATCH", f"/v1/connections/{short}", 200, {"settings": {"own_system": True, "receipt_retention_days": 40}})
    found = api.get("/v1/receipts", connection=short)["receipts"]
    mine = next(each for each in found if '"m5"' in str(api.get(f"/v1/receipts/{each['id']}")["body"]))
    api.call("POST", f"/v1/receipts/{mine['id']}/replay", 202)
    api.work()
    assert [key.split("/")[1] for key in bodies(api) if key.startswith("receipts/")] == ["2d", "2d", "45d"]
    (customer,) = api.get("/v1/customers", identity="phone:+31670000009")["customers"]
    erasure = api.call("POST", f"/v1/customers/{customer['id']}/erase", 202, {})["erasure"]
    api.work()
    assert {"what": "receipts and bodies", "result": "blanked"}.items() <= next(
        line for line in api.get(f"/v1/erasures/{erasure}")["lines"] if line["what"] == "receipts and bodies"
    ).items()
    left = bodies(api)
    assert [key.split("/")[:2] for key in left] == [["inbox", short], ["receipts", "2d"]], "the other one's"
    assert len({key.rpartition("/")[2] for key in left}) == 1


def test_objects_go_together_whether_or_not_they_were_there(live_stage: dict[str, str]) -> None:
    """On an AWS that speaks S3 over the wire."""
    for key in ("receipts/30d/a/1", "receipts/30d/a/2", "inbox/a/1"):
        blobs.put(key, b"body")
    for _ in range(2):
        blobs.delete(["receipts/30d/a/1", "inbox/a/1", *(f"receipts/{number}d/nobody" for number in range(900))])
    assert blobs.get("receipts/30d/a/2") == b"body"
    assert blobs.get("receipts/30d/a/1") is None and blobs.get("inbox/a/1") is None
