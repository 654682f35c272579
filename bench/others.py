"""Cases of what happens less often: our own pace, slow and silent destinations, audiences, moved entries, rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from bench.cases import Budget, Case, customer, must, must_be_one
from bench.deliveries import TO_CRM, TO_PARTNER, activities, destination, later
from bench.meter import Bill, Meter
from bench.stage import World, node_of
from chalicelib.fanout import messages, outward
from chalicelib.model import instants
from chalicelib.model.audience import Audience
from chalicelib.model.connection import Connection, Subscription
from chalicelib.model.rule import TELL_ANSWER, Rule
from chalicelib.store import audiences, connections, rules, slots
from chalicelib.store.deliveries import AUDIENCE, MOVE, Duty
from chalicelib.workers.turns import SLOW_WORKERS
from tests.standins.line import TOKEN, Line

TO_LINE = (Line, "line", "", {"channel_access_token": TOKEN})


def paced(world: World, entries: int) -> Bill:
    """A connection that may be asked twice in two minutes, once by the container before: the second entry gets a place
    in the line, and goes in its turn."""
    with destination(world, *TO_PARTNER, rate_limit=2, rate_seconds=120) as (connection, standin):
        first, second = activities(world, entries, connection, 2)
        world.deliver(first)
        put_off = world.deliver(second)
        must(len(standin.kept()) == 1, "the second waits")
        sent = later(world, second)
        must(len(standin.kept()) == 2, "the second was sent in its turn")
        return put_off.bill + sent.bill


def _slow(connection: str) -> None:
    outward.note(connection, outward.SLOW_SECONDS + 1, 200)


def to_slow(world: World, entries: int) -> Bill:
    """A worker takes one of the few places at a slow system, and gives it back."""
    with destination(world, *TO_PARTNER) as (connection, standin):
        warm, first, second = activities(world, entries, connection, 3)
        world.deliver(warm)
        world.deliver(first, found=_slow)
        meter = world.deliver(second, found=_slow)
        must(len(standin.kept()) == 3, "the third entry was sent")
        return meter.bill


def crowded(world: World, entries: int) -> Bill:
    """All places at a slow system are taken: the entry is put off, and sent when the system is well again."""
    with destination(world, *TO_PARTNER) as (connection, standin):
        first, second = activities(world, entries, connection, 2)
        world.deliver(first)
        taken = [slots.take(world.table, connection.id, SLOW_WORKERS) for _ in range(SLOW_WORKERS)]
        must(all(taken), "the places are taken")
        put_off = world.deliver(second, found=_slow)
        must(len(standin.kept()) == 1, "the second waits")
        sent = later(world, second)
        must(len(standin.kept()) == 2, "the second was sent")
        return put_off.bill + sent.bill


def silent(world: World, entries: int) -> Bill:
    """A system that just did not answer is left alone: the entry is put off untried, and sent later."""
    with destination(world, *TO_PARTNER) as (connection, standin):
        first, second = activities(world, entries, connection, 2)
        world.deliver(first)
        put_off = world.deliver(second, found=outward.distrust)
        must(len(standin.calls) == 1, "the second was not tried")
        sent = later(world, second)
        must(len(standin.kept()) == 2, "the second was sent")
        return put_off.bill + sent.bill


@contextmanager
def _fed(world: World, standin_of: tuple[Any, ...]) -> Iterator[tuple[Connection, Any]]:
    """An audience with this feed, gone afterwards."""
    with destination(world, *standin_of) as (plain, standin):
        wants = Subscription(types=("audience",))
        connection = msgspec.structs.replace(plain, subscription=wants, ver=plain.ver + 1)
        must(connections.save(world.table, connection), "it wants audiences")
        winter = Audience(id="aud_bench", name="Winter", consent=("marketing",), feed=connection.id)
        audiences.save(world.table, (winter,), world.table.get(audiences.KEY))
        try:
            yield connection, standin
        finally:
            audiences.save(world.table, (), world.table.get(audiences.KEY))


def _consents(world: World, entries: int) -> tuple[list[str], Meter]:
    """Somebody with a history and a phone says yes."""
    who, refs = customer(world, 2, entries)
    return who, world.take(world.webhook(who, refs, type="consent", says="granted"))


def audience_planned(world: World, entries: int) -> Bill:
    """Consent comes: whom the feed must look at again is planned."""
    with _fed(world, TO_PARTNER):
        _, taken = _consents(world, entries)
        meter, duties = world.plan(taken.changes)
        must(any(each.kind.startswith(AUDIENCE) for each in duties), "the feed looks again")
        return meter.bill


def _entered(world: World, entries: int, connection: Connection) -> Duty:
    _, taken = _consents(world, entries)
    _, duties = world.plan(taken.changes)
    return next(each for each in duties if each.kind == f"{AUDIENCE}aud_bench" and each.connection == connection.id)


def audience_told(world: World, entries: int) -> Bill:
    """A customer enters the audience, and its feed is told."""
    with _fed(world, TO_PARTNER) as (connection, standin):
        meter = world.deliver(_entered(world, entries, connection))
        must(len(standin.kept()) == 1, "the feed was told")
        return meter.bill


def audience_in_step(world: World, entries: int) -> Bill:
    """It looks again, and finds nothing to tell."""
    with _fed(world, TO_PARTNER) as (connection, standin):
        duty = _entered(world, entries, connection)
        world.deliver(duty)
        meter = world.deliver(duty)
        must(len(standin.kept()) == 1, "nothing more was told")
        return meter.bill


def moved(world: World, entries: int) -> Bill:
    """Two customers turn out to be one: an entry is brought from one record to the other."""
    with destination(world, *TO_CRM) as (connection, standin):
        (one,), (other,) = (activities(world, entries, connection, 1) for _ in range(2))
        for each in (one, other):
            world.deliver(each)
        must(standin.state()["created"] == 2, "each has a record")
        _united(world, one, other)
        lies = world.table.get(other.key)
        due = [Duty(connection.id, MOVE, each.node, each.sort) for each in (one, other)]
        bills = [world.deliver(each).bill for each in due]
        must(world.table.get(other.key) != lies or bills[0] != bills[1], "one of the two was moved")
        return max(bills, key=lambda bill: bill.write_units)


def _united(world: World, one: Duty, other: Duty) -> None:
    """By what an event says about both."""
    found = [world.table.get((f"N#{each.node}", "-")) for each in (one, other)]
    who = [f"{item['kind']}:{item['val']}" for item in found if item]
    world.take(world.webhook(who))
    must_be_one(world, *who)


def told_by_rule(world: World, entries: int) -> Bill:
    """An agent answered in the shop's chat: a rule tells the customer on the channel that he chose."""
    with destination(world, *TO_LINE) as (connection, standin):
        who, refs = customer(world, 1, entries)
        user = f"line:U{node_of(world, who[0]).encode().hex()[:32]}"
        rule = Rule(id="rul_bench", kind=TELL_ANSWER, connection=connection.id, text={"nl": "{text}"})
        rules.save(world.table, (rule,), world.table.get(rules.KEY))
        try:
            return _told(world, [who[0], user], refs, standin, rule)
        finally:
            rules.save(world.table, (), world.table.get(rules.KEY))


