"""Keys, rules, settings, health and jobs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from infra.cli import jobs
from infra.cli.api import part
from infra.cli.arguments import Group, paged, query_of
from infra.cli.desk import Desk
from infra.cli.screen import Column, clean, local, said
from infra.cli.stopped import FAILED, OK, mistyped
from infra.cli.words import file_json, pair, typed

SCOPES = ("read", "agent", "integrate", "audience", "admin")
KEYS = [Column("name"), Column("scopes"), Column("made", 19), Column("state"), Column("id", key=True)]
RULES = [Column("kind"), Column("on"), Column("purpose"), Column("connection"), Column("text"), Column("id", key=True)]
JOBS = [
    Column("begun", 19),
    Column("kind"),
    Column("status", 7),
    Column("done"),
    Column("errors"),
    Column("id", key=True),
]
KINDS = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}


def add(top: Group) -> None:
    _keys(top.group("keys", "API keys.", "keys list"))
    _rules(
        top.group("rules", "When the hub itself writes to customers; without a command, every rule.", "rules", rules)
    )
    _settings(top.group("settings", "The organisation's own lists and limits.", "settings get"))
    _jobs(top.group("jobs", "Long work: how far it is, and what failed.", "jobs list"))
    top.command("health", health, "Whether all is well; exit status 1 when it is not. Needs no key.", "health")


def _keys(group: Group) -> None:
    group.command("list", keys, "Every key, without its secret.", "keys list")
    made = group.command(
        "create",
        create_key,
        "Make a key. It is shown this once and never again.",
        'keys create --name "deploy pipeline" --scope integrate',
    )
    made.add_argument("--name", default="", help="what it is for")
    made.add_argument("--scope", action="append", choices=SCOPES, required=True, help="what it may do; repeatable")
    gone = group.command("revoke", revoke_key, "It opens nothing from now on.", "keys revoke 1f0c5d2e9a7b4c38")
    gone.add_argument("key", metavar="id", help="its id, never the key itself")


def _rules(group: Group) -> None:
    group.command("list", rules, "Every rule.", "rules list")
    made = group.command("create", create_rule, "Make a rule of a JSON document.", "rules create rule.json")
    made.add_argument("file", help="JSON with kind, connection, text; - is standard input")
    changed = group.command("change", change_rule, "Change what is named; the rest stays.", "rules change rul_… --off")
    changed.add_argument("rule", help="its id")
    changed.add_argument("--file", help="JSON with what changes; - is standard input")
    switch = changed.add_mutually_exclusive_group()
    switch.add_argument("--on", action="store_true", default=None, help="switch it on")
    switch.add_argument("--off", dest="on", action="store_false", help="switch it off")
    gone = group.command("delete", delete_rule, "It writes nothing any more.", "rules delete rul_…")
    gone.add_argument("rule", help="its id")


def _settings(group: Group) -> None:
    shown = group.command("get", get_settings, "All settings, or one.", "settings get own")
    shown.add_argument("name", nargs="?", help="one of them")
    changed = group.command(
        "set",
        set_settings,
        "Change settings. Lists take values with commas between them, or JSON.",
        "settings set region=NL own=phone:+31201234567,email:info@example.nl",
    )
    changed.add_argument("pairs", nargs="+", metavar="name=value", help="an empty value empties a list or a text")


def _jobs(group: Group) -> None:
    listed = group.command("list", list_jobs, "Newest first.", "jobs list --status failed")
    listed.add_argument("--status", choices=("running", "done", "failed"), help="only with this status")
    paged(listed)
    _job(group, "show", show_job, "How far one is.")
    _job(group, "wait", wait_for_job, "Follow one to its end; exit status 1 if it failed or left errors.")


def _job(group: Group, name: str, run: Any, about: str) -> ArgumentParser:
    parser = group.command(name, run, about, f"jobs {name} job_…")
    parser.add_argument("job", help="its id")
    return parser


def keys(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.get("/v1/keys"), lambda found: _key_table(desk, found["keys"]))


def _key_table(desk: Desk, found: list[dict[str, Any]]) -> None:
    rows = [
        [said(each["name"]), said(each["scopes"]), local(each["created_at"]), _state(each), each["id"]]
        for each in found
    ]
    desk.table(KEYS, rows)


def _state(key: dict[str, Any]) -> str:
    return "revoked" if key["revoked"] else "active"


def create_key(desk: Desk, args: Namespace) -> int:
    answer = desk.api.post("/v1/keys", {"name": args.name, "scopes": args.scope})
    return desk.answer(answer, lambda found: _made_key(desk, found))


def _made_key(desk: Desk, found: dict[str, Any]) -> None:
    desk.described(found)
    desk.screen.note("keep the key now: nobody can show it again")


def revoke_key(desk: Desk, args: Namespace) -> int:
    if args.key.startswith("draad_"):
        raise mistyped(
            "that is a key, not its id", "revoke it by its id from `keys list`; it now stands in your history"
        )
    return desk.answer(desk.api.ask("DELETE", f"/v1/keys/{part(args.key)}"), lambda found: desk.described(found))


def rules(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.get("/v1/rules"), lambda found: _rule_table(desk, found["rules"]))


def _rule_table(desk: Desk, found: list[dict[str, Any]]) -> None:
    names = desk.names() if found else {}
    rows = [
        [
            each["kind"],
            said(each["on"]),
            each["purpose"],
            clean(names.get(each["connection"], each["connection"])),
            clean(" / ".join(each["text"].values())),
            each["id"],
        ]
        for each in found
    ]
    desk.table(RULES, rows, "no rule: the hub writes to nobody by itself")


def create_rule(desk: Desk, args: Namespace) -> int:
    answer = desk.api.post("/v1/rules", _object(desk, args.file))
    return desk.answer(answer, lambda found: desk.described(found))


def change_rule(desk: Desk, args: Namespace) -> int:
    body = _object(desk, args.file) if args.file else {}
    body |= {} if args.on is None else {"on": args.on}
    if not body:
        raise mistyped("nothing to change is named", "name --on, --off or --file")
    answer = desk.api.ask("PATCH", f"/v1/rules/{part(args.rule)}", body=body)
    return desk.answer(answer, lambda found: desk.described(found))


def _object(desk: Desk, path: str) -> dict[str, Any]:
    found = file_json(path, desk.keyboard)
    if not isinstance(found, dict):
        raise mistyped(f"{path} holds no JSON object", "write it as {…}")
    return found


def delete_rule(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.ask("DELETE", f"/v1/rules/{part(args.rule)}"), lambda found: desk.described(found))


def get_settings(desk: Desk, args: Namespace) -> int:
    answer = desk.api.get("/v1/settings")
    if args.name and args.name not in answer.found:
        raise mistyped(f"there is no setting {args.name}", f"there are {', '.join(answer.found)}")
    wanted = {args.name: answer.found[args.name]} if args.name else answer.found
    return desk.answer(answer, lambda _: desk.described(wanted))


def set_settings(desk: Desk, args: Namespace) -> int:
    """Values are read as the kind that the setting has now; the hub says what it cannot take."""
    given = dict(pair(text, "settings set") for text in args.pairs)
    now = desk.api.get("/v1/settings").found
    body = {name: typed(value, {"type": KINDS.get(type(now.get(name)))}) for name, value in given.items()}
    answer = desk.api.ask("PATCH", "/v1/settings", body=body)
    return desk.answer(answer, lambda found: desk.described(found))


def health(desk: Desk, args: Namespace) -> int:
    answer = desk.api.get("/health")
    desk.answer(answer, lambda found: _healthy(desk, found))
    return OK if answer.found["status"] == "ok" else FAILED


def _healthy(desk: Desk, found: dict[str, Any]) -> None:
    desk.screen.fields([("status", found["status"])])
    for reason in found["reasons"]:
        desk.screen.line(f"  {clean(str(reason))}")
    desk.screen.fields((f"{name} waiting", str(count)) for name, count in found["queues"].items())


def list_jobs(desk: Desk, args: Namespace) -> int:
    query = query_of(args, "status")
    return desk.listed("/v1/jobs", query, args.all, lambda found: _job_table(desk, found), "jobs")


def _job_table(desk: Desk, found: list[dict[str, Any]]) -> None:
    rows = [
        [
            local(each["created_at"]),
            each["kind"],
            each["status"],
            str(each["done"]),
            str(len(each["errors"])),
            each["id"],
        ]
        for each in found
    ]
    desk.table(JOBS, rows, "no job")


def show_job(desk: Desk, args: Namespace) -> int:
    return desk.answer(desk.api.get(f"/v1/jobs/{part(args.job)}"), lambda found: jobs.show(desk, found))


def wait_for_job(desk: Desk, args: Namespace) -> int:
    return jobs.finished(desk, jobs.follow(desk, args.job))
