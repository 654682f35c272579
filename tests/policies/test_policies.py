"""The files that Chalice takes: what infra/policies.py says, sound by AWS's own lists, and one stage's each."""

from __future__ import annotations

import json
import os
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder
from chalice.deploy.models import FileBasedIAMPolicy, LambdaFunction

from infra import policies
from infra.local.state import ROOT
from infra.policies import COMMITTED, FUNCTIONS, Place
from tests.policies.iam import allows
from tests.policies.lint import meet, mistakes
from tests.policies.recorded import ACCOUNT, REGION

OLD = "is old: run the tests once with DRAAD_WRITE=1, or python -m infra.policies"
EACH = [(stage, name) for stage in COMMITTED for name in FUNCTIONS]
PROD = Place("prod", ACCOUNT, REGION)
TABLE = PROD.table()


def committed(stage: str, function: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / ".chalice" / policies.file_of(stage, function)).read_text("utf-8"))
    return found


def may(function: str, action: str, resource: str = TABLE, stage: str = "prod", **keys: str) -> bool:
    context = {name.replace("__", ":"): [value] for name, value in keys.items()}
    return allows(committed(stage, function), action, resource, context)


def item(function: str, action: str, key: str, stage: str = "prod") -> bool:
    return may(function, f"dynamodb:{action}", TABLE, stage, dynamodb__LeadingKeys=key)


def test_the_committed_files_are_the_generated_ones(tmp_path: Path) -> None:
    if os.environ.get("DRAAD_WRITE"):
        policies.main([])
    shutil.copytree(ROOT / ".chalice", tmp_path / ".chalice")
    for stage in COMMITTED:
        assert policies.write(stage, tmp_path) == [], f".chalice {OLD}"
    wanted = {policies.file_of(stage, name) for stage, name in EACH}
    assert {path.name for path in (ROOT / ".chalice").glob("policy-*.json")} == wanted
    assert policies.page(policies.PAGE.read_text("utf-8")) == policies.PAGE.read_text("utf-8"), f"docs {OLD}"


@pytest.mark.parametrize(("stage", "function"), EACH)
def test_aws_knows_every_action_resource_and_condition(stage: str, function: str) -> None:
    assert mistakes(committed(stage, function)) == []
    assert mistakes(policies.document(PROD, function, xray=True)) == []


def test_the_linter_of_templates_finds_nothing_either() -> None:
    from cfnlint.api import ManualArgs, lint

    made = {
        name.title().replace("_", ""): {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {"PolicyDocument": policies.document(PROD, name)},
        }
        for name in FUNCTIONS
    }
    template = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": made})
    found = lint(template, config=ManualArgs(regions=[REGION]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []


@pytest.mark.parametrize(("stage", "function"), EACH)
def test_a_policy_fits_into_its_role(stage: str, function: str) -> None:
    longest = policies.document(Place(stage, ACCOUNT, "ap-southeast-1"), function, xray=True)
    assert len("".join(json.dumps(longest).split())) < policies.LARGEST


STATEMENT = {"Sid": "S", "Effect": "Allow", "Action": ["dynamodb:GetItem"], "Resource": [TABLE]}
KEYED = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["N#*"]}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Action": ["dynamodb:ReadItem"]}, "is no action"),
        ({"Action": ["dynamo:GetItem"]}, "is no action"),
        ({"Action": ["dynamodb:Get*"]}, "is no action"),
        ({"Resource": ["*"]}, "has resource *"),
        ({"Resource": ["arn:aws:sqs:*:*:draad-prod-inbox"]}, "has no resource of its kind"),
        ({"Resource": [TABLE, "arn:aws:sqs:*:*:draad-prod-inbox"]}, "fits none of its actions"),
        ({"Resource": [TABLE, f"{TABLE}/stream/*"]}, "fits none of its actions"),
        ({"Action": ["dynamodb:ListStreams"]}, "knows no resource"),
        ({"Effect": "Deny"}, "is Deny"),
        ({"Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKey": ["N#*"]}}}, "has no condition key"),
        ({"Condition": {"StringLike": {"dynamodb:LeadingKeys": ["N#*"]}}}, "does not fit"),
        ({"Condition": {"ForAnyValue:StringEquals": {"aws:ResourceAccount": ["1"]}}}, "does not fit"),
        ({"Action": ["dynamodb:Scan"], "Condition": {"StringEquals": {"kms:ViaService": "x"}}}, "has no condition key"),
    ],
)
def test_the_checks_find_what_is_wrong(change: dict[str, Any], said: str) -> None:
    found = mistakes({"Statement": [STATEMENT | change]})
    assert any(said in each for each in found), found


