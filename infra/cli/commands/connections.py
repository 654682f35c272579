"""The catalogue, and connections: make, look at, change, stop, rotate, try."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from infra.cli import jobs
from infra.cli.api import part
from infra.cli.arguments import Group, paged, query_of, ranged, waiting
from infra.cli.desk import Desk
from infra.cli.screen import Column, clean, document, local, said, told
from infra.cli.stopped import FAILED, OK, Stopped, mistyped
from infra.cli.words import Secrets, file_json, settings, window

CATALOGUE = [Column("slug"), Column("name"), Column("kind"), Column("grade"), Column("channels"), Column("events")]
LISTED = [Column("name"), Column("provider"), Column("status"), Column("last event", 19), Column("id", key=True)]
SHOWN_ELSEWHERE = ("refusals", "settings", "secrets", "counts", "job")
TRIES, PAUSE = 40, 0.5
"""Until the sample has been read: twenty seconds."""


def add(top: Group) -> None:
    found = top.command(
        "providers",
        providers,
        "The catalogue: which systems there are; with a slug what one needs and how to set it up.",
        "providers --search mail\nproviders generic",
    )
    found.add_argument("slug", nargs="?", help="one of the catalogue")
    found.add_argument("--kind", choices=("source", "destination", "both"), help="only these")
    found.add_argument("--search", default="", metavar="TEXT", help="only whose name or channels hold this text")
    group = top.group("connections", "Accounts at providers.", "connections list")
    paged(group.command("list", listing, "Every connection with its state.", "connections list"))
    _one(group, "show", show, "One connection: state, settings, what was refused and why.")
    _create(group)
    _change(group)
    _one(group, "pause", pause, "Stop telling a destination; what it must get is held.")
    _one(group, "resume", resume, "Go on. What was held meanwhile is sent by a job, which is followed.", wait=True)
    _rotate(group)
    _one(group, "test", test, "Send a signed sample the real way: no customer is made, nothing is delivered.")
    _one(group, "delete", delete, "Stop a connection for good. Its receipts and deliveries stay until their time.")
    _ranges(top)


def _one(group: Group, name: str, run: Any, about: str, *, wait: bool = False) -> ArgumentParser:
    parser = group.command(name, run, about, f'connections {name} "web chat"')
    parser.add_argument("connection", help="its id or its name")
    if wait:
        waiting(parser)
    return parser


def _create(group: Group) -> None:
    parser = group.command(
        "create",
        create,
        "Register a connection. Secrets come from a prompt, standard input, a file or the environment, never from the\n"
        "command line. On a terminal the required ones are asked for by themselves.",
        'connections create generic --name "web chat" --setting auth=bearer --secret-from token=file:token.txt\n'
        "connections create webhook --name partner --setting url=https://partner.example/hook --secret signing_secret",
    )
    parser.add_argument("provider", help="its slug in the catalogue")
    parser.add_argument("--name", default="", help="what people call it; default: the provider's name")
    _given(parser)


def _change(group: Group) -> None:
    parser = group.command(
        "change",
        change,
        "Change what is named; the rest stays. An empty value takes a setting away.",
        'connections change "web chat" --setting region=BE --setting account=',
    )
    parser.add_argument("connection", help="its id or its name")
    parser.add_argument("--name", default="", help="a new name")
    _given(parser)


def _given(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--setting", action="append", default=[], metavar="NAME=VALUE", help="one of the provider's; repeatable"
    )
    _secrets(parser)
    parser.add_argument("--mapping", metavar="FILE", help="JSON with the mapping; - is standard input")
    parser.add_argument("--subscription", metavar="FILE", help="JSON with what a destination gets; - is standard input")


def _secrets(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME", help="ask for it, or read a line of standard input"
    )
    parser.add_argument(
        "--secret-from",
        action="append",
        default=[],
        metavar="NAME=WHERE",
        help="file:PATH or env:VARIABLE; repeatable",
    )


def _rotate(group: Group) -> None:
    parser = group.command(
        "rotate",
        rotate,
        "Add new secrets beside the old ones, which stay valid until they are dropped.",
        'connections rotate "web chat" --secret-from token=file:new-token.txt',
    )
    parser.add_argument("connection", help="its id or its name")
    _secrets(parser)
    parser.add_argument("--drop-old", action="store_true", help="the old ones are not valid any more")


def _ranges(top: Group) -> None:
    for name, run, about in (
        ("backfill", backfill, "Bring to a destination what happened before it was there; again is harmless."),
        ("catch-up", catch_up, "Ask a provider for what it never delivered; default: of the last three days."),
    ):
        parser = top.command(name, run, about, f"{name} shop --since 7d")
        parser.add_argument("connection", help="its id or its name")
        ranged(parser, "from then on")
        waiting(parser)


def providers(desk: Desk, args: Namespace) -> int:
    if args.slug:
        return desk.answer(desk.api.get(f"/v1/providers/{part(args.slug)}"), lambda found: _steps(desk, found))
    answer = desk.api.get("/v1/providers")
    return desk.answer(answer, lambda found: _catalogue(desk, found["providers"], args))


def _catalogue(desk: Desk, found: list[dict[str, Any]], args: Namespace) -> None:
    wanted = args.search.casefold()
    rows = [
        [each["slug"], each["name"], each["kind"], each["grade"], said(each["channels"]), said(each["event_types"])]
        for each in found
        if args.kind in (None, each["kind"])
        and wanted in f"{each['slug']} {each['name']} {' '.join(each['channels'])}".casefold()
    ]
    desk.table(CATALOGUE, rows, "no such provider: leave out --search to see all")


def _steps(desk: Desk, found: dict[str, Any]) -> None:
    names = ("name", "kind", "grade", "channels", "event_types", "catches_up", "unverified", "docs")
    desk.screen.fields((name, said(found[name])) for name in names)
    if found["setup"]:
        desk.screen.head("setup")
    for number, step in enumerate(found["setup"], 1):
        desk.screen.line(f"  {number}. {clean(step)}")
    for name in ("settings", "secrets"):
        properties, required = found[name]["properties"], found[name]["required"]
        if properties:
            desk.screen.head(name)
            desk.screen.fields((f"  {each}", _meant(schema, each in required)) for each, schema in properties.items())


def _meant(schema: dict[str, Any], required: bool) -> str:
    parts = [
        "required" if required else "",
        f"one of {said(schema['enum'])}" if schema.get("enum") else "",
        f"default {said(schema['default'])}" if "default" in schema else "",
    ]
    limits = "; ".join(each for each in parts if each)
    about = ": ".join(clean(schema[name]) for name in ("title", "description") if schema.get(name))
    return f"{about} ({limits})" if limits else about


def listing(desk: Desk, args: Namespace) -> int:
    return desk.listed("/v1/connections", query_of(args), args.all, lambda found: _table(desk, found), "connections")


def _table(desk: Desk, found: list[dict[str, Any]]) -> None:
    rows = [
        [clean(each["name"]), each["provider"], each["status"], local(each["last_event_at"]), each["id"]]
        for each in found
    ]
    desk.table(LISTED, rows, f"no connection yet: {desk.command('connections create --help')}")


def show(desk: Desk, args: Namespace) -> int:
    answer = desk.api.get(_path(desk, args))
    return desk.answer(answer, lambda found: _shown(desk, found))


def _shown(desk: Desk, found: dict[str, Any]) -> None:
    written = {name: document(found[name]) for name in ("subscription", "mapping") if found.get(name)}
    desk.screen.fields(_plain(found) | written)
    for name in ("settings", "secrets", "counts"):
        if found.get(name):
            desk.screen.head({"secrets": "secrets (how many of each are valid)"}.get(name, name))
            desk.screen.fields((f"  {each}", said(value)) for each, value in found[name].items())
    if refusals := found.get("refusals"):
        desk.screen.head("refused lately: usually a wrong secret; compare it with the provider's")
        for each in refusals:
            desk.screen.line(f"  {said(each)}")


def _plain(found: dict[str, Any]) -> dict[str, str]:
    return {name: told(name, value) for name, value in found.items() if name not in SHOWN_ELSEWHERE}


def _path(desk: Desk, args: Namespace, below: str = "") -> str:
    return f"/v1/connections/{part(desk.connection(args.connection))}{below}"


def create(desk: Desk, args: Namespace) -> int:
    provider = desk.api.get(f"/v1/providers/{part(args.provider)}").found
    body = {"provider": provider["slug"], "name": args.name or provider["name"]} | _named(desk, args, provider)
    missing = [] if not desk.keyboard.isatty() else _missing(provider, body)
    if missing:
        body["secrets"] = {**body.get("secrets", {}), **Secrets(desk.keyboard).read(missing, [])}
    answer = desk.api.post("/v1/connections", body)
    return desk.answer(answer, lambda found: _made(desk, found))


def _missing(provider: dict[str, Any], body: dict[str, Any]) -> list[str]:
    given = body.get("secrets", {})
    return [name for name in provider["secrets"]["required"] if name not in given]


def _named(desk: Desk, args: Namespace, provider: dict[str, Any]) -> dict[str, Any]:
    """What the options say, in the API's form. Standard input serves one of them."""
    if [args.mapping, args.subscription].count("-") + bool(args.secret and not desk.keyboard.isatty()) > 1:
        raise mistyped("standard input is asked for more than one thing", "name files instead of -")
    found: dict[str, Any] = {"settings": settings(args.setting, provider["settings"]["properties"])}
    found["secrets"] = Secrets(desk.keyboard).read(args.secret, args.secret_from)
    for name in ("mapping", "subscription"):
        if getattr(args, name):
            found[name] = file_json(getattr(args, name), desk.keyboard)
    return {name: value for name, value in found.items() if value != {}}


