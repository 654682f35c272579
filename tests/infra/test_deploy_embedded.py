"""A stage deployed into the embedded AWS by the real commands: stopped, taken up again, used, taken down; and by one template."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.deploy import environment, functions, mappings, package, release, sources
from infra.deploy.place import FUNCTIONS, Place
from infra.local.embedded import REFUSES, REGION, SERVICES, EmbeddedAws, clean_env
from infra.local.state import ROOT, State
from tests import drive
from tests.standins import partner

MORE = "apigateway,lambda,events,logs,cloudwatch,sns"
STAGE, ONE = "testshop", "testone"
"""`ONE` comes from one template."""
KEY = "draad_the-first-admin-key-of-a-test"
MAPPING = {
    "type": "message",
    "channel": "webchat",
    "object": "id",
    "occurred_at": "at",
    "text": "text",
    "identities": [{"kind": "phone", "value": "phone", "assurance": "A2"}],
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    state = State(tmp_path_factory.mktemp("aws"))
    state.open()
    running = EmbeddedAws(state, persist=False, env={"SERVICES": f"{SERVICES},{MORE}"})
    running.start()
    yield running
    running.stop()
    state.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the archives of the code are kept between the tests of this file: making one takes a minute or two."""
    return tmp_path_factory.mktemp("built")


def checkout(folder: Path, aws: EmbeddedAws, stage: str, built: Path) -> Path:
    """A clone of the project, as far as Chalice needs it, for functions that run on this very machine."""
    folder.mkdir()
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".chalice", folder / ".chalice", ignore=shutil.ignore_patterns("deploy*", "package"))
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".chalice" / "deployments").symlink_to(built)
    config = environment.read(folder)
    config |= {"lambda_architecture": "arm64" if platform.machine() == "aarch64" else "x86_64"}
    config |= {"minimum_compression_size": 0}
    variables = environment.stage_of(config, stage)["environment_variables"]
    variables |= {"AWS_ENDPOINT_URL": aws.url, "DRAAD_ALLOW_PRIVATE_DESTINATIONS": "1"}
    environment.write(folder, config)
    return folder


