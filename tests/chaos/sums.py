"""What all runs came to, added up; a process that made some of them hands its sums on as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.state import ROOT
from tests.chaos.ledger import Ledger
from tests.chaos.plan import KINDS
from tests.chaos.run import Run

KEPT = ROOT / ".draad" / "chaos"
"""Every event of each run by name, in a file for each seed."""


@dataclass
class Sums:
    """Of all runs so far. `wrong`: seeds; `buried`: whether every poisoned message was parked."""

    runs: int = 0
    good: int = 0
    facts: int = 0
    places: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    outages: int = 0
    jumps: int = 0
    wrong: list[int] = field(default_factory=list)
    buried: bool = True

    def add(self, run: Run, ledger: Ledger) -> None:
        self.runs += 1
        self.facts += len(ledger.sent)
        self.places.update(ledger.named.values())
        for (kind, _), number in run.injected.items():
            self.injected[kind] += number
        self.kills += len(run.killed)
        self.outages += len(run.plan.outages)
        self.jumps += len(run.plan.jumps)
        if ledger.mistakes():
            self.wrong.append(run.plan.seed)
        else:
            self.good += 1

    def join(self, other: Sums) -> None:
        for name in ("runs", "good", "facts", "kills", "outages", "jumps"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.places.update(other.places)
        self.injected.update(other.injected)
        self.wrong = sorted(self.wrong + other.wrong)
        self.buried &= other.buried

    @property
    def all_good(self) -> bool:
        return self.buried and not self.wrong

    def lines(self) -> Iterator[str]:
        places = ", ".join(f"{number:,} {place}" for place, number in self.places.most_common())
        yield f"runs     {self.good:,} of {self.runs:,} OK; {self.facts:,} events: {places}"
        yield f"injected {faults(self.injected)}"
        yield f"         {self.kills:,} kills, {self.outages:,} outages of destinations, {self.jumps:,} jumps of a clock"
        for seed in self.wrong:
            yield f"NOT OK   seed {seed}: run it alone with `make chaos SEED={seed}`; its events are in {KEPT.relative_to(ROOT)}/{seed}.json"

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(vars(self)), "utf-8")


def read(path: Path) -> Sums:
    told = json.loads(path.read_text("utf-8"))
    return Sums(**told | {name: Counter(told[name]) for name in ("places", "injected")})


def faults(injected: Counter[str]) -> str:
    return ", ".join(f"{injected[kind]:,} {kind}" for kind in (*KINDS, "swallow") if injected[kind])
