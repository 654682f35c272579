"""What AWS says when something goes wrong: bodies, headers and names as its services give them.

DynamoDB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
SQS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
KMS: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "DynamoDBStreams_20120810": "streams",
    "AmazonSQS": "sqs",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}
"""By the first half of X-Amz-Target."""
TABLE = "com.amazonaws.dynamodb.v20120810#"
QUEUE = "com.amazonaws.sqs#"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Error:
    """One refusal. `query`: what SQS adds for clients of its older protocol."""

    status: int
    code: str
    message: str
    query: str = ""


THROTTLED: dict[str, tuple[Error, ...]] = {
    "dynamodb": (
        Error(
            400,
            TABLE + "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. "
            "Consider increasing your provisioning level with the UpdateTable API.",
        ),
        Error(
            400,
            "com.amazon.coral.availability#ThrottlingException",
            "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your "
            "table or index so please try again shortly.",
        ),
        Error(400, TABLE + "RequestLimitExceeded", "Throughput exceeds the current throughput limit for your account."),
    ),
    "streams": (
        Error(400, TABLE + "LimitExceededException", "Too many operations for a given subscriber"),
        Error(400, "com.amazon.coral.availability#ThrottlingException", "Rate exceeded"),
    ),
    "sqs": (
        Error(400, QUEUE + "RequestThrottled", "Request is throttled.", "RequestThrottled;Sender"),
        Error(400, "com.amazon.coral.availability#ThrottlingException", "Rate exceeded", "ThrottlingException;Sender"),
    ),
    "kms": (Error(400, "ThrottlingException", "You have exceeded the rate at which you may call KMS."),),
    "secretsmanager": (Error(400, "ThrottlingException", "Rate exceeded"),),
    "s3": (Error(503, "SlowDown", "Please reduce your request rate."),),
}
BROKEN: dict[str, tuple[Error, ...]] = {
    "dynamodb": (
        Error(500, TABLE + "InternalServerError", "The request could not be completed because of an internal failure."),
        Error(503, "com.amazon.coral.service#ServiceUnavailableException", "The service is currently unavailable."),
    ),
    "streams": (Error(500, TABLE + "InternalServerError", "Internal server error"),),
    "sqs": (
        Error(
            500,
            "com.amazon.coral.service#InternalFailure",
            "We encountered an internal error. Please try again.",
            "InternalFailure;Receiver",
        ),
        Error(
            503,
            "com.amazon.coral.service#ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
            "ServiceUnavailable;Receiver",
        ),
    ),
    "kms": (Error(500, "KMSInternalException", "The request was rejected because an internal exception occurred."),),
    "secretsmanager": (Error(500, "InternalServiceError", "An error occurred on the server side."),),
    "s3": (Error(500, "InternalError", "We encountered an internal error. Please try again."),),
}
EXPIRED = Error(400, TABLE + "ExpiredIteratorException", "Iterator expired. The iterator was created too long ago.")
CONFLICT = Error(400, TABLE + "TransactionConflictException", "Transaction is ongoing for the item")


def named(target: str, method: str) -> str:
    """`DynamoDB_20120810.PutItem` → `dynamodb.PutItem`; S3 has no targets: `s3.PUT`."""
    service, _, operation = target.partition(".")
    return f"{SERVICES[service]}.{operation}" if service in SERVICES else f"s3.{method}"


def service_of(call: str) -> str:
    return call.partition(".")[0]


def refusal(service: str, error: Error) -> Answer:
    """As it goes over the wire."""
    if service == "s3":
        told = f"<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>{error.code}</Code><Message>{error.message}</Message>"
        return Answer(
            error.status, f"{told}<RequestId>{_id()}</RequestId></Error>".encode(), {"Content-Type": "application/xml"}
        )
    word = "message" if service in ("dynamodb", "streams", "sqs") else "Message"
    return _json(error.status, {"__type": error.code, word: error.message}, service, error.query)


def cancelled(request: Document) -> Answer:
    """A transaction that met another one on its first item."""
    reasons = [{"Code": "TransactionConflict", "Message": CONFLICT.message}]
    reasons += [{"Code": "None"}] * (len(request["TransactItems"]) - 1)
    codes = ", ".join(each["Code"] for each in reasons)
    told = {
        "__type": TABLE + "TransactionCanceledException",
        "message": f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        "CancellationReasons": reasons,
    }
    return _json(400, told, "dynamodb")


def _json(status: int, told: Document, service: str, query: str = "") -> Answer:
    body = json.dumps(told, separators=(",", ":")).encode()
    version = "1.1" if service in ("kms", "secretsmanager") else "1.0"
    headers = {"Content-Type": f"application/x-amz-json-{version}", "x-amzn-RequestId": _id()}
    if service in ("dynamodb", "streams"):
        headers["x-amz-crc32"] = str(zlib.crc32(body))
    if query:
        headers["x-amzn-query-error"] = query
    return Answer(status, body, headers)


def _id() -> str:
    return str(uuid.uuid4())


def again(answer: Answer, told: Document) -> Answer:
    """The same answer with another document in it."""
    body = json.dumps(told, separators=(",", ":")).encode()
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in ("x-amz-crc32",)}
    return Answer(answer.status, body, headers | {"x-amz-crc32": str(zlib.crc32(body))})


def garbled(answer: Answer) -> Answer:
    """One byte is another one; its checksum is that of what was meant."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "x-amz-crc32"}
    spoiled = bytes([answer.body[0] ^ 1]) + answer.body[1:] if answer.body else b"x"
    return Answer(answer.status, spoiled, headers | {"x-amz-crc32": str(zlib.crc32(answer.body))})


