"""Postmark: mail that comes in, and what became of mail that it sent.

https://postmarkapp.com/developer/webhooks/inbound-webhook
https://postmarkapp.com/developer/webhooks/webhooks-overview

A mail is known by its own Message-ID, so that one mail by two addresses is one event; its moment is
its own date for the same reason. From identifies; Reply-To, copies and what a text mentions never do.
Postmark writes no Authentication-Results, and passes on whatever the sender put there. So an address is
asserted only, unless a setting says who is to be believed: `authserv_ids`, the server that forwards
to Postmark, and only for mail that a host of its own handed over; or `trust_spam_tests`, the author's
signature as Postmark's own spam check saw it, read only above the first header that came with the mail.
A mail from `own_addresses` is an agent's, blind copied: its customer is the one recipient of ours that
it has; with several it has none, since one event with two people would unite them.
What was sent shows by how it ended; opens and clicks yield nothing. A suppression is a withdrawn consent,
but not after a hard bounce; only the recipient's own return grants anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.kit import letters, mail, replies
from chalicelib.kit.fields import email, email_identity, instant, nobody, present
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.schemes import BASIC_OR_PATH, BASIC_OR_PATH_SECRETS, BASIC_OR_PATH_SETTINGS
from chalicelib.kit.shape import kept, objects, pick, required, text
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A1_ASSERTED, A2_ATTESTED, Identity

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
RECIPIENTS = ("ToFull", "CcFull", "BccFull")
MOST_ADDRESSES = 50
DELIVERY_KEY = re.compile(rb'"MessageID"\s*:\s*"([0-9A-Za-z-]{8,64})"')
OWN_STAMP = re.compile(r"by\s+[a-z0-9-]+\.inbound\.postmarkapp\.com\s", re.IGNORECASE)


@dataclass(frozen=True)
class Letter:
    """A mail that came in. `outside`: its recipients in To that are not ours; `automatic`: the actor
    where nobody wrote it."""

    headers: mail.Headers
    id: str
    sender: str
    subject: str
    ours: bool
    outside: tuple[str, ...]
    automatic: str


def normalize(request: Request) -> Iterator[Event]:
    kind = kind_of(request)
    if kind == "Inbound":
        yield received(request, letter_of(request))
    elif kind == "SubscriptionChange":
        yield from consent(request)
    elif kind in TYPES:
        yield from sent(request, kind)


def kind_of(request: Request) -> str:
    """Mail that came in has no RecordType."""
    inbound = "Inbound" if "FromFull" in request.object or "From" in request.object else ""
    return text(request.object, "RecordType") or inbound


def letter_of(request: Request) -> Letter:
    told = request.object
    headers = tuple((text(each, "Name"), text(each, "Value")) for each in objects(told, "Headers"))
    sender = text(told, "FromFull", "Email") or text(told, "From")
    own = mail.message_ids(mail.first(headers, "Message-ID"))
    return Letter(
        headers=headers,
        id=own[0] if own else required(told, "MessageID"),
        sender=sender,
        subject=text(told, "Subject").strip()[:998],
        ours=is_own(request, sender),
        outside=tuple(each for each in addresses(request, "ToFull") if not is_own(request, each)),
        automatic=mail.automatic(headers),
    )


def received(request: Request, letter: Letter) -> Event:
    who, said = people(request, letter), words(request, letter)
    orders = text(request.settings, "order_pattern") if not letter.ours else ""
    return Event(
        type="email",
        channel="email",
        direction=("out" if letter.outside else "internal") if letter.ours else "in",
        actor=letter.automatic or ("agent" if letter.ours else "customer"),
        object=letter.id,
        occurred_at=mail.moment(text(request.object, "Date"), mail.first(letter.headers, "Received")),
        identities=who,
        refs=(
            *mail.thread_refs(letter.id, letter.headers, letter.ours),
            *mail.order_refs(orders, letter.subject, said),
            *redeemed(request, letter),
        ),
        summary=(letter.subject or said)[:120] or "Mail without text",
        text=said,
        attachments=files(request),
        details=details(request, letter),
        fields={} if letter.ours or letter.automatic else names(request, who),
        address=who[0].text if who else "",
        own_address=own_address(request, letter),
        provider_type="Inbound",
    )


def words(request: Request, letter: Letter) -> str:
    told = request.object
    plain, markup, stripped = (text(told, name) for name in ("TextBody", "HtmlBody", "StrippedTextReply"))
    return replies.words(plain, markup, stripped, letter.subject)


def details(request: Request, letter: Letter) -> dict[str, Any]:
    told = request.object
    spam = mail.first(letter.headers, "X-Spam-Status").strip().lower().startswith("yes")
    return kept(
        subject=letter.subject,
        to=addresses(request, "ToFull"),
        cc=addresses(request, "CcFull"),
        reply_to=text(told, "ReplyTo")[:320],
        mailbox_hashes=hashes(request),
        automatic={"system": "bounce", "bot": "automatic"}.get(letter.automatic),
        spam=True if spam else None,
        stream=text(told, "MessageStream"),
    )


def hashes(request: Request) -> list[str]:
    """What stands after the plus of the addresses that it was sent to, as written: it may hold a token."""
    sent_to = [each for name in RECIPIENTS for each in objects(request.object, name)[:MOST_ADDRESSES]]
    found = [text(each, "MailboxHash") or mail.tag_of(text(each, "Email")) for each in sent_to]
    return list(dict.fromkeys(each[:320] for each in (*found, text(request.object, "MailboxHash")) if each))


def redeemed(request: Request, letter: Letter) -> tuple[Ref, ...]:
    """By whoever answers the address himself, not by his answering machine or by our own copy."""
    return () if letter.ours or letter.automatic else letters.handed(hashes(request))


def names(request: Request, who: tuple[Identity, ...]) -> dict[str, str]:
    named = (text(request.object, "FromFull", "Name") or text(request.object, "FromName")).strip()
    shown = "" if "@" in named or nobody(named) else named[:200]
    return kept(name=shown, email=who[0].value) if who else {}


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
        for each in objects(request.object, "Attachments")[:MOST_ADDRESSES]
    )


def people(request: Request, letter: Letter) -> tuple[Identity, ...]:
    assurance = A2_ATTESTED if attested(request, letter) else A1_ASSERTED
    if not letter.ours:
        return present(email_identity(letter.sender, assurance))
    return present(email_identity(letter.outside[0], assurance)) if len(letter.outside) == 1 else ()


def attested(request: Request, letter: Letter) -> bool:
    """Whether somebody whom the settings name says that the sender's domain sent this."""
    domain = mail.domain_of(letter.sender)
    if not domain:
        return False
    if request.settings.get("trust_spam_tests") is True and "DKIM_VALID_AU" in spam_tests(letter.headers):
        return True
    return mail.dmarc_passed(letter.headers, believed(request, letter.headers), domain)


