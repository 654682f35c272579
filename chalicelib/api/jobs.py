"""Jobs: how far long work is, and what failed."""

from __future__ import annotations

from chalicelib.api.answers import Call, Reply, must_have, next_cursor, wrong
from chalicelib.errors import NotFound
from chalicelib.store import jobs

STATUSES = (jobs.RUNNING, jobs.DONE, jobs.FAILED)
INTEGRATORS = ("replay", "redrive", "history", "plan", "catch-up", "reconcile", "backfill", "recent", "moves")
SCOPES = dict.fromkeys(INTEGRATORS, "integrate") | {"audience_export": "audience"}
"""Who may look: whoever may start such a job. Everything else is the admin's."""


def show(call: Call, id: str) -> Reply:
    job = jobs.get(call.table, id)
    if job is None:
        raise NotFound("no such job")
    must_have(call.key, SCOPES.get(job.kind, "admin"))
    return Reply(jobs.view(job))


def listing(call: Call) -> Reply:
    """Newest first. A message or a stream record that failed for ever is here with status failed."""
    status = call.value("status")
    if status and status not in STATUSES:
        raise wrong("/status", f"must be one of {', '.join(STATUSES)}")
    before, limit = call.cursor(1), call.limit()
    found = jobs.newest(call.table, status, before[0] if before else "", limit + 1)
    following = next_cursor(jobs.position(found[limit - 1])) if len(found) > limit else None
    return Reply({"jobs": [jobs.view(job) for job in found[:limit]], "next": following})
