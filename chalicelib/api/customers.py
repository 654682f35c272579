"""Customers: found by identity, shown whole, their timeline, and what each system has of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib import destinations
from chalicelib.api.answers import Call, Reply, next_cursor, wrong
from chalicelib.context import candidates, conversations, decisions, newest, overview, people, place, timeline
from chalicelib.context.graph import Rules
from chalicelib.context.record import rules_of
from chalicelib.context.timeline import Wanted
from chalicelib.fanout.wants import wants_item
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.model.customer import Person
from chalicelib.model.event import CHANNELS, TYPES, digest
from chalicelib.model.identity import A3_VERIFIED
from chalicelib.store import connections as registered
from chalicelib.store import contacts, deliveries, organisation
from chalicelib.store.contacts import Contact
from chalicelib.store.deliveries import ACTIVITY, CONTACT, Duty
from chalicelib.store.table import Item, live

ORDERS = 5
"""Newest orders that the screen-pop shows."""
SYNCED = 500
"""Newest entries that the sync view compares."""


def rules(call: Call) -> Rules:
    """The graph's limits as the organisation set them."""
    return rules_of(organisation.read(call.table))


def brief(person: Person) -> dict[str, Any]:
    return {
        "id": person.customer.id,
        "name": person.customer.fields["name"].value if "name" in person.customer.fields else None,
        "identities": [each.text for each in person.customer.identities],
    }


def show(call: Call, id: str) -> Reply:
    return Reply(whole(call, shown_person(call, id)))


def shown_person(call: Call, id: str) -> Person:
    """With his contacts in all destinations."""
    return people.by_id(call.table, rules(call), id, tuple(f"C#{each.id}" for each in receivers(call)))


def whole(call: Call, person: Person) -> dict[str, Any]:
    """Everything but his history."""
    customer = person.customer
    entries = newest.entries(call.table, person)
    return (
        brief(person)
        | {
            "former_ids": list(customer.former),
            "anonymous": person.anonymous,
            "verified": _verified(person),
            "orders": _orders(entries, masked=not _verified(person)),
            "fields": {
                name: {"value": field.value, "at": field.at, "source": field.source}
                for name, field in customer.fields.items()
            },
            "identities": [people.identity_view(item) for item in person.nodes.values()],
            "satisfaction": customer.satisfaction,
            "contacts": _contacts(person.more.values()),
            "conflicts": _conflicts(call, person),
            "decisions": _decisions(call, person),
            "candidates": [_candidate(each) for each in candidates.of_nodes(call.table, person.nodes)],
        }
        | overview.told(entries, customer.preferred_channel)
    )


def _verified(person: Person) -> bool:
    """Whether any of his identities is proven: by a login, a redeemed token. That a CRM has a record of
    him proves whose record it is, and not who he is."""
    return any(each.assurance >= A3_VERIFIED and each.kind != "crm" for each in person.customer.identities)


def _orders(entries: list[overview.Entry], *, masked: bool) -> list[dict[str, Any]]:
    """His newest orders; of somebody who is not verified no more than that there are some."""
    found: dict[str, dict[str, Any]] = {}
    for event in (entry.event for entry in entries if entry.event.type == "order"):
        number = str(event.details.get("number") or event.object)
        told = {"number": number, "status": event.details.get("status"), "at": event.occurred_at}
        more = {} if masked else {"total": event.details.get("total"), "items": event.details.get("items")}
        hidden = {"number": f"…{number[-2:]}", "masked": True} if masked else {"masked": False}
        found.setdefault(number, told | more | hidden)
    return list(found.values())[:ORDERS]


def _candidate(candidate: candidates.Candidate) -> dict[str, Any]:
    return {
        "customer": people.public_id(candidate.customer) if candidate.customer else None,
        "identity": candidate.identity or None,
        "beside": candidate.beside,
        "reason": candidate.why,
        "event": candidate.event,
        "at": candidate.at,
    }


def _conflicts(call: Call, person: Person) -> list[dict[str, Any]]:
    ends = sorted({node for one, other, _ in person.conflicts for node in (one, other)})
    texts = decisions.texts_of(call.table, ends, rules(call))
    return [
        {"kind": kind, "identities": [texts[node] for node in (one, other) if node in texts]}
        for one, other, kind in person.conflicts
    ]


def _decisions(call: Call, person: Person) -> list[dict[str, Any]]:
    """What people decided about him and did not take back, each with the id that takes it back."""
    graph = rules(call)
    texts = decisions.texts_of(call.table, sorted({node for a, b, *_ in person.decisions for node in (a, b)}), graph)
    return [
        {
            "id": decisions.named(graph, a, b, at, state),
            "kind": state,
            "identities": [texts[node] for node in (a, b) if node in texts],
            "at": instants.from_ms(at),
            "by": by,
        }
        for a, b, at, by, state in person.decisions
    ]


def receivers(call: Call) -> list[Connection]:
    having = [each for each in registered.everyone(call.table) if each.provider in destinations.slugs()]
    return [each for each in having if not each.deleted and destinations.load(each.provider).informed]


def _contacts(items: Iterable[Item]) -> list[dict[str, Any]]:
    found = (contacts.from_item(item) for item in items)
    return [
        {"connection": each.connection, "id": each.remote, "last_pushed_at": each.pushed_at or None}
        for each in sorted(found, key=lambda contact: (contact.connection, contact.node))
        if each.remote
    ]


