"""How each event source must be set. Chalice sets the batch size and no more; the code is right without the rest.

context, deliver, jobs: at most so many at once, so that hooks have room in the account; a batch may fail in part.
fanout: a batch that fails is halved until one change is left. It is tried again for 23 hours, because only AWS being ill
makes it fail; then, before the stream drops it at 24, its place in the stream goes to the dead letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """`of`: a queue's name, or `stream`. `on_failure`: the output of the stack that is its destination.
    None: does not exist for such a source, or has no limit."""

    of: str
    batch_size: int
    window_seconds: int = 0
    partial_batch: bool = True
    maximum_concurrency: int | None = None
    bisect: bool | None = None
    maximum_retries: int | None = None
    maximum_age_seconds: int | None = None
    on_failure: str | None = None
    parallelization: int | None = None
    filters: tuple[dict[str, Any], ...] = ()


def _change(pk: dict[str, Any] | str, sk: dict[str, Any] | str | None = None, event: str = "") -> dict[str, Any]:
    keys = {"pk": {"S": [pk]}} | ({"sk": {"S": [sk]}} if sk else {})
    return {"dynamodb": {"Keys": keys}} | ({"eventName": [event]} if event else {})


FANOUT = (
    _change({"prefix": "N#"}, {"prefix": "E#"}, "INSERT"),
    _change({"prefix": "K#"}),
    _change({"prefix": "N#"}, "F"),
    _change({"prefix": "N#"}, {"prefix": "S#"}),
    _change("ORG", "PULSE#stream"),
)
"""What the fanout looks at (chalicelib/fanout/plan.py): events, customers, fields, answers of surveys, the pulse."""

WANTED: dict[str, Source] = {
    "context": Source("inbox", batch_size=10, maximum_concurrency=100),
    "fanout": Source(
        "stream",
        batch_size=100,
        bisect=True,
        maximum_retries=-1,
        maximum_age_seconds=82_800,
        on_failure="FanoutDeadLettersArn",
        parallelization=4,
        filters=FANOUT,
    ),
    "deliver": Source("deliveries", batch_size=10, maximum_concurrency=100),
    "jobs": Source("jobs", batch_size=1, maximum_concurrency=10),
}
"""Function → its event source."""
