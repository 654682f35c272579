"""Reconcile and backfill: one connection against the whole table, a page a message.

backfill    every entry that the connection's subscription wants and that it does not have yet; where
            it keeps no history, the customers of those entries
reconcile   the same, and told as drift; with `look`, the system itself is asked for what was
            delivered and what its records show: what it does not have any more is sent again
recent      what arrived lately: what a destination was not told of, though it was there and wants it, is sent
moves       the entries of customers that are others now, onto their records; reconciling does so too

By itself reconciling runs each night for every destination, and `recent` every quarter of an hour. Both leave
alone what arrived a moment ago, because it is still under way, and what arrived before the destination was
there and nobody asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from chalicelib import destinations, telemetry
from chalicelib.context import adopted, resolve
from chalicelib.context.record import rules_of
from chalicelib.errors import DeliveryFailed, Paced
from chalicelib.fanout import deliver, moves, reconcile
from chalicelib.fanout.plan import Planner
from chalicelib.fanout.reconcile import ASTRAY, DIFFERS, GONE, MISSING, Found
from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE, Connection
from chalicelib.model.event import digest
from chalicelib.model.identity import Identity
from chalicelib.store import connections, contacts, deliveries, jobs, organisation, receipts
from chalicelib.store.deliveries import CONTACT, DELIVERED, Duty
from chalicelib.store.jobs import Job, Turn, cursor, place
from chalicelib.store.receipts import Receipt
from chalicelib.store.secrets import node_id
from chalicelib.store.table import Delete, Item, Key, Table, now_seconds
from chalicelib.workers.fanout import person_of, planner_of, remembered
from chalicelib.workers.rounds import Round

PAGE = 100
LOOK = 25
"""Of a page whose entries the system is asked for, one request or more each."""
RECENT_SECONDS, UNDER_WAY = 900, 600
"""Of the recent pass; and how long what arrived may be under way before it counts as missing."""
RECENTLY: Key = ("ORG", "recent")
ENTRIES_END = "E#\U0010ffff"
PATIENCE = 30.0
"""Seconds that a page waits, all in all, for what we may ask."""


def backfill(table: Table, job: Job) -> Turn:
    connection = _connection(table, job)
    if connection is None:
        return Turn("", 0, ("the connection was deleted, or is told nothing",))
    page = table.scan(place(job.cursor), PAGE)
    params = job.params
    due = reconcile.wanted(table, _planner(table, connection), page.items, params["since"], params["until"])
    fresh = [duty for duty, row in due.items() if row is None]
    deliveries.send(fresh)
    return Turn(cursor(page.next), len(fresh))


def run(table: Table, job: Job) -> Turn:
    connection = _connection(table, job)
    if connection is None:
        return Turn("", 0, ("the connection was deleted, or is told nothing",))
    look = bool(job.params.get("look")) and connection.status == ACTIVE
    page = table.scan(place(job.cursor), LOOK if look else PAGE)
    planner = _planner(table, connection)
    settled = str(job.params.get("settled", ""))
    items = [item for item in page.items if not settled or str(item.get("rc", ""))[: len(settled)] <= settled]
    found = Found(_due(table, planner, connection.created_at if settled else "", items))
    _mend(table, connection, reconcile.compare(found))
    _lead(table, found)
    reconcile.mended(table, [duty for duty, row in found.due.items() if row and row["st"] == DELIVERED])
    _move(table, connection, planner, found)
    if look:
        patience = [PATIENCE]
        _look(table, connection, planner, found, patience)
        _look_at_records(table, connection, planner, page.items, found, patience)
    for item in page.items:
        _unite(table, connection, planner, item)
        if why := reconcile.superfluous(connection, item, planner):
            found.count(reconcile.EXTRA)
            reconcile.note(table, connection.id, reconcile.EXTRA, str(item["remote"]), item["pk"][2:], why)
    if not page.next:
        reconcile.over(table, connection.id, job.created_at)
    counts = _added(job.params.get("counts", {}), found.counts)
    return Turn(cursor(page.next), len(found.due), params=job.params | {"counts": counts})


def _due(table: Table, planner: Planner, since: str, items: Sequence[Item]) -> dict[Duty, Item | None]:
    """What must be there. Of what arrived before `since`: what was asked for, by a backfill or a repair, and no more."""
    parts: dict[bool, list[Item]] = {True: [], False: []}
    for item in items:
        parts[str(item.get("rc", since)) < since].append(item)
    known, fresh = (reconcile.wanted(table, planner, parts[before]) for before in (True, False))
    return {duty: row for duty, row in known.items() if row} | fresh


def move(table: Table, job: Job) -> Turn:
    """A page of one node's entries at a time."""
    nodes = list(job.params["nodes"])
    number, _, after = (job.cursor or "0|E#").partition("|")
    page = table.query(f"N#{nodes[int(number)]}", after=after, before=ENTRIES_END, limit=PAGE)
    planner = planner_of(table)
    duties = moves.misplaced(table, planner.person_of, reconcile.wanted(table, planner, page.items))
    deliveries.send(duties)
    following = f"{number}|{page.next[1]}" if page.next else f"{int(number) + 1}|E#"
    return Turn(following if page.next or int(number) + 1 < len(nodes) else "", len(duties))


