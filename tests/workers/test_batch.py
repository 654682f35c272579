"""A batch with good, failing and poisonous messages loses nothing, with the partial-batch flag and
without it: real queues, the real local mappings, the app's own handlers."""

from __future__ import annotations

import importlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.errors import Busy, FetchDelayed, StorageUnavailable
from chalicelib.ingest.arrival import Arrival, encode, to_message
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import aws, connections, deliveries, ids, jobs, queues, receipts
from chalicelib.store.deliveries import ACTIVITY, Duty
from chalicelib.store.table import DynamoTable, Put
from chalicelib.workers import batch as batches
from chalicelib.workers import context, deliver, fanout, sweep
from chalicelib.workers import jobs as working
from infra.local.embedded import EmbeddedAws
from infra.local.pollers import Checkpoints, Function, QueuePoller, StreamPoller
from infra.local.records import scheduled_event
from tests.api.client import MAPPING, event, person

pytestmark = pytest.mark.embedded

NOW = "2026-09-01T09:00:00.000Z"
SIZES = {"inbox": 10, "deliveries": 10, "jobs": 1}
FUNCTIONS = {"inbox": "context", "deliveries": "deliver", "jobs": "jobs"}


class Stage:
    """The hub's queues and table on the embedded AWS, and the mappings that poll them."""

    def __init__(self, embedded: EmbeddedAws, env: dict[str, str]) -> None:
        self.env, self.embedded = env, embedded
        self.table = DynamoTable()
        self.app = importlib.import_module("app").app
        self.connection = ids.mint("con")
        made = Connection(id=self.connection, provider="generic", mapping=MAPPING, created_at=NOW)
        assert connections.save(self.table, made)

    def function(self, name: str, partial: bool) -> Function:
        return Function(name, self.app.handler_map[name], partial)

    def poll(self, queue: str, partial: bool, until: Callable[[], bool]) -> None:
        """Poll as Lambda's mapping does until nothing is left of the queue, or `until` holds."""
        name = f"draad-{self.env['DRAAD_STAGE']}-{queue}"
        poller = QueuePoller(self.function(FUNCTIONS[queue], partial), self.embedded.client("sqs"), name, SIZES[queue])
        for _ in range(60):
            if until():
                return
            poller.poll()
        raise AssertionError(f"{queue} still has {queues.depth(queue)}")

    def empty(self, queue: str) -> bool:
        return sum(queues.depth(queue)) == 0

    def arrival(self, number: int) -> Arrival:
        body = json.dumps(event(number, NOW, person("email", f"jan{number}@example.nl"))).encode()
        return Arrival(
            id=ids.mint("arr"),
            connection=self.connection,
            at=instants.now(),
            method="POST",
            url="https://hub.example/",
            headers=(("Content-Type", "application/json"),),
            query=(),
            body=body,
        )

    def verdicts(self, connection: str) -> dict[str, str]:
        """Receipt by the sort key's arrival id: verdict and reason."""
        items = receipts.of_day(self.table, connection, instants.day(instants.now())).items
        return {item["sk"].partition("#")[2]: f"{item['vd']} {item.get('why', '')}".strip() for item in items}

    def unreadable(self) -> dict[bytes, str]:
        items = receipts.of_day(self.table, context.UNREADABLE, instants.day(instants.now())).items
        assert {item["vd"] for item in items} <= {"failed"} and all(item["gpk"] == "M#unreadable" for item in items)
        return {item["b"]: item["why"] for item in items}


