"""What many runs and a soak found, kept by date in `bench/results/` beside the bench's own tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report import RESULTS, Row, machine, table, verdict
from tests.chaos.plan import KINDS

if TYPE_CHECKING:
    from tests.chaos.soak import Sample
    from tests.chaos.sums import Sums


def of_runs(sums: Sums, seeds: Sequence[int]) -> list[Row]:
    """Seeds follow one another."""
    lost, events = sums.places["lost"], sums.facts
    places = ", ".join(f"{number:,} {place}" for place, number in sums.places.most_common())
    return [
        Row(
            f"runs OK, of seeds {seeds[0]} to {seeds[-1]}",
            f"{sums.good} of {sums.runs}",
            "all",
            verdict(not sums.wrong),
        ),
        Row("events lost", f"{lost} of {events:,}", "0", verdict(not lost), {"wrong seeds": sums.wrong}),
        Row("where they are", places, numbers=dict(sums.places)),
        Row("faults injected", _kinds(sums.injected), numbers=dict(sums.injected)),
        Row("processes killed, outages, clock jumps", f"{sums.kills}, {sums.outages}, {sums.jumps}"),
    ]


def of_soak(samples: Sequence[Sample], injected: Counter[str], wrong: Iterable[str]) -> list[Row]:
    first, last, wrong = samples[0], samples[-1], list(wrong)
    memory = [
        Row(
            f"memory of {name}, MB",
            f"{first.memory[name]} at {first.events:,} events, at most {max(each.memory[name] for each in samples)}, "
            f"{last.memory[name]} at {last.events:,}",
            numbers={str(each.events): each.memory[name] for each in samples},
        )
        for name in last.memory
    ]
    rate = last.events / max(last.seconds, 0.001)
    return [
        Row(
            "events, ledger and memory",
            f"{last.events:,} in {last.seconds:,.0f} s, {rate:.1f}/s",
            "",
            verdict(not wrong),
            {"wrong": wrong},
        ),
        *memory,
        Row("faults injected", _kinds(injected), numbers=dict(injected)),
    ]


def _kinds(injected: Counter[str]) -> str:
    return ", ".join(f"{injected[kind]:,} {kind}" for kind in KINDS if injected[kind])


def keep(what: str, rows: Sequence[Row], folder: Path = RESULTS) -> Path:
    day, about = f"{datetime.now(UTC):%Y-%m-%d}", machine()
    found = {"date": day, "machine": about, "rows": [vars(row) for row in rows]}
    folder.mkdir(exist_ok=True)
    (folder / f"{what}-{day}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    intro = f"{about['cpus']} processors ({about['architecture']}, {about['system']}), Python {about['python']}, {packages}."
    path = folder / f"{what}-{day}.md"
    path.write_text(f"# {what.capitalize()} of {day}\n\n{intro}\n\n{table(rows)}\n", "utf-8")
    return path
