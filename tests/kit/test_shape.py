"""Documents of unsure shape: what is a count."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.kit.shape import count


@pytest.mark.parametrize("found", [0, 1, 2**53 - 1])
def test_a_whole_number_is_a_count(found: int) -> None:
    assert count({"file": {"size": found}}, "file", "size") == found


@pytest.mark.parametrize("found", [None, True, False, -1, 2**53, 1.0, "7", "", [], {}])
def test_nothing_else_is(found: Any) -> None:
    assert count({"size": found}, "size") is None
    assert count(found, "size") is None
