"""The console in a real browser on a running hub: from signing in to the first event, its receipt and its mapping."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.api import providers
from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, eventually
from tests.web.browser import SIZES, Visit, visit
from tests.web.story import MAPPING, person
from tests.web.test_timeline_page import broken_rules

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.embedded

SECRET = "s3cret-of-the-till"
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of (401|403|404|422)")
HOSTILE = "<img src=x onerror=\"document.title='taken'\"> \u202ekassa\u202c"
CHAT = {
    "event": "message.created",
    "anonymousId": "a-71",
    "at": "2026-11-26T08:00:00.000Z",
    "conversationId": "c-1",
    "message": {"id": "m-1", "text": "Is de trui er nog?", "author": "customer"},
}


@pytest.fixture(scope="module")
def who(hub: Hub) -> Integrator:
    return Integrator(hub.url, hub.admin_key)


@pytest.fixture
def tab(browser: Browser, who: Integrator) -> Iterator[Visit]:
    """A tab of somebody who is signed in, in which nothing may go wrong but what a test expects."""
    with visit(browser, who.url) as seen:
        sign_in(seen, who.key)
        yield seen
        assert [each for each in seen.wrong if not REFUSED.search(each)] == []


def sign_in(seen: Visit, key: str) -> None:
    seen.page.goto(f"{seen.origin}/")
    seen.page.fill("#key", key)
    seen.page.click("#sign-in-form button")
    seen.page.wait_for_selector(".view h1")


def at(seen: Visit, place: str, shown: str = ".view h1") -> None:
    """A view by its address, without loading the page again."""
    seen.page.evaluate("(hash) => { location.hash = hash }", f"#/{place}")
    seen.page.wait_for_function("(place) => location.hash === `#/${place}`", arg=place)
    seen.page.wait_for_selector(shown)


def told(type_: str = "message", **more: Any) -> dict[str, Any]:
    at = "2026-11-26T08:00:00.000Z"
    return {"type": type_, "channel": "store", "direction": "in", "actor": "customer", "at": at} | more


def connected(who: Integrator, name: str, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"mapping": MAPPING, "secrets": {"signing_secret": SECRET}}
    return who.connect("generic", name, **(asked | more))


def post(made: dict[str, Any], body: dict[str, Any], secret: str = SECRET, expect: int = 200) -> None:
    assert drive.generic(made["hook_url"], body, secret).go() == expect


def marked(seen: Visit) -> None:
    """So that a page that loaded anew is known."""
    seen.page.evaluate("window.same = true")


def same(seen: Visit) -> bool:
    return bool(seen.page.evaluate("window.same === true"))


def test_the_root_leads_to_the_console_where_a_key_signs_in(browser: Browser, who: Integrator) -> None:
    with visit(browser, who.url) as seen:
        seen.page.goto(who.url)
        assert seen.page.url == f"{who.url}/console"
        for wrong in ("draad_wrong", "sleutel met ë"):
            seen.page.fill("#key", wrong)
            seen.page.click("#sign-in-form button")
            seen.page.locator("#sign-in-reason", has_text="de sleutel is niet geldig").wait_for()
            assert seen.page.locator("#nav").is_hidden()
        seen.page.fill("#key", who.key)
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_selector(".view h1")
        assert seen.page.locator("#nav a[aria-current=page]").count() == 1
        assert who.key not in seen.page.content()
        seen.page.reload()
        seen.page.wait_for_selector(".view h1")
        seen.page.click("#sign-out")
        seen.page.wait_for_selector("#sign-in:not([hidden])")
        assert seen.page.evaluate("sessionStorage.length") == 0
        assert seen.page.locator(".view").count() == 0, "nothing of it stays behind the form"
        assert [each for each in seen.wrong if not REFUSED.search(each)] == []


def test_a_magic_link_reads_and_leaves_the_address(browser: Browser, who: Integrator) -> None:
    link = who.call("POST", "/v1/magic-links", 201, json={"console": True})
    with visit(browser, who.url) as seen:
        seen.page.goto(link["url"])
        seen.page.wait_for_function(
            "() => !document.getElementById('nav').hidden || document.getElementById('sign-in').hidden === false"
        )
        assert seen.page.url == f"{who.url}/console"
        assert seen.page.locator("#sign-in").is_hidden()
        for closed in ("connections", "receipts", "keys"):
            assert seen.page.locator(f'#nav a[href="#/{closed}"]').count() == 0
        assert seen.wrong == []


LISTENING = """
const listening = (window.listening = new Set());
const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
EventTarget.prototype.addEventListener = function (type, hears, ...rest) {
  if (type === "visibilitychange") listening.add(hears);
  return add.call(this, type, hears, ...rest);
};
EventTarget.prototype.removeEventListener = function (type, hears, ...rest) {
  if (type === "visibilitychange") listening.delete(hears);
  return remove.call(this, type, hears, ...rest);
};
"""


def test_a_view_that_was_left_listens_no_more(browser: Browser, who: Integrator) -> None:
    with visit(browser, who.url) as seen:
        seen.page.add_init_script(LISTENING)
        sign_in(seen, who.key)
        for view in ("connections", "receipts", "health", "overview", "receipts", "health"):
            at(seen, view, f'#nav a[href="#/{view}"][aria-current=page]')
            seen.page.wait_for_function("() => window.listening.size === 1", timeout=5000)
        assert seen.wrong == []


def test_a_key_sees_only_what_it_may(browser: Browser, who: Integrator) -> None:
    key = who.call("POST", "/v1/keys", 201, json={"name": "clerk", "scopes": ["integrate"]})["key"]
    with visit(browser, who.url) as seen:
        sign_in(seen, key)
        names = {each.get_attribute("href") for each in seen.page.locator("#nav a").all()}
        assert {"#/connections", "#/receipts"} <= names and not names & {"#/keys", "#/settings", "#/rules"}
        seen.page.evaluate("location.hash = '#/keys'")
        seen.page.wait_for_selector("#notice:not([hidden])")


def test_a_connection_is_made_and_its_first_event_turns_it_green(tab: Visit, who: Integrator) -> None:
    page = tab.page
    at(tab, "connections")
    page.get_by_role("link", name="Nieuwe koppeling").click()
    page.fill("#search", "generic")
    assert eventually(lambda: tab.texts(".catalogue .provider > a")) == ["Generieke webhook"]
    page.get_by_role("link", name="Generieke webhook").click()
    page.wait_for_selector("form.connect")
    marked(tab)
    page.fill('[data-name="name"] input', HOSTILE)
    page.fill('form.connect [data-name="signing_secret"] textarea', SECRET)
    page.locator("form.connect .more-fields summary").click()
    page.fill('[data-name="tolerance"] input', "soon")
    page.get_by_role("button", name="Koppelen", exact=True).click()
    page.locator('[data-name="tolerance"] .wrong', has_text="moet een geheel getal zijn").wait_for()
    assert page.locator('[data-name="tolerance"] input').get_attribute("aria-invalid") == "true"
    assert page.evaluate("document.activeElement.name") == "tolerance", "the first mistake has the keyboard"
    page.fill('[data-name="tolerance"] input', "")
    page.get_by_role("button", name="Koppelen", exact=True).click()
    page.wait_for_selector('[data-first="waiting"]')
    made = newest(who)
    assert (made["name"], made["mapping"], made["secrets"]) == (HOSTILE, None, {"signing_secret": 1})
    assert page.locator("[data-first] code").inner_text() == made["hook_url"]
    assert page.locator(".view h1").inner_text() == HOSTILE and page.locator(".view img").count() == 0
    who.call("PATCH", f"/v1/connections/{made['id']}", json={"mapping": MAPPING})

    post(made, told(id="w-1"), secret="of-another-shop", expect=401)
    card = page.locator("[data-refusals]")
    card.wait_for()
    said = card.inner_text()
    assert "Er worden verzoeken geweigerd" in said and "de handtekening klopt niet" in said
    assert "Kopieer het opnieuw bij de leverancier" in said, "a wrong secret is the commonest mistake: how to mend it"

    post(made, told(id="w-2", people=[person("email", "green@example.nl")]))
    page.wait_for_selector('[data-first="here"]')
    page.wait_for_selector('.view h1 >> xpath=ancestor::header >> [data-standing="receiving"]')
    assert "Er zijn eerder verzoeken geweigerd" in eventually(lambda: card.inner_text())
    assert same(tab), "all of that without loading the page again"
    page.get_by_role("link", name="Bekijk wat er binnenkwam").click()
    page.wait_for_selector(".table tbody tr")
    assert page.locator(".table tbody tr").count() == 1
    assert page.title() == "Ontvangsten – Draad"


def newest(who: Integrator) -> dict[str, Any]:
    """The connection that was made last."""
    found = who.get("/v1/connections", limit=200)["connections"]
    return dict(max(found, key=lambda each: each["created_at"]))


def test_the_row_turns_green_by_itself(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Kassa Utrecht")
    at(tab, "connections")
    marked(tab)
    row = tab.page.locator(f'tr[data-id="{made["id"]}"]')
    row.locator('[data-standing="waiting"]').wait_for()
    post(made, told(id="r-0"), secret="wrong", expect=401)
    row.locator(".tag.bad").wait_for()
    row.get_by_role("link").first.focus()
    post(made, told(id="r-1", people=[person("email", "row@example.nl")]))
    row.locator('[data-standing="receiving"]').wait_for()
    row.get_by_text("1 aangenomen").wait_for()
    row.locator(".tag.bad").wait_for(state="detached")
    assert tab.page.evaluate("document.activeElement.closest('tr')?.dataset.id") == made["id"], "the keyboard stays"
    tab.page.fill("#search", "utrecht")
    assert tab.texts(".table tbody tr td:first-child") == ["Kassa Utrecht"]
    tab.page.fill("#search", "nowhere")
    tab.page.get_by_text("Geen koppeling met die naam.").wait_for()
    assert same(tab)


def test_a_receipt_is_read_and_processed_again(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Kassa Gouda")
    body = told(id="g-1", text=HOSTILE, people=[person("email", "gouda@example.nl")])
    post(made, body)
    at(tab, f"receipts?connection={made['id']}", ".table tbody tr")
    tab.page.locator(".table tbody a").first.click()
    tab.page.wait_for_selector(".events li")
    assert json.loads(tab.page.locator("pre").inner_text()) == body
    assert "Bericht · Winkel" in tab.page.locator(".events").inner_text()
    assert "X-Signature" in tab.page.locator(".headers").inner_text()
    tab.page.get_by_role("button", name="Opnieuw verwerken").click()
    tab.page.locator(".job .tag.good").wait_for()
    assert tab.page.locator(".job").inner_text().split() == ["Klaar", "1", "van", "1"]
    customer = who.customer("email:gouda@example.nl")
    assert customer and len(who.entries(customer["id"])) == 1, "once, however often it is processed"
    tab.page.get_by_role("link", name="Naar de klant").click()
    tab.page.wait_for_selector("#entries article")
    assert tab.page.url == f"{who.url}/customers/{customer['id']}", "with the key of this tab, which signs in there too"


def test_receipts_are_filtered_and_go_on(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Kassa Breda")
    for number in range(53):
        post(made, told(id=f"b-{number}", people=[person("email", "breda@example.nl")]))
    post(made, {"type": "no such type", "id": "b-x", "at": "2026-11-26T08:00:00Z", "channel": "store"})
    eventually(lambda: len(who.get("/v1/receipts", connection=made["id"], limit=200)["receipts"]) == 54)
    at(tab, "receipts", ".table tbody tr")
    tab.page.select_option("#connection", label="Kassa Breda")
    rows = tab.page.locator(".table tbody tr")
    eventually(lambda: rows.count() == 50)
    tab.page.locator(".list > button").click()
    eventually(lambda: rows.count() == 54)
    ids = [each.get_attribute("data-id") for each in rows.all()]
    assert ids == [each["id"] for each in who.get("/v1/receipts", connection=made["id"], limit=200)["receipts"]]
    post(made, told(id="b-new", people=[person("email", "breda@example.nl")]))
    eventually(lambda: rows.count() == 55)
    tab.page.select_option("#verdict", "malformed")
    eventually(lambda: rows.count() == 1)
    assert "no such type" in rows.first.inner_text()
    assert f"connection={made['id']}&verdict=malformed" in tab.page.url, "the address can be passed on"
    tab.page.reload()
    eventually(lambda: rows.count() == 1)
    assert tab.page.input_value("#verdict") == "malformed"


def test_a_mapping_is_tried_on_what_arrived_and_saved(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Chat", mapping=None, settings={"account": "shop.example"})
    post(made, CHAT)
    eventually(lambda: who.get("/v1/receipts", connection=made["id"])["receipts"])
    at(tab, f"connections/{made['id']}")
    tab.page.get_by_role("link", name="Bewerken met voorbeeld").click()
    page, result = tab.page, tab.page.locator(".halves [role=status]")
    page.wait_for_selector("#mapping")
    assert json.loads(page.locator("pre").first.inner_text()) == CHAT
    page.fill("#mapping", "{")
    result.get_by_text("Dit is nog geen JSON").wait_for()
    page.fill("#mapping", '{"type": "message", "object": "message.id", "channel": "webchat", "occurred_at": "at ==="}')
    result.get_by_text("/mapping/occurred_at").wait_for()
    page.select_option("#template", "web_chat")
    result.get_by_text("1 gebeurtenis").wait_for()
    assert "Bericht · Webchat · Inkomend" in result.inner_text() and "Is de trui er nog?" in result.inner_text()
    assert "web:shop.example/a-71" in result.inner_text()
    assert who.get(f"/v1/connections/{made['id']}")["mapping"] is None, "a preview writes nothing"
    page.get_by_role("button", name="Vertaling opslaan").click()
    page.locator("#said", has_text="Opgeslagen").wait_for()
    assert who.get(f"/v1/connections/{made['id']}")["mapping"][0]["text"] == "message.text"

    at(tab, f"receipts?connection={made['id']}", ".table tbody tr")
    page.get_by_role("button", name="Alles uit deze periode").click()
    page.get_by_role("dialog").get_by_role("button", name="Annuleren").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Alles uit deze periode").click()
    page.get_by_role("dialog").get_by_role("button", name="Alles uit deze periode").click()
    page.locator(".job .tag.good").wait_for()
    page.locator(".table").get_by_text("Bericht · Webchat").wait_for()


def test_settings_change_and_what_is_emptied_is_gone(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Kassa Tiel", settings={"account": "tiel", "zone": "Europe/Amsterdam", "own_system": True})
    at(tab, f"connections/{made['id']}")
    tab.page.locator("#settings > summary").click()
    tab.page.locator("#settings .more-fields summary").click()
    assert tab.page.input_value('#settings [data-name="zone"] input') == "Europe/Amsterdam"
    tab.page.fill('#settings [data-name="name"] input', "Kassa Tiel 2")
    tab.page.fill('#settings [data-name="zone"] input', "")
    tab.page.uncheck('#settings [data-name="own_system"] input')
    tab.page.fill('#settings [data-name="field_priority"] textarea', "{")
    tab.page.get_by_role("button", name="Opslaan").click()
    tab.page.locator('[data-name="field_priority"] .wrong', has_text="JSON").wait_for()
    tab.page.fill('#settings [data-name="field_priority"] textarea', '{"name": 2}')
    tab.page.fill('#settings [data-name="allowed_origins"] textarea', "a.example\n b.example \n")
    tab.page.get_by_role("button", name="Opslaan").click()
    tab.page.locator("#said", has_text="Opgeslagen").wait_for()
    found = who.get(f"/v1/connections/{made['id']}")
    wanted = {"account": "tiel", "field_priority": {"name": 2}, "allowed_origins": ["a.example", "b.example"]}
    assert (found["name"], found["settings"]) == ("Kassa Tiel 2", wanted)
    tab.page.locator("h1", has_text="Kassa Tiel 2").wait_for()


def test_secrets_overlap_and_a_pause_holds(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Kassa Ede")
    at(tab, f"connections/{made['id']}")
    tab.page.locator("#secrets > summary").click()
    field = tab.page.locator('#secrets [data-name="token"] input')
    assert field.get_attribute("type") == "password"
    field.fill("x")
    tab.page.locator('#secrets [data-name="token"]').get_by_role("button").click()
    assert field.get_attribute("type") == "text"
    field.fill("")
    secret = tab.page.locator('#secrets [data-name="signing_secret"] textarea')
    assert secret.evaluate("(each) => getComputedStyle(each).webkitTextSecurity") == "disc"
    secret.fill("another-secret")
    tab.page.get_by_role("button", name="Geheimen wisselen").click()
    tab.page.locator("#secrets").get_by_text("2 geldig").wait_for()
    for secret_text in (SECRET, "another-secret"):
        post(made, told(id="e-1", people=[person("email", "ede@example.nl")]), secret_text)
    tab.page.fill('#secrets [data-name="signing_secret"] textarea', "the-only-one")
    tab.page.uncheck('#secrets [data-name="keep_old"] input')
    tab.page.get_by_role("button", name="Geheimen wisselen").click()
    tab.page.locator("#secrets").get_by_text("1 geldig").wait_for()
    eventually(lambda: drive.generic(made["hook_url"], told(id="e-2"), SECRET).go() == 401)
    tab.page.get_by_role("button", name="Pauzeren").click()
    tab.page.locator('[data-standing="paused"]').first.wait_for()
    assert who.get(f"/v1/connections/{made['id']}")["status"] == "paused"
    tab.page.get_by_role("button", name="Hervatten").click()
    tab.page.locator('header [data-standing="receiving"]').wait_for()


def test_a_test_event_leads_to_its_receipt_and_makes_nothing(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Kassa Zeist")
    at(tab, f"connections/{made['id']}")
    tab.page.get_by_role("button", name="Testgebeurtenis sturen").click()
    tab.page.get_by_text("Een test van onszelf").wait_for()
    (receipt,) = who.get("/v1/receipts", connection=made["id"])["receipts"]
    assert receipt["test"] and receipt["events"] == []
    at(tab, f"connections/{made['id']}", '[data-first="waiting"]')


def test_a_connection_is_deleted_after_a_question(tab: Visit, who: Integrator) -> None:
    made = connected(who, "Kassa weg")
    at(tab, f"connections/{made['id']}")
    tab.page.get_by_role("button", name="Koppeling verwijderen").click()
    tab.page.keyboard.press("Escape")
    tab.page.get_by_role("dialog").wait_for(state="detached")
    assert who.get(f"/v1/connections/{made['id']}")["status"] == "active"
    tab.page.get_by_role("button", name="Koppeling verwijderen").click()
    assert tab.page.get_by_role("dialog").get_attribute("aria-labelledby") == "dialog-title"
    tab.page.get_by_role("dialog").get_by_role("button", name="Koppeling verwijderen").click()
    tab.page.wait_for_selector('a[href="#/connections/new"]')
    who.call("GET", f"/v1/connections/{made['id']}", 404)
    tab.page.evaluate("(id) => { location.hash = `#/connections/${id}` }", made["id"])
    tab.page.wait_for_selector("#notice:not([hidden])")


def test_history_is_brought_to_a_new_destination(tab: Visit, who: Integrator) -> None:
    settings, secrets = {"url": "http://127.0.0.1:9/"}, {"signing_secret": "whsec_" + "YWJj" * 8}
    made = who.connect("webhook", "Partner", settings=settings, secrets=secrets)
    who.call("POST", f"/v1/connections/{made['id']}/pause", json={})
    at(tab, f"connections/{made['id']}")
    tab.page.locator("summary", has_text="Geschiedenis").click()
    tab.page.get_by_role("button", name="Geschiedenis overbrengen").click()
    tab.page.locator(".job .tag.good", has_text="Klaar").wait_for()
    who.call("DELETE", f"/v1/connections/{made['id']}")


def test_each_form_of_the_catalogue_opens(tab: Visit) -> None:
    """All that the JSON Schemas of every provider ask for can be drawn."""
    for slug in providers.all_slugs():
        settings, secrets = providers.fields_of(slug)
        at(tab, f"connections/new/{slug}", "form.connect")
        tab.page.wait_for_function("(slug) => document.querySelector('form.connect') !== null", arg=slug)
        names = {each.get_attribute("data-name") for each in tab.page.locator("form.connect [data-name]").all()}
        assert names == {"name", *settings, *secrets}, slug


@pytest.fixture(scope="module")
def views(who: Integrator) -> list[tuple[str, str]]:
    """Address and something that is there when it is drawn, of each view of this half."""
    made = connected(who, "Kassa met alles")
    post(made, told(id="v-1", text="W" * 300, people=[person("email", f"{'w' * 60}@example.nl")]))
    post(made, told(id="v-2"), secret="wrong", expect=401)
    (receipt,) = eventually(lambda: who.get("/v1/receipts", connection=made["id"])["receipts"])
    one = f"connections/{made['id']}"
    return [
        ("connections", ".table .verdict"),
        ("connections/new", ".provider"),
        ("connections/new/generic", "form.connect"),
        ("connections/new/zendesk", "form.connect"),
        (one, "[data-refusals]"),
        (f"{one}/mapping", ".halves .event"),
        ("receipts", ".table tbody tr"),
        (f"receipts/{receipt['id']}", ".events li"),
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_view_is_accessible_and_fits(
    browser: Browser, who: Integrator, views: list[tuple[str, str]], size: str, scheme: str
) -> None:
    locale = {"light": "nl-NL", "dark": "en-GB"}[scheme]
    with visit(browser, who.url, size, color_scheme=scheme, locale=locale) as seen:
        seen.page.goto(f"{who.url}/console")
        seen.page.wait_for_selector("#sign-in:not([hidden])")
        assert broken_rules(seen) == [] and seen.wide() == 0
        sign_in(seen, who.key)
        assert seen.page.evaluate("document.documentElement.lang") == locale[:2]
        for place, shown in views:
            at(seen, place, shown)
            seen.page.evaluate("for (const each of document.querySelectorAll('.view details')) each.open = true")
            assert broken_rules(seen) == [], place
            assert seen.wide() == 0, place
        assert seen.wrong == []


def test_both_languages_while_it_runs(tab: Visit, who: Integrator) -> None:
    at(tab, "connections")
    assert tab.texts("h1:visible") == ["Koppelingen"]
    tab.page.get_by_role("button", name="EN", exact=True).click()
    tab.page.locator("h1", has_text="Connections").wait_for()
    assert "Receipts" in tab.texts("#nav a")
    tab.page.reload()
    tab.page.locator("h1", has_text="Connections").wait_for()


def test_the_menu_of_a_phone_folds(browser: Browser, who: Integrator) -> None:
    with visit(browser, who.url, "phone") as seen:
        sign_in(seen, who.key)
        nav, menu = seen.page.locator("#nav-list"), seen.page.locator("#menu")
        assert nav.is_hidden() and menu.get_attribute("aria-expanded") == "false"
        menu.click()
        assert nav.is_visible() and menu.get_attribute("aria-expanded") == "true"
        assert broken_rules(seen) == []
        seen.page.keyboard.press("Tab")
        seen.page.locator('#nav a[href="#/receipts"]').focus()
        seen.page.keyboard.press("Escape")
        assert nav.is_hidden() and seen.page.evaluate("document.activeElement.id") == "menu"
        menu.click()
        seen.page.locator('#nav a[href="#/receipts"]').click()
        seen.page.locator("h1", has_text="Ontvangsten").wait_for()
        assert nav.is_hidden()
        eventually(lambda: seen.page.evaluate("document.activeElement.tagName") == "H1")
        assert seen.wrong == []


def test_a_key_that_ends_while_it_is_used_asks_for_another(browser: Browser, who: Integrator) -> None:
    made = who.call("POST", "/v1/keys", 201, json={"name": "short", "scopes": ["integrate"]})
    with visit(browser, who.url) as seen:
        sign_in(seen, made["key"])
        at(seen, "connections")
        who.call("DELETE", f"/v1/keys/{made['id']}")
        seen.page.wait_for_selector("#sign-in:not([hidden])")
        assert seen.page.locator("#sign-in-reason").inner_text() != ""
        assert seen.page.locator(".view").count() == 0


def test_a_hub_that_cannot_be_reached_is_tried_again(tab: Visit) -> None:
    tab.page.route("**/v1/connections*", lambda route: route.abort())
    tab.page.evaluate("location.hash = '#/receipts'")
    tab.page.wait_for_selector("#notice:not([hidden])")
    tab.page.unroute("**/v1/connections*")
    tab.page.locator("h1", has_text="Ontvangsten").wait_for()
    tab.wrong[:] = [each for each in tab.wrong if "ERR_FAILED" not in each]
