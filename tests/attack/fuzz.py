"""Coverage-guided fuzzing of one target in a process of its own: `python -m tests.attack.fuzz TARGET SECONDS [RUNS]`.

What was found new is kept in .draad/fuzz/TARGET, so that each run goes on where the last one ended. An input that breaks
something is written to .draad/fuzz/broken, and is thrown again by every later run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / ".draad" / "fuzz"
BROKEN = "broken"
GUIDED = ("chalicelib.kit", "chalicelib.sources", "chalicelib.model", "chalicelib.api", "chalicelib.store.ids")
DONE = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
START = re.compile(r"^#\d+\s+INITED\s+cov: (\d+) ft: (\d+)", re.MULTILINE)
MEGABYTES, SLOWEST = 2048, 60


@dataclass(frozen=True)
class Fuzzed:
    """`edges` and `features`: places of the code that were reached, and ways to reach them; `before` with the seeds."""

    target: str
    runs: int
    edges: int
    features: int
    before: int
    broken: str
    said: str


def there() -> bool:
    """Its builds are for some platforms and Pythons; elsewhere the same inputs are thrown without a guide."""
    return find_spec("atheris") is not None


def fuzzed(target: str, seconds: int, runs: int = -1, kept: Path = KEPT) -> Fuzzed:
    """In a process of its own: the engine ends the one it runs in."""
    command = [sys.executable, "-m", "tests.attack.fuzz", target, str(seconds), str(runs), str(kept)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds * 4 + 900)
    said = done.stdout + done.stderr
    reached, began = DONE.search(said), START.search(said)
    counts = [int(each) for each in reached.groups()] if reached else [0, 0, 0]
    broken = "" if done.returncode == 0 and reached else said[-3000:]
    return Fuzzed(target, counts[0], counts[1], counts[2], int(began[1]) if began else 0, broken, said)


def main(target: str, seconds: str, runs: str = "-1", kept: str = str(KEPT)) -> None:
    import atheris

    with atheris.instrument_imports(include=list(GUIDED)):
        from tests.attack import targets

        targets.ready()
    folder, broken = Path(kept) / target, Path(kept) / BROKEN
    begun = Path(kept) / "seeds" / target
    for each in (folder, broken, begun):
        each.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate(targets.seeds(target)):
        (begun / f"{number:05}").write_bytes(raw)
    told = [f"-max_total_time={seconds}", f"-runs={runs}", f"-max_len={targets.LONGEST_SEED}", "-print_final_stats=1"]
    told += [f"-rss_limit_mb={MEGABYTES}", f"-timeout={SLOWEST}", f"-artifact_prefix={broken}{os.sep}{target}-"]
    atheris.Setup(["fuzz", *told, str(folder), str(begun)], targets.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
