"""Connections: what is refused and why, what a change keeps, and that no secret ever comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.api.connections import MOST_VALUES
from chalicelib.store import connections, deliveries, queues
from chalicelib.store.deliveries import ACTIVITY, Attempt, Duty
from chalicelib.workers.batch import BatchUnfinished
from tests.api.client import MAPPING, SECRET, Api, event, person, signature

NOW = "2026-09-01T09:00:00.000Z"


def test_a_connection_as_registered(api: Api) -> None:
    made = api.connect(subscription={"types": ["order"], "redact": True})
    assert made["hook_url"] == f"https://hub.example/hooks/{made['id']}"
    assert (made["status"], made["secrets"], made["last_event_at"]) == ("active", {"signing_secret": 1}, None)
    assert made["subscription"] == {"types": ["order"], "redact": True}
    assert made["mapping"] == MAPPING and made["settings"] == {"own_system": True}
    shown = api.get(f"/v1/connections/{made['id']}")
    assert shown == made | {"refusals": []}
    api.record(made["id"], event(1, NOW, person("email", "jan@example.nl")))
    shown = api.get(f"/v1/connections/{made['id']}")
    assert shown["counts"] == {"accepted": 1} and shown["last_event_at"]


GENERIC = {"provider": "generic", "secrets": {"signing_secret": SECRET}}


MISTAKES = [
    ({}, ["/provider"]),
    ({"provider": ["generic"], "colour": 1}, ["/colour", "/provider"]),
    ({"provider": "nobody"}, ["/provider"]),
    ({"provider": "shopify"}, ["/secrets/client_secret"]),
    (
        {"provider": "shopify", "settings": {"shoe": 1, "region": 2, "accounts": "maybe", "own_system": "yes"}},
        [
            "/secrets/client_secret",
            "/settings/accounts",
            "/settings/own_system",
            "/settings/region",
            "/settings/shoe",
        ],
    ),
    (GENERIC | {"settings": {"tolerance": True}, "name": 5}, ["/name", "/settings/tolerance"]),
    (GENERIC | {"settings": [], "secrets": "x"}, ["/secrets", "/settings"]),
    (GENERIC | {"settings": 0, "subscription": []}, ["/settings", "/subscription"]),
    (GENERIC | {"name": "n" * 201}, ["/name"]),
    (
        GENERIC | {"secrets": {"signing_secret": [], "token": 5, "password": "", "pin": "1"}},
        [
            "/secrets/password",
            "/secrets/pin",
            "/secrets/signing_secret",
            "/secrets/token",
        ],
    ),
    (GENERIC | {"secrets": {"signing_secret": "é" * 2049}}, ["/secrets/signing_secret"]),
    (
        GENERIC | {"subscription": {"types": ["order", "offer"], "channels": ["pigeon"]}},
        [
            "/subscription/channels/0",
            "/subscription/types/1",
        ],
    ),
    (GENERIC | {"subscription": {"redact": "yes"}}, ["/subscription"]),
    (GENERIC | {"subscription": {"everything": True}}, ["/subscription"]),
    (
        GENERIC | {"mapping": {"type": "order", "when": "a ==", "colour": "x"}},
        [
            "/mapping/channel",
            "/mapping/colour",
            "/mapping/occurred_at",
            "/mapping/when",
        ],
    ),
    (GENERIC | {"mapping": []}, ["/mapping"]),
    (
        GENERIC | {"settings": {"ref_scopes": {"order": "nobody", "colour": "x", "case": {}}}},
        [
            "/settings/ref_scopes/case",
            "/settings/ref_scopes/colour",
            "/settings/ref_scopes/order",
        ],
    ),
    (GENERIC | {"settings": {"ref_scopes": "shop"}}, ["/settings/ref_scopes"]),
    (GENERIC | {"settings": {"field_priority": [1]}}, ["/settings/field_priority"]),
    (
        GENERIC
        | {"settings": {"field_priority": {"name": 1, "*": -1, "a": "1", "b": True, "c": 1001, "consent_sms": 1}}},
        [f"/settings/field_priority/{name}" for name in ("a", "b", "c", "consent_sms")],
    ),
    (
        {"provider": "webhook", "settings": {"url": "https://partner.example"}}
        | {
            "mapping": {"contact": {"a": "id"}, "activity": {"id": "id", "order": "details..", "far.away": "a"}, "x": 1}
        },
        ["/mapping/activity/id", "/mapping/activity/order", "/mapping/contact", "/mapping/x"],
    ),
    (
        {"provider": "odoo", "settings": {"base_url": "https://a.example", "database": "a", "customer_field": "x_hub"}}
        | {"secrets": {"api_key": "a"}, "mapping": {"contact": {"x_hub": "id", "ref": "id"}}},
        ["/mapping/contact/x_hub"],
    ),
    (
        {"provider": "telegram", "secrets": {"bot_token": "1:a"}, "mapping": {"contact": {}}},
        ["/mapping/contact", "/secrets/secret_token", "/settings/bot"],
    ),
]


def test_every_mistake_is_told_at_once_by_field(api: Api) -> None:
    for asked, pointers in MISTAKES:
        assert api.refused("POST", "/v1/connections", asked) == pointers, asked
    assert connections.everyone(api.table) == []


NO_OBJECTS = [
    *(b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', b"[" * 100_000),
]


def test_a_body_that_is_no_object_is_422(api: Api) -> None:
    made = api.connect()["id"]
    for method, path in [
        ("POST", "/v1/connections"),
        ("PATCH", f"/v1/connections/{made}"),
        ("POST", f"/v1/connections/{made}/rotate"),
        ("POST", f"/v1/connections/{made}/preview"),
        ("POST", "/v1/receipts/replay"),
        ("POST", "/v1/deliveries/redrive"),
        ("POST", "/v1/keys"),
        ("PATCH", "/v1/settings"),
    ]:
        for body in NO_OBJECTS:
            answer = api.send(method, path, body)
            assert (answer.status, answer.pointers) == (422, [""]), (method, path, body[:40], answer.raw)


def test_a_change_keeps_what_it_does_not_name(api: Api) -> None:
    made = api.connect(settings={"channel": "store", "region": "BE"}, subscription={"redact": True})
    path = f"/v1/connections/{made['id']}"
    changed = api.call("PATCH", path, json_body={"name": "till", "settings": {"region": None, "zone": "Europe/Paris"}})
    assert changed["settings"] == {"channel": "store", "zone": "Europe/Paris"}
    assert changed | {"name": "shop", "settings": made["settings"]} == made
    api.post(made["id"], {}, SECRET)
    assert api.call("PATCH", path, json_body={}) | {"last_event_at": None} == changed
    assert api.call("PATCH", path, json_body={"mapping": None})["mapping"] is None


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({"provider": "shopify"}, ["/provider"]),
        ({"id": "con_x", "settings": {"shoe": 1}}, ["/id", "/settings/shoe"]),
        ({"settings": [1]}, ["/settings"]),
        ({"settings": {"algorithm": "rot13"}, "mapping": 5}, ["/mapping", "/settings/algorithm"]),
        ({"secrets": {"signing_secret": None}}, ["/secrets/signing_secret"]),
    ],
)
def test_a_change_that_is_refused_changes_nothing(api: Api, asked: dict[str, Any], pointers: list[str]) -> None:
    made = api.connect()
    assert api.refused("PATCH", f"/v1/connections/{made['id']}", asked) == pointers
    assert api.get(f"/v1/connections/{made['id']}") == made | {"refusals": []}


def test_two_changes_at_once_do_not_overwrite_each_other(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = api.connect()
    stale = connections.get(api.table, made["id"])
    api.call("PATCH", f"/v1/connections/{made['id']}", json_body={"name": "first"})
    monkeypatch.setattr(connections, "get", lambda table, id: stale)
    answer = api.send("PATCH", f"/v1/connections/{made['id']}", b'{"name": "second"}')
    assert (answer.status, answer.json["title"]) == (409, "Changed meanwhile")
    monkeypatch.undo()
    assert connections.everyone(api.table)[0].name == "first"


def test_refs_are_scoped_by_name_or_by_id(api: Api) -> None:
    shop = api.connect(name="web shop")
    for named in ("web shop", shop["id"]):
        till = api.connect(name="till", settings={"ref_scopes": {"order": named, "receipt": shop["id"]}})
        assert till["settings"]["ref_scopes"] == {"order": shop["id"], "receipt": shop["id"]}
    asked = GENERIC | {"settings": {"ref_scopes": {"order": "till"}}}
    answer = api.send("POST", "/v1/connections", json.dumps(asked).encode())
    assert answer.json["errors"] == [
        {"pointer": "/settings/ref_scopes/order", "detail": "names several connections: give the id"}
    ]
    api.call("DELETE", f"/v1/connections/{shop['id']}")
    asked = GENERIC | {"settings": {"ref_scopes": {"order": "web shop"}}}
    assert api.refused("POST", "/v1/connections", asked) == ["/settings/ref_scopes/order"]


def test_pausing_resuming_and_deleting(api: Api) -> None:
    made = api.connect()
    path = f"/v1/connections/{made['id']}"
    assert api.call("POST", f"{path}/pause")["status"] == "paused"
    assert api.get("/health")["status"] == "degraded"
    assert "job" not in api.call("POST", f"{path}/resume")
    assert api.call("DELETE", path) == {"id": made["id"], "status": "deleted"}
    for method, below in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/resume"), ("POST", "/test")]:
        assert api.send(method, path + below, b"{}" if method == "PATCH" else b"").status == 404
    assert api.get("/v1/connections")["connections"] == []
    found = api.get("/health")
    assert (found["status"], found["reasons"], found["causes"]) == ("ok", [], [])
    assert found["queues"] == {"inbox": 0, "deliveries": 0, "jobs": 0}


def row(api: Api, connection: str, number: int, keep: Any) -> Duty:
    duty = Duty(connection, ACTIVITY, "n" * 26, f"E#2026-09-01T09:00:00.{number:03d}Z#e{number}")
    keep(api.table, duty, Attempt(1, NOW, NOW, reason="kept by a test"))
    return duty


def test_resuming_sends_what_was_held_and_leaves_what_was_refused(api: Api) -> None:
    made = api.call("POST", "/v1/connections", 201, {"provider": "webhook", "settings": {"url": "https://x.example/"}}
                    | {"secrets": {"signing_secret": "whsec_" + "YWJj" * 8}})  # fmt: skip
    assert made["hook_url"] is None
    held, parked = row(api, made["id"], 1, deliveries.held), row(api, made["id"], 2, deliveries.parked)
    api.call("POST", f"/v1/connections/{made['id']}/pause")
    job = api.call("POST", f"/v1/connections/{made['id']}/resume")["job"]
    api.work()
    assert api.get(f"/v1/jobs/{job}") | {"created_at": ""} == {
        "id": job,
        "kind": "redrive",
        "status": "done",
        "done": 1,
        "total": 1,
        "errors": [],
        "created_at": "",
        "customer": None,
        "reason": None,
        "counts": None,
    }
    rows = [deliveries.get(api.table, duty.key) for duty in (held, parked)]
    assert [each["st"] for each in rows if each] == ["delayed", "parked"]
    window = {"connection": made["id"], "since": "2026-08-01T00:00:00Z", "until": "2026-10-01T00:00:00Z"}
    api.call("POST", "/v1/deliveries/redrive", 202, window)
    api.work()
    found = deliveries.get(api.table, parked.key)
    assert found and found["st"] == "delayed"


def test_secrets_rotate_with_overlap(api: Api) -> None:
    made = api.connect()
    path = f"/v1/connections/{made['id']}/rotate"
    api.post(made["id"], {}, SECRET)
    assert api.call("POST", path, json_body={"secrets": {"signing_secret": "second"}})["secrets"] == {
        "signing_secret": 2
    }
    api.post(made["id"], {}, SECRET)
    api.post(made["id"], {}, "second")
    api.call("POST", path, json_body={"secrets": {"signing_secret": ["third"]}, "keep_old": False})
    api.post(made["id"], {}, "third")
    for old in (SECRET, "second"):
        api.post(made["id"], {}, old, expect=401)
    for number in range(MOST_VALUES):
        found = api.call("POST", path, json_body={"secrets": {"signing_secret": f"later {number}"}})
    assert found["secrets"] == {"signing_secret": MOST_VALUES}
    api.post(made["id"], {}, "third", expect=401)


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({}, ["/secrets"]),
        ({"secrets": {}}, ["/secrets"]),
        ({"secrets": ["x"]}, ["/secrets"]),
        ({"secrets": {"pin": "1", "token": 2}, "keep_old": True}, ["/secrets/pin", "/secrets/token"]),
        ({"secrets": {"token": "x"}, "keep_old": "no", "until": "x"}, ["/keep_old", "/until"]),
    ],
)
def test_a_rotation_that_is_refused(api: Api, asked: dict[str, Any], pointers: list[str]) -> None:
    assert api.refused("POST", f"/v1/connections/{api.connect()['id']}/rotate", asked) == pointers


@pytest.mark.parametrize(
    ("settings", "secrets"),
    [
        ({}, {"token": "not the one that signs"}),
        ({"auth": "bearer"}, {"signing_secret": SECRET}),
        ({"auth": "basic"}, {"password": "x"}),
        ({"auth": "path"}, {}),
        ({"auth": "standard_webhooks"}, {"signing_secret": "whpk_" + "A" * 43 + "="}),
    ],
)
def test_a_sample_needs_a_secret_to_sign_with(api: Api, settings: dict[str, Any], secrets: dict[str, str]) -> None:
    made = api.connect(settings=settings, secrets=secrets, mapping=None)
    assert api.refused("POST", f"/v1/connections/{made['id']}/test") == ["/secrets"]


@pytest.mark.parametrize(
    ("settings", "secrets"),
    [
        ({}, {"signing_secret": SECRET}),
        ({"over": "{ts}.{body}", "timestamp_header": "X-Time"}, {"signing_secret": SECRET}),
        ({"auth": "bearer"}, {"token": "t"}),
        ({"auth": "basic", "username": "u"}, {"password": "p"}),
        ({"auth": "path"}, {"path_secret": "a/b"}),
        ({"auth": "standard_webhooks"}, {"signing_secret": "whsec_" + "YWJj" * 8}),
    ],
)
def test_a_sample_leaves_a_receipt_and_nobody(api: Api, settings: dict[str, Any], secrets: dict[str, str]) -> None:
    made = api.connect(settings=settings | {"own_system": True}, secrets=secrets, mapping=None)
    id = api.call("POST", f"/v1/connections/{made['id']}/test", 202)["receipt"]
    api.work()
    (listed,) = api.get("/v1/receipts")["receipts"]
    assert (listed["id"], listed["test"], listed["verdict"]) == (id, True, "ignored")
    assert json.loads(api.get(f"/v1/receipts/{id}")["body"]) == {"test": True}


@pytest.mark.parametrize("more", [{}, {"body": "cloudevents"}])
def test_a_sample_is_not_tried_on_a_mapping_of_ones_own(api: Api, more: dict[str, Any]) -> None:
    """What it proves, that a signed request comes through, is proven; of the mapping it can say nothing."""
    made = api.connect(settings={"own_system": True} | more)
    id = api.call("POST", f"/v1/connections/{made['id']}/test", 202)["receipt"]
    api.work()
    shown = api.get(f"/v1/receipts/{id}")
    assert (shown["test"], shown["verdict"], shown["events"]) == (True, "ignored", [])
    assert "preview it" in shown["reason"]
    assert api.get("/v1/receipts", verdict="malformed")["receipts"] == []


def test_a_destination_without_a_source_has_no_sample(api: Api) -> None:
    made = api.call("POST", "/v1/connections", 201, {"provider": "webhook", "settings": {"url": "https://x.example/"}}
                    | {"secrets": {"signing_secret": "whsec_" + "YWJj" * 8}})  # fmt: skip
    assert api.refused("POST", f"/v1/connections/{made['id']}/test") == [""]


def test_a_preview_shows_the_events_and_writes_nothing(api: Api) -> None:
    made, other = api.connect(mapping=None), api.connect()
    order = [{"kind": "order", "value": "1007"}]
    api.record(made["id"], event(1, NOW, person("email", "jan@example.nl"), name="Jan", refs=order))
    (receipt,) = api.get("/v1/receipts")["receipts"]
    assert receipt["verdict"] == "ignored"
    path, before = f"/v1/connections/{made['id']}/preview", everything(api)
    found = api.call("POST", path, json_body={"receipt": receipt["id"], "mapping": MAPPING})
    assert found["verdict"] == "accepted"
    (shown,) = found["events"]
    assert (shown["type"], shown["occurred_at"], shown["fields"]) == ("message", NOW, {"name": "Jan"})
    named = {"kind": "email", "scope": None, "value": "jan@example.nl", "assurance": "A2"}
    assert shown["identities"] == [{"identity": "email:jan@example.nl", **named}]
    assert shown["refs"] == [{"kind": "order", "scope": made["id"], "value": "1007", "typed": False}]
    assert api.call("POST", path, json_body={"receipt": receipt["id"]})["verdict"] == "ignored"
    broken = api.call("POST", path, json_body={"receipt": receipt["id"], "mapping": MAPPING | {"occurred_at": "no"}})
    assert broken["verdict"] == "malformed" and "occurred_at" in broken["reason"]
    for asked, pointers in [
        ({}, ["/receipt"]),
        ({"receipt": 5, "settings": {}}, ["/receipt", "/settings"]),
        ({"receipt": "rcp_x"}, ["/receipt"]),
        ({"receipt": receipt["id"], "mapping": {"type": "order"}}, ["/mapping/channel", "/mapping/occurred_at"]),
    ]:
        assert api.refused("POST", path, asked) == pointers
    strange = {"receipt": receipt["id"], "mapping": MAPPING}
    assert api.refused("POST", f"/v1/connections/{other['id']}/preview", strange) == ["/receipt"]
    assert everything(api) == before


def everything(api: Api) -> list[dict[str, Any]]:
    from chalicelib.store import aws

    found = aws.call("dynamodb", "scan", TableName=api.table.name)["Items"]
    return sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))


def test_secrets_never_come_back_and_never_reach_a_log(
    api: Api, monkeypatch: pytest.MonkeyPatch, logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[bytes] = []
    send = api.send

    def heard(*args: Any, **options: Any) -> Any:
        answer = send(*args, **options)
        said.append(answer.raw + repr(answer.headers).encode())
        return answer

    monkeypatch.setattr(api, "send", heard)
    secrets = {"signing_secret": "hush-signing", "token": ["hush-token", "hush-other"], "password": "hush-password"}
    made = api.connect(secrets=secrets)
    path = f"/v1/connections/{made['id']}"
    raw = json.dumps(event(1, NOW, person("email", "hush-mail@example.nl"), name="hush-name")).encode()
    api.send("POST", f"/hooks/{made['id']}", raw, [("X-Signature", signature(raw, "hush-signing"))], key="")
    api.send("POST", f"/hooks/{made['id']}", raw, [("X-Signature", "hush-guess")], key="hush-bearer")
    api.send("POST", f"/hooks/{made['id']}", b"\xff" * 20, [("X-Signature", "hush-guess")], key="")
    for method, below, body in [
        ("GET", "", None),
        ("PATCH", "", {"name": "x", "secrets": {"token": "hush-patched"}}),
        ("PATCH", "", {"secrets": {"hush": "hush-wrong", "token": ["hush-fine", 5]}}),
        ("POST", "/rotate", {"secrets": {"token": "hush-rotated"}}),
        ("POST", "/rotate", {"secrets": {"token": {"hush-dict": 1}}}),
        ("POST", "/test", None),
        ("POST", "/pause", None),
    ]:
        api.send(method, path + below, json.dumps(body).encode() if body else b"")
    api.send("GET", "/v1/connections")
    api.work()
    queues.send(queues.INBOX, "hush-message")
    with pytest.raises(BatchUnfinished):
        api.work()
    assert connections.everyone(api.table)[0].secrets.keys() == secrets.keys()
    stored = json.dumps(everything(api), default=lambda value: value.hex())
    lines = "".join([*logged, *capfd.readouterr()])
    told = b"".join(said).decode("utf-8", "replace")
    assert "/secrets/hush" in told
    for secret in ("signing", "token", "other", "password", "patched", "fine", "rotated", "guess", "bearer", "dict"):
        assert f"hush-{secret}" not in told and f"hush-{secret}" not in stored, secret
    assert any("message failed" in line for line in logged) and "hush" not in lines
    assert api.key not in told + lines + stored


PARTNER = {"provider": "webhook", "settings": {"url": "https://partner.example"}}


def test_a_change_of_settings_is_checked_with_the_mapping_that_stays(api: Api) -> None:
    asked = {"provider": "odoo", "settings": {"base_url": "https://a.example", "database": "a"}}
    asked |= {"secrets": {"api_key": "a"}, "mapping": {"contact": {"x_hub": "fields.tier"}}}
    made = api.call("POST", "/v1/connections", 201, asked)
    assert made["mapping"] == {"contact": {"x_hub": "fields.tier"}}
    path = f"/v1/connections/{made['id']}"
    assert api.refused("PATCH", path, {"settings": {"customer_field": "x_hub"}}) == ["/mapping/contact/x_hub"]
    assert api.refused("PATCH", path, {"mapping": {"contact": {"a": "b |"}}}) == ["/mapping/contact/a"]
    assert api.call("PATCH", path, json_body={"mapping": None})["mapping"] is None


def test_a_preview_shows_what_a_mapping_fills_and_sends_nothing(api: Api) -> None:
    shop = api.connect()
    crm = {"provider": "odoo", "settings": {"base_url": "https://a.example", "database": "a"}}
    stored = {"contact": {"x_name": "fields.name"}}
    made = api.call("POST", "/v1/connections", 201, crm | {"secrets": {"api_key": "a"}, "mapping": stored})
    api.record(shop["id"], event(1, NOW, person("email", "jan@example.nl"), name="Jan"))
    (customer,) = api.get("/v1/customers", identity="email:jan@example.nl")["customers"]
    (entry,) = api.get(f"/v1/customers/{customer['id']}/timeline")["entries"]
    path, before = f"/v1/connections/{made['id']}/preview", everything(api)
    asked = {"customer": customer["id"], "event": entry["id"]}
    found = api.call("POST", path, json_body={"customer": customer["id"]})
    assert found == {"contact": {"x_name": "Jan"}, "suppressed": {"contact": []}}
    mapping = {
        "contact": {"x_mail": "first.email", "x_count": "length(identities)", "phone": None, "x_none": "fields.nobody"},
        "activity": {"x_words": "text", "subject": "join(': ', [type, channel])", "x_day": "details.day"},
    }
    assert api.call("POST", path, json_body=asked | {"mapping": mapping}) == {
        "contact": {"x_mail": "jan@example.nl", "x_count": 1},
        "activity": {"x_words": "message 1", "subject": "message: webchat"},
        "suppressed": {"contact": ["phone", "x_none"], "activity": ["x_day"]},
    }
    api.call("PATCH", f"/v1/connections/{made['id']}", json_body={"subscription": {"redact": True}})
    before = everything(api)
    found = api.call("POST", path, json_body=asked | {"mapping": mapping})
    assert found["activity"] == {"subject": "message: webchat"}, "as it would leave: without its text"
    for wrong, pointers in [
        ({}, ["/customer"]),
        ({"customer": 5, "settings": {}}, ["/customer", "/settings"]),
        ({"customer": "cus_nobody"}, ["/customer"]),
        (asked | {"event": "nothing"}, ["/event"]),
        (asked | {"mapping": {"contact": {"ref": "id", "a": "||"}}}, ["/mapping/contact/a", "/mapping/contact/ref"]),
        (asked | {"mapping": {"contact": {"huge": " | ".join(["[@, @]"] * 30)}}}, ["/mapping"]),
    ]:
        assert api.refused("POST", path, wrong) == pointers
    assert everything(api) == before
