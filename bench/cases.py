"""Cases of the context stage: what one event costs at the table.

Every case makes its own world: fresh identities, a history of the given length, then the one
step that is metered.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.meter import Bill
from bench.stage import LARGE, TYPICAL, World, node_of
from chalicelib.context import graph, resolve
from chalicelib.model import instants

_people = itertools.count(1)


@dataclass(frozen=True)
class Budget:
    """Upper bounds; None: the design names none."""

    write_units: float | None = None
    read_units: float | None = None
    requests: int | None = None

    def holds(self, bill: Bill) -> bool:
        pairs = (
            (self.write_units, bill.write_units),
            (self.read_units, bill.read_units),
            (self.requests, bill.reads + bill.writes),
        )
        return all(bound is None or spent <= bound for bound, spent in pairs)


@dataclass(frozen=True)
class Case:
    """`run(world, entries)`: the bill of the step at a history of `entries` events."""

    name: str
    run: Callable[[World, int], Bill]
    budget: Budget = Budget()


def identities(count: int) -> list[str]:
    """Fresh ones of one person. One phone, because a shared one unites nobody; the rest channel-scoped."""
    person = next(_people)
    kinds = ["whatsapp", "phone"] + ["desk"] * max(0, count - 2)
    return [f"{kind}:{_value(kind, person, number)}" for number, kind in enumerate(kinds[:count])]


def _value(kind: str, person: int, number: int) -> str:
    return f"+316{10_000_000 + person}" if kind == "phone" else f"{person}-{number}"


def customer(world: World, count: int, entries: int) -> tuple[list[str], list[str]]:
    """(identities, refs) of somebody with a history, whose thread is known too: its second event
    has looked for what waits there once more."""
    known = identities(count)
    refs = [f"thread:{known[0]}"]
    for _ in range(2):
        world.take(world.webhook(known, refs))
    world.history(known, entries)
    return known, refs


def _customer_of(world: World, identity: str) -> str | None:
    view = resolve.read(world.table, graph.Rules(), node_of(world, identity))
    return view.customer if view else None


def _must_be_one(world: World, one: str, other: str, *, wanted: bool = True) -> None:
    """A case that does not do what its name says would measure nothing."""
    if (_customer_of(world, one) == _customer_of(world, other)) is not wanted:
        raise RuntimeError(f"{one} and {other} are {'two customers' if wanted else 'still one'}")


def known(world: World, entries: int, size: int = TYPICAL) -> Bill:
    who, refs = customer(world, 2, entries)
    return world.take(world.webhook(who, refs, size)).bill


def known_in_tens(world: World, entries: int, size: int = TYPICAL) -> Bill:
    """Ten customers in one batch: one of the ten."""
    people = [customer(world, 2, entries // 10) for _ in range(10)]
    return world.take(*(world.webhook(*each, size) for each in people)).bill.each(10)


def known_by_five(world: World, entries: int) -> Bill:
    who, refs = customer(world, 5, entries)
    return world.take(world.webhook(who, refs)).bill


def first_of_thread(world: World, entries: int, size: int = TYPICAL) -> Bill:
    who, _ = customer(world, 2, entries)
    return world.take(world.webhook(who, [f"thread:new-{who[0]}"], size)).bill


def second_of_thread(world: World, entries: int) -> Bill:
    """Looks once more for what waits, and marks that it did."""
    who, _ = customer(world, 2, entries)
    thread = [f"thread:new-{who[0]}"]
    world.take(world.webhook(who, thread))
    return world.take(world.webhook(who, thread)).bill


def new_ref(world: World, entries: int) -> Bill:
    """A known thread, and an order that it did not point at before."""
    who, refs = customer(world, 2, entries)
    return world.take(world.webhook(who, [*refs, f"order:{who[0]}"])).bill


def two_new_ids(world: World, entries: int, size: int = TYPICAL) -> Bill:
    who = identities(2)
    return world.take(world.webhook(who, [f"thread:{who[0]}"], size)).bill


def id_joins(world: World, entries: int, size: int = TYPICAL) -> Bill:
    """A customer of seven gets his eighth identity, in a known thread."""
    who, refs = customer(world, 7, entries)
    meter = world.take(world.webhook([who[2], f"shop:{who[0]}"], refs, size))
    _must_be_one(world, who[1], f"shop:{who[0]}")
    return meter.bill


def channel_joins(world: World, entries: int) -> Bill:
    """The same from a channel that he did not use before: the event is at home on the new identity."""
    who, refs = customer(world, 7, entries)
    meter = world.take(world.webhook([who[0], f"line:{who[0]}"], refs))
    _must_be_one(world, who[1], f"line:{who[0]}")
    return meter.bill


def _merge(world: World, entries: int, count: int, size: int = TYPICAL) -> Bill:
    one, refs = customer(world, count, entries)
    other, _ = customer(world, count, entries)
    meter = world.take(world.webhook([one[0], other[0]], refs, size))
    _must_be_one(world, one[-1], other[-1])
    return meter.bill


def merge_small(world: World, entries: int, size: int = TYPICAL) -> Bill:
    return _merge(world, entries, 2, size)


def merge_large(world: World, entries: int) -> Bill:
    return _merge(world, entries, 20)


def cut_later(world: World, entries: int) -> Bill:
    """An agent takes two identities of a customer apart."""
    who, _ = customer(world, 4, entries)
    nodes = [node_of(world, each) for each in (who[0], who[1])]
    pair = {graph.pair_of(*nodes): graph.Rec(0, graph.Adm(instants.now_ms(), "agent", graph.CUT))}
    with world.metered() as meter:
        resolve.apply(world.table, graph.Rules(), [resolve.Node(each) for each in nodes], pair)
    _must_be_one(world, who[0], who[1], wanted=False)
    return meter.bill


def waits(world: World, entries: int) -> Bill:
    """A return that names only an order nobody has placed yet."""
    return world.take(world.webhook(refs=[f"order:w-{next(_people)}"], type="return")).bill


def places(world: World, entries: int) -> Bill:
    """The order arrives: its customer gets the return that waited."""
    who, _ = customer(world, 2, entries)
    order = f"order:{who[0]}"
    world.take(world.webhook(refs=[order], type="return"))
    return world.take(world.webhook(who, [order], type="order")).bill


def placed_at_once(world: World, entries: int) -> Bill:
    """A return whose order is known."""
    who, _ = customer(world, 2, entries)
    order = f"order:{who[0]}"
    world.take(world.webhook(who, [order], type="order"))
    return world.take(world.webhook(refs=[order], type="return")).bill


def duplicate(world: World, entries: int, size: int = TYPICAL) -> Bill:
    """The provider sends the same again: a receipt, and no second event."""
    who, refs = customer(world, 2, entries)
    first = world.webhook(who, refs, size)
    world.take(first)
    return world.take(world.again(first)).bill


RECORDED = (
    Case("known identities and thread", known, Budget(4, 8)),
    Case("known, one of a batch of ten", known_in_tens, Budget(4, 8)),
    Case("known, a webhook of 4 KB", partial(known, size=LARGE), Budget(4, 8)),
    Case("known by five identities", known_by_five, Budget(4, 10)),
    Case("first of a thread", first_of_thread, Budget(5, 8)),
    Case("second of a thread", second_of_thread, Budget(4, 8)),
    Case("a new order on a known thread", new_ref, Budget(11, 12)),
    Case("two new ids", two_new_ids, Budget(10, 8)),
    Case("new id joins a customer of 7", id_joins, Budget(8, 8)),
    Case("new channel joins a customer of 7", channel_joins, Budget(8, 8)),
    Case("merge 2+2", merge_small, Budget(12)),
    Case("merge 20+20", merge_large, Budget(14)),
    Case("cut later", cut_later),
    Case("waits for its order", waits),
    Case("the order that places it", places),
    Case("placed at once", placed_at_once),
    Case("duplicate", duplicate, Budget(4, 8)),
)
"""With five identities three more nodes are read, one unit each."""
