"""Dataverse's Web API: contacts and activities, alternate keys, conditional upserts, tokens of client credentials.

https://learn.microsoft.com/power-apps/developer/data-platform/webapi/overview
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from typing import Any
from urllib.parse import parse_qsl

from tests.standins.server import Answer, Call, Standin, run

TENANT, CLIENT_ID = "6b1f0c0e-3a52-4a63-9b57-2f6f6f0d7a11", "c2a9a3b4-58d1-4f55-8f0e-9f2f4c7f7a22"
CLIENT_SECRET, TOKEN = "abc8Q~fixture-secret-of-the-app", "eyJ0eXAiOiJKV1QifQ.fixture.token"
ENVIRONMENT = "https://tc.crm4.dynamics.com"
TABLES = {"contacts": "contact", "phonecalls": "phonecall", "emails": "email", "tasks": "task"}
KEYS = {"contacts": "hub_customerid", "phonecalls": "hub_eventid", "emails": "hub_eventid", "tasks": "hub_eventid"}
STATES = {"phonecalls": {0: {1}, 1: {2, 4}, 2: {3}}, "tasks": {0: {2, 3, 4, 7}, 1: {5}, 2: {6}}} | {
    "emails": {0: {1, 8}, 1: {2, 3, 4, 6, 7}, 2: {5}}
}
TEXTS = {
    "contacts": {"firstname": 50, "lastname": 50, "emailaddress1": 100, "mobilephone": 50, "telephone1": 50}
    | {"hub_customerid": 100, "hub_channel": 40, "tc_tier": 40},
    "phonecalls": {"subject": 200, "description": 2_000, "phonenumber": 200, "hub_eventid": 100, "tc_order": 40},
    "emails": {"subject": 800, "description": 1_073_741_823, "hub_eventid": 100},
    "tasks": {"subject": 200, "description": 2_000, "hub_eventid": 100},
}
MOMENTS = {"actualstart", "actualend", "scheduledend"}
NUMBERS = {"statecode", "statuscode", "actualdurationminutes"}
PATH = re.compile(r"/api/data/v9\.\d/(?P<table>\w+)(?:\((?P<key>.+)\))?\Z")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
BY_KEY = re.compile(r"(\w+)='((?:[^']|'')*)'\Z")
BIND = re.compile(r"/contacts\(([0-9a-f-]{36})\)\Z")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
EQUALS = re.compile(r"(\w+) eq (?:'((?:[^']|'')*)'|([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|(null)|(\d+))")
CONTACT = "Microsoft.Dynamics.CRM.contact"
REGION = "tc_region"
"""A lookup of contacts."""
REGIONS = {"00000000-0000-0000-0000-0000000000a1": "noord", "00000000-0000-0000-0000-0000000000a2": "zuid"}
READ_ONLY = {"contactid", "activityid", "merged", "_masterid_value", "_regardingobjectid_value"}

Row = dict[str, Any]


class Dynamics365(Standin):
    """`state_on_create`: whether an activity may be born completed; otherwise its state is ignored and it is open.
    `duplicate_rule`: contacts with one mail address are duplicates, for whoever wants to know. `limit`: requests in
    five minutes."""

    lie: Any = {"error": {"code": "0x80040216", "message": "An unexpected error occurred."}}

    def reset(self) -> None:
        self.tokens = {TOKEN}
        self.state_on_create = True
        self.duplicate_rule = False
        self.duplicate_status = 412
        self.limit = 0
        self.rows: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        self.forgotten: list[str] = []
        self._ids = itertools.count(501)
        self._issued = itertools.count(1)
        self._recent: deque[float] = deque()

    def set(self, **told: Any) -> None:
        for name in ("state_on_create", "duplicate_rule", "duplicate_status", "limit"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {**self.rows, "forgotten": self.forgotten, "calls": len(self.calls)}

    def kept(self) -> list[str]:
        """Only what shows as done on a contact's timeline."""
        with self.lock:
            rows = [each for table in TABLES if table != "contacts" for each in self.rows[table].values()]
            done = [each for each in rows if each["statecode"] == 1 and each.get("_regardingobjectid_value")]
            return [each["hub_eventid"] for each in done if each.get("hub_eventid")]

    def people(self) -> list[str]:
        with self.lock:
            return [each.get("hub_customerid") or "" for each in self.rows["contacts"].values() if not each["merged"]]

    def records_of(self, event: str) -> list[str]:
        """Of whom it regards and of its parties: it is on the timeline of each of them."""
        with self.lock:
            rows = [each for table in TABLES if table != "contacts" for each in self.rows[table].values()]
            found = {each for row in rows if row.get("hub_eventid") == event for each in _people(row)}
            return sorted(each for each in found if each in self.rows["contacts"])

    def add_contact(self, **columns: Any) -> str:
        """A row that somebody made by hand."""
        with self.lock:
            return str(self._make("contacts", columns)["contactid"])

    def remove_contact(self, id: str) -> None:
        with self.lock:
            self._delete("contacts", self.rows["contacts"][id])

    def close_contact(self, id: str) -> None:
        """Somebody deactivated it."""
        with self.lock:
            self.rows["contacts"][id] |= {"statecode": 1, "statuscode": 2}

    def merge_contacts(self, id: str, into: str) -> None:
        with self.lock:
            self._absorb(self.rows["contacts"][into], self.rows["contacts"][id])

    def expire(self) -> None:
        with self.lock:
            self.tokens = set()

    def answer(self, call: Call) -> Answer:
        if call.path.endswith("/oauth2/v2.0/token"):
            return self._token(call)
        if call.headers.get("authorization") not in {f"Bearer {each}" for each in self.tokens}:
            return Answer(401, headers={"WWW-Authenticate": "Bearer authorization_uri=https://login.example"})
        if self._limited():
            wait = {"Retry-After": "37"}
            text = "Number of requests exceeded the limit of 6000 over time window of 300 seconds."
            return Answer(429, _error(429, "0x80072322", text).body, wait)
        if call.path.endswith("/Merge"):
            return self._merge(call)
        found = PATH.match(call.path)
        if found is None or found["table"] not in TABLES:
            return _error(404, "0x80060888", f"Resource not found for the segment: {call.path}")
        if found["key"] is None:
            return self._list(found["table"], call)
        return self._row(found["table"], found["key"], call)

    def _limited(self) -> bool:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 300:
            self._recent.popleft()
        self._recent.append(now)
        return bool(self.limit) and len(self._recent) > self.limit

    def _token(self, call: Call) -> Answer:
        told = dict(parse_qsl(call.body.decode()))
        if call.path != f"/{TENANT}/oauth2/v2.0/token":
            return _refused(400, "invalid_request", "AADSTS90002: Tenant not found.")
        if told.get("grant_type") != "client_credentials" or told.get("scope") != f"{ENVIRONMENT}/.default":
            return _refused(400, "invalid_scope", "AADSTS70011: The provided value for scope is not valid.")
        if told.get("client_id") != CLIENT_ID:
            return _refused(400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.")
        if told.get("client_secret") != CLIENT_SECRET:
            return _refused(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
        token = f"eyJ0eXAiOiJKV1QifQ.issued.{next(self._issued)}"
        self.tokens.add(token)
        return Answer(200, {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})

    def _row(self, table: str, key: str, call: Call) -> Answer:
        named = BY_KEY.match(key)
        if named and named[1] != KEYS[table]:
            return _error(400, "0x80060890", "The specified key attributes are not a defined key for the entity")
        if not named and not GUID.match(key):
            return _error(400, "0x80060888", f"Bad Request - Error in query syntax: {key}")
        value = named[2].replace("''", "'") if named else key
        row = self._find(table, named[1] if named else _id(table), value)
        if call.method == "PATCH":
            return self._patch(table, row, {named[1]: value} if named else {}, call)
        if row is None:
            return _error(404, "0x80040217", f"{TABLES[table]} With Id = {key} Does Not Exist")
        if call.method == "DELETE":
            self._delete(table, row)
            return Answer(204)
        return self._shown(table, row, call, 200) if call.method == "GET" else _error(405, "0x80060888", "Not allowed")

    def _patch(self, table: str, row: Row | None, key: Row, call: Call) -> Answer:
        if row is None and (call.headers.get("if-match") == "*" or not key):
            return _error(404, "0x80040217", f"{TABLES[table]} Does Not Exist")
        if row is not None and call.headers.get("if-none-match") == "*":
            return _error(412, "0x80040237", "A record with matching key values already exists.")
        columns, wrong = self._columns(table, call.json)
        if wrong is not None:
            return wrong
        if set(key) & set(columns):
            return _error(400, "0x80048d19", f"{next(iter(key))}: is in the address already")
        if clash := self._clash(table, row, columns, call):
            return clash
        status = 200 if row is not None else 201
        changed = row if row is not None else self._make(table, key | self._born(table, columns))
        changed |= columns if row is not None else {}
        return self._shown(table, changed, call, status)

    def _born(self, table: str, columns: Row) -> Row:
        if table == "contacts" or self.state_on_create:
            return columns
        return {name: value for name, value in columns.items() if name not in ("statecode", "statuscode")}

    def _clash(self, table: str, row: Row | None, columns: Row, call: Call) -> Answer | None:
        key, others = KEYS[table], [each for each in self.rows[table].values() if each is not row]
        if columns.get(key) and any(each.get(key) == columns[key] for each in others):
            return _error(412, "0x80060892", f"Entity Key {key} violated. A record with the same value already exists.")
        asked = call.headers.get("mscrm.suppressduplicatedetection", "").lower() == "false"
        mail = columns.get("emailaddress1")
        if self.duplicate_rule and asked and mail and any(each.get("emailaddress1") == mail for each in others):
            return _error(
                self.duplicate_status, "0x80040333", "A record was not created or updated because a duplicate"
            )
        return None

    def _columns(self, table: str, told: Row) -> tuple[Row, Answer | None]:
        """The columns that a body names, as they are kept, or what is wrong with it."""
        columns: Row = {}
        for name, value in told.items():
            wrong = self._wrong(table, name, value)
            if wrong is not None:
                return {}, wrong
            if name == f"{REGION}@odata.bind":
                columns[REGION] = _region(value)
            elif name.endswith("@odata.bind"):
                columns["_regardingobjectid_value"] = BIND.findall(value)[0]
            else:
                columns[name] = value
        if "statecode" in columns and columns.get("statuscode") not in STATES.get(table, {}).get(
            columns["statecode"], ()
        ):
            return {}, _error(400, "0x80048408", f"{columns.get('statuscode')} is not a valid status code")
        return columns, None

    def _wrong(self, table: str, name: str, value: Any) -> Answer | None:
        kind = TABLES[table]
        if name == f"regardingobjectid_contact_{kind}@odata.bind" and table != "contacts":
            return self._unbound(value)
        if name == f"{kind}_activity_parties" and kind in ("phonecall", "email"):
            return next(filter(None, (self._wrong_party(each) for each in value)), None)
        if name == f"{REGION}@odata.bind" and table == "contacts":
            return None if _region(value) else _error(404, "0x80040217", f"tc_region {value} Does Not Exist")
        if name in TEXTS[table]:
            fits = isinstance(value, str) and len(value) <= TEXTS[table][name]
            return None if fits else _error(400, "0x80044331", f"A validation error occurred. The length of '{name}'")
        activity = table != "contacts"
        right = (name in NUMBERS and activity and isinstance(value, int)) or (
            (name in MOMENTS and activity and MOMENT.match(str(value)) is not None)
            or (name == "tc_vip" and not activity and isinstance(value, bool))
            or (name == "directioncode" and kind in ("phonecall", "email") and isinstance(value, bool))
        )
        return None if right else _error(400, "0x80048d19", f"Error identified in Payload for Entity '{table}': {name}")

    def _wrong_party(self, party: Row) -> Answer | None:
        if set(party) != {"partyid_contact@odata.bind", "participationtypemask"}:
            return _error(400, "0x80048d19", "Error identified in Payload: activityparty")
        mask = party["participationtypemask"]
        return self._unbound(party["partyid_contact@odata.bind"]) or (
            None if mask in (1, 2) else _error(400, "0x80040203", f"Invalid participation type {mask}")
        )

    def _unbound(self, value: Any) -> Answer | None:
        found = BIND.match(str(value))
        there = found is not None and found[1] in self.rows["contacts"]
        return None if there else _error(404, "0x80040217", f"contact With Id = {value} Does Not Exist")

    def _merge(self, call: Call) -> Answer:
        told = call.json if call.method == "POST" else {}
        ends = [told.get(name) for name in ("Target", "Subordinate")]
        typed = all(isinstance(each, dict) and each.get("@odata.type") == CONTACT for each in ends)
        named = {"Target", "Subordinate", "UpdateContent", "PerformParentingChecks"}
        if not typed or set(told) - named or not isinstance(told.get("PerformParentingChecks"), bool):
            return _error(400, "0x80048d19", "Error identified in Payload provided by the user for Entity :''")
        rows = [self.rows["contacts"].get(each["contactid"]) for each in ends]
        if rows[0] is None or rows[1] is None:
            return _error(404, "0x80040217", f"contact With Id = {ends} Does Not Exist")
        if rows[0] is rows[1]:
            return _error(400, "0x80040203", "Merge cannot be performed on master and sub-entities that are identical.")
        if idle := [each for each in rows if each["statecode"] != 0]:
            return _error(400, "0x80040203", f"entity:contact-{idle[0]['contactid']} is deactive")
        self._absorb(rows[0], rows[1])
        return Answer(204)

    def _absorb(self, target: Row, away: Row) -> None:
        """What hung on one hangs on the other, which takes over what it had not, but no key; the row itself stays."""
        names = set(TEXTS["contacts"]) - {KEYS["contacts"]}
        target |= {name: value for name, value in away.items() if name in names and not target.get(name)}
        away |= {"merged": True, "_masterid_value": target["contactid"], "statecode": 1, "statuscode": 2}
        for kind in (each for each in TABLES if each != "contacts"):
            for row in self.rows[kind].values():
                if row.get("_regardingobjectid_value") == away["contactid"]:
                    row["_regardingobjectid_value"] = target["contactid"]
                for party in row.get(f"{TABLES[kind]}_activity_parties", ()):
                    bound = party["partyid_contact@odata.bind"]
                    party["partyid_contact@odata.bind"] = bound.replace(away["contactid"], target["contactid"])

    def _list(self, table: str, call: Call) -> Answer:
        wanted = call.query.get("$filter", "")
        if call.method != "GET" or table != "contacts" or not wanted:
            return _error(405, "0x80060888", "The requested resource does not support this method")
        names = {each[0] for each in EQUALS.findall(wanted)}
        if not names <= {*TEXTS[table], "statecode", "_masterid_value"} or EQUALS.sub("", wanted).strip("() andor"):
            return _error(400, "0x8006088a", f"Could not find a property: {wanted}")
        rows = [each for each in self.rows[table].values() if _holds(wanted, each)]
        shown = [self._shown(table, each, call, 200).body for each in rows[: int(call.query.get("$top", "5000"))]]
        return Answer(200, {"@odata.context": f"{self.url}/api/data/v9.2/$metadata#contacts", "value": shown})

    def _shown(self, table: str, row: Row, call: Call, status: int) -> Answer:
        if call.method == "PATCH" and "return=representation" not in call.headers.get("prefer", ""):
            return Answer(204, headers={"OData-EntityId": f"{self.url}/api/data/v9.2/{table}({row[_id(table)]})"})
        names = [each for each in call.query.get("$select", "").split(",") if each]
        expanded = [each for each in call.query.get("$expand", "").split(",") if each]
        known = {*TEXTS[table], *MOMENTS, *NUMBERS, *READ_ONLY, "tc_vip", "directioncode"}
        if wrong := [*(set(names) - known), *(set(expanded) - {REGION})]:
            return _error(400, "0x80060888", f"Could not find a property named '{wrong[0]}'")
        shown = {name: _expanded(row.get(name)) for name in expanded} | {name: row.get(name) for name in names}
        return Answer(status, {"@odata.etag": 'W/"1"', _id(table): row[_id(table)]} | shown)

    def _find(self, table: str, name: str, value: str) -> Row | None:
        return next((each for each in self.rows[table].values() if each.get(name) == value), None)

    def _delete(self, table: str, row: Row) -> None:
        del self.rows[table][row[_id(table)]]
        if table == "contacts":
            self.forgotten.append(row["contactid"])
            for kind in (each for each in TABLES if each != "contacts"):
                of_him = [
                    k for k, each in self.rows[kind].items() if each["_regardingobjectid_value"] == row["contactid"]
                ]
                for each in of_him:
                    del self.rows[kind][each]

    def _make(self, table: str, columns: Row) -> Row:
        key = f"00000000-0000-0000-0000-{next(self._ids):012d}"
        born: Row = {"merged": False, "_masterid_value": None} if table == "contacts" else {}
        first = 0 if table == "contacts" else min(STATES[table][0])
        self.rows[table][key] = {_id(table): key, "statecode": 0, "statuscode": first, **born, **columns}
        return self.rows[table][key]


def _region(reference: str) -> str:
    """The id of the region that is named, by id or by name; empty where there is none."""
    named = {f"/tc_regions({key})": key for key in REGIONS} | {
        f"/tc_regions(tc_name='{name}')": key for key, name in REGIONS.items()
    }
    return named.get(reference, "")


def _expanded(key: str | None) -> Row | None:
    return {"tc_regionid": key, "tc_name": REGIONS[key]} if key else None


def _people(row: Row) -> list[str]:
    parties = [each for name in row if name.endswith("_activity_parties") for each in row[name]]
    bound = [BIND.findall(each["partyid_contact@odata.bind"])[0] for each in parties]
    return [str(row.get("_regardingobjectid_value")), *bound]


def _id(table: str) -> str:
    return "contactid" if table == "contacts" else "activityid"


def _holds(wanted: str, row: Row) -> bool:
    """A filter of ours: comparisons under and, or and brackets."""

    def compared(term: re.Match[str]) -> str:
        held = row.get(term[1])
        if term[3]:
            return str(held == term[3])
        if term[4]:
            return str(held is None)
        if term[5]:
            return str(held == int(term[5]))
        return str(str(held or "").lower() == term[2].replace("''", "'").lower())

    return bool(eval(EQUALS.sub(compared, wanted), {"__builtins__": {}}))


def _error(status: int, code: str, message: str) -> Answer:
    return Answer(status, {"error": {"code": code, "message": message}})


def _refused(status: int, error: str, description: str) -> Answer:
    return Answer(status, {"error": error, "error_description": description, "error_codes": [7000215]})


if __name__ == "__main__":
    run(Dynamics365)
