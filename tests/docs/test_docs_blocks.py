"""Every block of every page is run, checked, or says why it is neither.

A comment right before a block says what it is:

    <!-- not run: why -->           a command that cannot run in a test
    <!-- run: name -->              a command that a test beside these runs, which names the page
    <!-- answers: 401 -->           a command whose last request is refused
    <!-- body: POST /v1/rules -->   JSON that this route takes
    <!-- answer: shortened -->      JSON that the command before it answers; … stands for anything
    <!-- mapping: generic -->       JSON that is a mapping of this provider

Commands without a comment run in `test_docs_run.py`; JSON without one is only parsed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from chalicelib.api.providers import declared
from chalicelib.kit import outgoing
from tests.api.client import Api, key_with
from tests.docs.markdown import DOCS, ROOT, Block, blocks, name_of

PAGES = sorted(DOCS.rglob("*.md"))
SHELL = ("sh", "bash")
LEFT = ("not run", "run")
"""Marks of commands that `test_docs_run.py` leaves alone."""
MARKS = {
    "sh": ("", "not run", "run", "answers"),
    "bash": ("", "not run", "run", "answers"),
    "python": ("", "not run"),
    "json": ("", "body", "mapping", "answer"),
    "text": ("",),
    "mermaid": ("",),
    "http": ("",),
}
ALL = [block for page in PAGES for block in blocks(page)]


def elsewhere(page: Path) -> bool:
    """Whether a test beside these names the page."""
    beside = [path for path in (ROOT / "tests").rglob("test_*.py") if path.parent != Path(__file__).parent]
    return any(page.name in path.read_text("utf-8") for path in beside)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.mark in MARKS.get(block.language, ()), f"{block.name}: {block.language} {block.mark}"
        assert block.mark != "not run" or len(block.about) > 10, f"{block.name} does not say why"
        assert block.mark != "run" or elsewhere(page), f"{block.name}: no test names this page"


def test_what_is_not_run_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = [block for block in ALL if block.mark == "not run"]
    with capsys.disabled():
        for block in left_out:
            print(f"\nnot run: {block.name}: {block.about}", end="")
    assert left_out


@pytest.mark.parametrize("block", [each for each in ALL if each.language == "json"], ids=lambda each: each.name)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


def test_bodies_are_taken(memory_aws: dict[str, str]) -> None:
    """Each by its route, on an empty stage; a refusal names page, line and field."""
    api = Api(key_with("admin"))
    bodies = [block for block in ALL if block.mark == "body"]
    assert bodies
    for block in bodies:
        method, path = block.about.split()
        answer = api.send(method, path, block.text.encode(), [("Content-Type", "application/json")])
        assert answer.status < 300, f"{block.name}: {answer.status} {answer.raw.decode()[:500]}"


def _mistakes(slug: str, mapping: Any) -> list[dict[str, str]]:
    source, destination = declared(slug)
    if source and source.check_mapping:
        return source.check_mapping(mapping, {})
    assert destination
    return outgoing.check(mapping, destination, {})


def test_mappings_can_be_registered() -> None:
    for block in ALL:
        if block.mark == "mapping":
            assert _mistakes(block.about, json.loads(block.text)) == [], block.name


def test_python_runs() -> None:
    for block in ALL:
        if block.language == "python" and not block.mark:
            exec(compile(block.text, block.name, "exec"), {"__name__": "docs"})


def test_commands_that_are_not_run_name_what_exists() -> None:
    """Targets of make, modules, test files."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for block in ALL:
        if block.language not in SHELL:
            continue
        assert set(re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE)) <= targets, block.name
        for path in re.findall(r"(?:^|\s)((?:tests|infra|chalicelib|docs)/[\w./-]+)", block.text):
            assert (ROOT / path).exists(), f"{block.name}: {path}"
        for module in re.findall(r"-m ((?:infra|tests|bench)[\w.]*)", block.text):
            where = ROOT / module.replace(".", "/")
            assert where.is_dir() or where.with_suffix(".py").exists(), f"{block.name}: {module}"
