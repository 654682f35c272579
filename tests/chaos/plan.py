"""What will go wrong in a run: drawn from its seed, and from nothing else.

The same seed gives the same plan: the same share of each kind of call spoiled in the same way at
the same number, the same kills, outages, windows and jumps of the clock. What it cannot repeat is
how threads and processes take turns between them.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KINDS = {
    "throttle": "refused as too much, nothing done",
    "broken": "5xx, nothing done",
    "unsure": "done, then answered with 5xx",
    "reset": "connection reset, nothing done",
    "lost": "done, then connection reset",
    "cut": "done, the answer cut off",
    "garbled": "done, the answer damaged under its checksum",
    "slow": "answered late",
    "hang": "no answer until the client gives up, done or not",
    "conflict": "refused because of another transaction",
    "partial": "a batch done in part",
    "delayed": "messages that become visible later",
    "withheld": "messages received and lost on the way, back after their visibility",
    "again": "messages that were received before, once more",
    "replay": "stream records that were read before, once more",
    "expired": "a stream iterator that is no longer good",
}
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem")
READS = ("GetItem", "BatchGetItem", "Query", "Scan")
TABLE = tuple(f"dynamodb.{each}" for each in (*WRITES, *READS))
TABLE_WRITES = TABLE[: len(WRITES)]
QUEUE = tuple(
    f"sqs.{each}"
    for each in (
        "SendMessage",
        "SendMessageBatch",
        "ReceiveMessage",
        "DeleteMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibility",
        "GetQueueUrl",
        "GetQueueAttributes",
    )
)
SENDS = ("sqs.SendMessage", "sqs.SendMessageBatch")
STREAM = ("streams.DescribeStream", "streams.GetShardIterator", "streams.GetRecords")
KEYS = ("kms.Encrypt", "kms.Decrypt", "secretsmanager.GetSecretValue")
BATCHES = ("dynamodb.BatchWriteItem", "dynamodb.BatchGetItem", "sqs.SendMessageBatch", "sqs.DeleteMessageBatch")
ALL = (*TABLE, *QUEUE, *STREAM, *KEYS)
WHERE: dict[str, tuple[str, ...]] = {
    "throttle": ALL,
    "broken": ALL,
    "unsure": (*TABLE_WRITES, *SENDS, "sqs.DeleteMessageBatch", "sqs.ChangeMessageVisibility"),
    "reset": ALL,
    "lost": ALL,
    "cut": (*TABLE, *SENDS),
    "garbled": TABLE,
    "slow": ALL,
    "hang": (*TABLE_WRITES, "sqs.SendMessage", "dynamodb.Query"),
    "conflict": ("dynamodb.TransactWriteItems", "dynamodb.PutItem", "dynamodb.UpdateItem"),
    "partial": BATCHES,
    "delayed": SENDS,
    "withheld": ("sqs.ReceiveMessage",),
    "again": ("sqs.ReceiveMessage",),
    "replay": ("streams.GetRecords",),
    "expired": ("streams.GetRecords",),
}
"""The calls that each kind can spoil."""
MOST = {
    "throttle": 0.12,
    "broken": 0.06,
    "unsure": 0.08,
    "reset": 0.05,
    "lost": 0.06,
    "cut": 0.04,
    "garbled": 0.04,
    "slow": 0.15,
    "hang": 0.004,
    "conflict": 0.15,
    "partial": 0.4,
    "delayed": 0.2,
    "withheld": 0.1,
    "again": 0.4,
    "replay": 0.3,
    "expired": 0.1,
}
"""The largest share of a kind in any run."""
KILLED_AT = {
    "workers": (*TABLE_WRITES, "sqs.SendMessageBatch", "sqs.DeleteMessageBatch", "dynamodb.BatchGetItem"),
    "http": ("sqs.SendMessage",),
}
SPOILED = ("crm", "partner")
OUTAGES: tuple[dict[str, Any], ...] = (
    {"mode": "status", "status": 503},
    {"mode": "status", "status": 429, "headers": {"Retry-After": "1"}},
    {"mode": "slow", "delay": 0.8},
    {"mode": "dribble", "delay": 0.3},
    {"mode": "drop"},
    {"mode": "truncate"},
    {"mode": "reset"},
    {"mode": "lie"},
    {"mode": "refuse"},
)
UNSEEN = ("lie",)
"""What nobody can see at a partner: by Standard Webhooks a 200 says that it has the event, whatever the body says."""
TABLE_THROTTLED_SECONDS = 60.0
CALLS_OF_ONE = 50
"""Of AWS, for one customer's events and what is told of them."""
PATIENCE = 4.0
JUMP = 120.0
"""Seconds that a clock goes at most: whoever checks our signatures allows five minutes."""


@dataclass(frozen=True)
class Fault:
    """`share` of the calls of this kind are spoiled between two moments of the run, or of each `every` seconds of it."""

    kind: str
    calls: tuple[str, ...]
    share: float
    begins: float = 0.0
    ends: float = 1e9
    every: float = 0.0

    def concerns(self, call: str, second: float) -> bool:
        at = second % self.every if self.every else second
        return call in self.calls and self.begins <= at < self.ends


@dataclass(frozen=True)
class Kill:
    """SIGKILL of a process: at its `number`-th `call`, before AWS has it or after AWS did it; or at a moment."""

    process: str
    call: str = ""
    number: int = 0
    after: bool = False
    second: float = 0.0

    def line(self) -> str:
        when = f"{'after' if self.after else 'before'} its {self.call} number {self.number}"
        return f"{self.process} {when if self.call else f'at {self.second:.1f} s'}"


