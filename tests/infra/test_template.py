"""infra/template.yaml: what real AWS gets, checked without one."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from chalicelib import telemetry
from chalicelib.store import blobs, receipts
from chalicelib.workers import gauges
from infra import log_groups
from infra.local.embedded import REFUSES, TEMPLATE, EmbeddedAws, ensure_stack, hub_env, storage_only
from infra.local.errors import LocalRunFailed
from infra.local.state import ROOT
from tests.docs.markdown import DOCS, headings, prose, rows

STACK = DOCS / "stack.md"
KEPT = {"Table", "SecretsKey", "Pepper", "Bodies", "Deployed"}
WITHOUT_WORKER = {"Fanout"}
"""What a stream gives up goes to dead letters without a queue before them."""
DAYS_14 = 14 * 24 * 3600
INLINE_BYTES = 51_200
"""CloudFormation takes no larger template in a request; a larger one must be put into a bucket first."""
ACCOUNT = "123456789012"
NAMES = {"TableName", "QueueName", "BucketName", "AliasName", "Name", "TopicName", "AlarmName", "DashboardName"}


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags read as their long form."""


def _long(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    raise AssertionError(f"!{name} of a mapping")


Loader.add_multi_constructor("!", _long)


@cache
def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(TEMPLATE.read_text("utf-8"), Loader)
    return found


@cache
def config() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
    return found


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = template()["Resources"][name]["Properties"]
    return found


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    found = template()["Resources"].items()
    return {name: each["Properties"] for name, each in found if each["Type"] == f"AWS::{kind}"}


def filled(value: Any, stage: str = "prod") -> Any:
    """As CloudFormation would: parameters by their defaults, resources by their own names."""
    if isinstance(value, list):
        return [filled(each, stage) for each in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": name}:
            return _named(name, stage)
        case {"Sub": text}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: str(_named(found[1], stage)), text)
        case {"GetAtt": path}:
            return f"{_named(path.partition('.')[0], stage)}" + ("" if path.endswith("Name") else f" {path}")
    return {name: filled(each, stage) for name, each in value.items()}


def _named(name: str, stage: str) -> Any:
    known = {"Stage": stage, "AWS::AccountId": ACCOUNT, "AWS::Region": "eu-west-1", "AWS::Partition": "aws"}
    if name in known:
        return known[name]
    if name in template()["Parameters"]:
        return template()["Parameters"][name]["Default"]
    owner = template()["Resources"][name.partition(".")[0]]["Properties"]
    return next(filled(owner[each], stage) for each in owner if each in NAMES)


def test_cfn_lint_finds_nothing() -> None:
    from cfnlint.api import ManualArgs, lint

    found = lint(TEMPLATE.read_text("utf-8"), config=ManualArgs(regions=["eu-west-1", "us-east-1"]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []


def test_the_template_goes_without_a_bucket_of_its_own() -> None:
    assert len(TEMPLATE.read_bytes()) < INLINE_BYTES


def test_table_is_on_demand_recoverable_encrypted_and_cannot_be_dropped() -> None:
    table = properties("Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "x", "Enabled": True}
    assert table["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
    assert table["DeletionProtectionEnabled"] is True


def test_the_index_is_sparse_small_and_the_one_that_the_store_asks_for() -> None:
    (index,) = properties("Table")["GlobalSecondaryIndexes"]
    source = (ROOT / "chalicelib" / "store" / "table.py").read_text("utf-8")
    assert re.findall(r'"IndexName": "([^"]+)"', source) == [index["IndexName"]]
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["gpk", "gsk"]
    assert index["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["st", "nd", "ty", "nm", "id"]}
    throttled = filled(properties("IndexWriteThrottlesAlarm")["Dimensions"])
    assert {"Name": "GlobalSecondaryIndexName", "Value": index["IndexName"]} in throttled


def queues() -> list[str]:
    return [name for name in of_type("SQS::Queue") if not name.endswith("DeadLetters")]


def test_the_queues_are_those_of_the_code() -> None:
    from chalicelib.store import pulse

    assert sorted(filled(properties(name))["QueueName"] for name in queues()) == sorted(
        f"draad-prod-{name}" for name in pulse.QUEUES
    )
    assert {name.removesuffix("DeadLetters") for name in of_type("SQS::Queue")} == {*queues(), *WITHOUT_WORKER}


@pytest.mark.parametrize("name", queues())
def test_a_queue_outwaits_its_function_and_keeps_what_failed(name: str) -> None:
    queue, dead = properties(name), properties(f"{name}DeadLetters")
    worker = {"Inbox": "context", "Deliveries": "deliver", "Jobs": "jobs"}[name]
    assert queue["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == DAYS_14
    assert filled(queue["VisibilityTimeout"]) >= 6 * config()["lambda_functions"][worker]["lambda_timeout"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"GetAtt": f"{name}DeadLetters.Arn"}
    assert filled(queue["RedrivePolicy"]["maxReceiveCount"]) == 100


@pytest.mark.parametrize("name", of_type("SQS::Queue"))
def test_a_queue_is_encrypted_and_watched(name: str) -> None:
    queue = filled(properties(name))
    assert queue["SqsManagedSseEnabled"] is True
    metric = "ApproximateNumberOfMessagesVisible" if name.endswith("DeadLetters") else "ApproximateAgeOfOldestMessage"
    assert len([each for each in alarms_on("AWS/SQS", metric) if each["QueueName"] == queue["QueueName"]]) == 1


def test_a_body_outlives_the_queue_that_names_it() -> None:
    inbox = rules()["inbox"]
    assert template()["Parameters"]["LargeBodyDays"]["MinValue"] * 86_400 > DAYS_14
    assert inbox["Prefix"] == blobs.inbox_key("", "")[:-1] and filled(inbox["ExpirationInDays"]) == 15


def test_api_gateway_does_not_give_up_before_the_function() -> None:
    assert config()["lambda_functions"]["api_handler"]["lambda_timeout"] <= 29


def test_what_cannot_be_made_again_outlives_the_stack() -> None:
    resources = template()["Resources"]
    assert {name for name, found in resources.items() if found.get("DeletionPolicy") == "Retain"} == KEPT
    assert all(resources[name]["UpdateReplacePolicy"] == "Retain" for name in KEPT)


@pytest.mark.parametrize("name", of_type("S3::Bucket"))
def test_a_bucket_is_private_encrypted_and_reached_by_tls_alone(name: str) -> None:
    bucket = properties(name)
    blocked = bucket["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True} and len(blocked) == 4
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (policy,) = [each for each in of_type("S3::BucketPolicy").values() if each["Bucket"] == {"Ref": name}]
    (tls,) = policy["PolicyDocument"]["Statement"]
    assert (tls["Effect"], tls["Principal"], tls["Action"]) == ("Deny", "*", "s3:*")
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert tls["Resource"] == [{"GetAtt": f"{name}.Arn"}, {"Sub": f"${{{name}.Arn}}/*"}]


def test_the_record_of_what_is_deployed_keeps_its_former_versions() -> None:
    assert properties("Deployed")["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "VersioningConfiguration" not in properties("Bodies"), "what is erased is gone"


def rules() -> dict[str, dict[str, Any]]:
    return {rule["Id"]: rule for rule in properties("Bodies")["LifecycleConfiguration"]["Rules"]}


def test_every_prefix_that_the_code_writes_has_its_end() -> None:
    """Whoever writes another one gives it a rule, and a line here."""
    writers = set()
    for path in (ROOT / "chalicelib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in ("put_object", "upload_fileobj", "copy_object"):
                writers.add((path.name, node.value))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "blobs.put":
                writers.add((path.name, ast.unparse(node.args[0])))
    assert writers == {("blobs.py", "put_object"), ("arrival.py", "key"), ("receipts.py", "item['s3']")}
    assert all(rule["Status"] == "Enabled" for rule in rules().values())
    ends = {rule["Prefix"]: filled(rule["ExpirationInDays"]) for rule in rules().values() if "ExpirationInDays" in rule}
    assert ends == {"inbox/": 15} | {f"receipts/{step}d/": step for step in receipts.STEPS}


@pytest.mark.parametrize("days", [0, 1, 2, 4, 29, 30, 31, 364, 366, 1095, 7301, 36_499, 36_500])
def test_a_body_goes_after_its_receipt_and_never_before(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[str] = []
    monkeypatch.setattr(blobs, "put", lambda key, raw: put.append(key))
    received = "2026-11-26T09:00:00.000Z"
    item = receipts.item_of(
        arrival_id="arr_x",
        connection="con_x",
        received_at=received,
        packed=bytes(10_000),
        verdict="accepted",
        days=days,
    )
    assert put == [item["s3"]]
    prefixes = {
        rule["Prefix"]: filled(rule["ExpirationInDays"]) for name, rule in rules().items() if name != "unfinished"
    }
    (kept,) = [ends for prefix, ends in prefixes.items() if item["s3"].startswith(prefix)]
    wanted = days or 30
    assert wanted <= kept <= max(2 * wanted, 1) or (kept, wanted > 7300) in ((18_250, True), (36_500, True))
    assert kept == min(step for step in receipts.STEPS if step >= wanted)


def test_whatever_is_allowed_as_retention_has_a_step() -> None:
    from chalicelib.api.settings import BOUNDS

    assert receipts.STEPS[-1] == BOUNDS["receipt_retention_days"][1] == 36_500
    assert list(receipts.STEPS) == sorted(set(receipts.STEPS)) and receipts.STEPS[0] == 1


def test_secrets() -> None:
    assert properties("SecretsKey")["EnableKeyRotation"] is True
    assert properties("SecretsKey")["PendingWindowInDays"] == 30
    assert properties("Pepper")["GenerateSecretString"] == {"PasswordLength": 64, "ExcludePunctuation": True}


def names(stage: str) -> Iterator[tuple[str, str]]:
    """(type, name) of every resource that has one of its own."""
    for resource in template()["Resources"].values():
        found = resource["Properties"] | resource["Properties"].get("Budget", {})
        for each in (NAMES | {"BudgetName"}) & set(found):
            yield resource["Type"], filled(found[each], stage)


def test_two_stages_of_one_account_share_no_name() -> None:
    """Not even `x` and `x-errors`: no name ends as another of its type does."""
    known = list(names("prod"))
    assert len(known) == len(set(known)) and len(known) >= 40
    for kind, name in known:
        rest = name.removeprefix("alias/").removeprefix("draad-prod")
        assert rest != name.removeprefix("alias/"), f"{kind} {name} is not of the stage"
        others = {other.removeprefix("alias/").removeprefix("draad-prod") for of, other in known if of == kind} - {rest}
        assert not [other for other in others if rest.endswith(other)], f"{kind} {name}"
    assert not {name for _, name in known} & {name for _, name in names("dev")}


ALONE = ("prod", "a", "jobs", "sweeper", "x-jobs-2")
SHARED = ("x-jobs", "x-sweep", "x-y-context", "1a", "Prod", "a" * 21, "")


@pytest.mark.parametrize("stage", [*ALONE, *SHARED])
def test_a_stage_shares_no_function_with_another(stage: str) -> None:
    pattern = template()["Parameters"]["Stage"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, stage)) is (stage in ALONE)
    workers = {name.removeprefix("draad-x") for name in log_groups.functions("x").values()} - {""}
    assert not any(re.fullmatch(pattern, f"x{worker}") for worker in workers)


def test_no_name_is_too_long_with_the_longest_stage() -> None:
    stage = "a" * 20
    assert re.fullmatch(template()["Parameters"]["Stage"]["AllowedPattern"], stage)
    longest = {"AWS::S3::Bucket": 63, "AWS::SQS::Queue": 80, "AWS::CloudWatch::Alarm": 255}
    assert [name for kind, name in names(stage) if len(name) > longest.get(kind, 255)] == []


def alarms() -> dict[str, dict[str, Any]]:
    return {name: filled(each) for name, each in of_type("CloudWatch::Alarm").items()}


def measures(alarm: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(namespace, metric, dimensions) that an alarm looks at."""
    found = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    for each in found or [alarm]:
        dimensions = {one["Name"]: str(one["Value"]) for one in each["Dimensions"]}
        yield each["Namespace"], each["MetricName"], dimensions


def alarms_on(namespace: str, metric: str) -> list[dict[str, str]]:
    found = [each for alarm in alarms().values() for each in measures(alarm)]
    return [dimensions for of, name, dimensions in found if (of, name) == (namespace, metric)]


def functions() -> set[str]:
    return set(log_groups.functions("prod").values())


@pytest.mark.parametrize("metric", ["Errors", "Invocations", "Throttles"])
def test_every_function_is_watched(metric: str) -> None:
    watched = alarms_on("AWS/Lambda", metric)
    assert sorted(each["FunctionName"] for each in watched) == sorted(functions())


def test_the_stream_the_table_and_the_api_are_watched() -> None:
    assert alarms_on("AWS/Lambda", "IteratorAge") == [{"FunctionName": "draad-prod-fanout"}]
    assert {"TableName": "draad-prod"} in alarms_on("AWS/DynamoDB", "ReadThrottleEvents")
    assert {"TableName": "draad-prod"} in alarms_on("AWS/DynamoDB", "WriteThrottleEvents")
    for metric in ("5XXError", "Latency"):
        assert alarms_on("AWS/ApiGateway", metric) == [{"ApiName": config()["app_name"], "Stage": "prod"}]


def test_the_stage_of_the_api_is_ours_or_two_stages_would_ring_together() -> None:
    """Every API is called after the app, so its stage alone tells whose it is."""
    deployed = {name: each for name, each in config()["stages"].items() if name != "local"}
    assert deployed
    for name, each in deployed.items():
        assert each["api_gateway_stage"] == each["environment_variables"]["DRAAD_STAGE"] == name


def test_our_own_measures_are_those_of_the_sweep() -> None:
    ours = {gauges.SWEEPS, gauges.TAKEN, gauges.CONNECTIONS_STOPPED, gauges.CONNECTIONS_PAUSED, gauges.LAG}
    found = [each for alarm in alarms().values() for each in measures(alarm) if not each[0].startswith("AWS/")]
    assert {(of, name) for of, name, _ in found} == {(telemetry.NAMESPACE, name) for name in ours}
    assert all(dimensions == {"Stage": "prod"} for _, _, dimensions in found)
    assert properties("SweepAlarm")["TreatMissingData"] == "breaching", "a sweep that is off measures nothing"


@pytest.mark.parametrize("name", of_type("CloudWatch::Alarm"))
def test_an_alarm_tells_somebody_and_says_when_it_is_over(name: str) -> None:
    alarm = properties(name)
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
    assert alarm["TreatMissingData"] in ("notBreaching", "breaching")
    assert alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]
    period = alarm["Period"] if "Period" in alarm else alarm["Metrics"][1]["MetricStat"]["Period"]
    assert period * alarm["EvaluationPeriods"] <= 86_400, "CloudWatch looks back a day at most"


RUNBOOK = re.compile(r".{10,}\. Runbook: docs/operate\.md, (Alarm [a-z0-9-]+)\Z")


def test_every_alarm_has_its_runbook_and_every_runbook_its_alarms() -> None:
    text = prose(DOCS / "operate.md").partition("\n## Alarms\n")[2].partition("\n## ")[0]
    books = {part.partition("\n")[0]: part for part in text.split("\n### ")[1:]}
    assert set(books) <= set(headings(DOCS / "operate.md"))
    led: dict[str, set[str]] = {}
    for alarm in alarms().values():
        found = RUNBOOK.match(alarm["AlarmDescription"])
        assert found, alarm["AlarmDescription"]
        led.setdefault(found[1], set()).add(alarm["AlarmName"].removeprefix("draad-prod-"))
    led["Alarm budget"] = {filled(properties("Budget"))["Budget"]["BudgetName"].removeprefix("draad-prod-")}
    assert set(led) == set(books)
    for title, book in books.items():
        assert set(re.findall(r"`([a-z0-9_-]+)`", book.split("**Meaning.**")[0])) == led[title], title
        for part in ("Meaning", "Look", "Mend"):
            assert f"**{part}.**" in book, f"{title}: {part}"


def test_what_is_optional_is_so_by_its_parameter() -> None:
    resources = template()["Resources"]
    found = {name: each["Condition"] for name, each in resources.items() if "Condition" in each}
    math = {name: "HasMetricMath" for name, each in of_type("CloudWatch::Alarm").items() if "Metrics" in each}
    assert found == {"AlarmMailSubscription": "HasMail", "Budget": "HasBudget"} | math
    assert template()["Conditions"] == {
        "HasMail": {"Not": [{"Equals": [{"Ref": "AlarmMail"}, ""]}]},
        "HasBudget": {"Not": [{"Equals": [{"Ref": "MonthlyBudget"}, "0"]}]},
        "HasMetricMath": {"Equals": [{"Ref": "MetricMath"}, "yes"]},
    }
    defaults = {name: each.get("Default") for name, each in template()["Parameters"].items()}
    assert (defaults["AlarmMail"], defaults["MonthlyBudget"], defaults["MetricMath"]) == ("", 0, "yes")


def test_alarms_and_budget_of_this_account_alone_may_publish() -> None:
    (policy,) = of_type("SNS::TopicPolicy").values()
    allow, deny = policy["PolicyDocument"]["Statement"]
    assert allow["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]}
    assert allow["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert deny["Effect"] == "Deny" and deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_dashboard_shows_what_there_is() -> None:
    board = json.loads(filled(properties("Dashboard")["DashboardBody"]))
    charts = [each["properties"] for each in board["widgets"] if each["type"] == "metric"]
    (log,) = [each["properties"] for each in board["widgets"] if each["type"] == "log"]
    assert "'/aws/lambda/draad-prod-sweep'" in log["query"]
    shown = set()
    for metric in (each for chart in charts for each in chart["metrics"]):
        namespace, name, *rest = [each for each in metric if isinstance(each, str)]
        shown.add((namespace, name, tuple(rest)))
    watched = {
        (of, name, tuple(part for pair in dimensions.items() for part in pair))
        for alarm in alarms().values()
        for of, name, dimensions in measures(alarm)
    }
    of_the_index = {each for each in watched if "GlobalSecondaryIndexName" in each[2]}
    assert watched - of_the_index <= shown, "what rings can be looked at"
    assert {each for each in shown if each[0] not in ("AWS/ApiGateway", "AWS/DynamoDB")} <= watched


def test_a_log_group_is_no_resource_of_the_stack() -> None:
    """Lambda may have been first, and then the stack would fail: infra/log_groups.py."""
    assert of_type("Logs::LogGroup") == {}


def test_the_outputs_are_all_that_a_deployment_needs() -> None:
    outputs = template()["Outputs"]
    assert set(hub_env("prod", dict.fromkeys(outputs, ""))) >= {"DRAAD_STREAM_ARN", "DRAAD_BUCKET"}
    sources = {f"{name}Arn" for name in of_type("SQS::Queue")} | {"StreamArn"}
    assert sources | {"DeployedBucket", "DeployedBucketArn", "TableArn", "BucketArn", "KeyArn", "PepperArn"} <= set(
        outputs
    )
    for name in (*of_type("SQS::Queue"), "Deployed", "AlarmTopic"):
        assert any(name in json.dumps(each) for each in outputs.values()), f"nobody is told of {name}"


def cells(heading: str) -> dict[str, list[str]]:
    """Rows of a table of docs/stack.md by their first cell."""
    return {row[0].replace("`", ""): [cell.replace("`", "") for cell in row[1:]] for row in rows(STACK, heading)}


def test_the_page_of_the_stack_has_its_parameters_and_outputs() -> None:
    shown = cells("Parameters")
    words = {"": ("none", "nobody"), None: ("none",)}
    assert set(shown) == set(template()["Parameters"])
    for name, each in template()["Parameters"].items():
        default = each.get("Default")
        assert shown[name][0] in words.get(default, (str(default),)), name
    outputs = " ".join(cells("Outputs"))
    alike = {f"{name}DeadLettersUrl" for name in ("Inbox", "Deliveries", "Jobs", "Fanout")}
    assert set(re.findall(r"\b[A-Z]\w+", outputs)) - {"DeadLettersUrl"} == set(template()["Outputs"]) - alike


def test_the_page_of_the_stack_has_its_numbers() -> None:
    text, shown = prose(STACK), cells("Resources")
    listed = re.search(r"rule of its own:\n\n([\d, ]+)\.\n", text)
    assert listed and tuple(map(int, listed[1].split(", "))) == receipts.STEPS
    metrics = sum(len(list(measures(each))) for each in alarms().values())
    assert shown["alarms"][0].endswith(f"{len(alarms())} of them")
    assert shown["alarms"][3] == f"${metrics * 0.1:.2f}: {metrics} metrics at $0.10"
    ours = {each[1] for alarm in alarms().values() for each in measures(alarm) if each[0] == telemetry.NAMESPACE}
    assert shown["measures of the sweep"][3] == f"${len(ours) * 0.3:.2f}: {len(ours)} at $0.30"
    assert shown["logs of the functions"][1] == f"{log_groups.DAYS} days"
    assert [name for name, row in shown.items() if row[2].startswith("yes")] == [
        "table, on demand",
        "bodies",
        "record of what is deployed",
        "KMS key of the secrets",
        "pepper",
    ]


def test_an_aws_in_memory_gets_the_storage_and_no_watch() -> None:
    small = yaml.load(storage_only(), Loader)
    types = {each["Type"] for each in template()["Resources"].values()}
    left = {each["Type"] for each in small["Resources"].values()}
    assert types - left == {
        "AWS::Budgets::Budget",
        "AWS::CloudWatch::Alarm",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::TopicPolicy",
    }
    assert small["Outputs"] == template()["Outputs"] and small["Parameters"] == template()["Parameters"]


def test_the_embedded_aws_takes_all_of_it_but_alarms_on_an_expression(embedded_aws: EmbeddedAws) -> None:
    """Once it takes those too, the parameter MetricMath goes."""
    made = embedded_aws.stack("whole")
    client, s3 = embedded_aws.client("cloudformation"), embedded_aws.client("s3")
    found = client.describe_stack_resources(StackName="draad-whole")["StackResources"]
    wanted = {name for name, each in template()["Resources"].items() if "Condition" not in each}
    assert {each["LogicalResourceId"] for each in found} == wanted
    assert {each["ResourceStatus"] for each in found} == {"CREATE_COMPLETE"}
    assert s3.get_bucket_versioning(Bucket="draad-whole-deployed-000000000000")["Status"] == "Enabled"
    assert "OnlyByTls" in s3.get_bucket_policy(Bucket=made["DRAAD_BUCKET"])["Policy"]
    more = {"Stage": "whole", **REFUSES, "AlarmMail": "ops@example.nl", "DeliveryLagSeconds": "600"}
    outputs = ensure_stack(client, "draad-whole", more)
    assert hub_env("whole", outputs) == made, "an update keeps every name"
    found = client.describe_stack_resources(StackName="draad-whole")["StackResources"]
    assert {each["LogicalResourceId"] for each in found} == wanted | {"AlarmMailSubscription"}
    with pytest.raises(LocalRunFailed):
        ensure_stack(client, "draad-expressions", {"Stage": "expressions"})