def show_timeline(call: Call, id: str) -> Reply:
    person = people.by_id(call.table, rules(call), id)
    page = timeline.page(call.table, person.nodes, page_wanted(call))
    shown = entries(call, page.items)
    body = {"entries": shown, "next": next_cursor(page.next) if page.next else None}
    parts = [item["sk"] + item["sha"] for item in page.items]
    tag = f'"{digest(*parts, *(str(each["conversation"]) for each in shown), page.next)}"'
    if tag in str(call.request.headers.get("if-none-match", "")):
        return Reply(None, 304, {"ETag": tag})
    return Reply(body, headers={"ETag": tag})


def entries(call: Call, items: list[Item]) -> list[dict[str, Any]]:
    """Lines of history, each with the conversation that it is in now."""
    names = conversations.named(call.table, items)
    return [timeline.entry(item) | {"conversation": names.get(item.get("th", ""))} for item in items]


def page_wanted(call: Call, threads: tuple[str, ...] = ()) -> Wanted:
    """`threads`: only entries of these, whatever the conversations that are asked for."""
    start, since, until = call.cursor(1), call.moment("since"), call.moment("until")
    before = start[0] if start else f"E#{until}" if until else ""
    if before and not before.startswith("E#"):
        raise wrong("/next", "is not a cursor of ours")
    if before and before <= f"E#{since}":
        raise wrong("/since", "must lie before until, or before the page that next goes on from")
    return Wanted(
        limit=call.limit(),
        before=before,
        since=since,
        channels=among(call, "channel", CHANNELS),
        types=among(call, "type", TYPES),
        conversations=threads or conversations.threads_of(call.table, call.listed("conversation")),
    )


def among(call: Call, name: str, allowed: frozenset[str]) -> tuple[str, ...]:
    """The values of a parameter that takes words of a closed set. Raises InputInvalid for another one."""
    found = call.listed(name)
    for value in found:
        if value not in allowed:
            raise wrong(f"/{name}", f"must be among {', '.join(sorted(allowed))}")
    return found


def sync(call: Call, id: str) -> Reply:
    """Per destination: in step, behind or parked, compared over the newest entries and the customer himself."""
    told = receivers(call)
    person = people.by_id(call.table, rules(call), id, tuple(f"C#{each.id}" for each in told))
    items = timeline.page(call.table, person.nodes, Wanted(limit=SYNCED)).items
    shown = [_synced(call, each, person, items) for each in told]
    return Reply({"customer": person.customer.id, "destinations": shown})


def _synced(call: Call, connection: Connection, person: Person, items: list[Item]) -> dict[str, Any]:
    told = connection.subscription.anonymous or not person.anonymous
    told = told and destinations.load(connection.provider).history
    due = [item for item in items if told and wants_item(connection, item)]
    keys = {Duty(connection.id, ACTIVITY, item["pk"][2:], item["sk"]).key: item for item in due}
    himself = Duty(connection.id, CONTACT, person.oldest, person.id).key
    rows = {key: row for key, row in call.table.batch_get([*keys, himself]).items() if live(row)}
    behind = [_behind(item, rows.get(key)) for key, item in keys.items() if not _has(rows.get(key))]
    delivered, row, contact = len(due) - len(behind), rows.get(himself), _contact(connection, person)
    if row and deliveries.is_open(row):
        behind.append(_behind(None, row))
    parked = [each for each in behind if each["status"] == deliveries.PARKED]
    return {
        "connection": connection.id,
        "provider": connection.provider,
        "name": connection.name,
        "state": "parked" if parked else "behind" if behind else "in step",
        "delivered": delivered,
        "behind": [each for each in behind if each not in parked],
        "parked": parked,
        "contact": contact.remote or None,
        "last_pushed_at": (contact.remote and contact.pushed_at) or None,
    }


def _contact(connection: Connection, person: Person) -> Contact:
    """The record that is kept up to date: after a merge he may have one more."""
    mine = (item for item in person.more.values() if item["sk"] == f"C#{connection.id}")
    return contacts.among(mine, connection.id, person.oldest)


def _has(row: Item | None) -> bool:
    return row is not None and row["st"] == deliveries.DELIVERED


def _behind(item: Item | None, row: Item | None) -> dict[str, Any]:
    """Of an entry; of the customer himself where there is none."""
    return {
        "event": item["sk"].rpartition("#")[2] if item else None,
        "type": item["ty"] if item else CONTACT,
        "status": row["st"] if row else "pending",
        "reason": row.get("why") if row else None,
        "due_at": row.get("due") if row else None,
        "delivery": deliveries.public_id(row) if row else None,
    }


def possible(call: Call, id: str) -> Reply:
    """Events at home on an identity that this customer shares with others."""
    person = people.by_id(call.table, rules(call), id)
    found = call.table.batch_get([(f"N#{node}", "-") for node in person.shared])
    page = timeline.page(call.table, {pk[2:]: item for (pk, _), item in found.items()}, page_wanted(call))
    placed = place.placed(call.table, page.items)
    items = [item for item in page.items if item["sk"] not in placed]
    return Reply({"entries": entries(call, items), "next": next_cursor(page.next) if page.next else None})
