"""The pictures of the README and the docs: of which page each is, how it is opened, and what can be seen on it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from PIL import Image, ImageChops, ImageStat

from infra.demo import payloads
from infra.demo.api import Api
from infra.demo.connections import Connected, for_the_story
from infra.demo.payloads import Customer
from infra.demo.play import until
from infra.demo.story import Clock, prepare, story
from infra.demo.systems import Systems
from tests import drive
from tests.drive import Sent, eventually

if TYPE_CHECKING:
    from tests.web.browser import Visit

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 120_000
COLOURS = 256
SMALL = 48
"""Pixels a side of what is compared: letters are gone there, blocks and colours are not."""
DAY = 86_400
ENGLISH: Mapping[str, Any] = {"locale": "en-GB"}
NIGHT: Mapping[str, Any] = {"locale": "nl-NL", "color_scheme": "dark"}
CHAT = {
    "id": "m-1",
    "conversation": "ch-1",
    "visitor": "a-71",
    "phone": "06 12345678",
    "at": "2026-09-01T11:05:00+02:00",
    "text": "Is de trui in de winkel ook afgeprijsd?",
}
CHAT_MAPPING = {
    "type": "message",
    "object": "id",
    "occurred_at": "at",
    "text": "text",
    "identities": [
        {"kind": "web", "value": "visitor"},
        {"kind": "phone", "value": "phone", "assurance": "A2"},
    ],
    "refs": [{"kind": "thread", "value": "conversation"}],
}
NAMES = "Noor Visser|Ahmed Yilmaz|Sanne Bakker|Pieter Smit|Fatima El Amrani|Lotte Mulder|Daan de Boer|Eva Hendriks"


def clock() -> Clock:
    """Half past four of the day before, which is over whenever this runs."""
    now = datetime.now(ZoneInfo("Europe/Amsterdam")) - timedelta(days=1)
    return Clock(now.replace(hour=16, minute=30, second=0, microsecond=0))


@dataclass
class Stage:
    """A hub on which the demo's day was played. `back`: the file that sets its clock back. `customer`: Jan."""

    api: Api
    around: Systems
    back: Path
    clock: Clock
    customer: str = ""
    made: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.api.url

    def connection(self, provider: str, name: str, **more: Any) -> dict[str, Any]:
        """Made once."""
        if name not in self.made:
            self.made[name] = self.api.connect(provider, name, **more)
        return self.made[name]

    def key(self, *scopes: str) -> str:
        return str(self.api.call("POST", "/v1/keys", 201, json={"name": scopes[0], "scopes": list(scopes)})["key"])

    def go_back(self, days: int) -> None:
        self.back.write_text(str(days * DAY), "utf-8")

    def idle(self) -> None:
        """Nothing is queued, twice in a row: between two queues a message is in neither."""
        for _ in range(2):
            eventually(lambda: not any(self.api.get("/health")["queues"].values()), 120)


def a_week(stage: Stage, each_day: tuple[int, ...]) -> None:
    """So many customers live through the demo's day on each of the last days, the last of which is today."""
    stage.go_back(len(each_day))
    connected = for_the_story(stage.api, stage.around)
    names, number = NAMES.split("|"), 20_000_000
    for back, customers in zip(range(len(each_day) - 1, -1, -1), each_day, strict=True):
        stage.go_back(back)
        told = Clock(stage.clock.now - timedelta(days=back))
        for _ in range(customers):
            number += 1
            who = Customer(number, names[number % len(names)], score=str(6 + number % 5))
            its_day(stage, connected, who, told, datetime.now().astimezone() - timedelta(days=back))
        stage.idle()
        counted(stage)


def counted(stage: Stage) -> None:
    """The last hour and this one, by the hub's clock: what passes by the hour and by night do otherwise."""
    hour_ago = (datetime.now(UTC) - timedelta(hours=1, seconds=int(stage.back.read_text("utf-8")))).isoformat()
    job = stage.api.call("POST", "/v1/stats/recount", 202, json={"since": hour_ago})["job"]
    eventually(lambda: stage.api.get(f"/v1/jobs/{job}")["status"] == "done", 120)


def its_day(stage: Stage, connected: Connected, who: Customer, told: Clock, now: datetime) -> None:
    """Each webhook once, signed at that moment."""
    prepare(who, told, stage.around)
    for step in story(who, told, connected):
        for sent in {each.body: each for each in step.sends}.values():
            status = signed_at(sent, now).go(stage.api.session)
            assert 200 <= status < 300, (status, step.what)


