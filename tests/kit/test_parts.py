"""Batches of which parts cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.errors import PartlyMalformed, PayloadMalformed
from chalicelib.kit.parts import each_part
from chalicelib.model.event import Event


def read(part: str) -> Iterator[Event]:
    """One event for each letter; x cannot be read."""
    for letter in part:
        if letter == "x":
            raise PayloadMalformed("x: is no letter")
        yield Event(type="note", channel="desk", object=letter)


def outcome(*parts: str) -> tuple[str, PayloadMalformed | None]:
    found = ""
    try:
        for event in each_part(((f"part {number}", part) for number, part in enumerate(parts)), read):
            found += event.object
    except PayloadMalformed as wrong:
        return found, wrong
    return found, None


def test_without_a_bad_part_nothing_is_raised() -> None:
    assert outcome("ab", "", "c") == ("abc", None)
    assert outcome() == ("", None)


def test_a_bad_part_is_left_out_whole_and_named() -> None:
    found, wrong = outcome("ab", "cx", "d", "x")
    assert found == "abd" and isinstance(wrong, PartlyMalformed)
    assert wrong.flaws == [("part 1", "x: is no letter"), ("part 3", "x: is no letter")]
    assert str(wrong) == "2 of 4 parts could not be read: part 1: x: is no letter; part 3: x: is no letter"


def test_one_part_is_no_batch() -> None:
    found, wrong = outcome("ax")
    assert found == "" and str(wrong) == "x: is no letter" and not isinstance(wrong, PartlyMalformed)


def test_other_errors_are_not_ours() -> None:
    def broken(part: str) -> Iterator[Event]:
        raise KeyError(part)
        yield

    with pytest.raises(KeyError):
        list(each_part([("a", "a")], broken))


def test_of_very_many_the_first_are_named() -> None:
    """4 MB of empty lists are 1.4 million parts: their reasons must not fill the memory, nor the receipt."""
    _, wrong = outcome(*["x"] * 1_000)
    assert isinstance(wrong, PartlyMalformed)
    assert len(wrong.flaws) == 100 and len(str(wrong)) < 2_000
    assert str(wrong).startswith("1000 of 1000 parts could not be read: part 0: ")
    assert str(wrong).endswith("; part 99; and 900 more")
