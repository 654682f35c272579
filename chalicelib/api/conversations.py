"""Conversations across channels, and their handover to another one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec

from chalicelib.api.answers import Call, Reply, next_cursor, wrong
from chalicelib.api.customers import entries, page_wanted, rules
from chalicelib.context import conversations, decisions, handover, overview, people, resolve, timeline
from chalicelib.context.conversations import CONVERSATIONS, PREFIX
from chalicelib.errors import Conflict, NotFound
from chalicelib.model import instants
from chalicelib.model.event import CHANNELS, Ref
from chalicelib.store import connections as registered
from chalicelib.store import events, organisation
from chalicelib.store.secrets import ref_id
from chalicelib.store.table import Item, live

MOST_REFS, MOST_HOMES = 25, 20
SOONEST, DEFAULT, LATEST = 60, 7 * 86400, 90 * 86400
"""Seconds that a handover token may live."""


class HandoverWish(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`notify`: whoever redeems it wants to be reached on that channel. `expires_in`: seconds."""

    channel: str
    notify: bool = False
    expires_in: int = DEFAULT


class VerificationWish(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    expires_in: int = 86400


class ThreadHandoverWish(HandoverWish, forbid_unknown_fields=True, kw_only=True):
    """A thread of a connection, by the provider's own id, whether or not it was seen yet."""

    connection: str
    thread: str


def show(call: Call, id: str) -> Reply:
    refs, partitions = _partitions(call, id)
    homes = sorted({item["sk"][2:] for items in partitions.values() for item in items if item["sk"].startswith("P#")})
    nodes = {
        pk[2:]: item
        for (pk, _), item in call.table.batch_get([(f"N#{node}", "-") for node in homes[:MOST_HOMES]]).items()
        if "own" in item
    }
    page = timeline.page(call.table, nodes, page_wanted(call, threads=tuple(refs)))
    waiting = [item for items in partitions.values() for item in items if _waits(item)]
    said = [overview.Entry(events.from_item(item), item["pk"][2:], id) for item in (*page.items, *waiting)]
    parts = overview.segments(said)
    asked = overview.open_question(sorted(said, key=lambda each: each.event.occurred_at, reverse=True))
    return Reply(
        {
            "id": PREFIX + refs[0],
            "former_ids": [PREFIX + ref for ref in refs[1:]],
            "refs": sorted(decisions.texts_of(call.table, refs, CONVERSATIONS).values()),
            "customers": _customers(call, list(nodes)),
            "segments": [asdict(part) for part in parts],
            "switches": overview.switches(parts),
            "open_question": overview.question(asked),
            "entries": entries(call, page.items),
            "waiting": entries(call, waiting),
            "next": next_cursor(page.next) if page.next else None,
        }
    )


def _partitions(call: Call, id: str) -> tuple[list[str], dict[str, list[Item]]]:
    """The refs of a conversation, its oldest first, and what lies under each."""
    asked = id.removeprefix(PREFIX)
    view = resolve.read_all(call.table, CONVERSATIONS, [asked]).get(asked)
    refs = [one[13:] for one in view.ids] if view and view.customer else [asked]
    found = {ref: [item for item in call.table.query(f"R#{ref}").items if live(item)] for ref in refs[:MOST_REFS]}
    if not id.startswith(PREFIX) or not any(found.values()):
        raise NotFound("no such conversation")
    return refs, found


def _waits(item: Item) -> bool:
    return item["sk"].startswith("E#") and "placed" not in item and "hm" not in item


def _customers(call: Call, nodes: list[str]) -> list[str]:
    _, views = resolve.living(call.table, rules(call), nodes)
    return sorted({people.public_id(view.customer) for view in views.values() if view.customer})


def hand_over(call: Call, id: str) -> Reply:
    thread = _thread(call, id)
    return _minted(call, call.read(HandoverWish), thread)


def verify(call: Call, id: str) -> Reply:
    """A link to our own login page, for whoever is in this conversation: once he has logged in, the
    event that says so, with the link's token, verifies him."""
    thread, by = _thread(call, id), call.key.id if call.key else ""
    until = _until(call.read(VerificationWish).expires_in)
    login = organisation.read(call.table).login_url
    if not login:
        raise Conflict("there is no login_url in the settings: say where customers log in")
    made = handover.mint(call.table, thread, handover.ANY, until, by, {handover.ANY: login}, login=True)
    shown = {"token": made.token, "conversation": PREFIX + ref_id(thread), "expires_at": made.until, "url": made.url}
    return Reply(shown, 201)


def _thread(call: Call, id: str) -> Ref:
    """Raises NotFound for a conversation that nobody takes part in."""
    refs, partitions = _partitions(call, id)
    thread = next((found for ref in refs if (found := _ref(call, ref, partitions.get(ref, [])))), None)
    if thread is None:
        raise NotFound("no such conversation")
    return thread


def _ref(call: Call, node: str, items: list[Item]) -> Ref | None:
    """Somebody must take part in it: his is the thread that the token leads to."""
    known = next((item for item in items if item["sk"] == "-"), None)
    if not any(item["sk"].startswith("P#") for item in items):
        return None
    return Ref(known["kind"], known["val"], known.get("scope", "")) if known else conversations.ref_of(call.table, node)


def hand_over_thread(call: Call) -> Reply:
    asked = call.read(ThreadHandoverWish)
    connection = registered.get(call.table, asked.connection)
    if connection is None:
        raise wrong("/connection", "no such connection")
    if not asked.thread.strip():
        raise wrong("/thread", "is required: the provider's own id of the thread")
    scope = (connection.settings.get("ref_scopes") or {}).get("thread", connection.id)
    return _minted(call, asked, Ref("thread", asked.thread.strip(), scope))


def _minted(call: Call, asked: HandoverWish, thread: Ref) -> Reply:
    if asked.channel not in CHANNELS:
        raise wrong("/channel", f"must be among {', '.join(sorted(CHANNELS))}")
    until = _until(asked.expires_in)
    addresses = organisation.read(call.table).channels
    by = call.key.id if call.key else ""
    made = handover.mint(call.table, thread, asked.channel, until, by, addresses, notify=asked.notify)
    return Reply(_shown(made, thread, asked), 201)


def _until(seconds: int) -> str:
    if not SOONEST <= seconds <= LATEST:
        raise wrong("/expires_in", f"must be from {SOONEST} to {LATEST} seconds")
    return instants.from_ms(instants.now_ms() + seconds * 1000)


def _shown(made: handover.Minted, thread: Ref, asked: HandoverWish) -> dict[str, Any]:
    return {
        "token": made.token,
        "channel": made.channel,
        "conversation": PREFIX + ref_id(thread),
        "notify": asked.notify,
        "expires_at": made.until,
        "url": made.url or None,
        "qr": _code(made.url),
        "text": made.text,
    }


def _code(url: str) -> dict[str, Any] | None:
    """Of a link that is whole: what an integrator must fill in first cannot be scanned."""
    if not url or "{" in url:
        return None
    from chalicelib.api import codes

    return codes.of(url)
