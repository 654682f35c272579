"""An API in this process, and a browser for the pages of a running hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.api.client import Api, key_with

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Iterator[Api]:
    yield Api(key_with("admin"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from tests.web.browser import launched

    with launched() as running:
        yield running
