"""Processor time of one request under hostile bodies, against an ordinary one of the same size at the same hook.

No clock on the wall: the processor time of this process, the smallest of some runs on both sides, and a generous bound.
"""

from __future__ import annotations

import contextlib
import gc
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from urllib.parse import parse_qsl

import pytest

from bench.lambda_event import rest_event
from chalicelib.errors import PayloadMalformed
from chalicelib.kit.multipart import FORM
from chalicelib.kit.request import MAX_BODY, Request, parse_json
from chalicelib.store import connections
from tests.api.client import Api, key_with
from tests.attack import corpus, world
from tests.attack.tally import Tally, full, share
from tests.attack.test_attack_hooks import in_the_body, signed
from tests.attack.world import Target

RUNS = 3
UNSIGNED_BOUND = 25.0
"""An answer to somebody who proved nothing: at most so many times an ordinary webhook as large as what he sent. Where the
signature is in the body, the body must be parsed to find it: so many times what its parser takes, if that is more."""
SIGNED_BOUND = 20.0
"""Reading what is signed: so many times what parsing an order of its size in JSON takes, or what its own parser takes, if
that is more. XML of nothing but elements comes to half of it."""
PARSED_BOUND = 35.0
"""That parser alone, which is a library's: so many times what it takes for an order; four million brackets come to 19."""
SHARE = 5
"""Bodies for each source, others for each: what is heavy is so by its parser, and each parser gets all of them."""
Measured = tuple[float, str]
HEAVY = ("json", "numbers", "unicode", "xml", "multipart", "form", "compression", "oversize")


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """What the tests before left in memory is not walked with what is parsed: a Lambda has no such heap."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def api(memory_aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(connections, "now_seconds", lambda: 1_800_000_000)
    return Api(key_with("admin"), checked=False)


def cpu(request: Request) -> float:
    """Seconds of one request through the app, the smallest of some."""
    from app import app

    headers = {name: value for name, value in request.headers if name.lower() != "host"}
    id = request.connection
    event = rest_event("POST", "/hooks/{connection_id}", {"connection_id": id}, headers=headers, body=request.body)
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        status = app(event, None)["statusCode"]
        found.append(time.process_time() - begun)
        assert status < 500, status
    return min(found)


def ordinary(target: Target, size: int) -> Request:
    """One long text in a JSON object, as large as the other."""
    raw = json.dumps({"id": "1", "text": "x" * max(size - 30, 0)}).encode()[:MAX_BODY]
    return target.request(raw, [("Content-Type", "application/json")])


def parsed(request: Request) -> float:
    """Processor time of the libraries' parsers alone, for what the body says it is, the smallest of some."""
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        if request.media_type == FORM:
            parse_qsl(request.body.decode("utf-8", "replace"))
        elif request.media_type == "application/json":
            with contextlib.suppress(PayloadMalformed):
                parse_json(request.body)
        found.append(time.process_time() - begun)
    return min(found)


def ratios(target: Target, lines: list[corpus.Line], tally: Tally) -> list[tuple[float, str]]:
    found = []
    usual: dict[int, float] = {}
    for line in lines:
        request = target.request(line.body, line.headers)
        size = 1 << max(len(line.body), 1024).bit_length() - 1
        if size not in usual:
            usual[size] = cpu(ordinary(target, size))
        yardstick = max(usual[size], parsed(request) if in_the_body(target) else 0.0)
        found.append((cpu(request) / yardstick, f"{target.name}: {line.label}"))
        tally.add(f"CPU, {line.kind}", "measured")
    return found


def test_who_proves_nothing_costs_no_more_than_an_ordinary_webhook_of_his_size(api: Api) -> None:
    tally, found = Tally("processor time, unsigned"), []
    lines = [line for line in corpus.lines("bodies") if line.kind in HEAVY]
    for turn, target in enumerate(world.every_target(api)):
        found += ratios(target, corpus.some(lines, share(SHARE), turn), tally)
    worst = max(found)
    tally.facts |= {"worst ratio": round(worst[0], 1), "by": worst[1], "bound": UNSIGNED_BOUND}
    tally.keep()
    assert worst[0] <= UNSIGNED_BOUND, sorted(found)[-5:]


def test_a_header_costs_by_its_length_and_no_more(api: Api) -> None:
    """Each header of a fixture, in 20,000 letters of each hostile kind, at each source."""
    tally, found = Tally("processor time, headers"), []
    long = [text * (20_000 // len(text)) for text in ("A", "v1,AAAA ", "sha256=00,", "0", "a=b;", '"\\', ".")]
    for turn, target in enumerate(world.every_target(api)):
        usual = cpu(target.request())
        for name, _ in target.case.request.headers:
            for text in corpus.some(long, 3 if full() else 1, turn):
                if name.lower() != "host":
                    found.append(
                        (cpu(replace(target.request(headers=[(name, text)]))) / usual, f"{target.name}: {name}")
                    )
                    tally.add("CPU, headers", "measured")
    worst = max(found)
    tally.facts |= {"worst ratio": round(worst[0], 1), "by": worst[1], "bound": UNSIGNED_BOUND}
    tally.keep()
    assert worst[0] <= UNSIGNED_BOUND, sorted(found)[-5:]


def test_the_worst_body_of_a_provider_is_read_in_bounded_time(api: Api) -> None:
    """What is signed is parsed by a worker: bounded too, against an ordinary body of that size."""
    tally, found, parsers = Tally("processor time, signed and read"), list[Measured](), list[Measured]()
    lines = [line for line in corpus.lines("bodies") if line.kind in HEAVY and len(line.body) <= MAX_BODY]
    targets = world.every_target(api)
    for turn, target in enumerate(targets if full() else targets[:: max(len(targets) // 8, 1)]):
        for line in corpus.some(lines, share(2 * SHARE), turn):
            request = signed(target, target.request(line.body, line.headers))
            if request is None:
                continue
            order, own = order_parsed(max(len(line.body), 65536)), parsed(request)
            parsers.append((own / order, f"{target.name}: {line.label}"))
            usual = max(order, own)
            found.append((read(target, request) / usual, f"{target.name}: {line.label}"))
            tally.add(f"CPU, {line.kind}", "measured")
    worst = max(found)
    tally.facts |= {"worst ratio": round(worst[0], 1), "by": worst[1], "bound": SIGNED_BOUND}
    tally.keep()
    assert worst[0] <= SIGNED_BOUND, sorted(found)[-5:]
    assert max(parsers)[0] <= PARSED_BOUND, sorted(parsers)[-5:]


@cache
def order_parsed(size: int) -> float:
    """Processor time of the library's parser for an order of many lines, the smallest of some."""
    row = {"id": 1, "name": "Trui, groen, maat M", "price": "12.95", "tags": ["a", None, True]}
    raw = json.dumps([row] * (size // len(json.dumps(row)))).encode()
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        parse_json(raw)
        found.append(time.process_time() - begun)
    return max(min(found), 1e-4)


def read(target: Target, request: Request) -> float:
    """Processor time of verifying and of reading, without what storing costs, the smallest of some."""
    source, secrets = target.case.source, target.case.secrets
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        source.verify(request, secrets)
        with contextlib.suppress(PayloadMalformed):
            list(source.normalize(request))
        found.append(time.process_time() - begun)
    return max(min(found), 1e-4)
