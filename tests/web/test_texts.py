"""What the page says: the same keys in every language, each used, each word of our closed sets said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from chalicelib.context import candidates, graph, resolve
from chalicelib.model.event import ACTORS, CHANNELS, DIRECTIONS, TYPES
from chalicelib.model.identity import KINDS

WEB = Path(__file__).parent.parent.parent / "chalicelib" / "web"
SOURCES = WEB.parent / "sources"
FIXTURES = Path(__file__).parent.parent / "fixtures" / "sources"
LANGUAGES = ("en", "nl")
CLOSED = {
    "channel": CHANNELS,
    "type": TYPES,
    "direction": DIRECTIONS,
    "actor": ACTORS,
    "kind": KINDS,
    "assurance": {"A0", "A1", "A2", "A3"},
    "candidate": {candidates.ASSERTED, candidates.SHARED, candidates.TYPED_REF},
    "conflict": {"anchor", "cut", resolve.HELD, "oversize"},
    "decision": {graph.LINK, graph.CUT, graph.FORCE},
    "state": {"in step", "behind", "parked"},
}
OF_DESKS = {"hold", "pending"}
"""Statuses of tickets that no fixture happens to have."""
WORD = "word"
"""The family of statuses, which are the providers' own words: as many as our sources say."""


def texts(language: str) -> dict[str, str]:
    source = (WEB / f"{language}.js").read_text("utf-8")
    body = source.partition("export default ")[2].rstrip().removesuffix(";")
    found: dict[str, str] = json.loads(body)
    assert len(found) == body.count('": "'), "a key twice"
    return found


def family(key: str) -> str:
    return key.partition(".")[0]


def open_keys() -> set[str]:
    return {key for key in texts("en") if family(key) not in CLOSED and family(key) != WORD}


def code() -> str:
    paths = [path for path in WEB.iterdir() if path.suffix in (".js", ".html") and path.stem not in LANGUAGES]
    return "\n".join(path.read_text("utf-8") for path in sorted(paths))


def test_the_languages_have_the_same_keys_in_order() -> None:
    english, dutch = texts("en"), texts("nl")
    assert list(english) == list(dutch) == sorted(english)
    assert all(text.strip() == text and text for text in [*english.values(), *dutch.values()])


def test_the_same_values_are_filled_in() -> None:
    for key, text in texts("en").items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", texts("nl")[key])), key


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_each_word_of_a_closed_set_is_said(name: str) -> None:
    found = {key.partition(".")[2] for key in texts("en") if family(key) == name}
    assert found == set(CLOSED[name])
    assert re.search(rf'word\("{name}", ', code()), "the family is used"


def test_each_status_that_we_say_is_one_of_a_source() -> None:
    told = "\n".join(path.read_text("utf-8") for path in [*SOURCES.glob("*.py"), *FIXTURES.rglob("*.json")]).lower()
    for key in texts("en"):
        if family(key) == WORD:
            status = key.partition(".")[2]
            assert status in OF_DESKS or re.search(rf"\b{re.escape(status)}\b", told), status


def test_every_other_key_is_used() -> None:
    source = code()
    for key in open_keys():
        name = re.sub(r"\.(one|other)$", "", key)
        assert f'"{name}"' in source, key


def test_every_key_that_is_used_is_there() -> None:
    keys, source = texts("en").keys(), code()
    for key in re.findall(r'(?<!\w)text\("([^"]+)"', source) + re.findall(r'data-(?:text|label)="([^"]+)"', source):
        assert key in keys, key
    for key in re.findall(r'(?<!\w)count\("([^"]+)"', source):
        assert {f"{key}.one", f"{key}.other"} <= keys, key


def test_no_word_of_the_page_is_outside_its_languages() -> None:
    """The frame has no text of its own but names: everything is filled in."""
    html = re.sub(r"<noscript>.*?</noscript>", "", (WEB / "timeline.html").read_text("utf-8"))
    said = {text.strip() for text in re.findall(r">([^<>]*[A-Za-z][^<>]*)<", html)}
    assert said == {"Draad", "NL", "EN"}


def test_dutch_is_not_english() -> None:
    english, dutch = texts("en"), texts("nl")
    same = [
        key
        for key in english
        if english[key] == dutch[key] and len(english[key].split()) > 2 and "{" not in english[key]
    ]
    assert same == []
