"""The whole hub in this process, on moto: HTTP in front, Lambda's part played, one function at a time.

Made for watching calls: each function remembers only what it read itself, as if in a container of its own,
and what Lambda itself asks in a function's name (receive, delete, read the stream) is asked in it here too.
"""

from __future__ import annotations

import base64
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
from botocore.config import Config
from chalice.local import RouteMatcher

from chalicelib.store import aws, queues, secrets
from infra.local import records
from infra.local.gateway import Sent, ask, config_of
from infra.local.state import ROOT
from tests.conftest import STATE
from tests.policies.recorded import REGION, Recorder

QUEUES = {"inbox": "context", "deliveries": "deliver", "jobs": "jobs"}
BATCH = {"inbox": 10, "deliveries": 10, "jobs": 1}
SWEEP_SECONDS = 2.0


@dataclass
class MemoryHub:
    """`url`, `admin_key`: as a hub of processes has them."""

    recorder: Recorder
    stream_arn: str
    admin_key: str = "draad_" + "k" * 40
    url: str = ""
    troubles: list[str] = field(default_factory=list)
    _turn: threading.RLock = field(default_factory=threading.RLock)
    _over: threading.Event = field(default_factory=threading.Event)
    _iterators: dict[str, str] = field(default_factory=dict)
    _streams: Any = None
    _swept: float = 0.0
    _containers: Containers = field(default_factory=lambda: Containers())

    def invoke(self, function: str, work: Callable[[], Any]) -> Any:
        with self._turn:
            self._containers.enter(function)
            with self.recorder.function(function):
                return work()

    # --- API Gateway

    def answer(self, sent: Sent) -> Mapping[str, Any]:
        from app import app

        answer: Mapping[str, Any] = self.invoke(
            "api_handler", lambda: ask(app, config_of(ROOT), RouteMatcher(list(app.routes)), sent)
        )
        return answer

    # --- event sources

    def turn(self) -> bool:
        """One round over all event sources; whether there was anything."""
        busy = [self._queue(name, function) for name, function in QUEUES.items()]
        busy.append(self._stream())
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            self._swept = time.monotonic()
            self._run("sweep", {})
        return any(busy)

    def _queue(self, name: str, function: str) -> bool:
        def work() -> bool:
            sqs = aws.client("sqs")
            url = aws.client("sqs").get_queue_url(QueueName=f"draad-test-{name}")["QueueUrl"]
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            answer = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=BATCH[name], MessageSystemAttributeNames=["All"]
            )
            batch = [records.sqs_record(each, f"arn:aws:sqs:x:0:{name}", "x") for each in answer.get("Messages", [])]
            if batch and self._handled(function, {"Records": batch}):
                entries = [{"Id": str(n), "ReceiptHandle": each["receiptHandle"]} for n, each in enumerate(batch)]
                sqs.delete_message_batch(QueueUrl=url, Entries=entries)
            return bool(batch)

        return bool(self.invoke(function, work))

    def _stream(self) -> bool:
        def work() -> bool:
            streams, found = self._streams_client(), []
            if not self._iterators:
                self._iterators = dict(self._beginnings(streams))
            for shard, iterator in self._iterators.items():
                answer = streams.get_records(ShardIterator=iterator, Limit=100)
                found += [records.stream_record(each, self.stream_arn) for each in answer["Records"]]
                self._iterators[shard] = answer["NextShardIterator"]
            return bool(found) and self._handled("fanout", {"Records": found})

        return bool(self.invoke("fanout", work))

    def _streams_client(self) -> Any:
        """At the regional address: moto knows no account's own."""
        if self._streams is None:
            config = Config(account_id_endpoint_mode="disabled")
            self._streams = botocore.session.get_session().create_client("dynamodbstreams", REGION, config=config)
        return self._streams

    def _beginnings(self, streams: Any) -> Iterator[tuple[str, str]]:
        streams.list_streams(TableName="draad-test")
        for shard in streams.describe_stream(StreamArn=self.stream_arn)["StreamDescription"]["Shards"]:
            wanted = {"StreamArn": self.stream_arn, "ShardId": shard["ShardId"]}
            yield (
                shard["ShardId"],
                streams.get_shard_iterator(**wanted, ShardIteratorType="TRIM_HORIZON")["ShardIterator"],
            )

    def _run(self, function: str, event: Mapping[str, Any]) -> None:
        self.invoke(function, lambda: self._handled(function, event))

    def _handled(self, function: str, event: Mapping[str, Any]) -> bool:
        from chalicelib.workers import context, deliver, fanout, jobs, sweep
        from chalicelib.workers.batch import BatchUnfinished

        workers = {"context": context, "deliver": deliver, "jobs": jobs, "fanout": fanout}
        try:
            if function == "sweep":
                sweep.take()
            else:
                workers[function].take(event["Records"])
        except BatchUnfinished:
            return False
        except Exception:
            self.troubles.append(f"{function}: {traceback.format_exc()}")
            return False
        return True

    # --- running by itself

    def pump(self) -> None:
        while not self._over.is_set():
            try:
                busy = self.turn()
            except Exception:
                self.troubles.append(f"an event source: {traceback.format_exc()}")
                return
            if not busy:
                self._over.wait(0.05)

    @contextmanager
    def running(self) -> Iterator[MemoryHub]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Wire", (Wire,), {"hub": self}))
        self.url = f"http://127.0.0.1:{server.server_port}"
        threads = [threading.Thread(target=each, daemon=True) for each in (server.serve_forever, self.pump)]
        try:
            for each in threads:
                each.start()
            yield self
        finally:
            self._over.set()
            server.shutdown()
            for each in threads:
                each.join(10)
            server.server_close()


class Wire(BaseHTTPRequestHandler):
    hub: MemoryHub
    protocol_version = "HTTP/1.1"

    def _ask(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.hub.answer(Sent(self.command, self.path, list(self.headers.items()), body))
        raw = answer.get("body") or b""
        raw = (
            base64.b64decode(raw) if answer.get("isBase64Encoded") else raw if isinstance(raw, bytes) else raw.encode()
        )
        self.send_response(answer["statusCode"])
        for name, value in answer["headers"].items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _ask

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@dataclass
class Containers:
    """What each function remembers by itself: in one process the others would know it too, and never ask."""

    kept: dict[str, dict[tuple[str, str], Any]] = field(default_factory=dict)
    last: str = ""

    def enter(self, function: str) -> None:
        if function == self.last:
            return
        self.kept[self.last] = {place: copy(found) for place, found in remembered()}
        mine = self.kept.get(function, {})
        for place, found in remembered():
            found.clear()
            (found.extend if isinstance(found, list) else found.update)(mine.get(place, ()))
        for read in (queues.url, secrets.pepper, secrets.decrypt):
            read.cache_clear()
        self.last = function


def remembered() -> Iterator[tuple[tuple[str, str], Any]]:
    """Module and name → its list or dictionary, but for the clients, which read nothing."""
    for name, module in list(sys.modules.items()):
        if name.startswith("chalicelib.") and module is not aws:
            for attribute, value in list(vars(module).items()):
                if STATE.match(attribute) and isinstance(value, dict | list | set):
                    yield (name, attribute), value
