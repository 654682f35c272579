"""`python -m infra.deploy.doctor --stage prod`: what of a stage is not as it must be, why that matters, and how to mend it.

It reads settings and changes none. The one thing that it writes is how many checks were wrong, for /health. What AWS does not let it
see it cannot tell, and says which permission that takes: docs/operate.md, Doctor.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from chalicelib.model import instants
from chalicelib.store import checkup
from chalicelib.store.codec import encode
from infra.deploy import (
    asked,
    checks_alarms,
    checks_functions,
    checks_live,
    checks_secrets,
    checks_sources,
    checks_storage,
    environment,
    place,
    release,
)
from infra.deploy.asked import OK, SKIPPED, UNSURE, WRONG, CannotTell, Check, Finding, Stage, asking
from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place, Tell
from infra.local.state import ROOT

ORDER = {WRONG: 0, UNSURE: 1, SKIPPED: 2, OK: 3}
SKIP = "DRAAD_DOCTOR_SKIP"
"""Checks that are not made, by how their names begin, with commas between them: for what somebody wants otherwise."""
SECONDS = 15.0
"""For an answer of the stage itself: longer than a function's cold start."""
PARTS = (checks_storage, checks_functions, checks_sources, checks_secrets, checks_alarms, checks_live)


def checks() -> list[Check]:
    return [check for part in PARTS for check in part.checks()]


def look(stage: Stage, skip: Sequence[str] = ()) -> list[Finding]:
    """All findings, the wrong ones first. A stage without a stack has one: that."""
    found = [_skipped(check) if _named(check, skip) else asked.examine(check, stage) for check in checks()]
    if lost := [each for each in found if each.check == "stack" and each.found == asked.NOT_THERE]:
        return lost
    return sorted(found, key=lambda each: ORDER[each.verdict])


def _named(check: Check, skip: Sequence[str]) -> bool:
    return any(check.name.startswith(each) for each in skip)


def _skipped(check: Check) -> Finding:
    return Finding(check.name, SKIPPED, f"by {SKIP} or --skip", check.why, "")


def skips(given: Sequence[str]) -> list[str]:
    """Those that are asked for, and those of the environment."""
    named = [*given, *os.environ.get(SKIP, "").split(",")]
    return [each.strip() for each in named if each.strip()]


def run(
    stage: str,
    tell: Tell,
    as_json: bool = False,
    *,
    everything: bool = False,
    root: Path = ROOT,
    secret_days: int = asked.SECRET_DAYS,
    url: str = "",
    skip: Sequence[str] = (),
) -> int:
    """0: nothing is wrong. Raises DeployFailed where AWS does not know who asks."""
    at = place.find(stage, root)
    seen = Stage(at, environment.read(root), post, secret_days, url)
    return examine(seen, tell, as_json, everything, skips(skip))


def examine(seen: Stage, tell: Tell, as_json: bool, everything: bool, skip: Sequence[str]) -> int:
    found = look(seen, skip)
    counts = {name: sum(each.verdict == name for each in found) for name in ORDER}
    known = checkup.Checkup(instants.now(), counts[WRONG], counts[UNSURE], counts[OK])
    lost = keep(seen, known)
    if as_json:
        tell(in_json(seen, known, found, lost))
    else:
        for line in [*lines(found, everything), _summary(seen.place, counts), *_unkept(lost)]:
            tell(line)
    return int(counts[WRONG] > 0)


def in_json(seen: Stage, known: checkup.Checkup, found: Sequence[Finding], lost: str) -> str:
    about = {"stage": seen.name, "region": seen.place.region, "commit": release.commit(seen.place.root)}
    counts = {"at": known.at, "wrong": known.wrong, "cannot_tell": known.unsure, "ok": known.fine}
    return json.dumps(about | counts | {"kept": not lost, "checks": [asdict(each) for each in found]}, indent=2)


def _summary(at: Place, counts: Mapping[str, int]) -> str:
    left = f", {counts[SKIPPED]} skipped" if counts[SKIPPED] else ""
    told = f"{counts[WRONG]} wrong, {counts[UNSURE]} that nobody can tell, {counts[OK]} ok"
    return f"{at.stack} in {at.region}: {told}{left}"


def _unkept(lost: str) -> list[str]:
    return [f"/health does not hear of it: {lost}"] if lost else []


def lines(found: Sequence[Finding], everything: bool) -> list[str]:
    """For people: what is wrong with its cure, then what nobody can tell; what is ok only when asked for."""
    shown = [each for each in found if everything or each.verdict in (WRONG, UNSURE)]
    width = max((len(each.check) for each in shown), default=0)
    return [line for each in shown for line in _lines(each, width)]


def _lines(each: Finding, width: int) -> list[str]:
    indent = " " * (len(UNSURE) + width + 4)
    said = [f"{each.verdict:{len(UNSURE)}}  {each.check:{width}}  {each.found}"]
    if each.verdict == WRONG:
        said.append(f"{indent}why:  {each.why}")
    if each.mend:
        said.append(f"{indent}mend: {each.mend}")
    return said


def keep(stage: Stage, known: checkup.Checkup) -> str:
    """For /health. Empty, or why it could not be kept: that is no reason to fail."""
    try:
        table = stage.outputs["Table"]
        with asking("dynamodb"):
            stage.place.client("dynamodb").put_item(TableName=table, Item=encode(checkup.item_of(known)))
    except CannotTell as dark:
        return f"{dark.found}; {dark.mend}"
    except (asked.Gone, KeyError):
        return "the stage has no table"
    return ""


def post(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """One request to the stage; no redirect is followed. Raises OSError."""
    import requests

    plain: dict[str, str | None] = {"Content-Type": None, **headers}
    answer = requests.request(
        method, url, data=body or None, headers=plain, timeout=SECONDS, allow_redirects=False, stream=True
    )
    with answer:
        return answer.status_code, answer.raw.read(1_000_000, decode_content=True)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.doctor", description=(__doc__ or "").partition(":")[2].strip()
    )
    parser.add_argument("--stage", required=True)
    parser.add_argument("--json", action="store_true", help="for programs: all checks, also those that are ok")
    parser.add_argument(
        "--skip", action="append", default=[], metavar="NAME", help=f"no check whose name begins so; {SKIP} too"
    )
    parser.add_argument("--all", action="store_true", help="show what is ok, too")
    parser.add_argument(
        "--secret-days", type=int, default=asked.SECRET_DAYS, metavar="DAYS", help="older secrets are wrong"
    )
    parser.add_argument("--url", default="", help="where the stage answers, if not at its DRAAD_PUBLIC_URL")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder; default: this one")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    wish = arguments().parse_args(words)
    try:
        return run(
            wish.stage,
            print,
            wish.json,
            everything=wish.all,
            root=wish.root.resolve(),
            secret_days=wish.secret_days,
            url=wish.url,
            skip=wish.skip,
        )
    except DeployFailed as wrong:
        print(f"draad: {wrong}", file=sys.stderr, flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
