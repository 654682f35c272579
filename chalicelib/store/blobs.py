"""S3: bodies too large for a queue message or a table item."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.errors import StorageUnavailable
from chalicelib.settings import settings
from chalicelib.store import aws


def put(key: str, raw: bytes) -> None:
    aws.call("s3", "put_object", Bucket=settings().bucket, Key=key, Body=raw)


def inbox_key(connection: str, arrival: str) -> str:
    """Where the hook leaves a body too large for a message."""
    return f"inbox/{connection}/{arrival}"


def delete(keys: Sequence[str]) -> None:
    """Gone, whether or not they were there; a thousand at most. Raises StorageUnavailable unless all are."""
    wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
    answer = aws.call("s3", "delete_objects", Bucket=settings().bucket, Delete=wanted)
    if answer.get("Errors"):
        raise StorageUnavailable(f"s3 delete_objects: {len(answer['Errors'])} left")


def get(key: str) -> bytes | None:
    """The bytes, or None when the object is gone (expired or erased)."""
    try:
        answer = aws.call("s3", "get_object", Bucket=settings().bucket, Key=key)
    except aws.AwsRefused as refused:
        if refused.code == "NoSuchKey":
            return None
        raise StorageUnavailable(f"s3 get_object: {refused.code}") from refused
    return bytes(answer["Body"].read())
