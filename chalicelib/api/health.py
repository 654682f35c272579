"""Health: ok or degraded, with reasons and no secrets. Open to anybody."""

from __future__ import annotations

from chalicelib.api.answers import Call, Reply
from chalicelib.model.connection import ACTIVE
from chalicelib.store import connections, queues


def show(call: Call) -> Reply:
    reasons = [*_dead_letters(), *_stopped(call)]
    depths = {name: sum(queues.depth(name)) for name in (queues.INBOX, queues.DELIVERIES, queues.JOBS)}
    return Reply({"status": "degraded" if reasons else "ok", "reasons": reasons, "queues": depths})


def _dead_letters() -> list[str]:
    names = (queues.INBOX, queues.DELIVERIES, queues.JOBS)
    counts = {name: sum(queues.depth(f"{name}-dlq")) for name in names}
    return [f"{count} dead letters in {name}: the sweep takes them" for name, count in counts.items() if count]


def _stopped(call: Call) -> list[str]:
    """Connections by id only: this page has no key."""
    stopped = [each for each in connections.everyone(call.table) if each.status != ACTIVE and not each.deleted]
    return [f"connection {each.id} is {each.status}: look at it and resume it" for each in stopped]
