"""SendGrid Inbound Parse: mail that comes in, taken apart by SendGrid or as it went over the wire.

https://docs.sendgrid.com/for-developers/parsing-email/setting-up-the-inbound-parse-webhook

A form, unsigned; each of its texts is in the charset that `charsets` names for it. `headers` come sorted
by name, in the order of the mail only within one name, so what stands above what is not known; but
`sender_ip` tells who handed the mail over. Whoever is to be believed a setting says: `authserv_ids`, the
server that forwards to SendGrid from `forwarder_ips`; or SendGrid's own findings of the author's domain.
The boundary of the form is always the same: what decides is read only where the form has it once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import letters, mail, mime, multipart
from chalicelib.kit.lazily import pattern
from chalicelib.kit.letters import Letter
from chalicelib.kit.multipart import Form
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import BASIC_OR_PATH, BASIC_OR_PATH_SECRETS, BASIC_OR_PATH_SETTINGS
from chalicelib.kit.shape import kept, text, texts
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event

TYPES = {"parsed": "email", "raw": "email"}
DKIM = pattern(r"\{@[^\s@:,{}]{1,255} : [a-z]+(?:, @[^\s@:,{}]{1,255} : [a-z]+)*+\}")
FINDING = pattern(r"@([^\s@:,{}]{1,255}) : ([a-z]+)")


def normalize(request: Request) -> Iterator[Event]:
    form = multipart.checked(request)
    kind = kind_of(form)
    if kind:
        letter = letter_of(request, form, kind)
        yield letters.received(letter, kind, vouched(request, form, letter))


def kind_of(form: Form) -> str:
    return "raw" if form.named("email") else "parsed" if form.named("headers") else ""


def letter_of(request: Request, form: Form, kind: str) -> Letter:
    if kind == "raw":
        found = mime.read(form.named("email")[0].content)
    else:
        head = mime.headers(form.named("headers")[0].content)
        found = mime.Mail(head, words(form, "text"), words(form, "html"), files(form))
    return Letter(
        headers=found.headers,
        settings=request.settings,
        plain=found.plain,
        markup=found.markup,
        files=found.files,
        envelope=tuple(enveloped(form)),
        details=kept(spam_score=form.only("spam_score").strip()[:20]),
    )


def words(form: Form, name: str) -> str:
    return form.first(name, text(form.json("charsets"), name)).replace("\r\n", "\n")


def enveloped(form: Form) -> list[str]:
    return texts(form.json("envelope"), "to")[: mail.MOST_ADDRESSES]


def files(form: Form) -> tuple[dict[str, Any], ...]:
    about = form.json("attachment-info")
    return tuple(
        part.reference(
            name=text(about, part.name, "filename")[:255],
            media_type=text(about, part.name, "type")[:255],
            content_id=text(about, part.name, "content-id").strip("<>")[:255],
        )
        for part in form.files()[: mime.MOST_FILES]
    )


def vouched(request: Request, form: Form, letter: Letter) -> bool:
    """Whether somebody whom the settings name says that the sender's domain sent this."""
    domain, settings = mail.domain_of(letter.sender), request.settings
    if not domain:
        return False
    if settings.get("trust_dkim") is True and signed_by(form.only("dkim").strip().lower(), domain):
        return True
    if settings.get("trust_spf") is True and form.only("SPF").strip().lower() == "pass":
        return mail.domain_of(text(form.json("envelope"), "from")) == domain
    forwarded = letters.within(form.only("sender_ip"), texts(settings, "forwarder_ips"))
    return forwarded and letters.passed(letter, letters.servers(letter))


def signed_by(findings: str, domain: str) -> bool:
    """`{@example.nl : pass}`: no JSON, and nothing where it is not exactly of this form."""
    verdicts = [verdict for name, verdict in FINDING.findall(findings) if name == domain]
    return bool(DKIM.fullmatch(findings)) and bool(verdicts) and set(verdicts) == {"pass"}


def delivery_key(request: Request) -> str | None:
    """SendGrid sends none: the mail's own Message-ID."""
    form = multipart.read(request)
    head = next(iter((*form.named("headers"), *form.named("email"))), None)
    found = mime.headers(head.content) if head else ()
    return next(iter(mail.message_ids(mail.first(found, "Message-ID"))), None)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    told = {
        "headers": "Date: Thu, 1 Jan 2026 11:00:00 +0000\r\nFrom: noreply@test.example\r\n"
        "Message-ID: <sample@test.example>\r\nSubject: Test\r\nTo: test@test.example\r\n",
        "text": "Test",
        "charsets": '{"text":"UTF-8"}',
        "envelope": '{"to":["test@test.example"],"from":"noreply@test.example"}',
    }
    fields = (
        f'--xYzZY\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in told.items()
    )
    body = "".join([*fields, "--xYzZY--\r\n"]).encode()
    asked = sample_request(url, settings, body, content_type="multipart/form-data; boundary=xYzZY")
    return BASIC_OR_PATH.sign(asked, secrets)


SOURCE = Source(
    name="SendGrid Inbound Parse",
    channel="email",
    types=TYPES,
    normalize=normalize,
    verify=BASIC_OR_PATH,
    dedupe=delivery_key,
    settings={
        **BASIC_OR_PATH_SETTINGS,
        **letters.SETTINGS,
        "forwarder_ips": Setting(
            "Addresses of these servers",
            type="array",
            items="string",
            help="IP addresses or networks from which they hand over; without them no authserv_ids count",
        ),
        "trust_dkim": Setting(
            "Trust SendGrid's check of the author's signature",
            type="boolean",
            default=False,
            help="An address is attested where the field dkim says pass for exactly its domain",
        ),
        "trust_spf": Setting(
            "Trust SendGrid's check of the sending server",
            type="boolean",
            default=False,
            help="An address is attested where SPF says pass and the envelope's sender has exactly its domain",
        ),
    },
    secrets=BASIC_OR_PATH_SECRETS,
    unverified=(
        "that dkim and SPF are always in the form, also without a signature, so that a mail that writes the form's "
        "boundary can only double and never supply them: trust_dkim and trust_spf, off by default",
        "whether dkim names the signing domain (d=) or the identity (i=) of a signature",
        "that headers of one name keep their order, as in public captures: authserv_ids rest on it",
        "whether SendGrid removes Authentication-Results of others",
        "the signed and the OAuth mode of newer parse settings: neither is read",
    ),
    setup=(
        "Make up a user name and a password and enter them here. Under Settings, Inbound Parse, add your host; its "
        "destination URL is {hook_url}, with https://<username>:<password>@ where it begins with https://. POST the "
        "raw, full MIME message may be on or off.",
        "Point the MX record of that host to mx.sendgrid.net, or let your mail server forward to it.",
        "Enter your own addresses in own_addresses. Blind copy (Bcc) what agents send to an address of that host.",
        "Where your mail server forwards and writes Authentication-Results, name it in authserv_ids and forwarder_ips; "
        "where mail comes to SendGrid directly, try trust_dkim. Until then no address identifies anybody.",
        "Mails of over 4 MB are refused: SendGrid drops them after three days.",
        "Order numbers in mails: set order_pattern, and name the shop's connection in ref_scopes.order.",
    ),
    docs="https://docs.sendgrid.com/for-developers/parsing-email/setting-up-the-inbound-parse-webhook",
    sample=sample,
)
