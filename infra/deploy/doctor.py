"""`python -m infra.deploy.doctor --stage prod`: what of a stage is not as it must be, why that matters, and how to mend it.

It reads settings and changes none. The one thing that it writes is how many checks were wrong, for /health. What AWS does not let it
see it cannot tell, and says which permission that takes: docs/operate.md, Doctor.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from infra.deploy.asked import OK, UNSURE, WRONG, CannotTell, Check, Finding, Stage, asking
from infra.deploy.errors import DeployFailed
from infra.deploy.place import Place, Tell
from infra.local.state import ROOT

ORDER = {WRONG: 0, UNSURE: 1, OK: 2}
SECONDS = 15.0
"""For an answer of the stage itself: longer than a function's cold start."""
PARTS = (checks_storage, checks_functions, checks_sources, checks_secrets, checks_alarms, checks_live)


def checks() -> list[Check]:
    return [check for part in PARTS for check in part.checks()]


def look(stage: Stage) -> list[Finding]:
    """All findings, the wrong ones first. A stage without a stack has one: that."""
    found = [asked.examine(check, stage) for check in checks()]
    stack = next(each for each in found if each.check == "stack")
    if stack.verdict == WRONG and stack.found == asked.NOT_THERE:
        return [stack]
    return sorted(found, key=lambda each: ORDER[each.verdict])


def run(
    stage: str,
    tell: Tell,
    as_json: bool = False,
    *,
    everything: bool = False,
    root: Path = ROOT,
    secret_days: int = asked.SECRET_DAYS,
    url: str = "",
) -> int:
    """0: nothing is wrong. Raises DeployFailed where AWS does not know who asks."""
    return examine(place.find(stage, root), tell, as_json, everything, secret_days, url)


def examine(at: Place, tell: Tell, as_json: bool, everything: bool, secret_days: int, url: str) -> int:
    seen = Stage(at, environment.read(at.root), post, secret_days, url)
    found = look(seen)
    wrong, unsure, fine = (sum(each.verdict == verdict for each in found) for verdict in (WRONG, UNSURE, OK))
    known = checkup.Checkup(instants.now(), wrong, unsure, fine)
    kept = keep(seen, known)
    if as_json:
        about = {"stage": at.stage, "region": at.region, "commit": release.commit(at.root)}
        tell(
            json.dumps(
                about | asdictionary(known) | {"kept": not kept, "checks": [asdict(each) for each in found]}, indent=2
            )
        )
    else:
        for line in lines(found, everything):
            tell(line)
        tell(f"{at.stack} in {at.region}: {wrong} wrong, {unsure} that nobody can tell, {fine} ok")
        if kept:
            tell(f"/health does not hear of it: {kept}")
    return int(wrong > 0)


def asdictionary(known: checkup.Checkup) -> dict[str, Any]:
    return {"at": known.at, "wrong": known.wrong, "cannot_tell": known.unsure, "ok": known.fine}


def lines(found: Sequence[Finding], everything: bool) -> list[str]:
    """For people: what is wrong with its cure, then what nobody can tell; what is ok only when asked for."""
    shown = [each for each in found if everything or each.verdict != OK]
    width = max((len(each.check) for each in shown), default=0)
    return [line for each in shown for line in _lines(each, width)]


def _lines(each: Finding, width: int) -> list[str]:
    indent = " " * (len(UNSURE) + width + 4)
    said = [f"{each.verdict:{len(UNSURE)}}  {each.check:{width}}  {each.found}"]
    if each.verdict == WRONG:
        said.append(f"{indent}why:  {each.why}")
    if each.verdict != OK and each.mend:
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
        )
    except DeployFailed as wrong:
        print(f"draad: {wrong}", file=sys.stderr, flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main())
