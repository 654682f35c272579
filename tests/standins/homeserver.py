"""A real homeserver of its own on loopback, with the hub as its application service.

Its packages are not ours: `make homeserver` puts them into a virtual environment beside ours, and
HOMESERVER_PYTHON names the interpreter that has them.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from infra.local.embedded import free_port
from tests.drive import eventually

SERVER = "tc.example"
HS_TOKEN, AS_TOKEN = "hs-token-of-the-homeserver-test", "as-token-of-the-homeserver-test"
PYTHON = os.environ.get("HOMESERVER_PYTHON", "")


def installed() -> bool:
    return bool(PYTHON) and subprocess.run([PYTHON, "-c", "import synapse"], capture_output=True).returncode == 0


class Homeserver:
    def __init__(self, folder: Path, hook: str, hs_token: str = HS_TOKEN) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self._configure(hook, hs_token)

    def __enter__(self) -> Homeserver:
        run = [PYTHON, "-m", "synapse.app.homeserver", "-c", str(self.folder / "homeserver.yaml")]
        subprocess.run([*run, "--generate-keys"], check=True, capture_output=True, cwd=self.folder)
        self._output = self.log.open("wb")
        self._child = subprocess.Popen(run, cwd=self.folder, stdout=self._output, stderr=subprocess.STDOUT)
        eventually(self._answers)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._child.terminate()
        self._child.wait(timeout=30)
        self._output.close()

    def _answers(self) -> bool:
        assert self._child.poll() is None, self.log.read_text("utf-8", "replace")[-3000:]
        try:
            return requests.get(f"{self.url}/_matrix/client/versions", timeout=2).ok
        except requests.ConnectionError:
            return False

    def _configure(self, hook: str, hs_token: str) -> None:
        service = {
            "id": "draad",
            "url": hook,
            "as_token": AS_TOKEN,
            "hs_token": hs_token,
            "sender_localpart": "draad",
            "rate_limited": False,
            "namespaces": {"users": [{"exclusive": False, "regex": f"@.*:{SERVER}"}], "rooms": [], "aliases": []},
        }
        calm = {"per_second": 1000, "burst_count": 1000}
        settings: dict[str, Any] = {
            "server_name": SERVER,
            "pid_file": str(self.folder / "pid"),
            "listeners": [
                {
                    "port": self.port,
                    "bind_addresses": ["127.0.0.1"],
                    "type": "http",
                    "resources": [{"names": ["client"], "compress": False}],
                }
            ],
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "media_store_path": str(self.folder / "media"),
            "signing_key_path": str(self.folder / "signing.key"),
            "trusted_key_servers": [],
            "report_stats": False,
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "app_service_config_files": [str(self.folder / "service.yaml")],
            "macaroon_secret_key": "m" * 32,
            "form_secret": "f" * 32,
            "rc_message": calm,
            "rc_registration": calm,
            "rc_login": {"address": calm, "account": calm, "failed_attempts": calm},
        }
        (self.folder / "service.yaml").write_text(json.dumps(service), "utf-8")
        (self.folder / "homeserver.yaml").write_text(json.dumps(settings), "utf-8")


class User:
    """Somebody with an account, by the client-server API."""

    def __init__(self, server: Homeserver, name: str) -> None:
        self.server, self.id = server, f"@{name}:{SERVER}"
        self.transaction = 0
        asked = {"username": name, "password": f"{name}-password", "auth": {"type": "m.login.dummy"}}
        self.token = self._call("POST", "register", asked, token="")["access_token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, path, body or {}, self.token)

    def _call(self, method: str, path: str, body: Any, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.server.url}/_matrix/client/v3/{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=20)
        assert answer.ok, (path, answer.status_code, answer.text)
        return answer.json()

    def named(self, name: str) -> None:
        self.call("PUT", f"profile/{self.id}/displayname", {"displayname": name})

    def room(self, *invited: User) -> str:
        found: str = self.call("POST", "createRoom", {"invite": [each.id for each in invited], "is_direct": True})[
            "room_id"
        ]
        return found

    def join(self, room: str) -> None:
        self.call("POST", f"rooms/{room}/join")

    def send(self, room: str, content: dict[str, Any], kind: str = "m.room.message") -> str:
        self.transaction += 1
        found: str = self.call("PUT", f"rooms/{room}/send/{kind}/{self.transaction}", content)["event_id"]
        return found

    def say(self, room: str, text: str) -> str:
        return self.send(room, {"msgtype": "m.text", "body": text})

    def edit(self, room: str, event: str, text: str) -> str:
        return self.send(
            room,
            {
                "msgtype": "m.text",
                "body": f"* {text}",
                "m.new_content": {"msgtype": "m.text", "body": text},
                "m.relates_to": {"rel_type": "m.replace", "event_id": event},
            },
        )

    def redact(self, room: str, event: str) -> None:
        self.transaction += 1
        self.call("PUT", f"rooms/{room}/redact/{event}/{self.transaction}", {"reason": "oeps"})
