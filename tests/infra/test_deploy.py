"""The steps of a deployment, each by itself: what is decided without an account, and what is asked of one (moto)."""

from __future__ import annotations

import ast
import base64
import copy
import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.fanout.plan import Planned, Planner
from chalicelib.store import keys
from chalicelib.store.table import DynamoTable
from infra.deploy import (
    __main__,
    admin,
    answers,
    environment,
    functions,
    mappings,
    package,
    place,
    record,
    release,
    rollback,
    sources,
    stack,
    steps,
    teardown,
    turn,
)
from infra.deploy.errors import DeployFailed
from infra.deploy.place import API, FUNCTIONS, Place
from infra.local.embedded import clean_env, storage_only
from infra.local.state import ROOT
from infra.package.errors import PackageFailed
from infra.policies import formed
from tests.conftest import point_at
from tests.docs.markdown import DOCS, rows
from tests.infra.makes import made

CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
OUTPUTS = {
    "Table": "draad-prod",
    "Bucket": "draad-prod-bodies-123456789012",
    "KeyAlias": "alias/draad-prod",
    "PepperName": "draad-prod-pepper",
    "StreamArn": "arn:aws:dynamodb:eu-west-1:123456789012:table/draad-prod/stream/1",
    "FanoutDeadLettersArn": "arn:aws:sqs:eu-west-1:123456789012:draad-prod-fanout-dlq",
    "DeployedBucket": "draad-prod-deployed-123456789012",
}
ACCOUNT = "123456789012"
KEY_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}],
    }
)
"""moto keeps the policy of a key that a stack made in a form that it cannot read."""
ASSUME = json.dumps({"Version": "2012-10-17", "Statement": []})


def quiet(text: str) -> None:
    """Tell nobody."""


