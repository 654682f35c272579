"""The contract of jobs."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from chalicelib.api.contract.operation import JobView, Next, Operation, Paged, any_of
from chalicelib.api.jobs import STATUSES

TAG = "Jobs"


class Job(JobView):
    result: NotRequired[Annotated[str | None, Meta(description="Where the outcome is; null until it is done")]]


class Jobs(TypedDict):
    jobs: list[Job]
    next: Next


class JobsQuery(Paged, total=False):
    status: Annotated[str, any_of(STATUSES)]


OPERATIONS = {
    "show": Operation("How far long work is", {200: Job}, more="For whoever may start such a job."),
    "listing": Operation("Jobs, newest first", {200: Jobs}, query=JobsQuery),
}
