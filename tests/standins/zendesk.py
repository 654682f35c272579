"""Zendesk's Support API: users, tickets with their comments, profile events, answers to a survey, the export of
ticket events.

https://developer.zendesk.com/api-reference/ticketing/users/users/
https://developer.zendesk.com/api-reference/ticketing/users/events-api/events-api/
https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/
"""

from __future__ import annotations

import base64
import itertools
import re
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

EMAIL, TOKEN, ACCESS = "hub@tc.example", "6wiIBWbGkBMo1mRDMuVwkw1EPsNkeUj95PIz2akv", "oauth-access-token"
USER_FIELDS = frozenset(
    {"name", "email", "phone", "external_id", "role", "verified", "skip_verify_email", "user_fields", "locale"}
) | frozenset({"notes", "details", "tags", "organization_id", "time_zone", "identities", "active"})
STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
MARK = re.compile(r"^draad:(\S+)\s*\Z", re.MULTILINE)
PATH = re.compile(r"/api/v2/(?P<kind>[a-z_]+)(?:/(?P<id>[^/]+))?(?:/(?P<more>.+))?\Z")
MAX_COMMENT = 65_535
EXPORTS_A_MINUTE, EXPORTED_AT_ONCE = 10, 1000
INTEGRATION_USER = 8447388099999

Row = dict[str, Any]


