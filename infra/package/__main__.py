"""`python -m infra.package [--cold] [--keep]`; `make size` runs it with --cold."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.local.state import ROOT
from infra.package import cold, sizes, trim
from infra.package.build import build
from infra.package.errors import PackageFailed


def say(text: str) -> None:
    print(text, flush=True)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.package", description="Build the functions' package.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder; default: this one")
    parser.add_argument("--cold", action="store_true", help="measure cold imports")
    parser.add_argument("--keep", action="store_true", help=f"keep the result in {sizes.KEPT}, to compare with later")
    return parser


def measured(root: Path) -> dict[str, list[float]]:
    """Function → processor milliseconds with bytecode, and without."""
    with tempfile.TemporaryDirectory() as folder:
        package = cold.standin(root, Path(folder))
        trim.add_bytecode(package)
        return {
            name: [round(cold.milliseconds(package, name, bytecode), 1) for bytecode in (True, False)]
            for name in cold.FUNCTIONS
        }


def cold_table(found: dict[str, list[float]], before: dict[str, list[float]]) -> str:
    lines = [f"{'cold import, CPU ms':24} {'bytecode':>8} {'without':>12} {'since then':>12}"]
    for name, (with_it, without) in found.items():
        since = f"{with_it - before[name][0]:+.0f}" if name in before else ""
        lines.append(f"{name:24} {with_it:8.0f} {without:12.0f} {since:>12}")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """1 where it failed or is over our budget."""
    asked = arguments().parse_args(words)
    root = asked.root.resolve()
    try:
        path = build(root, say)
        found, before = sizes.sizes(path), sizes.last(root)
        say(str(path.relative_to(root)))
        say(sizes.table(found, before))
        if asked.cold:
            found["cold"] = measured(root)
            say(cold_table(found["cold"], before.get("cold", {})))
    except PackageFailed as wrong:
        print(f"draad: {wrong}", file=sys.stderr, flush=True)
        return 1
    if asked.keep:
        sizes.keep(root, found)
    return int(sizes.over(found))


if __name__ == "__main__":
    sys.exit(main())
