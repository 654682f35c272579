"""RingCentral's subscriptions: https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from tests.standins.server import Answer, Call, Standin, run

PATH = "/restapi/v1.0/subscription"


class RingCentral(Standin):
    """`tries(address, token)`: our own hook, which must give the token back before a subscription is made."""

    clients: dict[str, str]
    jwt: str
    life: int
    subscriptions: dict[str, dict[str, Any]]
    tries: Callable[[str, str], Mapping[str, str]] | None = None

    def reset(self) -> None:
        self.clients, self.jwt, self.life = {"rc-client": "rc-secret"}, "eyJ.rc.jwt", 7 * 86400
        self.subscriptions = {}

    def state(self) -> Any:
        return {"subscriptions": self.subscriptions, "calls": len(self.calls)}

    def answer(self, call: Call) -> Answer:
        if call.path == "/restapi/oauth/token":
            return self._token(call)
        if call.headers.get("authorization") != "Bearer rc-access":
            return _error(401, "OAU-213", "Token not found")
        known = call.path.removeprefix(f"{PATH}/")
        if (call.method, call.path) == ("GET", PATH):
            return Answer(200, {"uri": PATH, "records": list(self.subscriptions.values())})
        if (call.method, call.path) == ("POST", PATH):
            return self._made(call)
        if known not in self.subscriptions:
            return _error(404, "CMN-102", "Resource for parameter [subscriptionId] is not found")
        if call.method == "DELETE":
            del self.subscriptions[known]
            return Answer(204)
        self.subscriptions[known] |= {"eventFilters": call.json["eventFilters"]} | self._lives(call)
        return Answer(200, self.subscriptions[known])

    def _token(self, call: Call) -> Answer:
        name, _, secret = base64.b64decode(call.headers.get("authorization", "")[6:]).decode().partition(":")
        told = dict(parse_qsl(call.body.decode()))
        granted = told.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        if self.clients.get(name) != secret or not granted or told.get("assertion") != self.jwt:
            return _error(401, "OAU-251", "Invalid client")
        return Answer(200, {"access_token": "rc-access", "token_type": "bearer", "expires_in": 3600})

    def _made(self, call: Call) -> Answer:
        mode = call.json["deliveryMode"]
        given = self.tries(mode["address"], "v-9f3c") if self.tries else {"Validation-Token": "v-9f3c"}
        if given.get("Validation-Token") != "v-9f3c" or given.get("Content-Type") not in (None, "application/json"):
            return _error(400, "SUB-525", "WebHook server response is invalid")
        name = f"sub-{len(self.calls)}"
        made = {"id": name, "status": "Active", "eventFilters": call.json["eventFilters"], "deliveryMode": mode}
        self.subscriptions[name] = made | self._lives(call)
        return Answer(200, self.subscriptions[name])

    def _lives(self, call: Call) -> dict[str, Any]:
        seconds = min(self.life, call.json.get("expiresIn", self.life))
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        return {"expiresIn": seconds, "expirationTime": f"{ends:%Y-%m-%dT%H:%M:%S}.000Z"}


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"errorCode": code, "message": message, "errors": [{"errorCode": code, "message": message}]})


if __name__ == "__main__":
    run(RingCentral)
