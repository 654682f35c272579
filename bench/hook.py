"""Processor time of a warm hook, through the real app with API Gateway's event, AWS answered without a socket.

The other side is the least that takes a webhook: a Chalice route that sends the same body to the
same queue with a client of botocore's defaults. Both run in turns in one process; a pair's ratio
is what counts, and the median of the ratios is told.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from bench.lambda_event import HOST, rest_event
from bench.stage import LARGE, environment, memory_env
from bench.wire import QUEUE_URL, SENT, Wire, hub_replies
from chalicelib import sources
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import aws, ids
from tests.sources import source_fixtures
from tests.sources.source_fixtures import FOLDER, Case

ROUTE = "/hooks/{connection_id}"
PEPPER = "p" * 64
SERVICES = ("secretsmanager", "dynamodb", "kms", "sqs")
WARM, PAIRS, FEW, CALLS = 20, 120, 40, 5
"""Rounds before measuring; pairs measured, of a source without a row of its own; calls on each side of a pair."""
TAKEN = 200, 204
FIXTURES = {
    "shopify": "order_created",
    "twilio": "whatsapp_received",
    "whatsapp": "text",
    "zendesk": "ticket_created_by_mail",
    "generic": "return_created",
}
BUDGET = 2.0
App = Callable[[dict[str, Any], None], Any]


@dataclass(frozen=True)
class Warm:
    """One provider: median microseconds of processor time on both sides, and the median ratio of the pairs."""

    provider: str
    body_bytes: int
    hub_us: float
    bare_us: float
    ratio: float


def hub_env() -> dict[str, str]:
    return memory_env() | {"DRAAD_STAGE": "test", "DRAAD_PUBLIC_URL": f"https://{HOST}"}


def measured() -> list[Warm]:
    """Those with a row of their own, then every other source, with its first fixture and fewer pairs."""
    others = [slug for slug in sources.slugs() if slug not in FIXTURES]
    with environment(hub_env()):
        return [_measured(slug, PAIRS) for slug in FIXTURES] + [_measured(slug, FEW) for slug in others]


def _measured(provider: str, count: int) -> Warm:
    event, wire = webhook(provider)
    for service in SERVICES:
        wire.attach(aws.client(service))
    hub, bare = hub_app(), bare_app()
    plain = _plain(event)
    _must_ack(hub, event)
    _must_ack(bare, plain)
    pairs = [(_cpu(hub, event), _cpu(bare, plain)) for _ in range(WARM + count)][WARM:]
    aws.forget_clients()
    micro = 1e6 / CALLS
    return Warm(
        provider,
        len(base64.b64decode(event["body"])),
        median(hub for hub, _ in pairs) * micro,
        median(bare for _, bare in pairs) * micro,
        median(hub / bare for hub, bare in pairs),
    )


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    """For the bare route: its body as text, on the one path that it has."""
    body = base64.b64decode(event["body"]).decode(errors="replace")
    told = {"resource": ROUTE, "requestContext": event["requestContext"] | {"resourcePath": ROUTE}}
    only = {"pathParameters": {"connection_id": event["pathParameters"]["connection_id"]}}
    return event | told | only | {"body": body, "isBase64Encoded": False}


def _must_ack(app: App, event: dict[str, Any]) -> None:
    answer = app(event, None)
    if answer["statusCode"] not in TAKEN:
        raise RuntimeError(f"the webhook was not taken: {answer}")


def _cpu(app: App, event: dict[str, Any]) -> float:
    begun = time.process_time()
    for _ in range(CALLS):
        app(event, None)
    return time.process_time() - begun


def hub_app() -> App:
    from app import app

    return app


def bare_app() -> App:
    import botocore.session
    from chalice.app import Chalice

    app = Chalice(app_name="bare", configure_logs=False)
    client = botocore.session.get_session().create_client("sqs")
    Wire({"SendMessage": lambda asked: SENT}).attach(client)

    @app.route(ROUTE, methods=["POST"], content_types=["*/*"])
    def hook(connection_id: str) -> dict[str, bool]:
        request: Any = app.current_request
        client.send_message(QueueUrl=QUEUE_URL, MessageBody=request.raw_body.decode())
        return {"ok": True}

    return app


def told(provider: str) -> dict[str, Any]:
    """One signed webhook of this provider and what AWS knows: event, connection (JSON), secrets, pepper."""
    case = _case(provider)
    Wire(hub_replies(b"", {}, PEPPER)).attach(aws.client("secretsmanager"))
    id = ids.mint("con")
    plain = {_ciphertext(name, n): value for name, all in case.secrets.items() for n, value in enumerate(all)}
    connection = msgspec.json.encode(_connection(case, provider, id)).decode()
    return {"event": _signed(case, provider, id), "connection": connection, "secrets": plain, "pepper": PEPPER}


def webhook(provider: str) -> tuple[dict[str, Any], Wire]:
    """The webhook as the function gets it, and an AWS that knows its connection."""
    found = told(provider)
    return found["event"], Wire(hub_replies(found["connection"].encode(), found["secrets"], PEPPER))


def _case(provider: str) -> Case:
    name = FIXTURES.get(provider)
    return source_fixtures.load(FOLDER / provider / f"{name}.http") if name else source_fixtures.cases(provider)[0]


def _connection(case: Case, provider: str, id: str) -> Connection:
    return Connection(
        id=id,
        provider=provider,
        settings=dict(case.request.settings),
        secrets={name: tuple(_ciphertext(name, n) for n in range(len(all))) for name, all in case.secrets.items()},
        mapping=case.request.mapping,
    )


def _ciphertext(name: str, number: int) -> str:
    return base64.b64encode(f"{name} {number}".encode()).decode()


def _signed(case: Case, provider: str, id: str) -> dict[str, Any]:
    """As the provider calls this connection now: its query and what it puts below the path go along."""
    now = instants.now()
    then, since = (str(instants.to_ms(at) // 1000) for at in (case.request.received_at, now))  # as some sign it
    body = case.request.body.replace(then.encode(), since.encode()) if provider != "generic" else _chat()
    asked = tuple((name, since if value == then else value) for name, value in case.request.query)
    url = f"https://{HOST}/hooks/{id}" + (f"?{urlencode(asked)}" if asked else "")
    signed = case.signed(replace(case.request, url=url, query=asked, connection=id, body=body, received_at=now))
    path, _, query = signed.url.removeprefix(f"https://{HOST}/hooks/").partition("?")
    parts = dict(zip(("connection_id", "below1", "below2", "below3"), path.split("/"), strict=False))
    resource = "/hooks/" + "/".join(f"{{{name}}}" for name in parts)
    told = dict(parse_qsl(query, keep_blank_values=True))
    return rest_event("POST", resource, parts, headers=dict(signed.headers), query=told, body=signed.body)


def _chat() -> bytes:
    """4 KB, half of it incompressible."""
    noise = random.Random(LARGE).randbytes(LARGE // 4).hex()
    told = {"event": "message", "id": "m-1", "at": "2026-09-01T09:00:00Z", "noise": noise, "text": ""}
    told["text"] = "draad " * ((LARGE - len(json.dumps(told))) // 6)
    return json.dumps(told).ljust(LARGE).encode()
