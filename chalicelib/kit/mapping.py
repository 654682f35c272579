"""A mapping: JMESPath expressions that turn any JSON or form body into events.

A mapping is a rule, or a list of rules and blocks. A rule is an object of event field →
expression, with an optional `when`. A block is {"each": "events[]", "rules": [rule, …]}: its
rules see one element at a time, and the whole body as `_body`; several may match one element.

    {"type": "order", "when": "event == 'order.created'", "occurred_at": "created_at", "object": "id",
     "identities": [{"kind": "email", "value": "customer.email", "assurance": "A2"}],
     "refs": [{"kind": "order", "value": "id"}], "details": {"number": "name", "status": "'created'"}}

Where a closed set of words applies, a word of that set stands for itself unless the expression
finds one. Objects and lists in `details` are mirrored; numbers, booleans and null are themselves.
https://jmespath.org/specification.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from chalicelib.errors import PartlyMalformed, PayloadMalformed
from chalicelib.kit.expressions import Search, compiled, truthy
from chalicelib.kit.parts import each_part
from chalicelib.kit.reading import ADDRESSES, PARTS, TEXTS, Reading
from chalicelib.model.event import Event, digest

MOST_RULES = 100
MOST_ELEMENTS = 1000
TREES = ("details", "fields", "attachments")
RULE = frozenset([*TEXTS, *ADDRESSES, *PARTS, *TREES, "when", "type", "channel", "direction", "actor"]) | frozenset(
    {"occurred_at", "sensitive"}
)
Mistakes = list[dict[str, str]]


def events(mapping: Any, body: Any, settings: Mapping[str, Any], connection: str) -> Iterator[Event]:
    """The events that `body` (parsed) holds. Without a mapping: none.

    Raises PayloadMalformed naming the field that cannot be filled, or the mapping's mistake; PartlyMalformed
    after the events of all other elements.
    """
    yield from reader(mapping, settings, connection)(body)


def reader(mapping: Any, settings: Mapping[str, Any], connection: str) -> Callable[[Any], Iterator[Event]]:
    """`events` for several bodies, under one budget of steps. Raises PayloadMalformed for the mapping's mistake."""
    wrong = check(mapping, settings) if mapping else []
    if wrong:
        raise PayloadMalformed(f"{wrong[0]['pointer']}: {wrong[0]['detail']}")
    search = Search()

    def read(body: Any) -> Iterator[Event]:
        def of(part: tuple[list[dict[str, Any]], Any]) -> Iterator[Event]:
            rules, element = part
            scene = element | {"_body": body} if isinstance(element, dict) and element is not body else element
            return _of_element(rules, element, Reading(search, scene, settings, connection))

        return each_part(_parts(search, mapping, body), of)

    return read


def preview(mapping: Any, body: Any, settings: Mapping[str, Any], connection: str) -> dict[str, Any]:
    """{"events": [event, …], "errors": [{"pointer", "detail"}, …]}: what the mapping makes of a real body."""
    found: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = [*check(mapping, settings)]
    try:
        found.extend(
            msgspec.to_builtins(event) for event in ([] if errors else events(mapping, body, settings, connection))
        )
    except PartlyMalformed as partly:
        errors = [_unfilled(reason) | {"element": part} for part, reason in partly.flaws]
    except PayloadMalformed as wrong:
        errors = [_unfilled(str(wrong))]
    return {"events": found, "errors": errors}


def _unfilled(reason: str) -> dict[str, str]:
    field, _, detail = reason.partition(": ")
    return _mistake(f"/mapping/{field}", detail or field)


def check(mapping: Any, settings: Mapping[str, Any] | None = None) -> Mistakes:
    """Every mistake in a mapping, for its registration; empty when it can run."""
    if not isinstance(mapping, dict | list) or not mapping:
        return [_mistake("/mapping", "must be a rule, or a list of rules and blocks")]
    entries = mapping if isinstance(mapping, list) else [mapping]
    found: Mistakes = []
    try:
        for number, entry in enumerate(entries[:MOST_RULES]):
            pointer = f"/mapping/{number}" if isinstance(mapping, list) else "/mapping"
            found += _check_entry(entry, pointer, settings or {})
    except RecursionError:
        found.append(_mistake("/mapping", "is nested too deeply"))
    if len(entries) > MOST_RULES:
        found.append(_mistake("/mapping", f"at most {MOST_RULES} rules"))
    return found