def test_what_is_right_is_no_mistake() -> None:
    assert mistakes({"Statement": [STATEMENT | {"Condition": KEYED}]}) == []
    assert mistakes({"Statement": [STATEMENT, STATEMENT]}) == ["S stands twice"]


@pytest.mark.parametrize(
    ("ours", "form", "wanted"),
    [("a:b", "a:b", True), ("a:*", "a:b", True), ("a*", "a:b:c", True), ("a:b/c", "a:*", False), ("a:b", "a:*", True),
     ("?b", "ab", True), ("?b", "b", False), ("a:*", "a:b:*", True), ("", "*", True), ("a", "", False)],
)  # fmt: skip
def test_patterns_meet(ours: str, form: str, wanted: bool) -> None:
    assert meet(tuple(ours), tuple(form)) is wanted


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_list_of_keys_stands_only_where_every_request_has_one(function: str) -> None:
    """ForAllValues holds where there is no key at all: a Scan under it would see the whole table."""
    keyed = {
        "BatchGetItem",
        "BatchWriteItem",
        "ConditionCheckItem",
        "DeleteItem",
        "GetItem",
        "PutItem",
        "Query",
        "UpdateItem",
    }
    for statement in committed("prod", function)["Statement"]:
        listed = "dynamodb:LeadingKeys" in json.dumps(statement.get("Condition", {}))
        actions = {each.partition(":")[2] for each in statement["Action"] if each.startswith("dynamodb:")}
        assert not listed or actions <= keyed
        assert listed or actions <= {"Scan", "DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"}


def test_no_stage_reaches_another() -> None:
    for function in FUNCTIONS:
        told = json.dumps(committed("dev", function))
        assert "prod" not in told and told.count("draad-dev") > 5
    assert item("deliver", "GetItem", "N#x") and not item("deliver", "GetItem", "N#x", stage="dev")
    bodies = "arn:aws:s3:::draad-prod-bodies-123456789012/inbox/c/a"
    own = {"aws__ResourceAccount": ACCOUNT, "aws__PrincipalAccount": ACCOUNT}
    assert may("context", "s3:GetObject", bodies, **own) and not may("context", "s3:GetObject", bodies, "dev", **own)
    assert not may("context", "s3:GetObject", bodies, **own | {"aws__ResourceAccount": "999999999999"})
    longer = bodies.replace("bodies-", "bodies-x-bodies-")
    assert not may("context", "s3:GetObject", longer, **own), "the bucket of a stage prod-bodies-x"


def test_fences() -> None:
    """What would be bad, whatever the journeys do."""
    assert [name for name in FUNCTIONS if may(name, "dynamodb:Scan")] == ["jobs"]
    assert [name for name in FUNCTIONS if item(name, "GetItem", "KEY")] == ["api_handler"]
    assert [name for name in FUNCTIONS if item(name, "PutItem", "KEY")] == ["api_handler"]
    kinds = ("N#x", "I#x", "L#x", "J#x", "CONN", "ORG", "KEY", "C#x", "R#x", "STAT#x")
    assert [kind for kind in kinds if item("api_handler", "DeleteItem", kind)] == [], "the hook path deletes nothing"
    assert [kind for kind in kinds if item("fanout", "DeleteItem", kind)] == []
    assert [name for name in FUNCTIONS if item(name, "DeleteItem", "CONN") or item(name, "DeleteItem", "ORG")] == []
    assert not item("sweep", "GetItem", "N#x"), "the sweep looks at no person"
    assert not [name for name in FUNCTIONS if may(name, "dynamodb:DeleteTable") or may(name, "kms:ScheduleKeyDeletion")]


