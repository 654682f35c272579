"""Every minute: retries whose message was lost or is far away, and what died in the queues."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from chalicelib import telemetry
from chalicelib.model import instants
from chalicelib.store import deliveries, jobs, queues
from chalicelib.store.deliveries import Attempt, Duty
from chalicelib.store.table import DynamoTable, Table
from chalicelib.workers import context

DEAD = "received a hundred times without success"
ROUNDS = 10
"""Batches of ten dead letters taken from each queue in one sweep."""


def take() -> None:
    table = DynamoTable()
    now = instants.now()
    sent = sum(deliveries.take_due(table, number, now) for number in range(deliveries.SHARDS))
    buried = sum(_drain(table, queue, bury) for queue, bury in BURIALS.items())
    if sent or buried:
        telemetry.note("sweep", retries=sent, dead_letters=buried)


def _drain(table: Table, queue: str, bury: Callable[[Table, str], None]) -> int:
    """Move dead letters into the table, where they are seen and can be replayed."""
    count = 0
    for _ in range(ROUNDS):
        letters = queues.drain(f"{queue}-dlq")
        for body, handle in letters:
            bury(table, body)
            queues.delete(f"{queue}-dlq", [handle])
        count += len(letters)
        if len(letters) < 10:
            break
    return count


def _bury_arrival(table: Table, body: str) -> None:
    context.park(table, body, DEAD)


def _bury_delivery(table: Table, body: str) -> None:
    try:
        duty = msgspec.json.decode(body, type=Duty)
    except msgspec.DecodeError:
        context.park(table, body, DEAD)
        return
    now = instants.now()
    deliveries.parked(table, duty, Attempt(1, now, now, reason=DEAD))


def _bury_job(table: Table, body: str) -> None:
    if job := jobs.get(table, body):
        jobs.fail(table, job, DEAD)
    else:
        context.park(table, body, DEAD)


BURIALS: dict[str, Callable[[Table, str], None]] = {
    queues.INBOX: _bury_arrival,
    queues.DELIVERIES: _bury_delivery,
    queues.JOBS: _bury_job,
}
