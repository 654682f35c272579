"""Twilio's Messages resource: https://www.twilio.com/docs/messaging/api/message-resource"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>AC\w*)/Messages/(?P<sid>\w+)\.json\Z")


class Twilio(Standin):
    """`message(sid, …)` makes one known; unknown sids are 404, as are those of other accounts."""

    accounts: dict[str, str]
    messages: dict[str, dict[str, Any]]

    def reset(self) -> None:
        self.accounts = {"AC00000000000000000000000000000001": "twilio-auth-token"}
        self.messages = {}

    def set(
        self,
        *,
        accounts: dict[str, str] | None = None,
        messages: dict[str, dict[str, Any]] | None = None,
        **told: Any,
    ) -> None:
        super().set(**told)
        with self.lock:
            self.accounts |= accounts or {}
        for sid, known in (messages or {}).items():
            self.message(sid, **known)

    def message(self, sid: str, created: str, updated: str = "", **more: Any) -> None:
        """Times are ISO; the answer gives them as RFC 2822, as the vendor does."""
        known = {"sid": sid, "date_created": _rfc2822(created), "date_updated": _rfc2822(updated or created), **more}
        known["date_sent"] = known["date_updated"]
        with self.lock:
            self.messages[sid] = known

    def state(self) -> Any:
        return {"messages": self.messages, "calls": len(self.calls)}

    def answer(self, call: Call) -> Answer:
        found = PATH.match(call.path)
        if found is None or call.method != "GET":
            return _error(404, 20404, f"The requested resource {call.path} was not found")
        expected = f"{found['account']}:{self.accounts.get(found['account'], '')}".encode()
        if call.headers.get("authorization") != f"Basic {base64.b64encode(expected).decode()}":
            return _error(401, 20003, "Authenticate")
        known = self.messages.get(found["sid"])
        if known is None or known.get("account_sid", found["account"]) != found["account"]:
            return _error(404, 20404, f"The requested resource {call.path} was not found")
        return Answer(200, {"account_sid": found["account"], "api_version": "2010-04-01", **known})


def _rfc2822(instant: str) -> str:
    return format_datetime(datetime.fromisoformat(instant).astimezone(UTC))


def _error(status: int, code: int, message: str) -> Answer:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Answer(status, {"code": code, "message": message, "more_info": more, "status": status})


if __name__ == "__main__":
    run(Twilio)
