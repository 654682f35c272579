"""WhatsApp Cloud, Meta's own API:
https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages

Who hides his number is written to by the user id of the business (`recipient`), all others by number
(`to`). Nothing takes a key of ours and nothing can be looked up: our key goes along as
`biz_opaque_callback_data`, which the status webhooks of a message repeat, so what may have been sent
waits for those. Most refusals come by these webhooks too, minutes after the message was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.errors import Delayed, DeliveryFailed, Rejected, Unauthorized, Unknown
from chalicelib.kit import sending
from chalicelib.kit.destination import MAYBE_SENT, Destination, Limit
from chalicelib.kit.shape import objects, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.message import Message

Row = dict[str, Any]
GRAPH, VERSION = "https://graph.facebook.com", "v24.0"
REFUSALS = range(400, 500)
MEANINGS: Mapping[str, tuple[type[DeliveryFailed], str]] = {
    "0": (Unauthorized, "the token is not taken"),
    "1": (Unknown, "an error that may have come after sending"),
    "2": (Unknown, "an error that may have come after sending"),
    "4": (Delayed, "too many calls by this app"),
    "190": (Unauthorized, "the token has ended or was withdrawn"),
    "368": (Unauthorized, "the business account is blocked for a violation of policy"),
    "80007": (Delayed, "too many calls for this business account"),
    "130429": (Delayed, "too many messages a second by this number"),
    "131000": (Unknown, "an error that may have come after sending"),
    "131016": (Unknown, "an error that may have come after sending"),
    "131021": (Rejected, "sender and receiver are one number"),
    "131026": (Rejected, "it cannot be delivered: no WhatsApp on this number, or terms that were not accepted"),
    "131031": (Unauthorized, "the business account is locked"),
    "131042": (Unauthorized, "the business account has no valid way to pay"),
    "131047": (Rejected, "the customer wrote more than 24 hours ago: only a template may go"),
    "131048": (Delayed, "too many messages of this number were blocked or called spam"),
    "131049": (Rejected, "WhatsApp lets this customer have no more marketing for now"),
    "131050": (Rejected, "the customer wants no marketing from this business"),
    "131056": (Delayed, "too many messages to this one customer"),
    "131062": (Rejected, "such a message does not go to a user id: it needs the customer's number"),
    "132001": (Rejected, "no such template in this language, or not approved yet"),
    "132015": (Rejected, "the template is paused for its low quality"),
    "132016": (Rejected, "the template is disabled for its low quality"),
}


def send_message(http: Http, message: Message) -> str:
    answer = http.request("POST", _path(http), json=content(http, message), allow=REFUSALS)
    if answer.status >= 400:
        raise http.failure(answer, *MEANINGS.get(text(answer.told(), "error", "code"), (None, "")))
    found = text(next(iter(objects(answer.json(), "messages")), None), "id")
    if not found:
        raise Unknown("a message was answered without its id")
    return found


def content(http: Http, message: Message) -> Row:
    value = sending.address(message, "whatsapp", "phone").removeprefix("+")
    told: Row = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to" if value.isdigit() else "recipient": value,
        "biz_opaque_callback_data": message.key,
    }
    if message.reply_to:
        told["context"] = {"message_id": message.reply_to}
    if message.template:
        return told | {"type": "template", "template": template(http, message)}
    return told | {"type": "text", "text": {"body": sending.free_words(message)}}


def template(http: Http, message: Message) -> Row:
    """The values fill the places {{1}}, {{2}} … of its body."""
    language = message.language or text(http.settings, "template_language")
    if not language:
        raise Rejected("settings.template_language: the language of this template is not known")
    parameters = [{"type": "text", "text": value} for value in message.values]
    components = [{"type": "body", "parameters": parameters}] if parameters else []
    shown = {"name": message.template, "language": {"code": language}}
    return shown | ({"components": components} if components else {})


def _path(http: Http) -> str:
    number = text(http.settings, "phone_number_id")
    if not number:
        raise Rejected("settings.phone_number_id: it is needed to send")
    return f"/{quote(text(http.settings, 'api_version') or VERSION)}/{quote(number, safe='')}/messages"


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "access_token")
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}


DESTINATION = Destination(
    name="WhatsApp Cloud",
    base_url=GRAPH,
    auth=_bearer,
    send_message=send_message,
    channels=("whatsapp",),
    window_hours=24,
    limit=Limit(80, 1.0),
    outcomes=MAYBE_SENT,
    settings={
        "phone_number_id": Setting(
            "Phone number id", help="Needed to send; what comes by other numbers of the account is ignored"
        ),
        "template_language": Setting("Language of templates", help="Such as nl or en_US, where a message has none"),
        "api_version": Setting("API version", default=VERSION),
        "base_url": Setting("API address", default=GRAPH),
    },
    secrets={
        "access_token": Setting("Access token", help="To send: of a system user, with whatsapp_business_messaging"),
    },
    unverified=(
        "recipient with a user id in place of to, as a client library and partners have it",
        "which refusals come with the answer and which by webhook only, and their HTTP statuses",
        "that biz_opaque_callback_data comes back in every status",
        "that a number without its own Brazilian, Mexican or Argentine digit is found",
    ),
    setup=(
        "To send, enter the phone number id, and a token of a system user who may use this business account.",
        "Have templates approved in the language in which they are sent; they go where the customer wrote over "
        "24 hours ago.",
        "Subscribe to messages: statuses settle what may have been sent.",
    ),
    docs="https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages",
)
