"""The hub assembled: blueprints for HTTP, one function per worker.

Workers are declared here and not on blueprints: Lambda would load a blueprint's worker without
importing this file (aws/chalice issue 1566).
"""

from __future__ import annotations

from typing import Any

from chalice.app import Chalice, Rate

from chalicelib.api import assemble
from chalicelib.settings import settings

app = Chalice(app_name="draad", configure_logs=False)
assemble(app)


@app.on_sqs_message(queue=settings().queue("inbox"), batch_size=10, name="context")
def context(event: Any) -> None:
    from chalicelib.workers.context import take

    take(event.to_dict()["Records"])


@app.on_dynamodb_record(
    stream_arn=settings().stream_arn, batch_size=100, starting_position="TRIM_HORIZON", name="fanout"
)
def fanout(event: Any) -> None:
    from chalicelib.workers.fanout import take

    take(event.to_dict()["Records"])


@app.on_sqs_message(queue=settings().queue("deliveries"), batch_size=10, name="deliver")
def deliver(event: Any) -> None:
    from chalicelib.workers.deliver import take

    take(event.to_dict()["Records"])


@app.on_sqs_message(queue=settings().queue("jobs"), batch_size=1, name="jobs")
def jobs(event: Any) -> None:
    from chalicelib.workers.jobs import take

    take(event.to_dict()["Records"])


@app.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(event: Any) -> None:
    from chalicelib.workers.sweep import take

    take()
