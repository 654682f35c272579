"""What admins operate with, in a real browser on a running hub: each view does what it says, and the hub agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.local.hub import Hub
from tests.drive import Integrator, eventually
from tests.standins.partner import SECRET, Partner
from tests.web import story
from tests.web.browser import Visit, visit
from tests.web.story import World, moment, person, ref

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.embedded

HERE = Path(__file__).parent
AXE = (HERE / "axe.min.js").read_text("utf-8")
VIEWS = [
    "customers",
    "deliveries",
    "drift",
    "health",
    "jobs",
    "rules",
    "rules/new",
    "audiences",
    "audiences/new",
    "keys",
    "erasures",
    "erasures/new",
    "settings",
]
OPEN_TO = {
    "read": ["Klanten", "Gezondheid"],
    "integrate": ["Koppelingen", "Afleveringen", "Gelijk lopen", "Gezondheid", "Taken"],
    "audience": ["Gezondheid", "Doelgroepen"],
}
WAIT_MS = 20_000


@pytest.fixture(scope="module")
def hub(own_hub: Hub) -> Hub:
    return own_hub


@pytest.fixture(scope="module")
def world(hub: Hub) -> Iterator[World]:
    with story.connected(Integrator(hub.url, hub.admin_key)) as made:
        sender = {"account_sid": "AC00000000000000000000000000000001", "from_number": "+31201112233"}
        made.who.connect("twilio", "Sms", settings=sender, secrets={"auth_token": "twilio-auth-token"})
        yield made


@pytest.fixture
def tab(browser: Browser, world: World) -> Iterator[Visit]:
    """A tab of an admin in which nothing may go wrong."""
    with visit(browser, world.who.url) as seen:
        signed_in(seen, world.who.key)
        yield seen
        assert seen.wrong == []


def signed_in(seen: Visit, key: str) -> None:
    kept = f"sessionStorage.setItem('draad.key', {json.dumps(key)})"
    seen.context.add_init_script(f"if (location.protocol === 'http:') {kept};")


def opened(seen: Visit, path: str) -> Visit:
    seen.page.goto(f"{seen.origin}/console#/{path}")
    seen.page.wait_for_selector("#view:not([hidden]) h1")
    return seen


def parked_order(world: World, number: int) -> str:
    """An order that the partner refuses; answers the delivery's id."""
    known = {each["id"] for each in parked(world)}
    phone = person("phone", f"+3161266{number:04d}")
    world.tell("order", "web", moment(hours=1), phone, refs=[ref("order", f"op-{number}")], details={
        "status": "created", "number": f"#op-{number}"})  # fmt: skip
    (found,) = eventually(lambda: [each for each in parked(world) if each["id"] not in known])
    return str(found["id"])


