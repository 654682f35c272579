"""Receipts: what arrived, what became of it, and doing it again."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from chalicelib.api.answers import Call, Reply, next_cursor, wrong
from chalicelib.errors import NotFound
from chalicelib.ingest import arrival as arrivals
from chalicelib.ingest.read import read
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.settings import settings
from chalicelib.store import connections, ids, jobs, receipts
from chalicelib.store.receipts import Receipt

DEFAULT_DAYS = 7
VERDICTS = ("accepted", "duplicate", "ignored", "malformed", "failed")


def listing(call: Call) -> Reply:
    """Newest first, of one connection or of all; `verdict` narrows, `since` ends the search."""
    verdict = call.value("verdict")
    if verdict and verdict not in VERDICTS:
        raise wrong("/verdict", f"must be one of {', '.join(VERDICTS)}")
    since = call.moment("since", _days_ago(DEFAULT_DAYS))
    start = call.cursor()
    found = _newest_first(call, since, start[0] if start else "", verdict)
    page = found[: call.limit()]
    following = next_cursor(f"{page[-1]['sk']}|{page[-1]['pk']}") if len(found) > len(page) else None
    return Reply({"receipts": [_row(receipts.from_item(item)) for item in page], "next": following})


def _newest_first(call: Call, since: str, before: str, verdict: str) -> list[dict[str, Any]]:
    """One more than a page, merged over the wanted connections, day by day."""
    wanted = [call.value("connection")] if call.value("connection") else _sources(call)
    upto, _, _ = before.partition("#")
    days = instants.days_between(instants.day(since), instants.day(upto or instants.now()))
    found: list[dict[str, Any]] = []
    for day in days[: settings().receipt_retention_days + 1]:
        for connection in wanted:
            found += _of_day(call, connection, day, since, before, verdict)
        if len(found) > call.limit():
            break
    found.sort(key=lambda item: (item["sk"], item["pk"]), reverse=True)
    return found[: call.limit() + 1]


def _of_day(call: Call, connection: str, day: str, since: str, before: str, verdict: str) -> list[dict[str, Any]]:
    end, _, _ = before.partition("|")
    found: list[dict[str, Any]] = []
    cursor = end
    while len(found) <= call.limit():
        page = receipts.of_day(call.table, connection, day, since=since, before=cursor, limit=call.limit() + 1)
        found += [item for item in page.items if not verdict or item["vd"] == verdict]
        if page.next is None:
            break
        cursor = page.next[1]
    return found


def _sources(call: Call) -> list[str]:
    return [*(each.id for each in connections.everyone(call.table)), "unreadable"]


def _days_ago(days: int) -> str:
    return instants.from_ms(instants.now_ms() - days * 86_400_000)


def show(call: Call, id: str) -> Reply:
    receipt = existing(call, id)
    return Reply(_row(receipt) | _request(receipt) | {"fetched": receipt.fetched})


def existing(call: Call, public_id: str) -> Receipt:
    parts = ids.unseal("rcp", public_id)
    found = receipts.get(call.table, f"I#{parts[0]}", parts[1]) if parts and len(parts) == 2 else None
    if found is None:
        raise NotFound("no such receipt: it was not yet taken from the inbox, or its time is over")
    return found


def _row(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "connection": receipt.connection,
        "received_at": receipt.received_at,
        "verdict": receipt.verdict,
        "reason": receipt.reason or None,
        "delivery_key": receipt.key or None,
        "test": receipt.test,
        "events": [
            {name: getattr(each, name) for name in ("id", "type", "channel", "direction", "occurred_at", "verdict")}
            for each in receipt.produced
        ],
    }


def _request(receipt: Receipt) -> dict[str, Any]:
    packed = receipt.arrival()
    try:
        arrival = arrivals.decode(packed) if packed else None
    except ValueError:
        arrival = None
    if arrival is None:
        return {"method": None, "headers": [], "body": None, "body_base64": None}
    try:
        text, raw = arrival.body.decode(), None
    except UnicodeDecodeError:
        text, raw = None, base64.b64encode(arrival.body).decode()
    headers = [[name, value] for name, value in arrival.headers]
    return {"method": arrival.method, "headers": headers, "body": text, "body_base64": raw}


def replay(call: Call, id: str) -> Reply:
    receipt = existing(call, id)
    job = jobs.start(call.table, "replay", {"receipts": [[receipt.pk, receipt.sk]]}, total=1)
    return Reply(jobs.view(job) | {"job": job.id}, 202)


class Range(msgspec.Struct, forbid_unknown_fields=True):
    connection: str
    since: str
    until: str = ""


def replay_range(call: Call) -> Reply:
    asked = call.read(Range)
    if connections.get(call.table, asked.connection) is None:
        raise wrong("/connection", "no such connection")
    params = {"connection": asked.connection, **window(asked.since, asked.until)}
    job = jobs.start(call.table, "replay", params)
    return Reply(jobs.view(job) | {"job": job.id}, 202)


def window(since: str, until: str) -> dict[str, str]:
    """A checked time range; `until` defaults to now."""
    from chalicelib.api.answers import instant

    start = instant(since, "/since")
    end = instant(until, "/until") if until else instants.now()
    if end < start:
        raise wrong("/until", "lies before since")
    return {"since": start, "until": end}


def preview_of(call: Call, connection: Connection, asked: dict[str, Any]) -> dict[str, Any]:
    """The events that a receipt would become with another mapping or settings; nothing is written."""
    receipt = existing(call, str(asked.get("receipt", "")))
    packed = receipt.arrival()
    if receipt.connection != connection.id or packed is None:
        raise wrong("/receipt", "is not a receipt of this connection, or its body is gone")
    changed = msgspec.structs.replace(connection, mapping=asked.get("mapping", connection.mapping))
    found = read(call.table, arrivals.decode(packed), changed, receipt.fetched or {})
    return {
        "verdict": found.verdict,
        "reason": found.reason or None,
        "events": [msgspec.to_builtins(event) | {"id": event.id} for event in found.events],
    }
