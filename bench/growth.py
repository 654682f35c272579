"""What grows with a customer's history, and what does not: requests, units and milliseconds, as a table and as pictures.

Requests and units are counted on the AWS in memory, so they are exact. Milliseconds come from the indexed engine, where
that is there. Kept in bench/results/growth.json and .md; the pictures, in docs/pictures, are drawn of these files alone,
so that a test can compare them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import cases, indexed, pictures, report
from bench.cases import Case
from bench.looks import LOOKS
from bench.stage import World, memory_stage
from infra.local.state import ROOT

PICTURES = ROOT / "docs" / "pictures"
LENGTHS = 100, 1_000, 10_000, 100_000
STEPS = (
    Case("known identities and thread", cases.known),
    Case("two new ids", cases.two_new_ids),
    Case("new id joins", cases.id_joins),
    Case("merge 20+20", cases.merge_large),
)
KEPT, PAGE = report.RESULTS / "growth.json", report.RESULTS / "growth.md"


@dataclass(frozen=True)
class Grown:
    """By entries of history; `ms` of looks on the indexed engine, empty where it was not run."""

    name: str
    look: bool
    requests: Mapping[int, int]
    write_units: Mapping[int, float]
    read_units: Mapping[int, float]
    ms: Mapping[int, float]


def measured(lengths: Iterable[int] = LENGTHS) -> list[Grown]:
    lengths = tuple(lengths)
    spent = {} if indexed.why_not() else {each.name: each.ms for each in indexed.measured(lengths)}
    looks = [_grown(case, lengths, spent.get(case.name.partition(" (")[0], {})) for case in LOOKS]
    return [*looks, *(_grown(case, lengths, None) for case in STEPS)]


def _grown(case: Case, lengths: Iterable[int], ms: Mapping[int, float] | None) -> Grown:
    """On a stage of its own, so that its history is gone with it."""
    with memory_stage():
        world = World()
        bills = {entries: case.run(world, entries) for entries in lengths}
    return Grown(
        case.name.partition(" (")[0],
        ms is not None,
        {entries: bill.reads + bill.writes for entries, bill in bills.items()},
        {entries: bill.write_units for entries, bill in bills.items()},
        {entries: bill.read_units for entries, bill in bills.items()},
        ms or {},
    )


def keep(found: Iterable[Grown], without: str) -> None:
    """`without`: why there are no milliseconds, or empty."""
    rows = [vars(each) for each in found]
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    told = {"date": day, "machine": report.machine(), "without_ms": without, "rows": rows}
    KEPT.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(page(told), "utf-8")


def kept() -> dict[str, Any]:
    """As JSON tells it: entries are texts."""
    found: dict[str, Any] = json.loads(KEPT.read_text("utf-8"))
    return found


def page(told: Mapping[str, Any]) -> str:
    about = told["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    head = (
        f"# Growth, {told['date']}\n\n{about['cpus']} processors ({about['architecture']}, {about['system']}), "
        f"Python {about['python']}, {packages}.\n\n"
    )
    return head + table(told)


def table(told: Mapping[str, Any]) -> str:
    lengths = [f"{int(each):,}" for each in told["rows"][0]["requests"]]
    lines = [f"| after so many entries | | {' | '.join(lengths)} |", "|---|---|" + "---|" * len(lengths)]
    for row in told["rows"]:
        for name, unit in (("requests", "requests"), ("write_units", "WU"), ("read_units", "RU"), ("ms", "ms")):
            values = list(row[name].values())
            if values and any(values):
                lines.append(f"| {row['name']} | {unit} | {' | '.join(_number(each) for each in values)} |")
    if told["without_ms"]:
        lines += ["", f"Milliseconds on an indexed engine were not measured: {told['without_ms']}."]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.1f}" if value % 1 else f"{value:,.0f}"


def draw(folder: Path) -> None:
    for name, text in drawn(kept(), costs()).items():
        (folder / name).write_text(text, "utf-8")


def drawn(told: Mapping[str, Any], money: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """File name → picture."""
    looks, steps = ([row for row in told["rows"] if row["look"] is look] for look in (True, False))
    x = "entries in the customer's history"
    found = {
        "growth-requests.svg": pictures.lines(
            "Requests of a look, by history", x, "requests", _curves(looks, "requests")
        ),
        "growth-read-units.svg": pictures.lines(
            "Read units of a look, by history", x, "read units", _curves(looks, "read_units")
        ),
        "growth-write-units.svg": pictures.lines(
            "Write units of an event, by history", x, "write units", _curves(steps, "write_units")
        ),
        "cost-by-case.svg": pictures.bars("List cost of a million webhooks of 4 KB", "US dollars", money, 9.0),
    }
    if all(row["ms"] for row in looks):
        title = "Milliseconds of a look on an indexed engine, by history"
        found["growth-ms.svg"] = pictures.lines(title, x, "milliseconds, median", _curves(looks, "ms"))
    return found


def _curves(rows: Iterable[Mapping[str, Any]], what: str) -> dict[str, dict[int, float]]:
    return {row["name"]: {int(entries): value for entries, value in row[what].items()} for row in rows}


PARTS = {"api_gateway": "API", "compute": "Lambda", "queues": "SQS", "writes": "writes", "reads": "reads"}


def section() -> str:
    """What docs/costs.md tells of the newest results."""
    told = kept()
    money = costs()
    lines = ["| a million webhooks of 4 KB, in dollars | " + " | ".join(PARTS.values()) + " | all |"]
    lines.append("|---|" + "---|" * (len(PARTS) + 1))
    for name, parts in money.items():
        lines.append(f"| {name} | {' | '.join(f'{each:.2f}' for each in parts.values())} | {sum(parts.values()):.2f} |")
    shown = [f"![{alt(text)}](pictures/{name})" for name, text in drawn(told, money).items()]
    return "\n".join([*lines, "", table(told).rstrip(), "", f"Measured {told['date']}.", "", "\n\n".join(shown)])


def alt(picture: str) -> str:
    return picture.partition("<title>")[2].partition("</title>")[0]


def costs() -> dict[str, dict[str, float]]:
    """Case → part → dollars, of the newest bench that is kept."""
    newest = sorted(report.RESULTS.glob("20*.json"))[-1]
    rows = json.loads(newest.read_text("utf-8"))["rows"]
    told = [row["numbers"] for row in rows if row["what"].startswith("a million webhooks")]
    return {each["name"]: {name: each[part] for part, name in PARTS.items()} for each in told}
