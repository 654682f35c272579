"""What a customer is to get: one message on one channel."""

from __future__ import annotations

import msgspec

from chalicelib.model.identity import Identity


class Message(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`key`: ours, the same however often it is tried: at most 64 letters, digits, - and _. `to`: the
    customer's address on the channel; `own`: ours, where the conversation has one. `free`: he wrote within the provider's window, so
    free text is allowed; otherwise only `template`, whose `values` fill it in order."""

    key: str
    channel: str
    to: Identity
    text: str = ""
    subject: str = ""
    own: str = ""
    free: bool = True
    template: str = ""
    language: str = ""
    values: tuple[str, ...] = ()
    reply_to: str = ""
    """The provider's id of the message that this one answers; of a mail its Message-ID."""
    thread: str = ""
    """Of a mail, the Message-ID that its conversation began with."""
    since: str = ""
    """When it was first tried: what was sent before cannot be this message."""
