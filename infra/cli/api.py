"""Requests to a hub, repeated where that is safe; whatever goes wrong is a sentence with what to do next."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase

from infra.cli.stopped import UNREACHABLE, Stopped, mistyped

USUAL_URL = "http://127.0.0.1:8000"
KEYS = ("DRAAD_KEY", "DRAAD_ADMIN_KEY")
CONNECT_SECONDS, ANSWER_SECONDS = 5, 60
TRIES = 5
LONGEST_WAIT, USUAL_WAIT = 120.0, 2.0
BUSY = 429
AWAY = (502, 503, 504)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
Query = Sequence[tuple[str, str]]

FLAGS = {"/settings": "--setting {0}=…", "/secrets": "--secret-from {0}=file:… (or env:…)"}
"""Where a mistake that the API names is made on the command line."""
OPTIONS = {
    "/provider": "see `providers`",
    "/name": "--name …",
    "/since": "--since …",
    "/until": "--until …",
    "/limit": "--limit …",
    "/next": "--next …, as the page before gave it",
    "/mapping": "--mapping FILE",
    "/subscription": "--subscription FILE",
    "/connection": "see `connections list`",
    "/customer": "see `customers find`",
    "/reason": "--reason …",
    "/scopes": "--scope …",
    "/expires_in": "--hours …",
    "/verdict": "--verdict …",
    "/status": "--status …",
}
TODO = {
    401: "set DRAAD_KEY to a key of this hub; `make run` prints one, and an admin makes more with `keys create`",
    403: "use a key with that scope: an admin makes one with `keys create --scope …`",
    404: "look at what there is with the `list` of this command, or `customers find`",
    409: "run the command again",
    410: "nothing is left to show; its certificate is under `jobs list`",
    413: "send less at once",
    422: "mend what is named and run the command again",
    429: "wait a little and run the command again",
}
OURS = "look at `health` and at the hub's own log, then try again"
NO_HUB = "set DRAAD_URL, or --url, to the address of a hub: with the stage in it, if it has one"


@dataclass(frozen=True)
class Answer:
    """`raw` as it came, `found` decoded; `at`: the hub's clock."""

    status: int
    raw: str
    found: Any
    at: datetime


