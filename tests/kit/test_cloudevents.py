"""CloudEvents: the three modes say the same, what is none is malformed, and who may send is told by origin."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import cloudevents
from chalicelib.kit.request import Request

EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "t", "datacontenttype": "application/json"}
BINARY = {f"Ce-{name.title()}": value for name, value in EVENT.items() if name != "datacontenttype"}


def request(body: Any, media: str, headers: dict[str, str] | None = None, **more: Any) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = (("Content-Type", media), *(headers or {}).items()) if media else tuple((headers or {}).items())
    method = more.pop("method", "POST")
    return Request(method, "https://hub.example.nl/hooks/con_1", sent, raw, "2026-09-01T12:00:00.000Z", **more)


def found(sent: Request) -> list[Any]:
    return [cloudevents.read(each) for _, each in cloudevents.documents(sent)]


def test_the_three_modes_say_the_same() -> None:
    whole = EVENT | {"data": {"a": "é"}}
    binary = request({"a": "é"}, "application/json", BINARY)
    structured = request(whole, "Application/CloudEvents+JSON; charset=utf-8")
    batch = request([whole, whole], "application/cloudevents-batch+json")
    assert found(binary) == found(structured) == [whole]
    assert found(batch) == [whole, whole]
    assert cloudevents.key(binary) == cloudevents.key(structured) == "/shop 1"
    assert cloudevents.key(batch) is None


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%25%32%30", "%20"),
        ('"a \\"b\\" \\\\"', 'a "b" \\'),
        ("plain", "plain"),
        ("100%", "100%"),
    ],
)
def test_attributes_in_headers_are_decoded_once(value: str, meant: str) -> None:
    [event] = found(request({}, "application/json", BINARY | {"ce-subject": value}))
    assert event["subject"] == meant


def test_what_is_carried_goes_by_its_type() -> None:
    assert found(request(b"hoi", "text/plain", BINARY))[0]["data"] == "hoi"
    assert found(request(b"[1]", "application/vnd.x+json", BINARY))[0]["data"] == [1]
    assert found(request(b"[1]", "", BINARY))[0]["data"] == [1]
    assert found(request(b"\xff", "image/png", BINARY))[0]["data_base64"] == "/w=="
    assert "data" not in found(request(b"", "application/json", BINARY))[0]
    packed = base64.b64encode(b'{"a":1}').decode()
    assert found(request(EVENT | {"data_base64": packed}, "application/cloudevents+json"))[0]["data"] == {"a": 1}
    text = EVENT | {"data_base64": packed, "datacontenttype": "text/plain"}
    assert found(request(text, "application/cloudevents+json"))[0]["data"] == '{"a":1}'


@pytest.mark.parametrize(
    "sent",
    [
        request({}, "application/json"),
        request({}, "application/json", BINARY | {"ce-subject": "%ff"}),
        request(b"{", "application/json", BINARY),
        request({}, "application/cloudevents-batch+json"),
        request([1], "application/cloudevents-batch+json"),
        request([], "application/cloudevents+json"),
        request(EVENT | {"specversion": "0.3"}, "application/cloudevents+json"),
        request(EVENT | {"id": ""}, "application/cloudevents+json"),
        request(EVENT | {"data_base64": "!"}, "application/cloudevents+json"),
        request(b"x", "application/cloudevents+avro"),
    ],
)
def test_what_is_no_cloudevent_is_malformed(sent: Request) -> None:
    with pytest.raises(PayloadMalformed):
        found(sent)


@given(st.binary(), st.sampled_from(["", "x", "application/cloudevents+json", "application/cloudevents-batch+json"]))
def test_a_key_never_raises(body: bytes, media: str) -> None:
    assert cloudevents.key(request(body, media, BINARY)) in (None, "/shop 1")


def asked(origin: str, settings: Any, proven: bool = False, **more: Any) -> Any:
    sent = request(b"", "", {"WebHook-Request-Origin": origin} if origin else {}, settings=settings, method="OPTIONS")
    answer = cloudevents.permission(sent, proven)
    return answer and dict(answer.headers)


def test_who_is_listed_or_proves_himself_may_send() -> None:
    granted = {"Allow": "POST", "WebHook-Allowed-Origin": "bus.example"}
    assert asked("bus.example", {"allowed_origins": ["bus.example"]}) == granted
    assert asked("bus.example", {"allowed_origins": ["*"]}) == granted
    assert asked("bus.example", {}, proven=True) == granted
    assert asked("bus.example", {"allowed_origins": ["example"]}) is None
    assert asked("bus.example", {"allowed_origins": "bus.example"}) is None
    assert asked("bus.example", {}) is None
    assert asked("", {"allowed_origins": ["*", ""]}) is None
    assert asked("", {}, proven=True) == {"Allow": "POST"}


@pytest.mark.parametrize("origin", ["a\r\nX: 1", "a b", "é", "x" * 300])
def test_an_origin_that_is_none_is_not_repeated(origin: str) -> None:
    assert asked(origin, {"allowed_origins": ["*"]}) == {"Allow": "POST"}


@pytest.mark.parametrize(("limit", "told"), [(600, "600"), (None, "*"), (0, "*"), (True, "*"), ("9", "*")])
def test_a_rate_is_told_to_who_asks_for_one(limit: Any, told: str) -> None:
    headers = {"WebHook-Request-Origin": "bus", "WebHook-Request-Rate": "120"}
    sent = request(b"", "", headers, settings={"allowed_origins": ["bus"], "allowed_rate": limit}, method="OPTIONS")
    answer = cloudevents.permission(sent, False)
    assert answer and answer.headers["WebHook-Allowed-Rate"] == told


def test_only_options_asks() -> None:
    sent = request(b"", "", {"WebHook-Request-Origin": "bus"}, settings={"allowed_origins": ["*"]})
    assert cloudevents.permission(sent, True) is None
