"""Look-ups: from the cache, unless a webhook does not say which state it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.ingest import fetch
from chalicelib.kit.request import Request
from chalicelib.kit.source import Fetch
from tests.schedule import MemoryTable

REQUEST = Request("POST", "https://hub.example.nl/hooks/con_1", (), b"", "2026-09-01T12:00:00.000Z", connection="con_1")
WANTED = Fetch("payment", "/v2/payments/tr_1", "https://api.example.nl")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were asked; the answer tells how many there were."""
    paths: list[str] = []

    def ask(wanted: Fetch, request: Request) -> Any:
        paths.append(wanted.path)
        return {"answer": len(paths)}

    monkeypatch.setattr(fetch, "_ask", ask)
    return paths


def test_an_answer_is_kept(asked: list[str]) -> None:
    table = MemoryTable()
    found = [fetch._fetch(table, wanted, REQUEST) for wanted in (WANTED, WANTED, replace(WANTED, version="paid"))]
    assert found == [{"answer": 1}, {"answer": 1}, {"answer": 2}]


def test_a_fresh_look_up_neither_reads_nor_writes_the_cache(asked: list[str]) -> None:
    table, fresh = MemoryTable(), replace(WANTED, fresh=True)
    found = [fetch._fetch(table, wanted, REQUEST) for wanted in (fresh, fresh, WANTED, fresh, WANTED)]
    assert found == [{"answer": 1}, {"answer": 2}, {"answer": 3}, {"answer": 4}, {"answer": 3}]
