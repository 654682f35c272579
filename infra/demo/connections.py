"""What the demo registers: by name, so that every run finds and mends what an earlier one made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from infra.demo.api import Api
from infra.demo.errors import DemoFailed
from infra.demo.systems import Systems
from tests import drive
from tests.standins import hubspot, partner, zendesk

Row = dict[str, Any]
VISITOR = {"kind": "web", "scope": "'tc'", "value": "anonymousId"}
WEB_MAPPING: list[Row] = [
    {
        "when": "type == 'page'",
        "type": "visit",
        "channel": "web",
        "object": "messageId",
        "version": "'1'",
        "occurred_at": "timestamp",
        "summary": "join(' ', ['Bekeek', properties.title])",
        "identities": [VISITOR],
        "details": {"path": "properties.path", "title": "properties.title"},
        "provider_type": "type",
    },
    {
        "when": "type == 'identify'",
        "type": "identify",
        "channel": "web",
        "object": "messageId",
        "version": "'1'",
        "occurred_at": "timestamp",
        "summary": "'Logde in bij het afrekenen'",
        "identities": [VISITOR, {"kind": "shop", "scope": "'tc'", "value": "userId", "assurance": "A2"}],
        "provider_type": "type",
    },
    {
        "when": "type == 'chat'",
        "type": "message",
        "channel": "webchat",
        "direction": "sender.role == 'visitor' && 'in' || 'out'",
        "actor": "sender.role == 'visitor' && 'customer' || 'bot'",
        "object": "message.id",
        "version": "'1'",
        "occurred_at": "timestamp",
        "summary": "message.text",
        "text": "message.text",
        "identities": [VISITOR, {"kind": "email", "value": "prechat.email"}],
        "refs": [{"kind": "thread", "value": "conversationId"}],
        "provider_type": "type",
    },
]
SURVEY_RULE: Row = {
    "when": "event == 'survey.sent'",
    "type": "satisfaction",
    "channel": "sms",
    "direction": "out",
    "actor": "system",
    "object": "survey",
    "version": "'sent'",
    "occurred_at": "at",
    "summary": "question",
    "address": "to",
    "identities": [{"kind": "phone", "value": "to", "assurance": "A2"}],
    "refs": [{"kind": "survey", "value": "survey"}, {"kind": "receipt", "value": "subject"}],
    "details": {"status": "'sent'", "survey": "survey", "scale": "scale", "subject": "subject", "store": "store"},
    "provider_type": "event",
}
CARRIER_MAPPING: Row = {
    "type": "fulfilment",
    "channel": "post",
    "direction": "out",
    "actor": "system",
    "object": "parcel.barcode",
    "version": "join('@', [status, at])",
    "occurred_at": "at",
    "summary": "description",
    "refs": [{"kind": "order", "value": "parcel.reference"}],
    "details": {"status": "status", "tracking": "parcel.barcode", "pickup_point": "pickup_point.name"},
    "provider_type": "status",
}
UNHURRIED = {"rate_limit": 1000}
"""The systems around the demo take more than their vendors would."""


@dataclass(frozen=True)
class Wanted:
    key: str
    provider: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    subscription: Mapping[str, Any] = field(default_factory=dict)
    mapping: Any = None


@dataclass(frozen=True)
class Connected:
    """By key, such as shop: the ids and hook URLs of what is registered."""

    ids: Mapping[str, str]
    hooks: Mapping[str, str]
    sources: tuple[str, ...]
    """Ids of those that events come by."""

    def hook(self, key: str) -> str:
        return self.hooks[key]


def shop() -> Wanted:
    settings = {"accounts": "verified", "shop_domain": drive.SHOP}
    return Wanted("shop", "shopify", settings, {"client_secret": drive.SHOP_SECRET})


def messages() -> Wanted:
    settings = {"business_account": drive.BUSINESS_ACCOUNT, "phone_number_id": drive.OWN_NUMBER["phone_number_id"]}
    return Wanted("whatsapp", "whatsapp", settings, {"app_secret": drive.APP_SECRET, "verify_token": "demo-verify"})


def phone(around: Systems) -> Wanted:
    settings = {"account_sid": drive.ACCOUNT, "base_url": around.phones.url}
    return Wanted("phone", "twilio", settings, {"auth_token": drive.AUTH_TOKEN})


def posted(key: str, channel: str, mapping: Any, orders_of: str = "") -> Wanted:
    """A system that posts JSON of its own. `orders_of`: the shop whose order numbers it quotes."""
    settings: Row = {"channel": channel, "account": "tc"}
    if orders_of:
        settings |= {"own_system": True, "ref_scopes": {"order": orders_of}}
    return Wanted(key, "generic", settings, {"signing_secret": drive.POS_SECRET}, mapping=mapping)


def desk(around: Systems, orders_of: str) -> Wanted:
    settings = {
        "subdomain": "tc",
        "base_url": around.desk.url,
        "agent_email": zendesk.EMAIL,
        "agent_id": str(zendesk.INTEGRATION_USER),
        "order_field": "360001",
        "ref_scopes": {"order": orders_of},
    }
    return Wanted("desk", "zendesk", settings, {"signing_secret": drive.DESK_SECRET, "api_token": zendesk.TOKEN})


def crm(around: Systems) -> Wanted:
    return Wanted("crm", "hubspot", {"base_url": around.crm.url} | UNHURRIED, {"access_token": hubspot.TOKEN})


def feed(around: Systems) -> Wanted:
    """No texts, no names: only what happens to orders, under a pseudonym."""
    wish = {"types": list(FEED_TYPES), "redact": True, "pseudonymous": True}
    return Wanted(
        "partner", "webhook", {"url": f"{around.feed.url}/in"} | UNHURRIED, {"signing_secret": partner.SECRET}, wish
    )


FEED_TYPES = ("order", "fulfilment", "return")


@dataclass
class Registry:
    """The connections of one hub whose names begin with `prefix`."""

    api: Api
    prefix: str
    known: list[Row] = field(default_factory=list)
    made: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known = list(self.api.pages("/v1/connections", "connections"))

    def register(self, wanted: Wanted, sources: tuple[str, ...] = ()) -> str:
        """Its id. `sources`: the only ones that a destination is told of."""
        name, subscription = f"{self.prefix} {wanted.key}", {**wanted.subscription, "sources": list(sources)}
        wish = {"settings": wanted.settings, "subscription": subscription, "mapping": wanted.mapping}
        found = next((each for each in self.known if (each["name"], each["provider"]) == (name, wanted.provider)), None)
        if found is None:
            found = self.api.connect(wanted.provider, name, secrets=wanted.secrets, **wish)
        else:
            found = self._mended(found, wish)
        self.made[wanted.key] = found
        return str(found["id"])

    def _mended(self, found: Row, wish: Row) -> Row:
        path = f"/v1/connections/{found['id']}"
        _must_be_idle(str(found["settings"].get("base_url") or found["settings"].get("url") or ""), wish["settings"])
        if any(not _holds(found[name], value) for name, value in wish.items()):
            found = self.api.call("PATCH", path, json=wish)
        if found["status"] != "active":
            found = self.api.call("POST", f"{path}/resume")
        return found

    def connected(self, sources: tuple[str, ...]) -> Connected:
        ids = {key: str(row["id"]) for key, row in self.made.items()}
        return Connected(ids, {key: str(row["hook_url"] or "") for key, row in self.made.items()}, sources)

    def must_be_ours(self) -> None:
        """Raises DemoFailed where somebody else would be told of made-up customers."""
        told = {each["name"] or each["provider"] for each in self.known if self._tells(each)}
        if told := {name for name in told if not name.startswith(("demo ", "load "))}:
            raise DemoFailed(
                f"The hub at {self.api.url} has destinations of its own ({', '.join(sorted(told))}), which would be told "
                "of made-up customers: stop it and run this again (it then starts one of its own), or give them the "
                "sources that they may hear of (subscription.sources)."
            )

    def _tells(self, row: Row) -> bool:
        """Whether it is a destination that hears of every source."""
        receives = self.api.get(f"/v1/providers/{row['provider']}")["kind"] in ("destination", "both")
        return receives and not row["subscription"].get("sources")


def _holds(found: Any, wanted: Any) -> bool:
    """Whether every wish is fulfilled; what else is there does not matter."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(_holds(found.get(name), value) for name, value in wanted.items())
    return bool(found == wanted) or not (found or wanted)


