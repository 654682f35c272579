"""Cases of the context stage: what one event costs at the table, by what it does to customers.

Every case makes its own world: fresh identities, a history of the given length, then the one
step that is metered; and it checks that this step did what the case's name says.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.meter import Bill, Meter
from bench.stage import LARGE, TYPICAL, World, identity_of, node_of
from chalicelib.context import decisions, resolve
from chalicelib.context.decisions import CUT, Decided, Said
from chalicelib.context.graph import Rules

_people = itertools.count(10_001)
"""All of one length: of two who are alike, the one whose name comes first in the alphabet is an event's home."""
MOST = 25
"""Write units of any single event."""
CROWD = Rules().limit
"""Neighbours that a phone or address has and still belongs to somebody."""
RECEIPT, EVENT, NODE, CLUSTER, AUDIT, AGAIN = "I#", "N# E#", "N# -", "K# -", "N# A#", "N# D#"
PARTICIPANT, REF, CONVERSATION, WAITING = "R# P#", "R# -", "V# -", "R# E#"


@dataclass(frozen=True)
class Budget:
    """Upper bounds; None: the design names none."""

    write_units: float | None = MOST
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


def must(holds: bool, what: str) -> None:
    """A case that does not do what its name says would measure nothing."""
    if not holds:
        raise RuntimeError(f"not so: {what}")


def told(meter: Meter) -> Counter[str]:
    """How many items of each kind the step changed."""
    items = [change.after or change.before or {} for change in meter.changes]
    return Counter(_kind(item["pk"]["S"], item["sk"]["S"]) for item in items)


def _kind(pk: str, sk: str) -> str:
    return pk[:2] if pk.startswith(RECEIPT) else f"{pk[:2]} {sk[:2]}"


def must_change(meter: Meter, **kinds: int) -> None:
    """Exactly these kinds of items, beside one receipt and one event."""
    expected = Counter({RECEIPT: 1, EVENT: 1} | {_NAMES[name]: number for name, number in kinds.items()})
    must(told(meter) == expected, f"{dict(told(meter))} is {dict(expected)}")


_NAMES = {
    "nodes": NODE,
    "clusters": CLUSTER,
    "audits": AUDIT,
    "participants": PARTICIPANT,
    "refs": REF,
    "conversations": CONVERSATION,
    "waiting": WAITING,
    "events": EVENT,
}


def identities(count: int) -> list[str]:
    """Fresh ones of one person. One phone, because a shared one unites nobody; the rest channel-scoped."""
    person = next(_people)
    kinds = ["whatsapp", "phone"] + ["desk"] * max(0, count - 2)
    return [f"{kind}:{_value(kind, person, number)}" for number, kind in enumerate(kinds[:count])]


def _value(kind: str, person: int, number: int) -> str:
    if kind == "email":
        return f"family-{person}@example.nl"
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


def crowd(world: World, kind: str, count: int, entries: int) -> tuple[str, list[str]]:
    """(contact point, identities) of `count` people who each were seen with that contact point.
    The first was seen twice: his thread is known."""
    person = next(_people)
    point = f"{kind}:{_value(kind, person, 0)}"
    people = [f"desk:{_value('desk', person, number)}" for number in range(count)]
    world.take(*(world.webhook([each, point], [f"thread:{each}"]) for each in (*people, people[0])))
    world.history([point, *people], entries)
    must((customer_of(world, point) is None) is (count > CROWD), f"{count} people share {kind}")
    return point, people


def customer_of(world: World, identity: str) -> str | None:
    view = resolve.read(world.table, Rules(), node_of(world, identity))
    return view.customer if view else None


def must_be_one(world: World, one: str, other: str, *, wanted: bool = True) -> None:
    same = customer_of(world, one) == customer_of(world, other)
    must(same is wanted, f"{one} and {other} are {'one customer' if wanted else 'two customers'}")


def known(world: World, entries: int, size: int = TYPICAL) -> Bill:
    who, refs = customer(world, 2, entries)
    meter = world.take(world.webhook(who, refs, size))
    must_change(meter)
    return meter.bill


