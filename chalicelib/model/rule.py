"""A rule by which the hub itself writes to customers: what sets it off, and what it sends by which connection."""

from __future__ import annotations

import msgspec

TELL_ANSWER, ORDER_MESSAGE, CHECK_DUE, ASK_SATISFACTION = (
    "tell_answer",
    "order_message",
    "check_due",
    "ask_satisfaction",
)
KINDS = (TELL_ANSWER, ORDER_MESSAGE, CHECK_DUE, ASK_SATISFACTION)
SERVICE, MARKETING = "service", "marketing"
LANGUAGES = ("nl", "en")


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`connection`: of a destination that sends messages. `text`, `subject`: by language, with the
    placeholders that `fanout/messages.py` fills. `template`: the provider's own, for when its window
    for free text is over; `values`: placeholders that fill it, in order.

    tell_answer       an agent answered elsewhere: told on the channel that the customer chose
    order_message     an order was placed: a message with a link to help himself
    check_due         `details.due_at` of an event has come, and nobody was in touch since
    ask_satisfaction  a case was closed: a question whose answer is a number in `scale`
    """

    id: str
    kind: str
    connection: str
    on: bool = True
    purpose: str = SERVICE
    text: dict[str, str] = {}
    subject: dict[str, str] = {}
    template: str = ""
    values: tuple[str, ...] = ()
    scale: tuple[int, int] = (1, 5)
    ver: int = 1
