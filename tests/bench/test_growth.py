"""What the pages show of growth is what was kept. DRAAD_WRITE=1 writes both."""

from __future__ import annotations

import os
import re

import pytest

from bench import growth
from infra.local.state import ROOT

PAGE = ROOT / "docs" / "costs.md"
SECTION = re.compile(r"(<!-- generated: growth -->\n).*?(\n<!-- end -->)", re.DOTALL)


def test_the_page_says_what_was_kept() -> None:
    text = PAGE.read_text("utf-8")
    current = SECTION.sub(lambda found: found[1] + growth.section() + found[2], text)
    if os.environ.get("DRAAD_WRITE"):
        PAGE.write_text(current, "utf-8")
        growth.draw(growth.PICTURES)
    assert SECTION.search(text), "the section of growth is gone"
    assert PAGE.read_text("utf-8") == current, "docs/costs.md is old: run the tests once with DRAAD_WRITE=1"


@pytest.mark.parametrize(("name", "text"), growth.drawn(growth.kept(), growth.costs()).items())
def test_a_picture_draws_what_was_kept(name: str, text: str) -> None:
    assert (growth.PICTURES / name).read_text("utf-8") == text, f"{name} is old: run the tests once with DRAAD_WRITE=1"


def test_no_step_asks_or_writes_more_after_a_long_history() -> None:
    for row in growth.kept()["rows"]:
        if not row["look"]:
            assert len(set(row["requests"].values())) == 1 and len(set(row["write_units"].values())) == 1, row["name"]


def test_no_look_makes_more_requests_after_a_long_history() -> None:
    for row in growth.kept()["rows"]:
        if row["look"]:
            counts = list(row["requests"].values())
            assert counts[-1] == counts[1], f"{row['name']}: after 1,000 entries it is as many as after 100,000"
