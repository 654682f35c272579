"""Twilio's Messages resource: https://www.twilio.com/docs/messaging/api/message-resource"""

from __future__ import annotations

import base64
import itertools
import json
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.standins.server import Answer, Call, Standin, run

PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>AC\w*)/Messages(?:/(?P<sid>\w+))?\.json\Z")
PARAMETERS = {"To", "From", "MessagingServiceSid", "Body", "ContentSid", "ContentVariables", "StatusCallback"}
ADDRESS = re.compile(r"(?:whatsapp:)?\+[1-9]\d{6,14}\Z|whatsapp:[A-Z]{2}\.\w+\Z")
LONGEST = 1600


class Twilio(Standin):
    """`message(sid, …)` makes one known; unknown sids are 404, as are those of other accounts. `stopped`: numbers
    that sent STOP. `own`: senders of the account. `contents`: what each template says. `trial`: words that a trial
    account puts first. Free text on WhatsApp is taken, and fails later, where the customer is `late`."""

    accounts: dict[str, str]
    messages: dict[str, dict[str, Any]]

    def reset(self) -> None:
        self.accounts = {"AC00000000000000000000000000000001": "twilio-auth-token"}
        self.messages = {}
        self.stopped: set[str] = set()
        self.late: set[str] = set()
        self.own = {"+31857773200", "whatsapp:+31857773200", "MG00000000000000000000000000000001"}
        self.contents = {"HX00000000000000000000000000000001": "Your order {{1}} waits for you at {{2}}."}
        self.trial = ""
        self.now = datetime(2026, 9, 5, 13, 10, tzinfo=UTC)
        self._ids = itertools.count(1)

    def set(
        self,
        *,
        accounts: dict[str, str] | None = None,
        messages: dict[str, dict[str, Any]] | None = None,
        **told: Any,
    ) -> None:
        self.stopped |= set(told.pop("stopped", ()))
        self.late |= set(told.pop("late", ()))
        self.trial = told.pop("trial", self.trial)
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

    def sent(self) -> list[str]:
        """What a customer got: nothing of what failed."""
        with self.lock:
            out = [each for each in self.messages.values() if each.get("direction") == "outbound-api"]
        return [str(each["sid"]) for each in out if each["status"] != "failed" and not each.get("earlier")]

    def add_earlier(self, sid: str, **more: Any) -> None:
        """A message that was sent before the one of the test."""
        self.message(sid, direction="outbound-api", status="delivered", earlier=True, **more)

    def add_many(self, count: int, **more: Any) -> None:
        for number in range(count):
            self.add_earlier(f"SM{number:05d}", body=f"Another {number}", **more)

    def answer(self, call: Call) -> Answer:
        found = PATH.match(call.path)
        if found is None or call.method != ("GET" if found["sid"] else call.method):
            return _error(404, 20404, f"The requested resource {call.path} was not found")
        expected = f"{found['account']}:{self.accounts.get(found['account'], '')}".encode()
        if call.headers.get("authorization") != f"Basic {base64.b64encode(expected).decode()}":
            return _error(401, 20003, "Authenticate")
        if not found["sid"]:
            return self._create(call) if call.method == "POST" else self._list(call)
        known = self.messages.get(found["sid"])
        if known is None or known.get("account_sid", found["account"]) != found["account"]:
            return _error(404, 20404, f"The requested resource {call.path} was not found")
        return Answer(200, {"account_sid": found["account"], "api_version": "2010-04-01", **known})

    def _create(self, call: Call) -> Answer:
        told = dict(parse_qsl(call.body.decode()))
        sender = told.get("From") or told.get("MessagingServiceSid", "")
        if call.headers.get("content-type") != "application/x-www-form-urlencoded" or set(told) - PARAMETERS:
            return _error(400, 21600, "An unknown parameter or media type")
        if not ADDRESS.match(told.get("To", "")):
            return _error(400, 21211, f"The 'To' number {told.get('To')} is not a valid phone number.")
        alike = sender.startswith("MG") or sender.startswith("whatsapp:") == told["To"].startswith("whatsapp:")
        if sender not in self.own or not alike:
            return _error(400, 21606, f"The From {sender} is not a sender of this account")
        if told["To"] in self.stopped:
            return _error(400, 21610, "Attempt to send to unsubscribed recipient")
        body = self._rendered(told)
        if body is None or not body.strip() or len(body) > LONGEST:
            return _error(400, 21656 if body is None else 21602 if not body else 21617, "The content is not taken")
        return Answer(201, self._made(told, body))

    def _rendered(self, told: dict[str, str]) -> str | None:
        if "ContentSid" not in told:
            return told.get("Body", "")
        content = self.contents.get(told["ContentSid"])
        for place, value in json.loads(told.get("ContentVariables", "{}")).items():
            content = content.replace(f"{{{{{place}}}}}", value) if content else None
        return content if content and "{{" not in content else None

    def _made(self, told: dict[str, str], body: str) -> dict[str, Any]:
        sid, moment = f"SM{next(self._ids):032d}", format_datetime(self.now)
        failed = told["To"] in self.late and "ContentSid" not in told
        known = {"sid": sid, "to": told["To"], "from": told.get("From"), "body": f"{self.trial}{body}"}
        known |= {"messaging_service_sid": told.get("MessagingServiceSid"), "direction": "outbound-api"}
        known |= {"status": "failed" if failed else "queued", "error_code": 63016 if failed else None}
        known |= {"date_created": moment, "date_updated": moment, "date_sent": None}
        self.messages[sid] = known
        return known | {"status": "queued", "error_code": None}

    def _list(self, call: Call) -> Answer:
        """Newest first, page by page. A message that waits in the queue has no DateSent."""
        page, size = int(call.query.get("Page", 0)), int(call.query.get("PageSize", 50))
        rows = [each for each in self.messages.values() if each.get("to") == call.query.get("To", each.get("to"))]
        rows.sort(key=lambda each: parsedate_to_datetime(each["date_created"]), reverse=True)
        shown = rows[page * size : (page + 1) * size]
        more = urlencode(call.query | {"Page": page + 1, "PageToken": f"PA{shown[-1]['sid']}"}) if shown else ""
        following = f"{call.path}?{more}" if len(rows) > (page + 1) * size else None
        return Answer(200, {"messages": shown, "page": page, "page_size": size, "next_page_uri": following})


def _rfc2822(instant: str) -> str:
    return format_datetime(datetime.fromisoformat(instant).astimezone(UTC))


def _error(status: int, code: int, message: str) -> Answer:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Answer(status, {"code": code, "message": message, "more_info": more, "status": status})


if __name__ == "__main__":
    run(Twilio)
