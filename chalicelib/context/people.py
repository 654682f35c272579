"""Customers as the API and the destinations see them, read in a bounded number of requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chalicelib.context import candidates, fields, generations, graph, resolve, satisfaction
from chalicelib.context.evidence import identity_of
from chalicelib.context.handover import PREFERRED
from chalicelib.errors import Busy, Erased, NotFound
from chalicelib.model import instants
from chalicelib.model.customer import Customer, Person
from chalicelib.model.identity import ANONYMOUS_KINDS, Identity
from chalicelib.store.table import Item, Key, Table

PREFIX = "cus_"
TRIES = 5
NOTHING: Mapping[Key, Item | None] = {}
LACKING = {"kind": ""}
"""A node without an item is passed over."""


def public_id(customer: str) -> str:
    return PREFIX + customer


def by_id(table: Table, rules: graph.Rules, text: str, sorts: tuple[str, ...] = ()) -> Person:
    """The customer that a present or former public id names. `sorts`: as `of_node` has it.

    Raises NotFound for an id that never was or whose identity is nobody's now, Erased (410).
    """
    customer = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or len(customer) <= graph.BORN_DIGITS:
        raise NotFound("no such customer")
    node = graph.node_of(customer)
    for each in (node, *resolve.moved(table, node)):
        if person := of_node(table, rules, each, sorts=sorts):
            return person
    raise NotFound("no such customer")


def of_node(
    table: Table,
    rules: graph.Rules,
    node: str,
    seen: Item | None = None,
    sorts: tuple[str, ...] = (),
    *,
    brief: bool = False,
) -> Person | None:
    """Whose node this is; None when it is unknown or nobody's. `seen`: the node's item as just
    read; `sorts`: sort keys of items of his nodes to read along; `brief`: who he is is enough,
    and whether he is anonymous. Raises Erased."""
    known = {node: seen} if seen else None
    views, had = _look(table, rules, [node], [] if brief and _plain(seen) else [node], known, sorts)
    view = views.get(node)
    if brief and view and view.customer and _plain(seen):
        return _brief(view.customer, node, seen)
    return _of_view(table, view, sorts, had) if view else None


def of_nodes(
    table: Table,
    rules: graph.Rules,
    nodes: Sequence[str],
    seen: Mapping[str, Item],
    sorts: tuple[str, ...] = (),
    *,
    brief: bool = False,
) -> dict[str, Person]:
    """The same for several, by node, in as many requests as for one and those that ratings need; without those who
    changed meanwhile. Raises Erased where one of them is."""
    asked = [node for node in nodes if not (brief and _plain(seen.get(node)))]
    views, had = _look(table, rules, nodes, asked, seen, sorts)
    found = {
        node: _brief(view.customer, node, seen.get(node))
        for node, view in views.items()
        if brief and view.customer and _plain(seen.get(node))
    }
    whole = {node: view for node, view in views.items() if node not in found}
    items = _items(table, [key for view in whole.values() for key in _keys(view.nodes, sorts)], had)
    persons = {node: _person(table, view, items, sorts) for node, view in whole.items() if _as_seen(view, items)}
    return found | {node: person for node, person in persons.items() if person}


def _look(
    table: Table,
    rules: graph.Rules,
    nodes: Sequence[str],
    whole: Sequence[str],
    seen: Mapping[str, Item] | None,
    sorts: tuple[str, ...],
) -> tuple[dict[str, resolve.View], Mapping[Key, Item | None]]:
    """Whose nodes these are, and what the same request told of the items of the customers of `whole`: all of it, while
    they are who they were when this container last saw them. None is an item that is not there."""
    mates = [dict.fromkeys((node, *found)) for node in whole if (found := resolve.mates(rules, node))]
    if not whole or len(mates) < len(whole):
        return resolve.read_all(table, rules, nodes, seen), {}
    wanted = [key for each in mates for key in _keys(each, sorts)]
    along = table.batch_get([*wanted, *resolve.beside(rules, nodes)])
    fresh = {node: item for node in whole if (item := along.get((f"N#{node}", "-")))}
    known = {node: item for node, item in (seen or {}).items() if node not in whole}
    return resolve.read_all(table, rules, nodes, known | fresh, along), {key: along.get(key) for key in wanted}


def _items(table: Table, keys: Sequence[Key], had: Mapping[Key, Item | None]) -> dict[Key, Item]:
    """Of these keys what is there; `had`: what was read already."""
    wanted = [key for key in keys if key not in had]
    known = {key: item for key in keys if (item := had.get(key))}
    return known | table.batch_get(wanted) if wanted else known


def _plain(seen: Item | None) -> bool:
    return seen is not None and seen["kind"] not in ANONYMOUS_KINDS


def _brief(customer: str, node: str, seen: Item | None) -> Person:
    return Person(customer, Customer(id=public_id(customer)), {node: seen or {}})


def _of_view(
    table: Table, view: resolve.View, sorts: tuple[str, ...] = (), had: Mapping[Key, Item | None] = NOTHING
) -> Person | None:
    """None for nobody. Raises Erased, and Busy for one who changes all the time."""
    for number in range(TRIES):
        items = _items(table, _keys(view.nodes, sorts), NOTHING if number else had)
        if _as_seen(view, items):
            return _person(table, view, items, sorts)
        now = resolve.read(table, view.rules, view.node)
        if now is None:
            return None
        view = now
    raise Busy("the customer changes all the time")


def _as_seen(view: resolve.View, items: Mapping[Key, Item]) -> bool:
    """Whether his identities are still there: one that was erased, or divided, since says no more what it was."""
    return all("kind" in items.get((f"N#{each}", "-"), LACKING) for each in view.nodes)


def _keys(nodes: Iterable[str], sorts: tuple[str, ...]) -> list[Key]:
    """Of the items of a customer with these nodes."""
    return [(f"N#{each}", sort) for each in nodes for sort in ("-", "F", *sorts)]


def _person(table: Table, view: resolve.View, read: Mapping[Key, Item], sorts: tuple[str, ...]) -> Person | None:
    """`read`: what was found by the keys of this customer, and perhaps of others."""
    if view.customer is None:
        return None
    items = {key: read[key] for key in _keys(view.nodes, sorts) if key in read}
    nodes = {each: items[f"N#{each}", "-"] for each in view.nodes if (f"N#{each}", "-") in items}
    known = fields.merged(fields.from_item(items.get((f"N#{each}", "F"))) for each in view.nodes)
    rated = [each for each, item in nodes.items() if item.get("sat")]
    customer = Customer(
        id=public_id(view.customer),
        identities=tuple(sorted((identity_of(item) for item in nodes.values()), key=_shown_order)),
        fields=known,
        preferred_channel=known[PREFERRED].value if PREFERRED in known else "",
        satisfaction=satisfaction.of_nodes(table, rated) if rated else {},
        former=tuple(public_id(each) for each in view.former),
    )
    conflicts = tuple((a, b, kind) for a, b, kind in view.conflicts)
    more = {key: item for key, item in items.items() if key[1] in sorts}
    decided = tuple((a, b, *adm) for a, b, adm in view.decisions)
    return Person(view.customer, customer, nodes, view.shared, conflicts, decided, more)


def by_identity(table: Table, rules: graph.Rules, identity: Identity) -> tuple[str, list[Person]]:
    """("exact" | "candidate" | "none", customers) for one identity. One that is shared, or that
    somebody only typed, gives its neighbours as candidates: it may be any of them."""
    node = generations.newest(table, identity)[0]
    try:
        view = resolve.read(table, rules, node)
    except Erased:
        view = None
    if view and (person := _of_view(table, view)):
        return "exact", [person]
    found: dict[str, Person] = {}
    for other in dict.fromkeys([*(view.near if view else ()), *candidates.neighbours(table, node)]):
        if len(found) < candidates.MOST and (person := _living(table, rules, other)):
            found[person.id] = person
    return ("candidate", list(found.values())) if found else ("none", [])


def _living(table: Table, rules: graph.Rules, node: str) -> Person | None:
    try:
        return of_node(table, rules, node)
    except Erased:
        return None


def identity_view(item: Item) -> dict[str, object]:
    """One identity as the API shows it."""
    return named(identity_of(item)) | {
        "first_seen": instants.from_ms(item["born"]),
        "last_seen": _dashed(item["last"]) if item.get("last") else None,
    }


def named(identity: Identity) -> dict[str, object]:
    """An identity, whole and by its parts, as the API shows it everywhere."""
    return {
        "identity": identity.text,
        "kind": identity.kind,
        "scope": identity.scope or None,
        "value": identity.value,
        "assurance": f"A{identity.assurance}",
    }


def _dashed(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def _shown_order(identity: Identity) -> tuple[int, str]:
    return -identity.assurance, identity.text