def known_in_tens(world: World, entries: int, size: int = TYPICAL) -> Bill:
    """Ten customers in one batch: one of the ten."""
    people = [customer(world, 2, entries // 10) for _ in range(10)]
    meter = world.take(*(world.webhook(*each, size) for each in people))
    must(told(meter) == {RECEIPT: 10, EVENT: 10}, "ten receipts and ten events")
    return meter.bill.each(10)


def known_ten_times(world: World, entries: int) -> Bill:
    """Ten webhooks of one customer in one batch: one of the ten. The first finds where he is."""
    who, refs = customer(world, 2, entries)
    meter = world.take(*(world.webhook(who, refs) for _ in range(10)))
    must(told(meter) == {RECEIPT: 10, EVENT: 10}, "ten receipts and ten events")
    return meter.bill.each(10)


def known_by_five(world: World, entries: int) -> Bill:
    who, refs = customer(world, 5, entries)
    meter = world.take(world.webhook(who, refs))
    must_change(meter)
    return meter.bill


def first_of_thread(world: World, entries: int, size: int = TYPICAL) -> Bill:
    who, _ = customer(world, 2, entries)
    meter = world.take(world.webhook(who, [f"thread:new-{who[0]}"], size))
    must_change(meter, participants=1)
    return meter.bill


def second_of_thread(world: World, entries: int) -> Bill:
    """Looks once more for what waits, and marks that it did."""
    who, _ = customer(world, 2, entries)
    thread = [f"thread:new-{who[0]}"]
    world.take(world.webhook(who, thread))
    meter = world.take(world.webhook(who, thread))
    must_change(meter, participants=1)
    return meter.bill


def two_new_ids(world: World, entries: int, size: int = TYPICAL) -> Bill:
    who = identities(2)
    meter = world.take(world.webhook(who, [f"thread:{who[0]}"], size))
    must_change(meter, nodes=2, clusters=1, participants=1)
    must_be_one(world, *who)
    return meter.bill


def id_joins(world: World, entries: int, size: int = TYPICAL) -> Bill:
    """A customer of seven gets his eighth identity, in a known thread."""
    who, refs = customer(world, 7, entries)
    meter = world.take(world.webhook([who[2], f"shop:{who[0]}"], refs, size))
    must_be_one(world, who[1], f"shop:{who[0]}")
    return meter.bill


def channel_joins(world: World, entries: int) -> Bill:
    """The same from a channel that he did not use before: the event is at home on the new identity."""
    who, refs = customer(world, 7, entries)
    meter = world.take(world.webhook([who[0], f"line:{who[0]}"], refs))
    must_be_one(world, who[1], f"line:{who[0]}")
    return meter.bill


def _merge(world: World, entries: int, count: int, size: int = TYPICAL) -> Bill:
    one, refs = customer(world, count, entries)
    other, _ = customer(world, count, entries)
    must_be_one(world, one[-1], other[-1], wanted=False)
    meter = world.take(world.webhook([one[0], other[0]], refs, size))
    must_be_one(world, one[-1], other[-1])
    must(told(meter)[AUDIT] == 1, "the merge is in the audit")
    return meter.bill


def merge_small(world: World, entries: int, size: int = TYPICAL) -> Bill:
    return _merge(world, entries, 2, size)


def merge_large(world: World, entries: int) -> Bill:
    return _merge(world, entries, 20)


def _cut(world: World, one: str, other: str) -> Decided:
    ends = [identity_of(world, each) for each in (one, other)]
    return decisions.on_identities(world.table, Rules(), *ends, Said(CUT, "agent", "a brother"))


def cut_later(world: World, entries: int) -> Bill:
    """An agent takes two identities of a customer apart."""
    who, _ = customer(world, 4, entries)
    must_be_one(world, who[0], who[1])
    with world.metered() as meter:
        _cut(world, who[0], who[1])
    must_be_one(world, who[0], who[1], wanted=False)
    must(told(meter)[AUDIT] == 1, "the cut is in the audit")
    return meter.bill


def cut_undone(world: World, entries: int) -> Bill:
    """… and takes that back."""
    who, _ = customer(world, 4, entries)
    before = customer_of(world, who[0])
    made = _cut(world, who[0], who[1])
    must_be_one(world, who[0], who[1], wanted=False)
    with world.metered() as meter:
        decisions.undo(world.table, CUT, made.id, Rules(), "agent", "the same man after all")
    must_be_one(world, who[0], who[1])
    must(customer_of(world, who[0]) == before, "the former id is back")
    must(told(meter)[AUDIT] == 1, "the undo is in the audit")
    return meter.bill


def _saturates(world: World, kind: str, point: str, people: list[str], newcomer: str) -> Meter:
    must_be_one(world, people[0], people[-1])
    meter = world.take(world.webhook([newcomer, point], [f"thread:{people[0]}"]))
    must(customer_of(world, point) is None, f"the {kind} is nobody's")
    everybody = {customer_of(world, each) for each in (*people, newcomer)}
    must(len(everybody) == len(people) + 1, "everybody is a customer of his own")
    return meter


def saturates(world: World, entries: int) -> Bill:
    """The sixth person with one phone, in a known thread: he is new, and six customers come of one."""
    phone, people = crowd(world, "phone", CROWD, entries)
    return _saturates(world, "phone", phone, people, f"desk:new-{people[0]}").bill


def saturates_between(world: World, entries: int) -> Bill:
    """The same, but the sixth is a customer of seven already."""
    phone, people = crowd(world, "phone", CROWD, entries)
    who, _ = customer(world, 7, entries)
    meter = _saturates(world, "phone", phone, people, who[0])
    must_be_one(world, who[0], who[-1])
    return meter.bill


def on_shared_phone(world: World, entries: int) -> Bill:
    """A call that tells the number alone: it stays there, and is nobody's."""
    phone, _ = crowd(world, "phone", CROWD + 1, entries)
    for _ in range(2):
        world.take(world.webhook([phone], [f"thread:{phone}"]))
    meter = world.take(world.webhook([phone], [f"thread:{phone}"]))
    must_change(meter)
    must(customer_of(world, phone) is None, "the phone is nobody's")
    return meter.bill


def known_on_shared_phone(world: World, entries: int) -> Bill:
    phone, people = crowd(world, "phone", 2 * CROWD, entries)
    for _ in range(2):
        meter = world.take(world.webhook([people[0], phone], [f"thread:{people[0]}"]))
    must_change(meter)
    must_be_one(world, people[0], people[1], wanted=False)
    return meter.bill


def new_on_shared_phone(world: World, entries: int) -> Bill:
    """Long after the sixth: its crowd has come apart, two nodes with each newcomer."""
    phone, people = crowd(world, "phone", 2 * CROWD, entries)
    must(_beside(world, phone) == 0, "the phone is by itself")
    return _newcomer(world, phone, people)


def new_on_coming_apart(world: World, entries: int) -> Bill:
    """Right after the sixth. Which two left the cluster then is chance: here the phone did not."""
    phone, people = next(drawn for _ in range(99) if _beside(world, (drawn := _just_shared(world, entries))[0]) > 2)
    return _newcomer(world, phone, people)


def _just_shared(world: World, entries: int) -> tuple[str, list[str]]:
    return crowd(world, "phone", CROWD + 1, entries)


def _beside(world: World, identity: str) -> int:
    """Nodes in one cluster with this one."""
    view = resolve.read(world.table, Rules(), node_of(world, identity))
    return len(view.cluster.born) - 1 if view else 0


def _newcomer(world: World, phone: str, people: list[str]) -> Bill:
    newcomer = f"desk:new-{people[0]}"
    meter = world.take(world.webhook([newcomer, phone], [f"thread:{people[0]}"]))
    must_be_one(world, people[0], newcomer, wanted=False)
    must(customer_of(world, newcomer) is not None, "the newcomer is somebody")
    return meter.bill


def all_new_on_crowd(world: World, entries: int) -> Bill:
    """The dearest event found: an order of somebody new in every way, by the phone of a crowd."""
    phone, people = crowd(world, "phone", CROWD, entries)
    who = [f"{kind}:{people[0]}" for kind in ("shop", "line")]
    mail = f"email:new-{next(_people)}@example.nl"
    meter = world.take(world.webhook([*who, mail, phone], [f"thread:{who[0]}", f"order:{who[0]}"], type="order"))
    must(customer_of(world, phone) is None, "the phone is nobody's")
    must_be_one(world, who[0], mail)
    return meter.bill


def duplicate(world: World, entries: int, size: int = TYPICAL) -> Bill:
    """The provider sends the same again: a receipt, a mark beside the event, and no second event."""
    who, refs = customer(world, 2, entries)
    first = world.webhook(who, refs, size)
    world.take(first)
    meter = world.take(world.again(first))
    must(told(meter) == {RECEIPT: 1, AGAIN: 1}, "a receipt and its mark alone")
    return meter.bill


IDENTIFIED = (
    Case("known identities and thread", known, Budget(4, 8)),
    Case("known, one of a batch of ten", known_in_tens, Budget(4, 8)),
    Case("known, ten of one customer in a batch", known_ten_times, Budget(4, 8)),
    Case("known, a webhook of 4 KB", partial(known, size=LARGE), Budget(4, 8)),
    Case("known by five identities", known_by_five, Budget(4, 10)),
    Case("first of a thread", first_of_thread, Budget(5, 8)),
    Case("second of a thread", second_of_thread, Budget(4, 8)),
    Case("two new ids", two_new_ids, Budget(10, 8)),
    Case("new id joins a customer of 7", id_joins, Budget(8, 8)),
    Case("new channel joins a customer of 7", channel_joins, Budget(8, 8)),
    Case("merge 2+2", merge_small, Budget(12)),
    Case("merge 20+20", merge_large, Budget(14)),
    Case("cut later", cut_later),
    Case("the cut taken back", cut_undone),
    Case("a phone gets one neighbour too many", saturates),
    Case("a phone gets one too many, a customer of 7", saturates_between),
    Case("alone on a shared phone", on_shared_phone),
    Case("known on a shared phone", known_on_shared_phone),
    Case("new id on a shared phone", new_on_shared_phone),
    Case("new id on a phone whose crowd comes apart", new_on_coming_apart),
    Case("duplicate", duplicate, Budget(4, 8)),
    Case("the dearest: an order, all new, on the phone of a crowd", all_new_on_crowd),
)
"""With five identities three more nodes are read, one unit each."""
