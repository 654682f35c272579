"""What is new in a reply, by the mail programs that people use; nothing that they wrote is lost for a guess."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.kit import replies

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "replies.json").read_text("utf-8"))
N = 200_000
HOSTILE = {
    "marks": ">\n" * N,
    "blank lines": "\n" * N + "x",
    "attributions": "On 1 a@b wrote:\n" * (N // 10) + "x",
    "attributions that quote": "On 1 a@b wrote:\n>\n" * (N // 10) + "x",
    "headers": "Van:\n" * N,
    "attributions in one line": "Op x heeft y het volgende geschreven:" * N,
    "attributions in many lines": ("Op " + "x heeft y " * 29 + "\n") * 1000,
    "addresses": ("2026/01/01 a <" + "a@" * 140 + "\n") * 1000,
    "header blocks": "Van:\nDatum:\n" * N,
    "underscores": "_" * N,
    "openings": "<" * N,
    "tags that stay open": "<a" * N,
    "comments": "<!--" * N,
    "styles": "<style" * N,
    "ampersands": "&" * N,
    "an endless number": "&#" + "9" * N + ";",
    "nested quotations": "<blockquote>" * N,
    "list items": "<li>x" * N,
}
pieces = st.sampled_from(
    ["On 1 a@b wrote:", "Op 1 schreef X:", ">", "> x", "Van: a", "Verzonden: b", "Onderwerp: c", ""]
) | (st.text(max_size=20))


@pytest.mark.parametrize("name", VECTORS["replies"])
def test_what_is_new(name: str) -> None:
    case = VECTORS["replies"][name]
    assert replies.words(case["text"], "") == case["new"]


@pytest.mark.parametrize("case", VECTORS["markup"], ids=lambda case: case["name"])
def test_words_of_markup(case: dict[str, str]) -> None:
    assert replies.text_of(case["html"]) == case["text"]


def test_the_carriers_reading_comes_first_and_what_is_forwarded_is_kept() -> None:
    quoted = "nieuw\n\n> oud"
    assert replies.words(quoted, "", "van de post") == "van de post"
    assert replies.words(quoted, "", "  ") == "nieuw"
    assert replies.words("", "<p>nieuw</p><blockquote>oud</blockquote>") == "nieuw"
    for subject in ("Fwd: bon", "FW: bon", "Doorst: bon", "  fw : bon"):
        assert replies.words(quoted, "", "van de post", subject) == quoted
    for subject in ("Re: Fwd: bon", "Fwacht", ""):
        assert not replies.forwarded(subject)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_no_time(name: str) -> None:
    """Quadratic reading of these takes minutes; the bound is far above what a loaded machine needs."""
    began = time.process_time()
    for found in (replies.words(HOSTILE[name], ""), replies.words("", HOSTILE[name])):
        assert len(found) <= replies.LONGEST_TEXT
    assert time.process_time() - began < 10


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=12).map("\n".join))
def test_what_is_new_is_the_beginning_of_the_text(text: str) -> None:
    found = replies.fresh(text.strip())
    assert text.strip().startswith(found) and bool(found) == bool(text.strip())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<p>", "</p>", "<br>", "<li>", "<!--", "-->", "&#", "<", ">", "&lt"]) | st.text(), max_size=15
    )
)
def test_no_markup_raises(parts: list[str]) -> None:
    assert isinstance(replies.words("", "".join(parts)), str)
