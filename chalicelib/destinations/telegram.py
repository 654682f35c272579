"""Telegram: messages of a bot: https://core.telegram.org/bots/api#sendmessage

Whoever started the bot may be written to until he blocks it; there is no window. Nothing takes a key of
ours, nothing can be looked up and nothing comes back: what may have been sent is for a person to judge.
Chats of a business account that the bot is connected to are not written to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chalicelib.errors import Delayed, Rejected, Unauthorized, Unknown
from chalicelib.kit import sending
from chalicelib.kit.destination import MAYBE_SENT, Destination, Limit
from chalicelib.kit.shape import count, kept, text
from chalicelib.kit.signatures import keys_of
from chalicelib.kit.source import Secrets, Setting

if TYPE_CHECKING:
    from chalicelib.kit.http import Http
    from chalicelib.model.message import Message

API = "https://api.telegram.org"
FORBIDDEN, TOO_MANY = 403, 429


def send_message(http: Http, message: Message) -> str:
    chat = sending.address(message, "telegram")
    told = {"chat_id": chat, "text": sending.words(message)} | kept(reply_parameters=answered(message))
    answer = http.request("POST", _path(http), json=told, allow=(FORBIDDEN, TOO_MANY))
    if answer.status == FORBIDDEN:
        raise http.failure(answer, Rejected, "the customer never started the bot, has blocked it, or is gone")
    if answer.status == TOO_MANY:
        raise http.failure(answer, Delayed, "", count(answer.told(), "parameters", "retry_after"))
    found = text(answer.json(), "result", "message_id")
    if not found:
        raise Unknown("a message was answered without its id")
    return f"{chat}/{found}"


def answered(message: Message) -> dict[str, Any]:
    """The message that this one answers, if it is still there. A message's id has the chat before it."""
    number = message.reply_to.rpartition("/")[2]
    return {"message_id": int(number), "allow_sending_without_reply": True} if number.isdecimal() else {}


def _path(http: Http) -> str:
    """The token is part of the address. Raises Unauthorized where there is none."""
    tokens = keys_of(http.secrets, "bot_token")
    if not tokens:
        raise Unauthorized("no bot_token is configured")
    return f"/bot{quote(tokens[0], safe=':')}/sendMessage"


def _in_the_address(secrets: Secrets, settings: Mapping[str, Any]) -> Mapping[str, str]:
    return {}


DESTINATION = Destination(
    name="Telegram",
    base_url=API,
    auth=_in_the_address,
    send_message=send_message,
    channels=("telegram",),
    limit=Limit(30, 1.0),
    outcomes={**MAYBE_SENT, 404: Unauthorized},
    settings={"base_url": Setting("API address", default=API, help="Of a Bot API server of your own, if you run one")},
    secrets={"bot_token": Setting("Bot token", help="To send: 123456:ABC…, from BotFather")},
    unverified=(
        "that a token which is none is answered with 404",
        "limits: about 30 messages a second, and one a second in one chat",
    ),
    setup=("To send, enter the token that BotFather gave for the bot.",),
    docs="https://core.telegram.org/bots/api#sendmessage",
)
