"""The command line as a whole: every command with its options, what they mean, and an example."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any, NoReturn

from infra.cli.desk import PROGRAM, Desk
from infra.cli.stopped import USAGE

MODULES = ("connections", "receipts", "deliveries", "customers", "erasures", "administration")
Run = Callable[[Desk, argparse.Namespace], int]

ABOUT = """\
A command line for the hub: connections, receipts, deliveries, customers, keys.

address   DRAAD_URL, or --url; http://127.0.0.1:8000 unless it is set
key       DRAAD_KEY, or DRAAD_ADMIN_KEY; never on the command line, where others see it
"""
ENDING = f"""\
A connection is named by its id or its name, a customer by his id or by an identity such as email:jan@example.nl.
Moments are 2026-09-01T11:05 (your own zone), 2026-09-01T09:05Z (UTC), or 15m, 2h, 3d ago.

exit status
  0    done                       3    no hub answers
  1    failed, or refused         130  ended by Ctrl-C; a job that was begun goes on
  2    the command is mistyped    141  whoever read the output went away

example:
  export DRAAD_KEY=draad_…
  {PROGRAM} health
"""


def roomy(prog: str) -> argparse.HelpFormatter:
    """Names of commands and options beside what they mean, paragraphs as they are written."""
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28)


class Parser(argparse.ArgumentParser):
    """What is mistyped is told as everything else that is wrong, with what to do next."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"error: {message}\nnext:  {self.prog} --help\n")


class Group:
    """Commands of one kind of thing, or the top of all."""

    def __init__(self, parser: argparse.ArgumentParser, run: Run | None = None) -> None:
        """`run`: what the group does where no command of it is named."""
        everywhere(parser)
        self.below = parser.add_subparsers(
            metavar="COMMAND", title="commands", required=run is None, parser_class=Parser
        )
        if run:
            parser.set_defaults(run=run)

    def group(self, name: str, about: str, example: str, run: Run | None = None) -> Group:
        return Group(self._parser(name, about, example), run)

    def command(self, name: str, run: Run, about: str, example: str) -> argparse.ArgumentParser:
        parser = self._parser(name, about, example)
        everywhere(parser)
        parser.set_defaults(run=run)
        return parser

    def _parser(self, name: str, about: str, example: str) -> argparse.ArgumentParser:
        return self.below.add_parser(
            name,
            help=about.partition("\n")[0],
            description=about,
            epilog=f"example:\n  {PROGRAM} " + example.replace("\n", f"\n  {PROGRAM} "),
            formatter_class=roomy,
            allow_abbrev=False,
        )


def everywhere(parser: argparse.ArgumentParser) -> None:
    """Options that every command takes, before its name and behind it."""
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print what the API said, for programs"
    )
    parser.add_argument(
        "--get", metavar="PART", default=argparse.SUPPRESS, help="only this part of the JSON (JMESPath), for a shell"
    )
    parser.add_argument("--url", default=argparse.SUPPRESS, help="address of the hub, instead of DRAAD_URL")


def paged(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="how many on a page, at most 200 (50)")
    parser.add_argument("--next", default="", metavar="CURSOR", help="go on where the page before ended")
    parser.add_argument("--all", action="store_true", help="every page")


def ranged(parser: argparse.ArgumentParser, since: str) -> None:
    parser.add_argument("--since", metavar="WHEN", help=since)
    parser.add_argument("--until", metavar="WHEN", help="up to then; default: now")


def waiting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="begin it and do not follow it")


def query_of(args: argparse.Namespace, *names: str) -> list[tuple[str, str]]:
    """What was given of these options, and of the page."""
    found: list[tuple[str, Any]] = [(name, getattr(args, name, None)) for name in (*names, "limit", "next")]
    return [(name, str(value)) for name, value in found if value not in (None, "")]


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog=PROGRAM,
        description=ABOUT,
        epilog=ENDING,
        formatter_class=roomy,
        allow_abbrev=False,
    )
    group = Group(top)
    for name in MODULES:
        importlib.import_module(f"infra.cli.commands.{name}").add(group)
    return top
