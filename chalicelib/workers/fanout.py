"""The stream: what changed becomes duties, histories and jobs.

Raises only for errors of AWS, and then before anything was sent; a record that breaks our own
code becomes a job, so that it neither blocks its shard nor gets lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib import destinations, telemetry
from chalicelib.context import people, resolve
from chalicelib.context.record import rules_of
from chalicelib.errors import Busy, Erased, StorageUnavailable
from chalicelib.fanout.ahead import PeopleOf
from chalicelib.fanout.plan import PersonOf, Planned, Planner, image
from chalicelib.model.audience import Audience
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Person
from chalicelib.store import audiences, connections, deliveries, jobs, organisation, pulse, rules
from chalicelib.store.table import DynamoTable, Item, Table
from chalicelib.workers.batch import Record

COALESCE_SECONDS = 2
"""A contact waits this long, so that one push carries the changes of a burst."""


def take(records: list[Record]) -> None:
    table = DynamoTable()
    planner = planner_of(table)
    planned = Planned()
    for record in records:
        try:
            if not pulse.seen(table, image(record, "NewImage")):
                planner.plan(record, planned)
        except (StorageUnavailable, Busy):
            raise
        except Exception as wrong:
            _park(table, record, wrong)
    planner.settle(planned)
    send(table, planned)


def receivers(table: Table) -> list[Connection]:
    """Connections that are kept informed; deleted ones too, which somebody may still be known to."""
    having = [each for each in connections.everyone(table) if each.provider in destinations.slugs()]
    return [each for each in having if destinations.load(each.provider).informed]


def planner_of(table: Table) -> Planner:
    told, look = tuple(receivers(table)), remembered(person_of(table))
    return Planner(table, told, resolve.customers, look, rules.read(table), fed(audiences.read(table), told))


def fed(known: Sequence[Audience], told: Sequence[Connection]) -> tuple[Audience, ...]:
    """Those whose feed is there."""
    there = {each.id for each in told if not each.deleted}
    return tuple(each for each in known if each.feed in there)


def person_of(table: Table) -> PersonOf:
    """Whose node this is now; nobody's when it is shared, blocked or erased."""

    rules = rules_of(organisation.read(table))

    def look(node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False) -> Person | None:
        try:
            return people.of_node(table, rules, node, seen, sorts, brief=brief)
        except Erased:
            return None

    return look


def people_of(table: Table, sorts: tuple[str, ...], *, brief: bool) -> PeopleOf:
    """The same for several at once; none of them where one cannot be read, so that each is asked for alone."""
    rules = rules_of(organisation.read(table))

    def look(nodes: Sequence[str], seen: Mapping[str, Item]) -> Mapping[str, Person]:
        try:
            return people.of_nodes(table, rules, nodes, seen, sorts, brief=brief)
        except (Busy, Erased):
            return {}

    return look


def remembered(look: PersonOf) -> PersonOf:
    """One look at each customer for a batch: all its records were written before it began."""
    known: dict[str, Person | None] = {}

    def once(node: str, seen: Item | None = None, sorts: tuple[str, ...] = (), *, brief: bool = False) -> Person | None:
        if node not in known:
            person = look(node, seen, sorts)
            known.update(dict.fromkeys(person.nodes if person else (node,), person))
        return known.get(node)

    return once


def send(table: Table, planned: Planned) -> None:
    deliveries.send(planned.contacts_alone(), COALESCE_SECONDS)
    deliveries.send(list(planned.activities))
    deliveries.send([duty for duty, at_once in planned.members.items() if at_once])
    deliveries.send([duty for duty, at_once in planned.members.items() if not at_once], COALESCE_SECONDS)
    for node in planned.histories:
        jobs.start(table, "history", {"node": node})
    if planned.moved:
        jobs.start(table, "moves", {"nodes": list(planned.moved)})


def _park(table: Table, record: dict[str, object], wrong: Exception) -> None:
    reason = telemetry.where(wrong)
    telemetry.warn("stream record failed", reason=reason)
    jobs.start(table, "plan", {"record": _keys(record), "reason": reason})


def _keys(record: dict[str, object]) -> dict[str, str]:
    stream = record.get("dynamodb")
    keys = stream.get("Keys", {}) if isinstance(stream, dict) else {}
    return {name: str(keys.get(name, {}).get("S", "")) for name in ("pk", "sk")}
