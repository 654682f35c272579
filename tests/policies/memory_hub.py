"""The whole hub in this process, on moto: HTTP in front, Lambda's part played, one function at a time.

Made for watching calls: each function remembers only what it read itself, as if in a container of its own,
and what Lambda asks in a function's name (receive, delete, read the stream) is asked in it here too.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from unittest.mock import patch

import botocore.session
import moto.sqs.models
import requests
from botocore.config import Config
from chalice.local import RouteMatcher
from requests.adapters import BaseAdapter

from chalicelib.store import aws, queues, secrets
from infra.local import records
from infra.local.gateway import Sent, ask, config_of
from infra.local.state import ROOT
from tests.conftest import STATE
from tests.policies.recorded import REGION, Recorder

URL = "https://hub.example"
QUEUES = {"inbox": "context", "deliveries": "deliver", "jobs": "jobs"}
BATCH = {"inbox": 10, "deliveries": 10, "jobs": 1}
MOST_ROUNDS = 600


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

    def cold(self) -> None:
        """As after a while without work, or as when something was changed and nobody waits half a minute."""
        self.kept.clear()
        for _, found in remembered():
            found.clear()
        self.last = ""


def remembered() -> Iterator[tuple[tuple[str, str], Any]]:
    """Module and name → its list or dictionary, but for the clients, which read nothing."""
    for name, module in list(sys.modules.items()):
        if name.startswith("chalicelib.") and module is not aws:
            for attribute, value in list(vars(module).items()):
                if STATE.match(attribute) and isinstance(value, dict | list | set):
                    yield (name, attribute), value


@dataclass
class MemoryHub:
    recorder: Recorder
    stream_arn: str
    containers: Containers = field(default_factory=Containers)
    ahead: float = 0.0
    """Milliseconds that the queues' clock is ahead, so that nobody waits for a message that is put off."""
    _iterators: dict[str, str] = field(default_factory=dict)

    def invoke(self, function: str, work: Callable[[], Any]) -> Any:
        self.containers.enter(function)
        with self.recorder.function(function):
            return work()

    def answer(self, sent: Sent) -> Mapping[str, Any]:
        from app import app

        def work() -> Mapping[str, Any]:
            return ask(app, config_of(ROOT), RouteMatcher(list(app.routes)), sent)

        answer: Mapping[str, Any] = self.invoke("api_handler", work)
        return answer

    def session(self) -> requests.Session:
        made = requests.Session()
        made.mount(URL, Gateway(self))
        return made

    def sweep(self) -> None:
        self._handled("sweep", [])

    def settle(self) -> None:
        """Until all queues are empty and the stream is read; what is put off is taken at once."""
        for _ in range(MOST_ROUNDS):
            busy = [self.queue(name) for name in QUEUES]
            if not any([*busy, self.stream()]) and not self._waiting():
                return
        raise AssertionError("the hub does not come to rest")

    def queue(self, name: str) -> bool:
        """One batch; whether there was any. What the function gives back comes again."""
        return bool(self.invoke(QUEUES[name], lambda: self._batch(name)))

    def _batch(self, name: str) -> bool:
        sqs = aws.client("sqs")
        url = sqs.get_queue_url(QueueName=f"draad-test-{name}")["QueueUrl"]
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=BATCH[name], MessageSystemAttributeNames=["All"])
        batch = [records.sqs_record(each, f"arn:aws:sqs:x:0:{name}", "x") for each in answer.get("Messages", [])]
        if batch and taken(QUEUES[name], batch):
            entries = [{"Id": str(n), "ReceiptHandle": each["receiptHandle"]} for n, each in enumerate(batch)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return bool(batch)

    def stream(self) -> bool:
        return bool(self.invoke("fanout", self._records))

    def _records(self) -> bool:
        found = []
        if not self._iterators:
            self._iterators = dict(self._beginnings())
        for shard, iterator in self._iterators.items():
            answer = self._streams.get_records(ShardIterator=iterator, Limit=100)
            found += [records.stream_record(each, self.stream_arn) for each in answer["Records"]]
            self._iterators[shard] = answer["NextShardIterator"]
        return bool(found) and taken("fanout", found)

    @cached_property
    def _streams(self) -> Any:
        """At the regional address: moto knows no account's own."""
        config = Config(account_id_endpoint_mode="disabled")
        return botocore.session.get_session().create_client("dynamodbstreams", REGION, config=config)

    def _beginnings(self) -> Iterator[tuple[str, str]]:
        self._streams.list_streams(TableName="draad-test")
        for shard in self._streams.describe_stream(StreamArn=self.stream_arn)["StreamDescription"]["Shards"]:
            wanted = {"StreamArn": self.stream_arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            yield shard["ShardId"], self._streams.get_shard_iterator(**wanted)["ShardIterator"]

    def _handled(self, function: str, batch: list[Any]) -> bool:
        return bool(self.invoke(function, lambda: taken(function, batch)))

    def _waiting(self) -> bool:
        """Whether a message is put off; the queues' clock is set to when it comes."""
        backend = moto.sqs.models.sqs_backends["123456789012"][REGION]
        now = moto.sqs.models.unix_time_millis()
        moments = [
            max(each.delayed_until, each.visible_at)
            for queue in backend.queues.values()
            if queue.name.rpartition("-")[2] in QUEUES
            for each in queue._messages
        ]
        if moments:
            self.ahead += max(0.0, min(moments) - now + 1)
        return bool(moments)

    @contextmanager
    def clock(self) -> Iterator[None]:
        real = moto.sqs.models.unix_time_millis
        with patch.object(moto.sqs.models, "unix_time_millis", lambda *at: real(*at) + (0.0 if at else self.ahead)):
            yield


def taken(function: str, batch: list[Any]) -> bool:
    from chalicelib.workers import context, deliver, fanout, jobs, sweep
    from chalicelib.workers.batch import BatchUnfinished

    if function == "sweep":
        sweep.take()
        return True
    try:
        {"context": context, "deliver": deliver, "jobs": jobs, "fanout": fanout}[function].take(batch)
    except BatchUnfinished:
        return False
    return True


def body_of(answer: Mapping[str, Any]) -> bytes:
    found = answer.get("body") or b""
    if answer.get("isBase64Encoded"):
        return base64.b64decode(found)
    return found if isinstance(found, bytes) else found.encode()


class Gateway(BaseAdapter):
    """`requests` into the hub, without a wire."""

    def __init__(self, hub: MemoryHub) -> None:
        super().__init__()
        self.hub = hub

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        headers = [("Host", "hub.example"), *request.headers.items()]
        answer = self.hub.answer(Sent(str(request.method), request.path_url, headers, raw))
        found = requests.Response()
        found.status_code, found.url, found.request = answer["statusCode"], str(request.url), request
        found.headers.update(answer["headers"])
        found._content = body_of(answer)
        return found

    def close(self) -> None:
        """Nothing is open."""