def _must_be_idle(before: str, wish: Row) -> None:
    """Where stand-ins of another run still answer, that run is not over."""
    base = before.removesuffix("/in")
    if not base.startswith("http://127.0.0.1:") or before in (wish.get("base_url"), wish.get("url")):
        return
    try:
        alive = requests.get(f"{base}/_standin/state", timeout=2).ok
    except requests.RequestException:
        return
    if alive:
        raise DemoFailed("Another demo plays to this hub: wait until it is over, or stop it.")


def for_the_story(api: Api, around: Systems) -> Connected:
    """Seven sources, one of them a destination too, and two more destinations."""
    registry = Registry(api, "demo")
    registry.must_be_ours()
    store = registry.register(shop())
    sources = (
        store,
        registry.register(posted("web", "web", WEB_MAPPING)),
        registry.register(messages()),
        registry.register(phone(around)),
        registry.register(posted("store", "store", [*drive.POS_MAPPING, SURVEY_RULE], store)),
        registry.register(posted("carrier", "post", CARRIER_MAPPING, store)),
    )
    own = registry.register(desk(around, store), sources)
    for each in (crm(around), feed(around)):
        registry.register(each, (*sources, own))
    return registry.connected((*sources, own))


def for_the_load(api: Api, around: Systems) -> Connected:
    """Five sources that need no look-ups, and two destinations."""
    registry = Registry(api, "load")
    registry.must_be_ours()
    store = registry.register(shop())
    sources = (
        store,
        registry.register(messages()),
        registry.register(phone(around)),
        registry.register(posted("store", "store", drive.POS_MAPPING, store)),
        registry.register(posted("carrier", "post", CARRIER_MAPPING, store)),
    )
    for each in (crm(around), feed(around)):
        registry.register(each, sources)
    return registry.connected(sources)