@dataclass(frozen=True)
class Halves:
    """A batch of which AWS does the first part: `asked` for it, and how the answer `tells` of the rest."""

    asked: Document
    tells: Callable[[Document], Document]


def split(call: str, request: Document, keep: float) -> Halves | None:
    """Of a batch with two entries or more. `keep`: the share that is done, at least nothing and never all."""
    make = _SPLITS.get(call)
    return make(request, keep) if make else None


def _kept(entries: list[Any], keep: float) -> int:
    return min(int(len(entries) * keep), len(entries) - 1)


def _items(request: Document, keep: float) -> Halves | None:
    ((table, entries),) = request["RequestItems"].items()
    count = _kept(entries, keep)
    if not count:
        return None
    rest = {table: entries[count:]}
    return Halves(request | {"RequestItems": {table: entries[:count]}}, lambda told: told | {"UnprocessedItems": rest})


def _keys(request: Document, keep: float) -> Halves | None:
    ((table, wanted),) = request["RequestItems"].items()
    count = _kept(wanted["Keys"], keep)
    if not count:
        return None
    rest = {table: wanted | {"Keys": wanted["Keys"][count:]}}
    asked = request | {"RequestItems": {table: wanted | {"Keys": wanted["Keys"][:count]}}}
    return Halves(asked, lambda told: told | {"UnprocessedKeys": rest})


def _entries(request: Document, keep: float) -> Halves | None:
    entries = request["Entries"]
    count = _kept(entries, keep)
    if not count:
        return None
    failed = [
        {"Id": each["Id"], "SenderFault": False, "Code": "InternalError", "Message": "Internal error"}
        for each in entries[count:]
    ]
    return Halves(
        request | {"Entries": entries[:count]}, lambda told: told | {"Failed": [*told.get("Failed", []), *failed]}
    )


_SPLITS: dict[str, Callable[[Document, float], Halves | None]] = {
    "dynamodb.BatchWriteItem": _items,
    "dynamodb.BatchGetItem": _keys,
    "sqs.SendMessageBatch": _entries,
    "sqs.DeleteMessageBatch": _entries,
}


def later(call: str, request: Document, seconds: int) -> Document:
    """The same messages, seen only after `seconds`."""
    if call == "sqs.SendMessage":
        return request | {"DelaySeconds": max(seconds, int(request.get("DelaySeconds", 0)))}
    entries = [each | {"DelaySeconds": max(seconds, int(each.get("DelaySeconds", 0)))} for each in request["Entries"]]
    return request | {"Entries": entries}
