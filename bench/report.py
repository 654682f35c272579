"""One table: what was measured, the budget, and whether it holds. Kept by date as JSON and Markdown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("botocore", "chalice", "msgspec", "moto", "pynamodb", "requests")
OK, OVER, TOLD = "ok", "**over**", ""


@dataclass(frozen=True)
class Row:
    """`numbers`: all that was measured, for the JSON."""

    what: str
    measured: str
    budget: str = ""
    verdict: str = TOLD
    numbers: dict[str, Any] = field(default_factory=dict)


def verdict(holds: bool) -> str:
    return OK if holds else OVER


def machine() -> dict[str, Any]:
    """No names of hosts, users or places."""
    return {
        "cpus": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def table(rows: Iterable[Row]) -> str:
    head = ("| what | measured | budget | |", "|---|---|---|---|")
    return "\n".join([*head, *(f"| {row.what} | {row.measured} | {row.budget} | {row.verdict} |" for row in rows)])


def keep(rows: Sequence[Row], seconds: float, folder: Path = RESULTS) -> Path:
    """Write both files of today; one of today's that is there already is replaced."""
    day, about = f"{datetime.now(UTC):%Y-%m-%d}", machine()
    folder.mkdir(exist_ok=True)
    found = {"date": day, "seconds": round(seconds, 1), "machine": about, "rows": [asdict(row) for row in rows]}
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    (folder / f"{day}.json").write_text(text.replace(OVER, "over"), "utf-8")
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    intro = (
        f"# Bench of {day}\n\n{about['cpus']} processors ({about['architecture']}, {about['system']}), "
        f"Python {about['python']}, {packages}; {seconds:.0f} s.\n\n"
    )
    path = folder / f"{day}.md"
    path.write_text(f"{intro}{table(rows)}\n", "utf-8")
    return path
