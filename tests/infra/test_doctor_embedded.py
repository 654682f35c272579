"""The doctor at a stage that the real commands deployed into the embedded AWS: red when a flag is taken away, green when it is mended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.deploy.asked import OK, UNSURE, WRONG
from infra.deploy.mappings import WANTED
from infra.local.embedded import EmbeddedAws, clean_env
from infra.local.state import ROOT
from tests.infra.test_deploy_embedded import PARAMETERS, STAGE, apis, aws, built, checkout, outputs_of, place_of, run
from tests.infra.test_doctor import mend_bucket, mend_table

__all__ = ["aws", "built"]
IGNORED = {
    "time to live",
    "recovery",
    "encryption of the table",
    "lifecycle of bucket bodies",
}
"""The embedded AWS reads past them in a template, and knows them when asked: what the doctor says mends them."""
ODD = {
    "who is told of alarms": "nobody was named",
    "bytes through the API": "its gateway takes a body without a type for text",
}
"""What the embedded AWS has otherwise than AWS, or this stage does not want."""
TAKEN_AWAY: dict[str, dict[str, Any]] = {
    "context": {"FunctionResponseTypes": []},
    "deliver": {"BatchSize": 1},
    "jobs": {"FunctionResponseTypes": []},
    "fanout": {"BisectBatchOnFunctionError": False},
}


def doctor(aws: EmbeddedAws, root: Path, url: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "infra.deploy.doctor", "--stage", STAGE, "--root", str(root), "--json", "--url", url],
        cwd=ROOT,
        env=clean_env(aws.url),
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == int(found["wrong"] > 0), done.stderr
    return found


def those(found: dict[str, Any], *verdicts: str) -> set[str]:
    return {each["check"] for each in found["checks"] if each["verdict"] in verdicts}


@pytest.mark.embedded
def test_it_is_red_while_a_flag_is_gone_and_green_when_it_is_mended(
    aws: EmbeddedAws, built: Path, tmp_path: Path
) -> None:
    root = checkout(tmp_path / "project", aws, STAGE, built)
    run(aws, root, "deploy", *PARAMETERS)
    (api,) = apis(aws)
    url = f"{aws.url}/restapis/{api}/{STAGE}/_user_request_"
    first = doctor(aws, root, url)
    print(json.dumps([each for each in first["checks"] if each["verdict"] != OK], indent=1))
    assert those(first, WRONG, UNSURE) == IGNORED | set(ODD)
    mend(aws)
    mended = doctor(aws, root, url)
    assert those(mended, WRONG, UNSURE) == set(ODD)
    assert requests.get(f"{url}/health", timeout=20).json()["doctor"]["wrong"] == mended["wrong"]

    client, at = aws.client("lambda"), place_of(aws, root)
    assert set(TAKEN_AWAY) == set(WANTED)
    for name, change in TAKEN_AWAY.items():
        (source,) = client.list_event_source_mappings(FunctionName=at.function(name))["EventSourceMappings"]
        client.update_event_source_mapping(UUID=source["UUID"], **change)
    red = doctor(aws, root, url)
    assert those(red, WRONG, UNSURE) == set(ODD) | {f"event source of {name}" for name in WANTED}
    told = requests.get(f"{url}/health", timeout=20).json()
    assert told["status"] == "degraded" and told["doctor"]["wrong"] == red["wrong"]

    assert run(aws, root, "deploy")["event sources"].startswith("changed context: FunctionResponseTypes")
    green = doctor(aws, root, url)
    assert those(green, WRONG, UNSURE) == set(ODD)
    run(aws, root, "destroy")
    run(aws, root, "destroy", "--yes-delete-data")


def mend(aws: EmbeddedAws) -> None:
    """As the doctor says it to the command line of AWS, and as the template has it."""
    outputs = outputs_of(aws)
    mend_table(aws.client("dynamodb"), outputs["Table"])
    aws.client("dynamodb").update_table(
        TableName=outputs["Table"], SSESpecification={"Enabled": True, "SSEType": "KMS"}
    )
    mend_bucket(aws.client("s3"), outputs["Bucket"], "Bodies")
    mend_bucket(aws.client("s3"), outputs["DeployedBucket"], "Deployed")