def _told(world: World, who: list[str], refs: list[str], standin: Any, rule: Rule) -> Bill:
    now, scope = instants.now(), f"line:{world.source.id}"
    wrote = {
        "channel": "line",
        "direction": "in",
        "actor": "customer",
        "at": now,
        "own_address": scope,
        "prefers": "line",
    }
    world.take(world.webhook(who[::-1], refs, address=f"{scope}/{who[1][5:]}", **wrote))
    said = {"channel": "webchat", "direction": "out", "actor": "agent", "at": instants.now()}
    taken = world.take(world.webhook(who[:1], refs, **said))
    _, duties = world.plan(taken.changes)
    (duty,) = [each for each in duties if each.kind.startswith(messages.PREFIX)]
    meter = world.deliver(duty)
    must(len(standin.sent()) == 1, f"he was told by {rule.id}")
    return meter.bill


OTHERS: tuple[Case, ...] = (
    Case("our own pace: put off, then delivered", paced, Budget(8)),
    Case("delivered to a slow system", to_slow, Budget(3)),
    Case("a slow system's places are taken: put off, then delivered", crowded, Budget(5)),
    Case("a silent system: put off untried, then delivered", silent, Budget(5)),
    Case("an audience: planned", audience_planned),
    Case("an audience: its feed is told", audience_told),
    Case("an audience: nothing to tell", audience_in_step, Budget(0)),
    Case("an entry moved to the customer's other record", moved),
    Case("a rule: an answer told on the chosen channel", told_by_rule),
)
