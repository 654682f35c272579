"""Which parts of a policy its function's calls need: whatever can go without any call being refused is not needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from tests.policies.iam import deciding
from tests.policies.recorded import Call

Element = tuple[str, str, str]
"""Function, statement, and an action, a resource or a value of a condition in it."""
Policies = Mapping[str, Mapping[str, Any]]
DROPPABLE = ("ForAllValues:StringLike", "StringLike")
"""Conditions that list alternatives; of the others each narrows."""


def refused(policies: Policies, calls: Iterable[Call]) -> list[str]:
    return [str(call) for call in sorted(calls) if not _deciders(policies[call.function], call)]


def unneeded(policies: Policies, calls: Iterable[Call]) -> set[Element]:
    """Only a call that one statement alone allows can miss a part of it."""
    alone: dict[tuple[str, int], list[Call]] = {}
    for call in calls:
        numbers = _deciders(policies[call.function], call)
        if len(numbers) == 1:
            alone.setdefault((call.function, numbers[0]), []).append(call)
    return {
        element
        for function, policy in policies.items()
        for number, statement in enumerate(policy["Statement"])
        for element, rest in _without(function, statement)
        if not any(_misses(rest, call) for call in alone.get((function, number), ()))
    }


def elements(function: str, policy: Mapping[str, Any]) -> list[Element]:
    return [element for statement in policy["Statement"] for element, _ in _without(function, statement)]


def dropped(policy: Mapping[str, Any], element: Element) -> dict[str, Any]:
    """The policy without it."""
    function, sid, _ = element
    statements = [
        dict(_without(function, statement))[element] if statement["Sid"] == sid else statement
        for statement in policy["Statement"]
    ]
    return {**policy, "Statement": statements}


def _deciders(policy: Mapping[str, Any], call: Call) -> list[int]:
    found = list(deciding(policy, call.action, call.resource, call.context))
    assert all(statement["Effect"] == "Allow" for _, statement in found), "a Deny has no place in these policies"
    return [number for number, _ in found]


def _misses(statement: Mapping[str, Any], call: Call) -> bool:
    return not _deciders({"Statement": [statement]}, call)


def _without(function: str, statement: Mapping[str, Any]) -> Iterator[tuple[Element, dict[str, Any]]]:
    for name in ("Action", "Resource"):
        for each in statement[name]:
            rest = [other for other in statement[name] if other != each]
            yield (function, statement["Sid"], each), {**statement, name: rest}
    for operator in DROPPABLE:
        for key, values in statement.get("Condition", {}).get(operator, {}).items():
            for each in values:
                less = deepcopy(dict(statement))
                less["Condition"][operator][key] = [other for other in values if other != each]
                yield (function, statement["Sid"], each), less
