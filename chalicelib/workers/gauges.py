"""What the alarms of infra/template.yaml look at and AWS does not know: measured by the sweep, once a minute.

Not from the hook and not from the other workers: a measure costs a library's import, and these are about the
stage and no single webhook.
"""

from __future__ import annotations

from chalicelib import telemetry
from chalicelib.model.connection import ACTIVE, PAUSED, Connection
from chalicelib.settings import settings
from chalicelib.store import deliveries
from chalicelib.store.table import Table

SWEEPS = "Sweeps"
"""That it came to its end: the heartbeat."""
TAKEN = "DeadLettersTaken"
CONNECTIONS_STOPPED, CONNECTIONS_PAUSED = "ConnectionsStopped", "ConnectionsPaused"
"""By themselves, which needs somebody soon; and by hand, which somebody may have forgotten."""
LAG = "DeliveryLag"
SHOWN = 20
"""Destinations named in the line of the log, the longest wait first."""


def tell(table: Table, everyone: list[Connection], taken: int) -> None:
    """`taken`: dead letters of this sweep."""
    if not telemetry.measured():
        return
    known = [each for each in everyone if not each.deleted]
    paused = sum(each.status == PAUSED for each in known)
    stopped = sum(each.status not in (ACTIVE, PAUSED) for each in known)
    counts = {SWEEPS: 1, TAKEN: taken, CONNECTIONS_STOPPED: stopped, CONNECTIONS_PAUSED: paused}
    waits = _waits(table, {each.id for each in known if each.status == ACTIVE})
    beside = [{"connection": connection, "seconds": seconds} for connection, seconds in waits[:SHOWN]]
    lag = waits[0][1] if waits else 0
    telemetry.measure(settings().stage, counts, {LAG: lag}, waiting=beside)


def _waits(table: Table, active: set[str]) -> list[tuple[str, int]]:
    """Of destinations that are sent to, in seconds. A stopped one lets all of it wait, and is told as stopped."""
    found = [(connection, ms // 1000) for connection, ms in deliveries.waiting(table).items() if connection in active]
    return sorted(found, key=lambda each: each[1], reverse=True)