def test_secrets_open_only_for_a_connection_and_by_the_stages_key() -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
    asked = {"kms__ResourceAliases": "alias/draad-prod", "kms__EncryptionContext:connection": "con_x"}
    named = asked | {"kms__EncryptionContext:name": "access_token"}
    openers = [name for name in FUNCTIONS if may(name, "kms:Decrypt", key, **named)]
    assert openers == ["api_handler", "context", "deliver", "jobs", "sweep"]
    assert not may("deliver", "kms:Decrypt", key, **asked), "which secret, it must say"
    assert not may("deliver", "kms:Decrypt", key, **named | {"kms__ResourceAliases": "alias/draad-dev"})
    assert not may("deliver", "kms:Encrypt", key, **named), "tokens of systems alone"
    assert may("deliver", "kms:Encrypt", key, **named | {"kms__EncryptionContext:name": "token"})


def test_a_replay_may_what_the_context_may() -> None:
    """Replays and catch-ups run the same code in jobs: what it may touch must not differ."""
    context, jobs = FUNCTIONS["context"], FUNCTIONS["jobs"]
    for part in ("reads", "writes", "deletes", "checks"):
        assert set(getattr(context, part).split()) <= set(getattr(jobs, part).split()), part


def chalices(stage: str, root: Path = ROOT) -> dict[str, str]:
    """Function → the policy file that Chalice itself takes for it."""
    from app import app

    config = json.loads((root / ".chalice" / "config.json").read_text("utf-8"))
    params = {"project_dir": str(root), "chalice_app": app, "autogen_policy": False}
    built = ApplicationGraphBuilder().build(
        Config(chalice_stage=stage, user_provided_params=params, config_from_disk=config), stage
    )
    found: dict[str, str] = {}
    pending: list[Any] = [built]
    while pending:
        each = pending.pop()
        pending += each.dependencies()
        if isinstance(each, LambdaFunction):
            assert isinstance(each.role.policy, FileBasedIAMPolicy)
            found[each.resource_name] = each.role.policy.filename
    return found


@pytest.mark.parametrize("stage", COMMITTED)
def test_chalice_takes_each_functions_own_file(stage: str) -> None:
    wanted = {name: str(ROOT / ".chalice" / policies.file_of(stage, name)) for name in FUNCTIONS}
    assert chalices(stage) == wanted


def test_a_stage_without_files_is_not_deployed_with_anothers(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".chalice", tmp_path / ".chalice")
    assert not any(Path(each).exists() for each in chalices("acc", tmp_path).values())
    written = policies.write("acc", tmp_path)
    assert len(written) == len(FUNCTIONS) + 1 and written[-1].name == "config.json"
    assert {Path(each).name for each in chalices("acc", tmp_path).values()} == {
        policies.file_of("acc", name) for name in FUNCTIONS
    }
    assert policies.write("acc", tmp_path) == [], "twice is once"


def test_what_else_stands_in_the_configuration_stays(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".chalice", tmp_path / ".chalice")
    path = tmp_path / ".chalice" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["stages"]["acc"] = {"xray": True, "lambda_functions": {"jobs": {"lambda_memory_size": 1024}}}
    path.write_text(json.dumps(config), "utf-8")
    before = deepcopy(config)
    policies.write("acc", tmp_path, account=ACCOUNT, region=REGION)
    after = json.loads(path.read_text("utf-8"))
    assert after["stages"]["acc"]["lambda_functions"]["jobs"]["lambda_memory_size"] == 1024
    for each in after["stages"]["acc"]["lambda_functions"].values():
        del each["iam_policy_file"]
    before["stages"]["acc"]["lambda_functions"] |= {name: {} for name in FUNCTIONS if name != "jobs"}
    assert after == before
    told = (tmp_path / ".chalice" / "policy-acc-jobs.json").read_text("utf-8")
    assert "xray:PutTraceSegments" in told and f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/draad-acc" in told


@pytest.mark.parametrize("name", ["", "Prod", "prod_x", "a" * 21, "../x"])
def test_a_stage_of_another_name_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copytree(ROOT / ".chalice", tmp_path / ".chalice")
    with pytest.raises(ValueError, match="the stage is"):
        policies.write(name, tmp_path)
