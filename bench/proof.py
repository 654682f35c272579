"""docs/proof.md: each claim, the command that tries it, what it said last, and what that does not prove.

What a command keeps in `bench/results/` is read from there; what is run without keeping anything is written into
`bench/runs.json` by whoever ran it, with the date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import report

RUNS = Path(__file__).with_name("runs.json")
NEVER = "**not run yet**"
Told = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """`last`: lines of what was measured, newest first."""

    title: str
    text: str
    command: str
    last: Callable[[], Iterable[str]]
    not_proven: str


def kept(pattern: str) -> Told | None:
    """The newest result of that name."""
    found = sorted(report.RESULTS.glob(pattern))
    told: Told | None = json.loads(found[-1].read_text("utf-8")) if found else None
    return told


def rows(pattern: str, *beginnings: str) -> Callable[[], Iterable[str]]:
    """Rows of the newest table, those whose name begins so."""

    def last() -> Iterable[str]:
        told = kept(pattern) or {"date": "", "rows": []}
        for row in told["rows"]:
            if row["what"].startswith(beginnings):
                verdict = f": {row['verdict']}" if row["verdict"] else ""
                budget = f" ({row['budget']}{verdict})" if row["budget"] else ""
                yield f"{told['date']}: {row['what']}: {row['measured']}{budget}"

    return last


def by_hand(name: str) -> Callable[[], Iterable[str]]:
    def last() -> Iterable[str]:
        found = json.loads(RUNS.read_text("utf-8")).get(name, [])
        return (f"{each['date']}: {each['said']}" for each in found)

    return last


def both(*parts: Callable[[], Iterable[str]]) -> Callable[[], Iterable[str]]:
    return lambda: (line for part in parts for line in part())


def attacked() -> Iterable[str]:
    if told := kept("attack.json"):
        suites = ", ".join(
            f"{each['tests']:,} tests of the {each['name']}, {len(each['failures'])} failed" for each in told["suites"]
        )
        answers = ", ".join(f"{number:,} × {status}" for status, number in sorted(told["answers"].items()))
        yield f"{told['date']}: {sum(told['inputs'].values()):,} hostile inputs; answers {answers}; {suites}"
        yield f"{told['date']}: known vulnerabilities: {told['audit']}"


def beside() -> Iterable[str]:
    if told := kept("peers.json"):
        for each in told["budgets"]:
            verdict = "ok" if each["holds"] else "**not met**"
            yield f"{told['date']}: {each['what']}: {each['measured']} ({each['budget']}: {verdict})"


def mutated() -> Iterable[str]:
    """By rule: the share of what can be told from the original at all."""
    from bench import mutants_report

    told = mutants_report.reasons()
    found = mutants_report.kept()
    for rule in dict.fromkeys(each.rule for each in found):
        mine = [each for each in found if each.rule == rule]
        share = mutants_report.share(mine, told)
        modules = ", ".join(f"`{each.module}`" for each in mine)
        yield f"{max(each.date for each in mine)}: {rule}: {share} of the mutants of {modules}"


CLAIMS = (
    Claim(
        "Nothing acked is lost, and nothing is doubled",
        "Whatever fails: processes killed at any moment, AWS that throttles, breaks, resets, answers half or twice, clocks "
        "that jump, destinations that lie. Every event that was acked is on a timeline, among the possible, waiting or parked, "
        "by name; every system has each once. [Chaos](chaos.md) says how it is done and what the ledger means.",
        "make chaos RUNS=200",
        both(rows("chaos-*.json", ""), by_hand("chaos")),
        "Real AWS's own failures, and more than one hub on one table for hours.",
    ),
    Claim(
        "Memory stays flat",
        "Very many events, with faults in six seconds of every minute; the memory of every process at every fortieth of the way.",
        "make chaos SOAK=100000",
        both(rows("soak-*.json", ""), by_hand("soak")),
        "A Lambda container's own life, which AWS ends when it likes.",
    ),
    Claim(
        "Killed at every storage call, it goes on",
        "Each way through the workers is stopped before and after each of its storage calls, in many orders, by several workers; at the "
        "end the table is the one of an undisturbed run.",
        ".venv/bin/python -m pytest tests/context/test_resolve.py tests/context/test_record_runs.py tests/context/test_reapply.py tests/context/test_journey_kills.py -m nightly",
        by_hand("schedules"),
        "The searches are long, not exhaustive: another seed may find what these did not.",
    ),
    Claim(
        "A system that is down holds up no other",
        "One destination refuses, fails, limits, is slow, drips, drops, cuts or lies, while a partner must be told in time.",
        ".venv/bin/python -m pytest tests/test_outages.py -m nightly -s",
        by_hand("outages"),
        "Hundreds of connections at once.",
    ),
    Claim(
        "The hook is as cheap as a bare route",
        "Processor time of a warm hook against a route that sends the same body to a queue and does nothing else; imports against "
        "Chalice with one client.",
        "make bench",
        rows("20*.json", "warm hook", "import of", "first hook", "first use"),
        "Milliseconds of a Lambda function, whose processor is another one.",
    ),
    Claim(
        "What an event costs is known, and the same after any history",
        "Write units, read units and requests of each case, counted at the client, at 10, 1,000 and with `--nightly` 100,000 events of "
        "history. All rows: [Costs](costs.md).",
        "make bench",
        rows(
            "20*.json",
            "known identities",
            "first of a thread",
            "new id joins",
            "merge 2+2",
            "merge 20+20",
            "delivered to a",
        ),
        "The units are counted by DynamoDB's published rules; a bill of AWS was not seen.",
    ),
    Claim(
        "A timeline is shown in few requests, however long it is",
        "Requests for a screen-pop and for a timeline's first page, after 100, 10,000 and 100,000 events.",
        "make bench",
        rows("20*.json", "customers?identity", "the customer whole", "timeline, newest"),
        "Milliseconds at AWS. The embedded table looks through a whole partition, so its milliseconds say nothing.",
    ),
    Claim(
        "A million webhooks cost less than nine dollars",
        "List prices of a dated price file times measured units.",
        "make bench",
        rows("20*.json", "a million webhooks"),
        "Milliseconds of Lambda are assumed: [Scale](scale.md) says which. Logs, storage and transfer are apart.",
    ),
    Claim(
        "One machine does a hundred events a second",
        "An aim, on the embedded AWS beside the hub on the same two processors.",
        "make bench",
        rows("20*.json", "acked,", "events on timelines", "delivered to a CRM and", "hook to partner"),
        "It says little of AWS, where each function has a processor of its own.",
    ),
    Claim(
        "Beside others at the same job: nothing is lost, and how fast",
        "Draad, n8n, Node-RED and Restate in one run: speed, and loss and duplicates through kill -9 and an outage. Three "
        "times n8n, as it comes and tuned, is asked to a webhook and to a CRM: both reach it of n8n as it comes, neither of n8n tuned. Node-RED "
        "and Restate are faster than Draad, which does more for each event. [Beside others](peers.md) says what is equal and what is not.",
        "make bench-peers",
        beside,
        "Others' clustered or queued set-ups; each runs as one would install it on one machine.",
    ),
    Claim(
        "Nothing hostile gets through",
        "Hostile requests at every hook, route and reader: no 5xx, no storage call for a bad signature beyond its note and a cached "
        "read, bounded processor time, no secret and nobody's data in logs or refusals. [Attack](attack.md) lists what and where.",
        "make attack",
        both(attacked, by_hand("attack")),
        "What nobody thought of; and what API Gateway does before the hub is called.",
    ),
    Claim(
        "The tests hold the rules that must hold",
        "Small wrong versions of the rules of identity, retry, echo and verification; a test must fail for each. Those that live have "
        "a reason in `bench/survivors.json`.",
        "make mutants",
        mutated,
        "Rules that are not in those modules.",
    ),
    Claim(
        "Every function fits its memory",
        "Peak memory of each function in a process of its own, at its real payloads.",
        ".venv/bin/python -m bench.memory",
        by_hand("memory"),
        "Lambda's own overhead, which its report line tells: [Package](package.md).",
    ),
    Claim(
        "It runs on every Python that it names",
        "The tests that need no hub, in an environment of its own for each Python on the machine.",
        "make test-pythons",
        by_hand("pythons"),
        "A Python that is not on the machine: the command names it and leaves it out.",
    ),
    Claim(
        "A stage is made, watched, upgraded and taken back without loss",
        "The packaged functions on the embedded AWS: deployed, killed while deploying, taken up; the doctor red and green; version n over "
        "n−1 with traffic, and back; each function's real calls against its policy.",
        ".venv/bin/python -m pytest tests/infra tests/policies tests/test_upgrade.py",
        by_hand("deploy"),
        "A real account: [Deploy](deploy.md) and [Operate](operate.md) list what only it shows, with the commands.",
    ),
)


def page() -> str:
    parts = [
        "# Proof",
        "What Draad claims, the command that tries the claim, what it said last, and what that does not prove. Written by "
        "`DRAAD_WRITE=1 .venv/bin/python -m pytest tests/bench/test_proof.py` from `bench/results/` and `bench/runs.json`, so that no figure "
        "here was typed from memory. The machine of each result is in its file.",
        "No claim here was tried at a real AWS account or at a vendor's live account.",
    ]
    return "\n\n".join([*parts, *map(section, CLAIMS)]) + "\n"


def section(claim: Claim) -> str:
    lines = "\n".join(f"- {line}" for line in claim.last()) or f"- {NEVER}"
    return "\n\n".join(
        [
            f"## {claim.title}",
            claim.text,
            f"<!-- not run: it takes long; what it said last is below -->\n```sh\n{claim.command}\n```",
            lines,
            f"Not proven: {claim.not_proven}",
        ]
    )