def believed(request: Request, headers: mail.Headers) -> set[str]:
    """Those of `authserv_ids` for whom the host speaks that handed the mail to Postmark: whoever sends
    straight to the inbound address may have written their results himself."""
    stamps = (value for value in mail.every(headers, "Received") if not OWN_STAMP.match(value))
    host, others = mail.handed_over_by(next(stamps, "")), texts(request, "forwarders")
    servers = {each.strip().lower() for each in texts(request, "authserv_ids")}
    homes = {server: [each.strip().lower() for each in others] or [mail.home_of(server)] for server in servers}
    return {server for server in servers if any(mail.under(host, home) for home in homes[server])}


def spam_tests(headers: mail.Headers) -> list[str]:
    """What Postmark's own check found: its headers stand between its own stamp and the next one."""
    stamps = [place for place, (name, _) in enumerate(headers) if name.lower() == "received"]
    if len(stamps) < 2 or not OWN_STAMP.match(headers[stamps[0]][1]):
        return []
    return re.split(r"[,\s]+", mail.first(headers[stamps[0] : stamps[1]], "X-Spam-Tests"))


def sent(request: Request, kind: str) -> Iterator[Event]:
    told = request.object
    status = {"Delivery": "delivered", "SpamComplaint": "complained"}.get(kind) or bounced(text(told, "Type"))
    if not status:
        return
    field = "DeliveredAt" if kind == "Delivery" else "BouncedAt"
    number, recipient = required(told, "MessageID"), text(told, "Recipient") or text(told, "Email")
    who = present(email_identity(recipient, A2_ATTESTED))
    yield Event(
        type="email",
        channel="email",
        direction="out",
        actor=text(request.settings, "sent_by") or "agent",
        object=f"{number}/{recipient.strip().lower()[:320]}",
        version=":".join(filter(None, (status, text(told, "ID")))),
        occurred_at=instant(told.get(field), field, "UTC"),
        identities=who,
        refs=sent_refs(request, number),
        summary=f"Mail {status}" + (f": {text(told, 'Subject')[:100]}" if text(told, "Subject") else ""),
        details={"status": status} | fate(told),
        address=who[0].text if who else "",
        own_address=identity_text(text(told, "From")),
        provider_type=kind,
    )


def bounced(kind: str) -> str:
    return "" if kind in NO_BOUNCE else "delayed" if kind in DELAYED else "bounced"