def signed_at(sent: Sent, now: datetime) -> Sent:
    """The desk's signatures hold for five minutes."""
    if "X-Zendesk-Webhook-Signature" not in sent.headers:
        return sent
    return drive.zendesk_signed(sent.url, json.loads(sent.body), payloads.zulu(now))


@dataclass(frozen=True)
class Picture:
    """`shows`: what must be in it, as selectors; where one of these is gone, it is a picture of another page."""

    name: str
    size: tuple[int, int]
    open: Callable[[Stage, Visit], None]
    shows: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=lambda: ENGLISH)

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.png"

    @property
    def pixels(self) -> tuple[int, int]:
        return self.size


def timeline(stage: Stage, seen: Visit) -> None:
    seen.page.clock.set_fixed_time(stage.clock.now)
    seen.page.goto(stage.api.link(stage.customer))
    seen.page.wait_for_selector("#entries article")


def handover(stage: Stage, seen: Visit) -> None:
    """Of the chat, by an agent."""
    seen.page.clock.set_fixed_time(stage.clock.now)
    stage.api.call("PATCH", "/v1/settings", json={"channels": {"whatsapp": "+31205550001", "email": "chat@example.nl"}})
    seen.page.goto(f"{stage.url}/customers/{stage.customer}")
    seen.page.fill("#key", stage.key("agent"))
    seen.page.keyboard.press("Enter")
    seen.page.locator(".talk").last.locator("[data-focus^='handover.']").click()
    seen.page.wait_for_selector("dialog [data-to=whatsapp] .copyable")


def in_console(stage: Stage, seen: Visit, place: str, shown: str) -> None:
    seen.page.goto(f"{stage.url}/console#t={stage.api.key}")
    seen.page.wait_for_selector(".view h1")
    seen.page.evaluate("(place) => { location.hash = place }", f"#/{place}")
    seen.page.wait_for_selector(shown)


def overview(stage: Stage, seen: Visit) -> None:
    counted(stage)
    until(lambda: all(each["state"] == "in step" for each in stage.api.get("/v1/drift")["destinations"]), 90)
    in_console(stage, seen, "overview", ".columns rect")


def shop(stage: Stage) -> dict[str, Any]:
    secrets = {"client_secret": drive.SHOP_SECRET}
    return stage.connection("shopify", "Shop in Utrecht", settings={"shop_domain": drive.SHOP}, secrets=secrets)


def waiting(stage: Stage, seen: Visit) -> None:
    in_console(stage, seen, f"connections/{shop(stage)['id']}", "[data-first=waiting]")


def receiving(stage: Stage, seen: Visit) -> None:
    """The same page once an order came, without loading it again."""
    made = shop(stage)
    in_console(stage, seen, f"connections/{made['id']}", "[data-first]")
    at = payloads.iso(stage.clock.yesterday(11, 10))
    order = drive.order(61_001, 7_000_061_001, "noor.visser@example.nl", "+31625550101", at)
    assert drive.shopify(made["hook_url"], "orders/create", order, "ev-61001").go() == 200
    seen.page.wait_for_selector("[data-first=here]")
    seen.page.get_by_text("1 accepted").wait_for()


def mapping(stage: Stage, seen: Visit) -> None:
    settings, secrets = {"channel": "webchat", "account": "shop.example.nl"}, {"signing_secret": drive.POS_SECRET}
    made = stage.connection("generic", "Chat of the shop", settings=settings, secrets=secrets)
    assert drive.generic(made["hook_url"], CHAT).go() == 200
    eventually(lambda: stage.api.get("/v1/receipts", connection=made["id"])["receipts"])
    in_console(stage, seen, f"connections/{made['id']}/mapping", "#mapping")
    seen.page.fill("#mapping", json.dumps(CHAT_MAPPING, indent=2))
    seen.page.locator("#mapping").blur()
    seen.page.wait_for_selector(".view [role=status] .pairs")


