"""An audience: which customers a campaign may reach, and what it is told of each of them. No texts."""

from __future__ import annotations

import msgspec

AUDIENCE = "audience"
"""In a subscription's types: nothing but the audiences that name the connection."""
ENTERED, CHANGED, LEFT = "entered", "changed", "left"


class Audience(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`consent`: purposes (marketing) or channels (email) that all must be granted. `channels`: among
    which the preferred one must be; empty: any. Moments are absolute; empty or 0: asks nothing.

    contact_since        somebody was in touch at or after it
    contact_before       nobody was in touch at or after it
    orders_least         so many orders, of those that count
    orders_none_since    no order at or after it
    filter               JMESPath over {channel, language, last_contact_at, orders, last_order_at, fields}
    feed                 id of the connection that is told who enters and who leaves; empty: exports only
    """

    id: str
    name: str
    consent: tuple[str, ...]
    channels: tuple[str, ...] = ()
    contact_since: str = ""
    contact_before: str = ""
    orders_least: int = 0
    orders_none_since: str = ""
    filter: str = ""
    feed: str = ""
    ver: int = 1

    @property
    def asks_history(self) -> bool:
        """Whether it takes more than his newest entries to say who belongs."""
        moments = self.contact_since or self.contact_before or self.orders_none_since
        return bool(moments or self.orders_least or self.filter)


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a member: nothing that names him. `node`: that of the address on the channel."""

    node: str
    channel: str
    last_contact_at: str = ""
    orders: int = 0
    last_order_at: str = ""


class Consent(msgspec.Struct, frozen=True):
    """One consent that holds. `source`: the connection that told it; `at`: when he gave it."""

    purpose: str
    source: str
    at: str


class Member(msgspec.Struct, frozen=True):
    """One entry of an audience, whole."""

    customer: str
    channel: str
    address: str
    name: str
    language: str
    last_contact_at: str
    orders: int
    last_order_at: str
    consent: tuple[Consent, ...]


class Told(msgspec.Struct, frozen=True):
    """One change as a feed gets it. `key`: the same however often it is tried; `version` grows with every
    change of one customer in one audience; `member`: None once he left."""

    key: str
    what: str
    audience: str
    name: str
    customer: str
    at: str
    version: int
    member: Member | None = None
