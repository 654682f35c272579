"""Cases of the context stage: what one event costs by what it points at. It waits, finds its
customer, or holds conversations together."""

from __future__ import annotations

import itertools
from typing import Any

from bench.cases import CROWD, WAITING, Budget, Case, crowd, customer, customer_of, must, must_change, told
from bench.meter import Bill, Meter
from bench.stage import World, node_of
from chalicelib.context import resolve
from chalicelib.context.conversations import CONVERSATIONS
from chalicelib.model.event import Ref
from chalicelib.store.secrets import ref_id

_orders = itertools.count(1)


def an_order() -> str:
    return f"order:o-{next(_orders)}"


def conversation_of(world: World, ref: str) -> str | None:
    """The conversation of a ref as `World.webhook` names it; None while it is one by itself."""
    kind, _, value = ref.partition(":")
    view = resolve.read(world.table, CONVERSATIONS, ref_id(Ref(kind, value, world.source.id)))
    return view.customer if view else None


def must_talk_as_one(world: World, one: str, other: str, *, wanted: bool = True) -> None:
    found = [conversation_of(world, each) for each in (one, other)]
    same = found[0] is not None and found[0] == found[1]
    must(same is wanted, f"{one} and {other} are {'one conversation' if wanted else 'two conversations'}")


def copies(meter: Meter, node: str) -> list[Any]:
    """Events that the step placed with this node."""
    items = [change.after for change in meter.changes if change.after]
    return [item for item in items if item["pk"]["S"] == f"N#{node}" and "pl" in item]


def new_ref(world: World, entries: int) -> Bill:
    """A known thread, and an order that it did not point at before. An own system says so for the
    first time: that counts more at the thread too."""
    who, refs = customer(world, 2, entries)
    order = an_order()
    meter = world.take(world.webhook(who, [*refs, order]))
    must_change(meter, participants=2, refs=2, conversations=1)
    must_talk_as_one(world, refs[0], order)
    return meter.bill


def waits(world: World, entries: int) -> Bill:
    """A return that names only an order nobody has placed yet."""
    meter = world.take(world.webhook(refs=[an_order()], type="return"))
    must(told(meter)[WAITING] == 1 and not told(meter)["N# E#"], "it waits and is with nobody")
    return meter.bill


def places(world: World, entries: int) -> Bill:
    """The order arrives: its customer gets the return that waited."""
    who, _ = customer(world, 2, entries)
    order = an_order()
    world.take(world.webhook(refs=[order], type="return"))
    meter = world.take(world.webhook(who, [order], type="order"))
    must(len(copies(meter, node_of(world, who[0]))) == 1, "the return is his now")
    return meter.bill


def places_ten(world: World, entries: int) -> Bill:
    """The same with ten that waited: each is placed as an event of its own would be."""
    who, _ = customer(world, 2, entries)
    order = an_order()
    for _ in range(10):
        world.take(world.webhook(refs=[order], type="return"))
    meter = world.take(world.webhook(who, [order], type="order"))
    must(len(copies(meter, node_of(world, who[0]))) == 10, "the returns are his now")
    return meter.bill


def placed_at_once(world: World, entries: int) -> Bill:
    """A return whose order is known."""
    who, _ = customer(world, 2, entries)
    order = an_order()
    world.take(world.webhook(who, [order], type="order"))
    meter = world.take(world.webhook(refs=[order], type="return"))
    must(len(copies(meter, node_of(world, who[0]))) == 1, "the return is his")
    return meter.bill


def placed_at_once_by_two(world: World, entries: int) -> Bill:
    """A return with its own receipt, whose order is known: its customer takes part in the receipt too."""
    who, _ = customer(world, 2, entries)
    order = an_order()
    world.take(world.webhook(who, [order], type="order"))
    meter = world.take(world.webhook(refs=[f"receipt:for-{order}", order], type="return"))
    must(len(copies(meter, node_of(world, who[0]))) == 1, "the return is his, written once")
    must_talk_as_one(world, f"receipt:for-{order}", order)
    return meter.bill


def mail_with_order(world: World, entries: int) -> Bill:
    """A customer's mail with his order number: his address brings it home, the number joins the
    conversation of his order."""
    buyer, address = _buyer(world, 1, entries)
    order = _bought(world, buyer, address)
    thread = f"thread:mail-{buyer}"
    meter = world.take(world.webhook([address], [thread, order], source=world.mailbox, type="email"))
    must(customer_of(world, address) == customer_of(world, buyer), "the address is his")
    must_count(world, meter, thread, order)
    return meter.bill


