"""The local event source mappings against the embedded AWS: what AWS keeps, repeats and throws away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chalice import Chalice, Rate

from infra.local import records
from infra.local.embedded import EmbeddedAws
from infra.local.pollers import (
    Checkpoints,
    Function,
    Options,
    QueuePoller,
    StreamPoller,
    loops,
    pause,
    rate_seconds,
    start,
)

pytestmark = pytest.mark.embedded


class Queue:
    """A queue of the stage, its poller and what the handler got."""

    def __init__(self, aws: EmbeddedAws, stage: str) -> None:
        self.sqs: Any = aws.client("sqs")
        self.name = f"draad-{stage}-inbox"
        self.url = self.sqs.get_queue_url(QueueName=self.name)["QueueUrl"]
        self.batches: list[list[dict[str, Any]]] = []

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageGroupId="one")

    def poll(self, answer: Callable[[list[dict[str, Any]]], Any], partial: bool = False) -> None:
        """Poll until the handler was called once."""

        def handler(event: dict[str, Any], context: Any) -> Any:
            assert 0 < context.get_remaining_time_in_millis() <= 60_000
            self.batches.append(event["Records"])
            return answer(event["Records"])

        before = len(self.batches)
        poller = QueuePoller(Function("context", handler, partial), self.sqs, self.name, 10)
        while len(self.batches) == before:
            poller.poll()

    def left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(map(int, counts.values()))


@pytest.fixture
def queue(embedded_aws: EmbeddedAws, live_stage: dict[str, str]) -> Queue:
    return Queue(embedded_aws, live_stage["DRAAD_STAGE"])


def fail(_: Any) -> Any:
    raise RuntimeError("jan@example.nl")


def refuse(bodies: set[str]) -> Callable[[list[dict[str, Any]]], Any]:
    def answer(batch: list[dict[str, Any]]) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in batch if r["body"] in bodies]}

    return answer


def test_a_batch_that_succeeds_is_gone_and_looked_like_lambdas(queue: Queue) -> None:
    queue.send("a", "b", "c")
    queue.poll(lambda batch: None)
    assert queue.left() == 0
    (batch,) = queue.batches
    assert sorted(record["body"] for record in batch) == ["a", "b", "c"]
    record = batch[0]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(":" + queue.name)
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["SentTimestamp"].isdigit()
    assert record["attributes"]["MessageGroupId"] == "one"


@pytest.mark.parametrize("partial", [False, True])
def test_a_batch_that_raises_stays_and_says_one_line_without_content(
    queue: Queue, capsys: pytest.CaptureFixture[str], partial: bool
) -> None:
    queue.send("a", "b")
    queue.poll(fail, partial)
    assert queue.left() == 2
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "RuntimeError at test_pollers.py" in said
    assert "jan@example.nl" not in said


def test_without_the_flag_batch_item_failures_mean_nothing(queue: Queue) -> None:
    queue.send("good", "bad")
    queue.poll(refuse({"bad"}), partial=False)
    assert queue.left() == 0, "as on AWS: the whole batch is deleted, which is why workers raise"


def test_with_the_flag_only_the_failures_stay(queue: Queue) -> None:
    queue.send("good", "bad")
    queue.poll(refuse({"bad"}), partial=True)
    assert queue.left() == 1


def test_with_the_flag_an_unknown_id_fails_the_batch(queue: Queue) -> None:
    queue.send("a", "b")
    queue.poll(lambda batch: {"batchItemFailures": [{"itemIdentifier": "nobody"}]}, partial=True)
    assert queue.left() == 2


def test_a_worker_that_deletes_its_successes_and_raises_loses_nothing(queue: Queue) -> None:
    queue.send("good", "bad")

    def worker(batch: list[dict[str, Any]]) -> None:
        for record in batch:
            if record["body"] == "good":
                queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=record["receiptHandle"])
        raise RuntimeError

    queue.poll(worker)
    assert queue.left() == 1


def test_what_is_received_too_often_lands_in_the_dead_letters(embedded_aws: EmbeddedAws, queue: Queue) -> None:
    dead_url = queue.sqs.get_queue_url(QueueName=f"{queue.name}-dlq")["QueueUrl"]
    dead_arn = queue.sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{dead_arn}", "maxReceiveCount": 2}}'
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})
    queue.send("poison")
    queue.poll(fail)
    queue.poll(fail)
    assert [batch[0]["attributes"]["ApproximateReceiveCount"] for batch in queue.batches] == ["1", "2"]
    QueuePoller(Function("context", fail, False), queue.sqs, queue.name, 10).poll()
    (dead,) = queue.sqs.receive_message(QueueUrl=dead_url)["Messages"]
    assert dead["Body"] == "poison"


class Stream:
    """The stage's stream, a poller with its checkpoint, and what the handler got."""

    def __init__(self, aws: EmbeddedAws, env: dict[str, str], folder: Path) -> None:
        self.table: Any = aws.client("dynamodb")
        self.streams = aws.client("dynamodbstreams")
        self.name = env["DRAAD_TABLE"]
        self.arn = env["DRAAD_STREAM_ARN"]
        self.checkpoints = Checkpoints(folder / "stream.json")
        self.batches: list[list[str]] = []
        self.records: list[dict[str, Any]] = []
        self.stop = threading.Event()

    def put(self, *keys: str) -> None:
        for key in keys:
            item = {"pk": {"S": key}, "sk": {"S": "-"}, "b": {"B": b"\xff\x00"}, "l": {"L": [{"BS": [b"x"]}]}}
            self.table.put_item(TableName=self.name, Item=item)

    def poller(self, answer: Callable[[list[str]], Any], partial: bool = False, size: int = 100) -> StreamPoller:
        def handler(event: dict[str, Any], context: Any) -> Any:
            self.records += event["Records"]
            self.batches.append([record["dynamodb"]["Keys"]["pk"]["S"] for record in event["Records"]])
            return answer(self.batches[-1])

        return StreamPoller(Function("fanout", handler, partial), self.streams, self.arn, size, self.checkpoints)