@dataclass(frozen=True)
class Outage:
    system: str
    begins: float
    seconds: float
    behaviour: dict[str, Any]

    def line(self) -> str:
        mode = " ".join(str(each) for each in self.behaviour.values() if not isinstance(each, dict))
        return f"{self.system} {mode} at {self.begins:.1f} s for {self.seconds:.1f} s"


@dataclass(frozen=True)
class Jump:
    process: str
    second: float
    offset: float

    def line(self) -> str:
        return f"{self.process} {self.offset:+.0f} s at {self.second:.1f} s"


@dataclass(frozen=True)
class Plan:
    seed: int
    seconds: float
    faults: tuple[Fault, ...] = ()
    kills: tuple[Kill, ...] = ()
    outages: tuple[Outage, ...] = ()
    jumps: tuple[Jump, ...] = ()
    malformed: int = 0
    strays: int = 0
    shared: int = 0
    doubled: float = 0.1
    calls: int = 0
    """Things go on going wrong until AWS was called so often, or PATIENCE times as long."""

    def fault(self, call: str, number: int, second: float) -> Fault | None:
        """What befalls the `number`-th call of this name, `second` seconds into the run."""
        return next(
            (
                each
                for each in self.faults
                if each.concerns(call, second) and roll(self.seed, each.kind, call, number) < each.share
            ),
            None,
        )

    def lines(self) -> Iterator[str]:
        yield f"seed     {self.seed}: {self.seconds:.0f} s of faults"
        for each in self.faults:
            window = f" from {each.begins:.1f} to {each.ends:.1f} s" if each.ends < 1e9 else ""
            where = (
                "the table"
                if each.calls == TABLE
                else ", ".join(each.calls)
                if len(each.calls) < 5
                else f"{len(each.calls)} kinds of calls"
            )
            yield f"fault    {each.kind:8} {each.share:6.1%} of {where}{window}"
        for word, many in (("kill", self.kills), ("outage", self.outages), ("clock", self.jumps)):
            yield from (f"{word:8} {each.line()}" for each in many)
        yield f"sent too {self.malformed} malformed, {self.strays} of nobody's order, {self.shared} from a shared telephone"


def roll(seed: int, *what: object) -> float:
    """In [0, 1): always the same for the same question."""
    raw = hashlib.blake2b(repr((seed, *what)).encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big") / 2**64


@dataclass(frozen=True)
class Size:
    """`seconds`: how long things go wrong. `scale` of the minute for which the table is throttled."""

    customers: int = 10
    seconds: float = 8.0
    scale: float = 0.05
    hang: bool = False
    kills: int = 2
    jump: float = JUMP


def draw(seed: int, size: Size) -> Plan:
    rng = random.Random(seed)
    faults = [Fault(kind, WHERE[kind], round(rng.uniform(0.1, 1.0) * MOST[kind], 4)) for kind in _kinds(rng, size)]
    return Plan(
        seed,
        size.seconds,
        (_window(rng, size), *faults),
        tuple(_kill(rng, size) for _ in range(size.kills)),
        tuple(_outage(rng, size, system) for system in SPOILED),
        tuple(_jump(rng, size, process) for process in ("http", "workers") if rng.random() < 0.5 and size.jump),
        malformed=rng.randint(1, 2),
        strays=rng.randint(1, 2),
        shared=rng.randint(1, 2),
        doubled=round(rng.uniform(0.0, 0.3), 2),
        calls=CALLS_OF_ONE * size.customers,
    )


def _kinds(rng: random.Random, size: Size) -> list[str]:
    """Most of them, in an order of their own: the first that hits a call is what befalls it."""
    kinds = [each for each in KINDS if each != "hang" or size.hang]
    return rng.sample(kinds, rng.randint(len(kinds) // 2, len(kinds)))


def _window(rng: random.Random, size: Size) -> Fault:
    """The table refuses everything for a while."""
    lasts = TABLE_THROTTLED_SECONDS * size.scale
    begins = round(rng.uniform(0.1, 0.9) * max(0.0, size.seconds - lasts), 2)
    return Fault("throttle", TABLE, 1.0, begins, round(begins + lasts, 2))


def _kill(rng: random.Random, size: Size) -> Kill:
    process = rng.choices(("workers", "http"), (3, 1))[0]
    if rng.random() < 0.4:
        return Kill(process, second=round(rng.uniform(0.1, 0.9) * size.seconds, 2))
    return Kill(process, rng.choice(KILLED_AT[process]), rng.randint(1, 6), rng.random() < 0.5)


def _outage(rng: random.Random, size: Size, system: str) -> Outage:
    begins = round(rng.uniform(0.0, 0.5) * size.seconds, 2)
    seconds = round(rng.uniform(0.2, 0.6) * size.seconds, 2)
    fair = [each for each in OUTAGES if system != "partner" or each["mode"] not in UNSEEN]
    return Outage(system, begins, seconds, rng.choice(fair))


def _jump(rng: random.Random, size: Size, process: str) -> Jump:
    return Jump(process, round(rng.uniform(0.1, 0.8) * size.seconds, 2), round(rng.uniform(-size.jump, size.jump)))


CALM = Plan(0, 0.0)
