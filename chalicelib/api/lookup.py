"""Screen-pop: customers by identity, order number or name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib.api.answers import Call, Reply, wrong
from chalicelib.api.customers import brief, rules
from chalicelib.context import people
from chalicelib.errors import Erased
from chalicelib.ingest.receive import source_of
from chalicelib.kit import fields as normal
from chalicelib.model.customer import Person
from chalicelib.model.event import Ref
from chalicelib.model.identity import A1_ASSERTED, Identity, parse
from chalicelib.store import connections, organisation
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import live

Match = tuple[str, list[Person]]
NUMBERS = ("phone", "fax")
MOST_IDENTITIES = 20
MOST_SCOPES = 50
"""Connections whose orders are looked through for one number."""
MOST_PERSONS = 50
SHORTEST_NAME, LONGEST_NAME = 3, 60


def find(call: Call) -> Reply:
    """`match` is that of the customers shown: an exact one hides the candidates."""
    if call.value("q"):
        return Reply(_matched(*_search(call, call.value("q").strip())))
    asked = call.values("identity")
    if not 0 < len(asked) <= MOST_IDENTITIES:
        raise wrong("/identity", f"name 1 to {MOST_IDENTITIES} identities, such as email:jan@example.nl, or q")
    wanted = [read_identity(call, text, f"/identity/{number}") for number, text in enumerate(asked)]
    return Reply(_matched(*_best([people.by_identity(call.table, rules(call), each) for each in wanted])))


def _best(matches: list[Match]) -> Match:
    best = max((match for match, _ in matches), key=("none", "candidate", "exact").index)
    return best, _once(person for match, persons in matches if match == best for person in persons)


def _once(persons: Iterable[Person | None]) -> list[Person]:
    return list({person.id: person for person in persons if person}.values())


def _matched(match: str, persons: list[Person]) -> dict[str, Any]:
    return {"match": match, "customers": [brief(person) for person in persons], "next": None}


def read_identity(call: Call, text: str, pointer: str) -> Identity:
    """An identity as somebody types it, normalized like those in events."""
    found = parse(text)
    if found is None:
        raise wrong(pointer, "must be kind:value or kind:scope/value, such as phone:+31612345678")
    value = found.value
    if found.kind in NUMBERS and value[:1] == " ":
        value = "+" + value.strip()  # a plus that was not escaped in the query
    region = organisation.read(call.table).region
    return normal.identity(found.kind, found.scope, value, A1_ASSERTED, region) or found


def _search(call: Call, text: str) -> Match:
    """An identity, an order number, or the first letters of a name."""
    if parse(text):
        return people.by_identity(call.table, rules(call), read_identity(call, text, "/q"))
    if ordered := _by_order(call, text):
        return ("exact" if len(ordered) == 1 else "candidate"), ordered
    if len(text) >= SHORTEST_NAME:
        named = _by_name(call, text.casefold())
        return ("candidate" if named else "none"), named
    if any(letter.isdigit() for letter in text):
        return "none", []
    raise wrong("/q", f"needs an identity, an order number, or at least {SHORTEST_NAME} letters of a name")


def _by_order(call: Call, text: str) -> list[Person]:
    """Whoever takes part in an order of that number, in any shop or store of ours."""
    numbers = dict.fromkeys([text, text.removeprefix("#")])
    refs = [ref_id(Ref("order", number, scope)) for scope in _scopes(call) for number in numbers if number]
    items = [item for ref in refs for item in call.table.query(f"R#{ref}", begins="P#", limit=MOST_PERSONS).items]
    nodes = dict.fromkeys(item["sk"][2:] for item in items if live(item))
    return _persons(call, list(nodes))


def _scopes(call: Call) -> list[str]:
    """Connections that may number orders: own systems first, the longest registered first."""
    receiving = [each for each in connections.everyone(call.table) if source_of(each.provider)]
    ranked = sorted(receiving, key=lambda each: (not _owns(each.provider, each.settings), each.created_at))
    return [each.id for each in ranked[:MOST_SCOPES]]


def _owns(provider: str, settings: dict[str, Any]) -> bool:
    source = source_of(provider)
    return bool(settings.get("own_system", source and source.own_system))


def _by_name(call: Call, name: str) -> list[Person]:
    most = min(call.limit(), MOST_PERSONS)
    hits = call.table.query(f"Q#{name[:3]}", begins=name[:LONGEST_NAME], limit=most, index=True).items
    return _persons(call, [hit["pk"][2:] for hit in hits])


def _persons(call: Call, nodes: list[str]) -> list[Person]:
    return _once(_person(call, node) for node in nodes[:MOST_PERSONS])


def _person(call: Call, node: str) -> Person | None:
    try:
        return people.of_node(call.table, rules(call), node)
    except Erased:
        return None
