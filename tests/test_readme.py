"""The README keeps its word: its commands run, its tables are what the code says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from chalicelib import destinations
from chalicelib.api.providers import all_slugs, summary
from chalicelib.kit import outgoing
from infra.local.hub import Hub
from tests.docs.markdown import blocks

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.embedded
def test_the_first_webhook_runs_as_written(hub: Hub, tmp_path: Path) -> None:
    """With the magic link that follows it, and what an agent and an admin do next."""
    blocks = re.findall(r"<!-- run: ([\w ]+) -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert [name for name, _ in blocks] == ["first webhook", "magic link", "context"]
    script = "".join(block for _, block in blocks[:2])
    script = re.sub(r"export HUB=.*", f"export HUB={hub.url} KEY={hub.admin_key}", script)
    done = ran(script, tmp_path)
    assert "HTTP/1.1 200" in done.stdout
    assert '"verdict":"accepted"' in done.stdout
    assert done.stdout.partition('{"entries":')[2].count("Is de trui in de winkel ook afgeprijsd?") >= 1
    url = done.stdout.rstrip().rpartition("}")[2]
    assert url.startswith(f"{hub.url}/customers/cus_")
    assert requests.get(url, timeout=10).headers["Content-Type"] == "text/html; charset=utf-8"
    page, _, token = url.partition("#t=")
    api = page.replace("/customers/", "/v1/customers/")
    assert requests.get(api, headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code == 200
    more = f"export HUB={hub.url} KEY={hub.admin_key} ID={api.rpartition('/')[2]}\n{blocks[2][1]}"
    told = ran(more, tmp_path).stdout
    for part in ('"token":"', '"open_question":{', '"dry_run":true', '"action":"identity"', '"erased_up_to":"'):
        assert part in told, part
    assert "Is de trui" in (tmp_path / "export.json").read_text("utf-8")


def recipes() -> dict[str, tuple[list[str], list[str]]]:
    """Target of the Makefile → (what it needs first, modules that it runs)."""
    found, text = {}, MAKEFILE
    for name, value in re.findall(r"^(\w+) = (.*)$", MAKEFILE, re.MULTILINE):
        text = text.replace(f"$({name})", value)
    for target, needs, recipe in re.findall(r"^([\w-]+):(.*)\n((?:\t.*\n)*)", text, re.MULTILINE):
        found[target] = (needs.split(), re.findall(r"python -m ([\w.]+)", recipe))
    return found


def runs(path: str, target: str) -> bool:
    """Whether this test runs what the target does; or CI, which runs `make check`."""
    if path == ".ci/run":
        return target in ("check", *recipes()["check"][0])
    return any(f'"-m", "{module}"' in (ROOT / path).read_text("utf-8") for module in recipes()[target][1])


def test_every_command_is_run_or_says_why_it_is_not() -> None:
    commands = [block for block in blocks(ROOT / "README.md") if block.language in ("sh", "bash")]
    assert {block.mark for block in commands} == {"run", "run by"}, "README shows nothing that no test runs"
    for block in commands:
        for target in re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE):
            assert any(runs(path, target) for path in block.about.split(", ")), f"{block.name}: nothing runs {target}"


def test_a_target_that_nothing_runs_is_seen() -> None:
    assert runs(".ci/run", "test") and runs("tests/infra/test_demo.py", "demo-load")
    assert runs("tests/infra/test_deploy_embedded.py", "rollback")
    assert not runs("tests/infra/test_deploy_embedded.py", "doctor")
    assert not runs(".ci/run", "bench") and not runs("tests/infra/test_demo.py", "run")


def ran(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-eu", "-c", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)


def test_each_mapping_can_be_registered_as_written() -> None:
    blocks = re.findall(r"<!-- mapping: (\w+) -->\n *```json\n(.*?)```", README, re.DOTALL)
    assert blocks
    for slug, block in blocks:
        destination = destinations.load(slug)
        assert outgoing.check(json.loads(block), destination, dict.fromkeys(destination.comes_back, "1")) == []


def catalogue() -> str:
    rows = [
        f"| {each['name']} (`{slug}`) | {each['kind']} | {', '.join(each['channels']) or '–'} "
        f"| {', '.join(each['event_types']) or '–'} | {each['grade']} |"
        for slug in all_slugs()
        for each in [summary(slug)]
    ]
    return "\n".join(["| provider | kind | channels | event types | grade |", "|---|---|---|---|---|", *rows])


def test_the_catalogue_is_generated() -> None:
    """DRAAD_WRITE=1 writes it."""
    pattern = re.compile(r"(<!-- generated: catalogue -->\n).*?(\n<!-- end -->)", re.DOTALL)
    written = pattern.sub(lambda found: found[1] + catalogue() + found[2], README)
    if os.environ.get("DRAAD_WRITE"):
        (ROOT / "README.md").write_text(written, encoding="utf-8")
        return
    assert written == README, "the catalogue in the README is old: run the tests once with DRAAD_WRITE=1"


def figures() -> str:
    """The rows with a budget or an aim, and the drain, of the newest run that is kept."""
    newest = sorted((ROOT / "bench" / "results").glob("20*.md"))[-1]
    lines = newest.read_text(encoding="utf-8").splitlines()
    about = next(line for line in lines if "processors" in line)
    rows = [line for line in lines if line.startswith("|")]
    shown = [row for row in rows if row.split("|")[3].strip() or "/s" in row or "p95" in row]
    return "\n".join(
        [f"Measured {newest.stem}: {about} All rows, and what they mean: [docs/costs.md](docs/costs.md).", "", *shown]
    )


def test_the_figures_are_those_of_the_newest_run() -> None:
    pattern = re.compile(r"(<!-- generated: figures -->\n).*?(\n<!-- end -->)", re.DOTALL)
    written = pattern.sub(lambda found: found[1] + figures() + found[2], README)
    if os.environ.get("DRAAD_WRITE"):
        current = (ROOT / "README.md").read_text(encoding="utf-8")
        (ROOT / "README.md").write_text(
            pattern.sub(lambda found: found[1] + figures() + found[2], current), encoding="utf-8"
        )
        return
    assert written == README, "the figures in the README are old: run the tests once with DRAAD_WRITE=1"


def test_every_file_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`((?:tests|docs|infra|chalicelib|bench)/[\w./-]*)`", README))
    named |= set(re.findall(r"\]\((docs/[\w./-]+)\)", README))
    missing = [name for name in sorted(named) if not (ROOT / name).exists()]
    assert not missing, missing
