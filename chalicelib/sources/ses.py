"""Amazon SES by way of SNS: mail that comes in, and what became of mail that it sent.

https://docs.aws.amazon.com/ses/latest/dg/receiving-email-notifications-contents.html
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html

Amazon's signature says only that some topic sent this, and everybody may have a topic: so only those of
the setting `topics` count. The certificate is looked up where SNS of the topic's own region keeps it.
A subscription of such a topic is confirmed by the engine, after the hook has answered.
Every receipt tells what Amazon found of SPF, DKIM and DMARC: only DMARC is about the author, so only
its PASS attests an address, and only where the From header can be read in one way.
The mail itself comes along where the receipt rule has an SNS action; where it has an S3 action, the mail is
a reference to its object and the text stays there. A mail from `own_addresses` is an agent's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from chalicelib.kit import letters, mail, mime, sent_mail
from chalicelib.kit.fields import instant
from chalicelib.kit.lazily import pattern
from chalicelib.kit.public_keys import Signed, rsa_signature, rsa_signature_of
from chalicelib.kit.request import Request, parse_json
from chalicelib.kit.sent_mail import Outcome
from chalicelib.kit.shape import kept, objects, pick, required, text, texts
from chalicelib.kit.signatures import decode, encode, keys_of, octets
from chalicelib.kit.source import Fetch, Secrets, Setting, Source
from chalicelib.model.event import Event

TYPES = {
    "Received": "email",
    "Delivery": "email",
    "Bounce": "email",
    "Complaint": "email",
    "DeliveryDelay": "email",
    "Subscription": "consent",
}
STATUSES = {"Delivery": "delivered", "Bounce": "bounced", "Complaint": "complained", "DeliveryDelay": "delayed"}
FIELDS = {"Delivery": "delivery", "Bounce": "bounce", "Complaint": "complaint", "DeliveryDelay": "deliveryDelay"}
TOLD = {
    "Bounce": "bouncedRecipients",
    "Complaint": "complainedRecipients",
    "DeliveryDelay": "delayedRecipients",
}
SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message",
        "MessageId",
        "SubscribeURL",
        "Timestamp",
        "Token",
        "TopicArn",
        "Type",
    ),
}
SIGNED["UnsubscribeConfirmation"] = SIGNED["SubscriptionConfirmation"]
VERSIONS = {"1": "sha1", "2": "sha256"}
TOPIC = pattern(r"arn:(aws[a-z-]*):sns:([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}\Z")
CERTIFICATE = pattern(r"(https://sns\.[a-z0-9-]{3,40}\.amazonaws\.com(?:\.cn)?)/[A-Za-z0-9_-]{1,120}\.pem\Z")
SUBSCRIBE = pattern(
    r"(https://sns\.[a-z0-9-]{3,40}\.amazonaws\.com(?:\.cn)?)(/\?Action=ConfirmSubscription&[\x21-\x7e]{1,2000})\Z"
)


def normalize(request: Request) -> Iterator[Event]:
    told = message_of(request)
    kind = text(told, "notificationType") or text(told, "eventType")
    if kind == "Received":
        letter = letter_of(request, told)
        yield letters.received(letter, kind, attested(told, letter))
    elif kind == "Subscription":
        yield from consent(told)
    elif kind in STATUSES:
        yield from sent(request, told, kind)


def message_of(request: Request) -> Any:
    """What the topic published. Other publishers than SES may write anything."""
    published = text(request.object, "Message").strip()
    wanted = text(request.object, "Type") == "Notification" and published.startswith("{")
    return parse_json(octets(published)) if wanted else None


def letter_of(request: Request, told: Any) -> letters.Letter:
    """The mail, or only its headers where it lies in S3; when Amazon took it in stands on top."""
    wire = mail_of(told)
    return letters.Letter(
        headers=(("Received", f"; {text(told, 'mail', 'timestamp')}"), *wire.headers),
        settings=request.settings,
        plain=wire.plain,
        markup=wire.markup,
        files=(*wire.files, *stored(told)),
        envelope=tuple(recipients(told)),
        details=findings(told),
    )


def mail_of(told: Any) -> mime.Mail:
    content = text(told, "content")
    if not content:
        found = objects(told, "mail", "headers")[: mime.MOST_HEADERS]
        return mime.Mail(tuple((text(each, "name"), text(each, "value")[: mime.LONGEST_HEADER]) for each in found))
    coded = text(told, "receipt", "action", "encoding").upper() == "BASE64"
    return mime.read((decode("".join(content.split()), "base64") or b"") if coded else octets(content))


def attested(told: Any, letter: letters.Letter) -> bool:
    """DMARC passed, and the From header has one reading: a name that holds an address might be taken for it."""
    return verdict(told, "dmarc") == "PASS" and "@" not in letter.author[0]


def verdict(told: Any, check: str) -> str:
    return text(told, "receipt", f"{check}Verdict", "status").upper()


def findings(told: Any) -> dict[str, Any]:
    return kept(
        spam=True if verdict(told, "spam") == "FAIL" else None,
        virus=True if verdict(told, "virus") == "FAIL" else None,
        checks=kept(**{check: verdict(told, check).lower() for check in ("spf", "dkim", "dmarc")}),
    )


def recipients(told: Any) -> list[str]:
    """Those of the envelope that the receipt rule took."""
    return (texts(told, "receipt", "recipients") or texts(told, "mail", "destination"))[: mail.MOST_ADDRESSES]


def stored(told: Any) -> tuple[dict[str, Any], ...]:
    bucket, key = text(told, "receipt", "action", "bucketName"), text(told, "receipt", "action", "objectKey")
    reference = {"name": "mail.eml", "media_type": "message/rfc822", "url": f"s3://{bucket}/{key}"}
    return (reference,) if bucket and key else ()


def sent(request: Request, told: Any, kind: str) -> Iterator[Event]:
    """One event for each recipient: two people in one would be united."""
    about = pick(told, FIELDS[kind])
    reached = [{"emailAddress": each} for each in texts(about, "recipients")]
    for recipient in (objects(about, TOLD[kind]) if kind in TOLD else reached)[: mail.MOST_ADDRESSES]:
        yield sent_mail.entry(outcome(request, told, kind, recipient), kind)


def outcome(request: Request, told: Any, kind: str, recipient: Mapping[str, Any]) -> Outcome:
    about, number = pick(told, FIELDS[kind]), required(told, "mail", "messageId")
    return Outcome(
        number=number,
        recipient=bare(text(recipient, "emailAddress").strip()),
        status=STATUSES[kind],
        at=instant(pick(about, "timestamp"), f"{FIELDS[kind]}.timestamp", "UTC"),
        news=text(about, "feedbackId"),
        message_id=f"{number}@{message_id_domain(request)}",
        subject=text(told, "mail", "commonHeaders", "subject"),
        sender=bare(text(told, "mail", "source")),
        actor=text(request.settings, "sent_by"),
        details=fate(told, about, recipient),
    )


def bare(address: str) -> str:
    return next((each for _, each in mail.addresses(address)), address)


def fate(told: Any, about: Any, recipient: Mapping[str, Any]) -> dict[str, Any]:
    kinds = (text(about, name) for name in ("bounceType", "bounceSubType", "complaintFeedbackType", "delayType"))
    return kept(
        error="/".join(filter(None, kinds)),
        reason=text(recipient, "diagnosticCode")[:500],
        tags=pick(told, "mail", "tags"),
    )


def message_id_domain(request: Request) -> str:
    """Where the ids are of, that Amazon gives to mail."""
    region = (TOPIC.match(text(request.object, "TopicArn")) or ["", "", ""])[2]
    usual = "email.amazonses.com" if region == "us-east-1" else f"{region}.amazonses.com"
    return text(request.settings, "message_id_domain") or usual


def consent(told: Any) -> Iterator[Event]:
    """Who leaves all topics of a list withdraws; who returns after that grants anew."""
    about = pick(told, "subscription")
    before, now = (pick(about, name, "unsubscribeAll") for name in ("oldTopicPreferences", "newTopicPreferences"))
    answer = "denied" if now is True else "granted" if (before, now) == (True, False) else ""
    to = texts(told, "mail", "destination")
    if answer and len(to) == 1:
        moment, why = (
            instant(pick(about, "timestamp"), "subscription.timestamp", "UTC"),
            kept(reason=text(about, "source")),
        )
        of = text(about, "contactList") or "list"
        yield sent_mail.consent(answer, bare(to[0]), of, moment, "Subscription", details=why)


def claim(request: Request) -> Signed | str:
    """What SNS signs: the names and values of some fields, those that are there, each on a line."""
    told = request.object
    names_, topic = SIGNED.get(text(told, "Type")), text(told, "TopicArn")
    if names_ is None:
        return "no message of a topic"
    if topic not in texts(request.settings, "topics"):
        return "the topic is not one of the setting topics"
    if home_of(told, CERTIFICATE, "SigningCertURL") is None:
        return "SigningCertURL is not where the topic's region keeps its certificates"
    raw, algorithm = decode(text(told, "Signature"), "base64"), VERSIONS.get(text(told, "SignatureVersion"))
    if raw is None or algorithm is None:
        return "no readable Signature, or an unknown SignatureVersion"
    lines = [f"{name}\n{told[name]}\n" for name in names_ if isinstance(told.get(name), str)]
    return Signed(raw, octets("".join(lines)), algorithm)


def home_of(told: Mapping[str, Any], pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """The address under `name`, if it is at SNS of the region of the message's topic: a bucket may have a
    name that looks like a host of SNS."""
    topic, found = TOPIC.match(text(told, "TopicArn")), pattern.match(text(told, name))
    if topic is None or found is None:
        return None
    domain = "amazonaws.com.cn" if topic[1] == "aws-cn" else "amazonaws.com"
    return found if found[1] == f"https://sns.{topic[2]}.{domain}" else None


SIGNATURE = rsa_signature(claim, "certificate", place="body")


def certificate(request: Request) -> str:
    found = text(request.peek, "SigningCertURL")
    return found if request.peek and isinstance(claim(request), Signed) else ""


def sign(request: Request, secrets: Secrets) -> Request:
    """By a private key in the place of the certificate. Raises ValueError for any other."""
    found = claim(request)
    if not isinstance(found, Signed):
        raise ValueError(found)
    raw = rsa_signature_of(keys_of(secrets, "certificate")[0], found.over, found.algorithm)
    body = msgspec.json.format(msgspec.json.encode(request.object | {"Signature": encode(raw, "base64")}), indent=2)
    return replace(request, body=body)


def fetch(request: Request, secrets: Secrets) -> Iterator[Fetch]:
    """The confirmation of a subscription; what confirms that one ended would begin it anew."""
    told = request.object
    found = home_of(told, SUBSCRIBE, "SubscribeURL") if text(told, "Type") == "SubscriptionConfirmation" else None
    if found and text(told, "TopicArn") in texts(request.settings, "topics"):
        yield Fetch("subscription", found[2], found[1], {"Accept": "text/xml"}, confirms=True)


def delivery_key(request: Request) -> str | None:
    return text(request.peek, "MessageId") or None


SOURCE = Source(
    name="SES (Amazon, through SNS)",
    channel="email",
    types=TYPES,
    normalize=normalize,
    verify=SIGNATURE,
    certificate=certificate,
    dedupe=delivery_key,
    fetch=fetch,
    settings={
        "topics": Setting(
            "Topics", type="array", items="string", required=True, help="ARNs of the SNS topics that count, no others"
        ),
        "own_addresses": letters.SETTINGS["own_addresses"],
        "order_pattern": letters.SETTINGS["order_pattern"],
        "message_id_domain": Setting(
            "Domain of sent Message-IDs", help="Default: <region>.amazonses.com, in us-east-1 email.amazonses.com"
        ),
        "sent_by": Setting("Who sends through SES", default="agent", choices=("agent", "bot", "system")),
        "base_url": Setting("Where subscriptions are confirmed", help="Default: SNS of the topic's region"),
    },
    secrets={
        "certificate": Setting(
            "Signing certificate", help="PEM; only where the hub cannot reach SNS: it is looked up otherwise"
        ),
    },
    unverified=(
        "that certificates and confirmations of a topic are always at SNS of its own region, as in every example",
        "the Message-ID of sent mail, <messageId>@<region>.amazonses.com: message_id_domain",
        "that DMARC is judged by the one address of the From header: a header that can be read in two ways attests nothing",
        "events of subscriptions and delays: read as documented, no capture seen",
    ),
    setup=(
        "Make a standard SNS topic and enter its ARN in topics before you subscribe anything.",
        "Subscribe {hook_url} to the topic by HTTPS, without raw message delivery: the hub confirms it within a minute.",
        "In the receipt rule, add an SNS action with this topic and Base64 encoding; mails of over 150 KB bounce there. "
        "Or an S3 action that notifies this topic: then the mail's text stays in the bucket.",
        "For mail that you send, set the topic for bounces, complaints and deliveries, with original headers.",
        "Enter your own addresses in own_addresses. Blind copy (Bcc) what agents send to an address that the rule "
        "takes.",
    ),
    docs="https://docs.aws.amazon.com/ses/latest/dg/receiving-email-notifications.html",
)
