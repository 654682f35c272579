"""A batch of which an element cannot be read: the good ones become events, the bad one is named and not lost."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.store import receipts
from tests.api.client import MAPPING, Api, event, key_with, person

AT = "2026-09-01T09:00:00.000Z"
BATCH = {"each": "events[]", "rules": [MAPPING]}
JAN = person("email", "jan@example.nl")


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"))


def batch(*events: Any) -> dict[str, Any]:
    return {"events": list(events)}


def test_good_elements_become_events_and_the_bad_one_is_named(api: Api) -> None:
    made = api.connect(mapping=BATCH)["id"]
    api.record(made, batch(event(1, AT, JAN), event(2, "yesterday", JAN), event(3, AT, JAN)))
    (shown,) = api.get("/v1/receipts")["receipts"]
    assert shown["verdict"] == "accepted" and len(shown["events"]) == 2
    assert shown["reason"].startswith("1 of 3 parts could not be read: events[1]: occurred_at: not a moment")
    (customer,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    texts = [each["text"] for each in api.get(f"/v1/customers/{customer['id']}/timeline")["entries"]]
    assert sorted(texts) == ["message 1", "message 3"]


def test_it_is_found_among_what_is_malformed_until_a_replay_reads_it_whole(api: Api) -> None:
    made = api.connect(mapping=BATCH)["id"]
    late = event(2, "", JAN) | {"moment": AT}
    api.record(made, batch(event(1, AT, JAN), late))
    (listed,) = api.get("/v1/receipts", verdict="malformed")["receipts"]
    assert listed["verdict"] == "accepted" and "events[1]" in listed["reason"]
    assert api.get("/v1/receipts", verdict="failed")["receipts"] == []
    mended = {"each": "events[]", "rules": [MAPPING | {"occurred_at": "moment || at"}]}
    asked = {"receipt": listed["id"], "mapping": mended}
    shown = api.call("POST", f"/v1/connections/{made}/preview", json_body=asked)
    assert (shown["verdict"], shown["reason"], len(shown["events"])) == ("accepted", None, 2)
    api.call("PATCH", f"/v1/connections/{made}", json_body={"mapping": mended})
    api.call("POST", f"/v1/receipts/{listed['id']}/replay", 202)
    api.work()
    (whole,) = api.get("/v1/receipts")["receipts"]
    assert (whole["verdict"], whole["reason"], len(whole["events"])) == ("accepted", None, 2)
    assert api.get("/v1/receipts", verdict="malformed")["receipts"] == []


def test_a_preview_names_the_bad_element_and_shows_the_others(api: Api) -> None:
    made = api.connect(mapping=None)["id"]
    api.record(made, batch(event(1, AT, JAN), {"id": "m2"}, event(3, AT, JAN)))
    (receipt,) = api.get("/v1/receipts")["receipts"]
    asked = {"receipt": receipt["id"], "mapping": BATCH}
    found = api.call("POST", f"/v1/connections/{made}/preview", json_body=asked)
    assert [each["text"] for each in found["events"]] == ["message 1", "message 3"]
    assert found["verdict"] == "accepted" and "events[1]: " in found["reason"]


def test_it_stays_findable_when_it_is_sent_again(api: Api) -> None:
    made = api.connect(mapping=BATCH)["id"]
    for _ in range(2):
        api.record(made, batch(event(1, AT, JAN), event(2, "", JAN)))
    listed = api.get("/v1/receipts", verdict="malformed")["receipts"]
    assert sorted(each["verdict"] for each in listed) == ["accepted", "duplicate"]
    assert all("events[1]" in each["reason"] for each in listed)


def test_an_element_that_names_a_crowd_costs_no_other(api: Api) -> None:
    made = api.connect(mapping=BATCH)["id"]
    crowd = [person("email", f"a{number}@example.nl") for number in range(21)]
    api.record(made, batch(event(1, AT, *crowd), event(2, AT, JAN)))
    (shown,) = api.get("/v1/receipts")["receipts"]
    assert shown["verdict"] == "accepted" and len(shown["events"]) == 1
    assert shown["reason"] == "event 0: identities has 21 entries: at most 20"


def test_where_nothing_can_be_read_it_is_malformed(api: Api) -> None:
    made = api.connect(mapping=BATCH)["id"]
    api.record(made, batch(event(1, "", JAN), event(2, "", JAN)))
    (shown,) = api.get("/v1/receipts", verdict="malformed")["receipts"]
    assert shown["verdict"] == "malformed" and shown["events"] == []


def test_what_is_accepted_whole_needs_no_attention(api: Api) -> None:
    made = api.connect(mapping=BATCH)["id"]
    api.record(made, batch(event(1, AT, JAN)))
    assert api.table.query(f"M#{made}", index=True).items == []
    assert receipts.NEEDS_ATTENTION.isdisjoint(receipts.BECAME_EVENTS)


def test_a_sender_of_cloudevents_is_told_whether_it_may(api: Api) -> None:
    """Without the secret only a listed origin; the answer costs no write, and no receipt."""
    settings = {"auth": "bearer", "body": "cloudevents", "allowed_origins": ["bus.example"]}
    made = api.connect(settings=settings, secrets={"token": "t"}, mapping=None)["id"]
    asking = [("WebHook-Request-Origin", "bus.example"), ("WebHook-Request-Rate", "60")]
    told = api.send("OPTIONS", f"/hooks/{made}", b"", asking, key="")
    assert told.status == 200 and told.headers["WebHook-Allowed-Origin"] == "bus.example"
    assert told.headers["WebHook-Allowed-Rate"] == "*" and told.headers["Allow"] == "POST"
    assert api.send("OPTIONS", f"/hooks/{made}", b"", [("WebHook-Request-Origin", "evil")], key="").status == 401
    assert api.send("OPTIONS", f"/hooks/{made}?access_token=t", b"", asking, key="").status == 200
    api.work()
    assert api.get("/v1/receipts")["receipts"] == []


def test_the_catalogue_shows_templates_that_can_be_used(api: Api) -> None:
    shown = api.get("/v1/providers/generic")["templates"]
    assert {"web_chat", "app", "store", "carrier", "survey"} <= shown.keys()
    for name, template in shown.items():
        assert api.connect(name=name, mapping=template)["mapping"] == template
    assert api.get("/v1/providers/webhook")["templates"] == {}
