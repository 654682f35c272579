"""What a message by rule needs of the context: a customer's newest entries, a link back, a place for
what was sent on his timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chalicelib.context import handover, overview, timeline
from chalicelib.context.record import record
from chalicelib.model import instants
from chalicelib.model.customer import Person
from chalicelib.model.event import Event, stamp
from chalicelib.store import connections, events, organisation
from chalicelib.store.table import Table

LINK_DAYS = 30
RECEIPT = "rule"
"""In the place of a receipt: this came from nobody's webhook."""


def said(table: Table) -> Callable[[Person], Sequence[Event]]:
    """Newest first."""

    def newest(person: Person) -> Sequence[Event]:
        items = timeline.page(table, person.nodes, timeline.Wanted(overview.NEWEST)).items
        return [events.from_item(item) for item in items]

    return newest


def link(table: Table) -> Callable[[Event], str]:
    """To our own web address, with a token that makes whoever follows it part of the event's thread;
    empty where the settings name no address, or the event has no thread."""

    def made(event: Event) -> str:
        thread = events.thread_of(event)
        address = organisation.read(table).channels.get("web", "")
        if thread is None or not address:
            return address
        until = instants.from_ms(instants.now_ms() + LINK_DAYS * 86_400_000)
        return handover.mint(table, thread, handover.ANY, until, RECEIPT, {handover.ANY: address}).url

    return made


def recorder(table: Table) -> Callable[[Event, str], None]:
    """Raises what `record` raises: the message is taken again, and the event is the same."""

    def put(event: Event, connection: str) -> None:
        found = connections.get(table, connection)
        stamped = stamp(event, connection, found.provider if found else RECEIPT)
        record(table, stamped, RECEIPT, organisation.read(table))

    return put
