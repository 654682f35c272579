"""docs/scale.md on paper: measured units, assumed milliseconds, dated prices and quotas, at three rates.

Pure: the newest kept result of the bench, `prices.json` and `quotas.json` in, a page out. `python -m bench.scale` prints it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cost, report
from chalicelib.store import deliveries, rates

QUOTAS = Path(__file__).with_name("quotas.json")
RATES = (10, 1_000, 50_000)
"""Webhooks a second."""
CASE = "known, all in tens"
BATCH, STREAM_BATCH = 10, 100
MONTH_SECONDS = 30 * 86_400
CONNECTION_BYTES = 1_000
CONNECTIONS = 100
"""Of a large organisation; each about so long in the table."""
STALE_SECONDS = 5
"""A container reads the organisation's settings once in this time."""


@dataclass(frozen=True)
class Known:
    """`units`: case → write and read units of one webhook with its delivery. `receipt`: write units of one of 4 KB."""

    dated: str
    units: dict[str, tuple[float, float]]
    dollars: dict[str, float]
    receipt: float
    ms: dict[str, float]
    quotas: dict[str, dict[str, Any]]
    prices_dated: str
    quotas_dated: str


def known() -> Known:
    newest = sorted(path for path in report.RESULTS.glob("20*.json"))[-1]
    rows = {row["what"]: row["numbers"] for row in json.loads(newest.read_text("utf-8"))["rows"]}
    costs = [numbers for what, numbers in rows.items() if what.startswith("a million webhooks")]
    listed, quotas = cost.prices(), json.loads(QUOTAS.read_text("utf-8"))
    large, small = rows["known, a webhook of 4 KB"]["10"], rows["known identities and thread"]["10"]
    return Known(
        newest.stem,
        {each["name"]: (each["units"]["write_units"], each["units"]["read_units"]) for each in costs},
        {each["name"]: each["total"] for each in costs},
        1 + large["write_units"] - small["write_units"],
        {name: listed["assumed"][f"{name}_ms"] for name in ("hook", "context", "fanout", "deliver")},
        quotas["quotas"],
        listed["dated"],
        quotas["dated"],
    )


@dataclass(frozen=True)
class Need:
    """`of`: the quota that it is held against."""

    what: str
    of: str
    amount: float


def needs(at: Known, rate: float) -> list[Need]:
    """Of the whole stage, at so many webhooks a second of many connections and customers, each with one delivery."""
    write, read = at.units[CASE]
    busy = {name: rate * ms / 1000 for name, ms in at.ms.items()}
    return [
        Need("requests of the API", "api_rps", rate),
        Need("containers, all functions", "lambda_concurrency", sum(busy.values())),
        Need("containers of context", "event_source_concurrency", busy["context"]),
        Need("containers of deliver", "event_source_concurrency", busy["deliver"]),
        Need("write units, table", "table_write_units", rate * write),
        Need("write units, a new table", "new_table_write_units", rate * write),
        Need("read units, table", "table_read_units", rate * read),
        Need("messages in flight, inbox", "sqs_in_flight", rate * at.ms["context"] / 1000 * BATCH),
        Need(
            "decryptions, all containers new",
            "kms_rps",
            min(sum(busy.values()), at.quotas["lambda_scaling"]["default"]),
        ),
    ]


@dataclass(frozen=True)
class Key:
    """A partition: what one webhook asks of it when all of them ask the same one, and what spreads it."""

    key: str
    what: str
    of: str
    each: float
    mend: str


