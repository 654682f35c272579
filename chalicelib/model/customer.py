"""What a destination and the API see of a customer and of one line of history."""

from __future__ import annotations

from typing import Any

import msgspec

from chalicelib.model.event import Event
from chalicelib.model.identity import ANONYMOUS_KINDS, Identity

# The values of a consent field that say no.
DENIED = frozenset({"denied", "deny", "no", "false", "opt-out", "unsubscribed"})
# Those that say yes; any other word neither denies nor grants.
GRANTED = frozenset({"granted", "grant", "allow", "allowed", "yes", "true", "opt-in", "subscribed"})


MAIL_CONSENTS = ("consent_email", "consent_marketing", "consent")
"""Fields that tell of consent to mail, the first that is there."""


def denies(value: str) -> bool:
    """A no is a no however it is written; a yes (GRANTED) must be one of the words exactly."""
    return value.strip().casefold() in DENIED


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One value about the customer with where it came from. Newest (priority, at, event) wins."""

    value: str
    at: str
    source: str = ""
    event: str = ""
    priority: int = 0
    sensitive: bool = False
    """Told by a sensitive event: shown to no mapping of a system that may not see those."""


class Customer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`id` is the public id; `former` other ids that resolve to it."""

    id: str
    identities: tuple[Identity, ...] = ()
    fields: dict[str, Field] = {}
    preferred_channel: str = ""
    satisfaction: dict[str, Any] = {}
    former: tuple[str, ...] = ()
    mapped: dict[str, Any] = {}
    """What the mapping of the destination that he is shown to found: its field → value, None: not sent."""

    @property
    def newest_score(self) -> str:
        """The newest of his scores, 0 to 100, or the empty text."""
        rated = sorted(self.satisfaction.values(), key=lambda each: str(each.get("at", "")))
        return str(rated[-1].get("score", "")) if rated else ""

    @property
    def mail_consent(self) -> str:
        """Whether he may be mailed: granted, denied, or the empty text where nobody knows."""
        named = (self.fields[name].value for name in MAIL_CONSENTS if name in self.fields)
        word = next(named, "")
        return "denied" if denies(word) else "granted" if word.strip().casefold() in GRANTED else ""

    def first(self, kind: str) -> str:
        """The value of the best identity of `kind`, or the empty text."""
        found = sorted((i for i in self.identities if i.kind == kind), key=lambda i: (-i.assurance, i.value))
        return found[0].value if found else ""


class Person(msgspec.Struct, frozen=True):
    """A customer with the items behind him. `id`: born of his oldest node; `nodes`: node id →
    item; `shared`: saturated nodes beside his; `conflicts`: (node, node, kind) refused; `decisions`:
    (node, node, ms, who, what) that people decided; `more`: items of his nodes that were asked for
    along with him."""

    id: str
    customer: Customer
    nodes: dict[str, dict[str, Any]]
    shared: tuple[str, ...] = ()
    conflicts: tuple[tuple[str, str, str], ...] = ()
    decisions: tuple[tuple[str, str, int, str, str], ...] = ()
    more: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def oldest(self) -> str:
        return self.id[13:]

    @property
    def anonymous(self) -> bool:
        """Known by web and app ids only."""
        return all(item["kind"] in ANONYMOUS_KINDS for item in self.nodes.values())


class Entry(msgspec.Struct, frozen=True):
    """An event as a destination gets it."""

    event: Event
    customer_id: str
    url: str = ""
    """Link back to the timeline page, if a public URL is set."""
    mapped: dict[str, Any] = {}
    """As a customer has it."""
