"""The table of the mutants, and what of it wants a test or a reason."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from bench import report
from bench.mutants import REASONS, SAME, Found, targets

JSON, PAGE = report.RESULTS / "mutants.json", report.RESULTS / "mutants.md"
Reasons = Mapping[str, Mapping[str, str]]
"""Target → pattern of a mutant's name → why it lives. A reason that begins with `same` says that nobody can tell
it from the original."""


def reasons(path: Path = REASONS) -> Reasons:
    told: Reasons = json.loads(path.read_text("utf-8"))
    return told


def kept() -> list[Found]:
    """In the order of the targets; without those that are no more."""
    told = (
        {each["target"]: Found(**each) for each in json.loads(JSON.read_text("utf-8"))["found"]}
        if JSON.exists()
        else {}
    )
    return [told[each.name] for each in targets() if each.name in told]


def keep(one: Found) -> None:
    found = {each.target: each for each in kept()} | {one.target: one}
    made = [asdict(found[each.name]) for each in targets() if each.name in found]
    text = json.dumps({"machine": report.machine(), "found": made}, indent=1, ensure_ascii=False)
    JSON.write_text(text + "\n", "utf-8")
    PAGE.write_text(page(kept()), "utf-8")


def reason(told: Reasons, target: str, name: str) -> str:
    """Of the first pattern that is the name itself, or matches it."""
    found = told.get(target, {})
    return found.get(name) or next((why for each, why in found.items() if fnmatch.fnmatchcase(name, literal(each))), "")


def literal(pattern: str) -> str:
    """Only * is special in a reason."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def unexplained(found: Found, told: Reasons) -> list[str]:
    return [name for name in found.survived if not reason(told, found.target, name)]


def idle(found: Found, told: Reasons) -> list[str]:
    """Reasons for which there is no survivor any more."""
    return [
        each
        for each in told.get(found.target, {})
        if each not in found.survived and not fnmatch.filter(found.survived, literal(each))
    ]


def same(found: Found, told: Reasons) -> int:
    return sum(reason(told, found.target, name).startswith(SAME) for name in found.survived)


def share(found: Iterable[Found], told: Reasons) -> str:
    """Of those that differ from the original."""
    rows = list(found)
    counted = sum(each.mutants - same(each, told) for each in rows)
    dead = sum(each.killed + each.timed_out for each in rows)
    return f"{100 * dead / counted:.1f} %" if counted else ""


def page(found: list[Found]) -> str:
    told = reasons()
    machine = json.loads(JSON.read_text("utf-8"))["machine"] if JSON.exists() else report.machine()
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    head = (
        "# Mutants\n\nSmall wrong versions of the rules that must hold, each run against the tests that enter it "
        f"(`make mutants`). Python {machine['python']}, {machine['cpus']} processors ({machine['architecture']}, "
        f"{machine['system']}), {packages}.\n\n"
        "| rule | target | of | tests | mutants | killed | by time | same | alive | share killed |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    rows = [_row(each, told) for each in found]
    rules = dict.fromkeys(each.rule for each in found)
    sums = [
        f"| **{rule}** | | | | | | | | | **{share([f for f in found if f.rule == rule], told)}** |" for rule in rules
    ]
    return "\n".join([head, *rows, *sums, "", _explained(found, told)])


def _row(each: Found, told: Reasons) -> str:
    even = same(each, told)
    alive = len(each.survived) - even
    numbers = f"{each.tests} | {each.mutants} | {each.killed} | {each.timed_out} | {even} | {alive}"
    return f"| {each.rule} | {each.target} | `{each.module}`, {each.date} | {numbers} | {share([each], told)} |"


def _explained(found: list[Found], told: Reasons) -> str:
    lines = [
        "Those that live, each with its reason (`bench/survivors.json`); *same*: nobody can tell it from the original.",
        "",
    ]
    for each in found:
        for name, line in each.survived.items():
            why = reason(told, each.target, name) or "**no reason is given**"
            lines.append(f"- `{each.module}` {line}, `{name.replace('`', chr(39))}`: {why}")
    return "\n".join(lines) + "\n"


def verdict(names: Iterable[str]) -> int:
    told, wrong = reasons(), 0
    for each in kept():
        if each.target in names:
            for name in unexplained(each, told):
                print(f"{each.target}: lives without a reason, {each.module}:{each.survived[name]} {name}")
                wrong = 1
            for name in idle(each, told):
                print(f"{each.target}: a reason without a survivor, {name}")
                wrong = 1
    return wrong
