"""What the tests need of Markdown: fenced blocks with the comment before them, links, headings, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(r"( *)(```+)(\w*) *$")
MARK = re.compile(r"<!-- ([a-z ]+): (.+?) -->$")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")
HEADING = re.compile(r"(#+) (.+)")


def pages() -> list[Path]:
    return [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """`mark` and `about`: of the comment `<!-- mark: about -->` right before it, empty where there is none."""

    page: Path
    line: int
    language: str
    text: str
    mark: str = ""
    about: str = ""

    @property
    def name(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text("utf-8").splitlines()
    number = 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        if fence is None:
            number += 1
            continue
        end = next(at for at in range(number + 1, len(lines)) if lines[at].strip() == fence[2])
        mark = MARK.match(lines[number - 1].strip()) if number else None
        text = "".join(f"{line.removeprefix(fence[1])}\n" for line in lines[number + 1 : end])
        yield Block(page, number + 1, fence[3], text, mark[1] if mark else "", mark[2] if mark else "")
        number = end + 1


def prose(page: Path) -> str:
    """A page without its fenced blocks: nothing in them is a heading or a link."""
    kept: list[str] = []
    fence = ""
    for line in page.read_text("utf-8").splitlines():
        if fence:
            fence = "" if line.strip() == fence else fence
        elif found := FENCE.match(line):
            fence = found[2]
        else:
            kept.append(line)
    return "\n".join(kept)


def links(page: Path) -> list[str]:
    return LINK.findall(re.sub(r"`[^`\n]*`", "``", prose(page)))


def headings(page: Path) -> list[str]:
    return [found[2].strip() for line in prose(page).splitlines() if (found := HEADING.fullmatch(line))]


def anchors(page: Path) -> set[str]:
    """What a heading is linked by: small letters, no punctuation, dashes for blanks, numbered when repeated."""
    found: dict[str, int] = {}
    names = set()
    for heading in headings(page):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names


def rows(page: Path, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    below = prose(page).partition(f"# {heading}\n")[2]
    table = re.search(r"(?:^\|.*\n?)+", below, re.MULTILINE)
    assert table, f"{name_of(page)} has no table below {heading}"
    lines = table[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
