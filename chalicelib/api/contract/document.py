"""The OpenAPI document, made of the routes and of what each view declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from chalicelib.api.answers import ANY_KEY, IMPLIED, JSON, PROBLEM
from chalicelib.api.contract import following, hooks, words
from chalicelib.api.contract.operation import Files, Operation
from chalicelib.api.routes import ROUTES
from chalicelib.model.event import digest
from chalicelib.settings import settings

Json = dict[str, Any]
EXAMPLES = Path(__file__).with_name("examples.json")
SCHEMAS = "#/components/schemas/{name}"
PARTS = re.compile(r"\{(\w+)\}")
WITH_BODY = ("POST", "PATCH")
UNDECLARED = "{target} has no declaration: add {name!r} to OPERATIONS of chalicelib/api/contract/{module}.py"


class Undeclared(LookupError):
    """A route without a declaration; says where to write it."""


@lru_cache(maxsize=4)
def written(base_url: str) -> tuple[bytes, str]:
    """The document for whoever calls the hub by that URL, and its ETag."""
    raw = msgspec.json.encode(document(base_url))
    return raw, f'"{digest(raw)}"'


def document(base_url: str) -> Json:
    routes = [(*route, operation_of(route[2])) for route in ROUTES]
    shapes = Shapes([operation for *_, operation in routes])
    paths: Json = {}
    for method, path, target, scope, operation in routes:
        paths.setdefault(path, {})[method.lower()] = _route(method, path, target, scope, operation, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Draad", "version": "1.0.0", "summary": words.SUMMARY, "description": words.ABOUT},
        "servers": [{"url": base_url}],
        "tags": [{"name": name} for name in dict.fromkeys([*words.TAGS, *_tags(), hooks.TAG])],
        "paths": paths | hooks.paths(),
        "components": {
            "schemas": shapes.components | words.SCHEMAS,
            "responses": {str(status): _problem(status) for status in words.PROBLEMS},
            "headers": words.HEADERS,
            "securitySchemes": {"key": words.KEY},
        },
    }


def operation_of(target: str) -> Operation:
    """What a view declares. Raises Undeclared."""
    module, _, name = target.partition(".")
    try:
        found: Operation = _declarations(module).OPERATIONS[name]
    except (ImportError, KeyError) as missing:
        raise Undeclared(UNDECLARED.format(target=target, name=name, module=module)) from missing
    return found


def _declarations(module: str) -> Any:
    return import_module(f"chalicelib.api.contract.{module}")


def _tags() -> Iterator[str]:
    for _, _, target, _ in ROUTES:
        yield _declarations(target.partition(".")[0]).TAG


class Shapes:
    """Every shape of every operation as JSON Schema, each named once."""

    def __init__(self, operations: list[Operation]) -> None:
        wanted = [shape for operation in operations for shape in _shapes(operation)]
        known = {id(shape): shape for shape in wanted}
        schemas, self.components = msgspec.json.schema_components(list(known.values()), ref_template=SCHEMAS)
        self.components = {name: _plain(each) for name, each in self.components.items()}
        self._of = dict(zip(known, schemas, strict=True))
        self.queries = {
            id(each.query): self.components.pop(self._of[id(each.query)]["$ref"].rpartition("/")[2])
            for each in {id(each.query): each for each in operations if each.query}.values()
        }

    def schema(self, shape: Any) -> Json:
        found = [self._of[id(each)] for each in _either(shape)]
        return found[0] if len(found) == 1 else {"anyOf": found}

    def properties(self, shape: Any) -> Json:
        """The object schema of an answer; empty for one that is no JSON, or either of several."""
        schema = {} if shape is None or isinstance(shape, Files) else self.schema(shape)
        return dict(self.components[_name(schema)]) if "$ref" in schema else {}


def _plain(schema: Any) -> Any:
    """Several of one kind, such as a scale's two ends, as a list of so many: every reader knows those."""
    if isinstance(schema, list | tuple):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _plain(each) for name, each in schema.items()}
    places = found.get("prefixItems")
    if places and all(each == places[0] for each in places):
        return {name: each for name, each in found.items() if name != "prefixItems"} | {"items": places[0]}
    return found


def _shapes(operation: Operation) -> Iterator[Any]:
    answers = [each for each in operation.answers.values() if each is not None and not isinstance(each, Files)]
    for shape in [
        *answers,
        *([operation.body] if operation.body else []),
        *([operation.query] if operation.query else []),
    ]:
        yield from _either(shape)


def _either(shape: Any) -> tuple[Any, ...]:
    return shape if isinstance(shape, tuple) else (shape,)


