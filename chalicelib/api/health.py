"""Health: ok or degraded, with reasons and no secrets. Open to anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalicelib.api.answers import Call, Reply
from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE
from chalicelib.store import checkup, connections, pulse, queues
from chalicelib.store.checkup import Checkup

OLD_SECONDS, LATE_SECONDS, SILENT_SECONDS = 300, 120, 300
"""Of a queue, of the stream, and of the sweep, from when on people are told."""
Cause = dict[str, Any]


def show(call: Call) -> Reply:
    """`causes` say the same as `reasons`, for programs. Seconds are None where nothing is known yet."""
    depths = {name: queues.depth(name) for name in pulse.QUEUES}
    dead = {name: sum(queues.depth(f"{name}-dlq")) for name in pulse.QUEUES}
    beats = pulse.read(call.table)
    ages = {name: _seconds(beats["late"][name]) if depths[name][0] else 0 for name in pulse.QUEUES}
    lag, swept = _seconds(beats["late"][pulse.STREAM]), int(beats["swept"])
    looked = checkup.read(call.table)
    causes = [*_dead_letters(dead), *_old(ages), *_late(lag), *_silent(swept), *_stopped(call), *_wrong(looked)]
    return Reply(
        {
            "status": "degraded" if causes else "ok",
            "reasons": [SAYINGS[each["kind"]].format(**each) for each in causes],
            "causes": causes,
            "queues": {name: sum(depth) for name, depth in depths.items()},
            "dead_letters": dead,
            "queue_age_seconds": ages,
            "stream_lag_seconds": lag,
            "swept_at": instants.from_ms(swept) if swept else None,
            "doctor": _shown(looked),
        }
    )


SAYINGS = {
    "dead_letters": "{count} dead letters in {of}: the sweep takes them",
    "queue_age": "messages wait {seconds} s in {of}: see whether its worker runs and what it logs",
    "stream_lag": "changes reach the fanout {seconds} s late: see whether its worker runs and what it logs",
    "sweep": "the sweep was last seen {seconds} s ago: see whether its schedule is on",
    "connection": "connection {of} is {status}: look at it and resume it",
    "doctor": "{count} settings of the stage were wrong when the doctor last looked: run it and mend them",
}


def _dead_letters(dead: dict[str, int]) -> Iterator[Cause]:
    yield from ({"kind": "dead_letters", "of": name, "count": count} for name, count in dead.items() if count)


def _old(ages: dict[str, int | None]) -> Iterator[Cause]:
    for name, age in ages.items():
        if age is not None and age >= OLD_SECONDS:
            yield {"kind": "queue_age", "of": name, "seconds": age}


def _late(lag: int | None) -> Iterator[Cause]:
    if lag is not None and lag >= LATE_SECONDS:
        yield {"kind": "stream_lag", "of": pulse.STREAM, "seconds": lag}


def _silent(swept: int) -> Iterator[Cause]:
    """A stage that was never swept is one that begins."""
    gone = (instants.now_ms() - swept) // 1000
    if swept and gone >= SILENT_SECONDS:
        yield {"kind": "sweep", "of": "sweep", "seconds": gone}


def _stopped(call: Call) -> Iterator[Cause]:
    """Connections by id only: this page has no key."""
    for each in connections.everyone(call.table):
        if each.status != ACTIVE and not each.deleted:
            yield {"kind": "connection", "of": each.id, "status": each.status}


def _wrong(looked: Checkup | None) -> Iterator[Cause]:
    """By its number: what it is stays with whoever deploys."""
    if looked and looked.wrong:
        yield {"kind": "doctor", "of": "doctor", "count": looked.wrong}


def _shown(looked: Checkup | None) -> dict[str, Any] | None:
    return {"at": looked.at, "wrong": looked.wrong, "cannot_tell": looked.unsure} if looked else None


def _seconds(late: int | None) -> int | None:
    return None if late is None else late // 1000
