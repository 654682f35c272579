"""A connection: one account at one provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

ACTIVE, PAUSED, UNAUTHORIZED, DISABLED = "active", "paused", "unauthorized", "disabled"
DELETED = "deleted"
"""The reason of a disabled connection that somebody deleted."""


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which events a destination gets. Empty `types` or `channels` mean all. Fields of a newer version are read over."""

    types: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Only events of these connections; empty: all."""
    filter: str = ""
    """A JMESPath expression over the event: only those for which it finds something."""
    redact: bool = False
    """True: no text, summary, attachments or fields leave for this destination."""
    anonymous: bool = False
    """True: customers known only by web or app ids are synced too."""
    sensitive: bool = False
    """True: sensitive entries go with their text and details, to a system of our own."""
    pseudonymous: bool = False
    """True: the customer goes by a keyed id of this connection, without identities."""


class Connection(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`secrets`: name → KMS ciphertexts (base64), each bound to this connection's id.

    `mapping` is the provider's own: JMESPath for a generic source, fields for a destination.
    """

    id: str
    provider: str
    name: str = ""
    settings: dict[str, Any] = {}
    secrets: dict[str, tuple[str, ...]] = {}
    subscription: Subscription = Subscription()
    mapping: Any = None
    status: str = ACTIVE
    reason: str = ""
    created_at: str = ""
    secrets_at: str = ""
    """When a secret was entered last; empty: never since it was made, or by a version that did not write it down."""
    ver: int = 1

    @property
    def field_priority(self) -> Mapping[str, int]:
        """Of the customer fields that this connection tells; `*`: of every other one."""
        found: Mapping[str, int] = self.settings.get("field_priority") or {}
        return found

    @property
    def deleted(self) -> bool:
        """Stopped for good; kept so that its receipts and deliveries still have a name."""
        return self.status == DISABLED and self.reason == DELETED