def recent(table: Table, job: Job) -> Turn:
    """A page of receipts of one connection and day; what moved since is left to the night."""
    since, until = str(job.params["since"]), str(job.params["until"])
    days = instants.days_between(instants.day(since), instants.day(until))
    places = [(each.id, day) for each in connections.everyone(table) for day in days]
    number, _, before = (job.cursor or "0|").partition("|")
    if int(number) >= len(places):
        return Turn("", 0)
    page = receipts.of_day(table, *places[int(number)], since=since, before=before or until, limit=PAGE)
    missing = _missing(table, planner_of(table), [receipts.from_item(item) for item in page.items])
    for duty in missing:
        reconcile.note(table, duty.connection, MISSING, duty.sort, duty.node, "it was not sent at once: planned now")
    deliveries.send(missing)
    following = f"{number}|{page.next[1]}" if page.next else f"{int(number) + 1}|"
    return Turn(following if page.next or int(number) + 1 < len(places) else "", len(missing))


def _missing(table: Table, planner: Planner, arrived: Iterable[Receipt]) -> list[Duty]:
    """Of what these receipts brought: to those who were there when it came. What was before a destination is history."""
    keys: dict[str, list[Key]] = {}
    made = {each.created_at for each in planner.receivers}
    for each in arrived:
        newest = max((at for at in made if at <= each.received_at), default="")
        keys.setdefault(newest, []).extend((event.pk, event.sk) for event in each.produced if event.pk)
    due: dict[Duty, Item | None] = {}
    for newest, of_these in keys.items():
        there = tuple(each for each in planner.receivers if each.created_at <= newest)
        due |= reconcile.wanted(table, replace(planner, receivers=there), table.batch_get(of_these).values())
    return [duty for duty, row in due.items() if row is None]


def start_due(table: Table, everyone: Sequence[Connection]) -> int:
    """Passes that were begun by the clock."""
    told = [each for each in everyone if _informed(each) and each.status == ACTIVE and not each.deleted]
    keys = [RECENTLY, *((f"C#{each.id}", "RECONCILE") for each in told)]
    found = table.batch_get(keys) if told else {}
    turns = [Round(key, found.get(key), now_seconds()) for key in keys] if told else []
    begun = sum(_begin_night(table, turn, each) for turn, each in zip(turns[1:], told, strict=True))
    return begun + (_begin_recent(table, turns[0]) if turns else 0)


def _begin_night(table: Table, turn: Round, connection: Connection) -> bool:
    """Not before its first night: until then the recent pass looks."""
    if not turn.nightly or not turn.free(table):
        return False
    job = f"job_{digest('reconcile', connection.id, str(turn.now))}"
    if not turn.claim(table, job, RECENT_SECONDS, full=True) or turn.state is None:
        return False
    params = {"connection": connection.id, "look": False, "counts": {}, "settled": _ago(turn.now, UNDER_WAY)}
    jobs.start(table, "reconcile", params, id=job, kept=jobs.SHORT_SECONDS)
    return True


def _begin_recent(table: Table, turn: Round) -> bool:
    if not turn.free(table):
        return False
    job = f"job_{digest('recent', str(turn.now))}"
    if not turn.claim(table, job, RECENT_SECONDS, full=True):
        return False
    window = {"since": _ago(turn.now, 2 * RECENT_SECONDS + UNDER_WAY), "until": _ago(turn.now, UNDER_WAY)}
    jobs.start(table, "recent", window, id=job, kept=jobs.SHORT_SECONDS)
    return True


def _ago(now: int, seconds: int) -> str:
    return instants.from_ms((now - seconds) * 1000)


def _informed(connection: Connection) -> bool:
    return connection.provider in destinations.slugs() and destinations.load(connection.provider).informed


def _mend(table: Table, connection: Connection, missing: list[Duty]) -> None:
    for duty in missing:
        reconcile.note(table, connection.id, MISSING, duty.sort, duty.node, "it was never sent: planned now")
    deliveries.send(missing)


