"""A batch from a queue: right with partial-batch responses and without them.

Chalice cannot set the partial-batch flag, and returning failures to a mapping without it deletes
the whole batch. So whoever has failures deletes its successes itself, gives the rest back, and
raises: with the flag or without it, what failed comes again and what succeeded does not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chalicelib import telemetry
from chalicelib.errors import Busy, FetchDelayed, HubError, NewerVersion, StorageUnavailable
from chalicelib.store import pulse, queues
from chalicelib.store.aws import AwsRefused
from chalicelib.store.table import DynamoTable

Record = dict[str, Any]
Work = Callable[[Record], object]
Park = Callable[[Record, str], object]
PARK_AT = 5
"""Receives after which an unforeseen error of our own parks the message."""
WAITS = (Busy, FetchDelayed, NewerVersion, StorageUnavailable)
"""Time mends these: they wait in the queue and never park."""
LONGEST_WAIT = 300
OF_AWS = (AwsRefused, StorageUnavailable)


class BatchUnfinished(HubError):
    """Some messages of the batch are to be taken again; the others are deleted."""


@dataclass
class Batch:
    """Collects outcomes; `finish` makes them so."""

    queue: str
    done: list[str] = field(default_factory=list)
    again: list[tuple[str, int]] = field(default_factory=list)

    def take(self, record: Record, work: Work, park: Park, lost: list[Record] | None = None) -> None:
        """Run `work(record)`; `park(record, reason)` shows people a message that never will work. Where `lost` is
        there, it gets the message that lost a race, which its owner takes once more."""
        handle, count = record["receiptHandle"], receives(record)
        try:
            if pulse.is_one(str(record.get("body", ""))):
                pulse.taken(DynamoTable(), self.queue, record["body"])
            else:
                work(record)
            self.done.append(handle)
        except WAITS as wrong:
            if lost is not None and isinstance(wrong, Busy):
                lost.append(record)
                return
            self.again.append((handle, _pause(wrong, count)))
        except Exception as wrong:
            self._unforeseen(record, wrong, park)

    def _unforeseen(self, record: Record, wrong: Exception, park: Park) -> None:
        reason, count, handle = telemetry.where(wrong), receives(record), record["receiptHandle"]
        telemetry.warn("message failed", queue=self.queue, reason=reason, receives=count)
        if count < PARK_AT:
            self.again.append((handle, _pause(wrong, count)))
            return
        try:
            park(record, reason)
            self.done.append(handle)
        except Exception as away:
            self.again.append((handle, _pause(away, count - PARK_AT + 1)))

    def finish(self) -> None:
        """Raises BatchUnfinished when a message must come again; otherwise the mapping deletes all. What cannot be
        deleted or given back now, such as a copy of a message that is gone, comes by itself: it holds up nothing."""
        if not self.again:
            return
        with suppress(*OF_AWS):
            queues.delete(self.queue, self.done)
        for handle, seconds in self.again:
            with suppress(*OF_AWS):
                queues.give_back(self.queue, handle, seconds)
        raise BatchUnfinished(f"{len(self.again)} of {len(self.again) + len(self.done)} come again")


def receives(record: Record) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


def _pause(wrong: Exception, count: int) -> int:
    """Seconds until the next try: short for a lost race, longer each time for the rest."""
    return min(count, 5) if isinstance(wrong, Busy) else min(2**count, LONGEST_WAIT)
