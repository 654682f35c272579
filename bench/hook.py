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

import msgspec

from bench.lambda_event import HOST, rest_event
from bench.stage import LARGE, environment, memory_env
from bench.wire import QUEUE_URL, SENT, Wire, hub_replies
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import aws, ids
from tests.sources import source_fixtures
from tests.sources.source_fixtures import FOLDER, Case

ROUTE = "/hooks/{connection_id}"
PEPPER = "p" * 64
SERVICES = ("secretsmanager", "dynamodb", "kms", "sqs")
WARM, PAIRS, CALLS = 20, 120, 5
"""Rounds before measuring; pairs measured; calls on each side of a pair."""
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
    with environment(hub_env()):
        return [_measured(provider) for provider in FIXTURES]


def _measured(provider: str) -> Warm:
    event, wire = webhook(provider)
    for service in SERVICES:
        wire.attach(aws.client(service))
    hub, bare = hub_app(), bare_app()
    plain = event | {"body": base64.b64decode(event["body"]).decode(), "isBase64Encoded": False}
    _must_ack(hub, event)
    _must_ack(bare, plain)
    pairs = [(_cpu(hub, event), _cpu(bare, plain)) for _ in range(WARM + PAIRS)][WARM:]
    aws.forget_clients()
    micro = 1e6 / CALLS
    return Warm(
        provider,
        len(base64.b64decode(event["body"])),
        median(hub for hub, _ in pairs) * micro,
        median(bare for _, bare in pairs) * micro,
        median(hub / bare for hub, bare in pairs),
    )


def _must_ack(app: App, event: dict[str, Any]) -> None:
    answer = app(event, None)
    if answer["statusCode"] != 200:
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
    case = source_fixtures.load(FOLDER / provider / f"{FIXTURES[provider]}.http")
    Wire(hub_replies(b"", {}, PEPPER)).attach(aws.client("secretsmanager"))
    id = ids.mint("con")
    plain = {base64.b64encode(name.encode()).decode(): values[0] for name, values in case.secrets.items()}
    connection = msgspec.json.encode(_connection(case, provider, id)).decode()
    return {"event": _signed(case, provider, id), "connection": connection, "secrets": plain, "pepper": PEPPER}


def webhook(provider: str) -> tuple[dict[str, Any], Wire]:
    """The webhook as the function gets it, and an AWS that knows its connection."""
    found = told(provider)
    return found["event"], Wire(hub_replies(found["connection"].encode(), found["secrets"], PEPPER))


def _connection(case: Case, provider: str, id: str) -> Connection:
    """The ciphertext of a secret is its name."""
    return Connection(
        id=id,
        provider=provider,
        settings=dict(case.request.settings),
        secrets={name: (base64.b64encode(name.encode()).decode(),) for name in case.secrets},
        mapping=case.request.mapping,
    )


def _signed(case: Case, provider: str, id: str) -> dict[str, Any]:
    body = case.request.body if provider != "generic" else _chat()
    url = f"https://{HOST}/hooks/{id}"
    request = replace(case.request, url=url, connection=id, body=body, received_at=instants.now())
    # A signature over the body alone is valid under any URL, but one that has a moment in it grows old.
    anew = getattr(case.module, "sign", None) or getattr(case.verifier, "timestamp_header", "")
    signed = case.signed(request) if anew else request
    return rest_event("POST", ROUTE, {"connection_id": id}, headers=dict(signed.headers), body=signed.body)


def _chat() -> bytes:
    """4 KB, half of it incompressible."""
    noise = random.Random(LARGE).randbytes(LARGE // 4).hex()
    told = {"event": "message", "id": "m-1", "at": "2026-09-01T09:00:00Z", "noise": noise, "text": ""}
    told["text"] = "draad " * ((LARGE - len(json.dumps(told))) // 6)
    return json.dumps(told).ljust(LARGE).encode()
