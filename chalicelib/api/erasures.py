"""Erasing a customer, the certificate of it, and everything that is known of one."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.api.answers import Call, Reply, next_cursor
from chalicelib.api.customers import entries, page_wanted, rules, shown_person, whole
from chalicelib.context import audit, erase, people, resolve, timeline
from chalicelib.errors import NotFound
from chalicelib.model import instants
from chalicelib.store import jobs
from chalicelib.store.table import Item


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""


def start(call: Call, id: str) -> Reply:
    """202 with the job, whose id is that of the certificate."""
    person = people.by_id(call.table, rules(call), id)
    asked = call.read(Reason)
    who = {"by": call.key.id if call.key else "", "why": asked.reason[:500]}
    job = jobs.start(call.table, "erase", erase.plan(person, instants.now()) | who)
    return Reply({"id": job.id, "job": job.id, "erasure": job.id, "status": job.status}, 202)


def listing(call: Call) -> Reply:
    """Newest first; each without its lines."""
    before, limit = call.cursor(1), call.limit()
    found = jobs.erasures(call.table, before[0] if before else "", limit + 1)
    following = next_cursor(jobs.position(found[limit - 1])) if len(found) > limit else None
    return Reply({"erasures": [_brief(job) for job in found[:limit]], "next": following})


def show(call: Call, id: str) -> Reply:
    """The certificate: a line for each place, with its result and time."""
    job = jobs.get(call.table, id)
    if job is None or job.kind not in jobs.ERASURES:
        raise NotFound("no such erasure")
    lines = call.table.query(f"J#{job.id}", begins="D#").items
    shown = [_line(item) for item in sorted(lines, key=lambda item: (item["at"], item["sk"]))]
    return Reply(_brief(job) | {"lines": shown})


def _brief(job: jobs.Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "customer": job.params["customer"],
        "connection": job.params.get("connection"),
        "status": job.status,
        "requested_at": job.created_at,
        "erased_up_to": job.params["at"],
        "requested_by": job.params["by"],
        "reason": job.params["why"] or None,
        "errors": job.errors,
    }


def _line(item: Item) -> dict[str, Any]:
    return {"what": item["sk"][2:], "result": item["re"], "at": item["at"], "detail": item["de"] or None}


def export(call: Call, id: str) -> Reply:
    """One document with everything about one person; `next` where his history goes on."""
    person = shown_person(call, id)
    view = resolve.read(call.table, rules(call), person.oldest)
    page = timeline.page(call.table, person.nodes, page_wanted(call))
    lines = audit.of_view(call.table, view, person.nodes) if view else []
    return Reply(
        {
            "exported_at": instants.now(),
            "customer": whole(call, person),
            "audit": [
                {"at": each.at, "action": each.what, "by": each.by, "reason": each.why or None} for each in lines
            ],
            "entries": entries(call, page.items),
            "next": next_cursor(page.next) if page.next else None,
        },
        headers={"Content-Disposition": f'attachment; filename="{person.customer.id}.json"'},
    )
