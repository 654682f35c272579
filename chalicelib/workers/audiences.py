"""Audiences: what a customer's history says, everybody looked at again, and everybody who belongs, exported.

    audience           after a change of the definition: each customer's feed looks again   params: audience, feeds
    audience_export    who belongs now, a page of the table a message      params: audience (whole), result

An export keeps no name and no address: those are read when it is downloaded, if consent still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from chalicelib.context import conversations, overview, resolve, timeline
from chalicelib.context.timeline import Wanted
from chalicelib.fanout import feed
from chalicelib.fanout.audiences import Known, weigh
from chalicelib.model.audience import Audience, Facts
from chalicelib.model.customer import Person
from chalicelib.model.event import Event
from chalicelib.store import audiences, deliveries, events
from chalicelib.store.jobs import Job, Turn, cursor, place
from chalicelib.store.table import Item, Table
from chalicelib.workers.fanout import person_of, receivers

WALK, EXPORT = "audience", "audience_export"
PAGE = 100
SETTLING = int(audiences.CACHE_SECONDS) + 1
"""Seconds until no worker plans by the definition before."""
CANCELLED = frozenset({"cancelled", "canceled", "voided"})


def known(table: Table) -> Callable[[Person, bool], Known]:
    return lambda person, whole: of_person(table, person, whole=whole)


def of_person(table: Table, person: Person, *, whole: bool = True) -> Known:
    """By his newest entries; `whole`: by as many as a timeline page looks at for his orders and the last
    contact. What is sensitive counts for nothing."""
    page = timeline.page(table, person.nodes, Wanted(overview.NEWEST))
    newest = [item for item in page.items if events.SENSITIVE not in item]
    names = conversations.named(table, newest)
    entries = [
        overview.Entry(events.from_item(item), _home(item), names.get(item.get("th", ""), "")) for item in newest
    ]
    more = whole and bool(page.next)
    orders = _all(table, person.nodes, "order") if more else newest
    talks = _all(table, person.nodes, *sorted(overview.TALK)) if more and not _contact(newest) else newest
    count, last = _orders(orders)
    return Known(
        preferred_channel=overview.preferred_channel(entries, person.customer.preferred_channel),
        last_contact_at=_contact(talks),
        orders=count,
        last_order_at=last,
        used=tuple(dict.fromkeys(entry.event.address for entry in entries if entry.event.address)),
    )


def _home(item: Item) -> str:
    return str(item["pk"][2:])


def _all(table: Table, nodes: Mapping[str, Item], *types: str) -> list[Item]:
    wanted = Wanted(timeline.MAX_READ, types=types)
    return [item for item in timeline.page(table, nodes, wanted).items if events.SENSITIVE not in item]


def _contact(items: Sequence[Item]) -> str:
    """When somebody was in touch last, he with us or we with him; the newest comes first."""
    talks = (item["sk"][2:26] for item in items if item["ty"] in overview.TALK and item["di"] != "internal")
    return next(talks, "")


def _orders(items: Sequence[Item]) -> tuple[int, str]:
    """How many orders there are that were not cancelled, and when the last of them was placed."""
    newest: dict[str, Event] = {}
    placed: dict[str, str] = {}
    for event in (events.from_item(item) for item in items if item["ty"] == "order"):
        number = _number(event)
        newest.setdefault(number, event)
        placed[number] = event.occurred_at
    counted = [placed[number] for number, event in newest.items() if event.details.get("status") not in CANCELLED]
    return len(counted), max(counted, default="")


def _number(event: Event) -> str:
    named = next((ref.text for ref in event.refs if ref.kind == "order" and not ref.typed), "")
    return named or f"{event.connection}/{event.details.get('number') or event.object}"


def walk(table: Table, job: Job) -> Turn:
    """First whoever a feed was told of, then every customer there is. Nothing is told from here: each
    duty compares for itself, so that any page may come again."""
    step, _, rest = job.cursor.partition("|")
    if not step:
        return Turn("told0|", 0, delay=SETTLING)
    if step.startswith("told"):
        return _told(table, job, int(step[4:]), rest)
    return _everybody(table, job, rest)


def _told(table: Table, job: Job, number: int, rest: str) -> Turn:
    feeds = job.params["feeds"]
    if number >= len(feeds):
        return Turn("all|", 0)
    audience, page = (
        job.params["audience"],
        audiences.told_of(table, feeds[number], job.params["audience"], place(rest), PAGE),
    )
    duties = [feed.duty_of(audience, feeds[number], item["sk"]) for item in page.items]
    deliveries.send(duties)
    following = cursor(page.next)
    return Turn(f"told{number}|{following}" if following else f"told{number + 1}|", len(duties))


def _everybody(table: Table, job: Job, rest: str) -> Turn:
    audience = audiences.named(table, str(job.params["audience"]))
    if audience is None or not audience.feed:
        return Turn("", 0)
    page = table.scan(place(rest), PAGE)
    ids = [customer for item in page.items if item["pk"][:2] == "K#" for customer, _ in resolve.customers(item)]
    deliveries.send([feed.duty_of(audience.id, audience.feed, each) for each in ids])
    following = cursor(page.next)
    return Turn(f"all|{following}" if following else "", len(ids))


def export(table: Table, job: Job) -> Turn:
    """One page of the table: the customers of its clusters who belong."""
    audience = msgspec.convert(job.params["audience"], Audience)
    page, look = table.scan(place(job.cursor), PAGE), person_of(table)
    found: dict[str, Facts] = {}
    for item in (item for item in page.items if item["pk"][:2] == "K#"):
        for customer, _ in resolve.customers(item):
            person = look(customer[13:])
            facts = weigh(audience, person, partial(of_person, table, person)) if person else None
            if person and facts:
                found[person.id] = facts
    audiences.keep_exported(table, job.id, found)
    return Turn(cursor(page.next), len(found))


def leave(table: Table, ids: Sequence[str]) -> int:
    """Have the feeds look again at customers who were just erased: they leave."""
    there = {each.id for each in receivers(table) if not each.deleted}
    known = [each for each in audiences.decoded(table.get(audiences.KEY)) if each.feed in there]
    deliveries.send([feed.duty_of(each.id, each.feed, id) for each in known for id in ids])
    return len(known)
