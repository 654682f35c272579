"""What people see: lines and tables that fit the terminal. What others wrote never steers the terminal."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

import wcwidth

from infra.cli.stopped import mistyped

BOUNDLESS = 1_000_000
NARROWEST = 6
"""Of a column that gives way."""
LEAST_ROOM = 24
"""Of a text that is wrapped."""
GAP = "  "
GOOD, WATCH, BAD, FAINT, HEAD = "32", "33", "31", "2", "1"
COLOURS = {
    **dict.fromkeys(("accepted", "delivered", "done", "active", "ok", "in step", "exact", "erased", "in force"), GOOD),
    **dict.fromkeys(("duplicate", "ignored", "delayed", "held", "claimed", "running", "paused", "behind"), WATCH),
    **dict.fromkeys(("malformed", "failed", "parked", "degraded", "disabled", "revoked"), BAD),
}
STEERING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Letters that turn the direction of what follows: they could make a line read as another."""
Row = Sequence[str]


def clean(text: str) -> str:
    """One line without anything that moves a cursor, sets a title or turns the direction."""
    return "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if letter in "\n\t":
        return " "
    if letter in STEERING or unicodedata.category(letter) in ("Cc", "Cs"):
        return f"\\x{ord(letter):02x}"
    return letter


def local(text: Any, zone: bool = False) -> str:
    """A moment of the API in the zone of whoever reads it."""
    if not text:
        return "–"
    try:
        moment = datetime.fromisoformat(str(text)).astimezone()
    except ValueError:
        return clean(str(text))
    return moment.strftime("%Y-%m-%d %H:%M:%S %Z" if zone else "%Y-%m-%d %H:%M:%S")


def said(value: Any) -> str:
    """Any JSON value on one line."""
    if value is None or value == "" or value == [] or value == {}:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        return ", ".join(said(each) for each in value)
    if isinstance(value, dict) and not any(isinstance(each, list | dict) for each in value.values()):
        return ", ".join(f"{clean(name)} {told(name, each)}" for name, each in value.items() if each is not None)
    return clean(document(value)) if isinstance(value, list | dict) else str(value)


def told(name: str, value: Any) -> str:
    """A field by its name: whatever is a moment is shown as one."""
    moment = name == "at" or name.endswith(("_at", "_up_to"))
    return local(value, zone=True) if moment and isinstance(value, str) else said(value)


