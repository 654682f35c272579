"""Zoho CRM's tokens, records, queries, notes and recycle bin (v8).

https://www.zoho.com/crm/developer/docs/api/v8/insert-records.html
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from tests.standins.server import Answer, Call, Standin, run

CLIENT_ID, CLIENT_SECRET = "1000.GMB0YULZHJK411284S8I5GZ4CHUEX0", "122c324d3496d5d7eeebc129470715fbb856b7aaaa"
REFRESH, ACCESS = "1000.86a03ca5dbfccb7445b1889b8215efb0.cad9e1ae4989", "1000.8cb99d0000000000000000000009be93.9b8f"
KEY = "Draad_Customer_Id"
FIELDS = {
    "Contacts": {"First_Name", "Last_Name", "Email", "Phone", "Mobile", "Description", KEY, "Preferred_Channel"}
    | {"Loyalty_Tier", "Vip"},
    "Calls": {"Subject", "Call_Type", "Call_Start_Time", "Call_Duration", "Outbound_Call_Status", "Who_Id"}
    | {"Description", "Call_Result"},
    "Tasks": {"Subject", "Status", "Due_Date", "Who_Id", "Description"},
    "Notes": {"Note_Title", "Note_Content", "Parent_Id"},
}
MANDATORY = {
    "Contacts": ("Last_Name",),
    "Calls": ("Subject", "Call_Type", "Call_Start_Time"),
    "Tasks": ("Subject",),
    "Notes": ("Note_Content",),
}
SHAPES = {
    "Email": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z"),
    "Call_Start_Time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\Z"),
    "Call_Duration": re.compile(r"\d+:[0-5]\d\Z"),
    "Call_Type": re.compile(r"(Inbound|Outbound|Missed)\Z"),
    "Due_Date": re.compile(r"\d{4}-\d\d-\d\d\Z"),
    "Note_Title": re.compile(r".{0,120}\Z", re.DOTALL),
    "Description": re.compile(r".{0,32000}\Z", re.DOTALL),
    "Note_Content": re.compile(r".{0,32000}\Z", re.DOTALL),
}
NOT_IN_CONDITIONS = {"Description", "Note_Content"}
QUERY = re.compile(
    r"select (?P<fields>[\w, ]+) from (?P<module>\w+) where (?P<where>.+) limit (?P<limit>\d+) offset (?P<offset>\d+)\Z"
)
TOKEN = re.compile(r"\s*(\(|\)|=|,|'[^'\\]*'|\w+)")
PATH = re.compile(r"/crm/v8/(?P<module>\w+)(?:/(?P<id>[^/]+))?(?:/(?P<more>\w+))?\Z")
MERGE = re.compile(r"/crm/v8/Contacts/(?P<id>\d+)/actions/merge\Z")
MARK = re.compile(r"^draad:([a-z0-9]+)\s*\Z", re.MULTILINE)

Row = dict[str, Any]


class Zoho(Standin):
    """`refused`: the status under which a row is refused, 400 or 202. `unique_mail`: whether the account lets nobody
    share a mail address. `limit`: calls in 10 seconds. `tokens_left`: tokens that may still be asked for.
    `merges_later`: whether a merge is put off until time goes by. `notes_stay`: whether a note says that it was moved
    and was not."""

    lie: Any = {"code": "INTERNAL_ERROR", "message": "lies with a 200", "status": "error"}

    def reset(self) -> None:
        self.refused = 400
        self.unique_mail = False
        self.limit = 0
        self.tokens_left = 10
        self.merges_later = False
        self.notes_stay = False
        self.merging: dict[str, str] = {}
        self.jobs: dict[str, list[Row]] = {}
        self.tokens = {ACCESS}
        self.rows: dict[str, dict[str, Row]] = {module: {} for module in FIELDS}
        self.bin: dict[str, Row] = {}
        self.triggered = 0
        self.created = 0
        self._ids = itertools.count(501)
        self._recent: deque[float] = deque()

    def set(self, **told: Any) -> None:
        for name in ("refused", "unique_mail", "limit", "tokens_left", "merges_later", "notes_stay"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def forget_tokens(self) -> None:
        with self.lock:
            self.tokens.clear()

    def state(self) -> Any:
        return self.rows | {"bin": self.bin, "created": self.created, "calls": len(self.calls)}

    def kept(self) -> list[str]:
        with self.lock:
            there = [row for module in ("Calls", "Tasks", "Notes") for row in self.rows[module].values()]
            linked = [row for row in there if row["Who_Id"]["id"] in self.rows["Contacts"]]
            found = [MARK.search(row.get("Description") or row.get("Note_Content") or "") for row in linked]
        return [mark[1] for mark in found if mark]

    def people(self) -> list[str]:
        with self.lock:
            return [row.get(KEY) or "" for row in self.rows["Contacts"].values()]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            rows = [row for module in ("Calls", "Tasks", "Notes") for row in self.rows[module].values()]
            mine = [row for row in rows if row["Who_Id"]["id"] in self.rows["Contacts"]]
            texts = [(row["Who_Id"]["id"], row.get("Description") or row.get("Note_Content") or "") for row in mine]
        return sorted(contact for contact, text in texts if (mark := MARK.search(text)) and mark[1] == event)

    def settle(self) -> None:
        with self.lock:
            for other, kept in self.merging.items():
                self._merged(kept, other)
                self.jobs[kept] = [each | {"status": "COMPLETED"} for each in self.jobs[kept]]
            self.merging.clear()

    def add_contact(self, **fields: Any) -> str:
        """One that somebody made by hand."""
        with self.lock:
            return str(self._make("Contacts", {"Last_Name": "Vries"} | fields)["id"])

    def add_notes(self, contact: str, number: int) -> None:
        """What agents wrote."""
        with self.lock:
            for _ in range(number):
                self._make("Notes", {"Note_Content": "Teruggebeld", "Who_Id": {"id": contact}})

    def remove_contact(self, id: str) -> None:
        with self.lock:
            self._remove("Contacts", id)

    def answer(self, call: Call) -> Answer:
        if (call.method, call.path) == ("POST", "/oauth/v2/token"):
            return self._grant(dict(parse_qsl(call.body.decode())), call)
        given = call.headers.get("authorization", "")
        if not given.startswith("Zoho-oauthtoken ") or given.split(" ", 1)[1] not in self.tokens:
            return _error(401, "INVALID_TOKEN", "invalid oauth token")
        if self._limited():
            return _error(429, "TOO_MANY_REQUESTS", "too many requests fired in a short span of time")
        if call.path == "/crm/v8/coql" and call.method == "POST":
            return self._coql(str(call.json.get("select_query", "")))
        if call.path == "/crm/v8/settings/recycle_bin" and call.method == "DELETE":
            return self._purge(call.query.get("ids", "").split(","))
        if call.path == "/crm/v8/settings/fields" and call.method == "GET":
            return self._fields(call.query.get("module", ""))
        if merge := MERGE.match(call.path):
            return self._merge(call, merge["id"])
        found = PATH.match(call.path)
        if found is None or found["module"] not in FIELDS:
            return _error(400, "INVALID_MODULE", "the module name given seems to be invalid")
        return self._records(call, found["module"], found["id"] or "", found["more"] or "")

    def _grant(self, form: Row, call: Call) -> Answer:
        """Wrong ones are refused with a 200."""
        if call.headers.get("content-type") != "application/x-www-form-urlencoded" or call.query:
            return Answer(400, {"error": "invalid_request"})
        if (form.get("client_id"), form.get("grant_type")) != (CLIENT_ID, "refresh_token"):
            return Answer(200, {"error": "invalid_client"})
        if form.get("client_secret") != CLIENT_SECRET:
            return Answer(200, {"error": "invalid_client_secret"})
        if form.get("refresh_token") != REFRESH:
            return Answer(200, {"error": "invalid_code"})
        if self.tokens_left <= 0:
            text = "You have made too many requests continuously. Please try again after some time."
            return Answer(400, {"error": "Access Denied", "error_description": text, "status": "failure"})
        self.tokens_left -= 1
        token = f"1000.fresh{next(self._ids):026d}.9be93"
        self.tokens.add(token)
        told = {"access_token": token, "scope": "ZohoCRM.modules.ALL", "token_type": "Bearer", "expires_in": 3600}
        return Answer(200, told | {"api_domain": self.url})

    def _limited(self) -> bool:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 10:
            self._recent.popleft()
        self._recent.append(now)
        return bool(self.limit) and len(self._recent) > self.limit

    def _records(self, call: Call, module: str, key: str, more: str) -> Answer:
        match call.method, key, more:
            case "POST", "upsert", "":
                return self._upsert(module, call.json)
            case "POST", "", "":
                return self._insert(module, call.json, {})
            case "POST", key, "Notes":
                return self._insert("Notes", call.json, {"Who_Id": {"id": key}})
            case "GET", key, "Notes":
                return self._notes(key, call.query)
            case "GET", key, "" if key and module in ("Contacts", "Notes"):
                return self._one(module, key, call.query)
            case "PUT", key, "":
                return self._change(module, key, call.json)
            case "DELETE", "", "":
                return self._delete(module, call.query.get("ids", "").split(","))
        return _error(400, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")

    def _insert(self, module: str, body: Row, more: Row) -> Answer:
        told, wrong = self._told(body)
        if wrong or (wrong := self._wrong(module, told, None)):
            return self._row(wrong)
        whom = (more or told).get("Who_Id", {}).get("id")
        if module != "Contacts" and whom not in self.rows["Contacts"]:
            return self._row(_refusal("INVALID_DATA", "the id given seems to be invalid", api_name="Who_Id"))
        return Answer(201, {"data": [_done(self._make(module, told | more))]})

    def _upsert(self, module: str, body: Row) -> Answer:
        if module in ("Calls", "Tasks", "Notes"):
            return _error(400, "NOT_SUPPORTED", "the module is not supported in upsert")
        told, wrong = self._told(body)
        checked = body.get("duplicate_check_fields") or ["Email"]
        if unknown := set(checked) - {KEY, "Email"}:
            return _error(400, "INVALID_DATA", f"{sorted(unknown)} is no field for duplicate checks")
        own = next((row for row in self.rows[module].values() if any(_same(row, told, name) for name in checked)), None)
        if wrong or (wrong := self._wrong(module, told, own)):
            return self._row(wrong)
        if own is None:
            return Answer(200, {"data": [_done(self._make(module, told), action="insert", duplicate_field=None)]})
        own |= told
        return Answer(200, {"data": [_done(own, action="update", duplicate_field=checked[0])]})

    def _change(self, module: str, key: str, body: Row) -> Answer:
        row = self.rows[module].get(key)
        if row is None:
            return self._row(_refusal("INVALID_DATA", "the id given seems to be invalid", id=key))
        told, wrong = self._told(body)
        if wrong or (wrong := self._wrong(module, told, row)):
            return self._row(wrong)
        if parent := told.pop("Parent_Id", None):
            told |= {} if self.notes_stay else {"Who_Id": {"id": parent["id"]}}
        row |= told
        return Answer(200, {"data": [_done(row)]})

    def _told(self, body: Any) -> tuple[Row, Row]:
        rows = body.get("data") if isinstance(body, dict) else None
        unknown = set(body) - {"data", "trigger", "duplicate_check_fields"} if isinstance(body, dict) else {"body"}
        if unknown or not isinstance(rows, list) or len(rows) != 1:
            return {}, _refusal("INVALID_DATA", f"invalid body {sorted(unknown)}")
        self.triggered += "trigger" not in body
        return rows[0], {}

    def _row(self, refusal: Row) -> Answer:
        return Answer(self.refused, {"data": [refusal]})

    def _wrong(self, module: str, told: Row, own: Row | None) -> Row:
        if unknown := set(told) - FIELDS[module]:
            return _refusal("INVALID_DATA", "no such field", api_name=min(unknown))
        missing = [name for name in MANDATORY[module] if not told.get(name) and not (own or {}).get(name)]
        missing += ["Call_Duration"] if module == "Calls" and _without_length((own or {}) | told) else []
        if missing:
            return _refusal("MANDATORY_NOT_FOUND", "required field not found", api_name=missing[0])
        for name, value in told.items():
            if name in SHAPES and not SHAPES[name].match(str(value)):
                return _refusal("INVALID_DATA", "invalid data", api_name=name)
        if own is not None and module != "Contacts" and (wrong := self._wrong_change(told, own)):
            return _refusal("INVALID_DATA", "invalid data", api_name=wrong)
        return self._clash(module, told, own) if module == "Contacts" else {}

    def _wrong_change(self, told: Row, own: Row) -> str:
        """What an entry may not become: a call of another type, or one of a contact that is not there."""
        if told.get("Call_Type", own.get("Call_Type")) != own.get("Call_Type"):
            return "Call_Type"
        parent = told.get("Parent_Id")
        if parent is not None and (not isinstance(parent, dict) or parent.get("module") != {"api_name": "Contacts"}):
            return "Parent_Id"
        whose = (parent or told.get("Who_Id") or own["Who_Id"]).get("id")
        return "" if whose in self.rows["Contacts"] or not {"Parent_Id", "Who_Id"} & told.keys() else "Who_Id"

    def _clash(self, module: str, told: Row, own: Row | None) -> Row:
        for name in (KEY, *(["Email"] if self.unique_mail else [])):
            other = next((row for row in self.rows[module].values() if row is not own and _same(row, told, name)), None)
            if other is not None:
                return _refusal("DUPLICATE_DATA", "duplicate data", api_name=name, duplicate_record={"id": other["id"]})
        return {}

    def _one(self, module: str, key: str, query: dict[str, str]) -> Answer:
        row = self.rows[module].get(key)
        if row is None:
            return _error(400, "INVALID_DATA", "the id given seems to be invalid")
        if module == "Notes":
            parent = {"module": {"api_name": "Contacts", "id": "131"}, "name": None, "id": row["Who_Id"]["id"]}
            row = {name: value for name, value in row.items() if name != "Who_Id"} | {"Parent_Id": parent}
        names = query["fields"].split(",") if "fields" in query else [*FIELDS[module]]
        return Answer(200, {"data": [{name: row.get(name) for name in {*names, "id"}}]})

    def _fields(self, module: str) -> Answer:
        if module not in FIELDS:
            return _error(400, "INVALID_MODULE", "the module name given seems to be invalid")
        unique = {KEY, *(["Email"] if self.unique_mail else [])}
        rows = [
            {"api_name": name, "unique": {"casesensitive": "1"} if name in unique else {}} for name in FIELDS[module]
        ]
        return Answer(200, {"fields": rows})

    def _merge(self, call: Call, kept: str) -> Answer:
        if call.method == "GET":
            jobs = self.jobs.get(kept, [])
            return Answer(200, {"merge": jobs}) if jobs else Answer(204)
        told = call.json.get("merge") if call.method == "POST" else None
        if not isinstance(told, list) or len(told) != 1 or set(told[0]) - {"data", "master_record_fields"}:
            return _error(400, "INVALID_DATA", "merge: one")
        ids = [each.get("id") for each in told[0].get("data", [])]
        if not 1 <= len(ids) <= 2:
            return Answer(400, {"merge": [_refusal("LIMIT_EXCEEDED", "one or two", api_name="data")]})
        gone = [each for each in (kept, *ids) if each not in self.rows["Contacts"]]
        if gone or kept in ids or any(each in self.merging for each in (kept, *ids)):
            kind = "INVALID_DATA" if gone else "NOT_ALLOWED"
            return Answer(400, {"merge": [_refusal(kind, "the id given seems to be invalid", api_name="id")]})
        return self._merged_now(kept, ids) if not self.merges_later else self._merged_later(kept, ids)

    def _merged_later(self, kept: str, ids: list[str]) -> Answer:
        job = str(next(self._ids))
        self.merging |= dict.fromkeys(ids, kept)
        self.jobs.setdefault(kept, []).append({"job_id": job, "status": "RUNNING"})
        told = {"code": "SCHEDULED", "details": {"job_id": job}, "message": "scheduled", "status": "success"}
        return Answer(202, {"merge": [told]})

    def _merged_now(self, kept: str, ids: list[str]) -> Answer:
        for each in ids:
            self._merged(kept, each)
        told = {"code": "SUCCESS", "details": {"id": kept}, "message": "merged", "status": "success"}
        return Answer(200, {"merge": [told]})

    def _merged(self, kept: str, other: str) -> None:
        """The master's values stay; what hangs on the other comes along, and it is gone for good."""
        for module in ("Calls", "Tasks", "Notes"):
            for row in self.rows[module].values():
                row["Who_Id"] = {"id": kept} if row["Who_Id"]["id"] == other else row["Who_Id"]
        del self.rows["Contacts"][other]

    def _notes(self, key: str, query: dict[str, str]) -> Answer:
        if "fields" not in query or int(query.get("per_page", "200")) > 200:
            return _error(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing")
        rows = [row for row in self.rows["Notes"].values() if row["Who_Id"]["id"] == key]
        size = int(query.get("per_page", "200"))
        return _page(rows, query["fields"].split(","), (int(query.get("page", "1")) - 1) * size, size)

    def _coql(self, query: str) -> Answer:
        found = QUERY.match(query)
        if found is None or found["module"] not in FIELDS or found["module"] == "Notes":
            return _error(400, "SYNTAX_ERROR", "error occurred while parsing the query")
        names = [name.strip() for name in found["fields"].split(",")]
        if set(names) - FIELDS[found["module"]] - {"id"}:
            return _error(400, "INVALID_QUERY", "column given seems to be invalid")
        where = _Condition(found["where"])
        rows = [row for row in self.rows[found["module"]].values() if where.holds(row)]
        if where.broken:
            return _error(400, "SYNTAX_ERROR", "error occurred while parsing the query")
        return _page(rows, names, int(found["offset"]), min(int(found["limit"]), 2000))

    def _delete(self, module: str, ids: list[str]) -> Answer:
        if not all(ids) or len(ids) > 100:
            return _error(400, "INVALID_DATA", "ids: 1 to 100")
        rows = [self._remove(module, key) for key in ids]
        return Answer(200 if any(row["code"] == "SUCCESS" for row in rows) else 400, {"data": rows})

    def _remove(self, module: str, key: str) -> Row:
        row = self.rows[module].pop(key, None)
        if row is None:
            return _refusal("INVALID_DATA", "the id given seems to be invalid", id=key)
        self.bin[key] = row | {"with": []}
        for note in [each for each, told in self.rows["Notes"].items() if told["Who_Id"]["id"] == key]:
            self.bin[key]["with"].append(self.rows["Notes"].pop(note))
        return {"code": "SUCCESS", "details": {"id": key}, "message": "record deleted", "status": "success"}

    def _purge(self, ids: list[str]) -> Answer:
        gone = [key for key in ids if self.bin.pop(key, None) is not None]
        if not gone:
            return _error(400, "INVALID_DATA", "the id given seems to be invalid")
        done = {"code": "SUCCESS", "details": {}, "message": "record deleted", "status": "success"}
        return Answer(200, {"recycle_bin": [done for _ in gone]})

    def _make(self, module: str, told: Row) -> Row:
        key = str(next(self._ids))
        self.created += module == "Contacts"
        self.rows[module][key] = told | {"id": key}
        return self.rows[module][key]


class _Condition:
    """What follows `where`: `field = 'value'`, `field in ('a', 'b')`, and two of them in brackets."""

    def __init__(self, text: str) -> None:
        self.words = TOKEN.findall(text)
        self.broken = "".join(self.words) != re.sub(r"\s+(?=(?:[^']*'[^']*')*[^']*\Z)", "", text)

    def holds(self, row: Row) -> bool:
        left = list(self.words)
        found = self._side(left, row)
        self.broken = self.broken or bool(left)
        return found

    def _side(self, left: list[str], row: Row) -> bool:
        word = left.pop(0) if left else ""
        if word != "(":
            return self._comparison(word, left, row)
        first = self._side(left, row)
        joint = left.pop(0) if left else ""
        if joint == ")":
            return first
        second = self._side(left, row)
        self.broken = self.broken or joint not in ("and", "or") or not left or left.pop(0) != ")"
        return (first and second) if joint == "and" else (first or second)

    def _comparison(self, field: str, left: list[str], row: Row) -> bool:
        comparator = left.pop(0) if left else ""
        if comparator == "=":
            values: Iterable[str] = [left.pop(0)] if left else []
        else:
            end = left.index(")") if ")" in left else len(left)
            values, left[:] = [word for word in left[1:end] if word != ","], left[end + 1 :]
        self.broken = self.broken or comparator not in ("=", "in") or field in NOT_IN_CONDITIONS
        self.broken = self.broken or not all(each.startswith("'") for each in values)
        held = row.get(field)
        plain = held.get("id") if isinstance(held, dict) else held
        return str(plain or "").lower() in [each.strip("'").lower() for each in values]


def _without_length(told: Row) -> bool:
    return told.get("Call_Type") != "Missed" and not told.get("Call_Duration")


def _page(rows: list[Row], names: list[str], start: int, size: int) -> Answer:
    shown = [{name: row.get(name) for name in {*names, "id"}} for row in rows[start : start + size]]
    if not shown:
        return Answer(204)
    return Answer(200, {"data": shown, "info": {"count": len(shown), "more_records": start + size < len(rows)}})


def _same(row: Row, told: Row, name: str) -> bool:
    return bool(told.get(name)) and str(row.get(name) or "").lower() == str(told[name]).lower()


def _done(row: Row, **more: Any) -> Row:
    details = {"Modified_Time": "2026-09-02T10:31:00+02:00", "id": row["id"]}
    return {"code": "SUCCESS", "details": details, "message": "record added", "status": "success", **more}


def _refusal(code: str, message: str, **details: Any) -> Row:
    return {"code": code, "details": details, "message": message, "status": "error"}


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, _refusal(code, message))


if __name__ == "__main__":
    run(Zoho)
