"""The hub with the two real systems around it, all their webhooks on one road."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.drive import Integrator
from tests.real.desk import Desk
from tests.real.installed import PYTHON
from tests.real.relay import Relay
from tests.standins.homeserver import HS_TOKEN, SERVER, Homeserver

MAPPING = Path(__file__).with_name("desk_mapping.json")
PATH_SECRET = "a-long-random-path-secret"


class World:
    def __init__(self, who: Integrator, relay: Relay, folder: Path) -> None:
        self.who, self.relay = who, relay
        rooms = {"agents": [f"@agent_*:{SERVER}"], "bots": [f"@draad:{SERVER}"]}
        self.chat: dict[str, Any] = who.connect("matrix", settings=rooms, secrets={"hs_token": HS_TOKEN})
        self.cases: dict[str, Any] = who.connect(
            "generic",
            "help desk",
            settings={"auth": "path", "channel": "desk", "account": "tc", "own_system": True},
            secrets={"path_secret": PATH_SECRET},
            mapping=json.loads(MAPPING.read_text("utf-8")),
        )
        for name in ("rooms", "desk"):
            (folder / name).mkdir()
        self.server = Homeserver(folder / "rooms", relay.hook(self.chat["hook_url"]))
        self.desk = Desk(folder / "desk", PYTHON, f"{relay.hook(self.cases['hook_url'])}/{PATH_SECRET}")
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(self.server)
        self._running.enter_context(self.desk)

    def stop(self) -> None:
        self._running.close()

    def token(self, room: str, channel: str = "desk") -> str:
        asked = {"connection": self.chat["id"], "thread": room, "channel": channel}
        text: str = self.who.call("POST", "/v1/handovers", 201, json=asked)["text"]
        return text

    def entries(self, identity: str) -> list[dict[str, Any]]:
        """Oldest first; none while nobody is known by that identity."""
        found = self.who.customer(identity)
        return self.who.entries(found["id"])[::-1] if found else []

    def customer(self, identity: str) -> dict[str, Any]:
        found = self.who.customer(identity)
        assert found, identity
        shown: dict[str, Any] = self.who.get(f"/v1/customers/{found['id']}")
        return shown

    def receipts(self, connection: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.who.get("/v1/receipts", connection=connection["id"], limit=200)["receipts"]
        return found
