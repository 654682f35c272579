"""Thousands of requests made of the contract itself, right ones and wrong ones, and every answer judged by it."""

from __future__ import annotations

import threading
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import requests
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
PHASES = ("examples", "coverage", "fuzzing", "stateful")
"""What the contract shows; each bound of each field; right and wrong at random; calls that build on each other."""
ONE_BY_ONE = ("examples", "fuzzing")
LINKED: dict[str, Any] = {"inference": {"algorithms": []}, "generation": {"mode": "positive"}, "max-steps": 10}
"""Only by the links that the contract declares: those that are guessed lead from the list of keys to revoking the
caller's own, and all that follows is refused."""
REFUSED_TOO = ["2xx", "304", "404", "409", "410", "422"]
"""What may answer a request that fits its schema: that an id names a connection that sends messages, or
that a text is an identity, no schema says; 422 says it."""

UNSIGNED = {
    "include-path": "/hooks/{connection_id}",
    "checks": {"positive_data_acceptance": {"expected-statuses": [*REFUSED_TOO, "401"]}},
}
"""A hook asks for the provider's signature, which no schema can give. Everywhere else a 401 means that the key is dead."""
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "410", "415", "422", "428", "429", "5xx"]
"""What may answer a request that does not fit its schema: as schemathesis has it, and that the customer is gone, which is
said before anything else is looked at. A 5xx is a failure of its own."""


def config(key: str, ids: Ids, examples: int, phases: Iterable[str] = ONE_BY_ONE) -> SchemathesisConfig:
    """All checks on. `phases`: of PHASES; those not named are left out."""
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "request-timeout": 60,
            "headers": {"Authorization": f"Bearer {key}"},
            "generation": {"max-examples": examples, "deterministic": True, "no-shrink": True, "database": "none"},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": REFUSED_TOO},
                "negative_data_rejection": {"expected-statuses": REFUSED},
            },
            "phases": {name: {"enabled": name in phases} for name in PHASES}
            | {"stateful": LINKED | {"enabled": "stateful" in phases}},
            "dictionaries": {name: {"values": values} for name, values in ids.items() if values},
            "operations": [
                UNSIGNED,
                *(_named(path, ids) for path in dict.fromkeys(path for _, path, _, _ in ROUTES) if "{" in path),
            ],
        }
    )


def _named(path: str, ids: Ids) -> dict[str, Any]:
    """A real id half of the time, in each path below it too."""
    whose = next(name for prefix, name in NAMED.items() if path.startswith(prefix))
    first = path.partition("{")[2].partition("}")[0]
    named = {f"path.{first}": {"dictionary": whose, "probability": 0.5}} if ids.get(whose) else {}
    return {"include-path": path, "parameters": named}


@dataclass
class Outcome:
    """`failures`: a line for each answer that the contract does not allow, with the request that got it. `answered`:
    how often a route answered with a status; `followed`: how often one call went on with what another answered."""

    failures: list[str] = field(default_factory=list)
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    followed: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def tried(self) -> set[str]:
        return {route for route, _ in self.answered}


def outcome(url: str, config: SchemathesisConfig, bodies: Mapping[str, Any] | None = None) -> Outcome:
    """What came of trying the hub at `url` by its own contract. `bodies`: route → one that is taken, which most
    calls send: hardly ever would one that was made up be."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    _spared(schema, own_ids(url, config.projects.default.headers))
    if bodies:
        _sent_mostly(schema, bodies)
    found = Outcome()
    for event in from_schema(schema).execute():
        if isinstance(event, NonFatalError):
            found.failures.append(f"{event.label}: {event.info.format()}")
        if isinstance(event, ScenarioFinished):
            _counted(found, event)
            found.failures += [
                _told(event, case, check)
                for case, checks in event.recorder.checks.items()
                for check in checks
                if check.status == Status.FAILURE and check.failure_info
            ]
    return found


def own_ids(url: str, headers: Mapping[str, str]) -> set[str]:
    """Of the keys that are in use: the caller's own, and that of whoever started the hub."""
    me, listed = (requests.get(f"{url}/v1/{each}", headers=headers, timeout=60).json() for each in ("me", "keys"))
    used = {each["id"]: each["name"] for each in listed["keys"] if not each["revoked"]}
    assert me["name"] in used.values(), "nobody is who asks"
    return set(used)


def _spared(schema: Any, own: Container[str]) -> None:
    """Keys in use, which the list of keys names: whose is revoked is told 401 from then on."""

    @schema.hook
    def filter_case(context: Any, case: Any) -> bool:
        return case.operation.label != "DELETE /v1/keys/{id}" or case.path_parameters.get("id") not in own


def _sent_mostly(schema: Any, bodies: Mapping[str, Any]) -> None:
    @schema.hook
    def map_body(context: Any, body: Any) -> Any:
        known = bodies.get(context.operation.label)
        return body if known is None or zlib.crc32(repr(body).encode()) % 4 == 0 else deepcopy(known)


def _counted(found: Outcome, event: ScenarioFinished) -> None:
    for case, node in event.recorder.cases.items():
        answer = event.recorder.find_response(case_id=case)
        route = node.value.operation.label
        found.answered[route, answer.status_code if answer else 0] += 1
        before = event.recorder.find_parent(case_id=case)
        if node.transition and before:
            found.followed[before.operation.label, route] += 1


def _told(event: ScenarioFinished, case: str, check: Any) -> str:
    sent = event.recorder.cases[case].value
    failure = check.failure_info.failure
    called = event.recorder.interactions.get(case)
    status = called.response.status_code if called and called.response else "nothing"
    return (
        f"{event.phase.value} {check.name}: {status}: {failure.title}: {failure.message[:400]}"
        f" -- {sent.as_curl_command()[:600]}"
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
