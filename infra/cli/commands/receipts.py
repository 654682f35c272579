"""Receipts: what arrived, as it comes, and doing it again."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, Namespace
from typing import Any

import wcwidth

from infra.cli import jobs, tail
from infra.cli.api import part
from infra.cli.arguments import Group, paged, query_of, ranged, waiting
from infra.cli.desk import Desk
from infra.cli.screen import GAP, Column, clean, local
from infra.cli.stopped import mistyped
from infra.cli.words import moment, window

VERDICTS = ("accepted", "duplicate", "ignored", "malformed", "failed")
COLUMNS = [
    Column("received", 19),
    Column("verdict", 9),
    Column("connection"),
    Column("became"),
    Column("reason"),
    Column("id", key=True),
]
TAILED = [Column("received"), Column("verdict"), Column("connection"), Column("became"), Column("id", key=True)]
FIXED, LEAST = [19, 9, 20], 24
"""Widths of the first columns of a tail, and the least of the last one."""


def add(top: Group) -> None:
    group = top.group("receipts", "What arrived, and what became of it.", "receipts list")
    listed = group.command("list", listing, "Newest first.", "receipts list --verdict failed --since 2d")
    _filters(listed)
    listed.add_argument("--since", metavar="WHEN", help="back to then; default: seven days ago")
    paged(listed)
    shown = group.command("show", show, "One receipt: the request as it came, and the events.", "receipts show rcp_…")
    shown.add_argument("receipt", help="its id")
    _tail(group)
    _replay(top)


def _filters(parser: ArgumentParser) -> None:
    parser.add_argument("--connection", help="only of this one, by id or name")
    parser.add_argument("--verdict", choices=VERDICTS, help="only with this verdict")


def _tail(group: Group) -> None:
    parser = group.command(
        "tail",
        tailed,
        "The newest receipts, oldest first; with -f go on and show each new one once, also after the hub was away.\n"
        "A webhook that came before the last minute and is read only now is not new.",
        'receipts tail -f --connection "web chat"',
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("-n", type=int, default=10, metavar="N", help="how many to begin with, at most 200 (10)")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="how often to look (2)")
    _filters(parser)


def _replay(top: Group) -> None:
    parser = top.command(
        "replay",
        replay,
        "Take receipts in again: one, or those of a connection in a range. What is known stays as it is.",
        "replay rcp_…\nreplay --connection shop --since 2h",
    )
    parser.add_argument("receipt", nargs="?", help="its id")
    parser.add_argument("--connection", help="all of this one, by id or name")
    ranged(parser, "from then on; required with --connection")
    waiting(parser)


def listing(desk: Desk, args: Namespace) -> int:
    query = _query(desk, args)
    query += [("since", moment(args.since))] if args.since else []
    return desk.listed("/v1/receipts", query, args.all, lambda found: _table(desk, found), "receipts")


def _query(desk: Desk, args: Namespace) -> list[tuple[str, str]]:
    connection = [("connection", desk.connection(args.connection))] if args.connection else []
    return [*connection, *query_of(args, "verdict")]


def _table(desk: Desk, found: list[dict[str, Any]]) -> None:
    names = desk.names() if found else {}
    desk.table(COLUMNS, [_row(each, names) for each in found], "no receipt")


def _row(found: dict[str, Any], names: dict[str, str]) -> list[str]:
    whose = names.get(found["connection"], found["connection"])
    marks = [name for name in ("test", "missed") if found.get(name)]
    return [
        local(found["received_at"]),
        found["verdict"],
        clean(whose),
        " ".join([became(found["events"]), *marks]),
        clean(found["reason"] or ""),
        found["id"],
    ]


def became(events: list[dict[str, Any]]) -> str:
    """`message webchat in`; of many the first and how many more."""
    if not events:
        return "–"
    first = " ".join(str(events[0][name]) for name in ("type", "channel", "direction") if events[0].get(name))
    return clean(first) + (f" +{len(events) - 1}" if len(events) > 1 else "")


def show(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.get(f"/v1/receipts/{part(args.receipt)}"), lambda found: _shown(desk, found))


def _shown(desk: Desk, found: dict[str, Any]) -> None:
    desk.described(found, "events", "headers", "body", "body_base64", "fetched")
    for each in found["events"]:
        desk.screen.head(f"event {each['id']}")
        desk.described(each, "id")
    if found["headers"]:
        desk.screen.head("headers (what authenticates is left out)")
        desk.screen.fields((f"  {clean(name)}", clean(str(value))) for name, value in found["headers"])
    body = found["body"] if found["body"] is not None else found["body_base64"]
    if body is not None:
        desk.screen.head("body" if found["body"] is not None else "body (base64)")
        for line in _pretty(body).split("\n"):
            desk.screen.line(f"  {clean(line)}")


def _pretty(text: str) -> str:
    """JSON with its lines; anything else as it came."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text.replace("\r\n", "\n")


def tailed(desk: Desk, args: Namespace) -> int:
    if not 0 <= args.n <= 200 or args.every < 0.1:
        raise mistyped("-n takes 0 to 200, --every at least 0.1", "mend that number")
    lines = Lines(desk)
    found = tail.Tail(desk.api, _query(desk, args), lines.show, time.monotonic)
    found.begin(args.n)
    if args.follow:
        tail.follow(found, args.every, desk.api.sleep, desk.screen.note)
    return 0


class Lines:
    """Receipts as lines whose widths are fixed, because nobody knows what comes."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.names: dict[str, str] = {}

    def show(self, rows: list[dict[str, Any]]) -> None:
        screen = self.desk.screen
        if not screen.bare and any(row["connection"] not in self.names for row in rows):
            self.names = {row["connection"]: row["connection"] for row in rows} | self.desk.names()
        for row in rows:
            if screen.bare:
                screen.json(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
            else:
                self._line(row)

    def _line(self, row: dict[str, Any]) -> None:
        *first, events, reason, id = _row(row, self.names)
        last = f"{events}  {reason}" if reason else events
        room = self.desk.screen.width - sum(FIXED) - len(GAP) * len(FIXED)
        wide = room >= LEAST + len(GAP) + len(id)
        width = max(LEAST, wcwidth.width(last)) if wide else max(room, LEAST)
        self.desk.screen.row(TAILED, [*first, last, id], [*FIXED, width], one_line=wide)


def replay(desk: Desk, args: Namespace) -> int:
    if bool(args.receipt) == bool(args.connection):
        raise mistyped("name a receipt, or --connection and --since", "see `replay --help`")
    if args.receipt:
        return jobs.start(desk, f"/v1/receipts/{part(args.receipt)}/replay", {}, wait=not args.no_wait)
    if not args.since:
        raise mistyped("a range needs its beginning", "add --since, such as --since 2h")
    body = {"connection": desk.connection(args.connection), **window(args.since, args.until)}
    return jobs.start(desk, "/v1/receipts/replay", dict(body), wait=not args.no_wait)
