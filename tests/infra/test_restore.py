"""The drill of docs/restore.md, on moto: it knows restoring to a point in time, but restores what is there now, whatever the moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest

from chalicelib.settings import settings
from chalicelib.store.table import Delete, DynamoTable, Put
from infra import restore

AT = datetime(2026, 9, 1, 9, 0, 0, tzinfo=UTC)
LATER = int(time.time()) + 86400


@pytest.fixture
def client(memory_aws: dict[str, str]) -> Any:
    return botocore.session.get_session().create_client("dynamodb", region_name="eu-west-1")


@pytest.fixture
def stage(client: Any) -> str:
    """The name of the stage, whose table has a customer, a delivery to be retried and a note that soon expires."""
    table = DynamoTable()
    table.write(Put({"pk": "N#one", "sk": "-", "kind": "phone"}))
    table.write(Put({"pk": "N#one", "sk": "E#1", "b": b"event", "x": LATER}))
    table.write(Put({"pk": "N#two", "sk": "-", "kind": "email"}))
    table.write(Put({"pk": "N#two", "sk": "E#2", "b": b"event", "x": LATER}))
    table.write(
        Put({"pk": "L#con#20260901", "sk": "1#e#activity", "nd": "two", "st": "delayed", "gpk": "DUE#1", "gsk": "1"})
    )
    table.write(Put({"pk": "C#con", "sk": "REFUSED#1", "why": "old", "x": 1_000}))
    return settings().stage


def silent(text: str) -> None:
    pass


def test_the_restored_table_is_set_as_the_stages_own(client: Any, stage: str) -> None:
    said: list[str] = []
    name = restore.table(client, stage, AT, said.append, pause=0)
    assert name == f"draad-{stage}-20260901t090000"
    found = client.describe_table(TableName=name)["Table"]
    assert found["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert found["DeletionProtectionEnabled"] is True
    assert [each["IndexName"] for each in found["GlobalSecondaryIndexes"]] == ["gsi"]
    kept = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert kept["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["AttributeName"] == "x"
    assert client.scan(TableName=name)["Count"] == 6
    said.clear()
    assert restore.table(client, stage, AT, said.append, pause=0) == name
    assert all("is set" in each for each in said), "a second run finds all of it"


def test_what_was_lost_comes_back_and_nothing_is_written_over(client: Any, stage: str) -> None:
    name = restore.table(client, stage, AT, silent, pause=0)
    table = DynamoTable()
    table.write(Delete(("N#one", "E#1")))
    table.write(Delete(("L#con#20260901", "1#e#activity")))
    table.write(Put({"pk": "N#one", "sk": "-", "kind": "phone", "last": "written since"}))
    dry = restore.copy(client, name, stage, silent, dry=True)
    assert (dry.put, table.get(("N#one", "E#1"))) == (2, None)
    done = restore.copy(client, name, stage, silent)
    assert (done.looked, done.put, done.there, done.expired, done.erased) == (6, 2, 3, 1, 0)
    assert table.get(("N#one", "E#1")) == {"pk": "N#one", "sk": "E#1", "b": b"event", "x": LATER}
    assert table.get(("N#one", "-")) == {"pk": "N#one", "sk": "-", "kind": "phone", "last": "written since"}
    assert [item["pk"] for item in table.query("DUE#1", index=True).items] == ["L#con#20260901"]
    assert restore.copy(client, name, stage, silent).put == 0


def test_whoever_was_erased_since_stays_erased(client: Any, stage: str) -> None:
    name = restore.table(client, stage, AT, silent, pause=0)
    table = DynamoTable()
    for key in (("N#two", "E#2"), ("L#con#20260901", "1#e#activity"), ("N#one", "E#1")):
        table.write(Delete(key))
    table.write(Put({"pk": "N#two", "sk": "-", "erased": 1_790_000_000_000}))
    done = restore.copy(client, name, stage, silent)
    assert (done.put, done.erased) == (1, 2)
    assert table.get(("N#two", "E#2")) is None and table.get(("L#con#20260901", "1#e#activity")) is None


def test_only_some_keys(client: Any, stage: str) -> None:
    name = restore.table(client, stage, AT, silent, pause=0)
    table = DynamoTable()
    table.write(Delete(("N#one", "E#1")))
    table.write(Delete(("L#con#20260901", "1#e#activity")))
    assert restore.copy(client, name, stage, silent, prefix="L#").put == 1
    assert table.get(("N#one", "E#1")) is None


def test_a_table_that_is_gone_says_where_its_last_backup_is(client: Any, stage: str) -> None:
    with pytest.raises(restore.RestoreFailed, match=r"restore-table-from-backup --target-table-name draad-nowhere"):
        restore.table(client, "nowhere", AT, silent, pause=0)


@pytest.mark.parametrize("text", ["2026-09-01T09:00:00Z", "2026-09-01T09:00:00", "2026-09-01T11:00:00+02:00"])
def test_a_moment_is_utc(text: str) -> None:
    assert restore.moment_of(text) == AT
