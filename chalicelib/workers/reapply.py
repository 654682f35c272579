"""Reapply: what a boundary that came late left in the wrong hands is recorded anew, a page a message.

look      is there anything? If not, once more when whoever was at work has finished
give up   the old node leaves the graph
here      what lies at it, page by page; deliveries that are open follow their events
there     events of its neighbours that prove it
finish    people's decisions and contacts; then here and there once more, for the same reason
"""

from __future__ import annotations

import msgspec

from chalicelib.context import generations, reapply
from chalicelib.context.reapply import Division, Done
from chalicelib.context.record import rules_of
from chalicelib.model.event import Event
from chalicelib.model.identity import Identity
from chalicelib.settings import settings
from chalicelib.store import deliveries, organisation
from chalicelib.store.deliveries import ACTIVITY, MOVE, Duty
from chalicelib.store.jobs import Job, Turn
from chalicelib.store.table import Table
from chalicelib.workers.fanout import receivers

FIRST = "look|0"


def of_event(table: Table, event: Event) -> None:
    """A job for each boundary that a recorded event told of."""
    for identity, at in generations.told_by(event):
        reapply.start(table, identity, at)


def run(table: Table, job: Job) -> Turn:
    step, _, rest = (job.cursor or FIRST).partition("|")
    return STEPS[step](table, job, rest)


def _look(table: Table, job: Job, rest: str) -> Turn:
    identity = msgspec.convert(job.params["identity"], Identity)
    found = reapply.look(table, rules_of(organisation.read(table)), identity, job.params["at"])
    if found:
        return Turn("give up|", 1, params=job.params | {"division": msgspec.to_builtins(found)})
    return Turn("look|1", 1, delay=settings().erase_settle_seconds) if rest == "0" else Turn("", 1)


def _give_up(table: Table, job: Job, rest: str) -> Turn:
    again = reapply.give_up(table, rules_of(organisation.read(table)), _division(job))
    if again:
        return Turn("give up|", 1, params=job.params | {"division": msgspec.to_builtins(again)})
    return Turn("here|0|", 1)


def _here(table: Table, job: Job, rest: str) -> Turn:
    division, (round_, _, after) = _division(job), rest.partition("|")
    done = reapply.here(table, division, organisation.read(table), after)
    _follow(table, division, done)
    near = tuple(sorted({*division.near, *done.near}))
    params = job.params | {"division": msgspec.to_builtins(msgspec.structs.replace(division, near=near))}
    return Turn(f"here|{round_}|{done.next}" if done.next else f"there|{round_}|0|", done.count, params=params)


def _follow(table: Table, division: Division, done: Done) -> None:
    for connection in receivers(table):
        for sort, node in done.moved.items():
            for kind in (ACTIVITY, MOVE):
                deliveries.follow(table, Duty(connection.id, kind, node, sort), division.old)


def _there(table: Table, job: Job, rest: str) -> Turn:
    division, (round_, number, after) = _division(job), rest.split("|", 2)
    if int(number) >= len(division.near):
        return Turn(f"finish|{round_}", 0)
    done = reapply.there(table, division, organisation.read(table), division.near[int(number)], after)
    here = f"{number}|{done.next}" if done.next else f"{int(number) + 1}|"
    return Turn(f"there|{round_}|{here}", done.count)


def _finish(table: Table, job: Job, rest: str) -> Turn:
    reapply.finish(table, _division(job), organisation.read(table))
    return Turn("here|1|", 1, delay=settings().erase_settle_seconds) if rest == "0" else Turn("", 1)


def _division(job: Job) -> Division:
    return msgspec.convert(job.params["division"], Division)


STEPS = {"look": _look, "give up": _give_up, "here": _here, "there": _there, "finish": _finish}