@pytest.fixture
def stream(embedded_aws: EmbeddedAws, live_stage: dict[str, str], tmp_path: Path) -> Iterator[Stream]:
    yield Stream(embedded_aws, live_stage, tmp_path)


def test_stream_records_are_lambdas(stream: Stream) -> None:
    stream.put("a")
    stream.put("a")
    stream.poller(lambda keys: None).poll(stream.stop)
    (record,) = stream.records
    change = record["dynamodb"]
    assert change["NewImage"] == {
        "pk": {"S": "a"},
        "sk": {"S": "-"},
        "b": {"B": "/wA="},
        "l": {"L": [{"BS": ["eA=="]}]},
    }
    assert (record["eventName"], record["eventSource"], record["eventSourceARN"]) == (
        "INSERT",
        "aws:dynamodb",
        stream.arn,
    )
    assert change["SequenceNumber"].isdigit()
    assert abs(change["ApproximateCreationDateTime"] - time.time()) < 3600


def test_a_new_poller_goes_on_after_the_checkpoint(stream: Stream) -> None:
    stream.put("a", "b", "c")
    stream.poller(lambda keys: None, size=2).poll(stream.stop)
    assert stream.batches == [["a", "b"]]
    stream.poller(lambda keys: None).poll(stream.stop)
    assert stream.batches == [["a", "b"], ["c"]]


def test_the_checkpoint_stays_while_the_handler_raises(stream: Stream) -> None:
    stream.put("a", "b")

    def killed(keys: list[str]) -> Any:
        stream.stop.set()
        raise RuntimeError

    stream.poller(killed).poll(stream.stop)
    assert stream.checkpoints.read() == {}
    stream.stop.clear()
    stream.poller(lambda keys: None).poll(stream.stop)
    assert stream.batches == [["a", "b"], ["a", "b"]]
    assert len(stream.checkpoints.read()) == 1


def test_a_failing_batch_is_repeated_until_it_succeeds(stream: Stream) -> None:
    stream.put("a")

    def at_third(keys: list[str]) -> None:
        if len(stream.batches) < 3:
            raise RuntimeError

    stream.poller(at_third).poll(stream.stop)
    assert stream.batches == [["a"]] * 3


def test_with_the_flag_a_stream_goes_on_from_the_first_failure(stream: Stream) -> None:
    stream.put("a", "b", "c")

    def b_fails_once(keys: list[str]) -> Any:
        number = keys.index("b") if "b" in keys and len(stream.batches) == 1 else None
        sequence = None if number is None else stream.records[number]["dynamodb"]["SequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": sequence}] if sequence else []}

    stream.poller(b_fails_once, partial=True).poll(stream.stop)
    assert stream.batches == [["a", "b", "c"], ["b", "c"]]