def _made(desk: Desk, found: dict[str, Any]) -> None:
    _shown(desk, found)
    desk.screen.line()
    if found["hook_url"]:
        desk.screen.line(f"enter the hook_url at the provider, then: {desk.command('connections test ' + found['id'])}")


def change(desk: Desk, args: Namespace) -> int:
    path = _path(desk, args)
    provider = desk.api.get(path).found["provider"]
    body = _named(desk, args, desk.api.get(f"/v1/providers/{part(provider)}").found)
    body |= {"name": args.name} if args.name else {}
    if not body:
        raise mistyped("nothing to change is named", "name --setting, --name, --secret, --mapping or --subscription")
    return desk.answer(desk.api.ask("PATCH", path, body=body), lambda found: _shown(desk, found))


def pause(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.post(_path(desk, args, "/pause")), lambda found: _shown(desk, found))


def resume(desk: Desk, args: Namespace) -> int:
    answer = desk.api.post(_path(desk, args, "/resume"))
    job = answer.found.get("job")
    if not job or args.no_wait or desk.screen.bare:
        return desk.answer(answer, lambda found: _shown(desk, found))
    _shown(desk, answer.found)
    desk.screen.head("what was held is sent")
    return jobs.finished(desk, jobs.follow(desk, job))


def rotate(desk: Desk, args: Namespace) -> int:
    secrets = Secrets(desk.keyboard).read(args.secret, args.secret_from)
    if not secrets:
        raise mistyped("no secret is named", "name one with --secret NAME or --secret-from NAME=file:PATH")
    body = {"secrets": secrets, "keep_old": not args.drop_old}
    return desk.answer(desk.api.post(_path(desk, args, "/rotate"), body), lambda found: _shown(desk, found))


