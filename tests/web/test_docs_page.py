"""The page of the API in a real browser: every route of the contract, found, opened and read."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.api.attempts import served
from tests.api.client import key_with
from tests.web.browser import SIZES, Visit, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AXE = (Path(__file__).parent / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The hub's HTTP side alone: neither the page nor the contract asks for an AWS."""
    with served() as url:
        yield url


@pytest.fixture(scope="module")
def contract(site: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(site + "/openapi.json", timeout=60).json()
    return found


@pytest.fixture
def tab(browser: Browser, site: str) -> Iterator[Visit]:
    """A tab in which nothing may go wrong."""
    with visit(browser, site) as seen:
        opened(seen)
        yield seen
        assert seen.wrong == []


def opened(seen: Visit, anchor: str = "") -> Visit:
    seen.page.goto(f"{seen.origin}/docs{anchor}")
    seen.page.wait_for_selector("#routes details")
    return seen


def routes(contract: dict[str, Any]) -> list[str]:
    return [
        f"{method.upper()} {path}"
        for path, item in contract["paths"].items()
        for method in item
        if method != "parameters"
    ]


def listed(seen: Visit) -> list[str]:
    return [" ".join(text.split()[:2]) for text in seen.texts("#routes summary")]


def test_every_route_is_on_the_page_by_what_it_is_about(tab: Visit, contract: dict[str, Any]) -> None:
    assert sorted(listed(tab)) == sorted(routes(contract))
    tags = tab.texts("#routes h2")
    assert tags == [each["name"] for each in contract["tags"]] and tags[0] == "Customers"
    assert tab.texts("#contents a") == tags
    assert tab.texts("#count") == [f"{len(routes(contract))} routes"]


def test_a_search_narrows_and_says_how_many_are_left(tab: Visit) -> None:
    tab.page.get_by_label("Zoek een route").fill("post handover")
    assert listed(tab) == ["POST /v1/conversations/{id}/handovers", "POST /v1/handovers"]
    assert tab.texts("#count") == ["2 routes"]
    tab.page.get_by_label("Zoek een route").fill("no such thing")
    assert tab.texts("#nothing") == ["Geen route heet zo."] and listed(tab) == []
    tab.page.get_by_label("Zoek een route").fill("")
    assert len(listed(tab)) > 60


def test_a_route_tells_what_it_takes_and_answers(tab: Visit) -> None:
    tab.page.locator("#keys_mint summary").click()
    tab.page.wait_for_selector("#keys_mint .inside pre")
    shown = tab.page.inner_text("#keys_mint .inside")
    for said in ("Recht: admin", "scopes", "Antwoord 201", "429", "application/json"):
        assert said in shown, said
    tab.page.locator("#customers_show_timeline summary").click()
    tab.page.wait_for_selector("#customers_show_timeline .inside pre")
    shown = tab.page.inner_text("#customers_show_timeline .inside")
    for said in ("Recht: read", "channel", "entries[].occurred_at", "verplicht", "in het pad", "304"):
        assert said in shown, said


def test_the_example_is_a_command_that_runs(tab: Visit, site: str, memory_aws: dict[str, str]) -> None:
    tab.page.locator("#keys_mint summary").click()
    command = tab.page.locator("#keys_mint pre").first.inner_text()
    words = [word for word in shlex.split(command) if word.strip()]
    assert words[:2] == ["curl", "-s"] and words[2] == f"{site}/v1/keys"
    headers = dict(word.split(": ", 1) for word, before in zip(words[1:], words, strict=False) if before == "-H")
    assert headers["Authorization"] == "Bearer $KEY"
    headers["Authorization"] = f"Bearer {key_with('admin')}"
    answer = requests.post(words[2], headers=headers, data=words[words.index("-d") + 1], timeout=20)
    assert answer.status_code == 201 and answer.json()["name"] == "till"


def test_an_address_opens_the_route_that_it_names(browser: Browser, site: str) -> None:
    with visit(browser, site) as seen:
        opened(seen, "#receipts_replay")
        assert seen.page.locator("details[open]").evaluate_all("all => all.map(each => each.id)") == ["receipts_replay"]
        seen.page.evaluate("location.hash = '#keys_listing'")
        seen.page.wait_for_selector("#keys_listing[open]")
        assert seen.wrong == []


def test_the_frame_speaks_both_languages_and_remembers(tab: Visit) -> None:
    assert tab.texts("h1") == ["De API"] and tab.page.title() == "De API – Draad"
    tab.page.locator("#rules_listing summary").click()
    tab.page.locator("[data-language=en]").click()
    assert tab.texts("h1") == ["The API"] and "Scope: admin" in tab.page.inner_text("#rules_listing .inside")
    opened(tab)
    assert tab.page.get_attribute("html", "lang") == "en"


def test_by_keyboard_alone(tab: Visit) -> None:
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "routes"
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.page.locator("details[open]").count() == 1


def test_a_contract_that_does_not_come_can_be_asked_for_again(browser: Browser, site: str) -> None:
    with visit(browser, site) as seen:
        seen.page.route("**/openapi.json", lambda route: route.fulfill(status=503, body=""))
        seen.page.goto(f"{site}/docs")
        seen.page.wait_for_selector("#failed:not([hidden])")
        seen.page.unroute("**/openapi.json")
        seen.page.locator("#again").click()
        seen.page.wait_for_selector("#routes details")
        assert seen.page.locator("#failed").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", sorted(SIZES))
def test_it_fits_and_everybody_can_use_it(browser: Browser, site: str, size: str, scheme: str, tmp_path: Path) -> None:
    with visit(browser, site, size, color_scheme=scheme) as seen:
        opened(seen)
        for route in ("customers_show_timeline", "connections_create", "settings_change"):
            seen.page.locator(f"#{route} > summary").click()
        assert seen.wide() <= 0
        found = seen.page.evaluate(
            f"{AXE}; axe.run().then(r => r.violations.map(v => [v.id, v.nodes[0].html.slice(0, 200)]))"
        )
        assert found == []
        raw = seen.page.screenshot(path=tmp_path / f"{size}-{scheme}.png")
        assert len(raw) > 20_000 and seen.wrong == []


def test_all_of_it_open_is_still_right(tab: Visit, contract: dict[str, Any]) -> None:
    """Each route is built when it is opened: none of them fails, and each that has an example shows it."""
    tab.page.evaluate("for (const each of document.querySelectorAll('#routes details')) each.open = true")
    tab.page.wait_for_function(
        "[...document.querySelectorAll('#routes .inside')].every(each => each.childElementCount)"
    )
    told = [route for item in contract["paths"].values() for name, route in item.items() if name != "parameters"]
    having = [each["operationId"] for each in told if '"example"' in json.dumps(each["responses"])]
    assert len(having) > 60 and tab.page.locator(".example").count() == len(having) and tab.wide() <= 0
