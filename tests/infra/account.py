"""An AWS account that answers what a stage answers that is as it must be, for real botocore clients; tests then set one thing wrong.

Questions and answers are both checked against AWS's own models: neither may be invented.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import botocore.session
import msgspec
import pytest
from botocore.client import BaseClient
from botocore.response import StreamingBody
from botocore.validate import ParamValidator

from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store.codec import encode
from chalicelib.store.receipts import STEPS
from infra import gateway_responses, policies
from infra.deploy import checks_alarms, environment, record, release, sources
from infra.deploy.asked import Stage
from infra.deploy.checks_functions import setting
from infra.deploy.mappings import WANTED
from infra.deploy.place import API, FUNCTIONS, Place
from infra.local.embedded import REGION
from infra.local.state import ROOT

ACCOUNT, REST = "123456789012", "abc123"
ARN = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"
TABLE, STREAM = "draad-prod", ARN.format("dynamodb", "table/draad-prod/stream/1")
BODIES, DEPLOYED = f"draad-prod-bodies-{ACCOUNT}", f"draad-prod-deployed-{ACCOUNT}"
KEY, TOPIC = ARN.format("kms", "key/11"), ARN.format("sns", "draad-prod-alarms")
OUTPUTS = {
    "Table": TABLE,
    "Bucket": BODIES,
    "KeyAlias": "alias/draad-prod",
    "KeyArn": KEY,
    "PepperName": "draad-prod-pepper",
    "StreamArn": STREAM,
    "FanoutDeadLettersArn": ARN.format("sqs", "draad-prod-fanout-dlq"),
    "DeployedBucket": DEPLOYED,
    "AlarmTopicArn": TOPIC,
}
CODE = "Zm9yIGFsbA=="
DAYS_14 = "1209600"
CLIENTS: dict[str, Any] = {}
"""Made once: they remember nothing."""
GONE = {
    "lambda": "ResourceNotFoundException",
    "iam": "NoSuchEntity",
    "apigateway": "NotFoundException",
    "events": "ResourceNotFoundException",
    "secretsmanager": "ResourceNotFoundException",
    "kms": "NotFoundException",
    "sqs": "AWS.SimpleQueueService.NonExistentQueue",
    "dynamodb": "ResourceNotFoundException",
}
"""What a service says of a thing that is not there."""


class Refused(Exception):
    """What the account answers instead: AWS's code, and its words."""


