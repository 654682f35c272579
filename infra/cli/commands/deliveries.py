"""Deliveries: what each destination got or waits for, sending it again, and what is not in step."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from infra.cli import jobs
from infra.cli.api import part
from infra.cli.arguments import Group, paged, query_of, ranged, waiting
from infra.cli.desk import Desk
from infra.cli.screen import Column, clean, local, said
from infra.cli.stopped import mistyped
from infra.cli.words import moment, window

STATUSES = ("delivered", "delayed", "parked", "held", "claimed", "skipped")
COLUMNS = [
    Column("of", 19),
    Column("status", 9),
    Column("connection"),
    Column("kind"),
    Column("tried"),
    Column("ms"),
    Column("reason"),
    Column("id", key=True),
]
STATES = [
    Column("connection"),
    Column("state"),
    Column("parked"),
    Column("held"),
    Column("drift"),
    Column("id", key=True),
]
DRIFTS = [
    Column("found", 19),
    Column("connection"),
    Column("what"),
    Column("status"),
    Column("reason"),
    Column("of", key=True),
]


def add(top: Group) -> None:
    group = top.group("deliveries", "What each destination got, waits for or refused.", "deliveries list")
    listed = group.command("list", listing, "Newest event first.", "deliveries list --status parked --since 2d")
    listed.add_argument("--connection", help="only of this one, by id or name")
    listed.add_argument("--status", choices=STATUSES, help="only with this status")
    listed.add_argument("--since", metavar="WHEN", help="of events since then")
    paged(listed)
    shown = group.command("show", show, "One delivery with its last attempt.", "deliveries show del_…")
    shown.add_argument("delivery", help="its id")
    again = top.command(
        "redrive",
        redrive,
        "Attempt parked or held deliveries again: one, or those of a connection in a range.",
        "redrive del_…\nredrive --connection crm --since 2h",
    )
    again.add_argument("delivery", nargs="?", help="its id")
    again.add_argument("--connection", help="all of this one, by id or name")
    ranged(again, "of events from then on; required with --connection")
    waiting(again)
    _steps(top)


def _steps(top: Group) -> None:
    found = top.command("drift", drift, "How far each destination is behind, and what is known to differ.", "drift")
    found.add_argument("--connection", help="only of this one, by id or name")
    paged(found)
    mended = top.command(
        "reconcile",
        reconcile,
        "Compare a destination with all that it must have, and mend what differs.",
        "reconcile crm --look",
    )
    mended.add_argument("connection", help="its id or its name")
    mended.add_argument("--look", action="store_true", help="ask the system itself too: a request for each record")
    waiting(mended)


def listing(desk: Desk, args: Namespace) -> int:
    query = [("connection", desk.connection(args.connection))] if args.connection else []
    query += query_of(args, "status")
    query += [("since", moment(args.since))] if args.since else []
    return desk.listed("/v1/deliveries", query, args.all, lambda found: _table(desk, found), "deliveries")


def _table(desk: Desk, found: list[dict[str, Any]]) -> None:
    names = desk.names() if found else {}
    rows = [
        [
            local(each["occurred_at"]),
            each["status"],
            clean(names.get(each["connection"], each["connection"])),
            each["kind"],
            str(each["attempts"]),
            said(each["latency_ms"]),
            clean(each["reason"] or ""),
            each["id"],
        ]
        for each in found
    ]
    desk.table(COLUMNS, rows, "no delivery")


def show(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.get(f"/v1/deliveries/{part(args.delivery)}"), lambda found: _shown(desk, found))


def _shown(desk: Desk, found: dict[str, Any]) -> None:
    desk.described(found)


def redrive(desk: Desk, args: Namespace) -> int:
    if bool(args.delivery) == bool(args.connection):
        raise mistyped("name a delivery, or --connection and --since", "see `redrive --help`")
    if args.delivery:
        answer = desk.api.post(f"/v1/deliveries/{part(args.delivery)}/redrive")
        return desk.answer(answer, lambda found: _shown(desk, found))
    if not args.since:
        raise mistyped("a range needs its beginning", "add --since, such as --since 2h")
    body = {"connection": desk.connection(args.connection), **window(args.since, args.until)}
    return jobs.start(desk, "/v1/deliveries/redrive", dict(body), wait=not args.no_wait)


def drift(desk: Desk, args: Namespace) -> int:
    query = [("connection", desk.connection(args.connection))] if args.connection else []
    pages = desk.api.pages("/v1/drift", query + query_of(args)) if args.all else None
    found = list(pages or [desk.api.get("/v1/drift", query + query_of(args))])
    if desk.screen.bare:
        for page in found:
            desk.screen.json(page.raw)
        return 0
    _states(desk, found[0].found["destinations"])
    _differences(desk, [each for page in found for each in page.found["drift"]], found[0].found["destinations"])
    if following := found[-1].found["next"]:
        desk.screen.note(f"there is more: add --all, or --next {following}")
    return 0


def _states(desk: Desk, found: list[dict[str, Any]]) -> None:
    rows = [
        [
            clean(each["name"]),
            each["state"],
            str(each["parked"]),
            str(each["held"]),
            str(each["drift"]),
            each["connection"],
        ]
        for each in found
    ]
    desk.table(STATES, rows, "no destination yet")


def _differences(desk: Desk, found: list[dict[str, Any]], destinations: list[dict[str, Any]]) -> None:
    if not found:
        return
    names = {each["connection"]: clean(each["name"]) for each in destinations}
    desk.screen.head("known to differ; `reconcile` mends it")
    rows = [
        [
            local(each["found_at"]),
            names.get(each["connection"], each["connection"]),
            each["what"],
            said(each["status"]),
            clean(each["reason"] or ""),
            str(each["event"] or each["customer"] or each["record"] or ""),
        ]
        for each in found
    ]
    desk.table(DRIFTS, rows)


def reconcile(desk: Desk, args: Namespace) -> int:
    body = {"connection": desk.connection(args.connection), "look": args.look}
    return jobs.start(desk, "/v1/reconcile", body, wait=not args.no_wait)
