"""The commands of the pages, in the order of the pages, against a hub that runs; their answers are what is shown.

Variables that a block exports go on to the next. Each curl tells its status: a refusal that the page does
not announce is a failure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.local.hub import Hub
from tests.docs.markdown import DOCS, Block, blocks
from tests.docs.test_docs_blocks import ALL, LEFT, SHELL
from tests.drive import eventually

ORDER = ("integrators.md", "timeline.md", "audiences.md", "operate.md")
"""Pages whose commands run, in this order; a page that is not here has none."""
BEFORE = r"""
set -eu -o pipefail
if [ -f "$KEPT" ]; then . "$KEPT"; fi
curl() { command curl -w '%{stderr}status %{http_code}\n' "$@"; }
sleep() {
  command sleep "$1"
  for _ in $(seq 40); do
    if command curl -s "$HUB/health" | python3 -c 'import json, sys; sys.exit(any(json.load(sys.stdin)["queues"].values()))'
    then return 0; fi
    command sleep 0.5
  done
}
"""
AFTER = '\nexport -p > "$KEPT"\n'


def test_every_page_with_commands_is_in_the_order() -> None:
    having = {block.page for block in ALL if block.language in SHELL and block.mark not in LEFT}
    assert having <= {DOCS / name for name in ORDER}


def test_the_wildcard_of_answers() -> None:
    assert fits({"id": "con_…", "n": [{"a": 1}]}, {"id": "con_12", "n": [{"a": 1, "b": 2}, 3], "more": 0}) == []
    assert fits({"id": "con_…", "n": [1, 2], "x": None}, {"id": "rcp_1", "n": [1]}) == [
        '/id: "rcp_1" is not "con_…"',
        "/n: [1] is shorter than shown",
        "/x: is not there",
    ]


def receiver(hub: Hub) -> str:
    """A destination that refuses everything, so that there is something to redrive."""
    asked = {"provider": "webhook", "name": "partner", "settings": {"url": f"{hub.url}/nobody", "own_system": True}}
    asked |= {"secrets": {"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLwSw"}}
    headers = {"Authorization": f"Bearer {hub.admin_key}"}
    made = requests.post(f"{hub.url}/v1/connections", json=asked, headers=headers, timeout=10)
    assert made.status_code == 201, made.text
    eventually(lambda: not any(requests.get(f"{hub.url}/health", timeout=10).json()["queues"].values()))
    return str(made.json()["id"])


@pytest.fixture(scope="module")
def hub(own_hub: Hub) -> Hub:
    return own_hub


@pytest.mark.embedded
def test_the_commands_run_as_written(hub: Hub, tmp_path: Path) -> None:
    seeded = {"HUB": hub.url, "KEY": hub.admin_key, "KEPT": str(tmp_path / "kept.sh"), "DESTINATION": receiver(hub)}
    ran = [_page(DOCS / name, seeded, tmp_path) for name in ORDER]
    assert sum(ran) > 20


def _page(page: Path, seeded: dict[str, str], folder: Path) -> int:
    said, count = "", 0
    for block in blocks(page):
        if block.mark == "answer":
            complaints = fits(json.loads(block.text), _last_json(said))
            assert not complaints, f"{block.name} shows what is not answered: {complaints}\n{said}"
        elif block.language in SHELL and block.mark not in LEFT:
            said, count = _ran(block, seeded, folder), count + 1
    return count


def _ran(block: Block, seeded: dict[str, str], folder: Path) -> str:
    text = re.sub(r"^export HUB=.*$", "", block.text, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", BEFORE + text + AFTER],
        cwd=folder,
        env=os.environ | seeded,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = f"{block.name}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told
    statuses = [int(each) for each in re.findall(r"^status (\d{3})$", done.stderr, re.MULTILINE)]
    wanted = [int(block.about)] if block.mark == "answers" else []
    assert [each for each in statuses if each >= 400] == wanted, told
    return done.stdout


def _last_json(said: str) -> Any:
    """The last whole JSON value of what a block printed."""
    decoder, found = json.JSONDecoder(), None
    at = 0
    while (start := _next(said, at)) >= 0:
        try:
            found, at = decoder.raw_decode(said, start)
        except json.JSONDecodeError:
            at = start + 1
    return found


def _next(text: str, at: int) -> int:
    places = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
    return min(places, default=-1)


def fits(shown: Any, got: Any, where: str = "") -> list[str]:
    """Where an answer is not as shown: shown fields only, … in a text for anything."""
    if isinstance(shown, dict) and isinstance(got, dict):
        missing = [f"{where}/{name}: is not there" for name in shown if name not in got]
        both = [name for name in shown if name in got]
        return [each for name in both for each in fits(shown[name], got[name], f"{where}/{name}")] + missing
    if isinstance(shown, list) and isinstance(got, list):
        if len(shown) > len(got):
            return [f"{where}: {json.dumps(got)} is shorter than shown"]
        pairs = zip(shown, got, strict=False)
        return [each for n, pair in enumerate(pairs) for each in fits(*pair, f"{where}/{n}")]
    if isinstance(shown, str) and isinstance(got, str) and "…" in shown:
        same = re.fullmatch(".*".join(map(re.escape, shown.split("…"))), got, re.DOTALL) is not None
    else:
        same = type(shown) is type(got) and shown == got
    return (
        []
        if same
        else [f"{where}: {json.dumps(got, ensure_ascii=False)} is not {json.dumps(shown, ensure_ascii=False)}"]
    )