def keys(at: Known) -> list[Key]:
    """The hottest first: who reaches a partition's limit at the lowest rate."""
    all_connections = math.ceil(CONNECTIONS * CONNECTION_BYTES / 4096)
    delayed = 2 / deliveries.SHARDS
    found = [
        Key(
            "`I#c#d`",
            "receipts of one connection and day, of 4 KB",
            "partition_write_units",
            at.receipt,
            "a second connection for the same provider; keys grow with time, so DynamoDB cannot split them by heat",
        ),
        Key(
            "`L#c#d`",
            "deliveries to one connection, of one day's events",
            "partition_write_units",
            1,
            "a second connection for half of the types; what it delivers at once is bounded by the destination long before",
        ),
        Key(
            "index `HELD#c`, `PARK#c`",
            "deliveries to a paused connection, or to one that refuses all",
            "partition_write_units",
            1,
            "resume or disable it; a full index holds up the writes of the table, so deliveries wait in the queue",
        ),
        Key(
            "index `WAIT#c`",
            "events of one connection that name nobody yet",
            "partition_write_units",
            1,
            "the order must come from another connection; until then it is as for HELD",
        ),
        Key(
            f"index `DUE#0-{deliveries.SHARDS - 1}`",
            f"retries that wait, over {deliveries.SHARDS} shards: each comes and goes",
            "partition_write_units",
            delayed,
            "`deliveries.SHARDS`",
        ),
        Key(
            "`N#n`",
            "events of one customer's identity",
            "partition_write_units",
            1,
            "nobody is that busy; a number that is a whole call centre's belongs among the own or blocked ones",
        ),
        Key(
            "`CONN`",
            f"all connections, read once for each batch of {STREAM_BATCH} changes and each of {BATCH} deliveries: "
            f"{CONNECTIONS} of them are {all_connections} units, then one of them",
            "partition_read_units",
            all_connections / STREAM_BATCH + 1 / BATCH,
            "let the fan-out remember them for some seconds, as it does the rules",
        ),
        Key(
            "`C#c` `RATE`",
            f"requests to one destination, taken {rates.MOST} at a time: one write each time",
            "partition_write_units",
            1 / rates.MOST,
            "the destination's own limit comes first",
        ),
        Key(
            "`ORG`",
            f"settings, once in {STALE_SECONDS} s for each container",
            "partition_read_units",
            sum(at.ms.values()) / 1000 / STALE_SECONDS,
            "nothing to do",
        ),
    ]
    return sorted(found, key=lambda key: limit(at, key))


def limit(at: Known, key: Key) -> float:
    """Webhooks a second at which it is reached."""
    return float(at.quotas[key.of]["default"] / key.each)


def page() -> str:
    at = known()
    write, read = at.units[CASE]
    parts = [
        "# Scale, on paper",
        "Computed by `bench/scale.py`, and written by `DRAAD_WRITE=1 .venv/bin/python -m pytest tests/bench/test_scale.py`.",
        f"From units measured on {at.dated} (`bench/results/`), list prices of {at.prices_dated} (`bench/prices.json`) and quotas "
        f"of {at.quotas_dated} (`bench/quotas.json`). Milliseconds of Lambda are assumed there, because no account was used. No rate "
        "on this page was run: it says what to ask AWS for, and what to watch, before it is.",
        f"One webhook is one of 4 KB of a known customer, with one delivery, all in batches of ten: {write:g} write units, "
        f"{read:g} read units, {sum(at.ms.values()):g} ms.",
        "## Against the account's quotas",
        quota_table(at),
        "× says how many times the quota is needed; up to 0.7 there is room for a burst. A new account has "
        f"{at.quotas['lambda_concurrency']['new_account']} containers at once: enough for "
        f"{new_account(at):,} webhooks a second, and not for a burst.",
        *firsts(at),
        "## Hot keys",
        "If all webhooks ask one partition. A partition's limit is nobody's to raise, so these bound one connection or one customer "
        "and not the stage.",
        key_table(at),
        "What is refused there is not lost. A worker gives its messages back and they wait, at most 14 days: seen first in the alarm on "
        "the age of the inbox. A hook reads its connection once a minute in each container and sends to a queue, which has no such "
        "limit; where that read is refused (`CONN` full) it answers 503, and the provider sends again.",
        shard(at),
        "## What to raise, in this order",
        order(at),
        "## Dollars",
        money_table(at),
        "A month has 30 days at that rate day and night. Logs, storage, data transfer, KMS and alarms are apart: see [Costs](costs.md) "
        "and [the stack](stack.md).",
        "## Ask your account",
        ask(at),
    ]
    return "\n\n".join(parts) + "\n"


