"""What people operate by: how late things are, what a key may do, which erasures there were."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chalicelib.api import totals
from chalicelib.model import instants
from chalicelib.settings import settings
from chalicelib.store import deliveries, jobs, pulse, queues, table
from chalicelib.store.codec import encode
from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty
from chalicelib.workers import fanout, sweep
from tests.api.client import Api, event, key_with, person

NOW = "2026-09-01T09:00:00.000Z"
WHSEC = "whsec_" + "YWJj" * 8


def test_health_tells_how_late_things_are(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pulse of the sweep: it is measured on its way, and while nobody takes it."""
    asked = api.get("/health")
    assert (asked["stream_lag_seconds"], asked["swept_at"]) == (None, None), "nothing was swept yet"
    now = instants.now_ms()
    jobs.start(api.table, "replay", {"receipts": [["I#x#20260901", "2026-09-01T10:00:00.000Z#gone"]]})
    sweep.take()
    monkeypatch.setattr(instants, "now_ms", lambda: now + 299_000)
    late = api.get("/health")
    assert late["queue_age_seconds"]["inbox"] == 0, "an empty queue has no age"
    assert 295 <= late["queue_age_seconds"]["jobs"] <= 299 and 295 <= late["stream_lag_seconds"] <= 299
    assert [each["kind"] for each in late["causes"]] == ["stream_lag"]
    monkeypatch.setattr(instants, "now_ms", lambda: now + 320_000)
    worse = api.get("/health")
    assert [each["kind"] for each in worse["causes"]] == ["queue_age", "stream_lag", "sweep"]
    assert any(re.match(r"messages wait 3\d\d s in jobs: ", reason) for reason in worse["reasons"])
    sweep.take()
    api.work()
    item = api.table.get(pulse.key(pulse.STREAM))
    fanout.take([changed(item)])
    mended = api.get("/health")
    assert mended["causes"] == [] and mended["queue_age_seconds"]["jobs"] == 0
    assert mended["stream_lag_seconds"] is None, "how late it was says nothing of now"
    monkeypatch.setattr(instants, "now_ms", lambda: now + 400_000)
    sweep.take()
    fanout.take([changed(api.table.get(pulse.key(pulse.STREAM)))])
    monkeypatch.setattr(instants, "now_ms", lambda: now + 460_000)
    assert api.get("/health")["stream_lag_seconds"] == 0
    before = api.table.get(pulse.key(pulse.STREAM))
    fanout.take([changed(before)])
    assert api.table.get(pulse.key(pulse.STREAM)) == before, "its own answer is not answered"
    assert api.get("/v1/jobs", status="failed")["jobs"] == [] and api.get("/v1/receipts")["receipts"] == []


