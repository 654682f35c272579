"""Salesforce's REST API: contacts and tasks, external ids, SOQL, duplicate rules, tokens of client credentials.

https://developer.salesforce.com/docs/platform/api-rest/guide/dome-upsert.html
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import parse_qsl

from tests.standins.server import Answer, Call, Standin, run

CLIENT_ID, CLIENT_SECRET = "3MVG9pRzvMkjMb6nK1o7example", "9F3C2A51D0E84B7FA6example"
TOKEN = "00D5g00000example!AQEAQFixture"
CUSTOMER, EVENT = "Hub_Customer_Id__c", "Hub_Event_Id__c"
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
PATH = re.compile(r"/services/data/v(?P<version>\d\d)\.0/(?P<kind>query|composite/sobjects|sobjects/(?P<rest>.+))\Z")
QUERY = re.compile(
    r"SELECT (?P<names>[\w., ]+) FROM (?P<table>\w+) WHERE (?P<wanted>.+?)( ORDER BY CreatedDate)?( LIMIT (?P<limit>\d+))?\Z"
)
TERM = re.compile(r"(\w+) (?:IN \((.*)\)|= ('(?:[^'\\]|\\.)*')|!= (null))\Z")
LITERAL = re.compile(r"'((?:[^'\\]|\\.)*)'")
LENGTHS = {
    "Contact": {"FirstName": 40, "LastName": 80, "Email": 80, "Phone": 40, "MobilePhone": 40, "AccountId": 18}
    | {CUSTOMER: 64, "Channel__c": 40, "Loyalty_Tier__c": 40, "Vip__c": 0},
    "Task": {"WhoId": 18, "Subject": 255, "Description": 32_000, "ActivityDate": 10, "Status": 40, "TaskSubtype": 40}
    | {"CallType": 40, "CallDurationInSeconds": 0, "CallDisposition": 255, EVENT: 64, "Order_Number__c": 40},
}
CHOICES = {
    "TaskSubtype": {"Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"},
    "CallType": {"Inbound", "Outbound", "Internal"},
    "Status": {"Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"},
}
EXTERNAL = {"Contact": CUSTOMER, "Task": EVENT}
PREFIX = {"Contact": "003", "Task": "00T"}
ACCOUNTS = {"001000000000000042": {"Tc_Key__c": "K1"}}
MOST_DELETED = 200

Row = dict[str, Any]


class Salesforce(Standin):
    """`duplicate_rule`: what a record with a mail address or a phone number that another has meets: nothing, `alert`
    or `block`. `subtype_locked`: TaskSubtype is for new tasks only; `subtype_hidden`: it cannot be set at all.
    `unique`: whether external ids are. `limit`: requests a day, of which none comes free here."""

    def reset(self) -> None:
        self.tokens = {TOKEN}
        self.duplicate_rule = ""
        self.subtype_locked = True
        self.subtype_hidden = False
        self.unique = True
        self.limit = 0
        self.rows: dict[str, dict[str, Row]] = {"Contact": {}, "Task": {}}
        self.forgotten: list[str] = []
        self._ids = itertools.count(501)
        self._issued = itertools.count(1)

    def set(self, **told: Any) -> None:
        for name in ("duplicate_rule", "subtype_locked", "subtype_hidden", "unique", "limit", "tokens"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {"contacts": self.rows["Contact"], "tasks": self.rows["Task"], "forgotten": self.forgotten}

    def kept(self) -> list[str]:
        """Also of a task that lost its contact: it still shows."""
        with self.lock:
            return [each[EVENT] for each in self.rows["Task"].values() if each.get(EVENT)]

    def people(self) -> list[str]:
        with self.lock:
            return [each.get(CUSTOMER) or "" for each in self.rows["Contact"].values()]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            return [each["WhoId"] for each in self.rows["Task"].values() if each.get(EVENT) == event and each["WhoId"]]

    def add_contact(self, **fields: str) -> str:
        """A record that somebody made by hand."""
        with self.lock:
            return str(self._make("Contact", fields)["Id"])

    def remove_contact(self, id: str) -> None:
        with self.lock:
            self._delete("Contact", id)

    def remove_task(self, id: str) -> None:
        with self.lock:
            self._delete("Task", id)

    def add_task(self, **fields: str) -> str:
        with self.lock:
            return str(self._make("Task", fields)["Id"])

    def expire(self) -> None:
        """Every token, as when an admin ends the sessions."""
        with self.lock:
            self.tokens = set()

    def answer(self, call: Call) -> Answer:
        if call.path == "/services/oauth2/token":
            return self._token(call)
        if call.headers.get("authorization") not in {f"Bearer {each}" for each in self.tokens}:
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if self.limit and len(self.calls) > self.limit:
            return _error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        found = PATH.match(call.path)
        if found is None or int(found["version"]) < 46:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        if found["kind"] == "query":
            return self._query(call.query.get("q", ""))
        if found["kind"] == "composite/sobjects":
            return self._delete_several(call)
        return self._record(call, found["rest"].split("/"))

    def _token(self, call: Call) -> Answer:
        told = dict(parse_qsl(call.body.decode()))
        if call.method != "POST" or told.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "grant type not supported")
        if told.get("client_id") != CLIENT_ID:
            return _refused("invalid_client_id", "client identifier invalid")
        if told.get("client_secret") != CLIENT_SECRET:
            return _refused("invalid_client", "invalid client credentials")
        token = f"00D5g00000example!AQEA{next(self._issued)}"
        self.tokens.add(token)
        more = {"token_type": "Bearer", "issued_at": "1788252000000", "scope": "api", "signature": "c2ln"}
        return Answer(200, {"access_token": token, "instance_url": self.url, "id": f"{self.url}/id/00D/005", **more})

    def _record(self, call: Call, parts: list[str]) -> Answer:
        table = parts[0]
        if table not in self.rows or not 1 < len(parts) < 4:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        if call.method == "DELETE" and len(parts) == 2:
            return Answer(204) if self._delete(table, parts[1]) else _gone()
        if call.method != "PATCH":
            return _error(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed")
        force = "allowsave=true" in call.headers.get("sforce-duplicate-rule-header", "").lower()
        if len(parts) == 2:
            return self._update(table, parts[1], call.json, force)
        return self._upsert(table, parts[1], parts[2], call.json, force)

    def _update(self, table: str, key: str, told: Row, force: bool) -> Answer:
        row = self.rows[table].get(key)
        if row is None:
            return _gone()
        wrong = self._wrong(table, told, row, force)
        if wrong is None:
            row |= told
        return wrong or Answer(204)

    def _upsert(self, table: str, field: str, value: str, told: Row, force: bool) -> Answer:
        if field != EXTERNAL[table]:
            return _error(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field}")
        if field in told or "Id" in told:
            return _error(400, "INVALID_FIELD", f"The {field} field should not be specified in the sobject data.")
        same = [each for each in self.rows[table].values() if str(each.get(field) or "").lower() == value.lower()]
        if len(same) > 1:
            return Answer(300, [f"/services/data/v62.0/sobjects/{table}/{each['Id']}" for each in same])
        row = same[0] if same else None
        if wrong := self._wrong(table, told, row, force):
            return wrong
        made = row if row is not None else self._make(table, {field: value})
        made |= told
        done = {"id": made["Id"], "success": True, "errors": [], "created": row is None}
        return Answer(201 if row is None else 200, done)

    def _wrong(self, table: str, told: Row, row: Row | None, force: bool) -> Answer | None:
        for name, value in told.items():
            if wrong := self._wrong_value(table, name, value, row):
                return wrong
        if table == "Contact" and not {**(row or {}), **told}.get("LastName"):
            return _error(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", fields=["LastName"])
        key = EXTERNAL[table]
        others = [each for each in self.rows[table].values() if each is not row]
        if self.unique and told.get(key) and (taken := [each for each in others if each.get(key) == told[key]]):
            text = f"duplicate value found: {key} duplicates value on record with id: {taken[0]['Id']}"
            return _error(400, "DUPLICATE_VALUE", text, fields=[])
        return self._duplicates(told, others, force) if table == "Contact" else None

    def _wrong_value(self, table: str, name: str, value: Any, row: Row | None) -> Answer | None:
        if name not in LENGTHS[table]:
            return _error(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {table}")
        if name == "TaskSubtype" and (self.subtype_hidden or (self.subtype_locked and row is not None)):
            text = "Unable to create/update fields: TaskSubtype. Please check the security settings of this field"
            return _error(400, "INVALID_FIELD_FOR_INSERT_UPDATE", text, fields=["TaskSubtype"])
        if name == "CallDurationInSeconds":
            return None if isinstance(value, int) else _error(400, "JSON_PARSER_ERROR", "Cannot deserialize int")
        if name == "Vip__c":
            return None if isinstance(value, bool) else _error(400, "JSON_PARSER_ERROR", "Cannot deserialize boolean")
        if len(value) > LENGTHS[table][name]:
            return _error(400, "STRING_TOO_LONG", f"{name}: data value too large", fields=[name])
        if name == "Email" and value and not MAIL.match(value):
            return _error(400, "INVALID_EMAIL_ADDRESS", f"Email: invalid email address: {value}", fields=["Email"])
        if name in CHOICES and value not in CHOICES[name]:
            return _error(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"bad value: {value}", fields=[name])
        people = {"WhoId": self.rows["Contact"], "AccountId": ACCOUNTS}
        if name in people and value not in people[name]:
            return _error(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=[name])
        return None

    def _duplicates(self, told: Row, others: list[Row], force: bool) -> Answer | None:
        same = [each for each in others if any(told.get(n) and told[n] == each.get(n) for n in ("Email", "Phone"))]
        if not same or not self.duplicate_rule or (force and self.duplicate_rule == "alert"):
            return None
        found = [{"matchConfidence": 100.0, "record": {"attributes": {"type": "Contact"}, "Id": e["Id"]}} for e in same]
        result = {"entityType": "Contact", "matchRecords": found, "rule": "Standard_Contact_Match_Rule_v1_1"}
        told = {"allowSave": self.duplicate_rule == "alert", "matchResults": [result]}
        return _error(400, "DUPLICATES_DETECTED", "Use one of these records?", duplicateResult=told)

    def _query(self, soql: str) -> Answer:
        found = QUERY.match(soql)
        if found is None or found["table"] not in self.rows:
            return _error(400, "MALFORMED_QUERY", f"unexpected token: {soql}")
        names, table = found["names"].split(", "), found["table"]
        known = {*LENGTHS[table], "Id", *(f"Account.{name}" for each in ACCOUNTS.values() for name in each)}
        terms = [[TERM.match(each) for each in part.split(" AND ")] for part in found["wanted"].split(" OR ")]
        flat = [each for part in terms for each in part]
        if not all(flat) or not {*names, *(each[1] for each in flat if each)} <= known:
            return _error(400, "INVALID_FIELD", f"No such column on entity '{table}': {soql}")
        rows = [each for each in self.rows[table].values() if any(all(_holds(t, each) for t in p) for p in terms)]
        shown = [{"attributes": {"type": table}, **_selected(each, names)} for each in rows]
        limited = shown[: int(found["limit"] or 2000)]
        return Answer(200, {"totalSize": len(limited), "done": True, "records": limited})

    def _delete_several(self, call: Call) -> Answer:
        ids = call.query.get("ids", "").split(",")
        if call.method != "DELETE" or len(ids) > MOST_DELETED:
            return _error(400, "INVALID_PARAMETER", "The ids parameter holds too many ids")
        done = [{"id": each, "success": self._delete("Task", each), "errors": []} for each in ids]
        return Answer(200, done)

    def _delete(self, table: str, key: str) -> bool:
        """Tasks of a deleted contact stay, without a name: erasing must not rely on the org."""
        row = self.rows[table].pop(key, None)
        if row is not None and table == "Contact":
            self.forgotten.append(key)
            for each in self.rows["Task"].values():
                if each.get("WhoId") == key:
                    each["WhoId"] = None
        return row is not None

    def _make(self, table: str, fields: Row) -> Row:
        key = f"{PREFIX[table]}{next(self._ids):015d}"
        self.rows[table][key] = {"Id": key, **fields}
        return self.rows[table][key]


def _selected(row: Row, names: list[str]) -> Row:
    account = ACCOUNTS.get(row.get("AccountId") or "")
    of_account = [name.partition(".")[2] for name in names if "." in name]
    related = {"attributes": {"type": "Account"}, **{name: account[name] for name in of_account}} if account else None
    return {name: row.get(name) for name in names if "." not in name} | ({"Account": related} if of_account else {})


def _holds(term: re.Match[str] | None, row: Row) -> bool:
    if term is None:
        return False
    held = str(row.get(term[1]) or "").lower()
    if term[4]:
        return bool(held)
    wanted = [re.sub(r"\\(.)", r"\1", each).lower() for each in LITERAL.findall(term[2] or term[3])]
    return bool(held) and held in wanted


def _error(status: int, code: str, message: str, **more: Any) -> Answer:
    return Answer(status, [{"message": message, "errorCode": code, **more}])


def _gone() -> Answer:
    return _error(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible")


def _refused(error: str, description: str) -> Answer:
    return Answer(400, {"error": error, "error_description": description})


if __name__ == "__main__":
    run(Salesforce)
