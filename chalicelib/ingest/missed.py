"""What a provider never delivered: asked for page by page, and made into arrivals like those of its webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.ingest.arrival import Arrival, keep_headers
from chalicelib.ingest.receive import source_of
from chalicelib.kit.source import Listed, Listing, Missed, Page, Source, Told, Window
from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE, DISABLED, Connection
from chalicelib.model.event import digest
from chalicelib.store import jobs, secrets
from chalicelib.store.jobs import Job
from chalicelib.store.table import Item, Key, Put, Table

LARGEST_ANSWER = 16 * 1024 * 1024
"""Of one page: some providers give a thousand entries, whatever is asked."""
CATCH_UP = "catch-up"
OFF = "off"


def source_that_tells(connection: Connection) -> Source | None:
    """Its source, where that can be asked for what was missed."""
    source = source_of(connection.provider) if connection.status != DISABLED else None
    return source if source and source.missed else None


def set_up(connection: Connection, missed: Missed) -> bool:
    """Whether it has what asking needs. Its secrets stay sealed: only that they are there counts."""
    return missed.ask(Window(instants.now(), instants.now()), "", connection.settings, connection.secrets) is not None


def asked_by_itself(connection: Connection) -> Missed | None:
    """How the sweep asks, where it does: that was not switched off, and has what asking needs."""
    source = source_that_tells(connection) if connection.status == ACTIVE else None
    asked = source.missed if source and connection.settings.get("catch_up") != OFF else None
    return asked if asked and set_up(connection, asked) else None


def window_of(missed: Missed, since: str, until: str) -> Window:
    """As asked for, without what is too fresh and what the provider does not keep any more."""
    now = instants.now_ms()
    last = min(until or instants.from_ms(now), instants.from_ms(now - missed.lag * 1000))
    oldest = instants.from_ms(now - missed.reach * 86_400_000) if missed.reach else ""
    return Window(max(since, oldest), last)


def ask(connection: Connection, missed: Missed, window: Window, cursor: str) -> tuple[Page, str]:
    """One page, and the address that gave it.

    Raises DeliveryFailed where the provider does not answer, or not now; PayloadMalformed where what it
    answers is no page.
    """
    plain = secrets.decrypt_all(connection.id, connection.secrets)
    listing = missed.ask(window, cursor, connection.settings, plain)
    if listing is None:
        raise PayloadMalformed(f"nothing can be asked: {missed.needs}")
    base = str(connection.settings.get("base_url") or listing.base)
    document, headers = _answer(listing, base)
    page = missed.read(Told(document, window, cursor, headers, connection.settings))
    if page.next and page.next == cursor:
        raise PayloadMalformed("the page after this one is itself")
    return page, base + listing.path.partition("?")[0]


def _answer(listing: Listing, base: str) -> tuple[Any, Mapping[str, str]]:
    from chalicelib.kit.http import Http
    from chalicelib.settings import settings

    http = Http(
        base_url=base,
        headers=dict(listing.headers),
        allow_private=settings().allow_private_destinations,
        largest=LARGEST_ANSWER,
    )
    reply = http.request("GET", listing.path)
    return reply.json(), reply.headers


def arrival_of(source: Source, connection: Connection, listed: Listed, url: str, job: str, at: str) -> Arrival:
    """As if its webhook had come when the job began: a page that is taken again makes the same receipts."""
    arrival = Arrival(
        id=f"arr_{digest(job, listed.body, *(text for pair in listed.headers for text in pair))}",
        connection=connection.id,
        at=at,
        method="POST",
        url=url,
        headers=keep_headers((("Content-Type", "application/json"), *listed.headers)),
        query=(),
        body=listed.body,
        missed=True,
    )
    key = source.dedupe(arrival.request(connection)) if source.dedupe else None
    return msgspec.structs.replace(arrival, key=key or "")


def begin(table: Table, connection: Connection, window: Window, id: str = "", **more: object) -> Job:
    """The job that asks for all of a window."""
    params = {"connection": connection.id, "since": window.since, "until": window.until, "counts": {}} | more
    return jobs.start(table, CATCH_UP, params, id=id, kept=jobs.SHORT_SECONDS if "by" in more else jobs.KEPT_SECONDS)


def result_key(connection_id: str) -> Key:
    return f"C#{connection_id}", "CAUGHT"


def keep_result(table: Table, connection: Connection, result: Item) -> None:
    """What the last pass found. `until` is the high-water mark: only a pass that was finished moves it."""
    pk, sk = result_key(connection.id)
    before = table.get((pk, sk)) or {}
    kept = {"until": max(before.get("until", ""), result.pop("until", ""))}
    table.write(Put({"pk": pk, "sk": sk, "cv": connection.ver} | kept | result))


def view(table: Table, connection: Connection) -> dict[str, Any]:
    """What its last pass found; empty for one that cannot be asked."""
    if source_that_tells(connection) is None:
        return {}
    found = table.get(result_key(connection.id)) or {}
    told = {
        "by_itself": asked_by_itself(connection) is not None,
        "last": found.get("at"),
        "until": found.get("until") or None,
        "looked_at": found.get("looked", 0),
        "found": found.get("found", 0),
        "reason": found.get("why") or None,
    }
    return {"catch_up": told}
