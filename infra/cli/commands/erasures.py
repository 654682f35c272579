"""Everything about one person as a document, and erasing him everywhere, with the certificate."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from infra.cli import jobs
from infra.cli.api import Answer, part
from infra.cli.arguments import Group, waiting
from infra.cli.desk import Desk
from infra.cli.screen import BAD, local, said
from infra.cli.stopped import Stopped, mistyped

PAGE = "200"


def add(top: Group) -> None:
    exported = top.command(
        "export",
        export,
        "Everything that is known about one person, as one JSON document.",
        "export email:jan@example.nl --to jan.json",
    )
    exported.add_argument("customer", help="his id, or an identity that is his alone")
    exported.add_argument("--to", metavar="FILE", help="a new file that only you can read, instead of the terminal")
    erased = top.command(
        "erase",
        erase,
        "Erase a customer everywhere, and show the certificate. Nobody can undo it.\n"
        "It asks for his id once more, unless --yes.",
        'erase cus_… --reason "asked by himself"',
    )
    erased.add_argument("customer", help="his id; an identity will not do")
    erased.add_argument("--reason", default="", help="why; it stands on the certificate")
    erased.add_argument("--yes", action="store_true", help="do not ask")
    waiting(erased)
    shown = top.command("certificate", certificate, "What an erasure did, a line for each place.", "certificate job_…")
    shown.add_argument("erasure", help="its id, as `erase` gave it")


def export(desk: Desk, args: Namespace) -> int:
    path = f"/v1/customers/{part(desk.customer(args.customer))}/export"
    pages = list(desk.api.pages(path, [("limit", PAGE)]))
    text = "\n".join(page.raw for page in pages) if desk.screen.bare else _whole(pages)
    if not args.to:
        desk.screen.line(text)
        return 0
    _keep(Path(args.to), text)
    desk.screen.note(
        f"written to {args.to}: it holds everything about one person, so delete it when it was handed over"
    )
    return 0


def _whole(pages: list[Answer]) -> str:
    """One document: the entries of every page in the first one's."""
    entries = [entry for page in pages for entry in page.found["entries"]]
    return json.dumps(pages[0].found | {"entries": entries, "next": None}, ensure_ascii=False, indent=2)


def _keep(path: Path, text: str) -> None:
    """For its owner's eyes only, from the first byte on."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as there:
        raise mistyped(f"{path} is there already", "name another file") from there
    except OSError as wrong:
        raise mistyped(f"{path} cannot be written: {wrong.strerror}", "name a file in a folder of yours") from wrong
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def erase(desk: Desk, args: Namespace) -> int:
    if ":" in args.customer:
        raise mistyped(
            "erasing takes the customer's id", f"find it with {desk.command('customers find ' + args.customer)}"
        )
    path = f"/v1/customers/{part(args.customer)}"
    if not args.yes:
        _must_mean_it(desk, args.customer, desk.api.get(path).found)
    begun = desk.api.post(f"{path}/erase", {"reason": args.reason})
    erasure = begun.found["erasure"]
    if args.no_wait:
        return desk.answer(begun, lambda _: jobs.told_where(desk, erasure))
    last = jobs.follow(desk, erasure)
    return _certified(desk, erasure, jobs.outcome(last.found))


def _must_mean_it(desk: Desk, id: str, found: dict[str, Any]) -> None:
    """On stderr, so that it is seen wherever the result goes. Raises Stopped."""
    known = ", ".join(_text(each) for each in found["identities"])
    desk.screen.note(f"this erases {said(found['name'])} ({known}) here and in every connected system, for good")
    print("type the id again to go on: ", end="", file=desk.screen.err, flush=True)
    if desk.keyboard.readline().strip() != id:
        raise Stopped("that is not the id: nothing was erased", "run it again and type the id, or add --yes")


def _text(identity: Any) -> str:
    return said(identity.get("identity") or identity.get("text")) if isinstance(identity, dict) else said(identity)


def certificate(desk: Desk, args: Namespace) -> int:
    return _certified(desk, args.erasure, 0)


def _certified(desk: Desk, erasure: str, code: int) -> int:
    desk.answer(desk.api.get(f"/v1/erasures/{part(erasure)}"), lambda found: _shown(desk, found))
    return code


def _shown(desk: Desk, found: dict[str, Any]) -> None:
    """Whole: a certificate is kept."""
    desk.screen.head("certificate")
    desk.described(found, "lines", "errors")
    desk.screen.line()
    desk.screen.fields((said(each["what"]), _result(each)) for each in found["lines"])
    for error in found["errors"]:
        desk.screen.line(f"  {desk.screen.paint('error', BAD)}  {said(error)}")


def _result(line: dict[str, Any]) -> str:
    detail = f": {said(line['detail'])}" if line["detail"] else ""
    return f"{local(line['at'])}  {said(line['result'])}{detail}"
