"""What everybody goes through: three speeds, SIGKILL under load, SIGKILL while the CRM is down, an outage of 30 s."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import load, memory
from bench.peers.crm import Crm
from bench.peers.job import Job, jobs
from bench.peers.load import Plan, Sent
from bench.peers.running import Peer, Place, Running
from bench.peers.tally import Spread, Tally, spread, tally

SENDERS = (1, 8, 32)
WARM = 40
FEWEST, MOST = 100, 3_000
LAST_COPIES = 2.0
"""Seconds after the last event in which a copy of one may still come."""
OUTAGE_SECONDS = 30.0
_runs = itertools.count(1)


@dataclass(frozen=True)
class Extent:
    """`seconds`: about how long each speed is measured. `events`: of each failure. `quiet`: when nothing came for so
    long, nothing more will. `outage`: how long the CRM answers 500."""

    seconds: float = 15.0
    events: int = 300
    quiet: float = 60.0
    outage: float = OUTAGE_SECONDS
    senders: Sequence[int] = SENDERS


@dataclass(frozen=True)
class Speed:
    """`per_second`: from the first byte sent until the CRM has the last one. `ack`: until the sender's answer;
    `whole`: until the CRM took it."""

    senders: int
    tally: Tally
    acked_per_second: float
    per_second: float
    ack: Spread
    whole: Spread


@dataclass(frozen=True)
class Failure:
    """`back`: seconds from the end of the trouble until the last event came."""

    name: str
    tally: Tally
    tries: int
    back: float


@dataclass(frozen=True)
class Outcome:
    """`rest`: from hook to CRM, one at a time. Megabytes at most: of its own, and of what stands beside it."""

    rest: Spread
    speeds: list[Speed]
    failures: list[Failure]
    megabytes: int
    beside: int
    started: float


@dataclass(frozen=True)
class Scene:
    running: Running
    crm: Crm
    extent: Extent
    tell: Callable[[str], None]

    def jobs(self, count: int) -> list[Job]:
        return jobs(f"r{next(_runs)}", count)

    def plan(self, senders: int, apart: float = 0.0) -> Plan:
        return Plan(self.running.hook, senders, apart)

    def settle(self, wanted: int) -> float:
        """Until that many events came, or nothing more does; when that was."""
        seen, moved = -1, time.monotonic()
        while seen < wanted and time.monotonic() - moved < self.extent.quiet:
            if (count := self.crm.count()) != seen:
                seen, moved = count, time.monotonic()
            time.sleep(0.05)
        return moved

    def told(self, wanted: Sequence[Job], sent: Sequence[Sent]) -> tuple[Tally, dict[str, float]]:
        """After a moment in which copies may still come."""
        time.sleep(LAST_COPIES)
        found = self.crm.ask("tell")
        acked = [each.key for each in sent if each.acked]
        return tally([each.key for each in wanted], acked, found["posts"]), found["first"]


def measured(peer: Peer, crm: Crm, extent: Extent, tell: Callable[[str], None]) -> Outcome:
    """All of it, on a fresh folder. Raises PeerFailed."""
    folder = Path(tempfile.mkdtemp(prefix=f"draad-{peer.name}-"))
    begun = time.monotonic()
    try:
        crm.ask("reset")
        with peer.run(Place(folder, crm.url)) as running:
            started = time.monotonic() - begun
            scene = Scene(running, crm, extent, tell)
            with memory.peak_of(running.pids) as own, memory.peak_of(running.beside) as beside:
                rest, speeds = _rest(scene), _speeds(scene)
                failures = [each(scene) for each in (killed_under_load, killed_while_down, outage)]
            return Outcome(rest, speeds, failures, own.megabytes, beside.megabytes, round(started, 1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rest(scene: Scene) -> Spread:
    """One after the other, each until the CRM has it; the first ones warm up and do not count."""
    scene.crm.ask("reset")
    wanted, waits = scene.jobs(WARM), list[float]()
    for number, job in enumerate(wanted, 1):
        (sent,) = load.send(scene.plan(1), [job])
        scene.settle(number)
        if number > WARM // 2:
            came = scene.crm.ask("tell")["first"].get(job.key)
            waits += [(came - sent.began) * 1000] if came else []
    return spread(waits)


def _speeds(scene: Scene) -> list[Speed]:
    """How many events a speed gets follows from what 8 senders did with a few."""
    trial = _speed(scene, 8, FEWEST)
    count = int(min(MOST, max(FEWEST, trial.per_second * scene.extent.seconds)))
    return [_speed(scene, senders, count) for senders in scene.extent.senders]


def _speed(scene: Scene, senders: int, count: int) -> Speed:
    scene.crm.ask("reset")
    wanted = scene.jobs(count)
    sent = load.send(scene.plan(senders), wanted)
    scene.settle(len(wanted))
    counted, first = scene.told(wanted, sent)
    began, acked = min(each.began for each in sent), max(each.ended for each in sent)
    done = max(first.values(), default=acked)
    found = Speed(
        senders,
        counted,
        round(counted.acked / (acked - began), 1),
        round(counted.arrived / (max(done, acked) - began), 1),
        spread([(each.ended - each.began) * 1000 for each in sent if each.acked]),
        spread([(first[each.key] - each.began) * 1000 for each in sent if each.key in first]),
    )
    scene.tell(
        f"  {count} events, {senders} senders: {found.per_second} /s to the CRM, p99 of the ack {found.ack.p99} ms"
    )
    return found


def killed_under_load(scene: Scene) -> Failure:
    """SIGKILL when a third is acked; started again at once. Senders try until they are acked."""
    scene.crm.ask("reset")
    wanted, reached = scene.jobs(scene.extent.events), threading.Event()

    def acked(count: int) -> None:
        if count * 3 >= len(wanted):
            reached.set()

    with _meanwhile(lambda: _kill_and_revive(scene, reached)) as killing:
        sent = load.send(scene.plan(8), wanted, acked)
        reached.set()
    return _ended(scene, "kill -9 under load", wanted, sent, killing.ended)


def killed_while_down(scene: Scene) -> Failure:
    """The CRM refuses connections; all is acked; SIGKILL; the CRM returns, then whoever was killed."""
    scene.crm.ask("reset")
    scene.crm.ask("down")
    wanted = scene.jobs(scene.extent.events)
    try:
        sent = load.send(replace(scene.plan(8), patience=20.0), wanted)
        time.sleep(1.0)
        scene.running.kill()
    finally:
        scene.crm.ask("up")
    scene.running.revive()
    return _ended(scene, "kill -9 while the CRM is down", wanted, sent, time.monotonic())


def outage(scene: Scene) -> Failure:
    """The CRM answers 500; a third as many events come, evenly spread over most of that time."""
    scene.crm.ask("reset")
    scene.crm.ask("behave", mode="status", status=500, seconds=scene.extent.outage)
    over = time.monotonic() + scene.extent.outage
    wanted = scene.jobs(max(1, scene.extent.events // 3))
    apart = 0.9 * scene.extent.outage / len(wanted)
    sent = load.send(scene.plan(8, apart), wanted)
    time.sleep(max(0.0, over - time.monotonic()))
    return _ended(scene, f"CRM answers 500 for {scene.extent.outage:.0f} s", wanted, sent, over)


def _kill_and_revive(scene: Scene, reached: threading.Event) -> None:
    reached.wait()
    scene.running.kill()
    scene.running.revive()


class _meanwhile:
    """Something in a thread; its error is raised at the end. `ended`: when."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what, self._wrong = what, list[BaseException]()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.ended = 0.0

    def _run(self) -> None:
        try:
            self._what()
        except BaseException as wrong:
            self._wrong.append(wrong)
        self.ended = time.monotonic()

    def __enter__(self) -> _meanwhile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._wrong:
            raise self._wrong[0]


def _ended(scene: Scene, name: str, wanted: Sequence[Job], sent: Sequence[Sent], trouble_ended: float) -> Failure:
    last = scene.settle(len(wanted))
    counted, _ = scene.told(wanted, sent)
    back = max(0.0, last - trouble_ended) if counted.arrived else 0.0
    scene.tell(f"  {name}: {counted.acked} acked, {counted.lost} lost, {counted.doubled} doubled, back in {back:.0f} s")
    return Failure(name, counted, sum(each.tries for each in sent), round(back, 1))
