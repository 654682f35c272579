"""AWS answered at the HTTP layer: botocore signs, serializes and parses as ever, and no socket is opened.

Used by the parent and, alone, by fresh processes: so nothing is imported here that a hook does not load.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.client import BaseClient

Reply = Callable[[dict[str, Any]], dict[str, Any]]
SENT = {"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": "0" * 32}
QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/000000000000/draad-test-inbox"


class Wire:
    """Canned replies by operation (`GetItem`); every other operation is an error. `sent` counts requests."""

    def __init__(self, replies: Mapping[str, Reply]) -> None:
        self.replies = replies
        self.sent: list[str] = []

    def attach(self, client: BaseClient) -> BaseClient:
        client.meta.events.register("before-send", self.answer)
        return client

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        from botocore.awsrequest import AWSResponse

        operation = _text(request.headers["X-Amz-Target"]).rpartition(".")[2]
        self.sent.append(operation)
        body = json.dumps(self.replies[operation](json.loads(request.body))).encode()
        headers = {"content-type": "application/x-amz-json-1.0", "content-length": str(len(body))}
        return AWSResponse(request.url, 200, headers, _Raw(body))


class _Raw(io.BytesIO):
    """What botocore reads an answer from."""

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self.read()

    def release_conn(self) -> None:
        """Nothing to give back."""


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def hub_replies(connection: bytes, secrets: Mapping[str, str], pepper: str) -> dict[str, Reply]:
    """What a hook asks of AWS: the pepper, its connection, its secrets, the queue, the send.

    `connection`: the stored connection as JSON; `secrets`: ciphertext (base64) → plain value.
    """
    item = {"pk": {"S": "CONN"}, "sk": {"S": ""}, "ver": {"N": "1"}, "b": {"B": base64.b64encode(connection).decode()}}
    return {
        "GetSecretValue": lambda asked: {"SecretString": pepper},
        "GetItem": lambda asked: {"Item": item},
        "Decrypt": lambda asked: {"Plaintext": base64.b64encode(secrets[asked["CiphertextBlob"]].encode()).decode()},
        "GetQueueUrl": lambda asked: {"QueueUrl": QUEUE_URL},
        "SendMessage": lambda asked: SENT,
    }
