"""The text of a mail: what is new in a reply, and what an HTML body says. Total, and linear in any text.

Where a quotation begins tells quotequail, which knows the mail programs of many languages
(https://github.com/closeio/quotequail). What somebody wrote is never dropped for a guess: a
quotation ends the text only where nothing unquoted follows it, or where a mail program's own header
of the quoted mail begins it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from chalicelib.kit.lazily import pattern
from chalicelib.kit.shape import unescaped

LONGEST_TEXT = 20_000
"""What is longer is cut off: the receipt has it whole."""
LONGEST_READ = 200_000
LONGEST_LINE, MOST_LINES = 300, 300
"""Of which the library sees no more: its patterns take quadratic time in longer ones. Who writes more
than that above a quotation keeps the quotation."""
_HEADERS = {"from", "date", "subject"}
_FORWARDED = pattern(r"\s{0,9}(?:fwd?|doorst|wg|tr)\s?:", re.IGNORECASE)
_HIDDEN = [
    (pattern(start, re.IGNORECASE), pattern(end, re.IGNORECASE))
    for start, end in [
        ("<!--", "-->"),
        *((rf"<{name}\b", rf"</{name}\b[^<>]*+>") for name in ("head", "style", "script")),
    ]
]
_MARKUP = pattern(r"<[^<>]*+>|[^<]+|<")
_TAG = pattern(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
_HUGE = pattern(r"&#[xX]?[0-9a-fA-F]{9,}")
_BLOCKS = pattern(
    r"(?:address|article|blockquote|div|d[dlt]|footer|h[1-6]|header|hr|li|ol|p|pre|section|table|tbody|tr|ul)\Z"
)
_MARKS = {"li": "- ", "td": " ", "th": " "}
_APART = frozenset({"p", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6"})


def words(plain: str, markup: str, stripped: str = "", subject: str = "") -> str:
    """What the sender wrote now. `stripped`: the new part as the carrier found it; what somebody
    forwards belongs to what he says."""
    if not forwarded(subject) and stripped.strip():
        return stripped.strip()[:LONGEST_TEXT]
    read = (plain if plain.strip() else text_of(markup))[:LONGEST_READ].replace("\r\n", "\n").strip()
    return (read if forwarded(subject) else fresh(read))[:LONGEST_TEXT]


def forwarded(subject: str) -> bool:
    return bool(_FORWARDED.match(subject))


def fresh(text: str) -> str:
    """Without the mails quoted below; the whole text where nothing stands above them, or where what
    quotequail takes for one may as well be the sender's own words."""
    from quotequail import unwrap

    lines = text.split("\n")
    marks = [">"] * 2 if lines[-1].lstrip().startswith(">") else []  # the library wants three marked lines
    found = unwrap("\n".join([line[:LONGEST_LINE] for line in lines[:MOST_LINES]] + marks)) or {}
    above = found.get("text_top", "")
    number = above.count("\n") + 1
    if not above or not _quoted(found, lines[number:]):
        return text
    own = lines[: number - 1] if found["type"] == "quote" and _attribution(lines[number - 1]) else lines[:number]
    return "\n".join(own).strip() or text


def _quoted(found: Mapping[str, str], rest: Sequence[str]) -> bool:
    """Whether all of `rest` is quotation: marked, or under a mail program's own header."""
    if found.get("text_bottom"):
        return False
    head = [line.strip() for line in rest if line.strip()][:4]
    if found["type"] == "forward":
        return found.keys() >= _HEADERS or head[0].startswith("--")
    marked = any(line.startswith(">") for line in head)
    return marked or found["type"] == "quote" or "@" in " ".join(head[:2])


def _attribution(line: str) -> bool:
    """A quotation's first line that the library does not know."""
    return line.rstrip().endswith(">:") and "@" in line


def text_of(markup: str) -> str:
    """The words of an HTML body, line by line; quotations marked with >. Nothing is rendered or loaded."""
    markup = markup[:LONGEST_READ]
    for start, end in _HIDDEN:
        markup = _without(markup, start, end)
    lines, line, depth = list[str](), "", 0
    for token in _MARKUP.findall(markup):
        tag = _TAG.match(token)
        name, closes = (tag[2].lower(), bool(tag[1])) if tag else ("", False)
        if name == "br" or (_BLOCKS.match(name) and line.strip()):
            lines.append("> " * min(depth, 3) + line.strip())
            line = ""
        lines += [""] if closes and name in _APART else []
        depth = max(0, depth + (-1 if closes else 1)) if name == "blockquote" else depth
        line += _MARKS.get(name, "") if tag and not closes else _said(token)
    return re.sub(r"\n{3,}", "\n\n", "\n".join([*lines, "> " * min(depth, 3) + line.strip()])).strip()


def _said(token: str) -> str:
    """A text with its entities and blanks as they would show; nothing of a tag."""
    if token.startswith("<") and len(token) > 1:
        return ""
    return re.sub(r"[ \t\r\n\f\xa0]+", " ", unescaped(_HUGE.sub("", token)))


def _without(markup: str, start: re.Pattern[str], end: re.Pattern[str]) -> str:
    kept, at = list[str](), 0
    while begins := start.search(markup, at):
        kept.append(markup[at : begins.start()])
        ends = end.search(markup, begins.end())
        at = ends.end() if ends else len(markup)
    return "".join([*kept, markup[at:]])
