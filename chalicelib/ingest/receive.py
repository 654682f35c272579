"""The hook: verify, answer handshakes, keep the raw bytes, ack. Ack only what is durable."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chalicelib import destinations, sources
from chalicelib.errors import ConnectionUnknown, SignatureInvalid, TooLarge
from chalicelib.ingest.arrival import Arrival, keep_headers, keep_query, to_message
from chalicelib.kit.request import MAX_BODY, Request
from chalicelib.kit.source import Answer, Secrets, Source
from chalicelib.model.connection import DISABLED, Connection
from chalicelib.store import connections, ids, queues, secrets
from chalicelib.store.table import Table

CERTIFICATE = "certificate"


@dataclass(frozen=True)
class Hook:
    connection: Connection
    source: Source
    secrets: dict[str, tuple[str, ...]]


def receive(table: Table, connection_id: str, request: Request) -> Answer:
    """What the provider is told.

    Raises ConnectionUnknown, SignatureInvalid, TooLarge; none of them has cost a paid call
    beyond the cached read of the connection and one note a minute. Raises FetchDelayed where the
    certificate of a request cannot be had now: the provider sends it again.
    """
    if len(request.body) > MAX_BODY:
        raise TooLarge(f"the body has {len(request.body)} bytes; {MAX_BODY} is the limit")
    hook = _hook(table, connection_id)
    request = replace(request, settings=hook.connection.settings, connection=connection_id)
    if hook.source.handshake_first and (answer := _handshake(hook, request)):
        return answer
    if reason := hook.source.verify(request, _keys(hook, request)):
        connections.note_refusal(table, connection_id, reason)
        raise SignatureInvalid(reason)
    if answer := _handshake(hook, request):
        return answer
    arrival = arrive(hook.source, opened(hook.source, request, hook.secrets))
    queues.send(queues.INBOX, to_message(arrival), group=connection_id)
    return hook.source.answer if isinstance(hook.source.answer, Answer) else hook.source.answer(request)


def opened(source: Source, request: Request, known: Secrets) -> Request:
    """A verified request as it was before its provider encrypted it."""
    return replace(request, body=source.opened(request, known)) if source.opened else request


def arrive(source: Source, request: Request, *, test: bool = False) -> Arrival:
    """The verified request as it is kept: without what authenticated it."""
    key = source.dedupe(request) if source.dedupe else None
    return Arrival(
        id=ids.mint("arr"),
        connection=request.connection,
        at=request.received_at,
        method=request.method,
        url=_without_path_secret(request),
        headers=keep_headers(request.headers),
        query=keep_query(request.query),
        body=request.body,
        key=key or "",
        test=test,
    )


def _without_path_secret(request: Request) -> str:
    head, hook, _ = request.url.partition(f"/hooks/{request.connection}")
    return head + hook


def source_of(provider: str) -> Source | None:
    """How a provider calls us: its source, or what comes back from its destination."""
    if provider in sources.slugs():
        return sources.load(provider)
    return destinations.load(provider).changes if provider in destinations.slugs() else None


def _hook(table: Table, connection_id: str) -> Hook:
    if not ids.minted_here("con", connection_id):
        raise ConnectionUnknown("no connection of this stage has that id")
    connection = connections.cached(table, connection_id)
    source = source_of(connection.provider) if connection else None
    if connection is None or source is None or connection.status == DISABLED:
        raise ConnectionUnknown("no such connection, or it receives nothing")
    return Hook(connection, source, secrets.decrypt_all(connection_id, connection.secrets))


def _keys(hook: Hook, request: Request) -> Secrets:
    """The secrets, with the certificate that the request names where the source takes one and none is configured."""
    if hook.source.certificate is None or hook.secrets.get(CERTIFICATE):
        return hook.secrets
    from chalicelib.ingest import certificates

    address = hook.source.certificate(request)
    return hook.secrets | ({CERTIFICATE: (certificates.look_up(address),)} if address else {})


def _handshake(hook: Hook, request: Request) -> Answer | None:
    return hook.source.handshake(request, hook.secrets) if hook.source.handshake else None
