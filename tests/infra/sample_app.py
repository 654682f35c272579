"""A small app that stands in for ours where the local run itself is tested: it echoes and it writes down."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from chalice import Chalice, Rate, Response

from chalicelib.settings import settings

app = Chalice(app_name="sample", configure_logs=False)
DIARY = Path(os.environ.get("SAMPLE_DIARY", os.devnull))


def note(kind: str, content: Any) -> None:
    with DIARY.open("a") as file:
        file.write(json.dumps([kind, content]) + "\n")


@app.route("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.route("/echo/{name}", methods=["GET", "POST", "HEAD", "OPTIONS"], content_types=["*/*"])
def echo(name: str) -> Response:
    request = app.current_request
    event = request.to_original_event()
    found = {
        "body": request.raw_body.hex(),
        "method": request.method,
        "name": name,
        "headers": event["multiValueHeaders"],
        "query": event["multiValueQueryStringParameters"],
    }
    return Response(json.dumps(found), headers={"Content-Type": "application/json"})


@app.on_sqs_message(queue=settings().queue("inbox"), batch_size=10, name="context")
def context(event: Any) -> None:
    bodies = [record["body"] for record in event.to_dict()["Records"]]
    if "slow" in bodies:
        note("began", "slow")
        time.sleep(1)
    note("inbox", bodies)


@app.on_dynamodb_record(
    stream_arn=settings().stream_arn, batch_size=100, starting_position="TRIM_HORIZON", name="fanout"
)
def fanout(event: Any) -> None:
    for record in event.to_dict()["Records"]:
        note("stream", record)


@app.on_sqs_message(queue=settings().queue("jobs"), batch_size=1, name="jobs")
def jobs(event: Any) -> None:
    note("jobs", len(event.to_dict()["Records"]))


@app.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(event: Any) -> None:
    note("sweep", event.to_dict()["detail-type"])
