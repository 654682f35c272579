"""Twilio: SMS, and WhatsApp through Twilio: https://www.twilio.com/docs/messaging/api/message-resource

A message takes no key of ours. After an unknown outcome those to this address are listed, and the one
with this text, made since the first attempt, is it. The list goes by when a message was made and not by
`DateSent`, which one that still waits in Twilio's queue does not have.
Outside WhatsApp's window only a template (`ContentSid`) may go; Twilio takes free text all the same,
and tells by a status callback that it failed (63016).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from chalicelib.errors import Delayed, DeliveryFailed, Rejected, Unauthorized, Unknown
from chalicelib.kit import sending
from chalicelib.kit.destination import MAYBE_SENT, Destination, Limit
from chalicelib.kit.shape import kept, objects, text
from chalicelib.kit.signatures import keys_of, octets
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.message import Message

Row = dict[str, Any]
API = "https://api.twilio.com"
FORM = "application/x-www-form-urlencoded"
REFUSALS = range(400, 500)
MEANINGS: Mapping[str, tuple[type[DeliveryFailed], str]] = {
    "20003": (Unauthorized, "the account does not take this token"),
    "20005": (Unauthorized, "the account is not active"),
    "20429": (Delayed, "too many requests"),
    "21610": (Rejected, "the customer has sent STOP to this number"),
    "21611": (Delayed, "too many messages wait in the queue of this number"),
    "21614": (Rejected, "this number takes no SMS"),
    "21617": (Rejected, "the text is over 1,600 characters"),
    "63016": (Rejected, "the customer wrote more than 24 hours ago: only a template may go"),
    "63038": (Delayed, "the day's number of messages is reached"),
}
PAGE, MAX_PAGES = "100", 10
EARLIER = 2.0
"""Seconds by which clocks may differ, and that Twilio's times leave out."""


def send_message(http: Http, message: Message) -> str:
    body = urlencode(form(http, message)).encode()
    answer = http.request("POST", _path(http), body=body, headers={"Content-Type": FORM}, allow=REFUSALS)
    if answer.status >= 400:
        raise http.failure(answer, *MEANINGS.get(text(answer.told(), "code"), (None, "")))
    sid = text(answer.json(), "sid")
    if not sid:
        raise Unknown("a message was answered without its sid")
    return sid


def find_message(http: Http, message: Message) -> str:
    to, since = _to(message), sending.began(message) - EARLIER
    others = 0
    for row in _sent(http, to, since):
        if _is(row, message):
            return text(row, "sid")
        others += 1
    if others and message.template:
        raise Unknown("something was sent to this address, and it cannot be told whether it is this template")
    return ""


def form(http: Http, message: Message) -> dict[str, str]:
    """What Twilio reads: From or MessagingServiceSid, Body or ContentSid."""
    told = {"To": _to(message), **_from(http, message)}
    if message.template:
        values = {str(place): value for place, value in enumerate(message.values, 1)}
        told |= kept(ContentSid=message.template, ContentVariables=json.dumps(values) if values else "")
    else:
        told["Body"] = sending.free_words(message) if message.channel == "whatsapp" else sending.words(message)
    return told | kept(StatusCallback=text(http.settings, "status_callback"))


def _to(message: Message) -> str:
    if message.channel == "sms":
        return sending.address(message, "phone")
    value = sending.address(message, "whatsapp", "phone").removeprefix("+")
    return f"whatsapp:+{value}" if value.isdigit() else f"whatsapp:{value}"


def _from(http: Http, message: Message) -> dict[str, str]:
    """The number of the conversation; else the connection's service, or its number for this channel."""
    whatsapp = message.channel == "whatsapp"
    number = sending.own_address(message)
    service = text(http.settings, "messaging_service_sid")
    if not number and service:
        return {"MessagingServiceSid": service}
    number = number or text(http.settings, "whatsapp_from" if whatsapp else "from_number")
    if not number:
        raise Rejected("settings: neither a messaging service nor a number to send from")
    return {"From": f"whatsapp:{number.removeprefix('whatsapp:')}" if whatsapp else number}


def _sent(http: Http, to: str, since: float) -> Iterator[Row]:
    """What was made to send to this address since then, from page to page until all of one is older."""
    path, query = _path(http), {"To": to, "PageSize": PAGE}
    for _ in range(MAX_PAGES):
        found = http.request("GET", path, params=query).json()
        if not isinstance(found, dict) or "messages" not in found:
            raise Unknown("messages were asked for and not answered")
        made = [(sending.seconds(text(row, "date_created")), row) for row in objects(found, "messages")]
        recent = [row for moment, row in made if moment is None or moment >= since]
        yield from (row for row in recent if text(row, "direction").startswith("outbound"))
        path, query = text(found, "next_page_uri"), {}
        if not path or not recent:
            return
    raise Delayed(f"more than {MAX_PAGES} pages of messages to one address: cannot tell whether this one is there")


def _is(row: Row, message: Message) -> bool:
    """Trial accounts put words of Twilio's before ours. Of a template only the values are known."""
    body = _folded(text(row, "body"))
    if message.template:
        return bool(message.values) and all(_folded(value) in body for value in message.values)
    return body.endswith(_folded(message.text))


def _folded(words: str) -> str:
    return " ".join(words.split())


def _path(http: Http) -> str:
    account = text(http.settings, "account_sid")
    if not account:
        raise Rejected("settings.account_sid: it is needed to send")
    return f"/2010-04-01/Accounts/{quote(account, safe='')}/Messages.json"


def _credentials(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "auth_token")
    pair = f"{text(settings, 'account_sid')}:{tokens[0] if tokens else ''}"
    return {"Authorization": f"Basic {base64.b64encode(octets(pair)).decode()}"} if tokens else {}


DESTINATION = Destination(
    name="Twilio",
    base_url=API,
    auth=_credentials,
    send_message=send_message,
    find_message=find_message,
    found_after=60,
    channels=("sms", "whatsapp"),
    window_hours=24,
    windowless=("sms",),
    limit=Limit(30, 1.0),
    outcomes=MAYBE_SENT,
    settings={
        "account_sid": Setting("Account SID", help="Needed to send; webhooks of another account are refused"),
        "base_url": Setting("API address", default=API, help="Where messages are sent, and their times looked up"),
        "messaging_service_sid": Setting("Messaging service", help="MG…: sends where a conversation has no number"),
        "from_number": Setting("Number for SMS", help="In place of a messaging service: +31…, or a sender id"),
        "whatsapp_from": Setting("Number for WhatsApp", help="In place of a messaging service: +31…"),
        "status_callback": Setting("Status callback", help="{hook_url}: where Twilio tells what became of a message"),
    },
    secrets={
        "auth_token": Setting(
            "Auth token", required=True, help="Of the account or subaccount that owns the number; to send and look up"
        ),
    },
    unverified=(
        "how soon a message is in the list: a minute is taken",
        "that Smart Encoding leaves the text of the list as it was given",
        "what the list shows as the text of a template",
        "that a user id without a number is taken as whatsapp:<id>",
        "requests a second: 30 are taken; each number has its own pace, and Twilio queues behind it",
    ),
    setup=(
        "To send, enter the account SID, and a messaging service or a number for each channel.",
        "Set {hook_url} as status_callback, so that the timeline shows what became of a message.",
        "Switch off Smart Encoding in the messaging service: a message whose text was changed is not found again.",
        "Templates of WhatsApp are Twilio's contents (HX…), their variables 1, 2, 3 … in the order of the values.",
    ),
    docs="https://www.twilio.com/docs/messaging/api/message-resource",
)
