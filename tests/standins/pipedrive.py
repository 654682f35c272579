"""Pipedrive's persons and activities (v2), notes and call logs (v1).

https://developers.pipedrive.com/docs/api/v1/Persons
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

TOKEN = "0123456789abcdef0123456789abcdef01234567"
CUSTOMER_FIELD, CHANNEL_FIELD = "d9841f7a2c3f4e0c9f6f2f6f0a1b2c3d4e5f6071", "a0b1c2d3e4f5061728394a5b6c7d8e9f00112233"
TIER_FIELD = "b1c2d3e4f5061728394a5b6c7d8e9f0011223344"
PERSON = {"name", "owner_id", "org_id", "emails", "phones", "label_ids", "marketing_status", "custom_fields"}
ACTIVITY = {"subject", "type", "owner_id", "deal_id", "lead_id", "org_id", "due_date", "due_time", "duration"} | {
    "busy",
    "done",
    "participants",
    "attendees",
    "note",
    "public_description",
}
NOTE = {"content", "person_id", "org_id", "deal_id", "lead_id", "user_id", "add_time", "pinned_to_person_flag"}
CALL_LOG = {"user_id", "activity_id", "subject", "duration", "outcome", "from_phone_number", "to_phone_number"} | {
    "start_time",
    "end_time",
    "person_id",
    "org_id",
    "deal_id",
    "note",
}
OUTCOMES = {"connected", "no_answer", "left_message", "left_voicemail", "wrong_number", "busy"}
TYPES = {"call", "meeting", "task", "deadline", "email", "lunch"}
QUERIES = {
    "persons": {"ids", "sort_by", "sort_direction", "limit", "cursor", "custom_fields", "owner_id"},
    "search": {"term", "fields", "exact_match", "limit", "cursor"},
    "activities": {"person_id", "sort_by", "sort_direction", "limit", "cursor", "ids", "updated_since"},
    "notes": {"person_id", "sort", "start", "limit"},
    "callLogs": {"start", "limit"},
}
SEARCHABLE = {"name", "email", "phone", "notes", "custom_fields"}
NOW = "2026-09-03 12:00:00"
MARK = re.compile(r"draad:([a-z0-9]+)")
CLOCK = re.compile(r"[0-9]{2}:[0-5][0-9]\Z")
PATH = re.compile(r"/(?:api/)?(?P<version>v1|v2)/(?P<kind>\w+)(?:/(?P<id>[^/]+))?\Z")
MERGE = re.compile(r"/v1/persons/(?P<id>[^/]+)/merge\Z")
MOST_KEYS = 15

Row = dict[str, Any]


class Pipedrive(Standin):
    """`limit`: requests in 2 seconds. `search_lag`: seconds until the search knows a record. `filters_by_person`:
    whether the list of activities heeds person_id. `wraps`: whether the value of a text field is an object.
    `page`: the most rows of one page. `longest_term`: what the search of custom fields takes."""

    lie: Any = {"success": False, "error": "lies with a 200", "data": None}

    def reset(self) -> None:
        self.tokens = {TOKEN}
        self.limit = 0
        self.search_lag = 5.0
        self.filters_by_person = True
        self.wraps = False
        self.page = 500
        self.longest_term = 100
        self.fields = {CUSTOMER_FIELD, CHANNEL_FIELD, TIER_FIELD}
        self.rows: dict[str, dict[str, Row]] = {kind: {} for kind in ("persons", "activities", "notes", "callLogs")}
        self.created = 0
        self._ids = itertools.count(501)
        self._recent: deque[float] = deque()

    def set(self, **told: Any) -> None:
        for name in ("limit", "search_lag", "filters_by_person", "wraps", "page", "longest_term"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        there = {kind: {str(row["id"]): row for row in self._there(kind)} for kind in self.rows}
        return there | {"created": self.created, "calls": len(self.calls)}

    def kept(self) -> list[str]:
        with self.lock:
            persons = {row["id"] for row in self._there("persons")}
            found = [(row, MARK.search(_text(row))) for kind in list(self.rows)[1:] for row in self._there(kind)]
        return [mark[1] for row, mark in found if mark and row["person_id"] in persons]

    def people(self) -> list[str]:
        with self.lock:
            return [row["custom_fields"].get(CUSTOMER_FIELD) or "" for row in self._there("persons")]

    def records_of(self, event: str) -> list[str]:
        """By any participant: an activity is seen with each of them."""
        with self.lock:
            persons = {row["id"] for row in self._there("persons")}
            rows = [row for kind in list(self.rows)[1:] for row in self._there(kind)]
            told = [row for row in rows if (mark := MARK.search(_text(row))) and mark[1] == event]
            found = {each for row in told for each in _people(row)}
            return [str(each) for each in sorted(found & persons)]

    def add_person(self, customer: str = "", **fields: Any) -> str:
        """One that somebody made by hand, long enough ago for the search to know it."""
        with self.lock:
            custom = {CUSTOMER_FIELD: customer} if customer else {}
            return str(self._make("persons", _person(fields | {"custom_fields": custom}), known=True)["id"])

    def set_field(self, id: str, key: str, value: Any) -> None:
        with self.lock:
            self.rows["persons"][id]["custom_fields"][key] = value

    def remove_person(self, id: str) -> None:
        self.remove("persons", id)

    def remove(self, kind: str, id: str) -> None:
        with self.lock:
            self.rows[kind][id]["is_deleted"] = True

    def add_participant(self, activity: str, person: int) -> None:
        with self.lock:
            self.rows["activities"][activity]["participants"].append({"person_id": person, "primary": False})

    def copy_call_log(self, id: str, person: int) -> None:
        """As when a move was made by half."""
        with self.lock:
            self._make("callLogs", self.rows["callLogs"][id] | {"person_id": person})

    def add_note(self, **fields: Any) -> None:
        """What an agent wrote."""
        with self.lock:
            self._make("notes", {"person_id": None, "content": ""} | fields)

    def add_activity(self, **fields: Any) -> None:
        with self.lock:
            self._make("activities", {"person_id": None, "note": ""} | fields)

    def _there(self, kind: str) -> list[Row]:
        return [row for row in self.rows[kind].values() if not row["is_deleted"]]

    def answer(self, call: Call) -> Answer:
        if call.headers.get("x-api-token") not in self.tokens:
            return _error(401, "unauthorized access", "ERR_UNAUTHORIZED")
        if self._limited():
            return Answer(429, {"success": False, "error": "request over limit"}, {"x-ratelimit-reset": "2"})
        if merging := MERGE.match(call.path):
            return self._merge(merging["id"], call.json) if call.method == "PUT" else _error(405, "Method not allowed")
        found = PATH.match(call.path)
        if found is None or found["version"] != VERSIONS.get(found["kind"]):
            return _error(404, "Unknown method .")
        key = found["id"] or ""
        if (call.method, found["kind"], key) == ("GET", "persons", "search"):
            return self._search(call.query)
        answer = METHODS.get((call.method, bool(key)))
        return answer(self, found["kind"], key, call) if answer else _error(405, "Method not allowed")

    def _limited(self) -> bool:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 2:
            self._recent.popleft()
        self._recent.append(now)
        return bool(self.limit) and len(self._recent) > self.limit

    def _search(self, query: dict[str, str]) -> Answer:
        term, fields = query.get("term", ""), set(query.get("fields", "name").split(","))
        if set(query) - QUERIES["search"] or not fields <= SEARCHABLE or len(term) < 2:
            return _error(400, "Validation failed: term, fields", "ERR_BAD_REQUEST")
        fields -= {"custom_fields"} if len(term) > self.longest_term else set()
        horizon = time.monotonic() - self.search_lag
        rows = [row for row in self._there("persons") if row["at"] <= horizon and _matches(row, fields, term, query)]
        items = [
            {"result_score": 0.29, "item": {"id": row["id"], "type": "person", "name": row["name"]}} for row in rows
        ]
        return Answer(200, {"success": True, "data": {"items": items}, "additional_data": {"next_cursor": None}})

    def _list(self, kind: str, key: str, call: Call) -> Answer:
        query = call.query
        if len(query.get("custom_fields", "").split(",")) > MOST_KEYS:
            return _error(400, "Validation failed: custom_fields", "ERR_BAD_REQUEST")
        if set(query) - QUERIES[kind] or not 0 < int(query.get("limit", 100)) <= (50 if kind == "callLogs" else 500):
            return _error(400, "Validation failed: query", "ERR_BAD_REQUEST")
        rows = sorted(self._there(kind), key=lambda row: row.get("add_time", NOW))
        if "ids" in query:
            rows = [row for row in rows if str(row["id"]) in query["ids"].split(",")]
        if "person_id" in query and (kind == "notes" or self.filters_by_person):
            rows = [row for row in rows if str(row["person_id"]) == query["person_id"]]
        if query.get("sort_direction") == "desc" or query.get("sort", "").endswith("DESC"):
            rows = rows[::-1]
        return self._paged(kind, rows, query)

    def _paged(self, kind: str, rows: list[Row], query: dict[str, str]) -> Answer:
        size = min(int(query.get("limit", 100)), self.page)
        start = int(query.get("cursor") or query.get("start") or 0)
        more, following = start + size < len(rows), start + size
        if VERSIONS[kind] == "v2":
            told: Row = {"next_cursor": str(following) if more else None}
        else:
            told = {"pagination": {"start": start, "limit": size, "more_items_in_collection": more}}
            told["pagination"] |= {"next_start": following} if more else {}
        shown = [self._shown(kind, row, query) for row in rows[start:following]]
        return Answer(
            200, {"success": True, "data": shown or (None if kind == "notes" else []), "additional_data": told}
        )

    def _shown(self, kind: str, row: Row, query: dict[str, str]) -> Row:
        told = {name: value for name, value in row.items() if name != "at"}
        if kind != "persons":
            return told
        wanted = set(query.get("custom_fields", "").split(",")) & self.fields or self.fields
        custom = {name: row["custom_fields"].get(name) for name in sorted(wanted)}
        wrapped = {name: {"value": value} if self.wraps and value else value for name, value in custom.items()}
        return told | {"custom_fields": wrapped}

    def _create(self, kind: str, key: str, call: Call) -> Answer:
        told = call.json
        if wrong := self._refusal(kind, told, new=True):
            return _error(400, wrong, "ERR_BAD_REQUEST")
        if kind == "persons":
            self.created += 1
            told = _person(told)
        row = self._make(kind, {"person_id": None} | _linked(told))
        return Answer(201, {"success": True, "data": self._shown(kind, row, {})})

    def _show(self, kind: str, key: str, call: Call) -> Answer:
        row = self.rows[kind].get(key)
        if row is None or row["is_deleted"]:
            return _error(404, f"{kind} not found", "ERR_NOT_FOUND")
        return Answer(200, {"success": True, "data": self._shown(kind, row, call.query)})

    def _patch(self, kind: str, key: str, call: Call) -> Answer:
        """Of each version's own method; call logs are never changed."""
        row = self.rows[kind].get(key)
        if CHANGED_BY.get(kind) != call.method:
            return _error(405, "Method not allowed")
        if row is None or row["is_deleted"]:
            return _error(404, f"{kind} not found", "ERR_NOT_FOUND")
        if wrong := self._refusal(kind, call.json, new=False):
            return _error(400, wrong, "ERR_BAD_REQUEST")
        told = _linked(dict(call.json))
        if kind == "persons":
            told["custom_fields"] = row["custom_fields"] | told.get("custom_fields", {})
        row |= told
        return Answer(200, {"success": True, "data": self._shown(kind, row, {})})

    def _merge(self, key: str, told: Any) -> Answer:
        """The one of the address is removed; the other has priority, and gets all that hung on both."""
        kept = told.get("merge_with_id") if isinstance(told, dict) else None
        if not isinstance(kept, int) or str(kept) == key:
            return _error(400, "Validation failed: merge_with_id", "ERR_BAD_REQUEST")
        one, other = self.rows["persons"].get(str(kept)), self.rows["persons"].get(key)
        if one is None or other is None or one["is_deleted"] or other["is_deleted"]:
            return _error(404, "Person not found", "ERR_NOT_FOUND")
        one["custom_fields"] = other["custom_fields"] | {n: v for n, v in one["custom_fields"].items() if v}
        for name in ("emails", "phones"):
            values = {each["value"] for each in one[name]}
            one[name] += [each | {"primary": False} for each in other[name] if each["value"] not in values]
        for row in (row for kind in list(self.rows)[1:] for row in self._there(kind)):
            row |= {"person_id": kept} if row["person_id"] == other["id"] else {}
            for each in row.get("participants", []):
                each |= {"person_id": kept} if each["person_id"] == other["id"] else {}
        other["is_deleted"] = True
        return Answer(200, {"success": True, "data": {"id": kept, "name": one["name"], "merge_what_id": other["id"]}})

    def _delete(self, kind: str, key: str, call: Call) -> Answer:
        row = self.rows[kind].get(key)
        if row is None or row["is_deleted"]:
            return _error(404, f"{kind} not found", "ERR_NOT_FOUND")
        row["is_deleted"] = True
        return Answer(200, {"success": True, "data": {"id": row["id"]}})

    def _refusal(self, kind: str, told: Any, *, new: bool) -> str:
        if not isinstance(told, dict):
            return "Validation failed: body"
        if kind == "activities" and "person_id" in told:
            return "'person_id' is a read-only field. Add a primary participant to set 'person_id' instead."
        if unknown := set(told) - KNOWN[kind]:
            return f"Validation failed: {sorted(unknown)}: unknown"
        if wrong := [each for each in told.get("participants", []) if set(each) - {"person_id", "primary"}]:
            return f"Validation failed: participants: {wrong}"
        people = _people(told)
        if any(not isinstance(each, int) or not self._is_there(each) for each in people if each is not None):
            return "Validation failed: person_id"
        return str(REFUSALS[kind](self, told, new))

    def _is_there(self, person: int) -> bool:
        return any(row["id"] == person for row in self._there("persons"))

    def _wrong_person(self, told: Row, new: bool) -> str:
        if (new and not told.get("name")) or told.get("name", "-") == "":
            return "Validation failed: name: is required"
        if set(told.get("custom_fields", {})) - self.fields:
            return "Validation failed: custom_fields: unknown key"
        lists = [*told.get("emails", []), *told.get("phones", [])]
        if any(not set(each) <= {"value", "primary", "label"} or not each.get("value") for each in lists):
            return "Validation failed: emails, phones"
        return ""

    def _wrong_activity(self, told: Row, new: bool) -> str:
        if told.get("type", "call") not in TYPES:
            return "Validation failed: type"
        if not all(CLOCK.match(told.get(name, "00:00")) for name in ("due_time", "duration")):
            return "Validation failed: due_time, duration: HH:MM"
        return "" if isinstance(told.get("done", True), bool) else "Validation failed: done"

    def _wrong_note(self, told: Row, new: bool) -> str:
        if new and not (told.get("content") and told.get("person_id")):
            return "Note must be linked, and have content"
        return "" if _is_moment(told.get("add_time", NOW)) else "add_time: YYYY-MM-DD HH:MM:SS"

    def _wrong_call_log(self, told: Row, new: bool) -> str:
        if told.get("outcome") not in OUTCOMES or not told.get("to_phone_number"):
            return "Validation failed: outcome, to_phone_number"
        moments = _is_moment(told.get("start_time", "")) and _is_moment(told.get("end_time", ""))
        return "" if moments and str(told.get("duration", "0")).isdigit() else "Validation failed: times"

    def _make(self, kind: str, told: Row, *, known: bool = False) -> Row:
        number = next(self._ids)
        at = 0.0 if known else time.monotonic()
        key: Any = f"{number:032x}" if kind == "callLogs" else number
        row = told | {"id": key, "is_deleted": False, "at": at}
        self.rows[kind][str(key)] = row
        return row