@pytest.fixture
def stage(embedded_aws: EmbeddedAws, live_stage: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(batches, "_pause", lambda wrong, count: 0)
    yield Stage(embedded_aws, live_stage)


@pytest.mark.parametrize("partial", [False, True])
def test_the_inbox_loses_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch, partial: bool) -> None:
    good = [stage.arrival(number) for number in range(5)]
    away, busy, late, poison = (stage.arrival(number) for number in range(5, 9))
    troubles = {
        away.id: (StorageUnavailable, 8),
        busy.id: (Busy, 2),
        late.id: (FetchDelayed, 7),
        poison.id: (KeyError, 99),
    }
    taken: Counter[str] = Counter()
    read = context.reading.read

    def troubled(table: Any, arrival: Arrival, *rest: Any) -> Any:
        taken[arrival.id] += 1
        error, times = troubles.get(arrival.id, (None, 0))
        if error and taken[arrival.id] <= times:
            raise error("jan@example.nl is not here")
        return read(table, arrival, *rest)

    monkeypatch.setattr(context.reading, "read", troubled)
    messages = [(to_message(each), stage.connection) for each in [*good, away, busy, late, poison]]
    queues.send_all(queues.INBOX, [*messages, ("not ours", "x"), ('{"c":"x"}', "x")])
    stage.poll("inbox", partial, lambda: stage.empty("inbox"))

    assert taken == {**{each.id: 1 for each in good}, away.id: 9, busy.id: 3, late.id: 8, poison.id: 5}
    found = stage.verdicts(stage.connection)
    reason = found.pop(poison.id)
    assert reason.startswith("failed KeyError at context.py:") and "jan" not in reason
    assert found == {each.id: "accepted" for each in [*good, away, busy, late]}
    assert stage.unreadable().keys() == {b"not ours", b'{"c":"x"}'}

    troubles.clear()
    (item,) = stage.table.query(f"M#{stage.connection}", index=True).items
    jobs.start(stage.table, "replay", {"receipts": [[item["pk"], item["sk"]]]}, total=1)
    stage.poll("jobs", partial, lambda: stage.empty("jobs"))
    assert stage.verdicts(stage.connection)[poison.id] == "accepted"
    events = [item for item in scanned(stage) if item["sk"].startswith("E#") and item["pk"].startswith("N#")]
    assert len(events) == 9
    assert {item["st"] for item in scanned(stage) if item["pk"].startswith("J#")} == {"done"}


def scanned(stage: Stage) -> list[dict[str, Any]]:
    from chalicelib.store.codec import decode

    return [decode(item) for item in aws.call("dynamodb", "scan", TableName=stage.table.name)["Items"]]


@pytest.mark.parametrize(("count", "seconds"), [(5, 2), (6, 4), (30, 300)])
def test_what_cannot_be_parked_now_is_parked_soon(count: int, seconds: int) -> None:
    """The table is throttled just then: seconds, growing, and not the longest wait at once."""
    batch = batches.Batch(queues.DELIVERIES)

    def broken(record: Any) -> None:
        raise KeyError("ours")

    def throttled(record: Any, reason: str) -> None:
        raise StorageUnavailable("dynamodb put_item: throttled")

    record = {"receiptHandle": "r", "body": "b", "attributes": {"ApproximateReceiveCount": str(count)}}
    batch.take(record, broken, throttled)
    assert batch.done == [] and batch.again == [("r", seconds)]


@pytest.mark.parametrize("partial", [False, True])
def test_the_deliveries_lose_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch, partial: bool) -> None:
    duties = [Duty(f"con_{number % 2}", ACTIVITY, "n", f"E#{NOW}#e{number}") for number in range(6)]
    troubles = {duties[0]: (StorageUnavailable, 7), duties[1]: (Busy, 6), duties[2]: (KeyError, 99)}
    taken: Counter[Duty] = Counter()
    retried: Counter[Duty] = Counter()
    lock = threading.Lock()

    def troubled(office: Any, duty: Duty, **options: Any) -> str:
        with lock:
            taken[duty] += 1
            retried[duty] += options["tried"]
        error, times = troubles.get(duty, (None, 0))
        if error and taken[duty] <= times:
            raise error("secret")
        return "delivered"

    monkeypatch.setattr(deliver, "deliver", troubled)
    queues.send_all(queues.DELIVERIES, [*(duty.message for duty in duties), ("not ours", "x"), ("{}", "x")])
    stage.poll("deliveries", partial, lambda: stage.empty("deliveries"))
    assert taken == dict(zip(duties, [8, 7, 5, 1, 1, 1], strict=True))
    assert retried == {duty: count - 1 for duty, count in taken.items()}
    (row,) = [item for item in scanned(stage) if item["pk"].startswith("L#") and "#activity" in item["sk"]]
    assert (row["pk"], row["sk"]) == duties[2].key
    assert (row["st"], row["gpk"], row["n"]) == ("parked", "PARK#con_0", 5)
    assert row["why"].startswith("KeyError at deliver.py:") and "secret" not in str(row)
    assert stage.unreadable().keys() == {b"not ours", b"{}"}
    assert working.redrive(stage.table, duties[2].key)
    troubles.clear()
    stage.poll("deliveries", partial, lambda: stage.empty("deliveries"))
    assert taken[duties[2]] == 6


