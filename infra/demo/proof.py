"""The ledger's numbers, asked from the hub and from the systems around it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from infra.demo.api import Api
from infra.demo.connections import FEED_TYPES, Connected
from infra.demo.ledger import Ledger, Places, Played, Receipts, Told, placed, told, wanted
from infra.demo.payloads import Customer
from infra.demo.systems import Systems

Row = dict[str, Any]


@dataclass
class Books:
    """What is asked of one run. `since`: when it began."""

    api: Api
    connected: Connected
    around: Systems
    since: str

    def receipts(self) -> Receipts:
        found = Receipts()
        for connection in self.connected.sources:
            for row in self.arrived(connection):
                found.add(row["verdict"], [each["id"] for each in row["events"]])
        return found

    def arrived(self, connection: str) -> Iterable[Row]:
        return self.api.pages("/v1/receipts", "receipts", connection=connection, since=self.since)

    def waiting(self) -> set[str]:
        """Of this run and of others."""
        return {entry["id"] for entry in self.api.pages("/v1/waiting", "entries")}

    def customers(self, who: Customer) -> list[str]:
        """Everybody whom one of his identities belongs to: one, when all went well."""
        return self.api.owners(who.identities)

    def possible(self, customers: Iterable[str]) -> set[str]:
        pages = (self.api.pages(f"/v1/customers/{each}/possible", "entries") for each in customers)
        return {entry["id"] for entries in pages for entry in entries}

    def told(self, who: Customer, customers: list[str], entries: list[Row], *, desk: bool) -> list[Told]:
        """Of one customer, at each destination."""
        ids, crm, feed = self.connected.ids, self.around.crm, self.around.feed
        contacts = crm.contacts_with(phone=who.phone, email=who.mail, hub_customer_id=customers[0] if customers else "")
        found = [told("crm", due(entries), crm.times(contacts), len(contacts))]
        if desk:
            found.append(self._desk(who, entries, ids["desk"]))
        told_of = {each["id"]: feed.times[each["id"]] for each in entries}
        return [*found, told("partner", due(entries, FEED_TYPES), told_of, None)]

    def _desk(self, who: Customer, entries: list[Row], own: str) -> Told:
        rows = [row for row in self.around.desk.users.values() if who.mail == row["email"] or who.phone == row["phone"]]
        got = Counter(event for row in rows for event in self.around.desk.events_of(str(row["id"])))
        return told("desk", due(entries, without=(own,)), got, len(rows))

    def leaks(self, who: Customer, customers: list[str]) -> list[str]:
        """What the partner must never see, and did."""
        seen = json.dumps(list(self.around.feed.taken.values()))
        private = (who.name, who.phone, who.mail, who.visitor, *customers)
        return [f"the partner was told {each}" for each in private if each in seen]


def due(entries: Iterable[Row], types: Iterable[str] = (), without: Iterable[str] = ()) -> set[str]:
    named, left_out = tuple(types), tuple(without)
    return {entry["id"] for entry in entries if wanted(named, left_out, entry)}


def ledger_of_one(books: Books, who: Customer, played: Played) -> Ledger:
    """The story's: all lists are read whole."""
    receipts, customers = books.receipts(), books.customers(who)
    entries = [entry for customer in customers for entry in books.api.entries(customer)]
    places = placed(receipts.events, Counter(each["id"] for each in entries), books.possible(customers))
    places.add(Places(waiting=len(books.waiting() & receipts.events)))
    more = books.leaks(who, customers)
    if len(customers) != 1:
        more.append(f"{len(customers)} customers have his identities: it must be one")
    told_of = books.told(who, customers, entries, desk=True)
    told_of[-1].repeats = books.around.feed.again
    return Ledger(played, receipts, places, told_of, more)
