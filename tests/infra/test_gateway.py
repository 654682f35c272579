"""The local HTTP server over real sockets: bytes, repeats and limits as API Gateway has them."""

from __future__ import annotations

import http.client
import importlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.gateway import Server, config_of, grouped
from infra.local.state import ROOT

NASTY = b"\xff\xfe\x00\r\n0\r\n\r\n" + bytes(range(256))
TYPES = [
    "application/json",
    "text/plain; charset=utf-16",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "image/png",
    "text/xml",
    "application/vnd.made-up+json",
    "",
]


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


@pytest.fixture
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    yield connection
    connection.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, **more: Any) -> tuple[int, bytes]:
    more["headers"] = {"Accept": "*/*"} | more.get("headers", {})
    connection.request(method, path, **more)
    answer = connection.getresponse()
    return answer.status, answer.read()


def raw(port: int, request: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as wire:
        wire.sendall(request)
        return b"".join(iter(lambda: wire.recv(65536), b""))


@pytest.mark.parametrize("kind", TYPES)
def test_any_bytes_of_any_type_arrive_unchanged(connection: http.client.HTTPConnection, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    status, body = ask(connection, "POST", "/echo/x", body=NASTY, headers=headers)
    assert status == 200
    assert bytes.fromhex(json.loads(body)["body"]) == NASTY


def test_a_chunked_body_arrives_whole(connection: http.client.HTTPConnection) -> None:
    chunks = iter([NASTY, b"second", b"x" * 100_000])
    status, body = ask(connection, "POST", "/echo/x", body=chunks, encode_chunked=True)
    assert status == 200
    assert bytes.fromhex(json.loads(body)["body"]) == NASTY + b"second" + b"x" * 100_000
    assert ask(connection, "GET", "/health")[0] == 200, "the connection goes on after the last chunk"


def test_five_megabytes_reach_the_app(connection: http.client.HTTPConnection) -> None:
    status, body = ask(connection, "POST", "/echo/x", body=b"y" * 5_000_000)
    assert status == 200
    assert len(json.loads(body)["body"]) == 10_000_000


def test_over_ten_megabytes_is_refused_before_it_is_read(port: int) -> None:
    answer = raw(port, b"POST /echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10485761\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_sends_it_all_the_same_reads_the_413(connection: http.client.HTTPConnection) -> None:
    status, _ = ask(connection, "POST", "/echo/x", body=b"z" * (11 * 1024 * 1024))
    assert status == 413


def test_over_ten_megabytes_in_chunks_is_refused(port: int) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert raw(port, head + b"A00001\r\n").startswith(b"HTTP/1.1 413 ")


def test_expect_continue_is_refused_before_the_body(port: int) -> None:
    head = b"POST /echo/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    assert raw(port, head).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1_0\r\n\r\n0123456789",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    ],
)
def test_what_cannot_be_framed_is_a_400_and_the_end(port: int, lines: bytes) -> None:
    answer = raw(port, b"POST /echo/x HTTP/1.1\r\nHost: x\r\n" + lines)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_repeated_headers_and_parameters_all_arrive(port: int) -> None:
    answer = raw(
        port,
        b"GET /echo/x?a=1&b=&a=%C3%A9+2 HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nX-Sign: one\r\nx-sign: two\r\nConnection: close\r\n\r\n",
    )
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert found["headers"]["X-Sign"] == ["one", "two"]
    assert found["query"] == {"a": ["1", "é 2"], "b": [""]}


def test_head_has_the_length_and_no_body(port: int) -> None:
    head = b"HEAD /echo/x HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"
    then = b"GET /health HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    answer = raw(port, head + then)
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: " in first
    assert rest.startswith(b"HTTP/1.1 200 "), "the next answer follows at once"


def test_options_reaches_the_app(connection: http.client.HTTPConnection) -> None:
    status, body = ask(connection, "OPTIONS", "/echo/x")
    assert (status, json.loads(body)["method"]) == (200, "OPTIONS")


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/nowhere", 404, None),
        ("POST", "/nowhere", 404, None),
        ("DELETE", "/health", 405, "GET"),
        ("OPTIONS", "/health", 405, "GET"),
        ("BREW", "/health", 405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    ],
)
def test_what_never_reaches_the_app_is_a_problem(
    connection: http.client.HTTPConnection, method: str, path: str, status: int, allowed: str | None
) -> None:
    connection.request(method, path)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.headers["Allow"] == allowed
    told = json.loads(answer.read())
    assert told.keys() == {"type", "title", "status"} and told["status"] == status


@pytest.mark.parametrize(
    "line", [b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_request_is_a_problem_and_the_end(port: int, line: bytes) -> None:
    head, _, body = raw(port, line).partition(b"\r\n\r\n")
    assert b"application/problem+json" in head or not head.startswith(b"HTTP/")
    told = json.loads(body or head)
    assert 400 <= told["status"] < 600 and "python" not in told["title"].lower()


def test_requests_at_once_do_not_mix(port: int) -> None:
    """`current_request` is a thread's own: each caller gets its own body back."""
    got: dict[int, bytes] = {}

    def caller(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for turn in range(20):
            sent = f"{number}-{turn}".encode()
            body = json.loads(ask(connection, "POST", "/echo/x", body=sent)[1])["body"]
            if bytes.fromhex(body) != sent:
                got[number] = bytes.fromhex(body)
        connection.close()

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {}


def test_headers_are_grouped_under_the_first_spelling() -> None:
    assert grouped([("A", "1"), ("b", "2"), ("a", "3")]) == {"A": ["1", "3"], "b": ["2"]}