@pytest.fixture
def at(tmp_path: Path) -> Place:
    """No account behind it."""
    return Place("prod", tmp_path, "eu-west-1", ACCOUNT, "aws", None)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """An account in memory, and a project in a folder of its own."""
    from moto import mock_aws

    point_at(monkeypatch, {}, "")
    (tmp_path / ".chalice").mkdir()
    environment.write(tmp_path, copy.deepcopy(CONFIG))
    monkeypatch.setattr(stack, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(sources, "PAUSE_SECONDS", 0.01)
    with mock_aws():
        yield place.find("prod", tmp_path)


# Where


@pytest.mark.parametrize("stage", ["local", "Prod", "p_1", "", "a" * 21])
def test_a_stage_that_is_none_is_refused(stage: str, tmp_path: Path) -> None:
    with pytest.raises(DeployFailed, match="no stage to deploy"):
        place.without_account(stage, tmp_path)


def test_nobody_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in clean_env(""):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeployFailed, match="AWS_DEFAULT_REGION"):
        place.find("prod", tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(DeployFailed, match="sign in"):
        place.find("prod", tmp_path)


def test_a_process_for_the_stage_knows_no_other_hub(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAAD_TABLE", "draad-local")
    env = place.child_env(at)
    assert not [name for name in env if name.startswith("DRAAD_")] and env["AWS_REGION"] == "eu-west-1"


# Configuration


def test_the_committed_configuration_has_the_form_that_is_written() -> None:
    text = (ROOT / ".chalice" / "config.json").read_text("utf-8")
    assert formed(json.loads(text)) == text


def test_outputs_are_entered_once_and_nothing_else_changes(at: Place) -> None:
    after = environment.with_outputs(at, CONFIG, OUTPUTS, "abc123")
    assert environment.differing(CONFIG, after, "prod") == [
        "DRAAD_TABLE",
        "DRAAD_BUCKET",
        "DRAAD_KEY_ALIAS",
        "DRAAD_PEPPER",
        "DRAAD_STREAM_ARN",
        "DRAAD_PUBLIC_URL",
    ]
    assert environment.with_outputs(at, after, OUTPUTS, "abc123") == after
    others = {name: each for name, each in after["stages"].items() if name != "prod"}
    assert others == {name: each for name, each in CONFIG["stages"].items() if name != "prod"}
    (at.root / ".chalice").mkdir()
    environment.write(at.root, after)
    assert environment.read(at.root) == after
    assert environment.environment(after, "prod")["DRAAD_BUCKET"] == OUTPUTS["Bucket"]


def test_a_stage_that_the_configuration_does_not_know_gets_its_own_api_stage(at: Place) -> None:
    new = Place("shop", at.root, at.region, at.account, at.partition, None)
    after = environment.with_outputs(new, CONFIG, OUTPUTS, "abc123")
    assert after["stages"]["shop"]["api_gateway_stage"] == "shop"
    assert after["stages"]["shop"]["environment_variables"]["DRAAD_STAGE"] == "shop"


def test_hook_urls_are_the_domains_then_the_apis_and_those_of_a_person_stay(at: Place) -> None:
    own = "https://abc123.execute-api.eu-west-1.amazonaws.com/prod"
    first = environment.with_outputs(at, CONFIG, OUTPUTS, "abc123")
    assert environment.environment(first, "prod")["DRAAD_PUBLIC_URL"] == own
    certificate = f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate/1"
    named = environment.with_domain(at, first, "hooks.example.nl", certificate)
    assert environment.differing(first, named, "prod") == ["api_gateway_custom_domain"]
    after = environment.with_outputs(at, named, OUTPUTS, "abc123")
    assert environment.environment(after, "prod")["DRAAD_PUBLIC_URL"] == "https://hooks.example.nl"
    assert environment.with_domain(at, after, "", "") == after
    by_hand = copy.deepcopy(after)
    by_hand["stages"]["prod"]["environment_variables"]["DRAAD_PUBLIC_URL"] = "https://proxy.example.nl"
    assert environment.with_outputs(at, by_hand, OUTPUTS, "abc123") == by_hand


@pytest.mark.parametrize(
    "domain, certificate",
    [
        ("hooks.example.nl", ""),
        ("https://hooks.example.nl", f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate/1"),
        ("hooks.example.nl", f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/1"),
    ],
)
def test_a_domain_that_cannot_work_is_refused(at: Place, domain: str, certificate: str) -> None:
    with pytest.raises(DeployFailed):
        environment.with_domain(at, CONFIG, domain, certificate)


def test_a_configuration_that_is_no_json_is_left_alone(at: Place) -> None:
    (at.root / ".chalice").mkdir()
    environment.path_of(at.root).write_text("{", "utf-8")
    with pytest.raises(DeployFailed, match="git checkout"):
        environment.read(at.root)


def test_a_stage_of_another_account_or_region_is_refused_before_anything_is_made(at: Place) -> None:
    after = environment.with_outputs(at, CONFIG, OUTPUTS, "abc123")
    environment.refuse_elsewhere(at, CONFIG)
    environment.refuse_elsewhere(at, after)
    for region, account in (("eu-west-1", "999999999999"), ("us-east-1", ACCOUNT)):
        with pytest.raises(DeployFailed, match=f"was deployed to {ACCOUNT} in eu-west-1, and you are in {account}"):
            environment.refuse_elsewhere(Place("prod", at.root, region, account, "aws", None), after)


# The record


def api_record(api: str) -> record.Record:
    return record.merged(
        (), [{"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api, "rest_api_url": "-"}]
    )


@pytest.mark.parametrize(
    "apis, chosen",
    [
        (record.Apis(), ""),
        (record.Apis(there=frozenset({"other"})), ""),
        (record.Apis(here="a", there=frozenset({"a"})), "a"),
        (record.Apis(bucket="a", there=frozenset({"a", "b"})), "a"),
        (record.Apis(here="a", bucket="a", tagged=("a",), permitted=("a",), there=frozenset({"a"})), "a"),
        (record.Apis(tagged=("a",), there=frozenset({"a"})), "a"),
        (record.Apis(permitted=("a", "gone"), there=frozenset({"a"})), "a"),
        (record.Apis(here="gone", bucket="a", there=frozenset({"a"})), "a"),
        (record.Apis(here="a", bucket="gone", there=frozenset({"a"})), "a"),
    ],
)
def test_the_api_of_a_stage_is_found_whoever_remembers_it(apis: record.Apis, chosen: str) -> None:
    assert record.choose(apis) == chosen


def test_where_a_guess_would_lose_hook_urls_nothing_is_done() -> None:
    two = record.Apis(here="a", bucket="b", there=frozenset({"a", "b"}))
    with pytest.raises(DeployFailed, match=r"a \(by the record here\), b \(by the record bucket\).*--api a or --api b"):
        record.choose(two)
    assert record.choose(two, wanted="b") == "b"
    with pytest.raises(DeployFailed, match="no API c"):
        record.choose(two, wanted="c")
    gone = record.Apis(here="a", there=frozenset({"b"}))
    with pytest.raises(DeployFailed, match="--new-api"):
        record.choose(gone)
    assert record.choose(gone, new=True) == ""


def test_a_merged_record_has_what_the_account_has_and_keeps_what_nobody_asked_about() -> None:
    former = {
        "resources": [
            {
                "name": "context-log-group",
                "resource_type": "log_group",
                "log_group_name": "/aws/lambda/draad-prod-context",
            },
            {"name": "context", "resource_type": "lambda_function", "lambda_arn": "gone"},
            {"name": "old_worker", "resource_type": "lambda_function", "lambda_arn": "left over"},
            {"name": "fanout", "resource_type": "lambda_function", "lambda_arn": "old"},
        ]
    }
    seen = [{"name": "fanout", "resource_type": "lambda_function", "lambda_arn": "new"}]
    found = record.merged((None, former, former), seen)
    assert [(each["name"], each["lambda_arn"]) for each in found["resources"]] == [
        ("fanout", "new"),
        ("old_worker", "left over"),
    ]


def test_a_record_that_is_damaged_counts_as_none(at: Place) -> None:
    record.path_of(at).parent.mkdir(parents=True)
    for text in ("", "{", "{}", '{"resources": 1}'):
        record.path_of(at).write_text(text, "utf-8")
        assert record.local(at) is None


def make_functions(live: Place, code: bytes = b"1", only: tuple[str, ...] = FUNCTIONS) -> str:
    """As `chalice deploy` leaves them: roles, functions, permission, event sources, schedule. The digest of the code."""
    archive = archive_with(code)
    client, iam = live.client("lambda"), live.client("iam")
    for name in only:
        role = iam.create_role(RoleName=f"draad-prod-{name}", AssumeRolePolicyDocument=ASSUME)["Role"]["Arn"]
        client.create_function(
            FunctionName=live.function(name),
            Runtime="python3.11",
            Role=role,
            Handler="app.app",
            Code={"ZipFile": archive},
        )
    digest: str = client.get_function_configuration(FunctionName=live.function(only[0]))["CodeSha256"]
    return digest


def archive_with(code: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(zipfile.ZipInfo("app.py"), code)
    return made.getvalue()


def make_sources(live: Place) -> dict[str, str]:
    """Queues, table and the event sources as Chalice makes them. The outputs of the stack."""
    sqs, dynamodb = live.client("sqs"), live.client("dynamodb")
    for name in ("inbox", "deliveries", "jobs", "fanout-dlq"):
        sqs.create_queue(QueueName=f"draad-prod-{name}")
    stream = dynamodb.create_table(
        TableName="draad-prod",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        DeletionProtectionEnabled=True,
    )["TableDescription"]["LatestStreamArn"]
    outputs = OUTPUTS | {"StreamArn": stream}
    for name, source in mappings.WANTED.items():
        start = {"StartingPosition": "TRIM_HORIZON"} if source.of == "stream" else {}
        live.client("lambda").create_event_source_mapping(
            FunctionName=live.function(name),
            EventSourceArn=sources.source_arn(live, source, outputs),
            BatchSize=1,
            **start,
        )
    return outputs


def make_bucket(live: Place, name: str = OUTPUTS["DeployedBucket"]) -> None:
    client = live.client("s3")
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": live.region})
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def test_a_lost_record_is_made_anew_from_the_account_with_the_very_names_of_chalice(live: Place) -> None:
    make_functions(live)
    outputs = make_sources(live)
    make_bucket(live)
    live.client("events").put_rule(Name="draad-prod-sweep-event", ScheduleExpression="rate(1 minute)")
    first = record.bring(live, CONFIG, outputs, "", False, False, quiet)
    assert first.result == f"API {first.api} made, and recorded"
    record.path_of(live).unlink()
    live.client("s3").delete_object(Bucket=OUTPUTS["DeployedBucket"], Key="prod.json")
    again = record.bring(live, CONFIG, outputs, "", False, False, quiet)
    assert again.record == first.record and again.api == first.api, "found by its tag"
    assert record.bring(live, CONFIG, outputs, "", False, False, quiet).result == f"API {first.api}, unchanged"
    assert names_of_chalice() == {(each["name"], each["resource_type"]) for each in first.record["resources"]}


def names_of_chalice() -> set[tuple[str, str]]:
    """Of all that Chalice would record for this app, by its own graph."""
    code = (
        "from chalice.cli.factory import CLIFactory; from chalice.deploy.appgraph import *;"
        "f = CLIFactory('.', environ={}); c = f.create_config_obj('prod');"
        "from chalice.deploy import models;"
        "r = DependencyBuilder().build_dependencies(ApplicationGraphBuilder().build(c, 'prod'));"
        "print([(x.resource_name, x.resource_type) for x in r if isinstance(x, models.ManagedModel)])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {(name, KIND.get(kind, kind)) for name, kind in ast.literal_eval(done.stdout)}


KIND = {"scheduled_event": "cloudwatch_event"}


def test_the_api_that_only_the_functions_policy_knows_is_taken(live: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[str] = []
    monkeypatch.setattr(record, "mark_api", lambda _, api: marked.append(api))  # moto cannot tag an API
    make_functions(live, only=(API,))
    api = live.client("apigateway").create_rest_api(name="draad")["id"]
    live.client("apigateway").create_rest_api(name="draad", tags={record.TAG: "dev"})
    arn = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:{api}/*"
    live.client("lambda").add_permission(
        FunctionName="draad-prod", StatementId="1", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com",
        SourceArn=arn,
    )  # fmt: skip
    make_bucket(live)
    known = record.bring(live, CONFIG, OUTPUTS, "", False, False, quiet)
    assert known.api == api
    assert marked == [api]


def test_a_domain_that_is_there_is_in_the_record_or_chalice_would_fail_on_it(live: Place) -> None:
    make_bucket(live)
    certificate = f"arn:aws:acm:eu-west-1:{ACCOUNT}:certificate/1"
    config = environment.with_domain(live, CONFIG, "hooks.example.nl", certificate)
    assert record._domain(live, config) == []
    client, api = live.client("apigateway"), make_api(live)
    client.create_domain_name(domainName="hooks.example.nl", regionalCertificateArn=certificate)
    client.create_base_path_mapping(domainName="hooks.example.nl", restApiId=api, stage="prod")
    (entry,) = record._domain(live, config)
    assert entry["api_mapping"] == [{"key": "/"}] and entry["domain_name"] == "hooks.example.nl"
    known = record.bring(live, config, OUTPUTS, "", False, False, quiet)
    assert known.api == api and entry in known.record["resources"]


def make_api(live: Place) -> str:
    """With a stage, as a deployment leaves it."""
    client, api = live.client("apigateway"), record.make_api(live)
    root = client.get_resources(restApiId=api)["items"][0]["id"]
    client.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    client.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
    client.create_deployment(restApiId=api, stageName="prod")
    return api


def test_a_dry_run_makes_no_api_and_writes_no_record(live: Place) -> None:
    make_bucket(live)
    assert record.bring(live, CONFIG, OUTPUTS, "", False, True, quiet).result == "would make the API"
    assert not live.client("apigateway").get_rest_apis()["items"] and not record.path_of(live).exists()


def test_the_record_of_another_machine_is_taken(live: Place) -> None:
    make_bucket(live)
    api = record.make_api(live)
    record.keep(live, OUTPUTS["DeployedBucket"], api_record(api))
    record.path_of(live).unlink()
    said: list[str] = []
    assert record.bring(live, CONFIG, OUTPUTS, "", False, False, said.append).api == api
    assert said == ["no record here: taken from the record bucket"]
    assert record.local(live) == record.remote(live, OUTPUTS["DeployedBucket"])


# Event sources


def test_event_sources_become_as_wanted_once(live: Place) -> None:
    make_functions(live)
    outputs = make_sources(live)
    assert sources.bring(live, outputs, True, quiet).startswith("would change context: ")
    assert sources.bring(live, outputs, False, quiet).startswith("changed context: ")
    assert sources.bring(live, outputs, False, quiet) == "unchanged"
    for name, source in mappings.WANTED.items():
        found = sources.mapping_of(live, name, sources.source_arn(live, source, outputs))
        assert found is not None and not sources.differing(found, sources.wanted(source, outputs))


@pytest.mark.parametrize(
    "name, setting",
    [(name, key) for name, source in mappings.WANTED.items() for key in sources.wanted(source, OUTPUTS)],
)
def test_each_setting_that_is_missing_is_seen(name: str, setting: str) -> None:
    asked = sources.wanted(mappings.WANTED[name], OUTPUTS)
    assert sources.differing(asked, asked) == []
    without = {key: value for key, value in asked.items() if key != setting}
    zero = setting == "MaximumBatchingWindowInSeconds"
    assert sources.differing(without, asked) == ([] if zero else [setting])


def test_a_source_that_somebody_switched_off_is_on_again_and_it_is_said(live: Place) -> None:
    make_functions(live)
    outputs = make_sources(live)
    sources.bring(live, outputs, False, quiet)
    found = sources.mapping_of(live, "jobs", sources.source_arn(live, mappings.WANTED["jobs"], outputs))
    assert found is not None
    live.client("lambda").update_event_source_mapping(UUID=found["UUID"], Enabled=False)
    said: list[str] = []
    assert sources.bring(live, outputs, False, said.append) == "changed jobs: on"
    assert said == ["jobs was switched off: it is switched on"]


def test_a_function_without_its_source_says_what_to_do(live: Place) -> None:
    make_functions(live)
    with pytest.raises(DeployFailed, match=r"draad-prod-context has no event source .*--force"):
        sources.bring(live, OUTPUTS, False, quiet)


def passes(record_: dict[str, Any]) -> bool:
    """Whether Lambda would let a change through: one of the filters, each of whose fields has one of its values."""
    return any(_matches(each, record_) for each in mappings.FANOUT)


def _matches(pattern: Any, value: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_matches(each, value.get(name)) for name, each in pattern.items())
    return any(value.startswith(each["prefix"]) if isinstance(each, dict) else value == each for each in pattern)


@pytest.mark.parametrize("event", ["INSERT", "MODIFY", "REMOVE"])
@pytest.mark.parametrize(
    "pk, sk",
    [
        ("N#n", "-"), ("N#n", "E#2026#e"), ("N#n", "F"), ("N#n", "S#r"), ("N#n", "B#m"), ("N#n", "C#c"), ("N#n", "A#1"),
        ("K#k", "-"), ("R#r", "-"), ("R#r", "E#2026#e"), ("R#r", "P#n"), ("V#v", "-"), ("TOK#t", "-"), ("I#c#d#0", "r"),
        ("L#c#d#0", "e"), ("CONN", "c"), ("C#c", "TOKEN"), ("KEY", "h"), ("J#j", "-"), ("STAT#d", "c"), ("ORG", "settings"),
        ("ORG", "PULSE#stream"), ("ORG", "PULSE#inbox"),
    ],
)  # fmt: skip
def test_what_the_filters_drop_means_nothing_to_the_fanout(pk: str, sk: str, event: str) -> None:
    asked: list[str] = []

    def nobody(*what: Any, **_: Any) -> None:
        asked.append(str(what))

    class Spy(Planner):
        """Notes which of its parts a change reaches."""

        def event(self, item: Any, into: Planned) -> None:
            asked.append("event")

        def cluster(self, new: Any, old: Any, into: Planned) -> None:
            asked.append("cluster")

        def _left(self, *_: Any, **__: Any) -> None:
            asked.append("left")

        def _moved(self, old: Any, new: Any, into: Planned) -> None:
            asked.extend("moved" for item in (old, new) if item and item["pk"].startswith("K#"))

        def _messages(self, *_: Any) -> None:
            asked.append("messages")

        def _concerned(self, *_: Any) -> None:
            asked.append("concerned")

    keys = {"pk": {"S": pk}, "sk": {"S": sk}}
    images = {"NewImage": keys} if event == "INSERT" else {"OldImage": keys} if event == "REMOVE" else {}
    images = images or {"OldImage": keys, "NewImage": keys}
    change = {"eventName": event, "dynamodb": {"Keys": keys, **images}}
    someone: Any = object()
    planned = Planned()
    Spy(someone, (someone,), lambda item: (), nobody, (someone,), (someone,)).plan(change, planned)
    pulse = (pk, sk) == ("ORG", "PULSE#stream")
    if asked or planned.changed or pulse:
        assert passes(change), "the fanout would do something"


# The answers of API Gateway


class Gateway:
    """API Gateway as far as the answers need it: what was put, what the stage's last deployment has of it, its limits."""

    def __init__(self) -> None:
        self.put: dict[str, dict[str, Any]] = {}
        self.deployed: dict[str, dict[str, Any]] = {}
        self.limits: dict[str, Any] = {}

    def get_gateway_responses(self, restApiId: str, limit: int) -> dict[str, Any]:
        return {"items": [{"responseType": "DEFAULT_4XX", "defaultResponse": True}, *self.put.values()]}

    def put_gateway_response(self, restApiId: str, **put: Any) -> None:
        self.put[put["responseType"]] = put

    def create_deployment(self, restApiId: str, stageName: str) -> None:
        self.deployed = dict(self.put)

    def get_stage(self, restApiId: str, stageName: str) -> dict[str, Any]:
        return {"methodSettings": {answers.ALL: self.limits} if self.limits else {}}

    def update_stage(self, restApiId: str, stageName: str, patchOperations: list[dict[str, str]]) -> None:
        names = {
            "/*/*/throttling/rateLimit": "throttlingRateLimit",
            "/*/*/throttling/burstLimit": "throttlingBurstLimit",
        }
        for each in patchOperations:
            number = float(each["value"]) if each["path"].endswith("rateLimit") else int(each["value"])
            self.limits[names[each["path"]]] = number


def test_answers_and_limits_are_set_once(live: Place) -> None:
    gateway = Gateway()
    live._clients["apigateway"] = gateway
    asked = (live, CONFIG, "api1")
    assert answers.bring(*asked, False, 0, 0, True).startswith("would change answers, limits")
    assert not gateway.put and not gateway.limits
    said = answers.bring(*asked, False, 0, 0, False)
    assert said == "changed answers, limits (1000 a second, 2000 at once)"
    assert set(gateway.deployed) == set(gateway.put) >= {"THROTTLED", "REQUEST_TOO_LARGE", "INTEGRATION_TIMEOUT"}
    assert answers.bring(*asked, False, 0, 0, False) == "unchanged"
    assert answers.bring(*asked, False, 50, 80, False) == "changed limits (50 a second, 80 at once)"
    assert answers.bring(*asked, False, 0, 0, False) == "unchanged", "limits that somebody set stay"
    gateway.deployed.clear()
    assert answers.bring(*asked, True, 0, 0, False) == "changed answers", "put, and stopped before they were deployed"
    assert set(gateway.deployed) == set(gateway.put)
    gateway.put.pop("THROTTLED")
    assert answers.bring(*asked, False, 0, 0, False) == "changed answers" and "THROTTLED" in gateway.deployed


# Releases


def project(root: Path) -> None:
    for name in ("app.py", "requirements.txt", "chalicelib/a.py", ".chalice/policy-context.json"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name, "utf-8")


SMALL = {"app_name": "draad", "lambda_functions": {"context": {"iam_policy_file": "policy-context.json"}}, "stages": {}}


@pytest.mark.parametrize("name", ["app.py", "requirements.txt", "chalicelib/a.py", ".chalice/policy-context.json"])
def test_whatever_chalice_would_deploy_is_in_the_fingerprint(at: Place, name: str) -> None:
    project(at.root)
    before = release.fingerprint(at, SMALL)
    assert release.fingerprint(at, SMALL) == before
    (at.root / "chalicelib" / "__pycache__").mkdir()
    (at.root / "chalicelib" / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert release.fingerprint(at, SMALL) == before
    (at.root / name).write_text("other", "utf-8")
    assert release.fingerprint(at, SMALL) != before


def test_what_is_trimmed_is_in_the_fingerprint(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    project(at.root)
    before = release.fingerprint(at, SMALL)
    monkeypatch.setattr(release.trim, "MARK", b"draad trimmed by other rules")
    assert release.fingerprint(at, SMALL) != before


def test_a_package_that_cannot_be_built_stops_a_deployment(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(*_: Any) -> None:
        raise PackageFailed("No wheel for msgspec.")

    monkeypatch.setattr(functions.build, "build", built)
    with pytest.raises(DeployFailed, match=r"^No wheel for msgspec\. Then run again\.$"):
        functions.pack(at, lambda text: None)


def test_configuration_stage_and_account_are_in_the_fingerprint(at: Place) -> None:
    project(at.root)
    before = release.fingerprint(at, SMALL)
    assert release.fingerprint(at, {**SMALL, "lambda_memory_size": 1}) != before
    assert release.fingerprint(at, {**SMALL, "stages": {"prod": {"xray": True}}}) != before
    assert release.fingerprint(at, {**SMALL, "stages": {"dev": {"xray": True}}}) == before
    assert release.fingerprint(Place("prod", at.root, "eu-west-1", "1", "aws", None), SMALL) != before


def test_only_a_finished_release_whose_code_runs_everywhere_is_left_alone() -> None:
    whole = dict.fromkeys(FUNCTIONS, "c")
    done = {"fingerprint": "f", "code": "c", "finished": True}
    assert functions.up_to_date(whole, done, "f")
    assert not functions.up_to_date(whole, None, "f")
    assert not functions.up_to_date(whole, done, "g")
    assert not functions.up_to_date(whole, {**done, "finished": False}, "f")
    assert not functions.up_to_date({**whole, "jobs": "d"}, done, "f")
    assert not functions.up_to_date({API: "c"}, done, "f")
    assert not functions.up_to_date(whole, {**done, "rolled_back_to": "1"}, "f"), "routes and policies are others"


def test_functions_are_deployed_once_and_again_after_a_stop(live: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step itself, with Chalice left out: what it notes before and after, and what the next run makes of it."""
    make_bucket(live)
    project(live.root)
    steps.the_policies(steps.Run(live, quiet))
    code, runs = make_functions(live), []

    def deployed(*_: Any) -> str:
        runs.append(release.read(live, OUTPUTS["DeployedBucket"])[-1].get("finished"))
        return code

    def killed(*_: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(functions, "bring", killed)
    with pytest.raises(KeyboardInterrupt):
        steps.the_functions(steps.Run(live, quiet, outputs=OUTPUTS))
    monkeypatch.setattr(functions, "bring", deployed)
    run = steps.Run(live, quiet, outputs=OUTPUTS, api="api1")
    assert steps.the_functions(steps.Run(live, quiet, outputs=OUTPUTS, dry=True)) == "would be deployed"
    assert steps.the_functions(run).startswith("deployed") and run.fresh
    assert steps.the_functions(run).startswith("deployed"), "stopped before the end of the whole: all of it again"
    steps.finished(run)
    later = steps.Run(live, quiet, outputs=OUTPUTS, api="api1")
    assert steps.the_functions(later) == "unchanged" and not later.fresh
    assert steps.the_functions(steps.Run(live, quiet, outputs=OUTPUTS, force=True)).startswith("deployed")
    assert runs == [None, None, None], "noted as begun before Chalice runs"
    (live.root / "app.py").write_text("new", "utf-8")
    assert steps.the_functions(steps.Run(live, quiet, outputs=OUTPUTS)).startswith("deployed")


def test_the_code_of_a_release_is_kept_once(live: Place) -> None:
    make_bucket(live)
    folder = live.root / ".chalice" / "deployments"
    folder.mkdir()
    (folder / "a.zip").write_bytes(b"a")
    code = base64.b64encode(hashlib.sha256(b"a").digest()).decode()
    bucket = OUTPUTS["DeployedBucket"]
    key = release.keep_code(live, bucket, code)
    assert release.keep_code(live, bucket, code) == key == f"prod/code/{hashlib.sha256(b'a').hexdigest()}.zip"
    assert len(live.client("s3").list_object_versions(Bucket=bucket)["Versions"]) == 1
    assert release.keep_code(live, bucket, "bm90IHRoZXJl") == ""


def finished(name: str, code: str, **more: Any) -> release.Release:
    return {"id": name, "commit": name, "code": code, "key": f"{code}.zip", "finished": True, **more}


def test_the_way_back_leads_to_the_one_before_and_no_further() -> None:
    one, two, three = finished("1", "a"), finished("2", "b"), finished("3", "b")
    assert rollback.target_of([one, two, three], "")["id"] == "1", "the same code is no way back"
    assert rollback.target_of([one, two, {**three, "rolled_back_to": "1"}], "")["id"] == "1"
    assert rollback.target_of([one, two, {"id": "3", "commit": ""}], "")["id"] == "2", "a release that never finished"
    assert rollback.target_of([one, two, three], "2")["id"] == "2"
    for releases in ([], [one], [two, three]):
        with pytest.raises(DeployFailed, match="no release"):
            rollback.target_of(releases, "")
    with pytest.raises(DeployFailed, match="There are: 1"):
        rollback.target_of([one], "9")


def test_back_to_the_code_before_twice_is_once(live: Place) -> None:
    make_bucket(live)
    bucket = OUTPUTS["DeployedBucket"]
    first, second = archive_with(b"1"), archive_with(b"2")
    codes = [base64.b64encode(hashlib.sha256(each).digest()).decode() for each in (first, second)]
    for archive, code in zip((first, second), codes, strict=True):
        live.client("s3").put_object(Bucket=bucket, Key=f"{base64.b64decode(code).hex()}.zip", Body=archive)
    make_functions(live, code=b"2")
    known = [finished(str(n), code, key=f"{base64.b64decode(code).hex()}.zip") for n, code in enumerate(codes)]
    release.write(live, bucket, known)
    assert rollback.back(live, bucket, "", True, quiet).startswith("would change api_handler, context")
    assert set(functions.codes(live).values()) == {codes[1]}
    assert rollback.back(live, bucket, "", False, quiet).startswith("changed api_handler, context")
    assert set(functions.codes(live).values()) == {codes[0]}
    assert rollback.back(live, bucket, "", False, quiet) == "unchanged"
    running = release.live(release.read(live, bucket))
    assert running is not None and running["id"] == "0"
    assert rollback.back(live, bucket, "1", False, quiet).startswith("changed"), "and forward again, by name"


def test_code_for_another_python_is_refused(live: Place) -> None:
    make_bucket(live)
    make_functions(live)
    release.write(live, OUTPUTS["DeployedBucket"], [finished("1", "a", runtime="python3.10"), finished("2", "b")])
    with pytest.raises(DeployFailed, match=r"python3.10 .*`git checkout 1`"):
        rollback.back(live, OUTPUTS["DeployedBucket"], "", False, quiet)


# Turns


def test_two_do_not_deploy_one_stage_at_once_and_the_dead_hold_nobody_up(
    live: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bucket(live)
    bucket, said = OUTPUTS["DeployedBucket"], []
    with turn.held(live, bucket, said.append):
        monkeypatch.setattr(turn.socket, "gethostname", lambda: "another")
        with (
            pytest.raises(DeployFailed, match=r"deploys this stage since .*`aws s3 rm s3://"),
            turn.held(live, bucket, quiet),
        ):
            pass
    assert not said
    with turn.held(live, bucket, said.append), turn.held(live, bucket, said.append):
        assert len(said) == 1 and "did not come to its end" in said[0], "killed, and begun again by the same"
    turn._put(live, bucket, {"who": "somebody", "at": "long ago", "ms": 1})
    with turn.held(live, bucket, said.append):
        assert "somebody since long ago" in said[1]
    found, _ = turn._read(live, bucket)
    assert found is None, "free again"
    with turn.held(live, "", quiet):
        pass


# The stack


def test_every_parameter_is_known_and_what_is_kept_is_what_the_template_retains() -> None:
    template = package.own_template()
    assert stack.parameters() == list(template["Parameters"])
    retained = {name for name, each in template["Resources"].items() if each.get("DeletionPolicy") == "Retain"}
    assert set(stack.KEPT) == retained
    assert len(stack.TEMPLATE.read_bytes()) <= 51_200, "CloudFormation takes no more than this without a bucket"


def test_what_is_not_given_stays_as_it_is() -> None:
    assert stack._parameters(["Stage", "AlarmMail", "New"], {"Stage": "prod"}, ["Stage", "AlarmMail"]) == [
        {"ParameterKey": "Stage", "ParameterValue": "prod"},
        {"ParameterKey": "AlarmMail", "UsePreviousValue": True},
    ]


def test_a_parameter_that_is_none_is_refused_before_anything(at: Place) -> None:
    with pytest.raises(DeployFailed, match="no parameter Alarms: it has Stage"):
        stack.bring(at, {"Alarms": "x"}, False, quiet)
    with pytest.raises(DeployFailed, match="NAME=VALUE"):
        __main__.parameters(["AlarmMail"])


@pytest.mark.parametrize("change", [{"Action": "Remove"}, {"Action": "Modify", "Replacement": "True"}])
@pytest.mark.parametrize("name", stack.KEPT)
def test_no_change_takes_the_data_away(name: str, change: dict[str, str]) -> None:
    with pytest.raises(DeployFailed, match=f"remove or replace {name}"):
        stack._refuse_loss([{"LogicalResourceId": "Inbox", "Action": "Add"}, {"LogicalResourceId": name, **change}])
    stack._refuse_loss([{"LogicalResourceId": name, "Action": "Modify", "Replacement": "False"}])


def event(name: str, status: str, reason: str = "") -> dict[str, str]:
    return {"LogicalResourceId": name, "ResourceType": "T", "ResourceStatus": status, "ResourceStatusReason": reason}


def test_a_refused_change_names_the_resource_and_the_reason_and_not_who_was_pulled_along() -> None:
    said: list[str] = []
    progress = stack.Progress("draad-prod", frozenset({"Inbox", "Bodies", "Table"}), said.append)
    for each in (
        event("draad-prod", "CREATE_IN_PROGRESS"),
        event("Inbox", "CREATE_COMPLETE"),
        event("Jobs", "UPDATE_COMPLETE"),
        event("Bodies", "CREATE_FAILED", "the name is taken"),
        event("Table", "CREATE_FAILED", "Resource creation cancelled"),
    ):
        progress.take(each)
    assert not progress.ended and progress.failures == ["Bodies (T): the name is taken"]
    progress.take(event("draad-prod", "CREATE_FAILED", "something failed"))
    assert progress.ended and progress.done == {"Inbox"} and said == ["refused Bodies (T): the name is taken"]
    place_ = Place("prod", Path(), "eu-west-1", ACCOUNT, "aws", None)
    words = stack._refusal(place_, {"StackStatus": "CREATE_FAILED"}, progress.failures)
    assert "Bodies (T): the name is taken" in words and "What was made stays" in words


@pytest.mark.parametrize("status", stack.STUCK)
def test_a_stack_that_is_stuck_says_its_cure(at: Place, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "look", lambda _: {"StackStatus": status})
    with pytest.raises(DeployFailed, match=r"aws cloudformation .* draad-prod"):
        stack._ready(at, False, quiet)


# One template


def test_the_merged_template_says_all_that_chalice_cannot() -> None:
    merged = package.merge_template("shop")
    resources = merged["Resources"]
    fanout = resources["Fanout"]["Properties"]["Events"]["FanoutDynamodbEventSource"]["Properties"]
    assert fanout["Stream"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    assert fanout["BisectBatchOnFunctionError"] is True and fanout["MaximumRetryAttempts"] == -1
    assert len(fanout["FilterCriteria"]["Filters"]) == 5
    assert resources["Context"]["DependsOn"] == ["ContextLog", "Inbox"]
    assert resources["APIHandler"]["Properties"]["FunctionName"] == "draad-shop"
    assert (
        resources["Jobs"]["Properties"]["FunctionName"] == "draad-shop-jobs" if "Properties" in resources["Jobs"] else 1
    )
    assert merged["Parameters"]["Stage"]["AllowedValues"] == ["shop"]
    assert "x-amazon-apigateway-gateway-responses" in resources["RestAPI"]["Properties"]["DefinitionBody"]


# Taking down


@pytest.mark.filterwarnings("ignore:Tried to parse AWS")
def test_the_data_goes_only_when_it_is_asked_for_and_twice_is_once(live: Place) -> None:
    outputs = make_sources_alone(live)
    assert "--yes-delete-data" not in teardown.remains(live) and "draad-prod-pepper" in teardown.remains(live)
    assert teardown.data(live, True, quiet).startswith("would delete draad-prod,")
    assert live.client("dynamodb").describe_table(TableName="draad-prod")["Table"]["DeletionProtectionEnabled"]
    for _ in range(2):
        said: list[str] = []
        teardown.data(live, False, said.append)
    assert "draad-prod: was gone" in said and f"{outputs['Bucket']}: was gone" in said
    assert not live.client("s3").list_buckets()["Buckets"]
    assert "DeletedDate" in live.client("secretsmanager").describe_secret(SecretId="draad-prod-pepper")


def make_sources_alone(live: Place) -> dict[str, str]:
    """The stack's data in memory, with two versions of an object in each bucket."""
    live.client("cloudformation").create_stack(
        StackName="draad-prod",
        TemplateBody=storage_only(),
        Parameters=[{"ParameterKey": "Stage", "ParameterValue": "prod"}],
    )
    outputs = stack.outputs_of(stack.look(live))
    live.client("secretsmanager").create_secret(Name="draad-prod-pepper", SecretString="p")
    for key in live.client("kms").list_keys()["Keys"]:
        live.client("kms").put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=KEY_POLICY)
    for bucket in (outputs["Bucket"], outputs["DeployedBucket"]):
        for body in (b"1", b"2"):
            live.client("s3").put_object(Bucket=bucket, Key="a", Body=body)
    return outputs


# The first key


def test_the_first_key_is_shown_before_it_is_stored_and_only_then(
    memory_aws: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DRAAD_FIRST_KEY", raising=False)
    ensure = keys.ensure

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(keys, "ensure", killed)
    with pytest.raises(KeyboardInterrupt):
        admin.main()
    assert "shown once: draad_" in capsys.readouterr().err and not keys.everyone(DynamoTable())
    monkeypatch.setattr(keys, "ensure", ensure)
    admin.main()
    said = capsys.readouterr()
    key = keys.find(DynamoTable(), said.err.rpartition(": ")[2].strip())
    assert said.out.strip() == admin.STORED and key is not None and key.scopes == ("admin",)
    admin.main()
    assert capsys.readouterr() == (admin.THERE + "\n", "")
    keys.revoke(DynamoTable(), key.id)
    monkeypatch.setenv("DRAAD_FIRST_KEY", "draad_of-mine")
    admin.main()
    assert capsys.readouterr() == (admin.STORED + "\n", ""), "a revoked one is none; one that was given is not shown"
    assert keys.find(DynamoTable(), "draad_of-mine")


# The whole


@pytest.mark.parametrize(
    "raised, code, said",
    [
        (DeployFailed("because"), 1, "draad: because"),
        (KeyboardInterrupt(), 130, "draad: stopped. Run the same command again"),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutRule"),
            1,
            "AccessDenied.*PutRule.*again",
        ),
    ],
)
def test_whatever_goes_wrong_says_what_to_do_next(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> int:
        raise raised

    monkeypatch.setattr(place, "find", lambda stage, root: Place(stage, root, "eu-west-1", ACCOUNT, "aws", None))
    monkeypatch.setattr(__main__, "deploy", fails)
    assert __main__.main(["deploy", "--stage", "prod"]) == code
    assert re.search(said, capsys.readouterr().err)


def test_make_passes_on_what_it_is_given() -> None:
    whole = made(
        "deploy", "STAGE=prod", "DRY_RUN=1", "PARAMETERS=AlarmMail=a@b.nl MonthlyBudget=5", "DOMAIN=h.nl", "FORCE=1"
    )
    assert (
        "-m infra.deploy deploy --stage prod --dry-run --parameter AlarmMail=a@b.nl --parameter MonthlyBudget=5 "
        "--domain h.nl --force" in whole
    )
    assert "-m infra.deploy destroy --stage prod --yes-delete-data" in made(
        "destroy", "STAGE=prod", "YES_DELETE_DATA=1"
    )
    assert made("destroy", "STAGE=prod").endswith("-m infra.deploy destroy --stage prod")
    assert made("rollback", "STAGE=prod", "RELEASE=1").endswith("-m infra.deploy rollback --stage prod --to 1")
    for target in ("deploy", "package", "rollback", "destroy"):
        assert f"STAGE is missing: for instance make {target} STAGE=prod" in made(target)


def test_a_step_that_fails_says_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> str:
        raise DeployFailed("because")

    with pytest.raises(DeployFailed, match="stack: because"):
        steps.show(print, "stack", fails)
    steps.show(print, "stack", lambda: "unchanged")
    assert capsys.readouterr().out.startswith("stack          unchanged  (0.")


def test_logs_get_their_end_once_before_a_function_writes(live: Place) -> None:
    run = steps.Run(live, quiet)
    asked = "draad-prod, draad-prod-context, draad-prod-fanout, draad-prod-deliver, draad-prod-jobs, draad-prod-sweep"
    assert steps.the_logs(steps.Run(live, quiet, dry=True)) == f"would keep for 30 days: {asked}"
    assert steps.the_logs(run) == f"kept for 30 days: {asked}"
    assert steps.the_logs(run) == "unchanged"
    live.client("logs").delete_retention_policy(logGroupName="/aws/lambda/draad-prod-jobs")
    assert steps.the_logs(run) == "kept for 30 days: draad-prod-jobs"


def test_the_policies_of_a_stage_are_written_once(live: Place) -> None:
    run = steps.Run(live, quiet)
    assert "policy-prod-context.json" in steps.the_policies(run)
    assert steps.the_policies(run) == "unchanged"
    text = (live.root / ".chalice" / "policy-prod-context.json").read_text("utf-8")
    assert text == (ROOT / ".chalice" / "policy-prod-context.json").read_text("utf-8"), "the checkout stays as it is"


def test_the_page_tells_each_step_and_each_event_source() -> None:
    page = DOCS / "deploy.md"
    assert [row[0] for row in rows(page, "From clone to running hub")] == list(steps.DEPLOY)
    told = {row[0].strip("`"): row for row in rows(page, "Event sources")}
    assert set(told) == set(mappings.WANTED)
    for name, source in mappings.WANTED.items():
        assert re.match(r"\d+", told[name][2])[0] == str(source.maximum_concurrency or source.parallelization)
        assert re.match(r"\d+", told[name][3])[0] == str(source.batch_size)
    assert f"tried again for {mappings.WANTED['fanout'].maximum_age_seconds // 3600} hours" in told["fanout"][4]
    assert f"{answers.RATE:g} and {answers.BURST} at first" in page.read_text("utf-8")


def test_the_steps_come_in_an_order_in_which_each_can_be_repeated() -> None:
    names = list(steps.DEPLOY)
    assert names.index("record") < names.index("environment") < names.index("functions") < names.index("record kept")
    assert names.index("event sources") < names.index("release") < names.index("doctor")