def command(aws: EmbeddedAws, root: Path, *words: str, stage: str = STAGE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.deploy", *words, "--stage", stage, "--root", str(root)],
        cwd=ROOT,
        env=clean_env(aws.url) | {"DRAAD_FIRST_KEY": KEY},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run(aws: EmbeddedAws, root: Path, *words: str, stage: str = STAGE) -> dict[str, str]:
    """Step → its result. What it said is shown when it fails."""
    started = time.monotonic()
    running = command(aws, root, *words, stage=stage)
    said, _ = running.communicate(timeout=500)
    print(f"{words} {time.monotonic() - started:.1f} s\n{said}")
    # The doctor says what this AWS does not know; everything before it has come to its end.
    assert running.returncode == 0 or "\ndoctor         something is wrong" in said, said
    assert KEY not in said
    lines = [line for line in said.splitlines() if line.endswith(" s)")]
    return {line[:14].strip(): line[14:].rpartition("  (")[0].strip() for line in lines}


def stop_at(aws: EmbeddedAws, root: Path, words: str) -> None:
    """Killed, with all that it started, as soon as it says so."""
    running = command(aws, root, "deploy", *PARAMETERS)
    assert running.stdout is not None
    said = []
    for line in running.stdout:
        said.append(line)
        if words in line:
            os.killpg(running.pid, signal.SIGKILL)
            break
    running.wait()
    running.stdout.close()
    assert words in said[-1], "".join(said)


PARAMETERS = [word for name, value in REFUSES.items() for word in ("--parameter", f"{name}={value}")]


def place_of(aws: EmbeddedAws, root: Path, stage: str = STAGE) -> Place:
    clients = {name: aws.client(name) for name in ("lambda", "apigateway", "cloudformation", "s3", "dynamodb", "logs")}
    return Place(stage, root, REGION, "000000000000", "aws", None, clients)


def outputs_of(aws: EmbeddedAws, stage: str = STAGE) -> dict[str, str]:
    found = aws.client("cloudformation").describe_stacks(StackName=f"draad-{stage}")["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


def apis(aws: EmbeddedAws) -> list[str]:
    return [each["id"] for each in aws.client("apigateway").get_rest_apis()["items"]]


def eventually(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what}: it did not come true"
        time.sleep(0.3)
    return found


def from_webhook_to_partner(url: str, key: str, phone: str) -> None:
    """A signed webhook through the API to the timeline of its customer, and to a partner."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"

    def ask(path: str, body: Any = None) -> Any:
        answer = session.request("GET" if body is None else "POST", url + path, json=body, timeout=30)
        assert answer.status_code < 300, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    with partner.Partner() as feed:
        to = {"provider": "webhook", "name": "partner", "settings": {"url": f"{feed.url}/in"}}
        ask("/v1/connections", to | {"secrets": {"signing_secret": partner.SECRET}})
        source = {"provider": "generic", "name": "chat", "settings": {"channel": "webchat", "account": "tc"}}
        made = ask("/v1/connections", source | {"secrets": {"signing_secret": drive.POS_SECRET}, "mapping": MAPPING})
        hook = url + "/hooks/" + made["hook_url"].rpartition("/hooks/")[2]
        body = {"id": f"m-{phone}", "at": "2026-11-01T10:00:00Z", "text": "Dag", "phone": phone}
        assert drive.generic(hook, body).go() in (200, 202)
        assert drive.generic(hook, body, secret="another").go() == 401

        def customer() -> Any:
            return ask(f"/v1/customers?identity=phone:{phone}")["customers"]

        known = eventually(customer, "the customer is known")[0]["id"]
        entries = ask(f"/v1/customers/{known}/timeline")["entries"]
        assert [each["text"] for each in entries] == ["Dag"]
        eventually(lambda: feed.taken, "the partner is told")
        assert [each["type"] for each in feed.taken.values()] == ["message.received"]
        assert feed.repeats == 0


@pytest.mark.embedded
def test_a_deployment_that_was_stopped_goes_on_from_another_machine(
    aws: EmbeddedAws, built: Path, tmp_path: Path
) -> None:
    first = checkout(tmp_path / "first", aws, STAGE, built)
    assert run(aws, first, "deploy", "--dry-run", *PARAMETERS)["functions"] == "would be deployed"
    assert not aws.client("cloudformation").describe_stacks()["Stacks"] and not apis(aws)
    stop_at(aws, first, "resources to make")
    stop_at(aws, first, "record ")
    (api,) = apis(aws)
    stop_at(aws, first, f"Creating lambda function: draad-{STAGE}-deliver")
    shutil.rmtree(first)

    second = checkout(tmp_path / "second", aws, STAGE, built)
    said = run(aws, second, "deploy", *PARAMETERS)
    assert said["record"].startswith(f"API {api}") and apis(aws) == [api], "hook URLs live"
    assert said["stack"] == "unchanged" and said["first key"].startswith("stored")
    at, outputs = place_of(aws, second), outputs_of(aws)
    for name, source in mappings.WANTED.items():
        found = aws.client("lambda").list_event_source_mappings(FunctionName=at.function(name))["EventSourceMappings"]
        assert [sources.differing(each, sources.wanted(source, outputs)) for each in found] == [[]], name
    url = f"{aws.url}/restapis/{api}/{STAGE}/_user_request_"
    lost = requests.get(url + "/nothing/here", timeout=20)
    assert (lost.status_code, lost.headers["Content-Type"]) == (404, "application/problem+json")
    from_webhook_to_partner(url, KEY, "+31612345001")

    before = modified(aws, at)
    again = run(aws, second, "deploy")
    assert again["record"] == f"API {api}, unchanged"
    unchanged = {"stack", "policies", "logs", "environment", "functions", "record kept", "event sources", "answers"}
    assert {name: again[name] for name in unchanged if again[name] != "unchanged"} == {}
    assert again["first key"].startswith("unchanged") and modified(aws, at) == before

    (one,) = aws.client("lambda").list_event_source_mappings(FunctionName=at.function("context"))["EventSourceMappings"]
    aws.client("lambda").update_event_source_mapping(UUID=one["UUID"], FunctionResponseTypes=[])
    environment.write(second, environment.read(second) | {"xray": True})
    forced = run(aws, second, "deploy", "--force", "--parameter", "DeliveryLagSeconds=600")
    assert forced["stack"] == "changed: 1 resources"
    assert forced["event sources"] == "changed context: FunctionResponseTypes", "the others outlived chalice deploy"
    assert apis(aws) == [api] and forced["answers"] == "changed answers"
    assert forced["policies"].startswith("written") and tracing(aws, at) == {"Active"}

    former = former_release(aws, outputs["DeployedBucket"], built)
    assert run(aws, second, "rollback")["rollback"].startswith("changed api_handler, context")
    assert run(aws, second, "rollback")["rollback"] == "unchanged"
    assert set(functions.codes(at).values()) == {former}
    assert requests.get(url + "/health", timeout=30).status_code in (200, 503), "it runs from the bucket"

    gone = run(aws, second, "destroy")
    assert gone["functions"].startswith("deleted") and not apis(aws)
    assert not aws.client("lambda").list_functions()["Functions"]
    assert aws.client("dynamodb").scan(TableName=outputs["Table"], Limit=1)["Count"] == 1, "the data stays"
    assert run(aws, second, "destroy")["functions"] == "unchanged: there are none"
    taken = run(aws, second, "destroy", "--yes-delete-data")
    assert taken["data"].startswith("deleted")
    assert not aws.client("dynamodb").list_tables()["TableNames"] and not aws.client("s3").list_buckets()["Buckets"]


def former_release(aws: EmbeddedAws, bucket: str, built: Path) -> str:
    """As if another code had been deployed before: the same, and a file more. Its digest."""
    (archive,) = built.glob("*.zip")
    older = built.parent / "older.zip"
    shutil.copy(archive, older)
    with zipfile.ZipFile(older, "a") as file:
        file.writestr("OLDER", "")
    code = hashlib.sha256(older.read_bytes())
    key = release.code_key(STAGE, code.hexdigest())
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=older.read_bytes())
    at = place_of(aws, built)
    digest = base64.b64encode(code.digest()).decode()
    known = {"id": "2026-01-01T00:00:00.000Z", "commit": "older", "code": digest, "key": key, "finished": True}
    release.write(at, bucket, [known, *release.read(at, bucket)])
    return digest


def tracing(aws: EmbeddedAws, at: Place) -> set[str]:
    found = [aws.client("lambda").get_function_configuration(FunctionName=at.function(name)) for name in FUNCTIONS]
    return {each["TracingConfig"]["Mode"] for each in found}


def modified(aws: EmbeddedAws, at: Place) -> dict[str, str]:
    found = {
        name: aws.client("lambda").get_function_configuration(FunctionName=at.function(name)) for name in FUNCTIONS
    }
    return {name: each["LastModified"] for name, each in found.items()}


TRANSLATE = """
import json, sys, warnings
warnings.simplefilter("ignore")
from samtranslator.translator.transform import transform
class NoPolicies:
    def load(self): return {}
json.dump(transform(json.load(sys.stdin), {}, NoPolicies()), sys.stdout)
"""
"""What CloudFormation does with a template of SAM before anything else, by the same library."""


@pytest.mark.embedded
def test_the_whole_stage_comes_from_one_template(aws: EmbeddedAws, built: Path, tmp_path: Path) -> None:
    root = checkout(tmp_path / "project", aws, ONE, built)
    assert run(aws, root, "package", stage=ONE)["package"] == f".chalice/package/{ONE}/sam.json"
    folder = package.folder_of(place_of(aws, root, ONE))
    s3, cloudformation = aws.client("s3"), aws.client("cloudformation")
    s3.create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="packages", Key="code.zip", Body=(folder / "deployment.zip").read_bytes())
    template = json.loads((folder / "sam.json").read_text("utf-8"))
    for each in template["Resources"].values():
        if each["Type"] == "AWS::Serverless::Function":
            each["Properties"]["CodeUri"] = "s3://packages/code.zip"
    translated = subprocess.run(
        [sys.executable, "-c", TRANSLATE],
        input=json.dumps(template),
        env=clean_env(aws.url),
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    assert lint(translated) == []
    s3.put_object(Bucket="packages", Key="template.json", Body=translated.encode())
    cloudformation.create_stack(
        StackName=f"draad-{ONE}",
        TemplateURL=f"{aws.url}/packages/template.json",
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in REFUSES.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    eventually(lambda: not status(aws).endswith("IN_PROGRESS"), "the stack settles", 120)
    assert status(aws) == "CREATE_COMPLETE"
    outputs, at = outputs_of(aws, ONE), place_of(aws, root, ONE)
    for name, source in mappings.WANTED.items():
        found = aws.client("lambda").list_event_source_mappings(FunctionName=at.function(name))["EventSourceMappings"]
        assert [sources.differing(each, sources.wanted(source, outputs)) for each in found] == [[]], name
    first_key(aws, root, outputs)
    url = f"{aws.url}/restapis/{outputs['RestAPIId']}/{ONE}/_user_request_"
    lost = requests.get(url + "/nothing/here", timeout=20)
    assert (lost.status_code, lost.headers["Content-Type"]) == (404, "application/problem+json")
    from_webhook_to_partner(url, KEY, "+31612345002")
    cloudformation.delete_stack(StackName=f"draad-{ONE}")
    eventually(lambda: not aws.client("lambda").list_functions()["Functions"], "the functions are gone")
    assert aws.client("dynamodb").describe_table(TableName=outputs["Table"]), "the data stays"


def status(aws: EmbeddedAws) -> str:
    found: str = aws.client("cloudformation").describe_stacks(StackName=f"draad-{ONE}")["Stacks"][0]["StackStatus"]
    return found


def lint(template: str) -> list[str]:
    from cfnlint.api import ManualArgs
    from cfnlint.api import lint as linted

    return [f"{each.rule.id} {each.message}" for each in linted(template, config=ManualArgs(regions=[REGION]))]


def first_key(aws: EmbeddedAws, root: Path, outputs: dict[str, str]) -> None:
    """As docs/deploy.md says for a stage that came from one template."""
    from infra.local.embedded import hub_env

    subprocess.run(
        [sys.executable, "-m", "infra.deploy.admin"],
        cwd=ROOT,
        env=clean_env(aws.url) | hub_env(ONE, outputs) | {"DRAAD_FIRST_KEY": KEY},
        check=True,
        capture_output=True,
    )
