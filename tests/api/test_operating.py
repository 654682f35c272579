"""What people operate by: how late things are, what a key may do, which erasures there were."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chalicelib.model import instants
from chalicelib.store import jobs, pulse, queues
from chalicelib.store.codec import encode
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


@pytest.mark.parametrize("path", ["/v1/reconcile", "/v1/connections/{}/backfill"])
def test_whoever_starts_a_job_may_look_at_it(api: Api, path: str) -> None:
    asked = {"provider": "webhook", "settings": {"url": "https://x.example/"}, "secrets": {"signing_secret": WHSEC}}
    told = api.call("POST", "/v1/connections", 201, asked)["id"]
    key = key_with("integrate")
    body = {} if "{}" in path else {"connection": told}
    job = api.call("POST", path.format(told), 202, body, key=key)["job"]
    assert api.call("GET", f"/v1/jobs/{job}", key=key)["id"] == job
