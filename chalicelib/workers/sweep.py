"""Every minute: retries whose message was lost or is far away, what died in the queues, subscriptions at
providers that are about to end, providers to be asked for what they never delivered, and hours to be counted."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from chalicelib import telemetry
from chalicelib.errors import DeliveryFailed, PayloadMalformed
from chalicelib.ingest.receive import source_of
from chalicelib.kit.fields import instant
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Renewal
from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE, Connection
from chalicelib.settings import settings
from chalicelib.store import connections, deliveries, jobs, pulse, queues, secrets
from chalicelib.store.deliveries import Attempt, Duty
from chalicelib.store.table import ABSENT, DynamoTable, Item, Put, Table, equal, live, now_seconds
from chalicelib.workers import context, gauges, migrate, missed, reconcile, stats

DEAD = "received a hundred times without success"
ROUNDS = 10
"""Batches of ten dead letters taken from each queue in one sweep."""
SLOW_MS = 10_000
"""A sweep that took so long is told, though it had nothing to do: what is overdue waits for the next."""
RENEWING_SECONDS = 15
"""After this long no other renewal begins in the same sweep."""
LEASE, SOONEST, LATEST = 300, 60, 3600
"""Seconds until a renewal is asked again: when its sweep died, at the earliest, and after many failures."""
REMEMBERED = 90 * 86400


def take() -> None:
    table, began = DynamoTable(), time.monotonic()
    now = instants.now()
    sent = sum(deliveries.take_due(table, number, now) for number in range(deliveries.SHARDS))
    buried = sum(_drain(table, queue, bury) for queue, bury in BURIALS.items())
    everyone = connections.everyone(table)
    renewed, asked = _renew_all(table, everyone), missed.start_due(table, everyone)
    compared = reconcile.start_due(table, everyone) + stats.start_due(table, everyone)
    migrate.start_due(table)
    pulse.beat(table)
    ms = int((time.monotonic() - began) * 1000)
    if sent or buried or renewed or asked or compared or ms >= SLOW_MS:
        done = {
            "retries": sent,
            "dead_letters": buried,
            "renewals": renewed,
            "catch_ups": asked,
            "passes": compared,
            "ms": ms,
        }
        telemetry.note("sweep", **done)
    gauges.tell(table, everyone, buried)


def _drain(table: Table, queue: str, bury: Callable[[Table, str], None]) -> int:
    """Move dead letters into the table, where they are seen and can be replayed."""
    count = 0
    for _ in range(ROUNDS):
        letters = queues.drain(f"{queue}-dlq")
        for body, handle in letters:
            if not pulse.is_one(body):
                bury(table, body)
                count += 1
            queues.delete(f"{queue}-dlq", [handle])
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
    if not deliveries.known(duty):
        context.park(table, body, "written by a newer version of the hub, which did not come")
        return
    now = instants.now()
    deliveries.parked(table, duty, Attempt(1, now, now, reason=DEAD))


def _bury_job(table: Table, body: str) -> None:
    if job := jobs.get(table, body):
        jobs.fail(table, job, DEAD)
    else:
        context.park(table, body, DEAD)


def _renew_all(table: Table, everyone: list[Connection]) -> int:
    """Renewals that succeeded. The state lies with each connection; one that has none yet is due at once."""
    found = [(each, renewal) for each in everyone if (renewal := _renewal(each))]
    states = table.batch_get([_state_key(each) for each, _ in found])
    until, count = time.monotonic() + RENEWING_SECONDS, 0
    for connection, renewal in found:
        state = live(states.get(_state_key(connection)))
        if (state is None or state["due"] <= now_seconds()) and time.monotonic() < until:
            count += _renew(table, connection, renewal, state or states.get(_state_key(connection)))
    return count


def _renewal(connection: Connection) -> Renewal | None:
    source = source_of(connection.provider) if connection.status == ACTIVE else None
    renewal = source.renew if source else None
    return renewal if renewal and all(keys_of(connection.secrets, name) for name in renewal.needs) else None


def _renew(table: Table, connection: Connection, renewal: Renewal, state: Item | None) -> bool:
    """Claim first, so that two sweeps never ask at once; a sweep that dies leaves it due again."""
    tries = state["n"] + 1 if state else 1
    claim = _state(connection, LEASE, tries, state["ver"] + 1 if state else 1)
    if not table.write(Put(claim, equal(ver=state["ver"]) if state else ABSENT)):
        return False
    try:
        ends = instant(_ask(connection, renewal), "the moment when it ends", "UTC")
    except (DeliveryFailed, PayloadMalformed) as wrong:
        connections.note_refusal(table, connection.id, f"the subscription is not renewed: {wrong}")
        telemetry.warn("subscription not renewed", connection=connection.id, reason=str(wrong))
        again, ends = min(LATEST, SOONEST * 2 ** min(tries - 1, 6)), ""
    else:
        left = instants.to_ms(ends) // 1000 - now_seconds()
        again, tries = max(SOONEST, left - renewal.ahead, left // 2 if left < renewal.ahead else 0), 0
    table.write(Put(_state(connection, again, tries, claim["ver"] + 1) | {"ends": ends}, equal(ver=claim["ver"])))
    return bool(ends)


def _ask(connection: Connection, renewal: Renewal) -> str:
    from chalicelib.kit.http import Http

    if not settings().public_url:
        raise PayloadMalformed("DRAAD_PUBLIC_URL is not set: the provider needs our address")
    http = Http(
        base_url=str(connection.settings.get("base_url") or renewal.base),
        settings=connection.settings,
        secrets=secrets.decrypt_all(connection.id, connection.secrets),
        allow_private=settings().allow_private_destinations,
    )
    return renewal.ask(http, f"{settings().public_url}/hooks/{connection.id}")


def _state_key(connection: Connection) -> tuple[str, str]:
    return f"C#{connection.id}", "RENEW"


def _state(connection: Connection, seconds: int, tries: int, ver: int) -> Item:
    pk, sk = _state_key(connection)
    due = now_seconds() + seconds
    return {"pk": pk, "sk": sk, "due": due, "n": tries, "ver": ver, "x": due + REMEMBERED}


BURIALS: dict[str, Callable[[Table, str], None]] = {
    queues.INBOX: _bury_arrival,
    queues.DELIVERIES: _bury_delivery,
    queues.JOBS: _bury_job,
}
