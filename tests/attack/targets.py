"""What the fuzzing calls: a function each from any bytes to nothing, which raises only where the hub is wrong.

The seeds are the fixtures of all sources and the corpora; tests/attack/fuzz.py drives these with coverage for a guide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

from chalicelib import destinations, sources
from chalicelib.api import paging
from chalicelib.api.answers import Call
from chalicelib.errors import HubError, InputInvalid, PayloadMalformed, Rejected
from chalicelib.kit import addresses, cloudevents, fields, mail, mapping, mime, multipart, patterns, replies, retry
from chalicelib.kit.expressions import Search, compiled
from chalicelib.kit.request import Request, parse_json
from chalicelib.kit.signatures import BodyToken
from chalicelib.kit.xml import parse_xml
from chalicelib.model import identity
from chalicelib.store import ids, secrets
from tests.attack import corpus
from tests.sources.source_fixtures import Case, cases, coming_back

LONGEST_SEED = 4096
NOW = "2026-09-01T12:00:00.000Z"
MOST_CHARACTERS = 1000


@cache
def every_case() -> list[Case]:
    back = [slug for slug in destinations.slugs() if destinations.load(slug).changes]
    return [
        *(each for slug in sources.slugs() for each in cases(slug)),
        *(each for slug in back for each in coming_back(slug)),
    ]


def case_of(raw: bytes) -> Case:
    """Two bytes name one of the fixtures."""
    found = every_case()
    return found[int.from_bytes(raw[:2].ljust(2, b"\0"), "big") % len(found)]


def number_of(at: int) -> bytes:
    return at.to_bytes(2, "big")


def verifiers(raw: bytes) -> None:
    """Two bytes of the case, one of the header, a line of its value, the body. A changed body under an old signature
    must not be taken by a scheme that covers it."""
    case = case_of(raw)
    line, _, body = raw[3:].partition(b"\n")
    at = raw[2] if len(raw) > 2 else 0
    old = case.request.headers
    name = old[at % len(old)][0]
    value = line.decode("latin-1") or old[at % len(old)][1]
    headers = tuple((key, value if key == name else was) for key, was in old)
    request = replace(case.request, headers=headers, body=body, url=case.request.url)
    reason = case.source.verify(request, case.secrets)
    if reason is None and body != case.request.body and covered(case):
        raise AssertionError(f"{case.path}: a body that nobody signed was taken")
    if reason is not None and (not reason or "\n" in reason):
        raise AssertionError(f"{case.path}: a refusal without one line of reason")
    if case.source.handshake:
        case.source.handshake(request, case.secrets)


def covered(case: Case) -> bool:
    verifier = case.verifier
    whole = getattr(verifier, "covers_body", False) and getattr(verifier, "place", "header") == "header"
    return bool(whole) and not isinstance(verifier, BodyToken) and not hasattr(case.module, "sign") and not spares(case)


def spares(case: Case) -> bool:
    """Schemes over what a form means, or over parts of a body: other bytes may say the same."""
    return case.request.media_type not in ("application/json", "")


def readers(raw: bytes) -> None:
    """Two bytes of the case, then a body for its source: events, or malformed."""
    case = case_of(raw)
    request = replace(case.request, body=raw[2:])
    source = case.source
    if source.dedupe:
        source.dedupe(request)
    try:
        list(source.fetch(request, case.secrets) if source.fetch else ())
        for event in source.normalize(request):
            assert event.type and event.occurred_at and event.object
    except PayloadMalformed as wrong:
        assert str(wrong)


def parsers(raw: bytes) -> None:
    """A byte for the parser, the rest is read."""
    kinds: tuple[Callable[[bytes], Any], ...] = (parse_json, parse_xml, form, mime.read, header_lines, text, event_of)
    try:
        kinds[raw[0] % len(kinds) if raw else 0](raw[1:])
    except PayloadMalformed as wrong:
        assert str(wrong)


def form(raw: bytes) -> None:
    """A line of the content type, then the body."""
    kind, _, body = raw.partition(b"\n")
    request = Request("POST", "https://h/", (("Content-Type", kind.decode("latin-1")),), body, NOW)
    found = multipart.read(request)
    for part in found.parts:
        part.text()
        part.reference()
    str(request.document)


def header_lines(raw: bytes) -> None:
    said = raw.decode("utf-8", "replace")
    found = mime.headers(raw)
    mail.results(said)
    mail.automatic(found)
    mail.addresses(said)
    mail.message_ids(said)
    mail.moment(said, said)
    mime.words(said)


def text(raw: bytes) -> None:
    said = raw.decode("utf-8", "replace")
    replies.fresh(said)
    replies.text_of(said)
    retry.retry_after(said, 1_800_000_000.0)
    for value in (said, said[:40]):
        fields.email(value)
        fields.phone(value)
        fields.plain(value)
        identity.parse(value)
        host(value)
    fields.instant(said, "x", "UTC")


def host(value: str) -> None:
    try:
        found = addresses.canonical(value)
    except Rejected:
        return
    assert addresses.canonical(found) == found
    addresses.verdict(found)


def event_of(raw: bytes) -> None:
    found = parse_json(raw)
    cloudevents.read(found)


def mappings(raw: bytes) -> None:
    """A line of an expression or of a mapping in JSON, then a document: events, or mistakes with a pointer."""
    line, _, body = raw.partition(b"\n")
    try:
        document = parse_json(body) if body else None
    except PayloadMalformed:
        document = {"a": [1, "x", None, {"b": body.decode("utf-8", "replace")[:MOST_CHARACTERS]}]}
    expressed(line.decode("utf-8", "replace"), document)
    try:
        rule = parse_json(line)
    except PayloadMalformed:
        rule = AT | {"details": {"x": line.decode("utf-8", "replace")}}
    found = mapping.preview(rule, document, {"type": "note", "channel": "desk"}, "con_1")
    assert found["errors"] or all(event["occurred_at"] for event in found["events"])


AT: dict[str, Any] = {
    "type": "'message'",
    "channel": "'desk'",
    "object": "'1'",
    "occurred_at": "'2026-09-01T09:00:00Z'",
}


def expressed(expression: str, document: Any) -> None:
    try:
        compiled(expression)
    except ValueError as wrong:
        assert "\n" not in str(wrong)
        return
    try:
        Search().value(expression, document, "x")
    except PayloadMalformed as wrong:
        assert "too much" in str(wrong)


def cursors(raw: bytes) -> None:
    """A cursor, an id, a pattern: of ours or refused."""
    said = raw.decode("utf-8", "replace")
    for parts in (1, 2, 3):
        refused(lambda parts=parts: asked(said).cursor(parts))
    refused(lambda: paging.end(asked(said), ""))
    refused(lambda: asked(said, "limit").limit())
    refused(lambda: asked(said, "since").moment("since"))
    assert ids.unseal("magic", said, ids.WHOLE) is None and ids.unseal("rcp", said) is None
    assert not ids.minted_here("con", said)
    try:
        patterns.find(said[:200], "order 1234 of 2026", 5)
    except (ValueError, HubError):
        return


def refused(work: Callable[[], Any]) -> None:
    try:
        work()
    except InputInvalid as wrong:
        assert wrong.errors


class Query(dict[str, Any]):
    def getlist(self, name: str) -> list[str]:
        return [self[name]]


def asked(value: str, name: str = "next") -> Call:
    request: Any = SimpleNamespace(query_params=Query({name: value}), headers={})
    table: Any = None
    return Call(request, table, None)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "verifiers": verifiers,
    "readers": readers,
    "parsers": parsers,
    "mappings": mappings,
    "cursors": cursors,
}


def ready() -> None:
    """Without AWS: the stage's key is one for the fuzzing alone. Each source is loaded."""
    vars(secrets)["pepper"] = lambda: b"p" * 64
    for slug in sources.slugs():
        sources.load(slug)
    every_case()