def deliveries(stage: Stage, seen: Visit) -> None:
    """Of an order which the partner refuses."""
    stage.around.feed.behave("status", status=422, body={"error": "unknown article TN-GROEN-XXL"})
    connected = next(each for each in stage.api.pages("/v1/connections", "connections") if each["name"] == "demo shop")
    order = payloads.order(Customer(20_900_000, "Noor Visser"), datetime.now().astimezone() - timedelta(minutes=3))
    assert drive.shopify(connected["hook_url"], "orders/create", order, "ev-refused").go() == 200
    eventually(lambda: stage.api.get("/v1/deliveries", status="parked")["deliveries"])
    stage.idle()
    in_console(stage, seen, "deliveries", ".table .tag.bad")
    stage.around.feed.behave()


PICTURES = (
    Picture(
        "timeline",
        (1280, 1100),
        timeline,
        (
            "#name:text('Jan de Vries')",
            "#glance:has-text('Satisfaction'):has-text('Store 90')",
            "[data-panel=conversations] .talk",
            "[data-panel=sync] .tag.good",
            "#entries :text('from Store to SMS')",
            "#entries :text('from E-mail to Post')",
        ),
    ),
    Picture(
        "timeline-phone",
        (360, 1165),
        timeline,
        (
            "#name:text('Jan de Vries')",
            "#glance:has-text('Tevredenheid'):has-text('Winkel 90')",
            "[data-panel=sync] .tag.good",
            "#entries article",
        ),
        NIGHT,
    ),
    Picture(
        "overview",
        (1280, 1460),
        overview,
        (
            "h2:text('Volume per channel')",
            ".columns svg rect",
            ".card:has(h2:text('Satisfaction per channel')) .bars li",
            ".card:has(h2:text('Channel switches')) .bars li:has-text('→')",
            ".card:has(h2:text('Deliveries per destination')) .bars li:has-text('demo crm')",
        ),
    ),
    Picture(
        "connection-waiting",
        (1280, 740),
        waiting,
        ("[data-first=waiting] code:text('/hooks/con_')", "[data-standing=waiting]", ".steps li"),
    ),
    Picture(
        "connection-receiving",
        (1280, 540),
        receiving,
        ("[data-first=here]", "[data-standing=receiving]", ".card :text('1 accepted')"),
    ),
    Picture(
        "mapping",
        (1280, 920),
        mapping,
        ("#mapping", "pre:has-text('ook afgeprijsd')", "[role=status] .pairs:has-text('phone:+31612345678')"),
    ),
    Picture(
        "handover",
        (1280, 740),
        handover,
        ("dialog .qr", "dialog [data-channel=whatsapp][aria-pressed=true]", "dialog button:has-text('Copy')"),
    ),
    Picture(
        "handover-nl",
        (1280, 740),
        handover,
        ("dialog .qr", "dialog [data-channel=whatsapp][aria-pressed=true]", "dialog button:has-text('Kopieer')"),
        {"locale": "nl-NL"},
    ),
    Picture(
        "deliveries",
        (1280, 660),
        deliveries,
        (".table .tag.bad", ".table .tag.good", ".table :text('HTTP 422')", "#nav a[aria-current=page]"),
    ),
)


def taken(seen: Visit) -> bytes:
    """What is in the window, without what moves."""
    seen.page.evaluate("document.fonts.ready")
    return seen.page.screenshot(animations="disabled", caret="hide")


def outside(picture: Picture, seen: Visit) -> list[str]:
    """What it must show and does not."""
    width, height = picture.size
    missing = []
    for selector in picture.shows:
        boxes = [each.bounding_box() for each in seen.page.locator(selector).all()]
        inside = [
            box
            for box in boxes
            if box
            and box["x"] >= 0
            and box["x"] < width
            and box["y"] >= 0
            and box["y"] + min(box["height"], 24) <= height
        ]
        if not inside:
            missing.append(selector)
    return missing


def small(raw: bytes) -> bytes:
    """The same picture in as many colours as the eye tells apart, which halves it or more."""
    out = io.BytesIO()
    drawn = Image.open(io.BytesIO(raw)).convert("RGB")
    drawn.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def apart(one: bytes, other: bytes) -> float:
    """How different two pictures are to somebody who squints: 0 to 255."""
    first, second = (
        Image.open(io.BytesIO(raw)).convert("RGB").resize((SMALL, SMALL), Image.Resampling.BOX) for raw in (one, other)
    )
    return math.fsum(ImageStat.Stat(ImageChops.difference(first, second)).mean) / 3