class Bearer(AuthBase):
    """A key that no netrc file takes the place of, as it would of a plain header."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request


@dataclass
class Api:
    """`notice`: told when a request has to wait."""

    url: str
    key: str
    notice: Callable[[str], None]
    session: requests.Session = field(default_factory=requests.Session)
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str, query: Query = ()) -> Answer:
        return self.ask("GET", path, query)

    def post(self, path: str, body: Mapping[str, Any] | None = None, query: Query = ()) -> Answer:
        return self.ask("POST", path, query, body)

    def pages(self, path: str, query: Query = ()) -> Iterator[Answer]:
        """Every page of a list."""
        following: Query = ()
        while True:
            answer = self.get(path, [*query, *following])
            yield answer
            if not answer.found.get("next"):
                return
            following = [("next", answer.found["next"])]

    def ask(self, method: str, path: str, query: Query = (), body: Mapping[str, Any] | None = None) -> Answer:
        """Raises Stopped. A busy hub did nothing, so it is asked again; one that is away, where asking is harmless."""
        for tries in range(TRIES):
            answer = self._once(method, path, query, body)
            wait = _wait(method, answer)
            if wait is None or wait > LONGEST_WAIT or tries == TRIES - 1:
                break
            self.notice(f"the hub asks to wait {wait:.0f} s")
            self.sleep(wait)
        return self._read(answer)

    def _once(self, method: str, path: str, query: Query, body: Mapping[str, Any] | None) -> requests.Response:
        sent = None if body is None else json.dumps(body).encode()
        try:
            return self.session.request(
                method,
                self.url + path,
                params=list(query),
                data=sent,
                headers={"Accept": "application/json", **({"Content-Type": "application/json"} if sent else {})},
                auth=Bearer(self.key),
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,
            )
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as wrong:
            raise mistyped(f"{self.url} is no address", NO_HUB) from wrong
        except requests.exceptions.SSLError as wrong:
            raise Stopped(
                f"{self.url} shows a certificate that is not trusted",
                "look at the address; for a certificate of your own name it in REQUESTS_CA_BUNDLE",
                UNREACHABLE,
            ) from wrong
        except requests.RequestException as wrong:
            raise self._silent(method, wrong) from wrong

    def _silent(self, method: str, wrong: requests.RequestException) -> Stopped:
        """Whoever changes something must know that it may have been done."""
        never = isinstance(wrong, requests.exceptions.ConnectTimeout) or "Failed to establish" in str(wrong)
        doubt = "" if method == "GET" or never else "; look first whether it was done, its answer was lost"
        todo = f"start a hub with `make run`, or set DRAAD_URL (or --url) to the one you mean{doubt}"
        return Stopped(f"no hub answers at {self.url}", todo, UNREACHABLE, passing=True)

    def _read(self, answer: requests.Response) -> Answer:
        raw = answer.content.decode("utf-8", "replace")
        try:
            found = json.loads(raw)
        except ValueError:
            found = None
        if answer.ok and not answer.is_redirect and isinstance(found, dict):
            return Answer(answer.status_code, raw, found, clock_of(answer))
        if isinstance(found, dict) and "title" in found:
            raise refusal(found, answer.status_code, raw)
        if answer.status_code == BUSY or answer.status_code in AWAY:
            raise Stopped(f"{self.url} answers {answer.status_code}", OURS, UNREACHABLE, passing=True)
        raise Stopped(f"what answers at {self.url} is no hub (status {answer.status_code})", NO_HUB, UNREACHABLE)


def _wait(method: str, answer: requests.Response) -> float | None:
    """Seconds until it may be asked again; None where the answer counts."""
    again = answer.status_code == BUSY or (answer.status_code in AWAY and method == "GET")
    return retry_after(answer.headers.get("Retry-After", "")) if again else None


def retry_after(text: str) -> float:
    """Seconds, or a moment; whatever else it says is the usual wait."""
    if text.isascii() and text.isdigit():
        return max(float(text), 0.1)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.1)
    except (TypeError, ValueError):
        return USUAL_WAIT


def clock_of(answer: requests.Response) -> datetime:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except (TypeError, ValueError):
        return datetime.now(UTC)


def refusal(problem: Mapping[str, Any], status: int, raw: str) -> Stopped:
    """Problem details as sentences: each field with the option that mends it."""
    errors = problem.get("errors") or []
    title, detail = str(problem.get("title") or "refused"), str(problem.get("detail") or "")
    lines = [title if errors or not detail else f"{title}: {detail}"]
    lines += [_by_field(each) for each in errors]
    todo = TODO.get(status, OURS if status >= 500 else "look at what is asked and run the command again")
    return Stopped("\n".join(lines), todo, passing=status == BUSY or status >= 500, document=raw)


def _by_field(mistake: Mapping[str, Any]) -> str:
    pointer = str(mistake.get("pointer") or "")
    option = option_of(pointer)
    return f"  {pointer or 'the request'}: {mistake.get('detail', '')}" + (f"   ({option})" if option else "")


def option_of(pointer: str) -> str:
    head, _, rest = pointer.lstrip("/").partition("/")
    if f"/{head}" in FLAGS and rest:
        return FLAGS[f"/{head}"].format(rest.partition("/")[0])
    return OPTIONS.get(f"/{head}", "")


def part(text: str) -> str:
    """One segment of a path, whatever somebody typed."""
    return quote(text, safe="")


def address(given: str | None) -> str:
    """The hub's. Raises Stopped."""
    url = (given or os.environ.get("DRAAD_URL") or USUAL_URL).strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise mistyped(f"{url!r} is no address", NO_HUB)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise mistyped("the address holds more than an address", "leave out what is not the hub's own URL")
    return url


def in_the_clear(url: str) -> bool:
    """Whether a key would go over a network that others may read."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOOPBACK


def key() -> str:
    """The first that is set; without one only what is open to anybody answers."""
    found = next((value for name in KEYS if (value := os.environ.get(name, "").strip())), "")
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise mistyped("the key in DRAAD_KEY holds letters that no key has", "copy it again, as it was printed")
    return found
