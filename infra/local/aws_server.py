"""The process `aws`: ministack on loopback, made to lose less and to look less far.

ministack keeps everything in memory, saves on SIGTERM, and forgets the stream. Here the stream
is saved too, so that what fan-out has not read survives a restart; and on Linux a forked copy
saves the state every half minute, so that SIGKILL costs at most what came after that.
A query of a table reads the expression anew for every item of its partition: a page out of a
hundred thousand rows took four and a half seconds, in which nobody else was served. Here it is given
only the items that its page may hold. And three quarters of the time of a small call went into an HTTP
server written in Python; it is served by one whose parser and event loop are compiled.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from infra.local.lifeline import end_with_parent

App = Callable[[dict[str, Any], Any, Callable[[Any], Awaitable[None]]], Awaitable[None]]
"""An ASGI application."""
SNAPSHOT_SECONDS = float(os.environ.get("DRAAD_SNAPSHOT_SECONDS", "30"))
TYPES = "/endpointConfiguration/types/"
FEW = 100
"""Items of a partition that may as well be looked at all."""
RANGES: Mapping[str, Callable[[str, Mapping[str, str]], bool]] = {
    "#h = :h": lambda key, at: True,
    "#h = :h AND begins_with(#s, :b)": lambda key, at: key.startswith(at[":b"]),
    "#h = :h AND #s BETWEEN :a AND :z": lambda key, at: at[":a"] <= key <= at[":z"],
    "#h = :h AND #s > :a": lambda key, at: key > at[":a"],
    "#h = :h AND #s < :z": lambda key, at: key < at[":z"],
}
"""The conditions that `DynamoTable.query` makes."""
LAST = ("dynamodb_streams", "dynamodb", "sqs")
"""Saved in this order after the rest: a snapshot cut short then repeats work and never loses it."""


def keep_stream(streams: Any, table: Any) -> None:
    """Teach ministack's persistence about stream records."""

    def get_state() -> dict[str, Any]:
        return {"records": copy.deepcopy(table._stream_records), "trimmed": copy.deepcopy(table._stream_trimmed)}

    def load_persisted_state(found: dict[str, Any]) -> None:
        table._stream_records.update(found.get("records", {}))
        table._stream_trimmed.update(found.get("trimmed", {}))

    streams.get_state = get_state
    streams.load_persisted_state = load_persisted_state


def look_less_far(table: Any) -> None:
    """Teach ministack's queries what DynamoDB's sorted partitions give them: where to begin and when to stop."""
    plain = table._query

    def query(data: dict[str, Any]) -> Any:
        asked = table._tables.get(table._normalize_table_name(data.get("TableName")))
        values = data.get("ExpressionAttributeValues") or {}
        pk = values.get(":h", {}).get("S", "")
        if not asked or data.get("IndexName") or len(whole := asked["items"].get(pk, {})) <= FEW:
            return plain(data)
        asked["items"][pk] = within(whole, data)
        try:
            return plain(data)
        finally:
            asked["items"][pk] = whole

    table._query = query


