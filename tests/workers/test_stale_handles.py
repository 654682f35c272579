"""What cannot be given back comes by itself; it keeps nothing else of its batch back, nor hides how the batch ended."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.errors import StorageUnavailable
from chalicelib.store import aws, queues
from chalicelib.workers.batch import Batch, BatchUnfinished


def message(handle: str) -> dict[str, Any]:
    return {"receiptHandle": handle, "body": handle, "attributes": {"ApproximateReceiveCount": "1"}}


def busy(record: dict[str, Any]) -> None:
    if record["receiptHandle"] != "done":
        raise StorageUnavailable("away")


def ended(monkeypatch: pytest.MonkeyPatch, wrong: Exception, *, of: str) -> list[str]:
    """Handles that were given back, although `of` one operation goes wrong."""
    given: list[str] = []

    def call(service: str, operation: str, **told: Any) -> dict[str, Any]:
        if operation == of and told.get("ReceiptHandle", "stale") == "stale":
            raise wrong
        given.extend([told["ReceiptHandle"]] if "ReceiptHandle" in told else [])
        return {}

    monkeypatch.setattr(queues, "url", lambda name: name)
    monkeypatch.setattr(aws, "call", call)
    batch = Batch(queues.INBOX)
    for handle in ("done", "stale", "one", "two"):
        batch.take(message(handle), busy, lambda record, why: None)
    with pytest.raises(BatchUnfinished):
        batch.finish()
    return given


@pytest.mark.parametrize("wrong", [aws.AwsRefused("ReceiptHandleIsInvalid", {}), StorageUnavailable("throttled")])
def test_a_handle_that_is_no_longer_good(monkeypatch: pytest.MonkeyPatch, wrong: Exception) -> None:
    """SQS delivered a message twice and its other copy was deleted meanwhile; or it throttles just then."""
    assert ended(monkeypatch, wrong, of="change_message_visibility") == ["one", "two"]


def test_what_is_done_and_cannot_be_deleted_comes_again_and_the_rest_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ended(monkeypatch, StorageUnavailable("throttled"), of="delete_message_batch") == ["stale", "one", "two"]