def seeds(name: str) -> Iterator[bytes]:
    """What a target begins with, none longer than the fuzzing tries."""
    yield from (raw for raw in SEEDS[name]() if len(raw) <= LONGEST_SEED)


def _verified() -> Iterator[bytes]:
    hostile = json.loads((corpus.FOLDER.parent.parent / "vectors" / "hostile_headers.json").read_text("utf-8"))
    for at, case in enumerate(every_case()):
        for place, (_, value) in enumerate(case.request.headers[:8]):
            yield number_of(at) + bytes([place]) + value.encode() + b"\n" + case.request.body
        value = hostile["values"][at % len(hostile["values"])]
        yield number_of(at) + b"\x01" + value.encode("utf-8", "surrogatepass") + b"\n" + case.request.body


def _read() -> Iterator[bytes]:
    for at, case in enumerate(every_case()):
        yield number_of(at) + case.request.body
    for at, line in enumerate(corpus.lines("bodies")):
        if len(line.body) < LONGEST_SEED:
            yield number_of(at * 7) + line.body


def _parsed() -> Iterator[bytes]:
    for line in corpus.lines("bodies"):
        if len(line.body) >= LONGEST_SEED:
            continue
        kind = dict(line.headers).get("Content-Type", "").encode("utf-8", "replace")
        for parser in (0, 1, 3, 4, 5, 6):
            yield bytes([parser]) + line.body
        yield b"\x02" + kind + b"\n" + line.body


def _mapped() -> Iterator[bytes]:
    for case in every_case():
        if case.request.mapping is not None:
            yield json.dumps(case.request.mapping).encode() + b"\n" + case.request.body
    for expression in EXPRESSIONS:
        yield expression.encode() + b'\n{"a": [{"b": 1}, {"b": "x"}], "c": {"d": null}}'


EXPRESSIONS = (
    "a[?b > `0`].b | [0]",
    "join(', ', a[].b)",
    "to_string(@)",
    "sort_by(a, &b)[*].b",
    "map(&[@, @], a)",
    "a[::-1]",
    "{x: c.d, y: not_null(c.d, 'z')}",
    "max_by(a, &b)",
    "merge(c, @)",
    "'unclosed",
)


def _pointed() -> Iterator[bytes]:
    yield from (
        line.text.encode("utf-8", "surrogateescape") for line in corpus.lines("queries") if len(line.text) < 2000
    )
    yield from (
        b"con_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"rcp_ktknY29uX3Fu.opajlvpkrm",
        b"(a|b)*c{1,3}",
        b"2026-09-01T09:00:00Z",
    )


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    "verifiers": _verified,
    "readers": _read,
    "parsers": _parsed,
    "mappings": _mapped,
    "cursors": _pointed,
}
