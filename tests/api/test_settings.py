"""The organisation's lists, the catalogue, health, and what a failure of ours looks like."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import destinations, sources
from chalicelib.api import answers, health, lookup
from chalicelib.errors import StorageUnavailable
from chalicelib.store import jobs, organisation, queues
from chalicelib.store.organisation import Organisation
from tests.api.client import MAPPING, Api, event, key_with, person

NOW = "2026-09-01T09:00:00.000Z"


def test_settings_are_changed_one_by_one(api: Api) -> None:
    before = api.get("/v1/settings")
    assert before.keys() == set(Organisation.__struct_fields__) - {"ver"}
    changed = api.call("PATCH", "/v1/settings", json_body={"own": ["phone:+31201112233"], "limit": 3})
    assert changed.pop("job"), "what is known already is blocked by a job"
    assert changed == before | {"own": ["phone:+31201112233"], "limit": 3} == api.get("/v1/settings")
    shop = api.connect()["id"]
    api.record(shop, event(1, NOW, person("phone", "+31201112233"), person("email", "jan@example.nl")))
    assert api.get("/v1/customers", identity="phone:+31201112233")["match"] == "none"
    assert api.get("/v1/customers", identity="email:jan@example.nl")["match"] == "exact"


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({"colour": 1, "ver": 7, "limit": 0}, ["/colour", "/limit", "/ver"]),
        ({"own": ["phone:+31201112233", "somebody", ""], "blocked": ["x"]}, ["/blocked/0", "/own/1", "/own/2"]),
        ({"roles": "info", "region": "Nederland", "cap": "many"}, ["/cap", "/region", "/roles"]),
        ({"region": "nl", "limit": 51}, ["/limit", "/region"]),
        ({"own": [1], "limit": True}, ["/limit", "/own"]),
        ({"frame_ancestors": "https://crm.example.nl"}, ["/frame_ancestors"]),
        ({"frame_ancestors": [f"https://crm{number}.example.nl" for number in range(51)]}, ["/frame_ancestors"]),
    ],
)
def test_settings_that_are_refused_change_nothing(api: Api, asked: dict[str, Any], pointers: list[str]) -> None:
    before = api.get("/v1/settings")
    assert api.refused("PATCH", "/v1/settings", asked) == pointers
    assert api.get("/v1/settings") == before


NO_ORIGINS = [
    "*",
    "https://*",
    "https://*.example.nl",
    "https:",
    "https://",
    "http://crm.example.nl",
    "crm.example.nl",
    "https://crm.example.nl/",
    "https://crm.example.nl/view",
    "https://crm.example.nl?x",
    "https://crm.example.nl#x",
    "https://agent@crm.example.nl",
    "https://crm.example.nl https://other.example",
    "https://crm.example.nl; script-src *",
    "https://crm.example.nl,https://other.example",
    "https://crm.example.nl\r\nX-Evil: 1",
    "https://crm.example.nl\n",
    "https://CRM.example.nl",
    "https://crm..example.nl",
    "https://-crm.example.nl",
    "https://crm.example.nl:0",
    "https://crm.example.nl:port",
    "https://crm.example.nl:443000",
    "https://bücher.example",
    "'self'",
    "'none'",
    "data:",
    "",
]


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_only_origins_may_frame_a_page(api: Api, text: str) -> None:
    asked = {"frame_ancestors": ["https://crm.example.nl", text]}
    assert api.refused("PATCH", "/v1/settings", asked) == ["/frame_ancestors/1"]


def test_who_may_frame_a_page_is_kept_and_taken_back(api: Api) -> None:
    origins = ["https://crm.example.nl", "https://10.0.0.5:8443", "https://crm", "https://xn--bcher-kva.example"]
    assert api.call("PATCH", "/v1/settings", json_body={"frame_ancestors": origins})["frame_ancestors"] == origins
    assert api.get("/v1/settings")["frame_ancestors"] == origins
    assert api.call("PATCH", "/v1/settings", json_body={"frame_ancestors": []})["frame_ancestors"] == []


def test_settings_changed_by_two_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = organisation.Organisation()
    api.call("PATCH", "/v1/settings", json_body={"limit": 3})
    monkeypatch.setattr(organisation, "read", lambda table: stale)
    assert api.send("PATCH", "/v1/settings", b'{"limit": 4}').status == 409


def test_the_catalogue_tells_all_that_a_connection_takes(api: Api) -> None:
    found = {each["slug"]: each for each in api.get("/v1/providers")["providers"]}
    assert found.keys() == {*sources.slugs(), *destinations.slugs()}
    for slug, summary in found.items():
        shown = api.get(f"/v1/providers/{slug}")
        assert summary.items() <= shown.items()
        assert shown["kind"] in ("source", "destination", "both") and shown["docs"].startswith("https://")
        for schema in (shown["settings"], shown["secrets"]):
            assert set(schema["required"]) <= schema["properties"].keys() and not schema["additionalProperties"]
        assert all(each["writeOnly"] for each in shown["secrets"]["properties"].values())
        required = [f"/settings/{name}" for name in shown["settings"]["required"]]
        required += [f"/secrets/{name}" for name in shown["secrets"]["required"]]
        if required:
            assert api.refused("POST", "/v1/connections", {"provider": slug}) == sorted(required)
    assert api.send("GET", "/v1/providers/nobody").status == 404


def test_health_tells_what_is_wrong_and_no_secret(api: Api) -> None:
    made = api.connect(name="hush-name")["id"]
    assert api.send("GET", "/health", key="").json["status"] == "ok"
    api.call("POST", f"/v1/connections/{made}/pause")
    queues.send("inbox-dlq", "hush-letter")
    answer = api.send("GET", "/health", key="")
    assert answer.json["reasons"] == [
        "1 dead letters in inbox: the sweep takes them",
        f"connection {made} is paused: look at it and resume it",
    ]
    assert (answer.status, answer.json["status"]) == (200, "degraded") and b"hush" not in answer.raw
    assert answer.json["causes"] == [
        {"kind": "dead_letters", "of": "inbox", "count": 1},
        {"kind": "connection", "of": made, "status": "paused"},
    ]
    assert answer.json["dead_letters"] == {"inbox": 1, "deliveries": 0, "jobs": 0}


def test_our_own_mistake_says_nothing_of_its_cause(
    api: Api, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    def broken(call: Any) -> Any:
        raise KeyError("jan@example.nl")

    monkeypatch.setattr(health, "show", broken)
    answer = api.send("GET", "/health", key="")
    assert (answer.status, answer.json) == (500, {"type": "about:blank", "title": "Our mistake", "status": 500})
    (said,) = logged
    assert "KeyError at " in said and "jan@" not in said


def test_an_outage_of_aws_asks_to_try_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(call: Any) -> Any:
        raise StorageUnavailable("dynamodb query: throttled")

    monkeypatch.setattr(lookup, "find", away)
    answer = api.send("GET", "/v1/customers?q=jan")
    assert (answer.status, answer.headers["Retry-After"], answer.json["title"]) == (503, "5", "Try again")


@pytest.mark.parametrize("path", ["/health", "/v1/providers", "/v1/customers?q=nobody", "/hooks/con_x"])
def test_no_answer_is_kept_or_guessed_at(api: Api, path: str) -> None:
    answer = api.send("GET", path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"].startswith((answers.JSON, answers.PROBLEM)) and answer.status < 500


def test_a_replayed_range_tells_what_it_did(api: Api) -> None:
    shop = api.connect(mapping=None)["id"]
    api.record(shop, *(event(number, NOW, person("email", f"jan{number}@example.nl")) for number in range(4)))
    assert {each["verdict"] for each in api.get("/v1/receipts")["receipts"]} == {"ignored"}
    api.call("PATCH", f"/v1/connections/{shop}", json_body={"mapping": MAPPING})
    job = api.call("POST", "/v1/receipts/replay", 202, {"connection": shop, "since": "2026-01-01"})
    assert job["status"] == "running" and job["id"] == job["job"]
    api.work()
    shown = api.get(f"/v1/jobs/{job['job']}")
    assert (shown["status"], shown["done"], shown["errors"]) == ("done", 4, [])
    assert {each["verdict"] for each in api.get("/v1/receipts")["receipts"]} == {"accepted"}
    assert api.get("/v1/customers", identity="email:jan3@example.nl")["match"] == "exact"
    api.record(shop, event(3, NOW, person("email", "jan3@example.nl")))
    assert [each["verdict"] for each in api.get("/v1/receipts", verdict="duplicate")["receipts"]] == ["duplicate"]


def test_a_replayed_range_leaves_out_what_was_blanked_for_an_erasure(api: Api) -> None:
    shop = api.connect()["id"]
    api.record(shop, *(event(number, NOW, person("email", f"jan{number}@example.nl")) for number in range(3)))
    [found] = api.get("/v1/customers", identity="email:jan1@example.nl")["customers"]
    api.call("POST", f"/v1/customers/{found['id']}/erase", 202, {"reason": "asked"})
    api.work()
    job = api.call("POST", "/v1/receipts/replay", 202, {"connection": shop, "since": "2026-01-01"})
    assert job["total"] in (2, None)
    api.work()
    shown = api.get(f"/v1/jobs/{job['job']}")
    assert (shown["status"], shown["done"], shown["errors"]) == ("done", 2, [])


def test_a_job_is_shown_to_whoever_may_start_such_a_one(api: Api) -> None:
    replayed, erased = jobs.start(api.table, "replay", {}), jobs.start(api.table, "erase", {})
    statuses = {
        scope: [api.send("GET", f"/v1/jobs/{job.id}", key=key_with(scope)).status for job in (replayed, erased)]
        for scope in ("read", "integrate", "admin")
    }
    assert statuses == {"read": [403, 403], "integrate": [200, 403], "admin": [200, 200]}
