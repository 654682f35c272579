"""Every answer of every test that goes through `Api`, against what the route declares.

The published shapes let a hub say more one day; here they are closed, so that whatever a view answers
and nobody declared is a failure. So is a body that a view took and the contract forbids, and a query
parameter that a view looks at and the contract does not name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs

from chalicelib.api.answers import Call
from chalicelib.api.contract import document
from chalicelib.api.contract.operation import Operation
from chalicelib.api.routes import ROUTES
from tests.schedule import replaced

PROBLEM = {"$ref": "#/components/schemas/Problem"}
OURS = re.compile(r"/(v1/|v1\Z|health\Z|openapi\.json\Z)")


@dataclass
class Looked:
    """What a view looked at while it answered."""

    models: list[Any] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)
    body: bool = False


@contextmanager
def looking() -> Iterator[Looked]:
    seen = Looked()
    read, values, body = Call.read, Call.values, Call.json

    def reads(call: Call, model: type[Any]) -> Any:
        seen.models.append(model)
        return read(call, model)

    def looks(call: Call, name: str) -> list[str]:
        seen.parameters.add(name)
        return values(call, name)

    def takes(call: Call) -> dict[str, Any]:
        seen.body = True
        return body(call)

    with replaced((Call, "read", reads), (Call, "values", looks), (Call, "json", takes)):
        yield seen


@cache
def whole() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document.document("http://hub.example")))
    found["components"]["schemas"] = closed(found["components"]["schemas"])
    return found


def closed(schema: Any) -> Any:
    """Objects hold what is declared and nothing else."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


@cache
def _validator(text: str) -> Any:
    root = json.loads(text) | {"components": whole()["components"]}
    return jsonschema_rs.Draft202012Validator(root, validate_formats=True)


def mistakes(schema: Mapping[str, Any], value: Any) -> list[str]:
    found = _validator(json.dumps(schema, sort_keys=True)).iter_errors(value)
    return [f"/{'/'.join(map(str, each.instance_path))}: {each.message[:300]}" for each in found]


@cache
def _routes() -> list[tuple[str, re.Pattern[str], str, str]]:
    """A path without parameters is matched before one with, as the gateway does."""
    named = sorted(ROUTES, key=lambda route: ("{" in route[1], route[1]))
    return [
        (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"/?\Z"), path, target)
        for method, path, target, _ in named
    ]


def route_of(method: str, path: str) -> tuple[str, str] | None:
    """(path as declared, view) of what is called."""
    return next(
        ((path_, target) for verb, form, path_, target in _routes() if verb == method and form.match(path)), None
    )


def check(method: str, url: str, body: bytes, answer: Any, seen: Looked) -> None:
    """Raises AssertionError."""
    parts = urlsplit(url)
    if not OURS.match(parts.path):
        return
    found = route_of(method, parts.path)
    if found is None:
        assert answer.status in (404, 405), (method, url, answer.status)
        assert mistakes(PROBLEM, answer.json) == []
        return
    told = whole()["paths"][found[0]][method.lower()]
    about = f"{method} {found[0]} answered {answer.status}"
    _check_answer(about, told, answer)
    _check_looked(about, document.operation_of(found[1]), seen)
    if answer.status < 300:
        _check_asked(about, told, body, [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)])


def _check_answer(about: str, told: Mapping[str, Any], answer: Any) -> None:
    assert str(answer.status) in told["responses"], f"{about}, which is not declared: {answer.raw[:300]!r}"
    declared = _resolved(told["responses"][str(answer.status)])
    for name, header in declared.get("headers", {}).items():
        header, value = _resolved(header), answer.headers.get(name)
        assert value is not None or not header["required"], f"{about} without {name}"
        assert value is None or mistakes(header["schema"], value) == [], f"{about} with {name}: {value}"
    content = declared.get("content", {})
    assert content or not answer.raw, f"{about} with a body that is not declared"
    if content:
        kind = answer.headers["Content-Type"].partition(";")[0]
        assert kind in content, f"{about} as {kind}"
        wrong = mistakes(content[kind]["schema"], answer.json) if "schema" in content[kind] else []
        assert not wrong, f"{about}; it is not as declared:\n" + "\n".join(wrong)


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    found: Any = whole()
    for name in part.get("$ref", "#").split("/")[1:]:
        found = found[name]
    return found if "$ref" in part else part


def _check_looked(about: str, operation: Operation, seen: Looked) -> None:
    models = operation.body if isinstance(operation.body, tuple) else (operation.body,)
    for model in seen.models:
        assert model in models, f"{about}: the view reads {model.__name__}, which is not declared as its body"
    assert not seen.body or operation.body, f"{about}: the view reads a body, and none is declared"
    declared = operation.query.__annotations__.keys() if operation.query else set()
    assert seen.parameters <= declared, f"{about}: the view looks at {sorted(seen.parameters - declared)} of the query"


def _check_asked(about: str, told: Mapping[str, Any], body: bytes, names: list[str]) -> None:
    known = {each["name"] for each in told["parameters"] if each["in"] == "query"}
    assert set(names) <= known, f"{about}; it was asked for {set(names) - known}"
    if body and "requestBody" in told:
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        wrong = mistakes(schema, json.loads(body))
        assert not wrong, f"{about}; the contract forbids what was asked:\n" + "\n".join(wrong)
