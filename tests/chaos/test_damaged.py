"""An answer of AWS that was damaged on its way is an outage, never an empty answer.

AWS's client does not compare an answer with its announced length, takes what it cannot read for
an empty document, and after its last try hands on what failed its checksum: then an item that is
there seems absent, and messages that SQS refused seem sent.
"""

from __future__ import annotations

import pytest

from chalicelib.errors import StorageUnavailable
from chalicelib.store import aws as door
from chalicelib.store import queues
from chalicelib.store.table import DynamoTable, Put
from tests.chaos.proxy import Chaos, Proxy
from tests.chaos.test_proxy import ITEM, Aws, aws, chaos, proxy, spoil
from tests.conftest import forget, point_at

__all__ = ["aws", "chaos", "proxy"]


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    point_at(monkeypatch, {"DRAAD_STAGE": "test"}, proxy.url)
    monkeypatch.setattr(queues, "url", lambda name: f"http://queue/1/{name}")
    yield
    forget()


@pytest.mark.parametrize("kind", ["garbled", "cut"])
def test_an_item_that_is_there_is_never_absent(aws: Aws, chaos: Chaos, kind: str) -> None:
    aws.answers["GetItem"] = [{"Item": ITEM}]
    aws.answers["Query"] = [{"Items": [ITEM], "Count": 1}]
    assert DynamoTable().get(("a", "b"))
    spoil(chaos, kind)
    with pytest.raises(StorageUnavailable):
        DynamoTable().get(("a", "b"))
    with pytest.raises(StorageUnavailable):
        DynamoTable().query("a")
    assert chaos.done[kind, "dynamodb.GetItem"] == 5, "AWS's client asks five times"


def test_what_is_absent_is_absent(aws: Aws) -> None:
    assert DynamoTable().get(("a", "b")) is None
    assert DynamoTable().write(Put({"pk": "a", "sk": "b"}))


@pytest.mark.parametrize("many", [False, True])
def test_messages_are_sent_only_when_sqs_says_so(aws: Aws, chaos: Chaos, many: bool) -> None:
    aws.answers["SendMessage"] = [{"MessageId": "1", "MD5OfMessageBody": ""}]
    failed = [{"Id": "1", "SenderFault": False, "Code": "InternalError"}]
    aws.answers["SendMessageBatch"] = [
        {"Successful": [{"Id": "0", "MessageId": "1", "MD5OfMessageBody": ""}], "Failed": failed}
    ]
    messages = [("one", ""), ("two", "")] if many else [("one", "")]
    queues.send_all("inbox", messages[:1])
    spoil(chaos, "cut")
    with pytest.raises(StorageUnavailable):
        if many:
            queues.send_all("inbox", messages)
        else:
            queues.send("inbox", "one")


def test_a_batch_of_which_sqs_says_nothing_is_not_sent(aws: Aws) -> None:
    aws.answers["SendMessageBatch"] = [{"Successful": [{"Id": "0", "MessageId": "1", "MD5OfMessageBody": ""}]}]
    with pytest.raises(StorageUnavailable, match="1 of 2"):
        queues.send_all("inbox", [("one", ""), ("two", "")])


def test_the_door_lets_empty_answers_through(aws: Aws) -> None:
    assert door.call("sqs", "change_message_visibility", QueueUrl="u", ReceiptHandle="r", VisibilityTimeout=1)
