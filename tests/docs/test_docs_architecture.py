"""The architecture's tables are those of the code."""

from __future__ import annotations

import re

from chalicelib.store import table
from tests.docs.markdown import DOCS, rows
from tests.test_imports import LAYER
from tests.test_names import FORBIDDEN

ARCHITECTURE, CONTRIBUTING = DOCS / "architecture.md", DOCS / "contributing.md"


def test_the_layers() -> None:
    told = {
        package: int(layer)
        for layer, packages, _ in rows(ARCHITECTURE, "Packages and layers")
        for package in re.findall(r"`(\w+)`", packages)
    }
    assert told == LAYER


def test_keys_of_the_table() -> None:
    for question, read in rows(ARCHITECTURE, "The table"):
        for key in re.findall(r"`([^`]+)`", read):
            assert re.search(rf"(?<![\w#]){re.escape(key)}(?![\w#])", table.__doc__ or ""), f"{question}: {key}"


def test_forbidden_words_that_are_told_are_forbidden() -> None:
    told = re.search(r"Never: ([a-z, ]+) \(", CONTRIBUTING.read_text("utf-8"))
    assert told and set(told[1].split(", ")) <= FORBIDDEN


def test_each_step_says_all_three() -> None:
    steps = rows(ARCHITECTURE, "What happens if")
    assert len(steps) > 15
    assert all(len(row) == 4 and all(row) for row in steps)
