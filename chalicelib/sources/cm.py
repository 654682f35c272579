"""CM.com: SMS that customers send, and what became of SMS that was sent.

https://developers.cm.com/messaging/docs/incoming-messages
https://developers.cm.com/messaging/docs/incoming-status-report

JSON without a signature: the secret is in the path. A message has no id of its own, so it is known by what
every retry repeats: both numbers, its moment and its text. `reference` is the one that whoever sent the SMS
gave it, perhaps one for a whole campaign, so it names a thread only together with the customer's number.
Other channels than SMS go through the same address and yield nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.kit.fields import instant, phone_identity, present
from chalicelib.kit.request import Request, sample_request
from chalicelib.kit.shape import kept, objects, pick, required, text, texts
from chalicelib.kit.signatures import path_secret
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.kit.threads import day_thread, line
from chalicelib.model.event import Event, Ref, digest
from chalicelib.model.identity import A2_ATTESTED, Identity

TYPES = {"SMS": "message", "status": "message"}
CODES = {"delivered": ("2",), "failed": ("1", "3")}
verify = path_secret()


def normalize(request: Request) -> Iterator[Event]:
    if "messages" in request.object:
        yield from reports(request)
    elif "from" in request.object and text(request.object, "channel").strip().upper() in ("SMS", ""):
        yield received(request)


def received(request: Request) -> Event:
    told = request.object
    customer, own = required(told, "from", "number"), text(told, "to", "number")
    moment, said = instant(told.get("timeUtc"), "timeUtc", "UTC"), text(told, "message", "text")
    who = people(customer)
    return Event(
        type="message",
        channel="sms",
        object=digest(number(customer), number(own), moment, said, text(told, "message", "media", "mediaUri")),
        version="received",
        occurred_at=moment,
        identities=who,
        refs=(*threads(who, own, customer, moment), *answered(text(told, "reference"), customer)),
        summary=said[:120] or "Message without text",
        text=said,
        attachments=media(told),
        details=kept(reference=text(told, "reference")[:100], groupings=grouped(pick(told, "groupings"))),
        fields=kept(name=text(told, "from", "name").strip()[:200]),
        address=who[0].text if who else "",
        own_address=own_address(own),
        provider_type="SMS",
    )


def reports(request: Request) -> Iterator[Event]:
    """One report, or a list of them."""
    one = pick(request.object, "messages", "msg")
    for told in [one] if isinstance(one, dict) else objects(request.object, "messages", "msg"):
        status = status_of(request, text(told, "status", "code"))
        if status:
            yield sent(request, told, status)


def sent(request: Request, told: Any, status: str) -> Event:
    customer, reference = required(told, "to"), text(told, "reference").strip()
    moment = instant(told.get("received"), "received", text(request.settings, "zone") or "UTC")
    who = people(customer)
    return Event(
        type="message",
        channel="sms",
        direction="out",
        actor=text(request.settings, "sent_by") or "agent",
        object=f"{reference[:100]}/{line(number(customer))}",
        version=f"{status}@{moment}",
        occurred_at=moment,
        identities=who,
        refs=tuple(Ref(kind, ref.value) for ref in answered(reference, customer) for kind in ("thread", "message")),
        summary=f"Message {status}",
        details={"status": status}
        | kept(
            reference=reference[:100],
            error=text(told, "status", "errorCode")[:100],
            reason=text(told, "status", "errorDescription")[:500],
            operator=text(told, "operator")[:100],
        ),
        address=who[0].text if who else "",
        provider_type="status",
    )


def status_of(request: Request, code: str) -> str:
    """Empty for the states on the way."""
    for status, usual in CODES.items():
        if code in (texts(request.settings, f"{status}_codes") or usual):
            return status
    return ""


def threads(who: tuple[Identity, ...], own: str, customer: str, moment: str) -> tuple[Ref, ...]:
    """None for a withheld number, which many people have."""
    return (Ref("thread", day_thread(number(own), number(customer), moment)),) if who else ()


def answered(reference: str, customer: str) -> tuple[Ref, ...]:
    return (Ref("message", f"{reference.strip()[:100]}|{line(number(customer))}"),) if reference.strip() else ()


def people(customer: str) -> tuple[Identity, ...]:
    return present(phone_identity(number(customer), assurance=A2_ATTESTED))


def number(sent_as: str) -> str:
    """In international form: CM.com writes 00 before it, or nothing; short codes stay as they are."""
    bare = sent_as.strip()
    if re.fullmatch(r"00[1-9][0-9]{5,15}", bare, re.ASCII):
        return f"+{bare[2:]}"
    return f"+{bare}" if re.fullmatch(r"[1-9][0-9]{9,14}", bare, re.ASCII) else bare


def own_address(own: str) -> str:
    found = phone_identity(number(own))
    return found.text if found else ""


def media(told: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    about = pick(told, "message", "media")
    found = kept(
        name=text(about, "title")[:255], media_type=text(about, "contentType")[:255], url=text(about, "mediaUri")
    )
    return (found,) if found.get("url") else ()


def grouped(groupings: Any) -> list[str]:
    return [each[:100] for each in groupings if isinstance(each, str) and each] if isinstance(groupings, list) else []


def sample(secrets: Secrets, url: str, settings: Mapping[str, Any]) -> Request:
    body = (
        b'{"from":{"number":"anonymous"},"to":{"number":"0031201234567"},"message":{"text":"Test"},"reference":"",'
        b'"groupings":["","",""],"timeUtc":"2026-01-01T11:00:00","channel":"SMS"}'
    )
    return verify.sign(sample_request(url, settings, body), secrets)


SOURCE = Source(
    name="CM.com",
    channel="sms",
    types=TYPES,
    normalize=normalize,
    verify=verify,
    settings={
        "zone": Setting("Time zone of status reports", default="UTC", help="IANA name; their moments have no offset"),
        "delivered_codes": Setting(
            "Status codes of delivery", type="array", items="string", help="Default: 2. The channel's own list decides"
        ),
        "failed_codes": Setting(
            "Status codes of failure", type="array", items="string", help="Default: 1 (rejected) and 3 (failed)"
        ),
        "sent_by": Setting("Who sends SMS", default="agent", choices=("agent", "bot", "system")),
    },
    secrets={"path_secret": Setting("Path secret", required=True, help="The address is {hook_url}/<secret>")},
    unverified=(
        "whether CM.com can authenticate its webhooks in another way than by their address",
        "the time zone of the moment in a status report: zone",
        "the numbers of the final states in a status report: delivered_codes and failed_codes",
        "whether a number comes with 00, with + or bare; all three are read",
        "whether several reports come in one request; one and a list are read",
        "the id of an incoming message: none is documented",
    ),
    setup=(
        "Make up a long path secret and enter it here. In the Channels app register {hook_url}/<path secret> as the "
        "webhook for incoming messages.",
        "In the SMS settings choose JSON and the same address for status reports.",
        "Give every SMS that you send a reference of its own: by it, reports and replies find the message.",
    ),
    docs="https://developers.cm.com/messaging/docs/incoming-messages",
    sample=sample,
)