@pytest.mark.parametrize("partial", [False, True])
def test_jobs_lose_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch, partial: bool) -> None:
    taken: Counter[str] = Counter()
    troubles = {"away": (StorageUnavailable, 7), "broken": (KeyError, 99)}

    def page(table: Any, job: jobs.Job) -> working.Turn:
        taken[job.params["who"]] += 1
        error, times = troubles.get(job.params["who"], (None, 0))
        if error and taken[job.params["who"]] <= times:
            raise error("secret")
        return working.Turn("" if job.cursor == "3" else str(int(job.cursor or "0") + 1), 1)

    monkeypatch.setitem(working.KINDS, "test", page)
    made = {who: jobs.start(stage.table, "test", {"who": who}) for who in ("good", "away", "broken")}
    queues.send(queues.JOBS, "not ours")
    queues.send(queues.JOBS, made["good"].id)
    stage.poll("jobs", partial, lambda: stage.empty("jobs"))
    found = {who: jobs.get(stage.table, job.id) for who, job in made.items()}
    assert {who: (job.status, job.done) for who, job in found.items() if job} == {
        "good": ("done", 4),
        "away": ("done", 4),
        "broken": ("failed", 0),
    }
    assert taken["broken"] == 5 and taken["away"] == 11
    (failed,) = jobs.newest(stage.table, "failed", "", 10)
    assert failed.id == made["broken"].id and failed.errors[0].startswith("KeyError at jobs.py:")
    assert stage.unreadable() == {b"not ours": "no such job"}


def test_dead_letters_are_drained_into_the_table(stage: Stage) -> None:
    arrival, job = stage.arrival(1), jobs.start(stage.table, "replay", {"receipts": []})
    duty = Duty("con_0", ACTIVITY, "n", f"E#{NOW}#e1")
    other = stage.arrival(2)
    for number in range(12):
        queues.send(f"{queues.INBOX}-dlq", f"garbage {number}")
    for queue, body in [
        (queues.INBOX, to_message(arrival)),
        (queues.INBOX, to_message(other)),
        (queues.DELIVERIES, duty.message[0]),
        (queues.DELIVERIES, "garbage delivery"),
        (queues.JOBS, job.id),
        (queues.JOBS, "garbage job"),
    ]:
        queues.send(f"{queue}-dlq", body)
    for _ in range(3):
        stage.function("sweep", False).call(scheduled_event("sweep", stage.env["DRAAD_STAGE"]))
    assert all(stage.empty(f"{queue}-dlq") for queue in SIZES)
    assert stage.verdicts(stage.connection) == dict.fromkeys([arrival.id, other.id], f"failed {sweep.DEAD}")
    row, found = deliveries.get(stage.table, duty.key), jobs.get(stage.table, job.id)
    assert row and found
    assert (row["st"], row["why"], found.status, found.errors) == ("parked", sweep.DEAD, "failed", [sweep.DEAD])
    garbage = [b"garbage delivery", b"garbage job", *(b"garbage %d" % number for number in range(12))]
    assert stage.unreadable() == dict.fromkeys(garbage, sweep.DEAD)
    (stored,) = [item for item in scanned(stage) if item["sk"].endswith(arrival.id)]
    assert stored["b"] == encode(arrival)


