"""What a fresh process loads for one hook, against Chalice and one botocore SQS client.

Fresh processes in pairs, processor time, medians. The imports are those of a real hook call; the
call itself, with the four clients that a first one makes, is told beside them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import hook
from bench.stage import environment
from chalicelib import sources
from infra.local.state import ROOT

PAIRS = 9
BUDGET = 1.3
ROUNDS = 5
FIRST_USE = 0.015
"""Of the same floor, as `BUDGET` is: milliseconds alone are the machine's."""
COSTLIEST = 25
LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|(\s+)(\S+)\Z")


@dataclass(frozen=True)
class Fresh:
    """Median milliseconds of processor time; `ratio` is the median of the pairs' ratios.

    `costliest`: modules by own time, as {"module", "own_us", "with_its_imports_us"}.
    """

    floor_ms: float
    hook_ms: float
    call_ms: float
    ratio: float
    call_ratio: float
    modules: int
    costliest: tuple[dict[str, Any], ...]


def measured(provider: str = "shopify", pairs: int = PAIRS) -> Fresh:
    told = first_call(provider)
    modules = {"modules": loaded(provider)}
    rounds = [[_seconds(mode, given) for mode, given in _turns(told, modules)] for _ in range(pairs + 1)][1:]
    floor, own, call = (median(each) * 1000 for each in zip(*rounds, strict=True))
    return Fresh(
        floor,
        own,
        call,
        median(own / floor for floor, own, _ in rounds),
        median(call / floor for floor, _, call in rounds),
        len(modules["modules"]),
        tuple(costliest(modules)),
    )


@dataclass(frozen=True)
class FirstUse:
    """Milliseconds until a source is there, the least of a few fresh processes, by its slug."""

    milliseconds: dict[str, float]

    @property
    def heaviest(self) -> str:
        return max(self.milliseconds, key=lambda slug: self.milliseconds[slug])


def first_uses(rounds: int = ROUNDS) -> FirstUse:
    """The first round compiles."""
    least = {slug: min(_seconds("source", slug) for _ in range(rounds)) * 1000 for slug in sources.slugs()}
    return FirstUse(dict(sorted(least.items(), key=lambda each: -each[1])))


def _turns(told: Any, modules: Any) -> tuple[tuple[str, Any], ...]:
    return ("floor", None), ("hook", modules), ("call", told)


def _seconds(mode: str, told: Any) -> float:
    return float(run(mode, told)["seconds"])


def loaded(provider: str, *, status: int = 200) -> list[str]:
    """Modules that a fresh process loads for one webhook of this provider, ours of the bench aside."""
    names = run("loaded", first_call(provider) | {"status": status})["modules"]
    return [name for name in names if name.partition(".")[0] not in ("bench", "tests", "infra")]


def first_call(provider: str) -> dict[str, Any]:
    """What a fresh process needs to take one webhook: the event, and what AWS answers."""
    with environment(hook.hub_env()):
        return hook.told(provider) | {"status": 200}


def run(mode: str, told: Any, *flags: str) -> dict[str, Any]:
    done = _process(mode, told, flags)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _process(mode: str, told: Any, flags: Iterable[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-m", "bench.fresh", mode]
    done = subprocess.run(
        command, input=json.dumps(told), capture_output=True, text=True, check=False, cwd=ROOT, env=_env()
    )
    if done.returncode:
        raise RuntimeError(f"a fresh process failed: {done.stderr[-2000:]}")
    return done


def _env() -> Mapping[str, str]:
    return hook.hub_env() | {"PYTHONDONTWRITEBYTECODE": ""}


def costliest(modules: Any) -> list[dict[str, Any]]:
    text = _process("hook", modules, ("-X", "importtime")).stderr
    found = [LINE.match(line) for line in text.splitlines()]
    rows = [(int(match[1]), int(match[2]), match[4]) for match in found if match]
    ranked = sorted(rows, reverse=True)[:COSTLIEST]
    return [{"module": name, "own_us": own, "with_its_imports_us": whole} for own, whole, name in ranked]
