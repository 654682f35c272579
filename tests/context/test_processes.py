"""The same store code against the embedded AWS, by real processes that race."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Sequence
from typing import Any

import pytest

from chalicelib.context.graph import Rules
from chalicelib.errors import Busy
from chalicelib.store import aws
from chalicelib.store.codec import decode
from chalicelib.store.table import DynamoTable, Put
from tests.context.identity_runs import TRAITS, Decision, Run, Scene, Seen, Watch, Work
from tests.context.oracle import Oracle
from tests.schedule import MemoryTable

pytestmark = pytest.mark.embedded

RULES = Rules(limit=3)
PROCESSES = 8


def works(seed: int, count: int) -> list[Work]:
    """Events and decisions on one small crowd."""
    rng = random.Random(seed)
    names = sorted(TRAITS)
    found: list[Work] = []
    for at in range(1, count + 1):
        picked = rng.sample(names, rng.choice((1, 2, 2, 3)))
        found.append(Seen(tuple((n, rng.choice((1, 2, 2, 3))) for n in picked), f"202601{at:02d}"))
        if at % 4 == 0:
            found.append(Decision(*rng.sample(names, 2), at, rng.choice(("link", "cut", "force", "-"))))
    return found


def race(number: int, todo: Sequence[Work]) -> None:
    """One process: every work in an order of its own, again while it is Busy."""
    run = Run(number, Scene(todo, rules=RULES))
    run.table = DynamoTable()
    for work in random.Random(number).sample(todo, len(todo)):
        while True:
            try:
                run._do(0, work)
                break
            except Busy:
                continue


def snapshot() -> MemoryTable:
    table, start = MemoryTable(), {}
    while True:
        answer: dict[str, Any] = aws.call("dynamodb", "scan", TableName=DynamoTable().name, **start)
        for item in answer["Items"]:
            table.write(Put(decode(item)))
        if "LastEvaluatedKey" not in answer:
            return table
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def test_eight_processes_on_one_customer_agree_with_the_oracle(live_stage: dict[str, str]) -> None:
    todo = works(1, 16)
    spawn = multiprocessing.get_context("spawn")
    racers = [spawn.Process(target=race, args=(number, todo)) for number in range(PROCESSES)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    oracle = Oracle(RULES.limit, RULES.cap)
    for work in todo:
        if isinstance(work, Seen):
            oracle.event({n: (TRAITS[n], asr) for n, asr in work.nodes}, work.nodes[0][0])
        elif isinstance(work, Decision):
            oracle.see(work.a, TRAITS[work.a])
            oracle.see(work.b, TRAITS[work.b])
            oracle.decide(work.a, work.b, work.at, "agent", work.state)
    Watch(snapshot(), RULES, oracle).check()