def within(items: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a partition, by sort key, that the page of this query may hold; all for a condition that is none of
    `DynamoTable.query`'s."""
    fits = RANGES.get(data.get("KeyConditionExpression", ""))
    if fits is None or data.get("FilterExpression"):
        return dict(items)
    values = {name: value.get("S", "") for name, value in data["ExpressionAttributeValues"].items()}
    start, forward = data.get("ExclusiveStartKey", {}).get("sk", {}).get("S"), data.get("ScanIndexForward", True)
    found = [
        key for key in items if fits(key, values) and (start is None or (key != start and (key > start) == forward))
    ]
    if limit := data.get("Limit"):
        found = heapq.nsmallest(limit, found) if forward else heapq.nlargest(limit, found)
    return {key: items[key] for key in found}


def import_documents(gateway: Any) -> None:
    """Teach ministack's API Gateway to take an OpenAPI document, as Chalice deploys an API: as a new one, or over
    the one that is there. It does so for CloudFormation alone."""
    plain, plain_import = gateway.handle_request, gateway._import_rest_api

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
        parts = path.strip("/").split("/")
        if parts[0] == "restapis" and (method, len(parts)) == ("PUT", 2):
            return _overwrite(gateway, parts[1], json.loads(body))
        if parts == ["restapis"] and method == "POST" and "mode" in query:
            made = gateway._import_rest_api(json.loads(body))
            return gateway._v1_response(gateway._rest_api_view(gateway._rest_apis[made]), 201)
        if parts[0] == "restapis" and (method, len(parts)) == ("PATCH", 2):
            asked = json.loads(body)
            # The type that it has already, which would end as one of no type.
            asked["patchOperations"] = [each for each in asked["patchOperations"] if TYPES not in each["path"]]
            body = json.dumps(asked).encode()
        return await plain(method, path, headers, body, query)

    def import_rest_api(document: dict[str, Any], data: dict[str, Any] | None = None) -> str:
        made: str = plain_import(document, data)
        _extras(gateway, made, document)
        return made

    gateway.handle_request = handle_request
    gateway._import_rest_api = import_rest_api


def settle_at_once(functions: Any) -> None:
    """A function is ready as soon as it is made or changed. Half a second later is five for whoever looks, and there
    are six functions with three changes each."""

    def ready(name: str, _: float) -> None:
        done = {"State": "Active", "LastUpdateStatus": "Successful"}
        functions._functions[name]["config"].update(done)

    functions._schedule_state_transition = ready


def _overwrite(gateway: Any, api: str, document: dict[str, Any]) -> Any:
    """The id, the tags and the stages stay; answers that the document does not have go."""
    if api not in gateway._rest_apis:
        return gateway._v1_error("NotFoundException", "Invalid API identifier specified", 404)
    root = next(each for each in gateway._resources[api].values() if each["path"] == "/")
    gateway._resources[api] = {root["id"]: {**root, "resourceMethods": {}}}
    gateway._gateway_responses[api] = {}
    for path, item in document["paths"].items():
        gateway._import_path_item(api, path, item)
    _extras(gateway, api, document)
    return gateway._v1_response(gateway._rest_api_view(gateway._rest_apis[api]), 200)


def _extras(gateway: Any, api: str, document: dict[str, Any]) -> None:
    """What API Gateway takes from a document beside its paths."""
    extension = "x-amazon-apigateway-"
    gateway._rest_apis[api]["binaryMediaTypes"] = document.get(f"{extension}binary-media-types", [])
    for kind, answer in document.get(f"{extension}gateway-responses", {}).items():
        gateway._put_gateway_response(api, kind, answer)


def snapshots(server: Any, table: Any) -> None:
    """Save whenever the table changed; long savings are made rarer."""
    seen = table._stream_seq_counter
    wait = SNAPSHOT_SECONDS
    while True:
        time.sleep(wait)
        loop = getattr(server, "_MAIN_LOOP", None)
        if table._stream_seq_counter == seen or loop is None:
            continue
        seen = table._stream_seq_counter
        started = time.monotonic()
        between_two_requests = asyncio.run_coroutine_threadsafe(_save(server), loop)
        os.waitpid(between_two_requests.result(), 0)
        wait = max(SNAPSHOT_SECONDS, 20 * (time.monotonic() - started))


async def _save(server: Any) -> int:
    """Fork; the copy saves what it sees and ends. The parent gets the copy's process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    try:
        os.closerange(3, 65536)  # or this copy would keep the port after its parent was killed
        os.nice(10)
        save = server._build_persistence_save_dict()
        last = {name: save.pop(name) for name in LAST if name in save}
        server.save_all(save | last)
    finally:
        os._exit(0)


def as_aws_answers(app: App) -> App:
    """Without what a browser would need in the answers of DynamoDB and SQS: their clients read every header, and that
    costs them more than what it says."""

    async def lean(scope: dict[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http" or not any(name == b"x-amz-target" for name, _ in scope["headers"]):
            await app(scope, receive, send)
            return

        async def sent(message: dict[str, Any]) -> None:
            if headers := message.get("headers"):
                kept = [each for each in headers if not each[0].lower().startswith(b"access-control-")]
                message = message | {"headers": kept}
            await send(message)

        await app(scope, receive, sent)

    return lean


def serve(server: Any) -> None:
    """Until SIGTERM: no new connections, a moment for what is asked, then ministack saves."""
    uvicorn = importlib.import_module("uvicorn")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # met again when all is saved: the exit is a good one
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvicorn.run(
        as_aws_answers(server.app),
        host=os.environ["BIND_HOST"],
        port=int(os.environ["GATEWAY_PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_level=os.environ.get("LOG_LEVEL", "warning").lower(),
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,  # ministack makes its own
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )


def main() -> None:
    end_with_parent()
    server = importlib.import_module("ministack.app")
    table = importlib.import_module("ministack.services.dynamodb")
    look_less_far(table)
    keep_stream(importlib.import_module("ministack.services.dynamodb_streams"), table)
    if "apigateway" in os.environ.get("SERVICES", "").split(","):
        import_documents(importlib.import_module("ministack.services.apigateway_v1"))
    if "lambda" in os.environ.get("SERVICES", "").split(","):
        settle_at_once(importlib.import_module("ministack.services.lambda_svc"))
    if server.PERSIST_STATE and SNAPSHOT_SECONDS and sys.platform == "linux":
        threading.Thread(target=snapshots, args=(server, table), name="snapshots", daemon=True).start()
    serve(server)


if __name__ == "__main__":
    main()
