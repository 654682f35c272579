"""infra/template.yaml: what real AWS gets, checked without one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.embedded import TEMPLATE
from infra.local.state import ROOT

KEPT = {"Table", "SecretsKey", "Pepper", "Bodies"}
QUEUES = ("Inbox", "Deliveries", "Jobs")


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags read as their long form."""


Loader.add_multi_constructor("!", lambda loader, name, node: {name: getattr(node, "value", None)})


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return yaml.load(TEMPLATE.read_text("utf-8"), Loader)


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    return template["Resources"][name]["Properties"]


def test_cfn_lint_finds_nothing() -> None:
    from cfnlint.api import ManualArgs, lint

    found = lint(TEMPLATE.read_text("utf-8"), config=ManualArgs(regions=["eu-west-1"]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []


def test_table_is_on_demand_recoverable_and_cannot_be_dropped(template: dict[str, Any]) -> None:
    table = properties(template, "Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "x", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["DeletionProtectionEnabled"] is True


def test_the_index_is_sparse_small_and_the_one_that_the_store_asks_for(template: dict[str, Any]) -> None:
    (index,) = properties(template, "Table")["GlobalSecondaryIndexes"]
    source = (ROOT / "chalicelib" / "store" / "table.py").read_text("utf-8")
    assert re.findall(r'"IndexName": "([^"]+)"', source) == [index["IndexName"]]
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["gpk", "gsk"]
    assert index["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["st", "nd", "ty", "nm", "id"]}


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_outwaits_its_function_and_keeps_what_failed(template: dict[str, Any], name: str) -> None:
    queue = properties(template, name)
    dead = properties(template, f"{name}DeadLetters")
    assert queue["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["VisibilityTimeout"] == {"Ref": "VisibilitySeconds"}
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"GetAtt": f"{name}DeadLetters.Arn"}
    assert template["Parameters"]["MaxReceiveCount"]["Default"] == 100


def test_visibility_is_six_times_the_longest_worker(template: dict[str, Any]) -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
    functions = config["lambda_functions"]
    longest = max(functions[name]["lambda_timeout"] for name in ("context", "deliver", "jobs"))
    assert template["Parameters"]["VisibilitySeconds"]["Default"] >= 6 * longest
    assert functions["api_handler"]["lambda_timeout"] <= 29, "API Gateway gives up after 29 s"


def test_what_cannot_be_made_again_outlives_the_stack(template: dict[str, Any]) -> None:
    kept = {name for name, found in template["Resources"].items() if found.get("DeletionPolicy") == "Retain"}
    assert kept == KEPT
    assert all(template["Resources"][name]["UpdateReplacePolicy"] == "Retain" for name in kept)


def test_bodies_are_private_and_outlive_the_queue(template: dict[str, Any]) -> None:
    bucket = properties(template, "Bodies")
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert rule["Prefix"] == "inbox/"
    assert template["Parameters"]["LargeBodyDays"]["MinValue"] > 14
    assert bucket["BucketEncryption"]


def test_secrets(template: dict[str, Any]) -> None:
    assert properties(template, "SecretsKey")["EnableKeyRotation"] is True
    generated = properties(template, "Pepper")["GenerateSecretString"]
    assert generated == {"PasswordLength": 64, "ExcludePunctuation": True}


def policies() -> list[Path]:
    return sorted((ROOT / ".chalice").glob("policy-*.json"))


def test_every_function_has_its_policy() -> None:
    config = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
    named = {found["iam_policy_file"] for found in config["lambda_functions"].values()}
    assert named == {path.name for path in policies()}
    assert config["autogen_policy"] is False
    assert set(config["lambda_functions"]) == {"api_handler", "context", "fanout", "deliver", "jobs", "sweep"}


@pytest.mark.parametrize("path", policies(), ids=lambda path: path.stem)
def test_a_policy_grants_named_actions_on_our_resources(path: Path) -> None:
    for statement in json.loads(path.read_text("utf-8"))["Statement"]:
        assert statement["Effect"] == "Allow"
        assert not [action for action in statement["Action"] if "*" in action]
        if statement["Action"] != ["dynamodb:ListStreams"]:
            ours = [arn for arn in statement["Resource"] if "draad-" in arn]
            assert ours == statement["Resource"] or "kms:ResourceAliases" in json.dumps(statement["Condition"])
