"""One HTTP exchange over a pinned address. Imported on first use: requests is heavy.

Nothing of the environment is read (no proxies, no netrc), nothing is followed, nothing is
inflated, and one deadline covers connecting, sending and reading.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from requests import PreparedRequest, Request, RequestException, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

CONNECT_SECONDS = 3.0
IDLE_SECONDS = 20.0
MAX_ADAPTERS = 64
CONNECTIONS = 16
GZIP = b"\x1f\x8b"


class NotSent(Exception):
    """It failed before the first byte left: trying again is safe."""


class NoAnswer(Exception):
    """It failed after something was sent: nobody knows what happened."""


@dataclass
class Watch:
    """Shuts the socket at the deadline: socket timeouts alone let a dribbling server hold us."""

    until: float
    sent: bool = False
    expired: bool = False
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def remaining(self) -> float:
        return max(self.until - time.monotonic(), 0.001)

    def expire(self) -> None:
        self.expired = True
        for open_socket in self.sockets:
            _shut(open_socket)

    def sending(self, sock: socket.socket) -> None:
        self.sockets.append(sock)
        if self.expired:
            raise TimeoutError("deadline")
        self.sent = True


def _shut(open_socket: socket.socket) -> None:
    try:
        # Not SSLSocket.shutdown: it drops the TLS state under the thread that is reading.
        socket.socket.shutdown(open_socket, socket.SHUT_RDWR)
    except OSError:
        return


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


class _Plain(HTTPConnection):
    def send(self, data: Any) -> None:
        _note_sending(self)
        super().send(data)


class _Secure(HTTPSConnection):
    def send(self, data: Any) -> None:
        _note_sending(self)
        super().send(data)


def _note_sending(connection: HTTPConnection) -> None:
    if connection.sock is None:
        connection.connect()
    watch = _watch.get()
    if watch is not None and connection.sock is not None:
        watch.sending(connection.sock)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class PinnedAdapter(HTTPAdapter):
    """Connects to one judged address; certificate and SNI stay those of the host."""

    def __init__(self, host: str, address: str) -> None:
        self.host = host
        self.address = address
        self.used_at = time.time()
        super().__init__(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:
        where, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        names = {"server_hostname": self.host} if where["scheme"] == "https" else {}
        return {**where, "host": self.address}, {**tls, **names}


_adapters: OrderedDict[tuple[str, str], PinnedAdapter] = OrderedDict()
_lock = threading.Lock()


def _adapter(host: str, address: str) -> PinnedAdapter:
    """Kept between requests, so that connections are; a frozen Lambda's old ones are dropped."""
    now = time.time()
    with _lock:
        found = _adapters.pop((host, address), None)
        if found is not None and not 0 <= now - found.used_at < IDLE_SECONDS:
            found.close()
            found = None
        found = found or PinnedAdapter(host, address)
        found.used_at = now
        _adapters[host, address] = found
        if len(_adapters) > MAX_ADAPTERS:
            _adapters.popitem(last=False)[1].close()
    return found


def close_all() -> None:
    """Drop every kept connection."""
    with _lock:
        while _adapters:
            _adapters.popitem()[1].close()


@dataclass(frozen=True)
class Sent:
    """What is sent: `url` with the canonical host, `host` for certificate and SNI."""

    method: str
    url: str
    host: str
    headers: Mapping[str, str]
    body: bytes
    verify: bool | str = True


def exchange(
    sent: Sent, addresses: list[str], until: float, caps: tuple[int, int]
) -> tuple[int, dict[str, str], bytes]:
    """(status, lower-case headers, body). `until` is monotonic seconds; `caps` are the most
    bytes read of a success and of anything else; one byte more tells that there was more.

    An encoded body is not read and comes back empty. Raises NotSent when every address failed
    before the first byte left, and NoAnswer after that.
    """
    failure = NotSent("no address")
    for address in addresses:
        try:
            return _once(sent, address, until, caps)
        except NotSent as wrong:
            failure = wrong
    raise failure


def _once(sent: Sent, address: str, until: float, caps: tuple[int, int]) -> tuple[int, dict[str, str], bytes]:
    with _watched(until) as watch:
        try:
            response = _send(sent, address, watch)
            return _read(response, watch, caps)
        except (RequestException, HTTPError, OSError) as wrong:
            why = "deadline passed" if watch.expired else _cause(wrong)
            raise (NoAnswer(why) if watch.sent else NotSent(why)) from wrong


@contextmanager
def _watched(until: float) -> Iterator[Watch]:
    watch = Watch(until)
    token = _watch.set(watch)
    timer = threading.Timer(watch.remaining, watch.expire)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()
        _watch.reset(token)


def _send(sent: Sent, address: str, watch: Watch) -> Response:
    prepared = Request(sent.method, sent.url, headers=dict(sent.headers), data=sent.body or None).prepare()
    timeout = (min(CONNECT_SECONDS, watch.remaining), watch.remaining)
    return _adapter(sent.host, address).send(prepared, stream=True, timeout=timeout, verify=sent.verify)


def _read(response: Response, watch: Watch, caps: tuple[int, int]) -> tuple[int, dict[str, str], bytes]:
    """A failure while reading a refusal leaves the refusal: its status is known."""
    fine = 200 <= response.status_code < 300
    headers = {name.lower(): value for name, value in response.headers.items()}
    cap = caps[0] if fine else caps[1]
    body = b""
    try:
        plain, head = _opened(response, headers)
        if plain:
            body = head + response.raw.read(cap + 1 - len(head), decode_content=False)
            if response.raw.length_remaining and len(body) <= cap:
                raise ConnectionError("the answer ended early")
        if watch.expired:
            raise TimeoutError("deadline")
    except (HTTPError, OSError):
        if fine:
            raise
    finally:
        response.close()
    return response.status_code, headers, body


def _opened(response: Response, headers: dict[str, str]) -> tuple[bool, bytes]:
    """Whether the body is plain, and what was read to know it. We ask for plain ones, and there are servers that send
    one and still say gzip: then the header goes."""
    named = headers.get("content-encoding", "identity").strip().lower()
    head: bytes = response.raw.read(len(GZIP), decode_content=False) if named == "gzip" else b""
    if named == "gzip" and head != GZIP:
        del headers["content-encoding"]
        return True, head
    return named in ("", "identity"), head


def _cause(wrong: BaseException) -> str:
    """The innermost error's own words: the outer ones carry URLs."""
    while (inner := wrong.__cause__ or wrong.__context__) is not None:
        wrong = inner
    return f"{type(wrong).__name__}: {wrong}"[:160]