def _person(told: Row) -> Row:
    return {"name": "", "emails": [], "phones": [], "custom_fields": {}} | told


def _linked(told: Row) -> Row:
    """An activity hangs on its primary participant."""
    if "participants" not in told:
        return told
    return told | {"person_id": next((each["person_id"] for each in told["participants"] if each.get("primary")), None)}


def _people(told: Row) -> list[Any]:
    return [told.get("person_id"), *(each.get("person_id") for each in told.get("participants", []))]


def _matches(row: Row, fields: set[str], term: str, query: dict[str, str]) -> bool:
    values = [row["name"]] if "name" in fields else []
    values += [each["value"] for each in row["emails"] if "email" in fields]
    values += [each["value"] for each in row["phones"] if "phone" in fields]
    values += [each for each in map(str, row["custom_fields"].values()) if "custom_fields" in fields]
    exact = query.get("exact_match") == "true"
    return any(term.lower() == each.lower() if exact else term.lower() in each.lower() for each in values)


def _text(row: Row) -> str:
    return str(row.get("note") or row.get("content") or "")


def _is_moment(value: str) -> bool:
    try:
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").year > 1900
    except ValueError:
        return False


def _error(status: int, message: str, code: str = "") -> Answer:
    return Answer(status, {"success": False, "error": message, "code": code, "data": None})


VERSIONS = {"persons": "v2", "activities": "v2", "notes": "v1", "callLogs": "v1"}
KNOWN = {"persons": PERSON, "activities": ACTIVITY, "notes": NOTE, "callLogs": CALL_LOG}
CHANGED_BY = {"persons": "PATCH", "activities": "PATCH", "notes": "PUT"}
REFUSALS: dict[str, Callable[[Pipedrive, Row, bool], str]] = {
    "persons": Pipedrive._wrong_person,
    "activities": Pipedrive._wrong_activity,
    "notes": Pipedrive._wrong_note,
    "callLogs": Pipedrive._wrong_call_log,
}
METHODS: dict[tuple[str, bool], Callable[[Pipedrive, str, str, Call], Answer]] = {
    ("GET", False): Pipedrive._list,
    ("POST", False): Pipedrive._create,
    ("GET", True): Pipedrive._show,
    ("PATCH", True): Pipedrive._patch,
    ("PUT", True): Pipedrive._patch,
    ("DELETE", True): Pipedrive._delete,
}

if __name__ == "__main__":
    run(Pipedrive)
