"""Magic links: a customer's page, or the console, for whoever holds the link, for some hours, to read only.

The token names one identity node and a moment, under the stage's MAC: nothing is stored. It opens
whichever customer the node belongs to now, so it goes along with a merge and with an un-merge.
In place of a node it may name the console: then it opens whatever a key with the scope read may get.
"""

from __future__ import annotations

import msgspec

from chalicelib.api.answers import MAGIC, WHOEVER, Call, Reply, base_url, wrong
from chalicelib.context import graph, people
from chalicelib.context.graph import Rules
from chalicelib.context.record import rules_of
from chalicelib.errors import Erased, KeyMissing, NotFound, ScopeMissing
from chalicelib.model import instants
from chalicelib.model.customer import Person
from chalicelib.store import ids, organisation
from chalicelib.store.keys import ApiKey
from chalicelib.store.table import Table

USUAL_SECONDS, SHORTEST_SECONDS, LONGEST_SECONDS = 8 * 3600, 60, 7 * 86400


CONSOLE = "console"
"""Stands where a node would: no node is named so."""
ONE = "magic link"
"""What the holder of a link to one customer is called."""


class NewLink(msgspec.Struct, forbid_unknown_fields=True):
    """A `customer`'s page or the `console`. `expires_in`: seconds."""

    customer: str = ""
    console: bool = False
    expires_in: int = USUAL_SECONDS


def mint(call: Call) -> Reply:
    asked = call.read(NewLink)
    if not SHORTEST_SECONDS <= asked.expires_in <= LONGEST_SECONDS:
        raise wrong("/expires_in", f"must be from {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds")
    node, page = _bound_to(call.table, asked)
    until = instants.now_ms() + asked.expires_in * 1000
    token = ids.seal(MAGIC, node, str(until), letters=ids.WHOLE)
    path, hub = f"{page}#t={token}", base_url(call.request)
    shown = {"url": f"{hub}/{path}", "token": token, "expires_at": instants.from_ms(until)}
    return Reply(shown | ({} if asked.console else {"embed_url": f"{hub}/embed/{path}"}), 201)


def _bound_to(table: Table, asked: NewLink) -> tuple[str, str]:
    """(what the token names, the page that it opens)"""
    if asked.console:
        if asked.customer:
            raise wrong("/customer", "a link opens one customer's page or the console, not both")
        return CONSOLE, CONSOLE
    if not asked.customer:
        raise wrong("/customer", "is required, unless the link is for the console")
    person = _person(table, asked.customer)
    return person.oldest, f"customers/{person.customer.id}"


def _rules(table: Table) -> Rules:
    return rules_of(organisation.read(table))


def _person(table: Table, customer: str) -> Person:
    try:
        return people.by_id(table, _rules(table), customer)
    except NotFound as unknown:
        raise wrong("/customer", "no such customer") from unknown


def opened(table: Table, token: str, method: str, customer: str | None) -> ApiKey | None:
    """What a token may do at a view, of `customer` where it is of one; None when it is no token of ours.

    Raises KeyMissing when it has expired, ScopeMissing where no magic link goes, NotFound for
    somebody else.
    """
    parts = ids.unseal(MAGIC, token, ids.WHOLE)
    if parts is None:
        return None
    node, until = parts
    if int(until) <= instants.now_ms():
        raise KeyMissing("this magic link has expired: ask for a new one")
    if node == CONSOLE:
        return _reader(method)
    if customer is None:
        raise ScopeMissing("a magic link opens the page of one customer and nothing else")
    if customer != WHOEVER and not _leads_to(table, node, customer):
        raise NotFound("no such customer")
    return _holder()


def _reader(method: str) -> ApiKey:
    """Of the console: what it reads, its scope decides; that it only reads, its methods."""
    if method != "GET":
        raise ScopeMissing("a magic link only reads")
    return _holder("console link")


def _holder(name: str = ONE) -> ApiKey:
    return ApiKey(id="", name=name, scopes=("read",), created_at="")


def _leads_to(table: Table, node: str, customer: str) -> bool:
    """An id that is born of the token's own node needs no look-up: the view resolves that node."""
    if graph.node_of(customer.removeprefix(people.PREFIX)) == node:
        return True
    rules = _rules(table)
    try:
        mine, theirs = people.of_node(table, rules, node), people.by_id(table, rules, customer)
    except (Erased, NotFound):
        return False
    return mine is not None and mine.id == theirs.id
