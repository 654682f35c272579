"""The part of IAM's evaluation that our policies need: identity policies, wildcards, and a few condition operators.

Pure. A policy that uses anything else is refused loudly, so that nothing is taken for granted that is not
evaluated: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

Context = Mapping[str, Sequence[str]]
"""Condition key → the values that a request has. A key without an entry is not in the request."""
Document = Mapping[str, Any]
KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition"}
VARIABLE = re.compile(r"\$\{([^}]+)\}")


def allows(policy: Document, action: str, resource: str, context: Context) -> bool:
    """Denied by default; an explicit Deny beats every Allow."""
    effects = {statement["Effect"] for _, statement in deciding(policy, action, resource, context)}
    return effects == {"Allow"}


def deciding(policy: Document, action: str, resource: str, context: Context) -> Iterator[tuple[int, Document]]:
    """The statements that match the request, each with its place in the policy."""
    for number, statement in enumerate(policy["Statement"]):
        unknown = statement.keys() - KNOWN
        assert not unknown, f"nothing here evaluates {sorted(unknown)}"
        if (
            any(like(pattern.lower(), action.lower()) for pattern in _list(statement["Action"]))
            and any(covers(pattern, resource) for pattern in _list(statement["Resource"]))
            and all(holds(operator, tests, context) for operator, tests in statement.get("Condition", {}).items())
        ):
            yield number, statement


def covers(pattern: str, resource: str) -> bool:
    """An ARN by its six parts: a wildcard stays within its own, but for `*` alone."""
    if pattern == "*":
        return True
    mine, asked = pattern.split(":", 5), resource.split(":", 5)
    return len(mine) == len(asked) and all(map(like, mine, asked))


def holds(operator: str, tests: Mapping[str, Any], context: Context) -> bool:
    """Whether every key passes. Without a set operator a key that is not in the request fails; ForAllValues
    passes when there is no value, ForAnyValue does not."""
    several, _, plain = operator.rpartition(":")
    assert several in ("", "ForAllValues", "ForAnyValue"), f"nothing here evaluates {operator}"
    return all(_key_holds(several, plain, key, _list(wanted), context) for key, wanted in tests.items())


def _key_holds(several: str, plain: str, key: str, wanted: Sequence[str], context: Context) -> bool:
    there = context.get(key, ())
    if plain == "Null":
        return (not there) is (wanted == ["true"])
    passed = [any(_passes(plain, each, value, context) for each in wanted) for value in there]
    if several == "ForAllValues":
        return all(passed)
    return any(passed) if several else len(passed) == 1 and passed[0]


def _passes(plain: str, wanted: str, value: str, context: Context) -> bool:
    if plain == "StringEquals":
        return VARIABLE.sub(lambda hit: _variable(hit[1], context), wanted) == value
    if plain == "StringLike":
        return like(wanted, value)
    raise AssertionError(f"nothing here evaluates {plain}")


def _variable(name: str, context: Context) -> str:
    (found,) = context[name]
    return found


def like(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL)


def _list(found: str | Iterable[str]) -> list[str]:
    return [found] if isinstance(found, str) else list(found)
