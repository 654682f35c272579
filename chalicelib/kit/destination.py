"""The declaration of how we keep a system informed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.errors import DeliveryFailed, Unknown
from chalicelib.kit.grant import Grant
from chalicelib.kit.source import Secrets, Setting, Source
from chalicelib.model.audience import Told
from chalicelib.model.customer import Customer, Entry
from chalicelib.model.message import Message

if TYPE_CHECKING:
    from chalicelib.kit.http import Http

Auth = Callable[[Secrets, Mapping[str, Any]], Mapping[str, str]]
"""(secrets, settings) → request headers. What signs each body uses `kit.signing` instead."""


MAYBE_SENT: Mapping[int, type[DeliveryFailed]] = dict.fromkeys((408, *range(500, 600)), Unknown)
"""For messages without a key of ours: whoever answers so may have sent it all the same."""


@dataclass(frozen=True)
class Limit:
    """At most `requests` in `seconds`, for one connection and all workers together."""

    requests: int
    seconds: float


@dataclass(frozen=True)
class Destination:
    """`keyed`: the system takes our key, so sending twice changes nothing (upsert, mark after).
    Otherwise the engine claims first and calls `find_activity` after an unknown outcome.

    `upsert_contact(http, customer, remote) -> remote id`; `remote` is the id we know, or "".
    `append_activity(http, remote, entry) -> remote activity id`. `remote` is "" where
    `contacts` is False. `send_message(http, message) -> the provider's id of it`: what a customer gets,
    on one of `channels`; a system may have only that. Functions hold no retry, no token handling, no
    logging: `http` turns statuses into delivery errors.

    `grant`: where a token must be asked for, it is the secret `access_token` that `auth` finds; the
    engine keeps it, encrypted, for all workers, and asks anew when it ends or is refused.
    """

    name: str
    base_url: str
    auth: Auth
    append_activity: Callable[[Http, str, Entry], str] | None = None
    upsert_contact: Callable[[Http, Customer, str], str] | None = None
    find_contact: Callable[[Http, Customer], str] | None = None
    find_activity: Callable[[Http, str, Entry], str] | None = None
    forget_contact: Callable[[Http, str], None] | None = None
    move_activity: Callable[[Http, str, str, str, Entry], str] | None = None
    """(http, activity, old record, new record, entry) → the activity's id from now on: what lies on one record lies
    on the other. Sent again it changes nothing, and an old record that is gone is no obstacle."""
    merge_contacts: Callable[[Http, str, str], str] | None = None
    """(http, record, another) → the one that is left of both; where they are one already, that one. Only where
    a connection's `merge_policy` is "hard": most systems cannot undo it."""
    shows_contact: Callable[[Http, Customer, str], bool] | None = None
    """(http, customer, record): whether pushing him would change nothing there. A record that is gone
    shows nothing."""
    send_message: Callable[[Http, Message], str] | None = None
    find_message: Callable[[Http, Message], str] | None = None
    """What was sent under this key, after an unknown outcome; empty: surely nothing. Without it, and where
    `send_message` is not keyed, what may have been sent is never sent again by itself."""
    found_after: int = 0
    """Seconds after the unknown outcome before `find_message` may be asked: what was sent shows only then."""
    tell_membership: Callable[[Http, Told], str] | None = None
    """(http, change) → its id: who entered or left an audience. The system takes our key."""
    message_keyed: bool = False
    """The provider takes our key: sending again sends nothing twice."""
    key_hours: int = 0
    """Hours after the first attempt for which the provider knows our key; 0: always. What may have been
    sent is not sent again after that."""
    channels: tuple[str, ...] = ()
    """Those that `send_message` reaches."""
    window_hours: int = 0
    """Hours after the customer's last own message in which free text may be sent; 0: always."""
    windowless: tuple[str, ...] = ()
    """Channels among them that have no window all the same."""
    grant: Grant | None = None
    grant_url: str | Callable[[Mapping[str, Any]], str] = ""
    """Where `grant` asks, by the settings where accounts differ."""
    keyed: bool = True
    limit: Limit = Limit(100, 10.0)
    outcomes: Mapping[int, type[DeliveryFailed]] = field(default_factory=dict)
    """Statuses that mean something else at this system than `kit.http` says."""
    changes: Source | None = None
    partner: bool = False
    """Somebody else's system, unless a connection's setting `own_system` says it is ours: what is
    sensitive never goes there."""
    contact_fields: tuple[str, ...] = ()
    """Customer fields that this system keeps: a change of another one is no push. Empty: all."""
    mapped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a connection's mapping may fill: "contact", "activity", each with the fields that stay ours, by
    which records are known: `{name}` is the field that a setting names. See `kit.outgoing`."""
    comes_back: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields of contacts that this system tells us of, by the setting that tells our own writes apart; "": nothing
    does. Without it a mapping must not fill them: what it made of a name would come back as the name."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    secrets: Mapping[str, Setting] = field(default_factory=dict)
    grade: str = "documented"
    unverified: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    docs: str = ""

    def grant_address(self, settings: Mapping[str, Any]) -> str:
        declared = self.grant_url if isinstance(self.grant_url, str) else self.grant_url(settings)
        return str(settings.get("base_url") or declared)

    def window_of(self, channel: str) -> int:
        """Hours after the customer's last own message there in which free text may be sent; 0: always."""
        return 0 if channel in self.windowless else self.window_hours

    @property
    def contacts(self) -> bool:
        return self.upsert_contact is not None

    @property
    def history(self) -> bool:
        """Whether it shows activities; one that does not is told who the customers are, and no more."""
        return self.append_activity is not None

    @property
    def informed(self) -> bool:
        """Whether it is kept informed, and does not only send."""
        return self.history or self.contacts

    def http(
        self, settings: Mapping[str, Any], secrets: Secrets, *, base_url: str = "", allow_private: bool = False
    ) -> Http:
        """The way out for one connection; `secrets` decrypted, `settings.base_url` before the one that came
        with a token, before our own."""
        from chalicelib.kit.http import Http

        return Http(
            base_url=str(settings.get("base_url") or base_url or self.base_url),
            headers=dict(self.auth(secrets, settings)),
            settings=settings,
            secrets=secrets,
            allow_private=allow_private,
            outcomes=self.outcomes,
        )