def test_a_range_job_tells_how_much_it_has_to_do(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = api.connect()["id"]
    begun = instants.now()
    api.record(shop, *(event(number, NOW, person("email", f"p{number}@example.nl")) for number in range(7)))
    window = {"connection": shop, "since": begun}
    asked = api.call("POST", "/v1/receipts/replay", 202, window)
    assert asked["total"] == 7
    api.work()
    over = api.get(f"/v1/jobs/{asked['job']}")
    assert (over["status"], over["done"], over["total"]) == ("done", 7, 7)
    before = [instants.from_ms(instants.to_ms(begun) - hours * 3_600_000) for hours in (2, 1)]
    none = {"connection": shop, "since": before[0], "until": before[1]}
    assert api.call("POST", "/v1/receipts/replay", 202, none)["total"] == 0
    monkeypatch.setattr(totals, "MOST_RECEIPTS", 6)
    assert api.call("POST", "/v1/receipts/replay", 202, window)["total"] is None, "more than are counted"
    ages = {"connection": shop, "since": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z"}
    assert api.call("POST", "/v1/receipts/replay", 202, ages)["total"] is None, "more days than are looked at"


def test_a_redrive_tells_how_much_waits_and_a_backfill_cannot(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"provider": "webhook", "settings": {"url": "https://x.example/"}, "secrets": {"signing_secret": WHSEC}}
    told = api.call("POST", "/v1/connections", 201, asked)["id"]
    for number, keep in enumerate([deliveries.held, deliveries.held, deliveries.parked, deliveries.parked]):
        duty = Duty(told, ACTIVITY, "n" * 26, f"E#2026-09-0{number + 1}T09:00:00.000Z#e{number}")
        keep(api.table, duty, Attempt(1, NOW, NOW, reason="kept by a test"))
    window = {"connection": told, "since": "2026-09-01T00:00:00Z", "until": "2026-09-04T00:00:00Z"}
    job = api.call("POST", "/v1/deliveries/redrive", 202, window)
    assert job["total"] == 3, "the fourth is later"
    api.work()
    assert api.get(f"/v1/jobs/{job['job']}")["done"] == 3
    monkeypatch.setattr(totals, "MOST_OPEN", 0)
    assert api.call("POST", "/v1/deliveries/redrive", 202, window | {"until": NOW[:10] + "T23:59:59Z"})["total"] == 0
    assert api.call("POST", "/v1/deliveries/redrive", 202, window | {"until": "2027-01-01"})["total"] is None
    assert api.call("POST", f"/v1/connections/{told}/backfill", 202, {})["total"] is None
    assert api.call("POST", "/v1/reconcile", 202, {"connection": told})["total"] is None


def changed(item: Any) -> dict[str, Any]:
    keys = {name: {"S": item[name]} for name in ("pk", "sk")}
    return {"eventName": "MODIFY", "dynamodb": {"Keys": keys, "NewImage": encode(item)}}


def test_a_pulse_that_died_is_no_letter_to_anybody(api: Api) -> None:
    for name in pulse.QUEUES:
        queues.send(f"{name}-dlq", f"{pulse.MARK}{instants.now_ms()}")
    sweep.take()
    assert api.get("/health")["status"] == "ok"
    assert api.get("/v1/jobs")["jobs"] == [] and api.get("/v1/receipts")["receipts"] == []


@pytest.mark.parametrize("scope", ["read", "integrate", "audience"])
def test_a_key_asks_what_it_may(api: Api, scope: str) -> None:
    made = api.call("POST", "/v1/keys", 201, {"name": "till", "scopes": [scope]})
    assert api.call("GET", "/v1/me", key=made["key"]) == {"name": "till", "scopes": [scope], "opens": "console"}


def test_what_a_scope_brings_along_is_told(api: Api) -> None:
    assert api.get("/v1/me")["scopes"] == ["read", "agent", "integrate", "audience", "admin"]
    assert api.call("GET", "/v1/me", key=key_with("agent"))["scopes"] == ["read", "agent"]
    assert api.call("GET", "/v1/me", key=key_with("integrate", "agent"))["scopes"] == ["read", "agent", "integrate"]


def test_erasures_are_listed_newest_first_and_survive_other_jobs(api: Api) -> None:
    shop, started = api.connect()["id"], []
    for number in range(5):
        api.record(shop, event(number, NOW, person("email", f"weg{number}@example.nl")))
        (found,) = api.get("/v1/customers", identity=f"email:weg{number}@example.nl")["customers"]
        asked = {"reason": "asked by mail"} if number == 4 else {}
        started.append(api.call("POST", f"/v1/customers/{found['id']}/erase", 202, asked)["erasure"])
        jobs.start(api.table, "replay", {"receipts": [["I#x#20260901", "2026-09-01T10:00:00.000Z#gone"]]})
    api.work()
    for limit in (1, 2, 5, 50):
        assert [each["id"] for each in api.pages("/v1/erasures", "erasures", limit=limit)] == started[::-1]
    newest = api.get("/v1/erasures", limit=1)["erasures"][0]
    certificate = api.get(f"/v1/erasures/{newest['id']}")
    assert newest == {name: value for name, value in certificate.items() if name != "lines"}
    assert (newest["reason"], newest["errors"]) == ("asked by mail", [])
    assert b"weg4" not in api.send("GET", "/v1/erasures").raw
    for query in ("limit=0", "next=%21%21"):
        assert api.refused("GET", f"/v1/erasures?{query}") == [f"/{query.partition('=')[0]}"]


def test_a_certificate_is_kept_for_years_and_holds_no_value_of_his(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAAD_ERASE_SETTLE_SECONDS", "0")
    settings.cache_clear()
    shop = api.connect()["id"]
    who = (person("email", "weg@example.nl"), person("phone", "+31600000009"))
    api.record(shop, event(1, NOW, *who, name="Jan Verdwenen"))
    (found,) = api.get("/v1/customers", identity="email:weg@example.nl")["customers"]
    done = api.call("POST", f"/v1/customers/{found['id']}/erase", 202, {"reason": "asked by mail"})["erasure"]
    api.work()
    failed = jobs.start(api.table, "erase", {"customer": "cus_x", "at": NOW, "by": "", "why": "", "values": ["weg@"]})
    jobs.fail(api.table, failed, "it went wrong")
    kept = api.table.query(f"J#{done}").items
    assert {item["sk"][:2] for item in kept} == {"-", "D#", "ER"}
    assert not any(value in repr(kept) for value in ("weg@example.nl", "31600000009", "Verdwenen"))
    years, now = 365 * 86400, table.now_seconds()
    assert {round((item["x"] - now) / years, 1) for item in kept} == {5.0}, "also what is only an entry of a list"
    monkeypatch.setattr(table, "now_seconds", lambda: now + 4 * years)
    certificate = api.get(f"/v1/erasures/{done}")
    assert certificate["status"] == "done" and len(certificate["lines"]) > 5
    assert [each["id"] for each in api.get("/v1/erasures")["erasures"]] == [done], "what failed holds his values"
    monkeypatch.setattr(table, "now_seconds", lambda: now + 6 * years)
    api.get(f"/v1/erasures/{done}", 404)


@pytest.mark.parametrize("path", ["/v1/reconcile", "/v1/connections/{}/backfill"])
def test_whoever_starts_a_job_may_look_at_it(api: Api, path: str) -> None:
    asked = {"provider": "webhook", "settings": {"url": "https://x.example/"}, "secrets": {"signing_secret": WHSEC}}
    told = api.call("POST", "/v1/connections", 201, asked)["id"]
    key = key_with("integrate")
    body = {} if "{}" in path else {"connection": told}
    job = api.call("POST", path.format(told), 202, body, key=key)["job"]
    assert api.call("GET", f"/v1/jobs/{job}", key=key)["id"] == job
