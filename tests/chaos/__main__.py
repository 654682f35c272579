"""`make chaos`: runs with faults drawn from a seed, and after each its ledger. The exit code says whether all add up."""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.demo.errors import DemoFailed
from infra.demo.tell import Tell
from infra.local.errors import LocalRunFailed
from tests.chaos import evidence, kept
from tests.chaos import plan as plans
from tests.chaos import soak as soaking
from tests.chaos.ledger import Ledger
from tests.chaos.many import Drivers
from tests.chaos.plan import Size
from tests.chaos.run import PATIENCE, Run, prepare, settle
from tests.chaos.soak import grown
from tests.chaos.sums import KEPT, Sums, faults
from tests.chaos.world import POISON, World, move_in, poison, poisoned, world

POISON_SECONDS = 120.0
"""A message is parked at its fifth receive, half a minute after the first."""
INTERRUPTED = 130
TOGETHER = 5
"""Runs on one hub before a new one is started."""


def report(run: Run, ledger: Ledger, tell: Tell) -> None:
    injected: Counter[str] = Counter()
    for (kind, _), number in run.injected.items():
        injected[kind] += number
    tell.line(f"run      {run.plan.seed}: {run.attempts} webhooks, {run.acked} acked; {run.calls:,} calls of AWS")
    tell.line(f"injected {faults(injected)}; killed: {', '.join(run.killed) or 'nobody'}")
    for line in ledger.lines():
        tell.line(line)
    keep(run, ledger)


def keep(run: Run, ledger: Ledger) -> None:
    """Every event by name, for whoever looks for one."""
    KEPT.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {
        "seed": run.plan.seed,
        "plan": list(run.plan.lines()),
        "injected": {f"{kind} {call}": number for (kind, call), number in sorted(run.injected.items())},
        "killed": run.killed,
        "events": ledger.named,
        "mistakes": ledger.mistakes(),
    }
    (KEPT / f"{run.plan.seed}.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def buried(made: World, tell: Tell) -> bool:
    """Whether every poisoned message is parked and seen."""
    until = time.monotonic() + POISON_SECONDS
    while set(found := poisoned(made)) != set(POISON) and time.monotonic() < until:
        tell.progress(f"         waiting for poisoned messages: {len(found)} of {len(POISON)} are parked")
        time.sleep(1)
    good = set(found) == set(POISON)
    told = ", ".join(f"{queue} {'parked' if found[queue] else 'LOST'}" for queue in POISON)
    tell.line(f"poison   {told}   {'OK' if good else 'NOT OK'}")
    return good


@dataclass
class Session:
    """Runs on one hub after the other. `apart`: a ledger after each run and before the next; else each run on top of
    what the ones before left under way, then calm, and every ledger."""

    size: Size
    tell: Tell
    apart: bool = False
    app: str = "tests.chaos.clocked"
    patience: float = PATIENCE
    poison: bool = True
    sums: Sums = field(default_factory=Sums)

    def hub(self, seeds: Sequence[int]) -> None:
        """What became of the runs and of the poisoned messages, `sums` says."""
        with world(self.app) as made:
            move_in(made)
            if self.poison:
                poison(made)
            self.tell.line(f"hub      {made.hub.url}, its data in {made.hub.state.folder} until it ends")
            for some in [[each] for each in seeds] if self.apart else [list(seeds)]:
                self._play(made, some)
            memory = ", ".join(f"{name} {size} MB" for name, size in made.memory().items())
            self.tell.line(f"memory   {memory}")
            if self.poison:
                self.sums.buried &= buried(made, self.tell)

    def _play(self, made: World, seeds: list[int]) -> None:
        runs = []
        for seed in seeds:
            run = prepare(made, plans.draw(seed, self.size), self.size.customers, self.tell)
            for line in run.plan.lines():
                self.tell.line(line)
            run.play()
            runs.append(run)
        made.calm()
        ledgers = settle(runs, self.tell, self.patience)
        if any(ledger.mistakes() for ledger in ledgers):
            self.tell.line(
                f"NOT OK   the hub's logs, and what it said of what lacks: {evidence.keep(made, seeds[0], runs)}"
            )
        for run, ledger in zip(runs, ledgers, strict=True):
            report(run, ledger, self.tell)
            self.sums.add(run, ledger)


def soak(seed: int, events: int, tell: Tell, keeps: bool = False) -> bool:
    tell.line(
        f"seed     {seed}: {events:,} events, with faults for {soaking.BAD_SECONDS:g} s of each {soaking.EVERY_SECONDS:g}"
    )
    with world(whole=False, sweep=soaking.SWEEP_SECONDS) as made:
        done, ledger, wrong = soaking.soak(made, seed, events, tell)
        tell.line(f"injected {faults(made.chaos.kinds())}")
        for line in (*done.run.rates(), *ledger.lines()):
            tell.line(line)
        for line in grown(done.samples):
            tell.line(f"NOT OK   {line}")
        if keeps:
            kept.keep("soak", kept.of_soak(done.samples, made.chaos.kinds(), wrong))
    return not wrong


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(1_000_000), help="of the first run; the next ones follow"
    )
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--customers", type=int, default=10, help="of one run, five events each")
    parser.add_argument("--seconds", type=float, default=8.0, help="for which things go wrong in one run")
    parser.add_argument("--scale", type=float, default=0.05, help="of the minute for which the table is throttled")
    parser.add_argument("--jump", type=float, default=plans.JUMP, help="seconds that a clock may jump")
    parser.add_argument("--hang", action="store_true", help="also calls that are never answered: 12 s each")
    parser.add_argument("--soak", type=int, default=0, help="this many events at once in place of runs")
    parser.add_argument("--at-once", type=int, default=1, help="hubs side by side, each with some of the runs")
    parser.add_argument("--sums", type=Path, help="a file to write the sums to, as JSON")
    parser.add_argument("--keep", action="store_true", help="write what was found to bench/results/")
    parser.add_argument("--apart", action="store_true", help="a ledger after each run and before the next")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    told, tell = arguments(given), Tell()
    try:
        if told.soak:
            return 0 if soak(told.seed, told.soak, tell, told.keep) else 1
        size = Size(told.customers, told.seconds, told.scale, told.hang, jump=told.jump)
        return 0 if runs(told, Session(size, tell, told.apart)) else 1
    except (DemoFailed, LocalRunFailed) as wrong:
        tell.line()
        print(f"draad: {wrong}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        tell.line("stopped")
        return INTERRUPTED


def runs(told: argparse.Namespace, session: Session) -> bool:
    seeds = range(told.seed, told.seed + told.runs)
    groups = [seeds[start : start + TOGETHER] for start in range(0, len(seeds), TOGETHER)]

    def after(sums: Sums) -> None:
        if told.keep:
            kept.keep("chaos", kept.of_runs(sums, seeds))

    if told.at_once > 1:
        return Drivers(groups, passed_on(told), session.tell, after).go(told.at_once).all_good
    for group in groups:
        session.hub(group)
        for line in session.sums.lines():
            session.tell.line(line)
        after(session.sums)
        if told.sums:
            session.sums.write(told.sums)
    return session.sums.all_good


def passed_on(told: argparse.Namespace) -> list[str]:
    """The options of a run, for a process that makes some of them."""
    named = [f"--{name}={getattr(told, name)}" for name in ("customers", "seconds", "scale", "jump")]
    return named + [f"--{name}" for name in ("hang", "apart") if getattr(told, name)]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    sys.exit(main())
