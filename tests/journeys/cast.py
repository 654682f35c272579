"""The organisation of the journeys: its connections, the systems around it, and what a journey is.

A journey is played for a customer number, so that many of its permutations can run at once without
meeting: numbers, addresses and ids are all made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests import drive
from tests.drive import Integrator, Sent
from tests.standins.hubspot import TOKEN, HubSpot
from tests.standins.partner import SECRET, Partner
from tests.standins.twilio import Twilio
from tests.standins.zendesk import EMAIL, INTEGRATION_USER, Zendesk
from tests.standins.zendesk import TOKEN as DESK_TOKEN

WEB: dict[str, Any] = {
    "type": "visit",
    "channel": "web",
    "object": "id",
    "version": "'1'",
    "occurred_at": "timestamp",
    "identities": [{"kind": "web", "scope": "'tc'", "value": "anonymousId"}],
    "details": {"path": "properties.path"},
}
ORDER, RECEIPT = {"kind": "order", "value": "order_ref"}, {"kind": "receipt", "value": "receipt"}
POS: list[dict[str, Any]] = [
    {
        "when": "event == 'return.created'",
        "type": "return",
        "channel": "store",
        "object": "receipt",
        "version": "'created'",
        "occurred_at": "at",
        "refs": [RECEIPT, ORDER],
        "details": {"status": "'created'", "store": "store"},
    },
    {
        "when": "event == 'order.picked_up'",
        "type": "fulfilment",
        "channel": "store",
        "object": "order_ref",
        "version": "'picked_up'",
        "occurred_at": "at",
        "refs": [ORDER],
        "details": {"status": "'picked_up'"},
    },
    {
        "when": "event == 'purchase.created'",
        "type": "payment",
        "channel": "store",
        "object": "receipt",
        "version": "'1'",
        "occurred_at": "at",
        "identities": [
            {"kind": "loyalty", "scope": "'tc'", "value": "loyalty", "assurance": "A2"},
            {"kind": "shop", "scope": "'tc'", "value": "customer", "assurance": "A2"},
        ],
        "refs": [RECEIPT],
    },
    {
        "when": "event == 'survey.sent'",
        "type": "satisfaction",
        "channel": "sms",
        "direction": "out",
        "actor": "system",
        "object": "survey",
        "version": "'sent'",
        "occurred_at": "at",
        "identities": [{"kind": "phone", "value": "to", "assurance": "A2"}],
        "address": "to",
        "refs": [{"kind": "survey", "value": "survey"}, RECEIPT, ORDER],
        "details": {"scale": "scale"},
    },
]


@dataclass
class Cast:
    """`hooks`: connection name → hook URL; `ids`: → id."""

    who: Integrator
    crm: HubSpot
    partner: Partner
    vendor: Twilio
    desk: Zendesk
    hooks: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, provider: str, **rest: Any) -> None:
        made = self.who.connect(provider, name, **rest)
        self.ids[name], self.hooks[name] = made["id"], made.get("hook_url", "")

    def generic(self, name: str, mapping: Any, **settings: Any) -> None:
        secrets = {"signing_secret": drive.POS_SECRET}
        self.add(name, "generic", settings=settings, secrets=secrets, mapping=mapping)

    def token(self, thread: str, channel: str) -> str:
        asked = {"connection": self.ids["chat"], "thread": thread, "channel": channel}
        made: str = self.who.call("POST", "/v1/handovers", 201, json=asked)["token"]
        return made


@contextmanager
def assembled(who: Integrator) -> Iterator[Cast]:
    with HubSpot() as crm, Partner() as partner, Twilio() as vendor, Zendesk.of_a_hub() as desk:
        cast = Cast(who, crm, partner, vendor, desk)
        cast.add("shop", "shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})
        orders = {"order": cast.ids["shop"]}
        cast.generic("web", WEB)
        cast.generic("chat", drive.CHAT_MAPPING)
        cast.generic("pos", POS, channel="store", own_system=True, ref_scopes=orders)
        cast.add(
            "voice",
            "twilio",
            settings={"base_url": vendor.url, "ref_scopes": orders},
            secrets={"auth_token": drive.AUTH_TOKEN},
        )
        cast.add("whatsapp", "whatsapp", secrets={"app_secret": drive.APP_SECRET, "verify_token": "v"})
        cast.add(
            "mail",
            "postmark",
            settings={**drive.MAIL_SETTINGS, "order_pattern": "(\\d{4,9})", "ref_scopes": orders},
            secrets={"password": drive.MAIL_PASSWORD},
        )
        cast.add(
            "desk",
            "zendesk",
            settings={
                "subdomain": "tc",
                "base_url": desk.url,
                "agent_email": EMAIL,
                "agent_id": str(INTEGRATION_USER),
                "order_field": "360001",
                "ref_scopes": {"thread": cast.ids["chat"], **orders},
            },
            secrets={"signing_secret": drive.DESK_SECRET, "api_token": DESK_TOKEN},
            subscription={"types": ["loyalty"]},
        )
        cast.add("crm", "hubspot", settings={"base_url": crm.url, "rate_limit": 100}, secrets={"access_token": TOKEN})
        cast.add(
            "partner",
            "webhook",
            settings={"url": partner.url + "/in"},
            secrets={"signing_secret": SECRET},
            subscription={"types": ["order", "fulfilment", "return"], "redact": True, "pseudonymous": True},
        )
        yield cast
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


@dataclass(frozen=True)
class Journey:
    """`works(cast, number)`: its webhooks in order. `settled`: whether all of it has arrived; `check`:
    fails where people would see something else."""

    name: str
    works: Callable[[Cast, int], Sequence[Sent]]
    settled: Callable[[Cast, int], bool]
    check: Callable[[Cast, int], None]


def whatsapp_text(cast: Cast, user: str, phone: str, name: str, at: int, text: str) -> Sent:
    digits = phone.lstrip("+")
    contact = {"profile": {"name": "Jan"}, "wa_id": digits, "user_id": user}
    message = {"from": digits, "id": name, "timestamp": str(at), "type": "text", "text": {"body": text}}
    return drive.whatsapp_cloud(cast.hooks["whatsapp"], {"contacts": [contact], "messages": [message]})


def sms(cast: Cast, sid: str, phone: str, at: str, text: str) -> Sent:
    cast.vendor.message(sid, at, body=text)
    more = {"To": "+31201112233", "NumMedia": "0", "NumSegments": "1", "SmsStatus": "received"}
    return drive.twilio(cast.hooks["voice"], MessageSid=sid, SmsMessageSid=sid, From=phone, Body=text, **more)


def sms_sent(cast: Cast, sid: str, phone: str, at: str, text: str) -> Sent:
    cast.vendor.message(sid, at, body=text)
    ours = {"From": "+31201112233", "MessageStatus": "delivered", "SmsStatus": "delivered"}
    return drive.twilio(cast.hooks["voice"], MessageSid=sid, SmsSid=sid, To=phone, **ours)


def groups(entries: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Moments of the entries of each conversation, in order of time."""
    found: dict[str, list[str]] = {}
    for each in reversed(entries):
        found.setdefault(each["conversation"], []).append(each["occurred_at"][5:16])
    return sorted(found.values())
