"""Connections: register, look at, change, pause, rotate, test, preview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from chalicelib import destinations
from chalicelib.api import totals, wishes
from chalicelib.api.answers import Call, Reply, base_url, next_cursor, wrong
from chalicelib.errors import Conflict, NotFound
from chalicelib.ingest import missed
from chalicelib.ingest.receive import arrive, opened, source_of
from chalicelib.kit.request import Request
from chalicelib.kit.source import Secrets
from chalicelib.model import instants
from chalicelib.model.connection import ACTIVE, DELETED, DISABLED, PAUSED, Connection
from chalicelib.store import connections, ids, jobs, queues, receipts, secrets

RECENT = 200
"""Receipts that the counts of one connection look at."""
MOST_VALUES = 5
"""Of one secret that is being rotated."""
Sample = Callable[[Secrets, str, Mapping[str, Any]], Request]


def create(call: Call) -> Reply:
    asked = call.json()
    wish = wishes.check(call.table, asked)
    connection_id = ids.mint("con")
    made = Connection(
        id=connection_id,
        provider=wish.provider,
        name=wish.name,
        settings=wish.settings,
        secrets=_encrypted(connection_id, wish.secrets),
        subscription=wish.subscription,
        mapping=wish.mapping,
        created_at=instants.now(),
    )
    connections.save(call.table, made)
    return Reply(view(call, made), 201)


def listing(call: Call) -> Reply:
    found = sorted(connections.everyone(call.table), key=lambda each: (each.created_at, each.id))
    shown = [each for each in found if not each.deleted]
    start = call.cursor(2)
    rest = [each for each in shown if not start or (each.created_at, each.id) > start]
    page = rest[: call.limit()]
    more = len(rest) > len(page)
    following = next_cursor(page[-1].created_at, page[-1].id) if more else None
    return Reply({"connections": [view(call, each) for each in page], "next": following})


def show(call: Call, id: str) -> Reply:
    connection = existing(call, id)
    recent = _recent(call, connection)
    counts = Counter(item["vd"] for item in recent)
    heard = next((item for item in recent if not item.get("test")), None)
    return Reply(
        view(call, connection)
        | {"counts": dict(counts), "refusals": connections.refusals(call.table, id)}
        | {"last_event_at": heard["sk"].partition("#")[0] if heard else None}
        | missed.view(call.table, connection)
    )


def _recent(call: Call, connection: Connection) -> list[dict[str, Any]]:
    today = instants.now_ms()
    days = [instants.day(instants.from_ms(today - back * 86_400_000)) for back in range(2)]
    pages = (receipts.of_day(call.table, connection.id, day, limit=RECENT).items for day in days)
    return [item for page in pages for item in page][:RECENT]


def change(call: Call, id: str) -> Reply:
    current = existing(call, id)
    wish = wishes.check_change(call.table, current, call.json())
    changed = msgspec.structs.replace(
        current,
        name=wish.name,
        settings=wish.settings,
        secrets={**current.secrets, **_encrypted(id, wish.secrets)},
        secrets_at=instants.now() if wish.secrets else current.secrets_at,
        subscription=wish.subscription,
        mapping=wish.mapping,
    )
    return Reply(view(call, _saved(call, changed)))


def remove(call: Call, id: str) -> Reply:
    """The connection stops for good; its receipts and deliveries stay until their time."""
    gone = msgspec.structs.replace(existing(call, id), status=DISABLED, reason=DELETED, secrets={})
    _saved(call, gone)
    return Reply({"id": id, "status": "deleted"})


def pause(call: Call, id: str) -> Reply:
    paused = msgspec.structs.replace(existing(call, id), status=PAUSED, reason="paused by hand")
    return Reply(view(call, _saved(call, paused)))


def resume(call: Call, id: str) -> Reply:
    """Active again; what was held meanwhile is redriven by a job."""
    active = msgspec.structs.replace(existing(call, id), status=ACTIVE, reason="")
    saved = _saved(call, active)
    if saved.provider not in destinations.slugs():
        return Reply(view(call, saved))
    held: dict[str, Any] = {"connection": id, "since": "", "until": ""}
    total = totals.of_redrive(call.table, held, ["HELD"])
    job = jobs.start(call.table, "redrive", held | {"states": ["HELD"]}, total)
    return Reply(view(call, saved) | {"job": job.id})


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    secrets: dict[str, Any]
    keep_old: bool = True


def rotate(call: Call, id: str) -> Reply:
    """New secrets beside the old; `{"secrets": {…}, "keep_old": false}` drops the old ones. Of one
    secret the newest MOST_VALUES stay valid."""
    current, asked = existing(call, id), call.read(Rotation)
    fresh = _encrypted(id, wishes.check_secrets(current.provider, asked.secrets))
    if not fresh:
        raise wrong("/secrets", "name at least one secret")
    old = current.secrets if asked.keep_old else {}
    both = {name: (values + old.get(name, ()))[:MOST_VALUES] for name, values in fresh.items()}
    rotated = msgspec.structs.replace(current, secrets={**current.secrets, **both}, secrets_at=instants.now())
    return Reply(view(call, _saved(call, rotated)))


def test(call: Call, id: str) -> Reply:
    """A signed sample through the real path: verify, queue, normalize; no customer, no delivery."""
    from chalicelib.ingest.arrival import to_message

    connection = existing(call, id)
    source = source_of(connection.provider)
    if source is None or source.sample is None:
        raise wrong("", f"{connection.provider} has no sample: send a real webhook instead")
    plain = secrets.decrypt_all(id, connection.secrets)
    sample = _as_received(_signed(source.sample, plain, hook_url(call, id), connection), connection)
    if reason := source.verify(sample, plain):
        raise wrong("/secrets", f"the sample does not verify: {reason}")
    arrival = arrive(source, replace(opened(source, sample, plain), received_at=instants.now()), test=True)
    queues.send(queues.INBOX, to_message(arrival), group=id)
    pk, sk = receipts.key_of(id, arrival.at, arrival.id)
    return Reply({"receipt": receipts.public_id(pk, sk)}, 202)


def _signed(sample: Sample, plain: dict[str, tuple[str, ...]], url: str, connection: Connection) -> Request:
    """Signing finds no secret where none was set, or only the half that verifies."""
    try:
        return sample(plain, url, connection.settings)
    except (IndexError, ValueError) as bad:
        raise wrong("/secrets", "holds nothing that a sample can be signed with") from bad


def _as_received(sample: Request, connection: Connection) -> Request:
    return replace(sample, settings=connection.settings, mapping=connection.mapping, connection=connection.id)


def preview(call: Call, id: str) -> Reply:
    """What a mapping makes of a receipt: `{"receipt": "rcp_…", "mapping": …}`; of a destination, what it
    fills: `{"customer": "cus_…", "event": …, "mapping": …}`. Nothing is written or sent."""
    from chalicelib.api import filled, receipts

    connection = existing(call, id)
    told = connection.provider in destinations.slugs() and "receipt" not in call.json()
    return Reply(filled.preview_of(call, connection) if told else receipts.preview_of(call, connection))


def existing(call: Call, connection_id: str) -> Connection:
    found = connections.get(call.table, connection_id) if ids.minted_here("con", connection_id) else None
    if found is None or found.deleted:
        raise NotFound("no such connection")
    return found


def _saved(call: Call, changed: Connection) -> Connection:
    saved = msgspec.structs.replace(changed, ver=changed.ver + 1)
    if not connections.save(call.table, saved):
        raise Conflict("somebody changed this connection at the same time: read it and try again")
    return saved


def _encrypted(connection_id: str, plain: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(secrets.encrypt(connection_id, name, value) for value in values) for name, values in plain.items()
    }


def hook_url(call: Call, connection_id: str) -> str:
    return f"{base_url(call.request)}/hooks/{connection_id}"


def view(call: Call, connection: Connection) -> dict[str, Any]:
    """Never a secret: only the names of those that are set, and how many are valid."""
    receives = source_of(connection.provider) is not None
    return {
        "id": connection.id,
        "provider": connection.provider,
        "name": connection.name,
        "hook_url": hook_url(call, connection.id) if receives else None,
        "status": connection.status,
        "reason": connection.reason or None,
        "settings": connection.settings,
        "secrets": {name: len(values) for name, values in connection.secrets.items()},
        "subscription": msgspec.to_builtins(connection.subscription),
        "mapping": connection.mapping,
        "created_at": connection.created_at,
        "last_event_at": receipts.newest(call.table, connection.id) or None if receives else None,
        "counts": {},
    }
