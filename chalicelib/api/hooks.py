"""The hook: Lambda's event to a byte-true request, the stage's answer back."""

from __future__ import annotations

import binascii
import hashlib
import json
from urllib.parse import quote, unquote, urlencode

from chalice.app import Request as ChaliceRequest
from chalice.app import Response

from chalicelib.api.answers import base_url, body_of, guarded
from chalicelib.ingest.receive import receive
from chalicelib.kit.request import Request
from chalicelib.kit.source import Answer
from chalicelib.model import instants
from chalicelib.store.table import DynamoTable

PROBE = "probe"
"""No connection's id: whoever calls it is told what arrived of the body, by the way that webhooks come. Nothing is kept."""


def answer(incoming: ChaliceRequest, connection_id: str, *below: str) -> Response:
    if connection_id == PROBE:
        return _arrived(_body(incoming))
    return guarded(
        lambda: _response(receive(DynamoTable(), connection_id, request_of(incoming, connection_id, *below)))
    )


def _arrived(body: bytes) -> Response:
    told = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    return _response(Answer(json.dumps(told), media_type="application/json"))


def request_of(incoming: ChaliceRequest, connection_id: str, *below: str) -> Request:
    """What the provider sent: exact body, repeated headers and parameters, and the public URL.

    `below`: the path's segments after the connection, percent-decoded or not: gateways differ.
    """
    event = incoming.to_original_event()
    query = _pairs(event.get("multiValueQueryStringParameters"), event.get("queryStringParameters"))
    path = f"/hooks/{quote(connection_id)}" + "".join(f"/{quote(unquote(part))}" for part in below)
    return Request(
        method=incoming.method,
        url=base_url(incoming) + path + (f"?{urlencode(query)}" if query else ""),
        headers=_pairs(event.get("multiValueHeaders"), event.get("headers")),
        body=_body(incoming),
        received_at=instants.now(),
        query=query,
        connection=connection_id,
    )


def _body(incoming: ChaliceRequest) -> bytes:
    try:
        return body_of(incoming)
    except (binascii.Error, UnicodeError):
        return b""


def _pairs(many: dict[str, list[str]] | None, single: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
    if many:
        return tuple((name, str(value)) for name, values in many.items() for value in values)
    return tuple((name, str(value)) for name, value in (single or {}).items())


def _response(reply: Answer) -> Response:
    body = reply.body.encode() if isinstance(reply.body, str) else reply.body
    headers: dict[str, str | list[str]] = {
        "Content-Type": reply.media_type,
        "X-Content-Type-Options": "nosniff",
        **reply.headers,
    }
    return Response(body, headers, reply.status)
