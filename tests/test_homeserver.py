"""A real homeserver's rooms on the timeline of the customer: what is said, changed and taken back, by whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.hub import Hub
from tests.drive import Integrator, eventually
from tests.standins import homeserver
from tests.standins.homeserver import HS_TOKEN, SERVER, Homeserver, User

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(not homeserver.installed(), reason="no homeserver is installed: make homeserver"),
]


@pytest.fixture
def connected(hub: Hub) -> Iterator[tuple[Integrator, dict[str, Any]]]:
    who = Integrator(hub.url, hub.admin_key)
    settings = {"agents": [f"@agent_*:{SERVER}"], "bots": [f"@draad:{SERVER}"]}
    made = who.connect("matrix", settings=settings, secrets={"hs_token": HS_TOKEN})
    yield who, made
    who.call("DELETE", f"/v1/connections/{made['id']}")


def test_what_is_said_in_a_room_is_on_the_customers_timeline(
    connected: tuple[Integrator, dict[str, Any]], tmp_path: Path
) -> None:
    who, made = connected
    with Homeserver(tmp_path, made["hook_url"]) as server:
        jan, fatima = User(server, "jan"), User(server, "agent_fatima")
        jan.named("Jan de Vries")
        room = jan.room(fatima)
        fatima.join(room)
        asked = jan.say(room, "Hebben jullie maat 41?")
        fatima.say(room, "Ja, in Utrecht.")
        jan.edit(room, asked, "Hebben jullie maat 42?")
        slip = jan.say(room, "Verkeerd gesprek")
        jan.redact(room, slip)
        timeline = eventually(lambda: entries_of(who, jan.id, 6))
    said = [(each["type"], each["actor"], each["text"], each["details"].get("status", "")) for each in timeline]
    assert said == [
        ("identify", "customer", "", ""),
        ("message", "customer", "Hebben jullie maat 41?", ""),
        ("message", "agent", "Ja, in Utrecht.", ""),
        ("message", "customer", "Hebben jullie maat 42?", "edited"),
        ("message", "customer", "Verkeerd gesprek", ""),
        ("message", "customer", "", "deleted"),
    ]
    receipts = who.get("/v1/receipts", connection=made["id"], limit=200)["receipts"]
    assert {each["verdict"] for each in receipts} <= {"accepted", "ignored"}
    keys = [int(each["delivery_key"]) for each in receipts]
    assert len(set(keys)) == len(keys) and min(keys) == 1


def entries_of(who: Integrator, user: str, count: int) -> list[dict[str, Any]]:
    """Oldest first, once there are `count` of them."""
    found = who.customer(f"matrix:{SERVER}/{user}")
    lines = who.entries(found["id"])[::-1] if found else []
    return lines if len(lines) >= count else []


def test_what_was_refused_is_sent_again_when_the_secret_is_right(
    connected: tuple[Integrator, dict[str, Any]], tmp_path: Path
) -> None:
    """The homeserver keeps its transaction until it is taken: nothing of a wrong secret's time is lost."""
    who, made = connected
    with Homeserver(tmp_path, made["hook_url"], hs_token="another-token") as server:
        noor = User(server, "noor")
        room = noor.room()
        noor.say(room, "Is er iemand?")
        eventually(lambda: who.get(f"/v1/connections/{made['id']}")["refusals"])
        assert who.customer(f"matrix:{SERVER}/{noor.id}") is None
        who.call("POST", f"/v1/connections/{made['id']}/rotate", json={"secrets": {"hs_token": "another-token"}})
        timeline = eventually(lambda: entries_of(who, noor.id, 2), seconds=150)
    assert timeline[-1]["text"] == "Is er iemand?"
