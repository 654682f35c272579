"""Calling another system: one request, one outcome.

    2xx                       a Reply
    3xx, other 4xx            Rejected, never followed
    401                       Unauthorized
    408, 423, 425, 429, 5xx   Delayed, with what Retry-After asks for
    410                       Gone
    not reached               Delayed: nothing was sent
    reset, timeout, half      Unknown: something was sent and nobody knows

A destination may declare otherwise for a status (`outcomes`), and ask for a status itself
(`allow`). Addresses are judged before anything is sent, see `kit.addresses`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import msgspec

from chalicelib.errors import Delayed, DeliveryFailed, Gone, Rejected, Unauthorized, Unknown
from chalicelib.kit import addresses
from chalicelib.kit.lazily import pattern
from chalicelib.kit.retry import retry_after
from chalicelib.kit.source import Secrets

DEADLINE_SECONDS = 10.0
MAX_ANSWER = 1024 * 1024
MAX_REFUSAL = 64 * 1024
EXCERPT = 300
TRY_LATER = frozenset({408, 423, 425, 429})
TOKEN = pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}\Z")
HEADER_VALUE = pattern(r"[\t\x20-\x7e\x80-\xff]{0,8192}\Z")
OURS = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    ]
)
"""Headers that no setting may set: they steer the connection or lie about who asks."""

MOST_DEPTH = 4
MAIL = pattern(r"[^\s<>\"'@,;:()]+@[^\s<>\"'@,;:()]+\.[^\s<>\"'@,;:()]+")
PHONE = pattern(r"(?<![\w.-])\+?\d[\d ().-]{7,18}\d(?![\w-])")
BEARER = pattern(
    r"(?i)\b(bearer |basic |(?:[a-z_-]*token|api[_-]?key|secret|password)[\"']?\s*[:=]\s*[\"']?)[\w.~+/=-]{8,}"
)
CONTROL = pattern(r"[\x00-\x1f\x7f-\x9f\s]+")


@dataclass(frozen=True)
class Reply:
    """An answer. `headers` have lower-case names; `truncated`: the body went on or was encoded; `sent`:
    method, URL and body that it answers."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False
    sent: tuple[str, str, bytes] | None = field(default=None, compare=False, repr=False)

    def json(self) -> Any:
        """The body as JSON. Raises Unknown when it is none: a success that says nothing proves nothing."""
        if self.truncated:
            raise Unknown(f"HTTP {self.status} with an answer that is encoded or too large")
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, ValueError) as wrong:
            raise Unknown(f"HTTP {self.status} with an answer that is not JSON", redacted(self.body)) from wrong

    def told(self) -> Any:
        """What a refusal says, where it is JSON; otherwise None: the status alone then tells."""
        try:
            return self.json()
        except Unknown:
            return None