def document(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def picked(raw: str, expression: str) -> list[str]:
    """A part of a document, a line for each value: texts as they are, for a shell. Nothing found is no line."""
    import jmespath

    found = jmespath.search(expression, json.loads(raw))
    values = found if isinstance(found, list) else [] if found is None else [found]
    return [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in values]


def must_pick(expression: str) -> None:
    """Raises Stopped."""
    import jmespath

    try:
        jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as wrong:
        todo = "write a JMESPath expression, such as --get hook_url or --get 'receipts[].id'"
        raise mistyped(f"--get {expression!r} cannot be read", todo) from wrong


@dataclass(frozen=True)
class Column:
    """`least`: cells at least as wide as this, as long as others can give way. `key`: never cut, because it is copied."""

    title: str
    least: int = 0
    key: bool = False


def widths(columns: Sequence[Column], rows: Sequence[Row], room: int) -> list[int]:
    """Of each column but the key ones: the widest give way until all fit, those that ask for a width last."""
    found = [
        max(column.least, wcwidth.width(column.title), *(wcwidth.width(row[number]) for row in rows), 0)
        for number, column in enumerate(columns)
        if not column.key
    ]
    least = [max(column.least, NARROWEST) for column in columns if not column.key]
    for floors in (least, [NARROWEST] * len(least)):
        while sum(found) + len(GAP) * (len(found) - 1) > room:
            wide = [number for number, width in enumerate(found) if width > floors[number]]
            if not wide:
                break
            found[max(wide, key=found.__getitem__)] -= 1
    return found


def cell(text: str, width: int) -> str:
    """Exactly that wide on a terminal, cut where it is longer."""
    if wcwidth.width(text) > width:
        text = wcwidth.clip(text, 0, width - 1) + "…"
    return text + " " * (width - wcwidth.width(text))


def wrapped(text: str, room: int) -> list[str]:
    if wcwidth.width(text) <= room:
        return [text]
    return wcwidth.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [text]


def beside(columns: Sequence[Column], rows: Sequence[Row], found: Sequence[int], room: int) -> bool:
    """Whether the keys fit on the lines of their rows."""
    keys = [number for number, column in enumerate(columns) if column.key]
    longest = sum(max((wcwidth.width(row[number]) for row in rows), default=0) + len(GAP) for number in keys)
    return sum(found) + len(GAP) * (len(found) - 1) + longest <= room


@dataclass
class Screen:
    """`bare`: JSON as the API said it, for programs. `pick`: a JMESPath expression, for only a part of it."""

    bare: bool = False
    pick: str = ""
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)

    @property
    def width(self) -> int:
        """A file or a pipe has no edge, unless COLUMNS says so."""
        free = not self.out.isatty() and not os.environ.get("COLUMNS")
        return BOUNDLESS if free else max(shutil.get_terminal_size().columns, 20)

    def paint(self, text: str, colour: str, out: TextIO | None = None) -> str:
        coloured = (out or self.out).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return f"\x1b[{colour}m{text}\x1b[0m" if coloured and colour else text

    def line(self, text: str = "") -> None:
        print(text, file=self.out, flush=True)

    def note(self, text: str) -> None:
        """For whoever watches; not part of the result."""
        print(text, file=self.err, flush=True)

    def complain(self, wrong: str, todo: str) -> None:
        """`wrong` may have lines; what the API said in them is not trusted."""
        lines = [clean(line) for line in wrong.split("\n")]
        self.note(self.paint("error: ", BAD, self.err) + "\n".join(lines))
        self.note(self.paint("next:  ", HEAD, self.err) + clean(todo))

    def json(self, raw: str) -> None:
        if not self.pick:
            self.line(raw.rstrip("\n"))
            return
        for each in picked(raw, self.pick):
            self.line(each)

    def table(self, columns: Sequence[Column], rows: Sequence[Row], empty: str = "nothing") -> None:
        if not rows:
            self.line(self.paint(empty, FAINT))
            return
        found = widths(columns, rows, self.width)
        one_line = beside(columns, rows, found, self.width)
        titles = [column.title.upper() for column in columns]
        heads = [Column(title, key=column.key) for title, column in zip(titles, columns, strict=True)]
        self.line(self.paint(self._plain(heads, titles, found, one_line), HEAD))
        for row in rows:
            self.row(columns, row, found, one_line=one_line)

    def _plain(self, columns: Sequence[Column], row: Row, found: Sequence[int], one_line: bool) -> str:
        shown = [text for column, text in zip(columns, row, strict=True) if not column.key]
        keys = [text for column, text in zip(columns, row, strict=True) if column.key and one_line]
        cells = [cell(text, width) for text, width in zip(shown, found, strict=True)]
        return GAP.join([*cells, *keys]).rstrip()

    def row(self, columns: Sequence[Column], row: Row, found: Sequence[int], *, one_line: bool) -> None:
        """Keys that do not fit stand whole on the next line."""
        shown = [text for column, text in zip(columns, row, strict=True) if not column.key]
        keys = [text for column, text in zip(columns, row, strict=True) if column.key]
        cells = [self.paint(cell(text, width), COLOURS.get(text, "")) for text, width in zip(shown, found, strict=True)]
        self.line(GAP.join([*cells, *(self.paint(text, FAINT) for text in keys if one_line)]).rstrip())
        for text in keys if not one_line else ():
            self.line(GAP + self.paint(text, FAINT))

    def fields(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """One thing, a line for each of what is known of it. What is longer goes on under itself; an id is never cut."""
        known = list(pairs.items() if isinstance(pairs, Mapping) else pairs)
        wide = max((wcwidth.width(name) for name, _ in known), default=0)
        room = max(self.width - wide - len(GAP), LEAST_ROOM)
        for name, value in known:
            first, *more = wrapped(value, room)
            self.line(self.paint(cell(name, wide), FAINT) + GAP + self.paint(first, COLOURS.get(value, "")))
            for line in more:
                self.line(" " * wide + GAP + line)

    def head(self, text: str) -> None:
        self.line()
        self.line(self.paint(text, HEAD))
