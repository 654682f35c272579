"""Lambda's part in the local run: event source mappings that poll, call a handler and settle the batch.

What is polled is read from the Chalice app: queue names, batch sizes, the stream, the schedule.
A batch whose handler raises stays in its queue until its visibility ends; a stream repeats the
batch. With DRAAD_PARTIAL_BATCH=1 `batchItemFailures` counts; a plain `chalice deploy` has no such
flag, so the default is 0.
Lambda gives every function processors of its own. Here `deliver`, half of the work, has a process
beside that of the others.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.local import records
from infra.local.lifeline import end_with_parent
from infra.local.state import READY

if TYPE_CHECKING:
    from botocore.client import BaseClient

Handler = Callable[[dict[str, Any], Any], Any]

APART = frozenset({"deliver"})
"""What runs in a process beside: one interpreter keeps one processor busy, whatever its threads."""
LONG_POLL_SECONDS = 1
"""Lambda waits 20 s; one lets SIGTERM end a poller soon."""
STREAM_PAUSE = 0.1
"""Seconds between two looks at a stream that had less than a batch: Lambda looks four times a second. Without it a
busy stream is read record by record, and every look costs as much as a whole batch."""
LONGEST_PAUSE = 10.0
LOST_POSITION = frozenset({"TrimmedDataAccessException", "ExpiredIteratorException"})


@dataclass(frozen=True)
class Function:
    """One handler of the app, as Lambda would run it."""

    name: str
    handler: Handler
    partial: bool
    timeout: int = 60

    def call(self, event: dict[str, Any]) -> Any:
        from chalice.local import LambdaContext

        return self.handler(event, LambdaContext(self.name, 512, self.timeout * 1000))


def client(service: str) -> BaseClient:
    """A client of the embedded AWS, apart from the hub's own: pollers are AWS's work."""
    config = Config(
        connect_timeout=2, read_timeout=30, max_pool_connections=64, retries={"mode": "standard", "max_attempts": 2}
    )
    made: BaseClient = botocore.session.get_session().create_client(
        service,
        region_name=os.environ["AWS_REGION"],
        endpoint_url=os.environ["AWS_ENDPOINT_URL"],
        config=config,
    )
    return made


def say(text: str) -> None:
    print(f"workers  {text}", flush=True)


def _failed(function: Function, wrong: Exception, fate: str) -> None:
    """One line, with the place and never the content: messages hold personal data."""
    last = traceback.extract_tb(wrong.__traceback__)[-1]
    say(f"{function.name} raised {type(wrong).__name__} at {Path(last.filename).name}:{last.lineno}; {fate}")


def pause(attempt: int) -> float:
    """Seconds to wait before the next try: 0.2 doubling to 10."""
    return float(min(0.2 * 2 ** min(attempt, 10), LONGEST_PAUSE))


def patiently(poll: Callable[[], None], name: str, stop: threading.Event) -> None:
    """Poll until told to stop; while AWS is away, wait and say so once."""
    attempt = 0
    while not stop.is_set():
        try:
            poll()
            attempt = 0
        except (BotoCoreError, ClientError) as wrong:
            if attempt == 0:
                say(f"{name}: AWS does not answer ({type(wrong).__name__}); waiting")
            stop.wait(pause(attempt))
            attempt += 1


class QueuePoller:
    """One SQS mapping. Safe to poll from several threads."""

    def __init__(self, function: Function, sqs: BaseClient, queue: str, batch_size: int) -> None:
        self.function = function
        self.sqs: Any = sqs
        self.queue = queue
        self.batch_size = min(batch_size, 10)
        self._where: tuple[str, str] | None = None

    def poll(self) -> None:
        """Receive one batch, call the handler, delete what succeeded."""
        url, arn = self._place()
        answer = self.sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=self.batch_size,
            WaitTimeSeconds=LONG_POLL_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        batch = [records.sqs_record(message, arn, arn.split(":")[3]) for message in answer.get("Messages", [])]
        if batch:
            self._settle(url, batch, self._call(batch))

    def _place(self) -> tuple[str, str]:
        if self._where is None:
            url = self.sqs.get_queue_url(QueueName=self.queue)["QueueUrl"]
            found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            self._where = url, found["Attributes"]["QueueArn"]
        return self._where

    def _call(self, batch: Sequence[records.Record]) -> set[str]:
        """The ids that failed."""
        ids = [record["messageId"] for record in batch]
        try:
            answer = self.function.call({"Records": list(batch)})
        except Exception as wrong:
            _failed(self.function, wrong, f"{len(ids)} messages wait in the queue")
            return set(ids)
        return records.failures(answer, ids, self.function.partial)

    def _settle(self, url: str, batch: Sequence[records.Record], failed: set[str]) -> None:
        done = [
            {"Id": str(number), "ReceiptHandle": record["receiptHandle"]}
            for number, record in enumerate(batch)
            if record["messageId"] not in failed
        ]
        if done:
            self.sqs.delete_message_batch(QueueUrl=url, Entries=done)


class Checkpoints:
    """How far each shard was worked off, in one file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, str]:
        try:
            found = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def get(self, shard: str) -> str | None:
        return self.read().get(shard)

    def put(self, shard: str, sequence: str) -> None:
        self._write(self.read() | {shard: sequence})

    def drop(self, shard: str) -> None:
        self._write({name: value for name, value in self.read().items() if name != shard})

    def _write(self, content: Mapping[str, str]) -> None:
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(content), "utf-8")
        part.replace(self.path)


