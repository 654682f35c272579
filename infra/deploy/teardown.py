"""A stage taken down: functions and API at once, the data only by `--yes-delete-data`.

The stack goes last: as long as it is there, a run that was stopped finds what is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.deploy import environment, functions, record, stack
from infra.deploy.place import FUNCTIONS, Place, Tell, code_of

WAIT_DAYS = 30
"""Pepper and key can be taken back for so long."""
GONE = frozenset(
    {"ResourceNotFoundException", "NoSuchBucket", "NotFoundException", "404", "QueueDoesNotExist", "NoSuchEntity"}
)


def functions_and_api(place: Place, dry: bool, tell: Tell) -> str:
    """By Chalice, from a record that knows only what is there."""
    config, outputs = environment.read(place.root), stack.outputs_of(stack.look(place))
    bucket = outputs.get("DeployedBucket", "")
    here, kept = record.local(place), record.remote(place, bucket)
    api = record.choose(record.apis(place, here, kept), new=True)
    known = record.merged((kept, here), record.seen(place, config, outputs, api))
    names = [entry["name"] for entry in known["resources"]]
    if dry or not names:
        return f"would delete {', '.join(names)}" if names else "unchanged: there are none"
    record.keep(place, bucket, known)
    functions.chalice(place, ["delete", "--stage", place.stage], tell)
    record.keep(place, bucket, record.local(place) or record.merged((), []))
    return f"deleted {len(names)} resources"


def remains(place: Place) -> str:
    """For a person: what is left, and how it goes."""
    names = ", ".join(_names(place).values())
    return (
        f"still there, with all data: the stack {place.stack} ({names}), and the logs of {len(FUNCTIONS)} functions. "
        f"`make deploy STAGE={place.stage}` brings functions and an API back to it; without a custom domain under a new URL. "
        f"`make destroy STAGE={place.stage} YES_DELETE_DATA=1` deletes it too."
    )


def _names(place: Place) -> dict[str, str]:
    return {
        "table": f"draad-{place.stage}",
        "bodies": f"draad-{place.stage}-bodies-{place.account}",
        "deployed": f"draad-{place.stage}-deployed-{place.account}",
        "pepper": f"draad-{place.stage}-pepper",
        "key": f"alias/draad-{place.stage}",
    }


def data(place: Place, dry: bool, tell: Tell) -> str:
    """Table, bodies, pepper, key, record, and the stack: each again is harmless."""
    names = _names(place)
    if dry:
        return "would delete " + ", ".join(names.values()) + f" and the stack {place.stack}"
    for what, step in _steps(place, names).items():
        done = _unless_gone(step)
        tell(f"{what}: {'deleted' if done else 'was gone'}")
    if stack.look(place):
        place.client("cloudformation").delete_stack(StackName=place.stack)
        place.client("cloudformation").get_waiter("stack_delete_complete").wait(StackName=place.stack)
    record.path_of(place).unlink(missing_ok=True)
    return (
        f"deleted. The pepper {names['pepper']} and the key can be taken back for {WAIT_DAYS} days, and a stage of this name "
        "can be made again only after that; AWS keeps a backup of the table for 35."
    )


def _steps(place: Place, names: Mapping[str, str]) -> dict[str, Callable[[], None]]:
    return {
        names["table"]: lambda: _table(place, names["table"]),
        names["bodies"]: lambda: _bucket(place, names["bodies"]),
        names["pepper"]: lambda: _pepper(place, names["pepper"]),
        names["key"]: lambda: _key(place, names["key"]),
        names["deployed"]: lambda: _bucket(place, names["deployed"]),
    }


def _unless_gone(step: Callable[[], None]) -> bool:
    from botocore.exceptions import ClientError

    try:
        step()
    except ClientError as wrong:
        if code_of(wrong) not in GONE:
            raise
        return False
    return True


def _table(place: Place, name: str) -> None:
    client = place.client("dynamodb")
    if client.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
        client.update_table(TableName=name, DeletionProtectionEnabled=False)
        client.get_waiter("table_exists").wait(TableName=name)
    client.delete_table(TableName=name)
    client.get_waiter("table_not_exists").wait(TableName=name)


def _bucket(place: Place, name: str) -> None:
    """Every version, then the bucket."""
    client = place.client("s3")
    for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        if objects:
            client.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
    client.delete_bucket(Bucket=name)


def _pepper(place: Place, name: str) -> None:
    client = place.client("secretsmanager")
    if "DeletedDate" not in client.describe_secret(SecretId=name):
        client.delete_secret(SecretId=name, RecoveryWindowInDays=WAIT_DAYS)


def _key(place: Place, alias: str) -> None:
    client = place.client("kms")
    found: dict[str, Any] = client.describe_key(KeyId=alias)["KeyMetadata"]
    if found["KeyState"] != "PendingDeletion":
        client.schedule_key_deletion(KeyId=found["KeyId"], PendingWindowInDays=WAIT_DAYS)
