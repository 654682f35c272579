"""API Gateway's part in the local run: HTTP to Chalice, every byte and every repeat kept.

Chalice's own server reads chunked bodies as empty, knows no size limit, drops repeated headers,
sends bodies to HEAD and stalls 40 ms a request on kept-alive connections; so its routing,
authorizers and Lambda events are used, and the wire is ours.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import LambdaEventConverter, LocalChalice, LocalGateway, LocalGatewayException, RouteMatcher

from infra.local.lifeline import end_with_parent

MAX_BODY = 10 * 1024 * 1024
"""API Gateway's limit; the hook's own, 4 MB, is the app's business."""
MAX_LINE = 64 * 1024
DRAIN_LIMIT = 64 * 1024 * 1024
IDLE_SECONDS = 75
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""That any path has."""


class WireRefused(Exception):
    """The request cannot be read to its end; answered here, then the connection closes."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class EventConverter(LambdaEventConverter):
    """Chalice's events plus what API Gateway adds: repeated headers and base64 bodies."""

    def __init__(self, matcher: RouteMatcher, wire_headers: list[tuple[str, str]]) -> None:
        super().__init__(matcher)
        self.wire_headers = wire_headers

    def create_lambda_event(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> dict[str, Any]:
        event: dict[str, Any] = super().create_lambda_event(method, path, headers, None)
        many = event["multiValueQueryStringParameters"]
        event["requestContext"]["stage"] = "api"
        return event | {
            "resource": event["requestContext"]["resourcePath"],
            "path": event["requestContext"]["path"],
            "httpMethod": method,
            "headers": dict(self.wire_headers),
            "multiValueHeaders": grouped(self.wire_headers),
            "queryStringParameters": {name: values[-1] for name, values in many.items()} if many else None,
            "body": base64.b64encode(body).decode("ascii") if body else None,
            "isBase64Encoded": bool(body),
        }


@dataclass(frozen=True)
class Sent:
    """A request as it came over the wire."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


def ask(app: Chalice, config: Config, matcher: RouteMatcher, sent: Sent) -> dict[str, Any]:
    """The app's answer in Lambda's form; what never reaches an app is refused in the words that the
    stage's gateway responses have."""
    try:
        methods = app.routes[matcher.match_route(sent.path).route]
    except ValueError:
        return refusal(404, "Not found")
    if sent.method not in methods:
        return refusal(405, "Method not allowed", {"Allow": ", ".join(sorted(methods))})
    gateway = LocalGateway(app, config)
    gateway.event_converter = EventConverter(matcher, sent.headers)
    try:
        answer: dict[str, Any] = gateway.handle_request(sent.method, sent.path, dict(sent.headers), sent.body)
    except LocalGatewayException as refused:
        return refusal(refused.CODE, HTTPStatus(refused.CODE).phrase)
    return answer


def refusal(status: int, title: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Problem details (RFC 9457) of the gateway itself."""
    body = json.dumps({"type": "about:blank", "title": title, "status": status}).encode()
    named = {"Content-Type": "application/problem+json", **(headers or {})}
    return {"statusCode": status, "headers": named, "multiValueHeaders": {}, "body": body}


def grouped(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Repeated headers under the spelling that came first."""
    found: dict[str, list[str]] = {}
    spelling: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(spelling.setdefault(name.lower(), name), []).append(value)
    return found


class Handler(BaseHTTPRequestHandler):
    """One connection: as many requests as the client likes to send over it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: Server

    def answer(self) -> None:
        with self.server.working():
            try:
                body = self._read_body()
            except WireRefused as refused:
                self._refuse(refused)
                return
            self._respond(*self._call(body))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def handle_expect_100(self) -> bool:
        """Say no before the client sends what is too large."""
        try:
            self._length()
        except WireRefused as refused:
            self._refuse(refused, drain=False)
            return False
        return super().handle_expect_100()

    def _read_body(self) -> bytes:
        if "transfer-encoding" in self.headers:
            return self._read_chunked()
        length = self._length()
        body = self.rfile.read(length)
        if len(body) < length:
            raise WireRefused(400, "Body shorter than Content-Length")
        return body

    def _length(self) -> int:
        values = set(self.headers.get_all("content-length", ["0"]))
        text = values.pop() if len(values) == 1 else ""
        if not (text.isascii() and text.isdigit()):
            raise WireRefused(400, "Content-Length is not one number")
        if int(text[:20]) > MAX_BODY:
            raise WireRefused(413, "Request Too Long")
        return int(text)

    def _read_chunked(self) -> bytes:
        if self.headers["transfer-encoding"].strip().lower() != "chunked" or "content-length" in self.headers:
            raise WireRefused(400, "Transfer-Encoding is not plain chunked")
        return read_chunks(self.rfile)

    def _call(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        answer = self.server.invoke(self.command, self.path, list(self.headers.items()), body)
        found = [(name, str(value)) for name, value in answer["headers"].items()]
        found += [(name, str(value)) for name, values in answer["multiValueHeaders"].items() for value in values]
        return answer["statusCode"], found, _answer_body(answer)

    def _respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        if status >= 200 and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def _refuse(self, refused: WireRefused, drain: bool = True) -> None:
        """Take what is still coming, within bounds: closing at once would reset the answer away."""
        self.close_connection = True
        answer = refusal(refused.status, refused.message, {"Connection": "close"})
        self._respond(refused.status, list(answer["headers"].items()), answer["body"])
        self.wfile.flush()
        if drain and refused.status == 413:
            self._drain()

    def _drain(self) -> None:
        self.connection.settimeout(0.5)
        left = DRAIN_LIMIT
        try:
            while left > 0 and (taken := self.rfile.read1(1 << 16)):
                left -= len(taken)
        except OSError:
            return

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What cannot be read as a request, or has a method that no path has."""
        self.close_connection = True
        status = 405 if code == HTTPStatus.NOT_IMPLEMENTED else int(code)
        more = {"Allow": ", ".join(METHODS)} if status == 405 else {}
        answer = refusal(status, HTTPStatus(status).phrase, {"Connection": "close", **more})
        self._respond(status, list(answer["headers"].items()), answer["body"])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """No access log: a URL may carry an identity."""

    def log_message(self, format: str, *args: Any) -> None:
        """The same for malformed requests and idle connections."""


class Lines(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


def read_chunks(stream: Lines) -> bytes:
    """A chunked body, trailers dropped. Raises WireRefused."""
    body = bytearray()
    while size := _chunk_size(stream.readline(MAX_LINE)):
        if len(body) + size > MAX_BODY:
            raise WireRefused(413, "Request Too Long")
        chunk = stream.read(size)
        if len(chunk) < size or stream.readline(MAX_LINE) != b"\r\n":
            raise WireRefused(400, "Chunk cut short")
        body += chunk
    while stream.readline(MAX_LINE) not in (b"\r\n", b""):
        pass
    return bytes(body)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not line.endswith(b"\n") or not digits or len(digits) > 8 or set(digits) - set(b"0123456789abcdefABCDEF"):
        raise WireRefused(400, "Chunk size is not a number")
    return int(digits, 16)


def _answer_body(answer: dict[str, Any]) -> bytes:
    body = answer.get("body") or ""
    if answer.get("isBase64Encoded"):
        return base64.b64decode(body)
    return body if isinstance(body, bytes) else str(body).encode("utf-8")


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """A thread for each connection; `close` waits for the requests in hand."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], app: Chalice, config: Config) -> None:
        self.app = per_thread(app)
        self.config = config
        self.matcher = RouteMatcher(list(app.routes))
        self._working = 0
        self._idle = threading.Condition()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's reverse look-up, which can hang where there is no DNS."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def invoke(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> dict[str, Any]:
        return ask(self.app, self.config, self.matcher, Sent(method, path, headers, body))

    def working(self) -> Working:
        return Working(self)

    def count(self, change: int) -> None:
        with self._idle:
            self._working += change
            self._idle.notify_all()

    def close(self, seconds: float = 10.0) -> None:
        """Take no more connections; wait until no request is in hand."""
        self.shutdown()
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: self._working == 0, seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away; anything else is one line."""
        wrong = sys.exception()
        if not isinstance(wrong, OSError):
            print(f"http     {type(wrong).__name__} while answering", flush=True)


class Working:
    """Counts a request as being in hand."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def __enter__(self) -> None:
        self.server.count(1)

    def __exit__(self, *_: object) -> None:
        self.server.count(-1)


def per_thread(app: Chalice) -> Chalice:
    """Make `app.current_request` a thread's own, as Lambda makes it a container's."""
    if not isinstance(app, LocalChalice):
        app.__class__ = type("LocalApp", (LocalChalice, type(app)), {})
    return app


def config_of(root: Path) -> Config:
    found = json.loads((root / ".chalice" / "config.json").read_text("utf-8"))
    return Config(chalice_stage="local", config_from_disk=found)


def serve(server: Server) -> None:
    """Until SIGTERM or SIGINT, then finish what is in hand."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    while not ended.wait(3600):
        pass
    server.close()


def main() -> None:
    """`python -m infra.local.gateway <app module> <port>`"""
    end_with_parent()
    started = time.monotonic()
    app = importlib.import_module(sys.argv[1]).app
    server = Server(("127.0.0.1", int(sys.argv[2])), app, config_of(Path.cwd()))
    if os.environ.get("DRAAD_DEBUG") == "1":
        print(f"http     up in {time.monotonic() - started:.2f} s", flush=True)
    serve(server)


if __name__ == "__main__":
    main()
