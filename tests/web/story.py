"""One customer's story for the page: the sweater, from the first chat to the return, told by webhooks.

All of it comes through one generic connection, whose mapping takes each field of an event as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests import drive
from tests.drive import Integrator, eventually
from tests.standins.partner import SECRET, Partner

MAPPING: dict[str, Any] = {
    "type": "type",
    "channel": "channel",
    "direction": "direction",
    "actor": "actor",
    "object": "id",
    "occurred_at": "at",
    "summary": "summary",
    "text": "text",
    "identities": "people",
    "refs": "refs",
    "details": "details",
    "attachments": "files",
    "link": "link",
    "sensitive": "sensitive",
    "fields": {"name": "name"},
}
_numbers = itertools.count(1)


def person(kind: str, value: str, assurance: str = "A2", scope: str = "tc") -> dict[str, str]:
    return {"kind": kind, "value": value, "assurance": assurance, "scope": scope}


def ref(kind: str, value: str) -> dict[str, str]:
    return {"kind": kind, "value": value}


@dataclass
class World:
    """A hub with the shop's own systems, a CRM that takes everything and a partner that may refuse."""

    who: Integrator
    hook: str
    crm: Partner
    partner: Partner

    def tell(self, type_: str, channel: str, at: str, *people: dict[str, str], **more: Any) -> str:
        """One webhook; returns the text of the event, by which it is found again."""
        body = {"type": type_, "channel": channel, "at": at, "people": list(people), "id": f"page-{next(_numbers)}"}
        assert drive.generic(self.hook, body | {"direction": "in", "actor": "customer"} | more).go() == 200
        return str(more.get("text", ""))

    def settled(self, identity: str, entries: int) -> dict[str, Any]:
        def done() -> Any:
            found = self.who.customer(identity)
            return found if found and self.who.told(found["id"]) >= entries else None

        found: dict[str, Any] = eventually(done)
        return found

    def link(self, customer: str, **more: Any) -> str:
        made = self.who.call("POST", "/v1/magic-links", 201, json={"customer": customer, **more})
        return str(made["url"])


@contextmanager
def connected(who: Integrator) -> Iterator[World]:
    with Partner() as crm, Partner() as partner:
        settings = {"own_system": True, "account": "tc"}
        secrets = {"signing_secret": drive.POS_SECRET}
        source = who.connect("generic", "shop", settings=settings, secrets=secrets, mapping=MAPPING)
        for name, standin, types in (("CRM", crm, []), ("Parcel partner", partner, ["order", "fulfilment", "return"])):
            who.connect(
                "webhook",
                name,
                settings={"url": standin.url + "/in"},
                secrets={"signing_secret": SECRET},
                subscription={"types": types},
            )
        yield World(who, source["hook_url"], crm, partner)
        for each in who.get("/v1/connections")["connections"]:
            who.call("DELETE", f"/v1/connections/{each['id']}")


def moment(days: float = 0, **ago: float) -> str:
    """So long ago, in UTC."""
    return (datetime.now(UTC) - timedelta(days=days, **ago)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def sweater(world: World, number: int) -> dict[str, Any]:
    """The whole story of customer `number`; returns the customer once it is on the timeline."""
    mobile, mail = person("phone", f"+3161255{number:04d}"), person("email", f"noor{number}@example.nl")
    visitor, account = person("web", f"a-{number}", "A3"), person("shop", f"9{number}", "A3")
    chat, order, mailed = ref("thread", f"ch-{number}"), ref("order", f"6{number}"), ref("thread", f"ml-{number}")
    shop = "https://shop.example/admin/orders/"
    world.tell("message", "webchat", moment(4, hours=2), visitor, mobile, refs=[chat], name="Noor de Vries", text=(
        "Is de trui in de winkel ook afgeprijsd?"))  # fmt: skip
    world.tell("message", "webchat", moment(4, hours=1.9), refs=[chat], direction="out", actor="agent", text=(
        "Ja, in Utrecht en in Arnhem. Zal ik er een voor u opzij leggen?"))  # fmt: skip
    world.tell("message", "whatsapp", moment(4), mobile, refs=[chat], text="Graag, maat M. Ik kom morgen langs.")
    world.tell("call", "voice", moment(3, hours=4), mobile, refs=[ref("thread", f"CA-{number}")], details={
        "status": "completed", "duration": 243, "recording": "https://phone.example/recordings/77.mp3"})  # fmt: skip
    world.tell("order", "web", moment(3), account, mail, mobile, refs=[order], link=f"{shop}6{number}", details={
        "status": "created", "number": f"#6{number}", "total": "129.90", "currency": "EUR", "items": [
            {"title": "Trui Noors, maat M", "quantity": 1, "price": "89.95"},
            {"title": "Wollen sokken", "quantity": 2, "price": "19.98"}]})  # fmt: skip
    world.tell("fulfilment", "web", moment(2.2), refs=[order], direction="out", actor="system", details={
        "status": "delivered", "carrier": "PostNL", "tracking": "3SABC1234567",
        "tracking_url": "https://parcel.example/3SABC1234567"})  # fmt: skip
    world.tell("email", "email", moment(1.4), mail, refs=[mailed], summary="Te klein", text=(
        "De trui valt kleiner uit dan ik dacht. Kan ik hem in de winkel ruilen voor een L? Zie de foto."),
        files=[{"name": "trui.jpg", "url": "https://mail.example/f/trui.jpg"}])  # fmt: skip
    world.tell("note", "desk", moment(1.2), refs=[mailed], direction="internal", actor="agent", text=(
        "L ligt klaar in Utrecht, tot zaterdag."))  # fmt: skip
    world.tell("return", "store", moment(1), refs=[order], link=f"{shop}6{number}", details={
        "status": "refunded", "store": "Utrecht", "currency": "EUR", "total": "89.95",
        "items": [{"title": "Trui Noors, maat M", "quantity": 1}]})  # fmt: skip
    world.tell("satisfaction", "sms", moment(0.9), mobile, refs=[order], text="Snel geholpen!", details={
        "score": 9, "scale": [0, 10]})  # fmt: skip
    world.tell("message", "whatsapp", moment(minutes=12), mobile, refs=[chat], text=(
        "Hebben jullie de L ook in het groen? Dan kom ik vanmiddag langs."))  # fmt: skip
    return world.settled(f"phone:{mobile['value']}", 11)