def test_a_position_that_aws_lost_begins_at_the_oldest_record(stream: Stream) -> None:
    stream.put("a")
    shard = stream.streams.describe_stream(StreamArn=stream.arn)["StreamDescription"]["Shards"][0]["ShardId"]
    stream.checkpoints.put(f"{stream.arn}/{shard}", "000000000000000000000000000001")
    poller = stream.poller(lambda keys: None)
    poller.poll(stream.stop)
    poller.poll(stream.stop)
    assert stream.batches == [["a"]]


class Looked:
    """A stream of one shard with so many records, and the pauses between the looks at it."""

    def __init__(self, records: int) -> None:
        self.left = records
        self.pauses: list[float] = []

    def describe_stream(self, **asked: Any) -> dict[str, Any]:
        return {"StreamDescription": {"Shards": [{"ShardId": "one"}]}}

    def get_shard_iterator(self, **asked: Any) -> dict[str, Any]:
        return {"ShardIterator": "i"}

    def get_records(self, **asked: Any) -> dict[str, Any]:
        taken = min(self.left, asked["Limit"])
        self.left -= taken
        change = {"SequenceNumber": "1", "Keys": {}, "StreamViewType": "NEW_IMAGE", "SizeBytes": 1}
        record = {"eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb"}
        told = record | {"awsRegion": "eu-west-1", "dynamodb": change}
        return {"Records": [told] * taken, "NextShardIterator": "i"}

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return False


@pytest.mark.parametrize(("waiting", "pauses"), [(0, 1), (3, 1), (10, 0), (25, 0)])
def test_a_stream_is_left_alone_for_a_moment_unless_a_batch_was_full(waiting: int, pauses: int, tmp_path: Path) -> None:
    """What comes meanwhile is one batch, and not a look for each record."""
    looked: Any = Looked(waiting)
    done: list[int] = []
    function = Function("fanout", lambda event, context: done.append(len(event["Records"])), False)
    StreamPoller(function, looked, "arn", 10, Checkpoints(tmp_path / "stream.json")).poll(looked)
    assert len(looked.pauses) == pauses and sum(done) == min(waiting, 10)


def test_a_damaged_checkpoint_begins_at_the_oldest_record(stream: Stream) -> None:
    stream.checkpoints.path.write_text("{")
    stream.put("a")
    stream.poller(lambda keys: None).poll(stream.stop)
    assert stream.batches == [["a"]]


def test_everything_polled_is_read_from_the_app(live_stage: dict[str, str], tmp_path: Path) -> None:
    app = Chalice(app_name="sample", configure_logs=False)
    called = threading.Event()
    app.on_sqs_message(queue="draad-x-inbox", batch_size=10, name="context")(lambda event: None)
    app.on_sqs_message(queue="draad-x-jobs", batch_size=1, name="jobs")(lambda event: None)
    app.on_dynamodb_record(stream_arn=live_stage["DRAAD_STREAM_ARN"], name="fanout")(lambda event: None)
    app.schedule(Rate(5, unit=Rate.MINUTES), name="sweep")(lambda event: called.set())
    stop = threading.Event()
    names = [name for name, _ in loops(app, Options(tmp_path / "stream.json", threads=3), stop)]
    assert names == ["context"] * 3 + ["jobs", "fanout", "sweep"]
    app.event_sources[:] = [source for source in app.event_sources if source.name == "sweep"]
    threads = start(app, Options(tmp_path / "stream.json"), stop)
    assert called.wait(10)
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_rates() -> None:
    assert [rate_seconds(text) for text in ("rate(1 minute)", "rate(5 minutes)", "rate(1 hour)", "rate(2 days)")] == [
        60.0,
        300.0,
        3600.0,
        172800.0,
    ]
    with pytest.raises(ValueError, match="cron"):
        rate_seconds("cron(0 * * * ? *)")


def test_a_poller_pauses_longer_and_longer_within_bounds() -> None:
    waits = [pause(attempt) for attempt in range(40)]
    assert waits == sorted(waits)
    assert waits[0] == 0.2
    assert waits[-1] == 10.0


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, ""])
def test_answers_that_mean_success(answer: Any) -> None:
    assert records.failures(answer, ["a", "b"], partial=True) == set()


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{}]},
        {"batchItemFailures": ["a"]},
        "failed",
    ],
)
def test_answers_that_fail_the_whole_batch(answer: Any) -> None:
    assert records.failures(answer, ["a", "b"], partial=True) == {"a", "b"}
