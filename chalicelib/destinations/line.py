"""LINE: messages that an official account sends: https://developers.line.biz/en/reference/messaging-api/#send-push-message

A push carries our key as `X-Line-Retry-Key`, from its first attempt on. LINE remembers it for 24 hours
and answers 409 to whatever it took before, with the same message ids. So does it for what the customer never
saw because he blocked the account: taken is not delivered, and nothing tells. Pushes count towards the month's quota.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.errors import Rejected, Unknown
from chalicelib.kit import sending
from chalicelib.kit.destination import Destination, Limit
from chalicelib.kit.shape import objects, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.message import Message

API = "https://api.line.me"
TAKEN_BEFORE, TOO_MANY = 409, 429
QUOTA = "monthly limit"


def send_message(http: Http, message: Message) -> str:
    told = {"to": sending.address(message, "line"), "messages": [{"type": "text", "text": sending.words(message)}]}
    headers = {"X-Line-Retry-Key": sending.uuid_key(message)}
    answer = http.request("POST", "/v2/bot/message/push", json=told, headers=headers, allow=(TAKEN_BEFORE, TOO_MANY))
    if answer.status == TOO_MANY:
        spent = QUOTA in text(answer.told(), "message").lower()
        raise http.failure(answer, *((Rejected, "the month's quota of messages is used up") if spent else ()))
    found = text(next(iter(objects(answer.json(), "sentMessages")), None), "id")
    accepted = answer.headers.get("x-line-accepted-request-id", "") if answer.status == TAKEN_BEFORE else ""
    if not found and not accepted:
        raise Unknown("a message was answered without its id")
    return found or accepted


def _bearer(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    tokens = keys_of(secrets, "channel_access_token")
    return {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}


DESTINATION = Destination(
    name="LINE",
    base_url=API,
    auth=_bearer,
    send_message=send_message,
    message_keyed=True,
    key_hours=24,
    channels=("line",),
    limit=Limit(2000, 1.0),
    outcomes={TAKEN_BEFORE: Unknown},
    settings={"base_url": Setting("API address", default=API)},
    secrets={
        "channel_access_token": Setting(
            "Channel access token", help="To send: long-lived, of the Messaging API channel"
        ),
    },
    unverified=(
        "what LINE answers to a push to a user who never added the account, or has blocked it",
        "the words by which a used-up quota is told from too many requests: monthly limit",
    ),
    setup=(
        "To send, issue a long-lived channel access token in the channel's Messaging API settings and enter it.",
        "A push costs of the account's monthly quota; the customer must have added the account as a friend.",
    ),
    docs="https://developers.line.biz/en/docs/messaging-api/retrying-api-request/",
)
