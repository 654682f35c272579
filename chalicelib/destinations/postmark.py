"""Postmark: mail: https://postmarkapp.com/developer/api/email-api

Mail takes no key of ours, but carries it as metadata, and sent mail can be searched by metadata: so it is
looked for after an unknown outcome. It is from the connection's address, which Postmark knows; replies
go to the address that the conversation is on. References begin with the first mail of the thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.errors import DeliveryFailed, Rejected, Unauthorized, Unknown
from chalicelib.kit import sending
from chalicelib.kit.destination import MAYBE_SENT, Destination, Limit
from chalicelib.kit.shape import kept, objects, pick, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.message import Message

Row = dict[str, Any]
API, STREAM = "https://api.postmarkapp.com", "outbound"
KEY = "draad_key"
INVALID = 422
MEANINGS: Mapping[str, tuple[type[DeliveryFailed], str]] = {
    "300": (Rejected, "an address or a header of the mail is not taken"),
    "400": (Rejected, "the address that it is from is not confirmed"),
    "401": (Rejected, "the address that it is from is not confirmed"),
    "405": (Unauthorized, "the account may not send: nothing is left to send with, or it is not paid"),
    "406": (Rejected, "the address is inactive: mail to it came back, or its owner wants none"),
    "412": (Unauthorized, "the account is not approved yet"),
}


def send_message(http: Http, message: Message) -> str:
    answer = http.request("POST", "/email", json=letter(http, message), allow=(INVALID,))
    if answer.status == INVALID:
        raise http.failure(answer, *MEANINGS.get(text(answer.told(), "ErrorCode"), (None, "")))
    told = answer.json()
    if text(told, "ErrorCode") != "0" or not text(told, "MessageID"):
        raise Unknown("a mail was answered without its id")
    return text(told, "MessageID")


def find_message(http: Http, message: Message) -> str:
    query = {"count": "10", "offset": "0", "messagestream": _stream(http), f"metadata_{KEY}": message.key}
    told = http.request("GET", "/messages/outbound", params=query).json()
    if not isinstance(pick(told, "Messages"), list):
        raise Unknown("mail was searched for and nothing answered")
    rows = objects(told, "Messages")
    found = next((text(row, "MessageID") for row in rows if text(row, "Metadata", KEY) == message.key), "")
    if rows and not found:
        raise Unknown("mail was searched for by metadata and other mail was answered")
    return found


def letter(http: Http, message: Message) -> Row:
    sender, replies = sending.sender(message, text(http.settings, "from_address"))
    headers = [{"Name": name, "Value": value} for name, value in sending.thread_headers(message).items()]
    return {
        "From": sender,
        "To": sending.address(message, "email"),
        "Subject": sending.subject(message),
        "TextBody": sending.words(message),
        "MessageStream": _stream(http),
        "Metadata": {KEY: message.key},
    } | kept(ReplyTo=replies, Headers=headers)


def _stream(http: Http) -> str:
    return text(http.settings, "message_stream") or STREAM


def _token(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "server_token")
    return {"Accept": "application/json"} | ({"X-Postmark-Server-Token": tokens[0]} if tokens else {})


DESTINATION = Destination(
    name="Postmark",
    base_url=API,
    auth=_token,
    send_message=send_message,
    find_message=find_message,
    found_after=120,
    channels=("email",),
    limit=Limit(10, 1.0),
    outcomes=MAYBE_SENT,
    settings={
        "from_address": Setting("From", help="TC Service <service@tc.example>: a confirmed sender; needed to send"),
        "message_stream": Setting("Message stream", default=STREAM, help="A transactional one"),
        "base_url": Setting("API address", default=API),
    },
    secrets={"server_token": Setting("Server API token", help="To send")},
    unverified=(
        "how soon sent mail is in the search: two minutes are taken",
        "that the search answers the metadata of each mail",
        "error codes 405, 406 and 412, and that all codes come with 422",
        "requests a second: 10 are taken",
    ),
    setup=(
        "To send, confirm the sender's domain at Postmark, and enter a server API token and the address.",
        "Keep sent mail for at least a week: what may have been sent is searched for (45 days unless you changed it).",
        "Name the address of the conversation, to which replies go, in own_addresses, and let it come in here.",
    ),
    docs="https://postmarkapp.com/developer/api/email-api",
)
