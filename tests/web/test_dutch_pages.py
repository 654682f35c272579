"""On a Dutch page a person reads Dutch: every provider of the catalogue, and what the hub refuses, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.api import providers
from infra.local.hub import Hub
from tests.drive import Integrator
from tests.web.browser import Visit, visit
from tests.web.test_console import REFUSED, at, sign_in
from tests.web.test_spoken import CATALOGUE, CODES, ENGLISH, REASONS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.embedded

FOREIGN = [english for english, dutch in [*CATALOGUE.items(), *REASONS.items()] if english != dutch and " " in english]
"""Texts of ours that have Dutch."""


@pytest.fixture(scope="module")
def who(hub: Hub) -> Integrator:
    return Integrator(hub.url, hub.admin_key)


@pytest.fixture
def tab(browser: Browser, who: Integrator) -> Iterator[Visit]:
    with visit(browser, who.url) as seen:
        sign_in(seen, who.key)
        yield seen
        assert [each for each in seen.wrong if not REFUSED.search(each)] == []


def unfolded(seen: Visit) -> list[str]:
    """All that the view and the line below it say, each text on its own."""
    seen.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found: list[str] = seen.page.evaluate(
        """() => {
            const texts = [];
            for (const place of [document.getElementById('view'), document.getElementById('said')]) {
                const walk = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
                while (walk.nextNode()) texts.push(walk.currentNode.textContent.trim());
            }
            return texts.filter(Boolean);
        }"""
    )
    return found


def assert_dutch(seen: Visit) -> None:
    assert seen.page.get_attribute("html", "lang") == "nl"
    assert seen.texts(":is(#view, #said) [lang=en], #said[lang=en]") == []
    texts = unfolded(seen)
    assert [text for text in texts if text in FOREIGN] == []
    english = {text: ENGLISH.findall(CODES.sub("", text)) for text in texts}
    assert {text: found for text, found in english.items() if found} == {}


def test_every_provider_is_told_in_dutch(tab: Visit) -> None:
    at(tab, "connections/new", ".catalogue .provider")
    assert_dutch(tab)
    for slug in providers.all_slugs():
        at(tab, f"connections/new/{slug}", "form.connect")
        tab.page.wait_for_function(
            "(name) => document.querySelector('.view h1')?.textContent.startsWith(name)",
            arg=CATALOGUE.get(name := providers.summary(slug)["name"], name),
        )
        assert_dutch(tab)


def test_an_english_page_asks_for_no_dutch(browser: Browser, who: Integrator) -> None:
    asked: list[str] = []
    with visit(browser, who.url, locale="en-GB") as seen:
        seen.page.on("request", lambda sent: asked.append(sent.url))
        sign_in(seen, who.key)
        at(seen, "connections/new/aircall", "form.connect")
        assert "Create a webhook in the dashboard" in " ".join(unfolded(seen))
        assert seen.wrong == []
    assert not [url for url in asked if url.endswith(".json")]


def test_a_refused_form_says_why_in_dutch(tab: Visit) -> None:
    page = tab.page
    at(tab, "connections/new/generic", "form.connect")
    for folded in page.locator("form.connect .more-fields summary").all():
        folded.click()
    page.fill('[data-name="tolerance"] input', "soon")
    page.fill('[data-name="rate_limit"] input', "0")
    page.fill('[data-name="ref_scopes"] textarea', '{"order": "nobody", "song": "x"}')
    page.fill('[data-name="field_priority"] textarea', '{"consent_email": 1, "name": 99999}')
    page.get_by_role("button", name="Koppelen", exact=True).click()
    page.locator('[data-name="tolerance"] .wrong', has_text="moet een geheel getal zijn").wait_for()
    said = tab.texts(".wrong:not(:empty)")
    assert "moet van 1 tot 100000 zijn" in said
    assert any(each.startswith("noemt geen koppeling: geef het id of de naam ervan; ") for each in said)
    assert (
        "heeft geen voorrang: van toestemming telt de nieuwste; moet een geheel getal van -1000 tot 1000 zijn" in said
    )
    assert_dutch(tab)


def test_a_button_that_is_refused_says_why_in_dutch(tab: Visit, who: Integrator) -> None:
    made = who.connect("generic", "zonder geheim", secrets={})
    at(tab, f"connections/{made['id']}", "[data-first]")
    tab.page.get_by_role("button", name="Testgebeurtenis sturen").click()
    tab.page.locator("#said.bad", has_text="Dat is niet gelukt: ").wait_for()
    assert_dutch(tab)


def test_a_reason_that_nobody_translated_is_marked_as_english(tab: Visit) -> None:
    def refuse(route: Any) -> None:
        problem = {"status": 422, "title": "x", "detail": "the moon is full", "errors": []}
        route.fulfill(status=422, content_type="application/problem+json", json=problem)

    tab.page.route(
        re.compile(r"/v1/keys$"), lambda route: refuse(route) if route.request.method == "POST" else route.continue_()
    )
    at(tab, "keys")
    tab.page.click("text=Sleutel maken")
    tab.page.locator("#said.bad [lang=en]", has_text="the moon is full").wait_for()
    assert tab.page.locator("#said").inner_text() == "Dat is niet gelukt: the moon is full"


def test_without_its_dictionary_the_catalogue_is_english_and_says_so(browser: Browser, who: Integrator) -> None:
    with visit(browser, who.url) as seen:
        seen.page.route(re.compile(r"catalogue_nl\.json"), lambda route: route.fulfill(status=404, body="{}"))
        sign_in(seen, who.key)
        at(seen, "connections/new/aircall", "form.connect")
        assert seen.page.locator(".steps li[lang=en]").count() == 4
        assert seen.page.locator('[data-name="account"] label [lang=en]').text_content() == "Account"


def test_what_happened_under_a_minute_ago_happened_just_now(browser: Browser, who: Integrator) -> None:
    said = {
        "nl-NL": ["zojuist", "zojuist", "1 minuut geleden", "over 2 minuten"],
        "en-GB": ["just now", "just now", "1 minute ago", "in 2 minutes"],
    }
    for locale, wanted in said.items():
        with visit(browser, who.url, locale=locale) as seen:
            sign_in(seen, who.key)
            module = seen.page.get_attribute('link[href$="/format.js"]', "href")
            found = seen.page.evaluate(
                """async (path) => {
                    const { ago } = await import(new URL(path, location.href).href);
                    return [-1, -55, -65, 130].map((seconds) => ago(new Date(Date.now() + seconds * 1000).toISOString()));
                }""",
                module,
            )
            assert found == wanted
            assert seen.wrong == []
