"""What the doctor leaves at the hub and asks of it: its result on /health, the bytes that arrive, the age of secrets."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from chalicelib.model import instants
from chalicelib.store import aws, checkup, connections
from chalicelib.store.table import Put
from infra.deploy.checks_live import BODY, TYPES
from tests.api.client import Api, key_with
from tests.ingest.test_receive import posted


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"))


def test_health_says_what_the_doctor_found_and_nothing_where_nobody_looked(api: Api) -> None:
    assert api.get("/health")["doctor"] is None
    at = "2026-11-01T10:00:00.000Z"
    api.table.write(Put(checkup.item_of(checkup.Checkup(at, wrong=2, unsure=1, fine=90))))
    found = api.get("/health")
    assert found["doctor"] == {"at": at, "wrong": 2, "cannot_tell": 1}
    assert found["causes"] == [{"kind": "doctor", "of": "doctor", "count": 2}] and found["status"] == "degraded"
    assert found["reasons"][0].startswith("2 settings of the stage were wrong")
    api.table.write(Put(checkup.item_of(checkup.Checkup(at, wrong=0, unsure=1, fine=92))))
    assert api.get("/health")["status"] == "ok", "what nobody can tell is nothing wrong"


@pytest.mark.parametrize("kind", TYPES)
def test_the_probe_tells_what_arrived_and_costs_and_keeps_nothing(api: Api, kind: str) -> None:
    asked: list[Any] = []
    aws.observers.append(lambda *call: asked.append(call))
    try:
        told = posted(api, "/hooks/probe", BODY, "", *([("Content-Type", kind)] if kind else []))
    finally:
        aws.observers.pop()
    assert told.status == 200 and told.json == {"bytes": 2, "sha256": hashlib.sha256(BODY).hexdigest()}
    assert asked == []


def test_when_a_secret_was_entered_is_written_down(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    name = api.connect()["id"]

    def entered() -> str:
        known = connections.get(api.table, name)
        assert known
        return known.secrets_at

    assert entered() == "", "as old as the connection"
    for day, method, path, body in (
        (1, "POST", "/rotate", {"secrets": {"signing_secret": "second"}}),
        (2, "PATCH", "", {"secrets": {"signing_secret": "third"}}),
    ):
        at = f"2027-01-0{day}T00:00:00.000Z"
        monkeypatch.setattr(instants, "now", lambda at=at: at)
        api.call(method, f"/v1/connections/{name}{path}", json_body=body)
        assert entered() == at
    monkeypatch.setattr(instants, "now", lambda: "2027-02-01T00:00:00.000Z")
    api.call("PATCH", f"/v1/connections/{name}", json_body={"name": "another name"})
    assert entered() == at
