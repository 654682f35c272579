"""What was thrown and what came back, counted: each test adds its share, `python -m tests.attack` makes a table of all."""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FULL = "DRAAD_ATTACK_FULL"
"""Set: much more is thrown than the share of `make test`."""
TIMES = 6
"""So many times its share, for each source and route: all of every corpus at each of them would take hours."""
FOLDER = "DRAAD_ATTACK_TALLY"
"""Where each test leaves its counts; without it they are not kept."""


def full() -> bool:
    return os.environ.get(FULL) == "1"


def share(usual: int) -> int:
    """How many lines of a corpus one source or route gets, of which it gets `usual` in `make test`."""
    return usual * TIMES if full() else usual


@dataclass
class Tally:
    """`at`: what was attacked. `facts`: numbers that are no counts, such as the largest ratio of processor time."""

    at: str
    inputs: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, status: object) -> None:
        self.inputs[kind] += 1
        self.statuses[str(status)] += 1

    def keep(self) -> None:
        folder = os.environ.get(FOLDER)
        if folder:
            told = {"at": self.at, "inputs": self.inputs, "statuses": self.statuses, "facts": self.facts}
            (Path(folder) / f"{uuid.uuid4().hex}.json").write_text(json.dumps(told), "utf-8")


def kept(folder: Path) -> list[Tally]:
    """By what was attacked, in the order of their names; two of one name are added up."""
    found: dict[str, Tally] = {}
    for path in sorted(folder.glob("*.json")):
        told = json.loads(path.read_text("utf-8"))
        into = found.setdefault(told["at"], Tally(told["at"]))
        into.inputs.update(told["inputs"])
        into.statuses.update(told["statuses"])
        into.facts |= told["facts"]
    return [found[name] for name in sorted(found)]


def total(found: Iterable[Tally]) -> tuple[Counter[str], Counter[str]]:
    """Inputs by kind and answers by status, of all."""
    inputs: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for each in found:
        inputs.update(each.inputs)
        statuses.update(each.statuses)
    return inputs, statuses