def fate(told: Mapping[str, Any]) -> dict[str, Any]:
    metadata = pick(told, "Metadata")
    return kept(
        error=text(told, "Type") if text(told, "Type") != "SpamComplaint" else "",
        reason=(text(told, "Description") or text(told, "Details"))[:500],
        subject=text(told, "Subject")[:998],
        tag=text(told, "Tag"),
        stream=text(told, "MessageStream"),
        metadata=metadata if isinstance(metadata, dict) else None,
    )


def sent_refs(request: Request, number: str) -> tuple[Ref, ...]:
    """The Message-ID that Postmark gave the mail: as the thread that it began, or else as the message that
    a copy of it, or a reply, names too."""
    domain = text(request.settings, "message_id_domain") or SENT_ID_DOMAIN
    return (Ref("thread", f"{number}@{domain}"), Ref("message", f"{number}@{domain}"))


def consent(request: Request) -> Iterator[Event]:
    told, origin = request.object, text(request.object, "Origin")
    answer, recipient = answer_of(told, origin), text(told, "Recipient")
    moment = instant(told.get("ChangedAt"), "ChangedAt", "UTC")
    if answer and recipient:
        yield Event(
            type="consent",
            channel="email",
            direction="in" if origin == "Recipient" else "internal",
            actor=ORIGINS.get(origin, "system"),
            object=f"{recipient.strip().lower()[:320]}/{text(told, 'MessageStream') or 'outbound'}",
            version=f"{answer}@{moment}",
            occurred_at=moment,
            identities=present(email_identity(recipient, A2_ATTESTED)),
            details={"medium": "email", "status": answer}
            | kept(reason=text(told, "SuppressionReason"), stream=text(told, "MessageStream")),
            fields={"consent_email": answer},
            provider_type="SubscriptionChange",
        )


def answer_of(told: Mapping[str, Any], origin: str) -> str:
    """A dead mailbox withdraws nothing; what we or the vendor lift again nobody granted."""
    suppressed = told.get("SuppressSending")
    if suppressed is True and text(told, "SuppressionReason") != "HardBounce":
        return "denied"
    return "granted" if suppressed is False and origin == "Recipient" else ""


def addresses(request: Request, name: str) -> list[str]:
    found = (text(each, "Email").strip() for each in objects(request.object, name)[:MOST_ADDRESSES])
    return list(dict.fromkeys(each[:320] for each in found if each))


def texts(request: Request, name: str) -> list[str]:
    found = request.settings.get(name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def is_own(request: Request, address: str) -> bool:
    return mail.listed(address, texts(request, "own_addresses"))


def own_address(request: Request, letter: Letter) -> str:
    """The one of ours that it was written to, or by; else where Postmark took it in."""
    if letter.ours:
        return identity_text(letter.sender)
    written = [each for name in RECIPIENTS for each in addresses(request, name)]
    own = [each for each in written if is_own(request, each)]
    return identity_text(mail.untagged(next(iter((*own, text(request.object, "OriginalRecipient"))))))


def identity_text(address: str) -> str:
    found = email(address)
    return Identity("email", found).text if found else ""


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
        "own_addresses": Setting(
            "Own addresses", type="array", items="string", help="Addresses and @domains: mail from these is an agent's"
        ),
        "authserv_ids": Setting(
            "Servers whose DMARC results count",
            type="array",
            items="string",
            help="First word of their Authentication-Results, such as mx.google.com, where they forward to Postmark",
        ),
        "forwarders": Setting(
            "Hosts of these servers",
            type="array",
            items="string",
            help="Domains of the hosts that hand over to Postmark; default: those of the servers' own names",
        ),
        "trust_spam_tests": Setting(
            "Trust the author's signature in X-Spam-Tests",
            type="boolean",
            default=False,
            help="An address whose mail has DKIM_VALID_AU is attested; for mail that comes to Postmark directly",
        ),
        "order_pattern": Setting(
            "Order numbers in mails", help=r"Such as \b(TC-\d{6})\b: one group, always greedy, any case"
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
        "Make up a user name and a password and set https://<username>:<password>@… with the rest of {hook_url} as the "
        "server's inbound webhook, and in the webhooks of its outbound streams: delivery, bounce, spam complaint and "
        "subscription change.",
        "Name your own addresses. Blind copy what agents send to the inbound address.",
        "Where your mail server forwards to Postmark and writes Authentication-Results, name it in authserv_ids; where "
        "mail comes to Postmark directly, try trust_spam_tests. Until then no address identifies anybody.",
        "Mails of over 4 MB, attachments in base64, are refused: they stay at Postmark as inbound errors.",
        "Order numbers of a shop: set order_pattern, and name the shop in ref_scopes.order.",
    ),
    docs="https://postmarkapp.com/developer/webhooks/inbound-webhook",
    sample=sample,
)
