"""A request with hundreds of events: recorded slice by slice, whoever dies in between."""

from __future__ import annotations

import pytest

from chalicelib.workers import context, jobs
from tests.api.client import MAPPING, Api, event, person


@pytest.fixture(autouse=True)
def _thin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "SLICE", 4)
    monkeypatch.setattr(jobs, "SLICE", 4)


@pytest.mark.parametrize("count", [3, 4, 5, 8, 21])
def test_every_event_of_a_batch_comes_once(api: Api, count: int) -> None:
    shop = api.connect(mapping={"each": "events", "rules": [MAPPING]})["id"]
    who = person("phone", f"+316680000{count:02d}")
    events = [event(number, f"2026-09-01T10:00:{number:02d}.000Z", who) for number in range(count)]
    for _ in range(2):
        api.record(shop, {"events": events})
    (found,) = api.get("/v1/customers", identity=f"phone:+316680000{count:02d}")["customers"]
    entries = api.get(f"/v1/customers/{found['id']}/timeline", limit=200)["entries"]
    assert [each["text"] for each in reversed(entries)] == [f"message {number}" for number in range(count)]
    told = api.get("/v1/receipts", connection=shop)["receipts"]
    assert sorted(each["verdict"] for each in told) == ["accepted", "duplicate"]
    shown = [api.get(f"/v1/receipts/{each['id']}")["events"] for each in told]
    assert [len(each) for each in shown] == [count, count]
    assert all(each["status"] == "done" for each in api.get("/v1/jobs")["jobs"])


def test_a_replay_of_a_large_batch_is_whole(api: Api) -> None:
    shop = api.connect(mapping={"each": "events", "rules": [MAPPING]})["id"]
    events = [event(n, f"2026-09-01T10:00:{n:02d}.000Z", person("phone", "+31668000099")) for n in range(10)]
    api.record(shop, {"events": events})
    (receipt,) = api.get("/v1/receipts", connection=shop)["receipts"]
    api.call("POST", f"/v1/receipts/{receipt['id']}/replay", 202)
    api.work()
    again = api.get(f"/v1/receipts/{receipt['id']}")
    assert (again["verdict"], len(again["events"])) == ("accepted", 10)
