"""An answer of AWS that was damaged on its way is an outage, never an empty answer.

AWS's client takes what it cannot read for an empty document: then an item that is there would seem absent, and
messages that SQS refused would seem sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.errors import StorageUnavailable
from chalicelib.store import aws, queues
from chalicelib.store.table import DynamoTable, Put
from tests.conftest import forget, point_at

ITEM = {"Item": {"pk": {"S": "a"}, "sk": {"S": "b"}}}
SENT = {"MessageId": "1", "MD5OfMessageBody": ""}


class Aws(ThreadingHTTPServer):
    """Answers everything with the first `left` bytes of `whole`; where `cut` it has announced all of them."""

    whole: bytes = b"{}"
    left: int | None = None
    cut: bool = False


class Handler(BaseHTTPRequestHandler):
    server: Aws

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = self.server.whole[: self.server.left]
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(self.server.whole if self.server.cut else body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the screen of a test."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with Aws(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        point_at(monkeypatch, {"DRAAD_STAGE": "test"}, f"http://127.0.0.1:{made.server_port}")
        monkeypatch.setattr(queues, "url", lambda name: f"http://127.0.0.1:{made.server_port}/1/{name}")
        yield made
        made.shutdown()
        forget()


def says(server: Aws, answer: dict[str, Any], left: int | None = None, cut: bool = False) -> None:
    server.whole, server.left, server.cut = json.dumps(answer).encode(), left, cut


@pytest.mark.parametrize("cut", [False, True])
def test_an_item_that_is_there_is_never_absent(server: Aws, cut: bool) -> None:
    says(server, ITEM)
    assert DynamoTable().get(("a", "b"))
    says(server, ITEM, left=20, cut=cut)
    with pytest.raises(StorageUnavailable):
        DynamoTable().get(("a", "b"))


def test_what_is_absent_is_absent(server: Aws) -> None:
    assert DynamoTable().get(("a", "b")) is None
    assert DynamoTable().write(Put({"pk": "a", "sk": "b"}))
    assert aws.call("sqs", "change_message_visibility", QueueUrl="u", ReceiptHandle="r", VisibilityTimeout=1)


@pytest.mark.parametrize("cut", [False, True])
def test_a_message_is_sent_only_when_sqs_names_it(server: Aws, cut: bool) -> None:
    says(server, SENT)
    queues.send("inbox", "one")
    says(server, SENT, left=9, cut=cut)
    with pytest.raises(StorageUnavailable):
        queues.send("inbox", "one")


def test_of_a_batch_each_message_must_be_named(server: Aws) -> None:
    says(server, {"Successful": [{"Id": "0", **SENT}]})
    queues.send_all("inbox", [("one", "")])
    with pytest.raises(StorageUnavailable, match="1 of 2"):
        queues.send_all("inbox", [("one", ""), ("two", "")])
