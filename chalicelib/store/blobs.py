"""S3: bodies too large for a queue message or a table item."""

from __future__ import annotations

from chalicelib.errors import StorageUnavailable
from chalicelib.settings import settings
from chalicelib.store import aws


def put(key: str, raw: bytes) -> None:
    aws.call("s3", "put_object", Bucket=settings().bucket, Key=key, Body=raw)


def delete(key: str) -> None:
    """Gone, whether or not it was there."""
    aws.call("s3", "delete_object", Bucket=settings().bucket, Key=key)


def get(key: str) -> bytes | None:
    """The bytes, or None when the object is gone (expired or erased)."""
    try:
        answer = aws.call("s3", "get_object", Bucket=settings().bucket, Key=key)
    except aws.AwsRefused as refused:
        if refused.code == "NoSuchKey":
            return None
        raise StorageUnavailable(f"s3 get_object: {refused.code}") from refused
    return bytes(answer["Body"].read())
