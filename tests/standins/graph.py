"""What Meta's messaging APIs share: tokens, versions, the shape of errors, the window, limits.

https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from tests.standins.server import Answer, Call, Standin

TOKEN = "EAAGm0PX4ZCpsBAKZCtoken"
PATH = re.compile(r"/v\d+\.\d+/(?P<account>\w+)/messages\Z")

Row = dict[str, Any]


class Graph(Standin):
    """`late`: people who wrote more than 24 hours ago. `unknown`: people of other accounts. `refused`: what
    each message to somebody is refused with: [status, code, subcode, message]."""

    account = "17841400000000001"
    window: tuple[int, int, int, str] = (400, 10, 2018278, "(#10) This message is sent outside of allowed window.")

    def reset(self) -> None:
        self.tokens = [TOKEN]
        self.late: set[str] = set()
        self.unknown: set[str] = set()
        self.refused: dict[str, list[Any]] = {}
        self.messages: list[Row] = []
        self._ids = itertools.count(501)

    def set(self, **told: Any) -> None:
        with self.lock:
            self.tokens = told.pop("tokens", self.tokens)
            self.late |= set(told.pop("late", ()))
            self.unknown |= set(told.pop("unknown", ()))
            self.refused |= told.pop("refused", {})
        super().set(**told)

    def state(self) -> Any:
        return {"messages": self.messages, "calls": len(self.calls)}

    def sent(self) -> list[str]:
        with self.lock:
            return [str(each["id"]) for each in self.messages]

    def answer(self, call: Call) -> Answer:
        if call.headers.get("authorization") not in {f"Bearer {token}" for token in self.tokens}:
            return self.error(401, 190, 0, "Invalid OAuth access token - Cannot parse access token")
        found = PATH.match(call.path)
        if found is None or found["account"] not in (self.account, "me"):
            return self.error(400, 100, 33, f"Unsupported post request. Object with ID '{call.path}' does not exist")
        if call.method != "POST" or "application/json" not in call.headers.get("content-type", ""):
            return self.error(400, 100, 0, "(#100) The parameter recipient is required.")
        return self.message(call.json)

    def message(self, told: Row) -> Answer:
        raise NotImplementedError

    def not_for(self, person: str, *, free: bool) -> Answer | None:
        if person in self.refused:
            status, code, subcode, message = self.refused[person]
            return self.error(status, code, subcode, message)
        if person in self.unknown:
            return self.error(400, 100, 2018001, "(#100) No matching user found")
        return self.error(*self.window) if free and person in self.late else None

    def keep(self, prefix: str, **told: Any) -> str:
        made = f"{prefix}{next(self._ids)}"
        self.messages.append({"id": made, **told})
        return made

    @staticmethod
    def unexpected(told: Row, known: set[str], needed: set[str]) -> str:
        """The first field that is missing, empty or not known here."""
        missing = sorted(name for name in needed if told.get(name) in (None, "", [], {}))
        return next(iter((*missing, *sorted(set(told) - known))), "")

    def error(self, status: int, code: int, subcode: int, message: str) -> Answer:
        told: Row = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Az8or2yhqkZfEZ"}
        return Answer(status, {"error": told | ({"error_subcode": subcode} if subcode else {})})