def mail_placed_by_order(world: World, entries: int) -> Bill:
    """The same from an address that a family shares: the number alone tells whose mail it is."""
    buyer, address = _buyer(world, CROWD + 1, entries)
    order = _bought(world, buyer, address)
    thread = f"thread:mail-{buyer}"
    meter = world.take(world.webhook([address], [thread, order], source=world.mailbox, type="email"))
    must(customer_of(world, address) is None, "the address is nobody's")
    must(len(copies(meter, node_of(world, buyer))) == 1, "the mail is the buyer's")
    must_count(world, meter, thread, order)
    return meter.bill


def must_count(world: World, meter: Meter, thread: str, order: str) -> None:
    """The typed order number counted: it is in the mail's conversation."""
    kind, _, value = thread.partition(":")
    mail = resolve.read(world.table, CONVERSATIONS, ref_id(Ref(kind, value, world.mailbox.id)))
    must(mail is not None and mail.customer == conversation_of(world, order), "mail and order are one conversation")


def _buyer(world: World, sharing: int, entries: int) -> tuple[str, str]:
    address, people = crowd(world, "email", sharing, entries)
    return people[0], address


def _bought(world: World, buyer: str, address: str) -> str:
    """An order that our own shop tells of, with the address that it was placed from."""
    order = an_order()
    for _ in range(2):
        world.take(world.webhook([buyer, address], [order], type="order"))
    return order


def order_joins_threads(world: World, entries: int) -> Bill:
    """A thread points at an order that another thread pointed at before."""
    who, refs, order = _thread_with_order(world, entries)
    other = _second_thread(world, who)
    meter = world.take(world.webhook(who, [*other, order]))
    must_talk_as_one(world, refs[0], other[0])
    must_change(meter, participants=1, refs=1, conversations=1)
    return meter.bill


def order_joins_conversations(world: World, entries: int) -> Bill:
    """The same where the second thread has an order of its own already."""
    who, refs, order = _thread_with_order(world, entries)
    other = _second_thread(world, who, an_order())
    must_talk_as_one(world, refs[0], other[0], wanted=False)
    meter = world.take(world.webhook(who, [other[0], order]))
    must_talk_as_one(world, refs[0], other[1])
    must(told(meter)["R# A#"] == 1, "the merge is in the audit")
    return meter.bill


def _thread_with_order(world: World, entries: int) -> tuple[list[str], list[str], str]:
    who, refs = customer(world, 2, entries)
    order = an_order()
    for _ in range(2):
        world.take(world.webhook(who, [*refs, order]))
    return who, refs, order


def _second_thread(world: World, who: list[str], *more: str) -> list[str]:
    refs = [f"thread:second-{who[0]}", *more]
    for _ in range(2):
        world.take(world.webhook(who, refs))
    return refs


def day_joins_day(world: World, entries: int) -> Bill:
    """The first event of a day in a channel without threads; the day before has events too."""
    who, _ = customer(world, 2, entries)
    days = [f"thread:+31201112233|{who[0]}|202609{day:02d}" for day in (1, 2)]
    for _ in range(2):
        world.take(world.webhook(who, days[:1]))
    meter = world.take(world.webhook(who, days[1:]))
    must_change(meter, participants=1, refs=2, conversations=1)
    must_talk_as_one(world, *days)
    return meter.bill


def day_alone(world: World, entries: int) -> Bill:
    """The same where neither neighbour has any."""
    who, _ = customer(world, 2, entries)
    meter = world.take(world.webhook(who, [f"thread:+31201112233|{who[0]}|20260902"]))
    must_change(meter, participants=1)
    return meter.bill


REFERRED = (
    Case("a new order on a known thread", new_ref, Budget(11, 12)),
    Case("waits for its order", waits),
    Case("the order that places it", places),
    Case("the order that places ten", places_ten, Budget(None)),
    Case("placed at once", placed_at_once),
    Case("placed at once, two refs", placed_at_once_by_two),
    Case("a mail with its order number", mail_with_order),
    Case("a mail that its order number places", mail_placed_by_order),
    Case("an order joins two threads", order_joins_threads),
    Case("an order joins two conversations", order_joins_conversations),
    Case("a day thread joins the day before", day_joins_day),
    Case("a day thread alone", day_alone, Budget(5)),
)