@dataclass(frozen=True)
class Http:
    """One connection's way out.

    `headers` come from the destination's `auth`; `settings` and `secrets` (decrypted) are the
    connection's. `clock`: unix seconds. `deadline`: seconds for one request, all included. `largest`:
    bytes of a good answer that are read.
    `allow_private`: loopback and private networks, for local tests. `allow_plain`: http:// to
    public hosts. `ca_bundle`: path of the certificates to trust instead of the public ones.
    """

    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=dict)
    allow_private: bool = False
    allow_plain: bool = False
    outcomes: Mapping[int, type[DeliveryFailed]] = field(default_factory=dict)
    deadline: float = DEADLINE_SECONDS
    largest: int = MAX_ANSWER
    clock: Callable[[], float] = time.time
    resolve: addresses.Resolve | None = None
    ca_bundle: str = ""
    mapped: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Section → fields that the connection's mapping fills: where a record is emptied, they are too."""
    pace: Callable[[], None] | None = None
    """Called before each request; raises Delayed where we have asked enough for now."""
    watched: Callable[[float, int], None] | None = None
    """Told the seconds that each request took, and its status; 0 where none came. Not of one that we refused to make:
    that says nothing of the system."""

    def request(
        self,
        method: str,
        path: str = "",
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        allow: Collection[int] = (),
    ) -> Reply:
        """Send one request and give its answer when it is a 2xx or in `allow`.

        `path` is joined to `base_url`; where that is empty it is a whole URL. `json` is encoded,
        `body` goes as it is. Raises Delayed, Unknown, Rejected, Unauthorized, Gone.
        """
        payload = msgspec.json.encode(json) if json is not None else body or b""
        sending = {**self.headers, **(headers or {})}
        if json is not None:
            sending = {"Content-Type": "application/json", **sending}
        if self.pace:
            self.pace()
        sent = (method, self._url(path, params), payload)
        reply = replace(self._watched(sent, checked(sending)), sent=sent)
        if 200 <= reply.status < 300 or reply.status in allow:
            return reply
        raise self.failure(reply)

    def _watched(self, sent: tuple[str, str, bytes], headers: dict[str, str]) -> Reply:
        begun = time.monotonic()
        method, url, payload = sent
        try:
            reply = self._exchange(method, url, headers, payload)
        except DeliveryFailed as failed:
            failed.request = outline(*sent, self._sensitive())
            if self.watched and isinstance(failed, Delayed):
                self.watched(time.monotonic() - begun, 0)
            raise
        if self.watched:
            self.watched(time.monotonic() - begun, reply.status)
        return reply

    def failure(
        self, reply: Reply, kind: type[DeliveryFailed] | None = None, why: str = "", after: float | None = None
    ) -> DeliveryFailed:
        """What a refusal is, by its status; or the `kind`, because of `why`, that a vendor's own code in
        its body says. `after`: the seconds to wait, where they are not in Retry-After."""
        kind = kind or self.outcomes.get(reply.status) or outcome(reply.status)
        host = urlsplit(self.base_url).hostname or "destination"
        reason = f"HTTP {reply.status} from {host}" + (f": {why}" if why else "")
        excerpt = redacted(reply.body, self._sensitive())
        if issubclass(kind, Delayed):
            asked = retry_after(reply.headers.get("retry-after", ""), self.clock())
            failed: DeliveryFailed = kind(reason, excerpt, asked if after is None else after)
        else:
            failed = kind(reason, excerpt)
        failed.request = outline(*reply.sent, self._sensitive()) if reply.sent else ""
        return failed

    def _url(self, path: str, params: Mapping[str, str] | None) -> str:
        url = f"{self.base_url.rstrip('/')}/{path.lstrip('/')}" if self.base_url and path else self.base_url or path
        joint = "&" if "?" in url else "?"
        return f"{url}{joint}{urlencode(params)}" if params else url

    def _exchange(self, method: str, url: str, headers: dict[str, str], payload: bytes) -> Reply:
        from chalicelib.kit import wire

        until = time.monotonic() + self.deadline
        host, port, whole = self._target(url)
        found = addresses.judged(
            host, port, allow_private=self.allow_private, deadline=self.deadline, resolve=self.resolve
        )
        if whole.startswith("http:") and not self.allow_plain and not all(map(addresses.is_local, found)):
            raise Rejected(f"{host}: plain http leaves the data readable on the way; use https")
        headers = {"User-Agent": "draad", **headers, "Host": urlsplit(whole).netloc, "Accept-Encoding": "identity"}
        sent = wire.Sent(method, whole, host, headers, payload, self.ca_bundle or True)
        try:
            return _reply(*wire.exchange(sent, found, until, (self.largest, MAX_REFUSAL)), self.largest)
        except wire.NotSent as wrong:
            raise Delayed(f"{host} cannot be reached: {wrong}") from wrong
        except wire.NoAnswer as wrong:
            raise Unknown(f"{host} gave no answer: {wrong}") from wrong

    def _target(self, url: str) -> tuple[str, int, str]:
        """(canonical host, port, URL to send). Raises Rejected for what is not a plain web address."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as wrong:
            raise Rejected(f"no web address: {wrong}") from wrong
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise Rejected("no web address: it needs http(s), a host, and no user or password")
        host = addresses.canonical(parts.hostname)
        shown = f"[{host}]" if ":" in host else host
        netloc = f"{shown}:{parts.port}" if parts.port else shown
        return host, port, urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))

    def _sensitive(self) -> set[str]:
        values = {value for several in self.secrets.values() for value in several}
        return values | {part for value in self.headers.values() for part in value.split() if len(part) > 7}


def _reply(status: int, headers: dict[str, str], body: bytes, largest: int) -> Reply:
    cap = largest if 200 <= status < 300 else MAX_REFUSAL
    encoded = headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    return Reply(status, headers, body[:cap], encoded or len(body) > cap)


def outcome(status: int) -> type[DeliveryFailed]:
    """What a status that is no success means, unless the destination declares otherwise."""
    if status in TRY_LATER or status >= 500:
        return Delayed
    return {401: Unauthorized, 410: Gone}.get(status, Rejected)


def checked(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, each well formed and none of those that are ours. Raises Rejected naming one."""
    for name, value in headers.items():
        if not TOKEN.match(name) or name.lower() in OURS:
            raise Rejected(f"header {name[:60]!r} may not be set")
        if not isinstance(value, str) or not HEADER_VALUE.match(value) or value != value.strip():
            raise Rejected(f"header {name}: its value holds characters that a header may not")
    return dict(headers)


def outline(method: str, url: str, payload: bytes, secrets: Iterable[str] = ()) -> str:
    """What was asked, for people who look for a mistake: the way, and which fields went along. No value
    of a customer's is in it, nor any of the query."""
    try:
        fields = msgspec.json.encode(_shape(msgspec.json.decode(payload))) if payload else b""
    except (msgspec.DecodeError, RecursionError, ValueError):
        names = dict.fromkeys(part.partition(b"=")[0] for part in payload[:MAX_REFUSAL].split(b"&") if b"=" in part)
        fields = b"&".join(name + b"=\xe2\x80\xa6" for name in names if len(name) < 64)
    return redacted(f"{method} {_way(url, secrets)} ".encode() + fields, secrets)


def _way(url: str, secrets: Iterable[str]) -> str:
    """The path of a URL, its parts redacted one by one."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return "?"
    return "/".join(redacted(unquote(part).encode(), secrets) for part in path.split("/")) or "/"


def _shape(value: Any, depth: int = 0) -> Any:
    """The names in a JSON value; of a list its first, of a text nothing."""
    if isinstance(value, dict):
        return {name: _shape(each, depth + 1) for name, each in value.items()} if depth < MOST_DEPTH else "{…}"
    if isinstance(value, list):
        return [_shape(each, depth + 1) for each in value[:1]] + ["…"] * (len(value) > 1)
    return value if isinstance(value, bool) or value is None else "…"


def redacted(body: bytes, secrets: Iterable[str] = ()) -> str:
    """The head of an answer on one line, without secrets, mail addresses and phone numbers."""
    text = CONTROL.sub(" ", body[: MAX_REFUSAL // 16].decode("utf-8", "replace"))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    text = BEARER.sub(r"\1[secret]", text)
    text = PHONE.sub("[phone]", MAIL.sub("[mail]", text))
    return text.strip()[:EXCERPT]
