"""Mailgun: mail that routes hand over, taken apart or as it went over the wire, and what became of sent mail.

https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http
https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads

The signature covers a timestamp and a token, but not the body: whoever has seen one request could send
another with it while it is young, so `max_age` bounds it and a `path_secret` may be asked for besides.
A route's form holds the mail's own headers as fields too: of signature fields the last counts, of others
the first, and what decides is read only where the form has it once.
Mailgun's check of a signature names no domain and so proves nothing about the author. Whoever is to be
believed a setting says: `authserv_ids`, the server that forwards to Mailgun, or `trust_spf`.
What was sent shows by how it ended; opens, clicks and mail that only passes a route yield nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from chalicelib.kit import letters, mail, mime, multipart, sent_mail
from chalicelib.kit.fields import instant
from chalicelib.kit.lazily import pattern
from chalicelib.kit.letters import Letter
from chalicelib.kit.multipart import Form
from chalicelib.kit.request import SAMPLED_AT, Request, sample_request
from chalicelib.kit.sent_mail import Outcome
from chalicelib.kit.shape import kept, objects, pick, required, text, texts
from chalicelib.kit.signatures import decode, keys_of, octets, path_secret, same, untimely
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model import instants
from chalicelib.model.event import Event

TYPES = {
    "inbound": "email",
    "inbound.mime": "email",
    "delivered": "email",
    "failed": "email",
    "complained": "email",
    "unsubscribed": "consent",
}
STATUS = {"delivered": "delivered", "complained": "complained", "failed": "bounced"}
WITHDRAWN = {"unsubscribed": "Unsubscribed", "complained": "Spam complaint"}
MAX_AGE = 9 * 3600
EARLY = 300
OWN_STAMP = pattern(r"\sby\s+[a-z0-9.-]+\.mailgun\.(?:org|net|com)\s", re.IGNORECASE)


def normalize(request: Request) -> Iterator[Event]:
    if request.media_type == "application/json":
        yield from reported(request)
        return
    form = multipart.checked(request)
    kind = "inbound.mime" if form.named("body-mime") else "inbound" if form.named("message-headers") else ""
    if kind and not form.named("event"):
        letter = letter_of(request, form, kind)
        yield letters.received(letter, kind, vouched(form, letter))


def letter_of(request: Request, form: Form, kind: str) -> Letter:
    if kind == "inbound.mime":
        found = mime.read(form.named("body-mime")[0].content)
    else:
        head, plain = headers_of(form), form.first("body-plain").replace("\r\n", "\n")
        found = mime.Mail(head, plain, form.first("body-html"), (*files(form), *stored(form)))
    return Letter(
        headers=found.headers,
        settings=request.settings,
        plain=found.plain,
        markup=found.markup,
        stripped=form.first("stripped-text").replace("\r\n", "\n"),
        files=found.files,
        envelope=tuple(each.strip() for each in form.first("recipient").split(",") if each.strip())[:50],
        details=kept(spam=True if flagged(found.headers) else None),
    )


def headers_of(form: Form) -> mime.Headers:
    pairs = multipart.json_of(form.named("message-headers")[0].content)
    found = [each for each in pairs if isinstance(each, list) and len(each) == 2] if isinstance(pairs, list) else []
    return tuple((name, value) for name, value in found if isinstance(name, str) and isinstance(value, str))


def files(form: Form) -> tuple[dict[str, Any], ...]:
    """`content-id-map` names the part of each content id."""
    known = form.json("content-id-map")
    ids = {part: each for each, part in known.items() if isinstance(part, str)} if isinstance(known, dict) else {}
    found = (part.reference(content_id=ids.get(part.name, "").strip("<>")[:255]) for part in form.files())
    return tuple(found)[: mime.MOST_FILES]


def stored(form: Form) -> tuple[dict[str, Any], ...]:
    """A route that stores hands over addresses of the files, which want the API key."""
    return tuple(
        kept(
            name=text(each, "name"), media_type=text(each, "content-type"), size=each.get("size"), url=text(each, "url")
        )
        for each in objects(form.json("attachments"))[: mime.MOST_FILES]
    )


def flagged(headers: mail.Headers) -> bool:
    return mail.first(headers, "X-Mailgun-Sflag").strip().lower() == "yes"


def vouched(form: Form, letter: Letter) -> bool:
    """Whether somebody whom the settings name says that the sender's domain sent this."""
    domain = mail.domain_of(letter.sender)
    doubled = max(len(form.named(name)) for name in ("message-headers", "body-mime", "sender")) > 1
    if not domain or doubled:
        return False
    if letter.settings.get("trust_spf") is True and spf(letter.headers) == "pass":
        return mail.domain_of(form.only("sender")) == domain
    return letters.passed(letter, letters.believed(letter, OWN_STAMP))


