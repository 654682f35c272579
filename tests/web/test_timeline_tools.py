"""What one does on the timeline page: look something up, hand over, decide who is who, and show it in another system."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import zxingcpp
from PIL import Image

from infra.local.hub import Hub
from tests.drive import Integrator, eventually
from tests.web import story
from tests.web.browser import ARGUMENTS, SIZES, Visit, chromium, visit
from tests.web.story import World, moment, person, ref
from tests.web.test_timeline_page import broken_rules, headings, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parent.parent.parent
CRM, ELSEWHERE = "https://crm.example", "https://elsewhere.example"
OURS = {"whatsapp": "+31201112233", "email": "hallo@tc.example"}
HOME = ZoneInfo("Europe/Amsterdam")
TOOLS = "#panels button:not([data-focus^='talk.'])"
"""Whatever a key is needed for that may do more than read."""


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    who = Integrator(hub.url, hub.admin_key)
    before = who.get("/v1/settings")
    who.call("PATCH", "/v1/settings", json={"channels": OURS, "frame_ancestors": [CRM]})
    with story.connected(who) as made:
        yield made
    who.call("PATCH", "/v1/settings", json={name: before[name] for name in ("channels", "frame_ancestors")})


@pytest.fixture(scope="module")
def keys(world: World) -> dict[str, str]:
    def minted(scope: str) -> str:
        asked = {"name": f"page {scope}", "scopes": [scope]}
        return str(world.who.call("POST", "/v1/keys", 201, json=asked)["key"])

    return {scope: minted(scope) for scope in ("read", "agent", "admin")}


@pytest.fixture(scope="module")
def noor(world: World) -> dict[str, Any]:
    return story.sweater(world, 1002)


LONG = "+31612553000"


@pytest.fixture(scope="module")
def long(world: World) -> dict[str, Any]:
    """150 messages, one every five hours. Number 9 names a café, and so does number 140."""
    mobile = person("phone", LONG)
    for number in range(150):
        text = f"bericht {number}" + (" over het CAFÉ" if number in (9, 140) else "")
        channel = "sms" if number % 2 else "whatsapp"
        world.tell("message", channel, moment(hours=5 * (150 - number)), mobile, text=text, details={"agent": "Sanne"})
    return world.settled(f"phone:{LONG}", 150)


@pytest.fixture
def tab(browser: Browser, world: World) -> Iterator[Visit]:
    with visit(browser, world.who.url) as seen:
        yield seen
        assert seen.wrong == []


def signed_in(seen: Visit, world: World, customer: str, key: str) -> Page:
    """As somebody who types a key."""
    seen.page.goto(f"{world.who.url}/customers/{customer}")
    seen.page.fill("#key", key)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#customer:not([hidden])")
    return seen.page


def told(seen: Visit) -> list[str]:
    return seen.texts("#entries .text")


def numbers(seen: Visit) -> list[int]:
    """Of the messages of `long` that are shown, from top to bottom."""
    return [int(text.split()[1]) for text in told(seen)]


def test_a_search_says_what_it_searched_and_goes_on_as_far_as_wanted(
    tab: Visit, world: World, long: dict[str, Any]
) -> None:
    page = opened(tab, world, long["id"]).page
    page.get_by_label("Zoek", exact=True).fill("cafe het")
    eventually(lambda: numbers(tab) == [140], 10)
    assert tab.texts("#entries mark") == ["het", "CAFÉ"], "whatever case and accents"
    assert page.inner_text("#found").startswith(
        "1 regel gevonden. Alleen de 50 geladen regels zijn doorzocht, terug tot "
    )
    page.click("text=Zoek in oudere regels")
    eventually(lambda: numbers(tab) == [140, 9], 10)
    assert page.inner_text("#found") == "2 regels gevonden. Alle 150 regels zijn doorzocht."
    assert page.locator("#found-more button").count() == 0
    page.get_by_label("Zoek", exact=True).fill("")
    eventually(lambda: numbers(tab) == list(range(149, 99, -1)), 10)
    page.click("#more")
    eventually(lambda: numbers(tab) == list(range(149, 49, -1)), 10)
    page.get_by_label("Zoek", exact=True).fill("niets hiervan")
    eventually(lambda: page.inner_text("#found") == "0 regels gevonden. Alle 150 regels zijn doorzocht.", 10)


def test_what_was_found_is_shown_among_its_neighbours(tab: Visit, world: World, long: dict[str, Any]) -> None:
    page = opened(tab, world, long["id"]).page
    page.get_by_label("Zoek", exact=True).fill("bericht 9 café")
    page.click("text=Zoek in alles")
    eventually(lambda: numbers(tab) == [9], 10)
    page.locator("#entries .around").press("Enter")
    eventually(lambda: numbers(tab) == list(range(9, -1, -1)), 10)
    assert "bericht 9" in page.evaluate("document.activeElement.innerText"), "the focus goes along"
    assert page.input_value("#find") == "" and page.is_visible("#jumped")
    page.click("#newer")
    eventually(lambda: numbers(tab)[0] > 9, 10)
    assert numbers(tab) == list(range(numbers(tab)[0], -1, -1))


def local_day(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(HOME).date().isoformat()


def test_a_day_is_gone_to_and_from_there_on_without_gaps(tab: Visit, world: World, long: dict[str, Any]) -> None:
    page = opened(tab, world, long["id"]).page
    entries = world.who.entries(long["id"])
    day = local_day(moment(20))
    until = [int(each["text"].split()[1]) for each in entries if local_day(each["occurred_at"]) <= day]
    page.get_by_label("Ga naar dag").fill(day)
    eventually(lambda: numbers(tab) == until[:50], 10)
    assert page.inner_text("#jumped").startswith(f"Vanaf {int(day[-2:])} ")
    while page.is_visible("#more"):
        shown = len(numbers(tab))
        page.click("#more")
        eventually(lambda shown=shown: len(numbers(tab)) > shown, 10)
    assert numbers(tab) == until and page.is_visible("#end")
    while page.is_visible("#newer"):
        shown = len(numbers(tab))
        page.click("#newer")
        eventually(lambda shown=shown: len(numbers(tab)) > shown or not page.is_visible("#newer"), 10)
        assert numbers(tab) == list(range(numbers(tab)[0], -1, -1)), "nothing is left out on the way"
    assert numbers(tab) == list(range(149, -1, -1))
    assert not page.is_visible("#jumped"), "this is the present again"


def test_a_filter_holds_on_another_day_and_the_newest_is_one_click_away(
    tab: Visit, world: World, long: dict[str, Any]
) -> None:
    page = opened(tab, world, long["id"]).page
    page.get_by_role("group", name="Op kanaal").get_by_role("button", name="Sms").click()
    eventually(lambda: numbers(tab) == list(range(149, 49, -2)), 10)
    page.get_by_label("Ga naar dag").fill(local_day(moment(20)))
    eventually(lambda: (numbers(tab) or [149])[0] < 70, 10)
    assert numbers(tab) == list(range(numbers(tab)[0], 0, -2)), "still only one channel"
    page.get_by_role("button", name="Terug naar het nieuwste").press("Enter")
    eventually(lambda: numbers(tab) == list(range(149, 49, -2)), 10)
    page.get_by_label("Ga naar dag").fill("1995-01-01")
    eventually(lambda: page.is_visible("#empty"), 10)
    assert numbers(tab) == []


SERVED = """
async ({ path, seeds }) => {
  const { History } = await import(new URL(path.replace("timeline.js", "history.js"), location.href));
  sessionStorage.setItem("draad.key", "magic_x");
  const real = window.fetch;
  const random = (seed) => () => ((seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31);
  const wrong = [];
  for (let seed = 1; seed <= seeds; seed++) {
    const next = random(seed);
    const now = Date.now() - 1000;
    // Stretches of nothing, of one a day and of hundreds at one moment.
    const all = [];
    for (let at = now - 400 * 86400000 * next(); at < now && all.length < 1500; ) {
      const many = next() < 0.05 ? Math.floor(next() * 450) : 1;
      for (let n = 0; n < many; n++) all.push({ id: String(all.length).padStart(6, "0"), occurred_at: new Date(at).toISOString(), channel: "sms", type: "message", conversation: null });
      at += next() < 0.5 ? next() * 60000 : next() * 5 * 86400000;
    }
    const key = (each) => `${each.occurred_at}#${each.id}`;
    const sorted = [...all].sort((one, other) => (key(one) < key(other) ? 1 : -1));
    window.fetch = async (url) => {
      const asked = new URL(url).searchParams;
      const before = asked.get("next") ?? asked.get("until") ?? "~";
      const since = asked.get("since") ?? "";
      const found = sorted.filter((each) => key(each) < before && key(each) >= since);
      const page = found.slice(0, Number(asked.get("limit")));
      const body = { entries: page, next: found.length > page.length ? key(page[page.length - 1]) : null };
      return new Response(JSON.stringify(body), { headers: { ETag: String(next()) } });
    };
    const from = sorted[Math.floor(next() * sorted.length)];
    const until = new Date(Date.parse(from.occurred_at) + 1).toISOString();
    const history = new History("x", undefined, until);
    await history.refresh();
    for (let step = 0; history.until && step < 5000; step++) {
      if (next() < 0.3) await history.more();
      if (next() < 0.2) await history.refresh();
      await history.newer();
      const ids = history.entries.map((each) => each.id);
      const top = sorted.findIndex((each) => each.id === ids[0]);
      const expected = sorted.slice(top, top + ids.length).map((each) => each.id);
      if (JSON.stringify(ids) !== JSON.stringify(expected)) { wrong.push([seed, step, "gap"]); break; }
      if (!history.until && top !== 0) wrong.push([seed, step, "short"]);
    }
    while (history.next !== null) await history.more();
    if (history.entries.length !== sorted.length) wrong.push([seed, history.entries.length, sorted.length]);
  }
  window.fetch = real;
  sessionStorage.clear();
  return wrong;
}
"""


def test_no_history_has_a_gap_however_its_entries_lie(tab: Visit, world: World) -> None:
    """The module itself, over made-up histories that are dense, sparse and of one moment."""
    tab.page.goto(f"{world.who.url}/customers/x")
    source = tab.page.get_attribute("script[type=module]", "src")
    assert tab.page.evaluate(SERVED, {"path": source, "seeds": 12}) == []


def hand_over(page: Page, channel: str, name: str) -> None:
    """To this channel, the conversation that began in the chat."""
    page.locator(".talk", has_text="Webchat").get_by_role("button", name="Zet over").first.click()
    page.get_by_role("dialog").get_by_role("button", name=name).click()
    page.wait_for_selector(f"dialog [data-to={channel}] .copyable")


def test_one_click_makes_the_link_to_the_channel_they_prefer(tab: Visit, world: World, keys: dict[str, str]) -> None:
    them = person("phone", "+31612553120")
    for number in (1, 2):
        world.tell(
            "message", "telegram", moment(hours=number + 1), them, text="Hallo", refs=[ref("thread", f"t{number}-3120")]
        )
    world.tell("message", "webchat", moment(hours=1), them, text="Ook hier", refs=[ref("thread", "w-3120")])
    who = world.settled("phone:+31612553120", 3)["id"]
    page = signed_in(tab, world, who, keys["agent"])
    page.locator(".talk", has_text="Webchat").get_by_role("button", name="Zet over").click()
    page.wait_for_selector("dialog [data-to=telegram] .copyable")
    assert page.get_attribute("dialog [data-channel=telegram]", "aria-pressed") == "true"
    assert page.locator("dialog [aria-pressed=true]").count() == 1
    last = page.locator("dialog .chips .chip").last
    assert last.get_attribute("data-channel") == "webchat", "where they are now comes last"


def test_a_conversation_is_handed_over_with_a_link_and_a_code(
    browser: Browser, world: World, noor: dict[str, Any], keys: dict[str, str]
) -> None:
    with visit(browser, world.who.url) as seen:
        seen.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = signed_in(seen, world, noor["id"], keys["agent"])
        hand_over(page, "whatsapp", "WhatsApp")
        link = page.input_value("dialog .copyable input")
        assert link.startswith("https://wa.me/31201112233?text=")
        assert [each.text for each in zxingcpp.read_barcodes(Image.open(io.BytesIO(page.screenshot())))] == [link]
        assert page.get_attribute("dialog .qr", "aria-label") == "QR-code van de link naar WhatsApp"
        page.get_by_role("button", name="Kopieer").click()
        page.wait_for_selector("text=Gekopieerd")
        assert page.evaluate("navigator.clipboard.readText()") == link
        assert page.get_attribute("dialog a", "href") == link
        token = link.partition("text=")[2]
        world.tell("message", "whatsapp", moment(), person("whatsapp", "NL.1002", "A2", "wa"), text=_unquoted(token),
            refs=[ref("thread", "wa-1002")])  # fmt: skip
        page.keyboard.press("Escape")
        eventually(lambda: len(headings(seen)) == 12, 30)
        assert len({seen.texts("#entries .thread")[at] for at in (0, 1)}) == 1, "it goes on in the same conversation"
        assert seen.wrong == []


def _unquoted(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text)


def test_a_channel_without_an_address_gives_a_text_and_no_code(
    tab: Visit, world: World, noor: dict[str, Any], keys: dict[str, str]
) -> None:
    page = signed_in(tab, world, noor["id"], keys["agent"])
    hand_over(page, "sms", "Sms")
    assert "[H:" in page.input_value("dialog .copyable input")
    assert page.locator("dialog .qr").count() == 0 and "geen eigen adres" in page.inner_text("dialog .made")
    page.get_by_role("dialog").get_by_role("button", name="E-mail").click()
    page.wait_for_selector("dialog [data-to=email] .qr")
    assert page.input_value("dialog .copyable input").startswith("mailto:hallo@tc.example?")
    assert page.locator("dialog a").count() == 0, "only web addresses become links"


def pair_of(world: World, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Somebody who typed a mail address, and whose it is."""
    visitor, mail = person("web", f"p-{number}", "A2"), f"pair{number}@example.nl"
    world.tell("message", "webchat", moment(1), visitor, person("email", mail, "A1"), text="Hallo")
    world.tell("email", "email", moment(2), person("email", mail), text="Beste winkel")
    one, other = world.settled(f"web:tc/p-{number}", 1), world.settled(f"email:{mail}", 1)
    eventually(lambda: world.who.get(f"/v1/customers/{one['id']}")["candidates"])
    return one, other


def decide(page: Page, name: str, why: str) -> str:
    """Clicks it, reads what would come of it, gives a reason and confirms."""
    page.get_by_role("button", name=name, exact=True).first.click()
    page.wait_for_selector("dialog .parts")
    outcome = page.inner_text("dialog .outcome")
    page.get_by_label("Waarom?").fill(why)
    page.locator("dialog button[type=submit]").click()
    page.wait_for_selector("dialog", state="detached")
    return outcome


def test_a_candidate_is_accepted_and_taken_back(tab: Visit, world: World, keys: dict[str, str]) -> None:
    one, other = pair_of(world, 3101)
    page = signed_in(tab, world, one["id"], keys["agent"])
    sent: list[tuple[str, str]] = []
    page.on(
        "request", lambda asked: asked.method != "GET" and sent.append((asked.method, asked.url.partition("/v1/")[2]))
    )
    outcome = decide(page, "Dezelfde persoon", "aan de telefoon gevraagd").split("\n")
    assert sent == [("POST", "links?dry_run=true"), ("POST", "links")], "shown before it was done"
    assert outcome[0] == "Nu" and "Straks" in outcome
    assert {"web:tc/p-3101", "email:pair3101@example.nl"} <= set(outcome[outcome.index("Straks") :])
    eventually(lambda: told(tab) == ["Hallo", "Beste winkel"], 10)
    assert page.inner_text("#decided").startswith("Samengevoegd: ")
    (line,) = [
        each for each in world.who.get(f"/v1/customers/{one['id']}/audit")["entries"] if each["action"] == "link"
    ]
    assert line["reason"] == "aan de telefoon gevraagd"
    page.reload()
    page.wait_for_selector("#panels [data-panel=decisions]")
    page.locator("#panels [data-panel=decisions]").get_by_role("button", name="Draai terug").click()
    page.wait_for_selector("dialog .parts")
    page.get_by_role("button", name="Draai het terug").click()
    eventually(lambda: told(tab) == ["Hallo"], 10)
    assert world.who.get(f"/v1/customers/{other['id']}")["id"] == other["id"]
    assert "pair3101@example.nl" in page.inner_text("#panels [data-panel=candidates]"), "he is a candidate again"


def test_two_are_kept_apart_and_it_is_taken_back(tab: Visit, world: World, keys: dict[str, str]) -> None:
    one, _ = pair_of(world, 3102)
    page = signed_in(tab, world, one["id"], keys["agent"])
    outcome = decide(page, "Niet dezelfde", "is haar broer")
    assert "worden niet meer voorgesteld" in outcome
    page.wait_for_selector("#panels [data-panel=candidates]", state="detached")
    assert world.who.get(f"/v1/customers/{one['id']}")["candidates"] == []
    page.locator("#decided").get_by_role("button").click()
    page.wait_for_selector("dialog .outcome p:not(.soft)")
    page.get_by_role("button", name="Draai het terug").click()
    page.wait_for_selector("#panels [data-panel=candidates]")
    assert not page.is_visible("#decided")


def test_an_identity_that_is_not_theirs_is_taken_away(tab: Visit, world: World, keys: dict[str, str]) -> None:
    mail, mobile = person("email", "part3103@example.nl"), person("phone", "+31612553103")
    world.tell("order", "web", moment(2), person("shop", "3103", "A3"), mail, details={"number": "3103"})
    world.settled("shop:tc/3103", 1)  # so that he is the elder of the two who come apart, whose page this is
    world.tell("order", "web", moment(3), person("shop", "3103", "A3"), mobile, details={"number": "3104"})
    world.tell("message", "sms", moment(1), mobile, text="Hallo")
    customer = world.settled("shop:tc/3103", 3)
    page = signed_in(tab, world, customer["id"], keys["agent"])
    page.get_by_role("button", name="Niet van deze klant: phone:+31612553103").click()
    page.locator("dialog select").select_option("shop:tc/3103")
    page.wait_for_selector("dialog .parts")
    eventually(lambda: page.locator("dialog .outcome h3").count() == 2, 10)
    page.get_by_label("Waarom?").fill("verkeerd ingetikt")
    page.get_by_role("button", name="Houd ze uit elkaar").click()
    eventually(lambda: "Sms · Bericht" not in headings(tab), 30)
    assert world.who.customer("phone:+31612553103") != world.who.customer("shop:tc/3103")
    page.locator("#decided").get_by_role("button").click()
    page.wait_for_selector("dialog .parts")
    page.get_by_role("button", name="Draai het terug").click()
    eventually(lambda: "Sms · Bericht" in headings(tab), 10)


def conflict(world: World, number: int) -> dict[str, Any]:
    """Two accounts at one shop, whom an agent called one person."""
    for account in (f"{number}1", f"{number}2"):
        world.tell("order", "web", moment(2), person("shop", account, "A3"), details={"number": account})
    customer = world.settled(f"shop:tc/{number}1", 1)
    world.settled(f"shop:tc/{number}2", 1)
    pair = {"a": f"shop:tc/{number}1", "b": f"shop:tc/{number}2", "reason": "said so"}
    world.who.call("POST", "/v1/links", 201, json=pair)
    return customer


def test_a_conflict_is_for_an_admin_to_force(browser: Browser, world: World, keys: dict[str, str]) -> None:
    customer = conflict(world, 3104)
    with visit(browser, world.who.url) as seen:
        page = signed_in(seen, world, customer["id"], keys["agent"])
        page.locator("[data-panel=conflicts]").get_by_role("button", name="Dezelfde persoon").click()
        page.wait_for_selector("dialog .parts")
        assert "Samenvoegen zou niets veranderen." in page.inner_text("dialog .outcome")
        assert "twee accounts van één soort" in page.inner_text("dialog .outcome")
        assert page.is_disabled("dialog button[type=submit]") and not page.is_visible("dialog .check")
        page.keyboard.press("Escape")
        page.click("#sign-out")
        signed_in(seen, world, customer["id"], keys["admin"])
        page.locator("[data-panel=conflicts]").get_by_role("button", name="Dezelfde persoon").click()
        page.get_by_label("Voeg ze toch samen: ik weet het zeker").check()
        eventually(lambda: page.is_enabled("dialog button[type=submit]"), 10)
        page.get_by_label("Waarom?").fill("twee accounts, één klant")
        page.locator("dialog button[type=submit]").click()
        eventually(lambda: len(headings(seen)) == 2, 10)
        assert page.locator("[data-panel=conflicts]").count() == 0
        assert seen.wrong == []


def test_what_the_hub_refuses_is_said_and_changes_nothing(browser: Browser, world: World, keys: dict[str, str]) -> None:
    one, _ = pair_of(world, 3105)
    with visit(browser, world.who.url) as seen:
        page = signed_in(seen, world, one["id"], keys["agent"])
        page.get_by_role("button", name="Dezelfde persoon").first.click()
        page.wait_for_selector("dialog .parts")
        page.get_by_role("button", name="Voeg samen").click()
        assert page.is_visible("dialog"), "a reason is asked for"
        page.get_by_label("Waarom?").fill("   ")
        page.get_by_role("button", name="Voeg samen").click()
        page.wait_for_selector("dialog [role=alert]:has-text('De hub weigerde: zeg waarom, in hooguit 500 tekens')")
        page.get_by_role("button", name="Annuleren").click()
        assert world.who.get(f"/v1/customers/{one['id']}")["decisions"] == []


def test_a_magic_link_and_a_reading_key_show_none_of_these(
    browser: Browser, world: World, keys: dict[str, str]
) -> None:
    customer = conflict(world, 3106)
    one, _ = pair_of(world, 3107)
    for shown in (customer, one):
        with visit(browser, world.who.url) as seen:
            asked: list[str] = []
            seen.page.on("request", lambda sent, asked=asked: asked.append(sent.url))
            opened(seen, world, shown["id"])
            assert seen.page.locator(TOOLS).count() == 0
            assert not [url for url in asked if url.endswith(("/v1/me", "decide.js", "handover.js"))]
            seen.page.click("#sign-out")
            page = signed_in(seen, world, shown["id"], keys["read"])
            assert page.locator(TOOLS).count() == 0 and page.locator("[data-panel=decisions]").count() == 0
            page.click("#sign-out")
            signed_in(seen, world, shown["id"], keys["agent"])
            eventually(lambda page=page: page.locator(TOOLS).count() > 0, 10)
            assert seen.wrong == []


def test_channel_switches_are_drawn_on_one_thread(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    rows = tab.page.locator("#entries li.row", has_text="Webchat, ")
    moved = [row.locator(".switch").inner_text() for row in rows.all() if row.locator(".switch").count()]
    assert "van Webchat naar WhatsApp" in [text.replace("→", "").strip() for text in moved]
    over = tab.page.locator(".talk", has_text="Webchat, ").locator(".over .unseen").first.text_content()
    assert over == "Webchat, WhatsApp"


def framed(page: Page, origin: str, address: str) -> None:
    """Another system's page, with the hub's in a frame."""
    html = f'<!doctype html><title>CRM</title><iframe title="Draad" width="420" height="700" src="{address}"></iframe>'
    page.route(f"{origin}/**", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{origin}/contact")


@pytest.fixture(scope="module")
def outside(browser: Browser) -> Iterator[Browser]:
    """A page of the internet may not simply ask this machine: here the hub stands where a public one would."""
    free = [*ARGUMENTS, "--disable-features=LocalNetworkAccessChecks"]
    running = browser.browser_type.launch(executable_path=chromium(), args=free)
    yield running
    running.close()


def embedded(world: World, customer: str, **more: Any) -> str:
    made = world.who.call("POST", "/v1/magic-links", 201, json={"customer": customer, **more})
    return str(made["embed_url"])


FORBIDS = """
for (const name of ["sessionStorage", "localStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
"""
"""As a browser does in a frame of others when it is set to block what they keep."""


@pytest.mark.parametrize("blocked", [False, True], ids=["storage", "no storage"])
def test_the_page_stands_in_the_frame_of_a_system_that_the_settings_name(
    outside: Browser, world: World, noor: dict[str, Any], blocked: bool
) -> None:
    with visit(outside, world.who.url) as seen:
        if blocked:
            seen.context.add_init_script(FORBIDS)
        framed(seen.page, CRM, embedded(world, noor["id"]))
        inside = seen.page.frame_locator("iframe")
        inside.locator("#entries article").first.wait_for()
        assert inside.locator("#name").inner_text() == "Noor de Vries"
        assert seen.page.frames[1].url == f"{world.who.url}/embed/customers/{noor['id']}", "without the token"
        before = inside.locator("#entries article").count()
        world.tell("message", "whatsapp", moment(), person("phone", "+31612551002"), text=f"In beeld? {blocked}")
        inside.locator(f"text=In beeld? {blocked} >> nth=0").wait_for(timeout=30_000)
        assert inside.locator("#entries article").count() == before + 1, "it asks on, whatever the browser keeps"
        assert seen.page.frames[1].evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not inside.locator("#sign-out").is_visible() and inside.locator(TOOLS).count() == 0
        assert [each for each in seen.wrong if CRM not in each] == []


def test_another_systems_frame_stays_empty(outside: Browser, world: World, noor: dict[str, Any]) -> None:
    for origin, address in ((ELSEWHERE, embedded(world, noor["id"])), (CRM, world.link(noor["id"]))):
        with visit(outside, world.who.url) as seen:
            framed(seen.page, origin, address)
            eventually(lambda seen=seen: refused(seen), 20)
            assert seen.page.frame_locator("iframe").locator("#name").count() == 0


def refused(seen: Visit) -> bool:
    """The browser says why, and shows nothing."""
    seen.page.wait_for_timeout(50)
    said = any("frame-ancestors" in each for each in seen.wrong)
    return said and seen.page.frames[1].url == "chrome-error://chromewebdata/"


def test_a_key_is_never_typed_into_a_frame_nor_taken_from_elsewhere(
    outside: Browser, world: World, noor: dict[str, Any], keys: dict[str, str]
) -> None:
    with visit(outside, world.who.url) as seen:
        page = signed_in(seen, world, noor["id"], keys["agent"])
        for token in ("", f"#t={keys['agent']}", "#t=magic_wrong"):
            page.goto("about:blank")
            page.goto(f"{world.who.url}/embed/customers/{noor['id']}{token}")
            page.wait_for_selector("#notice:not([hidden])")
            assert page.inner_text("#notice-title") == "Deze weergave is verlopen"
            assert not page.is_visible("#key") and not page.is_visible("#notice-key")
            assert "#" not in page.url and "Noor" not in page.content()


def dialogs(page: Page) -> dict[str, Callable[[], Any]]:
    """Each with what opens it to the full."""

    def handed() -> None:
        page.locator("[data-focus^='handover.']").first.click()
        page.locator("dialog [data-channel=whatsapp]").click()
        page.wait_for_selector("dialog [data-to=whatsapp] .copyable")

    def asked(name: str) -> Callable[[], None]:
        def ask() -> None:
            page.locator(f"[data-focus^='{name}.']").first.click()
            page.wait_for_selector("dialog .outcome p:not(.soft), dialog .parts")

        return ask

    return {"handover": handed, **{name: asked(name) for name in ("link", "cut", "part", "undo")}}


@pytest.fixture(scope="module")
def busy(world: World) -> dict[str, Any]:
    """Somebody with all there is: a candidate, a decision, a conversation."""
    one, _ = pair_of(world, 3108)
    mobile = person("phone", "+31612553108")
    world.tell("message", "webchat", moment(hours=3), person("web", "p-3108", "A2"), mobile, text="Nog iets",
        refs=[ref("thread", "busy-3108")])  # fmt: skip
    world.settled("phone:+31612553108", 2)
    pair = {"a": "phone:+31612553108", "b": "email:nobody3108@example.nl", "reason": "test"}
    world.who.call("POST", "/v1/cuts", 201, json=pair)
    return one


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_everybody_can_use_the_dialogs(
    browser: Browser, world: World, keys: dict[str, str], busy: dict[str, Any], size: str, scheme: Any
) -> None:
    locale = {"desk": "nl-NL", "phone": "en-GB"}[size]
    with visit(browser, world.who.url, size, color_scheme=scheme, locale=locale) as seen:
        page = signed_in(seen, world, busy["id"], keys["admin"])
        page.wait_for_selector("[data-panel=decisions]")
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true;")
        assert broken_rules(seen) == []
        for name, ask in dialogs(page).items():
            ask()
            assert broken_rules(seen) == [], name
            box = page.locator("dialog").bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= SIZES[size][0] and seen.wide() == 0
            assert page.evaluate("document.activeElement.closest('dialog') !== null"), "the focus is inside"
            page.keyboard.press("Escape")
            page.wait_for_selector("dialog", state="detached")
            back = page.evaluate("document.activeElement.dataset.focus ?? ''")
            assert back.startswith(name), "and goes back to where it was"
        page.fill("#find", "iets")
        page.fill("#jump", local_day(moment()))
        page.wait_for_selector("#jumped:visible")
        assert broken_rules(seen) == [] and seen.wide() == 0
        assert seen.wrong == []


def test_a_handover_needs_no_mouse(tab: Visit, world: World, noor: dict[str, Any], keys: dict[str, str]) -> None:
    page = signed_in(tab, world, noor["id"], keys["agent"])
    page.locator("[data-focus^='handover.']").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    for _ in range(20):
        if page.evaluate("document.activeElement.dataset.channel") == "whatsapp":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_selector("dialog [data-to=whatsapp] .qr")
    assert page.get_attribute("dialog .made", "role") == "status"


def test_the_focus_stays_in_a_panel_that_is_drawn_anew(
    tab: Visit, world: World, busy: dict[str, Any], keys: dict[str, str]
) -> None:
    page = signed_in(tab, world, busy["id"], keys["agent"])
    page.locator("[data-focus^='part.']").first.focus()
    held = page.evaluate("document.activeElement.dataset.focus")
    before = len(headings(tab))
    world.tell("message", "webchat", moment(), person("web", "p-3108", "A2"), text="En dan nog dit")
    eventually(lambda: len(headings(tab)) == before + 1, 30)
    assert page.evaluate("document.activeElement.dataset.focus") == held


def test_a_sign_out_closes_what_is_open(tab: Visit, world: World, busy: dict[str, Any], keys: dict[str, str]) -> None:
    page = signed_in(tab, world, busy["id"], keys["agent"])
    page.locator("[data-focus^='link.']").first.click()
    page.wait_for_selector("dialog .parts")
    page.evaluate("document.getElementById('sign-out').click()")
    page.wait_for_selector("#sign-in:not([hidden])")
    assert page.locator("dialog").count() == 0 and "3108" not in page.evaluate("document.body.innerText")


FILLED = """
import sys
from chalicelib.context import graph
from chalicelib.model import instants
from chalicelib.model.event import Event, Ref
from chalicelib.store import events
from chalicelib.store.table import DynamoTable
node, connection, many = graph.node_of(sys.argv[1].removeprefix("cus_")), sys.argv[2], int(sys.argv[3])
now, table, batch = instants.now_ms(), DynamoTable(), []
for number in range(many):
    at = instants.from_ms(now - (number + 1) * 3_600_000)
    made = Event(type="message", channel=("sms", "whatsapp", "webchat")[number % 3], object=f"large-{number}", id=f"large{number:06d}",
        occurred_at=at, text=f"bericht {number}, " + "een regel zoals klanten die schrijven. " * (number % 5),
        refs=(Ref("thread", f"large-{number // 7}", connection),), connection=connection, source="generic")
    batch.append(events.item_at(f"N#{node}", made, ""))
for start in range(0, many, 25):
    table.batch_put(batch[start:start + 25])
"""


def metrics(session: Any) -> dict[str, float]:
    """Seconds of the page's own thread since it was opened."""
    found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return {name: found[name] for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration")}


@pytest.mark.nightly
def test_ten_thousand_entries_are_shown_at_once(hub: Hub, browser: Browser) -> None:
    """The first view of a long history costs what fifty entries cost; so does the way to its other end."""
    many = 10_000
    with story.connected(Integrator(hub.url, hub.admin_key)) as world:
        world.tell("message", "sms", moment(), person("phone", "+31612559999"), text="Hallo")
        customer = world.settled("phone:+31612559999", 1)
        source = world.hook.rpartition("/")[2]
        command = [sys.executable, "-c", FILLED, customer["id"], source, str(many)]
        subprocess.run(command, cwd=ROOT, env=dict(os.environ) | hub.env, check=True)
        with visit(browser, hub.url) as seen:
            session = seen.context.new_cdp_session(seen.page)
            session.send("Performance.enable")
            seen.page.goto(world.link(customer["id"]))
            seen.page.wait_for_selector("#entries article >> nth=49")
            first = metrics(session)
            seen.page.fill("#find", f"bericht {many - 1},")
            seen.page.click("text=Zoek in alles")
            seen.page.wait_for_selector(f"#found:has-text('{many + 1:,}')".replace(",", "."), timeout=300_000)
            print(json.dumps({"first view": first, "all searched": metrics(session)}))
            (only,) = told(seen)
            assert only.startswith(f"bericht {many - 1},")
            day = (datetime.now(UTC) - timedelta(hours=many - 100)).astimezone(HOME).date().isoformat()
            seen.page.fill("#find", "")
            seen.page.fill("#jump", day)
            newest = seen.page.locator("#entries article time").first
            eventually(lambda: local_day(newest.get_attribute("datetime", timeout=30_000) or "") == day, 30)
            assert seen.wrong == []
    assert first["ScriptDuration"] < 1.0, "the first view"
