"""What the package weighs, by whom, and against the last time."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.package import rules

KEPT = Path("bench") / "results" / "package.json"
"""The last result that somebody kept with --keep."""
SMALL = 200_000
"""Bytes unpacked under which a package has no row of its own."""
Found = dict[str, Any]


def sizes(path: Path) -> Found:
    """Bytes in the archive and unpacked: whole, and by package."""
    rows: dict[str, list[int]] = {}
    with zipfile.ZipFile(path) as archive:
        for each in archive.infolist():
            row = rows.setdefault(rules.owner(each.filename), [0, 0])
            row[0] += each.compress_size
            row[1] += each.file_size
    whole = [path.stat().st_size, sum(row[1] for row in rows.values())]
    return {"date": f"{datetime.now(UTC):%Y-%m-%d}", "whole": whole, "packages": rows}


def last(root: Path) -> Found:
    path = root / KEPT
    found: Found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def keep(root: Path, found: Found) -> None:
    (root / KEPT).write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def table(found: Found, before: Mapping[str, Any]) -> str:
    rows = sorted(found["packages"].items(), key=lambda each: -each[1][1])
    large = {name: row for name, row in rows if row[1] >= SMALL}
    rest = [row for name, row in rows if name not in large]
    others = [sum(column) for column in zip(*rest, strict=True)] if rest else [0, 0]
    old = before.get("packages", {})
    lines = [_line("package", "zip MB", "unzipped MB", "since then")]
    lines += [_line(name, _mb(row[0]), _mb(row[1]), _since(row, old.get(name))) for name, row in large.items()]
    lines.append(_line(f"{len(rest)} smaller ones", _mb(others[0]), _mb(others[1]), ""))
    packed, unpacked = map(_mb, found["whole"])
    lines.append(_line("whole", packed, unpacked, _since(found["whole"], before.get("whole"))))
    lines.append(_line("budget", _mb(rules.ZIP_BUDGET), _mb(rules.UNZIPPED_BUDGET), ""))
    lines.append(_line("Lambda's limit", _mb(rules.ZIP_LIMIT), _mb(rules.UNZIPPED_LIMIT), ""))
    return "\n".join(lines)


def over(found: Found) -> bool:
    return bool(found["whole"][0] > rules.ZIP_BUDGET or found["whole"][1] > rules.UNZIPPED_BUDGET)


def _mb(count: int) -> str:
    return f"{count / 1e6:.2f}"


def _since(row: list[int], before: list[int] | None) -> str:
    return "" if before is None else f"{(row[1] - before[1]) / 1e6:+.2f}"


def _line(name: str, packed: str, unpacked: str, since: str) -> str:
    return f"{name:24} {packed:>8} {unpacked:>12} {since:>12}"
