"""Handover: a conversation moves to another channel by a token in a link.

A token is bound to a thread and a channel, is used by one event, and expires by that event's own
time. Whoever redeems it takes part in the token's thread and is, at A3, the same person as whoever
takes part there: the first event of either side that comes second sees the other.
"""

from __future__ import annotations

import base64
import secrets as random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from chalicelib.context import conversations, resolve
from chalicelib.context.graph import Rec, Rules, pair_of
from chalicelib.context.resolve import Cause
from chalicelib.errors import Busy
from chalicelib.kit import tokens
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref
from chalicelib.model.identity import A3_VERIFIED, ANCHORS, Identity
from chalicelib.store import events
from chalicelib.store.secrets import keyed
from chalicelib.store.table import ABSENT, Item, Key, Put, Table, Update, equal

PREFERRED = "preferred_channel"
KEPT_DAYS = 30
"""After its expiry, so that a late event still tells why it did not count."""
TOKEN_BYTES = 10


@dataclass(frozen=True)
class Minted:
    token: str
    channel: str
    until: str
    url: str
    """The deep link; empty where the channel has no address in the settings."""
    text: str
    """What the customer sends, or what the link carries."""


@dataclass(frozen=True)
class Redeemed:
    """The thread of a token that this event redeems. `notify`: he wants to be reached this way."""

    thread: Ref
    notify: bool


def key(token: str) -> Key:
    return f"TOK#{keyed('token', token)}", "-"


def mint(
    table: Table,
    thread: Ref,
    channel: str,
    until: str,
    by: str,
    addresses: Mapping[str, str],
    *,
    notify: bool = False,
    login: bool = False,
) -> Minted:
    """A new token for `thread`, to be redeemed on `channel` up to `until`. `login`: only by an event
    that proves a login, which verifies whoever takes part in the thread."""
    token = base64.b32encode(random.token_bytes(TOKEN_BYTES)).decode().lower()
    pk, sk = key(token)
    item: Item = {
        "pk": pk,
        "sk": sk,
        "ref": [thread.kind, thread.value, thread.scope],
        "ch": channel,
        "until": until,
        "by": by,
        "ntf": notify,
        "lgn": login,
        "x": instants.to_ms(until) // 1000 + KEPT_DAYS * 86400,
    }
    if not table.write(Put(item, ABSENT)):
        raise Busy("that token exists")
    carried = carrier(channel, token)
    return Minted(token, channel, until, link(channel, addresses.get(channel, ""), token), carried)


def carrier(channel: str, token: str) -> str:
    if channel == "email":
        return tokens.for_subject(token)
    return token if channel in BARE else tokens.for_text(token)


ANY = "any"
"""Channel of a token that may come by any."""
BARE = frozenset({"line", "wechat", "telegram"})
"""Channels whose link takes the token as it is: a nonce, a scene, a start parameter."""
LINKS = {
    "whatsapp": "https://wa.me/{digits}?text={text}",
    "messenger": "https://m.me/{address}?ref={parameter}",
    "instagram": "https://ig.me/m/{address}?ref={parameter}",
    "viber": "viber://pa?chatURI={address}&context={parameter}",
    "telegram": "https://t.me/{address}?start={token}",
    "line": "https://access.line.me/dialog/bot/accountLink?linkToken={{linkToken}}&nonce={token}",
    "email": "mailto:{address}?subject={text}",
    "sms": "sms:{address}?body={text}",
    "web": "{address}?h={parameter}",
    "webchat": "{address}?h={parameter}",
    "app": "{address}?h={parameter}",
    ANY: "{address}?h={parameter}",
}
"""What is in double braces the integrator fills in: it is asked for at the channel, per customer."""


def link(channel: str, address: str, token: str) -> str:
    """The deep link; empty where the channel has none, or needs an address and has none."""
    pattern = LINKS.get(channel, "")
    if not pattern or (("{address}" in pattern or "{digits}" in pattern) and not address):
        return ""
    return pattern.format(
        address=address,
        digits=address.lstrip("+"),
        token=token,
        parameter=tokens.for_parameter(token),
        text=quote(carrier(channel, token)),
    )


def redeem(table: Table, event: Event) -> tuple[Redeemed, ...]:
    """The threads of the tokens that this event redeems; a token that is unknown, expired, of
    another channel or used by another event counts for nothing. Costs a read for each token."""
    named = [ref.value for ref in event.refs if ref.kind == "token"][: tokens.MOST]
    found = table.batch_get([key(token) for token in named]) if named else {}
    return tuple(_redeemed(item) for item in found.values() if _valid(item, event) and _use(table, item, event))


def _valid(item: Item, event: Event) -> bool:
    proven = not item.get("lgn") or any(map(proves_login, event.identities))
    return event.occurred_at <= item["until"] and item["ch"] in (event.channel, ANY) and proven


def proves_login(identity: Identity) -> bool:
    return identity.kind in ANCHORS and identity.assurance >= A3_VERIFIED


def _use(table: Table, item: Item, event: Event) -> bool:
    """One event uses it, however often it is delivered: who comes first has it."""
    if "used" not in item:
        if table.write(Update((item["pk"], item["sk"]), {"used": event.id}, when=equal(used=None, ch=item["ch"]))):
            return True
        item = table.get((item["pk"], item["sk"])) or item
    return item.get("used") == event.id


def _redeemed(item: Item) -> Redeemed:
    kind, value, scope = item["ref"]
    return Redeemed(Ref(kind, value, scope), bool(item["ntf"]))


def converse(table: Table, event: Event, redeemed: Iterable[Redeemed]) -> None:
    """The event's own thread and the token's are one conversation."""
    own = events.thread_of(event)
    for each in redeemed:
        if own:
            conversations.link(table, event, (own, each.thread), assurance=A3_VERIFIED)


def preferred(event: Event, redeemed: Iterable[Redeemed]) -> dict[str, str]:
    """Fields that a redeemed token sets: who asked to be notified here prefers this channel."""
    return {PREFERRED: event.channel} if any(each.notify for each in redeemed) else {}


def unite(table: Table, rules: Rules, home: str, others: Iterable[str], cause: Cause) -> bool:
    """They are one person, at A3: who redeemed a token and who took part in its thread, or whom a record told of and
    whose it is. Whether there was anybody to join."""
    found = table.batch_get([(f"N#{node}", "-") for node in others if node != home])
    living = sorted(pk[2:] for (pk, _), item in found.items() if "own" in item)
    if living:
        nodes = [resolve.Node(node, asr=A3_VERIFIED) for node in (home, *living)]
        pairs = {pair_of(home, node): Rec(A3_VERIFIED) for node in living}
        resolve.apply(table, rules, nodes, pairs, cause=cause)
    return bool(living)
