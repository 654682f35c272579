"""Jobs: how far long work is."""

from __future__ import annotations

from chalicelib.api.answers import Call, Reply
from chalicelib.errors import NotFound
from chalicelib.store import jobs


def show(call: Call, id: str) -> Reply:
    job = jobs.get(call.table, id)
    if job is None:
        raise NotFound("no such job")
    return Reply(jobs.view(job))
