"""Verify and normalize of every source on garbage: a verdict, events or a malformed payload, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import Case, cases

from chalicelib import sources
from chalicelib.errors import NotFound, PayloadMalformed
from chalicelib.kit.request import MAX_BODY, Request

CASES = {slug: cases(slug) for slug in sources.slugs()}
pieces = st.sampled_from([b"{", b"}", b"[", b'"', b"&", b"=", b"%", b"%ff", b"\xff", b"\x00", b"null", b"id", b"1e9"])
bodies = st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=40).map(b"".join))
texts = st.text(max_size=60)


def survives(case: Case, request: Request) -> None:
    reason = case.source.verify(request, case.secrets)
    assert reason is None or reason
    if case.source.dedupe:
        case.source.dedupe(request)
    try:
        list(case.source.fetch(request, case.secrets) if case.source.fetch else ())
        list(case.source.normalize(request))
    except PayloadMalformed:
        return


@pytest.mark.parametrize("slug", sources.slugs())
def test_garbage(slug: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(CASES[slug]), bodies, st.lists(st.tuples(texts, texts), max_size=4), texts, st.booleans())
    def run(case: Case, body: bytes, headers: list[tuple[str, str]], tail: str, keep: bool) -> None:
        kept = case.request.headers if keep else ()
        survives(case, replace(case.request, body=body, headers=(*headers, *kept), url=case.request.url + tail))

    run()


@pytest.mark.parametrize("slug", sources.slugs())
def test_bytes_of_real_requests_spoiled(slug: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(st.sampled_from(CASES[slug]), st.data())
    def run(case: Case, choice: Any) -> None:
        at = choice.draw(st.integers(0, len(case.request.body)))
        body = case.request.body[:at] + choice.draw(pieces) + case.request.body[at + choice.draw(st.integers(0, 3)) :]
        survives(case, replace(case.request, body=body))

    run()


@pytest.mark.parametrize("slug", sources.slugs())
def test_the_largest_body_of_garbage(slug: str) -> None:
    for piece in (b"[],", b"&a=%ff", b"x", b'{"a":', b"\xff"):
        body = (piece * (MAX_BODY // len(piece) + 1))[:MAX_BODY]
        survives(CASES[slug][0], replace(CASES[slug][0].request, body=body))


def test_a_slug_without_a_file_is_not_found() -> None:
    for slug in ("nowhere", "", "__init__", "../kit/request", "shopify.TYPES"):
        with pytest.raises(NotFound):
            sources.load(slug)


def test_what_a_source_itself_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no missing source."""

    def lacks(name: str) -> None:
        raise ModuleNotFoundError("No module named 'msgspec'", name="msgspec")

    monkeypatch.setattr(sources, "import_module", lacks)
    sources.load.cache_clear()
    with pytest.raises(ModuleNotFoundError, match="msgspec"):
        sources.load("shopify")
