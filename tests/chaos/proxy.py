"""Stands between one process of the hub and the embedded AWS, on loopback, and does what the plan says.

One proxy for each process, so that it is known who calls: a kill by call hits the one that called.
Every fault that was really done is counted, by kind and call; a fault that could not be done, such
as half of a batch of one, is not counted and the call goes through.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.chaos import wire
from tests.chaos.plan import CALM, Fault, Kill, Plan
from tests.chaos.wire import Answer

HANG_SECONDS = 12.0
"""Longer than the hub waits for an answer."""
REMEMBERED = 40
FRESH_SECONDS = 2.0
"""An idle connection to the embedded AWS is not used after this: it may be closing just now."""
PASSED_ON = ("content-type", "x-amz-target", "authorization", "x-amz-date", "accept-encoding", "content-md5")
DROPPED = ("connection", "content-length", "transfer-encoding", "keep-alive", "date", "server")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def call(self) -> str:
        return wire.named(self.headers.get("x-amz-target", ""), self.method)

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Gone(Exception):
    """The client gets no answer: the connection is reset."""


@dataclass
class Chaos:
    """What all proxies of a run share: the plan, how far it is, and what was done. `kill`: by process name."""

    kill: Callable[[str], object] = lambda process: None
    plan: Plan = CALM
    began: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    killed: list[Kill] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    swallow: Callable[[Request], bool] | None = None
    """For the proof of the ledger: whether an AWS that lies says done to this request and does nothing."""
    _numbers: Counter[tuple[str, str]] = field(default_factory=Counter)

    def begin(self, plan: Plan) -> None:
        with self.lock:
            self.plan, self.began = plan, time.monotonic()
            self.calls, self.done, self.killed, self._numbers = Counter(), Counter(), [], Counter()

    def calm(self) -> None:
        with self.lock:
            self.plan = CALM

    @property
    def second(self) -> float:
        return time.monotonic() - self.began

    def befalls(self, process: str, call: str) -> tuple[Fault | None, int, Kill | None]:
        """The fault of this call, its number in the run, and whether its caller dies of it."""
        with self.lock:
            self.calls[call] += 1
            self._numbers[process, call] += 1
            number, own = self.calls[call], self._numbers[process, call]
            mark = (process, call, own)
            kill = next((each for each in self.plan.kills if (each.process, each.call, each.number) == mark), None)
            return self.plan.fault(call, number, self.second), number, kill

    def did(self, kind: str, call: str) -> None:
        with self.lock:
            self.done[kind, call] += 1

    def die(self, kill: Kill) -> None:
        with self.lock:
            self.killed.append(kill)
        self.kill(kill.process)

    def kinds(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for (kind, _), number in list(self.done.items()):
            found[kind] += number
        return found


class Upstream:
    """The embedded AWS, as one thread sees it."""

    def __init__(self, url: str) -> None:
        self.where = urlsplit(url).netloc
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def send(self, request: Request, body: bytes) -> Answer:
        """Raises OSError and HTTPException."""
        if self._connection is None or time.monotonic() - self._used > FRESH_SECONDS:
            self.close()
            self._connection = http.client.HTTPConnection(self.where, timeout=60)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = {
            name: value for name, value in request.headers.items() if name in PASSED_ON or name.startswith("x-amz")
        }
        try:
            self._connection.request(request.method, request.path, body, headers | {"Host": self.where})
            answer = self._connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        self._used = time.monotonic()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in DROPPED}
        return Answer(answer.status, raw, kept)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


class Proxy:
    """`upstream`: where the embedded AWS is, asked for each connection because it may not run yet."""

    def __init__(self, process: str, chaos: Chaos, upstream: Callable[[], str], hang: float = HANG_SECONDS) -> None:
        self.process, self.chaos, self.upstream, self.hang = process, chaos, upstream, hang
        self.memory: dict[str, deque[dict[str, Any]]] = {}
        self.lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *why: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request: Request, aws: Upstream) -> Answer:
        """Raises Gone."""
        fault, number, kill = self.chaos.befalls(self.process, request.call)
        if kill and not kill.after:
            self.chaos.die(kill)
            raise Gone
        answer = self._answered(request, fault, number, aws)
        if kill:
            self.chaos.die(kill)
            raise Gone
        return answer

    def _answered(self, request: Request, fault: Fault | None, number: int, aws: Upstream) -> Answer:
        if self.chaos.swallow and self.chaos.swallow(request):
            self.chaos.did("swallow", request.call)
            return _lie(request)
        if fault is None:
            return self.plain(request, aws)
        dice = random.Random(f"{self.chaos.plan.seed} {request.call} {number}")
        return _FAULTS[fault.kind](Spot(self, request, aws, dice, fault.kind))

    def plain(self, request: Request, aws: Upstream) -> Answer:
        answer = self.sent(request, aws)
        self._remember(request, answer)
        return answer

    def sent(self, request: Request, aws: Upstream, told: dict[str, Any] | None = None) -> Answer:
        """What AWS says to it, or to `told` in its place. Raises Gone."""
        body = request.body if told is None else json.dumps(told).encode()
        try:
            return aws.send(request, body)
        except (OSError, http.client.HTTPException) as away:
            raise Gone from away

    def _remember(self, request: Request, answer: Answer) -> None:
        """What was received and read, so that it can come once more."""
        what = _SEEN.get(request.call)
        if what is None or answer.status != 200:
            return
        seen = json.loads(answer.body).get(what) or []
        with self.lock:
            kept = self.memory.setdefault(_place(request), deque(maxlen=REMEMBERED))
            known = {_key(each) for each in kept}
            kept.extend(each for each in seen if _key(each) not in known)

    def before(self, request: Request) -> list[dict[str, Any]]:
        with self.lock:
            return list(self.memory.get(_place(request), ()))


@dataclass(frozen=True)
class Spot:
    """One call that a fault befalls. `did`: it was really done."""

    proxy: Proxy
    request: Request
    aws: Upstream
    dice: random.Random
    kind: str

    @property
    def service(self) -> str:
        return wire.service_of(self.request.call)

    def did(self) -> None:
        self.proxy.chaos.did(self.kind, self.request.call)

    def plain(self) -> Answer:
        return self.proxy.plain(self.request, self.aws)

    def sent(self, told: dict[str, Any]) -> Answer:
        return self.proxy.sent(self.request, self.aws, told)

    def listed(self, what: str) -> tuple[Answer, dict[str, Any], list[dict[str, Any]]]:
        answer = self.plain()
        told = json.loads(answer.body) if answer.status == 200 else {}
        return answer, told, told.get(what) or []


_SEEN = {"sqs.ReceiveMessage": "Messages", "streams.GetRecords": "Records"}


def _place(request: Request) -> str:
    return f"{request.call} {request.document.get('QueueUrl', '')}"


def _key(seen: dict[str, Any]) -> str:
    return str(seen.get("MessageId") or seen.get("eventID"))


def _throttle(spot: Spot) -> Answer:
    spot.did()
    return wire.refusal(spot.service, spot.dice.choice(wire.THROTTLED[spot.service]))


def _broken(spot: Spot) -> Answer:
    spot.did()
    return wire.refusal(spot.service, spot.dice.choice(wire.BROKEN[spot.service]))


def _unsure(spot: Spot) -> Answer:
    spot.plain()
    return _broken(spot)


def _reset(spot: Spot) -> Answer:
    spot.did()
    raise Gone


def _lost(spot: Spot) -> Answer:
    spot.plain()
    spot.did()
    raise Gone


def _cut(spot: Spot) -> Answer:
    """Promised whole, sent in half."""
    answer = spot.plain()
    spot.did()
    half = answer.body[: len(answer.body) // 2]
    return Answer(answer.status, half, {**answer.headers, "Content-Length": str(len(answer.body) + 1)})


def _garbled(spot: Spot) -> Answer:
    answer = spot.plain()
    spot.did()
    return wire.garbled(answer)


def _slow(spot: Spot) -> Answer:
    spot.did()
    time.sleep(spot.dice.uniform(0.05, 0.5))
    return spot.plain()


def _hang(spot: Spot) -> Answer:
    if spot.dice.random() < 0.5:
        spot.plain()
    spot.did()
    time.sleep(spot.proxy.hang)
    raise Gone


def _conflict(spot: Spot) -> Answer:
    spot.did()
    if spot.request.call == "dynamodb.TransactWriteItems":
        return wire.cancelled(spot.request.document)
    return wire.refusal("dynamodb", wire.CONFLICT)


def _partial(spot: Spot) -> Answer:
    halves = wire.split(spot.request.call, spot.request.document, spot.dice.random())
    if halves is None:
        return spot.plain()
    answer = spot.sent(halves.asked)
    if answer.status != 200:
        return answer
    spot.did()
    return wire.again(answer, halves.tells(json.loads(answer.body)))


def _delayed(spot: Spot) -> Answer:
    spot.did()
    return spot.sent(wire.later(spot.request.call, spot.request.document, spot.dice.randint(1, 4)))


def _withheld(spot: Spot) -> Answer:
    answer, told, messages = spot.listed("Messages")
    if not messages:
        return answer
    spot.did()
    lost = spot.dice.randrange(len(messages))
    return wire.again(answer, told | {"Messages": messages[:lost] + messages[lost + 1 :]})


def _again(spot: Spot) -> Answer:
    """As many as still fit in what was asked for, mixed."""
    before = spot.proxy.before(spot.request)
    answer, told, messages = spot.listed("Messages")
    names = {_key(each) for each in messages}
    old = [each for each in before if _key(each) not in names]
    room = int(spot.request.document.get("MaxNumberOfMessages", 1)) - len(messages)
    if answer.status != 200 or room < 1 or not old:
        return answer
    spot.did()
    mixed = messages + spot.dice.sample(old, min(room, len(old), 3))
    spot.dice.shuffle(mixed)
    return wire.again(answer, told | {"Messages": mixed})


def _replay(spot: Spot) -> Answer:
    """What was read just before, in its order, ahead of what is new."""
    before = spot.proxy.before(spot.request)
    answer, told, records = spot.listed("Records")
    room = int(spot.request.document.get("Limit", 1000)) - len(records)
    if answer.status != 200 or not before or room < 1:
        return answer
    spot.did()
    old = before[-min(room, spot.dice.randint(1, len(before))) :]
    return wire.again(answer, told | {"Records": old + records})


def _expired(spot: Spot) -> Answer:
    spot.did()
    return wire.refusal("streams", wire.EXPIRED)


_FAULTS: dict[str, Callable[[Spot], Answer]] = {
    "throttle": _throttle,
    "broken": _broken,
    "unsure": _unsure,
    "reset": _reset,
    "lost": _lost,
    "cut": _cut,
    "garbled": _garbled,
    "slow": _slow,
    "hang": _hang,
    "conflict": _conflict,
    "partial": _partial,
    "delayed": _delayed,
    "withheld": _withheld,
    "again": _again,
    "replay": _replay,
    "expired": _expired,
}


def _lie(request: Request) -> Answer:
    """Done, says an AWS that did nothing."""
    entries = request.document.get("Entries", [])
    told = {"Successful": [{"Id": each["Id"], "MessageId": "0", "MD5OfMessageBody": ""} for each in entries]}
    return wire.again(
        Answer(200, b"", {"Content-Type": "application/x-amz-json-1.0"}), told if entries else {"MessageId": "0"}
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.aws = Upstream(self.server.proxy.upstream())

    def finish(self) -> None:
        self.aws.close()
        try:
            super().finish()
        except (OSError, ValueError):
            return

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silence."""

    def _any(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        try:
            self._tell(self.server.proxy.serve(Request(self.command, self.path, headers, body), self.aws))
        except Gone:
            self.close_connection = True
            _abort(self.connection)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any

    def _tell(self, answer: Answer) -> None:
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        self.close_connection |= headers["Content-Length"] != str(len(answer.body))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()


def _abort(client: socket.socket) -> None:
    """Close with a reset, as a crashing server does."""
    try:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
