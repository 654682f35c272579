"""Refusals: whatever is wrong with a request, the answer is problem details (RFC 9457)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chalicelib.api import routes
from chalicelib.api.answers import MAX_JSON
from tests.api.client import Answer, Api

WISH = json.dumps({"name": "till", "scopes": ["read"]}).encode()


def assert_problem(answer: Answer, status: int, title: str) -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.raw
    assert (answer.json["title"], answer.json["status"], answer.json["type"]) == (title, status, "about:blank")


def test_a_path_that_is_not_there(api: Api) -> None:
    for path in ("/v1/nothing", "/v1", "/v1/customers/x/y/z/q", "//", "/%00"):
        assert_problem(api.send("GET", path), 404, "Not found")


def test_a_method_that_the_path_does_not_have(api: Api) -> None:
    answer = api.send("PUT", "/v1/rules/x", b"{}")
    assert_problem(answer, 405, "Method not allowed")
    assert answer.headers["Allow"] == "DELETE, PATCH"


def test_chalices_own_refusal_is_in_our_words_too(api: Api) -> None:
    """As Lambda calls the app, whoever let the method through."""
    from app import app

    context = {"httpMethod": "PUT", "resourcePath": "/v1/keys", "stage": "api", "path": "/api/v1/keys"}
    event = {"requestContext": context, "headers": {}, "multiValueQueryStringParameters": None, "pathParameters": {}}
    event |= {"stageVariables": None, "body": None, "isBase64Encoded": False}
    found = app(event, None)
    assert (found["statusCode"], found["headers"]["Content-Type"]) == (405, "application/problem+json")
    assert found["headers"]["Allow"] == "POST, GET"


def test_a_body_of_no_json_type(api: Api) -> None:
    for kind in ("text/xml", "multipart/form-data; boundary=x", "application/octet-stream", "text/csv", "nonsense"):
        answer = api.send("POST", "/v1/keys", WISH, [("Content-Type", kind)])
        assert_problem(answer, 415, "Media type unsupported")


@pytest.mark.parametrize("kind", ["application/json", "APPLICATION/JSON; charset=utf-8", "application/vnd.x+json", ""])
def test_json_by_any_of_its_names(api: Api, kind: str) -> None:
    assert api.send("POST", "/v1/keys", WISH, [("Content-Type", kind)] if kind else []).status == 201


def test_what_curl_sends_by_itself_is_read(api: Api) -> None:
    """`curl -d '{…}'` names this type; the first lines of the readme do so."""
    assert api.send("POST", "/v1/keys", WISH, [("Content-Type", "application/x-www-form-urlencoded")]).status == 201


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"nul", b"[]", b'"x"', b"1e999", b"[" * 5000, b'{"a":1}{'])
def test_a_body_that_is_no_json_object(api: Api, raw: bytes) -> None:
    answer = api.send("POST", "/v1/keys", raw)
    assert_problem(answer, 422, "Input invalid")
    assert answer.pointers == [""]


def test_a_body_over_the_limit(api: Api) -> None:
    raw = json.dumps({"name": "n" * MAX_JSON}).encode()
    assert_problem(api.send("POST", "/v1/keys", raw), 413, "Body too large")


def test_without_a_key_the_answer_says_how_to_send_one(api: Api) -> None:
    answer = api.send("GET", "/v1/keys", key="")
    assert_problem(answer, 401, "API key missing or unknown")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_our_own_mistake_says_nothing_about_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.api import keys

    def fails(call: Any) -> None:
        raise RuntimeError("secret-of-ours")

    monkeypatch.setattr(keys, "listing", fails)
    answer = api.send("GET", "/v1/keys")
    assert_problem(answer, 500, "Our mistake")
    assert b"secret" not in answer.raw and routes.ROUTES