def quota_table(at: Known) -> str:
    head = "| needed | quota | " + " | ".join(f"{rate:,} /s" for rate in RATES) + " |"
    rows = [head, "|---|---|" + "---|" * len(RATES)]
    columns = [needs(at, rate) for rate in RATES]
    for row in zip(*columns, strict=True):
        bound = at.quotas[row[0].of]["default"]
        cells = " | ".join(f"{_number(need.amount)} ({_times(need.amount / bound)})" for need in row)
        rows.append(f"| {row[0].what} | {bound:,} | {cells} |")
    return "\n".join(rows)


def new_account(at: Known) -> int:
    return int(at.quotas["lambda_concurrency"]["new_account"] / (sum(at.ms.values()) / 1000))


def over(at: Known, rate: float) -> list[Need]:
    """What is asked for beyond its quota, the worst first."""
    found = [need for need in needs(at, rate) if need.amount >= at.quotas[need.of]["default"]]
    return sorted(found, key=lambda need: -need.amount / at.quotas[need.of]["default"])


def firsts(at: Known) -> list[str]:
    lines = []
    for rate in RATES:
        beyond = over(at, rate)
        hot = [key for key in keys(at) if limit(at, key) <= rate]
        says = (
            ", ".join(f"{need.what} ({need.amount / at.quotas[need.of]['default']:.1f} ×)" for need in beyond)
            or "nothing"
        )
        one = ", ".join(key.key for key in hot) or "none"
        lines.append(
            f"- **{rate:,} /s**: beyond its quota: {says}. Keys that one connection or customer alone would fill: {one}."
        )
    return ["\n".join(lines)]


def key_table(at: Known) -> str:
    rows = ["| key | what | units a webhook | full at, webhooks /s | what spreads it |", "|---|---|---|---|---|"]
    rows += [
        f"| {key.key} | {key.what} | {key.each:.2g} | {_number(limit(at, key))} | {key.mend} |" for key in keys(at)
    ]
    return "\n".join(rows)


def shard(at: Known) -> str:
    """Of the stream: one for each partition of the table."""
    changes = at.quotas["partition_write_units"]["default"] / at.units[CASE][0]
    busy = changes * at.ms["fanout"] / 1000
    return (
        f"A partition that is written to its limit has {changes:,.0f} webhooks a second, and their shard of the stream keeps {busy:.2f} "
        f"containers of the fan-out busy: one is all that there is of it unless the mapping's parallelization is {math.ceil(busy)} or more."
    )


def order(at: Known) -> str:
    """By the rate at which each quota is reached, as far as this page goes."""
    one = {need.what: (need, at.quotas[need.of]["default"] / need.amount) for need in needs(at, 1) if need.amount}
    ranked = sorted(one.values(), key=lambda each: each[1])
    return "\n".join(
        f"{number}. from {_number(rate)} /s: {at.quotas[need.of]['what']}, needed for {need.what}"
        for number, (need, rate) in enumerate(ranked, 1)
        if at.quotas[need.of]["raise"] and rate <= max(RATES)
    )


def money_table(at: Known) -> str:
    rows = ["| case | $ a million | " + " | ".join(f"$ a month at {rate:,} /s" for rate in RATES) + " |"]
    rows.append("|---|---|" + "---|" * len(RATES))
    for name, dollars in at.dollars.items():
        cells = " | ".join(f"{dollars * rate * MONTH_SECONDS / 1e6:,.0f}" for rate in RATES)
        rows.append(f"| {name} | {dollars:.2f} | {cells} |")
    return "\n".join(rows)


def ask(at: Known) -> str:
    asked = dict.fromkeys(quota["ask"].partition(" (")[0] for quota in at.quotas.values() if quota["ask"])
    commands = "\n".join(each for each in asked if "update-table" not in each)
    warm = "aws dynamodb update-table --table-name draad-prod --warm-throughput WriteUnitsPerSecond=40000,ReadUnitsPerSecond=40000"
    return f"<!-- not run: needs a real AWS account -->\n```sh\n{commands}\n# before a day that is busier than any before: from 4,000 at once\n{warm}\n```"


def _times(value: float) -> str:
    return f"{value:.2g} ×" if value >= 0.01 else "< 0.01 ×"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


if __name__ == "__main__":
    print(page())
