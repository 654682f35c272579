"""Redact: what one account at a provider brought goes, when that provider demands it of all at once.

    brought   page by page of the whole table: its events with what they left, its fields, receipts
    leave     once more: the accounts of that place, and contact points that only they were known by
    settle    wait for whoever was at work when it began; then both once more

What the customers told us by other ways stays, and so they do; a copy in a destination stays too,
and the certificate says so. Every step may run again.
"""

from __future__ import annotations

from chalicelib.context import erase
from chalicelib.context.record import rules_of
from chalicelib.settings import settings
from chalicelib.store import organisation, receipts
from chalicelib.store.jobs import Job, Turn, cursor, place
from chalicelib.store.table import Delete, Table
from chalicelib.workers.erase import RUNS_OUT, line
from chalicelib.workers.fanout import receivers

PAGE = 100
ANCHOR = "shop"
FIRST = "brought|0|"


def run(table: Table, job: Job) -> Turn:
    step, round_, rest = (job.cursor or FIRST).split("|", 2)
    return STEPS[step](table, job, round_, rest)


def _brought(table: Table, job: Job, round_: str, rest: str) -> Turn:
    connection = str(job.params["connection"])
    page = table.scan(place(rest), PAGE)
    found = erase.brought_by(table, page.items, connection, str(job.params["at"]))
    for key in found.receipts:
        receipts.blank(table, key)
    if page.next:
        return Turn(f"brought|{round_}|{cursor(page.next)}", found.count)
    for item in table.query(f"C#{connection}", begins="FETCH#").items:
        table.write(Delete((item["pk"], item["sk"])))
    line(table, job, "events, fields, receipts", "erased")
    return Turn(f"leave|{round_}|", found.count)


def _leave(table: Table, job: Job, round_: str, rest: str) -> Turn:
    page = table.scan(place(rest), PAGE)
    rules = rules_of(organisation.read(table))
    gone = erase.leave(table, rules, page.items, ANCHOR, str(job.params["scope"]), str(job.params["at"]))
    if page.next:
        return Turn(f"leave|{round_}|{cursor(page.next)}", gone)
    line(table, job, "accounts, and contact points known by them alone", "erased")
    if round_ == "0":
        return Turn("brought|1|", gone, delay=settings().erase_settle_seconds)
    return _done(table, job, gone)


def _done(table: Table, job: Job, gone: int) -> Turn:
    for each in receivers(table):
        if not each.deleted:
            line(table, job, f"destination {each.id}", "stays", "erase its customers one by one where they must go")
    for what, detail in RUNS_OUT.items():
        line(table, job, what, "runs out by itself", detail)
    return Turn("", gone)


STEPS = {"brought": _brought, "leave": _leave}