class StreamPoller:
    """One stream mapping: in order, each batch until it succeeds, from TRIM_HORIZON."""

    def __init__(
        self, function: Function, streams: BaseClient, arn: str, batch_size: int, checkpoints: Checkpoints
    ) -> None:
        self.function = function
        self.streams: Any = streams
        self.arn = arn
        self.batch_size = batch_size
        self.checkpoints = checkpoints
        self.iterators: dict[str, str] = {}

    def poll(self, stop: threading.Event) -> None:
        """Read every shard once; wait a moment unless one had a full batch."""
        shards = self.streams.describe_stream(StreamArn=self.arn)["StreamDescription"]["Shards"]
        more = [self._shard(shard["ShardId"], stop) for shard in shards]
        if not any(more):
            stop.wait(STREAM_PAUSE)

    def _shard(self, shard: str, stop: threading.Event) -> bool:
        """Whether there is more to read at once."""
        try:
            iterator = self.iterators.pop(shard, None) or self._open(shard)
            answer = self.streams.get_records(ShardIterator=iterator, Limit=self.batch_size)
        except ClientError as wrong:
            self._reposition(shard, wrong)
            return False
        batch = [records.stream_record(record, self.arn) for record in answer["Records"]]
        if self._work_off(shard, batch, stop) and answer.get("NextShardIterator"):
            self.iterators[shard] = answer["NextShardIterator"]
        return len(batch) >= self.batch_size

    def _open(self, shard: str) -> str:
        after = self.checkpoints.get(f"{self.arn}/{shard}")
        where = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
            if after
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        return str(self.streams.get_shard_iterator(StreamArn=self.arn, ShardId=shard, **where)["ShardIterator"])

    def _reposition(self, shard: str, wrong: ClientError) -> None:
        """A position that AWS no longer has: begin at the oldest record. Anything else is an outage."""
        code = wrong.response.get("Error", {}).get("Code", "")
        if code not in LOST_POSITION:
            raise wrong
        if code == "TrimmedDataAccessException":
            self.checkpoints.drop(f"{self.arn}/{shard}")

    def _work_off(self, shard: str, batch: list[records.Record], stop: threading.Event) -> bool:
        """Repeat a batch until nothing of it is left. False when told to stop before that."""
        attempt = 0
        while batch:
            left = self._attempt(batch)
            done = len(batch) - len(left)
            if done:
                self.checkpoints.put(f"{self.arn}/{shard}", batch[done - 1]["dynamodb"]["SequenceNumber"])
            attempt = 0 if done else attempt + 1
            batch = left
            if batch and stop.wait(pause(attempt)):
                return False
        return True

    def _attempt(self, batch: list[records.Record]) -> list[records.Record]:
        """What is left of the batch after one call: from the first failure on."""
        sequences = [record["dynamodb"]["SequenceNumber"] for record in batch]
        try:
            answer = self.function.call({"Records": batch})
        except Exception as wrong:
            _failed(self.function, wrong, f"{len(batch)} records are read again")
            return batch
        failed = records.failures(answer, sequences, self.function.partial)
        first = next((number for number, sequence in enumerate(sequences) if sequence in failed), len(batch))
        return batch[first:]


def run_schedule(function: Function, seconds: float, stop: threading.Event) -> None:
    """Call at once and then every `seconds`; a call that fails is only told about."""
    while not stop.is_set():
        try:
            function.call(records.scheduled_event(function.name, os.environ["AWS_REGION"]))
        except Exception as wrong:
            _failed(function, wrong, "next time again")
        stop.wait(seconds)


def rate_seconds(expression: Any) -> float:
    """`rate(5 minutes)` → 300.0. Raises ValueError for what the local run cannot follow."""
    text = expression if isinstance(expression, str) else expression.to_string()
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", text)
    if not match:
        raise ValueError(f"the local run follows rate(…) schedules only, not {text}")
    return int(match[1]) * {"minute": 60.0, "hour": 3600.0, "day": 86400.0}[match[2]]


@dataclass(frozen=True)
class Options:
    """`threads` poll each queue whose batch is larger than one; a queue of single messages gets one."""

    checkpoints: Path
    threads: int = 4
    partial: bool = False
    sweep_seconds: float | None = None
    only: frozenset[str] = frozenset()
    """Functions that run in this process; empty for all."""


