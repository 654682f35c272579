"""What a provider never delivered: asked for on demand; the sweep does so by itself."""

from __future__ import annotations

import msgspec

from chalicelib.api.answers import Call, Reply, instant, wrong
from chalicelib.api.connections import existing
from chalicelib.ingest import missed
from chalicelib.kit.source import Missed, Window
from chalicelib.model import instants
from chalicelib.store import jobs

DAYS = 3


class CatchUpWish(msgspec.Struct, forbid_unknown_fields=True):
    """`since`: three days ago unless it is named."""

    since: str = ""
    until: str = ""


def start(call: Call, id: str) -> Reply:
    connection, asked = existing(call, id), call.read(CatchUpWish)
    source = missed.source_that_tells(connection)
    if source is None or source.missed is None:
        raise wrong("", f"{connection.provider} cannot be asked for what it did not deliver, or is disabled")
    if not missed.set_up(connection, source.missed):
        raise wrong("/secrets", source.missed.needs)
    since = instant(asked.since, "/since") if asked.since else _days_ago(DAYS)
    window = missed.window_of(source.missed, since, instant(asked.until, "/until") if asked.until else "")
    _check(since, window, source.missed)
    job = missed.begin(call.table, connection, window)
    return Reply(jobs.view(job) | {"job": job.id}, 202)


def _check(since: str, window: Window, asked: Missed) -> None:
    if since < window.since:
        raise wrong("/since", f"lies further back than the {asked.reach} days that the provider keeps")
    if window.until <= window.since:
        minutes = asked.lag // 60
        raise wrong("/until", f"must lie after since; of the last {minutes} minutes nothing is asked: it is on its way")


def _days_ago(days: int) -> str:
    return instants.from_ms(instants.now_ms() - days * 86_400_000)