def _route(method: str, path: str, target: str, scope: str, operation: Operation, shapes: Shapes) -> Json:
    example = examples().get(target, {})
    found: Json = {
        "operationId": target.replace(".", "_"),
        "tags": [_declarations(target.partition(".")[0]).TAG],
        "summary": operation.summary,
        "description": "\n\n".join(part for part in (operation.more, _needs(scope)) if part),
        "security": [{"key": [] if scope == ANY_KEY else [scope]}] if scope else [],
        "parameters": [*_path_parameters(path, example), *_query_parameters(operation, shapes, example)],
        "responses": _answers(method, path, target, scope, operation, shapes, example),
    }
    if operation.body:
        found["requestBody"] = _body(operation, shapes, example)
    return found


def _needs(scope: str) -> str:
    if not scope:
        return "Needs no key."
    if scope == ANY_KEY:
        return "Which scope it needs depends on what is found."
    holders = [f"`{name}`" for name, implied in sorted(IMPLIED.items()) if scope in implied and name != scope]
    more = f"; {' and '.join(holders)} include{'' if len(holders) > 1 else 's'} it" if holders else ""
    return f"Needs the scope `{scope}`{more}."


def _path_parameters(path: str, example: Json) -> list[Json]:
    given = example.get("path", {})
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        | ({"example": given[name]} if name in given else {})
        for name in PARTS.findall(path)
    ]


def _query_parameters(operation: Operation, shapes: Shapes, example: Json) -> list[Json]:
    if operation.query is None:
        return []
    schema, given = shapes.queries[id(operation.query)], example.get("query", {})
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": _bare(each)}
        | ({"description": each["description"]} if "description" in each else {})
        | ({"example": given[name]} if name in given else {})
        for name, each in schema["properties"].items()
    ]


def _bare(schema: Json) -> Json:
    return {name: value for name, value in schema.items() if name != "description"}


def _body(operation: Operation, shapes: Shapes, example: Json) -> Json:
    model = shapes.schema(operation.body)
    needed = all(shapes.components[_name(each)].get("required") for each in model.get("anyOf", [model]))
    content = {"schema": model} | ({"example": example["body"]} if "body" in example else {})
    return {"required": needed, "content": {JSON: content}}


def _name(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _answers(
    method: str, path: str, target: str, scope: str, operation: Operation, shapes: Shapes, example: Json
) -> Json:
    found: Json = {}
    for status, shape in operation.answers.items():
        headers = {
            name: {"$ref": f"#/components/headers/{name}"} for name in _headers(status, scope, operation, shapes)
        }
        content = _content(shape, shapes)
        if content and example.get("status") == status and "answer" in example:
            next(iter(content.values()))["example"] = example["answer"]
        links = following.links(method, path, target, status, shapes.properties(shape))
        found[str(status)] = (
            {"description": HTTPStatus(status).phrase}
            | ({"headers": headers} if headers else {})
            | ({"content": content} if content else {})
            | ({"links": links} if links else {})
        )
    for status in sorted({*_usual(method, path, scope, operation), *operation.problems}):
        found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return found


def _content(shape: Any, shapes: Shapes) -> Json:
    if isinstance(shape, Files):
        return {each: {} for each in shape.types}
    return {JSON: {"schema": shapes.schema(shape)}} if shape is not None else {}


def _headers(status: int, scope: str, operation: Operation, shapes: Shapes) -> list[str]:
    """Those of a status, with what every call with a key is told and what a list that goes on says."""
    shape = operation.answers[status]
    rate = ["RateLimit", "RateLimit-Policy"] if scope and settings().rate_limit else []
    paged = isinstance(shape, Files) or (shape is not None and _goes_on(shapes.schema(shape), shapes))
    return [*operation.headers.get(status, ()), *rate, *(["Link"] if paged else [])]


def _goes_on(schema: Json, shapes: Shapes) -> bool:
    return "$ref" in schema and "next" in shapes.components[_name(schema)]["properties"]


def _usual(method: str, path: str, scope: str, operation: Operation) -> list[int]:
    """Refusals that follow from what a route is."""
    found = [401, 403, 429] if scope else []
    found += [404] if "{" in path else []
    found += [422] if operation.query else []
    found += [413, 415, 422] if operation.body else []
    return [*found, 500, 503]


def _problem(status: int) -> Json:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in words.PROBLEM_HEADERS.get(status, ())}
    schema = {"$ref": "#/components/schemas/Problem"}
    found: Json = {"description": words.PROBLEMS[status], "content": {PROBLEM: {"schema": schema}}}
    return found | ({"headers": headers} if headers else {})


@lru_cache(maxsize=1)
def examples() -> Mapping[str, Json]:
    """View → one call of it and what was answered, as the tests recorded it."""
    found: dict[str, Json] = msgspec.json.decode(EXAMPLES.read_bytes()) if EXAMPLES.exists() else {}
    return found
