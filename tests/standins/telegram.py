"""Telegram's Bot API, sendMessage: https://core.telegram.org/bots/api#sendmessage"""

from __future__ import annotations

import itertools
import re
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
PATH = re.compile(r"/bot(?P<token>[^/]*)/(?P<method>\w+)\Z")
WELL_FORMED = re.compile(r"\d+:[\w-]{20,}\Z")
LONGEST = 4096
KNOWN = {"chat_id", "text", "reply_parameters"}


class Telegram(Standin):
    """`started`: people who started the bot. `blocked`: those of them who then blocked it. `wait`: seconds
    that everybody is told to wait."""

    lie = {"ok": False, "error_code": 500, "description": "Internal Server Error"}

    def reset(self) -> None:
        self.started = {"987654321", "987654322"}
        self.blocked: set[str] = set()
        self.wait = 0
        self.messages: list[dict[str, Any]] = []
        self._ids = itertools.count(501)

    def set(self, **told: Any) -> None:
        with self.lock:
            self.started |= set(told.pop("started", ()))
            self.blocked |= set(told.pop("blocked", ()))
            self.wait = told.pop("wait", self.wait)
        super().set(**told)

    def state(self) -> Any:
        return {"messages": self.messages, "calls": len(self.calls)}

    def sent(self) -> list[str]:
        with self.lock:
            return [f"{each['chat']['id']}/{each['message_id']}" for each in self.messages]

    def answer(self, call: Call) -> Answer:
        found = PATH.match(call.path)
        if found is None or not WELL_FORMED.match(found["token"]) or found["method"] != "sendMessage":
            return _error(404, "Not Found")
        if found["token"] != TOKEN:
            return _error(401, "Unauthorized")
        if self.wait:
            told = {"ok": False, "error_code": 429, "description": f"Too Many Requests: retry after {self.wait}"}
            return Answer(429, told | {"parameters": {"retry_after": self.wait}})
        return self._send(call.json)

    def _send(self, told: Any) -> Answer:
        text, chat = told.get("text"), str(told.get("chat_id", ""))
        if set(told) - KNOWN or not isinstance(text, str) or not text.strip():
            return _error(400, "Bad Request: message text is empty")
        if len(text) > LONGEST:
            return _error(400, "Bad Request: message is too long")
        if chat not in self.started:
            return _error(400, "Bad Request: chat not found")
        if chat in self.blocked:
            return _error(403, "Forbidden: bot was blocked by the user")
        answered = told.get("reply_parameters", {})
        if answered and not (answered.get("allow_sending_without_reply") or self._known(answered.get("message_id"))):
            return _error(400, "Bad Request: message to be replied not found")
        made = {"message_id": next(self._ids), "date": 1788253200, "text": text}
        made["chat"] = {"id": int(chat), "type": "private"}
        self.messages.append(made)
        return Answer(200, {"ok": True, "result": made})

    def _known(self, number: Any) -> bool:
        return any(each["message_id"] == number for each in self.messages)


def _error(status: int, description: str) -> Answer:
    return Answer(status, {"ok": False, "error_code": status, "description": description})


if __name__ == "__main__":
    run(Telegram)
