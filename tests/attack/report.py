"""The table of an attack: what was thrown at what, what came back, the worst ratio, what the fuzzing reached."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.report import RESULTS, machine
from tests.attack.tally import Tally, total

Told = Mapping[str, Any]


def keep(found: Sequence[Tally], told: Told, seconds: float, folder: Path = RESULTS) -> Path:
    """Both files, in place of those of the run before."""
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "seconds": round(seconds, 1), "machine": machine()}
    inputs, statuses = total(found)
    whole = about | {"inputs": dict(inputs), "answers": dict(statuses)} | dict(told)
    whole |= {"attacks": [vars(each) for each in found]}
    folder.mkdir(exist_ok=True)
    (folder / "attack.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    path = folder / "attack.md"
    path.write_text(text(found, told, about), "utf-8")
    return path


def renew(advice: str, folder: Path = RESULTS) -> None:
    """In the kept table only what the advisory database says: it changes while the code does not."""
    kept, shown = folder / "attack.json", folder / "attack.md"
    whole = json.loads(kept.read_text("utf-8"))
    was, whole["audit"] = whole["audit"], advice
    kept.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    shown.write_text(shown.read_text("utf-8").replace(f"\n{was}\n", f"\n{advice}\n"), "utf-8")


def text(found: Sequence[Tally], told: Told, about: Told) -> str:
    on = about["machine"]
    head = (
        f"# Attack of {about['date']}\n\n{on['cpus']} processors ({on['architecture']}, {on['system']}), "
        f"Python {on['python']}; {about['seconds']:.0f} s. How and what not: docs/attack.md.\n"
    )
    inputs, statuses = total(found)
    parts = [
        head,
        counts("Inputs by kind", inputs),
        counts("Answers", statuses),
        rows("What was attacked", ("attacked", "inputs", "answers", "found"), map(attack, found)),
        rows("Suites", ("suite", "tests", "skipped", "failed"), map(suite, told["suites"])),
        f"## Dependencies\n\n{told['audit']}\n",
    ]
    return "\n".join(parts)


def counts(title: str, found: Mapping[str, int]) -> str:
    lines = [f"| {name} | {number:,} |" for name, number in sorted(found.items(), key=lambda each: (-each[1], each[0]))]
    return "\n".join([f"## {title}\n", "| | |", "|---|---|", *lines, f"| together | {sum(found.values()):,} |", ""])


def rows(title: str, names: Sequence[str], lines: Any) -> str:
    return "\n".join([f"## {title}\n", f"| {' | '.join(names)} |", "|---" * len(names) + "|", *lines, ""])


def attack(one: Tally) -> str:
    answers = ", ".join(f"{name}: {number:,}" for name, number in sorted(one.statuses.items()))
    facts = ", ".join(f"{name} {value}" for name, value in one.facts.items())
    return f"| {one.at} | {sum(one.inputs.values()):,} | {answers} | {facts} |"


def suite(one: Told) -> str:
    return f"| {one['name']} | {one['tests']:,} | {one['skipped']:,} | {', '.join(one['failures']) or '0'} |"
