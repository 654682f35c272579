"""Every AWS call of a function, as IAM sees it: action, resource, and what conditions look at.

`Recorder` listens on the botocore sessions of this process (`before-parameter-build`, `after-call`), so
that no call can go past it, whichever module makes it. Names follow the Service Authorization Reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import botocore.session

ACCOUNT, REGION = "123456789012", "eu-west-1"
"""moto's, and that of the tests."""
KEY = re.compile(r"\s*(\S+)\s*=\s*(:\w+)")
IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
IN_BATCHES = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}


@dataclass(frozen=True, order=True)
class Call:
    """`keys`: condition key → its values in this request; one that is not there has no entry."""

    function: str
    action: str
    resource: str
    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __str__(self) -> str:
        told = "".join(f", {name} {' '.join(values)}" for name, values in self.keys)
        return f"{self.function} calls {self.action} on {self.resource}{told}"

    @property
    def context(self) -> dict[str, tuple[str, ...]]:
        return dict(self.keys)


@dataclass
class Recorder:
    """`running`: the function whose code runs now; calls made while none runs are the test's own. `troubles`: calls
    that nothing here can tell, kept because the function that made them survives our error."""

    running: str = ""
    calls: set[Call] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)

    @contextmanager
    def function(self, name: str) -> Iterator[None]:
        assert not self.running, f"{name} begins while {self.running} runs"
        self.running = name
        try:
            yield
        finally:
            self.running = ""

    def watch(self, session: botocore.session.Session) -> botocore.session.Session:
        session.register("before-parameter-build", self._asked)
        session.register("after-call", self._answered)
        return session

    def _asked(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["recorded"] = (self.running, dict(params))

    def _answered(self, parsed: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
        function, params = context["recorded"]
        service = model.service_model.service_name
        try:
            found = authorised(service, model.name, params, parsed) if function else []
        except Exception as wrong:
            self.troubles.append(f"{function} calls {model.name} of {service}: {wrong!r}")
            raise
        for action, resource, keys in found:
            told = tuple(sorted((name, tuple(values)) for name, values in keys.items()))
            self.calls.add(Call(function, action, resource, told))


@contextmanager
def recording() -> Iterator[Recorder]:
    """Watches each session that is made from now on."""
    recorder, make = Recorder(), botocore.session.get_session
    with patch.object(botocore.session, "get_session", lambda *args, **rest: recorder.watch(make(*args, **rest))):
        yield recorder


Asked = tuple[str, str, dict[str, list[str]]]
"""Action, resource, condition keys."""


def authorised(service: str, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Asked]:
    """What IAM decides on before the service does its work. Raises KeyError for a service that is not known here:
    a new one needs its line and its policy."""
    return SERVICES[service](operation, params, answer)


def _dynamodb(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Asked]:
    if operation in ("BatchGetItem", "BatchWriteItem"):
        return [
            (f"dynamodb:{operation}", _table(name), {"dynamodb:LeadingKeys": sorted(_of_batch(wanted))})
            for name, wanted in params["RequestItems"].items()
        ]
    if operation == "TransactWriteItems":
        parts = [part for entry in params["TransactItems"] for part in entry.items()]
        return [_one(IN_TRANSACTION[kind], part) for kind, part in parts]
    if operation == "Query":
        return [_query(params)]
    if operation == "Scan":
        return [("dynamodb:Scan", _table(params["TableName"]), {})]
    return [_one(operation, params)]


def _one(operation: str, params: Mapping[str, Any]) -> Asked:
    key = params["Item"] if "Item" in params else params["Key"]
    return f"dynamodb:{operation}", _table(params["TableName"]), {"dynamodb:LeadingKeys": [key["pk"]["S"]]}


def _query(params: Mapping[str, Any]) -> Asked:
    resource = _table(params["TableName"]) + (f"/index/{params['IndexName']}" if "IndexName" in params else "")
    found = KEY.match(params["KeyConditionExpression"])
    assert found, params["KeyConditionExpression"]
    name = params.get("ExpressionAttributeNames", {}).get(found[1], found[1])
    assert name == ("gpk" if "IndexName" in params else "pk"), params["KeyConditionExpression"]
    return "dynamodb:Query", resource, {"dynamodb:LeadingKeys": [params["ExpressionAttributeValues"][found[2]]["S"]]}


def _of_batch(wanted: Any) -> set[str]:
    if isinstance(wanted, Mapping):
        return {key["pk"]["S"] for key in wanted["Keys"]}
    rows = [(entry.get("PutRequest") or entry["DeleteRequest"]) for entry in wanted]
    return {(row["Item"] if "Item" in row else row["Key"])["pk"]["S"] for row in rows}


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


def _streams(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Asked]:
    if operation == "ListStreams":
        return [("dynamodb:ListStreams", "*", {})]
    arn = params.get("StreamArn") or _table("draad-test") + "/stream/2026-11-26T00:00:00.000"
    return [(f"dynamodb:{operation}", arn, {})]


def _sqs(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Asked]:
    name = params.get("QueueName") or params["QueueUrl"].rpartition("/")[2]
    return [(f"sqs:{IN_BATCHES.get(operation, operation)}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", {})]


def _s3(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Asked]:
    """S3 tells somebody that an object is not there only if he may list the bucket; anybody else is refused."""
    bucket, own = (
        f"arn:aws:s3:::{params['Bucket']}",
        {"aws:ResourceAccount": [ACCOUNT], "aws:PrincipalAccount": [ACCOUNT]},
    )
    if operation == "DeleteObjects":
        return [("s3:DeleteObject", f"{bucket}/{each['Key']}", own) for each in params["Delete"]["Objects"]]
    asked: list[Asked] = [(f"s3:{operation}", f"{bucket}/{params['Key']}", own)]
    absent = answer.get("Error", {}).get("Code") == "NoSuchKey"
    return [*asked, ("s3:ListBucket", bucket, own)] if absent else asked


def _kms(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Asked]:
    about = params.get("EncryptionContext", {})
    keys = {f"kms:EncryptionContext:{name}": [value] for name, value in about.items()}
    keys |= {"kms:EncryptionContextKeys": sorted(about), "kms:ResourceAliases": _aliases(answer["KeyId"])}
    if str(params.get("KeyId", "")).startswith("alias/"):
        keys["kms:RequestAlias"] = [params["KeyId"]]
    return [(f"kms:{operation}", answer["KeyId"], keys)]


def _aliases(key: str) -> list[str]:
    from moto.kms.models import kms_backends

    return sorted(kms_backends[ACCOUNT][REGION].keys[key.rpartition("/")[2]].aliases)


def _secretsmanager(operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Asked]:
    return [(f"secretsmanager:{operation}", answer["ARN"], {"secretsmanager:SecretId": [params["SecretId"]]})]


SERVICES = {
    "dynamodb": _dynamodb,
    "dynamodbstreams": _streams,
    "sqs": _sqs,
    "s3": _s3,
    "kms": _kms,
    "secretsmanager": _secretsmanager,
}
