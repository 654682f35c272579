"""Thousands of requests made of the contract itself, right ones and wrong ones, and every answer judged by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import NonFatalError, ScenarioFinished

from chalicelib.api.routes import ROUTES
from infra.local.gateway import Server, config_of
from tests.api.client import ROOT

Ids = Mapping[str, list[str]]
NAMED = {
    "/v1/providers/{slug}": "providers",
    "/v1/connections/{id}": "connections",
    "/v1/receipts/{id}": "receipts",
    "/v1/customers/{id}": "customers",
    "/v1/conversations/{id}": "conversations",
    "/v1/deliveries/{id}": "deliveries",
    "/v1/jobs/{id}": "jobs",
    "/v1/rules/{id}": "rules",
    "/v1/audiences/{id}": "audiences",
    "/v1/links/{id}": "links",
    "/v1/cuts/{id}": "cuts",
    "/v1/keys/{id}": "keys",
    "/v1/erasures/{id}": "erasures",
}
"""Whose ids a path takes. Of keys only one that nobody uses: whoever revokes his own is shut out."""
REFUSED_TOO = ["2xx", "304", "401", "403", "404", "409", "410", "422"]
"""What may answer a request that fits its schema: that an id names a connection that sends messages, or
that a text is an identity, no schema says; 422 says it."""


def config(key: str, ids: Ids, examples: int, *, whole: bool) -> SchemathesisConfig:
    """All checks on. `whole`: each bound of each field too, and calls that build on each other."""
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "request-timeout": 60,
            "headers": {"Authorization": f"Bearer {key}"},
            "generation": {"max-examples": examples, "deterministic": True, "no-shrink": True, "database": "none"},
            "checks": {"positive_data_acceptance": {"expected-statuses": REFUSED_TOO}},
            "phases": {"coverage": {"enabled": whole}, "stateful": {"enabled": whole}},
            "dictionaries": {name: {"values": values} for name, values in ids.items() if values},
            "operations": [
                _named(path, ids) for path in dict.fromkeys(path for _, path, _, _ in ROUTES) if "{" in path
            ],
        }
    )


def _named(path: str, ids: Ids) -> dict[str, Any]:
    """A real id half of the time, in each path below it too."""
    whose = next(name for prefix, name in NAMED.items() if path.startswith(prefix))
    first = path.partition("{")[2].partition("}")[0]
    named = {f"path.{first}": {"dictionary": whose, "probability": 0.5}} if ids.get(whose) else {}
    return {"include-path": path, "parameters": named}


def failures(url: str, config: SchemathesisConfig) -> Iterator[str]:
    """One line for each answer that the contract of the hub at `url` does not allow, with the request that got it."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    tried = 0
    for event in from_schema(schema).execute():
        if isinstance(event, NonFatalError):
            yield f"{event.label}: {event.info.format()}"
        if isinstance(event, ScenarioFinished):
            tried += len(event.recorder.cases)
            for case, checks in event.recorder.checks.items():
                for check in checks:
                    if check.status == Status.FAILURE and check.failure_info:
                        yield _told(event, case, check)
    assert tried > len(ROUTES), "it was tried"


def _told(event: ScenarioFinished, case: str, check: Any) -> str:
    sent = event.recorder.cases[case].value
    failure = check.failure_info.failure
    return (
        f"{event.phase.value} {check.name}: {failure.title}: {failure.message[:400]} -- {sent.as_curl_command()[:600]}"
    )


@contextmanager
def served() -> Iterator[str]:
    """The hub of this process over HTTP, one request at a time; yields its URL."""
    from app import app

    server = Server(("127.0.0.1", 0), app, config_of(ROOT))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.close()
    thread.join()
