"""The inbox: arrivals become events, events become context, and each leaves a receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chalicelib import destinations, telemetry
from chalicelib.context import erase, people
from chalicelib.context.fields import Repeats
from chalicelib.context.record import DUPLICATE, EXPIRED, REFUSED, record, rules_of
from chalicelib.fanout import prints
from chalicelib.ingest import arrival as arrivals
from chalicelib.ingest import read as reading
from chalicelib.ingest.arrival import Arrival
from chalicelib.ingest.receive import source_of
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.event import Event, digest
from chalicelib.store import connections, contacts, jobs, organisation, queues, receipts
from chalicelib.store.receipts import Produced
from chalicelib.store.table import DynamoTable, Item, Put, Table
from chalicelib.workers import reapply
from chalicelib.workers.batch import Batch, Record

Lookup = Callable[[str], Connection | None]
UNREADABLE = "unreadable"
RECORDS = ("crm", "desk")
"""Kinds of identities that are the number of a record in such a system."""
SLICE = 100
"""Events of one request that are recorded at once."""
REST = "rest"
"""Kind of the job that records the others."""


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
    before: Sequence[Produced] = (),
    start: int = 0,
) -> Item:
    """The receipt item of an arrival whose events are on their timelines. Also a replay's way:
    `before` is what the receipt said of its events. Of a large batch only the first SLICE events are
    recorded here, for a worker has a minute; a job goes on with the rest: `start` is for that.

    Raises what `read` and `record` raise: the message is taken again.
    """
    if connection is None:
        return _receipt(arrival, reading.Reading(reading.IGNORED, reason="the connection was deleted"), (), 0)
    found = reading.read(table, arrival, connection, fetched)
    lists = organisation.read(table)
    kept = {each.id: each.pk for each in before}
    events = found.events[start : start + SLICE]
    produced = [_recorded(table, arrival, event, lists, kept.get(event.id, ""), connection) for event in events]
    _demanded(table, connection, events, produced, lists)
    if REFUSED in {each.verdict for each in produced}:
        reading.forget(table, arrival, connection)
    if start == 0 and len(found.events) > SLICE:
        jobs.start(table, REST, {"receipt": receipts.key_of(arrival.connection, arrival.at, arrival.id)})
    return _receipt(arrival, found, (*before[:start], *produced), kept_days(connection, lists, receipt=True))


def kept_days(connection: Connection, lists: organisation.Organisation, receipt: bool = False) -> int:
    """How long its events, or its receipts, are kept; 0: as the stage is set."""
    name = "receipt_retention_days" if receipt else "retention_days"
    return int(connection.settings.get(name) or getattr(lists, name))


def _recorded(
    table: Table,
    arrival: Arrival,
    event: Event,
    lists: organisation.Organisation,
    kept: str,
    connection: Connection,
) -> Produced:
    if arrival.test:
        return receipts.produced_of(event, "", "test")
    _, mark = receipts.key_of(arrival.connection, arrival.at, arrival.id)
    days = kept_days(connection, lists)
    outcome = record(
        table, event, mark, lists, kept, days, connection.field_priority, repeats(table, connection, event)
    )
    if outcome.pk:
        reapply.of_event(table, event)
    if outcome.verdict == DUPLICATE:
        days = kept_days(connection, lists, receipt=True)
        receipts.brought_again(table, outcome.pk, event.id, arrival.connection, mark, days)
    return receipts.produced_of(event, outcome.pk, outcome.verdict)


def repeats(table: Table, connection: Connection, event: Event) -> Repeats:
    """What a system that we keep informed only shows because we wrote it there, unless somebody typed it: an agent's
    word is an agent's word. Two reads, of an event that tells fields."""
    source = source_of(connection.provider)
    copy = source is not None and source.copies and event.type != "identify"
    if event.actor == "agent" or not event.fields or not _informed(connection.provider):
        return Repeats(copies=copy)
    keys = [contacts.pointer_key(connection.id, each.value) for each in event.identities if each.kind in RECORDS]
    nodes = [str(item["node"]) for item in table.batch_get(keys).values()] if keys else []
    held = table.batch_get([contacts.key(connection.id, node) for node in nodes]) if nodes else {}
    at = None if copy else instants.to_ms(event.occurred_at)
    told = {
        name
        for name, value in event.fields.items()
        for known in map(contacts.from_item, held.values())
        if prints.has(known.pushed, name, value) or prints.echoed(known.past, name, value, at)
    }
    return Repeats(frozenset(told), copy)