@dataclass
class Account:
    """`answers`: service, operation, and what of the question names the thing → the answer."""

    at: Place
    config: environment.Config
    answers: dict[tuple[str, ...], Any] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    health: dict[str, Any] = field(default_factory=lambda: {"status": "ok", "reasons": [], "causes": []})
    arrives: Callable[[str, bytes], tuple[int, bytes]] = lambda kind, body: (200, body)
    silent: bool = False

    def stage(self) -> Stage:
        return Stage(self.at, self.config, self.post)

    def post(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self.silent:
            raise ConnectionRefusedError
        assert url.startswith("https://abc123.execute-api.eu-west-1.amazonaws.com/prod/")
        if method == "GET":
            return 200, json.dumps(self.health).encode()
        status, arrived = self.arrives(headers.get("Content-Type", ""), body)
        told = {"bytes": len(arrived), "sha256": hashlib.sha256(arrived).hexdigest()}
        return status, json.dumps(told).encode()

    def find(self, *key: str) -> Any:
        return self.answers[key]

    def call(self, client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        model = client.meta.service_model
        service = model.service_name
        check(model.operation_model(operation).input_shape, parameters)
        self.asked.append((service, operation))
        if operation == "PutItem":
            self.kept.append(parameters["Item"])
        answer = self._answer(service, operation, parameters)
        if isinstance(answer, Refused) or answer is None:
            code, words = answer.args if answer else (GONE[service], "")
            error = {"Error": {"Code": code, "Message": words}}
            raise client.exceptions.from_code(code)(error, operation)
        check(model.operation_model(operation).output_shape, answer)
        date = {"HTTPHeaders": {"date": format_datetime(datetime.now(UTC), usegmt=True)}}
        return {"ResponseMetadata": date, **copy.deepcopy(answer)}

    def _answer(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Any:
        """The longest key that fits: with what names the thing, else without."""
        names = {str(value) for value in parameters.values() if isinstance(value, str)}
        names |= {value["S"] for value in parameters.get("ExpressionAttributeValues", {}).values()}
        keys = [key for key in self.answers if key[:2] == (service, operation) and set(key[2:]) <= names]
        if not keys:
            return None
        found = self.answers[max(keys, key=len)]
        return found() if callable(found) else found


def check(shape: Any, value: Any) -> None:
    if shape is not None and shape.type_name == "structure":
        plain = {name: each for name, each in value.items() if not isinstance(each, StreamingBody)}
        lax = copy.copy(shape)
        lax.required_members = [] if shape is not None and "Body" in shape.members else shape.required_members
        report = ParamValidator().validate(plain, lax)
        assert not report.has_errors(), report.generate_report()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    return made(tmp_path, monkeypatch)


def made(root: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    at = Place("prod", root, REGION, ACCOUNT, "aws", botocore.session.Session(), CLIENTS)
    found = Account(at, _configured(at))
    for part in (_stack, _table, _queues, _buckets, _secrets, _alarms, _api, _limits, _schedule):
        found.answers |= part()
    for name in FUNCTIONS:
        found.answers |= _function(at, found.config, name) | _role(name) | _callers(at, name)
    found.answers |= _sources(at) | _logs(at)

    def call(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        return found.call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    _object(found, "prod.json", record.merged((), record.seen(at, found.config, OUTPUTS, REST)))
    _object(found, "prod/releases.json", {"releases": [_released(at, found.config)]})
    return found


def _configured(at: Place) -> environment.Config:
    """The project of `at`, as a deployment leaves it."""
    (at.root / ".chalice").mkdir()
    config = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
    environment.write(at.root, environment.with_outputs(at, config, OUTPUTS, REST))
    policies.write("prod", at.root)
    return environment.read(at.root)


def _released(at: Place, config: environment.Config) -> release.Release:
    return {
        "id": "1",
        "at": "2026-11-01T10:00:00.000Z",
        "commit": "",
        "code": CODE,
        "runtime": "python3.11",
        "finished": True,
        "fingerprint": release.fingerprint(at, config),
    }


def _object(found: Account, key: str, value: Any) -> None:
    body = json.dumps(value).encode()
    found.answers["s3", "GetObject", key] = lambda: {"Body": StreamingBody(io.BytesIO(body), len(body))}


def keep_releases(found: Account, **change: Any) -> None:
    body = found.answers["s3", "GetObject", "prod/releases.json"]()["Body"].read()
    (live,) = json.loads(body)["releases"]
    _object(found, "prod/releases.json", {"releases": [live | change]})


def keep_record(found: Account, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    kept = json.loads(found.answers["s3", "GetObject", "prod.json"]()["Body"].read())
    change(kept["resources"])
    _object(found, "prod.json", kept)


def keep_items(found: Account, partition: str, *items: dict[str, Any]) -> None:
    found.answers["dynamodb", "Query", partition] = {"Items": [encode(item) for item in items]}


def connection(id: str, **more: Any) -> dict[str, Any]:
    known = Connection(id=id, provider="generic", secrets={"signing_secret": ("c",)}, **more)
    return {"pk": "CONN", "sk": id, "b": msgspec.json.encode(known), "ver": 1}


Answers = dict[tuple[str, ...], Any]


def _stack() -> Answers:
    found = {
        "StackName": "draad-prod",
        "StackStatus": "UPDATE_COMPLETE",
        "CreationTime": datetime(2026, 11, 1, tzinfo=UTC),
        "Parameters": [{"ParameterKey": "MetricMath", "ParameterValue": "yes"}],
        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in OUTPUTS.items()],
    }
    return {("cloudformation", "DescribeStacks"): {"Stacks": [found]}}


def _table() -> Answers:
    table = {
        "TableName": TABLE,
        "TableStatus": "ACTIVE",
        "ItemCount": 7,
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "GlobalSecondaryIndexes": [{"IndexName": "gsi", "IndexStatus": "ACTIVE"}],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "LatestStreamArn": STREAM,
        "DeletionProtectionEnabled": True,
        "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS"},
    }
    recovery = {"PointInTimeRecoveryStatus": "ENABLED"}
    backups = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}
    today = instants.now()
    return {
        ("dynamodb", "DescribeTable"): {"Table": table},
        ("dynamodb", "DescribeTimeToLive"): {
            "TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "x"}
        },
        ("dynamodb", "DescribeContinuousBackups"): {"ContinuousBackupsDescription": backups},
        ("dynamodb", "Query", "CONN"): {"Items": [encode(connection("con_1", created_at=today))]},
        ("dynamodb", "Query", "KEY"): {
            "Items": [encode({"pk": "KEY", "sk": "5" * 64, "scopes": ["admin"], "at": today})]
        },
        ("dynamodb", "PutItem"): {},
    }


def _queues() -> Answers:
    found: Answers = {}
    for name in ("inbox", "deliveries", "jobs", "inbox-dlq", "deliveries-dlq", "jobs-dlq", "fanout-dlq"):
        url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/draad-prod-{name}"
        dead = {"deadLetterTargetArn": ARN.format("sqs", f"draad-prod-{name}-dlq"), "maxReceiveCount": 100}
        attributes = {
            "VisibilityTimeout": "360",
            "MessageRetentionPeriod": DAYS_14,
            "SqsManagedSseEnabled": "true",
            "ApproximateNumberOfMessages": "0",
            "ApproximateNumberOfMessagesNotVisible": "0",
        }
        found["sqs", "GetQueueUrl", f"draad-prod-{name}"] = {"QueueUrl": url}
        found["sqs", "GetQueueAttributes", url] = {
            "Attributes": attributes | ({} if name.endswith("dlq") else {"RedrivePolicy": json.dumps(dead)})
        }
    return found


def _buckets() -> Answers:
    found: Answers = {}
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    for bucket in (BODIES, DEPLOYED):
        tls = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        found["s3", "GetPublicAccessBlock", bucket] = {"PublicAccessBlockConfiguration": dict.fromkeys(names, True)}
        found["s3", "GetBucketPolicy", bucket] = {"Policy": json.dumps({"Statement": [tls]})}
    days = {"inbox/": 15} | {f"receipts/{step}d/": step for step in STEPS}
    rules: list[dict[str, Any]] = [
        {"ID": prefix, "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": each}}
        for prefix, each in days.items()
    ]
    rules.append(
        {"ID": "unfinished", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
    )
    found["s3", "GetBucketLifecycleConfiguration", BODIES] = {"Rules": rules}
    found["s3", "GetBucketVersioning", BODIES] = {}
    found["s3", "GetBucketVersioning", DEPLOYED] = {"Status": "Enabled"}
    return found


def _secrets() -> Answers:
    return {
        ("kms", "DescribeKey"): {"KeyMetadata": {"KeyId": "11", "Arn": KEY, "KeyState": "Enabled"}},
        ("kms", "GetKeyRotationStatus"): {"KeyRotationEnabled": True},
        ("secretsmanager", "DescribeSecret"): {"VersionIdsToStages": {"1" * 36: ["AWSCURRENT"]}},
    }


def _alarms() -> Answers:
    alarms = [
        {
            "AlarmName": f"draad-prod-{name}",
            "AlarmDescription": f"Runbook: docs/operate.md, Alarm {name}",
            "ActionsEnabled": True,
            "AlarmActions": [TOPIC],
            "StateValue": "OK",
        }
        for name in checks_alarms.names()
    ]
    return {
        ("cloudwatch", "DescribeAlarms"): {"MetricAlarms": alarms},
        ("sns", "ListSubscriptionsByTopic"): {
            "Subscriptions": [{"SubscriptionArn": f"{TOPIC}:1", "Protocol": "email"}]
        },
    }


def _api() -> Answers:
    api = {"id": REST, "endpointConfiguration": {"types": ["REGIONAL"]}, "binaryMediaTypes": ["*/*"]}
    responses = [
        {name: value for name, value in each.items() if name != "restApiId"} for each in gateway_responses.puts(REST)
    ]
    limits = {"*/*": {"throttlingRateLimit": 1000.0, "throttlingBurstLimit": 2000}}
    return {
        ("apigateway", "GetRestApi", REST): api,
        ("apigateway", "GetRestApis"): {"items": [api | {"tags": {record.TAG: "prod"}}]},
        ("apigateway", "GetStage", REST, "prod"): {"methodSettings": limits},
        ("apigateway", "GetGatewayResponses", REST): {"items": responses},
        ("apigateway", "GetAccount"): {"throttleSettings": {"rateLimit": 10_000.0, "burstLimit": 5000}},
    }


def _limits() -> Answers:
    size = 80 * 2**30
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000, "TotalCodeSize": size}
    return {
        ("lambda", "GetAccountSettings"): {"AccountLimit": limit, "AccountUsage": {"TotalCodeSize": 2**30}},
        ("sts", "GetCallerIdentity"): {"Account": ACCOUNT},
    }


def _statement(service: str, action: str, **more: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": action, **more}]}


def _function(at: Place, config: environment.Config, name: str) -> Answers:
    function = at.function(name)
    memory, timeout, architecture = (
        setting(config, "prod", name, f"lambda_{each}") for each in ("memory_size", "timeout", "architecture")
    )
    settings = {
        "FunctionName": function,
        "FunctionArn": ARN.format("lambda", f"function:{function}"),
        "Runtime": "python3.11",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/draad-prod-{name}",
        "MemorySize": memory,
        "Timeout": timeout,
        "Architectures": [architecture],
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "CodeSha256": CODE,
        "Environment": {"Variables": environment.environment(config, "prod")},
        "TracingConfig": {"Mode": "Active" if policies.traced(config, "prod") else "PassThrough"},
    }
    return {
        ("lambda", "GetFunctionConfiguration", function): settings,
        ("lambda", "GetFunctionConcurrency", function): {},
        ("lambda", "ListEventSourceMappings", function): {"EventSourceMappings": []},
    }


def _role(name: str) -> Answers:
    role = f"draad-prod-{name}"
    about = {
        "Path": "/",
        "RoleName": role,
        "RoleId": "AROA0123456789012345",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
        "CreateDate": datetime(2026, 11, 1, tzinfo=UTC),
        "AssumeRolePolicyDocument": json.dumps(_statement("lambda.amazonaws.com", "sts:AssumeRole")),
    }
    policy = policies.document(policies.Place("prod", ACCOUNT, REGION), name)
    return {
        ("iam", "GetRole", role): {"Role": about},
        ("iam", "ListRolePolicies", role): {"PolicyNames": [role]},
        ("iam", "ListAttachedRolePolicies", role): {"AttachedPolicies": []},
        ("iam", "GetRolePolicy", role): {"RoleName": role, "PolicyName": role, "PolicyDocument": json.dumps(policy)},
    }


def _callers(at: Place, name: str) -> Answers:
    function = at.function(name)
    found: Answers = {("lambda", "ListFunctionUrlConfigs", function): {"FunctionUrlConfigs": []}}
    callers = {
        API: ("apigateway.amazonaws.com", ARN.format("execute-api", f"{REST}/*")),
        "sweep": ("events.amazonaws.com", ARN.format("events", "rule/draad-prod-sweep-event")),
    }
    if name in callers:
        service, arn = callers[name]
        condition = {"ArnLike": {"AWS:SourceArn": arn}}
        called = _statement(service, "lambda:InvokeFunction", Sid="1", Condition=condition)
        found["lambda", "GetPolicy", function] = {"Policy": json.dumps(called)}
    return found


def _sources(at: Place) -> Answers:
    found: Answers = {}
    for name, source in WANTED.items():
        mapping = sources.wanted(source, OUTPUTS) | {
            "UUID": f"{name:0>36}",
            "EventSourceArn": sources.source_arn(at, source, OUTPUTS),
            "State": "Enabled",
            "LastProcessingResult": "OK",
        }
        found["lambda", "ListEventSourceMappings", at.function(name)] = {"EventSourceMappings": [mapping]}
    return found


def _logs(at: Place) -> Answers:
    groups = [{"logGroupName": f"/aws/lambda/{at.function(name)}", "retentionInDays": 30} for name in FUNCTIONS]
    return {("logs", "DescribeLogGroups"): {"logGroups": groups}}


def _schedule() -> Answers:
    sweep = ARN.format("lambda", "function:draad-prod-sweep")
    return {
        ("events", "DescribeRule"): {"State": "ENABLED", "ScheduleExpression": "rate(1 minute)"},
        ("events", "ListTargetsByRule"): {"Targets": [{"Id": "1", "Arn": sweep}]},
    }
