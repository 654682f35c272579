"""A fax through a mail gateway: the gateway mails the pages, some carrier of mail posts that mail here.

https://www.rfc-editor.org/rfc/rfc5322

The mail comes as it is: as the body (message/rfc822), or in the field `mime_field` of a form or a JSON object,
in base64 or not. Settings tell which senders are the gateway, and where it writes the number that sent the
fax: in a header, or in the subject by a pattern with one group. Without a number the fax has no identity.
From can be forged, so the number is asserted only, unless a setting says who is to be believed:
`trust_gateway`, where nobody else can mail to that address, or `authserv_ids` with `forwarders`. The text of
the mail is the gateway's, not the customer's, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import faxes, letters, mail, mime, multipart
from chalicelib.kit.faxes import Fax
from chalicelib.kit.letters import Letter
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import BASIC_OR_PATH, BASIC_OR_PATH_SECRETS, BASIC_OR_PATH_SETTINGS
from chalicelib.kit.shape import kept, text, texts
from chalicelib.kit.signatures import decode
from chalicelib.kit.source import REGION, Secrets, Setting, Source
from chalicelib.model.event import Event

TYPES = {"fax": "fax"}
SUBJECT_PATTERN = r"\b(?:van|from|von|de)\b[ :]*(\+?[\d./-]{6,20})"
PAGES = ("application/pdf", "image/")


def normalize(request: Request) -> Iterator[Event]:
    raw = raw_mail(request)
    if not raw:
        return
    found = mime.read(raw)
    pages = tuple(each for each in found.files if text(each, "media_type").startswith(PAGES))
    letter = Letter(found.headers, request.settings, files=pages)
    if mail.listed(letter.sender, texts(request.settings, "gateway_addresses")):
        yield from faxed(request, letter)


def raw_mail(request: Request) -> bytes:
    """As it went over the wire; empty where the request holds none."""
    name = text(request.settings, "mime_field") or "email"
    if request.media_type == "message/rfc822":
        return request.body
    if request.media_type != "application/json":
        return next((part.content for part in multipart.checked(request).named(name)), b"")
    said = text(request.object, name)
    return decode("".join(said.split()), "base64") or said.encode()


def faxed(request: Request, letter: Letter) -> Iterator[Event]:
    """What the gateway mails without a page and without a number is no fax."""
    fax = Fax(
        number=letter.id,
        at=letters.moment(letter),
        customer=number_of(request, letter),
        own=text(request.settings, "fax_number"),
        region=request.region,
        attested=request.settings.get("trust_gateway") is True or letters.passed(letter, believed(letter)),
    )
    pages = count(letters.captured(request.settings, "pages_pattern", letter.subject))
    if letter.files or fax.identity:
        yield faxes.entry(
            fax,
            "fax",
            summary=letter.subject[:120] or "Fax",
            attachments=letter.files,
            details=kept(subject=letter.subject, gateway=letter.sender, pages=pages),
        )


def number_of(request: Request, letter: Letter) -> str:
    header = text(request.settings, "number_header")
    if header:
        return mime.words(mail.first(letter.headers, header)).strip()[:40]
    return letters.captured(request.settings, "subject_pattern", letter.subject, SUBJECT_PATTERN)


def count(pages: str) -> int | None:
    return int(pages) if pages.isascii() and pages.isdigit() and len(pages) < 5 else None


def believed(letter: Letter) -> set[str]:
    """Whose results count: only where `forwarders` says from which hosts they come."""
    return letters.believed(letter) if texts(letter.settings, "forwarders") else set()


def delivery_key(request: Request) -> str | None:
    """The mail's own Message-ID, where the body is the mail itself."""
    head = mime.headers(request.body) if request.media_type == "message/rfc822" else ()
    return next(iter(mail.message_ids(mail.first(head, "Message-ID"))), None)


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b"From: noreply@test.example\r\nTo: test@test.example\r\nDate: Thu, 1 Jan 2026 11:00:00 +0000\r\n"
        b"Message-ID: <sample@test.example>\r\nSubject: Test\r\n\r\nTest\r\n"
    )
    return BASIC_OR_PATH.sign(sample_request(url, settings, body, content_type="message/rfc822"), secrets)


SOURCE = Source(
    name="Fax-by-mail gateway",
    channel="fax",
    types=TYPES,
    normalize=normalize,
    verify=BASIC_OR_PATH,
    dedupe=delivery_key,
    settings={
        **BASIC_OR_PATH_SETTINGS,
        "gateway_addresses": Setting(
            "Senders of faxes",
            type="array",
            items="string",
            required=True,
            help="Addresses and @domains of the gateway; mail of others yields nothing",
        ),
        "mime_field": Setting(
            "Field that holds the mail",
            default="email",
            help="Of a form or a JSON object, such as body-mime or RawEmail",
        ),
        "subject_pattern": Setting(
            "Number in the subject", default=SUBJECT_PATTERN, help="One group, always greedy, any case"
        ),
        "number_header": Setting("Number in a header", help="Such as X-Fax-From; instead of the subject"),
        "pages_pattern": Setting("Pages in the subject", help=r"Such as (\d{1,3}) pag: one group"),
        "fax_number": Setting("Own fax number", help="That the gateway answers for"),
        "region": REGION,
        "trust_gateway": Setting(
            "Trust the senders' addresses",
            type="boolean",
            default=False,
            help="Numbers are attested; only where nobody but the gateway can mail to the address",
        ),
        "authserv_ids": letters.SETTINGS["authserv_ids"],
        "forwarders": Setting(
            "Hosts of these servers",
            type="array",
            items="string",
            help="Domains of the hosts that hand the mail to the carrier; without them no authserv_ids count",
        ),
    },
    secrets=BASIC_OR_PATH_SECRETS,
    grade="unverified",
    unverified=(
        "how any one gateway writes the number: subject_pattern and number_header",
        "whether it is the caller's number, or only what the sending machine says of itself: trust_gateway believes it",
        "that the carrier keeps the headers in order and puts its own Received on top: authserv_ids rests on it",
    ),
    setup=(
        "Let the gateway mail its faxes, as PDF or TIFF, to an address that nobody else knows.",
        "Let a carrier of inbound mail post the raw mail of that address to {hook_url}, with "
        "https://<username>:<password>@ where it begins with https://, or to {hook_url}/<path secret>; name the field "
        "that holds it in mime_field.",
        "Enter the gateway's addresses in gateway_addresses, and fit subject_pattern to the subjects that it writes.",
        "Where nobody else can mail to that address, switch trust_gateway on. Until then no number identifies anybody.",
    ),
    docs="https://www.rfc-editor.org/rfc/rfc5322",
    sample=sample,
)
