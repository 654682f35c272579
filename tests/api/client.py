"""The hub's HTTP surface without a network: Lambda-shaped events into the app, workers run by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from chalice.local import RouteMatcher

from chalicelib.store import aws, connections, keys, queues
from chalicelib.store.table import DynamoTable
from infra.local import records
from infra.local.gateway import Sent, ask, config_of
from tests.api import contract

ROOT = Path(__file__).parent.parent.parent
SECRET = "generic-signing-secret"
MAPPING: dict[str, Any] = {
    "type": "type",
    "channel": "channel",
    "object": "id",
    "occurred_at": "at",
    "text": "text",
    "identities": "people",
    "refs": "refs",
    "fields": {"name": "name"},
}
"""Bodies such as {"type", "channel", "id", "at", "people": [{"kind", "value", …}], "refs": [{"kind", "value"}]}."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @cached_property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def pointers(self) -> list[str]:
        return sorted(each["pointer"] for each in self.json["errors"])


def here(sent: Sent) -> Answer:
    """By the app in this process."""
    from app import app

    found = ask(app, config_of(ROOT), RouteMatcher(list(app.routes)), sent)
    raw = found.get("body") or b""
    if found.get("isBase64Encoded"):
        raw = base64.b64decode(raw)
    return Answer(found["statusCode"], found["headers"], raw if isinstance(raw, bytes) else raw.encode())


def work_here(api: Api) -> None:
    """Run the workers of the inbox and of the jobs until their queues are empty."""
    from chalicelib.workers import context, jobs

    connections.everyone(api.table)
    while any([_worked(queues.INBOX, context.take), _worked(queues.JOBS, jobs.take)]):
        pass


@dataclass
class Api:
    """`key` goes with every call; "" sends none. Every answer is checked against the contract.
    `asked`: who answers a request; `worked`: waits until all that arrived has been worked on."""

    key: str = ""
    table: Any = field(default_factory=DynamoTable)
    checked: bool = True
    asked: Callable[[Sent], Answer] = here
    worked: Callable[[Api], None] = work_here

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = (), key: str | None = None
    ) -> Answer:
        with contract.looking() as seen:
            answer = self._sent(method, path, body, headers, key)
        if self.checked:
            contract.check(method, path, body, answer, seen)
        return answer

    def _sent(self, method: str, path: str, body: bytes, headers: Iterable[tuple[str, str]], key: str | None) -> Answer:
        key = self.key if key is None else key
        sent = [("Host", "hub.example"), *headers, *([("Authorization", f"Bearer {key}")] if key else [])]
        return self.asked(Sent(method, path, sent, body))

    def call(self, method: str, path: str, expect: int = 200, json_body: Any = None, **options: Any) -> Any:
        body = json.dumps(json_body).encode() if json_body is not None else b""
        answer = self.send(method, path, body, [("Content-Type", "application/json")] if body else [], **options)
        assert answer.status == expect, (method, path, answer.status, answer.raw[:2000])
        return answer.json

    def get(self, path: str, expect: int = 200, **params: Any) -> Any:
        return self.call("GET", f"{path}?{urlencode(params, doseq=True)}" if params else path, expect)

    def refused(self, method: str, path: str, json_body: Any = None) -> list[str]:
        """Pointers of the fields that a 422 names."""
        body = b"" if json_body is None else json.dumps(json_body).encode()
        answer = self.send(method, path, body)
        assert answer.status == 422, (method, path, answer.status, answer.raw[:2000])
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= answer.json.keys() and answer.json["status"] == 422
        return answer.pointers

    def pages(self, path: str, name: str, **params: Any) -> list[Any]:
        """All pages of a list; fails when a cursor goes round."""
        found: list[Any] = []
        cursors: list[str] = []
        while True:
            page = self.get(path, **params | ({"next": cursors[-1]} if cursors else {}))
            assert len(page[name]) <= int(params.get("limit", 50))
            found += page[name]
            if page["next"] is None:
                return found
            assert page["next"] not in cursors
            cursors.append(page["next"])

    def connect(self, **rest: Any) -> dict[str, Any]:
        """A generic connection whose mapping takes any event."""
        asked = {"provider": "generic", "name": "shop", "settings": {"own_system": True}, "mapping": MAPPING}
        asked |= {"secrets": {"signing_secret": SECRET}}
        made: dict[str, Any] = self.call("POST", "/v1/connections", 201, asked | rest)
        return made

    def post(self, connection: str, body: Mapping[str, Any], secret: str = SECRET, expect: int = 200) -> None:
        raw = json.dumps(body).encode()
        headers = [("Content-Type", "application/json"), ("X-Signature", signature(raw, secret))]
        answer = self.send("POST", f"/hooks/{connection}", raw, headers, key="")
        assert answer.status == expect, (answer.status, answer.raw)

    def work(self) -> None:
        self.worked(self)

    def record(self, connection: str, *bodies: Mapping[str, Any]) -> None:
        for body in bodies:
            self.post(connection, body)
        self.work()


def _worked(queue: str, take: Any) -> bool:
    answer = aws.call(
        "sqs",
        "receive_message",
        QueueUrl=queues.url(queue),
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["All"],
    )
    batch = [records.sqs_record(message, f"arn:aws:sqs:x:0:{queue}", "x") for message in answer.get("Messages", [])]
    if batch:
        take(batch)
        queues.delete(queue, [record["receiptHandle"] for record in batch])
    return bool(batch)


def signature(raw: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def event(number: int, at: str, *people: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A message of the generic connection above."""
    found = {"type": "message", "channel": "webchat", "id": f"m{number}", "at": at, "people": list(people)}
    return found | {"text": f"message {number}", **more}


def person(kind: str, value: str, assurance: str = "A2", scope: str = "") -> dict[str, str]:
    found = {"kind": kind, "value": value, "assurance": assurance}
    return found | ({"scope": scope} if scope else {})


def key_with(*scopes: str) -> str:
    return keys.mint(DynamoTable(), "test", scopes)[1]
