"""What we tell a system comes back from it over real HTTP, says whose record it is, and ends there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from chalicelib import destinations
from chalicelib.kit.request import Request
from chalicelib.model import instants
from infra.local.hub import Hub
from tests import drive
from tests.drive import Integrator, Sent, eventually
from tests.standins.server import Standin

pytestmark = pytest.mark.embedded

FIXTURES = Path(__file__).parent / "fixtures" / "destinations"
ROUNDS = 4
"""The record is made, which tells whose it is; being one more identity, that may be told once more."""


@pytest.fixture(autouse=True)
def _no_connection_stays(hub: Hub) -> Iterator[None]:
    """A destination that nobody plays any more would hold up whatever comes after."""
    yield
    who = Integrator(hub.url, hub.admin_key)
    for each in who.get("/v1/connections")["connections"]:
        who.call("DELETE", f"/v1/connections/{each['id']}")


def signed(slug: str, hook: str, body: bytes, secrets: dict[str, tuple[str, ...]]) -> Sent:
    module, source = import_module(f"chalicelib.destinations.{slug}"), destinations.load(slug).changes
    assert source is not None
    plain = Request("POST", hook, (("Content-Type", "application/json"),), body, instants.now())
    made = (getattr(module, "sign", None) or source.verify.sign)(plain, secrets)
    return Sent(hook, dict(made.headers), body)


def played(slug: str, standin: Standin, who: Integrator) -> dict[str, Any]:
    about = about_of(slug)
    back = about.get("changes", {"settings": {}, "secrets": {}})
    settings = {**about["settings"], **back["settings"]}
    secrets = {**about.get("entered", about["secrets"]), **back["secrets"]}
    told = json.loads(json.dumps(settings).replace("{url}", standin.url))
    return {**who.connect(slug, settings=told, secrets=secrets), "secrets": secrets}


def quiet(who: Integrator, mail: str) -> Any:
    found = who.customer(f"email:{mail}")
    return found if found and who.in_step(found["id"]) else None


def about_of(slug: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / slug / "connection.json").read_text("utf-8"))
    return found


def standin_of(slug: str) -> Standin:
    module, _, kind = about_of(slug)["standin"].partition(".")
    made: Standin = getattr(import_module(f"tests.standins.{module}"), kind)()
    return made


def shop_of(who: Integrator) -> dict[str, Any]:
    return who.connect("shopify", settings={"accounts": "verified"}, secrets={"client_secret": drive.SHOP_SECRET})


def bought(shop: dict[str, Any], number: int) -> None:
    mail, day = f"jan{number}@example.nl", "2026-09-02T20:15:00+02:00"
    order = drive.order(number, 900 + number, mail, f"+3161237{number:04d}", day)
    assert drive.shopify(shop["hook_url"], "orders/create", order).go() == 200


@pytest.mark.parametrize("slug", [slug for slug in destinations.slugs() if "entered" in about_of(slug)])
def test_a_system_that_gives_tokens_is_told(hub: Hub, slug: str) -> None:
    who, number = Integrator(hub.url, hub.admin_key), 7300 + destinations.slugs().index(slug)
    with standin_of(slug) as standin:
        shop = shop_of(who)
        played(slug, standin, who)
        bought(shop, number)
        eventually(lambda: standin.kept() and quiet(who, f"jan{number}@example.nl"))
        assert standin.people() == [quiet(who, f"jan{number}@example.nl")["id"]]


SLUGS = [slug for slug in destinations.slugs() if "changes" in about_of(slug)]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_push_that_comes_back_ends(hub: Hub, slug: str) -> None:
    who, mail = Integrator(hub.url, hub.admin_key), f"jan{7100 + SLUGS.index(slug)}@example.nl"
    with standin_of(slug) as standin:
        shop, crm = shop_of(who), played(slug, standin, who)
        bought(shop, 7100 + SLUGS.index(slug))
        eventually(lambda: standin.kept() and quiet(who, mail))
        secrets = {name: tuple(values) for name, values in crm["secrets"].items()}
        sent = 0
        for _ in range(ROUNDS):
            fresh = standin.changes()[sent:]
            assert [signed(slug, crm["hook_url"], body, secrets).go() for body in fresh] == [200] * len(fresh)
            sent += len(fresh)
            eventually(lambda told=sent: len(receipts(who, crm["id"])) == told and quiet(who, mail))
        assert sent and len(standin.changes()) == sent
        found = quiet(who, mail)
        assert [each for each in found["identities"] if str(each).find("crm:") >= 0], found["identities"]
        assert standin.people() == [found["id"]]
        assert len(standin.kept()) == 1


def receipts(who: Integrator, connection: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = who.get("/v1/receipts", connection=connection)["receipts"]
    assert not [each for each in found if each["verdict"] not in ("accepted", "duplicate")], found
    return found
