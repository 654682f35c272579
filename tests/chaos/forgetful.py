"""A hub that loses: what its workers cannot do now they take for done. The ledger must say so."""

from __future__ import annotations

import importlib
from typing import Any

from chalicelib.workers import batch

app = importlib.import_module("tests.chaos.clocked").app


def take(self: batch.Batch, record: dict[str, Any], work: batch.Work, park: batch.Park) -> None:
    try:
        work(record)
    except Exception:
        self.done.append(record["receiptHandle"])
        return
    self.done.append(record["receiptHandle"])


batch.Batch.take = take
