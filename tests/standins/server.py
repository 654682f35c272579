"""The server under every stand-in: keep-alive, threads, and outages on request."""

from __future__ import annotations

import argparse
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

MODES = ("status", "slow", "drop", "reset", "truncate", "dribble", "lie", "refuse")


@dataclass
class Behaviour:
    """What goes wrong, for `seconds`, or for `times` requests, or until told otherwise.

    It concerns requests of `method` whose path holds `path`, after the first `skip` of them.

    status    answers `status` with `headers` and `body`, does no work
    slow      waits `delay` seconds, then does the work
    drop      does the work, then closes without an answer: the outcome is unknown
    reset     closes without having done anything
    truncate  does the work, promises more bytes than it sends, closes
    dribble   does the work, then sends one byte of the answer every `delay` seconds
    lie       answers 200 with an error in the body, does no work
    refuse    no connection is accepted (`seconds` needed; the port stays the same)
    """

    mode: str
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    delay: float = 0.2
    seconds: float | None = None
    times: int | None = None
    skip: int = 0
    method: str = ""
    path: str = ""
    until: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"no mode {self.mode!r}")
        if self.seconds is not None:
            self.until = time.monotonic() + self.seconds

    def concerns(self, call: Call) -> bool:
        return (not self.method or self.method == call.method) and self.path in call.path

    def over(self) -> bool:
        return self.times == 0 or (self.until is not None and time.monotonic() >= self.until)


