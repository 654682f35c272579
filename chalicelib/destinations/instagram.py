"""Instagram, private messages of a professional account:
https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api

A person must have written first, and within 24 hours; there are no templates, so later nothing goes.
Nothing takes a key of ours and nothing of ours comes back: an echo has the text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.errors import Delayed, DeliveryFailed, Rejected, Unauthorized, Unknown
from chalicelib.kit import sending
from chalicelib.kit.destination import MAYBE_SENT, Destination, Limit
from chalicelib.kit.shape import text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http, Reply
    from chalicelib.model.message import Message

Meaning = tuple[type[DeliveryFailed] | None, str]
GRAPH, VERSION = "https://graph.instagram.com", "v24.0"
REFUSALS = range(400, 500)
WINDOW: Meaning = (Rejected, "the customer wrote more than 24 hours ago: nothing may go until he writes again")
MEANINGS: Mapping[str, Meaning] = {
    "10/2018278": WINDOW,
    "10/2534022": WINDOW,
    "100/2018001": (Rejected, "the account does not know this person"),
    "1": (Unknown, "an error that may have come after sending"),
    "2": (Unknown, "an error that may have come after sending"),
    "4": (Delayed, "too many calls by this app"),
    "190": (Unauthorized, "the token has ended or was withdrawn"),
    "368": (Unauthorized, "the account is blocked for a violation of policy"),
    "551": (Rejected, "this person cannot be written to now"),
    "613": (Delayed, "too many calls for this account"),
    "1200": (Unknown, "an error that may have come after sending"),
    "80002": (Delayed, "too many calls for this account"),
}


def send_message(http: Http, message: Message) -> str:
    told = {
        "recipient": {"id": sending.address(message, "instagram")},
        "message": {"text": sending.free_words(message)},
    }
    answer = http.request("POST", _path(http), json=told, allow=REFUSALS)
    if answer.status >= 400:
        raise http.failure(answer, *_meaning(answer))
    found = text(answer.json(), "message_id")
    if not found:
        raise Unknown("a message was answered without its id")
    return found


def _meaning(answer: Reply) -> Meaning:
    """By code and subcode, or by code alone."""
    told = answer.told()
    code, subcode = text(told, "error", "code"), text(told, "error", "error_subcode")
    return MEANINGS.get(f"{code}/{subcode}") or MEANINGS.get(code, (None, ""))


def _path(http: Http) -> str:
    version, account = (
        text(http.settings, "api_version") or VERSION,
        text(http.settings, "instagram_account_id") or "me",
    )
    return f"/{quote(version)}/{quote(account, safe='')}/messages"


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "access_token")
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}


DESTINATION = Destination(
    name="Instagram",
    base_url=GRAPH,
    auth=_bearer,
    send_message=send_message,
    channels=("instagram",),
    window_hours=24,
    limit=Limit(100, 1.0),
    outcomes=MAYBE_SENT,
    settings={
        "instagram_account_id": Setting(
            "Professional account's id",
            help="Who sends; what other accounts send is ignored; also the scope of people's ids",
        ),
        "api_version": Setting("API version", default=VERSION),
        "base_url": Setting("API address", help=f"Default {GRAPH}; with a Page's token https://graph.facebook.com"),
    },
    secrets={
        "access_token": Setting("Access token", help="To send, and for people's names in messages"),
    },
    unverified=(
        "that the token is taken as a header",
        "with a Page's token: that the professional account's id stands for the Page's in the address",
        "codes of refusals and their HTTP statuses",
        "calls a second: 100 are taken",
    ),
    setup=(
        "To send, enter a token of the professional account, with instagram_business_manage_messages; it ends after 60 "
        "days unless it is exchanged for a new one.",
        "In the account's settings, allow access to messages by connected tools.",
    ),
    docs="https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api",
)
