"""Lambda's event shapes, and what a handler's answer means for a batch.

SQS: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
Streams: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Record = dict[str, Any]


def sqs_record(message: Mapping[str, Any], arn: str, region: str) -> Record:
    """A message of botocore's `receive_message` as Lambda gives it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        found["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        found["binaryValue"] = _text(value["BinaryValue"])
    return found


def stream_record(record: Mapping[str, Any], arn: str) -> Record:
    """A record of botocore's `get_records` as Lambda gives it: bytes as base64 text, time as seconds."""
    change = dict(record["dynamodb"])
    for image in ("Keys", "NewImage", "OldImage"):
        if image in change:
            change[image] = {name: _attribute(value) for name, value in change[image].items()}
    at = change.get("ApproximateCreationDateTime")
    if isinstance(at, datetime):
        change["ApproximateCreationDateTime"] = at.timestamp()
    found = {name: record[name] for name in ("eventID", "eventName", "eventVersion", "eventSource", "awsRegion")}
    who = {"userIdentity": record["userIdentity"]} if record.get("userIdentity") else {}
    return found | who | {"dynamodb": change, "eventSourceARN": arn}


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """{"B": b"…"} → {"B": "base64"}, at any depth; other types are as on the wire already."""
    (kind, content), *_ = value.items()
    if kind == "B":
        content = _text(content)
    elif kind == "BS":
        content = [_text(each) for each in content]
    elif kind == "L":
        content = [_attribute(each) for each in content]
    elif kind == "M":
        content = {name: _attribute(each) for name, each in content.items()}
    return {kind: content}


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def scheduled_event(name: str, region: str) -> Record:
    """What EventBridge sends for a rule with a schedule."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [f"arn:aws:events:{region}:000000000000:rule/{name}"],
        "detail": {},
    }


def failures(answer: Any, ids: Sequence[str], partial: bool) -> set[str]:
    """The ids of a batch that failed although the handler returned.

    With the partial-batch flag AWS reads `batchItemFailures`; an unknown or empty id there, or
    an answer of another shape, fails the whole batch. Without the flag it reads nothing.
    """
    if not partial or not answer:
        return set()
    if not isinstance(answer, Mapping):
        return set(ids)
    listed = answer.get("batchItemFailures") or []
    named = {str(entry.get("itemIdentifier")) if isinstance(entry, Mapping) else "" for entry in listed}
    return named if named <= set(ids) else set(ids)