@dataclass(frozen=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    pairs: tuple[tuple[str, str], ...] = ()
    """The query, its repeats kept."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Standin:
    """A server of one vendor. Subclasses answer in `answer(call)`, under the lock."""

    lie: Any = {"status": "error", "message": "internal error"}

    def __init__(self, port: int = 0) -> None:
        self.lock = threading.RLock()
        self.calls: list[Call] = []
        self._behaviours: list[Behaviour] = []
        self._clients: set[socket.socket] = set()
        self._server: _Server | None = None
        self.port = port
        self.reset()
        self._listen()

    def answer(self, call: Call) -> Answer:
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError

    def state(self) -> Any:
        raise NotImplementedError

    def kept(self) -> list[str]:
        """Our event id of every activity that this system holds; one that is there twice, twice."""
        return []

    def people(self) -> list[str]:
        """Our customer id, or an empty text, of every contact that this system holds."""
        return []

    def records_of(self, event: str) -> list[str]:
        """The ids of the contacts on whose record this activity, by our event id, is seen."""
        raise NotImplementedError

    def sent(self) -> list[str]:
        """The system's id of every message that went to a customer; one that went twice, twice."""
        return []

    def settle(self) -> None:
        """Time goes by: what an index showed late, it shows."""

    def changes(self) -> list[bytes]:
        """Bodies of the webhooks that this system would send of what was done to its contacts by its API."""
        return []

    def set(self, **told: Any) -> None:
        if told:
            raise ValueError(f"nothing to set: {sorted(told)}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Standin:
        return self

    def __exit__(self, *why: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._unlisten()

    def behave(self, mode: str = "", **options: Any) -> None:
        """Add an outage; without a mode, end them all."""
        with self.lock:
            if not mode:
                self._behaviours.clear()
                return
            behaviour = Behaviour(mode, **options)
            if mode != "refuse":
                self._behaviours.append(behaviour)
                return
        self.refuse(behaviour.seconds or 1.0)

    def refuse(self, seconds: float | None) -> None:
        """Close the port; open it again after `seconds`, or with `accept()` when None."""
        self._unlisten()
        if seconds is not None:
            timer = threading.Timer(seconds, self._listen)
            timer.daemon = True
            timer.start()

    def accept(self) -> None:
        self._listen()

    def _listen(self) -> None:
        with self.lock:
            if self._server is not None:
                return
            self._server = _Server(self, self.port)
            self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _unlisten(self) -> None:
        with self.lock:
            server, self._server = self._server, None
            clients, self._clients = list(self._clients), set()
        if server is not None:
            server.shutdown()
            server.server_close()
        for client in clients:
            _abort(client)

    def outage(self, call: Call) -> Behaviour | None:
        with self.lock:
            self._behaviours = [each for each in self._behaviours if not each.over()]
            found = next((each for each in self._behaviours if each.concerns(call)), None)
            if found is not None and found.skip > 0:
                found.skip -= 1
                return None
            if found is not None and found.times is not None:
                found.times -= 1
            return found

    def work(self, call: Call) -> Answer:
        with self.lock:
            self.calls.append(call)
            return self.answer(call)

    def control(self, call: Call) -> Answer:
        what = call.path.removeprefix("/_standin/")
        if what == "state":
            with self.lock:
                return Answer(body=self.state())
        told = call.json if call.body else {}
        if what == "behave" and told.get("mode") == "refuse":
            # Later, so that this answer still gets out.
            threading.Timer(0.05, self.behave, kwargs=told).start()
            return Answer(204)
        if what == "behave":
            self.behave(**told)
            return Answer(204)
        if what == "set":
            self.set(**told)
            return Answer(204)
        if what == "reset":
            self.clear()
            return Answer(204)
        return Answer(404)

    def clear(self) -> None:
        with self.lock:
            self.calls.clear()
            self._behaviours.clear()
            self.reset()

    def opened(self, client: socket.socket) -> None:
        with self.lock:
            self._clients.add(client)

    def closed(self, client: socket.socket) -> None:
        with self.lock:
            self._clients.discard(client)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, standin: Standin, port: int) -> None:
        self.standin = standin
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 60
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.standin.opened(self.connection)

    def finish(self) -> None:
        self.server.standin.closed(self.connection)
        try:
            super().finish()
        except (OSError, ValueError):
            return

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silence."""

    def _any(self) -> None:
        call = self._call()
        standin = self.server.standin
        if call.path.startswith("/_standin/"):
            self._tell(standin.control(call))
            return
        outage = standin.outage(call)
        if outage is None:
            self._tell(standin.work(call))
            return
        getattr(self, f"_{outage.mode}")(standin, call, outage)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

    def _call(self) -> Call:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        pairs = tuple(parse_qsl(parts.query))
        return Call(self.command, unquote(parts.path), dict(pairs), headers, body, pairs)

    def _head(self, answer: Answer, length: int) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _tell(self, answer: Answer) -> None:
        raw = b"" if answer.status == 204 else answer.raw
        self._head(answer, len(raw))
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _status(self, standin: Standin, call: Call, outage: Behaviour) -> None:
        body = {"status": "error", "message": f"outage {outage.status}"} if outage.body is None else outage.body
        self._tell(Answer(outage.status, body if not isinstance(body, str) else body.encode(), outage.headers))

    def _slow(self, standin: Standin, call: Call, outage: Behaviour) -> None:
        time.sleep(outage.delay)
        self._tell(standin.work(call))

    def _drop(self, standin: Standin, call: Call, outage: Behaviour) -> None:
        standin.work(call)
        self._hang_up()

    def _reset(self, standin: Standin, call: Call, outage: Behaviour) -> None:
        self._hang_up()

    def _truncate(self, standin: Standin, call: Call, outage: Behaviour) -> None:
        answer = standin.work(call)
        # An answer without a body looks whole: it says that it hangs up, or the next request meets a dead connection.
        self._head(replace(answer, headers={**answer.headers, "Connection": "close"}), len(answer.raw) + 100)
        self.wfile.write(answer.raw)
        self.wfile.flush()
        self.close_connection = True

    def _dribble(self, standin: Standin, call: Call, outage: Behaviour) -> None:
        answer = standin.work(call)
        self._head(answer, len(answer.raw) + 10_000)
        for _ in range(10_000):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(outage.delay)

    def _lie(self, standin: Standin, call: Call, outage: Behaviour) -> None:
        self._tell(Answer(200, standin.lie if outage.body is None else outage.body))

    def _hang_up(self) -> None:
        self.close_connection = True
        _abort(self.connection)


def _abort(client: socket.socket) -> None:
    """Close with a reset, as a crashing server does."""
    try:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def run(make: Callable[[int], Standin]) -> None:
    """Serve until killed; prints one line with the URL when it listens."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    standin = make(parser.parse_args().port)
    print(standin.url, flush=True)
    threading.Event().wait()
