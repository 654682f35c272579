"""A hub in this process with a connection of every provider, what it asks of AWS counted, and all that it logs kept."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from chalicelib import destinations, sources, telemetry
from chalicelib.kit.request import Request
from chalicelib.model import instants
from chalicelib.model.connection import Connection
from chalicelib.store import aws, connections, ids, secrets
from tests.api.client import Answer, Api
from tests.sources.source_fixtures import Case, cases, coming_back

HOST = "hub.example"
"""The one that tests/api/client.py calls."""
Calls = list[tuple[str, str]]
WRONG = "d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc="
"""A secret that nobody has, in a form that every scheme reads."""
WORDS = re.compile(r"\W+")


@dataclass(frozen=True)
class Target:
    """A connection of one provider, and a request of its own that is taken there."""

    case: Case
    id: str

    @property
    def name(self) -> str:
        return f"{self.case.slug}{'/changes' if self.case.comes_back else ''}"

    def request(self, body: bytes | None = None, headers: list[tuple[str, str]] | None = None) -> Request:
        """As the provider calls, unsigned. `headers` go in place of its own of the same name."""
        mine = self.case.request
        named = {name.lower() for name, _ in headers or ()}
        kept = tuple(pair for pair in mine.headers if pair[0].lower() not in {*named, "host"})
        tail = mine.url.partition("?")[2]
        url = f"https://{HOST}/hooks/{self.id}" + (f"?{tail}" if tail else "")
        body = mine.body if body is None else body
        told = {"url": url, "connection": self.id, "headers": (*kept, *(headers or ())), "body": body}
        return replace(mine, **told, received_at=instants.now())

    def signed(self, request: Request) -> Request:
        """By the provider's own secret, now."""
        return self.case.signed(request)

    def forged(self, request: Request) -> Request:
        """By a secret that nobody has: a signature of the right form."""
        wrong = dict.fromkeys(self.case.secrets, (WRONG,))
        return replace(self.case, secrets=wrong, private={}).signed(request)


def send(api: Api, request: Request) -> Answer:
    target = request.url.removeprefix(f"https://{HOST}")
    return api.send(request.method, target, request.body, [*request.headers], key="")


def every_target(api: Api) -> list[Target]:
    """Of each provider that calls us, with the first of its fixtures."""
    found = [of_slug[0] for slug in sources.slugs() if (of_slug := cases(slug))]
    back = [slug for slug in destinations.slugs() if destinations.load(slug).changes]
    found += [of_slug[0] for slug in back if (of_slug := coming_back(slug))]
    return [connected(api, case) for case in found]


def connected(api: Api, case: Case) -> Target:
    """Stored as the API stores it. What providers ask of who makes one is tested where that is."""
    id = ids.mint("con")
    sealed = {
        name: tuple(secrets.encrypt(id, name, value) for value in values) for name, values in case.secrets.items()
    }
    asked = {"settings": dict(case.request.settings), "mapping": case.request.mapping}
    assert connections.save(api.table, Connection(id=id, provider=case.slug, secrets=sealed, **asked))
    return Target(case, id)


@contextmanager
def asked_of_aws() -> Iterator[Calls]:
    """Every request to AWS from now on: (service, operation)."""
    made: Calls = []

    def observe(service: str, operation: str, parameters: dict[str, Any], answer: dict[str, Any] | None) -> None:
        if answer is None:
            made.append((service, operation))

    aws.observers.append(observe)
    try:
        yield made
    finally:
        aws.observers.remove(observe)


class Kept(logging.Handler):
    """Every line of every logger, with all that goes along with it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.lines.append(f"{record.getMessage()} {vars(record)!r}")
        except (TypeError, ValueError):
            self.lines.append(repr(vars(record)))


OURS = ("", "draad")
"""The loggers that see everything: the root, and ours, which does not pass on."""


@contextmanager
def everything_logged() -> Iterator[list[str]]:
    """At the level that runs in production; what a library says below a warning reaches nobody there either."""
    vars(telemetry)["_logger"]()  # made now: what makes it drops who listens already
    kept = Kept()
    for name in OURS:
        logging.getLogger(name).addHandler(kept)
    try:
        yield kept.lines
    finally:
        for name in OURS:
            logging.getLogger(name).removeHandler(kept)


def problem_of(answer: Answer) -> str:
    """Why an answer to bad input is none of ours; empty where it is right."""
    if answer.status >= 500:
        return f"answered {answer.status}: {answer.raw[:200]!r}"
    kind = answer.headers.get("Content-Type", "")
    if answer.status >= 400 and kind != "application/problem+json":
        return f"refused with {answer.status} as {kind}"
    if any("\n" in str(value) or "\r" in str(value) for value in answer.headers.values()):
        return f"a header with a line end: {dict(answer.headers)}"
    return ""
