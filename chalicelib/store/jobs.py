"""Jobs: long work, one page a message, so that a crash costs one page and nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from chalicelib.model import instants
from chalicelib.settings import settings
from chalicelib.store import ids, queues
from chalicelib.store.table import ABSENT, Key, Put, Table, equal, live, now_seconds

RUNNING, DONE, FAILED = "running", "done", "failed"
ERASURES = ("erase", "redact")
"""Kinds whose certificates people look up by themselves, among all that ever ran."""
YEAR_SECONDS = 366 * 86400
UNKNOWN = -1
"""A total that is not known."""
KEPT_SECONDS, SHORT_SECONDS = 90 * 86400, 2 * 86400
"""Of jobs that people asked for, and of those that recur by themselves."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """`cursor`: where the next page begins, the job's own text. `total`: how much there was when it
    began, or UNKNOWN. `kept`: seconds."""

    id: str
    kind: str
    params: dict[str, Any]
    status: str = RUNNING
    cursor: str = ""
    done: int = 0
    total: int = UNKNOWN
    errors: list[str] = []
    created_at: str = ""
    ver: int = 1
    kept: int = KEPT_SECONDS


def start(
    table: Table, kind: str, params: dict[str, Any], total: int = UNKNOWN, id: str = "", kept: int = KEPT_SECONDS
) -> Job:
    """Keep the job, then queue its first page. A crash in between shows as a job that runs at 0.
    `id`: of one that must run once however often it is asked for; asked again it only goes on."""
    job = Job(id=id or ids.mint("job"), kind=kind, params=params, total=total, created_at=instants.now(), kept=kept)
    if not _put(table, job):
        job = get(table, job.id) or job
    if kind in ERASURES:
        _list(table, job)
    if job.status == RUNNING and job.ver == 1:
        queues.send(queues.JOBS, job.id)
    return job


def get(table: Table, job_id: str) -> Job | None:
    item = live(table.get((f"J#{job_id}", "-")))
    return msgspec.json.decode(item["b"], type=Job) if item else None


def place(cursor: str) -> Key | None:
    """Where a scan goes on; None: at its beginning."""
    pk, split, sk = cursor.partition("\n")
    return (pk, sk) if split else None


def cursor(following: Key | None) -> str:
    """Of a scan's next page; empty after the last."""
    return "\n".join(following) if following else ""


class Turn(NamedTuple):
    """What one page did. An empty `cursor`: there is no next page. `delay`: seconds until the next
    one; `params`: instead of those that the job had."""

    cursor: str
    done: int
    errors: tuple[str, ...] = ()
    delay: int = 0
    params: dict[str, Any] | None = None


def turn(table: Table, job: Job, page: Turn) -> Job | None:
    """One page is done: keep the cursor, queue the next page.

    None when another worker did this page already: it queued what follows.
    """
    following = msgspec.structs.replace(
        job,
        cursor=page.cursor,
        done=job.done + page.done,
        errors=[*job.errors, *page.errors][:50],
        status=RUNNING if page.cursor else DONE,
        ver=job.ver + 1,
        params=job.params if page.params is None else page.params,
    )
    if following.kind in ERASURES and following.status == DONE:
        _list(table, following)
    if not _put(table, following, job.ver):
        return None
    if page.cursor:
        queues.send(queues.JOBS, job.id, delay=page.delay)
    return following


def fail(table: Table, job: Job, reason: str) -> None:
    failed = msgspec.structs.replace(job, status=FAILED, errors=[*job.errors, reason][:50], ver=job.ver + 1)
    _put(table, failed, job.ver)


def newest(table: Table, status: str, before: str, most: int) -> list[Job]:
    """At most so many jobs from a `position` back, of one status or, if empty, of all."""
    return _listed(table, "JOBS", status, before, most)


def erasures(table: Table, before: str, most: int) -> list[Job]:
    """At most so many from a `position` back, newest first."""
    return _listed(table, "ERASURES", "", before, most)


def _listed(table: Table, listing: str, status: str, before: str, most: int) -> list[Job]:
    found: list[Job] = []
    while len(found) < most:
        page = table.query(listing, before=before, forward=False, limit=most, index=True)
        keys = [(entry["pk"], "-") for entry in page.items if not status or entry["st"] == status]
        items = table.batch_get(keys)
        found += [msgspec.json.decode(items[key]["b"], type=Job) for key in keys if live(items.get(key))]
        if len(page.items) < most:
            break
        before = page.items[-1]["gsk"]
    return found[:most]


def _list(table: Table, job: Job) -> None:
    item = {"pk": f"J#{job.id}", "sk": "ERASURE", "gpk": "ERASURES", "gsk": position(job)}
    table.write(Put(item | {"x": _until(job)}))


def _until(job: Job) -> int:
    """A certificate stays: done, it holds nobody's values. What still runs, or failed, holds them."""
    return certified_until() if job.kind in ERASURES and job.status == DONE else now_seconds() + job.kept


def certified_until() -> int:
    return now_seconds() + settings().certificate_years * YEAR_SECONDS


def position(job: Job) -> str:
    return f"{job.created_at}#{job.id}"


def _put(table: Table, job: Job, ver: int = 0) -> bool:
    item = {"pk": f"J#{job.id}", "sk": "-", "b": msgspec.json.encode(job), "ver": job.ver, "st": job.status}
    index = {"gpk": "JOBS", "gsk": position(job), "x": _until(job)}
    return table.write(Put(item | index, equal(ver=ver) if ver else ABSENT))


def view(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "status": job.status,
        "done": job.done,
        "total": None if job.total < 0 else job.total,
        "errors": job.errors,
        "created_at": job.created_at,
        "customer": job.params.get("customer"),
        "reason": job.params.get("why"),
        "counts": job.params.get("counts"),
    } | ({"result": job.params["result"] if job.status == DONE else None} if "result" in job.params else {})
