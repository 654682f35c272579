"""What became of mail that was sent, one entry for each recipient, and who wants no more of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chalicelib.kit.fields import email_identity, present
from chalicelib.kit.letters import LONGEST_ADDRESS, LONGEST_SUBJECT, identity_text
from chalicelib.kit.shape import kept
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A2_ATTESTED


class Outcome(msgspec.Struct, frozen=True):
    """`number`: the mail's id at the carrier. `news`: the id of what is told, where one mail may have this status
    twice. `message_id`: the mail's own, by which replies name it. `sender`: the address of ours."""

    number: str
    recipient: str
    status: str
    at: str
    news: str = ""
    message_id: str = ""
    subject: str = ""
    sender: str = ""
    actor: str = ""
    refs: tuple[Ref, ...] = ()
    details: Mapping[str, Any] = {}


def entry(mail: Outcome, kind: str) -> Event:
    """The mail is the thread that it began, or else the message that a copy of it, or a reply, names too."""
    who = present(email_identity(mail.recipient, A2_ATTESTED))
    named = tuple(Ref(each, mail.message_id) for each in ("thread", "message") if mail.message_id)
    return Event(
        type="email",
        channel="email",
        direction="out",
        actor=mail.actor or "agent",
        object=f"{mail.number}/{in_object(mail.recipient)}",
        version=":".join(filter(None, (mail.status, mail.news))),
        occurred_at=mail.at,
        identities=who,
        refs=(*named, *mail.refs),
        summary=f"Mail {mail.status}" + (f": {mail.subject[:100]}" if mail.subject else ""),
        details={"status": mail.status} | kept(**{**mail.details, "subject": mail.subject[:LONGEST_SUBJECT]}),
        address=who[0].text if who else "",
        own_address=identity_text(mail.sender),
        provider_type=kind,
    )


def consent(answer: str, recipient: str, of: str, at: str, kind: str, **more: Any) -> Event:
    """`answer`: granted or denied, to `of`: a stream, a list, a domain. `more` are further fields of the event."""
    usual: dict[str, Any] = {
        "type": "consent",
        "channel": "email",
        "object": f"{in_object(recipient)}/{of}",
        "version": f"{answer}@{at}",
        "occurred_at": at,
        "identities": present(email_identity(recipient, A2_ATTESTED)),
        "fields": {"consent_email": answer},
        "provider_type": kind,
    }
    details = {"medium": "email", "status": answer} | more.pop("details", {})
    return Event(**(usual | more), details=details)


def in_object(address: str) -> str:
    return address.strip().lower()[:LONGEST_ADDRESS]