def _check_entry(entry: Any, pointer: str, settings: Mapping[str, Any]) -> Mistakes:
    if not isinstance(entry, dict):
        return [_mistake(pointer, "must be an object")]
    if "each" not in entry and "rules" not in entry:
        return _check_rule(entry, pointer, settings)
    rules = entry.get("rules")
    found = [_mistake(f"{pointer}/{name}", "is no part of a block") for name in entry.keys() - {"each", "rules"}]
    found += _check_expression(entry.get("each", "@"), f"{pointer}/each", str)
    if not isinstance(rules, list) or not 0 < len(rules) <= MOST_RULES:
        return [*found, _mistake(f"{pointer}/rules", f"must be a list of 1 to {MOST_RULES} rules")]
    for number, rule in enumerate(rules):
        found += _check_rule(rule, f"{pointer}/rules/{number}", settings)
    return found


def _check_rule(rule: Any, pointer: str, settings: Mapping[str, Any]) -> Mistakes:
    if not isinstance(rule, dict):
        return [_mistake(pointer, "must be an object of event field and expression")]
    found = [_unknown(f"{pointer}/{name}", str(name), RULE) for name in rule if name not in RULE]
    if rule.get("occurred_at") is None:
        found.append(_mistake(f"{pointer}/occurred_at", "is required: the expression that gives the moment"))
    for name in ("type", "channel"):
        if rule.get(name) is None and not settings.get(name):
            found.append(_mistake(f"{pointer}/{name}", f"is required, here or as the setting {name}"))
    for name, node in rule.items():
        found += _check_field(name, node, f"{pointer}/{name}")
    return found


def _check_field(name: str, node: Any, pointer: str) -> Mistakes:
    if name in PARTS:
        return _check_parts(node, pointer, name)
    if name in TREES:
        return _check_tree(node, pointer)
    if name in ADDRESSES and isinstance(node, dict):
        return _check_part(node, pointer, "identities")
    return _check_expression(node, pointer) if name in RULE else []


def _check_parts(node: Any, pointer: str, name: str) -> Mistakes:
    if not isinstance(node, list):
        return _check_expression(node, pointer, str)
    found: Mistakes = []
    for number, part in enumerate(node):
        at = f"{pointer}/{number}"
        found += _check_part(part, at, name) if isinstance(part, dict) else _check_expression(part, at, str)
    return found


def _check_part(part: Mapping[str, Any], pointer: str, name: str) -> Mistakes:
    known = frozenset(PARTS[name])
    found = [_unknown(f"{pointer}/{key}", str(key), known) for key in part if key not in known]
    found += [_mistake(f"{pointer}/{key}", "is required") for key in ("kind", "value") if part.get(key) is None]
    for key, node in part.items():
        found += _check_expression(node, f"{pointer}/{key}")
    return found


def _check_tree(node: Any, pointer: str) -> Mistakes:
    if isinstance(node, dict | list):
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        return [mistake for key, each in pairs for mistake in _check_tree(each, f"{pointer}/{key}")]
    return _check_expression(node, pointer)


def _check_expression(node: Any, pointer: str, *kinds: type) -> Mistakes:
    if not isinstance(node, kinds or (str, int, float, bool, type(None))):
        return [_mistake(pointer, "must be an expression")]
    if not isinstance(node, str):
        return []
    try:
        compiled(node)
    except ValueError as wrong:
        return [_mistake(pointer, str(wrong))]
    return []


def _mistake(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "detail": detail}


def _unknown(pointer: str, name: str, known: frozenset[str]) -> dict[str, str]:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), 1)
    return _mistake(pointer, f"is no such field{f': {near[0]}?' if near else ''}")


def _parts(search: Search, mapping: Any, body: Any) -> Iterator[tuple[str, tuple[list[dict[str, Any]], Any]]]:
    """(name, (rules, element)) for each element of each block, and the whole body for each rule outside of one."""
    entries = mapping if isinstance(mapping, list) else [mapping] if mapping else []
    for place, entry in enumerate(entries):
        if "rules" not in entry:
            yield f"rule {place}", ([entry], body)
            continue
        each = entry.get("each", "@")
        for number, element in enumerate(_elements(search, each, body)):
            yield f"{each.removesuffix('[]')}[{number}]", (entry["rules"], element)


def _elements(search: Search, each: str, body: Any) -> list[Any]:
    found = search.value(each, body, "each")
    if found is None:
        return []
    elements = found if isinstance(found, list) else [found]
    if len(elements) > MOST_ELEMENTS:
        raise PayloadMalformed(f"each: more than {MOST_ELEMENTS} elements")
    return elements


def _of_element(rules: list[dict[str, Any]], element: Any, reading: Reading) -> Iterator[Event]:
    seen: dict[str, int] = {}
    for rule in rules:
        if "when" in rule and not truthy(reading.value(rule["when"], "when")):
            continue
        type_ = reading.type(rule)
        number = seen[type_] = seen.get(type_, 0) + 1
        yield reading.event(rule, type_, partial(_unnamed, element, number))


def _unnamed(element: Any, number: int) -> str:
    """The object of an event whose rule names none: its element, and the how-manieth of its type it makes."""
    return digest(msgspec.json.encode(element, order="deterministic"), str(number))
