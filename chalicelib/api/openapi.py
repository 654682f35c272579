"""The contract as a document, for programs and for the docs page. It holds no secret and needs no key."""

from __future__ import annotations

from chalicelib.api.answers import JSON, Call, Reply, base_url


def show(call: Call) -> Reply:
    from chalicelib.api.contract import document

    raw, tag = document.written(base_url(call.request))
    headers = {"Content-Type": JSON, "Cache-Control": "no-cache", "ETag": tag}
    known = tag in str(call.request.headers.get("if-none-match", ""))
    return Reply(raw, 304 if known else 200, headers)
