"""The contract of reconciling."""

from __future__ import annotations

from typing import Annotated, TypedDict

from chalicelib.api.contract.operation import ConnectionId, Instant, JobStarted, Next, Operation, Paged, one_of
from chalicelib.api.reconcile import BackfillWish, ReconcileWish
from chalicelib.fanout.reconcile import ASTRAY, DIFFERS, EXTRA, GONE, MISSING

TAG = "Reconcile"


class DriftState(TypedDict):
    connection: str
    name: str
    status: str
    parked: int
    held: int
    drift: int
    state: Annotated[str, one_of(["in step", "behind", "parked"])]


class Difference(TypedDict):
    connection: str
    what: Annotated[str, one_of([MISSING, GONE, EXTRA, ASTRAY, DIFFERS])]
    event: str | None
    customer: str | None
    record: str | None
    occurred_at: Instant | None
    reason: str
    found_at: Instant
    delivery: str | None
    status: str | None


class Drift(TypedDict):
    destinations: list[DriftState]
    drift: list[Difference]
    next: Next


class DriftQuery(Paged, total=False):
    connection: ConnectionId


OPERATIONS = {
    "drift": Operation("What a destination lacks or has too much", {200: Drift}, query=DriftQuery),
    "start": Operation("Compare a destination and mend it", {202: JobStarted}, ReconcileWish),
    "backfill": Operation("Bring existing history to a destination", {202: JobStarted}, BackfillWish),
}
