"""HubSpot's CRM objects: contacts, engagements, unique properties, associations, limits.

https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from tests.standins.server import Answer, Call, Standin, run

TOKEN = "pat-eu1-11111111-2222-3333-4444-555555555555"
ENGAGEMENTS = ("calls", "emails", "communications", "notes")
REQUIRED = {"communications": ("hs_communication_channel_type", "hs_communication_logged_from")}
CHOICES = {
    "hs_communication_channel_type": {"WHATS_APP", "LINKEDIN_MESSAGE", "SMS"},
    "hs_communication_logged_from": {"CRM"},
    "hs_call_direction": {"INBOUND", "OUTBOUND"},
    "hs_call_status": {"BUSY", "CALLING_CRM_USER", "CANCELED", "COMPLETED", "CONNECTING", "FAILED", "IN_PROGRESS"}
    | {"NO_ANSWER", "QUEUED", "RINGING"},
    "hs_email_direction": {"EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL"},
    "hs_email_status": {"BOUNCED", "FAILED", "SCHEDULED", "SENDING", "SENT"},
}
PROPERTIES = {
    "contacts": {"email", "phone", "firstname", "lastname", "lifecyclestage", "hs_email_optout"}
    | {"loyalty_tier", "vip"},
    "calls": {"hs_timestamp", "hs_call_title", "hs_call_body", "hs_call_direction", "hs_call_duration"}
    | {"hs_call_status", "shop_order"},
    "emails": {"hs_timestamp", "hs_email_direction", "hs_email_status", "hs_email_subject", "hs_email_text"}
    | {"hs_email_html"},
    "communications": {"hs_timestamp", "hs_communication_channel_type", "hs_communication_logged_from"}
    | {"hs_communication_body"},
    "notes": {"hs_timestamp", "hs_note_body"},
}
OBJECTS = re.compile(r"/crm/(?:v3/objects|objects/\d{4}-\d{2})/(?P<kind>\w+)(?P<rest>/.*)?\Z")
LINKS = re.compile(
    r"/crm/v4/objects/(?P<kind>\w+)/(?P<id>\w+)/associations/(?:default/)?(?P<to>\w+)(?:/(?P<other>\w+))?\Z"
)
PROPERTY = re.compile(r"/crm/v3/properties/(?P<kind>\w+)(?:/(?P<name>\w+))?\Z")
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")

Row = dict[str, Any]


class HubSpot(Standin):
    """`conflict`: whether a refused row of a batch is a 207 or a 409. `limit`: requests a 10 s."""

    def reset(self) -> None:
        self.tokens = [TOKEN]
        self.conflict = 207
        self.limit = 0
        self.search_lag = 5.0
        self.objects: dict[str, dict[str, Row]] = {kind: {} for kind in PROPERTIES}
        self.archived: dict[str, set[str]] = {kind: set() for kind in PROPERTIES}
        self.forgotten: list[str] = []
        self.merged: dict[str, str] = {}
        self.links: set[tuple[str, str, str]] = set()
        self.known = {kind: set(names) for kind, names in PROPERTIES.items()}
        self.unique = {kind: {"hub_event_id"} for kind in ENGAGEMENTS} | {"contacts": {"hub_customer_id"}}
        for kind, names in self.unique.items():
            self.known[kind] |= names
        self.known["contacts"] |= {"hub_preferred_channel", "hub_satisfaction"}
        self.created = 0
        self.writes = 0
        self._ids = itertools.count(501)
        self._recent: deque[float] = deque()

    def set(self, **told: Any) -> None:
        for name in ("tokens", "conflict", "limit", "search_lag"):
            if name in told:
                with self.lock:
                    setattr(self, name, told.pop(name))
        super().set(**told)

    def state(self) -> Any:
        return {
            "contacts": {key: row["properties"] for key, row in self.objects["contacts"].items()},
            "activities": [
                {"kind": kind, "id": key, "contacts": self.contacts_of(kind, key), **row["properties"]}
                for kind in ENGAGEMENTS
                for key, row in self.objects[kind].items()
            ],
            "forgotten": self.forgotten,
            "created": self.created,
            "writes": self.writes,
            "calls": len(self.calls),
        }

    def kept(self) -> list[str]:
        """Only what is on a contact's timeline: an activity without a contact shows nowhere. One that is on two
        records, because its customer was two for a while, is one activity all the same."""
        with self.lock:
            linked = [self.objects[kind][key]["properties"] for kind, key in {link[:2] for link in self.links}]
        return [found["hub_event_id"] for found in linked]

    def owners_of(self, event: str) -> set[str]:
        """Our customer ids on the records that show this activity."""
        with self.lock:
            links = [
                link for link in self.links if self.objects[link[0]][link[1]]["properties"]["hub_event_id"] == event
            ]
            return {self.objects["contacts"][contact]["properties"].get("hub_customer_id", "") for *_, contact in links}

    def lose(self, event: str) -> None:
        """Somebody deleted an activity by hand."""
        with self.lock:
            for kind, rows in self.objects.items():
                for key in [key for key, row in rows.items() if row["properties"].get("hub_event_id") == event]:
                    del rows[key]
                    self.links = type(self.links)(link for link in self.links if link[:2] != (kind, key))

    def contacts_of(self, kind: str, key: str) -> list[str]:
        return sorted(contact for k, i, contact in self.links if (k, i) == (kind, key))

    def events_of(self, contact: str) -> list[str]:
        """hub_event_id of every activity on a contact's timeline."""
        linked = sorted((kind, key) for kind, key, other in self.links if other == contact)
        return [self.objects[kind][key]["properties"]["hub_event_id"] for kind, key in linked]

    def people(self) -> list[str]:
        with self.lock:
            return [row["properties"].get("hub_customer_id", "") for row in self.objects["contacts"].values()]

    def records_of(self, event: str) -> list[str]:
        with self.lock:
            found = [
                link for link in self.links if self.objects[link[0]][link[1]]["properties"]["hub_event_id"] == event
            ]
            return sorted(contact for *_, contact in found)

    def add_contact(self, **properties: str) -> str:
        """A record that somebody made by hand."""
        with self.lock:
            return str(self._make("contacts", properties)["id"])

    def answer(self, call: Call) -> Answer:
        if call.headers.get("authorization") not in {f"Bearer {token}" for token in self.tokens}:
            return _error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
        if self._limited():
            policy = {"policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT"}
            return _error(429, "RATE_LIMITS", "You have reached your ten_secondly_rolling limit.", **policy)
        if found := LINKS.match(call.path):
            return self._association(call, found["kind"], found["id"], found["to"], found["other"] or "")
        if found := PROPERTY.match(call.path):
            return self._property(call, found["kind"], found["name"] or "")
        found = OBJECTS.match(call.path)
        if found is None or found["kind"] not in PROPERTIES:
            return _error(404, "OBJECT_NOT_FOUND", f"Unable to infer object type from: {call.path}")
        return self._object(call, found["kind"], (found["rest"] or "").strip("/"))

    def _limited(self) -> bool:
        now = time.monotonic()
        while self._recent and self._recent[0] <= now - 10:
            self._recent.popleft()
        if self.limit and len(self._recent) >= self.limit:
            return True
        self._recent.append(now)
        return False

    def _object(self, call: Call, kind: str, rest: str) -> Answer:
        match call.method, rest:
            case "POST", "batch/upsert":
                return self._batch_upsert(kind, call.json)
            case "POST", "gdpr-delete" if kind == "contacts":
                return self._gdpr_delete(call.json)
            case "POST", "merge" if kind == "contacts":
                return self._merge(call.json)
            case "POST", "search":
                return self._search(kind, call.json)
            case "POST", "":
                return self._create(kind, call.json.get("properties", {}))
            case "GET", key if key:
                return self._get(kind, key, call.query)
            case "PATCH", key if key:
                return self._patch(kind, key, call)
            case "DELETE", key if key:
                return self._archive(kind, key)
        return _error(405, "METHOD_NOT_ALLOWED", f"{call.method} not allowed")

    def _batch_upsert(self, kind: str, told: Any) -> Answer:
        inputs = told.get("inputs")
        if not isinstance(inputs, list) or not inputs:
            return _error(400, "VALIDATION_ERROR", "Invalid input JSON: inputs may not be empty")
        if len(inputs) > 100:
            return _error(400, "VALIDATION_ERROR", f"The maximum number of inputs is 100, received {len(inputs)}")
        wrong = next(filter(None, (self._wrong_input(kind, each) for each in inputs)), None)
        if wrong:
            return wrong
        keys = [each["id"] for each in inputs]
        if len(set(keys)) < len(keys):
            return _error(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        return self._upserted(kind, inputs)

    def _wrong_input(self, kind: str, each: Row) -> Answer | None:
        key = each.get("idProperty")
        if key not in self.unique[kind] and (kind, key) != ("contacts", "email"):
            return _error(400, "VALIDATION_ERROR", f"Property {key} is not a unique identifier property for {kind}")
        if not isinstance(each.get("id"), str) or not each["id"]:
            return _error(400, "VALIDATION_ERROR", "id may not be empty")
        existing = self._find(kind, key, each["id"])
        return self._invalid(kind, each.get("properties", {}), new=existing is None)

    def _upserted(self, kind: str, inputs: list[Row]) -> Answer:
        results, errors = [], []
        for each in inputs:
            existing = self._find(kind, each["idProperty"], each["id"])
            properties = {**each.get("properties", {}), each["idProperty"]: each["id"]}
            clash = self._clash(kind, properties, existing)
            if clash:
                context = {"objectWriteTraceId": [each.get("objectWriteTraceId", "")]}
                errors.append({"status": "error", "category": "CONFLICT", "message": clash, "context": context})
                continue
            row = self._change(existing, properties) if existing else self._make(kind, properties)
            results.append({**row, "new": existing is None, "objectWriteTraceId": each.get("objectWriteTraceId")})
        if errors and not results and self.conflict == 409:
            return _error(409, "CONFLICT", errors[0]["message"])
        body = {"status": "COMPLETE", "results": results}
        if errors:
            return Answer(207, {**body, "numErrors": len(errors), "errors": errors})
        return Answer(201 if all(row["new"] for row in results) else 200, body)

    def _create(self, kind: str, properties: Row) -> Answer:
        if wrong := self._invalid(kind, properties, new=True):
            return wrong
        if clash := self._clash(kind, properties, None):
            return _error(409, "CONFLICT", clash)
        return Answer(201, self._make(kind, properties))

    def _get(self, kind: str, key: str, query: dict[str, str]) -> Answer:
        row = self._find(kind, query["idProperty"], key) if "idProperty" in query else self._row(kind, key)
        if row is None:
            return _error(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
        wanted = set(query.get("properties", "").split(",")) | {"hs_object_id", "createdate", "lastmodifieddate"}
        shown = {name: row["properties"].get(name) for name in wanted & (self.known[kind] | set(row["properties"]))}
        found = {**row, "properties": shown}
        linked = [{"id": each, "type": f"{kind[:-1]}_to_contact"} for each in self.contacts_of(kind, row["id"])]
        if query.get("associations") == "contacts" and linked:
            found["associations"] = {"contacts": {"results": linked}}
        return Answer(200, found)

    def _patch(self, kind: str, key: str, call: Call) -> Answer:
        named = call.query.get("idProperty")
        row = self._find(kind, named, key) if named else self._row(kind, key)
        properties = call.json.get("properties", {})
        if row is None:
            return _error(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
        if wrong := self._invalid(kind, properties, new=False):
            return wrong
        if clash := self._clash(kind, properties, row):
            return _error(409, "CONFLICT", clash)
        return Answer(200, self._change(row, properties))

    def _archive(self, kind: str, key: str) -> Answer:
        if self.objects[kind].pop(key, None) is not None:
            self.archived[kind].add(key)
            self.writes += 1
        return Answer(204)

    def _gdpr_delete(self, told: Any) -> Answer:
        key = told.get("objectId", "")
        row = self._find("contacts", told["idProperty"], key) if told.get("idProperty") else None
        row = row or self.objects["contacts"].get(key)
        if row is None:
            return _error(404, "OBJECT_NOT_FOUND", "Object not found.")
        gone = {(kind, each) for kind, each, contact in self.links if contact == row["id"]}
        for kind, each in gone:
            self.objects[kind].pop(each, None)
        self.links = {link for link in self.links if link[2] != row["id"]}
        del self.objects["contacts"][row["id"]]
        self.forgotten.append(row["id"])
        self.writes += 1
        return Answer(204)

    def _merge(self, told: Any) -> Answer:
        """One record is left; the id of the other still finds it."""
        kept, other = (self._row("contacts", str(told.get(name))) for name in ("primaryObjectId", "objectIdToMerge"))
        if kept is None or other is None:
            return _error(404, "OBJECT_NOT_FOUND", "Object not found.")
        if kept["id"] == other["id"]:
            return _error(400, "VALIDATION_ERROR", f"Contact {other['id']} has already been merged")
        mails = [each["properties"].get("email", "").lower() for each in (kept, other)]
        kept["also"] = [*kept.get("also", ()), *other.get("also", ()), *filter(None, mails)]
        kept["properties"] = {**other["properties"], **kept["properties"]}
        self.links = {
            (kind, each, kept["id"] if contact == other["id"] else contact) for kind, each, contact in self.links
        }
        del self.objects["contacts"][other["id"]]
        self.merged[other["id"]] = kept["id"]
        self.writes += 1
        return Answer(200, kept)

    def _search(self, kind: str, told: Any) -> Answer:
        """The index lags: what is younger than `search_lag` seconds is not found yet."""
        horizon = time.monotonic() - self.search_lag
        filters = [each for group in told.get("filterGroups", []) for each in group.get("filters", [])]
        rows = [row for row in self.objects[kind].values() if row["at"] <= horizon and _matches(row, filters)]
        return Answer(200, {"total": len(rows), "results": rows[: min(int(told.get("limit", 10)), 200)]})

    def _association(self, call: Call, kind: str, key: str, to: str, other: str) -> Answer:
        if kind not in self.objects or to != "contacts" or key not in self.objects[kind]:
            return _error(404, "OBJECT_NOT_FOUND", f"No {kind} with ID {key} exists")
        if call.method == "GET" and not other:
            linked = [{"toObjectId": int(each)} for each in self.contacts_of(kind, key)]
            return Answer(200, {"results": linked})
        other = str((self._row("contacts", other) or {}).get("id", ""))
        if not other:
            return _error(404, "OBJECT_NOT_FOUND", f"No contact with ID {other} exists")
        if call.method == "DELETE":
            self.links.discard((kind, key, other))
            return Answer(204)
        self.links.add((kind, key, other))
        self.writes += 1
        ends = {"from": {"id": key}, "to": {"id": other}}
        return Answer(200, {"status": "COMPLETE", "results": [ends]})

    def _property(self, call: Call, kind: str, name: str) -> Answer:
        if kind not in self.known:
            return _error(404, "OBJECT_NOT_FOUND", f"Unable to infer object type from: {kind}")
        if call.method == "GET":
            if name not in self.known[kind]:
                return _error(404, "OBJECT_NOT_FOUND", f"Property {name} does not exist")
            return Answer(200, {"name": name, "hasUniqueValue": name in self.unique[kind]})
        told = call.json
        if told["name"] in self.known[kind]:
            return _error(409, "OBJECT_ALREADY_EXISTS", f"A property named '{told['name']}' already exists.")
        if told.get("hasUniqueValue") and len(self.unique[kind]) >= 10:
            return _error(400, "VALIDATION_ERROR", "The maximum of 10 unique properties is reached")
        self.known[kind].add(told["name"])
        self.unique[kind] |= {told["name"]} if told.get("hasUniqueValue") else set()
        return Answer(201, told)

    def _invalid(self, kind: str, properties: Row, *, new: bool) -> Answer | None:
        wrong = list(self._mistakes(kind, properties, new))
        if not wrong:
            return None
        shown = "[" + ",".join(f'{{"isValid":false,"message":"{text}","name":"{name}"}}' for name, text in wrong) + "]"
        return _error(400, "VALIDATION_ERROR", f"Property values were not valid: {shown}")

    def _mistakes(self, kind: str, properties: Row, new: bool) -> Iterator[tuple[str, str]]:
        for name, value in properties.items():
            if name not in self.known[kind]:
                yield name, f"Property {name} does not exist"
            elif name in CHOICES and value not in CHOICES[name]:
                yield name, f"{value} was not one of the allowed options"
            elif name == "email" and value and not MAIL.match(value):
                yield name, f"Email address {value} is invalid"
            elif name.endswith("_body") and len(value) > 65_536:
                yield name, "too long: the maximum is 65536 characters"
            elif name == "hs_call_duration" and not str(value).isdigit():
                yield name, f"{value} was not a valid number."
        if new and kind in ENGAGEMENTS:
            for name in ("hs_timestamp", *REQUIRED.get(kind, ())):
                if not properties.get(name):
                    yield name, "required property is missing"

    def _clash(self, kind: str, properties: Row, own: Row | None) -> str:
        for name in ("email", *sorted(self.unique[kind])):
            value = properties.get(name)
            other = self._find(kind, name, value) if value else None
            if other is None or (own is not None and other["id"] == own["id"]):
                continue
            if name == "email":
                return f"Contact already exists. Existing ID: {other['id']}"
            return f"Cannot set PropertyValueCoordinates: {other['id']} already has that value for {name}."
        return ""

    def _row(self, kind: str, key: str) -> Row | None:
        while kind == "contacts" and key in self.merged:
            key = self.merged[key]
        return self.objects[kind].get(key)

    def _find(self, kind: str, name: str, value: str) -> Row | None:
        fold = str.lower if name == "email" else str
        rows = self.objects[kind].values()
        also = (row for row in rows if name == "email" and value.lower() in row.get("also", ()))
        return next((row for row in rows if fold(row["properties"].get(name) or "") == fold(value)), next(also, None))

    def _make(self, kind: str, properties: Row) -> Row:
        key = str(next(self._ids))
        row = {"id": key, "properties": {**properties, "hs_object_id": key}, "archived": False, "at": time.monotonic()}
        self.objects[kind][key] = row
        self.created += kind == "contacts"
        self.writes += 1
        return row

    def _change(self, row: Row, properties: Row) -> Row:
        row["properties"] |= properties
        row["at"] = time.monotonic()
        self.writes += 1
        return row


def _matches(row: Row, filters: list[Row]) -> bool:
    return all(row["properties"].get(each["propertyName"]) == each.get("value") for each in filters)


def _error(status: int, category: str, message: str, **more: Any) -> Answer:
    trace = "aeb5f871-7f07-4993-9211-075dc63e7cbf"
    return Answer(status, {"status": "error", "message": message, "correlationId": trace, "category": category, **more})


if __name__ == "__main__":
    run(HubSpot)
