"""The declaration of how a provider calls us.

A source module holds, in this order: docstring with the vendor's page, `TYPES`,
`normalize(request)`, `SOURCE = Source(…)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.kit.fields import DEFAULT_REGION
from chalicelib.kit.request import Request
from chalicelib.model.event import Event

if TYPE_CHECKING:
    from chalicelib.kit.http import Http

Secrets = Mapping[str, tuple[str, ...]]
"""Secret name → all values valid now (several during a rotation), decrypted."""

GRADES = ("live-proven", "vendor vector", "documented", "unverified")


class Verifier(Protocol):
    """None when the request is the provider's; otherwise the reason. Total: never raises."""

    def __call__(self, request: Request, secrets: Secrets) -> str | None: ...


@dataclass(frozen=True)
class Answer:
    """What the provider gets back. Never a redirect."""

    body: bytes | str = b""
    status: int = 200
    media_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grant:
    """OAuth 2 client credentials: where the engine gets the access token of a look-up."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Fetch:
    """One look-up at the provider, done by the engine before `normalize`.

    `name` is the key under `request.fetched`. `path` is joined to `settings.base_url` or `base`.
    The answer is cached a day per connection and `version` (which state of the object is wanted),
    and kept with the receipt. `confirms`: it is no document, only that it came counts: {"status": 200}.
    `fresh`: never from the cache, where a webhook does not say which state it is about. `grant`: asked
    with an access token of that.
    """

    name: str
    path: str
    base: str
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    confirms: bool = False
    fresh: bool = False
    grant: Grant | None = None


@dataclass(frozen=True)
class Renewal:
    """A subscription at the provider that ends unless somebody asks for more.

    `ask(http, hook url) -> the moment when it now ends` prolongs it, or makes it where there is
    none; `http` is the connection's at `settings.base_url` or `base`. It is asked again `ahead`
    seconds before that end. `needs`: secrets without which the hub asks nothing.
    """

    base: str
    ask: Callable[[Http, str], str]
    ahead: int = 3600
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """What happened from one moment up to another, both included: UTC with milliseconds."""

    since: str
    until: str


@dataclass(frozen=True)
class Listing:
    """The request for one page of what happened. `path`, query included, is joined to `settings.base_url` or `base`."""

    path: str
    base: str
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What a provider answered to a Listing: its JSON and its headers, their names in lower case."""

    document: Any
    window: Window
    cursor: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """One thing that happened, as its webhook tells it."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Page:
    """`next`: the cursor of the page after this one; empty after the last."""

    webhooks: tuple[Listed, ...]
    next: str = ""


@dataclass(frozen=True)
class Missed:
    """How to ask the provider for what it never delivered.

    `ask(window, cursor, settings, secrets)` gives the request for a page, the first one with an empty
    cursor, or None where the connection is not set up for it: `needs` says in words what it takes.
    `read(what was answered)` gives the webhooks of that page; it raises PayloadMalformed for an answer that
    is no page, so that nothing passes as "nothing was missed". Of each, `normalize` must make the event ids
    that the webhook makes. `requests` in `seconds`: how fast we ask. `reach`: how many days the provider
    looks back, 0 where it does not say. `lag`: seconds that something must be old, so that its webhook
    came, or never comes. `apart`: seconds by which its moments and those of webhooks may differ.
    """

    ask: Callable[[Window, str, Mapping[str, Any], Secrets], Listing | None]
    read: Callable[[Told], Page]
    needs: str
    requests: int
    seconds: float
    reach: int = 0
    lag: int = 300
    apart: int = 0


@dataclass(frozen=True)
class Setting:
    """One field of a connection's settings or secrets, as shown in the catalogue."""

    title: str
    type: str = "string"
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    help: str = ""
    items: str = ""
    """Element type when `type` is array."""
    instead: str = ""
    """Another setting that may stand in the place of a required one."""
    least: int | None = None
    most: int | None = None


CATCH_UP = Setting(
    "Catch up by itself",
    default="on",
    choices=("on", "off"),
    help="Asks the provider every quarter of an hour, and each night further back, for what never arrived",
)
"""Of `catch_up`, which every source with `missed` has."""
REGION = Setting("Country of numbers without +", default=DEFAULT_REGION, help="ISO 3166 code")
"""Of `region`, which `request.region` reads."""


@dataclass(frozen=True)
class Source:
    """`types`: provider's own type → our event type. `dedupe`: the provider's delivery key,
    or None where it sends none. `own_system`: a shop, store, carrier, desk or CRM, whose refs
    are evidence. `handshake` answers a proof-of-ownership exchange, or returns None for a
    normal webhook; it runs after `verify` unless `handshake_first`. `handshake_open`: who asks
    proves nothing, so everybody gets the answer, which holds nothing but what was asked."""

    name: str
    channel: str
    types: Mapping[str, str]
    normalize: Callable[[Request], Iterable[Event]]
    verify: Verifier
    dedupe: Callable[[Request], str | None] | None = None
    handshake: Callable[[Request, Secrets], Answer | None] | None = None
    handshake_first: bool = False
    handshake_open: bool = False
    handshake_proves: bool = False
    """It is we who prove something: whoever asks gets an answer that only our secret makes."""
    opened: Callable[[Request, Secrets], bytes] | None = None
    """The body as it was before the provider encrypted it: what is kept and normalized once `verify` accepted it."""
    fetch: Callable[[Request, Secrets], Iterable[Fetch]] | None = None
    certificate: Callable[[Request], str] | None = None
    """The https address of the certificate that the request says it is signed with, empty unless all that can be
    judged without it is right. The engine hands it to `verify` as the secret `certificate`, unless one is configured."""
    renew: Renewal | None = None
    missed: Missed | None = None
    answer: Callable[[Request], Answer] | Answer = Answer()
    own_system: bool = False
    copies: bool = False
    """Its messages and tickets show the customer's record as it is, not what he says: that makes no value newer."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    secrets: Mapping[str, Setting] = field(default_factory=dict)
    grade: str = "documented"
    channels: tuple[str, ...] = ()
    """Channels of its events besides `channel`."""
    unverified: tuple[str, ...] = ()
    """Facts nobody could confirm; shown in the catalogue."""
    setup: tuple[str, ...] = ()
    """Steps for the integrator; `{hook_url}` is filled in."""
    docs: str = ""
    check_mapping: Callable[[Any, Mapping[str, Any]], list[dict[str, str]]] | None = None
    """(mapping, settings) → mistakes as {"pointer", "detail"}. None: takes no mapping."""
    templates: Mapping[str, Any] = field(default_factory=dict)
    """Name → a mapping that is ready to be used, as the catalogue shows it."""
    sample: Callable[[Secrets, str, Mapping[str, Any]], Request] | None = None
    """A signed test request for `POST /v1/connections/{id}/test`; (secrets, hook url, settings)."""
