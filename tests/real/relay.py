"""A road between a system and the hub, either way, that can be bad: answers get lost, or nothing gets through."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests


class Relay:
    """To `there`. By method: `lost_answers` of a request that reaches it while its answer does not come back, after which
    the road is `closed`: nothing reaches it; `doubled` for those that reach it twice. `passed`: paths of what reached it."""

    def __init__(self, there: str) -> None:
        self.there = there
        self.lost_answers: set[str] = set()
        self.closed: set[str] = set()
        self.doubled: set[str] = set()
        self.passed: list[str] = []
        self.turned_away: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Road", (_Road,), {"relay": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def hook(self, url: str) -> str:
        """The hook's address by this road."""
        return self.url + urlsplit(url).path

    def mend(self) -> None:
        self.lost_answers.clear()
        self.closed.clear()

    def carried(self, connection: Mapping[str, Any]) -> int:
        return sum(f"/{connection['id']}/" in path for path in self.passed)


class _Road(BaseHTTPRequestHandler):
    relay: Relay
    protocol_version = "HTTP/1.1"

    def _carry(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command in self.relay.closed:
            self.relay.turned_away.append(self.command)
            self.send_error(503)
            return
        for _ in range(2 if self.command in self.relay.doubled else 1):
            answer, told = self._forward(body)
        if self.command in self.relay.lost_answers:
            self.relay.closed.add(self.command)
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Content-Encoding"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def _forward(self, body: bytes) -> tuple[requests.Response, bytes]:
        """The answer and its body, as it came."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        url = self.relay.there + self.path
        with requests.request(self.command, url, data=body, headers=headers, timeout=60, stream=True) as answer:
            assert answer.ok, (self.command, self.path, answer.status_code)
            self.relay.passed.append(self.path)
            return answer, answer.raw.read(decode_content=False)

    do_GET = do_POST = do_PUT = _carry

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""
