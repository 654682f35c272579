"""Facebook Messenger, by a Page: https://developers.facebook.com/docs/messenger-platform/reference/send-api/

A person must have written first, and within 24 hours; later only an approved template goes (a utility
message). Tags for later messages are going away and only a person may use the last, so none is sent.
Nothing takes a key of ours: it goes along as `metadata`, which the echo of a message repeats.
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

Row = dict[str, Any]
Meaning = tuple[type[DeliveryFailed] | None, str]
GRAPH, VERSION = "https://graph.facebook.com", "v24.0"
REFUSALS = range(400, 500)
MEANINGS: Mapping[str, Meaning] = {
    "10/2018278": (Rejected, "the customer wrote more than 24 hours ago: only a template may go"),
    "10/1893063": (Unauthorized, "the Page may not send messages for now"),
    "100/2018001": (Rejected, "the Page does not know this person"),
    "1": (Unknown, "an error that may have come after sending"),
    "2": (Unknown, "an error that may have come after sending"),
    "4": (Delayed, "too many calls by this app"),
    "32": (Delayed, "too many calls for this Page"),
    "190": (Unauthorized, "the token has ended or was withdrawn"),
    "368": (Unauthorized, "the Page is blocked for a violation of policy"),
    "551": (Rejected, "this person cannot be written to now"),
    "613": (Delayed, "too many calls for this Page"),
    "1200": (Unknown, "an error that may have come after sending"),
    "80006": (Delayed, "too many calls for this Page"),
}


def send_message(http: Http, message: Message) -> str:
    answer = http.request("POST", _path(http), json=content(message), allow=REFUSALS)
    if answer.status >= 400:
        raise http.failure(answer, *_meaning(answer))
    found = text(answer.json(), "message_id")
    if not found:
        raise Unknown("a message was answered without its id")
    return found


def content(message: Message) -> Row:
    told = {"recipient": {"id": sending.address(message, "messenger")}}
    if message.template:
        return told | {"messaging_type": "UTILITY", "message": {"template": template(message)}}
    shown = {"text": sending.free_words(message), "metadata": message.key}
    return told | {"messaging_type": "RESPONSE", "message": shown}


def template(message: Message) -> Row:
    """The values fill the places {{1}}, {{2}} … of its body."""
    if not message.language:
        raise Rejected("the language of this template is not known")
    parameters = [{"type": "text", "text": value} for value in message.values]
    shown: Row = {"name": message.template, "language": {"code": message.language}}
    return shown | ({"components": [{"type": "body", "parameters": parameters}]} if parameters else {})


def _meaning(answer: Reply) -> Meaning:
    """By code and subcode, or by code alone."""
    told = answer.told()
    code, subcode = text(told, "error", "code"), text(told, "error", "error_subcode")
    return MEANINGS.get(f"{code}/{subcode}") or MEANINGS.get(code, (None, ""))


def _path(http: Http) -> str:
    version, page = text(http.settings, "api_version") or VERSION, text(http.settings, "page_id") or "me"
    return f"/{quote(version)}/{quote(page, safe='')}/messages"


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "page_access_token")
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}


DESTINATION = Destination(
    name="Messenger",
    base_url=GRAPH,
    auth=_bearer,
    send_message=send_message,
    channels=("messenger",),
    window_hours=24,
    limit=Limit(300, 1.0),
    outcomes=MAYBE_SENT,
    settings={
        "page_id": Setting("Page id", help="Who sends; what other Pages send is ignored; the scope of people's ids"),
        "api_version": Setting("API version", default=VERSION),
        "base_url": Setting("API address", help=f"Default {GRAPH}; where messages are sent and names are looked up"),
    },
    secrets={
        "page_access_token": Setting("Page access token", help="To send, with pages_messaging, and for people's names"),
    },
    unverified=(
        "that the token is taken as a header",
        "utility messages: where they may be sent yet, and that their echo says nothing of ours",
        "codes of refusals and their HTTP statuses",
        "calls a second: 300 are taken",
    ),
    setup=(
        "To send, enter the Page's token; the app needs pages_messaging, for people without a role in it with advanced "
        "access, and pages_utility_messaging for templates.",
        "Subscribe the Page to message_echoes: echoes settle what may have been sent.",
    ),
    docs="https://developers.facebook.com/docs/messenger-platform/reference/send-api/",
)