def spf(headers: mail.Headers) -> str:
    """Mailgun's finding: above its own stamp, below which lies what came with the mail."""
    stamps = [place for place, (name, value) in enumerate(headers) if name.lower() == "received"]
    own = bool(stamps) and OWN_STAMP.search(headers[stamps[0]][1])
    return mail.first(headers[: stamps[0]], "X-Mailgun-Spf").strip().lower() if own else ""


def reported(request: Request) -> Iterator[Event]:
    told = pick(request.object, "event-data")
    kind = text(told, "event")
    flags, domain = pick(told, "flags"), text(request.settings, "domain")
    if kind not in TYPES or any(pick(flags, name) is True for name in ("is-test-mode", "is-routed")):
        return
    if domain and domain.lower() != (text(told, "domain", "name") or domain).lower():
        return
    if kind in STATUS:
        yield sent(request, told, kind)
    if kind in WITHDRAWN:
        yield withdrawn(told, kind)


def sent(request: Request, told: Any, kind: str) -> Event:
    number = message_id(told)
    outcome = Outcome(
        number=number,
        recipient=required(told, "recipient"),
        status="delayed" if text(told, "severity") == "temporary" else STATUS[kind],
        at=instant(told.get("timestamp"), "timestamp"),
        news=required(told, "id"),
        message_id=number,
        subject=text(told, "message", "headers", "subject"),
        sender=sender_of(told),
        actor=text(request.settings, "sent_by"),
        details=fate(told),
    )
    return sent_mail.entry(outcome, kind)


def message_id(told: Any) -> str:
    """Without brackets, as Mailgun writes it mostly."""
    return required(told, "message", "headers", "message-id").strip("<>")[:250]


def sender_of(told: Any) -> str:
    found = mail.addresses(text(told, "message", "headers", "from"))
    return found[0][1] if len(found) == 1 else ""


def fate(told: Any) -> dict[str, Any]:
    code, variables = pick(told, "delivery-status", "code"), pick(told, "user-variables")
    return kept(
        error=text(told, "reason")[:100],
        code=code if type(code) is int else None,
        reason=(text(told, "delivery-status", "message") or text(told, "delivery-status", "description"))[:500],
        tags=texts(told, "tags"),
        metadata=variables if isinstance(variables, dict) else None,
    )


def withdrawn(told: Any, kind: str) -> Event:
    """Mailgun sends no more to whoever unsubscribed or complained."""
    return sent_mail.consent(
        "denied",
        required(told, "recipient"),
        text(told, "domain", "name"),
        instant(told.get("timestamp"), "timestamp"),
        kind,
        summary=f"{WITHDRAWN[kind]}: no mail",
        details={"reason": WITHDRAWN[kind]},
    )


class FieldSignature(msgspec.Struct, frozen=True):
    """HMAC-SHA256 in hex over the fields timestamp and token, which are in the body beside what they sign."""

    covers_body = False
    timed = True

    def __call__(self, request: Request, secrets: Secrets) -> str | None:
        keys, (stamp, token, signature) = keys_of(secrets, "webhook_signing_key"), fields_of(request)
        given = decode(signature, "hex")
        if not keys or given is None:
            return "no readable signature" if keys else "no webhook_signing_key is configured"
        if not any(same(digest(key, stamp, token), given) for key in keys):
            return "the signature does not match"
        return stale(stamp, request) or (path_secret()(request, secrets) if keys_of(secrets, "path_secret") else None)

    def sign(self, request: Request, secrets: Secrets) -> Request:
        """The body, JSON or form, must hold the fields; the signature in it is made anew."""
        stamp, token, old = fields_of(request)
        new = digest(keys_of(secrets, "webhook_signing_key")[0], stamp, token).hex()
        head, hook, _ = request.url.partition(f"/hooks/{request.connection}")
        body = request.body.replace(octets(old), octets(new)) if len(old) == len(new) else request.body
        signed = replace(request, body=body, url=head + hook)
        return path_secret().sign(signed, secrets) if keys_of(secrets, "path_secret") else signed


