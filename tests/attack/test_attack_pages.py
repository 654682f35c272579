"""What a browser is told: headers and policy of every page and file, and of every refusal."""

from __future__ import annotations

import re

import pytest

from tests.api.client import Answer, Api, key_with
from tests.attack import corpus
from tests.attack.tally import Tally

PAGES = ("/console", "/customers/x", "/docs", "/embed/customers/x", "/")
EXACTLY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}
LOOSE = re.compile(r"unsafe-|\*|http:|https:|blob:|strict-dynamic|nonce-")
INLINE = re.compile(rb"<script(?![^>]*\ssrc=)|\son[a-z]+\s*=|javascript:|<style|\sstyle\s*=", re.IGNORECASE)


@pytest.fixture
def api(memory_aws: dict[str, str]) -> Api:
    return Api(key_with("admin"), checked=False)


def policy_of(answer: Answer) -> dict[str, str]:
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {name: value for name, _, value in (part.partition(" ") for part in parts)}


def files(api: Api) -> list[str]:
    """All that the pages load."""
    found = re.findall(r'(?:src|href)="(?:\.\./)*(assets/[^"]+)"', api.send("GET", "/console", key="").raw.decode())
    return [f"/{each}" for each in found]


def test_every_page_and_file_is_guarded(api: Api) -> None:
    tally = Tally("pages")
    paths = [*PAGES, *files(api), "/assets/other/console.js"]
    assert len(paths) > 7
    for path in paths:
        answer = api.send("GET", path, key="")
        tally.add("pages", answer.status)
        assert answer.status in (200, 302), path
        for name, value in EXACTLY.items():
            assert answer.headers.get(name) == value, (path, name)
        policy = policy_of(answer)
        assert {name: policy.get(name) for name in POLICY} == POLICY, path
        assert not LOOSE.search(answer.headers["Content-Security-Policy"]), path
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            assert not INLINE.search(answer.raw), path
    tally.keep()


def test_no_path_is_written_into_a_page(api: Api) -> None:
    """Whatever stands in an address is in no page: they are the same for everybody."""
    tally = Tally("pages, hostile paths")
    plain = {
        path: api.send("GET", path, key="").raw for path in ("/customers/x", "/embed/customers/x", "/console", "/docs")
    }
    for line in corpus.lines("paths"):
        for path, raw in plain.items():
            answer = api.send("GET", f"{path}{line.text}", key="")
            tally.add(line.kind, answer.status)
            assert answer.status in (200, 404) and (answer.raw == raw or answer.status == 404), (path, line.name)
            assert b"X-Injected" not in answer.raw and "X-Injected" not in answer.headers
    tally.keep()


def test_refusals_are_no_markup_and_are_not_kept(api: Api) -> None:
    hook = api.connect()["id"]
    for method, path in (
        ("GET", "/v1/customers?identity=<script>alert(1)</script>"),
        ("GET", "/v1/receipts?next=<script>"),
        ("POST", f"/hooks/{hook}?challenge=<script>"),
        ("GET", "/v1/nowhere/<script>"),
        ("DELETE", f"/hooks/{hook}"),
        ("GET", "/assets/x/<script>.js"),
    ):
        answer = api.send(method, path)
        assert answer.status >= 400 and answer.headers["Content-Type"] == "application/problem+json", path
        ours = answer.status not in (404, 405) or "assets" in path
        assert not ours or answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert not ours or answer.headers["Cache-Control"] == "no-store", path


def test_nobody_elses_page_reads_an_answer(api: Api) -> None:
    """No route lets another origin in, whatever it says about itself."""
    for path in ("/v1/customers?identity=email:a@example.nl", "/console", "/health", "/openapi.json"):
        for origin in ("https://evil.example", "null", "https://hub.example.evil.example"):
            answer = api.send("GET", path, headers=[("Origin", origin), ("Access-Control-Request-Method", "GET")])
            assert not [name for name in answer.headers if name.lower().startswith("access-control")], path
