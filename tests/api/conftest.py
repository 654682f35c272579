"""An API in this process on an empty stage, with an admin's key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.client import Api, key_with


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Iterator[Api]:
    yield Api(key_with("admin"))
