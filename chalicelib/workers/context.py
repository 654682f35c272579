"""The inbox: arrivals become events, events become context, and each leaves a receipt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chalicelib import telemetry
from chalicelib.context.record import DUPLICATE, REFUSED, record
from chalicelib.ingest import arrival as arrivals
from chalicelib.ingest import read as reading
from chalicelib.ingest.arrival import Arrival
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import connections, organisation, queues, receipts
from chalicelib.store.receipts import Produced
from chalicelib.store.table import DynamoTable, Item, Put, Table
from chalicelib.workers.batch import Batch, Record

Lookup = Callable[[str], Connection | None]
UNREADABLE = "unreadable"


def take(records: list[Record]) -> None:
    """One batch. Receipts of all its messages go in one write, before any message is deleted."""
    table = DynamoTable()
    batch = Batch(queues.INBOX)
    kept: list[Item] = []
    lookup = connections.reader(table)
    for message in records:
        batch.take(
            message,
            lambda each: kept.append(_taken(table, each["body"], lookup)),
            lambda each, why: park(table, each["body"], why),
        )
    if kept:
        table.batch_put(kept)
    batch.finish()


def _taken(table: Table, body: str, lookup: Lookup) -> Item:
    arrival = arrivals.from_message(body)
    return take_arrival(table, arrival, lookup(arrival.connection), None)


def take_arrival(
    table: Table,
    arrival: Arrival,
    connection: Connection | None,
    fetched: dict[str, Any] | None,
    before: Iterable[Produced] = (),
) -> Item:
    """The receipt item of an arrival whose events are on their timelines. Also a replay's way:
    `before` is what the receipt said of its events.

    Raises what `read` and `record` raise: the message is taken again.
    """
    if connection is None:
        return _receipt(arrival, reading.Reading(reading.IGNORED, reason="the connection was deleted"), ())
    found = reading.read(table, arrival, connection, fetched)
    _, mark = receipts.key_of(arrival.connection, arrival.at, arrival.id)
    lists = organisation.read(table)
    kept = {each.id: each.pk for each in before}
    produced = []
    for event in found.events:
        if arrival.test:
            produced.append(receipts.produced_of(event, "", "test"))
            continue
        outcome = record(table, event, mark, lists, kept.get(event.id, ""))
        produced.append(receipts.produced_of(event, outcome.pk, outcome.verdict))
        if outcome.verdict == DUPLICATE:
            receipts.brought_again(table, outcome.pk, event.id, arrival.connection, mark)
    if REFUSED in {each.verdict for each in produced}:
        reading.forget(table, arrival, connection)
    return _receipt(arrival, found, tuple(produced))


def _receipt(arrival: Arrival, found: reading.Reading, produced: tuple[Produced, ...]) -> Item:
    verdicts = {each.verdict for each in produced}
    verdict, reason = found.verdict, found.reason
    if verdicts == {DUPLICATE}:
        verdict = reading.DUPLICATE
    elif verdicts == {REFUSED}:
        verdict, reason = reading.IGNORED, "occurred before an erasure"
    told = REFUSED not in verdicts
    return receipts.item_of(
        arrival_id=arrival.id,
        connection=arrival.connection,
        received_at=arrival.at,
        packed=arrivals.encode(arrival) if told else b"",
        verdict=verdict,
        reason=reason,
        produced=produced,
        fetched=found.fetched if told else {},
        key=arrival.key,
        test=arrival.test,
    )


def park(table: Table, body: str, reason: str) -> None:
    """Keep a message that fails for ever as a receipt that people see and can replay."""
    try:
        arrival = arrivals.from_message(body)
    except ValueError:
        table.write(Put(_unreadable(body, reason)))
        return
    item = receipts.item_of(
        arrival_id=arrival.id,
        connection=arrival.connection,
        received_at=arrival.at,
        packed=arrivals.encode(arrival),
        verdict=reading.FAILED,
        reason=reason,
        key=arrival.key,
        test=arrival.test,
    )
    table.write(Put(item))
    telemetry.warn("arrival parked", connection=arrival.connection, reason=reason)


def _unreadable(body: str, reason: str) -> Item:
    from chalicelib.model.event import digest

    return receipts.item_of(
        arrival_id=digest(body),
        connection=UNREADABLE,
        received_at=instants.now(),
        packed=body.encode("utf-8", "surrogatepass"),
        verdict=reading.FAILED,
        reason=reason,
    )
