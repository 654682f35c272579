"""LINE's push messages: https://developers.line.biz/en/reference/messaging-api/#send-push-message"""

from __future__ import annotations

import itertools
import re
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

TOKEN = "line-channel-access-token"
USER = re.compile(r"U[0-9a-f]{32}\Z")
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z")
LONGEST, MOST = 5000, 5


class Line(Standin):
    """`quota`: messages left this month; None: no end. `busy`: whether there are too many requests."""

    def reset(self) -> None:
        self.quota: int | None = None
        self.busy = False
        self.accepted: dict[str, tuple[str, list[dict[str, str]]]] = {}
        self.messages: list[dict[str, Any]] = []
        self._ids = itertools.count(461230966842064897)

    def set(self, **told: Any) -> None:
        with self.lock:
            self.quota = told.pop("quota", self.quota)
            self.busy = told.pop("busy", self.busy)
        super().set(**told)

    def state(self) -> Any:
        return {"messages": self.messages, "calls": len(self.calls)}

    def sent(self) -> list[str]:
        with self.lock:
            return [str(each["id"]) for each in self.messages]

    def forget_keys(self) -> None:
        """A day goes by."""
        with self.lock:
            self.accepted.clear()

    def answer(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Authentication failed. Confirm that the access token is valid."})
        if (call.method, call.path) != ("POST", "/v2/bot/message/push"):
            return Answer(404, {"message": "Not found"})
        key = call.headers.get("x-line-retry-key", "")
        if key and not UUID.match(key):
            return Answer(400, {"message": "The retry key is invalid"})
        if key in self.accepted:
            request, sent = self.accepted[key]
            told = {"message": "The retry key is already accepted", "sentMessages": sent}
            return Answer(409, told, {"x-line-accepted-request-id": request})
        return self._refused(call.json) or self._push(call.json, key)

    def _refused(self, told: Any) -> Answer | None:
        if self.busy:
            return Answer(429, {"message": "The API rate limit has been exceeded. Try again later."})
        messages = told.get("messages")
        if not USER.match(str(told.get("to", ""))):
            return Answer(400, {"message": "The property, 'to', in the request body is invalid (line: -, column: -)"})
        if set(told) != {"to", "messages"} or not isinstance(messages, list) or not 0 < len(messages) <= MOST:
            return Answer(400, {"message": "The request body has 1 error(s)"})
        texts = [str(each.get("text", "")) for each in messages if each.get("type") == "text"]
        if len(texts) < len(messages) or not all(0 < len(each.encode("utf-16-le")) // 2 <= LONGEST for each in texts):
            return Answer(400, {"message": "The request body has 1 error(s)", "details": [{"property": "messages[0]"}]})
        if self.quota is not None and self.quota < len(messages):
            return Answer(429, {"message": "You have reached your monthly limit."})
        return None

    def _push(self, told: Any, key: str) -> Answer:
        sent = [{"id": str(next(self._ids)), "quoteToken": "IStG5h1Tz7b"} for _ in told["messages"]]
        self.messages += [{"id": each["id"], "to": told["to"]} for each in sent]
        if self.quota is not None:
            self.quota -= len(sent)
        request = f"123e4567-e89b-12d3-a456-{len(self.messages):012d}"
        if key:
            self.accepted[key] = request, sent
        return Answer(200, {"sentMessages": sent}, {"x-line-request-id": request})


if __name__ == "__main__":
    run(Line)
