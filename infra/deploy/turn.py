"""Whose turn it is: one deployment of a stage at a time, by an object in the record bucket that only one can make.

Whoever is killed leaves it behind: the same person on the same machine goes on, somebody else after an hour.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from chalicelib.model import instants
from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place, Tell, code_of, who

OLD_MS = 3_600_000
TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


def key_of(stage: str) -> str:
    return f"{stage}/deploying.json"


@contextmanager
def held(place: Place, bucket: str, tell: Tell) -> Iterator[None]:
    """Raises DeployFailed while somebody else has it. Without a bucket there is nothing to keep apart."""
    if not bucket:
        yield
        return
    mine = _take(place, bucket, tell)
    try:
        yield
    finally:
        with suppress(place.client("s3").exceptions.ClientError):
            if _read(place, bucket)[0] == mine:
                place.client("s3").delete_object(Bucket=bucket, Key=key_of(place.stage))


def _take(place: Place, bucket: str, tell: Tell) -> dict[str, Any]:
    mine = {"who": f"{who(place)} on {socket.gethostname()}", "at": instants.now(), "ms": int(time.time() * 1000)}
    if _put(place, bucket, mine, IfNoneMatch="*"):
        return mine
    found, etag = _read(place, bucket)
    if found and found["who"] != mine["who"] and mine["ms"] - found["ms"] < OLD_MS:
        raise DeployFailed(
            f"{found['who']} deploys this stage since {found['at']}: wait for it. If it died: "
            f"`aws s3 rm s3://{bucket}/{key_of(place.stage)}`."
        )
    condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    if not _put(place, bucket, mine, **condition):
        raise DeployFailed("Somebody else began to deploy this stage at this very moment: wait for it, and run again.")
    if found:
        tell(f"an earlier run of {found['who']} since {found['at']} did not come to its end: going on")
    return mine


def _put(place: Place, bucket: str, mine: dict[str, Any], **condition: str) -> bool:
    client = place.client("s3")
    try:
        client.put_object(Bucket=bucket, Key=key_of(place.stage), Body=json.dumps(mine).encode(), **condition)
    except client.exceptions.ClientError as wrong:
        if code_of(wrong) in TAKEN:
            return False
        raise
    return True


def _read(place: Place, bucket: str) -> tuple[dict[str, Any] | None, str]:
    client = place.client("s3")
    try:
        found = client.get_object(Bucket=bucket, Key=key_of(place.stage))
    except client.exceptions.NoSuchKey:
        return None, ""
    return json.loads(found["Body"].read()), found["ETag"]