def loops(app: Any, options: Options, stop: threading.Event) -> list[tuple[str, Callable[[], None]]]:
    """(name, loop) for every event source that the app declares."""
    found: list[tuple[str, Callable[[], None]]] = []
    for source in app.event_sources:
        if options.only and source.name not in options.only:
            continue
        function = Function(source.name, app.handler_map[source.name], options.partial)
        found += _LOOPS[type(source).__name__](source, function, options, stop)
    return found


def _queue_loops(
    source: Any, function: Function, options: Options, stop: threading.Event
) -> list[tuple[str, Callable[[], None]]]:
    poller = QueuePoller(function, client("sqs"), source.queue, source.batch_size)
    loop = partial(patiently, poller.poll, function.name, stop)
    return [(function.name, loop)] * (options.threads if source.batch_size > 1 else 1)


def _stream_loops(
    source: Any, function: Function, options: Options, stop: threading.Event
) -> list[tuple[str, Callable[[], None]]]:
    streams = client("dynamodbstreams")
    poller = StreamPoller(function, streams, source.stream_arn, source.batch_size, Checkpoints(options.checkpoints))
    return [(function.name, partial(patiently, partial(poller.poll, stop), function.name, stop))]


def _schedule_loops(
    source: Any, function: Function, options: Options, stop: threading.Event
) -> list[tuple[str, Callable[[], None]]]:
    seconds = options.sweep_seconds or rate_seconds(source.schedule_expression)
    return [(function.name, partial(run_schedule, function, seconds, stop))]


_LOOPS = {
    "SQSEventConfig": _queue_loops,
    "DynamoDBEventConfig": _stream_loops,
    "ScheduledEventConfig": _schedule_loops,
}


def start(app: Any, options: Options, stop: threading.Event) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=_or_die, args=(loop,), name=name, daemon=True)
        for name, loop in loops(app, options, stop)
    ]
    for thread in threads:
        thread.start()
    return threads


def _or_die(loop: Callable[[], None]) -> None:
    """A poller that ends by surprise ends the process, as a crash ends a Lambda container."""
    try:
        loop()
    except BaseException as wrong:
        say(f"{threading.current_thread().name} died of {type(wrong).__name__}: {wrong}")
        os._exit(1)


def options_from(env: Mapping[str, str], state: Path) -> Options:
    return Options(
        checkpoints=state / "stream.json",
        threads=int(env.get("DRAAD_WORKERS", "4")),
        partial=env.get("DRAAD_PARTIAL_BATCH", "0") == "1",
        sweep_seconds=float(env["DRAAD_SWEEP_SECONDS"]) if env.get("DRAAD_SWEEP_SECONDS") else None,
        only=frozenset(env.get("DRAAD_FUNCTIONS", "").split()),
    )


class Beside:
    """Another process of these pollers, for the functions named; killed with this one's session, ended with it."""

    def __init__(self, app: str, state: Path, names: frozenset[str]) -> None:
        self.mark = state / "beside-ready"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra.local.pollers", app, str(state), self.mark.name],
            env=os.environ | {"DRAAD_FUNCTIONS": " ".join(sorted(names))},
            stdin=subprocess.PIPE,
        )

    def wait_until_ready(self, stop: threading.Event) -> None:
        while not stop.is_set() and not (self.mark.exists() and self.mark.read_text() == str(self.process.pid)):
            self._must_live(stop)
            stop.wait(0.02)

    def watch(self, stop: threading.Event) -> None:
        """As a poller does: what ends by surprise ends all, and all are started again."""
        self.process.wait()
        self._must_live(stop)

    def _must_live(self, stop: threading.Event) -> None:
        if self.process.poll() is not None and not stop.is_set():
            say(f"the process beside ended with code {self.process.returncode}")
            os._exit(1)

    def stop(self, seconds: float) -> None:
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()


def main() -> None:
    """`python -m infra.local.pollers <app module> <state folder> [<name of the file that says ready>]`"""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    end_with_parent()
    name, state = sys.argv[1], Path(sys.argv[2])
    options = options_from(os.environ, state)
    beside = None if options.only else Beside(name, state, APART)
    app = importlib.import_module(name).app
    if beside:
        others = frozenset(source.name for source in app.event_sources) - APART
        options = replace(options, only=others)
    threads = start(app, options, stop)
    if beside:
        beside.wait_until_ready(stop)
        threading.Thread(target=beside.watch, args=(stop,), name="beside", daemon=True).start()
    (state / (sys.argv[3:] or [READY])[0]).write_text(str(os.getpid()))
    while not stop.wait(3600):
        pass
    deadline = time.monotonic() + 15
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if beside:
        beside.stop(max(0.0, deadline - time.monotonic()))


if __name__ == "__main__":
    main()
