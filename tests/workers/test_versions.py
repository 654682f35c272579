"""Two versions of the hub at once, as while it is deployed or taken back: what the newer one wrote is not lost, not
judged and not written over by the older one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import chalicelib.ingest
import chalicelib.model
import chalicelib.store
from chalicelib.context import timeline
from chalicelib.context.record import record
from chalicelib.errors import NewerVersion
from chalicelib.fanout.deliver import deliver
from chalicelib.fanout.plan import Planned, Planner
from chalicelib.ingest import arrival as arrivals
from chalicelib.model.event import Event, stamp
from chalicelib.model.identity import Identity
from chalicelib.store import connections, deliveries, events, jobs, organisation, queues
from chalicelib.store.codec import encode, pack, unpack
from chalicelib.store.table import Item, Put, Update
from chalicelib.workers import batch as batches
from chalicelib.workers import jobs as working
from chalicelib.workers import migrate, sweep
from tests.schedule import MemoryTable

NOW = "2026-09-01T09:00:00.000Z"
DAY = "20260901"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is put into queues: body and delay."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(queues, "send", lambda queue, body, delay=0, **more: found.append((body, delay)))
    return found


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(queues, "give_back", lambda queue, handle, seconds: found.append(handle))
    monkeypatch.setattr(queues, "delete", lambda queue, handles: None)
    return found


def structs() -> Iterator[type[msgspec.Struct]]:
    """All that lies in a queue or in the table."""
    for package in (chalicelib.model, chalicelib.store, chalicelib.ingest):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            mine = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == found.name]
            yield from (each for each in mine if issubclass(each, msgspec.Struct))


def test_nothing_kept_refuses_fields_of_a_newer_version() -> None:
    found = list(structs())
    assert {"Event", "Connection", "Subscription", "Job", "Duty", "Arrival", "Rule"} <= {
        each.__name__ for each in found
    }
    assert [each.__name__ for each in found if each.__struct_config__.forbid_unknown_fields] == []


LISTS = {
    "Arrival": "id connection at method url headers query body",
    "Produced": "id pk sk type channel direction occurred_at verdict",
    "Identity": "kind value",
    "Ref": "kind value",
}
"""What is kept as a list has its first fields for ever; what came later has a default, and comes at the end."""


def test_lists_grow_at_their_end_only() -> None:
    found = {each.__name__: each for each in structs() if each.__struct_config__.array_like}
    assert LISTS.keys() <= found.keys()
    for name, first in LISTS.items():
        fields = msgspec.structs.fields(found[name])
        assert [field.name for field in fields if field.required] == first.split(), name
        assert [field.name for field in fields][: len(first.split())] == first.split(), name


ARRIVAL = arrivals.Arrival("arr", "con", NOW, "POST", "https://hub/", (("a", "b"),), (), b"body", "key", True, True)


def test_an_arrival_of_a_newer_or_older_hub_is_read() -> None:
    parts = msgspec.msgpack.decode(unpack(arrivals.encode(ARRIVAL)))
    newer = pack(msgspec.msgpack.encode([*parts, {"new": 1}]))
    older = pack(msgspec.msgpack.encode(parts[:8]))
    assert arrivals.decode(newer) == ARRIVAL
    assert arrivals.decode(older) == msgspec.structs.replace(ARRIVAL, key="", test=False, missed=False)


def duty(kind: str) -> str:
    return msgspec.json.encode({"c": "con", "k": kind, "n": "node", "s": f"E#{NOW}#eid", "new": 1}).decode()


def test_a_duty_with_an_unknown_field_is_read() -> None:
    found = msgspec.json.decode(duty("activity"), type=deliveries.Duty)
    assert deliveries.known(found) and found.connection == "con"


@pytest.mark.parametrize("receives", [1, 5, 99])
def test_a_duty_of_an_unknown_kind_waits_in_the_queue(given_back: list[str], receives: int) -> None:
    """An older version would take it for an activity, and tell the destination something wrong."""
    office: Any = SimpleNamespace(table=MemoryTable())
    parked: list[str] = []
    batch = batches.Batch(queues.DELIVERIES)
    message = {"receiptHandle": "h", "body": duty("summary"), "attributes": {"ApproximateReceiveCount": str(receives)}}
    found = msgspec.json.decode(message["body"], type=deliveries.Duty)
    batch.take(message, lambda each: deliver(office, found, tried=False), lambda each, why: parked.append(why))
    with pytest.raises(batches.BatchUnfinished):
        batch.finish()
    assert (given_back, parked, office.table.rows) == (["h"], [], {})


def test_a_row_in_an_unknown_state_is_left_alone() -> None:
    office: Any = SimpleNamespace(table=MemoryTable(), ahead=None)
    found = msgspec.json.decode(duty("activity"), type=deliveries.Duty)
    row = {"pk": found.key[0], "sk": found.key[1], "st": "approving", "nd": "node", "n": 1, "at": NOW}
    office.table.write(Put(row))
    with pytest.raises(NewerVersion):
        deliver(office, found, tried=False)
    assert office.table.get(found.key) == row


def test_a_dead_letter_of_an_unknown_kind_is_kept_whole() -> None:
    table = MemoryTable()
    body = msgspec.json.encode({"c": "con", "k": "summary", "n": "node", "s": "of another form", "new": 1}).decode()
    sweep.BURIALS[queues.DELIVERIES](table, body)
    (row,) = [table.peek(key) for key in table.rows]
    assert row is not None
    assert (row["vd"], row["b"]) == ("failed", body.encode())
    assert "newer version" in row["why"]


def test_an_inbox_message_of_another_form_is_kept_whole() -> None:
    table = MemoryTable()
    sweep.BURIALS[queues.INBOX](table, "v2:whatever it is")
    (row,) = [table.peek(key) for key in table.rows]
    assert row is not None and row["b"] == b"v2:whatever it is"


def test_a_job_of_an_unknown_kind_waits(sent: list[tuple[str, int]]) -> None:
    table = MemoryTable()
    job = jobs.start(table, "of the next version", {}, id="job_1")
    with pytest.raises(NewerVersion):
        working.run(table, job.id)
    assert jobs.get(table, job.id) == job


EVENT = stamp(
    Event(
        type="message",
        channel="sms",
        object="m-1",
        occurred_at=NOW,
        text="hoi",
        identities=(Identity("phone", "+31612345678", "", 2),),
    ),
    "con",
    "generic",
)


def newer(item: Item, **more: Any) -> Item:
    """The same event as the next version writes it."""
    fields = msgspec.json.decode(unpack(item["b"])) | {"v": 2, "mood": {"glad": True}} | more
    index = {"ty": fields["type"], "ch": fields["channel"]}
    return item | index | {"v": 2, "sha": "another", "b": pack(msgspec.json.encode(fields)), "zz": "unknown"}


def test_an_event_of_a_newer_version_is_shown_and_planned() -> None:
    item = newer(events.item_at("N#node", EVENT, "rcp"), type="hologram", channel="glasses")
    assert events.from_item(item).v == 2
    shown = timeline.entry(item)
    assert (shown["type"], shown["channel"], shown["text"]) == ("hologram", "glasses", "hoi")
    planner = Planner(MemoryTable(), (), lambda cluster: [], lambda *given, **more: None)
    planned = Planned()
    planner.plan({"eventName": "INSERT", "dynamodb": {"NewImage": encode(item)}}, planned)
    assert not planned.activities


def test_the_older_version_does_not_write_over_an_event_of_the_newer(memory_aws: None) -> None:
    table, lists = MemoryTable(), organisation.Organisation()
    first = record(table, EVENT, "rcp", lists)
    key = first.pk, events.sort_key(EVENT)
    item = table.get(key)
    assert item is not None
    table.write(Put(newer(item)))
    again = record(table, EVENT, "later", lists)
    assert again.verdict == "duplicate"
    assert table.get(key) == newer(item)


def test_connections_of_a_newer_version_are_read() -> None:
    table = MemoryTable()
    body = {"id": "con", "provider": "generic", "new": 1, "subscription": {"types": ["order"], "new": ["a"]}}
    table.write(Put({"pk": "CONN", "sk": "con", "b": msgspec.json.encode(body), "ver": 7, "new": 1}))
    (found,) = connections.everyone(table)
    assert found.subscription.types == ("order",)


def renamed(item: Item) -> Item:
    """A migration as one might be: `old` is called `new`, and tells its length."""
    if "old" not in item:
        return item
    return {name: value for name, value in item.items() if name != "old"} | {
        "new": item["old"],
        "size": len(item["old"]),
    }


@pytest.fixture
def migration(monkeypatch: pytest.MonkeyPatch, sent: list[tuple[str, int]]) -> list[tuple[str, int]]:
    monkeypatch.setitem(migrate.MIGRATIONS, "names", migrate.Migration("names", renamed))
    monkeypatch.setattr(migrate, "PAGE", 3)
    return sent


def filled(count: int) -> MemoryTable:
    table = MemoryTable()
    for number in range(count):
        table.write(Put({"pk": f"N#{number:02d}", "sk": "-", "old": "x" * number, "kept": number}))
    return table


def walk(table: MemoryTable, sent: list[tuple[str, int]], twice: bool = False) -> list[int]:
    """Run what the sweep starts to its end, each page twice if so asked; the delays of its pages."""
    assert migrate.start_due(table) == 1
    delays = []
    while sent:
        job_id, delay = sent.pop()
        delays.append(delay)
        job = jobs.get(table, job_id)
        assert job is not None
        if twice:
            working.KINDS["migrate"](table, job)
        working.run(table, job_id)
    return delays


@pytest.mark.parametrize("twice", [False, True])
def test_a_migration_changes_all_once_and_ends(migration: list[tuple[str, int]], twice: bool) -> None:
    table = filled(10)
    delays = walk(table, migration, twice)
    for number in range(10):
        wanted = {"new": "x" * number, "size": number, "kept": number}
        assert table.get((f"N#{number:02d}", "-")) == {"pk": f"N#{number:02d}", "sk": "-"} | wanted
    assert delays[1] == migrate.WAIT_SECONDS, "it waits until the containers of the version before are gone"
    assert table.get(migrate.DONE) == {"pk": "ORG", "sk": "migrations", "done": ["names"]}
    assert migrate.start_due(table) == 0 and not migration


def test_what_the_version_before_writes_meanwhile_is_found_in_the_next_walk(migration: list[tuple[str, int]]) -> None:
    table = filled(4)
    migrate.start_due(table)
    late = {"pk": "N#00", "sk": "late", "old": "behind the walk"}
    for turn in range(40):
        if not migration:
            break
        working.run(table, migration.pop()[0])
        if turn == 1:
            table.write(Put(late))
    assert table.get(("N#00", "late")) == {"pk": "N#00", "sk": "late", "new": "behind the walk", "size": 15}
    assert table.get(migrate.DONE)


def test_whoever_writes_between_reading_and_writing_wins_and_is_looked_at_anew(
    migration: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = filled(1)
    write, raced = table.write, []

    def other_first(action: Any) -> bool:
        if isinstance(action, Update) and action.key == ("N#00", "-") and not raced:
            raced.append(action)
            write(Put({"pk": "N#00", "sk": "-", "old": "newer words", "kept": 1}))
        return write(action)

    monkeypatch.setattr(table, "write", other_first)
    walk(table, migration)
    assert table.get(("N#00", "-")) == {"pk": "N#00", "sk": "-", "new": "newer words", "size": 11, "kept": 1}
    assert raced


def test_a_migration_that_failed_begins_anew_a_few_times(migration: list[tuple[str, int]]) -> None:
    table = filled(1)
    for _ in range(migrate.TRIES + 2):
        migrate.start_due(table)
        for job_id, _ in migration:
            job = jobs.get(table, job_id)
            assert job is not None
            jobs.fail(table, job, "a mistake of ours")
    assert len(migration) == migrate.TRIES


def test_without_migrations_the_sweep_asks_nothing() -> None:
    assert migrate.MIGRATIONS == {}
    assert migrate.start_due(None) == 0  # type: ignore[arg-type]
