"""docs/cli.md keeps its word: its blocks run one after the other, and it shows every command there is."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cli import arguments
from infra.cli.stopped import FAILED, INTERRUPTED, NOBODY_READS, OK, UNREACHABLE, USAGE
from infra.local.hub import Hub
from tests.drive import Integrator

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- run: ([\w ]+) -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
SPELLED_OUT = {"rules list", "rules create", "rules change", "rules delete"}
"""Described in the README, where rules are."""


def commands(parser: argparse.ArgumentParser, path: str = "") -> Iterator[str]:
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for action in below:
        for name, inner in action.choices.items():
            yield from commands(inner, f"{path} {name}".strip())
    if not below:
        yield path


def test_every_command_is_shown() -> None:
    script = "".join(block for _, block in BLOCKS)
    shown = set(re.findall(r"\bdraad ([a-z-]+(?: [a-z]+)?)", script))
    missing = [each for each in commands(arguments.parser()) if each not in shown | SPELLED_OUT]
    assert [each for each in missing if not any(one.split()[0] == each for one in shown)] == []


def test_every_block_of_commands_is_run() -> None:
    assert PAGE.count("```sh\n") == len(BLOCKS) == 7


def test_the_exit_codes_are_those_of_the_program() -> None:
    written = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    assert written == [OK, FAILED, USAGE, UNREACHABLE, INTERRUPTED, NOBODY_READS]


@pytest.fixture(scope="module")
def hub(own_hub: Hub) -> Hub:
    return own_hub


@pytest.mark.embedded
def test_the_page_runs_as_written(hub: Hub, tmp_path: Path) -> None:
    script = "".join(block for _, block in BLOCKS)
    script = re.sub(r"export DRAAD_KEY=\S+", f"export DRAAD_KEY={hub.admin_key}", script)
    script = re.sub(r"export DRAAD_URL=\S+", f"export DRAAD_URL={hub.url}", script)
    script = script.replace(".venv/bin/python -m infra.cli", f"PYTHONPATH={ROOT} {sys.executable} -m infra.cli")
    try:
        done = subprocess.run(
            ["bash", "-eu", "-c", script],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    finally:
        cleared(Integrator(hub.url, hub.admin_key))
    for part in (
        "web chat",
        "message webchat in",
        "Is de trui in de winkel",
        "nothing is changed; it would be",
        "certificate",
        "#t=magic_",
        "revoked",
    ):
        assert part in done.stdout + done.stderr, part
    printed = done.stdout + done.stderr
    assert hub.admin_key not in printed and "a-token-of-your-choice" not in printed
    assert not re.search(r"whsec_[\w+/]{20}", printed)


def cleared(who: Integrator) -> None:
    """The session's hub as it was."""
    for each in who.get("/v1/connections")["connections"]:
        who.call("DELETE", f"/v1/connections/{each['id']}")
    who.call("PATCH", "/v1/settings", json={"own": []})
