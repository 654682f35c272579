"""How much a job over a range has to do, where a bounded look at its beginning can tell; else jobs.UNKNOWN.

A backfill and a reconcile look at the whole table for what is missing: how much that is, only they find out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chalicelib.model import instants
from chalicelib.store import deliveries, jobs, receipts
from chalicelib.store.table import Table

MOST_OPEN = 1000
"""Entries of an index, of which one request reads thousands."""
MOST_RECEIPTS, MOST_DAYS = 200, 35
"""Each with its body, and days with a request each: as much as looking at a connection costs."""


def of_redrive(table: Table, window: Mapping[str, str], states: Iterable[str]) -> int:
    found = 0
    for state in states:
        page = deliveries.open_in(table, state, window["connection"], window["since"], window["until"], MOST_OPEN + 1)
        found += len(page.items)
    return found if found <= MOST_OPEN else jobs.UNKNOWN


def of_replay(table: Table, window: Mapping[str, str]) -> int:
    since, until = window["since"], window["until"]
    days = instants.days_between(instants.day(since), instants.day(until))
    found = 0
    for day in days if len(days) <= MOST_DAYS else ():
        page = receipts.between(table, window["connection"], day, since, until, MOST_RECEIPTS + 1)
        found += len(page.items)
        if found > MOST_RECEIPTS:
            return jobs.UNKNOWN
    return found if len(days) <= MOST_DAYS else jobs.UNKNOWN
