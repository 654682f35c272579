"""Look-ups: from the cache, unless a webhook does not say which state it is about."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import settings
from chalicelib.errors import Unauthorized
from chalicelib.ingest import fetch, read
from chalicelib.kit import http
from chalicelib.kit.http import Reply
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


class _Refusing:
    """A provider that takes no credentials of ours until they are mended."""

    mended = False

    def __init__(self, **given: Any) -> None:
        pass

    def request(self, method: str, path: str, **more: Any) -> Any:
        if not _Refusing.mended:
            raise Unauthorized("HTTP 401 from api.example.nl")
        return Reply(200, {}, b'{"status": "paid"}')


def test_refused_credentials_are_not_kept_so_that_a_replay_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "Http", _Refusing)
    monkeypatch.setattr(_Refusing, "mended", False)
    monkeypatch.setattr(settings, "settings", lambda: SimpleNamespace(allow_private_destinations=False))
    table = MemoryTable()
    found = fetch._fetch(table, WANTED, REQUEST)
    assert fetch.refused(found) and found["missing"] and not table.rows
    assert read._for_good({"payment": found, "order": {"id": 1}}) == {}
    monkeypatch.setattr(_Refusing, "mended", True)
    assert fetch._fetch(table, WANTED, REQUEST) == {"status": "paid"}
    assert read._for_good({"payment": {"status": "paid"}}) == {"payment": {"status": "paid"}}


def test_what_a_provider_does_not_know_is_kept_for_good() -> None:
    gone = {"missing": True, "why": "HTTP 404", "at": REQUEST.received_at}
    assert not fetch.refused(gone) and read._for_good({"payment": gone}) == {"payment": gone}
