"""A hub that loses: its workers take every fifth arrival for done without having looked at it. The ledger must say so."""

from __future__ import annotations

import importlib
from itertools import count
from typing import Any

from chalicelib.store import queues
from chalicelib.workers import batch

app = importlib.import_module("tests.chaos.clocked").app
as_it_should = batch.Batch.take
arrivals = count(1)


def take(self: batch.Batch, record: dict[str, Any], *rest: Any) -> None:
    if self.queue == queues.INBOX and next(arrivals) % 5 == 0:
        self.done.append(record["receiptHandle"])
    else:
        as_it_should(self, record, *rest)


batch.Batch.take = take
