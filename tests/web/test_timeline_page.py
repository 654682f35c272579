"""The timeline page in a real browser on a running hub: what an agent sees, and what goes wrong without a sound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.local.hub import Hub
from tests.drive import Integrator, eventually
from tests.web import story
from tests.web.browser import SIZES, Visit, visit
from tests.web.story import World, moment, person, ref

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.embedded

HERE = Path(__file__).parent
AXE = (HERE / "axe.min.js").read_text("utf-8")
SEVERE = ("serious", "critical")
HOSTILE = [
    "<img src=x onerror=\"document.title='taken'\">",
    "<script>document.title='taken'</script><b>bold</b>",
    "javascript:alert(1)",
    "\u202egnp.exe\u202c \u05e9\u05dc\u05d5\u05dd abc \u0645\u0631\u062d\u0628\u0627",
    "W" * 400,
    "line one\nline two\n\n  indented",
    "&lt;b&gt; &amp; {n} ${poll} {{x}}",
    "\u0000\u0007 a\u0301\u0302\u0303\u0304\u0305\u0306 z" + "\u0300" * 60,
]


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    with story.connected(Integrator(hub.url, hub.admin_key)) as made:
        yield made


@pytest.fixture(scope="module")
def noor(world: World) -> dict[str, Any]:
    """The sweater's customer. The partner refuses what it is told, the CRM takes it."""
    world.partner.behave("status", status=422)
    customer = story.sweater(world, 1001)
    eventually(lambda: states(world, customer["id"]) == {"CRM": "in step", "Parcel partner": "parked"})
    return customer


def states(world: World, customer: str) -> dict[str, str]:
    return {each["name"]: each["state"] for each in world.who.get(f"/v1/customers/{customer}/sync")["destinations"]}


def opened(seen: Visit, world: World, customer: str) -> Visit:
    seen.page.goto(world.link(customer))
    seen.page.wait_for_selector("#customer:not([hidden])")
    return seen


@pytest.fixture
def tab(browser: Browser, world: World) -> Iterator[Visit]:
    """A tab in which nothing may go wrong."""
    with visit(browser, world.who.url) as seen:
        yield seen
        assert seen.wrong == []


def headings(seen: Visit) -> list[str]:
    return seen.texts("#entries h4")


