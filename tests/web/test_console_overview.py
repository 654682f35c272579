"""The console's overview in a real browser on a running hub: its four charts say what was sent over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from infra.local.hub import Hub
from tests.drive import Integrator, eventually
from tests.web import story
from tests.web.browser import SIZES, Visit, visit
from tests.web.story import World, moment, person
from tests.web.test_timeline_page import AXE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.embedded

FAXES, DAYS = 12, 6


@pytest.fixture(scope="module")
def hub(own_hub: Hub) -> Hub:
    return own_hub


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    """The sweater's story, a dozen faxes, and a partner that refuses what it is told."""
    with story.connected(Integrator(hub.url, hub.admin_key)) as made:
        made.partner.behave("status", status=422)
        customer = story.sweater(made, 2001)
        for number in range(FAXES):
            made.tell("fax", "fax", moment(minutes=number + 1), person("phone", f"+3161266{number:04d}"))
        eventually(lambda: volume(made).get("fax") == FAXES)
        eventually(lambda: {each["state"] for each in synced(made, customer["id"])} == {"in step", "parked"})
        counted(made)
        yield made


def synced(world: World, customer: str) -> Any:
    return world.who.get(f"/v1/customers/{customer}/sync")["destinations"]


def mine(world: World) -> str:
    return str(world.hook.rpartition("/")[2])


def volume(world: World) -> dict[str, int]:
    groups = world.who.get("/v1/stats", by="channel,connection")["groups"]
    return {each["channel"]: each["events"] for each in groups if each["connection"] == mine(world)}


def counted(world: World) -> None:
    """What the night does, now: the story happened days ago, and its conversations are looked at."""
    job = world.who.call("POST", "/v1/stats/recount", 202, json={"since": moment(DAYS)[:10]})["job"]
    eventually(lambda: world.who.get(f"/v1/jobs/{job}")["status"] == "done")


def opened(seen: Visit, world: World) -> Visit:
    seen.page.goto(f"{world.who.url}/console#t={world.who.key}")
    seen.page.wait_for_selector(".columns rect")
    return seen


@pytest.fixture
def tab(browser: Browser, world: World) -> Iterator[Visit]:
    """A tab in which nothing may go wrong."""
    with visit(browser, world.who.url) as seen:
        yield opened(seen, world)
        assert seen.wrong == []


def test_what_was_sent_is_what_the_api_counts(world: World) -> None:
    assert volume(world) == {"webchat": 2, "whatsapp": 2, "voice": 1, "web": 2, "email": 1} | {
        "desk": 1,
        "store": 1,
        "sms": 1,
        "fax": FAXES,
    }
    # The hub's first pass over all hours may still be under way.
    eventually(lambda: world.who.get("/v1/stats")["complete"])
    told = world.who.get("/v1/stats")
    assert {"from": "webchat", "to": "whatsapp"}.items() <= told["switches"][0].items()
    assert told["first_response"]["count"] >= 1


def test_volume_per_channel_over_time(tab: Visit, world: World) -> None:
    told = {word: int(n) for word, n in (line.split("\n") for line in tab.texts(".legend li"))}
    groups = world.who.get("/v1/stats", by="channel")["groups"]
    assert sum(told.values()) == sum(each["events"] for each in groups)
    assert told["Fax"] == next(each["events"] for each in groups if each["channel"] == "fax")
    assert "Andere kanalen" in told, "nine channels and eight colours"
    picture = tab.page.get_by_role("img", name="Drukte per kanaal")
    assert f"Fax {told['Fax']}" in (picture.locator("desc").text_content() or "")
    assert picture.locator("rect title").filter(has_text=re.compile(f"Fax {told['Fax']}$")).count() == 1
    heights = picture.locator("g:last-of-type rect").evaluate_all(
        "all => all.map(each => Number(each.getAttribute('height')))"
    )
    assert max(heights) > 20


def test_satisfaction_switches_and_deliveries(tab: Visit, world: World) -> None:
    told = world.who.get("/v1/stats")
    names = {each["id"]: each["name"] for each in told["connections"]}
    satisfaction, switches, deliveries = (tab.page.locator(".card", has=tab.page.get_by_role("heading", name=name, exact=True))
                                          for name in ("Tevredenheid per kanaal", "Wisselingen van kanaal", "Bezorging per bestemming"))  # fmt: skip
    assert lines(satisfaction) == len(told["satisfaction"]) > 0
    assert f"{told['satisfaction'][0]['average']:g}".replace(".", ",") in satisfaction.inner_text()
    assert "Webchat → WhatsApp" in switches.inner_text()
    assert lines(deliveries) == len(told["deliveries"])
    for number, each in enumerate(told["deliveries"]):
        line = deliveries.locator(".bars li").nth(number).inner_text()
        assert names[each["connection"]] in line
        assert (f"{each['parked']} geweigerd" in line) == (each["parked"] > 0)
        assert ("100%" in line) == (each["parked"] + each["waiting"] == 0)
    assert {names[each["connection"]] for each in told["deliveries"] if each["parked"]} >= {"Parcel partner"}


def lines(card: Any) -> int:
    found: int = card.locator(".bars > li").count()
    return found


def test_whether_everything_is_in_step_is_one_line(tab: Visit) -> None:
    said = tab.page.inner_text(".standing-now")
    assert "Niet alles is bij" in said and "Parcel partner (Geweigerd)" in said


def test_each_chart_is_a_table_too_and_stays_open(tab: Visit, world: World) -> None:
    for each in tab.page.locator("details summary").all():
        each.click()
    rows = tab.texts('[data-chart="volume"] tbody tr')
    assert len(rows) == 7 and str(volume(world)["fax"]) in rows[-1]
    assert len(tab.texts('[data-chart="deliveries"] tbody tr')) == len(world.who.get("/v1/stats")["deliveries"])
    tab.page.select_option("#days", "30")
    tab.page.locator('[data-chart="volume"] tbody tr').nth(29).wait_for()
    assert tab.page.locator("details[open]").count() == 4
    assert tab.page.url.endswith("#/overview?days=30")
    tab.page.reload()
    tab.page.wait_for_selector(".columns rect")
    assert tab.page.locator("#days").input_value() == "30"


def test_a_reader_sees_the_charts_and_nothing_of_the_destinations_state(browser: Browser, world: World) -> None:
    key = world.who.call("POST", "/v1/keys", 201, json={"name": "reader", "scopes": ["read"]})["key"]
    with visit(browser, world.who.url) as seen:
        seen.page.goto(f"{world.who.url}/console#t={key}")
        seen.page.wait_for_selector(".columns rect")
        assert "Parcel partner" not in seen.page.inner_text(".standing-now")
        assert seen.wrong == [], "what the key may not see is not asked for: a browser tells of each refusal by itself"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["nl-NL", "en-GB"])
def test_it_is_usable_by_everybody(browser: Browser, world: World, size: str, scheme: Any, locale: str) -> None:
    with visit(browser, world.who.url, size, color_scheme=scheme, locale=locale) as seen:
        opened(seen, world)
        for each in seen.page.locator("details summary").all():
            each.click()
        assert seen.wide() <= 0, "nothing is wider than the window"
        seen.page.evaluate(AXE)
        found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert found["passes"], "axe looked at something"
        assert json.dumps([[each["id"], each["nodes"][0]["html"][:200]] for each in found["violations"]]) == "[]"
        assert seen.wrong == []
