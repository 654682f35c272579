"""Alert: the owner is told that something needs him, at the connection that the setting `alerts` names.

One job an alert; a receiver that cannot be reached is asked again for a day.
"""

from __future__ import annotations

from chalicelib import destinations, telemetry
from chalicelib.errors import DeliveryFailed
from chalicelib.fanout import outward
from chalicelib.model.customer import Entry
from chalicelib.model.event import Event, stamp
from chalicelib.store import connections, organisation
from chalicelib.store.jobs import Job, Turn
from chalicelib.store.table import Table

MOST_TRIES = 100
LONGEST_WAIT = 900


def run(table: Table, job: Job) -> Turn:
    organisation.forget()  # somebody may have named it a moment ago, because of this
    wanted = organisation.read(table).alerts
    connection = connections.get(table, wanted) if wanted else None
    if connection is None or connection.deleted or connection.id == job.params["connection"]:
        return Turn("", 0, () if not wanted else ("the connection of the setting alerts is not there",))
    destination = destinations.load(connection.provider)
    tries = int(job.cursor or 0)
    try:
        if append := destination.append_activity:
            entry = Entry(event_of(job), "")
            outward.through(table, connection, destination, lambda http: append(http, "", entry))
    except DeliveryFailed as failed:
        if tries >= MOST_TRIES:
            telemetry.warn("an alert could not be told", job=job.id, reason=failed.reason)
            return Turn("", 0, (failed.reason,))
        return Turn(str(tries + 1), 0, delay=min(LONGEST_WAIT, 2**tries))
    return Turn("", 1)


def event_of(job: Job) -> Event:
    """`system.<status>` about one connection; its id is the alert's, so that a repeat is known."""
    about = {name: str(job.params[name]) for name in ("connection", "name", "status", "reason")}
    event = Event(
        type="system",
        channel="crm",
        direction="internal",
        actor="system",
        object=job.id,
        occurred_at=job.created_at,
        summary=f"Connection {about['name'] or about['connection']} is {about['status']}: {about['reason']}",
        details=about,
    )
    return stamp(event, about["connection"], "hub")
