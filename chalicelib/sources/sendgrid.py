"""SendGrid's Event Webhook: what became of mail that it sent, and who wants no more of it.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features

A request is a batch; each item is an event of one recipient, known by `sg_event_id`. Signed are the timestamp
and the exact bytes, the line end after every item included. Nobody says whether a retry, which may come a
day later, is signed anew: so a request counts at any age unless `tolerance` is set, and a replayed one is the
same events again. Mail that was taken, opened or clicked yields nothing. Who leaves one group of mailings has
not left all of them: each group is a field of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.errors import PayloadMalformed
from chalicelib.kit import mail, sent_mail
from chalicelib.kit.fields import email, email_identity, instant, plain, present
from chalicelib.kit.public_keys import EcdsaSignature, ecdsa_signature
from chalicelib.kit.request import Request
from chalicelib.kit.sent_mail import Outcome
from chalicelib.kit.shape import kept, required, text
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED

TYPES = {
    "delivered": "email",
    "deferred": "email",
    "bounce": "email",
    "dropped": "email",
    "spamreport": "email",
    "unsubscribe": "consent",
    "group_unsubscribe": "consent",
    "group_resubscribe": "consent",
}
STATUSES = {
    "delivered": "delivered",
    "deferred": "delayed",
    "bounce": "bounced",
    "dropped": "dropped",
    "spamreport": "complained",
}
ANSWERS = {"unsubscribe": "denied", "group_unsubscribe": "denied", "group_resubscribe": "granted"}


def normalize(request: Request) -> Iterator[Event]:
    if not isinstance(request.json, list):
        raise PayloadMalformed("not a list of events")
    for told in request.json:
        kind = text(told, "event")
        if kind in STATUSES:
            yield sent(request, told, kind)
        elif kind in ANSWERS:
            yield consent(told, kind)


def sent(request: Request, told: Mapping[str, Any], kind: str) -> Event:
    """Besides its Message-ID it may name what the sending system passed along."""
    argument = text(request.settings, "order_argument")
    order = plain(told.get(argument)) if argument else ""
    outcome = Outcome(
        number=number(told) or "mail",
        recipient=text(told, "email"),
        status=STATUSES[kind],
        at=instant(told.get("timestamp"), "timestamp"),
        news=required(told, "sg_event_id"),
        message_id=next(iter(mail.message_ids(text(told, "smtp-id"))), ""),
        subject=text(told, "subject"),
        actor=text(request.settings, "sent_by"),
        refs=(Ref("order", order),) if order else (),
        details=fate(told),
    )
    return sent_mail.entry(outcome, kind)


def number(told: Mapping[str, Any]) -> str:
    """The mail's own part of sg_message_id: the rest names the server that it passed."""
    return text(told, "sg_message_id").partition(".")[0]


def fate(told: Mapping[str, Any]) -> dict[str, Any]:
    category = told.get("category")
    return kept(
        error=text(told, "type") or text(told, "bounce_classification"),
        reason=(text(told, "reason") or text(told, "response"))[:500],
        categories=[category] if isinstance(category, str) else category if isinstance(category, list) else None,
        template=text(told, "template_id") or text(told, "sg_template_id"),
    )


def consent(told: Mapping[str, Any], kind: str) -> Event:
    answer, group = ANSWERS[kind], text(told, "asm_group_id")
    moment = instant(told.get("timestamp"), "timestamp")
    return Event(
        type="consent",
        channel="email",
        object=f"{email(told.get('email')) or 'nobody'}/{group or 'all'}",
        version=f"{answer}@{moment}",
        occurred_at=moment,
        identities=present(email_identity(told.get("email"), A2_ATTESTED)),
        details={"medium": "email", "status": answer} | kept(group=group),
        fields={f"consent_email_{group}" if group else "consent_email": answer},
        provider_type=kind,
    )


def scheme(settings: Mapping[str, Any]) -> EcdsaSignature:
    """Anything but whole seconds up to a day is no limit."""
    found = settings.get("tolerance")
    return ecdsa_signature(
        "X-Twilio-Email-Event-Webhook-Signature",
        "X-Twilio-Email-Event-Webhook-Timestamp",
        "verification_key",
        found if type(found) is int and 0 < found <= 86400 else 0,
    )


def verify(request: Request, secrets: Secrets) -> str | None:
    return scheme(request.settings)(request, secrets)


def sign(request: Request, secrets: Secrets) -> Request:
    """By a private key in the place of the verification key. Raises ValueError for any other."""
    return scheme(request.settings).sign(request, secrets)


SOURCE = Source(
    name="Twilio SendGrid events",
    channel="email",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    settings={
        "tolerance": Setting(
            "Tolerance", type="integer", default=0, help="Seconds that the signed timestamp may be away; 0: any age"
        ),
        "sent_by": Setting("Who sends through it", default="agent", choices=("agent", "bot", "system")),
        "order_argument": Setting("Custom argument with the order number", help="As the sending system calls it"),
    },
    secrets={
        "verification_key": Setting("Verification key", required=True, help="Public key of the signed event webhook"),
    },
    grade="vendor vector",
    unverified=(
        "whether a retry carries a timestamp and signature of its own: tolerance, off by default",
        "that smtp-id is the Message-ID that the mail has: replies find its thread by that",
        "that sg_message_id keeps its part before the first dot in all events of one mail",
    ),
    setup=(
        "In Settings, Mail Settings, Event Webhooks, make a webhook to {hook_url} with all delivery events, spam reports "
        "and unsubscribes.",
        "Switch its signature verification on and copy the verification key; enter it here.",
        "Mail that comes in is another connection: Inbound Parse.",
    ),
    docs="https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event",
)
