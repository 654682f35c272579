"""Forms as carriers of mail and fax post them: fields by their exact bytes, each in a charset of its own.

Total: whatever comes is a Form, perhaps an empty one that says why. Nothing may stand before the first
boundary or behind the last. Some carriers use one boundary for ever: whoever writes it into a mail can
add fields, and behind an early end hide the carrier's own. What decides anything is therefore read by `only`.
https://www.rfc-editor.org/rfc/rfc7578
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import mime
from chalicelib.kit.lazily import pattern
from chalicelib.kit.request import Request, parse_json
from chalicelib.kit.shape import kept
from chalicelib.kit.signatures import octets

MOST_PARTS = 1000
LONGEST_HEAD = 4096
LONGEST_HEADS = 256 * 1024
"""Of all parts: a verifier may read a form before anybody has said who he is."""
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_FILENAME = pattern(r";\s*filename\b")
_PLAIN = pattern(rb'content-disposition: form-data; name="([\w.\[\]-]{1,100})"', re.IGNORECASE)
"""A head with nothing to decode, as nearly every field has: a parser of mail takes ninety times as long for it."""
_BOUNDARY = pattern(r";\s*boundary=(?:\"([^\"]{1,70})\"|([^\s;\"]{1,70}))", re.IGNORECASE)


class Part(msgspec.Struct, frozen=True):
    """`filename` is None where the part is no file."""

    name: str
    content: bytes
    filename: str | None = None
    media_type: str = ""
    charset: str = ""

    def text(self, charset: str = "") -> str:
        return mime.decoded(self.content, charset or self.charset or "utf-8")

    def reference(self, **known: Any) -> dict[str, Any]:
        """Of a file: what is `known` of it goes before what its part says."""
        said = {"name": (self.filename or "")[:255], "media_type": self.media_type[:255]}
        found = said | {name: value for name, value in known.items() if value}
        return kept(**found, size=len(self.content), sha256=hashlib.sha256(self.content).hexdigest())


class Form(msgspec.Struct, frozen=True):
    """Its parts in order. `mistake`: why nothing could be read."""

    parts: tuple[Part, ...] = ()
    mistake: str = ""

    def named(self, name: str) -> list[Part]:
        return [part for part in self.parts if part.name == name]

    def first(self, name: str, charset: str = "") -> str:
        found = self.named(name)
        return found[0].text(charset) if found else ""

    def last(self, name: str) -> str:
        found = self.named(name)
        return found[-1].text() if found else ""

    def only(self, name: str) -> str:
        """Empty where the name occurs twice: then one of them may be somebody else's."""
        found = self.named(name)
        return found[0].text() if len(found) == 1 else ""

    def json(self, name: str) -> Any:
        """None for what is absent, doubled or no JSON."""
        found = self.named(name)
        return json_of(found[0].content) if len(found) == 1 else None

    def files(self) -> list[Part]:
        return [part for part in self.parts if part.filename is not None]


def read(request: Request) -> Form:
    """The form of a request, multipart or URL-encoded."""
    if request.media_type == FORM:
        return _urlencoded(request)
    boundary = _BOUNDARY.search(request.header("content-type") or "")
    if request.media_type != MULTIPART or not boundary:
        return Form(mistake=f"no form: {request.media_type[:60]!r}")
    return split(request.body, octets(boundary[1] or boundary[2]))


def checked(request: Request) -> Form:
    """Raises PayloadMalformed for what is no form."""
    form = read(request)
    if form.mistake:
        raise PayloadMalformed(form.mistake)
    return form


def json_of(raw: bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return parse_json(raw)
    except PayloadMalformed:
        return None


def split(body: bytes, boundary: bytes) -> Form:
    mark = b"--" + boundary
    end = b"\r\n" if body[len(mark) :].startswith(b"\r\n") else b"\n"
    ends = list(_delimiters(end + body, end, mark))
    if len(ends) < 2 or ends[0].start() > 0:
        return Form(mistake="no form: it does not begin with its boundary, or has no part")
    if len(ends) > MOST_PARTS:
        return Form(mistake=f"a form of more than {MOST_PARTS} parts")
    closing = [place for place, found in enumerate(ends) if found[1]]
    if closing != [len(ends) - 1] or (end + body)[ends[-1].end() :].strip():
        return Form(mistake="a form that does not end with its last boundary")
    whole = end + body
    raws = [whole[one.end() + len(end) : two.start()].partition(end + end) for one, two in pairwise(ends)]
    if sum(len(head) for head, _, _ in raws) > LONGEST_HEADS:
        return Form(mistake=f"a form whose heads have more than {LONGEST_HEADS} bytes")
    found = [_part(head, content) if blank and len(head) <= LONGEST_HEAD else None for head, blank, content in raws]
    known = tuple(part for part in found if part is not None)
    return Form(known) if len(known) == len(found) else Form(mistake="a part of the form has no name or no end of head")


def _delimiters(whole: bytes, end: bytes, mark: bytes) -> Iterator[re.Match[bytes]]:
    pattern = re.compile(re.escape(end + mark) + rb"(--)?[ \t]{0,20}(?=" + end + rb"|\Z)")
    for number, found in enumerate(pattern.finditer(whole)):
        if number > MOST_PARTS:
            return
        yield found


def _part(head: bytes, content: bytes) -> Part | None:
    plain = _PLAIN.fullmatch(head)
    return Part(plain[1].decode(), content) if plain else _parsed(head, content)


def _parsed(head: bytes, content: bytes) -> Part | None:
    from email.parser import BytesHeaderParser
    from email.policy import compat32

    told = BytesHeaderParser(policy=compat32).parsebytes(head + b"\r\n")
    said = str(told.get("content-disposition") or "").lower()
    name = mime.parameter(told, "name", "content-disposition")
    if not name or not said.startswith("form-data"):
        return None
    filename = mime.parameter(told, "filename", "content-disposition")
    kind = told.get_content_type() if "content-type" in told else ""
    is_file = _FILENAME.search(said) is not None
    return Part(name, content, filename if is_file else None, kind, mime.parameter(told, "charset", "content-type"))


def _urlencoded(request: Request) -> Form:
    try:
        return Form(tuple(Part(name, value.encode()) for name, value in request.form))
    except PayloadMalformed as wrong:
        return Form(mistake=str(wrong))