def test(desk: Desk, args: Namespace) -> int:
    """Followed until it has been read, so that the answer is whether it works."""
    receipt = desk.api.post(_path(desk, args, "/test")).found["receipt"]
    for _ in range(TRIES):
        try:
            answer = desk.api.get(f"/v1/receipts/{part(receipt)}")
        except Stopped as stopped:
            if "no such receipt" not in stopped.wrong:
                raise
            desk.api.sleep(PAUSE)
            continue
        desk.answer(answer, lambda found: _tested(desk, found))
        return FAILED if answer.found["verdict"] == "failed" else OK
    raise Stopped(
        "the sample was sent and nobody has read it yet",
        f"the workers may be behind: look at `health`, then {desk.command('receipts show ' + receipt)}",
    )


def _tested(desk: Desk, found: dict[str, Any]) -> None:
    desk.screen.fields([("sample", found["verdict"]), ("reason", said(found["reason"])), ("receipt", found["id"])])


def delete(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.ask("DELETE", _path(desk, args)), lambda found: desk.described(found))


def backfill(desk: Desk, args: Namespace) -> int:
    return jobs.start(desk, _path(desk, args, "/backfill"), _range(args), wait=not args.no_wait)


def catch_up(desk: Desk, args: Namespace) -> int:
    return jobs.start(desk, _path(desk, args, "/catch-up"), _range(args), wait=not args.no_wait)


def _range(args: Namespace) -> dict[str, Any]:
    return dict(window(args.since, args.until))
