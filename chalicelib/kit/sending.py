"""What senders of messages share: words that may go, addresses, keys, headers of a mail that goes on a thread."""

from __future__ import annotations

import uuid
from email.utils import parseaddr, parsedate_to_datetime

from chalicelib.errors import Rejected, Unknown
from chalicelib.kit import mail
from chalicelib.model import instants
from chalicelib.model.identity import CONTACT_POINTS, Identity, parse
from chalicelib.model.message import Message

KEYS = uuid.UUID("6d1c2f0e-9a53-5d0f-8f0e-3b7c41a5e2d9")
"""The name space of our keys as UUIDs. Never changed: a message tried before and after would go twice."""


def words(message: Message) -> str:
    """The text. Raises Rejected where there is none: this channel has no templates."""
    if message.template or not message.text.strip():
        raise Rejected("no text to send" if not message.template else "this channel has no templates")
    return message.text


def free_words(message: Message) -> str:
    """The text that goes where no template does. Raises Rejected where a template must: outside the
    provider's window, whoever has not written lately gets templates only."""
    if not message.free:
        raise Rejected("the customer's last own message is too long ago for free text: only a template may go")
    return words(message)


def address(message: Message, *kinds: str) -> str:
    """The customer's address, of one of these kinds of identity. Raises Rejected for any other."""
    if message.to.kind not in kinds:
        raise Rejected(f"no address for this channel: it takes {' or '.join(kinds)}, not {message.to.kind}")
    return message.to.value


def own_address(message: Message) -> str:
    """Ours, on which the conversation is: a number or a mail address; empty where it has none."""
    own = parse(message.own) or Identity("", "")
    return own.value if own.kind in CONTACT_POINTS else ""


def sender(message: Message, configured: str) -> tuple[str, str]:
    """(who a mail is from, where replies go if elsewhere). Replies go to the conversation's own address;
    only `configured` is sure to be one that may send. Raises Rejected where there is neither."""
    own = own_address(message)
    if not configured and not own:
        raise Rejected("settings.from_address: it is not known who writes")
    elsewhere = bool(configured) and own != parseaddr(configured)[1].lower()
    return configured or own, own if elsewhere else ""


def uuid_key(message: Message) -> str:
    return str(uuid.uuid5(KEYS, message.key))


def thread_headers(message: Message) -> dict[str, str]:
    """In-Reply-To, and References that begin with the thread's first mail, by which replies are joined.
    What is no Message-ID, as of a mail that came without one, is left out."""
    given = [f"<{each.strip('<>')}>" for each in (message.thread, message.reply_to) if "@" in each]
    ids = [f"<{each}>" for each in mail.message_ids(" ".join(given))]
    return {"In-Reply-To": ids[-1], "References": " ".join(ids)} if ids else {}


def subject(message: Message) -> str:
    """On one line. Raises Rejected where there is none: such a mail looks like a mistake."""
    found = " ".join(message.subject.split())
    if not found:
        raise Rejected("a mail needs a subject")
    return found


def began(message: Message) -> float:
    """Unix seconds of the first attempt. Raises Unknown where nobody knows: then nothing can be found."""
    if not message.since:
        raise Unknown("it is not known since when this may have been sent")
    return instants.to_ms(message.since) / 1000


def seconds(value: str) -> float | None:
    """Unix seconds of an RFC 2822 date; None for what is none."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
