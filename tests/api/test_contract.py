"""The contract: every route is in it, it is valid, it is made of the code's own types, and a hook pays nothing for it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from chalicelib.api import contract as package
from chalicelib.api.answers import Call, Reply
from chalicelib.api.contract import document, settings, words
from chalicelib.api.contract.connections import ConnectionChange, NewConnection, SubscriptionWish
from chalicelib.api.contract.operation import asked_of
from chalicelib.api.routes import HOOK_METHODS, ROUTES
from chalicelib.api.wishes import FIELDS
from chalicelib.model.connection import Subscription
from chalicelib.model.rule import Rule
from tests.api import contract
from tests.api.client import Answer, Api, key_with

ROOT = Path(__file__).parent.parent.parent
BASE = "http://hub.example/api"


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document.document(BASE)))
    return found


@pytest.mark.parametrize("target", [target for _, _, target, _ in ROUTES])
def test_every_route_is_declared(target: str) -> None:
    """Says what to add where; the answers of every test are then checked against it."""
    assert document.operation_of(target).summary, target


def test_a_route_without_a_declaration_says_where_to_write_one() -> None:
    for target in ("keys.lend", "nowhere.show"):
        with pytest.raises(document.Undeclared, match=r"add '\w+' to OPERATIONS of chalicelib/api/contract/\w+\.py"):
            document.operation_of(target)


def test_nothing_is_declared_that_is_no_route() -> None:
    views = {target for _, _, target, _ in ROUTES}
    for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
        found = document._declarations(path.stem)
        declared = {f"{path.stem}.{name}" for name in getattr(found, "OPERATIONS", {})}
        assert declared <= views, declared - views


def test_it_is_an_openapi_document(told: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(told).validate()
    assert told["openapi"] == "3.1.0" and told["servers"] == [{"url": BASE}]


def test_all_routes_are_in_it_with_their_scope(told: dict[str, Any]) -> None:
    found = {
        (method.upper(), path) for path, item in told["paths"].items() for method in item if method != "parameters"
    }
    assert found == {(method, path) for method, path, _, _ in ROUTES} | {
        (method, "/hooks/{connection_id}") for method in HOOK_METHODS
    }
    for method, path, target, scope in ROUTES:
        route = told["paths"][path][method.lower()]
        assert route["operationId"] == target.replace(".", "_")
        assert bool(route["security"]) == bool(scope) == ({"401", "403", "429"} <= route["responses"].keys())
        assert [each["name"] for each in route["parameters"] if each["in"] == "path"] == re.findall(r"\{(\w+)\}", path)


def test_a_shape_has_one_plain_name_and_is_used(told: dict[str, Any]) -> None:
    text = json.dumps(told)
    for name in told["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), name
        assert f'"#/components/schemas/{name}"' in text, name
    tags = [each["name"] for each in told["tags"]]
    assert set(words.TAGS) <= set(tags) and len(tags) == len(set(tags))


def test_what_a_view_checks_by_itself_is_declared_with_the_same_fields() -> None:
    for model in (NewConnection, ConnectionChange):
        assert {each.name for each in msgspec.structs.fields(model)} == FIELDS
    wish, kept = (
        {each.name: each.default for each in msgspec.structs.fields(each)} for each in (SubscriptionWish, Subscription)
    )
    assert wish.keys() == kept.keys()
    assert {each.name for each in msgspec.structs.fields(asked_of(Rule, "id", "ver", title="X"))} < set(
        Rule.__struct_fields__
    )
    from chalicelib.api.settings import SETTINGS

    assert {each.name for each in msgspec.structs.fields(settings.Change)} == set(SETTINGS)


def test_it_needs_no_key_holds_no_secret_and_is_sent_once(api: Api) -> None:
    answer = api.send("GET", "/openapi.json", key="")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-cache"
    tag = answer.headers["ETag"]
    again = api.send("GET", "/openapi.json", headers=[("If-None-Match", tag)], key="")
    assert (again.status, again.raw, again.headers["ETag"]) == (304, b"", tag)
    assert api.send("GET", "/openapi.json", headers=[("If-None-Match", '"x"')], key="").status == 200
    assert not re.search(
        rb"draad_[\w-]{10}|magic_\w{20}|whsec_\w{40}|AWS_|arn:", answer.raw.replace(b"whsec_" + b"YWJj" * 8, b"")
    )
    assert len(answer.raw) < 300_000


def test_neither_a_hook_nor_the_app_loads_it() -> None:
    code = (
        "import sys, app; from chalicelib.api import hooks, answers, openapi;"
        "print([n for n in sys.modules if n.startswith('chalicelib.api.contract')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_view_loads_it() -> None:
    for path in (ROOT / "chalicelib" / "api").glob("*.py"):
        top = [
            node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not any("contract" in ast.unparse(node) for node in top), path


def looked(**more: Any) -> contract.Looked:
    return contract.Looked(**more)


@pytest.mark.parametrize(
    ("method", "url", "answer", "seen", "said"),
    [
        ("GET", "/v1/jobs", (200, {"jobs": [], "next": None, "more": 1}), looked(), "not as declared"),
        ("GET", "/v1/jobs", (200, {"jobs": []}), looked(), "not as declared"),
        ("GET", "/v1/jobs", (200, {"jobs": [{}], "next": None}), looked(), "not as declared"),
        ("GET", "/v1/jobs", (418, {}), looked(), "not declared"),
        ("GET", "/v1/jobs", (404, {}), looked(), "not declared"),
        ("GET", "/v1/jobs", (403, {"title": "x"}), looked(), "not as declared"),
        ("GET", "/v1/jobs?status=done&size=1", (200, {"jobs": [], "next": None}), looked(), "size"),
        ("GET", "/v1/jobs", (200, {"jobs": [], "next": None}), looked(parameters={"hidden"}), "hidden"),
        ("GET", "/v1/jobs", (200, {"jobs": [], "next": None}), looked(body=True), "none is declared"),
        ("POST", "/v1/keys", (422, {}), looked(models=[Rule]), "Rule, which is not declared"),
    ],
)
def test_the_check_of_every_answer_sees_what_is_wrong(
    method: str, url: str, answer: tuple[int, Any], seen: contract.Looked, said: str
) -> None:
    status, body = answer
    kind = "application/json" if status < 400 else "application/problem+json"
    headers = {"Content-Type": kind, "RateLimit": '"key";r=1;t=1', "RateLimit-Policy": '"key";q=1;w=60'}
    if status == 422:
        body = {"type": "about:blank", "title": "x", "status": 422}
    with pytest.raises(AssertionError, match=said):
        contract.check(method, url, b"", Answer(status, headers, json.dumps(body).encode()), seen)


def test_the_check_goes_along_with_every_call(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.api import keys

    monkeypatch.setattr(keys, "listing", lambda call: Reply({"keys": [], "next": None, "undeclared": call is Call}))
    with pytest.raises(AssertionError, match="undeclared"):
        api.get("/v1/keys")


def test_a_list_that_goes_on_says_so_in_its_headers(api: Api) -> None:
    for number in range(3):
        api.connect(name=f"shop {number} & more")
    key_with("read")
    answer = api.send("GET", "/v1/connections?limit=2")
    link = re.fullmatch(r'<(\?[^>]+)>; rel="next"', answer.headers["Link"])
    assert link
    rest = api.send("GET", f"/v1/connections{link[1]}")
    assert [each["name"] for each in rest.json["connections"]] == ["shop 2 & more"]
    assert "limit=2" in link[1] and "Link" not in rest.headers
    assert link[1].endswith(f"next={answer.json['next']}")
