"""The one door to AWS: botocore clients made on first use, every call seen by observers.

Observers are how the bench counts requests and units and how tests kill a worker between any
two storage calls; in production there are none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chalicelib.errors import StorageUnavailable
from chalicelib.settings import settings

if TYPE_CHECKING:
    from botocore.client import BaseClient

Observer = Callable[[str, str, dict[str, Any], dict[str, Any] | None], None]
"""(service, operation, parameters, answer); answer is None before the call is sent."""

observers: list[Observer] = []
_clients: dict[str, BaseClient] = {}
_session: Any = None

REFUSALS = frozenset(
    {
        "ConditionalCheckFailedException",
        "TransactionCanceledException",
        "TransactionConflictException",
        "NoSuchKey",
        "ResourceNotFoundException",
        "InvalidCiphertextException",
        "QueueDoesNotExist",
        "ReceiptHandleIsInvalid",
        "TransactionInProgressException",
    }
)
"""AWS error codes that are answers, not outages: they reach the caller as AwsRefused."""
DOCUMENTS = frozenset({"dynamodb", "sqs", "kms", "secretsmanager"})
"""Services that answer with a JSON document."""


class AwsRefused(Exception):
    """AWS understood and said no. `code` is AWS's error code; `answer` its whole response."""

    def __init__(self, code: str, answer: dict[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer


def call(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """One AWS request. `operation` is the client's method name (`put_item`).

    Raises AwsRefused for the codes in REFUSALS and StorageUnavailable for everything else that
    goes wrong at AWS or on the way to it.
    """
    for observe in observers:
        observe(service, operation, parameters, None)
    answer = _send(service, operation, parameters)
    for observe in observers:
        observe(service, operation, parameters, answer)
    return answer


def _send(service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(client(service), operation)(**parameters)
    except ClientError as wrong:
        code = wrong.response.get("Error", {}).get("Code", "")
        code = code.rpartition(".")[2]
        if code in REFUSALS:
            raise AwsRefused(code, dict(wrong.response)) from wrong
        raise StorageUnavailable(f"{service} {operation}: {code}") from wrong
    except BotoCoreError as wrong:
        raise StorageUnavailable(f"{service} {operation}: {type(wrong).__name__}") from wrong
    if service in DOCUMENTS and _damaged(answer):
        raise StorageUnavailable(f"{service} {operation}: the answer was damaged on its way")
    return answer


def _damaged(answer: dict[str, Any]) -> bool:
    """The client hands on what it could not read as an empty answer, after its last try even where the checksum
    told it so: an item that is there would seem absent. What is truly empty is `{}` or nothing."""
    if answer.keys() - {"ResponseMetadata"}:
        return False
    length = str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-length", ""))
    return length.isdigit() and int(length) > len("{}")


def client(service: str) -> BaseClient:
    """The botocore client of a service, one a process. AWS_ENDPOINT_URL points it elsewhere."""
    if service not in _clients:
        _clients[service] = _make(service)
    return _clients[service]


def _make(service: str) -> BaseClient:
    global _session
    import botocore.session
    from botocore.config import Config

    if _session is None:
        _session = botocore.session.get_session()
    config = Config(
        retries={"mode": "standard", "max_attempts": 4},
        connect_timeout=2,
        read_timeout=10,
        max_pool_connections=32,
        parameter_validation=False,
        user_agent="draad",
    )
    made: BaseClient = _session.create_client(
        service, region_name=settings().region, endpoint_url=os.environ.get("AWS_ENDPOINT_URL"), config=config
    )
    return made


def forget_clients() -> None:
    """For tests that change the endpoint."""
    _clients.clear()
