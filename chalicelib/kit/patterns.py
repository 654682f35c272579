"""Patterns that people write for us, matched in linear time: a part of regular expressions that never goes back.

Every repetition is bounded and takes all that it can, every group keeps its first alternative that
fits: so no text makes a pattern slow, and of `a|ab` the longer one must come first. Case never counts.
"""

from __future__ import annotations

import re
from functools import lru_cache

from chalicelib.kit.lazily import pattern

LONGEST_PATTERN = 200
LONGEST_TEXT = 20_000
MOST_REPEATS = 40
SYNTAX = "literals, \\d \\w \\s \\b, [classes], ? * + {m,n} after one character, one (group), (?:groups) and |"
_TOKEN = pattern(
    r"(?P<escaped>\\[bdswDSW]|\\[^\w\s])|(?P<set>\[\^?(?:\\[^\s]|[^\[\]\\])+\])|(?P<group>\(\?:)|(?P<capture>\((?!\?))"
    r"|(?P<close>\))|(?P<or>\|)|(?P<repeat>[?*+]|\{[0-9]{1,2}(?:,[0-9]{0,2})?\})|(?P<plain>[^\\\[\](){}|?*+])"
)
_OPENING = {"group": "(?>", "capture": "((?>"}
_USUAL = {"?": "{0,1}+", "*": f"{{0,{MOST_REPEATS}}}+", "+": f"{{1,{MOST_REPEATS}}}+"}


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """Raises ValueError with one line for people."""
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"must have 1 to {LONGEST_PATTERN} characters")
    try:
        found = re.compile("(?>" + "".join(_parts(pattern)) + ")", re.ASCII | re.IGNORECASE)
    except re.error as wrong:
        raise ValueError(f"no pattern: {wrong}") from wrong
    if found.groups != 1:
        raise ValueError("must have exactly one (group): what it finds")
    return found


def find(pattern: str, text: str, most: int) -> list[str]:
    """What the group finds, each once. Raises ValueError for a pattern that does not compile."""
    found: dict[str, None] = {}
    for match in compiled(pattern).finditer(text[:LONGEST_TEXT]):
        if len(found) < most and (value := (match[1] or "").strip()):
            found[value] = None
    return list(found)


def _parts(pattern: str) -> list[str]:
    parts: list[str] = []
    opened: list[tuple[int, str]] = []
    at, before, began = 0, "start", 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            raise ValueError(f"may hold {SYNTAX}; not {pattern[at : at + 8]!r}")
        kind, text = str(token.lastgroup), token[0]
        if kind in _OPENING:
            opened.append((len(parts), kind))
        elif kind == "close":
            began, text = _closed(opened)
        elif kind == "repeat":
            text = _repeated(parts, before, began, text)
        parts.append(_OPENING.get(kind, text))
        at, before = token.end(), kind
    return parts


def _closed(opened: list[tuple[int, str]]) -> tuple[int, str]:
    """(where the group that ends here began, what ends it)"""
    if not opened:
        raise ValueError("a group ends that did not begin")
    began, kind = opened.pop()
    return began, "))" if kind == "capture" else ")"


def _repeated(parts: list[str], before: str, began: int, text: str) -> str:
    """What repeats the part before; a whole group may only be left out."""
    if before == "close" and text == "?":
        parts[began] = "(?>" + parts[began]
        return "|)"
    if before not in ("escaped", "set", "plain") or parts[-1] in ("\\b", "^", "$"):
        raise ValueError(f"{text} must follow one character or class; after a group only ? may stand")
    if max(map(int, re.findall(r"[0-9]+", text)), default=0) > MOST_REPEATS:
        raise ValueError(f"repeats at most {MOST_REPEATS} times")
    bounded = text.replace(",}", f",{MOST_REPEATS}}}")
    return _USUAL.get(text) or (f"{bounded}+" if "," in text else text)
