"""What became of sent mail: one entry a recipient, known again however his address is written."""

from __future__ import annotations

from msgspec.structs import replace

from chalicelib.kit import sent_mail
from chalicelib.kit.sent_mail import Outcome
from chalicelib.model.event import Ref

SENT = Outcome(
    "m1", "Jan@Example.nl ", "bounced", "2026-09-01T12:00:00.000Z", news="77", message_id="m1@carrier.example"
)


def test_the_mail_is_a_thread_and_its_recipient_is_attested() -> None:
    found = sent_mail.entry(SENT, "Bounce")
    assert found.object == "m1/jan@example.nl" and found.version == "bounced:77"
    assert found.refs == (Ref("thread", "m1@carrier.example"), Ref("message", "m1@carrier.example"))
    assert found.address == "email:jan@example.nl" and found.identities[0].assurance == 2
    assert (found.direction, found.actor, found.summary) == ("out", "agent", "Mail bounced")


def test_what_is_not_known_is_not_told() -> None:
    found = sent_mail.entry(replace(SENT, recipient="nobody", news="", message_id="", details={"reason": ""}), "Bounce")
    assert found.version == "bounced" and found.refs == () and found.identities == ()
    assert found.address == found.own_address == "" and found.details == {"status": "bounced"}


def test_a_long_subject_is_cut() -> None:
    found = sent_mail.entry(replace(SENT, subject="x" * 2000), "Bounce")
    assert len(found.details["subject"]) == 998 and found.summary == "Mail bounced: " + "x" * 100


def test_consent_is_one_fact_for_each_list_and_moment() -> None:
    told = ("Jan@example.nl", "news", "2026-09-01T12:00:00.000Z", "Unsubscribed")
    found = sent_mail.consent("denied", *told, details={"reason": "x"}, actor="system")
    assert (found.object, found.version) == ("jan@example.nl/news", "denied@2026-09-01T12:00:00.000Z")
    assert found.fields == {"consent_email": "denied"} and found.actor == "system"
    assert found.details == {"medium": "email", "status": "denied", "reason": "x"}
