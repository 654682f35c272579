"""The two AWS that tests run on come from the one template."""

from __future__ import annotations

import pytest

from chalicelib.store import keys
from chalicelib.store.table import DynamoTable, Put
from infra.local.embedded import REFUSES, EmbeddedAws, ensure_stack


def uses_everything(env: dict[str, str]) -> None:
    from chalicelib.store import aws, blobs, queues, secrets

    table = DynamoTable()
    assert table.write(Put({"pk": "a", "sk": "b", "gpk": "g", "gsk": "1", "st": "open"}))
    assert table.query("g", index=True).items[0]["st"] == "open"
    assert keys.find(table, keys.mint(table, "test", ("read",))[1]) is not None
    queues.send("inbox", "hello")
    assert queues.drain("inbox")[0][0] == "hello"
    blobs.put("inbox/1", b"\xff")
    assert blobs.get("inbox/1") == b"\xff"
    assert len(secrets.pepper()) == 64
    assert secrets.decrypt("c", "n", secrets.encrypt("c", "n", "s")) == "s"
    assert aws.call("dynamodb", "describe_table", TableName=env["DRAAD_TABLE"])["Table"]["LatestStreamArn"]


def test_memory_aws(memory_aws: dict[str, str]) -> None:
    uses_everything(memory_aws)


@pytest.mark.embedded
def test_a_live_stage(live_stage: dict[str, str]) -> None:
    uses_everything(live_stage)


@pytest.mark.embedded
def test_a_second_time_the_stack_is_left_alone_and_a_changed_parameter_keeps_the_data(
    embedded_aws: EmbeddedAws, live_stage: dict[str, str]
) -> None:
    DynamoTable().write(Put({"pk": "a", "sk": "b"}))
    stage = live_stage["DRAAD_STAGE"]
    assert embedded_aws.stack(stage) == live_stage
    assert embedded_aws.stack(stage, visibility_seconds=30) == live_stage
    assert DynamoTable().get(("a", "b")) == {"pk": "a", "sk": "b"}
    sqs = embedded_aws.client("sqs")
    url = sqs.get_queue_url(QueueName=f"draad-{stage}-inbox")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert found["Attributes"]["VisibilityTimeout"] == "30"
    parameters = {"Stage": stage, "VisibilitySeconds": "30", **REFUSES}
    assert (
        ensure_stack(embedded_aws.client("cloudformation"), f"draad-{stage}", parameters)["Table"] == f"draad-{stage}"
    )