def _informed(provider: str) -> bool:
    return provider in destinations.slugs() and destinations.load(provider).contacts


def _demanded(
    table: Table,
    connection: Connection,
    found: Sequence[Event],
    produced: Sequence[Produced],
    lists: organisation.Organisation,
) -> None:
    """A shop's privacy demand starts its job: to erase or to export whoever it names, or, where it
    names nobody, to erase all that the shop brought. A redelivery is the same job; and when all is
    erased the demand itself lies before the erasure."""
    for event, told in zip(found, produced, strict=True):
        _adopted(table, connection, event, told, lists)
        asked = demand_of(event, connection)
        if not asked:
            continue
        who = {"by": connection.id, "why": f"demanded by {event.provider_type}"}
        person = people.of_node(table, rules_of(lists), told.pk[2:]) if told.pk.startswith("N#") else None
        if asked == ERASE and not event.identities:
            place = {"connection": connection.id, "scope": str(event.details.get("shop", "")), "at": event.occurred_at}
            _job(table, "redact", event, place | who | {"customer": None})
        elif asked == ERASE and person:
            _job(table, "erase", event, erase.plan(person, instants.now()) | who)
        elif asked == EXPORT and person:
            _job(table, "export", event, {"customer": person.customer.id} | who)


def _adopted(
    table: Table, connection: Connection, event: Event, told: Produced, lists: organisation.Organisation
) -> None:
    """A CRM made one record of several: all that we had under the others is under that one now."""
    merged = event.details.get("merged")
    if event.details.get("status") != "merged" or not isinstance(merged, list) or not told.pk.startswith("N#"):
        return
    person = people.of_node(table, rules_of(lists), told.pk[2:])
    if person:
        contacts.adopt(table, connection.id, person.nodes, str(event.details["primary"]), map(str, merged))


def _job(table: Table, kind: str, event: Event, params: dict[str, Any]) -> None:
    jobs.start(table, kind, params, id=f"job_{digest(kind, event.id)}")


ERASE, EXPORT = "erase", "export"


def demand_of(event: Event, connection: Connection) -> str:
    """What a provider demands in the name of a customer, if anything. Only of a source that is an own
    system by itself, never by a mapping."""
    source = source_of(connection.provider)
    own = event.type == "system" and event.actor == "system" and source is not None and source.own_system
    status = str(event.details.get("status"))
    return status if own and status in (ERASE, EXPORT) else ""


def _receipt(arrival: Arrival, found: reading.Reading, produced: tuple[Produced, ...], days: int) -> Item:
    verdicts = {each.verdict for each in produced}
    verdict, reason = found.verdict, found.reason
    if verdicts == {DUPLICATE}:
        verdict = reading.DUPLICATE
    elif verdicts == {REFUSED}:
        verdict, reason = reading.IGNORED, "occurred before an erasure"
    elif verdicts == {EXPIRED}:
        verdict, reason = reading.IGNORED, "occurred longer ago than this connection's events are kept"
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
        missed=arrival.missed,
        days=days,
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
        missed=arrival.missed,
    )
    table.write(Put(item))
    telemetry.warn("arrival parked", connection=arrival.connection, reason=reason)


def _unreadable(body: str, reason: str) -> Item:
    return receipts.item_of(
        arrival_id=digest(body),
        connection=UNREADABLE,
        received_at=instants.now(),
        packed=body.encode("utf-8", "surrogatepass"),
        verdict=reading.FAILED,
        reason=reason,
    )
