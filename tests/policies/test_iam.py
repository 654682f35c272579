"""The evaluator itself, by the rules of IAM's documentation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.iam import allows, covers, holds, like

TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/draad-prod"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    usual = {"Effect": "Allow", "Action": ["dynamodb:GetItem"], "Resource": [TABLE]}
    return {"Version": "2012-10-17", "Statement": [usual | each for each in statements]}


def test_denied_by_default() -> None:
    assert not allows(policy(), "dynamodb:GetItem", TABLE, {})
    assert not allows(policy({}), "dynamodb:PutItem", TABLE, {})
    assert not allows(policy({}), "dynamodb:GetItem", TABLE + "2", {})
    assert allows(policy({}), "dynamodb:GetItem", TABLE, {})


def test_a_deny_beats_every_allow() -> None:
    denied = policy({}, {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}, {})
    assert not allows(denied, "dynamodb:GetItem", TABLE, {})
    elsewhere = policy({}, {"Effect": "Deny", "Action": "dynamodb:Scan", "Resource": "*"})
    assert allows(elsewhere, "dynamodb:GetItem", TABLE, {})


def test_actions_know_no_case_and_resources_do() -> None:
    assert allows(policy({"Action": "DynamoDB:getitem"}), "dynamodb:GetItem", TABLE, {})
    assert not allows(policy({}), "dynamodb:GetItem", TABLE.replace("draad", "Draad"), {})


@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        ("N#*", "N#abc", True),
        ("N#*", "N#", True),
        ("N#*", "N", False),
        ("N#*", "xN#abc", False),
        ("CONN", "CONN", True),
        ("CONN", "CONN2", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("*", "line\nline", True),
    ],
)
def test_wildcards(pattern: str, text: str, wanted: bool) -> None:
    assert like(pattern, text) is wanted


@pytest.mark.parametrize(
    ("pattern", "resource", "wanted"),
    [
        ("*", TABLE, True),
        ("arn:aws:dynamodb:*:*:table/draad-prod", TABLE, True),
        ("arn:aws:dynamodb:*:*:table/draad-*", TABLE, True),
        ("arn:aws:dynamodb:*:*:table/draad-prod/index/gsi", TABLE, False),
        ("arn:aws:dynamodb:*:table/draad-prod", TABLE, False),
        ("arn:*:table/draad-prod", TABLE, False),
        ("arn:aws:s3:::draad-prod-bodies-????????????/inbox/*", "arn:aws:s3:::draad-prod-bodies-123456789012/inbox/a/b", True),
        ("arn:aws:s3:::draad-prod-bodies-????????????/inbox/*", "arn:aws:s3:::draad-prod-bodies-x-bodies-123456789012/inbox/a", False),
        ("arn:aws:logs:*:*:log-group:/aws/lambda/draad-prod:*", "arn:aws:logs:r:1:log-group:/aws/lambda/draad-prod:log-stream:a", True),
        ("arn:aws:logs:*:*:log-group:/aws/lambda/draad-prod:*", "arn:aws:logs:r:1:log-group:/aws/lambda/draad-prod-jobs:log-stream:a", False),
    ],
)  # fmt: skip
def test_arns(pattern: str, resource: str, wanted: bool) -> None:
    assert covers(pattern, resource) is wanted


KEYS = "dynamodb:LeadingKeys"


@pytest.mark.parametrize(
    ("operator", "values", "wanted"),
    [
        ("ForAllValues:StringLike", ["N#1", "N#2"], True),
        ("ForAllValues:StringLike", ["N#1", "K#2"], False),
        ("ForAllValues:StringLike", [], True),
        ("ForAnyValue:StringLike", ["N#1", "K#2"], True),
        ("ForAnyValue:StringLike", ["K#2"], False),
        ("ForAnyValue:StringLike", [], False),
        ("StringLike", ["N#1"], True),
        ("StringLike", [], False),
        ("StringLike", ["N#1", "N#2"], False),
        ("StringEquals", ["N#1"], False),
        ("StringEquals", ["N#*"], True),
    ],
)
def test_operators(operator: str, values: list[str], wanted: bool) -> None:
    assert holds(operator, {KEYS: ["N#*"]}, {KEYS: values} if values else {}) is wanted


def test_every_operator_and_every_key_must_hold() -> None:
    asked = {"kms:EncryptionContext:connection": ["con_1"], "kms:EncryptionContext:name": ["token"]}
    both = {"kms:EncryptionContext:connection": "con_*", "kms:EncryptionContext:name": "token"}
    assert holds("StringLike", both, asked)
    assert not holds("StringLike", both, asked | {"kms:EncryptionContext:name": ["other"]})
    two = policy({"Condition": {"StringLike": both, "StringEquals": {"kms:EncryptionContext:name": "other"}}})
    assert not allows(two, "dynamodb:GetItem", TABLE, asked)


def test_null_and_variables() -> None:
    assert holds("Null", {KEYS: "true"}, {}) and not holds("Null", {KEYS: "false"}, {})
    assert holds("Null", {KEYS: "false"}, {KEYS: ["N#1"]})
    own = {"aws:ResourceAccount": "${aws:PrincipalAccount}"}
    assert holds("StringEquals", own, {"aws:ResourceAccount": ["1"], "aws:PrincipalAccount": ["1"]})
    assert not holds("StringEquals", own, {"aws:ResourceAccount": ["2"], "aws:PrincipalAccount": ["1"]})


@pytest.mark.parametrize(
    "odd",
    [
        {"NotAction": ["dynamodb:Scan"]},
        {"Condition": {"StringNotLike": {KEYS: "N#*"}}},
        {"Condition": {"ForAllValues:DateLessThan": {KEYS: "N#*"}}},
        {"Condition": {"ForEachValue:StringLike": {KEYS: "N#*"}}},
    ],
)
def test_what_is_not_evaluated_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="nothing here evaluates"):
        allows(policy(odd), "dynamodb:GetItem", TABLE, {KEYS: ["N#1"]})
