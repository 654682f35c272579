"""A webhook as it arrived: exact bytes, exact URL, repeated headers and parameters kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.fields import DEFAULT_REGION, plain

MAX_BODY = 4 * 1024 * 1024
MAX_FORM_FIELDS = 1000
SAMPLED_AT = "2026-01-01T11:00:00.000Z"
"""When a request was made that only tests a connection: never now, so that it is the same each time."""


@dataclass(frozen=True)
class Request:
    """`url` is the public URL that the provider called, query included, never rebuilt by a
    provider file. `received_at` is UTC with milliseconds; it is for verification only and
    must not reach an event. `settings` are the connection's; `fetched` what `fetch=` found."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    received_at: str
    query: tuple[tuple[str, str], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    mapping: Any = None
    connection: str = ""
    fetched: Mapping[str, Any] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """The first value of a header, any case; None when absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def header_values(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    @property
    def region(self) -> str:
        """The country that numbers without + are read in."""
        return plain(self.settings.get("region")) or DEFAULT_REGION

    def found(self, name: str) -> dict[str, Any]:
        """The document that `fetch` found under this name; empty where there is none."""
        document = self.fetched.get(name)
        return document if isinstance(document, dict) and not document.get("missing") else {}

    def looked_up(self, name: str, otherwise: str) -> dict[str, Any]:
        """The same, for a webhook that tells nothing by itself and must not pass as one of no interest.

        Raises PayloadMalformed with the reason, which is `otherwise` where nobody gave one.
        """
        found = self.found(name)
        if not found:
            document = self.fetched.get(name)
            why = document.get("why") if isinstance(document, dict) else ""
            raise PayloadMalformed(f"could not be looked up: {(plain(why) or otherwise)[:120]}")
        return found

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @cached_property
    def json(self) -> Any:
        """The body as JSON. Raises PayloadMalformed for whatever is not plain, finite JSON."""
        return parse_json(self.body)

    @cached_property
    def object(self) -> dict[str, Any]:
        """The body as one JSON object. Raises PayloadMalformed."""
        if not isinstance(self.json, dict):
            raise PayloadMalformed("not a JSON object")
        return self.json

    @cached_property
    def peek(self) -> dict[str, Any]:
        """The body as one JSON object, empty where it is none: for keys and handshakes, which never raise."""
        try:
            return self.object
        except PayloadMalformed:
            return {}

    @cached_property
    def form(self) -> list[tuple[str, str]]:
        """The body as a URL-encoded form, order and repeats kept. Raises PayloadMalformed."""
        try:
            return parse_qsl(
                self.body.decode("utf-8"),
                keep_blank_values=True,
                max_num_fields=MAX_FORM_FIELDS,
                errors="strict",
            )
        except (ValueError, UnicodeDecodeError) as wrong:
            raise PayloadMalformed(f"not a form in UTF-8: {wrong}") from wrong

    @cached_property
    def params(self) -> dict[str, str]:
        """The form as a mapping; the first of repeated names wins."""
        found: dict[str, str] = {}
        for name, value in self.form:
            found.setdefault(name, value)
        return found

    @cached_property
    def document(self) -> Any:
        """The body as JSON, or a form as an object whose repeated names hold lists. Raises PayloadMalformed."""
        if self.media_type != "application/x-www-form-urlencoded":
            return self.json
        found: dict[str, Any] = {}
        for name, value in self.form:
            seen = found.get(name)
            found[name] = value if seen is None else [*seen, value] if isinstance(seen, list) else [seen, value]
        return found


def sample_request(url: str, settings: Mapping[str, Any], body: Any, **headers: str) -> Request:
    """A test request for the hook `url`, still to be signed. `body`: bytes, or what is to be JSON. Headers by their
    names with underscores: `content_type`, where it is not JSON."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {"content_type": "application/json"} | headers
    pairs = tuple((name.replace("_", "-"), value) for name, value in named.items())
    connection = url.rpartition("/hooks/")[2]
    return Request("POST", url, pairs, raw, SAMPLED_AT, settings=settings, connection=connection)


def parse_json(body: bytes) -> Any:
    """Strict JSON from UTF-8 bytes: no NaN or infinity, no lone surrogates, bounded depth.

    Raises PayloadMalformed with the reason.
    """
    try:
        return msgspec.json.decode(body)
    except RecursionError as wrong:
        raise PayloadMalformed("JSON nested too deeply") from wrong
    except (msgspec.DecodeError, ValueError) as wrong:
        raise PayloadMalformed(f"not JSON in UTF-8: {str(wrong)[:120]}") from wrong
