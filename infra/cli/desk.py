"""What every command works with: the hub, the screen, and the things that people name in their own way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from infra.cli.api import Answer, Api, Query
from infra.cli.screen import Column, Row, Screen, clean, told
from infra.cli.stopped import Stopped

PROGRAM = "python -m infra.cli"
MOST = "200"


@dataclass
class Desk:
    """`elsewhere`: the options that lead to this hub, for a command that is suggested."""

    api: Api
    screen: Screen
    keyboard: TextIO = field(default_factory=lambda: sys.stdin)
    elsewhere: str = ""

    def command(self, text: str) -> str:
        return f"{PROGRAM} {self.elsewhere}{text}"

    def answer(self, answer: Answer, show: Callable[[Any], None]) -> int:
        """The same for everybody: as the API said it, or as people read it."""
        if self.screen.bare:
            self.screen.json(answer.raw)
        else:
            show(answer.found)
        return 0

    def listed(self, path: str, query: Query, whole: bool, show: Callable[[list[Any]], None], rows: str) -> int:
        """One page of a list, or with `whole` all of them. As JSON, a page a line."""
        pages = self.api.pages(path, query) if whole else iter([self.api.get(path, query)])
        found: list[Any] = []
        following = None
        for page in pages:
            if self.screen.bare:
                self.screen.json(page.raw)
            found += page.found[rows]
            following = page.found.get("next")
        if self.screen.bare:
            return 0
        show(found)
        if following:
            self.screen.note(f"there is more: add --all, or --next {following}")
        return 0

    def connections(self) -> list[dict[str, Any]]:
        pages = self.api.pages("/v1/connections", [("limit", MOST)])
        return [each for page in pages for each in page.found["connections"]]

    def names(self) -> dict[str, str]:
        """Connection id → its name, for tables; a key that may not list them sees ids."""
        try:
            return {each["id"]: clean(each["name"]) for each in self.connections()}
        except Stopped:
            return {}

    def connection(self, text: str) -> str:
        """The id of a connection by its id or its name. Raises Stopped."""
        if text.startswith("con_"):
            return text
        known = self.connections()
        found = [each for each in known if each["name"].casefold() == text.casefold()]
        if len(found) == 1:
            return str(found[0]["id"])
        if found:
            raise Stopped(f"{len(found)} connections are called {text}", "name one by its id: " + _ids(found))
        names = ", ".join(each["name"] for each in known) or "none yet"
        raise Stopped(f"no connection is called {text}", f"take an id or a name from `connections list`: {names}")

    def customer(self, text: str) -> str:
        """The id of a customer by his id or by an identity that is his alone. Raises Stopped."""
        if ":" not in text:
            return text
        found = self.api.get("/v1/customers", [("identity", text)]).found
        if found["match"] == "exact" and len(found["customers"]) == 1:
            return str(found["customers"][0]["id"])
        if found["customers"]:
            raise Stopped(f"{text} is not one customer's alone", "name one by his id: " + _ids(found["customers"]))
        raise Stopped(f"nobody is known by {text}", "try another identity, or a name with `customers find`")

    def table(self, columns: Sequence[Column], rows: Sequence[Row], empty: str = "nothing") -> None:
        self.screen.table(columns, rows, empty)

    def described(self, found: dict[str, Any], *left_out: str) -> None:
        """Every field of a thing, in the API's own words."""
        self.screen.fields((name, told(name, value)) for name, value in found.items() if name not in left_out)


def _ids(found: Sequence[dict[str, Any]]) -> str:
    return ", ".join(str(each["id"]) for each in found)
