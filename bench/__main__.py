"""`python -m bench [--only hook,imports,storage,cost,growth,retries,drain] [--nightly] [--keep-nothing]`

What the documents tell is read from the newest result, so a run of some parts keeps none; but growth, by itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from bench import cost, drain, growth, hook, imports, indexed, report, retries
from bench.cases import IDENTIFIED, Budget, Case
from bench.counting import COUNTED
from bench.deliveries import DELIVERED
from bench.looks import LOOKS
from bench.meter import Bill
from bench.others import OTHERS
from bench.refs import REFERRED
from bench.report import Row, verdict
from bench.stage import World, memory_stage

SHORT, LONG, NIGHTLY = 10, 1_000, 100_000
LOOKED = 100, 10_000
"""Histories on which looks are measured."""


def hook_rows(night: bool) -> Iterable[Row]:
    found = hook.measured()
    for each in found:
        if each.provider in hook.FIXTURES:
            yield hook_row(f"warm hook, {each.provider}, {each.body_bytes:,} bytes", each, asdict(each))
    dearest = max(found, key=lambda each: each.ratio)
    name = f"warm hook, the dearest of {len(found)} ({dearest.provider}), {dearest.body_bytes:,} bytes"
    yield hook_row(name, dearest, {each.provider: asdict(each) for each in found})


def hook_row(name: str, each: hook.Warm, numbers: dict[str, Any]) -> Row:
    return Row(
        name,
        f"{each.ratio:.2f} × a bare route ({each.hub_us:.0f} / {each.bare_us:.0f} µs)",
        f"≤ {hook.BUDGET:g} ×",
        verdict(each.ratio <= hook.BUDGET),
        numbers,
    )


def import_rows(night: bool) -> Iterable[Row]:
    found = imports.measured()
    yield Row(
        "import of the hook path",
        f"{found.ratio:.2f} × Chalice and one SQS client ({found.hook_ms:.0f} / {found.floor_ms:.0f} ms)",
        f"≤ {imports.BUDGET:g} ×",
        verdict(found.ratio <= imports.BUDGET),
        asdict(found),
    )
    yield Row("first hook of a process, with its four clients", f"{found.call_ratio:.2f} × ({found.call_ms:.0f} ms)")
    used = imports.first_uses()
    most = used.milliseconds[used.heaviest]
    yield Row(
        f"first use of a source, the heaviest of {len(used.milliseconds)} ({used.heaviest})",
        f"{most / found.floor_ms:.1%} of Chalice and one SQS client ({most:.1f} / {found.floor_ms:.0f} ms)",
        f"≤ {imports.FIRST_USE:.1%}",
        verdict(most / found.floor_ms <= imports.FIRST_USE),
        asdict(used),
    )


def storage_rows(night: bool) -> Iterable[Row]:
    """Each case on a stage of its own, so that long histories do not add up."""
    longest = (NIGHTLY,) if night else ()
    rows = [(case, (SHORT, LONG, *longest)) for case in IDENTIFIED + REFERRED + DELIVERED + OTHERS + COUNTED]
    for case, lengths in [*rows, *((case, (*LOOKED, *longest)) for case in LOOKS)]:
        with memory_stage():
            world = World()
            yield storage_row(case, {entries: case.run(world, entries) for entries in lengths})


def storage_row(case: Case, bills: dict[int, Bill]) -> Row:
    """Measured at the shortest history; a case that has a budget holds it at every length."""
    (_, first), *rest = bills.items()
    others = [f"same at {entries:,}" if bill == first else f"{_spent(bill)} at {entries:,}" for entries, bill in rest]
    budgeted = case.budget != Budget(None)
    return Row(
        case.name,
        "; ".join([_spent(first), *others]),
        _budget(case.budget),
        verdict(all(map(case.budget.holds, bills.values()))) if budgeted else "",
        {str(entries): asdict(bill) for entries, bill in bills.items()},
    )


def _spent(bill: Bill) -> str:
    read = f"{bill.read_units:g} RU in {bill.reads} requests, {bill.read_bytes:,.0f} bytes"
    if not (bill.write_units or bill.writes):
        return read
    return f"{bill.write_units:g} WU in {bill.writes}, {bill.written_bytes:,.0f} bytes; {read}"


def _budget(budget: Budget) -> str:
    bounds = ((budget.write_units, "WU"), (budget.read_units, "RU"), (budget.requests, "requests"))
    return ", ".join(f"≤ {bound:g} {unit}" for bound, unit in bounds if bound is not None)


def cost_rows(night: bool) -> Iterable[Row]:
    with memory_stage():
        for each in cost.measured(World()):
            parts = f"API {each.api_gateway:.2f}, Lambda {each.compute:.2f}, SQS {each.queues:.2f}"
            yield Row(
                f"a million webhooks of 4 KB: {each.name}",
                f"${each.total:.2f} ({parts}, writes {each.writes:.2f}, reads {each.reads:.2f})",
                f"≤ ${each.budget:g}" if each.budget else "",
                verdict(each.total <= each.budget) if each.budget else "",
                asdict(each) | {"total": each.total},
            )


FLAT = "flat"


def growth_rows(night: bool) -> Iterable[Row]:
    """Requests must be the same after any history; milliseconds are told."""
    found, without = growth.measured(), indexed.why_not()
    for each in found:
        flat = len(set(each.requests.values())) == 1
        spans = ", ".join(f"{entries:,}" for entries in each.requests)
        told = f"{next(iter(each.requests.values()))} requests" if flat else f"{list(each.requests.values())} requests"
        yield Row(f"{each.name}, at {spans} entries", told, FLAT, verdict(flat), asdict(each))
        if each.ms:
            spent = ", ".join(f"{ms:.0f}" for ms in each.ms.values())
            yield Row(f"{each.name}, on an indexed engine, at the same", f"{spent} ms")
    if without:
        yield Row("looks on an indexed engine", f"not run: {without}")


def retry_rows(night: bool) -> Iterable[Row]:
    for each in retries.measured():
        yield Row(
            f"retries of {each.workers} workers on one customer, {each.kind}",
            f"{each.lost:.2f} a change, {each.most} at most ({each.changes} changes, {each.changes_per_second:.0f} /s)",
            f"model: {retries.MODEL[each.kind]}",
            "",
            asdict(each),
        )


def drain_rows(night: bool) -> Iterable[Row]:
    found = drain.measured()
    numbers = asdict(found)
    yield Row(f"acked, {found.webhooks} webhooks by 16 senders", f"{found.acked_per_second:.0f} /s", "", "", numbers)
    if found.cpu_seconds:
        spent = ", ".join(f"{name} {seconds:g}" for name, seconds in found.cpu_seconds.items())
        yield Row("processor seconds of that", spent)
    yield Row("events on timelines", f"{found.events_per_second:.1f} /s", "aim: 100 /s")
    yield Row("delivered to a CRM and a partner", f"{found.deliveries_per_second:.1f} /s")
    yield Row("batches with a message that came again", f"{found.batches_again}")
    for name, latency in (("at rest", found.calm), ("under load", found.burst)):
        yield Row(f"hook to partner, {name}", f"p50 {latency.p50:.0f} ms, p95 {latency.p95:.0f} ms")


PARTS: dict[str, Callable[[bool], Iterable[Row]]] = {
    "hook": hook_rows,
    "imports": import_rows,
    "storage": storage_rows,
    "cost": cost_rows,
    "growth": growth_rows,
    "retries": retry_rows,
    "drain": drain_rows,
}


def main() -> int:
    """1 when a budget is exceeded."""
    wanted = _arguments()
    begun, rows = time.monotonic(), list[Row]()
    for name in wanted.only:
        _say(f"{name} …")
        for row in PARTS[name](wanted.nightly):
            rows.append(row)
            _say(f"  {row.what}: {row.measured}")
    print(report.table(rows))
    if wanted.only != list(PARTS):
        _say("not kept: only a run of all parts is")
    elif not wanted.keep_nothing:
        path = report.keep(rows, time.monotonic() - begun)
        _say(f"kept in bench/results/{path.name}")
    if "growth" in wanted.only and not wanted.keep_nothing:
        found = [growth.Grown(**row.numbers) for row in rows if row.budget == FLAT]
        growth.keep(found, indexed.why_not())
        growth.draw(growth.PICTURES)
    return int(any(row.verdict == report.OVER for row in rows))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the budgets; print one table.")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--nightly", action="store_true", help=f"histories of {NIGHTLY:,} events too")
    parser.add_argument("--keep-nothing", action="store_true", help="write no files")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part is called {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
