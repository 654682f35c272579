"""`python -m infra.restore table|copy --stage prod`: a stage's table as it was, and what it lost back into it. See docs/restore.md.

Both commands find what an earlier run did and go on from there. Nothing is ever written over: `copy` puts back what is
absent, and leaves out what expired and whoever was erased since.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from chalicelib.store.codec import decode

Wire = dict[str, Any]
Tell = Callable[[str], None]
PAUSE = 10.0
"""Seconds between two looks at a table that is being made."""
PAGE = 100


class RestoreFailed(Exception):
    """What a person can mend."""


def source_of(stage: str) -> str:
    return f"draad-{stage}"


def target_of(stage: str, moment: datetime) -> str:
    """The same for the same moment, so that a second run finds the first one's table."""
    return f"{source_of(stage)}-{moment:%Y%m%dt%H%M%S}"


def table(client: Any, stage: str, moment: datetime, tell: Tell, pause: float = PAUSE) -> str:
    """A new table as the stage's was at `moment`, set as it must be; its name."""
    name = target_of(stage, moment)
    if _described(client, name) is None:
        _ask(client, stage, moment, name)
        tell(f"{name}: asked for, as of {moment:%Y-%m-%d %H:%M:%S} UTC; twenty minutes and more, whatever its size")
    while _described(client, name)["TableStatus"] != "ACTIVE":
        time.sleep(pause)
    for what, done in (
        ("stream", _stream(client, name)),
        ("TTL", _expiry(client, name)),
        ("point-in-time recovery", _recovery(client, name)),
        ("deletion protection", _protection(client, name)),
    ):
        tell(f"{name}: {what} {'set' if done else 'is set'}")
        while _described(client, name)["TableStatus"] != "ACTIVE":
            time.sleep(pause)
    return name


def _ask(client: Any, stage: str, moment: datetime, name: str) -> None:
    try:
        client.restore_table_to_point_in_time(
            SourceTableName=source_of(stage),
            TargetTableName=name,
            RestoreDateTime=moment,
            BillingModeOverride="PAY_PER_REQUEST",
        )
    except client.exceptions.ClientError as gone:
        if not gone.response["Error"]["Code"].endswith("TableNotFoundException"):
            raise
        raise RestoreFailed(
            f"{source_of(stage)} is gone: AWS keeps a last backup of it for 35 days. `aws dynamodb list-backups --backup-type SYSTEM` "
            f"names it; `aws dynamodb restore-table-from-backup --target-table-name {source_of(stage)}` makes it anew under its own name."
        ) from gone


def _described(client: Any, name: str) -> Any:
    try:
        return client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return None


def _stream(client: Any, name: str) -> bool:
    if _described(client, name).get("StreamSpecification", {}).get("StreamEnabled"):
        return False
    client.update_table(
        TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    )
    return True


def _expiry(client: Any, name: str) -> bool:
    found = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        return False
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "x"})
    return True


def _recovery(client: Any, name: str) -> bool:
    found = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    if found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") == "ENABLED":
        return False
    client.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    return True


def _protection(client: Any, name: str) -> bool:
    if _described(client, name).get("DeletionProtectionEnabled"):
        return False
    client.update_table(TableName=name, DeletionProtectionEnabled=True)
    return True


class Counts:
    """What became of the items."""

    def __init__(self) -> None:
        self.looked = self.put = self.there = self.expired = self.erased = 0

    def __str__(self) -> str:
        return (
            f"{self.looked} looked at: {self.put} put back, {self.there} there already, {self.expired} expired since, "
            f"{self.erased} of somebody who was erased since"
        )


def copy(client: Any, source: str, stage: str, tell: Tell, dry: bool = False, prefix: str = "") -> Counts:
    """Put each item of `source` that the stage's table lacks into it. Again, it finds them there."""
    target, counts = source_of(stage), Counts()
    erased = Erased(client, target)
    for page in client.get_paginator("scan").paginate(TableName=source, ConsistentRead=True, Limit=PAGE):
        for item in page["Items"]:
            if item["pk"]["S"].startswith(prefix):
                _one(client, target, item, erased, counts, dry)
        tell(str(counts))
    return counts


def _one(client: Any, target: str, item: Wire, erased: Erased, counts: Counts, dry: bool) -> None:
    counts.looked += 1
    if "x" in item and int(item["x"]["N"]) <= time.time():
        counts.expired += 1
    elif client.get_item(TableName=target, Key=_key(item), ConsistentRead=True).get("Item"):
        counts.there += 1
    elif any(map(erased.is_so, nodes_of(item))):
        counts.erased += 1
    elif dry or _put(client, target, item):
        counts.put += 1
    else:
        counts.there += 1


def _key(item: Wire) -> Wire:
    return {"pk": item["pk"], "sk": item["sk"]}


def _put(client: Any, target: str, item: Wire) -> bool:
    """False: somebody wrote it a moment ago."""
    try:
        client.put_item(TableName=target, Item=item, ConditionExpression="attribute_not_exists(pk)")
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def nodes_of(item: Wire) -> list[str]:
    """Whom an item is about: the identity whose partition it lies in, or that it names."""
    plain = decode({name: item[name] for name in ("pk", "sk", "nd", "node", "hm") if name in item})
    found = [plain["pk"][2:]] if plain["pk"].startswith("N#") else []
    found += [plain["sk"][2:]] if plain["pk"].startswith("R#") and plain["sk"].startswith("P#") else []
    return found + [str(plain[name]) for name in ("nd", "node", "hm") if plain.get(name)]


class Erased:
    """Which identities the stage's table has as erased now."""

    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table
        self.known: dict[str, bool] = {}

    def is_so(self, node: str) -> bool:
        if node not in self.known:
            key = {"pk": {"S": f"N#{node}"}, "sk": {"S": "-"}}
            item = self.client.get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item", {})
            self.known[node] = "erased" in item
        return self.known[node]


def moment_of(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError("write a moment as 2026-09-01T09:00:00Z") from wrong
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.restore", description="docs/restore.md tells the whole way.")
    parser.add_argument("what", choices=["table", "copy"])
    parser.add_argument("--stage", required=True)
    parser.add_argument("--at", type=moment_of, required=True, help="the moment to go back to, UTC")
    parser.add_argument("--only", default="", metavar="PREFIX", help="copy: keys that begin so, such as CONN or N#")
    parser.add_argument("--dry-run", action="store_true", help="copy: count, and write nothing")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    import botocore.session
    from botocore.exceptions import BotoCoreError, ClientError

    asked = arguments().parse_args(words)
    try:
        client = botocore.session.get_session().create_client("dynamodb")
        if asked.what == "table":
            table(client, asked.stage, asked.at, print)
        else:
            copy(client, target_of(asked.stage, asked.at), asked.stage, print, asked.dry_run, asked.only)
    except (RestoreFailed, BotoCoreError, ClientError) as wrong:
        print(f"draad: {wrong} What was done is found again: run the same command.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
