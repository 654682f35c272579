"""Requests in, responses out: authentication, problem details, paging."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from chalice.app import CaseInsensitiveMapping, Request, Response

from chalicelib.errors import (
    HubError,
    InputInvalid,
    KeyMissing,
    MediaUnsupported,
    RequestRefused,
    ScopeMissing,
    TooLarge,
    TooMany,
)
from chalicelib.settings import settings
from chalicelib.store.keys import ApiKey
from chalicelib.store.table import DynamoTable, Table

Model = TypeVar("Model")
JSON = "application/json"
PROBLEM = "application/problem+json"
MAX_LIMIT = 200
MAX_JSON = 256 * 1024
"""Of a request to the API; a connection must fit into one item."""
ANY_KEY = "any"
"""For a route whose view decides by what it finds which scope is needed."""
IMPLIED = {"admin": ("read", "agent", "integrate", "audience", "admin"), "agent": ("read", "agent")}
"""Scopes that a scope brings with it."""
WHOEVER = ""
"""For a route that tells a magic link about itself, whichever customer it opens."""
MAGIC = "magic"
"""Prefix of magic-link tokens."""
READ_AS_JSON = ("", JSON, "application/x-www-form-urlencoded")
"""Media types of a body, besides any that ends on +json. The last one is what curl -d names unless it is told."""


@dataclass(frozen=True)
class Call:
    """One API call: who, what, where."""

    request: Request
    table: Table
    key: ApiKey | None

    def values(self, name: str) -> list[str]:
        """All values of a query parameter."""
        query = self.request.query_params
        return [str(each) for each in query.getlist(name)] if query and name in query else []

    def value(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return next(reversed(self.values(name)), default)

    def listed(self, name: str) -> tuple[str, ...]:
        """Values given repeated or with commas."""
        return tuple(part for value in self.values(name) for part in value.split(",") if part)

    def limit(self) -> int:
        text = self.value("limit", "50")
        plain = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT))
        if not plain or not 1 <= int(text) <= MAX_LIMIT:
            raise wrong("/limit", f"must be a whole number from 1 to {MAX_LIMIT}")
        return int(text)

    def moment(self, name: str, default: str = "") -> str:
        """A query parameter that is an instant, as our text form."""
        return instant(self.value(name), f"/{name}") if self.value(name) else default

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object."""
        from chalicelib.errors import PayloadMalformed
        from chalicelib.kit.request import parse_json

        raw = body_of(self.request)
        if len(raw) > MAX_JSON:
            raise TooLarge(f"the body must have at most {MAX_JSON} bytes")
        if raw:
            _must_be_json(self.request)
        try:
            found = parse_json(raw) if raw else {}
        except PayloadMalformed as bad:
            raise InputInvalid(str(bad), [{"pointer": "", "detail": str(bad)}]) from bad
        if not isinstance(found, dict):
            raise wrong("", "must be a JSON object")
        return found

    def read(self, model: type[Model]) -> Model:
        """The body as a model; all its mistakes are told at once, by field."""
        asked = self.json()
        if mistakes := _mistakes(asked, model):
            raise InputInvalid("; ".join(f"{each['pointer']}: {each['detail']}" for each in mistakes), mistakes)
        return msgspec.convert(asked, model)

    def cursor(self, parts: int) -> tuple[str, ...]:
        """What `next` encoded: that many texts, or nothing."""
        text = self.value("next")
        if not text:
            return ()
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            found = msgspec.json.decode(raw, type=tuple[str, ...])
        except (binascii.Error, ValueError, msgspec.DecodeError) as bad:
            raise wrong("/next", "is not a cursor of ours") from bad
        if len(found) != parts or not all(found):
            raise wrong("/next", "is not a cursor of ours")
        return found


