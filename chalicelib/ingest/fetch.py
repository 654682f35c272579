"""Look-ups at a provider that sends too little: cached a day, first answer kept for good."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.errors import Delayed, DeliveryFailed, FetchDelayed, Unauthorized
from chalicelib.ingest import grants
from chalicelib.kit.request import Request
from chalicelib.kit.source import Fetch, Secrets, Source
from chalicelib.model.event import digest
from chalicelib.store.codec import pack, unpack
from chalicelib.store.table import ABSENT, Delete, Key, Put, Table, live, now_seconds

CACHE_SECONDS = 86400


def fetch_all(table: Table, source: Source, request: Request, secrets: Secrets) -> dict[str, Any]:
    """Name → document for what the source wants to know of this request.

    A provider that does not know it, or will not tell us, gives `{"missing": true, "why": …,
    "at": received_at}`: the first such moment is kept, so that every retry of the webhook makes
    the same event. One that refuses our credentials gives that with `"refused": true`, which is not
    kept: once they are mended, a replay looks again. Raises FetchDelayed when the provider cannot
    answer now.
    """
    if source.fetch is None:
        return {}
    return {wanted.name: _fetch(table, wanted, request) for wanted in source.fetch(request, secrets)}


def forget_all(table: Table, source: Source, request: Request, secrets: Secrets) -> None:
    for wanted in source.fetch(request, secrets) if source.fetch else ():
        table.write(Delete(_key(wanted, request)))


def _key(wanted: Fetch, request: Request) -> Key:
    return f"C#{request.connection}", f"FETCH#{digest(wanted.base, wanted.path, wanted.version)}"


def _fetch(table: Table, wanted: Fetch, request: Request) -> Any:
    if wanted.fresh:
        return _ask(wanted, request)
    key = _key(wanted, request)
    if kept := live(table.get(key)):
        return msgspec.json.decode(unpack(kept["b"]))
    document = _ask(wanted, request)
    if refused(document):
        return document
    item = {"pk": key[0], "sk": key[1], "b": pack(msgspec.json.encode(document)), "x": now_seconds() + CACHE_SECONDS}
    if table.write(Put(item, ABSENT)):
        return document
    kept = table.get(key)
    return msgspec.json.decode(unpack(kept["b"])) if kept else document


def _ask(wanted: Fetch, request: Request) -> Any:
    from chalicelib.kit.http import Http
    from chalicelib.settings import settings

    http = Http(
        base_url=str(request.settings.get("base_url") or wanted.base),
        headers=dict(wanted.headers),
        allow_private=settings().allow_private_destinations,
    )
    try:
        reply = http.request("GET", wanted.path, headers=grants.headers_of(wanted.grant))
        return {"status": reply.status} if wanted.confirms else reply.json()
    except Delayed as wrong:
        raise FetchDelayed(f"{wanted.name}: {wrong.reason}") from wrong
    except DeliveryFailed as wrong:
        more = {"refused": True} if isinstance(wrong, Unauthorized) else {}
        return {"missing": True, "why": wrong.reason, "at": request.received_at} | more


def refused(document: Any) -> bool:
    """Whether a look-up found only that our credentials are not taken."""
    return isinstance(document, dict) and document.get("refused") is True and document.get("missing") is True
