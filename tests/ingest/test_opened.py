"""Bodies that a provider encrypted are kept as they were before, and only once they were verified."""

from __future__ import annotations

import pytest

from chalicelib import destinations, sources
from chalicelib.kit.request import Request
from chalicelib.kit.source import Secrets, Source
from chalicelib.model.connection import Connection
from chalicelib.store import connections, ids, secrets
from tests.api.client import Api, key_with


def test_what_is_kept_is_open(memory_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def opened(request: Request, known: Secrets) -> bytes:
        asked.append(request.body)
        return request.body[::-1] + known["token"][0].encode()

    source = Source(
        name="Sealer",
        channel="web",
        types={},
        normalize=lambda request: iter(()),
        verify=lambda request, known: None if request.body.startswith(b"}") else "not sealed",
        dedupe=lambda request: request.body.decode(),
        opened=opened,
        sample=lambda known, url, settings: Request("POST", url, (), b"}0{", "2026-01-01T11:00:00.000Z"),
    )
    monkeypatch.setattr(sources, "slugs", lambda: ("sealer",))
    monkeypatch.setattr(sources, "load", lambda slug: source)
    monkeypatch.setattr(destinations, "slugs", lambda: ())
    api, id = Api(key_with("admin")), ids.mint("con")
    kept = {"token": (secrets.encrypt(id, "token", "!"),)}
    connections.save(api.table, Connection(id=id, provider="sealer", secrets=kept))
    sent = [api.send("POST", f"/hooks/{id}", raw, key="").status for raw in (b'}1:"a"{', b"{}")]
    assert sent == [200, 401] and asked == [b'}1:"a"{']
    api.work()
    (receipt,) = api.get("/v1/receipts")["receipts"]
    assert api.get(f"/v1/receipts/{receipt['id']}")["body"] == '{"a":1}!'
    sample = api.call("POST", f"/v1/connections/{id}/test", 202)["receipt"]
    api.work()
    assert api.get(f"/v1/receipts/{sample}")["body"] == "{0}!"
