"""The hook: ack only what is durable, keep only what is verified, and let a flood of nonsense cost nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import destinations, sources
from chalicelib.kit.request import MAX_BODY, Request
from chalicelib.kit.source import Answer, Secrets, Source
from chalicelib.model.connection import Connection
from chalicelib.store import aws, blobs, connections, ids, receipts, secrets
from tests.api.client import SECRET, Api, event, key_with, person, signature
from tests.api.client import Answer as Told

NOW = "2026-09-01T09:00:00.000Z"
Calls = list[tuple[str, str]]


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"))


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Every request to AWS from now on: (service, operation)."""
    made: Calls = []

    def observe(service: str, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | None) -> None:
        if answer is None:
            made.append((service, operation))

    aws.observers.append(observe)
    yield made
    aws.observers.remove(observe)


def posted(api: Api, path: str, raw: bytes, signed_with: str = "", *headers: tuple[str, str]) -> Told:
    sign = [("X-Signature", signature(raw, signed_with))] if signed_with else []
    return api.send("POST", path, raw, [*headers, *sign], key="")


def outside(answer: Told) -> tuple[int, bytes, dict[str, str]]:
    """All that a caller can tell answers apart by."""
    return answer.status, answer.raw, dict(answer.headers)


def test_a_flood_of_bad_signatures_costs_one_note(api: Api, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = f"/hooks/{api.connect()['id']}"
    monkeypatch.setattr(connections, "now_seconds", lambda: 1_800_000_000)
    posted(api, hook, b"warm", SECRET)
    calls.clear()
    for number in range(50):
        assert posted(api, hook, b"%d" % number, "wrong").status == 401
    assert calls == [("dynamodb", "put_item")]
    (note,) = connections.refusals(api.table, hook.removeprefix("/hooks/"))
    assert note["reason"] == "the signature does not match"
    calls.clear()
    monkeypatch.setattr(connections, "now_seconds", lambda: 1_800_000_060)
    for number in range(5):
        assert posted(api, hook, b"%d" % number).status == 401
    assert calls == [("dynamodb", "put_item")]
    shown = api.get(f"/v1/connections/{hook.removeprefix('/hooks/')}")["refusals"]
    assert [each["reason"] for each in shown] == [
        "no readable signature in X-Signature",
        "the signature does not match",
    ]


def test_ids_that_we_never_made_cost_nothing_and_look_like_a_bad_signature(api: Api, calls: Calls) -> None:
    real = api.connect()["id"]
    bad = outside(posted(api, f"/hooks/{real}", b"{}", "wrong"))
    assert bad[0] == 401 and b"signature" in bad[1].lower()
    made_up = [
        real[:-1] + ("a" if real[-1] != "a" else "b"),
        "con_" + "a" * 26,
        real.upper(),
        real.replace("con_", "job_"),
        ids.mint("job"),
        "con_" + "é" * 26,
        "con_",
        "x" * 2000,
        "%00",
    ]
    calls.clear()
    for each in made_up:
        for raw in (b"{}", b"\xff\xfe", b"x" * 100_000):
            assert outside(posted(api, f"/hooks/{each}", raw, SECRET)) == bad
            assert outside(posted(api, f"/hooks/{each}/secret", raw, SECRET)) == bad
    assert calls == []


def test_an_id_of_ours_without_a_connection_is_read_once(api: Api, calls: Calls) -> None:
    bad = outside(posted(api, f"/hooks/{api.connect()['id']}", b"{}", "wrong"))
    gone = ids.mint("con")
    calls.clear()
    for _ in range(20):
        assert outside(posted(api, f"/hooks/{gone}", b"{}", SECRET)) == bad
    assert calls == [("dynamodb", "get_item")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
def test_other_methods_are_verified_too(api: Api, method: str) -> None:
    hook = f"/hooks/{api.connect()['id']}"
    assert api.send(method, hook, key="").status == 401
    assert api.send("DELETE", hook, key="").status == 405


def test_a_connection_that_was_deleted_or_disabled_is_refused(api: Api, calls: Calls) -> None:
    for stop in ("deleted", "gone"):
        made = api.connect()["id"]
        bad = outside(posted(api, f"/hooks/{made}", b"{}", "wrong"))
        assert posted(api, f"/hooks/{made}", b"{}", SECRET).status == 200
        if stop == "deleted":
            api.call("DELETE", f"/v1/connections/{made}")
        else:
            found = connections.get(api.table, made)
            assert found
            stopped = Connection(**{name: getattr(found, name) for name in found.__struct_fields__}
                                 | {"status": "disabled", "reason": "410", "ver": 2})  # fmt: skip
            assert connections.save(api.table, stopped)
        calls.clear()
        for _ in range(3):
            assert outside(posted(api, f"/hooks/{made}", b"{}", SECRET)) == bad
        assert calls == [("dynamodb", "get_item")]


def test_a_paused_source_still_takes_everything(api: Api) -> None:
    made = api.connect()["id"]
    api.call("POST", f"/v1/connections/{made}/pause")
    api.record(made, event(1, NOW, person("email", "jan@example.nl")))
    assert api.get("/v1/customers", identity="email:jan@example.nl")["match"] == "exact"


def test_a_body_over_the_limit_is_413_whoever_it_is_for(api: Api, calls: Calls) -> None:
    hook = f"/hooks/{api.connect()['id']}"
    raw = b"x" * (MAX_BODY + 1)
    calls.clear()
    answers = [posted(api, hook, raw, SECRET), posted(api, hook, raw), posted(api, "/hooks/con_nobody", raw)]
    assert {answer.status for answer in answers} == {413} and calls == []
    assert posted(api, hook, raw[1:], SECRET).status == 200


def test_an_ack_means_one_durable_message_and_nothing_else(api: Api, calls: Calls) -> None:
    hook = f"/hooks/{api.connect()['id']}"
    posted(api, hook, b"{}", SECRET)
    calls.clear()
    for _ in range(5):
        assert posted(api, hook, b"{}", SECRET).status == 200
    assert calls == [("sqs", "send_message")] * 5


def test_a_message_that_was_not_taken_is_not_acked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.errors import StorageUnavailable
    from chalicelib.store import queues

    hook = f"/hooks/{api.connect()['id']}"

    def away(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("sqs send_message: throttled")

    monkeypatch.setattr(queues, "send", away)
    answer = posted(api, hook, b"{}", SECRET)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    monkeypatch.setattr(queues, "send", lambda *_, **__: 1 / 0)
    assert posted(api, hook, b"{}", SECRET).status == 500


def test_a_large_body_goes_by_s3_and_comes_back_byte_true(api: Api, calls: Calls) -> None:
    import random

    made = api.connect(mapping=None)["id"]
    raw = random.Random(7).randbytes(300 * 1024)
    posted(api, f"/hooks/{made}", b"{}", SECRET)
    calls.clear()
    assert posted(api, f"/hooks/{made}", raw, SECRET).status == 200
    assert calls == [("s3", "put_object"), ("sqs", "send_message")]
    api.work()
    large = max(api.get("/v1/receipts")["receipts"], key=lambda each: str(each["received_at"]))
    assert body_of(api.get(f"/v1/receipts/{large['id']}")) == raw
    small = bytes(10_000)
    assert posted(api, f"/hooks/{made}", small, SECRET).status == 200
    api.work()
    assert small in [body_of(api.get(f"/v1/receipts/{each['id']}")) for each in api.get("/v1/receipts")["receipts"]]


def body_of(shown: dict[str, Any]) -> bytes:
    import base64

    return base64.b64decode(shown["body_base64"]) if shown["body"] is None else str(shown["body"]).encode()


def stored(api: Api, connection: str) -> bytes:
    """All that is kept of what arrived, opened."""
    from chalicelib.ingest import arrival
    from chalicelib.model import instants

    items = receipts.of_day(api.table, connection, instants.day(instants.now())).items
    found = [receipts.from_item(item).arrival() for item in items]
    return b"".join(repr(arrival.decode(packed)).encode() for packed in found if packed)


@pytest.mark.parametrize(
    ("settings", "secret", "headers", "below"),
    [
        ({"auth": "bearer"}, {"token": "hush"}, [("Authorization", "Bearer hush")], ""),
        ({"auth": "bearer"}, {"token": "hush"}, [], "?access_token=hush"),
        ({"auth": "basic", "username": "u"}, {"password": "hush"}, [("Authorization", "Basic dTpodXNo")], ""),
        ({"auth": "path"}, {"path_secret": "hush"}, [], "/hush"),
        ({"auth": "path"}, {"path_secret": "hu/sh é"}, [], "/hu%2Fsh%20%C3%A9"),
    ],
)
def test_what_authenticates_is_not_kept(
    api: Api, settings: dict[str, Any], secret: dict[str, str], headers: list[tuple[str, str]], below: str
) -> None:
    made = api.connect(settings=settings, secrets=secret, mapping=None)["id"]
    more = [("Cookie", "sid=hush"), ("X-Api-Key", "hush"), ("X-Some-Token", "hush"), ("Proxy-Authorization", "hush")]
    more += [("X-Other", "kept"), ("X-My-Secret", "hush")]
    more += [("Verification-Token", "hush"), ("Validation-Token", "hush")]
    answer = api.send(
        "POST", f"/hooks/{made}{below}{'&' if '?' in below else '?'}a=1&a=2&b=", b'{"a":1}', [*headers, *more], key=""
    )
    assert answer.status == 200, answer.raw
    assert posted(api, f"/hooks/{made}/wrong", b"{}").status == 401
    api.work()
    kept = stored(api, made)
    assert b"kept" in kept
    for hidden in (b"hush", b"hu%2Fsh", b"hu/sh", b"dTpodXNo"):
        assert hidden not in kept, kept
    (receipt,) = api.get("/v1/receipts")["receipts"]
    shown = dict(map(tuple, api.get(f"/v1/receipts/{receipt['id']}")["headers"]))
    assert shown["X-Other"] == "kept" and shown["Cookie"] == "(redacted)"


def test_repeated_headers_and_parameters_are_kept_in_order(api: Api) -> None:
    made = api.connect(settings={"auth": "bearer"}, secrets={"token": "t"}, mapping=None)["id"]
    headers = [("Authorization", "Bearer t"), ("X-Twice", "one"), ("X-Twice", "two"), ("X-Name", "é")]
    assert api.send("POST", f"/hooks/{made}?a=1&b=%C3%A9&a=2&a=", b"", headers, key="").status == 200
    api.work()
    kept = stored(api, made).decode()
    assert "('X-Twice', 'one'), ('X-Twice', 'two')" in kept
    assert "query=(('a', '1'), ('a', '2'), ('a', ''), ('b', 'é'))" in kept


def test_a_rotated_secret_works_at_once(api: Api) -> None:
    made = api.connect()["id"]
    posted(api, f"/hooks/{made}", b"{}", SECRET)
    api.call("POST", f"/v1/connections/{made}/rotate", json_body={"secrets": {"signing_secret": "new"}})
    assert [posted(api, f"/hooks/{made}", b"{}", each).status for each in ("new", SECRET, "other")] == [200, 200, 401]
    api.call("PATCH", f"/v1/connections/{made}", json_body={"secrets": {"signing_secret": ["newer", "new"]}})
    found = [posted(api, f"/hooks/{made}", b"{}", each).status for each in ("newer", "new", SECRET)]
    assert found == [200, 200, 401]


def shaking(first: bool) -> Source:
    """A provider that asks for its challenge back, before or after it proves who it is."""

    def verify(request: Request, secrets: Secrets) -> str | None:
        good = request.header("x-proof") in secrets.get("verify_token", ())
        return None if good else "no proof"

    def handshake(request: Request, secrets: Secrets) -> Answer | None:
        challenge = dict(request.query).get("challenge")
        return Answer(challenge, headers={"X-Shook": "yes"}) if challenge else None

    return Source(
        name="Shaker",
        channel="web",
        types={},
        normalize=lambda request: iter(()),
        verify=verify,
        handshake=handshake,
        handshake_first=first,
        answer=lambda request: Answer("taken " + request.body.decode(), status=202),
    )


@pytest.mark.parametrize("first", [True, False])
def test_handshakes(api: Api, calls: Calls, monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    id = ids.mint("con")
    token = secrets.encrypt(id, "verify_token", "proof")
    connections.save(api.table, Connection(id=id, provider="shaker", secrets={"verify_token": (token,)}))
    monkeypatch.setattr(sources, "slugs", lambda: ("shaker",))
    monkeypatch.setattr(sources, "load", lambda slug: shaking(first))
    monkeypatch.setattr(destinations, "slugs", lambda: ())
    proof = [("X-Proof", "proof")]
    bare = api.send("GET", f"/hooks/{id}?challenge=c%2F1", key="")
    assert (bare.status, bare.raw) == ((200, b"c/1") if first else (401, bare.raw))
    calls.clear()
    answer = api.send("GET", f"/hooks/{id}?challenge=c1", b"", proof, key="")
    assert (answer.status, answer.raw, answer.headers["X-Shook"]) == (200, b"c1", "yes")
    assert calls == []
    answer = api.send("POST", f"/hooks/{id}", b"it", proof, key="")
    assert (answer.status, answer.raw, calls) == (202, b"taken it", [("sqs", "get_queue_url"), ("sqs", "send_message")])


def test_a_test_sample_makes_no_customer_and_no_delivery(api: Api) -> None:
    made = api.connect(
        provider="shopify", secrets={"client_secret": "s"}, settings={"accounts": "verified"}, mapping=None
    )
    id = api.call("POST", f"/v1/connections/{made['id']}/test", 202)["receipt"]
    api.work()
    shown = api.get(f"/v1/receipts/{id}")
    assert shown["test"] and shown["verdict"] == "accepted"
    assert {each["verdict"] for each in shown["events"]} == {"test"}
    kept = {
        item["pk"]["S"].partition("#")[0] for item in aws.call("dynamodb", "scan", TableName=api.table.name)["Items"]
    }
    assert kept == {"CONN", "KEY", "I", "RATE"}
    replayed = api.call("POST", f"/v1/receipts/{id}/replay", 202)["job"]
    api.work()
    assert api.get(f"/v1/jobs/{replayed}")["status"] == "done"
    assert not api.get("/v1/customers", q="#1")["customers"]


def test_a_body_that_expired_in_s3_ends_visible(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.workers import context

    context.park(api.table, "s3:inbox/con_x/arr_y", "ValueError at arrival.py:88")
    (shown,) = api.get("/v1/receipts", verdict="failed")["receipts"]
    assert (shown["connection"], shown["reason"]) == ("unreadable", "ValueError at arrival.py:88")
    assert blobs.get("inbox/con_x/arr_y") is None


def test_a_protocol_may_put_below_the_hook(api: Api) -> None:
    """An application service's transactions and questions; what is below the hook is not kept with the receipt."""
    asked = {"provider": "matrix", "name": "rooms", "secrets": {"hs_token": "hush"}}
    made = api.call("POST", "/v1/connections", 201, asked)["id"]
    below, token = f"/hooks/{made}/_matrix/app/v1", [("Authorization", "Bearer hush")]
    said = {"type": "m.room.message", "sender": "@jan:example.nl", "room_id": "!r:example.nl", "event_id": "$1"}
    raw = json.dumps({"events": [said | {"content": {"body": "Hoi"}, "origin_server_ts": 1788253200000}]}).encode()
    json_token = [*token, ("Content-Type", "application/json")]
    for _ in range(2):
        told = api.send("PUT", f"{below}/transactions/14", raw, json_token, key="")
        assert (told.status, told.json) == (200, {})
    asking = api.send("GET", f"{below}/users/%40x%3Aexample.nl", b"", token, key="")
    assert (asking.status, asking.json) == (404, {"errcode": "M_NOT_FOUND"})
    assert api.send("PUT", f"{below}/transactions/15", raw, key="").status == 401
    api.work()
    found = api.get("/v1/receipts")["receipts"]
    assert sorted((each["verdict"], each["delivery_key"]) for each in found) == [
        ("accepted", "14"),
        ("duplicate", "14"),
    ]
    assert b"transactions" not in stored(api, made)


@pytest.mark.parametrize("depth", range(1, 9))
def test_a_path_secret_is_the_whole_rest_of_the_path(api: Api, depth: int) -> None:
    """However deep: at most six segments reach the hub, and none of them may be too much."""
    made = api.connect(settings={"auth": "path"}, secrets={"path_secret": "hush"}, mapping=None)["id"]
    status = posted(api, f"/hooks/{made}/hush" + "/x" * (depth - 1), b"{}").status
    assert status == (200 if depth == 1 else 401 if depth <= 6 else 404)


def test_a_probe_is_told_that_somebody_is_at_home_and_nothing_else(api: Api) -> None:
    """A vendor that looks before it makes a webhook signs nothing; whatever else is unsigned stays refused."""
    settings, secrets = {"client_id": "c"}, {"client_secret": "s", "access_token": "t"}
    asked = {"provider": "surveymonkey", "name": "survey", "settings": settings, "secrets": secrets}
    hook = "/hooks/" + api.call("POST", "/v1/connections", 201, asked)["id"]
    probed = api.send("HEAD", hook, key="")
    assert (probed.status, probed.raw) == (200, b"")
    assert [api.send(method, hook, key="").status for method in ("GET", "POST", "PUT", "OPTIONS")] == [401] * 4
    api.work()
    assert api.get("/v1/receipts")["receipts"] == []
