"""Checks of key, pepper and the age of secrets. No secret is read: only when each was entered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store.codec import decode
from infra.deploy.asked import Check, Said, Stage, judged, ok, wrong

DAY_MS = 86_400_000


def checks() -> Iterator[Check]:
    yield Check("key of secrets", "Without it no secret of a connection can be read any more.", _key)
    yield Check(
        "rotation of the key", "A key that never changes guards everything that was ever sealed with it.", _rotation
    )
    yield Check("pepper", "Another one, and every customer is a stranger: no identity is found again.", _pepper)
    yield Check("secrets of connections", "A secret that is never changed is known to ever more people.", _connections)
    yield Check("API keys", "A key that is never changed is known to ever more people.", _keys)


def _described(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.ask("kms", "describe_key", KeyId=stage.outputs["KeyAlias"])["KeyMetadata"]
    return found


def _key(stage: Stage) -> Said:
    found = _described(stage)
    state, name = found.get("KeyState"), found["KeyId"]
    if state == "PendingDeletion":
        return wrong(
            f"it is deleted on {found.get('DeletionDate')}",
            f"aws kms cancel-key-deletion --key-id {name}, then enable-key",
        )
    if state != "Enabled":
        return wrong(f"it is {state}", f"aws kms enable-key --key-id {name}")
    if found["Arn"] != stage.outputs.get("KeyArn", found["Arn"]):
        alias = stage.outputs["KeyAlias"]
        return wrong(
            f"{alias} is another key than the stack's",
            f"aws kms update-alias --alias-name {alias} --target-key-id {stage.outputs['KeyArn']}",
        )
    return ok(f"{stage.outputs['KeyAlias']}, on")


def _rotation(stage: Stage) -> Said:
    name = _described(stage)["KeyId"]
    found = stage.ask("kms", "get_key_rotation_status", KeyId=name)["KeyRotationEnabled"]
    return ok("each year") if found else wrong("off", f"aws kms enable-key-rotation --key-id {name}")


def _pepper(stage: Stage) -> Said:
    name = stage.outputs["PepperName"]
    found = stage.ask("secretsmanager", "describe_secret", SecretId=name)
    if found.get("DeletedDate"):
        return wrong(
            f"it goes for ever (deleted {found['DeletedDate']})",
            f"aws secretsmanager restore-secret --secret-id {name}",
        )
    problems = []
    if found.get("RotationEnabled"):
        problems.append("it is rotated")
    versions = [each for each in (found.get("VersionIdsToStages") or {}).values() if each]
    if any("AWSPREVIOUS" in each for each in versions) or found.get("LastRotatedDate"):
        problems.append("it was replaced")
    mend = (
        f"aws secretsmanager cancel-rotate-secret --secret-id {name}; if it was replaced, make the version AWSPREVIOUS the current "
        "one: aws secretsmanager update-secret-version-stage"
    )
    return judged(problems, "never rotated", mend)


def _partition(stage: Stage, name: str) -> list[dict[str, Any]]:
    names: dict[str, Any] = {":pk": {"S": name}}
    found = stage.pages(
        "dynamodb",
        "query",
        "Items",
        TableName=stage.outputs["Table"],
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues=names,
    )
    return [decode(item) for item in found]


def _age(at: str) -> int:
    return (instants.now_ms() - instants.to_ms(at)) // DAY_MS


def _connections(stage: Stage) -> Said:
    known = [msgspec.json.decode(item["b"], type=Connection) for item in _partition(stage, "CONN")]
    ages = {each.id: _age(each.secrets_at or each.created_at) for each in known if each.secrets}
    old = {name: days for name, days in ages.items() if days > stage.secret_days}
    problems = [f"{name}: {days} days" for name, days in sorted(old.items(), key=lambda each: -each[1])[:5]]
    if len(old) > 5:
        problems.append(f"and {len(old) - 5} more")
    mend = "make a new secret at the provider, and enter it: POST /v1/connections/{id}/rotate"
    oldest = f", the oldest {max(ages.values())} days old" if ages else ""
    return judged(problems, f"{len(ages)} connections with secrets{oldest}", mend)


def _keys(stage: Stage) -> Said:
    live = [item for item in _partition(stage, "KEY") if not item.get("revoked")]
    old = [item for item in live if _age(item["at"]) > stage.secret_days]
    problems = [f"{item['sk'][:16]}: {_age(item['at'])} days" for item in old[:5]]
    if not any("admin" in item.get("scopes", []) for item in live):
        return wrong("nobody has an admin key", stage.again)
    return judged(problems, f"{len(live)} live", "POST /v1/keys a new one, then DELETE /v1/keys/{id} the old one")
