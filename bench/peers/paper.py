"""The table: who did what, what was not equal, and whether the budgets hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import report
from bench.peers.running import Peer
from bench.peers.scenarios import Extent, Outcome

AT = 8
"""Senders of the speed that budgets go by."""
TIMES_N8N, AIM = 3.0, 100.0
OURS = ("draad", "draad-webhook")
N8N = ("n8n", "n8n-tuned")
OK, NOT_MET = "ok", "**NOT met**"

EQUAL = (
    "One machine, one run, one after the other, each on an empty folder; the same webhooks from the same senders; the "
    "same CRM stand-in in a process of its own.",
    "The job: verify HMAC-SHA256 over the raw body, make the JSON canonical, upsert the customer and his entry, ack, "
    "tell the CRM.",
    "A sender waits for each answer and sends again what was not answered 2xx. *Lost* is what was acked and never came "
    "to the CRM; *doubled* are posts beyond the first of one event that the CRM took.",
    "SIGKILL goes to every process of whoever is measured, at once; it is started again at once.",
)
NOT_EQUAL = (
    "Draad does more for each event: it keeps the raw request as a receipt, deduplicates, links identities, places "
    "conversations, puts the event on a timeline and keeps a row for each delivery. The others write two rows.",
    "Draad runs beside an embedded AWS in Python, on the same two processors; its memory is told apart. It stands for a "
    "service that survives a function, so it is not killed; what is in its memory alone would be lost with it.",
    "Draad to a CRM speaks the CRM's own API: it finds or makes the contact first, and looks before it sends again. The "
    "others, and Draad to a webhook, make one POST an event.",
    "A doubled POST of Draad to a webhook has the same `webhook-id`, by which its receiver drops the second; the others "
    "were given no such header.",
    "Retries are those that each has as a setting: n8n 5 tries 5 s apart, its most; Node-RED none; Restate without end; "
    "Draad 3 days. A message that a killed worker of Draad had in hand comes back after 30 s here, after 360 on AWS.",
    "n8n and Node-RED keep their rows in SQLite, synchronous; Restate in its own state; Draad in DynamoDB's stand-in.",
)


@dataclass(frozen=True)
class About:
    extent: Extent
    seconds: float
    load_before: float
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    what: str
    measured: str
    budget: str
    holds: bool


def per_second(outcome: Outcome) -> float:
    """Events a second at the CRM with 8 senders; of another number where 8 were not measured."""
    named = {each.senders: each.per_second for each in outcome.speeds}
    return named.get(AT, max(named.values(), default=0.0))


def verdicts(outcomes: Mapping[str, Outcome]) -> list[Verdict]:
    found = list[Verdict]()
    for name in (each for each in OURS if each in outcomes):
        speed = per_second(outcomes[name])
        for other in (each for each in N8N if each in outcomes):
            found.append(_times(name, speed, other, per_second(outcomes[other])))
        found.append(Verdict(f"{name}: events a second", f"{speed:g} /s", f"aim: {AIM:g} /s", speed >= AIM))
        found += _unharmed(name, outcomes[name])
    return found


def _times(name: str, speed: float, other: str, theirs: float) -> Verdict:
    ratio = speed / theirs if theirs else 0.0
    measured = f"{ratio:.1f} × ({speed:g} / {theirs:g} /s)"
    return Verdict(f"{name} against {other}", measured, f"≥ {TIMES_N8N:g} ×", ratio >= TIMES_N8N)


def _unharmed(name: str, outcome: Outcome) -> list[Verdict]:
    return [
        Verdict(
            f"{name}: {each.name}",
            f"{each.tally.lost} lost, {each.tally.doubled} doubled of {each.tally.acked}",
            "0 and 0",
            each.tally.lost == each.tally.doubled == each.tally.unacked == 0,
        )
        for each in outcome.failures
    ]


def page(outcomes: Mapping[str, Outcome], peers: Mapping[str, Peer], found: Sequence[Verdict], about: About) -> str:
    parts = [
        _speeds(outcomes, peers),
        _failures(outcomes, peers),
        _budgets(found),
        _who(outcomes, peers, about.missing),
    ]
    lists = [("What is equal", EQUAL), ("What is not equal", NOT_EQUAL)]
    told = [f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) for title, lines in lists]
    return "\n\n".join([_intro(about), *parts, *told]) + "\n"


def _intro(about: About) -> str:
    machine = report.machine()
    return (
        f"# Draad and others, {datetime.now(UTC):%Y-%m-%d}\n\n{machine['cpus']} processors ({machine['architecture']}, "
        f"{machine['system']}), Python {machine['python']}; {about.seconds:.0f} s in all; each speed about "
        f"{about.extent.seconds:g} s, each failure {about.extent.events} events (the outage a third). Load of the machine "
        f"before: {about.load_before}. How, and how to do it again: [docs/peers.md](../../docs/peers.md)."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _speeds(outcomes: Mapping[str, Outcome], peers: Mapping[str, Peer]) -> str:
    head = [
        "",
        "senders",
        "acked /s",
        "events /s to the CRM",
        "ack p50 / p95 / p99 ms",
        "hook to CRM p50 / p95 / p99 ms",
    ]
    rows = []
    for name, outcome in outcomes.items():
        rest = outcome.rest
        rows.append([peers[name].title, "at rest", "", "", "", f"{rest.p50:.0f} / {rest.p95:.0f} / {rest.p99:.0f}"])
        for each in outcome.speeds:
            ack, whole = each.ack, each.whole
            rows.append(
                ["", f"{each.senders}", f"{each.acked_per_second:g}", f"{each.per_second:g}"]
                + [f"{one.p50:.0f} / {one.p95:.0f} / {one.p99:.0f}" for one in (ack, whole)]
            )
    return "## Speed\n\n" + _table(head, rows)


def _failures(outcomes: Mapping[str, Outcome], peers: Mapping[str, Peer]) -> str:
    head = ["", "trouble", "acked", "lost", "doubled", "never acked", "tries", "all there after s"]
    rows = []
    for name, outcome in outcomes.items():
        for number, each in enumerate(outcome.failures):
            told = each.tally
            counts = [told.acked, told.lost, told.doubled, told.unacked, each.tries]
            back = "never" if told.lost else f"{each.back:g}"
            rows.append([peers[name].title if not number else "", each.name, *map(str, counts), back])
    return "## Loss and duplicates\n\n" + _table(head, rows)


def _budgets(found: Sequence[Verdict]) -> str:
    rows = [[each.what, each.measured, each.budget, OK if each.holds else NOT_MET] for each in found]
    return "## Budgets\n\n" + _table(["what", "measured", "budget", ""], rows)


def _who(outcomes: Mapping[str, Outcome], peers: Mapping[str, Peer], missing: Mapping[str, str]) -> str:
    head = ["", "version", "licence", "peak MB", "beside it MB", "starts in s", "durable when it acks"]
    rows = [_of(peers[name], each) for name, each in outcomes.items()]
    left_out = "".join(f"\n\n{peers[name].title} is left out: {why}" for name, why in missing.items())
    return "## Who\n\n" + _table(head, rows) + left_out


def _of(peer: Peer, outcome: Outcome) -> list[str]:
    beside = f"{outcome.beside}" if outcome.beside else ""
    return [peer.title, peer.version, peer.licence, f"{outcome.megabytes}", beside, f"{outcome.started:g}", peer.stores]


def keep(
    outcomes: Mapping[str, Outcome],
    peers: Mapping[str, Peer],
    found: Sequence[Verdict],
    about: About,
    folder: Path = report.RESULTS,
) -> Path:
    """peers.json and peers.md, in the place of an earlier run's."""
    told = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "seconds": round(about.seconds, 1),
        "machine": report.machine() | {"load_before": about.load_before},
        "extent": asdict(about.extent),
        "versions": {name: peers[name].version for name in outcomes},
        "outcomes": {name: asdict(each) for name, each in outcomes.items()},
        "budgets": [asdict(each) for each in found],
        "left_out": dict(about.missing),
    }
    folder.mkdir(exist_ok=True)
    (folder / "peers.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
    path = folder / "peers.md"
    path.write_text(page(outcomes, peers, found, about), "utf-8")
    return path
