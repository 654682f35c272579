"""A mail as it went over the wire: its headers, its words, its files as references. Bounded, and total within the bounds.

Headers stay as they were written, in their order and undecoded, because what an encoded word hides
must not be taken for an address; `words` decodes what is shown. Read with the standard library's older
policy: its newer one raises AttributeError and IndexError on garbled Content-Type headers.
https://www.rfc-editor.org/rfc/rfc5322 and https://www.rfc-editor.org/rfc/rfc2047
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit.lazily import pattern
from chalicelib.kit.shape import kept

if TYPE_CHECKING:
    from email.message import Message

MOST_LINES = 400_000
MOST_NESTED = 60
"""Multiparts, and mails within mails, that a mail may declare."""
MOST_LOOKS = 10_000_000
"""Of lines times multiparts: the parser looks for every boundary in every line."""
MOST_PARTS = 1000
MOST_PARAMETERS = 40
"""Of one header: what reads them takes the square of their number."""
MOST_HEADERS = 500
MOST_FILES = 50
LONGEST_HEADER = 8000
LONGEST_TEXT = 200_000
Headers = tuple[tuple[str, str], ...]
_CHARSET = pattern(
    r"(?:utf-?8|us-ascii|ascii|iso[-_]?8859[-_]?[0-9]{1,2}|latin-?[0-9]|(?:windows|cp)-?[0-9]{3,4}|koi8-[ru]|gbk|gb2312"
    r"|gb18030|big5|euc-(?:jp|kr)|iso-2022-(?:jp|kr)|shift[-_]jis|utf-?16(?:le|be)?|macintosh|mac-roman)\Z",
    re.IGNORECASE,
)
"""Codecs that are safe and linear: Python has others, such as punycode and unicode_escape."""
_LATIN = pattern(r"(?:iso[-_]?8859[-_]?1|latin-?1|us-ascii|ascii)\Z", re.IGNORECASE)
_WORD = pattern(r"=\?([^?*\s]{1,40})(?:\*[^?\s]{0,20})?\?([bqBQ])\?([^?\s]*)\?=")
_WORDS = pattern(r"=\?[^?\s]{1,60}\?[bqBQ]\?[^?\s]*\?=(?:\s*=\?[^?\s]{1,60}\?[bqBQ]\?[^?\s]*\?=)*+")
_FOLD = pattern(r"\r?\n(?=[ \t])")
_MULTIPART = pattern(rb"boundary[\s*0-9]{0,9}=", re.IGNORECASE)
_WITHIN = pattern(rb"^content-type:\s{0,9}message/", re.IGNORECASE | re.MULTILINE)
_HEX = pattern(rb"=([0-9A-Fa-f]{2})")


class Mail(msgspec.Struct, frozen=True):
    """`plain` and `markup`: the words of its text/plain and text/html parts."""

    headers: Headers
    plain: str = ""
    markup: str = ""
    files: tuple[dict[str, Any], ...] = ()


def read(raw: bytes) -> Mail:
    """Raises PayloadMalformed for what is beyond the bounds, and for no mail at all."""
    from email.parser import BytesParser
    from email.policy import compat32

    if raw.count(b"\n") > MOST_LINES:
        raise PayloadMalformed(f"a mail of more than {MOST_LINES} lines")
    nested = max(len(_MULTIPART.findall(raw)), len(_WITHIN.findall(raw)))
    if nested > MOST_NESTED or nested * raw.count(b"\n") > MOST_LOOKS:
        raise PayloadMalformed(f"a mail of {nested} multiparts or mails within it: too many for its length")
    found = BytesParser(policy=compat32).parsebytes(raw)
    if not found.keys():
        raise PayloadMalformed("no mail: it has no headers")
    leaves = list(islice(_leaves(found), MOST_PARTS))
    said = [(_kind(part), _said(part)) for part in leaves if not _is_file(part)]
    return Mail(
        headers=_headers(found),
        plain="\n".join(text for kind, text in said if kind == "text/plain"),
        markup=next((text for kind, text in said if kind == "text/html"), ""),
        files=tuple(_file(part) for part in leaves if _is_file(part))[:MOST_FILES],
    )


def headers(raw: bytes) -> Headers:
    """Of a head without its mail."""
    from email.parser import BytesHeaderParser
    from email.policy import compat32

    return _headers(BytesHeaderParser(policy=compat32).parsebytes(raw))


def words(value: str) -> str:
    """A header with its encoded words decoded; neighbours of one charset as one, since they may share a letter."""
    return _WORDS.sub(lambda found: _unworded(found[0]), value[:LONGEST_HEADER])


def decoded(raw: bytes, charset: str = "") -> str:
    """The text of bytes whose charset may be missing, unknown, or not what they are in."""
    named = charset.strip().strip("\"'")
    tries = ["windows-1252" if _LATIN.match(named) else named] if _CHARSET.match(named) else []
    for name in (*(["utf-8"] if _LATIN.match(named) else []), *tries, "utf-8", "windows-1252"):
        if (text := _strictly(raw, name)) is not None:
            return text
    return raw.decode("latin-1")


def parameter(message: Message, name: str, header: str) -> str:
    """A parameter of a header, however it is encoded. The parser itself loses what is not ASCII."""
    written = next((value for key, value in message.raw_items() if key.lower() == header), "")
    if written.count(";") > MOST_PARAMETERS:
        return ""
    from email.message import Message

    alone = Message()
    alone[header] = _FOLD.sub("", _whole(written[:LONGEST_HEADER])).replace("\n", " ").replace("\r", " ")
    found = alone.get_param(name, header=header)
    if isinstance(found, tuple):
        return decoded(found[2].encode("latin-1", "replace"), found[0] or "")
    return words(_whole(found)) if isinstance(found, str) else ""


def _strictly(raw: bytes, charset: str) -> str | None:
    try:
        return raw.decode(charset)
    except (UnicodeError, LookupError):
        return None


def _headers(message: Message) -> Headers:
    pairs = list(message.raw_items())[:MOST_HEADERS]
    return tuple((_whole(name), _FOLD.sub("", _whole(value[:LONGEST_HEADER])).strip()) for name, value in pairs)


def _whole(text: str) -> str:
    """What the parser made of bytes that are not ASCII, as text."""
    return text if text.isascii() else decoded(text.encode("utf-8", "surrogateescape"), "utf-8")


def _unworded(found: str) -> str:
    text, charset, held = "", "", b""
    for name, how, coded in _WORD.findall(found):
        if name.lower() != charset:
            text, charset, held = text + decoded(held, charset), name.lower(), b""
        held += _bytes(how, coded.encode("utf-8", "replace"))
    return (text + decoded(held, charset)) if charset else found


def _bytes(how: str, coded: bytes) -> bytes:
    if how in "qQ":
        return _HEX.sub(lambda found: bytes([int(found[1], 16)]), coded.replace(b"_", b" "))
    try:
        return binascii.a2b_base64(coded + b"=" * (-len(coded) % 4))
    except binascii.Error:
        return coded


def _leaves(message: Message) -> Iterator[Message]:
    """Its parts in order; a mail within it is one part."""
    inner = message.get_payload() if message.is_multipart() else []
    if message.get_content_maintype() == "message" or not isinstance(inner, list) or not inner:
        yield message
        return
    for part in inner:
        if not isinstance(part, str):
            yield from _leaves(part)


def _kind(part: Message) -> str:
    """A multipart whose boundary never comes is the text that it holds."""
    return "text/plain" if part.get_content_maintype() == "multipart" else part.get_content_type()


def _is_file(part: Message) -> bool:
    shown = _kind(part) in ("text/plain", "text/html") and not part.is_multipart()
    attached = str(part.get("content-disposition") or "").lower().startswith("attachment")
    return not shown or attached or bool(_named(part))


def _named(part: Message) -> str:
    return parameter(part, "filename", "content-disposition") or parameter(part, "name", "content-type")


def _said(part: Message) -> str:
    found = part.get_payload(decode=True)
    raw = found if isinstance(found, bytes) else b""
    text = decoded(raw, parameter(part, "charset", "content-type"))
    return text[:LONGEST_TEXT].replace("\r\n", "\n")


def _file(part: Message) -> dict[str, Any]:
    """A mail within the mail has no bytes of its own any more, so neither size nor digest."""
    raw = None if part.is_multipart() else part.get_payload(decode=True)
    return kept(
        name=_named(part)[:255],
        media_type=part.get_content_type()[:255],
        size=len(raw) if isinstance(raw, bytes) else None,
        sha256=hashlib.sha256(raw).hexdigest() if isinstance(raw, bytes) else None,
        content_id=_whole(str(part.get("content-id") or "")).strip().strip("<>")[:255],
    )
