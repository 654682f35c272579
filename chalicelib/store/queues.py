"""SQS: send, delete, give back, drain."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from chalicelib.errors import StorageUnavailable
from chalicelib.settings import settings
from chalicelib.store import aws

INBOX, DELIVERIES, JOBS = "inbox", "deliveries", "jobs"
MAX_DELAY = 900


@lru_cache(maxsize=16)
def url(name: str) -> str:
    return str(aws.call("sqs", "get_queue_url", QueueName=settings().queue(name))["QueueUrl"])


def send(name: str, body: str, *, group: str = "", delay: int = 0) -> None:
    """One message, at most 1 MiB. `group` keeps one connection from starving the others. Raises StorageUnavailable
    unless SQS names the message that it took."""
    answer = aws.call("sqs", "send_message", QueueUrl=url(name), MessageBody=body, **_extras(group, delay))
    if not answer.get("MessageId"):
        raise StorageUnavailable("sqs send_message: the answer names no message")


def send_all(name: str, messages: Sequence[tuple[str, str]], delay: int = 0) -> None:
    """(body, group) pairs, ten a request. Raises StorageUnavailable unless all were taken."""
    for start in range(0, len(messages), 10):
        entries = [
            {"Id": str(number), "MessageBody": body, **_extras(group, delay)}
            for number, (body, group) in enumerate(messages[start : start + 10])
        ]
        answer = aws.call("sqs", "send_message_batch", QueueUrl=url(name), Entries=entries)
        taken = len(answer.get("Successful", []))
        if taken < len(entries):
            raise StorageUnavailable(f"sqs send_message_batch: {taken} of {len(entries)} taken")


def _extras(group: str, delay: int) -> dict[str, Any]:
    extras: dict[str, Any] = {"MessageGroupId": group} if group else {}
    return extras | ({"DelaySeconds": min(delay, MAX_DELAY)} if delay > 0 else {})


def delete(name: str, handles: Sequence[str]) -> None:
    for start in range(0, len(handles), 10):
        entries = [
            {"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles[start : start + 10])
        ]
        aws.call("sqs", "delete_message_batch", QueueUrl=url(name), Entries=entries)


def give_back(name: str, handle: str, seconds: int) -> None:
    """Make a message in hand visible again after `seconds`, sooner than the queue's own timeout."""
    aws.call("sqs", "change_message_visibility", QueueUrl=url(name), ReceiptHandle=handle, VisibilityTimeout=seconds)


def drain(name: str, limit: int = 10) -> list[tuple[str, str]]:
    """Up to ten (body, handle) from a queue, without waiting."""
    answer = aws.call("sqs", "receive_message", QueueUrl=url(name), MaxNumberOfMessages=min(limit, 10))
    return [(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", [])]


def depth(name: str) -> tuple[int, int]:
    """(visible, in flight) messages, approximate."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = aws.call("sqs", "get_queue_attributes", QueueUrl=url(name), AttributeNames=names)
    counts = answer.get("Attributes", {})
    return int(counts.get(names[0], 0)), int(counts.get(names[1], 0))
