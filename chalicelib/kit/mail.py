"""Mail, whoever carries it: ids, threads, who vouches for the sender, what is nobody's own words.

Headers are (name, value) pairs in the order of the message: every server that a mail passes puts its
own on top, so whatever the sender made up lies below them.
https://www.rfc-editor.org/rfc/rfc5322 and https://www.rfc-editor.org/rfc/rfc8601
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import patterns
from chalicelib.kit.fields import email, instant
from chalicelib.kit.lazily import pattern
from chalicelib.kit.shape import kept
from chalicelib.kit.signatures import decode
from chalicelib.model import instants
from chalicelib.model.event import Ref

Headers = Sequence[tuple[str, str]]
LONGEST_HEADER = 4000
MOST_RESULTS = 20
MOST_ORDERS = 5
MOST_ADDRESSES = 50
LATEST, EARLIEST = 3_600_000, -7 * 86_400_000
"""Milliseconds by which a mail's own date may differ from when it was taken in."""
AUTOMATIC = frozenset({"bulk", "junk", "list", "auto_reply"})
_ID = pattern(r"<([^<>\s]{1,250})>")
_OFFSET = pattern(r"([+-][0-9]{2}):([0-9]{2})\s*\Z")
_SECTION = pattern(r'(?:[^;"\\]|\\.|"(?:[^"\\]|\\.)*+")++', re.DOTALL)
_PAIR = pattern(r'(?<!\S)([^\s="]++)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^\s"]++)', re.DOTALL)
_MAILBOX = pattern(r'(?:[^",;:<>]|"(?:[^"\\]|\\.)*+"|<[^<>]*+>)++', re.DOTALL)
_ANGLED = pattern(r"(.*)<([^<>]*)>\s*\Z", re.DOTALL)
_HANDED_OVER = pattern(r"from\s+\S{1,255}\s+\((\S{1,255})\s+\[[^\]\s]{1,60}\]\)", re.IGNORECASE)
_HOST = pattern(r"(?:mx|mail|smtp)[a-z0-9-]{0,9}\.(.+\..+)", re.IGNORECASE)


def every(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name.lower()]


def first(headers: Headers, name: str) -> str:
    """The topmost value, or empty."""
    return next(iter(every(headers, name)), "")


def message_ids(value: str) -> list[str]:
    """The ids in a Message-ID, In-Reply-To or References header, in order, without their brackets."""
    found = _ID.findall(value) or [each for each in value[:LONGEST_HEADER].replace(",", " ").split() if _loose(each)]
    return [each for each in dict.fromkeys(found) if each.isprintable()]


def _loose(word: str) -> bool:
    return 0 < word.find("@") < len(word) - 1 and len(word) <= 250 and not set("<>") & set(word)


def thread_refs(own: str, headers: Headers, ours: bool) -> tuple[Ref, ...]:
    """The mail's thread: the first id of References, else of In-Reply-To, else its own.

    So all mails of a thread name one value, whichever comes first, and most threads are one ref.
    Some programs leave References out: their reply names as its thread the mail that it answers, and
    that one also as `message`; and since it is our mails that customers answer, ours name themselves
    as `message` where their thread began before them. Both then meet there.
    """
    references, answered = message_ids(first(headers, "References")), message_ids(first(headers, "In-Reply-To"))
    thread = next(iter((*references, *answered, own)))
    found = [Ref("thread", thread)]
    if answered and not references:
        found.append(Ref("message", thread))
    if ours and thread != own:
        found.append(Ref("message", own))
    return tuple(found)


def automatic(headers: Headers) -> str:
    """The actor of a mail that nobody wrote: `system` for a bounce, `bot` for an answering machine or a
    mailing. Empty for a person's."""
    if any(value.strip() in ("", "<>") for value in every(headers, "Return-Path")[:1]):
        return "system"
    submitted = {_word(value) for value in every(headers, "Auto-Submitted")}
    suppressed = {_word(value) for value in every(headers, "X-Auto-Response-Suppress")}
    mass = {_word(value) for value in every(headers, "Precedence")} & AUTOMATIC
    return "bot" if (submitted - {"", "no"}) or (suppressed - {"", "none"}) or mass else ""


def _word(value: str) -> str:
    return re.split(r"[;,(\s]", value.strip(), maxsplit=1)[0].lower()


class Verdict(msgspec.Struct, frozen=True):
    """One result of an Authentication-Results header: `properties` such as header.from."""

    method: str
    result: str
    properties: dict[str, str] = {}


def results(value: str) -> tuple[str, list[Verdict]]:
    """(who says so, what). Empty where the header names nobody or is not well formed."""
    bare = _without_comments(value) if len(value) <= LONGEST_HEADER else ""
    sections = _SECTION.findall(bare)
    server = (sections[0].split() or [""])[0].strip('"').lower() if sections and "=" not in sections[0] else ""
    pairs = [_PAIR.findall(section) for section in sections[1:]] if server else []
    return server, [_verdict(each) for each in pairs if each]


