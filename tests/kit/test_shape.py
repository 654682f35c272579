"""Documents of unsure shape: what is a count, a name, a word of somebody's own."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.kit.shape import count, joined, texts, words


@pytest.mark.parametrize("found", [0, 1, 2**53 - 1])
def test_a_whole_number_is_a_count(found: int) -> None:
    assert count({"file": {"size": found}}, "file", "size") == found


@pytest.mark.parametrize("found", [None, True, False, -1, 2**53, 1.0, "7", "", [], {}])
def test_nothing_else_is(found: Any) -> None:
    assert count({"size": found}, "size") is None
    assert count(found, "size") is None


def test_a_name_is_made_of_the_parts_that_are_there() -> None:
    assert joined({"first": "Jan", "last": "Smit", "middle": []}, "first", "middle", "last") == "Jan Smit"
    assert joined({"last": "Smit"}, "first", "last") == "Smit" and joined(None, "first") == ""


@pytest.mark.parametrize("other", [None, [], "x", {}])
def test_words_are_the_usual_ones_unless_a_setting_says_otherwise(other: Any) -> None:
    assert words({"busy": "busy"}, other) == {"busy": "busy"}
    assert words({"busy": "busy"}, {"Bezet": "busy", "BUSY": "failed"}) == {"busy": "failed", "bezet": "busy"}


def test_only_the_texts_of_a_list_are_read() -> None:
    assert texts({"a": {"to": [" x ", 1, None, ["y"], "z"]}}, "a", "to") == ["x", "z"]
    assert texts({"a": "x"}, "a") == texts(None, "a") == []
