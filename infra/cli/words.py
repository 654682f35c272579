"""What somebody types, read: moments, settings by their kind, secrets that never stand on a command line, files."""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from infra.cli.stopped import mistyped

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
AGO = re.compile(r"(\d{1,6})([smhdw])")
LARGEST = 1024 * 1024
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NEVER = "a secret on the command line is seen by everybody on this machine and kept in the shell's history"
HOW = "name it with --secret NAME to be asked for it, or --secret-from NAME=file:PATH or NAME=env:VARIABLE"


def moment(text: str, now: datetime | None = None) -> str:
    """An instant for the API, of `2026-09-01T11:05` in the local zone, of one with a zone, or of `15m`, `2h`, `3d` ago."""
    if ago := AGO.fullmatch(text.strip()):
        found = (now or datetime.now(UTC)) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    else:
        try:
            found = datetime.fromisoformat(text.strip())
        except ValueError as wrong:
            raise mistyped(
                f"{text!r} is no moment", "write 2026-09-01, 2026-09-01T11:05 (local), …Z (UTC), or 15m, 2h, 3d ago"
            ) from wrong
    return found.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def window(since: str | None, until: str | None) -> dict[str, str]:
    named = {"since": since, "until": until}
    return {name: moment(text) for name, text in named.items() if text}


def pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise mistyped(f"{option} {text}: there is no name and value", f"write {option} name=value")
    return name.strip(), value


def file_json(path: str, keyboard: TextIO) -> Any:
    """The JSON in a file; `-` is standard input."""
    text = keyboard.read() if path == "-" else file_text(path)
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise mistyped(f"{path} holds no JSON: {wrong}", "look at that place in the file") from wrong


def file_text(path: str) -> str:
    try:
        raw = Path(path).expanduser().read_bytes()
        if len(raw) > LARGEST:
            raise mistyped(f"{path} is larger than a megabyte", "name the right file")
        return raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise mistyped(f"{path} is no text", "name a text file in UTF-8") from wrong
    except OSError as wrong:
        raise mistyped(f"{path} cannot be read: {wrong.strerror}", "name a file that you may read") from wrong


def typed(text: str, schema: Mapping[str, Any]) -> Any:
    """A value as its setting's schema wants it; what cannot be read goes as it is, and the hub says what is wrong."""
    kind = schema.get("type")
    if kind in (None, "string"):
        return text
    if kind == "boolean":
        return WORDS.get(text.strip().casefold(), text)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if kind == "array" and not isinstance(found, list):
        return [_item(each.strip(), schema) for each in text.split(",") if each.strip()]
    return text if found is None else found


def _item(text: str, schema: Mapping[str, Any]) -> Any:
    return typed(text, schema.get("items") or {})


def settings(given: Iterable[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    """`name=value` → typed values; `name=` alone takes a setting away, where the API allows it."""
    pairs = dict(pair(text, "--setting") for text in given)
    return {name: typed(value, properties.get(name, {})) if value else None for name, value in pairs.items()}


@dataclass
class Secrets:
    """Where secrets come from. `ask`: the prompt that shows nothing of what is typed."""

    keyboard: TextIO = field(default_factory=lambda: sys.stdin)
    ask: Callable[[str], str] = getpass.getpass

    def read(self, names: Sequence[str], sources: Sequence[str]) -> dict[str, Any]:
        """Of each name one value, or a list where it is named more often."""
        found: dict[str, list[str]] = {}
        for text in sources:
            name, where = pair(text, "--secret-from")
            found.setdefault(name, []).append(self._from(name, where))
        for name in names:
            if "=" in name:
                raise mistyped(NEVER, HOW)
            found.setdefault(name, []).append(self._typed(name))
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}

    def _from(self, name: str, where: str) -> str:
        kind, colon, what = where.partition(":")
        if not colon or kind not in ("file", "env") or not what:
            raise mistyped(f"--secret-from {name}=… does not say from where", HOW)
        value = os.environ.get(what, "") if kind == "env" else _without_end(file_text(what))
        if not value:
            raise mistyped(f"{kind} {what} is empty: no value for {name}", HOW)
        return value

    def _typed(self, name: str) -> str:
        """At the prompt; of standard input that is no terminal, one line each."""
        try:
            terminal = self.keyboard.isatty()
            value = self.ask(f"{name}: ") if terminal else _without_end(self.keyboard.readline())
        except EOFError:
            value = ""
        if not value:
            raise mistyped(f"no value for {name} came from standard input", HOW)
        return value


def _without_end(text: str) -> str:
    """Without the one line end that editors and `echo` put behind a value."""
    return text.removesuffix("\n").removesuffix("\r")
