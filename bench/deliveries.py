"""Cases of the fan-out: what it costs to plan a delivery and to make it, against stand-ins that answer like the vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.cases import Budget, Case, customer
from bench.meter import Bill, Change, Meter
from bench.stage import World
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store.deliveries import ACTIVITY, CONTACT, Duty
from chalicelib.store.table import Delete
from tests.schedule import replaced
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.partner import SECRET, Partner
from tests.standins.server import Standin

LATER_MS = 3_600_000
"""Past any first retry."""
TO_PARTNER = (Partner, "webhook", "/in", {"signing_secret": SECRET})
TO_CRM = (HubSpot, "hubspot", "", {"access_token": TOKEN})


@contextmanager
def destination(
    world: World, kind: Callable[[], Standin], provider: str, path: str, plain: dict[str, str], **more: Any
) -> Iterator[tuple[Connection, Standin]]:
    """A stand-in and its connection, gone afterwards. `more`: settings."""
    with kind() as standin:
        settings = {"url": standin.url + path} if path else {"base_url": standin.url}
        connection = world.connect(provider, settings=settings | more, plain=plain)
        try:
            yield connection, standin
        finally:
            world.table.write(Delete(("CONN", connection.id)))


def planned(world: World, entries: int) -> Bill:
    """A known customer's event on the stream: the connections are read, and one message is sent."""
    with destination(world, *TO_PARTNER):
        who, refs = customer(world, 2, entries)
        meter, duties = world.plan(world.take(world.webhook(who, refs)).changes)
        assert [each.kind for each in duties] == [ACTIVITY]
        return meter.bill


def planned_in_tens(world: World, entries: int) -> Bill:
    with destination(world, *TO_PARTNER):
        taken = world.take(*(world.webhook(*customer(world, 2, entries // 10)) for _ in range(10)))
        meter, duties = world.plan(taken.changes)
        assert len(duties) == 10
        return meter.bill.each(10)


def activities(world: World, entries: int, connection: Connection, count: int) -> list[Duty]:
    """`count` activities of one customer of two identities."""
    who, refs = customer(world, 2, entries)
    changes = [change for _ in range(count) for change in world.take(world.webhook(who, refs)).changes]
    return [_duty(connection, change) for change in changes if _is_event(change)]


def _is_event(change: Change) -> bool:
    return change.after is not None and change.after["sk"]["S"].startswith("E#")


def _duty(connection: Connection, change: Change) -> Duty:
    assert change.after is not None
    return Duty(connection.id, ACTIVITY, change.after["pk"]["S"][2:], change.after["sk"]["S"])


def _second(world: World, entries: int, to: tuple[Any, ...]) -> Bill:
    with destination(world, *to) as (connection, standin):
        first, second = activities(world, entries, connection, 2)
        world.deliver(first)
        meter = world.deliver(second)
        assert len(standin.kept()) == 2
        return meter.bill


def to_partner(world: World, entries: int) -> Bill:
    return _second(world, entries, TO_PARTNER)


def to_partner_in_tens(world: World, entries: int) -> Bill:
    return _ten_more(world, entries, TO_PARTNER)


def _ten_more(world: World, entries: int, to: tuple[Any, ...]) -> Bill:
    """Of ten customers: what a batch reads of one it reads once. All have been told of before."""
    with destination(world, *to) as (connection, standin):
        pairs = [activities(world, entries // 10, connection, 2) for _ in range(10)]
        world.deliver(*(first for first, _ in pairs))
        meter = world.deliver(*(second for _, second in pairs))
        assert len(standin.kept()) == 20
        return meter.bill.each(10)


def to_crm_known_contact(world: World, entries: int) -> Bill:
    return _second(world, entries, TO_CRM)


def to_crm_in_tens(world: World, entries: int) -> Bill:
    return _ten_more(world, entries, TO_CRM)


def to_crm_new_contact(world: World, entries: int) -> Bill:
    """The customer's first entry there: his record is made on the way."""
    with destination(world, *TO_CRM) as (connection, standin):
        warm, duty = activities(world, entries, connection, 1) + activities(world, entries, connection, 1)
        world.deliver(warm)
        meter = world.deliver(duty)
        assert standin.state()["created"] == 2
        return meter.bill


def unchanged_contact(world: World, entries: int) -> Bill:
    """A contact job that finds nothing to push."""
    with destination(world, *TO_CRM) as (connection, _):
        (duty,) = activities(world, entries, connection, 1)
        world.deliver(duty)
        contact = Duty(connection.id, CONTACT, duty.node, f"{instants.now_ms():013d}{duty.node}")
        return world.deliver(contact).bill


def first_of_a_day(world: World, entries: int) -> Bill:
    """The first delivery of a day of events in one container: the day is marked."""
    with destination(world, *TO_PARTNER) as (connection, _):
        (duty,) = activities(world, entries, connection, 1)
        return world.deliver(duty).bill


def delayed_once(world: World, entries: int) -> Bill:
    """503, then 200: both attempts together."""
    with destination(world, *TO_PARTNER) as (connection, standin):
        first, duty = activities(world, entries, connection, 2)
        world.deliver(first)
        standin.behave("status", status=503, times=1)
        meters = [world.deliver(duty), later(world, duty)]
        assert len(standin.kept()) == 2
        return meters[0].bill + meters[1].bill


def later(world: World, duty: Duty) -> Meter:
    clock = instants.now_ms
    with replaced((instants, "now_ms", lambda: clock() + LATER_MS)):
        return world.deliver(duty)


DELIVERED = (
    Case("planned for one destination", planned),
    Case("planned, one of a batch of ten", planned_in_tens),
    Case("delivered to a webhook", to_partner, Budget(1)),
    Case("delivered to a webhook, one of a batch of ten", to_partner_in_tens, Budget(1)),
    Case("first delivery of a day in a container", first_of_a_day),
    Case("delivered to a CRM, contact made (2)", to_crm_new_contact, Budget(4)),
    Case("delivered to a CRM, contact known", to_crm_known_contact, Budget(1)),
    Case("delivered to a CRM, one of a batch of ten", to_crm_in_tens, Budget(1)),
    Case("contact unchanged", unchanged_contact, Budget(0)),
    Case("delayed once, then delivered", delayed_once, Budget(5)),
)
