"""Patterns of integrators: what they find, what is refused, and that none is slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kit import patterns

FINDS = [
    (r"(\d{4,6})", "order 8003, of 123 of 1234567", ["8003", "123456"]),
    (r"\b(\d{4,6})\b", "8003 1234567", ["8003"]),
    (r"\b(tc-\d{6})\b", "TC-123456 en tc-123456 en TC-123456", ["TC-123456", "tc-123456"]),
    (r"#\s*(\w+)", "# a1 #b2", ["a1", "b2"]),
    (r"(?:bestelling|order)?\s?#(\d+)", "bestelling #1 order #2 #3", ["1", "2", "3"]),
    (r"a|b(c)", "a bc", ["c"]),
    (r"([A-Z][0-9-]{2,})", "x1-2", ["x1-2"]),
    (r"^(\d+)$", "12", ["12"]),
    (r"€(\d*\.\d\d)", "€12.50", ["12.50"]),
    (r"(x)?y", "xy y", ["x"]),
    (r"(?:a|(b))?c", "ac bc c", ["b"]),
]
REFUSED = [
    "",
    "a",
    "(a)(b)",
    "((a))",
    "(",
    "(a))",
    "(a+)+",
    "(a)*",
    "(a){2}",
    "a**(b)",
    "a+?(b)",
    "a++(b)",
    "+(a)",
    r"\b+(a)",
]
REFUSED += [
    "(?=a)(b)",
    "(?<!a)(b)",
    "(?P<n>a)",
    r"(a)\1",
    "(?i)(a)",
    "[",
    "(a{41})",
    "(a{2,99})",
    "(a{3,2})",
    "x" * 201,
]
FORMS = [
    r"(\w*\w*\w*\w*\w*\w*x)",
    r"((?:a|aa|aaa)?(?:a|aa)?(?:a|aa)?b)",
    r"(?:\d{1,40}\d{1,40}\d{1,40})?(\d{40}x)",
    r"(.*.*.*=)",
]


@pytest.mark.parametrize("pattern, text, found", FINDS)
def test_finds(pattern: str, text: str, found: list[str]) -> None:
    assert patterns.find(pattern, text, 5) == found


def test_finds_so_many_and_no_more() -> None:
    assert patterns.find(r"(\d)", "1 2 3 1 4 5 6 7", 5) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("pattern", REFUSED)
def test_refuses_with_one_line(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\A.+\Z"):
        patterns.compiled(pattern)


@pytest.mark.parametrize("text", ["a" * 400_000, "1" * 400_000, "ab" * 200_000, "w 1" * 100_000])
@pytest.mark.parametrize("pattern", FORMS)
def test_no_text_makes_a_pattern_slow(pattern: str, text: str) -> None:
    began = time.process_time()
    patterns.find(pattern, text, 5)
    assert time.process_time() - began < 5


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"ab1-([)]|?*+{}^$.\\", "(?:", r"\d", r"\w", "[ab]", "{1,3}", "{2}"]) | st.text(max_size=3),
        max_size=14,
    )
)
def test_any_pattern_compiles_or_is_refused(parts: list[str]) -> None:
    try:
        found = patterns.compiled("".join(parts))
    except ValueError:
        return
    assert isinstance(found, re.Pattern)
    patterns.find("".join(parts), "ab1-ab1" * 20, 5)
