"""Lost races of real processes that hammer one customer on the embedded AWS, each as fast as it can.

A race is lost when somebody else changed the cluster between our reading and our writing: the
store then waits a moment and starts over. Identities that are known only need reading.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from bench.stage import environment
from chalicelib.context import graph, resolve
from chalicelib.context.graph import Rules
from chalicelib.context.resolve import Node
from chalicelib.errors import Busy
from chalicelib.store.table import DynamoTable, Table
from infra.local.embedded import EmbeddedAws, clean_env
from infra.local.state import State
from tests.schedule import replaced

NEW, KNOWN = "new identities", "known identities"
MODEL = {NEW: "about 1", KNOWN: "0"}
"""What the model says that four workers lose, by change."""
WORKERS, ROUNDS, CHANGES = 4, 4, 24
"""Each round has its own customer, whom each worker changes so often."""
PATIENCE = 120.0
Names = tuple[str, str]


@dataclass(frozen=True)
class Hammered:
    """`lost`: races lost, a change; `most`: by one change; `busy`: changes that gave up once."""

    kind: str
    workers: int
    changes: int
    lost: float
    most: int
    busy: int
    changes_per_second: float


@dataclass
class Report:
    """One process: races lost by each of its changes, changes that gave up, seconds of racing."""

    lost: list[int] = field(default_factory=list)
    busy: int = 0
    seconds: float = 0.0


def measured() -> list[Hammered]:
    with embedded() as aws:
        found = []
        for kind in (KNOWN, NEW):
            with environment(clean_env(aws.url) | aws.stack(f"bench-{kind.split()[0]}")):
                found.append(hammered(kind, WORKERS, ROUNDS, CHANGES))
        return found


@contextmanager
def embedded() -> Iterator[EmbeddedAws]:
    with tempfile.TemporaryDirectory() as folder:
        state = State(Path(folder))
        state.open()
        aws = EmbeddedAws(state, persist=False)
        aws.start()
        try:
            yield aws
        finally:
            aws.stop()
            state.close()


def hammered(kind: str, workers: int, rounds: int, changes: int) -> Hammered:
    """`workers` processes on the stage of this environment. All begin each round at once."""
    for number in range(rounds):
        _change(DynamoTable(), (_home(number), f"phone-{number}"))
    spawn = multiprocessing.get_context("spawn")
    start, told = spawn.Barrier(workers), spawn.Queue()
    todo = [[[_names(kind, at, who, n) for n in range(changes)] for at in range(rounds)] for who in range(workers)]
    racers = [spawn.Process(target=race, args=(mine, start, told)) for mine in todo]
    for racer in racers:
        racer.start()
    reports: list[Report] = [told.get(timeout=PATIENCE) for _ in racers]
    for racer in racers:
        racer.join()
    for number in range(rounds):
        _look_after(_home(number), 2 + (workers * changes if kind == NEW else 0))
    return _summed(kind, reports)


def _summed(kind: str, reports: list[Report]) -> Hammered:
    lost = [number for report in reports for number in report.lost]
    seconds = max(report.seconds for report in reports)
    busy = sum(report.busy for report in reports)
    return Hammered(kind, len(reports), len(lost), sum(lost) / len(lost), max(lost), busy, len(lost) / seconds)


def _look_after(home: str, wanted: int) -> None:
    """Every change is in the customer, whatever it lost on the way."""
    view = resolve.read(DynamoTable(), Rules(), home)
    if view is None or len(view.nodes) != wanted:
        raise RuntimeError(f"{home} is not one customer of {wanted}")


def race(rounds: list[list[Names]], start: Barrier, told: Any) -> None:
    """One process. Its first look at the table comes before the start, so that all begin warm."""
    table, report = DynamoTable(), Report()
    table.get(("N#", "-"))
    for changes in rounds:
        start.wait(PATIENCE)
        began = time.monotonic()
        for names in changes:
            report.lost.append(lost_by(table, names, report))
        report.seconds += time.monotonic() - began
    told.put(report)


def lost_by(table: Table, names: Names, report: Report) -> int:
    """Races that one change lost until it was done, by all its redeliveries."""
    waited: list[int] = []
    back_off = resolve._back_off

    def counted(number: int) -> None:
        waited.append(number)
        back_off(number)

    with replaced((resolve, "_back_off", counted)):
        while True:
            try:
                _change(table, names)
                return len(waited)
            except Busy:
                waited.append(0)
                report.busy += 1


def _names(kind: str, round_: int, worker: int, change: int) -> Names:
    return _home(round_), f"desk-{round_}-{worker}-{change}" if kind == NEW else f"phone-{round_}"


def _home(round_: int) -> str:
    """The identity that every change of a round names."""
    return f"chat-{round_}"


def _change(table: Table, names: Names) -> None:
    nodes = [Node(name, "", 2, "20260901", {"kind": "desk", "scope": "bench", "val": name}) for name in names]
    pairs = graph.evidence(dict.fromkeys(names, 2), dict.fromkeys(names, ""), names[0])
    resolve.apply(table, Rules(), nodes, pairs)
