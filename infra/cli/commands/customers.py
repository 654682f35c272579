"""Customers: found, shown, their history, what each system has of it, and what people decide about who is who."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from infra.cli.api import part
from infra.cli.arguments import Group, paged, query_of, ranged
from infra.cli.desk import Desk
from infra.cli.screen import Column, clean, local, said, told
from infra.cli.words import window

FOUND = [Column("name"), Column("identities"), Column("id", key=True)]
ENTRIES = [Column("when", 19), Column("channel"), Column("type"), Column("dir"), Column("what")]
SYNCED = [
    Column("destination"),
    Column("state"),
    Column("delivered"),
    Column("behind"),
    Column("parked"),
    Column("contact"),
]
AUDITED = [Column("at", 19), Column("action"), Column("by"), Column("identities"), Column("reason")]
IDENTITIES = [Column("identity"), Column("assurance"), Column("first seen", 19), Column("last seen", 19)]


def add(top: Group) -> None:
    group = top.group(
        "customers", "Who they are, their history, and who is who.", "customers find email:jan@example.nl"
    )
    found = group.command(
        "find",
        find,
        "By identities, such as email:jan@example.nl, or by an order number or the first letters of a name.",
        'customers find phone:0612345678\ncustomers find "de Vries"',
    )
    found.add_argument("what", nargs="+", help="identities, or one number or name")
    _one(group, "show", show, "One customer whole.")
    history = _one(group, "timeline", timeline, "His history, newest first.", "--channel webchat --since 30d")
    history.add_argument("--channel", action="append", default=[], help="only this one; repeatable")
    history.add_argument("--type", action="append", default=[], help="only this type of event; repeatable")
    ranged(history, "back to then")
    paged(history)
    _one(group, "sync", sync, "What each destination has of his history.")
    paged(_one(group, "audit", audit, "Who joined or parted what, and why; newest first."))
    _decisions(group)
    link = top.command(
        "magic-link",
        magic_link,
        "A link that opens one customer's page for whoever holds it, to read only.",
        "magic-link email:jan@example.nl --hours 2",
    )
    link.add_argument("customer", help="his id, or an identity that is his alone")
    link.add_argument("--hours", type=float, default=8.0, help="how long it opens, at most 168 (8)")


def _one(group: Group, name: str, run: Any, about: str, more: str = "") -> ArgumentParser:
    parser = group.command(name, run, about, f"customers {name} email:jan@example.nl {more}".rstrip())
    parser.add_argument("customer", help="his id, or an identity that is his alone")
    return parser


def _decisions(group: Group) -> None:
    for name, run, about in (
        ("link", link, "These two identities, or conversations, are one."),
        ("cut", cut, "These two identities, or conversations, are not one."),
    ):
        parser = group.command(
            name, run, about, f'customers {name} phone:0612345678 email:jan@example.nl --reason "he says so" --dry-run'
        )
        parser.add_argument("a", help="an identity, or a conversation's id")
        parser.add_argument("b", help="the other one")
        parser.add_argument("--reason", required=True, help="why; it is kept")
        parser.add_argument("--dry-run", action="store_true", help="show what would become of it and change nothing")
        if name == "link":
            parser.add_argument("--force", action="store_true", help="whatever speaks against it; for an admin")
    for name, run, about in (("unlink", unlink, "Take a link back."), ("uncut", uncut, "Take a cut back.")):
        parser = group.command(name, run, about, f'customers {name} ID --reason "it was a mistake"')
        parser.add_argument("id", help="as `link`, `cut` gave it")
        parser.add_argument("--reason", default="", help="why; it is kept")
        parser.add_argument("--dry-run", action="store_true", help="show what would become of it and change nothing")


def find(desk: Desk, args: Namespace) -> int:
    by_identity = all(":" in each for each in args.what)
    query = [("identity", each) for each in args.what] if by_identity else [("q", " ".join(args.what))]
    return desk.answer(desk.api.get("/v1/customers", query), lambda found: _found(desk, found))


def _found(desk: Desk, found: dict[str, Any]) -> None:
    rows = [[said(each["name"]), said(each["identities"]), each["id"]] for each in found["customers"]]
    desk.table(FOUND, rows, "nobody")
    if rows and found["match"] == "candidate":
        desk.screen.note("candidates: what was asked for is not one customer's alone")


def _path(desk: Desk, args: Namespace, below: str = "") -> str:
    return f"/v1/customers/{part(desk.customer(args.customer))}{below}"


def show(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.get(_path(desk, args)), lambda found: _shown(desk, found))


def _shown(desk: Desk, found: dict[str, Any]) -> None:
    lists = ("identities", "fields", "contacts", "conflicts", "candidates", "orders", "conversations")
    desk.described(found, *lists)
    if found["fields"]:
        desk.screen.head("fields")
        desk.screen.fields((f"  {clean(name)}", said(each["value"])) for name, each in found["fields"].items())
    desk.screen.head("identities")
    desk.table(IDENTITIES, [_identity(each) for each in found["identities"]])
    for name in lists[2:]:
        if found.get(name):
            desk.screen.head(name)
            for each in found[name]:
                desk.screen.line(f"  {', '.join(f'{key} {told(key, value)}' for key, value in each.items() if value)}")


def _identity(each: dict[str, Any]) -> list[str]:
    text = each.get("identity") or each.get("text") or ""
    seen = [local(each.get(name)) for name in ("first_seen", "last_seen")]
    return [clean(str(text)), said(each.get("assurance")), *seen]


def timeline(desk: Desk, args: Namespace) -> int:
    query = [(name, each) for name in ("channel", "type") for each in getattr(args, name)]
    query += [*window(args.since, args.until).items(), *query_of(args)]
    return desk.listed(_path(desk, args, "/timeline"), query, args.all, lambda rows: _history(desk, rows), "entries")


def _history(desk: Desk, found: list[dict[str, Any]]) -> None:
    rows = [
        [
            local(each["occurred_at"]),
            said(each["channel"]),
            said(each["type"]),
            said(each.get("direction")),
            clean(str(each.get("summary") or each.get("text") or "")),
        ]
        for each in found
    ]
    desk.table(ENTRIES, rows, "no entry")


def sync(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.get(_path(desk, args, "/sync")), lambda found: _synced(desk, found))


def _synced(desk: Desk, found: dict[str, Any]) -> None:
    rows = [
        [
            clean(each["name"]),
            each["state"],
            str(each["delivered"]),
            str(len(each["behind"])),
            str(len(each["parked"])),
            said(each["contact"]),
        ]
        for each in found["destinations"]
    ]
    desk.table(SYNCED, rows, "no destination is told of customers")
    for each in found["destinations"]:
        for late in (*each["behind"], *each["parked"]):
            told = f"{late['type']} {late['status']}  {late['reason'] or ''}".rstrip()
            desk.screen.line(f"  {clean(each['name'])}: {clean(told)}  {said(late['delivery'])}")


def audit(desk: Desk, args: Namespace) -> int:
    path = _path(desk, args, "/audit")
    return desk.listed(path, query_of(args), args.all, lambda rows: _audited(desk, rows), "entries")


def _audited(desk: Desk, found: list[dict[str, Any]]) -> None:
    rows = [
        [local(each["at"]), each["action"], said(each["by"]), said(each["identities"]), said(each["reason"])]
        for each in found
    ]
    desk.table(AUDITED, rows, "nobody decided anything")


def link(desk: Desk, args: Namespace) -> int:
    body = {"a": args.a, "b": args.b, "reason": args.reason} | ({"force": True} if args.force else {})
    return _decided(desk, "POST", "/v1/links", _dry(args), body)


def cut(desk: Desk, args: Namespace) -> int:
    return _decided(desk, "POST", "/v1/cuts", _dry(args), {"a": args.a, "b": args.b, "reason": args.reason})


def unlink(desk: Desk, args: Namespace) -> int:
    return _decided(desk, "DELETE", f"/v1/links/{part(args.id)}", _dry(args), _why(args))


def uncut(desk: Desk, args: Namespace) -> int:
    return _decided(desk, "DELETE", f"/v1/cuts/{part(args.id)}", _dry(args), _why(args))


def _dry(args: Namespace) -> list[tuple[str, str]]:
    return [("dry_run", "true")] if args.dry_run else []


def _why(args: Namespace) -> dict[str, Any] | None:
    """In the body: what stands in an address may be logged."""
    return {"reason": args.reason} if args.reason else None


def _decided(
    desk: Desk, method: str, path: str, query: list[tuple[str, str]], body: dict[str, Any] | None = None
) -> int:
    return desk.answer(desk.api.ask(method, path, query, body), lambda found: _outcome(desk, found))


def _outcome(desk: Desk, found: dict[str, Any]) -> None:
    if found["dry_run"]:
        desk.screen.line("nothing is changed; it would be:")
    desk.described(found, "customers", "conflicts", "dry_run")
    for when in ("before", "after"):
        desk.screen.head(when)
        for each in found["customers"][when]:
            desk.screen.line(f"  {each['id']}  {said(each['identities'])}")
    for each in found["conflicts"]:
        desk.screen.line(f"  conflict {clean(each['kind'])}: {said(each['identities'])}")


def magic_link(desk: Desk, args: Namespace) -> int:
    body = {"customer": desk.customer(args.customer), "expires_in": round(args.hours * 3600)}
    return desk.answer(desk.api.post("/v1/magic-links", body), lambda found: _link(desk, found))


def _link(desk: Desk, found: dict[str, Any]) -> None:
    desk.screen.line(found["url"])
    desk.screen.note(f"whoever has it can read this customer's page until {local(found['expires_at'], zone=True)}")