def fields_of(request: Request) -> tuple[str, str, str]:
    names = ("timestamp", "token", "signature")
    if request.media_type == "application/json":
        told = pick(multipart.json_of(request.body), "signature")
        return text(told, names[0]), text(told, names[1]), text(told, names[2])
    form = multipart.read(request)
    return form.last(names[0]), form.last(names[1]), form.last(names[2])


def digest(key: str, stamp: str, token: str) -> bytes:
    return hmac.new(octets(key), octets(stamp + token), hashlib.sha256).digest()


def stale(stamp: str, request: Request) -> str | None:
    """Retries come up to eight hours later, and nobody says that they are signed anew."""
    setting = request.settings.get("max_age")
    longest = setting if type(setting) is int and 0 < setting <= 86400 else MAX_AGE
    late, early = (untimely(stamp, "s", seconds, request.received_at) for seconds in (longest, EARLY))
    return late or (early if early and early.endswith("future") else None)


def scheme(settings: Mapping[str, Any]) -> FieldSignature:
    return FieldSignature()


def delivery_key(request: Request) -> str | None:
    """The event's own id, or the mail's own Message-ID; a token may be new in every attempt."""
    if request.media_type == "application/json":
        return text(multipart.json_of(request.body), "event-data", "id") or None
    form = multipart.read(request)
    raw = form.named("body-mime")
    head = mime.headers(raw[0].content) if raw else headers_of(form) if form.named("message-headers") else ()
    return next(iter(mail.message_ids(mail.first(head, "Message-Id"))), None)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    stamp, token = instants.to_ms(SAMPLED_AT) // 1000, "1" * 50
    body = (
        f'{{"signature":{{"timestamp":"{stamp}","token":"{token}","signature":"{"0" * 64}"}},'
        '"event-data":{"event":"opened","id":"sample","timestamp":1767265200.0,"recipient":"noreply@test.example"}}'
    )
    return FieldSignature().sign(sample_request(url, settings, body.encode()), secrets)


SOURCE = Source(
    name="Mailgun",
    channel="email",
    types=TYPES,
    normalize=normalize,
    verify=FieldSignature(),
    dedupe=delivery_key,
    settings={
        "max_age": Setting("Longest age of a signature", type="integer", default=MAX_AGE, help="Seconds"),
        "domain": Setting("Domain", help="Events of other domains yield nothing"),
        **letters.SETTINGS,
        "forwarders": letters.FORWARDERS,
        "trust_spf": Setting(
            "Trust Mailgun's check of the sending server",
            type="boolean",
            default=False,
            help="An address is attested where X-Mailgun-Spf says Pass and the envelope's sender has exactly its domain",
        ),
        "sent_by": Setting("Who sends through Mailgun", default="agent", choices=("agent", "bot", "system")),
    },
    secrets={
        "webhook_signing_key": Setting("HTTP webhook signing key", required=True),
        "path_secret": Setting("Path secret", help="Where the address is {hook_url}/<secret>: then it must match too"),
    },
    unverified=(
        "the body is not signed: only timestamp and token are",
        "whether a retry carries a new timestamp and token: max_age is longer than the eight hours of retries",
        "that message-headers keep the order of the mail with Mailgun's own on top, as in public captures: "
        "authserv_ids and trust_spf rest on it",
        "whether Mailgun removes Authentication-Results of others",
        "whether encoded words in message-headers are decoded already; both are read",
    ),
    setup=(
        "Copy the HTTP webhook signing key from the control panel and enter it here.",
        'Add a route with the action forward("{hook_url}"): Mailgun then posts the parts of a mail. It posts the raw '
        "mail to addresses that end in mime: for that, make up a path secret that does, enter it here, and forward to "
        "{hook_url}/<path secret>.",
        "Under Sending, Webhooks, set {hook_url} for delivered messages, permanent and temporary failure, spam "
        "complaints and unsubscribes. Where there is a path secret, every address is {hook_url}/<path secret>.",
        "Enter your own addresses in own_addresses. Blind copy (Bcc) what agents send to an address of the route.",
        "Where your mail server forwards to Mailgun and writes Authentication-Results, name it in authserv_ids; where "
        "mail comes to Mailgun directly, try trust_spf. Until then no address identifies anybody.",
        "Order numbers in mails: set order_pattern, and name the shop's connection in ref_scopes.order.",
    ),
    docs="https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http",
    sample=sample,
)