def _verdict(pairs: list[tuple[str, str]]) -> Verdict:
    named = [(name.lower(), value.strip('"').lower()) for name, value in pairs]
    method, result = named[0]
    return Verdict(method.partition("/")[0], result, dict(reversed(named[1:])))


def _without_comments(value: str) -> str:
    """Comments nest and may hold anything. Empty where one of them, or a quotation, stays open."""
    kept_, depth, quoted, escaped = list[str](), 0, False, False
    for char in value:
        inside = depth > 0
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"' and not inside:
            quoted = not quoted
        elif char in "()" and not quoted:
            depth += 1 if char == "(" else -1
        if depth < 0:
            return ""
        kept_.append(char if not inside and not depth else " ")
    return "" if depth or quoted else "".join(kept_)


def dmarc_passed(headers: Headers, servers: Collection[str], domain: str) -> bool:
    """Whether the topmost results of one of `servers` say that the author's `domain` sent this.

    Results that anybody else wrote count for nothing, nor do older ones of the same name: those
    came with the mail. Nor does ARC-Authentication-Results, which no server takes out.
    """
    for value in every(headers, "Authentication-Results")[:MOST_RESULTS]:
        server, found = results(value)
        if server and server in servers:
            verdicts = [each for each in found if each.method == "dmarc"]
            return bool(verdicts) and all(
                each.result == "pass" and domain_of(each.properties.get("header.from", "")) == domain
                for each in verdicts
            )
    return False


def handed_over_by(received: str) -> str:
    """The host that a Received header says handed the mail over: the name that its address has, not
    the one that it gave itself."""
    found = _HANDED_OVER.match(received.strip())
    return found[1].lower().rstrip(".") if found else ""


def home_of(server: str) -> str:
    """The domain whose hosts speak for this server: google.com for mx.google.com."""
    found = _HOST.fullmatch(server)
    return (found[1] if found else server).lower()


def under(host: str, domain: str) -> bool:
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def domain_of(address: str) -> str:
    """In its one form; of an address or of a bare domain."""
    return email("x@" + address.strip().rpartition("@")[2]).rpartition("@")[2]


def listed(address: str, entries: Iterable[str]) -> bool:
    """Whether an address, a tag after its plus aside, is in a list of addresses and @domains."""
    found = email(address)
    known = {entry.strip().lower() for entry in entries}
    return bool(found) and not known.isdisjoint({found, untagged(found), f"@{domain_of(found)}"})


def tag_of(address: str) -> str:
    """What stands after the plus: `support+H.k3@shop.example` carries H.k3."""
    return address.rpartition("@")[0].partition("+")[2]


def untagged(address: str) -> str:
    local, at, domain = address.rpartition("@")
    return (local.partition("+")[0] or local) + at + domain


def addresses(value: str) -> list[tuple[str, str]]:
    """(name, address) of the mailboxes in a From, To or Cc header whose encoded words are not decoded yet:
    what they hide is a name and never an address. What is no address is left out."""
    found = []
    for each in _MAILBOX.findall(_without_comments(value[:LONGEST_HEADER]))[:MOST_ADDRESSES]:
        angled = _ANGLED.match(each)
        name, address = (angled[1], angled[2]) if angled else ("", each)
        if email(address):
            found.append((name.strip().strip('"').strip(), address.strip()))
    return found


def moment(date: str, received: str) -> str:
    """When it was written, as it says itself: a copy by another way says the same. Where that is far
    from when it was taken in, which a Received header tells, the sender's clock is wrong: then the latter.

    Raises PayloadMalformed when neither can be read.
    """
    written, taken = _read(date), _read(received.rpartition(";")[2])
    away = instants.to_ms(written) - instants.to_ms(taken) if written and taken else 0
    if written and EARLIEST <= away <= LATEST:
        return written
    return taken or instant(date, "Date")


def _read(date: str) -> str:
    try:
        return instant(_OFFSET.sub(r"\1\2", date.strip()[-64:]), "Date", "UTC")
    except PayloadMalformed:
        return ""


def order_refs(pattern: str, *texts: str) -> tuple[Ref, ...]:
    """Order numbers that the sender typed. Raises PayloadMalformed for a pattern that cannot be used."""
    if not pattern:
        return ()
    try:
        found = [value for text in texts for value in patterns.find(pattern, text, MOST_ORDERS)]
    except ValueError as wrong:
        raise PayloadMalformed(f"order_pattern: {wrong}") from wrong
    return tuple(Ref("order", value, "", True) for value in list(dict.fromkeys(found))[:MOST_ORDERS])


def attachment(name: str, media_type: str, content: str, size: Any = None, content_id: str = "") -> dict[str, Any]:
    """A reference: name, type, size and digest. `content` is base64; its bytes stay in the receipt."""
    raw = decode("".join(content.split()), "base64")
    return kept(
        name=name[:255],
        media_type=media_type[:255],
        size=len(raw) if raw is not None else size if type(size) is int else None,
        sha256=hashlib.sha256(raw).hexdigest() if raw is not None else None,
        content_id=content_id.strip().strip("<>")[:255],
    )