def test_a_letter_that_cannot_be_buried_stays_dead(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    queues.send(f"{queues.INBOX}-dlq", "garbage")

    def away(*_: Any) -> bool:
        raise StorageUnavailable("dynamodb put_item: throttled")

    with monkeypatch.context() as patched, pytest.raises(StorageUnavailable):
        patched.setattr(DynamoTable, "write", away)
        sweep.take()
    assert not stage.empty(f"{queues.INBOX}-dlq") and stage.unreadable() == {}


def test_what_aws_refuses_a_hundred_times_ends_visible(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue's own redrive to the dead letters, with a lower count."""
    sqs: Any = stage.embedded.client("sqs")
    found = sqs.get_queue_attributes(QueueUrl=queues.url(queues.INBOX), AttributeNames=["RedrivePolicy"])
    policy = json.loads(found["Attributes"]["RedrivePolicy"])
    assert int(policy["maxReceiveCount"]) == 100
    attributes = {"RedrivePolicy": json.dumps(policy | {"maxReceiveCount": 6})}
    sqs.set_queue_attributes(QueueUrl=queues.url(queues.INBOX), Attributes=attributes)

    def away(*_: Any) -> Any:
        raise StorageUnavailable("dynamodb get_item: throttled")

    arrival = stage.arrival(1)
    queues.send(queues.INBOX, to_message(arrival))
    with monkeypatch.context() as patched:
        patched.setattr(context.reading, "read", away)
        stage.poll("inbox", False, lambda: not stage.empty(f"{queues.INBOX}-dlq"))
    assert stage.verdicts(stage.connection) == {}
    sweep.take()
    assert stage.verdicts(stage.connection) == {arrival.id: f"failed {sweep.DEAD}"}


def test_receipts_that_could_not_be_kept_keep_their_messages(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [stage.arrival(number) for number in range(3)]
    queues.send_all(queues.INBOX, [(to_message(each), "x") for each in arrivals])
    put, failed = DynamoTable.batch_put, []

    def once(table: DynamoTable, items: Any) -> None:
        if not failed and any(item["pk"].startswith("I#") for item in items):
            failed.append(1)
            raise StorageUnavailable("dynamodb batch_write_item: throttled")
        put(table, items)

    monkeypatch.setattr(DynamoTable, "batch_put", once)
    sqs: Any = stage.embedded.client("sqs")
    sqs.set_queue_attributes(QueueUrl=queues.url(queues.INBOX), Attributes={"VisibilityTimeout": "1"})
    stage.poll("inbox", False, lambda: stage.empty("inbox"))
    assert failed and stage.verdicts(stage.connection) == {each.id: "accepted" for each in arrivals}


class Stream:
    """The real stream of the stage into the app's own fan-out."""

    def __init__(self, stage: Stage, folder: Path, partial: bool) -> None:
        self.stage, self.stop = stage, threading.Event()
        streams, arn = stage.embedded.client("dynamodbstreams"), stage.env["DRAAD_STREAM_ARN"]
        checkpoints = Checkpoints(folder / "stream.json")
        self.poller = StreamPoller(stage.function("fanout", partial), streams, arn, 100, checkpoints)

    def put(self, event_id: str, **more: Any) -> dict[str, Any]:
        item = {
            "pk": "N#" + "n" * 26,
            "sk": f"E#{NOW}#{event_id}",
            "ty": "order",
            "ch": "web",
            "cn": "con_other",
        } | more
        kept = {name: value for name, value in item.items() if value is not None}
        assert self.stage.table.write(Put(kept))
        return kept

    def asked(self) -> list[str]:
        """Events for which a delivery was asked for, messages taken."""
        found: list[str] = []
        while letters := queues.drain(queues.DELIVERIES):
            found += [json.loads(body)["s"].rpartition("#")[2] for body, _ in letters]
            queues.delete(queues.DELIVERIES, [handle for _, handle in letters])
        return sorted(found)


@pytest.fixture(params=[False, True])
def stream(stage: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> Stream:
    connections.save(stage.table, Connection(id=ids.mint("con"), provider="webhook", created_at=NOW))
    return Stream(stage, tmp_path, request.param)


def test_a_poisonous_record_blocks_nobody_and_is_planned_after_the_fix(stream: Stream) -> None:
    stage = stream.stage
    poison = {"e1": stream.put("e1"), "e2": stream.put("e2", ty=None), "e3": stream.put("e3")}["e2"]
    stream.poller.poll(stream.stop)
    assert stream.asked() == ["e1", "e3"]
    (job,) = jobs.newest(stage.table, "running", "", 10)
    assert (job.kind, job.params["record"]) == ("plan", {"pk": poison["pk"], "sk": poison["sk"]})
    assert job.params["reason"].startswith("KeyError at ")
    stage.poll("jobs", False, lambda: stage.empty("jobs"))
    (failed,) = jobs.newest(stage.table, "failed", "", 10)
    assert failed.id == job.id
    stage.table.write(Put(poison | {"ty": "order"}))
    jobs.start(stage.table, "plan", failed.params)
    stage.poll("jobs", False, lambda: stage.empty("jobs"))
    assert stream.asked() == ["e2"]


def test_an_outage_raises_before_anything_is_sent(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stream.stage
    stream.put("e1")
    stream.put("e2", an=True)
    seen: list[int] = []
    look = fanout.people.of_node

    def away(*args: Any, **options: Any) -> Any:
        seen.append(sum(queues.depth(queues.DELIVERIES)))
        if len(seen) < 3:
            raise StorageUnavailable("dynamodb batch_get_item: throttled")
        return look(*args, **options)

    monkeypatch.setattr(fanout.people, "of_node", away)
    stream.poller.poll(stream.stop)
    assert seen == [0, 0, 0]
    assert stream.asked() == ["e1"], "e2 is an anonymous visitor's, whom nobody asked for"
    assert jobs.newest(stage.table, "", "", 10) == []
