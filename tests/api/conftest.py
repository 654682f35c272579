"""An API in this process on an empty stage, with an admin's key."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.api.client import Api, key_with


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Iterator[Api]:
    yield Api(key_with("admin"))


class Kept(logging.Handler):
    """Every line that is logged, with all that goes along with it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(repr(vars(record)))


@pytest.fixture
def logged() -> Iterator[list[str]]:
    kept = Kept()
    logging.getLogger("draad").addHandler(kept)
    yield kept.lines
    logging.getLogger("draad").removeHandler(kept)