def parked(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.who.get("/v1/deliveries", status="parked")["deliveries"]
    return found


def status(world: World, delivery: str) -> str:
    return str(world.who.get(f"/v1/deliveries/{delivery}")["status"])


def test_a_key_is_made_shown_once_and_revoked(tab: Visit, world: World) -> None:
    opened(tab, "keys")
    tab.page.get_by_label("Naam").fill("kassa Utrecht")
    tab.page.get_by_label("Koppelen").check()
    tab.page.click("text=Sleutel maken")
    shown = tab.page.wait_for_selector(".copy code")
    assert shown is not None
    secret = shown.inner_text()
    mine = Integrator(world.who.url, secret).get("/v1/me")
    assert (mine["name"], mine["scopes"]) == ("kassa Utrecht", ["read", "integrate"])
    row = tab.page.locator("tr", has_text="kassa Utrecht")
    assert "Klanten lezen" in row.inner_text() and secret not in row.inner_text()
    opened(tab, "health")
    opened(tab, "keys")
    assert secret not in tab.page.content(), "it is never shown again"
    tab.page.locator("tr", has_text="kassa Utrecht").get_by_role("button").click()
    tab.page.locator("dialog").get_by_text("Intrekken", exact=True).click()
    tab.page.wait_for_selector("tr:has-text('kassa Utrecht'):has-text('ingetrokken')")
    Integrator(world.who.url, secret).call("GET", "/v1/me", 401)


def test_a_key_without_a_scope_is_marked(tab: Visit) -> None:
    opened(tab, "keys")
    tab.page.get_by_label("Klanten lezen").uncheck()
    tab.page.click("text=Sleutel maken")
    tab.page.wait_for_selector("#said.bad:has-text('Dat is niet gelukt: kies minstens één recht')")
    assert tab.page.locator(".copy").count() == 0
    tab.wrong.clear()  # the browser tells of the 422


def test_a_parked_delivery_is_seen_mended_and_redriven(tab: Visit, world: World) -> None:
    world.partner.behave("status", status=422, body={"error": "no such field", "field": "total"})
    delivery = parked_order(world, 1)
    opened(tab, "deliveries?status=parked")
    row = tab.page.locator(f"tr[data-id='{delivery}']")
    assert "Parcel partner" in row.inner_text() and "geparkeerd" in row.inner_text()
    row.locator("a").click()
    tab.page.wait_for_selector("h1:has-text('Parcel partner')")
    said = tab.page.inner_text("#view")
    assert "HTTP 422" in said and "no such field" in said
    assert "POST /in" in said and "#op-1" not in said, "the request is told without its values"
    world.partner.behave()
    tab.page.get_by_role("button", name="Opnieuw versturen").click()
    tab.page.wait_for_selector("#view .tag:has-text('afgeleverd')", timeout=WAIT_MS)
    assert status(world, delivery) == "delivered"
    assert tab.page.get_by_role("button", name="Opnieuw versturen").count() == 0


def test_a_range_is_redriven_with_progress(tab: Visit, world: World) -> None:
    world.partner.behave("status", status=422)
    deliveries = [parked_order(world, number) for number in (2, 3, 4)]
    world.partner.behave()
    opened(tab, "deliveries?status=parked")
    for each in deliveries:
        tab.page.wait_for_selector(f"tr[data-id='{each}']")
    tab.page.click("summary:has-text('Een heel tijdvak')")
    tab.page.locator("details select").select_option(label="Parcel partner")
    tab.page.get_by_role("button", name="Tijdvak opnieuw versturen").click()
    tab.page.wait_for_selector(".job .tag:has-text('Klaar')", timeout=WAIT_MS)
    eventually(lambda: [status(world, each) for each in deliveries] == ["delivered"] * 3, 20)
    gone = "ids => !ids.some(id => document.querySelector(`tr[data-id='${id}']`))"
    tab.page.wait_for_function(gone, arg=deliveries, timeout=WAIT_MS)
    opened(tab, "jobs")
    tab.page.wait_for_selector("tr:has-text('Afleveringen opnieuw verstuurd'):has-text('3')")
    tab.page.locator("tr", has_text="Afleveringen opnieuw verstuurd").first.locator("a").click()
    tab.page.wait_for_selector("h1:has-text('Afleveringen opnieuw verstuurd')")
    tab.page.wait_for_selector(".job .tag:has-text('Klaar')")


def test_comparing_finds_what_a_system_was_never_told(tab: Visit, world: World) -> None:
    world.tell("note", "desk", moment(2), person("phone", "+31612669000"), text="voor de koppeling")
    world.settled("phone:+31612669000", 1)
    with Partner() as late:
        settings, secrets = {"url": late.url + "/in"}, {"signing_secret": SECRET}
        made = world.who.connect("webhook", "Laatkomer", settings=settings, secrets=secrets)["id"]
        opened(tab, "drift")
        card = tab.page.locator(".card", has_text="Laatkomer")
        card.get_by_role("button", name="Nu vergelijken").click()
        card.locator(".tag", has_text="nooit doorgegeven").wait_for(timeout=WAIT_MS)
        eventually(lambda: any("voor de koppeling" in json.dumps(each) for each in late.taken.values()), 30)
        tab.page.select_option(".filters select", label="Laatkomer")
        tab.page.wait_for_function(
            "document.querySelectorAll('tbody tr').length > 0 || document.querySelector('.empty')"
        )
        world.who.call("DELETE", f"/v1/connections/{made}")


def test_health_says_why_and_what_to_do(tab: Visit, world: World) -> None:
    opened(tab, "health")
    tab.page.wait_for_selector(".card.good:has-text('Alles loopt')", timeout=WAIT_MS)
    made = next(each for each in world.who.get("/v1/connections")["connections"] if each["name"] == "Parcel partner")
    world.who.call("POST", f"/v1/connections/{made['id']}/pause")
    cause = tab.page.wait_for_selector("[data-cause=connection]", timeout=WAIT_MS)
    assert cause is not None and "gepauzeerd" in cause.inner_text() and "hervat" in cause.inner_text()
    assert made["id"] in (tab.page.get_attribute("[data-cause=connection] a", "href") or "")
    world.who.call("POST", f"/v1/connections/{made['id']}/resume")
    tab.page.wait_for_selector(".card.good:has-text('Alles loopt')", timeout=WAIT_MS)
    lag = eventually(lambda: world.who.get("/health")["stream_lag_seconds"] is not None and "known", 90)
    assert lag == "known", "the sweep's pulse came back along the stream"
    assert world.who.get("/health")["swept_at"]


def test_a_customer_is_found_by_name_mail_phone_and_order(tab: Visit, world: World) -> None:
    mail, phone, shop = (
        person("email", "willemijn@example.nl"),
        person("phone", "+31612668000"),
        person("shop", "668000", "A3"),
    )
    details = {"status": "created", "number": "#668000"}
    world.tell("order", "web", moment(1), shop, mail, phone, refs=[ref("order", "668000")], name="Willemijn Zoekraak", details=details)  # fmt: skip
    customer = world.settled("email:willemijn@example.nl", 1)
    opened(tab, "customers")
    for asked in ("Willemijn", "willemijn@example.nl", "06 12 66 80 00", "668000"):
        tab.page.fill("#customer-search", "")
        tab.page.wait_for_selector(".found", state="detached")
        tab.page.fill("#customer-search", asked)
        tab.page.wait_for_selector(f".found[data-id='{customer['id']}']", timeout=WAIT_MS)
        assert asked not in tab.page.url
    tab.page.click(".found a")
    tab.page.wait_for_url(f"**/customers/{customer['id']}")
    tab.page.wait_for_selector("#entries article")


def test_a_customer_is_erased_by_a_typed_word_and_the_certificate_shown(tab: Visit, world: World) -> None:
    world.tell("message", "whatsapp", moment(1), person("phone", "+31612667000"), name="Vera Vergeetmij", text="Dag")
    customer = world.settled("phone:+31612667000", 1)
    eventually(lambda: world.who.in_step(customer["id"]))
    opened(tab, "erasures")
    tab.page.click("text=Klant wissen")
    tab.page.fill("#customer-search", "Vera Verg")
    tab.page.click(".found a")
    tab.page.wait_for_selector("h1:has-text('Vera Vergeetmij wissen')")
    assert "phone:+31612667000" in tab.page.inner_text("#view") and "CRM" in tab.page.inner_text("#view")
    go = tab.page.get_by_role("button", name="Voorgoed wissen")
    assert go.is_disabled()
    tab.page.get_by_label("Reden").fill("gevraagd per e-mail")
    tab.page.get_by_label("Typ WISSEN").fill("wisse")
    assert go.is_disabled()
    tab.page.get_by_label("Typ WISSEN").fill("wissen")
    go.click()
    tab.page.wait_for_selector("h1:has-text('Bewijs van wissen')")
    tab.page.wait_for_selector("#view .card.good, #view .card.warn", timeout=60_000)
    said = tab.page.inner_text("#view")
    for line in ("Weigeren van wat te laat komt", "CRM", "Ontvangen webhooks", "Back-ups", "gevraagd per e-mail"):
        assert line in said, line
    assert "Vera" not in said and "12667000" not in said, "the certificate holds nothing of who was erased"
    world.who.call("GET", f"/v1/customers/{customer['id']}", 410)
    number = tab.page.url.rpartition("/")[2]
    opened(tab, "erasures")
    tab.page.wait_for_selector(f"tr[data-id='{number}']:has-text('Klaar')")


def test_a_rule_is_made_switched_changed_and_removed(tab: Visit, world: World) -> None:
    opened(tab, "rules")
    tab.page.click("text=Nieuwe regel")
    tab.page.wait_for_selector("h1:has-text('Nieuwe regel')")
    tab.page.click("text=Regel maken")
    tab.page.wait_for_selector(
        "[data-name='text/nl'] .wrong:has-text('is verplicht: wat de klant krijgt, in elke taal')"
    )
    tab.wrong.clear()  # the browser tells of the 422
    tab.page.get_by_label("Wanneer").select_option(label="Vragen na een gesloten zaak")
    tab.page.get_by_label("Tekst in het Nederlands").fill("Hoe ging het, {name}? Antwoord met {low} tot {high}.")
    tab.page.get_by_label("Schaal").fill("0 – 10")
    tab.page.click("text=Regel maken")
    row = tab.page.locator("tr", has_text="Vragen na een gesloten zaak")
    row.wait_for()
    (rule,) = world.who.get("/v1/rules")["rules"]
    assert (rule["kind"], rule["scale"], rule["on"]) == ("ask_satisfaction", [0, 10], True)
    row.get_by_text("Uitzetten").click()
    row.get_by_text("Aanzetten").wait_for()
    assert world.who.get("/v1/rules")["rules"][0]["on"] is False
    row.locator("a").click()
    tab.page.get_by_label("Tekst in het Engels").fill("How was it, {name}?")
    tab.page.get_by_role("button", name="Opslaan").click()
    row.wait_for()
    changed = world.who.get("/v1/rules")["rules"][0]
    assert set(changed["text"]) == {"nl", "en"} and changed["on"] is False
    row.get_by_text("Verwijderen").click()
    tab.page.locator("dialog").get_by_role("button", name="Verwijderen").click()
    tab.page.wait_for_selector(".empty")
    assert world.who.get("/v1/rules")["rules"] == []


def test_settings_are_saved_and_mistakes_marked(tab: Visit, world: World) -> None:
    before = world.who.get("/v1/settings")
    opened(tab, "settings")
    tab.page.get_by_label("Regio").fill("Nederland")
    tab.page.get_by_role("button", name="Opslaan").click()
    tab.page.wait_for_selector("[data-name=region] .wrong:has-text('moet twee hoofdletters zijn, zoals NL')")
    tab.wrong.clear()  # the browser tells of the 422
    assert world.who.get("/v1/settings") == before
    tab.page.get_by_label("Regio").fill("BE")
    tab.page.get_by_label("Adressen per kanaal").fill("whatsapp: +31201112299\nemail: info@shop.example")
    tab.page.get_by_label("Eigen nummers").fill("phone:+31201112299")
    tab.page.get_by_role("button", name="Opslaan").click()
    tab.page.wait_for_selector(".job .tag:has-text('Klaar')", timeout=WAIT_MS)
    after = world.who.get("/v1/settings")
    assert after == before | {
        "region": "BE",
        "own": ["phone:+31201112299"],
        "channels": {"whatsapp": "+31201112299", "email": "info@shop.example"},
    }
    world.who.call("PATCH", "/v1/settings", json=before)


def test_an_audience_is_defined_and_downloaded(tab: Visit, world: World) -> None:
    opened(tab, "audiences/new")
    tab.page.get_by_label("Naam").fill("Nieuwsbrief")
    tab.page.get_by_label("Toestemming voor").fill("marketing")
    tab.page.get_by_role("button", name="Opslaan").click()
    row = tab.page.locator("tr", has_text="Nieuwsbrief")
    row.wait_for()
    row.get_by_text("Exporteren").click()
    with tab.page.expect_download(timeout=WAIT_MS) as taken:
        tab.page.click("text=CSV downloaden", timeout=WAIT_MS)
    assert taken.value.suggested_filename == "audience.csv"
    assert Path(taken.value.path()).read_text("utf-8").startswith("customer,channel,address,name")
    row.get_by_text("Verwijderen").click()
    tab.page.locator("dialog").get_by_role("button", name="Verwijderen").click()
    tab.page.wait_for_selector(".empty")
    assert world.who.get("/v1/audiences")["audiences"] == []


@pytest.mark.parametrize("scope", OPEN_TO)
def test_a_key_sees_only_what_it_may(browser: Browser, world: World, scope: str) -> None:
    made = world.who.call("POST", "/v1/keys", 201, json={"name": scope, "scopes": [scope]})
    with visit(browser, world.who.url) as seen:
        signed_in(seen, made["key"])
        seen.page.goto(f"{world.who.url}/console#/health")
        seen.page.wait_for_selector("#view:not([hidden]) .card")
        shown = set(seen.texts("#nav a"))
        assert set(OPEN_TO[scope]) <= shown and not shown & {"Sleutels", "Gewist", "Instellingen"}
        assert seen.wrong == []


@pytest.mark.parametrize(("size", "scheme", "locale"), [("desk", "light", "nl-NL"), ("phone", "dark", "en-GB")])
def test_everybody_can_use_each_view(browser: Browser, world: World, size: str, scheme: Any, locale: str) -> None:
    with visit(browser, world.who.url, size, color_scheme=scheme, locale=locale) as seen:
        signed_in(seen, world.who.key)
        for path in [*VIEWS, *details(world)]:
            seen.page.goto("about:blank")
            opened(seen, path)
            seen.page.wait_for_function("!document.querySelector('.view:empty')")
            seen.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true;")
            assert broken_rules(seen) == [], path
            assert seen.wide() == 0, path
            assert keys_shown(seen) == [], path
        assert seen.wrong == []


def details(world: World) -> list[str]:
    """One of each that has a page of its own."""
    told = person("phone", "+31612665000")
    world.tell("message", "whatsapp", moment(1), told, text="Dag")
    world.tell("order", "web", moment(1), told, refs=[ref("order", "665000")], details={"status": "created"})
    customer = world.settled(f"phone:{told['value']}", 1)["id"]
    (delivery,) = eventually(lambda: world.who.get("/v1/deliveries", limit=1)["deliveries"])
    plan = f"erasures/new/{customer}"
    other = person("phone", "+31612664000")
    world.tell("message", "whatsapp", moment(), other, text="Dag")
    gone = world.settled(f"phone:{other['value']}", 1)["id"]
    erased = world.who.call("POST", f"/v1/customers/{gone}/erase", 202, json={})["erasure"]
    return [f"deliveries/{delivery['id']}", f"jobs/{erased}", f"erasures/{erased}", plan]


def keys_shown(seen: Visit) -> list[str]:
    """Keys of texts that a page shows in place of the text."""
    found: list[str] = seen.page.evaluate(
        "document.getElementById('view').innerText.match(/\\b(?:delivery|drift|erasure|health|job|key|rule|scope|settings)[_.][a-z_.]+\\b/g) ?? []"
    )
    return found


def broken_rules(seen: Visit) -> list[str]:
    """By axe-core; all of them."""
    seen.page.evaluate(AXE)
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert found["passes"], "axe looked at something"
    return [
        json.dumps([each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"]])
        for each in found["violations"]
    ]
