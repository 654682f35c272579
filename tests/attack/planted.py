"""Secrets and people that the stories plant, and the search for them where they must never be."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from tests.api import examples
from tests.api.client import SECRET

STORY = (
    examples.TOKEN,
    SECRET,
    "sk_test_1",
    "auth-token",
    "whsec_" + "YWJj" * 8,
    "jan@example.nl",
    "Jan de Vries",
    "+31611111111",
    "Is de trui in de winkel ook afgeprijsd?",
)
"""Of tests/api/examples.py: secrets of connections, and who wrote what."""
SHORTEST = 5
"""Shorter ones would be found everywhere."""


def spellings(text: str) -> list[str]:
    """As it would stand in JSON, in a URL, or as a Python value."""
    found = [text, quote(text), quote(text, safe=""), text.replace("/", "\\/"), text.encode("unicode_escape").decode()]
    return list(dict.fromkeys(found))


def found_in(text: str, secrets: Iterable[str]) -> list[str]:
    """Which of them are in the text, in any spelling or case. Shown by their first letters only."""
    folded = text.casefold()
    wanted = [each for each in secrets if len(each) >= SHORTEST]
    return [f"{each[:4]}…" for each in wanted if any(way.casefold() in folded for way in spellings(each))]
