"""Postmark's email and messages APIs: https://postmarkapp.com/developer/api/email-api"""

from __future__ import annotations

import uuid
from email.utils import parseaddr
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

TOKEN = "b4b5f2ce-3a2f-4b6d-9d4d-7f0f3f2b9a11"
KNOWN = {"From", "To", "Subject", "TextBody", "MessageStream", "Metadata", "ReplyTo", "Headers"}
FORBIDDEN = {"from", "to", "subject", "message-id", "content-type"}
LONGEST_NAME, LONGEST_VALUE, MOST = 20, 80, 10

Row = dict[str, Any]


class Postmark(Standin):
    """`senders`: confirmed addresses. `inactive`: addresses that take no mail. `paid`: whether the account may
    send. What was sent is not in the search until `settle()`."""

    lie = {"ErrorCode": 500, "Message": "Internal error"}

    def reset(self) -> None:
        self.senders = {"service@tc.example"}
        self.inactive: set[str] = set()
        self.paid = True
        self.searches_metadata = True
        self.mails: list[Row] = []
        self._shown = 0

    def set(self, **told: Any) -> None:
        with self.lock:
            self.senders |= set(told.pop("senders", ()))
            self.inactive |= set(told.pop("inactive", ()))
            self.paid = told.pop("paid", self.paid)
            self.searches_metadata = told.pop("searches_metadata", self.searches_metadata)
        super().set(**told)

    def state(self) -> Any:
        return {"mails": self.mails, "calls": len(self.calls)}

    def sent(self) -> list[str]:
        with self.lock:
            return [str(each["MessageID"]) for each in self.mails]

    def settle(self) -> None:
        with self.lock:
            self._shown = len(self.mails)

    def add_mail(self, key: str) -> None:
        """Sent before, and in the search."""
        self._send({"To": "jan@example.nl", "Metadata": {"draad_key": key}})
        self.settle()

    def answer(self, call: Call) -> Answer:
        if call.headers.get("x-postmark-server-token") != TOKEN:
            return _error(401, 10, "The Server Token you provided in the X-Postmark-Server-Token request header")
        if "application/json" not in call.headers.get("accept", ""):
            return Answer(404, b"")
        if (call.method, call.path) == ("POST", "/email"):
            return self._refused(call.json) or self._send(call.json)
        if (call.method, call.path) == ("GET", "/messages/outbound"):
            return self._search(call.query)
        return Answer(404, b"")

    def _refused(self, told: Row) -> Answer | None:
        if not self.paid:
            return _error(422, 405, "Your account has run out of credits.")
        if set(told) - KNOWN or not _address(told.get("To")) or not told.get("TextBody"):
            return _error(422, 300, "Invalid email request")
        if _address(told.get("From")) not in self.senders:
            return _error(422, 400, "The 'From' address you supplied is not a Sender Signature on your account.")
        metadata = told.get("Metadata", {})
        if len(metadata) > MOST or any(len(k) > LONGEST_NAME or len(v) > LONGEST_VALUE for k, v in metadata.items()):
            return _error(422, 300, "Invalid metadata content")
        if any(each["Name"].lower() in FORBIDDEN for each in told.get("Headers", [])):
            return _error(422, 300, "A header may not be set this way")
        if _address(told["To"]) in self.inactive:
            return _error(422, 406, "You tried to send to a recipient that has been marked as inactive.")
        return None

    def _send(self, told: Row) -> Answer:
        made = str(uuid.uuid5(uuid.NAMESPACE_URL, f"mail {len(self.mails)}"))
        self.mails.append({"MessageID": made, **told})
        sent = {"To": told["To"], "SubmittedAt": "2026-09-01T09:00:00.0000000Z", "MessageID": made}
        return Answer(200, {**sent, "ErrorCode": 0, "Message": "OK"})

    def _search(self, query: dict[str, str]) -> Answer:
        if "count" not in query or "offset" not in query:
            return _error(422, 602, "The count and offset parameters are required")
        stream = query.get("messagestream", "outbound")
        wanted = {name.removeprefix("metadata_"): query[name] for name in query if name.startswith("metadata_")}
        wanted = wanted if self.searches_metadata else {}
        if len(wanted) > 1:
            return _error(422, 602, "You can only search by one metadata field")
        found = [
            {"MessageID": each["MessageID"], "Metadata": each.get("Metadata", {}), "Status": "Sent"}
            for each in self.mails[: self._shown]
            if each.get("MessageStream", "outbound") == stream and wanted.items() <= each.get("Metadata", {}).items()
        ]
        return Answer(200, {"TotalCount": len(found), "Messages": found[: int(query["count"])]})


def _address(value: Any) -> str:
    return parseaddr(str(value or ""))[1].lower()


def _error(status: int, code: int, message: str) -> Answer:
    return Answer(status, {"ErrorCode": code, "Message": message})


if __name__ == "__main__":
    run(Postmark)
