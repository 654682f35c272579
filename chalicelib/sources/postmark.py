"""Postmark: mail that comes in, and what became of mail that it sent.

https://postmarkapp.com/developer/webhooks/inbound-webhook
https://postmarkapp.com/developer/webhooks/webhooks-overview

Postmark writes no Authentication-Results, and passes on whatever the sender put there. So an address is
asserted only, unless a setting says who is to be believed: `authserv_ids`, the server that forwards
to Postmark, and only for mail that a host of its own handed over; or `trust_spam_tests`, the author's
signature as Postmark's own spam check saw it, read only above the first header that came with the mail.
What was sent shows by how it ended; opens and clicks yield nothing. A suppression is a withdrawn consent,
but not after a hard bounce; only the recipient's own return grants anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit import letters, mail, sent_mail
from chalicelib.kit.fields import instant
from chalicelib.kit.lazily import pattern
from chalicelib.kit.letters import Letter
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import BASIC_OR_PATH, BASIC_OR_PATH_SECRETS, BASIC_OR_PATH_SETTINGS
from chalicelib.kit.sent_mail import Outcome
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event, digest

TYPES = {
    "Inbound": "email",
    "Delivery": "email",
    "Bounce": "email",
    "SpamComplaint": "email",
    "SubscriptionChange": "consent",
}
NO_BOUNCE = frozenset({"AutoResponder", "AddressChange", "ChallengeVerification", "OpenRelayTest"}) | frozenset(
    {"Subscribe", "Unsubscribe", "InboundError"}
)
DELAYED = frozenset({"Transient", "DnsError"})
ORIGINS = {"Recipient": "customer", "Customer": "agent"}
SENT_ID_DOMAIN = "mtasv.net"
DELIVERY_KEY = pattern(rb'"MessageID"\s*:\s*"([0-9A-Za-z-]{8,64})"')
OWN_STAMP = pattern(r"by\s+[a-z0-9-]+\.inbound\.postmarkapp\.com\s", re.IGNORECASE)


def normalize(request: Request) -> Iterator[Event]:
    kind = kind_of(request)
    if kind == "Inbound":
        letter = letter_of(request)
        yield letters.received(letter, kind, vouched(letter))
    elif kind == "SubscriptionChange":
        yield from consent(request)
    elif kind in TYPES:
        yield from sent(request, kind)


def kind_of(request: Request) -> str:
    """Mail that came in has no RecordType."""
    inbound = "Inbound" if "FromFull" in request.object or "From" in request.object else ""
    return text(request.object, "RecordType") or inbound


def letter_of(request: Request) -> Letter:
    """What Postmark took out of the headers stands on top of them again, below which its own keep their order."""
    told = request.object
    headers = tuple((text(each, "Name"), text(each, "Value")) for each in objects(told, "Headers"))
    out = (("Date", text(told, "Date")), ("Subject", text(told, "Subject")), ("Reply-To", text(told, "ReplyTo")))
    spam = mail.first(headers, "X-Spam-Status").strip().lower().startswith("yes")
    return Letter(
        headers=(*out, *headers, ("Message-ID", f"<{required(told, 'MessageID')}>")),
        settings=request.settings,
        plain=text(told, "TextBody"),
        markup=text(told, "HtmlBody"),
        stripped=text(told, "StrippedTextReply"),
        files=files(request),
        envelope=tuple(filter(None, (text(told, "OriginalRecipient"), *(at for _, at in mailboxes(told, "BccFull"))))),
        hashes=(*(text(each, "MailboxHash") for each in objects(told, "ToFull")), text(told, "MailboxHash")),
        parsed={"From": author(told), "To": mailboxes(told, "ToFull"), "Cc": mailboxes(told, "CcFull")},
        details=kept(spam=True if spam else None, stream=text(told, "MessageStream")),
    )


def author(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    name = text(told, "FromFull", "Name") or text(told, "FromName")
    return [(name.strip(), text(told, "FromFull", "Email") or text(told, "From"))]


def mailboxes(told: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    found = ((text(each, "Name"), text(each, "Email").strip()) for each in objects(told, name))
    return [each for each in found if each[1]][: mail.MOST_ADDRESSES]


def files(request: Request) -> tuple[dict[str, Any], ...]:
    """The test button of the vendor calls their content Data."""
    return tuple(
        mail.attachment(
            text(each, "Name"),
            text(each, "ContentType"),
            text(each, "Content") or text(each, "Data"),
            each.get("ContentLength"),
            text(each, "ContentID"),
        )
        for each in objects(request.object, "Attachments")[: mail.MOST_ADDRESSES]
    )


def vouched(letter: Letter) -> bool:
    """Whether somebody whom the settings name says that the sender's domain sent this."""
    if not mail.domain_of(letter.sender):
        return False
    if letter.settings.get("trust_spam_tests") is True and "DKIM_VALID_AU" in spam_tests(letter.headers):
        return True
    stamps = (value for value in mail.every(letter.headers, "Received") if not OWN_STAMP.match(value))
    return letters.passed(letter, letters.handed_by(letter, mail.handed_over_by(next(stamps, ""))))


def spam_tests(headers: mail.Headers) -> list[str]:
    """What Postmark's own check found: its headers stand between its own stamp and the next one."""
    stamps = [place for place, (name, _) in enumerate(headers) if name.lower() == "received"]
    if len(stamps) < 2 or not OWN_STAMP.match(headers[stamps[0]][1]):
        return []
    return re.split(r"[,\s]+", mail.first(headers[stamps[0] : stamps[1]], "X-Spam-Tests"))