def test_a_magic_link_opens_the_page_and_leaves_the_address(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    assert tab.page.url == f"{world.who.url}/customers/{noor['id']}"
    assert tab.page.evaluate("history.length") == 2, (
        "the blank page and this one: the token is not behind a back button"
    )
    assert tab.page.title() == "Noor de Vries – Draad"
    assert tab.texts("h1:visible") == ["Noor de Vries"]
    tab.page.reload()
    tab.page.wait_for_selector("#entries article")


def test_the_whole_story_newest_first(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    assert headings(tab) == [
        "WhatsApp · Bericht",
        "Sms · Beoordeling",
        "Winkel · Retour · terugbetaald",
        "Servicedesk · Notitie",
        "E-mail",
        "Webwinkel · Zending · bezorgd",
        "Webwinkel · Bestelling #61001 · aangemaakt",
        "Telefoon · Gesprek · beëindigd",
        "WhatsApp · Bericht",
        "Webchat · Bericht",
        "Webchat · Bericht",
    ]
    times = [each.get_attribute("datetime") for each in tab.page.locator("#entries article time").all()]
    assert times == [entry["occurred_at"] for entry in world.who.entries(noor["id"])]
    shown = tab.page.inner_text("#entries")
    for said in (
        "4 min 03 s",
        "€\xa0129,90",
        "2 × Wollen sokken",
        "PostNL 3SABC1234567",
        "9 op een schaal van 0 tot 10",
    ):
        assert said in shown, said
    assert "Uitgaand, door een medewerker" in shown and "Intern, door een medewerker" in shown
    assert "Te klein" in shown, "the subject of a mail says more than its text"
    assert tab.texts("#end") == ["Hier begon het."]


def test_times_are_the_viewers(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    clocks = {}
    for zone in ("Europe/Amsterdam", "Asia/Tokyo", "America/New_York"):
        with visit(browser, world.who.url, timezone_id=zone) as seen:
            opened(seen, world, noor["id"])
            clocks[zone] = seen.texts("#entries article time")[-1]
            assert zone in seen.page.inner_text("#zone")
            assert seen.wrong == []
    assert len(set(clocks.values())) == 3


def test_what_the_policy_forbids_is_stopped_and_seen(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    """The collector itself: each of these would fail every test here."""
    tries = {
        "document.body.setAttribute('style', 'color: red')": "style-src",
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.2/x.png'}))": "img-src",
        "fetch('http://127.0.0.2/').catch(() => 0)": "connect-src",
        "try { document.body.innerHTML = '<b>x</b>'; } catch { 0 }": "require-trusted-types-for",
        "console.error('wrong')": "wrong",
        "setTimeout(() => { throw new Error('thrown'); })": "thrown",
    }
    with visit(browser, world.who.url) as seen:
        opened(seen, world, noor["id"])
        for code, said in tries.items():
            assert seen.wrong == []
            seen.page.evaluate(code)
            eventually(lambda said=said: seen.page.wait_for_timeout(50) or said in " ".join(seen.wrong), 5)
            seen.wrong.clear()
        assert seen.page.locator("b").count() == 0


def test_links_lead_out_safely(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    links = {each.get_attribute("href"): each for each in tab.page.locator("#entries a").all()}
    assert {
        "https://shop.example/admin/orders/61001",
        "https://phone.example/recordings/77.mp3",
        "https://parcel.example/3SABC1234567",
        "https://mail.example/f/trui.jpg",
    } == set(links)
    for each in links.values():
        assert (each.get_attribute("rel"), each.get_attribute("target")) == ("noopener noreferrer", "_blank")


def test_who_this_is_and_what_others_know(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    assert tab.texts("#badges .tag") == ["Bekende klant", "Geverifieerd"]
    known = {text.replace("\n", " ") for text in tab.texts(".identity")}
    assert known == {
        "E-mail noor1001@example.nl Bevestigd",
        "Telefoon +31612551001 Bevestigd",
        "Winkelaccount 91001 Geverifieerd",
        "Browser a-1001 Geverifieerd",
    }
    systems = [text.replace("\n", " ") for text in tab.texts(".system")]
    assert [" ".join(text.split()) for text in systems] == [
        "Parcel partner Geweigerd 0 gemeld, 3 geweigerd Retour, Zending, Bestelling · HTTP 422 from destination"
        " Dit systeem weigerde het. Meld het aan wie de koppelingen beheert: niets is kwijt, het kan opnieuw worden verstuurd.",
        "CRM Bij 11 gemeld",
    ]
    glance = tab.page.inner_text("#glance")
    assert "Hebben jullie de L ook in het groen?" in glance and "Nog niet beantwoord" in glance
    assert "12 minuten geleden" in glance or "13 minuten geleden" in glance


def test_one_conversation_belongs_together(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    colours: dict[str, set[str]] = {}
    for row in tab.page.locator("#entries li.row").all():
        label = row.locator(".thread").inner_text()
        kinds = [row.locator(each).get_attribute("class") or "" for each in (".knot", ".bead")]
        colours.setdefault(label, set()).update(kind.rpartition(" ")[2] for kind in kinds)
    assert len(colours) == 4 and all(len(each) == 1 for each in colours.values())
    assert len(set.union(*colours.values())) == 4
    tab.page.click("#entries .thread:has-text('Bestelling #61001') >> nth=0")
    eventually(lambda: len(headings(tab)) == 4, 10)
    assert {text.strip() for text in tab.texts("#entries .thread")} == {"Bestelling #61001"}
    assert tab.page.get_attribute("#entries .thread >> nth=0", "aria-pressed") == "true"
    tab.page.click("#filters >> text=Eén gesprek")
    eventually(lambda: len(headings(tab)) == 11, 10)
    label = tab.page.locator("#entries .thread").first
    label.press("Enter")
    eventually(lambda: len(headings(tab)) == 4, 10)
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true", "the focus stays"
    tab.page.keyboard.press("Enter")
    eventually(lambda: len(headings(tab)) == 11, 10)


def test_the_filter(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    channels = tab.page.get_by_role("group", name="Op kanaal")
    channels.get_by_role("button", name="Webchat").click()
    eventually(lambda: headings(tab) == ["Webchat · Bericht"] * 2, 10)
    channels.get_by_role("button", name="WhatsApp").press("Enter")
    eventually(lambda: len(headings(tab)) == 4, 10)
    assert tab.page.evaluate("document.activeElement.dataset.choice") == "channel.whatsapp", "the focus stays"
    tab.page.get_by_role("group", name="Op soort").get_by_role("button", name="Bestelling").click()
    eventually(lambda: headings(tab) == [], 10)
    eventually(lambda: "Niets voldoet aan dit filter." in tab.page.inner_text("#empty"), 10)
    tab.page.click("#empty >> text=Toon alles")
    eventually(lambda: len(headings(tab)) == 11, 10)


def test_what_happens_appears_by_itself(tab: Visit, world: World) -> None:
    mobile = person("phone", "+31612552001")
    world.tell("message", "whatsapp", moment(1), mobile, text="Goedemorgen", refs=[ref("thread", "t-2001")])
    customer = world.settled("phone:+31612552001", 1)
    opened(tab, world, customer["id"])
    assert len(headings(tab)) == 1
    first = tab.page.locator("#entries article").element_handle()
    tab.page.click("#entries article summary:has-text('Details')")
    world.tell("message", "whatsapp", moment(), mobile, text="Zijn jullie open?", refs=[ref("thread", "t-2001")])
    eventually(lambda: len(headings(tab)) == 2, 30)
    assert tab.texts("#entries .text")[0] == "Zijn jullie open?"
    assert tab.texts(".tag.new") == ["Nieuw"]
    assert tab.page.text_content("#said") == "1 nieuwe regel: WhatsApp, Bericht"
    assert tab.page.get_attribute("#said", "aria-live") == "polite"
    assert first and first.evaluate("each => each.isConnected && each.querySelector('details').open"), (
        "the old one stays"
    )
    assert "Zijn jullie open?" in tab.page.inner_text("#glance")
    eventually(lambda: "2 gemeld" in tab.page.inner_text(".panels"), 30)


def test_what_an_answer_elsewhere_leaves_open_is_told_until_they_speak(tab: Visit, world: World) -> None:
    mobile = person("phone", "+31612552044")
    chat, mail, call = (ref("thread", f"{each}-2044") for each in ("t", "m", "c"))
    world.tell("message", "whatsapp", moment(hours=4), mobile, text="Waar blijft mijn trui?", refs=[chat])
    answer = {"direction": "out", "actor": "agent", "text": "Uw factuur is betaald."}
    world.tell("email", "email", moment(hours=3), mobile, refs=[mail], **answer)
    missed = {"refs": [call], "details": {"status": "no-answer"}}
    world.tell("call", "voice", moment(hours=2), mobile, **missed)
    opened(tab, world, world.settled("phone:+31612552044", 3)["id"])
    assert "Waar blijft mijn trui?" in tab.page.inner_text("#glance")
    assert [text.strip() for text in tab.texts(".talk .tag.warn")] == ["Nog niet beantwoord"]
    world.tell("call", "voice", moment(hours=1), mobile, refs=[call], details={"status": "completed", "duration": 60})
    eventually(lambda: "Alles is beantwoord" in tab.page.inner_text("#glance"), 30)
    assert tab.texts(".talk .tag.warn") == []


def test_what_comes_outside_the_filter_is_told(tab: Visit, world: World) -> None:
    mobile = person("phone", "+31612552002")
    world.tell("message", "whatsapp", moment(1), mobile, text="Hallo")
    world.tell("call", "voice", moment(2), mobile)
    customer = world.settled("phone:+31612552002", 2)
    opened(tab, world, customer["id"])
    tab.page.get_by_role("group", name="Op kanaal").get_by_role("button", name="Telefoon").click()
    eventually(lambda: len(headings(tab)) == 1, 10)
    world.tell("message", "whatsapp", moment(), mobile, text="Nog iets")
    eventually(lambda: tab.page.is_visible("#outside"), 30)
    assert tab.page.inner_text("#outside") == "1 nieuwe regel valt buiten dit filter."
    assert len(headings(tab)) == 1


def test_polling_asks_for_little(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    answers: list[tuple[str, int]] = []
    tab.page.on("response", lambda answer: answers.append((answer.url, answer.status)))
    tab.page.wait_for_timeout(7000)
    polled = [status for url, status in answers if "/timeline" in url]
    assert len(polled) >= 2 and set(polled) == {304}
    assert not [url for url, _ in answers if "/assets/" in url]


def test_older_entries_are_loaded_when_asked(tab: Visit, world: World) -> None:
    mobile = person("phone", "+31612552003")
    for number in range(120):
        world.tell("message", "sms", moment(30 - number / 10), mobile, text=f"bericht {number}")
    customer = world.settled("phone:+31612552003", 120)
    opened(tab, world, customer["id"])
    assert len(headings(tab)) == 50
    for expected in (100, 120):
        tab.page.click("#more")
        eventually(lambda expected=expected: len(headings(tab)) == expected, 10)
    assert tab.texts("#entries .text") == [f"bericht {number}" for number in reversed(range(120))]
    assert not tab.page.is_visible("#more") and tab.page.is_visible("#end")
    world.tell("message", "sms", moment(), mobile, text="bericht 120")
    eventually(lambda: len(headings(tab)) == 121, 30)
    assert tab.texts("#entries .text")[0] == "bericht 120"


def test_hostile_texts_are_texts(tab: Visit, world: World) -> None:
    mobile, name = person("phone", "+31612552004"), "<b>Eve</b><script>1</script>"
    for number, text in enumerate(HOSTILE):
        world.tell(
            "message",
            "webchat",
            moment(1, minutes=number),
            mobile,
            name=name,
            text=text,
            summary=text,
            link="javascript:alert(1)",
            refs=[ref("thread", f"<i>{number}</i>")],
            files=[{"name": text[:80], "url": "data:text/html,<script>1</script>"}, {"url": "//evil.example/x"}, {}],
            details={
                "number": "<u>1</u>",
                "status": "<s>x</s>",
                "currency": "<x>",
                "total": {"a": 1},
                "items": [{"title": "<b>", "price": "9e99", "quantity": "1"}, 5, None, "x"],
                "recording": "vbscript:x",
                "tracking_url": "https://ok.example/<script>",
                "duration": "-1",
                "note": {"deep": 1},
            },
        )
    customer = world.settled("phone:+31612552004", len(HOSTILE))
    opened(tab, world, customer["id"])
    assert (
        tab.page.evaluate("document.querySelectorAll('main b, main i, main u, main s, main script, main img').length")
        == 0
    )
    assert tab.texts("h1:visible") == [name] and tab.page.title() == f"{name} – Draad"
    shown = [each.text_content() for each in tab.page.locator("#entries .text").all()]
    assert shown == [entry["text"] for entry in world.who.entries(customer["id"])]
    hrefs = {each.get_attribute("href") for each in tab.page.locator("#entries a").all()}
    assert hrefs == {"https://ok.example/%3Cscript%3E"}
    assert tab.wide() == 0
    tab.page.set_viewport_size({"width": 360, "height": 740})
    assert tab.wide() == 0


def test_what_is_sensitive_is_veiled(tab: Visit, world: World) -> None:
    mobile = person("phone", "+31612552005")
    world.tell(
        "message", "webchat", moment(1), mobile, text="Mijn bloedgroep is AB", sensitive=True, details={"iban": "NL00"}
    )
    opened(tab, world, world.settled("phone:+31612552005", 1)["id"])
    assert "bloedgroep" not in tab.page.inner_text("body")
    tab.page.click("text=Gevoelig: toon")
    assert "bloedgroep" in tab.page.inner_text("#entries") and "NL00" not in tab.page.inner_text("#entries")


def test_possible_events_stand_apart(tab: Visit, world: World) -> None:
    landline = person("phone", "+31201230055")
    for number in ("7001", "7002"):
        world.tell("order", "web", moment(2), person("shop", number), landline, details={"number": number})
    shared = "/v1/customers?identity=phone:%2B31201230055"
    eventually(lambda: world.who.get(shared)["match"] == "candidate")  # from then on his id is his own
    customer = world.settled("shop:tc/7001", 1)
    world.tell("call", "voice", moment(), landline, details={"status": "completed", "duration": 61})
    eventually(lambda: world.who.get(f"/v1/customers/{customer['id']}/possible")["entries"])
    opened(tab, world, customer["id"])
    assert tab.page.inner_text("#possible-count") == "1 gebeurtenis is misschien van deze klant"
    assert tab.texts("#possible h4") == ["Telefoon · Gesprek · beëindigd"]
    assert "delen" in tab.page.inner_text("#possible")
    assert headings(tab) == ["Webwinkel · Bestelling 7001"]


def test_candidates_and_conflicts_say_what_they_mean(tab: Visit, world: World) -> None:
    one, other = person("web", "c-7100", "A3"), person("phone", "+31612557100")
    world.tell("message", "webchat", moment(2), one, person("email", "typed7100@example.nl", "A1"), text="Hallo")
    world.tell("order", "web", moment(2), person("shop", "7101"), other)
    world.tell("order", "web", moment(2), person("shop", "7102"), one)
    customer = world.settled("web:tc/c-7100", 2)
    pair = {"a": "shop:tc/7101", "b": "web:tc/c-7100", "reason": "said so"}
    world.who.call("POST", "/v1/links", 201, json=pair)
    opened(tab, world, customer["id"])
    panels = tab.page.inner_text("#panels")
    assert "typed7100@example.nl" in panels and "Iemand typte deze waarde; niemand bewees haar." in panels
    assert "Ze hebben twee accounts van één soort." in panels and "shop:tc/7101" in panels
    assert "Tegenspraak" in tab.page.inner_text("#badges")


def test_an_anonymous_visitor(tab: Visit, world: World) -> None:
    world.tell("message", "webchat", moment(), person("web", "c-7200", "A2"), text="Hallo")
    opened(tab, world, world.settled("web:tc/c-7200", 1)["id"])
    assert tab.texts("h1:visible") == ["Anonieme bezoeker"]
    assert "nog geen naam, adres of nummer" in tab.page.inner_text("#panels")


def test_the_language_is_the_browsers_and_can_be_switched(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    for locale, language, said in (
        ("nl-BE", "nl", "Tijdlijn"),
        ("en-US", "en", "Timeline"),
        ("fr-FR", "en", "Timeline"),
    ):
        with visit(browser, world.who.url, locale=locale) as seen:
            opened(seen, world, noor["id"])
            assert seen.page.get_attribute("html", "lang") == language
            assert seen.page.inner_text("#timeline-title") == said
            other = "en" if language == "nl" else "nl"
            seen.page.click(f"[data-language={other}]")
            assert seen.page.get_attribute("html", "lang") == other
            assert seen.page.inner_text("#timeline-title") != said
            assert (
                headings(seen)[2] == {"en": "Store · Return · refunded", "nl": "Winkel · Retour · terugbetaald"}[other]
            )
            seen.page.reload()
            seen.page.wait_for_selector("#entries article")
            assert seen.page.get_attribute("html", "lang") == other, "remembered"
            assert seen.wrong == []


def test_dark_is_dark_and_light_is_light(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    for scheme, dark in (("dark", True), ("light", False)):
        with visit(browser, world.who.url, color_scheme=scheme) as seen:
            opened(seen, world, noor["id"])
            colour = seen.page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert (sum(colour) < 150) is dark
            assert seen.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_everybody_can_use_it(browser: Browser, world: World, noor: dict[str, Any], size: str, scheme: Any) -> None:
    with visit(browser, world.who.url, size, color_scheme=scheme) as seen:
        seen.page.goto(f"{world.who.url}/customers/{noor['id']}")
        seen.page.wait_for_selector("#sign-in:not([hidden])")
        assert broken_rules(seen) == []
        opened(seen, world, noor["id"])
        seen.page.wait_for_selector("#entries article")
        seen.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true;")
        assert broken_rules(seen) == []
        assert seen.wide() == 0
        assert seen.wrong == []


def broken_rules(seen: Visit) -> list[str]:
    """By axe-core; serious and critical ones only."""
    seen.page.evaluate(AXE)
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["passes"], "axe looked at something"
    return [
        json.dumps([each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"]])
        for each in found["violations"]
        if each["impact"] in SEVERE
    ]


def test_axe_sees_what_it_must_see(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    tab.page.evaluate(
        "const bad = document.createElement('button'); document.querySelector('main').append(bad);"
        "document.getElementById('name').style.color = '#eee'"
    )
    found = " ".join(broken_rules(tab))
    assert "button-name" in found and "color-contrast" in found


def test_the_keyboard_reaches_everything(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    opened(tab, world, noor["id"])
    reached = []
    for _ in range(70):
        tab.page.keyboard.press("Tab")
        reached.append(tab.page.evaluate("document.activeElement.innerText.trim()"))
    assert reached[0] == "Naar de tijdlijn"
    for wanted in ("NL", "Uitloggen", "WhatsApp", "Bestelling", "Details"):
        assert wanted in reached, wanted
    assert any("Bestelling #61001" in each for each in reached)


def test_a_key_is_typed_kept_in_the_tab_and_forgotten(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    with visit(browser, world.who.url) as seen:
        seen.page.goto(f"{world.who.url}/customers/{noor['id']}")
        assert seen.texts("h1:visible") == ["Log in om deze klant te zien"]
        assert seen.wrong == []
        for wrong in ("draad_wrong", "sleutel met é"):
            seen.page.fill("#key", wrong)
            seen.page.keyboard.press("Enter")
            eventually(lambda: seen.page.evaluate("sessionStorage.length") == 0, 10)
            seen.page.wait_for_selector("#sign-in-reason:visible:not(:empty)")
        seen.wrong.clear()
        seen.page.get_by_label("API-sleutel").fill(world.who.key)
        seen.page.click("text=Open de tijdlijn")
        seen.page.wait_for_selector("#entries article")
        assert seen.page.evaluate("localStorage.length") == 0
        seen.page.click("text=Uitloggen")
        assert seen.page.evaluate("sessionStorage.length") == 0
        assert "Noor" not in seen.page.content() and "WhatsApp" not in seen.page.content()
        assert seen.wrong == []


def test_a_candidates_page_is_offered_to_keys_only(browser: Browser, world: World) -> None:
    shared = person("phone", "+31612557300", "A1")
    world.tell("message", "webchat", moment(), person("web", "c-7300", "A2"), shared, text="Hallo")
    world.tell("call", "voice", moment(1), person("phone", "+31612557300"))
    customer, caller = world.settled("web:tc/c-7300", 1), world.settled("phone:+31612557300", 1)
    with visit(browser, world.who.url) as seen:
        opened(seen, world, customer["id"])
        assert "+31612557300" in seen.page.inner_text("#panels")
        assert seen.page.locator("#panels a").count() == 0
        seen.page.click("text=Uitloggen")
        seen.page.fill("#key", world.who.key)
        seen.page.keyboard.press("Enter")
        seen.page.click("#panels a")
        seen.page.wait_for_url(f"**/customers/{caller['id']}")
        seen.page.wait_for_selector("#entries article")
        assert seen.wrong == []


def test_another_customers_link_and_a_broken_one(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    token = world.link(noor["id"]).partition("#t=")[2]
    with visit(browser, world.who.url) as seen:
        seen.page.goto(f"{world.who.url}/customers/cus_1795470033451zzzzzzzzzzzzzzzzzzzzzzzzzz#t={token}")
        seen.page.wait_for_selector("#notice:not([hidden])")
        assert seen.texts("h1:visible") == ["Geen klant gevonden"]
        assert "#" not in seen.page.url
        seen.page.goto(f"{world.who.url}/customers/{noor['id']}#t={token[:-1]}x")
        seen.page.wait_for_selector("#sign-in:not([hidden])")
        assert "verlopen" in seen.page.inner_text("#sign-in-reason") and "#" not in seen.page.url
        seen.page.evaluate("token => { location.hash = 't=' + token; }", token)
        seen.page.wait_for_selector("#entries article")
        assert "#" not in seen.page.url, "a new link in the same tab"


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (410, "Deze klant is gewist"),
        (403, "Deze sleutel mag geen klanten lezen"),
        (401, "Log in om deze klant te zien"),
    ],
)
def test_what_is_refused_while_it_is_open_leaves_nothing(
    browser: Browser, world: World, noor: dict[str, Any], status: int, title: str
) -> None:
    with visit(browser, world.who.url) as seen:
        opened(seen, world, noor["id"])
        body = json.dumps({"title": "x", "status": status})
        seen.page.route(
            "**/v1/**", lambda route: route.fulfill(status=status, body=body, content_type="application/json")
        )
        seen.page.wait_for_selector(f"h1:has-text('{title}')", timeout=10_000)
        assert "Noor" not in seen.page.content() and "WhatsApp" not in seen.page.content()


def test_without_a_network_it_says_so_and_comes_back(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    with visit(browser, world.who.url) as seen:
        opened(seen, world, noor["id"])
        seen.context.set_offline(True)
        seen.page.wait_for_selector("#status.lost", timeout=20_000)
        assert len(headings(seen)) == 11, "what is known stays readable"
        seen.context.set_offline(False)
        seen.page.wait_for_selector("#status.live", timeout=20_000)


def test_a_hub_that_does_not_answer_at_first(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    with visit(browser, world.who.url) as seen:
        seen.page.route("**/v1/**", lambda route: route.fulfill(status=503, body="{}"))
        seen.page.goto(world.link(noor["id"]))
        seen.page.wait_for_selector("h1:has-text('De hub is niet bereikbaar')")
        seen.page.unroute("**/v1/**")
        seen.page.wait_for_selector("#entries article", timeout=15_000)


def test_the_timeline_is_shown_without_what_stands_beside_it(
    browser: Browser, world: World, noor: dict[str, Any]
) -> None:
    with visit(browser, world.who.url) as seen:
        for broken in ("sync", "possible*"):
            seen.page.route(f"**/v1/**/{broken}", lambda route: route.fulfill(status=500, body="{}"))
        opened(seen, world, noor["id"])
        assert len(headings(seen)) == 11
        assert "op dit moment niet te zeggen" in seen.page.inner_text("#panels")


def test_below_a_stage_prefix(browser: Browser, world: World, noor: dict[str, Any]) -> None:
    """As on API Gateway: everything that the page asks for lies below /api."""
    with visit(browser, world.who.url) as seen:

        def forward(route: Any) -> None:
            asked = route.request
            headers = {**asked.headers, "accept": "*/*"}
            answer = seen.context.request.fetch(asked.url.replace("/api/", "/", 1), headers=headers)
            route.fulfill(response=answer)

        seen.page.route("**/api/**", forward)
        asked: list[str] = []
        seen.page.on("request", lambda sent: asked.append(sent.url))
        seen.page.goto(world.link(noor["id"]).replace("/customers/", "/api/customers/"))
        seen.page.wait_for_selector("#entries article")
        assert asked and all(url.startswith(f"{world.who.url}/api/") for url in asked)
        assert seen.wrong == []
        # The icon may still be under way.
        seen.page.unroute_all(behavior="wait")


def test_threads_never_share_a_lane(tab: Visit, world: World, noor: dict[str, Any]) -> None:
    """The pure part, over every arrangement of six entries in up to three conversations."""
    opened(tab, world, noor["id"])
    source = tab.page.get_attribute("script[type=module]", "src") or ""
    wrong = tab.page.evaluate(
        """async (path) => {
          const { strands, LANES } = await import(new URL(path.replace("timeline.js", "threads.js"), location.href));
          const names = [null, "a", "b", "c"];
          for (let code = 0; code < 4 ** 6; code++) {
            const entries = [...Array(6)].map((_, at) => ({ conversation: names[Math.floor(code / 4 ** at) % 4] }));
            const rows = strands(entries, (name) => names.indexOf(name));
            for (const [row, { at, own }] of rows.entries()) {
              const lanes = at.map((each) => each.lane);
              const here = entries[row].conversation;
              const first = entries.findIndex((each) => each.conversation === here);
              const last = entries.findLastIndex((each) => each.conversation === here);
              const part = first === last ? "knot" : row === first ? "from" : row === last ? "to" : "through";
              if (new Set(lanes).size !== lanes.length || lanes.some((each) => each < 0 || each >= LANES)) return [code, row, "lane"];
              if ((here === null) !== (own === null) || (own && own.part !== part)) return [code, row, "part"];
              if (own && own.lane !== rows[first].own.lane) return [code, row, "moved"];
              const crossing = names.slice(1).filter((name) => name !== here
                && entries.findIndex((each) => each.conversation === name) < row
                && entries.findLastIndex((each) => each.conversation === name) > row
                && entries.some((each) => each.conversation === name));
              if (at.length !== crossing.length + (own ? 1 : 0)) return [code, row, "crossing"];
            }
          }
          return null;
        }""",
        source,
    )
    assert wrong is None
