"""No page leads nowhere: links, headings, files, and names of variables that the code does not know."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.markdown import DOCS, ROOT, anchors, links, name_of, pages, prose

HOUSE = ("tests", "docs", "infra", "chalicelib", "bench", ".chalice", ".ci")
FILES = [*(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "infra").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
VARIABLE = re.compile(r"\bDRAAD_[A-Z_]+\b")


@cache
def variables() -> set[str]:
    """Those that code or tests name."""
    return {name for path in FILES for name in VARIABLE.findall(path.read_text("utf-8"))}


def dead(page: Path) -> list[str]:
    found = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not dead(page)


def test_dead_links_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `x`: two\n\n## One\n[a](gone.md) [b](#one-x-two) [c](#two) `[d](e.md)`\n```sh\n# No [f](g)\n```\n"
    )
    assert dead(page) == ["gone.md", "#two"]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(map(re.escape, HOUSE))})/[\w./-]*)`", prose(page))
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_variable_that_a_page_names_is_read_somewhere(page: Path) -> None:
    assert set(VARIABLE.findall(page.read_text("utf-8"))) <= variables()


@pytest.mark.parametrize("start", [DOCS / "index.md", ROOT / "README.md"], ids=name_of)
def test_every_page_is_reached(start: Path) -> None:
    reached, ahead = set(), [start]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not (page == start or page.is_relative_to(DOCS)):
            continue
        reached.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]
    lost = [name_of(page) for page in sorted(set(DOCS.rglob("*.md")) - reached)]
    assert not lost, f"nothing leads to {lost}: name them in docs/index.md"
