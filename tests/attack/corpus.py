"""Hostile inputs as data: `corpora/*.jsonl`, one input a line, with the few words that make large ones of small lines.

A value is a text, or an object of one of these: {"hex": "00ff"}, {"repeat": X, "times": N}, {"join": [X, …]},
{"text": T, "as": "utf-16"}, {"gzip": X}, {"deflate": X}, {"b64url": X}.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("corpora")
JSON = "application/json"
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Line:
    """One input. `about`: the whole line, as it stands in its file."""

    kind: str
    name: str
    about: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{self.kind}: {self.name}"

    @property
    def body(self) -> bytes:
        return made(self.about["body"])

    @property
    def text(self) -> str:
        """Of a query, a path or a token. Bytes that are no UTF-8 stay what they are."""
        found = self.about.get("value", self.about.get("tail", ""))
        return found if isinstance(found, str) else made(found).decode("utf-8", "surrogateescape")

    @property
    def value(self) -> Any:
        """Of a field: whatever JSON it is, or a text that is made."""
        found = self.about["value"]
        return self.text if isinstance(found, dict) and found else found

    @property
    def headers(self) -> Headers:
        """Those of the line, and the type of its body."""
        typed = [("Content-Type", self.about.get("type", JSON))] if "body" in self.about else []
        told = [(name, value if isinstance(value, str) else made(value).decode()) for name, value in self._told]
        return typed + told * int(self.about.get("times", 1))

    @property
    def _told(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self.about.get("headers", [])]


@cache
def lines(name: str) -> tuple[Line, ...]:
    """All of one file. Fails on a line that cannot be read, or that says the same as another."""
    found = [json.loads(text) for text in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]
    told = tuple(Line(each["kind"], each["name"], each) for each in found)
    assert len({each.label for each in told}) == len(told), f"{name}.jsonl names two lines alike"
    return told


def of_kind(name: str, kind: str) -> list[Line]:
    return [each for each in lines(name) if each.kind == kind]


def some(found: list[Any] | tuple[Any, ...], at_most: int, turn: int) -> list[Any]:
    """So many of them, other ones at each turn: in `make test` every source and route gets a share, and all are used."""
    if len(found) <= at_most:
        return list(found)
    start = turn * at_most % len(found)
    return [*found, *found][start : start + at_most]


@cache
def _kept(key: str) -> bytes:
    return _made(json.loads(key))


def made(value: Any) -> bytes:
    """The bytes that a value of a line stands for; large ones are made once."""
    return _kept(json.dumps(value))


def _made(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if "times" in value:
        return _made(value["repeat"]) * int(value["times"])
    if "as" in value:
        return str(value["text"]).encode(value["as"])
    (word,) = value
    inner = value[word]
    if word == "hex":
        return bytes.fromhex(inner)
    if word == "join":
        return b"".join(_made(each) for each in inner)
    raw = _made(inner)
    return {"gzip": _gzip, "deflate": zlib.compress, "b64url": _b64url}[word](raw)


def _gzip(raw: bytes) -> bytes:
    return gzip.compress(raw, 9, mtime=0)


def _b64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
