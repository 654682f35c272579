"""The wire of the local hub under slow, cut off and ambiguous requests: others are answered meanwhile."""

from __future__ import annotations

import http.client
import importlib
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from infra.local.gateway import Server, config_of
from infra.local.state import ROOT
from tests.attack.tally import Tally, full

SLOW = 200
AMBIGUOUS = {
    "two lengths": b"Content-Length: 3\r\nContent-Length: 30\r\n\r\nabc",
    "a length and chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a chunk size with a sign": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n0\r\n\r\n",
    "a chunk size with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "a chunk size without end": b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\n",
    "a chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "a length with a plus": b"Content-Length: +3\r\n\r\nabc",
    "a length in hexadecimal": b"Content-Length: 0x3\r\n\r\nabc",
    "a length of another script": "Content-Length: ٣\r\n\r\nabc".encode(),
    "a length of 5,000 digits": b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a length below zero": b"Content-Length: -1\r\n\r\n",
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    sys.modules.pop("tests.infra.sample_app", None)
    app = importlib.import_module("tests.infra.sample_app").app
    app.api.binary_types = ["*/*"]
    server = Server(("127.0.0.1", 0), app, config_of(ROOT))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port
    server.close()
    thread.join()


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def answered(port: int) -> int:
    """What an ordinary client gets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/echo/x", body=b"abc", headers={"Accept": "*/*"})
        return connection.getresponse().status
    finally:
        connection.close()


STAGES = {
    "nothing sent": b"",
    "half a request line": b"POST /ec",
    "headers without end": b"POST /echo/x HTTP/1.1\r\nHost: h\r\nX-A: b\r\n",
    "a body that does not come": b"POST /echo/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc",
    "a chunk that does not come": b"POST /echo/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nab",
}


def test_slow_clients_keep_nobody_else_waiting(port: int) -> None:
    """So many connections that send a byte now and then; an ordinary request between any two bytes is answered."""
    tally = Tally("the wire, slow clients")
    each_stage = SLOW // len(STAGES) if full() else 12
    slow = [(opened(port), start) for start in STAGES.values() for _ in range(each_stage)]
    for client, start in slow:
        client.sendall(start)
        tally.add("slowloris", "held open")
    for _ in range(3):
        for client, start in slow:
            client.sendall(b"a" if start else b"")
        assert answered(port) == 200
        tally.add("ordinary beside slow", 200)
    for client, _ in slow:
        client.close()
    assert answered(port) == 200
    tally.keep()


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_two_servers_could_read_differently_is_refused_and_the_end(port: int, name: str) -> None:
    """Nothing that follows on that connection is taken for a second request."""
    smuggled = b"GET /echo/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    with opened(port) as wire:
        wire.sendall(b"POST /echo/x HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n" + AMBIGUOUS[name] + smuggled)
        wire.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    tally = Tally("the wire, ambiguous framing")
    tally.add("framing", answer.split(b" ")[1].decode())
    tally.keep()
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")) and answer.count(b"HTTP/1.1 ") == 1, answer[:300]


def test_a_client_that_goes_away_costs_nothing(port: int) -> None:
    for start in STAGES.values():
        for _ in range(5):
            with opened(port) as client:
                client.sendall(start)
    assert answered(port) == 200
