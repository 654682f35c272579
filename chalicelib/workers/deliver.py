"""The deliveries queue: each destination's share of a batch on its own thread, so that a slow
or broken one does not delay the others; while it does not answer its rest is put off untried, and
so is what more than its few workers would do at a slow one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec

from chalicelib import destinations, telemetry
from chalicelib.context import adopted, newest
from chalicelib.context.record import rules_of
from chalicelib.fanout import outward
from chalicelib.fanout.ahead import Ahead, Noticed
from chalicelib.fanout.deliver import Office, deliver
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import connections, deliveries, organisation, queues, rules
from chalicelib.store.deliveries import Attempt, Duty
from chalicelib.store.table import DynamoTable, Table
from chalicelib.workers import audiences, context, letters
from chalicelib.workers.batch import Batch, Record, receives
from chalicelib.workers.fanout import people_of, person_of
from chalicelib.workers.turns import Turns

BREATH = 0.1
"""Seconds, after the rest of a batch, until what lost a race is tried once more: whoever won has mostly ended by then,
and the queue would bring it a second later, to be read anew."""


def take(records: list[Record]) -> None:
    table = DynamoTable()
    shares: dict[str, list[Record]] = {}
    for message in records:
        shares.setdefault(_connection(message["body"]), []).append(message)
    batch = Batch(queues.DELIVERIES)
    if len(shares) == 1:
        _share(table, batch, records)
    else:
        with ThreadPoolExecutor(len(shares)) as pool:
            list(pool.map(lambda share: _share(table, batch, share), shares.values()))
    batch.finish()


def _connection(body: str) -> str:
    duty = _duty(body)
    return duty.connection if duty else ""


def _duty(body: str) -> Duty | None:
    """None for what is not ours."""
    try:
        return msgspec.json.decode(body, type=Duty)
    except msgspec.DecodeError:
        return None


def _share(outer: Table, batch: Batch, messages: list[Record]) -> None:
    table = Noticed(outer)
    read = connections.reader(table)
    connection = read(_connection(messages[0]["body"]))
    office = _office(table, read, _ahead(table, connection, messages))
    turns = Turns(table, connection) if connection else None

    lost: list[Record] = []

    def work(message: Record) -> None:
        duty = msgspec.json.decode(message["body"], type=Duty)
        again, crowded = message in lost, turns is not None and turns.crowded()
        mine, tried = replace(office, ahead=None) if again else office, again or receives(message) > 1
        outcome = deliver(mine, duty, tried=tried, down=outward.down(duty.connection), crowded=crowded)
        if outcome == "unknown":
            outward.distrust(duty.connection)

    def park(message: Record, why: str) -> None:
        _park(table, message, why)

    for message in messages:
        batch.take(message, work, park, lost)
    if lost:
        time.sleep(BREATH)
    for message in lost:
        batch.take(message, work, park)
    if turns:
        turns.leave()


def _office(table: Table, read: Callable[[str], Connection | None], ahead: Ahead | None) -> Office:
    return Office(
        table,
        person_of(table),
        read,
        lambda: rules.read(table),
        letters.said(table),
        letters.link(table),
        letters.recorder(table),
        audiences.known(table),
        lambda person: newest.preferred_channel(table, person),
        lambda *record: adopted.unite(table, rules_of(organisation.read(table)), *record),
        ahead,
    )


def _ahead(table: Noticed, connection: Connection | None, messages: list[Record]) -> Ahead | None:
    if connection is None or connection.provider not in destinations.slugs():
        return None
    contacts = destinations.load(connection.provider).contacts
    sorts = (f"C#{connection.id}",) if contacts else ()
    duties = [duty for each in messages if (duty := _duty(each["body"]))]
    return Ahead(table, duties, people_of(table, sorts, brief=not contacts), sorts)


def _park(table: Table, message: Record, reason: str) -> None:
    """A message that is not ours is seen among the unreadable receipts."""
    duty = _duty(message["body"])
    if duty is None:
        context.park(table, message["body"], reason)
        return
    now = instants.now()
    deliveries.parked(table, duty, Attempt(receives(message), now, now, reason=reason))
    telemetry.warn("delivery parked", connection=duty.connection, reason=reason)