class Zendesk(Standin):
    """`limit`: requests a minute. `user_limit`: changes of one user a minute, refused in plain text.
    `plan_has_events`: whether the Events API is switched on. `deleted_update`: how a change of a
    deleted user is answered, 404 or 200 with active: false."""

    lie: Any = {"error": "InternalError", "description": "lies with a 200"}
    hubs = itertools.count(10_001, 10_000)

    @classmethod
    def of_a_hub(cls) -> Zendesk:
        """One with ids of its own: a hub that lives longer knows each as the same account."""
        made = cls()
        made._ids = itertools.count(next(cls.hubs))
        return made

    def reset(self) -> None:
        self.credentials = {(EMAIL, TOKEN)}
        self.access_tokens = {ACCESS}
        self.limit = 0
        self.user_limit = 0
        self.plan_has_events = True
        self.deleted_update = 404
        self.users: dict[str, Row] = {}
        self.tickets: dict[str, Row] = {}
        self.comments: dict[str, list[Row]] = {}
        self.events: dict[str, list[Row]] = {}
        self.surveys: list[Row] = []
        self.forgotten: list[str] = []
        self.mails: list[str] = []
        self.updates: list[Row] = []
        self.exported_at_once = EXPORTED_AT_ONCE
        self.created = 0
        self._ids = itertools.count(501)
        self._recent: dict[str, deque[float]] = {}
        self._keys: dict[str, tuple[bytes, Answer]] = {}

    def set(self, **told: Any) -> None:
        for name in ("limit", "user_limit", "plan_has_events", "deleted_update", "surveys"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {
            "users": self.users,
            "tickets": self.tickets,
            "comments": self.comments,
            "events": self.events,
            "forgotten": self.forgotten,
            "verification_mails": self.mails,
            "created": self.created,
            "calls": len(self.calls),
        }

    def kept(self) -> list[str]:
        """Our event ids in the profiles of users that are there, and in private notes on their tickets."""
        with self.lock:
            found = [
                each["properties"].get("event_id", "") for key in self._active() for each in self.events.get(key, [])
            ]
            for number, comments in self.comments.items():
                if str(self.tickets[number]["requester_id"]) in self.users:
                    found += [
                        mark[1] for each in comments if not each["public"] and (mark := MARK.search(each["body"]))
                    ]
            return [each for each in found if each]

    def people(self) -> list[str]:
        with self.lock:
            return [self.users[key]["external_id"] or "" for key in self._active()]

    def records_of(self, event: str) -> list[str]:
        """Users with the event in their profile, or with the note on a ticket of theirs."""
        with self.lock:
            of_events = [key for key in self._active() if event in self.events_of(key)]
            of_notes = [
                str(self.tickets[number]["requester_id"])
                for number, comments in self.comments.items()
                if any((mark := MARK.search(each["body"])) and mark[1] == event for each in comments)
            ]
            return [*of_events, *(each for each in of_notes if each in self._active())]

    def events_of(self, user: str) -> list[str]:
        """Our event id of every event in a user's profile."""
        return [each["properties"].get("event_id", "") for each in self.events.get(user, [])]

    def add_user(self, **fields: Any) -> str:
        """One that somebody made by hand, or who wrote a mail."""
        with self.lock:
            return str(self._make_user(fields)["id"])

    def add_address(self, user: str, email: str) -> None:
        """One more, by hand."""
        with self.lock:
            self._keep(self.users[user], {"email": email})

    def remove_user(self, id: str) -> None:
        with self.lock:
            self._delete_user(id)

    def add_ticket(self, **fields: Any) -> str:
        with self.lock:
            number = str(fields.pop("id", "") or next(self._ids))
            self.tickets[number] = {
                "id": int(number),
                "external_id": None,
                "status": "open",
                "subject": "",
                "priority": None,
                "custom_fields": [],
                "via": {"channel": "web"},
                "created_at": "2026-09-01T09:00:00Z",
                "updated_at": "2026-09-01T09:00:00Z",
            } | fields
            self.comments.setdefault(number, [])
            return number

    def add_update(self, ticket: str, at: int, by: int, *, made: bool = False, **comment: Any) -> Row:
        """An update of a ticket at a unix second, with a comment where one is named; `made`: the one that made it."""
        with self.lock:
            moment = _moment(at)
            parts: list[Row] = [{"id": next(self._ids), "event_type": "Create", "status": "new"}] if made else []
            if comment:
                told = {"id": next(self._ids), "type": "Comment", "event_type": "Comment", "author_id": by}
                parts.append(told | {"public": True, "attachments": [], "created_at": moment} | comment)
            update = {"id": next(self._ids), "ticket_id": int(ticket), "timestamp": at, "created_at": moment}
            self.updates.append(update | {"updater_id": by, "event_type": "Audit", "child_events": parts})
            return self.updates[-1]

    def close_ticket(self, id: str, status: str = "closed") -> None:
        with self.lock:
            self.tickets[id]["status"] = status

    def _active(self) -> list[str]:
        return [key for key, row in self.users.items() if row["active"] and row["role"] == "end-user"]

    def answer(self, call: Call) -> Answer:
        if not self._authentic(call.headers.get("authorization", "")):
            return Answer(401, {"error": "Couldn't authenticate you"})
        if self._busy("account", self.limit):
            return _wait(
                Answer(429, {"error": "APIRateLimitExceeded", "description": "Number of allowed requests exceeded"})
            )
        found = PATH.match(call.path.removesuffix(".json"))
        if found is None:
            return _missing()
        answer = getattr(self, f"_{found['kind']}", None) if found["kind"] in KINDS else None
        return answer(call, found["id"] or "", found["more"] or "") if answer else _missing()

    def _authentic(self, given: str) -> bool:
        scheme, _, rest = given.partition(" ")
        if scheme == "Bearer":
            return rest in self.access_tokens
        pairs = {base64.b64encode(f"{mail}/token:{token}".encode()).decode() for mail, token in self.credentials}
        return scheme == "Basic" and rest in pairs

    def _busy(self, what: str, limit: int) -> bool:
        now, recent = time.monotonic(), self._recent.setdefault(what, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if limit and len(recent) >= limit:
            return True
        recent.append(now)
        return False

    def _users(self, call: Call, key: str, more: str) -> Answer:
        match call.method, key, more:
            case "POST", "", "":
                return self._create_user(call.json.get("user"))
            case "POST", "create_or_update", "":
                return self._create_or_update(call.json.get("user"))
            case "GET", "show_many", "":
                return self._show_many(call.query)
            case "GET", "search", "":
                return self._search_users(call.query.get("query", ""))
            case "PUT", key, "merge":
                return self._merge(key, call.json.get("user"))
            case "GET", key, "tickets/requested":
                return self._requested(key, call.query)
            case _, key, "events":
                return self._profile_events(call, key)
            case "GET", key, "":
                return self._show_user(key, call.query)
            case "PUT", key, "":
                return self._update_user(key, call.json.get("user"))
            case "DELETE", key, "":
                return self._delete_user(key)
        return _missing()

    def _deleted_users(self, call: Call, key: str, more: str) -> Answer:
        row = self.users.get(key)
        if call.method != "DELETE" or row is None or row["active"]:
            return _missing()
        del self.users[key]
        self.events.pop(key, None)
        self.forgotten.append(key)
        return Answer(200, {"deleted_user": {"id": int(key), "active": False}})

    def _show_user(self, key: str, query: dict[str, str]) -> Answer:
        row = self.users.get(key)
        if row is None:
            return _missing()
        beside = {"identities": row["addresses"]} if "identities" in query.get("include", "") else {}
        return Answer(200, {"user": _shown(row), **beside})

    def _show_many(self, query: dict[str, str]) -> Answer:
        if "external_ids" in query:
            wanted = query["external_ids"].lower().split(",")
            rows = [row for row in self.users.values() if (row["external_id"] or "").lower() in wanted]
        elif "ids" in query:
            rows = [self.users[key] for key in query["ids"].split(",") if key in self.users]
        else:
            return Answer(400, {"error": "InvalidRequest", "description": "ids or external_ids is missing"})
        rows = [row for row in rows if row["active"]]
        return Answer(200, {"users": [_shown(row) for row in rows], "next_page": None, "count": len(rows)})

    def _search_users(self, query: str) -> Answer:
        """By a mail address; any other search is none of ours."""
        named = re.fullmatch(r'email:"([^"]+)"', query)
        row = self._by("email", named[1]) if named else None
        rows = [row] if row is not None and row["active"] else []
        return Answer(200, {"users": [_shown(row) for row in rows], "next_page": None, "count": len(rows)})

    def _merge(self, key: str, told: Any) -> Answer:
        """Of the user in the address little is left: his tickets and mail addresses go to the one in the body."""
        target = told.get("id") if isinstance(told, dict) else None
        one, other = self.users.get(str(target)), self.users.get(key)
        if one is None or other is None or not one["active"] or not other["active"]:
            return _missing()
        wrong = [each for each in (one, other) if each["role"] != "end-user"]
        if one is other or wrong or not all(each["verified"] or each["addresses"] for each in (one, other)):
            return _invalid({"base": ["These users cannot be merged"]})
        one["addresses"] += [each | {"user_id": one["id"], "primary": False} for each in other["addresses"]]
        one["email"] = one["email"] or other["email"]
        one["phone"] = one["phone"] or other["phone"]
        for ticket in self.tickets.values():
            ticket |= {"requester_id": one["id"]} if ticket.get("requester_id") == other["id"] else {}
        self.events.setdefault(str(one["id"]), []).extend(self.events.pop(key, []))
        self._delete_user(key)
        return Answer(200, {"user": _shown(one)})

    def _create_user(self, told: Any) -> Answer:
        if refusal := self._refusal(told, None):
            return refusal
        return Answer(201, {"user": _shown(self._make_user(told))})

    def _create_or_update(self, told: Any) -> Answer:
        """By external id, else by mail address: whoever has that is changed, external id included."""
        if not isinstance(told, dict):
            return _invalid({"base": ["user is missing"]})
        row = self._by("external_id", told.get("external_id")) or self._by("email", told.get("email"))
        if refusal := self._refusal(told, row):
            return refusal
        if row is None:
            return Answer(201, {"user": _shown(self._make_user(told))})
        return self._changed(row, told)

    def _update_user(self, key: str, told: Any) -> Answer:
        row = self.users.get(key)
        if row is not None and not row["active"] and self.deleted_update == 200:
            return Answer(200, {"user": _shown(row)})
        if row is None or not row["active"]:
            return _missing()
        if refusal := self._refusal(told, row):
            return refusal
        return self._changed(row, told)

    def _changed(self, row: Row, told: Row) -> Answer:
        if self._busy(f"user {row['id']}", self.user_limit):
            return _wait(Answer(429, b"Too many updates of this user", {"Content-Type": "text/plain"}))
        self._keep(row, told)
        return Answer(200, {"user": _shown(row)})

    def _delete_user(self, key: str) -> Answer:
        row = self.users.get(key)
        if row is None or not row["active"]:
            return _missing()
        row |= {"active": False, "external_id": None, "email": None, "addresses": []}
        return Answer(200, {"user": _shown(row)})

    def _refusal(self, told: Any, own: Row | None) -> Answer | None:
        if not isinstance(told, dict) or not told:
            return _invalid({"base": ["user is missing"]})
        wrong: dict[str, str] = {name: "is not a property of users" for name in told if name not in USER_FIELDS}
        if own is None and not str(told.get("name") or "").strip():
            wrong["name"] = "Name: is too short (minimum is 1 characters)"
        if told.get("email") and not MAIL.match(str(told["email"])):
            wrong["email"] = f"Email: {told['email']} is not properly formatted"
        if told.get("phone") and not re.fullmatch(r"\+[1-9][0-9]{6,14}", str(told["phone"])):
            wrong["phone"] = f"Phone: {told['phone']} is not properly formatted"
        taken = {name: self._by(name, told.get(name)) for name in ("email", "external_id")}
        for name, other in taken.items():
            if other is not None and other is not own:
                wrong[name] = f"{name.capitalize()}: {told[name]} is already being used by another user"
        return _invalid(wrong) if wrong else None

    def _by(self, name: str, value: Any) -> Row | None:
        wanted = str(value or "").lower()
        if not wanted:
            return None
        for row in self.users.values():
            mails = [each["value"] for each in row["addresses"] if each["type"] == "email"]
            if wanted in [each.lower() for each in (mails if name == "email" else [row["external_id"] or ""])]:
                return row
        return None

    def _make_user(self, told: Row) -> Row:
        number = int(told.get("id") or next(self._ids))
        row: Row = {
            "id": number,
            "name": "",
            "email": None,
            "phone": None,
            "external_id": None,
            "role": "end-user",
            "verified": False,
            "active": True,
            "locale": "nl",
            "user_fields": {},
            "addresses": [],
        }
        self.users[str(number)] = row
        self.created += 1
        self._keep(row, told)
        if row["email"] and not (told.get("skip_verify_email") or told.get("verified")):
            self.mails.append(row["email"])
        return row

    def _keep(self, row: Row, told: Row) -> None:
        """A mail address is written on creation only; later it becomes one more identity."""
        plain = {name: value for name, value in told.items() if name not in ("email", "skip_verify_email", "verified")}
        row |= plain
        verified = bool(told.get("verified", False))
        email = told.get("email")
        if email and self._by("email", email) is None:
            primary = not row["addresses"]
            address = {"id": next(self._ids), "user_id": row["id"], "type": "email", "value": email}
            row["addresses"].append(address | {"verified": verified, "primary": primary})
            row["email"] = row["email"] or email
        row["verified"] = any(each["verified"] for each in row["addresses"])

    def _requested(self, key: str, query: dict[str, str]) -> Answer:
        if key not in self.users:
            return _missing()
        rows = [row for row in self.tickets.values() if str(row["requester_id"]) == key]
        rows.sort(key=lambda row: row[query.get("sort_by", "id")], reverse=query.get("sort_order") == "desc")
        return Answer(200, {"tickets": rows, "next_page": None, "count": len(rows)})

    def _profile_events(self, call: Call, key: str) -> Answer:
        row = self.users.get(key)
        if not self.plan_has_events:
            return Answer(403, {"errors": [{"code": "Forbidden", "title": "The account has no access to events"}]})
        if row is None or not row["active"]:
            return Answer(404, {"errors": [{"code": "NotFound", "title": "No such user"}]})
        if call.method == "GET":
            return self._list_events(key, call.query)
        return self._track(key, call.json) if call.method == "POST" else _missing()

    def _track(self, key: str, told: Row) -> Answer:
        profile, event = told.get("profile"), told.get("event")
        if not isinstance(profile, dict) or not isinstance(event, dict):
            return _bad("profile and event are required")
        named = all(each.get("type") and each.get("value") for each in profile.get("identifiers", []))
        if not profile.get("source") or not profile.get("type") or not profile.get("identifiers") or not named:
            return _bad("profile needs source, type and identifiers")
        if not event.get("source") or not event.get("type") or not isinstance(event.get("properties"), dict):
            return _bad("event needs source, type and properties")
        if "zendesk" in (event["source"], profile["source"]):
            return _bad("the source is reserved")
        made = {"id": f"01E1G0NJSQPNPZRV{next(self._ids):010d}", **event}
        self.events.setdefault(key, []).append(made)
        return Answer(202, b"")

    def _list_events(self, key: str, query: dict[str, str]) -> Answer:
        rows = [
            each
            for each in self.events.get(key, [])
            if query.get("filter[source]", each["source"]) == each["source"]
            and query.get("filter[type]", each["type"]) == each["type"]
            and query.get("filter[start_time]", "") <= each["created_at"] < query.get("filter[end_time]", "9999")
        ]
        start, size = int(query.get("page[after]", "0")), min(int(query.get("page[size]", "10")), 100)
        more = start + size < len(rows)
        meta = {"has_more": more, "after_cursor": str(start + size) if more else None}
        return Answer(200, {"events": rows[start : start + size], "meta": meta})

    def _tickets(self, call: Call, key: str, more: str) -> Answer:
        if call.method == "POST" and not key:
            return self._create_ticket(call)
        row = self.tickets.get(key)
        if row is None:
            return _missing()
        match call.method, more:
            case "GET", "":
                return self._show_ticket(row, call.query)
            case "GET", "comments":
                return self._list_comments(key, call.query)
            case "PUT", "":
                return self._update_ticket(row, call.json.get("ticket"))
        return _missing()

    def _show_ticket(self, row: Row, query: dict[str, str]) -> Answer:
        if "users" not in query.get("include", ""):
            return Answer(200, {"ticket": row})
        numbers = {str(row.get(name) or "") for name in ("requester_id", "submitter_id", "assignee_id")}
        return Answer(
            200, {"ticket": row, "users": [_shown(self.users[key]) for key in sorted(numbers & set(self.users))]}
        )

    def _list_comments(self, key: str, query: dict[str, str]) -> Answer:
        rows = self.comments[key][:: -1 if query.get("sort_order") == "desc" else 1]
        return Answer(200, {"comments": rows[: int(query.get("per_page", "100"))], "count": len(rows)})

    def _create_ticket(self, call: Call) -> Answer:
        """The only call that takes a key of the sender's: the same key with another body is refused."""
        key = call.headers.get("idempotency-key", "")
        if key in self._keys:
            body, answer = self._keys[key]
            if body != call.body:
                return Answer(400, {"error": "IdempotentRequestError", "description": "the body is another one"})
            return Answer(answer.status, answer.body, {"x-idempotency-lookup": "hit"})
        told = call.json.get("ticket") or {}
        comment = told.pop("comment", None)
        if not isinstance(comment, dict) or not (comment.get("body") or comment.get("html_body")):
            return _invalid({"base": "Description: cannot be blank"})
        number = self.add_ticket(requester_id=INTEGRATION_USER, **told)
        self._comment(number, comment)
        answer = Answer(201, {"ticket": self.tickets[number]}, {"x-idempotency-lookup": "miss"})
        if key:
            self._keys[key] = (call.body, answer)
        return answer

    def _update_ticket(self, row: Row, told: Any) -> Answer:
        if not isinstance(told, dict) or told.get("status", "open") not in STATUSES:
            return _invalid({"status": "Status: is not valid"})
        if row["status"] == "closed":
            return _invalid({"status": "Status: closed prevents ticket update"})
        comment = told.get("comment")
        if isinstance(comment, dict) and not 0 < len(comment.get("body", "")) <= MAX_COMMENT:
            return _invalid({"comment": "Comment: is empty or too long"})
        row |= {name: value for name, value in told.items() if name != "comment"}
        events = [self._comment(str(row["id"]), comment)] if isinstance(comment, dict) else []
        shown = [{**each, "type": "Comment"} for each in events]
        return Answer(200, {"ticket": row, "audit": {"id": next(self._ids), "ticket_id": row["id"], "events": shown}})

    def _comment(self, number: str, told: Row) -> Row:
        """Public, unless it says otherwise."""
        made = {"id": next(self._ids), "author_id": told.get("author_id", INTEGRATION_USER), "body": told["body"]}
        made["public"] = told.get("public", True)
        self.comments[number].append(made)
        return made

    def _guide(self, call: Call, key: str, more: str) -> Answer:
        if call.method != "GET" or key != "survey_responses":
            return _missing()
        wanted = call.query.get("filter[subject_zrns]", "").split(",")
        rows = [each for each in self.surveys if set(each.get("subject_zrns", [])) & set(wanted)]
        return Answer(200, {"survey_responses": rows})

    def _incremental(self, call: Call, key: str, more: str) -> Answer:
        """Time-based: from a second on, and where more share the last second of a page they are given again."""
        start = call.query.get("start_time", "")
        if call.method != "GET" or key != "ticket_events" or more:
            return _missing()
        if self._busy("export", EXPORTS_A_MINUTE):
            return _wait(Answer(429, {"error": "APIRateLimitExceeded", "description": "Number of allowed requests"}))
        if not start.isdigit() or int(start) > time.time() - 60:
            return Answer(422, {"error": "StartTimeTooRecent", "description": "Too recent start_time"})
        rows = sorted(self.updates, key=lambda each: (each["timestamp"], each["id"]))
        rows = [each for each in rows if int(start) <= each["timestamp"] <= time.time() - 60]
        page, whole = rows[: self.exported_at_once], call.query.get("include") == "comment_events"
        ends = page[-1]["timestamp"] if page else int(start)
        told = {"ticket_events": [_exported(each, whole) for each in page], "count": len(page), "end_time": ends}
        following = f"{self.url}/api/v2/incremental/ticket_events.json?start_time={ends}"
        return Answer(200, told | {"next_page": following, "end_of_stream": len(page) == len(rows)})


KINDS = frozenset({"users", "deleted_users", "tickets", "guide", "incremental"})


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}Z"


def _exported(update: Row, whole: bool) -> Row:
    """Without the side-load a comment is only said to be there."""
    parts = [each for each in update["child_events"] if whole or each["event_type"] != "Comment"]
    said = [{"comment_present": True, "event_type": "Change"}] if len(parts) < len(update["child_events"]) else []
    return update | {"child_events": parts + said}


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "addresses"}


def _wait(answer: Answer) -> Answer:
    return Answer(answer.status, answer.body, {**answer.headers, "Retry-After": "7"})


def _missing() -> Answer:
    return Answer(404, {"error": "RecordNotFound", "description": "Not found"})


def _bad(title: str) -> Answer:
    return Answer(400, {"errors": [{"code": "BadRequest", "title": title}]})


def _invalid(wrong: dict[str, Any]) -> Answer:
    details = {
        name: [{"description": text, "error": "DuplicateValue" if "already being used" in text else "InvalidValue"}]
        for name, text in wrong.items()
    }
    return Answer(422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details})


if __name__ == "__main__":
    run(Zendesk)