def _lead(table: Table, found: Found) -> None:
    """What waits under a place where its event lies no more is told the right one."""
    astray = [(duty, row) for duty, row in found.due.items() if row and row["nd"] != duty.node and duty.event_keys]
    waiting = [(duty, row) for duty, row in astray if row["st"] != DELIVERED]
    for duty, row in waiting:
        deliveries.follow(table, duty, row["nd"])
    deliveries.send([duty for duty, _ in waiting])


def _move(table: Table, connection: Connection, planner: Planner, found: Found) -> None:
    duties = moves.misplaced(table, planner.person_of, found.due)
    for duty in duties:
        reconcile.note(table, connection.id, ASTRAY, duty.sort, duty.node, "it lies on another record: moved now")
    found.count(ASTRAY, len(duties))
    deliveries.send(duties)


def _look(table: Table, connection: Connection, planner: Planner, found: Found, patience: list[float]) -> None:
    """Ask for what was delivered. A system that cannot be asked, or not now, is left at that."""
    office = deliver.Office(table, planner.person_of, lambda _: connection)
    delivered = [duty for duty, row in found.due.items() if row and row["st"] == DELIVERED]
    for duty in delivered:
        row = found.due[duty]
        try:
            there = _patiently(partial(deliver.still_there, office, duty), patience)
        except DeliveryFailed as failed:
            found.count("not looked at")
            if failed.outcome in ("unauthorized", "gone"):
                return
            continue
        if there is False and row:
            reconcile.note(table, connection.id, GONE, duty.sort, duty.node, "the system does not have it any more")
            _anew(table, planner, duty)
            table.write(Delete((row["pk"], row["sk"])))
            deliveries.send([duty])
            found.count(GONE)


def _anew(table: Table, planner: Planner, duty: Duty) -> None:
    """With his record: it may be gone as well."""
    if person := planner.person_of(duty.node):
        contacts.correct(table, duty.connection, person.nodes, lambda _: "")


def _look_at_records(
    table: Table, connection: Connection, planner: Planner, items: Sequence[Item], found: Found, patience: list[float]
) -> None:
    """Ask whether the records of a page show what they should."""
    office = deliver.Office(table, planner.person_of, lambda _: connection)
    for item in (each for each in items if each["sk"] == f"C#{connection.id}" and each.get("remote")):
        person = planner.person_of(item["pk"][2:])
        if person is None or contacts.of(table, connection.id, person.nodes, person.oldest)[0].node != item["pk"][2:]:
            continue
        try:
            asked = partial(deliver.shows, office, connection, person, str(item["remote"]))
            there = _patiently(asked, patience)
        except DeliveryFailed as failed:
            found.count("not looked at")
            if failed.outcome in ("unauthorized", "gone"):
                return
            continue
        if there is False:
            found.count(DIFFERS)
            reconcile.note(table, connection.id, DIFFERS, person.id, item["pk"][2:], "its record shows something else")
            contacts.correct(table, connection.id, [item["pk"][2:]], lambda _: "")
            deliveries.send([Duty(connection.id, CONTACT, person.oldest, person.id)])
        elif there:
            reconcile.alike(table, connection.id, person.id)


def _unite(table: Table, connection: Connection, planner: Planner, item: Item) -> None:
    """Whoever a record told of at the very moment at which it became this customer's."""
    remote, node = str(item.get("remote", "")), item["pk"][2:]
    told = destinations.load(connection.provider).changes is not None
    if not told or not remote or item["sk"] != f"C#{connection.id}":
        return
    person, known = planner.person_of(node), node_id(Identity("crm", remote, connection.id))
    if person and known not in person.nodes and table.get((f"N#{known}", "-")):
        mine = contacts.belongs(table, contacts.from_item(item), person.nodes)
        if mine and adopted.unite(table, rules_of(organisation.read(table)), connection.id, remote, node):
            telemetry.warn("somebody known by his record alone is joined now", connection=connection.id)


def _patiently(ask: Callable[..., bool | None], patience: list[float]) -> bool | None:
    """As soon as our own pace allows; `patience`: what is left of the page's."""
    waited = False
    while True:
        try:
            return ask(waited=waited)
        except Paced as paced:
            wait = paced.retry_after or 0
            if wait > patience[0]:
                raise
            patience[0] -= wait
            waited = True
            time.sleep(wait)


def _planner(table: Table, connection: Connection) -> Planner:
    return Planner(table, (connection,), resolve.customers, remembered(person_of(table)))


def _connection(table: Table, job: Job) -> Connection | None:
    found = connections.get(table, str(job.params["connection"]))
    return found if found and _informed(found) and not found.deleted else None


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