def sent(request: Request, kind: str) -> Iterator[Event]:
    told = request.object
    status = {"Delivery": "delivered", "SpamComplaint": "complained"}.get(kind) or bounced(text(told, "Type"))
    field = "DeliveredAt" if kind == "Delivery" else "BouncedAt"
    if status:
        number, domain = required(told, "MessageID"), text(request.settings, "message_id_domain") or SENT_ID_DOMAIN
        outcome = Outcome(
            number=number,
            recipient=text(told, "Recipient") or text(told, "Email"),
            status=status,
            at=instant(told.get(field), field, "UTC"),
            news=text(told, "ID"),
            message_id=f"{number}@{domain}",
            subject=text(told, "Subject"),
            sender=text(told, "From"),
            actor=text(request.settings, "sent_by"),
            details=fate(told),
        )
        yield sent_mail.entry(outcome, kind)


def bounced(kind: str) -> str:
    return "" if kind in NO_BOUNCE else "delayed" if kind in DELAYED else "bounced"


def fate(told: Mapping[str, Any]) -> dict[str, Any]:
    metadata = pick(told, "Metadata")
    return {
        "error": text(told, "Type") if text(told, "Type") != "SpamComplaint" else "",
        "reason": (text(told, "Description") or text(told, "Details"))[:500],
        "tag": text(told, "Tag"),
        "stream": text(told, "MessageStream"),
        "metadata": metadata if isinstance(metadata, dict) else None,
    }


def consent(request: Request) -> Iterator[Event]:
    told, origin = request.object, text(request.object, "Origin")
    answer, recipient, stream = answer_of(told, origin), text(told, "Recipient"), text(told, "MessageStream")
    moment = instant(told.get("ChangedAt"), "ChangedAt", "UTC")
    if answer and recipient:
        yield sent_mail.consent(
            answer,
            recipient,
            stream or "outbound",
            moment,
            "SubscriptionChange",
            direction="in" if origin == "Recipient" else "internal",
            actor=ORIGINS.get(origin, "system"),
            details=kept(reason=text(told, "SuppressionReason"), stream=stream),
        )


def answer_of(told: Mapping[str, Any], origin: str) -> str:
    """A dead mailbox withdraws nothing; what we or the vendor lift again nobody granted."""
    suppressed = told.get("SuppressSending")
    if suppressed is True and text(told, "SuppressionReason") != "HardBounce":
        return "denied"
    return "granted" if suppressed is False and origin == "Recipient" else ""


def delivery_key(request: Request) -> str | None:
    """Postmark's own id of a mail that came in; of what was sent the bytes, because several webhooks tell of one
    mail. Read off the bytes: this never raises."""
    found = DELIVERY_KEY.search(request.body)
    return digest(request.body) if b'"RecordType"' in request.body or not found else found[1].decode()


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"FromName":"Test","MessageStream":"inbound","From":"noreply@test.example","FromFull":'
        b'{"Email":"noreply@test.example","Name":"Test","MailboxHash":""},"ToFull":[],"Subject":"Test",'
        b'"MessageID":"00000000-0000-0000-0000-000000000000","Date":"Thu, 1 Jan 2026 11:00:00 +0000",'
        b'"TextBody":"Test","HtmlBody":"","StrippedTextReply":"","Headers":[],"Attachments":[]}'
    )
    return BASIC_OR_PATH.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="Postmark",
    channel="email",
    types=TYPES,
    normalize=normalize,
    verify=BASIC_OR_PATH,
    dedupe=delivery_key,
    settings={
        **BASIC_OR_PATH_SETTINGS,
        **letters.SETTINGS,
        "forwarders": letters.FORWARDERS,
        "trust_spam_tests": Setting(
            "Trust the author's signature in X-Spam-Tests",
            type="boolean",
            default=False,
            help="An address whose mail has DKIM_VALID_AU is attested; for mail that comes to Postmark directly",
        ),
        "message_id_domain": Setting(
            "Domain of sent Message-IDs", default=SENT_ID_DOMAIN, help="After the MessageID in the mail's own header"
        ),
        "sent_by": Setting("Who sends through Postmark", default="agent", choices=("agent", "bot", "system")),
    },
    secrets=BASIC_OR_PATH_SECRETS,
    unverified=(
        "that the headers keep the order of the mail and Postmark's own stand on top, as in public captures: "
        "authserv_ids and trust_spam_tests rest on it",
        "that DKIM_VALID_AU means a signature by the domain of the one From address: trust_spam_tests, off by default",
        "whether Postmark removes Authentication-Results of others; no page or capture shows any of its own",
        "the Message-ID of sent mail, <MessageID>@mtasv.net: message_id_domain",
        "types of bounces beyond those of the vendor's own client, which are taken as bounces",
        "whether Postmark keeps the case of what stands after the plus of an address",
    ),
    setup=(
        "Make up a user name and a password and enter them here. Set {hook_url}, with https://<username>:<password>@ "
        "where it begins with https://, as the server's inbound webhook, and in the webhooks of its outbound streams: "
        "delivery, bounce, spam complaint and subscription change.",
        "Enter your own addresses in own_addresses. Blind copy (Bcc) what agents send to the inbound address.",
        "Where your mail server forwards to Postmark and writes Authentication-Results, name it in authserv_ids; where "
        "mail comes to Postmark directly, try trust_spam_tests. Until then no address identifies anybody.",
        "Mails of over 4 MB, attachments in base64, are refused: they stay at Postmark as inbound errors.",
        "Order numbers in mails: set order_pattern, and name the shop's connection in ref_scopes.order.",
    ),
    docs="https://postmarkapp.com/developer/webhooks/inbound-webhook",
    sample=sample,
)
