"""The text of a mail: what is new in a reply, and what an HTML body says. Total, and linear in any text.

What somebody wrote is never dropped for a guess: a quotation ends the text only where nothing
unquoted follows it, or where a mail program's own header of the quoted mail begins it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chalicelib.kit.lazily import pattern
from chalicelib.kit.shape import unescaped

LONGEST_TEXT = 20_000
"""What is longer is cut off: the receipt has it whole."""
LONGEST_READ = 200_000
LONGEST_ATTRIBUTION = 400
_DIVIDERS = frozenset({"original message", "oorspronkelijk bericht", "origineel bericht", "original-nachricht"}) | {
    "ursprüngliche nachricht",
    "message d'origine",
}
_ON = ("on ", "op ", "am ", "le ")
_WROTE = (" wrote", " schreef", " geschreven", " schrieb", " a écrit")
_FROM = pattern(r"(?:from|van|von|de)\s?:", re.IGNORECASE)
_SENT = pattern(r"(?:sent|date|verzonden|datum|gesendet|envoyé)\s?:", re.IGNORECASE)
_SUBJECT = pattern(r"(?:subject|onderwerp|betreff|objet)\s?:", re.IGNORECASE)
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
    """Without the mails quoted below; the whole text where nothing stands above them."""
    lines = text.split("\n")
    unquoted = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith(">")]
    last = max(unquoted, default=-1)
    for number in range(len(lines)):
        if _quotes_from(lines, number, last):
            head = "\n".join(lines[:number]).strip()
            ruled = head.endswith("_" * 10)
            return (head.rstrip("_").rstrip() if ruled else head) or text
    return text


def _quotes_from(lines: Sequence[str], number: int, last: int) -> bool:
    """Whether from this line on all is quotation. `last`: the last line that is not marked as one."""
    line = lines[number].strip()
    if not line or line.startswith(">"):
        return bool(line) and number > last
    divided = line.startswith("-") and line.strip("-– ").lower() in _DIVIDERS
    return divided or _header_block(lines, number) or _attributed(lines, number, last)


def _header_block(lines: Sequence[str], number: int) -> bool:
    """From, Sent and Subject of the quoted mail, as Outlook and many phones write them."""
    if not _FROM.match(_bare(lines[number])):
        return False
    below = [_bare(line) for line in lines[number + 1 : number + 7]]
    return any(map(_SENT.match, below)) and any(map(_SUBJECT.match, below))


def _bare(line: str) -> str:
    return line[:200].strip(" \t*")


def _attributed(lines: Sequence[str], number: int, last: int) -> bool:
    """Who wrote when, in up to three lines; then either his address or marked quotation proves it."""
    for end in range(number + 1, min(number + 4, len(lines) + 1)):
        joined = " ".join(line[:LONGEST_ATTRIBUTION].strip() for line in lines[number:end])
        if _attribution(joined):
            below = next((lines[at].lstrip() for at in range(end, len(lines)) if lines[at].strip()), "")
            return last < end if below.startswith(">") else "@" in joined.partition("<")[2]
    return False


def _attribution(line: str) -> bool:
    low = line.lower()
    if not low.endswith(":") or len(low) > LONGEST_ATTRIBUTION or not any(map(str.isdigit, low)):
        return False
    begun = low.startswith(_ON) and any(word in low for word in _WROTE)
    return begun or " schreef op " in low or " wrote on " in low or (low[:4].isdigit() and low.endswith(">:"))


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
