"""Requests: what may be read off a body without ever raising."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.request import Request, sample_request

NONE = (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a": "\\ud800"}', b'{"a":1e999}')


def posted(body: bytes) -> Request:
    return Request("POST", "https://hub.example.nl/hooks/con_1", (), body, "2026-09-01T12:00:00.000Z")


@pytest.mark.parametrize(("body", "found"), [(b'{"id": 7}', {"id": 7}), (b"{}", {})])
def test_a_peek_finds_an_object(body: bytes, found: Any) -> None:
    assert posted(body).peek == posted(body).object == found


@pytest.mark.parametrize("body", NONE, ids=range(len(NONE)))
def test_a_peek_at_anything_else_is_empty_where_reading_it_is_malformed(body: bytes) -> None:
    request = posted(body)
    assert request.peek == {}
    with pytest.raises(PayloadMalformed):
        _ = request.object


def test_a_sample_is_a_request_for_its_hook_with_the_body_as_told() -> None:
    made = sample_request("https://hub.example.nl/hooks/con_1", {"auth": "path"}, {"naam": "Zoë"}, x_topic="a/b")
    assert made.connection == "con_1" and made.settings == {"auth": "path"}
    assert made.object == {"naam": "Zoë"} and made.media_type == "application/json"
    assert made.header("X-Topic") == "a/b"
    form = sample_request(made.url, {}, b"a=1", content_type="application/x-www-form-urlencoded")
    assert form.params == {"a": "1"} and form.header_values("content-type") == ["application/x-www-form-urlencoded"]


@pytest.mark.parametrize(("settings", "found"), [({}, "NL"), ({"region": "BE"}, "BE"), ({"region": ["BE"]}, "NL")])
def test_numbers_are_dutch_unless_a_setting_says_otherwise(settings: Any, found: str) -> None:
    assert sample_request("https://hub.example.nl/hooks/con_1", settings, b"").region == found


@pytest.mark.parametrize("document", [None, [], "x", {}, {"missing": True, "why": "404"}])
def test_what_was_not_found_is_empty_or_the_reason(document: Any) -> None:
    request = replace(posted(b"{}"), fetched={"thing": document})
    assert request.found("thing") == {} and request.found("other") == {}
    with pytest.raises(PayloadMalformed, match=r"could not be looked up: (404|is the key set\?)"):
        request.looked_up("thing", "is the key set?")


def test_what_was_found_is_the_document() -> None:
    request = replace(posted(b"{}"), fetched={"thing": {"id": 1}})
    assert request.found("thing") == request.looked_up("thing", "") == {"id": 1}