@dataclass(frozen=True)
class Reply:
    """What a view answers: a JSON value, or bytes of the type that its headers name, with a status."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def wrong(pointer: str, detail: str) -> InputInvalid:
    return InputInvalid(f"{pointer or 'body'}: {detail}", [{"pointer": pointer, "detail": detail}])


def instant(text: str, pointer: str) -> str:
    """Any ISO 8601 moment as our text form; without an offset it is UTC."""
    from chalicelib.errors import PayloadMalformed
    from chalicelib.kit import fields

    try:
        return fields.instant(text, pointer, "UTC")
    except PayloadMalformed as bad:
        raise wrong(pointer, "must be an instant such as 2026-09-01T09:00:00.000Z") from bad


def _mistakes(asked: Mapping[str, Any], model: type[Any]) -> list[dict[str, str]]:
    """One line for each field that is unknown, missing or of another type."""
    fields = {each.encode_name: each for each in msgspec.structs.fields(model)}
    found = [{"pointer": f"/{name}", "detail": "no such field"} for name in asked if name not in fields]
    for name, each in fields.items():
        if name not in asked:
            found += [{"pointer": f"/{name}", "detail": "is required"}] if each.required else []
            continue
        try:
            msgspec.convert(asked[name], each.type)
        except msgspec.ValidationError as bad:
            text, _, path = str(bad).partition(" - at `$")
            below = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
            found.append({"pointer": f"/{name}{below}", "detail": text})
    return found


def _must_be_json(request: Request) -> None:
    """Raises MediaUnsupported."""
    named = str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()
    if named not in READ_AS_JSON and not named.endswith("+json"):
        raise MediaUnsupported(f"send {JSON}")


class Range(msgspec.Struct, forbid_unknown_fields=True):
    """A connection and a time range; `until` defaults to now."""

    connection: str
    since: str
    until: str = ""


def window(call: Call) -> dict[str, str]:
    """The body as a checked range: {"connection", "since", "until"}."""
    from chalicelib.model import instants
    from chalicelib.store import connections

    asked = call.read(Range)
    if connections.get(call.table, asked.connection) is None:
        raise wrong("/connection", "no such connection")
    start = instant(asked.since, "/since")
    end = instant(asked.until, "/until") if asked.until else instants.now()
    if end < start:
        raise wrong("/until", "lies before since")
    return {"connection": asked.connection, "since": start, "until": end}


def next_cursor(*parts: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def answered(view: Callable[[Call], Reply], request: Request, scope: str, customer: str | None = None) -> Response:
    """Run a view for a key with `scope` ("" for none). `customer`: the one that the view reads and
    whose magic link opens it, or WHOEVER; None for every other view."""

    rate: dict[str, str] = {}

    def work() -> Response:
        table = DynamoTable()
        key = _authorized(table, request, scope, customer) if scope else None
        if key:
            _counted(table, key, request, rate)
        call = Call(request, table, key)
        return response(_linked(call, view(call)))

    found = guarded(work)
    found.headers.update(rate)
    return found


def _counted(table: Table, key: ApiKey, request: Request, rate: dict[str, str]) -> None:
    """Fills the headers that say how much is left. Raises TooMany.

    A magic link has no key of its own: it is counted by what is sent.
    """
    from chalicelib.store import quotas

    limit = settings().rate_limit
    if not limit:
        return
    left = quotas.take(table, key.id or quotas.name_of(_sent_key(request)[1]), limit)
    rate["RateLimit-Policy"] = f'"key";q={limit};w={quotas.WINDOW_SECONDS}'
    rate["RateLimit"] = f'"key";r={left.requests};t={left.full_in}'
    if left.wait:
        raise TooMany(f"a key may ask {limit} times in {quotas.WINDOW_SECONDS} seconds", left.wait)


def _linked(call: Call, reply: Reply) -> Reply:
    """A list that goes on says so in its headers too. Relative to the URL that was asked, so that neither
    a stage prefix nor another host name matters."""
    following = reply.body.get("next") if isinstance(reply.body, dict) else None
    if not following:
        return reply
    asked: Mapping[str, str] = call.request.query_params or {}
    query = [(name, value) for name in asked if name != "next" for value in call.values(name)]
    link = f'<?{urlencode([*query, ("next", following)])}>; rel="next"'
    return replace(reply, headers={**reply.headers, "Link": link})


def guarded(work: Callable[[], Response]) -> Response:
    """What `work` answers; whatever it raises as a problem."""
    try:
        return work()
    except RequestRefused as refused:
        return problem(refused)
    except HubError as failed:
        return unavailable(failed)
    except Exception as unforeseen:
        return broken(unforeseen)


def _authorized(table: Table, request: Request, scope: str, customer: str | None) -> ApiKey:
    scheme, secret = _sent_key(request)
    key = _holder(table, secret, str(request.method), customer) if scheme == "bearer" else None
    if key is None:
        raise KeyMissing("send Authorization: Bearer <api key>")
    if scope != ANY_KEY:
        must_have(key, scope)
    return key


def _sent_key(request: Request) -> tuple[str, str]:
    scheme, _, secret = str(request.headers.get("authorization", "")).partition(" ")
    return scheme.lower(), secret.strip()


def _holder(table: Table, secret: str, method: str, customer: str | None) -> ApiKey | None:
    from chalicelib.store import keys

    if secret.startswith(f"{MAGIC}_"):
        from chalicelib.api import magic_links

        if found := magic_links.opened(table, secret, method, customer):
            return found
    return keys.find(table, secret) if secret else None


def must_have(key: ApiKey | None, scope: str) -> None:
    """Raises ScopeMissing."""
    if key is None or scope not in granted(key):
        raise ScopeMissing(f"this needs the scope {scope}")


def granted(key: ApiKey) -> set[str]:
    return {each for scope in key.scopes for each in IMPLIED.get(scope, (scope,))}


def response(reply: Reply) -> Response:
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    raw = b"" if reply.status == 304 else body
    return _sealed(raw, reply.status, JSON, reply.headers)


def problem(refused: RequestRefused) -> Response:
    """RFC 9457. The detail of a refused hook stays with us: an unknown connection and a bad
    signature look alike."""
    hidden = refused.title == "Signature invalid"
    body: dict[str, Any] = {"type": "about:blank", "title": refused.title, "status": refused.status}
    body |= {"detail": refused.detail} if refused.detail and not hidden else {}
    body |= {"errors": refused.errors} if refused.errors else {}
    extra = {"WWW-Authenticate": "Bearer"} if isinstance(refused, KeyMissing) else {}
    extra |= {"Retry-After": str(refused.wait)} if isinstance(refused, TooMany) else {}
    return _sealed(msgspec.json.encode(body), refused.status, PROBLEM, extra)


def unavailable(failed: HubError) -> Response:
    body = {"type": "about:blank", "title": "Try again", "status": 503, "detail": type(failed).__name__}
    return _sealed(msgspec.json.encode(body), 503, PROBLEM, {"Retry-After": "5"})


def broken(unforeseen: Exception) -> Response:
    """Our own mistake: the caller tries again, the log says where it was, without any value."""
    from chalicelib import telemetry

    telemetry.warn("request failed", reason=telemetry.where(unforeseen))
    body = {"type": "about:blank", "title": "Our mistake", "status": 500}
    return _sealed(msgspec.json.encode(body), 500, PROBLEM)


def base_url(request: Request) -> str:
    """The configured public URL; without one, what the gateway says it was called as."""
    if settings().public_url:
        return settings().public_url
    context: dict[str, Any] = request.context
    host = str(context.get("domainName") or request.headers.get("host", ""))
    stage = context.get("stage", "")
    prefix = f"/{stage}" if stage and str(context.get("path", "")).startswith(f"/{stage}/") else ""
    scheme = "http" if host.startswith(("127.0.0.1", "localhost")) else "https"
    return f"{scheme}://{host}{prefix}"


def body_of(request: Request) -> bytes:
    """The exact body; text when the gateway did not encode it."""
    raw = request.raw_body or b""
    return raw.encode() if isinstance(raw, str) else raw


def _sealed(raw: bytes, status: int, media_type: str, extra: Mapping[str, str] | None = None) -> Response:
    headers = {
        "Content-Type": media_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(raw, {**headers, **(extra or {})}, status)


def accept_anything(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """With `*/*` as binary type, Chalice refuses callers that send no Accept header, after their
    event was taken. They take what they get."""
    if "accept" not in request.headers:
        request.headers = CaseInsensitiveMapping({**dict(request.headers), "accept": "*/*"})
    return get_response(request)


TITLES = {405: "Method not allowed", 415: "Media type unsupported"}


def in_our_words(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """What Chalice itself refuses, such as a method that a path does not have, as a problem like ours."""
    found = get_response(request)
    told = found.body if isinstance(found.body, dict) else {}
    if "Code" not in told:
        return found
    status = found.status_code
    title = TITLES.get(status, "Our mistake" if status >= 500 else "Request refused")
    body = {"type": "about:blank", "title": title, "status": status}
    body |= {"detail": str(told.get("Message", ""))} if status < 500 else {}
    allowed = {name: str(value) for name, value in found.headers.items() if name.lower() == "allow"}
    return _sealed(msgspec.json.encode(body), status, PROBLEM, allowed)
