"""Long work followed to its end. It runs at the hub: whoever stops looking does not stop it."""

from __future__ import annotations

from typing import Any

from infra.cli.api import Answer, Query, part
from infra.cli.desk import Desk
from infra.cli.progress import Progress
from infra.cli.screen import BAD, local, said
from infra.cli.stopped import FAILED, INTERRUPTED, OK, Stopped

SHORTEST_PAUSE, LONGEST_PAUSE = 0.25, 3.0
LONGEST_AWAY = 15.0
RUNNING = "running"


def start(desk: Desk, path: str, body: dict[str, Any], *, wait: bool, query: Query = ()) -> int:
    """Begin a job and follow it."""
    begun = desk.api.post(path, body, query)
    job = str(begun.found["job"])
    if not wait:
        return desk.answer(begun, lambda _: told_where(desk, job))
    return finished(desk, follow(desk, job))


def told_where(desk: Desk, job: str) -> None:
    desk.screen.line(f"{job} runs; follow it with: {desk.command(f'jobs wait {job}')}")


def follow(desk: Desk, job: str) -> Answer:
    """Its last state. Raises Stopped when somebody stops looking."""
    progress = Progress(job, desk.screen.err)
    try:
        return _followed(desk, job, progress)
    except KeyboardInterrupt:
        progress.close()
        todo = f"follow it with: {desk.command(f'jobs wait {job}')}"
        raise Stopped(f"you stopped looking; {job} goes on", todo, INTERRUPTED) from None
    finally:
        progress.close()


def _followed(desk: Desk, job: str, progress: Progress) -> Answer:
    """A hub that does not answer for a while has not lost the job."""
    pause, away, done, total = SHORTEST_PAUSE, 0.0, 0, None
    while True:
        try:
            answer = desk.api.get(f"/v1/jobs/{part(job)}")
        except Stopped as stopped:
            if not stopped.passing:
                raise
            away = min(max(away * 2, 1.0), LONGEST_AWAY)
            progress.show(done, total, "the hub does not answer; the job goes on where it is")
            desk.api.sleep(away)
            continue
        away, done, total = 0.0, answer.found["done"], answer.found["total"]
        progress.label = answer.found["kind"]
        progress.show(done, total)
        if answer.found["status"] != RUNNING:
            return answer
        desk.api.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


def finished(desk: Desk, last: Answer) -> int:
    desk.answer(last, lambda job: show(desk, job))
    return outcome(last.found)


def outcome(job: dict[str, Any]) -> int:
    """A job that is done with errors left something undone."""
    return FAILED if job["status"] == "failed" or job["errors"] else OK


def show(desk: Desk, job: dict[str, Any]) -> None:
    counted = f"{job['done']:,}" + (f" of {job['total']:,}" if job["total"] is not None else "")
    desk.screen.fields(
        [
            ("job", job["id"]),
            ("kind", job["kind"]),
            ("status", job["status"]),
            ("done", counted),
            ("begun", local(job["created_at"], zone=True)),
            *((name, said(job[name])) for name in ("customer", "reason", "counts", "result") if job.get(name)),
        ]
    )
    for error in job["errors"]:
        desk.screen.line(f"  {desk.screen.paint('error', BAD)}  {said(error)}")
