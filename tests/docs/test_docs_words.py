"""What the pages for agents print in bold is on the screen, in the words of that language, letter for letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, ROOT, headings, prose, rows
from tests.web.test_texts import texts

CONSOLE = ROOT / "chalicelib" / "web" / "console_en.js"
PAGES = {"en": DOCS / "for-agents.md", "nl": DOCS / "nl" / "voor-medewerkers.md"}


def bold(page: Path) -> list[str]:
    return [" ".join(each.split()) for each in re.findall(r"\*\*(.+?)\*\*", prose(page), re.DOTALL)]


@pytest.mark.parametrize("language", PAGES)
def test_bold_words_are_on_the_screen(language: str) -> None:
    shown = texts(language)
    if "handover" not in shown:
        pytest.skip("the timeline page of this commit has no handover and no search yet")
    assert bold(PAGES[language])
    assert [each for each in bold(PAGES[language]) if each not in shown.values()] == []


def test_both_languages_tell_the_same() -> None:
    """The same texts in the same order, heading by heading."""
    english, dutch = texts("en"), texts("nl")
    assert len(headings(PAGES["en"])) == len(headings(PAGES["nl"]))
    if "handover" not in english:
        pytest.skip("the timeline page of this commit has no handover and no search yet")
    keys = {language: {} for language in PAGES}
    for language, shown in (("en", english), ("nl", dutch)):
        for key, text in shown.items():
            keys[language].setdefault(text, set()).add(key)
    pairs = zip(bold(PAGES["en"]), bold(PAGES["nl"]), strict=True)
    assert [pair for pair in pairs if not keys["en"][pair[0]] & keys["nl"][pair[1]]] == []


def test_the_parts_of_the_console() -> None:
    if not CONSOLE.exists():
        pytest.skip("this commit has no console yet")
    told = [row[0].strip("*") for row in rows(DOCS / "operate.md", "In the console")]
    assert sorted(told) == sorted(re.findall(r'"nav\.\w+": "(.+)",', CONSOLE.read_text("utf-8")))
    books = prose(DOCS / "operate.md").partition("## Runbooks")[2].partition("\n## ")[0]
    assert set(re.findall(r"In the console: (.+?)\.$", books, re.MULTILINE)) <= set(told)
